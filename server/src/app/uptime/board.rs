//! What a scrape shows of uptime, kept by the bookkeeper: nothing is computed while somebody waits for it.
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use kioskwatch_domain::{interval::Interval, uptime::Figures};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};

use super::seconds::{Seconds, read, write};

/// Where a share of a kiosk's time belongs: as a signed month has it, otherwise as it is by now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(super) site: Option<SiteId>,
    pub(super) region: String,
    pub(super) customer: String,
}

/// One kiosk's share of each place it stood at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts(Vec<(Place, Seconds)>);

impl Parts {
    pub(super) fn of<'a>(shares: impl Iterator<Item = (Place, &'a Figures)>) -> Self {
        Self(shares.map(|(place, figures)| (place, Seconds::of(figures))).collect())
    }
}

/// What is shown of one kiosk, each with the time in which it is that period.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    pub(super) today: Option<(Interval, Parts)>,
    pub(super) month: Option<(Interval, Parts)>,
    pub(super) last_month: Option<(Interval, Parts)>,
    pub(super) grows: Option<Growth>,
}

/// How the periods that run grow while nothing happens to a kiosk: most of a fleet most of the time. Then its figures
/// are a function of time, and nobody needs to count them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Growth {
    pub(super) place: Place,
    /// What one more second adds.
    pub(super) each: Seconds,
    /// From the second up to which the figures were counted, to one at which something else may begin.
    pub(super) within: Interval,
}

/// The names of the periods in metrics.
pub(crate) const PERIODS: [&str; 3] = ["today", "month", "last_month"];

/// Sums by name. What belongs to no site, region or customer has the name "": each kind adds up to the fleet.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Totals {
    pub(crate) fleet: Seconds,
    pub(crate) sites: BTreeMap<String, Seconds>,
    pub(crate) regions: BTreeMap<String, Seconds>,
    pub(crate) customers: BTreeMap<String, Seconds>,
}

#[derive(Debug, Default)]
pub(crate) struct Board {
    places: Vec<Arc<Place>>,
    numbers: HashMap<Arc<Place>, usize>,
    kiosks: HashMap<KioskId, OfKiosk>,
    /// Few: what a second adds is the same for most kiosks of a place.
    growths: HashSet<Arc<[u8]>>,
}

#[derive(Debug, Default)]
struct OfKiosk {
    periods: [Option<(Interval, Packed)>; 3],
    /// Packed as one share.
    grows: Option<(Interval, Arc<[u8]>)>,
}

/// The number of a place and its seconds, one share after the other.
type Packed = Box<[u8]>;

impl Board {
    pub(crate) fn show(&mut self, kiosk: KioskId, shown: Shown) {
        let periods = [shown.today, shown.month, shown.last_month];
        let packed = periods.map(|one| one.map(|(valid, parts)| (valid, self.pack(parts))));
        let grows = shown.grows.map(|growth| (growth.within, self.growth(growth.place, growth.each)));
        let entry = self.kiosks.entry(kiosk).or_default();
        entry.grows = grows;
        for (known, new) in entry.periods.iter_mut().zip(packed) {
            // A visit that did not look at a period says nothing new about it.
            if new.is_some() {
                *known = new;
            }
        }
    }

    pub(super) fn kiosks(&self) -> usize {
        self.kiosks.len()
    }

    fn pack(&mut self, parts: Parts) -> Packed {
        let mut bytes = Vec::new();
        for (place, seconds) in parts.0 {
            write(&mut bytes, self.number(place).cast_signed() as i64);
            seconds.pack(&mut bytes);
        }
        bytes.into_boxed_slice()
    }

    fn growth(&mut self, place: Place, each: Seconds) -> Arc<[u8]> {
        let packed = self.pack(Parts(vec![(place, each)]));
        match self.growths.get(&*packed) {
            Some(known) => Arc::clone(known),
            None => {
                let new: Arc<[u8]> = packed.into();
                self.growths.insert(Arc::clone(&new));
                new
            }
        }
    }

    fn number(&mut self, place: Place) -> usize {
        if let Some(known) = self.numbers.get(&place) {
            return *known;
        }
        let place = Arc::new(place);
        self.places.push(Arc::clone(&place));
        self.numbers.insert(place, self.places.len() - 1);
        self.places.len() - 1
    }

    /// In the order of [`PERIODS`], of what belongs to each period at this instant; what goes on by itself does so up to
    /// `heard_to`.
    pub(crate) fn totals(&self, now: Timestamp, heard_to: Timestamp) -> [Totals; 3] {
        let mut by_place = [(); 3].map(|()| vec![None::<Seconds>; self.places.len()]);
        for kiosk in self.kiosks.values() {
            for (period, found) in by_place.iter_mut().enumerate() {
                for (number, seconds) in kiosk.shares(period, now, heard_to) {
                    if let Some(sum) = found.get_mut(number) {
                        *sum.get_or_insert_default() += &seconds;
                    }
                }
            }
        }
        by_place.map(|found| {
            let mut totals = Totals::default();
            for (place, seconds) in self.places.iter().zip(found) {
                let Some(seconds) = seconds else { continue };
                let site = place.site.as_ref().map_or("", SiteId::as_str);
                totals.fleet += &seconds;
                *totals.sites.entry(site.to_owned()).or_default() += &seconds;
                *totals.regions.entry(place.region.clone()).or_default() += &seconds;
                *totals.customers.entry(place.customer.clone()).or_default() += &seconds;
            }
            totals
        })
    }

    /// One kiosk, wherever it stood, in the order of [`PERIODS`]; `None` of what nobody has looked at.
    pub(crate) fn kiosk(&self, kiosk: &KioskId, now: Timestamp, heard_to: Timestamp) -> [Option<Seconds>; 3] {
        let Some(kiosk) = self.kiosks.get(kiosk) else { return [None; 3] };
        std::array::from_fn(|period| {
            kiosk.shares(period, now, heard_to).map(|(_, seconds)| seconds).reduce(|mut sum, more| {
                sum += &more;
                sum
            })
        })
    }
}

/// In [`PERIODS`]: it has ended.
const LAST_MONTH: usize = 2;

impl OfKiosk {
    /// Of a period that it is at this instant.
    fn shares(
        &self,
        period: usize,
        now: Timestamp,
        heard_to: Timestamp,
    ) -> impl Iterator<Item = (usize, Seconds)> + use<'_> {
        let (now, grown_to) = (now.secs(), now.min(heard_to).secs());
        let shown = self.periods[period].as_ref().filter(|(valid, _)| valid.contains(now));
        let grown = self.grows.as_ref().filter(|_| shown.is_some() && period != LAST_MONTH);
        let grown = grown.into_iter().flat_map(move |(within, each)| {
            let seconds = grown_to.min(within.to) - within.from;
            unpacked(each).map(move |(number, each)| (number, each.times(seconds.max(0))))
        });
        unpacked(shown.map_or(&[], |(_, packed)| packed)).chain(grown)
    }
}

fn unpacked(mut rest: &[u8]) -> impl Iterator<Item = (usize, Seconds)> {
    std::iter::from_fn(move || {
        let number = usize::try_from(read(&mut rest)?).ok()?;
        Some((number, Seconds::unpack(&mut rest)?))
    })
}
