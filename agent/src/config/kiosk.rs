//! `[kiosk]`: which terminal this is.
use std::path::PathBuf;

use kioskwatch_agent_core::config::DEFAULT_HEARTBEAT_INTERVAL_S;
use kioskwatch_proto::{KioskId, limits::HEARTBEAT_INTERVAL_S};

use super::Section;
use crate::clock::KERNEL_BOOT_ID;

#[derive(Debug, Clone)]
pub struct Kiosk {
    pub id: KioskId,
    pub heartbeat_interval_s: u32,
    /// Names the present run of the machine.
    pub boot_id_file: PathBuf,
    /// IANA zone of the terminal's wall clock; told in the inventory.
    pub timezone: Option<String>,
}

impl Kiosk {
    pub(super) fn read(mut section: Section) -> Option<Self> {
        const ID: &str = "give the id this terminal has in the register, 1 to 64 letters, digits, `_` or `-`";
        const ZONE: &str = "an IANA name like Asia/Shanghai is right";
        let id = section.need("id", ID);
        let zone = section.take::<String>("timezone", ZONE);
        if let Some(found) = &zone
            && found.value.parse::<chrono_tz::Tz>().is_err()
        {
            let what = format!("there is no time zone {:?}", found.value);
            section.wrong(&found.place, "timezone", what, ZONE);
        }
        let heartbeat_interval_s =
            section.within("heartbeat_interval_s", HEARTBEAT_INTERVAL_S, DEFAULT_HEARTBEAT_INTERVAL_S);
        let boot_id_file = section.or("boot_id_file", "a path is right", PathBuf::from(KERNEL_BOOT_ID));
        section.finish();
        let timezone = zone.map(|found| found.value);
        Some(Self { id: id?.value, heartbeat_interval_s, boot_id_file, timezone })
    }
}
