//! A fleet comes back from a day offline: how fast its journals are taken, decided and committed.
use std::time::Duration;

use kioskwatch_proto::{Timestamp, limits::MAX_IN_FLIGHT_RECORDS, topic::Channel};
use kioskwatch_server::{
    clock::Stopwatch,
    store::{Scope, Store},
};

use super::{
    fleet::Fleet,
    goal::Goal,
    ingest::{Database, Feed, Ingest},
    kiosk::{FIRST_RECORDS, VirtualKiosk, now},
    options::CatchupOptions,
    process::{process_cpu, thread_cpu},
    returning,
    stage::{FloodLimit, Stage},
};

/// That a virtual kiosk promises; none of them beats here.
const INTERVAL_S: u32 = 3_600;
/// Nothing else is written meanwhile.
const NO_FLUSH: Duration = Duration::from_secs(24 * 3_600);
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Of this many records one raises a fault and one, half as many later, clears it; the others are transactions.
const FAULT_EVERY: u64 = 100;

/// What each kiosk has kept.
#[derive(Debug, Clone, Copy)]
struct Kept {
    records: u64,
    flapping: bool,
    since: Timestamp,
    step_ms: i64,
}

/// What a run took.
struct Taken {
    way: String,
    took: Duration,
    /// Of the server, without the generator.
    cpu: Duration,
    intervals: usize,
}

pub async fn run(options: &CatchupOptions) -> Result<String, String> {
    let kiosks = options.kiosks.max(1);
    let kept = Kept::of_a_day(u64::from(options.records.max(1)), options.flapping);
    let taken = match (options.broker, &options.stage.server) {
        (true, _) => through_a_broker(options, kiosks, kept).await?,
        (false, Some(_)) => {
            return Err("--server is for --broker: else the ingest is in this process".to_owned());
        }
        (false, None) => direct(options, kiosks, kept).await?,
    };
    let records = kept.records;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let all = (u64::from(kiosks) * records) as f64;
    let database = if options.stage.postgres { "PostgreSQL" } else { "SQLite" };
    let rate = all / taken.took.as_secs_f64();
    Ok(format!(
        "{kiosks} kiosks with {records} records each, {database}, {}\n  \
         committed      {rate:>8.0} records/s {}\n  \
         server CPU     {:>8.1} µs a record{}\n  \
         evidence       {:>8} intervals of a kiosk\n  \
         of it all      {:>8.1} s\n",
        taken.way,
        Goal::AtLeast(50_000.0).of(rate),
        taken.cpu.as_secs_f64() * 1e6 / all,
        if options.stage.postgres { ", the database's own not included" } else { "" },
        taken.intervals,
        taken.took.as_secs_f64(),
    ))
}

async fn direct(options: &CatchupOptions, kiosks: u32, kept: Kept) -> Result<Taken, String> {
    let database = Database::with_kiosks(kiosks, options.stage.postgres).await?;
    let ingest = Ingest::start(&database, NO_FLUSH, false).await?;
    let (started, cpu) = (Stopwatch::start(), process_cpu());
    let feed = ingest.feed();
    let generator =
        tokio::task::spawn_blocking(move || put(&feed, kiosks, kept)).await.map_err(|e| e.to_string())??;
    ingest.drained().await?;
    let took = started.elapsed();
    let cpu = (process_cpu() - cpu).saturating_sub(generator);
    every_journal_is_committed(ingest.app.store(), kiosks, kept.records).await?;
    let intervals = intervals_of(ingest.app.store(), VirtualKiosk(0)).await?;
    ingest.stop().await?;
    Ok(Taken { way: "no broker, nothing else to do".to_owned(), took, cpu, intervals })
}

async fn through_a_broker(options: &CatchupOptions, kiosks: u32, kept: Kept) -> Result<Taken, String> {
    let mut stage = Stage::set(&options.stage, FloodLimit::Default, kiosks).await?;
    let mut fleet =
        Fleet::connect(kiosks, options.connections, INTERVAL_S, stage.mosquitto.address()).await?;
    fleet.introduce_since(kept.since).await?;
    let process = stage.process()?;
    let (started, cpu) = (Stopwatch::start(), process.cpu()?);
    let record = |kiosk, seq| kept.record(kiosk, seq);
    let again = if options.as_agents {
        returning::deliver(&fleet, stage.mosquitto.address(), kept.records, record).await?
    } else {
        fleet.deliver(kept.records, record).await?
    };
    let (took, cpu) = (started.elapsed(), process.cpu()?.saturating_sub(cpu));
    every_journal_is_committed(&stage.store, kiosks, kept.records).await?;
    let intervals = intervals_of(&stage.store, VirtualKiosk(0)).await?;
    stage.store.close().await;
    stage.server.stop().await.map_err(|e| e.to_string())?;
    let who = if options.as_agents { "all at once as agents" } else { "a part of them at once" };
    let way = format!(
        "Mosquitto, {who}, until the acknowledgement of each was back; {again} windows were sent again"
    );
    Ok(Taken { way, took, cpu, intervals })
}

impl Kept {
    /// Evenly over the last day.
    fn of_a_day(records: u64, flapping: bool) -> Self {
        let step_ms = DAY_MS / i64::try_from(records).unwrap_or(i64::MAX).max(1);
        Self { records, flapping, since: now().plus_ms(-DAY_MS), step_ms }
    }

    fn record(self, kiosk: VirtualKiosk, seq: u64) -> String {
        let n = seq.saturating_sub(FIRST_RECORDS);
        let at = self.since.plus_ms(self.step_ms * i64::try_from(n).unwrap_or(0));
        match n % FAULT_EVERY {
            _ if self.flapping => kiosk.service(seq, n.is_multiple_of(2), at),
            0 => kiosk.fault(seq, true, at),
            50 => kiosk.fault(seq, false, at),
            _ => kiosk.transaction(seq, at),
        }
    }
}

/// One window after the other, each kiosk in its turn. Gives the CPU time of the generator.
fn put(feed: &Feed, kiosks: u32, kept: Kept) -> Result<Duration, String> {
    let cpu = thread_cpu();
    // What the journal begins with is known already.
    let (mut seq, all) = (FIRST_RECORDS + 1, FIRST_RECORDS + kept.records + 1);
    while seq < all {
        let end = (seq + MAX_IN_FLIGHT_RECORDS).min(all);
        for kiosk in (0..kiosks).map(VirtualKiosk) {
            let some: Vec<String> = (seq..end).map(|seq| kept.record(kiosk, seq)).collect();
            feed.put(kiosk, Channel::Journal, kiosk.journal(&some))?;
        }
        seq = end;
    }
    Ok(thread_cpu() - cpu)
}

/// Asks the database, not the server.
async fn every_journal_is_committed(store: &Store, kiosks: u32, records: u64) -> Result<(), String> {
    for kiosk in (0..kiosks).map(VirtualKiosk) {
        let heads = store.journal_heads(&Scope::All, &kiosk.id()).await;
        let heads = heads.map_err(|e| e.to_string())?.unwrap_or_default();
        let upto = heads.first().map_or(0, |head| head.upto);
        if upto != records + FIRST_RECORDS {
            return Err(format!("{} is committed up to {upto} of {}", kiosk.id(), records + FIRST_RECORDS));
        }
    }
    Ok(())
}

async fn intervals_of(store: &Store, kiosk: VirtualKiosk) -> Result<usize, String> {
    let ever = (Timestamp(0), now().plus_ms(DAY_MS));
    let rows = store.evidence(&Scope::All, &[kiosk.id()], ever.0, ever.1).await;
    rows.map(|rows| rows.len()).map_err(|e| e.to_string())
}
