//! Heartbeats and faults fed to the ingest directly: what a fleet costs that no broker here could carry.
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kioskwatch_proto::topic::Channel;
use kioskwatch_server::{
    app::{FLUSH_EVERY, LiveEvent, LiveKind},
    clock::Stopwatch,
};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{
    delay::Delays,
    goal::Goal,
    ingest::{Database, Feed, Ingest},
    kiosk::{Beat, FIRST_RECORDS, VirtualKiosk},
    options::DirectOptions,
    process::{Watched, process_cpu, thread_cpu},
};
use crate::harness::wait::wait_for;

/// Paced in steps of this length.
const STEP: Duration = Duration::from_millis(5);
/// So long that the ingest takes hundreds meanwhile, and not all that wait.
const PAUSE: Duration = Duration::from_millis(1);
/// A stride that visits every kiosk before it comes back to one, and none near the one before.
const STRIDE: u64 = 7_919;
/// Of what is fed as fast as it is taken, so many wait at most. The ingest always has some, and the generator looks
/// again after a pause: two threads that wake each other for every message cost more than the messages.
const AHEAD: usize = 4_096;
const PATIENCE: Duration = Duration::from_secs(30);

pub async fn run(options: &DirectOptions) -> Result<String, String> {
    if options.scale { super::scale::run(options).await } else { paced(options).await }
}

/// What one thread of the generator has fed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fed {
    heartbeats: u64,
    faults: u64,
    /// The most that ever waited for the ingest.
    backlog: usize,
    /// CPU of the generator itself.
    cpu: Duration,
    took: Duration,
}

/// What is fed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) kiosks: u32,
    pub(super) interval_s: u32,
    /// Of these kiosks by their place in the stride.
    pub(super) from: u64,
    pub(super) heartbeats: u64,
    /// `None`: as fast as they are taken.
    pub(super) per_second: Option<u64>,
    pub(super) faults_per_second: u64,
}

/// Faults that were raised and are not yet a ticket, and how long it took for those that are.
#[derive(Default)]
pub(super) struct Faults {
    raised: HashMap<VirtualKiosk, Stopwatch>,
    delays: Delays,
}

pub(super) type Raised = Arc<Mutex<Faults>>;

fn nth(n: u64, kiosks: u32) -> VirtualKiosk {
    VirtualKiosk(u32::try_from(n.wrapping_mul(STRIDE) % u64::from(kiosks)).unwrap_or(0))
}

fn faults_of(raised: &Raised) -> std::sync::MutexGuard<'_, Faults> {
    raised.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until the last of it is taken: an ingest that lags behind takes longer. On a thread of its own, so that its CPU time
/// can be told from the server's.
pub(super) async fn feed(ingest: &Ingest, pace: Pace, raised: &Raised) -> Result<Fed, String> {
    let (started, feed, raised) = (Stopwatch::start(), ingest.feed(), Raised::clone(raised));
    let fed = tokio::task::spawn_blocking(move || put(&feed, pace, &raised)).await;
    let fed = fed.map_err(|e| e.to_string())??;
    ingest.drained().await?;
    Ok(Fed { took: started.elapsed(), ..fed })
}

fn put(feed: &Feed, pace: Pace, raised: &Raised) -> Result<Fed, String> {
    let (started, cpu) = (Stopwatch::start(), thread_cpu());
    let mut fed = Fed::default();
    while fed.heartbeats < pace.heartbeats {
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = pace.per_second.map_or(pace.heartbeats, |rate| rate * elapsed_ms / 1_000);
        while fed.heartbeats < due.min(pace.heartbeats) {
            while pace.per_second.is_none() && feed.waiting() >= AHEAD {
                std::thread::sleep(PAUSE);
            }
            let n = pace.from + fed.heartbeats;
            let beat = Beat {
                connection: 1,
                seq: n / u64::from(pace.kiosks) + 1,
                at: feed.now(),
                interval_s: pace.interval_s,
                records: FIRST_RECORDS,
                faulty: false,
            };
            let kiosk = nth(n, pace.kiosks);
            feed.put(kiosk, Channel::Heartbeat, kiosk.heartbeat(&beat))?;
            fed.heartbeats += 1;
        }
        // Each kiosk has one fault at most, so that every one of them opens a ticket.
        let faults = (pace.faults_per_second * elapsed_ms / 1_000).min(u64::from(pace.kiosks));
        while fed.faults < faults {
            let kiosk = nth(fed.faults, pace.kiosks);
            let message = kiosk.journal(&[kiosk.fault(FIRST_RECORDS + 1, true, feed.now())]);
            faults_of(raised).raised.insert(kiosk, Stopwatch::start());
            feed.put(kiosk, Channel::Journal, message)?;
            fed.faults += 1;
        }
        fed.backlog = fed.backlog.max(feed.waiting());
        if pace.per_second.is_some() {
            std::thread::sleep(STEP);
        }
    }
    fed.cpu = thread_cpu() - cpu;
    Ok(fed)
}

/// CPU of everything but the generator's thread, while something runs.
pub(super) struct Cost(Duration);

impl Cost {
    pub(super) fn start() -> Self {
        Self(process_cpu())
    }

    pub(super) fn micros(&self, fed: &Fed) -> f64 {
        let cpu = (process_cpu() - self.0).saturating_sub(fed.cpu);
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let each = cpu.as_secs_f64() * 1e6 / fed.heartbeats.max(1) as f64;
        each
    }
}

/// A run at the pace that the fleet's interval asks for.
async fn paced(options: &DirectOptions) -> Result<String, String> {
    let kiosks = options.kiosks.max(1);
    let database = Database::with_kiosks(kiosks, options.postgres).await?;
    let before = Watched::this().resident_kib()?.all;
    let ingest = Ingest::start(&database, FLUSH_EVERY, true).await?;
    let started = Watched::this().resident_kib()?.all - before;
    let rate = (u64::from(kiosks) / u64::from(options.interval.max(1))).max(1);
    let raised = Raised::default();
    let again = Pace {
        kiosks,
        interval_s: options.interval,
        from: 0,
        heartbeats: u64::from(kiosks),
        per_second: Some(rate),
        faults_per_second: 0,
    };
    let cost = Cost::start();
    let first = feed(&ingest, again, &raised).await?;
    let first_us = cost.micros(&first);
    // One whole round more: then every kiosk's evidence has a row, and heartbeats only make rows longer.
    let warm = Pace { from: again.heartbeats, ..again };
    feed(&ingest, warm, &raised).await?;
    let bytes = || async { ingest.app.store().bytes().await.map_err(|e| e.to_string()) };
    let size = bytes().await?;

    let hearing = tokio::spawn(hear_tickets(ingest.app.live(), Arc::clone(&raised)));
    let cost = Cost::start();
    let measured = Pace {
        from: again.heartbeats * 2,
        heartbeats: rate * options.seconds,
        faults_per_second: options.faults,
        ..again
    };
    let fed = feed(&ingest, measured, &raised).await?;
    let each_us = cost.micros(&fed);
    let heard = || async {
        match faults_of(&raised).raised.len() {
            0 => Ok(()),
            left => Err(format!("{left} faults are no ticket")),
        }
    };
    wait_for("every fault to be a ticket", PATIENCE, heard).await.map_err(|e| e.to_string())?;
    hearing.abort();
    let delays = std::mem::take(&mut faults_of(&raised).delays);
    let grown = bytes().await?.saturating_sub(size);
    let resident = Watched::this().resident_kib()?.all - before;
    let ready_after = ingest.ready_after;
    ingest.stop().await?;
    let report = Report {
        options: options.clone(),
        ready_after,
        first: (first, first_us),
        fed,
        each_us,
        wanted: rate,
        delays,
        started,
        resident,
        grown,
    };
    Ok(report.to_string())
}

/// Notes for each fault when its committed ticket was told to open pages.
async fn hear_tickets(mut events: broadcast::Receiver<LiveEvent>, raised: Raised) {
    loop {
        match events.recv().await {
            Ok(event) if event.kind == LiveKind::Ticket => {
                let Some(kiosk) = event.kiosk.as_ref().and_then(VirtualKiosk::of) else { continue };
                let mut faults = faults_of(&raised);
                if let Some(since) = faults.raised.remove(&kiosk) {
                    faults.delays.add(since.elapsed());
                }
            }
            Ok(_) => {}
            // A ticket that was missed is found missing at the end.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

struct Report {
    options: DirectOptions,
    ready_after: Duration,
    first: (Fed, f64),
    fed: Fed,
    each_us: f64,
    /// Heartbeats a second.
    wanted: u64,
    delays: Delays,
    /// KiB more than before the start, with the fleet loaded and everybody unknown.
    started: u64,
    /// KiB more than before the start, at the end.
    resident: u64,
    grown: u64,
}

impl fmt::Display for Report {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (options, fed, (first, first_us)) = (&self.options, &self.fed, &self.first);
        let database = if options.postgres { "PostgreSQL" } else { "SQLite" };
        let kiosks = f64::from(options.kiosks.max(1));
        let rate = fed.heartbeats as f64 / fed.took.as_secs_f64();
        writeln!(f, "{} kiosks at {} s, {database}, no broker", options.kiosks, options.interval)?;
        let is_large = (100_000..1_000_000).contains(&options.kiosks);
        let goal = |goal: Goal, measured: f64| {
            if is_large { format!(" {}", goal.of(measured)) } else { String::new() }
        };
        let ready = self.ready_after.as_secs_f64();
        writeln!(
            f,
            "  ready after a start      {ready:>10.2} s, all of them known{}",
            goal(Goal::AtMost(3.0), ready)
        )?;
        writeln!(
            f,
            "  everybody heard again    {:>10.1} s, {first_us:.1} µs a first heartbeat, backlog up to {}",
            first.took.as_secs_f64(),
            first.backlog
        )?;
        writeln!(
            f,
            "  heartbeats taken         {rate:>10.0} /s of {}, backlog up to {}",
            self.wanted, fed.backlog
        )?;
        writeln!(
            f,
            "  server CPU               {:>10.1} µs a heartbeat, database, bookkeeper and {} faults included; {:.0} % of a core",
            self.each_us,
            fed.faults,
            self.each_us * rate / 1e4
        )?;
        let each = self.resident as f64 * 1_024.0 / kiosks;
        writeln!(
            f,
            "  server memory            {:>10.1} MiB, {each:.0} bytes a kiosk{}; {:.1} MiB after the start; without the program",
            self.resident as f64 / 1_024.0,
            goal(Goal::AtMost(1_024.0), each),
            self.started as f64 / 1_024.0
        )?;
        let mib = self.grown as f64 / 1_048_576.0;
        writeln!(
            f,
            "  database growth          {mib:>10.2} MiB, {:.2} MiB a million heartbeats, faults included",
            mib * 1e6 / fed.heartbeats.max(1) as f64
        )?;
        let p99 = self.delays.quantile(0.99).unwrap_or_default().as_secs_f64() * 1e3;
        writeln!(f, "  fault to committed ticket     {}{}", self.delays, goal(Goal::AtMost(250.0), p99))
    }
}
