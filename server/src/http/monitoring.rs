//! `/metrics`, `/livez`, `/readyz`: on an address of their own, without a token.
use std::convert::Infallible;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{StatusCode, header},
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::StreamExt as _;

use super::{defects, headers};
use crate::app::App;

/// The routes of `[monitoring] listen`.
pub fn monitoring_router(app: App) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .layer(from_fn_with_state(app.counters().clone(), defects::answer))
        .layer(from_fn(headers::guard))
        .with_state(app)
}

/// Always 200 while the process turns: whoever restarts us must not do so because of a database.
async fn livez() -> &'static str {
    "ok\n"
}

async fn readyz(State(app): State<App>) -> Response {
    let missing = app.missing();
    if missing.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", missing.join("; "))).into_response()
}

async fn metrics(State(app): State<App>) -> Response {
    let figures = app.figures().await;
    let page = Body::from_stream(app.counters().pieces(figures).map(Ok::<_, Infallible>));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response()
}
