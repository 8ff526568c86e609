//! When a server was able to receive: outside of these spans nothing can be said of a silent kiosk.
use std::borrow::Cow;

use kioskwatch_domain::change::LivenessRow;
use kioskwatch_proto::Timestamp;
use uuid::Uuid;

use super::{
    Store, StoreError,
    row::{Loaded, RowReader, RowWriter, Stored},
    sql::{Sql, sql},
};

const OVERLAPPING: Sql = sql!(
    overlapping_liveness,
    "SELECT server, from_at, to_at FROM liveness WHERE to_at > $1 AND from_at < $2 ORDER BY from_at, server"
);
const LATEST: Sql =
    sql!(latest_liveness, "SELECT server, from_at, to_at FROM liveness ORDER BY to_at DESC LIMIT 1");

impl Stored for LivenessRow {
    const TABLE: &'static str = "liveness";
    const WRITE: Sql = sql!(
        store_liveness,
        "INSERT INTO liveness (server, from_at, to_at)
         SELECT value->>0, CAST(value->>1 AS BIGINT), CAST(value->>2 AS BIGINT)
         FROM " ROWS " WHERE true
         ON CONFLICT (server, from_at) DO UPDATE SET
           to_at = CASE WHEN excluded.to_at > liveness.to_at THEN excluded.to_at ELSE liveness.to_at END"
    );
    type Key<'a> = (Uuid, Timestamp);

    fn key(&self) -> Option<Self::Key<'_>> {
        Some((self.server, self.from))
    }

    fn join<'a>(earlier: &Self, later: &'a Self) -> Result<Cow<'a, Self>, StoreError> {
        let mut joined = later.clone();
        joined.to = earlier.to.max(later.to);
        Ok(Cow::Owned(joined))
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.display(&self.server);
        row.time(self.from);
        row.time(self.to);
        Ok(())
    }
}

impl Loaded for LivenessRow {
    const TABLE: &'static str = "liveness";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self { server: row.id()?, from: row.time()?, to: row.time()? })
    }
}

impl Store {
    /// Spans that overlap `from..to`.
    pub async fn server_liveness(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<LivenessRow>, StoreError> {
        self.rows(&OVERLAPPING, |q| q.bind(from.ms()).bind(to.ms())).await
    }

    pub(super) async fn last_alive_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let row: Option<LivenessRow> = self.row(&LATEST, |q| q).await?;
        Ok(row.map(|r| r.to))
    }
}
