//! The durable journal: what the agent knows to be true, on disk before anyone hears of it.
//!
//! One SQLite file, written by one thread. A request is a list of [`Op`]s that commit together or not at all;
//! requests that arrive within [`GROUP_WINDOW_MS`] share one commit and one fsync. Numbers are given inside that
//! transaction, so a number that was ever seen outside is on disk.
//!
//! Must not know: MQTT, the engine's rules, who reads the records.
mod evict;
mod export;
mod open;
mod oversized;
mod place;
mod roomless;
mod row;
mod salvage;
mod store;
#[cfg(test)]
pub(crate) mod tests;
mod turn;
mod writer;

use std::path::PathBuf;

use kioskwatch_agent_core::{effect::Draft, journal::JournalLimits};
use kioskwatch_proto::{BootId, CommandId, Epoch, Timestamp, journal::Digest};

pub use export::export;
pub use open::{Opened, PreviousRun};
pub use place::check_place;
pub use writer::{Journal, Reply};

/// Requests that arrive within this time share a commit.
pub const GROUP_WINDOW_MS: u64 = 10;
/// Operations of one group at most: bounds the time a commit takes.
pub const MAX_GROUP: usize = 256;
/// Requests that may wait for the writer.
pub const QUEUE: usize = 1024;
/// Damaged files kept beside the journal for a technician; older ones are deleted.
pub const KEEP_SET_ASIDE: usize = 5;
/// A file of this size is given up when the disk is full, so that faults still find room.
pub const RESERVE_BYTES: u64 = 256 * 1024;
/// Smallest cap that leaves room for one record of every size and the tables themselves.
pub const MIN_CAP_BYTES: u64 = 1024 * 1024;

/// Where the journal lies and how large it may grow.
#[derive(Debug, Clone)]
pub struct JournalConfig {
    pub path: PathBuf,
    /// Cap of the database file.
    pub max_bytes: u64,
    /// Cap of the records in it, and how long acknowledged ones stay.
    pub limits: JournalLimits,
    /// Others may read it meanwhile, which takes a file beside it.
    pub shared: bool,
}

impl JournalConfig {
    /// Leaves a third of the file for the tables' own needs.
    pub fn new(path: PathBuf, max_bytes: u64, keep_acked_ms: i64) -> Self {
        let limits =
            JournalLimits { cap_bytes: max_bytes / 3 * 2, keep_acked_ms, ..JournalLimits::default() };
        Self { path, max_bytes, limits, shared: true }
    }
}

/// One command as the agent remembers it, so that its id never runs twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRow {
    pub id: CommandId,
    pub counter: u64,
    pub not_after: Timestamp,
    /// The engine's own word and data, opaque here.
    pub state: String,
}

/// One change of the journal.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    Record(Draft),
    /// The agent lived at this time, in this run of the machine. Also ages out records that are no longer needed.
    Tick {
        boot: BootId,
        at: Timestamp,
    },
    /// The agent stops in order.
    Clean,
    /// The server has committed everything up to here; less than before when it was restored.
    Acked {
        upto: u64,
        at: Timestamp,
    },
    /// The engine's hard state, for the next start.
    Remember(String),
    /// Remember a command or its new state.
    Command(CommandRow),
    /// The command's time is over.
    Forget(CommandId),
    /// The highest counter of a verified command.
    Counter(u64),
    /// Every command that was asked for since then is remembered.
    CommandsKnownSince(Timestamp),
    /// Start over under a new epoch: first this snapshot, then what ends at `resend_from` or later under new
    /// numbers. The rest is forgotten.
    NewEpoch {
        epoch: Epoch,
        first: Draft,
        resend_from: u64,
    },
}

/// Where a record landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub seq: u64,
    pub digest: Digest,
}

/// The ends of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub epoch: Epoch,
    /// The lowest number still held; `last_seq + 1` when nothing is.
    pub first: u64,
    /// The highest number ever given in this epoch.
    pub last_seq: u64,
    /// The highest number the server has acknowledged.
    pub acked: u64,
}

impl Head {
    pub fn pending(&self) -> u64 {
        self.last_seq.saturating_sub(self.acked)
    }
}

/// What one request did.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// One entry for each [`Op::Record`] and each [`Op::NewEpoch`] (its first record) in order;
    /// `None` when there was no room for it.
    pub written: Vec<Option<Written>>,
    pub head: Head,
    pub notices: Vec<Notice>,
}

/// Something the journal did on its own that the engine must know.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// The size cap replaced unacknowledged records by `dropped`, or they found no place on a full disk; with
    /// `snapshot_wanted` important ones too, or the last snapshot left, and the whole state must be told anew.
    Evicted { records: u64, snapshot_wanted: bool },
    /// The file was damaged; a new epoch began. The old file lies at this path.
    SetAside { path: PathBuf, reason: String },
    /// The file was damaged, and there is no room on the disk for another: nothing can be written down for now.
    Roomless { reason: String },
    /// There was no room for the file of this run. Now there is one; whoever knows the journal of before begins again.
    MovedIn,
    /// There is no room on the disk, or there is again.
    DiskFull(bool),
}

/// Why the journal cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("creating the journal's directory {path}")]
    Directory { path: String, source: std::io::Error },
    #[error("the journal's directory {path} cannot be written: the agent needs it to keep records")]
    ReadOnly { path: String, source: std::io::Error },
    #[error("the journal {path} is in use by another agent")]
    InUse { path: String },
    #[error("{doing} the journal {path}")]
    File { doing: &'static str, path: String, source: std::io::Error },
    #[error(
        "the journal {path} was written by a newer agent (format {found}, this one knows {known}); \
         install that agent again, or move the file away to begin a new epoch"
    )]
    TooNew { path: String, found: i64, known: i64 },
    #[error("{doing} the journal: {what}")]
    Damaged { doing: &'static str, what: String },
    #[error("{doing} the journal: the disk or the journal's cap is full")]
    Full { doing: &'static str },
    #[error("the journal is damaged ({what}), and there is no room on the disk for another")]
    NoRoomToReplace { what: String },
    #[error("{doing} the journal")]
    Sqlite { doing: &'static str, source: rusqlite::Error },
    #[error("the journal's thread has ended")]
    Gone,
    #[error("starting the journal's thread")]
    Thread { source: std::io::Error },
}

/// Whether the size cap may take a record before any other.
pub(crate) fn is_telemetry(kind: &str) -> bool {
    matches!(kind, "transaction" | "alive")
}
