//! Deadlines of statistics, files and the overhaul at the end of a contract (rulebook chapter 6).

use chrono::{Datelike, NaiveDate};

use super::plan::{Period, PlanError, Planner, day_of_month, first_day, months_later};
use crate::calendar::CalendarError;
use crate::wall::plus_days;

/// Working days of the next month in which the letters of a month are filed (SR-231).
const LETTERS_WORKDAYS: u32 = 5;

/// An instant, and whether it rests on a year without an official notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueAt {
    pub at: i64,
    pub provisional: bool,
}

/// The monthly statistics (SR-220) and the monthly project report (SR-221).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonthlyStats {
    pub to_enterprise_dept_due_strict: i64,
    pub to_enterprise_dept_due_lenient: i64,
    pub to_managers_due_strict: i64,
    pub to_managers_due_lenient: i64,
    pub remind_at: i64,
    pub provisional: bool,
}

/// What is filed and bound after a month (SR-231 to SR-233).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archive {
    pub electronic_filed_by: i64,
    pub letters_of_month_filed_by: i64,
    /// At the end of a quarter only.
    pub paper_bound_by: Option<i64>,
    /// At the end of a year only.
    pub year_volume_bound_by: Option<i64>,
    pub provisional: bool,
}

/// The overhaul in the last month of a contract (SR-211).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overhaul {
    pub window_from: i64,
    pub window_to: i64,
}

impl Planner<'_> {
    /// When the statistics of a campaign that ended on a day are due (SR-214): 24:00 of the last of the
    /// working days allowed.
    ///
    /// # Errors
    /// The working days are not known.
    pub fn campaign_stats(&self, ended: NaiveDate) -> Result<DueAt, CalendarError> {
        let mut ask = self.calendar.ask();
        let last = ask.nth_after(ended, self.policy.stats_workdays)?;
        Ok(DueAt { at: self.start(plus_days(last, 1)), provisional: ask.provisional() })
    }

    /// When the statistics of a month are due.
    ///
    /// # Errors
    /// There is no such month, or the working days are not known.
    pub fn monthly_stats(&self, year: i32, month: u32) -> Result<MonthlyStats, PlanError> {
        let next = months_later(first_day(Period::Month { year, month })?, 1);
        let enterprise = day_of_month(next, self.policy.monthly_stats_day);
        let managers = day_of_month(next, self.policy.monthly_project_day);
        let mut ask = self.calendar.ask();
        let remind_at = self.remind(&mut ask, enterprise)?;
        Ok(MonthlyStats {
            to_enterprise_dept_due_strict: self.start(enterprise),
            to_enterprise_dept_due_lenient: self.start(plus_days(enterprise, 1)),
            to_managers_due_strict: self.start(managers),
            to_managers_due_lenient: self.start(plus_days(managers, 1)),
            remind_at,
            provisional: ask.provisional(),
        })
    }

    /// What has to be filed and bound after a month.
    ///
    /// # Errors
    /// There is no such month, or the working days are not known.
    pub fn archive(&self, year: i32, month: u32) -> Result<Archive, PlanError> {
        let next = months_later(first_day(Period::Month { year, month })?, 1);
        let mut ask = self.calendar.ask();
        let letters = ask.nth_after(plus_days(next, -1), LETTERS_WORKDAYS)?;
        let end = self.start(next);
        Ok(Archive {
            electronic_filed_by: end,
            letters_of_month_filed_by: self.start(plus_days(letters, 1)),
            paper_bound_by: month.is_multiple_of(3).then_some(end),
            year_volume_bound_by: (month == 12).then_some(end),
            provisional: ask.provisional(),
        })
    }

    /// The overhaul before a contract ends on a day, which is its last.
    #[must_use]
    pub fn overhaul(&self, contract_end: NaiveDate) -> Overhaul {
        // The month before, on the same day number or on its last day when it is shorter.
        let month = contract_end.with_day(1).unwrap_or(contract_end);
        let before = day_of_month(
            month.checked_sub_months(chrono::Months::new(1)).unwrap_or(NaiveDate::MIN),
            contract_end.day(),
        );
        Overhaul {
            window_from: self.start(plus_days(before, 1)),
            window_to: self.start(plus_days(contract_end, 1)),
        }
    }
}
