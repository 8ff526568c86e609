//! `[commands]`: whose signatures move this kiosk.
use kioskwatch_proto::command::TrustedKey;

use super::Section;

#[derive(Debug, Clone, Default)]
pub struct Commands {
    pub keys: Vec<TrustedKey>,
    /// As they were written, for `check-config`: public keys are no secret.
    pub key_texts: Vec<String>,
}

impl Commands {
    pub(super) fn read(mut section: Section) -> Self {
        const KEYS: &str =
            "a list of key_id:base64url Ed25519 public keys is right, as the server prints them";
        let mut commands = Self::default();
        if let Some(found) = section.take::<Vec<String>>("keys", KEYS) {
            for text in &found.value {
                match text.parse() {
                    Ok(key) => commands.keys.push(key),
                    Err(error) => section.wrong(&found.place, "keys", error, KEYS),
                }
            }
            commands.key_texts = found.value;
        }
        section.finish();
        commands
    }
}
