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

/// What is stored of it, and how its kiosks are. An office writes the same hours, regions and customers at thousands of
/// sites: those that say the same share one copy.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Site {
    terms: Arc<Terms>,
    contract: Arc<Contract>,
    name: Box<str>,
    contacts: Box<str>,
    pub(super) zone: Zone,
    remote_consent: bool,
    updated_at: Timestamp,
    /// `None`: registered by a server that noted nothing, and never changed since.
    pub(super) terms_noted: Option<TermsNoted>,
    pub(super) kiosks: Arc<[Ix]>,
    /// What most sites have none of.
    busy: Option<Box<BusySite>>,
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

impl Site {
    /// A new site from its row.
    pub(super) fn of(row: &SiteRow, alike: &Alike) -> Self {
        let (region, customer) = (row.region.clone(), row.customer.clone());
        Self {
            terms: alike.terms(row),
            contract: Arc::new(Contract { region, customer }),
            name: row.name.as_str().into(),
            contacts: row.contacts.as_str().into(),
            zone: row.zone,
            remote_consent: row.remote_consent,
            updated_at: row.updated_at,
            terms_noted: None,
            kiosks: Arc::default(),
            busy: None,
        }
    }

    /// As it is stored.
    pub(super) fn row(&self, id: &SiteId) -> SiteRow {
        SiteRow {
            id: id.clone(),
            name: self.name.to_string(),
            region: self.contract.region.clone(),
            customer: self.contract.customer.clone(),
            zone: self.zone,
            timezone: self.terms.written.timezone.clone(),
            service_hours: self.terms.written.service_hours.clone(),
            contacts: self.contacts.to_string(),
            remote_consent: self.remote_consent,
            updated_at: self.updated_at,
        }
    }

    /// The same site with what people wrote anew.
    pub(super) fn rewritten(&self, written: Self) -> Self {
        Self { kiosks: Arc::clone(&self.kiosks), busy: self.busy.clone(), ..written }
    }

    pub(super) fn hours(&self) -> &Hours {
        &self.terms.hours
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
