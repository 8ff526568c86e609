//! The kiosk application's end of a port that the agent owns: a pseudo-terminal behind a link.
use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, fcntl_setfl},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};
use tokio::io::unix::AsyncFd;

/// Removes its link when dropped.
#[derive(Debug)]
pub struct ApplicationEnd {
    master: AsyncFd<OwnedFd>,
    /// Held open: without any, reading the master fails whenever the application is away.
    _slave: OwnedFd,
    link: PathBuf,
}

impl ApplicationEnd {
    /// Makes the pseudo-terminal and points `link` at it. Only a link of an earlier run is replaced.
    pub fn open(link: &Path) -> io::Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let slave = rustix::fs::open(
            name.as_c_str(),
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        // Raw before anyone can open it: a fresh one echoes and translates.
        let mut settings = tcgetattr(&slave)?;
        settings.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &settings)?;
        fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK)?;
        if fs::symlink_metadata(link).is_ok_and(|meta| meta.file_type().is_symlink()) {
            fs::remove_file(link)?;
        }
        let target = name.to_str().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        std::os::unix::fs::symlink(target, link)?;
        #[expect(
            deprecated,
            reason = "the other constructor is unsafe; an owned descriptor is what it asks for"
        )]
        let master = AsyncFd::new(master)?;
        Ok(Self { master, _slave: slave, link: link.to_owned() })
    }

    /// Bytes the application sent.
    pub async fn read(&self, chunk: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.master.readable().await?;
            let read = ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut *chunk)?));
            if let Ok(result) = read {
                return result;
            }
        }
    }

    /// Bytes for the application. What finds no room in the terminal's buffer is lost, as on a real line.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let written = rustix::io::write(self.master.get_ref(), bytes)?;
        if written < bytes.len() {
            return Err(io::Error::new(io::ErrorKind::WriteZero, "its buffer is full"));
        }
        Ok(())
    }
}

impl Drop for ApplicationEnd {
    fn drop(&mut self) {
        // A link that stays points at nothing and is replaced at the next opening.
        drop(fs::remove_file(&self.link));
    }
}
