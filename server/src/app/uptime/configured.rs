//! What a start says by itself: the calendar and the fleet file. Not while our clock is behind what the database knows.
use std::time::Duration;

use kioskwatch_domain::{
    change::{AuditRow, Change},
    fleet::{Actor, Request},
    uptime::lived,
};
use kioskwatch_proto::Timestamp;
use tokio::sync::watch;

use super::DecisionError;
use crate::app::{
    App,
    seed::{Seed, SeedError},
};

/// How often a clock that is behind is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Why what is configured could not be noted.
#[derive(Debug, thiserror::Error)]
pub enum NoteError {
    #[error("noting the calendar by which time is counted from now on: {0}")]
    Calendar(#[from] DecisionError),
    #[error(transparent)]
    Seed(#[from] SeedError),
}

impl NoteError {
    /// Whether it may go well a moment later.
    fn is_of_the_moment(&self) -> bool {
        match self {
            Self::Calendar(error) => error.is_of_the_moment(),
            Self::Seed(SeedError::Request { source, .. }) => source.is_of_the_moment(),
            Self::Seed(SeedError::Store(error)) => !error.is_lasting(),
            Self::Seed(_) => false,
        }
    }
}

impl App {
    /// Whether our clock is behind when servers of this database were alive. As long as it is nobody decides about what
    /// was, the books wait, and `/readyz` says so.
    ///
    /// # Errors
    /// The store does not answer, or the hub does not take it.
    pub async fn look_at_clock(&self) -> Result<bool, DecisionError> {
        let now = self.clock().now();
        let lived = self.store().server_liveness(Timestamp(i64::MIN), Timestamp(i64::MAX)).await?;
        let newest = lived::behind(now, &lived);
        let decisions = &self.books().decisions;
        match (decisions.clock_is_behind(), newest) {
            (false, Some(newest)) => {
                tracing::error!(
                    %now,
                    %newest,
                    "the clock is behind what the database knows: nothing is noted of sites, kiosks and the calendar, and \
                     nothing is decided about months, until it is right"
                );
                self.tell_of_clock("clock_behind", newest).await?;
                decisions.wait_for_clock(true);
            }
            (true, None) => {
                tracing::info!(%now, "the clock is not behind what the database knows any more");
                decisions.wait_for_clock(false);
                self.tell_of_clock("clock_right", now).await?;
            }
            (true, Some(_)) | (false, None) => {}
        }
        Ok(newest.is_some())
    }

    async fn tell_of_clock(&self, action: &str, newest: Timestamp) -> Result<(), DecisionError> {
        let actor = Actor { name: "server".to_owned() };
        let now = self.clock().now();
        let detail = serde_json::json!({ "now": now, "newest": newest }).to_string();
        let (action, object) = (action.to_owned(), "server".to_owned());
        let audit = AuditRow { at: now, actor: actor.name.clone(), action, object, detail };
        let deciding = self.books().decisions.begin().await?;
        deciding.ask(self, actor, Request::Book { changes: vec![Change::Audit(audit)], also: None }).await?;
        Ok(())
    }

    /// What is configured is noted as known from now on.
    ///
    /// # Errors
    /// The store does not answer, the hub does not take it, or the file says what cannot be.
    pub async fn note_configured(&self, seed: Option<&Seed>) -> Result<(), NoteError> {
        self.note_calendar().await?;
        if let Some(seed) = seed {
            self.seed(seed).await?;
        }
        Ok(())
    }

    /// The same once our clock is right, which may be never.
    ///
    /// # Errors
    /// See [`Self::note_configured`].
    pub async fn note_configured_later(
        &self,
        seed: Option<&Seed>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), NoteError> {
        loop {
            if tokio::time::timeout(LOOK_AGAIN, stop.wait_for(|stop| *stop)).await.is_ok() {
                return Ok(());
            }
            match self.look_at_clock().await {
                Ok(true) => {}
                Ok(false) => match self.note_configured(seed).await {
                    Err(error) if error.is_of_the_moment() => {
                        tracing::warn!(%error, "what is configured is noted again in a moment");
                    }
                    outcome => return outcome,
                },
                Err(error) => tracing::warn!(%error, "the clock is looked at again"),
            }
        }
    }
}
