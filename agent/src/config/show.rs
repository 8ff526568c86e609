//! The effective configuration as TOML: what `check-config` prints. It holds names of files, never secrets.
use std::fmt::{self, Display, Write as _};

use kioskwatch_agent_core::config::ApplicationGate;
use sha2::{Digest as _, Sha256};

use super::Config;

/// A text as TOML writes it.
fn quoted(text: impl Display) -> toml::Value {
    toml::Value::String(text.to_string())
}

fn list(items: &[String]) -> toml::Value {
    toml::Value::Array(items.iter().map(quoted).collect())
}

fn seconds(ms: u64) -> String {
    if ms.is_multiple_of(1000) { (ms / 1000).to_string() } else { format!("{}.{:03}", ms / 1000, ms % 1000) }
}

impl Config {
    /// Tells the server whether two kiosks, or yesterday and today, have the same configuration.
    pub fn hash(&self) -> String {
        hex::encode(&Sha256::digest(self.to_string())[..8])
    }
}

impl Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[kiosk]\nid = {}", quoted(&self.kiosk.id))?;
        writeln!(f, "heartbeat_interval_s = {}", self.kiosk.heartbeat_interval_s)?;
        writeln!(f, "boot_id_file = {}", quoted(self.kiosk.boot_id_file.display()))?;
        if let Some(zone) = &self.kiosk.timezone {
            writeln!(f, "timezone = {}", quoted(zone))?;
        }
        match self.gate.application {
            ApplicationGate::Required { down_after_ms } => {
                writeln!(f, "\n[gate]\napplication = \"required\"")?;
                writeln!(f, "application_down_after_s = {}", seconds(down_after_ms))?;
            }
            ApplicationGate::None => writeln!(f, "\n[gate]\napplication = \"none\"")?,
        }
        self.show_mqtt(f)?;
        writeln!(f, "\n[journal]\npath = {}", quoted(self.journal.path.display()))?;
        writeln!(f, "keep_acked_h = {}", self.journal.keep_acked_h)?;
        writeln!(f, "max_bytes = {}", self.journal.max_bytes)?;
        writeln!(f, "tick_s = {}", seconds(self.journal.tick_ms))?;
        writeln!(f, "\n[local_api]")?;
        match &self.local_api.socket {
            Some(socket) => writeln!(f, "socket = {}", quoted(socket.display()))?,
            None => writeln!(f, "# no local interface")?,
        }
        writeln!(f, "\n[commands]\nkeys = {}", list(&self.commands.key_texts))?;
        writeln!(f, "\n[log]\nlevel = {}", quoted(&self.log.level))?;
        self.show_peripherals(f)
    }
}

impl Config {
    fn show_mqtt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mqtt = &self.mqtt;
        writeln!(f, "\n[mqtt]\nurl = {}", quoted(&mqtt.endpoint))?;
        let files = [
            ("ca_file", &mqtt.tls.ca_file),
            ("cert_file", &mqtt.tls.cert_file),
            ("key_file", &mqtt.tls.key_file),
            ("password_file", &mqtt.password_file),
        ];
        for (key, path) in files {
            if let Some(path) = path {
                writeln!(f, "{key} = {}", quoted(path.display()))?;
            }
        }
        if let Some(name) = &mqtt.username {
            writeln!(f, "username = {}", quoted(name))?;
        }
        writeln!(f, "keep_alive_s = {}", mqtt.keep_alive_s)?;
        writeln!(f, "connect_timeout_s = {}", mqtt.connect_timeout_s)?;
        writeln!(f, "reconnect_max_s = {}", seconds(mqtt.reconnect_max_ms))?;
        writeln!(f, "stalled_after_s = {}", seconds(mqtt.stalled_after_ms))
    }

    fn show_peripherals(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for peripheral in &self.peripherals {
            let core = &peripheral.core;
            writeln!(f, "\n[[peripheral]]\nname = {}\nkind = {}", quoted(&core.name), quoted(&core.kind))?;
            writeln!(f, "driver = {}\nmode = {}", quoted(&core.driver), quoted(core.mode))?;
            if let Some(port) = &peripheral.port {
                writeln!(f, "port = {}\nbaud = {}", quoted(port.display()), peripheral.line.baud)?;
            }
            if let Some(port) = &peripheral.application_port {
                writeln!(f, "application_port = {}", quoted(port.display()))?;
            }
            writeln!(f, "required = {}\nguards_valuables = {}", core.required, core.guards_valuables)?;
            writeln!(f, "probe_interval_s = {}", seconds(core.probe_interval_ms))?;
            writeln!(f, "confirm_probes = {}", core.confirm_probes)?;
            writeln!(f, "confirm_interval_s = {}", seconds(core.confirm_interval_ms))?;
            writeln!(f, "stale_after_s = {}", seconds(core.stale_after_ms))?;
            let mut options = String::new();
            for (key, value) in &peripheral.options {
                // What came out of TOML goes back into it.
                let value = toml::Value::try_from(value).map_err(|_| fmt::Error)?;
                writeln!(options, "{key} = {value}")?;
            }
            f.write_str(&options)?;
        }
        Ok(())
    }
}
