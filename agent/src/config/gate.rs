//! `[gate]`: who vouches that nobody's money or card is in the machine.
use kioskwatch_agent_core::config::{ApplicationGate, DEFAULT_APPLICATION_DOWN_AFTER_MS};
use serde::Deserialize;

use super::Section;

#[derive(Debug, Clone, Copy)]
pub struct Gate {
    pub application: ApplicationGate,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Application {
    Required,
    None,
}

impl Gate {
    pub(super) fn read(mut section: Section) -> Self {
        const RIGHT: &str = "\"required\" is right where a kiosk application runs, \"none\" where none does";
        let application = section.or("application", RIGHT, Application::Required);
        let down_after_ms = section.seconds("application_down_after_s", 5.0..=3600.0);
        section.finish();
        let application = match application {
            Application::Required => ApplicationGate::Required {
                down_after_ms: down_after_ms.unwrap_or(DEFAULT_APPLICATION_DOWN_AFTER_MS),
            },
            Application::None => ApplicationGate::None,
        };
        Self { application }
    }

    /// Whether a kiosk application is expected.
    pub fn expects_application(&self) -> bool {
        matches!(self.application, ApplicationGate::Required { .. })
    }
}
