//! The journal's way to the server: what is sent when, and what an acknowledgement means.
//!
//! Knows: numbers, digests and times. Must not know: MQTT, records' contents, where they are stored.
//! The shell feeds it and does what comes out; after a [`DeliveryOutput::Send`] it reports
//! [`DeliveryInput::Sent`] in the same turn.
use std::collections::VecDeque;

use kioskwatch_proto::{
    Epoch, SessionId,
    journal::{Ack, Rejected},
    limits::{MAX_IN_FLIGHT_RECORDS, MAX_PAYLOAD_BYTES, RESEND_PAUSE_MS, WAIT_FOR_ACK_MS},
};

use crate::{drivers::Mono, journal::JournalView};

/// Pace and patience. Defaults follow the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryConfig {
    /// Milliseconds to wait for the server's ack after connecting.
    pub wait_for_ack_ms: u64,
    /// Records sent and not acknowledged, at most.
    pub max_in_flight: u64,
    /// JSON bytes of the records of one message, at most.
    pub batch_bytes: usize,
    /// Milliseconds between two messages: a fleet that flushes must not starve its broker.
    pub batch_gap_ms: u64,
    /// Milliseconds between two resends.
    pub resend_pause_ms: u64,
    /// Milliseconds without progress until a resend; up to a third is added at random.
    pub resend_after_ms: u64,
    /// Milliseconds without any ack, though there is something to acknowledge, until the connection counts
    /// as wedged.
    pub stalled_after_ms: u64,
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self {
            wait_for_ack_ms: WAIT_FOR_ACK_MS,
            max_in_flight: MAX_IN_FLIGHT_RECORDS,
            // Room for the envelope around the records.
            batch_bytes: MAX_PAYLOAD_BYTES - 1024,
            batch_gap_ms: 250,
            resend_pause_ms: RESEND_PAUSE_MS,
            resend_after_ms: 15_000,
            stalled_after_ms: 5 * 60 * 1000,
        }
    }
}

/// Circumstances of one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    pub now: Mono,
    /// Any 32 random bits: spreads resends of a fleet.
    pub random: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryInput {
    Connected(SessionId),
    Disconnected,
    /// The journal's end moved.
    Appended,
    /// A message on `ack`.
    Ack(Ack),
    /// The answer to `Send`: the entries `from ..= through` went out as `records` records.
    Sent {
        through: u64,
        records: u64,
    },
    /// The message could not be handed over; it is tried again after a pause.
    NotSent,
    /// [`Delivery::next_wake`] has come, or later.
    Wake,
    /// The journal has begun a new epoch, as asked or by itself.
    EpochStarted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutput {
    /// Read entries from the one that covers `from`, at most so many and so large, and publish them as one
    /// message; then report `Sent`.
    Send { from: u64, max_records: u64, max_bytes: usize },
    /// Set the journal's acknowledged mark.
    Acked { upto: u64 },
    /// Start a new epoch: a snapshot first, then the entries from `resend_from` on.
    StartNewEpoch { reason: NewEpochReason, resend_from: u64 },
    /// Log and count: the server could not apply these; their numbers are used up.
    Rejected(Vec<Rejected>),
    /// Log and count.
    Ignored(IgnoredAck),
    /// The server went back behind the oldest record still held: what lies between is lost to it, so tell it
    /// the whole state anew ([`crate::input::Input::SnapshotWanted`]).
    SnapshotWanted,
    /// The client may be wedged: build a new one.
    Stalled,
}

/// Why our numbers mean something else to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewEpochReason {
    /// The server has more than we ever wrote: our disk is an older copy.
    UptoBeyondLast,
    /// The server has other content under our number: our disk is a copy, or another machine uses our id.
    DigestDiffers,
}

/// Why an ack changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IgnoredAck {
    /// It speaks of another journal.
    OtherEpoch,
}

/// Resends without any answer double their pause this many times: a server that must not acknowledge yet
/// (a kiosk nobody approved) is not flooded.
const MAX_BACKOFF_DOUBLINGS: u32 = 3;
/// A message that the shell never reported on counts as not sent after this long.
const REPORT_PATIENCE_MS: u64 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Down,
    /// Connected; the server's ack is awaited until then.
    Waiting {
        until: Mono,
    },
    /// The word did not come in time. One message asks for it: whether the server has our history is not known, and
    /// one that begins behind another history would be taken for the end of that.
    Asking,
    Flowing,
}

/// One message on its way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    through: u64,
    records: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Delivery {
    config: DeliveryConfig,
    link: Link,
    /// The journal these numbers belong to.
    epoch: Option<Epoch>,
    /// The server's last word in this epoch.
    upto: u64,
    /// What goes out next.
    next: u64,
    flights: VecDeque<Flight>,
    /// A `Send` the shell has not reported on, since then.
    unreported: Option<Mono>,
    /// A contradiction was found: nothing goes out before the new epoch.
    epoch_wanted: bool,
    batch_at: Mono,
    last_resend: Option<Mono>,
    resend_at: Option<Mono>,
    backoff: u32,
    stalled_at: Option<Mono>,
    wake: Option<Mono>,
}

impl Delivery {
    pub fn new(config: DeliveryConfig) -> Self {
        Self {
            config,
            link: Link::Down,
            epoch: None,
            upto: 0,
            next: 1,
            flights: VecDeque::new(),
            unreported: None,
            epoch_wanted: false,
            batch_at: 0,
            last_resend: None,
            resend_at: None,
            backoff: 0,
            stalled_at: None,
            wake: None,
        }
    }

    /// Takes one input and appends what follows from it to `out`.
    pub fn step(
        &mut self,
        turn: Turn,
        input: DeliveryInput,
        journal: &impl JournalView,
        out: &mut Vec<DeliveryOutput>,
    ) {
        self.follow_epoch(journal);
        match input {
            DeliveryInput::Connected(_) => self.connected(turn, journal),
            DeliveryInput::Disconnected => self.disconnected(),
            DeliveryInput::Ack(ack) => self.ack(turn, ack, journal, out),
            DeliveryInput::Sent { through, records } => self.sent(turn, through, records),
            DeliveryInput::NotSent => self.not_sent(turn.now),
            DeliveryInput::Appended | DeliveryInput::Wake | DeliveryInput::EpochStarted => {}
        }
        self.timers(turn, journal, out);
        self.pump(turn.now, journal, out);
        self.plan_wake(turn.now, journal);
    }

    /// When [`DeliveryInput::Wake`] is due; `None` while only an input can change something.
    pub fn next_wake(&self) -> Option<Mono> {
        self.wake
    }

    fn follow_epoch(&mut self, journal: &impl JournalView) {
        if self.epoch == Some(journal.epoch()) {
            return;
        }
        self.epoch = Some(journal.epoch());
        self.epoch_wanted = false;
        self.start_over(journal);
    }

    /// Begins behind what the journal knows to be acknowledged.
    fn start_over(&mut self, journal: &impl JournalView) {
        self.upto = journal.acked();
        self.next = self.upto + 1;
        self.flights.clear();
        self.unreported = None;
        self.resend_at = None;
        self.backoff = 0;
    }

    fn connected(&mut self, turn: Turn, journal: &impl JournalView) {
        self.start_over(journal);
        self.link = Link::Waiting { until: turn.now + self.config.wait_for_ack_ms };
        self.stalled_at = None;
    }

    fn disconnected(&mut self) {
        self.link = Link::Down;
        self.flights.clear();
        self.unreported = None;
        self.resend_at = None;
        self.stalled_at = None;
    }

    fn ack(&mut self, turn: Turn, ack: Ack, journal: &impl JournalView, out: &mut Vec<DeliveryOutput>) {
        if ack.epoch != journal.epoch() {
            out.push(DeliveryOutput::Ignored(IgnoredAck::OtherEpoch));
            return;
        }
        self.stalled_at = None;
        if let Some(reason) = contradiction(&ack, journal) {
            self.epoch_wanted = true;
            out.push(DeliveryOutput::StartNewEpoch { reason, resend_from: journal.acked() + 1 });
            return;
        }
        if !ack.rejected.is_empty() {
            out.push(DeliveryOutput::Rejected(ack.rejected));
        }
        if ack.upto != journal.acked() {
            out.push(DeliveryOutput::Acked { upto: ack.upto });
            if ack.upto < journal.acked() && ack.upto + 1 < journal.first() {
                out.push(DeliveryOutput::SnapshotWanted);
            }
        }
        let first_word = matches!(self.link, Link::Waiting { .. });
        if first_word || self.link == Link::Asking {
            self.link = Link::Flowing;
        }
        let before = std::mem::replace(&mut self.upto, ack.upto);
        if first_word {
            self.next = self.upto + 1;
        } else if self.upto > before {
            self.flights.retain(|f| f.through > ack.upto);
            self.next = self.next.max(self.upto + 1);
            self.backoff = 0;
            self.resend_at = (!self.flights.is_empty()).then(|| self.patience(turn));
        } else if self.upto < before || !self.flights.is_empty() {
            // The server was restored, or it saw a gap: from its word on, once more.
            let earliest = self.last_resend.map_or(turn.now, |last| last + self.config.resend_pause_ms);
            self.resend_at = Some(self.resend_at.map_or(earliest, |at| at.min(earliest)));
        }
    }

    fn sent(&mut self, turn: Turn, through: u64, records: u64) {
        if self.unreported.take().is_none() {
            return;
        }
        if through < self.next || records == 0 {
            self.batch_at = turn.now + self.config.resend_pause_ms;
            return;
        }
        self.next = through + 1;
        self.flights.push_back(Flight { through, records });
        self.batch_at = turn.now + self.config.batch_gap_ms;
        if self.resend_at.is_none() {
            self.resend_at = Some(self.patience(turn));
        }
    }

    fn not_sent(&mut self, now: Mono) {
        self.unreported = None;
        self.batch_at = now + self.config.resend_pause_ms;
    }

    /// When to lose patience with what is on its way.
    fn patience(&self, turn: Turn) -> Mono {
        let wait = self.config.resend_after_ms << self.backoff.min(MAX_BACKOFF_DOUBLINGS);
        turn.now + wait + u64::from(turn.random) % (self.config.resend_after_ms / 3).max(1)
    }

    fn timers(&mut self, turn: Turn, journal: &impl JournalView, out: &mut Vec<DeliveryOutput>) {
        if self.unreported.is_some_and(|since| turn.now >= since + REPORT_PATIENCE_MS) {
            self.not_sent(turn.now);
        }
        if matches!(self.link, Link::Waiting { until } if turn.now >= until) {
            self.link = Link::Asking;
        }
        if self.link == Link::Down {
            return;
        }
        if self.resend_at.is_some_and(|at| turn.now >= at) {
            self.flights.clear();
            self.unreported = None;
            self.next = self.upto + 1;
            self.last_resend = Some(turn.now);
            self.backoff += 1;
            self.resend_at = None;
            self.batch_at = self.batch_at.min(turn.now);
        }
        let pending = journal.last() > self.upto;
        match self.stalled_at {
            _ if !pending => self.stalled_at = None,
            None => self.stalled_at = Some(turn.now + self.config.stalled_after_ms),
            Some(at) if turn.now >= at => {
                out.push(DeliveryOutput::Stalled);
                self.stalled_at = Some(turn.now + self.config.stalled_after_ms);
            }
            Some(_) => {}
        }
    }

    fn room(&self) -> u64 {
        if self.link == Link::Asking && !self.flights.is_empty() {
            return 0;
        }
        let in_flight: u64 = self.flights.iter().map(|f| f.records).sum();
        self.config.max_in_flight.saturating_sub(in_flight)
    }

    /// Whether there is something to send that only time holds back.
    fn may_send(&self, journal: &impl JournalView) -> bool {
        matches!(self.link, Link::Asking | Link::Flowing)
            && !self.epoch_wanted
            && self.unreported.is_none()
            && self.room() > 0
            && self.next.max(journal.first()) <= journal.last()
    }

    fn pump(&mut self, now: Mono, journal: &impl JournalView, out: &mut Vec<DeliveryOutput>) {
        if !self.may_send(journal) || now < self.batch_at {
            return;
        }
        self.next = self.next.max(journal.first());
        self.unreported = Some(now);
        out.push(DeliveryOutput::Send {
            from: self.next,
            max_records: self.room(),
            max_bytes: self.config.batch_bytes,
        });
    }

    fn plan_wake(&mut self, now: Mono, journal: &impl JournalView) {
        let waiting = if let Link::Waiting { until } = self.link { Some(until) } else { None };
        let batch = self.may_send(journal).then_some(self.batch_at);
        let report = self.unreported.map(|since| since + REPORT_PATIENCE_MS);
        let resend = self.resend_at.filter(|_| self.link != Link::Down);
        self.wake = [waiting, batch, report, resend, self.stalled_at]
            .into_iter()
            .flatten()
            .min()
            .map(|at| at.max(now));
    }
}

/// What in the ack cannot be true of the journal we hold.
fn contradiction(ack: &Ack, journal: &impl JournalView) -> Option<NewEpochReason> {
    if ack.upto > journal.last() {
        return Some(NewEpochReason::UptoBeyondLast);
    }
    // Either side may not have the content any more: that contradicts nothing.
    match (journal.digest(ack.upto), ack.digest) {
        (Some(ours), Some(theirs)) if ours != theirs => Some(NewEpochReason::DigestDiffers),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
