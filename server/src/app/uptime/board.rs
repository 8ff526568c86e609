//! What a scrape shows of uptime, kept by the bookkeeper: nothing is computed while somebody waits for it.
use std::collections::{BTreeMap, HashMap};

use kioskwatch_domain::{
    interval::Interval,
    uptime::{Figures, Ratio},
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};

/// Numerators and denominators of on, avail, full. A month has fewer than 2^32 seconds.
type Sums = [u32; 6];

/// One kiosk's share of each site it stood at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts(Vec<(Option<SiteId>, Sums)>);

impl Parts {
    pub(super) fn of<'a>(shares: impl Iterator<Item = (Option<&'a SiteId>, &'a Figures)>) -> Self {
        let small = |n: i64| u32::try_from(n).unwrap_or(if n < 0 { 0 } else { u32::MAX });
        Self(
            shares
                .map(|(site, figures)| {
                    let ratios = [figures.on, figures.avail, figures.full];
                    let mut sums = Sums::default();
                    for (place, ratio) in sums.chunks_exact_mut(2).zip(ratios) {
                        place.copy_from_slice(&[small(ratio.num), small(ratio.den)]);
                    }
                    (site.cloned(), sums)
                })
                .collect(),
        )
    }
}

/// What is shown of one kiosk, each with the time in which it is that period.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    pub(super) today: Option<(Interval, Parts)>,
    pub(super) month: Option<(Interval, Parts)>,
    pub(super) last_month: Option<(Interval, Parts)>,
}

/// The names of the periods in metrics.
pub(crate) const PERIODS: [&str; 3] = ["today", "month", "last_month"];

/// On, avail, full of the fleet and of each site.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Totals {
    pub(crate) fleet: [Ratio; 3],
    pub(crate) sites: BTreeMap<SiteId, [Ratio; 3]>,
}

#[derive(Debug, Default)]
pub(crate) struct Board {
    sites: Vec<SiteId>,
    places: HashMap<SiteId, u32>,
    kiosks: HashMap<KioskId, [Option<(Interval, Compact)>; 3]>,
}

/// Parts with places instead of names: a hundred thousand kiosks are some megabytes.
type Compact = Box<[(u32, Sums)]>;

/// Stood nowhere.
const NOWHERE: u32 = u32::MAX;

impl Board {
    pub(crate) fn show(&mut self, kiosk: KioskId, shown: Shown) {
        let periods = [shown.today, shown.month, shown.last_month];
        let compact = periods.map(|one| one.map(|(valid, parts)| (valid, self.compact(parts))));
        let entry = self.kiosks.entry(kiosk).or_default();
        for (known, new) in entry.iter_mut().zip(compact) {
            // A visit that did not look at a period says nothing new about it.
            if new.is_some() {
                *known = new;
            }
        }
    }

    pub(super) fn kiosks(&self) -> usize {
        self.kiosks.len()
    }

    fn compact(&mut self, parts: Parts) -> Compact {
        let mut place = |site: Option<SiteId>| {
            let Some(site) = site else { return NOWHERE };
            if let Some(known) = self.places.get(&site) {
                return *known;
            }
            let place = u32::try_from(self.sites.len()).unwrap_or(NOWHERE);
            self.sites.push(site.clone());
            self.places.insert(site, place);
            place
        };
        parts.0.into_iter().map(|(site, sums)| (place(site), sums)).collect()
    }

    /// In the order of [`PERIODS`], of what belongs to each period at this instant.
    pub(crate) fn totals(&self, now: Timestamp) -> [Totals; 3] {
        let mut fleet = [[Ratio::default(); 3]; 3];
        let mut sites = [(); 3].map(|()| vec![None::<[Ratio; 3]>; self.sites.len()]);
        for periods in self.kiosks.values() {
            for (period, shown) in periods.iter().enumerate() {
                let Some((valid, parts)) = shown else { continue };
                if !valid.contains(now.secs()) {
                    continue;
                }
                for (place, sums) in parts {
                    add(&mut fleet[period], sums);
                    if let Some(site) = sites[period].get_mut(*place as usize) {
                        add(site.get_or_insert_default(), sums);
                    }
                }
            }
        }
        let named = |sums: &[Option<[Ratio; 3]>]| {
            let found = self.sites.iter().zip(sums).filter_map(|(site, sums)| Some((site.clone(), (*sums)?)));
            found.collect()
        };
        std::array::from_fn(|period| Totals { fleet: fleet[period], sites: named(&sites[period]) })
    }
}

fn add(ratios: &mut [Ratio; 3], sums: &Sums) {
    for (ratio, pair) in ratios.iter_mut().zip(sums.chunks_exact(2)) {
        *ratio += Ratio::new(i64::from(pair[0]), i64::from(pair[1]));
    }
}
