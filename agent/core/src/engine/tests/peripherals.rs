//! Faults, lines and modes.
use kioskwatch_proto::{
    Timestamp,
    faults::FaultCode,
    journal::FaultDetail,
    local::{LeaseRequest, PushedFault, PushedPeripheral},
    words::{PeripheralStatus, PortMode, ServiceState},
};

use super::bench::*;
use crate::{
    config::ApplicationGate,
    drivers::Work,
    effect::{CloseReason, Effect, LocalRefusal, Note},
    input::{Input, Local, PortTrouble},
};

#[test]
fn a_fault_becomes_a_record_well_under_a_second_after_it_was_first_seen() {
    let mut bench = Bench::printer();
    bench.pass(10_000);
    bench.forget_log();
    bench.answer("printer", "fault:paper_out");
    let began = bench.mono;
    bench.pass(3_000);
    let raised = bench.log.iter().find(|(_, e)| matches!(e, Effect::Record(_))).unwrap().0;
    assert!(raised - began <= 1_000 + 400, "{} ms", raised - began);
    assert_eq!(
        bench.said(),
        ["+printer/paper_out", "printer is user_error", "service out_of_service (printer: paper_out)"]
    );
    bench.forget_log();
    bench.answer("printer", "ok");
    bench.pass(3_000);
    assert_eq!(bench.said(), ["-printer/paper_out", "printer is online", "service in_service ()"]);
}

#[test]
fn a_device_that_says_who_it_is_only_after_a_reading_is_asked_again() {
    let mut bench = Bench::new(ApplicationGate::None, vec![shy_device("printer", "printer")]);
    bench.answer("printer", "fault:paper_out");
    bench.pass(3_000);
    assert_eq!(bench.sent("printer", Work::Identify), 0);
    let probes = bench.sent("printer", Work::Probe);
    assert!(probes <= 6, "{probes} probes: a refusal is no reason to hurry");
    bench.answer("printer", "ok");
    bench.pass(10_000);
    assert_eq!(bench.sent("printer", Work::Identify), 1);
    let epoch = kioskwatch_proto::Epoch(uuid::Uuid::from_u128(9));
    let inventory = bench.engine.inventory(epoch);
    assert_eq!(inventory.peripherals[0].model.as_deref(), Some("M1"));
    assert!(bench.log.iter().any(|(_, e)| *e == Effect::InventoryChanged));
}

#[test]
fn one_bad_look_is_never_told() {
    let mut bench = Bench::printer();
    bench.pass(10_000);
    bench.forget_log();
    bench.answer("printer", "junk");
    let probes = bench.sent("printer", Work::Probe);
    while bench.sent("printer", Work::Probe) == probes {
        bench.pass(10);
    }
    bench.pass(30);
    bench.answer("printer", "ok");
    bench.pass(10_000);
    assert!(bench.said().is_empty(), "{:?}", bench.said());
}

#[test]
fn silence_noise_absence_and_occupation_are_different_things() {
    for (make, expected) in [
        ("silent", ["+printer/comm_timeout", "printer is offline"].as_slice()),
        ("junk", &["+printer/comm_garbled", "printer is hardware_error"]),
        ("missing", &["+printer/port_missing", "printer is no_device"]),
        ("busy", &["printer is port_busy"]),
        ("denied", &["printer is unknown"]),
    ] {
        let mut bench = Bench::printer();
        bench.pass(10_000);
        bench.forget_log();
        let mut trouble = |trouble: PortTrouble| {
            bench.ports.insert("printer".into(), trouble.clone());
            bench.input(Input::PortTrouble { peripheral: name("printer"), trouble });
        };
        match make {
            "silent" => bench.silence("printer"),
            "junk" => bench.answer("printer", "junk"),
            "missing" => trouble(PortTrouble::Missing),
            "busy" => trouble(PortTrouble::Busy { holder: Some("app".into()) }),
            _ => trouble(PortTrouble::Denied),
        }
        bench.pass(5_000);
        let said = bench.said();
        assert_eq!(said[..expected.len()], *expected, "{make}");
        assert!(said.len() <= expected.len() + 1, "{make}: {said:?}");
    }
}

#[test]
fn a_port_that_comes_back_is_used_again() {
    let mut bench = Bench::printer();
    bench.pass(5_000);
    bench.ports.insert("printer".into(), PortTrouble::Missing);
    bench.input(Input::PortTrouble { peripheral: name("printer"), trouble: PortTrouble::Broken });
    bench.pass(5_000);
    assert_eq!(bench.status("printer"), PeripheralStatus::NoDevice);
    bench.ports.clear();
    bench.pass(5_000);
    assert_eq!(bench.status("printer"), PeripheralStatus::Online);
    let said = bench.said();
    assert!(said.contains(&"-printer/port_missing".to_owned()), "{said:?}");
}

#[test]
fn an_acceptor_somebody_else_enabled_is_left_alone_for_good() {
    let devices = vec![device("acceptor", "bill_acceptor", PortMode::Owned)];
    let mut bench = Bench::new(ApplicationGate::None, devices);
    bench.pass(5_000);
    bench.forget_log();
    bench.answer("acceptor", "stolen");
    bench.pass(2_000);
    assert!(bench.said().contains(&"+acceptor/acceptor_not_ours".to_owned()), "{:?}", bench.said());
    assert!(
        bench.log.iter().any(|(_, e)| matches!(e, Effect::ClosePort { reason: CloseReason::NotOurs, .. }))
    );
    bench.forget_log();
    bench.answer("acceptor", "ok");
    bench.pass(600_000);
    let opened =
        bench.log.iter().any(|(_, e)| matches!(e, Effect::OpenPort { .. } | Effect::Transmit { .. }));
    assert!(!opened, "not one byte more");
    let told = bench.run("probe", only("acceptor"));
    assert_eq!(states(&told), ["refused: not_ours"]);
}

fn pushed(code: Option<&str>, at: Timestamp, valid_for_s: u32) -> PushedPeripheral {
    let faults = code
        .map(|c| PushedFault { code: FaultCode::new(c).unwrap(), detail: FaultDetail::default() })
        .into_iter()
        .collect();
    PushedPeripheral { status: PeripheralStatus::Online, faults, at, valid_for_s }
}

#[test]
fn a_pushed_state_is_believed_at_once_and_becomes_stale_in_time() {
    let mut bench = Bench::new(REQUIRED, vec![device("reader", "card_unit", PortMode::Pushed)]);
    let at = bench.now().wall;
    bench.local(Local::Peripheral { name: name("reader"), state: pushed(Some("card_jam"), at, 60) });
    assert_eq!(bench.said()[2..4], ["+reader/card_jam", "reader is online"]);
    bench.pass(59_000);
    assert_eq!(bench.status("reader"), PeripheralStatus::Online);
    bench.pass(1_000);
    assert_eq!(bench.status("reader"), PeripheralStatus::Stale);
    let state = &bench.engine.snapshot(None).peripherals[&name("reader")];
    assert_eq!(state.faults.len(), 1, "a stale state clears nothing");
}

#[test]
fn what_the_agent_reads_itself_cannot_be_pushed() {
    let mut bench = Bench::printer();
    let at = bench.now().wall;
    bench.local(Local::Peripheral { name: name("printer"), state: pushed(None, at, 60) });
    bench.local(Local::Peripheral { name: name("nobody"), state: pushed(None, at, 60) });
    let refusals: Vec<_> = bench
        .log
        .iter()
        .filter_map(|(_, e)| if let Effect::Refused(r) = e { Some(*r) } else { None })
        .collect();
    assert_eq!(refusals, [LocalRefusal::OwnedByAgent, LocalRefusal::UnknownPeripheral]);
}

#[test]
fn a_leased_port_is_used_while_the_lease_lasts() {
    let mut bench = Bench::new(REQUIRED, vec![device("reader", "card_unit", PortMode::Lease)]);
    bench.pass(60_000);
    assert_eq!(bench.sent("reader", Work::Probe), 0);
    let request = LeaseRequest { peripheral: name("reader"), seconds: 5 };
    bench.local(Local::Lease { lease: "l1".into(), request: request.clone() });
    bench.pass(4_000);
    assert!(bench.sent("reader", Work::Probe) >= 3);
    assert_eq!(bench.status("reader"), PeripheralStatus::Online);
    bench.local(Local::EndLease { lease: "l1".into() });
    bench.forget_log();
    bench.pass(60_000);
    assert_eq!(bench.sent("reader", Work::Probe), 0);
    assert_eq!(bench.status("reader"), PeripheralStatus::PortBusy);
    bench.local(Local::Lease { lease: "l2".into(), request });
    bench.pass(6_000);
    bench.forget_log();
    bench.pass(60_000);
    assert_eq!(bench.sent("reader", Work::Probe), 0, "a lease ends by itself");
}

#[test]
fn a_proxied_line_is_listened_to_and_never_written_to() {
    let mut bench = Bench::new(REQUIRED, vec![device("acceptor", "bill_acceptor", PortMode::Proxy)]);
    for _ in 0..20 {
        bench.pass(1_000);
        bench.input(Input::Bytes { peripheral: name("acceptor"), bytes: b"ok".to_vec() });
    }
    assert_eq!(bench.status("acceptor"), PeripheralStatus::Online);
    assert!(!bench.log.iter().any(|(_, e)| matches!(e, Effect::Transmit { .. })));
    bench.pass(60_000);
    assert_eq!(bench.status("acceptor"), PeripheralStatus::Stale);
}

#[test]
fn an_optional_peripheral_only_degrades() {
    let mut setup = device("printer", "printer", PortMode::Owned);
    setup.config.required = false;
    let mut bench = Bench::new(ApplicationGate::None, vec![setup]);
    bench.answer("printer", "fault:paper_out");
    bench.pass(5_000);
    assert_eq!(bench.service(), ServiceState::Degraded);
}

#[test]
fn flapping_is_said_once_and_the_fault_stays_raised() {
    let mut bench = Bench::printer();
    bench.pass(5_000);
    bench.forget_log();
    for turn in 0..40 {
        bench.answer("printer", if turn % 2 == 0 { "fault:cover_open" } else { "ok" });
        bench.pass(3_000);
    }
    let faults = bench.said().iter().filter(|s| s.contains("/cover_open")).count();
    assert!(faults <= 9, "{faults} records");
    let began = bench
        .log
        .iter()
        .filter(|(_, e)| matches!(e, Effect::Note(Note::Flapping { fault: Some(_), began: true, .. })));
    assert_eq!(began.count(), 1);
    assert!(bench.engine.snapshot(None).peripherals[&name("printer")].faults.len() == 1);
    bench.answer("printer", "ok");
    bench.pass(15 * 60 * 1000);
    assert_eq!(bench.status("printer"), PeripheralStatus::Online);
    assert_eq!(bench.service(), ServiceState::InService);
}

#[test]
fn the_identity_reaches_the_inventory() {
    let mut bench = Bench::printer();
    bench.forget_log();
    bench.pass(5_000);
    assert!(bench.log.iter().any(|(_, e)| matches!(e, Effect::InventoryChanged)));
    let inventory = bench.engine.inventory(kioskwatch_proto::Epoch(uuid::Uuid::nil()));
    assert_eq!(inventory.peripherals[0].model.as_deref(), Some("M1"));
    assert_eq!(inventory.actions, ["probe", "identify", "self_test"]);
}

#[test]
fn only_owned_and_leased_lines_ever_carry_a_byte_of_ours() {
    for (mode, writes) in [
        (PortMode::Owned, true),
        (PortMode::Pushed, false),
        (PortMode::Proxy, false),
        (PortMode::Lease, false),
    ] {
        let mut bench = Bench::new(ApplicationGate::None, vec![device("device", "printer", mode)]);
        bench.pass(120_000);
        for action in ["probe", "identify", "self_test"] {
            let told = bench.run(action, only("device"));
            let refused = states(&told) == ["refused: not_ours"];
            assert_eq!(refused, matches!(mode, PortMode::Pushed | PortMode::Proxy), "{mode} {action}");
        }
        bench.run("self_test", nothing());
        let wrote = bench.log.iter().any(|(_, e)| matches!(e, Effect::Transmit { .. }));
        assert_eq!(wrote, writes, "{mode}");
    }
}
