//! Records of older agents that are larger than the wire takes. No server ever accepts one, and everything behind it
//! would wait for ever: of a command its outcome stays, of all else the word that it is lost.
use kioskwatch_proto::{
    journal::Record,
    limits::{MAX_PAYLOAD_BYTES, MAX_RECORD_BYTES},
};
use rusqlite::params;
use serde_json::{Map, Value, json};

use super::{
    JournalError,
    evict::held_bytes,
    row::{RECORD_COLUMNS, RecordRow, record_crc, signed},
    store::{Store, sql},
    turn::RESULT_TOO_LARGE,
};

/// What a record says of itself, whatever its kind.
const HEADER: [&str; 5] = ["seq", "boot", "at", "mono_ms", "was"];

pub(super) fn cut(store: &mut Store) -> Result<(), JournalError> {
    let rows = rows(store)?;
    if rows.is_empty() {
        return Ok(());
    }
    store.in_transaction(|turn| {
        for row in &rows {
            let record = shrunk(row).ok_or_else(|| JournalError::Damaged {
                doing: "reading",
                what: format!("record {} is too large and cannot be read", row.seq),
            })?;
            let (kind, json) = (record.body.kind(), record.to_json());
            tracing::error!(
                seq = row.seq,
                kind,
                bytes = row.json.len(),
                "a record of an older agent is too large and is cut"
            );
            let crc = i64::from(record_crc(row.seq, row.through, &json));
            turn.conn
                .execute(
                    "UPDATE record SET kind = ?2, json = ?3, crc = ?4 WHERE seq = ?1",
                    params![signed(row.seq), kind, json, crc],
                )
                .map_err(sql("writing"))?;
        }
        turn.state.held_bytes = held_bytes(turn.conn)?;
        Ok(())
    })?;
    Ok(())
}

fn rows(store: &Store) -> Result<Vec<RecordRow>, JournalError> {
    let statement = format!(
        "SELECT {RECORD_COLUMNS} FROM record WHERE acked_at IS NULL AND length(CAST(json AS BLOB)) > ?1 ORDER BY seq"
    );
    let mut statement = store.conn.prepare(&statement).map_err(sql("reading"))?;
    let rows =
        statement.query_map([signed(MAX_RECORD_BYTES as u64)], RecordRow::read).map_err(sql("reading"))?;
    let damaged = |what| JournalError::Damaged { doing: "reading", what };
    rows.map(|row| row.map_err(sql("reading"))?.map_err(damaged)).collect()
}

/// Under its own numbers.
fn shrunk(row: &RecordRow) -> Option<Record> {
    let mut fields: Map<String, Value> = serde_json::from_str(&row.json).ok()?;
    let kind = fields.get("kind")?.as_str()?.to_owned();
    // One that fits a message may have been sent, and set aside under its number: other bytes there would be another
    // history. A `dropped` one never is.
    if kind == "command" && row.json.len() > MAX_PAYLOAD_BYTES {
        fields.remove("result");
        fields.entry("reason").or_insert_with(|| RESULT_TOO_LARGE.into());
        if let Ok(record) = Record::parse(&Value::Object(fields.clone()).to_string()) {
            return Some(record);
        }
    }
    fields.retain(|name, _| HEADER.contains(&name.as_str()));
    fields.insert("kind".into(), "dropped".into());
    fields.insert("through".into(), row.through.into());
    fields.insert("counts".into(), if kind == "dropped" { json!({}) } else { json!({ kind: 1 }) });
    Record::parse(&Value::Object(fields).to_string()).ok()
}
