//! Doing what the core planned to make room under the size cap.
use kioskwatch_agent_core::eviction::{EntryFacts, EvictionPlan, Holds, plan_eviction, protected};
use kioskwatch_proto::journal::{Body, Record};
use rusqlite::{Connection, params};

use super::{
    JournalError, Notice,
    row::{RECORD_COLUMNS, RecordRow, number, record_crc, signed},
    store::sql,
    turn::Turn,
};

impl Turn<'_> {
    /// Frees about this many bytes of records.
    pub(super) fn free(&mut self, need: u64) -> Result<(), JournalError> {
        let (facts, reached) = facts(self.conn)?;
        let acked = self.state.acked;
        let protect = protected(&facts, acked, reached, self.limits.protect_head);
        let plan = plan_eviction(&facts, acked, need, protect);
        self.forget(&plan)?;
        for replacement in &plan.replace {
            self.replace(replacement)?;
        }
        self.state.held_bytes = held_bytes(self.conn)?;
        if plan.evicted > 0 || plan.snapshot_wanted {
            self.notices
                .push(Notice::Evicted { records: plan.evicted, snapshot_wanted: plan.snapshot_wanted });
        }
        Ok(())
    }

    fn forget(&self, plan: &EvictionPlan) -> Result<(), JournalError> {
        let Some(through) = plan.forget_through else { return Ok(()) };
        self.conn
            .execute("DELETE FROM record WHERE seq <= ?1", [signed(through)])
            .map(|_| ())
            .map_err(sql("evicting from"))
    }

    fn replace(
        &self,
        replacement: &kioskwatch_agent_core::eviction::Replacement,
    ) -> Result<(), JournalError> {
        let (seq, through) = (replacement.first, replacement.through);
        let (json, acked_at): (String, Option<i64>) = self
            .conn
            .query_row(
                "SELECT json, (SELECT max(acked_at) FROM record WHERE seq >= ?1 AND seq <= ?2)
                 FROM record WHERE seq = ?1",
                params![signed(seq), signed(through)],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .map_err(sql("evicting from"))?;
        let damaged = |e: kioskwatch_proto::journal::RecordError| JournalError::Damaged {
            doing: "evicting from",
            what: e.to_string(),
        };
        let first = Record::parse(&json).map_err(damaged)?;
        let json = replacement.record(&first.header).to_json();
        self.conn
            .execute(
                "DELETE FROM record WHERE seq >= ?1 AND seq <= ?2",
                params![signed(seq), signed(through)],
            )
            .map_err(sql("evicting from"))?;
        insert_row(self.conn, (seq, through), "dropped", &json, acked_at)
    }
}

pub(super) fn insert_row(
    conn: &Connection,
    (seq, through): (u64, u64),
    kind: &str,
    json: &str,
    acked_at: Option<i64>,
) -> Result<(), JournalError> {
    conn.prepare_cached(
        "INSERT INTO record (seq, through, kind, json, crc, acked_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .and_then(|mut statement| {
        let crc = i64::from(record_crc(seq, through, json));
        statement.execute(params![signed(seq), signed(through), kind, json, crc, acked_at])
    })
    .map(|_| ())
    .map_err(sql("writing"))
}

/// JSON bytes of all records together.
pub(super) fn held_bytes(conn: &Connection) -> Result<u64, JournalError> {
    conn.query_row("SELECT coalesce(sum(length(CAST(json AS BLOB))), 0) FROM record", [], |row| row.get(0))
        .map(number)
        .map_err(sql("measuring"))
}

/// Every entry, and the highest number the server ever acknowledged of them.
fn facts(conn: &Connection) -> Result<(Vec<EntryFacts>, u64), JournalError> {
    let mut statement = conn
        .prepare(
            "SELECT seq, through, kind, length(CAST(json AS BLOB)), CASE kind WHEN 'dropped' THEN json END,
                    acked_at IS NOT NULL
             FROM record ORDER BY seq",
        )
        .map_err(sql("evicting from"))?;
    let mut reached = 0;
    let rows = statement
        .query_map([], |row| {
            let (kind, dropped): (String, Option<String>) = (row.get(2)?, row.get(4)?);
            let holds = match dropped.and_then(|json| Record::parse(&json).ok()).map(|record| record.body) {
                Some(Body::Dropped(dropped)) => Holds::Dropped(dropped.counts),
                _ => Holds::Kind(kind),
            };
            let (seq, through) = (number(row.get(0)?), number(row.get(1)?));
            if row.get(5)? {
                reached = through;
            }
            Ok(EntryFacts { seq, through, bytes: number(row.get(3)?), holds })
        })
        .map_err(sql("evicting from"))?;
    let facts = rows.collect::<Result<_, _>>().map_err(sql("evicting from"))?;
    Ok((facts, reached))
}

/// Every record that ends at this number or later, in order. What does not carry its check sum, or is no
/// record, is left out.
pub(super) fn records_from(conn: &Connection, from: u64) -> Result<Vec<Record>, JournalError> {
    let (records, broken) = read_records(conn, from, Order::Up)?;
    broken.map_or(Ok(records), Err)
}

/// The same of a damaged file: what stands before the damage and what stands behind it, in order.
pub(super) fn readable_records_from(conn: &Connection, from: u64) -> Result<Vec<Record>, JournalError> {
    let (mut records, broken) = read_records(conn, from, Order::Up)?;
    if let Some(error) = broken {
        let end = records.last().map_or(0, |record| record.header.seq);
        let (behind, _) = read_records(conn, from, Order::Down)?;
        let behind: Vec<_> = behind.into_iter().take_while(|record| record.header.seq > end).collect();
        let (before, after) = (records.len(), behind.len());
        tracing::warn!(before, after, %error, "records in the middle of the damaged journal are lost");
        records.extend(behind.into_iter().rev());
    }
    Ok(records)
}

#[derive(Clone, Copy)]
enum Order {
    Up,
    Down,
}

/// What can be read before the first row that SQLite cannot give, and why it could not.
fn read_records(
    conn: &Connection,
    from: u64,
    order: Order,
) -> Result<(Vec<Record>, Option<JournalError>), JournalError> {
    let order = match order {
        Order::Up => "ASC",
        Order::Down => "DESC",
    };
    let mut statement = conn
        .prepare(&format!("SELECT {RECORD_COLUMNS} FROM record WHERE through >= ?1 ORDER BY seq {order}"))
        .map_err(sql("reading"))?;
    let rows = statement.query_map([signed(from)], RecordRow::read).map_err(sql("reading"))?;
    let mut records = Vec::new();
    for row in rows {
        let row = match row {
            Ok(row) => row,
            Err(error) => return Ok((records, Some(sql("reading")(error)))),
        };
        if let Ok(row) = row
            && let Ok(record) = Record::parse(&row.json)
        {
            records.push(record);
        }
    }
    Ok((records, None))
}
