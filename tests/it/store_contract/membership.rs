//! Who belonged to whom within a time.
use kioskwatch_domain::{
    calendar::WorkCalendar,
    change::*,
    uptime::{Commissioned, Month, Ratio},
};
use kioskwatch_proto::Timestamp;
use kioskwatch_server::{
    app::{NotLive, UptimePeriod, UptimeQuery, UptimeReader, UptimeScope},
    config::Config,
    store::{Scope, ServiceDates, Store},
};

use super::{Empty, months::month, rows::*};

fn assigned(kiosk: &str, group: GroupKind, name: &str, from: i64, to: Option<i64>) -> Change {
    Change::Assignment(AssignmentRow {
        kiosk: kiosk_id(kiosk),
        group,
        group_id: name.into(),
        from: at(from),
        to: to.map(at),
        said: None,
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
            assigned("left", GroupKind::Model, "M-0", 0, Some(8)),
            assigned("left", GroupKind::Model, "M-1", 8, None),
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
    assert_eq!(of(&store, GroupKind::Model, &["M-2"], 0, 20).await, ["nowhere"], "it is registered so");
    assert_eq!(of(&store, GroupKind::Model, &["M-0"], 0, 8).await, ["left"], "it was one until then");
    assert_eq!(of(&store, GroupKind::Model, &["M-0"], 8, 20).await, [""; 0]);
    assert_eq!(store.every_kiosk().await.unwrap().len(), 3);
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

fn stretch(from: i64, to: Option<i64>) -> ServiceSpan {
    ServiceSpan { commissioned_at: Some(at(from)), decommissioned_at: to.map(at) }
}

pub(super) fn commissioned(kiosk: &str, known_from: Timestamp, stretches: &[ServiceSpan]) -> Change {
    let stretches = Commissioned::of(stretches.iter().copied());
    Change::Commissioned(CommissionedRow { kiosk: kiosk_id(kiosk), known_from, stretches })
}

pub(crate) async fn when_kiosks_count_is_kept_with_what_was_known_before(empty: Empty) {
    let store = empty.open().await;
    let (always, first, away) = (CommissionedRow::ALWAYS, stretch(0, None), stretch(0, Some(DAY)));
    let back = stretch(5 * DAY, None);
    store
        .commit(&[
            Change::Kiosk(kiosk("k1", None)),
            commissioned("k1", always, &[first]),
            commissioned("k1", at(DAY), &[away]),
            // In the same commit; what was always known is the first that is said of it.
            commissioned("k1", always, &[away]),
        ])
        .await
        .unwrap();
    let later = [commissioned("k1", always, &[away]), commissioned("k1", at(5 * DAY), &[away])];
    store.commit(&later).await.unwrap();
    store.commit(&[commissioned("k1", at(5 * DAY), &[away, back])]).await.unwrap();
    let found = store.commissioned_of(&[kiosk_id("k1"), kiosk_id("k2")]).await.unwrap();
    assert_eq!(found.len(), 1);
    let before = |offset: i64| found[&kiosk_id("k1")].before(Some(at(offset).secs())).unwrap().spans();
    assert_eq!((before(DAY), before(DAY + 9_000)), (&[first][..], &[away][..]));
    assert_eq!(before(6 * DAY), [away, back]);
}

pub(crate) async fn calendars_are_kept_with_what_was_known_before(empty: Empty) {
    let store = empty.open().await;
    let terms = |known_from, off: &[&str], planned_notice_h| {
        let off: Vec<_> = off.iter().map(|day| day.parse().unwrap()).collect();
        let days = WorkCalendar::from_lists(&off, &["2026-10-10".parse().unwrap()]);
        CalendarTermsRow { known_from, days, planned_notice_h }
    };
    let put = async |rows: &[CalendarTermsRow]| {
        store.commit(&rows.iter().cloned().map(Change::CalendarTerms).collect::<Vec<_>>()).await.unwrap();
    };
    assert_eq!(store.calendar_terms().await.unwrap(), []);
    let always = terms(CalendarTermsRow::ALWAYS, &["2026-10-01", "2027-01-01"], 24);
    let later = terms(at(5), &["2026-10-02"], 48);
    // In one commit and in two: what was always known stays, anything else is what was said last.
    put(&[always.clone(), terms(CalendarTermsRow::ALWAYS, &[], 1), terms(at(5), &[], 2)]).await;
    put(&[terms(CalendarTermsRow::ALWAYS, &[], 3), later.clone()]).await;
    let noted = store.calendar_terms().await.unwrap();
    assert_eq!(noted, [always.clone(), later.clone()]);
    // The same days are no news; others are, and behind what was said last although the clock was set back.
    let learned = |days, notice_h, now| CalendarTermsRow::learned(&noted, days, notice_h, now);
    assert_eq!(learned(&later.days, 48, at(9)), []);
    assert_eq!(
        learned(&always.days, 48, at(9)),
        [CalendarTermsRow { known_from: at(9), planned_notice_h: 48, ..always.clone() }]
    );
    let back = CalendarTermsRow { known_from: at(5).plus_ms(1), planned_notice_h: 24, ..later.clone() };
    assert_eq!(learned(&later.days, 24, at(-9)), [back]);
    // What a clock noted that was years ahead says the same from then on, and nobody waits for it.
    let now = at(5).plus_ms(-400 * DAY);
    let anew = |known_from, days: &WorkCalendar| CalendarTermsRow {
        known_from,
        days: days.clone(),
        ..later.clone()
    };
    for days in [&always.days, &later.days] {
        let rows = learned(days, 48, now);
        assert_eq!(rows, [anew(now, days), anew(at(5), days)]);
        put(&rows).await;
        let noted = store.calendar_terms().await.unwrap();
        assert_eq!(noted, [always.clone(), anew(now, days), anew(at(5), days)]);
        assert_eq!(CalendarTermsRow::learned(&noted, days, 48, now), []);
        store.commit(&[Change::CalendarTerms(later.clone())]).await.unwrap();
    }
}

pub(crate) async fn hours_of_sites_are_kept_with_what_was_known_before(empty: Empty) {
    let store = empty.open().await;
    let terms = |id: &str, offset: Option<i64>, service_hours: &str| SiteTermsRow {
        site: site_id(id),
        known_from: offset.map_or(SiteTermsRow::ALWAYS, at),
        timezone: "Asia/Shanghai".into(),
        service_hours: service_hours.into(),
        region: "north".into(),
        customer: offset.map_or("A", |_| "B").into(),
    };
    let put = async |rows: &[SiteTermsRow]| {
        store.commit(&rows.iter().cloned().map(Change::SiteTerms).collect::<Vec<_>>()).await.unwrap();
    };
    let [always, later, other] =
        [terms("s1", None, ""), terms("s1", Some(5), "[]"), terms("s2", Some(1), "[]")];
    put(&[always.clone(), terms("s1", Some(5), "")]).await;
    put(&[terms("s1", None, "[1]"), later.clone(), other.clone()]).await;
    assert_eq!(store.site_terms(Some(&["s1", "s9"])).await.unwrap(), [always.clone(), later.clone()]);
    assert_eq!(store.site_terms(None).await.unwrap(), [always, later, other]);
    // Time of before belongs to whom it belonged: whose sites it was is found by that too.
    for (customer, expected) in [("A", &["s1"][..]), ("B", &["s1", "s2"])] {
        let mut found = store.sites_of_contract("customer", customer).await.unwrap();
        found.sort();
        assert_eq!(found, expected.iter().map(|id| site_id(id)).collect::<Vec<_>>());
    }
}

/// Case U21 of the uptime definition.
pub(crate) async fn who_was_away_counts_before_and_after_and_not_between(empty: Empty) {
    let store = empty.open().await;
    let when = |text: &str| Timestamp::parse(&format!("{text}+08:00")).unwrap();
    let between = |from: &str, to: Option<&str>| ServiceSpan {
        commissioned_at: Some(when(from)),
        decommissioned_at: to.map(when),
    };
    let stretches =
        [between("2025-01-01T00:00:00", Some("2026-03-10T12:00:00")), between("2026-03-25T12:00:00", None)];
    let proves = |source, from: &str, to: &str, state| {
        Change::Evidence(EvidenceRow {
            kiosk: kiosk_id("k1"),
            source,
            from: when(from),
            to: when(to),
            state,
            cause: Some("power".into()),
            received_at: None,
            epoch: None,
            seq: None,
            interval_s: None,
        })
    };
    let (live, journal) = (EvidenceSource::Live, EvidenceSource::Journal);
    store
        .commit(&[
            Change::Site(site("s1")),
            Change::Kiosk(stretches[1].put_into(&kiosk("k1", Some("s1")))),
            commissioned("k1", when("2026-03-25T12:00:00"), &stretches),
            proves(live, "2026-03-01T00:00:00", "2026-03-10T12:00:00", EvidenceState::Full),
            proves(live, "2026-03-25T12:00:00", "2026-04-01T00:00:00", EvidenceState::Full),
            proves(journal, "2026-03-26T00:00:00", "2026-03-26T06:00:00", EvidenceState::Off),
        ])
        .await
        .unwrap();
    let (config, calendar) = (Config::default(), WorkCalendar::default());
    let now = when("2026-05-01T00:00:00");
    let reader = UptimeReader { store: &store, config: &config, calendar: &calendar, now, live: &NotLive };
    let period = UptimePeriod::Month { year: 2026, month: 3 };
    let query = UptimeQuery::of(UptimeScope::Site(site_id("s1")), period);
    let figures = reader.figures(&Scope::All, &query).await.unwrap().sums.figures;
    assert_eq!((figures.accountable_s, figures.known_s), (1_382_400, 1_382_400));
    assert_eq!(
        (figures.on, figures.full),
        (Ratio::new(1_360_800, 1_382_400), Ratio::new(1_360_800, 1_382_400))
    );
    let told = reader.explain(&Scope::All, &kiosk_id("k1"), period, None).await.unwrap();
    assert_eq!((told.figures, told.commissioned_at), (figures, stretches[0].commissioned_at));
    let away: i64 = told.outside.iter().map(|(part, _)| part.length()).sum();
    assert_eq!(away, 15 * 86_400);
}
