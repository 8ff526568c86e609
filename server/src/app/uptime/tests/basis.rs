//! What counts for which figures: what had been received and approved, and until when.
use kioskwatch_domain::change::MonthRow;

use super::*;

#[tokio::test]
async fn only_a_month_has_a_freeze_and_a_journal_of_days_later_counts_for_the_day_it_tells_of() {
    let from = october().from * 1_000;
    let day = from + 4 * DAY;
    let Change::Evidence(row) = full("k", day, day + DAY) else { unreachable!() };
    let late = EvidenceRow { received_at: Some(Timestamp(day + 3 * DAY)), ..row };
    let shelf = Shelf::with(&[
        site("S-1"),
        kiosk("k", Some("S-1")),
        alive(0, from + 40 * DAY),
        full("k", 0, day),
        Change::Evidence(late),
    ])
    .await;
    let scope = UptimeScope::Kiosk(KioskId::new("k").unwrap());
    let whole = Ratio::new(86_400, 86_400);
    let between = UptimePeriod::Between(Timestamp(day), Timestamp(day + DAY));
    for period in [between, UptimePeriod::DayOf(Timestamp(day + HOUR))] {
        let query = UptimeQuery::of(scope.clone(), period);
        let answer = shelf.reader(from + 19 * DAY).figures(&Scope::All, &query).await.unwrap();
        assert_eq!(answer.sums.figures.on, whole, "{period:?}");
        let id = KioskId::new("k").unwrap();
        let told = shelf.reader(from + 19 * DAY).explain(&Scope::All, &id, period, None).await.unwrap();
        assert_eq!(told.figures.on, whole, "{period:?}");
    }
}

fn of_kiosk(id: &str) -> UptimeScope {
    UptimeScope::Kiosk(KioskId::new(id).unwrap())
}

/// That a kiosk was whole in a span, told by a journal that came later.
fn told(id: &str, from: i64, to: i64, received_at: i64) -> Change {
    let Change::Evidence(row) = full(id, from, to) else { unreachable!() };
    Change::Evidence(EvidenceRow { received_at: Some(Timestamp(received_at)), ..row })
}

pub(super) fn flood(id: &str, from: i64, to: i64, approved_at: i64) -> Change {
    Change::Exclusion(ExclusionRow {
        id: Uuid::from_u128(u128::from(approved_at.unsigned_abs())),
        kiosk: Some(KioskId::new(id).unwrap()),
        site: None,
        class: "force_majeure".into(),
        from: Timestamp(from),
        to: Timestamp(to),
        requested_by: "dispatcher".into(),
        approved_by: Some("manager".into()),
        approved_at: Some(Timestamp(approved_at)),
        agreed_at: None,
        withdrawn: None,
        reason: "flood".into(),
    })
}

impl Shelf {
    /// What is known of October becomes version 2.
    async fn restate(&self, id: &str, now: i64) {
        self.keep(id, now).await;
        let (kiosk, month): (KioskId, Month) = (id.parse().unwrap(), "2026-10".parse().unwrap());
        let rows = self.store.versions_of_month(&Scope::All, &kiosk, month).await.unwrap();
        let known = rows.into_iter().filter(|row| row.version == 0);
        let next = known.map(|row| MonthRow { version: 2, booked_at: Timestamp(now), ..row });
        let next: Vec<Change> = next.map(|row| Change::Month(Box::new(row))).collect();
        self.store.commit(&next).await.unwrap();
    }

    async fn october_as_of(&self, scope: UptimeScope, as_of: Option<i64>, now: i64) -> UptimeAnswer {
        let period = UptimePeriod::Month { year: 2026, month: 10 };
        let query = UptimeQuery { as_of: as_of.map(Timestamp), ..UptimeQuery::of(scope, period) };
        self.reader(now).figures(&Scope::All, &query).await.unwrap()
    }
}

#[tokio::test]
async fn a_group_of_signed_and_unsigned_kiosks_is_what_was_signed_and_what_is_known_of_the_others() {
    let (from, end) = (october().from * 1_000, october().to * 1_000);
    let shelf = Shelf::with(&[
        site("S-1"),
        kiosk("a", Some("S-1")),
        kiosk("b", Some("S-1")),
        alive(0, end + 40 * DAY),
        full("a", from, end - 4 * DAY),
        full("b", from, end - 4 * DAY),
    ])
    .await;
    shelf.keep("b", end - HOUR).await;
    shelf.keep("a", end + DAY).await;
    let late = |id| told(id, end - 4 * DAY, end - 3 * DAY, end + 2 * DAY);
    shelf.store.commit(&[late("a"), late("b")]).await.unwrap();
    shelf.restate("a", end + 3 * DAY).await;
    // Neither proposed nor decided yet.
    shelf.store.commit(&[told("a", end - 3 * DAY, end, end + 4 * DAY)]).await.unwrap();
    let now = end + 5 * DAY;
    let group = shelf.month(UptimeScope::Site(SiteId::new("S-1").unwrap()), now).await;
    let [a, b] = [shelf.month(of_kiosk("a"), now).await, shelf.month(of_kiosk("b"), now).await];
    let days = |answer: &UptimeAnswer| answer.sums.figures.on.num / 86_400;
    assert_eq!([days(&a), days(&b), days(&group)], [28, 28, 56]);
    assert_eq!((group.version, group.signed, group.frozen_at, group.kiosks), (2, false, None, 2));
    // Who left the group since left what was signed for it behind.
    let Change::Kiosk(row) = kiosk("a", None) else { unreachable!() };
    shelf.store.commit(&[Change::Kiosk(row)]).await.unwrap();
    let group = shelf.month(UptimeScope::Site(SiteId::new("S-1").unwrap()), now).await;
    assert_eq!((days(&group), group.kiosks), (56, 2));
    let site = UptimeScope::Site(SiteId::new("S-1").unwrap());
    let then = shelf.october_as_of(site, Some(now), now + DAY).await;
    assert_eq!((days(&then), then.kiosks), (56, 2));
}

#[tokio::test]
async fn what_is_forgiven_after_the_first_zone_was_signed_moves_no_fleet_up_and_back() {
    let (from, end) = (october().from * 1_000, october().to * 1_000);
    let Change::Site(row) = site("W") else { unreachable!() };
    let shelf = Shelf::with(&[
        site("E"),
        Change::Site(SiteRow { timezone: "Asia/Urumqi".into(), ..row }),
        kiosk("east", Some("E")),
        kiosk("west", Some("W")),
        alive(0, end + 40 * DAY),
        full("east", from, end - DAY),
        full("west", from, end + 2 * HOUR),
    ])
    .await;
    shelf.keep("west", end + DAY).await;
    shelf.keep("east", end + DAY).await;
    let seen = async |now| {
        let fleet = shelf.month(UptimeScope::Fleet, now).await;
        (fleet.sums.figures.on, fleet.sums.excluded_s)
    };
    let before = seen(end + DAY).await;
    shelf.store.commit(&[flood("east", end - DAY, end, end + DAY + HOUR / 2)]).await.unwrap();
    assert_eq!(seen(end + DAY + HOUR).await, before);
    shelf.keep("west", end + DAY + 2 * HOUR).await;
    assert_eq!(seen(end + DAY + 2 * HOUR).await, before);
}

#[tokio::test]
async fn a_signed_month_keeps_its_freeze_when_another_one_is_configured() {
    let mut shelf = moved_in_mid_month().await;
    let end = october().to * 1_000;
    shelf.keep("k", end + DAY).await;
    shelf.store.commit(&[told("k", end - DAY, end, end + 2 * DAY)]).await.unwrap();
    shelf.config.uptime.freeze_hours = 72;
    let now = end + 5 * DAY;
    let signed = shelf.month(of_kiosk("k"), now).await;
    assert_eq!((signed.version, signed.frozen_at), (1, Some(october().to + 86_400)));
    let period = UptimePeriod::Month { year: 2026, month: 10 };
    let explained = shelf.reader(now).explain(&Scope::All, &"k".parse().unwrap(), period, None).await;
    assert_eq!(explained.unwrap().figures, signed.sums.figures);
    let fleet = shelf.month(UptimeScope::Fleet, now).await;
    assert_eq!(fleet.frozen_at, signed.frozen_at);
}

#[tokio::test]
async fn as_of_an_instant_is_what_had_been_received_approved_and_signed_by_then() {
    let (from, end) = (october().from * 1_000, october().to * 1_000);
    let shelf = Shelf::with(&[
        site("S-1"),
        kiosk("k", Some("S-1")),
        alive(0, end + 40 * DAY),
        full("k", from, end - 8 * DAY),
        told("k", end - 8 * DAY, end - 7 * DAY, end - 2 * DAY),
        flood("k", end - 7 * DAY, end - 6 * DAY, end - DAY),
        told("k", end - 6 * DAY, end - 5 * DAY, end + 12 * HOUR),
        told("k", end - 5 * DAY, end - 4 * DAY, end + 2 * DAY),
    ])
    .await;
    shelf.keep("k", end + DAY).await;
    shelf.restate("k", end + 3 * DAY).await;
    shelf.store.commit(&[told("k", end - 4 * DAY, end, end + 4 * DAY)]).await.unwrap();
    let now = end + 5 * DAY;
    for (as_of, up, excluded, version) in [
        // The running month: neither the journal nor the approval is there yet, then one, then both.
        (end - 3 * DAY, 23, 0, 0),
        (end - 2 * DAY + HOUR, 24, 0, 0),
        (end - DAY + HOUR, 24, 1, 0),
        // It is over and not signed, signed, restated; what came last was decided by nobody.
        (end + 13 * HOUR, 25, 1, 0),
        (end + 2 * DAY + HOUR, 25, 1, 1),
        (end + 3 * DAY + HOUR, 26, 1, 2),
    ] {
        let told = shelf.october_as_of(of_kiosk("k"), Some(as_of), now).await;
        let days = (told.sums.figures.on.num / 86_400, told.sums.excluded_s / 86_400);
        assert_eq!((days, told.version), ((up, excluded), version), "{}", Timestamp(as_of));
        let (id, period) = ("k".parse().unwrap(), UptimePeriod::Month { year: 2026, month: 10 });
        let as_of = Some(Timestamp(as_of));
        let explained = shelf.reader(now).explain(&Scope::All, &id, period, as_of).await.unwrap();
        assert_eq!(explained.figures, told.sums.figures);
    }
    let official = shelf.october_as_of(of_kiosk("k"), None, now).await;
    assert_eq!(official.sums, shelf.october_as_of(of_kiosk("k"), Some(now), now).await.sums);
}

#[tokio::test]
async fn time_of_which_the_evidence_is_gone_is_unknown_and_not_down() {
    let (from, end) = (october().from * 1_000, october().to * 1_000);
    let shelf = Shelf::with(&[kiosk("k", None), alive(0, end + 900 * DAY), full("k", from, end)]).await;
    let days = (from, from + 10 * DAY);
    let whole = shelf.figures(of_kiosk("k"), days.0, days.1, end + 30 * DAY).await;
    assert_eq!((whole.sums.figures.on, whole.problems.len()), (Ratio::new(864_000, 864_000), 0));
    let ids = ["k".parse().unwrap()];
    shelf.store.remove_of_kiosks(Kept::Evidence, &ids, Timestamp(end + DAY), 100).await.unwrap();
    let gone = shelf.figures(of_kiosk("k"), days.0, days.1, end + 500 * DAY).await;
    assert_eq!(gone.sums.figures.on, Ratio::default());
    assert!(gone.problems.len() == 1 && gone.problems[0].contains("gone"), "{:?}", gone.problems);
    assert_eq!(shelf.month(of_kiosk("k"), end + 500 * DAY).await.sums.figures.on, Ratio::default());
}

#[tokio::test]
async fn a_month_that_nobody_signed_says_what_the_books_say_however_old_it_is() {
    let (from, end) = (october().from * 1_000, october().to * 1_000);
    let Change::Site(row) = site("W") else { unreachable!() };
    let east = SiteRow { timezone: "Pacific/Auckland".into(), ..row };
    let shelf = Shelf::with(&[
        Change::Site(east),
        kiosk("k", Some("W")),
        kiosk("other", None),
        alive(0, end),
        full("k", from - DAY, end - 10 * DAY),
    ])
    .await;
    let now = end + 500 * DAY;
    // No server listened after it ended: nobody could sign it.
    shelf.keep("k", end - HOUR).await;
    shelf.keep("k", now).await;
    let since: Month = "2026-10".parse().unwrap();
    let rows = shelf.store.months_of_kiosks(&["k".parse().unwrap()], since).await.unwrap();
    let october: Vec<_> = rows.iter().filter(|row| row.month == since).collect();
    assert_eq!(october.iter().map(|row| row.version).collect::<Vec<_>>(), [0]);
    let said = shelf.month(of_kiosk("k"), now).await;
    assert_eq!(said.sums.figures, october[0].sums.figures);
    assert!(said.sums.figures.on.den > said.sums.figures.on.num && said.problems.is_empty(), "{said:?}");
    let period = UptimePeriod::Month { year: 2026, month: 10 };
    let told = shelf.reader(now).explain(&Scope::All, &"k".parse().unwrap(), period, None).await.unwrap();
    assert!(told.kept_from == told.period.from && told.figures == said.sums.figures, "{told:?}");
    assert!(!told.intervals.iter().any(|piece| told.is_forgotten(piece)));
    let gone = shelf.month(of_kiosk("other"), now).await;
    assert_eq!((gone.sums.figures.on, gone.problems.len()), (Ratio::default(), 1));
}
