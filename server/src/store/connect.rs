//! From a URL to connections, and the settings each of them begins with.
use std::{path::PathBuf, time::Duration};

use sqlx::{AnyPool, Executor as _, any::AnyPoolOptions, pool::PoolConnection};

use super::StoreError;

/// Waiting for a free or new connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// FULL: with NORMAL a power cut takes back commits that agents were told of. The size limit keeps one slow
/// reader from leaving a huge WAL behind. A writer waits for a tool's short transaction, not for ever.
pub(super) const SQLITE_WRITER: &str = "-- sqlite_writer
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
PRAGMA busy_timeout = 5000;
PRAGMA cache_size = -4096;
PRAGMA wal_autocheckpoint = 16384;
PRAGMA journal_size_limit = 134217728;";
pub(super) const SQLITE_READER: &str = "-- sqlite_reader
PRAGMA busy_timeout = 5000;
PRAGMA cache_size = -512;
PRAGMA query_only = ON;";
/// Stated because an administrator may have other defaults. The limits are a little below ours, so that
/// the database's own, more telling error comes first. Nothing we ask is worth compiling: that took half of the
/// time of a month's sums.
pub(super) const POSTGRES_WRITER: &str = "-- postgres_writer
SET synchronous_commit = on;
SET default_transaction_isolation = 'read committed';
SET lock_timeout = '10s';
SET statement_timeout = '14s';
SET idle_in_transaction_session_timeout = '30s';";
/// A large table takes as long as it takes, and whoever reads it is waited for.
pub(super) const POSTGRES_MIGRATION: &str = "-- postgres_migration
SET statement_timeout = 0;
SET lock_timeout = '5min';";
pub(super) const POSTGRES_READER: &str = "-- postgres_reader
SET default_transaction_read_only = on;
SET jit = off;
SET statement_timeout = '29s';";
/// For questions about evidence: to plan one over all its months takes longer than to answer it, and there is one good
/// plan whatever is asked for.
pub(super) const POSTGRES_EVIDENCE_READER: &str = "-- postgres_evidence_reader
SET default_transaction_read_only = on;
SET jit = off;
SET plan_cache_mode = force_generic_plan;
SET statement_timeout = '29s';";

/// Where a database is.
pub(super) enum Target {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let bad = |what: &str| Err(StoreError::Url { what: what.into() });
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.into()));
        }
        let Some(path) = url.strip_prefix("sqlite://") else {
            return bad("it starts with sqlite:// or postgres://");
        };
        if path.is_empty() || path.contains(":memory:") {
            return bad("sqlite:// needs a path, a database in memory would forget what agents were told");
        }
        std::path::absolute(path).map(Self::Sqlite).map_err(|source| StoreError::File {
            doing: "finding",
            path: path.into(),
            source,
        })
    }
}

/// The path as it is, whatever characters it has: sqlx decodes percent signs and looks for parameters.
pub(super) fn sqlite_url(path: &std::path::Path, mode: &str) -> String {
    let mut url = String::from("sqlite://");
    for &byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url.push_str("?mode=");
    url.push_str(mode);
    url
}

fn options(max: u32, setup: &'static str) -> AnyPoolOptions {
    AnyPoolOptions::new().max_connections(max).acquire_timeout(ACQUIRE_TIMEOUT).after_connect(
        move |connection, _| {
            Box::pin(async move { connection.execute(sqlx::raw_sql(setup)).await.map(drop) })
        },
    )
}

pub(super) async fn connect(url: &str, max: u32, setup: &'static str) -> Result<AnyPool, StoreError> {
    // The writer stays: its caches are warm, and a commit does not wait for a handshake.
    let options = options(max, setup).min_connections(max).idle_timeout(None).max_lifetime(None);
    options.connect(url).await.map_err(open_error)
}

pub(super) fn connect_lazy(url: &str, max: u32, setup: &'static str) -> Result<AnyPool, StoreError> {
    options(max, setup).connect_lazy(url).map_err(open_error)
}

pub(super) async fn set(
    connection: &mut PoolConnection<sqlx::Any>,
    settings: &'static str,
) -> Result<(), StoreError> {
    connection.execute(sqlx::raw_sql(settings)).await.map(drop).map_err(|e| StoreError::of("set_limits", e))
}

fn open_error(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Configuration(what) => StoreError::Url { what: what.to_string() },
        other => StoreError::of("connect", other),
    }
}
