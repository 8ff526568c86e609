//! What `/kiosks/{id}/timeline` answers of a kiosk that never rests.
use kioskwatch_domain::change::{Change, EvidenceRow, EvidenceSource, EvidenceState, TransitionRow};
use kioskwatch_proto::{KioskId, Timestamp};

use super::fixture::Fixture;

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
