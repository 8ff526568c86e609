//! The task of one device: it waits until the host, a deadline or a test has something for it.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use super::device::{Model, Replies};
use super::fault::{LineFault, Noise};
use super::line::Line;
use super::pty::{Master, Pty, Watch};

/// Between two bursts of garbage: at 9600 baud a line carries about 38 bytes in this time.
const CHATTER_EVERY: Duration = Duration::from_millis(40);

/// A device that has this many pieces waiting for a slow line says no more.
const OUTBOX_LIMIT: usize = 4096;

pub(super) struct Service<M: Model> {
    line: Line,
    model: Arc<Mutex<M>>,
    pty: Option<Arc<Pty>>,
    watch: Option<AsyncFd<Watch>>,
    /// Registered only while a host is there: without one the terminal reports a hang-up without end.
    master: Option<AsyncFd<Master>>,
    outbox: VecDeque<(Instant, Vec<u8>)>,
    noise: Noise,
    next_noise: Option<Instant>,
}

impl<M: Model> Service<M> {
    pub(super) fn new(line: Line, model: Arc<Mutex<M>>) -> Self {
        let noise = Noise::seeded(&line.path().to_string_lossy());
        Self {
            line,
            model,
            pty: None,
            watch: None,
            master: None,
            outbox: VecDeque::new(),
            noise,
            next_noise: None,
        }
    }

    pub(super) async fn run(mut self) {
        let mut buffer = [0; 1024];
        loop {
            self.follow_the_plug();
            self.turn(Instant::now());
            let wake = self.next_wake();
            tokio::select! {
                () = self.line.changed() => {}
                () = visitors(self.watch.as_ref()) => self.look_for_host(),
                read = from_host(self.master.as_ref(), &mut buffer) => match read {
                    Ok(length) if length > 0 => self.hear(&buffer[..length]),
                    _ => self.look_for_host(),
                },
                () = until(wake) => {}
            }
        }
    }

    /// Lets go of a terminal that was unplugged, takes up the one that was plugged in.
    fn follow_the_plug(&mut self) {
        let wanted = self.line.condition().pty;
        let same = match (&self.pty, &wanted) {
            (Some(held), Some(wanted)) => Arc::ptr_eq(held, wanted),
            (None, None) => true,
            _ => false,
        };
        if same {
            return;
        }
        self.master = None;
        self.watch = None;
        self.line.set_host_present(false);
        self.pty = wanted;
        if let Some(pty) = &self.pty {
            self.watch = register(Watch(Arc::clone(pty)));
            self.look_for_host();
        }
    }

    /// Somebody opened or closed the port: hear the last words, see who is there now.
    fn look_for_host(&mut self) {
        let Some(pty) = self.pty.clone() else { return };
        let writer_left = pty.drain_watch();
        let was_present = self.master.take().is_some();
        let mut buffer = [0; 1024];
        let present = loop {
            match pty.read(&mut buffer) {
                Ok(length) if length > 0 => self.hear(&buffer[..length]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break true,
                Ok(_) | Err(_) => break false,
            }
        };
        if present {
            // Always a new registration: a hang-up that the old one has seen would stay with it.
            self.master = register(Master(pty));
        } else if was_present || writer_left {
            self.outbox.clear();
            self.forget_host(&pty);
        }
        // Last, so that who sees the host gone finds the port ready for the next one.
        self.line.set_host_present(present);
    }

    fn forget_host(&self, pty: &Arc<Pty>) {
        let forgotten = match pty.forget_host() {
            Err(Errno::BUSY) => self.line.renew(pty),
            other => other.map_err(io::Error::from),
        };
        if let Err(error) = forgotten {
            tracing::warn!(path = %self.line.path().display(), %error, "making the port ready for the next host");
        }
    }

    /// Lets the device think about these bytes. What it says goes out in the next [`Self::turn`], when it
    /// is known whether a host is there to read it.
    fn hear(&mut self, bytes: &[u8]) {
        self.line.log(bytes);
        let now = Instant::now();
        let condition = self.line.condition();
        if !condition.powered {
            return;
        }
        if condition.fault == LineFault::Echo {
            self.outbox.push_back((now, bytes.to_vec()));
        }
        if condition.fault.device_hears() {
            let mut say = Replies::new();
            {
                let mut model = self.model();
                model.wake(now, &mut say);
                model.hear(now, bytes, &mut say);
            }
            self.say(now, condition.fault, say);
        }
    }

    /// What is due now: the device's own deadlines, garbage, and pieces that a bad line has held back.
    fn turn(&mut self, now: Instant) {
        let condition = self.line.condition();
        let mut say = Replies::new();
        self.model().wake(now, &mut say);
        if condition.powered {
            self.say(now, condition.fault, say);
        } else {
            self.outbox.clear();
        }
        self.chatter(now, condition.fault);
        self.flush(now);
    }

    fn say(&mut self, now: Instant, fault: LineFault, replies: Replies) {
        for reply in replies {
            let pieces = fault.carry(now, reply, &*self.model());
            // A mended line must not let a new reply overtake one that is still on its way.
            let after = self.outbox.back().map_or(now, |(at, _)| *at);
            if self.outbox.len() < OUTBOX_LIMIT {
                self.outbox.extend(pieces.into_iter().map(|(at, piece)| (at.max(after), piece)));
            }
        }
    }

    fn chatter(&mut self, now: Instant, fault: LineFault) {
        if fault != LineFault::Chatter || self.master.is_none() {
            self.next_noise = None;
            return;
        }
        if self.next_noise.is_none_or(|at| at <= now) {
            let burst = self.noise.burst();
            self.outbox.push_back((now, burst));
            self.next_noise = Some(now + CHATTER_EVERY);
        }
    }

    fn flush(&mut self, now: Instant) {
        while let Some((_, piece)) = self.outbox.pop_front_if(|(at, _)| *at <= now) {
            // Without a host the bytes leave the device and reach nobody.
            if let (Some(pty), Some(_)) = (&self.pty, &self.master) {
                pty.write(&piece);
            }
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        let due = self.model().due();
        let piece = self.outbox.front().map(|(at, _)| *at);
        [due, piece, self.next_noise].into_iter().flatten().min()
    }

    fn model(&self) -> MutexGuard<'_, M> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `T` is [`Master`] or [`Watch`], which keep their descriptor open and never change it.
fn register<T: AsRawFd>(fd: T) -> Option<AsyncFd<T>> {
    #[expect(
        deprecated,
        reason = "its successor is `unsafe`, which the workspace forbids; what it asks holds"
    )]
    let registered = AsyncFd::with_interest(fd, Interest::READABLE);
    match registered {
        Ok(registered) => Some(registered),
        Err(error) => {
            tracing::warn!(%error, "waiting for the port of an emulated device");
            None
        }
    }
}

/// Somebody opened or closed the host's end.
async fn visitors(watch: Option<&AsyncFd<Watch>>) {
    let Some(watch) = watch else { return pending().await };
    match watch.readable().await {
        // Before the events are read, so that one that comes in between wakes the task again.
        Ok(mut ready) => ready.clear_ready(),
        Err(_) => pending().await,
    }
}

async fn from_host(master: Option<&AsyncFd<Master>>, buffer: &mut [u8]) -> io::Result<usize> {
    match master {
        Some(master) => {
            master.async_io(Interest::READABLE, |end| end.0.read(buffer).map_err(io::Error::from)).await
        }
        None => pending().await,
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at).await,
        None => pending().await,
    }
}
