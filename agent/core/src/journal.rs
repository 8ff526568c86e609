//! What a journal guarantees, whoever keeps it, and the pure part of keeping it within its cap.
//!
//! A journal is the list of records of one epoch, numbered 1, 2, 3 … without gaps. Each entry covers the
//! numbers `seq ..= through`; only a `dropped` record covers more than its own. Entries leave at the old end
//! only: what lies between [`JournalView::first`] and [`JournalView::last`] is covered without a hole.
use kioskwatch_proto::{Epoch, Timestamp, journal::Digest};

use crate::effect::Draft;

/// What [`crate::delivery::Delivery`] looks up.
pub trait JournalView {
    fn epoch(&self) -> Epoch;
    /// The lowest number still held; `last + 1` when empty.
    fn first(&self) -> u64;
    /// The highest number given; 0 when none was.
    fn last(&self) -> u64;
    /// What the server has committed, by its last word. May go back when the server was restored.
    fn acked(&self) -> u64;
    /// Digest of record `seq`; `None` when it is not held. A `dropped` record has none: the server may have
    /// applied what it replaced, and that would be no contradiction.
    fn digest(&self, seq: u64) -> Option<Digest>;
}

/// One stored record: its exact JSON bytes, which the server's digest is taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub seq: u64,
    /// The last number it stands for; `seq` for all but `dropped`.
    pub through: u64,
    pub json: String,
}

/// How much to read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimit {
    pub records: usize,
    /// Sum of the JSON bytes and one separator each; the first entry is always given.
    pub bytes: usize,
}

/// How much a journal may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalLimits {
    /// JSON bytes of all entries together.
    pub cap_bytes: u64,
    /// Milliseconds that acknowledged entries stay, within the cap: a restored server gets them again.
    pub keep_acked_ms: i64,
    /// See [`crate::eviction::PROTECTED_HEAD`]; smaller only in tests.
    pub protect_head: usize,
}

impl JournalLimits {
    /// Bytes to free so that `incoming` more fit; 0 when they do. Frees a tenth more than needed, so that a
    /// full journal does not make room at every record.
    pub fn need(&self, held: u64, incoming: u64) -> u64 {
        if held + incoming <= self.cap_bytes {
            return 0;
        }
        held + incoming - self.cap_bytes + self.cap_bytes / 10
    }
}

impl Default for JournalLimits {
    fn default() -> Self {
        Self {
            cap_bytes: 64 * 1024 * 1024,
            keep_acked_ms: 72 * 60 * 60 * 1000,
            protect_head: crate::eviction::PROTECTED_HEAD,
        }
    }
}

/// How many acknowledged entries are over at the old end, or a few more than `enough`. `acked_at`: when they were
/// acknowledged, oldest entry first.
///
/// The times are a wall clock's. An entry leaves only with everything before it; one that was acknowledged at a time
/// that has not come yet was so under a clock that was ahead, and is as old as the next one whose time has come.
pub fn aged_out(
    acked_at: impl IntoIterator<Item = Timestamp>,
    now: Timestamp,
    keep_acked_ms: i64,
    enough: usize,
) -> usize {
    let (mut over, mut ahead) = (0, 0);
    for at in acked_at {
        if at > now {
            ahead += 1;
        } else if now.since(at) >= keep_acked_ms && over < enough {
            over += ahead + 1;
            ahead = 0;
        } else {
            break;
        }
    }
    over
}

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Appended {
    /// The highest number now.
    pub last: u64,
    /// Records that left unacknowledged to keep the cap.
    pub evicted: u64,
    /// A range went whole, or the last snapshot that was held: the engine must be told
    /// [`crate::input::Input::SnapshotWanted`].
    pub snapshot_wanted: bool,
}

/// What pruning did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    pub records: u64,
    /// The last snapshot that was held is gone: the engine must be told [`crate::input::Input::SnapshotWanted`], so that a
    /// server that is restored from an older backup knows the state by what is held.
    pub snapshot_wanted: bool,
}

/// The durable journal.
///
/// Every method that returns `Ok` has its effect on disk, whole; one that returns `Err` or is interrupted by
/// a crash has had none of it.
pub trait Journal: JournalView {
    type Error: std::error::Error;

    /// Numbers and keeps the drafts in order, making room first where the cap asks for it.
    fn append(&mut self, drafts: &[Draft], now: Timestamp) -> Result<Appended, Self::Error>;

    /// The entry that covers `from` and those after it, in order; empty above `last`. A `from` below
    /// `first` reads from `first`.
    fn read(&self, from: u64, limit: ReadLimit) -> Result<Vec<Entry>, Self::Error>;

    /// Sets the acknowledged mark, forwards or back; above `last` it is refused by doing nothing.
    fn ack(&mut self, upto: u64, now: Timestamp) -> Result<(), Self::Error>;

    /// Forgets entries that were acknowledged longer ago than the keeping time ([`aged_out`]), from the old end and
    /// without a hole.
    fn prune(&mut self, now: Timestamp) -> Result<Pruned, Self::Error>;

    /// Begins a new epoch: its record 1 is `snapshot`, then come the entries that end at `resend_from` or
    /// later under new numbers with `was`; the others are forgotten, and nothing is acknowledged.
    fn start_epoch(&mut self, epoch: Epoch, snapshot: &Draft, resend_from: u64) -> Result<(), Self::Error>;
}
