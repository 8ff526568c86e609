//! The only place with SQL: what the fleet was, is, and who may see it, in SQLite or PostgreSQL.
//!
//! Knows: rows, transactions, the two databases behind one body of SQL (`sqlx::Any`, see
//! `server/decisions/0001-one-sql-for-two-databases.md`).
//! Must not know: what rows mean. It takes `Change`s from the domain and gives rows back; it never reads a
//! clock and never decides.
//!
//! Writes go through [`Store::commit`]: all changes of one decision in one transaction. Reads are methods
//! named by meaning; each takes the [`Scope`] of the reader, and what lies outside is simply not there.
//! Every statement has a name, which is its first line, what errors say, and what the databases log.
use std::sync::Arc;

use sqlx::{Row as _, any::AnyRow};
use tokio::sync::Mutex;

mod audit;
mod calendar_terms;
mod commands;
mod commissioned;
mod commit;
mod connect;
mod corrections;
mod database;
mod divide;
mod error;
mod evidence;
mod evidence_gap;
mod exclusions;
mod found;
mod image;
mod incidents;
mod journal;
mod kiosks;
mod lease;
mod liveness;
mod lock;
mod log;
mod membership;
mod month_groups;
mod month_ratios;
mod month_signed;
mod month_totals;
mod months;
mod open_months;
mod page;
mod plan;
mod restatements;
mod retention;
mod row;
mod seals;
mod seen;
mod site_terms;
mod sites;
mod sql;
mod states;
mod ticket_parts;
mod tickets;
mod tokens;
mod transitions;
mod view;

#[cfg(test)]
pub(crate) use commit::Defect as StoreDefect;
pub use corrections::CorrectionFilter;
pub use error::StoreError;
pub use evidence::MAX_EVIDENCE_KIOSKS;
pub use journal::Place;
pub use kiosks::ServiceDates;
pub use month_groups::{MAX_GROUPS, MonthGroup};
pub use month_ratios::MonthRatios;
pub use month_signed::SignedMonth;
pub use month_totals::{MonthTotal, WorstKiosk};
pub use page::{DEFAULT_PAGE, MAX_PAGE, Page, PageRequest, Scope};
pub use restatements::RestatementFilter;
pub use retention::OldTickets;
pub use seals::SealsVerdict;
pub use view::{
    AuditEntry, AuditVerdict, CommandView, KioskFilter, KioskNow, KioskView, Lease, TicketFilter, TicketView,
    TokenHash, TokenRow,
};

use database::{Database, Opener};
use row::{Cell, Loaded, RowReader};
use sql::{Backend, Connection, Query, Sql, sql};

/// What is in use, the log not counted. The two databases have no words in common here.
const BYTES: Sql = Sql {
    name: "database_bytes",
    sqlite: "-- database_bytes
SELECT (pages.page_count - free.freelist_count) * size.page_size
FROM pragma_page_count() AS pages, pragma_freelist_count() AS free, pragma_page_size() AS size",
    postgres: "-- database_bytes
SELECT pg_database_size(current_database())",
};
const PING: Sql = sql!(ping, "SELECT name FROM meta WHERE name = 'audit_head'");

/// The database of one server. Cheap to clone; all clones share the connections and the lease.
#[derive(Debug, Clone)]
pub struct Store {
    database: Arc<Database>,
    /// Also keeps commits in one order.
    holder: Arc<Mutex<lease::Holder>>,
}

impl Store {
    /// Opens `sqlite://path` or `postgres://…` for a server and brings the schema up to date.
    /// An SQLite file has one server at a time; the next one gets [`StoreError::InUse`].
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_as(url, Opener::Server).await
    }

    /// Opens a database that is there for a short command that may run beside a server: it takes neither the file nor
    /// the schema for itself, and makes neither.
    pub async fn open_beside(url: &str) -> Result<Self, StoreError> {
        Self::open_as(url, Opener::Tool).await
    }

    /// The same for a command that writes nothing: a schema of another version is an error.
    pub async fn open_to_read(url: &str) -> Result<Self, StoreError> {
        Self::open_as(url, Opener::Auditor).await
    }

    async fn open_as(url: &str, opener: Opener) -> Result<Self, StoreError> {
        let database = Database::open(url, opener).await?;
        Ok(Self { database: Arc::new(database), holder: Arc::default() })
    }

    /// Whether the database answers the writer now.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.database.write(PING.name, PING.query(self.backend())).await.map(drop)
    }

    /// Bytes that the database takes on its disk.
    pub async fn bytes(&self) -> Result<u64, StoreError> {
        let bytes = |row: &AnyRow| row.try_get::<i64, _>(0).map_err(|e| StoreError::of(BYTES.name, e));
        let rows = self.database.read(BYTES.name, BYTES.query(self.backend()), bytes).await?;
        Ok(rows.first().map_or(0, |bytes| bytes.unsigned_abs()))
    }

    /// Reads every page of an SQLite file and every reference in it; gives what is wrong. `None` on PostgreSQL,
    /// whose pages are not checked here.
    pub async fn check(url: &str) -> Result<Option<Vec<String>>, StoreError> {
        Database::check(url).await
    }

    /// A setting of the database by which a power cut takes back what agents were told is kept.
    pub async fn forgetful_setting(&self) -> Result<Option<String>, StoreError> {
        self.database.forgetful_setting().await
    }

    /// Whether a read has met a damaged page, and the same statement has not succeeded since.
    pub fn is_damaged(&self) -> bool {
        self.database.is_damaged()
    }

    /// Ends all connections. The SQLite file is free when the last clone is gone.
    pub async fn close(&self) {
        self.database.close().await;
    }

    fn backend(&self) -> Backend {
        self.database.backend
    }

    async fn rows<T: Loaded>(
        &self,
        sql: &Sql,
        bind: impl FnOnce(Query) -> Query,
    ) -> Result<Vec<T>, StoreError> {
        let decode = |row: &AnyRow| T::decode(&mut RowReader::new(row, T::TABLE));
        self.database.read(sql.name, bind(sql.query(self.backend())), decode).await
    }

    /// As [`Self::rows`], of a look of several statements; see [`Database::read_at_once`].
    async fn rows_on<T: Loaded>(
        &self,
        connection: &mut Connection,
        sql: &Sql,
        bind: impl FnOnce(Query) -> Query,
    ) -> Result<Vec<T>, StoreError> {
        let decode = |row: &AnyRow| T::decode(&mut RowReader::new(row, T::TABLE));
        let rows = database::fetch(connection, bind(sql.query(self.backend())), decode).await;
        rows.map_err(|e| StoreError::of(sql.name, e))?.into_iter().collect()
    }

    /// As [`Self::rows`], of a statement that gives all of them in one text (`{columns, …}`).
    async fn gathered<T: Loaded>(
        &self,
        sql: &Sql,
        bind: impl FnOnce(Query) -> Query,
    ) -> Result<Vec<T>, StoreError> {
        let text = |row: &AnyRow| row.try_get::<String, _>(0).map_err(|e| StoreError::of(sql.name, e));
        let texts = self.database.read(sql.name, bind(sql.query(self.backend())), text).await?;
        let mut rows = Vec::new();
        for text in texts {
            let cells: Vec<Vec<Cell<'_>>> = serde_json::from_str(&text).map_err(|error| {
                StoreError::Inconsistent { table: T::TABLE, id: "all".into(), what: error.to_string() }
            })?;
            for row in &cells {
                rows.push(T::decode(&mut RowReader::of_json(row, T::TABLE))?);
            }
        }
        Ok(rows)
    }

    async fn row<T: Loaded>(
        &self,
        sql: &Sql,
        bind: impl FnOnce(Query) -> Query,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.rows(sql, bind).await?.pop())
    }
}
