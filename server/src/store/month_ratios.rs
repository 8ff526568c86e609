//! What a line through the months of a group is drawn from: its ratios, and no more. Of a large group that takes a third
//! of the time of its totals.
use kioskwatch_domain::uptime::{Figures, Month, Ratio};

use super::{
    Scope, Store, StoreError,
    month_totals::{TARGETS, asked, of_group},
    months::official,
    row::{Loaded, RowReader},
    sql::{Sql, sql},
};

const RATIOS: Sql = sql!(
    ratios_of_month,
    "SELECT CAST(COALESCE(SUM(accountable_s), 0) AS BIGINT), CAST(COALESCE(SUM(known_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(on_s), 0) AS BIGINT), CAST(COALESCE(SUM(on_of_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(avail_s), 0) AS BIGINT), CAST(COALESCE(SUM(avail_of_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(full_s), 0) AS BIGINT), CAST(COALESCE(SUM(full_of_s), 0) AS BIGINT),
            CAST(COALESCE(MAX(version), 0) AS BIGINT),
            CAST(COALESCE(MIN(target_num), 0) AS BIGINT), CAST(COALESCE(MAX(target_num), 0) AS BIGINT),
            CAST(COALESCE(MIN(target_den), 0) AS BIGINT), CAST(COALESCE(MAX(target_den), 0) AS BIGINT)
     FROM uptime_month m
     WHERE m.month = $2 AND " [of_group] " AND ($1 IS NULL OR m.site IN " TEXTS ") AND " [official]
);

/// The ratios of a group in a month.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MonthRatios {
    /// Without causes and reachability.
    pub figures: Figures,
    /// What was promised for a month of which something is signed; of several promises the highest.
    pub promised: Option<(i64, i64)>,
    has_several_targets: bool,
}

impl Loaded for MonthRatios {
    const TABLE: &'static str = "uptime_month";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        let mut figures = Figures { accountable_s: row.int()?, known_s: row.int()?, ..Figures::default() };
        let mut ratio = || Ok::<_, StoreError>(Ratio::new(row.int()?, row.int()?));
        (figures.on, figures.avail, figures.full) = (ratio()?, ratio()?, ratio()?);
        let newest_version = row.int()?;
        let [least_num, num, least_den, den] = [row.int()?, row.int()?, row.int()?, row.int()?];
        Ok(Self {
            figures,
            promised: (newest_version > 0 && den > 0).then_some((num, den)),
            has_several_targets: (least_num, least_den) != (num, den),
        })
    }
}

impl Store {
    /// The official ratios of a group; `group` is a kind (site, region, customer, engineer, model or fleet) with its name.
    pub async fn ratios_of_month(
        &self,
        scope: &Scope,
        month: Month,
        group: (&'static str, &str),
    ) -> Result<MonthRatios, StoreError> {
        let bind = |q| asked(q, scope, month, group);
        let mut ratios: MonthRatios = self.row(&RATIOS, bind).await?.unwrap_or_default();
        if ratios.has_several_targets && ratios.promised.is_some() {
            ratios.promised = self.highest_target(&TARGETS, bind).await?;
        }
        Ok(ratios)
    }
}
