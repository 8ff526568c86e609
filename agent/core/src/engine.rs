//! The agent's mind: one input at a time in, effects out.
//!
//! Knows: configuration, what every peripheral said, what the application said, the commands at hand.
//! Must not know: files, sockets, clocks. The shell calls it from one place, one input at a time.
use kioskwatch_proto::{Epoch, inventory::Inventory, journal::Snapshot};

use crate::{
    config::{BootFacts, ConfigError, EngineConfig, PeripheralSetup},
    drivers::Mono,
    effect::Effect,
    input::{Input, Now},
};

/// See the module.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    peripherals: Vec<PeripheralSetup>,
    boot: BootFacts,
}

impl Engine {
    /// Begins: `out` gets the `boot` and `snapshot` records, the first tick, the inventory and the ports to
    /// open.
    pub fn new(
        config: EngineConfig,
        peripherals: Vec<PeripheralSetup>,
        boot: BootFacts,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<Self, ConfigError> {
        config.check(&peripherals)?;
        out.push(Effect::Tick { until: now.wall });
        Ok(Self { config, peripherals, boot })
    }

    /// Takes one input and appends what follows from it to `out`.
    pub fn step(&mut self, _now: Now, _input: Input, _out: &mut Vec<Effect>) {}

    /// When [`Input::Wake`] is due (monotonic milliseconds); there is always a next time.
    pub fn next_wake(&self) -> Mono {
        0
    }

    /// The whole hard state; for `snapshot` records that the journal makes itself (a new epoch).
    pub fn snapshot(&self, _previous_epoch: Option<Epoch>) -> Snapshot {
        Snapshot {
            service: kioskwatch_proto::words::ServiceState::OutOfService,
            peripherals: std::collections::BTreeMap::new(),
            previous_epoch: None,
        }
    }

    /// What the kiosk is made of.
    pub fn inventory(&self, epoch: Epoch) -> Inventory {
        let agent = self.config.agent.clone();
        let _ = &self.peripherals;
        Inventory {
            agent_version: agent.agent_version,
            os: agent.os,
            boot: self.boot.boot,
            epoch,
            timezone: agent.timezone,
            config_hash: agent.config_hash,
            peripherals: Vec::new(),
            actions: Vec::new(),
        }
    }
}
