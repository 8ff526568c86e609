//! What `/kiosks/{id}/timeline` answers: what the figures are made of, also of a kiosk that never rests.
use kioskwatch_domain::change::{
    Change, EvidenceRow, EvidenceSource, EvidenceState, LivenessRow, TransitionRow,
};
use kioskwatch_proto::{KioskId, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::fixture::Fixture;

/// As uptime definition 2.7 counts `on`, from what the timeline says.
fn on(timeline: &Value) -> (i64, i64) {
    let (mut num, mut den) = (0, 0);
    for one in timeline["intervals"].as_array().unwrap() {
        let at = |key: &str| Timestamp::parse(one[key].as_str().unwrap()).unwrap().secs();
        let seconds = at("to") - at("from");
        match (one["state"].as_str().unwrap(), one["server_down"].as_bool().unwrap()) {
            ("UNKNOWN", true) => {}
            ("UNKNOWN" | "OFF", _) => den += seconds,
            _ => (num, den) = (num + seconds, den + seconds),
        }
    }
    (num, den)
}

#[tokio::test]
async fn the_seconds_of_a_timeline_are_those_of_the_figure_also_behind_an_outage_of_ours() {
    const HOUR: i64 = 3_600_000;
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let begin = Timestamp(fixture.app.clock().now().secs() / 3_600 * HOUR).plus_ms(-5 * 24 * HOUR);
    let hour = |hours: i64| begin.plus_ms(hours * HOUR);
    let dates = json!({ "commissioned_at": begin.to_string() });
    fixture.registered("K-9", &dates).await;
    // Away for an hour; the next heartbeat comes within its interval after it, and the one after that never.
    let listened = |from, to| Change::Liveness(LivenessRow { server: Uuid::from_u128(7), from, to });
    let heard = |from, to| {
        Change::Evidence(EvidenceRow {
            kiosk: "K-9".parse().unwrap(),
            source: EvidenceSource::Live,
            from,
            to,
            state: EvidenceState::Full,
            cause: None,
            received_at: None,
            epoch: None,
            seq: None,
            interval_s: Some(300),
        })
    };
    let rows = [
        listened(begin, hour(2)),
        listened(hour(3), hour(8)),
        heard(begin, hour(2)),
        heard(hour(3).plus_ms(200_000), hour(4)),
    ];
    fixture.app.store().commit(&rows).await.unwrap();
    // Of the whole, and of a time that begins between the end of the outage and that heartbeat.
    for (from, num, den) in [(begin, 10_600, 17_800), (hour(3).plus_ms(100_000), 3_400, 10_600)] {
        let to = hour(6);
        let figures = fixture
            .get(&format!("/api/v1/uptime?scope=kiosk&id=K-9&from={from}&to={to}"), &admin)
            .await
            .json();
        assert_eq!((&figures["on"]["num"], &figures["on"]["den"]), (&json!(num), &json!(den)), "{figures}");
        let timeline =
            fixture.get(&format!("/api/v1/kiosks/K-9/timeline?from={from}&to={to}"), &admin).await.json();
        assert_eq!(on(&timeline), (num, den), "{timeline}");
    }
}

#[tokio::test]
async fn more_intervals_than_one_answer_lists_are_asked_for_from_where_it_ended() {
    let fixture = Fixture::start().await;
    let viewer = fixture.token("viewer", &[]).await;
    let kiosk = KioskId::new("K-1").unwrap();
    let (count, length_ms) = (3_000_i64, 10_000);
    let now = fixture.app.clock().now();
    let from = Timestamp((now.secs() - 7_200) * 1_000 - count * length_ms);
    let at = |n: i64| from.plus_ms(n * length_ms);
    let rows: Vec<Change> = (0..count)
        .map(|n| {
            Change::Evidence(EvidenceRow {
                kiosk: kiosk.clone(),
                source: EvidenceSource::Journal,
                from: at(n),
                to: at(n + 1),
                state: if n % 2 == 0 { EvidenceState::Full } else { EvidenceState::Degraded },
                cause: None,
                received_at: None,
                epoch: None,
                seq: None,
                interval_s: None,
            })
        })
        .collect();
    let changed = |n| {
        Change::Transition(TransitionRow {
            kiosk: kiosk.clone(),
            kind: "service".into(),
            peripheral: None,
            from: "a".into(),
            to: "b".into(),
            at: at(n),
            noticed_at: at(n),
            reason: "told twice".into(),
        })
    };
    fixture.app.store().commit(&[changed(10), changed(count - 10)]).await.unwrap();
    fixture.app.store().commit(&rows).await.unwrap();
    let (mut next, mut answers, mut intervals) = (at(0).to_string(), 0, Vec::new());
    loop {
        let path = format!("/api/v1/kiosks/K-1/timeline?from={next}&to={}", at(count));
        let answer = fixture.get(&path, &viewer).await.json();
        answers += 1;
        assert_eq!(answer["transitions"].as_array().unwrap().len(), 1, "those of its intervals");
        let listed = answer["intervals"].as_array().unwrap();
        let proofs: usize = listed.iter().map(|one| one["evidence"].as_array().unwrap().len()).sum();
        assert!(listed.len() + proofs <= 5_000, "{} and {proofs}", listed.len());
        intervals.extend(listed.iter().cloned());
        match answer["further_from"].as_str() {
            Some(further) => further.clone_into(&mut next),
            None => break,
        }
    }
    assert_eq!((answers, intervals.len()), (2, 3_000));
    for (n, one) in (0_i64..).zip(&intervals) {
        assert_eq!((&one["from"], &one["to"]), (&at(n).to_string().into(), &at(n + 1).to_string().into()));
        let [proof] = one["evidence"].as_array().unwrap().as_slice() else { panic!("{one}") };
        assert_eq!((&proof["from"], &proof["state"]), (&one["from"], &one["state"]));
    }
}
