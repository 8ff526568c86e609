//! How often it broke, for how long, and what is left of a promise.
//!
//! An *outage* is a stretch in which availability's verdict is "down" and never "up". Time that is nobody's
//! (closed, forgiven, our own deafness) neither ends it nor lengthens it: a kiosk that is broken at closing
//! and still broken at opening broke once.
//!
//! An outage is of its period: one that reaches over the end of a month is one of each of the two, the second from the
//! first second of its month. A sum of months, such as a quarter, therefore counts it twice, and the longest of a sum is
//! the longest within a month. That is our rule too: each month is signed by itself, and no row says how the one before
//! it ended.
//!
//! It is of the owner of that first second, who alone has it in their number. Its seconds are of those who owned them: the
//! longest of a share is the longest part of an outage within it.
//!
//! It counts under the cause of its first second that counted as down ("uptime definition 2.10": every down second
//! has one cause), whatever it was down by later. That is our rule: so the numbers by cause add up to the outages.

use super::causes::Cause;
use super::explain::{Judged, Verdict};
use super::ratio::Ratio;
use super::sweep::{Piece, Timeline};
use crate::interval::Interval;

/// One outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// The first and the last second that counted as down.
    pub from: i64,
    pub to: i64,
    /// Seconds that counted as down between them.
    pub down_s: i64,
    /// Of the first of them.
    pub cause: Cause,
}

impl Timeline {
    /// All outages in order.
    #[must_use]
    pub fn outages(&self) -> Vec<Outage> {
        let mut outages: Vec<Outage> = Vec::new();
        let mut worked = true;
        for piece in self.pieces() {
            let judged = Judged::of(&piece.basis);
            match judged.avail.verdict {
                Verdict::Up => worked = true,
                Verdict::LeftOut => {}
                Verdict::Down => {
                    let (from, to, down_s) = (piece.span.from, piece.span.to, piece.span.length());
                    match outages.last_mut().filter(|_| !worked) {
                        Some(last) => {
                            last.to = to;
                            last.down_s += down_s;
                        }
                        None => {
                            let cause = judged.cause.unwrap_or(Cause::Unexplained);
                            outages.push(Outage { from, to, down_s, cause });
                        }
                    }
                    worked = false;
                }
            }
        }
        outages
    }

    /// Of these outages of the whole the one that is longest here: how many of its seconds, and the first of them. An owner
    /// who took over a kiosk that was down, or gave one away, answers for the seconds that were theirs.
    #[must_use]
    pub fn longest_of(&self, outages: &[Outage]) -> Option<(i64, i64)> {
        let is_down = |piece: &&Piece| Judged::of(&piece.basis).avail.verdict == Verdict::Down;
        let down: Vec<Interval> = self.pieces().iter().filter(is_down).map(|piece| piece.span).collect();
        let of_one = |outage: &Outage| {
            let from = down.partition_point(|span| span.from < outage.from);
            let to = down.partition_point(|span| span.from < outage.to);
            let seconds = down[from..to].iter().map(|span| span.length()).sum::<i64>();
            down[from..to].first().map(|first| (seconds, first.from))
        };
        outages.iter().filter_map(of_one).max_by_key(|(seconds, from)| (*seconds, -from))
    }
}

/// Mean time between failures and to repair: whole seconds of the measured time, per outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reliability {
    pub mtbf_s: i64,
    pub mttr_s: i64,
}

impl Reliability {
    /// `None` without an outage: one that never broke has no time between failures.
    #[must_use]
    pub const fn of(avail: Ratio, outages: i64) -> Option<Self> {
        if outages <= 0 {
            return None;
        }
        Some(Self { mtbf_s: avail.num / outages, mttr_s: (avail.den - avail.num) / outages })
    }
}

/// Where a figure stands against its target, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Margin {
    pub met: bool,
    /// Seconds that may be down in this denominator without missing the target.
    pub allowed_down_s: i64,
    /// What is left of them; below zero is missing.
    pub left_s: i64,
    /// The ratio with one more hour down.
    pub after_one_hour: Ratio,
    /// Whether that would still meet the target.
    pub met_after_one_hour: bool,
}

impl Margin {
    /// Against a target of `a/b`, with `0 <= a <= b` and `b > 0`. `None` without time to measure.
    #[must_use]
    pub fn of(ratio: Ratio, (a, b): (i64, i64)) -> Option<Self> {
        if ratio.den <= 0 || b <= 0 {
            return None;
        }
        // den - ceil(a * den / b) = floor((b - a) * den / b): exactly the seconds that can be lost.
        let allowed = i128::from(b - a) * i128::from(ratio.den) / i128::from(b);
        let allowed_down_s = i64::try_from(allowed).unwrap_or(i64::MAX);
        let after_one_hour = Ratio::new((ratio.num - 3_600).max(0), ratio.den);
        Some(Self {
            met: ratio.meets(a, b),
            allowed_down_s,
            left_s: allowed_down_s - (ratio.den - ratio.num),
            after_one_hour,
            met_after_one_hour: after_one_hour.meets(a, b),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::IntervalSet;
    use crate::uptime::{Evidence, Inputs, Source, State};

    #[test]
    fn an_outage_over_the_end_of_a_month_is_one_of_each_month_and_one_of_a_longer_period() {
        const DAY: i64 = 86_400;
        let claim = |from, to, state| Evidence {
            src: Source::Journal,
            from,
            to,
            state,
            cause: Some(Cause::Power),
            recv: None,
            interval_s: None,
        };
        // Off from an hour before the end of the first month to two hours behind it.
        let (off, on) = (31 * DAY - 3_600, 31 * DAY + 7_200);
        let evidence =
            [claim(0, off, State::Full), claim(off, on, State::Off), claim(on, 61 * DAY, State::Full)];
        let outages = |from, to| {
            let period = Interval::new(from, to);
            let (all, none) = (IntervalSet::of(period), IntervalSet::empty());
            let inputs = Inputs {
                period,
                as_of: None,
                service: &all,
                commissioned: &all,
                exclusions: &none,
                server_down: &none,
                evidence: &evidence,
                received_before: None,
            };
            let outages = Timeline::build(&inputs).outages();
            outages.iter().map(|outage| (outage.from, outage.down_s)).collect::<Vec<_>>()
        };
        assert_eq!(outages(0, 31 * DAY), [(off, 3_600)]);
        assert_eq!(outages(31 * DAY, 61 * DAY), [(31 * DAY, 7_200)]);
        assert_eq!(outages(0, 61 * DAY), [(off, 10_800)]);
    }
}
