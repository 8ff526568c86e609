//! The server: ingest, tickets, uptime, API, console. A library with thin mains, so that the demo and the
//! tests start the same program.
pub mod app;
#[cfg(feature = "embedded-broker")]
pub mod broker;
pub mod clock;
pub mod config;
pub mod metrics;
pub mod mqtt;
pub mod random;
pub mod store;
