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

/// Held until dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: File,
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
            let mut holder = String::new();
            file.read_to_string(&mut holder).map_err(failed("reading"))?;
            return Err(StoreError::InUse { path: path.display().to_string(), holder: holder.trim().into() });
        }
        // The number is for people only; the lock itself is the system's.
        file.set_len(0).and_then(|()| file.rewind()).map_err(failed("writing"))?;
        writeln!(file, "{}", std::process::id()).map_err(failed("writing"))?;
        Ok(Self { _file: file })
    }
}
