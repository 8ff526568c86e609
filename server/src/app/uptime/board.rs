//! What a scrape shows of uptime, kept by the bookkeeper: nothing is computed while somebody waits for it.
use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::Arc,
};

use kioskwatch_domain::{
    fleet::Ix,
    interval::Interval,
    uptime::{Figures, booking::Owner, contracts::Contract},
};
use kioskwatch_proto::{SiteId, Timestamp};

use super::{
    pieces::Pieces,
    seconds::{Seconds, read, write},
};
use crate::store::MonthTotal;

/// Where a share of a kiosk's time belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(super) site: Option<SiteId>,
    pub(super) region: String,
    pub(super) customer: String,
    /// "": nobody answered for it.
    pub(super) engineer: String,
}

impl Place {
    pub(super) fn of(owner: &Owner) -> Self {
        let Contract { region, customer } = owner.contract.clone();
        let engineer = owner.engineer.clone().unwrap_or_default();
        Self { site: owner.site.clone(), region, customer, engineer }
    }
}

/// One kiosk's share of each place it stood at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts(Vec<(Place, Seconds)>);

impl Parts {
    pub(super) fn of<'a>(shares: impl Iterator<Item = (Place, &'a Figures)>) -> Self {
        Self(shares.map(|(place, figures)| (place, Seconds::of(figures))).collect())
    }

    /// With what of the same period is still to come.
    pub(super) fn with_to_come(mut self, to_come: Vec<(Place, i64)>) -> Self {
        for (place, to_come_s) in to_come.into_iter().filter(|(_, seconds)| *seconds > 0) {
            match self.0.iter_mut().find(|(known, _)| *known == place) {
                Some((_, seconds)) => seconds.to_come_s += to_come_s,
                None => self.0.push((place, Seconds { to_come_s, ..Seconds::default() })),
            }
        }
        self
    }
}

/// What is shown of one kiosk, each with the time in which it is that period.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    pub(super) today: Option<(Interval, Parts)>,
    pub(super) month: Option<(Interval, Parts)>,
    pub(super) last_month: Option<(Interval, Parts)>,
    /// The highest target that its last month is judged by.
    pub(super) promised: Option<(i64, i64)>,
    pub(super) grows: Option<Growth>,
}

/// How the periods that run grow while nothing happens to a kiosk: most of a fleet most of the time. Then its figures
/// are a function of time, and nobody needs to count them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Growth {
    pub(super) place: Place,
    /// What one more second adds; what it counts is no longer to come.
    pub(super) each: Seconds,
    /// From the second up to which the figures were counted, to one at which something else may begin.
    pub(super) within: Interval,
}

/// The names of the periods in metrics.
pub(crate) const PERIODS: [&str; 3] = ["today", "month", "last_month"];

/// Sums by name. What belongs to no site, region, customer or engineer has the name "": each kind adds up to the fleet.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Totals {
    pub(crate) fleet: Seconds,
    pub(crate) sites: BTreeMap<String, Seconds>,
    pub(crate) regions: BTreeMap<String, Seconds>,
    pub(crate) customers: BTreeMap<String, Seconds>,
    pub(crate) engineers: BTreeMap<String, Seconds>,
}

#[derive(Debug, Default)]
pub(crate) struct Board {
    places: Numbered<Place>,
    /// Times in which a period is today, the month and the last one: those of a zone.
    times: Numbered<Interval>,
    /// Packed as one share. Few: what a second adds is the same for most kiosks of a place.
    growths: Numbered<[u8]>,
    /// What is shown of each kiosk ([`OfKiosk`]); empty of whom nobody has looked at.
    kiosks: Pieces,
    /// What last months are judged by, each with the time in which it is that one: of one clock or a few.
    promised: Vec<(Interval, (i64, i64))>,
}

impl Board {
    pub(crate) fn show(&mut self, kiosk: Ix, shown: Shown) {
        if let (Some((valid, _)), Some(target)) = (&shown.last_month, shown.promised) {
            self.promise(*valid, target);
        }
        let new = [shown.today, shown.month, shown.last_month];
        let new =
            new.map(|one| one.map(|(valid, parts)| (self.times.number(valid.into()), self.pack(parts))));
        let grows = shown.grows.map(|growth| {
            let each = self.pack(Parts(vec![(growth.place, growth.each)]));
            (growth.within, self.growths.number(each.into()))
        });
        let (known, _) = self.of(kiosk).read();
        // A visit that did not look at a period says nothing new about it.
        let all = std::array::from_fn(|period| match &new[period] {
            Some((valid, shares)) => Some((*valid, shares.as_slice())),
            None => known[period],
        });
        let packed = OfKiosk::pack(&all, grows);
        self.kiosks.put(kiosk as usize, &packed);
    }

    /// The highest of a fleet counts; what was shown of a month that is last month no more is forgotten.
    fn promise(&mut self, valid: Interval, target: (i64, i64)) {
        self.promised.retain(|(known, _)| known.to > valid.from);
        match self.promised.iter_mut().find(|(known, _)| *known == valid) {
            Some((_, known)) => *known = MonthTotal::highest([*known, target].into_iter()).unwrap_or(target),
            None => self.promised.push((valid, target)),
        }
    }

    /// By what last month is judged.
    pub(crate) fn promised(&self, now: Timestamp) -> Option<(i64, i64)> {
        let of_now = self.promised.iter().filter(|(valid, _)| valid.contains(now.secs()));
        MonthTotal::highest(of_now.map(|(_, target)| *target))
    }

    /// What has grown by now stays; what comes has to be counted.
    pub(crate) fn stop_growth(&mut self, kiosk: Ix, at: Timestamp) {
        if !self.of(kiosk).is_shown() {
            return;
        }
        let (periods, grows) = self.of(kiosk).read();
        let stopped = |within: Interval| Interval { to: within.to.min(at.secs()).max(within.from), ..within };
        let packed = OfKiosk::pack(&periods, grows.map(|(within, number)| (stopped(within), number)));
        self.kiosks.put(kiosk as usize, &packed);
    }

    pub(super) fn kiosks(&self) -> usize {
        self.kiosks.iter().filter(|kiosk| OfKiosk(kiosk).is_shown()).count()
    }

    fn of(&self, kiosk: Ix) -> OfKiosk<'_> {
        OfKiosk(self.kiosks.get(kiosk as usize))
    }

    /// The number of a place and its seconds, one share after the other.
    fn pack(&mut self, parts: Parts) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (place, seconds) in parts.0 {
            write_number(&mut bytes, self.places.number(place.into()));
            seconds.pack(&mut bytes);
        }
        bytes
    }

    /// In the order of [`PERIODS`], of what belongs to each period at this instant; what goes on by itself does so up to
    /// `heard_to`.
    pub(crate) fn totals(&self, now: Timestamp, heard_to: Timestamp) -> [Totals; 3] {
        let mut by_place = [(); 3].map(|()| vec![None::<Seconds>; self.places.all.len()]);
        for kiosk in self.kiosks.iter().map(OfKiosk) {
            for (period, found) in by_place.iter_mut().enumerate() {
                for (number, seconds) in self.shares(kiosk, period, now, heard_to) {
                    if let Some(sum) = found.get_mut(number) {
                        *sum.get_or_insert_default() += &seconds;
                    }
                }
            }
        }
        by_place.map(|found| {
            let mut totals = Totals::default();
            for (place, seconds) in self.places.all.iter().zip(found) {
                let Some(seconds) = seconds else { continue };
                let site = place.site.as_ref().map_or("", SiteId::as_str);
                totals.fleet += &seconds;
                *totals.sites.entry(site.to_owned()).or_default() += &seconds;
                *totals.regions.entry(place.region.clone()).or_default() += &seconds;
                *totals.customers.entry(place.customer.clone()).or_default() += &seconds;
                *totals.engineers.entry(place.engineer.clone()).or_default() += &seconds;
            }
            totals
        })
    }

    /// One kiosk, wherever it stood, in the order of [`PERIODS`]; `None` of what nobody has looked at.
    pub(crate) fn kiosk(&self, kiosk: Ix, now: Timestamp, heard_to: Timestamp) -> [Option<Seconds>; 3] {
        let kiosk = self.of(kiosk);
        std::array::from_fn(|period| {
            self.shares(kiosk, period, now, heard_to).map(|(_, seconds)| seconds).reduce(|mut sum, more| {
                sum += &more;
                sum
            })
        })
    }

    /// Of a period that it is at this instant, by the number of the place.
    fn shares<'a>(
        &'a self,
        kiosk: OfKiosk<'a>,
        period: usize,
        now: Timestamp,
        heard_to: Timestamp,
    ) -> impl Iterator<Item = (usize, Seconds)> + use<'a> {
        let (now, grown_to) = (now.secs(), now.min(heard_to).secs());
        let (periods, grows) = kiosk.read();
        let is_now = |number: usize| self.times.all.get(number).is_some_and(|valid| valid.contains(now));
        let shown = periods[period].filter(|(valid, _)| is_now(*valid));
        let grown = grows.filter(|_| shown.is_some() && period != LAST_MONTH);
        let grown = grown.and_then(|(within, number)| Some((within, self.growths.all.get(number)?)));
        let grown = grown.into_iter().flat_map(move |(within, each)| {
            let seconds = grown_to.min(within.to) - within.from;
            unpacked(each).map(move |(number, each)| (number, each.times(seconds.max(0))))
        });
        unpacked(shown.map_or(&[], |(_, shares)| shares)).chain(grown)
    }
}

/// In [`PERIODS`]: it has ended.
const LAST_MONTH: usize = 2;

/// The number of the time in which a period is this one, and the shares of it.
type Period<'a> = (usize, &'a [u8]);

/// What is shown of one kiosk: of each period the number of its time, how many bytes its shares take, and those; then
/// how they grow.
#[derive(Debug, Clone, Copy)]
struct OfKiosk<'a>(&'a [u8]);

impl<'a> OfKiosk<'a> {
    fn pack(periods: &[Option<Period<'_>>; PERIODS.len()], grows: Option<(Interval, usize)>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for period in periods {
            // 0: nobody looked at it.
            let (valid, shares) = period.map_or((0, &[][..]), |(valid, shares)| (valid + 1, shares));
            write_number(&mut bytes, valid);
            write_number(&mut bytes, shares.len());
            bytes.extend_from_slice(shares);
        }
        if let Some((within, growth)) = grows {
            write_interval(&mut bytes, within);
            write_number(&mut bytes, growth);
        }
        bytes
    }

    fn is_shown(self) -> bool {
        !self.0.is_empty()
    }

    fn read(self) -> ([Option<Period<'a>>; PERIODS.len()], Option<(Interval, usize)>) {
        let mut rest = self.0;
        let periods = [(); PERIODS.len()].map(|()| {
            let valid = read_number(&mut rest)?;
            let length = read_number(&mut rest)?;
            let (shares, behind) = rest.split_at_checked(length)?;
            rest = behind;
            Some((valid.checked_sub(1)?, shares))
        });
        let grows = read_interval(&mut rest).zip(read_number(&mut rest));
        (periods, grows)
    }
}

fn write_interval(bytes: &mut Vec<u8>, interval: Interval) {
    write(bytes, interval.from);
    write(bytes, interval.length());
}

fn read_interval(bytes: &mut &[u8]) -> Option<Interval> {
    let from = read(bytes)?;
    Some(Interval { from, to: from + read(bytes)? })
}

fn write_number(bytes: &mut Vec<u8>, number: usize) {
    write(bytes, i64::try_from(number).unwrap_or(i64::MAX));
}

fn read_number(bytes: &mut &[u8]) -> Option<usize> {
    usize::try_from(read(bytes)?).ok()
}

fn unpacked(mut rest: &[u8]) -> impl Iterator<Item = (usize, Seconds)> {
    std::iter::from_fn(move || Some((read_number(&mut rest)?, Seconds::unpack(&mut rest)?)))
}

/// Things that are many times the same, by number.
#[derive(Debug)]
struct Numbered<T: ?Sized> {
    all: Vec<Arc<T>>,
    numbers: HashMap<Arc<T>, usize>,
}

impl<T: ?Sized + Eq + Hash> Numbered<T> {
    fn number(&mut self, one: Arc<T>) -> usize {
        let all = &mut self.all;
        *self.numbers.entry(one).or_insert_with_key(|one| {
            all.push(Arc::clone(one));
            all.len() - 1
        })
    }
}

impl<T: ?Sized> Default for Numbered<T> {
    fn default() -> Self {
        Self { all: Vec::new(), numbers: HashMap::new() }
    }
}
