//! To whom a site belonged.
use super::*;

#[tokio::test]
async fn to_whom_a_site_belonged_is_mended_by_two_people_who_are_neither_of_them() {
    let fixture = Fixture::start().await;
    let [admin, manager] = [fixture.token("admin", &[]).await, fixture.token("manager", &[]).await];
    let bank = fixture.named_token("manager", "bank B", &[]).await;
    let far = fixture.token("manager", &["far"]).await;
    let near = fixture.token("manager", &["near"]).await;
    let now = fixture.app.clock().now();
    let whole = |ms: i64| Timestamp((now.secs() + ms / 1_000) * 1_000);
    let (from, to) = (whole(-4 * 3_600_000), whole(-3 * 3_600_000));
    let corrections = "/api/v1/corrections";
    let ask = async |token: &str, more: Value| {
        let mut body = json!({ "kind": "belonged_to", "site": "near", "from": from.to_string(),
            "to": to.to_string(), "reason": "noted wrong" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fixture.ask(Method::POST, corrections, token, Some(&body.to_string())).await
    };
    let decide = async |token: &str, row: &Value| {
        let path = format!("{corrections}/{}/approve", row["id"].as_str().unwrap());
        fixture.ask(Method::POST, &path, token, Some(r#"{"reason":"seen the contract"}"#)).await
    };
    let owed = async |scope: &str, id: &str| {
        let path = format!("/api/v1/uptime?scope={scope}&id={id}&from={from}&to={to}");
        fixture.get(&path, &admin).await.json()["accountable_s"].as_i64().unwrap()
    };
    let site = fixture.get("/api/v1/sites/near", &admin).await.json();
    let (region, customer) = (site["region"].as_str().unwrap(), site["customer"].as_str().unwrap());
    for (token, more, status, says) in [
        (&manager, json!({}), StatusCode::UNPROCESSABLE_ENTITY, "to whom should it have belonged"),
        (&manager, json!({ "region": region }), StatusCode::UNPROCESSABLE_ENTITY, "nothing would change"),
        (&manager, json!({ "site": null, "region": "x" }), StatusCode::UNPROCESSABLE_ENTITY, "name the site"),
        (&far, json!({ "customer": "bank B" }), StatusCode::NOT_FOUND, "site"),
        // Whoever it would be given to has no say, and is not seen.
        (&near, json!({ "customer": "bank B" }), StatusCode::FORBIDDEN, "those who see all sites"),
        (
            &manager,
            json!({ "customer": "bank B", "to": whole(60_000).to_string() }),
            StatusCode::UNPROCESSABLE_ENTITY,
            "has not been yet",
        ),
    ] {
        let refused = ask(token, more).await;
        assert_eq!(refused.status, status, "{}", refused.text);
        assert!(refused.text.contains(says), "{says}: {}", refused.text);
    }
    let asked = ask(&manager, json!({ "customer": "bank B" })).await;
    assert_eq!(asked.status, StatusCode::CREATED, "{}", asked.text);
    let asked = asked.json();
    let was =
        json!([{ "region": region, "customer": customer, "from": from.to_string(), "to": to.to_string() }]);
    let named = json!({ "region": null, "customer": "bank B" });
    assert_eq!((&asked["kind"], &asked["before"], &asked["after"]), (&json!("belonged_to"), &was, &named));
    let rival = ask(&manager, json!({ "region": "elsewhere" })).await.json();
    let kiosks = owed("site", "near").await;
    assert!(kiosks >= 3_600, "{kiosks}");
    assert_eq!(owed("customer", "bank%20B").await, 0, "nothing is true yet");
    for (token, status) in [
        (&manager, StatusCode::FORBIDDEN),
        (&bank, StatusCode::FORBIDDEN),
        (&far, StatusCode::NOT_FOUND),
        (&near, StatusCode::FORBIDDEN),
        (&admin, StatusCode::OK),
    ] {
        let decided = decide(token, &asked).await;
        assert_eq!(decided.status, status, "{}", decided.text);
    }
    assert_eq!(owed("customer", "bank%20B").await, kiosks);
    assert_eq!(owed("site", "near").await, kiosks, "it stood where it stood");
    let late = decide(&admin, &rival).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
    assert!(late.text.contains("said anew since: ask again"), "{}", late.text);
    // Whose it is now is as it was.
    assert_eq!(fixture.get("/api/v1/sites/near", &admin).await.json()["customer"], customer);
    let request = fixture.last_audit(&admin, "correction.request").await;
    assert_eq!(request["detail"]["kind"], "belonged_to", "{request}");

    let form = fixture.english("/corrections/new?site=near", &manager).await;
    assert!(form.contains("name=\"region\"") && form.contains("name=\"customer\""), "{form}");
    let field = |at: Timestamp| {
        let local = wall::local_of(Shanghai, at.secs());
        local.format("%Y-%m-%dT%H:%M:%S").to_string().replace(':', "%3A")
    };
    let typed = format!(
        "kind=belonged_to&site=near&region=west&customer=&from={}&to={}&reason=map",
        field(from),
        field(to)
    );
    let asked = fixture.post("/corrections", &manager, &typed).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.text);
    let page = fixture.english(asked.header("location"), &admin).await;
    assert!(page.contains("to whom it belonged") && page.contains("west / as it was"), "{page}");
    assert!(page.contains("bank B: "), "whose it was until then: {page}");
}
