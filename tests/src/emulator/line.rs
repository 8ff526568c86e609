//! The cable of one device, as a test holds it: its path, its faults, its plug, and what went over it.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::fault::LineFault;
use super::pty::Pty;

/// The log of what the host sent keeps this many bytes: enough for any test, little for 36 devices.
const RECEIVED_LIMIT: usize = 16 * 1024;

/// One serial line. Clones are the same line.
#[derive(Clone)]
pub struct Line {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    pty: Option<Arc<Pty>>,
    fault: LineFault,
    powered: bool,
    host_present: bool,
    received: VecDeque<u8>,
    received_total: u64,
}

impl Line {
    /// Opens a line and publishes it as `dir/name`; the directory is made if it is missing.
    pub(super) fn open(dir: &Path, name: &str) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let state = State {
            pty: None,
            fault: LineFault::None,
            powered: true,
            host_present: false,
            received: VecDeque::new(),
            received_total: 0,
        };
        let shared = Shared { path: dir.join(name), state: Mutex::new(state), changed: Notify::new() };
        let line = Self { shared: Arc::new(shared) };
        line.replug()?;
        Ok(line)
    }

    /// The published path, like a link in `/dev/serial/by-id`: it outlives the terminal behind it.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Breaks the line, or mends it.
    pub fn set_fault(&self, fault: LineFault) {
        self.state().fault = fault;
        self.nudge();
    }

    /// What is wrong with the line.
    pub fn fault(&self) -> LineFault {
        self.state().fault
    }

    /// Pulls the adapter out: the path is gone, and a host that has it open reads end of file.
    ///
    /// The path goes at once, the open terminal as soon as the device's task runs.
    pub fn unplug(&self) {
        let pty = self.state().pty.take();
        if let Some(pty) = pty {
            pty.withdraw(self.path());
        }
        self.nudge();
    }

    /// Plugs the adapter in, again: a new terminal behind the same path. An open one is torn off first.
    pub fn replug(&self) -> io::Result<()> {
        let pty = Pty::open()?;
        pty.publish(self.path())?;
        self.state().pty = Some(Arc::new(pty));
        self.nudge();
        Ok(())
    }

    /// A new terminal for one that cannot be used any more, unless it was unplugged in the meantime.
    pub(super) fn renew(&self, old: &Arc<Pty>) -> io::Result<()> {
        let pty = Pty::open()?;
        let mut state = self.state();
        if state.pty.as_ref().is_some_and(|current| Arc::ptr_eq(current, old)) {
            pty.publish(self.path())?;
            state.pty = Some(Arc::new(pty));
        }
        drop(state);
        self.nudge();
        Ok(())
    }

    /// True while somebody has the host's end open.
    pub fn host_present(&self) -> bool {
        self.state().host_present
    }

    /// The last bytes from the host, at most 16 KiB. A dead device has a log too: it is the cable's.
    pub fn received(&self) -> Vec<u8> {
        self.state().received.iter().copied().collect()
    }

    /// How many bytes ever came from the host.
    pub fn received_total(&self) -> u64 {
        self.state().received_total
    }

    /// Forgets the log, not the total.
    pub fn clear_received(&self) {
        self.state().received.clear();
    }

    pub(super) fn set_powered(&self, powered: bool) {
        self.state().powered = powered;
        self.nudge();
    }

    pub(super) fn set_host_present(&self, present: bool) {
        self.state().host_present = present;
    }

    pub(super) fn log(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.received_total += bytes.len() as u64;
        state.received.extend(bytes);
        let excess = state.received.len().saturating_sub(RECEIVED_LIMIT);
        state.received.drain(..excess);
    }

    /// What the device's task must go by now.
    pub(super) fn condition(&self) -> Condition {
        let state = self.state();
        Condition { pty: state.pty.clone(), fault: state.fault, powered: state.powered }
    }

    /// Tells the task that something has changed.
    pub(super) fn nudge(&self) {
        self.shared.changed.notify_one();
    }

    pub(super) async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The line at one moment.
pub(super) struct Condition {
    pub(super) pty: Option<Arc<Pty>>,
    pub(super) fault: LineFault,
    pub(super) powered: bool,
}
