use kioskwatch_domain::{
    change::{
        AssignmentRow, Change, EvidenceState, ExclusionRow, GroupKind, KioskRow, LivenessRow, RunningSpan,
        SeenRow, SiteRow, TransitionRow, Zone,
    },
    fleet::Answer,
};
use kioskwatch_proto::SiteId;
use uuid::Uuid;

mod first_look;
mod late;

use std::collections::BTreeSet;

use super::*;
use crate::{
    app::{
        Asked, RequestReceiver,
        testing::{self, Folder},
        uptime::{Booked, UptimePeriod, UptimeQuery, UptimeScope, books::Question},
    },
    config::Config,
    metrics::PERIODS,
    store::{Scope, Store},
};

/// A bookkeeper over a fleet of quiet kiosks; the test is the hub.
struct Office {
    app: App,
    requests: RequestReceiver,
    folder: Folder,
}

fn id(n: usize) -> KioskId {
    KioskId::new(&format!("K-{n:03}")).unwrap()
}

impl Office {
    /// With kiosks that count since an hour ago, or not at all.
    async fn of(kiosks: usize, counts: bool) -> Self {
        let rows = |now: Timestamp| {
            let row = |n| {
                let commissioned_at = counts.then(|| now.plus_ms(-3_600_000));
                Change::Kiosk(KioskRow { commissioned_at, ..testing::kiosk(id(n), now) })
            };
            (0..kiosks).map(row).collect()
        };
        let (app, requests, folder) = testing::app(Config::default(), rows).await;
        Self { app, requests, folder }
    }

    /// As the hub does when they are committed.
    fn note(&self, changes: &[Change]) {
        self.app.books().note(changes, |kiosk| self.place(kiosk));
    }

    fn place(&self, kiosk: &KioskId) -> Option<Ix> {
        self.app.fleet().place(kiosk)
    }

    /// Steps while the hub answers: what names `bad` can never be committed.
    async fn step(&mut self, keeper: &mut Keeper, bad: Option<&KioskId>) -> bool {
        let store = self.app.store().clone();
        let mut step = Box::pin(keeper.step());
        loop {
            tokio::select! {
                done = &mut step => return done.unwrap(),
                Some(asked) = self.requests.0.recv() => commit(&store, asked, bad).await,
            }
        }
    }

    async fn booked(&self) -> BTreeSet<KioskId> {
        let ids: Vec<KioskId> = self.app.fleet().kiosks().map(|kiosk| kiosk.id.clone()).collect();
        let since: Month = "2000-01".parse().unwrap();
        let rows = self.app.store().months_of_kiosks(&ids, since).await.unwrap();
        rows.into_iter().map(|row| row.kiosk).collect()
    }
}

fn changes_of(asked: &Asked) -> &[Change] {
    match &asked.request {
        Request::Book { changes, .. } => changes,
        other => panic!("a bookkeeper only books: {other:?}"),
    }
}

async fn stored(store: &Store, kiosk: &KioskId) -> KioskRow {
    store.kiosk(&Scope::All, kiosk).await.unwrap().unwrap().kiosk
}

async fn commit(store: &Store, asked: Asked, bad: Option<&KioskId>) {
    let is_bad = |change: &Change| matches!(change, Change::Month(row) if Some(&row.kiosk) == bad);
    let answer = if changes_of(&asked).iter().any(is_bad) {
        Err(RequestError::Poisoned("a row the database refuses".into()))
    } else {
        store.commit(changes_of(&asked)).await.unwrap();
        Ok(Answer::Done)
    };
    asked.asker.answer(answer);
}

#[tokio::test]
async fn late_evidence_and_the_round_take_turns_so_that_neither_waits_for_the_whole_of_the_other() {
    let mut office = Office::of(5 * KIOSKS_A_STEP, false).await;
    let mut keeper = Keeper::new(office.app.clone());
    let mut left = Vec::new();
    for turn in 0..6 {
        // More comes in than a step can take.
        for n in 0..2 * KIOSKS_A_STEP {
            let kiosk = office.place(&id(n));
            office.app.books().dirty().kiosk(kiosk, Timestamp(0));
        }
        assert!(office.step(&mut keeper, None).await);
        assert_eq!(keeper.was_dirty, turn % 2 == 0, "turn {turn}");
        left.push(keeper.round.len() / KIOSKS_A_STEP);
    }
    // Those that were looked at meanwhile are passed.
    assert_eq!(left, [5, 3, 3, 2, 2, 1], "the round goes on although there was late evidence all the time");
}

#[tokio::test]
async fn a_round_looks_at_those_whose_time_has_come_and_at_whoever_something_happened_to_at_once() {
    let mut office = Office::of(4, false).await;
    let mut keeper = Keeper::new(office.app.clone());
    assert!(office.step(&mut keeper, None).await, "nobody was looked at since the start");
    let now = office.app.clock().now().secs();
    let later = now + i64::try_from(RENEWED_AFTER_S / 2).unwrap();
    let [k0, k1, k2, k3] = [0, 1, 2, 3].map(|n| office.place(&id(n)).unwrap());
    let leave_alone = |keeper: &mut Keeper, but: Ix, until: i64| {
        keeper.due_at.fill(later);
        keeper.due_at[but as usize] = until;
        keeper.began = None;
    };
    leave_alone(&mut keeper, k0, later);
    assert!(!office.step(&mut keeper, None).await, "there is nothing to do");
    leave_alone(&mut keeper, k1, now);
    keeper.due_at[k2 as usize] = STRANGER;
    let round = keeper.begin_round().then(|| keeper.round.clone());
    assert_eq!(round, Some(VecDeque::from([k1, k2])), "its time has come, and nobody ever looked");
    assert!(office.step(&mut keeper, None).await && keeper.round.is_empty());
    assert!(!keeper.left_nobody, "a round has its own pace");
    leave_alone(&mut keeper, k0, later);
    keeper.asked_at = now + 60;
    assert!(keeper.begin_round(), "our clock went back");
    assert_eq!(keeper.round, [k0, k1, k2, k3]);
    assert!(office.step(&mut keeper, None).await && keeper.round.is_empty());
    leave_alone(&mut keeper, k0, later);
    let at = Timestamp(now * 1_000);
    let silent = TransitionRow {
        kiosk: id(3),
        kind: "presence".to_owned(),
        peripheral: None,
        from: "late".to_owned(),
        to: "offline".to_owned(),
        at,
        noticed_at: at,
        reason: String::new(),
    };
    office.note(&[Change::Transition(silent)]);
    assert!(office.step(&mut keeper, None).await);
    assert!(keeper.left_nobody, "the next ones are waited for, to be looked at together");
    let looked_at: Vec<Ix> =
        (0..).zip(&keeper.due_at).filter(|(_, at)| **at != later).map(|(k, _)| k).collect();
    assert_eq!(looked_at, [k3]);
}

#[tokio::test]
async fn a_kiosk_that_cannot_be_booked_stops_no_other_and_is_booked_when_it_can_be() {
    let mut office = Office::of(4, true).await;
    let mut keeper = Keeper::new(office.app.clone());
    let bad = id(1);
    assert!(office.step(&mut keeper, Some(&bad)).await);
    assert_eq!(office.booked().await, BTreeSet::from([id(0), id(2), id(3)]));
    assert!(keeper.skipped.keys().eq([&bad]));
    assert!(keeper.round.is_empty(), "the round goes on behind it");
    let problems = async |app: &App, scope| {
        let month = Month::at(chrono_tz::Asia::Shanghai, app.clock().now().secs());
        let period = UptimePeriod::Month { year: month.year(), month: month.month() };
        let query = UptimeQuery::of(scope, period);
        app.uptime(&Scope::All, &query).await.unwrap().problems
    };
    let told = problems(&office.app, UptimeScope::Fleet).await;
    assert!(told.len() == 1 && told[0].starts_with(&format!("{bad}: its months cannot")), "{told:?}");
    assert_eq!(problems(&office.app, UptimeScope::Kiosk(id(0))).await, [""; 0]);
    // Nothing happens to it; it is tried all the same, and not in every round.
    keeper.began = None;
    office.step(&mut keeper, None).await;
    assert!(!office.booked().await.contains(&bad));
    (keeper.began, keeper.tried) = (None, None);
    assert!(office.step(&mut keeper, None).await);
    assert!(office.booked().await.contains(&bad) && keeper.skipped.is_empty());
    assert_eq!(problems(&office.app, UptimeScope::Fleet).await, [""; 0]);
}

#[tokio::test]
async fn a_damaged_row_of_one_kiosk_keeps_nobody_else_from_being_booked() {
    let mut office = Office::of(4, true).await;
    let bad = id(1);
    let from = office.app.clock().now().plus_ms(-60_000);
    let row = RunningSpan { from, to: from, state: EvidenceState::Full, cause: None, interval_s: 30 };
    office.app.store().commit(&[Change::Evidence(row.evidence(bad.clone()))]).await.unwrap();
    // A bit that flipped: these bytes are no text.
    office.folder.sabotage("UPDATE evidence SET cause = CAST(x'ff' AS TEXT)").await;
    let mut keeper = Keeper::new(office.app.clone());
    assert!(office.step(&mut keeper, None).await);
    assert_eq!(office.booked().await, BTreeSet::from([id(0), id(2), id(3)]));
    assert!(keeper.round.is_empty() && keeper.skipped.keys().eq([&bad]));
    office.folder.sabotage("UPDATE evidence SET cause = NULL").await;
    (keeper.began, keeper.tried) = (None, None);
    assert!(office.step(&mut keeper, None).await);
    assert!(office.booked().await.contains(&bad) && keeper.skipped.is_empty());
}

#[tokio::test]
async fn single_kiosks_hold_the_seconds_of_the_fleet_also_those_of_one_that_was_retired_meanwhile() {
    let (app, requests, folder) = testing::app(Config::default(), |now| {
        let [began, ended] = [now.plus_ms(-3_600_000), now.plus_ms(-1_800_000)];
        let retired = KioskRow { decommissioned_at: Some(ended), ..testing::kiosk(id(1), began) };
        let heard = Change::Liveness(LivenessRow { server: Uuid::from_u128(1), from: began, to: now });
        let whole = [testing::whole(id(0), began, now), testing::whole(id(1), began, ended)];
        let kiosks = [testing::kiosk(id(0), began), retired].map(Change::Kiosk);
        kiosks.into_iter().chain(whole).chain([heard]).collect()
    })
    .await;
    let mut office = Office { app, requests, folder };
    let mut keeper = Keeper::new(office.app.clone());
    assert!(office.step(&mut keeper, None).await);
    let figures = office.app.figures().await;
    assert_eq!(figures.each.len(), 1, "the other one is nobody's problem any more");
    let up_s = |scope: &str| -> i64 {
        let of = figures.uptime.iter().filter(|figure| figure.scope == scope && figure.period == "month");
        of.map(|figure| figure.seconds.ratios[0].num).sum()
    };
    assert_eq!(up_s("kiosk"), up_s("fleet"));
    assert!(up_s("fleet") > 0);
}

#[tokio::test]
async fn by_which_terms_months_are_signed_stands_in_the_audit_of_each_start() {
    let mut office = Office::of(1, true).await;
    let store = office.app.store().clone();
    let (stop, stopped) = watch::channel(false);
    let books = tokio::spawn(keep_books(office.app.clone(), stopped));
    let first = office.requests.0.recv().await.unwrap();
    commit(&store, first, None).await;
    stop.send(true).unwrap();
    books.await.unwrap();
    let entries = store.audit(&crate::store::PageRequest::first()).await.unwrap().items;
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((entry.row.actor.as_str(), entry.row.action.as_str()), (BOOKKEEPER, "uptime.terms"));
    let detail: serde_json::Value = serde_json::from_str(&entry.row.detail).unwrap();
    assert_eq!((&detail["target"][0], &detail["freeze_hours"]), (&99.into(), &24.into()), "{detail}");
}

#[tokio::test]
async fn sums_of_groups_are_shown_once_everybody_was_looked_at_or_cannot_be() {
    let mut office = Office::of(KIOSKS_A_STEP + 1, true).await;
    let mut keeper = Keeper::new(office.app.clone());
    let shown = async |office: &Office| {
        let figures = office.app.figures().await.uptime;
        let of_groups = figures.iter().filter(|figure| figure.scope != "kiosk").count();
        (figures.iter().count() - of_groups, of_groups)
    };
    let bad = Some(&id(KIOSKS_A_STEP));
    assert!(office.step(&mut keeper, bad).await);
    assert_eq!(shown(&office).await, (KIOSKS_A_STEP, 0), "who came first is not the fleet");
    assert!(office.step(&mut keeper, bad).await);
    let (kiosks, of_groups) = shown(&office).await;
    assert!(kiosks == KIOSKS_A_STEP && of_groups > 0, "one that cannot be booked keeps nobody waiting");
}

#[tokio::test]
async fn what_cannot_be_booked_any_more_does_not_go_on_as_it_did() {
    let mut office = Office::of(2, true).await;
    let app = office.app.clone();
    let [bad, good] = [id(1), id(0)];
    // Heard for longer than this test takes: nobody falls silent before the first look.
    let (from, to) = (app.clock().now().plus_ms(-3_600_000), app.clock().now().plus_ms(60_000));
    let hears = |kiosk: &KioskId| {
        let running = RunningSpan { from, to, state: EvidenceState::Full, cause: None, interval_s: 300 };
        Change::Seen(SeenRow {
            kiosk: kiosk.clone(),
            last_seen_at: to,
            interval_s: 300,
            clock_offset_ms: None,
            running: Some(running),
        })
    };
    app.store().commit(&[hears(&bad), hears(&good)]).await.unwrap();
    let mut keeper = Keeper::new(app.clone());
    assert!(office.step(&mut keeper, None).await);
    let later = to.plus_ms(120_000);
    app.books().took_in(later);
    let shown = |kiosk: &KioskId, at| {
        let month = PERIODS.iter().position(|name| *name == "month").unwrap();
        app.books().of_kiosks(app.fleet().place(kiosk).into_iter(), at)[0][month].unwrap()
    };
    // It changes what is booked, so that it is booked anew.
    let model = KioskRow { model: "another".into(), ..stored(app.store(), &bad).await };
    app.store().commit(&[Change::Kiosk(model)]).await.unwrap();
    app.books().dirty().kiosk(office.place(&bad), Timestamp(0));
    assert!(office.step(&mut keeper, Some(&bad)).await);
    assert!(keeper.skipped.contains_key(&bad));
    let now = app.clock().now();
    assert_eq!(shown(&bad, now), shown(&bad, later));
    assert_ne!(shown(&good, now), shown(&good, later));
}

#[tokio::test]
async fn nobody_decides_between_a_look_of_the_bookkeeper_and_its_booking() {
    let mut office = Office::of(1, true).await;
    let (app, store) = (office.app.clone(), office.app.store().clone());
    let mut keeper = Keeper::new(app.clone());
    keeper.places().await.unwrap();
    // Somebody decides: what they change is seen, because nothing was looked at before.
    let deciding = app.books().decisions.begin().await.unwrap();
    let step = tokio::spawn(async move { keeper.step().await });
    let before = stored(&store, &id(0)).await;
    for _ in 0..50 {
        store.kiosk(&Scope::All, &id(0)).await.unwrap();
    }
    let model = "changed while it waited".to_owned();
    store.commit(&[Change::Kiosk(KioskRow { model: model.clone(), ..before })]).await.unwrap();
    drop(deciding);
    let asked = office.requests.0.recv().await.unwrap();
    let rows: Vec<_> = changes_of(&asked)
        .iter()
        .filter_map(|change| match change {
            Change::Month(row) => Some(row.model.clone()),
            _ => None,
        })
        .collect();
    assert!(!rows.is_empty() && rows.iter().all(|one| *one == model), "{rows:?}");
    // Its booking waits to be committed.
    assert!(app.books().decisions.is_anybody_deciding());
    commit(&store, asked, None).await;
    assert!(step.await.unwrap().unwrap());
    assert!(!app.books().decisions.is_anybody_deciding());
}

/// Its rows would be among some of what a page reads: it would be looked up once more, and not be remembered.
#[tokio::test]
async fn nothing_is_booked_during_a_look_of_a_page() {
    let mut office = Office::of(1, true).await;
    let (app, store) = (office.app.clone(), office.app.store().clone());
    let month = Month::at(app.default_zone(), app.clock().now().secs());
    let question = Question::of(&Scope::All, &UptimeScope::Fleet, (month, month));
    let look = async || {
        let waits = async {
            while !app.books().is_anybody_waiting() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waits).await.expect("the bookkeeper waits");
        let rows = store.months_of_kiosks(&[id(0)], month.previous()).await.unwrap();
        assert_eq!(rows, []);
        Ok::<_, StoreError>(Booked { months: Vec::new(), parts: Vec::new(), kiosks: Vec::new() })
    };
    let mut keeper = Keeper::new(app.clone());
    let (page, stepped) = tokio::join!(app.books().divided(&question, look), office.step(&mut keeper, None));
    assert!(page.is_ok() && stepped);
    assert_eq!(office.booked().await, BTreeSet::from([id(0)]), "behind it");
}

#[tokio::test]
async fn what_is_forgiven_to_a_site_is_looked_at_for_those_that_stood_there_then() {
    let office = Office::of(4, true).await;
    let (store, now) = (office.app.store(), office.app.clock().now());
    let days_ago = |days: i64| now.plus_ms(-days * 86_400_000);
    let stood = |n: usize, site: &str, from, to: Option<i64>| {
        Change::Assignment(AssignmentRow {
            kiosk: id(n),
            group: GroupKind::Site,
            group_id: site.to_owned(),
            from: days_ago(from),
            to: to.map(days_ago),
            said: None,
        })
    };
    // The first moved away after the window, the second before it, the third came after it, the fourth is there.
    let moves = [
        (0, "A", 60, Some(20)),
        (0, "B", 20, None),
        (1, "A", 60, Some(50)),
        (1, "B", 50, None),
        (2, "B", 60, Some(20)),
        (2, "A", 20, None),
        (3, "A", 60, None),
    ];
    let rows: Vec<Change> = moves.iter().map(|(n, site, from, to)| stood(*n, site, *from, *to)).collect();
    store.commit(&rows).await.unwrap();
    let window = ExclusionRow {
        id: Uuid::nil(),
        kiosk: None,
        site: Some(SiteId::new("A").unwrap()),
        class: "force_majeure".into(),
        from: days_ago(40),
        to: days_ago(39),
        requested_by: "a".into(),
        approved_by: Some("b".into()),
        approved_at: Some(now),
        agreed_at: None,
        withdrawn: None,
        reason: "flood".into(),
    };
    office.note(&[Change::Exclusion(window)]);
    let mut keeper = Keeper::new(office.app.clone());
    keeper.spread_sites().await.unwrap();
    let taken = office.app.books().dirty().take(9, |_| Timestamp(i64::MAX));
    // Who came after it is looked at for nothing.
    assert_eq!(taken.into_keys().map(Some).collect::<Vec<_>>(), [0, 2, 3].map(|n| office.place(&id(n))));
}

#[tokio::test]
async fn sites_are_read_once_for_all_rounds_until_one_of_them_changes() {
    let mut office = Office::of(1, true).await;
    let mut keeper = Keeper::new(office.app.clone());
    let before = keeper.places().await.unwrap();
    assert!(keeper.begin_round());
    assert!(office.step(&mut keeper, None).await);
    assert!(Arc::ptr_eq(&before, &keeper.places().await.unwrap()), "a round reads no site again");
    let site = SiteId::new("S-1").unwrap();
    for timezone in ["Asia/Shanghai", "America/New_York", "UTC"] {
        let row = Change::Site(SiteRow {
            id: site.clone(),
            name: "hall".into(),
            region: String::new(),
            customer: String::new(),
            zone: Zone::Urban,
            timezone: timezone.into(),
            service_hours: String::new(),
            contacts: "[]".into(),
            remote_consent: false,
            updated_at: Timestamp(0),
        });
        office.app.store().commit(std::slice::from_ref(&row)).await.unwrap();
        office.note(&[row]);
        // Whatever it looks at next.
        office.app.books().dirty().kiosk(office.place(&id(0)), Timestamp(0));
        assert!(office.step(&mut keeper, None).await);
        let zone: Tz = timezone.parse().unwrap();
        assert_eq!(keeper.places().await.unwrap().zone_at(Some(&site)), zone);
    }
}
