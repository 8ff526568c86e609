//! The handle that every emulated device has, and what a device must be able to do to get one.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::line::Line;
use super::serve::Service;

/// A test that breaks more rules than this has been understood; the rest are only counted.
const VIOLATIONS_LIMIT: usize = 256;

/// What a device wants to say: one entry is one reply, so that a line fault can hit replies one by one.
pub type Replies = Vec<Vec<u8>>;

/// The inside of a device: bytes in, bytes out, time as an argument.
///
/// It knows nothing of terminals or tasks; unit tests call it directly.
pub trait Model: Send + 'static {
    /// What a test may look at and change.
    type State: Clone + Send;

    /// The device as it stands.
    fn state(&self) -> &Self::State;

    /// The device as it stands, to be changed by a test. [`Model::wake`] follows every change.
    fn state_mut(&mut self) -> &mut Self::State;

    /// The host sent these bytes; they may be half a command or three.
    fn hear(&mut self, now: Instant, bytes: &[u8], say: &mut Replies);

    /// A deadline has come, or a test changed the state: do what follows from it.
    fn wake(&mut self, now: Instant, say: &mut Replies);

    /// When the device next wants to be woken without anybody touching it.
    fn due(&self) -> Option<Instant>;

    /// The power came or went. What the device keeps in volatile memory is gone either way.
    fn power(&mut self, now: Instant, on: bool);

    /// Spoils one reply so that a careful reader of this protocol can notice it.
    fn damage(&self, reply: &mut [u8]) {
        let middle = reply.len() / 2;
        if let Some(byte) = reply.get_mut(middle) {
            *byte ^= 0x80;
        }
    }

    /// What the host did that a monitor must never do.
    fn violations(&mut self) -> &mut Violations;
}

/// Something that a monitor must not send to this device, and that arrived all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule in words, stable enough to be compared in a test.
    pub rule: &'static str,
    /// The bytes of the command.
    pub bytes: Vec<u8>,
    /// The host could have known. False only for a question to a bill validator whose state changed
    /// after its last answer: nobody can tell that in advance, so a test may choose to forgive it.
    pub forewarned: bool,
}

/// All violations so far, oldest first, bounded.
#[derive(Debug, Default)]
pub struct Violations {
    list: VecDeque<Violation>,
    total: u64,
}

impl Violations {
    /// What is remembered, oldest first.
    pub fn list(&self) -> impl Iterator<Item = &Violation> {
        self.list.iter()
    }

    pub(super) fn record(&mut self, rule: &'static str, bytes: &[u8]) {
        self.record_with(rule, bytes, true);
    }

    pub(super) fn record_with(&mut self, rule: &'static str, bytes: &[u8], forewarned: bool) {
        self.total += 1;
        tracing::warn!(rule, bytes = ?bytes, forewarned, "the host broke a rule of the emulated device");
        if self.list.len() < VIOLATIONS_LIMIT {
            self.list.push_back(Violation { rule, bytes: bytes.to_vec(), forewarned });
        }
    }
}

/// One emulated device on its line. Clones are the same device; the last one to go ends it.
pub struct Emulator<M: Model> {
    line: Line,
    model: Arc<Mutex<M>>,
    _running: Arc<Running>,
}

impl<M: Model> Clone for Emulator<M> {
    fn clone(&self) -> Self {
        Self { line: self.line.clone(), model: Arc::clone(&self.model), _running: Arc::clone(&self._running) }
    }
}

/// Ends the task and takes the path away when the last handle is dropped.
struct Running {
    task: AbortHandle,
    line: Line,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
        self.line.unplug();
    }
}

impl<M: Model> Emulator<M> {
    /// Publishes `dir/name` and starts to answer there. Fails outside a tokio runtime.
    pub(super) fn with_model(dir: &Path, name: &str, model: M) -> io::Result<Self> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let line = Line::open(dir, name)?;
        let model = Arc::new(Mutex::new(model));
        let task = runtime.spawn(Service::new(line.clone(), Arc::clone(&model)).run()).abort_handle();
        let running = Arc::new(Running { task, line: line.clone() });
        Ok(Self { line, model, _running: running })
    }

    /// The path to give to the agent. It stays the same over unplugging and plugging in again.
    pub fn path(&self) -> &Path {
        self.line.path()
    }

    /// The cable of this device.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// The device as it stands now.
    pub fn state(&self) -> M::State {
        self.model().state().clone()
    }

    /// Changes the device; what it has to say about that goes out at once.
    pub fn set<R>(&self, change: impl FnOnce(&mut M::State) -> R) -> R {
        let result = change(self.model().state_mut());
        self.line.nudge();
        result
    }

    /// What the host sent lately, also while the device was dead; see [`Line::received_total`].
    pub fn received(&self) -> Vec<u8> {
        self.line.received()
    }

    /// What the host did that a monitor must never do, oldest first, at most 256.
    pub fn violations(&self) -> Vec<Violation> {
        self.model().violations().list().cloned().collect()
    }

    /// How many violations there were, also those beyond the limit of the list.
    pub fn violations_total(&self) -> u64 {
        self.model().violations().total
    }

    /// The violations so far, and a clean slate: for a test in which an application, or an operator's
    /// command, is allowed more than a monitor.
    pub fn take_violations(&self) -> Vec<Violation> {
        std::mem::take(&mut self.model().violations().list).into()
    }

    /// The device loses its power: it hears nothing and says nothing, and forgets what it forgets.
    pub fn power_off(&self) {
        self.model().power(Instant::now(), false);
        self.line.set_powered(false);
    }

    /// The power is back, and the device starts as its kind does.
    pub fn power_on(&self) {
        self.model().power(Instant::now(), true);
        self.line.set_powered(true);
    }

    pub(super) fn model(&self) -> MutexGuard<'_, M> {
        // A panicking test must not hide what the others wanted to see.
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
