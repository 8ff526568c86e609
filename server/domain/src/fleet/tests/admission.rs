//! Who is taken into the fleet, and from when on.
use kioskwatch_proto::{journal::FaultState, presence::PresenceState, words::ServiceState};

use super::journals::{started, upto};
use crate::{
    change::{Admission, KioskRow},
    fleet::{Answer, Count, Input, MessageOutcome, Request},
    policy::{Policy, UnknownKiosks},
    testing::{ScriptedAgent, World},
};

#[test]
fn unknown_kiosks_are_treated_as_the_policy_says() {
    let table = [
        (UnknownKiosks::Refuse, None, MessageOutcome::Refused, 0),
        (UnknownKiosks::Quarantine, Some(Admission::Quarantined), MessageOutcome::NotAdmitted, 0),
        (UnknownKiosks::Accept, Some(Admission::Accepted), MessageOutcome::Applied, 1),
    ];
    for (unknown_kiosks, admission, outcome, acks) in table {
        let mut world = World::with(Policy { unknown_kiosks, ..Policy::default() });
        let mut agent = ScriptedAgent::new("K-9", world.now);
        agent.service(world.now, ServiceState::InService);
        let done = world.tell(&[agent.batch(world.now)]);
        assert_eq!(done.acks.len(), acks);
        assert!(done.counts.contains_key(&Count::Message(outcome)), "{outcome:?}");
        assert_eq!(world.fleet.kiosk(&agent.id).map(|kiosk| kiosk.admission), admission);
    }
}

#[test]
fn an_approved_kiosk_gets_its_ack_and_its_journal_flows() {
    let mut world = World::new();
    let mut agent = ScriptedAgent::new("K-9", world.now);
    agent.service(world.now, ServiceState::InService);
    let online = agent.connect(world.now);
    assert!(world.tell(&[online]).acks.is_empty());
    let row = KioskRow { admission: Admission::Accepted, ..world.store.kiosks[&agent.id].clone() };
    world.ask("admin", Request::PutKiosk(row)).unwrap();
    assert_eq!(upto(&world.send(&mut agent)), 1);
}

#[test]
fn kiosks_that_wait_for_approval_are_limited() {
    let mut world = World::new();
    let strangers = |range: std::ops::Range<usize>, now| -> Vec<Input> {
        let agents = range.map(|i| ScriptedAgent::new(&format!("X-{i}"), now));
        agents.map(|agent| agent.presence(now, PresenceState::Online)).collect()
    };
    world.tell(&strangers(0..9_990, world.now));
    let done = world.tell(&strangers(9_990..10_005, world.now));
    assert_eq!(done.counts[&Count::Message(MessageOutcome::Refused)], 5);
    assert_eq!(world.store.kiosks.len(), 10_000);
    world.restart();
    let done = world.tell(&strangers(10_000..10_001, world.now));
    assert_eq!(done.counts[&Count::Message(MessageOutcome::Refused)], 1);
    let known = ScriptedAgent::new("X-0", world.now);
    let row = KioskRow { admission: Admission::Accepted, ..world.store.kiosks[&known.id].clone() };
    world.ask("admin", Request::PutKiosk(row)).unwrap();
    let done = world.tell(&strangers(10_000..10_002, world.now));
    assert_eq!(done.counts[&Count::Message(MessageOutcome::Refused)], 1, "one place is free again");
}

#[test]
fn an_approved_kiosk_is_in_service_from_its_approval_and_keeps_an_earlier_date() {
    let mut world = World::new();
    let mut agent = ScriptedAgent::new("K-9", world.now);
    let online = agent.connect(world.now);
    world.tell(&[online]);
    let id = agent.id.clone();
    let undated = |world: &World| KioskRow { commissioned_at: None, ..world.store.kiosks[&id].clone() };
    let put =
        |world: &mut World, row| assert_eq!(world.ask("admin", Request::PutKiosk(row)), Ok(Answer::Done));
    let row = undated(&world);
    put(&mut world, row);
    assert_eq!(world.store.kiosks[&agent.id].commissioned_at, None, "it still waits");
    world.now = world.now.plus_ms(60_000);
    let approved_at = world.now;
    let row = KioskRow { admission: Admission::Accepted, ..undated(&world) };
    put(&mut world, row);
    assert_eq!(world.store.kiosks[&agent.id].commissioned_at, Some(approved_at));
    world.now = world.now.plus_ms(60_000);
    let row = undated(&world);
    put(&mut world, row);
    assert_eq!(world.store.kiosks[&agent.id].commissioned_at, Some(approved_at));
    agent.fault(world.now, "printer", "paper_jam", FaultState::Raised);
    world.send(&mut agent);
    assert_eq!(world.tickets(&agent.id).len(), 1);
    let fresh = ScriptedAgent::new("K-10", world.now);
    let retired = KioskRow { id: fresh.id.clone(), decommissioned_at: Some(world.now), ..undated(&world) };
    put(&mut world, retired);
    assert_eq!(world.store.kiosks[&fresh.id].commissioned_at, None);
}

#[test]
fn a_retired_kiosk_is_shown_and_not_acknowledged() {
    let (mut world, mut agent) = started();
    let row = KioskRow { decommissioned_at: Some(world.now), ..world.store.kiosks[&agent.id].clone() };
    world.ask("admin", Request::PutKiosk(row)).unwrap();
    agent.service(world.now, ServiceState::InService);
    let done = world.tell(&[agent.batch(world.now)]);
    assert!(done.acks.is_empty());
    assert!(done.counts.contains_key(&Count::Message(MessageOutcome::NotAdmitted)));
}
