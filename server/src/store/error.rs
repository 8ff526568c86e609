//! What can go wrong between us and the database, sorted by what the caller can do about it.
use kioskwatch_domain::change::JournalRecordRow;
use kioskwatch_proto::{Epoch, KioskId, Timestamp};
use uuid::Uuid;

/// A failed store call. `statement` is the name in the first line of the SQL. Nothing of a failed commit is in the database, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer, not in time, or not as it should: it is away, a grant or a table is
    /// missing. Nothing is wrong with what was to be stored; calling again with the same
    /// arguments is safe, and right once somebody mended the database.
    #[error("{statement}: the database is not available")]
    Unavailable {
        statement: &'static str,
        #[source]
        source: sqlx::Error,
    },
    /// No answer within the named limit; the connection was given up. Calling again is safe and right.
    #[error("{statement}: no answer from the database within {limit_ms} ms")]
    Stalled { statement: &'static str, limit_ms: u64 },
    /// The database ended the statement: its time was over, or somebody there cancelled it. Calling again is safe
    /// and right. What was to be committed is not there, unless it was the COMMIT itself.
    #[error("{statement}: ended by the database before it was done")]
    Cancelled {
        statement: &'static str,
        #[source]
        source: sqlx::Error,
    },
    /// The disk of the database is full. Worth another try once somebody made room.
    #[error("{statement}: the database's disk is full")]
    Full {
        statement: &'static str,
        #[source]
        source: sqlx::Error,
    },
    /// A page or an index is not what was written. Calling again is safe, and right once somebody mended it.
    #[error("{statement}: the database is damaged; stop the server, see `kioskwatch-server check`")]
    Damaged {
        statement: &'static str,
        #[source]
        source: sqlx::Error,
    },
    /// What lies where the database should be is none that a server may begin with.
    #[error("{path}: {what}. What to do: {remedy}")]
    Unfit { path: String, what: String, remedy: String },
    /// An applied journal number came again with other bytes.
    #[error("kiosk {kiosk} sent other content under the applied number {seq} of epoch {epoch}")]
    JournalFork { kiosk: KioskId, epoch: Epoch, seq: u64 },
    /// The database refused a row: a second open incident, a second ticket with the same number.
    #[error("{statement}: the rows contradict what is stored")]
    Conflict {
        statement: &'static str,
        #[source]
        source: sqlx::Error,
    },
    /// Another server owns the partition now. This one must stop writing.
    #[error("partition {partition} was taken over; fence {fence} is no longer valid")]
    Fenced { partition: String, fence: u64 },
    /// Another server owns the partition and its time is not over.
    #[error("partition {partition} belongs to server {owner} until {until}")]
    LeaseHeld { partition: String, owner: Uuid, until: Timestamp },
    /// A stored row makes no sense to this version.
    #[error("{table} {id}: {what}")]
    Inconsistent { table: &'static str, id: String, what: String },
    /// A number does not fit the 63 bits a column holds. The batch can never be stored as it is.
    #[error("{table}.{column} = {value} is above 2^63 - 1")]
    TooLarge { table: &'static str, column: &'static str, value: u64 },
    /// The cursor was not made by this list.
    #[error("the cursor does not belong to this list")]
    BadCursor,
    /// The URL names no database we know, or is malformed.
    #[error("database url: {what}")]
    Url { what: String },
    /// Another process has the SQLite file open as its server.
    #[error("{path} is in use by process {holder}; SQLite serves one server, use PostgreSQL for several")]
    InUse { path: String, holder: String },
    /// A file operation beside the database failed.
    #[error("{doing} {path}")]
    File {
        doing: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// A migration in the database is not the one this server carries.
    #[error(
        "migration {version} was applied with another text: this database was not made by a released server"
    )]
    ForeignMigration { version: i64 },
    /// The schema was made by a newer version of the server.
    #[error(
        "the database has schema version {found}, this server knows up to {known}: start the newer version"
    )]
    SchemaTooNew { found: i64, known: i64 },
    /// The schema was made by an older version, and whoever opened the database changes nothing.
    #[error(
        "the database has schema version {found}, this program needs {known}: `kioskwatch-server migrate` or the \
         next start of the server brings it there"
    )]
    SchemaTooOld { found: i64, known: i64 },
    /// The database cannot take these values, whoever tries: a text with a NUL, a number out of range.
    #[error("{statement} failed")]
    Failed {
        statement: &'static str,
        #[source]
        source: sqlx::Error,
    },
}

impl StoreError {
    /// Whether the same call may succeed later without anybody changing the arguments.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::Stalled { .. }
                | Self::Cancelled { .. }
                | Self::Full { .. }
                | Self::Damaged { .. }
        )
    }

    /// Whether it would be the same again with the same arguments: something is wrong with what was read, not with the
    /// database as a whole. A damaged row or page is of whoever met it, and nobody else has to wait until somebody mends it.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Damaged { .. }) || !self.is_retryable() && !matches!(self, Self::Fenced { .. })
    }

    /// Whether it took too long: a smaller piece of work may get through.
    pub fn is_overrun(&self) -> bool {
        matches!(self, Self::Stalled { .. } | Self::Cancelled { .. })
    }

    /// In a few words, for whoever asks whether the server is ready.
    pub fn in_short(&self) -> &'static str {
        match self {
            Self::Full { .. } => "the disk of the database is full",
            Self::Stalled { .. } | Self::Cancelled { .. } => "the database does not answer in time",
            Self::Damaged { .. } => "the database is damaged",
            Self::Unavailable { source, .. } => {
                match source.as_database_error().and_then(sqlx::error::DatabaseError::code) {
                    Some(code) if is_sqlite(&code, 8) || code == "25006" => "the database is read-only",
                    Some(code) if is_sqlite(&code, 10) => {
                        "the disk of the database does not keep what it is given"
                    }
                    _ => "the database does not answer",
                }
            }
            _ => "the database refuses",
        }
    }

    /// PostgreSQL has a code for it, SQLite one for everything it cannot prepare.
    pub(super) fn is_missing_table(&self) -> bool {
        let Self::Unavailable { source: sqlx::Error::Database(error), .. } = self else { return false };
        matches!(error.code().as_deref(), Some("42P01" | "1"))
    }

    pub(super) fn fork(row: &JournalRecordRow) -> Self {
        Self::JournalFork { kiosk: row.kiosk.clone(), epoch: row.epoch, seq: row.seq }
    }

    /// Sorts what the driver says.
    pub(super) fn of(statement: &'static str, source: sqlx::Error) -> Self {
        match kind(&source) {
            Kind::Away => Self::Unavailable { statement, source },
            Kind::Overrun => Self::Cancelled { statement, source },
            Kind::Damaged => Self::Damaged { statement, source },
            Kind::Full => Self::Full { statement, source },
            Kind::Conflict => Self::Conflict { statement, source },
            Kind::Other => Self::Failed { statement, source },
        }
    }
}

/// SQLite's word where a statement of ours gathers rows and one value is neither text nor number: no column of ours
/// holds such, and the code is the one for everything.
const NO_TEXT: &str = "JSON cannot hold BLOB values";

/// What to do about an error of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Away,
    /// The work was ended, the database is there.
    Overrun,
    Damaged,
    Full,
    Conflict,
    Other,
}

pub(super) fn kind(error: &sqlx::Error) -> Kind {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Kind::Away,
        sqlx::Error::Database(e) if e.message() == NO_TEXT => Kind::Damaged,
        sqlx::Error::Database(e) => e.code().map_or(Kind::Away, |code| kind_of_code(&code)),
        // What we gave could not be put into the statement.
        sqlx::Error::Encode(_) => Kind::Other,
        // SQLite has no checksums: a flipped bit can make bytes of a text that are none, which nobody stored.
        sqlx::Error::Decode(source) if source.is::<std::str::Utf8Error>() => Kind::Damaged,
        // A migration that cannot run will not run by waiting for it.
        sqlx::Error::Migrate(_) | sqlx::Error::Configuration(_) | sqlx::Error::InvalidArgument(_) => {
            Kind::Other
        }
        // Columns or types that are not those of our migrations.
        _ => Kind::Away,
    }
}

/// Whether a code of SQLite has this primary code.
fn is_sqlite(code: &str, primary: u32) -> bool {
    code.len() < 5 && code.parse::<u32>().is_ok_and(|n| n & 0xff == primary)
}

/// PostgreSQL says five characters, SQLite a decimal number of at most four whose low byte is the primary code.
pub(super) fn kind_of_code(code: &str) -> Kind {
    if code.len() == 5 {
        return kind_of_sqlstate(code);
    }
    match code.parse::<u32>().map(|n| n & 0xff) {
        // CORRUPT, NOTADB
        Ok(11 | 26) => Kind::Damaged,
        Ok(13) => Kind::Full,
        Ok(19) => Kind::Conflict,
        // TOOBIG, MISMATCH, RANGE
        Ok(18 | 20 | 25) => Kind::Other,
        // BUSY, LOCKED, IOERR; also a missing table (ERROR), no permission.
        _ => Kind::Away,
    }
}

fn kind_of_sqlstate(code: &str) -> Kind {
    match code {
        "53100" => Kind::Full,
        // query_canceled: statement_timeout, or an administrator.
        "57014" => Kind::Overrun,
        "XX001" | "XX002" => Kind::Damaged,
        _ => match code.get(..2) {
            // What was to be stored is at fault, and will be at the next attempt too.
            Some("22") => Kind::Other,
            Some("23") => Kind::Conflict,
            // Connection, resources, lost race, a lock that somebody holds, standby; also a missing grant or table:
            // the database's trouble, not the records'.
            _ => Kind::Away,
        },
    }
}
