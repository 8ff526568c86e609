//! What the engine must be told before it starts: checked values, no file, no environment.
use std::collections::BTreeSet;

use kioskwatch_proto::{
    BootId, KioskId, PeripheralName, Timestamp,
    command::TrustedKey,
    journal::Snapshot,
    limits::{HEARTBEAT_INTERVAL_S, MAX_PERIPHERALS},
    words::PortMode,
};

use crate::{drivers::Driver, effect::StoredCommand};

/// Default of `[kiosk] heartbeat_interval_s`.
pub const DEFAULT_HEARTBEAT_INTERVAL_S: u32 = 30;
/// Default of `[[peripheral]] probe_interval_s`, in milliseconds.
pub const DEFAULT_PROBE_INTERVAL_MS: u64 = 10_000;
/// The durable tick bounds how much of a power cut is unknown; the contract promises 10 s.
pub const MAX_TICK_INTERVAL_MS: u64 = 10_000;
/// Without a sign of life for this long, a required kiosk application counts as down.
pub const DEFAULT_APPLICATION_DOWN_AFTER_MS: u64 = 60_000;
/// How often a finding must repeat before it is believed.
pub const DEFAULT_CONFIRM_PROBES: u8 = 2;

/// Whether a kiosk application has to vouch for the kiosk (`[gate] application`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplicationGate {
    /// The application reports service and busy facts; without them nothing risky runs.
    Required {
        /// Milliseconds without a sign of life until `application_down` is raised.
        down_after_ms: u64,
    },
    /// There is none: facts come from owned devices alone.
    None,
}

/// One peripheral as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeripheralConfig {
    pub name: PeripheralName,
    /// printer, bill_acceptor, ups …
    pub kind: String,
    /// Name of the driver, for the inventory.
    pub driver: String,
    pub mode: PortMode,
    /// Without it the kiosk is out of service.
    pub required: bool,
    /// Money or cards may be inside, whatever the driver says: every doubt counts as "not idle".
    pub guards_valuables: bool,
    /// Milliseconds between two scheduled probes.
    pub probe_interval_ms: u64,
    /// Consecutive findings that make a soft change hard; at least 1.
    pub confirm_probes: u8,
    /// Milliseconds until a doubtful finding is looked at again.
    pub confirm_interval_ms: u64,
    /// Milliseconds without any finding after which the status is `stale`.
    pub stale_after_ms: u64,
}

impl PeripheralConfig {
    /// With the defaults that follow from the probe interval: a fault is confirmed well under a second after
    /// it was seen when probes are a second apart, and after 5 s at the usual 10 to 30 s.
    pub fn new(
        name: PeripheralName,
        kind: &str,
        driver: &str,
        mode: PortMode,
        probe_interval_ms: u64,
    ) -> Self {
        let probe_interval_ms = probe_interval_ms.max(MIN_PROBE_INTERVAL_MS);
        Self {
            name,
            kind: kind.to_owned(),
            driver: driver.to_owned(),
            mode,
            required: false,
            guards_valuables: kind_guards_valuables(kind),
            probe_interval_ms,
            confirm_probes: DEFAULT_CONFIRM_PROBES,
            confirm_interval_ms: default_confirm_interval_ms(probe_interval_ms),
            stale_after_ms: (3 * probe_interval_ms).max(MIN_STALE_AFTER_MS),
        }
    }
}

/// A shorter probe interval would keep slow devices (1,200 baud, 300 ms answers) busy with us alone.
pub const MIN_PROBE_INTERVAL_MS: u64 = 200;
/// A device that answers slowly or retries is not yet silent.
pub const MIN_STALE_AFTER_MS: u64 = 30_000;

/// See [`PeripheralConfig::new`].
pub const fn default_confirm_interval_ms(probe_interval_ms: u64) -> u64 {
    if probe_interval_ms < 10_000 { probe_interval_ms / 4 } else { 5_000 }
}

/// Whether devices of this kind hold money or cards.
pub fn kind_guards_valuables(kind: &str) -> bool {
    ["bill", "note", "cash", "coin", "hopper", "card", "recycler"].iter().any(|word| kind.contains(word))
}

/// A peripheral with its driver; pushed ones have none.
#[derive(Debug)]
pub struct PeripheralSetup {
    pub config: PeripheralConfig,
    pub driver: Option<Box<dyn Driver>>,
}

/// When a host fault is raised and when it is over: the gap keeps a value at the edge from flapping.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Raised at or above.
    pub raise_at: f64,
    /// Cleared below.
    pub clear_below: f64,
}

/// Limits of the terminal itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HostLimits {
    /// Share of the disk that holds the journal.
    pub disk_used_ratio: Thresholds,
    pub temperature_celsius: Thresholds,
    /// Milliseconds between our wall clock and the server's, either way.
    pub clock_offset_ms: Thresholds,
}

impl Default for HostLimits {
    fn default() -> Self {
        Self {
            disk_used_ratio: Thresholds { raise_at: 0.95, clear_below: 0.90 },
            // Industrial boards throttle from about 85 °C.
            temperature_celsius: Thresholds { raise_at: 80.0, clear_below: 70.0 },
            // Above 2 min the server no longer believes our times.
            clock_offset_ms: Thresholds { raise_at: 120_000.0, clear_below: 60_000.0 },
        }
    }
}

/// When a value changes too often to be told every time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlappingLimits {
    pub window_ms: u64,
    /// Hard changes within the window that start it.
    pub start_at: u32,
    /// It stops when fewer than this many remain in the window.
    pub stop_below: u32,
}

impl Default for FlappingLimits {
    fn default() -> Self {
        Self { window_ms: 10 * 60 * 1000, start_at: 8, stop_below: 4 }
    }
}

/// What the inventory says of the agent itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentFacts {
    pub agent_version: String,
    pub os: String,
    /// IANA zone of the terminal, when known.
    pub timezone: Option<String>,
    pub config_hash: String,
}

#[derive(Debug, Clone)]
pub struct EngineConfig {
    pub kiosk: KioskId,
    pub heartbeat_interval_s: u32,
    /// Milliseconds between durable ticks, at most [`MAX_TICK_INTERVAL_MS`].
    pub tick_interval_ms: u64,
    pub application: ApplicationGate,
    pub trusted_keys: Vec<TrustedKey>,
    pub host: HostLimits,
    pub flapping: FlappingLimits,
    pub agent: AgentFacts,
}

impl EngineConfig {
    /// Defaults for everything that has one: no trusted key, application required.
    pub fn new(kiosk: KioskId) -> Self {
        Self {
            kiosk,
            heartbeat_interval_s: DEFAULT_HEARTBEAT_INTERVAL_S,
            tick_interval_ms: MAX_TICK_INTERVAL_MS,
            application: ApplicationGate::Required { down_after_ms: DEFAULT_APPLICATION_DOWN_AFTER_MS },
            trusted_keys: Vec::new(),
            host: HostLimits::default(),
            flapping: FlappingLimits::default(),
            agent: AgentFacts::default(),
        }
    }

    /// What the shell's `check-config` and [`crate::engine::Engine::new`] both refuse.
    pub fn check(&self, peripherals: &[PeripheralSetup]) -> Result<(), ConfigError> {
        if !HEARTBEAT_INTERVAL_S.contains(&self.heartbeat_interval_s) {
            return Err(ConfigError::HeartbeatInterval(self.heartbeat_interval_s));
        }
        if self.tick_interval_ms == 0 || self.tick_interval_ms > MAX_TICK_INTERVAL_MS {
            return Err(ConfigError::TickInterval(self.tick_interval_ms));
        }
        if peripherals.len() > MAX_PERIPHERALS {
            return Err(ConfigError::TooManyPeripherals(peripherals.len()));
        }
        let mut names = BTreeSet::new();
        for PeripheralSetup { config, driver } in peripherals {
            let name = &config.name;
            if name.is_host() {
                return Err(ConfigError::ReservedName);
            }
            if !names.insert(name.clone()) {
                return Err(ConfigError::NameTwice(name.clone()));
            }
            if (config.mode == PortMode::Pushed) == driver.is_some() {
                return Err(ConfigError::DriverForMode(name.clone(), config.mode));
            }
            if config.confirm_probes == 0 {
                return Err(ConfigError::NoConfirmation(name.clone()));
            }
            if config.probe_interval_ms < MIN_PROBE_INTERVAL_MS {
                return Err(ConfigError::ProbeInterval(name.clone(), config.probe_interval_ms));
            }
        }
        Ok(())
    }
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("heartbeat_interval_s is {0}, allowed are 1 to 3600")]
    HeartbeatInterval(u32),
    #[error("the durable tick interval is {0} ms, allowed are 1 to {MAX_TICK_INTERVAL_MS}")]
    TickInterval(u64),
    #[error("{0} peripherals are more than the {MAX_PERIPHERALS} one kiosk may have")]
    TooManyPeripherals(usize),
    #[error("a peripheral is called host; that name means the terminal itself")]
    ReservedName,
    #[error("peripheral {0} stands there twice")]
    NameTwice(PeripheralName),
    #[error(
        "peripheral {0}: mode {1} and driver do not fit; pushed peripherals have none, all others need one"
    )]
    DriverForMode(PeripheralName, PortMode),
    #[error("peripheral {0}: confirm_probes is 0")]
    NoConfirmation(PeripheralName),
    #[error("peripheral {0}: a probe every {1} ms is too often, at least {MIN_PROBE_INTERVAL_MS}")]
    ProbeInterval(PeripheralName, u64),
}

/// What the shell knows when it starts the engine: this run of the machine and what the store remembers.
#[derive(Debug, Clone, PartialEq)]
pub struct BootFacts {
    pub boot: BootId,
    /// Absent with a new store.
    pub previous: Option<PreviousRun>,
    /// The last [`crate::effect::Effect::Remember`].
    pub remembered: Option<Snapshot>,
    /// The durable store was unreadable and a new one was made: raises `journal_corrupt`.
    pub journal_replaced: bool,
    /// The highest counter of a verified envelope.
    pub command_counter: u64,
    /// Commands whose ids are still kept.
    pub commands: Vec<StoredCommand>,
    /// Since when, by the server's clock, they are all that were asked for; `None`: nobody knows, because the store
    /// is new or lost some.
    pub commands_known_since: Option<Timestamp>,
}

impl BootFacts {
    /// A store that has just been made.
    /// Of a kiosk that was never asked for anything.
    pub fn first_start(boot: BootId) -> Self {
        Self {
            boot,
            previous: None,
            remembered: None,
            journal_replaced: false,
            command_counter: 0,
            commands: Vec::new(),
            commands_known_since: Some(Timestamp(i64::MIN)),
        }
    }
}

/// The run of the agent before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviousRun {
    pub boot: BootId,
    /// Its last durable tick.
    pub alive_until: Timestamp,
    /// It had recorded its `shutdown` and marked the end.
    pub clean: bool,
    /// The disk had no room at last: it may have lived longer, and other runs after it left no record.
    pub unrecorded: bool,
}
