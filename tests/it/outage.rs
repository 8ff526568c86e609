//! What is killed, cut or unplugged, and what must be true afterwards: nothing lost, nothing twice, nobody
//! called offline for somebody else's silence.
use std::time::Duration;

use kioskwatch_tests::{
    emulator::Phase,
    harness::{
        postgres::Postgres,
        proxy::LineState,
        stack::{PATIENCE, Plan, Stack},
        wait::wait_until,
    },
    treachery::Odds,
};
use serde_json::Value;
use tokio::time::Instant;

use crate::program;

/// Longer than three missed heartbeats, the settling and the site hold of the quick settings.
const LONG_ENOUGH_TO_BE_MISSED: Duration = Duration::from_secs(10);

fn intervals<'a>(timeline: &'a Value, state: &str) -> Vec<&'a Value> {
    let all = timeline["intervals"].as_array().map_or(&[][..], Vec::as_slice);
    all.iter().filter(|interval| interval["state"] == state).collect()
}

async fn timeline(stack: &Stack, kiosk: &str) -> Result<Value, String> {
    stack.api().json(&format!("/api/v1/kiosks/{kiosk}/timeline")).await
}

/// Time in which a wrong verdict would be passed, if the server passed one.
async fn silence_grows_long() {
    let began = Instant::now();
    wait_until("the silence to be long enough for a verdict", PATIENCE, || async {
        let silent = began.elapsed();
        if silent >= LONG_ENOUGH_TO_BE_MISSED { Ok(()) } else { Err(format!("{silent:?}")) }
    })
    .await;
}

async fn no_tickets(stack: &Stack, fault: &str) {
    let all = stack.api().list("/api/v1/tickets").await.unwrap();
    let found: Vec<&Value> = all.iter().filter(|ticket| ticket["fault"] == fault).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_forgets_our_subscription_is_noticed_and_nobody_is_called_offline() {
    // As patient with a kiosk that sends every second as the default is with one that sends every 30 s.
    let patient = "[presence]\nmissed_heartbeats = 90\nsite_hold_s = 0\nsettle_s = 3\n";
    let plan = Plan::new(program()).kiosk("K-0001", "S-01").kiosk("K-0002", "S-02").settings(patient);
    let stack = plan.treacherous_broker(1, Odds::HONEST).start().await;
    stack.broker.forget_subscriptions().unwrap();
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    wait_until("the server to hear that it hears nothing", PATIENCE * 2, || async {
        let log = stack.server.log();
        if log.contains("not even our own messages") { Ok(()) } else { Err(log) }
    })
    .await;
    stack.ticket("K-0001", "cover_open").await;
    stack.server.ready(PATIENCE).await.unwrap();
    for kiosk in &stack.kiosks {
        let online = |k: &serde_json::Value| k["presence"]["state"] == "online";
        stack.kiosk_until(&kiosk.id, "it to be heard again", online).await;
        assert!(stack.tickets(&kiosk.id, "kiosk_offline").await.unwrap().is_empty());
        let timeline = stack.api().json(&format!("/api/v1/kiosks/{}/timeline", kiosk.id)).await.unwrap();
        assert!(!timeline.to_string().contains("missed_heartbeats"), "{timeline:#}");
        // Nobody claims to have listened meanwhile: a beat may be missing where we began and ended to.
        let uptime = stack.api().json(&format!("/api/v1/uptime?scope=kiosk&id={}", kiosk.id)).await.unwrap();
        let [heard, listened] = ["num", "den"].map(|part| uptime["online"][part].as_i64().unwrap());
        assert!(listened > 0 && listened - heard <= 2, "{uptime:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_does_not_let_us_publish_to_ourselves_is_not_left_and_the_operator_is_told() {
    // Nobody is switched on: nothing is delivered on either connection.
    let plan = Plan::new(program()).rights("topic readwrite kiosk/v1/#\ntopic deny kiosk/v1/00/#\n");
    let stack = plan.start_without_kiosks().await;
    wait_until("the server to say that it does not hear itself", PATIENCE * 2, || async {
        let log = stack.server.log();
        if log.matches("do not come back").count() == 2 { Ok(()) } else { Err(log) }
    })
    .await;
    silence_grows_long().await;
    let log = stack.server.log();
    assert!(!log.contains("not connected to the broker"), "{log}");
    assert_eq!(log.matches("do not come back").count(), 2, "once for each connection: {log}");
    stack.server.ready(PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_agent_leaves_the_machine_on_and_a_power_cut_does_not() {
    let mut stack = Plan::new(program()).kiosk("K-0001", "S-01").kiosk("K-0002", "S-02").start().await;

    // The agent dies and systemd starts it again: same boot.
    stack.kiosks[0].kill_agent().await.unwrap();
    stack.kiosks[0].start_agent().unwrap();
    // The plug is pulled: another boot will follow.
    stack.kiosks[1].lose_power().await.unwrap();
    stack
        .kiosk_until("K-0002", "the dead kiosk to be offline", |k| k["presence"]["state"] == "offline")
        .await;
    stack.ticket("K-0002", "kiosk_offline").await;
    stack.kiosks[1].boot().unwrap();
    let offline = stack.ticket_in("K-0002", "kiosk_offline", &["resolved"]).await;
    assert_eq!(offline["source"], "server");
    stack.all_in_service().await;

    // The journal of a new boot proves that the machine was off.
    let dark = wait_until("the journal to prove the power cut", PATIENCE, || async {
        let timeline = timeline(&stack, "K-0002").await?;
        match intervals(&timeline, "OFF").first() {
            Some(off) => Ok((*off).clone()),
            None => Err(timeline["intervals"].to_string()),
        }
    })
    .await;
    assert_eq!(dark["source"], "journal", "{dark:#}");

    // A later fault of the other one has arrived, so everything before it has.
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    stack.ticket("K-0001", "cover_open").await;
    let on = timeline(&stack, "K-0001").await.unwrap();
    assert!(intervals(&on, "OFF").is_empty(), "{on:#}");
    assert!(stack.tickets("K-0001", "kiosk_offline").await.unwrap().is_empty());
    let uptime = stack.api().json("/api/v1/uptime?scope=kiosk&id=K-0001").await.unwrap();
    assert!(uptime["causes"].get("power").is_none(), "{uptime:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_while_broker_or_server_are_dead_arrive_and_nobody_is_called_offline() {
    let mut stack = Plan::new(program()).kiosk("K-0001", "S-01").kiosk("K-0002", "S-02").start().await;
    let monitoring = stack.server.monitoring_api();

    stack.broker.kill().await.unwrap();
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    wait_until("/readyz to name the broker", PATIENCE, || async {
        let ready = monitoring.get("/readyz").await?;
        let named = ready.status == 503 && ready.body.to_string().contains("broker");
        if named { Ok(()) } else { Err(format!("{ready:?}")) }
    })
    .await;
    assert_eq!(monitoring.get("/livez").await.unwrap().status, 200);
    let deaf = |k: &Value| k["presence"]["state"] == "unknown";
    stack.kiosk_until("K-0001", "a kiosk nobody can hear to be unknown", deaf).await;
    silence_grows_long().await;
    stack.broker.restart().await.unwrap();
    let cover = stack.ticket("K-0001", "cover_open").await;

    stack.server.kill().await.unwrap();
    stack.kiosks[1].acceptor.set(|acceptor| acceptor.phase = Phase::StackerFull);
    silence_grows_long().await;
    stack.server.start().await.unwrap();
    stack.ticket("K-0002", "stacker_full").await;
    for id in ["K-0001", "K-0002"] {
        stack.kiosk_until(id, "the kiosk to be online again", |k| k["presence"]["state"] == "online").await;
    }
    no_tickets(&stack, "kiosk_offline").await;
    no_tickets(&stack, "site_offline").await;
    // The fault is dated when it happened, not when it arrived.
    let detail = stack.detail(&cover).await;
    assert!(detail["incidents"][0]["opened_at"].as_str() < cover["opened_at"].as_str(), "{detail:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crashed_database_holds_everything_back_and_loses_nothing() {
    let postgres = Postgres::start();
    let database = postgres.fresh_database().await;
    let mut stack =
        Plan::new(program()).kiosk("K-0001", "S-01").kiosk("K-0002", "S-01").database(database).start().await;
    let monitoring = stack.server.monitoring_api();

    postgres.crash();
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    wait_until("/readyz to name the database", PATIENCE, || async {
        let ready = monitoring.get("/readyz").await?;
        let named = ready.status == 503 && ready.body.to_string().contains("database");
        if named { Ok(()) } else { Err(format!("{ready:?}")) }
    })
    .await;
    assert_eq!(monitoring.get("/livez").await.unwrap().status, 200);
    silence_grows_long().await;
    assert!(stack.server.process_runs(), "{}", stack.server.log());

    postgres.resume();
    stack.server.ready(PATIENCE).await.unwrap();
    stack.ticket("K-0001", "cover_open").await;
    stack.kiosks[0].printer.set(|printer| printer.cover_open = false);
    stack.ticket_in("K-0001", "cover_open", &["resolved"]).await;
    stack.all_in_service().await;
    no_tickets(&stack, "kiosk_offline").await;
    no_tickets(&stack, "site_offline").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_database_is_away_still_ends_when_told_to() {
    let postgres = Postgres::start();
    let database = postgres.fresh_database().await;
    let mut stack = Plan::new(program()).kiosk("K-0001", "S-01").database(database).start().await;
    postgres.crash();
    let monitoring = stack.server.monitoring_api();
    wait_until("/readyz to name the database", PATIENCE, || async {
        let ready = monitoring.get("/readyz").await?;
        if ready.status == 503 { Ok(()) } else { Err(format!("{ready:?}")) }
    })
    .await;
    assert!(stack.server.stop().await.unwrap(), "it had to be killed:\n{}", stack.server.log());
    postgres.resume();
    stack.server.start().await.unwrap();
    stack.all_in_service().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_line_is_one_ticket_and_only_who_stays_away_gets_another() {
    let plan = Plan::new(program()).kiosk("K-0001", "S-01").kiosk("K-0002", "S-01").kiosk("K-0003", "S-01");
    let mut stack = plan.kiosk("K-0004", "S-02").start().await;

    stack.line("S-01").set(LineState::Cut);
    let site = stack.ticket("S-01", "site_offline").await;
    no_tickets(&stack, "kiosk_offline").await;
    // One of them dies in the dark.
    stack.kiosks[2].lose_power().await.unwrap();
    stack.line("S-01").set(LineState::Up);
    let own = stack.ticket("K-0003", "kiosk_offline").await;
    assert_ne!(own["id"], site["id"]);
    let over = stack.ticket_in("S-01", "site_offline", &["resolved"]).await;
    assert_eq!(over["id"], site["id"]);
    for id in ["K-0001", "K-0002", "K-0004"] {
        assert!(stack.tickets(id, "kiosk_offline").await.unwrap().is_empty(), "{id}");
        stack.kiosk_until(id, "the others to be online", |k| k["presence"]["state"] == "online").await;
        // They went on working and wrote it down.
        let on = timeline(&stack, id).await.unwrap();
        assert!(intervals(&on, "OFF").is_empty(), "{on:#}");
    }
    stack.kiosks[2].boot().unwrap();
    stack.ticket_in("K-0003", "kiosk_offline", &["resolved"]).await;
}
