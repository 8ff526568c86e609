//! Evidence apart by when its spans began, on a database that keeps such parts as tables: months of UTC, and one part of
//! everything before the first of them.
use chrono_tz::UTC;
use kioskwatch_proto::Timestamp;

use crate::uptime::Month;

/// So many months are ready before they begin: a database that refuses one has as long to be mended.
const MONTHS_AHEAD: usize = 3;

/// Evidence that began in `from..to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidencePart {
    /// Its table.
    pub table: String,
    pub from: Timestamp,
    pub to: Timestamp,
}

impl EvidencePart {
    /// Where the part of everything before the first month begins.
    pub const BEGINNING: Timestamp = Timestamp(i64::MIN);

    fn of(month: Month) -> Self {
        let period = month.period(UTC);
        let table = format!("evidence_{:04}_{:02}", month.year(), month.month());
        Self { table, from: Timestamp(period.from * 1_000), to: Timestamp(period.to * 1_000) }
    }

    /// What is still to be made, of this month and the next ones, beside those that are there.
    #[must_use]
    pub fn missing(there: &[Self], now: Timestamp) -> Vec<Self> {
        let months = std::iter::successors(Some(Month::at(UTC, now.secs())), |month| Some(month.next()));
        let wanted = months.take(1 + MONTHS_AHEAD).map(Self::of);
        wanted.filter(|part| !there.iter().any(|one| one.overlaps(part))).collect()
    }

    /// Whether nothing that begins in it is young enough to be kept. Rows that ended before this instant may go.
    #[must_use]
    pub fn is_over(&self, before: Timestamp) -> bool {
        self.to <= before
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.from < other.to && other.from < self.to
    }
}

#[cfg(test)]
mod tests;
