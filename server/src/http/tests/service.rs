//! Kiosks that leave service and come back.
use axum::http::{Method, StatusCode};
use kioskwatch_domain::change::{Change, LivenessRow};
use kioskwatch_proto::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::fixture::{Answered, Fixture};
use crate::app::{seed::Seed, testing};

const HOUR: i64 = 3_600_000;

impl Fixture {
    async fn put_kiosk(&self, token: &str, id: &str, body: &Value) -> Answered {
        self.ask(Method::PUT, &format!("/api/v1/kiosks/{id}"), token, Some(&body.to_string())).await
    }

    async fn figures(&self, token: &str, id: &str, from: Timestamp, to: Timestamp) -> Value {
        let path = format!("/api/v1/uptime?scope=kiosk&id={id}&from={from}&to={to}");
        self.get(&path, token).await.json()
    }

    /// A fleet file says this of K-9: what is read of it then.
    async fn seeded(&self, token: &str, model: &str, since: &Value) -> Value {
        let file = testing::Folder::new();
        let path = file.path().join("fleet.toml");
        let text =
            format!("[[kiosk]]\nid = 'K-9'\nsite = 'near'\nmodel = '{model}'\ncommissioned_at = {since}\n");
        std::fs::write(&path, text).unwrap();
        self.app.seed(&Seed::read(&path).unwrap()).await.unwrap();
        self.get("/api/v1/kiosks/K-9", token).await.json()
    }
}

/// As the API writes an instant so many hours from now.
fn hours_from(now: Timestamp) -> impl Fn(i64) -> Value {
    move |hours| json!(now.plus_ms(hours * HOUR).to_string())
}

/// With an admin and a kiosk that left 600 hours ago: how hours from now are written, and when it served.
async fn with_one_that_left() -> (Fixture, String, impl Fn(i64) -> Value, Value) {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let hours = hours_from(fixture.app.clock().now());
    let served = json!({ "commissioned_at": hours(-2_000), "decommissioned_at": hours(-600) });
    fixture.registered("K-9", &served).await;
    (fixture, admin, hours, served)
}

/// As case U21: away from the 10th to the 25th day, and six hours off after that.
#[tokio::test]
async fn who_comes_back_counts_before_and_after_and_a_return_that_has_been_takes_two_people() {
    let fixture = Fixture::start().await;
    let [admin, manager] = [fixture.token("admin", &[]).await, fixture.token("manager", &[]).await];
    let begin = Timestamp(fixture.app.clock().now().secs() / 3_600 * HOUR).plus_ms(-40 * 24 * HOUR);
    let hour = |hours: i64| begin.plus_ms(hours * HOUR);
    let (left, back, end) = (hour(9 * 24 + 12), hour(24 * 24 + 12), hour(31 * 24));
    let since = hour(-100 * 24).to_string();
    let dates = json!({ "commissioned_at": since, "decommissioned_at": left.to_string() });
    fixture.registered("K-9", &dates).await;
    let kiosk = || "K-9".parse().unwrap();
    let heard = |from, to| testing::whole(kiosk(), from, to);
    let listened = LivenessRow { server: Uuid::from_u128(7), from: begin, to: end };
    let rows =
        [heard(begin, left), heard(back, back.plus_ms(12 * HOUR)), heard(back.plus_ms(18 * HOUR), end)];
    fixture.app.store().commit(&rows).await.unwrap();
    fixture.app.store().commit(&[Change::Liveness(listened)]).await.unwrap();

    for dates in [
        json!({ "commissioned_at": back.to_string() }),
        // As if it had never been away.
        json!({ "commissioned_at": since }),
    ] {
        let refused = fixture.put_kiosk(&admin, "K-9", &dates).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
        assert!(refused.text.contains("did not count and would"), "{}", refused.text);
    }
    let corrections = "/api/v1/corrections";
    let body = json!({ "kind": "commissioning", "kiosk": "K-9", "commissioned_at": back.to_string(),
        "reason": "nobody entered that it came back" });
    let asked = fixture.ask(Method::POST, corrections, &manager, Some(&body.to_string())).await;
    assert_eq!(asked.status, StatusCode::CREATED, "{}", asked.text);
    let asked = asked.json();
    assert_eq!(asked["before"]["commissioned_at"], Value::Null, "it takes nothing away: {asked}");
    assert_eq!(asked["from"], back.to_string(), "{asked}");
    let approve = format!("{corrections}/{}/approve", asked["id"].as_str().unwrap());
    let approved = fixture.ask(Method::POST, &approve, &admin, Some(r#"{"reason":"seen"}"#)).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);

    let figures = fixture.figures(&admin, "K-9", begin, end).await;
    assert_eq!(figures["accountable_s"], 1_382_400, "{figures}");
    assert_eq!(
        figures["on"],
        json!({ "num": 1_360_800, "den": 1_382_400, "ratio": "0.984375" }),
        "{figures}"
    );
    let read = fixture.get("/api/v1/kiosks/K-9", &admin).await.json();
    let (came, left) = (json!(back.to_string()), json!(left.to_string()));
    assert_eq!((&read["commissioned_at"], &read["decommissioned_at"]), (&came, &Value::Null));
    let stretches = json!([{ "commissioned_at": since, "decommissioned_at": left },
        { "commissioned_at": came, "decommissioned_at": null }]);
    assert_eq!(read["stretches"], stretches);
    // As it was read it can be put again, and nothing of it changes.
    let put = fixture.put_kiosk(&admin, "K-9", &read).await;
    assert_eq!((put.status, &put.json()["stretches"]), (StatusCode::OK, &stretches), "{}", put.text);
    // A fleet file says when it came first.
    let file = testing::Folder::new();
    let path = file.path().join("fleet.toml");
    let text = format!("[[kiosk]]\nid = 'K-9'\nsite = 'near'\nmodel = 'M'\ncommissioned_at = '{since}'\n");
    std::fs::write(&path, text).unwrap();
    fixture.app.seed(&Seed::read(&path).unwrap()).await.unwrap();
    let read = fixture.get("/api/v1/kiosks/K-9", &admin).await.json();
    assert_eq!(
        (&read["stretches"], &read["model"], &read["site"]),
        (&stretches, &json!("M"), &json!("near"))
    );
}

#[tokio::test]
async fn who_is_put_back_into_service_counts_from_then_on() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let now = fixture.app.clock().now();
    let hours = |hours: i64| now.plus_ms(hours * HOUR);
    let dates =
        json!({ "commissioned_at": hours(-100).to_string(), "decommissioned_at": hours(-60).to_string() });
    fixture.registered("K-9", &dates).await;
    let early =
        json!({ "commissioned_at": hours(-100).to_string(), "decommissioned_at": hours(48).to_string() });
    fixture.registered("K-8", &early).await;
    let back = fixture.put_kiosk(&admin, "K-9", &json!({ "model": "M" })).await;
    assert_eq!(back.status, StatusCode::OK, "{}", back.text);
    let since = Timestamp::parse(back.json()["commissioned_at"].as_str().unwrap()).unwrap();
    assert!(since >= now, "{}", back.text);
    let figures = fixture.figures(&admin, "K-9", hours(-200), now).await;
    assert_eq!(figures["accountable_s"], 40 * 3_600, "{figures}");
    // Of one that has not left yet nobody knows that it will come back.
    let again = json!({ "commissioned_at": hours(72).to_string() });
    let refused = fixture.put_kiosk(&admin, "K-8", &again).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert!(refused.text.contains("it is in service until"), "{}", refused.text);
}

#[tokio::test]
async fn a_kiosk_registered_before_it_is_put_into_service_is_not_down() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let now = fixture.app.clock().now();
    let put = fixture.put_kiosk(&admin, "K-9", &json!({ "site": "near", "commissioned_at": null })).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text);
    assert_eq!(put.json()["commissioned_at"], Value::Null, "{}", put.text);
    let again = fixture.put_kiosk(&admin, "K-9", &put.json()).await;
    assert_eq!((again.status, &again.json()["commissioned_at"]), (StatusCode::OK, &Value::Null));
    let to_come = now.plus_ms(HOUR);
    let figures = fixture.figures(&admin, "K-9", now.plus_ms(-HOUR), to_come).await;
    assert_eq!(figures["accountable_s"], 0, "{figures}");
    // A fleet file without a date leaves it so at every start.
    let file = testing::Folder::new();
    let path = file.path().join("fleet.toml");
    std::fs::write(&path, "[[kiosk]]\nid = 'K-9'\nsite = 'near'\nmodel = 'M'\n").unwrap();
    fixture.app.seed(&Seed::read(&path).unwrap()).await.unwrap();
    let read = fixture.get("/api/v1/kiosks/K-9", &admin).await.json();
    assert_eq!((&read["commissioned_at"], &read["model"]), (&Value::Null, &json!("M")), "{read}");
    // Left out of a kiosk that is accepted: from now on.
    let put = fixture.put_kiosk(&admin, "K-9", &json!({ "site": "near" })).await;
    assert!(put.json()["commissioned_at"].as_str().unwrap() >= now.to_string().as_str(), "{}", put.text);
}

#[tokio::test]
async fn a_return_taken_back_takes_nothing_along_however_often_it_is_said() {
    let (fixture, admin, hours, served) = with_one_that_left().await;
    let back = fixture.put_kiosk(&admin, "K-9", &json!({})).await;
    assert_eq!(back.json()["stretches"].as_array().map(Vec::len), Some(2), "{}", back.text);
    let none = json!({ "commissioned_at": null });
    let as_read = fixture.put_kiosk(&admin, "K-9", &none).await;
    for body in [none, as_read.json(), json!({ "admission": "quarantined" })] {
        let put = fixture.put_kiosk(&admin, "K-9", &body).await;
        assert_eq!((put.status, &put.json()["commissioned_at"]), (StatusCode::OK, &Value::Null));
        assert_eq!(put.json()["stretches"], json!([served]), "{body}");
    }
    // The first dates of K-8 are free; what it says after those were taken back are others.
    let first = json!({ "commissioned_at": fixture.app.clock().now().to_string() });
    for body in [first, json!({ "commissioned_at": null })] {
        assert_eq!(fixture.put_kiosk(&admin, "K-8", &body).await.status, StatusCode::OK);
    }
    let refused = fixture.put_kiosk(&admin, "K-8", &json!({ "commissioned_at": hours(-1_500) })).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert!(refused.text.contains("did not count and would"), "{}", refused.text);
}

#[tokio::test]
async fn a_service_to_come_that_was_called_off_is_put_as_it_was_read_and_stays_so() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let now = fixture.app.clock().now();
    let hours = |hours: i64| json!(now.plus_ms(hours * HOUR).to_string());
    let to_come = json!({ "commissioned_at": hours(240) });
    let ended = json!({ "commissioned_at": hours(240), "decommissioned_at": hours(240) });
    for (kiosk, called_off, left) in
        [("K-8", ended.clone(), json!([ended])), ("K-9", json!({ "commissioned_at": null }), json!([]))]
    {
        for body in [&to_come, &called_off] {
            let put = fixture.put_kiosk(&admin, kiosk, body).await;
            assert_eq!(put.status, StatusCode::OK, "{}", put.text);
        }
        let id = kiosk.parse().unwrap();
        let ids = std::slice::from_ref(&id);
        let known = fixture.app.store().commissioned_of(ids).await.unwrap();
        let read = fixture.get(&format!("/api/v1/kiosks/{kiosk}"), &admin).await.json();
        assert_eq!(read["stretches"], left, "{kiosk}");
        let put = fixture.put_kiosk(&admin, kiosk, &read).await;
        assert_eq!((put.status, &put.json()["stretches"]), (StatusCode::OK, &left), "{}", put.text);
        assert_eq!(fixture.app.store().commissioned_of(ids).await.unwrap(), known, "nothing new is known");
        let figures = fixture.figures(&admin, kiosk, now.plus_ms(-HOUR), now.plus_ms(400 * HOUR)).await;
        assert_eq!(figures["accountable_s"], 0, "{figures}");
        let anew = fixture.put_kiosk(&admin, kiosk, &to_come).await;
        assert_eq!((anew.status, &anew.json()["commissioned_at"]), (StatusCode::OK, &hours(240)));
    }
}

#[tokio::test]
async fn dates_that_replace_several_stretches_are_not_approved_once_any_of_them_is_another() {
    let (fixture, admin, hours, served) = with_one_that_left().await;
    let manager = fixture.token("manager", &[]).await;
    let corrections = "/api/v1/corrections";
    let ask = async || {
        let body = json!({ "kind": "commissioning", "kiosk": "K-9", "commissioned_at": hours(-2_000),
            "reason": "it was never away" });
        let asked = fixture.ask(Method::POST, corrections, &manager, Some(&body.to_string())).await;
        assert_eq!(asked.status, StatusCode::CREATED, "{}", asked.text);
        asked.json()
    };
    let approve = async |asked: &Value| {
        let path = format!("{corrections}/{}/approve", asked["id"].as_str().unwrap());
        fixture.ask(Method::POST, &path, &admin, Some(r#"{"reason":"seen"}"#)).await
    };
    let is_refused = async |asked: &Value| {
        let refused = approve(asked).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
        assert!(refused.text.contains("changed since"), "{}", refused.text);
    };
    let of_one = ask().await;
    assert_eq!(of_one["before"]["stretches"], json!([served]), "{of_one}");
    let back = fixture.put_kiosk(&admin, "K-9", &json!({})).await.json();
    is_refused(&of_one).await;
    let of_two = ask().await;
    assert_eq!(of_two["before"]["stretches"], back["stretches"], "{of_two}");
    assert_eq!(of_two["before"]["commissioned_at"], hours(-2_000), "{of_two}");
    let leaves = json!({ "commissioned_at": back["commissioned_at"], "decommissioned_at": hours(48) });
    assert_eq!(fixture.put_kiosk(&admin, "K-9", &leaves).await.status, StatusCode::OK);
    is_refused(&of_two).await;
    let approved = approve(&ask().await).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
    let read = fixture.get("/api/v1/kiosks/K-9", &admin).await.json();
    assert_eq!(
        read["stretches"],
        json!([{ "commissioned_at": hours(-2_000), "decommissioned_at": Value::Null }])
    );
}

#[tokio::test]
async fn a_fleet_file_with_a_later_date_says_a_return_or_nothing() {
    let (fixture, admin, hours, served) = with_one_that_left().await;
    // A return that has been takes two people; the rest of the file becomes true.
    let read = fixture.seeded(&admin, "M", &hours(-100)).await;
    assert_eq!((&read["stretches"], &read["model"]), (&json!([served]), &json!("M")));
    let put = fixture.put_kiosk(&admin, "K-9", &read).await;
    assert_eq!(put.status, StatusCode::OK, "as it was read it can be put: {}", put.text);
    // One to come is a return like any other.
    let back = json!({ "commissioned_at": hours(100), "decommissioned_at": Value::Null });
    let read = fixture.seeded(&admin, "N", &hours(100)).await;
    assert_eq!((&read["stretches"], &read["model"]), (&json!([served, back]), &json!("N")));
    // It leaves again, or does not come: the file says when it came, and nothing new.
    for end in [hours(100), hours(200)] {
        let leaves = json!({ "site": "near", "commissioned_at": hours(100), "decommissioned_at": end });
        assert_eq!(fixture.put_kiosk(&admin, "K-9", &leaves).await.status, StatusCode::OK);
        for model in ["O", "P"] {
            let read = fixture.seeded(&admin, model, &hours(100)).await;
            assert_eq!((&read["decommissioned_at"], &read["model"]), (&end, &json!(model)));
        }
    }
    // Dates that end before they begin are said in no way.
    let inverted = json!({ "commissioned_at": hours(100), "decommissioned_at": hours(50) });
    let refused = fixture.put_kiosk(&admin, "K-9", &inverted).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
}

#[tokio::test]
async fn a_fleet_file_says_when_any_stretch_began() {
    let (fixture, admin, hours, _) = with_one_that_left().await;
    // Back now, called off as of now, and back once more: three stretches, of which the file says the second.
    let second = fixture.put_kiosk(&admin, "K-9", &json!({})).await.json()["commissioned_at"].clone();
    let ended = json!({ "commissioned_at": second, "decommissioned_at": second });
    assert_eq!(fixture.put_kiosk(&admin, "K-9", &ended).await.status, StatusCode::OK);
    let back = fixture.put_kiosk(&admin, "K-9", &json!({ "commissioned_at": hours(50) })).await.json();
    assert_eq!(back["stretches"].as_array().map(Vec::len), Some(3), "{back}");
    let read = fixture.seeded(&admin, "M", &second).await;
    assert_eq!((&read["stretches"], &read["model"]), (&back["stretches"], &json!("M")));
}
