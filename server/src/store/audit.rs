//! The audit: who did what, each entry sealed with the hash of the one before it.
//!
//! Entries are only ever appended; the database itself refuses to change or remove one.
use kioskwatch_domain::change::AuditRow;
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;

use super::{
    AuditEntry, AuditVerdict, Page, PageRequest, Store, StoreError,
    row::{Loaded, RowReader, RowWriter, storable},
    sql::{Backend, Connection, Sql, sql},
};

/// Entries of one statement, on the way in and on a walk along the chain.
const MAX_CHUNK: usize = 1_000;
/// Stands where the first entry's predecessor would be.
const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

macro_rules! columns {
    () => {
        "seq, at, actor, action, object, detail, prev_hash, hash"
    };
}

/// Touching the row makes other servers wait until our commit: the chain has one end.
const LOCK_HEAD: Sql =
    sql!(lock_audit_head, "UPDATE meta SET value = value WHERE name = 'audit_head' RETURNING value");
const READ_HEAD: Sql = sql!(read_audit_head, "SELECT value FROM meta WHERE name = 'audit_head'");
const MOVE_HEAD: Sql = sql!(move_audit_head, "UPDATE meta SET value = $1 WHERE name = 'audit_head'");
const APPEND: Sql = sql!(
    append_audit,
    "INSERT INTO audit (" [columns] ")
     SELECT CAST(value->>0 AS BIGINT), CAST(value->>1 AS BIGINT), value->>2, value->>3, value->>4, value->>5,
            value->>6, value->>7
     FROM " ROWS
);
const LIST: Sql = sql!(
    list_audit,
    "SELECT " [columns] " FROM audit WHERE seq < $1 ORDER BY seq DESC LIMIT $2"
);
const WALK: Sql = sql!(
    walk_audit,
    "SELECT " [columns] " FROM audit WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3"
);
/// The one thing the two databases have no common words for.
pub(super) const GUARD: Sql = Sql {
    name: "guard_audit",
    sqlite: "-- guard_audit
CREATE TRIGGER IF NOT EXISTS audit_keeps_entries BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit entries are never changed'); END;
CREATE TRIGGER IF NOT EXISTS audit_loses_nothing BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit entries are never removed'); END;",
    postgres: "-- guard_audit
CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'audit entries are never changed or removed'; END $$;
CREATE OR REPLACE TRIGGER audit_keeps_entries BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();",
};

/// The end of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Head {
    seq: u64,
    hash: String,
}

impl Head {
    fn parse(text: &str) -> Result<Self, StoreError> {
        let senseless = || StoreError::Inconsistent {
            table: "meta",
            id: "audit_head".into(),
            what: format!("{text:?} is no number and hash"),
        };
        let (seq, hash) = text.split_once(' ').ok_or_else(senseless)?;
        Ok(Self { seq: seq.parse().map_err(|_| senseless())?, hash: hash.into() })
    }
}

/// What the hash is taken over: the predecessor's hash and every column, as one JSON array.
fn seal(prev_hash: &str, seq: u64, row: &AuditRow) -> String {
    let fields =
        serde_json::json!([prev_hash, seq, row.at.ms(), row.actor, row.action, row.object, row.detail]);
    hex::encode(Sha256::digest(fields.to_string()))
}

/// Inside the transaction of a commit.
pub(super) async fn append(
    backend: Backend,
    connection: &mut Connection,
    rows: &[&AuditRow],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let failed = |sql: Sql| move |e| StoreError::of(sql.name, e);
    let found = LOCK_HEAD.query(backend).fetch_one(&mut *connection).await.map_err(failed(LOCK_HEAD))?;
    let text: String = found.try_get(0).map_err(failed(LOCK_HEAD))?;
    let mut head = Head::parse(&text)?;
    for chunk in rows.chunks(MAX_CHUNK) {
        let json = encode(&mut head, chunk)?;
        APPEND.query(backend).bind(json).execute(&mut *connection).await.map_err(failed(APPEND))?;
    }
    let text = format!("{} {}", head.seq, head.hash);
    MOVE_HEAD.query(backend).bind(text).execute(connection).await.map_err(failed(MOVE_HEAD))?;
    Ok(())
}

fn encode(head: &mut Head, rows: &[&AuditRow]) -> Result<String, StoreError> {
    let mut json = Vec::new();
    for row in rows {
        // Sealed as it will be read back.
        let row = AuditRow {
            at: row.at,
            actor: storable(&row.actor).into_owned(),
            action: storable(&row.action).into_owned(),
            object: storable(&row.object).into_owned(),
            detail: storable(&row.detail).into_owned(),
        };
        let seq = head.seq + 1;
        let hash = seal(&head.hash, seq, &row);
        json.push(if json.is_empty() { b'[' } else { b',' });
        let mut writer = RowWriter::begin(&mut json, "audit", seq);
        writer.count("seq", seq)?;
        writer.time(row.at);
        writer.text(&row.actor);
        writer.text(&row.action);
        writer.text(&row.object);
        writer.text(&row.detail);
        writer.text(&head.hash);
        writer.text(&hash);
        writer.end();
        *head = Head { seq, hash };
    }
    json.push(b']');
    Ok(String::from_utf8_lossy(&json).into_owned())
}

impl Loaded for AuditEntry {
    const TABLE: &'static str = "audit";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        let seq = row.number()?;
        let entry = AuditRow {
            at: row.time()?,
            actor: row.text()?,
            action: row.text()?,
            object: row.text()?,
            detail: row.text()?,
        };
        Ok(Self { seq, row: entry, prev_hash: row.text()?, hash: row.text()? })
    }
}

/// The text of the chain's end.
struct HeadText(String);

impl Loaded for HeadText {
    const TABLE: &'static str = "meta";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        row.text().map(Self)
    }
}

impl Store {
    /// Newest first. Not scoped: it is for those who may read the audit at all.
    pub async fn audit(&self, page: &PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        let start: i64 = page.start()?;
        let rows = self.rows(&LIST, |q| q.bind(start).bind(page.fetch_limit())).await?;
        Ok(page.finish(rows, |entry: &AuditEntry| entry.seq.cast_signed()))
    }

    /// Walks the whole chain as it is now. It notices a changed, exchanged or missing entry, also at the end.
    pub async fn verify_audit(&self) -> Result<AuditVerdict, StoreError> {
        let found: Option<HeadText> = self.row(&READ_HEAD, |q| q).await?;
        let head = Head::parse(found.as_ref().map_or("", |text| &text.0))?;
        let mut at = Head { seq: 0, hash: NO_HASH.into() };
        while at.seq < head.seq {
            let (from, to) = (at.seq.cast_signed(), head.seq.cast_signed());
            let entries: Vec<AuditEntry> =
                self.rows(&WALK, |q| q.bind(from).bind(to).bind(MAX_CHUNK as i64)).await?;
            if entries.is_empty() {
                return Ok(broken(at.seq + 1, "the entry is missing"));
            }
            for entry in entries {
                if let Some(what) = flaw(&at, &entry) {
                    return Ok(broken(at.seq + 1, what));
                }
                at = Head { seq: entry.seq, hash: entry.hash };
            }
        }
        if at != head {
            return Ok(broken(at.seq, "the end of the chain is another one"));
        }
        Ok(AuditVerdict::Intact { entries: head.seq, hash: head.hash })
    }
}

fn flaw(before: &Head, entry: &AuditEntry) -> Option<&'static str> {
    if entry.seq != before.seq + 1 {
        return Some("the entry is missing");
    }
    if entry.prev_hash != before.hash {
        return Some("it does not follow the entry before it");
    }
    (entry.hash != seal(&entry.prev_hash, entry.seq, &entry.row))
        .then_some("its content is not what was sealed")
}

fn broken(seq: u64, what: &str) -> AuditVerdict {
    AuditVerdict::Broken { seq, what: what.into() }
}
