//! Every metric name of the server stands in this folder, nowhere else.
//!
//! What happens is counted in [`Counters`] (crate `prometheus`). What *is* (the fleet's own series) is not kept
//! in metric objects at all: it is written as text from one snapshot at each scrape, because per-series state
//! is what costs at fleet scale.
mod figures;
pub(crate) mod seconds;
mod text;
mod uptime;

use futures_util::{FutureExt as _, Stream, stream::unfold};
use kioskwatch_domain::fleet::{ClockName, SecurityEvent};
use kioskwatch_proto::Timestamp;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};
use tokio::sync::mpsc;

pub use figures::{FleetFigures, KioskFigure, PeripheralFigure};
pub use seconds::Seconds;
pub use text::Page;
pub(crate) use uptime::PERIODS;
pub use uptime::{UptimeFigure, UptimeFigures};

/// Buckets from 1 ms to 10 s, for what should be quick.
const QUICK: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Buckets from a minute to a week, for stages of human work.
const STAGES: &[f64] = &[
    60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 21_600.0, 43_200.0, 86_400.0, 259_200.0, 604_800.0,
];

/// The stages of a ticket that are timed: to restored service, from there to its closing.
const TICKET_STAGES: [&str; 2] = ["to_restored", "to_closed"];

/// What happened since the start.
#[derive(Debug, Clone)]
pub struct Counters {
    registry: Registry,
    messages: IntCounterVec,
    ingest: Histogram,
    fault_to_ticket: Histogram,
    tickets_opened: IntCounterVec,
    breaches: IntCounterVec,
    stages: HistogramVec,
    commands: IntCounterVec,
    dropped: IntCounterVec,
    suppressed: IntCounterVec,
    notifications: IntCounterVec,
    security: IntCounterVec,
    sweep: Histogram,
    commit: Histogram,
    commit_failures: IntCounterVec,
    panics: IntCounterVec,
    removed: IntCounterVec,
    all_removed: IntGauge,
}

impl Counters {
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok(vec)
        };
        let histogram = |name: &str, help: &str, buckets: &[f64]| -> Result<Histogram, prometheus::Error> {
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok(histogram)
        };
        let stage_options = HistogramOpts::new(
            "kioskwatch_ticket_stage_seconds",
            "Time a ticket spent in a stage, from entering to leaving it.",
        );
        let stages = HistogramVec::new(stage_options.buckets(STAGES.to_vec()), &["stage"])?;
        registry.register(Box::new(stages.clone()))?;
        // There from the start, as are service clocks: a series that begins with its first observation has no rate.
        TICKET_STAGES.iter().for_each(|stage| drop(stages.with_label_values(&[stage])));
        let build = prometheus::IntGaugeVec::new(
            Opts::new("kioskwatch_build_info", "Always 1; the version is in the label."),
            &["version"],
        )?;
        registry.register(Box::new(build.clone()))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let all_removed = IntGauge::new(
            "kioskwatch_retention_last_completed_timestamp_seconds",
            "When all rows that were kept for long enough were last removed, Unix time; 0: not since the start.",
        )?;
        registry.register(Box::new(all_removed.clone()))?;
        let breaches = counter("kioskwatch_sla_breaches_total", "Service clocks that ran out.", &["clock"])?;
        ClockName::ALL.iter().for_each(|clock| drop(breaches.with_label_values(&[clock.as_str()])));
        // A series that begins with its first event has no increase, and nobody sees that one.
        let security = counter(
            "kioskwatch_security_events_total",
            "Forked journals, doubled identities and the like.",
            &["event"],
        )?;
        SecurityEvent::ALL.iter().for_each(|event| drop(security.with_label_values(&[event.as_str()])));
        let commit_failures = counter(
            "kioskwatch_commit_failures_total",
            "Commits that failed and were tried again, by reason.",
            &["reason"],
        )?;
        ["poisoned", "unavailable"].iter().for_each(|why| drop(commit_failures.with_label_values(&[why])));
        Ok(Self {
            messages: counter(
                "kioskwatch_messages_total",
                "MQTT messages by channel and what became of them.",
                &["channel", "outcome"],
            )?,
            ingest: histogram("kioskwatch_ingest_seconds", "From a message's arrival to its commit.", QUICK)?,
            fault_to_ticket: histogram(
                "kioskwatch_fault_to_ticket_seconds",
                "From a fault's arrival at the server to its committed ticket.",
                QUICK,
            )?,
            tickets_opened: counter(
                "kioskwatch_tickets_opened_total",
                "Tickets opened.",
                &["source", "class"],
            )?,
            breaches,
            stages,
            commands: counter(
                "kioskwatch_commands_total",
                "Commands by action and state reached.",
                &["action", "state"],
            )?,
            dropped: counter(
                "kioskwatch_dropped_total",
                "What a full queue or a limit gave up.",
                &["queue", "reason"],
            )?,
            suppressed: counter(
                "kioskwatch_suppressed_total",
                "Decisions not to open a ticket, by reason.",
                &["reason"],
            )?,
            notifications: counter(
                "kioskwatch_notifications_total",
                "Notices to people by channel and outcome. The log is the only channel so far: nobody is called.",
                &["channel", "outcome"],
            )?,
            security,
            sweep: histogram("kioskwatch_sweep_seconds", "How long one look for due deadlines took.", QUICK)?,
            commit: histogram("kioskwatch_commit_seconds", "How long one database commit took.", QUICK)?,
            commit_failures,
            panics: counter(
                "kioskwatch_panics_total",
                "Defects of ours that were caught, by what they ended: a request, a connection, a message, a decision.",
                &["part"],
            )?,
            removed: counter(
                "kioskwatch_retention_removed_total",
                "Rows removed because they were kept for long enough; a ticket's and a command's with all that hangs on it.",
                &["table"],
            )?,
            all_removed,
            registry,
        })
    }

    pub fn message(&self, channel: &str, outcome: &str) {
        self.messages.with_label_values(&[channel, outcome]).inc();
    }

    pub fn messages(&self, channel: &str, outcome: &str, count: u64) {
        self.messages.with_label_values(&[channel, outcome]).inc_by(count);
    }

    pub fn ingested(&self, seconds: f64) {
        self.ingest.observe(seconds);
    }

    pub fn fault_to_ticket(&self, seconds: f64) {
        self.fault_to_ticket.observe(seconds);
    }

    pub fn ticket_opened(&self, source: &str, class: &str) {
        self.tickets_opened.with_label_values(&[source, class]).inc();
    }

    pub fn clock_breached(&self, clock: &str) {
        self.breaches.with_label_values(&[clock]).inc();
    }

    pub fn stage_left(&self, stage: &str, seconds: f64) {
        self.stages.with_label_values(&[stage]).observe(seconds);
    }

    pub fn command(&self, action: &str, state: &str) {
        self.commands.with_label_values(&[action, state]).inc();
    }

    pub fn dropped(&self, queue: &str, reason: &str, count: u64) {
        self.dropped.with_label_values(&[queue, reason]).inc_by(count);
    }

    pub fn suppressed(&self, reason: &str) {
        self.suppressed.with_label_values(&[reason]).inc();
    }

    pub fn notification(&self, channel: &str, outcome: &str) {
        self.notifications.with_label_values(&[channel, outcome]).inc();
    }

    pub fn security(&self, event: &str) {
        self.security.with_label_values(&[event]).inc();
    }

    pub fn swept(&self, seconds: f64) {
        self.sweep.observe(seconds);
    }

    pub fn committed(&self, seconds: f64) {
        self.commit.observe(seconds);
    }

    pub fn commit_failed(&self, reason: &str) {
        self.commit_failures.with_label_values(&[reason]).inc();
    }

    pub fn panicked(&self, part: &str) {
        self.panics.with_label_values(&[part]).inc();
    }

    pub fn removed(&self, table: &str, rows: u64) {
        self.removed.with_label_values(&[table]).inc_by(rows);
    }

    /// Nothing that was kept for long enough is left.
    pub fn removed_all(&self, at: Timestamp) {
        self.all_removed.set(at.secs());
    }

    /// The whole page in the Prometheus text format.
    pub fn page(&self, figures: &FleetFigures) -> String {
        // One that is kept whole waits for nobody.
        self.write(figures, Page::default()).now_or_never().unwrap_or_default()
    }

    /// The same in pieces, each written when it is asked for.
    pub fn pieces(&self, figures: FleetFigures) -> impl Stream<Item = String> + Send + use<> {
        let (reader, pieces) = mpsc::channel(1);
        let counters = self.clone();
        let writing = async move { drop(counters.write(&figures, Page::read_by(reader)).await) };
        // Who writes hands out what was written last, and is asked only when nothing waits.
        unfold((Box::pin(writing.fuse()), pieces), |(mut writing, mut pieces)| async move {
            let piece = tokio::select! {
                biased;
                piece = pieces.recv() => piece,
                () = &mut writing => pieces.recv().await,
            };
            Some((piece?, (writing, pieces)))
        })
    }

    async fn write(&self, figures: &FleetFigures, mut page: Page) -> String {
        let mut counted = Vec::new();
        // Writing into memory cannot fail; a family without samples is left out by the encoder.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut counted);
        page.push_str(&String::from_utf8(counted).unwrap_or_default());
        figures.write(&mut page).await;
        page.end().await
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use futures_util::StreamExt as _;
    use kioskwatch_domain::{change::PresenceVerdict, fleet::SiteCount};

    use super::*;

    #[tokio::test]
    async fn a_page_is_read_in_small_pieces_with_time_for_others_between_and_nothing_of_it_is_missing() {
        let counters = Counters::new().unwrap();
        let mut figures = FleetFigures::default();
        for n in 0..5_000 {
            let site = Some(format!("S-{n:07}").parse().unwrap());
            let presence = PresenceVerdict::Online;
            figures.site_kiosks.push(SiteCount { site, presence, kiosks: 3, expected: n % 4 });
            let seconds = Seconds { known_s: 86_400, ..Seconds::default() };
            let id = &format!("S-{n:07}");
            figures.uptime.push(&UptimeFigure { scope: "site", id, period: "month", seconds });
        }
        let whole = counters.page(&figures);
        assert!(whole.lines().filter(|line| line.starts_with("kioskwatch_site_kiosks{")).count() == 5_000);
        let mut turns = 0;
        let others = poll_fn(|_| {
            turns += 1;
            Poll::<()>::Pending
        });
        let pieces: Vec<String> = tokio::select! {
            biased;
            pieces = counters.pieces(figures).collect() => pieces,
            () = others => unreachable!(),
        };
        assert!(turns >= pieces.len() - 1, "others had {turns} turns beside {} pieces", pieces.len());
        assert!(pieces.iter().all(|piece| piece.len() <= text::PIECE && !piece.is_empty()));
        assert!(pieces.len() >= whole.len() / text::PIECE, "{} pieces of {}", pieces.len(), whole.len());
        assert!(pieces.concat() == whole, "the same text");
    }
}
