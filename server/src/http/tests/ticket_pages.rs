//! What people do about tickets on their pages, and in which words a page tells what happened by rule.
use axum::http::StatusCode;
use serde_json::json;

use super::{
    fixture::{Answered, Fixture, ticket_id},
    pages::form,
};

/// As from our own page; in Chinese, which is what a page speaks when nobody chose.
async fn sent(fixture: &Fixture, path: &str, token: &str, body: &str) -> Answered {
    let bearer = format!("Bearer {token}");
    form(fixture, path, body, &[("authorization", &bearer), ("sec-fetch-site", "same-origin")]).await
}

/// A ticket of a problem that only a person saw: no machine speaks against its end.
async fn told(fixture: &Fixture, token: &str) -> String {
    let body = json!({ "kiosk": "K-1", "fault": "cover_open", "text": "柜门没关" }).to_string();
    let made = fixture.ask(axum::http::Method::POST, "/api/v1/tickets", token, Some(&body)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    format!("/tickets/{}", made.json()["id"].as_str().unwrap())
}

/// The deeds that a page offers.
fn offered(page: &str, path: &str) -> Vec<String> {
    let action = format!("action=\"{path}/");
    let deeds = page.split(&action).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    deeds.collect()
}

#[tokio::test]
async fn a_ticket_goes_its_way_on_its_page_and_only_what_its_state_allows_is_offered() {
    let fixture = Fixture::start().await;
    let dispatcher = fixture.token("dispatcher", &[]).await;
    let path = told(&fixture, &dispatcher).await;
    let offers = async |path: &str| offered(&fixture.get(path, &dispatcher).await.text, path);
    assert_eq!(offers(&path).await, ["note", "resolve", "urge", "cancel"]);
    for (deed, body, then) in [
        ("urge", "reason=again", &["note", "resolve", "urge", "cancel"][..]),
        ("resolve", "resolution=door+closed", &["note", "close", "reopen", "urge"]),
        ("close", "sign_off=phone&reason=the+attendant+agrees", &["note", "reopen"]),
        ("reopen", "reason=open+again", &["note", "resolve", "urge", "cancel"]),
        ("cancel", "ground=customer_fixed&reason=closed+it", &[]),
    ] {
        let done = sent(&fixture, &format!("{path}/{deed}"), &dispatcher, body).await;
        assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, path.as_str()), "{deed}");
        assert_eq!(offers(&path).await, then, "after {deed}");
    }
    let page = fixture.get(&path, &dispatcher).await.text;
    assert!(page.contains("客户自行解决: closed it") && !page.contains("customer_fixed"), "{page}");
}

#[tokio::test]
async fn a_refusal_stands_beside_what_was_typed_in_the_readers_language() {
    let fixture = Fixture::start().await;
    let dispatcher = fixture.token("dispatcher", &[]).await;
    let path = format!("/tickets/{}", ticket_id(1));
    let refused = sent(&fixture, &format!("{path}/resolve"), &dispatcher, "resolution=paper+in").await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert!(refused.text.contains("role=\"alert\">终端仍在上报本工单的故障"), "{}", refused.text);
    let begins = format!("action=\"{path}/resolve\">");
    let of_form = refused.text.split(&begins).nth(1).unwrap().split("</form>").next().unwrap();
    assert!(of_form.contains("role=\"alert\"") && of_form.contains(">paper in</textarea>"), "{of_form}");
    assert!(refused.text.contains(&format!("name=\"back\" value=\"{path}\"")), "{}", refused.text);
    for (deed, body, says) in [
        ("note", "text=+", "请填写内容"),
        ("resolve", "resolution=+", "请填写内容"),
        ("close", "sign_off=phone&reason=x", "只有已恢复的工单可以关闭"),
        ("reopen", "reason=x", "只有已恢复或已关闭的工单可以重开"),
        ("cancel", "ground=boredom&reason=x", "“boredom”不是撤单理由"),
    ] {
        let refused = sent(&fixture, &format!("{path}/{deed}"), &dispatcher, body).await;
        assert!(refused.status.is_client_error(), "{deed}");
        // Also where the state has no form for it any more.
        assert_eq!(refused.text.matches("role=\"alert\"").count(), 1, "{deed}: {}", refused.text);
        assert!(refused.text.contains(says), "{deed}: {}", refused.text);
    }
    let english = fixture.post(&format!("{path}/resolve"), &dispatcher, "resolution=x").await;
    assert!(
        english.text.contains("role=\"alert\">a fault of this ticket is still raised"),
        "{}",
        english.text
    );
}

#[tokio::test]
async fn who_only_looks_has_no_form_and_no_foreign_page_sends_one() {
    let fixture = Fixture::start().await;
    let path = format!("/tickets/{}", ticket_id(1));
    for role in ["viewer", "engineer", "manager"] {
        let token = fixture.token(role, &[]).await;
        let page = fixture.get(&path, &token).await.text;
        assert_eq!(offered(&page, &path), Vec::<String>::new(), "{role}");
        for deed in ["note", "urge", "resolve", "close", "cancel", "reopen"] {
            let refused = sent(&fixture, &format!("{path}/{deed}"), &token, "reason=x").await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{role} {deed}");
            assert!(refused.text.contains("没有此权限"), "{}", refused.text);
        }
    }
    let far = fixture.token("dispatcher", &["far"]).await;
    let refused = sent(&fixture, &format!("{path}/urge"), &far, "reason=x").await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    let cookie = super::pages::signed_in(&fixture, "dispatcher").await;
    for deed in ["urge", "resolve", "close", "cancel", "reopen"] {
        let headers = [("cookie", cookie.as_str()), ("sec-fetch-site", "cross-site")];
        let foreign = form(&fixture, &format!("{path}/{deed}"), "reason=x", &headers).await;
        assert_eq!(foreign.status, StatusCode::FORBIDDEN, "{deed}");
    }
}

#[tokio::test]
async fn a_chinese_page_tells_in_chinese_what_the_rules_did() {
    let fixture = Fixture::start().await;
    let dispatcher = fixture.token("dispatcher", &[]).await;
    let path = told(&fixture, &dispatcher).await;
    let chinese = fixture.get(&path, &dispatcher).await.text;
    assert!(chinese.contains("营业员处理 · 普通 · 市区"), "{chinese}");
    assert!(chinese.contains("<small>系统</small>") && chinese.contains("柜门没关"), "{chinese}");
    assert!(!chinese.contains("operator, minor") && !chinese.contains("<small>server</small>"), "{chinese}");
    let english = fixture.english(&path, &dispatcher).await;
    assert!(english.contains("for the attendant · minor · urban"), "{english}");
}

#[tokio::test]
async fn a_resolved_ticket_is_counted_as_open_and_told_apart() {
    let fixture = Fixture::start().await;
    let dispatcher = fixture.token("dispatcher", &[]).await;
    let path = told(&fixture, &dispatcher).await;
    let counts = async || {
        let kiosk = fixture.get("/api/v1/kiosks/K-1", &dispatcher).await.json();
        [kiosk["open_tickets"].clone(), kiosk["resolved_tickets"].clone()]
    };
    assert_eq!(counts().await, [json!(2), json!(0)]);
    assert!(!fixture.get("/", &dispatcher).await.text.contains("待关闭</small>"));
    sent(&fixture, &format!("{path}/resolve"), &dispatcher, "resolution=door+closed").await;
    assert_eq!(counts().await, [json!(2), json!(1)]);
    let first = fixture.get("/", &dispatcher).await.text;
    assert!(first.contains("<small>其中 1 个已恢复，待关闭</small>"), "{first}");
    assert!(fixture.english("/", &dispatcher).await.contains("1 of them resolved, waiting to close"));
}

#[tokio::test]
async fn a_ticket_is_found_by_the_number_people_see_in_ones_own_sites_only() {
    let fixture = Fixture::start().await;
    let far = fixture.token("viewer", &["far"]).await;
    let found = fixture.get("/api/v1/tickets/2", &far).await;
    assert_eq!(found.json()["id"], ticket_id(2).to_string());
    for path in ["/api/v1/tickets/1", "/api/v1/tickets/999", "/api/v1/tickets/18446744073709551615"] {
        assert_eq!(fixture.get(path, &far).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let nonsense = fixture.get("/api/v1/tickets/first", &far).await;
    assert_eq!(nonsense.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", nonsense.text);
}

#[tokio::test]
async fn what_inspections_are_due_stands_on_a_page_of_ones_own_sites() {
    let fixture = Fixture::start().await;
    let near = fixture.token("viewer", &["near"]).await;
    let page = fixture.get("/inspections", &near).await.text;
    let due = fixture.get("/api/v1/inspections", &near).await.json();
    let due = due["items"].as_array().unwrap();
    assert!(!due.is_empty());
    for one in due {
        let title = format!("K-1 · {}", if one["kind"] == "phone" { "电话巡检" } else { "上门巡检" });
        assert!(page.contains(&title) && page.contains(one["period"].as_str().unwrap()), "{one}: {page}");
    }
    assert_eq!(page.matches("<a class=\"line\" ").count(), due.len());
    assert!(!page.contains("K-2"), "{page}");
    assert!(page.contains("href=\"/inspections\" aria-current=\"page\""), "{page}");
}

#[tokio::test]
async fn silence_of_before_a_kiosk_was_in_service_is_not_what_nobody_knows() {
    let fixture = Fixture::start().await;
    let viewer = fixture.token("viewer", &[]).await;
    let known = fixture.get("/kiosks/K-1", &viewer).await.text;
    assert!(known.contains("s-UNKNOWN") && !known.contains("s-NOT_YET"), "{known}");
    let to_come = fixture.app.clock().now().plus_ms(86_400_000);
    fixture.registered("K-9", &json!({ "commissioned_at": to_come.to_string() })).await;
    let new = fixture.get("/kiosks/K-9", &viewer).await.text;
    assert!(new.contains("s-NOT_YET") && new.contains("未投运") && !new.contains("s-UNKNOWN"), "{new}");
}
