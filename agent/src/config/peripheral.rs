//! `[[peripheral]]`: one device each, and what its driver wants to know.
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use kioskwatch_agent_core::{
    config::{DEFAULT_CONFIRM_PROBES, PeripheralConfig, PeripheralSetup, kind_guards_valuables},
    drivers::{
        line::LineSettings,
        registry::{self, BuildError, DRIVERS, Options},
    },
};
use kioskwatch_proto::{
    PeripheralName,
    limits::MAX_PERIPHERALS,
    words::{PortMode, is_word},
};

use super::{Gate, Section, section::typed};

#[derive(Debug, Clone)]
pub struct Peripheral {
    /// What the engine needs to know.
    pub core: PeripheralConfig,
    /// The device file; a path below `/dev/serial/by-id` survives unplugging. Pushed peripherals have none.
    pub port: Option<PathBuf>,
    /// Mode `proxy`: where the kiosk application finds its end, a link made by the agent.
    pub application_port: Option<PathBuf>,
    pub line: LineSettings,
    /// Keys of the driver's own.
    pub options: Options,
}

const NAME: &str = "a name of 1 to 64 letters, digits, `_` or `-` is right, each once";
const PORT: &str = "the path of a serial device is right, best one below /dev/serial/by-id";

/// The rates Linux has names for (termios(3), asm-generic/termbits.h), from 300 on, and those of other makers'
/// manuals.
const BAUD_RATES: [u32; 28] = [
    300, 600, 1_200, 1_800, 2_400, 4_800, 9_600, 14_400, 19_200, 28_800, 38_400, 57_600, 115_200, 128_000,
    230_400, 250_000, 256_000, 460_800, 500_000, 576_000, 921_600, 1_000_000, 1_152_000, 1_500_000,
    2_000_000, 2_500_000, 3_000_000, 4_000_000,
];

pub(super) fn read_all(sections: Vec<Section>, gate: &Gate) -> Vec<Peripheral> {
    let mut seen = Seen::default();
    let mut all: Vec<Peripheral> = Vec::new();
    for mut section in sections {
        let name = section.need::<PeripheralName>("name", NAME);
        if let Some(name) = &name {
            if name.value.is_host() {
                section.wrong(&name.place, "name", "host means the terminal itself", NAME);
            } else if !seen.names.insert(name.value.clone()) {
                section.wrong(&name.place, "name", format!("{} stands there twice", name.value), NAME);
            }
            if seen.names.len() == MAX_PERIPHERALS + 1 {
                let right = format!("one kiosk has at most {MAX_PERIPHERALS}");
                section.wrong(&name.place, "name", "too many peripherals", right);
            }
        }
        all.extend(Peripheral::read(section, name.map(|name| name.value), gate, &mut seen));
    }
    all
}

/// What peripherals further up have taken.
#[derive(Default)]
struct Seen {
    names: BTreeSet<PeripheralName>,
    ports: BTreeMap<PathBuf, String>,
}

fn driver_names() -> String {
    DRIVERS.iter().map(|d| d.name).collect::<Vec<_>>().join(", ")
}

impl Peripheral {
    /// `None`: what is wrong with it is noted. So is the rest of it, as far as it can be judged without its mode and
    /// its driver.
    fn read(
        mut section: Section,
        name: Option<PeripheralName>,
        gate: &Gate,
        seen: &mut Seen,
    ) -> Option<Self> {
        const MODE: &str = "owned, pushed, proxy or lease is right";
        const KIND: &str =
            "a word of lower-case letters, digits and `_` is right, like printer or bill_acceptor";
        let mode = section.need::<PortMode>("mode", MODE);
        let of_mode = |wanted| mode.as_ref().is_some_and(|mode| mode.value == wanted);
        let pushed = of_mode(PortMode::Pushed);
        let driver = read_driver(&mut section, pushed);
        let info = driver.as_deref().filter(|_| !pushed).and_then(registry::info);
        let kind = match section.take::<String>("kind", KIND) {
            Some(found) if !is_word(&found.value) => {
                section.wrong(&found.place, "kind", format!("{:?} is no word", found.value), KIND);
                None
            }
            Some(found) => Some(found.value),
            None if pushed => {
                section.missing("kind", KIND);
                None
            }
            None => info.map(|info| info.kind.to_owned()),
        };
        if let (Some(mode), Some(driver), Some(kind)) = (&mode, &driver, &kind) {
            if mode.value == PortMode::Owned && info.is_some_and(|i| !i.owned_allowed) {
                let what = format!("{driver} has no question that cannot move a note");
                section.wrong(&mode.place, "mode", what, "proxy or pushed is right");
            }
            if mode.value != PortMode::Owned && !gate.expects_application() && kind_guards_valuables(kind) {
                let what = "without a kiosk application nobody vouches for money or cards inside";
                let right = "owned is right with [gate] application = \"none\"";
                section.wrong(&mode.place, "mode", what, right);
            }
        }
        let probe_ms = section.seconds("probe_interval_s", 0.2..=86_400.0);
        let probe_ms =
            probe_ms.unwrap_or_else(|| info.map_or(10_000, |i| u64::from(i.probe_interval_s) * 1000));
        let required = section.or("required", "true or false is right", false);
        let guards_valuables = section.take::<bool>("guards_valuables", "true or false is right");
        let confirm_probes = section.within("confirm_probes", 1..=20, DEFAULT_CONFIRM_PROBES);
        let confirm_ms = section.seconds("confirm_interval_s", 0.05..=3600.0);
        let stale_ms = section.seconds("stale_after_s", 1.0..=86_400.0);
        let port = read_port(&mut section, mode.as_ref().map(|mode| mode.value), seen);
        let mut line = info.map_or(LineSettings::eight_n_one(9600), |i| i.line);
        if let Some(baud) = read_baud(&mut section) {
            line.baud = baud;
        }
        let application_port = section.take::<PathBuf>("application_port", "the path of a link is right");
        if of_mode(PortMode::Proxy) && application_port.is_none() {
            section.missing("application_port", "name the link the kiosk application will open");
        }
        let (name, mode, driver, kind) = (name?, mode?.value, driver?, kind?);
        let options = read_options(&mut section, &driver, pushed);
        section.finish();
        let mut core = PeripheralConfig::new(name, &kind, &driver, mode, probe_ms);
        core.required = required;
        core.confirm_probes = confirm_probes;
        core.guards_valuables = guards_valuables.map_or(core.guards_valuables, |found| found.value);
        core.confirm_interval_ms = confirm_ms.unwrap_or(core.confirm_interval_ms);
        core.stale_after_ms = stale_ms.unwrap_or(core.stale_after_ms);
        Some(Self { core, port, application_port: application_port.map(|f| f.value), line, options })
    }

    /// Peripheral and driver as the engine takes them.
    pub fn setup(&self) -> Result<PeripheralSetup, BuildError> {
        let driver = match self.core.mode {
            PortMode::Pushed => None,
            _ => Some(registry::build(&self.core.driver, &self.options)?),
        };
        Ok(PeripheralSetup { config: self.core.clone(), driver })
    }
}

/// `None`: there is none of that name, or none was given.
fn read_driver(section: &mut Section, pushed: bool) -> Option<String> {
    let drivers = format!("drivers are {}", driver_names());
    if pushed {
        let found = section.take::<String>("driver", &drivers);
        return Some(found.map_or_else(|| "application".to_owned(), |found| found.value));
    }
    let found = section.need::<String>("driver", &drivers)?;
    if registry::info(&found.value).is_none() {
        section.wrong(&found.place, "driver", format!("there is no driver {:?}", found.value), drivers);
        return None;
    }
    Some(found.value)
}

/// A line has one master: two peripherals on it would answer each other's questions.
fn read_port(section: &mut Section, mode: Option<PortMode>, seen: &mut Seen) -> Option<PathBuf> {
    if mode == Some(PortMode::Pushed) {
        if let Some(found) = section.take::<PathBuf>("port", PORT) {
            let right = "leave it out, or choose another mode";
            section.wrong(&found.place, "port", "a pushed peripheral has no port", right);
        }
        return None;
    }
    let found = match mode {
        Some(_) => section.need::<PathBuf>("port", PORT),
        None => section.take::<PathBuf>("port", PORT),
    }?;
    if let Some(other) = seen.ports.get(&found.value) {
        let what = format!("{} is the port of the peripheral at {other} too", found.value.display());
        section.wrong(&found.place, "port", what, "each peripheral has a port of its own");
    }
    seen.ports.entry(found.value.clone()).or_insert(found.place);
    Some(found.value)
}

/// A rate that no device speaks is a slip of the pen, and looks like a dead device later.
fn read_baud(section: &mut Section) -> Option<u32> {
    let rates = BAUD_RATES.map(|rate| rate.to_string()).join(", ");
    let right = format!("the rate in the device's manual is right; standard rates are {rates}");
    let found = section.take::<u32>("baud", &right)?;
    if !BAUD_RATES.contains(&found.value) {
        section.wrong(&found.place, "baud", format!("{} is no standard rate", found.value), right);
        return None;
    }
    Some(found.value)
}

/// What is left belongs to the driver, which refuses what it does not know.
fn read_options(section: &mut Section, driver: &str, pushed: bool) -> Options {
    let known = section.known();
    let mut options = Options::new();
    for (key, setting) in section.rest() {
        let place = setting.place.clone();
        if pushed {
            section.unknown(place, &key, &known);
            continue;
        }
        let value = if setting.from_environment {
            // A number or flag when it reads as one, else a text.
            typed::<f64>(setting.clone())
                .map(serde_json::Value::from)
                .or_else(|_| typed::<bool>(setting.clone()).map(serde_json::Value::from))
                .or_else(|_| typed::<serde_json::Value>(setting))
        } else {
            typed::<serde_json::Value>(setting)
        };
        let right = format!("keys of every peripheral are {known}; the rest is for the driver");
        match value {
            Ok(value) => {
                options.insert(key.clone(), value);
            }
            Err(what) => section.wrong(&place, &key, what, &right),
        }
        if let Err(error) = registry::build(driver, &options) {
            section.wrong(&place, &key, error, right);
            options.remove(&key);
        }
    }
    options
}
