//! Outages, margins and shares, against counting.

use std::collections::{BTreeMap, BTreeSet};

use kioskwatch_domain::change::{Admission, AssignmentRow, GroupKind, KioskRow, MonthSums};
use kioskwatch_domain::interval::{Interval, IntervalSet};
use kioskwatch_domain::uptime::booking::{Booking, Owner, measure, models_told, owner, owners};
use kioskwatch_domain::uptime::{
    Cause, Evidence, Inputs, Margin, Month, Ratio, Reliability, Source, State, Timeline, Verdict,
};
use kioskwatch_proto::{KioskId, Timestamp};
use proptest::prelude::*;

fn full(from: i64, to: i64) -> Evidence {
    Evidence { src: Source::Live, from, to, state: State::Full, cause: None, recv: None, interval_s: None }
}

fn with<T>(
    period: Interval,
    service: &IntervalSet,
    down: &IntervalSet,
    evidence: &[Evidence],
    use_them: impl FnOnce(&Inputs<'_>) -> T,
) -> T {
    use_them(&Inputs {
        period,
        as_of: None,
        service,
        commissioned: &IntervalSet::always(),
        exclusions: &IntervalSet::empty(),
        server_down: down,
        evidence,
        received_before: None,
    })
}

#[test]
fn an_outage_goes_on_over_a_closed_night_and_over_our_own_deafness() {
    let day = Interval::new(0, 100);
    let open: IntervalSet = [Interval::new(0, 40), Interval::new(60, 100)].into_iter().collect();
    let deaf = IntervalSet::of(Interval::new(30, 35));
    let evidence = [full(0, 20), full(70, 80), full(90, 100)];
    let outages = with(day, &open, &deaf, &evidence, |inputs| Timeline::build(inputs).outages());
    let told: Vec<_> = outages.iter().map(|one| (one.from, one.to, one.down_s)).collect();
    // 20..30, deaf, 35..40, closed, 60..70 is one; 80..90 another.
    assert_eq!(told, [(20, 70, 25), (80, 90, 10)]);
    let sums = with(day, &open, &deaf, &evidence, |inputs| measure(inputs, &IntervalSet::always()));
    assert_eq!((sums.outages, sums.longest_outage_s), (2, 25));
    assert_eq!(sums.longest_outage_at, Some(Timestamp(20_000)));
    let reliability = Reliability::of(sums.figures.avail, sums.outages).unwrap();
    assert_eq!((reliability.mtbf_s, reliability.mttr_s), (20, 17));
    assert_eq!(Reliability::of(sums.figures.avail, 0), None);
}

#[test]
fn an_outage_counts_under_what_it_began_with() {
    let day = Interval::new(0, 100);
    let open: IntervalSet = [Interval::new(0, 40), Interval::new(60, 100)].into_iter().collect();
    let down =
        |from, to, cause| Evidence { state: State::OutOfService, cause: Some(cause), ..full(from, to) };
    let evidence = [
        full(0, 20),
        // A power cut over closing time; what it broke is longer down by hardware, and still one outage.
        down(20, 45, Cause::Power),
        down(45, 80, Cause::Hardware),
        full(80, 90),
        // Both at once: the cause that goes before the other.
        down(90, 95, Cause::Supplies),
        down(90, 95, Cause::Network),
        full(95, 97),
        down(97, 98, Cause::Hardware),
        full(98, 99),
    ];
    let sums =
        with(day, &open, &IntervalSet::empty(), &evidence, |inputs| measure(inputs, &IntervalSet::always()));
    let expected = [(Cause::Power, 1), (Cause::Network, 1), (Cause::Hardware, 1), (Cause::Unexplained, 1)];
    assert_eq!((sums.outages, &sums.outages_by_cause), (4, &BTreeMap::from(expected)));
    assert!(sums.figures.causes[&Cause::Hardware] > sums.figures.causes[&Cause::Power]);
    assert_eq!(sums.not_told_by_cause(), 0);
    let before = MonthSums { outages: 3, ..MonthSums::default() };
    let both: MonthSums = [&sums, &before, &sums].into_iter().sum();
    assert_eq!((both.outages, both.outages_by_cause[&Cause::Power], both.not_told_by_cause()), (11, 2, 3));
    let told = |sums: &MonthSums| [Cause::Power, Cause::Supplies].map(|cause| sums.outages_by(cause));
    assert_eq!((told(&sums), told(&both)), ([Some(1), Some(0)], [Some(2), None]));
}

#[test]
fn of_an_outage_that_was_handed_over_each_has_its_seconds_and_the_first_has_it_in_the_number() {
    let (day, always, none) = (Interval::new(0, 100), IntervalSet::always(), IntervalSet::empty());
    let evidence = [full(0, 20), full(90, 95), full(97, 100)];
    let of = |from, to| {
        let set = IntervalSet::of(Interval::new(from, to));
        let sums = with(day, &always, &none, &evidence, |inputs| measure(inputs, &set));
        (sums.outages, sums.longest_outage_s, sums.longest_outage_at)
    };
    assert_eq!(of(0, 30), (1, 10, Some(Timestamp(20_000))));
    assert_eq!(of(30, 100), (1, 60, Some(Timestamp(30_000))));
    assert_eq!(of(88, 100), (1, 2, Some(Timestamp(88_000))), "of two as long the first");
    assert_eq!(of(90, 95), (0, 0, None));
}

/// Outages by cause, one explained piece after the other.
fn told_piece_by_piece(inputs: &Inputs<'_>) -> BTreeMap<Cause, i64> {
    let (mut numbers, mut is_down) = (BTreeMap::new(), false);
    for piece in Timeline::build(inputs).explain() {
        if piece.avail.verdict == Verdict::Down && !is_down {
            *numbers.entry(piece.cause.unwrap()).or_default() += 1;
        }
        is_down = match piece.avail.verdict {
            Verdict::Up => false,
            Verdict::Down => true,
            Verdict::LeftOut => is_down,
        };
    }
    numbers
}

proptest! {
    /// One second more than allowed misses the target, one second less does not.
    #[test]
    fn the_margin_is_exact_to_the_second(den in 1..3_000_000_i64, down in 0..100_000_i64, a in 0..1_000_i64) {
        let (ratio, target) = (Ratio::new((den - down).max(0), den), (a, 1_000));
        let margin = Margin::of(ratio, target).unwrap();
        prop_assert_eq!(margin.met, margin.left_s >= 0);
        let lose = |seconds: i64| Ratio::new(den - seconds, den);
        prop_assert!(lose(margin.allowed_down_s).meets(a, 1_000));
        prop_assert!(!lose(margin.allowed_down_s + 1).meets(a, 1_000));
        prop_assert_eq!(margin.met_after_one_hour, margin.after_one_hour.meets(a, 1_000));
    }

    /// Whatever claims say and whoever is said to own what: shares are within bounds and add up to the whole.
    #[test]
    fn no_claim_and_no_assignment_makes_a_figure_that_cannot_be(
        claims in prop::collection::vec(
            (any::<i64>(), any::<i64>(), 0..5_usize, any::<bool>(), prop::option::of(any::<i64>()),
             prop::option::of(prop::sample::select(&Cause::ALL))), 0..20),
        moves in prop::collection::vec((0..4_usize, -10..40_i64, prop::option::of(-10..40_i64), 0..GroupKind::ALL.len(), any::<bool>()),
            0..10),
        near in any::<bool>(),
        now in 0..40_i64,
    ) {
        let month: Month = "2026-10".parse().unwrap();
        let zone = chrono_tz::Asia::Shanghai;
        let (period, day) = (month.period(zone), 86_400);
        // Half of the time near the month, half of the time from any clock there is.
        let place = |t: i64| if near { period.from + t.rem_euclid(40 * day) - 4 * day } else { t };
        let evidence: Vec<Evidence> = claims
            .iter()
            .map(|(from, to, state, journal, recv, cause)| Evidence {
                src: if *journal { Source::Journal } else { Source::Live },
                from: place(*from),
                to: place(*to),
                state: State::ALL[*state],
                cause: *cause,
                recv: recv.map(place),
                interval_s: None,
            })
            .collect();
        let kiosk = KioskRow {
            id: KioskId::new("K").unwrap(),
            site: Some("S-0".parse().unwrap()),
            admission: Admission::Accepted,
            model: String::new(),
            serial_no: String::new(),
            commissioned_at: Some(Timestamp(0)),
            decommissioned_at: None,
            updated_at: Timestamp(0),
        };
        let at = |days: i64| Timestamp((period.from + days * day) * 1_000);
        let moved: Vec<AssignmentRow> = moves
            .iter()
            .map(|(to, from, until, group, said)| AssignmentRow {
                kiosk: kiosk.id.clone(),
                group: GroupKind::ALL[*group],
                group_id: format!("S-{to}"),
                from: at(*from),
                to: until.map(at),
                said: said.then_some(Timestamp(0)),
            })
            .collect();
        let owners = owners(&kiosk, &moved.iter().collect::<Vec<_>>());
        let inputs = Inputs {
            period,
            as_of: Some(period.from + now * day),
            service: &IntervalSet::always(),
            commissioned: &IntervalSet::always(),
            exclusions: &IntervalSet::empty(),
            server_down: &IntervalSet::empty(),
            evidence: &evidence,
            received_before: None,
        };
        let whole = measure(&inputs, &IntervalSet::always());
        let booking =
            Booking { month, kiosk: &kiosk, owners: &owners, corrected: &IntervalSet::empty(), remodeled: &models_told(&moved), target: (99, 100), inputs };
        let rows = booking.book(0, Timestamp(0)).rows;
        let shares: MonthSums = rows.iter().map(|row| &row.sums).sum();
        prop_assert_eq!(&shares.figures, &whole.figures);
        // Each second is of one model, and each owner has one row.
        let mut models: BTreeMap<&str, i64> = BTreeMap::new();
        rows.iter().for_each(|row| *models.entry(&row.model).or_default() += row.sums.figures.accountable_s);
        prop_assert_eq!(models.values().sum::<i64>(), whole.figures.accountable_s);
        let each: BTreeSet<_> = rows.iter().map(owner).collect();
        prop_assert_eq!(each.len(), rows.len());
        for (model, held) in models {
            let was = |(one, set): &&(Owner, IntervalSet)| one.model == model && !set.is_empty();
            let set = owners.iter().filter(was).fold(IntervalSet::empty(), |all, (_, set)| all.union(set));
            prop_assert_eq!(held, measure(&inputs, &set).figures.accountable_s);
        }
        prop_assert_eq!(shares.outages, whole.outages);
        // Whoever owned a part of an outage answers for that part: "longest" never says more than was down there.
        let down = |sums: &MonthSums| sums.figures.avail.den - sums.figures.avail.num;
        for sums in rows.iter().map(|row| &row.sums).chain([&whole]) {
            prop_assert!(sums.longest_outage_s <= down(sums));
            prop_assert_eq!(sums.longest_outage_s > 0, down(sums) > 0);
            prop_assert_eq!(sums.longest_outage_at.is_some(), down(sums) > 0);
        }
        prop_assert!(shares.longest_outage_s <= whole.longest_outage_s);
        if rows.iter().filter(|row| down(&row.sums) > 0).count() == 1 {
            let longest = (whole.longest_outage_s, whole.longest_outage_at);
            prop_assert_eq!((shares.longest_outage_s, shares.longest_outage_at), longest);
        }
        prop_assert_eq!(&shares.outages_by_cause, &whole.outages_by_cause);
        for sums in rows.iter().map(|row| &row.sums).chain([&whole]) {
            prop_assert_eq!(sums.outages_by_cause.values().sum::<i64>(), sums.outages);
            prop_assert!(sums.outages_by_cause.values().all(|number| *number > 0));
            let down = &sums.figures.causes;
            prop_assert!(sums.outages_by_cause.keys().all(|cause| down.contains_key(cause)), "its first second is down");
        }
        prop_assert_eq!(&whole.outages_by_cause, &told_piece_by_piece(&inputs));
        for row in &rows {
            let figures = &row.sums.figures;
            prop_assert!(0 <= figures.full.num && figures.full.num <= figures.avail.num);
            prop_assert!(figures.avail.num <= figures.on.num && figures.on.num <= figures.on.den);
            prop_assert!(figures.on.den <= figures.accountable_s && figures.known_s <= figures.accountable_s);
            for ratio in [figures.on, figures.avail, figures.full, figures.online] {
                prop_assert!(0 <= ratio.num && ratio.num <= ratio.den);
                prop_assert_eq!(ratio.display() == "100.00%", ratio.den > 0 && ratio.num == ratio.den);
            }
        }
        // The order in which evidence arrived, and its repetition, change neither figures nor fingerprint.
        let mut shuffled: Vec<Evidence> = evidence.iter().rev().copied().collect();
        shuffled.extend_from_slice(&evidence);
        let again = Booking { inputs: Inputs { evidence: &shuffled, ..inputs }, ..booking };
        prop_assert_eq!(again.book(0, Timestamp(0)).rows, rows);
    }
}

/// A kiosk that goes up and down every minute of a month: as many pieces as claims, whatever the seconds.
#[test]
fn a_month_of_flapping_is_work_in_the_number_of_claims() {
    let month: Month = "2026-10".parse().unwrap();
    let period = month.period(chrono_tz::Asia::Shanghai);
    let minutes = period.length() / 60;
    let states = [State::Full, State::Off];
    let evidence: Vec<Evidence> = (0..minutes)
        .map(|minute| {
            let from = period.from + minute * 60;
            Evidence { state: states[(minute % 2) as usize], src: Source::Journal, ..full(from, from + 60) }
        })
        .collect();
    let always = IntervalSet::always();
    let (pieces, sums) = with(period, &always, &IntervalSet::empty(), &evidence, |inputs| {
        (Timeline::build(inputs).pieces().len() as i64, measure(inputs, &always))
    });
    assert!(pieces <= 2 * minutes, "{pieces} pieces of {minutes} claims");
    assert_eq!((sums.outages, sums.longest_outage_s), (minutes / 2, 60));
    assert_eq!(sums.figures.avail, Ratio::new(period.length() / 2, period.length()));
}
