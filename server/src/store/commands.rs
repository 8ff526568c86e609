//! Remote commands and the steps people watch.
use kioskwatch_domain::change::{CommandEventRow, CommandRow, CommandState};
use kioskwatch_proto::{CommandId, KioskId};

use super::{
    CommandView, Page, PageRequest, Scope, Store, StoreError,
    row::{Loaded, RowReader, RowWriter, Stored},
    sql::{Sql, sql},
};

macro_rules! columns {
    () => {
        "id, kiosk, action, args, actor, approver, ticket, state, is_open, counter, requested_at, issued_at, \
         not_after, sent_at, attempts, finished_at, reason, result"
    };
}
macro_rules! event_columns {
    () => {
        "command, n, at, state, step, percent, line"
    };
}

const OPEN: Sql = sql!(open_commands, "SELECT " [columns] " FROM command WHERE is_open = 1 ORDER BY id");
const ONE: Sql = sql!(
    one_command,
    "SELECT " [columns] " FROM command
     WHERE id = $2
       AND ($1 IS NULL OR kiosk IN (SELECT k.id FROM kiosk k WHERE k.site IN " TEXTS "))"
);
const OF_KIOSK: Sql = sql!(
    commands_of_kiosk,
    "SELECT " [columns] " FROM command
     WHERE kiosk = $1 AND (requested_at, id) < ($2, $3)
     ORDER BY requested_at DESC, id DESC LIMIT $4"
);
const EVENTS: Sql = sql!(
    events_of_command,
    "SELECT " [event_columns] " FROM command_event WHERE command = $1 ORDER BY n"
);

impl Stored for CommandRow {
    const TABLE: &'static str = "command";
    const WRITE: Sql = sql!(
        store_commands,
        "INSERT INTO command (" [columns] ")
         SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7,
                CAST(value->>8 AS BIGINT), CAST(value->>9 AS BIGINT), CAST(value->>10 AS BIGINT),
                CAST(value->>11 AS BIGINT), CAST(value->>12 AS BIGINT), CAST(value->>13 AS BIGINT),
                CAST(value->>14 AS BIGINT), CAST(value->>15 AS BIGINT), value->>16, value->>17
         FROM " ROWS " WHERE true
         ON CONFLICT (id) DO UPDATE SET
           kiosk = excluded.kiosk, action = excluded.action, args = excluded.args, actor = excluded.actor,
           approver = excluded.approver, ticket = excluded.ticket, state = excluded.state,
           is_open = excluded.is_open, counter = excluded.counter, requested_at = excluded.requested_at,
           issued_at = excluded.issued_at, not_after = excluded.not_after, sent_at = excluded.sent_at,
           attempts = excluded.attempts, finished_at = excluded.finished_at, reason = excluded.reason,
           result = excluded.result"
    );
    type Key<'a> = CommandId;

    fn key(&self) -> Option<CommandId> {
        Some(self.id)
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.display(&self.id);
        row.text(self.kiosk.as_str());
        row.text(&self.action);
        row.text(&self.args);
        row.text(&self.actor);
        row.opt_text(self.approver.as_deref());
        row.opt_display(self.ticket.as_ref());
        row.text(self.state.as_str());
        row.int(i64::from(!self.state.is_final()));
        row.count("counter", self.counter)?;
        row.time(self.requested_at);
        row.opt_time(self.issued_at);
        row.time(self.not_after);
        row.opt_time(self.sent_at);
        row.int(i64::from(self.attempts));
        row.opt_time(self.finished_at);
        row.opt_text(self.reason.as_deref());
        row.opt_text(self.result.as_deref());
        Ok(())
    }
}

impl Loaded for CommandRow {
    const TABLE: &'static str = "command";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        let id = row.id()?;
        let (kiosk, action, args) = (row.id()?, row.text()?, row.text()?);
        let (actor, approver, ticket) = (row.text()?, row.opt_text()?, row.opt_id()?);
        let state = row.word(CommandState::parse)?;
        let open = row.int()? != 0;
        if open == state.is_final() {
            return Err(row.senseless(format!("is_open = {open} with state {}", state.as_str())));
        }
        Ok(Self {
            id,
            kiosk,
            action,
            args,
            actor,
            approver,
            ticket,
            state,
            counter: row.number()?,
            requested_at: row.time()?,
            issued_at: row.opt_time()?,
            not_after: row.time()?,
            sent_at: row.opt_time()?,
            attempts: row.number()?,
            finished_at: row.opt_time()?,
            reason: row.opt_text()?,
            result: row.opt_text()?,
        })
    }
}

impl Stored for CommandEventRow {
    const TABLE: &'static str = "command_event";
    const WRITE: Sql = sql!(
        store_command_events,
        "INSERT INTO command_event (" [event_columns] ")
         SELECT value->>0,
                CAST(value->>1 AS BIGINT) + COALESCE((
                  SELECT MAX(e.n) FROM command_event e WHERE e.command = value->>0), 0),
                CAST(value->>2 AS BIGINT), value->>3, value->>4, CAST(value->>5 AS BIGINT), value->>6
         FROM " ROWS
    );
    type Key<'a> = ();

    fn key(&self) -> Option<()> {
        None
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.display(&self.command);
        row.place();
        row.time(self.at);
        row.text(self.state.as_str());
        row.text(&self.step);
        row.opt_int(self.percent.map(i64::from));
        row.opt_text(self.line.as_deref());
        Ok(())
    }
}

impl Loaded for CommandEventRow {
    const TABLE: &'static str = "command_event";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        let (command, _n) = (row.id()?, row.int()?);
        Ok(Self {
            command,
            at: row.time()?,
            state: row.word(CommandState::parse)?,
            step: row.text()?,
            percent: row.opt_number()?,
            line: row.opt_text()?,
        })
    }
}

impl Store {
    pub(super) async fn open_commands(&self) -> Result<Vec<CommandRow>, StoreError> {
        self.rows(&OPEN, |q| q).await
    }

    /// With its steps.
    pub async fn command(&self, scope: &Scope, id: CommandId) -> Result<Option<CommandView>, StoreError> {
        let found = self.row(&ONE, |q| q.bind(scope.to_json()).bind(id.to_string())).await?;
        let Some(command) = found else { return Ok(None) };
        let events = self.rows(&EVENTS, |q| q.bind(id.to_string())).await?;
        Ok(Some(CommandView { command, events }))
    }

    /// Newest first. `None`: no such kiosk for this reader.
    pub async fn commands(
        &self,
        scope: &Scope,
        kiosk: &KioskId,
        page: &PageRequest,
    ) -> Result<Option<Page<CommandRow>>, StoreError> {
        let (requested_at, id): (i64, String) = page.start()?;
        if !self.sees(scope, kiosk).await? {
            return Ok(None);
        }
        let (kiosk, limit) = (kiosk.to_string(), page.fetch_limit());
        let rows = self.rows(&OF_KIOSK, |q| q.bind(kiosk).bind(requested_at).bind(id).bind(limit)).await?;
        Ok(Some(page.finish(rows, |row: &CommandRow| (row.requested_at.ms(), row.id.to_string()))))
    }
}
