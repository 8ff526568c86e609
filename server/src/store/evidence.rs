//! Evidence: spans of time and what they prove of a kiosk. Uptime is computed from these rows, and from the stretches
//! of heartbeats that still run (`seen`).
use std::{borrow::Cow, collections::HashSet};

use kioskwatch_domain::change::{EvidenceRow, EvidenceSource, EvidenceState};
use kioskwatch_proto::{KioskId, Timestamp};
use sqlx::any::AnyRow;

use super::{
    Scope, Store, StoreError,
    kiosks::id_array,
    row::{Loaded, RowReader, RowWriter, Stored},
    sql::{Sql, sql},
};

/// Kiosks of one question for evidence: a month of a busy kiosk is a few thousand rows.
pub const MAX_EVIDENCE_KIOSKS: usize = 1_000;

macro_rules! columns {
    () => {
        "kiosk, source, from_at, state, to_at, cause, received_at, epoch, seq, interval_s"
    };
}

const OVERLAPPING: Sql = sql!(
    overlapping_evidence,
    "SELECT " [columns] " FROM evidence
     WHERE kiosk " AMONG_TEXTS " AND to_at > $2 AND from_at < $3
     UNION ALL
     SELECT kiosk, 'live', from_at, state, to_at, cause, NULL, NULL, NULL, span_interval_s FROM kiosk_seen
     WHERE kiosk " AMONG_TEXTS " AND to_at > $2 AND from_at < $3
     ORDER BY kiosk, from_at, source, state"
);
const VISIBLE: Sql = sql!(
    visible_kiosks,
    "SELECT id FROM kiosk WHERE site IN " TEXTS
);

impl Stored for EvidenceRow {
    const TABLE: &'static str = "evidence";
    /// Only grows: an end that is already later stays, and a late part makes the whole late.
    const WRITE: Sql = sql!(
        store_evidence,
        "INSERT INTO evidence (" [columns] ")
         SELECT value->>0, value->>1, CAST(value->>2 AS BIGINT), value->>3, CAST(value->>4 AS BIGINT),
                value->>5, CAST(value->>6 AS BIGINT), value->>7, CAST(value->>8 AS BIGINT),
                CAST(value->>9 AS BIGINT)
         FROM " ROWS " WHERE true
         ON CONFLICT (kiosk, source, from_at, state) DO UPDATE SET
           to_at = CASE WHEN excluded.to_at > evidence.to_at THEN excluded.to_at ELSE evidence.to_at END,
           cause = excluded.cause, epoch = excluded.epoch, seq = excluded.seq,
           received_at = COALESCE(excluded.received_at, evidence.received_at),
           interval_s = COALESCE(excluded.interval_s, evidence.interval_s)"
    );
    const NEW: Option<Sql> = Some(sql!(
        store_new_evidence,
        "INSERT INTO evidence (" [columns] ")
         SELECT value->>0, value->>1, CAST(value->>2 AS BIGINT), value->>3, CAST(value->>4 AS BIGINT),
                value->>5, CAST(value->>6 AS BIGINT), value->>7, CAST(value->>8 AS BIGINT),
                CAST(value->>9 AS BIGINT)
         FROM " ROWS
    ));
    type Key<'a> = (&'a KioskId, EvidenceSource, Timestamp, EvidenceState);

    fn key(&self) -> Option<Self::Key<'_>> {
        Some((&self.kiosk, self.source, self.from, self.state))
    }

    fn join<'a>(earlier: &Self, later: &'a Self) -> Result<Cow<'a, Self>, StoreError> {
        let mut joined = later.clone();
        joined.to = earlier.to.max(later.to);
        joined.received_at = later.received_at.or(earlier.received_at);
        joined.interval_s = later.interval_s.or(earlier.interval_s);
        Ok(Cow::Owned(joined))
    }

    /// The first of a kiosk may be one that grows.
    fn apart<'a>(rows: Vec<Cow<'a, Self>>) -> (Vec<Cow<'a, Self>>, Vec<Cow<'a, Self>>) {
        let mut begun = HashSet::new();
        rows.into_iter().partition(|row| begun.insert((row.kiosk.clone(), row.source)))
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.text(self.kiosk.as_str());
        row.text(self.source.as_str());
        row.time(self.from);
        row.text(self.state.as_str());
        row.time(self.to);
        row.opt_text(self.cause.as_deref());
        row.opt_time(self.received_at);
        row.opt_display(self.epoch.as_ref());
        row.opt_count("seq", self.seq)?;
        row.opt_int(self.interval_s.map(i64::from));
        Ok(())
    }
}

impl Loaded for EvidenceRow {
    const TABLE: &'static str = "evidence";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            kiosk: row.id()?,
            source: row.word(EvidenceSource::parse)?,
            from: row.time()?,
            state: row.word(EvidenceState::parse)?,
            to: row.time()?,
            cause: row.opt_text()?,
            received_at: row.opt_time()?,
            epoch: row.opt_id()?,
            seq: row.opt_number()?,
            interval_s: row.opt_number()?,
        })
    }
}

/// The id of a kiosk.
struct Id(KioskId);

impl Loaded for Id {
    const TABLE: &'static str = "kiosk";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        row.id().map(Self)
    }
}

impl Store {
    /// Evidence that overlaps `from..to` of those of `kiosks` that this reader sees, by kiosk and time.
    /// At most [`MAX_EVIDENCE_KIOSKS`] at once: what is above is a bug of the caller and left out.
    pub async fn evidence(
        &self,
        scope: &Scope,
        kiosks: &[KioskId],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<EvidenceRow>, StoreError> {
        let kiosks = self.visible(scope, &kiosks[..kiosks.len().min(MAX_EVIDENCE_KIOSKS)]).await?;
        if kiosks.is_empty() {
            return Ok(Vec::new());
        }
        let ids = id_array(kiosks.iter());
        let query = OVERLAPPING.query(self.backend()).bind(ids).bind(from.ms()).bind(to.ms());
        let decode =
            |row: &AnyRow| EvidenceRow::decode(&mut RowReader::new(row, <EvidenceRow as Loaded>::TABLE));
        self.database.read_evidence(OVERLAPPING.name, query, decode).await
    }

    async fn visible(&self, scope: &Scope, kiosks: &[KioskId]) -> Result<Vec<KioskId>, StoreError> {
        let Some(sites) = scope.to_json() else { return Ok(kiosks.to_vec()) };
        let seen: Vec<Id> = self.rows(&VISIBLE, |q| q.bind(sites)).await?;
        let seen: HashSet<KioskId> = seen.into_iter().map(|id| id.0).collect();
        Ok(kiosks.iter().filter(|k| seen.contains(k.as_str())).cloned().collect())
    }
}
