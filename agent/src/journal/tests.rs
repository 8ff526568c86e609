//! Promises of the journal, with real files and real kills.
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use kioskwatch_agent_core::{
    effect::Draft,
    journal::{Entry, JournalLimits, ReadLimit},
    journal_suite::{self, Bench},
};
use kioskwatch_proto::{
    BootId, CommandId, Epoch, PeripheralName, Timestamp,
    journal::{
        Body, CommandOutcome, CommandResult, Digest, Peripheral, Record, Service, Snapshot, Transaction,
        TransactionOutcome,
    },
    words::{PeripheralStatus, ServiceState},
};
use uuid::Uuid;

use super::*;

mod damage;
pub(crate) mod full;
mod oversized;
mod salvage;

struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("kioskwatch-journal-{}", Uuid::new_v4()));
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }
    fn journal(&self) -> PathBuf {
        self.0.join("journal.sqlite")
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn config(path: PathBuf) -> JournalConfig {
    JournalConfig::new(path, 8 * 1024 * 1024, 72 * 3_600_000)
}

fn boot() -> BootId {
    BootId(Uuid::from_u128(1))
}

fn record(at: i64, body: Body) -> Draft {
    Draft { boot: boot(), at: Timestamp(at), mono_ms: u64::try_from(at).unwrap_or(0), body }
}

fn status(at: i64) -> Op {
    Op::Record(record(
        at,
        Body::Peripheral(Peripheral {
            peripheral: PeripheralName::new("printer").unwrap(),
            status: PeripheralStatus::Online,
        }),
    ))
}

fn service(at: i64) -> Op {
    let service = Service { state: ServiceState::InService, cause: None };
    Op::Record(record(at, Body::Service(service)))
}

fn transaction(at: i64) -> Op {
    Op::Record(record(
        at,
        Body::Transaction(Transaction {
            id: format!("t{at}"),
            kind: "top_up".into(),
            outcome: TransactionOutcome::Completed,
            duration_ms: 5,
        }),
    ))
}

fn snapshot(at: i64, previous_epoch: Option<Epoch>) -> Draft {
    let snapshot =
        Snapshot { service: ServiceState::InService, peripherals: Default::default(), previous_epoch };
    record(at, Body::Snapshot(snapshot))
}

fn write(journal: &Journal, ops: Vec<Op>) -> Done {
    journal.write(ops).blocking_recv().unwrap().unwrap()
}

fn read_all(journal: &Journal) -> Vec<Entry> {
    let all = journal
        .read(1, ReadLimit { records: usize::MAX, bytes: usize::MAX })
        .blocking_recv()
        .unwrap()
        .unwrap();
    for pair in all.windows(2) {
        assert_eq!(pair[1].seq, pair[0].through + 1, "no gaps");
    }
    all
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let dir = TempDir::new();
    let (journal, opened) = Journal::open(&config(dir.journal())).unwrap();
    assert_eq!(opened.previous, None);
    assert_eq!(opened.head.pending(), 0);
    let done = write(&journal, vec![status(1), status(2), Op::Tick { boot: boot(), at: Timestamp(5) }]);
    assert_eq!(done.written.iter().map(|w| w.as_ref().unwrap().seq).collect::<Vec<_>>(), [1, 2]);
    let id = CommandId(Uuid::from_u128(9));
    let command = CommandRow { id, counter: 7, not_after: Timestamp(10), state: "started".into() };
    write(&journal, vec![Op::Command(command.clone()), Op::Counter(7), Op::Remember("{}".into())]);
    write(&journal, vec![Op::Clean]);
    drop(journal);

    let (journal, reopened) = Journal::open(&config(dir.journal())).unwrap();
    assert_eq!(reopened.head.epoch, opened.head.epoch);
    assert_eq!(reopened.head.last_seq, 2);
    let previous = PreviousRun { boot: boot(), alive_until: Timestamp(5), clean: true, unrecorded: false };
    assert_eq!(reopened.previous, Some(previous));
    assert_eq!(
        (reopened.counter, reopened.commands, reopened.remembered.as_deref()),
        (7, vec![command], Some("{}"))
    );
    let all = read_all(&journal);
    assert_eq!(Record::parse(&all[1].json).unwrap().header.seq, 2);
    assert_eq!(journal.digest(2).blocking_recv().unwrap().unwrap(), Some(Digest::of(all[1].json.as_bytes())));
    assert_eq!(done.written[1].as_ref().unwrap().digest, Digest::of(all[1].json.as_bytes()));
}

/// The core's suite on real files, reopened as after a kill.
struct Files(TempDir, u32);

impl Bench for Files {
    type Journal = store::Store;

    fn fresh(&mut self, epoch: Epoch, limits: JournalLimits) -> store::Store {
        self.1 += 1;
        let path = self.0.0.join(format!("{}.sqlite", self.1));
        let config = JournalConfig { limits, ..config(path) };
        let (mut store, ..) = open::open(&config).unwrap();
        store
            .in_transaction(|turn| {
                turn.state.epoch = epoch;
                Ok(())
            })
            .unwrap();
        store
    }

    fn reopen(&mut self, journal: store::Store) -> store::Store {
        let config = journal.config.clone();
        drop(journal);
        let (store, opened, _lock) = open::open(&config).unwrap();
        assert_eq!(opened.notices, []);
        store
    }
}

#[test]
fn it_keeps_the_promises_the_core_makes_of_a_journal() {
    journal_suite::run_all(&mut Files(TempDir::new(), 0));
}

#[test]
fn a_second_agent_is_refused_and_export_is_not() {
    let dir = TempDir::new();
    let (journal, _) = Journal::open(&config(dir.journal())).unwrap();
    write(&journal, vec![status(1)]);
    assert!(matches!(Journal::open(&config(dir.journal())), Err(JournalError::InUse { .. })));
    let mut out = Vec::new();
    assert_eq!(export(&dir.journal(), &mut out).unwrap(), 1);
    assert!(String::from_utf8(out).unwrap().contains("\"kind\":\"peripheral\""));
}

#[test]
fn only_a_lock_that_another_holds_is_waited_for() {
    use rustix::io::Errno;
    let tries = std::cell::Cell::new(0);
    let ask = |answer: fn(i32) -> rustix::io::Result<()>| {
        tries.set(0);
        let outcome = open::take(|| {
            tries.set(tries.get() + 1);
            answer(tries.get())
        });
        (outcome, tries.get())
    };
    assert_eq!(ask(|n| if n < 3 { Err(Errno::WOULDBLOCK) } else { Ok(()) }), (Ok(()), 3));
    for never in [|_| Err(Errno::NOLCK), |_| Err(Errno::OPNOTSUPP)] {
        let (outcome, tries) = ask(never);
        assert!(outcome.is_err() && outcome != Err(Errno::WOULDBLOCK), "{outcome:?}");
        assert_eq!(tries, 1);
    }
    let (outcome, tries) = ask(|_| Err(Errno::WOULDBLOCK));
    assert_eq!(outcome, Err(Errno::WOULDBLOCK));
    assert!(tries > 2, "{tries}");
}

#[test]
fn acknowledged_records_stay_until_their_time_is_over_and_the_mark_may_go_back() {
    let dir = TempDir::new();
    let (journal, _) = Journal::open(&config(dir.journal())).unwrap();
    write(&journal, (1..=10).map(status).collect());
    let done = write(&journal, vec![Op::Acked { upto: 6, at: Timestamp(1000) }]);
    assert_eq!((done.head.acked, done.head.first), (6, 1));
    let done = write(&journal, vec![Op::Acked { upto: 99, at: Timestamp(1000) }]);
    assert_eq!(done.head.acked, 6, "above the last number is never obeyed");
    let done = write(&journal, vec![Op::Acked { upto: 4, at: Timestamp(1000) }]);
    assert_eq!(done.head.acked, 4);
    let done = write(&journal, vec![Op::Tick { boot: boot(), at: Timestamp(999 + 72 * 3_600_000) }]);
    assert_eq!(done.head.first, 1);
    let done = write(&journal, vec![Op::Tick { boot: boot(), at: Timestamp(1000 + 72 * 3_600_000) }]);
    assert_eq!((done.head.first, done.head.last_seq), (5, 10));
}

#[test]
fn a_new_epoch_begins_with_a_snapshot_and_carries_the_rest_under_new_numbers() {
    let dir = TempDir::new();
    let (journal, opened) = Journal::open(&config(dir.journal())).unwrap();
    write(&journal, (1..=5).map(status).collect());
    let epoch = Epoch(Uuid::from_u128(77));
    let first = snapshot(6, Some(opened.head.epoch));
    let done = write(&journal, vec![Op::NewEpoch { epoch, first, resend_from: 4 }]);
    assert_eq!(done.head, Head { epoch, first: 1, last_seq: 3, acked: 0 });
    let all = read_all(&journal);
    let was = Record::parse(&all[1].json).unwrap().header.was.unwrap();
    assert_eq!((was.epoch, was.seq), (opened.head.epoch, 4));
    assert_eq!(Record::parse(&all[0].json).unwrap().body.kind(), "snapshot");
}

#[test]
fn the_cap_takes_telemetry_first_and_leaves_no_gap() {
    let dir = TempDir::new();
    let small = JournalConfig::new(dir.journal(), MIN_CAP_BYTES, 0);
    let (journal, _) = Journal::open(&small).unwrap();
    write(&journal, (1..=200).map(service).collect());
    let mut whole = false;
    let mut evicted = 0;
    for round in 0..40 {
        let done = write(&journal, (0..200).map(|i| transaction(round * 200 + i)).collect());
        for notice in done.notices {
            if let Notice::Evicted { records, snapshot_wanted } = notice {
                whole |= snapshot_wanted;
                evicted += records;
            }
        }
    }
    assert!(!whole && evicted > 1000, "{evicted}");
    let all = read_all(&journal);
    assert_eq!(all.iter().filter(|s| s.json.contains("\"kind\":\"service\"")).count(), 200);
    let held = all.iter().filter(|s| s.json.contains("\"kind\":\"transaction\"")).count() as u64;
    assert_eq!(held + evicted, 8000, "each is held or counted");
    assert!(std::fs::metadata(dir.journal()).unwrap().len() <= MIN_CAP_BYTES);
}

#[test]
fn when_telemetry_is_not_enough_the_oldest_tenth_goes_and_says_so() {
    let dir = TempDir::new();
    let small = JournalConfig::new(dir.journal(), MIN_CAP_BYTES, 0);
    let (journal, _) = Journal::open(&small).unwrap();
    let mut whole = false;
    for round in 0..40 {
        let done = write(&journal, (0..200).map(|i| service(round * 200 + i)).collect());
        whole |= done.notices.iter().any(|n| matches!(n, Notice::Evicted { snapshot_wanted: true, .. }));
    }
    assert!(whole);
    let all = read_all(&journal);
    assert_eq!(all.last().unwrap().through, 8000);
    // Whoever asks for a number inside the range gets the record that stands for it.
    let range = all.iter().find(|e| e.through > e.seq).unwrap();
    let inside = journal.read(range.seq + 1, ReadLimit { records: 1, bytes: 1 }).blocking_recv();
    assert_eq!(inside.unwrap().unwrap(), std::slice::from_ref(range));
    drop(journal);
    Journal::open(&small).unwrap();
}

#[test]
fn a_file_that_is_no_journal_is_set_aside_under_a_number() {
    for damage in [&b"this is not a database, and long enough to have a header of one"[..], &[0; 8192]] {
        let dir = TempDir::new();
        std::fs::write(dir.journal(), damage).unwrap();
        let (journal, opened) = Journal::open(&config(dir.journal())).unwrap();
        assert!(
            matches!(&opened.notices[..], [Notice::SetAside { path, .. }] if path.ends_with("journal.sqlite.corrupt-1"))
        );
        write(&journal, vec![status(1)]);
    }
}

#[test]
fn only_so_many_damaged_files_are_kept() {
    let dir = TempDir::new();
    for _ in 0..KEEP_SET_ASIDE + 3 {
        std::fs::write(dir.journal(), "damaged beyond what anyone could read").unwrap();
        drop(Journal::open(&config(dir.journal())).unwrap());
    }
    let kept = std::fs::read_dir(&dir.0)
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains("corrupt"))
        .count();
    assert_eq!(kept, KEEP_SET_ASIDE);
}

#[test]
fn a_flipped_record_is_never_read_and_the_others_are_carried_over() {
    let dir = TempDir::new();
    let (journal, opened) = Journal::open(&config(dir.journal())).unwrap();
    write(&journal, (1..=3).map(status).chain([Op::Counter(42)]).collect());
    drop(journal);
    let conn = rusqlite::Connection::open(dir.journal()).unwrap();
    conn.execute("UPDATE record SET json = replace(json, 'online', 'onlIne') WHERE seq = 2", []).unwrap();
    drop(conn);
    let (journal, reopened) = Journal::open(&config(dir.journal())).unwrap();
    assert_ne!(reopened.head.epoch, opened.head.epoch);
    assert_eq!(reopened.counter, 42, "no command runs twice because a disk went bad");
    let records: Vec<_> = read_all(&journal).iter().map(|s| Record::parse(&s.json).unwrap()).collect();
    let was: Vec<u64> = records.iter().map(|record| record.header.was.unwrap().seq).collect();
    assert_eq!(was, [1, 2, 3]);
    assert!(matches!(&records[1].body, Body::Dropped(range) if range.through == 2), "said to be lost");
}

#[test]
fn a_page_lost_in_the_middle_costs_only_what_stood_on_it() {
    let dir = TempDir::new();
    let (journal, _) = Journal::open(&config(dir.journal())).unwrap();
    write(&journal, (1..=400).map(status).chain([Op::Counter(42)]).collect());
    drop(journal);
    let conn = rusqlite::Connection::open(dir.journal()).unwrap();
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(conn);
    let mut bytes = std::fs::read(dir.journal()).unwrap();
    let middle = br#""seq":200,"#;
    let found = bytes.windows(middle.len()).position(|w| w == middle).unwrap();
    let page = found / 4096 * 4096;
    bytes[page..page + 4096].fill(0xa5);
    std::fs::write(dir.journal(), bytes).unwrap();
    let (journal, opened) = Journal::open(&config(dir.journal())).unwrap();
    assert!(matches!(&opened.notices[..], [Notice::SetAside { .. }]), "{:?}", opened.notices);
    assert_eq!(opened.counter, 42);
    let was: Vec<u64> =
        read_all(&journal).iter().map(|s| Record::parse(&s.json).unwrap().header.was.unwrap().seq).collect();
    assert!(was.is_sorted_by(|a, b| a < b), "{was:?}");
    assert!(was.starts_with(&[1, 2, 3]) && was.ends_with(&[398, 399, 400]), "{was:?}");
    assert!(!was.contains(&200) && was.len() > 340, "{} of 400", was.len());
}

#[test]
fn a_table_that_lost_a_column_is_damage() {
    for (table, column) in [
        ("command", "counter"),
        ("record", "crc"),
        ("record", "through"),
        ("record", "kind"),
        ("state", "clean"),
    ] {
        let dir = TempDir::new();
        drop(Journal::open(&config(dir.journal())).unwrap());
        let conn = rusqlite::Connection::open(dir.journal()).unwrap();
        conn.execute_batch(&format!("ALTER TABLE {table} RENAME COLUMN {column} TO lost")).unwrap();
        drop(conn);
        let (_, opened) = Journal::open(&config(dir.journal())).unwrap();
        assert!(matches!(&opened.notices[..], [Notice::SetAside { .. }]), "{table} {column}");
    }
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let dir = TempDir::new();
    drop(Journal::open(&config(dir.journal())).unwrap());
    let conn = rusqlite::Connection::open(dir.journal()).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    let error = Journal::open(&config(dir.journal())).unwrap_err();
    assert!(error.to_string().contains("newer agent"), "{error}");
}

const CHILD: &str = "KIOSKWATCH_TEST_JOURNAL_CHILD";

/// Not a test by itself: the body of the process that the next test kills.
#[test]
fn child_writes_until_it_is_killed() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let (journal, opened) = Journal::open(&config(path.into())).unwrap();
    let mut out = std::io::stdout();
    let mut at = i64::try_from(opened.head.last_seq).unwrap();
    loop {
        let count = at % 3 + 1;
        let done = write(&journal, (0..count).map(|i| status(at + i)).collect());
        at += count;
        writeln!(out, "written {}", done.head.last_seq).unwrap();
        out.flush().unwrap();
    }
}

fn run_and_kill(path: &Path, after_lines: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "journal::tests::child_writes_until_it_is_killed", "--nocapture"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut last = 0;
    let mut seen = 0;
    while seen < after_lines {
        let line = lines.next().expect("the child writes until it is killed").unwrap();
        if let Some(number) = line.rsplit_once("written ").and_then(|(_, n)| n.parse().ok()) {
            last = number;
            seen += 1;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it still said before it died counts too.
    for line in lines.map_while(Result::ok) {
        if let Some(number) = line.rsplit_once("written ").and_then(|(_, n)| n.parse().ok()) {
            last = number;
        }
    }
    last
}

#[test]
fn nothing_that_was_told_is_lost_by_a_kill() {
    let dir = TempDir::new();
    let mut told = 0;
    for round in 0..12 {
        told = run_and_kill(&dir.journal(), 1 + round * 7 % 11).max(told);
        let (journal, opened) = Journal::open(&config(dir.journal())).unwrap();
        assert!(opened.notices.is_empty(), "a kill damages nothing");
        assert!(opened.head.last_seq >= told, "{} < {told}", opened.head.last_seq);
        let all = read_all(&journal);
        assert_eq!(all.len() as u64, opened.head.last_seq);
    }
    assert!(told > 30);
}
