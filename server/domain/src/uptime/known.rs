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

    /// What was known before this second; `None`: by now. What was known first was known from the beginning: before
    /// that nobody had said anything. Nothing, when nothing was ever noted.
    #[must_use]
    pub fn before(&self, second: Option<i64>) -> Option<&T> {
        let is_known = |since: &Timestamp| second.is_none_or(|limit| since.secs() < limit);
        let known = self.0.iter().rev().find(|(since, _)| is_known(since));
        known.or(self.0.first()).map(|(_, value)| value)
    }
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
}
