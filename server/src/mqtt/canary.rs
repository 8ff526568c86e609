//! Whether a living connection still delivers: a broker may forget a subscription and say nothing.
//!
//! When nothing was delivered for a while we publish a message of our own that our own subscription must bring
//! back. Kiosks that speak are proof enough, so a busy connection carries none of it but the first. A broker that
//! does not let us publish there drops it without a word: only when one of ours has come back on this connection
//! does its absence accuse the subscription. Pure: `now` is an argument.
use std::time::Duration;

use tokio::time::Instant;

/// A canary is sent when nothing was delivered for this long.
const EVERY: Duration = Duration::from_secs(5);
/// Nothing delivered for this long, not even the canaries: the subscription is gone, which is noticed up to
/// [`EVERY`] later. A kiosk's patience, three intervals by default, began up to one interval before: with
/// intervals of more than 10 s nobody is called offline for it.
const DEAF_AFTER: Duration = Duration::from_secs(15);

/// What to do when [`Canary::due`] has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Send,
    /// Nothing was delivered for too long.
    Deaf,
    /// None of ours has ever come back on this connection: one more is sent, and nobody is accused.
    Unanswered,
    Wait,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Canary {
    /// When we began to wait for the first one of ours.
    begun_at: Instant,
    heard_at: Instant,
    due_at: Instant,
    /// One of ours has come back: the broker lets us publish.
    comes_back: bool,
}

impl Canary {
    /// Of a connection whose subscription was just granted; the first one is due at once.
    pub(super) fn new(now: Instant) -> Self {
        Self { begun_at: now, heard_at: now, due_at: now, comes_back: false }
    }

    pub(super) fn due(&self) -> Instant {
        self.due_at
    }

    /// Something was delivered, and taken.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard_at = now;
    }

    /// One of ours was delivered.
    pub(super) fn came_back(&mut self, now: Instant) {
        self.comes_back = true;
        self.heard(now);
    }

    /// Whether silence will be taken for deafness.
    pub(super) fn comes_back(&self) -> bool {
        self.comes_back
    }

    pub(super) fn tick(&mut self, now: Instant) -> Act {
        let late = now.saturating_duration_since(self.due_at);
        self.due_at = now + EVERY;
        // It was we who slept: what was delivered meanwhile is still to be read.
        if late > EVERY {
            (self.begun_at, self.heard_at) = (now, now);
            return Act::Wait;
        }
        if !self.comes_back {
            let waited = now.saturating_duration_since(self.begun_at);
            return if waited >= DEAF_AFTER { Act::Unanswered } else { Act::Send };
        }
        let silence = now.saturating_duration_since(self.heard_at);
        match silence {
            _ if silence >= DEAF_AFTER => Act::Deaf,
            _ if silence >= EVERY / 2 => Act::Send,
            _ => Act::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a connection on which the first one came back.
    fn proven(start: Instant) -> Canary {
        let mut canary = Canary::new(start);
        assert_eq!((canary.due(), canary.tick(start)), (start, Act::Send));
        canary.came_back(start);
        canary
    }

    #[test]
    fn a_busy_connection_needs_no_canary_and_a_deaf_one_is_found() {
        let start = Instant::now();
        let mut canary = proven(start);
        canary.heard(start + EVERY - Duration::from_millis(1));
        assert_eq!(canary.tick(start + EVERY), Act::Wait);
        let mut acts = Vec::new();
        for n in 2..6 {
            acts.push(canary.tick(start + EVERY * n));
        }
        assert_eq!(acts, [Act::Send, Act::Send, Act::Deaf, Act::Deaf]);
    }

    #[test]
    fn a_canary_that_comes_back_keeps_the_connection() {
        let start = Instant::now();
        let mut canary = proven(start);
        for n in 1..100 {
            assert_eq!(canary.tick(start + EVERY * n), Act::Send);
            canary.came_back(start + EVERY * n + Duration::from_millis(5));
        }
    }

    #[test]
    fn a_broker_that_never_brought_one_back_is_not_accused() {
        let start = Instant::now();
        let mut canary = Canary::new(start);
        for n in 0..3 {
            assert_eq!(canary.tick(start + EVERY * n), Act::Send, "{n}");
        }
        for n in 3..100 {
            // What others say proves the subscription, and nothing of our right to publish.
            canary.heard(start + EVERY * 50);
            assert_eq!(canary.tick(start + EVERY * n), Act::Unanswered, "{n}");
        }
        canary.came_back(start + EVERY * 100);
        let acts = [101, 102, 103].map(|n| canary.tick(start + EVERY * n));
        assert_eq!(acts, [Act::Send, Act::Send, Act::Deaf], "the right was given meanwhile");
    }

    #[test]
    fn a_process_that_slept_accuses_nobody() {
        let start = Instant::now();
        let mut canary = proven(start);
        assert_eq!(canary.tick(start + EVERY * 20), Act::Wait);
        assert_eq!(canary.tick(start + EVERY * 21), Act::Send);
    }
}
