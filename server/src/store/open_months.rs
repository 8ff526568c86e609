//! Which months the bookkeeper still owes something: those that nobody signed, and those that it never booked.
use kioskwatch_domain::uptime::Month;
use kioskwatch_proto::KioskId;

use super::{
    Store, StoreError,
    kiosks::id_array,
    months::official,
    row::{Loaded, RowReader},
    sql::{Sql, sql},
};

const OPEN: Sql = sql!(
    open_months,
    "SELECT DISTINCT m.kiosk, m.month FROM uptime_month m
     WHERE m.kiosk " AMONG_TEXTS " AND m.month < $2 AND m.version = 0 AND " [official]
);
const BOOKED: Sql = sql!(
    booked_months,
    "SELECT DISTINCT kiosk, month FROM uptime_month WHERE kiosk " AMONG_TEXTS " AND month >= $2"
);

/// A kiosk's month.
struct KioskMonth(KioskId, Month);

impl Loaded for KioskMonth {
    const TABLE: &'static str = "uptime_month";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self(row.id()?, row.id()?))
    }
}

impl Store {
    /// Booked months of these kiosks before one that nobody signed, in no order.
    pub async fn open_months(
        &self,
        kiosks: &[KioskId],
        before: Month,
    ) -> Result<Vec<(KioskId, Month)>, StoreError> {
        self.kiosk_months(&OPEN, kiosks, before).await
    }

    /// Months of these kiosks from `since` on of which anything is booked, in no order.
    pub async fn booked_months(
        &self,
        kiosks: &[KioskId],
        since: Month,
    ) -> Result<Vec<(KioskId, Month)>, StoreError> {
        self.kiosk_months(&BOOKED, kiosks, since).await
    }

    async fn kiosk_months(
        &self,
        sql: &'static Sql,
        kiosks: &[KioskId],
        month: Month,
    ) -> Result<Vec<(KioskId, Month)>, StoreError> {
        let ids = id_array(kiosks.iter());
        let found: Vec<KioskMonth> = self.rows(sql, |q| q.bind(ids).bind(month.to_string())).await?;
        Ok(found.into_iter().map(|one| (one.0, one.1)).collect())
    }
}
