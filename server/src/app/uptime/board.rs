//! What a scrape shows of uptime, kept by the bookkeeper: nothing is computed while somebody waits for it.
use std::{
    collections::{BTreeMap, HashMap},
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
    kiosks: HashMap<KioskId, [Option<(Interval, Packed)>; 3]>,
}

/// The number of a place and its seconds, one share after the other.
type Packed = Box<[u8]>;

impl Board {
    pub(crate) fn show(&mut self, kiosk: KioskId, shown: Shown) {
        let periods = [shown.today, shown.month, shown.last_month];
        let packed = periods.map(|one| one.map(|(valid, parts)| (valid, self.pack(parts))));
        let entry = self.kiosks.entry(kiosk).or_default();
        for (known, new) in entry.iter_mut().zip(packed) {
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

    fn number(&mut self, place: Place) -> usize {
        if let Some(known) = self.numbers.get(&place) {
            return *known;
        }
        let place = Arc::new(place);
        self.places.push(Arc::clone(&place));
        self.numbers.insert(place, self.places.len() - 1);
        self.places.len() - 1
    }

    /// In the order of [`PERIODS`], of what belongs to each period at this instant.
    pub(crate) fn totals(&self, now: Timestamp) -> [Totals; 3] {
        let mut by_place = [(); 3].map(|()| vec![None::<Seconds>; self.places.len()]);
        for periods in self.kiosks.values() {
            for (found, shown) in by_place.iter_mut().zip(periods) {
                for (number, seconds) in shares(shown.as_ref(), now) {
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
    pub(crate) fn kiosk(&self, kiosk: &KioskId, now: Timestamp) -> [Option<Seconds>; 3] {
        let Some(periods) = self.kiosks.get(kiosk) else { return [None; 3] };
        std::array::from_fn(|period| {
            shares(periods[period].as_ref(), now).map(|(_, seconds)| seconds).reduce(|mut sum, more| {
                sum += &more;
                sum
            })
        })
    }
}

/// Of a period that it is at this instant.
fn shares(
    shown: Option<&(Interval, Packed)>,
    now: Timestamp,
) -> impl Iterator<Item = (usize, Seconds)> + use<'_> {
    let mut rest: &[u8] = match shown {
        Some((valid, packed)) if valid.contains(now.secs()) => packed,
        _ => &[],
    };
    std::iter::from_fn(move || {
        let number = usize::try_from(read(&mut rest)?).ok()?;
        Some((number, Seconds::unpack(&mut rest)?))
    })
}
