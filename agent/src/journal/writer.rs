//! The journal's thread: groups requests into commits, and decides what a failing disk means.
use std::{
    collections::VecDeque,
    fs::File,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    thread::JoinHandle,
    time::Duration,
};

use kioskwatch_agent_core::journal::{Entry, ReadLimit};
use kioskwatch_proto::journal::Digest;
use tokio::sync::{oneshot, watch};

use crate::clock;

use super::{
    Done, GROUP_WINDOW_MS, Head, JournalConfig, JournalError, MAX_GROUP, Notice, Op, Opened, QUEUE,
    is_telemetry, open, salvage, store::Store,
};

/// While the disk is full, what waits is tried again this often.
const RETRY: Duration = Duration::from_secs(1);
/// While there is no room for a file of its own: that reads the damaged one whole.
const RETRY_MOVING_IN_MS: u64 = 10_000;
/// Groups of writes between two tries to lay the reserve down: minutes, when little happens.
pub(super) const RESERVE_AGAIN_AFTER: u32 = 30;
/// Requests with something important that may wait for room on the disk.
pub(super) const MAX_STUCK: usize = 1000;

type Answer<T> = oneshot::Sender<Result<T, JournalError>>;
/// Resolves when the request is on disk.
pub type Reply<T> = oneshot::Receiver<Result<T, JournalError>>;

enum Request {
    Write(Write),
    Read { from: u64, limit: ReadLimit, answer: Answer<Vec<Entry>> },
    Digest { seq: u64, answer: Answer<Option<Digest>> },
}

struct Write {
    ops: Vec<Op>,
    answer: Answer<Done>,
    /// Places of telemetry that was left out for want of room, among the request's records.
    left_out: Vec<usize>,
}

/// The handle of the journal. Dropping it ends the thread after what was asked is done.
pub struct Journal {
    /// Boxed: the channel holds room for a full queue from its beginning.
    requests: Option<SyncSender<Box<Request>>>,
    head: watch::Receiver<Head>,
    stuck: watch::Receiver<bool>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Journal")
    }
}

impl Journal {
    /// Opens or makes the file and starts the thread.
    pub fn open(config: &JournalConfig) -> Result<(Self, Opened), JournalError> {
        let (store, opened, lock) = open::open(config)?;
        let (sender, receiver) = sync_channel(QUEUE);
        let (head, seen) = watch::channel(store.head());
        let (is_stuck, stuck) = watch::channel(false);
        let writer = Writer {
            head,
            is_stuck,
            store,
            stuck: VecDeque::new(),
            full: false,
            move_in_at: clock::mono_ms() + RETRY_MOVING_IN_MS,
            reserved: open::has_reserve(&config.path),
            reserve_in: 0,
            lost: 0,
            notices: Vec::new(),
            _lock: lock,
        };
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run(&receiver))
            .map_err(|source| JournalError::Thread { source })?;
        Ok((Self { requests: Some(sender), head: seen, stuck, thread: Some(thread) }, opened))
    }

    /// Where the journal stands on disk; changes are seen as soon as they are durable.
    pub fn head(&self) -> watch::Receiver<Head> {
        self.head.clone()
    }

    /// Comes back once requests wait for room on the disk: their answers may take for ever.
    pub async fn no_room(&self) {
        if self.stuck.clone().wait_for(|stuck| *stuck).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Commits these together. Answers come in the order of the requests.
    pub fn write(&self, ops: Vec<Op>) -> Reply<Done> {
        let (answer, reply) = oneshot::channel();
        self.send(Request::Write(Write { ops, answer, left_out: Vec::new() }));
        reply
    }

    /// Records that carry numbers from `from` on; at least one, if there is one.
    pub fn read(&self, from: u64, limit: ReadLimit) -> Reply<Vec<Entry>> {
        let (answer, reply) = oneshot::channel();
        self.send(Request::Read { from, limit, answer });
        reply
    }

    /// The digest of one record, if it is still held.
    pub fn digest(&self, seq: u64) -> Reply<Option<Digest>> {
        let (answer, reply) = oneshot::channel();
        self.send(Request::Digest { seq, answer });
        reply
    }

    /// A full queue blocks the caller: the disk is then slower than the devices, and nothing is thrown away.
    fn send(&self, request: Request) {
        let Some(requests) = &self.requests else { return };
        if let Err(TrySendError::Full(request)) = requests.try_send(Box::new(request)) {
            tracing::warn!(queue = QUEUE, "the journal is slower than what it is given; waiting");
            // A closed channel drops the answer, which the caller sees.
            drop(requests.send(request));
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's thread ended by a panic");
        }
    }
}

struct Writer {
    /// Where the journal stands, for everybody who wants to know.
    head: watch::Sender<Head>,
    is_stuck: watch::Sender<bool>,
    store: Store,
    /// Requests that wait for room on the disk, in order.
    stuck: VecDeque<Write>,
    full: bool,
    /// When it is next tried to have a file, where there was no room for one.
    move_in_at: u64,
    /// The reserve lies there, or found no room when it was to be laid down.
    reserved: bool,
    /// Groups of writes before the next try to lay it down.
    reserve_in: u32,
    /// Important records that found no place even there: the whole state is told once there is room.
    lost: u64,
    notices: Vec<Notice>,
    _lock: File,
}

impl Writer {
    fn run(mut self, requests: &Receiver<Box<Request>>) {
        loop {
            let first = match requests.recv_timeout(if self.stuck.is_empty() { Duration::MAX } else { RETRY })
            {
                Ok(request) => Some(request),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut group = Vec::new();
            let mut closes_at = 0;
            let mut next = first;
            while let Some(request) = next.take() {
                match *request {
                    Request::Write(write) => {
                        if group.is_empty() {
                            closes_at = clock::mono_ms() + GROUP_WINDOW_MS;
                        }
                        group.push(write);
                    }
                    // A reader sees what was written before it asked.
                    read => {
                        self.commit(std::mem::take(&mut group));
                        self.serve(read);
                    }
                }
                if group.len() < MAX_GROUP {
                    // Only a group that has begun waits for company.
                    let wait = if group.is_empty() { 0 } else { closes_at.saturating_sub(clock::mono_ms()) };
                    next = requests.recv_timeout(Duration::from_millis(wait)).ok();
                }
            }
            self.commit(group);
            self.retry_stuck();
        }
        self.retry_stuck();
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::Read { from, limit, answer } => {
                let found = match self.store.read_entries(from, limit) {
                    Err(JournalError::Damaged { what, .. }) => {
                        self.set_aside(what);
                        self.store.read_entries(from, limit)
                    }
                    other => other,
                };
                drop(answer.send(found));
            }
            Request::Digest { seq, answer } => drop(answer.send(self.store.find_digest(seq))),
            Request::Write(write) => self.commit(vec![write]),
        }
    }

    fn commit(&mut self, mut group: Vec<Write>) {
        if group.is_empty() {
            return;
        }
        if !self.stuck.is_empty() {
            // Order holds: nothing important overtakes what waits.
            for write in group {
                self.wait_for_room(write);
            }
            return;
        }
        match self.try_apply(&group) {
            Ok(done) => self.answer(group, done),
            Err(JournalError::Full { .. }) => {
                self.on_full();
                for write in group.drain(..) {
                    self.wait_for_room(write);
                }
                self.retry_stuck();
            }
            Err(error) => fatal(&error),
        }
    }

    /// Applies the group; a damaged file is replaced on the way, anything but a full disk ends the process.
    fn try_apply(&mut self, group: &[Write]) -> Result<Vec<Done>, JournalError> {
        let ops: Vec<&[Op]> = group.iter().map(|write| write.ops.as_slice()).collect();
        match self.store.apply(&ops) {
            Err(JournalError::Damaged { what, .. }) => {
                self.set_aside(what);
                self.store.apply(&ops)
            }
            other => other,
        }
    }

    fn answer(&mut self, group: Vec<Write>, done: Vec<Done>) {
        self.head.send_replace(self.store.head());
        for (write, mut done) in group.into_iter().zip(done) {
            for place in write.left_out {
                done.written.insert(place.min(done.written.len()), None);
            }
            done.head = self.store.head();
            done.notices.append(&mut self.notices);
            // Nobody waiting for an answer is no reason to stop.
            drop(write.answer.send(Ok(done)));
        }
        if self.stuck.is_empty() {
            self.has_room();
        }
    }

    /// Something was written, and nothing waits.
    fn has_room(&mut self) {
        if self.full {
            self.full = false;
            self.is_stuck.send_replace(false);
            self.notices.push(Notice::DiskFull(false));
            let records = std::mem::take(&mut self.lost);
            if records > 0 {
                self.notices.push(Notice::Evicted { records, snapshot_wanted: true });
            }
            tracing::info!("the journal has room again");
        }
        if !self.reserved {
            self.lay_reserve_down();
        }
    }

    /// With the first write that finds room, and where there is none for it, again some writes later: a try writes all of it.
    fn lay_reserve_down(&mut self) {
        match self.reserve_in.checked_sub(1) {
            Some(left) => self.reserve_in = left,
            None => {
                self.reserved = open::write_reserve(&self.store.config.path);
                self.reserve_in = RESERVE_AGAIN_AFTER;
            }
        }
    }

    fn on_full(&mut self) {
        if !self.full {
            self.full = true;
            self.notices.push(Notice::DiskFull(true));
            (self.reserved, self.reserve_in) = (false, 0);
            let reserve = open::give_up_reserve(&self.store.config.path);
            tracing::error!(reserve, "no room for the journal: telemetry is dropped, faults wait for room");
        }
        let room = self.store.config.limits.cap_bytes / 10;
        match self.store.in_transaction(|turn| turn.free(room)) {
            Ok(((), notices)) => self.notices.extend(notices),
            Err(JournalError::Full { .. }) => {}
            Err(JournalError::Damaged { what, .. }) => self.set_aside(what),
            Err(error) => fatal(&error),
        }
    }

    /// Leaves out telemetry; keeps the rest in order until there is room.
    fn wait_for_room(&mut self, mut write: Write) {
        let mut place = 0;
        write.ops.retain(|op| {
            let record = matches!(op, Op::Record(_) | Op::NewEpoch { .. });
            let telemetry = matches!(op, Op::Record(new) if is_telemetry(new.body.kind()));
            if telemetry {
                write.left_out.push(place);
            }
            place += usize::from(record);
            !telemetry
        });
        let important = write.ops.iter().any(|op| !matches!(op, Op::Tick { .. } | Op::Acked { .. }));
        // A new epoch is asked for once; nothing is sent until it has begun.
        let unique = write.ops.iter().any(|op| matches!(op, Op::NewEpoch { .. } | Op::Clean));
        if unique || important && self.stuck.len() < MAX_STUCK {
            self.stuck.push_back(write);
        } else {
            let records = write.ops.iter().filter(|op| matches!(op, Op::Record(_))).count() as u64;
            self.lost += records;
            tracing::warn!(
                lost = write.left_out.len() as u64 + records,
                "dropped for want of room on the disk"
            );
            drop(write.answer.send(Err(JournalError::Full { doing: "writing" })));
        }
    }

    /// Whether there is a file to write to.
    fn has_file(&mut self) -> bool {
        if !self.store.roomless {
            return true;
        }
        let now = clock::mono_ms();
        if now < self.move_in_at {
            return false;
        }
        self.move_in_at = now + RETRY_MOVING_IN_MS;
        match open::open_or_replace(&self.store.config.clone()) {
            Ok((store, notices)) => {
                tracing::info!("there is room for the journal");
                self.store = store;
                self.head.send_replace(self.store.head());
                self.notices.extend(notices);
                self.notices.push(Notice::MovedIn);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "there is still no room for the journal");
                false
            }
        }
    }

    fn retry_stuck(&mut self) {
        if !self.stuck.is_empty() && !self.has_file() {
            self.is_stuck.send_replace(true);
            return;
        }
        while let Some(write) = self.stuck.pop_front() {
            let group = [write];
            let result = self.try_apply(&group);
            let [write] = group;
            match result {
                Ok(done) => self.answer(vec![write], done),
                Err(JournalError::Full { .. }) => {
                    self.stuck.push_front(write);
                    self.is_stuck.send_replace(true);
                    return;
                }
                Err(error) => fatal(&error),
            }
        }
    }

    fn set_aside(&mut self, what: String) {
        tracing::error!(reason = what, "the journal is damaged: setting it aside and beginning a new epoch");
        // Closed first: a connection that closes tidies up by name, and the name will be the new file's.
        match rusqlite::Connection::open_in_memory() {
            Ok(nothing) => self.store.conn = nothing,
            Err(source) => fatal(&JournalError::Sqlite { doing: "closing", source }),
        }
        match salvage::replace_damaged(&self.store.config.clone(), what) {
            Ok((store, notice)) => {
                self.store = store;
                self.notices.push(notice);
                self.head.send_replace(self.store.head());
            }
            Err(error) => fatal(&error),
        }
    }
}

/// A write or fsync that failed may have lost what earlier ones seemed to keep. Trying again would hide
/// that; the process ends, and the next start reads what is really on disk.
fn fatal(error: &JournalError) -> ! {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::error!(%error, cause, "the disk does not keep what it is given; the agent stops at once");
    std::process::abort();
}
