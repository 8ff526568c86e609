//! The server's configuration: one TOML file, every key also as `KIOSKWATCH__SECTION__KEY`.
//!
//! A file is checked whole before anything starts; what is refused is named by file, line and key, with what
//! would be right. Keys live here and nowhere else.
mod layers;
mod sections;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use layers::{ConfigError, ConfigErrors};
pub use sections::*;

/// The complete, commented sample: `kioskwatch-server config sample`.
pub const SAMPLE: &str = include_str!("../../sample.toml");

/// Environment variables with this prefix override keys: `KIOSKWATCH__HTTP__LISTEN`.
pub const ENV_PREFIX: &str = "KIOSKWATCH__";

/// The checked configuration of a server.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub struct Config {
    pub storage: Storage,
    pub database: Database,
    pub mqtt: Mqtt,
    pub flood: Flood,
    pub http: Http,
    pub monitoring: Monitoring,
    pub fleet: FleetSection,
    pub presence: Presence,
    pub uptime: Uptime,
    pub retention: Retention,
    pub tickets: Tickets,
    pub inspection: Inspection,
    pub commands: Commands,
    pub calendars: Calendars,
    pub faults: Faults,
    pub console: Console,
}

impl Config {
    /// Reads a file (or none) and the environment, and checks the whole.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigErrors> {
        let text = match path {
            Some(path) => Some((
                path.display().to_string(),
                std::fs::read_to_string(path)
                    .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?,
            )),
            None => None,
        };
        let env = std::env::vars().filter(|(name, _)| name.starts_with(ENV_PREFIX));
        Self::from_parts(text.as_ref().map(|(name, text)| (name.as_str(), text.as_str())), env)
    }

    /// The same from values, for tests and embedders.
    pub fn from_parts(
        file: Option<(&str, &str)>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let (config, mut errors) = layers::read::<Self>(file, env, ENV_PREFIX);
        let wrong = config.iter().flat_map(Self::check);
        errors.extend(wrong.map(|(key, problem)| layers::blame(file, &key, problem)));
        errors.sort_by_key(ConfigError::line);
        config.filter(|_| errors.is_empty()).ok_or(ConfigErrors(errors))
    }

    /// What types alone do not hold: ranges, urls, files that belong together.
    fn check(&self) -> Vec<(String, String)> {
        let mut wrong = Vec::new();
        let mut say = |key: &str, problem: String| wrong.push((key.to_owned(), problem));
        if let Err(problem) = self.mqtt.address() {
            say("mqtt.url", problem);
        }
        let inspection = &self.inspection;
        let ranges: [(&str, u64, std::ops::RangeInclusive<u64>); 27] = [
            ("presence.missed_heartbeats", u64::from(self.presence.missed_heartbeats), 2..=100),
            ("presence.site_hold_s", self.presence.site_hold_s, 0..=3_600),
            ("presence.settle_s", self.presence.settle_s, 0..=3_600),
            // A month is signed within the next one.
            ("uptime.freeze_hours", self.uptime.freeze_hours, 0..=27 * 24),
            ("uptime.planned_notice_h", self.uptime.planned_notice_h, 0..=31 * 24),
            // A month is restated from its evidence.
            ("uptime.keep_evidence_months", self.uptime.keep_evidence_months, 3..=1_200),
            // Not beyond the months that the bookkeeper looks at again.
            ("uptime.restate_days", self.uptime.restate_days, 1..=58),
            ("retention.records_months", self.retention.records_months, 3..=1_200),
            // Fault statistics of a year.
            ("retention.tickets_months", self.retention.tickets_months, 12..=1_200),
            ("tickets.recover_hold_s", self.tickets.recover_hold_s, 0..=7 * 86_400),
            ("tickets.quiet_h", self.tickets.quiet_h, 0..=31 * 24),
            ("tickets.reopen_days", self.tickets.reopen_days, 0..=60),
            ("tickets.batch_kiosks", self.tickets.batch_kiosks, 2..=1_000),
            // Below what an honest agent sends, its journal would crawl and it would be called a flood.
            ("flood.messages_per_s", u64::from(self.flood.messages_per_s), 5..=1_000_000),
            ("flood.message_burst", u64::from(self.flood.message_burst), 20..=1_000_000),
            ("flood.kib_per_s", u64::from(self.flood.kib_per_s), 256..=1_048_576),
            // One message of the largest size must fit.
            ("flood.kib_burst", u64::from(self.flood.kib_burst), 256..=1_048_576),
            ("http.max_sse", self.http.max_sse as u64, 1..=100_000),
            ("commands.default_valid_s", self.commands.default_valid_s, 10..=600),
            ("fleet.sweep_interval_ms", self.fleet.sweep_interval_ms, 50..=60_000),
            // A day that a month does not have is its last one.
            ("inspection.phone_start_day", inspection.phone_start_day.into(), 1..=31),
            ("inspection.phone_days", inspection.phone_days.into(), 1..=31),
            ("inspection.phone_report_day", inspection.phone_report_day.into(), 1..=31),
            (
                "inspection.onsite_start_month_of_quarter",
                inspection.onsite_start_month_of_quarter.into(),
                1..=3,
            ),
            ("inspection.onsite_start_day", inspection.onsite_start_day.into(), 1..=31),
            ("inspection.onsite_days", inspection.onsite_days.into(), 1..=31),
            ("inspection.onsite_report_day", inspection.onsite_report_day.into(), 1..=31),
        ];
        for (key, value, allowed) in ranges {
            if !allowed.contains(&value) {
                say(
                    key,
                    format!("{value} is out of range: expected {} to {}", allowed.start(), allowed.end()),
                );
            }
        }
        let [met, of] = self.uptime.target;
        if met == 0 || met > of || i64::try_from(of).is_err() {
            let problem =
                format!("[{met}, {of}] is no share: expected [a, b] with 0 < a <= b, such as [99, 100]");
            say("uptime.target", problem);
        }
        let url = &self.database.url;
        if !url.is_empty() && !url.starts_with("sqlite:") && !url.starts_with("postgres") {
            let problem =
                "expected sqlite://path, postgres://user@host/name, or nothing for SQLite in data_dir";
            say("database.url", problem.to_owned());
        }
        if self.console.timezone.parse::<chrono_tz::Tz>().is_err() {
            let problem = format!("{:?} is no IANA time zone such as Asia/Shanghai", self.console.timezone);
            say("console.timezone", problem);
        }
        let broker = (self.mqtt.url == "embedded").then_some(("mqtt.listen", self.mqtt.listen));
        let doors = [("http.listen", self.http.listen), ("monitoring.listen", self.monitoring.listen)];
        let doors: Vec<_> = doors.into_iter().chain(broker).filter(|(_, at)| at.port() != 0).collect();
        for (place, (key, at)) in doors.iter().enumerate() {
            if let Some((other, _)) = doors[..place].iter().find(|(_, earlier)| earlier == at) {
                say(key, format!("{at} is taken already by {other}"));
            }
        }
        if self.console.open_access && !self.http.listen.ip().is_loopback() {
            let problem = "open access is for demos: [http] listen must then be a loopback address";
            say("console.open_access", problem.to_owned());
        }
        wrong
    }

    /// `[database] url`, or SQLite in the data directory.
    pub fn database_url(&self) -> String {
        if self.database.url.is_empty() {
            format!("sqlite://{}", self.storage.data_dir.join("kioskwatch.sqlite").display())
        } else {
            self.database.url.clone()
        }
    }

    /// The file of the command-signing secret.
    pub fn signing_key_file(&self) -> PathBuf {
        self.commands
            .signing_key_file
            .clone()
            .unwrap_or_else(|| self.storage.data_dir.join("command-signing.key"))
    }

    /// The effective configuration as TOML, with passwords in urls blanked.
    pub fn redacted(&self) -> String {
        let mut shown = self.clone();
        shown.database.url = blank_password(&shown.database.url);
        shown.mqtt.url = blank_password(&shown.mqtt.url);
        toml::to_string_pretty(&shown).unwrap_or_else(|e| format!("# {e}"))
    }
}

/// A sentence about a file that a key names, `[mqtt] ca_file: …`, with the place of the key before it.
pub fn placed(path: Option<&Path>, sentence: &str) -> String {
    let Some(path) = path else { return sentence.to_owned() };
    let key = sentence.split_once(':').map_or("", |(key, _)| key);
    let key = key.trim_start_matches('[').replacen("] ", ".", 1);
    let text = std::fs::read_to_string(path).unwrap_or_default();
    match layers::line_of(&text, &key) {
        Some(line) => format!("{}:{line}: {sentence}", path.display()),
        None => format!("{}: {sentence}", path.display()),
    }
}

/// `scheme://user:secret@host` with the secret replaced.
pub fn blank_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority_end = rest.find('/').unwrap_or(rest.len());
    let Some(at) = rest[..authority_end].rfind('@') else { return url.to_owned() };
    match rest[..at].split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***{}", &rest[at..]),
        None => url.to_owned(),
    }
}
