//! Sets of seconds, kept as half-open intervals.
//!
//! Every figure of this package (accountable time, running time of a clock, server outages) is a set of
//! seconds. Sets are painted, never summed: a second that is said twice counts once.
//! An [`IntervalSet`] is sorted, disjoint and coalesced, so that two sets are equal exactly when they hold
//! the same seconds, and each operation of two sets is one merge in linear time.

/// The first second we can speak of, and the first one after the last.
/// Far outside any calendar, and near enough that a length never overflows an `i64`.
pub const BEGINNING: i64 = -(1 << 60);
pub const END: i64 = 1 << 60;

/// The seconds `from <= t < to`, counted from the epoch in UTC without leap seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    pub from: i64,
    pub to: i64,
}

impl Interval {
    #[must_use]
    pub const fn new(from: i64, to: i64) -> Self {
        Self { from, to }
    }

    /// The length in seconds; zero when the bounds are equal or reversed.
    #[must_use]
    pub fn length(self) -> i64 {
        if self.is_empty() { 0 } else { self.to.saturating_sub(self.from) }
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.to <= self.from
    }

    #[must_use]
    pub const fn contains(self, t: i64) -> bool {
        self.from <= t && t < self.to
    }

    /// What both hold; possibly empty.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }
}

/// A set of seconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IntervalSet {
    parts: Vec<Interval>,
}

impl IntervalSet {
    #[must_use]
    pub const fn empty() -> Self {
        Self { parts: Vec::new() }
    }

    /// Every second there is.
    #[must_use]
    pub fn always() -> Self {
        Self { parts: vec![Interval::new(BEGINNING, END)] }
    }

    /// One interval; the empty set when the bounds are equal or reversed.
    #[must_use]
    pub fn of(interval: Interval) -> Self {
        std::iter::once(interval).collect()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The intervals in order; none is empty, no two touch.
    #[must_use]
    pub fn intervals(&self) -> &[Interval] {
        &self.parts
    }

    pub fn iter(&self) -> impl Iterator<Item = Interval> + '_ {
        self.parts.iter().copied()
    }

    /// The number of seconds in the set.
    #[must_use]
    pub fn length(&self) -> i64 {
        self.parts.iter().map(|part| part.length()).sum()
    }

    #[must_use]
    pub fn contains(&self, t: i64) -> bool {
        let after = self.parts.partition_point(|part| part.to <= t);
        self.parts.get(after).is_some_and(|part| part.contains(t))
    }

    /// The first second of the set that is not before `t`.
    #[must_use]
    pub fn first_from(&self, t: i64) -> Option<i64> {
        let after = self.parts.partition_point(|part| part.to <= t);
        self.parts.get(after).map(|part| part.from.max(t))
    }

    /// The seconds of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut out = Builder::with_capacity(self.parts.len() + other.parts.len());
        let (mut a, mut b) = (self.parts.as_slice(), other.parts.as_slice());
        loop {
            match (a.split_first(), b.split_first()) {
                (Some((x, rest)), Some((y, _))) if x.from <= y.from => {
                    out.push(*x);
                    a = rest;
                }
                (_, Some((y, rest))) => {
                    out.push(*y);
                    b = rest;
                }
                (Some((x, rest)), None) => {
                    out.push(*x);
                    a = rest;
                }
                (None, None) => return out.finish(),
            }
        }
    }

    /// The seconds of both sets.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let mut out = Builder::with_capacity(self.parts.len().max(other.parts.len()));
        let (mut i, mut j) = (0, 0);
        while let (Some(a), Some(b)) = (self.parts.get(i), other.parts.get(j)) {
            out.push(a.intersect(*b));
            if a.to <= b.to {
                i += 1;
            } else {
                j += 1;
            }
        }
        out.finish()
    }

    /// The seconds of this set which the other does not hold.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        let mut out = Builder::with_capacity(self.parts.len() + other.parts.len());
        let mut first = 0;
        for part in &self.parts {
            let mut from = part.from;
            while other.parts.get(first).is_some_and(|cut| cut.to <= part.from) {
                first += 1;
            }
            // The cut that reaches beyond this part may also touch the next one, so `first` stays on it.
            let mut at = first;
            while let Some(cut) = other.parts.get(at).filter(|cut| cut.from < part.to) {
                out.push(Interval::new(from, cut.from));
                from = from.max(cut.to);
                first = at;
                at += 1;
            }
            out.push(Interval::new(from, part.to));
        }
        out.finish()
    }

    /// The part of the set inside one interval.
    #[must_use]
    pub fn clip(&self, to: Interval) -> Self {
        let first = self.parts.partition_point(|part| part.to <= to.from);
        let touching = self.parts[first..].iter().take_while(|part| part.from < to.to);
        touching.map(|part| part.intersect(to)).collect()
    }

    /// The set moved by a number of seconds.
    #[must_use]
    pub fn shifted(&self, by: i64) -> Self {
        let moved = |t: i64| t.saturating_add(by);
        self.parts.iter().map(|part| Interval::new(moved(part.from), moved(part.to))).collect()
    }
}

impl FromIterator<Interval> for IntervalSet {
    /// Paints intervals in any order, overlapping or not. Reversed and empty ones paint nothing.
    fn from_iter<I: IntoIterator<Item = Interval>>(intervals: I) -> Self {
        let mut all: Vec<Interval> = intervals.into_iter().filter(|one| !one.is_empty()).collect();
        if !all.is_sorted() {
            all.sort_unstable();
        }
        let mut out = Builder::with_capacity(all.len());
        for one in all {
            out.push(one);
        }
        out.finish()
    }
}

impl<'a> IntoIterator for &'a IntervalSet {
    type Item = &'a Interval;
    type IntoIter = std::slice::Iter<'a, Interval>;

    fn into_iter(self) -> Self::IntoIter {
        self.parts.iter()
    }
}

/// Takes intervals in the order of their beginning and joins what touches.
struct Builder {
    parts: Vec<Interval>,
}

impl Builder {
    fn with_capacity(capacity: usize) -> Self {
        Self { parts: Vec::with_capacity(capacity) }
    }

    fn push(&mut self, next: Interval) {
        let next = next.intersect(Interval::new(BEGINNING, END));
        if next.is_empty() {
            return;
        }
        match self.parts.last_mut() {
            Some(last) if next.from <= last.to => last.to = last.to.max(next.to),
            _ => self.parts.push(next),
        }
    }

    fn finish(self) -> IntervalSet {
        IntervalSet { parts: self.parts }
    }
}
