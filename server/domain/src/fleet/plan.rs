//! What a plan holds: the changes to commit, and what may be done once they are.
use std::collections::BTreeMap;

use kioskwatch_proto::{CommandId, KioskId, SiteId, command::Command, journal::Ack};
use uuid::Uuid;

use super::{count::Count, draft::Overlay};
use crate::change::Change;

/// A decision that is not true yet: commit [`Plan::changes`] in one transaction, then adopt it.
/// Dropping a plan leaves the fleet as it was.
#[must_use = "commit its changes and adopt it, or drop it on purpose"]
#[derive(Debug)]
pub struct Plan {
    /// In an order that satisfies references between tables.
    pub changes: Vec<Change>,
    pub(super) committed: Committed,
    pub(super) overlay: Overlay,
}

impl Plan {
    /// Nothing to commit; adopting may still be needed (answers, counts, deadlines).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What will follow once the changes are committed and the plan is adopted.
    #[must_use]
    pub fn outcome(&self) -> &Committed {
        &self.committed
    }
}

/// What may be told and done after the commit; [`Fleet::adopt`](super::Fleet::adopt) hands it out.
#[derive(Debug, Default, PartialEq)]
pub struct Committed {
    /// At most one for each kiosk and epoch.
    pub acks: Vec<(KioskId, Ack)>,
    pub effects: Vec<Effect>,
    /// Position of the request in the plan's inputs, and its answer.
    pub replies: Vec<(usize, Result<Answer, Refusal>)>,
    /// What happened how often, for metrics and logs.
    pub counts: BTreeMap<Count, u64>,
}

/// What the shell does after the commit. A crash before only means "again" or "by the sweep".
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Sign it and publish it with an expiry at its `not_after`.
    Publish(Box<Command>),
    /// Tell the people whom routing rules name.
    Notify(Notice),
}

/// Something people want to hear of. Its key is stable: telling it twice is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub kind: NoticeKind,
    pub ticket: Option<Uuid>,
    pub kiosk: Option<KioskId>,
    pub site: Option<SiteId>,
    /// One English sentence.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NoticeKind {
    TicketOpened,
    TicketReopened,
    TicketResolved,
    TicketClosed,
    TicketCancelled,
    ClockWarning,
    ClockBreached,
    BatchDecision,
    Security,
}

impl NoticeKind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TicketOpened => "ticket_opened",
            Self::TicketReopened => "ticket_reopened",
            Self::TicketResolved => "ticket_resolved",
            Self::TicketClosed => "ticket_closed",
            Self::TicketCancelled => "ticket_cancelled",
            Self::ClockWarning => "clock_warning",
            Self::ClockBreached => "clock_breached",
            Self::BatchDecision => "batch_decision",
            Self::Security => "security",
        }
    }
}

/// What a granted request made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Done,
    Command(CommandId),
    Ticket(Uuid),
    Exclusion(Uuid),
}

/// Why a request was not granted. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {reason}")]
pub struct Refusal {
    pub kind: RefusalKind,
    /// Rule id (`SR-092`, `C35`, `D6`) or the name of the check.
    pub rule: &'static str,
    /// One English sentence for people.
    pub reason: String,
}

/// For the HTTP status: not found 404, not possible now 409, wrong input 422.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    NotFound,
    /// The rules forbid it in this state.
    Conflict,
    /// Not by this person.
    Forbidden,
    Invalid,
}
