//! Who holds a port: looked up before it is opened, because opening is not harmless.
//!
//! An open rewrites the line settings of whoever is there, root ignores `TIOCEXCL`, and even a refused open
//! can strip it. So nothing is opened that somebody holds, and for money and card units "cannot see every
//! process" counts as held.
use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

/// A program that has the port open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    pub program: String,
}

/// What a look around found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The device behind every link.
    pub device: PathBuf,
    pub holders: Vec<Holder>,
    /// Every process could be looked into; without that "no holders" proves nothing.
    pub complete: bool,
}

/// Looks for programs that hold `path`. Blocks for some milliseconds: not for the event loop's thread.
pub fn look(path: &Path) -> io::Result<Look> {
    let device = path.canonicalize()?;
    let meta = fs::metadata(&device)?;
    if !meta.file_type().is_char_device() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no serial device"));
    }
    let mut look = Look { device, holders: Vec::new(), complete: Path::new("/proc/1").exists() };
    for entry in fs::read_dir("/proc")? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == std::process::id() {
            continue;
        }
        match holds(pid, &look.device, meta.rdev()) {
            Ok(true) => look.holders.push(Holder { pid, program: program(pid) }),
            Ok(false) => {}
            // A process that ended while we looked holds nothing.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(_) => look.complete = false,
        }
    }
    look.holders.extend(lock_file_holder(&look.device, &look.holders));
    Ok(look)
}

fn holds(pid: u32, device: &Path, rdev: u64) -> io::Result<bool> {
    let mut found = false;
    for fd in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let Ok(fd) = fd else { continue };
        let Ok(target) = fs::read_link(fd.path()) else { continue };
        if is_master_of(pid, &fd.file_name().to_string_lossy(), &target, device) {
            // The other end of a pseudo-terminal is the device itself, not a program on the port.
            return Ok(false);
        }
        found |= target == device
            || target.starts_with("/dev") && fs::metadata(fd.path()).is_ok_and(|meta| meta.rdev() == rdev);
    }
    Ok(found)
}

fn is_master_of(pid: u32, fd: &str, target: &Path, device: &Path) -> bool {
    if !target.ends_with("ptmx") {
        return false;
    }
    let Some(index) = device.strip_prefix("/dev/pts").ok().and_then(Path::to_str) else { return false };
    fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).is_ok_and(|info| {
        info.lines().any(|line| line.strip_prefix("tty-index:").is_some_and(|n| n.trim() == index))
    })
}

fn program(pid: u32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    text.trim_end().chars().filter(|c| !c.is_control()).collect()
}

/// `LCK..ttyS1`, the lock of older serial programs.
fn lock_file_holder(device: &Path, known: &[Holder]) -> Option<Holder> {
    let name = device.file_name()?.to_str()?;
    let text = fs::read_to_string(format!("/var/lock/LCK..{name}")).ok()?;
    let pid: u32 = text.trim().parse().ok()?;
    let alive = Path::new(&format!("/proc/{pid}")).exists();
    let news = pid != std::process::id() && !known.iter().any(|holder| holder.pid == pid);
    (alive && news).then(|| Holder { pid, program: program(pid) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    fn pty() -> (rustix::fd::OwnedFd, PathBuf) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap();
        (master, PathBuf::from(path.to_str().unwrap()))
    }

    #[test]
    fn a_free_port_has_no_holders_also_behind_a_link() {
        let (_master, path) = pty();
        let link = std::env::temp_dir().join(format!("kioskwatch-port-{}", uuid::Uuid::new_v4()));
        symlink(&path, &link).unwrap();
        let look = look(&link).unwrap();
        fs::remove_file(&link).unwrap();
        assert_eq!((look.device, look.holders), (path, vec![]));
    }

    #[test]
    fn another_program_on_the_port_is_seen_by_name() {
        let (_master, path) = pty();
        let file = fs::OpenOptions::new().read(true).open(&path).unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").stdin(file).spawn().unwrap();
        let look = look(&path).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(look.holders, [Holder { pid: child.id(), program: "sleep".into() }]);
    }

    #[test]
    fn what_is_no_device_is_refused() {
        assert_eq!(look(Path::new("/proc/version")).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(look(Path::new("/dev/no-such-port")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
