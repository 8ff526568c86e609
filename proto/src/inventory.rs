//! What a kiosk is made of: retained, sent at every start of the agent.
use serde::{Deserialize, Serialize};

use crate::{BootId, Epoch, PeripheralName, words::PortMode};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    pub agent_version: String,
    pub os: String,
    pub boot: BootId,
    pub epoch: Epoch,
    /// IANA zone of the terminal's wall clock, when it knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    pub config_hash: String,
    pub peripherals: Vec<InventoryItem>,
    /// The actions this agent accepts.
    pub actions: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryItem {
    pub name: PeripheralName,
    /// printer, bill_acceptor, ups, card_unit …: for grouping, not for logic.
    pub kind: String,
    pub driver: String,
    pub mode: PortMode,
    /// Without it the kiosk is out of service.
    pub required: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
}
