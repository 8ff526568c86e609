//! Sites that change hands: a customer is owed the seconds in which a site was its, and no month that is over becomes
//! another's.
use kioskwatch_domain::{
    change::{Correction, CorrectionRow, CorrectionState, Decided},
    uptime::contracts::Renamed,
};

use super::{terms::Told, *};

/// `A` since before October, which nobody signed.
async fn of_customer_a() -> Told {
    let mut told = Told::new().await;
    told.contract(october().from * 1_000 - 8 * DAY, "north", "A").await;
    told
}

/// Accountable seconds of October: of the fleet and of each customer.
async fn owed(told: &Told, now: i64) -> (i64, [i64; 2]) {
    let of = async |scope| told.shelf.month(scope, now).await.sums.figures.accountable_s;
    let customer = async |name: &str| of(UptimeScope::Customer(name.to_owned())).await;
    (of(UptimeScope::Fleet).await, [customer("A").await, customer("B").await])
}

#[tokio::test]
async fn a_contract_that_changes_after_a_month_and_before_its_freeze_leaves_it_to_whom_it_belonged() {
    let mut told = of_customer_a().await;
    let end = october().to * 1_000;
    told.shelf.keep("k", end).await;
    let (all, before) = owed(&told, end).await;
    assert_eq!(before, [all, 0]);
    told.contract(end + 9 * HOUR, "south", "B").await;
    for now in [end + 10 * HOUR, end + DAY] {
        assert_eq!(owed(&told, now).await, (all, [all, 0]), "counted");
        told.shelf.keep("k", now).await;
        assert_eq!(owed(&told, now).await, (all, [all, 0]), "booked");
    }
    let signed = told.shelf.month(UptimeScope::Region("north".into()), end + DAY).await;
    assert!(signed.signed && signed.booked, "{signed:?}");
    assert_eq!(signed.sums.figures.accountable_s, all);
}

#[tokio::test]
async fn a_bad_site_that_is_lent_to_another_customer_over_the_freeze_stays_in_the_signed_month() {
    let mut told = of_customer_a().await;
    let end = october().to * 1_000;
    let down = async |told: &Told, scope| {
        let avail = told.shelf.month(scope, end + 2 * DAY).await.sums.figures.avail;
        avail.den - avail.num
    };
    told.contract(end + HOUR, "north", "B").await;
    told.shelf.keep("k", end + DAY).await;
    told.contract(end + DAY + HOUR, "north", "A").await;
    told.shelf.keep("k", end + 2 * DAY).await;
    let (all, shares) = owed(&told, end + 2 * DAY).await;
    assert_eq!(shares, [all, 0]);
    let missing = down(&told, UptimeScope::Fleet).await;
    assert!(missing > 0);
    assert_eq!(down(&told, UptimeScope::Customer("A".into())).await, missing);
    let ids = ["k".parse().unwrap()];
    let open = told.shelf.store.restatements_of(&ids, "2026-10".parse().unwrap()).await;
    assert_eq!(open.unwrap(), [], "nothing of it became another's");
}

#[tokio::test]
async fn a_month_in_which_a_site_changed_hands_and_came_back_is_shared_out_to_the_second() {
    let mut told = of_customer_a().await;
    let (from, end) = (october().from * 1_000, october().to * 1_000);
    told.contract(from + 10 * DAY + 13 * HOUR, "south", "B").await;
    told.contract(from + 20 * DAY + 7 * HOUR, "north", "A").await;
    let lent = told.shelf.figures(
        UptimeScope::Fleet,
        from + 10 * DAY + 13 * HOUR,
        from + 20 * DAY + 7 * HOUR,
        end + HOUR,
    );
    let lent = lent.await.sums.figures.accountable_s;
    assert!(lent > 0);
    let (all, counted) = owed(&told, end + HOUR).await;
    assert_eq!(counted, [all - lent, lent]);
    let shown = told.shelf.keep("k", end + DAY).await;
    assert_eq!(owed(&told, end + DAY).await, (all, counted), "signed as it was counted");
    let (id, month): (KioskId, Month) = ("k".parse().unwrap(), "2026-10".parse().unwrap());
    let rows = told.shelf.store.versions_of_month(&Scope::All, &id, month).await.unwrap();
    let signed = |row: &&MonthRow| row.version == 1;
    assert_eq!(rows.iter().filter(signed).map(|row| row.customer.as_str()).collect::<Vec<_>>(), ["A", "B"]);
    // The same on the board, under both customers.
    let mut board = Board::default();
    board.show(0, shown);
    let last_month = board.totals(Timestamp(end + DAY), EVER);
    let of = |name: &str| {
        let mut customers = of_period(&last_month, "last_month").filter(|one| one.scope == "customer");
        customers.find(|one| one.id == name).map(|one| one.seconds.known_s + one.seconds.unknown_s)
    };
    assert_eq!((of("A"), of("B")), (Some(counted[0]), Some(counted[1])));
    // Whoever asks why is told of all of it.
    let period = UptimePeriod::Month { year: 2026, month: 10 };
    let why = told.shelf.reader(end + DAY).explain(&Scope::All, &id, period, None).await;
    assert_eq!(why.unwrap().figures.accountable_s, all);
}

#[tokio::test]
async fn of_a_few_kiosks_those_belong_to_a_group_that_were_its_own_within_the_month() {
    let mut told = of_customer_a().await;
    let end = october().to * 1_000;
    told.contract(october().from * 1_000 + 10 * DAY, "south", "B").await;
    let [k, gone] = ["k", "gone"].map(|id| KioskId::new(id).unwrap());
    let reader = told.shelf.reader(end + 40 * DAY);
    let elsewhere = Scope::Sites([SiteId::new("S-9").unwrap()].into());
    let others = UptimeScope::Kiosk(gone.clone());
    for (reads, scope, in_october, in_november) in [
        (&Scope::All, UptimeScope::Region("north".into()), true, false),
        (&Scope::All, UptimeScope::Customer("B".into()), true, true),
        (&Scope::All, UptimeScope::Site(SiteId::new("S-1").unwrap()), true, true),
        (&Scope::All, UptimeScope::Site(SiteId::new("S-9").unwrap()), false, false),
        (&Scope::All, UptimeScope::Kiosk(k.clone()), true, true),
        (&Scope::All, others, false, false),
        (&elsewhere, UptimeScope::Fleet, false, false),
    ] {
        for (month, is_member) in [(10, in_october), (11, in_november)] {
            let period = UptimePeriod::Month { year: 2026, month };
            let query = UptimeQuery::of(scope.clone(), period);
            let members = reader.members_among(reads, &query, vec![k.clone()]).await.unwrap();
            assert_eq!(members.contains(&k), is_member, "{scope:?} in {month}");
        }
    }
    // Of the fleet nothing is read: what cannot be booked may not be readable either.
    let period = UptimePeriod::Month { year: 2026, month: 10 };
    let query = UptimeQuery::of(UptimeScope::Fleet, period);
    assert_eq!(reader.members_among(&Scope::All, &query, vec![gone.clone()]).await.unwrap(), [gone]);
}

#[tokio::test]
async fn a_month_that_two_people_move_whole_to_another_customer_is_booked_and_restated_to_them() {
    let told = of_customer_a().await;
    let (from, end) = (october().from * 1_000, october().to * 1_000);
    let (id, month): (KioskId, Month) = ("k".parse().unwrap(), "2026-10".parse().unwrap());
    let said = |n: u128, customer: &str, at: i64| {
        let after = Renamed { region: None, customer: Some(customer.into()) };
        let decided = Decided { by: "boss".into(), at: Timestamp(at), reason: "r".into() };
        CorrectionRow {
            id: Uuid::from_u128(n),
            what: Correction::Contract { site: "S-1".parse().unwrap(), before: Vec::new(), after },
            from: Timestamp(from),
            to: Timestamp(end),
            reason: "r".into(),
            state: CorrectionState::Approved,
            requested_by: "dispatcher".into(),
            requested_at: Timestamp(at),
            decided: Some(decided),
            effect: "{}".into(),
        }
    };
    let shown = async |row: &CorrectionRow| {
        let text = told.shelf.reader(end + HOUR).effect(row, chrono_tz::Asia::Shanghai).await.unwrap();
        let text: serde_json::Value = serde_json::from_str(&text).unwrap();
        ["before", "after"].map(|when| text["2026-10"][when]["accountable_s"].as_i64().unwrap())
    };
    told.shelf.keep("k", end).await;
    let (all, before) = owed(&told, end + HOUR).await;
    assert_eq!(before, [all, 0]);
    // Before the freeze: open months follow.
    let first = said(1, "B", end + HOUR);
    assert_eq!(shown(&first).await, [0, all], "what it will owe to them");
    told.shelf.store.commit(&[Change::Correction(Box::new(first))]).await.unwrap();
    assert_eq!(owed(&told, end + 2 * HOUR).await, (all, [0, all]), "counted");
    told.shelf.keep("k", end + 2 * HOUR).await;
    assert_eq!(owed(&told, end + 2 * HOUR).await, (all, [0, all]), "booked");
    told.shelf.keep("k", end + DAY).await;
    // After it: the same figures of somebody else are a restatement.
    let second = said(2, "A", end + 2 * DAY);
    told.shelf.store.commit(&[Change::Correction(Box::new(second))]).await.unwrap();
    told.shelf.keep("k", end + 2 * DAY).await;
    assert_eq!(owed(&told, end + 2 * DAY).await, (all, [0, all]), "signed");
    let proposed = told.shelf.store.restatements_of(std::slice::from_ref(&id), month).await.unwrap();
    let [proposed] = proposed.as_slice() else { panic!("{proposed:?}") };
    assert!(proposed.why.ends_with("this changed: owners"), "{}", proposed.why);
    let rows = async || told.shelf.store.versions_of_month(&Scope::All, &id, month).await.unwrap();
    let (known, reader) = (rows().await, told.shelf.reader(end + 3 * DAY));
    let stored = books::Stored { rows: &known, restatements: std::slice::from_ref(proposed) };
    let places = reader.places().await.unwrap();
    let verdict = books::Verdict { approve: true, reason: "seen the contract".into() };
    let (now, terms, boss) =
        (Timestamp(end + 3 * DAY), books::Terms::default(), Actor { name: "boss".into() });
    let decided = books::decide(now, &terms, &boss, proposed, (&stored, places.contracts()), &verdict);
    told.shelf.store.commit(&decided.unwrap()).await.unwrap();
    told.shelf.keep("k", end + 4 * DAY).await;
    assert_eq!(owed(&told, end + 4 * DAY).await, (all, [all, 0]), "restated");
    let all_of = told.shelf.store.restatements_of(std::slice::from_ref(&id), month).await.unwrap();
    assert_eq!(all_of.len(), 1, "nothing is left to say");
    // Each version is of whom it was known to be then.
    let of = |rows: &[MonthRow], version| {
        let signed = rows.iter().filter(|row| row.version == version && row.has_time());
        signed.map(|row| row.customer.clone()).collect::<Vec<_>>()
    };
    let rows = rows().await;
    assert_eq!((of(&rows, 1), of(&rows, 2)), (vec!["B".to_owned()], vec!["A".to_owned()]));
    let asked = |customer: &str, at: i64| UptimeQuery {
        as_of: Some(Timestamp(at)),
        ..UptimeQuery::of(
            UptimeScope::Customer(customer.into()),
            UptimePeriod::Between(Timestamp(from), Timestamp(end)),
        )
    };
    for (customer, at, counts) in [
        ("A", end, all),
        ("B", end, 0),
        ("B", end + DAY, all),
        ("A", end + DAY, 0),
        ("A", end + 3 * DAY, all),
    ] {
        let told = told.shelf.reader(end + 4 * DAY).figures(&Scope::All, &asked(customer, at)).await.unwrap();
        assert_eq!(told.sums.figures.accountable_s, counts, "{customer} as of {at}");
    }
}
