//! Starts, connections, heartbeats, the application's life, and the end.
use kioskwatch_proto::{
    Timestamp,
    heartbeat::HostLoad,
    journal::Body,
    local::PushedService,
    words::{PortMode, ServiceState, ShutdownReason},
};

use super::bench::*;
use crate::{
    config::{ApplicationGate, BootFacts, PreviousRun},
    effect::Effect,
    input::{Input, Local},
};

#[test]
fn a_start_says_boot_then_snapshot_then_what_it_sees() {
    let mut bench = Bench::printer();
    assert_eq!(bench.said(), ["boot", "snapshot"]);
    bench.pass(5_000);
    assert_eq!(bench.said()[2..], ["printer is online", "service in_service ()"]);
}

#[test]
fn a_boot_names_the_run_before_and_its_last_tick() {
    let previous =
        PreviousRun { boot: BOOT, alive_until: Timestamp(WALL - 9_000), clean: false, unrecorded: true };
    let facts = BootFacts { previous: Some(previous), ..BootFacts::first_start(BOOT) };
    let bench = Bench::started(ApplicationGate::None, Vec::new(), facts);
    let Body::Boot(boot) = &bench.records()[0] else { panic!("the first record is the boot") };
    assert_eq!(boot.previous_boot, Some(BOOT));
    assert_eq!(boot.previous_alive_until, Some(Timestamp(WALL - 9_000)));
    assert_eq!((boot.clean, boot.unrecorded), (false, true));
}

#[test]
fn a_fault_from_before_a_restart_is_neither_cleared_nor_raised_again() {
    let mut first = Bench::printer();
    first.answer("printer", "fault:paper_out");
    first.pass(5_000);
    let remembered = first.engine.snapshot(None);
    let previous = PreviousRun { boot: BOOT, alive_until: Timestamp(WALL), clean: true, unrecorded: false };
    let facts =
        BootFacts { previous: Some(previous), remembered: Some(remembered), ..BootFacts::first_start(BOOT) };
    let mut bench =
        Bench::started(ApplicationGate::None, vec![device("printer", "printer", PortMode::Owned)], facts);
    bench.answer("printer", "fault:paper_out");
    bench.pass(10_000);
    let faults: Vec<_> =
        bench.said().into_iter().filter(|s| s.contains("paper_out") && s.contains('/')).collect();
    assert!(faults.is_empty(), "{faults:?}");
    let Body::Snapshot(snapshot) = &bench.records()[1] else { panic!("the second record is the snapshot") };
    assert_eq!(snapshot.service, ServiceState::OutOfService);
    assert_eq!(snapshot.peripherals[&name("printer")].faults[0].as_str(), "paper_out");
}

#[test]
fn the_durable_tick_is_never_older_than_its_interval() {
    let mut bench = Bench::printer();
    bench.pass(100_000);
    let ticks: Vec<_> =
        bench.log.iter().filter(|(_, e)| matches!(e, Effect::Tick { .. })).map(|(at, _)| *at).collect();
    assert!(ticks.windows(2).all(|w| w[1] - w[0] <= 10_000), "{ticks:?}");
    assert!(bench.mono - ticks.last().unwrap() <= 10_000);
}

/// The tick and the last record are of one clock, whatever happened to it.
#[test]
fn a_wall_clock_that_was_set_is_told_with_a_tick_of_its_own() {
    for jump_ms in [-200 * 86_400_000, -3_600_000, -2_100, 2_100, 86_400_000, 30 * 365 * 86_400_000] {
        let mut bench = Bench::printer();
        bench.pass(60_000);
        bench.forget_log();
        bench.wall_offset += jump_ms;
        let wall = bench.now().wall;
        bench.input(Input::Wake);
        assert_eq!(bench.said().iter().filter(|said| said.starts_with("alive")).count(), 1, "{jump_ms}");
        let Some(Effect::Tick { until }) =
            bench.log.iter().map(|(_, e)| e).find(|e| matches!(e, Effect::Tick { .. }))
        else {
            panic!("no tick after a jump of {jump_ms} ms")
        };
        assert_eq!(*until, wall);
        bench.pass(60_000);
        assert_eq!(bench.said().iter().filter(|said| said.starts_with("alive")).count(), 1, "once");
    }
}

#[test]
fn two_that_set_the_wall_clock_against_each_other_do_not_fill_the_journal() {
    let mut bench = Bench::printer();
    bench.forget_log();
    for n in 0..600 {
        bench.wall_offset += if n % 2 == 0 { 5_000 } else { -5_000 };
        bench.pass(100);
    }
    assert!(bench.said().iter().filter(|said| said.starts_with("alive")).count() <= 7, "one in ten seconds");
    bench.wall_offset += 5_000;
    bench.pass(20_000);
    let last_tick = bench.log.iter().rev().find_map(|(at, e)| match e {
        Effect::Tick { until } => Some((*at, *until)),
        _ => None,
    });
    let (at, until) = last_tick.unwrap();
    assert_eq!(until.ms(), bench.wall_offset + i64::try_from(at).unwrap());
}

#[test]
fn a_wall_clock_that_drifts_is_told_when_it_comes_to_something() {
    let mut bench = Bench::printer();
    bench.forget_log();
    for _ in 0..300 {
        bench.pass(10_000);
        bench.wall_offset += 10;
    }
    assert_eq!(bench.said().iter().filter(|said| said.starts_with("alive")).count(), 1);
}

#[test]
fn heartbeats_go_out_only_while_connected_and_count_per_session() {
    let mut bench = Bench::printer();
    bench.pass(60_000);
    assert!(!bench.log.iter().any(|(_, e)| matches!(e, Effect::Heartbeat(_))));
    bench.input(Input::ConnectionUp { session: SESSION });
    bench.pass(95_000);
    let beats: Vec<_> = bench
        .log
        .iter()
        .filter_map(|(at, e)| if let Effect::Heartbeat(h) = e { Some((*at, h.clone())) } else { None })
        .collect();
    assert_eq!(
        beats.iter().map(|(_, h)| h.seq).collect::<Vec<_>>(),
        (1..=beats.len() as u64).collect::<Vec<_>>()
    );
    assert!(beats.windows(2).all(|w| w[1].0 - w[0].0 <= 30_000));
    assert_eq!(beats[0].1.session, SESSION);
    assert_eq!(beats[0].1.service, ServiceState::InService);
}

#[test]
fn something_a_moment_before_does_not_make_a_heartbeat_late() {
    let mut bench = Bench::printer();
    bench.input(Input::ConnectionUp { session: SESSION });
    bench.pass(30_000);
    let last = |bench: &Bench| {
        bench.log.iter().rev().find(|(_, e)| matches!(e, Effect::Heartbeat(_))).map(|(at, _)| *at).unwrap()
    };
    for before in 1..=6 {
        let due = last(&bench) + 30_000;
        bench.pass(due - before - bench.mono);
        bench.local(Local::EndLease { lease: "none".into() });
        bench.pass(before);
        assert_eq!(last(&bench), due, "an input {before} ms before it was due");
    }
}

#[test]
fn alive_is_said_after_a_gap_and_not_after_a_hiccup() {
    let mut bench = Bench::printer();
    bench.pass(10_000);
    bench.input(Input::ConnectionUp { session: SESSION });
    bench.input(Input::ConnectionDown);
    bench.pass(29_000);
    bench.input(Input::ConnectionUp { session: SESSION });
    assert!(!bench.said().contains(&"alive".to_owned()));
    bench.input(Input::ConnectionDown);
    bench.pass(30_000);
    bench.input(Input::ConnectionUp { session: SESSION });
    assert!(bench.said().contains(&"alive".to_owned()));
}

#[test]
fn a_required_application_that_falls_silent_is_a_fault_and_out_of_service() {
    let mut bench = Bench::new(REQUIRED, vec![device("printer", "printer", PortMode::Owned)]);
    bench.pass(10_000);
    assert_eq!(bench.service(), ServiceState::OutOfService, "not heard yet");
    bench.local(Local::Service(PushedService { state: ServiceState::InService, cause: None }));
    assert_eq!(bench.service(), ServiceState::InService);
    bench.pass(59_000);
    assert_eq!(bench.service(), ServiceState::InService);
    bench.forget_log();
    bench.pass(2_000);
    assert_eq!(bench.said(), ["+host/application_down", "service out_of_service (application_down)"]);
    bench.forget_log();
    bench.local(Local::Busy(FREE));
    assert_eq!(bench.said(), ["-host/application_down", "service in_service ()"]);
}

#[test]
fn a_person_at_the_machine_makes_it_supervised() {
    let mut bench = Bench::printer();
    bench.pass(5_000);
    bench.local(Local::Service(PushedService { state: ServiceState::Supervised, cause: Some("li".into()) }));
    assert_eq!(bench.said().last().unwrap(), "service supervised (li)");
}

#[test]
fn faults_of_the_terminal_do_not_touch_the_service() {
    let mut bench = Bench::printer();
    bench.pass(5_000);
    bench.input(Input::Host(HostLoad { disk_used_ratio: Some(0.99), ..HostLoad::default() }));
    bench.input(Input::ServerTime(bench.now().wall.plus_ms(-300_000)));
    assert_eq!(bench.service(), ServiceState::InService);
    assert_eq!(bench.said()[4..], ["+host/disk_full", "+host/clock_wrong"]);
    let host = &bench.engine.snapshot(None).peripherals[&name("host")];
    assert_eq!(host.faults.len(), 2);
}

#[test]
fn a_shutdown_is_the_last_word() {
    let mut bench = Bench::printer();
    bench.pass(5_000);
    bench.forget_log();
    bench.input(Input::Shutdown(ShutdownReason::Planned));
    let kinds: Vec<_> = bench.log.iter().map(|(_, e)| e.clone()).collect();
    assert!(matches!(kinds[0], Effect::ClosePort { .. }));
    assert!(matches!(kinds.last(), Some(Effect::Stop(ShutdownReason::Planned))));
    assert_eq!(bench.said(), ["shutdown"]);
    bench.forget_log();
    bench.input(Input::Wake);
    assert!(bench.log.is_empty());
}

#[test]
fn a_lost_range_is_followed_by_the_whole_state() {
    let mut bench = Bench::printer();
    bench.forget_log();
    bench.input(Input::SnapshotWanted);
    assert_eq!(bench.said(), ["snapshot"]);
}
