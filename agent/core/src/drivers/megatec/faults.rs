//! What the flags and values of a UPS mean in our fault codes.
use kioskwatch_proto::{faults::codes, words::PeripheralStatus};

use super::frame::Status;
use crate::drivers::{Reading, found::found};

pub(super) const UTILITY_FAIL: u8 = 1 << 7;
pub(super) const BATTERY_LOW: u8 = 1 << 6;
const BYPASS: u8 = 1 << 5;
pub(super) const UPS_FAILED: u8 = 1 << 4;
pub(super) const TEST_RUNNING: u8 = 1 << 2;
pub(super) const SHUTDOWN_ACTIVE: u8 = 1 << 1;

/// The flags that are faults. b3 (standby type) and b0 (beeper on) are properties.
const FLAG_FAULTS: [(u8, &str, &str); 6] = [
    (UTILITY_FAIL, codes::ON_BATTERY, "no mains"),
    (BATTERY_LOW, codes::BATTERY_LOW, "the battery is low"),
    (BYPASS, codes::UPS_BYPASS, "bypass, or the voltage is being corrected"),
    (UPS_FAILED, codes::UPS_FAULT, "the UPS reports a failure of its own"),
    (TEST_RUNNING, codes::UPS_TEST_RUNNING, "a battery test is running"),
    (SHUTDOWN_ACTIVE, codes::UPS_SHUTDOWN_ACTIVE, "a shutdown is counting down"),
];

/// The reading of one `Q1` line. Above `overload_percent` of the rated load the load is a fault: there is no
/// flag for it.
pub(super) fn read(status: &Status, line: &[u8], overload_percent: f64) -> Reading {
    let is_set = |flag: u8| status.flags & flag != 0;
    let mut faults: Vec<_> = FLAG_FAULTS
        .iter()
        .filter(|(flag, ..)| is_set(*flag))
        .map(|(_, code, text)| found(code, line, text))
        .collect();
    if let Some(load) = status.load_percent
        && load > overload_percent
    {
        faults.push(found(codes::UPS_OVERLOAD, line, &format!("load {load} %, limit {overload_percent} %")));
    }
    let values = [
        ("input_voltage_volts", status.input_volts),
        ("output_voltage_volts", status.output_volts),
        ("load_ratio", status.load_percent.map(|percent| percent / 100.0)),
        ("frequency_hertz", status.frequency_hertz),
        ("battery_voltage_volts", status.battery_volts),
        ("temperature_celsius", status.temperature_celsius),
    ];
    let state = if is_set(TEST_RUNNING) {
        "testing"
    } else if is_set(UTILITY_FAIL) {
        "on_battery"
    } else if is_set(BYPASS) {
        "bypass"
    } else {
        "on_line"
    };
    Reading {
        // On battery, or with a weak one, the UPS does its work; only its own failure stops it.
        status: if is_set(UPS_FAILED) { PeripheralStatus::HardwareError } else { PeripheralStatus::Online },
        faults,
        values: values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        state: Some(state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(load: &str, flags: &str, status: &str, faults: &[&str]) {
        let line = format!("(230.4 230.0 229.8 {load} 49.9 27.1 31.5 {flags}");
        let reading = read(&Status::parse(line.as_bytes()).unwrap(), line.as_bytes(), 100.0);
        let found: Vec<_> = reading.faults.iter().map(|f| f.code.as_str()).collect();
        assert_eq!((reading.status.as_str(), &found[..]), (status, faults), "{flags}");
    }

    #[test]
    fn the_flags_of_a_ups() {
        check("017", "00001001", "online", &[]);
        check("017", "10001001", "online", &["on_battery"]);
        check("017", "11001001", "online", &["on_battery", "battery_low"]);
        check("017", "01001001", "online", &["battery_low"]);
        check("017", "00101001", "online", &["ups_bypass"]);
        check("017", "00001100", "online", &["ups_test_running"]);
        check("017", "00001010", "online", &["ups_shutdown_active"]);
        check("017", "00010000", "hardware_error", &["ups_fault"]);
    }

    #[test]
    fn load_above_the_limit_is_a_fault_and_at_the_limit_is_none() {
        check("100", "00001001", "online", &[]);
        check("101", "00001001", "online", &["ups_overload"]);
    }
}
