//! What really happened to each machine, as the emulators know it.
use std::collections::BTreeMap;

/// The true state of a machine; the words of the uptime definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Real {
    Off,
    OutOfService,
    Degraded,
    Full,
}

/// True states of every kiosk over time, in milliseconds since 1970.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    changes: BTreeMap<usize, Vec<(i64, Real)>>,
}

/// Seconds that were down in each ratio.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Down {
    pub on_s: f64,
    pub avail_s: f64,
    pub full_s: f64,
    /// Changes that had to be noticed.
    pub changes: usize,
}

impl Truth {
    pub fn set(&mut self, kiosk: usize, at_ms: i64, state: Real) {
        self.changes.entry(kiosk).or_default().push((at_ms, state));
    }

    /// Down seconds within `from..to`. Before its first change a kiosk was well.
    pub fn down(&self, kiosk: usize, from_ms: i64, to_ms: i64) -> Down {
        let mut down = Down::default();
        let mut state = Real::Full;
        let mut since = from_ms;
        let mut add = |state: Real, from: i64, to: i64| {
            #[expect(clippy::cast_precision_loss, reason = "a few minutes in milliseconds")]
            let seconds = (to - from).max(0) as f64 / 1_000.0;
            down.on_s += if state == Real::Off { seconds } else { 0.0 };
            down.avail_s += if state <= Real::OutOfService { seconds } else { 0.0 };
            down.full_s += if state <= Real::Degraded { seconds } else { 0.0 };
        };
        let mut changes = 0;
        for &(at, next) in self.changes.get(&kiosk).map_or(&[][..], Vec::as_slice) {
            if at >= to_ms {
                break;
            }
            if at > from_ms {
                add(state, since, at);
                since = at;
                changes += usize::from(next != state);
            }
            state = next;
        }
        add(state, since, to_ms);
        down.changes = changes;
        down
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn down_seconds_follow_the_changes() {
        let mut truth = Truth::default();
        truth.set(0, 1_000, Real::Degraded);
        truth.set(0, 3_000, Real::OutOfService);
        truth.set(0, 6_000, Real::Full);
        truth.set(0, 8_000, Real::Off);
        let down = truth.down(0, 2_000, 10_000);
        assert_eq!((down.on_s, down.avail_s, down.full_s), (2.0, 5.0, 6.0));
        assert_eq!(down.changes, 3);
        assert_eq!(truth.down(1, 0, 10_000), Down::default());
    }
}
