//! A ticket in memory: its row, its clocks, and what still holds it open.
use kioskwatch_proto::Timestamp;
use uuid::Uuid;

use crate::change::{ClockRow, TicketRow};

/// Where `extra` keeps what [`TicketFile::lasts_since`] says.
const LASTS_SINCE: &str = "lasts_since";

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

    /// Since when something lasts that began at `own`: later, where our clock jumped forward meanwhile.
    pub(super) fn lasts_since(&self, own: Timestamp, now: Timestamp) -> Timestamp {
        let extra: serde_json::Value = serde_json::from_str(&self.row.extra).unwrap_or_default();
        let moved = extra.get(LASTS_SINCE).and_then(|at| serde_json::from_value(at.clone()).ok());
        moved.filter(|&at| at <= now).map_or(own, |at: Timestamp| at.max(own))
    }

    /// Our clock went forward by so much: what lasted since `own` has lasted no longer for that.
    pub(super) fn skip(&mut self, own: Timestamp, by_ms: i64, now: Timestamp) {
        let since = self.lasts_since(own, now).plus_ms(by_ms).min(now);
        self.set_extra(LASTS_SINCE, serde_json::json!(since));
    }

    /// When it ended, for the time within which it may come back.
    pub(super) fn ended_at(&self) -> Option<Timestamp> {
        self.row.t7.or(self.row.t6).or(self.row.t5)
    }
}
