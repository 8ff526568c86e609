//! Two machines with one id: two agents at once, or copies of one disk.
use kioskwatch_proto::{journal::FaultState, presence::PresenceState, words::ServiceState};

use super::journals::started;
use crate::{
    fleet::{Committed, Count, Input, SecurityEvent},
    testing::{ScriptedAgent, World},
};

#[test]
fn two_agents_with_one_id_are_detected_counted_and_told_once() {
    let (mut world, mut agent) = started();
    let mut clone = agent.clone();
    clone.boot = kioskwatch_proto::BootId(uuid::Uuid::from_u128(77));
    clone.session = kioskwatch_proto::SessionId(uuid::Uuid::from_u128(78));
    let mut seen = 0;
    for _ in 0..6 {
        for voice in [&mut agent, &mut clone] {
            world.now = world.now.plus_ms(5_000);
            let done = world.beat(voice);
            seen += done.counts.get(&Count::Security(SecurityEvent::TwoAgents)).copied().unwrap_or(0);
        }
    }
    assert!(seen >= 8, "{seen}");
    assert_eq!(world.store.audit.iter().filter(|row| row.action == "two_agents").count(), 1);
}

/// A kiosk whose disk was copied, and the copy that has become the kiosk.
fn two_copies() -> (World, ScriptedAgent, ScriptedAgent) {
    let (mut world, mut old) = started();
    world.now = world.now.plus_ms(world.fleet.policy().presence.settle_ms);
    old.service(world.now, ServiceState::InService);
    world.send(&mut old);
    let mut copy = old.clone();
    copy.boot = kioskwatch_proto::BootId(uuid::Uuid::from_u128(77));
    copy.session = kioskwatch_proto::SessionId(uuid::Uuid::from_u128(78));
    copy.lose_journal(world.now);
    world.send(&mut copy);
    world.beat(&mut copy);
    (world, old, copy)
}

/// Whether the old one, heard at these times, is told to begin anew.
fn is_told_to_begin_anew(world: &mut World, old: &mut ScriptedAgent, pauses_s: &[i64]) -> bool {
    pauses_s.iter().any(|pause_s| {
        world.now = world.now.plus_ms(pause_s * 1_000);
        world.beat(old).acks.iter().any(|(_, ack)| ack.epoch == old.epoch)
    })
}

#[test]
fn our_own_deafness_is_not_taken_for_the_silence_of_one_of_two_copies() {
    // The same time without a deafness is enough.
    let (mut world, mut old, _) = two_copies();
    assert!(is_told_to_begin_anew(&mut world, &mut old, &[1, 30, 30, 30]));

    let (mut world, mut old, mut copy) = two_copies();
    assert!(!is_told_to_begin_anew(&mut world, &mut old, &[1]));
    world.tell(&[Input::BrokerDown { since: world.now }]);
    world.now = world.now.plus_ms(600_000);
    world.tell(&[Input::BrokerUp]);
    // While the fleet comes back, the copy is not missed either.
    let settle_s = world.fleet.policy().presence.settle_ms / 1_000;
    assert!(settle_s > 60, "{settle_s}");
    assert!(!is_told_to_begin_anew(&mut world, &mut old, &[1, settle_s - 1, 30, 30, 29]));
    world.beat(&mut copy);
    assert!(!is_told_to_begin_anew(&mut world, &mut old, &[1, 30, 30, 29]));
    assert!(is_told_to_begin_anew(&mut world, &mut old, &[1]), "it is the one that is left");
}

#[test]
fn of_two_copies_the_one_that_speaks_rarely_is_waited_for_by_its_own_pauses() {
    let (mut world, mut old, mut copy) = two_copies();
    (old.interval_s, copy.interval_s) = (5, 60);
    world.beat(&mut copy);
    assert!(!is_told_to_begin_anew(&mut world, &mut old, &[1, 5, 5, 5, 60, 60, 44]));
    assert!(is_told_to_begin_anew(&mut world, &mut old, &[1]));
}

#[test]
fn of_two_copies_of_a_disk_the_one_that_is_left_becomes_the_kiosk_again() {
    let (mut world, mut survivor) = started();
    survivor.service(world.now, ServiceState::InService);
    world.send(&mut survivor);
    let honest = world.beat(&mut survivor);
    assert!(honest.acks.is_empty(), "{honest:?}");
    let mut copy = survivor.clone();
    copy.boot = kioskwatch_proto::BootId(uuid::Uuid::from_u128(77));
    copy.session = kioskwatch_proto::SessionId(uuid::Uuid::from_u128(78));
    copy.lose_journal(world.now);
    world.send(&mut copy);

    let contradicts = |done: &Committed, agent: &ScriptedAgent| {
        let bytes =
            agent.journal.last().map(|(_, raw)| kioskwatch_proto::journal::Digest::of(raw.as_bytes()));
        done.acks
            .iter()
            .any(|(_, ack)| ack.epoch == agent.epoch && ack.digest.is_some() && ack.digest != bytes)
    };
    // Both speak: neither is told to give up.
    let old = survivor.epoch;
    for _ in 0..20 {
        for voice in [&mut survivor, &mut copy] {
            world.now = world.now.plus_ms(15_000);
            let done = world.beat(voice);
            assert!(done.acks.iter().all(|(_, ack)| ack.epoch != old), "{done:?}");
        }
    }
    // The copy is switched off.
    let mut told = false;
    for _ in 0..5 {
        world.now = world.now.plus_ms(30_000);
        survivor.journal.clear();
        survivor.fault(world.now, "printer", "paper_out", FaultState::Raised);
        let message = survivor.batch(world.now);
        let done = world.tell(&[message]);
        told |= contradicts(&done, &survivor);
        assert!(world.tickets(&survivor.id).iter().all(|ticket| ticket.fault.as_str() != "paper_out"));
        world.beat(&mut survivor);
    }
    assert!(told, "it hears that its journal is not the kiosk's");
    survivor.lose_journal(world.now);
    survivor.fault(world.now, "printer", "paper_out", FaultState::Raised);
    let message = survivor.batch(world.now);
    let done = world.tell(&[message]);
    assert!(!contradicts(&done, &survivor));
    assert!(world.tickets(&survivor.id).iter().any(|ticket| ticket.fault.as_str() == "paper_out"));
}

#[test]
fn a_heartbeat_that_a_new_connection_overtook_is_no_second_agent() {
    let (mut world, mut agent) = started();
    world.beat(&mut agent);
    let old_session = agent.session;
    // Sent, and held up on its way.
    let held_up = agent.heartbeat(world.now);
    world.now = world.now.plus_ms(20_000);
    let birth = agent.connect(world.now);
    world.tell(&[birth]);
    world.now = world.now.plus_ms(1_000);
    let message = Box::new(held_up.clone());
    assert!(!world.fleet.heard(world.now, &agent.id, &held_up).durable);
    let done = world.tell(&[Input::Heartbeat { kiosk: agent.id.clone(), received_at: world.now, message }]);
    assert_eq!(done.counts.get(&Count::Security(SecurityEvent::TwoAgents)), None);
    assert_eq!(world.fleet.kiosk(&agent.id).unwrap().session, Some(agent.session));
    // The will of the connection that is current still counts.
    let will = agent.presence(world.now, PresenceState::Offline);
    let stale = Count::Message(crate::fleet::MessageOutcome::StaleWill);
    assert_eq!(world.tell(&[will]).counts.get(&stale), None);
    // One that the old connection sends now is another agent, also when its clock is slow.
    for late_ms in [0, 3_600_000] {
        world.now = world.now.plus_ms(120_000);
        let mut alive = agent.heartbeat(world.now);
        (alive.session, alive.at) = (old_session, world.now.plus_ms(-late_ms));
        let message = Box::new(alive);
        let done =
            world.tell(&[Input::Heartbeat { kiosk: agent.id.clone(), received_at: world.now, message }]);
        assert_eq!(done.counts.get(&Count::Security(SecurityEvent::TwoAgents)), Some(&1), "{late_ms}");
        world.now = world.now.plus_ms(1_000);
        world.beat(&mut agent);
    }
}

#[test]
fn a_heartbeat_that_a_journal_message_overtook_is_evidence_and_takes_no_will_back() {
    let (mut world, mut agent) = started();
    world.beat(&mut agent);
    let sent_at = world.now.plus_ms(30_000);
    let mut held_up = agent.heartbeat(sent_at);
    held_up.service = ServiceState::OutOfService;
    world.now = sent_at.plus_ms(10);
    agent.service(world.now, ServiceState::OutOfService);
    world.send(&mut agent);
    let will = agent.presence(world.now, PresenceState::Offline);
    world.tell(&[will]);
    world.fleet.heard(sent_at, &agent.id, &held_up);
    let live = world.fleet.live_evidence(&agent.id, sent_at.plus_ms(5_000));
    assert!(live.iter().any(|row| row.from == sent_at), "{live:#?}");
    // Nobody was heard after the will: it shortens the wait.
    world.pass(60_000, &mut []);
    assert_eq!(world.fleet.kiosk(&agent.id).unwrap().presence_reason, "last_will");
}
