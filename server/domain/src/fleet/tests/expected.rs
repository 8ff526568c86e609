//! Which kiosks should be on now.
use std::collections::BTreeMap;

use kioskwatch_proto::{SiteId, Timestamp};
use uuid::Uuid;

use crate::{
    calendar::WorkCalendar,
    change::{Admission, ExclusionRow, KioskRow, SiteRow},
    fleet::Request,
    policy::Policy,
    service_hours::Schedule,
    testing::{World, world::START},
};

/// 08:00 to 20:00 on workdays; the world begins on a Monday at 10:00.
const WORKDAYS: &str = r#"[{"weekly":{"mon":[["08:00","20:00"]],"tue":[["08:00","20:00"]]}}]"#;
const HOUR: i64 = 3_600_000;

/// Kiosks in service, each with whether it should be on.
fn in_service(world: &World, now: Timestamp) -> Vec<(&str, bool)> {
    let mut all: Vec<_> =
        world.fleet.in_service(now).map(|one| (one.kiosk.id.as_str(), one.expected)).collect();
    all.sort_unstable();
    all
}

/// Site, presence, kiosks, expected.
type Counts<'a> = Vec<(String, &'a str, u64, u64)>;

fn counted(world: &World, now: Timestamp) -> Counts<'_> {
    let text = |site: &Option<SiteId>| site.as_ref().map_or_else(String::new, ToString::to_string);
    let counts = world.fleet.site_counts(now);
    let mut all: Counts<'_> =
        counts.iter().map(|n| (text(&n.site), n.presence.as_str(), n.kiosks, n.expected)).collect();
    all.sort_unstable();
    all
}

fn one_by_one(world: &World, now: Timestamp) -> Counts<'_> {
    let mut all: BTreeMap<(String, &str), (u64, u64)> = BTreeMap::new();
    for one in world.fleet.in_service(now) {
        let site = one.kiosk.site.map_or_else(String::new, ToString::to_string);
        let (kiosks, expected) = all.entry((site, one.kiosk.presence.as_str())).or_default();
        *kiosks += 1;
        *expected += u64::from(one.expected);
    }
    all.into_iter().map(|((site, presence), (kiosks, expected))| (site, presence, kiosks, expected)).collect()
}

fn excluded(world: &World, kiosk: Option<&str>, site: Option<&SiteId>) -> ExclusionRow {
    ExclusionRow {
        id: Uuid::from_u128(1 + u128::from(site.is_some())),
        kiosk: kiosk.map(|id| id.parse().unwrap()),
        site: site.cloned(),
        class: "planned".into(),
        from: world.now.plus_ms(HOUR),
        to: world.now.plus_ms(2 * HOUR),
        requested_by: "li".into(),
        approved_by: Some("wang".into()),
        approved_at: Some(world.now),
        agreed_at: None,
        withdrawn: None,
        reason: "new floor".into(),
    }
}

#[test]
fn whoever_is_retired_or_was_never_admitted_is_not_in_service() {
    let mut world = World::new();
    let later = world.now.plus_ms(HOUR);
    let dates = [
        ("accepted", Admission::Accepted, Some(START), None),
        ("no-date-yet", Admission::Accepted, None, None),
        ("leaves-soon", Admission::Accepted, Some(START), Some(later)),
        ("quarantined", Admission::Quarantined, Some(START), None),
        ("refused", Admission::Refused, Some(START), None),
    ];
    for (id, admission, commissioned_at, decommissioned_at) in dates {
        let known = world.kiosk(id, None).id;
        let row =
            KioskRow { admission, commissioned_at, decommissioned_at, ..world.store.kiosks[&known].clone() };
        world.ask("admin", Request::PutKiosk(row)).unwrap();
    }
    let now = world.now;
    assert_eq!(in_service(&world, now), [("accepted", true), ("leaves-soon", true), ("no-date-yet", false)]);
    assert_eq!(in_service(&world, later), [("accepted", true), ("no-date-yet", false)]);
    assert!(world.fleet.is_in_service(&"leaves-soon".parse().unwrap(), now));
    for gone in ["leaves-soon", "quarantined", "nobody"] {
        assert!(!world.fleet.is_in_service(&gone.parse().unwrap(), later), "{gone}");
    }
}

#[test]
fn a_kiosk_should_be_on_while_its_site_is_open_and_nobody_excluded_the_time() {
    let mut world = World::new();
    let (shop, mall) = (world.site("shop", WORKDAYS), world.site("mall", ""));
    for (id, site) in [("S-1", Some(&shop)), ("S-2", Some(&shop)), ("M-1", Some(&mall)), ("nowhere", None)] {
        world.kiosk(id, site);
    }
    for row in [excluded(&world, Some("S-1"), None), excluded(&world, None, Some(&mall))] {
        world.ask("wang", Request::PutExclusion(Box::new(row))).unwrap();
    }
    let at = |hours: i64| START.plus_ms(hours * HOUR);
    let table = [
        (at(0), [true, true, true, true]),
        (at(1), [false, false, true, true]),
        (at(2).plus_ms(-1), [false, false, true, true]),
        (at(2), [true, true, true, true]),
        (at(10), [true, false, false, true]),
        (at(22), [true, true, true, true]),
    ];
    let ids = ["M-1", "S-1", "S-2", "nowhere"];
    for restarted in [false, true] {
        for (now, expected) in table {
            let expected: Vec<_> = ids.into_iter().zip(expected).collect();
            assert_eq!(in_service(&world, now), expected, "{now}, restarted: {restarted}");
            assert_eq!(counted(&world, now), one_by_one(&world, now), "{now}");
        }
        world.restart();
    }
}

/// Figures count by [`Schedule`]; whoever is called must be called by the same.
#[test]
fn a_kiosk_should_be_on_by_the_hours_that_its_figures_are_counted_by() {
    let day = |text: &str| text.parse().unwrap();
    // Good Friday is off and a Saturday is worked instead; the clocks of Berlin go forward between the two.
    let calendar = WorkCalendar::from_lists(&[day("2027-03-26")], &[day("2027-04-03")]);
    let hours = r#"[
        {"weekly":{"mon":[["08:00","20:00"]],"thu":[["20:00","02:00"]],"fri":[["08:00","20:00"]],
                   "sun":[["01:30","03:30"]]},
         "use_calendar":true,"makeup_day_hours":[["10:00","16:00"]],
         "exceptions":{"2027-03-30":[["09:00","12:00"]],"2027-04-05":[]}},
        {"effective_from":"2027-04-07","weekly":"24x7"}]"#;
    let mut world = World::with(Policy { calendar: calendar.clone(), ..Policy::default() });
    let shop = world.site("shop", hours);
    let berlin = SiteRow { timezone: "Europe/Berlin".into(), ..world.store.sites[&shop].clone() };
    world.ask("admin", Request::PutSite(berlin)).unwrap();
    world.kiosk("S-1", Some(&shop));
    let schedule = Schedule::of_site(hours).unwrap();
    let begin = Timestamp::parse("2027-03-24T00:00:00+01:00").unwrap();
    let is_on = |world: &World, at: Timestamp| in_service(world, at) == [("S-1", true)];
    for half in 0..15 * 48 {
        for at in [begin.plus_ms(half * HOUR / 2 - 1), begin.plus_ms(half * HOUR / 2)] {
            let counts = schedule.is_open(chrono_tz::Europe::Berlin, &calendar, at.secs());
            assert_eq!(is_on(&world, at), counts, "{at}");
        }
    }
    let on = |text: &str| is_on(&world, Timestamp::parse(text).unwrap());
    assert!(!on("2027-03-26T10:00:00+01:00") && on("2027-04-03T12:00:00+02:00"));
    assert!(on("2027-03-30T10:00:00+02:00") && !on("2027-04-05T12:00:00+02:00"));
}
