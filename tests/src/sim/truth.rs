//! What a kiosk really was, second by second, against what the evidence says of it.
use kioskwatch_domain::{
    change::EvidenceRow,
    interval::{Interval, IntervalSet},
    uptime::{Evidence, Explained, Figures, Inputs, Ratio, State, Timeline, booking},
};

use super::{kiosk::COMMIT_MS, server::wall, story::clock};

/// What a fault does to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    Degrades,
    Stops,
}

/// The durable tick is at most this old when an agent dies, its group commit included.
const TICK_MS: i64 = 10_000 + COMMIT_MS;
/// Whole seconds on both sides, and the way of a heartbeat.
const ROUNDING_MS: i64 = 1_500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// On, or about to be; nothing is promised.
    Unsure,
    Off,
    Up(State),
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    at: i64,
    what: What,
    /// The agent died here without a word: its last tick may be old, and what it had just been told not durable.
    died: bool,
}

/// The history of one machine.
#[derive(Debug, Default)]
pub(super) struct Truth {
    marks: Vec<Mark>,
    /// From when on nothing can be compared.
    unsure_from: Option<i64>,
    /// Before its first record nobody can know anything.
    pub(super) first_record_at: Option<i64>,
    /// The longest way of a heartbeat: the server cannot know this clock better.
    pub(super) slowest_ms: i64,
}

impl Truth {
    fn mark(&mut self, at: i64, what: What, died: bool) {
        if died || self.marks.last().is_none_or(|last| last.what != what) {
            self.marks.push(Mark { at, what, died });
        }
    }

    pub(super) fn unsure(&mut self, now: i64) {
        self.mark(now, What::Unsure, false);
    }

    pub(super) fn off(&mut self, now: i64, in_order: bool) {
        self.mark(now, What::Off, !in_order);
    }

    pub(super) fn crashed(&mut self, now: i64) {
        self.mark(now, What::Unsure, true);
    }

    /// The agent knows what its devices are.
    pub(super) fn told(&mut self, now: i64, harms: &[Harm]) {
        let state = if harms.contains(&Harm::Stops) {
            State::OutOfService
        } else if harms.is_empty() {
            State::Full
        } else {
            State::Degraded
        };
        self.mark(now, What::Up(state), false);
    }

    /// What the evidence says of the time from then on may differ from what was.
    pub(super) fn give_up_from(&mut self, at: i64) {
        self.unsure_from = Some(self.unsure_from.map_or(at, |earlier| earlier.min(at)));
    }

    /// Of any time: what was before is told anew, and differently.
    pub(super) fn give_up(&mut self) {
        self.give_up_from(0);
    }

    /// Stretches of which something is promised, in whole seconds since the beginning, without those of which the
    /// records are gone.
    fn promises(&self, unknown: &[(i64, i64)], until: i64) -> Vec<(Interval, What)> {
        let edge = ROUNDING_MS + self.slowest_ms;
        let ends = (1..=self.marks.len()).map(|next| self.marks.get(next..).unwrap_or_default());
        let stretch = |(mark, rest): (&Mark, &[Mark])| {
            let end_at = rest.first().map_or(until, |end| end.at);
            // What ended the stretch is not on the disk either if the agent died before the group commit.
            let mut at_once = rest.iter().take_while(|later| later.at <= end_at + COMMIT_MS);
            let death = at_once.find(|later| later.died);
            let proven_to = death.map_or(end_at, |death| end_at.min(death.at - TICK_MS)).min(until);
            let begins = mark.at.max(self.first_record_at.unwrap_or(until));
            let (from, to) = (begins + edge, proven_to - edge);
            let span = Interval::new((from + 999).div_euclid(1_000), to.div_euclid(1_000));
            (mark.what != What::Unsure && from < to && !span.is_empty()).then_some((span, mark.what))
        };
        let gone = unknown.iter().map(|&(from, to)| {
            Interval::new((from - edge).div_euclid(1_000), (to + edge + 999).div_euclid(1_000))
        });
        let gone: IntervalSet = gone.collect();
        let promised = self.marks.iter().zip(ends).filter_map(stretch);
        let known = promised.flat_map(|(span, what)| {
            let rest = IntervalSet::of(span).subtract(&gone);
            rest.iter().map(|span| (span, what)).collect::<Vec<_>>()
        });
        known.collect()
    }

    /// The first second that the evidence tells differently, and how many seconds were compared.
    ///
    /// # Errors
    /// What was, and what the evidence makes of it.
    pub(super) fn compare(
        &self,
        rows: &[&EvidenceRow],
        unknown: &[(i64, i64)],
        until: i64,
    ) -> Result<i64, String> {
        let until = self.unsure_from.map_or(until, |from| from.min(until));
        if until <= 0 {
            return Ok(0);
        }
        let base = wall(0).secs();
        let evidence: Vec<Evidence> = rows.iter().map(|row| Evidence::from(*row)).collect();
        let period = Interval::new(base, wall(until).secs());
        let always = IntervalSet::of(period);
        let none = IntervalSet::empty();
        let inputs = Inputs {
            period,
            as_of: None,
            service: &always,
            commissioned: &always,
            exclusions: &none,
            server_down: &none,
            evidence: &evidence,
            received_before: None,
        };
        let pieces = Timeline::build(&inputs).explain();
        let promises = self.promises(unknown, until);
        for (span, what) in &promises {
            let expected = match what {
                What::Up(state) => *state,
                What::Off | What::Unsure => State::Off,
            };
            let within = |piece: &&Explained| piece.to - base > span.from && piece.from - base < span.to;
            for piece in pieces.iter().filter(within) {
                if piece.state != Some(expected) {
                    let from = (piece.from - base).max(span.from);
                    let to = (piece.to - base).min(span.to);
                    return Err(format!(
                        "from {} to {} the kiosk was {}, the evidence says {:?} ({:?})",
                        clock(from * 1_000),
                        clock(to * 1_000),
                        expected.as_str(),
                        piece.state.map(State::as_str),
                        piece.source
                    ));
                }
            }
        }
        same_figures(&inputs, &promises, base)
    }
}

/// The figures as a month is booked, over the seconds of which something is promised, are the seconds counted one by
/// one; of the whole time they are those and at most what is not promised. How many seconds that were.
fn same_figures(inputs: &Inputs<'_>, promises: &[(Interval, What)], base: i64) -> Result<i64, String> {
    let seconds = |counts: fn(State) -> bool| -> i64 {
        let spans = promises.iter().filter(|(_, what)| matches!(what, What::Up(state) if counts(*state)));
        spans.map(|(span, _)| span.length()).sum()
    };
    let compared: i64 = promises.iter().map(|(span, _)| span.length()).sum();
    let of = |num| Ratio::new(num, compared);
    let (on, avail, full) = (
        seconds(|_| true),
        seconds(|state| state != State::OutOfService),
        seconds(|state| state == State::Full),
    );
    let told = promises.iter().map(|(span, _)| Interval::new(base + span.from, base + span.to));
    let booked = booking::measure(inputs, &told.collect());
    let Figures { accountable_s, known_s, on: on_is, avail: avail_is, full: full_is, .. } = booked.figures;
    let figures = [Ratio::new(known_s, accountable_s), on_is, avail_is, full_is];
    if figures != [of(compared), of(on), of(avail), of(full)] {
        return Err(format!("of {compared} s {on} on, {avail} in service, {full} full: booked {figures:?}"));
    }
    let whole = booking::measure(inputs, &IntervalSet::of(inputs.period)).figures;
    let rest = inputs.period.length() - compared;
    for (counted, booked) in
        [(compared, whole.coverage()), (on, whole.on), (avail, whole.avail), (full, whole.full)]
    {
        if booked.den != inputs.period.length() || !(counted..=counted + rest).contains(&booked.num) {
            return Err(format!("{counted} s and at most {rest} more, of all: booked {booked:?}"));
        }
    }
    Ok(compared)
}
