//! Too many changes in a window: two thresholds, so that the edge itself does not flap.
use std::collections::VecDeque;

use crate::{config::FlappingLimits, drivers::Mono};

#[derive(Debug, Clone, Default)]
pub(crate) struct Flapping {
    changes: VecDeque<Mono>,
    active: bool,
}

impl Flapping {
    pub(crate) fn active(&self) -> bool {
        self.active
    }

    /// Nothing is remembered: the value has been quiet for a whole window.
    pub(crate) fn forgotten(&self) -> bool {
        !self.active && self.changes.is_empty()
    }

    /// A hard change happened. Returns whether that makes it too many.
    pub(crate) fn count(&mut self, now: Mono, limits: &FlappingLimits) -> bool {
        self.expire(now, limits);
        self.changes.push_back(now);
        // More than the larger threshold is never needed.
        let enough = limits.start_at.max(limits.stop_below) as usize;
        while self.changes.len() > enough {
            self.changes.pop_front();
        }
        limits.start_at > 0 && self.changes.len() >= limits.start_at as usize
    }

    pub(crate) fn begin(&mut self) {
        self.active = true;
    }

    /// Whether it has just calmed down.
    pub(crate) fn calmed(&mut self, now: Mono, limits: &FlappingLimits) -> bool {
        self.expire(now, limits);
        if self.active && self.changes.len() < limits.stop_below as usize {
            self.active = false;
            return true;
        }
        false
    }

    fn expire(&mut self, now: Mono, limits: &FlappingLimits) {
        while self.changes.front().is_some_and(|at| at + limits.window_ms <= now) {
            self.changes.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_at_one_threshold_and_stops_at_a_lower_one() {
        let limits = FlappingLimits { window_ms: 1_000, start_at: 4, stop_below: 2 };
        let mut flapping = Flapping::default();
        assert!(!flapping.count(0, &limits));
        assert!(!flapping.count(100, &limits));
        assert!(!flapping.count(200, &limits));
        assert!(flapping.count(300, &limits));
        flapping.begin();
        assert!(!flapping.calmed(1_150, &limits), "two changes are left in the window");
        assert!(flapping.active());
        assert!(flapping.calmed(1_250, &limits));
        assert!(!flapping.active());
    }
}
