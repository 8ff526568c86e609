//! What is said of sites, as the books need it.
use std::{collections::BTreeMap, sync::Arc};

use kioskwatch_domain::change::GroupKind;
use kioskwatch_proto::{KioskId, SiteId};

use super::Keeper;
use crate::{
    app::uptime::{dirty::Since, places::Places},
    store::StoreError,
};

impl Keeper {
    /// What changed at a site changed for those that have stood there since, wherever they stand now.
    pub(super) async fn spread_sites(&mut self) -> Result<(), StoreError> {
        let sites = self.app.books().dirty().take_sites();
        if sites.is_empty() {
            return Ok(());
        }
        self.places = None;
        let stood = self.stood_at(&sites).await;
        match &stood {
            Ok(kiosks) => self.put_back(kiosks.iter().map(|(id, since)| (id, since))),
            Err(_) => {
                let mut waiting = self.app.books().dirty();
                sites.iter().for_each(|(id, since)| waiting.site(id, *since));
            }
        }
        stood.map(drop)
    }

    async fn stood_at(&self, sites: &BTreeMap<SiteId, Since>) -> Result<Vec<(KioskId, Since)>, StoreError> {
        let mut by_since: BTreeMap<Since, Vec<&str>> = BTreeMap::new();
        for (id, since) in sites {
            by_since.entry(*since).or_default().push(id.as_str());
        }
        let (store, now) = (self.app.store(), self.app.clock().now());
        let mut stood = Vec::new();
        for (since, names) in by_since {
            let kiosks = store.kiosks_of_groups(GroupKind::Site, names, since, now).await?;
            stood.extend(kiosks.into_iter().map(|id| (id, since)));
        }
        Ok(stood)
    }

    pub(super) async fn places(&mut self) -> Result<Arc<Places>, StoreError> {
        if let Some(places) = &self.places {
            return Ok(Arc::clone(places));
        }
        let app = self.app.clone();
        let places = app.uptime_reader().places().await?;
        Ok(Arc::clone(self.places.insert(Arc::new(places))))
    }
}
