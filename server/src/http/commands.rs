//! `/commands`: what kiosks are asked to do, and how it goes.
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use kioskwatch_domain::fleet::{Answer, CommandRequest, Request};
use kioskwatch_proto::{CommandId, KioskId, clean_text, command::Action};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Body, Caller, Id, Problem, Web,
    caller::{Approve, May, Operate, See},
    input::word,
    kiosk_in_scope,
    openapi::Failures,
    stream::{self, LiveResponse},
    view::{CommandDetail, CommandStep},
};
use crate::store::CommandView;

/// Arguments name a peripheral or a few numbers; the signed envelope must fit one MQTT packet.
const MAX_ARGS_BYTES: usize = 4 * 1024;

/// A command to give.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PostCommand {
    /// `probe`, `identify`, `self_test`, `reset_peripheral`, `collect_diagnostics`, `read_log`,
    /// `ping_network`, `restart_application`, `restart_agent`, `reboot`.
    action: String,
    /// `{"peripheral":"printer"}` where the action is about one.
    #[serde(default)]
    args: Map<String, Value>,
    /// The ticket it belongs to.
    ticket: Option<Uuid>,
    /// How long it may wait for its kiosk, in seconds; longer than the policy's is cut.
    valid_for_s: Option<u32>,
}

/// The command that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommandAccepted {
    #[schema(value_type = String, format = "uuid")]
    id: CommandId,
}

/// Why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reason {
    #[serde(default)]
    pub(super) reason: String,
}

/// Asks a kiosk for something. Disruptive actions wait for a second person first.
#[utoipa::path(post, path = "/api/v1/kiosks/{id}/commands", tag = "commands", operation_id = "give_command",
    params(("id" = String, Path)), request_body = PostCommand,
    responses((status = 202, body = CommandAccepted), Failures))]
pub(super) async fn post(
    State(web): State<Web>,
    May(caller, _): May<Operate>,
    Id(kiosk): Id<KioskId>,
    Body(body): Body<PostCommand>,
) -> Result<impl IntoResponse, Problem> {
    let size = serde_json::to_string(&body.args).map_or(usize::MAX, |text| text.len());
    if size > MAX_ARGS_BYTES {
        let detail = format!("args take {size} bytes, {MAX_ARGS_BYTES} are allowed");
        return Err(Problem::bad_request("args_too_large", detail));
    }
    let request = CommandRequest {
        kiosk,
        action: word("action", &body.action, Action::parse)?,
        args: body.args,
        ticket: body.ticket,
        valid_for_ms: body.valid_for_s.map(|s| i64::from(s) * 1_000),
    };
    let id = give(&web, &caller, request).await?;
    let location = [(header::LOCATION, format!("/api/v1/commands/{id}"))];
    Ok((StatusCode::ACCEPTED, location, Json(CommandAccepted { id })))
}

pub(crate) async fn give(web: &Web, caller: &Caller, request: CommandRequest) -> Result<CommandId, Problem> {
    kiosk_in_scope(web, caller, &request.kiosk).await?;
    match web.app().request(caller.actor(), Request::Command(request)).await? {
        Answer::Command(id) => Ok(id),
        _ => Err(Problem::unavailable("cannot_save", "the command was not made")),
    }
}

/// One command with its steps.
#[utoipa::path(get, path = "/api/v1/commands/{id}", tag = "commands", operation_id = "get_command",
    params(("id" = Uuid, Path)), responses((status = 200, body = CommandDetail), Failures))]
pub(super) async fn get(
    State(web): State<Web>,
    May(caller, _): May<See>,
    Id(id): Id<CommandId>,
) -> Result<Json<CommandDetail>, Problem> {
    command_in_scope(&web, &caller, id).await.map(|view| Json(view.into()))
}

/// Its steps as they come (`event: progress`), and the command itself once it ended (`event: done`).
#[utoipa::path(get, path = "/api/v1/commands/{id}/events", tag = "commands", operation_id = "watch_command",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = CommandStep, content_type = "text/event-stream"), Failures))]
pub(super) async fn events(
    State(web): State<Web>,
    May(caller, _): May<See>,
    Id(id): Id<CommandId>,
) -> Result<LiveResponse, Problem> {
    // Subscribed before the read: nothing can happen unseen in between.
    let live = web.app().live();
    command_in_scope(&web, &caller, id).await?;
    stream::of_command(&web, caller, live, id)
}

/// Lets a waiting command go. Never by who asked for it.
#[utoipa::path(post, path = "/api/v1/commands/{id}/approve", tag = "commands", operation_id = "approve_command",
    params(("id" = Uuid, Path)), responses((status = 200, body = CommandDetail), Failures))]
pub(super) async fn approve(
    State(web): State<Web>,
    May(caller, _): May<Approve>,
    Id(id): Id<CommandId>,
) -> Result<Json<CommandDetail>, Problem> {
    decide(&web, &caller, id, Request::ApproveCommand { command: id }).await
}

/// Ends a waiting command.
#[utoipa::path(post, path = "/api/v1/commands/{id}/reject", tag = "commands", operation_id = "reject_command",
    params(("id" = Uuid, Path)), request_body = Reason,
    responses((status = 200, body = CommandDetail), Failures))]
pub(super) async fn reject(
    State(web): State<Web>,
    May(caller, _): May<Approve>,
    Id(id): Id<CommandId>,
    Body(body): Body<Reason>,
) -> Result<Json<CommandDetail>, Problem> {
    let reason = clean_text(&body.reason);
    decide(&web, &caller, id, Request::RejectCommand { command: id, reason }).await
}

/// Calls a command off that has not started.
#[utoipa::path(post, path = "/api/v1/commands/{id}/cancel", tag = "commands", operation_id = "cancel_command",
    params(("id" = Uuid, Path)), request_body = Reason,
    responses((status = 200, body = CommandDetail), Failures))]
pub(super) async fn cancel(
    State(web): State<Web>,
    May(caller, _): May<Operate>,
    Id(id): Id<CommandId>,
    Body(body): Body<Reason>,
) -> Result<Json<CommandDetail>, Problem> {
    let reason = clean_text(&body.reason);
    decide(&web, &caller, id, Request::CancelCommand { command: id, reason }).await
}

async fn decide(
    web: &Web,
    caller: &Caller,
    id: CommandId,
    request: Request,
) -> Result<Json<CommandDetail>, Problem> {
    let state = command_in_scope(web, caller, id).await?.command.state;
    if state.is_final() {
        let detail = format!("the command has ended: {}", state.as_str());
        return Err(Problem::conflict("command_ended", detail));
    }
    web.app().request(caller.actor(), request).await?;
    command_in_scope(web, caller, id).await.map(|view| Json(view.into()))
}

pub(crate) async fn command_in_scope(
    web: &Web,
    caller: &Caller,
    id: CommandId,
) -> Result<CommandView, Problem> {
    let view = web.app().store().command(caller.scope(), id).await?;
    view.ok_or_else(|| Problem::not_found("command"))
}
