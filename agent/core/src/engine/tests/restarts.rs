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
        let previous = PreviousRun {
            boot: BootId(Uuid::from_u128(1)),
            alive_until: until,
            clean: false,
            unrecorded: false,
        };
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

/// An agent that starts at this time after the first one.
fn start_at(after_ms: i64, wall_ahead_ms: i64, known_since: Option<Timestamp>) -> Bench {
    let mut bench = start(BootFacts { commands_known_since: known_since, ..BootFacts::first_start(BOOT) });
    bench.wall_offset += after_ms + wall_ahead_ms;
    bench
}

/// What becomes of a self-test that was asked for that long after the first start, and is signed again now.
fn ask(bench: &mut Bench, asked_ms: i64) -> String {
    ask_by(bench, asked_ms, 0)
}

/// By a server to which the kiosk's clock is so far ahead.
fn ask_by(bench: &mut Bench, asked_ms: i64, ahead_ms: i64) -> String {
    let mut command = bench.command("self_test", only("printer"));
    command.id = command_id(Timestamp(WALL + asked_ms), command.counter);
    command.issued_at = bench.now().wall.plus_ms(-ahead_ms);
    command.not_before = command.issued_at;
    command.not_after = command.issued_at.plus_ms(5 * MINUTE);
    bench.send(&command);
    bench.pass(20_000);
    states(&bench.told(command.id)).last().cloned().unwrap()
}

const REFUSED: &str = "refused: memory_lost";
const DONE: &str = "succeeded";

#[test]
fn an_agent_that_lost_its_ids_refuses_what_it_may_have_known() {
    for known_since in [Some(Timestamp(i64::MIN)), None] {
        let mut bench = start_at(0, 0, known_since);
        let refused = if known_since.is_none() { REFUSED } else { DONE };
        assert_eq!(ask(&mut bench, 5_000), refused, "nobody has told the time");
        bench.input(Input::ServerTime(bench.now().wall));
        assert_eq!(ask(&mut bench, -1), refused, "although it is signed again later");
        assert_eq!(ask(&mut bench, 20_000), DONE, "asked for since this start");
    }
}

#[test]
fn what_was_lost_stays_lost_over_further_starts_and_what_is_known_since_stays_known() {
    let mut first = start_at(0, 0, None);
    first.pass(10_000);
    assert_eq!(first.known_since, None, "nobody has told the time");
    // A word that our own clock does not bear out moves nothing that lasts.
    first.input(Input::ServerTime(first.now().wall.plus_ms(HOUR)));
    assert_eq!(first.known_since, None);
    first.input(Input::ServerTime(first.now().wall));
    let since = first.known_since;
    assert!(since.is_some_and(|at| at.since(Timestamp(WALL)).abs() < 10_000), "{since:?}");
    first.pass(30_000);
    first.input(Input::ServerTime(first.now().wall));
    assert_eq!(first.known_since, since, "it does not move on");

    // Minutes later, whatever its clock shows and whoever has told the time.
    for ahead in [0, -HOUR, HOUR] {
        let mut again = start_at(2 * MINUTE, ahead, since);
        again.input(Input::ServerTime(again.now().wall.plus_ms(-ahead)));
        assert_eq!(ask_by(&mut again, -1, ahead), REFUSED, "{ahead}");
        assert_eq!(
            ask_by(&mut again, MINUTE, ahead),
            DONE,
            "{ahead}: asked for in the run before, all of it known"
        );
        assert_eq!(again.known_since, since, "{ahead}");
    }
}

#[test]
fn a_time_that_a_server_told_whose_clock_was_wrong_refuses_commands_only_until_it_is_right() {
    let mut bench = start_at(0, 0, Some(Timestamp(WALL + 24 * HOUR)));
    bench.pass(30_000);
    assert_eq!(ask(&mut bench, 30_000), REFUSED);
    bench.input(Input::ServerTime(bench.now().wall));
    assert_eq!(ask(&mut bench, 30_000), DONE);
    assert_eq!(ask(&mut bench, -1), REFUSED, "from before this start");
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
