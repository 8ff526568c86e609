//! The journal's way to the server: what is sent when, and what an acknowledgement means.
//!
//! Knows: numbers, digests and times. Must not know: MQTT, records' contents, where they are stored.
//! The shell feeds it and does what comes out; after a [`DeliveryOutput::Send`] it reports
//! [`DeliveryInput::Sent`] in the same turn.
use kioskwatch_proto::{
    SessionId,
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
    /// A new epoch was asked for and has not begun.
    EpochPending,
}

/// See the module.
#[derive(Debug)]
pub struct Delivery {
    config: DeliveryConfig,
}

impl Delivery {
    pub fn new(config: DeliveryConfig) -> Self {
        Self { config }
    }

    /// Takes one input and appends what follows from it to `out`.
    pub fn step(
        &mut self,
        _turn: Turn,
        _input: DeliveryInput,
        _journal: &impl JournalView,
        _out: &mut Vec<DeliveryOutput>,
    ) {
        let _ = self.config;
    }

    /// When [`DeliveryInput::Wake`] is due; `None` while only an input can change something.
    pub fn next_wake(&self) -> Option<Mono> {
        None
    }
}
