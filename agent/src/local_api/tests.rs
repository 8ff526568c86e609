//! The interface over a real socket, with the loop's part played by the test.
use kioskwatch_proto::{local::PushedService, words::ServiceState};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::*;

fn socket() -> PathBuf {
    std::env::temp_dir().join(format!("kw-{}.sock", uuid::Uuid::new_v4().simple()))
}

/// Answers every call as `reply` says, and gives the inputs on.
fn start(reply: fn(&Request) -> Answer) -> (LocalApi, mpsc::Receiver<Request>) {
    let (calls, mut receiver) = mpsc::channel::<Call>(8);
    let api = LocalApi::start(&socket(), calls, |call| call).unwrap();
    let (seen, requests) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Some(call) = receiver.recv().await {
            let answer = reply(&call.request);
            seen.send(call.request).await.unwrap();
            call.answer.send(answer).unwrap();
        }
    });
    (api, requests)
}

async fn ask(api: &LocalApi, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(&api.path).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: local\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    // A refusal may come before the body is through.
    drop(stream.write_all(head.as_bytes()).await);
    drop(stream.write_all(body.as_bytes()).await);
    let mut text = Vec::new();
    drop(stream.read_to_end(&mut text).await);
    let text = String::from_utf8(text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
}

fn refuse(request: &Request) -> Answer {
    match request {
        Request::Input(Local::Peripheral { .. }) => Answer::Refused(LocalRefusal::UnknownPeripheral),
        Request::Input(Local::Lease { .. }) => Answer::Refused(LocalRefusal::AlreadyLeased),
        _ => Answer::Done,
    }
}

#[tokio::test]
async fn what_the_application_says_reaches_the_loop_as_one_input() {
    let (api, mut requests) = start(|_| Answer::Done);
    let (status, body) = ask(&api, "PUT", "/v1/service", r#"{"state":"in_service"}"#).await;
    assert_eq!((status, body.as_str()), (204, ""));
    let expected = Local::Service(PushedService { state: ServiceState::InService, cause: None });
    assert_eq!(requests.recv().await, Some(Request::Input(expected)));

    let (status, _) = ask(&api, "DELETE", "/v1/grants/r1", "").await;
    assert_eq!(status, 204);
    let Some(Request::Input(Local::Grant { request, grant })) = requests.recv().await else { panic!() };
    assert_eq!((request.as_str(), grant.granted), ("r1", false));

    let (status, body) = ask(&api, "POST", "/v1/leases", r#"{"peripheral":"acceptor","seconds":30}"#).await;
    assert_eq!(status, 201);
    let Some(Request::Input(Local::Lease { lease, .. })) = requests.recv().await else { panic!() };
    assert!(body.contains(&format!("\"id\":\"{lease}\"")), "{body}");
}

#[tokio::test]
async fn who_reads_no_answer_loses_the_connection_and_its_place() {
    let (calls, _loop) = mpsc::channel::<Call>(8);
    let api = LocalApi::start_with(&socket(), calls, |call| call, Duration::from_millis(50)).unwrap();
    let mut stream = UnixStream::connect(&api.path).await.unwrap();
    let asks_on =
        async { while stream.write_all(b"GET /v1/nothing HTTP/1.1\r\nhost: local\r\n\r\n").await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(120), asks_on).await.expect("it is cut off");
    assert_eq!(ask(&api, "GET", "/v1/nothing", "").await.0, 404);
}

#[tokio::test]
async fn bad_requests_are_named_with_a_stable_code() {
    let (api, _requests) = start(refuse);
    let huge = format!("{{\"state\":\"{}\"}}", "x".repeat(MAX_BODY));
    let pushed = r#"{"status":"online","at":"2026-11-21T08:00:00.000Z","valid_for_s":30}"#;
    let table = [
        ("PUT", "/v1/service", "{", 400, "not_json"),
        ("PUT", "/v1/service", "[]", 400, "not_object"),
        ("PUT", "/v1/service", r#"{"state":"dancing"}"#, 422, "bad_field"),
        ("PUT", "/v1/service", r#"{"state":"in_service","stat":1}"#, 422, "bad_field"),
        ("PUT", "/v1/service", huge.as_str(), 413, "too_large"),
        (
            "PUT",
            "/v1/busy",
            r#"{"transaction":true,"escrow":false,"card":false,"door":false,"valid_for_s":60}"#,
            422,
            "bad_field",
        ),
        ("PUT", "/v1/peripherals/a%20b", "{}", 422, "bad_name"),
        ("PUT", "/v1/peripherals/printer", pushed, 404, "unknown_peripheral"),
        ("POST", "/v1/leases", r#"{"peripheral":"acceptor","seconds":30}"#, 409, "already_leased"),
        ("GET", "/v1/service", "", 405, "method_not_allowed"),
        ("GET", "/v2/status", "", 404, "not_found"),
    ];
    for (method, path, body, status, code) in table {
        let (got, text) = ask(&api, method, path, body).await;
        assert_eq!(got, status, "{method} {path}: {text}");
        let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(problem["code"], code, "{text}");
        assert!(!problem["detail"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_listener_hears_what_is_open_and_what_comes() {
    let open = |request: &str| HoldRequest {
        request: request.into(),
        action: "reboot".into(),
        peripheral: None,
        seconds: 60,
        not_after: kioskwatch_proto::Timestamp(0),
    };
    let (api, _requests) = start(|_| {
        Answer::Holds(vec![HoldRequest {
            request: "r1".into(),
            action: "reboot".into(),
            peripheral: None,
            seconds: 60,
            not_after: kioskwatch_proto::Timestamp(0),
        }])
    });
    let mut stream = UnixStream::connect(&api.path).await.unwrap();
    stream.write_all(b"GET /v1/requests HTTP/1.1\r\nhost: local\r\n\r\n").await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut events = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.starts_with("event:") {
            events.push(line);
            match events.len() {
                1 => api.tell(HoldEvent::Ask(open("r2"))),
                2 => api.tell(HoldEvent::Over { request: "r1".into() }),
                _ => break,
            }
        }
    }
    assert_eq!(events, ["event: hold", "event: hold", "event: over"]);
}

#[tokio::test]
async fn the_socket_is_for_its_group_and_replaces_one_of_a_dead_agent() {
    let path = socket();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let (calls, _receiver) = mpsc::channel::<Call>(1);
    let api = LocalApi::start(&path, calls.clone(), |call| call).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let second = LocalApi::start(&path, calls, |call| call).unwrap_err();
    assert!(matches!(second, LocalApiError::InUse { .. }));
    drop(api);
    assert!(!path.exists());
}
