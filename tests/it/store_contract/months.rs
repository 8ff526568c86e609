//! Month figures.
use std::collections::BTreeMap;

use kioskwatch_domain::{
    change::*,
    uptime::{Cause, Figures, Month, Ratio},
};
use kioskwatch_proto::KioskId;
use kioskwatch_server::store::{MonthGroup, Scope, StoreError};
use sqlx::{Connection as _, Executor as _};

use super::{Empty, rows::*};

pub(crate) fn october() -> Month {
    "2026-10".parse().unwrap()
}

pub(crate) fn month(kiosk: &str, site: &str, version: u32, down_s: i64) -> MonthRow {
    let figures = Figures {
        accountable_s: 1_000,
        known_s: 900,
        on: Ratio::new(1_000, 1_000),
        avail: Ratio::new(1_000 - down_s, 1_000),
        full: Ratio::new(500, 1_000),
        online: Ratio::new(800, 950),
        causes: BTreeMap::from([(Cause::Hardware, down_s)]),
    };
    MonthRow {
        month: october(),
        kiosk: kiosk_id(kiosk),
        version,
        site: Some(site_id(site)),
        engineer: Some("李工".into()),
        region: "华东".into(),
        customer: "bank".into(),
        model: "KT-1".into(),
        period_from: at(-30 * DAY),
        period_to: at(0),
        as_of: at(0),
        booked_at: at(7),
        frozen_at: (version > 0).then(|| at(6)),
        target: (99, 100),
        sums: MonthSums {
            figures,
            excluded_s: 60,
            raw_on: Ratio::new(1_000, 1_060),
            raw_avail: Ratio::new(1_000 - down_s, 1_060),
            raw_full: Ratio::new(500, 1_060),
            outages: 2,
            outages_by_cause: BTreeMap::from([(Cause::Hardware, 1), (Cause::Power, 1)]),
            longest_outage_s: down_s,
            longest_outage_at: Some(at(-DAY)),
        },
        fingerprint: format!("{down_s:064}"),
        inputs: r#"{"evidence":"00"}"#.into(),
    }
}

pub(crate) fn booked(row: &MonthRow) -> Change {
    Change::Month(Box::new(row.clone()))
}

pub(crate) async fn running_months_are_replaced_and_signed_ones_are_not(empty: Empty) {
    let store = empty.open().await;
    let nowhere = MonthRow { site: None, engineer: None, ..month("k1", "s1", 0, 30) };
    store.commit(&[booked(&month("k1", "s1", 0, 10)), booked(&nowhere)]).await.unwrap();
    let running = month("k1", "s1", 0, 20);
    let signed = month("k1", "s1", 1, 20);
    store.commit(&[booked(&running), booked(&signed)]).await.unwrap();
    let expected = [nowhere, running, signed.clone()];
    let found = store.versions_of_month(&Scope::All, &kiosk_id("k1"), october()).await.unwrap();
    assert_eq!(found, expected);
    assert_eq!(store.months_of_kiosks(&[kiosk_id("k1")], october()).await.unwrap(), expected);
    assert_eq!(store.months_of_kiosks(&[kiosk_id("k1")], october().next()).await.unwrap(), []);

    store.commit(&[booked(&signed)]).await.unwrap();
    let rewritten = MonthRow { booked_at: at(8), ..month("k1", "s1", 1, 0) };
    let added = MonthRow { booked_at: at(9), ..month("k1", "s2", 1, 0) };
    for forged in [rewritten, added] {
        let refused = store.commit(&[booked(&forged)]).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    }
    store.commit(&[booked(&month("k1", "s1", 2, 40))]).await.unwrap();
    let below = store.commit(&[booked(&MonthRow { site: None, ..signed })]).await;
    assert!(matches!(below, Err(StoreError::Conflict { .. })), "below a newer version: {below:?}");
    assert_eq!(store.versions_of_month(&Scope::All, &kiosk_id("k1"), october()).await.unwrap().len(), 4);
}

pub(crate) async fn a_month_in_which_a_site_changed_hands_has_a_row_for_each_of_them(empty: Empty) {
    let store = empty.open().await;
    let of = |version: u32, region: &str, customer: &str, down_s: i64| MonthRow {
        region: region.into(),
        customer: customer.into(),
        fingerprint: "f".into(),
        ..month("k1", "s1", version, down_s)
    };
    for version in [0, 1] {
        let rows = [of(version, "北", "a", 1), of(version, "北", "b", 2), of(version, "南", "b", 4)];
        store.commit(&rows.each_ref().map(booked)).await.unwrap();
        // As it is: of the running version each row is replaced, of the signed one nothing is another.
        store.commit(&rows.each_ref().map(booked)).await.unwrap();
        let found = store.versions_of_month(&Scope::All, &kiosk_id("k1"), october()).await.unwrap();
        assert_eq!(found.into_iter().filter(|row| row.version == version).collect::<Vec<_>>(), rows);
        for (kind, name, down_s) in [
            ("customer", "a", 1),
            ("customer", "b", 6),
            ("region", "北", 3),
            ("site", "s1", 7),
            ("fleet", "", 7),
        ] {
            let total = store.total_of_month(&Scope::All, october(), kind, name).await.unwrap();
            let avail = total.sums.figures.avail;
            assert_eq!((avail.den - avail.num, total.kiosks), (down_s, 1), "{kind} {name}");
        }
    }
}

pub(crate) async fn a_month_in_which_the_model_changed_has_a_row_for_each_of_them(empty: Empty) {
    let store = empty.open().await;
    let of = |version: u32, model: &str, down_s: i64| MonthRow {
        model: model.into(),
        fingerprint: "f".into(),
        ..month("k1", "s1", version, down_s)
    };
    for version in [0, 1] {
        let rows = [of(version, "", 1), of(version, "KT-1", 2), of(version, "KT-2", 4)];
        store.commit(&rows.each_ref().map(booked)).await.unwrap();
        store.commit(&rows.each_ref().map(booked)).await.unwrap();
        let found = store.versions_of_month(&Scope::All, &kiosk_id("k1"), october()).await.unwrap();
        assert_eq!(found.into_iter().filter(|row| row.version == version).collect::<Vec<_>>(), rows);
        let whole = ("fleet", "");
        let months = (october(), october());
        let parts = store.groups_of_months(&Scope::All, months, whole, "model", "avail").await.unwrap();
        let down = |one: &MonthGroup| (one.name.clone(), one.figures.avail.den - one.figures.avail.num);
        let expected = [("KT-2", 4), ("KT-1", 2), ("", 1)].map(|(name, down_s)| (name.to_owned(), down_s));
        assert_eq!(parts.iter().map(down).collect::<Vec<_>>(), expected);
    }
}

pub(crate) async fn the_database_itself_keeps_signed_months(empty: Empty) {
    let store = empty.open().await;
    store.commit(&[booked(&month("k1", "s1", 0, 10)), booked(&month("k1", "s1", 1, 10))]).await.unwrap();
    let mut intruder = sqlx::AnyConnection::connect(&super::raw_url(&empty)).await.unwrap();
    for statement in [
        "UPDATE uptime_month SET avail_s = avail_of_s WHERE version = 1",
        "UPDATE uptime_month SET version = 1, site = 's9' WHERE version = 0",
        "DELETE FROM uptime_month WHERE version = 1",
        "INSERT INTO uptime_month SELECT * FROM uptime_month WHERE version = 1",
        // Figures that cannot be are refused whoever writes them: 101 %, a negative, causes that miss.
        "UPDATE uptime_month SET on_s = on_of_s + 1 WHERE version = 0",
        "UPDATE uptime_month SET full_s = -1 WHERE version = 0",
        "UPDATE uptime_month SET avail_s = avail_s + 1 WHERE version = 0",
        "UPDATE uptime_month SET outages_network = outages_network + 1 WHERE version = 0",
        "UPDATE uptime_month SET outages_software = -3 WHERE version = 0",
    ] {
        assert!(intruder.execute(statement).await.is_err(), "{statement}");
    }
    intruder.execute("DELETE FROM uptime_month WHERE version = 0").await.unwrap();
    let found = store.versions_of_month(&Scope::All, &kiosk_id("k1"), october()).await.unwrap();
    assert_eq!(found, [month("k1", "s1", 1, 10)]);
}

pub(crate) async fn a_group_is_the_sum_of_its_official_figures(empty: Empty) {
    let store = empty.open().await;
    let signed = month("k1", "s1", 1, 20);
    let fingerprint = signed.fingerprint.clone();
    let elsewhere =
        MonthRow { engineer: None, region: "华北".into(), fingerprint, ..month("k1", "s2", 1, 5) };
    let changes = [
        month("k1", "s1", 0, 100),
        signed,
        elsewhere,
        MonthRow { target: (995, 1_000), ..month("k2", "s1", 0, 40) },
        MonthRow { month: october().next(), ..month("k2", "s1", 0, 400) },
    ];
    store.commit(&changes.map(|row| booked(&row))).await.unwrap();
    let down = async |scope: &Scope, kind, id: &str| {
        let total = store.total_of_month(scope, october(), kind, id).await.unwrap();
        let figures = total.sums.figures;
        assert_eq!(figures.causes.values().sum::<i64>(), figures.avail.den - figures.avail.num);
        (figures.avail.den - figures.avail.num, total.kiosks)
    };
    let (all, own) = (Scope::All, Scope::Sites([site_id("s2")].into()));
    assert_eq!(down(&all, "fleet", "").await, (65, 2));
    assert_eq!(down(&all, "site", "s1").await, (60, 2));
    assert_eq!(down(&all, "region", "华北").await, (5, 1));
    assert_eq!(down(&all, "customer", "bank").await, (65, 2));
    assert_eq!(down(&all, "engineer", "李工").await, (60, 2));
    assert_eq!(down(&all, "model", "KT-1").await, (65, 2));
    assert_eq!(down(&all, "kiosk", "k1").await, (25, 1));
    assert_eq!(down(&own, "fleet", "").await, (5, 1));
    assert_eq!(down(&all, "site", "s9").await, (0, 0));
    let total = store.total_of_month(&all, october(), "fleet", "").await.unwrap();
    assert_eq!((total.newest_version, total.oldest_version), (1, 0));
    assert_eq!((total.sums.outages, total.sums.longest_outage_s, total.frozen_at), (6, 40, Some(at(6))));
    let by_cause = BTreeMap::from([(Cause::Power, 3), (Cause::Hardware, 3)]);
    assert_eq!((&total.sums.outages_by_cause, total.sums.not_told_by_cause()), (&by_cause, 0));
    for (kind, id, target) in
        [("fleet", "", Some((995, 1_000))), ("kiosk", "k1", Some((99, 100))), ("site", "s9", None)]
    {
        let total = store.total_of_month(&all, october(), kind, id).await.unwrap();
        assert_eq!(total.target, target, "{kind}: of several promises the highest");
    }
    for (scope, group) in [(&all, ("fleet", "")), (&all, ("engineer", "李工")), (&own, ("fleet", ""))] {
        let total = store.total_of_month(scope, october(), group.0, group.1).await.unwrap();
        let ratios = store.ratios_of_month(scope, october(), group).await.unwrap();
        let told = |figures: &Figures| (figures.on, figures.avail, figures.full, figures.coverage());
        assert_eq!(told(&ratios.figures), told(&total.sums.figures), "{group:?}");
        assert_eq!(ratios.promised, total.target, "{group:?}");
    }
    let nobody_signed = store.ratios_of_month(&all, october().next(), ("fleet", "")).await.unwrap();
    assert_eq!((nobody_signed.figures.avail.num, nobody_signed.promised), (600, None));
    let worst = store.worst_of_month(&all, october(), ("fleet", ""), "avail").await.unwrap();
    let worst: Vec<_> = worst.iter().map(|one| (one.kiosk.as_str(), one.lost_s)).collect();
    assert_eq!(worst, [("k2", 40), ("k1", 25)]);
    // The ten that were down longest, of equals by their names, and none that never was.
    let others: Vec<MonthRow> =
        (10..20).map(|n| month(&format!("k{n}"), "s1", 0, i64::from(n > 10) * 30)).collect();
    store.commit(&others.iter().map(booked).collect::<Vec<_>>()).await.unwrap();
    let ask = async |kind, id| {
        let worst = store.worst_of_month(&all, october(), (kind, id), "avail").await.unwrap();
        worst.into_iter().map(|one| (one.kiosk.to_string(), one.lost_s)).collect::<Vec<_>>()
    };
    let thirty = (11..20).map(|n| (format!("k{n}"), 30));
    let ten: Vec<_> = [("k2".to_owned(), 40)].into_iter().chain(thirty).collect();
    assert_eq!(ask("fleet", "").await, ten, "the eleventh is left out");
    assert_eq!(ask("site", "s2").await, [("k1".to_owned(), 5)]);
}

pub(crate) async fn what_was_signed_by_an_instant_is_the_version_that_stood_then(empty: Empty) {
    let store = empty.open().await;
    let signed = |kiosk: &str, version, down_s, by| {
        let row = month(kiosk, "s1", version, down_s);
        MonthRow { booked_at: at(by), target: (98 + i64::from(version), 100), ..row }
    };
    // A share that was taken away stays as a row of nothing.
    let mut gone = signed("k3", 2, 0, 30);
    gone.sums = MonthSums::default();
    let rows = [
        signed("k1", 0, 100, 50),
        signed("k1", 1, 20, 10),
        signed("k1", 2, 30, 20),
        signed("k2", 1, 5, 15),
        signed("k3", 1, 1, 15),
        gone,
        signed("k4", 0, 400, 50),
    ];
    store.commit(&rows.each_ref().map(booked)).await.unwrap();
    let kiosks: Vec<Change> =
        ["k1", "k2", "k3", "k4"].iter().map(|id| Change::Kiosk(kiosk(id, Some("s1")))).collect();
    store.commit(&kiosks).await.unwrap();
    let (all, far) = (Scope::All, Scope::Sites([site_id("s2")].into()));
    for (by, down, newest, target, worst, unsigned) in [
        (9, (0, 0), 0, None, &[][..], &["k1", "k2", "k3", "k4"][..]),
        (10, (20, 1), 1, Some((99, 100)), &["k1"][..], &["k2", "k3", "k4"][..]),
        (15, (26, 3), 1, Some((99, 100)), &["k1", "k2", "k3"][..], &["k4"][..]),
        (20, (36, 3), 2, Some((100, 100)), &["k1", "k2", "k3"][..], &["k4"][..]),
        (60, (35, 2), 2, Some((100, 100)), &["k1", "k2"][..], &["k4"][..]),
    ] {
        for group in [("fleet", ""), ("site", "s1"), ("model", "KT-1")] {
            let signed =
                store.signed_of_month(&all, (october(), at(by)), group, "avail", None).await.unwrap();
            let (total, found) = (signed.total, signed.worst);
            let avail = total.sums.figures.avail;
            assert_eq!((avail.den - avail.num, total.kiosks), down, "{group:?} by {by}");
            assert_eq!((total.newest_version, total.target), (newest, target), "{group:?} by {by}");
            assert_eq!(found.iter().map(|one| one.kiosk.as_str()).collect::<Vec<_>>(), worst);
        }
        let of_fleet = async |scope, among| {
            store.signed_of_month(scope, (october(), at(by)), ("fleet", ""), "avail", among).await.unwrap()
        };
        assert_eq!(of_fleet(&far, None).await.total.kiosks, 0);
        let ids: Vec<KioskId> = unsigned.iter().map(|id| kiosk_id(id)).collect();
        assert_eq!(of_fleet(&all, None).await.rest, ids);
        let some = ["k2", "k4", "k9"].map(kiosk_id);
        let left: Vec<KioskId> = some.iter().filter(|id| ids.contains(id)).cloned().collect();
        assert_eq!(of_fleet(&all, Some(&some)).await.rest, left);
    }
}

pub(crate) async fn the_worst_are_those_that_lost_most_of_the_ratio_that_is_asked_for(empty: Empty) {
    let store = empty.open().await;
    let lost = |kiosk: &str, on, avail, full| {
        let mut row = month(kiosk, "s1", 1, 0);
        let figures = &mut row.sums.figures;
        for (ratio, lost) in [(&mut figures.on, on), (&mut figures.avail, avail), (&mut figures.full, full)] {
            ratio.num = ratio.den - lost;
        }
        figures.causes = BTreeMap::from([(Cause::Power, avail)]);
        (row.sums.raw_on, row.sums.raw_avail, row.sums.raw_full) = (figures.on, figures.avail, figures.full);
        booked(&row)
    };
    store.commit(&[lost("k1", 0, 20, 21), lost("k2", 5, 10, 30), lost("k3", 9, 9, 9)]).await.unwrap();
    for (ratio, expected) in [
        ("on", vec![("k3", 9), ("k2", 5)]),
        ("avail", vec![("k1", 20), ("k2", 10), ("k3", 9)]),
        ("full", vec![("k2", 30), ("k1", 21), ("k3", 9)]),
    ] {
        let fleet = ("fleet", "");
        let official = store.worst_of_month(&Scope::All, october(), fleet, ratio).await.unwrap();
        let by = (october(), at(60));
        let signed = store.signed_of_month(&Scope::All, by, fleet, ratio, None).await.unwrap();
        assert_eq!(official, signed.worst, "{ratio}");
        let told: Vec<_> = official.iter().map(|one| (one.kiosk.as_str(), one.lost_s)).collect();
        assert_eq!(told, expected, "{ratio}");
        let lost = |ratio: Ratio| ratio.den - ratio.num;
        let k3 = official.iter().find(|one| one.kiosk.as_str() == "k3").unwrap();
        assert_eq!([lost(k3.on), lost(k3.avail), lost(k3.full)], [9; 3]);
    }
}

/// The bookkeeper signs one kiosk after the other while somebody asks for their group.
pub(crate) async fn whoever_is_signed_during_a_look_is_among_the_signed_or_the_rest(empty: Empty) {
    let store = empty.open().await;
    let names: Vec<String> = (0..200).map(|n| format!("k{n:03}")).collect();
    let kiosks: Vec<Change> = names.iter().map(|id| Change::Kiosk(kiosk(id, Some("s1")))).collect();
    store.commit(&kiosks).await.unwrap();
    let among: Vec<KioskId> = names.iter().map(|id| kiosk_id(id)).collect();
    let signing = async {
        for id in &names {
            store.commit(&[booked(&month(id, "s1", 1, 5))]).await.unwrap();
        }
    };
    let asking = async {
        let mut torn = Vec::new();
        loop {
            for among in [None, Some(&among[..])] {
                let by = (october(), at(60));
                let look =
                    store.signed_of_month(&Scope::All, by, ("site", "s1"), "avail", among).await.unwrap();
                let (signed, rest) = (look.total.kiosks, look.rest.len());
                torn.extend((signed + rest as u64 != 200).then_some((signed, rest)));
                if rest == 0 {
                    return torn;
                }
            }
        }
    };
    let ((), torn) = tokio::join!(signing, asking);
    assert_eq!(torn, [], "signed and left of 200");
}

pub(crate) async fn the_parts_of_a_group_are_its_official_figures_worst_first(empty: Empty) {
    let store = empty.open().await;
    let unassigned = MonthRow { engineer: None, ..month("k2", "s2", 1, 5) };
    let next = MonthRow { month: october().next(), ..month("k2", "s2", 0, 7) };
    let rows = [month("k1", "s1", 1, 20), month("k1", "s1", 2, 50), unassigned, next];
    store.commit(&rows.iter().map(booked).collect::<Vec<_>>()).await.unwrap();
    let ask = async |scope: &Scope, to: Month, whole: (&'static str, &str), by: &'static str| {
        let parts = store.groups_of_months(scope, (october(), to), whole, by, "avail").await.unwrap();
        let told = |p: MonthGroup| (p.name, p.figures.avail.den - p.figures.avail.num, p.figures.avail.den);
        parts.into_iter().map(told).collect::<Vec<_>>()
    };
    let (all, fleet) = (Scope::All, ("fleet", ""));
    let part = |name: &str, down: i64, of: i64| (name.to_owned(), down, of);
    assert_eq!(ask(&all, october(), fleet, "site").await, [part("s1", 50, 1_000), part("s2", 5, 1_000)]);
    let two_months = ask(&all, october().next(), fleet, "kiosk").await;
    assert_eq!(two_months, [part("k1", 50, 1_000), part("k2", 12, 2_000)]);
    let engineers = ask(&all, october(), fleet, "engineer").await;
    assert_eq!(engineers, [part("李工", 50, 1_000), part("", 5, 1_000)]);
    for by in ["region", "customer", "model"] {
        assert_eq!(ask(&all, october(), ("site", "s1"), by).await.len(), 1, "{by}");
        assert_eq!(ask(&all, october(), ("engineer", "李工"), by).await[0].1, 50, "{by}");
    }
    let far = Scope::Sites([site_id("s2")].into());
    assert_eq!(ask(&far, october(), fleet, "kiosk").await, [part("k2", 5, 1_000)]);
    let versions =
        store.groups_of_months(&all, (october(), october()), fleet, "region", "avail").await.unwrap();
    let [region] = versions.as_slice() else { panic!("{versions:?}") };
    assert_eq!((region.oldest_version, region.newest_version, region.kiosks, region.outages), (1, 2, 2, 4));
    assert_eq!(region.longest_outage_s, 50);
    // Each ratio has a worst of its own.
    let rows = [("off", 100, 900, 500), ("weak", 0, 1_000, 100)].map(|(kiosk, down_s, on, full)| {
        let mut row = month(kiosk, "s3", 0, down_s);
        let of = |num| Ratio::new(num, 1_000);
        (row.sums.figures.on, row.sums.figures.full) = (of(on), of(full));
        row
    });
    store.commit(&rows.each_ref().map(booked)).await.unwrap();
    for (ratio, worst) in [("on", "off"), ("full", "weak"), ("avail", "off")] {
        let found = store.groups_of_months(&all, (october(), october()), ("site", "s3"), "kiosk", ratio);
        assert_eq!(found.await.unwrap()[0].name, worst, "{ratio}");
    }
}

pub(crate) async fn what_was_taken_from_an_owner_counts_no_kiosk(empty: Empty) {
    let store = empty.open().await;
    let emptied = |kiosk, site, version| MonthRow {
        sums: MonthSums::default(),
        fingerprint: month(kiosk, site, version, 20).fingerprint,
        ..month(kiosk, site, version, 20)
    };
    let rows = [
        month("k1", "s1", 1, 20),
        emptied("k1", "s2", 1),
        emptied("k2", "s1", 0),
        MonthRow { region: "华北".into(), ..emptied("k3", "s3", 0) },
    ];
    store.commit(&rows.each_ref().map(booked)).await.unwrap();
    for (kind, id, kiosks) in [("fleet", "", 1), ("site", "s1", 1), ("site", "s2", 0), ("kiosk", "k2", 0)] {
        let total = store.total_of_month(&Scope::All, october(), kind, id).await.unwrap();
        assert_eq!(total.kiosks, kiosks, "{kind} {id}");
    }
    let fleet = ("fleet", "");
    let parts =
        store.groups_of_months(&Scope::All, (october(), october()), fleet, "site", "avail").await.unwrap();
    let parts: Vec<_> = parts.iter().map(|part| (part.name.as_str(), part.kiosks)).collect();
    assert_eq!(parts, [("s1", 1)]);
}

pub(crate) async fn months_that_nobody_signed_are_found_however_old_they_are(empty: Empty) {
    let store = empty.open().await;
    let (old, last, now) = ("2024-03".parse().unwrap(), october().previous(), october());
    let of = |month_of, row| booked(&MonthRow { month: month_of, ..row });
    let rows = [
        of(old, month("k1", "s1", 0, 1)),
        of(old, month("k1", "s2", 0, 2)),
        of(old, month("k2", "s1", 0, 1)),
        of(old, month("k2", "s1", 1, 1)),
        of(last, month("k1", "s1", 1, 1)),
        of(last, month("k2", "s1", 0, 1)),
        of(last, month("k3", "s1", 0, 1)),
        of(now, month("k1", "s1", 0, 1)),
    ];
    store.commit(&rows).await.unwrap();
    let asked = [kiosk_id("k1"), kiosk_id("k2")];
    let mut open = store.open_months(&asked, now).await.unwrap();
    open.sort();
    assert_eq!(open, [(kiosk_id("k1"), old), (kiosk_id("k2"), last)]);
    let mut found = store.booked_months(&asked, last).await.unwrap();
    found.sort();
    assert_eq!(found, [(kiosk_id("k1"), last), (kiosk_id("k1"), now), (kiosk_id("k2"), last)]);
}
