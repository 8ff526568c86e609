//! What is kept of a damaged journal, whatever ends the agent while it saves it.
use super::*;
use crate::journal::salvage as journal_salvage;

fn command(n: u128, counter: u64) -> CommandRow {
    CommandRow { id: CommandId(Uuid::from_u128(n)), counter, not_after: Timestamp(10), state: "{}".into() }
}

/// Ten records, four of them acknowledged; a command; then this is done to the file.
fn damaged(dir: &TempDir, sql: &str) {
    damaged_of(dir, 10, sql);
}

fn damaged_of(dir: &TempDir, records: i64, sql: &str) {
    let (journal, _) = Journal::open(&config(dir.journal())).unwrap();
    write(&journal, (1..=records).map(status).collect());
    write(
        &journal,
        vec![
            Op::Command(command(9, 7)),
            Op::Counter(42),
            Op::CommandsKnownSince(Timestamp(5)),
            Op::Acked { upto: 4, at: Timestamp(11) },
        ],
    );
    write(&journal, vec![Op::Tick { boot: boot(), at: Timestamp(12) }]);
    drop(journal);
    let conn = rusqlite::Connection::open(dir.journal()).unwrap();
    // As after a kill: with a log that is not folded into the file.
    conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    conn.execute_batch(sql).unwrap();
}

const FLIPPED: &str = "UPDATE record SET crc = crc + 1 WHERE seq IN (6, 7, 10)";

/// Old number, and the last one that it stands for where it says that records are lost.
fn told(journal: &Journal) -> Vec<(u64, Option<u64>)> {
    let old = |entry: &Entry| {
        let record = Record::parse(&entry.json).unwrap();
        let was = record.header.was.unwrap().seq;
        let lost = matches!(record.body, Body::Dropped(_));
        (was, lost.then_some(was + entry.through - entry.seq))
    };
    read_all(journal).iter().map(old).collect()
}

const SAVED: &[(u64, Option<u64>)] = &[(5, None), (6, Some(7)), (8, None), (9, None), (10, Some(10))];

#[track_caller]
fn all_is_saved(dir: &TempDir, what: &str) {
    let (journal, opened) = Journal::open(&config(dir.journal())).unwrap();
    assert!(matches!(&opened.notices[..], [Notice::SetAside { path, .. }] if path.exists()), "{what}");
    assert_eq!(told(&journal), SAVED, "{what}");
    assert_eq!((opened.counter, &opened.commands[..]), (42, &[command(9, 7)][..]), "{what}");
    let previous = PreviousRun { boot: boot(), alive_until: Timestamp(12), clean: false, unrecorded: false };
    assert_eq!(opened.previous, Some(previous), "{what}");
    drop(journal);
    assert_eq!(Journal::open(&config(dir.journal())).unwrap().1.notices, [], "{what}: once");
    for ending in [".new", ".mended"] {
        assert!(!open::beside(&dir.journal(), ending).exists(), "{what}: {ending}");
    }
}

#[test]
fn each_range_that_cannot_be_read_is_said_to_be_lost() {
    let dir = TempDir::new();
    damaged(&dir, FLIPPED);
    all_is_saved(&dir, "undisturbed");
    // Nothing at all can be read: then that is what is said.
    let dir = TempDir::new();
    damaged(&dir, "UPDATE record SET crc = crc + 1");
    let (journal, _) = Journal::open(&config(dir.journal())).unwrap();
    assert_eq!(told(&journal), [(5, Some(10))]);
}

#[test]
fn an_agent_killed_while_it_saves_a_damaged_journal_loses_nothing_of_it() {
    let (unfinished, wal) = (".new", "-wal");
    for (moment, what) in
        ["it makes the new one", "it is made", "the log is aside", "both are"].iter().enumerate()
    {
        let dir = TempDir::new();
        damaged(&dir, FLIPPED);
        let path = dir.journal();
        assert!(open::beside(&path, wal).exists(), "nothing was folded");
        if moment == 0 {
            std::fs::write(open::beside(&path, unfinished), [0; 8192]).unwrap();
        } else {
            journal_salvage::build(&config(path.clone()), &journal_salvage::read(&path)).unwrap();
        }
        if moment == 2 {
            std::fs::rename(open::beside(&path, wal), open::beside(&path, ".corrupt-1-wal")).unwrap();
        } else if moment == 3 {
            journal_salvage::set_aside(&path).unwrap();
        }
        all_is_saved(&dir, what);
        let aside = open::beside(&path, ".corrupt-1");
        assert!(
            aside.exists() && open::beside(&aside, wal).exists(),
            "{what}: both are kept for a technician"
        );
    }
}

#[test]
fn a_journal_that_lost_ids_or_the_counter_of_commands_says_so_until_it_is_told_a_time() {
    const SINCE: Option<Timestamp> = Some(Timestamp(5));
    for (sql, counter, known, since) in [
        (FLIPPED, 42, true, SINCE),
        ("ALTER TABLE command RENAME COLUMN counter TO gone", 42, false, None),
        ("UPDATE state SET crc = crc + 1", 7, true, None),
        ("DROP TABLE state", 7, true, None),
        ("UPDATE record SET crc = crc + 1; UPDATE known_since SET at = at - 1", 42, true, None),
        ("UPDATE record SET crc = crc + 1; DROP TABLE known_since", 42, true, None),
    ] {
        let dir = TempDir::new();
        damaged(&dir, sql);
        for (start, what) in ["the first", "a further start", "damaged again"].iter().enumerate() {
            let (_, opened) = Journal::open(&config(dir.journal())).unwrap();
            assert_eq!(opened.notices.len(), usize::from(start != 1), "{sql}: {what}");
            assert_eq!((opened.counter, !opened.commands.is_empty()), (counter, known), "{sql}: {what}");
            assert_eq!(opened.commands_known_since, since, "{sql}: {what}");
            if start == 1 {
                rusqlite::Connection::open(dir.journal())
                    .unwrap()
                    .execute_batch("DROP TABLE record")
                    .unwrap();
            }
        }
        let (journal, _) = Journal::open(&config(dir.journal())).unwrap();
        write(&journal, vec![Op::CommandsKnownSince(Timestamp(9))]);
        drop(journal);
        let (_, opened) = Journal::open(&config(dir.journal())).unwrap();
        assert_eq!(opened.commands_known_since, Some(Timestamp(9)), "{sql}");
    }
}

#[test]
fn a_new_journal_knows_no_command_from_before_it() {
    let dir = TempDir::new();
    let (_, opened) = Journal::open(&config(dir.journal())).unwrap();
    assert_eq!((opened.commands_known_since, opened.commands), (None, Vec::new()));
}

#[test]
fn a_command_is_remembered_until_it_is_named_whatever_the_clock_says() {
    let dir = TempDir::new();
    let (journal, _) = Journal::open(&config(dir.journal())).unwrap();
    write(&journal, vec![Op::Command(command(9, 7)), Op::Command(command(10, 8))]);
    write(&journal, vec![Op::Tick { boot: boot(), at: Timestamp(1 << 50) }, Op::Forget(command(9, 7).id)]);
    drop(journal);
    assert_eq!(Journal::open(&config(dir.journal())).unwrap().1.commands, [command(10, 8)]);
}

#[test]
fn without_room_for_a_new_journal_what_was_set_aside_goes_oldest_first_and_the_agent_lives_without_one() {
    let dir = TempDir::new();
    damaged_of(&dir, 8_000, FLIPPED);
    let path = dir.journal();
    let beside = |ending: &str| open::beside(&path, ending);
    for aside in [".corrupt-1", ".corrupt-2", ".corrupt-2-wal", ".corrupt-7"] {
        std::fs::write(beside(aside), "older").unwrap();
    }

    // A wall that the cap of the records knows nothing of: as a disk on which others have left so much.
    let no_room = JournalConfig { max_bytes: MIN_CAP_BYTES, ..config(path.clone()) };
    let (journal, opened) = Journal::open(&no_room).unwrap();
    assert!(matches!(&opened.notices[..], [Notice::Roomless { .. }]), "{:?}", opened.notices);
    let left = [".corrupt-1", ".corrupt-2", ".corrupt-2-wal", ".corrupt-7", ".reserve", ".new", ".mended"]
        .map(|ending| beside(ending).exists());
    assert_eq!(left, [false, false, false, true, false, false, false]);
    assert_eq!((opened.counter, &opened.commands[..]), (42, &[command(9, 7)][..]));
    let previous = PreviousRun { boot: boot(), alive_until: Timestamp(12), clean: false, unrecorded: false };
    assert_eq!(opened.previous, Some(previous));
    // What is written waits; nothing of it has a number.
    let mut waits = journal.write(vec![status(20)]);
    assert!(read_all(&journal).is_empty());
    assert!(waits.try_recv().is_err());
    assert_eq!((opened.head.last_seq, *journal.head().borrow()), (0, opened.head));
    drop(journal);
    assert_eq!(Journal::open(&no_room).unwrap().1.previous.map(|run| run.unrecorded), Some(true));

    let (journal, opened) = Journal::open(&config(path.clone())).unwrap();
    assert!(
        matches!(&opened.notices[..], [Notice::SetAside { path, .. }] if path.ends_with("journal.sqlite.corrupt-8"))
    );
    assert_eq!(told(&journal)[..4], SAVED[..4]);
    assert_eq!(told(&journal).last(), Some(&(8_000, None)));
    assert!(beside(".corrupt-7").exists());
}
