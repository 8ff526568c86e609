//! The load generator's command line.
use clap::Parser;

/// Drives virtual kiosks through a real Mosquitto into a real server and measures both.
#[derive(Debug, Clone, Parser)]
#[command(name = "kioskwatch-load", version, max_term_width = 100)]
pub struct Options {
    /// Virtual kiosks.
    #[arg(long, default_value_t = 1_000)]
    pub kiosks: usize,
    /// MQTT connections they share.
    #[arg(long, default_value_t = 20)]
    pub connections: usize,
    /// Heartbeats a second, of all kiosks together.
    #[arg(long, default_value_t = 5_000)]
    pub rate: u64,
    /// Faults raised or cleared a second, of all kiosks together.
    #[arg(long, default_value_t = 20)]
    pub faults: u64,
    /// Length of the measurement.
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
    /// A throw-away PostgreSQL in place of SQLite.
    #[arg(long)]
    pub postgres: bool,
}
