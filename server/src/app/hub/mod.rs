//! The one writer: takes what happened, plans, commits, adopts, tells. In that order, always.
//!
//! Here is the loop; `turn` takes what waits, `commit` makes a turn true, `tell` says afterwards what became of it.
mod commit;
mod lookup;
mod shares;
mod tell;
#[cfg(test)]
mod tests;
mod tries;
mod turn;

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use kioskwatch_domain::{
    fleet::{Input, Share},
    ids::Ids,
};
use kioskwatch_proto::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, Interval, sleep_until},
};
use uuid::Uuid;

pub(super) use self::commit::chain;
use self::{
    shares::{FLUSH_TICKS, Intake, Shares},
    turn::Turn,
};
use super::{App, Asked, Flood, RequestReceiver};
use crate::{
    clock::Stopwatch,
    mqtt::{Link, LinkEvent, Outlet, Room},
    store::StoreError,
};

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
    /// When no heartbeat waited to be read: for noticing our own deafness.
    beats_read: Stopwatch,
    /// The same by the clock: nobody is judged by silence after it.
    read_to: Timestamp,
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
    #[cfg(test)]
    defect: Option<tests::Defect>,
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

impl Hub {
    pub fn new(
        app: App,
        requests: RequestReceiver,
        (journal_link, from_journal): (Link, Outlet),
        (beats_link, from_beats): (Link, Outlet),
    ) -> Self {
        let ids = Ids::seeded(u128::from_le_bytes(crate::random::bytes()));
        let read_to = app.clock().now();
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
            beats_read: Stopwatch::start(),
            read_to,
            deaf_after: DEAF_AFTER,
            flush_every: FLUSH_EVERY,
            stop: watch::channel(false).1,
            given_up: false,
            flush_failed: false,
            #[cfg(test)]
            defect: None,
        }
    }

    /// The first turn: nobody is judged by what was known before, and no page shows it as if it were now.
    pub async fn begin(&mut self, options: &HubOptions, stop: watch::Receiver<bool>) -> Result<(), HubError> {
        self.stop = stop;
        self.flush_every = options.flush_every;
        let start = Input::ServerStarted { server: options.server, last_alive_at: options.last_alive_at };
        self.decide(Turn::of([start])).await?;
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
            self.decide(Turn::of([Input::Sweep])).await?;
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

        self.beats_read = Stopwatch::start();
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
                    self.look_at_floods(&mut turn, Instant::now());
                    // However long the decision takes, or the one that comes before it.
                    turn.inputs.extend([Input::Read { to: self.read_to }, Input::Sweep]);
                }
                Wake::Flush => {
                    let kiosks = self.app.fleet().kiosks().len();
                    if let Some(share) = shares.due(kiosks) {
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
            let taken_to = self.taken_to();
            let sweeps = turn.inputs.iter().any(|input| matches!(input, Input::Sweep));
            let watch = Stopwatch::start();
            self.decide(turn).await?;
            if let Some(before) = taken_to.filter(|_| !self.given_up) {
                self.app.books().decided(before);
            }
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
            self.decide(Turn::of([flush])).await?;
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

    /// Whose messages were too many since the last look, and of whom none was for a while.
    fn look_at_floods(&self, turn: &mut Turn, now: Instant) {
        let at = self.app.clock().now();
        let mut floods = self.app.floods();
        for link in [&self.journal_link, &self.beats_link] {
            for (kiosk, dropped) in link.counters().take_flooding() {
                if floods.note(&kiosk, dropped, now, at) {
                    tracing::warn!(%kiosk, "a kiosk sends too much; dropping what is");
                    turn.inputs.push(Input::Flood { kiosk });
                }
            }
        }
        for (kiosk, flood) in floods.ended(now) {
            let Flood { since, until, dropped } = flood;
            tracing::info!(%kiosk, dropped, "a kiosk that sent too much keeps to what it may send again");
            turn.inputs.push(Input::FloodEnded { kiosk, since, until, dropped });
        }
    }

    /// Before anything is judged or claimed to be heard: silence that is our own, and a clock that shows another time.
    fn notice_deafness(&mut self, turn: &mut Turn) {
        let deaf_for = self.beats_read.elapsed();
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
        // Else it goes on until none waits any more: what found no room meanwhile was lost.
        if was_deaf || !self.hears() {
            self.beats_read = Stopwatch::start();
        }
    }

    /// Everything that was sent to us before this has been taken. `None`: something waits.
    fn heard_to(&self) -> Option<Timestamp> {
        let proven_to = || self.journal_link.proven_to().min(self.beats_link.proven_to());
        self.taken_to().map(|taken_to| taken_to.min(proven_to()))
    }

    /// Everything that we received before this has been taken. `None`: something waits.
    fn taken_to(&self) -> Option<Timestamp> {
        self.has_taken_all().then(|| self.app.clock().now().plus_ms(-ON_ITS_WAY_MS))
    }

    fn hears(&self) -> bool {
        self.lanes_up == [true; 2]
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
