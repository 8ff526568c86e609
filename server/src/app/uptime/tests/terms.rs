//! Hours, zones and dates that are said anew after a month was signed: every version is explained by what was known
//! when it was made.
use kioskwatch_domain::{
    change::{CalendarTermsRow, Correction, CorrectionRow, CorrectionState, ServiceSpan},
    fleet::Request,
    testing::World,
    uptime::{Known, books::Verdict},
};

use super::*;

/// A fleet in memory decides, and the shelf keeps what it decided.
pub(super) struct Told {
    world: World,
    pub(super) shelf: Shelf,
}

const WEEK: [&str; 5] = [
    "",
    r#"[{"weekly":{"mon":[["08:00","20:00"]],"tue":[["08:00","20:00"]],"sat":[["10:00","16:00"]]}}]"#,
    r#"[{"weekly":{"wed":[["20:00","04:00"]],"sun":[["00:00","24:00"]]}}]"#,
    r#"[{"weekly":"24x7"},{"effective_from":"2026-10-15","weekly":{"mon":[["08:00","12:00"]]}}]"#,
    r#"[{"weekly":{"thu":[["08:00","20:00"]],"fri":[["08:00","20:00"]]},
         "use_calendar":true,"makeup_day_hours":[["09:00","17:00"]]}]"#,
];
/// Days off and make-up days that a calendar may name.
const DAYS: [[&[&str]; 2]; 3] = [
    [&[], &[]],
    [&["2026-10-01", "2026-10-02"], &["2026-10-10"]],
    [&["2026-10-08"], &["2026-10-17", "2026-10-18"]],
];
const ZONES: [&str; 3] = ["Asia/Shanghai", "America/New_York", "Europe/London"];

impl Told {
    pub(super) async fn new() -> Self {
        let (from, end) = (october().from * 1_000, october().to * 1_000);
        let mut world = World::new();
        world.now = Timestamp(from - 9 * DAY);
        let site = world.site("S-1", WEEK[1]);
        world.kiosk("k", Some(&site));
        let heard = [full("k", from - 9 * DAY, from + 11 * DAY), full("k", from + 13 * DAY, end - 3 * DAY)];
        let shelf = Shelf::with(&[alive(0, end + 100 * DAY)]).await;
        shelf.store.commit(&heard).await.unwrap();
        let mut told = Self { world, shelf };
        told.configure(from - 9 * DAY, DAYS[0], 24).await;
        told.keep_rows().await;
        told
    }

    async fn keep_rows(&self) {
        let store = &self.world.store;
        let rows = store.sites.values().cloned().map(Change::Site);
        let rows = rows.chain(store.site_terms.values().cloned().map(Change::SiteTerms));
        let rows = rows.chain(store.kiosks.values().cloned().map(Change::Kiosk));
        let rows = rows.chain(store.commissioned.values().cloned().map(Change::Commissioned));
        let rows = rows.chain(store.assignments.values().cloned().map(Change::Assignment));
        self.shelf.store.commit(&rows.collect::<Vec<_>>()).await.unwrap();
    }

    async fn say(&mut self, now: i64, request: Request) {
        self.world.now = Timestamp(now);
        // What contradicts itself is refused, and nothing was said.
        drop(self.world.ask("two people", request));
        self.keep_rows().await;
    }

    async fn hours(&mut self, now: i64, service_hours: &str, timezone: &str) {
        let row = self.world.store.sites.values().next().unwrap().clone();
        let row = SiteRow { service_hours: service_hours.into(), timezone: timezone.into(), ..row };
        self.say(now, Request::PutSite(row)).await;
    }

    pub(super) async fn contract(&mut self, now: i64, region: &str, customer: &str) {
        let row = self.world.store.sites.values().next().unwrap().clone();
        self.say(now, Request::PutSite(SiteRow { region: region.into(), customer: customer.into(), ..row }))
            .await;
    }

    /// A server starts with this calendar and this notice for planned work.
    async fn configure(&mut self, now: i64, days: [&[&str]; 2], notice_h: u64) {
        let [off, work] = days.map(|days| days.iter().map(|day| day.parse().unwrap()).collect::<Vec<_>>());
        let shelf = &mut self.shelf;
        shelf.calendar = WorkCalendar::from_lists(&off, &work);
        shelf.config.uptime.planned_notice_h = notice_h;
        let noted = shelf.store.calendar_terms().await.unwrap();
        let notice_h = i64::try_from(notice_h).unwrap();
        let rows = CalendarTermsRow::learned(&noted, &shelf.calendar, notice_h, Timestamp(now)).into_iter();
        shelf.store.commit(&rows.map(Change::CalendarTerms).collect::<Vec<_>>()).await.unwrap();
    }

    /// Work that was approved so many hours before it began, on the afternoon of a Friday.
    async fn planned(&self, approved_h: i64) {
        let from = october().from * 1_000 + 8 * DAY + 12 * HOUR;
        let row = ExclusionRow {
            id: Uuid::from_u128(approved_h.unsigned_abs().into()),
            kiosk: Some("k".parse().unwrap()),
            site: None,
            class: "planned".into(),
            from: Timestamp(from),
            to: Timestamp(from + 2 * HOUR),
            requested_by: "li".into(),
            approved_by: Some("wang".into()),
            approved_at: Some(Timestamp(from - approved_h * HOUR)),
            agreed_at: None,
            withdrawn: None,
            reason: "new floor".into(),
        };
        self.shelf.store.commit(&[Change::Exclusion(row)]).await.unwrap();
    }

    async fn dates(&mut self, now: i64, since: i64, until: Option<i64>) {
        let before = self.world.store.kiosks.values().next().unwrap().clone();
        let noted = self.world.store.noted(&before.id);
        let dates =
            ServiceSpan { commissioned_at: Some(Timestamp(since)), decommissioned_at: until.map(Timestamp) };
        let (after, before) = (Box::new(dates.put_into(&before)), Box::new(before));
        self.say(now, Request::ChangeKiosk { before, after, noted }).await;
    }

    /// What was proposed is decided, if anything was.
    async fn decide(&self, now: i64, approve: bool) {
        let (id, month) = (KioskId::new("k").unwrap(), "2026-10".parse().unwrap());
        let restatements = self.shelf.store.restatements_of(std::slice::from_ref(&id), month).await.unwrap();
        let waits = restatements.iter().find(|row| row.state == RestatementState::Proposed);
        let Some(proposal) = waits else { return };
        let rows = self.shelf.store.versions_of_month(&Scope::All, &id, month).await.unwrap();
        let stored = books::Stored { rows: &rows, restatements: &restatements };
        let (terms, boss) = (books::Terms::default(), Actor { name: "boss".into() });
        let verdict = Verdict { approve, reason: "seen".into() };
        let sites = rows.iter().filter_map(|row| row.site.clone()).collect();
        let places = self.shelf.reader(now).places_at(&sites).await.unwrap();
        let known = (&stored, places.contracts());
        match books::decide(Timestamp(now), &terms, &boss, proposal, known, &verdict) {
            Ok(changes) => self.shelf.store.commit(&changes).await.unwrap(),
            // What was shown is not what would be signed.
            Err(refusal) => assert!(refusal.reason.contains("more came in"), "{}", refusal.reason),
        }
    }

    /// Each version that was ever signed comes to the sum of the intervals that explain it; answers how many there are.
    async fn every_version_adds_up(&self, now: i64, seed: u64) -> u32 {
        let (id, month) = (KioskId::new("k").unwrap(), "2026-10".parse().unwrap());
        let period = UptimePeriod::Month { year: 2026, month: 10 };
        let rows = self.shelf.store.versions_of_month(&Scope::All, &id, month).await.unwrap();
        let last = rows.iter().map(|row| row.version).max().unwrap_or(0);
        for version in 1..=last {
            let of: Vec<_> = rows.iter().filter(|row| row.version == version).collect();
            let as_of = (version < last).then(|| of[0].booked_at);
            let told = self.shelf.reader(now).explain(&Scope::All, &id, period, as_of).await.unwrap();
            let signed = books::total(&of);
            assert_eq!(told.figures, signed.figures, "seed {seed}, version {version} of {last}");
            let pieces: i64 = told.intervals.iter().map(|piece| piece.to - piece.from).sum();
            assert_eq!(pieces, signed.figures.accountable_s, "seed {seed}, version {version} of {last}");
        }
        last
    }
}

#[tokio::test]
async fn hours_zone_and_dates_said_anew_leave_what_explains_a_signed_month_as_it_was() {
    let mut told = Told::new().await;
    let (from, end) = (october().from * 1_000, october().to * 1_000);
    told.shelf.keep("k", end + DAY).await;
    assert_eq!(told.every_version_adds_up(end + DAY, 0).await, 1);
    told.hours(end + 2 * DAY, WEEK[2], "America/New_York").await;
    told.dates(end + 3 * DAY, from + 4 * DAY, Some(from + 20 * DAY)).await;
    // Rejected: nothing will ever make the two agree again but what was known.
    told.shelf.keep("k", end + 4 * DAY).await;
    told.decide(end + 4 * DAY + HOUR, false).await;
    assert_eq!(told.every_version_adds_up(end + 5 * DAY, 0).await, 1);
    // Of the days there is no signature; they are counted by what is known now.
    let days = told.shelf.figures(UptimeScope::Fleet, from, from + 4 * DAY, end + 5 * DAY).await;
    assert_eq!(days.sums.figures.accountable_s, 0);
    told.hours(end + 6 * DAY, WEEK[3], "Asia/Shanghai").await;
    told.shelf.keep("k", end + 7 * DAY).await;
    told.decide(end + 7 * DAY + HOUR, true).await;
    told.hours(end + 8 * DAY, "", "Asia/Shanghai").await;
    assert_eq!(told.every_version_adds_up(end + 9 * DAY, 0).await, 2);
}

/// Said by two people when the months were signed: what that adds to them is proposed, or nobody's any more.
#[tokio::test]
async fn a_kiosk_of_which_it_is_said_late_that_it_counted_changes_no_signed_month_of_its_groups() {
    let mut told = Told::new().await;
    let (from, end) = (october().from * 1_000, october().to * 1_000);
    told.shelf.keep("k", end + DAY).await;
    let site = UptimeScope::Site(SiteId::new("S-1").unwrap());
    let signed = told.shelf.month(site.clone(), end + DAY).await;
    assert!(signed.signed && signed.sums.figures.accountable_s > 0);
    for (n, (late, proposals)) in [("l", 1), ("m", 0)].into_iter().enumerate() {
        // The second when the days for restating are over.
        let now = end + [2, 60][n] * DAY;
        let row = KioskRow {
            site: Some("S-1".parse().unwrap()),
            ..testing::kiosk(late.parse().unwrap(), Timestamp(0))
        };
        told.say(now, Request::PutKiosk(KioskRow { commissioned_at: None, ..row.clone() })).await;
        let [before, after] = [None, Some(Timestamp(from))]
            .map(|commissioned_at| Box::new(KioskRow { commissioned_at, ..row.clone() }));
        told.say(now + HOUR, Request::ChangeKiosk { before, after, noted: Known::default() }).await;
        told.shelf.keep(late, now + 2 * HOUR).await;
        let by_now = told.shelf.month(site.clone(), now + 2 * HOUR).await;
        assert_eq!((by_now.signed, by_now.version, &by_now.sums), (true, 1, &signed.sums), "{late}");
        told.shelf.keep(late, now + 3 * HOUR).await;
        let (id, month) = (KioskId::new(late).unwrap(), "2026-10".parse().unwrap());
        let restatements = told.shelf.store.restatements_of(&[id], month).await.unwrap();
        let of_october = restatements.iter().filter(|row| row.month == month);
        assert_eq!(of_october.count(), proposals, "{late}");
    }
}

#[tokio::test]
async fn what_another_zone_would_do_to_a_signed_month_is_shown_as_it_is_restated() {
    let mut told = Told::new().await;
    let (from, end) = (october().from * 1_000, october().to * 1_000);
    told.shelf.keep("k", end + DAY).await;
    let site = told.world.store.sites.values().next().unwrap().clone();
    let (before, after) = (site.timezone, "America/New_York".to_owned());
    let row = CorrectionRow {
        id: Uuid::nil(),
        what: Correction::Timezone { site: site.id, before, after: after.clone() },
        from: Timestamp(from),
        to: Timestamp(end),
        reason: "it never stood in Shanghai".into(),
        state: CorrectionState::Requested,
        requested_by: "li".into(),
        requested_at: Timestamp(end + 2 * DAY),
        decided: None,
        effect: String::new(),
    };
    let shown = told.shelf.reader(end + 2 * DAY).effect(&row, chrono_tz::Asia::Shanghai).await.unwrap();
    told.hours(end + 2 * DAY, &site.service_hours, &after).await;
    told.shelf.keep("k", end + 3 * DAY).await;
    let (id, month) = (KioskId::new("k").unwrap(), "2026-10".parse().unwrap());
    let proposed = told.shelf.store.restatements_of(&[id], month).await.unwrap();
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    // In September it was never down, by either clock: other hours of a hundred per cent.
    let [proposed, _september] = proposed.as_slice() else { panic!("{proposed:?}") };
    // A proposal says besides whose share it is.
    let mut after = json(&proposed.after);
    let shares = after.as_object_mut().unwrap().remove("shares").unwrap();
    assert_eq!(shares[0]["accountable_s"], after["accountable_s"]);
    assert_eq!(json(&shown)["2026-10"]["after"], after);
    assert_ne!(json(&proposed.before), json(&proposed.after));
}

#[tokio::test]
async fn a_month_signed_late_is_made_of_what_was_known_at_its_freeze() {
    let mut told = Told::new().await;
    let end = october().to * 1_000;
    told.hours(end + 2 * DAY, "", "America/New_York").await;
    let asked = UptimePeriod::Month { year: 2026, month: 10 };
    let explain = async |now, as_of: Option<i64>| {
        let id = KioskId::new("k").unwrap();
        let told =
            told.shelf.reader(now).explain(&Scope::All, &id, asked, as_of.map(Timestamp)).await.unwrap();
        (told.zone, told.period)
    };
    let there = (chrono_tz::Asia::Shanghai, october());
    assert_eq!(explain(end + 2 * DAY + HOUR, None).await, there, "before it is signed as afterwards");
    assert_eq!(explain(end + 2 * DAY + HOUR, Some(end + 2 * DAY + 1)).await, there);
    assert_eq!(explain(end + 2 * DAY + HOUR, Some(end + HOUR)).await, there);
    told.shelf.keep("k", end + 3 * DAY).await;
    assert_eq!(explain(end + 3 * DAY, None).await, there);
    let (ids, month) = ([KioskId::new("k").unwrap()], "2026-10".parse().unwrap());
    let signed = told.shelf.store.signed_months(&ids, month).await.unwrap();
    let hours = kioskwatch_domain::service_hours::Schedule::of_site(WEEK[1]).unwrap();
    let open = hours.open_times(chrono_tz::Asia::Shanghai, &told.shelf.calendar, october());
    assert_eq!(signed[0].sums.figures.accountable_s, open.length());
    let period = Interval::new(signed[0].period_from.secs(), signed[0].period_to.secs());
    assert_eq!(period, october(), "on the wall clock that was known at its freeze");
    assert_eq!(told.every_version_adds_up(end + 4 * DAY, 0).await, 1);
}

/// What a calendar file and a setting are by now is nothing to a signature.
#[tokio::test]
async fn another_calendar_or_notice_changes_no_signed_month_and_proposes_to_restate_what_it_would() {
    let (from, end) = (october().from * 1_000, october().to * 1_000);
    for (days, notice_h, added_s) in [
        (DAYS[1], 24, -2 * 12 * 3_600 + 8 * 3_600),
        (DAYS[0], 31, 2 * 3_600),
        (DAYS[2], 31, -12 * 3_600 + 16 * 3_600 + 2 * 3_600),
        // The same days from another file are no news.
        (DAYS[0], 24, 0),
    ] {
        let mut told = Told::new().await;
        told.hours(from - 8 * DAY, WEEK[4], "Asia/Shanghai").await;
        told.planned(30).await;
        told.shelf.keep("k", end + DAY).await;
        let signed = told.shelf.month(UptimeScope::Fleet, end + DAY).await;
        assert_eq!(signed.sums.figures.accountable_s, 10 * 12 * 3_600 - 2 * 3_600);
        told.configure(end + 2 * DAY, days, notice_h).await;
        assert_eq!(told.every_version_adds_up(end + 2 * DAY + HOUR, 0).await, 1, "{notice_h}");
        told.shelf.keep("k", end + 3 * DAY).await;
        let by_now = told.shelf.month(UptimeScope::Fleet, end + 3 * DAY).await;
        assert_eq!((by_now.version, &by_now.sums), (1, &signed.sums));
        let (ids, month) = ([KioskId::new("k").unwrap()], "2026-10".parse().unwrap());
        let proposed = told.shelf.store.restatements_of(&ids, month).await.unwrap();
        assert_eq!(proposed.len(), usize::from(added_s != 0), "{proposed:?}");
        told.decide(end + 3 * DAY + HOUR, true).await;
        let restated = told.shelf.month(UptimeScope::Fleet, end + 4 * DAY).await;
        let added = restated.sums.figures.accountable_s - signed.sums.figures.accountable_s;
        assert_eq!(added, added_s, "{notice_h}");
        // Back again: of the second version nobody forgets either what it was made of.
        told.configure(end + 5 * DAY, DAYS[0], 24).await;
        let versions = 1 + u32::from(added_s != 0);
        assert_eq!(told.every_version_adds_up(end + 6 * DAY, 0).await, versions);
    }
}

#[tokio::test]
async fn a_month_signed_late_is_counted_by_the_calendar_that_was_known_at_its_freeze_and_an_open_one_by_todays()
 {
    let (from, end) = (october().from * 1_000, october().to * 1_000);
    let mut told = Told::new().await;
    told.hours(from - 8 * DAY, WEEK[4], "Asia/Shanghai").await;
    told.configure(end - DAY, DAYS[1], 24).await;
    let accountable =
        async |told: &Told, now| told.shelf.month(UptimeScope::Fleet, now).await.sums.figures.accountable_s;
    let by_then = (8 * 12 + 8) * 3_600;
    assert_eq!(accountable(&told, end - 1).await, by_then, "it runs");
    told.configure(end + 2 * DAY, DAYS[2], 24).await;
    told.shelf.keep("k", end + 3 * DAY).await;
    assert_eq!(accountable(&told, end + 3 * DAY).await, by_then, "it is signed");
    assert_eq!(told.every_version_adds_up(end + 4 * DAY, 0).await, 1);
}

#[tokio::test]
async fn whatever_is_said_anew_and_whenever_every_version_adds_up() {
    let mut versions = 0;
    for seed in 0..6_u64 {
        let mut told = Told::new().await;
        told.planned(30).await;
        let (from, end) = (october().from * 1_000, october().to * 1_000);
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = |below: i64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            i64::try_from(state % below.unsigned_abs()).unwrap()
        };
        let mut now = end - 3 * DAY;
        for step in 1..=24 {
            now += HOUR * (1 + random(20));
            let pick = |n: i64| usize::try_from(n).unwrap();
            match random(8) {
                7 => {
                    let (days, notice_h) = (random(3), [24, 31][pick(random(2))]);
                    told.configure(now, DAYS[pick(days)], notice_h).await;
                }
                0 | 1 => {
                    let (hours, zone) = (random(5), random(3));
                    told.hours(now, WEEK[pick(hours)], ZONES[pick(zone)]).await;
                }
                2 => {
                    let since = from + random(20 * 24) * HOUR - 5 * DAY;
                    let until = (random(2) == 0).then(|| since + random(15 * 24) * HOUR);
                    told.dates(now, since, until).await;
                }
                3 => {
                    // A row of its own: from an instant at which no other begins.
                    let since = from + random(28) * DAY + step * 1_000;
                    let Change::Evidence(row) = full("k", since, since + DAY) else { unreachable!() };
                    let late = EvidenceRow { received_at: Some(Timestamp(now)), ..row };
                    told.shelf.store.commit(&[Change::Evidence(late)]).await.unwrap();
                }
                _ => {
                    told.shelf.keep("k", now).await;
                    now += HOUR;
                    let approve = random(3) > 0;
                    told.decide(now, approve).await;
                }
            }
            now += HOUR;
            versions += told.every_version_adds_up(now, seed).await;
        }
    }
    assert!(versions > 6 * 12, "hardly anything was signed: {versions}");
}
