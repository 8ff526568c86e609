//! Why a command is refused. Each has a stable word, and nothing was done.
use kioskwatch_proto::command::EnvelopeError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    UnknownKey,
    BadSignature,
    /// Verified, but no command we can read, or of another version.
    Malformed,
    OtherKiosk,
    /// The counter is not above the stored one: old, or replayed.
    CounterNotAbove,
    TooEarly,
    TooLate,
    /// An action that moves or stops something may not be valid for so long.
    WindowTooLong,
    UnknownAction,
    /// Known, and not built into this agent.
    UnsupportedAction,
    BadArguments,
    UnknownPeripheral,
    /// The peripheral's mode lets the agent send it nothing, or it turned out not to be ours.
    NotOurs,
    /// The device or its driver has no such work.
    UnsupportedByDevice,
    /// As many commands as may wait are waiting.
    QueueFull,
    /// As many command ids as are kept are kept.
    MemoryFull,
    /// It may be one whose id was lost with the journal.
    MemoryLost,
    /// The disk has no room to remember it.
    DiskFull,
}

impl Refusal {
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::Malformed => "malformed",
            Self::OtherKiosk => "other_kiosk",
            Self::CounterNotAbove => "counter_not_above",
            Self::TooEarly => "too_early",
            Self::TooLate => "too_late",
            Self::WindowTooLong => "window_too_long",
            Self::UnknownAction => "unknown_action",
            Self::UnsupportedAction => "unsupported_action",
            Self::BadArguments => "bad_arguments",
            Self::UnknownPeripheral => "unknown_peripheral",
            Self::NotOurs => "not_ours",
            Self::UnsupportedByDevice => "unsupported_by_device",
            Self::QueueFull => "queue_full",
            Self::MemoryFull => "memory_full",
            Self::MemoryLost => "memory_lost",
            Self::DiskFull => "disk_full",
        }
    }
}

impl From<EnvelopeError> for Refusal {
    fn from(error: EnvelopeError) -> Self {
        match error {
            EnvelopeError::UnknownKey => Self::UnknownKey,
            EnvelopeError::BadSignature => Self::BadSignature,
            EnvelopeError::Malformed | EnvelopeError::Version => Self::Malformed,
        }
    }
}
