//! Heartbeats as evidence ("uptime definition 2.6").

use super::evidence::{Evidence, Source, State};

/// One heartbeat on the server's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    pub at: i64,
    pub state: State,
    /// The interval this heartbeat announced: how long it speaks for when nothing follows.
    pub interval_s: i64,
    /// The longest gap to the next heartbeat over which its state still holds.
    pub timeout_s: i64,
}

impl Beat {
    /// A heartbeat with the usual timeout of three intervals.
    #[must_use]
    pub const fn new(at: i64, state: State, interval_s: i64) -> Self {
        Self { at, state, interval_s, timeout_s: interval_s.saturating_mul(3) }
    }
}

/// Heartbeats, in any order and with repetitions, as live evidence, joined where the state goes on.
///
/// A state holds to the next heartbeat when that comes within the timeout, and for one interval
/// otherwise. Two heartbeats of one second count as the worse of the two.
#[must_use]
pub fn evidence_of(beats: &[Beat]) -> Vec<Evidence> {
    let mut beats = beats.to_vec();
    beats.sort_unstable_by_key(|beat| (beat.at, beat.state));
    beats.dedup_by_key(|beat| beat.at);
    let mut out: Vec<Evidence> = Vec::new();
    for (i, beat) in beats.iter().enumerate() {
        let next = beats.get(i + 1).map(|next| next.at);
        let to = next.filter(|next| next - beat.at <= beat.timeout_s).unwrap_or(beat.at + beat.interval_s);
        match out.last_mut() {
            Some(last) if last.to == beat.at && last.state == beat.state => last.to = to,
            _ => out.push(Evidence {
                src: Source::Live,
                from: beat.at,
                to,
                state: beat.state,
                cause: None,
                recv: None,
                interval_s: Some(beat.interval_s),
            }),
        }
    }
    out
}
