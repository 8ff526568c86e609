//! Serial lines as the field knows them: silent, echoing, chattering, unplugged, in use by somebody else.
use kioskwatch_tests::{
    emulator::{LineFault, Phase},
    harness::{
        process::Program,
        stack::{PATIENCE, Plan},
        wait::wait_until,
    },
};
use serde_json::{Value, json};

use crate::program;

fn faults<'a>(kiosk: &'a Value, peripheral: &str) -> &'a Value {
    &kiosk["peripherals"][peripheral]["faults"]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sick_line_is_named_by_its_sickness_and_forgotten_when_it_is_well() {
    let stack = Plan::new(program()).kiosk("K-0001", "S-01").start().await;
    let kiosk = &stack.kiosks[0];

    kiosk.printer.line().set_fault(LineFault::Silent);
    kiosk.ups.line().set_fault(LineFault::Echo);
    kiosk.acceptor.line().set_fault(LineFault::Chatter);
    let sick = stack
        .kiosk_until("K-0001", "each line to have its fault", |k| {
            *faults(k, "printer") == json!(["comm_timeout"])
                && *faults(k, "ups") == json!(["comm_garbled"])
                && *faults(k, "acceptor") == json!(["comm_garbled"])
        })
        .await;
    assert_eq!(sick["presence"]["state"], "online");
    stack.ticket("K-0001", "comm_timeout").await;

    for line in [kiosk.printer.line(), kiosk.ups.line(), kiosk.acceptor.line()] {
        line.set_fault(LineFault::None);
    }
    stack
        .kiosk_until("K-0001", "every line to be well", |k| {
            ["printer", "ups", "acceptor"].iter().all(|p| *faults(k, p) == json!([]))
        })
        .await;
    stack.all_in_service().await;
    stack.ticket_in("K-0001", "comm_timeout", &["resolved"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unplugged_adapter_is_missing_until_it_is_plugged_in_again() {
    let stack = Plan::new(program()).kiosk("K-0001", "S-01").start().await;
    let printer = &stack.kiosks[0].printer;

    printer.line().unplug();
    stack
        .kiosk_until("K-0001", "the port to be missing", |k| {
            *faults(k, "printer") == json!(["port_missing"])
                && k["peripherals"]["printer"]["status"] == "no_device"
        })
        .await;
    let missing = stack.ticket("K-0001", "port_missing").await;
    printer.line().replug().unwrap();
    let resolved = stack.ticket_in("K-0001", "port_missing", &["resolved"]).await;
    assert_eq!(resolved["id"], missing["id"]);
    stack.all_in_service().await;
    // The device behind the new terminal is really spoken to.
    printer.set(|printer| printer.cover_open = true);
    stack.ticket("K-0001", "cover_open").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_left_alone_and_taken_when_it_is_free() {
    let mut stack = Plan::new(program()).kiosk("K-0001", "S-01").start_without_kiosks().await;
    let port = stack.kiosks[0].printer.path().display().to_string();
    let holder = Program::new("/bin/sh", stack.dir.path().join("holder.log"))
        .arg("-c")
        .arg(format!("exec sleep 600 0<> {port}"))
        .start()
        .unwrap();
    wait_until("another program to hold the port", PATIENCE, || async {
        let held = stack.kiosks[0].printer.line().host_present();
        if held { Ok(()) } else { Err(holder.log()) }
    })
    .await;

    stack.kiosks[0].boot().unwrap();
    let busy = stack
        .kiosk_until("K-0001", "the port to be busy, and the others well", |k| {
            k["peripherals"]["printer"]["status"] == "port_busy"
                && k["peripherals"]["acceptor"]["status"] == "online"
        })
        .await;
    assert_eq!(*faults(&busy, "printer"), json!([]), "somebody else's port is no defect");
    assert_eq!(stack.kiosks[0].printer.line().received_total(), 0, "not one byte was sent");

    holder.kill().await.unwrap();
    stack.all_in_service().await;
    assert!(stack.kiosks[0].printer.line().received_total() > 0);
    assert!(stack.api().list("/api/v1/tickets").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acceptor_that_somebody_else_enabled_gets_not_one_byte_more() {
    let stack = Plan::new(program()).kiosk("K-0001", "S-01").start().await;
    let kiosk = &stack.kiosks[0];

    kiosk.acceptor.set(|acceptor| {
        acceptor.enabled = [0xFF; 3];
        acceptor.phase = Phase::Idling;
    });
    let ticket = stack.ticket("K-0001", "acceptor_not_ours").await;
    assert_eq!(ticket["severity"], "major");
    let sent = kiosk.acceptor.line().received_total();
    // A customer pays; the agent goes on with its other work and keeps away from this.
    assert!(kiosk.acceptor.insert_note(2));
    for open in [true, false] {
        kiosk.printer.set(|printer| printer.cover_open = open);
        stack
            .kiosk_until("K-0001", "the printer to be watched still", |k| {
                (*faults(k, "printer") != json!([])) == open
            })
            .await;
    }
    assert_eq!(kiosk.acceptor.line().received_total(), sent, "{:?}", kiosk.acceptor.received());
    assert_eq!(kiosk.acceptor.state().notes.credits_taken, 0);
}
