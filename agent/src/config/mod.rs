//! The agent's configuration: one TOML file, overridden key by key from the environment.
//!
//! Every section is a file here and lists its keys, defaults and limits. What is wrong is told with file and
//! line (or variable), key, and what would be right. Nothing outside this folder knows a key's name.
mod commands;
mod gate;
mod journal;
mod kiosk;
mod local_api;
mod log;
mod mqtt;
mod peripheral;
mod section;
mod show;
mod source;
#[cfg(test)]
mod tests;

use std::{fmt, path::Path};

pub use self::{
    commands::Commands,
    gate::Gate,
    journal::Journal,
    kiosk::Kiosk,
    local_api::LocalApi,
    log::Log,
    mqtt::{Endpoint, Mqtt, Tls},
    peripheral::Peripheral,
    source::Environment,
};
use self::{section::Section, source::Source};

/// The complete, commented sample that ships with the agent.
pub const SAMPLE: &str = include_str!("../../sample.toml");
/// Every override in the environment begins so: `KIOSKWATCH__SECTION__KEY`.
pub const ENV_PREFIX: &str = "KIOSKWATCH__";

/// The checked configuration of one agent.
#[derive(Debug, Clone)]
pub struct Config {
    pub kiosk: Kiosk,
    pub gate: Gate,
    pub mqtt: Mqtt,
    pub journal: Journal,
    pub local_api: LocalApi,
    pub commands: Commands,
    pub log: Log,
    pub peripherals: Vec<Peripheral>,
    /// Overrides in the environment that mean nothing to an agent: worth a log line, no error, because the
    /// server's share their prefix.
    pub unused: Vec<String>,
}

/// What is wrong with the configuration, where, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("reading the configuration {path}")]
    Read { path: String, source: std::io::Error },
    #[error("{place}: {what}")]
    Syntax { place: String, what: String },
    #[error("{place}: {key}: {what}; {right}")]
    Value { place: String, key: String, what: String, right: String },
    #[error("{place}: {key} is missing; {right}")]
    Missing { place: String, key: String, right: String },
    #[error("{place}: {key} is no key of the agent; {right}")]
    Unknown { place: String, key: String, right: String },
}

/// Everything that is wrong with it, a line each.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.first().filter(|_| self.0.len() == 1)?.source()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl ConfigError {
    /// Of the file; what has none comes first.
    fn line(&self) -> usize {
        let place = match self {
            Self::Read { .. } => return 0,
            Self::Syntax { place, .. }
            | Self::Value { place, .. }
            | Self::Missing { place, .. }
            | Self::Unknown { place, .. } => place,
        };
        place.rsplit(':').next().and_then(|line| line.parse().ok()).unwrap_or(0)
    }
}

/// A sentence about a file that a key names, `[mqtt] ca_file: …`, with the place of the key before it.
pub fn placed(file: Option<&Path>, sentence: &str) -> String {
    let Some(path) = file else { return format!("the environment: {sentence}") };
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let (section, key) =
        sentence.split_once(':').and_then(|(key, _)| key.split_once(' ')).unwrap_or_default();
    let mut current = "";
    for (index, line) in text.lines().map(str::trim).enumerate() {
        if line.starts_with('[') {
            current = line;
        } else if current == section && line.split('=').next().is_some_and(|name| name.trim() == key) {
            return format!("{}:{}: {sentence}", path.display(), index + 1);
        }
    }
    format!("{}: {sentence}", path.display())
}

/// Reads file and environment. Without a file, the environment alone must name the required keys.
pub fn load(file: Option<&Path>, environment: Environment) -> Result<Config, ConfigErrors> {
    let (name, text) = match file {
        Some(path) => {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: name.clone(), source })?;
            (name, text)
        }
        None => ("the environment".to_owned(), String::new()),
    };
    parse(&name, &text, environment)
}

/// As [`load`], of a text that is already read; `name` stands for the file in errors.
pub fn parse(name: &str, text: &str, environment: Environment) -> Result<Config, ConfigErrors> {
    let mut source = Source::parse(name, text, environment)?;
    let gate = Gate::read(source.section("gate"));
    let kiosk = Kiosk::read(source.section("kiosk"));
    let mqtt = Mqtt::read(source.section("mqtt"));
    let journal = Journal::read(source.section("journal"));
    let local_api = LocalApi::read(source.section("local_api"), &gate);
    let commands = Commands::read(source.section("commands"));
    let log = Log::read(source.section("log"));
    let peripherals = peripheral::read_all(source.tables("peripheral"), &gate);
    match (kiosk, mqtt, source.findings()) {
        (Some(kiosk), Some(mqtt), findings) if findings.is_empty() => {
            let unused = source.unused();
            Ok(Config { kiosk, gate, mqtt, journal, local_api, commands, log, peripherals, unused })
        }
        (.., findings) => Err(ConfigErrors(findings)),
    }
}
