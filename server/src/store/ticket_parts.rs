//! What hangs on a ticket: its history and its clocks.
use kioskwatch_domain::change::{ClockRow, ClockState, TicketEventRow, TicketState};
use kioskwatch_proto::Timestamp;
use uuid::Uuid;

use super::{
    Store, StoreError,
    row::{Loaded, RowReader, RowWriter, Stored},
    sql::{Sql, sql},
};

macro_rules! event_columns {
    () => {
        "ticket, n, at, actor, action, from_state, to_state, reason"
    };
}
macro_rules! clock_columns {
    () => {
        "ticket, name, state, started_at, budget_s, warn_at, due_at, remaining_s, stopped_at, breached_at"
    };
}
/// The tickets a server starts with.
macro_rules! living {
    () => {
        "(SELECT id FROM ticket WHERE is_open = 1 OR (is_open = 0 AND t7 >= $1))"
    };
}

const EVENTS: Sql = sql!(
    events_of_ticket,
    "SELECT " [event_columns] " FROM ticket_event WHERE ticket = $1 ORDER BY n"
);
const LAST_EVENTS: Sql = sql!(
    last_ticket_events,
    "SELECT ticket, MAX(n) FROM ticket_event WHERE ticket IN " [living] " GROUP BY ticket ORDER BY ticket"
);
const CLOCKS: Sql = sql!(
    clocks_of_ticket,
    "SELECT " [clock_columns] " FROM clock WHERE ticket = $1 ORDER BY started_at, name"
);
const CLOCKS_OF: Sql = sql!(
    clocks_of_tickets,
    "SELECT " [clock_columns] " FROM clock WHERE ticket " AMONG_TEXTS " ORDER BY ticket, started_at, name"
);
const LIVING_CLOCKS: Sql = sql!(
    clocks_of_living_tickets,
    "SELECT " [clock_columns] " FROM clock WHERE ticket IN " [living] " ORDER BY ticket, name"
);

impl Stored for TicketEventRow {
    const TABLE: &'static str = "ticket_event";
    const WRITE: Sql = sql!(
        store_ticket_events,
        "INSERT INTO ticket_event (" [event_columns] ")
         SELECT value->>0, CAST(value->>1 AS BIGINT), CAST(value->>2 AS BIGINT), value->>3, value->>4,
                value->>5, value->>6, value->>7
         FROM " ROWS " WHERE true
         ON CONFLICT (ticket, n) DO NOTHING"
    );
    /// History is written once: the same number with another line is a lost update.
    const CLASH: Option<Sql> = Some(sql!(
        find_rewritten_history,
        "SELECT ticket, CAST(at AS TEXT), CAST(n AS TEXT)
         FROM " ROWS "
         JOIN ticket_event ON ticket = value->>0 AND n = CAST(value->>1 AS BIGINT)
         WHERE at <> CAST(value->>2 AS BIGINT) OR actor <> value->>3 OR action <> value->>4
            OR to_state <> value->>6 OR reason <> value->>7
         ORDER BY ticket, n LIMIT 1"
    ));
    type Key<'a> = (Uuid, u32);

    fn key(&self) -> Option<Self::Key<'_>> {
        Some((self.ticket, self.n))
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.display(&self.ticket);
        row.int(i64::from(self.n));
        row.time(self.at);
        row.text(&self.actor);
        row.text(&self.action);
        row.opt_text(self.from.map(TicketState::as_str));
        row.text(self.to.as_str());
        row.text(&self.reason);
        Ok(())
    }
}

impl Loaded for TicketEventRow {
    const TABLE: &'static str = "ticket_event";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            ticket: row.id()?,
            n: row.number()?,
            at: row.time()?,
            actor: row.text()?,
            action: row.text()?,
            from: row.opt_word(TicketState::parse)?,
            to: row.word(TicketState::parse)?,
            reason: row.text()?,
        })
    }
}

impl Stored for ClockRow {
    const TABLE: &'static str = "clock";
    const WRITE: Sql = sql!(
        store_clocks,
        "INSERT INTO clock (" [clock_columns] ")
         SELECT value->>0, value->>1, value->>2, CAST(value->>3 AS BIGINT), CAST(value->>4 AS BIGINT),
                CAST(value->>5 AS BIGINT), CAST(value->>6 AS BIGINT), CAST(value->>7 AS BIGINT),
                CAST(value->>8 AS BIGINT), CAST(value->>9 AS BIGINT)
         FROM " ROWS " WHERE true
         ON CONFLICT (ticket, name) DO UPDATE SET
           state = excluded.state, started_at = excluded.started_at, budget_s = excluded.budget_s,
           warn_at = excluded.warn_at, due_at = excluded.due_at, remaining_s = excluded.remaining_s,
           stopped_at = excluded.stopped_at, breached_at = excluded.breached_at"
    );
    type Key<'a> = (Uuid, &'a str);

    fn key(&self) -> Option<Self::Key<'_>> {
        Some((self.ticket, &self.name))
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.display(&self.ticket);
        row.text(&self.name);
        row.text(self.state.as_str());
        row.time(self.started_at);
        row.count("budget_s", self.budget_s)?;
        row.opt_time(self.warn_at);
        row.opt_time(self.due_at);
        row.opt_count("remaining_s", self.remaining_s)?;
        row.opt_time(self.stopped_at);
        row.opt_time(self.breached_at);
        Ok(())
    }
}

impl Loaded for ClockRow {
    const TABLE: &'static str = "clock";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            ticket: row.id()?,
            name: row.text()?,
            state: row.word(ClockState::parse)?,
            started_at: row.time()?,
            budget_s: row.number()?,
            warn_at: row.opt_time()?,
            due_at: row.opt_time()?,
            remaining_s: row.opt_number()?,
            stopped_at: row.opt_time()?,
            breached_at: row.opt_time()?,
        })
    }
}

/// The highest number in the history of a ticket.
struct LastEvent(Uuid, u32);

impl Loaded for LastEvent {
    const TABLE: &'static str = "ticket_event";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self(row.id()?, row.number()?))
    }
}

impl Store {
    pub(super) async fn ticket_events(&self, ticket: Uuid) -> Result<Vec<TicketEventRow>, StoreError> {
        self.rows(&EVENTS, |q| q.bind(ticket.to_string())).await
    }

    pub(super) async fn clocks(&self, ticket: Uuid) -> Result<Vec<ClockRow>, StoreError> {
        self.rows(&CLOCKS, |q| q.bind(ticket.to_string())).await
    }

    /// Of several tickets, each one's in the order in which they began.
    pub async fn clocks_of(&self, tickets: &[Uuid]) -> Result<Vec<ClockRow>, StoreError> {
        let ids: Vec<String> = tickets.iter().map(Uuid::to_string).collect();
        self.rows(&CLOCKS_OF, |q| q.bind(serde_json::Value::from(ids).to_string())).await
    }

    pub(super) async fn last_ticket_events(
        &self,
        closed_since: Timestamp,
    ) -> Result<Vec<(Uuid, u32)>, StoreError> {
        let rows: Vec<LastEvent> = self.rows(&LAST_EVENTS, |q| q.bind(closed_since.ms())).await?;
        Ok(rows.into_iter().map(|LastEvent(ticket, n)| (ticket, n)).collect())
    }

    pub(super) async fn living_clocks(&self, closed_since: Timestamp) -> Result<Vec<ClockRow>, StoreError> {
        self.rows(&LIVING_CLOCKS, |q| q.bind(closed_since.ms())).await
    }
}
