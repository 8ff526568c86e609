//! Sites: places with kiosks.
use kioskwatch_domain::change::{SiteRow, Zone};
use kioskwatch_proto::SiteId;

use super::{
    Page, PageRequest, Scope, Store, StoreError,
    row::{Loaded, RowReader, RowWriter, Stored, text_array},
    sql::{Sql, sql},
};

macro_rules! columns {
    () => {
        "id, name, region, customer, zone, timezone, service_hours, contacts, remote_consent, updated_at"
    };
}

const NEXT: Sql = sql!(
    next_sites,
    "SELECT " {columns, "id"} " FROM (SELECT " [columns] " FROM site WHERE id > $1 ORDER BY id LIMIT $2) AS part"
);
const LIST: Sql = sql!(
    list_sites,
    "SELECT " [columns] " FROM site
     WHERE id > $2 AND ($1 IS NULL OR id IN " TEXTS ")
     ORDER BY id LIMIT $3"
);
const THESE: Sql = sql!(these_sites, "SELECT " [columns] " FROM site WHERE id " AMONG_TEXTS);
const ONE: Sql = sql!(
    one_site,
    "SELECT " [columns] " FROM site WHERE id = $2 AND ($1 IS NULL OR id IN " TEXTS ")"
);

impl Stored for SiteRow {
    const TABLE: &'static str = "site";
    const WRITE: Sql = sql!(
        store_sites,
        "INSERT INTO site (" [columns] ")
         SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7,
                CAST(value->>8 AS BIGINT), CAST(value->>9 AS BIGINT)
         FROM " ROWS " WHERE true
         ON CONFLICT (id) DO UPDATE SET
           name = excluded.name, region = excluded.region, customer = excluded.customer,
           zone = excluded.zone, timezone = excluded.timezone, service_hours = excluded.service_hours,
           contacts = excluded.contacts, remote_consent = excluded.remote_consent,
           updated_at = excluded.updated_at"
    );
    type Key<'a> = &'a SiteId;

    fn key(&self) -> Option<&SiteId> {
        Some(&self.id)
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.text(self.id.as_str());
        row.text(&self.name);
        row.text(&self.region);
        row.text(&self.customer);
        row.text(self.zone.as_str());
        row.text(&self.timezone);
        row.text(&self.service_hours);
        row.text(&self.contacts);
        row.int(i64::from(self.remote_consent));
        row.time(self.updated_at);
        Ok(())
    }
}

impl Loaded for SiteRow {
    const TABLE: &'static str = "site";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id()?,
            name: row.text()?,
            region: row.text()?,
            customer: row.text()?,
            zone: row.word(Zone::parse)?,
            timezone: row.text()?,
            service_hours: row.text()?,
            contacts: row.text()?,
            remote_consent: row.int()? != 0,
            updated_at: row.time()?,
        })
    }
}

impl Store {
    /// The next `limit` sites by id; from the first without an id.
    pub(super) async fn next_sites(
        &self,
        after: Option<&SiteId>,
        limit: i64,
    ) -> Result<Vec<SiteRow>, StoreError> {
        let after = after.map_or(String::new(), SiteId::to_string);
        self.gathered(&NEXT, |q| q.bind(after).bind(limit)).await
    }

    /// By id.
    pub async fn sites(&self, scope: &Scope, page: &PageRequest) -> Result<Page<SiteRow>, StoreError> {
        let start: String = page.start()?;
        let rows = self.rows(&LIST, |q| q.bind(scope.to_json()).bind(start).bind(page.fetch_limit())).await?;
        Ok(page.finish(rows, |site: &SiteRow| site.id.to_string()))
    }

    /// Those of `ids` that exist.
    pub async fn sites_of(&self, ids: &[&str]) -> Result<Vec<SiteRow>, StoreError> {
        let ids = text_array(ids);
        self.rows(&THESE, |q| q.bind(ids)).await
    }

    pub async fn site(&self, scope: &Scope, id: &SiteId) -> Result<Option<SiteRow>, StoreError> {
        self.row(&ONE, |q| q.bind(scope.to_json()).bind(id.to_string())).await
    }
}
