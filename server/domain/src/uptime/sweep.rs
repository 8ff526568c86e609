//! The sweep: from overlapping sets and claims to pieces of time with one basis each.
//!
//! All boundaries are sorted once; between two of them nothing changes. The cost is O(n log n) in the
//! number of claims and does not depend on how long the period is.

use super::causes::Cause;
use super::evidence::{Evidence, Source, State};
use crate::interval::{Interval, IntervalSet};

/// Everything the figures of one kiosk depend on. Times are seconds on the server's clock.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The full period, usually a local month.
    pub period: Interval,
    /// The instant of the report when the period is still running: what has not happened is in no set.
    pub as_of: Option<i64>,
    /// Service hours.
    pub service: &'a IntervalSet,
    pub commissioned: &'a IntervalSet,
    /// Approved exclusions only.
    pub exclusions: &'a IntervalSet,
    /// While the server itself could not receive.
    pub server_down: &'a IntervalSet,
    pub evidence: &'a [Evidence],
    /// Only evidence received strictly before this counts; `None` takes all, as a restatement does.
    pub received_before: Option<i64>,
}

impl Inputs<'_> {
    /// The period as far as it has happened.
    #[must_use]
    pub fn elapsed_period(&self) -> Interval {
        let to = self.as_of.map_or(self.period.to, |as_of| self.period.to.min(as_of));
        Interval::new(self.period.from, to)
    }

    /// Accountable time D ("uptime definition 2.5").
    #[must_use]
    pub fn accountable(&self) -> IntervalSet {
        let open = self.service.clip(self.elapsed_period());
        open.intersect(self.commissioned).subtract(self.exclusions)
    }

    /// What of the period is still to be accountable, by the hours, dates and exclusions that are known.
    #[must_use]
    pub fn to_come(&self) -> IntervalSet {
        let whole = Self { as_of: None, ..*self }.accountable();
        whole.clip(Interval::new(self.elapsed_period().to, self.period.to))
    }
}

/// What is known of a piece of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    /// The state that won, with the source that said so; `None` when nobody said anything.
    pub state: Option<(State, Source)>,
    /// The strongest cause anybody named, of both sources and of states that lost.
    pub cause: Option<Cause>,
    /// Whether the server could not receive.
    pub server_down: bool,
    /// Whether live evidence was there, whatever the journal says.
    pub live: bool,
}

/// A stretch of accountable time with one basis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub span: Interval,
    pub basis: Basis,
}

/// Accountable time as pieces: in order, disjoint, neighbours that touch differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timeline {
    pieces: Vec<Piece>,
}

impl Timeline {
    #[must_use]
    pub fn build(inputs: &Inputs<'_>) -> Self {
        let accountable = inputs.accountable();
        let (Some(first), Some(last)) = (accountable.intervals().first(), accountable.intervals().last())
        else {
            return Self::default();
        };
        let hull = Interval::new(first.from, last.to);
        let mut marks = Marks { hull, list: Vec::with_capacity(2 * inputs.evidence.len() + 64) };
        for part in &accountable {
            marks.add(*part, Edge::Accountable);
        }
        for part in inputs.server_down {
            marks.add(*part, Edge::ServerDown);
        }
        for claim in inputs.evidence {
            if inputs.received_before.is_none_or(|limit| claim.arrived_before(limit)) {
                let proven = Interval::new(claim.from, claim.proven_to());
                marks.add(proven, Edge::Claim(claim.src, claim.state, claim.cause));
            }
        }
        Self { pieces: marks.sweep() }
    }

    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The part of the timeline inside a set, such as the time a group owned the kiosk.
    #[must_use]
    pub fn within(&self, set: &IntervalSet) -> Self {
        let mut pieces = Vec::new();
        let mut parts = set.intervals();
        for piece in &self.pieces {
            while let Some((part, rest)) = parts.split_first() {
                let span = piece.span.intersect(*part);
                if !span.is_empty() {
                    pieces.push(Piece { span, basis: piece.basis });
                }
                if part.to > piece.span.to {
                    break;
                }
                parts = rest;
            }
        }
        Self { pieces }
    }
}

/// What begins or ends at a boundary.
#[derive(Debug, Clone, Copy)]
enum Edge {
    Accountable,
    ServerDown,
    Claim(Source, State, Option<Cause>),
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    at: i64,
    begins: bool,
    edge: Edge,
}

/// All boundaries inside the hull of accountable time.
struct Marks {
    hull: Interval,
    list: Vec<Mark>,
}

impl Marks {
    fn add(&mut self, span: Interval, edge: Edge) {
        let span = span.intersect(self.hull);
        if !span.is_empty() {
            self.list.push(Mark { at: span.from, begins: true, edge });
            self.list.push(Mark { at: span.to, begins: false, edge });
        }
    }

    fn sweep(mut self) -> Vec<Piece> {
        // Stable, because claims mostly come in order and such a sort finds their runs.
        self.list.sort_by_key(|mark| mark.at);
        let mut pieces: Vec<Piece> = Vec::new();
        let mut now = Covering::default();
        let mut marks = self.list.iter().peekable();
        while let Some(mark) = marks.next() {
            now.apply(*mark);
            let Some(next) = marks.peek() else { break };
            if next.at == mark.at || !now.accountable {
                continue;
            }
            let (span, basis) = (Interval::new(mark.at, next.at), now.basis());
            match pieces.last_mut() {
                Some(last) if last.span.to == span.from && last.basis == basis => last.span.to = span.to,
                _ => pieces.push(Piece { span, basis }),
            }
        }
        pieces
    }
}

/// How many claims of each kind cover the present stretch.
#[derive(Debug, Default)]
struct Covering {
    accountable: bool,
    server_down: bool,
    journal: [u32; State::ALL.len()],
    live: [u32; State::ALL.len()],
    causes: [u32; Cause::ALL.len()],
}

impl Covering {
    fn apply(&mut self, mark: Mark) {
        let count = |slot: &mut u32| if mark.begins { *slot += 1 } else { *slot -= 1 };
        match mark.edge {
            Edge::Accountable => self.accountable = mark.begins,
            Edge::ServerDown => self.server_down = mark.begins,
            Edge::Claim(source, state, cause) => {
                match source {
                    Source::Journal => count(&mut self.journal[state as usize]),
                    Source::Live => count(&mut self.live[state as usize]),
                }
                if let Some(cause) = cause {
                    count(&mut self.causes[cause as usize]);
                }
            }
        }
    }

    /// The better source decides, and of its own claims the worst ("uptime definition 2.6").
    fn basis(&self) -> Basis {
        let worst =
            |counts: &[u32; State::ALL.len()]| counts.iter().position(|n| *n > 0).map(|i| State::ALL[i]);
        let (journal, live) = (worst(&self.journal), worst(&self.live));
        let state =
            journal.map(|state| (state, Source::Journal)).or_else(|| live.map(|state| (state, Source::Live)));
        let cause = self.causes.iter().position(|n| *n > 0).map(|i| Cause::ALL[i]);
        Basis { state, cause, server_down: self.server_down, live: live.is_some() }
    }
}
