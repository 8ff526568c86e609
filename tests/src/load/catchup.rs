//! A fleet comes back from a day offline: how fast its journals are taken, decided and committed.
use std::time::Duration;

use kioskwatch_proto::{Timestamp, limits::MAX_IN_FLIGHT_RECORDS, topic::Channel};
use kioskwatch_server::{clock::Stopwatch, store::Scope};

use super::{
    goal::Goal,
    ingest::{Database, Feed, Ingest},
    kiosk::{VirtualKiosk, now},
    options::CatchupOptions,
    process::{process_cpu, thread_cpu},
};

/// Nothing else is written meanwhile.
const NO_FLUSH: Duration = Duration::from_secs(24 * 3_600);
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Of this many records one raises a fault and one, half as many later, clears it; the others are transactions.
const FAULT_EVERY: u64 = 100;

pub async fn run(options: &CatchupOptions) -> Result<String, String> {
    let (kiosks, records) = (options.kiosks.max(1), u64::from(options.records.max(1)));
    let database = Database::with_kiosks(kiosks, options.postgres).await?;
    let ingest = Ingest::start(&database, NO_FLUSH, false).await?;
    let (started, cpu) = (Stopwatch::start(), process_cpu());
    let feed = ingest.feed();
    let flapping = options.flapping;
    let generator = tokio::task::spawn_blocking(move || put(&feed, kiosks, records, flapping))
        .await
        .map_err(|e| e.to_string())??;
    ingest.drained().await?;
    let took = started.elapsed().as_secs_f64();
    let cpu = (process_cpu() - cpu).saturating_sub(generator);
    every_journal_is_committed(&ingest, kiosks, records).await?;
    let intervals = intervals_of(&ingest, VirtualKiosk(0)).await?;
    ingest.stop().await?;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let all = (u64::from(kiosks) * records) as f64;
    let database = if options.postgres { "PostgreSQL" } else { "SQLite" };
    let rate = all / took;
    Ok(format!(
        "{kiosks} kiosks with {records} records each, {database}, no broker, nothing else to do\n  \
         committed      {rate:>8.0} records/s {}\n  \
         server CPU     {:>8.1} µs a record{}\n  \
         evidence       {intervals:>8} intervals of a kiosk\n  \
         of it all      {took:>8.1} s\n",
        Goal::AtLeast(50_000.0).of(rate),
        cpu.as_secs_f64() * 1e6 / all,
        if options.postgres { ", the database's own not included" } else { "" },
    ))
}

/// One window after the other, each kiosk in its turn. Gives the CPU time of the generator.
fn put(feed: &Feed, kiosks: u32, records: u64, flapping: bool) -> Result<Duration, String> {
    let cpu = thread_cpu();
    let since = now().plus_ms(-DAY_MS);
    let step_ms = DAY_MS / i64::try_from(records).unwrap_or(i64::MAX).max(1);
    // The first record is known already.
    let mut seq = 2;
    while seq < records + 2 {
        let end = (seq + MAX_IN_FLIGHT_RECORDS).min(records + 2);
        for kiosk in (0..kiosks).map(VirtualKiosk) {
            let record = |seq: u64| {
                let at = since.plus_ms(step_ms * i64::try_from(seq).unwrap_or(0));
                match seq % FAULT_EVERY {
                    _ if flapping => kiosk.service(seq, seq % 2 == 1, at),
                    0 => kiosk.fault(seq, true, at),
                    50 => kiosk.fault(seq, false, at),
                    _ => kiosk.transaction(seq, at),
                }
            };
            let some: Vec<String> = (seq..end).map(record).collect();
            feed.put(kiosk, Channel::Journal, kiosk.journal(&some))?;
        }
        seq = end;
    }
    Ok(thread_cpu() - cpu)
}

/// Asks the database, not the server.
async fn every_journal_is_committed(ingest: &Ingest, kiosks: u32, records: u64) -> Result<(), String> {
    for kiosk in (0..kiosks).map(VirtualKiosk) {
        let heads = ingest.app.store().journal_heads(&Scope::All, &kiosk.id()).await;
        let heads = heads.map_err(|e| e.to_string())?.unwrap_or_default();
        let upto = heads.first().map_or(0, |head| head.upto);
        if upto != records + 1 {
            return Err(format!("{} is committed up to {upto} of {}", kiosk.id(), records + 1));
        }
    }
    Ok(())
}

async fn intervals_of(ingest: &Ingest, kiosk: VirtualKiosk) -> Result<usize, String> {
    let ever = (Timestamp(0), now().plus_ms(DAY_MS));
    let rows = ingest.app.store().evidence(&Scope::All, &[kiosk.id()], ever.0, ever.1).await;
    rows.map(|rows| rows.len()).map_err(|e| e.to_string())
}
