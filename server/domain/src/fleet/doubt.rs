//! How much of a silence proves nothing, because heartbeats are lost on their way to us.
//!
//! Where one of ten heartbeats is lost, three missed ones in a row may be chance and ten are not: each proves three tenths of
//! what it proves else, so seven tenths of such time are in doubt. A kiosk has the doubt of its silence on top of its
//! patience. Time counts by what was lost then, however much is lost afterwards, and nobody has to be looked at again when
//! that changes: doubt only grows.
use std::collections::VecDeque;

use kioskwatch_proto::Timestamp;

use crate::presence::proof_of_silence;

const MILLION: i64 = 1_000_000;
/// Changes that are remembered; between older ones doubt is taken to have grown evenly.
const REMEMBERED: usize = 64;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Doubt {
    /// When it came to grow otherwise, and how many milliseconds it had grown to by then.
    changes: VecDeque<(Timestamp, i64)>,
    /// Of a million milliseconds that pass now.
    grows_by: i64,
    loses: bool,
    /// Until when some were lost, when none is any more.
    lost_until: Option<Timestamp>,
}

impl Doubt {
    /// From now on so many of a thousand heartbeats are lost; without loss so many missed ones in a row prove silence.
    pub(super) fn changes(&mut self, now: Timestamp, per_mille: u16, missed_heartbeats: u32) {
        if self.loses && per_mille == 0 {
            self.lost_until = Some(now);
        }
        self.loses = per_mille > 0;
        // A clock that went back without a word of it: what it shows now was counted before.
        let now = self.changes.back().map_or(now, |&(last, _)| last.max(now));
        self.changes.push_back((now, self.grown_to(now)));
        if self.changes.len() > REMEMBERED {
            self.changes.remove(1);
        }
        let proof = proof_of_silence(per_mille).unwrap_or(0).max(missed_heartbeats).max(1);
        self.grows_by = MILLION - MILLION * i64::from(missed_heartbeats.max(1)) / i64::from(proof);
    }

    /// Nobody asks for the time before any more: nothing was heard in it.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.changes = [(now, 0)].into();
        self.lost_until = None;
    }

    /// How many milliseconds of this time are in doubt.
    pub(super) fn between(&self, from: Timestamp, to: Timestamp) -> i64 {
        self.grown_to(to).saturating_sub(self.grown_to(from)).max(0)
    }

    /// Whether what was sent since then may have been lost.
    pub(super) fn loses_since(&self, then: Timestamp) -> bool {
        self.loses || self.lost_until.is_some_and(|until| then <= until)
    }

    fn grown_to(&self, at: Timestamp) -> i64 {
        let behind = self.changes.partition_point(|&(change, _)| change <= at);
        let Some(&(before, grown)) = behind.checked_sub(1).and_then(|place| self.changes.get(place)) else {
            return 0;
        };
        let passed = at.since(before);
        grown
            + match self.changes.get(behind) {
                Some(&(next, then)) => passed.saturating_mul(then - grown) / next.since(before).max(1),
                None => passed.saturating_mul(self.grows_by) / MILLION,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000)
    }

    #[test]
    fn time_counts_by_what_was_lost_in_it() {
        let mut doubt = Doubt::default();
        assert_eq!(doubt.between(at(0), at(1_000)), 0);
        // Ten, thirty and ten missed ones prove what three prove without loss.
        for (second, per_mille) in [(100, 100), (200, 500), (300, 100), (400, 0)] {
            doubt.changes(at(second), per_mille, 3);
        }
        for (from, to, in_doubt) in [
            (0, 100, 0),
            (100, 200, 70_000),
            (150, 200, 35_000),
            (200, 300, 90_000),
            (250, 310, 45_000 + 7_000),
            (0, 9_000, 70_000 + 90_000 + 70_000),
            (400, 9_000, 0),
            (300, 200, 0),
        ] {
            assert_eq!(doubt.between(at(from), at(to)), in_doubt, "{from} to {to}");
        }
    }

    #[test]
    fn where_the_policy_waits_longer_than_chance_needs_nothing_is_in_doubt() {
        let mut doubt = Doubt::default();
        doubt.changes(at(0), 100, 10);
        assert_eq!(doubt.between(at(0), at(100)), 0);
        assert!(doubt.loses_since(at(50)), "but a will is");
    }

    #[test]
    fn what_was_sent_before_the_last_loss_ended_may_be_lost() {
        let mut doubt = Doubt::default();
        assert!(!doubt.loses_since(at(0)));
        doubt.changes(at(10), 20, 3);
        assert!(doubt.loses_since(at(5)) && doubt.loses_since(at(15)));
        doubt.changes(at(20), 0, 3);
        assert!(doubt.loses_since(at(5)) && doubt.loses_since(at(20)) && !doubt.loses_since(at(21)));
        doubt.begin(at(30));
        assert!(!doubt.loses_since(at(5)));
    }

    #[test]
    fn however_often_it_changes_little_is_remembered_and_the_sum_is_right() {
        let mut doubt = Doubt::default();
        (0..1_000).for_each(|second| doubt.changes(at(second), if second % 2 == 0 { 100 } else { 500 }, 3));
        assert_eq!(doubt.changes.len(), REMEMBERED);
        assert_eq!(doubt.between(at(0), at(1_000)), 800_000);
        assert_eq!(doubt.between(at(998), at(1_000)), 1_600);
        let half = doubt.between(at(0), at(500));
        assert!((399_800..=400_200).contains(&half), "as far as that is known: {half}");
    }

    #[test]
    fn what_begins_anew_keeps_what_is_lost_now_and_a_clock_that_went_back_takes_nothing_away() {
        let mut doubt = Doubt::default();
        doubt.changes(at(100), 500, 3);
        doubt.begin(at(50));
        assert_eq!(doubt.between(at(0), at(60)), 9_000);
        doubt.changes(at(40), 0, 3);
        assert_eq!(doubt.between(at(0), at(60)), 0, "it ended before that");
        doubt.changes(at(70), 1_000, 3);
        assert_eq!(doubt.between(at(70), at(170)), 99_985);
    }
}
