//! A change of priority or zone on the way (rulebook 4.2).
//!
//! The new budget counts from the original start with all pauses kept. So that nobody is late the moment
//! a ticket is raised there is a short grace, which never gives more time than the ticket had before.
//! A breach that has happened stays.

use super::clock::{Clock, SlaError};

/// Time left after a change at the least.
pub const GRACE_S: i64 = 30 * 60;

/// One change of budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriorityChange {
    pub at: i64,
    pub budget_s: i64,
    pub grace_s: i64,
}

/// The due time before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repriced {
    /// `None` while a pause is open.
    pub due_before: Option<i64>,
    pub due: Option<i64>,
    /// The clock had already run out when a change came.
    pub breached_before_change: bool,
    pub provisional: bool,
}

/// Applies changes, in order of time, to a clock that started with `budget_s`.
///
/// # Errors
/// As [`Clock::walk`].
pub fn reprice(
    clock: &Clock<'_>,
    start: i64,
    budget_s: i64,
    changes: &[PriorityChange],
) -> Result<Repriced, SlaError> {
    let first = clock.walk(start, budget_s)?;
    let mut out = Repriced {
        due_before: first.value,
        due: first.value,
        breached_before_change: false,
        provisional: first.provisional,
    };
    for change in changes {
        out.breached_before_change |= out.due.is_some_and(|due| due < change.at);
        if out.breached_before_change {
            continue;
        }
        let new = clock.walk(start, change.budget_s)?;
        let grace = clock.walk(change.at, change.grace_s)?;
        out.provisional |= new.provisional || grace.provisional;
        out.due = match (new.value, grace.value) {
            (Some(new), Some(grace)) if new < grace => Some(out.due.map_or(grace, |old| old.min(grace))),
            (new, _) => new,
        };
    }
    Ok(out)
}
