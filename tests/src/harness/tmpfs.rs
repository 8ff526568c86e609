//! A file system so small that it can be filled.
use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const BALLAST: &str = "ballast";

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

    /// Takes every byte that is left.
    pub fn fill(&self) -> io::Result<()> {
        let mut ballast = fs::OpenOptions::new().create(true).append(true).open(self.path.join(BALLAST))?;
        for block in [vec![0_u8; 64 * 1024], vec![0_u8; 512]] {
            loop {
                match ballast.write_all(&block) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Gives it all back.
    pub fn make_room(&self) -> io::Result<()> {
        fs::remove_file(self.path.join(BALLAST))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open must not keep the mount.
        let _ = Command::new("umount").arg("-l").arg(&self.path).stderr(Stdio::null()).status();
    }
}
