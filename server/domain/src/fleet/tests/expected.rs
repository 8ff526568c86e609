//! Which kiosks should be on now.
use kioskwatch_proto::{SiteId, Timestamp};
use uuid::Uuid;

use crate::{
    change::{Admission, ExclusionRow, KioskRow},
    fleet::Request,
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
        world.ask("wang", Request::PutExclusion(row)).unwrap();
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
        }
        world.restart();
    }
}
