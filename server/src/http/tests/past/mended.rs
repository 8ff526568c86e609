//! What two people put right.
use super::*;

#[tokio::test]
async fn what_was_forgiven_by_mistake_is_taken_back_by_two_people_and_nothing_of_it_is_lost() {
    let fixture = Fixture::start().await;
    let [admin, manager] = [fixture.token("admin", &[]).await, fixture.token("manager", &[]).await];
    let far = fixture.token("dispatcher", &["far"]).await;
    let now = fixture.app.clock().now();
    let (from, to) = (now.plus_ms(-4 * 3_600_000), now.plus_ms(-3 * 3_600_000));
    let corrections = "/api/v1/corrections";
    let ask = async |token: &str, body: Value| {
        fixture.ask(Method::POST, corrections, token, Some(&body.to_string())).await
    };
    let reason = Some(r#"{"reason":"asked the caretaker"}"#);
    let decide = async |token: &str, row: &Value, how: &str| {
        let path = format!("{corrections}/{}/{how}", row["id"].as_str().unwrap());
        fixture.ask(Method::POST, &path, token, reason).await
    };
    let uptime = format!("/api/v1/uptime?scope=kiosk&id=K-1&from={from}&to={to}");
    let excluded = async || fixture.get(&uptime, &admin).await.json()["excluded_s"].as_i64().unwrap();
    let flood = json!({ "kind": "exclusion", "kiosk": "K-1", "class": "force_majeure", "from": from.to_string(),
        "to": to.to_string(), "reason": "flood" });
    let flood = ask(&manager, flood).await.json();
    let withdrawal =
        json!({ "kind": "withdrawal", "exclusion": flood["id"], "reason": "the cellar was dry" });
    let early = ask(&manager, withdrawal.clone()).await;
    assert_eq!(early.status, StatusCode::NOT_FOUND, "nobody approved it: {}", early.text);
    assert_eq!(decide(&admin, &flood, "approve").await.status, StatusCode::OK);
    assert_eq!(excluded().await, 3_600);
    let page = format!("/corrections/{}", flood["id"].as_str().unwrap());
    let form =
        format!("/corrections/new?kind=withdrawal&kiosk=K-1&exclusion={}", flood["id"].as_str().unwrap());
    assert!(fixture.english(&page, &manager).await.contains(&form.replace('&', "&#38;")));
    let shown = fixture.english(&form, &manager).await;
    assert!(shown.contains("name=\"exclusion\"") && !shown.contains("name=\"class\""), "{shown}");

    let elsewhere = ask(&far, withdrawal.clone()).await;
    assert_eq!(elsewhere.status, StatusCode::NOT_FOUND, "{}", elsewhere.text);
    let nothing = ask(&manager, json!({ "kind": "withdrawal", "reason": "r" })).await;
    assert_eq!(nothing.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", nothing.text);
    assert!(nothing.text.contains("exclusion is missing"), "{}", nothing.text);
    let typed = format!("kind=withdrawal&kiosk=K-1&exclusion={}&reason=dry", flood["id"].as_str().unwrap());
    let asked = fixture.post("/corrections", &manager, &typed).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.text);
    let path = asked.header("location").to_owned();
    let first = fixture.get(&format!("/api/v1{path}"), &admin).await.json();
    assert_eq!(
        (&first["kind"], &first["exclusion"], &first["kiosk"], &first["from"], &first["class"]),
        (
            &json!("withdrawal"),
            &flood["id"],
            &json!("K-1"),
            &json!(from.to_string()),
            &json!("force_majeure")
        )
    );
    let effect = first["effect"].as_object().unwrap().values();
    let moved = |month: &Value| {
        month["before"]["excluded_s"].as_i64().unwrap() - month["after"]["excluded_s"].as_i64().unwrap()
    };
    assert_eq!(effect.map(moved).sum::<i64>(), 3_600, "its effect is shown: {first}");
    let second = ask(&manager, withdrawal.clone()).await.json();
    assert_eq!(decide(&manager, &first, "approve").await.status, StatusCode::FORBIDDEN);
    assert_eq!(excluded().await, 3_600, "nothing is true yet");
    let approved = decide(&admin, &first, "approve").await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
    assert_eq!(excluded().await, 0);
    let late = decide(&admin, &second, "approve").await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
    assert!(late.text.contains("taken back already: admin agreed at"), "{}", late.text);
    assert_eq!(ask(&manager, withdrawal).await.status, StatusCode::CONFLICT);

    let id = flood["id"].as_str().unwrap().parse().unwrap();
    let kept = fixture.app.store().exclusion(id).await.unwrap().unwrap();
    assert_eq!(
        (kept.approved_by.as_deref(), kept.withdrawn.map(|one| one.by)),
        (Some("admin"), Some("admin".into()))
    );
    assert_eq!(fixture.get(&format!("/api/v1{page}"), &admin).await.json()["state"], "approved");
    let shown = fixture.english(&page, &manager).await;
    assert!(shown.contains("Taken back: admin") && !shown.contains("kind=withdrawal"), "{shown}");
    assert!(fixture.english(&path, &manager).await.contains(&format!("href=\"{page}\"")));
    let audit = fixture.last_audit(&admin, "withdraw_exclusion").await;
    assert_eq!(audit["object"], format!("exclusion/{}", flood["id"].as_str().unwrap()), "{audit}");
    let request = fixture.last_audit(&admin, "correction.request").await;
    assert_eq!(request["detail"]["value"]["exclusion"], flood["id"], "{request}");
}

#[tokio::test]
async fn who_answered_for_a_kiosk_and_where_it_stood_is_mended_by_two_people_whom_it_does_not_measure() {
    let fixture = Fixture::start().await;
    let [admin, manager] = [fixture.token("admin", &[]).await, fixture.token("manager", &[]).await];
    let near = fixture.token("dispatcher", &["near"]).await;
    let now = fixture.app.clock().now();
    let whole = |ms: i64| Timestamp((now.secs() + ms / 1_000) * 1_000);
    let (from, to) = (whole(-4 * 3_600_000), whole(-3 * 3_600_000));
    let corrections = "/api/v1/corrections";
    let ask = async |token: &str, kind: &str, more: Value| {
        let mut body = json!({ "kind": kind, "kiosk": "K-1", "from": from.to_string(), "to": to.to_string(),
            "reason": "noted wrong" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fixture.ask(Method::POST, corrections, token, Some(&body.to_string())).await
    };
    let decide = async |token: &str, row: &Value| {
        let path = format!("{corrections}/{}/approve", row["id"].as_str().unwrap());
        fixture.ask(Method::POST, &path, token, Some(r#"{"reason":"seen the roster"}"#)).await
    };
    let counted = async |scope: &str, id: &str| {
        let path = format!("/api/v1/uptime?scope={scope}&id={id}&from={from}&to={to}");
        fixture.get(&path, &admin).await.json()["accountable_s"].as_i64().unwrap()
    };
    for (kind, more, status, says) in [
        ("answered_for", json!({}), StatusCode::UNPROCESSABLE_ENTITY, "nothing would change"),
        ("answered_for", json!({ "engineer": " " }), StatusCode::UNPROCESSABLE_ENTITY, "1 to 64 characters"),
        ("stood_at", json!({ "site": "near" }), StatusCode::UNPROCESSABLE_ENTITY, "nothing would change"),
        ("stood_at", json!({ "site": "nowhere" }), StatusCode::NOT_FOUND, "site"),
        ("stood_at", json!({ "site": "far", "kiosk": "K-0" }), StatusCode::NOT_FOUND, "kiosk"),
        (
            "answered_for",
            json!({ "engineer": "li", "to": whole(60_000).to_string() }),
            StatusCode::UNPROCESSABLE_ENTITY,
            "has not been yet",
        ),
    ] {
        let refused = ask(&manager, kind, more).await;
        assert_eq!(refused.status, status, "{}", refused.text);
        assert!(refused.text.contains(says), "{says}: {}", refused.text);
    }
    let unseen = ask(&near, "stood_at", json!({ "site": "far" })).await;
    assert_eq!(unseen.status, StatusCode::NOT_FOUND, "{}", unseen.text);

    let asked = ask(&near, "answered_for", json!({ "engineer": "manager" })).await;
    assert_eq!(asked.status, StatusCode::CREATED, "{}", asked.text);
    let asked = asked.json();
    let nobody = json!([{ "id": null, "from": from.to_string(), "to": to.to_string() }]);
    assert_eq!((&asked["before"], &asked["after"]), (&nobody, &json!({ "id": "manager" })));
    let moved = ask(&manager, "stood_at", json!({ "site": "far" })).await.json();
    let rival = ask(&manager, "stood_at", json!({})).await.json();
    let there = counted("site", "far").await;
    assert_eq!(counted("engineer", "manager").await, 0, "nothing is true yet");
    let measured = decide(&manager, &asked).await;
    assert_eq!(measured.status, StatusCode::FORBIDDEN, "{}", measured.text);
    assert!(measured.text.contains("measure you"), "{}", measured.text);
    for row in [&asked, &moved] {
        let approved = decide(&admin, row).await;
        assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
    }
    assert_eq!(counted("engineer", "manager").await, 3_600);
    assert_eq!(counted("site", "far").await, there + 3_600);
    let late = decide(&admin, &rival).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
    assert!(late.text.contains("said anew since: ask again"), "{}", late.text);
    // Who answers for it now, and where it stands, is as it was.
    let kiosk = fixture.get("/api/v1/kiosks/K-1", &admin).await.json();
    assert_eq!((&kiosk["engineer"], &kiosk["site"]), (&Value::Null, &json!("near")), "{kiosk}");
    let request = fixture.last_audit(&admin, "correction.request").await;
    assert_eq!(request["detail"]["kind"], "stood_at", "{request}");

    let form = fixture.english("/corrections/new?kiosk=K-1", &manager).await;
    assert!(form.contains("name=\"engineer\"") && form.contains("name=\"stood_at\""), "{form}");
    let field = |at: Timestamp| {
        let local = wall::local_of(Shanghai, at.secs());
        local.format("%Y-%m-%dT%H:%M:%S").to_string().replace(':', "%3A")
    };
    let typed = format!(
        "kind=answered_for&kiosk=K-1&engineer=chen&from={}&to={}&reason=roster",
        field(from),
        field(to)
    );
    let asked = fixture.post("/corrections", &manager, &typed).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.text);
    let page = fixture.english(asked.header("location"), &admin).await;
    assert!(page.contains("who answered for it") && page.contains("<pre class=\"raw\">chen</pre>"), "{page}");
    assert!(page.contains("manager: "), "who did until then: {page}");
}

#[tokio::test]
async fn who_does_not_see_where_a_kiosk_should_have_stood_does_not_decide_about_it() {
    let fixture = Fixture::start().await;
    let [manager, admin] = [fixture.token("manager", &[]).await, fixture.token("admin", &[]).await];
    let near = fixture.token("manager", &["near"]).await;
    let both = fixture.token("manager", &["near", "far"]).await;
    let now = fixture.app.clock().now();
    let (from, to) = (now.plus_ms(-4 * 3_600_000), now.plus_ms(-3 * 3_600_000));
    let corrections = "/api/v1/corrections";
    let ask = async |site: Option<&str>| {
        let body = json!({ "kind": "stood_at", "kiosk": "K-1", "site": site, "from": from.to_string(),
            "to": to.to_string(), "reason": "noted wrong" });
        fixture.ask(Method::POST, corrections, &manager, Some(&body.to_string())).await.json()
    };
    let [far, nowhere] = [ask(Some("far")).await, ask(None).await];
    for (token, seen) in
        [(&near, vec![&nowhere]), (&both, vec![&nowhere, &far]), (&admin, vec![&nowhere, &far])]
    {
        let list = fixture.get(corrections, token).await.json();
        let moves = list["items"].as_array().unwrap().iter().filter(|row| row["kind"] == "stood_at");
        let moves: Vec<_> = moves.collect();
        let ids = |rows: &[&Value]| rows.iter().map(|row| row["id"].clone()).collect::<Vec<_>>();
        assert_eq!(ids(&moves), ids(&seen));
        // Of the shares before and after those of the sites that they see, and of no site in the whole alone.
        let months = moves.iter().flat_map(|row| row["effect"].as_object().unwrap().values());
        let shares = months.flat_map(|month| [&month["before"], &month["after"]]);
        let sites: std::collections::BTreeSet<Option<&str>> = shares
            .flat_map(|figures| figures["shares"].as_array().unwrap())
            .map(|share| share["site"].as_str())
            .collect();
        let expected: &[Option<&str>] = match token {
            _ if token == &near => &[Some("near")],
            _ if token == &both => &[Some("far"), Some("near")],
            _ => &[None, Some("far"), Some("near")],
        };
        assert_eq!(sites.into_iter().collect::<Vec<_>>(), expected);
    }
    let path = format!("{corrections}/{}", far["id"].as_str().unwrap());
    assert_eq!(fixture.get(&path, &near).await.status, StatusCode::NOT_FOUND);
    let decide = async |token: &str, how: &str| {
        let reason = Some(r#"{"reason":"asked the caretaker"}"#);
        fixture.ask(Method::POST, &format!("{path}/{how}"), token, reason).await
    };
    for how in ["approve", "reject"] {
        let unseen = decide(&near, how).await;
        assert_eq!(unseen.status, StatusCode::NOT_FOUND, "{}", unseen.text);
    }
    assert_eq!(fixture.get(&path, &admin).await.json()["state"], "requested");
    let seen = decide(&both, "approve").await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
}

#[tokio::test]
async fn a_wrong_time_zone_is_mended_by_two_people() {
    let fixture = Fixture::start().await;
    let [admin, manager] = [fixture.token("admin", &[]).await, fixture.token("manager", &[]).await];
    let near = "/api/v1/sites/near";
    // Hours that are open now in one zone and closed in the other, from before anybody stood there.
    let hours = json!([{ "weekly": { "mon": [["00:00", "12:00"]], "tue": [["00:00", "12:00"]],
        "wed": [["00:00", "12:00"]], "thu": [["00:00", "12:00"]], "fri": [["00:00", "12:00"]],
        "sat": [["00:00", "12:00"]], "sun": [["00:00", "12:00"]] } }]);
    let site = fixture.app.store().site(&Scope::All, &"near".parse().unwrap()).await.unwrap().unwrap();
    let row = kioskwatch_domain::change::SiteRow { service_hours: hours.to_string(), ..site };
    let raw = kioskwatch_domain::fleet::Request::PutSite(row);
    let actor = kioskwatch_domain::fleet::Actor { name: "test".into() };
    let deciding = fixture.app.books().decisions.begin().await.unwrap();
    deciding.ask(&fixture.app, actor, raw).await.unwrap();
    let body = json!({ "name": "hall", "timezone": "America/New_York", "service_hours": hours });
    let refused = fixture.put(near, &admin, &body).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    let corrections = "/api/v1/corrections";
    let ask = |zone: &str| {
        json!({ "kind": "timezone", "site": "near", "timezone": zone, "reason": "typed wrongly" }).to_string()
    };
    for (zone, says) in [
        ("Mars/Base", "no IANA zone"),
        ("Asia/Shanghai", "already"),
        ("Asia/Singapore", "no time that has been"),
    ] {
        let refused = fixture.ask(Method::POST, corrections, &manager, Some(&ask(zone))).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{zone}: {}", refused.text);
        assert!(refused.text.contains(says), "{says}: {}", refused.text);
    }
    let asked = fixture.ask(Method::POST, corrections, &manager, Some(&ask("America/New_York"))).await;
    assert_eq!(asked.status, StatusCode::CREATED, "{}", asked.text);
    let asked = asked.json();
    let months = asked["effect"].as_object().unwrap();
    assert!(months.values().any(|month| month["before"] != month["after"]), "{asked}");
    let approve = format!("{corrections}/{}/approve", asked["id"].as_str().unwrap());
    let approved = fixture.ask(Method::POST, &approve, &admin, Some(r#"{"reason":"seen"}"#)).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
    assert_eq!(fixture.get(near, &admin).await.json()["timezone"], "America/New_York");
}
