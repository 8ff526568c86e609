//! The demo's command line.
use std::{path::PathBuf, time::Duration};

use clap::Parser;

/// The fewest kiosks the story needs, and the most one process can emulate.
pub const KIOSKS: std::ops::RangeInclusive<usize> = 8..=40;
/// The story and its last checks.
pub const SHORTEST: Duration = Duration::from_secs(80);
pub const SITES: usize = 4;

/// Plays a small fleet: real broker, server and agents on emulated devices, with a console to look at.
#[derive(Debug, Clone, Parser)]
#[command(name = "kioskwatch-demo", version, max_term_width = 100)]
pub struct Options {
    /// Play unattended for this long (80s or more), print the table and end; exit 1 if any line of it is wrong.
    /// Without it the console stays open after the table until Ctrl-C.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub length: Option<Duration>,
    /// Terminals, each with its own agent and three devices (8 to 40).
    #[arg(long, default_value_t = 12)]
    pub kiosks: usize,
    /// Use this broker (mqtt://host:port) in place of the embedded one.
    #[arg(long, value_name = "URL")]
    pub broker: Option<String>,
    /// Use this database (postgres://user@host/name) in place of SQLite.
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// Keep the data directory and its logs.
    #[arg(long)]
    pub keep: bool,
    /// Put data and logs here instead of a new temporary directory.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl Options {
    pub fn check(self) -> Result<Self, String> {
        if !KIOSKS.contains(&self.kiosks) {
            return Err(format!("--kiosks {}: expected {} to {}", self.kiosks, KIOSKS.start(), KIOSKS.end()));
        }
        if let Some(broker) = &self.broker
            && broker_address(broker).is_none()
        {
            return Err(format!("--broker {broker}: expected mqtt://host:port"));
        }
        if self.length.is_some_and(|length| length < SHORTEST) {
            return Err(format!("--for: the story takes {} s", SHORTEST.as_secs()));
        }
        Ok(self)
    }
}

/// `host:port` of an `mqtt://` url.
pub fn broker_address(url: &str) -> Option<String> {
    let rest = url.strip_prefix("mqtt://")?.trim_end_matches('/');
    let (host, port) = rest.split_once(':').unwrap_or((rest, "1883"));
    let port: u16 = port.parse().ok()?;
    (!host.is_empty()).then(|| format!("{host}:{port}"))
}

fn duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("{text}: expected a duration like 90s or 5m");
    let (number, factor) = match text.chars().last() {
        Some('s') => (&text[..text.len() - 1], 1),
        Some('m') => (&text[..text.len() - 1], 60),
        Some('0'..='9') => (text, 1),
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    Ok(Duration::from_secs(number.saturating_mul(factor)))
}
