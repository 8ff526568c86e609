//! Months that were signed, will be, or never were.
use kioskwatch_domain::{
    change::{InputKind, Withdrawn},
    uptime::contracts::Contracts,
};

use super::*;
use crate::store::{PageRequest, RestatementFilter};

#[tokio::test]
async fn a_signed_month_is_explained_by_what_was_known_when_it_was_signed() {
    let shelf = moved_in_mid_month().await;
    let end = october().to * 1_000;
    shelf.keep("k", end + DAY).await;
    let flood = Change::Exclusion(ExclusionRow {
        id: Uuid::from_u128(7),
        kiosk: Some(KioskId::new("k").unwrap()),
        site: None,
        class: "force_majeure".into(),
        from: Timestamp(end - 2 * DAY),
        to: Timestamp(end - DAY),
        requested_by: "dispatcher".into(),
        approved_by: Some("manager".into()),
        approved_at: Some(Timestamp(end + 3 * DAY)),
        agreed_at: None,
        withdrawn: None,
        reason: "flood".into(),
    });
    let Change::Exclusion(row) = flood.clone() else { unreachable!() };
    // Agreed in time, and remembered only when the month had been signed.
    let maintenance = Change::Exclusion(ExclusionRow {
        id: Uuid::from_u128(8),
        class: "planned".into(),
        from: Timestamp(end - DAY / 4),
        to: Timestamp(end),
        agreed_at: Some(Timestamp(end - 9 * DAY)),
        ..row
    });
    let Change::Evidence(late) = full("k", end - DAY, end - DAY / 2) else { unreachable!() };
    let late = EvidenceRow { received_at: Some(Timestamp(end + 2 * DAY)), ..late };
    shelf.store.commit(&[flood, maintenance, Change::Evidence(late.clone())]).await.unwrap();
    let now = end + 4 * DAY;
    let scope = UptimeScope::Kiosk(KioskId::new("k").unwrap());
    let explained = async || {
        let period = UptimePeriod::Month { year: 2026, month: 10 };
        shelf.reader(now).explain(&Scope::All, &KioskId::new("k").unwrap(), period, None).await.unwrap()
    };
    let signed = shelf.month(scope.clone(), now).await;
    let counts = |told: &crate::app::UptimeExplained| {
        (told.knew(&late), told.exclusions.iter().map(|row| row.id.as_u128()).collect::<Vec<_>>())
    };
    let told = explained().await;
    assert_eq!((signed.version, &told.figures), (1, &signed.sums.figures));
    assert_eq!(counts(&told), (false, vec![]), "what came after the freeze proves nothing of it");
    // Restated: everything that is known.
    shelf.keep("k", now).await;
    let (kiosk, month): (KioskId, Month) = ("k".parse().unwrap(), "2026-10".parse().unwrap());
    let rows = shelf.store.versions_of_month(&Scope::All, &kiosk, month).await.unwrap();
    let rows: Vec<Change> = rows
        .into_iter()
        .filter(|row| row.version == 0)
        .map(|row| Change::Month(Box::new(kioskwatch_domain::change::MonthRow { version: 2, ..row })))
        .collect();
    shelf.store.commit(&rows).await.unwrap();
    let restated = shelf.month(scope, now).await;
    let told = explained().await;
    assert_eq!((restated.version, &told.figures), (2, &restated.sums.figures));
    assert_eq!(counts(&told), (true, vec![7, 8]));
    assert_ne!(restated.sums.figures.on, signed.sums.figures.on);
    assert_eq!(restated.sums.excluded_s, (DAY + DAY / 4) / 1_000, "all that was approved counts by now");
}

#[tokio::test]
async fn an_exclusion_that_is_taken_back_counts_for_what_was_signed_while_it_held() {
    let shelf = moved_in_mid_month().await;
    let end = october().to * 1_000;
    // The last two days it was down: one flood is taken back before the month is signed, one after.
    let flood = |id: u128, from: i64, withdrawn_at: Option<i64>| {
        Change::Exclusion(ExclusionRow {
            id: Uuid::from_u128(id),
            kiosk: Some(KioskId::new("k").unwrap()),
            site: None,
            class: "force_majeure".into(),
            from: Timestamp(from),
            to: Timestamp(from + DAY),
            requested_by: "dispatcher".into(),
            approved_by: Some("manager".into()),
            approved_at: Some(Timestamp(end - HOUR)),
            agreed_at: None,
            withdrawn: withdrawn_at.map(|at| Withdrawn { by: "boss".into(), at: Timestamp(at) }),
            reason: "flood".into(),
        })
    };
    let scope = UptimeScope::Kiosk(KioskId::new("k").unwrap());
    let excluded = async |now| shelf.month(scope.clone(), now).await.sums.excluded_s * 1_000 / HOUR;
    let (kiosk, month): (KioskId, Month) = ("k".parse().unwrap(), "2026-10".parse().unwrap());
    let explained = async |as_of: Option<i64>| {
        let period = UptimePeriod::Month { year: 2026, month: 10 };
        let reader = shelf.reader(end + 9 * DAY);
        let told = reader.explain(&Scope::All, &kiosk, period, as_of.map(Timestamp)).await.unwrap();
        (told.figures, told.exclusions.iter().map(|row| row.id.as_u128()).collect::<Vec<_>>())
    };
    shelf.store.commit(&[flood(1, end - 2 * DAY, None), flood(2, end - DAY, None)]).await.unwrap();
    assert_eq!(excluded(end + HOUR).await, 48);
    shelf.store.commit(&[flood(1, end - 2 * DAY, Some(end + 2 * HOUR))]).await.unwrap();
    assert_eq!(excluded(end + 3 * HOUR).await, 24, "an open month corrects itself");
    shelf.keep("k", end + DAY).await;
    let signed = shelf.month(scope.clone(), end + DAY).await;
    assert_eq!((signed.version, excluded(end + DAY).await), (1, 24));
    shelf.store.commit(&[flood(2, end - DAY, Some(end + 2 * DAY))]).await.unwrap();
    shelf.keep("k", end + 3 * DAY).await;
    assert_eq!(excluded(end + 3 * DAY).await, 24, "a signed one by a decision");
    assert_eq!(explained(None).await, (signed.sums.figures.clone(), vec![2]));
    let proposed = shelf.store.restatements_of(std::slice::from_ref(&kiosk), month).await.unwrap();
    let [proposed] = proposed.as_slice() else { panic!("{proposed:?}") };
    assert!(proposed.why.ends_with("this changed: exclusions"), "{}", proposed.why);
    let rows = shelf.store.versions_of_month(&Scope::All, &kiosk, month).await.unwrap();
    let stored = books::Stored { rows: &rows, restatements: std::slice::from_ref(proposed) };
    let verdict = books::Verdict { approve: true, reason: "the cellar was dry".into() };
    let (boss, now) = (Actor { name: "boss".into() }, Timestamp(end + 4 * DAY));
    let known = (&stored, &Contracts::default());
    let changes = books::decide(now, &books::Terms::default(), &boss, proposed, known, &verdict).unwrap();
    shelf.store.commit(&changes).await.unwrap();
    let restated = shelf.month(scope.clone(), end + 9 * DAY).await;
    assert_eq!((restated.version, restated.sums.excluded_s), (2, 0));
    assert_eq!(explained(None).await, (restated.sums.figures, vec![]));
    assert_eq!(explained(Some(end + 3 * DAY)).await, (signed.sums.figures, vec![2]), "as it was signed");
}

#[tokio::test]
async fn a_month_that_nobody_signed_is_not_called_frozen() {
    let shelf = moved_in_mid_month().await;
    let now = october().to * 1_000 + 2 * DAY;
    let fleet = shelf.month(UptimeScope::Fleet, now).await;
    assert_eq!((fleet.version, fleet.frozen_at), (0, None));
    shelf.keep("k", now).await;
    assert_eq!(shelf.month(UptimeScope::Fleet, now).await.frozen_at, Some(october().to + 86_400));
}

#[tokio::test]
async fn a_late_journal_corrects_an_open_month_by_itself_and_a_signed_one_by_a_decision() {
    let shelf = moved_in_mid_month().await;
    let end = october().to * 1_000;
    let late = |from, to, received_at| {
        let Change::Evidence(row) = full("k", from, to) else { unreachable!() };
        Change::Evidence(EvidenceRow { received_at: Some(Timestamp(received_at)), ..row })
    };
    let down = async |now| {
        let avail = shelf.month(UptimeScope::Fleet, now).await.sums.figures.avail;
        (avail.den - avail.num) / 3_600
    };
    shelf.keep("k", end + HOUR).await;
    assert_eq!(down(end + HOUR).await, 48);
    shelf.store.commit(&[late(end - 2 * DAY, end - DAY, end + 2 * HOUR)]).await.unwrap();
    shelf.keep("k", end + 2 * HOUR).await;
    assert_eq!(down(end + 2 * HOUR).await, 24);
    shelf.keep("k", end + DAY).await;

    shelf.store.commit(&[late(end - DAY, end - DAY / 2, end + 7 * DAY)]).await.unwrap();
    let shown = shelf.keep("k", end + 7 * DAY).await;
    assert_eq!(down(end + 7 * DAY).await, 24, "signed figures do not move by themselves");
    let (kiosk, month): (KioskId, Month) = ("k".parse().unwrap(), "2026-10".parse().unwrap());
    let proposals = shelf.store.restatements_of(std::slice::from_ref(&kiosk), month).await.unwrap();
    assert_eq!(proposals.len(), 1);
    for kind in InputKind::ALL {
        let filter = RestatementFilter { changed: Some(*kind), ..RestatementFilter::default() };
        let found = shelf.store.restatements(&Scope::All, &filter, &PageRequest::first()).await.unwrap();
        let is_it = *kind == InputKind::Evidence;
        assert_eq!(found.items.len(), usize::from(is_it), "what changed: {}", kind.as_str());
    }
    let rows = shelf.store.versions_of_month(&Scope::All, &kiosk, month).await.unwrap();
    let stored = books::Stored { rows: &rows, restatements: &proposals };
    // By these kinds a proposal is found again.
    let inputs: serde_json::Value = serde_json::from_str(&rows[0].inputs).unwrap();
    let mut kinds: Vec<&str> = InputKind::ALL.iter().map(|kind| kind.as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(inputs.as_object().unwrap().keys().collect::<Vec<_>>(), kinds);
    let verdict = books::Verdict { approve: true, reason: "the line was down, the journal is whole".into() };
    let actor = Actor { name: "manager".into() };
    let now = Timestamp(end + 8 * DAY);
    let known = (&stored, &Contracts::default());
    let changes =
        books::decide(now, &books::Terms::default(), &actor, &proposals[0], known, &verdict).unwrap();
    shelf.store.commit(&changes).await.unwrap();
    assert_eq!(down(end + 8 * DAY).await, 12);
    let proposals = shelf.store.restatements_of(std::slice::from_ref(&kiosk), month).await.unwrap();
    assert_eq!(proposals[0].state, RestatementState::Approved);
    let after = shelf.store.versions_of_month(&Scope::All, &kiosk, month).await.unwrap();
    let signed = |rows: &[kioskwatch_domain::change::MonthRow]| {
        rows.iter().filter(|row| row.version == 1).cloned().collect::<Vec<_>>()
    };
    assert_eq!(signed(&after), signed(&rows), "version 1 is what it was");

    let mut board = Board::default();
    board.show(0, shown);
    let totals = board.totals(Timestamp(end + 7 * DAY), EVER);
    let avail = of_fleet(&totals, "last_month").ratios[1];
    assert_eq!(avail.den - avail.num, DAY / 1_000, "last month as signed");
    assert_eq!(of_period(&totals, "last_month").filter(|one| one.scope == "site").count(), 2);
    let later = board.totals(Timestamp(end + 60 * DAY), EVER);
    assert_eq!(of_fleet(&later, "last_month").ratios[1], Ratio::default(), "another last month");
}

#[tokio::test]
async fn after_a_start_rows_that_nobody_signed_are_told_by_cause_although_nothing_happened() {
    let shelf = moved_in_mid_month().await;
    let end = october().to * 1_000;
    let (kiosk, month): (KioskId, Month) = ("k".parse().unwrap(), "2026-10".parse().unwrap());
    let rows = async || shelf.store.versions_of_month(&Scope::All, &kiosk, month).await.unwrap();
    shelf.keep("k", end + HOUR).await;
    let booked = rows().await;
    assert!(booked.iter().any(|row| row.sums.outages_by_cause == [(Cause::Unexplained, 1)].into()));
    // As a server without causes booked them.
    let older = booked.iter().cloned().map(|mut row| {
        row.sums.outages_by_cause.clear();
        Change::Month(Box::new(row))
    });
    shelf.store.commit(&older.collect::<Vec<_>>()).await.unwrap();
    shelf.keep("k", end + HOUR + 1).await;
    let figures =
        |rows: Vec<MonthRow>| rows.into_iter().map(|row| (row.fingerprint, row.sums)).collect::<Vec<_>>();
    assert_eq!(figures(rows().await), figures(booked));
}

#[tokio::test]
async fn a_proposal_expires_although_its_month_is_not_looked_at_any_more() {
    let shelf = moved_in_mid_month().await;
    let end = october().to * 1_000;
    shelf.keep("k", end + DAY).await;
    let Change::Evidence(row) = full("k", end - DAY, end) else { unreachable!() };
    let late = EvidenceRow { received_at: Some(Timestamp(end + 2 * DAY)), ..row };
    shelf.store.commit(&[Change::Evidence(late)]).await.unwrap();
    shelf.keep("k", end + 3 * DAY).await;
    let (kiosk, month): (KioskId, Month) = ("k".parse().unwrap(), "2026-10".parse().unwrap());
    let state = async || {
        let all = shelf.store.restatements_of(std::slice::from_ref(&kiosk), month).await.unwrap();
        all.into_iter().map(|row| row.state).collect::<Vec<_>>()
    };
    assert_eq!(state().await, [RestatementState::Proposed]);
    shelf.look_at("k", end + 70 * DAY, &BTreeSet::from([kiosk.clone()])).await;
    assert_eq!(state().await, [RestatementState::Expired]);
}

#[tokio::test]
async fn a_kiosk_whose_dates_leave_a_booked_month_keeps_no_group_unsigned() {
    let shelf = moved_in_mid_month().await;
    let end = october().to * 1_000;
    shelf.keep("k", end - HOUR).await;
    let Change::Kiosk(row) = kiosk("k", Some("S-2")) else { unreachable!() };
    for (commissioned_at, now) in [(Some(Timestamp(end)), end + DAY), (None, end + DAY + HOUR)] {
        shelf.store.commit(&[Change::Kiosk(KioskRow { commissioned_at, ..row.clone() })]).await.unwrap();
        shelf.keep("k", now).await;
        let fleet = shelf.month(UptimeScope::Fleet, now).await;
        assert!(fleet.signed && fleet.sums.figures.accountable_s == 0, "{fleet:?}");
    }
}

#[tokio::test]
async fn what_is_signed_after_an_outage_of_ours_around_the_beginning_of_a_month_is_what_its_intervals_come_to()
 {
    let (from, to) = (october().from * 1_000, october().to * 1_000);
    let heard = |from: i64, to: i64| {
        let Change::Evidence(row) = full("k", from, to) else { unreachable!() };
        Change::Evidence(EvidenceRow { interval_s: Some(30), ..row })
    };
    // Back ten seconds before midnight; the kiosk speaks every 30 s, and is heard 15 s after it.
    let changes = [
        site("S-1"),
        kiosk("k", Some("S-1")),
        alive(0, from - 600_000),
        alive(from - 10_000, to + 3 * DAY),
        heard(0, from - 600_000),
        heard(from + 15_000, to + 3 * DAY),
    ];
    let shelf = Shelf::with(&changes).await;
    let now = to + 2 * DAY;
    shelf.keep("k", now).await;
    let signed = shelf.month(UptimeScope::Kiosk("k".parse().unwrap()), now).await;
    assert_eq!(signed.version, 1);
    let period = UptimePeriod::Month { year: 2026, month: 10 };
    let told = shelf.reader(now).explain(&Scope::All, &"k".parse().unwrap(), period, None).await.unwrap();
    assert_eq!(told.figures, signed.sums.figures);
    let seconds = october().length();
    assert_eq!(told.figures.on, Ratio::new(seconds - 15, seconds - 15), "nothing was due before");
}
