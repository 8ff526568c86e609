//! `/metrics`, `/livez`, `/readyz`: on an address of their own, without a token.
use std::{io, sync::Arc, time::Duration};

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
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{defects, headers};
use crate::app::App;

/// Pages that are counted, written or read at once. Each holds some megabytes until the last of it is on its way or its
/// reader is given up; who comes later waits for a place. Two Prometheus servers and somebody who looks are three.
const MAX_SCRAPES: usize = 4;
/// How long a page waits for a place: Prometheus itself gives up after 10 s.
const PLACE_WITHIN: Duration = Duration::from_secs(5);
/// How long a page keeps its place, however slowly it is taken.
const READ_WITHIN: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Monitored {
    app: App,
    scrapes: Arc<Semaphore>,
    place_within: Duration,
    read_within: Duration,
}

impl Monitored {
    fn new(app: App) -> Self {
        let scrapes = Arc::new(Semaphore::new(MAX_SCRAPES));
        Self { app, scrapes, place_within: PLACE_WITHIN, read_within: READ_WITHIN }
    }
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
        .with_state(Monitored::new(app))
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

async fn metrics(State(Monitored { app, scrapes, place_within, read_within }): State<Monitored>) -> Response {
    let Ok(place) = timeout(place_within, scrapes.acquire_owned()).await else {
        let text = format!("{MAX_SCRAPES} pages are being read: ask again\n");
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let figures = app.figures().await;
    let until = Instant::now() + read_within;
    let pieces = app.counters().pieces(figures).map(move |piece| {
        let _until_it_is_read = &place;
        // An error ends the connection, so that nobody takes what there is for the whole.
        if Instant::now() < until { Ok(piece) } else { Err(io::Error::from(io::ErrorKind::TimedOut)) }
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
        let monitored = Monitored { scrapes: Arc::new(Semaphore::new(2)), ..Monitored::new(app) };
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

    #[tokio::test]
    async fn who_reads_slowly_keeps_nobody_else_from_the_figures() {
        let (app, _requests, _folder) = testing::app(Config::default(), |_| Vec::new()).await;
        let scrapes = Arc::new(Semaphore::new(1));
        let none = Duration::ZERO;
        let monitored = Monitored { app, scrapes, place_within: none, read_within: none };
        let slow = metrics(State(monitored.clone())).await;
        let refused = metrics(State(monitored.clone())).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(to_bytes(slow.into_body(), usize::MAX).await.is_err(), "a part is not taken for the whole");
        assert_eq!(metrics(State(monitored)).await.status(), StatusCode::OK);
    }
}
