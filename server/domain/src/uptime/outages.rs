//! How often it broke, for how long, and what is left of a promise.
//!
//! An *outage* is a stretch in which availability's verdict is "down" and never "up". Time that is nobody's
//! (closed, forgiven, our own deafness) neither ends it nor lengthens it: a kiosk that is broken at closing
//! and still broken at opening broke once.
//!
//! It counts under the cause of its first second that counted as down ("uptime definition 2.10": every down second
//! has one cause), whatever it was down by later. That is our rule: so the numbers by cause add up to the outages.

use super::causes::Cause;
use super::explain::{Judged, Verdict};
use super::ratio::Ratio;
use super::sweep::Timeline;

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
