//! The one integration binary: what the compiler cannot hold, and the whole stack from serial byte to page.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
mod alerting;
mod bad_input;
mod chaos;
mod clocks;
mod compose;
mod console;
mod damage;
mod damaged_log;
mod damaged_rows;
mod dashboards;
mod deploy;
mod disk;
mod disk_postgres;
mod disk_starts;
mod flood;
mod identities;
mod journeys;
mod lines;
mod load;
mod outage;
mod past;
mod possible;
mod power;
mod power_postgres;
mod programs;
mod prometheus;
mod restatement;
mod retention;
mod serial_faults;
mod server_lines;
mod simulation;
mod stall;
mod store_contract;
mod test_command;
mod tidy;
mod told;

/// The executable that plays agent and server.
fn program() -> &'static str {
    env!("CARGO_BIN_EXE_kioskwatch-demo")
}
