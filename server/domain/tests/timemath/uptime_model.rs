//! Uptime figures against a count of every second.

use std::collections::BTreeMap;

use kioskwatch_domain::change::EvidenceState;
use kioskwatch_domain::interval::{Interval, IntervalSet};
use kioskwatch_domain::uptime::exclusion::not_accountable;
use kioskwatch_domain::uptime::sweep::Basis;
use kioskwatch_domain::uptime::{
    Cause, Evidence, Figures, Inputs, LiveSpan, Ratio, Source, State, Timeline, Verdict, live, restate,
};
use kioskwatch_domain::wall;
use kioskwatch_proto::{KioskId, Timestamp};
use proptest::prelude::*;

use super::wall_model::{Rows, around_a_change, calendar, is_open, schedule, versions};

/// Random inputs; all instants count from the beginning of the period.
#[derive(Debug, Clone)]
struct Situation {
    zone: chrono_tz::Tz,
    period: Interval,
    as_of: Option<i64>,
    received_before: Option<i64>,
    rows: Vec<Rows>,
    /// A day off and a make-up day, in days from the first of the period.
    calendar: (i64, i64),
    commissioned: Vec<Interval>,
    exclusions: Vec<Interval>,
    server_down: Vec<Interval>,
    evidence: Vec<Evidence>,
}

const LONGEST_S: i64 = 2_400;

fn spans(count: std::ops::Range<usize>, longest: i64) -> impl Strategy<Value = Vec<Interval>> {
    let one = (-300..LONGEST_S, -20..longest).prop_map(|(from, length)| Interval::new(from, from + length));
    prop::collection::vec(one, count)
}

fn evidence() -> impl Strategy<Value = Vec<Evidence>> {
    let one = (
        prop::sample::select(Source::ALL.to_vec()),
        (-300..LONGEST_S, -20..900_i64),
        prop::sample::select(State::ALL.to_vec()),
        prop::option::of(prop::sample::select(Cause::ALL.to_vec())),
        prop::option::of(0..LONGEST_S + 400),
    )
        .prop_map(|(src, (from, length), state, cause, recv)| Evidence {
            src,
            from,
            to: from + length,
            state,
            cause,
            recv,
            interval_s: None,
        });
    prop::collection::vec(one, 0..14)
}

fn situation() -> impl Strategy<Value = Situation> {
    let sets = (
        prop_oneof![3 => Just(vec![Interval::new(-1_000, 10_000)]), 1 => spans(0..3, 2_000)],
        spans(0..3, 400),
        spans(0..4, 500),
    );
    let limits = (1..LONGEST_S, prop::option::of(-10..LONGEST_S), prop::option::of(0..LONGEST_S + 400));
    let hours = (prop_oneof![Just(None), versions(1..4).prop_map(Some)], (-1..2_i64, -1..2_i64));
    (around_a_change(LONGEST_S), sets, limits, hours, evidence()).prop_map(
        |(
            (zone, base),
            (commissioned, exclusions, server_down),
            (length, as_of, limit),
            (rows, calendar),
            evidence,
        )| {
            let moved = |list: Vec<Interval>| -> Vec<Interval> {
                list.into_iter().map(|one| Interval::new(one.from + base, one.to + base)).collect()
            };
            let claim = |one: Evidence| Evidence {
                from: one.from + base,
                to: one.to + base,
                recv: one.recv.map(|recv| recv + base),
                ..one
            };
            let always =
                Rows { always: true, week: vec![Vec::new(); 7], exception: None, makeup: None, from: None };
            Situation {
                zone,
                period: Interval::new(base, base + length),
                as_of: as_of.map(|t| t + base),
                received_before: limit.map(|t| t + base),
                rows: rows.unwrap_or_else(|| vec![always]),
                calendar,
                commissioned: moved(commissioned),
                exclusions: moved(exclusions),
                server_down: moved(server_down),
                evidence: evidence.into_iter().map(claim).collect(),
            }
        },
    )
}

impl Situation {
    fn with_inputs<T>(&self, use_them: impl FnOnce(&Inputs<'_>) -> T) -> T {
        let anchor = wall::date_of(self.zone, self.period.from);
        let calendar = calendar(anchor, self.calendar);
        let set = |list: &[Interval]| -> IntervalSet { list.iter().copied().collect() };
        use_them(&Inputs {
            period: self.period,
            as_of: self.as_of,
            service: &schedule(&self.rows, anchor).open_times(self.zone, &calendar, self.period),
            commissioned: &set(&self.commissioned),
            exclusions: &set(&self.exclusions),
            server_down: &set(&self.server_down),
            evidence: &self.evidence,
            received_before: self.received_before,
        })
    }

    fn is_accountable(&self, t: i64) -> bool {
        let anchor = wall::date_of(self.zone, self.period.from);
        let inside = |list: &[Interval]| list.iter().any(|one| one.from <= t && t < one.to);
        self.as_of.is_none_or(|as_of| t < as_of)
            && inside(&self.commissioned)
            && !inside(&self.exclusions)
            && is_open(&self.rows, anchor, &calendar(anchor, self.calendar), wall::local_of(self.zone, t))
    }

    /// One second after the other, straight from the definitions.
    fn count(&self) -> Figures {
        let mut out = Figures::default();
        for t in (self.period.from..self.period.to).filter(|t| self.is_accountable(*t)) {
            let down = self.server_down.iter().any(|one| one.contains(t));
            let covering: Vec<&Evidence> = self
                .evidence
                .iter()
                .filter(|one| match (self.received_before, one.recv) {
                    (Some(limit), Some(recv)) => recv < limit,
                    _ => true,
                })
                .filter(|one| one.from <= t && t < one.to && one.recv.is_none_or(|recv| t < recv))
                .collect();
            let worst = |src| covering.iter().filter(|one| one.src == src).map(|one| one.state).min();
            let state = worst(Source::Journal).or(worst(Source::Live));
            let (on, service, full) = match state {
                None => (None, None, None),
                Some(State::Off) => (Some(0), Some(0), Some(0)),
                Some(State::OutOfService) => (Some(1), Some(0), Some(0)),
                Some(State::OnOnly) => (Some(1), None, None),
                Some(State::Degraded) => (Some(1), Some(1), Some(0)),
                Some(State::Full) => (Some(1), Some(1), Some(1)),
            };
            out.accountable_s += 1;
            out.known_s += i64::from(on.is_some());
            for (ratio, signal) in [(&mut out.on, on), (&mut out.avail, service), (&mut out.full, full)] {
                if signal.is_some() || !down {
                    ratio.den += 1;
                    ratio.num += signal.unwrap_or(0);
                }
            }
            if !down {
                out.online.den += 1;
                out.online.num += i64::from(worst(Source::Live).is_some());
            }
            if service == Some(0) || (service.is_none() && !down) {
                let cause = covering.iter().filter_map(|one| one.cause).min().unwrap_or(Cause::Unexplained);
                *out.causes.entry(cause).or_default() += 1;
            }
        }
        out
    }
}

/// What is known at an instant of accountable time.
fn at(timeline: &Timeline, t: i64) -> Option<Basis> {
    timeline.pieces().iter().find(|piece| piece.span.contains(t)).map(|piece| piece.basis)
}

/// `a <= b` as fractions.
fn at_most(a: Ratio, b: Ratio) -> bool {
    a.den == 0 || b.den == 0 || i128::from(a.num) * i128::from(b.den) <= i128::from(b.num) * i128::from(a.den)
}

fn counted(
    ratio: impl Fn(&kioskwatch_domain::uptime::Explained) -> Verdict,
    all: &[kioskwatch_domain::uptime::Explained],
) -> Ratio {
    let seconds = |verdict| -> i64 {
        all.iter().filter(|one| ratio(one) == verdict).map(|one| one.to - one.from).sum()
    };
    Ratio::new(seconds(Verdict::Up), seconds(Verdict::Up) + seconds(Verdict::Down))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_sweep_counts_what_a_count_of_seconds_does(situation in situation()) {
        let figures = situation.with_inputs(Timeline::build).figures();
        prop_assert_eq!(&figures, &situation.count());

        prop_assert!(figures.full.num <= figures.avail.num && figures.avail.num <= figures.on.num);
        prop_assert!(figures.on.num <= figures.on.den && figures.on.den <= figures.accountable_s);
        prop_assert!(at_most(figures.full, figures.avail) && at_most(figures.avail, figures.on));
        prop_assert_eq!(figures.causes.values().sum::<i64>(), figures.avail.den - figures.avail.num);
        let kpi = figures.engineer_kpi();
        prop_assert!(kpi.num <= kpi.den && at_most(figures.avail, kpi));
    }

    #[test]
    fn the_explanation_is_all_of_accountable_time_and_adds_up_to_the_figures(situation in situation()) {
        situation.with_inputs(|inputs| {
            let timeline = Timeline::build(inputs);
            let (figures, all) = (timeline.figures(), timeline.explain());
            let covered: IntervalSet = all.iter().map(|one| Interval::new(one.from, one.to)).collect();
            prop_assert_eq!(&covered, &inputs.accountable());
            prop_assert!(all.windows(2).all(|two| two[0].to <= two[1].from));
            prop_assert_eq!(counted(|one| one.on.verdict, &all), figures.on);
            prop_assert_eq!(counted(|one| one.avail.verdict, &all), figures.avail);
            prop_assert_eq!(counted(|one| one.full.verdict, &all), figures.full);
            prop_assert_eq!(counted(|one| one.online.verdict, &all), figures.online);
            let mut causes: BTreeMap<Cause, i64> = BTreeMap::new();
            for one in &all {
                prop_assert_eq!(one.cause.is_some(), one.avail.verdict == Verdict::Down);
                if let Some(cause) = one.cause {
                    *causes.entry(cause).or_default() += one.to - one.from;
                }
            }
            prop_assert_eq!(causes, figures.causes);
            // What is not accountable, with its reason, is the rest of the period.
            let rest: IntervalSet = not_accountable(inputs).into_iter().map(|(part, _)| part).collect();
            let elapsed = IntervalSet::of(inputs.elapsed_period());
            prop_assert_eq!(rest, elapsed.subtract(&covered));
            Ok(())
        })?;
    }

    #[test]
    fn a_part_of_the_time_is_what_the_whole_says_of_it_and_the_parts_add_up(
        situation in situation(),
        cuts in (0..LONGEST_S, 0..LONGEST_S, 0..LONGEST_S),
    ) {
        let mut cuts = [cuts.0, cuts.1, cuts.2].map(|cut| cut + situation.period.from);
        cuts.sort_unstable();
        let set: IntervalSet =
            [Interval::new(situation.period.from, cuts[0]), Interval::new(cuts[1], cuts[2])].into_iter().collect();
        let timeline = situation.with_inputs(Timeline::build);
        let (part, rest) = (timeline.within(&set), timeline.within(&IntervalSet::always().subtract(&set)));
        let sum: Figures = [part.figures(), rest.figures()].iter().sum();
        prop_assert_eq!(sum, timeline.figures());
        for t in situation.period.from..situation.period.to {
            prop_assert_eq!(at(&part, t), at(&timeline, t).filter(|_| set.contains(t)));
        }
    }

    #[test]
    fn a_percentage_never_hides_a_second(den in 1..3_000_000_i64, lost in 0..5_i64, worked in 0..5_i64) {
        let nearly = Ratio::new((den - lost).max(0), den);
        prop_assert_eq!(nearly.display() == "100.00%", nearly.num == nearly.den);
        let hardly = Ratio::new(worked.min(den), den);
        prop_assert_eq!(hardly.display() == "0.00%", hardly.num == 0);
    }

    /// The state at each second, as the definition of the chain says it.
    #[test]
    fn heartbeats_hold_to_the_next_one_or_for_one_interval(times in prop::collection::vec(0..2_000_i64, 0..20)) {
        let beat = |at: &i64| LiveSpan::beat(Timestamp(at * 1_000), 30, EvidenceState::Full, None);
        let beats: Vec<LiveSpan> = times.iter().map(beat).collect();
        let evidence = live::evidence_of(&KioskId::new("K").unwrap(), &beats, None);
        for t in -1..2_100 {
            let last = times.iter().copied().filter(|at| *at <= t).max();
            let next = times.iter().copied().filter(|at| *at > t).min();
            let expected = last.is_some_and(|last| match next {
                Some(next) if next - last <= 90 => true,
                _ => t < last + 30,
            });
            let covering = evidence.iter().filter(|one| one.from <= t && t < one.to).count();
            prop_assert_eq!(covering, usize::from(expected), "{}", t);
        }
    }
}

#[test]
fn a_ratio_prints_half_up_and_nothing_without_time() {
    assert_eq!(Ratio::new(0, 0).text(), None);
    assert_eq!((Ratio::new(0, 0).display(), Ratio::new(0, 0).meets(0, 1)), ("N/A".to_owned(), false));
    assert_eq!(Ratio::new(1, 3).text().unwrap(), "0.333333");
    assert_eq!(Ratio::new(2, 3).text().unwrap(), "0.666667");
    assert_eq!(Ratio::new(1, 2_000_000).text().unwrap(), "0.000001");
    assert_eq!(Ratio::new(i64::MAX / 2, i64::MAX).display(), "50.00%");
    assert!(Ratio::new(98, 100).meets(98, 100) && !Ratio::new(979_999, 1_000_000).meets(98, 100));
}

#[test]
fn a_restatement_is_proposed_from_a_ten_thousandth_on() {
    let figures = |num| Figures {
        on: Ratio::new(num, 1_000_000),
        avail: Ratio::new(500_000, 1_000_000),
        full: Ratio::new(500_000, 1_000_000),
        ..Figures::default()
    };
    let stored = figures(900_000);
    assert!(restate::proposal(&stored, &figures(900_099)).is_none());
    assert_eq!(restate::proposal(&stored, &figures(899_900)).unwrap().on.now.num, 899_900);
    // Reachability is no promise.
    let online = Figures { online: Ratio::new(1, 2), ..stored.clone() };
    assert!(restate::proposal(&stored, &online).is_none());
    // The power was the customer's: nobody was up for longer, but the engineer answers for less.
    let known = Figures { causes: [(Cause::Power, 200)].into(), ..stored.clone() };
    let proposed = restate::proposal(&stored, &known).unwrap();
    assert_eq!((proposed.avail.was, proposed.engineer_kpi.now), (stored.avail, Ratio::new(500_000, 999_800)));
    let little = Figures { causes: [(Cause::Power, 199)].into(), ..stored.clone() };
    assert!(restate::proposal(&stored, &little).is_none());
    // Never down, of fewer hours: what it lends to its site and its engineer is less.
    let perfect = |seconds| {
        let all = Ratio::new(seconds, seconds);
        Figures { on: all, avail: all, full: all, ..Figures::default() }
    };
    assert!(restate::proposal(&perfect(1_000_000), &perfect(500_000)).is_some());
    assert!(restate::proposal(&perfect(1_000_000), &perfect(999_500)).is_some());
    assert!(restate::proposal(&perfect(1_000_000), &perfect(999_700)).is_none());
    assert!(restate::proposal(&perfect(0), &perfect(0)).is_none());
    // A month that turns out to have been excluded as a whole.
    assert!(restate::proposal(&stored, &Figures::default()).is_some());
    assert_eq!((restate::freeze_at(1_000, 24), restate::proposals_until(0, 35)), (87_400, 3_024_000));
}

#[test]
fn little_coverage_is_said() {
    let covered = |known_s| Figures { known_s, accountable_s: 1_000, ..Figures::default() };
    assert!(covered(899).has_insufficient_data() && !covered(900).has_insufficient_data());
    assert!(!Figures::default().has_insufficient_data());
}

/// A month of a chatty kiosk: the cost is in the number of claims, not in the seconds.
#[test]
fn fifty_thousand_claims_are_one_sort() {
    let month = wall::month(chrono_tz::Asia::Shanghai, 2026, 3).unwrap();
    let states = State::ALL;
    let evidence: Vec<Evidence> = (0..50_000)
        .map(|i| {
            let from = month.from + i * 50;
            let state = states[usize::try_from(i).unwrap() % states.len()];
            let src = if i % 7 == 0 { Source::Live } else { Source::Journal };
            Evidence {
                src,
                from,
                to: from + 55,
                state,
                cause: Some(Cause::Software),
                recv: None,
                interval_s: None,
            }
        })
        .collect();
    let always = IntervalSet::always();
    let nothing = IntervalSet::empty();
    let figures = Timeline::build(&Inputs {
        period: month,
        as_of: None,
        service: &always,
        commissioned: &always,
        exclusions: &nothing,
        server_down: &nothing,
        evidence: &evidence,
        received_before: None,
    })
    .figures();
    assert_eq!(figures.accountable_s, month.length());
    assert_eq!(figures.known_s, 49_999 * 50 + 55);
}
