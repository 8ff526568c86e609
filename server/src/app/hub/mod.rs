//! The one writer: takes what happened, plans, commits, adopts, tells. In that order, always.
//!
//! Here is the loop; `commit` makes a turn true, `tell` says afterwards what became of it.
mod commit;
mod lookup;
mod shares;
mod tell;
#[cfg(test)]
mod tests;
mod tries;

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed, time::Duration};

use kioskwatch_domain::{
    fleet::{Answer, Beat, Input, Share},
    ids::Ids,
};
use kioskwatch_proto::{KioskId, Timestamp};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, Interval, sleep_until},
};
use uuid::Uuid;

pub(super) use self::commit::chain;
use self::shares::{FLUSH_TICKS, Intake, Shares};
use super::{App, Asked, REQUEST_QUEUE, RequestError, RequestReceiver, decode};
use crate::{
    clock::Stopwatch,
    mqtt::{Lane, Link, LinkEvent, Outlet, RECEIVE_QUEUE, Room},
    store::StoreError,
};

/// Messages of one lane decided in one plan and committed in one transaction.
const MAX_BATCH: usize = 2_000;
/// Heartbeats that wait for memory together: what they touch fits into the processor's nearest caches.
const BEATS_TOGETHER: usize = 64;
/// Heartbeats are read this often at most, unless many wait: nobody waits for one, and to be woken for each costs more
/// than to hear it. They were stamped when they came.
const BEATS_EVERY: Duration = Duration::from_millis(50);
/// Journal records decided in one plan.
const MAX_BATCH_RECORDS: usize = 20_000;
/// How often live evidence and "last seen" of each kiosk go to the database; seldomer where a fleet is too large for
/// that ([`shares`]).
pub const FLUSH_EVERY: Duration = Duration::from_secs(30);
/// Kiosks of one commit at the end, when nobody waits any more.
const LAST_FLUSH_AT_ONCE: usize = 5_000;
/// Turns at the end that take what was received: more than fills the queue.
const LAST_TURNS: u32 = 8;
/// Between its stamp and our queue a message takes less than this.
const ON_ITS_WAY_MS: i64 = 1_000;
/// Not having read messages for longer than this is deafness: silence proves nothing. Of the hub's own ticks several
/// fit into it, however seldom it sweeps.
const DEAF_AFTER: Duration = Duration::from_secs(2);
/// What a hub is told at its start.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// This run of this server.
    pub server: Uuid,
    pub last_alive_at: Option<Timestamp>,
    /// See [`FLUSH_EVERY`].
    pub flush_every: Duration,
}

/// See the module.
pub struct Hub {
    app: App,
    requests: mpsc::Receiver<Asked>,
    journal_link: Link,
    from_journal: Outlet,
    beats_link: Link,
    from_beats: Outlet,
    /// See [`BEATS_EVERY`].
    beats_again: Option<Instant>,
    ids: Ids,
    lanes_up: [bool; 2],
    /// When messages were last read: for noticing our own deafness.
    last_turn: Stopwatch,
    /// See [`DEAF_AFTER`].
    deaf_after: Duration,
    flush_every: Duration,
    /// Turns true when the server is to end.
    stop: watch::Receiver<bool>,
    /// Told to end without the database: of the last plan nobody knows whether it arrived, so nothing else may
    /// be committed.
    given_up: bool,
    /// A flush of this turn could not be written at all.
    flush_failed: bool,
    /// To apply a record of this kiosk panics: the defect that nobody knows of yet.
    #[cfg(test)]
    defect_about: Option<KioskId>,
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

/// What a turn of the loop begins with.
#[derive(Debug)]
enum Wake {
    Stop,
    Sweep,
    Flush,
    Request(Asked),
    Event((LinkEvent, Room)),
}

/// Who waits for an answer, by the place of their input in the turn.
type Replies = BTreeMap<usize, oneshot::Sender<Result<Answer, RequestError>>>;

/// What one turn of the loop has gathered.
#[derive(Default)]
struct Turn {
    inputs: Vec<Input>,
    replies: Replies,
    records: usize,
    /// Not heard yet: older than whatever is put to the inputs next.
    beats: Vec<(Beat, Room)>,
    /// What the messages among the inputs take of their queues, until they are decided.
    rooms: Vec<Room>,
}

impl Hub {
    pub fn new(
        app: App,
        requests: RequestReceiver,
        (journal_link, from_journal): (Link, Outlet),
        (beats_link, from_beats): (Link, Outlet),
    ) -> Self {
        let ids = Ids::seeded(u128::from_le_bytes(crate::random::bytes()));
        Self {
            app,
            requests: requests.0,
            journal_link,
            from_journal,
            beats_link,
            from_beats,
            beats_again: None,
            ids,
            lanes_up: [false; 2],
            last_turn: Stopwatch::start(),
            deaf_after: DEAF_AFTER,
            flush_every: FLUSH_EVERY,
            stop: watch::channel(false).1,
            given_up: false,
            flush_failed: false,
            #[cfg(test)]
            defect_about: None,
        }
    }

    /// The first turn: nobody is judged by what was known before, and no page shows it as if it were now.
    pub async fn begin(&mut self, options: &HubOptions, stop: watch::Receiver<bool>) -> Result<(), HubError> {
        self.stop = stop;
        self.flush_every = options.flush_every;
        let start = Input::ServerStarted { server: options.server, last_alive_at: options.last_alive_at };
        self.decide(Turn { inputs: vec![start], ..Turn::default() }).await?;
        self.forget_the_rest().await
    }

    /// A large fleet is forgotten in several commits; nothing else is decided before the last one.
    async fn forget_the_rest(&mut self) -> Result<(), HubError> {
        let mut before = None;
        loop {
            let place = self.app.fleet().forgetting_from();
            // What did not move on failed, or we are told to stop: the next sweep tries again.
            if place.is_none() || place == before {
                return Ok(());
            }
            before = place;
            self.decide(Turn { inputs: vec![Input::Sweep], ..Turn::default() }).await?;
        }
    }

    /// Runs until told to stop; then takes what was already received, commits it and says goodbye.
    pub async fn run(mut self) -> Result<(), HubError> {
        let mut stop = self.stop.clone();
        let mut sweep =
            tokio::time::interval(Duration::from_millis(self.app.config().fleet.sweep_interval_ms));
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut flush = tokio::time::interval(self.flush_every / FLUSH_TICKS);
        flush.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);

        let (mut shares, mut intake) = (Shares::default(), Intake::default());

        self.last_turn = Stopwatch::start();
        loop {
            let mut turn = Turn::default();
            let mut written = None;
            let wake = self.next(&mut stop, &mut sweep, &mut flush).await;
            // Whatever woke us: what is read now would else hide that nothing was read before.
            self.notice_deafness(&mut turn);
            match wake {
                Wake::Stop => {
                    // A jump or a pause just before the end: the last flush must not claim to have heard through it.
                    self.decide(turn).await?;
                    break;
                }
                Wake::Sweep => {
                    self.drain(&mut turn);
                    turn.inputs.push(Input::Sweep);
                }
                Wake::Flush => {
                    if let Some(share) = shares.due(|| self.app.fleet().kiosks().len()) {
                        self.drain(&mut turn);
                        let heard_to = self.heard_to();
                        intake.begins(share, heard_to);
                        written = Some(share);
                        turn.inputs.push(flush_of(share, heard_to));
                    }
                }
                Wake::Request(asked) => self.take_request(&mut turn, asked),
                Wake::Event(event) => self.take_event(&mut turn, event),
            }
            self.drain(&mut turn);
            self.app.health().waiting_messages.store(self.waiting() as u64, Relaxed);
            let sweeps = turn.inputs.iter().any(|input| matches!(input, Input::Sweep));
            let watch = Stopwatch::start();
            self.decide(turn).await?;
            // What could not be written is not claimed to be.
            if std::mem::take(&mut self.flush_failed) {
                intake.failed();
            }
            if let Some(before) = written.and_then(|share| intake.committed(share)) {
                self.app.books().took_in(before);
            }
            self.forget_the_rest().await?;
            if sweeps {
                self.app.counters().swept(watch.elapsed().as_secs_f64());
                self.count_dropped();
            }
        }
        self.app.health().stopping.store(true, Relaxed);
        for _ in 0..LAST_TURNS {
            let mut last = Turn::default();
            self.drain(&mut last);
            self.decide(last).await?;
            if self.has_taken_all() {
                break;
            }
        }
        let heard_to = self.heard_to();
        let of = 1 + self.app.fleet().kiosks().len() / LAST_FLUSH_AT_ONCE;
        let of = u32::try_from(of).unwrap_or(u32::MAX);
        for index in 0..of {
            let flush = flush_of(Share { index, of }, heard_to);
            self.decide(Turn { inputs: vec![flush], ..Turn::default() }).await?;
        }
        self.journal_link.stop().await;
        self.beats_link.stop().await;
        Ok(())
    }

    /// What is next. Ticks first: whoever asks again and again must not keep deadlines from being looked at.
    async fn next(
        &mut self,
        stop: &mut watch::Receiver<bool>,
        sweep: &mut Interval,
        flush: &mut Interval,
    ) -> Wake {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => Wake::Stop,
            _ = sweep.tick() => Wake::Sweep,
            _ = flush.tick() => Wake::Flush,
            Some(asked) = self.requests.recv() => Wake::Request(asked),
            Some(event) = self.from_journal.recv() => Wake::Event(event),
            Some(event) = next_beat(&mut self.from_beats, self.beats_again) => Wake::Event(event),
        }
    }

    /// What the connections gave up since the last look.
    fn count_dropped(&self) {
        for (link, incoming, outgoing) in
            [(&self.journal_link, "journal_in", "journal_out"), (&self.beats_link, "beats_in", "beats_out")]
        {
            let counters = link.counters();
            (0..counters.panics.swap(0, Relaxed)).for_each(|_| self.app.counters().panicked("link"));
            for (queue, reason, dropped) in [
                (incoming, "full", &counters.dropped_incoming),
                (incoming, "flood", &counters.over_allowance),
                (outgoing, "full", &counters.dropped_outgoing),
            ] {
                // Also nothing: a series that begins with its first loss has no rate.
                self.app.counters().dropped(queue, reason, dropped.swap(0, Relaxed));
            }
        }
    }

    /// Takes whatever else is waiting, so that one commit serves many: what must arrive before heartbeats.
    fn drain(&mut self, turn: &mut Turn) {
        self.hear(turn);
        for _ in 0..REQUEST_QUEUE {
            let Ok(asked) = self.requests.try_recv() else { break };
            self.take_request(turn, asked);
        }
        while turn.inputs.len() < MAX_BATCH && turn.records < MAX_BATCH_RECORDS {
            let Some(event) = self.from_journal.try_recv() else { break };
            self.take_event(turn, event);
        }
        // Beside whatever the journals bring: who is heard must not be called silent.
        let most = turn.inputs.len() + MAX_BATCH;
        for _ in 0..RECEIVE_QUEUE {
            if turn.inputs.len() + turn.beats.len() >= most {
                break;
            }
            let Some(event) = self.from_beats.try_recv() else { break };
            self.take_event(turn, event);
        }
        self.hear(turn);
        let many_wait = self.from_beats.waiting() >= BEATS_TOGETHER;
        self.beats_again = (!many_wait).then(|| Instant::now() + BEATS_EVERY);
        if self.waiting() == 0 {
            // Everything was read, whatever woke us.
            self.last_turn = Stopwatch::start();
        }
    }

    fn waiting(&self) -> usize {
        self.from_journal.waiting() + self.from_beats.waiting()
    }

    fn has_taken_all(&self) -> bool {
        self.from_journal.is_empty() && self.from_beats.is_empty()
    }

    fn take_request(&self, turn: &mut Turn, asked: Asked) {
        // Whoever asked has gone: nothing is done behind their back.
        if asked.answer.is_closed() {
            return;
        }
        turn.replies.insert(turn.inputs.len(), asked.answer);
        turn.inputs.push(Input::Request { actor: asked.actor, request: asked.request });
    }

    /// Before anything is judged or claimed to be heard: silence that is our own, and a clock that shows another time.
    fn notice_deafness(&mut self, turn: &mut Turn) {
        let deaf_for = self.last_turn.elapsed();
        let jump = self.app.clock().follow_jump();
        let now = self.app.clock().now();
        let before = now.plus_ms(jump.map_or(0, |jump| -jump.by_ms));
        let was_deaf = self.hears() && deaf_for > self.deaf_after;
        if was_deaf {
            tracing::warn!(?deaf_for, "messages were not read for a while; nobody is judged by it");
            let deaf_ms = i64::try_from(deaf_for.as_millis()).unwrap_or(i64::MAX);
            turn.inputs.push(Input::BrokerDown { since: before.plus_ms(-deaf_ms) });
        }
        if let Some(jump) = jump {
            tracing::warn!(by_ms = jump.by_ms, "the machine's clock jumped; nobody is judged by it");
            turn.inputs.push(Input::ClockJumped { before });
        }
        if was_deaf {
            turn.inputs.push(Input::ReadsAgain);
        }
        self.last_turn = Stopwatch::start();
    }

    /// Everything that was sent to us before this has been taken. `None`: something waits.
    fn heard_to(&self) -> Option<Timestamp> {
        let taken_to = || {
            let stamped = self.app.clock().now().plus_ms(-ON_ITS_WAY_MS);
            stamped.min(self.journal_link.proven_to()).min(self.beats_link.proven_to())
        };
        self.has_taken_all().then(taken_to)
    }

    fn hears(&self) -> bool {
        self.lanes_up == [true; 2]
    }

    fn take_event(&mut self, turn: &mut Turn, (event, room): (LinkEvent, Room)) {
        if !matches!(event, LinkEvent::Message(_)) {
            self.hear(turn);
        }
        match event {
            LinkEvent::Message(received) => {
                self.take_message(turn, &received, room);
            }
            LinkEvent::Flood(lane, sender) => {
                tracing::warn!(
                    kiosk = sender,
                    lane = lane.name(),
                    "a kiosk sends too much; dropping what is"
                );
                if let Ok(kiosk) = KioskId::new(&sender) {
                    turn.inputs.push(Input::Flood { kiosk });
                }
            }
            LinkEvent::Up(lane) => {
                tracing::info!(lane = lane.name(), "connected to the broker");
                let heard = self.hears();
                self.lanes_up[lane_index(lane)] = true;
                if !heard && self.hears() {
                    self.app.health().broker.store(true, Relaxed);
                    turn.inputs.push(Input::BrokerUp);
                }
            }
            LinkEvent::Down(lane, reason, delivered) => {
                tracing::warn!(lane = lane.name(), reason, "not connected to the broker");
                let heard = self.hears();
                self.lanes_up[lane_index(lane)] = false;
                self.app.health().broker.store(false, Relaxed);
                if heard {
                    // What we might have heard until then, we did not: nobody is judged by it.
                    let deaf_ms = i64::try_from(delivered.elapsed().as_millis()).unwrap_or(i64::MAX);
                    turn.inputs.push(Input::BrokerDown { since: self.app.clock().now().plus_ms(-deaf_ms) });
                }
            }
        }
    }

    fn take_message(&self, turn: &mut Turn, received: &crate::mqtt::Received, room: Room) {
        match decode::read(received) {
            Ok(decode::Message::Heartbeat(kiosk, message)) => {
                turn.beats.push((Beat { kiosk, received_at: received.at, message }, room));
                if turn.beats.len() == BEATS_TOGETHER {
                    self.hear(turn);
                }
            }
            Ok(decode::Message::Input(input)) => {
                if let Input::Batch { batch, .. } = &input {
                    turn.records += batch.records.len();
                }
                self.hear(turn);
                turn.inputs.push(input);
                turn.rooms.push(room);
            }
            Err(unreadable) => {
                self.app.counters().message(unreadable.channel, unreadable.reason);
                let kiosk = unreadable.kiosk.as_ref().map(KioskId::as_str);
                let (reason, detail) = (unreadable.reason, unreadable.detail);
                tracing::debug!(kiosk, channel = unreadable.channel, reason, detail, "message dropped");
            }
        }
    }

    /// Notes the heartbeats that were gathered; those that change more than that are decided with the turn.
    fn hear(&self, turn: &mut Turn) {
        if turn.beats.is_empty() {
            return;
        }
        let (beats, rooms): (Vec<Beat>, Vec<Room>) = turn.beats.drain(..).unzip();
        let heard = self.app.fleet_mut().heard_together(&beats);
        self.app.counters().messages("heartbeat", "applied", beats.len() as u64);
        for ((beat, room), heard) in beats.into_iter().zip(rooms).zip(heard) {
            if heard.durable {
                let Beat { kiosk, received_at, message } = beat;
                turn.inputs.push(Input::Heartbeat { kiosk, received_at, message });
                turn.rooms.push(room);
            }
        }
    }
}

async fn next_beat(from_beats: &mut Outlet, not_before: Option<Instant>) -> Option<(LinkEvent, Room)> {
    if let Some(at) = not_before {
        sleep_until(at).await;
    }
    from_beats.recv().await
}

/// What waits may be of any time: nothing is said to have been heard.
fn flush_of(share: Share, heard_to: Option<Timestamp>) -> Input {
    Input::FlushLiveness { share, heard_to: heard_to.unwrap_or(Timestamp(i64::MIN)) }
}

const fn lane_index(lane: Lane) -> usize {
    match lane {
        Lane::Journal => 0,
        Lane::Beats => 1,
    }
}
