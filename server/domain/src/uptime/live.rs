//! Heartbeats as evidence ("uptime definition 2.6"): those that say the same are one stretch.

use kioskwatch_proto::{KioskId, Timestamp};

use super::{causes::Cause, evidence::Evidence};
use crate::change::{EvidenceRow, EvidenceState, RunningSpan};

/// A heartbeat's state holds to the next one within this many of its intervals, else for one.
pub(super) const HOLD_INTERVALS: i64 = 3;

/// A stretch of heartbeats that say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveSpan {
    pub from: Timestamp,
    /// The last heartbeat.
    pub last: Timestamp,
    /// What it announced: how long it speaks for when nothing follows.
    pub interval_s: u32,
    pub state: EvidenceState,
    pub cause: Option<Cause>,
}

impl LiveSpan {
    /// One heartbeat. What works has no cause.
    #[must_use]
    pub fn beat(at: Timestamp, interval_s: u32, state: EvidenceState, cause: Option<Cause>) -> Self {
        let cause = cause.filter(|_| state != EvidenceState::Full);
        Self { from: at, last: at, interval_s, state, cause }
    }

    /// Until when it holds if nothing more is heard.
    #[must_use]
    pub fn holds_until(&self) -> Timestamp {
        self.last.plus_ms(i64::from(self.interval_s) * 1_000)
    }

    /// The longest pause to the next heartbeat over which its state still holds.
    #[must_use]
    pub fn timeout_ms(&self) -> i64 {
        i64::from(self.interval_s) * 1_000 * HOLD_INTERVALS
    }

    /// The next heartbeat: until when this stretch held, unless it goes on, and the one that runs now.
    #[must_use]
    pub fn followed_by(&self, next: Self, timeout_ms: i64) -> (Option<Timestamp>, Self) {
        let together = next.last.since(self.last) <= timeout_ms;
        if together && (self.state, self.cause) == (next.state, next.cause) {
            return (None, Self { from: self.from, ..next });
        }
        (Some(if together { next.from } else { self.holds_until() }), next)
    }

    /// What is stored of it while it runs.
    #[must_use]
    pub fn running(&self, to: Timestamp) -> RunningSpan {
        RunningSpan {
            from: self.from,
            to,
            state: self.state,
            cause: self.cause.map(|cause| cause.as_str().to_owned()),
            interval_s: self.interval_s,
        }
    }

    /// What is stored of it when it has ended.
    #[must_use]
    pub fn row(&self, kiosk: &KioskId, to: Timestamp) -> EvidenceRow {
        self.running(to).evidence(kiosk.clone())
    }
}

/// What single heartbeats come to, in any order and with repetitions; two of one instant count as the worse of
/// the two. `timeout_ms`: another one than the usual.
#[must_use]
pub fn evidence_of(kiosk: &KioskId, beats: &[LiveSpan], timeout_ms: Option<i64>) -> Vec<Evidence> {
    let mut beats = beats.to_vec();
    beats.sort_unstable_by_key(|beat| (beat.last, beat.state));
    beats.dedup_by_key(|beat| beat.last);
    let mut beats = beats.into_iter();
    let Some(mut open) = beats.next() else { return Vec::new() };
    let mut rows = Vec::new();
    for beat in beats {
        let (ended, next) = open.followed_by(beat, timeout_ms.unwrap_or(open.timeout_ms()));
        rows.extend(ended.map(|at| open.row(kiosk, at)));
        open = next;
    }
    rows.push(open.row(kiosk, open.holds_until()));
    rows.iter().map(Evidence::from).collect()
}
