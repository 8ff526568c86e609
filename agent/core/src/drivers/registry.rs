//! The drivers that exist, wired in one place.
use kioskwatch_proto::limits::MAX_WORD_LEN;
use serde::de::DeserializeOwned;

use super::{
    Driver,
    ccnet::{self, Ccnet},
    escpos::{self, Escpos},
    line::LineSettings,
    megatec::{self, Megatec},
};

/// A driver's own options: what a `[[peripheral]]` table holds beside the keys that all drivers share.
pub type Options = serde_json::Map<String, serde_json::Value>;

/// What configuration and console need to know of a driver before there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriverInfo {
    /// The word for it in the configuration.
    pub name: &'static str,
    /// The devices it speaks to, for people.
    pub devices: &'static str,
    /// The peripheral kind unless the configuration says otherwise.
    pub kind: &'static str,
    /// Line settings unless the configuration says otherwise.
    pub line: LineSettings,
    /// Seconds between probes unless the configuration says otherwise.
    pub probe_interval_s: u32,
    /// Whether mode `owned` is allowed: the protocol has a question that moves nothing and consumes nothing.
    pub owned_allowed: bool,
}

/// Every driver.
pub const DRIVERS: &[DriverInfo] = &[
    DriverInfo {
        name: "escpos",
        devices: "ESC/POS receipt printers",
        kind: "printer",
        line: escpos::LINE,
        probe_interval_s: escpos::PROBE_INTERVAL_S,
        owned_allowed: true,
    },
    DriverInfo {
        name: "megatec",
        devices: "UPSs with the Megatec (Q1) protocol",
        kind: "ups",
        line: megatec::LINE,
        probe_interval_s: megatec::PROBE_INTERVAL_S,
        owned_allowed: true,
    },
    DriverInfo {
        name: "ccnet",
        devices: "CCNET bill validators",
        kind: "bill_acceptor",
        line: ccnet::LINE,
        probe_interval_s: ccnet::PROBE_INTERVAL_S,
        owned_allowed: true,
    },
];

/// Why there is no driver for a peripheral.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    #[error("there is no driver {name:?}; there are {}", names())]
    UnknownDriver { name: String },
    #[error("reading the options of driver {driver}: {why}")]
    Options { driver: &'static str, why: String },
}

/// What is known of the driver of this name.
pub fn info(name: &str) -> Option<&'static DriverInfo> {
    DRIVERS.iter().find(|driver| driver.name == name)
}

/// A driver from its checked configuration; touches nothing.
pub fn build(driver: &str, options: &Options) -> Result<Box<dyn Driver>, BuildError> {
    match driver {
        "escpos" => Ok(Box::new(Escpos::new(&read("escpos", options)?))),
        "megatec" => {
            let config: megatec::Config = read("megatec", options)?;
            config.check().map_err(|why| BuildError::Options { driver: "megatec", why })?;
            Ok(Box::new(Megatec::new(&config)))
        }
        "ccnet" => Ok(Box::new(Ccnet::new(&read("ccnet", options)?))),
        other => Err(BuildError::UnknownDriver { name: other.chars().take(MAX_WORD_LEN).collect() }),
    }
}

fn read<T: DeserializeOwned>(driver: &'static str, options: &Options) -> Result<T, BuildError> {
    T::deserialize(serde_json::Value::Object(options.clone()))
        .map_err(|e| BuildError::Options { driver, why: e.to_string() })
}

fn names() -> String {
    DRIVERS.iter().map(|driver| driver.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options(value: &serde_json::Value) -> Options {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn every_driver_named_can_be_built_without_options() {
        for driver in DRIVERS {
            let built = build(driver.name, &Options::new()).unwrap();
            assert_eq!(built.working(), None);
            assert!(!built.idle(0), "{}: nothing is known yet", driver.name);
            assert_eq!(built.guards_valuables(), driver.kind == "bill_acceptor");
        }
    }

    #[test]
    fn unknown_drivers_and_options_are_refused_by_name() {
        let error = build("laser", &Options::new()).unwrap_err();
        assert_eq!(error.to_string(), r#"there is no driver "laser"; there are escpos, megatec, ccnet"#);
        assert!(build("escpos", &options(&json!({"custom": true, "queries": "online"}))).is_ok());
        for (driver, bad) in [
            ("escpos", json!({"costum": true})),
            ("escpos", json!({"queries": "none"})),
            ("megatec", json!({"overload_percent": 0})),
            ("ccnet", json!({"address": 1})),
        ] {
            assert!(matches!(build(driver, &options(&bad)), Err(BuildError::Options { .. })), "{driver}");
        }
    }
}
