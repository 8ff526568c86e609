//! Payloads of the agent's local interface for the kiosk application.
use serde::{Deserialize, Serialize};

use crate::{
    PeripheralName, Timestamp,
    faults::FaultCode,
    journal::{FaultDetail, TransactionOutcome},
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
    #[serde(default)]
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
