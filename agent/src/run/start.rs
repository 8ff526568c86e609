//! Putting the agent together: journal, engine, ports, broker, local interface, in this order.
use std::{collections::BTreeMap, sync::Arc};

use futures_util::stream::FuturesOrdered;
use kioskwatch_agent_core::{
    config::{AgentFacts, BootFacts, ConfigError, EngineConfig, PreviousRun},
    delivery::DeliveryConfig,
    drivers::registry::BuildError,
    effect::Effect,
    engine::Engine,
};
use kioskwatch_proto::{
    BootId, PeripheralName,
    presence::{Presence, PresenceState},
    words::PortMode,
};
use tokio::sync::{mpsc, watch};

use super::{EVENTS, Event, RunError, agent::Agent, now};
use crate::{
    clock,
    config::Config,
    courier::Courier,
    host::Sampler,
    journal::{Head, Journal, JournalConfig, JournalError, Notice, Opened},
    local_api::{LocalApi, LocalApiError},
    mqtt::{self, Mqtt},
    serial::{Port, PortSettings},
    watchdog::Notifier,
};

/// Why the agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("opening the journal")]
    Journal(#[from] JournalError),
    #[error("naming this run of the machine")]
    BootId(#[from] clock::BootIdError),
    #[error("setting up a driver")]
    Driver(#[from] BuildError),
    #[error("setting up the engine")]
    Engine(#[from] ConfigError),
    #[error("preparing the connection to the broker")]
    Mqtt(#[from] mqtt::OptionsError),
    #[error("starting the local interface")]
    LocalApi(#[from] LocalApiError),
}

impl StartError {
    /// A mistake of the configuration, as opposed to one of the machine.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Driver(_) | Self::Engine(_) | Self::Mqtt(_))
    }
}

/// The engine's part of the configuration.
pub fn engine_config(config: &Config) -> EngineConfig {
    let mut engine = EngineConfig::new(config.kiosk.id.clone());
    engine.heartbeat_interval_s = config.kiosk.heartbeat_interval_s;
    engine.tick_interval_ms = config.journal.tick_ms;
    engine.application = config.gate.application;
    engine.trusted_keys.clone_from(&config.commands.keys);
    engine.agent = AgentFacts {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        os: os_name(),
        timezone: config.kiosk.timezone.clone().or_else(timezone),
        config_hash: config.hash(),
    };
    engine
}

fn os_name() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| std::env::consts::OS.to_owned(), |name| name.trim_matches('"').to_owned())
}

fn timezone() -> Option<String> {
    let text = std::fs::read_to_string("/etc/timezone").ok()?;
    Some(text.trim().to_owned()).filter(|name| !name.is_empty())
}

/// What is known before the first record is written.
#[derive(Debug)]
pub struct Start<'a> {
    config: &'a Config,
    boot: BootId,
    journal: Arc<Journal>,
    opened: Opened,
}

impl<'a> Start<'a> {
    /// Checks what can be checked and opens the journal.
    pub fn new(config: &'a Config) -> Result<Self, StartError> {
        // Every connection refuses for itself; what happens meanwhile is written down, and told when they are right.
        if let Err(error) = mqtt::check_files(&config.kiosk.id, &config.mqtt) {
            tracing::error!(%error, "no connection to the broker is possible with this configuration");
        }
        let boot = clock::boot_id(&config.kiosk.boot_id_file)?;
        let journal = &config.journal;
        let journal = JournalConfig::new(journal.path.clone(), journal.max_bytes, journal.keep_acked_ms());
        let (journal, opened) = Journal::open(&journal)?;
        Ok(Self { config, boot, journal: Arc::new(journal), opened })
    }

    fn boot_facts(&self, replaced: bool) -> BootFacts {
        let opened = &self.opened;
        let set_aside = |notice: &Notice| matches!(notice, Notice::SetAside { .. } | Notice::Roomless { .. });
        let remembered = opened.remembered.as_deref().and_then(|text| match serde_json::from_str(text) {
            Ok(snapshot) => Some(snapshot),
            Err(error) => {
                tracing::warn!(%error, "the remembered state cannot be read and is left out");
                None
            }
        });
        let commands: Vec<_> = opened
            .commands
            .iter()
            .filter_map(|row| match serde_json::from_str(&row.state) {
                Ok(command) => Some(command),
                Err(error) => {
                    tracing::warn!(command = %row.id, %error, "a remembered command cannot be read");
                    None
                }
            })
            .collect();
        BootFacts {
            boot: self.boot,
            previous: opened.previous.map(|previous| PreviousRun {
                boot: previous.boot,
                alive_until: previous.alive_until,
                clean: previous.clean,
                unrecorded: previous.unrecorded,
            }),
            remembered,
            journal_replaced: replaced || opened.notices.iter().any(set_aside),
            command_counter: opened.counter,
            commands_known_since: opened
                .commands_known_since
                .filter(|_| commands.len() == opened.commands.len()),
            commands,
        }
    }

    /// Starts everything, and hands the first records to the journal.
    pub(super) fn begin(self, replaced: bool) -> Result<(Agent, mpsc::Receiver<Event>), RunError> {
        let config = self.config;
        for notice in &self.opened.notices {
            tracing::error!(?notice, "the journal was damaged");
        }
        let head = self.journal.head();
        let begun = *head.borrow();
        tracing::info!(kiosk = %config.kiosk.id, boot = %self.boot, epoch = %begun.epoch, last_seq = begun.last_seq,
            pending = begun.pending(), version = env!("CARGO_PKG_VERSION"), "starting");
        for variable in &config.unused {
            tracing::warn!(variable, "a variable means nothing to the agent");
        }
        let setups = config.peripherals.iter().map(crate::config::Peripheral::setup);
        let setups = setups.collect::<Result<_, _>>().map_err(StartError::from)?;
        let mut effects: Vec<Effect> = Vec::new();
        let facts = self.boot_facts(replaced);
        let engine = Engine::new(engine_config(config), setups, facts, now(), &mut effects);
        let engine = engine.map_err(StartError::from)?;

        let (sender, events) = mpsc::channel(EVENTS);
        let api = match &config.local_api.socket {
            Some(socket) => {
                Some(LocalApi::start(socket, sender.clone(), Event::Local).map_err(StartError::from)?)
            }
            None => None,
        };
        let mqtt = Arc::new(Mqtt::start(mqtt::Setup {
            kiosk: config.kiosk.id.clone(),
            config: config.mqtt.clone(),
            will: will(self.boot, head),
            events: sender.clone(),
            wrap: Event::Link,
        }));
        let delivery =
            DeliveryConfig { stalled_after_ms: config.mqtt.stalled_after_ms, ..DeliveryConfig::default() };
        let courier =
            Courier::start(delivery, self.journal.clone(), mqtt.clone(), sender.clone(), Event::Courier);
        let mut agent = Agent {
            kiosk: config.kiosk.id.clone(),
            boot: self.boot,
            engine,
            ports: ports(config, &sender),
            journal: self.journal,
            mqtt,
            courier,
            api,
            sampler: Sampler::new(&config.journal.path),
            notifier: Notifier::from_process(),
            waiting: FuturesOrdered::new(),
            holds: Vec::new(),
            session: None,
            acknowledged_at: None,
            stopping: false,
            journal_replaced: None,
        };
        agent.perform(effects, None);
        Ok((agent, events))
    }
}

fn will(boot: BootId, head: watch::Receiver<Head>) -> mqtt::WillOf {
    Box::new(move |session| Presence {
        state: PresenceState::Offline,
        session,
        boot,
        epoch: head.borrow().epoch,
        at: clock::wall(),
        reason: None,
    })
}

fn ports(config: &Config, events: &mpsc::Sender<Event>) -> BTreeMap<PeripheralName, Port> {
    let mut ports = BTreeMap::new();
    for peripheral in config.peripherals.iter().filter(|p| p.core.mode != PortMode::Pushed) {
        let Some(path) = peripheral.port.clone() else { continue };
        let name = peripheral.core.name.clone();
        let settings = PortSettings {
            peripheral: name.clone(),
            path,
            line: peripheral.line,
            guards_valuables: peripheral.core.guards_valuables,
            application_port: peripheral.application_port.clone(),
        };
        ports.insert(name, Port::start(settings, events.clone(), Event::Port));
    }
    ports
}
