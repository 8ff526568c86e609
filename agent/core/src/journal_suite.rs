//! What every journal must do, as checks that run against any implementation.
//!
//! Each check is a function that panics with what went wrong; [`run_all`] runs them all, each on a fresh
//! journal. The durable journal runs them on a real file, with a real reopening.
use kioskwatch_proto::{
    BootId, Epoch, PeripheralName, Timestamp,
    faults::FaultCode,
    journal::{
        Body, Digest, Fault, FaultDetail, FaultState, Record, Snapshot, Transaction, TransactionOutcome, Was,
    },
    words::{ServiceState, Severity},
};
use uuid::Uuid;

use crate::{
    effect::Draft,
    journal::{Entry, Journal, JournalLimits, JournalView, ReadLimit},
};

/// Makes journals to be checked.
pub trait Bench {
    type Journal: Journal;
    /// An empty journal of this epoch.
    fn fresh(&mut self, epoch: Epoch, limits: JournalLimits) -> Self::Journal;
    /// The same journal after the process was killed and started again.
    fn reopen(&mut self, journal: Self::Journal) -> Self::Journal;
}

pub fn run_all(bench: &mut impl Bench) {
    numbers_are_given_without_gaps_and_survive_a_restart(bench);
    reading_gives_the_exact_bytes_within_its_limits(bench);
    the_acknowledged_mark_moves_both_ways_but_never_beyond_the_end(bench);
    acknowledged_records_stay_until_their_time_is_over(bench);
    what_is_held_tells_the_whole_state_or_asks_for_a_snapshot(bench);
    a_clock_that_was_set_makes_no_hole_and_keeps_nothing_for_ever(bench);
    a_full_journal_drops_transactions_before_faults_and_leaves_no_hole(bench);
    what_was_ever_acknowledged_is_not_replaced_while_anything_else_is_left(bench);
    a_full_journal_of_faults_drops_its_oldest_tenth_and_wants_a_snapshot(bench);
    a_new_epoch_starts_with_a_snapshot_and_says_where_records_stood(bench);
}

const NOW: Timestamp = Timestamp(1_795_248_000_000);
const ALL: ReadLimit = ReadLimit { records: usize::MAX, bytes: usize::MAX };

pub fn epoch(n: u128) -> Epoch {
    Epoch(Uuid::from_u128(n))
}

fn draft(n: u64, body: Body) -> Draft {
    let at = NOW.plus_ms(i64::try_from(n).unwrap_or(0));
    Draft { boot: BootId(Uuid::from_u128(7)), at, mono_ms: n, body }
}

/// A fault record that tells itself from others by `n`.
pub fn fault(n: u64) -> Draft {
    draft(
        n,
        Body::Fault(Fault {
            peripheral: PeripheralName::host(),
            fault: FaultCode::new("disk_full").expect("a well-formed code"),
            state: if n.is_multiple_of(2) { FaultState::Raised } else { FaultState::Cleared },
            severity: Severity::Minor,
            detail: FaultDetail { raw: None, text: Some(format!("number {n}")) },
        }),
    )
}

pub fn transaction(n: u64) -> Draft {
    draft(
        n,
        Body::Transaction(Transaction {
            id: format!("t{n}"),
            kind: "payment".into(),
            outcome: TransactionOutcome::Completed,
            duration_ms: n,
        }),
    )
}

pub fn snapshot(previous_epoch: Option<Epoch>) -> Draft {
    draft(
        0,
        Body::Snapshot(Snapshot {
            service: ServiceState::InService,
            peripherals: std::collections::BTreeMap::new(),
            previous_epoch,
        }),
    )
}

fn append(journal: &mut impl Journal, drafts: &[Draft]) -> crate::journal::Appended {
    journal.append(drafts, NOW).expect("appending to a sound journal")
}

/// How many records left.
fn prune(journal: &mut impl Journal, now: Timestamp) -> u64 {
    journal.prune(now).expect("pruning a sound journal").records
}

fn read(journal: &impl Journal, from: u64, limit: ReadLimit) -> Vec<Entry> {
    journal.read(from, limit).expect("reading a sound journal")
}

fn record(entry: &Entry) -> Record {
    Record::parse(&entry.json).expect("a journal holds readable records")
}

/// Every number from first to last is covered once, and the JSON says the same as the entry.
pub fn check_sound(journal: &impl Journal) {
    let entries = read(journal, journal.first(), ALL);
    let mut next = journal.first();
    for entry in &entries {
        assert_eq!(entry.seq, next, "a hole or an overlap");
        let record = record(entry);
        assert_eq!(record.header.seq, entry.seq);
        let through = if let Body::Dropped(d) = &record.body { d.through } else { entry.seq };
        assert_eq!(entry.through, through);
        let dropped = matches!(record.body, Body::Dropped(_));
        let digest = (!dropped).then(|| Digest::of(entry.json.as_bytes()));
        assert_eq!(journal.digest(entry.seq), digest, "of {}", record.body.kind());
        assert_eq!(journal.digest(entry.through), digest, "of {}", record.body.kind());
        next = entry.through + 1;
    }
    assert_eq!(journal.last() + 1, next, "the end is missing");
    assert!(journal.acked() <= journal.last());
}

fn numbers_are_given_without_gaps_and_survive_a_restart(bench: &mut impl Bench) {
    let mut journal = bench.fresh(epoch(1), JournalLimits::default());
    assert_eq!((journal.first(), journal.last(), journal.acked()), (1, 0, 0));
    assert_eq!(append(&mut journal, &[fault(1), fault(2)]).last, 2);
    let mut journal = bench.reopen(journal);
    assert_eq!(journal.epoch(), epoch(1));
    assert_eq!(append(&mut journal, &[transaction(3)]).last, 3);
    let seqs: Vec<_> = read(&journal, 1, ALL).iter().map(|e| e.seq).collect();
    assert_eq!(seqs, [1, 2, 3]);
    assert_eq!(record(&read(&journal, 2, ALL)[0]).body, fault(2).body);
    check_sound(&journal);
}

fn reading_gives_the_exact_bytes_within_its_limits(bench: &mut impl Bench) {
    let mut journal = bench.fresh(epoch(1), JournalLimits::default());
    append(&mut journal, &(1..=10).map(fault).collect::<Vec<_>>());
    let entries = read(&journal, 4, ReadLimit { records: 3, bytes: usize::MAX });
    assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), [4, 5, 6]);
    for (entry, n) in entries.iter().zip(4..) {
        assert_eq!(entry.json, fault(n).numbered(n, None).to_json());
    }
    let two = entries[..2].iter().map(|e| e.json.len() + 1).sum();
    assert_eq!(read(&journal, 4, ReadLimit { records: 9, bytes: two }).len(), 2);
    assert_eq!(read(&journal, 4, ReadLimit { records: 9, bytes: 1 }).len(), 1, "never stuck on one record");
    assert!(read(&journal, 11, ALL).is_empty());
    assert_eq!(journal.digest(11), None);
}

fn the_acknowledged_mark_moves_both_ways_but_never_beyond_the_end(bench: &mut impl Bench) {
    let mut journal = bench.fresh(epoch(1), JournalLimits::default());
    append(&mut journal, &(1..=5).map(fault).collect::<Vec<_>>());
    for (upto, expected) in [(4, 4), (2, 2), (6, 2), (0, 0), (5, 5)] {
        journal.ack(upto, NOW).expect("acknowledging");
        assert_eq!(journal.acked(), expected, "ack {upto}");
    }
    let journal = bench.reopen(journal);
    assert_eq!(journal.acked(), 5);
    assert_eq!(read(&journal, 1, ALL).len(), 5, "a restored server can still have them");
}

fn acknowledged_records_stay_until_their_time_is_over(bench: &mut impl Bench) {
    let limits = JournalLimits { keep_acked_ms: 1_000, ..JournalLimits::default() };
    let mut journal = bench.fresh(epoch(1), limits);
    append(&mut journal, &(1..=5).map(fault).collect::<Vec<_>>());
    journal.ack(3, NOW).expect("acknowledging");
    assert_eq!(prune(&mut journal, NOW.plus_ms(999)), 0);
    assert_eq!(prune(&mut journal, NOW.plus_ms(1_000)), 3);
    assert_eq!((journal.first(), journal.last(), journal.acked()), (4, 5, 3));
    journal.ack(5, NOW).expect("acknowledging");
    assert_eq!(prune(&mut journal, NOW.plus_ms(5_000)), 2);
    let mut journal = bench.reopen(journal);
    assert_eq!((journal.first(), journal.last(), journal.acked()), (6, 5, 5), "numbers are never reused");
    assert_eq!(append(&mut journal, &[fault(6)]).last, 6);
    check_sound(&journal);
}

fn what_is_held_tells_the_whole_state_or_asks_for_a_snapshot<B: Bench>(bench: &mut B) {
    let limits = JournalLimits { keep_acked_ms: 1_000, ..JournalLimits::default() };
    let aged = |journal: &mut B::Journal, upto: u64, at: i64| {
        journal.ack(upto, NOW.plus_ms(at)).expect("acknowledging");
        let pruned = journal.prune(NOW.plus_ms(at + 1_000)).expect("pruning");
        (pruned.records, pruned.snapshot_wanted)
    };
    let mut journal = bench.fresh(epoch(1), limits);
    append(&mut journal, &[snapshot(None), fault(1), snapshot(None), fault(2), fault(3)]);
    assert_eq!(aged(&mut journal, 1, 0), (1, false), "another one is held");
    assert_eq!(aged(&mut journal, 2, 2_000), (1, false), "no snapshot");
    let mut journal = bench.reopen(journal);
    assert_eq!(aged(&mut journal, 4, 4_000), (2, true), "the last one");
    assert_eq!(aged(&mut journal, 5, 6_000), (1, false), "asked for once");

    let limits = JournalLimits { cap_bytes: 20_000, protect_head: 5, ..JournalLimits::default() };
    let mut journal = bench.fresh(epoch(1), limits);
    append(&mut journal, &[snapshot(None), fault(1)]);
    journal.ack(2, NOW).expect("acknowledging");
    let mut wanted = 0;
    for n in 0..200 {
        wanted += u32::from(append(&mut journal, &[transaction(n)]).snapshot_wanted);
    }
    assert_eq!(wanted, 1, "its place was needed, and it was asked for once");
}

fn a_clock_that_was_set_makes_no_hole_and_keeps_nothing_for_ever<B: Bench>(bench: &mut B) {
    let limits = JournalLimits { keep_acked_ms: 1_000, ..JournalLimits::default() };
    for ahead in [600, 500_000] {
        let mut journal = bench.fresh(epoch(1), limits);
        append(&mut journal, &(1..=6).map(fault).collect::<Vec<_>>());
        // 1 and 2 by a clock that is right, 3 by one that is ahead, 4 and 5 after it was set.
        for (upto, at) in [(2, 0), (3, 100 + ahead), (5, 200)] {
            journal.ack(upto, NOW.plus_ms(at)).expect("acknowledging");
        }
        let prune = |journal: &mut B::Journal, at: i64, first: u64| {
            journal.prune(NOW.plus_ms(at)).expect("pruning");
            assert_eq!(journal.first(), first, "{ahead} ahead, {at} later");
            check_sound(journal);
        };
        prune(&mut journal, 999, 1);
        prune(&mut journal, 1_100, 3);
        let mut journal = bench.reopen(journal);
        prune(&mut journal, 1_199, 3);
        // The one behind tells how old it is, unless its own time has come and is not over.
        prune(&mut journal, 1_200, if ahead == 600 { 3 } else { 6 });
        prune(&mut journal, 2_000, 6);
        assert_eq!(journal.last(), 6);
    }
    // A clock that lost its battery: what it says is over by no clock.
    let mut journal = bench.fresh(epoch(1), limits);
    append(&mut journal, &(1..=3).map(fault).collect::<Vec<_>>());
    journal.ack(2, NOW).expect("acknowledging");
    journal.ack(3, Timestamp(10)).expect("acknowledging");
    assert_eq!(prune(&mut journal, Timestamp(20)), 0);
    assert_eq!(prune(&mut journal, NOW.plus_ms(999)), 0);
    assert_eq!(prune(&mut journal, NOW.plus_ms(1_000)), 3);
}

fn what_was_ever_acknowledged_is_not_replaced_while_anything_else_is_left(bench: &mut impl Bench) {
    let limits = JournalLimits { cap_bytes: 20_000, protect_head: 5, ..JournalLimits::default() };
    let mut journal = bench.fresh(epoch(1), limits);
    append(&mut journal, &(1..=40).map(transaction).collect::<Vec<_>>());
    let applied = journal.digest(40);
    assert!(applied.is_some());
    journal.ack(40, NOW).expect("acknowledging");
    // A word that overtook its successor, or a server that was restored.
    journal.ack(10, NOW).expect("acknowledging");
    let mut journal = bench.reopen(journal);
    for n in 41..=300 {
        append(&mut journal, &[transaction(n)]);
        check_sound(&journal);
    }
    assert_eq!(journal.first(), 11, "what is acknowledged leaves first");
    let entries = read(&journal, 11, ALL);
    assert!(entries.iter().any(|e| e.seq < e.through), "something had to go");
    let untouched = entries.iter().take_while(|e| e.seq == e.through).count();
    assert!(untouched >= 30 + 5, "{untouched}: what was acknowledged, and what may be in flight behind it");
    assert_eq!(journal.digest(40), applied, "no contradiction to the server's word");
}

fn a_full_journal_drops_transactions_before_faults_and_leaves_no_hole(bench: &mut impl Bench) {
    let limits = JournalLimits { cap_bytes: 20_000, protect_head: 5, ..JournalLimits::default() };
    let mut journal = bench.fresh(epoch(1), limits);
    let mut evicted = 0;
    for n in 1..=300 {
        let draft = if n % 50 == 0 { fault(n) } else { transaction(n) };
        let done = append(&mut journal, &[draft]);
        assert!(!done.snapshot_wanted, "no important record had to go at {n}");
        evicted += done.evicted;
        check_sound(&journal);
    }
    let entries = read(&journal, 1, ALL);
    let records: Vec<_> = entries.iter().map(record).collect();
    let faults = records.iter().filter(|r| matches!(r.body, Body::Fault(_))).count();
    assert_eq!(faults, 6, "every fault is still there");
    let counted: u64 = records
        .iter()
        .filter_map(
            |r| if let Body::Dropped(d) = &r.body { Some(d.counts.values().sum::<u64>()) } else { None },
        )
        .sum();
    assert_eq!(counted, evicted);
    assert!(entries.iter().map(|e| e.json.len()).sum::<usize>() <= 20_000);
    assert!(entries[..5].iter().all(|e| e.seq == e.through), "what may be in flight is untouched");
    check_sound(&bench.reopen(journal));
}

fn a_full_journal_of_faults_drops_its_oldest_tenth_and_wants_a_snapshot(bench: &mut impl Bench) {
    let limits = JournalLimits { cap_bytes: 20_000, protect_head: 5, ..JournalLimits::default() };
    let mut journal = bench.fresh(epoch(1), limits);
    let mut wanted = 0;
    for n in 1..=200 {
        wanted += u32::from(append(&mut journal, &[fault(n)]).snapshot_wanted);
        check_sound(&journal);
    }
    assert!(wanted > 0, "a lost range must be followed by a snapshot");
    assert_eq!(journal.last(), 200);
    let newest = read(&journal, 200, ALL);
    assert_eq!(record(&newest[0]).body, fault(200).body);
}

fn a_new_epoch_starts_with_a_snapshot_and_says_where_records_stood(bench: &mut impl Bench) {
    let mut journal = bench.fresh(epoch(1), JournalLimits::default());
    append(&mut journal, &(1..=5).map(fault).collect::<Vec<_>>());
    journal.ack(3, NOW).expect("acknowledging");
    journal.start_epoch(epoch(2), &snapshot(Some(epoch(1))), 4).expect("starting an epoch");
    let mut journal = bench.reopen(journal);
    assert_eq!(journal.epoch(), epoch(2));
    assert_eq!((journal.first(), journal.last(), journal.acked()), (1, 3, 0));
    let records: Vec<_> = read(&journal, 1, ALL).iter().map(record).collect();
    assert!(matches!(&records[0].body, Body::Snapshot(s) if s.previous_epoch == Some(epoch(1))));
    assert_eq!(records[1].header.was, Some(Was { epoch: epoch(1), seq: 4 }));
    assert_eq!((records[2].header.seq, &records[2].body), (3, &fault(5).body));
    check_sound(&journal);
    journal.start_epoch(epoch(3), &snapshot(Some(epoch(2))), 1).expect("starting an epoch");
    let records: Vec<_> = read(&journal, 1, ALL).iter().map(record).collect();
    assert_eq!(records.last().and_then(|r| r.header.was), Some(Was { epoch: epoch(1), seq: 5 }));
    assert_eq!(records.len(), 4, "an earlier snapshot goes along");
}
