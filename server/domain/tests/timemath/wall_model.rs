//! Wall times and opening hours against a look at every second.

use chrono::{Datelike, NaiveDate, NaiveDateTime, TimeDelta, Timelike};
use chrono_tz::Tz;
use kioskwatch_domain::calendar::{DayKind, WorkCalendar};
use kioskwatch_domain::interval::Interval;
use kioskwatch_domain::service_hours::{Schedule, ScheduleVersion, Weekly, Window};
use kioskwatch_domain::wall;
use proptest::prelude::*;

/// Zones with the instant of a change of the clock, the nasty ones included.
pub(crate) const CHANGES: [(Tz, &str); 11] = [
    (Tz::Asia__Shanghai, "2026-03-09T16:00:00Z"),
    (Tz::Europe__Berlin, "2026-10-25T01:00:00Z"),
    (Tz::Europe__Berlin, "2026-03-29T01:00:00Z"),
    (Tz::America__New_York, "2026-11-01T06:00:00Z"),
    (Tz::America__St_Johns, "2026-03-08T05:30:00Z"),
    // Half an hour.
    (Tz::Australia__Lord_Howe, "2026-04-04T15:00:00Z"),
    // At midnight: the day begins at 01:00, and a day that shows its last hour twice.
    (Tz::Asia__Beirut, "2026-03-28T22:00:00Z"),
    (Tz::Asia__Beirut, "2026-10-24T21:00:00Z"),
    (Tz::America__Havana, "2026-11-01T05:00:00Z"),
    // A whole day that never was, and one that came twice.
    (Tz::Pacific__Apia, "2011-12-30T10:00:00Z"),
    (Tz::Pacific__Kwajalein, "1969-09-30T13:00:00Z"),
];

pub(crate) fn around_a_change(before_s: i64) -> impl Strategy<Value = (Tz, i64)> {
    (prop::sample::select(CHANGES.to_vec()), -before_s..before_s).prop_map(|((zone, at), moved)| {
        (zone, at.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp() + moved)
    })
}

/// One row: opening and closing in seconds of the day.
type Row = (u32, u32);

/// A schedule as plain rows, for the model.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub(crate) always: bool,
    pub(crate) week: Vec<Vec<Row>>,
    pub(crate) exception: Option<(i64, Vec<Row>)>,
    pub(crate) makeup: Option<Vec<Row>>,
    /// Days from the anchor on which the version begins.
    pub(crate) from: Option<i64>,
}

fn row() -> impl Strategy<Value = Row> {
    let minute = prop_oneof![Just(0), Just(24 * 60), 0..=24 * 60_u32];
    (minute.clone(), minute).prop_map(|(from, to)| (from * 60, to * 60))
}

fn rows() -> impl Strategy<Value = Rows> {
    let list = || prop::collection::vec(row(), 0..3);
    let exception = prop::option::of((-2..3_i64, list()));
    (
        prop::bool::weighted(0.2),
        prop::collection::vec(list(), 7),
        exception,
        prop::option::of(list()),
        prop::option::of(-2..2_i64),
    )
        .prop_map(|(always, week, exception, makeup, from)| Rows {
            always,
            week,
            exception,
            makeup,
            from,
        })
}

/// Versions in order, each from another day on.
pub(crate) fn versions(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Rows>> {
    prop::collection::vec(rows(), count).prop_map(|mut versions| {
        versions.sort_by_key(|version| version.from);
        versions.dedup_by_key(|version| version.from);
        versions
    })
}

/// A day off and a make-up day near the anchor, in days from it.
pub(crate) fn calendar(anchor: NaiveDate, (off, work): (i64, i64)) -> WorkCalendar {
    let day = |n: i64| anchor + TimeDelta::days(n);
    WorkCalendar::from_lists(&[day(off)], &[day(work)])
}

fn windows(rows: &[Row]) -> Vec<Window> {
    rows.iter().map(|(opens, closes)| Window::new(*opens, *closes).unwrap()).collect()
}

/// Dates count from an anchor, so that exceptions and versions fall near the period.
pub(crate) fn schedule(versions: &[Rows], anchor: NaiveDate) -> Schedule {
    let day = |n: i64| anchor + TimeDelta::days(n);
    let version = |rows: &Rows| {
        let weekly = if rows.always {
            Weekly::AlwaysOpen
        } else {
            Weekly::Rows(std::array::from_fn(|i| windows(&rows.week[i])))
        };
        let mut version = ScheduleVersion::new(rows.from.map(day), weekly);
        version.exceptions.extend(rows.exception.iter().map(|(n, rows)| (day(*n), windows(rows))));
        version.makeup_day = rows.makeup.as_deref().map(windows);
        version
    };
    Schedule::new(versions.iter().map(version).collect())
}

fn rows_of<'a>(
    versions: &'a [Rows],
    anchor: NaiveDate,
    calendar: &WorkCalendar,
    day: NaiveDate,
) -> &'a [Row] {
    let n = (day - anchor).num_days();
    let in_force = versions.iter().filter(|version| version.from.is_none_or(|from| from <= n));
    let Some(version) = in_force.max_by_key(|version| version.from) else { return &[] };
    match (&version.exception, &version.makeup) {
        (Some((exception, rows)), _) if *exception == n => rows,
        _ if version.always => &[(0, 86_400)],
        (_, Some(_)) if calendar.kind_of(day) == DayKind::Off => &[],
        (_, Some(makeup)) if calendar.kind_of(day) == DayKind::MakeUpWork => makeup,
        _ => &version.week[day.weekday().num_days_from_monday() as usize],
    }
}

/// Whether the wall clock lies in a row of its own date, or in what a row of the day before leaves.
pub(crate) fn is_open(
    versions: &[Rows],
    anchor: NaiveDate,
    calendar: &WorkCalendar,
    wall: NaiveDateTime,
) -> bool {
    let second = wall.num_seconds_from_midnight();
    let own = rows_of(versions, anchor, calendar, wall.date());
    let before = rows_of(versions, anchor, calendar, wall.date() - TimeDelta::days(1));
    own.iter().any(|(a, b)| second >= *a && (b <= a || second < *b))
        || before.iter().any(|(a, b)| b <= a && second < *b)
}

proptest! {
    #[test]
    fn a_shown_time_leads_back_to_its_first_pass((zone, t) in around_a_change(100_000)) {
        let shown = wall::local_of(zone, t);
        let back = wall::instant_of(zone, shown);
        prop_assert_eq!(wall::local_of(zone, back), shown);
        prop_assert!(back <= t);
        // Nothing earlier shows it: the next candidates are one hour, half an hour and a day before.
        for earlier in [1_800, 3_600, 82_800, 86_400] {
            prop_assert!(wall::local_of(zone, back - earlier) != shown);
        }
    }

    #[test]
    fn a_skipped_time_means_the_end_of_its_gap((zone, t) in around_a_change(7_200), ahead in 0..3_700_i64) {
        let wanted = wall::local_of(zone, t) + TimeDelta::seconds(ahead);
        let at = wall::instant_of(zone, wanted);
        prop_assert!(wall::local_of(zone, at) >= wanted);
        prop_assert!(wall::local_of(zone, at - 1) < wanted);
    }

    #[test]
    fn opening_hours_are_what_the_wall_clock_shows(
        (zone, from) in around_a_change(30_000),
        versions in versions(0..3),
        length in 1..400_000_i64,
        days in (-1..2_i64, -1..2_i64),
    ) {
        let anchor = wall::date_of(zone, from);
        let calendar = calendar(anchor, days);
        let period = Interval::new(from, from + length);
        let open = schedule(&versions, anchor).open_times(zone, &calendar, period);
        // Every change of the rows is on a whole minute, and offsets of these years are too.
        let minutes = (from / 60 * 60..period.to).step_by(60).map(|t| t.max(from));
        for t in minutes {
            let expected = is_open(&versions, anchor, &calendar, wall::local_of(zone, t));
            prop_assert_eq!(open.contains(t), expected, "{} {}", zone, wall::local_of(zone, t));
        }
        prop_assert_eq!(open.clip(period), open);
    }
}
