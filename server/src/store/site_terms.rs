//! Zones and service hours of sites and to whom they belong, and since when each was known. Rows of those registered since they are kept, and of those of which it was said anew.
use std::borrow::Cow;

use kioskwatch_domain::{change::SiteTermsRow, image::TermsNoted};
use kioskwatch_proto::{SiteId, Timestamp};

use super::{
    Store, StoreError,
    image::Ends,
    row::{Loaded, RowReader, RowWriter, Stored, text_array},
    sql::{Sql, sql},
};

const ALL: Sql = sql!(
    all_site_terms,
    "SELECT site, known_from_at, timezone, service_hours, region, customer FROM site_terms ORDER BY site, known_from_at"
);
const THESE: Sql = sql!(
    these_site_terms,
    "SELECT site, known_from_at, timezone, service_hours, region, customer FROM site_terms
     WHERE site " AMONG_TEXTS " ORDER BY site, known_from_at"
);

macro_rules! noted_columns {
    () => {
        "site, first_at, newest_at"
    };
}

const SINCE: Sql = sql!(
    site_terms_since,
    "SELECT " {noted_columns, "site"} "
     FROM (SELECT site, MIN(known_from_at) AS first_at, MAX(known_from_at) AS newest_at
           FROM site_terms WHERE site >= $1 AND site <= $2 GROUP BY site) AS part"
);

impl Stored for SiteTermsRow {
    const TABLE: &'static str = "site_terms";
    /// What was always known stays.
    const WRITE: Sql = sql!(
        store_site_terms,
        "INSERT INTO site_terms (site, known_from_at, timezone, service_hours, region, customer)
         SELECT value->>0, CAST(value->>1 AS BIGINT), value->>2, value->>3, value->>4, value->>5
         FROM " ROWS " WHERE true
         ON CONFLICT (site, known_from_at) DO UPDATE SET
           timezone = excluded.timezone, service_hours = excluded.service_hours,
           region = excluded.region, customer = excluded.customer
         WHERE site_terms.known_from_at > 0"
    );
    type Key<'a> = (&'a SiteId, Timestamp);

    fn key(&self) -> Option<Self::Key<'_>> {
        Some((&self.site, self.known_from))
    }

    fn join<'a>(earlier: &Self, later: &'a Self) -> Result<Cow<'a, Self>, StoreError> {
        Ok(match later.known_from == Self::ALWAYS {
            true => Cow::Owned(earlier.clone()),
            false => Cow::Borrowed(later),
        })
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.text(self.site.as_str());
        row.time(self.known_from);
        row.text(&self.timezone);
        row.text(&self.service_hours);
        row.text(&self.region);
        row.text(&self.customer);
        Ok(())
    }
}

impl Loaded for SiteTermsRow {
    const TABLE: &'static str = "site_terms";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            site: row.id()?,
            known_from: row.time()?,
            timezone: row.text()?,
            service_hours: row.text()?,
            region: row.text()?,
            customer: row.text()?,
        })
    }
}

/// Since when the first and the newest terms of a site are known.
struct Noted(SiteId, TermsNoted);

impl Loaded for Noted {
    const TABLE: &'static str = "site_terms";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self(row.id()?, TermsNoted { first: row.time()?, newest: row.time()? }))
    }
}

impl Store {
    /// Of those of which anything was ever noted.
    pub(super) async fn terms_noted_between(
        &self,
        ends: &Ends,
    ) -> Result<Vec<(SiteId, TermsNoted)>, StoreError> {
        let rows: Vec<Noted> = self.gathered(&SINCE, |q| ends.bind(q)).await?;
        Ok(rows.into_iter().map(|Noted(site, noted)| (site, noted)).collect())
    }

    /// Of these sites, or of all, what was ever noted of their terms: by site, in the order in which it became known.
    pub async fn site_terms(&self, sites: Option<&[&str]>) -> Result<Vec<SiteTermsRow>, StoreError> {
        match sites.map(text_array) {
            Some(names) => self.rows(&THESE, |q| q.bind(names)).await,
            None => self.rows(&ALL, |q| q).await,
        }
    }
}
