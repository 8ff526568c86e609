//! When this server was able to hear, and how much of that may be written.
//!
//! What nobody heard while we were able to hear counts against a kiosk. So a stretch is written only as far as
//! all evidence heard in it is written too: a server that is killed takes its unwritten evidence along, and with
//! it the claim to have listened.
use kioskwatch_proto::Timestamp;

use super::input::Share;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Hearing {
    /// The stretch that grows: since when, and up to where it is written.
    open: Option<(Timestamp, Timestamp)>,
    /// Stretches that ended since evidence was last written as a whole: from, to.
    ended: Vec<(Timestamp, Timestamp)>,
    round: Option<Round>,
}

/// Evidence is written share by share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Round {
    /// As it was at the first share.
    heard_to: Timestamp,
    /// The share that is due next.
    next: u32,
    of: u32,
}

impl Hearing {
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.end(now);
        self.open = Some((now, now));
    }

    /// We heard until `at`, and do not any more.
    pub(super) fn end(&mut self, at: Timestamp) {
        if let Some((from, written)) = self.open.take()
            && at > written
        {
            self.ended.push((from, at));
        }
    }

    /// Nothing was heard later than now, whatever our clock showed then.
    pub(super) fn clock_jumped(&mut self, now: Timestamp) {
        self.round = None;
        for (_, to) in &mut self.ended {
            *to = now.min(*to);
        }
        self.ended.retain(|(from, to)| from < to);
    }

    /// The evidence of a share is being written, with everything in it that was received before `heard_to`: the
    /// stretches that may be written with it.
    pub(super) fn share_written(&mut self, share: Share, heard_to: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        let Share { index, of } = share;
        self.round = match self.round {
            _ if index == 0 => Some(Round { heard_to, next: 1, of }),
            Some(round) if (round.next, round.of) == (index, of) => Some(Round { next: index + 1, ..round }),
            // A share could not be written: the next round counts.
            _ => None,
        };
        match self.round {
            Some(round) if round.next == of => self.all_written_until(round.heard_to),
            _ => Vec::new(),
        }
    }

    fn all_written_until(&mut self, until: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        let mut rows: Vec<_> = self.ended.iter().map(|&(from, to)| (from, to.min(until))).collect();
        self.ended.retain(|&(_, to)| to > until);
        if let Some((from, written)) = &mut self.open
            && *written < until
        {
            *written = until;
            rows.push((*from, until));
        }
        rows.retain(|(from, to)| from < to);
        rows
    }

    /// All stretches of which a part is not written yet, up to now.
    pub(super) fn unwritten(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let open = self.open.map(|(from, _)| (from, now));
        self.ended.iter().copied().chain(open).filter(|(from, to)| from < to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000)
    }

    fn written(hearing: &mut Hearing, index: u32, of: u32, now: i64) -> Vec<(i64, i64)> {
        let rows = hearing.share_written(Share { index, of }, at(now));
        rows.into_iter().map(|(from, to)| (from.secs(), to.secs())).collect()
    }

    #[test]
    fn a_small_fleet_is_written_whole_and_our_hearing_with_it() {
        let mut hearing = Hearing::default();
        hearing.begin(at(5));
        assert_eq!(written(&mut hearing, 0, 1, 5), []);
        assert_eq!(written(&mut hearing, 0, 1, 15), [(5, 15)]);
        assert_eq!(written(&mut hearing, 0, 1, 25), [(5, 25)]);
    }

    #[test]
    fn a_round_of_shares_proves_hearing_up_to_its_beginning() {
        let mut hearing = Hearing::default();
        hearing.begin(at(0));
        assert_eq!(written(&mut hearing, 0, 3, 10), []);
        assert_eq!(written(&mut hearing, 1, 3, 20), []);
        assert_eq!(written(&mut hearing, 2, 3, 30), [(0, 10)]);
        assert_eq!(written(&mut hearing, 0, 3, 40), []);
    }

    #[test]
    fn what_waits_to_be_taken_was_not_heard_yet() {
        let mut hearing = Hearing::default();
        hearing.begin(at(0));
        let unknown = hearing.share_written(Share::ALL, Timestamp(i64::MIN));
        assert_eq!(unknown, []);
        assert_eq!(written(&mut hearing, 0, 1, 20), [(0, 20)]);
        assert_eq!(written(&mut hearing, 0, 1, 15), [], "and is never taken back");
    }

    #[test]
    fn a_round_that_missed_a_share_or_changed_its_parts_proves_nothing() {
        for (index, of) in [(2, 3), (1, 4), (0, 4)] {
            let mut hearing = Hearing::default();
            hearing.begin(at(0));
            assert_eq!(written(&mut hearing, 0, 3, 10), []);
            assert_eq!(written(&mut hearing, index, of, 20), [], "{index} of {of}");
            assert_eq!(written(&mut hearing, 2, 3, 30), [], "{index} of {of}");
        }
    }

    #[test]
    fn a_stretch_that_ended_waits_for_the_evidence_heard_in_it() {
        let mut hearing = Hearing::default();
        hearing.begin(at(0));
        assert_eq!(written(&mut hearing, 0, 2, 10), []);
        hearing.end(at(12));
        hearing.begin(at(17));
        assert_eq!(written(&mut hearing, 1, 2, 20), [(0, 10)]);
        let unwritten: Vec<_> = hearing.unwritten(at(21)).map(|(a, b)| (a.secs(), b.secs())).collect();
        assert_eq!(unwritten, [(0, 12), (17, 21)]);
        assert_eq!(written(&mut hearing, 0, 2, 30), []);
        assert_eq!(written(&mut hearing, 1, 2, 40), [(0, 12), (17, 30)]);
    }

    #[test]
    fn after_a_clock_went_back_nothing_was_heard_in_what_is_now_the_future() {
        let mut hearing = Hearing::default();
        hearing.begin(at(100));
        assert_eq!(written(&mut hearing, 0, 2, 110), []);
        hearing.end(at(150));
        hearing.clock_jumped(at(120));
        hearing.begin(at(120));
        assert_eq!(written(&mut hearing, 1, 2, 121), [], "the round began on the old clock");
        assert_eq!(written(&mut hearing, 0, 1, 130), [(100, 120), (120, 130)]);
    }
}
