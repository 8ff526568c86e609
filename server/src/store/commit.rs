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
use crate::panics::caught_at_once;

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
    /// After a retryable error call it again with the same changes before anything else, or ask
    /// [`Self::arrived`]: while a lease is held, the store then finds out whether the first attempt arrived, and
    /// does not do it twice.
    pub async fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let plan = plan_of(changes)?;
        let mut holder = self.holder.lock().await;
        let before = holder.uncertain.as_ref().filter(|u| u.digest == plan.digest()).map(|u| u.commits);
        let mut connection = self.database.writer().await?;
        // Every attempt has a number of its own, so that the counter names exactly one.
        holder.commits += 1;
        let commits = holder.commits;
        let mut attempt = Attempt { commits, before, did_not_arrive: false, asked_to_commit: false };
        let work = attempt.run(self.backend(), &mut connection, &holder, &plan);
        let result = tokio::time::timeout(COMMIT_TIMEOUT, work).await.unwrap_or_else(|_| Err(stalled()));
        if result.as_ref().is_err_and(StoreError::is_retryable) {
            // Whatever this connection is still doing, the next commit does not wait for it.
            drop(connection.detach());
        }
        // A doubt stays until a later attempt has looked: one that did not get so far knows no more.
        if result.is_ok() || attempt.did_not_arrive {
            holder.uncertain = None;
        }
        if result.is_err() && attempt.asked_to_commit && holder.lease.is_some() {
            holder.uncertain = Some(Uncertain { commits: attempt.commits, digest: plan.digest() });
        }
        result
    }

    /// Whether changes of which a commit failed are in the database after all: `false` is certain, and then
    /// other changes may come in their place. Writes nothing.
    ///
    /// While the database is still busy with the doubtful attempt this waits for it, and fails retryably when
    /// that takes too long.
    pub async fn arrived(&self, changes: &[Change]) -> Result<bool, StoreError> {
        let digest = plan_of(changes)?.digest();
        let mut holder = self.holder.lock().await;
        let doubt =
            holder.uncertain.as_ref().filter(|doubt| doubt.digest == digest).map(|doubt| doubt.commits);
        let Some(commits) = doubt else { return Ok(false) };
        let mut connection = self.database.writer().await?;
        let look = async {
            let mut transaction = begin(self.backend(), &mut connection).await?;
            let last = lease::last_commit(self.backend(), &mut transaction, &holder).await?;
            // Nothing was changed; a rollback that fails takes nothing away.
            drop(transaction.rollback().await);
            Ok(last == Some(commits))
        };
        let result = tokio::time::timeout(COMMIT_TIMEOUT, look).await.unwrap_or_else(|_| Err(stalled()));
        match &result {
            Ok(_) => holder.uncertain = None,
            Err(error) if error.is_retryable() => drop(connection.detach()),
            Err(_) => {}
        }
        result
    }
}

/// A defect of ours is held against what it met, as what the database refuses is: sent again, it would else end every
/// server that starts.
fn plan_of(changes: &[Change]) -> Result<Plan<'_>, StoreError> {
    let encode = || {
        #[cfg(test)]
        Defect::strike(changes);
        Plan::of(changes)
    };
    caught_at_once(encode).unwrap_or_else(|panic| {
        tracing::error!(panic, "encoding rows panicked: a defect of ours");
        let what = format!("encoding them panicked: {panic}");
        Err(StoreError::Inconsistent { table: "commit", id: "rows".into(), what })
    })
}

#[cfg(test)]
use kioskwatch_domain::change::RecordOutcome;

/// The defect that nobody knows of yet.
#[cfg(test)]
pub(crate) struct Defect;

#[cfg(test)]
impl Defect {
    /// What follows from a record that says this cannot be encoded.
    pub(crate) const STRIKES: &str = "a_defect_of_storing";

    fn strike(changes: &[Change]) {
        let met = |change: &Change| match change {
            Change::JournalRecord(row) => {
                row.outcome == RecordOutcome::Applied && row.raw.contains(Self::STRIKES)
            }
            _ => false,
        };
        assert!(!changes.iter().any(met), "a defect");
    }
}

fn stalled() -> StoreError {
    StoreError::Stalled { statement: "commit", limit_ms: COMMIT_TIMEOUT.as_millis() as u64 }
}

async fn begin(
    backend: Backend,
    connection: &mut Connection,
) -> Result<sqlx::Transaction<'_, sqlx::Any>, StoreError> {
    connection.begin_with(backend.begin()).await.map_err(|e| StoreError::of("commit", e))
}

struct Attempt {
    commits: u64,
    /// The number of a doubtful attempt to store the same.
    before: Option<u64>,
    /// It looked, and that one is not there.
    did_not_arrive: bool,
    asked_to_commit: bool,
}

impl Attempt {
    /// Rows that are hardly stored yet are written without a look; where one is, nothing is, and all of it goes the
    /// longer way. Almost all rows of a commit are new, and the look takes as long as a third of writing them.
    async fn run(
        &mut self,
        backend: Backend,
        connection: &mut Connection,
        holder: &lease::Holder,
        plan: &Plan<'_>,
    ) -> Result<(), StoreError> {
        let has_new_rows = plan.chunks.iter().any(|chunk| chunk.new.is_some());
        match self.write(backend, connection, holder, plan, has_new_rows).await {
            Err(StoreError::Conflict { .. }) if has_new_rows => {
                self.write(backend, connection, holder, plan, false).await
            }
            done => done,
        }
    }

    async fn write(
        &mut self,
        backend: Backend,
        connection: &mut Connection,
        holder: &lease::Holder,
        plan: &Plan<'_>,
        as_new: bool,
    ) -> Result<(), StoreError> {
        let mut transaction = begin(backend, connection).await?;
        // Under the lock of the row: the database may still be busy with the doubtful one.
        if self.before.is_some() {
            if lease::last_commit(backend, &mut transaction, holder).await? == self.before {
                // Nothing was changed; a rollback that fails takes nothing away.
                drop(transaction.rollback().await);
                return Ok(());
            }
            self.did_not_arrive = true;
        }
        lease::check(backend, &mut transaction, holder, self.commits).await?;
        for chunk in &plan.chunks {
            let written = chunk.write(backend, &mut transaction, as_new).await;
            if let Err(error) = written {
                // One that fails takes nothing away.
                drop(transaction.rollback().await);
                return Err(error);
            }
        }
        audit::append(backend, &mut transaction, &plan.audit).await?;
        self.asked_to_commit = true;
        transaction.commit().await.map_err(|e| StoreError::of("commit", e))
    }
}

impl Chunk {
    async fn write(
        &self,
        backend: Backend,
        connection: &mut Connection,
        as_new: bool,
    ) -> Result<(), StoreError> {
        if let Some(elsewhere) = self.elsewhere {
            let query = elsewhere.query(backend).bind(self.json.clone());
            query.execute(&mut *connection).await.map_err(|e| StoreError::of(elsewhere.name, e))?;
        }
        let write = self.new.filter(|_| as_new).unwrap_or(self.write);
        let query = write.query(backend).bind(self.json.clone());
        let done = query.execute(&mut *connection).await.map_err(|e| StoreError::of(write.name, e))?;
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
