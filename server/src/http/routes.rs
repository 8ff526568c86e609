//! Which path leads where; the door, the limits and the headers around all of it.
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::{from_fn, from_fn_with_state},
    routing::{get, post},
};

use super::{
    Problem, Web, audit, caller, commands, corrections, defects, events, faults, headers, input, inspections,
    kiosks, months, openapi, restatements, sites, tickets, timeline, uptime,
};
use crate::console;

/// API and console on one address.
pub fn router(web: Web) -> Router {
    let door = || from_fn_with_state(web.clone(), caller::let_in);
    let api = api().fallback(no_route).method_not_allowed_fallback(wrong_method).layer(door());
    let open_api = Router::new().route("/api/openapi.json", get(openapi::serve));
    let secure = web.app().config().http.secure_cookies;
    let router = Router::new()
        .nest("/api/v1", api)
        .merge(open_api)
        .merge(console::routes(&web, door()))
        .layer(DefaultBodyLimit::max(input::MAX_BODY_BYTES))
        .layer(from_fn_with_state(web.app().counters().clone(), defects::answer))
        .layer(from_fn(headers::guard));
    let router = if secure { router.layer(from_fn(headers::stay_with_tls)) } else { router };
    router.with_state(web)
}

fn api() -> Router<Web> {
    #[cfg(test)]
    let routes = super::tests::with_a_defect(Router::new());
    #[cfg(not(test))]
    let routes = Router::new();
    routes
        .route("/sites", get(sites::list))
        .route("/sites/{id}", get(sites::get).put(sites::put))
        .route("/kiosks", get(kiosks::list))
        .route("/kiosks/{id}", get(kiosks::get).put(kiosks::put))
        .route("/kiosks/{id}/timeline", get(timeline::get))
        .route("/kiosks/{id}/commands", post(commands::post))
        .route("/tickets", get(tickets::list).post(tickets::post))
        .route("/tickets/{id}", get(tickets::get))
        .route("/tickets/{id}/actions/{action}", post(tickets::act))
        .route("/commands/{id}", get(commands::get))
        .route("/commands/{id}/events", get(commands::events))
        .route("/commands/{id}/approve", post(commands::approve))
        .route("/commands/{id}/reject", post(commands::reject))
        .route("/commands/{id}/cancel", post(commands::cancel))
        .route("/uptime", get(uptime::get))
        .route("/kiosks/{id}/uptime", get(months::get))
        .route("/restatements", get(restatements::list))
        .route("/restatements/decide", post(restatements::decide_many))
        .route("/restatements/{id}", get(restatements::get))
        .route("/restatements/{id}/approve", post(restatements::approve))
        .route("/restatements/{id}/reject", post(restatements::reject))
        .route("/corrections", get(corrections::list).post(corrections::post))
        .route("/corrections/{id}", get(corrections::get))
        .route("/corrections/{id}/approve", post(corrections::approve))
        .route("/corrections/{id}/reject", post(corrections::reject))
        .route("/inspections", get(inspections::list))
        .route("/events", get(events::watch))
        .route("/audit", get(audit::list))
        .route("/faults", get(faults::list))
}

async fn no_route() -> Problem {
    Problem::not_found("route")
}

async fn wrong_method() -> Problem {
    let detail = "this route does not take that method";
    Problem::new(axum::http::StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
