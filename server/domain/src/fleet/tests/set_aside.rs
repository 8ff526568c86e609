//! A sweep that cannot be committed as a whole.
use crate::{
    change::PresenceVerdict,
    fleet::{Input, Request, TicketAction},
    testing::{ScriptedAgent, World},
};

fn two_silent_kiosks() -> (World, [ScriptedAgent; 2]) {
    let mut world = World::new();
    let mut agents = [world.kiosk("K-1", None), world.kiosk("K-2", None)];
    world.now = world.now.plus_ms(world.fleet.policy().presence.settle_ms);
    agents.iter_mut().for_each(|agent| drop(world.beat(agent)));
    world.now = world.now.plus_ms(600_000);
    (world, agents)
}

fn verdicts(world: &World, agents: &[ScriptedAgent; 2]) -> [PresenceVerdict; 2] {
    agents.each_ref().map(|agent| world.fleet.kiosk(&agent.id).unwrap().presence)
}

#[test]
fn the_parts_of_a_sweep_are_the_sweep() {
    let (mut whole, agents) = two_silent_kiosks();
    whole.tell(&[Input::Sweep]);
    let (mut parts, _) = two_silent_kiosks();
    for look in parts.fleet.looks(parts.now) {
        parts.tell(&[Input::SweepPart(vec![look])]);
    }
    assert_eq!(verdicts(&whole, &agents), [PresenceVerdict::Offline; 2]);
    assert_eq!(verdicts(&parts, &agents), verdicts(&whole, &agents));
    let faults = |world: &World| world.store.incidents.values().map(|row| row.fingerprint.clone()).collect();
    let (mut left, mut right): (Vec<_>, Vec<_>) = (faults(&whole), faults(&parts));
    left.sort();
    right.sort();
    assert_eq!(left, right);
}

#[test]
fn a_deadline_that_fails_is_left_alone_for_a_while_and_costs_nobody_else_anything() {
    let (mut world, agents) = two_silent_kiosks();
    let first = world.fleet.looks(world.now)[1];
    let fail = |world: &mut World| {
        drop(world.tell(&[Input::LookFailed { look: first, reason: "in a test".into() }]));
    };
    fail(&mut world);
    assert!(!world.fleet.looks(world.now).contains(&first));
    world.tell(&[Input::Sweep]);
    let [one, two] = verdicts(&world, &agents);
    assert!(one != PresenceVerdict::Offline && two == PresenceVerdict::Offline, "{one:?} {two:?}");
    let told = world.store.audit.iter().find(|row| row.action == "deadline_failed").unwrap();
    assert!(told.object == "kiosk/K-1" && told.detail.contains("in a test"), "{told:?}");
    // It is tried again, later and later, until it works.
    world.now = world.now.plus_ms(10_000);
    assert!(world.fleet.looks(world.now).contains(&first));
    fail(&mut world);
    world.now = world.now.plus_ms(10_000);
    assert!(!world.fleet.looks(world.now).contains(&first));
    world.now = world.now.plus_ms(10_000);
    world.tell(&[Input::Sweep]);
    assert_eq!(verdicts(&world, &agents), [PresenceVerdict::Offline; 2]);
}

#[test]
fn a_kiosk_that_was_heard_again_is_judged_by_its_new_silence_however_often_the_old_one_failed() {
    for by_journal in [false, true] {
        let (mut world, mut agents) = two_silent_kiosks();
        let first = world.fleet.looks(world.now)[1];
        for _ in 0..8 {
            world.tell(&[Input::LookFailed { look: first, reason: "in a test".into() }]);
        }
        if by_journal {
            agents[0].service(world.now, kioskwatch_proto::words::ServiceState::InService);
            world.send(&mut agents[0]);
        } else {
            world.beat(&mut agents[0]);
        }
        assert!(world.fleet.set_aside.is_empty(), "nothing is left of it");
        world.now = world.now.plus_ms(100_000);
        world.tell(&[Input::Sweep]);
        assert_eq!(verdicts(&world, &agents), [PresenceVerdict::Offline; 2]);
    }
}

#[test]
fn nothing_is_kept_of_a_failed_deadline_that_is_gone() {
    let (mut world, agents) = two_silent_kiosks();
    world.tell(&[Input::Sweep]);
    world.now = world.now.plus_ms(86_400_000);
    for look in world.fleet.looks(world.now).split_off(1) {
        world.tell(&[Input::LookFailed { look, reason: "in a test".into() }]);
    }
    assert_eq!(world.fleet.set_aside.len(), 2);
    for agent in &agents {
        let ticket = world.tickets(&agent.id)[0].id;
        let action = TicketAction::Cancel { ground: "customer_fixed".into(), reason: "in a test".into() };
        world.ask("somebody", Request::Ticket { ticket, action }).unwrap();
    }
    assert!(world.fleet.set_aside.is_empty(), "{:?}", world.fleet.set_aside);
}

#[test]
fn our_own_deafness_that_cannot_be_committed_keeps_no_deadline_back() {
    let (mut world, agents) = two_silent_kiosks();
    let hearing = world.fleet.looks(world.now)[0];
    world.tell(&[Input::LookFailed { look: hearing, reason: "in a test".into() }]);
    assert!(world.store.audit.iter().any(|row| row.action == "deadline_failed" && row.object == "server"));
    // What it would do is not in the next sweep, and everybody else's is.
    world.tell(&[Input::Sweep]);
    assert!(!world.fleet.looks(world.now).contains(&hearing));
    assert_eq!(verdicts(&world, &agents), [PresenceVerdict::Offline; 2]);
    world.now = world.now.plus_ms(10_000);
    world.tell(&[Input::Sweep]);
    assert!(world.fleet.looks(world.now).contains(&hearing), "it did not fail again");
}
