//! What the agent knows and decides: bytes and facts in with `now`, effects out. No IO, no async, no clock.
//!
//! Two state machines stand beside each other. [`engine::Engine`] turns everything that happens on the
//! terminal into effects; [`delivery::Delivery`] decides what of the journal travels when. Both are driven
//! by the shell, which does what they ask and reports back. [`journal`] says what the durable journal must
//! guarantee; [`memory_journal`] is its model and [`journal_suite`] the proof that another one behaves alike.
//! `README.md` beside this crate lists the invariants.
pub mod config;
pub mod delivery;
pub mod drivers;
pub mod effect;
pub mod engine;
pub mod eviction;
pub mod input;
pub mod journal;
pub mod journal_suite;
pub mod memory_journal;
