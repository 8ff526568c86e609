//! A request that panics on a server that runs: its own listener, its real routes, its hub.
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, extract::State, routing::get};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::fixture::Fixture;
use crate::{
    app::testing,
    http::{Web, serve, serve_monitoring},
};

/// A route that panics while it holds what every other part needs, behind the door like all the others.
pub(in crate::http) fn with_a_defect(routes: Router<Web>) -> Router<Web> {
    async fn torn(State(web): State<Web>) {
        testing::panic_in_a_change(web.app())
    }
    routes.route("/torn", get(torn))
}

/// What the server writes into its log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection that stays open.
struct Line {
    socket: TcpStream,
    token: String,
}

impl Line {
    /// Status line, headers and body.
    async fn ask(&mut self, method: &str, path: &str, body: &str) -> String {
        let (token, length) = (&self.token, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        loop {
            let read = self.socket.read_buf(&mut answer).await.unwrap();
            assert!(read > 0, "the connection stays open");
            let text = String::from_utf8_lossy(&answer);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let is_whole = match head.lines().find_map(|line| line.strip_prefix("content-length: ")) {
                Some(length) => body.len() == length.parse::<usize>().unwrap(),
                None => {
                    assert!(head.contains("transfer-encoding: chunked"), "{head}");
                    body.ends_with("\r\n0\r\n\r\n")
                }
            };
            if is_whole {
                return text.into_owned();
            }
        }
    }
}

#[tokio::test]
async fn a_panic_costs_its_request_a_problem_with_an_id_that_the_log_knows_and_the_server_serves_on() {
    let log = Log::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || written.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let fixture = Fixture::start().await;
    let token = fixture.token("admin", &[]).await;
    let (_stop, stopped) = watch::channel(false);
    let [api, monitoring] =
        [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
    let [api_at, monitoring_at] = [api.local_addr().unwrap(), monitoring.local_addr().unwrap()];
    tokio::spawn(serve(fixture.app.clone(), api, stopped.clone()));
    tokio::spawn(serve_monitoring(fixture.app.clone(), monitoring, stopped));
    let mut line = Line { socket: TcpStream::connect(api_at).await.unwrap(), token: token.clone() };

    for turn in 1..=2 {
        let answer = line.ask("GET", "/api/v1/torn?q=zhang", "").await;
        assert!(answer.starts_with("HTTP/1.1 500 ") && !answer.contains("secret"), "{answer}");
        assert!(answer.contains("content-type: application/problem+json"), "{answer}");
        let problem: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(problem["code"], "internal", "{problem}");
        let id = problem["instance"].as_str().unwrap().strip_prefix("urn:uuid:").unwrap();
        let told = log.text();
        let told: Vec<&str> = told.lines().filter(|line| line.contains("a request panicked")).collect();
        assert_eq!(told.len(), turn, "{told:?}");
        for word in ["ERROR", id, "method=GET", "/api/v1/torn", "panic=\"secret\""] {
            assert!(told[turn - 1].contains(word), "{word}: {told:?}");
        }
        assert!(!told[turn - 1].contains("zhang"), "{told:?}");
        // What it held is nobody's any more: it is read, and changed by the one who writes.
        let kiosks = line.ask("GET", "/api/v1/kiosks", "").await;
        assert!(kiosks.starts_with("HTTP/1.1 200 ") && kiosks.contains("K-"), "{kiosks}");
        let site = format!(r#"{{"name":"turn {turn}","region":"north"}}"#);
        let put = line.ask("PUT", "/api/v1/sites/torn", &site).await;
        assert!(put.starts_with("HTTP/1.1 20"), "{put}");
        let site = line.ask("GET", "/api/v1/sites/torn", "").await;
        assert!(site.contains(&format!("turn {turn}")), "{site}");
    }
    let mut line = Line { socket: TcpStream::connect(monitoring_at).await.unwrap(), token };
    assert!(line.ask("GET", "/livez", "").await.starts_with("HTTP/1.1 200 "));
    let page = line.ask("GET", "/metrics", "").await;
    assert!(page.contains("kioskwatch_panics_total{part=\"http\"} 2"), "{page}");
}
