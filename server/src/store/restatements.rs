//! Proposals to restate a signed month, and what became of them.
use kioskwatch_domain::{
    change::{Decided, InputKind, RestatementRow, RestatementState},
    uptime::Month,
};
use kioskwatch_proto::{KioskId, SiteId};
use uuid::Uuid;

use super::{
    Page, PageRequest, Scope, Store, StoreError,
    kiosks::id_array,
    row::{Loaded, RowReader, RowWriter, Stored},
    sql::{Sql, sql},
};

macro_rules! columns {
    () => {
        "id, kiosk, month, base_version, state, fingerprint, why, before_figures, after_figures,
         proposed_at, decided_by, decided_at, decision_reason"
    };
}
/// A kiosk is moved, its months stay where it stood in them: a reader sees the sites of the month's rows. All of
/// them that had time, because what is proposed is their sum and one decision changes each. Between the two
/// macros stand the sites.
macro_rules! stood_in {
    () => {
        "($1 IS NULL OR EXISTS (SELECT 1 FROM uptime_month m WHERE m.kiosk = restatement.kiosk
           AND m.month = restatement.month AND m.site IN "
    };
}
macro_rules! and_never_outside {
    () => {
        ") AND NOT EXISTS (SELECT 1 FROM uptime_month m WHERE m.kiosk = restatement.kiosk
           AND m.month = restatement.month AND m.accountable_s + m.excluded_s > 0 AND m.site NOT IN "
    };
}

const LIST: Sql = sql!(
    list_restatements,
    "SELECT " [columns] " FROM restatement
     WHERE " [stood_in] TEXTS [and_never_outside] TEXTS ")) AND (proposed_at, id) < ($2, $3)
       AND ($5 IS NULL OR state = $5) AND ($6 IS NULL OR kiosk = $6) AND ($7 IS NULL OR month = $7)
       AND ($8 IS NULL OR CASE WHEN state = 'proposed' THEN 1 ELSE 0 END = $8)
       AND ($9 IS NULL OR EXISTS (SELECT 1 FROM uptime_month m WHERE m.kiosk = restatement.kiosk
                                    AND m.month = restatement.month AND m.site = $9))
       AND ($10 IS NULL OR why LIKE '%: ' || $10)
     ORDER BY proposed_at DESC, id DESC LIMIT $4"
);
const THESE: Sql = sql!(
    find_restatements,
    "SELECT " [columns] " FROM restatement
     WHERE " [stood_in] TEXTS [and_never_outside] TEXTS ")) AND id IN " SECOND_TEXTS " ORDER BY id"
);
const OF_KIOSKS: Sql = sql!(
    restatements_of_kiosks,
    "SELECT " [columns] " FROM restatement
     WHERE kiosk IN " TEXTS " AND (month >= $2 OR state = 'proposed') ORDER BY proposed_at, id"
);

impl Stored for RestatementRow {
    const TABLE: &'static str = "restatement";
    /// A decision stands: what is not open any more is not written over.
    const WRITE: Sql = sql!(
        store_restatements,
        "INSERT INTO restatement (" [columns] ")
         SELECT value->>0, value->>1, value->>2, CAST(value->>3 AS BIGINT), value->>4, value->>5, value->>6,
                value->>7, value->>8, CAST(value->>9 AS BIGINT), value->>10, CAST(value->>11 AS BIGINT),
                value->>12
         FROM " ROWS " WHERE true
         ON CONFLICT (id) DO UPDATE SET
           state = excluded.state, decided_by = excluded.decided_by, decided_at = excluded.decided_at,
           decision_reason = excluded.decision_reason
         WHERE restatement.state = 'proposed'"
    );
    type Key<'a> = Uuid;

    fn key(&self) -> Option<Uuid> {
        Some(self.id)
    }

    /// What ends a proposal goes before the one that takes its place.
    fn arrange(rows: &mut [std::borrow::Cow<'_, Self>]) {
        rows.sort_by_key(|row| row.state == RestatementState::Proposed);
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.display(&self.id);
        row.text(self.kiosk.as_str());
        row.display(&self.month);
        row.int(i64::from(self.base_version));
        row.text(self.state.as_str());
        row.text(&self.fingerprint);
        row.text(&self.why);
        row.text(&self.before);
        row.text(&self.after);
        row.time(self.proposed_at);
        write_decided(row, self.decided.as_ref());
        Ok(())
    }
}

/// Who, when, why: three columns of every table with decisions.
pub(super) fn write_decided(row: &mut RowWriter<'_>, decided: Option<&Decided>) {
    row.opt_text(decided.map(|one| one.by.as_str()));
    row.opt_time(decided.map(|one| one.at));
    row.opt_text(decided.map(|one| one.reason.as_str()));
}

pub(super) fn read_decided(row: &mut RowReader<'_>) -> Result<Option<Decided>, StoreError> {
    let (by, at, reason) = (row.opt_text()?, row.opt_time()?, row.opt_text()?);
    Ok(by.zip(at).map(|(by, at)| Decided { by, at, reason: reason.unwrap_or_default() }))
}

impl Loaded for RestatementRow {
    const TABLE: &'static str = "restatement";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id()?,
            kiosk: row.id()?,
            month: row.id()?,
            base_version: row.number()?,
            state: row.word(RestatementState::parse)?,
            fingerprint: row.text()?,
            why: row.text()?,
            before: row.text()?,
            after: row.text()?,
            proposed_at: row.time()?,
            decided: read_decided(row)?,
        })
    }
}

/// Everything empty: no restriction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestatementFilter {
    pub state: Option<RestatementState>,
    /// Whether somebody still has to decide.
    pub open: Option<bool>,
    pub kiosk: Option<KioskId>,
    pub month: Option<Month>,
    /// Where the kiosk stood in that month.
    pub site: Option<SiteId>,
    /// The one kind of input that changed since it was signed: of what changed together with something else, one reason
    /// says too little.
    pub changed: Option<InputKind>,
}

impl Store {
    /// Newest first.
    pub async fn restatements(
        &self,
        scope: &Scope,
        filter: &RestatementFilter,
        page: &PageRequest,
    ) -> Result<Page<RestatementRow>, StoreError> {
        let (at, id): (i64, String) = page.start()?;
        let state = filter.state.map(|state| state.as_str().to_owned());
        let kiosk = filter.kiosk.as_ref().map(ToString::to_string);
        let month = filter.month.map(|month| month.to_string());
        let site = filter.site.as_ref().map(ToString::to_string);
        let rows: Vec<RestatementRow> = self
            .rows(&LIST, |q| {
                q.bind(scope.to_json())
                    .bind(at)
                    .bind(id)
                    .bind(page.fetch_limit())
                    .bind(state)
                    .bind(kiosk)
                    .bind(month)
                    .bind(filter.open.map(i64::from))
                    .bind(site)
                    .bind(filter.changed.map(InputKind::as_str))
            })
            .await?;
        Ok(page.finish(rows, |row| (row.proposed_at.ms(), row.id.to_string())))
    }

    pub async fn restatement(&self, scope: &Scope, id: Uuid) -> Result<Option<RestatementRow>, StoreError> {
        Ok(self.restatements_among(scope, &[id]).await?.pop())
    }

    /// Those of these that exist and that this reader sees, by id.
    pub async fn restatements_among(
        &self,
        scope: &Scope,
        ids: &[Uuid],
    ) -> Result<Vec<RestatementRow>, StoreError> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let ids = serde_json::Value::from(ids).to_string();
        self.rows(&THESE, |q| q.bind(scope.to_json()).bind(ids)).await
    }

    /// Of these kiosks' months from `since` on, oldest first.
    pub async fn restatements_of(
        &self,
        kiosks: &[KioskId],
        since: Month,
    ) -> Result<Vec<RestatementRow>, StoreError> {
        let ids = id_array(kiosks.iter());
        self.rows(&OF_KIOSKS, |q| q.bind(ids).bind(since.to_string())).await
    }
}
