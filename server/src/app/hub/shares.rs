//! In how many parts, and when, the evidence of a fleet is written.
use kioskwatch_domain::fleet::Share;
use kioskwatch_proto::Timestamp;

/// Ticks of a round, until a fleet is so large that a part for each of them would take the database too long.
pub(super) const FLUSH_TICKS: u32 = 120;
/// Kiosks of one commit: a fault waits for one of them. At least, while there are more ticks than parts …
const KIOSKS_A_SHARE: usize = 250;
/// … and at most: beyond that the round becomes longer.
const MOST_A_SHARE: usize = 4_000;
/// A fleet that fits into one commit is written that often in a round: what a killed server had not written is
/// unknown, and the less the better.
const OFTENER_WHEN_SMALL: u32 = 3;

/// A round in so many times fewer parts than the fleet has need of is given up.
const OUTGROWN: u32 = 2;

/// The parts of a round, one after the other.
#[derive(Debug)]
pub(super) struct Shares {
    tick: u32,
    /// Of this round.
    ticks: u32,
    of: u32,
}

impl Default for Shares {
    fn default() -> Self {
        Self { tick: 0, ticks: FLUSH_TICKS, of: 1 }
    }
}

impl Shares {
    /// What is due at the next tick of a fleet of so many kiosks. One that has outgrown the round's parts begins
    /// another round: no commit is of all that came meanwhile.
    pub(super) fn due(&mut self, kiosks: usize) -> Option<Share> {
        let of = parts(kiosks);
        if self.tick == 0 || of > self.of.saturating_mul(OUTGROWN) {
            self.tick = 0;
            self.of = of;
            self.ticks = of.max(FLUSH_TICKS);
        }
        let tick = self.tick;
        self.tick = (tick + 1) % self.ticks;
        if self.of == 1 {
            let is_due = tick.is_multiple_of(FLUSH_TICKS / OFTENER_WHEN_SMALL);
            return is_due.then_some(Share::ALL);
        }
        let index_at = |tick: u32| u64::from(tick) * u64::from(self.of) / u64::from(self.ticks);
        let is_first = tick == 0 || index_at(tick) != index_at(tick - 1);
        let index = u32::try_from(index_at(tick)).unwrap_or(u32::MAX);
        is_first.then_some(Share { index, of: self.of })
    }
}

fn parts(kiosks: usize) -> u32 {
    let of = (1 + kiosks / KIOSKS_A_SHARE).min(FLUSH_TICKS as usize);
    u32::try_from(of.max(kiosks.div_ceil(MOST_A_SHARE))).unwrap_or(u32::MAX)
}

/// Up to when everything that was received is committed, as rounds show it.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// As it was at the first share of the round.
    heard_to: Option<Timestamp>,
}

impl Intake {
    /// A share is about to be written; everything received before `heard_to` was taken. `None`: something waits.
    pub(super) fn begins(&mut self, share: Share, heard_to: Option<Timestamp>) {
        if share.index == 0 {
            self.heard_to = heard_to;
        }
    }

    /// A share could not be written: of this round nothing is said.
    pub(super) fn failed(&mut self) {
        self.heard_to = None;
    }

    /// The turn with this share is committed.
    pub(super) fn committed(&self, share: Share) -> Option<Timestamp> {
        self.heard_to.filter(|_| share.index + 1 == share.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_share_comes_once_a_round_and_a_small_fleet_is_written_whole_and_oftener() {
        for kiosks in [0, 249] {
            let mut shares = Shares::default();
            let round: Vec<_> = (0..FLUSH_TICKS).filter_map(|_| shares.due(kiosks)).collect();
            assert_eq!(round, [Share::ALL; 3], "{kiosks} kiosks");
        }
        for (kiosks, of, ticks) in [
            (250, 2, 120),
            (1_000, 5, 120),
            (29_750, 120, 120),
            (480_000, 120, 120),
            (480_001, 121, 121),
            (1_000_000, 250, 250),
        ] {
            let mut shares = Shares::default();
            for _ in 0..2 {
                let round: Vec<_> = (0..ticks).filter_map(|_| shares.due(kiosks)).collect();
                let expected: Vec<_> = (0..of).map(|index| Share { index, of }).collect();
                assert_eq!(round, expected, "{kiosks} kiosks");
            }
        }
    }

    #[test]
    fn a_fleet_that_outgrows_its_round_is_never_written_whole() {
        let mut shares = Shares::default();
        assert_eq!(shares.due(0), Some(Share::ALL), "nobody is there");
        for kiosks in (1..=100).map(|n| n * 100) {
            if let Some(share) = shares.due(kiosks) {
                let at_once = kiosks.div_ceil(share.of as usize);
                assert!(at_once <= OUTGROWN as usize * KIOSKS_A_SHARE, "{kiosks} kiosks: {share:?}");
            }
        }
        let next: Vec<_> = (0..2 * FLUSH_TICKS).filter_map(|_| shares.due(10_000)).collect();
        let whole: Vec<_> = (0..41).map(|index| Share { index, of: 41 }).collect();
        assert!(next.windows(41).any(|round| round == whole), "{next:?}");
    }

    #[test]
    fn what_was_received_before_a_round_began_is_committed_with_its_last_share() {
        let share = |index, of| Share { index, of };
        let mut intake = Intake::default();
        assert_eq!(intake.committed(share(1, 2)), None, "its begin was not seen");
        intake.begins(share(0, 2), Some(Timestamp(10_000)));
        assert_eq!(intake.committed(share(0, 2)), None);
        intake.begins(share(1, 2), Some(Timestamp(20_000)));
        assert_eq!(intake.committed(share(1, 2)), Some(Timestamp(10_000)));
        intake.begins(Share::ALL, Some(Timestamp(30_000)));
        assert_eq!(intake.committed(Share::ALL), Some(Timestamp(30_000)));
        intake.begins(Share::ALL, None);
        assert_eq!(intake.committed(Share::ALL), None, "something waited in the queue");
    }
}
