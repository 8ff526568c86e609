//! What time it is for the server: the wall clock of a kiosk may be anything.
use kioskwatch_proto::{Timestamp, limits::MAX_FUTURE_MS};

use crate::{drivers::Mono, input::Now};

/// With the server's own word the rest of the error is the message's way.
const ANCHORED_SLACK_MS: i64 = 5_000;

/// The server's word, carried on by the clock that never jumps; the wall clock until there is one.
///
/// Acknowledgements are not signed. Whoever can send one may let commands expire early, but never make one
/// last longer: the time does not go back, and what a signed command says has passed has passed.
#[derive(Debug, Default)]
pub(crate) struct ServerTime {
    anchor: Option<(Timestamp, Mono)>,
    /// The latest issue time of a verified command, and when it was seen.
    floor: Option<(Timestamp, Mono)>,
}

impl ServerTime {
    pub(crate) fn heard(&mut self, server: Timestamp, now: Mono) {
        self.anchor = Some((carried(self.anchor, now).map_or(server, |known| known.max(server)), now));
    }

    /// A verified command was issued at that time: it is at least that late.
    pub(crate) fn proven(&mut self, issued_at: Timestamp, now: Mono) {
        self.floor = Some((carried(self.floor, now).map_or(issued_at, |known| known.max(issued_at)), now));
    }

    pub(crate) fn at(&self, now: Now) -> Timestamp {
        let told = carried(self.anchor, now.mono).unwrap_or(now.wall);
        carried(self.floor, now.mono).map_or(told, |floor| told.max(floor))
    }

    /// How far a time that should have come may still lie ahead.
    pub(crate) fn slack_ms(&self) -> i64 {
        if self.anchor.is_some() { ANCHORED_SLACK_MS } else { MAX_FUTURE_MS }
    }
}

fn carried(from: Option<(Timestamp, Mono)>, now: Mono) -> Option<Timestamp> {
    from.map(|(at, then)| at.plus_ms(i64::try_from(now.saturating_sub(then)).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_word_does_not_take_the_time_back() {
        let mut time = ServerTime::default();
        time.heard(Timestamp(1_000_000), 1_000);
        time.heard(Timestamp(5), 3_000);
        assert_eq!(time.at(Now { wall: Timestamp(0), mono: 3_000 }), Timestamp(1_002_000));
        time.heard(Timestamp(2_000_000), 4_000);
        assert_eq!(time.at(Now { wall: Timestamp(0), mono: 5_000 }), Timestamp(2_001_000));
    }

    #[test]
    fn the_time_is_never_before_the_last_verified_command() {
        let mut time = ServerTime::default();
        time.proven(Timestamp(1_000_000), 1_000);
        assert_eq!(time.at(Now { wall: Timestamp(0), mono: 2_000 }), Timestamp(1_001_000));
        time.heard(Timestamp(5), 2_000);
        assert_eq!(time.at(Now { wall: Timestamp(0), mono: 3_000 }), Timestamp(1_002_000));
        time.proven(Timestamp(7), 3_000);
        assert_eq!(time.at(Now { wall: Timestamp(0), mono: 3_000 }), Timestamp(1_002_000));
    }

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
