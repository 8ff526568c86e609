//! Commits of what is known of a kiosk now: its state, its verdict, when it was heard.
use kioskwatch_domain::{change::*, presence::PresenceReason};
use kioskwatch_server::store::Scope;

use super::{Empty, rows::*};

fn seen(kiosk: &str, offset_ms: i64) -> Change {
    Change::Seen(SeenRow {
        kiosk: kiosk_id(kiosk),
        last_seen_at: at(offset_ms),
        interval_s: 31,
        clock_offset_ms: Some(offset_ms),
        running: None,
    })
}

pub(crate) async fn being_seen_updates_that_and_nothing_else(empty: Empty) {
    let store = empty.open().await;
    let states = [full_state("k1"), full_state("k2")];
    let mut changes: Vec<Change> = states.iter().cloned().map(|s| Change::KioskState(Box::new(s))).collect();
    changes.extend(["k1", "k2"].map(|id| Change::Kiosk(kiosk(id, None))));
    changes.extend([seen("k1", 5), seen("nobody", 5)]);
    store.commit(&changes).await.unwrap();
    let updated = |offset_ms| KioskStateRow {
        last_seen_at: Some(at(offset_ms)),
        interval_s: 31,
        clock_offset_ms: Some(offset_ms),
        ..full_state("k1")
    };
    assert_eq!(store.load_image(NOW).await.unwrap().states, [updated(5), full_state("k2")]);
    store.commit(&[seen("k1", 6), seen("k1", 7)]).await.unwrap();
    assert_eq!(store.load_image(NOW).await.unwrap().states[0], updated(7));
}

fn heard(from: i64, to: i64, state: EvidenceState) -> Change {
    let Change::Seen(row) = seen("k1", to) else { unreachable!() };
    let running = RunningSpan { from: at(from), to: at(to), state, cause: None, interval_s: 30 };
    Change::Seen(SeenRow { running: Some(running), ..row })
}

pub(crate) async fn a_stretch_of_heartbeats_is_evidence_while_it_runs_and_after_it_was_replaced(
    empty: Empty,
) {
    let store = empty.open().await;
    let kiosks = [Change::Kiosk(kiosk("k1", None)), Change::KioskState(Box::new(full_state("k1")))];
    store.commit(&kiosks).await.unwrap();
    let spans = async || {
        let rows = store.evidence(&Scope::All, &[kiosk_id("k1")], at(-HOUR), at(HOUR)).await.unwrap();
        let span = |row: &EvidenceRow| (row.from.since(NOW), row.to.since(NOW), row.state);
        assert!(rows.iter().all(|row| row.source == EvidenceSource::Live && row.interval_s == Some(30)));
        rows.iter().map(span).collect::<Vec<_>>()
    };
    let (full, none) = (EvidenceState::Full, EvidenceState::OnOnly);
    store.commit(&[heard(0, 10, full)]).await.unwrap();
    store.commit(&[heard(0, 20, full)]).await.unwrap();
    assert_eq!(spans().await, [(0, 20, full)], "it grows");
    // A birth, or a change of state, says nothing of heartbeats.
    let mut state = full_state("k1");
    state.interval_s = 77;
    store.commit(&[seen("k1", 25), Change::KioskState(Box::new(state))]).await.unwrap();
    assert_eq!(spans().await, [(0, 20, full)], "it stays");

    // A server that was killed knew nothing of its end; the next one hears another.
    store.commit(&[heard(40, 50, full)]).await.unwrap();
    assert_eq!(spans().await, [(0, 20, full), (40, 50, full)]);
    // One that ended is told with its end, before or after the one that follows.
    let ended = EvidenceRow {
        source: EvidenceSource::Live,
        state: full,
        received_at: None,
        interval_s: Some(30),
        ..evidence("k1", 40, 60)
    };
    store.commit(&[Change::Evidence(ended), heard(60, 70, none)]).await.unwrap();
    assert_eq!(spans().await, [(0, 20, full), (40, 60, full), (60, 70, none)]);
    // A clock was set back: nothing was heard later than now.
    store.commit(&[heard(60, 65, none)]).await.unwrap();
    assert_eq!(spans().await[2], (60, 65, none));
    // One commit cannot tell of two that run.
    let two = [heard(60, 95, none), heard(95, 99, full)];
    assert!(store.commit(&two).await.is_err());
    assert_eq!(spans().await.len(), 3);
}

pub(crate) async fn a_verdict_updates_that_and_nothing_else(empty: Empty) {
    let verdict = |kiosk: &str, presence, offset_ms| {
        Change::Presence(PresenceRow {
            kiosk: kiosk_id(kiosk),
            presence,
            presence_since: at(offset_ms),
            presence_reason: PresenceReason::LastWill,
        })
    };
    let store = empty.open().await;
    let states = [full_state("k1"), full_state("k2")];
    let mut changes: Vec<Change> = states.iter().cloned().map(|s| Change::KioskState(Box::new(s))).collect();
    // A verdict before a state in the same batch is older than the state.
    changes.insert(0, verdict("k2", PresenceVerdict::Late, 1));
    changes.extend(["k1", "k2"].map(|id| Change::Kiosk(kiosk(id, None))));
    changes.extend([verdict("k1", PresenceVerdict::Offline, 5), seen("k1", 6)]);
    changes.push(verdict("nobody", PresenceVerdict::Offline, 5));
    store.commit(&changes).await.unwrap();
    let updated = KioskStateRow {
        presence: PresenceVerdict::Offline,
        presence_since: at(5),
        presence_reason: PresenceReason::LastWill.as_str().into(),
        last_seen_at: Some(at(6)),
        interval_s: 31,
        clock_offset_ms: Some(6),
        ..full_state("k1")
    };
    assert_eq!(store.load_image(NOW).await.unwrap().states, [updated, full_state("k2")]);
}

pub(crate) async fn a_state_without_inventory_keeps_the_stored_one(empty: Empty) {
    let store = empty.open().await;
    store.commit(&[Change::Kiosk(kiosk("k1", None))]).await.unwrap();
    let state = |inventory: &str| {
        Change::KioskState(Box::new(KioskStateRow { inventory: inventory.into(), ..full_state("k1") }))
    };
    for (batch, expected) in [
        (vec![state("")], ""),
        (vec![state("one")], "one"),
        (vec![state("")], "one"),
        (vec![state("two"), state("")], "two"),
        (vec![state(""), state("three")], "three"),
    ] {
        store.commit(&batch).await.unwrap();
        assert_eq!(store.load_image(NOW).await.unwrap().states[0].inventory, expected);
    }
}
