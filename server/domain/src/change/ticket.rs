//! Rows of tickets, of their history and of their service clocks.
use kioskwatch_proto::{
    KioskId, PeripheralName, SiteId, Timestamp,
    faults::{FaultClass, FaultCode},
    words::Severity,
};
use uuid::Uuid;

use super::Zone;

/// Where a ticket stands (chapter 3.5 of the service rules).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TicketState {
    New,
    Triaged,
    PendingBatch,
    Assigned,
    Contacted,
    Unreachable,
    Scheduled,
    EnRoute,
    OnSite,
    AccessDenied,
    Repairing,
    WaitingParts,
    WaitingCustomer,
    MultiVisit,
    ExternalRepair,
    Resolved,
    Closed,
    CalledBack,
    Cancelled,
    CancelledReassigned,
}

stored_words!(TicketState {
    New = "new", Triaged = "triaged", PendingBatch = "pending_batch", Assigned = "assigned",
    Contacted = "contacted", Unreachable = "unreachable", Scheduled = "scheduled", EnRoute = "en_route",
    OnSite = "on_site", AccessDenied = "access_denied", Repairing = "repairing",
    WaitingParts = "waiting_parts", WaitingCustomer = "waiting_customer", MultiVisit = "multi_visit",
    ExternalRepair = "external_repair", Resolved = "resolved", Closed = "closed",
    CalledBack = "called_back", Cancelled = "cancelled", CancelledReassigned = "cancelled_reassigned",
});

impl TicketState {
    /// `resolved` is open: it still waits for sign-off or quiet time.
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Closed | Self::CalledBack | Self::Cancelled | Self::CancelledReassigned)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TicketSource {
    Agent,
    Server,
    Call,
    Portal,
    Station,
    Inspection,
}

stored_words!(TicketSource {
    Agent = "agent", Server = "server", Call = "call", Portal = "portal", Station = "station",
    Inspection = "inspection",
});

/// Human work on incidents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketRow {
    pub id: Uuid,
    /// Short number for people, rising.
    pub number: u64,
    pub state: TicketState,
    pub kiosk: Option<KioskId>,
    pub site: Option<SiteId>,
    pub peripheral: Option<PeripheralName>,
    pub fault: FaultCode,
    pub class: FaultClass,
    /// Set by triage (SR-013), never copied from the fault: `Minor` = 普通, `Major` = 重大.
    pub severity: Severity,
    /// 1 highest … 4.
    pub priority: u8,
    pub source: TicketSource,
    pub zone: Zone,
    pub opened_at: Timestamp,
    /// T0: detected by the agent.
    pub t0: Option<Timestamp>,
    /// T1: the order reached the service organisation.
    pub t1: Timestamp,
    /// T5: restored.
    pub t5: Option<Timestamp>,
    /// T6: signed, or confirmed in another way.
    pub t6: Option<Timestamp>,
    /// T7: closed.
    pub t7: Option<Timestamp>,
    pub resolution: Option<String>,
    pub sign_off: Option<String>,
    pub cancel_reason: Option<String>,
    /// Every fault gone since; resolves by itself when it holds.
    pub recovering_since: Option<Timestamp>,
    /// The next instant the sweep must look at this ticket.
    pub due_at: Option<Timestamp>,
    pub parent: Option<Uuid>,
    pub assignee: Option<String>,
    pub reopened: u32,
    /// JSON text of what is not queried: plan, t2, t3, t4, t8, visits, parts.
    pub extra: String,
}

impl TicketRow {
    /// A new ticket of which nothing else is known: minor maintenance in town, told by the server itself.
    #[must_use]
    pub fn new(id: Uuid, number: u64, fault: FaultCode, opened_at: Timestamp) -> Self {
        Self {
            id,
            number,
            state: TicketState::New,
            kiosk: None,
            site: None,
            peripheral: None,
            fault,
            class: FaultClass::Maintenance,
            severity: Severity::Minor,
            priority: 3,
            source: TicketSource::Server,
            zone: Zone::Urban,
            opened_at,
            t0: None,
            t1: opened_at,
            t5: None,
            t6: None,
            t7: None,
            resolution: None,
            sign_off: None,
            cancel_reason: None,
            recovering_since: None,
            due_at: None,
            parent: None,
            assignee: None,
            reopened: 0,
            extra: "{}".to_owned(),
        }
    }
}

/// A line of a ticket's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketEventRow {
    pub ticket: Uuid,
    /// 1, 2, 3 … within the ticket.
    pub n: u32,
    pub at: Timestamp,
    pub actor: String,
    pub action: String,
    pub from: Option<TicketState>,
    pub to: TicketState,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClockState {
    Running,
    Paused,
    Met,
    Breached,
    Dropped,
}

stored_words!(ClockState {
    Running = "running", Paused = "paused", Met = "met", Breached = "breached", Dropped = "dropped",
});

/// A service clock of a ticket (chapter 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockRow {
    pub ticket: Uuid,
    /// solution, phone, contact, depart, arrive, repair, restore, total …
    pub name: String,
    pub state: ClockState,
    pub started_at: Timestamp,
    pub budget_s: u64,
    pub warn_at: Option<Timestamp>,
    pub due_at: Option<Timestamp>,
    pub remaining_s: Option<u64>,
    pub stopped_at: Option<Timestamp>,
    /// Seen by the sweep; a breach stays.
    pub breached_at: Option<Timestamp>,
}
