use chrono_tz::{Asia::Shanghai, Europe::Berlin};

use super::*;
use crate::calendar::MissingYears;

fn hms(text: &str) -> u32 {
    let (hour, minute) = text.split_once(':').unwrap();
    hour.parse::<u32>().unwrap() * 3_600 + minute.parse::<u32>().unwrap() * 60
}

fn row(from: &str, to: &str) -> Vec<Window> {
    vec![Window::new(hms(from), hms(to)).unwrap()]
}

fn every_day(from: &str, to: &str) -> Schedule {
    let rows = std::array::from_fn(|_| row(from, to));
    Schedule::new(vec![ScheduleVersion::new(None, Weekly::Rows(rows))])
}

fn at(zone: Tz, text: &str) -> i64 {
    wall::instant_of(zone, text.parse().unwrap())
}

fn day(zone: Tz, text: &str) -> Interval {
    let first: NaiveDate = text.parse().unwrap();
    Interval::new(wall::day_start(zone, first), wall::day_start(zone, first.succ_opt().unwrap()))
}

fn no_holidays() -> WorkCalendar {
    WorkCalendar::default()
}

#[test]
fn a_window_over_midnight_opens_on_its_start_day_and_closes_on_the_next() {
    let open = every_day("20:00", "02:00").open_times(Shanghai, &no_holidays(), day(Shanghai, "2026-03-10"));
    let expected = [
        Interval::new(at(Shanghai, "2026-03-10T00:00:00"), at(Shanghai, "2026-03-10T02:00:00")),
        Interval::new(at(Shanghai, "2026-03-10T20:00:00"), at(Shanghai, "2026-03-11T00:00:00")),
    ];
    assert_eq!(open.intervals(), expected);
}

#[test]
fn a_repeated_hour_is_open_twice_and_a_skipped_one_never() {
    let night = every_day("01:00", "04:00");
    let hours = |date| night.open_times(Berlin, &no_holidays(), day(Berlin, date)).length() / 3_600;
    assert_eq!((hours("2026-10-25"), hours("2026-03-29"), hours("2026-06-01")), (4, 2, 3));
    assert_eq!(day(Berlin, "2026-10-25").length(), 25 * 3_600);
}

/// 02:00-02:30 shown twice is open twice, although the passes do not touch.
#[test]
fn the_two_passes_of_half_an_hour_are_two_intervals() {
    let open = every_day("02:00", "02:30").open_times(Berlin, &no_holidays(), day(Berlin, "2026-10-25"));
    assert_eq!((open.intervals().len(), open.length()), (2, 3_600));
}

#[test]
fn exception_beats_holiday_beats_week() {
    let holiday: NaiveDate = "2026-10-01".parse().unwrap();
    let makeup: NaiveDate = "2026-10-10".parse().unwrap();
    let calendar = WorkCalendar::from_lists(&[holiday], &[makeup]);
    let mut rows: [Vec<Window>; 7] = std::array::from_fn(|_| row("09:00", "17:00"));
    rows[5].clear();
    let mut version = ScheduleVersion::new(None, Weekly::Rows(rows));
    version.makeup_day = Some(row("10:00", "12:00"));
    let hours = |version: &ScheduleVersion, date| {
        let schedule = Schedule::new(vec![version.clone()]);
        schedule.open_times(Shanghai, &calendar, day(Shanghai, date)).length() / 3_600
    };
    assert_eq!((hours(&version, "2026-10-01"), hours(&version, "2026-10-10")), (0, 2));
    assert_eq!((hours(&version, "2026-10-17"), hours(&version, "2026-10-19")), (0, 8));
    version.exceptions.insert(holiday, row("08:00", "09:00"));
    assert_eq!(hours(&version, "2026-10-01"), 1);
    version.exceptions.clear();
    version.makeup_day = None;
    assert_eq!(hours(&version, "2026-10-01"), 8);
}

#[test]
fn a_version_begins_on_its_date_and_never_before() {
    let later = ScheduleVersion::new(Some("2026-03-16".parse().unwrap()), Weekly::AlwaysOpen);
    let schedule = Schedule::new(vec![later]);
    let month = wall::month(Shanghai, 2026, 3).unwrap();
    let open = schedule.open_times(Shanghai, &no_holidays(), month);
    assert_eq!(open.intervals(), [Interval::new(at(Shanghai, "2026-03-16T00:00:00"), month.to)]);
    assert_eq!(Schedule::always_open().open_times(Shanghai, &no_holidays(), month).length(), month.length());
}

#[test]
fn a_ticket_of_the_night_can_ask_when_the_site_opens() {
    let shop = every_day("08:00", "20:00");
    let calendar = WorkCalendar::new(BTreeMap::new(), MissingYears::FollowTheWeek);
    let night = at(Shanghai, "2026-03-10T23:00:00");
    assert!(!shop.is_open(Shanghai, &calendar, night));
    let opens = Some(at(Shanghai, "2026-03-11T08:00:00"));
    assert_eq!(shop.next_open(Shanghai, &calendar, night, 7), opens);
    assert_eq!(Schedule::new(Vec::new()).next_open(Shanghai, &calendar, night, 7), None);
}

#[test]
fn a_wall_time_that_comes_twice_means_its_first_pass_and_a_missing_one_the_end_of_the_gap() {
    let first = "2026-10-25T02:30:00+02:00".parse::<chrono::DateTime<chrono::FixedOffset>>().unwrap();
    assert_eq!(at(Berlin, "2026-10-25T02:30:00"), first.timestamp());
    let gap_ends = "2026-03-29T03:00:00+02:00".parse::<chrono::DateTime<chrono::FixedOffset>>().unwrap();
    assert_eq!(at(Berlin, "2026-03-29T02:30:00"), gap_ends.timestamp());
    // A whole day that never was.
    let apia = chrono_tz::Pacific::Apia;
    assert_eq!(at(apia, "2011-12-30T12:00:00"), at(apia, "2011-12-31T00:00:00"));
}

#[test]
fn the_text_of_a_site_is_read_and_a_mistake_in_it_named() {
    let text =
        r#"[{"weekly": "24x7"}, {"effective_from": "2026-03-16", "weekly": {"sun": [["20:00", "02:00"]]}}]"#;
    let mut sundays: [Vec<Window>; 7] = Default::default();
    sundays[6] = row("20:00", "02:00");
    let from = Some("2026-03-16".parse().unwrap());
    let expected = Schedule::new(vec![
        ScheduleVersion::new(None, Weekly::AlwaysOpen),
        ScheduleVersion::new(from, Weekly::Rows(sundays)),
    ]);
    assert_eq!(Schedule::parse(text).unwrap(), expected);
    let error = Schedule::parse(r#"[{"weekly": {"mon": [["8", "25:00"]]}}]"#).unwrap_err();
    assert_eq!((error.place.as_str(), error.key.as_str()), ("service_hours", "[0].weekly.mon[0][0]"));
    assert!(Schedule::parse("always").is_err());
}

#[test]
fn a_window_that_ends_where_it_begins_is_read_where_it_is_stored_and_entered_nowhere() {
    let hours = |rows: &str| format!(r#"[{{"weekly":"24x7"}},{{"effective_from":"2026-03-16",{rows}}}]"#);
    for rows in [
        r#""weekly":{"sun":[["08:00","08:00"]]}"#,
        r#""weekly":{},"exceptions":{"2026-05-01":[["08:00","08:00"]]}"#,
        r#""weekly":{},"use_calendar":true,"makeup_day_hours":[["08:00","08:00"]]"#,
    ] {
        let text = hours(rows);
        Schedule::of_site(&text).unwrap();
        let error = Schedule::entered(&text).unwrap_err().to_string();
        for part in ["service_hours", "opens and closes at 08:00", r#"["00:00","24:00"]"#] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
    for rows in [r#""weekly":{"sun":[["20:00","02:00"],["00:00","24:00"]]}"#, r#""weekly":"24x7""#] {
        let text = hours(rows);
        assert_eq!(Schedule::entered(&text), Schedule::of_site(&text));
    }
    assert_eq!(Schedule::entered(" ").unwrap(), Schedule::always_open());
    assert!(Schedule::entered("{}").is_err());
}
