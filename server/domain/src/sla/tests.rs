use chrono_tz::{Asia::Shanghai, Europe::Berlin};

use super::*;
use crate::calendar::{MissingYears, WorkCalendar};
use crate::wall;

fn at(text: &str) -> i64 {
    wall::instant_of(Shanghai, text.parse().unwrap())
}

fn week() -> WorkCalendar {
    WorkCalendar::new(std::collections::BTreeMap::new(), MissingYears::FollowTheWeek)
}

fn office() -> OfficeHours {
    OfficeHours::new(&[(9 * 3_600, 18 * 3_600)]).unwrap()
}

#[test]
fn a_walk_lists_the_stretches_it_spent() {
    let (calendar, office, pauses) = (week(), office(), Pauses::none());
    let clock = Clock { hours: Hours::Office(&office), zone: Shanghai, calendar: &calendar, pauses: &pauses };
    let counted = clock.counted(at("2026-03-13T16:30:00"), 14_400).unwrap();
    let lengths: Vec<i64> = counted.value.iter().map(|part| part.length()).collect();
    assert_eq!(lengths, [5_400, 9_000]);
    assert!(counted.provisional);
    assert_eq!(clock.walk(at("2026-03-13T16:30:00"), 14_400).unwrap().value, Some(at("2026-03-16T11:30:00")));
}

#[test]
fn an_open_pause_that_begins_at_the_due_instant_comes_too_late() {
    let calendar = week();
    let due = |from: &str| {
        let pauses: Pauses = [Pause { from: at(from), to: None }].into_iter().collect();
        let clock = Clock { hours: Hours::Always, zone: Shanghai, calendar: &calendar, pauses: &pauses };
        clock.walk(at("2026-03-10T10:00:00"), 3_600).unwrap().value
    };
    assert_eq!(due("2026-03-10T11:00:00"), Some(at("2026-03-10T11:00:00")));
    assert_eq!(due("2026-03-10T10:59:59"), None);
    assert_eq!(due("2026-03-10T09:00:00"), None);
}

#[test]
fn a_day_with_a_clock_change_has_the_office_seconds_its_wall_clock_shows() {
    let (calendar, pauses) =
        (WorkCalendar::from_lists(&[], &["2026-03-29".parse().unwrap()]), Pauses::none());
    let night = OfficeHours::new(&[(0, 6 * 3_600)]).unwrap();
    let clock = Clock { hours: Hours::Office(&night), zone: Berlin, calendar: &calendar, pauses: &pauses };
    let midnight = wall::day_start(Berlin, "2026-03-29".parse().unwrap());
    assert_eq!(clock.elapsed(midnight, midnight + 23 * 3_600).unwrap().value, 5 * 3_600);
}

#[test]
fn what_cannot_be_counted_is_an_error_and_never_a_loop() {
    let (calendar, office, pauses) = (week(), office(), Pauses::none());
    let clock = Clock { hours: Hours::Office(&office), zone: Shanghai, calendar: &calendar, pauses: &pauses };
    assert_eq!(clock.walk(0, 0), Err(SlaError::EmptyBudget { budget_s: 0 }));
    let forever = i64::MAX;
    assert_eq!(clock.walk(0, forever), Err(SlaError::NeverOpen { budget_s: forever }));
    assert!(OfficeHours::new(&[(3_600, 3_600)]).is_none());
    let always = Clock { hours: Hours::Always, ..clock };
    assert_eq!(always.walk(0, forever), Err(SlaError::NeverOpen { budget_s: forever }));
    let refusing = WorkCalendar::default();
    let clock = Clock { calendar: &refusing, ..clock };
    assert!(matches!(clock.walk(0, 1), Err(SlaError::Calendar(_))));
    assert_eq!(clock.elapsed(10, 5).unwrap().value, 0);
}

#[test]
fn an_earlier_wish_of_the_customer_binds_us_too() {
    let (calendar, pauses) = (week(), Pauses::none());
    let clock = Clock { hours: Hours::Always, zone: Shanghai, calendar: &calendar, pauses: &pauses };
    let wish = PromiseWrite { at: 100, value: 7_200, reason: Some(PromiseReason::Customer) };
    let promise = arrival(&clock, 0, 14_400, &[wish]).unwrap();
    assert_eq!((promise.sla_arrive_due, promise.arrive_due), (Some(14_400), Some(7_200)));
    assert_eq!((promise.is_on_time(7_200), promise.is_kept(7_201)), (true, Some(false)));
}

#[test]
fn a_change_under_an_open_pause_has_no_due_time() {
    let calendar = week();
    let pauses: Pauses = [Pause { from: 600, to: None }].into_iter().collect();
    let clock = Clock { hours: Hours::Always, zone: Shanghai, calendar: &calendar, pauses: &pauses };
    let change = PriorityChange { at: 700, budget_s: 3_600, grace_s: change::GRACE_S };
    let repriced = reprice(&clock, 0, 7_200, &[change]).unwrap();
    assert_eq!((repriced.due_before, repriced.due, repriced.breached_before_change), (None, None, false));
}

#[test]
fn a_change_in_the_due_second_finds_the_clock_unbroken() {
    let (calendar, pauses) = (week(), Pauses::none());
    let clock = Clock { hours: Hours::Always, zone: Shanghai, calendar: &calendar, pauses: &pauses };
    let lowered = |at| PriorityChange { at, budget_s: 14_400, grace_s: change::GRACE_S };
    let in_time = reprice(&clock, 0, 7_200, &[lowered(7_200)]).unwrap();
    assert_eq!((in_time.due, in_time.breached_before_change), (Some(14_400), false));
    let too_late = reprice(&clock, 0, 7_200, &[lowered(7_201)]).unwrap();
    assert_eq!((too_late.due, too_late.breached_before_change), (Some(7_200), true));
}
