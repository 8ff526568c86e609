//! Transitions: what changed on a kiosk, when it became true, and why we say so.
use std::collections::HashMap;

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

/// One to be stored, with its place among those of its kiosk in the same millisecond and commit.
#[derive(Clone)]
pub(super) struct Numbered<'a> {
    row: &'a TransitionRow,
    place: i64,
}

impl<'a> Numbered<'a> {
    pub(super) fn all(rows: &[&'a TransitionRow]) -> Vec<Self> {
        let mut places: HashMap<(&KioskId, Timestamp), i64> = HashMap::with_capacity(rows.len());
        let number = |row: &&'a TransitionRow| {
            let place = places.entry((&row.kiosk, row.at)).or_default();
            *place += 1;
            Self { row, place: *place }
        };
        rows.iter().map(number).collect()
    }
}

impl Stored for Numbered<'_> {
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
    /// The first of a millisecond is always 1: where there are others already, this fails.
    const NEW: Option<Sql> = Some(sql!(
        store_new_transitions,
        "INSERT INTO transition (" [columns] ")
         SELECT value->>0, CAST(value->>1 AS BIGINT), CAST(value->>2 AS BIGINT), value->>3, value->>4, value->>5,
                value->>6, CAST(value->>7 AS BIGINT), value->>8
         FROM " ROWS
    ));
    type Key<'b>
        = ()
    where
        Self: 'b;

    fn key(&self) -> Option<()> {
        None
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        let Self { row: transition, place } = self;
        row.text(transition.kiosk.as_str());
        row.time(transition.at);
        row.int(*place);
        row.text(&transition.kind);
        row.opt_display(transition.peripheral.as_ref());
        row.text(&transition.from);
        row.text(&transition.to);
        row.time(transition.noticed_at);
        row.text(&transition.reason);
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
