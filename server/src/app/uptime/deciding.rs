//! One decision about the books at a time, of a person or the bookkeeper: from its look at what is stored until it
//! is known what became of it.
//!
//! Whoever asked may give up or lose their connection while the hub goes on committing. So the turn to decide
//! travels with the request: whoever looks next sees it committed, or that it never will be. The hub itself waits
//! for no turn.
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use kioskwatch_domain::fleet::{Actor, Answer, Request};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::timeout,
};

use crate::app::{App, REQUEST_LIMIT, RequestError};

/// Who decides next.
#[derive(Default)]
pub(crate) struct Decisions {
    turn: Arc<Mutex<()>>,
    /// Our clock is behind what the database knows: what would be decided now would stand before what was.
    waits_for_clock: AtomicBool,
}

impl Decisions {
    /// # Errors
    /// Of the decision before this one nobody knows yet what became of it, or our clock is behind.
    pub(crate) async fn begin(&self) -> Result<Deciding, RequestError> {
        self.begin_within(REQUEST_LIMIT).await
    }

    pub(crate) fn wait_for_clock(&self, waits: bool) {
        self.waits_for_clock.store(waits, SeqCst);
    }

    pub(crate) fn clock_is_behind(&self) -> bool {
        self.waits_for_clock.load(SeqCst)
    }

    async fn begin_within(&self, limit: Duration) -> Result<Deciding, RequestError> {
        if self.clock_is_behind() {
            let why =
                "the server's clock is behind what its database knows: nothing is decided until it is right";
            return Err(RequestError::Unavailable(why.to_owned()));
        }
        let late = |_| {
            RequestError::Unavailable(
                "somebody else is deciding, or what was decided is not saved yet; try again".to_owned(),
            )
        };
        timeout(limit, Arc::clone(&self.turn).lock_owned()).await.map(Deciding).map_err(late)
    }

    #[cfg(test)]
    pub(crate) fn is_anybody_deciding(&self) -> bool {
        self.turn.try_lock().is_err()
    }
}

/// Nobody else decides while this is held. What was decided is asked with it and takes it along: there is no other
/// way to ask for it ([`App::request`]).
#[derive(Debug)]
pub(crate) struct Deciding(#[expect(dead_code, reason = "held, not read")] OwnedMutexGuard<()>);

impl Deciding {
    /// Asks the hub, which lets the next one decide when it has an answer, whether anybody waits for it or not.
    pub(crate) async fn ask(self, app: &App, actor: Actor, request: Request) -> Result<Answer, RequestError> {
        app.ask(actor, request, Some(self)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_too_long_for_a_turn_is_told_so() {
        let decisions = Decisions::default();
        let first = decisions.begin().await.unwrap();
        let second = decisions.begin_within(Duration::ZERO).await;
        assert!(matches!(second, Err(RequestError::Unavailable(_))));
        drop(first);
        drop(decisions.begin_within(Duration::ZERO).await.unwrap());
        decisions.wait_for_clock(true);
        assert!(
            matches!(decisions.begin().await, Err(RequestError::Unavailable(why)) if why.contains("clock"))
        );
        decisions.wait_for_clock(false);
        decisions.begin().await.unwrap();
    }
}
