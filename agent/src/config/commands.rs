//! `[commands]`: whose signatures move this kiosk, and the programs behind the actions of the host.
use kioskwatch_proto::command::TrustedKey;

use super::{ConfigError, Section};

#[derive(Debug, Clone, Default)]
pub struct Commands {
    pub keys: Vec<TrustedKey>,
    /// As they were written, for `check-config`: public keys are no secret.
    pub key_texts: Vec<String>,
    /// Program and arguments; empty: the action is not supported here.
    pub restart_application: Vec<String>,
    pub reboot: Vec<String>,
    /// Where `ping_network` may connect to, as `host:port`; empty: only the broker.
    pub ping_targets: Vec<String>,
    /// Program and arguments that print the log's last lines.
    pub read_log: Vec<String>,
}

impl Commands {
    pub(super) fn read(mut section: Section) -> Result<Self, ConfigError> {
        const KEYS: &str =
            "a list of key_id:base64url Ed25519 public keys is right, as the server prints them";
        const PROGRAM: &str = "a list of a program's path and its arguments is right";
        let mut commands = Self::default();
        if let Some(found) = section.take::<Vec<String>>("keys", KEYS)? {
            for text in &found.value {
                let key = text.parse().map_err(|e| section.wrong(&found.place, "keys", e, KEYS))?;
                commands.keys.push(key);
            }
            commands.key_texts = found.value;
        }
        commands.restart_application = section.or("restart_application", PROGRAM, Vec::new())?;
        commands.reboot = section.or("reboot", PROGRAM, Vec::new())?;
        commands.ping_targets = section.or("ping_targets", "a list of host:port is right", Vec::new())?;
        commands.read_log = section.or("read_log", PROGRAM, Vec::new())?;
        section.finish()?;
        Ok(commands)
    }
}
