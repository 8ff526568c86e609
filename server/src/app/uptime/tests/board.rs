//! What a scrape shows adds up, whoever it is shown by.
use kioskwatch_domain::fleet::Ix;

use super::*;
use crate::app::uptime::board::{Growth, Parts, Place};

/// Where the kiosk stands in the fleet.
const K: Ix = 3;

/// Up for some seconds of a day, the rest down for one cause, and an hour of which nothing is known.
fn figures(up_s: i64, cause: Cause) -> Figures {
    let ratio = Ratio::new(up_s, DAY / 1_000);
    let causes = BTreeMap::from([(cause, ratio.den - ratio.num)]);
    let accountable_s = ratio.den + 3_600;
    Figures {
        accountable_s,
        known_s: ratio.den,
        on: ratio,
        avail: ratio,
        full: ratio,
        causes,
        ..Figures::default()
    }
}

fn place(site: Option<&str>, region: &str, customer: &str) -> Place {
    let site = site.map(|id| id.parse().unwrap());
    Place { site, region: region.to_owned(), customer: customer.to_owned(), engineer: String::new() }
}

fn shown(parts: &[(Place, Figures)]) -> Shown {
    let parts = Parts::of(parts.iter().map(|(place, figures)| (place.clone(), figures)));
    Shown { month: Some((october(), parts)), ..Shown::default() }
}

fn sum<'a>(all: impl Iterator<Item = &'a Seconds>) -> Seconds {
    all.fold(Seconds::default(), |mut sum, one| {
        sum += one;
        sum
    })
}

#[test]
fn what_goes_on_grows_in_the_periods_that_run_until_something_may_begin() {
    let (begin, shop) = (october().from, place(Some("S-1"), "north", "Bank"));
    let day = Interval::new(begin, begin + 86_400);
    let second = Figures {
        accountable_s: 1,
        known_s: 1,
        on: Ratio::new(1, 1),
        avail: Ratio::new(0, 1),
        full: Ratio::new(0, 1),
        causes: BTreeMap::from([(Cause::Supplies, 1)]),
        ..Figures::default()
    };
    let part = || Parts::of(std::iter::once((shop.clone(), &second)));
    let mut board = Board::default();
    let grows = Growth {
        place: shop.clone(),
        each: Seconds::of(&second),
        within: Interval::new(begin + 10, begin + 40),
    };
    let shown = Shown {
        today: Some((day, part())),
        month: Some((october(), part())),
        last_month: Some((october(), part())),
        promised: None,
        grows: Some(grows),
    };
    board.show(K, shown.clone());
    for (now, seconds) in [(0, 1), (10, 1), (11, 2), (39, 30), (40, 31), (90, 31)] {
        let now = Timestamp((begin + now) * 1_000);
        let [today, month, last_month] = board.kiosk(K, now, EVER).map(Option::unwrap);
        assert_eq!((today, month), (Seconds::of(&second).times(seconds), today), "{now}");
        assert_eq!(last_month, Seconds::of(&second), "it has ended");
        let totals = board.totals(now, EVER);
        let shown = |scope: &str| of_period(&totals, "today").find(|one| one.scope == scope).unwrap();
        assert_eq!((shown("site").id, shown("site").seconds), ("S-1", today));
    }
    let books = Books::default();
    books.show(vec![(K, shown.clone())]);
    books.shown_whole();
    let later = Timestamp((begin + 3 * 3_600) * 1_000);
    // Nothing is committed any more: the database or the hub is away.
    for (committed_s, seconds) in [(-200, 1), (-100, 11), (10, 31)] {
        books.took_in(Timestamp((begin + committed_s) * 1_000));
        let grown = Seconds::of(&second).times(seconds);
        assert_eq!(of_fleet(&books.totals(later), "today"), grown, "{committed_s}");
        assert_eq!(books.of_kiosks(std::iter::once(K), later)[0][1], Some(grown));
    }
    // The next look says that nothing goes on.
    board.show(K, Shown { grows: None, ..shown });
    assert_eq!(board.kiosk(K, Timestamp((begin + 30) * 1_000), EVER)[0], Some(Seconds::of(&second)));
}

#[tokio::test]
async fn what_is_shown_of_who_works_on_is_what_a_later_look_counts_until_the_next_one_is_due() {
    let (from, id): (i64, KioskId) = (october().from * 1_000, "k".parse().unwrap());
    let Change::Site(row) = site("S-1") else { unreachable!() };
    // The first of October 2026 is a Thursday.
    let hours = r#"[{"weekly":{"thu":[["08:00","20:00"]],"fri":[["08:00","20:00"]]}}]"#;
    let open = Change::Site(SiteRow { service_hours: hours.to_owned(), ..row });
    let new = KioskRow { site: Some("S-1".parse().unwrap()), ..testing::kiosk(id.clone(), Timestamp(from)) };
    let gone = from + 33 * HOUR;
    let shelf =
        Shelf::with(&[open, Change::Kiosk(new), alive(0, from + 2 * DAY), full("k", from, gone)]).await;
    let look = async |after_ms: i64| {
        let kept = shelf.look_at("k", from + after_ms, &BTreeSet::new()).await;
        let mut board = Board::default();
        board.show(K, kept.shown);
        (board, kept.due_at - october().from)
    };
    for (at, due, later) in [
        (3 * HOUR, 8 * 3_600, 8 * HOUR),
        (9 * HOUR, 20 * 3_600, 15 * HOUR),
        (9 * HOUR, 20 * 3_600, 20 * HOUR),
        (21 * HOUR, 24 * 3_600, 24 * HOUR - 1_000),
        (24 * HOUR, 32 * 3_600, 32 * HOUR),
        (34 * HOUR, 34 * 3_600 + 3_600 / 16, 34 * HOUR),
    ] {
        let ((board, due_at), (counted, _)) = (look(at).await, look(later).await);
        assert_eq!(due_at, due, "{at}");
        // Five Thursdays and five Fridays of twelve hours, at any instant.
        for (board, at) in [(&board, at), (&counted, later)] {
            let [_, month, _] = board.kiosk(K, Timestamp(from + at), EVER).map(Option::unwrap_or_default);
            assert_eq!(month.known_s + month.unknown_s + month.to_come_s, 10 * 12 * 3_600, "{at}");
        }
        let now = Timestamp(from + later);
        assert_eq!(board.kiosk(K, now, EVER), counted.kiosk(K, now, EVER), "{at} to {later}");
        assert_eq!(board.totals(now, EVER), counted.totals(now, EVER));
    }
}

#[test]
fn sites_regions_customers_engineers_and_kiosks_add_up_to_the_fleet_and_causes_to_what_avail_lacks() {
    let (moved, lost): (Ix, Ix) = (2, 5);
    let mut board = Board::default();
    let stood = [
        (place(Some("S-1"), "north", "Bank"), figures(80_000, Cause::Power)),
        (
            Place { engineer: "Li".into(), ..place(Some("S-2"), "north", "") },
            figures(70_000, Cause::Hardware),
        ),
    ];
    board.show(moved, shown(&stood));
    board.show(lost, shown(&[(place(None, "", ""), figures(60_000, Cause::Network))]));
    let now = Timestamp(october().from * 1_000 + DAY);
    let totals = board.totals(now, EVER);
    for other in ["today", "last_month"] {
        let only: Vec<_> = of_period(&totals, other).map(|one| (one.scope, one.seconds)).collect();
        assert_eq!(only, [("fleet", Seconds::default())], "nobody looked at {other}");
    }
    let fleet = of_fleet(&totals, "month");
    assert_eq!(fleet.ratios[1], Ratio::new(210_000, 3 * 86_400));
    for (scope, names) in [
        ("site", vec!["", "S-1", "S-2"]),
        ("region", vec!["", "north"]),
        ("customer", vec!["", "Bank"]),
        ("engineer", vec!["", "Li"]),
    ] {
        let groups: Vec<_> = of_period(&totals, "month").filter(|one| one.scope == scope).collect();
        assert_eq!(groups.iter().map(|one| one.id).collect::<Vec<_>>(), names);
        assert_eq!(sum(groups.iter().map(|one| &one.seconds)), fleet);
    }
    let kiosks = [moved, lost].map(|kiosk| board.kiosk(kiosk, now, EVER)[1].unwrap());
    assert_eq!(sum(kiosks.iter()), fleet);
    assert_eq!(kiosks[0].ratios[0], Ratio::new(150_000, 2 * 86_400));
    let avail = fleet.ratios[1];
    assert_eq!(fleet.down_s.iter().sum::<i64>(), avail.den - avail.num);
    assert_eq!((fleet.known_s, fleet.unknown_s), (3 * 86_400, 3 * 3_600));
    // A period that is over is nobody's month any more.
    let later = Timestamp(october().to * 1_000);
    assert_eq!(of_fleet(&board.totals(later, EVER), "month"), Seconds::default());
    assert_eq!(board.kiosk(moved, later, EVER), [None; 3]);
    for unknown in [0, lost - 1, lost + 1] {
        board.stop_growth(unknown, now);
        assert_eq!(board.kiosk(unknown, now, EVER), [None; 3]);
    }
    assert_eq!(board.kiosks(), 2, "nothing is shown of those between them");
}

#[tokio::test]
async fn the_first_look_after_a_start_shows_what_the_books_show_of_a_month_that_is_signed_and_of_one_that_is_not()
 {
    let shelf = moved_in_mid_month().await;
    let (end, id): (i64, KioskId) = (october().to * 1_000, "k".parse().unwrap());
    // In October; in November before and after its freeze; and with evidence that came later than that.
    for (now, is_signed) in
        [(end - 3 * DAY, false), (end + 3 * HOUR, false), (end + DAY, true), (end + 2 * DAY, true)]
    {
        if now == end + 2 * DAY {
            let Change::Evidence(late) = full("k", end - 2 * DAY, end + DAY) else { unreachable!() };
            let late = EvidenceRow { received_at: Some(Timestamp(end + 36 * HOUR)), ..late };
            shelf.store.commit(&[Change::Evidence(late)]).await.unwrap();
        }
        let kept = shelf.look_at("k", now, &BTreeSet::new()).await;
        let reader = shelf.reader(now);
        let places = Arc::new(reader.places().await.unwrap());
        let first = Look::for_scrape(&reader, places, vec![id.clone()]).await.unwrap();
        let subject = &first.subjects[0];
        assert_eq!(
            subject.period.from > october().from + 5 * 86_400,
            is_signed,
            "of what is signed nothing is read"
        );
        let first = first.keep(subject, &mut Ids::seeded(1));
        assert!(first.changes.is_empty(), "{:?}", first.changes);
        let [first, kept] = [first.shown, kept.shown].map(|shown| {
            let mut board = Board::default();
            board.show(0, shown);
            board
        });
        for later in [0, 600_000] {
            let at = Timestamp(now + later);
            assert_eq!(first.totals(at, EVER), kept.totals(at, EVER), "{now}");
            assert!(first.kiosk(0, at, EVER).iter().all(Option::is_some), "{now}");
        }
    }
}

#[tokio::test]
async fn last_month_is_judged_by_what_was_promised_for_it_and_not_by_the_target_of_now() {
    let mut shelf = moved_in_mid_month().await;
    let end = october().to * 1_000;
    shelf.keep("k", end + DAY).await;
    shelf.config.uptime.target = [1, 2];
    let mut board = Board::default();
    let at = |ms: i64| Timestamp(end + ms);
    assert_eq!(board.promised(at(DAY)), None, "nobody was looked at");
    board.show(0, shelf.keep("k", end + 2 * DAY).await);
    assert_eq!(board.promised(at(2 * DAY)), Some((99, 100)));
    let last_month = |valid: Interval, target| Shown {
        last_month: Some((valid, Parts::default())),
        promised: Some(target),
        ..Shown::default()
    };
    let [november, december] =
        ["2026-11", "2026-12"].map(|month| month.parse::<Month>().unwrap().period(chrono_tz::Asia::Shanghai));
    board.show(1, last_month(november, (995, 1_000)));
    board.show(2, last_month(november, (9, 10)));
    assert_eq!(board.promised(at(2 * DAY)), Some((995, 1_000)), "the highest of the fleet");
    board.show(0, last_month(december, (1, 2)));
    let december = Timestamp(december.from * 1_000);
    assert_eq!(board.promised(december), Some((1, 2)), "of the month that is the last one now");
}
