//! The agents' journals as far as they are applied: heads, records, and what will never come.
use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use kioskwatch_domain::{
    change::{JournalGapRow, JournalHeadRow, JournalRecordRow, RecordOutcome},
    fleet::MAX_EPOCHS,
};
use kioskwatch_proto::{Epoch, KioskId};
use serde_json::json;

use super::{
    Page, PageRequest, Scope, Store, StoreError,
    image::Ends,
    row::{Loaded, RowReader, RowWriter, Stored},
    sql::{Sql, sql},
};

macro_rules! head_columns {
    () => {
        "kiosk, epoch, upto, digest, first_seen_at, position"
    };
}
macro_rules! record_columns {
    () => {
        "kiosk, epoch, seq, kind, at, placed_at, received_at, outcome, reason, digest, raw"
    };
}
macro_rules! gap_columns {
    () => {
        "kiosk, epoch, from_seq, through_seq, at, reason"
    };
}

/// The newest of each kiosk and its current one: of the others a fleet keeps nothing, and there is no end of them.
const HEADS_BETWEEN: Sql = sql!(
    journal_heads_between,
    "SELECT " {head_columns, "kiosk, epoch"} " FROM (
       SELECT " [head_columns] ",
              ROW_NUMBER() OVER (PARTITION BY kiosk ORDER BY first_seen_at DESC, epoch DESC) AS place
       FROM journal_head WHERE kiosk >= $1 AND kiosk <= $2) AS head
     WHERE place <= $3 OR epoch = (SELECT s.epoch FROM kiosk_state s WHERE s.kiosk = head.kiosk)"
);
const HEADS: Sql = sql!(
    journal_heads,
    "SELECT " [head_columns] " FROM journal_head WHERE kiosk = $1 ORDER BY first_seen_at DESC, epoch"
);
const RECORDS: Sql = sql!(
    journal_records,
    "SELECT " [record_columns] " FROM journal_record
     WHERE kiosk = $1 AND epoch = $2 AND seq < $3
     ORDER BY seq DESC LIMIT $4"
);
const RECORD: Sql = sql!(
    journal_record,
    "SELECT " [record_columns] " FROM journal_record WHERE kiosk = $1 AND epoch = $2 AND seq = $3"
);
const HEADS_AT: Sql = sql!(
    journal_heads_at,
    "SELECT " [head_columns] " FROM " ROWS " JOIN journal_head ON kiosk = value->>0 AND epoch = value->>1"
);
const RAW_AT: Sql = sql!(
    journal_raw_at,
    "SELECT kiosk, epoch, seq, raw FROM " ROWS "
     JOIN journal_record ON kiosk = value->>0 AND epoch = value->>1 AND seq = CAST(value->>2 AS BIGINT)"
);
/// At or below the head, above nothing that is stored, and in no gap: applied, and removed since.
pub(super) const REMOVED_AT: Sql = sql!(
    journal_removed_at,
    "SELECT value->>0, value->>1, CAST(value->>2 AS BIGINT), '' FROM " ROWS "
     WHERE (SELECT h.upto FROM journal_head h WHERE h.kiosk = value->>0 AND h.epoch = value->>1)
           >= CAST(value->>2 AS BIGINT)
       AND (SELECT r.seq FROM journal_record r
            WHERE r.kiosk = value->>0 AND r.epoch = value->>1 AND r.seq <= CAST(value->>2 AS BIGINT)
            ORDER BY r.seq LIMIT 1) IS NULL
       AND (SELECT g.from_seq FROM journal_gap g
            WHERE g.kiosk = value->>0 AND g.epoch = value->>1 AND g.from_seq <= CAST(value->>2 AS BIGINT)
              AND g.through_seq >= CAST(value->>2 AS BIGINT)
            LIMIT 1) IS NULL"
);
const GAPS: Sql = sql!(
    journal_gaps,
    "SELECT " [gap_columns] " FROM journal_gap WHERE kiosk = $1 ORDER BY at, epoch, from_seq"
);

impl Stored for JournalHeadRow {
    const TABLE: &'static str = "journal_head";
    const WRITE: Sql = sql!(
        store_journal_heads,
        "INSERT INTO journal_head (" [head_columns] ")
         SELECT value->>0, value->>1, CAST(value->>2 AS BIGINT), value->>3, CAST(value->>4 AS BIGINT),
                value->>5
         FROM " ROWS " WHERE true
         ON CONFLICT (kiosk, epoch) DO UPDATE SET
           upto = excluded.upto, digest = excluded.digest, first_seen_at = excluded.first_seen_at,
           position = excluded.position"
    );
    type Key<'a> = (&'a KioskId, Epoch);

    fn key(&self) -> Option<Self::Key<'_>> {
        Some((&self.kiosk, self.epoch))
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.text(self.kiosk.as_str());
        row.display(&self.epoch);
        row.count("upto", self.upto)?;
        row.opt_display(self.digest.as_ref());
        row.time(self.first_seen_at);
        row.text(&self.cursor);
        Ok(())
    }
}

impl Loaded for JournalHeadRow {
    const TABLE: &'static str = "journal_head";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            kiosk: row.id()?,
            epoch: row.id()?,
            upto: row.number()?,
            digest: row.opt_id()?,
            first_seen_at: row.time()?,
            cursor: row.text()?,
        })
    }
}

impl Stored for JournalRecordRow {
    const TABLE: &'static str = "journal_record";
    const WRITE: Sql = sql!(
        store_journal_records,
        "INSERT INTO journal_record (" [record_columns] ")
         SELECT value->>0, value->>1, CAST(value->>2 AS BIGINT), value->>3, CAST(value->>4 AS BIGINT),
                CAST(value->>5 AS BIGINT), CAST(value->>6 AS BIGINT), value->>7, value->>8, value->>9,
                value->>10
         FROM " ROWS " WHERE true
         ON CONFLICT (kiosk, epoch, seq) DO NOTHING"
    );
    const NEW: Option<Sql> = Some(sql!(
        store_new_journal_records,
        "INSERT INTO journal_record (" [record_columns] ")
         SELECT value->>0, value->>1, CAST(value->>2 AS BIGINT), value->>3, CAST(value->>4 AS BIGINT),
                CAST(value->>5 AS BIGINT), CAST(value->>6 AS BIGINT), value->>7, value->>8, value->>9,
                value->>10
         FROM " ROWS
    ));
    /// The digest stands for the bytes.
    const CLASH: Option<Sql> = Some(sql!(
        find_journal_fork,
        "SELECT kiosk, epoch, CAST(seq AS TEXT)
         FROM " ROWS "
         JOIN journal_record ON kiosk = value->>0 AND epoch = value->>1 AND seq = CAST(value->>2 AS BIGINT)
         WHERE digest <> value->>9
         ORDER BY kiosk, epoch, seq LIMIT 1"
    ));
    type Key<'a> = (&'a KioskId, Epoch, u64);

    fn key(&self) -> Option<Self::Key<'_>> {
        Some((&self.kiosk, self.epoch, self.seq))
    }

    fn join<'a>(earlier: &Self, later: &'a Self) -> Result<Cow<'a, Self>, StoreError> {
        if earlier.digest == later.digest { Ok(Cow::Borrowed(later)) } else { Err(StoreError::fork(later)) }
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.text(self.kiosk.as_str());
        row.display(&self.epoch);
        row.count("seq", self.seq)?;
        row.text(&self.kind);
        row.time(self.at);
        row.time(self.placed_at);
        row.time(self.received_at);
        row.text(self.outcome.as_str());
        row.opt_text(self.reason.as_deref());
        row.display(&self.digest);
        row.text(&self.raw);
        Ok(())
    }
}

impl Loaded for JournalRecordRow {
    const TABLE: &'static str = "journal_record";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            kiosk: row.id()?,
            epoch: row.id()?,
            seq: row.number()?,
            kind: row.text()?,
            at: row.time()?,
            placed_at: row.time()?,
            received_at: row.time()?,
            outcome: row.word(RecordOutcome::parse)?,
            reason: row.opt_text()?,
            digest: row.id()?,
            raw: row.text()?.into(),
        })
    }
}

impl Stored for JournalGapRow {
    const TABLE: &'static str = "journal_gap";
    const WRITE: Sql = sql!(
        store_journal_gaps,
        "INSERT INTO journal_gap (" [gap_columns] ")
         SELECT value->>0, value->>1, CAST(value->>2 AS BIGINT), CAST(value->>3 AS BIGINT),
                CAST(value->>4 AS BIGINT), value->>5
         FROM " ROWS " WHERE true
         ON CONFLICT (kiosk, epoch, from_seq) DO NOTHING"
    );
    type Key<'a> = (&'a KioskId, Epoch, u64);

    fn key(&self) -> Option<Self::Key<'_>> {
        Some((&self.kiosk, self.epoch, self.from_seq))
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.text(self.kiosk.as_str());
        row.display(&self.epoch);
        row.count("from_seq", self.from_seq)?;
        row.count("through_seq", self.through_seq)?;
        row.time(self.at);
        row.text(&self.reason);
        Ok(())
    }
}

impl Loaded for JournalGapRow {
    const TABLE: &'static str = "journal_gap";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            kiosk: row.id()?,
            epoch: row.id()?,
            from_seq: row.number()?,
            through_seq: row.number()?,
            at: row.time()?,
            reason: row.text()?,
        })
    }
}

/// Where a record stands: in which journal, under which number.
pub type Place = (KioskId, Epoch, u64);

/// Places of one statement.
const PLACES_AT_ONCE: usize = 1_000;

/// A kiosk may name any number; none above what a column holds is stored.
fn storable(places: &[Place]) -> impl Iterator<Item = serde_json::Value> + '_ {
    let storable = places.iter().filter(|(.., seq)| i64::try_from(*seq).is_ok());
    storable.map(|(kiosk, epoch, seq)| json!([kiosk.as_str(), epoch.to_string(), seq]))
}

struct RawAt {
    place: Place,
    raw: String,
}

impl Loaded for RawAt {
    const TABLE: &'static str = "journal_record";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self { place: (row.id()?, row.id()?, row.number()?), raw: row.text()? })
    }
}

impl Store {
    pub(super) async fn journal_heads_between(&self, ends: &Ends) -> Result<Vec<JournalHeadRow>, StoreError> {
        self.gathered(&HEADS_BETWEEN, |q| ends.bind(q).bind(MAX_EPOCHS as i64)).await
    }

    /// The journals of a kiosk, newest first. `None`: no such kiosk for this reader.
    pub async fn journal_heads(
        &self,
        scope: &Scope,
        kiosk: &KioskId,
    ) -> Result<Option<Vec<JournalHeadRow>>, StoreError> {
        if !self.sees(scope, kiosk).await? {
            return Ok(None);
        }
        self.rows(&HEADS, |q| q.bind(kiosk.to_string())).await.map(Some)
    }

    /// Records of one journal as they came, highest number first. `None`: no such kiosk for this reader.
    pub async fn journal_records(
        &self,
        scope: &Scope,
        kiosk: &KioskId,
        epoch: Epoch,
        page: &PageRequest,
    ) -> Result<Option<Page<JournalRecordRow>>, StoreError> {
        let start: i64 = page.start()?;
        if !self.sees(scope, kiosk).await? {
            return Ok(None);
        }
        let (kiosk, epoch, limit) = (kiosk.to_string(), epoch.to_string(), page.fetch_limit());
        let rows = self.rows(&RECORDS, |q| q.bind(kiosk).bind(epoch).bind(start).bind(limit)).await?;
        Ok(Some(page.finish(rows, |record: &JournalRecordRow| record.seq.cast_signed())))
    }

    /// One record, to tell a repeat from a fork.
    pub async fn journal_record(
        &self,
        scope: &Scope,
        kiosk: &KioskId,
        epoch: Epoch,
        seq: u64,
    ) -> Result<Option<JournalRecordRow>, StoreError> {
        let Ok(seq) = i64::try_from(seq) else { return Ok(None) };
        if !self.sees(scope, kiosk).await? {
            return Ok(None);
        }
        self.row(&RECORD, |q| q.bind(kiosk.to_string()).bind(epoch.to_string()).bind(seq)).await
    }

    /// The heads of these journals, as far as they are stored. For the one writer, on its own connection: it does
    /// not wait for those who read reports.
    pub async fn journal_heads_at(
        &self,
        places: &[(KioskId, Epoch)],
    ) -> Result<Vec<JournalHeadRow>, StoreError> {
        let keys = places.iter().map(|(kiosk, epoch)| json!([kiosk.as_str(), epoch.to_string()]));
        self.rows_at(&HEADS_AT, keys).await
    }

    /// The exact bytes of these records, as far as they are stored. As [`Self::journal_heads_at`].
    pub async fn journal_raw_at(&self, places: &[Place]) -> Result<HashMap<Place, String>, StoreError> {
        let found = self.rows_at(&RAW_AT, storable(places)).await?;
        Ok(found.into_iter().map(|RawAt { place, raw }| (place, raw)).collect())
    }

    /// Those of these places whose record was applied and is removed because it was old; what never came is not among
    /// them, nor what is stored. As [`Self::journal_heads_at`].
    pub async fn journal_removed_at(&self, places: &[Place]) -> Result<HashSet<Place>, StoreError> {
        let found: Vec<RawAt> = self.rows_at(&REMOVED_AT, storable(places)).await?;
        Ok(found.into_iter().map(|RawAt { place, .. }| place).collect())
    }

    async fn rows_at<T: Loaded>(
        &self,
        sql: &Sql,
        keys: impl Iterator<Item = serde_json::Value>,
    ) -> Result<Vec<T>, StoreError> {
        let keys: Vec<_> = keys.collect();
        let mut found = Vec::new();
        for some in keys.chunks(PLACES_AT_ONCE) {
            let query = sql.query(self.backend()).bind(json!(some).to_string());
            for row in self.database.write(sql.name, query).await? {
                found.push(T::decode(&mut RowReader::new(&row, T::TABLE))?);
            }
        }
        Ok(found)
    }

    /// What will never come of a kiosk's journals. `None`: no such kiosk for this reader.
    pub async fn journal_gaps(
        &self,
        scope: &Scope,
        kiosk: &KioskId,
    ) -> Result<Option<Vec<JournalGapRow>>, StoreError> {
        if !self.sees(scope, kiosk).await? {
            return Ok(None);
        }
        self.rows(&GAPS, |q| q.bind(kiosk.to_string())).await.map(Some)
    }
}
