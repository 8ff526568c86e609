//! A damaged journal: what can still be read and trusted goes into a new one under a new epoch, then they change places.
//!
//! The new one is made whole before the damaged one is moved. Whatever ends the agent in between, the next start finds
//! either the damaged file as it was, or what ends the change.
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use kioskwatch_proto::{
    Timestamp,
    journal::{Body, Dropped, Header, Record},
};
use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{
    CommandRow, JournalConfig, JournalError, KEEP_SET_ASIDE, Notice,
    evict::readable_records_from,
    open::{PAGE_BYTES, beside, file_error, give_up_reserve, open_checked, wants_room},
    row::{State, known_since, save_known_since},
    store::{self, Store, sql},
    turn::{Turn, save_command},
};

/// Behind the journal's name stands this and a number.
const SET_ASIDE: &str = ".corrupt-";
/// A new journal that is being made.
const UNFINISHED: &str = ".new";
/// One that is whole and waits for its place.
const MENDED: &str = ".mended";

/// What a damaged file still gives.
#[derive(Default)]
pub(super) struct Saved {
    /// Without it nothing says what the numbers mean.
    pub(super) state: Option<State>,
    records: Vec<Record>,
    commands: Vec<CommandRow>,
    /// Since when these are all; `None`, too, where some or their counter cannot be read.
    commands_known_since: Option<Timestamp>,
}

/// Begins a new epoch with what the damaged file still gives, and sets that aside.
pub(super) fn replace_damaged(config: &JournalConfig, what: String) -> Result<(Store, Notice), JournalError> {
    let saved = read(&config.path);
    if let Err(error) = build_with_little_room(config, &saved) {
        remove_unfinished(&config.path);
        return Err(if wants_room(&error) { JournalError::NoRoomToReplace { what } } else { error });
    }
    let path = set_aside(&config.path)?;
    move_in(&config.path)?;
    Ok((open_checked(config)?, Notice::SetAside { path, reason: what }))
}

/// For a moment there must be room for both. What is given up for it: the reserve, then what was set aside before, the
/// oldest first. The newest stays.
fn build_with_little_room(config: &JournalConfig, saved: &Saved) -> Result<(), JournalError> {
    let mut built = build(config, saved);
    if built.as_ref().is_err_and(wants_room) && give_up_reserve(&config.path) {
        built = build(config, saved);
    }
    let mut older = set_aside_before(&config.path);
    older.pop();
    for old in older {
        if !built.as_ref().is_err_and(wants_room) {
            break;
        }
        tracing::warn!(file = %numbered(&config.path, old).display(), "removed to make room for a new journal");
        remove_set_aside(&config.path, old);
        built = build(config, saved);
    }
    built
}

/// Ends what an agent began that was killed while it replaced a damaged journal.
pub(super) fn finish(path: &Path) -> Result<Option<Notice>, JournalError> {
    remove_unfinished(path);
    if !beside(path, MENDED).exists() {
        return Ok(None);
    }
    let aside = set_aside(path)?;
    move_in(path)?;
    let reason = "an earlier start found it damaged, and was ended before it could say so".to_owned();
    Ok(Some(Notice::SetAside { path: aside, reason }))
}

pub(super) fn read(path: &Path) -> Saved {
    let saved = read_damaged(path);
    saved.unwrap_or_else(|error| {
        tracing::warn!(%error, "nothing can be read from the damaged journal");
        Saved::default()
    })
}

fn read_damaged(path: &Path) -> Result<Saved, JournalError> {
    if fs::metadata(path).map_err(file_error("reading", path))?.len() < PAGE_BYTES {
        // SQLite would take it for a new one and throw its log away.
        return Err(JournalError::Damaged { doing: "reading", what: "it is cut short".into() });
    }
    let conn =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(sql("reading"))?;
    // It stays as it is, and needs no room on the disk.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(sql("reading"))?;
    conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE").map_err(sql("reading"))?;
    let (state, commands) = (State::read(&conn), store::read_commands(&conn));
    let all_known = state.is_ok() && commands.is_ok();
    let commands_known_since = known_since(&conn).filter(|_| all_known);
    let records = match &state {
        Ok(state) => readable_records_from(&conn, state.acked + 1).unwrap_or_default(),
        Err(error) => {
            tracing::warn!(%error, "no record can be trusted that the damaged journal holds");
            Vec::new()
        }
    };
    Ok(Saved { state: state.ok(), records, commands: commands.unwrap_or_default(), commands_known_since })
}

/// Makes the new journal beside the damaged one, whole and on disk.
pub(super) fn build(config: &JournalConfig, saved: &Saved) -> Result<(), JournalError> {
    let path = beside(&config.path, UNFINISHED);
    let unfinished = JournalConfig { path: path.clone(), shared: false, ..config.clone() };
    remove_unfinished(&config.path);
    let mut store = open_checked(&unfinished)?;
    match fill(&mut store, saved) {
        // Never again and again: rather nothing of it than no journal.
        Err(JournalError::Damaged { what, .. }) => {
            tracing::error!(what, "what could be read of the damaged journal makes no journal");
        }
        filled => filled?,
    }
    let folded = "PRAGMA wal_checkpoint(TRUNCATE)";
    store.conn.query_row(folded, [], |_| Ok(())).map_err(sql("writing"))?;
    let closed = store.conn.close();
    closed.map_err(|(_, error)| sql("closing")(error))?;
    fs::rename(&path, beside(&config.path, MENDED)).map_err(file_error("replacing", &config.path))?;
    remove_unfinished(&config.path);
    sync_directory(&config.path)
}

fn fill(store: &mut Store, saved: &Saved) -> Result<(), JournalError> {
    store.in_transaction(|turn| {
        carry_commands(turn, saved)?;
        match &saved.state {
            Some(old) => carry_over(turn, old, &saved.records),
            None => Ok(()),
        }
    })?;
    Ok(())
}

pub(super) fn carry_commands(turn: &mut Turn<'_>, saved: &Saved) -> Result<(), JournalError> {
    for command in &saved.commands {
        save_command(turn.conn, command)?;
    }
    if let Some(at) = saved.commands_known_since {
        save_known_since(turn.conn, at)?;
    }
    turn.state.counter = saved.commands.iter().map(|command| command.counter).max().unwrap_or(0);
    Ok(())
}

/// What is true of the run before, whatever became of its records.
pub(super) fn carry_state(turn: &mut Turn<'_>, old: &State) {
    turn.state.boot = old.boot;
    turn.state.alive_until = old.alive_until;
    turn.state.clean = old.clean;
    turn.state.counter = turn.state.counter.max(old.counter);
    turn.state.remembered.clone_from(&old.remembered);
}

/// Everything the server has not acknowledged: each record that could be read, and for each range between them that
/// could not, word that it is lost.
fn carry_over(turn: &mut Turn<'_>, old: &State, records: &[Record]) -> Result<(), JournalError> {
    carry_state(turn, old);
    // Of the last one before the range, or the first behind it: the order of boots and times stays true.
    let mut around = match (records.first(), old.boot, old.alive_until) {
        (Some(first), ..) => Some(first.header.clone()),
        (None, Some(boot), Some(at)) => Some(Header { seq: 0, boot, at, mono_ms: 0, was: None }),
        (None, ..) => None,
    };
    let mut next = old.acked + 1;
    for record in records {
        let (seq, through) = (record.header.seq, through(record));
        if through < next {
            continue;
        }
        say_lost(turn, old, (next, seq - 1), around.as_ref())?;
        turn.carry(old.epoch, record.clone())?;
        around = Some(record.header.clone());
        next = through + 1;
    }
    say_lost(turn, old, (next, old.last_seq), around.as_ref())
}

fn through(record: &Record) -> u64 {
    if let Body::Dropped(dropped) = &record.body { dropped.through } else { record.header.seq }
}

/// Nothing says of what kinds they were.
fn say_lost(
    turn: &mut Turn<'_>,
    old: &State,
    (seq, through): (u64, u64),
    around: Option<&Header>,
) -> Result<(), JournalError> {
    let Some(around) = around.filter(|_| seq <= through) else { return Ok(()) };
    tracing::warn!(seq, through, "records of the damaged journal are lost");
    let header = Header { seq, was: None, ..around.clone() };
    let body = Body::Dropped(Dropped { through, counts: Default::default() });
    turn.carry(old.epoch, Record { header, body })
}

/// Renames the damaged file and its log, if they are still there. The log first: without it the file would pass for an
/// older journal.
pub(super) fn set_aside(path: &Path) -> Result<PathBuf, JournalError> {
    let taken = set_aside_before(path);
    let wal = beside(path, "-wal");
    if let Some(last) = taken.last().filter(|_| !path.exists() && !wal.exists()) {
        return Ok(numbered(path, *last));
    }
    let next = taken.last().map_or(1, |n| n + 1);
    for old in taken.iter().rev().skip(KEEP_SET_ASIDE - 1) {
        remove_set_aside(path, *old);
    }
    let target = numbered(path, next);
    if wal.exists() {
        fs::rename(&wal, beside(&target, "-wal")).map_err(file_error("setting aside", path))?;
    }
    // Shared memory of a dead process; SQLite makes it anew.
    drop(fs::remove_file(beside(path, "-shm")));
    if path.exists() {
        fs::rename(path, &target).map_err(file_error("setting aside", path))?;
    }
    sync_directory(path)?;
    Ok(target)
}

fn numbered(path: &Path, n: u32) -> PathBuf {
    beside(path, &format!("{SET_ASIDE}{n}"))
}

fn remove_set_aside(path: &Path, n: u32) {
    for ending in ["", "-wal"] {
        // A file that stays only costs room.
        drop(fs::remove_file(beside(&numbered(path, n), ending)));
    }
}

fn move_in(path: &Path) -> Result<(), JournalError> {
    fs::rename(beside(path, MENDED), path).map_err(file_error("replacing", path))?;
    sync_directory(path)
}

fn remove_unfinished(path: &Path) {
    for ending in ["", "-wal", "-shm"] {
        // A file that stays is in nobody's way but the next one's, which then says so.
        drop(fs::remove_file(beside(&beside(path, UNFINISHED), ending)));
    }
}

fn sync_directory(path: &Path) -> Result<(), JournalError> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match File::open(dir) {
        Ok(dir) => dir.sync_all().map_err(file_error("setting aside", path)),
        Err(_) => Ok(()),
    }
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
