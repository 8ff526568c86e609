//! Pages: what stands on them, who gets them, and what a foreign page can make a browser do.
use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use kioskwatch_domain::change::{Change, KioskRow};
use kioskwatch_proto::{KioskId, SiteId};
use serde_json::{Value, json};

use super::fixture::{Answered, Fixture, HOSTILE, command_id, decision_id, epoch, rows, ticket_id};
use crate::{app::testing, config::Config};

fn pages() -> Vec<String> {
    vec![
        "/".into(),
        "/?show=problems&q=K".into(),
        "/parts/fleet".into(),
        "/kiosks/K-1".into(),
        format!("/kiosks/K-1?command={}", command_id(1)),
        "/parts/kiosks/K-1".into(),
        format!("/parts/commands/{}", command_id(1)),
        "/kiosks/K-1/uptime".into(),
        "/kiosks/K-1/uptime?measure=full&show=up".into(),
        "/kiosks/K-1/uptime?show=outside".into(),
        "/uptime".into(),
        "/uptime?by=kiosk&measure=full".into(),
        "/uptime?scope=site&id=near&span=quarter".into(),
        format!("/kiosks/K-1/records/{}/1", epoch()),
        "/decisions".into(),
        "/decisions?show=decided&kiosk=K-1".into(),
        format!("/restatements/{}", decision_id(1)),
        format!("/corrections/{}", decision_id(1)),
        "/corrections/new?kiosk=K-1&reason=%3Cscript%3Ealert(1)%3C/script%3E".into(),
        "/corrections/new?site=near".into(),
        "/inspections".into(),
        "/tickets".into(),
        "/tickets?show=closed".into(),
        format!("/tickets/{}", ticket_id(1)),
        format!("/parts/tickets/{}", ticket_id(1)),
    ]
}

pub(super) async fn form(fixture: &Fixture, path: &str, body: &str, headers: &[(&str, &str)]) -> Answered {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("host", "kiosk.test")
        .header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    fixture.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

/// The cookie of somebody who signed in.
pub(super) async fn signed_in(fixture: &Fixture, role: &str) -> String {
    let token = fixture.token(role, &[]).await;
    let ours = [("sec-fetch-site", "same-origin")];
    let answer = form(fixture, "/login", &format!("token={token}"), &ours).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let cookie = answer.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn nothing_that_was_written_anywhere_becomes_markup() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    for path in pages() {
        let page = fixture.get(&path, &admin).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        for hostile in &HOSTILE[..4] {
            assert!(!page.text.contains(hostile), "{path}: {hostile}");
        }
        assert!(!page.text.contains("62615533"), "{path}: a template was evaluated");
        assert!(!page.text.contains("javascript:alert(1)\""), "{path}");
    }
    let query = "/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
    assert!(!fixture.get(query, &admin).await.text.contains("<script>alert"));
}

#[tokio::test]
async fn the_first_page_says_when_the_server_hears_nobody() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    assert!(fixture.app.fleet().deaf_since().is_some());
    let page = fixture.get("/parts/fleet", &admin).await.text;
    assert!(page.contains(r#"<p class="deaf" role="alert">"#), "{page}");
}

#[tokio::test]
async fn every_page_forbids_what_it_does_not_need() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let mut all = pages();
    let others = ["/login", "/nowhere", "/api/v1/sites", "/assets/console.js", "/api/openapi.json"];
    all.extend(others.map(ToOwned::to_owned));
    for path in all {
        let page = fixture.get(&path, &admin).await;
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("cross-origin-opener-policy"), "same-origin", "{path}");
        let kept =
            if path.starts_with("/assets") { "public, max-age=31536000, immutable" } else { "no-store" };
        assert_eq!(page.header("cache-control"), kept, "{path}");
        if page.header("content-type").starts_with("text/html") {
            for inline in [" style=", "<style", " onclick=", " onload=", "<script>"] {
                assert!(!page.text.contains(inline), "{path}: {inline}");
            }
        }
    }
}

#[tokio::test]
async fn strangers_are_led_to_the_login_and_problems_are_pages() {
    let fixture = Fixture::start().await;
    let stranger = fixture.get("/kiosks/K-1", "").await;
    assert_eq!((stranger.status, stranger.header("location")), (StatusCode::SEE_OTHER, "/login"));
    assert_eq!(fixture.get("/parts/fleet", "").await.status, StatusCode::UNAUTHORIZED);
    let viewer = fixture.token("viewer", &[]).await;
    let missing = fixture.get("/kiosks/K-9", &viewer).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.text.starts_with("<!doctype html>") && missing.text.contains("not_found"));
    let wrong = form(&fixture, "/login", "token=kw_x", &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_lasts_until_it_is_ended() {
    let fixture = Fixture::start().await;
    let cookie = signed_in(&fixture, "dispatcher").await;
    let get = |path: &str| {
        let request = Request::builder().uri(path).header("cookie", &cookie).header("host", "kiosk.test");
        fixture.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(get("/").await.status, StatusCode::OK);
    assert_eq!(get("/api/v1/kiosks").await.status, StatusCode::OK);
    let out = form(&fixture, "/logout", "", &[("cookie", &cookie), ("sec-fetch-site", "same-origin")]).await;
    assert_eq!(out.header("location"), "/login?out=1");
    assert_eq!(get("/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_foreign_page_cannot_act_with_a_cookie() {
    let fixture = Fixture::start().await;
    let cookie = signed_in(&fixture, "admin").await;
    let note = format!("/tickets/{}/note", ticket_id(1));
    let try_with = async |headers: &[(&str, &str)]| {
        let mut all = vec![("cookie", cookie.as_str())];
        all.extend(headers);
        form(&fixture, &note, "text=hello", &all).await.status
    };
    let foreign: [&[(&str, &str)]; 6] = [
        &[],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.test")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site"), ("origin", "http://kiosk.test")],
    ];
    for headers in foreign {
        assert_eq!(try_with(headers).await, StatusCode::FORBIDDEN, "{headers:?}");
    }
    assert_eq!(try_with(&[("sec-fetch-site", "same-origin")]).await, StatusCode::SEE_OTHER);
    assert_eq!(try_with(&[("origin", "http://kiosk.test")]).await, StatusCode::SEE_OTHER);
    let api = format!("/api/v1/tickets/{}/actions/note", ticket_id(1));
    let answer = form(&fixture, &api, "{}", &[("cookie", &cookie), ("origin", "https://evil.test")]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let login = form(&fixture, "/login", "token=x", &[("origin", "https://evil.test")]).await;
    assert_eq!(login.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn open_access_is_for_this_machine_only() {
    let mut config = Config::default();
    config.console.open_access = true;
    let fixture = Fixture::with(config).await;
    let get = |host: &str| {
        let request = Request::builder().uri("/api/v1/sites").header("host", host);
        fixture.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(get("127.0.0.1:8080").await.status, StatusCode::OK);
    assert_eq!(get("localhost:8080").await.status, StatusCode::OK);
    assert_eq!(get("evil.test").await.status, StatusCode::FORBIDDEN, "a name that was made to lead here");
}

#[tokio::test]
async fn a_language_is_chosen_and_leads_back_to_a_page_of_ours() {
    let fixture = Fixture::start().await;
    let ours = [("sec-fetch-site", "same-origin")];
    let chosen = form(&fixture, "/language", "language=en&back=/tickets", &ours).await;
    assert_eq!(chosen.header("location"), "/tickets");
    let cookie = chosen.header("set-cookie").split(';').next().unwrap().to_owned();
    let request = Request::builder().uri("/login").header("cookie", cookie).body(Body::empty()).unwrap();
    let page = fixture.send(request).await;
    assert!(page.text.contains("<html lang=\"en\">") && page.text.contains("Sign in"));
    assert!(fixture.get("/login", "").await.text.contains("<html lang=\"zh-CN\">"));
    for away in ["//evil.test", "https://evil.test", "/%5Cevil.test", "/%0d%0aX:1"] {
        let answer = form(&fixture, "/language", &format!("language=en&back={away}"), &ours).await;
        assert_eq!(answer.header("location"), "/", "{away}");
    }
    let unknown = form(&fixture, "/language", "language=xx&back=/", &ours).await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_fleet_of_many_sites_is_counted_whole_drawn_in_part_and_found_by_model() {
    // Of nobody but the first two anything was heard.
    let silent = |now| {
        let mut rows = rows(now);
        for n in 0..1_600 {
            let site = SiteId::new(&format!("S-{}", n / 3)).unwrap();
            let id = KioskId::new(&format!("M-{n:04}")).unwrap();
            let model = if n == 1_599 { "Rare-9" } else { "KT-1" };
            rows.push(Change::Site(testing::site(site.clone())));
            let kiosk = KioskRow { site: Some(site), model: model.into(), ..testing::kiosk(id, now) };
            rows.push(Change::Kiosk(kiosk));
        }
        rows
    };
    let fixture = Fixture::of(Config::default(), silent).await;
    let admin = fixture.token("admin", &[]).await;
    let drawn = |page: &str| page.matches("href=\"/kiosks/").count();
    let page = fixture.get("/", &admin).await.text;
    assert!(page.contains("<strong>1602</strong>") && page.contains("(102)"), "{page}");
    // One of one kiosk, 499 of three, and two of the next.
    assert_eq!((drawn(&page), page.matches("<article").count()), (1_500, 501));
    let page = fixture.get("/?q=rare", &admin).await.text;
    assert!(drawn(&page) == 1 && page.contains("/kiosks/M-1599") && page.contains("Rare-9"), "{page}");
    let near = fixture.token("viewer", &["near"]).await;
    let page = fixture.get("/?q=rare", &near).await.text;
    assert!(drawn(&page) == 0 && page.contains("<strong>1</strong>"), "{page}");
    let offered = |page: &str| page.contains("<select name=\"site\">");
    assert!(!offered(&fixture.get("/decisions", &admin).await.text), "nobody chooses among 536");
    assert!(offered(&fixture.get("/decisions", &near).await.text));
}

#[tokio::test]
async fn a_kiosk_is_found_by_the_fault_as_an_alert_calls_it() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    for (fault, found) in [("paper_out", true), ("fraud_attempt", false)] {
        let page = fixture.get(&format!("/parts/fleet?q={fault}"), &admin).await.text;
        assert_eq!(page.contains("/kiosks/K-1"), found, "{page}");
    }
}

#[tokio::test]
async fn a_kiosk_that_floods_is_shown_with_since_when_and_how_much_was_dropped() {
    let fixture = Fixture::start().await;
    let (viewer, kiosk) = (fixture.token("viewer", &[]).await, "/api/v1/kiosks/K-1");
    let flood = async || fixture.get(kiosk, &viewer).await.json()["flood"].clone();
    assert_eq!(flood().await, Value::Null);
    for page in ["/", "/kiosks/K-1"] {
        let page = fixture.english(page, &viewer).await;
        assert!(!page.contains("sends too much") && !page.contains("sends more than it may"), "{page}");
    }
    let since = fixture.app.clock().now().plus_ms(-60_000);
    let id = KioskId::new("K-1").unwrap();
    let now = tokio::time::Instant::now();
    assert!(fixture.app.floods().note(&id, 3, now, since));
    fixture.app.floods().note(&id, 4_039, now, since.plus_ms(30_000));
    let expected = json!({ "since": since, "until": since.plus_ms(30_000), "dropped": 4_042 });
    assert_eq!(flood().await, expected);
    let page = fixture.english("/kiosks/K-1", &viewer).await;
    assert!(page.contains("sends more than it may") && page.contains("4042"), "{page}");
    let fleet = fixture.english("/?show=problems&q=flood", &viewer).await;
    assert!(fleet.contains("sends too much") && fleet.contains("K-1"), "{fleet}");
}
