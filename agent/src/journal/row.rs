//! Rows with check sums: a row that does not carry its own is damage, never data.
use kioskwatch_proto::{BootId, Epoch, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{JournalError, evict, store::sql};

/// Over number, range end and exact bytes of a record.
pub(super) fn record_crc(seq: u64, through: u64, json: &str) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seq.to_le_bytes());
    hasher.update(&through.to_le_bytes());
    hasher.update(json.as_bytes());
    hasher.finalize()
}

/// One record row whose check sum was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordRow {
    pub(super) seq: u64,
    pub(super) through: u64,
    pub(super) json: String,
}

pub(super) const RECORD_COLUMNS: &str = "seq, through, json, crc";

impl RecordRow {
    /// `Err` inside means: the row was readable and wrong.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Result<Self, String>> {
        let seq = number(row.get(0)?);
        let through = number(row.get(1)?);
        let json: String = row.get(2)?;
        let crc: i64 = row.get(3)?;
        if i64::from(record_crc(seq, through, &json)) != crc {
            return Ok(Err(format!("record {seq} does not carry its own check sum")));
        }
        Ok(Ok(Self { seq, through, json }))
    }
}

/// SQLite has no unsigned 64-bit integers; ours stay far below the sign.
pub(super) fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The one row of facts about the journal itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) epoch: Epoch,
    pub(super) last_seq: u64,
    pub(super) acked: u64,
    pub(super) boot: Option<BootId>,
    pub(super) alive_until: Option<Timestamp>,
    pub(super) clean: bool,
    pub(super) counter: u64,
    /// The engine's hard state as JSON, opaque here.
    pub(super) remembered: Option<String>,
    /// JSON bytes of all records; counted anew at each start, not stored.
    pub(super) held_bytes: u64,
}

impl State {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            last_seq: 0,
            acked: 0,
            boot: None,
            alive_until: None,
            clean: false,
            counter: 0,
            remembered: None,
            held_bytes: 0,
        }
    }

    fn crc(&self) -> u32 {
        let boot = self.boot.map(|b| b.to_string()).unwrap_or_default();
        let alive = self.alive_until.map_or(i64::MIN, Timestamp::ms);
        let text = format!(
            "{}|{}|{}|{boot}|{alive}|{}|{}|{}",
            self.epoch,
            self.last_seq,
            self.acked,
            self.clean,
            self.counter,
            self.remembered.as_deref().unwrap_or_default()
        );
        crc32fast::hash(text.as_bytes())
    }

    pub(super) fn save(&self, conn: &Connection) -> Result<(), JournalError> {
        conn.prepare_cached(
            "INSERT OR REPLACE INTO state (id, epoch, last_seq, acked, boot, alive_until, clean, counter, crc,
                                           remembered)
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                self.epoch.to_string(),
                signed(self.last_seq),
                signed(self.acked),
                self.boot.map(|b| b.to_string()),
                self.alive_until.map(Timestamp::ms),
                i64::from(self.clean),
                signed(self.counter),
                i64::from(self.crc()),
                self.remembered,
            ])
        })
        .map_err(sql("writing"))?;
        Ok(())
    }

    pub(super) fn load(conn: &Connection) -> Result<Self, JournalError> {
        let held_bytes = evict::held_bytes(conn)?;
        Ok(Self { held_bytes, ..Self::read(conn)? })
    }

    /// The row alone, whatever became of the records.
    pub(super) fn read(conn: &Connection) -> Result<Self, JournalError> {
        let row = conn
            .query_row(
                "SELECT epoch, last_seq, acked, boot, alive_until, clean, counter, crc, remembered
             FROM state WHERE id = 1",
                [],
                |row| {
                    Ok((
                        row.get::<_, String>(0)?,
                        row.get::<_, i64>(1)?,
                        row.get::<_, i64>(2)?,
                        row.get::<_, Option<String>>(3)?,
                        row.get::<_, Option<i64>>(4)?,
                        row.get::<_, i64>(5)?,
                        row.get::<_, i64>(6)?,
                        row.get::<_, i64>(7)?,
                        row.get::<_, Option<String>>(8)?,
                    ))
                },
            )
            .optional()
            .map_err(sql("reading"))?;
        let damaged = |what: &str| JournalError::Damaged { doing: "reading", what: what.to_owned() };
        let Some((epoch, last_seq, acked, boot, alive_until, clean, counter, crc, remembered)) = row else {
            return Err(damaged("its row of state is missing"));
        };
        let state = Self {
            epoch: epoch.parse().map_err(|_| damaged("its epoch is no UUID"))?,
            last_seq: number(last_seq),
            acked: number(acked),
            boot: boot.map(|b| b.parse()).transpose().map_err(|_| damaged("its boot id is no UUID"))?,
            alive_until: alive_until.map(Timestamp),
            clean: clean != 0,
            counter: number(counter),
            remembered,
            held_bytes: 0,
        };
        if i64::from(state.crc()) != crc {
            return Err(damaged("its row of state does not carry its own check sum"));
        }
        Ok(state)
    }
}

/// Made with the first row of it: journals of older agents have none.
const KNOWN_SINCE: &str = "CREATE TABLE IF NOT EXISTS known_since (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    at  INTEGER NOT NULL,
    crc INTEGER NOT NULL
)";

pub(super) fn save_known_since(conn: &Connection, at: Timestamp) -> Result<(), JournalError> {
    let crc = i64::from(crc32fast::hash(&at.ms().to_le_bytes()));
    conn.execute_batch(KNOWN_SINCE)
        .and_then(|()| {
            conn.execute(
                "INSERT OR REPLACE INTO known_since (id, at, crc) VALUES (1, ?1, ?2)",
                [at.ms(), crc],
            )
        })
        .map(|_| ())
        .map_err(sql("writing"))
}

/// Whatever is wrong with it: then nobody knows, and nothing is done that may have been done before.
pub(super) fn known_since(conn: &Connection) -> Option<Timestamp> {
    let row = conn.query_row("SELECT at, crc FROM known_since WHERE id = 1", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    });
    row.ok()
        .filter(|(at, crc)| i64::from(crc32fast::hash(&at.to_le_bytes())) == *crc)
        .map(|(at, _)| Timestamp(at))
}
