//! Journals beyond those in memory, and records whose old place nobody can read.
use kioskwatch_proto::{
    Epoch,
    journal::{Body, Boot, FaultState, Was},
    words::ServiceState,
};

use super::journals::{started, upto};
use crate::{
    change::RecordOutcome,
    fleet::{Count, Fleet, Input, MessageOutcome, Recalled, RecordFate, Stored},
    journal::MAX_FAILURES,
    testing::{ScriptedAgent, World},
};

/// A kiosk whose first disk lies in a drawer while its agent lost its journal again and again.
fn after_many_epochs() -> (World, ScriptedAgent, ScriptedAgent) {
    let (mut world, mut agent) = started();
    agent.fault(world.now, "printer", "paper_out", FaultState::Raised);
    agent.service(world.now, ServiceState::OutOfService);
    let drawer = agent.clone();
    world.send(&mut agent);
    for _ in 0..20 {
        world.now = world.now.plus_ms(1_000);
        agent.lose_journal(world.now);
        world.send(&mut agent);
    }
    (world, agent, drawer)
}

#[test]
fn a_journal_that_memory_forgot_goes_on_where_it_stood() {
    for restarted in [false, true] {
        let (mut world, agent, mut drawer) = after_many_epochs();
        if restarted {
            world.restart();
        }
        let before = world.store.records.len();
        assert_eq!(world.fleet.journal(&agent.id, drawer.epoch), None, "forgotten");
        let (incidents, again) = (world.store.incidents.len(), world.tell(&[drawer.batch(world.now)]));
        assert_eq!((upto(&again), again.counts.get(&Count::Record(RecordFate::Repeat))), (2, Some(&2)));
        assert_eq!((world.store.records.len(), world.store.incidents.len()), (before, incidents));
        // Then something new, from an agent that has dropped what was acknowledged.
        drawer.acknowledged(drawer.epoch, 2);
        drawer.service(world.now, ServiceState::InService);
        assert_eq!(upto(&world.send(&mut drawer)), 3);
        assert_eq!(world.store.gaps, [], "nothing of it is lost");
        assert!(world.store.audit.iter().all(|row| row.action != "journal_fork"), "{:?}", world.store.audit);
        // A heartbeat of it is told the truth as well.
        let beat = Box::new(drawer.heartbeat(world.now));
        let heard = Input::Heartbeat { kiosk: drawer.id.clone(), received_at: world.now, message: beat };
        let done = world.tell(&[heard]);
        assert!(done.acks.iter().all(|(_, ack)| ack.upto == 3), "{:?}", done.acks);
    }
}

#[test]
fn the_current_journal_is_remembered_also_when_our_clock_was_ahead_of_it() {
    let (mut world, mut agent) = started();
    world.now = world.now.plus_ms(86_400_000);
    for _ in 0..20 {
        agent.lose_journal(world.now);
        world.send(&mut agent);
    }
    let before = world.now;
    world.now = world.now.plus_ms(-80_000_000);
    world.tell(&[Input::ClockJumped { before }]);
    agent.lose_journal(world.now);
    for restarted in [false, true] {
        if restarted {
            world.restart();
        }
        agent.service(world.now, ServiceState::InService);
        let upto = upto(&world.send(&mut agent));
        assert_eq!(world.fleet.journal(&agent.id, agent.epoch).map(|(upto, _)| upto), Some(upto));
        assert_eq!(world.fleet.to_recall(&[agent.batch(world.now)]), []);
    }
}

#[test]
fn a_fleet_rebuilt_after_many_epochs_is_the_one_that_lived() {
    let (mut world, _, mut drawer) = after_many_epochs();
    for _ in 0..2 {
        let policy = std::sync::Arc::new(world.fleet.policy().clone());
        let rebuilt = Fleet::from_image(policy, world.store.image());
        assert_eq!(rebuilt.difference(&world.fleet), None);
        world.send(&mut drawer);
    }
}

#[test]
fn a_journal_of_which_nobody_can_tell_how_far_it_is_applied_waits() {
    let (mut world, _, drawer) = after_many_epochs();
    let (records, message) = (world.store.records.len(), [drawer.batch(world.now)]);
    let recalled = Recalled { heads: Vec::new(), unreadable: world.fleet.to_recall(&message) };
    assert_eq!(recalled.unreadable, [(drawer.id.clone(), drawer.epoch)]);
    let plan = world.fleet.plan_recalling(world.now, &message, &recalled, &mut world.ids);
    world.store.commit(&plan.changes).unwrap();
    let done = world.fleet.adopt(plan).unwrap();
    assert_eq!((done.acks, world.store.records.len()), (Vec::new(), records));
    assert_eq!(done.counts[&Count::Message(MessageOutcome::JournalUnreadable)], 1);
    assert_eq!(upto(&world.tell(&message)), 2, "once it can be read");
}

#[test]
fn a_record_whose_old_place_cannot_be_read_waits_and_is_quarantined_at_last() {
    let (mut world, mut agent) = started();
    for _ in 0..20 {
        agent.service(world.now, ServiceState::InService);
    }
    world.send(&mut agent);
    let was = Some(Was { epoch: agent.epoch, seq: 1 });
    agent.epoch = Epoch(uuid::Uuid::from_u128(99));
    (agent.last_seq, agent.journal) = (0, Vec::new());
    let body =
        Body::Boot(Boot { previous_boot: None, previous_alive_until: None, clean: true, unrecorded: false });
    agent.record_was(world.now, body, was);
    agent.service(world.now, ServiceState::InService);
    let unreadable = |world: &World, agent: &ScriptedAgent| {
        let mut message = agent.batch(world.now);
        if let Input::Batch { batch, .. } = &mut message {
            batch.records[0].stored = Stored::Unreadable;
        }
        message
    };
    for time in 1..=MAX_FAILURES {
        let done = world.tell(&[unreadable(&world, &agent)]);
        assert_eq!(upto(&done), 0, "time {time}");
    }
    let done = world.tell(&[unreadable(&world, &agent)]);
    assert_eq!((upto(&done), done.counts[&Count::Record(RecordFate::Quarantined)]), (2, 1));
    assert_eq!(world.store.records[&(agent.id.clone(), agent.epoch, 1)].outcome, RecordOutcome::Quarantined);
}
