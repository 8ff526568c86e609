//! The server's own line to the broker, disturbed as those of the kiosks (`lines`): what they wrote down arrives
//! once, and nobody is called offline for a silence that is the server's. Half-open, it is found on both connections.
use std::time::Duration;

use futures_util::future::join_all;
use kioskwatch_tests::{
    harness::{
        proxy::LineState,
        server::QUICK,
        stack::{PATIENCE, Plan, Stack},
    },
    sim::rng::Rng,
};
use serde_json::Value;

use crate::{
    lines::{
        BOTH_LANES, Disturbance, FOUND_WITHIN, SCHEDULES, SEED, business, everything_is_there_once, given_up,
        schedule,
    },
    program,
};

const KIOSKS: [&str; 2] = ["K-0001", "K-0002"];
/// A heartbeat is sent every second: longer than it takes to notice that a silent line is dead, which is 20 s.
const PATIENT: [&str; 2] = ["missed_heartbeats = 3", "missed_heartbeats = 40"];
/// Longer than this patience.
const LONG: Duration = Duration::from_secs(50);

async fn live_through(index: usize, long: Disturbance) -> Stack {
    let plan = KIOSKS
        .iter()
        .zip(["S-01", "S-02"])
        .fold(Plan::new(program()), |plan, (kiosk, site)| plan.kiosk(kiosk, site));
    let [quick, patient] = PATIENT;
    let stack = plan.settings(&QUICK.replace(quick, patient)).server_over_a_line().start().await;
    let line = stack.server_line.as_ref().unwrap();
    // Other dice than the kiosks' lines have.
    let mut dice = Rng::new(SEED).branch(1_000 + index as u64);
    for round in 0..SCHEDULES {
        let steps = schedule(&mut dice, round, Some((long, LONG)));
        tokio::join!(line.play(&steps), join_all(stack.kiosks.iter().map(business)));
    }
    everything_is_there_once(&stack).await;
    stack
}

/// Nothing was said of a kiosk's silence, not even for a moment.
async fn was_never_offline(stack: &Stack, kiosk: &str) {
    let timeline = stack.api().json(&format!("/api/v1/kiosks/{kiosk}/timeline")).await.unwrap();
    let transitions = timeline["transitions"].as_array().unwrap();
    // Of the kiosk itself: a device that does not answer on a busy machine is another story.
    let presence = || transitions.iter().filter(|row| row["kind"] == "presence");
    assert!(presence().any(|row| row["to"] == "online"), "{transitions:#?}");
    let offline: Vec<&Value> = presence().filter(|row| row["to"] == "offline").collect();
    assert!(offline.is_empty(), "seed {SEED}, {kiosk}: {offline:#?}");
    for (about, fault) in [(kiosk, "kiosk_offline"), ("S-01", "site_offline"), ("S-02", "site_offline")] {
        assert!(stack.tickets(about, fault).await.unwrap().is_empty(), "seed {SEED}: {about} {fault}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_of_a_bad_line_of_the_server_lose_nothing_double_nothing_and_blame_nobody() {
    // A server for each kind of disturbance, which is long once; all others are drawn.
    let lived = Disturbance::ALL.into_iter().enumerate().map(|(index, long)| live_through(index, long));
    for stack in join_all(lived).await {
        for kiosk in KIOSKS {
            was_never_offline(&stack, kiosk).await;
        }
        // Whose own line is cut is called offline: the silence of the others was seen to be none of theirs.
        stack.line("S-01").set(LineState::Cut);
        stack.ticket("K-0001", "kiosk_offline").await;
        was_never_offline(&stack, "K-0002").await;
    }
}

/// A kiosk is heard each second all the while, where only one way is dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_line_of_the_server_is_found_on_both_connections_whichever_way_is_dead() {
    let ways = [LineState::Blackhole, LineState::DeafToBroker, LineState::MuteToBroker];
    let found = ways.map(async |way| {
        let plan = Plan::new(program()).kiosk("K-0001", "S-01").settings(QUICK).server_over_a_line();
        let stack = plan.start().await;
        let line = stack.server_line.as_ref().unwrap();
        let after = given_up(line, way, || stack.server.log(), &BOTH_LANES).await;
        line.set(LineState::Up);
        stack.server.ready(PATIENCE).await.unwrap();
        stack.all_in_service().await;
        (way, after)
    });
    for (way, after) in join_all(found).await {
        assert!(after <= FOUND_WITHIN, "{way:?}: the server took {after:?}");
    }
}
