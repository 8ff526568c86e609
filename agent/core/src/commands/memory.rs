//! Since when the journal knows every command by its id. A new one, or one that lost ids, knows none from before.
//!
//! A command without an answer is signed again, at a later time and with a higher counter: what tells whether it may
//! have run already is when it was asked for first.
use kioskwatch_proto::{Timestamp, command::Command, limits::MAX_DISRUPTIVE_WINDOW_MS};

use crate::{drivers::Mono, input::Now, server_time::ServerTime};

#[derive(Debug)]
pub(super) struct Memory {
    /// By the server's clock; `None` until the server and our own clock have agreed on the time.
    since: Option<Timestamp>,
    /// When this run began, which every journal remembers.
    started: Mono,
}

impl Memory {
    pub(super) const fn new(since: Option<Timestamp>, started: Mono) -> Self {
        Self { since, started }
    }

    /// Whether a command may have been here before, with its id lost.
    pub(super) fn may_have_lost(&self, command: &Command, time: &ServerTime, now: Now) -> bool {
        let since = self.since.or_else(|| time.is_told().then(|| self.this_run(time.at(now), time, now)));
        since.is_none_or(|since| command.asked_at() < since)
    }

    /// The server said what time it is: what is to be kept from now on, if that is news.
    ///
    /// One that lies further ahead than any command lives was told by a server whose clock was wrong: else nothing
    /// would run here until that time comes.
    pub(super) fn told(&mut self, time: &ServerTime, now: Now) -> Option<Timestamp> {
        let this_run = self.this_run(time.agreed(now)?, time, now);
        if self.since.is_some_and(|since| since.since(this_run) <= MAX_DISRUPTIVE_WINDOW_MS) {
            return None;
        }
        self.since = Some(this_run);
        self.since
    }

    /// When this run began, where it is this late: rather some seconds later than earlier.
    fn this_run(&self, at: Timestamp, time: &ServerTime, now: Now) -> Timestamp {
        let passed = i64::try_from(now.mono.saturating_sub(self.started)).unwrap_or(i64::MAX);
        at.plus_ms(time.slack_ms().saturating_sub(passed))
    }
}
