//! Our own outages, and how long after them a heartbeat may take.
use kioskwatch_domain::change::{EvidenceGapRow, KioskStateRow, PresenceVerdict};

use super::*;

/// What the agent announces now.
fn announces(kiosk: &str, interval_s: u32) -> Change {
    Change::KioskState(Box::new(KioskStateRow {
        kiosk: KioskId::new(kiosk).unwrap(),
        presence: PresenceVerdict::Online,
        presence_since: Timestamp(0),
        presence_reason: "heartbeat".into(),
        last_seen_at: None,
        session: None,
        boot: None,
        epoch: None,
        interval_s,
        service: None,
        service_since: None,
        service_cause: None,
        peripherals: "{}".into(),
        inventory: String::new(),
        clock_offset_ms: None,
        command_counter: 0,
    }))
}

fn heartbeats(from: i64, to: i64, interval_s: Option<u32>) -> Change {
    let Change::Evidence(row) = full("k", from, to) else { unreachable!() };
    Change::Evidence(EvidenceRow { interval_s, ..row })
}

#[tokio::test]
async fn an_outage_of_ours_forgives_what_was_announced_then_whatever_the_agent_announces_now() {
    let (from, end) = (october().from * 1_000, october().to * 1_000);
    let (away, back) = (from + 5 * DAY, from + 5 * DAY + HOUR);
    let second = 1_000;
    // Then: announced, seconds after our return of the next heartbeat. Down: the silence that is charged.
    for (announced, heard, noted, down) in
        [(Some(300), 290, 10, 0), (Some(10), 1_800, 3_600, 1_790), (None, 290, 100, 190)]
    {
        let shelf = Shelf::with(&[
            kiosk("k", None),
            alive(0, away),
            alive(back, end + 60 * DAY),
            heartbeats(from - DAY, away, announced),
            heartbeats(back + heard * second, end + 3 * DAY, announced),
            announces("k", announced.unwrap_or(noted)),
        ])
        .await;
        let charged = async |now| {
            let avail = shelf.month(UptimeScope::Fleet, now).await.sums.figures.avail;
            avail.den - avail.num
        };
        assert_eq!(charged(end + HOUR).await, down, "{announced:?}, counted");
        // The agent was given another interval before the month is signed.
        let later = heartbeats(end + 4 * DAY, end + 5 * DAY, Some(noted));
        shelf.store.commit(&[announces("k", noted), later]).await.unwrap();
        shelf.keep("k", end + 6 * DAY).await;
        assert_eq!(charged(end + 6 * DAY).await, down, "{announced:?}, signed");
    }
}

#[tokio::test]
async fn who_is_heard_again_after_a_long_silence_is_looked_at_again_at_once() {
    let from = october().from * 1_000;
    let (away, back) = (from + DAY, from + DAY + 16 * HOUR);
    let new = testing::kiosk("k".parse().unwrap(), Timestamp(from));
    let new = Change::Kiosk(KioskRow { site: Some("S-1".parse().unwrap()), ..new });
    let shelf = Shelf::with(&[site("S-1"), new, alive(0, back), heartbeats(from, away, Some(30))]).await;
    let due = async |now: i64| shelf.look_at("k", now, &BTreeSet::new()).await.due_at - now / 1_000;
    assert_eq!(due(back).await, 3_600, "nobody knows of it");
    shelf.store.commit(&[announces("k", 30)]).await.unwrap();
    assert_eq!(due(back).await, 0);
}

#[tokio::test]
async fn where_what_was_heard_of_a_kiosk_could_not_be_stored_its_silence_is_unknown_and_nobody_elses() {
    let gap = |to| {
        let kiosk = KioskId::new("k").unwrap();
        Change::EvidenceGap(EvidenceGapRow { kiosk, from: Timestamp(2 * HOUR), to: Timestamp(to) })
    };
    let rows = [kiosk("k", None), kiosk("other", None), alive(0, 10 * HOUR), gap(9 * HOUR)];
    let shelf = Shelf::with(&rows).await;
    let beats = |id| full(id, 0, 2 * HOUR);
    shelf.store.commit(&[beats("k"), beats("other")]).await.unwrap();
    let on = async |id: &str| {
        let scope = UptimeScope::Kiosk(KioskId::new(id).unwrap());
        shelf.figures(scope, 0, 10 * HOUR, 11 * HOUR).await.sums.figures.on
    };
    assert_eq!(on("k").await, Ratio::new(2 * 3_600, 3 * 3_600), "down in the last hour only");
    assert_eq!(on("other").await, Ratio::new(2 * 3_600, 10 * 3_600));
    // Stored after all: then what is not there was not heard.
    shelf.store.commit(&[gap(2 * HOUR)]).await.unwrap();
    assert_eq!(on("k").await, on("other").await);
}
