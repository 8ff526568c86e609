//! The agent on a self-service terminal: the shell around the pure core.
//!
//! Bytes, messages and timers come in at the edge, become one input of the engine, and the effects that come
//! back are done here. `README.md` beside this crate draws the picture.
mod certificate;
pub mod cli;
pub mod clock;
pub mod config;
pub mod courier;
#[cfg(test)]
mod heard_log;
pub mod host;
pub mod journal;
pub mod local_api;
pub mod mqtt;
pub mod port;
pub mod probe;
pub mod proxy;
pub mod run;
pub mod serial;
pub mod watchdog;
