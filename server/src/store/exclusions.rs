//! Approved time that does not count.
use kioskwatch_domain::change::{ExclusionRow, Withdrawn};
use kioskwatch_proto::Timestamp;
use uuid::Uuid;

use super::{
    Scope, Store, StoreError,
    row::{Loaded, RowReader, RowWriter, Stored, text_array},
    sql::{Sql, sql},
};

macro_rules! columns {
    () => {
        "id, kiosk, site, class, from_at, to_at, requested_by, approved_by, approved_at, agreed_at, withdrawn_by,
         withdrawn_at, reason"
    };
}

const ONE: Sql = sql!(find_exclusion, "SELECT " [columns] " FROM exclusion WHERE id = $1");
const OVERLAPPING: Sql = sql!(
    overlapping_exclusions,
    "SELECT " [columns] " FROM exclusion
     WHERE to_at > $2 AND from_at < $3
       AND ($1 IS NULL OR site IN " TEXTS "
            OR kiosk IN (SELECT k.id FROM kiosk k WHERE k.site IN " TEXTS "))
     ORDER BY from_at, id"
);
/// A kiosk and a site may have one name: then this gives more than was asked for.
const ABOUT: Sql = sql!(
    exclusions_about,
    "SELECT " [columns] " FROM exclusion
     WHERE to_at > $2 AND from_at < $3 AND (site " AMONG_TEXTS " OR kiosk " AMONG_TEXTS ")
     ORDER BY from_at, id"
);

impl Stored for ExclusionRow {
    const TABLE: &'static str = "exclusion";
    const WRITE: Sql = sql!(
        store_exclusions,
        "INSERT INTO exclusion (" [columns] ")
         SELECT value->>0, value->>1, value->>2, value->>3, CAST(value->>4 AS BIGINT),
                CAST(value->>5 AS BIGINT), value->>6, value->>7, CAST(value->>8 AS BIGINT),
                CAST(value->>9 AS BIGINT), value->>10, CAST(value->>11 AS BIGINT), value->>12
         FROM " ROWS " WHERE true
         ON CONFLICT (id) DO UPDATE SET
           kiosk = excluded.kiosk, site = excluded.site, class = excluded.class,
           from_at = excluded.from_at, to_at = excluded.to_at, requested_by = excluded.requested_by,
           approved_by = excluded.approved_by, approved_at = excluded.approved_at,
           agreed_at = excluded.agreed_at, withdrawn_by = excluded.withdrawn_by,
           withdrawn_at = excluded.withdrawn_at, reason = excluded.reason"
    );
    type Key<'a> = Uuid;

    fn key(&self) -> Option<Uuid> {
        Some(self.id)
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.display(&self.id);
        row.opt_display(self.kiosk.as_ref());
        row.opt_display(self.site.as_ref());
        row.text(&self.class);
        row.time(self.from);
        row.time(self.to);
        row.text(&self.requested_by);
        row.opt_text(self.approved_by.as_deref());
        row.opt_time(self.approved_at);
        row.opt_time(self.agreed_at);
        row.opt_text(self.withdrawn.as_ref().map(|one| one.by.as_str()));
        row.opt_time(self.withdrawn.as_ref().map(|one| one.at));
        row.text(&self.reason);
        Ok(())
    }
}

impl Loaded for ExclusionRow {
    const TABLE: &'static str = "exclusion";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id()?,
            kiosk: row.opt_id()?,
            site: row.opt_id()?,
            class: row.text()?,
            from: row.time()?,
            to: row.time()?,
            requested_by: row.text()?,
            approved_by: row.opt_text()?,
            approved_at: row.opt_time()?,
            agreed_at: row.opt_time()?,
            withdrawn: row.opt_text()?.zip(row.opt_time()?).map(|(by, at)| Withdrawn { by, at }),
            reason: row.text()?,
        })
    }
}

impl Store {
    pub async fn exclusion(&self, id: Uuid) -> Result<Option<ExclusionRow>, StoreError> {
        self.row(&ONE, |q| q.bind(id.to_string())).await
    }

    /// Exclusions of visible kiosks and sites that overlap `from..to`.
    pub async fn exclusions(
        &self,
        scope: &Scope,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<ExclusionRow>, StoreError> {
        self.rows(&OVERLAPPING, |q| q.bind(scope.to_json()).bind(from.ms()).bind(to.ms())).await
    }

    /// Exclusions of these kiosks and sites that overlap `from..to`; possibly some of others too.
    pub async fn exclusions_about(
        &self,
        names: &[&str],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<ExclusionRow>, StoreError> {
        let names = text_array(names);
        self.rows(&ABOUT, |q| q.bind(names).bind(from.ms()).bind(to.ms())).await
    }
}
