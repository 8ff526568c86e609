//! The one writer: takes what happened, plans, commits, adopts, tells. In that order, always.
use std::{
    collections::{BTreeMap, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use kioskwatch_domain::{
    change::{Change, TicketRow, TicketState},
    fleet::{Committed, Count, Effect, Input, Plan, RecordBatch},
    ids::Ids,
};
use kioskwatch_proto::{
    KioskId, Timestamp,
    topic::{Channel, Topic},
};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::{App, Asked, RequestError, RequestReceiver, decode, live::LiveEvent};
use crate::{
    clock::Stopwatch,
    mqtt::{Lane, Link, LinkEvent},
    store::{Scope, StoreError},
};

/// Messages decided in one plan and committed in one transaction.
const MAX_BATCH: usize = 2_000;
/// Journal records decided in one plan.
const MAX_BATCH_RECORDS: usize = 20_000;
/// How often live evidence and "last seen" go to the database.
const FLUSH_EVERY: Duration = Duration::from_secs(30);
/// Not having read messages for longer than this, and than a few sweeps, is deafness: silence proves nothing.
const DEAF_AFTER: Duration = Duration::from_secs(2);
const DEAF_AFTER_SWEEPS: u32 = 3;
/// A commit that did not end in time this often in a row is tried in smaller pieces.
const STALLS_BEFORE_PIECES: u32 = 2;
/// Pauses between tries of a commit while the database is away.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_secs(2);

/// What a hub is told at its start.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// This run of this server.
    pub server: Uuid,
    pub last_alive_at: Option<Timestamp>,
}

/// See the module.
pub struct Hub {
    app: App,
    requests: mpsc::Receiver<Asked>,
    events: mpsc::Receiver<LinkEvent>,
    journal_link: Link,
    beats_link: Link,
    ids: Ids,
    lanes_up: [bool; 2],
    /// When messages were last read: for noticing our own deafness.
    last_turn: Stopwatch,
    /// Turns true when the server is to end.
    stop: watch::Receiver<bool>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

/// The hub cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    #[error("another server took over this fleet; this one stops writing")]
    Fenced(#[source] StoreError),
}

/// What one turn of the loop has gathered.
#[derive(Default)]
struct Turn {
    inputs: Vec<Input>,
    replies: BTreeMap<usize, oneshot::Sender<Result<kioskwatch_domain::fleet::Answer, RequestError>>>,
    records: usize,
}

/// Why a plan did not become true.
enum Failed {
    /// This input, or one of these, can never be committed.
    Permanent(String),
    Fenced(StoreError),
    /// The database is away and the server was told to end. Nothing of it was acknowledged: agents send again.
    GivenUp,
}

impl Hub {
    pub fn new(
        app: App,
        requests: RequestReceiver,
        events: mpsc::Receiver<LinkEvent>,
        journal_link: Link,
        beats_link: Link,
    ) -> Self {
        let ids = Ids::seeded(u128::from_le_bytes(crate::random::bytes()));
        Self {
            app,
            requests: requests.0,
            events,
            journal_link,
            beats_link,
            ids,
            lanes_up: [false; 2],
            last_turn: Stopwatch::start(),
            stop: watch::channel(false).1,
        }
    }

    /// The first turn: nobody is judged by what was known before, and no page shows it as if it were now.
    pub async fn begin(&mut self, options: &HubOptions, stop: watch::Receiver<bool>) -> Result<(), HubError> {
        self.stop = stop;
        let start = Input::ServerStarted { server: options.server, last_alive_at: options.last_alive_at };
        self.decide(Turn { inputs: vec![start], ..Turn::default() }).await
    }

    /// Runs until told to stop; then takes what was already received, commits it and says goodbye.
    pub async fn run(mut self) -> Result<(), HubError> {
        let mut stop = self.stop.clone();
        let mut sweep =
            tokio::time::interval(Duration::from_millis(self.app.config().fleet.sweep_interval_ms));
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut flush = tokio::time::interval(FLUSH_EVERY);
        flush.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);

        self.last_turn = Stopwatch::start();
        loop {
            let mut turn = Turn::default();
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                Some(asked) = self.requests.recv() => self.take_request(&mut turn, asked),
                _ = sweep.tick() => self.tick(&mut turn, Input::Sweep),
                _ = flush.tick() => self.tick(&mut turn, Input::FlushLiveness),
                Some(event) = self.events.recv() => self.take_event(&mut turn, event),
            }
            self.drain(&mut turn);
            self.app.health().waiting_messages.store(self.events.len() as u64, Relaxed);
            let sweeps = turn.inputs.iter().any(|input| matches!(input, Input::Sweep));
            let watch = Stopwatch::start();
            self.decide(turn).await?;
            if sweeps {
                self.app.counters().swept(watch.elapsed().as_secs_f64());
                self.count_dropped();
            }
        }
        self.app.health().stopping.store(true, Relaxed);
        let mut last = Turn::default();
        self.drain(&mut last);
        last.inputs.push(Input::FlushLiveness);
        self.decide(last).await?;
        self.journal_link.stop().await;
        self.beats_link.stop().await;
        Ok(())
    }

    /// What the connections gave up since the last look.
    fn count_dropped(&self) {
        for (link, incoming, outgoing) in
            [(&self.journal_link, "journal_in", "journal_out"), (&self.beats_link, "beats_in", "beats_out")]
        {
            let counters = link.counters();
            for (queue, dropped) in
                [(incoming, &counters.dropped_incoming), (outgoing, &counters.dropped_outgoing)]
            {
                match dropped.swap(0, Relaxed) {
                    0 => {}
                    count => self.app.counters().dropped(queue, "full", count),
                }
            }
        }
    }

    /// Takes whatever else is waiting, so that one commit serves many.
    fn drain(&mut self, turn: &mut Turn) {
        while turn.inputs.len() < MAX_BATCH && turn.records < MAX_BATCH_RECORDS {
            if let Ok(asked) = self.requests.try_recv() {
                self.take_request(turn, asked);
            } else if let Ok(event) = self.events.try_recv() {
                self.take_event(turn, event);
            } else {
                break;
            }
        }
    }

    fn take_request(&self, turn: &mut Turn, asked: Asked) {
        // Whoever asked has gone: nothing is done behind their back.
        if asked.answer.is_closed() {
            return;
        }
        turn.replies.insert(turn.inputs.len(), asked.answer);
        turn.inputs.push(Input::Request { actor: asked.actor, request: asked.request });
    }

    /// A tick never judges silence that is our own: messages that wait are taken first.
    fn tick(&mut self, turn: &mut Turn, input: Input) {
        let deaf_for = self.last_turn.elapsed();
        let jump = self.app.clock().follow_jump();
        if let Some(jump) = jump {
            tracing::warn!(by_ms = jump.by_ms, "the machine's clock jumped; deadlines start anew");
        }
        let sweep = Duration::from_millis(self.app.config().fleet.sweep_interval_ms);
        let limit = DEAF_AFTER.max(sweep * DEAF_AFTER_SWEEPS);
        if self.hears() && (deaf_for > limit || jump.is_some()) {
            tracing::warn!(?deaf_for, "messages were not read for a while; nobody is judged by it");
            let deaf_ms = i64::try_from(deaf_for.as_millis()).unwrap_or(i64::MAX);
            let since = self.app.clock().now().plus_ms(-deaf_ms);
            turn.inputs.extend([Input::BrokerDown { since }, Input::BrokerUp]);
        }
        self.last_turn = Stopwatch::start();
        self.drain(turn);
        turn.inputs.push(input);
    }

    fn hears(&self) -> bool {
        self.lanes_up == [true; 2]
    }

    fn take_event(&mut self, turn: &mut Turn, event: LinkEvent) {
        match event {
            LinkEvent::Message(received) => self.take_message(turn, &received),
            LinkEvent::Up(lane) => {
                tracing::info!(lane = lane.name(), "connected to the broker");
                let heard = self.hears();
                self.lanes_up[lane_index(lane)] = true;
                if !heard && self.hears() {
                    self.app.health().broker.store(true, Relaxed);
                    turn.inputs.push(Input::BrokerUp);
                }
            }
            LinkEvent::Down(lane, reason) => {
                tracing::warn!(lane = lane.name(), reason, "not connected to the broker");
                let heard = self.hears();
                self.lanes_up[lane_index(lane)] = false;
                self.app.health().broker.store(false, Relaxed);
                if heard {
                    turn.inputs.push(Input::BrokerDown { since: self.app.clock().now() });
                }
            }
        }
    }

    fn take_message(&self, turn: &mut Turn, received: &crate::mqtt::Received) {
        let counters = self.app.counters();
        match decode::read(received) {
            Ok(decode::Message::Heartbeat(kiosk, message)) => {
                let heard = self.app.fleet_mut().heard(received.at, &kiosk, &message);
                counters.message("heartbeat", "applied");
                if heard.durable {
                    turn.inputs.push(Input::Heartbeat { kiosk, received_at: received.at, message });
                }
            }
            Ok(decode::Message::Input(input)) => {
                if let Input::Batch { batch, .. } = &input {
                    turn.records += batch.records.len();
                }
                turn.inputs.push(input);
            }
            Err(unreadable) => {
                counters.message(unreadable.channel, unreadable.reason);
                let kiosk = unreadable.kiosk.as_ref().map(KioskId::as_str);
                let (reason, detail) = (unreadable.reason, unreadable.detail);
                tracing::debug!(kiosk, channel = unreadable.channel, reason, detail, "message dropped");
            }
        }
    }

    /// Plans the turn; what cannot be committed as a whole is decided piece by piece, so that one poisoned
    /// message costs nobody else anything.
    async fn decide(&mut self, mut turn: Turn) -> Result<(), HubError> {
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
            let mut reply = BTreeMap::new();
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

    async fn decide_piece(
        &mut self,
        piece: Input,
        reply: &mut BTreeMap<usize, oneshot::Sender<Result<kioskwatch_domain::fleet::Answer, RequestError>>>,
    ) -> Result<(), HubError> {
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
                    let _ = answer.send(Err(RequestError::Unavailable(problem)));
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
        catch_unwind(AssertUnwindSafe(|| fleet.plan(now, inputs, ids))).map_err(|panic| {
            let what = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Failed::Permanent(format!("deciding panicked: {what}"))
        })
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

    fn announce(&self, plan: &Plan) -> Vec<LiveEvent> {
        if plan.is_empty() {
            return Vec::new();
        }
        let fleet = self.app.fleet();
        let site_of = |kiosk: &KioskId| fleet.kiosk(kiosk).and_then(|view| view.site.cloned());
        plan.changes.iter().filter_map(|change| LiveEvent::of(change, site_of)).collect()
    }

    /// Counts what the committed changes mean for people.
    fn observe(&self, plan: &Plan, inputs: &[Input]) {
        let counters = self.app.counters();
        let now = self.app.clock().now();
        let tickets: HashMap<Uuid, &TicketRow> = plan
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::Ticket(row) => Some((row.id, &**row)),
                _ => None,
            })
            .collect();
        for change in &plan.changes {
            match change {
                Change::TicketEvent(event) => {
                    let Some(ticket) = tickets.get(&event.ticket) else { continue };
                    if event.n == 1 {
                        counters.ticket_opened(ticket.source.as_str(), ticket.class.as_str());
                        if let Some(received_at) = fault_received(inputs, ticket.kiosk.as_ref()) {
                            counters.fault_to_ticket(seconds_between(received_at, now));
                        }
                    }
                    if event.from == Some(event.to) {
                        continue;
                    }
                    match event.to {
                        TicketState::Resolved => {
                            let restored = ticket.t5.unwrap_or(event.at);
                            counters.stage_left("to_restored", seconds_between(ticket.t1, restored));
                        }
                        TicketState::Closed => {
                            let restored = ticket.t5.unwrap_or(ticket.t1);
                            counters.stage_left("to_closed", seconds_between(restored, event.at));
                        }
                        _ => {}
                    }
                }
                Change::Command(command) => counters.command(&command.action, command.state.as_str()),
                _ => {}
            }
        }
    }

    /// After the commit: answers, acknowledgements, effects, counts.
    fn tell(
        &self,
        inputs: &[Input],
        committed: Committed,
        replies: &mut BTreeMap<
            usize,
            oneshot::Sender<Result<kioskwatch_domain::fleet::Answer, RequestError>>,
        >,
    ) {
        let now = self.app.clock().now();
        let counters = self.app.counters();
        for (index, answer) in committed.replies {
            if let Some(reply) = replies.remove(&index) {
                let _ = reply.send(answer.map_err(RequestError::Refused));
            }
        }
        for (kiosk, ack) in committed.acks {
            let payload =
                serde_json::to_vec(&ack.within_limits()).expect("an ack has text keys and whole numbers");
            // Lost on a full queue or a lost connection: the agent sends again and is acknowledged again.
            self.journal_link.publish(&Topic::new(kiosk, Channel::Ack), payload, None);
        }
        for effect in committed.effects {
            self.perform(effect, now);
        }
        for input in inputs {
            if let Some(received_at) = received_at(input) {
                counters.ingested(seconds_between(received_at, now));
            }
        }
        for (count, times) in committed.counts {
            self.count(count, times);
        }
    }

    fn perform(&self, effect: Effect, now: Timestamp) {
        match effect {
            Effect::Publish(command) => {
                let left_ms = command.not_after.since(now).max(1_000);
                let expiry_s = u32::try_from(left_ms / 1_000).unwrap_or(u32::MAX);
                let envelope = self.app.signer().sign(&command);
                let payload = serde_json::to_vec(&envelope).expect("an envelope is all text");
                let kiosk = command.kiosk.clone();
                tracing::info!(%kiosk, command = %command.id, action = command.action, "command sent");
                self.journal_link.publish(&Topic::new(kiosk, Channel::Command), payload, Some(expiry_s));
            }
            Effect::Notify(notice) => {
                let kiosk = notice.kiosk.as_ref().map(KioskId::as_str);
                tracing::info!(kind = notice.kind.as_str(), kiosk, "{}", notice.text);
            }
        }
    }

    fn count(&self, count: Count, times: u64) {
        let counters = self.app.counters();
        let (group, word) = count.words();
        match count {
            Count::Message(_) => counters.messages("other", word, times),
            Count::Record(_) => counters.messages("journal_record", word, times),
            Count::Suppressed(_) | Count::Held(_) => counters.suppressed(word),
            Count::Security(_) => counters.security(word),
            Count::ClockBreached(_) => (0..times).for_each(|_| counters.clock_breached(word)),
            _ => tracing::debug!(group, word, times, "counted"),
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

/// When the journal message of a kiosk in this turn arrived, if it was one that made the ticket.
fn fault_received(inputs: &[Input], kiosk: Option<&KioskId>) -> Option<Timestamp> {
    inputs.iter().find_map(|input| match input {
        Input::Batch { kiosk: sender, received_at, .. } if Some(sender) == kiosk => Some(*received_at),
        _ => None,
    })
}

fn received_at(input: &Input) -> Option<Timestamp> {
    match input {
        Input::Presence { received_at, .. }
        | Input::Inventory { received_at, .. }
        | Input::Heartbeat { received_at, .. }
        | Input::Batch { received_at, .. }
        | Input::Progress { received_at, .. } => Some(*received_at),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a duration for a histogram")]
fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.since(from).max(0) as f64 / 1_000.0
}

const fn lane_index(lane: Lane) -> usize {
    match lane {
        Lane::Journal => 0,
        Lane::Beats => 1,
    }
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
