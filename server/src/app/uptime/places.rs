//! Sites as figures see them: wall clock, service hours, to whom they belong; and what was known of them when.
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono_tz::Tz;
use kioskwatch_domain::{
    calendar::WorkCalendar,
    change::{AssignmentRow, CorrectionRow, KioskRow, SiteRow, SiteTermsRow},
    interval::{Interval, IntervalSet},
    service_hours::Schedule,
    uptime::{
        Known, Month,
        booking::{self, Owner, owners},
        books::Terms,
        contracts::{Contract, Contracts},
    },
};
use kioskwatch_proto::SiteId;

use super::UptimeScope;
use crate::{config::Config, store::KioskNow};

/// A site as figures see it.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) zone: Tz,
    pub(super) schedule: Schedule,
    /// What could not be read, and counts as always open or in the default zone.
    pub(super) problem: Option<String>,
}

impl Place {
    /// When a site is open; time that nobody owned is always open, wherever the kiosk stands later.
    pub(super) fn open(place: Option<&Self>, calendar: &WorkCalendar, within: Interval) -> IntervalSet {
        place.map_or_else(
            || IntervalSet::of(within),
            |place| place.schedule.open_times(place.zone, calendar, within),
        )
    }

    fn of(timezone: &str, service_hours: &str, default_zone: Tz) -> Self {
        Self {
            zone: timezone.parse().unwrap_or(default_zone),
            schedule: Schedule::of_site(service_hours).unwrap_or_else(|_| Schedule::always_open()),
            problem: unreadable(timezone, service_hours),
        }
    }
}

/// What of a site's hours and zone cannot be read, and counts as always open or in the default zone.
pub fn unreadable(timezone: &str, service_hours: &str) -> Option<String> {
    let zone = timezone.parse::<Tz>().err().map(|_| format!("{timezone:?} is no IANA time zone"));
    Schedule::of_site(service_hours).err().map(|error| error.to_string()).or(zone)
}

/// Zones and hours as people wrote them: an office writes the same at thousands of sites, which share one place.
#[derive(Default)]
pub(super) struct Alike(HashMap<(String, String), Arc<Place>>);

impl Alike {
    fn place(&mut self, timezone: &str, service_hours: &str, default_zone: Tz) -> Arc<Place> {
        let place = || Arc::new(Place::of(timezone, service_hours, default_zone));
        let written = (timezone.to_owned(), service_hours.to_owned());
        Arc::clone(self.0.entry(written).or_insert_with(place))
    }
}

/// What is known of one site.
#[derive(Clone, Default)]
struct Told {
    /// `None`: it was registered while the others were read.
    now: Option<Arc<Place>>,
    /// Whatever was noted of it.
    noted: Known<Arc<Place>>,
}

/// Sites: all, or those that a question is about.
#[derive(Clone)]
pub(super) struct Places {
    sites: BTreeMap<SiteId, Told>,
    contracts: Contracts,
    default_zone: Tz,
}

impl Places {
    pub(super) fn none(config: &Config) -> Self {
        let default_zone = config.console.timezone.parse().unwrap_or(chrono_tz::UTC);
        Self { sites: BTreeMap::new(), contracts: Contracts::default(), default_zone }
    }

    /// Sites that were not among them. `terms`: what was ever noted of these, read after them: of one that changed
    /// meanwhile it says what it was.
    pub(super) fn learn(&mut self, sites: &[SiteRow], terms: &[SiteTermsRow], alike: &mut Alike) {
        let (mut told, mut contracts) = (BTreeMap::<SiteId, Told>::new(), self.contracts.page());
        for row in terms {
            let place = alike.place(&row.timezone, &row.service_hours, self.default_zone);
            told.entry(row.site.clone()).or_default().noted.learn(row.known_from, place);
            let (region, customer) = (row.region.clone(), row.customer.clone());
            contracts.learn(&row.site, row.known_from, Contract { region, customer });
        }
        for site in sites {
            let told = told.entry(site.id.clone()).or_default();
            told.now = Some(alike.place(&site.timezone, &site.service_hours, self.default_zone));
            if told.noted.before(None).is_none() {
                let (region, customer) = (site.region.clone(), site.customer.clone());
                contracts.learn(&site.id, SiteTermsRow::ALWAYS, Contract { region, customer });
            }
        }
        // One by one in their order they would fill half of the map's room.
        self.sites.append(&mut told);
        self.contracts.extend(contracts);
    }

    /// What two people said of to whom the sites belonged.
    pub(super) fn correct(&mut self, corrected: &[CorrectionRow]) {
        for row in corrected {
            self.contracts.correct(row, row.decided.as_ref().map_or(row.requested_at, |decided| decided.at));
        }
    }

    /// The same, with other service hours at one site.
    pub(super) fn with_hours(&self, site: &SiteId, hours: &str) -> Self {
        match Schedule::of_site(hours) {
            Ok(schedule) => self.with_place(site, |place| place.schedule = schedule),
            Err(_) => self.clone(),
        }
    }

    /// The same, on another wall clock at one site.
    pub(super) fn with_zone(&self, site: &SiteId, zone: Tz) -> Self {
        self.with_place(site, |place| place.zone = zone)
    }

    fn with_place(&self, site: &SiteId, change: impl FnOnce(&mut Place)) -> Self {
        let mut other = self.clone();
        if let Some(place) = other.sites.get_mut(site).and_then(|told| told.now.as_mut()) {
            change(Arc::make_mut(place));
        }
        other
    }

    /// The same, as if two people had just said so of to whom a site belonged.
    pub(super) fn with_contract(&self, row: &CorrectionRow) -> Self {
        let mut other = self.clone();
        other.contracts.correct(row, row.requested_at);
        other
    }

    /// The same, with sites that were not among them.
    pub(super) fn with(&self, others: Self) -> Self {
        let mut all = self.clone();
        all.sites.extend(others.sites);
        all.contracts.extend(others.contracts);
        all
    }

    pub(super) fn get(&self, site: Option<&SiteId>) -> Option<&Place> {
        self.told(site)?.now.as_deref()
    }

    fn told(&self, site: Option<&SiteId>) -> Option<&Told> {
        site.and_then(|id| self.sites.get(id))
    }

    /// As it was known before a second; `None`: as it is known.
    pub(super) fn known(&self, site: Option<&SiteId>, before: Option<i64>) -> Option<&Place> {
        let noted = self.told(site).filter(|_| before.is_some());
        noted.and_then(|told| told.noted.before(before)).map(Arc::as_ref).or_else(|| self.get(site))
    }

    pub(super) fn sites(&self) -> impl Iterator<Item = &SiteId> {
        self.sites.iter().filter(|(_, told)| told.now.is_some()).map(|(id, _)| id)
    }

    /// Whose wall clock a kiosk follows at an instant: that of the site where it stood then, as it was known before a
    /// second, and nobody's where it stood nowhere.
    pub(super) fn zone(
        &self,
        kiosk: &KioskRow,
        assignments: &[AssignmentRow],
        at: i64,
        known_before: Option<i64>,
    ) -> Tz {
        let rows: Vec<&AssignmentRow> = booking::known_before(assignments, known_before).collect();
        let owner = owners(kiosk, &rows).into_iter().find(|(_, set)| set.contains(at));
        let stood = owner.and_then(|(owner, _)| owner.site);
        self.known(stood.as_ref(), known_before).map_or(self.default_zone, |place| place.zone)
    }

    /// A month of a kiosk that nobody signed, and the zone of its wall clock: that of where it stood at the month's end,
    /// or stands while it runs. It begins where the month before it ended: a kiosk that moved to another zone, or whose
    /// site did, has each of its hours in one month.
    pub(super) fn unsigned(
        &self,
        stood: (&KioskRow, &[AssignmentRow]),
        month: Month,
        asked_at: (i64, Option<i64>),
        terms: &Terms,
    ) -> (Tz, Interval) {
        let (_, from) = self.end(stood, month.previous(), asked_at, terms);
        let (zone, to) = self.end(stood, month, asked_at, terms);
        (zone, Interval::new(from, to))
    }

    /// When a month ends, as it was known at `as_of`, or is by now. Past its freeze as it was known at that: so it is
    /// signed, however late.
    fn end(
        &self,
        (kiosk, assignments): (&KioskRow, &[AssignmentRow]),
        month: Month,
        (now, as_of): (i64, Option<i64>),
        terms: &Terms,
    ) -> (Tz, i64) {
        let known = |before| {
            let zone = self.zone(kiosk, assignments, last_second(month, now), before);
            (zone, month.period(zone).to)
        };
        let (zone, to) = known(as_of);
        let freeze = terms.freeze_at(to);
        if freeze <= as_of.unwrap_or(now) { known(Some(freeze)) } else { (zone, to) }
    }

    /// Of where it is registered now.
    pub(super) fn zone_of(&self, view: &KioskNow) -> Tz {
        self.zone_at(view.kiosk.site.as_ref())
    }

    pub(super) fn zone_at(&self, site: Option<&SiteId>) -> Tz {
        self.get(site).map_or(self.default_zone, |place| place.zone)
    }

    /// To whom the sites belonged when.
    pub(super) const fn contracts(&self) -> &Contracts {
        &self.contracts
    }

    /// When a kiosk had to work, by the hours of where it stood as they are known.
    pub(super) fn open(
        &self,
        kiosk: &KioskRow,
        assignments: &[AssignmentRow],
        calendar: &WorkCalendar,
        within: Interval,
    ) -> IntervalSet {
        let open = |(owner, set): &(Owner, IntervalSet)| {
            Place::open(self.get(owner.site.as_ref()), calendar, within).intersect(set)
        };
        self.owners(kiosk, assignments, None)
            .iter()
            .map(open)
            .fold(IntervalSet::empty(), |all, one| all.union(&one))
    }

    /// All of time divided among whom a kiosk belonged to, as it was known before a second; `None`: as it is known.
    pub(super) fn owners(
        &self,
        kiosk: &KioskRow,
        assignments: &[AssignmentRow],
        known_before: Option<i64>,
    ) -> Vec<(Owner, IntervalSet)> {
        let rows: Vec<&AssignmentRow> = booking::known_before(assignments, known_before).collect();
        self.contracts.divide(owners(kiosk, &rows), known_before)
    }
}

/// Whether a second of this owner belongs to the group asked for (uptime definition 2.9).
pub(super) fn belongs(owner: &Owner, scope: &UptimeScope) -> bool {
    match scope {
        UptimeScope::Kiosk(_) | UptimeScope::Fleet => true,
        UptimeScope::Model(name) => owner.model == *name,
        UptimeScope::Site(id) => owner.site.as_ref() == Some(id),
        UptimeScope::Engineer(name) => owner.engineer.as_ref() == Some(name),
        UptimeScope::Region(name) => owner.site.is_some() && owner.contract.region == *name,
        UptimeScope::Customer(name) => owner.site.is_some() && owner.contract.customer == *name,
    }
}

/// Of a month, as far as it has been. It differs by hours with the zone that is looked for by it: that of UTC is near
/// enough to all.
fn last_second(month: Month, now: i64) -> i64 {
    (month.period(Tz::UTC).to - 1).min(now)
}
