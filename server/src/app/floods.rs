//! Kiosks that send more than they may: since when, how much of it was dropped, and when that ended. Pure.
//!
//! In memory: a server that starts again tells of a flood that goes on as of a new one.
//! When it is over is a matter of time that passed, not of what our clock shows: one that is set ends no flood, and
//! keeps none from ending.
use std::{collections::BTreeMap, time::Duration};

use kioskwatch_proto::{KioskId, Timestamp};
use tokio::time::Instant;

/// A flood has ended when nothing had to be dropped for this long.
pub(super) const QUIET: Duration = Duration::from_secs(10 * 60);
/// Floods at one time; further ones are only counted, and stand here when others have ended.
const MAX_FLOODS: usize = 10_000;

/// One that goes on, or went on until nothing more had to be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flood {
    pub(crate) since: Timestamp,
    /// When a message was last seen to be dropped.
    pub(crate) until: Timestamp,
    /// Messages.
    pub(crate) dropped: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Floods(BTreeMap<KioskId, (Flood, Instant)>);

impl Floods {
    /// So many messages of this kiosk were dropped. Gives whether a flood begins with them. `at`: what our clock shows.
    pub(crate) fn note(&mut self, kiosk: &KioskId, dropped: u64, now: Instant, at: Timestamp) -> bool {
        if let Some((flood, last)) = self.0.get_mut(kiosk) {
            *last = now;
            flood.until = at;
            flood.dropped = flood.dropped.saturating_add(dropped);
            return false;
        }
        let begins = self.0.len() < MAX_FLOODS;
        if begins {
            self.0.insert(kiosk.clone(), (Flood { since: at, until: at, dropped }, now));
        }
        begins
    }

    /// Takes out those that are over.
    pub(super) fn ended(&mut self, now: Instant) -> Vec<(KioskId, Flood)> {
        let ended = self.0.extract_if(.., |_, (_, last)| now.saturating_duration_since(*last) >= QUIET);
        ended.map(|(kiosk, (flood, _))| (kiosk, flood)).collect()
    }

    /// The flood of this kiosk, if there is one.
    pub(crate) fn of(&self, kiosk: &KioskId) -> Option<Flood> {
        self.0.get(kiosk).map(|(flood, _)| *flood)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kiosk(n: usize) -> KioskId {
        KioskId::new(&format!("K-{n}")).unwrap()
    }

    #[test]
    fn a_flood_is_told_once_until_it_was_quiet_for_a_while() {
        let (mut floods, kiosk, start) = (Floods::default(), kiosk(1), Instant::now());
        let now = |part: u32| start + QUIET / 2 * part;
        let shown = |part: u32| Timestamp(i64::from(part));
        assert!(floods.note(&kiosk, 3, now(0), shown(0)));
        for part in 1..4 {
            assert_eq!(floods.ended(now(part)), [], "it never was quiet for long");
            assert!(!floods.note(&kiosk, 1, now(part), shown(part)));
        }
        let flood = Flood { since: shown(0), until: shown(3), dropped: 6 };
        assert_eq!((floods.of(&kiosk), floods.ended(now(4))), (Some(flood), Vec::new()));
        assert_eq!(floods.ended(now(5)), [(kiosk.clone(), flood)]);
        assert_eq!((floods.of(&kiosk), floods.ended(now(6))), (None, Vec::new()));
        assert!(floods.note(&kiosk, 1, now(7), shown(7)), "another one");
    }

    #[test]
    fn a_flood_that_found_no_place_is_told_when_there_is_one() {
        let (mut floods, start) = (Floods::default(), Instant::now());
        for n in 0..MAX_FLOODS {
            assert!(floods.note(&kiosk(n), 1, start, Timestamp(0)));
        }
        let last = kiosk(MAX_FLOODS);
        assert!(!floods.note(&last, 1, start, Timestamp(0)) && floods.of(&last).is_none());
        assert_eq!(floods.ended(start + QUIET).len(), MAX_FLOODS);
        assert!(floods.note(&last, 1, start + QUIET, Timestamp(0)));
    }
}
