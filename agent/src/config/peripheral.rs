//! `[[peripheral]]`: one device each, and what its driver wants to know.
use std::{collections::BTreeSet, path::PathBuf};

use kioskwatch_agent_core::{
    config::{PeripheralConfig, PeripheralSetup, kind_guards_valuables},
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

use super::{ConfigError, Gate, Section, section::typed};

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

pub(super) fn read_all(sections: Vec<Section>, gate: &Gate) -> Result<Vec<Peripheral>, ConfigError> {
    let mut names = BTreeSet::new();
    let mut all: Vec<Peripheral> = Vec::new();
    for mut section in sections {
        let Some(name) = section.take::<PeripheralName>("name", NAME)? else {
            return Err(section.missing("name", NAME));
        };
        if name.value.is_host() || !names.insert(name.value.clone()) {
            let what = if name.value.is_host() {
                "host means the terminal itself".to_owned()
            } else {
                format!("{} stands there twice", name.value)
            };
            return Err(section.wrong(&name.place, "name", what, NAME));
        }
        if all.len() == MAX_PERIPHERALS {
            let right = format!("one kiosk has at most {MAX_PERIPHERALS}");
            return Err(section.wrong(&name.place, "name", "too many peripherals", right));
        }
        all.push(Peripheral::read(section, name.value, gate)?);
    }
    Ok(all)
}

fn driver_names() -> String {
    DRIVERS.iter().map(|d| d.name).collect::<Vec<_>>().join(", ")
}

impl Peripheral {
    fn read(mut section: Section, name: PeripheralName, gate: &Gate) -> Result<Self, ConfigError> {
        const MODE: &str = "owned, pushed, proxy or lease is right";
        let Some(mode) = section.take::<PortMode>("mode", MODE)? else {
            return Err(section.missing("mode", MODE));
        };
        let pushed = mode.value == PortMode::Pushed;
        let drivers = format!("drivers are {}", driver_names());
        let driver = match section.take::<String>("driver", &drivers)? {
            Some(found) if pushed => (found.value, None),
            Some(found) => {
                let Some(info) = registry::info(&found.value) else {
                    let what = format!("there is no driver {:?}", found.value);
                    return Err(section.wrong(&found.place, "driver", what, drivers));
                };
                (found.value, Some(info))
            }
            None if pushed => ("application".to_owned(), None),
            None => return Err(section.missing("driver", &drivers)),
        };
        let (driver, info) = driver;
        const KIND: &str =
            "a word of lower-case letters, digits and `_` is right, like printer or bill_acceptor";
        let kind = match section.take::<String>("kind", KIND)? {
            Some(found) if !is_word(&found.value) => {
                return Err(section.wrong(
                    &found.place,
                    "kind",
                    format!("{:?} is no word", found.value),
                    KIND,
                ));
            }
            Some(found) => found.value,
            None => match info {
                Some(info) => info.kind.to_owned(),
                None => return Err(section.missing("kind", KIND)),
            },
        };
        if mode.value == PortMode::Owned && info.is_some_and(|i| !i.owned_allowed) {
            let what = format!("{driver} has no question that cannot move a note");
            return Err(section.wrong(&mode.place, "mode", what, "proxy or pushed is right"));
        }
        if mode.value != PortMode::Owned && !gate.expects_application() && kind_guards_valuables(&kind) {
            let what = "without a kiosk application nobody vouches for money or cards inside";
            let right = "owned is right with [gate] application = \"none\"";
            return Err(section.wrong(&mode.place, "mode", what, right));
        }
        let probe_ms = section.seconds("probe_interval_s", 0.2..=86_400.0)?;
        let probe_ms =
            probe_ms.unwrap_or_else(|| info.map_or(10_000, |i| u64::from(i.probe_interval_s) * 1000));
        let mut core = PeripheralConfig::new(name, &kind, &driver, mode.value, probe_ms);
        core.required = section.or("required", "true or false is right", false)?;
        core.guards_valuables =
            section.or("guards_valuables", "true or false is right", core.guards_valuables)?;
        core.confirm_probes = section.within("confirm_probes", 1..=20, core.confirm_probes)?;
        if let Some(ms) = section.seconds("confirm_interval_s", 0.05..=3600.0)? {
            core.confirm_interval_ms = ms;
        }
        if let Some(ms) = section.seconds("stale_after_s", 1.0..=86_400.0)? {
            core.stale_after_ms = ms;
        }
        let port = section.take::<PathBuf>("port", PORT)?;
        match &port {
            None if !pushed => return Err(section.missing("port", PORT)),
            Some(found) if pushed => {
                let right = "leave it out, or choose another mode";
                return Err(section.wrong(&found.place, "port", "a pushed peripheral has no port", right));
            }
            _ => {}
        }
        let mut line = info.map_or(LineSettings::eight_n_one(9600), |i| i.line);
        if let Some(baud) = read_baud(&mut section)? {
            line.baud = baud;
        }
        let application_port = section.take::<PathBuf>("application_port", "the path of a link is right")?;
        if mode.value == PortMode::Proxy && application_port.is_none() {
            return Err(section.missing("application_port", "name the link the kiosk application will open"));
        }
        let options = read_options(&mut section, &driver, pushed)?;
        section.finish()?;
        Ok(Self {
            core,
            port: port.map(|f| f.value),
            application_port: application_port.map(|f| f.value),
            line,
            options,
        })
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

/// A rate that no device speaks is a slip of the pen, and looks like a dead device later.
fn read_baud(section: &mut Section) -> Result<Option<u32>, ConfigError> {
    let rates = BAUD_RATES.map(|rate| rate.to_string()).join(", ");
    let right = format!("the rate in the device's manual is right; standard rates are {rates}");
    let Some(found) = section.take::<u32>("baud", &right)? else { return Ok(None) };
    if !BAUD_RATES.contains(&found.value) {
        let what = format!("{} is no standard rate", found.value);
        return Err(section.wrong(&found.place, "baud", what, right));
    }
    Ok(Some(found.value))
}

/// What is left belongs to the driver, which refuses what it does not know.
fn read_options(section: &mut Section, driver: &str, pushed: bool) -> Result<Options, ConfigError> {
    let known = section.known();
    let mut options = Options::new();
    for (key, setting) in section.rest() {
        let place = setting.place.clone();
        if pushed {
            return Err(section.unknown(place, &key, &known));
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
        let value = value.map_err(|what| section.wrong(&place, &key, what, &right))?;
        options.insert(key.clone(), value);
        if let Err(error) = registry::build(driver, &options) {
            return Err(section.wrong(&place, &key, error, right));
        }
    }
    Ok(options)
}
