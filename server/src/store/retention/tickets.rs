//! Tickets whose time is over, with everything that hangs on them: history, clocks, incidents.
//!
//! Nothing that stays may refer to what goes: a batch goes after its tickets, and a problem after those it explains.
use kioskwatch_proto::Timestamp;

use serde_json::json;

use super::{REMOVE_INCIDENTS, Store, StoreError};
use crate::store::{
    row::{Loaded, RowReader},
    sql::{Sql, sql},
};

/// Some tickets by their numbers, and of each whether it may go.
///
/// A cancelled ticket has no `t7`: it ended with the last line of its history. The last ticket of all stays, because
/// the next number is one more than its.
pub(super) const OLD: Sql = sql!(
    old_tickets,
    "SELECT looked.id, looked.number, looked.opened_at,
       CASE WHEN looked.is_open = 0
         AND COALESCE(looked.t7, (SELECT MAX(e.at) FROM ticket_event e WHERE e.ticket = looked.id), looked.opened_at) < $1
         AND looked.number < (SELECT MAX(number) FROM ticket)
         AND (SELECT k.id FROM ticket k WHERE k.parent = looked.id LIMIT 1) IS NULL
         AND COALESCE((SELECT p.is_open FROM ticket p WHERE p.id = looked.parent), 0) = 0
         AND (SELECT i.id FROM incident i
              WHERE i.ticket = looked.id AND (i.closed_at IS NULL OR i.closed_at >= $1) LIMIT 1) IS NULL
         AND (SELECT c.id FROM incident i JOIN incident c ON c.parent = i.id
              WHERE i.ticket = looked.id AND (c.closed_at IS NULL OR c.closed_at >= $1 OR c.ticket <> looked.id)
              LIMIT 1) IS NULL
       THEN 1 ELSE 0 END
     FROM (SELECT * FROM ticket WHERE number > $2 ORDER BY number LIMIT $3) looked
     ORDER BY looked.number"
);
pub(super) const INCIDENTS: Sql =
    sql!(incidents_of_old_tickets, "SELECT id FROM incident WHERE ticket " AMONG_TEXTS);
pub(super) const EXPLAINED: Sql =
    sql!(incidents_below_old_ones, "SELECT id FROM incident WHERE parent " AMONG_TEXTS);
pub(super) const REMOVE_EVENTS: Sql =
    sql!(remove_ticket_events, "DELETE FROM ticket_event WHERE ticket " AMONG_TEXTS);
pub(super) const REMOVE_CLOCKS: Sql = sql!(remove_clocks, "DELETE FROM clock WHERE ticket " AMONG_TEXTS);
pub(super) const REMOVE_TICKETS: Sql =
    sql!(remove_tickets, "DELETE FROM ticket WHERE is_open = 0 AND id " AMONG_TEXTS);

/// What a look at some tickets found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OldTickets {
    /// Of those that may go.
    pub ids: Vec<String>,
    /// After which number to look on; none when the rest was opened later.
    pub next: Option<u64>,
}

struct Looked {
    id: String,
    number: u64,
    opened_at: Timestamp,
    may_go: bool,
}

impl Loaded for Looked {
    const TABLE: &'static str = "ticket";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self { id: row.text()?, number: row.number()?, opened_at: row.time()?, may_go: row.int()? != 0 })
    }
}

impl Store {
    /// Which of the next `at_once` tickets after a number ended before an instant, as did everything that refers to
    /// them.
    pub async fn old_tickets(
        &self,
        before: Timestamp,
        after: u64,
        at_once: u32,
    ) -> Result<OldTickets, StoreError> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let looked: Vec<Looked> =
            self.rows(&OLD, |q| q.bind(before.ms()).bind(after).bind(i64::from(at_once))).await?;
        let last = looked.last().filter(|last| last.opened_at < before && looked.len() == at_once as usize);
        Ok(OldTickets {
            next: last.map(|last| last.number),
            ids: looked.into_iter().filter(|one| one.may_go).map(|one| one.id).collect(),
        })
    }

    /// Removes tickets that [`Self::old_tickets`] named, with everything that hangs on them, at once.
    pub async fn remove_tickets(&self, tickets: &[String]) -> Result<u64, StoreError> {
        let mut incidents = self.keys(&INCIDENTS, |q| q.bind(json!(tickets).to_string())).await?;
        incidents.extend(self.keys(&EXPLAINED, |q| q.bind(json!(incidents).to_string())).await?);
        self.remove_keys(&[
            (REMOVE_EVENTS, tickets),
            (REMOVE_CLOCKS, tickets),
            (REMOVE_INCIDENTS, &incidents),
            (REMOVE_TICKETS, tickets),
        ])
        .await
    }
}
