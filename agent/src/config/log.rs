//! `[log]`: how much the agent tells on standard error.
use super::{ConfigError, Section};

#[derive(Debug, Clone)]
pub struct Log {
    /// A level, or directives like `info,kioskwatch_agent::mqtt=debug`.
    pub level: String,
}

impl Log {
    pub(super) fn read(mut section: Section) -> Result<Self, ConfigError> {
        const RIGHT: &str =
            "error, warn, info, debug or trace is right, or directives like info,rumqttc=debug";
        let found = section.take::<String>("level", RIGHT)?;
        let level = match found {
            Some(found) => {
                if let Err(error) = found.value.parse::<tracing_subscriber::EnvFilter>() {
                    return Err(section.wrong(&found.place, "level", error, RIGHT));
                }
                found.value
            }
            None => "info".to_owned(),
        };
        section.finish()?;
        Ok(Self { level })
    }
}
