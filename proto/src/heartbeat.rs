//! "I am alive": cheap, QoS 0, never a record of its own.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    BootId, Epoch, PeripheralName, SessionId, Timestamp,
    faults::FaultCode,
    words::{PeripheralStatus, ServiceState},
};

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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeripheralState {
    pub status: PeripheralStatus,
    #[serde(default)]
    pub faults: Vec<FaultCode>,
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
