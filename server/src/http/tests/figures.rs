//! Corrections by people, from the question to the figure; figures of a scrape.
use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};

use super::fixture::Fixture;
use crate::store::{PageRequest, Scope};

#[tokio::test]
async fn who_was_given_a_token_and_whose_was_taken_back_stands_in_the_audit() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let (store, now) = (fixture.app.store(), fixture.app.clock().now());
    let id = store.tokens().await.unwrap().first().map(|token| token.id).unwrap();
    assert!(crate::auth::revoke_token(store, now, uuid::Uuid::nil()).await.is_ok_and(|revoked| !revoked));
    let audit = fixture.get("/api/v1/audit?limit=10", &admin).await.text;
    assert!(audit.contains("create_token") && audit.contains(&format!("token/{id}")), "{audit}");
    assert!(!audit.contains("revoke_token") && !audit.contains(&admin), "{audit}");
    let other = fixture.token("manager", &[]).await;
    assert!(crate::auth::revoke_token(store, now, id).await.unwrap());
    assert!(fixture.get("/api/v1/audit?limit=10", &other).await.status == StatusCode::FORBIDDEN);
    let again = fixture.named_token("admin", "second", &[]).await;
    assert!(fixture.get("/api/v1/audit?limit=10", &again).await.text.contains("revoke_token"));
}

#[tokio::test]
async fn a_scrape_counts_the_inspections_that_the_list_shows() {
    let fixture = Fixture::start().await;
    let now = fixture.app.clock().now();
    let listed = fixture.app.inspections(&Scope::All, now, &PageRequest::first()).await.unwrap();
    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    for item in &listed.items {
        let key = (item.due.kind.as_str().to_owned(), item.due.outcome.inspection.as_str().to_owned());
        *counts.entry(key).or_default() += 1;
    }
    assert!(listed.next_cursor.is_none() && counts.values().sum::<u64>() >= 2, "{counts:?}");
    assert_eq!(fixture.app.figures().await.inspections, counts);
}

#[tokio::test]
async fn a_correction_takes_two_people_and_changes_the_figure_with_its_reason_in_the_audit() {
    let fixture = Fixture::start().await;
    let [engineer, manager, admin] = [
        fixture.token("engineer", &[]).await,
        fixture.token("manager", &[]).await,
        fixture.token("admin", &[]).await,
    ];
    let now = fixture.app.clock().now();
    let (from, to) = (now.plus_ms(-10_800_000), now.plus_ms(-7_200_000));
    let uptime = format!("/api/v1/uptime?scope=kiosk&id=K-1&from={}&to={to}", now.plus_ms(-14_400_000));
    let excluded = async || fixture.get(&uptime, &admin).await.json()["excluded_s"].clone();
    assert_eq!(excluded().await, 0);

    let ask = |class: &str| {
        format!(
            r#"{{"kind":"exclusion","kiosk":"K-1","class":"{class}","from":"{from}","to":"{to}","reason":"flood in the hall"}}"#
        )
    };
    let corrections = "/api/v1/corrections";
    let refused = fixture.ask(Method::POST, corrections, &engineer, Some(&ask("planned"))).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert!(refused.text.contains("agreed_at"), "{}", refused.text);
    let asked = fixture.ask(Method::POST, corrections, &manager, Some(&ask("force_majeure"))).await;
    assert_eq!(asked.status, StatusCode::CREATED, "{}", asked.text);
    let asked = asked.json();
    let effect = asked["effect"].as_object().unwrap().values().next_back().unwrap();
    let gained =
        effect["after"]["excluded_s"].as_i64().unwrap() - effect["before"]["excluded_s"].as_i64().unwrap();
    assert!((1..=3_600).contains(&gained), "its effect is shown before anybody decides: {effect}");
    assert_eq!(excluded().await, 0, "nothing is true yet");

    let approve = format!("{corrections}/{}/approve", asked["id"].as_str().unwrap());
    let seen = Some(r#"{"reason":"saw the photographs"}"#);
    for (token, says) in [(&engineer, "may not"), (&manager, "you asked for it")] {
        let refused = fixture.ask(Method::POST, &approve, token, seen).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
        assert!(refused.text.contains(says), "{}", refused.text);
    }
    let silent = fixture.ask(Method::POST, &approve, &admin, Some("{}")).await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY, "a decision has a reason: {}", silent.text);
    let decided = fixture.ask(Method::POST, &approve, &admin, seen).await;
    assert_eq!((decided.status, &decided.json()["state"]), (StatusCode::OK, &"approved".into()));
    assert_eq!(excluded().await, 3_600);
    assert_eq!(fixture.get(&uptime, &admin).await.json()["accountable_s"], 3_600);
    let again = fixture.ask(Method::POST, &approve, &admin, seen).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);

    let audit = fixture.get("/api/v1/audit?limit=10", &admin).await.text;
    for part in ["correction.request", "correction.approve", "flood in the hall", "saw the photographs"] {
        assert!(audit.contains(part), "{part}: {audit}");
    }
}
