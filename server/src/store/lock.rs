//! One server per SQLite file: a lock beside it which the system frees when its holder ends, however it ends.
use std::{
    fs::File,
    io::{Read, Seek, Write},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::StoreError;

/// Read and written by the server's user alone.
pub(super) const PRIVATE: u32 = 0o600;

/// Begins the line with the id of the database.
const DATABASE: &str = "database ";

/// Held until dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    file: File,
    /// Of the database that was in use behind this lock.
    database: Option<String>,
}

impl FileLock {
    /// Locks `<path>.lock` and makes the directory if there is none.
    pub(super) fn beside(path: &Path) -> Result<Self, StoreError> {
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
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
        let database = text.lines().find_map(|line| line.strip_prefix(DATABASE)).map(str::to_owned);
        let mut lock = Self { file, database };
        lock.write().map_err(failed("writing"))?;
        Ok(lock)
    }

    /// The database that was in use behind this lock before.
    pub(super) fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// From now on no other database, and no empty one, is taken for this.
    pub(super) fn remember(&mut self, database: &str) -> std::io::Result<()> {
        if self.database.as_deref() == Some(database) {
            return Ok(());
        }
        self.database = Some(database.to_owned());
        self.write()?;
        self.file.sync_all()
    }

    /// The process's number is for people only; the lock itself is the system's.
    fn write(&mut self) -> std::io::Result<()> {
        let mut text = format!("{}\n", std::process::id());
        if let Some(database) = &self.database {
            text.push_str(&format!("{DATABASE}{database}\n"));
        }
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())
    }
}
