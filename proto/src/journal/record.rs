//! One record: from its exact bytes and to them.
use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize, de};
use serde_json::Value;

use super::{Body, CommandOutcome, FaultState, Header, Record, TransactionOutcome, Was};
use crate::{
    BootId, Timestamp,
    heartbeat::check_peripherals,
    limits::{MAX_NUMBER, MAX_RECORD_BYTES, MAX_RESULT_BYTES},
    payload::{PayloadError, check_number, is_object},
    text::{clean, clean_option, reason},
    words::{ServiceState, Severity, ShutdownReason, Word, is_word},
};

/// Why a record cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordError {
    /// Not even a number: the whole message is unreadable.
    Unnumbered(String),
    /// The number is readable, the rest is not: goes to quarantine under this number.
    Bad { seq: u64, reason: String },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnumbered(reason) => write!(f, "a journal record without a readable number: {reason}"),
            Self::Bad { seq, reason } => write!(f, "journal record {seq}: {reason}"),
        }
    }
}

impl std::error::Error for RecordError {}

#[derive(Deserialize)]
struct SeqOnly {
    seq: u64,
}

#[derive(Deserialize)]
struct RangeOnly<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    through: u64,
}

#[derive(Deserialize)]
struct HeaderWire<'a> {
    seq: u64,
    boot: BootId,
    at: Timestamp,
    mono_ms: u64,
    #[serde(default)]
    was: Option<Was>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

impl Record {
    /// Reads the exact bytes of one record.
    pub fn parse(json: &str) -> Result<Self, RecordError> {
        // serde reads a struct from a JSON array too; a record is an object.
        if !is_object(json) {
            return Err(RecordError::Unnumbered("a record is a JSON object".into()));
        }
        let wire: HeaderWire<'_> = match serde_json::from_str(json) {
            Ok(wire) => wire,
            Err(error) => {
                return Err(Self::unread(json, &reason(error)));
            }
        };
        let seq = wire.seq;
        check_seq(seq)?;
        let bad = |why: String| RecordError::Bad { seq, reason: reason(why) };
        if json.len() > MAX_RECORD_BYTES {
            return Err(bad(format!("{} bytes are more than a record may have", json.len())));
        }
        check_number("mono_ms", wire.mono_ms).map_err(|e| bad(e.to_string()))?;
        if let Some(was) = &wire.was {
            check_seq(was.seq).map_err(|_| bad("was: no number of a record".into()))?;
        }
        let mut body = match parse_body(&wire.kind, json) {
            Ok(body) => body,
            Err(_) if only_a_word_is_new(&wire.kind, json) => {
                Word::new(&wire.kind).map(Body::Other).ok_or_else(|| bad("kind: no word".into()))?
            }
            Err(error) => return Err(bad(format!("{}: {error}", wire.kind))),
        };
        settle_body(&mut body, seq).map_err(|e| bad(format!("{}: {e}", wire.kind)))?;
        let header = Header { seq, boot: wire.boot, at: wire.at, mono_ms: wire.mono_ms, was: wire.was };
        Ok(Self { header, body })
    }

    /// What becomes of a record of which no more is read than its number.
    pub fn unread(json: &str, why: &str) -> RecordError {
        match serde_json::from_str::<SeqOnly>(json) {
            Ok(SeqOnly { seq }) => match check_seq(seq) {
                Ok(()) => RecordError::Bad { seq, reason: reason(why) },
                Err(error) => error,
            },
            Err(_) => RecordError::Unnumbered(reason(why)),
        }
    }

    /// The last number that a record uses up of which nothing else can be read: one that stands for a range goes
    /// with all of it, because what is behind it comes under the number after that.
    pub fn unread_through(json: &str) -> Option<u64> {
        let range: RangeOnly<'_> = serde_json::from_str(json).ok()?;
        (range.kind == "dropped" && range.through <= MAX_NUMBER).then_some(range.through)
    }

    /// The bytes the agent stores and sends: header first, then the body, the same text every time.
    pub fn to_json(&self) -> String {
        let header = &self.header;
        let mut json = to_text(&HeaderText {
            seq: header.seq,
            boot: header.boot,
            at: header.at,
            mono_ms: header.mono_ms,
            was: header.was,
            kind: self.body.kind(),
        });
        let body = match &self.body {
            Body::Boot(b) => to_text(b),
            Body::Shutdown(b) => to_text(b),
            Body::Service(b) => to_text(b),
            Body::Peripheral(b) => to_text(b),
            Body::Fault(b) => to_text(b),
            Body::Snapshot(b) => to_text(b),
            Body::Transaction(b) => to_text(b),
            Body::Command(b) => to_text(b),
            Body::Alive(b) => to_text(b),
            Body::Dropped(b) => to_text(b),
            Body::Other(_) => return json,
        };
        // Two objects become one: every body has at least one field.
        json.pop();
        json.push(',');
        json.push_str(&body[1..]);
        json
    }
}

#[derive(Serialize)]
struct HeaderText<'a> {
    seq: u64,
    boot: BootId,
    at: Timestamp,
    mono_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<Was>,
    kind: &'a str,
}

fn to_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("wire types have text keys and finite numbers")
}

fn check_seq(seq: u64) -> Result<(), RecordError> {
    if seq == 0 || seq > MAX_NUMBER {
        return Err(RecordError::Unnumbered(format!("numbers go from 1 to {MAX_NUMBER}")));
    }
    Ok(())
}

/// What the types of a body alone do not hold, and clean texts.
fn settle_body(body: &mut Body, seq: u64) -> Result<(), PayloadError> {
    match body {
        Body::Service(service) => clean_option(&mut service.cause),
        Body::Fault(fault) => fault.detail.clean(),
        Body::Snapshot(snapshot) => check_peripherals(&snapshot.peripherals)?,
        Body::Transaction(transaction) => {
            clean(&mut transaction.id);
            clean(&mut transaction.kind);
            check_number("duration_ms", transaction.duration_ms)?;
        }
        Body::Command(command) => {
            clean_option(&mut command.reason);
            let bytes = command.result.as_ref().map_or(0, |result| to_text(result).len());
            if bytes > MAX_RESULT_BYTES {
                return Err(PayloadError::field("result", format_args!("{bytes} bytes are too many")));
            }
        }
        Body::Dropped(dropped) => {
            check_number("through", dropped.through)?;
            dropped.counts.values().try_for_each(|count| check_number("counts", *count))?;
            if dropped.through < seq {
                let through = dropped.through;
                return Err(PayloadError::field(
                    "through",
                    format_args!("{through} lies before its own number"),
                ));
            }
        }
        Body::Boot(_) | Body::Shutdown(_) | Body::Peripheral(_) | Body::Alive(_) | Body::Other(_) => {}
    }
    Ok(())
}

/// A field that holds a word of a closed list, the question whether a word is in it, and one that is.
type ClosedField = (&'static str, fn(&str) -> bool, &'static str);

fn closed_fields(kind: &str) -> &'static [ClosedField] {
    match kind {
        "shutdown" => &[("reason", |w| ShutdownReason::parse(w).is_some(), "planned")],
        "service" => &[("state", |w| ServiceState::parse(w).is_some(), "in_service")],
        "fault" => &[
            ("state", |w| FaultState::parse(w).is_some(), "raised"),
            ("severity", |w| Severity::parse(w).is_some(), "minor"),
        ],
        "snapshot" => &[("service", |w| ServiceState::parse(w).is_some(), "in_service")],
        "transaction" => &[("outcome", |w| TransactionOutcome::parse(w).is_some(), "completed")],
        "command" => &[("state", |w| CommandOutcome::parse(w).is_some(), "accepted")],
        _ => &[],
    }
}

/// Whether a record would be good if an unknown word in it were a known one: then a newer agent wrote it,
/// and it is kept instead of quarantined.
fn only_a_word_is_new(kind: &str, json: &str) -> bool {
    let Ok(mut fields) = serde_json::from_str::<serde_json::Map<String, Value>>(json) else { return false };
    let mut replaced = false;
    for (field, known, stand_in) in closed_fields(kind) {
        if let Some(Value::String(word)) = fields.get_mut(*field)
            && is_word(word)
            && !known(word)
        {
            *word = (*stand_in).to_owned();
            replaced = true;
        }
    }
    replaced && parse_body(kind, &to_text(&fields)).is_ok()
}

fn parse_body(kind: &str, json: &str) -> Result<Body, serde_json::Error> {
    Ok(match kind {
        "boot" => Body::Boot(serde_json::from_str(json)?),
        "shutdown" => Body::Shutdown(serde_json::from_str(json)?),
        "service" => Body::Service(serde_json::from_str(json)?),
        "peripheral" => Body::Peripheral(serde_json::from_str(json)?),
        "fault" => Body::Fault(serde_json::from_str(json)?),
        "snapshot" => Body::Snapshot(serde_json::from_str(json)?),
        "transaction" => Body::Transaction(serde_json::from_str(json)?),
        "command" => Body::Command(serde_json::from_str(json)?),
        "alive" => Body::Alive(serde_json::from_str(json)?),
        "dropped" => Body::Dropped(serde_json::from_str(json)?),
        other => Body::Other(
            Word::new(other)
                .ok_or_else(|| de::Error::custom("a kind is a word of lower-case letters, digits and `_`"))?,
        ),
    })
}
