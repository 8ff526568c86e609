//! A file system so small that it can be filled.
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::ballast;

/// A mounted tmpfs; unmounted when dropped.
#[derive(Debug)]
pub struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// `None` where mounting is not allowed: it takes root.
    pub fn mount(path: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(path).ok()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(path);
        let status = mount.stdin(Stdio::null()).stderr(Stdio::null()).status().ok()?;
        status.success().then(|| Self { path: path.to_owned() })
    }

    /// See [`ballast::fill`].
    pub fn fill(&self) -> io::Result<()> {
        ballast::fill(&self.path)
    }

    /// Gives it all back.
    pub fn make_room(&self) -> io::Result<()> {
        ballast::make_room(&self.path)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open must not keep the mount.
        let _ = Command::new("umount").arg("-l").arg(&self.path).stderr(Stdio::null()).status();
    }
}
