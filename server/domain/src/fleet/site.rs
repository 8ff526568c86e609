//! One site in memory.
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use kioskwatch_proto::{SiteId, Timestamp};
use uuid::Uuid;

use super::{
    Ix, MAX_SHARED,
    hours::{Hours, Window},
};
use crate::{
    change::{SiteRow, Zone},
    image::TermsNoted,
    uptime::contracts::Contract,
};

/// What is written of a site, and how its kiosks are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Site {
    pub(super) written: Arc<WrittenSite>,
    /// `None`: registered by a server that noted nothing, and never changed since.
    pub(super) terms_noted: Option<TermsNoted>,
    pub(super) kiosks: Arc<[Ix]>,
    /// What most sites have none of.
    busy: Option<Box<BusySite>>,
}

/// A site as it is stored. An office writes the same hours, regions and customers at thousands of sites: those that say
/// the same share one copy.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenSite {
    id: Arc<SiteId>,
    terms: Arc<Terms>,
    contract: Arc<Contract>,
    /// The name and the contacts: each by itself takes some 16 bytes more.
    texts: Box<str>,
    /// Bytes of the name.
    name_length: u32,
    zone: Zone,
    remote_consent: bool,
    updated_at: Timestamp,
}

/// What people or the sweep still have to do with a site.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct BusySite {
    /// The open site incident.
    pub(super) outage: Option<Uuid>,
    /// Tickets of the site itself: outages and batches.
    pub(super) tickets: Vec<Uuid>,
    pub(super) windows: Vec<Window>,
}

static IDLE: BusySite = BusySite { outage: None, tickets: Vec::new(), windows: Vec::new() };

/// By which clock and hours a site is open, as people wrote it and as it is read.
#[derive(Debug, PartialEq)]
struct Terms {
    written: Written,
    hours: Hours,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Written {
    timezone: String,
    service_hours: String,
}

/// What sites have in common, each once, up to [`MAX_SHARED`] of a kind; beyond it each site keeps its own.
#[derive(Debug, Default)]
pub(super) struct Alike {
    terms: HashMap<Written, Arc<Terms>>,
    contracts: HashSet<Arc<Contract>>,
}

impl Alike {
    /// Hours that cannot be read count as always open.
    fn terms(&self, row: &SiteRow) -> Arc<Terms> {
        let written = Written { timezone: row.timezone.clone(), service_hours: row.service_hours.clone() };
        if let Some(known) = self.terms.get(&written) {
            return Arc::clone(known);
        }
        let hours = Hours::parse(&row.timezone, &row.service_hours).unwrap_or_else(|_| Hours::always());
        Arc::new(Terms { written, hours })
    }

    /// A site that is kept shares what it can, and others share it with that site.
    pub(super) fn share(&mut self, site: &mut Site) {
        // One that others hold was not written anew.
        let Some(site) = Arc::get_mut(&mut site.written) else { return };
        if let Some(known) = self.terms.get(&site.terms.written) {
            site.terms = Arc::clone(known);
        } else if self.terms.len() < MAX_SHARED {
            self.terms.insert(site.terms.written.clone(), Arc::clone(&site.terms));
        }
        if let Some(known) = self.contracts.get(&site.contract) {
            site.contract = Arc::clone(known);
        } else if self.contracts.len() < MAX_SHARED {
            self.contracts.insert(Arc::clone(&site.contract));
        }
    }
}

impl WrittenSite {
    fn of(row: &SiteRow, alike: &Alike) -> Self {
        let (region, customer) = (row.region.clone(), row.customer.clone());
        Self {
            id: Arc::new(row.id.clone()),
            terms: alike.terms(row),
            contract: Arc::new(Contract { region, customer }),
            texts: [row.name.as_str(), &row.contacts].concat().into(),
            name_length: u32::try_from(row.name.len()).unwrap_or(u32::MAX),
            zone: row.zone,
            remote_consent: row.remote_consent,
            updated_at: row.updated_at,
        }
    }

    #[must_use]
    pub fn id(&self) -> &SiteId {
        &self.id
    }

    #[must_use]
    pub fn name(&self) -> &str {
        self.texts().0
    }

    /// The name, and the contacts.
    fn texts(&self) -> (&str, &str) {
        self.texts.split_at_checked(self.name_length as usize).unwrap_or((&self.texts, ""))
    }

    /// To whom it belongs.
    #[must_use]
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    #[must_use]
    pub fn zone(&self) -> Zone {
        self.zone
    }

    #[must_use]
    pub fn timezone(&self) -> &str {
        &self.terms.written.timezone
    }

    #[must_use]
    pub fn service_hours(&self) -> &str {
        &self.terms.written.service_hours
    }

    pub(super) fn row(&self) -> SiteRow {
        SiteRow {
            id: self.id().clone(),
            name: self.name().to_owned(),
            region: self.contract.region.clone(),
            customer: self.contract.customer.clone(),
            zone: self.zone,
            timezone: self.timezone().to_owned(),
            service_hours: self.service_hours().to_owned(),
            contacts: self.texts().1.to_owned(),
            remote_consent: self.remote_consent,
            updated_at: self.updated_at,
        }
    }
}

impl Site {
    /// A new site from its row.
    pub(super) fn of(row: &SiteRow, alike: &Alike) -> Self {
        Self {
            written: Arc::new(WrittenSite::of(row, alike)),
            terms_noted: None,
            kiosks: Arc::default(),
            busy: None,
        }
    }

    /// Its id, for those who point at it: a name takes three times the room.
    pub(super) fn key(&self) -> Arc<SiteId> {
        Arc::clone(&self.written.id)
    }

    /// The same site with what people wrote anew.
    pub(super) fn rewritten(&self, written: Self) -> Self {
        Self { kiosks: Arc::clone(&self.kiosks), busy: self.busy.clone(), ..written }
    }

    pub(super) fn hours(&self) -> &Hours {
        &self.written.terms.hours
    }

    pub(super) fn busy(&self) -> &BusySite {
        self.busy.as_deref().unwrap_or(&IDLE)
    }

    pub(super) fn busy_mut(&mut self) -> &mut BusySite {
        self.busy.get_or_insert_default()
    }

    /// Gives back the memory of what is done.
    pub(super) fn tidy(&mut self) {
        if self.busy.as_deref() == Some(&IDLE) {
            self.busy = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(customer: &str, service_hours: &str) -> SiteRow {
        SiteRow {
            id: SiteId::new("S-1").unwrap(),
            name: "hall".into(),
            region: "north".into(),
            customer: customer.into(),
            zone: Zone::Urban,
            timezone: "Asia/Shanghai".into(),
            service_hours: service_hours.into(),
            contacts: r#"[{"name":"Li"}]"#.into(),
            remote_consent: true,
            updated_at: Timestamp(7),
        }
    }

    #[test]
    fn sites_share_what_they_say_alike_and_each_is_stored_as_it_was_written() {
        let day = r#"[{"weekly":{"mon":[["08:00","20:00"]]}}]"#;
        let mut alike = Alike::default();
        let mut kept = |customer, hours| {
            // Both were written before either was kept, as in one plan.
            let mut site = Site::of(&row(customer, hours), &Alike::default());
            alike.share(&mut site);
            assert_eq!(site.written.row(), row(customer, hours));
            site
        };
        let [first, same, other] =
            [("Bank", day), ("Bank", day), ("Shop", "no hours")].map(|(c, h)| kept(c, h));
        assert!(
            Arc::ptr_eq(&first.written.terms, &same.written.terms)
                && Arc::ptr_eq(&first.written.contract, &same.written.contract)
        );
        assert!(
            !Arc::ptr_eq(&first.written.terms, &other.written.terms)
                && !Arc::ptr_eq(&first.written.contract, &other.written.contract)
        );
        assert_eq!(other.hours(), &Hours::always(), "nobody can read them");
        let read_again = Site::of(&row("Bank", day), &alike);
        assert!(Arc::ptr_eq(&read_again.written.terms, &first.written.terms), "hours are read once");
    }

    #[test]
    fn what_sites_do_not_share_has_a_limit_and_takes_little_room() {
        let parts = [size_of::<Site>(), size_of::<WrittenSite>()];
        assert!(parts[0] <= 56 && parts[1] <= 56, "{parts:?}: a megabyte for every thirty bytes of 33,000");
        let mut alike = Alike::default();
        for n in 0..=MAX_SHARED {
            let mut site = Site::of(&row(&n.to_string(), &n.to_string()), &alike);
            alike.share(&mut site);
        }
        assert_eq!((alike.terms.len(), alike.contracts.len()), (MAX_SHARED, MAX_SHARED));
    }
}
