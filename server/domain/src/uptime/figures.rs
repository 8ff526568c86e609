//! The figures of a period, as integers ("uptime definition 2.7").

use std::collections::BTreeMap;
use std::iter::Sum;
use std::ops::AddAssign;

use super::causes::Cause;
use super::explain::{Counted, Judged, Verdict};
use super::ratio::Ratio;
use super::sweep::Timeline;

/// What a report is made of. Sums of figures are figures; a mean of ratios is never one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    /// Seconds we answer for.
    pub accountable_s: i64,
    /// Of these, seconds in which we know whether the machine was on.
    pub known_s: i64,
    /// Power-on ratio, 开机率.
    pub on: Ratio,
    /// Availability, 可用率.
    pub avail: Ratio,
    /// Full-function ratio, 全功能率.
    pub full: Ratio,
    /// Reachability, 在线率: a diagnosis of the line, never part of a promise and never restated.
    pub online: Ratio,
    /// Down seconds by cause; they add up to `avail.den - avail.num`. Only causes that occurred.
    pub causes: BTreeMap<Cause, i64>,
}

impl Figures {
    /// How much of the accountable time we know anything about.
    #[must_use]
    pub const fn coverage(&self) -> Ratio {
        Ratio::new(self.known_s, self.accountable_s)
    }

    /// Whether a report must print "insufficient data" beside the figures: coverage below 0.90.
    #[must_use]
    pub fn has_insufficient_data(&self) -> bool {
        self.accountable_s > 0 && !self.coverage().meets(9, 10)
    }

    /// Availability as an engineer answers for it: seconds that the customer's power, network or host
    /// caused leave the denominator ("uptime definition 2.10").
    #[must_use]
    pub fn engineer_kpi(&self) -> Ratio {
        let not_ours: i64 =
            self.causes.iter().filter(|(cause, _)| !cause.is_ours()).map(|(_, seconds)| seconds).sum();
        Ratio::new(self.avail.num, self.avail.den - not_ours)
    }
}

impl AddAssign<&Self> for Figures {
    fn add_assign(&mut self, other: &Self) {
        self.accountable_s += other.accountable_s;
        self.known_s += other.known_s;
        self.on += other.on;
        self.avail += other.avail;
        self.full += other.full;
        self.online += other.online;
        for (cause, seconds) in &other.causes {
            *self.causes.entry(*cause).or_default() += seconds;
        }
    }
}

impl<'a> Sum<&'a Figures> for Figures {
    fn sum<I: Iterator<Item = &'a Figures>>(all: I) -> Self {
        all.fold(Self::default(), |mut total, one| {
            total += one;
            total
        })
    }
}

impl Timeline {
    /// Adds up the pieces.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let mut out = Figures::default();
        let mut causes = [0; Cause::ALL.len()];
        for piece in self.pieces() {
            let seconds = piece.span.length();
            let judged = Judged::of(&piece.basis);
            out.accountable_s += seconds;
            out.known_s += if piece.basis.state.is_some() { seconds } else { 0 };
            add(&mut out.on, judged.on, seconds);
            add(&mut out.avail, judged.avail, seconds);
            add(&mut out.full, judged.full, seconds);
            add(&mut out.online, judged.online, seconds);
            if let Some(cause) = judged.cause {
                causes[cause as usize] += seconds;
            }
        }
        out.causes = Cause::ALL.into_iter().zip(causes).filter(|(_, seconds)| *seconds > 0).collect();
        out
    }
}

fn add(ratio: &mut Ratio, counted: Counted, seconds: i64) {
    match counted.verdict {
        Verdict::Up => *ratio += Ratio::new(seconds, seconds),
        Verdict::Down => ratio.den += seconds,
        Verdict::LeftOut => {}
    }
}
