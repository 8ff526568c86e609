//! What was known when: signed figures were made of what was known at their signature, and are explained by that.

use kioskwatch_proto::Timestamp;
use smallvec::SmallVec;

/// Values of one thing, each with the instant since which it was known, in that order. Of most things one was ever known:
/// it stands in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known<T>(SmallVec<[(Timestamp, T); 1]>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

impl<T> Known<T> {
    /// Behind everything known so far.
    pub fn learn(&mut self, since: Timestamp, value: T) {
        self.0.push((since, value));
    }

    /// Since when it is known what somebody says at `now`: behind everything known so far, also when the clock was set
    /// back since, but for what [`is_wrong`]. Whoever speaks last is believed.
    #[must_use]
    pub fn learned_at(&self, now: Timestamp) -> Timestamp {
        behind(self.right(now).map(|(since, _)| *since).last(), now)
    }

    /// Values that a wrong clock noted, by now: whatever is said anew is said of each of these instants too, or it would be
    /// forgotten when they come.
    pub fn wrong(&self, now: Timestamp) -> impl Iterator<Item = Timestamp> {
        self.0.iter().map(|(since, _)| *since).filter(move |since| is_wrong(*since, now))
    }

    /// Whether `value` has to be noted, because it is not what is known, or only a wrong clock noted it.
    #[must_use]
    pub fn is_news(&self, value: &T, now: Timestamp) -> bool
    where
        T: PartialEq,
    {
        let newest = self.0.last().map(|(_, value)| value);
        newest != Some(value) || self.right(now).last().is_some_and(|(_, known)| known != value)
    }

    fn right(&self, now: Timestamp) -> impl Iterator<Item = &(Timestamp, T)> {
        self.0.iter().filter(move |(since, _)| !is_wrong(*since, now))
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

/// Whether what is known since then was noted by a wrong clock: it was so far ahead. One that was less was adjusted since.
#[must_use]
pub fn is_wrong(since: Timestamp, now: Timestamp) -> bool {
    const WRONG_MS: i64 = 86_400_000;
    since.since(now) > WRONG_MS
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

    #[test]
    fn what_a_clock_noted_that_was_years_ahead_keeps_nothing_from_being_known_that_is_said_now() {
        let (now, ahead) = (Timestamp(9_000), Timestamp(9_000 + 400 * 86_400_000));
        let mut known = Known::default();
        assert!(known.is_news(&"first", now) && known.wrong(now).next().is_none());
        for (since, value) in [(Timestamp(5_000), "first"), (ahead, "wrong")] {
            known.learn(since, value);
        }
        assert_eq!((known.learned_at(now), known.wrong(now).collect::<Vec<_>>()), (now, vec![ahead]));
        assert_eq!(known.learned_at(Timestamp(4_000)), Timestamp(5_001), "behind what was noted rightly");
        // Also who says what the wrong clock noted says something new: else nobody knows it before that time.
        for (value, is_news) in [("first", true), ("wrong", true), ("second", true)] {
            assert_eq!(known.is_news(&value, now), is_news, "{value}");
        }
        // Once its time has come it is what was said then.
        assert_eq!(known.wrong(ahead).next(), None);
        assert_eq!(known.learned_at(ahead), ahead.plus_ms(1));
        assert!(!known.is_news(&"wrong", ahead));
    }
}
