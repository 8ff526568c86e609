//! The journal: what an agent recorded, in order, until the server has committed it.
//!
//! A record travels as the exact JSON bytes the agent stored: the server's digest is taken over those bytes.
//! Reading happens in two steps, so that a readable number with a bad body can still be quarantined by name.
mod record;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use sha2::{Digest as _, Sha256};

use crate::{
    BootId, CommandId, Epoch, PeripheralName, Timestamp,
    faults::FaultCode,
    heartbeat::PeripheralState,
    limits::{MAX_RAW_BYTES, MAX_REJECTED_PER_ACK},
    payload::{Payload, PayloadError, check_number},
    text::{self, clean, clean_option},
    words::{PeripheralStatus, ServiceState, Severity, ShutdownReason, Word, closed_vocabulary},
};

pub use record::RecordError;

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

impl<'a> Payload<'a> for Batch<'a> {
    fn settle(&mut self) -> Result<(), PayloadError> {
        check_number("first", self.first)
    }
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

impl Ack {
    /// With the list of refused records cut to what fits a payload: an ack that its reader drops as too large
    /// would be sent, and dropped, for ever.
    #[must_use]
    pub fn within_limits(mut self) -> Self {
        self.rejected.truncate(MAX_REJECTED_PER_ACK);
        for rejected in &mut self.rejected {
            rejected.reason = text::reason(&rejected.reason);
        }
        self
    }
}

impl Payload<'_> for Ack {
    fn settle(&mut self) -> Result<(), PayloadError> {
        self.rejected.iter_mut().for_each(|r| clean(&mut r.reason));
        check_number("upto", self.upto)
    }
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

/// A place in an earlier journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Was {
    pub epoch: Epoch,
    pub seq: u64,
}

/// One line of the journal.
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
    /// Stored raw and accepted, without effect: a kind of a newer agent, or a known kind
    /// with a word of a newer agent where this version has a closed list.
    Other(Word),
}

/// The agent started. Same `boot` as before: only the agent was away, the machine was on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_boot: Option<BootId>,
    /// The last instant the agent is known to have lived before (its durable tick, at most 10 s old), by the clock of
    /// that run's last record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_alive_until: Option<Timestamp>,
    /// The agent had been stopped in order.
    pub clean: bool,
    /// The disk had no room at last: that run may have lived on after `previous_alive_until`, and others after it, and
    /// none of it was written down.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unrecorded: bool,
}

/// The machine is going down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shutdown {
    pub reason: ShutdownReason,
}

/// The service state changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub state: ServiceState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// The status of one peripheral changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peripheral {
    pub peripheral: PeripheralName,
    pub status: PeripheralStatus,
}

closed_vocabulary!(
    /// Whether a fault began or ended.
    FaultState { Raised = "raised", Cleared = "cleared" }
);

/// A fault began or ended.
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

impl FaultDetail {
    /// Cut to the limits, free of control characters. Raw bytes stay whole digits.
    pub(crate) fn clean(&mut self) {
        clean_option(&mut self.text);
        clean_option(&mut self.raw);
        if let Some(raw) = &mut self.raw
            && let Some((cut, _)) = raw.char_indices().nth(2 * MAX_RAW_BYTES)
        {
            raw.truncate(cut);
        }
    }
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

/// One step in the life of a remote command, as the agent saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandResult {
    pub command: CommandId,
    pub state: CommandOutcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
}

/// Written when a connection comes back after a gap: the agent lived through it. And when the wall clock was set, so
/// that the last record of a run and the next [`Boot::previous_alive_until`] are of one clock.
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
    /// The kinds this version knows, in the order of the contract.
    pub const KINDS: &'static [&'static str] = &[
        "boot",
        "shutdown",
        "service",
        "peripheral",
        "fault",
        "snapshot",
        "transaction",
        "command",
        "alive",
        "dropped",
    ];

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
