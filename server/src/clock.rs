//! The only place in the server that reads a clock.
use std::{
    sync::Mutex,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use kioskwatch_proto::Timestamp;

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A point of the clock that never jumps, for measuring how long something took.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the steady clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// The server's wall time: it starts at the machine's wall clock and goes on by the steady one, so that an
/// adjusted clock moves no deadline. A jump is followed only through [`Clock::follow_jump`], which says so.
#[derive(Debug)]
pub struct Clock {
    base: Mutex<Base>,
    /// How far a clock of tests is ahead of the machine's.
    ahead_ms: i64,
}

#[derive(Debug, Clone, Copy)]
struct Base {
    wall_ms: i64,
    since: Stopwatch,
}

impl Base {
    fn now(ahead_ms: i64) -> Self {
        Self { wall_ms: wall_ms() + ahead_ms, since: Stopwatch::start() }
    }

    fn read(self) -> i64 {
        self.wall_ms.saturating_add(i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}

/// The machine's wall clock went another way than time itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockJump {
    /// Positive: it went forward.
    pub by_ms: i64,
}

impl Clock {
    /// A difference below this is ordinary adjustment and is left alone.
    pub const TOLERATED_MS: i64 = 1_000;

    pub fn start() -> Self {
        Self { base: Mutex::new(Base::now(0)), ahead_ms: 0 }
    }

    /// As if this were the machine's wall clock now: a test asks the same of the same hour on every day.
    #[cfg(test)]
    pub(crate) fn at(now: Timestamp) -> Self {
        let ahead_ms = now.ms() - wall_ms();
        Self { base: Mutex::new(Base::now(ahead_ms)), ahead_ms }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp(self.base().read())
    }

    /// If the machine's wall clock and ours have come apart, takes over the machine's and says by how much.
    pub fn follow_jump(&self) -> Option<ClockJump> {
        let mut base = self.base.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let machine = Base::now(self.ahead_ms);
        let by_ms = machine.wall_ms - base.read();
        if by_ms.abs() <= Self::TOLERATED_MS {
            return None;
        }
        *base = machine;
        Some(ClockJump { by_ms })
    }

    /// As if the machine's wall clock had been set forward by this, and nobody had looked since.
    #[cfg(test)]
    pub(crate) fn fall_behind(&self, by_ms: i64) {
        self.base.lock().unwrap().wall_ms -= by_ms;
    }

    fn base(&self) -> Base {
        *self.base.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
