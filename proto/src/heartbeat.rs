//! "I am alive": cheap, QoS 0, never a record of its own.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    BootId, Epoch, PeripheralName, SessionId, Timestamp,
    faults::FaultCode,
    limits::{HEARTBEAT_INTERVAL_S, MAX_FAULTS_PER_PERIPHERAL, MAX_PERIPHERALS},
    payload::{Payload, PayloadError, check_count, check_number, check_range},
    words::{PeripheralStatus, ServiceState},
};

/// The state of a kiosk at one instant, repeated every `interval_s`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    pub boot: BootId,
    pub session: SessionId,
    /// Counts the heartbeats of a session: 1, 2, 3 …
    pub seq: u64,
    pub at: Timestamp,
    /// Milliseconds of the clock that counts through suspend; comparable within one `boot`.
    pub mono_ms: u64,
    /// The agent promises the next one within this many seconds.
    pub interval_s: u32,
    /// Seconds since the machine started.
    pub uptime_s: u64,
    pub service: ServiceState,
    #[serde(default)]
    pub peripherals: BTreeMap<PeripheralName, PeripheralState>,
    #[serde(default)]
    pub host: HostLoad,
    pub journal: JournalHead,
}

/// Status of one peripheral and the faults that stand on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeripheralState {
    pub status: PeripheralStatus,
    #[serde(default)]
    pub faults: Vec<FaultCode>,
    /// More stand on it than a message may carry: what is not named here is not over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// Load of the terminal; what could not be read is absent.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct HostLoad {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ratio: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used_ratio: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_used_ratio: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_celsius: Option<f64>,
}

/// Where the agent's journal stands: a gap to the server's `upto` shows at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHead {
    pub epoch: Epoch,
    pub last_seq: u64,
    /// Records the server has not acknowledged.
    pub pending: u64,
}

impl HostLoad {
    /// Without the values that no machine has: a broken sensor must neither draw a spike nor cost the heartbeat.
    #[must_use]
    pub fn plausible(self) -> Self {
        let ratio = |value: Option<f64>| value.filter(|v| (0.0..=1.0).contains(v));
        Self {
            cpu_ratio: ratio(self.cpu_ratio),
            memory_used_ratio: ratio(self.memory_used_ratio),
            disk_used_ratio: ratio(self.disk_used_ratio),
            // Below any climate chamber, above any chip.
            temperature_celsius: self.temperature_celsius.filter(|t| (-100.0..=200.0).contains(t)),
        }
    }
}

impl Payload<'_> for Heartbeat {
    fn settle(&mut self) -> Result<(), PayloadError> {
        check_range("interval_s", self.interval_s, &HEARTBEAT_INTERVAL_S)?;
        let numbers = [
            ("seq", self.seq),
            ("mono_ms", self.mono_ms),
            ("uptime_s", self.uptime_s),
            ("journal.last_seq", self.journal.last_seq),
            ("journal.pending", self.journal.pending),
        ];
        numbers.into_iter().try_for_each(|(field, number)| check_number(field, number))?;
        check_peripherals(&self.peripherals)?;
        self.host = self.host.plausible();
        Ok(())
    }
}

/// The same limits for the state in a heartbeat and in a snapshot.
pub(crate) fn check_peripherals(
    peripherals: &BTreeMap<PeripheralName, PeripheralState>,
) -> Result<(), PayloadError> {
    let devices = peripherals.keys().filter(|name| !name.is_host()).count();
    check_count("peripherals", devices, MAX_PERIPHERALS)?;
    peripherals.values().try_for_each(|p| check_count("faults", p.faults.len(), MAX_FAULTS_PER_PERIPHERAL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_payload;

    fn json(interval_s: u32, extra: &str) -> String {
        let id = "6f1c0d9e-0000-4000-8000-000000000001";
        format!(
            r#"{{"boot":"{id}","session":"{id}","seq":1,"at":"2026-11-21T08:00:00.123Z","mono_ms":7,"interval_s":{interval_s},"uptime_s":1,"service":"in_service","journal":{{"epoch":"{id}","last_seq":0,"pending":0}}{extra}}}"#
        )
    }

    #[test]
    fn an_interval_nobody_can_wait_for_is_refused() {
        for (interval_s, good) in [(0, false), (1, true), (30, true), (3600, true), (3601, false)] {
            let text = json(interval_s, "");
            assert_eq!(parse_payload::<Heartbeat>(text.as_bytes()).is_ok(), good, "{interval_s}");
        }
    }

    #[test]
    fn too_many_peripherals_are_refused() {
        let with = |count: usize| {
            let list: Vec<String> = (0..count).map(|n| format!(r#""p{n}":{{"status":"online"}}"#)).collect();
            json(30, &format!(r#","peripherals":{{{}}}"#, list.join(",")))
        };
        assert!(parse_payload::<Heartbeat>(with(MAX_PERIPHERALS).as_bytes()).is_ok());
        let error = parse_payload::<Heartbeat>(with(MAX_PERIPHERALS + 1).as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "peripherals: 65 are more than 64");
    }

    #[test]
    fn the_terminal_itself_is_none_of_its_peripherals() {
        let list: Vec<String> =
            (0..MAX_PERIPHERALS).map(|n| format!(r#""p{n}":{{"status":"online"}}"#)).collect();
        let text =
            json(30, &format!(r#","peripherals":{{"host":{{"status":"online"}},{}}}"#, list.join(",")));
        assert!(parse_payload::<Heartbeat>(text.as_bytes()).is_ok());
    }

    #[test]
    fn a_broken_sensor_costs_its_value_and_not_the_heartbeat() {
        let text =
            json(30, r#","host":{"cpu_ratio":1.5,"memory_used_ratio":0.5,"temperature_celsius":-273.0}"#);
        let host = parse_payload::<Heartbeat>(text.as_bytes()).unwrap().host;
        assert_eq!(host, HostLoad { memory_used_ratio: Some(0.5), ..HostLoad::default() });
    }
}
