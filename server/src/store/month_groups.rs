//! Month figures of every group of a kind at once: all sites of a region, all kiosks of a site.
use kioskwatch_domain::uptime::{Figures, Month, Ratio};

use super::{
    Scope, Store, StoreError,
    month_totals::of_group,
    months::official,
    row::{Loaded, RowReader},
    sql::{Sql, sql},
};

/// Groups of one answer; the worst come first, so what is cut off is well.
pub const MAX_GROUPS: u32 = 500;

/// `$3` and `$4` name the whole, `$5` how it is divided, `$8` by which ratio the worst come first. A share that was taken
/// away is no part any more.
const GROUPS: Sql = sql!(
    groups_of_months,
    "SELECT CASE $5 WHEN 'region' THEN m.region WHEN 'site' THEN m.site WHEN 'customer' THEN m.customer
                    WHEN 'engineer' THEN m.engineer WHEN 'model' THEN m.model ELSE m.kiosk END AS name,
            CAST(SUM(m.accountable_s) AS BIGINT), CAST(SUM(m.known_s) AS BIGINT),
            CAST(SUM(m.on_s) AS BIGINT), CAST(SUM(m.on_of_s) AS BIGINT),
            CAST(SUM(m.avail_s) AS BIGINT), CAST(SUM(m.avail_of_s) AS BIGINT),
            CAST(SUM(m.full_s) AS BIGINT), CAST(SUM(m.full_of_s) AS BIGINT),
            CAST(SUM(m.outages) AS BIGINT), CAST(MAX(m.longest_outage_s) AS BIGINT),
            CAST(MIN(m.version) AS BIGINT), CAST(MAX(m.version) AS BIGINT),
            CAST(COUNT(DISTINCT m.kiosk) AS BIGINT)
     FROM uptime_month m
     WHERE m.month BETWEEN $2 AND $6 AND ($1 IS NULL OR m.site IN " TEXTS ")
       AND m.accountable_s + m.excluded_s > 0 AND " [of_group] " AND " [official] "
     GROUP BY 1
     ORDER BY SUM(CASE $8 WHEN 'on' THEN m.on_of_s - m.on_s WHEN 'full' THEN m.full_of_s - m.full_s
                  ELSE m.avail_of_s - m.avail_s END) DESC, 1 LIMIT $7"
);

/// The official figures of one group in some months.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthGroup {
    /// Empty: what belonged to none.
    pub name: String,
    /// Without causes and reachability.
    pub figures: Figures,
    pub outages: i64,
    pub longest_outage_s: i64,
    /// The lowest and the highest version among its kiosks; 0: not signed yet.
    pub oldest_version: u32,
    pub newest_version: u32,
    pub kiosks: u64,
}

impl Loaded for MonthGroup {
    const TABLE: &'static str = "uptime_month";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        let name = row.text()?;
        let mut figures = Figures { accountable_s: row.int()?, known_s: row.int()?, ..Figures::default() };
        let mut ratio = || Ok::<_, StoreError>(Ratio::new(row.int()?, row.int()?));
        (figures.on, figures.avail, figures.full) = (ratio()?, ratio()?, ratio()?);
        Ok(Self {
            name,
            figures,
            outages: row.int()?,
            longest_outage_s: row.int()?,
            oldest_version: row.number()?,
            newest_version: row.number()?,
            kiosks: row.number()?,
        })
    }
}

impl Store {
    /// The parts of a whole in the months `from..=to`, those that lost most of `ratio` first (`on`, `avail` or `full`),
    /// at most [`MAX_GROUPS`]. `whole` is a kind (region, site, customer, engineer, model or fleet) with its name; `by`
    /// one of these kinds or kiosk.
    pub async fn groups_of_months(
        &self,
        scope: &Scope,
        (from, to): (Month, Month),
        (kind, id): (&'static str, &str),
        by: &'static str,
        ratio: &'static str,
    ) -> Result<Vec<MonthGroup>, StoreError> {
        let id = id.to_owned();
        self.rows(&GROUPS, |q| {
            q.bind(scope.to_json())
                .bind(from.to_string())
                .bind(kind)
                .bind(id)
                .bind(by)
                .bind(to.to_string())
                .bind(i64::from(MAX_GROUPS))
                .bind(ratio)
        })
        .await
    }
}
