//! A fleet file that says another past than what is stored.
use super::*;

#[tokio::test]
async fn a_fleet_file_that_says_another_past_is_no_reason_not_to_start() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let nowhere = json!({ "commissioned_at": fixture.app.clock().now().plus_ms(-172_800_000).to_string() });
    fixture.registered("K-9", &nowhere).await;
    let folder = crate::app::testing::Folder::new();
    let path = folder.path().join("fleet.toml");
    let text = r#"
        [[site]]
        id = "near"
        name = "renamed"
        timezone = "Asia/Shanghai"
        service_hours = '[{"weekly":{}}]'
        [[kiosk]]
        id = "K-1"
        site = "near"
        model = "other"
        commissioned_at = "2026-01-01T00:00:00Z"
        [[site]]
        id = "closed"
        name = "closed"
        service_hours = '[{"weekly":{}}]'
        [[kiosk]]
        id = "K-9"
        site = "closed"
        model = "other"
    "#;
    std::fs::write(&path, text).unwrap();
    let store = fixture.app.store();
    let kiosk = async |id: &str| store.kiosk(&Scope::All, &id.parse().unwrap()).await.unwrap().unwrap().kiosk;
    let before = kiosk("K-1").await;
    let registered = async || {
        let audit = fixture.get("/api/v1/audit?limit=50", &admin).await.json();
        let puts = |row: &&Value| row["action"].as_str().is_some_and(|action| action.starts_with("put_"));
        audit["items"].as_array().unwrap().iter().filter(puts).count()
    };
    fixture.app.seed(&Seed::read(&path).unwrap()).await.unwrap();
    let first = registered().await;
    fixture.app.seed(&Seed::read(&path).unwrap()).await.unwrap();
    assert_eq!(registered().await, first, "nothing is left to write");
    let site = store.site(&Scope::All, &"near".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((site.name.as_str(), site.service_hours.as_str()), ("renamed", ""));
    let after = kiosk("K-1").await;
    assert_eq!((after.model.as_str(), after.commissioned_at), ("other", before.commissioned_at));
    let after = kiosk("K-9").await;
    assert_eq!((after.model.as_str(), after.site), ("other", None), "its site would close what has been");
}

#[tokio::test]
async fn a_fleet_file_of_kiosks_that_have_stood_for_years_counts_from_the_oldest_month_that_is_not_fixed() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let none = json!({ "site": "near", "commissioned_at": null, "admission": "quarantined" });
    assert_eq!(fixture.put("/api/v1/kiosks/K-9", &admin, &none).await.status, StatusCode::OK);
    let folder = crate::app::testing::Folder::new();
    let path = folder.path().join("fleet.toml");
    let kiosk =
        |id| format!("[[kiosk]]\nid = '{id}'\nsite = 'near'\ncommissioned_at = '2023-05-01T00:00:00Z'\n");
    std::fs::write(&path, ["K-8", "K-9"].map(kiosk).concat()).unwrap();
    let now = fixture.app.clock().now();
    let open = Terms::default().oldest_open(Shanghai, now).period(Shanghai).from;
    // At every start.
    for _ in 0..2 {
        fixture.app.seed(&Seed::read(&path).unwrap()).await.unwrap();
        for id in ["K-8", "K-9"] {
            let read = fixture.get(&format!("/api/v1/kiosks/{id}"), &admin).await.json();
            assert_eq!(
                (&read["commissioned_at"], &read["admission"]),
                (&json!(Timestamp(open * 1_000).to_string()), &json!("accepted")),
            );
        }
    }
}
