//! What became of an inspection and of its report (rulebook chapter 6, both state tables).

use super::plan::Plan;
use crate::fleet::count_words as words;

/// What happened, as far as it did. Instants are seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    pub commissioned_at: Option<i64>,
    pub decommissioned_at: Option<i64>,
    pub done_at: Option<i64>,
    pub report_at: Option<i64>,
}

words!(
    /// The state of one kiosk's inspection.
    InspectionState {
        Planned = "planned",
        Open = "open",
        Overdue = "overdue",
        OnTime = "on_time",
        Late = "late",
        Missed = "missed",
        Waived = "waived",
        NotDue = "not_due",
    }
);

impl InspectionState {
    /// Whether it was done within its period, so that a report is owed.
    #[must_use]
    pub const fn is_done(self) -> bool {
        matches!(self, Self::OnTime | Self::Late)
    }
}

words!(
    /// The state of the report of a done inspection.
    ReportState {
        Open = "open",
        OnTime = "on_time",
        /// Submitted between the strict and the lenient reading of "before day X".
        Disputed = "disputed",
        Late = "late",
        Overdue = "overdue",
    }
);

impl ReportState {
    #[must_use]
    pub const fn is_submitted(self) -> bool {
        matches!(self, Self::OnTime | Self::Disputed | Self::Late)
    }
}

/// Both states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    pub inspection: InspectionState,
    /// Only a done inspection has a report.
    pub report: Option<ReportState>,
}

/// The states at `now`.
#[must_use]
pub fn outcome(plan: &Plan, facts: &Facts, now: i64) -> Outcome {
    let mut facts = *facts;
    if facts.done_at.is_some_and(|done| done < plan.period_from) {
        // Both belong to an earlier period.
        (facts.done_at, facts.report_at) = (None, None);
    }
    let inspection = inspection_state(plan, &facts, now);
    let report = inspection.is_done().then(|| report_state(plan, facts.report_at, now));
    Outcome { inspection, report }
}

fn inspection_state(plan: &Plan, facts: &Facts, now: i64) -> InspectionState {
    let gone_by = |t: i64| facts.decommissioned_at.is_some_and(|gone| gone <= t);
    if facts.commissioned_at.is_some_and(|new| new >= plan.window_from) {
        return InspectionState::NotDue;
    }
    match facts.done_at.filter(|done| !gone_by(*done)) {
        Some(done) if done < plan.window_to => InspectionState::OnTime,
        Some(done) if done < plan.period_to => InspectionState::Late,
        Some(_) => InspectionState::Missed,
        None if gone_by(plan.window_to - 1) => InspectionState::Waived,
        None if now < plan.window_from => InspectionState::Planned,
        None if now < plan.window_to => InspectionState::Open,
        None if now < plan.period_to => InspectionState::Overdue,
        None => InspectionState::Missed,
    }
}

fn report_state(plan: &Plan, report_at: Option<i64>, now: i64) -> ReportState {
    match report_at {
        Some(report) if report < plan.report_due_strict => ReportState::OnTime,
        Some(report) if report < plan.report_due_lenient => ReportState::Disputed,
        Some(_) => ReportState::Late,
        None if now < plan.report_due_strict => ReportState::Open,
        None => ReportState::Overdue,
    }
}
