//! `/events`: live changes of everything a reader may see.
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Caller, Problem, Web,
    caller::{May, See},
    openapi::Failures,
    stream::{self, LiveResponse},
};
use crate::{app::LiveEvent, store::Scope};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};

/// What changed; fetch the rest.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventView<'a> {
    #[schema(value_type = Option<String>)]
    site: Option<&'a SiteId>,
    #[schema(value_type = Option<String>)]
    kiosk: Option<&'a KioskId>,
    /// Ticket, incident or command.
    id: Option<&'a str>,
    /// The new state in a word.
    state: &'a str,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// A sentence, a fault code, a step: for people.
    text: &'a str,
    percent: Option<u8>,
}

impl<'a> EventView<'a> {
    pub(super) fn of(event: &'a LiveEvent) -> Self {
        Self {
            site: event.site.as_ref(),
            kiosk: event.kiosk.as_ref(),
            id: event.id.as_deref(),
            state: &event.state,
            at: Timestamp(event.at_ms),
            text: &event.text,
            percent: event.percent,
        }
    }
}

/// What is about no site is for those who see every site.
pub(super) fn is_for(caller: &Caller, event: &LiveEvent) -> bool {
    match caller.scope() {
        Scope::All => true,
        Scope::Sites(_) => event.site.is_some() && caller.identity.sees_site(event.site.as_ref()),
    }
}

/// `event:` is one of presence, service, fault, ticket, command, kiosk, site; `reload` means that changes
/// were missed.
#[utoipa::path(get, path = "/api/v1/events", tag = "fleet", operation_id = "watch_fleet",
    responses((status = 200, body = EventView, content_type = "text/event-stream"), Failures))]
pub(super) async fn watch(State(web): State<Web>, May(caller, _): May<See>) -> Result<LiveResponse, Problem> {
    let live = web.app().live();
    stream::of_fleet(&web, caller, live)
}
