//! A handler that panics costs its own request and nothing else.
use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use uuid::Uuid;

use super::Problem;
use crate::{metrics::Counters, panics};

/// Around every route. The answer carries an id under which the log says what happened: the cause is not for
/// the outside, and neither is the query, which may name people.
pub(crate) async fn answer(State(counters): State<Counters>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    match panics::caught(next.run(request)).await {
        Ok(response) => response,
        Err(panic) => {
            let id = Uuid::now_v7();
            tracing::error!(%id, %method, path, panic, "a request panicked: a defect of ours");
            counters.panicked("http");
            let detail = format!("a defect of ours; the server's log says more under {id}");
            let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail);
            Problem { instance: Some(id), ..problem }.into_response()
        }
    }
}
