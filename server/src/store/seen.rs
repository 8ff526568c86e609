//! When each kiosk was heard last, the verdict on it, and the stretch of its heartbeats that runs.
//!
//! What a flush or a start moves of the whole fleet stands here and nowhere else: short rows, side by side. As rows of evidence
//! the stretches would each take along pages of a table and of two indexes.
use std::borrow::Cow;

use kioskwatch_domain::change::{RunningSpan, SeenRow};
use kioskwatch_proto::KioskId;

use super::{
    StoreError,
    row::{RowWriter, Stored},
    sql::{Sql, sql},
};

impl Stored for SeenRow {
    const TABLE: &'static str = "kiosk_seen";
    /// A stretch that another one follows becomes evidence as far as it is written.
    const ELSEWHERE: Option<Sql> = Some(sql!(
        store_replaced_spans,
        "INSERT INTO evidence (kiosk, source, from_at, state, to_at, cause, interval_s)
         SELECT l.kiosk, 'live', l.from_at, l.state, l.to_at, l.cause, l.span_interval_s
         FROM " ROWS " JOIN kiosk_seen l ON l.kiosk = value->>0
         WHERE (CAST(value->>4 AS BIGINT), value->>6) <> (l.from_at, l.state)
         ON CONFLICT (kiosk, source, from_at, state) DO UPDATE SET
           to_at = CASE WHEN excluded.to_at > evidence.to_at THEN excluded.to_at ELSE evidence.to_at END"
    ));
    const WRITE: Sql = sql!(
        store_seen,
        "INSERT INTO kiosk_seen (kiosk, last_seen_at, interval_s, clock_offset_ms, from_at, to_at, state, cause,
           span_interval_s)
         SELECT value->>0, CAST(value->>1 AS BIGINT), CAST(value->>2 AS BIGINT), CAST(value->>3 AS BIGINT),
                CAST(value->>4 AS BIGINT), CAST(value->>5 AS BIGINT), value->>6, value->>7,
                CAST(value->>8 AS BIGINT)
         FROM " ROWS " WHERE true
         ON CONFLICT (kiosk) DO UPDATE SET
           last_seen_at = excluded.last_seen_at, interval_s = excluded.interval_s,
           clock_offset_ms = excluded.clock_offset_ms,
           from_at = COALESCE(excluded.from_at, kiosk_seen.from_at),
           to_at = COALESCE(excluded.to_at, kiosk_seen.to_at),
           state = COALESCE(excluded.state, kiosk_seen.state),
           span_interval_s = COALESCE(excluded.span_interval_s, kiosk_seen.span_interval_s),
           cause = CASE WHEN excluded.from_at IS NULL THEN kiosk_seen.cause ELSE excluded.cause END"
    );
    type Key<'a> = &'a KioskId;

    fn key(&self) -> Option<&KioskId> {
        Some(&self.kiosk)
    }

    fn join<'a>(earlier: &Self, later: &'a Self) -> Result<Cow<'a, Self>, StoreError> {
        let Some(before) = &earlier.running else { return Ok(Cow::Borrowed(later)) };
        let running = match &later.running {
            None => before.clone(),
            Some(now) if (now.from, now.state) == (before.from, before.state) => {
                RunningSpan { to: now.to.max(before.to), ..now.clone() }
            }
            Some(_) => {
                return Err(StoreError::Inconsistent {
                    table: Self::TABLE,
                    id: later.kiosk.to_string(),
                    what: "two stretches of heartbeats run in one commit".into(),
                });
            }
        };
        Ok(Cow::Owned(Self { running: Some(running), ..later.clone() }))
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.text(self.kiosk.as_str());
        row.time(self.last_seen_at);
        row.int(i64::from(self.interval_s));
        row.opt_int(self.clock_offset_ms);
        let running = self.running.as_ref();
        row.opt_time(running.map(|running| running.from));
        row.opt_time(running.map(|running| running.to));
        row.opt_text(running.map(|running| running.state.as_str()));
        row.opt_text(running.and_then(|running| running.cause.as_deref()));
        row.opt_int(running.map(|running| i64::from(running.interval_s)));
        Ok(())
    }
}
