//! Month figures of a group, summed.
use kioskwatch_domain::{
    change::{MonthRow, MonthSums},
    uptime::{Month, Ratio},
};
use kioskwatch_proto::{KioskId, Timestamp};

use super::{
    Scope, Store, StoreError,
    months::{official, read_sums},
    row::{Loaded, RowReader},
    sql::{Query, Sql, sql},
};

/// The sums of a group.
macro_rules! sums {
    () => {
        "CAST(COALESCE(SUM(accountable_s), 0) AS BIGINT), CAST(COALESCE(SUM(known_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(excluded_s), 0) AS BIGINT), CAST(COALESCE(SUM(on_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(on_of_s), 0) AS BIGINT), CAST(COALESCE(SUM(avail_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(avail_of_s), 0) AS BIGINT), CAST(COALESCE(SUM(full_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(full_of_s), 0) AS BIGINT), CAST(COALESCE(SUM(online_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(online_of_s), 0) AS BIGINT), CAST(COALESCE(SUM(raw_on_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(raw_on_of_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(raw_avail_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(raw_avail_of_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(raw_full_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(raw_full_of_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(down_power_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(down_network_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(down_host_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(down_hardware_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(down_supplies_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(down_software_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(down_unexplained_s), 0) AS BIGINT),
            CAST(COALESCE(SUM(outages), 0) AS BIGINT),
            CAST(COALESCE(SUM(outages_power), 0) AS BIGINT),
            CAST(COALESCE(SUM(outages_network), 0) AS BIGINT),
            CAST(COALESCE(SUM(outages_host), 0) AS BIGINT),
            CAST(COALESCE(SUM(outages_hardware), 0) AS BIGINT),
            CAST(COALESCE(SUM(outages_supplies), 0) AS BIGINT),
            CAST(COALESCE(SUM(outages_software), 0) AS BIGINT),
            CAST(COALESCE(SUM(outages_unexplained), 0) AS BIGINT)"
    };
}
/// Whose rows a group is made of: `$3` names the kind, `$4` the one.
macro_rules! of_group {
    () => {
        "($3 = 'fleet' OR ($3 = 'site' AND m.site = $4) OR ($3 = 'region' AND m.region = $4)
          OR ($3 = 'customer' AND m.customer = $4) OR ($3 = 'engineer' AND m.engineer = $4)
          OR ($3 = 'model' AND m.model = $4))"
    };
}

macro_rules! total {
    () => {
        "CAST(COALESCE(MAX(longest_outage_s), 0) AS BIGINT),
            CAST(COALESCE(MIN(as_of_at), 0) AS BIGINT), CAST(COALESCE(MAX(period_to_at), 0) AS BIGINT),
            CAST(MAX(frozen_at) AS BIGINT),
            CAST(COALESCE(MAX(version), 0) AS BIGINT),
            CAST(COALESCE(MIN(version), 0) AS BIGINT),
            CAST(COUNT(DISTINCT CASE WHEN accountable_s + excluded_s > 0 THEN kiosk END) AS BIGINT),
            CAST(COALESCE(MIN(target_num), 0) AS BIGINT), CAST(COALESCE(MAX(target_num), 0) AS BIGINT),
            CAST(COALESCE(MIN(target_den), 0) AS BIGINT), CAST(COALESCE(MAX(target_den), 0) AS BIGINT)"
    };
}
/// One of the worst, without the seconds by which it is one.
macro_rules! worst {
    () => {
        "CAST(SUM(on_s) AS BIGINT), CAST(SUM(on_of_s) AS BIGINT), CAST(SUM(avail_s) AS BIGINT),
            CAST(SUM(avail_of_s) AS BIGINT), CAST(SUM(full_s) AS BIGINT), CAST(SUM(full_of_s) AS BIGINT),
            CAST(MAX(longest_outage_s) AS BIGINT)"
    };
}

pub(super) use {of_group, sums, total, worst};

const TOTAL: Sql = sql!(
    total_of_month,
    "SELECT 'sum', " [sums] ", " [total]
    " FROM uptime_month m
     WHERE m.month = $2 AND " [of_group] " AND ($1 IS NULL OR m.site IN " TEXTS ") AND " [official]
);
pub(super) const TARGETS: Sql = sql!(
    targets_of_month,
    "SELECT target_num, target_den FROM uptime_month m
     WHERE m.month = $2 AND " [of_group] " AND ($1 IS NULL OR m.site IN " TEXTS ") AND " [official]
    " GROUP BY target_num, target_den"
);
const WORST: Sql = sql!(
    worst_of_month,
    "SELECT kiosk,
            CAST(SUM(CASE $5 WHEN 'on' THEN on_of_s - on_s WHEN 'full' THEN full_of_s - full_s
                     ELSE avail_of_s - avail_s END) AS BIGINT), " [worst] " FROM uptime_month m
     WHERE m.month = $2 AND " [of_group] " AND ($1 IS NULL OR m.site IN " TEXTS ") AND " [official] "
     GROUP BY kiosk ORDER BY 2 DESC, 1 LIMIT 10"
);

/// The figures of a group in a month.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MonthTotal {
    pub sums: MonthSums,
    /// The oldest of its kiosks' figures.
    pub as_of: Timestamp,
    /// The end of the month where it ended last.
    pub period_to: Timestamp,
    /// When the last of its signed kiosks was fixed.
    pub frozen_at: Option<Timestamp>,
    /// The highest and the lowest version among its kiosks; 0: not signed yet.
    pub newest_version: u32,
    pub oldest_version: u32,
    /// Those that had time in it.
    pub kiosks: u64,
    /// What was promised for it, as numerator and denominator; of several promises the highest.
    pub target: Option<(i64, i64)>,
    /// Its rows were booked under several promises.
    pub(super) has_several_targets: bool,
}

impl MonthTotal {
    /// By what it is judged: a signed month by what was promised for it, any other by what is promised now.
    pub fn judged_by(&self, now: (i64, i64)) -> (i64, i64) {
        self.target.filter(|_| self.newest_version > 0).unwrap_or(now)
    }
}

/// A promise of a month.
pub(super) struct Target(pub(super) (i64, i64));

impl Loaded for Target {
    const TABLE: &'static str = "uptime_month";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self((row.int()?, row.int()?)))
    }
}

impl MonthTotal {
    /// The highest of some promised shares, compared exactly.
    pub(crate) fn highest(shares: impl Iterator<Item = (i64, i64)>) -> Option<(i64, i64)> {
        let cross = |one: &(i64, i64), other: &(i64, i64)| i128::from(one.0) * i128::from(other.1);
        shares.max_by(|one, other| cross(one, other).cmp(&cross(other, one)))
    }

    /// From every version of a kiosk's month: the highest one, as far as it stood at sites this reader sees.
    fn of_kiosk(rows: &[MonthRow], scope: &Scope) -> Self {
        let version = rows.iter().map(|row| row.version).max().unwrap_or(0);
        let official = rows.iter().filter(|row| row.version == version && scope.shows(row.site.as_ref()));
        let rows: Vec<&MonthRow> = official.collect();
        if rows.is_empty() {
            return Self::default();
        }
        Self {
            sums: rows.iter().map(|row| &row.sums).sum(),
            as_of: rows.iter().map(|row| row.as_of).min().unwrap_or_default(),
            period_to: rows.iter().map(|row| row.period_to).max().unwrap_or_default(),
            frozen_at: rows.iter().filter_map(|row| row.frozen_at).max(),
            newest_version: version,
            oldest_version: version,
            kiosks: rows.iter().any(|row| row.has_time()).into(),
            target: Self::highest(rows.iter().map(|row| row.target)),
            has_several_targets: false,
        }
    }
}

impl Loaded for MonthTotal {
    const TABLE: &'static str = "uptime_month";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        row.text()?;
        let mut sums = read_sums(row)?;
        sums.longest_outage_s = row.int()?;
        let (as_of, period_to, frozen_at) = (row.time()?, row.time()?, row.opt_time()?);
        let (newest_version, oldest_version, kiosks) = (row.number()?, row.number()?, row.number()?);
        let [least_num, num, least_den, den] = [row.int()?, row.int()?, row.int()?, row.int()?];
        Ok(Self {
            sums,
            as_of,
            period_to,
            frozen_at,
            newest_version,
            oldest_version,
            kiosks,
            target: (den > 0).then_some((num, den)),
            has_several_targets: (least_num, least_den) != (num, den),
        })
    }
}

/// A kiosk among the worst of a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorstKiosk {
    pub kiosk: KioskId,
    /// What it lost of the ratio that was asked for.
    pub lost_s: i64,
    pub on: Ratio,
    pub avail: Ratio,
    pub full: Ratio,
    pub longest_outage_s: i64,
}

impl Loaded for WorstKiosk {
    const TABLE: &'static str = "uptime_month";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        let (kiosk, lost_s) = (row.id()?, row.int()?);
        let mut ratio = || Ok::<_, StoreError>(Ratio::new(row.int()?, row.int()?));
        let (on, avail, full) = (ratio()?, ratio()?, ratio()?);
        Ok(Self { kiosk, lost_s, on, avail, full, longest_outage_s: row.int()? })
    }
}

impl WorstKiosk {
    /// Who lost nothing is none of them.
    pub(super) fn listed(mut ten: Vec<Self>) -> Vec<Self> {
        ten.retain(|one| one.lost_s > 0);
        ten
    }
}

impl Store {
    /// The official figures of a group's kiosks, summed: of each its highest version, or what is known now.
    /// `kind` is kiosk, site, region, customer, engineer, model or fleet.
    pub async fn total_of_month(
        &self,
        scope: &Scope,
        month: Month,
        kind: &'static str,
        id: &str,
    ) -> Result<MonthTotal, StoreError> {
        if kind == "kiosk" {
            // Of one kiosk its rows, not all of the month.
            let Ok(kiosk) = id.parse() else { return Ok(MonthTotal::default()) };
            let rows = self.versions_of_month(&Scope::All, &kiosk, month).await?;
            return Ok(MonthTotal::of_kiosk(&rows, scope));
        }
        let bind = |q| asked(q, scope, month, (kind, id));
        let mut total: MonthTotal = self.row(&TOTAL, bind).await?.unwrap_or_default();
        if total.has_several_targets {
            total.target = self.highest_target(&TARGETS, bind).await?;
        }
        Ok(total)
    }

    pub(super) async fn highest_target(
        &self,
        targets: &Sql,
        bind: impl FnOnce(Query) -> Query,
    ) -> Result<Option<(i64, i64)>, StoreError> {
        let targets: Vec<Target> = self.rows(targets, bind).await?;
        Ok(MonthTotal::highest(targets.into_iter().map(|target| target.0)))
    }

    /// The ten kiosks of a group that lost most of `ratio` (`on`, `avail` or `full`), worst first.
    pub async fn worst_of_month(
        &self,
        scope: &Scope,
        month: Month,
        group: (&'static str, &str),
        ratio: &'static str,
    ) -> Result<Vec<WorstKiosk>, StoreError> {
        self.rows(&WORST, |q| asked(q, scope, month, group).bind(ratio)).await.map(WorstKiosk::listed)
    }
}

/// What every statement about a group's month asks for first.
pub(super) fn asked(query: Query, scope: &Scope, month: Month, (kind, id): (&'static str, &str)) -> Query {
    query.bind(scope.to_json()).bind(month.to_string()).bind(kind).bind(id.to_owned())
}
