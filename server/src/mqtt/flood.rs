//! What one kiosk may send on one connection: a token bucket of messages and one of bytes for each sender.
//!
//! Stands in front of the receive queue, so that what is too much costs neither memory nor decisions. No journal
//! record that is dropped here is lost: the broker's acknowledgement means nothing to a journal, and the agent
//! sends again what the server has not acknowledged itself. Heartbeats are followed by others. Presence and
//! inventory are said once and have a reserve of their own; progress and artifacts are said once and have none.
use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

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
}

impl Sender {
    fn is_full(&self, now: Instant) -> bool {
        self.messages_full_at.max(self.bytes_full_at).max(self.reserve_full_at) <= now
    }
}

impl Senders {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self { allowance, senders: HashMap::new(), forget_from: FORGET_FROM }
    }

    /// Whether a message of so many bytes is taken; `standing`: it may take from the reserve.
    pub(super) fn take(&mut self, sender: &str, bytes: usize, standing: bool, now: Instant) -> bool {
        if !self.senders.contains_key(sender) {
            self.forget(now);
            let new = Sender { messages_full_at: now, bytes_full_at: now, reserve_full_at: now };
            self.senders.insert(sender.to_owned(), new);
        }
        let Some(known) = self.senders.get_mut(sender) else { return true };
        let messages = self.allowance.messages.take(known.messages_full_at, now, 1);
        let bytes = self.allowance.bytes.take(known.bytes_full_at, now, bytes);
        if let (Some(messages), Some(bytes)) = (messages, bytes) {
            (known.messages_full_at, known.bytes_full_at) = (messages, bytes);
            return true;
        }
        if standing && let Some(reserve) = RESERVE.take(known.reserve_full_at, now, 1) {
            known.reserve_full_at = reserve;
            return true;
        }
        false
    }

    /// A full bucket is as good as none.
    fn forget(&mut self, now: Instant) {
        if self.senders.len() < self.forget_from {
            return;
        }
        self.senders.retain(|_, sender| !sender.is_full(now));
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
        (0..1_000).take_while(|_| senders.take(sender, bytes, false, now)).count()
    }

    #[test]
    fn a_burst_is_taken_then_the_rate_and_neighbours_do_not_notice() {
        let (mut senders, start) = (Senders::new(ALLOWANCE), Instant::now());
        assert_eq!(taken(&mut senders, "flood", 10, start), 20);
        assert_eq!(taken(&mut senders, "flood", 10, start + Duration::from_secs(1)), 10);
        assert!(senders.take("calm", 10, false, start + Duration::from_secs(1)));
        let later = start + Duration::from_secs(60);
        assert_eq!(taken(&mut senders, "flood", 10, later), 20, "no more than fits into the bucket");
    }

    #[test]
    fn bytes_count_as_well_and_a_refused_message_takes_nothing() {
        let (mut senders, start) = (Senders::new(ALLOWANCE), Instant::now());
        assert_eq!(taken(&mut senders, "large", 2_000, start), 2);
        assert!(!senders.take("large", 6_000, false, start));
        assert_eq!(taken(&mut senders, "large", 100, start), 10, "the last kilobyte is still there");
    }

    #[test]
    fn a_flood_does_not_drop_the_kiosks_own_presence() {
        let (mut senders, start) = (Senders::new(ALLOWANCE), Instant::now());
        taken(&mut senders, "flood", 10, start);
        let standing = |senders: &mut Senders, now| {
            (0..1_000).take_while(|_| senders.take("flood", 2_000, true, now)).count()
        };
        assert_eq!(standing(&mut senders, start), RESERVE.burst as usize, "a flood of presence ends too");
        assert!(!senders.take("flood", 10, false, start), "for nothing else");
        let mut now = start;
        for _ in 0..10 {
            now += Duration::from_secs(1);
            taken(&mut senders, "flood", 10, now);
            assert!(senders.take("flood", 2_000, true, now));
        }
    }

    #[test]
    fn only_those_who_owe_are_remembered() {
        let (mut senders, start) = (Senders::new(ALLOWANCE), Instant::now());
        senders.take("flood", 1, false, start);
        taken(&mut senders, "flood", 1, start);
        for n in 0..3 * FORGET_FROM {
            let now = start + Duration::from_secs(1 + n as u64);
            senders.take(&n.to_string(), 1, false, now);
            assert!(senders.senders.len() <= FORGET_FROM + 1, "{n}");
        }
        let flood: Vec<String> = (0..2 * MAX_SENDERS).map(|n| n.to_string()).collect();
        for sender in &flood {
            senders.take(sender, 1, false, start);
        }
        assert!(senders.senders.len() <= MAX_SENDERS);
    }
}
