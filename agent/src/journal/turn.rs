//! What one transaction changes: operations applied one after the other to rows and state.
use kioskwatch_agent_core::{
    effect::Draft,
    eviction::SNAPSHOT,
    journal::{JournalLimits, Pruned, aged_out},
};
use kioskwatch_proto::{
    Epoch, Timestamp,
    journal::{Body, Digest, Dropped, Record, Was},
    limits::MAX_RECORD_BYTES,
    text::clean_text,
};
use rusqlite::{Connection, params};

use super::{
    CommandRow, JournalError, Notice, Op, Written,
    evict::{held_bytes, insert_row, records_from},
    row::{State, number, save_known_since, signed},
    store::sql,
};

/// Why a command's record has no result.
pub(super) const RESULT_TOO_LARGE: &str = "the result was too large for a record";
/// Records aged out by one tick at most: a tick is small whatever piled up.
const MAX_AGED: usize = 500;

/// The inside of one transaction. Nothing of it counts before the commit.
pub(super) struct Turn<'a> {
    pub(super) conn: &'a Connection,
    pub(super) state: State,
    pub(super) limits: JournalLimits,
    pub(super) notices: Vec<Notice>,
}

impl Turn<'_> {
    pub(super) fn apply(&mut self, op: &Op) -> Result<Option<Written>, JournalError> {
        match op {
            Op::Record(draft) => return self.append(draft).map(Some),
            Op::Tick { boot, at } => {
                self.state.boot = Some(*boot);
                self.state.alive_until = Some(*at);
                self.state.clean = false;
                if self.age_out(at.ms())?.snapshot_wanted {
                    self.notices.push(Notice::Evicted { records: 0, snapshot_wanted: true });
                }
            }
            Op::Clean => self.state.clean = true,
            Op::Acked { upto, at } => self.acknowledge(*upto, at.ms())?,
            Op::Remember(snapshot) => self.state.remembered = Some(snapshot.clone()),
            Op::Command(row) => save_command(self.conn, row)?,
            Op::Forget(id) => {
                self.conn
                    .prepare_cached("DELETE FROM command WHERE id = ?1")
                    .and_then(|mut s| s.execute([id.to_string()]))
                    .map_err(sql("writing"))?;
            }
            Op::Counter(counter) => self.state.counter = self.state.counter.max(*counter),
            Op::CommandsKnownSince(at) => save_known_since(self.conn, *at)?,
            Op::NewEpoch { epoch, first, resend_from } => {
                return self.new_epoch(*epoch, first, *resend_from).map(Some);
            }
        }
        Ok(None)
    }

    fn append(&mut self, draft: &Draft) -> Result<Written, JournalError> {
        self.insert(draft.numbered(self.state.last_seq + 1, None))
    }

    /// Writes a record under the next number and moves `last_seq` behind its end, after making room for it.
    fn insert(&mut self, mut record: Record) -> Result<Written, JournalError> {
        let seq = record.header.seq;
        let mut json = record.to_json();
        if json.len() > MAX_RECORD_BYTES {
            cut(&mut record.body, (seq, json.len()));
            json = record.to_json();
        }
        let bytes = json.len() as u64;
        let need = self.limits.need(self.state.held_bytes, bytes);
        if need > 0 {
            self.free(need)?;
        }
        let through = match &record.body {
            Body::Dropped(dropped) => dropped.through,
            _ => seq,
        };
        insert_row(self.conn, (seq, through), record.body.kind(), &json, None)?;
        self.state.held_bytes += bytes;
        self.state.last_seq = through;
        Ok(Written { seq, digest: Digest::of(json.as_bytes()) })
    }

    /// Forwards, or back when the server was restored from an older backup. Above the last number is no news.
    pub(super) fn acknowledge(&mut self, upto: u64, at_ms: i64) -> Result<(), JournalError> {
        let before = self.state.acked;
        if upto > self.state.last_seq || upto == before {
            return Ok(());
        }
        // Its word taken back, a server may still have applied them: the mark stays at them.
        if upto > before {
            self.conn
                .prepare_cached(
                    "UPDATE record SET acked_at = ?1 WHERE through > ?2 AND through <= ?3 AND seq <= ?3
                     AND seq >= coalesce((SELECT max(seq) FROM record WHERE seq <= ?2), 0)",
                )
                .and_then(|mut s| s.execute(params![at_ms, signed(before), signed(upto)]))
                .map_err(sql("writing"))?;
        }
        self.state.acked = upto;
        Ok(())
    }

    /// Forgets acknowledged records whose keeping time is over.
    pub(super) fn age_out(&mut self, now_ms: i64) -> Result<Pruned, JournalError> {
        let over = {
            let mut statement = self
                .conn
                .prepare_cached("SELECT acked_at FROM record WHERE seq <= ?1 AND through <= ?1 ORDER BY seq")
                .map_err(sql("reading"))?;
            let times = statement
                .query_map([signed(self.state.acked)], |row| row.get::<_, Option<i64>>(0))
                .map_err(sql("reading"))?;
            // What cannot be read ends the list: it stays. What has no time is as old as the next one that has.
            let times = times.map_while(Result::ok).map(|at| Timestamp(at.unwrap_or(i64::MAX)));
            aged_out(times, Timestamp(now_ms), self.limits.keep_acked_ms, MAX_AGED).min(MAX_AGED)
        };
        if over == 0 {
            return Ok(Pruned::default());
        }
        let snapshot_leaves = holds_snapshot(self.conn, over as u64)?;
        let records = self
            .conn
            .prepare_cached("DELETE FROM record WHERE seq IN (SELECT seq FROM record ORDER BY seq LIMIT ?1)")
            .and_then(|mut s| s.execute([signed(over as u64)]))
            .map_err(sql("writing"))?;
        self.state.held_bytes = held_bytes(self.conn)?;
        let snapshot_wanted = snapshot_leaves && !holds_snapshot(self.conn, u64::MAX >> 1)?;
        Ok(Pruned { records: records as u64, snapshot_wanted })
    }

    fn new_epoch(&mut self, epoch: Epoch, first: &Draft, resend_from: u64) -> Result<Written, JournalError> {
        let carried = records_from(self.conn, resend_from)?;
        self.conn.execute("DELETE FROM record", []).map_err(sql("writing"))?;
        let old = std::mem::replace(&mut self.state.epoch, epoch);
        self.state.last_seq = 0;
        self.state.acked = 0;
        self.state.held_bytes = 0;
        let written = self.append(first)?;
        for record in carried {
            self.carry(old, record)?;
        }
        Ok(written)
    }

    /// Writes a record of an older epoch under the next number of this one, with where it stood.
    pub(super) fn carry(&mut self, old: Epoch, mut record: Record) -> Result<(), JournalError> {
        let old_seq = record.header.seq;
        let seq = self.state.last_seq + 1;
        // The first place is the one a server may already have applied.
        record.header.was.get_or_insert(Was { epoch: old, seq: old_seq });
        record.header.seq = seq;
        if let Body::Dropped(dropped) = &mut record.body {
            dropped.through = seq + (dropped.through - old_seq);
        }
        self.insert(record).map(|_| ())
    }
}

/// What does not fit a message would be sent, and refused, for ever.
fn cut(body: &mut Body, (seq, bytes): (u64, usize)) {
    let kind = body.kind().to_owned();
    tracing::error!(seq, kind, bytes, "a record is too large and is cut");
    if let Body::Command(result) = body {
        // The outcome matters more than its details.
        result.result = None;
        let reason = result.reason.get_or_insert_with(|| RESULT_TOO_LARGE.to_owned());
        *reason = clean_text(reason);
    } else {
        *body = Body::Dropped(Dropped { through: seq, counts: [(kind, 1)].into() });
    }
}

pub(super) fn save_command(conn: &Connection, row: &CommandRow) -> Result<(), JournalError> {
    conn.prepare_cached(
        "INSERT INTO command (id, counter, not_after, state) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (id) DO UPDATE SET counter = ?2, not_after = ?3, state = ?4",
    )
    .and_then(|mut s| {
        s.execute(params![row.id.to_string(), signed(row.counter), row.not_after.ms(), row.state])
    })
    .map(|_| ())
    .map_err(sql("writing"))
}

/// The lowest number held: of the first row, or one above the last number given.
pub(super) fn first_held(conn: &Connection, state: &State) -> Result<u64, JournalError> {
    let first: Option<i64> =
        conn.query_row("SELECT min(seq) FROM record", [], |row| row.get(0)).map_err(sql("reading"))?;
    Ok(first.map_or(state.last_seq + 1, number))
}

/// Whether there is a snapshot among so many of the oldest records.
fn holds_snapshot(conn: &Connection, oldest: u64) -> Result<bool, JournalError> {
    conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM (SELECT kind FROM record ORDER BY seq LIMIT ?1) WHERE kind = ?2)",
    )
    .and_then(|mut s| s.query_row(params![signed(oldest), SNAPSHOT], |row| row.get(0)))
    .map_err(sql("reading"))
}
