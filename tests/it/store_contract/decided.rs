//! What people decide about months: restatements and corrections.
use kioskwatch_domain::{
    change::*,
    uptime::{
        Commissioned,
        contracts::{Belonged, Contract, Renamed},
    },
};
use kioskwatch_server::store::{CorrectionFilter, PageRequest, RestatementFilter, Scope, StoreError};

use super::{Empty, months::*, rows::*};

pub(crate) fn restatement(id: u128, state: RestatementState) -> RestatementRow {
    RestatementRow {
        id: uuid(id),
        kiosk: kiosk_id("k1"),
        month: october(),
        base_version: 1,
        state,
        fingerprint: "f".into(),
        why: awkward(),
        before: "{}".into(),
        after: "{}".into(),
        proposed_at: at(id as i64),
        decided: matches!(state, RestatementState::Approved | RestatementState::Rejected).then(|| Decided {
            by: "zhao".into(),
            at: at(9),
            reason: awkward(),
        }),
    }
}

pub(crate) async fn one_restatement_waits_and_a_decision_stands(empty: Empty) {
    let store = empty.open().await;
    let change = |row: RestatementRow| Change::Restatement(Box::new(row));
    let proposed = |id| change(restatement(id, RestatementState::Proposed));
    store.commit(&[proposed(1)]).await.unwrap();
    assert!(matches!(store.commit(&[proposed(2)]).await, Err(StoreError::Conflict { .. })));
    store
        .commit(&[proposed(2), change(restatement(1, RestatementState::Superseded))])
        .await
        .expect("the new one takes the place of the old one");
    let states: Vec<_> = store.restatements_of(&[kiosk_id("k1")], october()).await.unwrap();
    let states: Vec<_> = states.iter().map(|row| row.state).collect();
    assert_eq!(states, [RestatementState::Superseded, RestatementState::Proposed]);
    store.commit(&[change(restatement(2, RestatementState::Approved))]).await.unwrap();
    store.commit(&[change(restatement(2, RestatementState::Rejected))]).await.unwrap();
    let found = store.restatement(&Scope::All, uuid(2)).await.unwrap().unwrap();
    assert_eq!(found, restatement(2, RestatementState::Approved));
    let filter = RestatementFilter { state: Some(RestatementState::Approved), ..Default::default() };
    let page = store.restatements(&Scope::All, &filter, &PageRequest::new(Some(1), None)).await.unwrap();
    assert_eq!((page.items.len(), page.next_cursor), (1, None));
    let page = store.restatements(&Scope::All, &RestatementFilter::default(), &PageRequest::first()).await;
    assert_eq!(page.unwrap().items.iter().map(|row| row.id).collect::<Vec<_>>(), [uuid(2), uuid(1)]);
    for (open, count) in [(true, 0), (false, 2)] {
        let filter = RestatementFilter { open: Some(open), ..Default::default() };
        let page = store.restatements(&Scope::All, &filter, &PageRequest::first()).await.unwrap();
        assert_eq!(page.items.len(), count, "open: {open}");
    }
    let elsewhere = Scope::Sites([site_id("s2")].into());
    assert_eq!(store.restatement(&elsewhere, uuid(2)).await.unwrap(), None);
    let among = store.restatements_among(&Scope::All, &[uuid(2), uuid(9), uuid(1)]).await.unwrap();
    assert_eq!(among.iter().map(|row| row.id).collect::<Vec<_>>(), [uuid(1), uuid(2)]);
    assert_eq!(store.restatements_among(&elsewhere, &[uuid(1), uuid(2)]).await.unwrap(), []);
}

pub(crate) async fn restatements_are_found_by_site_and_by_what_alone_changed(empty: Empty) {
    let store = empty.open().await;
    let waiting = |id: u128, kiosk: &str, why: &str| {
        let row = restatement(id, RestatementState::Proposed);
        Change::Restatement(Box::new(RestatementRow { kiosk: kiosk_id(kiosk), why: why.into(), ..row }))
    };
    let rows = [
        Change::Month(Box::new(month("k1", "s1", 1, 1))),
        Change::Month(Box::new(month("k2", "s2", 1, 1))),
        Change::Month(Box::new(month("k3", "s2", 1, 1))),
        waiting(1, "k1", "since version 1 was signed, this changed: exclusions"),
        waiting(2, "k2", "since version 1 was signed, this changed: exclusions"),
        waiting(3, "k3", "since version 1 was signed, this changed: evidence, exclusions"),
    ];
    store.commit(&rows).await.unwrap();
    let (site, changed) = (Some(site_id("s2")), Some(InputKind::Exclusions));
    for (site, changed, found) in [
        (None, None, vec![3, 2, 1]),
        (site.clone(), None, vec![3, 2]),
        (None, changed, vec![2, 1]),
        (site, changed, vec![2]),
        (None, Some(InputKind::Evidence), vec![]),
    ] {
        let filter = RestatementFilter { site, changed, ..Default::default() };
        let page = store.restatements(&Scope::All, &filter, &PageRequest::first()).await.unwrap();
        let ids: Vec<_> = page.items.iter().map(|row| row.id).collect();
        assert_eq!(ids, found.into_iter().map(uuid).collect::<Vec<_>>(), "{filter:?}");
    }
}

pub(crate) fn request(id: u128, what: Correction) -> CorrectionRow {
    CorrectionRow {
        id: uuid(id),
        what,
        from: at(-DAY),
        to: at(0),
        reason: awkward(),
        state: CorrectionState::Requested,
        requested_by: "li".into(),
        requested_at: at(id as i64),
        decided: None,
        effect: "{}".into(),
    }
}

pub(crate) fn forgotten() -> Correction {
    Correction::Exclusion {
        kiosk: Some(kiosk_id("k1")),
        site: None,
        class: "planned".into(),
        agreed_at: Some(at(-2 * DAY)),
    }
}

fn assigned(group: GroupKind, after: Option<&str>) -> Correction {
    let held = |id: Option<&str>, from, to| Held { id: id.map(str::to_owned), from: at(from), to: at(to) };
    let before = vec![held(None, -DAY, -HOUR), held(Some("s1"), -HOUR, 0)];
    Correction::Assignment { kiosk: kiosk_id("k1"), group, before, after: after.map(str::to_owned) }
}

fn belonged(region: Option<&str>, customer: Option<&str>) -> Correction {
    let [region, customer] = [region, customer].map(|name| name.map(str::to_owned));
    let contract = Contract { region: "north \"1\"".into(), customer: String::new() };
    let before = vec![Belonged { contract, from: at(-DAY), to: at(0) }];
    Correction::Contract { site: site_id("s9"), before, after: Renamed { region, customer } }
}

pub(crate) async fn what_two_people_say_of_whose_a_site_was_is_known_once_it_is_approved(empty: Empty) {
    let store = empty.open().await;
    let change = |row: &CorrectionRow| Change::Correction(Box::new(row.clone()));
    let asked = [
        request(1, belonged(None, Some("B"))),
        request(2, belonged(Some("west"), None)),
        request(3, belonged(Some("east"), Some("B"))),
    ];
    store.commit(&asked.each_ref().map(change)).await.unwrap();
    let of = async |kind, name| store.sites_of_contract(kind, name).await.unwrap();
    assert_eq!(store.contract_corrections(None).await.unwrap(), [], "nobody approved any of it");
    assert_eq!(of("customer", "B").await, []);
    let decide = |row: &CorrectionRow, state, second| CorrectionRow {
        state,
        decided: Some(Decided { by: "zhao".into(), at: at(second), reason: "ok".into() }),
        ..row.clone()
    };
    let (approved, rejected) = (CorrectionState::Approved, CorrectionState::Rejected);
    let decided =
        [decide(&asked[0], approved, 20), decide(&asked[1], approved, 10), decide(&asked[2], rejected, 5)];
    store.commit(&decided.each_ref().map(change)).await.unwrap();
    let in_order = [decided[1].clone(), decided[0].clone()];
    assert_eq!(store.contract_corrections(None).await.unwrap(), in_order);
    assert_eq!(store.contract_corrections(Some(&["s9", "s1"])).await.unwrap(), in_order);
    assert_eq!(store.contract_corrections(Some(&["s1"])).await.unwrap(), []);
    for (kind, name, is) in
        [("customer", "B", true), ("region", "west", true), ("region", "east", false), ("region", "B", false)]
    {
        assert_eq!(of(kind, name).await, vec![site_id("s9"); usize::from(is)], "{kind} {name}");
    }
}

fn withdrawal(kiosk: Option<&str>, site: Option<&str>) -> Correction {
    let (kiosk, site) = (kiosk.map(kiosk_id), site.map(site_id));
    Correction::Withdrawal { exclusion: uuid(1), kiosk, site, class: "planned".into() }
}

pub(crate) async fn corrections_are_decided_once_and_by_somebody_else(empty: Empty) {
    let store = empty.open().await;
    let hours = Correction::ServiceHours { site: site_id("s1"), before: String::new(), after: "[]".into() };
    let (first, second) = (request(1, forgotten()), request(2, hours));
    let change = |row: &CorrectionRow| Change::Correction(Box::new(row.clone()));
    let dates = |from, to: Option<i64>| ServiceSpan {
        commissioned_at: Some(at(from)),
        decommissioned_at: to.map(at),
    };
    let before = Commissioned::of([dates(-99 * DAY - 1, Some(-50)), dates(-9 * DAY - 1, None)]);
    let after = dates(-8 * DAY, Some(-7));
    for (id, what) in [
        (3, Correction::Commissioning { kiosk: kiosk_id("k3"), before, after }),
        (5, Correction::Commissioning { kiosk: kiosk_id("k3"), before: Commissioned::default(), after }),
        (8, assigned(GroupKind::Site, Some("s2"))),
        (9, assigned(GroupKind::Engineer, None)),
        (12, assigned(GroupKind::Model, Some("KT-2"))),
        (6, withdrawal(Some("k1"), None)),
        (7, withdrawal(None, Some("s1"))),
        (10, belonged(None, Some("bank \"B\""))),
        (11, belonged(Some("west"), Some(""))),
        (4, Correction::Timezone { site: site_id("s3"), before: "UTC".into(), after: "Asia/Tokyo".into() }),
    ] {
        let row = request(id, what);
        store.commit(&[change(&row)]).await.unwrap();
        assert_eq!(store.correction(&Scope::All, uuid(id)).await.unwrap(), Some(row));
    }
    store.commit(&[change(&first), change(&second)]).await.unwrap();
    let list = store
        .corrections(&Scope::All, &CorrectionFilter::default(), &PageRequest::first())
        .await
        .unwrap()
        .items;
    assert_eq!(list[10..], [second.clone(), first.clone()]);
    let decide = |row: &CorrectionRow, by: &str, state| CorrectionRow {
        state,
        decided: Some(Decided { by: by.into(), at: at(9), reason: "ok".into() }),
        ..row.clone()
    };
    let own = store.commit(&[change(&decide(&first, "li", CorrectionState::Approved))]).await;
    assert!(matches!(own, Err(StoreError::Conflict { .. })), "{own:?}");
    let approved = decide(&first, "zhao", CorrectionState::Approved);
    store.commit(&[change(&approved)]).await.unwrap();
    store.commit(&[change(&decide(&first, "qian", CorrectionState::Rejected))]).await.unwrap();
    assert_eq!(store.correction(&Scope::All, uuid(1)).await.unwrap(), Some(approved));
    let own_site = Scope::Sites([site_id("s1")].into());
    let found = async |filter: CorrectionFilter| {
        store.corrections(&own_site, &filter, &PageRequest::first()).await.unwrap().items
    };
    let any = CorrectionFilter::default;
    let of_site = request(7, withdrawal(None, Some("s1")));
    for waiting in [
        CorrectionFilter { state: Some(CorrectionState::Requested), ..any() },
        CorrectionFilter { open: Some(true), ..any() },
    ] {
        assert_eq!(found(waiting).await, [of_site.clone(), second.clone()]);
    }
    assert_eq!(found(CorrectionFilter { kiosk: Some(kiosk_id("k9")), ..any() }).await, []);
    assert_eq!(store.correction(&Scope::Sites([site_id("s2")].into()), uuid(2)).await.unwrap(), None);
}

pub(crate) async fn what_two_people_say_of_where_a_kiosk_stood_is_an_assignment_once_it_is_approved(
    empty: Empty,
) {
    let store = empty.open().await;
    let noted = AssignmentRow {
        kiosk: kiosk_id("k1"),
        group: GroupKind::Site,
        group_id: "s1".into(),
        from: at(-9 * DAY),
        to: None,
        said: None,
    };
    let kiosks = [Change::Kiosk(kiosk("k1", None)), Change::Assignment(noted.clone())];
    store.commit(&kiosks).await.unwrap();
    let change = |row: &CorrectionRow| Change::Correction(Box::new(row.clone()));
    let asked = [
        request(1, assigned(GroupKind::Site, Some("s2"))),
        request(2, assigned(GroupKind::Engineer, Some("li"))),
        request(3, assigned(GroupKind::Engineer, None)),
        request(4, assigned(GroupKind::Site, Some("s3"))),
    ];
    store.commit(&asked.each_ref().map(change)).await.unwrap();
    let rows = async |from, to| {
        store.assignments_of(&[kiosk_id("k1"), kiosk_id("k2")], at(from), at(to)).await.unwrap()
    };
    let members = async |group, name, from, to| {
        store.kiosks_of_groups(group, vec![name], at(from), at(to)).await.unwrap().len()
    };
    assert_eq!(rows(-DAY, 0).await, std::slice::from_ref(&noted), "nobody approved any of it");
    assert_eq!(members(GroupKind::Site, "s2", -DAY, 0).await, 0);
    let approved = asked[..3].iter().map(|row| {
        let decided = Some(Decided { by: "zhao".into(), at: at(9), reason: "ok".into() });
        change(&CorrectionRow { state: CorrectionState::Approved, decided, ..row.clone() })
    });
    store.commit(&approved.collect::<Vec<_>>()).await.unwrap();
    let said = |group, id: &str| AssignmentRow {
        group,
        group_id: id.into(),
        from: at(-DAY),
        to: Some(at(0)),
        said: Some(at(9)),
        ..noted.clone()
    };
    let (site, engineer) = (GroupKind::Site, GroupKind::Engineer);
    let all = [said(engineer, ""), said(engineer, "li"), noted.clone(), said(site, "s2")];
    assert_eq!(rows(-DAY, 0).await, all);
    assert_eq!(rows(0, DAY).await, std::slice::from_ref(&noted), "it ended then");
    assert_eq!(store.load_image(NOW).await.unwrap().assignments, [noted], "the fleet knows where it stands");
    for (group, name, from, to, count) in [
        (site, "s2", -DAY, 0, 1),
        (site, "s2", 0, DAY, 0),
        (site, "s2", -2 * DAY, -DAY, 0),
        (site, "s3", -DAY, 0, 0),
        (engineer, "li", -HOUR, 0, 1),
        (site, "li", -HOUR, 0, 0),
    ] {
        assert_eq!(members(group, name, from, to).await, count, "{name} {from} {to}");
    }
}

pub(crate) async fn what_two_people_say_last_stands_last_whatever_the_clock_said_when_they_did(empty: Empty) {
    let store = empty.open().await;
    store.commit(&[Change::Kiosk(kiosk("k1", None))]).await.unwrap();
    // The first of each is approved while the clock is ahead by years.
    let said = [
        (1, assigned(GroupKind::Model, Some("KT-2")), 900 * DAY),
        (2, assigned(GroupKind::Model, Some("KT-1")), 20),
        (3, belonged(None, Some("B")), 900 * DAY),
        (4, belonged(None, Some("A")), 20),
    ];
    for (id, what, decided_at) in said {
        let asked = request(id, what);
        let decided = Some(Decided { by: "zhao".into(), at: at(decided_at), reason: "ok".into() });
        let approved = CorrectionRow { state: CorrectionState::Approved, decided, ..asked.clone() };
        for row in [asked, approved] {
            store.commit(&[Change::Correction(Box::new(row))]).await.unwrap();
        }
    }
    let models = store.assignments_of(&[kiosk_id("k1")], at(-DAY), at(0)).await.unwrap();
    let models: Vec<_> = models.iter().map(|row| (row.group, row.group_id.as_str(), row.said)).collect();
    let model = GroupKind::Model;
    assert_eq!(models, [(model, "KT-2", Some(at(900 * DAY))), (model, "KT-1", Some(at(20)))]);
    let contracts: Vec<_> =
        store.contract_corrections(None).await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(contracts, [uuid(3), uuid(4)]);
    let was = async |name| store.kiosks_of_groups(model, vec![name], at(-DAY), at(0)).await.unwrap().len();
    assert_eq!((was("KT-2").await, was("KT-9").await), (1, 0));
}

pub(crate) async fn what_waits_about_a_kiosks_past_is_seen_where_it_stood_then(empty: Empty) {
    let store = empty.open().await;
    let stood = |site: &str, from, to: Option<i64>| {
        Change::Assignment(AssignmentRow {
            kiosk: kiosk_id("k1"),
            group: GroupKind::Site,
            group_id: site.into(),
            from: at(from),
            to: to.map(at),
            said: None,
        })
    };
    let forgiven = |id: u128, kiosk: &str, from, to| {
        let kiosk = Some(kiosk_id(kiosk));
        let what = Correction::Exclusion { kiosk, site: None, class: "planned".into(), agreed_at: None };
        Change::Correction(Box::new(CorrectionRow {
            id: uuid(id),
            what,
            from: at(from),
            to: at(to),
            reason: "r".into(),
            state: CorrectionState::Requested,
            requested_by: "li".into(),
            requested_at: at(id as i64),
            decided: None,
            effect: "{}".into(),
        }))
    };
    let would_have_stood = |id: u128, site: &str| {
        let row = request(id, assigned(GroupKind::Site, Some(site)));
        Change::Correction(Box::new(CorrectionRow { from: at(-3 * DAY), to: at(-2 * DAY), ..row }))
    };
    let of = |id: u128, kiosk: &str| {
        let row = restatement(id, RestatementState::Proposed);
        Change::Restatement(Box::new(RestatementRow { kiosk: kiosk_id(kiosk), ..row }))
    };
    let [k1, k2, k3] =
        [("k1", "s2"), ("k2", "s2"), ("k3", "s1")].map(|(id, site)| Change::Kiosk(kiosk(id, Some(site))));
    let emptied = MonthRow { sums: MonthSums::default(), ..month("k1", "s2", 1, 20) };
    let rows = [
        Change::Site(site("s1")),
        Change::Site(site("s2")),
        k1,
        k2,
        k3,
        // Moved to s2 when the month was over; k2 in the middle of it.
        stood("s1", -40 * DAY, Some(0)),
        stood("s2", 0, None),
        booked(&month("k1", "s1", 1, 20)),
        booked(&emptied),
        booked(&month("k2", "s1", 1, 20)),
        booked(&month("k2", "s2", 1, 20)),
        of(1, "k1"),
        of(2, "k2"),
        forgiven(1, "k1", -3 * DAY, -2 * DAY),
        forgiven(2, "k1", -DAY, DAY),
        forgiven(3, "k1", DAY, 2 * DAY),
        forgiven(4, "k3", -DAY, 0),
        would_have_stood(5, "s1"),
        would_have_stood(6, "s2"),
    ];
    store.commit(&rows).await.unwrap();
    let scope = |sites: &[&str]| Scope::Sites(sites.iter().map(|id| site_id(id)).collect());
    let all: [(Scope, &[u128], &[u128]); 4] = [
        (Scope::All, &[1, 2], &[1, 2, 3, 4, 5, 6]),
        (scope(&["s1"]), &[1], &[1, 4, 5]),
        (scope(&["s2"]), &[], &[3]),
        (scope(&["s1", "s2"]), &[1, 2], &[1, 2, 3, 4, 5, 6]),
    ];
    for (scope, restated, corrected) in all {
        let page = PageRequest::first();
        let found = store.restatements(&scope, &RestatementFilter::default(), &page).await.unwrap().items;
        let mut ids: Vec<_> = found.iter().map(|row| row.id).collect();
        ids.sort();
        assert_eq!(ids, restated.iter().map(|id| uuid(*id)).collect::<Vec<_>>(), "{scope:?}");
        let found = store.corrections(&scope, &CorrectionFilter::default(), &page).await.unwrap().items;
        let mut ids: Vec<_> = found.iter().map(|row| row.id).collect();
        ids.sort();
        assert_eq!(ids, corrected.iter().map(|id| uuid(*id)).collect::<Vec<_>>(), "{scope:?}");
        for id in 1..=6 {
            let one = store.correction(&scope, uuid(id)).await.unwrap();
            assert_eq!(one.is_some(), corrected.contains(&id), "{scope:?}: correction {id}");
        }
        for id in 1..=2 {
            let one = store.restatement(&scope, uuid(id)).await.unwrap();
            assert_eq!(one.is_some(), restated.contains(&id), "{scope:?}: restatement {id}");
        }
    }
}
