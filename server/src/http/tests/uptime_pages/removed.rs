//! Pages of time whose evidence is not kept any more.
use super::*;

#[tokio::test]
async fn time_whose_evidence_was_removed_is_said_to_be_that_and_never_down() {
    let fixture = Fixture::start().await;
    let (store, now) = (fixture.app.store(), fixture.app.clock().now());
    let zone = chrono_tz::Asia::Shanghai;
    let month = (0..20).fold(Month::at(zone, now.secs()), |month, _| month.previous());
    let span = month.period(zone);
    let id = KioskId::new("K-1").unwrap();
    let mut kiosk = store.kiosk(&crate::store::Scope::All, &id).await.unwrap().unwrap().kiosk;
    kiosk.commissioned_at = Some(Timestamp(span.from * 1_000));
    let listening = LivenessRow { server: Uuid::from_u128(77), from: Timestamp(span.from * 1_000), to: now };
    let signed = signed(month, "K-1", "near", None, 1, 7_000);
    store.commit(&[Change::Kiosk(kiosk), Change::Liveness(listening), signed]).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    for show in ["down", "left_out"] {
        let path = format!("/kiosks/K-1/uptime?month={month}&measure=on&show={show}");
        let page = fixture.get(&path, &viewer).await.text;
        assert!(page.contains("早于此日的证据已按保存期限删除") && page.contains("已定稿 · v1"), "{page}");
        assert_eq!((account(&page, "down"), account(&page, "left_out")), (0, span.length()), "{page}");
        assert_eq!(numbers(&page, "data-num")[0], span.length() - 7_000, "what was signed stands");
        let told = page.contains("该时段的证据已按保存期限删除");
        assert_eq!(told, show == "left_out", "{page}");
        assert!(!page.contains("服务器无法接收") && !page.contains("没有任何记录"), "it listened: {page}");
    }
    let (from, to) = (Timestamp(span.from * 1_000), Timestamp(span.from * 1_000 + 86_400_000));
    let timeline = format!("/api/v1/kiosks/K-1/timeline?from={from}&to={to}");
    let timeline = fixture.get(&timeline, &viewer).await.json();
    assert_eq!(timeline["intervals"].as_array().unwrap().len(), 1, "{timeline}");
    let interval = &timeline["intervals"][0];
    assert_eq!(
        (interval["state"].as_str(), interval["server_down"].as_bool()),
        (Some("UNKNOWN"), Some(false))
    );
    assert!(timeline["kept_from"].as_str().unwrap() > to.to_string().as_str(), "{timeline}");
}

#[tokio::test]
async fn nothing_is_called_removed_that_an_unsigned_month_is_made_of() {
    let fixture = Fixture::start().await;
    let (store, now) = (fixture.app.store(), fixture.app.clock().now());
    let zone = chrono_tz::Asia::Shanghai;
    let month = (0..20).fold(Month::at(zone, now.secs()), |month, _| month.previous());
    let span = month.period(zone);
    let (from, to) = (Timestamp(span.from * 1_000), Timestamp(span.to * 1_000));
    let id = KioskId::new("K-1").unwrap();
    let mut kiosk = store.kiosk(&crate::store::Scope::All, &id).await.unwrap().unwrap().kiosk;
    kiosk.commissioned_at = Some(from);
    let listening = LivenessRow { server: Uuid::from_u128(77), from, to };
    let unsigned = signed(month, "K-1", "near", None, 0, 7_000);
    store.commit(&[Change::Kiosk(kiosk), Change::Liveness(listening), unsigned]).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    let page = fixture.get(&format!("/kiosks/K-1/uptime?month={month}&measure=on"), &viewer).await.text;
    assert!(!page.contains("早于此日的证据已按保存期限删除"), "{page}");
    assert_eq!((account(&page, "down"), account(&page, "left_out")), (span.length(), 0), "{page}");
    let timeline = format!("/api/v1/kiosks/K-1/timeline?from={from}&to={to}");
    let timeline = fixture.get(&timeline, &viewer).await.json();
    assert_eq!(timeline["kept_from"], from.to_string(), "{timeline}");
}

#[tokio::test]
async fn a_record_that_was_removed_is_told_from_one_that_never_was() {
    let fixture = Fixture::start().await;
    let (store, now) = (fixture.app.store(), fixture.app.clock().now());
    let id = KioskId::new("K-1").unwrap();
    let head = JournalHeadRow {
        kiosk: id.clone(),
        epoch: epoch(),
        upto: 1,
        digest: None,
        first_seen_at: now,
        cursor: "{}".into(),
    };
    store.commit(&[Change::JournalHead(head)]).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    let page = async |seq: u64| fixture.get(&format!("/kiosks/K-1/records/{}/{seq}", epoch()), &viewer).await;
    assert_eq!(page(1).await.status, 200);
    let later = now.plus_ms(1_000);
    assert_eq!(store.remove_of_kiosks(Kept::JournalRecord, &[id], later, 9).await.unwrap(), 1);
    let removed = page(1).await;
    assert_eq!(removed.status, 410);
    assert!(removed.text.contains("这条日志记录已入账，保存期满后删除了原文"), "{}", removed.text);
    assert_eq!(page(2).await.status, 404);
}
