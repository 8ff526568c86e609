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

#[cfg(test)]
mod tests {
    use axum::{Router, middleware::from_fn_with_state, routing::get};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::metrics::FleetFigures;

    /// One request on a connection that stays open; gives status line, headers and body.
    async fn ask(line: &mut TcpStream, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        line.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        loop {
            let read = line.read_buf(&mut answer).await.unwrap();
            assert!(read > 0, "the connection stays open");
            let text = String::from_utf8_lossy(&answer);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return text.into_owned();
            }
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_with_an_id_and_the_connection_lives_on() {
        let counters = Counters::new().unwrap();
        let torn = || async {
            if true {
                panic!("secret")
            }
        };
        let router = Router::new()
            .route("/torn", get(torn))
            .route("/well", get(|| async { "well" }))
            .layer(from_fn_with_state(counters.clone(), answer));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut line = TcpStream::connect(address).await.unwrap();
        for _ in 0..2 {
            let answer = ask(&mut line, "/torn?q=zhang").await;
            assert!(answer.starts_with("HTTP/1.1 500 ") && !answer.contains("secret"), "{answer}");
            assert!(answer.contains("content-type: application/problem+json"), "{answer}");
            assert!(answer.contains("\"instance\":\"urn:uuid:"), "{answer}");
            assert!(ask(&mut line, "/well").await.ends_with("\r\n\r\nwell"));
        }
        let page = counters.page(&FleetFigures::default());
        assert!(page.contains("kioskwatch_panics_total{part=\"http\"} 2"), "{page}");
    }
}
