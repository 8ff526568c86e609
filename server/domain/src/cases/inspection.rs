//! Cases of the inspection calendar.

use chrono_tz::Tz;
use serde_json::Value;

use super::Fields;
use super::output::{fields, instant};
use crate::calendar::{MissingYears, WorkCalendar};
use crate::inspection::{Facts, Period, Plan, Planner, Policy, outcome};
use crate::json::{Node, ReadError as CaseError};

/// Policy and working days all cases of a file share.
pub(super) struct Header {
    zone: Tz,
    calendar: WorkCalendar,
    policy: Policy,
}

impl Header {
    pub(super) fn read(file: &Node<'_>) -> Result<Self, CaseError> {
        // A year without data follows the week here, and its answers are provisional.
        let (zone, calendar) = file.need("calendar_data")?.calendar(MissingYears::FollowTheWeek)?;
        let policy = file
            .get("policy_defaults")
            .map_or(Ok(Policy::default()), |node| override_policy(&node, Policy::default()))?;
        Ok(Self { zone, calendar, policy })
    }

    pub(super) fn evaluate(&self, case: &Node<'_>) -> Result<Fields, CaseError> {
        let kind = case.need("kind")?;
        let policy =
            case.get("policy").map_or(Ok(self.policy), |node| override_policy(&node, self.policy))?;
        let planner = Planner { policy: &policy, zone: self.zone, calendar: &self.calendar };
        match kind.text()? {
            "phone" | "onsite" => self.campaign(&planner, case),
            "stats" => stats(&planner, case),
            "monthly_stats" => monthly_stats(&planner, case),
            "archive" => archive(&planner, case),
            "contract_end" => contract_end(&planner, case),
            "outcome" => self.outcome(case),
            other => Err(kind.error(format!("\"{other}\" is no kind of inspection case"))),
        }
    }

    fn campaign(&self, planner: &Planner<'_>, case: &Node<'_>) -> Result<Fields, CaseError> {
        let plan = plan(planner, case)?;
        let mut out = plan_fields(self.zone, &plan);
        if case.get("campaign_ended").is_some() {
            out.extend(stats(planner, case)?);
        }
        Ok(out)
    }

    fn outcome(&self, case: &Node<'_>) -> Result<Fields, CaseError> {
        let base = case.need("base")?;
        let policy =
            base.get("policy").map_or(Ok(self.policy), |node| override_policy(&node, self.policy))?;
        let planner = Planner { policy: &policy, zone: self.zone, calendar: &self.calendar };
        let at = |key: &str| case.maybe(key, |node| node.instant(self.zone));
        let facts = Facts {
            commissioned_at: at("commissioned_at")?,
            decommissioned_at: at("decommissioned_at")?,
            done_at: at("done_at")?,
            report_at: at("report_at")?,
        };
        let now = case.need("now")?.instant(self.zone)?;
        let states = outcome(&plan(&planner, &base)?, &facts, now);
        let mut out = self.campaign(&planner, &base)?;
        out.insert("inspection".to_owned(), Value::from(states.inspection.as_str()));
        if let Some(report) = states.report {
            out.insert("report".to_owned(), Value::from(report.as_str()));
        }
        Ok(out)
    }
}

fn plan(planner: &Planner<'_>, case: &Node<'_>) -> Result<Plan, CaseError> {
    let year_node = case.need("year")?;
    let year = i32::try_from(year_node.int()?).map_err(|_| year_node.error("is no year"))?;
    let kind = case.need("kind")?;
    let period = match kind.text()? {
        "phone" => Period::Month { year, month: case.need("month")?.count()? },
        "onsite" => Period::Quarter { year, quarter: case.need("quarter")?.count()? },
        other => return Err(kind.error(format!("\"{other}\" is neither \"phone\" nor \"onsite\""))),
    };
    planner.plan(period).map_err(|error| case.error(error.to_string()))
}

fn plan_fields(zone: Tz, plan: &Plan) -> Fields {
    fields(
        [
            ("period_from", instant(zone, plan.period_from)),
            ("period_to", instant(zone, plan.period_to)),
            ("window_from", instant(zone, plan.window_from)),
            ("window_to", instant(zone, plan.window_to)),
            ("latest_start", instant(zone, plan.latest_start)),
            ("report_due_strict", instant(zone, plan.report_due_strict)),
            ("report_due_lenient", instant(zone, plan.report_due_lenient)),
            ("remind_at", instant(zone, plan.remind_at)),
        ],
        plan.provisional,
    )
}

fn stats(planner: &Planner<'_>, case: &Node<'_>) -> Result<Fields, CaseError> {
    let ended = case.need("campaign_ended")?;
    let due = planner.campaign_stats(ended.date()?).map_err(|error| ended.error(error.to_string()))?;
    Ok(fields([("stats_due", instant(planner.zone, due.at))], due.provisional))
}

fn year_and_month(case: &Node<'_>) -> Result<(i32, u32), CaseError> {
    let year = case.need("year")?;
    let number = i32::try_from(year.int()?).map_err(|_| year.error("is no year"))?;
    Ok((number, case.need("month")?.count()?))
}

fn monthly_stats(planner: &Planner<'_>, case: &Node<'_>) -> Result<Fields, CaseError> {
    let (year, month) = year_and_month(case)?;
    let due = planner.monthly_stats(year, month).map_err(|error| case.error(error.to_string()))?;
    let at = |t: i64| instant(planner.zone, t);
    Ok(fields(
        [
            ("to_enterprise_dept_due_strict", at(due.to_enterprise_dept_due_strict)),
            ("to_enterprise_dept_due_lenient", at(due.to_enterprise_dept_due_lenient)),
            ("to_managers_due_strict", at(due.to_managers_due_strict)),
            ("to_managers_due_lenient", at(due.to_managers_due_lenient)),
            ("remind_at", at(due.remind_at)),
        ],
        due.provisional,
    ))
}

fn archive(planner: &Planner<'_>, case: &Node<'_>) -> Result<Fields, CaseError> {
    let (year, month) = year_and_month(case)?;
    let due = planner.archive(year, month).map_err(|error| case.error(error.to_string()))?;
    let at = |t: i64| instant(planner.zone, t);
    let mut out = fields(
        [
            ("electronic_filed_by", at(due.electronic_filed_by)),
            ("letters_of_month_filed_by", at(due.letters_of_month_filed_by)),
        ],
        due.provisional,
    );
    let rare = [("paper_bound_by", due.paper_bound_by), ("year_volume_bound_by", due.year_volume_bound_by)];
    for (key, t) in rare {
        if let Some(t) = t {
            out.insert(key.to_owned(), at(t));
        }
    }
    Ok(out)
}

fn contract_end(planner: &Planner<'_>, case: &Node<'_>) -> Result<Fields, CaseError> {
    let window = planner.overhaul(case.need("contract_end")?.date()?);
    let at = |t: i64| instant(planner.zone, t);
    Ok(fields([("window_from", at(window.window_from)), ("window_to", at(window.window_to))], false))
}

fn override_policy(node: &Node<'_>, mut policy: Policy) -> Result<Policy, CaseError> {
    for (key, value) in node.entries()? {
        let field = match key {
            "phone_start_day" => &mut policy.phone_start_day,
            "phone_days" => &mut policy.phone_days,
            "phone_report_day" => &mut policy.phone_report_day,
            "onsite_start_month_of_quarter" => &mut policy.onsite_start_month_of_quarter,
            "onsite_start_day" => &mut policy.onsite_start_day,
            "onsite_days" => &mut policy.onsite_days,
            "onsite_report_day" => &mut policy.onsite_report_day,
            "stats_workdays" => &mut policy.stats_workdays,
            "monthly_stats_day" => &mut policy.monthly_stats_day,
            "monthly_project_day" => &mut policy.monthly_project_day,
            _ => return Err(value.error("is no key of the policy")),
        };
        *field = value.count()?;
    }
    policy.validate().map_err(|error| node.error(error.to_string()))?;
    Ok(policy)
}
