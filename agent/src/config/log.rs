//! `[log]`: how much the agent tells on standard error.
use tracing::level_filters::LevelFilter;

use super::Section;

#[derive(Debug, Clone)]
pub struct Log {
    /// A level, or directives like `info,kioskwatch_agent::mqtt=debug`.
    pub level: String,
}

impl Log {
    pub(super) fn read(mut section: Section) -> Self {
        const RIGHT: &str =
            "error, warn, info, debug or trace is right, or directives like info,rumqttc=debug";
        let found = section.take::<String>("level", RIGHT);
        let level = match found {
            Some(found) => {
                if let Some(bad) = found.value.split(',').find(|part| !is_directive(part)) {
                    section.wrong(&found.place, "level", format!("{bad:?} is no level"), RIGHT);
                }
                found.value
            }
            None => "info".to_owned(),
        };
        section.finish();
        Self { level }
    }
}

fn is_directive(part: &str) -> bool {
    let (target, level) = part.split_once('=').unwrap_or(("all", part));
    !target.is_empty() && level.parse::<LevelFilter>().is_ok()
}
