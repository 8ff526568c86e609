//! Month figures: the running ones, the signed ones, and every version after them.
use kioskwatch_domain::{
    change::{MonthRow, MonthSums},
    uptime::{Cause, Figures, Month, Ratio},
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};

use super::{
    Scope, Store, StoreError,
    kiosks::id_array,
    row::{Loaded, RowReader, RowWriter, Stored},
    sql::{Query, Sql, sql},
};

macro_rules! columns {
    () => {
        "month, kiosk, version, site, engineer, region, customer, model, state, period_from_at,
         period_to_at, as_of_at, booked_at, target_num, target_den, accountable_s, known_s, excluded_s,
         on_s, on_of_s, avail_s, avail_of_s, full_s, full_of_s, online_s, online_of_s, raw_on_s,
         raw_on_of_s, raw_avail_s, raw_avail_of_s, raw_full_s, raw_full_of_s, down_power_s, down_network_s,
         down_host_s, down_hardware_s, down_supplies_s, down_software_s, down_unexplained_s, outages,
         longest_outage_s, longest_outage_at, fingerprint, inputs"
    };
}
/// The sums of a group. The official figures of a kiosk are its highest version; while there is none, what
/// is known now.
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
            CAST(COALESCE(SUM(outages), 0) AS BIGINT)"
    };
}
///
/// A look for each row, which no planner turns into a join: with statistics from before a month began, PostgreSQL
/// expects none of its rows and joined each of them with all others, for longer than a read may take.
macro_rules! official {
    () => {
        "m.version = (SELECT MAX(later.version) FROM uptime_month later
                      WHERE later.month = m.month AND later.kiosk = m.kiosk)"
    };
}
pub(super) use official;
/// Whose rows a group is made of: `$3` names the kind, `$4` the one.
macro_rules! of_group {
    () => {
        "($3 = 'fleet' OR ($3 = 'site' AND m.site = $4) OR ($3 = 'region' AND m.region = $4)
          OR ($3 = 'customer' AND m.customer = $4) OR ($3 = 'engineer' AND m.engineer = $4)
          OR ($3 = 'model' AND m.model = $4))"
    };
}

const OF_KIOSKS: Sql = sql!(
    months_of_kiosks,
    "SELECT " [columns] " FROM uptime_month
     WHERE kiosk " AMONG_TEXTS " AND month >= $2 ORDER BY kiosk, month, version, site, engineer"
);
const OF_KIOSK: Sql = sql!(
    versions_of_month,
    "SELECT " [columns] " FROM uptime_month
     WHERE kiosk = $2 AND month = $3 AND ($1 IS NULL OR site IN " TEXTS ")
     ORDER BY version, site, engineer"
);
const FROZEN: Sql =
    sql!(frozen_months, "SELECT kiosk, MAX(month) FROM uptime_month WHERE version > 0 GROUP BY kiosk");
const TOTAL: Sql = sql!(
    total_of_month,
    "SELECT 'sum', " [sums] ", CAST(COALESCE(MAX(longest_outage_s), 0) AS BIGINT),
            CAST(COALESCE(MIN(as_of_at), 0) AS BIGINT), CAST(COALESCE(MAX(period_to_at), 0) AS BIGINT),
            CAST(COALESCE(MAX(version), 0) AS BIGINT),
            CAST(COALESCE(MIN(version), 0) AS BIGINT), CAST(COUNT(DISTINCT kiosk) AS BIGINT),
            CAST(COALESCE(MIN(target_num), 0) AS BIGINT), CAST(COALESCE(MAX(target_num), 0) AS BIGINT),
            CAST(COALESCE(MIN(target_den), 0) AS BIGINT), CAST(COALESCE(MAX(target_den), 0) AS BIGINT)
     FROM uptime_month m
     WHERE m.month = $2 AND " [of_group] " AND ($1 IS NULL OR m.site IN " TEXTS ") AND " [official]
);
const TARGETS: Sql = sql!(
    targets_of_month,
    "SELECT target_num, target_den FROM uptime_month m
     WHERE m.month = $2 AND " [of_group] " AND ($1 IS NULL OR m.site IN " TEXTS ") AND " [official]
    " GROUP BY target_num, target_den"
);
const WORST: Sql = sql!(
    worst_of_month,
    "SELECT kiosk, CAST(SUM(avail_of_s - avail_s) AS BIGINT), CAST(SUM(avail_of_s) AS BIGINT),
            CAST(MAX(longest_outage_s) AS BIGINT)
     FROM uptime_month m
     WHERE m.month = $2 AND " [of_group] " AND ($1 IS NULL OR m.site IN " TEXTS ") AND " [official]
    " GROUP BY kiosk HAVING SUM(avail_of_s - avail_s) > 0 ORDER BY 2 DESC, 1 LIMIT 10"
);
/// What was known of a month that is signed and can no longer be restated.
const PRUNE: Sql = sql!(
    prune_months,
    "DELETE FROM uptime_month
     WHERE kiosk IN " TEXTS " AND month < $2 AND version = 0
       AND EXISTS (SELECT 1 FROM uptime_month signed
                   WHERE signed.month = uptime_month.month AND signed.kiosk = uptime_month.kiosk
                     AND signed.version > 0)"
);
/// The database keeps signed versions itself: whoever can write to it cannot rewrite them by mistake, and a
/// version that was written is not added to. PostgreSQL also looks at the table again once a hundredth of it is new,
/// such as the first rows of a month: views asked with older statistics take minutes.
pub(super) const GUARD: Sql = Sql {
    name: "guard_uptime_month",
    sqlite: "-- guard_uptime_month
CREATE TRIGGER IF NOT EXISTS uptime_month_keeps_versions BEFORE UPDATE ON uptime_month
WHEN OLD.version > 0 OR NEW.version > 0
BEGIN SELECT RAISE(ABORT, 'signed month figures are never changed'); END;
CREATE TRIGGER IF NOT EXISTS uptime_month_loses_nothing BEFORE DELETE ON uptime_month
WHEN OLD.version > 0
BEGIN SELECT RAISE(ABORT, 'signed month figures are never removed'); END;
CREATE TRIGGER IF NOT EXISTS uptime_month_is_signed_whole BEFORE INSERT ON uptime_month
WHEN NEW.version > 0 AND EXISTS (
  SELECT 1 FROM uptime_month m WHERE m.month = NEW.month AND m.kiosk = NEW.kiosk AND (m.version > NEW.version
    OR (m.version = NEW.version AND (m.fingerprint <> NEW.fingerprint OR m.booked_at <> NEW.booked_at))))
BEGIN SELECT RAISE(ABORT, 'signed month figures are never added to'); END;",
    postgres: "-- guard_uptime_month
ALTER TABLE uptime_month SET (autovacuum_analyze_scale_factor = 0.01);
CREATE OR REPLACE FUNCTION uptime_month_is_immutable() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'signed month figures are never changed or removed'
  USING ERRCODE = 'integrity_constraint_violation'; END $$;
CREATE OR REPLACE FUNCTION uptime_month_is_whole() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
  IF EXISTS (SELECT 1 FROM uptime_month m WHERE m.month = NEW.month AND m.kiosk = NEW.kiosk
      AND (m.version > NEW.version OR (m.version = NEW.version
           AND (m.fingerprint <> NEW.fingerprint OR m.booked_at <> NEW.booked_at)))) THEN
    RAISE EXCEPTION 'signed month figures are never added to'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER uptime_month_keeps_versions BEFORE UPDATE ON uptime_month
FOR EACH ROW WHEN (OLD.version > 0 OR NEW.version > 0) EXECUTE FUNCTION uptime_month_is_immutable();
CREATE OR REPLACE TRIGGER uptime_month_loses_nothing BEFORE DELETE ON uptime_month
FOR EACH ROW WHEN (OLD.version > 0) EXECUTE FUNCTION uptime_month_is_immutable();
CREATE OR REPLACE TRIGGER uptime_month_is_not_emptied BEFORE TRUNCATE ON uptime_month
FOR EACH STATEMENT EXECUTE FUNCTION uptime_month_is_immutable();
CREATE OR REPLACE TRIGGER uptime_month_is_signed_whole BEFORE INSERT ON uptime_month
FOR EACH ROW WHEN (NEW.version > 0) EXECUTE FUNCTION uptime_month_is_whole();",
};

impl Stored for MonthRow {
    const TABLE: &'static str = "uptime_month";
    const WRITE: Sql = sql!(
        store_months,
        "INSERT INTO uptime_month (" [columns] ")
         SELECT value->>0, value->>1, CAST(value->>2 AS BIGINT), value->>3, value->>4, value->>5,
                value->>6, value->>7, value->>8, CAST(value->>9 AS BIGINT), CAST(value->>10 AS BIGINT),
                CAST(value->>11 AS BIGINT), CAST(value->>12 AS BIGINT), CAST(value->>13 AS BIGINT),
                CAST(value->>14 AS BIGINT), CAST(value->>15 AS BIGINT), CAST(value->>16 AS BIGINT),
                CAST(value->>17 AS BIGINT), CAST(value->>18 AS BIGINT), CAST(value->>19 AS BIGINT),
                CAST(value->>20 AS BIGINT), CAST(value->>21 AS BIGINT), CAST(value->>22 AS BIGINT),
                CAST(value->>23 AS BIGINT), CAST(value->>24 AS BIGINT), CAST(value->>25 AS BIGINT),
                CAST(value->>26 AS BIGINT), CAST(value->>27 AS BIGINT), CAST(value->>28 AS BIGINT),
                CAST(value->>29 AS BIGINT), CAST(value->>30 AS BIGINT), CAST(value->>31 AS BIGINT),
                CAST(value->>32 AS BIGINT), CAST(value->>33 AS BIGINT), CAST(value->>34 AS BIGINT),
                CAST(value->>35 AS BIGINT), CAST(value->>36 AS BIGINT), CAST(value->>37 AS BIGINT),
                CAST(value->>38 AS BIGINT), CAST(value->>39 AS BIGINT), CAST(value->>40 AS BIGINT),
                CAST(value->>41 AS BIGINT), value->>42, value->>43
         FROM " ROWS " WHERE true
         ON CONFLICT (month, kiosk, version, site, engineer) DO UPDATE SET
           region = excluded.region, customer = excluded.customer, model = excluded.model,
           state = excluded.state, period_from_at = excluded.period_from_at,
           period_to_at = excluded.period_to_at, as_of_at = excluded.as_of_at,
           booked_at = excluded.booked_at, target_num = excluded.target_num,
           target_den = excluded.target_den, accountable_s = excluded.accountable_s,
           known_s = excluded.known_s, excluded_s = excluded.excluded_s, on_s = excluded.on_s,
           on_of_s = excluded.on_of_s, avail_s = excluded.avail_s, avail_of_s = excluded.avail_of_s,
           full_s = excluded.full_s, full_of_s = excluded.full_of_s, online_s = excluded.online_s,
           online_of_s = excluded.online_of_s, raw_on_s = excluded.raw_on_s,
           raw_on_of_s = excluded.raw_on_of_s, raw_avail_s = excluded.raw_avail_s,
           raw_avail_of_s = excluded.raw_avail_of_s, raw_full_s = excluded.raw_full_s,
           raw_full_of_s = excluded.raw_full_of_s, down_power_s = excluded.down_power_s,
           down_network_s = excluded.down_network_s, down_host_s = excluded.down_host_s,
           down_hardware_s = excluded.down_hardware_s, down_supplies_s = excluded.down_supplies_s,
           down_software_s = excluded.down_software_s,
           down_unexplained_s = excluded.down_unexplained_s, outages = excluded.outages,
           longest_outage_s = excluded.longest_outage_s,
           longest_outage_at = excluded.longest_outage_at, fingerprint = excluded.fingerprint,
           inputs = excluded.inputs
         WHERE uptime_month.version = 0"
    );
    type Key<'a> = (Month, &'a KioskId, u32, Option<&'a SiteId>, Option<&'a str>);

    fn key(&self) -> Option<Self::Key<'_>> {
        Some((self.month, &self.kiosk, self.version, self.site.as_ref(), self.engineer.as_deref()))
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        let sums = &self.sums;
        let figures = &sums.figures;
        row.display(&self.month);
        row.text(self.kiosk.as_str());
        row.int(i64::from(self.version));
        row.text(self.site.as_ref().map_or("", SiteId::as_str));
        row.text(self.engineer.as_deref().unwrap_or(""));
        row.text(&self.region);
        row.text(&self.customer);
        row.text(&self.model);
        row.text(match self.version {
            0 => "open",
            1 => "frozen",
            _ => "restated",
        });
        for at in [self.period_from, self.period_to, self.as_of, self.booked_at] {
            row.time(at);
        }
        for value in [self.target.0, self.target.1, figures.accountable_s, figures.known_s, sums.excluded_s] {
            row.int(value);
        }
        let contract = [figures.on, figures.avail, figures.full, figures.online];
        for ratio in contract.into_iter().chain([sums.raw_on, sums.raw_avail, sums.raw_full]) {
            row.int(ratio.num);
            row.int(ratio.den);
        }
        for cause in Cause::ALL {
            row.int(figures.causes.get(&cause).copied().unwrap_or(0));
        }
        row.int(sums.outages);
        row.int(sums.longest_outage_s);
        row.opt_time(sums.longest_outage_at);
        row.text(&self.fingerprint);
        row.text(&self.inputs);
        Ok(())
    }
}

/// The integers between `accountable_s` and `outages`, as every statement here selects them.
fn read_sums(row: &mut RowReader<'_>) -> Result<MonthSums, StoreError> {
    let mut figures = Figures { accountable_s: row.int()?, known_s: row.int()?, ..Figures::default() };
    let excluded_s = row.int()?;
    let mut ratio = || Ok::<_, StoreError>(Ratio::new(row.int()?, row.int()?));
    (figures.on, figures.avail, figures.full, figures.online) = (ratio()?, ratio()?, ratio()?, ratio()?);
    let (raw_on, raw_avail, raw_full) = (ratio()?, ratio()?, ratio()?);
    for cause in Cause::ALL {
        let seconds = row.int()?;
        if seconds > 0 {
            figures.causes.insert(cause, seconds);
        }
    }
    let outages = row.int()?;
    Ok(MonthSums { figures, excluded_s, raw_on, raw_avail, raw_full, outages, ..MonthSums::default() })
}

impl Loaded for MonthRow {
    const TABLE: &'static str = "uptime_month";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        let (month, kiosk, version) = (row.id()?, row.id()?, row.number()?);
        let site = row.word(|text| Some(if text.is_empty() { None } else { Some(text.parse().ok()?) }))?;
        let engineer = Some(row.text()?).filter(|name| !name.is_empty());
        let (region, customer, model) = (row.text()?, row.text()?, row.text()?);
        // Follows from the version.
        row.text()?;
        let (period_from, period_to, as_of, booked_at) = (row.time()?, row.time()?, row.time()?, row.time()?);
        let target = (row.int()?, row.int()?);
        let mut sums = read_sums(row)?;
        sums.longest_outage_s = row.int()?;
        sums.longest_outage_at = row.opt_time()?;
        Ok(Self {
            month,
            kiosk,
            version,
            site,
            engineer,
            region,
            customer,
            model,
            period_from,
            period_to,
            as_of,
            booked_at,
            target,
            sums,
            fingerprint: row.text()?,
            inputs: row.text()?,
        })
    }
}

/// The figures of a group in a month.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MonthTotal {
    pub sums: MonthSums,
    /// The oldest of its kiosks' figures.
    pub as_of: Timestamp,
    /// The end of the month where it ended last.
    pub period_to: Timestamp,
    /// The highest and the lowest version among its kiosks; 0: not signed yet.
    pub newest_version: u32,
    pub oldest_version: u32,
    pub kiosks: u64,
    /// What was promised for it, as numerator and denominator; of several promises the highest.
    pub target: Option<(i64, i64)>,
    /// Its rows were booked under several promises.
    has_several_targets: bool,
}

impl MonthTotal {
    /// By what it is judged: a signed month by what was promised for it, any other by what is promised now.
    pub fn judged_by(&self, now: (i64, i64)) -> (i64, i64) {
        self.target.filter(|_| self.newest_version > 0).unwrap_or(now)
    }
}

/// The highest of some shares, compared exactly.
fn highest(shares: impl Iterator<Item = (i64, i64)>) -> Option<(i64, i64)> {
    let cross = |one: &(i64, i64), other: &(i64, i64)| i128::from(one.0) * i128::from(other.1);
    shares.max_by(|one, other| cross(one, other).cmp(&cross(other, one)))
}

/// A promise of a month.
struct Target((i64, i64));

impl Loaded for Target {
    const TABLE: &'static str = "uptime_month";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self((row.int()?, row.int()?)))
    }
}

impl MonthTotal {
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
            newest_version: version,
            oldest_version: version,
            kiosks: 1,
            target: highest(rows.iter().map(|row| row.target)),
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
        let (as_of, period_to) = (row.time()?, row.time()?);
        let (newest_version, oldest_version, kiosks) = (row.number()?, row.number()?, row.number()?);
        let [least_num, num, least_den, den] = [row.int()?, row.int()?, row.int()?, row.int()?];
        Ok(Self {
            sums,
            as_of,
            period_to,
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
    pub down_s: i64,
    pub avail_of_s: i64,
    pub longest_outage_s: i64,
}

impl Loaded for WorstKiosk {
    const TABLE: &'static str = "uptime_month";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            kiosk: row.id()?,
            down_s: row.int()?,
            avail_of_s: row.int()?,
            longest_outage_s: row.int()?,
        })
    }
}

/// The last signed month of a kiosk.
struct Frozen {
    kiosk: KioskId,
    month: Month,
}

impl Loaded for Frozen {
    const TABLE: &'static str = "uptime_month";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self { kiosk: row.id()?, month: row.id()? })
    }
}

impl Store {
    /// Every version of these kiosks' months from `since` on, by kiosk, month and version.
    pub async fn months_of_kiosks(
        &self,
        kiosks: &[KioskId],
        since: Month,
    ) -> Result<Vec<MonthRow>, StoreError> {
        let ids = id_array(kiosks.iter());
        self.rows(&OF_KIOSKS, |q| q.bind(ids).bind(since.to_string())).await
    }

    /// Every version of one kiosk's month, as far as it stood at sites this reader sees.
    pub async fn versions_of_month(
        &self,
        scope: &Scope,
        kiosk: &KioskId,
        month: Month,
    ) -> Result<Vec<MonthRow>, StoreError> {
        self.rows(&OF_KIOSK, |q| q.bind(scope.to_json()).bind(kiosk.to_string()).bind(month.to_string()))
            .await
    }

    /// The last signed month of every kiosk that has one.
    pub async fn frozen_months(&self) -> Result<Vec<(KioskId, Month)>, StoreError> {
        let rows: Vec<Frozen> = self.rows(&FROZEN, |q| q).await?;
        Ok(rows.into_iter().map(|row| (row.kiosk, row.month)).collect())
    }

    /// Forgets what was known of these kiosks' months before one, where a signed version says it.
    pub async fn prune_months(&self, kiosks: &[KioskId], before: Month) -> Result<(), StoreError> {
        let query = PRUNE.query(self.backend()).bind(id_array(kiosks.iter())).bind(before.to_string());
        self.database.write(PRUNE.name, query).await.map(drop)
    }

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
        let bind = |q: Query| q.bind(scope.to_json()).bind(month.to_string()).bind(kind);
        let mut total: MonthTotal =
            self.row(&TOTAL, |q| bind(q).bind(id.to_owned())).await?.unwrap_or_default();
        if total.has_several_targets {
            let targets: Vec<Target> = self.rows(&TARGETS, |q| bind(q).bind(id.to_owned())).await?;
            total.target = highest(targets.into_iter().map(|target| target.0));
        }
        Ok(total)
    }

    /// The ten kiosks of a group that were down longest, worst first.
    pub async fn worst_of_month(
        &self,
        scope: &Scope,
        month: Month,
        kind: &'static str,
        id: &str,
    ) -> Result<Vec<WorstKiosk>, StoreError> {
        let bind = |q: Query| q.bind(scope.to_json()).bind(month.to_string()).bind(kind);
        self.rows(&WORST, |q| bind(q).bind(id.to_owned())).await
    }
}
