//! Buckets: how much somebody may ask at once, and how often somebody may guess.
use std::{collections::HashMap, hash::Hash, sync::Mutex};

use kioskwatch_proto::Timestamp;

/// Buckets kept at one time; full ones say nothing and go first.
const MAX_BUCKETS: usize = 20_000;

/// A bucket of `capacity` drops for each key; it fills up again at `per_second`.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    capacity: f64,
    per_second: f64,
    levels: Mutex<HashMap<K, Level>>,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    drops: f64,
    at: Timestamp,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    pub(super) fn new(capacity: f64, per_second: f64) -> Self {
        Self { capacity, per_second, levels: Mutex::default() }
    }

    /// Takes a drop; `false` when there is none.
    pub(super) fn take(&self, now: Timestamp, key: &K) -> bool {
        let mut levels = self.lock();
        if levels.len() >= MAX_BUCKETS && !levels.contains_key(key) {
            levels.retain(|_, level| self.filled(*level, now) < self.capacity);
            if levels.len() >= MAX_BUCKETS {
                return false;
            }
        }
        let level = levels.entry(key.clone()).or_insert(Level { drops: self.capacity, at: now });
        let drops = self.filled(*level, now);
        let taken = drops >= 1.0;
        *level = Level { drops: if taken { drops - 1.0 } else { drops }, at: now };
        taken
    }

    /// Whether there is a drop, without taking it.
    pub(super) fn has(&self, now: Timestamp, key: &K) -> bool {
        self.lock().get(key).is_none_or(|level| self.filled(*level, now) >= 1.0)
    }

    pub(super) fn knows(&self, key: &K) -> bool {
        self.lock().contains_key(key)
    }

    #[expect(clippy::cast_precision_loss, reason = "milliseconds between two requests")]
    fn filled(&self, level: Level, now: Timestamp) -> f64 {
        let passed_s = now.since(level.at).max(0) as f64 / 1_000.0;
        passed_s.mul_add(self.per_second, level.drops).min(self.capacity)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, Level>> {
        self.levels.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let buckets = Buckets::new(3.0, 1.0);
        let taken = (0..5).filter(|_| buckets.take(Timestamp(0), &"a")).count();
        assert_eq!(taken, 3);
        assert!(buckets.take(Timestamp(0), &"b"), "each key has its own");
        assert!(!buckets.take(Timestamp(900), &"a"));
        assert!(buckets.take(Timestamp(1_000), &"a"));
        assert!(!buckets.has(Timestamp(1_000), &"a"));
    }
}
