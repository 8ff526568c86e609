//! A server whose clock is behind what its database knows decides nothing about what was.
use kioskwatch_domain::change::{Change, LivenessRow};
use tokio::sync::watch;
use uuid::Uuid;

use super::*;

const DAY: i64 = 86_400_000;

#[tokio::test]
async fn while_the_clock_is_behind_nobody_decides_and_once_it_is_right_everything_goes_on() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let now = fixture.app.clock().now();
    let lived = async |from: i64, to: i64| {
        let (from, to) = (now.plus_ms(from * DAY), now.plus_ms(to * DAY));
        let row = LivenessRow { server: Uuid::from_u128(3), from, to };
        fixture.app.store().commit(&[Change::Liveness(row)]).await.unwrap();
    };
    let put =
        async || fixture.put("/api/v1/kiosks/K-1", &admin, &json!({ "site": "near", "model": "KT-9" })).await;
    let site = json!({ "name": "hall", "timezone": "Asia/Shanghai" });
    assert!(!fixture.app.look_at_clock().await.unwrap(), "nobody lived behind it");
    lived(10, 20).await;
    assert!(fixture.app.look_at_clock().await.unwrap());
    let noted = async || fixture.app.store().calendar_terms().await.unwrap();
    let before = noted().await;
    for refused in [put().await, fixture.put("/api/v1/sites/near", &admin, &site).await] {
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text);
        assert!(refused.text.contains("clock is behind"), "{}", refused.text);
    }
    assert!(fixture.app.note_calendar().await.is_err());
    assert_eq!(noted().await, before, "over what was known then");
    assert!(fixture.app.missing().contains(&"the clock is behind what the database knows"));
    let told = fixture.last_audit(&admin, "clock_behind").await;
    assert_eq!(told["detail"]["newest"], json!(now.plus_ms(20 * DAY).to_string()), "{told}");

    // It was the one before that was ahead, as is known once servers lived for longer on this one.
    let (_stop, stopped) = watch::channel(false);
    let later = async { fixture.app.note_configured_later(None, stopped).await.unwrap() };
    let right = async { lived(-30, 0).await };
    tokio::join!(later, right);
    assert!(!fixture.app.missing().contains(&"the clock is behind what the database knows"));
    assert!(!noted().await.is_empty(), "what is configured is noted");
    let done = put().await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    fixture.last_audit(&admin, "clock_right").await;
}
