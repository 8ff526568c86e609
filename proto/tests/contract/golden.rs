//! The fixture files and how each is read. Its name up to the situation says which message it is:
//! `journal.dropped.json` is a `journal`, `local.busy.json` a `local.busy`.
use std::{fs, path::PathBuf};

use kioskwatch_proto::{
    Payload, PayloadError,
    artifact::{Artifact, Progress},
    command::{Command, Envelope},
    heartbeat::Heartbeat,
    inventory::Inventory,
    journal::{Ack, Batch},
    local::{
        AgentStatus, Busy, Grant, HoldRequest, Lease, LeaseRequest, PushedPeripheral, PushedService,
        PushedTransaction,
    },
    parse_payload,
    presence::Presence,
};
use serde::Serialize;
use serde_json::Value;

pub(crate) struct Message {
    pub name: &'static str,
    pub type_name: &'static str,
    /// Parses the bytes into the type and gives back what the type serialises to.
    pub read: fn(&[u8]) -> Result<Value, PayloadError>,
}

fn read<T: for<'a> Payload<'a> + Serialize>(bytes: &[u8]) -> Result<Value, PayloadError> {
    Ok(serde_json::to_value(parse_payload::<T>(bytes)?).unwrap())
}

fn read_batch(bytes: &[u8]) -> Result<Value, PayloadError> {
    Ok(serde_json::to_value(parse_payload::<Batch<'_>>(bytes)?).unwrap())
}

macro_rules! messages {
    ($($name:literal => $type:ident),+ $(,)?) => {
        &[$(Message { name: $name, type_name: stringify!($type), read: read::<$type> }),+,
          Message { name: "journal", type_name: "Batch", read: read_batch }]
    };
}

/// Every message of the contract. A new one gets a line here and a file in `fixtures/v1`.
pub(crate) const MESSAGES: &[Message] = messages! {
    "presence" => Presence,
    "inventory" => Inventory,
    "heartbeat" => Heartbeat,
    "ack" => Ack,
    "command" => Envelope,
    "command_payload" => Command,
    "progress" => Progress,
    "artifact" => Artifact,
    "local.peripheral" => PushedPeripheral,
    "local.service" => PushedService,
    "local.transaction" => PushedTransaction,
    "local.busy" => Busy,
    "local.request" => HoldRequest,
    "local.grant" => Grant,
    "local.lease_request" => LeaseRequest,
    "local.lease" => Lease,
    "local.status" => AgentStatus,
};

pub(crate) struct Fixture {
    pub file: String,
    pub bytes: Vec<u8>,
}

impl Fixture {
    /// Panics when the name fits no message: then no test would read the file.
    pub(crate) fn message(&self) -> &'static Message {
        let parts: Vec<&str> = self.file.split('.').collect();
        let local = usize::from(parts[0] == "local");
        let name = parts[..=local].join(".");
        MESSAGES
            .iter()
            .find(|m| m.name == name)
            .unwrap_or_else(|| panic!("{}: no message {name:?} in MESSAGES", self.file))
    }

    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|e| panic!("{}: {e}", self.file))
    }
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1").join(name)
}

fn files(name: &str) -> Vec<Fixture> {
    let mut fixtures: Vec<Fixture> = fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| Fixture {
            file: path.file_name().unwrap().to_str().unwrap().to_owned(),
            bytes: fs::read(&path).unwrap(),
        })
        // The key that signs the golden command: no message.
        .filter(|fixture| fixture.file != KEY_FILE)
        .collect();
    fixtures.sort_by(|a, b| a.file.cmp(&b.file));
    fixtures
}

pub(crate) const KEY_FILE: &str = "command_key.json";

/// What we send today: parses and serialises to the same value.
pub(crate) fn golden() -> Vec<Fixture> {
    files("")
}

/// What older and newer programs send: parses for ever.
pub(crate) fn compat() -> Vec<Fixture> {
    files("compat")
}

pub(crate) fn file(name: &str) -> Vec<u8> {
    fs::read(folder(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// All golden payloads of one message.
pub(crate) fn golden_of(message: &str) -> Vec<Fixture> {
    golden().into_iter().filter(|f| f.message().name == message).collect()
}

/// The exact texts of all golden journal records.
pub(crate) fn golden_records() -> Vec<String> {
    golden_of("journal").iter().flat_map(records).collect()
}

/// The exact texts of the records of one journal fixture.
pub(crate) fn records(fixture: &Fixture) -> Vec<String> {
    let batch: Batch<'_> = parse_payload(&fixture.bytes).unwrap_or_else(|e| panic!("{}: {e}", fixture.file));
    batch.records.iter().map(|r| r.get().to_owned()).collect()
}
