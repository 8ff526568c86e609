//! What may be forgotten when: from now, from how long it is kept, and from what the books still need.
//!
//! Whole local months go, as figures are of whole months. Nothing goes that an unsigned month is still to be made
//! of, and nothing at all before the clock is believed.
use chrono_tz::Tz;
use kioskwatch_proto::Timestamp;

use crate::{
    change::LivenessRow,
    interval::Interval,
    uptime::{Month, rows::server_down},
    wall,
};

mod parts;

pub use parts::EvidencePart;

/// How long some server must have received within the last [`CLOCK_LOOKED_AT_S`] before anything goes: a clock that
/// jumped by years must not empty the database before somebody notices.
pub const CLOCK_BELIEVED_S: i64 = 2 * 86_400;
/// See [`CLOCK_BELIEVED_S`].
pub const CLOCK_LOOKED_AT_S: i64 = 31 * 86_400;

/// A kind of rows that goes by itself when its time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    Evidence,
    EvidenceGap,
    /// In the order of their numbers, so that what is gone of a journal is its beginning.
    JournalRecord,
    JournalGap,
    Transition,
    /// Finished, with its steps.
    Command,
    /// Closed, and never had a ticket.
    Incident,
    Liveness,
    Exclusion,
    /// Closed, with history, clocks and incidents.
    Ticket,
}

impl Kept {
    /// Those that are looked for kiosk by kiosk.
    pub const OF_A_KIOSK: [Self; 7] = [
        Self::Evidence,
        Self::EvidenceGap,
        Self::JournalRecord,
        Self::JournalGap,
        Self::Transition,
        Self::Command,
        Self::Incident,
    ];
    /// Those that are nobody's or many kiosks'.
    pub const OF_THE_FLEET: [Self; 2] = [Self::Liveness, Self::Exclusion];

    /// The table, which names them in logs and metrics.
    #[must_use]
    pub const fn table(self) -> &'static str {
        match self {
            Self::Evidence => "evidence",
            Self::EvidenceGap => "evidence_gap",
            Self::JournalRecord => "journal_record",
            Self::JournalGap => "journal_gap",
            Self::Transition => "transition",
            Self::Command => "command",
            Self::Incident => "incident",
            Self::Liveness => "liveness",
            Self::Exclusion => "exclusion",
            Self::Ticket => "ticket",
        }
    }
}

/// For how many whole months rows are kept, beside the month that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    evidence: u64,
    records: u64,
    tickets: u64,
}

impl Policy {
    /// What is referred to stays as long as what refers to it: evidence names its journal record, a command its
    /// ticket.
    #[must_use]
    pub const fn new(evidence: u64, records: u64, tickets: u64) -> Self {
        let records = if records < evidence { evidence } else { records };
        Self { evidence, records, tickets: if tickets < records { records } else { tickets } }
    }

    const fn months(self, kept: Kept) -> u64 {
        match kept {
            Kept::Evidence | Kept::EvidenceGap | Kept::Liveness | Kept::Exclusion => self.evidence,
            Kept::JournalRecord | Kept::JournalGap | Kept::Transition | Kept::Command => self.records,
            Kept::Incident | Kept::Ticket => self.tickets,
        }
    }

    /// Rows of before this instant may go. `unsigned`: the oldest month of those concerned that nobody signed.
    ///
    /// Earlier than the month begins by as much as wall clocks differ: the months of all sites are whole.
    #[must_use]
    pub fn before(self, kept: Kept, now: Timestamp, zone: Tz, unsigned: Option<Month>) -> Timestamp {
        let first = first_kept(self.months(kept), Month::at(zone, now.secs()));
        let first = unsigned.map_or(first, |unsigned| unsigned.min(first));
        Timestamp((first.period(zone).from - wall::MAX_OFFSET_S).saturating_mul(1_000))
    }
}

/// The first of so many whole months before the one that runs.
#[must_use]
pub fn first_kept(months: u64, running: Month) -> Month {
    (0..months).fold(running, |month, _| month.previous())
}

/// Whether servers have been receiving long enough by this clock. `alive`: when they did.
#[must_use]
pub fn is_clock_believed(alive: &[LivenessRow], now: Timestamp) -> bool {
    let lately = Interval::new(now.secs() - CLOCK_LOOKED_AT_S, now.secs());
    lately.length() - server_down(alive, lately).length() >= CLOCK_BELIEVED_S
}

#[cfg(test)]
mod tests;
