//! Time in which what was heard of a kiosk could not be stored. Hardly ever a row.
use kioskwatch_domain::change::EvidenceGapRow;
use kioskwatch_proto::{KioskId, Timestamp};

use super::{
    Store, StoreError,
    kiosks::id_array,
    row::{Loaded, RowReader, RowWriter, Stored},
    sql::{Sql, sql},
};

const OVERLAPPING: Sql = sql!(
    overlapping_evidence_gaps,
    "SELECT kiosk, from_at, to_at FROM evidence_gap
     WHERE kiosk " AMONG_TEXTS " AND to_at > $2 AND from_at < $3 ORDER BY kiosk, from_at"
);

impl Stored for EvidenceGapRow {
    const TABLE: &'static str = "evidence_gap";
    const WRITE: Sql = sql!(
        store_evidence_gaps,
        "INSERT INTO evidence_gap (kiosk, from_at, to_at)
         SELECT value->>0, CAST(value->>1 AS BIGINT), CAST(value->>2 AS BIGINT)
         FROM " ROWS " WHERE true
         ON CONFLICT (kiosk, from_at) DO UPDATE SET to_at = excluded.to_at"
    );
    type Key<'a> = (&'a KioskId, Timestamp);

    fn key(&self) -> Option<Self::Key<'_>> {
        Some((&self.kiosk, self.from))
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.text(self.kiosk.as_str());
        row.time(self.from);
        row.time(self.to);
        Ok(())
    }
}

impl Loaded for EvidenceGapRow {
    const TABLE: &'static str = "evidence_gap";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self { kiosk: row.id()?, from: row.time()?, to: row.time()? })
    }
}

impl Store {
    /// Gaps of these kiosks that overlap `from..to`.
    pub async fn evidence_gaps(
        &self,
        kiosks: &[KioskId],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<EvidenceGapRow>, StoreError> {
        let ids = id_array(kiosks.iter());
        self.rows(&OVERLAPPING, |q| q.bind(ids).bind(from.ms()).bind(to.ms())).await
    }
}
