//! Whether we hear a kiosk (D2): a verdict from heartbeats, not an event from a broker.
//!
//! `unknown → online → late → offline`. Each step is stamped when it became true, not when it was noticed.
//! A last will of the current session shortens the wait: from the will on, the kiosk may be as late as anybody. Most
//! are torn off for a moment and are back at once, and of those who tell it some are not heard, because a broker whose
//! queue is full drops births and first heartbeats. The next heartbeat settles it. Nothing else ever shortens the wait.
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
    /// How much of the silence proves nothing, because heartbeats were lost.
    pub in_doubt_ms: i64,
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
        let late_after_ms = interval_ms + interval_ms / 2;
        let patience_ms = interval_ms.saturating_mul(i64::from(self.missed_heartbeats));
        let missed = self.since.plus_ms(patience_ms.saturating_add(self.in_doubt_ms));
        let by_will = self.will_at.map(|will| self.since.max(will).plus_ms(late_after_ms));
        let offline = match by_will {
            Some(at) if at <= missed => {
                Step { to: PresenceVerdict::Offline, at, reason: PresenceReason::LastWill }
            }
            _ => Step { to: PresenceVerdict::Offline, at: missed, reason: PresenceReason::MissedHeartbeats },
        };
        let offline = Step { at: offline.at.max(self.settled_at), ..offline };
        match verdict {
            PresenceVerdict::Online => {
                let at = self.since.plus_ms(late_after_ms);
                let late = Step { to: PresenceVerdict::Late, at, reason: PresenceReason::HeartbeatLate };
                Some(if offline.at <= late.at { offline } else { late })
            }
            PresenceVerdict::Late | PresenceVerdict::Unknown => Some(offline),
            PresenceVerdict::Offline => None,
        }
    }
}

/// How often a silence that came about by chance may be taken for a proof.
const BY_CHANCE: f64 = 1e-9;

/// While of a thousand heartbeats so many are lost, each by itself: how many in a row are lost by chance less than once
/// in a thousand million times. `None`: none are lost.
#[must_use]
pub fn proof_of_silence(per_mille: u16) -> Option<u32> {
    let share = f64::from(per_mille.min(999)) / 1_000.0;
    let chances = std::iter::successors(Some(share), |chance| Some(chance * share));
    let too_likely = chances.take_while(|&chance| chance > BY_CHANCE).count();
    (per_mille > 0).then(|| u32::try_from(too_likely + 1).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence() -> Silence {
        Silence {
            since: Timestamp(100_000),
            interval_s: 30,
            missed_heartbeats: 3,
            in_doubt_ms: 0,
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
    fn after_a_will_a_kiosk_may_be_as_late_as_anybody_and_never_waits_longer_than_without_it() {
        let with = |will: i64| Silence { will_at: Some(Timestamp(100_000 + will)), ..silence() };
        let late = Some(("late", 45_000, "heartbeat_late"));
        for (will, offline, reason) in [
            // Sent before what was heard last, and delivered after it.
            (-3_000, 45_000, "last_will"),
            (0, 45_000, "last_will"),
            (5_000, 50_000, "last_will"),
            // A moment before the heartbeat that was due: its return may take that moment, and be dropped on the way.
            (29_900, 74_900, "last_will"),
            (45_000, 90_000, "last_will"),
            (45_001, 90_000, "missed_heartbeats"),
            (95_000, 90_000, "missed_heartbeats"),
        ] {
            let late = if offline == 45_000 { Some(("offline", offline, reason)) } else { late };
            assert_eq!(next(with(will), PresenceVerdict::Online), late, "{will}");
            assert_eq!(next(with(will), PresenceVerdict::Late), Some(("offline", offline, reason)), "{will}");
        }
    }

    #[test]
    fn a_kiosk_torn_off_at_any_moment_is_heard_before_it_is_judged_though_birth_and_first_heartbeat_are_dropped()
     {
        // It beats on a grid of its own, and once more when it is back; both are lost while the queue is full.
        let interval_ms = 30_000_i64;
        for torn in (0..interval_ms).step_by(500) {
            for full_for in (0..interval_ms / 2).step_by(500) {
                let next_heard = (torn + full_for).div_euclid(interval_ms) * interval_ms + interval_ms;
                let judged = Silence { will_at: Some(Timestamp(100_000 + torn)), ..silence() };
                let offline = judged.next(PresenceVerdict::Late).unwrap();
                assert!(100_000 + next_heard < offline.at.ms(), "torn after {torn}, dropped for {full_for}");
            }
        }
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
    fn the_more_heartbeats_are_lost_the_more_missed_ones_prove_silence() {
        for (per_mille, missed) in [
            (0, None),
            (1, Some(3)),
            (10, Some(5)),
            (100, Some(10)),
            (430, Some(25)),
            (500, Some(30)),
            (900, Some(197)),
            (999, Some(20_713)),
            (1_000, Some(20_713)),
            (u16::MAX, Some(20_713)),
        ] {
            assert_eq!(proof_of_silence(per_mille), missed, "{per_mille}");
        }
    }

    #[test]
    fn one_allowed_interval_skips_late() {
        let strict = Silence { missed_heartbeats: 1, ..silence() };
        assert_eq!(next(strict, PresenceVerdict::Online), Some(("offline", 30_000, "missed_heartbeats")));
    }
}
