//! Commits of what is known of a kiosk now: its state, its verdict, when it was heard.
use kioskwatch_domain::{change::*, presence::PresenceReason};
use kioskwatch_server::store::{PageRequest, Scope};

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

pub(crate) async fn neighbours_are_forgotten_from_their_verdicts_on_and_each_has_a_transition(empty: Empty) {
    use PresenceVerdict::{Late, Offline, Online, Unknown};
    const SINCE: i64 = 10;
    const NOTICED: i64 = 100;
    let verdict = |kiosk: &str, presence, offset_ms| KioskStateRow {
        presence,
        presence_since: at(offset_ms),
        presence_reason: "heartbeat".into(),
        ..full_state(kiosk)
    };
    // Before that, after it, ahead of the clock, in the very millisecond; of k3 and of those outside nothing changes.
    let states = [
        verdict("k0", Online, 1),
        verdict("k1", Online, 1),
        verdict("k2", Offline, 50),
        verdict("k3", Unknown, 5),
        verdict("k4", Late, 200),
        verdict("k5", Online, SINCE),
        verdict("k6", Online, 1),
    ];
    let told = |kiosk: &str, from: PresenceVerdict, to: PresenceVerdict, offset_ms| TransitionRow {
        kiosk: kiosk_id(kiosk),
        kind: "presence".into(),
        peripheral: None,
        from: from.as_str().into(),
        to: to.as_str().into(),
        at: at(offset_ms),
        noticed_at: at(NOTICED),
        reason: PresenceReason::ServerStarted.as_str().into(),
    };
    let store = empty.open().await;
    let mut changes: Vec<Change> = states.iter().map(|s| Change::KioskState(Box::new(s.clone()))).collect();
    changes.extend(states.iter().map(|state| Change::Kiosk(kiosk(state.kiosk.as_str(), None))));
    changes.extend([seen("nobody", 5), Change::Transition(told("k5", Late, Online, SINCE))]);
    store.commit(&changes).await.unwrap();
    let forgotten = Change::Forgotten(ForgottenRow {
        first: kiosk_id("k1"),
        last: kiosk_id("k5"),
        since: at(SINCE),
        noticed_at: at(NOTICED),
        reason: PresenceReason::ServerStarted,
    });
    // Twice is as good as once.
    for commits in 1..=2 {
        store.commit(std::slice::from_ref(&forgotten)).await.unwrap();
        let found = store.load_image(NOW).await.unwrap().states;
        for (found, before) in found.iter().zip(&states) {
            let id = before.kiosk.as_str();
            let from = |from, offset_ms| Some((from, told(id, from, Unknown, offset_ms)));
            let expected = match id {
                "k1" => from(Online, SINCE),
                "k2" => from(Offline, 50),
                "k4" => from(Late, NOTICED),
                "k5" => from(Online, SINCE),
                _ => None,
            };
            let mut rows: Vec<_> = expected.iter().map(|(_, row)| row.clone()).collect();
            let state = expected.map_or_else(
                || before.clone(),
                |(_, row)| KioskStateRow {
                    presence: Unknown,
                    presence_since: row.at,
                    presence_reason: row.reason,
                    ..before.clone()
                },
            );
            assert_eq!(*found, state, "{commits}");
            if id == "k5" {
                rows.push(told(id, Late, Online, SINCE));
            }
            let page = PageRequest::first();
            let all = store.transitions(&Scope::All, &before.kiosk, at(0), at(HOUR), &page).await.unwrap();
            assert_eq!(all.unwrap().items, rows, "the newest first, {commits}");
        }
        assert_eq!(found.len(), states.len());
    }
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
