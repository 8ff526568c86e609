//! What a scrape shows right after a start.
use std::sync::atomic::Ordering::Relaxed;

use kioskwatch_domain::{
    change::{MonthRow, MonthSums},
    uptime::Figures,
};

use super::*;
use crate::{app::uptime::books::Question, metrics::Seconds};

/// Series of single kiosks, and of groups.
async fn shown(office: &Office) -> (usize, usize) {
    let figures = office.app.figures().await.uptime;
    let of_groups = figures.iter().filter(|figure| figure.scope != "kiosk").count();
    (figures.iter().count() - of_groups, of_groups)
}

async fn of_month(office: &Office, scope: &str) -> Vec<Seconds> {
    let figures = office.app.figures().await.uptime;
    let of_month = figures.iter().filter(|figure| figure.scope == scope && figure.period == "month");
    of_month.map(|figure| figure.seconds).collect()
}

#[tokio::test]
async fn sums_of_groups_are_shown_before_anybody_is_booked_and_never_of_those_who_came_first() {
    let mut office = Office::of(KIOSKS_A_STEP + 1, true).await;
    let mut keeper = Keeper::new(office.app.clone());
    assert!(keeper.look_first().await.unwrap());
    assert_eq!(shown(&office).await, (KIOSKS_A_STEP, 0), "who came first is not the fleet");
    assert!(keeper.look_first().await.unwrap());
    let (kiosks, of_groups) = shown(&office).await;
    assert!(kiosks == KIOSKS_A_STEP + 1 && of_groups > 0, "{kiosks} kiosks, {of_groups} groups");
    assert!(!keeper.look_first().await.unwrap(), "nothing was committed meanwhile");
    assert!(office.requests.0.try_recv().is_err(), "nothing is booked by it");
    // Then the books are kept as if there had been no first look.
    assert!(office.step(&mut keeper, None).await && office.step(&mut keeper, None).await);
    assert_eq!(office.booked().await.len(), KIOSKS_A_STEP + 1);
}

#[tokio::test]
async fn before_it_the_fleets_year_is_summed_for_the_first_page() {
    let office = Office::of(1, true).await;
    let mut keeper = Keeper::new(office.app.clone());
    let running = Month::at(office.app.default_zone(), office.app.clock().now().secs());
    let (last, mut stage) = (running.previous(), Stage::Year);
    let signed = MonthRow::nothing(id(0), last, last.period(chrono_tz::UTC), office.app.clock().now());
    let figures = Figures { accountable_s: 9, ..Figures::default() };
    let sums = MonthSums { figures, ..MonthSums::default() };
    let signed = Change::Month(Box::new(MonthRow { sums, ..signed }));
    office.app.store().commit(std::slice::from_ref(&signed)).await.unwrap();
    assert!(keeper.stage(&mut stage).await.unwrap() && matches!(stage, Stage::FirstLook));
    let known = |month| {
        let ratios =
            office.app.books().ratios(&Question::of(&Scope::All, &UptimeScope::Fleet, (month, month))).ok();
        ratios.map(|ratios| ratios.figures.accountable_s)
    };
    let mut months = std::iter::successors(Some(last), |month| Some(month.previous()));
    assert_eq!(
        months.by_ref().take(11).map(known).collect::<Vec<_>>(),
        [&[Some(9)][..], &[Some(0); 10]].concat()
    );
    assert_eq!([known(running), known(months.next().unwrap())], [None, None]);
    office.note(&[signed]);
    assert_eq!(known(last), None, "until rows of it are booked");
}

#[tokio::test]
async fn what_comes_in_during_the_first_look_is_shown_by_it_and_booked_after_it() {
    let office = Office::of(KIOSKS_A_STEP + 1, true).await;
    let mut keeper = Keeper::new(office.app.clone());
    let first = office.place(&id(0));
    office.app.books().dirty().kiosk(first, Timestamp(5));
    assert!(keeper.look_first().await.unwrap());
    let up_s = async || of_month(&office, "fleet").await.first().map(|fleet| fleet.ratios[0].num);
    assert_eq!(up_s().await, None);
    let now = office.app.clock().now();
    let late = [testing::whole(id(0), now.plus_ms(-3_000_000), now.plus_ms(-2_000_000))];
    office.app.store().commit(&late).await.unwrap();
    office.note(&late);
    assert!(keeper.look_first().await.unwrap());
    assert_eq!(up_s().await, Some(0), "it was looked at before that");
    assert!(keeper.look_first().await.is_ok_and(|more| !more));
    assert_eq!(up_s().await, Some(1_000));
    let waiting = office.app.books().dirty().take(9, |_| Timestamp(0));
    assert_eq!(waiting, BTreeMap::from([(first.unwrap(), Timestamp(5))]), "since the first that was noted");
}

#[tokio::test]
async fn a_damaged_row_of_one_kiosk_keeps_the_sums_of_nobody_waiting() {
    let mut office = Office::of(3, true).await;
    let from = office.app.clock().now().plus_ms(-60_000);
    let row = RunningSpan { from, to: from, state: EvidenceState::Full, cause: None, interval_s: 30 };
    office.app.store().commit(&[Change::Evidence(row.evidence(id(1)))]).await.unwrap();
    office.folder.sabotage("UPDATE evidence SET cause = CAST(x'ff' AS TEXT)").await;
    let mut keeper = Keeper::new(office.app.clone());
    while keeper.look_first().await.unwrap() {}
    let (kiosks, of_groups) = shown(&office).await;
    assert!(kiosks == 2 && of_groups > 0, "{kiosks} kiosks, {of_groups} groups");
    assert!(office.step(&mut keeper, None).await);
    assert!(keeper.skipped.keys().eq([&id(1)]), "the books name it");
}

#[tokio::test]
async fn while_messages_wait_the_first_look_takes_no_more_than_the_books() {
    let office = Office::of(1, true).await;
    let keeper = Keeper::new(office.app.clone());
    let waiting = &office.app.health().waiting_messages;
    for (messages, rest) in [(0, 1), (999, 1), (1_000, REST), (9_000, REST)] {
        waiting.store(messages, Relaxed);
        assert_eq!(keeper.rest_at_first(), rest, "{messages}");
    }
}
