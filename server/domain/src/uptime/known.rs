//! What was known when: signed figures were made of what was known at their signature, and are explained by that.

use kioskwatch_proto::Timestamp;

/// Values of one thing, each with the instant since which it was known, in that order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known<T>(Vec<(Timestamp, T)>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Known<T> {
    /// Behind everything known so far.
    pub fn learn(&mut self, since: Timestamp, value: T) {
        self.0.push((since, value));
    }

    /// Since when it is known what somebody says at `now`: behind everything known so far, also when the clock was set
    /// back since. Whoever speaks last is believed.
    #[must_use]
    pub fn learned_at(&self, now: Timestamp) -> Timestamp {
        behind(self.0.last().map(|(since, _)| *since), now)
    }

    /// What was known before this second; `None`: by now. What was known first was known from the beginning: before
    /// that nobody had said anything. Nothing, when nothing was ever noted.
    #[must_use]
    pub fn before(&self, second: Option<i64>) -> Option<&T> {
        let is_known = |since: &Timestamp| second.is_none_or(|limit| since.secs() < limit);
        let known = self.0.iter().rev().find(|(since, _)| is_known(since));
        known.or(self.0.first()).map(|(_, value)| value)
    }
}

/// `now`, or just behind the `newest` instant since which anything was known.
#[must_use]
pub fn behind(newest: Option<Timestamp>, now: Timestamp) -> Timestamp {
    newest.map_or(now, |newest| now.max(newest.plus_ms(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_known_later_was_not_known_before() {
        let mut known = Known::default();
        assert_eq!(known.before(None), None);
        known.learn(Timestamp(5_000), "first");
        known.learn(Timestamp(9_999), "second");
        let before = |second| *known.before(second).unwrap();
        assert_eq!((before(None), before(Some(10)), before(Some(9))), ("second", "second", "first"));
        assert_eq!((before(Some(6)), before(Some(5)), before(Some(-1))), ("first", "first", "first"));
    }

    #[test]
    fn who_speaks_last_is_believed_although_the_clock_was_set_back() {
        let mut known = Known::default();
        for (now, since) in [(5_000, 5_000), (9_000, 9_000), (2_000, 9_001), (9_001, 9_002), (9_500, 9_500)] {
            assert_eq!(known.learned_at(Timestamp(now)), Timestamp(since), "said at {now}");
            known.learn(known.learned_at(Timestamp(now)), now);
            assert_eq!(known.before(None), Some(&now));
        }
    }
}
