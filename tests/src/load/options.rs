//! The load generator's command line.
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Drives virtual kiosks into a real server and prints what it took, and what it cost.
///
/// Without a command: kiosks share MQTT connections to a real Mosquitto, first with heartbeats alone, then with
/// faults mixed in, beside a bare subscriber on the same broker; at the end some of them fall silent.
/// Everything runs on this machine and shares its cores, so rates are lower bounds.
#[derive(Debug, Clone, Parser)]
#[command(name = "kioskwatch-load", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    pub mode: Option<Mode>,
    #[command(flatten)]
    pub live: LiveOptions,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Mode {
    /// Messages fed to the ingest of a server in this process, without a broker
    Direct(DirectOptions),
    /// A fleet comes back from a day offline: journal records a second, without a broker
    Catchup(CatchupOptions),
    /// All connections drop at once and return with full jitter; fails if that makes anybody offline
    Storm(StormOptions),
    /// Rates that double until server, broker or generator fall behind
    Limit(LimitOptions),
    /// Every measurement of the README's table, one after the other: some fifty minutes
    All(AllOptions),
    /// One real agent with four devices, over TLS: memory, processor time, size on disk
    Agent(AgentOptions),
    /// Makes kiosks known to an empty database; used by the others
    #[command(hide = true)]
    Seed { kiosks: u32, url: String },
    /// A line of `direct --scale`, which uses it
    #[command(hide = true)]
    OneSize {
        kiosks: u32,
        #[arg(long)]
        postgres: bool,
    },
}

#[derive(Debug, Clone, Args)]
pub struct LiveOptions {
    #[command(flatten)]
    pub crowd: CrowdOptions,
    /// Heartbeats a second of all together; without it, what the interval asks for
    #[arg(long)]
    pub rate: Option<u64>,
    /// Faults raised or cleared a second, of all together
    #[arg(long, default_value_t = 20)]
    pub faults: u64,
    /// Length of each of the two measurements, in seconds
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
    /// How long to let the bookkeeper count everybody's first month, at most, before the measurement, in seconds
    #[arg(long, default_value_t = 120)]
    pub settle: u64,
    /// Kiosks that fall silent at the end
    #[arg(long, default_value_t = 50)]
    pub silent: u32,
    #[command(flatten)]
    pub stage: StageOptions,
}

/// Who speaks in a run through a broker.
#[derive(Debug, Clone, Args)]
pub struct CrowdOptions {
    /// Virtual kiosks
    #[arg(long, default_value_t = 1_000)]
    pub kiosks: u32,
    /// MQTT connections they share
    #[arg(long, default_value_t = 20)]
    pub connections: u32,
    /// The heartbeat interval that they promise, in seconds
    #[arg(long, default_value_t = 30)]
    pub interval: u32,
}

/// The server of a run through a broker.
#[derive(Debug, Clone, Default, Args)]
pub struct StageOptions {
    /// A throw-away PostgreSQL in place of SQLite
    #[arg(long)]
    pub postgres: bool,
    /// The server's program as it is shipped (`cargo build --profile server -p kioskwatch-server`); without it this program
    /// plays it, which takes some more memory
    #[arg(long, value_name = "PROGRAM")]
    pub server: Option<PathBuf>,
    /// Messages that Mosquitto keeps for the server before it drops, its max_queued_messages; without it as many as with
    /// the configuration that we ship (20,000). Mosquitto by itself keeps 1,000
    #[arg(long)]
    pub queue: Option<u32>,
}

impl LiveOptions {
    /// Heartbeats a second of all kiosks together.
    pub fn rate(&self) -> u64 {
        self.rate
            .unwrap_or_else(|| (u64::from(self.crowd.kiosks) / u64::from(self.crowd.interval.max(1))).max(1))
    }
}

#[derive(Debug, Clone, Args)]
pub struct DirectOptions {
    /// Virtual kiosks, all known to the database before the start
    #[arg(long, default_value_t = 100_000)]
    pub kiosks: u32,
    /// The heartbeat interval that they promise and keep, in seconds
    #[arg(long, default_value_t = 30)]
    pub interval: u32,
    /// Faults raised or cleared a second, of all together
    #[arg(long, default_value_t = 20)]
    pub faults: u64,
    /// Length of the measurement, in seconds; it begins when every kiosk was heard again
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// Instead: the cost of a heartbeat, as fast as it goes, for 1,000 kiosks and ten times as many up to --kiosks
    #[arg(long)]
    pub scale: bool,
    /// A throw-away PostgreSQL in place of SQLite
    #[arg(long)]
    pub postgres: bool,
}

#[derive(Debug, Clone, Args)]
pub struct CatchupOptions {
    /// Virtual kiosks that come back
    #[arg(long, default_value_t = 2_000)]
    pub kiosks: u32,
    /// Records that each has kept
    #[arg(long, default_value_t = 200)]
    pub records: u32,
    /// The kiosks went out of service and came back with every record: each ends an interval of evidence
    #[arg(long)]
    pub flapping: bool,
    /// Through Mosquitto into a server of its own, with flush and bookkeeper
    #[arg(long)]
    pub broker: bool,
    /// With --broker: all kiosks come back at once, each with the pace, the patience and the resends of an agent; else
    /// 400 of them at a time, which no kiosk would wait for
    #[arg(long, requires = "broker")]
    pub as_agents: bool,
    /// With --broker: MQTT connections they share
    #[arg(long, default_value_t = 20)]
    pub connections: u32,
    #[command(flatten)]
    pub stage: StageOptions,
}

#[derive(Debug, Clone, Args)]
pub struct StormOptions {
    /// Virtual kiosks, each with a connection of its own
    #[arg(long, default_value_t = 10_000)]
    pub connections: u32,
    /// The heartbeat interval that they promise and keep, in seconds
    #[arg(long, default_value_t = 30)]
    pub interval: u32,
    /// The longest pause before an attempt to connect again, in seconds, before it is spread at random
    #[arg(long, default_value_t = 120)]
    pub spread: u32,
    /// Through a listener that asks for certificates (TLS 1.3), with a whole handshake for each connection; all show
    /// the same certificate
    #[arg(long)]
    pub tls: bool,
    #[command(flatten)]
    pub stage: StageOptions,
}

#[derive(Debug, Clone, Args)]
pub struct LimitOptions {
    #[command(flatten)]
    pub crowd: CrowdOptions,
    /// Heartbeats a second of all together, at first
    #[arg(long, default_value_t = 5_000)]
    pub from: u64,
    /// Length of the measurement at each rate, in seconds
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    #[command(flatten)]
    pub stage: StageOptions,
}

#[derive(Debug, Clone, Args)]
pub struct AllOptions {
    /// The server's program as it is shipped, where one is started
    #[arg(long, value_name = "PROGRAM")]
    pub server: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct AgentOptions {
    /// The agent's program as it is shipped; build it with `cargo build --profile agent -p kioskwatch-agent`
    #[arg(long, default_value = "target/agent/kioskwatch-agent")]
    pub program: PathBuf,
    /// Length of the measurement, in seconds
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
}
