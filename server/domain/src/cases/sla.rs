//! Cases of the service-level clocks.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use serde_json::Value;

use super::Fields;
use super::output::{days, fields, instant, instant_or_null};
use crate::calendar::{MissingYears, WorkCalendar};
use crate::json::{Node, ReadError as CaseError};
use crate::sla::change::GRACE_S;
use crate::sla::days::{calendar_days, customer_search, notice_before, working_days};
use crate::sla::{
    Clock, Hours, OfficeHours, Pause, Pauses, PriorityChange, PromiseReason, PromiseWrite, arrival, major,
    reprice,
};

/// The calendar that is always open.
const ALWAYS: &str = "7x24";

/// Calendars all cases of a file share.
pub(super) struct Header {
    zone: Tz,
    calendar: WorkCalendar,
    office_hours: BTreeMap<String, OfficeHours>,
}

impl Header {
    pub(super) fn read(file: &Node<'_>) -> Result<Self, CaseError> {
        let (zone, calendar) = file.need("calendar_data")?.calendar(MissingYears::Refuse)?;
        let mut office_hours = BTreeMap::new();
        for (name, rows) in file.get("office_hours").map_or(Ok(Vec::new()), |all| all.entries())? {
            let windows = rows
                .items()?
                .iter()
                .map(|row| row.pair().and_then(|(opens, closes)| Ok((opens.int()?, closes.int()?))))
                .collect::<Result<Vec<_>, CaseError>>()?;
            let hours = OfficeHours::new(&windows)
                .ok_or_else(|| rows.error("a window is empty or lies outside the day"))?;
            office_hours.insert(name.to_owned(), hours);
        }
        Ok(Self { zone, calendar, office_hours })
    }

    pub(super) fn evaluate(&self, case: &Node<'_>) -> Result<Fields, CaseError> {
        let kind = case.need("kind")?;
        match kind.text()? {
            "budget" => self.budget(case),
            "workdays" => self.workdays(case),
            "calendar_days" => self.calendar_days(case),
            "priority_change" => self.priority_change(case),
            "promise" => self.promise(case),
            "unreachable" => self.unreachable(case),
            "notice_back" => self.notice_back(case),
            "major_restore" => self.major_restore(case),
            other => Err(kind.error(format!("\"{other}\" is no kind of SLA case"))),
        }
    }

    fn budget(&self, case: &Node<'_>) -> Result<Fields, CaseError> {
        let pauses = self.pauses(case)?;
        let clock = self.clock(case, &pauses)?;
        let start = self.instant(case, "start")?;
        let budget = case.need("budget_s")?;
        let budget_s = budget.int()?;
        let due = clock.walk(start, budget_s).map_err(|error| budget.error(error.to_string()))?;
        let mut provisional = due.provisional;
        let mut out = fields([("due", instant_or_null(self.zone, due.value))], false);
        if let (None, Some(open_from)) = (due.value, pauses.open_from()) {
            let spent = clock.elapsed(start, open_from).map_err(|error| case.error(error.to_string()))?;
            provisional |= spent.provisional;
            out.insert("remaining_s".to_owned(), Value::from(budget_s - spent.value));
        }
        if let Some(warn) = case.get("warn_s") {
            let at = clock.walk(start, warn.int()?).map_err(|error| warn.error(error.to_string()))?;
            provisional |= at.provisional;
            out.insert("warn_at".to_owned(), instant_or_null(self.zone, at.value));
        }
        if let Some(event) = case.maybe("event_at", |at| at.instant(self.zone))? {
            out.insert("met".to_owned(), Value::from(due.value.is_some_and(|due| event <= due)));
        }
        if let Some(at) = case.maybe("elapsed_at", |at| at.instant(self.zone))? {
            let spent = clock.elapsed(start, at).map_err(|error| case.error(error.to_string()))?;
            provisional |= spent.provisional;
            out.insert("elapsed_s".to_owned(), Value::from(spent.value));
        }
        out.extend(fields([], provisional));
        Ok(out)
    }

    fn workdays(&self, case: &Node<'_>) -> Result<Fields, CaseError> {
        let n = case.need("n")?;
        let start = self.instant(case, "start")?;
        let counted = working_days(self.zone, &self.calendar, start, n.count()?)
            .map_err(|error| n.error(error.to_string()))?;
        let due = instant(self.zone, counted.due);
        Ok(fields([("counted_days", days(&counted.counted_days)), ("due", due)], counted.provisional))
    }

    fn calendar_days(&self, case: &Node<'_>) -> Result<Fields, CaseError> {
        let due = calendar_days(self.zone, self.instant(case, "start")?, case.need("n")?.count()?);
        Ok(fields([("due", instant(self.zone, due))], false))
    }

    fn priority_change(&self, case: &Node<'_>) -> Result<Fields, CaseError> {
        let pauses = self.pauses(case)?;
        let clock = self.clock(case, &pauses)?;
        let changes = case.need("changes")?.items()?;
        let change = |node: &Node<'_>| {
            Ok(PriorityChange {
                at: self.instant(node, "at")?,
                budget_s: node.need("budget_s")?.int()?,
                grace_s: node.or("grace_s", GRACE_S, Node::int)?,
            })
        };
        let changes = changes.iter().map(change).collect::<Result<Vec<_>, CaseError>>()?;
        let start = self.instant(case, "start")?;
        let out = reprice(&clock, start, case.need("budget_s")?.int()?, &changes)
            .map_err(|error| case.error(error.to_string()))?;
        Ok(fields(
            [
                ("due_before", instant_or_null(self.zone, out.due_before)),
                ("due", instant_or_null(self.zone, out.due)),
                ("breached_before_change", Value::from(out.breached_before_change)),
            ],
            out.provisional,
        ))
    }

    fn promise(&self, case: &Node<'_>) -> Result<Fields, CaseError> {
        let pauses = self.pauses(case)?;
        let clock = self.clock(case, &pauses)?;
        let nodes = case.need("writes")?.items()?;
        let writes = nodes.iter().map(|node| self.write(node)).collect::<Result<Vec<_>, _>>()?;
        let budget = case.need("arrive_budget_s")?;
        let promise = arrival(&clock, self.instant(case, "T1")?, budget.int()?, &writes)
            .map_err(|error| budget.error(error.to_string()))?;
        let (mut accepted, mut rejected) = (Vec::new(), Vec::new());
        for (node, result) in nodes.iter().zip(&promise.writes) {
            match result {
                Ok(slot) => accepted.push(format!("T3{slot}={}", node.need("value")?.text()?)),
                Err(refusal) => {
                    let at = node.need("at")?.text()?;
                    rejected.push(Value::from(vec![at.to_owned(), refusal.to_string()]));
                }
            }
        }
        let at = |t: Option<i64>| instant_or_null(self.zone, t);
        let mut out = fields(
            [
                ("T2", at(promise.contacted_at)),
                ("promise_due", at(promise.promise_due)),
                ("kpi_promise", at(promise.kpi_promise)),
                ("sla_arrive_due", at(promise.sla_arrive_due)),
                ("arrive_due", at(promise.arrive_due)),
                ("accepted", Value::from(accepted)),
                ("rejected", Value::from(rejected)),
            ],
            promise.provisional,
        );
        if let Some(arrived) = case.maybe("arrived", |at| at.instant(self.zone))? {
            out.insert("on_time".to_owned(), Value::from(promise.is_on_time(arrived)));
            out.insert("promise_kept".to_owned(), Value::from(promise.is_kept(arrived)));
        }
        Ok(out)
    }

    fn write(&self, node: &Node<'_>) -> Result<PromiseWrite, CaseError> {
        let reason = node.maybe("reason", |reason| match reason.text()? {
            "customer" => Ok(PromiseReason::Customer),
            "parts" => Ok(PromiseReason::Company),
            other => Err(reason.error(format!("\"{other}\" is neither \"customer\" nor \"parts\""))),
        })?;
        Ok(PromiseWrite { at: self.instant(node, "at")?, value: self.instant(node, "value")?, reason })
    }

    fn unreachable(&self, case: &Node<'_>) -> Result<Fields, CaseError> {
        let pauses = self.pauses(case)?;
        let clock = self.clock(case, &pauses)?;
        let search = customer_search(&clock, self.instant(case, "T1")?)
            .map_err(|error| case.error(error.to_string()))?;
        Ok(fields(
            [
                ("earliest_unreachable_mark", instant(self.zone, search.earliest_unreachable_mark)),
                ("contact_due", instant_or_null(self.zone, search.contact_due)),
                ("six_attempt_days", days(&search.six_attempt_days)),
                ("cancel_allowed_from", instant(self.zone, search.cancel_allowed_from)),
            ],
            search.provisional,
        ))
    }

    fn notice_back(&self, case: &Node<'_>) -> Result<Fields, CaseError> {
        let n = case.need("n")?;
        let effective = self.instant(case, "effective")?;
        let notice = notice_before(self.zone, &self.calendar, effective, n.count()?)
            .map_err(|error| n.error(error.to_string()))?;
        let notice_day = Value::from(notice.notice_day.to_string());
        let submit_before = instant(self.zone, notice.submit_before);
        Ok(fields([("notice_day", notice_day), ("submit_before", submit_before)], notice.provisional))
    }

    fn major_restore(&self, case: &Node<'_>) -> Result<Fields, CaseError> {
        let pauses = self.pauses(case)?;
        let clock = Clock { hours: Hours::Always, ..self.always(&pauses) };
        let start = self.instant(case, "start")?;
        let budget = case.need("arrive_budget_s")?;
        let due = major(&clock, start, budget.int()?).map_err(|error| budget.error(error.to_string()))?;
        Ok(fields(
            [
                ("arrive_due", instant_or_null(self.zone, due.arrive_due)),
                ("restore_due", instant_or_null(self.zone, due.restore_due)),
                ("total_due", instant_or_null(self.zone, due.total_due)),
            ],
            due.provisional,
        ))
    }

    fn instant(&self, node: &Node<'_>, key: &str) -> Result<i64, CaseError> {
        node.need(key)?.instant(self.zone)
    }

    fn always<'a>(&'a self, pauses: &'a Pauses) -> Clock<'a> {
        Clock { hours: Hours::Always, zone: self.zone, calendar: &self.calendar, pauses }
    }

    fn clock<'a>(&'a self, case: &Node<'_>, pauses: &'a Pauses) -> Result<Clock<'a>, CaseError> {
        let calendar = case.need("calendar")?;
        let hours = match calendar.text()? {
            ALWAYS => Hours::Always,
            name => Hours::Office(self.office_hours.get(name).ok_or_else(|| {
                let known: Vec<&str> = self.office_hours.keys().map(String::as_str).collect();
                calendar.error(format!("\"{name}\" is neither \"{ALWAYS}\" nor one of: {}", known.join(", ")))
            })?),
        };
        Ok(Clock { hours, ..self.always(pauses) })
    }

    fn pauses(&self, case: &Node<'_>) -> Result<Pauses, CaseError> {
        let mut counting = Vec::new();
        for node in case.list("pauses")? {
            let to = node.need("to")?;
            let to = if to.is_null() { None } else { Some(to.instant(self.zone)?) };
            let pause = Pause { from: self.instant(&node, "from")?, to };
            if node.or("pauses_clock", true, Node::flag)? {
                counting.push(pause);
            }
        }
        Ok(counting.into_iter().collect())
    }
}
