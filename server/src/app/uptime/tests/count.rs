//! Any number of kiosks come to what each of them comes to by itself, whichever way it was found.
use futures_util::FutureExt as _;

use super::*;

const KIOSKS: i64 = 60;

fn id(n: i64) -> String {
    format!("k-{n:02}")
}

/// Each was down for a time of its own, the 20th moved in mid-month.
async fn fleet() -> Shelf {
    let (from, to) = (october().from * 1_000, october().to * 1_000);
    let place = |id: &str, region: &str, customer: &str| {
        let Change::Site(row) = site(id) else { unreachable!() };
        Change::Site(SiteRow { region: region.to_owned(), customer: customer.to_owned(), ..row })
    };
    let mut rows =
        vec![place("S-1", "north", "bank"), place("S-2", "south", "bank"), alive(0, to + 40 * DAY)];
    for n in 0..KIOSKS {
        let home = if n < 20 { "S-1" } else { "S-2" };
        rows.push(kiosk(&id(n), Some(home)));
        let down = from + (n % 17) * DAY;
        rows.extend([full(&id(n), from, down), full(&id(n), down + (n % 23) * HOUR, to)]);
    }
    let stood = |site: &str, from, to: Option<i64>| {
        Change::Assignment(AssignmentRow {
            kiosk: KioskId::new(&id(20)).unwrap(),
            group: GroupKind::Site,
            group_id: site.to_owned(),
            from: Timestamp(from),
            to: to.map(Timestamp),
            said: None,
        })
    };
    rows.extend([stood("S-1", 0, Some(from + 10 * DAY)), stood("S-2", from + 10 * DAY, None)]);
    Shelf::with(&rows).await
}

type Told = (MonthSums, usize, Vec<(String, i64, i64)>);

/// The sums, of how many, and the worst of them.
fn told(answer: &UptimeAnswer) -> Told {
    // Of equally long outages any may be named.
    let sums = MonthSums { longest_outage_at: None, ..answer.sums.clone() };
    let worst = answer.worst.iter().map(|one| (one.kiosk.to_string(), one.lost_s, one.longest_outage_s));
    (sums, answer.kiosks, worst.collect())
}

impl Shelf {
    async fn asked(&self, reader: &Scope, query: &UptimeQuery, now: i64) -> Option<UptimeAnswer> {
        match self.reader(now).figures(reader, query).await {
            Ok(answer) => Some(answer),
            Err(UptimeError::NotFound(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Each by itself, added up.
    async fn one_by_one(&self, reader: &Scope, query: &UptimeQuery, now: i64) -> Told {
        let mut all = UptimeAnswer::default();
        for n in 0..KIOSKS {
            let scope = UptimeScope::Kiosk(id(n).parse().unwrap());
            let Some(one) = self.asked(reader, &UptimeQuery { scope, ..query.clone() }, now).await else {
                continue;
            };
            if one.sums.figures.accountable_s + one.sums.excluded_s == 0 {
                continue;
            }
            all.kiosks += 1;
            all.sums = [&all.sums, &one.sums].into_iter().sum();
            let Figures { on, avail, full, .. } = one.sums.figures;
            let by = query.worst_by.of(&one.sums.figures);
            all.worst.push(WorstKiosk {
                kiosk: id(n).parse().unwrap(),
                lost_s: by.den - by.num,
                on,
                avail,
                full,
                longest_outage_s: one.sums.longest_outage_s,
            });
        }
        all.worst.sort_by_key(|one| (-one.lost_s, one.kiosk.clone()));
        all.worst.retain(|one| one.lost_s > 0);
        all.worst.truncate(10);
        told(&all)
    }

    /// Every group of these kiosks is the sum of them.
    async fn adds_up(&self, period: UptimePeriod, as_of: Option<Timestamp>, now: i64) -> UptimeAnswer {
        let ask = |scope| UptimeQuery { as_of, worst_by: Measure::On, ..UptimeQuery::of(scope, period) };
        let at = |id: &str| Scope::Sites(BTreeSet::from([SiteId::new(id).unwrap()]));
        let site = |id: &str| UptimeScope::Site(SiteId::new(id).unwrap());
        let (model, region) =
            (UptimeScope::Model(String::new()), |name: &str| UptimeScope::Region(name.to_owned()));
        for (reader, parts) in [
            (Scope::All, vec![UptimeScope::Fleet, UptimeScope::Customer("bank".to_owned()), model]),
            (at("S-1"), vec![UptimeScope::Fleet, site("S-1"), region("north")]),
            (at("S-2"), vec![UptimeScope::Fleet, site("S-2"), region("south")]),
        ] {
            let expected = self.one_by_one(&reader, &ask(UptimeScope::Fleet), now).await;
            for scope in parts {
                let answer = self.asked(&reader, &ask(scope.clone()), now).await.unwrap();
                assert_eq!(told(&answer), expected, "{scope:?} {reader:?}");
            }
        }
        self.asked(&Scope::All, &ask(UptimeScope::Fleet), now).await.unwrap()
    }
}

#[tokio::test]
async fn a_span_of_many_kiosks_is_counted_by_parts_to_the_sum_of_each() {
    let shelf = fleet().await;
    let (from, to) = (october().from * 1_000, october().to * 1_000);
    // Some 39 of them at once, so that one part of them ends within the group.
    let long = UptimePeriod::Between(Timestamp(to - 390 * DAY), Timestamp(to + DAY));
    let fleet = shelf.adds_up(long, None, to + 2 * DAY).await;
    assert_eq!((fleet.kiosks, fleet.worst.len()), (60, 10));
    let week = UptimePeriod::Between(Timestamp(from + DAY), Timestamp(from + 8 * DAY));
    shelf.adds_up(week, None, to + 2 * DAY).await;
}

#[tokio::test]
async fn a_month_as_of_an_instant_is_what_was_signed_by_then_and_the_count_of_the_others() {
    let shelf = fleet().await;
    let end = october().to * 1_000;
    let month = UptimePeriod::Month { year: 2026, month: 10 };
    let (signing, later) = (end + DAY + HOUR, end + 3 * DAY);
    for n in 0..40 {
        shelf.keep(&id(n), signing).await;
    }
    let all_signed = later + 2 * HOUR;
    for n in 0..KIOSKS {
        shelf.keep(&id(n), all_signed).await;
    }
    // What became of some of them: another version.
    let (kiosk, october): (KioskId, Month) = (id(20).parse().unwrap(), "2026-10".parse().unwrap());
    let rows = shelf.store.versions_of_month(&Scope::All, &kiosk, october).await.unwrap();
    let restated = rows.into_iter().filter(|row| row.version == 1).map(|row| {
        let figures = Figures { avail: Ratio::new(0, 0), on: Ratio::new(0, 0), ..Figures::default() };
        let sums = MonthSums { figures, excluded_s: 7, ..MonthSums::default() };
        Change::Month(Box::new(MonthRow { version: 2, booked_at: Timestamp(end + 5 * DAY), sums, ..row }))
    });
    shelf.store.commit(&restated.collect::<Vec<_>>()).await.unwrap();
    let now = end + 6 * DAY;
    // What is known at the freeze, counted of all, and what was signed of it.
    let freeze = shelf.adds_up(month, Some(Timestamp(end + DAY)), now).await;
    assert_eq!((freeze.version, freeze.signed, freeze.kiosks), (0, false, 60));
    let partly = shelf.adds_up(month, Some(Timestamp(later)), now).await;
    assert_eq!((partly.version, partly.signed, partly.frozen_at), (1, false, None));
    let signed = shelf.adds_up(month, Some(Timestamp(all_signed)), now).await;
    assert_eq!((signed.version, signed.signed, signed.kiosks), (1, true, 60));
    assert_eq!(signed.frozen_at, Some(end / 1_000 + 86_400));
    assert_eq!([told(&partly), told(&signed)], [told(&freeze), told(&freeze)]);
    let restated = shelf.adds_up(month, Some(Timestamp(now)), now).await;
    assert_eq!((restated.version, restated.sums.excluded_s), (2, 14));
}

#[tokio::test]
async fn of_many_problems_the_first_are_named_and_the_others_counted() {
    let Change::Site(row) = site("S-1") else { unreachable!() };
    let mut rows =
        vec![Change::Site(SiteRow { timezone: "Mars/Olympus".to_owned(), ..row }), alive(0, 10 * HOUR)];
    rows.extend((0..103).map(|n| kiosk(&format!("k-{n}"), Some("S-1"))));
    let shelf = Shelf::with(&rows).await;
    let answer = shelf.figures(UptimeScope::Fleet, 0, HOUR, 2 * HOUR).await;
    assert_eq!((answer.kiosks, answer.problems.len()), (103, 101));
    assert_eq!(answer.problems.last().unwrap(), "+ 3 more");
}

#[tokio::test]
async fn who_asks_for_many_kiosks_while_the_line_is_full_is_told_so_and_who_asks_for_few_is_not() {
    let rows = |now: Timestamp| {
        let at = |n| (n == 0).then(|| SiteId::new("S-1").unwrap());
        let kiosk = |n| KioskRow { site: at(n), ..testing::kiosk(id(n).parse().unwrap(), now) };
        [site("S-1")].into_iter().chain((0..=2_000).map(|n| Change::Kiosk(kiosk(n)))).collect()
    };
    let (app, _requests, _folder) = testing::app(Config::default(), rows).await;
    let now = app.clock().now();
    let period = UptimePeriod::Between(now.plus_ms(-HOUR), now);
    let ask = async |scope| app.uptime(&Scope::All, &UptimeQuery::of(scope, period)).await;
    let turn = app.books().turns.begin(2_001).await.unwrap();
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(app.books().turns.begin(2_001))).collect();
    assert!(waiting.iter_mut().all(|one| one.now_or_never().is_none()));
    assert!(matches!(ask(UptimeScope::Fleet).await, Err(UptimeError::Busy)));
    assert!(ask(UptimeScope::Site(SiteId::new("S-1").unwrap())).await.is_ok());
    // Everybody goes away.
    drop((turn, waiting));
    assert!(ask(UptimeScope::Fleet).await.is_ok());
}
