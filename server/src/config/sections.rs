//! The sections of the configuration and their defaults.
use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::mqtt::{Allowance, BrokerAddress, Bucket, TlsFiles};

/// `[storage]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// Everything the server writes: the SQLite file, its lock, the signing key.
    pub data_dir: PathBuf,
}

impl Default for Storage {
    fn default() -> Self {
        Self { data_dir: "/var/lib/kioskwatch".into() }
    }
}

/// `[database]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `sqlite://path`, `postgres://user@host/name`, or empty for SQLite in `data_dir`.
    pub url: String,
}

/// `[mqtt]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mqtt {
    /// `embedded`, `mqtt://host:port`, `mqtts://host:port`.
    pub url: String,
    /// Address of the embedded broker.
    pub listen: SocketAddr,
    pub user: Option<String>,
    pub password_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// Prefix of this server's client ids.
    pub client_id: String,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            url: "embedded".to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 1883)),
            user: None,
            password_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            client_id: "kioskwatch-server".to_owned(),
        }
    }
}

impl Mqtt {
    pub fn is_embedded(&self) -> bool {
        self.url == "embedded"
    }

    /// Where to connect; for the embedded broker its own listen address.
    pub fn address(&self) -> Result<BrokerAddress, String> {
        let wrong = || "expected embedded, mqtt://host:port or mqtts://host:port".to_owned();
        let password_file = self.password_file.clone();
        let user = self.user.clone();
        if self.is_embedded() {
            let (host, port) = (self.listen.ip().to_string(), self.listen.port());
            return Ok(BrokerAddress { host, port, tls: None, user, password_file });
        }
        let (scheme, rest) = self.url.split_once("://").ok_or_else(wrong)?;
        let (secure, default_port) = match scheme {
            "mqtt" => (false, 1883),
            "mqtts" => (true, 8883),
            _ => return Err(wrong()),
        };
        let rest = rest.trim_end_matches('/');
        if rest.contains('@') {
            return Err(
                "put the user into [mqtt] user and the password into a file named by password_file".into()
            );
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
            _ => (rest, default_port),
        };
        if host.is_empty() {
            return Err(wrong());
        }
        let tls = if secure {
            let ca =
                self.ca_file.clone().ok_or("mqtts needs [mqtt] ca_file, the CA that signed the broker")?;
            let identity = match (&self.cert_file, &self.key_file) {
                (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
                (None, None) => None,
                _ => return Err("cert_file and key_file belong together".into()),
            };
            Some(TlsFiles { ca, identity })
        } else {
            None
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(BrokerAddress { host, port, tls, user, password_file })
    }
}

/// `[flood]`: what one kiosk may send, once for heartbeats and once for everything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flood {
    pub messages_per_s: u32,
    pub message_burst: u32,
    pub kib_per_s: u32,
    pub kib_burst: u32,
}

impl Default for Flood {
    /// An agent sends at most four journal messages a second, together less than 252 KiB, and one heartbeat.
    fn default() -> Self {
        Self { messages_per_s: 50, message_burst: 500, kib_per_s: 256, kib_burst: 4_096 }
    }
}

impl Flood {
    pub fn allowance(&self) -> Allowance {
        let bytes = |kib: u32| kib.saturating_mul(1_024);
        Allowance {
            messages: Bucket { per_second: self.messages_per_s, burst: self.message_burst },
            bytes: Bucket { per_second: bytes(self.kib_per_s), burst: bytes(self.kib_burst) },
        }
    }
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Console and API.
    pub listen: SocketAddr,
    /// Live streams at one time.
    pub max_sse: usize,
    /// `true` behind a TLS proxy: session cookies then get `__Host-` and `Secure`.
    pub secure_cookies: bool,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8080)), max_sse: 1_000, secure_cookies: false }
    }
}

/// Whether `/metrics` carries series of single kiosks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PerKiosk {
    /// Up to 5,000 kiosks.
    #[default]
    Auto,
    On,
    Off,
}

/// `[monitoring]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Monitoring {
    /// `/metrics`, `/livez`, `/readyz`: an address of its own.
    pub listen: SocketAddr,
    pub per_kiosk: PerKiosk,
}

impl Default for Monitoring {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9464)), per_kiosk: PerKiosk::Auto }
    }
}

/// What happens to an id nobody registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownKiosks {
    Refuse,
    /// Shown and counted; its journal waits until somebody approves it.
    #[default]
    Quarantine,
    Accept,
}

/// `[fleet]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FleetSection {
    pub unknown_kiosks: UnknownKiosks,
    /// How often the sweep looks for deadlines that have passed.
    pub sweep_interval_ms: u64,
    /// Sites and kiosks to register at every start, for small fleets and demos.
    pub seed_file: Option<PathBuf>,
}

impl Default for FleetSection {
    fn default() -> Self {
        Self { unknown_kiosks: UnknownKiosks::default(), sweep_interval_ms: 500, seed_file: None }
    }
}

/// `[presence]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Presence {
    pub missed_heartbeats: u32,
    /// How long the ticket of the first offline kiosk waits for the rest of its site.
    pub site_hold_s: u64,
    /// After a start or a broker outage nobody is judged for this long: agents come back with jitter.
    pub settle_s: u64,
}

impl Default for Presence {
    fn default() -> Self {
        Self { missed_heartbeats: 3, site_hold_s: 60, settle_s: 150 }
    }
}

/// `[uptime]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Uptime {
    /// A month is fixed this long after its end. What arrives within [`PROMPT_MS`] of what it proves is kept without its
    /// arrival and in time for any freeze, also for one of 0.
    ///
    /// [`PROMPT_MS`]: kioskwatch_domain::cursor::PROMPT_MS
    pub freeze_hours: u64,
    /// A planned exclusion must be approved this long before it starts.
    pub planned_notice_h: u64,
    /// A signed month may be restated this long after its end.
    pub restate_days: u64,
    /// Evidence is kept for this many whole months; signed figures stay for ever.
    pub keep_evidence_months: u64,
    /// The target of 可用率 as an exact fraction.
    pub target: [u64; 2],
}

impl Default for Uptime {
    fn default() -> Self {
        Self {
            freeze_hours: 24,
            planned_notice_h: 24,
            restate_days: 35,
            keep_evidence_months: 14,
            target: [99, 100],
        }
    }
}

/// `[retention]`: for how many whole months rows are kept, beside the month that runs. Of evidence `[uptime]` says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Journal records, their gaps, transitions and commands; never shorter than evidence.
    pub records_months: u64,
    /// Closed tickets and incidents; never shorter than records.
    pub tickets_months: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { records_months: 14, tickets_months: 60 }
    }
}

/// `[tickets]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tickets {
    /// A fault must stay gone this long before its ticket resolves by itself.
    pub recover_hold_s: u64,
    /// A self-recovered ticket closes after this long without recurrence (C35).
    pub quiet_h: u64,
    /// The same fault within this many days reopens the ticket (SR-032).
    pub reopen_days: u64,
    /// This many kiosks of a site with the same fault on one day make a batch (SR-110).
    pub batch_kiosks: u64,
}

impl Default for Tickets {
    fn default() -> Self {
        Self { recover_hold_s: 1_800, quiet_h: 24, reopen_days: 7, batch_kiosks: 5 }
    }
}

/// `[inspection]`: chapter 6 of the service rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inspection {
    pub phone_start_day: u32,
    pub phone_days: u32,
    pub phone_report_day: u32,
    pub onsite_start_month_of_quarter: u32,
    pub onsite_start_day: u32,
    pub onsite_days: u32,
    pub onsite_report_day: u32,
}

impl Default for Inspection {
    fn default() -> Self {
        Self {
            phone_start_day: 20,
            phone_days: 3,
            phone_report_day: 3,
            onsite_start_month_of_quarter: 3,
            onsite_start_day: 1,
            onsite_days: 15,
            onsite_report_day: 5,
        }
    }
}

/// `[commands]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Commands {
    /// 32 secret bytes as hex; made at the first start when absent. Default: in `data_dir`.
    pub signing_key_file: Option<PathBuf>,
    pub key_id: String,
    /// How long a command may wait for its kiosk.
    pub default_valid_s: u64,
}

impl Default for Commands {
    fn default() -> Self {
        Self { signing_key_file: None, key_id: "server-1".to_owned(), default_valid_s: 300 }
    }
}

/// `[calendars]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Calendars {
    /// Dated calendar files beside the built-in ones; the same id replaces.
    pub files: Vec<PathBuf>,
}

/// `[faults]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Catalogue files whose entries are added to or replace the built-in ones.
    pub files: Vec<PathBuf>,
}

/// `[console]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Console {
    /// `zh-CN` or `en`; a visitor can change it.
    pub language: Language,
    /// Zone of times shown to people where no site is meant.
    pub timezone: String,
    /// Lets whoever reaches the HTTP address look and act as an admin. For demos on the loopback only.
    pub open_access: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Language {
    #[default]
    #[serde(rename = "zh-CN")]
    ZhCn,
    #[serde(rename = "en")]
    En,
}

impl Default for Console {
    fn default() -> Self {
        Self { language: Language::default(), timezone: "Asia/Shanghai".to_owned(), open_access: false }
    }
}
