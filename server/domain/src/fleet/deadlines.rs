//! When the silence of each kiosk is looked at again.
//!
//! One number a kiosk, in no order: a sweep reads them all. An ordered set would take ten times the memory, and a
//! walk through it for each change.
use kioskwatch_proto::Timestamp;

use super::Ix;

/// Later than any clock shows: not looked at.
const NEVER: Timestamp = Timestamp(i64::MAX);

/// By place in the fleet.
#[derive(Debug, Default)]
pub(super) struct Deadlines(Vec<Timestamp>);

impl Deadlines {
    /// `None`: it is not looked at.
    pub(super) fn set(&mut self, ix: Ix, at: Option<Timestamp>) {
        let place = ix as usize;
        if place >= self.0.len() {
            self.0.resize(place + 1, NEVER);
        }
        self.0[place] = at.unwrap_or(NEVER);
    }

    /// Who is to be looked at by now, the longest due first.
    pub(super) fn due(&self, now: Timestamp) -> Vec<Ix> {
        let mut due: Vec<(Timestamp, Ix)> = self
            .0
            .iter()
            .zip(0..)
            .filter(|&(&at, _)| at <= now && at < NEVER)
            .map(|(&at, ix)| (at, ix))
            .collect();
        due.sort_unstable();
        due.into_iter().map(|(_, ix)| ix).collect()
    }

    /// The next time at which somebody is to be looked at.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.0.iter().copied().min().filter(|&at| at < NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_longest_is_looked_at_first() {
        let mut deadlines = Deadlines::default();
        assert!(deadlines.first().is_none() && deadlines.due(NEVER).is_empty());
        deadlines.set(3, Some(Timestamp(10)));
        deadlines.set(0, Some(Timestamp(30)));
        deadlines.set(1, Some(Timestamp(20)));
        assert_eq!(deadlines.first(), Some(Timestamp(10)));
        assert!(deadlines.due(Timestamp(9)).is_empty());
        assert_eq!(deadlines.due(Timestamp(20)), vec![3, 1]);
        assert_eq!(deadlines.due(NEVER), vec![3, 1, 0], "2 was never set");
        deadlines.set(3, None);
        deadlines.set(0, Some(Timestamp(5)));
        assert_eq!(deadlines.due(NEVER), vec![0, 1]);
        assert_eq!(deadlines.first(), Some(Timestamp(5)));
    }
}
