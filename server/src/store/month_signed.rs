//! What had been signed of a group's month by an instant, and of whom nothing was: both of one look at the database. Who
//! is signed meanwhile is among one of them, never among both or neither.
use kioskwatch_domain::uptime::Month;
use kioskwatch_proto::{KioskId, Timestamp};

use super::{
    Scope, Store, StoreError,
    kiosks::id_array,
    month_totals::{MonthTotal, Target, WorstKiosk, asked, of_group, sums, total, worst},
    row::{Loaded, RowReader},
    sql::{Connection, Query, Sql, sql},
};

/// What was signed of a kiosk by `$5` and stood then, of those who had time in it; see `months::official`. Of most there
/// is no later version: that stands in the index, and no other row is read.
macro_rules! signed {
    () => {
        "m.version > 0 AND m.booked_at <= $5
         AND (SELECT MAX(later.version) FROM uptime_month later
              WHERE later.month = m.month AND later.kiosk = m.kiosk AND later.version > m.version
                AND later.booked_at <= $5) IS NULL
         AND m.accountable_s + m.excluded_s > 0"
    };
}
const TOTAL: Sql = sql!(
    signed_total_of_month,
    "SELECT 'sum', " [sums] ", " [total]
    " FROM uptime_month m
     WHERE m.month = $2 AND " [of_group] " AND ($1 IS NULL OR m.site IN " TEXTS ") AND " [signed]
);
const TARGETS: Sql = sql!(
    signed_targets_of_month,
    "SELECT target_num, target_den FROM uptime_month m
     WHERE m.month = $2 AND " [of_group] " AND ($1 IS NULL OR m.site IN " TEXTS ") AND " [signed]
    " GROUP BY target_num, target_den"
);
const WORST: Sql = sql!(
    signed_worst_of_month,
    "SELECT kiosk,
            CAST(SUM(CASE $6 WHEN 'on' THEN on_of_s - on_s WHEN 'full' THEN full_of_s - full_s
                     ELSE avail_of_s - avail_s END) AS BIGINT), " [worst] " FROM uptime_month m
     WHERE m.month = $2 AND " [of_group] " AND ($1 IS NULL OR m.site IN " TEXTS ") AND " [signed] "
     GROUP BY kiosk ORDER BY 2 DESC, 1 LIMIT 10"
);
/// A look for each kiosk, as in `months::official`.
const EVERY_UNSIGNED: Sql = sql!(
    every_unsigned_kiosk,
    "SELECT k.id FROM kiosk k
     WHERE (SELECT MAX(m.version) FROM uptime_month m
            WHERE m.month = $1 AND m.kiosk = k.id AND m.version > 0 AND m.booked_at <= $2) IS NULL
     ORDER BY k.id"
);
const UNSIGNED_AMONG: Sql = sql!(
    unsigned_among,
    "SELECT k.id FROM kiosk k
     WHERE k.id " AMONG_TEXTS "
       AND (SELECT MAX(m.version) FROM uptime_month m
            WHERE m.month = $2 AND m.kiosk = k.id AND m.version > 0 AND m.booked_at <= $3) IS NULL
     ORDER BY k.id"
);

/// A group's month as far as it is signed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignedMonth {
    /// Of each kiosk the version that stood then.
    pub total: MonthTotal,
    /// See [`Store::worst_of_month`].
    pub worst: Vec<WorstKiosk>,
    /// Of these nothing is signed, by id.
    pub rest: Vec<KioskId>,
}

struct Kiosk(KioskId);

impl Loaded for Kiosk {
    const TABLE: &'static str = "kiosk";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        row.id().map(Self)
    }
}

impl Store {
    /// What had been signed of a group by an instant; of the rest those `among` these, or all that are registered.
    pub async fn signed_of_month(
        &self,
        scope: &Scope,
        (month, by): (Month, Timestamp),
        group: (&'static str, &str),
        ratio: &'static str,
        among: Option<&[KioskId]>,
    ) -> Result<SignedMonth, StoreError> {
        let bind = |q| asked(q, scope, month, group).bind(by.ms());
        let look = async |connection: &mut Connection| {
            let mut total: MonthTotal =
                self.rows_on(connection, &TOTAL, bind).await?.pop().unwrap_or_default();
            if total.has_several_targets {
                let targets: Vec<Target> = self.rows_on(connection, &TARGETS, bind).await?;
                total.target = MonthTotal::highest(targets.into_iter().map(|target| target.0));
            }
            let worst = self.rows_on(connection, &WORST, |q| bind(q).bind(ratio)).await?;
            let of_rest = |q: Query| q.bind(month.to_string()).bind(by.ms());
            let rest: Vec<Kiosk> = match among {
                Some(among) => {
                    let ids = id_array(among.iter());
                    self.rows_on(connection, &UNSIGNED_AMONG, |q| of_rest(q.bind(ids))).await?
                }
                None => self.rows_on(connection, &EVERY_UNSIGNED, of_rest).await?,
            };
            let rest = rest.into_iter().map(|kiosk| kiosk.0).collect();
            Ok(SignedMonth { total, worst: WorstKiosk::listed(worst), rest })
        };
        self.database.read_at_once("signed_of_month", look).await
    }
}
