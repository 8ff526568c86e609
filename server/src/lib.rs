//! The server: ingest, tickets, uptime, API, console. A library with thin mains, so that the demo and the
//! tests start the same program.
pub mod app;
pub mod auth;
#[cfg(feature = "embedded-broker")]
pub mod broker;
pub mod clock;
pub mod config;
mod console;
pub mod http;
pub mod metrics;
pub mod mqtt;
pub mod random;
pub mod store;
