//! Days off, make-up days and the notice for planned work, and since when each was known. A few rows in all.
use std::borrow::Cow;

use kioskwatch_domain::{calendar::WorkCalendar, change::CalendarTermsRow};
use kioskwatch_proto::Timestamp;

use super::{
    Store, StoreError,
    row::{Loaded, RowReader, RowWriter, Stored},
    sql::{Sql, sql},
};

const ALL: Sql = sql!(
    all_calendar_terms,
    "SELECT known_from_at, days, planned_notice_h FROM calendar_terms ORDER BY known_from_at"
);

impl Stored for CalendarTermsRow {
    const TABLE: &'static str = "calendar_terms";
    /// What was always known stays.
    const WRITE: Sql = sql!(
        store_calendar_terms,
        "INSERT INTO calendar_terms (known_from_at, days, planned_notice_h)
         SELECT CAST(value->>0 AS BIGINT), value->>1, CAST(value->>2 AS BIGINT) FROM " ROWS " WHERE true
         ON CONFLICT (known_from_at) DO UPDATE SET
           days = excluded.days, planned_notice_h = excluded.planned_notice_h
         WHERE calendar_terms.known_from_at > 0"
    );
    type Key<'a> = Timestamp;

    fn key(&self) -> Option<Self::Key<'_>> {
        Some(self.known_from)
    }

    fn join<'a>(earlier: &Self, later: &'a Self) -> Result<Cow<'a, Self>, StoreError> {
        Ok(match later.known_from == Self::ALWAYS {
            true => Cow::Owned(earlier.clone()),
            false => Cow::Borrowed(later),
        })
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.time(self.known_from);
        row.text(&self.days.days_text());
        row.int(self.planned_notice_h);
        Ok(())
    }
}

impl Loaded for CalendarTermsRow {
    const TABLE: &'static str = "calendar_terms";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            known_from: row.time()?,
            days: row.word(|text| WorkCalendar::of_days_text(text).ok())?,
            planned_notice_h: row.int()?,
        })
    }
}

impl Store {
    /// What was ever noted of them, in the order in which it became known.
    pub async fn calendar_terms(&self) -> Result<Vec<CalendarTermsRow>, StoreError> {
        self.rows(&ALL, |q| q).await
    }
}
