//! Which kiosks should be on now: asked alike by tickets, by the outage of a site and by the figures that alerts read.
use std::collections::BTreeMap;

use kioskwatch_proto::{KioskId, SiteId, Timestamp};

use super::{Fleet, Ix, kiosk::Kiosk, site::Site, view::KioskView};
use crate::{calendar::WorkCalendar, change::PresenceVerdict};

/// A kiosk whose problems are ours.
#[derive(Debug, Clone, PartialEq)]
pub struct InService<'a> {
    pub kiosk: KioskView<'a>,
    /// It should be on at this instant: commissioned, its site open, and no approved exclusion of either.
    pub expected: bool,
}

/// Kiosks in service at one site, or at none, that are in one presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteCount {
    pub site: Option<SiteId>,
    pub presence: PresenceVerdict,
    pub kiosks: u64,
    /// Of these, those that should be on now.
    pub expected: u64,
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
    pub(super) fn works(&self, calendar: &WorkCalendar, now: Timestamp) -> bool {
        self.hours().is_open(calendar, now) && !self.busy().windows.iter().any(|window| window.holds(now))
    }
}

impl Fleet {
    /// The kiosks in service, in no particular order. One that stands nowhere has no hours: it should always be on.
    pub fn in_service(&self, now: Timestamp) -> impl Iterator<Item = InService<'_>> {
        let mut rests = vec![false; self.kiosks.len()];
        let works = |site: &Site| site.works(&self.policy.calendar, now);
        for site in self.sites.values().filter(|site| !site.kiosks.is_empty() && !works(site)) {
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

    /// [`Self::in_service`] counted by site and presence, of those of which there are any. Whoever asks holds up whoever
    /// would change the fleet: each kiosk is looked at once, and its site not searched for.
    #[must_use]
    pub fn site_counts(&self, now: Timestamp) -> Vec<SiteCount> {
        let mut counts = Vec::with_capacity(self.sites.len());
        let mut stands = vec![false; self.kiosks.len()];
        for (id, site) in self.sites.iter().filter(|(_, site)| !site.kiosks.is_empty()) {
            for &ix in site.kiosks.iter() {
                if let Some(stands) = stands.get_mut(ix as usize) {
                    *stands = true;
                }
            }
            let works = site.works(&self.policy.calendar, now);
            self.count_at(Some(id), works, &site.kiosks, now, &mut counts);
        }
        // Also those of a site that could not be read.
        let mut elsewhere: BTreeMap<Option<&SiteId>, Vec<Ix>> = BTreeMap::new();
        for (ix, (kiosk, _)) in (0..).zip(self.kiosks.iter().zip(stands)).filter(|(_, (_, stands))| !stands) {
            elsewhere.entry(kiosk.site()).or_default().push(ix);
        }
        for (site, kiosks) in elsewhere {
            self.count_at(site, true, &kiosks, now, &mut counts);
        }
        counts
    }

    fn count_at(
        &self,
        site: Option<&SiteId>,
        works: bool,
        kiosks: &[Ix],
        now: Timestamp,
        counts: &mut Vec<SiteCount>,
    ) {
        let before = counts.len();
        let kiosks = kiosks.iter().map(|&ix| &self.kiosks[ix as usize]);
        for kiosk in kiosks.filter(|kiosk| kiosk.in_service(now)) {
            let presence = kiosk.state.presence;
            let place = match counts[before..].iter().position(|count| count.presence == presence) {
                Some(place) => before + place,
                None => {
                    counts.push(SiteCount { site: site.cloned(), presence, kiosks: 0, expected: 0 });
                    counts.len() - 1
                }
            };
            counts[place].kiosks += 1;
            counts[place].expected += u64::from(works && kiosk.should_be_on(now));
        }
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
