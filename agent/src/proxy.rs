//! The kiosk application's end of a port that the agent owns: a pseudo-terminal behind a link.
use std::{
    ffi::CStr,
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        Mode, OFlags, fcntl_setfl,
        inotify::{self, CreateFlags, WatchFlags},
    },
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr},
};
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// Removes its link when dropped.
#[derive(Debug)]
pub struct ApplicationEnd {
    master: AsyncFd<OwnedFd>,
    /// Held open: without any, reading the master fails whenever the application is away.
    slave: OwnedFd,
    /// Says whenever somebody opens or closes the terminal; `None` where the kernel has no such watch left.
    doorbell: Option<AsyncFd<OwnedFd>>,
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
        let doorbell = watch(&name).and_then(readable);
        if let Err(error) = &doorbell {
            tracing::warn!(link = %link.display(), %error,
                "a restarted application may read what the device said while it was away");
        }
        let target = name.to_str().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        std::os::unix::fs::symlink(target, link)?;
        Ok(Self { master: readable(master)?, slave, doorbell: doorbell.ok(), link: link.to_owned() })
    }

    /// Bytes the application sent.
    pub async fn read(&self, chunk: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = tokio::select! {
                biased;
                rung = rung(self.doorbell.as_ref()) => {
                    self.forget_the_past();
                    rung?.clear_ready();
                    continue;
                }
                ready = self.master.readable() => ready?,
            };
            let read = ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut *chunk)?));
            if let Ok(result) = read {
                return result;
            }
        }
    }

    /// Bytes for the application. What finds no room in the terminal's buffer is lost, as on a real line.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.forget_the_past();
        let written = rustix::io::write(self.master.get_ref(), bytes)?;
        if written < bytes.len() {
            return Err(io::Error::new(io::ErrorKind::WriteZero, "its buffer is full"));
        }
        Ok(())
    }

    /// What the device said before somebody opened or closed the terminal is no answer to what is asked from now on;
    /// a line that nobody holds open keeps nothing either.
    fn forget_the_past(&self) {
        let Some(doorbell) = &self.doorbell else { return };
        let mut events = [0; 1024];
        let mut rung = false;
        while matches!(rustix::io::read(doorbell.get_ref(), &mut events), Ok(1..)) {
            rung = true;
        }
        if rung && let Err(error) = tcflush(&self.slave, QueueSelector::IFlush) {
            tracing::warn!(link = %self.link.display(), %error, "old bytes may wait for the application");
        }
    }
}

fn watch(terminal: &CStr) -> io::Result<OwnedFd> {
    let doorbell = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    let door = WatchFlags::OPEN | WatchFlags::CLOSE_WRITE | WatchFlags::CLOSE_NOWRITE;
    inotify::add_watch(&doorbell, terminal, door)?;
    Ok(doorbell)
}

fn readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(deprecated, reason = "the other constructor is unsafe; an owned descriptor is what it asks for")]
    AsyncFd::new(fd)
}

async fn rung(doorbell: Option<&AsyncFd<OwnedFd>>) -> io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
    match doorbell {
        Some(doorbell) => doorbell.readable().await,
        None => std::future::pending().await,
    }
}

impl Drop for ApplicationEnd {
    fn drop(&mut self) {
        // A link that stays points at nothing and is replaced at the next opening.
        drop(fs::remove_file(&self.link));
    }
}
