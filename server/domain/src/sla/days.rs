//! Deadlines in whole days: the day of the trigger is never counted, and the last day ends at 24:00
//! (rulebook 4.1).

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::clock::{Clock, SlaError};
use crate::calendar::{CalendarError, WorkCalendar};
use crate::wall;

/// How long after the report a customer may first be called unreachable, always by the clock (SR-080).
pub const UNREACHABLE_AFTER_S: i64 = 12_600;

/// How long we may take to reach the customer in that procedure (SR-080).
pub const CONTACT_S: i64 = 4 * 3_600;

/// Working days on which a silent customer is tried six times, and working days in all before the ticket
/// may be cancelled (C12).
const SIX_ATTEMPT_DAYS: usize = 3;
const SEARCH_DAYS: u32 = 5;

/// "Within N working days".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkingDays {
    pub counted_days: Vec<NaiveDate>,
    /// 24:00 of the last counted day, exclusive.
    pub due: i64,
    pub provisional: bool,
}

/// The first `n` working days after the day of `start`.
///
/// # Errors
/// `n` is zero or absurd, or a year is not loaded.
pub fn working_days(
    zone: Tz,
    calendar: &WorkCalendar,
    start: i64,
    n: u32,
) -> Result<WorkingDays, CalendarError> {
    let mut ask = calendar.ask();
    let counted_days = ask.days_after(wall::date_of(zone, start), n)?;
    let last = counted_days.last().copied().ok_or(CalendarError::BadCount { n })?;
    Ok(WorkingDays { counted_days, due: day_end(zone, last), provisional: ask.provisional() })
}

/// 24:00 of the `n`th calendar day after the day of `start`, exclusive.
#[must_use]
pub fn calendar_days(zone: Tz, start: i64, n: u32) -> i64 {
    day_end(zone, wall::plus_days(wall::date_of(zone, start), i64::from(n)))
}

/// "At least N working days before".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    pub notice_day: NaiveDate,
    /// 24:00 of that day, exclusive.
    pub submit_before: i64,
    pub provisional: bool,
}

/// The last moment to announce something that takes effect at `effective`.
///
/// # Errors
/// `n` is zero or absurd, or a year is not loaded.
pub fn notice_before(
    zone: Tz,
    calendar: &WorkCalendar,
    effective: i64,
    n: u32,
) -> Result<Notice, CalendarError> {
    let mut ask = calendar.ask();
    let notice_day = ask.nth_before(wall::date_of(zone, effective), n)?;
    Ok(Notice { notice_day, submit_before: day_end(zone, notice_day), provisional: ask.provisional() })
}

/// The procedure for a customer who does not answer (SR-080 to SR-082).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerSearch {
    pub earliest_unreachable_mark: i64,
    /// `None` while a pause is open.
    pub contact_due: Option<i64>,
    pub six_attempt_days: Vec<NaiveDate>,
    pub cancel_allowed_from: i64,
    pub provisional: bool,
}

/// What has to happen when the customer of a ticket reported at `reported_at` (T1) cannot be reached.
///
/// # Errors
/// A year is not loaded.
pub fn customer_search(clock: &Clock<'_>, reported_at: i64) -> Result<CustomerSearch, SlaError> {
    let contact = clock.walk(reported_at, CONTACT_S)?;
    let days = working_days(clock.zone, clock.calendar, reported_at, SEARCH_DAYS)?;
    Ok(CustomerSearch {
        earliest_unreachable_mark: reported_at.saturating_add(UNREACHABLE_AFTER_S),
        contact_due: contact.value,
        six_attempt_days: days.counted_days.into_iter().take(SIX_ATTEMPT_DAYS).collect(),
        cancel_allowed_from: days.due,
        provisional: contact.provisional || days.provisional,
    })
}

fn day_end(zone: Tz, day: NaiveDate) -> i64 {
    wall::day_start(zone, wall::plus_days(day, 1))
}
