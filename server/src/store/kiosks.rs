//! Kiosks: what was registered, and whom they belong to.
use std::collections::HashMap;

use kioskwatch_domain::change::{
    Admission, AssignmentRow, GroupKind, KioskRow, KioskStateRow, PresenceVerdict,
};
use kioskwatch_proto::{KioskId, Timestamp};

use super::{
    KioskFilter, KioskNow, KioskView, Page, PageRequest, Scope, Store, StoreError,
    image::Ends,
    row::{Loaded, RowReader, RowWriter, Stored, text_array},
    sql::{Sql, sql},
};

macro_rules! columns {
    () => {
        "id, site, admission, model, serial_no, commissioned_at, decommissioned_at, updated_at"
    };
}
macro_rules! assignment_columns {
    () => {
        "kiosk, group_kind, group_id, from_at, to_at"
    };
}

/// As it was noted when it happened.
macro_rules! noted_columns {
    () => {
        "kiosk, group_kind, group_id, from_at, to_at, CAST(NULL AS BIGINT)"
    };
}

macro_rules! now_columns {
    () => {
        "id, site, admission, model, serial_no, commissioned_at, decommissioned_at, updated_at, presence, interval_s"
    };
}

const NEXT: Sql = sql!(
    next_kiosks,
    "SELECT " {columns, "id"} " FROM (SELECT " [columns] " FROM kiosk WHERE id > $1 ORDER BY id LIMIT $2) AS part"
);
const LIST: Sql = sql!(
    list_kiosks,
    "SELECT " [columns] " FROM kiosk
     WHERE id > $2 AND ($1 IS NULL OR site IN " TEXTS ")
       AND ($4 IS NULL OR site = $4)
       AND ($5 IS NULL OR id IN (SELECT kiosk FROM kiosk_seen WHERE presence = $5))
     ORDER BY id LIMIT $3"
);
const THESE: Sql = sql!(
    these_kiosks,
    "SELECT " {now_columns, "id"} " FROM kiosk LEFT JOIN kiosk_seen l ON l.kiosk = id WHERE id " AMONG_TEXTS
);
const MODELS: Sql = sql!(models_of_kiosks, "SELECT DISTINCT model FROM kiosk");
const OF_MODELS: Sql = sql!(kiosks_of_models, "SELECT id FROM kiosk WHERE model IN " TEXTS);
const ONE: Sql = sql!(
    one_kiosk,
    "SELECT " [columns] " FROM kiosk WHERE id = $2 AND ($1 IS NULL OR site IN " TEXTS ")"
);
const VISIBLE: Sql = sql!(
    kiosk_is_visible,
    "SELECT id FROM kiosk WHERE id = $2 AND ($1 IS NULL OR site IN " TEXTS ")"
);
const OPEN_TICKETS: Sql = sql!(
    count_open_tickets,
    "SELECT kiosk, COUNT(*), CAST(SUM(CASE WHEN state = 'resolved' THEN 1 ELSE 0 END) AS BIGINT)
     FROM ticket WHERE is_open = 1 AND kiosk IN " TEXTS " GROUP BY kiosk"
);
const ASSIGNMENTS_BETWEEN: Sql = sql!(
    assignments_between,
    "SELECT " {noted_columns, "kiosk, group_kind, group_id, from_at"} " FROM assignment WHERE kiosk >= $1 AND kiosk <= $2"
);
const ASSIGNMENTS_OF: Sql = sql!(
    assignments_of_kiosks,
    "SELECT " [noted_columns] ", CAST(0 AS BIGINT) FROM assignment
     WHERE kiosk " AMONG_TEXTS " AND
       ((from_at < $3 AND (to_at IS NULL OR to_at > $2))
        OR (group_kind = 'site' AND from_at = (SELECT MIN(one.from_at) FROM assignment one
                                               WHERE one.kiosk = assignment.kiosk AND one.group_kind = 'site')))
     UNION ALL
     SELECT kiosk, CASE kind WHEN 'stood_at' THEN 'site' WHEN 'was_model' THEN 'model' ELSE 'engineer' END,
            after_value, from_at, to_at, decided_at, approval
     FROM correction
     WHERE kiosk " AMONG_TEXTS " AND kind IN ('stood_at', 'answered_for', 'was_model') AND state = 'approved'
       AND from_at < $3 AND to_at > $2
     ORDER BY 1, 2, 7, 3, 4"
);
const SERVICE_DATES: Sql = sql!(
    service_dates,
    "SELECT COALESCE(s.timezone, ''), k.commissioned_at, k.decommissioned_at, COUNT(*)
     FROM kiosk k LEFT JOIN site s ON s.id = k.site
     WHERE k.commissioned_at IS NOT NULL GROUP BY 1, 2, 3"
);

impl Stored for KioskRow {
    const TABLE: &'static str = "kiosk";
    const WRITE: Sql = sql!(
        store_kiosks,
        "INSERT INTO kiosk (" [columns] ")
         SELECT value->>0, value->>1, value->>2, value->>3, value->>4, CAST(value->>5 AS BIGINT),
                CAST(value->>6 AS BIGINT), CAST(value->>7 AS BIGINT)
         FROM " ROWS " WHERE true
         ON CONFLICT (id) DO UPDATE SET
           site = excluded.site, admission = excluded.admission, model = excluded.model,
           serial_no = excluded.serial_no, commissioned_at = excluded.commissioned_at,
           decommissioned_at = excluded.decommissioned_at, updated_at = excluded.updated_at"
    );
    type Key<'a> = &'a KioskId;

    fn key(&self) -> Option<&KioskId> {
        Some(&self.id)
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.text(self.id.as_str());
        row.opt_display(self.site.as_ref());
        row.text(self.admission.as_str());
        row.text(&self.model);
        row.text(&self.serial_no);
        row.opt_time(self.commissioned_at);
        row.opt_time(self.decommissioned_at);
        row.time(self.updated_at);
        Ok(())
    }
}

impl Loaded for KioskRow {
    const TABLE: &'static str = "kiosk";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id()?,
            site: row.opt_id()?,
            admission: row.word(Admission::parse)?,
            model: row.text()?,
            serial_no: row.text()?,
            commissioned_at: row.opt_time()?,
            decommissioned_at: row.opt_time()?,
            updated_at: row.time()?,
        })
    }
}

impl Loaded for KioskNow {
    const TABLE: &'static str = "kiosk";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            kiosk: KioskRow::decode(row)?,
            presence: row.opt_word(PresenceVerdict::parse)?,
            interval_s: row.opt_number()?,
        })
    }
}

impl Stored for AssignmentRow {
    const TABLE: &'static str = "assignment";
    /// The same assignment again, with an end: it was closed.
    const WRITE: Sql = sql!(
        store_assignments,
        "INSERT INTO assignment (" [assignment_columns] ")
         SELECT value->>0, value->>1, value->>2, CAST(value->>3 AS BIGINT), CAST(value->>4 AS BIGINT)
         FROM " ROWS " WHERE true
         ON CONFLICT (kiosk, group_kind, group_id, from_at) DO UPDATE SET to_at = excluded.to_at"
    );
    type Key<'a> = (&'a KioskId, GroupKind, &'a str, Timestamp);

    fn key(&self) -> Option<Self::Key<'_>> {
        Some((&self.kiosk, self.group, &self.group_id, self.from))
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.text(self.kiosk.as_str());
        row.text(self.group.as_str());
        row.text(&self.group_id);
        row.time(self.from);
        row.opt_time(self.to);
        Ok(())
    }
}

impl Loaded for AssignmentRow {
    const TABLE: &'static str = "assignment";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            kiosk: row.id()?,
            group: row.word(GroupKind::parse)?,
            group_id: row.text()?,
            from: row.time()?,
            to: row.opt_time()?,
            said: row.opt_time()?,
        })
    }
}

/// How many of something a kiosk has.
struct Count {
    kiosk: KioskId,
    open: u64,
    resolved: u64,
}

impl Loaded for Count {
    const TABLE: &'static str = "ticket";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self { kiosk: row.id()?, open: row.number()?, resolved: row.number()? })
    }
}

/// Kiosks with the same dates on the same wall clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceDates {
    /// As their site has it; empty for those that stand nowhere.
    pub timezone: String,
    pub commissioned_at: Timestamp,
    pub decommissioned_at: Option<Timestamp>,
    pub kiosks: u64,
}

impl Loaded for ServiceDates {
    const TABLE: &'static str = "kiosk";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            timezone: row.text()?,
            commissioned_at: row.time()?,
            decommissioned_at: row.opt_time()?,
            kiosks: row.number()?,
        })
    }
}

struct Model(String);

impl Loaded for Model {
    const TABLE: &'static str = "kiosk";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self(row.text()?))
    }
}

struct Named(KioskId);

impl Loaded for Named {
    const TABLE: &'static str = "kiosk";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self(row.id()?))
    }
}

/// Only that the row is there.
struct Present;

impl Loaded for Present {
    const TABLE: &'static str = "kiosk";

    fn decode(_row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self)
    }
}

impl Store {
    /// The next `limit` kiosks by id; from the first without an id.
    pub(super) async fn next_kiosks(
        &self,
        after: Option<&KioskId>,
        limit: i64,
    ) -> Result<Vec<KioskRow>, StoreError> {
        let after = after.map_or(String::new(), KioskId::to_string);
        self.gathered(&NEXT, |q| q.bind(after).bind(limit)).await
    }

    pub(super) async fn assignments_between(&self, ends: &Ends) -> Result<Vec<AssignmentRow>, StoreError> {
        self.gathered(&ASSIGNMENTS_BETWEEN, |q| ends.bind(q)).await
    }

    /// By id.
    pub async fn kiosks(
        &self,
        scope: &Scope,
        filter: &KioskFilter,
        page: &PageRequest,
    ) -> Result<Page<KioskView>, StoreError> {
        let start: String = page.start()?;
        let site = filter.site.as_ref().map(ToString::to_string);
        let presence = filter.presence.map(|p| p.as_str().to_owned());
        let rows: Vec<KioskRow> = self
            .rows(&LIST, |q| {
                q.bind(scope.to_json()).bind(start).bind(page.fetch_limit()).bind(site).bind(presence)
            })
            .await?;
        let page = page.finish(rows, |kiosk| kiosk.id.to_string());
        Ok(Page { items: self.with_states(page.items).await?, next_cursor: page.next_cursor })
    }

    pub async fn kiosk(&self, scope: &Scope, id: &KioskId) -> Result<Option<KioskView>, StoreError> {
        let row = self.row(&ONE, |q| q.bind(scope.to_json()).bind(id.to_string())).await?;
        let views = self.with_states(row.into_iter().collect()).await?;
        Ok(views.into_iter().next())
    }

    /// Since when and until when kiosks are in service, of all that ever were.
    pub async fn service_dates(&self) -> Result<Vec<ServiceDates>, StoreError> {
        self.rows(&SERVICE_DATES, |q| q).await
    }

    /// Every model that stands in the register.
    pub async fn models(&self) -> Result<Vec<String>, StoreError> {
        let models: Vec<Model> = self.rows(&MODELS, |q| q).await?;
        Ok(models.into_iter().map(|model| model.0).collect())
    }

    pub async fn kiosks_of_models(&self, models: &[&str]) -> Result<Vec<KioskId>, StoreError> {
        let models = text_array(models);
        let ids: Vec<Named> = self.rows(&OF_MODELS, |q| q.bind(models)).await?;
        Ok(ids.into_iter().map(|kiosk| kiosk.0).collect())
    }

    /// Those of `ids` that exist, by id.
    pub async fn kiosks_of(&self, ids: &[KioskId]) -> Result<Vec<KioskNow>, StoreError> {
        self.gathered(&THESE, |q| q.bind(id_array(ids.iter()))).await
    }

    /// Assignments of these kiosks that overlap `from..to`, with what two people said of them since, and of each its first site, whenever that was: who
    /// stood nowhere within a time is told from whose moves were never written down.
    pub async fn assignments_of(
        &self,
        ids: &[KioskId],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<AssignmentRow>, StoreError> {
        let ids = id_array(ids.iter());
        self.rows(&ASSIGNMENTS_OF, |q| q.bind(ids).bind(from.ms()).bind(to.ms())).await
    }

    async fn with_states(&self, kiosks: Vec<KioskRow>) -> Result<Vec<KioskView>, StoreError> {
        if kiosks.is_empty() {
            return Ok(Vec::new());
        }
        let ids = id_array(kiosks.iter().map(|k| &k.id));
        let states = self.kiosk_states(&ids).await?;
        let counts: Vec<Count> = self.rows(&OPEN_TICKETS, |q| q.bind(ids)).await?;
        let mut states: HashMap<KioskId, KioskStateRow> =
            states.into_iter().map(|s| (s.kiosk.clone(), s)).collect();
        let counts: HashMap<KioskId, (u64, u64)> =
            counts.into_iter().map(|c| (c.kiosk, (c.open, c.resolved))).collect();
        let view = |kiosk: KioskRow| {
            let (open_tickets, resolved_tickets) = counts.get(&kiosk.id).copied().unwrap_or_default();
            KioskView { state: states.remove(&kiosk.id), open_tickets, resolved_tickets, kiosk }
        };
        Ok(kiosks.into_iter().map(view).collect())
    }

    /// Whether there is such a kiosk for this reader.
    pub(super) async fn sees(&self, scope: &Scope, kiosk: &KioskId) -> Result<bool, StoreError> {
        let found: Option<Present> =
            self.row(&VISIBLE, |q| q.bind(scope.to_json()).bind(kiosk.to_string())).await?;
        Ok(found.is_some())
    }
}

/// A JSON array of kiosk ids, as `TEXTS` takes it.
pub(super) fn id_array<'a>(ids: impl Iterator<Item = &'a KioskId>) -> String {
    let ids: Vec<&str> = ids.map(KioskId::as_str).collect();
    serde_json::Value::from(ids).to_string()
}
