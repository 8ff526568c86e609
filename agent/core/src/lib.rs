//! What the agent knows and decides: bytes and facts in with `now`, effects out. No IO, no async, no clock.
//!
//! Two state machines stand beside each other. [`engine::Engine`] turns everything that happens on the
//! terminal into effects; [`delivery::Delivery`] decides what of the journal travels when. Both are driven
//! by the shell, which does what they ask and reports back. [`journal`] says what the durable journal must
//! guarantee; [`memory_journal`] is its model and [`journal_suite`] the proof that another one behaves alike.
//! `README.md` beside this crate lists the invariants.
mod application;
mod commands;
mod condition;
pub mod config;
mod confirm;
pub mod delivery;
pub mod drivers;
pub mod effect;
pub mod engine;
pub mod eviction;
mod flapping;
mod gate;
mod heartbeat;
mod host;
pub mod input;
mod job;
pub mod journal;
pub mod journal_suite;
pub mod memory_journal;
mod peripheral;
mod refusal;
mod schedule;
mod server_time;
mod service;
mod sizes;

pub use application::FRESH_FACTS_MS;
pub use commands::{MAX_KEPT, MAX_WAITING};
pub use gate::Unsafe;
pub use job::SUPPORTED;
pub use refusal::Refusal;
