//! A ticket in memory: its row, its clocks, and what still holds it open.
use kioskwatch_proto::Timestamp;
use uuid::Uuid;

use crate::change::{ClockRow, TicketRow};

/// Where `extra` keeps what [`TicketFile::lasts_since`] says.
const LASTS_SINCE: &str = "lasts_since";
/// Where `extra` keeps what [`TicketFile::more_may_come_until`] says.
const MORE_MAY_COME_UNTIL: &str = "more_may_come_until";

#[derive(Debug, Clone, PartialEq)]
pub(super) struct TicketFile {
    pub(super) row: TicketRow,
    pub(super) clocks: Vec<ClockRow>,
    /// Last used number of its history.
    pub(super) events: u32,
    /// Incidents that are still open.
    pub(super) open: Vec<Uuid>,
    /// Tickets whose parent this is.
    pub(super) children: Vec<Uuid>,
}

impl TicketFile {
    pub(super) fn of(row: TicketRow) -> Self {
        Self { row, clocks: Vec::new(), events: 0, open: Vec::new(), children: Vec::new() }
    }

    /// Whether an engineer ever arrived (T4).
    pub(super) fn was_visited(&self) -> bool {
        let extra: serde_json::Value = serde_json::from_str(&self.row.extra).unwrap_or_default();
        extra.get("t4").is_some_and(|t4| !t4.is_null())
    }

    /// Whether a customer urged it: then somebody asks him before it closes (C35).
    pub(super) fn was_urged(&self) -> bool {
        let extra: serde_json::Value = serde_json::from_str(&self.row.extra).unwrap_or_default();
        extra.get("urged").is_some_and(|urged| !urged.is_null())
    }

    /// Keeps something that is not queried.
    pub(super) fn set_extra(&mut self, key: &str, value: serde_json::Value) {
        let mut extra: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&self.row.extra).unwrap_or_default();
        extra.insert(key.to_owned(), value);
        self.row.extra = serde_json::Value::Object(extra).to_string();
    }

    /// Since when a recovery lasts that began at `own`: later, where our clock jumped forward meanwhile.
    pub(super) fn lasts_since(&self, own: Timestamp, now: Timestamp) -> Timestamp {
        self.moved(now).map_or(own, |at| at.max(own))
    }

    /// Since when a ticket is quiet that was resolved at `t5`: later, where our clock jumped forward meanwhile; sooner,
    /// where it was set back, and `t5` had not come yet.
    pub(super) fn quiet_since(&self, t5: Timestamp, now: Timestamp) -> Timestamp {
        self.moved(now).unwrap_or(t5)
    }

    fn moved(&self, now: Timestamp) -> Option<Timestamp> {
        self.time_in_extra(LASTS_SINCE).filter(|&at| at <= now)
    }

    fn time_in_extra(&self, key: &str) -> Option<Timestamp> {
        let extra: serde_json::Value = serde_json::from_str(&self.row.extra).unwrap_or_default();
        extra.get(key).and_then(|at| serde_json::from_value(at.clone()).ok())
    }

    /// Its recovery, or its quiet time, lasts from then on, whatever its own time says.
    pub(super) fn lasts_from(&mut self, at: Timestamp) {
        self.set_extra(LASTS_SINCE, serde_json::json!(at));
    }

    /// A journal that told late of a recovery may have more to tell, until then: that the fault came back.
    pub(super) fn more_may_come_until(&self) -> Option<Timestamp> {
        self.time_in_extra(MORE_MAY_COME_UNTIL)
    }

    pub(super) fn wait_for_more(&mut self, until: Timestamp) {
        self.set_extra(MORE_MAY_COME_UNTIL, serde_json::json!(until));
    }

    /// A new recovery begins: what was said of the last one is over.
    pub(super) fn recovers(&mut self, since: Timestamp) {
        self.row.recovering_since = Some(since);
        self.lasts_no_more();
    }

    /// The recovery, or the quiet time, is over, and with it what was said of it.
    pub(super) fn lasts_no_more(&mut self) {
        for key in [LASTS_SINCE, MORE_MAY_COME_UNTIL] {
            if self.row.extra.contains(key) {
                self.set_extra(key, serde_json::Value::Null);
            }
        }
    }

    /// When it ended, for the time within which it may come back.
    pub(super) fn ended_at(&self) -> Option<Timestamp> {
        self.row.t7.or(self.row.t6).or(self.row.t5)
    }
}
