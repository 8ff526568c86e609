//! Time that has been: no one person moves it, two do, and the audit says what was before.
mod belonged;
mod clock;
mod fleet_file;
mod mended;
mod models;

use axum::http::{Method, StatusCode};
use chrono_tz::Asia::Shanghai;
use kioskwatch_domain::{uptime::books::Terms, wall};
use kioskwatch_proto::Timestamp;
use serde_json::{Value, json};

use super::fixture::{Answered, Fixture};
use crate::{app::seed::Seed, store::Scope};

impl Fixture {
    async fn put(&self, path: &str, token: &str, body: &Value) -> Answered {
        self.ask(Method::PUT, path, token, Some(&body.to_string())).await
    }

    async fn last_audit(&self, token: &str, action: &str) -> Value {
        let all = self.get("/api/v1/audit?limit=20", token).await.json();
        let found = all["items"].as_array().unwrap().iter().find(|row| row["action"] == action);
        found.cloned().unwrap_or_else(|| panic!("no {action}: {all}"))
    }
}

/// A date as versions of hours have it, so many days from now.
fn date(now: Timestamp, days: i64) -> String {
    wall::date_of(Shanghai, now.secs() + days * 86_400).to_string()
}

#[tokio::test]
async fn hours_of_time_that_has_been_are_refused_to_one_person_and_hours_to_come_are_not() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let now = fixture.app.clock().now();
    let closed = |from: String| json!([{ "weekly": "24x7" }, { "effective_from": from, "weekly": {} }]);
    let site = |hours: Value, timezone: &str| json!({ "name": "hall", "timezone": timezone, "service_hours": hours });
    let near = "/api/v1/sites/near";
    for hours in [closed(date(now, 0)), closed(date(now, -1)), json!([{ "weekly": {} }])] {
        let refused = fixture.put(near, &admin, &site(hours, "Asia/Shanghai")).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
        for part in ["the site was open and would be closed", "(Asia/Shanghai)", "ask for a correction"] {
            assert!(refused.text.contains(part), "{part}: {}", refused.text);
        }
    }
    let stored = fixture.get(near, &admin).await.json();
    assert_eq!(stored["service_hours"], Value::Null, "nothing of it is true: {stored}");

    let refused = fixture.put(near, &admin, &site(closed(date(now, 1)), "Asia/Shanghai")).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert!(refused.text.contains("less than 24 h ahead"), "{}", refused.text);
    let tomorrow = closed(date(now, 2));
    let allowed = fixture.put(near, &admin, &site(tomorrow.clone(), "Asia/Shanghai")).await;
    assert_eq!(allowed.status, StatusCode::OK, "{}", allowed.text);
    let audit = fixture.last_audit(&admin, "put_site").await;
    let changed = &audit["detail"]["changed"];
    assert_eq!(changed["service_hours"]["before"], "", "{audit}");
    assert!(changed["service_hours"]["after"].as_str().unwrap().contains(&date(now, 2)), "{audit}");
    assert!(changed.get("timezone").is_none(), "only what changed: {audit}");

    let nothing = json!([{ "weekly": { "mon": [["08:00", "08:00"]] } }]);
    let refused = fixture.put("/api/v1/sites/new", &admin, &site(nothing, "Asia/Tokyo")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert!(refused.text.contains("opens and closes at 08:00"), "{}", refused.text);
    // Nobody counted at a site that is new: it is anybody's to enter anew.
    for hours in [json!([{ "weekly": {} }]), json!([])] {
        let put = fixture.put("/api/v1/sites/new", &admin, &site(hours, "Asia/Tokyo")).await;
        assert_eq!(put.status, StatusCode::OK, "{}", put.text);
    }
}

#[tokio::test]
async fn dates_of_service_that_have_been_take_two_people_who_can_mend_them() {
    let fixture = Fixture::start().await;
    fixture.forget_evidence().await;
    let [admin, manager] = [fixture.token("admin", &[]).await, fixture.token("manager", &[]).await];
    let now = fixture.app.clock().now();
    let hours = |hours: i64| now.plus_ms(hours * 3_600_000).to_string();
    let path = "/api/v1/kiosks/K-1";
    let known = fixture.get(path, &admin).await.json()["commissioned_at"].clone();
    for dates in [
        json!({ "commissioned_at": hours(-1) }),
        json!({ "commissioned_at": hours(-48) }),
        json!({ "commissioned_at": hours(240) }),
        json!({ "decommissioned_at": known }),
        json!({ "commissioned_at": null, "admission": "refused" }),
    ] {
        let mut body = json!({ "site": "near" });
        body.as_object_mut().unwrap().extend(dates.as_object().unwrap().clone());
        let refused = fixture.put(path, &admin, &body).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{dates}: {}", refused.text);
        assert!(refused.text.contains("ask for a correction"), "{}", refused.text);
    }
    assert_eq!(fixture.get(path, &admin).await.json()["commissioned_at"], known);
    // Retired now, and taken back: free, and told.
    let retired = fixture.put(path, &admin, &json!({ "site": "near", "decommissioned_at": hours(0) })).await;
    assert_eq!(retired.status, StatusCode::OK, "{}", retired.text);
    let audit = fixture.last_audit(&admin, "put_kiosk").await;
    let told = json!({ "before": null, "after": hours(0) });
    assert_eq!(audit["detail"]["changed"]["decommissioned_at"], told, "{audit}");
    let taken_back = json!({ "site": "near", "commissioned_at": known });
    let back = fixture.put(path, &admin, &taken_back).await;
    assert_eq!(back.status, StatusCode::OK, "{}", back.text);

    let uptime = format!("/api/v1/uptime?scope=kiosk&id=K-1&from={}&to={}", hours(-4), hours(0));
    let accountable = async || fixture.get(&uptime, &admin).await.json()["accountable_s"].clone();
    assert_eq!(accountable().await, 4 * 3_600);
    let ask = |since: String, reason: &str| {
        json!({ "kind": "commissioning", "kiosk": "K-1", "commissioned_at": since, "reason": reason })
            .to_string()
    };
    let corrections = "/api/v1/corrections";
    for (body, says) in [
        (ask(known.as_str().unwrap().to_owned(), "r"), "no time that has been would change"),
        (r#"{"kind":"commissioning","kiosk":"K-1","reason":"r"}"#.to_owned(), "commissioned_at"),
    ] {
        let refused = fixture.ask(Method::POST, corrections, &manager, Some(&body)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
        assert!(refused.text.contains(says), "{says}: {}", refused.text);
    }
    let since = Timestamp((now.secs() - 3_600) * 1_000).to_string();
    let asked = fixture
        .ask(Method::POST, corrections, &manager, Some(&ask(since.clone(), "typed a day early")))
        .await;
    assert_eq!(asked.status, StatusCode::CREATED, "{}", asked.text);
    let asked = asked.json();
    assert_eq!(
        (&asked["before"]["commissioned_at"], &asked["after"]["commissioned_at"]),
        (&known, &json!(since))
    );
    assert_eq!(asked["to"], since, "it is about what it moves");
    let of = |effect: &Value, key: &str| -> i64 {
        effect
            .as_object()
            .unwrap()
            .values()
            .map(|month| month[key]["accountable_s"].as_i64().unwrap_or(0))
            .sum()
    };
    let effect = &asked["effect"];
    assert!(of(effect, "before") - of(effect, "after") > 22 * 3_600, "its effect is shown: {effect}");
    assert_eq!(accountable().await, 4 * 3_600, "nothing is true yet");
    let approve = format!("{corrections}/{}/approve", asked["id"].as_str().unwrap());
    let reason = Some(r#"{"reason":"saw the delivery note"}"#);
    let own = fixture.ask(Method::POST, &approve, &manager, reason).await;
    assert_eq!(own.status, StatusCode::FORBIDDEN, "{}", own.text);
    let approved = fixture.ask(Method::POST, &approve, &admin, reason).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
    let counted = accountable().await.as_i64().unwrap();
    assert!((3_600..=3_601).contains(&counted), "{counted}");
    let audit = fixture.last_audit(&admin, "put_kiosk").await;
    assert_eq!(audit["detail"]["changed"]["commissioned_at"], json!({ "before": known, "after": since }));
    assert_eq!(audit["actor"], "admin");
    let request = fixture.last_audit(&admin, "correction.request").await;
    assert_eq!(request["detail"]["value"]["before"]["commissioned_at"], known, "{request}");

    // Asked for by dates that are others by now.
    let earlier = Timestamp((now.secs() - 7_200) * 1_000).to_string();
    let [first, second] = [
        fixture.ask(Method::POST, corrections, &manager, Some(&ask(earlier, "r"))).await.json(),
        fixture
            .ask(Method::POST, corrections, &manager, Some(&ask(known.as_str().unwrap().into(), "r")))
            .await
            .json(),
    ];
    let approve = |row: &Value| format!("{corrections}/{}/approve", row["id"].as_str().unwrap());
    assert_eq!(fixture.ask(Method::POST, &approve(&first), &admin, reason).await.status, StatusCode::OK);
    let late = fixture.ask(Method::POST, &approve(&second), &admin, reason).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
    assert!(late.text.contains("changed since"), "{}", late.text);
}

/// Down from nine to five, and by five nobody was there.
#[tokio::test]
async fn nobody_leaves_service_as_of_this_morning_and_comes_back_tonight() {
    let fixture = Fixture::start().await;
    fixture.forget_evidence().await;
    let admin = fixture.token("admin", &[]).await;
    let now = fixture.app.clock().now();
    let minutes = |minutes: i64| json!(now.plus_ms(minutes * 60_000).to_string());
    let path = "/api/v1/kiosks/K-1";
    let put = async |body: Value| fixture.put(path, &admin, &body).await;
    // Whatever the hour is here, one of them is of today or was so until midnight.
    for left in [-8 * 60, -60, -10] {
        let refused = put(json!({ "site": "near", "decommissioned_at": minutes(left) })).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{left}: {}", refused.text);
        for part in ["the kiosk counted and would not", "ask for a correction"] {
            assert!(refused.text.contains(part), "{part}: {}", refused.text);
        }
    }
    // Who typed for a minute, or by another clock, is no liar.
    for dates in [json!({ "site": "near", "decommissioned_at": minutes(-1) }), json!({ "site": "near" })] {
        let put = put(dates).await;
        assert_eq!(put.status, StatusCode::OK, "{}", put.text);
    }
    let uptime = format!(
        "/api/v1/uptime?scope=kiosk&id=K-1&from={}&to={}",
        now.plus_ms(-4 * 3_600_000),
        now.plus_ms(0)
    );
    let counted = fixture.get(&uptime, &admin).await.json()["accountable_s"].as_i64().unwrap();
    assert!(counted >= 4 * 3_600 - 60, "{counted}");
    let hour_ago = put(json!({ "site": "near", "decommissioned_at": minutes(-60) })).await;
    assert_eq!(hour_ago.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", hour_ago.text);
    // Nor is it back since this morning where it was away.
    let first = json!({ "commissioned_at": minutes(-9_000), "decommissioned_at": minutes(-3_000) });
    let put = async |body: &Value| fixture.put("/api/v1/kiosks/K-8", &admin, body).await;
    // Nor are its first dates such as were cut out of what has been: this morning, until then.
    let cut = put(&json!({ "commissioned_at": minutes(-30), "decommissioned_at": minutes(-10) })).await;
    assert_eq!(cut.status, StatusCode::CONFLICT, "{}", cut.text);
    for part in ["which has been", "ask for a correction"] {
        assert!(cut.text.contains(part), "{part}: {}", cut.text);
    }
    fixture.registered("K-8", &first).await;
    let refused = put(&json!({ "commissioned_at": minutes(-60) })).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert!(refused.text.contains("did not count and would"), "{}", refused.text);
    assert_eq!(put(&first).await.status, StatusCode::OK, "as it was");
    assert_eq!(put(&json!({ "commissioned_at": minutes(60) })).await.status, StatusCode::OK);
}

/// Its evidence was there to be looked at when somebody entered the hours.
#[tokio::test]
async fn nobody_says_of_the_same_past_both_when_a_site_was_open_and_when_a_kiosk_counted() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let now = fixture.app.clock().now();
    let since = |minutes: i64| json!({ "site": "new", "commissioned_at": now.plus_ms(-minutes * 60_000).to_string() });
    let undated = json!({ "site": "near", "commissioned_at": null });
    assert_eq!(fixture.put("/api/v1/kiosks/K-8", &admin, &undated).await.status, StatusCode::OK);
    let site = json!({ "name": "n", "timezone": "Asia/Shanghai", "service_hours": [{ "weekly": "24x7" }] });
    assert_eq!(fixture.put("/api/v1/sites/new", &admin, &site).await.status, StatusCode::OK);
    let refused = fixture.put("/api/v1/kiosks/K-8", &admin, &since(60)).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert!(refused.text.contains("before the hours of its site were entered"), "{}", refused.text);
    assert_eq!(fixture.put("/api/v1/kiosks/K-8", &admin, &since(1)).await.status, StatusCode::OK);
    // Nobody has ever heard of this one.
    assert_eq!(fixture.put("/api/v1/kiosks/K-9", &admin, &since(60)).await.status, StatusCode::OK);
}

/// Nothing was expected of it meanwhile.
#[tokio::test]
async fn who_leaves_while_its_site_is_closed_needs_nobody_else() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let now = fixture.app.clock().now();
    let minutes = |minutes: i64| json!(now.plus_ms(minutes * 60_000).to_string());
    let site = |hours: Value| json!({ "name": "n", "timezone": "Asia/Shanghai", "service_hours": hours });
    let closed = json!([{ "weekly": {} }]);
    for (id, hours, status) in [("closed", closed, StatusCode::OK), ("open", json!([]), StatusCode::CONFLICT)]
    {
        let put = fixture.put(&format!("/api/v1/sites/{id}"), &admin, &site(hours)).await;
        assert_eq!(put.status, StatusCode::OK, "{}", put.text);
        let path = format!("/api/v1/kiosks/K-{id}");
        let stands = json!({ "site": id, "commissioned_at": minutes(-30) });
        assert_eq!(fixture.put(&path, &admin, &stands).await.status, StatusCode::OK);
        let left = json!({ "site": id, "decommissioned_at": minutes(-20) });
        let left = fixture.put(&path, &admin, &left).await;
        assert_eq!(left.status, status, "{id}: {}", left.text);
    }
}

/// As above: its first site was closed today, says who gives it one tonight.
#[tokio::test]
async fn a_first_site_closes_no_time_of_today() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let now = fixture.app.clock().now();
    let closed = json!([{ "weekly": {} }, { "effective_from": date(now, 1), "weekly": "24x7" }]);
    let site = json!({ "name": "n", "timezone": "Asia/Shanghai", "service_hours": closed });
    assert_eq!(fixture.put("/api/v1/sites/closed", &admin, &site).await.status, StatusCode::OK);
    for (kiosk, minutes, status) in [("K-8", 30, StatusCode::CONFLICT), ("K-9", 1, StatusCode::OK)] {
        let path = format!("/api/v1/kiosks/{kiosk}");
        let since = json!({ "commissioned_at": now.plus_ms(-minutes * 60_000).to_string() });
        assert_eq!(fixture.put(&path, &admin, &since).await.status, StatusCode::OK);
        let put = fixture.put(&path, &admin, &json!({ "site": "closed" })).await;
        assert_eq!(put.status, status, "{kiosk}: {}", put.text);
    }
}

#[tokio::test]
async fn a_first_site_closes_no_time_that_has_been_and_a_correction_of_the_dates_is_the_way() {
    let fixture = Fixture::start().await;
    let [admin, manager] = [fixture.token("admin", &[]).await, fixture.token("manager", &[]).await];
    let now = fixture.app.clock().now();
    let hours = |hours: i64| now.plus_ms(hours * 3_600_000).to_string();
    let site = |hours: Value| json!({ "name": "n", "timezone": "Asia/Shanghai", "service_hours": hours });
    // Entered today by one person, and closed until tomorrow.
    let closed = json!([{ "weekly": {} }, { "effective_from": date(now, 1), "weekly": "24x7" }]);
    for (id, hours) in [("closed", closed), ("open", json!([]))] {
        let put = fixture.put(&format!("/api/v1/sites/{id}"), &admin, &site(hours)).await;
        assert_eq!(put.status, StatusCode::OK, "{}", put.text);
    }
    let accountable = async |kiosk: &str| {
        let uptime = format!("/api/v1/uptime?scope=kiosk&id={kiosk}&from={}&to={}", hours(-48), hours(0));
        fixture.get(&uptime, &admin).await.json()["accountable_s"].clone()
    };
    for kiosk in ["K-8", "K-9"] {
        fixture.registered(kiosk, &json!({ "commissioned_at": hours(-48) })).await;
    }
    let refused = fixture.put("/api/v1/kiosks/K-9", &admin, &json!({ "site": "closed" })).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    for part in ["the kiosk was accountable and would not be", "(Asia/Shanghai)", "ask for a correction"] {
        assert!(refused.text.contains(part), "{part}: {}", refused.text);
    }
    assert_eq!(accountable("K-9").await, 48 * 3_600);
    // Where it was open all the time it may have stood.
    let put = fixture.put("/api/v1/kiosks/K-8", &admin, &json!({ "site": "open" })).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text);
    assert_eq!(accountable("K-8").await, 48 * 3_600);

    let correct = async |since: String| {
        let body =
            json!({ "kind": "commissioning", "kiosk": "K-9", "commissioned_at": since, "reason": "r" });
        let corrections = "/api/v1/corrections";
        let asked = fixture.ask(Method::POST, corrections, &manager, Some(&body.to_string())).await;
        assert_eq!(asked.status, StatusCode::CREATED, "{}", asked.text);
        let approve = format!("{corrections}/{}/approve", asked.json()["id"].as_str().unwrap());
        let approved = fixture.ask(Method::POST, &approve, &admin, Some(r#"{"reason":"seen"}"#)).await;
        assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
    };
    // Two people need their time: until a day to come nothing of the past goes along.
    correct(hours(48)).await;
    let put = fixture.put("/api/v1/kiosks/K-9", &admin, &json!({ "site": "closed" })).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text);
    correct(hours(-48)).await;
    assert_eq!(accountable("K-9").await, 0, "it stood there, and it was closed");
}

/// Of months that are fixed one person says nothing, and of a fleet that has stood for years it is said what may be.
#[tokio::test]
async fn first_dates_of_long_ago_are_refused_with_the_date_that_may_be_given_and_two_people_say_the_rest() {
    let fixture = Fixture::start().await;
    let [admin, manager] = [fixture.token("admin", &[]).await, fixture.token("manager", &[]).await];
    let now = fixture.app.clock().now();
    let open = Terms::default().oldest_open(Shanghai, now).period(Shanghai).from;
    let (may, early) = (Timestamp(open * 1_000), Timestamp(open * 1_000 - 1_000));
    let put = async |kiosk: &str, since: Timestamp| {
        let body = json!({ "site": "near", "commissioned_at": since.to_string() });
        fixture.put(&format!("/api/v1/kiosks/{kiosk}"), &admin, &body).await
    };
    // One that nobody knows, and one that does not count yet.
    let none = json!({ "site": "near", "commissioned_at": null });
    assert_eq!(fixture.put("/api/v1/kiosks/K-9", &admin, &none).await.status, StatusCode::OK);
    for kiosk in ["K-8", "K-9"] {
        let refused = put(kiosk, early).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{kiosk}: {}", refused.text);
        assert!(refused.text.contains(&format!("commissioned_at is {may}")), "{}", refused.text);
        let put = put(kiosk, may).await;
        assert_eq!(put.status, StatusCode::OK, "{kiosk}: {}", put.text);
    }
    let body = json!({ "kind": "commissioning", "kiosk": "K-9", "commissioned_at": "2023-05-01T00:00:00Z",
        "reason": "it has stood there for years" });
    let asked = fixture.ask(Method::POST, "/api/v1/corrections", &manager, Some(&body.to_string())).await;
    assert_eq!(asked.status, StatusCode::CREATED, "{}", asked.text);
    let approve = format!("/api/v1/corrections/{}/approve", asked.json()["id"].as_str().unwrap());
    let approved = fixture.ask(Method::POST, &approve, &admin, Some(r#"{"reason":"seen"}"#)).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
    let read = fixture.get("/api/v1/kiosks/K-9", &admin).await.json();
    assert_eq!(read["commissioned_at"], "2023-05-01T00:00:00.000Z");
}
