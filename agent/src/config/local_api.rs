//! `[local_api]`: where the kiosk application reaches the agent.
use std::path::PathBuf;

use super::{Gate, Section};

#[derive(Debug, Clone)]
pub struct LocalApi {
    /// Absent: no local interface.
    pub socket: Option<PathBuf>,
}

/// Longest path of a Unix socket, without the ending zero.
const MAX_SOCKET_PATH: usize = 107;

impl LocalApi {
    pub(super) fn read(mut section: Section, gate: &Gate) -> Self {
        const RIGHT: &str = "the path of a Unix socket of at most 107 bytes is right";
        let found = section.take::<PathBuf>("socket", RIGHT);
        let socket = match found {
            Some(found) if found.value.as_os_str().len() > MAX_SOCKET_PATH => {
                section.wrong(&found.place, "socket", "the path is too long", RIGHT);
                None
            }
            Some(found) => Some(found.value),
            None => gate.expects_application().then(|| PathBuf::from("/run/kioskwatch-agent/local.sock")),
        };
        section.finish();
        Self { socket }
    }
}
