//! A ticket as JSON.
use kioskwatch_domain::change::{ClockRow, IncidentRow, TicketEventRow, TicketRow, TicketState};
use kioskwatch_proto::{KioskId, PeripheralName, SiteId, Timestamp, faults::FaultCode};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::json;
use crate::store;

/// Human work on incidents.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ticket)]
pub(crate) struct TicketView {
    id: Uuid,
    /// Short number for people.
    number: u64,
    state: &'static str,
    #[schema(value_type = Option<String>)]
    kiosk: Option<KioskId>,
    #[schema(value_type = Option<String>)]
    site: Option<SiteId>,
    #[schema(value_type = Option<String>)]
    peripheral: Option<PeripheralName>,
    #[schema(value_type = String)]
    fault: FaultCode,
    /// `operator`, `maintenance`, `replacement`.
    class: &'static str,
    /// Set by triage: `minor` 普通, `major` 重大.
    severity: &'static str,
    /// 1 highest … 4.
    priority: u8,
    source: &'static str,
    zone: &'static str,
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    t0: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    t1: Timestamp,
    t2: Value,
    t3: Value,
    t4: Value,
    #[schema(value_type = Option<String>, format = DateTime)]
    t5: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    t6: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    t7: Option<Timestamp>,
    t8: Value,
    plan: Value,
    visits: Value,
    parts: Value,
    resolution: Option<String>,
    sign_off: Option<String>,
    cancel_reason: Option<String>,
    parent: Option<Uuid>,
    assignee: Option<String>,
    /// How often it was reopened.
    reopened: u32,
    /// Every fault is gone since; it resolves by itself when that holds.
    #[schema(value_type = Option<String>, format = DateTime)]
    recovering_since: Option<Timestamp>,
}

/// A ticket with all that hangs on it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TicketDetail {
    #[serde(flatten)]
    ticket: TicketView,
    clocks: Vec<ClockView>,
    incidents: Vec<IncidentView>,
    /// Ids of the tickets this one explains.
    children: Vec<Uuid>,
    history: Vec<TicketEventView>,
}

/// A promise that runs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Clock)]
pub(crate) struct ClockView {
    name: String,
    /// `running`, `paused`, `met`, `breached`, `dropped`.
    state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    budget_s: u64,
    #[schema(value_type = Option<String>, format = DateTime)]
    warn_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    stopped_at: Option<Timestamp>,
}

/// A problem episode the machine saw.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Incident)]
pub(crate) struct IncidentView {
    id: Uuid,
    #[schema(value_type = Option<String>)]
    kiosk: Option<KioskId>,
    #[schema(value_type = Option<String>)]
    site: Option<SiteId>,
    #[schema(value_type = Option<String>)]
    peripheral: Option<PeripheralName>,
    #[schema(value_type = String)]
    fault: FaultCode,
    severity: &'static str,
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<Timestamp>,
    close_reason: Option<String>,
    /// What the device sent, as hex.
    raw: Option<String>,
    text: Option<String>,
    /// What was decided about it, and why.
    triage: String,
    triage_reason: String,
}

/// A line of the history.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TicketEvent)]
pub(crate) struct TicketEventView {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    actor: String,
    action: String,
    from: Option<&'static str>,
    to: &'static str,
    reason: String,
}

impl From<TicketRow> for TicketView {
    fn from(row: TicketRow) -> Self {
        let extra = json(&row.extra);
        let or_null = |name: &str| extra.get(name).cloned().unwrap_or(Value::Null);
        let or_empty = |name: &str| extra.get(name).cloned().unwrap_or_else(|| Value::Array(Vec::new()));
        Self {
            t2: or_null("t2"),
            t3: or_empty("t3"),
            t4: or_null("t4"),
            t8: or_null("t8"),
            plan: or_null("plan"),
            visits: or_empty("visits"),
            parts: or_empty("parts"),
            id: row.id,
            number: row.number,
            state: row.state.as_str(),
            kiosk: row.kiosk,
            site: row.site,
            peripheral: row.peripheral,
            fault: row.fault,
            class: row.class.as_str(),
            severity: row.severity.as_str(),
            priority: row.priority,
            source: row.source.as_str(),
            zone: row.zone.as_str(),
            opened_at: row.opened_at,
            t0: row.t0,
            t1: row.t1,
            t5: row.t5,
            t6: row.t6,
            t7: row.t7,
            resolution: row.resolution,
            sign_off: row.sign_off,
            cancel_reason: row.cancel_reason,
            parent: row.parent,
            assignee: row.assignee,
            reopened: row.reopened,
            recovering_since: row.recovering_since,
        }
    }
}

impl From<store::TicketView> for TicketDetail {
    fn from(view: store::TicketView) -> Self {
        Self {
            ticket: view.ticket.into(),
            clocks: view.clocks.into_iter().map(ClockView::from).collect(),
            incidents: view.incidents.into_iter().map(IncidentView::from).collect(),
            children: view.children.iter().map(|child| child.id).collect(),
            history: view.events.into_iter().map(TicketEventView::from).collect(),
        }
    }
}

impl From<ClockRow> for ClockView {
    fn from(row: ClockRow) -> Self {
        Self {
            name: row.name,
            state: row.state.as_str(),
            started_at: row.started_at,
            budget_s: row.budget_s,
            warn_at: row.warn_at,
            due_at: row.due_at,
            remaining_s: row.remaining_s,
            stopped_at: row.stopped_at,
        }
    }
}

impl From<IncidentRow> for IncidentView {
    fn from(row: IncidentRow) -> Self {
        Self {
            id: row.id,
            kiosk: row.kiosk,
            site: row.site,
            peripheral: row.peripheral,
            fault: row.fault,
            severity: row.severity.as_str(),
            opened_at: row.opened_at,
            closed_at: row.closed_at,
            close_reason: row.close_reason,
            raw: row.raw,
            text: row.text,
            triage: row.triage,
            triage_reason: row.triage_reason,
        }
    }
}

impl From<TicketEventRow> for TicketEventView {
    fn from(row: TicketEventRow) -> Self {
        Self {
            at: row.at,
            actor: row.actor,
            action: row.action,
            from: row.from.map(TicketState::as_str),
            to: row.to.as_str(),
            reason: row.reason,
        }
    }
}
