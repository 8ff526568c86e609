//! The server's `/metrics`, as far as the generator reads it.
use std::{collections::BTreeMap, time::Duration};

use crate::harness::{server::Server, wait::wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// One page: series text → value.
#[derive(Debug, Clone, Default)]
pub struct Page(BTreeMap<String, f64>);

impl Page {
    pub async fn read(server: &Server) -> Result<Self, String> {
        // A large fleet on a busy machine may take longer than one request waits.
        let page = || async { server.monitoring_api().text("/metrics").await };
        let text = wait_for("the server's metrics", PATIENCE, page).await.map_err(|e| e.to_string())?;
        let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        });
        Ok(Self(series.collect()))
    }

    /// The sum over all series of a metric that hold a text.
    fn sum(&self, name: &str, holding: &str) -> u64 {
        let series = self.0.iter().filter(|(s, _)| s.starts_with(name) && s.contains(holding));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counters are whole and not negative"
        )]
        series.map(|(_, value)| *value as u64).sum()
    }

    pub fn heartbeats(&self) -> u64 {
        self.sum("kioskwatch_messages_total{", r#"channel="heartbeat",outcome="applied""#)
    }

    /// Births, wills and inventories that reached the server, whatever it made of them.
    pub fn introductions(&self) -> u64 {
        self.sum("kioskwatch_messages_total{", r#"channel="other""#)
    }

    pub fn dropped(&self) -> u64 {
        self.sum("kioskwatch_dropped_total{", "")
    }

    /// Kiosks with this verdict now; with any, for an empty one.
    pub fn kiosks(&self, presence: &str) -> u64 {
        let holding = if presence.is_empty() { String::new() } else { format!("state=\"{presence}\"") };
        self.sum("kioskwatch_kiosks{", &holding)
    }
}
