//! Who a kiosk is: nobody knows it, somebody else says they are it, or its disk was copied.
use std::path::Path;

use kioskwatch_tests::{
    emulator::Phase,
    harness::{
        proxy::LineState,
        stack::{PATIENCE, Plan},
        wait::wait_until,
    },
};
use serde_json::json;

use crate::{possible::figures_are_possible, program};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_kiosk_is_shown_and_its_journal_waits_for_approval() {
    let plan = Plan::new(program()).kiosk("K-0001", "S-01").unknown_kiosks("quarantine");
    let stack = plan.start().await;
    let mut stranger = stack.build_kiosk("K-0002", Some("S-01"), "");
    stranger.boot().unwrap();
    let seen = stack
        .kiosk_until("K-0002", "the stranger to be shown with its devices", |k| {
            k["admission"] == "quarantined" && k["peripherals"]["printer"]["driver"] == "escpos"
        })
        .await;
    assert_eq!(seen["presence"]["state"], "online", "{seen:#}");
    stranger.printer.set(|printer| printer.cover_open = true);
    let series = "kioskwatch_messages_total{channel=\"other\",outcome=\"not_admitted\"}";
    wait_until("its journal to be turned away", PATIENCE, || async {
        let count = stack.metric(series).await?;
        let log = stranger.log();
        let told = log.contains("fault=cover_open");
        if count >= 1.0 && told { Ok(()) } else { Err(format!("{count} messages; {told}")) }
    })
    .await;
    // The journal of another one that came later than the stranger's fault: the server has been through it.
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    stack.ticket("K-0001", "cover_open").await;
    assert!(stack.tickets("K-0002", "cover_open").await.unwrap().is_empty());

    let approved = stack.api().put("/api/v1/kiosks/K-0002", json!({"site": "S-01"})).await.unwrap();
    assert_eq!(approved.status, 200, "{}", approved.body);
    assert_eq!(approved.body["admission"], "accepted");
    stack.ticket("K-0002", "cover_open").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_agents_with_one_id_are_a_security_event() {
    let stack = Plan::new(program()).kiosk("K-0001", "S-01").start().await;
    let mut twin = stack.build_kiosk("K-0001", Some("S-01"), "-twin");
    twin.boot().unwrap();
    stack.metric_reaches("kioskwatch_security_events_total{event=\"two_agents\"}", 1.0).await;
    twin.lose_power().await.unwrap();
    let boot = std::fs::read_to_string(stack.kiosks[0].dir.join("boot_id")).unwrap();
    let is_the_first = |k: &serde_json::Value| k["presence"]["state"] == "online" && k["boot"] == *boot;
    stack.kiosk_until("K-0001", "the first of them to be heard again", is_the_first).await;
    figures_are_possible(&stack, "K-0001", 0).await;
}

/// As an image of a disk has it.
fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_machines_with_one_disk_the_one_that_is_left_goes_on_and_its_faults_are_tickets() {
    let mut stack = Plan::new(program()).kiosk("K-0001", "S-01").start().await;
    stack.kiosks[0].kill_agent().await.unwrap();
    let mut twin = stack.build_kiosk("K-0001", Some("S-01"), "-twin");
    copy_dir(&stack.kiosks[0].journal_dir(), &twin.journal_dir());
    stack.kiosks[0].start_agent().unwrap();
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    let first = stack.ticket("K-0001", "cover_open").await;
    stack.kiosks[0].printer.set(|printer| printer.cover_open = false);
    stack.ticket_in("K-0001", "cover_open", &["resolved"]).await;
    let epoch = stack.kiosk("K-0001").await.unwrap()["epoch"].clone();

    // The copy finds its numbers taken, and begins an epoch that becomes the kiosk's.
    stack.kiosks[0].kill_agent().await.unwrap();
    twin.boot().unwrap();
    stack.kiosk_until("K-0001", "the copy to begin anew", |k| k["epoch"] != epoch).await;
    twin.lose_power().await.unwrap();
    let copied = stack.kiosk("K-0001").await.unwrap()["epoch"].clone();
    stack.kiosks[0].start_agent().unwrap();
    stack.kiosks[0].acceptor.set(|acceptor| acceptor.phase = Phase::ValidatorJam);

    stack.ticket("K-0001", "note_jam").await;
    let left = stack.kiosk("K-0001").await.unwrap();
    assert!(left["epoch"] != copied && left["epoch"] != epoch, "an epoch of its own: {left:#}");
    assert_eq!(stack.ticket("K-0001", "cover_open").await["id"], first["id"], "nothing is told twice");
    // Somebody has to look at this machine, and can close the matter.
    let fork = stack.ticket("K-0001", "journal_fork").await;
    let id = fork["id"].as_str().unwrap();
    let resolve = format!("/api/v1/tickets/{id}/actions/resolve");
    let done = stack.api().post(&resolve, json!({"resolution": "the copy was taken away"})).await.unwrap();
    assert!((200..300).contains(&done.status), "{done:?}");
    stack.ticket_in("K-0001", "journal_fork", &["resolved", "closed"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_disk_begins_a_new_epoch_and_nothing_is_lost_or_told_twice() {
    let mut stack = Plan::new(program()).kiosk("K-0001", "S-01").start().await;
    let image = stack.dir.path().join("image");
    let first = stack.kiosk("K-0001").await.unwrap()["epoch"].clone();
    stack.kiosks[0].kill_agent().await.unwrap();
    copy_dir(&stack.kiosks[0].journal_dir(), &image);
    stack.kiosks[0].start_agent().unwrap();
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    let before = stack.ticket("K-0001", "cover_open").await;

    // The disk goes back in time, and something happens before the server is reached again.
    stack.kiosks[0].kill_agent().await.unwrap();
    std::fs::remove_dir_all(stack.kiosks[0].journal_dir()).unwrap();
    copy_dir(&image, &stack.kiosks[0].journal_dir());
    stack.line("S-01").set(LineState::Cut);
    stack.kiosks[0].acceptor.set(|acceptor| acceptor.phase = Phase::ValidatorJam);
    let log = stack.kiosks[0].log().len();
    stack.kiosks[0].start_agent().unwrap();
    wait_until("the jam to be in the old journal", PATIENCE, || async {
        let log = stack.kiosks[0].log()[log..].to_owned();
        if log.contains("fault=note_jam") { Ok(()) } else { Err(log) }
    })
    .await;
    stack.line("S-01").set(LineState::Up);

    let jam = stack.ticket("K-0001", "note_jam").await;
    let now = stack.kiosk("K-0001").await.unwrap();
    assert_ne!(now["epoch"], first, "{now:#}");
    let still = stack.ticket("K-0001", "cover_open").await;
    assert_eq!(still["id"], before["id"]);
    assert_ne!(still["state"], "resolved", "the cover is still open: {still:#}");

    stack.kiosks[0].printer.set(|printer| printer.cover_open = false);
    stack.kiosks[0].acceptor.set(|acceptor| acceptor.phase = Phase::Disabled);
    assert_eq!(stack.ticket_in("K-0001", "cover_open", &["resolved"]).await["id"], before["id"]);
    assert_eq!(stack.ticket_in("K-0001", "note_jam", &["resolved"]).await["id"], jam["id"]);
    // Numbers the server knew came with another story: somebody has to look at this machine.
    stack.ticket("K-0001", "journal_fork").await;
}
