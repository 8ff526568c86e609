//! Payloads of the agent's local interface for the kiosk application.
//!
//! Unlike on MQTT, unknown fields are refused: the application's developer reads the answer and mends the typo.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    BootId, KioskId, PeripheralName, Timestamp,
    faults::FaultCode,
    heartbeat::{JournalHead, PeripheralState},
    journal::{FaultDetail, TransactionOutcome},
    limits::{BUSY_VALID_S, LEASE_S, MAX_FAULTS_PER_PERIPHERAL, PUSHED_VALID_S},
    payload::{Payload, PayloadError, check_count, check_number, check_range},
    text::{clean, clean_option},
    words::{PeripheralStatus, ServiceState},
};

/// `PUT /v1/peripherals/{name}`: what the application knows of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushedPeripheral {
    pub status: PeripheralStatus,
    #[serde(default)]
    pub faults: Vec<PushedFault>,
    /// When the application learned it.
    pub at: Timestamp,
    /// How long it may be believed.
    pub valid_for_s: u32,
}

/// One fault of a pushed peripheral.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushedFault {
    pub code: FaultCode,
    #[serde(default)]
    pub detail: FaultDetail,
}

/// `PUT /v1/service`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushedService {
    pub state: ServiceState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// `POST /v1/transactions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushedTransaction {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub outcome: TransactionOutcome,
    pub duration_ms: u64,
}

/// `PUT /v1/busy`: facts that gate commands. Expired or absent means unsafe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Busy {
    pub transaction: bool,
    pub escrow: bool,
    pub card: bool,
    pub door: bool,
    /// 1 … 10.
    pub valid_for_s: u32,
}

/// `POST /v1/grants/{request}`: the application's answer to a request to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    pub granted: bool,
    /// How long the grant holds unless taken back.
    #[serde(default)]
    pub valid_for_s: u32,
}

/// One event of `GET /v1/requests`: the agent asks the application to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRequest {
    pub request: String,
    pub action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peripheral: Option<PeripheralName>,
    /// The longest time the action takes.
    pub seconds: u32,
    pub not_after: Timestamp,
}

/// `POST /v1/leases`: the application lends its port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    pub peripheral: PeripheralName,
    pub seconds: u32,
}

/// The answer to a [`LeaseRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Names it in `DELETE /v1/leases/{id}`.
    pub id: String,
    pub peripheral: PeripheralName,
    /// The agent has let go of the port by then, whatever happens.
    pub until: Timestamp,
}

/// The answer to `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatus {
    pub kiosk: KioskId,
    pub agent_version: String,
    pub boot: BootId,
    pub service: ServiceState,
    /// Whether the broker is connected.
    pub connected: bool,
    /// When the server last acknowledged a record; absent until it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_at: Option<Timestamp>,
    pub journal: JournalHead,
    pub peripherals: BTreeMap<PeripheralName, PeripheralState>,
}

impl Payload<'_> for PushedPeripheral {
    fn settle(&mut self) -> Result<(), PayloadError> {
        check_range("valid_for_s", self.valid_for_s, &PUSHED_VALID_S)?;
        check_count("faults", self.faults.len(), MAX_FAULTS_PER_PERIPHERAL)?;
        self.faults.iter_mut().for_each(|f| f.detail.clean());
        Ok(())
    }
}

impl Payload<'_> for PushedService {
    fn settle(&mut self) -> Result<(), PayloadError> {
        clean_option(&mut self.cause);
        Ok(())
    }
}

impl Payload<'_> for PushedTransaction {
    fn settle(&mut self) -> Result<(), PayloadError> {
        clean(&mut self.id);
        clean(&mut self.kind);
        check_number("duration_ms", self.duration_ms)
    }
}

impl Payload<'_> for Busy {
    fn settle(&mut self) -> Result<(), PayloadError> {
        check_range("valid_for_s", self.valid_for_s, &BUSY_VALID_S)
    }
}

impl Payload<'_> for Grant {}

impl Payload<'_> for HoldRequest {}

impl Payload<'_> for LeaseRequest {
    fn settle(&mut self) -> Result<(), PayloadError> {
        check_range("seconds", self.seconds, &LEASE_S)
    }
}

impl Payload<'_> for Lease {}

impl Payload<'_> for AgentStatus {}
