//! Clocks that run in service time: when something is due, and how much time has been used.
//!
//! - [`clock`]: running time, the walk from a start to a due instant, pauses
//! - [`change`]: a ticket that becomes more or less urgent on the way
//! - [`promise`]: appointments with the customer, and whose fault a later one is
//! - [`days`]: deadlines counted in whole days
//!
//! A due time is the first instant at which the budget is used up, and what happens at that instant is
//! still on time.

pub mod change;
pub mod clock;
pub mod days;
pub mod promise;

pub use change::{PriorityChange, Repriced, reprice};
pub use clock::{Clock, Hours, OfficeHours, Pause, Pauses, Reading, SlaError};
pub use days::{CustomerSearch, Notice, WorkingDays};
pub use promise::{Promise, PromiseReason, PromiseWrite, Refusal, arrival};

/// What a major fault adds to the arrival allowance until service must be restored (SR-011).
pub const RESTORE_AFTER_ARRIVAL_S: i64 = 10 * 3_600;

/// The longest a ticket may take in all (SR-012).
pub const TOTAL_S: i64 = 72 * 3_600;

/// The three deadlines of a major fault; each `None` while a pause is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MajorDeadlines {
    pub arrive_due: Option<i64>,
    /// Counted from the allowance, not from the actual arrival: who comes late gains no time (C06).
    pub restore_due: Option<i64>,
    pub total_due: Option<i64>,
    pub provisional: bool,
}

/// Arrival, restoration and total of a major fault reported at `start`.
///
/// # Errors
/// As [`Clock::walk`].
pub fn major(clock: &Clock<'_>, start: i64, arrive_budget_s: i64) -> Result<MajorDeadlines, SlaError> {
    let arrive = clock.walk(start, arrive_budget_s)?;
    let restore = clock.walk(start, arrive_budget_s.saturating_add(RESTORE_AFTER_ARRIVAL_S))?;
    let total = clock.walk(start, TOTAL_S)?;
    Ok(MajorDeadlines {
        arrive_due: arrive.value,
        restore_due: restore.value,
        total_due: total.value,
        provisional: arrive.provisional || restore.provisional || total.provisional,
    })
}

#[cfg(test)]
mod tests;
