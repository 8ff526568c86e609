//! What time it is for the server: the wall clock of a kiosk may be anything.
use kioskwatch_proto::{Timestamp, limits::MAX_FUTURE_MS};

use crate::{drivers::Mono, input::Now};

/// With the server's own word the rest of the error is the message's way.
const ANCHORED_SLACK_MS: i64 = 5_000;

/// The server's word, carried on by the clock that never jumps; the wall clock until there is one.
#[derive(Debug, Default)]
pub(crate) struct ServerTime {
    anchor: Option<(Timestamp, Mono)>,
}

impl ServerTime {
    pub(crate) fn heard(&mut self, server: Timestamp, now: Mono) {
        self.anchor = Some((server, now));
    }

    pub(crate) fn at(&self, now: Now) -> Timestamp {
        match self.anchor {
            Some((server, then)) => {
                server.plus_ms(i64::try_from(now.mono.saturating_sub(then)).unwrap_or(i64::MAX))
            }
            None => now.wall,
        }
    }

    /// How far a time that should have come may still lie ahead.
    pub(crate) fn slack_ms(&self) -> i64 {
        if self.anchor.is_some() { ANCHORED_SLACK_MS } else { MAX_FUTURE_MS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jumping_wall_clock_does_not_move_the_servers_time() {
        let mut time = ServerTime::default();
        assert_eq!(time.at(Now { wall: Timestamp(5_000), mono: 1 }), Timestamp(5_000));
        time.heard(Timestamp(1_000_000), 1_000);
        for wall in [0, 1_000_000, i64::MAX] {
            assert_eq!(time.at(Now { wall: Timestamp(wall), mono: 3_000 }), Timestamp(1_002_000));
        }
    }
}
