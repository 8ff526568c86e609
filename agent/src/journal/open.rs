//! Opening the file: make it, check it, find room for it. What is damaged goes to [`salvage`].
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use kioskwatch_proto::{BootId, Epoch, Timestamp};
use rusqlite::{Connection, ErrorCode};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use uuid::Uuid;

use super::{
    CommandRow, Head, JournalConfig, JournalError, MIN_CAP_BYTES, Notice, RESERVE_BYTES, oversized, roomless,
    row::{RECORD_COLUMNS, RecordRow, State, known_since},
    salvage,
    store::{self, FORMAT, Store, sql},
    turn::first_held,
};

const LOCK_TRIES: u32 = 25;
const LOCK_PAUSE: Duration = Duration::from_millis(20);
pub(super) const PAGE_BYTES: u64 = 4096;
/// The write-ahead log is folded into the file after this many pages, and kept at that size: a full disk
/// then still has room for the next few commits.
const WAL_PAGES: u64 = 256;

/// What the last run of the agent left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviousRun {
    pub boot: BootId,
    /// The last instant it is known to have lived.
    pub alive_until: Timestamp,
    /// It had been stopped in order.
    pub clean: bool,
    /// There was no room at last: it may have lived longer, and other runs after it left no record.
    pub unrecorded: bool,
}

/// What the agent finds when it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    pub head: Head,
    /// `None` for a journal that was just made.
    pub previous: Option<PreviousRun>,
    pub counter: u64,
    /// The last [`super::Op::Remember`].
    pub remembered: Option<String>,
    pub commands: Vec<CommandRow>,
    /// The last [`super::Op::CommandsKnownSince`], unless some were lost since.
    pub commands_known_since: Option<Timestamp>,
    /// A damaged file was found and set aside.
    pub notices: Vec<Notice>,
}

/// The file beside the journal with another ending.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

pub(super) fn fresh_state() -> State {
    State::new(Epoch(Uuid::new_v4()))
}

/// Creates the directory, takes the lock, opens or replaces the file.
pub(super) fn open(config: &JournalConfig) -> Result<(Store, Opened, File), JournalError> {
    let lock = prepare_directory(&config.path)?;
    // It was given up for want of room, and laid down again with the first record that found some.
    let unrecorded = !has_reserve(&config.path);
    let (store, notices) = match open_with_little_room(config) {
        Err(error) if wants_room(&error) => {
            tracing::error!(%error, "there is no room for the journal: nothing is written down until there is");
            let roomless = match error {
                JournalError::NoRoomToReplace { what } => Some(Notice::Roomless { reason: what }),
                _ => None,
            };
            (roomless::open(config)?, Vec::from_iter(roomless))
        }
        opened => opened?,
    };
    let state = &store.state;
    let previous = match (state.boot, state.alive_until) {
        (Some(boot), Some(alive_until)) => {
            Some(PreviousRun { boot, alive_until, clean: state.clean, unrecorded })
        }
        _ => None,
    };
    let opened = Opened {
        head: store.head(),
        previous,
        counter: state.counter,
        remembered: state.remembered.clone(),
        commands: store.commands()?,
        commands_known_since: known_since(&store.conn),
        notices,
    };
    Ok((store, opened, lock))
}

/// Opening needs some room of its own, for what SQLite shares with other readers. On a full disk the reserve is given
/// up for it; without one, nobody else may read the journal of this run.
fn open_with_little_room(config: &JournalConfig) -> Result<(Store, Vec<Notice>), JournalError> {
    let error = match open_or_replace(config) {
        Err(error) if may_want_room(&error) => error,
        opened => {
            // Where one was given up, its absence says so until a record has found room.
            if opened.as_ref().is_ok_and(|(store, _)| store.state.boot.is_none()) {
                write_reserve(&config.path);
            }
            return opened;
        }
    };
    let reserve = give_up_reserve(&config.path);
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    tracing::error!(reserve, %error, cause, "the journal cannot be opened, maybe for want of room: trying with less");
    match open_or_replace(config) {
        Err(error) if may_want_room(&error) => {
            open_or_replace(&JournalConfig { shared: false, ..config.clone() })
        }
        opened => opened,
    }
}

fn may_want_room(error: &JournalError) -> bool {
    let code = match error {
        JournalError::Sqlite { source, .. } => source.sqlite_error_code(),
        _ => None,
    };
    wants_room(error) || matches!(code, Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen))
}

pub(super) fn wants_room(error: &JournalError) -> bool {
    match error {
        JournalError::Full { .. } | JournalError::NoRoomToReplace { .. } => true,
        JournalError::File { source, .. } => source.kind() == io::ErrorKind::StorageFull,
        _ => false,
    }
}

pub(super) fn open_or_replace(config: &JournalConfig) -> Result<(Store, Vec<Notice>), JournalError> {
    let mut notices = Vec::from_iter(salvage::finish(&config.path)?);
    let store = match open_checked(config) {
        Err(JournalError::Damaged { what, .. }) => {
            let (store, notice) = salvage::replace_damaged(config, what)?;
            notices.push(notice);
            store
        }
        opened => opened?,
    };
    Ok((store, notices))
}

fn prepare_directory(path: &Path) -> Result<File, JournalError> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let shown = dir.display().to_string();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| JournalError::Directory { path: shown.clone(), source })?;
    let lock_path = beside(path, ".lock");
    let lock = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock_path)
        .map_err(|source| JournalError::ReadOnly { path: shown, source })?;
    take(|| flock(&lock, FlockOperation::NonBlockingLockExclusive)).map_err(|error| match error {
        Errno::WOULDBLOCK => JournalError::InUse { path: path.display().to_string() },
        error => file_error("locking", &lock_path)(error.into()),
    })?;
    Ok(lock)
}

/// Whoever had it may be about to end; and a program that another one starts holds the files of that one until it
/// runs. A file system that has no locks, or none left, will not have any in a moment either.
pub(super) fn take(lock: impl Fn() -> rustix::io::Result<()>) -> rustix::io::Result<()> {
    for _ in 0..LOCK_TRIES {
        match lock() {
            Err(Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
            taken_or_not => return taken_or_not,
        }
    }
    lock()
}

pub(super) fn file_error(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> JournalError {
    let path = path.display().to_string();
    move |source| JournalError::File { doing, path, source }
}

pub(super) fn open_checked(config: &JournalConfig) -> Result<Store, JournalError> {
    let path = &config.path;
    let bytes = match fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(file_error("opening", path)(error)),
    };
    let wal_bytes = fs::metadata(beside(path, "-wal")).map_or(0, |meta| meta.len());
    if bytes == 0 && wal_bytes > 0 {
        // SQLite would quietly throw the log away.
        return Err(JournalError::Damaged {
            doing: "opening",
            what: "the file is empty, its log is not".into(),
        });
    }
    if (1..PAGE_BYTES).contains(&bytes) {
        // SQLite would take it for a new one.
        return Err(JournalError::Damaged { doing: "opening", what: "the file is cut short".into() });
    }
    if bytes == 0 {
        // Made here, so that nobody else can read it; SQLite gives its log the same rights.
        let create = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
        create.map_err(file_error("creating", path))?;
    }
    let mut conn = connect(config)?;
    let format: i64 =
        conn.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sql("opening"))?;
    if format > FORMAT {
        return Err(JournalError::TooNew { path: path.display().to_string(), found: format, known: FORMAT });
    }
    if conn.is_readonly("main").map_err(sql("opening"))? {
        // The directory can be written, or we had no lock: it is the file's own header that forbids it.
        return Err(JournalError::Damaged {
            doing: "opening",
            what: "its header says that nobody may write it".into(),
        });
    }
    if format < FORMAT {
        let tables: i64 = conn
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(sql("opening"))?;
        if tables > 0 {
            return Err(JournalError::Damaged { doing: "opening", what: "it is not a journal".into() });
        }
        Store::create(&mut conn, &fresh_state())?;
    } else {
        quick_check(&conn)?;
    }
    let state = State::load(&conn)?;
    check_chain(&conn, &state)?;
    // Read for its errors: a command that cannot be read is damage too.
    store::read_commands(&conn)?;
    let first = first_held(&conn, &state)?;
    let mut store = Store { conn, config: config.clone(), state, first, roomless: false };
    match oversized::cut(&mut store) {
        Err(error) if wants_room(&error) => {
            tracing::error!(%error, "records that are too large stay until there is room");
        }
        cut => cut?,
    }
    Ok(store)
}

fn connect(config: &JournalConfig) -> Result<Connection, JournalError> {
    let conn = Connection::open(&config.path).map_err(sql("opening"))?;
    let pages = config.max_bytes.max(MIN_CAP_BYTES) / PAGE_BYTES;
    let locking = if config.shared { "NORMAL" } else { "EXCLUSIVE" };
    // FULL: a commit that returned survives a power cut. NORMAL does not.
    conn.execute_batch(&format!(
        "PRAGMA locking_mode = {locking};
         PRAGMA page_size = {PAGE_BYTES};
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA fullfsync = ON;
         PRAGMA wal_autocheckpoint = {WAL_PAGES};
         PRAGMA journal_size_limit = {};
         PRAGMA max_page_count = {pages};
         PRAGMA cache_size = -512;
         PRAGMA temp_store = MEMORY;
         PRAGMA busy_timeout = 5000;",
        WAL_PAGES * PAGE_BYTES
    ))
    .map_err(sql("opening"))?;
    Ok(conn)
}

fn quick_check(conn: &Connection) -> Result<(), JournalError> {
    let verdict: String =
        conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(sql("checking"))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(JournalError::Damaged { doing: "checking", what: verdict })
}

/// Every row carries its check sum, and the numbers follow each other up to the last one given. Every column is asked for:
/// a bit in the name of one that only a write needs would be found with the first record.
fn check_chain(conn: &Connection, state: &State) -> Result<(), JournalError> {
    let damaged = |what: String| JournalError::Damaged { doing: "checking", what };
    let mut statement = conn
        .prepare(&format!("SELECT {RECORD_COLUMNS}, kind, acked_at FROM record ORDER BY seq"))
        .map_err(sql("checking"))?;
    let mut expected = None;
    for row in statement.query_map([], RecordRow::read).map_err(sql("checking"))? {
        let row = row.map_err(sql("checking"))?.map_err(damaged)?;
        if expected.is_some_and(|e| e != row.seq) {
            return Err(damaged(format!("record {} does not follow its neighbour", row.seq)));
        }
        expected = Some(row.through + 1);
    }
    if expected.is_some_and(|e| e != state.last_seq + 1) || state.acked > state.last_seq {
        return Err(damaged("its records end at another number than its state says".into()));
    }
    if expected.is_none() && state.acked < state.last_seq {
        return Err(damaged("records that were not acknowledged are missing".into()));
    }
    Ok(())
}

/// Lays the reserve for a full disk down, unless it is there; `false` where there is no room for it. Without it the agent
/// still works.
pub(super) fn write_reserve(journal: &Path) -> bool {
    if has_reserve(journal) {
        return true;
    }
    let path = beside(journal, ".reserve");
    // In small pieces: the allocator would remember one large one, and give no memory back from then on.
    let written = File::create(&path).and_then(|mut file| {
        io::copy(&mut io::repeat(0).take(RESERVE_BYTES), &mut file)?;
        file.sync_all()
    });
    if written.is_err() {
        drop(fs::remove_file(&path));
    }
    written.is_ok()
}

pub(super) fn has_reserve(journal: &Path) -> bool {
    fs::metadata(beside(journal, ".reserve")).is_ok_and(|meta| meta.len() == RESERVE_BYTES)
}

/// Gives the reserve up; `false` when there was none.
pub(super) fn give_up_reserve(journal: &Path) -> bool {
    fs::remove_file(beside(journal, ".reserve")).is_ok()
}
