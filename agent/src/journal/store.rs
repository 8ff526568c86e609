//! The open file: transactions, reading, and the core's view of it. The only SQL of the agent is in this folder.
use kioskwatch_agent_core::{
    effect::Draft,
    journal::{Appended, Entry, Journal, JournalView, Pruned, ReadLimit},
};
use kioskwatch_proto::{Epoch, Timestamp, journal::Digest};
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};

use super::{
    CommandRow, Done, Head, JournalConfig, JournalError, Notice, Op,
    row::{RECORD_COLUMNS, RecordRow, State, number, signed},
    turn::{Turn, first_held},
};

/// Format of the file; a file of a higher one is refused, not guessed at.
pub(super) const FORMAT: i64 = 1;
const SCHEMA: &str = include_str!("schema.sql");

/// An error of SQLite while we were `doing` something to the journal.
pub(super) fn sql(doing: &'static str) -> impl Fn(rusqlite::Error) -> JournalError {
    move |source| match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => JournalError::Full { doing },
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory
            | ErrorCode::ApiMisuse,
        ) => JournalError::Sqlite { doing, source },
        // Our SQL is tested on undamaged files: what else goes wrong with it is the file's doing. A broken
        // header, a missing column, a text in the place of a number, a number given twice.
        _ => JournalError::Damaged { doing, what: source.to_string() },
    }
}

pub(super) struct Store {
    pub(super) conn: Connection,
    pub(super) config: JournalConfig,
    pub(super) state: State,
    /// The lowest number held.
    pub(super) first: u64,
    /// See [`super::roomless`].
    pub(super) roomless: bool,
}

impl Store {
    /// Makes the tables and the first row of state.
    pub(super) fn create(conn: &mut Connection, state: &State) -> Result<(), JournalError> {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql("creating"))?;
        tx.execute_batch(SCHEMA).map_err(sql("creating"))?;
        state.save(&tx)?;
        tx.pragma_update(None, "user_version", FORMAT).map_err(sql("creating"))?;
        tx.commit().map_err(sql("creating"))
    }

    pub(super) fn head(&self) -> Head {
        let State { epoch, last_seq, acked, .. } = self.state;
        Head { epoch, first: self.first, last_seq, acked }
    }

    /// Does something in one transaction. On an error nothing has changed.
    pub(super) fn in_transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Turn<'_>) -> Result<T, JournalError>,
    ) -> Result<(T, Vec<Notice>), JournalError> {
        if self.roomless {
            return Err(JournalError::Full { doing: "writing" });
        }
        let tx =
            self.conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql("writing"))?;
        let mut turn =
            Turn { conn: &tx, state: self.state.clone(), limits: self.config.limits, notices: Vec::new() };
        let done = work(&mut turn)?;
        let Turn { state, notices, .. } = turn;
        if state != self.state {
            state.save(&tx)?;
        }
        let first = first_held(&tx, &state)?;
        tx.commit().map_err(sql("committing to"))?;
        self.state = state;
        self.first = first;
        Ok((done, notices))
    }

    /// Applies several requests in one commit. The first answer carries what the journal did by itself.
    pub(super) fn apply(&mut self, requests: &[&[Op]]) -> Result<Vec<Done>, JournalError> {
        let (all, mut notices) = self.in_transaction(|turn| {
            let mut all = Vec::with_capacity(requests.len());
            for ops in requests {
                let mut written = Vec::new();
                for op in *ops {
                    written.extend(turn.apply(op)?.map(Some));
                }
                all.push(written);
            }
            Ok(all)
        })?;
        let head = self.head();
        let done = |written| Done { written, head, notices: std::mem::take(&mut notices) };
        Ok(all.into_iter().map(done).collect())
    }

    /// Records that carry numbers from `from` on, in order, within both limits (but at least one).
    pub(super) fn read_entries(&self, from: u64, limit: ReadLimit) -> Result<Vec<Entry>, JournalError> {
        let mut statement = self
            .conn
            .prepare_cached(&format!(
                "SELECT {RECORD_COLUMNS} FROM record
                 WHERE seq >= coalesce((SELECT max(seq) FROM record WHERE seq <= ?1 AND through >= ?1), ?1)
                 ORDER BY seq LIMIT ?2"
            ))
            .map_err(sql("reading"))?;
        let rows = statement
            .query_map(params![signed(from), signed(limit.records as u64)], RecordRow::read)
            .map_err(sql("reading"))?;
        let mut found = Vec::new();
        let mut bytes = 0;
        for row in rows {
            let row = row
                .map_err(sql("reading"))?
                .map_err(|what| JournalError::Damaged { doing: "reading", what })?;
            bytes += row.json.len() + 1;
            if bytes > limit.bytes && !found.is_empty() {
                break;
            }
            found.push(Entry { seq: row.seq, through: row.through, json: row.json });
        }
        Ok(found)
    }

    /// The digest of record `seq`, if it is held and no `dropped`.
    pub(super) fn find_digest(&self, seq: u64) -> Result<Option<Digest>, JournalError> {
        self.conn
            .query_row("SELECT json FROM record WHERE seq = ?1 AND kind <> 'dropped'", [signed(seq)], |row| {
                row.get::<_, String>(0)
            })
            .optional()
            .map(|json| json.map(|json| Digest::of(json.as_bytes())))
            .map_err(sql("reading"))
    }

    pub(super) fn commands(&self) -> Result<Vec<CommandRow>, JournalError> {
        read_commands(&self.conn)
    }
}

pub(super) fn read_commands(conn: &Connection) -> Result<Vec<CommandRow>, JournalError> {
    let mut statement = conn
        .prepare("SELECT id, counter, not_after, state FROM command ORDER BY counter")
        .map_err(sql("reading"))?;
    let rows = statement
        .query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, String>(3)?,
            ))
        })
        .map_err(sql("reading"))?;
    let mut commands = Vec::new();
    for row in rows {
        let (id, counter, not_after, state) = row.map_err(sql("reading"))?;
        let id = id.parse().map_err(|_| JournalError::Damaged {
            doing: "reading",
            what: "a command id is no UUID".into(),
        })?;
        commands.push(CommandRow {
            id,
            counter: number(counter),
            not_after: kioskwatch_proto::Timestamp(not_after),
            state,
        });
    }
    Ok(commands)
}

impl JournalView for Store {
    fn epoch(&self) -> Epoch {
        self.state.epoch
    }
    fn first(&self) -> u64 {
        self.first
    }
    fn last(&self) -> u64 {
        self.state.last_seq
    }
    fn acked(&self) -> u64 {
        self.state.acked
    }
    fn digest(&self, seq: u64) -> Option<Digest> {
        self.find_digest(seq).ok().flatten()
    }
}

/// The journal as the core describes it, so that the core's suite can prove that this one keeps its promises.
impl Journal for Store {
    type Error = JournalError;

    fn append(&mut self, drafts: &[Draft], _now: Timestamp) -> Result<Appended, JournalError> {
        let ops: Vec<Op> = drafts.iter().cloned().map(Op::Record).collect();
        let done = self.apply(&[&ops])?;
        let mut appended = Appended { last: self.state.last_seq, ..Appended::default() };
        for notice in done.iter().flat_map(|d| &d.notices) {
            if let Notice::Evicted { records, snapshot_wanted } = notice {
                appended.evicted += records;
                appended.snapshot_wanted |= snapshot_wanted;
            }
        }
        Ok(appended)
    }

    fn read(&self, from: u64, limit: ReadLimit) -> Result<Vec<Entry>, JournalError> {
        self.read_entries(from, limit)
    }

    fn ack(&mut self, upto: u64, now: Timestamp) -> Result<(), JournalError> {
        self.apply(&[&[Op::Acked { upto, at: now }]]).map(|_| ())
    }

    fn prune(&mut self, now: Timestamp) -> Result<Pruned, JournalError> {
        self.in_transaction(|turn| turn.age_out(now.ms())).map(|(pruned, _)| pruned)
    }

    fn start_epoch(&mut self, epoch: Epoch, snapshot: &Draft, resend_from: u64) -> Result<(), JournalError> {
        let op = Op::NewEpoch { epoch, first: snapshot.clone(), resend_from };
        self.apply(&[&[op]]).map(|_| ())
    }
}
