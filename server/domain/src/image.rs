//! What the store hands back at a start: the rows a fleet is rebuilt from.
use kioskwatch_proto::{SiteId, Timestamp};

use crate::change::{
    AssignmentRow, ClockRow, CommandRow, ExclusionRow, IncidentRow, JournalHeadRow, KioskRow, KioskStateRow,
    SiteRow, TicketRow,
};

/// Since when what was noted of a site's zone, hours and contract is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TermsNoted {
    pub first: Timestamp,
    pub newest: Timestamp,
}

/// Everything that can still change. Closed history stays in the store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FleetImage {
    pub sites: Vec<SiteRow>,
    /// Of sites of which it was noted.
    pub terms_noted: Vec<(SiteId, TermsNoted)>,
    pub kiosks: Vec<KioskRow>,
    pub assignments: Vec<AssignmentRow>,
    pub states: Vec<KioskStateRow>,
    pub heads: Vec<JournalHeadRow>,
    pub open_incidents: Vec<IncidentRow>,
    /// Open ones, and closed ones that may still come back: those with a `due_at`.
    pub tickets: Vec<TicketRow>,
    /// Last used history number of each of these tickets.
    pub ticket_events: Vec<(uuid::Uuid, u32)>,
    pub clocks: Vec<ClockRow>,
    /// Those in a state that is not final, and the expired and unknown ones of the last day: the agent's
    /// word may still correct them.
    pub open_commands: Vec<CommandRow>,
    /// Of the last two months and the future.
    pub exclusions: Vec<ExclusionRow>,
    pub last_ticket_number: u64,
    /// When this or another server was last known to receive.
    pub last_alive_at: Option<Timestamp>,
}

impl FleetImage {
    /// Adds what another part holds; the later part's single values win.
    pub fn append(&mut self, mut part: Self) {
        self.sites.append(&mut part.sites);
        self.terms_noted.append(&mut part.terms_noted);
        self.kiosks.append(&mut part.kiosks);
        self.assignments.append(&mut part.assignments);
        self.states.append(&mut part.states);
        self.heads.append(&mut part.heads);
        self.open_incidents.append(&mut part.open_incidents);
        self.tickets.append(&mut part.tickets);
        self.ticket_events.append(&mut part.ticket_events);
        self.clocks.append(&mut part.clocks);
        self.open_commands.append(&mut part.open_commands);
        self.exclusions.append(&mut part.exclusions);
        self.last_ticket_number = self.last_ticket_number.max(part.last_ticket_number);
        self.last_alive_at = self.last_alive_at.max(part.last_alive_at);
    }
}
