//! A command as JSON.
use kioskwatch_domain::change::CommandEventRow;
use kioskwatch_proto::{CommandId, KioskId, Timestamp};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::json;
use crate::store;

/// A remote command with its steps.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Command)]
pub(crate) struct CommandDetail {
    #[schema(value_type = String, format = "uuid")]
    id: CommandId,
    #[schema(value_type = String)]
    kiosk: KioskId,
    action: String,
    args: Value,
    /// Who asked for it.
    actor: String,
    approver: Option<String>,
    ticket: Option<Uuid>,
    state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    requested_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    not_after: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    sent_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    /// How often it was sent.
    attempts: u32,
    reason: Option<String>,
    result: Value,
    steps: Vec<CommandStep>,
}

/// A step of a command.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct CommandStep {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    state: &'static str,
    step: String,
    percent: Option<u8>,
    line: Option<String>,
}

impl From<store::CommandView> for CommandDetail {
    fn from(view: store::CommandView) -> Self {
        let row = view.command;
        Self {
            args: json(&row.args),
            result: row.result.as_deref().map_or(Value::Null, json),
            id: row.id,
            kiosk: row.kiosk,
            action: row.action,
            actor: row.actor,
            approver: row.approver,
            ticket: row.ticket,
            state: row.state.as_str(),
            requested_at: row.requested_at,
            not_after: row.not_after,
            sent_at: row.sent_at,
            finished_at: row.finished_at,
            attempts: row.attempts,
            reason: row.reason,
            steps: view.events.iter().map(CommandStep::from).collect(),
        }
    }
}

impl From<&CommandEventRow> for CommandStep {
    fn from(row: &CommandEventRow) -> Self {
        Self {
            at: row.at,
            state: row.state.as_str(),
            step: row.step.clone(),
            percent: row.percent,
            line: row.line.clone(),
        }
    }
}
