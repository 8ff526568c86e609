//! Opening the file: check it, set it aside when it is damaged, begin a new epoch with what can be read.
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use kioskwatch_proto::{BootId, Epoch, Timestamp};
use rusqlite::{Connection, OpenFlags};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use uuid::Uuid;

use super::{
    CommandRow, Head, JournalConfig, JournalError, KEEP_SET_ASIDE, MIN_CAP_BYTES, Notice, RESERVE_BYTES,
    evict::readable_records_from,
    row::{RECORD_COLUMNS, RecordRow, State},
    store::{self, FORMAT, Store, sql},
    turn::{first_held, save_command},
};

const LOCK_TRIES: u32 = 25;
const LOCK_PAUSE: Duration = Duration::from_millis(20);
const PAGE_BYTES: u64 = 4096;
/// Behind the journal's name stands this and a number.
const SET_ASIDE: &str = ".corrupt-";
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
    /// A damaged file was found and set aside.
    pub notices: Vec<Notice>,
}

/// The file beside the journal with another ending.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Creates the directory, takes the lock, opens or replaces the file.
pub(super) fn open(config: &JournalConfig) -> Result<(Store, Opened, File), JournalError> {
    let lock = prepare_directory(&config.path)?;
    let mut notices = Vec::new();
    let store = match open_checked(config) {
        Err(JournalError::Damaged { what, .. }) => {
            let (store, notice) = replace_damaged(config, what)?;
            notices.push(notice);
            store
        }
        other => other?,
    };
    write_reserve(&store.config.path);
    let state = &store.state;
    let previous = match (state.boot, state.alive_until) {
        (Some(boot), Some(alive_until)) => Some(PreviousRun { boot, alive_until, clean: state.clean }),
        _ => None,
    };
    let opened = Opened {
        head: store.head(),
        previous,
        counter: state.counter,
        remembered: state.remembered.clone(),
        commands: store.commands()?,
        notices,
    };
    Ok((store, opened, lock))
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

fn file_error(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> JournalError {
    let path = path.display().to_string();
    move |source| JournalError::File { doing, path, source }
}

fn open_checked(config: &JournalConfig) -> Result<Store, JournalError> {
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
        Store::create(&mut conn, &State::new(Epoch(Uuid::new_v4())))?;
    } else {
        quick_check(&conn)?;
    }
    let state = State::load(&conn)?;
    check_chain(&conn, &state)?;
    // Read for its errors: a command that cannot be read is damage too.
    store::read_commands(&conn)?;
    let first = first_held(&conn, &state)?;
    Ok(Store { conn, config: config.clone(), state, first })
}

fn connect(config: &JournalConfig) -> Result<Connection, JournalError> {
    let conn = Connection::open(&config.path).map_err(sql("opening"))?;
    let pages = config.max_bytes.max(MIN_CAP_BYTES) / PAGE_BYTES;
    // FULL: a commit that returned survives a power cut. NORMAL does not.
    conn.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES};
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

/// Every row carries its check sum, and the numbers follow each other up to the last one given.
fn check_chain(conn: &Connection, state: &State) -> Result<(), JournalError> {
    let damaged = |what: String| JournalError::Damaged { doing: "checking", what };
    let mut statement = conn
        .prepare(&format!("SELECT {RECORD_COLUMNS} FROM record ORDER BY seq"))
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

/// Moves the damaged file away, begins a new epoch, and takes over what can still be read and trusted.
pub(super) fn replace_damaged(config: &JournalConfig, what: String) -> Result<(Store, Notice), JournalError> {
    let aside = set_aside(&config.path)?;
    let mut store = open_checked(config)?;
    if let Err(error) = salvage(&mut store, &aside) {
        tracing::warn!(path = %aside.display(), %error, "nothing more can be read from the damaged journal");
    }
    Ok((store, Notice::SetAside { path: aside, reason: what }))
}

fn set_aside(path: &Path) -> Result<PathBuf, JournalError> {
    let numbered = |n: u32| beside(path, &format!("{SET_ASIDE}{n}"));
    let taken = set_aside_before(path);
    let next = taken.last().map_or(1, |n| n + 1);
    for old in taken.iter().rev().skip(KEEP_SET_ASIDE - 1) {
        for ending in ["", "-wal"] {
            // A file that stays only costs room.
            drop(fs::remove_file(beside(&numbered(*old), ending)));
        }
    }
    let target = numbered(next);
    let wal = beside(path, "-wal");
    if wal.exists() {
        fs::rename(&wal, beside(&target, "-wal")).map_err(file_error("setting aside", path))?;
    }
    // Shared memory of a dead process; SQLite makes it anew.
    drop(fs::remove_file(beside(path, "-shm")));
    if path.exists() {
        fs::rename(path, &target).map_err(file_error("setting aside", path))?;
    }
    if let Some(dir) = path.parent()
        && let Ok(dir) = File::open(dir)
    {
        dir.sync_all().map_err(file_error("setting aside", path))?;
    }
    Ok(target)
}

/// The numbers of damaged files that are still here, in order.
fn set_aside_before(path: &Path) -> Vec<u32> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix = beside(path, SET_ASIDE).file_name().map(|name| name.to_string_lossy().into_owned());
    let (Ok(entries), Some(prefix)) = (fs::read_dir(dir), prefix) else { return Vec::new() };
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_prefix(&prefix)?.parse().ok();
    let mut numbers: Vec<u32> = entries.filter_map(|entry| number(entry.ok()?)).collect();
    numbers.sort_unstable();
    numbers
}

fn salvage(store: &mut Store, aside: &Path) -> Result<(), JournalError> {
    let old =
        Connection::open_with_flags(aside, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(sql("reading"))?;
    // Without its own row of state nothing says what the numbers mean.
    let old_state = State::read(&old)?;
    let commands = store::read_commands(&old).unwrap_or_default();
    let records = readable_records_from(&old, old_state.acked + 1).unwrap_or_default();
    store.in_transaction(|turn| {
        turn.state.boot = old_state.boot;
        turn.state.alive_until = old_state.alive_until;
        turn.state.clean = old_state.clean;
        turn.state.counter = old_state.counter;
        turn.state.remembered = old_state.remembered;
        for command in &commands {
            save_command(turn.conn, command)?;
        }
        for record in records {
            turn.carry(old_state.epoch, record)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Lays the reserve for a full disk down, unless it is there. Without it the agent still works.
pub(super) fn write_reserve(journal: &Path) {
    let path = beside(journal, ".reserve");
    if fs::metadata(&path).is_ok_and(|meta| meta.len() == RESERVE_BYTES) {
        return;
    }
    // In small pieces: the allocator would remember one large one, and give no memory back from then on.
    let written = File::create(&path).and_then(|mut file| {
        io::copy(&mut io::repeat(0).take(RESERVE_BYTES), &mut file)?;
        file.sync_all()
    });
    if written.is_err() {
        drop(fs::remove_file(&path));
    }
}

/// Gives the reserve up; `false` when there was none.
pub(super) fn give_up_reserve(journal: &Path) -> bool {
    fs::remove_file(beside(journal, ".reserve")).is_ok()
}
