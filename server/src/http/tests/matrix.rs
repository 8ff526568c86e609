//! Every operation × every role, in and out of scope. The table is the declaration; an operation that is
//! missing in it fails.
use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use serde_json::Value;

use super::fixture::{Fixture, command_id, decision_id, ticket_id};
use crate::auth::{
    Right::{self, Approve, Configure, Correct, Operate, ReadAudit, Restate, See, WorkTickets},
    Role,
};

/// Operation, what it needs, a body that reads well.
const TABLE: [(&str, Right, Option<&str>); 33] = [
    ("list_sites", See, None),
    ("get_site", See, None),
    ("put_site", Configure, Some(r#"{"name":"Near"}"#)),
    ("list_kiosks", See, None),
    ("get_kiosk", See, None),
    ("put_kiosk", Configure, Some(r#"{"site":"near","model":"M"}"#)),
    ("get_timeline", See, None),
    ("list_tickets", See, None),
    ("open_ticket", WorkTickets, Some(r#"{"kiosk":"K-1","fault":"cover_open","text":"open"}"#)),
    ("get_ticket", See, None),
    ("act_on_ticket", WorkTickets, Some(r#"{"text":"looked at it"}"#)),
    ("give_command", Operate, Some(r#"{"action":"probe"}"#)),
    ("get_command", See, None),
    ("watch_command", See, None),
    ("approve_command", Approve, None),
    ("reject_command", Approve, Some(r#"{"reason":"no"}"#)),
    ("cancel_command", Operate, Some(r#"{"reason":"no"}"#)),
    ("get_uptime", See, None),
    ("get_month_versions", See, None),
    ("list_restatements", See, None),
    ("get_restatement", See, None),
    ("approve_restatement", Restate, Some(r#"{"reason":"seen"}"#)),
    ("reject_restatement", Restate, Some(r#"{"reason":"no"}"#)),
    (
        "decide_restatements",
        Restate,
        Some(r#"{"ids":["00000000-0000-0000-0000-000000000051"],"approve":true,"reason":"seen"}"#),
    ),
    ("list_corrections", See, None),
    ("get_correction", See, None),
    (
        "request_correction",
        Correct,
        Some(
            r#"{"kind":"exclusion","kiosk":"K-1","class":"force_majeure","reason":"flood",
                "from":"FROM","to":"TO"}"#,
        ),
    ),
    ("approve_correction", Restate, Some(r#"{"reason":"seen"}"#)),
    ("reject_correction", Restate, Some(r#"{"reason":"no"}"#)),
    ("list_inspections", See, None),
    ("watch_fleet", See, None),
    ("list_audit", ReadAudit, None),
    ("list_faults", See, None),
];

struct Operation {
    name: String,
    method: Method,
    path: String,
}

/// All of the document, with ids of site `near` (1) or `far` (2) filled in.
fn operations(n: u128) -> Vec<Operation> {
    let document = serde_json::to_value(crate::http::openapi_document()).unwrap();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = match path.split('/').nth(3).unwrap() {
                "sites" => ["near", "far"][usize::try_from(n - 1).unwrap()].to_owned(),
                "kiosks" => format!("K-{n}"),
                "tickets" => ticket_id(n).to_string(),
                "restatements" | "corrections" => decision_id(n).to_string(),
                _ => command_id(n).to_string(),
            };
            let query =
                if path.ends_with("/uptime") && path.contains("{id}") { "?month=2026-10" } else { "" };
            operations.push(Operation {
                name: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                path: path.replace("{id}", &id).replace("{action}", "note") + query,
            });
        }
    }
    operations
}

/// With the last hour where a body asks for time.
fn table() -> BTreeMap<&'static str, (Right, Option<String>)> {
    let now = crate::clock::Clock::start().now();
    let last_hour = |body: &str| {
        body.replace("FROM", &now.plus_ms(-3_600_000).to_string()).replace("TO", &now.to_string())
    };
    TABLE.into_iter().map(|(name, right, body)| (name, (right, body.map(last_hour)))).collect()
}

#[test]
fn the_table_names_every_operation_of_the_document() {
    let mut named: Vec<String> = operations(1).into_iter().map(|op| op.name).collect();
    named.sort();
    let table: Vec<String> = table().keys().map(ToString::to_string).collect();
    assert_eq!(named, table);
}

#[tokio::test]
async fn nobody_gets_anything() {
    let fixture = Fixture::start().await;
    for op in operations(1) {
        for token in ["", "kw_guess", &format!("kw_{}", "a".repeat(43))] {
            let answer = fixture.ask(op.method.clone(), &op.path, token, None).await;
            let tired = answer.status == StatusCode::TOO_MANY_REQUESTS && !token.is_empty();
            assert!(answer.status == StatusCode::UNAUTHORIZED || tired, "{}: {answer:?}", op.name);
            assert_problem(&answer.json(), answer.status);
        }
    }
}

#[tokio::test]
async fn each_role_gets_what_the_table_says() {
    let table = table();
    for role in Role::ALL {
        let fixture = Fixture::start().await;
        let token = fixture.token(role.as_str(), &[]).await;
        for op in operations(1) {
            let (right, body) = &table[op.name.as_str()];
            let answer = fixture.ask(op.method.clone(), &op.path, &token, body.as_deref()).await;
            let what = format!("{} {}: {}", role.as_str(), op.name, answer.text);
            if role.may(*right) {
                let fine = answer.status.is_success() || answer.status == StatusCode::CONFLICT;
                assert!(fine, "{what} {}", answer.status);
            } else {
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{what}");
                assert_problem(&answer.json(), answer.status);
            }
        }
    }
}

#[tokio::test]
async fn what_is_out_of_scope_is_not_there_whatever_the_role() {
    let table = table();
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &["near"]).await;
    for op in operations(2) {
        let (_, body) = &table[op.name.as_str()];
        let about_one = op.path.contains("/far") || op.path.contains("K-2") || op.path.contains("-0000-");
        let body = body.as_ref().map(|body| body.replace("K-1", "K-2"));
        let answer = fixture.ask(op.method.clone(), &op.path, &admin, body.as_deref()).await;
        let what = format!("{}: {}", op.name, answer.text);
        match op.name.as_str() {
            "list_audit" => assert_eq!(answer.status, StatusCode::FORBIDDEN, "{what}"),
            name if about_one || matches!(name, "open_ticket" | "request_correction") => {
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{what}");
            }
            _ => {
                assert!(answer.status.is_success(), "{what}");
                assert!(!answer.text.contains("K-2") && !answer.text.contains("\"far"), "{what}");
            }
        }
    }
    for path in ["/", "/tickets", "/parts/fleet", "/decisions", "/decisions?show=decided"] {
        let page = fixture.get(path, &admin).await;
        assert!(page.status.is_success() && !page.text.contains("K-2"), "{path}");
    }
    let ticket = format!("/tickets/{}", ticket_id(2));
    let command = format!("/parts/commands/{}", command_id(2));
    let [restatement, correction] =
        ["restatements", "corrections"].map(|kind| format!("/{kind}/{}", decision_id(2)));
    let asked = ["/corrections/new?kiosk=K-2", "/corrections/new?site=far", "/decisions?kiosk=K-2"];
    let known = ["/kiosks/K-2", "/parts/kiosks/K-2", &ticket, &command, &restatement, &correction];
    for path in known.into_iter().chain(asked) {
        assert_eq!(fixture.get(path, &admin).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_kiosk_cannot_be_moved_into_or_out_of_a_scope() {
    let fixture = Fixture::start().await;
    let near = fixture.token("admin", &["near"]).await;
    for (path, body) in [("K-2", r#"{"site":"near"}"#), ("K-1", r#"{"site":"far"}"#), ("K-9", "{}")] {
        let path = format!("/api/v1/kiosks/{path}");
        let answer = fixture.ask(Method::PUT, &path, &near, Some(body)).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_revoked_token_opens_nothing_any_more() {
    let fixture = Fixture::start().await;
    let token = fixture.token("viewer", &[]).await;
    assert_eq!(fixture.get("/api/v1/sites", &token).await.status, StatusCode::OK);
    let id = fixture.app.store().tokens().await.unwrap()[0].id;
    assert!(fixture.app.store().revoke_token(id, fixture.app.clock().now()).await.unwrap());
    assert_eq!(fixture.get("/api/v1/sites", &token).await.status, StatusCode::UNAUTHORIZED);
}

/// RFC 9457 with our code.
pub(super) fn assert_problem(problem: &Value, status: StatusCode) {
    assert_eq!(problem["status"], status.as_u16(), "{problem}");
    let code = problem["code"].as_str().unwrap();
    assert_eq!(problem["type"], format!("urn:kioskwatch:problem:{code}"));
    assert!(!problem["title"].as_str().unwrap().is_empty());
    assert!(!problem["detail"].as_str().unwrap().is_empty());
}
