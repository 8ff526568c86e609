//! Words for what happened, counted per plan; the shell turns them into metrics.
use crate::{
    change::TicketSource,
    triage::{HoldReason, SuppressReason},
};

/// One kind of outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Count {
    Message(MessageOutcome),
    Record(RecordFate),
    /// Triage decided not to act.
    Suppressed(SuppressReason),
    /// Triage decided to wait.
    Held(HoldReason),
    TicketOpened(TicketSource),
    TicketReopened,
    TicketResolved,
    ClockBreached(ClockName),
    Security(SecurityEvent),
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }
        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The label of the metric.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}
pub(crate) use words;

words!(
    /// What became of a message.
    MessageOutcome {
        Applied = "applied",
        /// The id is not registered and policy refuses it.
        Refused = "refused",
        /// Waits for approval, or the kiosk is retired.
        NotAdmitted = "not_admitted",
        /// A last will of a session that is not the current one.
        StaleWill = "stale_will",
        /// A heartbeat of a connection whose successor was heard first.
        Overtaken = "overtaken",
        /// Nobody can tell how far the journal is applied: it waits.
        JournalUnreadable = "journal_unreadable",
        /// A progress line of a command nobody knows.
        UnknownCommand = "unknown_command",
        /// More progress of one command than is kept.
        TooMuchProgress = "too_much_progress",
    }
);

words!(
    /// What became of a journal record.
    RecordFate {
        Applied = "applied",
        /// Only evidence: its epoch is no longer the current one.
        Historic = "historic",
        Repeat = "repeat",
        /// Already applied under its old number, before the epoch changed.
        RepeatOfOldEpoch = "repeat_of_old_epoch",
        /// After a number that is missing; the agent sends it again.
        AfterGap = "after_gap",
        /// It, or one before it, has other content than what is applied under its number.
        Forked = "forked",
        Quarantined = "quarantined",
        /// Without a readable number.
        Unreadable = "unreadable",
        /// Numbers that will never come.
        Lost = "lost",
        /// Numbers evicted by the agent's size cap.
        Dropped = "dropped",
        /// A time too far in the future, placed at its receipt.
        ClockAhead = "clock_ahead",
        UnknownKind = "unknown_kind",
        /// More open problems of one kiosk than are kept; the record itself is.
        TooManyFaults = "too_many_faults",
        /// More peripherals than the wire allows.
        TooManyPeripherals = "too_many_peripherals",
    }
);

words!(
    /// What a security officer wants to know.
    SecurityEvent {
        /// An applied number came with other content.
        JournalFork = "journal_fork",
        /// Two agents speak with one id.
        TwoAgents = "two_agents",
        TooManyEpochs = "too_many_epochs",
        /// A kiosk sends more than it may.
        Flood = "flood",
    }
);

words!(
    /// The service clocks by which breaches are counted (chapter 4.2 of the service rules).
    ClockName {
        Solution = "solution",
        Phone = "phone",
        Contact = "contact",
        Depart = "depart",
        Arrive = "arrive",
        Repair = "repair",
        Restore = "restore",
        Total = "total",
        WriteOff = "write_off",
        Reply = "reply",
        Decision = "decision",
        RegionNote = "region_note",
        Escalate = "escalate",
        ComplaintAck = "complaint_ack",
        ComplaintClose = "complaint_close",
        /// A stored name we do not know.
        Other = "other",
    }
);

impl ClockName {
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self::ALL.iter().copied().find(|known| known.as_str() == name).unwrap_or(Self::Other)
    }
}

impl Count {
    /// (metric group, label), stable.
    #[must_use]
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Message(outcome) => ("message", outcome.as_str()),
            Self::Record(fate) => ("record", fate.as_str()),
            Self::Suppressed(reason) => ("suppressed", reason.as_str()),
            Self::Held(reason) => ("held", reason.as_str()),
            Self::TicketOpened(source) => ("ticket_opened", source.as_str()),
            Self::TicketReopened => ("ticket_reopened", "reopened"),
            Self::TicketResolved => ("ticket_resolved", "resolved"),
            Self::ClockBreached(clock) => ("clock_breached", clock.as_str()),
            Self::Security(event) => ("security", event.as_str()),
        }
    }
}
