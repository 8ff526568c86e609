//! Between the wall clock of a place and instants.
//!
//! People write opening hours, periods and days on the wall clock of a site; everything else counts in
//! seconds since the epoch. A day with a change of the clock has 23 or 25 hours, an hour may come twice
//! and another not at all: only this module knows. Nobody adds 86,400 to get to tomorrow.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone};
use chrono_tz::Tz;
use kioskwatch_proto::Timestamp;

use crate::interval::{Interval, IntervalSet};

pub(crate) const DAY_S: i64 = 86_400;

/// No zone was ever further from UTC than this (the record is 15 h 13 min).
pub const MAX_OFFSET_S: i64 = 16 * 3_600;

/// Seconds to add to UTC to get the wall clock at `t`; zero outside the years chrono can name.
#[must_use]
pub fn offset_at(zone: Tz, t: i64) -> i64 {
    DateTime::from_timestamp(t, 0)
        .map_or(0, |utc| i64::from(zone.offset_from_utc_datetime(&utc.naive_utc()).fix().local_minus_utc()))
}

/// What the wall clock shows at `t`, as a count of seconds: the "local second".
#[must_use]
pub(crate) fn local_second(zone: Tz, t: i64) -> i64 {
    t.saturating_add(offset_at(zone, t))
}

/// What the wall clock and the calendar on the wall show at `t`.
#[must_use]
pub fn local_of(zone: Tz, t: i64) -> NaiveDateTime {
    DateTime::from_timestamp(local_second(zone, t), 0)
        .map_or(if t < 0 { NaiveDateTime::MIN } else { NaiveDateTime::MAX }, |local| local.naive_utc())
}

/// An instant for people: the wall clock, and how far it is ahead of UTC, `2026-11-21 16:00:05 +08:00`.
#[must_use]
pub fn told(zone: Tz, at: Timestamp) -> String {
    let at = DateTime::from_timestamp_millis(at.ms()).unwrap_or_default();
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// The local date at `t`.
#[must_use]
pub fn date_of(zone: Tz, t: i64) -> NaiveDate {
    local_of(zone, t).date()
}

/// The instant of a wall time. A time that comes twice means its first pass; one that is skipped means
/// the instant at which the gap ends.
#[must_use]
pub fn instant_of(zone: Tz, local: NaiveDateTime) -> i64 {
    let wanted = local.and_utc().timestamp();
    let around = Interval::new(wanted - MAX_OFFSET_S - 1, wanted + MAX_OFFSET_S);
    let usual = offset_at(zone, around.from);
    if usual == offset_at(zone, around.to) {
        return wanted - usual;
    }
    // The clock is changed somewhere near: take the first second that shows the wanted time or, across a
    // gap, a later one.
    for (span, offset) in steady_spans(zone, around) {
        if span.contains(wanted - offset) {
            return wanted - offset;
        }
        if span.from + offset > wanted {
            return span.from;
        }
    }
    wanted - usual
}

/// The instant at which a local day begins.
#[must_use]
pub fn day_start(zone: Tz, day: NaiveDate) -> i64 {
    instant_of(zone, day.and_time(NaiveTime::MIN))
}

/// The local month, from its first midnight to the next month's ("uptime definition 2.1").
/// `None` when there is no such month.
#[must_use]
pub fn month(zone: Tz, year: i32, month: u32) -> Option<Interval> {
    let first = NaiveDate::from_ymd_opt(year, month, 1)?;
    let next = first.checked_add_months(chrono::Months::new(1))?;
    Some(Interval::new(day_start(zone, first), day_start(zone, next)))
}

/// A date some days later or earlier, held at the ends of what chrono can name.
#[must_use]
pub(crate) fn plus_days(day: NaiveDate, days: i64) -> NaiveDate {
    let distance = Days::new(days.unsigned_abs());
    if days < 0 {
        day.checked_sub_days(distance).unwrap_or(NaiveDate::MIN)
    } else {
        day.checked_add_days(distance).unwrap_or(NaiveDate::MAX)
    }
}

/// Midnight of a day in local seconds.
#[must_use]
pub(crate) fn local_midnight(day: NaiveDate) -> i64 {
    day.and_time(NaiveTime::MIN).and_utc().timestamp()
}

/// The instants of `period` at which the wall clock shows a time of `local`, a set of local seconds.
/// Both passes of a repeated hour are in, a skipped hour adds nothing ("uptime definition 2.2").
#[must_use]
pub(crate) fn instants_showing(zone: Tz, local: &IntervalSet, period: Interval) -> IntervalSet {
    steady_spans(zone, period)
        .into_iter()
        .flat_map(|(span, offset)| {
            let shown = Interval::new(span.from + offset, span.to + offset);
            local.clip(shown).shifted(-offset).intervals().to_vec()
        })
        .collect()
}

/// The period cut into stretches of one offset each.
///
/// We look once a day and search for the second of a change only when the offset differs: no zone has
/// ever changed its clock twice within a day and come back to where it was.
fn steady_spans(zone: Tz, period: Interval) -> Vec<(Interval, i64)> {
    let mut spans = Vec::with_capacity(3);
    if period.is_empty() {
        return spans;
    }
    let (mut from, mut offset) = (period.from, offset_at(zone, period.from));
    let mut seen = period.from;
    while seen < period.to {
        let next = (seen + DAY_S).min(period.to);
        if offset_at(zone, next) == offset {
            seen = next;
            continue;
        }
        let (mut same, mut changed) = (seen, next);
        while changed - same > 1 {
            let middle = same + (changed - same) / 2;
            if offset_at(zone, middle) == offset {
                same = middle;
            } else {
                changed = middle;
            }
        }
        if changed >= period.to {
            break;
        }
        spans.push((Interval::new(from, changed), offset));
        (from, offset, seen) = (changed, offset_at(zone, changed), changed);
    }
    spans.push((Interval::new(from, period.to), offset));
    spans
}
