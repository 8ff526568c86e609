//! What a reader is shown of the ratio it looks at, and seconds by how they counted in it.
use std::collections::BTreeMap;

use kioskwatch_domain::{
    interval::Interval,
    uptime::{Cause, Counted, Explained, Figures, Ratio, State, Verdict},
};

use super::super::texts::Texts;
pub(crate) use crate::app::Measure;

impl Measure {
    pub(crate) const fn name(self, t: &Texts) -> &'static str {
        match self {
            Self::On => t.uptime_on,
            Self::Avail => t.uptime_avail,
            Self::Full => t.uptime_full,
        }
    }

    /// How a piece counted.
    pub(crate) const fn counted(self, piece: &Explained) -> Counted {
        match self {
            Self::On => piece.on,
            Self::Avail => piece.avail,
            Self::Full => piece.full,
        }
    }
}

/// Seconds of one ratio, by how they counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) up: i64,
    pub(crate) down: i64,
    pub(crate) left_out: i64,
    /// Of all of them those in which it is known whether the machine was on.
    pub(crate) known: i64,
    /// The down seconds by what they are blamed on, as a word of the API.
    pub(crate) lost: BTreeMap<&'static str, i64>,
}

impl Tally {
    /// Adds up what lies inside `span`; `pieces` are in order and disjoint.
    pub(crate) fn of(measure: Measure, pieces: &[Explained], span: Interval) -> Self {
        let mut tally = Self::default();
        for piece in within(pieces, span) {
            tally.add(measure, &piece);
        }
        tally
    }

    fn add(&mut self, measure: Measure, piece: &Explained) {
        let seconds = piece.to - piece.from;
        self.known += if piece.state.is_some() { seconds } else { 0 };
        match measure.counted(piece).verdict {
            Verdict::Up => self.up += seconds,
            Verdict::LeftOut => self.left_out += seconds,
            Verdict::Down => {
                self.down += seconds;
                *self.lost.entry(blamed_on(piece)).or_default() += seconds;
            }
        }
    }

    /// How much of its time is known, as figures with nothing else in them: the rule is theirs.
    pub(crate) fn coverage(&self) -> Figures {
        let accountable_s = self.up + self.down + self.left_out;
        Figures { accountable_s, known_s: self.known, ..Figures::default() }
    }

    pub(crate) const fn ratio(&self) -> Ratio {
        Ratio::new(self.up, self.up + self.down)
    }
}

/// What a down piece is blamed on: its cause, or that it was degraded when only full function was missing.
pub(super) fn blamed_on(piece: &Explained) -> &'static str {
    match (piece.cause, piece.state) {
        (Some(cause), _) => cause.as_str(),
        (None, Some(State::Degraded)) => State::Degraded.as_str(),
        (None, _) => Cause::Unexplained.as_str(),
    }
}

/// The pieces inside a span, cut at its ends.
pub(super) fn within(pieces: &[Explained], span: Interval) -> impl Iterator<Item = Explained> {
    let first = pieces.partition_point(|piece| piece.to <= span.from);
    pieces[first..].iter().take_while(move |piece| piece.from < span.to).map(move |piece| Explained {
        from: piece.from.max(span.from),
        to: piece.to.min(span.to),
        ..*piece
    })
}
