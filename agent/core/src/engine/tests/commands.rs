//! Commands: what is refused, what waits, what runs once.
use kioskwatch_proto::{
    KioskId, Timestamp, command::CommandSigner, journal::CommandOutcome, words::PortMode,
};
use serde_json::json;

use super::bench::*;
use crate::{
    config::{ApplicationGate, BootFacts},
    drivers::Work,
    effect::{Effect, Note},
    input::Input,
};

fn ready() -> Bench {
    let mut bench = Bench::printer();
    bench.pass(5_000);
    bench.forget_log();
    bench
}

#[test]
fn a_probe_is_carried_out_and_its_result_told() {
    let mut bench = ready();
    let told = bench.run("probe", only("printer"));
    assert_eq!(states(&told), ["accepted", "started", "succeeded"]);
    let result = told[2].result.as_ref().unwrap();
    assert_eq!(result["peripherals"]["printer"]["status"], "online");
    assert_eq!(result["peripherals"]["printer"]["values"]["paper_mm"], 3.0);
}

#[test]
fn a_self_test_of_everything_goes_one_by_one_and_shows_its_progress() {
    let devices = vec![
        device("printer", "printer", PortMode::Owned),
        device("ups", "ups", PortMode::Owned),
        device("reader", "badge", PortMode::Pushed),
    ];
    let mut bench = Bench::new(ApplicationGate::None, devices);
    bench.pass(5_000);
    bench.forget_log();
    let told = bench.run("self_test", nothing());
    assert_eq!(states(&told), ["accepted", "started", "succeeded"]);
    let result = told[2].result.as_ref().unwrap();
    assert_eq!(result["peripherals"]["printer"]["passed"], true);
    assert_eq!(result["peripherals"]["ups"]["passed"], true);
    assert_eq!(result["peripherals"].as_object().unwrap().len(), 2);
    let percents: Vec<_> = bench
        .log
        .iter()
        .filter_map(|(_, e)| if let Effect::Progress(p) = e { p.percent } else { None })
        .collect();
    assert_eq!(percents, [0, 50, 100]);
}

#[test]
fn nothing_begins_after_the_commands_time_although_it_was_begun_on_another_device() {
    let devices = vec![device("printer", "printer", PortMode::Owned), device("ups", "ups", PortMode::Owned)];
    let mut bench = Bench::new(ApplicationGate::None, devices);
    bench.pass(5_000);
    bench.forget_log();
    let mut command = bench.command("self_test", nothing());
    // The first device takes longer to answer.
    command.not_after = bench.now().wall.plus_ms(10);
    bench.send(&command);
    bench.pass(5_000);
    let told = bench.told(command.id);
    assert_eq!(states(&told), ["accepted", "started", "failed: not_after"]);
    let result = &told[2].result.as_ref().unwrap()["peripherals"];
    assert_eq!(
        (&result["printer"]["passed"], &result["ups"]["skipped"]),
        (&json!(true), &json!("not_after"))
    );
    assert_eq!((bench.sent("printer", Work::SelfTest), bench.sent("ups", Work::SelfTest)), (1, 0));
}

#[test]
fn a_device_that_does_not_answer_makes_the_command_fail_with_that_reason() {
    let mut bench = ready();
    bench.silence("printer");
    let told = bench.run("identify", only("printer"));
    assert_eq!(states(&told), ["accepted", "started", "failed: no_answer"]);
}

#[test]
fn what_is_not_built_in_is_refused_by_name() {
    let mut bench = ready();
    for action in [
        "reset_peripheral",
        "collect_diagnostics",
        "read_log",
        "ping_network",
        "restart_application",
        "restart_agent",
        "reboot",
    ] {
        let told = bench.run(action, nothing());
        assert_eq!(states(&told), ["refused: unsupported_action"], "{action}");
    }
    assert_eq!(states(&bench.run("dispense", nothing())), ["refused: unknown_action"]);
    assert_eq!(states(&bench.run("probe", only("nobody"))), ["refused: unknown_peripheral"]);
    assert_eq!(states(&bench.run("probe", json!({"peripheral": 7}))), ["refused: bad_arguments"]);
}

#[test]
fn forged_misdirected_and_late_commands_are_refused_and_nothing_is_done() {
    let mut bench = ready();
    let now = bench.now().wall;
    let good = bench.command("self_test", only("printer"));
    let mut other_kiosk = good.clone();
    other_kiosk.kiosk = KioskId::new("K-2").unwrap();
    let mut late = good.clone();
    (late.issued_at, late.not_before, late.not_after) =
        (now.plus_ms(-60_000), now.plus_ms(-60_000), now.plus_ms(-1));
    let mut early = good.clone();
    (early.not_before, early.not_after) = (now.plus_ms(300_000), now.plus_ms(400_000));
    let mut long = good.clone();
    long.not_after = now.plus_ms(10 * 60 * 1000 + 1);
    let mut old = good.clone();
    old.counter = 0;
    let table = [
        (other_kiosk, "refused: other_kiosk"),
        (late, "refused: too_late"),
        (early, "refused: too_early"),
        (long, "refused: window_too_long"),
        (old, "refused: counter_not_above"),
    ];
    for (at, (command, expected)) in table.into_iter().enumerate() {
        let mut bench = ready();
        bench.send(&command);
        bench.pass(3_000);
        assert_eq!(states(&bench.told(good.id)), [expected], "{at}");
        assert_eq!(bench.sent("printer", Work::SelfTest), 0);
    }
    let forged = CommandSigner::from_secret("k1", &[8; 32]).sign(&good);
    bench.input(Input::Command(serde_json::to_vec(&forged).unwrap()));
    let stranger = CommandSigner::from_secret("k9", &[7; 32]).sign(&good);
    bench.input(Input::Command(serde_json::to_vec(&stranger).unwrap()));
    assert_eq!(states(&bench.told(good.id)), ["refused: bad_signature", "refused: unknown_key"]);
    assert_eq!(bench.told(good.id)[0].result, Some(json!({"counter": 0, "proven": false})));
    bench.input(Input::Command(b"garbage".to_vec()));
    assert!(bench.log.iter().any(|(_, e)| *e == Effect::Note(Note::CommandUnreadable)));
    bench.send(&good);
    bench.pass(3_000);
    assert_eq!(states(&bench.told(good.id))[2..], ["accepted", "started", "succeeded"]);
}

#[test]
fn a_forgery_is_no_word_on_a_command_the_agent_has() {
    let mut bench = ready();
    let good = bench.command("self_test", only("printer"));
    bench.send(&good);
    let forge = |bench: &mut Bench| {
        let forged = CommandSigner::from_secret("k1", &[8; 32]).sign(&good);
        bench.input(Input::Command(serde_json::to_vec(&forged).unwrap()));
    };
    forge(&mut bench);
    bench.pass(3_000);
    forge(&mut bench);
    assert_eq!(states(&bench.told(good.id)), ["accepted", "started", "succeeded"]);
    assert_eq!(bench.log.iter().filter(|(_, e)| *e == Effect::Note(Note::ForgeryFlood)).count(), 2);
}

#[test]
fn a_refusal_says_whether_its_envelope_proved_who_wrote_it() {
    let mut bench = ready();
    let mut replayed = bench.command("self_test", only("printer"));
    replayed.counter = 0;
    bench.send(&replayed);
    assert_eq!(bench.told(replayed.id)[0].result, Some(json!({"counter": 0, "proven": true})));
}

#[test]
fn an_earlier_acknowledgement_lets_no_expired_command_run() {
    let mut bench = ready();
    let issued = bench.now().wall;
    bench.input(Input::ServerTime(issued));
    let command = bench.command("self_test", only("printer"));
    bench.pass(120_000);
    bench.input(Input::ServerTime(issued));
    bench.send(&command);
    bench.pass(1_000);
    assert_eq!(states(&bench.told(command.id)), ["refused: too_late"]);
}

#[test]
fn a_verified_command_is_the_floor_of_the_time() {
    let mut bench = ready();
    let first = bench.command("probe", only("printer"));
    let mut held_back = bench.command("self_test", only("printer"));
    held_back.id.0 = uuid::Uuid::from_u128(99);
    held_back.counter = first.counter + 1;
    held_back.issued_at = first.issued_at.plus_ms(10_000);
    held_back.not_after = first.issued_at.plus_ms(60_000);
    bench.send(&first);
    bench.pass(120_000);
    // Set by nobody who signs: the time of the command that has expired.
    bench.input(Input::ServerTime(held_back.issued_at));
    bench.send(&held_back);
    bench.pass(1_000);
    assert_eq!(states(&bench.told(held_back.id)), ["refused: too_late"]);
}

#[test]
fn after_a_server_whose_clock_was_years_ahead_commands_run_again_once_it_is_right() {
    let mut bench = ready();
    let year = 365 * 24 * 60 * 60 * 1000;
    let mut ahead = bench.command("probe", only("printer"));
    ahead.issued_at = ahead.issued_at.plus_ms(10 * year);
    ahead.not_before = ahead.issued_at;
    ahead.not_after = ahead.issued_at.plus_ms(60_000);
    bench.input(Input::ServerTime(ahead.issued_at));
    bench.send(&ahead);
    bench.pass(60_000);
    bench.input(Input::ServerTime(bench.now().wall));
    let mut right = bench.command("self_test", only("printer"));
    right.id.0 = uuid::Uuid::from_u128(99);
    right.counter = ahead.counter + 1;
    bench.send(&right);
    bench.pass(1_000);
    assert_eq!(states(&bench.told(right.id)), ["accepted", "started", "succeeded"]);
}

#[test]
fn a_command_that_waits_is_over_when_it_was_to_be_though_the_time_is_taken_back() {
    let mut bench = Bench::gated();
    let hour = 60 * 60 * 1000;
    let mut waits = bench.command("self_test", only("printer"));
    let window_ms = waits.not_after.since(waits.issued_at);
    waits.issued_at = waits.issued_at.plus_ms(hour);
    waits.not_before = waits.issued_at;
    waits.not_after = waits.issued_at.plus_ms(window_ms);
    bench.input(Input::ServerTime(waits.issued_at));
    bench.send(&waits);
    bench.pass(10_000);
    assert_eq!(states(&bench.told(waits.id)), ["accepted", "deferred: no_busy_facts"]);
    // The server's clock is set right, and it says so with a signature.
    bench.input(Input::ServerTime(bench.now().wall));
    let mut right = bench.command("probe", nothing());
    right.id.0 = uuid::Uuid::from_u128(99);
    right.counter = waits.counter + 1;
    bench.send(&right);
    bench.pass(u64::try_from(window_ms).unwrap());
    assert_eq!(states(&bench.told(waits.id)), ["accepted", "deferred: no_busy_facts", "expired: not_after"]);
}

#[test]
fn a_flood_of_forgeries_does_not_fill_the_journal() {
    let mut bench = ready();
    for n in 0..500 {
        let mut command = bench.command("self_test", nothing());
        command.id.0 = uuid::Uuid::from_u128(n);
        let forged = CommandSigner::from_secret("k1", &[8; 32]).sign(&command);
        bench.input(Input::Command(serde_json::to_vec(&forged).unwrap()));
    }
    assert_eq!(bench.said().len(), 10);
}

#[test]
fn an_id_never_runs_twice_but_its_state_is_told_again() {
    let mut bench = ready();
    let mut command = bench.command("self_test", only("printer"));
    bench.send(&command);
    bench.send(&command);
    bench.pass(5_000);
    assert_eq!(bench.sent("printer", Work::SelfTest), 1);
    command.counter += 10;
    bench.send(&command);
    bench.pass(5_000);
    assert_eq!(bench.sent("printer", Work::SelfTest), 1);
    assert_eq!(states(&bench.told(command.id)), ["accepted", "started", "succeeded", "succeeded"]);
    assert_eq!(bench.counter, command.counter);
}

#[test]
fn nothing_happens_before_the_disk_has_it() {
    let mut bench = ready();
    bench.disk = false;
    let command = bench.command("self_test", only("printer"));
    bench.send(&command);
    bench.pass(5_000);
    assert_eq!(states(&bench.told(command.id)), ["accepted"]);
    assert_eq!(bench.sent("printer", Work::SelfTest), 0);
    bench.input(Input::Stored(crate::effect::Token(1)));
    bench.pass(5_000);
    assert_eq!(states(&bench.told(command.id)), ["accepted", "started"]);
    assert_eq!(bench.sent("printer", Work::SelfTest), 0);
}

#[test]
fn a_command_that_had_started_when_the_agent_died_ends_as_unknown() {
    let mut bench = ready();
    bench.silence("printer");
    let command = bench.command("self_test", only("printer"));
    bench.send(&command);
    bench.pass(50);
    assert_eq!(bench.kept[&command.id].state(), CommandOutcome::Started);
    let facts = BootFacts {
        command_counter: bench.counter,
        commands: bench.kept.values().cloned().collect(),
        ..BootFacts::first_start(BOOT)
    };
    let devices = vec![device("printer", "printer", PortMode::Owned)];
    let mut again = Bench::started(ApplicationGate::None, devices, facts);
    again.send(&command);
    again.pass(20_000);
    assert_eq!(states(&again.told(command.id)), ["unknown: agent_restarted"]);
    assert_eq!(again.sent("printer", Work::SelfTest), 0);
}

#[test]
fn a_waiting_command_survives_a_restart() {
    let mut bench = Bench::gated();
    let command = bench.command("self_test", only("printer"));
    bench.send(&command);
    bench.pass(5_000);
    assert_eq!(states(&bench.told(command.id)), ["accepted", "deferred: no_busy_facts"]);
    let facts = BootFacts {
        command_counter: bench.counter,
        commands: bench.kept.values().cloned().collect(),
        ..BootFacts::first_start(BOOT)
    };
    let devices = vec![device("printer", "printer", PortMode::Owned)];
    let mut again = Bench::started(ApplicationGate::None, devices, facts);
    again.input(Input::ServerTime(again.now().wall));
    again.pass(10_000);
    assert_eq!(states(&again.told(command.id)), ["started", "succeeded"]);
}

#[test]
fn eight_commands_wait_and_the_ninth_is_refused() {
    let mut bench = Bench::gated();
    let ids: Vec<_> = (0..9)
        .map(|_| {
            let command = bench.command("self_test", only("printer"));
            bench.send(&command);
            command.id
        })
        .collect();
    bench.pass(100);
    assert_eq!(states(&bench.told(ids[7])), ["accepted"]);
    assert_eq!(states(&bench.told(ids[8])), ["refused: queue_full"]);
}

#[test]
fn a_jump_of_the_wall_clock_lets_no_expired_command_run_and_stops_no_fresh_one() {
    const HOUR: i64 = 60 * 60 * 1000;
    for jump in [-5_000, 5_000, -HOUR, HOUR, -10 * 365 * 24 * HOUR, 10 * 365 * 24 * HOUR] {
        let mut bench = ready();
        bench.input(Input::ServerTime(bench.now().wall));
        let command = bench.command("self_test", only("printer"));
        bench.pass(120_000);
        bench.wall_offset += jump;
        bench.send(&command);
        bench.pass(1_000);
        assert_eq!(states(&bench.told(command.id)), ["refused: too_late"], "{jump}");
        let real = Timestamp(WALL + 5_000 + 121_000);
        let mut fresh = bench.command("probe", only("printer"));
        (fresh.issued_at, fresh.not_before, fresh.not_after) = (real, real, real.plus_ms(60_000));
        bench.send(&fresh);
        bench.pass(1_000);
        assert_eq!(states(&bench.told(fresh.id)), ["accepted", "started", "succeeded"], "{jump}");
    }
}

#[test]
fn an_acknowledgement_from_the_future_stops_commands_until_the_next_true_one_only() {
    let mut bench = ready();
    bench.input(Input::ServerTime(bench.now().wall));
    bench.input(Input::ServerTime(bench.now().wall.plus_ms(365 * 24 * 60 * 60 * 1000)));
    let command = bench.command("probe", only("printer"));
    bench.send(&command);
    bench.pass(1_000);
    assert_eq!(states(&bench.told(command.id)), ["refused: too_late"]);
    bench.input(Input::ServerTime(bench.now().wall));
    let told = bench.run("probe", only("printer"));
    assert_eq!(states(&told), ["accepted", "started", "succeeded"]);
}
