//! Soft to hard: a finding must repeat before it is told.
use crate::{config::FlappingLimits, drivers::Mono, flapping::Flapping};

/// Circumstances of one look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) now: Mono,
    /// Consecutive looks that make a change hard.
    pub(crate) probes: u8,
    pub(crate) limits: &'a FlappingLimits,
}

/// A value that changes only after it was seen differently several times in a row.
#[derive(Debug, Clone)]
pub(crate) struct Confirmed<T> {
    /// What everybody was told.
    told: T,
    /// What is confirmed; differs from `told` only while flapping.
    actual: T,
    doubt: Option<(T, u8)>,
    flapping: Flapping,
}

/// What a look led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As told.
    Same,
    /// Different, but not often enough.
    Soft,
    /// The told value is now the seen one.
    Changed,
    /// Changed, and from now on changes too often to be told.
    FlappingBegan,
    /// Confirmed, but not told because it flaps.
    Held,
    /// No longer flapping; the told value follows the confirmed one and may have changed.
    Calmed { changed: bool },
}

impl<T: Clone + PartialEq> Confirmed<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { told: value.clone(), actual: value, doubt: None, flapping: Flapping::default() }
    }

    pub(crate) fn told(&self) -> &T {
        &self.told
    }

    /// A change has been seen and not confirmed: look again soon.
    pub(crate) fn doubtful(&self) -> bool {
        self.doubt.is_some()
    }

    /// Nothing here that a fresh value would not have.
    pub(crate) fn settled(&self) -> bool {
        self.doubt.is_none() && self.flapping.forgotten()
    }

    /// One look. `bad` says whether the value is the one to keep telling while it flaps.
    pub(crate) fn see(&mut self, value: T, bad: bool, sight: Sight<'_>) -> Verdict {
        if value == self.actual {
            self.doubt = None;
            return self.calm(sight);
        }
        let times = match self.doubt.take() {
            Some((doubt, times)) if doubt == value => times.saturating_add(1),
            _ => 1,
        };
        if times < sight.probes {
            self.doubt = Some((value, times));
            return Verdict::Soft;
        }
        self.actual = value;
        let too_many = self.flapping.count(sight.now, sight.limits);
        if self.flapping.active() {
            return Verdict::Held;
        }
        self.told = self.actual.clone();
        if too_many && bad {
            self.flapping.begin();
            return Verdict::FlappingBegan;
        }
        Verdict::Changed
    }

    /// Time passed without a look.
    pub(crate) fn calm(&mut self, sight: Sight<'_>) -> Verdict {
        if !self.flapping.calmed(sight.now, sight.limits) {
            return Verdict::Same;
        }
        let changed = self.told != self.actual;
        self.told = self.actual.clone();
        Verdict::Calmed { changed }
    }

    /// Told at once, without confirmation: a verdict of ours, not of a device. Returns whether it changed.
    pub(crate) fn set(&mut self, value: T) -> bool {
        self.doubt = None;
        self.actual = value.clone();
        let changed = self.told != value;
        self.told = value;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FlappingLimits = FlappingLimits { window_ms: 1_000, start_at: 3, stop_below: 2 };

    fn see(value: &mut Confirmed<bool>, now: Mono, seen: bool) -> Verdict {
        value.see(seen, seen, Sight { now, probes: 2, limits: &LIMITS })
    }

    #[test]
    fn one_look_is_soft_and_two_in_a_row_are_hard_both_ways() {
        let mut fault = Confirmed::new(false);
        assert_eq!(see(&mut fault, 0, true), Verdict::Soft);
        assert_eq!(see(&mut fault, 1, false), Verdict::Same);
        assert_eq!(see(&mut fault, 2, true), Verdict::Soft);
        assert_eq!(see(&mut fault, 3, true), Verdict::Changed);
        assert_eq!(see(&mut fault, 4, false), Verdict::Soft);
        assert_eq!(see(&mut fault, 5, false), Verdict::Changed);
        assert!(!fault.told());
    }

    #[test]
    fn a_flapping_fault_stays_raised_until_it_calms_down() {
        let mut fault = Confirmed::new(false);
        let mut now = 0;
        let mut turn = |fault: &mut Confirmed<bool>, seen| {
            now += 10;
            see(fault, now, seen);
            see(fault, now, seen)
        };
        assert_eq!(turn(&mut fault, true), Verdict::Changed);
        assert_eq!(turn(&mut fault, false), Verdict::Changed);
        assert_eq!(turn(&mut fault, true), Verdict::FlappingBegan);
        assert_eq!(turn(&mut fault, false), Verdict::Held);
        assert!(fault.told());
        assert_eq!(see(&mut fault, 500, false), Verdict::Same);
        assert_eq!(see(&mut fault, 1_035, false), Verdict::Calmed { changed: true });
        assert!(!fault.told());
    }
}
