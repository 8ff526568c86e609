use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kioskwatch_domain::{
    calendar::WorkCalendar,
    change::{
        AssignmentRow, Change, EvidenceRow, ExclusionRow, GroupKind, KioskRow, LivenessRow, MonthRow,
        RestatementState, SiteRow, Zone,
    },
    fleet::Actor,
    ids::Ids,
    retention::Kept,
    uptime::{Cause, Ratio, books},
};
use uuid::Uuid;

mod basis;
mod board;
mod booked;
mod contracts;
mod count;
mod moves;
mod outages;
mod signing;
mod terms;

use super::{
    board::{Board, Shown},
    look::{Look, Outcome},
    *,
};
use crate::{
    app::testing,
    config::Config,
    metrics::{Seconds, UptimeFigure, UptimeFigures},
    store::{MonthRatios, Store},
};

const HOUR: i64 = 3_600_000;

/// A store in a directory of its own, gone with it.
struct Shelf {
    store: Store,
    dir: std::path::PathBuf,
    config: Config,
    calendar: WorkCalendar,
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Shelf {
    async fn with(changes: &[Change]) -> Self {
        let dir = std::env::temp_dir().join(format!("kw-uptime-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&dir).unwrap();
        let store = Store::open(&format!("sqlite://{}/test.sqlite", dir.display())).await.unwrap();
        store.commit(changes).await.unwrap();
        Self { store, dir, config: Config::default(), calendar: WorkCalendar::from_lists(&[], &[]) }
    }

    fn reader(&self, now: i64) -> UptimeReader<'_> {
        UptimeReader {
            store: &self.store,
            config: &self.config,
            calendar: &self.calendar,
            now: Timestamp(now),
            live: &NotLive,
        }
    }

    async fn month(&self, scope: UptimeScope, now: i64) -> UptimeAnswer {
        let period = UptimePeriod::Month { year: 2026, month: 10 };
        let query = UptimeQuery::of(scope, period);
        self.reader(now).figures(&Scope::All, &query).await.unwrap()
    }

    /// The bookkeeper passes by.
    async fn keep(&self, kiosk: &str, now: i64) -> Shown {
        self.look_at(kiosk, now, &BTreeSet::new()).await.shown
    }

    async fn look_at(&self, kiosk: &str, now: i64, seen: &BTreeSet<KioskId>) -> Outcome {
        let reader = self.reader(now);
        let places = reader.places().await.unwrap();
        let kiosks = BTreeMap::from([(KioskId::new(kiosk).unwrap(), Timestamp(i64::MIN))]);
        let is_seen = |id: &KioskId| seen.contains(id);
        let look = Look::gather(&reader, Arc::new(places), &kiosks, is_seen).await.unwrap();
        let look = look.committed_to(Timestamp(now));
        let kept = look.keep(&look.subjects[0], &mut Ids::seeded(now.unsigned_abs().into()));
        self.store.commit(&kept.changes).await.unwrap();
        kept
    }

    async fn figures(&self, scope: UptimeScope, from: i64, to: i64, now: i64) -> UptimeAnswer {
        let reader = self.reader(now);
        let period = UptimePeriod::Between(Timestamp(from), Timestamp(to));
        reader.figures(&Scope::All, &UptimeQuery::of(scope, period)).await.unwrap()
    }
}

/// What a scrape shows of a period.
fn of_period<'a>(figures: &'a UptimeFigures, period: &'static str) -> impl Iterator<Item = UptimeFigure<'a>> {
    figures.iter().filter(move |one| one.period == period)
}

fn of_fleet(figures: &UptimeFigures, period: &'static str) -> Seconds {
    of_period(figures, period).find(|one| one.scope == "fleet").unwrap().seconds
}

fn site(id: &str) -> Change {
    Change::Site(SiteRow {
        id: SiteId::new(id).unwrap(),
        name: id.to_owned(),
        region: String::new(),
        customer: String::new(),
        zone: Zone::Urban,
        timezone: "Asia/Shanghai".to_owned(),
        service_hours: String::new(),
        contacts: "[]".to_owned(),
        remote_consent: false,
        updated_at: Timestamp(0),
    })
}

fn kiosk(id: &str, at: Option<&str>) -> Change {
    let site = at.map(|at| SiteId::new(at).unwrap());
    Change::Kiosk(KioskRow { site, ..testing::kiosk(KioskId::new(id).unwrap(), Timestamp(0)) })
}

fn full(id: &str, from: i64, to: i64) -> Change {
    testing::whole(KioskId::new(id).unwrap(), Timestamp(from), Timestamp(to))
}

fn alive(from: i64, to: i64) -> Change {
    Change::Liveness(LivenessRow { server: Uuid::from_u128(1), from: Timestamp(from), to: Timestamp(to) })
}

#[tokio::test]
async fn a_site_owns_only_the_kiosks_that_stood_there() {
    let shelf = Shelf::with(&[
        site("S-1"),
        site("S-2"),
        kiosk("here", Some("S-1")),
        kiosk("there", Some("S-2")),
        kiosk("nowhere", None),
        alive(0, 10 * HOUR),
        full("here", 0, 10 * HOUR),
    ])
    .await;
    let here = shelf.figures(UptimeScope::Site(SiteId::new("S-1").unwrap()), 0, 10 * HOUR, 11 * HOUR).await;
    assert_eq!((here.kiosks, here.sums.figures.on), (1, Ratio::new(36_000, 36_000)));
    let fleet = shelf.figures(UptimeScope::Fleet, 0, 10 * HOUR, 11 * HOUR).await;
    assert_eq!((fleet.kiosks, fleet.sums.figures.on), (3, Ratio::new(36_000, 3 * 36_000)));
}

#[tokio::test]
async fn an_outage_of_ours_at_the_end_of_a_past_period_stays_one() {
    let changes = [site("S-1"), kiosk("k", Some("S-1")), alive(0, 6 * HOUR), full("k", 0, 6 * HOUR)];
    let shelf = Shelf::with(&changes).await;
    // The server was away from hour 6 to hour 20 and is back now; the period ended at hour 10.
    let answer = shelf.figures(UptimeScope::Fleet, 0, 10 * HOUR, 20 * HOUR).await;
    assert_eq!(answer.sums.figures.on, Ratio::new(6 * 3_600, 6 * 3_600));
}

/// Listening since then, and nothing of it is written.
struct Listening(LivenessRow);

impl Live for Listening {
    fn evidence(&self, _: &KioskId) -> Vec<Evidence> {
        Vec::new()
    }

    fn hearing(&self) -> Vec<LivenessRow> {
        vec![self.0.clone()]
    }

    fn unstored_since(&self, _: &KioskId) -> Option<Timestamp> {
        None
    }
}

#[tokio::test]
async fn silence_counts_from_when_a_server_listens_and_not_from_its_first_row() {
    let changes = [site("S-1"), kiosk("k", Some("S-1")), alive(0, 6 * HOUR), full("k", 0, 6 * HOUR)];
    let shelf = Shelf::with(&changes).await;
    // Killed at hour 6, back 15 s later, asked after another 5 s: nobody heard the 15 s.
    for (from, silent_s) in [(6 * HOUR, 20), (6 * HOUR + 15_000, 5)] {
        let to = 6 * HOUR + 20_000;
        let listening =
            Listening(LivenessRow { server: Uuid::nil(), from: Timestamp(from), to: Timestamp(to) });
        let reader = UptimeReader { live: &listening, ..shelf.reader(to) };
        let period = UptimePeriod::Between(Timestamp(0), Timestamp(10 * HOUR));
        let query = UptimeQuery::of(UptimeScope::Fleet, period);
        let answer = reader.figures(&Scope::All, &query).await.unwrap();
        assert_eq!(answer.sums.figures.on, Ratio::new(6 * 3_600, 6 * 3_600 + silent_s));
    }
}

/// October 2026 in Shanghai.
fn october() -> Interval {
    "2026-10".parse::<Month>().unwrap().period(chrono_tz::Asia::Shanghai)
}

const DAY: i64 = 24 * HOUR;
/// Heard all the time.
const EVER: Timestamp = Timestamp(i64::MAX);

/// Stood ten days at S-1, then at S-2; worked but for the last two days.
async fn moved_in_mid_month() -> Shelf {
    let (from, to) = (october().from * 1_000, october().to * 1_000);
    let stood = |site: &str, from, to: Option<i64>| {
        Change::Assignment(AssignmentRow {
            kiosk: KioskId::new("k").unwrap(),
            group: GroupKind::Site,
            group_id: site.to_owned(),
            from: Timestamp(from),
            to: to.map(Timestamp),
            said: None,
        })
    };
    Shelf::with(&[
        site("S-1"),
        site("S-2"),
        kiosk("k", Some("S-2")),
        stood("S-1", 0, Some(from + 10 * DAY)),
        stood("S-2", from + 10 * DAY, None),
        alive(0, to + 40 * DAY),
        full("k", from, to - 2 * DAY),
    ])
    .await
}

#[tokio::test]
async fn a_kiosk_moved_in_mid_month_owes_each_site_its_own_seconds() {
    let shelf = moved_in_mid_month().await;
    let now = october().to * 1_000 + HOUR;
    let scopes = ["S-1", "S-2"].map(|id| UptimeScope::Site(SiteId::new(id).unwrap()));
    let counted = [shelf.month(scopes[0].clone(), now).await, shelf.month(scopes[1].clone(), now).await];
    let days = counted.each_ref().map(|one| one.sums.figures.on).map(|on| (on.num / 86_400, on.den / 86_400));
    assert_eq!(days, [(10, 10), (19, 21)]);
    // Signed, the books say the same as the count did.
    shelf.keep("k", now + DAY).await;
    for (scope, counted) in scopes.into_iter().zip(counted) {
        let booked = shelf.month(scope, now + DAY).await;
        assert!(booked.booked && booked.signed && !counted.booked);
        assert_eq!(booked.sums.figures, counted.sums.figures);
    }
    let fleet = shelf.month(UptimeScope::Fleet, now + DAY).await;
    assert_eq!((fleet.version, fleet.worst.len(), fleet.kiosks), (1, 1, 1));
    assert_eq!(fleet.sums.figures.on, Ratio::new(29 * 86_400, 31 * 86_400));
}

#[tokio::test]
async fn after_a_jump_of_the_clock_nothing_is_signed_until_the_server_has_listened_for_the_days_of_the_freeze()
 {
    let to = october().to * 1_000;
    let year = 365 * DAY;
    let shelf = Shelf::with(&[
        kiosk("k", None),
        alive(0, to + HOUR),
        // Its clock went a year forward, and it listens on.
        alive(to + year, to + year + 2 * DAY),
    ])
    .await;
    let (kiosk, month): (KioskId, Month) = ("k".parse().unwrap(), "2026-10".parse().unwrap());
    let mut seen = BTreeSet::new();
    for (now, signed) in [(HOUR, 0), (year, 0), (year + 23 * HOUR - 1_000, 0), (year + 23 * HOUR, 1)] {
        // In one process: whoever was looked at once is not looked at anew.
        shelf.look_at("k", to + now, &seen).await;
        seen.insert(kiosk.clone());
        let rows = shelf.store.versions_of_month(&Scope::All, &kiosk, month).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.version).max(), Some(signed), "{now}");
    }
}

#[tokio::test]
async fn hours_and_zones_that_cannot_be_read_are_named_and_forgive_nothing() {
    let broken = |id: &str, timezone: &str, hours: &str| {
        let Change::Site(row) = site(id) else { unreachable!() };
        Change::Site(SiteRow { timezone: timezone.to_owned(), service_hours: hours.to_owned(), ..row })
    };
    let shelf = Shelf::with(&[
        broken("S-1", "Mars/Olympus", ""),
        broken("S-2", "Asia/Shanghai", r#"[{"weekly":{"someday":[]}}]"#),
        kiosk("k1", Some("S-1")),
        kiosk("k2", Some("S-2")),
        alive(0, 10 * HOUR),
        full("k1", 0, 5 * HOUR),
    ])
    .await;
    let answer = shelf.figures(UptimeScope::Fleet, 0, 10 * HOUR, 11 * HOUR).await;
    assert_eq!(answer.sums.figures.on, Ratio::new(5 * 3_600, 20 * 3_600));
    assert_eq!(answer.problems.len(), 2);
    assert!(answer.problems[0].contains("Mars/Olympus") && answer.problems[1].contains("someday"));
}

#[tokio::test]
async fn old_evidence_goes_and_signed_figures_stay() {
    let shelf = moved_in_mid_month().await;
    let end = october().to * 1_000;
    shelf.keep("k", end + DAY).await;
    let before = shelf.month(UptimeScope::Fleet, end + DAY).await;
    let ids = [KioskId::new("k").unwrap()];
    let month: Month = "2026-10".parse().unwrap();
    shelf.store.remove_of_kiosks(Kept::Evidence, &ids, Timestamp(end), 100).await.unwrap();
    shelf.store.prune_months(&ids, month.next()).await.unwrap();
    let left = shelf.store.evidence(&Scope::All, &ids, Timestamp(0), Timestamp(end)).await.unwrap();
    assert!(left.is_empty());
    let after = shelf.month(UptimeScope::Fleet, end + DAY).await;
    assert_eq!(after, before);
    let versions: Vec<u32> = shelf
        .store
        .versions_of_month(&Scope::All, &ids[0], month)
        .await
        .unwrap()
        .iter()
        .map(|row| row.version)
        .collect();
    assert_eq!(versions, [1, 1], "of each site the signed one");
}

#[test]
fn what_was_answered_holds_until_its_month_is_booked_again() {
    let books = Books::default();
    let month: Month = "2026-10".parse().unwrap();
    let question = |month| Question::of(&Scope::All, &UptimeScope::Fleet, (month, month));
    let answer = UptimeAnswer { kiosks: 7, ..UptimeAnswer::default() };
    let generation = books.answer(&question(month)).unwrap_err();
    books.remember(question(month), generation, &answer);
    books.month_changed(month.next(), true);
    books.month_changed(month, false);
    assert_eq!(books.answer(&question(month)).unwrap().kiosks, 7, "a round that goes on");
    books.forget_running_sums();
    let generation = books.answer(&question(month)).unwrap_err();
    let ratios = MonthRatios::default();
    books.remember_ratios(question(month), generation, &ratios);
    assert_eq!(books.ratios(&question(month)), Ok(ratios.clone()));
    books.month_changed(month, true);
    books.remember(question(month), generation, &answer);
    assert!(books.answer(&question(month)).is_err(), "computed from rows of before");
    assert!(books.ratios(&question(month)).is_err(), "computed from rows of before");
    books.remember_ratios(question(month), generation, &ratios);
    assert!(books.ratios(&question(month)).is_err(), "computed from rows of before");
}

#[tokio::test]
async fn an_answer_is_forgotten_with_the_commit_of_its_months_rows() {
    let shelf = moved_in_mid_month().await;
    let end = october().to * 1_000;
    shelf.keep("k", end + DAY).await;
    let month: Month = "2026-10".parse().unwrap();
    let rows = shelf.store.versions_of_month(&Scope::All, &KioskId::new("k").unwrap(), month).await.unwrap();
    let books = Books::default();
    let question = Question::of(&Scope::All, &UptimeScope::Fleet, (month, month));
    let generation = books.answer(&question).unwrap_err();
    books.remember(question.clone(), generation, &UptimeAnswer::default());
    assert!(books.answer(&question).is_ok());
    let signed = rows.into_iter().find(|row| row.version == 1).unwrap();
    books.note(&[Change::Month(Box::new(signed))], |_| Some(0));
    assert!(books.answer(&question).is_err());
}
