//! One pseudo-terminal: the device's end, and a watch on who opens the host's end.
//!
//! The usual trick, to hold the host's end open oneself, is not used here. An agent looks up who holds a
//! port before it opens it, and would find the emulator there. So the host's end is held by nobody while
//! no host is there, and inotify tells when one comes or goes.

use std::ffi::{CString, OsStr};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, QueueSelector};

/// An open pseudo-terminal. Dropping the last reference is what a host sees as an unplugged adapter.
pub(super) struct Pty {
    master: OwnedFd,
    watch: OwnedFd,
    slave_path: CString,
}

impl Pty {
    pub(super) fn open() -> io::Result<Self> {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let slave_path = rustix::pty::ptsname(&master, Vec::new())?;
        let flags = rustix::fs::fcntl_getfl(&master)?;
        rustix::fs::fcntl_setfl(&master, flags | OFlags::NONBLOCK)?;

        // A fresh terminal echoes and waits for whole lines: raw before anybody knows its name. That it
        // was open once also makes "no host" read as EIO from the start.
        let slave = open_slave(&slave_path, OFlags::RDWR)?;
        let mut settings = rustix::termios::tcgetattr(&slave)?;
        settings.make_raw();
        rustix::termios::tcsetattr(&slave, OptionalActions::Now, &settings)?;
        drop(slave);

        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let events = WatchFlags::OPEN | WatchFlags::CLOSE_WRITE | WatchFlags::CLOSE_NOWRITE;
        inotify::add_watch(&watch, &slave_path, events)?;
        Ok(Self { master, watch, slave_path })
    }

    /// Points `link` at the host's end, in one step: a reader sees the old device or the new one.
    pub(super) fn publish(&self, link: &Path) -> io::Result<()> {
        let mut fresh = link.as_os_str().to_owned();
        fresh.push(".new");
        let fresh = Path::new(&fresh);
        match std::fs::remove_file(fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::os::unix::fs::symlink(self.host_path(), fresh)?;
        std::fs::rename(fresh, link)
    }

    /// Takes the link away, unless somebody else has put theirs in its place.
    pub(super) fn withdraw(&self, link: &Path) {
        let ours = std::fs::read_link(link).is_ok_and(|target| target == self.host_path());
        if ours && let Err(error) = std::fs::remove_file(link) {
            tracing::warn!(link = %link.display(), %error, "removing the path of an emulated device");
        }
    }

    fn host_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.slave_path.to_bytes()))
    }

    /// Bytes from the host. `EAGAIN`: a host is there and has said nothing. `EIO`: nobody is there.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        rustix::io::read(&self.master, buffer)
    }

    /// Bytes to the host. What does not fit is lost, as on a wire whose other end does not read.
    pub(super) fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match rustix::io::write(&self.master, bytes) {
                Ok(0) => return,
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::debug!(lost = bytes.len(), %error, "the host does not take the bytes");
                    return;
                }
            }
        }
    }

    /// Reads away what the watch has seen; true if somebody who could write has closed the port.
    ///
    /// Equal events in a row are merged by the kernel, so they cannot be counted: they are only a hint
    /// to look again with [`Pty::read`].
    pub(super) fn drain_watch(&self) -> bool {
        let mut writer_left = false;
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut events = inotify::Reader::new(&self.watch, &mut buffer);
        while let Ok(event) = events.next() {
            writer_left |= event.events().contains(ReadFlags::CLOSE_WRITE);
        }
        writer_left
    }

    /// Does for the next host what a real serial port does when its last user closes it: unread bytes and
    /// the claim of exclusive use are gone. A pseudo-terminal keeps both.
    ///
    /// `EBUSY`: a killed host left its claim, and only root could open the port to remove it.
    pub(super) fn forget_host(&self) -> Result<(), Errno> {
        // Read-only, so that the watch can tell this visit from a host's.
        let slave = open_slave(&self.slave_path, OFlags::RDONLY)?;
        rustix::termios::ioctl_tiocnxcl(&slave)?;
        rustix::termios::tcflush(&slave, QueueSelector::IFlush)
    }
}

fn open_slave(path: &CString, access: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, access | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
}

/// The device's end, in the form in which tokio waits for it.
pub(super) struct Master(pub(super) Arc<Pty>);

impl AsRawFd for Master {
    fn as_raw_fd(&self) -> RawFd {
        self.0.master.as_raw_fd()
    }
}

/// The watch on the host's end, in the form in which tokio waits for it.
pub(super) struct Watch(pub(super) Arc<Pty>);

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.watch.as_raw_fd()
    }
}
