//! Who may write for a part of the fleet: a row with an owner, a time, and a number that only rises.
//!
//! The time decides who may take it; the number alone decides whether a commit counts. Two servers with
//! different clocks can therefore quarrel about the time, but never both write.
use kioskwatch_proto::Timestamp;
use sqlx::{Connection as _, Row as _};
use uuid::Uuid;

use super::{
    Lease, Store, StoreError,
    commit::Uncertain,
    database::COMMIT_TIMEOUT,
    sql::{Backend, Connection, Query, Sql, sql},
};

const TAKE: Sql = sql!(
    take_lease,
    "INSERT INTO lease (name, owner, fence, until_at, commits) VALUES ($1, $2, 1, $4, 0)
     ON CONFLICT (name) DO UPDATE
     SET owner = excluded.owner, fence = lease.fence + 1, until_at = excluded.until_at, commits = 0
     WHERE lease.until_at <= $3 OR lease.owner = excluded.owner
     RETURNING fence"
);
const HOLDER: Sql = sql!(lease_holder, "SELECT owner, until_at FROM lease WHERE name = $1");
const RENEW: Sql = sql!(
    renew_lease,
    "UPDATE lease SET until_at = $4 WHERE name = $1 AND owner = $2 AND fence = $3 RETURNING fence"
);
/// Locks the row until the commit: nobody takes the lease between this look and the commit.
const CHECK: Sql =
    sql!(check_lease, "UPDATE lease SET commits = $4 WHERE name = $1 AND owner = $2 AND fence = $3");
/// Changes nothing, and waits like [`CHECK`] for whoever holds the row: a commit that the database is still
/// busy with is over when this answers.
const LOCK: Sql = sql!(
    lock_lease,
    "UPDATE lease SET commits = commits WHERE name = $1 AND owner = $2 AND fence = $3 RETURNING commits"
);

/// What this store holds, and its last doubtful commit.
#[derive(Debug, Default)]
pub(super) struct Holder {
    pub(super) lease: Option<Lease>,
    /// Attempts to commit under this lease.
    pub(super) commits: u64,
    pub(super) uncertain: Option<Uncertain>,
}

impl Store {
    /// Takes `partition` for `owner` until `until`, if nobody holds it at `now` or `owner` already does.
    /// From then on every commit of this store fails with [`StoreError::Fenced`] once somebody else took it.
    pub async fn take_lease(
        &self,
        partition: &str,
        owner: Uuid,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Lease, StoreError> {
        let mut holder = self.holder.lock().await;
        let query = TAKE.query(self.backend()).bind(partition.to_owned()).bind(owner.to_string());
        let rows = self.database.write(TAKE.name, query.bind(now.ms()).bind(until.ms())).await?;
        let Some(row) = rows.first() else { return Err(self.held(partition).await) };
        let fence = row.try_get::<i64, _>(0).map_err(|e| StoreError::of(TAKE.name, e))?;
        let lease = Lease { partition: partition.into(), owner, fence: fence.unsigned_abs(), until };
        *holder = Holder { lease: Some(lease.clone()), commits: 0, uncertain: None };
        Ok(lease)
    }

    /// Prolongs what [`Self::take_lease`] gave.
    pub async fn renew_lease(&self, until: Timestamp) -> Result<Lease, StoreError> {
        let mut holder = self.holder.lock().await;
        let Some(lease) = &mut holder.lease else { return Err(no_lease()) };
        let query = bind(RENEW.query(self.backend()), lease).bind(until.ms());
        if self.database.write(RENEW.name, query).await?.is_empty() {
            return Err(fenced(lease));
        }
        lease.until = until;
        Ok(lease.clone())
    }

    /// The next owner may take it from `end` on. This store commits nothing under it any more.
    pub async fn release_lease(&self, end: Timestamp) -> Result<(), StoreError> {
        let mut holder = self.holder.lock().await;
        let Some(lease) = holder.lease.take() else { return Ok(()) };
        let query = bind(RENEW.query(self.backend()), &lease).bind(end.ms());
        self.database.write(RENEW.name, query).await.map(drop)
    }

    /// Statements that take rows away, in one transaction, and none once somebody else took the lease. It ends after
    /// the one with which at least `at_most` rows are gone. It has no number of its own: a doubtful commit is still
    /// looked for by its own.
    pub(super) async fn forget(
        &self,
        statements: Vec<(Sql, Query)>,
        at_most: u64,
    ) -> Result<u64, StoreError> {
        let Some(first) = statements.first().map(|(statement, _)| statement.name) else { return Ok(0) };
        let holder = self.holder.lock().await;
        let mut connection = self.database.writer().await?;
        let backend = self.backend();
        let work = async {
            let failed = |e| StoreError::of(first, e);
            let mut transaction = connection.begin_with(backend.begin()).await.map_err(failed)?;
            last_commit(backend, &mut transaction, &holder).await?;
            let mut gone = 0;
            for (statement, query) in statements {
                let done = query.execute(&mut *transaction).await;
                gone += done.map_err(|e| StoreError::of(statement.name, e))?.rows_affected();
                if gone >= at_most {
                    break;
                }
            }
            transaction.commit().await.map_err(failed)?;
            Ok(gone)
        };
        let limit_ms = COMMIT_TIMEOUT.as_millis() as u64;
        let result = tokio::time::timeout(COMMIT_TIMEOUT, work)
            .await
            .unwrap_or(Err(StoreError::Stalled { statement: first, limit_ms }));
        if result.as_ref().is_err_and(StoreError::is_retryable) {
            drop(connection.detach());
        }
        result
    }

    async fn held(&self, partition: &str) -> StoreError {
        let query = HOLDER.query(self.backend()).bind(partition.to_owned());
        let holder = self.database.write(HOLDER.name, query).await;
        let rows = match holder {
            Ok(rows) => rows,
            Err(error) => return error,
        };
        let owner = rows.first().and_then(|row| row.try_get::<String, _>(0).ok()?.parse().ok());
        let until = rows.first().and_then(|row| row.try_get::<i64, _>(1).ok());
        StoreError::LeaseHeld {
            partition: partition.into(),
            owner: owner.unwrap_or_default(),
            until: Timestamp(until.unwrap_or_default()),
        }
    }
}

/// Inside the transaction of a commit. A store without a lease (a tool) is not fenced.
pub(super) async fn check(
    backend: Backend,
    connection: &mut Connection,
    holder: &Holder,
    commits: u64,
) -> Result<(), StoreError> {
    let Some(lease) = &holder.lease else { return Ok(()) };
    let commits = i64::try_from(commits).unwrap_or(i64::MAX);
    let query = bind(CHECK.query(backend), lease).bind(commits);
    let done = query.execute(connection).await.map_err(|e| StoreError::of(CHECK.name, e))?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(fenced(lease)) }
}

/// The number of the last commit that arrived under this lease, with its row locked until the end of the
/// transaction.
pub(super) async fn last_commit(
    backend: Backend,
    connection: &mut Connection,
    holder: &Holder,
) -> Result<Option<u64>, StoreError> {
    let Some(lease) = &holder.lease else { return Ok(None) };
    let failed = |e| StoreError::of(LOCK.name, e);
    let row = bind(LOCK.query(backend), lease).fetch_optional(connection).await.map_err(failed)?;
    let Some(row) = row else { return Err(fenced(lease)) };
    row.try_get::<i64, _>(0).map(|commits| Some(commits.unsigned_abs())).map_err(failed)
}

fn bind(query: Query, lease: &Lease) -> Query {
    let fence = i64::try_from(lease.fence).unwrap_or(i64::MAX);
    query.bind(lease.partition.clone()).bind(lease.owner.to_string()).bind(fence)
}

fn fenced(lease: &Lease) -> StoreError {
    StoreError::Fenced { partition: lease.partition.clone(), fence: lease.fence }
}

fn no_lease() -> StoreError {
    StoreError::Fenced { partition: "(none taken)".into(), fence: 0 }
}
