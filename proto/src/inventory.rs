//! What a kiosk is made of: retained, sent at every start of the agent.
use serde::{Deserialize, Serialize};

use crate::{
    BootId, Epoch, PeripheralName,
    limits::MAX_PERIPHERALS,
    payload::{Payload, PayloadError, check_count},
    text::{clean, clean_option},
    words::PortMode,
};

/// Program, system and devices of one kiosk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    pub agent_version: String,
    pub os: String,
    pub boot: BootId,
    pub epoch: Epoch,
    /// IANA zone of the terminal's wall clock, when it knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Of the agent's effective configuration: two kiosks set up alike show the same.
    pub config_hash: String,
    pub peripherals: Vec<InventoryItem>,
    /// The actions this agent accepts.
    pub actions: Vec<String>,
}

/// One configured peripheral, and what it told about itself.
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

impl Payload<'_> for Inventory {
    fn settle(&mut self) -> Result<(), PayloadError> {
        check_count("peripherals", self.peripherals.len(), MAX_PERIPHERALS)?;
        for (position, item) in self.peripherals.iter().enumerate() {
            if self.peripherals[..position].iter().any(|other| other.name == item.name) {
                return Err(PayloadError::field(
                    "peripherals",
                    format_args!("{} stands there twice", item.name),
                ));
            }
        }
        for text in [&mut self.agent_version, &mut self.os, &mut self.config_hash] {
            clean(text);
        }
        clean_option(&mut self.timezone);
        self.actions.iter_mut().for_each(clean);
        for item in &mut self.peripherals {
            clean(&mut item.kind);
            clean(&mut item.driver);
            for text in [&mut item.model, &mut item.firmware, &mut item.serial] {
                clean_option(text);
            }
        }
        Ok(())
    }
}
