//! Kiosks that stood in other places, and readers who see some of the places.
use kioskwatch_domain::{
    change::{Correction, CorrectionRow, CorrectionState, Decided},
    uptime::contracts::Contracts,
};

use super::{
    super::places::{Alike, Places},
    basis::flood,
    *,
};

fn site_in(id: &str, timezone: &str, region: &str) -> Change {
    let Change::Site(row) = site(id) else { unreachable!() };
    Change::Site(SiteRow { timezone: timezone.to_owned(), region: region.to_owned(), ..row })
}

fn assigned(group: GroupKind, kiosk: &str, name: &str, from: i64, to: Option<i64>) -> Change {
    Change::Assignment(AssignmentRow {
        kiosk: KioskId::new(kiosk).unwrap(),
        group,
        group_id: name.to_owned(),
        from: Timestamp(from),
        to: to.map(Timestamp),
        said: None,
    })
}

/// All of October in Shanghai, then moved to New York.
async fn moved_across_the_sea() -> Shelf {
    let end = october().to * 1_000;
    Shelf::with(&[
        site_in("S-1", "Asia/Shanghai", "R-1"),
        site_in("S-2", "America/New_York", "R-2"),
        kiosk("k", Some("S-2")),
        assigned(GroupKind::Site, "k", "S-1", 0, Some(end + 5 * DAY)),
        assigned(GroupKind::Site, "k", "S-2", end + 5 * DAY, None),
        alive(0, end + 60 * DAY),
        full("k", 0, end - 2 * DAY),
    ])
    .await
}

#[tokio::test]
async fn a_kiosk_moved_to_another_zone_does_not_take_its_past_months_along() {
    let shelf = moved_across_the_sea().await;
    let end = october().to * 1_000;
    let id = KioskId::new("k").unwrap();
    let scope = UptimeScope::Kiosk(id.clone());
    let october_is = UptimePeriod::Month { year: 2026, month: 10 };
    // Not booked yet: counted.
    let counted = shelf.month(scope.clone(), end + 20 * DAY).await;
    assert!(!counted.booked);
    assert_eq!(counted.sums.figures.on, Ratio::new(29 * 86_400, 31 * 86_400));
    let explained = shelf.reader(end + 20 * DAY).explain(&Scope::All, &id, october_is, None).await.unwrap();
    assert_eq!((explained.zone, explained.period), (chrono_tz::Asia::Shanghai, october()));
    // The bookkeeper first sees it after the move and signs the month as it was.
    shelf.keep("k", end + 20 * DAY).await;
    let month: Month = "2026-10".parse().unwrap();
    let rows = shelf.store.versions_of_month(&Scope::All, &id, month).await.unwrap();
    let periods: Vec<_> =
        rows.iter().map(|row| (row.version, row.period_from.secs(), row.period_to.secs())).collect();
    assert_eq!(periods, [(0, october().from, october().to), (1, october().from, october().to)]);
    // The month that runs is on the clock of where it stands now.
    let november = month.next();
    let rows = shelf.store.versions_of_month(&Scope::All, &id, november).await.unwrap();
    let new_york = november.period(chrono_tz::America::New_York);
    assert!(rows.iter().all(|row| row.period_to.secs() == new_york.to) && rows.len() == 2, "{rows:?}");
    // Its midnight came twelve hours later there, when it was long November at the site where the kiosk stood.
    assert!(rows.iter().all(|row| row.period_from.secs() == october().to), "{rows:?}");
}

/// The first month of which evidence is kept begins for it where the one before ended, not at midnight on its clock of
/// now: nothing of it is gone.
#[tokio::test]
async fn of_a_kiosk_that_moved_the_first_month_that_is_kept_is_kept_from_its_own_beginning() {
    let mut shelf = moved_across_the_sea().await;
    shelf.config.uptime.keep_evidence_months = 1;
    let (end, now) = (october().to * 1_000, october().to * 1_000 + 40 * DAY);
    shelf.store.commit(&[full("k", end + 6 * HOUR, end + 40 * DAY)]).await.unwrap();
    shelf.keep("k", now).await;
    let (id, november) = ("k".parse().unwrap(), "2026-11".parse().unwrap());
    let rows = shelf.store.versions_of_month(&Scope::All, &id, november).await.unwrap();
    let signed: Vec<&MonthRow> = rows.iter().filter(|row| row.version == 1).collect();
    let signed = books::total(&signed).figures;
    assert_eq!(signed.on.den - signed.on.num, 6 * 3_600);
    let period = UptimePeriod::Month { year: 2026, month: 11 };
    let explained = shelf.reader(now).explain(&Scope::All, &id, period, None).await.unwrap();
    assert_eq!(explained.figures.on, signed.on, "six silent hours before midnight in New York");
}

/// Wherever it is carried, and whatever is said of that since: no hour is in no month, and none in two.
#[test]
fn the_months_of_a_kiosk_follow_one_another_without_a_gap() {
    const ZONES: [&str; 4] = ["Asia/Shanghai", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago"];
    let sites: Vec<SiteRow> = (0..ZONES.len())
        .map(|n| match site_in(&format!("S-{n}"), ZONES[n], "R-1") {
            Change::Site(row) => row,
            _ => unreachable!(),
        })
        .collect();
    let mut places = Places::none(&Config::default());
    places.learn(&sites, &[], &mut Alike::default());
    let terms = books::Terms::default();
    let january: Month = "2026-01".parse().unwrap();
    let months: Vec<Month> =
        std::iter::successors(Some(january), |month| Some(month.next())).take(12).collect();
    let begins = january.period(chrono_tz::UTC).from;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |n: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((random >> 33) % n).unwrap()
    };
    for _ in 0..300 {
        // Most moves are near the end of a month, where zones differ in which month it is.
        let rows: Vec<AssignmentRow> = (0..below(8))
            .map(|_| {
                let month = months[usize::try_from(below(12)).unwrap()].period(chrono_tz::UTC).from;
                let from = month + below(60 * 3_600) - 30 * 3_600;
                let to = (below(3) == 0).then(|| Timestamp((from + below(40 * 86_400)) * 1_000));
                let said = (below(3) == 0).then(|| Timestamp((from + below(60 * 86_400)) * 1_000));
                let Change::Assignment(row) =
                    assigned(GroupKind::Site, "k", &format!("S-{}", below(4)), from * 1_000, None)
                else {
                    unreachable!()
                };
                AssignmentRow { to, said, ..row }
            })
            .collect();
        let Change::Kiosk(kiosk) = kiosk("k", Some("S-0")) else { unreachable!() };
        let now = begins + below(400 * 86_400);
        let of = |month| places.unsigned((&kiosk, &rows), month, (now, None), &terms).1;
        for pair in months.windows(2) {
            let (this, next) = (of(pair[0]), of(pair[1]));
            assert!(
                this.from < this.to && this.to == next.from,
                "{pair:?} at {now}: {this:?} {next:?} {rows:?}"
            );
        }
    }
}

#[tokio::test]
async fn time_that_nobody_owned_follows_no_sites_hours_wherever_the_kiosk_is_put_later() {
    let Change::Site(row) = site("S-2") else { unreachable!() };
    let closed = SiteRow { service_hours: r#"[{"weekly":{}}]"#.into(), ..row };
    let shelf = Shelf::with(&[
        site("S-1"),
        Change::Site(closed),
        kiosk("k", Some("S-2")),
        assigned(GroupKind::Site, "k", "S-1", 0, Some(4 * DAY)),
        assigned(GroupKind::Site, "k", "S-2", 6 * DAY, None),
        alive(0, 20 * DAY),
    ])
    .await;
    let answer = shelf.figures(UptimeScope::Kiosk(KioskId::new("k").unwrap()), 0, 10 * DAY, 15 * DAY).await;
    assert_eq!(answer.sums.figures.accountable_s, 6 * 86_400);
}

#[tokio::test]
async fn a_signed_month_keeps_its_period_when_the_zone_of_its_site_is_corrected() {
    let shelf = moved_across_the_sea().await;
    let end = october().to * 1_000;
    shelf.keep("k", end + DAY).await;
    let id = KioskId::new("k").unwrap();
    let month: Month = "2026-10".parse().unwrap();
    shelf.store.commit(&[site_in("S-1", "Asia/Urumqi", "R-1")]).await.unwrap();
    shelf.keep("k", end + 2 * DAY).await;
    let rows = shelf.store.versions_of_month(&Scope::All, &id, month).await.unwrap();
    assert!(rows.iter().all(|row| row.period_to.secs() == october().to), "{rows:?}");
    let proposals = shelf.store.restatements_of(std::slice::from_ref(&id), month).await.unwrap();
    assert_eq!(proposals, []);
    let october_is = UptimePeriod::Month { year: 2026, month: 10 };
    let explained = shelf.reader(end + 2 * DAY).explain(&Scope::All, &id, october_is, None).await.unwrap();
    assert_eq!(explained.period, october());
}

#[tokio::test]
async fn who_sees_some_sites_sees_running_groups_as_signed_ones() {
    let shelf = moved_in_mid_month().await;
    let end = october().to * 1_000;
    let own = Scope::Sites([SiteId::new("S-1").unwrap()].into());
    let months = async |now| {
        let mut seen = Vec::new();
        for scope in
            [UptimeScope::Fleet, UptimeScope::Model(String::new()), UptimeScope::Region(String::new())]
        {
            let period = UptimePeriod::Month { year: 2026, month: 10 };
            let query = UptimeQuery::of(scope, period);
            let answer = shelf.reader(now).figures(&own, &query).await.unwrap();
            seen.push((answer.kiosks, answer.sums.figures));
        }
        seen
    };
    let running = months(end + HOUR).await;
    assert_eq!((running[0].0, running[0].1.on), (1, Ratio::new(10 * 86_400, 10 * 86_400)));
    shelf.keep("k", end + DAY).await;
    assert_eq!(months(end + DAY).await, running, "it left, and its ten days here stay theirs to see");
    let other = Scope::Sites([SiteId::new("S-9").unwrap()].into());
    let period = UptimePeriod::Month { year: 2026, month: 10 };
    let query = UptimeQuery::of(UptimeScope::Kiosk(KioskId::new("k").unwrap()), period);
    let hidden = shelf.reader(end + HOUR).figures(&other, &query).await;
    assert!(matches!(hidden, Err(UptimeError::NotFound("kiosk"))), "{hidden:?}");
}

#[tokio::test]
async fn a_group_is_made_of_those_who_belonged_to_it_in_the_period() {
    let day = 86_400;
    let shelf = Shelf::with(&[
        site_in("S-1", "Asia/Shanghai", "north"),
        site_in("S-2", "Asia/Shanghai", "south"),
        kiosk("a", Some("S-2")),
        kiosk("b", Some("S-1")),
        kiosk("c", None),
        assigned(GroupKind::Site, "a", "S-1", 0, Some(4 * DAY)),
        assigned(GroupKind::Site, "a", "S-2", 4 * DAY, None),
        assigned(GroupKind::Engineer, "a", "li", 3 * DAY, Some(6 * DAY)),
        assigned(GroupKind::Engineer, "c", "li", 0, None),
        assigned(GroupKind::Engineer, "b", "wang", 0, None),
        alive(0, 20 * DAY),
    ])
    .await;
    for (scope, kiosks, days) in [
        (UptimeScope::Region("north".into()), 2, 4 + 10),
        (UptimeScope::Region("south".into()), 1, 6),
        (UptimeScope::Site(SiteId::new("S-1").unwrap()), 2, 4 + 10),
        (UptimeScope::Engineer("li".into()), 2, 3 + 10),
        (UptimeScope::Engineer("wang".into()), 1, 10),
        (UptimeScope::Engineer("zhao".into()), 0, 0),
        (UptimeScope::Fleet, 3, 30),
    ] {
        let answer = shelf.figures(scope.clone(), 0, 10 * DAY, 15 * DAY).await;
        let expected = (kiosks, days * day);
        assert_eq!((answer.kiosks, answer.sums.figures.accountable_s), expected, "{scope:?}");
    }
    // Its time there was over before.
    let later = shelf.figures(UptimeScope::Region("north".into()), 5 * DAY, 10 * DAY, 15 * DAY).await;
    assert_eq!((later.kiosks, later.sums.figures.accountable_s), (1, 5 * day));
}

fn forgiven(n: u128, kiosk: Option<&str>, site: Option<&str>, from: i64) -> Change {
    Change::Exclusion(ExclusionRow {
        id: Uuid::from_u128(n),
        kiosk: kiosk.map(|id| id.parse().unwrap()),
        site: site.map(|id| id.parse().unwrap()),
        class: "force_majeure".into(),
        from: Timestamp(from),
        to: Timestamp(from + HOUR),
        requested_by: "a".into(),
        approved_by: Some("b".into()),
        approved_at: Some(Timestamp(from)),
        agreed_at: None,
        withdrawn: None,
        reason: "flood".into(),
    })
}

#[tokio::test]
async fn who_sees_some_sites_is_told_of_a_kiosks_time_there_and_of_no_other() {
    let shelf = moved_in_mid_month().await;
    let (from, end) = (october().from * 1_000, october().to * 1_000);
    let windows = [
        forgiven(1, None, Some("S-1"), from + 3 * DAY),
        // It was gone by then.
        forgiven(2, None, Some("S-1"), from + 20 * DAY),
        forgiven(3, Some("k"), None, from + 15 * DAY),
    ];
    shelf.store.commit(&windows).await.unwrap();
    let id = KioskId::new("k").unwrap();
    let period = UptimePeriod::Month { year: 2026, month: 10 };
    let query = UptimeQuery::of(UptimeScope::Kiosk(id.clone()), period);
    let moved = october().from + 10 * 86_400;
    for now in [end + HOUR, end + DAY] {
        if now == end + DAY {
            shelf.keep("k", now).await;
        }
        for (site, time, listed) in [
            ("S-1", Interval::new(october().from, moved), &[1_u128][..]),
            ("S-2", Interval::new(moved, october().to), &[3]),
        ] {
            let own = Scope::Sites([SiteId::new(site).unwrap()].into());
            let told = shelf.reader(now).explain(&own, &id, period, None).await.unwrap();
            let asked = shelf.reader(now).figures(&own, &query).await.unwrap();
            assert_eq!(told.sums.figures, asked.sums.figures, "{site}, signed: {}", asked.signed);
            assert_eq!(told.figures, asked.sums.figures);
            assert_eq!(told.site.as_ref().map(SiteId::as_str), Some(site));
            let parts = told.intervals.iter().map(|one| Interval::new(one.from, one.to));
            let parts = parts.chain(told.outside.iter().map(|(part, _)| *part));
            assert_eq!(parts.collect::<IntervalSet>(), IntervalSet::of(time), "{site}");
            let windows: Vec<_> = told.exclusions.iter().map(|row| row.id.as_u128()).collect();
            assert_eq!(windows, listed, "{site}");
        }
        let other = Scope::Sites([SiteId::new("S-9").unwrap()].into());
        let hidden = shelf.reader(now).explain(&other, &id, period, None).await;
        assert!(matches!(hidden, Err(UptimeError::NotFound("kiosk"))), "{hidden:?}");
    }
}

/// Put on 10 November with a commissioning of 1 October: what an older server wrote down of it.
async fn first_said_to_stand_somewhere_on(day: i64) -> Shelf {
    let (from, end) = (october().from * 1_000, october().to * 1_000);
    let Change::Kiosk(row) = kiosk("k", Some("S-1")) else { unreachable!() };
    Shelf::with(&[
        site("S-1"),
        Change::Kiosk(KioskRow { commissioned_at: Some(Timestamp(from)), ..row }),
        assigned(GroupKind::Site, "k", "S-1", from + day * DAY, None),
        alive(0, end + 60 * DAY),
        full("k", from, end + 60 * DAY),
    ])
    .await
}

#[tokio::test]
async fn who_owns_a_month_does_not_depend_on_who_asks_nor_on_how_much_is_looked_at() {
    let shelf = first_said_to_stand_somewhere_on(40).await;
    let (from, end) = (october().from * 1_000, october().to * 1_000);
    let now = end + 20 * DAY;
    let here = UptimeScope::Site(SiteId::new("S-1").unwrap());
    // Asked before anything is booked, of the month and of days before its first assignment.
    let asked = shelf.month(here.clone(), now).await;
    assert_eq!((asked.booked, asked.kiosks, asked.sums.figures.accountable_s), (false, 0, 0));
    let days = shelf.figures(here.clone(), from + 2 * DAY, from + 4 * DAY, now).await;
    assert_eq!(days.sums.figures.accountable_s, 0);
    let scoped = Scope::Sites([SiteId::new("S-1").unwrap()].into());
    let period = UptimePeriod::Between(Timestamp(from + 2 * DAY), Timestamp(from + 42 * DAY));
    let query = UptimeQuery::of(UptimeScope::Fleet, period);
    let seen = shelf.reader(now).figures(&scoped, &query).await.unwrap();
    assert_eq!(seen.sums.figures.accountable_s, 2 * 86_400, "since it stands there");
    // The bookkeeper, whose look holds the assignment of November, says the same.
    shelf.keep("k", now).await;
    let booked = shelf.month(here, now).await;
    assert_eq!(booked.sums.figures.accountable_s, 0);
    let fleet = shelf.month(UptimeScope::Fleet, now).await;
    assert!(fleet.signed);
    assert_eq!(fleet.sums.figures.accountable_s, 31 * 86_400);
}

#[tokio::test]
async fn where_a_kiosk_stood_and_who_answered_for_it_is_restated_and_what_was_signed_is_explained_as_it_was()
{
    let shelf = moved_in_mid_month().await;
    let (from, end) = (october().from * 1_000, october().to * 1_000);
    let (kiosk, month): (KioskId, Month) = ("k".parse().unwrap(), "2026-10".parse().unwrap());
    let corrected = |id: u128, group, after: Option<&str>, days: [i64; 2], decided_at: i64| {
        let what = Correction::Assignment {
            kiosk: "k".parse().unwrap(),
            group,
            before: Vec::new(),
            after: after.map(str::to_owned),
        };
        Change::Correction(Box::new(CorrectionRow {
            id: Uuid::from_u128(id),
            what,
            from: Timestamp(from + days[0] * DAY),
            to: Timestamp(from + days[1] * DAY),
            reason: "r".into(),
            state: CorrectionState::Approved,
            requested_by: "dispatcher".into(),
            requested_at: Timestamp(decided_at),
            decided: Some(Decided { by: "boss".into(), at: Timestamp(decided_at), reason: "r".into() }),
            effect: "{}".into(),
        }))
    };
    let days = async |now| {
        let sites = ["S-1", "S-2", "S-3"].map(|id| UptimeScope::Site(SiteId::new(id).unwrap()));
        let engineers = ["li", "wang"].map(|name| UptimeScope::Engineer(name.to_owned()));
        let mut days = Vec::new();
        for scope in sites.into_iter().chain(engineers) {
            days.push(shelf.month(scope, now).await.sums.figures.accountable_s / 86_400);
        }
        days
    };
    // It came to S-2 two days earlier than was noted, where it was closed on one of them.
    let Change::Site(row) = site("S-3") else { unreachable!() };
    let hours = r#"[{"weekly":"24x7"},{"effective_from":"2026-10-05","weekly":{}},
        {"effective_from":"2026-10-06","weekly":"24x7"}]"#;
    shelf.store.commit(&[Change::Site(SiteRow { service_hours: hours.into(), ..row })]).await.unwrap();
    assert_eq!(days(end + HOUR).await, [10, 21, 0, 0, 0]);
    shelf.store.commit(&[corrected(1, GroupKind::Site, Some("S-2"), [8, 10], end + HOUR)]).await.unwrap();
    shelf.store.commit(&[corrected(2, GroupKind::Engineer, Some("li"), [0, 9], end + HOUR)]).await.unwrap();
    assert_eq!(days(end + 2 * HOUR).await, [8, 23, 0, 9, 0], "an open month corrects itself");
    shelf.keep("k", end + DAY).await;
    let signed = days(end + DAY).await;
    assert_eq!(signed, [8, 23, 0, 9, 0]);
    let rows = async || shelf.store.versions_of_month(&Scope::All, &kiosk, month).await.unwrap();
    let later = [
        corrected(3, GroupKind::Engineer, Some("wang"), [2, 6], end + 2 * DAY),
        corrected(4, GroupKind::Site, Some("S-3"), [3, 5], end + 2 * DAY),
    ];
    // Of another engineer nothing moves but whose days they are.
    let Change::Correction(row) = &later[0] else { unreachable!() };
    let shown = shelf.reader(end + 2 * DAY).effect(row, chrono_tz::Asia::Shanghai).await.unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let of = |when: &str, engineer: Option<&str>| {
        let shares = shown["2026-10"][when]["shares"].as_array().unwrap().iter();
        let theirs = shares.filter(|share| share["engineer"].as_str() == engineer);
        theirs.map(|share| share["accountable_s"].as_i64().unwrap()).sum::<i64>() / 86_400
    };
    assert_eq!(shown["2026-10"]["before"]["avail"], shown["2026-10"]["after"]["avail"]);
    assert_eq!(["before", "after"].map(|when| of(when, Some("li"))), [9, 5], "{shown}");
    assert_eq!(["before", "after"].map(|when| of(when, Some("wang"))), [0, 4]);
    assert_eq!(["before", "after"].map(|when| of(when, None)), [22, 22]);
    let Change::Correction(row) = &later[1] else { unreachable!() };
    let shown = shelf.reader(end + 2 * DAY).effect(row, chrono_tz::Asia::Shanghai).await.unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let accountable = |when: &str| shown["2026-10"][when]["accountable_s"].as_i64().unwrap() / 86_400;
    assert_eq!((accountable("before"), accountable("after")), (31, 30), "also where it never was: {shown}");
    shelf.store.commit(&later).await.unwrap();
    shelf.keep("k", end + 3 * DAY).await;
    assert_eq!(days(end + 3 * DAY).await, signed, "a signed one by a decision");
    let explained = async |as_of: Option<i64>| {
        let (reader, period) = (shelf.reader(end + 9 * DAY), UptimePeriod::Month { year: 2026, month: 10 });
        reader.explain(&Scope::All, &kiosk, period, as_of.map(Timestamp)).await.unwrap().figures
    };
    let total = |rows: &[MonthRow], version| {
        let of: Vec<&MonthRow> = rows.iter().filter(|row| row.version == version).collect();
        books::total(&of).figures
    };
    assert_eq!(explained(None).await, total(&rows().await, 1));
    let proposed = shelf.store.restatements_of(std::slice::from_ref(&kiosk), month).await.unwrap();
    let [proposed] = proposed.as_slice() else { panic!("{proposed:?}") };
    assert!(proposed.why.ends_with("this changed: owners, service_hours"), "{}", proposed.why);
    let known = rows().await;
    let stored = books::Stored { rows: &known, restatements: std::slice::from_ref(proposed) };
    let verdict = books::Verdict { approve: true, reason: "seen the roster".into() };
    let contracts = Contracts::default();
    let decide = |name: &str| {
        let actor = Actor { name: name.into() };
        let now = Timestamp(end + 4 * DAY);
        books::decide(now, &books::Terms::default(), &actor, proposed, (&stored, &contracts), &verdict)
    };
    for measured in ["li", "wang"] {
        assert!(decide(measured).is_err(), "{measured}");
    }
    shelf.store.commit(&decide("boss").unwrap()).await.unwrap();
    assert_eq!(days(end + 9 * DAY).await, [6, 23, 1, 5, 3], "closed at S-3 on a day of wang's");
    assert_eq!(explained(None).await, total(&rows().await, 2));
    assert_eq!(explained(Some(end + 3 * DAY)).await, total(&known, 1), "as it was signed");
}

#[tokio::test]
async fn who_would_own_forgiven_time_alone_is_named_among_the_owners() {
    let shelf = moved_in_mid_month().await;
    let (from, end) = (october().from * 1_000, october().to * 1_000);
    let [first, last] = [from + 3 * DAY, from + 5 * DAY];
    shelf.store.commit(&[flood("k", first, last, last)]).await.unwrap();
    let what = Correction::Assignment {
        kiosk: "k".parse().unwrap(),
        group: GroupKind::Engineer,
        before: Vec::new(),
        after: Some("wang".to_owned()),
    };
    let row = CorrectionRow {
        id: Uuid::from_u128(1),
        what,
        from: Timestamp(first),
        to: Timestamp(last),
        reason: "r".into(),
        state: CorrectionState::Requested,
        requested_by: "dispatcher".into(),
        requested_at: Timestamp(end),
        decided: None,
        effect: "{}".into(),
    };
    let shown = shelf.reader(end + HOUR).effect(&row, chrono_tz::Asia::Shanghai).await.unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let shares = shown["2026-10"]["after"]["shares"].as_array().unwrap();
    let wang = shares.iter().find(|share| share["engineer"] == "wang").unwrap_or(&serde_json::Value::Null);
    assert_eq!((&wang["accountable_s"], &wang["excluded_s"]), (&0.into(), &172_800.into()), "{shown}");
}
