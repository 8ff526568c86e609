//! Pages for people: rendered here, live by server-sent events, usable without a script.
//!
//! Knows: what a page shows and in which words. Must not know: SQL, rules; it reads through the same doors as
//! the API ([`Web`], [`Caller`](crate::http::Caller)), so a scope holds here as it does there.
//! A page is a template and a struct; its live part is a template of its own that is also served alone.
mod assets;
mod bar;
mod command;
mod decisions;
mod fleet;
mod form;
mod inspections;
mod kiosk;
mod login;
mod refusal;
mod shell;
mod texts;
mod ticket;
mod tickets;
mod time;
pub(crate) mod told;
mod tone;
mod uptime;

use std::convert::Infallible;

use axum::{
    Router,
    extract::Request,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{Route, get, post},
};
use tower::{Layer, Service};

pub(crate) use self::texts::Texts;
use crate::http::{Problem, Web};

/// All pages. `door` lets people in; what stands outside of it can be seen by everybody.
pub(crate) fn routes<L>(web: &Web, door: L) -> Router<Web>
where
    L: Layer<Route> + Clone + Send + Sync + 'static,
    L::Service: Service<Request> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request>>::Response: IntoResponse + 'static,
    <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
    <L::Service as Service<Request>>::Future: Send + 'static,
{
    let inside = Router::new()
        .route("/", get(fleet::page))
        .route("/parts/fleet", get(fleet::part))
        .route("/kiosks/{id}", get(kiosk::page))
        .route("/parts/kiosks/{id}", get(kiosk::part))
        .route("/kiosks/{id}/uptime", get(uptime::kiosk::page))
        .route("/kiosks/{id}/records/{epoch}/{seq}", get(uptime::record::page))
        .route("/kiosks/{id}/self-test", post(command::self_test))
        .route("/parts/commands/{id}", get(command::part))
        .route("/uptime", get(uptime::group::page))
        .route("/decisions", get(decisions::page))
        .route("/restatements", post(decisions::many::decide))
        .route("/restatements/{id}", get(decisions::restatement::page).post(decisions::restatement::decide))
        .route("/corrections", post(decisions::ask::send))
        .route("/corrections/new", get(decisions::ask::page))
        .route("/corrections/{id}", get(decisions::correction::page).post(decisions::correction::decide))
        .route("/inspections", get(inspections::page))
        .route("/tickets", get(tickets::page))
        .route("/tickets/{id}", get(ticket::page))
        .route("/parts/tickets/{id}", get(ticket::part))
        .route("/tickets/{id}/{deed}", post(ticket::work::act))
        .route("/logout", post(login::sign_out))
        .layer(door);
    let outside = Router::new()
        .route("/login", get(login::page).post(login::sign_in))
        .route("/language", post(login::language))
        .route("/assets/{name}", get(assets::serve));
    inside.merge(outside).fallback(no_page).layer(from_fn_with_state(web.clone(), shell::dress))
}

async fn no_page() -> Response {
    Problem::not_found("page").into_response()
}
