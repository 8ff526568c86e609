//! What no inspection plan may ever do, whatever the policy and the holidays.

use chrono::{NaiveDate, TimeDelta};
use chrono_tz::Tz;
use kioskwatch_domain::calendar::WorkCalendar;
use kioskwatch_domain::inspection::{
    Facts, InspectionState, KioskInService, Period, Planner, Policy, due_list, outcome,
};
use kioskwatch_domain::wall;
use proptest::prelude::*;

const DAY_S: i64 = 86_400;
const ZONE: Tz = Tz::Asia__Shanghai;

fn policy() -> impl Strategy<Value = Policy> {
    (1..32_u32, 1..32_u32, 1..32_u32, 1..4_u32, (1..32_u32, 1..93_u32, 1..32_u32)).prop_map(
        |(phone_start_day, phone_days, phone_report_day, month, (onsite_start_day, onsite_days, report))| {
            Policy {
                phone_start_day,
                phone_days,
                phone_report_day,
                onsite_start_month_of_quarter: month,
                onsite_start_day,
                onsite_days,
                onsite_report_day: report,
                ..Policy::default()
            }
        },
    )
}

/// Runs of days off anywhere in two years.
fn calendar() -> impl Strategy<Value = WorkCalendar> {
    prop::collection::vec((0..700_i64, 1..40_i64), 0..6).prop_map(|runs| {
        let first = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
        let days: Vec<NaiveDate> = runs
            .into_iter()
            .flat_map(|(from, length)| (from..from + length).map(move |n| first + TimeDelta::days(n)))
            .collect();
        WorkCalendar::from_lists(&days, &[])
    })
}

fn period() -> impl Strategy<Value = Period> {
    prop_oneof![
        (2026..2028, 1..13_u32).prop_map(|(year, month)| Period::Month { year, month }),
        (2026..2028, 1..5_u32).prop_map(|(year, quarter)| Period::Quarter { year, quarter }),
    ]
}

proptest! {
    #[test]
    fn a_campaign_lies_inside_its_period_and_is_reported_after_it(
        policy in policy(), calendar in calendar(), period in period(),
    ) {
        prop_assert_eq!(policy.validate(), Ok(()));
        let plan = Planner { policy: &policy, zone: ZONE, calendar: &calendar }.plan(period).unwrap();
        prop_assert!(plan.period_from <= plan.window_from && plan.window_to <= plan.period_to);
        let days = if matches!(period, Period::Month { .. }) { policy.phone_days } else { policy.onsite_days };
        let whole = plan.period_to - plan.period_from;
        prop_assert_eq!(plan.window_to - plan.window_from, (i64::from(days) * DAY_S).min(whole));
        prop_assert!(plan.window_from <= plan.latest_start);
        prop_assert!(plan.period_to <= plan.report_due_strict && plan.remind_at < plan.report_due_strict);
        prop_assert_eq!(plan.report_due_lenient - plan.report_due_strict, DAY_S);
        let first_day = wall::date_of(ZONE, plan.window_from);
        let is_worked = calendar.ask().is_working_day(first_day).unwrap();
        // Only a window that cannot move any further back opens on a day off.
        prop_assert!(is_worked || plan.window_from == plan.period_from);
    }

    #[test]
    fn an_undone_inspection_goes_through_its_states_in_order(
        policy in policy(), calendar in calendar(), period in period(),
    ) {
        use InspectionState::{Missed, Open, Overdue, Planned};
        let plan = Planner { policy: &policy, zone: ZONE, calendar: &calendar }.plan(period).unwrap();
        let order = [Planned, Open, Overdue, Missed];
        let mut last = 0;
        for now in (plan.period_from - DAY_S..plan.period_to + DAY_S).step_by(6 * 3_600) {
            let state = outcome(&plan, &Facts::default(), now).inspection;
            let place = order.iter().position(|one| *one == state).unwrap();
            prop_assert!(place >= last);
            last = place;
        }
        prop_assert_eq!(last, 3);
    }

    #[test]
    fn every_instant_has_one_running_inspection_of_each_kind(
        policy in policy(), calendar in calendar(), day in 40..600_i64,
    ) {
        let now = 1_767_196_800 + day * DAY_S;
        let planner = Planner { policy: &policy, zone: ZONE, calendar: &calendar };
        let kiosk = KioskInService { commissioned_at: None, decommissioned_at: None, done: &[] };
        let list = due_list(&planner, &kiosk, now).unwrap();
        let running = list.iter().filter(|due| due.plan.period_from <= now && now < due.plan.period_to);
        prop_assert_eq!(running.count(), 2);
        prop_assert!(list.iter().filter(|due| now >= due.plan.period_to).all(|due| !due.is_pending()));
    }
}
