//! From a turn's inputs to the truth: plan, commit, adopt; what cannot be committed as a whole, in pieces.
use std::{
    sync::{PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use kioskwatch_domain::fleet::{Committed, Input, Look, Plan, Recalled, RecordBatch};
use kioskwatch_proto::Timestamp;

use super::{
    Hub, HubError,
    tries::{Next, Tries},
    turn::{Replies, Turn},
};
use crate::{
    app::RequestError,
    clock::Stopwatch,
    panics::{caught, caught_at_once},
    store::StoreError,
};

/// Tries of one sweep or flush that fails: the rest of it follows with the next one.
const MAX_PART_TRIES: u32 = 200;

/// Why a plan did not become true.
pub(super) enum Failed {
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
        let Some(problem) = self.settle(&mut turn.inputs, &mut turn.replies).await? else { return Ok(()) };
        tracing::error!(problem, inputs = turn.inputs.len(), "a batch failed; going on piece by piece");
        for (index, input) in std::mem::take(&mut turn.inputs).into_iter().enumerate() {
            let mut reply = Replies::new();
            if let Some(asker) = turn.replies.remove(&index) {
                reply.insert(0, asker);
            }
            for piece in pieces(input) {
                self.decide_piece(piece, &mut reply).await?;
            }
        }
        Ok(())
    }

    async fn decide_piece(&mut self, piece: Input, reply: &mut Replies) -> Result<(), HubError> {
        let mut inputs = [piece];
        let Some(mut problem) = self.settle(&mut inputs, reply).await? else { return Ok(()) };
        if matches!(inputs, [Input::Sweep]) {
            let looks = self.app.fleet().looks(self.app.clock().now());
            return self.in_parts(looks).await;
        }
        if let [Input::FlushLiveness { share, .. }] = inputs {
            let looks = self.app.fleet().looks_of(share, self.app.clock().now());
            self.in_parts(looks).await?;
            // What is left of it is our claim to have listened.
            let Some(again) = self.settle(&mut inputs, reply).await? else { return Ok(()) };
            problem = again;
            self.flush_failed = true;
        }
        if matches!(
            inputs,
            [Input::ServerStarted { .. } | Input::BrokerUp | Input::ReadsAgain | Input::ClockJumped { .. }]
        ) {
            // Whether we hear must not hang on what cannot be stored of some kiosk: that is left to the sweep.
            let failed = Input::LookFailed { look: Look::HEARING, reason: problem };
            self.settle(&mut [failed], reply).await?;
            let Some(again) = self.settle(&mut inputs, reply).await? else { return Ok(()) };
            problem = again;
            if let [Input::ClockJumped { before }] = inputs
                && self.hears()
            {
                // Nobody is judged by it at least: that we were deaf needs nothing stored.
                let deaf = &mut [Input::BrokerDown { since: before }, Input::ReadsAgain];
                self.settle(deaf, reply).await?;
            }
        }
        let [piece] = inputs;
        self.poisoned(&problem, "this input cannot be applied");
        if let Some(asker) = reply.remove(&0) {
            asker.answer(Err(RequestError::Poisoned(problem)));
        } else if let Some(failed) = record_failed(&piece, problem) {
            self.settle(&mut [failed], reply).await?;
        }
        Ok(())
    }

    /// Finds what spoils a sweep or a flush by halving it, does the rest, and leaves that alone for a while.
    async fn in_parts(&mut self, looks: Vec<Look>) -> Result<(), HubError> {
        let mut none = Replies::new();
        let mut parts = vec![looks];
        for _ in 0..MAX_PART_TRIES {
            let Some(mut part) = parts.pop() else { return Ok(()) };
            let mut input = [Input::SweepPart(part.clone())];
            let Some(reason) = self.settle(&mut input, &mut none).await? else { continue };
            if let [look] = part[..] {
                self.poisoned(
                    &reason,
                    "this deadline or evidence cannot be looked at; left alone for a while",
                );
                self.settle(&mut [Input::LookFailed { look, reason }], &mut none).await?;
            } else {
                let rest = part.split_off(part.len() / 2);
                parts.extend([rest, part]);
            }
        }
        Ok(())
    }

    fn poisoned(&self, problem: &str, what: &str) {
        tracing::error!(problem, "{what}");
        self.app.counters().commit_failed("poisoned");
    }

    /// Makes inputs true and tells it. Gives the problem if these, or one of them, can never be committed.
    async fn settle(
        &mut self,
        inputs: &mut [Input],
        replies: &mut Replies,
    ) -> Result<Option<String>, HubError> {
        if self.given_up {
            return Ok(None);
        }
        match self.make_true(inputs).await {
            Ok(committed) => {
                self.tell(inputs, committed, replies);
                Ok(None)
            }
            Err(Failed::Permanent(problem)) => Ok(Some(problem)),
            Err(Failed::Fenced(error)) => Err(HubError::Fenced(error)),
            Err(Failed::GivenUp) => {
                self.given_up = true;
                Ok(None)
            }
        }
    }

    /// Plan, commit (again and again while the database is away, until told to stop), adopt.
    async fn make_true(&mut self, inputs: &mut [Input]) -> Result<Committed, Failed> {
        let recalled = caught(self.look_up(inputs)).await.map_err(|panic| {
            self.app.counters().panicked("decision");
            Failed::Permanent(format!("looking up panicked: {panic}"))
        })??;
        let now = self.app.clock().now();
        let mut plan = self.plan(now, inputs, &recalled)?;
        if !plan.is_empty() {
            let watch = Stopwatch::start();
            self.app.books().committing(&plan.changes);
            self.commit(&plan, is_divisible(inputs)).await?;
            self.app.counters().committed(watch.elapsed().as_secs_f64());
        }
        let events = self.told_of(&plan, inputs);
        let changes = std::mem::take(&mut plan.changes);
        let committed = self
            .app
            .fleet_mut()
            .adopt(plan)
            .map_err(|stale| Failed::Permanent(format!("one writer, one plan at a time: {stale}")))?;
        // Who came with them has a place only now.
        let fleet = self.app.fleet();
        self.app.books().note(&changes, |kiosk| fleet.place(kiosk));
        events.into_iter().for_each(|event| self.app.tell(event));
        Ok(committed)
    }

    /// A bug in a decision must not end the server: it fails its input and nothing else.
    fn plan(&mut self, now: Timestamp, inputs: &[Input], recalled: &Recalled) -> Result<Plan, Failed> {
        let fleet = self.app.fleet();
        let ids = &mut self.ids;
        #[cfg(test)]
        let defect = self.defect.as_ref();
        let decide = || {
            let plan = fleet.plan_recalling(now, inputs, recalled, ids);
            #[cfg(test)]
            super::tests::Defect::strike_in_plan(defect, &plan);
            plan
        };
        caught_at_once(decide).map_err(|panic| {
            self.app.counters().panicked("decision");
            Failed::Permanent(format!("deciding panicked: {panic}"))
        })
    }

    /// `divisible`: the plan came from several things and can be made smaller.
    async fn commit(&self, plan: &Plan, divisible: bool) -> Result<(), Failed> {
        let mut tries = Tries::new(divisible);
        loop {
            let Err(error) = self.app.store().commit(&plan.changes).await else {
                self.app.health().database.store(true, Relaxed);
                return Ok(());
            };
            if matches!(error, StoreError::Fenced { .. }) {
                return Err(Failed::Fenced(error));
            }
            let pause = match tries.failed(&error) {
                Next::Never => return Err(Failed::Permanent(chain(&error))),
                Next::Again(pause) => pause,
                Next::Settle(pause) => match self.app.store().arrived(&plan.changes).await {
                    Ok(true) => {
                        self.app.health().database.store(true, Relaxed);
                        return Ok(());
                    }
                    Ok(false) => return Err(Failed::Permanent(chain(&error))),
                    Err(fenced @ StoreError::Fenced { .. }) => return Err(Failed::Fenced(fenced)),
                    Err(_) => pause,
                },
            };
            if let Err(given_up) = self.database_away(&error, pause).await {
                tracing::warn!(changes = plan.changes.len(), "stopping without the database; not committed");
                return Err(given_up);
            }
        }
    }

    /// Says so, and waits until the next try, or until the server is told to end.
    pub(super) async fn database_away(&self, error: &StoreError, pause: Duration) -> Result<(), Failed> {
        let health = self.app.health();
        *health.database_trouble.lock().unwrap_or_else(PoisonError::into_inner) = error.in_short();
        if health.database.swap(false, Relaxed) {
            tracing::error!(error = chain(error), "cannot commit; nothing is acknowledged until it works");
        }
        self.app.counters().commit_failed("unavailable");
        // A sender that is gone means stop as well.
        let mut stop = self.stop.clone();
        match tokio::time::timeout(pause, stop.wait_for(|stop| *stop)).await {
            Ok(_) => Err(Failed::GivenUp),
            Err(_) => Ok(()),
        }
    }
}

/// Whether pieces of it can be decided one by one.
fn is_divisible(inputs: &[Input]) -> bool {
    match inputs {
        [Input::Batch { batch, .. }] => batch.records.len() > 1,
        [Input::SweepPart(looks)] => looks.len() > 1,
        [Input::Sweep | Input::FlushLiveness { .. }] => true,
        _ => inputs.len() > 1,
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
pub(in crate::app) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
