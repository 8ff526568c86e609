//! The server: ingest, tickets, uptime, API, console. A library with thin mains, so that the demo and the
//! tests start the same program.
pub mod app;
pub mod auth;
#[cfg(feature = "embedded-broker")]
pub mod broker;
mod check;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
mod console;
mod explain;
mod explain_deadline;
mod explain_uptime;
pub mod files;
pub mod http;
pub mod identity;
pub mod metrics;
pub mod mqtt;
mod notify_ready;
mod ownership;
mod panics;
pub mod random;
pub mod run;
pub mod signing;
pub mod store;

pub(crate) use notify_ready::notify_ready;
