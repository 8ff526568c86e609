//! What one kiosk owes at an instant.

use super::outcome::{Facts, InspectionState, Outcome, ReportState, outcome};
use super::plan::{Kind, Period, Plan, PlanError, Planner};
use crate::wall;

/// An inspection that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    pub period: Period,
    pub done_at: i64,
    pub report_at: Option<i64>,
}

/// A kiosk as inspections see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KioskInService<'a> {
    pub commissioned_at: Option<i64>,
    pub decommissioned_at: Option<i64>,
    /// What was done, in any order; only the entries of the periods in question matter.
    pub done: &'a [Done],
}

/// One inspection of a kiosk, with its dates and states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    pub kind: Kind,
    pub plan: Plan,
    pub outcome: Outcome,
}

impl Due {
    /// Whether somebody still has to do something about it.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        use InspectionState::{Open, Overdue, Planned};
        matches!(self.outcome.inspection, Planned | Open | Overdue)
            || self.outcome.report.is_some_and(|report| !report.is_submitted())
    }
}

/// The inspections of a kiosk at `now`: of each kind the running period and, before it, the previous one
/// while its report is not in, or while a missed inspection still has to be answered for.
///
/// # Errors
/// The working days of a period are not known.
pub fn due_list(planner: &Planner<'_>, kiosk: &KioskInService<'_>, now: i64) -> Result<Vec<Due>, PlanError> {
    let today = wall::date_of(planner.zone, now);
    let mut out = Vec::with_capacity(4);
    for kind in Kind::ALL {
        let running = kind.period_of(today);
        if let Some(previous) = running.previous() {
            let due = one(planner, kiosk, previous, now)?;
            let missed = due.outcome.inspection == InspectionState::Missed;
            let owed = matches!(due.outcome.report, Some(ReportState::Open | ReportState::Overdue));
            if owed || (missed && now < due.plan.report_due_lenient) {
                out.push(due);
            }
        }
        out.push(one(planner, kiosk, running, now)?);
    }
    Ok(out)
}

fn one(
    planner: &Planner<'_>,
    kiosk: &KioskInService<'_>,
    period: Period,
    now: i64,
) -> Result<Due, PlanError> {
    let plan = planner.plan(period)?;
    let done = kiosk.done.iter().filter(|done| done.period == period).min_by_key(|done| done.done_at);
    let facts = Facts {
        commissioned_at: kiosk.commissioned_at,
        decommissioned_at: kiosk.decommissioned_at,
        done_at: done.map(|done| done.done_at),
        report_at: done.and_then(|done| done.report_at),
    };
    Ok(Due { kind: period.kind(), plan, outcome: outcome(&plan, &facts, now) })
}
