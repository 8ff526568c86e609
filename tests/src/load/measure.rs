//! What the server did in the measured time, read from outside: its metrics and its process.
use std::{collections::BTreeMap, fmt};

use super::{
    Options,
    fleet::{BareSubscriber, Sent},
};
use crate::harness::server::Server;

/// The state at the beginning of a measurement.
pub struct ServerProbe {
    page: Page,
    cpu_s: f64,
    bare: u64,
    disk: u64,
}

/// One run's table.
#[derive(Debug, Clone)]
pub struct Report {
    kiosks: usize,
    sent: Sent,
    bare: u64,
    server: u64,
    cpu_us_per_message: f64,
    rss_mib: f64,
    disk_growth_mib: f64,
    tickets: u64,
    fault_to_ticket: Option<(f64, f64)>,
    dropped: u64,
}

/// `/metrics`, parsed: series text → value.
#[derive(Debug, Clone, Default)]
struct Page(BTreeMap<String, f64>);

impl Page {
    async fn read(server: &Server) -> Result<Self, String> {
        let text = server.monitoring_api().text("/metrics").await?;
        let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        });
        Ok(Self(series.collect()))
    }

    fn sum(&self, beginning: &str, holding: &str) -> f64 {
        self.0.iter().filter(|(s, _)| s.starts_with(beginning) && s.contains(holding)).map(|(_, v)| v).sum()
    }

    /// (upper bound, cumulative count) of a histogram, growing.
    fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let beginning = format!("{name}_bucket{{le=\"");
        let mut buckets: Vec<(f64, f64)> = self
            .0
            .iter()
            .filter_map(|(series, value)| {
                let bound = series.strip_prefix(&beginning)?.strip_suffix("\"}")?;
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
                Some((bound, *value))
            })
            .collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        buckets
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counters are whole and not negative"
)]
const fn whole(value: f64) -> u64 {
    value as u64
}

const HEARTBEATS: (&str, &str) = ("kioskwatch_messages_total{", "channel=\"heartbeat\",outcome=\"applied\"");
const FAULT_TO_TICKET: &str = "kioskwatch_fault_to_ticket_seconds";

impl ServerProbe {
    pub async fn start(server: &Server, bare: &BareSubscriber) -> Result<Self, String> {
        Ok(Self {
            page: Page::read(server).await?,
            cpu_s: cpu_seconds(server)?,
            bare: bare.received(),
            disk: disk_bytes(server),
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub async fn finish(
        self,
        server: &Server,
        bare: &BareSubscriber,
        sent: Sent,
        options: &Options,
    ) -> Result<Report, String> {
        let page = Page::read(server).await?;
        let since = |(beginning, holding): (&str, &str)| {
            page.sum(beginning, holding) - self.page.sum(beginning, holding)
        };
        let heartbeats = since(HEARTBEATS);
        let cpu_s = cpu_seconds(server)? - self.cpu_s;
        Ok(Report {
            kiosks: options.kiosks,
            sent,
            bare: bare.received() - self.bare,
            server: whole(heartbeats),
            cpu_us_per_message: cpu_s * 1e6 / heartbeats.max(1.0),
            rss_mib: rss_kib(server)? as f64 / 1_024.0,
            disk_growth_mib: disk_bytes(server).saturating_sub(self.disk) as f64 / 1_048_576.0,
            tickets: whole(since(("kioskwatch_tickets_opened_total{", ""))),
            fault_to_ticket: quantiles(&self.page.buckets(FAULT_TO_TICKET), &page.buckets(FAULT_TO_TICKET)),
            dropped: whole(since(("kioskwatch_dropped_total{", ""))),
        })
    }
}

/// Upper bounds of the buckets that hold the median and the 99th percentile, in seconds.
fn quantiles(before: &[(f64, f64)], after: &[(f64, f64)]) -> Option<(f64, f64)> {
    let grown: Vec<(f64, f64)> = after
        .iter()
        .map(|&(bound, count)| {
            let was = before.iter().find(|(b, _)| b.total_cmp(&bound).is_eq()).map_or(0.0, |(_, c)| *c);
            (bound, count - was)
        })
        .collect();
    let total = grown.last()?.1;
    if total < 1.0 {
        return None;
    }
    let at = |share: f64| {
        grown.iter().find(|(_, count)| *count >= share * total).map_or(f64::INFINITY, |(b, _)| *b)
    };
    Some((at(0.5), at(0.99)))
}

impl fmt::Display for Report {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = |count: u64| count as f64 / self.sent.seconds;
        writeln!(
            f,
            "{} kiosks, {:.1} s, Mosquitto, QoS 0 heartbeats, QoS 1 journal",
            self.kiosks, self.sent.seconds
        )?;
        writeln!(f, "heartbeats sent               {:>10.0} /s", rate(self.sent.heartbeats))?;
        writeln!(f, "received by a bare subscriber {:>10.0} /s", rate(self.bare))?;
        writeln!(
            f,
            "taken by the server           {:>10.0} /s   {:.1} % of the bare subscriber",
            rate(self.server),
            self.server as f64 * 100.0 / self.bare.max(1) as f64,
        )?;
        writeln!(
            f,
            "server CPU                    {:>10.1} µs a heartbeat, faults and tickets included",
            self.cpu_us_per_message
        )?;
        writeln!(f, "server memory                 {:>10.1} MiB", self.rss_mib)?;
        writeln!(
            f,
            "database growth               {:>10.1} MiB (SQLite; its log included)",
            self.disk_growth_mib
        )?;
        writeln!(
            f,
            "fault records sent            {:>10.1} /s, {} tickets opened",
            rate(self.sent.faults),
            self.tickets
        )?;
        match self.fault_to_ticket {
            Some((p50, p99)) => writeln!(
                f,
                "fault to committed ticket     p50 up to {:.1} ms, p99 up to {:.1} ms (histogram bounds)",
                p50 * 1e3,
                p99 * 1e3
            )?,
            None => writeln!(f, "fault to committed ticket     none opened")?,
        }
        writeln!(f, "dropped by full queues        {:>10}", self.dropped)
    }
}

fn pid(server: &Server) -> Result<u32, String> {
    server
        .process()
        .and_then(crate::harness::process::Process::id)
        .ok_or_else(|| "the server is gone".to_owned())
}

/// User and system time of the server's process.
fn cpu_seconds(server: &Server) -> Result<f64, String> {
    let path = format!("/proc/{}/stat", pid(server)?);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    // Fields 14 and 15; the second one may hold spaces, so count from its closing bracket.
    let after = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    // USER_HZ is 100 on every Linux of today.
    Ok((ticks(11) + ticks(12)) / 100.0)
}

fn rss_kib(server: &Server) -> Result<u64, String> {
    let path = format!("/proc/{}/status", pid(server)?);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    Ok(line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0))
}

fn disk_bytes(server: &Server) -> u64 {
    let files = std::fs::read_dir(&server.data_dir).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).sum()
}
