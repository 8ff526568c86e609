//! Running time of a clock against a look at every minute.

use std::collections::BTreeMap;

use chrono::Timelike;
use chrono_tz::Tz;
use kioskwatch_domain::calendar::{MissingYears, WorkCalendar};
use kioskwatch_domain::sla::{Clock, Hours, OfficeHours, Pause, Pauses};
use kioskwatch_domain::wall;
use proptest::prelude::*;

/// Long enough for every budget drawn below, over any week-end.
const HORIZON_MIN: i64 = 12 * 24 * 60;

fn runs(office: Option<&[(i64, i64)]>, pauses: &[Pause], zone: Tz, t: i64) -> bool {
    let shown = wall::local_of(zone, t);
    let second = i64::from(shown.time().num_seconds_from_midnight());
    let calendar = WorkCalendar::new(BTreeMap::new(), MissingYears::FollowTheWeek);
    let open = office.is_none_or(|windows| {
        windows.iter().any(|(opens, closes)| *opens <= second && second < *closes)
            && calendar.ask().is_working_day(shown.date()).unwrap()
    });
    open && !pauses.iter().any(|pause| pause.from <= t && pause.to.is_none_or(|to| t < to))
}

fn pauses(start: i64) -> impl Strategy<Value = Vec<Pause>> {
    let one =
        (-600..4_000_i64, -30..2_000_i64, prop::bool::weighted(0.1)).prop_map(move |(from, length, open)| {
            let from = start + from * 60;
            Pause { from, to: (!open).then_some(from + length * 60) }
        });
    prop::collection::vec(one, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_walk_ends_after_the_last_running_second(
        (zone, start, pauses) in super::wall_model::around_a_change(200_000).prop_flat_map(|(zone, t)| {
            let start = t / 60 * 60;
            (Just(zone), Just(start), pauses(start))
        }),
        budget_min in 1..600_i64,
        windows in prop::option::of(prop_oneof![
            Just(vec![(9 * 3_600, 18 * 3_600)]),
            Just(vec![(0, 3 * 3_600), (13 * 3_600 + 1_800, 86_400)]),
        ]),
    ) {
        let painted: Pauses = pauses.iter().copied().collect();
        let office = windows.as_deref().map(|windows| OfficeHours::new(windows).unwrap());
        let calendar = WorkCalendar::new(BTreeMap::new(), MissingYears::FollowTheWeek);
        let hours = office.as_ref().map_or(Hours::Always, Hours::Office);
        let clock = Clock { hours, zone, calendar: &calendar, pauses: &painted };

        let running: Vec<i64> = (0..HORIZON_MIN)
            .map(|minute| start + minute * 60)
            .filter(|t| runs(windows.as_deref(), &pauses, zone, *t))
            .collect();
        let wanted = usize::try_from(budget_min).unwrap();
        let expected = running.get(wanted - 1).map(|last| last + 60);
        let due = clock.walk(start, budget_min * 60).unwrap().value;
        prop_assert_eq!(due, expected);

        let at = start + 3 * 24 * 3_600;
        let spent = i64::try_from(running.iter().filter(|t| **t < at).count()).unwrap() * 60;
        prop_assert_eq!(clock.elapsed(start, at).unwrap().value, spent);
        if let Some(due) = due {
            prop_assert_eq!(clock.elapsed(start, due).unwrap().value, budget_min * 60);
            prop_assert_eq!(clock.elapsed(start, due - 1).unwrap().value, budget_min * 60 - 1);
        }
    }
}
