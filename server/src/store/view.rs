//! What reads give beyond single rows, and what they can be asked for.
use kioskwatch_domain::change::{
    AuditRow, ClockRow, CommandEventRow, CommandRow, IncidentRow, KioskRow, KioskStateRow, PresenceVerdict,
    TicketEventRow, TicketRow, TicketState,
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};
use uuid::Uuid;

use super::Scope;

/// A kiosk as lists and pages show it.
#[derive(Debug, Clone, PartialEq)]
pub struct KioskView {
    pub kiosk: KioskRow,
    /// `None`: never heard of since it was registered.
    pub state: Option<KioskStateRow>,
    pub open_tickets: u64,
    /// Of the open ones: resolved, waiting to close.
    pub resolved_tickets: u64,
}

/// A kiosk as its figures are counted.
#[derive(Debug, Clone, PartialEq)]
pub struct KioskNow {
    pub kiosk: KioskRow,
    /// `None`: never heard of since it was registered; so the interval.
    pub presence: Option<PresenceVerdict>,
    pub interval_s: Option<u32>,
}

/// Everything empty: no restriction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KioskFilter {
    pub site: Option<SiteId>,
    pub presence: Option<PresenceVerdict>,
}

/// Everything empty: no restriction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TicketFilter {
    pub state: Option<TicketState>,
    pub kiosk: Option<KioskId>,
    pub site: Option<SiteId>,
    pub open: Option<bool>,
}

/// A ticket with all that hangs on it.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketView {
    pub ticket: TicketRow,
    /// In the order they happened.
    pub events: Vec<TicketEventRow>,
    pub clocks: Vec<ClockRow>,
    pub incidents: Vec<IncidentRow>,
    pub children: Vec<TicketRow>,
}

/// A command with its steps in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandView {
    pub command: CommandRow,
    pub events: Vec<CommandEventRow>,
}

/// A line of the audit chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// 1, 2, 3 … without gaps.
    pub seq: u64,
    pub row: AuditRow,
    /// Hex of the previous entry's hash; 64 zeros before the first.
    pub prev_hash: String,
    /// Hex of SHA-256 over `prev_hash` and the entry.
    pub hash: String,
}

/// What a walk along the audit chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditVerdict {
    /// `entries` in an unbroken chain that ends with `hash`.
    Intact { entries: u64, hash: String },
    /// The first entry that does not follow from its predecessor.
    Broken { seq: u64, what: String },
}

/// An access token. The secret itself is never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    pub id: Uuid,
    pub name: String,
    /// viewer, dispatcher, engineer, manager, admin, customer.
    pub role: String,
    pub scope: Scope,
    /// call_centre, coordinator, station, region, head_office.
    pub desk: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// SHA-256 of a token's secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// The right to write for one part of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub partition: String,
    pub owner: Uuid,
    /// Rises with every change of owner; a commit under an older number is refused.
    pub fence: u64,
    pub until: Timestamp,
}
