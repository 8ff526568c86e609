//! Decisions on pages: who gets a form, what a refusal leaves on it, and what a decision leaves behind.
use axum::http::StatusCode;
use chrono_tz::Asia::Shanghai;
use kioskwatch_domain::{
    change::{Change, RestatementRow, RestatementState, SiteRow},
    uptime::Month,
    wall,
};
use kioskwatch_proto::Timestamp;
use uuid::Uuid;

use super::{
    fixture::{Answered, Fixture, decision_id},
    pages::form,
    uptime_pages::signed,
};
use crate::store::Scope;

const OURS: (&str, &str) = ("sec-fetch-site", "same-origin");

impl Fixture {
    pub(super) async fn post(&self, path: &str, token: &str, body: &str) -> Answered {
        let bearer = format!("Bearer {token}");
        form(self, path, body, &[("authorization", &bearer), OURS, ("cookie", "kioskwatch_language=en")])
            .await
    }

    pub(super) async fn english(&self, path: &str, token: &str) -> String {
        let request = axum::http::Request::builder()
            .uri(path)
            .header("host", "kiosk.test")
            .header("cookie", "kioskwatch_language=en")
            .header("authorization", format!("Bearer {token}"));
        let page = self.send(request.body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        page.text
    }
}

/// K-1's last month: signed once, and proposed anew while `engineer` answered for it.
async fn proposed(fixture: &Fixture, engineer: &str) -> (String, Month) {
    let (id, month) = proposed_of(fixture, (1, "near"), engineer).await;
    (format!("/restatements/{id}"), month)
}

/// The same of another.
pub(super) async fn proposed_of(fixture: &Fixture, (n, site): (u128, &str), engineer: &str) -> (Uuid, Month) {
    let kiosk = format!("K-{n}");
    let now = fixture.app.clock().now();
    let month = Month::at(Shanghai, now.secs()).previous();
    let row = |version, down_s| {
        let Change::Month(mut row) = signed(month, &kiosk, site, Some(engineer), version, down_s) else {
            unreachable!()
        };
        row.fingerprint = format!("{version}");
        row
    };
    let (mut known, official) = (row(0, 1_000), row(1, 7_000));
    fixture.app.store().commit(&[Change::Month(official.clone())]).await.unwrap();
    let at_approval = now.plus_ms(60_000);
    let key = (known.kiosk.clone(), month);
    let mut comes_to = fixture.app.fingerprints_at(&[key.clone()].into(), at_approval).await.unwrap();
    known.fingerprint = comes_to.remove(&key).unwrap();
    let id = Uuid::from_u128(0x9800 + n);
    let proposal = RestatementRow {
        id,
        kiosk: known.kiosk.clone(),
        month,
        base_version: 1,
        state: RestatementState::Proposed,
        fingerprint: known.fingerprint.clone(),
        why: "since version 1 was signed, this changed: evidence, owners".into(),
        before: kioskwatch_domain::uptime::books::figures_json(&official.sums),
        after: kioskwatch_domain::uptime::books::figures_json(&known.sums),
        proposed_at: now,
        decided: None,
    };
    // The fixture's own may be of the same month, and only one waits.
    let other = fixture.app.store().restatement(&Scope::All, decision_id(n)).await.unwrap();
    let other = other.map(|other| RestatementRow { state: RestatementState::Superseded, ..other });
    let restatements = other.into_iter().chain([proposal]).map(|row| Change::Restatement(Box::new(row)));
    let rows: Vec<_> = [Change::Month(known)].into_iter().chain(restatements).collect();
    fixture.app.store().commit(&rows).await.unwrap();
    (id, month)
}

#[tokio::test]
async fn a_proposal_is_decided_on_its_page_by_somebody_who_may() {
    let fixture = Fixture::start().await;
    let (path, month) = proposed(&fixture, "li").await;
    let [viewer, manager] = [fixture.token("viewer", &[]).await, fixture.token("manager", &[]).await];
    let looked = fixture.english(&path, &viewer).await;
    assert!(
        looked.contains("Managers and admins decide") && !looked.contains("name=\"verdict\""),
        "{looked}"
    );
    assert_eq!(fixture.post(&path, &viewer, "verdict=approve&reason=x").await.status, StatusCode::FORBIDDEN);

    let page = fixture.english(&path, &manager).await;
    let whole = month.period(Shanghai).length();
    for part in [
        format!("{} / {whole} s", whole - 7_000),
        format!("{} / {whole} s", whole - 1_000),
        "v1 → v2".to_owned(),
        "evidence, who answered for it".to_owned(),
        "name=\"verdict\" value=\"approve\"".to_owned(),
    ] {
        assert!(page.contains(&part), "{part}: {page}");
    }
    let from = format!("/kiosks/K-1/uptime?month={month}");
    for link in [from.as_str(), "/decisions", "/decisions?kiosk=K-1"] {
        assert!(fixture.english(link, &manager).await.contains(&format!("href=\"{path}\"")), "{link}");
    }

    // Two others corrected the hours, and the bookkeeper has not come to the kiosk since.
    let site = fixture.app.store().site(&Scope::All, &"near".parse().unwrap()).await.unwrap().unwrap();
    let hours = r#"[{"weekly":{"mon":[["08:00","20:00"]]}}]"#;
    let corrected = SiteRow { service_hours: hours.into(), ..site.clone() };
    fixture.app.store().commit(&[Change::Site(corrected)]).await.unwrap();
    let early = fixture.post(&path, &manager, "verdict=approve&reason=x").await;
    assert_eq!(early.status, StatusCode::CONFLICT, "{}", early.text);
    assert!(early.text.contains("more is known by now than its figures say"), "{}", early.text);
    assert!(!fixture.english(&from, &viewer).await.contains("v2"), "nothing was signed");
    fixture.app.store().commit(&[Change::Site(site)]).await.unwrap();

    let refused = fixture.post(&path, &manager, "verdict=approve&reason=+").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("role=\"alert\">a reason has 1 to"), "{}", refused.text);
    let approved = fixture.post(&path, &manager, "verdict=approve&reason=the+journal+is+whole").await;
    assert_eq!((approved.status, approved.header("location")), (StatusCode::SEE_OTHER, path.as_str()));
    let page = fixture.english(&path, &manager).await;
    assert!(page.contains("the journal is whole") && page.contains(">approved<"), "{page}");
    assert!(!page.contains("name=\"verdict\""), "decided once: {page}");
    let decided = fixture.english("/decisions?show=decided", &viewer).await;
    assert!(decided.contains(&path) && decided.contains("manager: the journal is whole"), "{decided}");
    assert!(fixture.english(&from, &viewer).await.contains("v2"), "the next version is official");
    let late = fixture.post(&path, &manager, "verdict=reject&reason=second+thoughts").await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(late.text.contains("it is approved already"), "{}", late.text);
}

#[tokio::test]
async fn somebody_measured_is_told_before_the_form_and_refused_after_it() {
    let fixture = Fixture::start().await;
    let manager = fixture.token("manager", &[]).await;
    let (path, _) = proposed(&fixture, "manager").await;
    let page = fixture.english(&path, &manager).await;
    assert!(page.contains("These figures measure you") && !page.contains("name=\"verdict\""), "{page}");
    let refused = fixture.post(&path, &manager, "verdict=approve&reason=mine").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text.contains("these figures measure you"), "{}", refused.text);
}

#[tokio::test]
async fn a_correction_is_asked_for_on_the_wall_clock_of_the_place_and_decided_by_another() {
    let fixture = Fixture::start().await;
    let now = fixture.app.clock().now();
    let [viewer, manager] = [fixture.token("viewer", &[]).await, fixture.token("manager", &[]).await];
    let admin = fixture.token("admin", &[]).await;
    let ask = "/corrections/new?kiosk=K-1";
    let looked = fixture.english(ask, &viewer).await;
    assert!(looked.contains("your role only looks") && !looked.contains("name=\"class\""), "{looked}");
    assert!(fixture.english("/kiosks/K-1/uptime", &manager).await.contains(&format!("href=\"{ask}")));

    let at = |hours: i64| {
        let local = wall::local_of(Shanghai, now.secs() + hours * 3_600);
        local.format("%Y-%m-%dT%H:%M").to_string().replace(':', "%3A")
    };
    let body = |from: i64, to: i64| {
        format!("kiosk=K-1&class=force_majeure&from={}&to={}&reason=flood", at(from), at(to))
    };
    for (body, says) in [
        (body(-2, 24 * 401), "days ahead"),
        (body(23, 25).replace("force_majeure", "planned"), "too late"),
        (body(-2, -3), "it must end later"),
        (body(-2, -1).replace("flood", ""), "a reason has 1 to"),
        (body(-2, -1).replace("%3A", "x"), "is no date and time"),
        (body(-2, -1).replace("force_majeure", "weather"), "is none of"),
        (body(-2, -1).replace("force_majeure", "planned"), "needs agreed_at"),
    ] {
        let refused = fixture.post("/corrections", &manager, &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert!(refused.text.contains(says), "{says}: {}", refused.text);
        assert!(refused.text.contains("flood") || !body.contains("flood"), "what was typed stays");
    }
    let asked = fixture.post("/corrections", &manager, &body(-20, -2)).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.text);
    let path = asked.header("location").to_owned();
    let minute = |t: i64| Timestamp((t - t.rem_euclid(60)) * 1_000);
    let row: serde_json::Value = fixture.get(&format!("/api/v1{path}"), &admin).await.json();
    assert_eq!(row["from"], minute(now.secs() - 20 * 3_600).to_string());

    let own = fixture.english(&path, &manager).await;
    assert!(own.contains("You asked for it") && !own.contains("name=\"verdict\""), "{own}");
    assert!(own.contains("class=\"compared\"") && own.contains("18 h"), "its effect is shown: {own}");
    assert!(fixture.english("/decisions", &viewer).await.contains(&path));
    let refused = fixture.post(&path, &manager, "verdict=approve&reason=mine").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let approved = fixture.post(&path, &admin, "verdict=approve&reason=the+city+was+under+water").await;
    assert_eq!(approved.status, StatusCode::SEE_OTHER, "{}", approved.text);
    let page = fixture.english(&path, &viewer).await;
    assert!(page.contains("the city was under water") && page.contains(">approved<"), "{page}");
    let outside =
        format!("/kiosks/K-1/uptime?month={}&show=outside", Month::at(Shanghai, now.secs() - 3 * 3_600));
    assert!(fixture.english(&outside, &viewer).await.contains("flood"), "it is forgiven time now");
}

#[tokio::test]
async fn hours_of_a_site_are_corrected_on_a_page_with_both_schedules_on_it() {
    let fixture = Fixture::start().await;
    let [dispatcher, admin] = [fixture.token("dispatcher", &[]).await, fixture.token("admin", &[]).await];
    let page = fixture.english("/corrections/new?site=near", &dispatcher).await;
    assert!(page.contains("name=\"service_hours\"") && page.contains("always open"), "{page}");
    let kept = fixture.english(&format!("/corrections/{}", decision_id(1)), &admin).await;
    assert!(kept.contains("No figures are affected"), "{kept}");
    let closed = "kind=service_hours&site=near&service_hours=%5B%7B%22weekly%22%3A%7B%7D%7D%5D&reason=r";
    let now = fixture.app.clock().now();
    let at = |hours: i64| wall::local_of(Shanghai, now.secs() + hours * 3_600).format("%Y-%m-%dT%H:%M");
    let wide = format!("{closed}&from={}&to={}", at(-48), at(-24));
    let refused = fixture.post("/corrections", &dispatcher, &wide).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("the site was open and would be closed"), "{}", refused.text);
    let broken = "kind=service_hours&site=near&service_hours=%5B%7B%7D%5D&reason=r&from=2026-11-01T00:00&to=2026-11-02T00:00";
    let refused = fixture.post("/corrections", &dispatcher, broken).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("weekly") && refused.text.contains("[{}]"), "{}", refused.text);
}

#[tokio::test]
async fn a_correction_shows_the_months_of_the_place_it_is_about_and_says_how_many_more_there_are() {
    let fixture = Fixture::start().await;
    let dispatcher = fixture.token("dispatcher", &[]).await;
    let month = Month::at(Shanghai, fixture.app.clock().now().secs()).previous();
    // In UTC the first hours of a month in Shanghai are the last ones of the month before.
    let begins = |month: Month| Timestamp(month.period(Shanghai).from * 1_000);
    let effect = async |from: Timestamp| {
        let to = begins(month).plus_ms(2 * 3_600_000);
        let body = format!(
            r#"{{"kind":"exclusion","kiosk":"K-1","class":"force_majeure","reason":"r","from":"{from}","to":"{to}"}}"#
        );
        let path = "/api/v1/corrections";
        let asked = fixture.ask(axum::http::Method::POST, path, &dispatcher, Some(&body)).await;
        assert_eq!(asked.status, StatusCode::CREATED, "{}", asked.text);
        asked.json()
    };
    let row = effect(begins(month).plus_ms(3_600_000)).await;
    let keys: Vec<&String> = row["effect"].as_object().unwrap().keys().collect();
    assert_eq!(keys, [&month.to_string()]);
    let first = (0..4).fold(month, |month, _| month.previous());
    let row = effect(begins(first)).await;
    assert_eq!(row["effect"]["months_not_shown"], 2);
    assert_eq!(row["effect"].as_object().unwrap().len(), 4);
    let page = fixture.english(&format!("/corrections/{}", row["id"].as_str().unwrap()), &dispatcher).await;
    assert!(page.contains("that are not shown: 2"), "{page}");
}

#[tokio::test]
async fn who_answers_for_a_kiosk_decides_about_no_correction_of_it() {
    let fixture = Fixture::start().await;
    let [admin, manager] = [fixture.token("admin", &[]).await, fixture.token("manager", &[]).await];
    let put = async |body: &str| {
        let answer = fixture.ask(axum::http::Method::PUT, "/api/v1/kiosks/K-1", &admin, Some(body)).await;
        (answer.status, answer.json()["engineer"].clone())
    };
    assert_eq!(put(r#"{"site":"near","engineer":"manager"}"#).await, (StatusCode::OK, "manager".into()));
    assert_eq!(put(r#"{"site":"near"}"#).await.1, "manager", "left out it stays");
    assert_eq!(put(r#"{"site":"near","engineer":" "}"#).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(fixture.english("/kiosks/K-1", &admin).await.contains("<dd>manager</dd>"));
    // From this moment on, so of time that has been since then.
    let to = fixture.app.clock().now();
    let from = to.plus_ms(-1);
    let body = format!(
        r#"{{"kind":"exclusion","kiosk":"K-1","class":"force_majeure","reason":"r","from":"{from}","to":"{to}"}}"#
    );
    let asked = fixture.ask(axum::http::Method::POST, "/api/v1/corrections", &admin, Some(&body)).await;
    assert_eq!(asked.status, StatusCode::CREATED, "{}", asked.text);
    let path = format!("/corrections/{}", asked.json()["id"].as_str().unwrap());
    assert!(fixture.english(&path, &manager).await.contains("These figures measure you"));
    let refused = fixture.post(&path, &manager, "verdict=approve&reason=mine").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    let another = fixture.english(&format!("/corrections/{}", decision_id(2)), &manager).await;
    assert!(another.contains("name=\"verdict\""), "about another kiosk they may: {another}");
    assert_eq!(put(r#"{"site":"near","engineer":null}"#).await, (StatusCode::OK, serde_json::Value::Null));
}

#[tokio::test]
async fn dates_and_a_time_zone_are_corrected_on_pages_that_show_what_was() {
    let fixture = Fixture::start().await;
    let dispatcher = fixture.token("dispatcher", &[]).await;
    let now = fixture.app.clock().now();
    let local =
        |ms: i64| wall::local_of(Shanghai, now.plus_ms(ms).secs()).format("%Y-%m-%dT%H:%M:%S").to_string();
    let page = fixture.english("/corrections/new?kiosk=K-1", &dispatcher).await;
    let known =
        page.split("name=\"commissioned_at\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let known = known.unwrap_or_else(|| panic!("{page}")).to_owned();
    let body = |since: &str| {
        format!("kind=commissioning&kiosk=K-1&commissioned_at={}&reason=typed", since.replace(':', "%3A"))
    };
    let same = fixture.post("/corrections", &dispatcher, &body(&known)).await;
    assert_eq!(same.status, StatusCode::UNPROCESSABLE_ENTITY, "what the form shows is what is so");
    assert!(
        same.text.contains("no time that has been would change") && same.text.contains(&known),
        "{}",
        same.text
    );
    let asked = fixture.post("/corrections", &dispatcher, &body(&local(-7_200_000))).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.text);
    let page = fixture.english(asked.header("location"), &dispatcher).await;
    for date in [known, local(-7_200_000)] {
        assert!(page.contains(&format!("In service since: {}", date.replace('T', " "))), "{date}: {page}");
    }
    assert!(page.contains("dates of service"), "{page}");

    let page = fixture.english("/corrections/new?site=near", &dispatcher).await;
    assert!(page.contains("name=\"timezone\" value=\"Asia/Shanghai\""), "{page}");
    let wrong =
        fixture.post("/corrections", &dispatcher, "kind=timezone&site=near&timezone=Mars&reason=r").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("no IANA zone") && wrong.text.contains("value=\"Mars\""), "{}", wrong.text);
}

#[tokio::test]
async fn maintenance_of_next_week_is_approved_before_it_begins() {
    let fixture = Fixture::start().await;
    let [manager, admin] = [fixture.token("manager", &[]).await, fixture.token("admin", &[]).await];
    let now = fixture.app.clock().now();
    let at = |hours: i64| {
        let local = wall::local_of(Shanghai, now.secs() + hours * 3_600);
        local.format("%Y-%m-%dT%H:%M").to_string().replace(':', "%3A")
    };
    let form = fixture.english("/corrections/new?kiosk=K-1", &manager).await;
    let to = form.split("name=\"to\"").nth(1).and_then(|rest| rest.split('>').next()).unwrap();
    assert!(!to.contains("max="), "time to come can be chosen: {to}");
    let body = format!("kiosk=K-1&class=planned&from={}&to={}&reason=new+printers", at(170), at(172));
    let asked = fixture.post("/corrections", &manager, &body).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.text);
    let path = asked.header("location").to_owned();
    let own = fixture.post(&path, &manager, "verdict=approve&reason=mine").await;
    assert_eq!(own.status, StatusCode::FORBIDDEN);
    let approved = fixture.post(&path, &admin, "verdict=approve&reason=agreed+with+the+bank").await;
    assert_eq!(approved.status, StatusCode::SEE_OTHER, "{}", approved.text);
    let week = [now, now.plus_ms(200 * 3_600_000)];
    let stored = fixture.app.store().exclusions(&Scope::All, week[0], week[1]).await.unwrap();
    let [row] = stored.as_slice() else { panic!("{stored:?}") };
    assert_eq!((row.class.as_str(), row.approved_by.as_deref()), ("planned", Some("admin")));
    assert!(row.from > now.plus_ms(169 * 3_600_000) && row.agreed_at.is_none(), "{row:?}");
}

#[tokio::test]
async fn a_month_that_nothing_restates_is_told_before_and_after_it_is_asked_for() {
    let fixture = Fixture::start().await;
    let dispatcher = fixture.token("dispatcher", &[]).await;
    let now = fixture.app.clock().now();
    let last = Month::at(Shanghai, now.secs()).previous();
    let old = (0..3).fold(last, |month, _| month.previous());
    let rows: Vec<_> = [old, last].map(|month| signed(month, "K-1", "near", None, 1, 100)).into();
    fixture.app.store().commit(&rows).await.unwrap();
    let ask = async |month: Month| {
        let from = Timestamp(month.period(Shanghai).from * 1_000);
        let body = serde_json::json!({
            "kind": "exclusion", "kiosk": "K-1", "class": "force_majeure", "reason": "r",
            "from": from, "to": from.plus_ms(3_600_000),
        });
        let path = "/api/v1/corrections";
        let asked = fixture.ask(axum::http::Method::POST, path, &dispatcher, Some(&body.to_string())).await;
        assert_eq!(asked.status, StatusCode::CREATED, "{}", asked.text);
        let row = asked.json();
        let page =
            fixture.english(&format!("/corrections/{}", row["id"].as_str().unwrap()), &dispatcher).await;
        (row["effect"][month.to_string()]["closed"].clone(), page.contains("signed figures stay. Below"))
    };
    assert_eq!(ask(old).await, (true.into(), true));
    assert_eq!(ask(last).await, (false.into(), false));
    let form = fixture.english("/corrections/new?kiosk=K-1", &dispatcher).await;
    assert!(form.contains("Signed figures stay whatever is corrected up to: "), "{form}");
}
