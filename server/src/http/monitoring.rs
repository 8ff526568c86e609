//! `/metrics`, `/livez`, `/readyz`: on an address of their own, without a token.
use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{FromRef, State},
    http::{StatusCode, header},
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::StreamExt as _;
use tokio::sync::Semaphore;

use super::{defects, headers};
use crate::app::App;

/// Pages that are counted, written or read at once. Each holds some megabytes until its reader has the last of it or is
/// given up; who comes later waits for a place. Two Prometheus servers and somebody who looks are three.
const MAX_SCRAPES: usize = 4;

#[derive(Clone)]
struct Monitored {
    app: App,
    scrapes: Arc<Semaphore>,
}

impl FromRef<Monitored> for App {
    fn from_ref(monitored: &Monitored) -> Self {
        monitored.app.clone()
    }
}

/// The routes of `[monitoring] listen`.
pub fn monitoring_router(app: App) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .layer(from_fn_with_state(app.counters().clone(), defects::answer))
        .layer(from_fn(headers::guard))
        .with_state(Monitored { app, scrapes: Arc::new(Semaphore::new(MAX_SCRAPES)) })
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

async fn metrics(State(Monitored { app, scrapes }): State<Monitored>) -> Response {
    // Nobody closes it.
    let place = scrapes.acquire_owned().await.ok();
    let figures = app.figures().await;
    let pieces = app.counters().pieces(figures).map(move |piece| {
        let _until_it_is_read = &place;
        Ok::<_, Infallible>(piece)
    });
    let content = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    ([content], Body::from_stream(pieces)).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;
    use crate::{app::testing, config::Config};

    #[tokio::test]
    async fn a_page_keeps_its_place_until_it_is_read_or_its_reader_has_gone() {
        let (app, _requests, _folder) = testing::app(Config::default(), |_| Vec::new()).await;
        let monitored = Monitored { app, scrapes: Arc::new(Semaphore::new(2)) };
        let places = || monitored.scrapes.available_permits();
        let gone = metrics(State(monitored.clone())).await;
        let read = metrics(State(monitored.clone())).await;
        assert_eq!(places(), 0);
        let mut next = Box::pin(metrics(State(monitored.clone())));
        assert!(futures_util::poll!(&mut next).is_pending());
        drop(gone);
        let next = next.await;
        assert_eq!(places(), 0);
        for page in [read, next] {
            let page = to_bytes(page.into_body(), usize::MAX).await.unwrap();
            assert!(page.ends_with(b"kioskwatch_ready 0\n"), "{}", String::from_utf8_lossy(&page));
        }
        assert_eq!(places(), 2);
    }
}
