//! A disk without room, and the reserve for it.
use super::*;

#[test]
fn a_full_disk_drops_telemetry_keeps_faults_and_goes_on_when_there_is_room() {
    let dir = TempDir::new();
    let (store, ..) = open::open(&config(dir.journal())).unwrap();
    // As small as the file is now: every write that needs a page fails as on a full disk.
    let pages: i64 = store.conn.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    store.conn.pragma_update(None, "max_page_count", pages).unwrap();
    let mut store = store;
    let many: Vec<Op> = (0..200).map(status).collect();
    let error = store.apply(&[&many]).unwrap_err();
    assert!(matches!(error, JournalError::Full { .. }), "{error}");
    assert_eq!(store.head().last_seq, 0, "nothing of a refused group is left");
    store.conn.pragma_update(None, "max_page_count", 2000).unwrap();
    store.apply(&[&many]).unwrap();
    assert_eq!(store.head().last_seq, 200);
}

#[test]
fn a_full_disk_never_loses_the_order_of_what_is_important() {
    let dir = TempDir::new();
    // A wall of 1 MiB that the cap of the records knows nothing of: as a disk that fills up from elsewhere.
    let mut config = JournalConfig::new(dir.journal(), MIN_CAP_BYTES, 0);
    config.limits.cap_bytes = 2 * MIN_CAP_BYTES;
    let (journal, _) = Journal::open(&config).unwrap();
    let (mut notices, mut left_out) = (Vec::new(), 0);
    for round in 0..40 {
        let ops = (0..200).flat_map(|i| [service(round * 200 + i), transaction(i)]).collect();
        let done = write(&journal, ops);
        assert_eq!(done.written.len(), 400, "every record is answered for");
        left_out += done.written.iter().filter(|w| w.is_none()).count();
        assert!(done.written.iter().step_by(2).all(Option::is_some), "only telemetry is left out");
        notices.extend(done.notices);
    }
    assert!(left_out > 0 && notices.contains(&Notice::DiskFull(true)), "{left_out}");
    assert!(notices.contains(&Notice::DiskFull(false)), "it goes on when there is room");
    let at: Vec<i64> = read_all(&journal)
        .iter()
        .map(|s| Record::parse(&s.json).unwrap())
        .filter(|r| r.body.kind() == "service")
        .map(|r| r.header.at.ms())
        .collect();
    assert!(at.is_sorted(), "in the order they were given");
    drop(journal);
    assert_eq!(Journal::open(&config).unwrap().1.notices, []);
}

/// Leaves the journal no room for another record, as a program beside it does on the disk, until dropped.
pub(crate) struct NoRoom(rusqlite::Connection);

impl NoRoom {
    pub(crate) fn in_journal(path: &Path) -> Self {
        let conn = rusqlite::Connection::open(path).unwrap();
        // A busy machine lets the journal's own tries go first for long, and must not make it wait in turn.
        conn.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
        // Whoever wants to write a record needs more pages than its connection may use.
        let sql = "PRAGMA synchronous = OFF;
             CREATE TABLE ballast (bytes BLOB);
             CREATE TRIGGER no_room BEFORE INSERT ON record BEGIN
                 INSERT INTO ballast VALUES (zeroblob(100000000));
             END";
        conn.execute_batch(sql).unwrap();
        Self(conn)
    }
}

impl Drop for NoRoom {
    fn drop(&mut self) {
        self.0.execute_batch("DROP TRIGGER no_room; DROP TABLE ballast").unwrap();
    }
}

#[test]
fn what_finds_no_place_even_among_what_waits_is_answered_and_the_whole_state_is_wanted() {
    let dir = TempDir::new();
    let (journal, _) = Journal::open(&JournalConfig::new(dir.journal(), MIN_CAP_BYTES, 0)).unwrap();
    let no_room = NoRoom::in_journal(&dir.journal());
    const TOO_MANY: i64 = 7;
    let most = i64::try_from(writer::MAX_STUCK).unwrap();
    let mut replies: Vec<_> = (0..most + TOO_MANY).map(|at| journal.write(vec![service(at)])).collect();
    let epoch = Epoch(Uuid::from_u128(77));
    let renewal = journal.write(vec![Op::NewEpoch { epoch, first: snapshot(0, None), resend_from: 1 }]);
    for refused in replies.split_off(writer::MAX_STUCK) {
        let answer = refused.blocking_recv().unwrap();
        assert!(matches!(answer, Err(JournalError::Full { .. })), "{answer:?}");
    }
    drop(no_room);
    for (reply, seq) in replies.into_iter().zip(1..) {
        let done = reply.blocking_recv().unwrap().unwrap();
        assert_eq!(done.written[0].as_ref().map(|w| w.seq), Some(seq), "in the order they were given");
    }
    assert_eq!(renewal.blocking_recv().unwrap().unwrap().head.epoch, epoch, "asked for once, never lost");
    let notices = write(&journal, vec![status(1)]).notices;
    let lost = Notice::Evicted { records: TOO_MANY.unsigned_abs(), snapshot_wanted: true };
    assert_eq!(notices, [Notice::DiskFull(false), lost]);
}

#[test]
fn a_reserve_for_a_full_disk_is_laid_down_and_given_up() {
    let dir = TempDir::new();
    let _journal = Journal::open(&config(dir.journal())).unwrap();
    let reserve = open::beside(&dir.journal(), ".reserve");
    assert_eq!(std::fs::metadata(&reserve).unwrap().len(), RESERVE_BYTES);
    assert!(open::give_up_reserve(&dir.journal()) && !reserve.exists());
}

#[test]
fn a_reserve_that_found_no_room_is_laid_down_when_there_is_some() {
    let dir = TempDir::new();
    let reserve = open::beside(&dir.journal(), ".reserve");
    // Nothing can be written there.
    std::fs::create_dir(&reserve).unwrap();
    let (journal, _) = Journal::open(&config(dir.journal())).unwrap();
    // The reserve is tried for after the answer, and before the next request is looked at.
    let write_and_try = |at| {
        write(&journal, vec![status(at)]);
        read_all(&journal);
    };
    write_and_try(1);
    std::fs::remove_dir(&reserve).unwrap();
    for at in 0..=i64::from(writer::RESERVE_AGAIN_AFTER) {
        assert!(!reserve.exists(), "not tried with every write: {at}");
        write_and_try(at);
    }
    assert!(open::has_reserve(&dir.journal()));
}

#[test]
fn a_start_knows_whether_the_run_before_had_room_until_the_end() {
    let dir = TempDir::new();
    let reserve = open::beside(&dir.journal(), ".reserve");
    let tick = |at| vec![Op::Tick { boot: boot(), at: Timestamp(at) }];
    let start = || {
        let (journal, opened) = Journal::open(&config(dir.journal())).unwrap();
        (journal, opened.previous.map(|previous| previous.unrecorded))
    };
    let (journal, none) = start();
    assert_eq!(none, None);
    write(&journal, tick(1));
    let no_room = NoRoom::in_journal(&dir.journal());
    let waits = journal.write(vec![status(2)]);
    let dropped = journal.write(vec![transaction(3)]);
    assert!(dropped.blocking_recv().unwrap().is_err());
    assert!(!reserve.exists());
    drop((journal, waits));
    // Nothing of these runs is written down, and they all say so.
    for run in 0..2 {
        let (journal, unrecorded) = start();
        assert_eq!(unrecorded, Some(true), "{run}");
        drop(journal.write(vec![status(4)]));
        drop(journal);
        assert!(!reserve.exists(), "{run}");
    }
    drop(no_room);
    let (journal, unrecorded) = start();
    assert_eq!(unrecorded, Some(true));
    assert!(!reserve.exists(), "nothing of this one is written yet either");
    write(&journal, tick(5));
    write(&journal, tick(6));
    assert!(reserve.exists());
    drop(journal);
    assert_eq!(start().1, Some(false));
}
