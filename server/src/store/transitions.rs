//! Transitions: what changed on a kiosk, when it became true, and why we say so.
use kioskwatch_domain::change::TransitionRow;
use kioskwatch_proto::{KioskId, Timestamp};

use super::{
    Page, PageRequest, Scope, Store, StoreError,
    row::{Loaded, RowReader, RowWriter, Stored},
    sql::{Sql, sql},
};

macro_rules! columns {
    () => {
        "kiosk, at, n, kind, peripheral, from_state, to_state, noticed_at, reason"
    };
}

const LIST: Sql = sql!(
    list_transitions,
    "SELECT " [columns] " FROM transition
     WHERE kiosk = $1 AND at >= $2 AND at < $3 AND (at, n) < ($4, $5)
     ORDER BY at DESC, n DESC LIMIT $6"
);

impl Stored for TransitionRow {
    const TABLE: &'static str = "transition";
    const WRITE: Sql = sql!(
        store_transitions,
        "INSERT INTO transition (" [columns] ")
         SELECT value->>0, CAST(value->>1 AS BIGINT),
                CAST(value->>2 AS BIGINT) + COALESCE((
                  SELECT MAX(t.n) FROM transition t
                  WHERE t.kiosk = value->>0 AND t.at = CAST(value->>1 AS BIGINT)), 0),
                value->>3, value->>4, value->>5, value->>6, CAST(value->>7 AS BIGINT), value->>8
         FROM " ROWS
    );
    type Key<'a> = ();

    fn key(&self) -> Option<()> {
        None
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.text(self.kiosk.as_str());
        row.time(self.at);
        row.place();
        row.text(&self.kind);
        row.opt_display(self.peripheral.as_ref());
        row.text(&self.from);
        row.text(&self.to);
        row.time(self.noticed_at);
        row.text(&self.reason);
        Ok(())
    }
}

/// A transition with its place among those of the same millisecond.
struct Placed {
    n: i64,
    row: TransitionRow,
}

impl Loaded for Placed {
    const TABLE: &'static str = "transition";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        let (kiosk, at, n) = (row.id()?, row.time()?, row.int()?);
        let row = TransitionRow {
            kiosk,
            at,
            kind: row.text()?,
            peripheral: row.opt_id()?,
            from: row.text()?,
            to: row.text()?,
            noticed_at: row.time()?,
            reason: row.text()?,
        };
        Ok(Self { n, row })
    }
}

impl Store {
    /// Those with `from <= at < to`, newest first. `None`: no such kiosk for this reader.
    pub async fn transitions(
        &self,
        scope: &Scope,
        kiosk: &KioskId,
        from: Timestamp,
        to: Timestamp,
        page: &PageRequest,
    ) -> Result<Option<Page<TransitionRow>>, StoreError> {
        let (at, n): (i64, i64) = page.start()?;
        if !self.sees(scope, kiosk).await? {
            return Ok(None);
        }
        let (kiosk, limit) = (kiosk.to_string(), page.fetch_limit());
        let rows: Vec<Placed> = self
            .rows(&LIST, |q| q.bind(kiosk).bind(from.ms()).bind(to.ms()).bind(at).bind(n).bind(limit))
            .await?;
        let page = page.finish(rows, |placed| (placed.row.at.ms(), placed.n));
        let items = page.items.into_iter().map(|placed| placed.row).collect();
        Ok(Some(Page { items, next_cursor: page.next_cursor }))
    }
}
