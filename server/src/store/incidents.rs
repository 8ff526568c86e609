//! Incidents: problem episodes the machines saw. The database itself keeps one open per fingerprint.
use std::borrow::Cow;

use kioskwatch_domain::change::IncidentRow;
use kioskwatch_proto::{KioskId, faults::FaultCode, words::Severity};
use uuid::Uuid;

use super::{
    Page, PageRequest, Scope, Store, StoreError,
    row::{Loaded, RowReader, RowWriter, Stored},
    sql::{Sql, sql},
};

macro_rules! columns {
    () => {
        "id, fingerprint, kiosk, site, peripheral, fault, severity, opened_at, noticed_at, closed_at, \
         close_reason, raw, text, ticket, triage, triage_reason, triage_due_at, parent"
    };
}

const OPEN: Sql = sql!(
    open_incidents,
    "SELECT " [columns] " FROM incident WHERE closed_at IS NULL ORDER BY id"
);
const OF_KIOSK: Sql = sql!(
    incidents_of_kiosk,
    "SELECT " [columns] " FROM incident
     WHERE kiosk = $1 AND (opened_at, id) < ($2, $3)
     ORDER BY opened_at DESC, id DESC LIMIT $4"
);
const OF_TICKET: Sql = sql!(
    incidents_of_ticket,
    "SELECT " [columns] " FROM incident WHERE ticket = $1 ORDER BY opened_at, id"
);

impl Stored for IncidentRow {
    const TABLE: &'static str = "incident";
    const WRITE: Sql = sql!(
        store_incidents,
        "INSERT INTO incident (" [columns] ")
         SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6,
                CAST(value->>7 AS BIGINT), CAST(value->>8 AS BIGINT), CAST(value->>9 AS BIGINT),
                value->>10, value->>11, value->>12, value->>13, value->>14, value->>15,
                CAST(value->>16 AS BIGINT), value->>17
         FROM " ROWS " WHERE true
         ON CONFLICT (id) DO UPDATE SET
           fingerprint = excluded.fingerprint, kiosk = excluded.kiosk, site = excluded.site,
           peripheral = excluded.peripheral, fault = excluded.fault, severity = excluded.severity,
           opened_at = excluded.opened_at, noticed_at = excluded.noticed_at,
           closed_at = excluded.closed_at, close_reason = excluded.close_reason, raw = excluded.raw,
           text = excluded.text, ticket = excluded.ticket, triage = excluded.triage,
           triage_reason = excluded.triage_reason, triage_due_at = excluded.triage_due_at,
           parent = excluded.parent"
    );
    type Key<'a> = Uuid;

    fn key(&self) -> Option<Uuid> {
        Some(self.id)
    }

    /// An episode ends before the next one of the same problem begins.
    fn arrange(rows: &mut [Cow<'_, Self>]) {
        rows.sort_by_key(|row| row.closed_at.is_none());
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.display(&self.id);
        row.text(&self.fingerprint);
        row.opt_display(self.kiosk.as_ref());
        row.opt_display(self.site.as_ref());
        row.opt_display(self.peripheral.as_ref());
        row.text(self.fault.as_str());
        row.text(self.severity.as_str());
        row.time(self.opened_at);
        row.time(self.noticed_at);
        row.opt_time(self.closed_at);
        row.opt_text(self.close_reason.as_deref());
        row.opt_text(self.raw.as_deref());
        row.opt_text(self.text.as_deref());
        row.opt_display(self.ticket.as_ref());
        row.text(&self.triage);
        row.text(&self.triage_reason);
        row.opt_time(self.triage_due_at);
        row.opt_display(self.parent.as_ref());
        Ok(())
    }
}

impl Loaded for IncidentRow {
    const TABLE: &'static str = "incident";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id()?,
            fingerprint: row.text()?,
            kiosk: row.opt_id()?,
            site: row.opt_id()?,
            peripheral: row.opt_id()?,
            fault: row.word(FaultCode::new)?,
            severity: row.word(Severity::parse)?,
            opened_at: row.time()?,
            noticed_at: row.time()?,
            closed_at: row.opt_time()?,
            close_reason: row.opt_text()?,
            raw: row.opt_text()?,
            text: row.opt_text()?,
            ticket: row.opt_id()?,
            triage: row.text()?,
            triage_reason: row.text()?,
            triage_due_at: row.opt_time()?,
            parent: row.opt_id()?,
        })
    }
}

impl Store {
    pub(super) async fn open_incidents(&self) -> Result<Vec<IncidentRow>, StoreError> {
        self.rows(&OPEN, |q| q).await
    }

    pub(super) async fn incidents_of_ticket(&self, ticket: Uuid) -> Result<Vec<IncidentRow>, StoreError> {
        self.rows(&OF_TICKET, |q| q.bind(ticket.to_string())).await
    }

    /// Newest first. `None`: no such kiosk for this reader.
    pub async fn incidents(
        &self,
        scope: &Scope,
        kiosk: &KioskId,
        page: &PageRequest,
    ) -> Result<Option<Page<IncidentRow>>, StoreError> {
        let (opened_at, id): (i64, String) = page.start()?;
        if !self.sees(scope, kiosk).await? {
            return Ok(None);
        }
        let (kiosk, limit) = (kiosk.to_string(), page.fetch_limit());
        let rows = self.rows(&OF_KIOSK, |q| q.bind(kiosk).bind(opened_at).bind(id).bind(limit)).await?;
        Ok(Some(page.finish(rows, |row: &IncidentRow| (row.opened_at.ms(), row.id.to_string()))))
    }
}
