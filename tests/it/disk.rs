//! Full disks, at the kiosk and at the server: nothing is lost, nothing is acknowledged that is not kept.
use std::io::Write as _;

use kioskwatch_tests::{
    emulator::Phase,
    harness::{
        server::Workdir,
        stack::{PATIENCE, Plan, Stack},
        tmpfs::Tmpfs,
        wait::wait_until,
    },
};

use crate::program;

/// Says so where this test proves nothing.
fn only_root_can_mount() {
    let _ = writeln!(std::io::stderr(), "not tested here: mounting a small file system takes root");
}

async fn readyz_says(stack: &Stack, word: &str) {
    let monitoring = stack.server.monitoring_api();
    wait_until("/readyz to say what is missing", PATIENCE, || async {
        let ready = monitoring.get("/readyz").await?;
        let named = ready.status == 503 && ready.body.to_string().contains(word);
        if named { Ok(()) } else { Err(format!("{ready:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_on_a_full_disk_keeps_running_and_tells_everything_once_there_is_room() {
    let mut stack = Plan::new(program()).kiosk("K-0001", "S-01").start_without_kiosks().await;
    let Some(disk) = Tmpfs::mount(&stack.kiosks[0].journal_dir(), "1m") else {
        return only_root_can_mount();
    };
    stack.kiosks[0].boot().unwrap();
    stack.all_in_service().await;
    let pid = stack.kiosks[0].agent().unwrap().id();

    // What the journal has set aside for this hour goes first, then that is taken as well.
    disk.fill().unwrap();
    wait_until("the journal to live on its reserve", PATIENCE, || async {
        let log = stack.kiosks[0].log();
        if log.contains("has room again") { Ok(()) } else { Err(log) }
    })
    .await;
    disk.fill().unwrap();
    let log = stack.kiosks[0].log().len();
    wait_until("the journal to have no room at all", PATIENCE, || async {
        let log = stack.kiosks[0].log()[log..].to_owned();
        if log.contains("no room for the journal") { Ok(()) } else { Err(log) }
    })
    .await;
    let log = stack.kiosks[0].log().len();
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    stack.kiosks[0].acceptor.set(|acceptor| acceptor.phase = Phase::StackerFull);
    let kiosk = &stack.kiosks[0];
    wait_until("the agent to find both faults, full disk or not", PATIENCE, || async {
        let log = kiosk.log()[log..].to_owned();
        let found = log.contains("fault=cover_open") && log.contains("fault=stacker_full");
        if found { Ok(()) } else { Err(log) }
    })
    .await;
    // Heartbeats go on: a full disk is no dead kiosk.
    for _ in 0..6 {
        let heard = stack.kiosk("K-0001").await.unwrap()["presence"]["last_seen_at"].clone();
        let again = |k: &serde_json::Value| {
            k["presence"]["state"] == "online" && k["presence"]["last_seen_at"].as_str() > heard.as_str()
        };
        stack.kiosk_until("K-0001", "another heartbeat", again).await;
    }

    disk.make_room().unwrap();
    stack.ticket("K-0001", "cover_open").await;
    stack.ticket("K-0001", "stacker_full").await;
    let agent = stack.kiosks[0].agent().unwrap();
    assert!(agent.runs() && agent.id() == pid, "it was never started again");
    assert!(stack.tickets("K-0001", "kiosk_offline").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_on_a_full_disk_says_so_acknowledges_nothing_and_goes_on_once_there_is_room() {
    let place = Workdir::new("kioskwatch-it").unwrap();
    let Some(disk) = Tmpfs::mount(place.path(), "6m") else { return only_root_can_mount() };
    let plan = Plan::new(program()).kiosk("K-0001", "S-01").server_dir(place.path().join("server"));
    let mut stack = plan.start().await;

    disk.fill().unwrap();
    readyz_says(&stack, "database").await;
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    let agent = stack.kiosks[0].log();
    wait_until("the agent to have recorded the fault", PATIENCE, || async {
        let log = stack.kiosks[0].log();
        if log[agent.len()..].contains("cover_open") { Ok(()) } else { Err("no fault yet".to_owned()) }
    })
    .await;
    assert!(stack.tickets("K-0001", "cover_open").await.unwrap().is_empty());
    assert!(stack.server.process_runs(), "{}", stack.server.log());

    disk.make_room().unwrap();
    stack.server.ready(PATIENCE).await.unwrap();
    stack.ticket("K-0001", "cover_open").await;
    assert!(stack.tickets("K-0001", "kiosk_offline").await.unwrap().is_empty());
}
