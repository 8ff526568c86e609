//! What one kiosk may send on one connection: a token bucket of messages and one of bytes for each sender.
//!
//! Stands in front of the receive queue, so that what is too much costs neither memory nor decisions. No journal
//! record that is dropped here is lost: the broker's acknowledgement means nothing to a journal, and the agent
//! sends again what the server has not acknowledged itself. Heartbeats are followed by others. Presence and
//! inventory are said once and have a reserve of their own; progress and artifacts are said once and have none.
use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

/// A sender is told about again when it has kept to its allowance for this long in between.
const QUIET: Duration = Duration::from_secs(600);
/// Senders are looked through for ones that can be forgotten when there are this many, or twice as many as
/// could not be forgotten the last time.
const FORGET_FROM: usize = 4_096;
/// Senders remembered at most: a sender beyond them is taken as one that never sent. Behind a broker that knows
/// who publishes there are as many as kiosks.
const MAX_SENDERS: usize = 200_000;

/// Of presence and inventory, beyond the allowance: a birth, a will and an inventory for each of some reconnects.
/// Their size is bounded by the largest packet.
const RESERVE: Bucket = Bucket { per_second: 1, burst: 15 };

/// See the module. A bucket is full at first, and what is in it is taken at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    pub messages: Bucket,
    pub bytes: Bucket,
}

/// How much fits into a bucket, and how fast it fills up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    pub per_second: u32,
    pub burst: u32,
}

impl Bucket {
    /// How long so much takes to flow in.
    fn time_for(self, amount: usize) -> Duration {
        let amount = u64::try_from(amount).unwrap_or(u64::MAX);
        Duration::from_nanos(amount.saturating_mul(1_000_000_000) / u64::from(self.per_second.max(1)))
    }

    /// Takes `amount` out of a bucket that will be full at `full_at`; gives when it then will be.
    fn take(self, full_at: Instant, now: Instant, amount: usize) -> Option<Instant> {
        let then = full_at.max(now) + self.time_for(amount);
        (then.duration_since(now) <= self.time_for(self.burst as usize)).then_some(then)
    }
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Take,
    Drop,
    /// The first one too many: somebody should hear of it.
    DropAndTell,
}

/// The buckets of everybody who sent lately.
#[derive(Debug)]
pub(super) struct Senders {
    allowance: Allowance,
    senders: HashMap<String, Sender>,
    forget_from: usize,
}

#[derive(Debug, Clone, Copy)]
struct Sender {
    messages_full_at: Instant,
    bytes_full_at: Instant,
    reserve_full_at: Instant,
    /// The last message that was one too many.
    refused_at: Option<Instant>,
}

impl Sender {
    fn can_be_forgotten(&self, now: Instant) -> bool {
        let full_at = self.messages_full_at.max(self.bytes_full_at).max(self.reserve_full_at);
        full_at <= now && !self.is_told_about(now)
    }

    fn is_told_about(&self, now: Instant) -> bool {
        self.refused_at.is_some_and(|at| now.duration_since(at) < QUIET)
    }
}

impl Senders {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self { allowance, senders: HashMap::new(), forget_from: FORGET_FROM }
    }

    /// Judges a message of so many bytes; `standing`: it may take from the reserve.
    pub(super) fn judge(&mut self, sender: &str, bytes: usize, standing: bool, now: Instant) -> Verdict {
        if !self.senders.contains_key(sender) {
            self.forget(now);
            let new =
                Sender { messages_full_at: now, bytes_full_at: now, reserve_full_at: now, refused_at: None };
            self.senders.insert(sender.to_owned(), new);
        }
        let Some(known) = self.senders.get_mut(sender) else { return Verdict::Take };
        let messages = self.allowance.messages.take(known.messages_full_at, now, 1);
        let bytes = self.allowance.bytes.take(known.bytes_full_at, now, bytes);
        if let (Some(messages), Some(bytes)) = (messages, bytes) {
            (known.messages_full_at, known.bytes_full_at) = (messages, bytes);
            return Verdict::Take;
        }
        if standing && let Some(reserve) = RESERVE.take(known.reserve_full_at, now, 1) {
            known.reserve_full_at = reserve;
            return Verdict::Take;
        }
        let told = known.is_told_about(now);
        known.refused_at = Some(now);
        if told { Verdict::Drop } else { Verdict::DropAndTell }
    }

    /// Nobody could be told: the next one that is too much is told.
    pub(super) fn untold(&mut self, sender: &str) {
        if let Some(known) = self.senders.get_mut(sender) {
            known.refused_at = None;
        }
    }

    /// A full bucket is as good as none.
    fn forget(&mut self, now: Instant) {
        if self.senders.len() < self.forget_from {
            return;
        }
        self.senders.retain(|_, sender| !sender.can_be_forgotten(now));
        if self.senders.len() >= MAX_SENDERS {
            self.senders.clear();
        }
        self.forget_from = (self.senders.len() * 2).clamp(FORGET_FROM, MAX_SENDERS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWANCE: Allowance = Allowance {
        messages: Bucket { per_second: 10, burst: 20 },
        bytes: Bucket { per_second: 1_000, burst: 5_000 },
    };

    fn taken(senders: &mut Senders, sender: &str, bytes: usize, now: Instant) -> usize {
        (0..1_000).take_while(|_| senders.judge(sender, bytes, false, now) == Verdict::Take).count()
    }

    #[test]
    fn a_burst_is_taken_then_the_rate_and_neighbours_do_not_notice() {
        let (mut senders, start) = (Senders::new(ALLOWANCE), Instant::now());
        assert_eq!(taken(&mut senders, "flood", 10, start), 20);
        assert_eq!(taken(&mut senders, "flood", 10, start + Duration::from_secs(1)), 10);
        assert_eq!(senders.judge("calm", 10, false, start + Duration::from_secs(1)), Verdict::Take);
        let later = start + Duration::from_secs(60);
        assert_eq!(taken(&mut senders, "flood", 10, later), 20, "no more than fits into the bucket");
    }

    #[test]
    fn bytes_count_as_well_and_a_refused_message_takes_nothing() {
        let (mut senders, start) = (Senders::new(ALLOWANCE), Instant::now());
        assert_eq!(taken(&mut senders, "large", 2_000, start), 2);
        assert_eq!(senders.judge("large", 6_000, false, start), Verdict::Drop);
        assert_eq!(taken(&mut senders, "large", 100, start), 10, "the last kilobyte is still there");
    }

    #[test]
    fn a_flood_is_told_once_until_it_was_quiet_for_a_while() {
        let (mut senders, start) = (Senders::new(ALLOWANCE), Instant::now());
        let tell_at = |senders: &mut Senders, now| {
            (0..1_000).filter(|_| senders.judge("flood", 1, false, now) == Verdict::DropAndTell).count()
        };
        assert_eq!(tell_at(&mut senders, start), 1);
        assert_eq!(tell_at(&mut senders, start + QUIET / 2), 0);
        assert_eq!(tell_at(&mut senders, start + QUIET), 0, "it never was quiet for long");
        assert_eq!(tell_at(&mut senders, start + QUIET * 2), 1);
    }

    #[test]
    fn a_flood_that_could_not_be_told_is_told_by_its_next_message() {
        let (mut senders, start) = (Senders::new(ALLOWANCE), Instant::now());
        taken(&mut senders, "flood", 10, start);
        assert_eq!(senders.judge("flood", 10, false, start), Verdict::Drop);
        senders.untold("flood");
        assert_eq!(senders.judge("flood", 10, false, start), Verdict::DropAndTell);
        assert_eq!(senders.judge("flood", 10, false, start), Verdict::Drop);
    }

    #[test]
    fn a_flood_does_not_drop_the_kiosks_own_presence() {
        let (mut senders, start) = (Senders::new(ALLOWANCE), Instant::now());
        taken(&mut senders, "flood", 10, start);
        let standing = |senders: &mut Senders, now| {
            (0..1_000).take_while(|_| senders.judge("flood", 2_000, true, now) == Verdict::Take).count()
        };
        assert_eq!(standing(&mut senders, start), RESERVE.burst as usize, "a flood of presence ends too");
        assert_eq!(senders.judge("flood", 10, false, start), Verdict::Drop, "for nothing else");
        let mut now = start;
        for _ in 0..10 {
            now += Duration::from_secs(1);
            taken(&mut senders, "flood", 10, now);
            assert_eq!(senders.judge("flood", 2_000, true, now), Verdict::Take);
        }
    }

    #[test]
    fn only_those_who_owe_are_remembered() {
        let (mut senders, start) = (Senders::new(ALLOWANCE), Instant::now());
        senders.judge("flood", 1, false, start);
        taken(&mut senders, "flood", 1, start);
        for n in 0..3 * FORGET_FROM {
            let now = start + Duration::from_secs(1 + n as u64);
            senders.judge(&n.to_string(), 1, false, now);
            assert!(senders.senders.len() <= FORGET_FROM + 1, "{n}");
        }
        let flood: Vec<String> = (0..2 * MAX_SENDERS).map(|n| n.to_string()).collect();
        for sender in &flood {
            senders.judge(sender, 1, false, start);
        }
        assert!(senders.senders.len() <= MAX_SENDERS);
    }
}
