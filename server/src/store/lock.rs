//! One server per SQLite file: a lock beside it which the system frees when its holder ends, however it ends.
//!
//! It also carries the id of the database that was in use behind it: the guard against an empty beginning. The id
//! is written once; later starts write over the process's number before it and nothing else, so that no kill, no
//! power cut and no full disk can take it away.
use std::{
    fs::File,
    io::Read,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::StoreError;

/// Read and written by the server's user alone.
pub(super) const PRIVATE: u32 = 0o600;

/// Begins the line with the id of the database.
const DATABASE: &str = "database ";
/// Characters of the first line: any process's number, and spaces.
const PROCESS: usize = 10;

/// Held until dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    file: File,
    path: PathBuf,
    /// What stands in the file.
    text: String,
}

impl FileLock {
    /// Locks `<path>.lock` and makes the directory if there is none.
    pub(super) fn beside(path: &Path) -> Result<Self, StoreError> {
        let lock_path = beside(path);
        let failed = |doing| {
            let path = lock_path.display().to_string();
            move |source| StoreError::File { doing, path, source }
        };
        if let Some(directory) = path.parent() {
            // What is in it is nobody else's business; a directory that was there keeps its rights.
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(failed("making the directory of"))?;
        }
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE)
            .open(&lock_path)
            .map_err(failed("opening"))?;
        if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(failed("locking")(error.into()));
            }
            let mut text = String::new();
            file.read_to_string(&mut text).map_err(failed("reading"))?;
            let holder = text.lines().next().unwrap_or_default().trim().to_owned();
            return Err(StoreError::InUse { path: path.display().to_string(), holder });
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed("reading"))?;
        let mut lock = Self { file, path: lock_path, text };
        lock.sign()?;
        Ok(lock)
    }

    /// The database that was in use behind this lock before.
    pub(super) fn database(&self) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(DATABASE))
    }

    /// Tells people who holds the file; the lock itself is the system's.
    fn sign(&mut self) -> Result<(), StoreError> {
        if self.text.is_empty() || self.has_room() {
            let process = first_line();
            self.file.write_all_at(process.as_bytes(), 0).map_err(self.failed())?;
            let rest = self.text.get(process.len()..).unwrap_or_default();
            self.text = process + rest;
        }
        Ok(())
    }

    /// From now on no other database, and no empty one, is taken for this.
    pub(super) fn remember(&mut self, database: &str) -> Result<(), StoreError> {
        if self.has_room() && self.database() == Some(database) {
            return Ok(());
        }
        let text = format!("{}{DATABASE}{database}\n", first_line());
        let written = (|| {
            self.file.write_all_at(text.as_bytes(), 0)?;
            self.file.set_len(text.len() as u64)?;
            self.file.sync_all()?;
            // The name of the file, which may be new, is on the disk only when its directory is.
            self.path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
        })();
        written.map_err(self.failed())?;
        self.text = text;
        Ok(())
    }

    /// Whether the first line can be written over without touching the next one.
    fn has_room(&self) -> bool {
        self.text.find('\n') == Some(PROCESS)
    }

    fn failed(&self) -> impl FnOnce(std::io::Error) -> StoreError + use<> {
        let path = self.path.display().to_string();
        move |source| StoreError::File { doing: "writing", path, source }
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    lock_path.into()
}

/// Looks while nobody has the file, and keeps others from taking it meanwhile; `None` while somebody has it.
/// Writes nothing.
pub(super) fn while_free<T>(path: &Path, look: impl FnOnce() -> T) -> Result<Option<T>, StoreError> {
    let lock_path = beside(path);
    let failed = |doing| {
        let path = lock_path.display().to_string();
        move |source| StoreError::File { doing, path, source }
    };
    let lock = match File::open(&lock_path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Some(look())),
        Err(error) => return Err(failed("opening")(error)),
    };
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(Some(look())),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(failed("locking")(error.into())),
    }
}

fn first_line() -> String {
    format!("{:<PROCESS$}\n", std::process::id())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use super::*;

    /// Whoever is killed or cut off from power at any moment leaves what can be read at that moment.
    #[test]
    fn the_id_of_the_database_stands_there_at_every_moment_of_every_start() {
        let directory = std::env::temp_dir().join(format!("kw-lock-{}", uuid::Uuid::new_v4().simple()));
        let path = directory.join("fleet.sqlite");
        let id = uuid::Uuid::new_v4().to_string();
        FileLock::beside(&path).unwrap().remember(&id).unwrap();
        let line = format!("\n{DATABASE}{id}\n");
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut looks = 0_u64;
                while !ended.load(Relaxed) {
                    let text = std::fs::read_to_string(beside(&path)).unwrap();
                    assert!(text.ends_with(&line), "after {looks} looks: {text:?}");
                    looks += 1;
                }
            });
            for _ in 0..20_000 {
                if reader.is_finished() {
                    break;
                }
                let mut lock = FileLock::beside(&path).unwrap();
                assert_eq!(lock.database(), Some(id.as_str()));
                lock.remember(&id).unwrap();
            }
            ended.store(true, Relaxed);
        });
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_lock_of_an_earlier_layout_keeps_its_id_and_gets_room_for_the_process() {
        let directory = std::env::temp_dir().join(format!("kw-lock-{}", uuid::Uuid::new_v4().simple()));
        let path = directory.join("fleet.sqlite");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(beside(&path), format!("123\n{DATABASE}one\n")).unwrap();
        let mut lock = FileLock::beside(&path).unwrap();
        assert_eq!(lock.database(), Some("one"));
        lock.remember("one").unwrap();
        let expected = format!("{}{DATABASE}one\n", first_line());
        assert_eq!(std::fs::read_to_string(beside(&path)).unwrap(), expected);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
