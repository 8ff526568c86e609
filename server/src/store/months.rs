//! Month figures: the running ones, the signed ones, and every version after them.
use std::collections::BTreeMap;

use kioskwatch_domain::{
    change::{MonthRow, MonthSums},
    uptime::{Cause, Figures, Month, Ratio},
};
use kioskwatch_proto::{KioskId, SiteId};

use super::{
    Scope, Store, StoreError,
    kiosks::id_array,
    row::{Loaded, RowReader, RowWriter, Stored},
    sql::{Sql, sql},
};

macro_rules! columns {
    () => {
        "month, kiosk, version, site, engineer, region, customer, model, state, period_from_at,
         period_to_at, as_of_at, booked_at, target_num, target_den, accountable_s, known_s, excluded_s,
         on_s, on_of_s, avail_s, avail_of_s, full_s, full_of_s, online_s, online_of_s, raw_on_s,
         raw_on_of_s, raw_avail_s, raw_avail_of_s, raw_full_s, raw_full_of_s, down_power_s, down_network_s,
         down_host_s, down_hardware_s, down_supplies_s, down_software_s, down_unexplained_s, outages,
         outages_power, outages_network, outages_host, outages_hardware, outages_supplies,
         outages_software, outages_unexplained, longest_outage_s, longest_outage_at, fingerprint, inputs, frozen_at"
    };
}
/// The official figures of a kiosk are its highest version; while there is none, what is known now.
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

const OF_KIOSKS: Sql = sql!(
    months_of_kiosks,
    "SELECT " {columns, "kiosk, month, version, site, engineer, region, customer, model"} " FROM uptime_month
     WHERE kiosk " AMONG_TEXTS " AND month >= $2"
);
const OF_KIOSK: Sql = sql!(
    versions_of_month,
    "SELECT " [columns] " FROM uptime_month
     WHERE kiosk = $2 AND month = $3 AND ($1 IS NULL OR site IN " TEXTS ")
     ORDER BY version, site, engineer, region, customer, model"
);
const SIGNED: Sql = sql!(
    signed_months,
    "SELECT " [columns] " FROM uptime_month
     WHERE kiosk " AMONG_TEXTS " AND month = $2 AND version > 0 ORDER BY kiosk, version, site, engineer, region, customer, model"
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
                CAST(value->>41 AS BIGINT), CAST(value->>42 AS BIGINT), CAST(value->>43 AS BIGINT),
                CAST(value->>44 AS BIGINT), CAST(value->>45 AS BIGINT), CAST(value->>46 AS BIGINT),
                CAST(value->>47 AS BIGINT), CAST(value->>48 AS BIGINT), value->>49, value->>50,
                CAST(value->>51 AS BIGINT)
         FROM " ROWS " WHERE true
         ON CONFLICT (month, kiosk, version, site, engineer, region, customer, model) DO UPDATE SET
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
           outages_power = excluded.outages_power, outages_network = excluded.outages_network,
           outages_host = excluded.outages_host, outages_hardware = excluded.outages_hardware,
           outages_supplies = excluded.outages_supplies, outages_software = excluded.outages_software,
           outages_unexplained = excluded.outages_unexplained,
           longest_outage_s = excluded.longest_outage_s,
           longest_outage_at = excluded.longest_outage_at, fingerprint = excluded.fingerprint,
           inputs = excluded.inputs, frozen_at = excluded.frozen_at
         WHERE uptime_month.version = 0"
    );
    /// Of an owner: site, engineer, the region and the customer of the site, and the model it was.
    type Key<'a> = (Month, &'a KioskId, u32, Option<&'a SiteId>, Option<&'a str>, [&'a str; 3]);

    fn key(&self) -> Option<Self::Key<'_>> {
        let (site, engineer) = (self.site.as_ref(), self.engineer.as_deref());
        Some((
            self.month,
            &self.kiosk,
            self.version,
            site,
            engineer,
            [&self.region, &self.customer, &self.model],
        ))
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
        for cause in Cause::ALL {
            row.int(sums.outages_by_cause.get(&cause).copied().unwrap_or(0));
        }
        row.int(sums.longest_outage_s);
        row.opt_time(sums.longest_outage_at);
        row.text(&self.fingerprint);
        row.text(&self.inputs);
        row.opt_time(self.frozen_at);
        Ok(())
    }
}

/// The integers between `accountable_s` and `outages_unexplained`, as every statement here selects them.
pub(super) fn read_sums(row: &mut RowReader<'_>) -> Result<MonthSums, StoreError> {
    let mut figures = Figures { accountable_s: row.int()?, known_s: row.int()?, ..Figures::default() };
    let excluded_s = row.int()?;
    let mut ratio = || Ok::<_, StoreError>(Ratio::new(row.int()?, row.int()?));
    (figures.on, figures.avail, figures.full, figures.online) = (ratio()?, ratio()?, ratio()?, ratio()?);
    let (raw_on, raw_avail, raw_full) = (ratio()?, ratio()?, ratio()?);
    figures.causes = read_causes(row)?;
    let (outages, outages_by_cause) = (row.int()?, read_causes(row)?);
    let sums = MonthSums { figures, excluded_s, raw_on, raw_avail, raw_full, ..MonthSums::default() };
    Ok(MonthSums { outages, outages_by_cause, ..sums })
}

/// A number for each cause; only those that occurred.
fn read_causes(row: &mut RowReader<'_>) -> Result<BTreeMap<Cause, i64>, StoreError> {
    let mut causes = BTreeMap::new();
    for cause in Cause::ALL {
        let number = row.int()?;
        if number > 0 {
            causes.insert(cause, number);
        }
    }
    Ok(causes)
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
            frozen_at: row.opt_time()?,
        })
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
        self.gathered(&OF_KIOSKS, |q| q.bind(ids).bind(since.to_string())).await
    }

    /// What was signed of this month, of those of `kiosks` of which anything was; by kiosk and version, a row for
    /// each of its owners.
    pub async fn signed_months(&self, kiosks: &[KioskId], month: Month) -> Result<Vec<MonthRow>, StoreError> {
        let ids = id_array(kiosks.iter());
        self.rows(&SIGNED, |q| q.bind(ids).bind(month.to_string())).await
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

    /// Forgets what was known of these kiosks' months before one, where a signed version says it.
    pub async fn prune_months(&self, kiosks: &[KioskId], before: Month) -> Result<u64, StoreError> {
        let query = PRUNE.query(self.backend()).bind(id_array(kiosks.iter())).bind(before.to_string());
        self.forget(vec![(PRUNE, query)], u64::MAX).await
    }
}
