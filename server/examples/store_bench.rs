//! What the store can take on this machine: rows a second of the hot writes, and the time of the large reads.
//!
//! `cargo run --release -p kioskwatch-server --example store_bench -- sqlite:///tmp/bench/db.sqlite postgres://…`
//! Each database must be empty. `cpu s` is this process: all of SQLite's work, and PostgreSQL's client only.
#![expect(clippy::print_stdout, reason = "it prints a table")]
use std::{error::Error, time::Duration};

use kioskwatch_domain::change::{
    Admission, Change, EvidenceRow, EvidenceSource, EvidenceState, JournalHeadRow, JournalRecordRow,
    KioskRow, KioskStateRow, PresenceVerdict, RecordOutcome, RunningSpan, SeenRow, TransitionRow,
};
use kioskwatch_proto::{Epoch, KioskId, Timestamp, journal::Digest};
use kioskwatch_server::{
    clock::Stopwatch,
    store::{KioskFilter, PageRequest, Scope, Store},
};
use uuid::Uuid;

const KIOSKS: u64 = 100_000;
const RECORDS: u64 = 200_000;
const NOW: Timestamp = Timestamp(1_795_248_000_000);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    println!(
        "{:<9} {:<42} {:>8} {:>8} {:>8} {:>8}",
        "database", "what", "rows", "seconds", "cpu s", "rows/s"
    );
    for url in std::env::args().skip(1) {
        let name = url.split(':').next().unwrap_or_default().to_owned();
        Bench { store: Store::open(&url).await?, name }.run().await?;
    }
    Ok(())
}

struct Bench {
    store: Store,
    name: String,
}

impl Bench {
    async fn run(&self) -> Result<()> {
        self.store.take_lease("all", Uuid::from_u128(1), NOW, NOW.plus_ms(1_000)).await?;
        for (epoch, batch) in (1..).zip([1, 20, 100, 500, 1_000, 5_000]) {
            let count = RECORDS.min(batch * 400);
            let what = format!("journal records, {batch} a commit");
            self.write(&what, count, batch, |n| vec![Change::JournalRecord(record(epoch, in_turn(n)))])
                .await?;
        }
        let after_an_outage = |n| vec![Change::JournalRecord(record(98, in_runs(n)))];
        self.write("journal records in runs, 1,000 a commit", RECORDS, 1_000, after_an_outage).await?;
        self.write("records and what they change, 500 a commit", 50_000, 500, |n| ingest(99, n)).await?;
        self.write("kiosks, 5,000 a commit", KIOSKS, 5_000, |n| vec![Change::Kiosk(kiosk(n))]).await?;
        self.write("first states, 5,000 a commit", KIOSKS, 5_000, |n| vec![state(n)]).await?;
        self.write("states again, 5,000 a commit", KIOSKS, 5_000, |n| vec![state(n)]).await?;
        self.write("seen, 5,000 a commit", KIOSKS, 5_000, |n| vec![seen(n)]).await?;
        self.write("live spans, new, 5,000 a commit", KIOSKS, 5_000, |n| vec![live(n, 30)]).await?;
        self.write("live spans, extended, 5,000 a commit", KIOSKS, 5_000, |n| vec![live(n, 60)]).await?;
        self.read().await
    }

    async fn write(
        &self,
        what: &str,
        count: u64,
        batch: u64,
        make: impl Fn(u64) -> Vec<Change>,
    ) -> Result<()> {
        let mut batches = Vec::new();
        let mut n = 0;
        while n < count {
            let end = (n + batch).min(count);
            batches.push((n..end).flat_map(&make).collect::<Vec<_>>());
            n = end;
        }
        let rows = batches.iter().map(Vec::len).sum::<usize>();
        let start = Start::now();
        for changes in &batches {
            self.store.commit(changes).await?;
        }
        self.line(what, rows, &start);
        Ok(())
    }

    async fn read(&self) -> Result<()> {
        let start = Start::now();
        let image = self.store.load_image(NOW).await?;
        self.line("load_image", image.kiosks.len(), &start);
        let start = Start::now();
        let page = self.store.kiosks(&Scope::All, &KioskFilter::default(), &PageRequest::first()).await?;
        self.line("a page of kiosks", page.items.len(), &start);
        let ids: Vec<KioskId> = (0..1_000).map(kiosk_id).collect();
        let start = Start::now();
        let spans = self.store.evidence(&Scope::All, &ids, NOW, NOW.plus_ms(86_400_000)).await?;
        self.line("evidence of 1,000 kiosks", spans.len(), &start);
        Ok(())
    }

    fn line(&self, what: &str, rows: usize, start: &Start) {
        let seconds = start.watch.elapsed().as_secs_f64();
        let cpu = (cpu_time() - start.cpu).as_secs_f64();
        let rate = rows as f64 / seconds;
        println!("{:<9} {what:<42} {rows:>8} {seconds:>8.3} {cpu:>8.3} {rate:>8.0}", self.name);
    }
}

struct Start {
    watch: Stopwatch,
    cpu: Duration,
}

impl Start {
    fn now() -> Self {
        Self { watch: Stopwatch::start(), cpu: cpu_time() }
    }
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn kiosk_id(n: u64) -> KioskId {
    KioskId::new(&format!("K-{n:06}")).expect("a kiosk id of digits is valid")
}

/// A thousand kiosks take turns: each record of a commit is another kiosk's.
fn in_turn(n: u64) -> (u64, u64) {
    (n % 1_000, n / 1_000 + 1)
}

/// A kiosk sends a full window of a hundred, then the next one does.
fn in_runs(n: u64) -> (u64, u64) {
    let (window, place) = (n / 100, n % 100);
    (window % 1_000, window / 1_000 * 100 + place + 1)
}

fn record(epoch: u128, (kiosk, seq): (u64, u64)) -> JournalRecordRow {
    let kiosk = kiosk_id(kiosk);
    let n = seq;
    let raw = format!(
        r#"{{"seq":{seq},"boot":"6f1c1a52-1f64-4f0c-8b61-9a3f1c2f7a10","at":"2026-11-21T08:00:00.123Z","mono_ms":{n},"kind":"fault","peripheral":"printer","fault":"paper_low","state":"raised","severity":"minor","detail":{{"raw":"1004{n:08x}","text":"near end"}}}}"#
    );
    JournalRecordRow {
        kiosk,
        epoch: Epoch(Uuid::from_u128(epoch)),
        seq,
        kind: "fault".into(),
        at: NOW,
        placed_at: NOW,
        received_at: NOW,
        outcome: RecordOutcome::Applied,
        reason: None,
        digest: Digest::of(raw.as_bytes()),
        raw: raw.into(),
    }
}

/// What a typical record leaves behind.
fn ingest(epoch: u128, n: u64) -> Vec<Change> {
    let record = record(epoch, in_turn(n));
    let (kiosk, at) = (record.kiosk.clone(), NOW.plus_ms(n.cast_signed()));
    let head = JournalHeadRow {
        kiosk: kiosk.clone(),
        epoch: record.epoch,
        upto: record.seq,
        digest: Some(record.digest),
        first_seen_at: NOW,
        cursor: String::from("{}"),
    };
    let evidence = EvidenceRow {
        kiosk: kiosk.clone(),
        source: EvidenceSource::Journal,
        from: at,
        to: at.plus_ms(1_000),
        state: EvidenceState::Full,
        cause: None,
        received_at: None,
        epoch: Some(record.epoch),
        seq: Some(record.seq),
        interval_s: None,
    };
    let transition = TransitionRow {
        kiosk: kiosk.clone(),
        kind: "service".into(),
        peripheral: None,
        from: "in_service".into(),
        to: "degraded".into(),
        at,
        noticed_at: at,
        reason: "paper_low".into(),
    };
    vec![
        Change::JournalRecord(record),
        Change::JournalHead(head),
        Change::Evidence(evidence),
        Change::Transition(transition),
        state_of(kiosk),
    ]
}

fn kiosk(n: u64) -> KioskRow {
    KioskRow {
        id: kiosk_id(n),
        site: None,
        admission: Admission::Accepted,
        model: "M-1".into(),
        serial_no: format!("S{n}"),
        commissioned_at: Some(NOW),
        decommissioned_at: None,
        updated_at: NOW,
    }
}

fn state(n: u64) -> Change {
    state_of(kiosk_id(n))
}

fn state_of(kiosk: KioskId) -> Change {
    Change::KioskState(Box::new(KioskStateRow {
        kiosk,
        presence: PresenceVerdict::Online,
        presence_since: NOW,
        presence_reason: "heartbeat".into(),
        last_seen_at: Some(NOW),
        session: None,
        boot: None,
        epoch: Some(Epoch(Uuid::from_u128(1))),
        interval_s: 30,
        service: None,
        service_since: None,
        service_cause: None,
        peripherals:
            r#"{"printer":{"status":"online","faults":["paper_low"]},"acceptor":{"status":"online"}}"#.into(),
        inventory: r#"{"agent_version":"0.1.0","os":"Debian 12","timezone":"Asia/Shanghai"}"#.into(),
        clock_offset_ms: Some(12),
        command_counter: 0,
    }))
}

fn seen(n: u64) -> Change {
    seen_with(n, None)
}

/// A stretch of heartbeats that has run for so long.
fn live(n: u64, seconds: i64) -> Change {
    let running = RunningSpan {
        from: NOW,
        to: NOW.plus_ms(seconds * 1_000),
        state: EvidenceState::Full,
        cause: None,
        interval_s: 30,
    };
    seen_with(n, Some(running))
}

fn seen_with(n: u64, running: Option<RunningSpan>) -> Change {
    Change::Seen(SeenRow {
        kiosk: kiosk_id(n),
        last_seen_at: NOW.plus_ms(30_000),
        interval_s: 30,
        clock_offset_ms: Some(11),
        running,
    })
}
