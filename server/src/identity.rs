//! Who a server is: an id that stays with its data directory, so that a killed server is known when it returns.
use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use uuid::Uuid;

const FILE: &str = "server-id";

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{doing} {path}: {source}")]
    File { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{path} is held by another server; each server needs a [storage] data_dir of its own")]
    InUse { path: PathBuf },
    #[error("{path} holds no id; remove it if no other server uses this data directory")]
    Malformed { path: PathBuf },
}

/// The id of this data directory, held until dropped: two processes never share one.
#[derive(Debug)]
pub struct Identity {
    pub id: Uuid,
    _held: File,
}

impl Identity {
    pub fn claim(data_dir: &Path) -> Result<Self, IdentityError> {
        let path = data_dir.join(FILE);
        let file = |doing: &'static str| {
            let path = path.clone();
            move |source| IdentityError::File { doing, path, source }
        };
        let mut held = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(file("opening"))?;
        if flock(&held, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(IdentityError::InUse { path });
        }
        let mut text = String::new();
        held.read_to_string(&mut text).map_err(file("reading"))?;
        let id = if text.trim().is_empty() {
            let id = Uuid::new_v4();
            held.write_all(id.to_string().as_bytes())
                .and_then(|()| held.sync_all())
                .map_err(file("writing"))?;
            id
        } else {
            text.trim().parse().map_err(|_| IdentityError::Malformed { path: path.clone() })?
        };
        Ok(Self { id, _held: held })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_identity_stays_and_is_held_by_one() {
        let dir = std::env::temp_dir().join(format!("kw-identity-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&dir).unwrap();
        let first = Identity::claim(&dir).unwrap();
        let mode = std::fs::metadata(dir.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(Identity::claim(&dir), Err(IdentityError::InUse { .. })));
        let id = first.id;
        drop(first);
        assert_eq!(Identity::claim(&dir).unwrap().id, id);
        std::fs::write(dir.join(FILE), "?").unwrap();
        assert!(matches!(Identity::claim(&dir), Err(IdentityError::Malformed { .. })));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
