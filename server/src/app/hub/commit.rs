//! From a turn's inputs to the truth: plan, commit, adopt; what cannot be committed as a whole, in pieces.
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use kioskwatch_domain::fleet::{Committed, Input, Plan, RecordBatch};
use kioskwatch_proto::Timestamp;

use super::{Hub, HubError, Replies, Turn};
use crate::{
    app::RequestError,
    clock::Stopwatch,
    panics::text_of,
    store::{Scope, StoreError},
};

/// A commit that did not end in time this often in a row is tried in smaller pieces.
const STALLS_BEFORE_PIECES: u32 = 2;
/// Pauses between tries of a commit while the database is away.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_secs(2);

/// Why a plan did not become true.
enum Failed {
    /// This input, or one of these, can never be committed.
    Permanent(String),
    Fenced(StoreError),
    /// The database is away and the server was told to end. Nothing of it was acknowledged: agents send again.
    GivenUp,
}

impl Hub {
    /// Plans the turn; what cannot be committed as a whole is decided piece by piece, so that one poisoned
    /// message costs nobody else anything.
    pub(super) async fn decide(&mut self, mut turn: Turn) -> Result<(), HubError> {
        if turn.inputs.is_empty() {
            return Ok(());
        }
        self.look_up_old_places(&mut turn.inputs).await;
        let whole = self.settle(&turn.inputs).await;
        let problem = match whole {
            Ok(committed) => {
                self.tell(&turn.inputs, committed, &mut turn.replies);
                return Ok(());
            }
            Err(Failed::Fenced(error)) => return Err(HubError::Fenced(error)),
            Err(Failed::GivenUp) => return Ok(()),
            Err(Failed::Permanent(problem)) => problem,
        };
        tracing::error!(problem, inputs = turn.inputs.len(), "a batch failed; going on piece by piece");
        for (index, input) in std::mem::take(&mut turn.inputs).into_iter().enumerate() {
            let mut reply = Replies::new();
            if let Some(answer) = turn.replies.remove(&index) {
                reply.insert(0, answer);
            }
            for piece in pieces(input) {
                self.decide_piece(piece, &mut reply).await?;
            }
        }
        Ok(())
    }

    /// Records sent again after a change of epoch meet what the store has under their old numbers: the fleet
    /// remembers only the newest few. What cannot be looked up now is not taken; the agent sends it again.
    async fn look_up_old_places(&self, inputs: &mut [Input]) {
        for input in inputs {
            let Input::Batch { kiosk, batch, .. } = input else { continue };
            let mut readable = batch.records.len();
            for (position, record) in batch.records.iter_mut().enumerate() {
                let Some(was) = record.stood_at() else { continue };
                let store = self.app.store();
                match store.journal_record(&Scope::All, kiosk, was.epoch, was.seq).await {
                    Ok(stored) => record.compare_with(stored.as_ref().map(|row| &*row.raw)),
                    Err(error) => {
                        tracing::warn!(%kiosk, error = chain(&error), "records sent again must wait");
                        readable = position;
                        break;
                    }
                }
            }
            batch.records.truncate(readable);
        }
    }

    async fn decide_piece(&mut self, piece: Input, reply: &mut Replies) -> Result<(), HubError> {
        let inputs = [piece];
        match self.settle(&inputs).await {
            Ok(committed) => self.tell(&inputs, committed, reply),
            Err(Failed::Fenced(error)) => return Err(HubError::Fenced(error)),
            Err(Failed::GivenUp) => {}
            Err(Failed::Permanent(problem)) => {
                let [piece] = inputs;
                tracing::error!(problem, "this input cannot be applied");
                self.app.counters().commit_failed("poisoned");
                if let Some(answer) = reply.remove(&0) {
                    let _ = answer.send(Err(RequestError::Poisoned(problem)));
                } else if let Some(failed) = record_failed(&piece, problem)
                    && let Ok(committed) = self.settle(std::slice::from_ref(&failed)).await
                {
                    self.tell(std::slice::from_ref(&failed), committed, reply);
                }
            }
        }
        Ok(())
    }

    /// Plan, commit (again and again while the database is away, until told to stop), adopt.
    async fn settle(&mut self, inputs: &[Input]) -> Result<Committed, Failed> {
        let now = self.app.clock().now();
        let plan = self.plan(now, inputs)?;
        if !plan.is_empty() {
            let watch = Stopwatch::start();
            self.commit(&plan, inputs.len() > 1).await?;
            self.app.counters().committed(watch.elapsed().as_secs_f64());
        }
        self.app.books().note(&plan.changes);
        let changes = self.announce(&plan);
        self.observe(&plan, inputs);
        let committed = self
            .app
            .fleet_mut()
            .adopt(plan)
            .map_err(|stale| Failed::Permanent(format!("one writer, one plan at a time: {stale}")))?;
        changes.into_iter().for_each(|event| self.app.tell(event));
        Ok(committed)
    }

    /// A bug in a decision must not end the server: it fails its input and nothing else.
    fn plan(&mut self, now: Timestamp, inputs: &[Input]) -> Result<Plan, Failed> {
        let fleet = self.app.fleet();
        let ids = &mut self.ids;
        catch_unwind(AssertUnwindSafe(|| fleet.plan(now, inputs, ids)))
            .map_err(|panic| Failed::Permanent(format!("deciding panicked: {}", text_of(&*panic))))
    }

    /// `pieces_help`: the plan came from several inputs and can be made smaller.
    async fn commit(&self, plan: &Plan, pieces_help: bool) -> Result<(), Failed> {
        let health = self.app.health();
        let mut stop = self.stop.clone();
        let mut pause = RETRY_FIRST;
        let mut stalls = 0;
        loop {
            let error = match self.app.store().commit(&plan.changes).await {
                Ok(()) => {
                    health.database.store(true, Relaxed);
                    return Ok(());
                }
                Err(error) => error,
            };
            if matches!(error, StoreError::Fenced { .. }) {
                return Err(Failed::Fenced(error));
            }
            stalls = if matches!(error, StoreError::Stalled { .. }) { stalls + 1 } else { 0 };
            if stalls >= STALLS_BEFORE_PIECES && pieces_help {
                return Err(Failed::Permanent(chain(&error)));
            }
            if !error.is_retryable() {
                return Err(Failed::Permanent(chain(&error)));
            }
            *health.database_trouble.lock().unwrap_or_else(PoisonError::into_inner) = error.in_short();
            if health.database.swap(false, Relaxed) {
                tracing::error!(
                    error = chain(&error),
                    "cannot commit; nothing is acknowledged until it works"
                );
            }
            self.app.counters().commit_failed("unavailable");
            // A sender that is gone means stop as well.
            if tokio::time::timeout(pause, stop.wait_for(|stop| *stop)).await.is_ok() {
                tracing::warn!(changes = plan.changes.len(), "stopping without the database; not committed");
                return Err(Failed::GivenUp);
            }
            pause = (pause * 2).min(RETRY_LAST);
        }
    }
}

/// Each record of a batch alone; everything else as it is.
fn pieces(input: Input) -> Vec<Input> {
    match input {
        Input::Batch { kiosk, received_at, batch } if batch.records.len() > 1 => batch
            .records
            .into_iter()
            .map(|record| Input::Batch {
                kiosk: kiosk.clone(),
                received_at,
                batch: RecordBatch { epoch: batch.epoch, first: batch.first, records: vec![record] },
            })
            .collect(),
        other => vec![other],
    }
}

/// What to tell the fleet of a record that cannot be committed.
fn record_failed(input: &Input, reason: String) -> Option<Input> {
    let Input::Batch { kiosk, batch, .. } = input else { return None };
    let record = batch.records.first()?.parsed.as_ref().ok()?;
    Some(Input::RecordFailed { kiosk: kiosk.clone(), epoch: batch.epoch, seq: record.header.seq, reason })
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
