//! Rows whose time is over. Looked for on a read connection; removed some at a time, in one short transaction of
//! the writer that checks the lease as a commit does. Each statement finds its rows by an index, and none is as large
//! as what waits to be removed.
//!
//! Must not know: what is old enough. Callers say before which instant.
use kioskwatch_domain::retention::Kept;
use kioskwatch_proto::{Epoch, KioskId, Timestamp};
use serde_json::json;

use super::{
    Store, StoreError,
    kiosks::id_array,
    row::{Loaded, RowReader},
    sql::{Query, Sql, sql},
};

mod parts;
mod tickets;

pub use tickets::OldTickets;

/// Commands and incidents of one step: each takes its rows along.
const AT_ONCE: i64 = 50;

/// Which kiosks have rows of before `$2`: a look into an index for each, which no planner turns into a join.
const OLD_EVIDENCE: Sql = sql!(
    kiosks_with_old_evidence,
    "SELECT k.id FROM kiosk k
     WHERE k.id " AMONG_TEXTS "
       AND (SELECT e.to_at FROM evidence e WHERE e.kiosk = k.id AND e.to_at < $2 AND e.from_at < $2
            ORDER BY e.to_at LIMIT 1) IS NOT NULL"
);
/// When they began is said too, so that PostgreSQL looks into no younger month.
const REMOVE_EVIDENCE: Sql = sql!(
    remove_old_evidence,
    "DELETE FROM evidence
     WHERE kiosk = $1 AND to_at < $2 AND from_at < $2
       AND to_at <= (SELECT MAX(oldest.to_at) FROM (
             SELECT e.to_at FROM evidence e WHERE e.kiosk = $1 AND e.to_at < $2 AND e.from_at < $2
             ORDER BY e.to_at LIMIT $3) AS oldest)"
);
const OLD_EVIDENCE_GAPS: Sql = sql!(
    kiosks_with_old_evidence_gaps,
    "SELECT k.id FROM kiosk k
     WHERE k.id " AMONG_TEXTS "
       AND (SELECT g.to_at FROM evidence_gap g WHERE g.kiosk = k.id AND g.from_at < $2 AND g.to_at < $2
            ORDER BY g.from_at LIMIT 1) IS NOT NULL"
);
const REMOVE_EVIDENCE_GAPS: Sql = sql!(
    remove_old_evidence_gaps,
    "DELETE FROM evidence_gap
     WHERE kiosk = $1 AND to_at < $2
       AND from_at <= (SELECT MAX(oldest.from_at) FROM (
             SELECT g.from_at FROM evidence_gap g WHERE g.kiosk = $1 AND g.from_at < $2 AND g.to_at < $2
             ORDER BY g.from_at LIMIT $3) AS oldest)"
);
const OLD_TRANSITIONS: Sql = sql!(
    kiosks_with_old_transitions,
    "SELECT k.id FROM kiosk k
     WHERE k.id " AMONG_TEXTS "
       AND (SELECT t.at FROM transition t WHERE t.kiosk = k.id AND t.at < $2 AND t.noticed_at < $2
            ORDER BY t.at LIMIT 1) IS NOT NULL"
);
/// What a late journal told stays for as long as what was told in time.
const REMOVE_TRANSITIONS: Sql = sql!(
    remove_old_transitions,
    "DELETE FROM transition
     WHERE kiosk = $1 AND at < $2 AND noticed_at < $2
       AND at <= (SELECT MAX(oldest.at) FROM (
             SELECT t.at FROM transition t WHERE t.kiosk = $1 AND t.at < $2 AND t.noticed_at < $2
             ORDER BY t.at LIMIT $3) AS oldest)"
);
const OLD_GAPS: Sql = sql!(
    kiosks_with_old_gaps,
    "SELECT k.id FROM kiosk k
     WHERE k.id " AMONG_TEXTS "
       AND (SELECT g.at FROM journal_gap g WHERE g.kiosk = k.id AND g.at < $2 LIMIT 1) IS NOT NULL"
);
const REMOVE_GAPS: Sql = sql!(
    remove_old_gaps,
    "DELETE FROM journal_gap
     WHERE kiosk = $1 AND at < $2
       AND (epoch, from_seq) IN (
         SELECT g.epoch, g.from_seq FROM journal_gap g WHERE g.kiosk = $1 AND g.at < $2
         ORDER BY g.epoch, g.from_seq LIMIT $3)"
);
/// A journal arrives in the order of its numbers: where the first that is stored is young, all are.
const OLD_RECORDS: Sql = sql!(
    journals_with_old_records,
    "SELECT h.kiosk, h.epoch FROM journal_head h
     WHERE h.kiosk " AMONG_TEXTS "
       AND (SELECT r.received_at FROM journal_record r WHERE r.kiosk = h.kiosk AND r.epoch = h.epoch
            ORDER BY r.seq LIMIT 1) < $2"
);
/// Up to the first that is young: what is gone of a journal is its beginning, and nothing else.
const REMOVE_RECORDS: Sql = sql!(
    remove_old_records,
    "DELETE FROM journal_record
     WHERE kiosk = $1 AND epoch = $2
       AND seq <= (SELECT COALESCE(MIN(CASE WHEN oldest.received_at >= $3 THEN oldest.seq END) - 1, MAX(oldest.seq))
                   FROM (SELECT r.seq, r.received_at FROM journal_record r WHERE r.kiosk = $1 AND r.epoch = $2
                         ORDER BY r.seq LIMIT $4) AS oldest)"
);
const OLD_COMMANDS: Sql = sql!(
    old_commands,
    "SELECT id FROM command
     WHERE kiosk " AMONG_TEXTS " AND requested_at < $2 AND is_open = 0
       AND COALESCE(finished_at, not_after) < $2
     LIMIT $3"
);
const REMOVE_COMMAND_EVENTS: Sql =
    sql!(remove_steps_of_commands, "DELETE FROM command_event WHERE command " AMONG_TEXTS);
const REMOVE_COMMANDS: Sql = sql!(remove_commands, "DELETE FROM command WHERE id " AMONG_TEXTS);
/// Under a problem that has a ticket it goes with that, see [`tickets`]; before a parent that has none.
const OLD_INCIDENTS: Sql = sql!(
    old_incidents_without_ticket,
    "SELECT i.id FROM incident i
     WHERE i.kiosk " AMONG_TEXTS " AND i.opened_at < $2 AND i.closed_at < $2 AND i.ticket IS NULL
       AND (SELECT p.ticket FROM incident p WHERE p.id = i.parent) IS NULL
       AND (SELECT c.id FROM incident c WHERE c.parent = i.id LIMIT 1) IS NULL
     LIMIT $3"
);
const REMOVE_INCIDENTS: Sql = sql!(remove_incidents, "DELETE FROM incident WHERE id " AMONG_TEXTS);
/// A row for each start and each outage of a server: read whole.
const OLD_LIVENESS: Sql =
    sql!(server_with_old_liveness, "SELECT server FROM liveness WHERE to_at < $1 LIMIT 1");
const REMOVE_LIVENESS: Sql = sql!(
    remove_old_liveness,
    "DELETE FROM liveness
     WHERE (server, from_at) IN (
       SELECT l.server, l.from_at FROM liveness l WHERE l.to_at < $1 ORDER BY l.to_at LIMIT $2)"
);
const OLD_EXCLUSION: Sql = sql!(old_exclusion, "SELECT id FROM exclusion WHERE to_at < $1 LIMIT 1");
const REMOVE_EXCLUSIONS: Sql = sql!(
    remove_old_exclusions,
    "DELETE FROM exclusion
     WHERE id IN (SELECT e.id FROM exclusion e WHERE e.to_at < $1 ORDER BY e.to_at LIMIT $2)"
);

/// The key of a row that was found.
struct Key(String);

impl Loaded for Key {
    const TABLE: &'static str = "(old rows)";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        row.text().map(Self)
    }
}

struct Journal(KioskId, Epoch);

impl Loaded for Journal {
    const TABLE: &'static str = "journal_head";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self(row.id()?, row.id()?))
    }
}

impl Store {
    /// Removes rows of these kiosks that ended before an instant: about `at_most`, fewer than twice as many, and none
    /// only when there are none. Of [`Kept::OF_A_KIOSK`]; of any other kind it removes nothing.
    pub async fn remove_of_kiosks(
        &self,
        kept: Kept,
        kiosks: &[KioskId],
        before: Timestamp,
        at_most: u32,
    ) -> Result<u64, StoreError> {
        let ids = id_array(kiosks.iter());
        match kept {
            Kept::Evidence => {
                self.remove_by_kiosk(&OLD_EVIDENCE, REMOVE_EVIDENCE, ids, before, at_most).await
            }
            Kept::EvidenceGap => {
                self.remove_by_kiosk(&OLD_EVIDENCE_GAPS, REMOVE_EVIDENCE_GAPS, ids, before, at_most).await
            }
            Kept::Transition => {
                self.remove_by_kiosk(&OLD_TRANSITIONS, REMOVE_TRANSITIONS, ids, before, at_most).await
            }
            Kept::JournalGap => self.remove_by_kiosk(&OLD_GAPS, REMOVE_GAPS, ids, before, at_most).await,
            Kept::JournalRecord => self.remove_records(ids, before, at_most).await,
            Kept::Command => {
                let commands =
                    self.keys(&OLD_COMMANDS, |q| q.bind(ids).bind(before.ms()).bind(AT_ONCE)).await?;
                self.remove_keys(&[(REMOVE_COMMAND_EVENTS, &commands), (REMOVE_COMMANDS, &commands)]).await
            }
            Kept::Incident => {
                let found =
                    self.keys(&OLD_INCIDENTS, |q| q.bind(ids).bind(before.ms()).bind(AT_ONCE)).await?;
                self.remove_keys(&[(REMOVE_INCIDENTS, &found)]).await
            }
            Kept::Liveness | Kept::Exclusion | Kept::Ticket => Ok(0),
        }
    }

    /// The same of [`Kept::OF_THE_FLEET`].
    pub async fn remove_of_fleet(
        &self,
        kept: Kept,
        before: Timestamp,
        at_most: u32,
    ) -> Result<u64, StoreError> {
        let (find, remove) = match kept {
            Kept::Liveness => (&OLD_LIVENESS, REMOVE_LIVENESS),
            Kept::Exclusion => (&OLD_EXCLUSION, REMOVE_EXCLUSIONS),
            _ => return Ok(0),
        };
        if self.keys(find, |q| q.bind(before.ms())).await?.is_empty() {
            return Ok(0);
        }
        let query = remove.query(self.backend()).bind(before.ms()).bind(i64::from(at_most));
        self.forget(vec![(remove, query)], u64::MAX).await
    }

    async fn remove_by_kiosk(
        &self,
        find: &Sql,
        remove: Sql,
        ids: String,
        before: Timestamp,
        at_most: u32,
    ) -> Result<u64, StoreError> {
        let kiosks = self.keys(find, |q| q.bind(ids).bind(before.ms())).await?;
        let query = |kiosk: String| {
            let query = remove.query(self.backend()).bind(kiosk);
            (remove, query.bind(before.ms()).bind(i64::from(at_most)))
        };
        self.forget(kiosks.into_iter().map(query).collect(), at_most.into()).await
    }

    async fn remove_records(&self, ids: String, before: Timestamp, at_most: u32) -> Result<u64, StoreError> {
        let journals: Vec<Journal> = self.rows(&OLD_RECORDS, |q| q.bind(ids).bind(before.ms())).await?;
        let query = |Journal(kiosk, epoch): Journal| {
            let query = REMOVE_RECORDS.query(self.backend()).bind(kiosk.to_string()).bind(epoch.to_string());
            (REMOVE_RECORDS, query.bind(before.ms()).bind(i64::from(at_most)))
        };
        self.forget(journals.into_iter().map(query).collect(), at_most.into()).await
    }

    async fn keys(&self, sql: &Sql, bind: impl FnOnce(Query) -> Query) -> Result<Vec<String>, StoreError> {
        let keys: Vec<Key> = self.rows(sql, bind).await?;
        Ok(keys.into_iter().map(|key| key.0).collect())
    }

    /// All of it in one transaction.
    async fn remove_keys(&self, statements: &[(Sql, &[String])]) -> Result<u64, StoreError> {
        if statements.iter().all(|(_, keys)| keys.is_empty()) {
            return Ok(0);
        }
        let backend = self.backend();
        let query = |&(sql, keys): &(Sql, &[String])| (sql, sql.query(backend).bind(json!(keys).to_string()));
        self.forget(statements.iter().map(query).collect(), u64::MAX).await
    }
}

#[cfg(test)]
mod tests;
