//! Bad input gets a sentence, good input gets pages.
use axum::http::{Method, StatusCode};
use futures_util::future::join_all;
use serde_json::json;

use super::{
    fixture::{Fixture, ticket_id},
    matrix::assert_problem,
};

#[tokio::test]
async fn bad_input_is_refused_with_a_sentence() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let act = |action: &str| format!("/api/v1/tickets/{}/actions/{action}", ticket_id(1));
    let put = |path: &str, body: &str| (Method::PUT, path.to_owned(), Some(body.to_owned()));
    let post = |path: &str, body: &str| (Method::POST, path.to_owned(), Some(body.to_owned()));
    let get = |path: &str| (Method::GET, path.to_owned(), None);
    let deep = format!("{{\"name\":\"n\",\"contacts\":{}", "[".repeat(5_000));
    let cases = [
        (get("/api/v1/kiosks/a%20b"), 422, "invalid_id", "letters, digits"),
        (get("/api/v1/tickets/seven"), 422, "invalid_id", "\"seven\""),
        (get("/api/v1/kiosks?limit=many"), 400, "bad_query", "limit"),
        (get("/api/v1/kiosks?cursor=%21"), 400, "bad_cursor", "cursor"),
        (get("/api/v1/kiosks?presence=asleep"), 422, "invalid", "presence"),
        (get("/api/v1/tickets?state=lost"), 422, "invalid", "state"),
        (get("/api/v1/kiosks/K-1/timeline?from=yesterday"), 400, "bad_query", "RFC 3339"),
        (
            get("/api/v1/kiosks/K-1/timeline?to=2026-01-01T00:00:00Z&from=2026-01-02T00:00:00Z"),
            400,
            "bad_query",
            "before",
        ),
        (get("/api/v1/uptime?month=2026-13"), 400, "bad_query", "no month"),
        (get("/api/v1/uptime?month=26-1"), 400, "bad_query", "2026-10"),
        (get("/api/v1/uptime?scope=kiosk"), 400, "bad_query", "needs an id"),
        (get("/api/v1/uptime?scope=planet&id=earth"), 400, "bad_query", "fleet"),
        (get("/api/v1/nothing"), 404, "not_found", "route"),
        (post("/api/v1/sites", "{}"), 405, "method_not_allowed", "method"),
        (put("/api/v1/sites/near", "{"), 400, "bad_json", "JSON"),
        (put("/api/v1/sites/near", &deep), 400, "bad_json", "JSON"),
        (put("/api/v1/sites/near", "{}"), 422, "invalid", "name"),
        (put("/api/v1/sites/near", r#"{"name":"  "}"#), 422, "invalid", "name"),
        (put("/api/v1/sites/near", r#"{"name":"N","timezone":"Mars"}"#), 422, "invalid", "timezone"),
        (put("/api/v1/sites/near", r#"{"name":"N","zone":"moon"}"#), 422, "invalid", "zone"),
        (
            put("/api/v1/sites/near", r#"{"name":"N","service_hours":[{"weekly":"never"}]}"#),
            422,
            "invalid",
            "service_hours",
        ),
        (get("/api/v1/kiosks?sit=near"), 400, "bad_query", "\"sit\" is no parameter of this: expected site"),
        (get("/api/v1/sites?open=true"), 400, "bad_query", "\"open\""),
        (get("/api/v1/tickets?kiosk=K-1&stat=new"), 400, "bad_query", "\"stat\""),
        (get("/api/v1/uptime?mounth=2026-10"), 400, "bad_query", "\"mounth\""),
        (
            put("/api/v1/sites/near", r#"{"name":"N","time_zone":"UTC"}"#),
            422,
            "invalid",
            "\"time_zone\" is no field of this: expected contacts",
        ),
        (put("/api/v1/kiosks/K-1", r#"{"sites":"near"}"#), 422, "invalid", "\"sites\""),
        (
            post("/api/v1/tickets", r#"{"kiosk":"K-1","fault":"paper_out","txt":"x"}"#),
            422,
            "invalid",
            "`txt`",
        ),
        (post(&act("note"), r#"{"text":"t","reason_":"r"}"#), 422, "invalid", "`reason_`"),
        (post("/api/v1/kiosks/K-1/commands", r#"{"action":"self_test","arg":{}}"#), 422, "invalid", "`arg`"),
        (put("/api/v1/kiosks/K-1", r#"{"site":"a/b"}"#), 422, "invalid", "site"),
        (put("/api/v1/kiosks/K-1", r#"{"admission":"perhaps"}"#), 422, "invalid", "admission"),
        (post("/api/v1/tickets", r#"{"kiosk":"K-1","fault":"Paper!"}"#), 422, "invalid", "fault"),
        (
            post("/api/v1/tickets", r#"{"kiosk":"K-1","fault":"paper_out","source":"agent"}"#),
            422,
            "invalid",
            "source",
        ),
        (post("/api/v1/tickets", r#"{"kiosk":"K-9","fault":"paper_out"}"#), 404, "not_found", "kiosk"),
        (post(&act("note"), "{}"), 422, "invalid", "text"),
        (post(&act("close"), r#"{"reason":"r"}"#), 422, "invalid", "sign_off"),
        (post(&act("assign"), "{}"), 409, "action_not_available", "assign"),
        (post(&act("explode"), "{}"), 404, "not_found", "action"),
        (post("/api/v1/kiosks/K-1/commands", r#"{"action":"dispense_cash"}"#), 422, "invalid", "action"),
    ];
    for ((method, path, body), status, code, word) in cases {
        let answer = fixture.ask(method, &path, &admin, body.as_deref()).await;
        let problem = answer.json();
        assert_eq!(answer.status, StatusCode::from_u16(status).unwrap(), "{path} {body:?}: {problem}");
        assert_eq!(problem["code"], code, "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{path}: {problem}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_problem(&problem, answer.status);
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_or_no_json_is_not_read() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(1024 * 1024));
    let answer = fixture.ask(Method::PUT, "/api/v1/sites/near", &admin, Some(&large)).await;
    assert_eq!((answer.status, &answer.json()["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &"too_large".into()));
    let answer = fixture.ask(Method::PUT, "/api/v1/sites/near", &admin, None).await;
    let expected = (StatusCode::UNSUPPORTED_MEDIA_TYPE, &"not_json".into());
    assert_eq!((answer.status, &answer.json()["code"]), expected);
}

#[tokio::test]
async fn lists_come_in_pages_that_lead_to_each_other() {
    let fixture = Fixture::start().await;
    let viewer = fixture.token("viewer", &[]).await;
    for list in ["sites", "kiosks", "tickets"] {
        let first = fixture.get(&format!("/api/v1/{list}?limit=1"), &viewer).await.json();
        let cursor = first["next_cursor"].as_str().unwrap_or_else(|| panic!("{list}: {first}"));
        let second = fixture.get(&format!("/api/v1/{list}?limit=1&cursor={cursor}"), &viewer).await.json();
        assert_eq!(first["items"].as_array().unwrap().len(), 1);
        assert_eq!(second["items"].as_array().unwrap().len(), 1);
        assert_ne!(first["items"][0]["id"], second["items"][0]["id"], "{list}");
        assert!(second.get("next_cursor").is_none(), "{list}: {second}");
    }
}

#[tokio::test]
async fn what_was_put_is_what_is_got_and_may_be_put_again() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let site = r#"{"name":"New","region":"East","customer":"C","zone":"remote","timezone":"Asia/Urumqi",
        "service_hours":[{"weekly":{"mon":[["08:00","20:00"]]}}],"contacts":{"phone":"1"},"remote_consent":true}"#;
    let put = fixture.ask(Method::PUT, "/api/v1/sites/new", &admin, Some(site)).await.json();
    assert_eq!(put["service_hours"][0]["weekly"]["mon"][0][1], "20:00");
    let got = fixture.get("/api/v1/sites/new", &admin).await;
    assert_eq!(got.json(), put);
    let again = fixture.ask(Method::PUT, "/api/v1/sites/new", &admin, Some(&got.text)).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.text);

    let since = fixture.app.clock().now().plus_ms(-3_600_000).to_string();
    let kiosk =
        json!({ "site": "new", "model": "M", "serial_no": "S", "commissioned_at": since }).to_string();
    let put = fixture.ask(Method::PUT, "/api/v1/kiosks/N-1", &admin, Some(&kiosk)).await.json();
    assert_eq!((&put["site"], &put["admission"]), (&"new".into(), &"accepted".into()));
    assert_eq!(put["presence"]["state"], "unknown");
    assert_eq!(put["commissioned_at"], since.as_str());
    let got = fixture.get("/api/v1/kiosks/N-1", &admin).await;
    assert!(got.json().get("interval_s").is_some(), "{}", got.text);
    let again = fixture.ask(Method::PUT, "/api/v1/kiosks/N-1", &admin, Some(&got.text)).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.text);
    let command = fixture
        .ask(Method::POST, "/api/v1/kiosks/N-1/commands", &admin, Some(r#"{"action":"self_test"}"#))
        .await;
    assert_eq!(command.status, StatusCode::ACCEPTED, "{}", command.text);
    let read = fixture.get(command.header("location"), &admin).await.json();
    assert_eq!((&read["id"], &read["action"]), (&command.json()["id"], &"self_test".into()));
}

#[tokio::test]
async fn the_requester_does_not_approve() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let path = "/api/v1/kiosks/K-1/commands";
    let made = fixture.ask(Method::POST, path, &admin, Some(r#"{"action":"reboot"}"#)).await;
    assert_eq!(made.status, StatusCode::ACCEPTED, "{}", made.text);
    let approve = format!("{}/approve", made.header("location"));
    let answer = fixture.ask(Method::POST, &approve, &admin, None).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text);
    assert!(!answer.json()["rule"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn haste_and_guessing_have_an_end() {
    let fixture = Fixture::start().await;
    let viewer = fixture.token("viewer", &[]).await;
    let is_hasty = |status: &StatusCode| *status == StatusCode::TOO_MANY_REQUESTS;
    // All at once: one after the other they may be as slow as they are allowed to be.
    let haste = join_all((0..250).map(|_| fixture.get("/api/v1/nothing", &viewer))).await;
    assert!(haste.iter().any(|answer| is_hasty(&answer.status)), "nobody was slowed down");
    let mut guesses = Vec::new();
    for n in 0..40 {
        let guess = format!("kw_{n:0>43}");
        guesses.push(fixture.get("/api/v1/sites", &guess).await.status);
    }
    assert!(guesses[..20].iter().all(|status| *status == StatusCode::UNAUTHORIZED), "{guesses:?}");
    assert!(guesses[20..].iter().any(is_hasty), "{guesses:?}");
}
