//! Who belonged to whom within a time.
use kioskwatch_domain::{change::*, uptime::Month};
use kioskwatch_proto::Timestamp;
use kioskwatch_server::store::{ServiceDates, Store};

use super::{Empty, months::month, rows::*};

fn assigned(kiosk: &str, group: GroupKind, name: &str, from: i64, to: Option<i64>) -> Change {
    Change::Assignment(AssignmentRow {
        kiosk: kiosk_id(kiosk),
        group,
        group_id: name.into(),
        from: at(from),
        to: to.map(at),
    })
}

pub(crate) async fn those_who_belonged_to_a_group_are_found_by_their_assignments(empty: Empty) {
    let store = empty.open().await;
    let south = SiteRow { region: "south".into(), customer: "post".into(), ..site("s2") };
    store
        .commit(&[
            Change::Site(site("s1")),
            Change::Site(south),
            Change::Kiosk(kiosk("left", Some("s2"))),
            Change::Kiosk(kiosk("registered", Some("s1"))),
            Change::Kiosk(KioskRow { model: "M-2".into(), ..kiosk("nowhere", None) }),
            assigned("left", GroupKind::Site, "s1", 0, Some(10)),
            assigned("left", GroupKind::Site, "s2", 10, None),
            assigned("nowhere", GroupKind::Engineer, "王", 0, None),
            // An engineer may be called like a site.
            assigned("nowhere", GroupKind::Engineer, "s1", 0, None),
        ])
        .await
        .unwrap();
    let of = async |store: &Store, kind, names: &[&str], from, to| {
        let found = store.kiosks_of_groups(kind, names.to_vec(), at(from), at(to)).await.unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(of(&store, GroupKind::Site, &["s1"], 9, 10).await, ["left", "registered"]);
    assert_eq!(of(&store, GroupKind::Site, &["s1"], 10, 20).await, ["registered"]);
    assert_eq!(of(&store, GroupKind::Site, &["s1", "s2"], 0, 20).await, ["left", "registered"]);
    assert_eq!(of(&store, GroupKind::Engineer, &["王"], 5, 6).await, ["nowhere"]);
    assert_eq!(of(&store, GroupKind::Engineer, &["王"], -2, 0).await, [""; 0]);
    assert_eq!(store.kiosks_of_model(Some("M-2")).await.unwrap(), [kiosk_id("nowhere")]);
    assert_eq!(store.kiosks_of_model(None).await.unwrap().len(), 3);
    for (kind, name, expected) in [("region", "south", "s2"), ("customer", "bank", "s1")] {
        assert_eq!(store.sites_of_contract(kind, name).await.unwrap(), [site_id(expected)]);
    }
    assert_eq!(store.sites_of_contract("region", "bank").await.unwrap(), []);
    assert_eq!(store.sites_of(&["s2", "s9"]).await.unwrap()[0].customer, "post");
}

pub(crate) async fn forgiven_time_is_found_for_those_it_is_about(empty: Empty) {
    let store = empty.open().await;
    let rows =
        [exclusion(1, Some("k1"), None), exclusion(2, None, Some("s1")), exclusion(3, Some("k2"), None)];
    store.commit(&rows.clone().map(Change::Exclusion)).await.unwrap();
    let (from, to): (Timestamp, Timestamp) = (rows[0].from, rows[0].to);
    let found = store.exclusions_about(&["s1", "k1"], from, to).await.unwrap();
    assert_eq!(found, rows[..2]);
    assert_eq!(store.exclusions_about(&["k1"], to, to.plus_ms(1)).await.unwrap(), []);
}

pub(crate) async fn what_was_signed_of_a_month_is_found_by_kiosk(empty: Empty) {
    let store = empty.open().await;
    let october: Month = "2026-10".parse().unwrap();
    let rows =
        [month("k1", "s1", 0, 1), month("k1", "s1", 1, 1), month("k1", "s1", 2, 5), month("k2", "s1", 0, 1)];
    store.commit(&rows.clone().map(|row| Change::Month(Box::new(row)))).await.unwrap();
    let found = store.signed_months(&[kiosk_id("k1"), kiosk_id("k2")], october).await.unwrap();
    assert_eq!(found, rows[1..3]);
    assert_eq!(store.signed_months(&[kiosk_id("k1")], october.next()).await.unwrap(), []);
}

pub(crate) async fn kiosks_in_service_are_counted_by_their_dates_and_wall_clock(empty: Empty) {
    let store = empty.open().await;
    let never = KioskRow { commissioned_at: None, ..kiosk("k0", Some("s1")) };
    let gone = KioskRow { decommissioned_at: Some(at(5)), ..kiosk("k3", None) };
    let rows = [never, kiosk("k1", Some("s1")), kiosk("k2", Some("s1")), gone];
    store.commit(&[Change::Site(site("s1"))]).await.unwrap();
    store.commit(&rows.map(Change::Kiosk)).await.unwrap();
    let mut found = store.service_dates().await.unwrap();
    found.sort_by_key(|dates| dates.kiosks);
    let dates = |timezone: &str, decommissioned_at, kiosks| ServiceDates {
        timezone: timezone.into(),
        commissioned_at: at(-DAY),
        decommissioned_at,
        kiosks,
    };
    assert_eq!(found, [dates("", Some(at(5)), 1), dates("Asia/Shanghai", None, 2)]);
}
