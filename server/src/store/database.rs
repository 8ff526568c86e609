//! One database: who opens it, its schema, its reads and writes, in bounded time.
//!
//! One connection writes, so that commits have one order; a small pool reads.
use std::{
    cmp::Ordering,
    collections::BTreeSet,
    fs::File,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::TryStreamExt as _;
use sqlx::{AnyPool, Connection as _, Executor as _, Row as _, migrate::MigrateError, pool::PoolConnection};

use super::{
    StoreError, audit,
    connect::{
        POSTGRES_EVIDENCE_READER, POSTGRES_MIGRATION, POSTGRES_READER, POSTGRES_WRITER, SQLITE_READER,
        SQLITE_WRITER, Target, connect, connect_lazy, set, sqlite_url,
    },
    divide,
    found::{self, Found},
    lock::{FileLock, PRIVATE},
    months,
    sql::{Backend, Connection, Query, Sql, sql},
};

/// One statement on a read connection. Reports over a month of a large fleet stay below it.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// One whole commit. Agents send again after 15 s; a commit that takes longer is no use to them.
pub(super) const COMMIT_TIMEOUT: Duration = Duration::from_secs(15);
/// Readers beside the writer. SQLite reads from memory and few cores; PostgreSQL waits for a network.
const SQLITE_READERS: u32 = 4;
const POSTGRES_READERS: u32 = 8;
/// Beside those.
const EVIDENCE_READERS: u32 = 4;

/// Which database this is, whatever its file is called.
pub(super) const READ_ID: Sql = sql!(read_database_id, "SELECT value FROM meta WHERE name = 'database_id'");
const SCHEMA_VERSION: Sql =
    sql!(schema_version, "SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations WHERE success");
const MAKE_ID: Sql = sql!(
    make_database_id,
    "INSERT INTO meta (name, value) VALUES ('database_id', $1) ON CONFLICT (name) DO NOTHING"
);
/// Settings of the whole cluster by which it forgets in a power cut; `synchronous_commit` we set ourselves.
const FORGETFUL: &str = "-- forgetful_setting
SELECT name || ' = ' || setting FROM pg_settings
WHERE name IN ('fsync', 'full_page_writes') AND setting <> 'on' ORDER BY name";

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Connections to one database.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) backend: Backend,
    writer: AnyPool,
    reader: AnyPool,
    /// On PostgreSQL with plans that are made once; on SQLite the same.
    evidence_reader: AnyPool,
    /// Reads that met a page that is not what was written, and have not succeeded since.
    damaged: Mutex<BTreeSet<&'static str>>,
    /// Held as long as this server lives.
    _lock: Option<FileLock>,
}

/// Who opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opener {
    /// The one server of an SQLite file, one of several on PostgreSQL.
    Server,
    /// A short command that writes, beside a running server or without one. It makes no database and no schema: a
    /// mistaken path must not look like an empty fleet.
    Tool,
    /// A command that writes nothing, neither rows nor schema nor a lock; `found::check` has looked before it.
    Auditor,
}

impl Database {
    pub(super) async fn open(url: &str, opener: Opener) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        match Target::parse(url)? {
            Target::Sqlite(path) if opener == Opener::Auditor => {
                found::must_be(&path)?;
                Self::open_to_read(Backend::Sqlite, &sqlite_url(&path, "ro"), SQLITE_READER).await
            }
            Target::Sqlite(path) => Self::open_sqlite(path, opener).await,
            Target::Postgres(url) if opener == Opener::Auditor => {
                Self::open_to_read(Backend::Postgres, &url, POSTGRES_READER).await
            }
            Target::Postgres(url) => {
                let (writer, reader) = (POSTGRES_WRITER, POSTGRES_READER);
                let database = Self {
                    backend: Backend::Postgres,
                    writer: connect(&url, 1, writer).await?,
                    reader: connect_lazy(&url, POSTGRES_READERS, reader)?,
                    evidence_reader: connect_lazy(&url, EVIDENCE_READERS, POSTGRES_EVIDENCE_READER)?,
                    damaged: Mutex::default(),
                    _lock: None,
                };
                database.fit(opener).await?;
                Ok(database)
            }
        }
    }

    async fn open_sqlite(path: PathBuf, opener: Opener) -> Result<Self, StoreError> {
        if opener == Opener::Tool {
            found::must_be(&path)?;
        }
        let mut lock = match FileLock::beside(&path) {
            Ok(lock) => {
                found::roll_back(&path).await?;
                let found = found::look(&path, lock.database().is_some())?;
                if found == Found::Unclean {
                    found::walk_log(&path)?;
                }
                if found != Found::Nothing {
                    found::recognise(&path, found, lock.database()).await?;
                }
                Some(lock)
            }
            // The server that holds it looked at it.
            Err(StoreError::InUse { .. }) if opener == Opener::Tool => None,
            Err(error) => return Err(error),
        };
        create_private(&path)?;
        let url = sqlite_url(&path, "rwc");
        let writer = connect(&url, 1, SQLITE_WRITER).await?;
        let reader = connect_lazy(&url, SQLITE_READERS, SQLITE_READER)?;
        let damaged = Mutex::default();
        let evidence_reader = reader.clone();
        let mut database =
            Self { backend: Backend::Sqlite, writer, reader, evidence_reader, damaged, _lock: None };
        database.fit(opener).await?;
        if let Some(lock) = &mut lock {
            let id = database.id().await?;
            lock.remember(&id)?;
        }
        database._lock = lock;
        Ok(database)
    }

    async fn open_to_read(backend: Backend, url: &str, setup: &'static str) -> Result<Self, StoreError> {
        let reader = connect(url, 1, setup).await?;
        let damaged = Mutex::default();
        let (writer, evidence_reader) = (reader.clone(), reader.clone());
        let database = Self { backend, writer, reader, evidence_reader, damaged, _lock: None };
        database.must_fit().await?;
        Ok(database)
    }

    async fn fit(&self, opener: Opener) -> Result<(), StoreError> {
        match opener {
            Opener::Server => self.migrate().await,
            Opener::Tool | Opener::Auditor => self.must_fit().await,
        }
    }

    /// The schema stays as it is; one of another version is refused.
    async fn must_fit(&self) -> Result<(), StoreError> {
        let backend = self.backend;
        let version = |row: &sqlx::any::AnyRow| {
            row.try_get::<i64, _>(0).map_err(|e| StoreError::of(SCHEMA_VERSION.name, e))
        };
        let found = match self.read(SCHEMA_VERSION.name, SCHEMA_VERSION.query(backend), version).await {
            Ok(rows) => rows.first().copied().unwrap_or(0),
            Err(error) if error.is_missing_table() => 0,
            Err(error) => return Err(error),
        };
        match found.cmp(&newest_migration()) {
            Ordering::Less => Err(StoreError::SchemaTooOld { found, known: newest_migration() }),
            Ordering::Equal => Ok(()),
            Ordering::Greater => Err(StoreError::SchemaTooNew { found, known: newest_migration() }),
        }
    }

    /// Made at the first start.
    async fn id(&self) -> Result<String, StoreError> {
        let id = uuid::Uuid::new_v4().to_string();
        self.write(MAKE_ID.name, MAKE_ID.query(self.backend).bind(id)).await?;
        let text = |row: &sqlx::any::AnyRow| row.try_get(0).map_err(|e| StoreError::of(READ_ID.name, e));
        let rows = self.write(READ_ID.name, READ_ID.query(self.backend)).await?;
        rows.first().map_or_else(|| Ok(String::new()), text)
    }

    pub(super) async fn check(url: &str) -> Result<Option<Vec<String>>, StoreError> {
        match Target::parse(url)? {
            Target::Sqlite(path) => found::check(&path).await.map(Some),
            Target::Postgres(_) => Ok(None),
        }
    }

    /// SQLite is told at each connection how it has to write.
    pub(super) async fn forgetful_setting(&self) -> Result<Option<String>, StoreError> {
        if self.backend == Backend::Sqlite {
            return Ok(None);
        }
        let text =
            |row: &sqlx::any::AnyRow| row.try_get(0).map_err(|e| StoreError::of("forgetful_setting", e));
        let settings: Vec<String> = self.read("forgetful_setting", sqlx::query(FORGETFUL), text).await?;
        Ok((!settings.is_empty()).then(|| settings.join(", ")))
    }

    pub(super) fn is_damaged(&self) -> bool {
        !self.damaged().is_empty()
    }

    fn damaged(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under an advisory lock on PostgreSQL, under our file lock on SQLite.
    async fn migrate(&self) -> Result<(), StoreError> {
        let mut connection = self.writer().await?;
        let result = self.migrate_on(&mut connection).await;
        if result.is_err() {
            // With the connection the lock goes.
            drop(connection.detach());
        }
        result
    }

    async fn migrate_on(&self, connection: &mut PoolConnection<sqlx::Any>) -> Result<(), StoreError> {
        let is_postgres = self.backend == Backend::Postgres;
        if is_postgres {
            set(connection, POSTGRES_MIGRATION).await?;
            divide::lock_schema(connection).await?;
        }
        MIGRATOR.run(&mut **connection).await.map_err(migration_error)?;
        for guard in [audit::GUARD, months::GUARD] {
            let text = sqlx::raw_sql(guard.text(self.backend));
            connection.execute(text).await.map_err(|e| StoreError::of(guard.name, e))?;
        }
        if is_postgres {
            divide::divide_evidence(connection).await?;
            divide::unlock_schema(connection).await?;
            set(connection, POSTGRES_WRITER).await?;
        }
        Ok(())
    }

    pub(super) async fn writer(&self) -> Result<PoolConnection<sqlx::Any>, StoreError> {
        self.writer.acquire().await.map_err(|e| StoreError::of("acquire_writer", e))
    }

    /// All rows of a read, or an error in bounded time. Each is decoded as it comes: a row as the driver holds
    /// it is ten times as large as what we make of it.
    pub(super) async fn read<T>(
        &self,
        statement: &'static str,
        query: Query,
        decode: impl Fn(&sqlx::any::AnyRow) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.read_on(&self.reader, statement, query, decode).await
    }

    /// The same of evidence.
    pub(super) async fn read_evidence<T>(
        &self,
        statement: &'static str,
        query: Query,
        decode: impl Fn(&sqlx::any::AnyRow) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.read_on(&self.evidence_reader, statement, query, decode).await
    }

    async fn read_on<T>(
        &self,
        reader: &AnyPool,
        statement: &'static str,
        query: Query,
        decode: impl Fn(&sqlx::any::AnyRow) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut connection = reader.acquire().await.map_err(|e| StoreError::of("acquire_reader", e))?;
        let answer = tokio::time::timeout(READ_TIMEOUT, fetch(&mut connection, query, decode)).await;
        self.noted(statement, settle(statement, READ_TIMEOUT, connection, answer))?.into_iter().collect()
    }

    /// What `look` reads by several statements, none of which sees what was committed after the first began.
    pub(super) async fn read_at_once<T>(
        &self,
        statement: &'static str,
        look: impl AsyncFnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let failed = |e| StoreError::of(statement, e);
        let mut connection = self.reader.acquire().await.map_err(failed)?;
        let all = async {
            let mut transaction = connection.begin_with(self.backend.begin_read()).await.map_err(failed)?;
            let looked = look(&mut transaction).await?;
            // It changed nothing; a rollback that fails takes nothing away.
            drop(transaction.rollback().await);
            Ok(looked)
        };
        let answer = tokio::time::timeout(READ_TIMEOUT, all).await;
        let answer = answer.unwrap_or_else(|_| Err(stalled(statement, READ_TIMEOUT)));
        if answer.as_ref().is_err_and(StoreError::is_retryable) {
            drop(connection.detach());
        }
        self.noted(statement, answer)
    }

    /// Which statements meet damage now.
    fn noted<T>(&self, statement: &'static str, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        match &answer {
            Ok(_) => drop(self.damaged().remove(statement)),
            Err(StoreError::Damaged { .. }) => drop(self.damaged().insert(statement)),
            Err(_) => {}
        }
        answer
    }

    /// One statement that changes rows, in a transaction of its own; gives the rows it returns.
    pub(super) async fn write(
        &self,
        statement: &'static str,
        query: Query,
    ) -> Result<Vec<sqlx::any::AnyRow>, StoreError> {
        let mut connection = self.writer().await?;
        let answer = tokio::time::timeout(COMMIT_TIMEOUT, query.fetch_all(&mut *connection)).await;
        self.noted(statement, settle(statement, COMMIT_TIMEOUT, connection, answer))
    }

    pub(super) async fn close(&self) {
        self.reader.close().await;
        self.evidence_reader.close().await;
        self.writer.close().await;
    }
}

/// Each row of a statement, decoded as it comes.
pub(super) async fn fetch<T>(
    connection: &mut Connection,
    query: Query,
    decode: impl Fn(&sqlx::any::AnyRow) -> Result<T, StoreError>,
) -> Result<Vec<Result<T, StoreError>>, sqlx::Error> {
    let mut rows = query.fetch(connection);
    let mut decoded = Vec::new();
    while let Some(row) = rows.try_next().await? {
        decoded.push(decode(&row));
    }
    Ok(decoded)
}

fn stalled(statement: &'static str, limit: Duration) -> StoreError {
    StoreError::Stalled { statement, limit_ms: limit.as_millis() as u64 }
}

/// A connection that did not answer is not given back: the next caller gets a new one.
pub(super) fn settle<T>(
    statement: &'static str,
    limit: Duration,
    connection: PoolConnection<sqlx::Any>,
    answer: Result<Result<T, sqlx::Error>, tokio::time::error::Elapsed>,
) -> Result<T, StoreError> {
    let result = match answer {
        Ok(result) => result.map_err(|e| StoreError::of(statement, e)),
        Err(_) => Err(stalled(statement, limit)),
    };
    if result.as_ref().is_err_and(StoreError::is_retryable) {
        drop(connection.detach());
    }
    result
}

/// Made here, so that nobody else can read it; SQLite gives its log the same rights.
fn create_private(path: &std::path::Path) -> Result<(), StoreError> {
    let created = File::options().write(true).create_new(true).mode(PRIVATE).open(path);
    match created {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => {
            let path = path.display().to_string();
            Err(StoreError::File { doing: "creating", path, source })
        }
        Ok(_) => Ok(()),
    }
}

fn newest_migration() -> i64 {
    MIGRATOR.iter().map(|m| m.version).max().unwrap_or(0)
}

fn migration_error(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(found) => StoreError::SchemaTooNew { found, known: newest_migration() },
        MigrateError::VersionMismatch(version) => StoreError::ForeignMigration { version },
        MigrateError::Execute(e) | MigrateError::ExecuteMigration(e, _) => StoreError::of("migrate", e),
        other => StoreError::of("migrate", sqlx::Error::Migrate(Box::new(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What agents were told is on the disk: losing this setting would show in no other test.
    #[tokio::test]
    async fn a_commit_on_sqlite_waits_for_the_disk() {
        let directory = std::env::temp_dir().join(format!("kw-db-{}", uuid::Uuid::new_v4().simple()));
        let url = format!("sqlite://{}", directory.join("a b%2F?.sqlite").display());
        let database = Database::open(&url, Opener::Server).await.unwrap();
        assert!(directory.join("a b%2F?.sqlite").exists(), "the path is taken as it stands");
        for (pragma, expected) in [
            ("PRAGMA synchronous", "2"),
            ("PRAGMA journal_mode", "wal"),
            ("PRAGMA foreign_keys", "1"),
            ("PRAGMA busy_timeout", "5000"),
        ] {
            let row = database.write(pragma, sqlx::query(pragma)).await.unwrap().remove(0);
            let value = row.try_get::<i64, _>(0).map(|n| n.to_string());
            assert_eq!(value.or_else(|_| row.try_get::<String, _>(0)).unwrap(), expected, "{pragma}");
        }
        let refused = database.read("write", sqlx::query("DELETE FROM meta"), |_| Ok(())).await;
        assert!(refused.is_err(), "readers do not write: {:?}", refused.map(|rows| rows.len()));
        database.close().await;
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[tokio::test]
    async fn what_the_server_makes_on_disk_is_for_its_user_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = std::env::temp_dir().join(format!("kw-db-{}", uuid::Uuid::new_v4().simple()));
        let url = format!("sqlite://{}", directory.join("fleet.sqlite").display());
        let database = Database::open(&url, Opener::Server).await.unwrap();
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        let files: Vec<_> =
            std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 3, "database, log and lock: {files:?}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
        database.close().await;
        std::fs::remove_dir_all(directory).unwrap();
    }

    /// As if the database were away it would be asked for ever.
    #[tokio::test]
    async fn bytes_that_are_no_text_are_damage_and_no_database_that_is_away() {
        let directory = std::env::temp_dir().join(format!("kw-db-{}", uuid::Uuid::new_v4().simple()));
        let url = format!("sqlite://{}", directory.join("fleet.sqlite").display());
        let database = Database::open(&url, Opener::Server).await.unwrap();
        for flipped in
            ["-- flipped\nSELECT CAST(x'6b31ff' AS TEXT)", "-- flipped\nSELECT json_group_array(x'6b31')"]
        {
            let answer = database.read("flipped", sqlx::query(flipped), |_| Ok(())).await;
            assert!(matches!(answer, Err(StoreError::Damaged { .. })), "{flipped}: {answer:?}");
            assert!(database.is_damaged());
        }
        database.close().await;
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn errors_are_sorted_by_what_to_do() {
        use crate::store::error::{Kind, kind_of_code};
        let cases = [
            ("5", Kind::Away),
            ("517", Kind::Away),
            ("10", Kind::Away),
            ("778", Kind::Away),
            ("13", Kind::Full),
            ("2067", Kind::Conflict),
            ("1555", Kind::Conflict),
            ("787", Kind::Conflict),
            ("11", Kind::Damaged),
            ("267", Kind::Damaged),
            ("1", Kind::Away),
            ("26", Kind::Damaged),
            ("18", Kind::Other),
            ("57P01", Kind::Away),
            ("57P02", Kind::Away),
            ("57P03", Kind::Away),
            ("58030", Kind::Away),
            ("57014", Kind::Overrun),
            ("08006", Kind::Away),
            ("40001", Kind::Away),
            ("53300", Kind::Away),
            ("53100", Kind::Full),
            ("25006", Kind::Away),
            ("23505", Kind::Conflict),
            ("23514", Kind::Conflict),
            ("55P03", Kind::Away),
            ("42P01", Kind::Away),
            ("42501", Kind::Away),
            ("XX001", Kind::Damaged),
            ("XX002", Kind::Damaged),
            ("22021", Kind::Other),
            ("22003", Kind::Other),
        ];
        for (code, expected) in cases {
            assert_eq!(kind_of_code(code), expected, "{code}");
        }
    }
}
