//! Who stood where and belonged to whom within a time: the kiosks a question is about, without a look at the rest
//! of the fleet.
use kioskwatch_domain::{change::GroupKind, uptime::Month};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};

use super::{
    Store, StoreError,
    kiosks::id_array,
    row::{Loaded, RowReader, text_array},
    sql::{Query, Sql, sql},
};

/// A kiosk whose moves were never written down stands where it is registered.
const OF_GROUPS: Sql = sql!(
    kiosks_of_groups,
    "SELECT kiosk FROM assignment
     WHERE group_kind = $2 AND group_id " AMONG_TEXTS " AND from_at < $4 AND (to_at IS NULL OR to_at > $3)
     UNION SELECT kiosk FROM correction
     WHERE kind = CASE $2 WHEN 'site' THEN 'stood_at' ELSE 'answered_for' END AND state = 'approved'
       AND after_value " AMONG_TEXTS " AND from_at < $4 AND to_at > $3
     UNION SELECT id FROM kiosk WHERE $2 = 'site' AND site " AMONG_TEXTS " ORDER BY 1"
);
const OF_MODEL: Sql =
    sql!(kiosks_of_model, "SELECT id FROM kiosk WHERE $1 IS NULL OR model = $1 ORDER BY id");
/// Of whom nothing of the month `$2` had been signed by `$3`. A look for each kiosk, as in `months::official`.
macro_rules! unsigned {
    () => {
        "(SELECT MAX(m.version) FROM uptime_month m
           WHERE m.month = $2 AND m.kiosk = k.id AND m.version > 0 AND m.booked_at <= $3) IS NULL
         ORDER BY k.id"
    };
}
const UNSIGNED_OF_MODEL: Sql =
    sql!(unsigned_of_model, "SELECT k.id FROM kiosk k WHERE ($1 IS NULL OR k.model = $1) AND "[unsigned]);
const UNSIGNED_AMONG: Sql =
    sql!(unsigned_among, "SELECT k.id FROM kiosk k WHERE k.id " AMONG_TEXTS " AND " [unsigned]);
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
    /// Kiosks that belonged to one of these sites or engineers within `from..to`, by id; of sites also those
    /// that are registered there now.
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

    /// Kiosks of this model, or all, by id.
    pub async fn kiosks_of_model(&self, model: Option<&str>) -> Result<Vec<KioskId>, StoreError> {
        let model = model.map(str::to_owned);
        let kiosks: Vec<Kiosk> = self.rows(&OF_MODEL, |q| q.bind(model)).await?;
        Ok(kiosks.into_iter().map(|kiosk| kiosk.0).collect())
    }

    /// Of [`Self::kiosks_of_model`] those of whom nothing of a month had been signed by an instant.
    pub async fn unsigned_of_model(
        &self,
        model: Option<&str>,
        month: Month,
        by: Timestamp,
    ) -> Result<Vec<KioskId>, StoreError> {
        let model = model.map(str::to_owned);
        let bind = |q: Query| q.bind(model).bind(month.to_string()).bind(by.ms());
        let kiosks: Vec<Kiosk> = self.rows(&UNSIGNED_OF_MODEL, bind).await?;
        Ok(kiosks.into_iter().map(|kiosk| kiosk.0).collect())
    }

    /// The same of these kiosks.
    pub async fn unsigned_among(
        &self,
        kiosks: &[KioskId],
        month: Month,
        by: Timestamp,
    ) -> Result<Vec<KioskId>, StoreError> {
        let ids = id_array(kiosks.iter());
        let bind = |q: Query| q.bind(ids).bind(month.to_string()).bind(by.ms());
        let kiosks: Vec<Kiosk> = self.rows(&UNSIGNED_AMONG, bind).await?;
        Ok(kiosks.into_iter().map(|kiosk| kiosk.0).collect())
    }

    /// Sites that are or ever were of a region or a customer; `kind` says which.
    pub async fn sites_of_contract(&self, kind: &'static str, name: &str) -> Result<Vec<SiteId>, StoreError> {
        let name = name.to_owned();
        let sites: Vec<Site> = self.rows(&OF_CONTRACT, |q| q.bind(kind).bind(name)).await?;
        Ok(sites.into_iter().map(|site| site.0).collect())
    }
}
