//! When kiosks count, and what was known of it when. A row for those of which it was ever said anew.
use std::{borrow::Cow, collections::BTreeMap};

use kioskwatch_domain::{
    change::{CommissionedRow, ServiceSpan},
    uptime::{Commissioned, Known},
};
use kioskwatch_proto::{KioskId, Timestamp};

use super::{
    Store, StoreError,
    kiosks::id_array,
    row::{Loaded, RowReader, RowWriter, Stored},
    sql::{Sql, sql},
};

const OF_KIOSKS: Sql = sql!(
    commissioned_of_kiosks,
    "SELECT kiosk, known_from_at, stretches FROM commissioned
     WHERE kiosk " AMONG_TEXTS " ORDER BY kiosk, known_from_at"
);

impl Stored for CommissionedRow {
    const TABLE: &'static str = "commissioned";
    /// What was always known stays.
    const WRITE: Sql = sql!(
        store_commissioned,
        "INSERT INTO commissioned (kiosk, known_from_at, stretches)
         SELECT value->>0, CAST(value->>1 AS BIGINT), value->>2 FROM " ROWS " WHERE true
         ON CONFLICT (kiosk, known_from_at) DO UPDATE SET stretches = excluded.stretches
         WHERE commissioned.known_from_at > 0"
    );
    type Key<'a> = (&'a KioskId, Timestamp);

    fn key(&self) -> Option<Self::Key<'_>> {
        Some((&self.kiosk, self.known_from))
    }

    fn join<'a>(earlier: &Self, later: &'a Self) -> Result<Cow<'a, Self>, StoreError> {
        Ok(match later.known_from == Self::ALWAYS {
            true => Cow::Owned(earlier.clone()),
            false => Cow::Borrowed(later),
        })
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.text(self.kiosk.as_str());
        row.time(self.known_from);
        row.text(&stretches_text(&self.stretches));
        Ok(())
    }
}

impl Loaded for CommissionedRow {
    const TABLE: &'static str = "commissioned";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self { kiosk: row.id()?, known_from: row.time()?, stretches: row.word(stretches)? })
    }
}

/// `[[from, to], …]` in milliseconds.
pub(super) fn stretches_text(stretches: &Commissioned) -> String {
    let ms = |at: Option<Timestamp>| at.map(Timestamp::ms);
    let dates = |one: &ServiceSpan| (ms(one.commissioned_at), ms(one.decommissioned_at));
    serde_json::json!(stretches.spans().iter().map(dates).collect::<Vec<_>>()).to_string()
}

pub(super) fn stretches(text: &str) -> Option<Commissioned> {
    let stretches: Vec<(i64, Option<i64>)> = serde_json::from_str(text).ok()?;
    let span = |(from, to): (i64, Option<i64>)| ServiceSpan {
        commissioned_at: Some(Timestamp(from)),
        decommissioned_at: to.map(Timestamp),
    };
    Some(Commissioned::of(stretches.into_iter().map(span)))
}

impl Store {
    /// When these kiosks count, as far as more was ever noted of it than the dates in their row.
    pub async fn commissioned_of(
        &self,
        kiosks: &[KioskId],
    ) -> Result<BTreeMap<KioskId, Known<Commissioned>>, StoreError> {
        let ids = id_array(kiosks.iter());
        let rows: Vec<CommissionedRow> = self.rows(&OF_KIOSKS, |q| q.bind(ids)).await?;
        let mut known: BTreeMap<KioskId, Known<Commissioned>> = BTreeMap::new();
        for row in rows {
            known.entry(row.kiosk).or_default().learn(row.known_from, row.stretches);
        }
        Ok(known)
    }
}
