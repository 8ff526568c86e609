//! What lies where an SQLite database should be: looked at before SQLite may write there.
//!
//! SQLite makes an empty database of an empty or missing file, takes any log beside it for its own, and passes
//! over a log whose header is torn. A server that acknowledged records must do none of that: where there is
//! evidence of a database, it refuses to begin with an empty one. The look costs a few hundred bytes at each
//! start; only after an unclean end the log is read whole, and with it a small file ([`CHECKED_AT_START`]).
//! `kioskwatch-server check` reads every page of any file.
use std::{
    fs::File,
    io::{ErrorKind, Read as _},
    path::{Path, PathBuf},
};

use sqlx::{AnyConnection, Connection as _, Row as _};

use super::{
    StoreError,
    connect::sqlite_url,
    error::{Kind, kind},
    log::{self, Flaw},
};

/// Files up to this size are read whole after an unclean end: half a second at most.
const CHECKED_AT_START: u64 = 64 * 1024 * 1024;
/// <https://www.sqlite.org/fileformat.html>
const HEADER: usize = 100;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

const MAKE: &str =
    "is the path right? The first start of the server makes one, or `kioskwatch-server migrate`";
const RESTORE: &str = "put the newest backup in its place, without -wal and -shm";

/// What a start finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// Nothing but the file itself counts.
    Closed,
    /// Its last user did not end in order: the log holds commits that are not in the file.
    Unclean,
}

fn unfit(path: &Path, what: impl Into<String>, remedy: impl Into<String>) -> StoreError {
    StoreError::Unfit { path: path.display().to_string(), what: what.into(), remedy: remedy.into() }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// `known`: the lock beside the file tells that a database was in use here.
pub(super) fn look(path: &Path, known: bool) -> Result<Found, StoreError> {
    let log = beside(path, "-wal");
    let file = |doing, path: &Path| {
        let path = path.display().to_string();
        move |source| StoreError::File { doing, path, source }
    };
    let log_bytes = match std::fs::metadata(&log) {
        Ok(found) => Some(found.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(file("looking at", &log)(error)),
    };
    let has_log = log_bytes.is_some_and(|bytes| bytes > 0);
    let bytes = match std::fs::metadata(path) {
        Ok(found) if found.is_file() => Some(found.len()),
        Ok(_) => {
            let remedy = "[database] url or [storage] data_dir has to name a file";
            return Err(unfit(path, "this is not a file", remedy));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(file("looking at", path)(error)),
    };
    let Some(bytes) = bytes.filter(|&bytes| bytes > 0) else {
        let state = if bytes.is_some() { "it is empty" } else { "it is gone" };
        if has_log {
            let what = format!("{state}, and {} beside it holds commits of a database", log.display());
            return Err(unfit(path, what, format!("{RESTORE}, or the file that belongs to this log")));
        }
        if known {
            let lock = beside(path, ".lock");
            let remedy = format!("{RESTORE}; to begin with an empty database, remove {}", lock.display());
            return Err(unfit(path, format!("{state}, and a database was in use here"), remedy));
        }
        return Ok(Found::Nothing);
    };
    let opened = File::options().read(true).write(true).open(path);
    let mut header = Vec::new();
    let mut opened = opened.map_err(file("opening for reading and writing", path))?;
    let read = opened.by_ref().take(HEADER as u64).read_to_end(&mut header);
    read.map_err(file("reading", path))?;
    let page = page_size(&header).map_err(|what| unfit(path, what, RESTORE))?;
    if log_bytes.is_none() && beside(path, "-shm").exists() {
        let what = format!("its log {} is gone, and with it what was committed last", log.display());
        let remedy = format!(
            "put the log back, or {RESTORE}; to go on without those commits, remove {}",
            beside(path, "-shm").display()
        );
        return Err(unfit(path, what, remedy));
    }
    if has_log {
        let flaw = log::look(&log, page).map_err(file("reading", &log))?;
        return flaw.map_or(Ok(Found::Unclean), |flaw| Err(unfit_log(path, &log, flaw)));
    }
    let wanted = u64::from(number(&header, 28)) * page;
    // The number of pages is good when it was written with the last change.
    if number(&header, 24) == number(&header, 92) && bytes < wanted {
        let what = format!("it is cut short: {bytes} bytes of {wanted}");
        return Err(unfit(path, what, RESTORE));
    }
    Ok(Found::Closed)
}

/// A kill before the first commit leaves a file that only its journal makes right again, which takes a connection
/// that may write. Afterwards `look` sees what there is.
pub(super) async fn roll_back(path: &Path) -> Result<(), StoreError> {
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    if bytes(path) == 0 || bytes(&beside(path, "-journal")) == 0 {
        return Ok(());
    }
    let mut connection = open(path, "rw").await?;
    let read = texts(&mut connection, path, TABLES).await;
    // What was rolled back is on the disk; all else is for `look` to find.
    let _ = connection.close().await;
    read.map(drop)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// The size of a page, if everything that is fixed in a header is as it must be.
fn page_size(header: &[u8]) -> Result<u64, String> {
    if header.len() < HEADER {
        return Err(format!("it is cut short: {} bytes, less than a header", header.len()));
    }
    if header[..16] != MAGIC[..] {
        return Err("this is no SQLite database, or its first bytes are damaged".to_owned());
    }
    let page = match u64::from(u16::from_be_bytes([header[16], header[17]])) {
        1 => 65_536,
        bytes => bytes,
    };
    let versions = header[18..20].iter().all(|version| matches!(version, 1 | 2));
    let fractions = header[21..24] == [64, 32, 32];
    let usable = page.saturating_sub(u64::from(header[20])) >= 480;
    // 0 while everything but the first page still stands in the log.
    let known = number(header, 44) <= 4 && number(header, 56) <= 3;
    let right = page.is_power_of_two() && (512..=65_536).contains(&page);
    if right && usable && versions && fractions && known {
        Ok(page)
    } else {
        Err("its header is damaged".to_owned())
    }
}

/// Reads the whole log after an unclean end. Nobody may write there meanwhile.
pub(super) fn walk_log(path: &Path) -> Result<(), StoreError> {
    let log = beside(path, "-wal");
    let failed = |source| StoreError::File { doing: "reading", path: log.display().to_string(), source };
    let mut header = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(HEADER as u64).read_to_end(&mut header).map_err(failed)?;
    let page = page_size(&header).map_err(|what| unfit(path, what, RESTORE))?;
    log::walk(&log, page).map_err(failed)?.map_or(Ok(()), |flaw| Err(unfit_log(path, &log, flaw)))
}

fn unfit_log(path: &Path, log: &Path, flaw: Flaw) -> StoreError {
    let log = log.display();
    match flaw {
        Flaw::Header => {
            let what = format!("the header of its log {log} is damaged");
            unfit(path, what, format!("{RESTORE}; without the log, what was committed last is lost"))
        }
        Flaw::Foreign => {
            let what = format!("{log} is the log of another database: its pages have another size");
            unfit(path, what, RESTORE)
        }
        Flaw::Middle { good_bytes } => {
            let what = format!("its log {log} is damaged after {good_bytes} bytes, before commits");
            let remedy =
                format!("{RESTORE}; to go on without those commits, `truncate --size={good_bytes} {log}`");
            unfit(path, what, remedy)
        }
    }
}

/// Reads what `look` has let pass, on a connection that cannot write: whether it is ours, and the one that was
/// here (`known`, its id).
pub(super) async fn recognise(path: &Path, found: Found, known: Option<&str>) -> Result<(), StoreError> {
    let mut connection = open(path, "ro").await?;
    let verdict = recognise_on(&mut connection, path, found, known).await;
    // Nobody wrote: there is nothing to go wrong in closing.
    let _ = connection.close().await;
    verdict
}

async fn recognise_on(
    connection: &mut AnyConnection,
    path: &Path,
    found: Found,
    known: Option<&str>,
) -> Result<(), StoreError> {
    let tables = texts(connection, path, TABLES).await?;
    if !tables.is_empty() && !tables.iter().any(|name| name == "_sqlx_migrations") {
        let what = format!("this is the database of another program, with the table {}", tables[0]);
        let remedy = "[database] url or [storage] data_dir has to name a file of Kioskwatch's own";
        return Err(unfit(path, what, remedy));
    }
    let bytes = std::fs::metadata(path).map_or(0, |found| found.len());
    if found == Found::Unclean && bytes <= CHECKED_AT_START {
        let problems = texts(connection, path, "-- quick_check\nPRAGMA quick_check(1)").await?;
        if let Some(problem) = problems.iter().find(|line| *line != "ok") {
            let what = format!("after an unclean end, file and log do not fit together: {problem}");
            return Err(unfit(path, what, RESTORE));
        }
    }
    let Some(known) = known else { return Ok(()) };
    let lock = beside(path, ".lock");
    let mut id = None;
    if tables.iter().any(|name| name == "meta") {
        id = texts(connection, path, super::database::READ_ID.sqlite).await?.pop();
    }
    let Some(id) = id else {
        let what = format!("it is an empty database, and another one ({known}) was in use here");
        let remedy = format!("{RESTORE}; to begin with an empty database, remove {}", lock.display());
        return Err(unfit(path, what, remedy));
    };
    if id != known {
        let what = format!("this is another database ({id}) than the one in use here ({known})");
        let remedy =
            format!("if it is the right one, and no foreign -wal lies beside it, remove {}", lock.display());
        return Err(unfit(path, what, remedy));
    }
    Ok(())
}

const TABLES: &str = "-- tables
SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";

/// Refuses what is not there, instead of making it.
pub(super) fn must_be(path: &Path) -> Result<(), StoreError> {
    match path.try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => Err(unfit(path, "there is no database", MAKE)),
        Err(error) => Err(unfit(path, error.to_string(), "run this as the user of the server")),
    }
}

/// Reads every page and every reference; gives what is wrong, at most a hundred lines.
pub(super) async fn check(path: &Path) -> Result<Vec<String>, StoreError> {
    match look(path, false)? {
        Found::Nothing => return Err(unfit(path, "there is no database", RESTORE)),
        // Beside a running server its end is being written.
        Found::Unclean => super::lock::while_free(path, || walk_log(path))?.transpose()?.unwrap_or_default(),
        Found::Closed => {}
    }
    let mut reader = open(path, "ro").await?;
    texts(&mut reader, path, TABLES).await?;
    // Only a connection that may write knows the tables' CHECKs. This one is told not to; and as it is not the last
    // to go, it takes nothing from the log into the file.
    let mut connection = open(path, "rw").await?;
    let problems = problems_of(&mut connection, path).await;
    let _ = connection.close().await;
    let _ = reader.close().await;
    problems
}

async fn problems_of(connection: &mut AnyConnection, path: &Path) -> Result<Vec<String>, StoreError> {
    texts(connection, path, "-- write_nothing\nPRAGMA query_only = ON").await?;
    let mut problems = texts(connection, path, "-- integrity_check\nPRAGMA integrity_check(100)").await?;
    problems.retain(|line| line != "ok");
    if problems.is_empty() {
        let astray = texts(connection, path, "-- foreign_key_check\nPRAGMA foreign_key_check").await?;
        problems
            .extend(astray.iter().map(|table| format!("a row of {table} refers to one that is not there")));
    }
    Ok(problems)
}

async fn open(path: &Path, mode: &str) -> Result<AnyConnection, StoreError> {
    sqlx::any::install_default_drivers();
    let opened = AnyConnection::connect(&sqlite_url(path, mode)).await;
    opened.map_err(|error| damaged(path, "connect", error))
}

/// The first column of every row.
async fn texts(
    connection: &mut AnyConnection,
    path: &Path,
    sql: &'static str,
) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query(sql).fetch_all(connection).await.map_err(|e| damaged(path, "look", e))?;
    let first = |row: &sqlx::any::AnyRow| row.try_get::<String, _>(0);
    rows.iter().map(first).collect::<Result<_, _>>().map_err(|e| damaged(path, "look", e))
}

fn damaged(path: &Path, statement: &'static str, error: sqlx::Error) -> StoreError {
    match kind(&error) {
        Kind::Damaged => unfit(path, format!("it is damaged: {error}"), RESTORE),
        _ => StoreError::of(statement, error),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Executor as _;

    use super::*;

    #[tokio::test]
    async fn a_file_cut_at_any_byte_is_refused() {
        let path = std::env::temp_dir().join(format!("kw-found-{}", uuid::Uuid::new_v4()));
        sqlx::any::install_default_drivers();
        let mut writer = AnyConnection::connect(&sqlite_url(&path, "rwc")).await.unwrap();
        for sql in ["CREATE TABLE a (b)", "INSERT INTO a VALUES (randomblob(9000))"] {
            writer.execute(sql).await.unwrap();
        }
        writer.close().await.unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let bytes = file.metadata().unwrap().len();
        assert!(bytes >= 3 * 4_096, "{bytes}");
        assert_eq!(look(&path, true).unwrap(), Found::Closed);
        for cut in (0..bytes).rev() {
            file.set_len(cut).unwrap();
            let found = look(&path, true);
            assert!(matches!(found, Err(StoreError::Unfit { .. })), "cut at {cut}: {found:?}");
        }
        std::fs::remove_file(path).unwrap();
    }

    async fn notes(path: &Path) -> Vec<String> {
        let mut reader = open(path, "ro").await.unwrap();
        let notes = texts(&mut reader, path, "SELECT text FROM note ORDER BY text").await.unwrap();
        reader.close().await.unwrap();
        notes
    }

    /// A power cut left a part of the last commit, the first one after a checkpoint or a later one.
    #[tokio::test]
    async fn a_log_cut_at_any_byte_of_its_last_commit_is_taken_with_all_that_came_before() {
        let dir = std::env::temp_dir().join(format!("kw-cut-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&dir).unwrap();
        let (path, cut_path) = (dir.join("written"), dir.join("cut"));
        sqlx::any::install_default_drivers();
        let mut writer = AnyConnection::connect(&sqlite_url(&path, "rwc")).await.unwrap();
        for sql in [
            "PRAGMA page_size = 512",
            "PRAGMA journal_mode = WAL",
            "CREATE TABLE _sqlx_migrations (a)",
            "CREATE TABLE note (text, b)",
            "INSERT INTO note VALUES ('first', randomblob(300))",
            "PRAGMA wal_checkpoint(TRUNCATE)",
        ] {
            writer.execute(sql).await.unwrap();
        }
        let log = beside(&path, "-wal");
        let mut before = vec!["first".to_owned()];
        for sql in [
            "INSERT INTO note VALUES ('second', randomblob(300))",
            "INSERT INTO note VALUES ('third', randomblob(300))",
        ] {
            let begin = std::fs::metadata(&log).unwrap().len() as usize;
            writer.execute(sql).await.unwrap();
            let (file, bytes) = (std::fs::read(&path).unwrap(), std::fs::read(&log).unwrap());
            let whole = notes(&path).await;
            assert!(bytes.len() > begin + 512 && whole.len() == before.len() + 1, "{begin}, {}", bytes.len());
            for cut in begin..=bytes.len() {
                std::fs::write(&cut_path, &file).unwrap();
                std::fs::write(beside(&cut_path, "-wal"), &bytes[..cut]).unwrap();
                let found = look(&cut_path, true).unwrap();
                if found == Found::Unclean {
                    walk_log(&cut_path).unwrap();
                }
                recognise(&cut_path, found, None).await.unwrap();
                let expected = if cut == bytes.len() { &whole } else { &before };
                assert_eq!(&notes(&cut_path).await, expected, "cut at {cut} of {begin} to {}", bytes.len());
            }
            before = whole;
        }
        writer.close().await.unwrap();
        std::fs::remove_dir_all(dir).unwrap();
    }
}
