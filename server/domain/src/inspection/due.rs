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
    Campaigns::at(planner, now).map(|campaigns| campaigns.due(kiosk))
}

/// What is planned at an instant: the same for all kiosks of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaigns {
    now: i64,
    /// Of each kind the previous period's and the running one's.
    plans: Vec<(Option<Plan>, Plan)>,
}

impl Campaigns {
    /// # Errors
    /// The working days of a period are not known.
    pub fn at(planner: &Planner<'_>, now: i64) -> Result<Self, PlanError> {
        let today = wall::date_of(planner.zone, now);
        let both = |kind: Kind| {
            let running = kind.period_of(today);
            let previous = running.previous().map(|period| planner.plan(period)).transpose()?;
            Ok((previous, planner.plan(running)?))
        };
        let plans = Kind::ALL.into_iter().map(both).collect::<Result<_, PlanError>>()?;
        Ok(Self { now, plans })
    }

    /// As [`due_list`].
    #[must_use]
    pub fn due(&self, kiosk: &KioskInService<'_>) -> Vec<Due> {
        let mut out = Vec::with_capacity(4);
        for (previous, running) in &self.plans {
            let before = previous.map(|plan| one(plan, kiosk, self.now));
            out.extend(before.filter(|due| {
                let missed = due.outcome.inspection == InspectionState::Missed;
                let owed = matches!(due.outcome.report, Some(ReportState::Open | ReportState::Overdue));
                owed || (missed && self.now < due.plan.report_due_lenient)
            }));
            out.push(one(*running, kiosk, self.now));
        }
        out
    }
}

fn one(plan: Plan, kiosk: &KioskInService<'_>, now: i64) -> Due {
    let period = plan.period;
    let done = kiosk.done.iter().filter(|done| done.period == period).min_by_key(|done| done.done_at);
    let facts = Facts {
        commissioned_at: kiosk.commissioned_at,
        decommissioned_at: kiosk.decommissioned_at,
        done_at: done.map(|done| done.done_at),
        report_at: done.and_then(|done| done.report_at),
    };
    Due { kind: period.kind(), plan, outcome: outcome(&plan, &facts, now) }
}
