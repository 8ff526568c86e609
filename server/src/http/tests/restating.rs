//! Many proposals decided with one reason: each by itself, and each told what became of it.
use axum::http::{Method, StatusCode};
use kioskwatch_domain::change::{Change, KioskRow, RestatementRow, RestatementState, SiteRow};
use serde_json::json;
use uuid::Uuid;

use super::{
    decision_pages::proposed_of,
    fixture::{Answered, Fixture},
};
use crate::store::Scope;

/// K-1 of site `near` and K-2 of site `far`, with who answered for them.
async fn two(fixture: &Fixture, engineers: [&str; 2]) -> [Uuid; 2] {
    let (near, _) = proposed_of(fixture, (1, "near"), engineers[0]).await;
    let (far, _) = proposed_of(fixture, (2, "far"), engineers[1]).await;
    [near, far]
}

async fn decide(fixture: &Fixture, token: &str, ids: &[Uuid], approve: bool, reason: &str) -> Answered {
    let body = json!({ "ids": ids, "approve": approve, "reason": reason }).to_string();
    fixture.ask(Method::POST, "/api/v1/restatements/decide", token, Some(&body)).await
}

async fn row(fixture: &Fixture, id: Uuid) -> RestatementRow {
    fixture.app.store().restatement(&Scope::All, id).await.unwrap().unwrap()
}

/// Each item: its id, the state it came to, and the status of what kept it from one.
fn told(answer: &Answered) -> Vec<(String, Option<String>, Option<i64>)> {
    let text = |value: &serde_json::Value| value.as_str().map(ToOwned::to_owned);
    let items = answer.json()["items"].as_array().unwrap_or_else(|| panic!("{}", answer.text)).clone();
    let one = |item: &serde_json::Value| {
        (text(&item["id"]).unwrap(), text(&item["state"]), item["problem"]["status"].as_i64())
    };
    items.iter().map(one).collect()
}

#[tokio::test]
async fn many_are_decided_with_one_reason_and_one_that_is_refused_keeps_no_other_from_it() {
    let fixture = Fixture::start().await;
    let manager = fixture.token("manager", &[]).await;
    let [near, far] = two(&fixture, ["li", "manager"]).await;
    let nobody = Uuid::from_u128(0x1234);
    let answer = decide(&fixture, &manager, &[far, near, nobody, near], true, "the flood").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let (approved, id) = (Some("approved".to_owned()), |id: Uuid| id.to_string());
    assert_eq!(
        told(&answer),
        [(id(far), None, Some(403)), (id(near), approved, None), (id(nobody), None, Some(404))],
        "those whom figures measure decide about none of them"
    );
    let decided = row(&fixture, near).await;
    let by = decided.decided.unwrap();
    assert_eq!(
        (decided.state, by.by.as_str(), by.reason.as_str()),
        (RestatementState::Approved, "manager", "the flood")
    );
    let versions = fixture.app.store().versions_of_month(&Scope::All, &decided.kiosk, decided.month).await;
    assert_eq!(versions.unwrap().iter().map(|row| row.version).max(), Some(2));
    assert_eq!(row(&fixture, far).await.state, RestatementState::Proposed);

    let again = decide(&fixture, &fixture.token("admin", &[]).await, &[near, far], false, "no").await;
    let rejected = Some("rejected".to_owned());
    assert_eq!(told(&again), [(id(near), None, Some(409)), (id(far), rejected, None)]);
}

#[tokio::test]
async fn many_approved_at_once_are_each_their_next_version_with_what_was_shown() {
    let fixture = Fixture::start().await;
    let manager = fixture.token("manager", &[]).await;
    let ids = two(&fixture, ["li", "li"]).await;
    let answer = decide(&fixture, &manager, &ids, true, "the flood").await;
    assert!(
        told(&answer).iter().all(|(_, state, _)| state.as_deref() == Some("approved")),
        "{}",
        answer.text
    );
    for id in ids {
        let decided = row(&fixture, id).await;
        let store = fixture.app.store();
        let rows = store.versions_of_month(&Scope::All, &decided.kiosk, decided.month).await.unwrap();
        let second: Vec<_> = rows.iter().filter(|row| row.version == 2).collect();
        assert_eq!(second.len(), 1, "{}", decided.kiosk);
        assert_eq!(second[0].fingerprint, decided.fingerprint);
        assert_eq!(Some(second[0].booked_at), decided.decided.map(|one| one.at));
    }
}

#[tokio::test]
async fn more_than_are_decided_in_one_turn_are_decided_in_several_by_one_request() {
    let fixture = Fixture::start().await;
    let manager = fixture.token("manager", &[]).await;
    let store = fixture.app.store();
    let one = store.kiosk(&Scope::All, &"K-1".parse().unwrap()).await.unwrap().unwrap().kiosk;
    let mut ids = Vec::new();
    for n in 3..106 {
        let id = format!("K-{n}").parse().unwrap();
        store.commit(&[Change::Kiosk(KioskRow { id, ..one.clone() })]).await.unwrap();
        ids.push(proposed_of(&fixture, (n, "near"), "li").await.0);
    }
    let answer = decide(&fixture, &manager, &ids, true, "the flood").await;
    let told = told(&answer);
    assert_eq!(
        told.iter().map(|(id, ..)| id.clone()).collect::<Vec<_>>(),
        ids.iter().map(Uuid::to_string).collect::<Vec<_>>()
    );
    assert!(told.iter().all(|(_, state, _)| state.as_deref() == Some("approved")), "{}", answer.text);
    let first = row(&fixture, ids[0]).await.decided.unwrap().at;
    let last = row(&fixture, ids[102]).await.decided.unwrap().at;
    assert!(first < last, "others may decide between the turns: {first} {last}");
    assert_eq!(
        row(&fixture, ids[99]).await.decided.unwrap().at,
        first,
        "one turn and one commit for as many as it holds"
    );
}

#[tokio::test]
async fn of_many_those_about_which_more_is_known_by_now_wait_for_the_next_proposal() {
    let fixture = Fixture::start().await;
    let manager = fixture.token("manager", &[]).await;
    let [near, far] = two(&fixture, ["li", "li"]).await;
    // The hours of K-2's site were corrected, and the bookkeeper has not come to it since.
    let site = fixture.app.store().site(&Scope::All, &"far".parse().unwrap()).await.unwrap().unwrap();
    let hours = r#"[{"weekly":{"mon":[["08:00","20:00"]]}}]"#;
    let corrected = SiteRow { service_hours: hours.into(), ..site };
    fixture.app.store().commit(&[Change::Site(corrected)]).await.unwrap();
    let answer = decide(&fixture, &manager, &[near, far], true, "the flood").await;
    let states: Vec<_> = told(&answer).into_iter().map(|(_, state, problem)| (state, problem)).collect();
    assert_eq!(states, [(Some("approved".into()), None), (None, Some(409))], "{}", answer.text);
    assert!(answer.text.contains("more is known by now"), "{}", answer.text);
    assert_eq!(row(&fixture, far).await.state, RestatementState::Proposed);
}

#[tokio::test]
async fn many_are_asked_for_with_a_reason_by_somebody_who_may_and_within_their_sites() {
    let fixture = Fixture::start().await;
    let [near, far] = two(&fixture, ["li", "li"]).await;
    let [manager, viewer] = [fixture.token("manager", &[]).await, fixture.token("viewer", &[]).await];
    let too_many: Vec<Uuid> = (0..501).map(|n| Uuid::from_u128(0x1000 + n)).collect();
    for (ids, reason) in [(&[][..], "r"), (&too_many[..], "r"), (&[near][..], " ")] {
        let answer = decide(&fixture, &manager, ids, true, reason).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{} {reason:?}", ids.len());
    }
    assert_eq!(decide(&fixture, &viewer, &[near], true, "r").await.status, StatusCode::FORBIDDEN);
    let of_near = fixture.token("manager", &["near"]).await;
    let answer = decide(&fixture, &of_near, &[near, far], false, "r").await;
    let states: Vec<_> = told(&answer).into_iter().map(|(_, state, problem)| (state, problem)).collect();
    assert_eq!(states, [(Some("rejected".into()), None), (None, Some(404))], "{}", answer.text);
    assert_eq!(row(&fixture, far).await.state, RestatementState::Proposed);
}

#[tokio::test]
async fn proposals_are_narrowed_ticked_and_decided_together_on_the_page_of_their_list() {
    let fixture = Fixture::start().await;
    let [near, far] = two(&fixture, ["li", "manager"]).await;
    let [manager, viewer] = [fixture.token("manager", &[]).await, fixture.token("viewer", &[]).await];
    let boxes = |page: &str| page.matches("type=\"checkbox\"").count();
    let ticked = |page: &str| page.matches(" checked>").count();
    let looked = fixture.english("/decisions", &viewer).await;
    assert!(looked.contains(&format!("/restatements/{far}")) && boxes(&looked) == 0, "{looked}");
    let list = fixture.english("/decisions", &manager).await;
    assert_eq!((boxes(&list), ticked(&list)), (2, 0), "{list}");
    assert!(list.contains("v1 → v2 · evidence, who answered for it"), "{list}");
    assert_eq!(ticked(&fixture.english("/decisions?choose=all", &manager).await), 2);
    assert_eq!(boxes(&fixture.english("/decisions?show=decided", &manager).await), 0);
    for (narrow, shown) in [
        ("site=far", 1),
        (&format!("site=near&month={}", row(&fixture, near).await.month), 1),
        ("month=2020-01", 0),
        ("changed=exclusions", 0),
        ("site=&month=&changed=", 2),
    ] {
        let page = fixture.english(&format!("/decisions?{narrow}"), &manager).await;
        assert_eq!(boxes(&page), shown, "{narrow}");
    }

    let nothing = fixture.post("/restatements", &manager, "verdict=approve&reason=the+flood&site=far").await;
    assert_eq!(nothing.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        nothing.text.contains("Choose at least one") && nothing.text.contains("the flood"),
        "{}",
        nothing.text
    );
    assert_eq!(boxes(&nothing.text), 1, "the list is narrowed as it was");
    let no_reason = fixture.post("/restatements", &manager, &format!("verdict=approve&id={far}")).await;
    assert_eq!((no_reason.status, ticked(&no_reason.text)), (StatusCode::UNPROCESSABLE_ENTITY, 1));

    let body = format!("verdict=approve&reason=the+flood&id={near}&id={far}");
    assert_eq!(fixture.post("/restatements", &viewer, &body).await.status, StatusCode::FORBIDDEN);
    let answer = fixture.post("/restatements", &manager, &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    for part in ["Not decided · 1", "these figures measure you", "Decided · 1", ">approved<", "the flood"] {
        assert!(answer.text.contains(part), "{part}: {}", answer.text);
    }
    assert_eq!(row(&fixture, near).await.state, RestatementState::Approved);
    assert_eq!(row(&fixture, far).await.state, RestatementState::Proposed);
}
