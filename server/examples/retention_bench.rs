//! How long a step of the retention takes, and what an ingest beside it notices.
//!
//! `cargo run --release -p kioskwatch-server --example retention_bench -- sqlite:///tmp/bench/db.sqlite postgres://…`
//! Each database must be empty.
#![expect(clippy::print_stdout, reason = "it prints a table")]
use std::{error::Error, sync::Arc, time::Duration};

use kioskwatch_domain::{
    change::{Admission, Change, JournalHeadRow, JournalRecordRow, KioskRow, RecordOutcome},
    retention::Kept,
};
use kioskwatch_proto::{Epoch, KioskId, Timestamp, journal::Digest};
use kioskwatch_server::{clock::Stopwatch, store::Store};
use tokio::sync::watch;
use uuid::Uuid;

const KIOSKS: u64 = 1_000;
/// Of each kiosk.
const OLD: u64 = 1_000;
const YOUNG: u64 = 100;
/// As the server takes them: see `server/src/app/retention.rs`.
const KIOSKS_A_STEP: usize = 100;
const ROWS_A_STEP: u32 = 500;
const REST: u32 = 9;

const NOW: Timestamp = Timestamp(1_795_248_000_000);
const DAY_MS: i64 = 86_400_000;
const BEFORE: Timestamp = Timestamp(NOW.0 - 420 * DAY_MS);

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    for url in std::env::args().skip(1) {
        let store = Store::open(&url).await?;
        store.take_lease("all", Uuid::from_u128(1), NOW, NOW.plus_ms(1_000)).await?;
        println!("{}", url.split(':').next().unwrap_or_default());
        fill(&store).await?;
        line("commits of 20 records, 50 a second", &ingest(&store, Duration::from_secs(10)).await?);
        let (stop, stopped) = watch::channel(false);
        let removing = tokio::spawn(remove(store.clone(), Some(stopped)));
        let commits = ingest(&store, Duration::from_secs(30)).await?;
        stop.send(true)?;
        let (rows, steps) = removing.await??;
        line("the same beside a removal that rests", &commits);
        line(&format!("… its steps, {rows} rows"), &steps);
        let watch = Stopwatch::start();
        let (rows, steps) = remove(store.clone(), None).await?;
        let rate = rows as f64 / watch.elapsed().as_secs_f64();
        line(&format!("steps without rest, {rows} rows, {rate:.0} a second"), &steps);
        store.close().await;
    }
    Ok(())
}

async fn fill(store: &Store) -> Result<()> {
    for kiosk in 0..KIOSKS {
        let mut changes = vec![registered(kiosk), head(kiosk, OLD + YOUNG)];
        changes.extend((1..=OLD).map(|seq| record(kiosk, seq, BEFORE.plus_ms(-DAY_MS))));
        changes.extend((OLD + 1..=OLD + YOUNG).map(|seq| record(kiosk, seq, NOW)));
        store.commit(&changes).await?;
    }
    Ok(())
}

/// How long each commit took.
async fn ingest(store: &Store, lasts: Duration) -> Result<Vec<Duration>> {
    let (watch, mut took) = (Stopwatch::start(), Vec::new());
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let epoch = Epoch(Uuid::now_v7());
    for n in 1_u64.. {
        if watch.elapsed() > lasts {
            break;
        }
        tick.tick().await;
        let records = (0..20).map(|k| {
            let Change::JournalRecord(row) = record((n * 20 + k) % KIOSKS, n, NOW) else { unreachable!() };
            Change::JournalRecord(JournalRecordRow { epoch, ..row })
        });
        let changes: Vec<Change> = records.collect();
        let one = Stopwatch::start();
        store.commit(&changes).await?;
        took.push(one.elapsed());
    }
    Ok(took)
}

/// Removes until told to stop, or until nothing is left; gives the rows and how long each step took.
async fn remove(store: Store, stop: Option<watch::Receiver<bool>>) -> Result<(u64, Vec<Duration>)> {
    let kiosks: Vec<KioskId> = (0..KIOSKS).map(kiosk_id).collect();
    let (mut rows, mut took) = (0, Vec::new());
    for some in kiosks.chunks(KIOSKS_A_STEP) {
        loop {
            if stop.as_ref().is_some_and(|stop| *stop.borrow()) {
                return Ok((rows, took));
            }
            let watch = Stopwatch::start();
            let gone = store.remove_of_kiosks(Kept::JournalRecord, some, BEFORE, ROWS_A_STEP).await?;
            let step = watch.elapsed();
            took.push(step);
            if stop.is_some() {
                tokio::time::sleep(step * REST).await;
            }
            if gone == 0 {
                break;
            }
            rows += gone;
        }
    }
    Ok((rows, took))
}

fn line(what: &str, took: &[Duration]) {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    let at = |share: f64| {
        let index = (sorted.len() as f64 * share) as usize;
        sorted.get(index.min(sorted.len().saturating_sub(1))).map_or(0.0, |one| one.as_secs_f64() * 1_000.0)
    };
    let (p50, p99, longest) = (at(0.5), at(0.99), at(1.0));
    println!(
        "  {what:<52} {:>6} p50 {p50:>7.1} ms  p99 {p99:>7.1} ms  longest {longest:>7.1} ms",
        sorted.len()
    );
}

fn kiosk_id(n: u64) -> KioskId {
    KioskId::new(&format!("K-{n:06}")).expect("a kiosk id of digits is valid")
}

fn epoch_of(kiosk: u64) -> Epoch {
    Epoch(Uuid::from_u128(u128::from(kiosk) + 1))
}

fn registered(kiosk: u64) -> Change {
    Change::Kiosk(KioskRow {
        id: kiosk_id(kiosk),
        site: None,
        admission: Admission::Accepted,
        model: "M-1".into(),
        serial_no: kiosk.to_string(),
        commissioned_at: None,
        decommissioned_at: None,
        updated_at: NOW,
    })
}

fn head(kiosk: u64, upto: u64) -> Change {
    Change::JournalHead(JournalHeadRow {
        kiosk: kiosk_id(kiosk),
        epoch: epoch_of(kiosk),
        upto,
        digest: None,
        first_seen_at: NOW,
        cursor: "{}".into(),
    })
}

fn record(kiosk: u64, seq: u64, at: Timestamp) -> Change {
    let raw = format!(
        r#"{{"seq":{seq},"boot":"{}","at":"{at}","mono_ms":{seq}000,"kind":"fault","peripheral":"printer","fault":"paper_out","state":"raised"}}"#,
        Uuid::from_u128(7)
    );
    Change::JournalRecord(JournalRecordRow {
        kiosk: kiosk_id(kiosk),
        epoch: epoch_of(kiosk),
        seq,
        kind: "fault".into(),
        at,
        placed_at: at,
        received_at: at,
        outcome: RecordOutcome::Applied,
        reason: None,
        digest: Digest::of(raw.as_bytes()),
        raw: Arc::from(raw),
    })
}
