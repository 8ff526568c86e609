//! Whether a living connection still delivers: a broker may forget a subscription and say nothing.
//!
//! When nothing was delivered for a while we publish a message of our own that our own subscription must bring
//! back. Kiosks that speak are proof enough, so a busy connection carries none of it. Pure: `now` is an argument.
use std::time::Duration;

use tokio::time::Instant;

/// A canary is sent when nothing was delivered for this long.
const EVERY: Duration = Duration::from_secs(5);
/// Nothing delivered for this long, not even the canaries: the subscription is gone. Shorter than the patience
/// with a kiosk that sends every 30 s (90 s), so nobody is called offline for it.
const DEAF_AFTER: Duration = Duration::from_secs(15);

/// What to do when [`Canary::due`] has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Send,
    /// Nothing was delivered since this long ago.
    Deaf(Duration),
    Wait,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Canary {
    heard_at: Instant,
    due_at: Instant,
}

impl Canary {
    /// Of a connection whose subscription was just granted.
    pub(super) fn new(now: Instant) -> Self {
        Self { heard_at: now, due_at: now + EVERY }
    }

    pub(super) fn due(&self) -> Instant {
        self.due_at
    }

    /// Something was delivered, and taken.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard_at = now;
    }

    pub(super) fn tick(&mut self, now: Instant) -> Act {
        let late = now.saturating_duration_since(self.due_at);
        self.due_at = now + EVERY;
        // It was we who slept: what was delivered meanwhile is still to be read.
        if late > EVERY {
            self.heard_at = now;
            return Act::Wait;
        }
        let silence = now.saturating_duration_since(self.heard_at);
        match silence {
            _ if silence >= DEAF_AFTER => Act::Deaf(silence),
            _ if silence >= EVERY / 2 => Act::Send,
            _ => Act::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_connection_needs_no_canary_and_a_deaf_one_is_found() {
        let start = Instant::now();
        let mut canary = Canary::new(start);
        canary.heard(start + EVERY - Duration::from_millis(1));
        assert_eq!(canary.tick(start + EVERY), Act::Wait);
        let mut acts = Vec::new();
        for n in 2..6 {
            acts.push(canary.tick(start + EVERY * n));
        }
        let silence = EVERY * 3 + Duration::from_millis(1);
        assert_eq!(acts, [Act::Send, Act::Send, Act::Deaf(silence), Act::Deaf(silence + EVERY)]);
    }

    #[test]
    fn a_canary_that_comes_back_keeps_the_connection() {
        let start = Instant::now();
        let mut canary = Canary::new(start);
        for n in 1..100 {
            assert_eq!(canary.tick(start + EVERY * n), Act::Send);
            canary.heard(start + EVERY * n + Duration::from_millis(5));
        }
    }

    #[test]
    fn a_process_that_slept_accuses_nobody() {
        let start = Instant::now();
        let mut canary = Canary::new(start);
        assert_eq!(canary.tick(start + EVERY * 20), Act::Wait);
        assert_eq!(canary.tick(start + EVERY * 21), Act::Send);
    }
}
