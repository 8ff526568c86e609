//! Commands across a start: of an agent that was away for nobody knows how long, or whose disk lost them or has no room.
use kioskwatch_proto::{BootId, Timestamp, command::Command, words::PortMode};
use uuid::Uuid;

use super::bench::*;
use crate::{
    config::{ApplicationGate, BootFacts, PreviousRun},
    drivers::Work,
    effect::Effect,
    input::Input,
};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// A self-test that was accepted a minute ago, is valid for four more, and waits.
fn waits() -> (Command, BootFacts) {
    let gate = ApplicationGate::Required { down_after_ms: MINUTE.unsigned_abs() };
    let mut bench = Bench::new(gate, vec![device("printer", "printer", PortMode::Owned)]);
    bench.pass(5_000);
    let mut command = bench.command("self_test", only("printer"));
    command.issued_at = Timestamp(WALL - MINUTE);
    command.not_before = command.issued_at;
    command.not_after = Timestamp(WALL + 4 * MINUTE);
    bench.send(&command);
    bench.pass(5_000);
    assert_eq!(states(&bench.told(command.id)), ["accepted", "deferred: no_busy_facts"]);
    let facts = BootFacts {
        command_counter: bench.counter,
        commands: bench.kept.values().cloned().collect(),
        ..BootFacts::first_start(BOOT)
    };
    (command, facts)
}

fn start(facts: BootFacts) -> Bench {
    let mut bench =
        Bench::started(ApplicationGate::None, vec![device("printer", "printer", PortMode::Owned)], facts);
    bench.pass(5_000);
    bench
}

/// The wall clock shows the time of the command's acceptance, whatever the time is.
#[test]
fn a_command_from_before_a_start_begins_only_at_a_time_that_the_server_told() {
    const DONE: &[&str] = &["started", "succeeded"];
    const OVER: &[&str] = &["expired: not_after"];
    // What the run before last said of itself, what the server says after the start, and what becomes of the command.
    for (alive_until, word, expected) in [
        (0, None, OVER),
        (MINUTE, None, OVER),
        (0, Some(0), DONE),
        (MINUTE, Some(2 * MINUTE), DONE),
        (0, Some(3 * HOUR), OVER),
        (0, Some(4 * MINUTE + 1), OVER),
        (4 * MINUTE + 1, Some(0), OVER),
    ] {
        let (command, facts) = waits();
        let until = Timestamp(WALL + alive_until);
        let previous = PreviousRun { boot: BootId(Uuid::from_u128(1)), alive_until: until, clean: false };
        let mut bench = start(BootFacts { previous: Some(previous), ..facts });
        let case = format!("alive until {alive_until}, word {word:?}");
        assert_eq!(bench.sent("printer", Work::SelfTest), 0, "{case}");
        if let Some(ms) = word {
            bench.input(Input::ServerTime(Timestamp(WALL + ms)));
        }
        bench.pass(10 * MINUTE.unsigned_abs());
        assert_eq!(states(&bench.told(command.id)), expected, "{case}");
        assert_eq!(bench.sent("printer", Work::SelfTest), usize::from(expected == DONE), "{case}");
    }
}

#[test]
fn an_agent_that_lost_its_ids_refuses_what_it_may_have_known() {
    for lost in [false, true] {
        let mut bench = start(BootFacts { commands_lost: lost, ..BootFacts::first_start(BOOT) });
        let mut send = |issued_ms: i64, word: bool| {
            let now = bench.now().wall;
            if word {
                bench.input(Input::ServerTime(now));
            }
            let mut command = bench.command("self_test", only("printer"));
            command.issued_at = Timestamp(WALL + issued_ms);
            command.not_before = command.issued_at;
            command.not_after = command.issued_at.plus_ms(5 * MINUTE);
            bench.send(&command);
            bench.pass(20_000);
            states(&bench.told(command.id)).last().cloned().unwrap()
        };
        let refused = if lost { "refused: memory_lost" } else { "succeeded" };
        assert_eq!(send(5_000, false), refused, "nobody has told the time");
        assert_eq!(send(-1, true), refused);
        assert_eq!(send(20_000, true), "succeeded", "issued since this start");
    }
}

#[test]
fn an_id_is_forgotten_only_at_a_time_that_the_server_told() {
    let (_, facts) = waits();
    let mut bench = start(facts);
    bench.input(Input::ServerTime(Timestamp(WALL)));
    bench.pass(10_000);
    let facts = BootFacts {
        command_counter: bench.counter,
        commands: bench.kept.values().cloned().collect(),
        ..BootFacts::first_start(BOOT)
    };
    let forgotten = |bench: &Bench| {
        let forgets = |e: &Effect| matches!(e, Effect::PersistCommand(p) if !p.forget.is_empty());
        bench.log.iter().any(|(_, e)| forgets(e))
    };
    let mut again = start(facts);
    again.wall_offset += 30 * 24 * HOUR;
    again.run("probe", only("printer"));
    assert!(!forgotten(&again), "its own clock was set");
    again.input(Input::ServerTime(again.now().wall));
    again.run("probe", only("printer"));
    assert!(forgotten(&again));
}

#[test]
fn what_finds_no_room_on_the_disk_is_not_done_holds_no_place_and_is_told_once_there_is_room() {
    let mut bench = start(BootFacts::first_start(BOOT));
    bench.disk = false;
    let token = |bench: &Bench| {
        let persisted = bench.log.iter().rev().find_map(|(_, e)| match e {
            Effect::PersistCommand(p) => Some(p.token),
            _ => None,
        });
        persisted.unwrap()
    };
    // As many as may wait, and more: none stays.
    let mut refused = Vec::new();
    for _ in 0..20 {
        let command = bench.command("self_test", only("printer"));
        bench.send(&command);
        bench.input(Input::NotStored(token(&bench)));
        bench.input(Input::NotStored(token(&bench)));
        assert_eq!(states(&bench.told(command.id)), ["accepted", "refused: disk_full"]);
        refused.push(command.id);
    }
    let starts = bench.command("self_test", only("printer"));
    bench.send(&starts);
    bench.input(Input::Stored(token(&bench)));
    bench.input(Input::NotStored(token(&bench)));
    bench.pass(5_000);
    assert_eq!(states(&bench.told(starts.id)), ["accepted", "started", "failed: disk_full"]);
    assert_eq!(bench.sent("printer", Work::SelfTest), 0);

    bench.disk = true;
    bench.forget_log();
    bench.input(Input::SnapshotWanted);
    bench.pass(1_000);
    for id in refused {
        assert_eq!(states(&bench.told(id)), ["refused: disk_full"]);
    }
    bench.forget_log();
    bench.input(Input::SnapshotWanted);
    assert!(!bench.said().iter().any(|said| said.starts_with("command")), "once is enough");
    assert_eq!(states(&bench.run("self_test", only("printer"))), ["accepted", "started", "succeeded"]);
}
