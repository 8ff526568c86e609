//! The only place in the server that reads a clock.
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kioskwatch_proto::Timestamp;

/// Wall time for records.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
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

/// Wall time that cannot be moved while the process runs: the wall clock at the start plus the steady clock,
/// brought back to the wall clock when the two differ by more than [`ServerClock::MAX_DRIFT_MS`] — and said so.
#[derive(Debug)]
pub struct ServerClock {
    started_wall: i64,
    started: Stopwatch,
}

/// The wall clock jumped against the steady one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockJump {
    /// Positive: the wall clock went forward.
    pub by_ms: i64,
}

impl ServerClock {
    /// Ordinary adjustment of the wall clock is followed below this without a word.
    pub const MAX_DRIFT_MS: i64 = 1_000;

    pub fn start() -> Self {
        Self { started_wall: now().ms(), started: Stopwatch::start() }
    }

    /// Now, and whether the wall clock was found to have jumped since the last call.
    pub fn now(&mut self) -> (Timestamp, Option<ClockJump>) {
        let steady =
            self.started_wall + i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX / 2);
        let wall = now().ms();
        let by_ms = wall - steady;
        if by_ms.abs() <= Self::MAX_DRIFT_MS {
            return (Timestamp(steady), None);
        }
        *self = Self { started_wall: wall, started: Stopwatch::start() };
        (Timestamp(wall), Some(ClockJump { by_ms }))
    }
}
