//! What a scrape shows of uptime, kept by the bookkeeper: nothing is computed while somebody waits for it.
use std::{
    borrow::Borrow,
    hash::{BuildHasher as _, Hash, RandomState},
};

use hashbrown::HashTable;
use kioskwatch_domain::{
    fleet::{Ix, push_sparingly},
    interval::Interval,
    uptime::{Figures, booking::Owner, contracts::Contract},
};
use kioskwatch_proto::{SiteId, Timestamp};
use smol_str::SmolStr;

use super::pieces::Pieces;
use crate::{
    metrics::{
        PERIODS, Seconds, UptimeFigure, UptimeFigures,
        seconds::{read, write},
    },
    store::MonthTotal,
};

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

/// To whom time belongs, by the names of the scopes in metrics. What belongs to no site, region, customer or engineer has
/// the name "": each kind adds up to the fleet.
const OWNERS: [&str; 4] = ["site", "region", "customer", "engineer"];

#[derive(Debug, Default)]
pub(crate) struct Board {
    /// Of each of the [`OWNERS`].
    names: [Numbered<SmolStr>; OWNERS.len()],
    /// Where shares belong: the numbers of their owners' names.
    places: Numbered<[u32; OWNERS.len()]>,
    /// Times in which a period is today, the month and the last one: those of a zone.
    times: Numbered<Interval>,
    /// Packed. Few: what a second adds is the same for most kiosks.
    growths: Numbered<Box<[u8]>>,
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
            new.map(|one| one.map(|(valid, parts)| (self.times.number(&valid, || valid), self.pack(parts))));
        let grows = shown.grows.map(|growth| {
            let mut each = Vec::new();
            growth.each.pack(&mut each);
            let each = self.growths.number(each.as_slice(), || each.as_slice().into());
            Grows { within: growth.within, place: self.place(&growth.place), each }
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
        let stopped = grows.map(|grows| Grows { within: stopped(grows.within), ..grows });
        let packed = OfKiosk::pack(&periods, stopped);
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
            write_number(&mut bytes, self.place(&place));
            seconds.pack(&mut bytes);
        }
        bytes
    }

    fn place(&mut self, place: &Place) -> usize {
        let site = place.site.as_ref().map_or("", SiteId::as_str);
        let mut names = self.names.iter_mut();
        let owners = [site, &place.region, &place.customer, &place.engineer].map(|name| {
            let number = names.next().map_or(0, |names| names.number(name, || name.into()));
            u32::try_from(number).unwrap_or(u32::MAX)
        });
        self.places.number(&owners, || owners)
    }

    /// Sums of the fleet and of each owner, of what belongs to each period at this instant; what goes on by itself does
    /// so up to `heard_to`.
    pub(crate) fn totals(&self, now: Timestamp, heard_to: Timestamp) -> UptimeFigures {
        let mut figures = UptimeFigures::default();
        // One after the other: the sums of tens of thousands of places are some megabytes.
        for (number, period) in PERIODS.into_iter().enumerate() {
            let mut by_place = Sums::of(self.places.all.len());
            for kiosk in self.kiosks.iter().map(OfKiosk) {
                let shares = self.shares(kiosk, number, now, heard_to);
                shares.for_each(|(place, seconds)| by_place.add(place, &seconds));
            }
            let mut fleet = Seconds::default();
            by_place.iter().for_each(|(_, seconds)| fleet += seconds);
            figures.push(&UptimeFigure { scope: "fleet", id: "", period, seconds: fleet });
            for (owner, (scope, names)) in OWNERS.into_iter().zip(&self.names).enumerate() {
                let mut by_name = Sums::of(names.all.len());
                for (place, seconds) in by_place.iter() {
                    by_name.add(self.places.all[place][owner] as usize, seconds);
                }
                let mut named: Vec<_> =
                    by_name.iter().map(|(name, seconds)| (&*names.all[name], seconds)).collect();
                named.sort_unstable_by_key(|(name, _)| *name);
                for (id, seconds) in named {
                    figures.push(&UptimeFigure { scope, id, period, seconds: *seconds });
                }
            }
        }
        figures
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
        let grown = grown.and_then(|Grows { within, place, each }| {
            let each = Seconds::unpack(&mut &**self.growths.all.get(each)?)?;
            let seconds = grown_to.min(within.to) - within.from;
            Some((place, each.times(seconds.max(0))))
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
    fn pack(periods: &[Option<Period<'_>>; PERIODS.len()], grows: Option<Grows>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for period in periods {
            // 0: nobody looked at it.
            let (valid, shares) = period.map_or((0, &[][..]), |(valid, shares)| (valid + 1, shares));
            write_number(&mut bytes, valid);
            write_number(&mut bytes, shares.len());
            bytes.extend_from_slice(shares);
        }
        if let Some(Grows { within, place, each }) = grows {
            write_interval(&mut bytes, within);
            write_number(&mut bytes, place);
            write_number(&mut bytes, each);
        }
        bytes
    }

    fn is_shown(self) -> bool {
        !self.0.is_empty()
    }

    fn read(self) -> ([Option<Period<'a>>; PERIODS.len()], Option<Grows>) {
        let mut rest = self.0;
        let periods = [(); PERIODS.len()].map(|()| {
            let valid = read_number(&mut rest)?;
            let length = read_number(&mut rest)?;
            let (shares, behind) = rest.split_at_checked(length)?;
            rest = behind;
            Some((valid.checked_sub(1)?, shares))
        });
        (periods, Grows::read(&mut rest))
    }
}

/// A [`Growth`] by the numbers of its place and of what a second adds.
#[derive(Debug, Clone, Copy)]
struct Grows {
    within: Interval,
    place: usize,
    each: usize,
}

impl Grows {
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self { within: read_interval(bytes)?, place: read_number(bytes)?, each: read_number(bytes)? })
    }
}

/// Sums by number; of what nothing was added to there is none.
struct Sums(Vec<Option<Seconds>>);

impl Sums {
    fn of(numbers: usize) -> Self {
        Self(vec![None; numbers])
    }

    fn add(&mut self, number: usize, seconds: &Seconds) {
        if let Some(sum) = self.0.get_mut(number) {
            *sum.get_or_insert_default() += seconds;
        }
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &Seconds)> {
        self.0.iter().enumerate().filter_map(|(number, sum)| Some((number, sum.as_ref()?)))
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
struct Numbered<T> {
    all: Vec<T>,
    numbers: HashTable<u32>,
    hasher: RandomState,
}

impl<T> Numbered<T> {
    /// `make`: one that nobody has numbered yet.
    fn number<Q>(&mut self, one: &Q, make: impl FnOnce() -> T) -> usize
    where
        T: Borrow<Q>,
        Q: ?Sized + Eq + Hash,
    {
        let Self { all, numbers, hasher } = self;
        let hash = hasher.hash_one(one);
        if let Some(&known) = numbers.find(hash, |&number| all[number as usize].borrow() == one) {
            return known as usize;
        }
        let number = u32::try_from(all.len()).expect("fewer than four thousand million of them");
        push_sparingly(all, make());
        numbers.insert_unique(hash, number, |&number| hasher.hash_one(all[number as usize].borrow()));
        number as usize
    }
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { all: Vec::new(), numbers: HashTable::new(), hasher: RandomState::new() }
    }
}
