//! Which kiosks should be on now: asked alike by tickets, by the outage of a site and by the figures that alerts read.
use kioskwatch_proto::{KioskId, Timestamp};

use super::{Fleet, kiosk::Kiosk, site::Site, view::KioskView};

/// A kiosk whose problems are ours.
#[derive(Debug, Clone, PartialEq)]
pub struct InService<'a> {
    pub kiosk: KioskView<'a>,
    /// It should be on at this instant: commissioned, its site open, and no approved exclusion of either.
    pub expected: bool,
}

impl Kiosk {
    /// Commissioned, and neither retired nor waiting for approval.
    pub(super) fn counts(&self, now: Timestamp) -> bool {
        self.in_service(now) && self.commissioned_at.is_some_and(|since| since.at() <= now)
    }

    /// Also by night: opening hours and exclusions of its site are not asked.
    pub(super) fn should_be_on(&self, now: Timestamp) -> bool {
        self.counts(now) && !self.busy().windows.iter().any(|window| window.holds(now))
    }
}

impl Site {
    /// Open, and no approved exclusion.
    pub(super) fn works(&self, now: Timestamp) -> bool {
        self.hours.is_open(now) && !self.windows.iter().any(|window| window.holds(now))
    }
}

impl Fleet {
    /// The kiosks in service, in no particular order. One that stands nowhere has no hours: it should always be on.
    pub fn in_service(&self, now: Timestamp) -> impl Iterator<Item = InService<'_>> {
        let mut rests = vec![false; self.kiosks.len()];
        for site in self.sites.values().filter(|site| !site.kiosks.is_empty() && !site.works(now)) {
            for &ix in site.kiosks.iter() {
                if let Some(rests) = rests.get_mut(ix as usize) {
                    *rests = true;
                }
            }
        }
        let places = self.kiosks.iter().zip(rests).enumerate();
        places.filter(move |(_, (kiosk, _))| kiosk.in_service(now)).map(move |(ix, (kiosk, rests))| {
            InService { kiosk: self.view(ix), expected: !rests && kiosk.should_be_on(now) }
        })
    }

    /// How many are in service: hours are not asked.
    #[must_use]
    pub fn size_in_service(&self, now: Timestamp) -> usize {
        self.kiosks.iter().filter(|kiosk| kiosk.in_service(now)).count()
    }

    /// Whether its problems are ours; not of one that nobody knows.
    #[must_use]
    pub fn is_in_service(&self, id: &KioskId, now: Timestamp) -> bool {
        self.place(id).is_some_and(|ix| self.kiosks[ix as usize].in_service(now))
    }
}
