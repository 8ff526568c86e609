//! The journal: what an agent recorded, in order, until the server has committed it.
//!
//! A record travels as the exact JSON bytes the agent stored: the server's digest is taken over those bytes.
//! Reading happens in two steps, so that a readable number with a bad body can still be quarantined by name.
use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize, de};
use serde_json::{Value, value::RawValue};
use sha2::{Digest as _, Sha256};

use crate::{
    BootId, CommandId, Epoch, PeripheralName, Timestamp,
    faults::FaultCode,
    heartbeat::PeripheralState,
    words::{PeripheralStatus, ServiceState, Severity, ShutdownReason, Word, closed_vocabulary},
};

/// First 8 bytes of SHA-256 over the exact bytes of one record; empty on the wire for "nothing applied yet".
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 8]);

impl Digest {
    pub fn of(record: &[u8]) -> Self {
        let hash = Sha256::digest(record);
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        Self(first)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Digest {
    type Err = hex::FromHexError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

/// Serialises an optional digest as hex, or as the empty text.
pub mod digest_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::Digest;

    pub fn serialize<S: Serializer>(digest: &Option<Digest>, serializer: S) -> Result<S::Ok, S::Error> {
        match digest {
            Some(digest) => serializer.collect_str(digest),
            None => serializer.serialize_str(""),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Digest>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| de::Error::custom("a digest is 16 hex digits or empty"))
    }
}

/// A message of consecutive records, as sent by the agent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Batch<'a> {
    pub epoch: Epoch,
    /// The lowest number the agent still holds.
    pub first: u64,
    #[serde(borrow)]
    pub records: Vec<&'a RawValue>,
}

/// The server's word that everything up to `upto` is committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    pub epoch: Epoch,
    pub upto: u64,
    /// Of record `upto`; `None` for 0.
    #[serde(with = "digest_text")]
    pub digest: Option<Digest>,
    pub server_time: Timestamp,
    #[serde(default)]
    pub rejected: Vec<Rejected>,
}

/// A record whose number is used up and whose content the server could not apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    pub seq: u64,
    pub reason: String,
}

/// Number and circumstances of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub seq: u64,
    pub boot: BootId,
    pub at: Timestamp,
    pub mono_ms: u64,
    /// Where this record stood before a change of epoch.
    pub was: Option<Was>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Was {
    pub epoch: Epoch,
    pub seq: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub header: Header,
    pub body: Body,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Boot(Boot),
    Shutdown(Shutdown),
    Service(Service),
    Peripheral(Peripheral),
    Fault(Fault),
    Snapshot(Snapshot),
    Transaction(Transaction),
    Command(CommandResult),
    Alive(Alive),
    Dropped(Dropped),
    /// A kind of a newer agent: stored raw and accepted.
    Other(Word),
}

/// The agent started. Same `boot` as before: only the agent was away, the machine was on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_boot: Option<BootId>,
    /// The last instant the agent is known to have lived before (its durable tick, at most 10 s old).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_alive_until: Option<Timestamp>,
    /// The agent had been stopped in order.
    pub clean: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shutdown {
    pub reason: ShutdownReason,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub state: ServiceState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peripheral {
    pub peripheral: PeripheralName,
    pub status: PeripheralStatus,
}

closed_vocabulary!(
    /// Whether a fault began or ended.
    FaultState { Raised = "raised", Cleared = "cleared" }
);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub peripheral: PeripheralName,
    pub fault: FaultCode,
    pub state: FaultState,
    pub severity: Severity,
    #[serde(default)]
    pub detail: FaultDetail,
}

/// What the device said, kept beside our name for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FaultDetail {
    /// Raw device bytes, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// The whole state: what it does not name is cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub service: ServiceState,
    pub peripherals: BTreeMap<PeripheralName, PeripheralState>,
    /// First record of a new epoch: the one it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_epoch: Option<Epoch>,
}

closed_vocabulary!(
    /// How a customer's transaction ended.
    TransactionOutcome { Completed = "completed", Failed = "failed", Abandoned = "abandoned" }
);

/// Reported by the kiosk application; no personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub outcome: TransactionOutcome,
    pub duration_ms: u64,
}

closed_vocabulary!(
    /// What the agent did with a command. Final: refused, succeeded, failed, expired, unknown.
    CommandOutcome {
        Accepted = "accepted",
        Refused = "refused",
        Deferred = "deferred",
        Started = "started",
        Succeeded = "succeeded",
        Failed = "failed",
        Expired = "expired",
        /// The agent died while it acted; never repeated by itself.
        Unknown = "unknown",
    }
);

impl CommandOutcome {
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Refused | Self::Succeeded | Self::Failed | Self::Expired | Self::Unknown)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandResult {
    pub command: CommandId,
    pub state: CommandOutcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
}

/// Written when a connection comes back after a gap: the agent lived through it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    pub until: Timestamp,
}

/// The size cap evicted the consecutive records `seq … through`; this stands for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    pub through: u64,
    pub counts: BTreeMap<String, u64>,
}

impl Body {
    pub fn kind(&self) -> &str {
        match self {
            Self::Boot(_) => "boot",
            Self::Shutdown(_) => "shutdown",
            Self::Service(_) => "service",
            Self::Peripheral(_) => "peripheral",
            Self::Fault(_) => "fault",
            Self::Snapshot(_) => "snapshot",
            Self::Transaction(_) => "transaction",
            Self::Command(_) => "command",
            Self::Alive(_) => "alive",
            Self::Dropped(_) => "dropped",
            Self::Other(word) => word.as_str(),
        }
    }
}

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
        if !json.trim_start().starts_with('{') {
            return Err(RecordError::Unnumbered("a record is a JSON object".into()));
        }
        let wire: HeaderWire<'_> = match serde_json::from_str(json) {
            Ok(wire) => wire,
            Err(error) => {
                return Err(match serde_json::from_str::<SeqOnly>(json) {
                    Ok(SeqOnly { seq: 0 }) => RecordError::Unnumbered("numbers start at 1".into()),
                    Ok(SeqOnly { seq }) => RecordError::Bad { seq, reason: error.to_string() },
                    Err(_) => RecordError::Unnumbered(error.to_string()),
                });
            }
        };
        let seq = wire.seq;
        if seq == 0 {
            return Err(RecordError::Unnumbered("numbers start at 1".into()));
        }
        let bad = |reason: String| RecordError::Bad { seq, reason };
        if json.len() > crate::limits::MAX_RECORD_BYTES {
            return Err(bad(format!("{} bytes are more than a record may have", json.len())));
        }
        let body = parse_body(&wire.kind, json).map_err(|e| bad(format!("{}: {e}", wire.kind)))?;
        if let Body::Dropped(dropped) = &body
            && dropped.through < seq
        {
            return Err(bad(format!("dropped: through {} lies before its own number", dropped.through)));
        }
        let header = Header { seq, boot: wire.boot, at: wire.at, mono_ms: wire.mono_ms, was: wire.was };
        Ok(Self { header, body })
    }

    /// The bytes the agent stores and sends.
    pub fn to_json(&self) -> String {
        let mut map = serde_json::Map::new();
        let header = &self.header;
        map.insert("seq".into(), header.seq.into());
        map.insert("boot".into(), header.boot.to_string().into());
        map.insert("at".into(), header.at.to_string().into());
        map.insert("mono_ms".into(), header.mono_ms.into());
        if let Some(was) = &header.was {
            map.insert("was".into(), to_value(was));
        }
        map.insert("kind".into(), self.body.kind().into());
        let body = match &self.body {
            Body::Boot(b) => to_value(b),
            Body::Shutdown(b) => to_value(b),
            Body::Service(b) => to_value(b),
            Body::Peripheral(b) => to_value(b),
            Body::Fault(b) => to_value(b),
            Body::Snapshot(b) => to_value(b),
            Body::Transaction(b) => to_value(b),
            Body::Command(b) => to_value(b),
            Body::Alive(b) => to_value(b),
            Body::Dropped(b) => to_value(b),
            Body::Other(_) => Value::Null,
        };
        if let Value::Object(fields) = body {
            map.extend(fields);
        }
        Value::Object(map).to_string()
    }
}

fn to_value(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("wire types have text keys and finite numbers")
}

fn parse_body(kind: &str, json: &str) -> Result<Body, serde_json::Error> {
    let from = json;
    Ok(match kind {
        "boot" => Body::Boot(serde_json::from_str(from)?),
        "shutdown" => Body::Shutdown(serde_json::from_str(from)?),
        "service" => Body::Service(serde_json::from_str(from)?),
        "peripheral" => Body::Peripheral(serde_json::from_str(from)?),
        "fault" => Body::Fault(serde_json::from_str(from)?),
        "snapshot" => Body::Snapshot(serde_json::from_str(from)?),
        "transaction" => Body::Transaction(serde_json::from_str(from)?),
        "command" => Body::Command(serde_json::from_str(from)?),
        "alive" => Body::Alive(serde_json::from_str(from)?),
        "dropped" => Body::Dropped(serde_json::from_str(from)?),
        other => Body::Other(
            Word::new(other)
                .ok_or_else(|| de::Error::custom("a kind is a word of lower-case letters, digits and `_`"))?,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        r#""boot":"6f1c0d9e-0000-4000-8000-000000000001","at":"2026-11-21T08:00:00.123Z","mono_ms":7"#;

    #[test]
    fn a_record_round_trips() {
        let json = format!(
            r#"{{"seq":3,{HEAD},"kind":"fault","peripheral":"printer","fault":"paper_out","state":"raised","severity":"minor","detail":{{"raw":"7e"}}}}"#
        );
        let record = Record::parse(&json).unwrap();
        assert_eq!(record.header.seq, 3);
        assert_eq!(Record::parse(&record.to_json()).unwrap(), record);
    }

    #[test]
    fn unknown_kinds_and_words_are_accepted() {
        let record = Record::parse(&format!(r#"{{"seq":1,{HEAD},"kind":"weather","rain":true}}"#)).unwrap();
        assert_eq!(record.body.kind(), "weather");
        let json = format!(r#"{{"seq":1,{HEAD},"kind":"peripheral","peripheral":"p","status":"sleepy"}}"#);
        assert!(
            matches!(Record::parse(&json).unwrap().body, Body::Peripheral(p) if p.status.as_str() == "sleepy")
        );
    }

    #[test]
    fn a_bad_body_keeps_its_number_and_a_missing_number_does_not() {
        let bad = Record::parse(&format!(r#"{{"seq":9,{HEAD},"kind":"service","state":"dancing"}}"#));
        assert!(matches!(bad, Err(RecordError::Bad { seq: 9, .. })), "{bad:?}");
        assert!(matches!(Record::parse(r#"{"seq":5}"#), Err(RecordError::Bad { seq: 5, .. })));
        assert!(matches!(Record::parse(r#"{"seq":0}"#), Err(RecordError::Unnumbered(_))));
        assert!(matches!(Record::parse(r#"{"seq":"x"}"#), Err(RecordError::Unnumbered(_))));
        assert!(matches!(Record::parse("[1]"), Err(RecordError::Unnumbered(_))));
    }

    #[test]
    fn digest_is_the_head_of_sha_256() {
        // printf abc | sha256sum
        assert_eq!(Digest::of(b"abc").to_string(), "ba7816bf8f01cfea");
        let ack: Ack = serde_json::from_str(
            r#"{"epoch":"6f1c0d9e-0000-4000-8000-000000000001","upto":0,"digest":"","server_time":"2026-11-21T08:00:00.000Z"}"#,
        )
        .unwrap();
        assert_eq!(ack.digest, None);
    }
}
