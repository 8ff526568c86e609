//! The wire contract between agents, servers and kiosk applications, version 1.
//!
//! Knows: identifiers, topics, payloads, the fault vocabulary, limits, command signatures.
//! Must not know: IO, async, clocks, databases, brokers.
//! `README.md` beside this crate is the prose; `fixtures/v1` holds one golden payload per message.
pub mod artifact;
pub mod command;
pub mod faults;
pub mod heartbeat;
pub mod ids;
pub mod inventory;
pub mod journal;
pub mod limits;
pub mod local;
pub mod payload;
pub mod presence;
pub mod text;
pub mod time;
pub mod topic;
pub mod words;

pub use ids::{BootId, CommandId, Epoch, IdError, KioskId, PeripheralName, SessionId, SiteId};
pub use payload::{Payload, PayloadError, parse_payload};
pub use text::clean_text;
pub use time::Timestamp;
