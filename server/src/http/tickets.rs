//! `/tickets`: work for people.
use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header},
    response::IntoResponse,
};
use kioskwatch_domain::{
    change::{TicketSource, TicketState},
    fleet::{Answer, NewTicket, Request, TicketAction},
};
use kioskwatch_proto::{KioskId, PeripheralName, clean_text, faults::FaultCode};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    Body, Caller, ListParams, PageQuery, Problem, Web,
    caller::{May, See, WorkTickets},
    input::{parse, word},
    kiosk_in_scope,
    openapi::Failures,
    view::{Listed, TicketDetail, TicketView},
};
use crate::store::TicketFilter;

/// Actions of the service rules that this version knows by name and cannot do yet.
const LATER_ACTIONS: &[&str] = &[
    "triage",
    "assign",
    "contact",
    "unreachable",
    "schedule",
    "depart",
    "arrive",
    "deny_access",
    "start_repair",
    "wait_parts",
    "wait_customer",
    "resume",
    "next_visit",
    "send_external",
    "decide_batch",
    "sign",
    "reject",
    "call_back",
    "cancel_reassign",
];

/// Which tickets.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TicketQuery {
    state: Option<String>,
    kiosk: Option<String>,
    site: Option<String>,
    /// `true`: those that are not closed, also the `resolved` ones, which wait to close; `false`: the others.
    open: Option<bool>,
}

/// A problem told by a person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PostTicket {
    #[schema(value_type = String)]
    kiosk: KioskId,
    #[schema(value_type = Option<String>)]
    peripheral: Option<PeripheralName>,
    /// A code of `/faults`; `unknown_code` when none fits.
    #[schema(value_type = String)]
    fault: FaultCode,
    /// `call` (default), `portal`, `station`.
    #[serde(default = "call")]
    source: String,
    /// What was reported.
    #[serde(default)]
    text: String,
}

fn call() -> String {
    "call".to_owned()
}

/// What an action needs; each takes what its name asks for.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PostAction {
    /// `note`.
    #[serde(default)]
    pub(crate) text: String,
    /// `urge`, `close`, `cancel`, `reopen`.
    #[serde(default)]
    pub(crate) reason: String,
    /// `resolve`: what was done.
    #[serde(default)]
    pub(crate) resolution: String,
    /// `close`: the signature, or what stands for it.
    #[serde(default)]
    pub(crate) sign_off: String,
    /// `cancel`: the ground from the closed list.
    #[serde(default)]
    pub(crate) ground: String,
}

/// Tickets, newest first.
#[utoipa::path(get, path = "/api/v1/tickets", tag = "tickets", operation_id = "list_tickets",
    params(TicketQuery, PageQuery), responses((status = 200, body = Listed<TicketView>), Failures))]
pub(super) async fn list(
    State(web): State<Web>,
    May(caller, _): May<See>,
    ListParams(query, page): ListParams<TicketQuery>,
) -> Result<Json<Listed<TicketView>>, Problem> {
    let state = query.state.as_deref().map(|text| word("state", text, TicketState::parse)).transpose()?;
    let filter = TicketFilter {
        state,
        kiosk: query.kiosk.as_deref().map(parse).transpose()?,
        site: query.site.as_deref().map(parse).transpose()?,
        open: query.open,
    };
    let page = web.app().store().tickets(caller.scope(), &filter, &page.page()).await?;
    Ok(Json(Listed::of(page, TicketView::from)))
}

/// One ticket with its clocks, incidents and history, by its id or by the number people see.
#[utoipa::path(get, path = "/api/v1/tickets/{id}", tag = "tickets", operation_id = "get_ticket",
    params(("id" = String, Path)), responses((status = 200, body = TicketDetail), Failures))]
pub(super) async fn get(
    State(web): State<Web>,
    May(caller, _): May<See>,
    Path(named): Path<String>,
) -> Result<Json<TicketDetail>, Problem> {
    let id = match named.parse::<u64>() {
        Ok(number) => {
            let found = web.app().store().ticket_numbered(caller.scope(), number).await?;
            found.ok_or_else(|| Problem::not_found("ticket"))?
        }
        Err(_) => parse(&named)?,
    };
    ticket_in_scope(&web, &caller, id).await.map(|view| Json(view.into()))
}

/// Opens a ticket for a problem that a person tells.
#[utoipa::path(post, path = "/api/v1/tickets", tag = "tickets", operation_id = "open_ticket",
    request_body = PostTicket, responses((status = 201, body = TicketDetail), Failures))]
pub(super) async fn post(
    State(web): State<Web>,
    May(caller, _): May<WorkTickets>,
    Body(body): Body<PostTicket>,
) -> Result<impl IntoResponse, Problem> {
    kiosk_in_scope(&web, &caller, &body.kiosk).await?;
    let source = word("source", &body.source, TicketSource::parse)?;
    if !matches!(source, TicketSource::Call | TicketSource::Portal | TicketSource::Station) {
        return Err(Problem::invalid("source: people's tickets come by call, portal or station"));
    }
    let ticket = NewTicket {
        kiosk: body.kiosk,
        peripheral: body.peripheral,
        fault: body.fault,
        source,
        text: clean_text(&body.text),
    };
    let answer = web.app().request(caller.actor(), Request::OpenTicket(ticket)).await?;
    let Answer::Ticket(id) = answer else {
        return Err(Problem::unavailable("cannot_save", "the ticket was not opened"));
    };
    let view = ticket_in_scope(&web, &caller, id).await?;
    let location = [(header::LOCATION, format!("/api/v1/tickets/{id}"))];
    Ok((StatusCode::CREATED, location, Json(TicketDetail::from(view))))
}

/// One transition: `note`, `urge`, `resolve`, `close`, `cancel`, `reopen`. 409 with the rule and the reason
/// when the rules forbid it, and for actions of the service rules that this version cannot do yet.
#[utoipa::path(post, path = "/api/v1/tickets/{id}/actions/{action}", tag = "tickets",
    operation_id = "act_on_ticket", params(("id" = Uuid, Path), ("action" = String, Path)),
    request_body = PostAction, responses((status = 200, body = TicketDetail), Failures))]
pub(super) async fn act(
    State(web): State<Web>,
    May(caller, _): May<WorkTickets>,
    Path((id, action)): Path<(String, String)>,
    Body(body): Body<PostAction>,
) -> Result<Json<TicketDetail>, Problem> {
    let id: Uuid = parse(&id)?;
    act_on(&web, &caller, id, &action, body).await.map(Json)
}

/// Does one thing by its name.
pub(crate) async fn act_on(
    web: &Web,
    caller: &Caller,
    id: Uuid,
    action: &str,
    body: PostAction,
) -> Result<TicketDetail, Problem> {
    ticket_in_scope(web, caller, id).await?;
    let action = body.action(action)?;
    web.app().request(caller.actor(), Request::Ticket { ticket: id, action }).await?;
    ticket_in_scope(web, caller, id).await.map(TicketDetail::from)
}

pub(crate) async fn ticket_in_scope(
    web: &Web,
    caller: &Caller,
    id: Uuid,
) -> Result<crate::store::TicketView, Problem> {
    let view = web.app().store().ticket(caller.scope(), id).await?;
    view.ok_or_else(|| Problem::not_found("ticket"))
}

impl PostAction {
    fn action(self, name: &str) -> Result<TicketAction, Problem> {
        let given = |field: &str, text: &str| {
            let text = clean_text(text.trim());
            if text.is_empty() {
                return Err(Problem::invalid(format!("{field}: {name} needs it")));
            }
            Ok(text)
        };
        let reason = || given("reason", &self.reason);
        Ok(match name {
            "note" => TicketAction::Note { text: given("text", &self.text)? },
            "urge" => TicketAction::Urge { reason: reason()? },
            "resolve" => TicketAction::Resolve { resolution: given("resolution", &self.resolution)? },
            "close" => {
                TicketAction::Close { sign_off: given("sign_off", &self.sign_off)?, reason: reason()? }
            }
            "cancel" => TicketAction::Cancel { ground: given("ground", &self.ground)?, reason: reason()? },
            "reopen" => TicketAction::Reopen { reason: reason()? },
            name if LATER_ACTIONS.contains(&name) => {
                let detail = format!("this version cannot {name} a ticket yet; see server/README.md");
                return Err(Problem::conflict("action_not_available", detail));
            }
            _ => return Err(Problem::not_found("action")),
        })
    }
}
