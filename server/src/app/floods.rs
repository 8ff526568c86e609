//! Kiosks that send more than they may: since when, how much of it was dropped, and when that ended. Pure.
//!
//! In memory: a server that starts again tells of a flood that goes on as of a new one.
use std::collections::BTreeMap;

use kioskwatch_proto::{KioskId, Timestamp};

/// A flood has ended when nothing had to be dropped for this long.
const QUIET_MS: i64 = 10 * 60 * 1_000;
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
pub(crate) struct Floods(BTreeMap<KioskId, Flood>);

impl Floods {
    /// So many messages of this kiosk were dropped. Gives whether a flood begins with them.
    pub(crate) fn note(&mut self, kiosk: &KioskId, dropped: u64, now: Timestamp) -> bool {
        if let Some(flood) = self.0.get_mut(kiosk) {
            flood.until = now;
            flood.dropped = flood.dropped.saturating_add(dropped);
            return false;
        }
        let begins = self.0.len() < MAX_FLOODS;
        if begins {
            self.0.insert(kiosk.clone(), Flood { since: now, until: now, dropped });
        }
        begins
    }

    /// Takes out those that are over.
    pub(super) fn ended(&mut self, now: Timestamp) -> Vec<(KioskId, Flood)> {
        self.0.extract_if(.., |_, flood| now.since(flood.until) >= QUIET_MS).collect()
    }

    /// The flood of this kiosk, if there is one.
    pub(crate) fn of(&self, kiosk: &KioskId) -> Option<Flood> {
        self.0.get(kiosk).copied()
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
        let (mut floods, kiosk) = (Floods::default(), kiosk(1));
        let at = |part: i64| Timestamp(part * QUIET_MS / 2);
        assert!(floods.note(&kiosk, 3, at(0)));
        for part in 1..4 {
            assert_eq!(floods.ended(at(part)), [], "it never was quiet for long");
            assert!(!floods.note(&kiosk, 1, at(part)));
        }
        let flood = Flood { since: at(0), until: at(3), dropped: 6 };
        assert_eq!((floods.of(&kiosk), floods.ended(at(4))), (Some(flood), Vec::new()));
        assert_eq!(floods.ended(at(5)), [(kiosk.clone(), flood)]);
        assert_eq!((floods.of(&kiosk), floods.ended(at(6))), (None, Vec::new()));
        assert!(floods.note(&kiosk, 1, at(7)), "another one");
    }

    #[test]
    fn a_flood_that_found_no_place_is_told_when_there_is_one() {
        let mut floods = Floods::default();
        for n in 0..MAX_FLOODS {
            assert!(floods.note(&kiosk(n), 1, Timestamp(0)));
        }
        let last = kiosk(MAX_FLOODS);
        assert!(!floods.note(&last, 1, Timestamp(0)) && floods.of(&last).is_none());
        assert_eq!(floods.ended(Timestamp(QUIET_MS)).len(), MAX_FLOODS);
        assert!(floods.note(&last, 1, Timestamp(QUIET_MS)));
    }
}
