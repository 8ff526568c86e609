//! When a campaign is held and its reports are due (rulebook chapter 6).

use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;

use super::policy::Policy;
use crate::calendar::{CalendarError, Questions, WorkCalendar};
use crate::wall::{self, plus_days};

/// When a reminder goes out on its day.
const REMIND_AT_S: i64 = 9 * 3_600;

/// How a kiosk is inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Once a month, by phone.
    Phone,
    /// Once a quarter, by a visit.
    Onsite,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Phone, Self::Onsite];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Onsite => "onsite",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The period of this kind that holds a date.
    #[must_use]
    pub fn period_of(self, day: NaiveDate) -> Period {
        match self {
            Self::Phone => Period::Month { year: day.year(), month: day.month() },
            Self::Onsite => Period::Quarter { year: day.year(), quarter: day.month0() / 3 + 1 },
        }
    }
}

/// A month or a quarter; in text `2026-09` or `2026-Q3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    Month { year: i32, month: u32 },
    Quarter { year: i32, quarter: u32 },
}

impl Period {
    /// Reads `2026-09` or `2026-Q3`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (year, part) = text.split_once('-')?;
        let year = year.parse().ok()?;
        let period = match part.strip_prefix('Q') {
            Some(quarter) => Self::Quarter { year, quarter: quarter.parse().ok()? },
            None => Self::Month { year, month: part.parse().ok()? },
        };
        period.first_day().is_some().then_some(period)
    }

    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Month { .. } => Kind::Phone,
            Self::Quarter { .. } => Kind::Onsite,
        }
    }

    /// The first day; `None` when there is no such month or quarter.
    #[must_use]
    pub fn first_day(self) -> Option<NaiveDate> {
        match self {
            Self::Month { year, month } => NaiveDate::from_ymd_opt(year, month, 1),
            Self::Quarter { year, quarter: quarter @ 1..=4 } => {
                NaiveDate::from_ymd_opt(year, quarter * 3 - 2, 1)
            }
            Self::Quarter { .. } => None,
        }
    }

    /// The period before this one.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        Some(self.kind().period_of(self.first_day()?.pred_opt()?))
    }

    const fn months(self) -> u32 {
        match self {
            Self::Month { .. } => 1,
            Self::Quarter { .. } => 3,
        }
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Month { year, month } => write!(f, "{year:04}-{month:02}"),
            Self::Quarter { year, quarter } => write!(f, "{year:04}-Q{quarter}"),
        }
    }
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Calendar(#[from] CalendarError),
    #[error("there is no period {0}")]
    NoSuchPeriod(String),
}

/// The dates of one campaign, as instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    pub period: Period,
    pub period_from: i64,
    pub period_to: i64,
    pub window_from: i64,
    pub window_to: i64,
    /// The last start that still leaves the whole length inside the period.
    pub latest_start: i64,
    /// Before day X begins; before this the report is on time.
    pub report_due_strict: i64,
    /// When day X is over; between the two readings a report is disputed (rulebook 4.1).
    pub report_due_lenient: i64,
    /// 09:00 of the last working day before the strict due.
    pub remind_at: i64,
    /// Some day of it rests on a year without an official notice.
    pub provisional: bool,
}

/// What plans are made from.
#[derive(Debug, Clone, Copy)]
pub struct Planner<'a> {
    pub policy: &'a Policy,
    pub zone: Tz,
    pub calendar: &'a WorkCalendar,
}

impl Planner<'_> {
    /// The campaign of a period.
    ///
    /// # Errors
    /// There is no such period, or its working days are not known.
    pub fn plan(&self, period: Period) -> Result<Plan, PlanError> {
        let first = first_day(period)?;
        let next = months_later(first, period.months());
        let last = plus_days(next, -1);
        let (planned, length, report_day) = self.campaign(period, first);
        let length = length.min((next - first).num_days());
        let mut ask = self.calendar.ask();
        let window = window(&mut ask, planned, length, first, last)?;
        let report = day_of_month(next, report_day);
        let remind_at = self.remind(&mut ask, report)?;
        Ok(Plan {
            period,
            period_from: self.start(first),
            period_to: self.start(next),
            window_from: self.start(window),
            window_to: self.start(plus_days(window, length)),
            latest_start: self.start(plus_days(last, 1 - length)),
            report_due_strict: self.start(report),
            report_due_lenient: self.start(plus_days(report, 1)),
            remind_at,
            provisional: ask.provisional(),
        })
    }

    /// Planned day, length in days and report day of a campaign.
    fn campaign(&self, period: Period, first: NaiveDate) -> (NaiveDate, i64, u32) {
        let policy = self.policy;
        match period.kind() {
            Kind::Phone => {
                let planned = day_of_month(first, policy.phone_start_day);
                (planned, i64::from(policy.phone_days), policy.phone_report_day)
            }
            Kind::Onsite => {
                let month = months_later(first, policy.onsite_start_month_of_quarter.saturating_sub(1));
                let planned = day_of_month(month, policy.onsite_start_day);
                (planned, i64::from(policy.onsite_days), policy.onsite_report_day)
            }
        }
    }

    /// 09:00 of the last working day before `due_day`.
    pub(super) fn remind(&self, ask: &mut Questions<'_>, due_day: NaiveDate) -> Result<i64, CalendarError> {
        let day = ask.on_or_before(plus_days(due_day, -1))?;
        let morning = chrono::TimeDelta::seconds(REMIND_AT_S);
        Ok(wall::instant_of(self.zone, day.and_time(chrono::NaiveTime::MIN) + morning))
    }

    pub(super) fn start(&self, day: NaiveDate) -> i64 {
        wall::day_start(self.zone, day)
    }
}

/// The first day of a campaign: the planned one or the next working day; when the campaign would then
/// leave its period, the last working day on which it still fits.
fn window(
    ask: &mut Questions<'_>,
    planned: NaiveDate,
    length: i64,
    first: NaiveDate,
    last: NaiveDate,
) -> Result<NaiveDate, CalendarError> {
    let start = ask.on_or_after(planned)?;
    let latest = plus_days(last, 1 - length);
    if start <= latest {
        return Ok(start);
    }
    let mut start = latest;
    while !ask.is_working_day(start)? && start > first {
        start = plus_days(start, -1);
    }
    Ok(start)
}

pub(super) fn first_day(period: Period) -> Result<NaiveDate, PlanError> {
    period.first_day().ok_or_else(|| PlanError::NoSuchPeriod(period.to_string()))
}

pub(super) fn months_later(day: NaiveDate, months: u32) -> NaiveDate {
    day.checked_add_months(chrono::Months::new(months)).unwrap_or(NaiveDate::MAX)
}

/// A day of the month that begins on `first`; its last day when it is shorter.
pub(super) fn day_of_month(first: NaiveDate, day: u32) -> NaiveDate {
    let last = plus_days(months_later(first, 1), -1);
    plus_days(first, i64::from(day) - 1).clamp(first, last)
}
