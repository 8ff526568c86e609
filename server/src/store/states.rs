//! The current state of each kiosk, as of the last commit.
use std::borrow::Cow;

use kioskwatch_domain::change::{ForgottenRow, KioskStateRow, PresenceRow, PresenceVerdict};
use kioskwatch_proto::{KioskId, words::ServiceState};

use super::{
    Store, StoreError,
    image::Ends,
    row::{Loaded, RowReader, RowWriter, Stored},
    sql::{Sql, sql},
};

macro_rules! columns {
    () => {
        "s.kiosk, presence, presence_since, presence_reason, last_seen_at, session, boot, epoch, interval_s, \
         service, service_since, service_cause, peripherals, inventory, clock_offset_ms, command_counter"
    };
}

const BETWEEN: Sql = sql!(
    states_between,
    "SELECT " {columns, "s.kiosk"} " FROM kiosk_state s LEFT JOIN kiosk_seen l ON l.kiosk = s.kiosk
     WHERE s.kiosk >= $1 AND s.kiosk <= $2"
);
const SOME: Sql = sql!(
    some_states,
    "SELECT " [columns] " FROM kiosk_state s LEFT JOIN kiosk_seen l ON l.kiosk = s.kiosk
     WHERE s.kiosk " AMONG_TEXTS
);

impl Stored for KioskStateRow {
    const TABLE: &'static str = "kiosk_state";
    const ELSEWHERE: Option<Sql> = Some(sql!(
        store_seen_of_states,
        "INSERT INTO kiosk_seen (kiosk, presence, presence_since, presence_reason, last_seen_at, interval_s,
           clock_offset_ms)
         SELECT value->>0, value->>1, CAST(value->>2 AS BIGINT), value->>3,
                CAST(value->>4 AS BIGINT), CAST(value->>8 AS BIGINT), CAST(value->>14 AS BIGINT)
         FROM " ROWS " WHERE true
         ON CONFLICT (kiosk) DO UPDATE SET
           presence = excluded.presence, presence_since = excluded.presence_since,
           presence_reason = excluded.presence_reason,
           last_seen_at = excluded.last_seen_at, interval_s = excluded.interval_s,
           clock_offset_ms = excluded.clock_offset_ms"
    ));
    /// Without an inventory the stored one stays.
    const WRITE: Sql = sql!(
        store_states,
        "INSERT INTO kiosk_state (kiosk, session, boot, epoch,
           service, service_since, service_cause, peripherals, inventory, command_counter)
         SELECT value->>0, value->>5, value->>6, value->>7, value->>9,
                CAST(value->>10 AS BIGINT), value->>11, value->>12, value->>13, CAST(value->>15 AS BIGINT)
         FROM " ROWS " WHERE true
         ON CONFLICT (kiosk) DO UPDATE SET
           session = excluded.session, boot = excluded.boot, epoch = excluded.epoch,
           service = excluded.service,
           service_since = excluded.service_since, service_cause = excluded.service_cause,
           peripherals = excluded.peripherals,
           inventory = CASE WHEN excluded.inventory = '' THEN kiosk_state.inventory
                            ELSE excluded.inventory END,
           command_counter = excluded.command_counter"
    );
    type Key<'a> = &'a KioskId;

    fn key(&self) -> Option<&KioskId> {
        Some(&self.kiosk)
    }

    fn join<'a>(earlier: &Self, later: &'a Self) -> Result<Cow<'a, Self>, StoreError> {
        if !later.inventory.is_empty() || earlier.inventory.is_empty() {
            return Ok(Cow::Borrowed(later));
        }
        Ok(Cow::Owned(Self { inventory: earlier.inventory.clone(), ..later.clone() }))
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.text(self.kiosk.as_str());
        row.text(self.presence.as_str());
        row.time(self.presence_since);
        row.text(&self.presence_reason);
        row.opt_time(self.last_seen_at);
        row.opt_display(self.session.as_ref());
        row.opt_display(self.boot.as_ref());
        row.opt_display(self.epoch.as_ref());
        row.int(i64::from(self.interval_s));
        row.opt_text(self.service.map(ServiceState::as_str));
        row.opt_time(self.service_since);
        row.opt_text(self.service_cause.as_deref());
        row.text(&self.peripherals);
        row.text(&self.inventory);
        row.opt_int(self.clock_offset_ms);
        row.count("command_counter", self.command_counter)
    }
}

impl Stored for PresenceRow {
    const TABLE: &'static str = "kiosk_seen";
    const WRITE: Sql = sql!(
        store_verdicts,
        "UPDATE kiosk_seen SET
           presence = value->>1, presence_since = CAST(value->>2 AS BIGINT), presence_reason = value->>3
         FROM " ROWS " WHERE kiosk = value->>0"
    );
    type Key<'a> = &'a KioskId;

    fn key(&self) -> Option<&KioskId> {
        Some(&self.kiosk)
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.text(self.kiosk.as_str());
        row.text(self.presence.as_str());
        row.time(self.presence_since);
        row.text(self.presence_reason.as_str());
        Ok(())
    }
}

/// As [`ForgottenRow::since`].
macro_rules! forgotten_since {
    () => {
        "CASE WHEN presence_since <= CAST(value->>2 AS BIGINT) THEN CAST(value->>2 AS BIGINT)
              WHEN presence_since <= CAST(value->>3 AS BIGINT) THEN presence_since
              ELSE CAST(value->>3 AS BIGINT) END"
    };
}

impl Stored for ForgottenRow {
    const TABLE: &'static str = "kiosk_seen";
    /// Before the verdicts that they name are gone. Something else may have become true of a kiosk in that millisecond.
    const ELSEWHERE: Option<Sql> = Some(sql!(
        store_forgetting,
        "INSERT INTO transition (kiosk, at, n, kind, peripheral, from_state, to_state, noticed_at, reason)
         SELECT known.kiosk, known.at,
                1 + COALESCE((
                  SELECT MAX(t.n) FROM transition t WHERE t.kiosk = known.kiosk AND t.at = known.at), 0),
                'presence', NULL, known.presence, 'unknown', known.noticed_at, known.reason
         FROM (SELECT s.kiosk, s.presence, " [forgotten_since] " AS at,
                      CAST(value->>3 AS BIGINT) AS noticed_at, value->>4 AS reason
               FROM " ROWS " JOIN kiosk_seen s ON s.kiosk >= value->>0 AND s.kiosk <= value->>1
               WHERE s.presence <> 'unknown') AS known"
    ));
    const WRITE: Sql = sql!(
        store_forgotten,
        "UPDATE kiosk_seen SET
           presence = 'unknown', presence_since = " [forgotten_since] ", presence_reason = value->>4
         FROM " ROWS " WHERE kiosk >= value->>0 AND kiosk <= value->>1 AND presence <> 'unknown'"
    );
    type Key<'a> = &'a KioskId;

    fn key(&self) -> Option<&KioskId> {
        Some(&self.first)
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.text(self.first.as_str());
        row.text(self.last.as_str());
        row.time(self.since);
        row.time(self.noticed_at);
        row.text(self.reason.as_str());
        Ok(())
    }
}

impl Loaded for KioskStateRow {
    const TABLE: &'static str = "kiosk_state";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            kiosk: row.id()?,
            presence: row.word(PresenceVerdict::parse)?,
            presence_since: row.time()?,
            presence_reason: row.text()?,
            last_seen_at: row.opt_time()?,
            session: row.opt_id()?,
            boot: row.opt_id()?,
            epoch: row.opt_id()?,
            interval_s: row.number()?,
            service: row.opt_word(ServiceState::parse)?,
            service_since: row.opt_time()?,
            service_cause: row.opt_text()?,
            peripherals: row.text()?,
            inventory: row.text()?,
            clock_offset_ms: row.opt_int()?,
            command_counter: row.number()?,
        })
    }
}

impl Store {
    pub(super) async fn states_between(&self, ends: &Ends) -> Result<Vec<KioskStateRow>, StoreError> {
        self.gathered(&BETWEEN, |q| ends.bind(q)).await
    }

    /// Of the kiosks in a JSON array of ids.
    pub(super) async fn kiosk_states(&self, ids: &str) -> Result<Vec<KioskStateRow>, StoreError> {
        self.rows(&SOME, |q| q.bind(ids.to_owned())).await
    }
}
