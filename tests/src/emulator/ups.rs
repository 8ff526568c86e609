//! An uninterruptible power supply that speaks Megatec Q1.
//!
//! Source: the public description of the Megatec protocol, as the drivers of Network UPS Tools read it.
//! ASCII lines ended by CR, no checksum. What the UPS does not know it sends back unchanged.

mod model;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::time::Duration;

use super::device::Emulator;
pub use model::UpsModel;

/// What a test can do to a UPS, and what it can see of it.
#[derive(Clone, Debug, PartialEq)]
pub struct UpsState {
    pub input_v: f64,
    /// The input voltage at the last disturbance.
    pub fault_v: f64,
    pub output_v: f64,
    pub load_percent: u16,
    pub frequency_hz: f64,
    pub battery_v: f64,
    pub temperature_c: f64,

    /// The mains has failed; the load runs from the battery.
    pub on_battery: bool,
    pub battery_low: bool,
    /// The load is fed past the inverter, or the voltage is being corrected.
    pub bypass: bool,
    pub failed: bool,
    /// A standby or line-interactive type; clear for an online type.
    pub standby_type: bool,
    pub beeper: bool,
    /// Set while a self-test runs, which is also a time on battery. Written by the UPS.
    pub test_running: bool,
    /// A shutdown has been ordered and is counting down. Written by the UPS.
    pub shutdown_active: bool,
    /// The outlets have power. A monitor that loses this has switched the kiosk off. Written by the UPS.
    pub load_on: bool,

    /// The battery is worn: as soon as it has to carry the load it reports low.
    pub worn_battery: bool,
    /// How long the quick test takes; the protocol says ten seconds.
    pub test_takes: Duration,

    pub rated_v: f64,
    pub rated_a: u16,
    pub rated_battery_v: f64,
    pub rated_hz: f64,
    /// At most 15 characters.
    pub maker: String,
    /// At most 10 characters.
    pub model: String,
    /// At most 10 characters.
    pub version: String,
}

impl Default for UpsState {
    /// On line, charged, beeper armed: the reading that public examples show.
    fn default() -> Self {
        Self {
            input_v: 230.4,
            fault_v: 230.0,
            output_v: 229.8,
            load_percent: 17,
            frequency_hz: 49.9,
            battery_v: 27.1,
            temperature_c: 31.5,
            on_battery: false,
            battery_low: false,
            bypass: false,
            failed: false,
            standby_type: true,
            beeper: true,
            test_running: false,
            shutdown_active: false,
            load_on: true,
            worn_battery: false,
            test_takes: Duration::from_secs(10),
            rated_v: 230.0,
            rated_a: 4,
            rated_battery_v: 24.0,
            rated_hz: 50.0,
            maker: "KIOSKUPS".to_owned(),
            model: "UPS-600".to_owned(),
            version: "V1.02".to_owned(),
        }
    }
}

impl UpsState {
    /// The reply to `Q1`: seven readings and eight flags.
    pub(super) fn status_line(&self) -> String {
        let carries_load = self.on_battery || self.test_running;
        let flags: String = [
            carries_load,
            self.battery_low || (carries_load && self.worn_battery),
            self.bypass,
            self.failed,
            self.standby_type,
            self.test_running,
            self.shutdown_active,
            self.beeper,
        ]
        .into_iter()
        .map(|flag| if flag { '1' } else { '0' })
        .collect();
        format!(
            "({:05.1} {:05.1} {:05.1} {:03} {:04.1} {:04.1} {:04.1} {flags}\r",
            self.input_v,
            self.fault_v,
            if self.load_on { self.output_v } else { 0.0 },
            self.load_percent,
            self.frequency_hz,
            self.battery_v,
            self.temperature_c,
        )
    }

    /// The reply to `F`: what is written on the type plate.
    pub(super) fn rating_line(&self) -> String {
        format!(
            "#{:05.1} {:03} {:05.2} {:04.1}\r",
            self.rated_v, self.rated_a, self.rated_battery_v, self.rated_hz
        )
    }

    /// The reply to `I`: three columns of fixed width; strict readers refuse one that is short.
    pub(super) fn info_line(&self) -> String {
        format!("#{:<15.15} {:<10.10} {:<10.10}\r", self.maker, self.model, self.version)
    }
}

/// A UPS on a line of its own.
pub type Ups = Emulator<UpsModel>;

impl Ups {
    /// A healthy UPS, on line, at `dir/name`.
    pub fn start(dir: &Path, name: &str) -> io::Result<Self> {
        Self::with_model(dir, name, UpsModel::default())
    }

    /// The mains fails: the UPS carries the load. It is the one device that goes on talking then.
    pub fn mains_fails(&self) {
        self.set(|ups| {
            ups.on_battery = true;
            ups.fault_v = ups.input_v;
            ups.input_v = 0.0;
            ups.beeper = true;
        });
    }

    /// The mains is back.
    pub fn mains_returns(&self) {
        self.set(|ups| {
            ups.on_battery = false;
            ups.battery_low = false;
            ups.input_v = ups.rated_v;
        });
    }
}
