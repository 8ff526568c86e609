//! Who stood where and belonged to whom within a time: the kiosks a question is about, without a look at the rest
//! of the fleet.
use kioskwatch_domain::change::GroupKind;
use kioskwatch_proto::{KioskId, SiteId, Timestamp};

use super::{
    Store, StoreError,
    row::{Loaded, RowReader, text_array},
    sql::{Query, Sql, sql},
};

/// A kiosk whose moves were never written down stands where it is registered, and is the model that is.
const OF_GROUPS: Sql = sql!(
    kiosks_of_groups,
    "SELECT kiosk FROM assignment
     WHERE group_kind = $2 AND group_id " AMONG_TEXTS " AND from_at < $4 AND (to_at IS NULL OR to_at > $3)
     UNION SELECT kiosk FROM correction
     WHERE kind = CASE $2 WHEN 'site' THEN 'stood_at' WHEN 'model' THEN 'was_model' ELSE 'answered_for' END AND state = 'approved'
       AND after_value " AMONG_TEXTS " AND from_at < $4 AND to_at > $3
     UNION SELECT id FROM kiosk WHERE $2 = 'site' AND site " AMONG_TEXTS "
     UNION SELECT id FROM kiosk WHERE $2 = 'model' AND model " AMONG_TEXTS " ORDER BY 1"
);
const EVERY: Sql = sql!(every_kiosk, "SELECT id FROM kiosk ORDER BY id");
const OF_CONTRACT: Sql = sql!(
    sites_of_contract,
    "SELECT id FROM site WHERE ($1 = 'region' AND region = $2) OR ($1 = 'customer' AND customer = $2)
     UNION SELECT site FROM site_terms WHERE ($1 = 'region' AND region = $2) OR ($1 = 'customer' AND customer = $2)
     UNION SELECT site FROM correction
     WHERE kind = 'belonged_to' AND state = 'approved'
       AND (($1 = 'region' AND region = $2) OR ($1 = 'customer' AND customer = $2))"
);
struct Kiosk(KioskId);

impl Loaded for Kiosk {
    const TABLE: &'static str = "kiosk";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        row.id().map(Self)
    }
}

struct Site(SiteId);

impl Loaded for Site {
    const TABLE: &'static str = "site";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        row.id().map(Self)
    }
}

impl Store {
    /// Kiosks that belonged to one of these sites, engineers or models within `from..to`, by id; of sites and models also
    /// those that are registered so now.
    pub async fn kiosks_of_groups(
        &self,
        kind: GroupKind,
        names: Vec<&str>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<KioskId>, StoreError> {
        let names = text_array(&names);
        let bind = |q: Query| q.bind(names).bind(kind.as_str()).bind(from.ms()).bind(to.ms());
        let kiosks: Vec<Kiosk> = self.rows(&OF_GROUPS, bind).await?;
        Ok(kiosks.into_iter().map(|kiosk| kiosk.0).collect())
    }

    /// By id.
    pub async fn every_kiosk(&self) -> Result<Vec<KioskId>, StoreError> {
        let kiosks: Vec<Kiosk> = self.rows(&EVERY, |q| q).await?;
        Ok(kiosks.into_iter().map(|kiosk| kiosk.0).collect())
    }

    /// Sites that are or ever were of a region or a customer; `kind` says which.
    pub async fn sites_of_contract(&self, kind: &'static str, name: &str) -> Result<Vec<SiteId>, StoreError> {
        let name = name.to_owned();
        let sites: Vec<Site> = self.rows(&OF_CONTRACT, |q| q.bind(kind).bind(name)).await?;
        Ok(sites.into_iter().map(|site| site.0).collect())
    }
}
