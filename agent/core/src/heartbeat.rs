//! When the kiosk says "I am alive": on a grid of its own, so that a fleet does not beat as one.
use kioskwatch_proto::SessionId;

use crate::{
    drivers::Mono,
    schedule::{Grid, spread},
};

#[derive(Debug)]
pub(crate) struct Heartbeats {
    interval_s: u32,
    grid: Grid,
    session: Option<SessionId>,
    seq: u64,
    due: Mono,
}

impl Heartbeats {
    pub(crate) fn new(kiosk: &str, interval_s: u32) -> Self {
        let grid = Grid::new(u64::from(interval_s) * 1000, spread(&[kiosk, "heartbeat"]));
        Self { interval_s, grid, session: None, seq: 0, due: 0 }
    }

    pub(crate) fn interval_s(&self) -> u32 {
        self.interval_s
    }

    /// A new connection: the first heartbeat goes out at once.
    pub(crate) fn connected(&mut self, session: SessionId, now: Mono) {
        self.session = Some(session);
        self.seq = 0;
        self.due = now;
    }

    pub(crate) fn disconnected(&mut self) {
        self.session = None;
    }

    pub(crate) fn next_wake(&self) -> Option<Mono> {
        self.session.map(|_| self.due)
    }

    /// Session and number of the heartbeat that is due now.
    pub(crate) fn take_due(&mut self, now: Mono) -> Option<(SessionId, u64)> {
        let session = self.session.filter(|_| now >= self.due)?;
        self.seq += 1;
        self.due = self.grid.after(now);
        Some((session, self.seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_of_a_session_keep_the_interval() {
        let session = SessionId(uuid::Uuid::nil());
        let mut beats = Heartbeats::new("K-1", 30);
        assert_eq!(beats.take_due(5), None, "nobody to tell");
        beats.connected(session, 1_000);
        assert_eq!(beats.take_due(1_000), Some((session, 1)));
        let mut last = 1_000;
        for seq in 2..10 {
            let at = beats.next_wake().unwrap();
            assert!(at > last && at - last <= 30_000);
            assert_eq!(beats.take_due(at - 1), None);
            assert_eq!(beats.take_due(at), Some((session, seq)));
            last = at;
        }
        beats.disconnected();
        assert_eq!(beats.next_wake(), None);
        beats.connected(session, last + 1);
        assert_eq!(beats.take_due(last + 1), Some((session, 1)));
    }
}
