//! Tickets: human work.
use kioskwatch_domain::change::{TicketRow, TicketSource, TicketState, Zone};
use kioskwatch_proto::{
    Timestamp,
    faults::{FaultClass, FaultCode},
    words::Severity,
};
use uuid::Uuid;

use super::{
    Page, PageRequest, Scope, Store, StoreError, TicketFilter, TicketView,
    row::{Loaded, RowReader, RowWriter, Stored},
    sql::{Sql, sql},
};

macro_rules! columns {
    () => {
        "id, number, state, is_open, kiosk, site, peripheral, fault, class, severity, priority, source, zone, \
         opened_at, t0, t1, t5, t6, t7, resolution, sign_off, cancel_reason, recovering_since, due_at, parent, \
         assignee, reopened, extra"
    };
}
/// What a list of tickets can be narrowed by, beside being open.
macro_rules! narrowed {
    () => {
        "($3 IS NULL OR state = $3) AND ($4 IS NULL OR kiosk = $4) AND ($5 IS NULL OR site = $5)"
    };
}

const LIVING: Sql = sql!(
    living_tickets,
    "SELECT " [columns] " FROM ticket WHERE is_open = 1 OR (is_open = 0 AND t7 >= $1) ORDER BY number"
);
const LAST_NUMBER: Sql =
    sql!(last_ticket_number, "SELECT " [columns] " FROM ticket ORDER BY number DESC LIMIT 1");
const LIST: Sql = sql!(
    list_tickets,
    "SELECT " [columns] " FROM ticket
     WHERE number < $2 AND ($1 IS NULL OR site IN " TEXTS ") AND " [narrowed] "
     ORDER BY number DESC LIMIT $6"
);
/// Walks the index of open tickets, however many closed ones there are.
const LIST_OPEN: Sql = sql!(
    list_open_tickets,
    "SELECT " [columns] " FROM ticket
     WHERE is_open = 1 AND number < $2 AND ($1 IS NULL OR site IN " TEXTS ") AND " [narrowed] "
     ORDER BY number DESC LIMIT $6"
);
const LIST_CLOSED: Sql = sql!(
    list_closed_tickets,
    "SELECT " [columns] " FROM ticket
     WHERE is_open = 0 AND number < $2 AND ($1 IS NULL OR site IN " TEXTS ") AND " [narrowed] "
     ORDER BY number DESC LIMIT $6"
);
const ONE: Sql = sql!(
    one_ticket,
    "SELECT " [columns] " FROM ticket WHERE id = $2 AND ($1 IS NULL OR site IN " TEXTS ")"
);
const NUMBERED: Sql = sql!(
    ticket_numbered,
    "SELECT " [columns] " FROM ticket WHERE number = $2 AND ($1 IS NULL OR site IN " TEXTS ")"
);
const CHILDREN: Sql = sql!(
    children_of_ticket,
    "SELECT " [columns] " FROM ticket
     WHERE parent = $2 AND ($1 IS NULL OR site IN " TEXTS ")
     ORDER BY number"
);

impl Stored for TicketRow {
    const TABLE: &'static str = "ticket";
    const WRITE: Sql = sql!(
        store_tickets,
        "INSERT INTO ticket (" [columns] ")
         SELECT value->>0, CAST(value->>1 AS BIGINT), value->>2, CAST(value->>3 AS BIGINT), value->>4,
                value->>5, value->>6, value->>7, value->>8, value->>9, CAST(value->>10 AS BIGINT),
                value->>11, value->>12, CAST(value->>13 AS BIGINT), CAST(value->>14 AS BIGINT),
                CAST(value->>15 AS BIGINT), CAST(value->>16 AS BIGINT), CAST(value->>17 AS BIGINT),
                CAST(value->>18 AS BIGINT), value->>19, value->>20, value->>21,
                CAST(value->>22 AS BIGINT), CAST(value->>23 AS BIGINT), value->>24, value->>25,
                CAST(value->>26 AS BIGINT), value->>27
         FROM " ROWS " WHERE true
         ON CONFLICT (id) DO UPDATE SET
           number = excluded.number, state = excluded.state, is_open = excluded.is_open,
           kiosk = excluded.kiosk, site = excluded.site, peripheral = excluded.peripheral,
           fault = excluded.fault, class = excluded.class, severity = excluded.severity,
           priority = excluded.priority, source = excluded.source, zone = excluded.zone,
           opened_at = excluded.opened_at, t0 = excluded.t0, t1 = excluded.t1, t5 = excluded.t5,
           t6 = excluded.t6, t7 = excluded.t7, resolution = excluded.resolution,
           sign_off = excluded.sign_off, cancel_reason = excluded.cancel_reason,
           recovering_since = excluded.recovering_since, due_at = excluded.due_at,
           parent = excluded.parent, assignee = excluded.assignee, reopened = excluded.reopened,
           extra = excluded.extra"
    );
    type Key<'a> = Uuid;

    fn key(&self) -> Option<Uuid> {
        Some(self.id)
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.display(&self.id);
        row.count("number", self.number)?;
        row.text(self.state.as_str());
        row.int(i64::from(self.state.is_open()));
        row.opt_display(self.kiosk.as_ref());
        row.opt_display(self.site.as_ref());
        row.opt_display(self.peripheral.as_ref());
        row.text(self.fault.as_str());
        row.text(self.class.as_str());
        row.text(self.severity.as_str());
        row.int(i64::from(self.priority));
        row.text(self.source.as_str());
        row.text(self.zone.as_str());
        row.time(self.opened_at);
        row.opt_time(self.t0);
        row.time(self.t1);
        row.opt_time(self.t5);
        row.opt_time(self.t6);
        row.opt_time(self.t7);
        row.opt_text(self.resolution.as_deref());
        row.opt_text(self.sign_off.as_deref());
        row.opt_text(self.cancel_reason.as_deref());
        row.opt_time(self.recovering_since);
        row.opt_time(self.due_at);
        row.opt_display(self.parent.as_ref());
        row.opt_text(self.assignee.as_deref());
        row.int(i64::from(self.reopened));
        row.text(&self.extra);
        Ok(())
    }
}

impl Loaded for TicketRow {
    const TABLE: &'static str = "ticket";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        let (id, number) = (row.id()?, row.number()?);
        let state = row.word(TicketState::parse)?;
        let open = row.int()? != 0;
        if open != state.is_open() {
            return Err(row.senseless(format!("is_open = {open} with state {}", state.as_str())));
        }
        Ok(Self {
            id,
            number,
            state,
            kiosk: row.opt_id()?,
            site: row.opt_id()?,
            peripheral: row.opt_id()?,
            fault: row.word(FaultCode::new)?,
            class: row.word(FaultClass::parse)?,
            severity: row.word(Severity::parse)?,
            priority: row.number()?,
            source: row.word(TicketSource::parse)?,
            zone: row.word(Zone::parse)?,
            opened_at: row.time()?,
            t0: row.opt_time()?,
            t1: row.time()?,
            t5: row.opt_time()?,
            t6: row.opt_time()?,
            t7: row.opt_time()?,
            resolution: row.opt_text()?,
            sign_off: row.opt_text()?,
            cancel_reason: row.opt_text()?,
            recovering_since: row.opt_time()?,
            due_at: row.opt_time()?,
            parent: row.opt_id()?,
            assignee: row.opt_text()?,
            reopened: row.number()?,
            extra: row.text()?,
        })
    }
}

impl Store {
    /// Open ones, and those closed at `closed_since` or later.
    pub(super) async fn living_tickets(&self, closed_since: Timestamp) -> Result<Vec<TicketRow>, StoreError> {
        self.rows(&LIVING, |q| q.bind(closed_since.ms())).await
    }

    pub(super) async fn last_ticket_number(&self) -> Result<u64, StoreError> {
        let last: Option<TicketRow> = self.row(&LAST_NUMBER, |q| q).await?;
        Ok(last.map_or(0, |ticket| ticket.number))
    }

    /// Newest first. A ticket without a site is seen only by those who see everything.
    pub async fn tickets(
        &self,
        scope: &Scope,
        filter: &TicketFilter,
        page: &PageRequest,
    ) -> Result<Page<TicketRow>, StoreError> {
        let start: i64 = page.start()?;
        let sql = match filter.open {
            None => &LIST,
            Some(true) => &LIST_OPEN,
            Some(false) => &LIST_CLOSED,
        };
        let state = filter.state.map(|s| s.as_str().to_owned());
        let kiosk = filter.kiosk.as_ref().map(ToString::to_string);
        let site = filter.site.as_ref().map(ToString::to_string);
        let rows = self
            .rows(sql, |q| {
                let q = q.bind(scope.to_json()).bind(start).bind(state);
                q.bind(kiosk).bind(site).bind(page.fetch_limit())
            })
            .await?;
        Ok(page.finish(rows, |ticket: &TicketRow| ticket.number.cast_signed()))
    }

    /// The id of the ticket with this number.
    pub async fn ticket_numbered(&self, scope: &Scope, number: u64) -> Result<Option<Uuid>, StoreError> {
        // Greater ones are given to none.
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let found: Option<TicketRow> = self.row(&NUMBERED, |q| q.bind(scope.to_json()).bind(number)).await?;
        Ok(found.map(|ticket| ticket.id))
    }

    /// With everything that hangs on it.
    pub async fn ticket(&self, scope: &Scope, id: Uuid) -> Result<Option<TicketView>, StoreError> {
        let found = self.row(&ONE, |q| q.bind(scope.to_json()).bind(id.to_string())).await?;
        let Some(ticket) = found else { return Ok(None) };
        Ok(Some(TicketView {
            ticket,
            events: self.ticket_events(id).await?,
            clocks: self.clocks(id).await?,
            incidents: self.incidents_of_ticket(id).await?,
            children: self.rows(&CHILDREN, |q| q.bind(scope.to_json()).bind(id.to_string())).await?,
        }))
    }
}
