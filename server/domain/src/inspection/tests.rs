use chrono_tz::Asia::Shanghai;

use super::*;
use crate::calendar::{MissingYears, WorkCalendar};
use crate::wall;

const CN_2026: &str = include_str!("../../../../deploy/calendars/cn-2026.toml");

fn at(text: &str) -> i64 {
    wall::instant_of(Shanghai, text.parse().unwrap())
}

fn calendar() -> WorkCalendar {
    WorkCalendar::from_files([("cn-2026.toml", CN_2026)], MissingYears::FollowTheWeek).unwrap()
}

fn kiosk(done: &[Done]) -> KioskInService<'_> {
    KioskInService { commissioned_at: Some(at("2025-06-01T00:00:00")), decommissioned_at: None, done }
}

fn states(done: &[Done], now: &str) -> Vec<(String, &'static str, Option<&'static str>)> {
    let (policy, calendar) = (Policy::default(), calendar());
    let planner = Planner { policy: &policy, zone: Shanghai, calendar: &calendar };
    let row = |due: Due| {
        let report = due.outcome.report.map(ReportState::as_str);
        (due.plan.period.to_string(), due.outcome.inspection.as_str(), report)
    };
    due_list(&planner, &kiosk(done), at(now)).unwrap().into_iter().map(row).collect()
}

#[test]
fn a_period_is_written_and_read_the_same_way() {
    for text in ["2026-09", "2026-Q3"] {
        assert_eq!(Period::parse(text).unwrap().to_string(), text);
    }
    for text in ["2026-13", "2026-Q5", "2026-Q0", "2026", "x-01"] {
        assert_eq!(Period::parse(text), None, "{text}");
    }
    assert_eq!(Period::parse("2026-01").unwrap().previous(), Period::parse("2025-12"));
    assert_eq!(Period::parse("2026-Q1").unwrap().previous(), Period::parse("2025-Q4"));
}

#[test]
fn the_running_periods_are_listed_and_the_previous_ones_while_their_report_is_owed() {
    let september = Period::parse("2026-09").unwrap();
    let done = Done { period: september, done_at: at("2026-09-21T10:00:00"), report_at: None };
    let quarter = Done { period: Period::parse("2026-Q3").unwrap(), ..done };
    assert_eq!(
        states(&[done, quarter], "2026-10-02T12:00:00"),
        [
            ("2026-09".to_owned(), "on_time", Some("open")),
            ("2026-10".to_owned(), "planned", None),
            ("2026-Q3".to_owned(), "late", Some("open")),
            ("2026-Q4".to_owned(), "planned", None),
        ]
    );
    let reported = Done { report_at: Some(at("2026-10-03T00:00:00")), ..done };
    let names =
        |list: Vec<(String, &str, Option<&str>)>| list.into_iter().map(|row| row.0).collect::<Vec<_>>();
    assert_eq!(names(states(&[reported, quarter], "2026-10-04T12:00:00")), ["2026-10", "2026-Q3", "2026-Q4"]);
}

#[test]
fn a_missed_inspection_stays_on_the_list_until_its_report_would_have_been_late() {
    assert_eq!(states(&[], "2026-10-03T12:00:00")[0], ("2026-09".to_owned(), "missed", None));
    assert_eq!(states(&[], "2026-10-04T00:00:00")[0].0, "2026-10");
}

#[test]
fn a_start_day_beyond_a_short_month_means_its_end_and_the_window_still_fits() {
    let (policy, calendar) = (Policy { phone_start_day: 31, ..Policy::default() }, calendar());
    let planner = Planner { policy: &policy, zone: Shanghai, calendar: &calendar };
    let plan = planner.plan(Period::parse("2026-06").unwrap()).unwrap();
    // 28 June would be the last that fits, and is a Sunday.
    assert_eq!(plan.window_from, at("2026-06-26T00:00:00"));
    assert!(plan.window_to <= plan.period_to);
}

#[test]
fn a_policy_out_of_range_names_its_key() {
    assert_eq!(Policy::default().validate(), Ok(()));
    let error = Policy { phone_days: 0, ..Policy::default() }.validate().unwrap_err();
    assert_eq!(error.to_string(), "phone_days = 0: must be 1 to 31");
}
