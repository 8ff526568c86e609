//! What a disk can do to the files of a journal: cut anywhere, flipped anywhere. It opens or is set aside, it never
//! gives a wrong record, and the next start finds nothing wrong any more.
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// In memory where the machine has such a place: tens of thousands of starts need no real disk.
fn quick_dir() -> TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let dir = dir.join(format!("kioskwatch-journal-{}", Uuid::new_v4()));
    std::fs::create_dir(&dir).unwrap();
    TempDir(dir)
}

/// The file and its log as a kill leaves them, and every record by its number.
struct Journals {
    file: Vec<u8>,
    wal: Vec<u8>,
    records: BTreeMap<u64, Body>,
}

/// `folded`: everything stands in the file, the log is empty; else some commits stand in the log alone.
fn written(folded: bool) -> Journals {
    let dir = quick_dir();
    let path = dir.journal();
    let (mut store, ..) = open::open(&config(path.clone())).unwrap();
    store.apply(&[&(1..=9).map(status).collect::<Vec<_>>()]).unwrap();
    store.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    if !folded {
        for at in 10..=12 {
            store.apply(&[&[status(at)]]).unwrap();
        }
    }
    let records = store.read_entries(1, ReadLimit { records: usize::MAX, bytes: usize::MAX }).unwrap();
    let records = records.iter().map(|e| (e.seq, Record::parse(&e.json).unwrap().body)).collect();
    let wal = std::fs::read(open::beside(&path, "-wal")).unwrap_or_default();
    Journals { file: std::fs::read(path).unwrap(), wal, records }
}

/// One directory for many starts: the reserve and the lock stay, the journal is laid in anew.
struct Place(TempDir);

impl Place {
    fn lay(&self, file: &[u8], wal: &[u8]) {
        for entry in std::fs::read_dir(&self.0.0).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if !name.ends_with(".reserve") && !name.ends_with(".lock") {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
        std::fs::write(self.0.journal(), file).unwrap();
        std::fs::write(open::beside(&self.0.journal(), "-wal"), wal).unwrap();
    }

    /// Starts as an agent does, looks, and writes. `again`: starts once more.
    #[track_caller]
    fn start(&self, written: &Journals, what: &str, again: bool) -> Found {
        let (mut store, opened, lock) = match self.open() {
            Ok(opened) => opened,
            // A changed format number is indistinguishable from a newer agent's.
            Err(JournalError::TooNew { .. }) => return Found { set_aside: false, last_seq: 0 },
            Err(error) => panic!("{what}: {error}"),
        };
        let all = ReadLimit { records: usize::MAX, bytes: usize::MAX };
        let mut next = 1;
        for entry in store.read_entries(1, all).unwrap() {
            let record = Record::parse(&entry.json).unwrap();
            let seq = record.header.was.map_or(record.header.seq, |was| was.seq);
            assert_eq!(seq, next, "{what}: each number is there, or said to be lost");
            next += entry.through - entry.seq + 1;
            if matches!(record.body, Body::Dropped(_)) {
                continue;
            }
            assert_eq!(
                written.records.get(&seq),
                Some(&record.body),
                "{what}: record {seq} was never written"
            );
        }
        let found = Found { set_aside: !opened.notices.is_empty(), last_seq: store.head().last_seq };
        let works = store.apply(&[&[service(99)]]);
        assert!(works.is_ok(), "{what}: {works:?}");
        drop((store, lock));
        if again {
            assert_eq!(self.open().unwrap().1.notices, [], "{what}: set aside at every start");
        }
        found
    }

    fn open(&self) -> Result<(store::Store, Opened, std::fs::File), JournalError> {
        open::open(&config(self.0.journal()))
    }
}

/// What a start found.
struct Found {
    set_aside: bool,
    last_seq: u64,
}

/// So often is a start followed by a second one, which costs as much again.
const AGAIN_EVERY: usize = 128;

#[test]
fn a_file_cut_at_every_byte_opens_or_is_set_aside() {
    let (journals, place) = (written(true), Place(quick_dir()));
    for cut in 0..journals.file.len() {
        place.lay(&journals.file[..cut], &[]);
        let found = place.start(&journals, &format!("cut at {cut}"), cut % AGAIN_EVERY == 0);
        // Nothing at all is a new journal; zeros that are missing are read as zeros.
        let harmless = journals.file[cut..].iter().all(|byte| *byte == 0) && found.last_seq == 9;
        assert!(cut == 0 || found.set_aside || harmless, "cut at {cut}: damage goes unnoticed");
    }
}

/// What the log loses was never told by a whole log: SQLite goes on with the last commit that is whole, and the
/// server's next word finds the difference.
#[test]
fn a_log_cut_at_every_byte_gives_the_commits_before_the_cut() {
    let (journals, place) = (written(false), Place(quick_dir()));
    let mut held = Vec::new();
    for cut in 0..=journals.wal.len() {
        place.lay(&journals.file, &journals.wal[..cut]);
        let found = place.start(&journals, &format!("log cut at {cut}"), cut % AGAIN_EVERY == 0);
        assert!(!found.set_aside, "log cut at {cut}");
        held.push(found.last_seq);
    }
    assert!(held.is_sorted() && held[0] == 9 && held.last() == Some(&12), "{held:?}");
}

#[test]
fn every_bit_of_the_headers_may_flip() {
    const FILE_HEADER: usize = 100;
    const LOG_HEADERS: usize = 32 + 24;
    let (journals, place) = (written(false), Place(quick_dir()));
    for bit in 0..FILE_HEADER * 8 {
        let mut file = journals.file.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        place.lay(&file, &journals.wal);
        place.start(&journals, &format!("bit {bit} of the file"), true);
    }
    for bit in 0..LOG_HEADERS * 8 {
        let mut wal = journals.wal.clone();
        wal[bit / 8] ^= 1 << (bit % 8);
        place.lay(&journals.file, &wal);
        place.start(&journals, &format!("bit {bit} of the log"), true);
    }
}

/// Of what was written last, which stands there alone.
#[test]
fn every_bit_of_the_end_of_the_log_may_flip() {
    const LAST: usize = 4_096;
    let (mut journals, place) = (written(false), Place(quick_dir()));
    let bytes = journals.wal.len();
    for bit in (bytes - LAST) * 8..bytes * 8 {
        journals.wal[bit / 8] ^= 1 << (bit % 8);
        place.lay(&journals.file, &journals.wal);
        journals.wal[bit / 8] ^= 1 << (bit % 8);
        let found = place.start(&journals, &format!("bit {bit} of the log"), bit % 1_024 == 0);
        assert!(!found.set_aside && found.last_seq == 11, "bit {bit}: the commits before it are whole");
    }
}

/// In the file no checksum of SQLite's stands between a bit and a record.
#[test]
fn a_bit_of_every_byte_beside_the_records_may_flip() {
    const PAGE: usize = 4_096;
    let (mut journals, place) = (written(true), Place(quick_dir()));
    let word = b"\"kind\"";
    let record = journals.file.windows(word.len()).rposition(|window| window == word).unwrap();
    let from = record / PAGE * PAGE;
    let mut set_aside = 0;
    // A prime step: every byte and every bit of a byte has its turn.
    for bit in (from * 8..(from + PAGE) * 8).step_by(7) {
        journals.file[bit / 8] ^= 1 << (bit % 8);
        place.lay(&journals.file, &[]);
        journals.file[bit / 8] ^= 1 << (bit % 8);
        let found = place.start(&journals, &format!("bit {bit} of the file"), bit % 1_024 == 0);
        set_aside += usize::from(found.set_aside);
    }
    assert!(set_aside > 1_000, "{set_aside}: damage goes unnoticed");
}

#[test]
fn a_bit_in_the_name_of_a_column_that_is_only_written_is_found_at_the_start() {
    let (mut journals, place) = (written(true), Place(quick_dir()));
    let column = b"acked_at INTEGER";
    let at = journals.file.windows(column.len()).position(|window| window == column).unwrap();
    journals.file[at + 5] ^= 64;
    place.lay(&journals.file, &[]);
    journals.file[at + 5] ^= 64;
    assert!(place.start(&journals, "the name of a column", true).set_aside);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]
    /// Flipped bytes anywhere, in the file and in its log.
    #[test]
    fn flipped_bytes_never_become_records(
        in_file in prop::collection::vec((0usize..100_000, 1u8..=255), 0..8),
        in_log in prop::collection::vec((0usize..100_000, 1u8..=255), 0..8),
    ) {
        let journals = written(false);
        let (mut file, mut wal) = (journals.file.clone(), journals.wal.clone());
        for (bytes, flips) in [(&mut file, &in_file), (&mut wal, &in_log)] {
            for (position, mask) in flips {
                let position = position % bytes.len();
                bytes[position] ^= mask;
            }
        }
        let place = Place(quick_dir());
        place.lay(&file, &wal);
        place.start(&journals, &format!("{in_file:?} {in_log:?}"), true);
    }
}
