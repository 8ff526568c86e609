//! The secret that signs commands: 32 bytes in a file that nobody else may read.
use std::{
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use kioskwatch_proto::command::CommandSigner;

#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    #[error("{doing} the command-signing key {path}: {source}")]
    File { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("the command-signing key {path} is not 64 hex digits")]
    Malformed { path: PathBuf },
    #[error("the command-signing key {path} is readable by others; run: chmod 600 {path}")]
    Readable { path: PathBuf },
}

/// Reads the key, or makes one at the first start.
pub fn load_or_make(path: &Path, key_id: &str) -> Result<CommandSigner, SigningKeyError> {
    if !path.exists() {
        let secret = hex::encode(crate::random::bytes::<32>());
        let mut options = std::fs::OpenOptions::new();
        let mut made = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|e| failed("making", path, e))?;
        made.write_all(secret.as_bytes())
            .and_then(|()| made.sync_all())
            .map_err(|e| failed("writing", path, e))?;
    }
    read(path, key_id)
}

/// Reads the key.
pub fn read(path: &Path, key_id: &str) -> Result<CommandSigner, SigningKeyError> {
    let mode = std::fs::metadata(path).map_err(|e| failed("looking at", path, e))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(SigningKeyError::Readable { path: path.to_owned() });
    }
    let text = std::fs::read_to_string(path).map_err(|e| failed("reading", path, e))?;
    let mut secret = [0; 32];
    hex::decode_to_slice(text.trim(), &mut secret)
        .map_err(|_| SigningKeyError::Malformed { path: path.to_owned() })?;
    Ok(CommandSigner::from_secret(key_id, &secret))
}

fn failed(doing: &'static str, path: &Path, source: std::io::Error) -> SigningKeyError {
    SigningKeyError::File { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_from_others() {
        let dir = std::env::temp_dir().join(format!("kw-signing-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("key");
        let first = load_or_make(&path, "k").unwrap().public_text();
        assert_eq!(load_or_make(&path, "k").unwrap().public_text(), first);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(load_or_make(&path, "k"), Err(SigningKeyError::Readable { .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "zz").unwrap();
        assert!(matches!(load_or_make(&path, "k"), Err(SigningKeyError::Malformed { .. })));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
