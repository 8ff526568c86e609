//! What a command that moves something waits for: fresh facts, the application's grant, time to end.
use kioskwatch_proto::{
    local::{Busy, Grant, LeaseRequest},
    words::PortMode,
};

use super::bench::*;
use crate::{
    config::ApplicationGate,
    drivers::Work,
    effect::{Effect, LocalRefusal},
    input::{Input, Local},
};

fn asked(bench: &Bench) -> usize {
    bench.log.iter().filter(|(_, e)| matches!(e, Effect::HoldRequest(_))).count()
}

#[test]
fn a_self_test_needs_fresh_facts_and_the_applications_grant() {
    let mut bench = Bench::gated();
    let command = bench.command("self_test", only("printer"));
    bench.send(&command);
    bench.pass(2_000);
    assert_eq!(asked(&bench), 0, "nobody is asked while nothing is known");
    bench.local(Local::Busy(Busy { transaction: true, ..FREE }));
    bench.pass(500);
    assert_eq!(asked(&bench), 0);
    bench.local(Local::Busy(FREE));
    assert_eq!(asked(&bench), 1);
    let request = command.id.to_string();
    bench.local(Local::Grant { request: request.clone(), grant: Grant { granted: false, valid_for_s: 0 } });
    bench.pass(1_000);
    assert_eq!(bench.sent("printer", Work::SelfTest), 0);
    bench.pass(10_000);
    bench.local(Local::Busy(FREE));
    assert_eq!(asked(&bench), 2);
    bench.local(Local::Grant { request, grant: Grant { granted: true, valid_for_s: 30 } });
    bench.pass(1_000);
    assert_eq!(bench.sent("printer", Work::SelfTest), 1);
    assert_eq!(
        states(&bench.told(command.id)),
        ["accepted", "deferred: no_busy_facts", "started", "succeeded"]
    );
    assert!(bench.log.iter().any(|(_, e)| matches!(e, Effect::HoldOver { .. })));
}

#[test]
fn a_self_test_begins_only_where_there_is_time_to_end_it() {
    // Its worst case takes two seconds.
    for (seconds, done) in [(1, false), (3, true)] {
        let mut bench = Bench::gated();
        let command = bench.command("self_test", only("printer"));
        bench.send(&command);
        bench.pass(10);
        bench.local(Local::Busy(FREE));
        let grant = Grant { granted: true, valid_for_s: seconds };
        bench.local(Local::Grant { request: command.id.to_string(), grant });
        bench.pass(900);
        assert_eq!(bench.sent("printer", Work::SelfTest), usize::from(done), "granted for {seconds} s");
        let refused =
            |(_, effect): &(_, Effect)| matches!(effect, Effect::Refused(LocalRefusal::GrantTooShort));
        assert_eq!(bench.log.iter().any(refused), !done, "the application is told, and need not hold");
        for _ in 0..12 {
            bench.pass(1_000);
            bench.local(Local::Busy(FREE));
        }
        assert_eq!(asked(&bench), if done { 1 } else { 2 }, "and is asked again");

        let mut bench =
            Bench::new(ApplicationGate::None, vec![device("printer", "printer", PortMode::Lease)]);
        let request = LeaseRequest { peripheral: name("printer"), seconds: seconds + 1 };
        bench.local(Local::Lease { lease: "l".into(), request });
        // The first look at the device takes a part of it.
        bench.pass(900);
        let command = bench.command("self_test", only("printer"));
        bench.send(&command);
        bench.pass(100);
        assert_eq!(bench.sent("printer", Work::SelfTest), usize::from(done), "lent for {seconds} s more");
    }
}

#[test]
fn a_customer_who_comes_while_the_disk_writes_is_not_disturbed() {
    let mut bench = Bench::gated();
    let command = bench.command("self_test", only("printer"));
    bench.send(&command);
    bench.pass(10);
    bench.local(Local::Busy(FREE));
    bench.disk = false;
    let grant = Grant { granted: true, valid_for_s: 30 };
    bench.local(Local::Grant { request: command.id.to_string(), grant });
    assert_eq!(states(&bench.told(command.id)), ["accepted", "started"]);
    bench.local(Local::Busy(Busy { escrow: true, ..FREE }));
    bench.disk = true;
    bench.input(Input::Stored(crate::effect::Token(2)));
    bench.pass(10_000);
    let told = bench.told(command.id);
    assert_eq!(states(&told)[2..], ["failed: unsafe_now"]);
    assert_eq!(told[2].result.as_ref().unwrap()["peripherals"]["printer"]["skipped"], "escrow");
    assert_eq!(bench.sent("printer", Work::SelfTest), 0);
}

#[test]
fn what_never_becomes_safe_expires() {
    let mut bench = Bench::gated();
    let command = bench.command("self_test", only("printer"));
    bench.send(&command);
    bench.pass(61_000);
    assert_eq!(
        states(&bench.told(command.id)),
        ["accepted", "deferred: no_busy_facts", "expired: not_after"]
    );
}

#[test]
fn without_an_application_a_money_device_of_somebody_else_blocks_everything_that_moves() {
    let devices = vec![
        device("printer", "printer", PortMode::Owned),
        device("acceptor", "bill_acceptor", PortMode::Pushed),
    ];
    let mut bench = Bench::new(ApplicationGate::None, devices);
    bench.pass(5_000);
    let told = bench.run("self_test", only("printer"));
    assert_eq!(states(&told), ["accepted", "deferred: valuables_not_owned"]);
    let told = bench.run("probe", only("printer"));
    assert_eq!(states(&told), ["accepted", "started", "succeeded"], "reading disturbs nobody");
    assert_eq!(states(&bench.run("probe", only("acceptor"))), ["refused: not_ours"]);
}
