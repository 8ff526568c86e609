//! Everything dies again and again, and whatever carries the messages lies: nothing is lost, nothing counts
//! twice, nobody is called offline for it.
//!
//! `kioskwatch-sim chaos` runs the same by the thousand; here it is what fits a test run.
use std::{path::Path, time::Duration};

use kioskwatch_tests::{
    chaos::{self, BrokerKind, DatabaseKind, Options, Victim},
    harness::{
        application::Application,
        stack::{PATIENCE, Plan},
        wait::wait_until,
    },
    treachery::Odds,
};

use crate::program;

/// A message may be lost more than once, and so may its acknowledgement; each costs up to 20 s.
const SEVERAL_RESENDS: Duration = Duration::from_secs(180);

fn everybody(broker: BrokerKind, database: DatabaseKind, cycles: u32) -> Options {
    Options { victims: Vec::new(), database, cycles, broker, seed: 1, kiosks: 3, keep: false }
}

async fn nothing_is_lost(broker: BrokerKind, database: DatabaseKind, cycles: u32) {
    let options = everybody(broker, database, cycles);
    let verdict = chaos::run(Path::new(program()), &options, |_| ()).await.unwrap();
    assert!(verdict.all_right(), "{verdict}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_kills_lose_nothing_and_count_nothing_twice() {
    nothing_is_lost(BrokerKind::Mosquitto, DatabaseKind::Postgres, 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_kills_on_sqlite_lose_nothing_and_count_nothing_twice() {
    nothing_is_lost(BrokerKind::Mosquitto, DatabaseKind::Sqlite, 30).await;
}

#[tokio::test]
async fn a_file_that_dies_with_its_server_is_no_victim_of_its_own() {
    let sqlite = everybody(BrokerKind::Mosquitto, DatabaseKind::Sqlite, 1);
    let options = Options { victims: vec![Victim::Agent, Victim::Database], ..sqlite };
    let refused = chaos::run(Path::new(program()), &options, |_| ()).await.unwrap_err();
    assert!(refused.contains("dies with the victim server"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_kills_under_a_broker_that_cannot_be_trusted_lose_nothing() {
    nothing_is_lost(BrokerKind::Treacherous, DatabaseKind::Postgres, 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_loses_doubles_delays_and_forgets_costs_no_ticket_and_none_twice() {
    let plan = Plan::new(program()).kiosk("K-0001", "S-01").kiosk("K-0002", "S-01");
    let mut stack = plan.treacherous_broker(7, Odds::TREACHEROUS).start_without_kiosks().await;
    for kiosk in &mut stack.kiosks {
        kiosk.boot().unwrap();
    }
    for open in [true, false, true, false, true, false] {
        for kiosk in &stack.kiosks {
            kiosk.printer.set(|printer| printer.cover_open = open);
        }
        wait_until("both covers to be seen as they are", SEVERAL_RESENDS, || async {
            for id in ["K-0001", "K-0002"] {
                let seen = stack.kiosk(id).await?;
                let printer = &seen["peripherals"]["printer"];
                if printer["status"].is_null() || shows(&seen, "cover_open") != open {
                    return Err(seen.to_string());
                }
            }
            Ok(())
        })
        .await;
    }
    for id in ["K-0001", "K-0002"] {
        // One problem that comes back within its quiet time is one ticket, opened again.
        stack.ticket(id, "cover_open").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_never_acknowledged_by_the_broker_builds_a_new_connection() {
    let never_acknowledged = Odds { withhold: 1_000, ..Odds::HONEST };
    let plan = Plan::new(program()).kiosk("K-0001", "S-01").treacherous_broker(1, never_acknowledged);
    let mut stack = plan.start_without_kiosks().await;
    let kiosk = &mut stack.kiosks[0];
    kiosk.set_env("KIOSKWATCH__MQTT__STALLED_AFTER_S", "3");
    kiosk.boot().unwrap();
    let application = Application::start(&kiosk.socket(), 2);
    // Its window of unacknowledged messages is full before long.
    wait_until("the agent's watchdog to give the connection up", PATIENCE, || async {
        let log = stack.kiosks[0].log();
        if log.contains("no acknowledgement for too long") { Ok(()) } else { Err(log) }
    })
    .await;
    wait_until("the server to give its connection up", 2 * PATIENCE, || async {
        let log = stack.server.log();
        if log.contains("the broker withholds its acknowledgements") { Ok(()) } else { Err(log) }
    })
    .await;
    stack.broker.become_honest().unwrap();
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    stack.ticket("K-0001", "cover_open").await;
    assert!(application.kept() > 0);
}

fn shows(kiosk: &serde_json::Value, fault: &str) -> bool {
    kiosk["peripherals"]["printer"]["faults"].to_string().contains(fault)
}
