//! One decision, one transaction: every change or none.
//!
//! Changes are grouped by table and go as one statement per table and chunk, whatever their number.
use kioskwatch_domain::change::Change;
use sqlx::{Connection as _, Row as _};

use super::{
    Store, StoreError, audit,
    database::COMMIT_TIMEOUT,
    lease,
    plan::{Chunk, Plan},
    sql::{Backend, Connection, Sql},
};

/// A commit of which we do not know whether it happened: the connection broke while we waited for the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Uncertain {
    /// What the lease's counter shows if it happened.
    commits: u64,
    digest: [u8; 32],
}

impl Store {
    /// All changes or none, durable when it returns.
    ///
    /// After a retryable error call it again with the same changes before anything else: while a lease is
    /// held, the store then finds out whether the first attempt arrived, and does not do it twice.
    pub async fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let plan = Plan::of(changes)?;
        let mut holder = self.holder.lock().await;
        let before = holder.uncertain.as_ref().filter(|u| u.digest == plan.digest()).map(|u| u.commits);
        let mut connection = self.database.writer().await?;
        // Every attempt has a number of its own, so that the counter names exactly one.
        holder.commits += 1;
        let mut attempt = Attempt { commits: holder.commits, before, asked_to_commit: false };
        let work = attempt.run(self.backend(), &mut connection, &holder, &plan);
        let result = tokio::time::timeout(COMMIT_TIMEOUT, work).await.unwrap_or_else(|_| {
            Err(StoreError::Stalled { statement: "commit", limit_ms: COMMIT_TIMEOUT.as_millis() as u64 })
        });
        if result.as_ref().is_err_and(StoreError::is_retryable) {
            // Whatever this connection is still doing, the next commit does not wait for it.
            drop(connection.detach());
        }
        // A doubt stays until a later attempt has looked: one that did not get so far knows no more.
        if result.is_ok() {
            holder.uncertain = None;
        } else if attempt.asked_to_commit && holder.lease.is_some() {
            holder.uncertain = Some(Uncertain { commits: attempt.commits, digest: plan.digest() });
        }
        result
    }
}

struct Attempt {
    commits: u64,
    /// The number of a doubtful attempt to store the same.
    before: Option<u64>,
    asked_to_commit: bool,
}

impl Attempt {
    async fn run(
        &mut self,
        backend: Backend,
        connection: &mut Connection,
        holder: &lease::Holder,
        plan: &Plan<'_>,
    ) -> Result<(), StoreError> {
        let failed = |e| StoreError::of("commit", e);
        let mut transaction = connection.begin_with(backend.begin()).await.map_err(failed)?;
        // Under the lock of the row: the database may still be busy with the doubtful one.
        if self.before.is_some()
            && lease::last_commit(backend, &mut transaction, holder).await? == self.before
        {
            // Nothing was changed; a rollback that fails takes nothing away.
            drop(transaction.rollback().await);
            return Ok(());
        }
        lease::check(backend, &mut transaction, holder, self.commits).await?;
        for chunk in &plan.chunks {
            chunk.write(backend, &mut transaction).await?;
        }
        audit::append(backend, &mut transaction, &plan.audit).await?;
        self.asked_to_commit = true;
        transaction.commit().await.map_err(failed)
    }
}

impl Chunk {
    async fn write(&self, backend: Backend, connection: &mut Connection) -> Result<(), StoreError> {
        let query = self.write.query(backend).bind(self.json.clone());
        let done = query.execute(&mut *connection).await.map_err(|e| StoreError::of(self.write.name, e))?;
        match self.clash {
            Some(clash) if done.rows_affected() < self.rows => {
                self.find_clash(clash, backend, connection).await
            }
            _ => Ok(()),
        }
    }

    /// Some rows were there already: fine, if they say the same.
    async fn find_clash(
        &self,
        clash: Sql,
        backend: Backend,
        connection: &mut Connection,
    ) -> Result<(), StoreError> {
        let query = clash.query(backend).bind(self.json.clone());
        let found = query.fetch_optional(connection).await.map_err(|e| StoreError::of(clash.name, e))?;
        let Some(row) = found else { return Ok(()) };
        let part = |index: usize| row.try_get::<String, _>(index).map_err(|e| StoreError::of(clash.name, e));
        let (first, second, number) = (part(0)?, part(1)?, part(2)?);
        if let (Ok(kiosk), Ok(epoch), Ok(seq)) = (first.parse(), second.parse(), number.parse())
            && self.table == "journal_record"
        {
            return Err(StoreError::JournalFork { kiosk, epoch, seq });
        }
        Err(StoreError::Inconsistent {
            table: self.table,
            id: format!("{first} {second} {number}"),
            what: "is stored with other content".into(),
        })
    }
}
