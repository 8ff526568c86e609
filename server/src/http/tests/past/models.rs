//! Which model a kiosk was: from now on by one, of time that has been by two.
use super::*;

#[tokio::test]
async fn another_model_holds_from_now_on_and_a_wrong_one_of_the_past_is_mended_by_two_people() {
    let fixture = Fixture::start().await;
    let [admin, manager] = [fixture.token("admin", &[]).await, fixture.token("manager", &[]).await];
    let now = fixture.app.clock().now();
    let whole = |ms: i64| Timestamp((now.secs() + ms / 1_000) * 1_000);
    let (from, to) = (whole(-4 * 3_600_000), whole(-3 * 3_600_000));
    let was = fixture.get("/api/v1/kiosks/K-1", &admin).await.json()["model"].as_str().unwrap().to_owned();
    let counted = async |model: &str| {
        // The first one is hostile.
        let model: String = model.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let path = format!("/api/v1/uptime?scope=model&id={model}&from={from}&to={to}");
        fixture.get(&path, &admin).await.json()["accountable_s"].as_i64().unwrap()
    };
    let all = counted(&was).await;
    assert!(all >= 3_600, "{was}: {all}");
    let put = fixture.put("/api/v1/kiosks/K-1", &admin, &json!({ "site": "near", "model": "KT-9" })).await;
    assert_eq!((put.status, &put.json()["model"]), (StatusCode::OK, &json!("KT-9")), "{}", put.text);
    assert_eq!((counted(&was).await, counted("KT-9").await), (all, 0), "not an hour of before");

    let corrections = "/api/v1/corrections";
    let ask = async |model: Option<&str>| {
        let body = json!({ "kind": "was_model", "kiosk": "K-1", "model": model, "from": from.to_string(),
            "to": to.to_string(), "reason": "the other type plate" });
        fixture.ask(Method::POST, corrections, &manager, Some(&body.to_string())).await
    };
    let refused = ask(Some(&was)).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert!(refused.text.contains("nothing would change"), "{}", refused.text);
    let asked = ask(Some("KT-9")).await;
    assert_eq!(asked.status, StatusCode::CREATED, "{}", asked.text);
    let asked = asked.json();
    let held = json!([{ "id": was, "from": from.to_string(), "to": to.to_string() }]);
    assert_eq!((&asked["before"], &asked["after"]), (&held, &json!({ "id": "KT-9" })));
    let approve = async |token: &str| {
        let path = format!("{corrections}/{}/approve", asked["id"].as_str().unwrap());
        fixture.ask(Method::POST, &path, token, Some(r#"{"reason":"seen"}"#)).await
    };
    assert_eq!(approve(&manager).await.status, StatusCode::FORBIDDEN);
    assert_eq!(counted("KT-9").await, 0, "nothing is true yet");
    let approved = approve(&admin).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
    assert_eq!((counted(&was).await, counted("KT-9").await), (all - 3_600, 3_600));

    let form = fixture.english("/corrections/new?kiosk=K-1", &manager).await;
    assert!(form.contains("Which model it was") && form.contains("name=\"model\""), "{form}");
    let page = format!("{corrections}/{}", asked["id"].as_str().unwrap()).replace("/api/v1", "");
    let shown = fixture.english(&page, &admin).await;
    assert!(shown.contains("which model it was") && shown.contains("KT-9"), "{shown}");
}
