//! Whether we hear a kiosk (D2): a verdict from heartbeats, not an event from a broker.
//!
//! `unknown → online → late → offline`. Each step is stamped when it became true, not when it was noticed.
//! A last will of the current session shortens the wait to one interval; nothing else ever shortens it.
use kioskwatch_proto::Timestamp;

use crate::{change::PresenceVerdict, fleet::count_words as words};

words!(
    /// Why a verdict fell.
    PresenceReason {
        NeverSeen = "never_seen",
        Heartbeat = "heartbeat",
        /// A journal message: the agent lives, its heartbeats will follow.
        Journal = "journal",
        /// The agent announced its connection.
        Birth = "birth",
        /// No heartbeat for one and a half intervals.
        HeartbeatLate = "heartbeat_late",
        /// No heartbeat for as many intervals as the policy says.
        MissedHeartbeats = "missed_heartbeats",
        /// The broker lost the current connection, and no heartbeat followed.
        LastWill = "last_will",
        /// The agent said that it goes.
        Goodbye = "goodbye",
        /// The server was away: nothing is known.
        ServerStarted = "server_started",
        /// The server could not receive: nothing is known.
        BrokerDown = "broker_down",
        /// The server's own clock skipped time: nothing is known of it.
        ClockJumped = "clock_jumped",
    }
);

impl PresenceReason {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text)
    }
}

/// What a verdict is judged on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// The last sign of life, or the instant since which we were able to hear one.
    pub since: Timestamp,
    pub interval_s: u32,
    pub missed_heartbeats: u32,
    /// When the will of the current session came, if nothing was heard after it.
    pub will_at: Option<Timestamp>,
    /// Not called offline before this, by silence or by a will: it may still be on its way back to the broker.
    pub settled_at: Timestamp,
}

/// One step of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub to: PresenceVerdict,
    pub at: Timestamp,
    pub reason: PresenceReason,
}

impl Silence {
    /// The step that follows when silence goes on, and when. `None`: nothing further can happen.
    #[must_use]
    pub fn next(&self, verdict: PresenceVerdict) -> Option<Step> {
        let interval_ms = i64::from(self.interval_s) * 1_000;
        let missed = self.since.plus_ms(interval_ms.saturating_mul(i64::from(self.missed_heartbeats)));
        let by_will = self.will_at.map(|will| self.since.plus_ms(interval_ms).max(will));
        let offline = match by_will {
            Some(at) if at <= missed => {
                Step { to: PresenceVerdict::Offline, at, reason: PresenceReason::LastWill }
            }
            _ => Step { to: PresenceVerdict::Offline, at: missed, reason: PresenceReason::MissedHeartbeats },
        };
        let offline = Step { at: offline.at.max(self.settled_at), ..offline };
        match verdict {
            PresenceVerdict::Online => {
                let at = self.since.plus_ms(interval_ms + interval_ms / 2);
                let late = Step { to: PresenceVerdict::Late, at, reason: PresenceReason::HeartbeatLate };
                Some(if offline.at <= late.at { offline } else { late })
            }
            PresenceVerdict::Late | PresenceVerdict::Unknown => Some(offline),
            PresenceVerdict::Offline => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence() -> Silence {
        Silence {
            since: Timestamp(100_000),
            interval_s: 30,
            missed_heartbeats: 3,
            will_at: None,
            settled_at: Timestamp(0),
        }
    }

    fn next(silence: Silence, verdict: PresenceVerdict) -> Option<(&'static str, i64, &'static str)> {
        silence.next(verdict).map(|s| (s.to.as_str(), s.at.ms() - 100_000, s.reason.as_str()))
    }

    #[test]
    fn late_after_one_and_a_half_intervals_and_offline_after_three() {
        assert_eq!(next(silence(), PresenceVerdict::Online), Some(("late", 45_000, "heartbeat_late")));
        assert_eq!(next(silence(), PresenceVerdict::Late), Some(("offline", 90_000, "missed_heartbeats")));
        assert_eq!(next(silence(), PresenceVerdict::Offline), None);
    }

    #[test]
    fn a_will_shortens_the_wait_to_one_interval_and_never_below_its_own_arrival() {
        let with = |will: i64| Silence { will_at: Some(Timestamp(100_000 + will)), ..silence() };
        assert_eq!(next(with(5_000), PresenceVerdict::Online), Some(("offline", 30_000, "last_will")));
        assert_eq!(next(with(60_000), PresenceVerdict::Online), Some(("late", 45_000, "heartbeat_late")));
        assert_eq!(next(with(60_000), PresenceVerdict::Late), Some(("offline", 60_000, "last_will")));
        assert_eq!(next(with(95_000), PresenceVerdict::Late), Some(("offline", 90_000, "missed_heartbeats")));
    }

    #[test]
    fn unknown_waits_until_the_fleet_has_settled() {
        let unsettled = Silence { settled_at: Timestamp(300_000), ..silence() };
        assert_eq!(
            next(unsettled, PresenceVerdict::Unknown),
            Some(("offline", 200_000, "missed_heartbeats"))
        );
        assert_eq!(next(silence(), PresenceVerdict::Unknown), Some(("offline", 90_000, "missed_heartbeats")));
    }

    #[test]
    fn nobody_is_offline_before_the_fleet_has_settled() {
        let silent = Silence { settled_at: Timestamp(250_000), ..silence() };
        assert_eq!(next(silent, PresenceVerdict::Online), Some(("late", 45_000, "heartbeat_late")));
        assert_eq!(next(silent, PresenceVerdict::Late), Some(("offline", 150_000, "missed_heartbeats")));
        let will = Silence { will_at: Some(Timestamp(105_000)), ..silent };
        assert_eq!(next(will, PresenceVerdict::Online), Some(("late", 45_000, "heartbeat_late")));
    }

    #[test]
    fn one_allowed_interval_skips_late() {
        let strict = Silence { missed_heartbeats: 1, ..silence() };
        assert_eq!(next(strict, PresenceVerdict::Online), Some(("offline", 30_000, "missed_heartbeats")));
    }
}
