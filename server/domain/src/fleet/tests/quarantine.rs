//! Records that use up their number and are kept for people.
use kioskwatch_proto::words::ServiceState;

use super::journals::{started, upto};
use crate::{
    change::{EvidenceSource, EvidenceState},
    fleet::{IncomingRecord, Input, RecordBatch},
    testing::{ScriptedAgent, World},
};

const MINUTE: i64 = 60_000;

/// Ten minutes in service, then something, ten minutes later in service again, and ten more.
fn something_between(word: impl FnOnce(&mut ScriptedAgent, &World)) -> (World, ScriptedAgent) {
    let (mut world, mut agent) = started();
    let tell_in_service = |world: &mut World, agent: &mut ScriptedAgent| {
        agent.service(world.now, ServiceState::InService);
        world.now = world.now.plus_ms(10 * MINUTE);
    };
    tell_in_service(&mut world, &mut agent);
    word(&mut agent, &world);
    world.now = world.now.plus_ms(10 * MINUTE);
    tell_in_service(&mut world, &mut agent);
    agent.service(world.now, ServiceState::InService);
    (world, agent)
}

/// Minutes in service that the journal proves; it proves nothing else.
fn proven(world: &World) -> i64 {
    let rows = world.store.evidence();
    let of_journal = rows.iter().filter(|row| row.source == EvidenceSource::Journal);
    let minutes = of_journal.map(|row| {
        assert_eq!(row.state, EvidenceState::Full);
        row.to.since(row.from) / MINUTE
    });
    minutes.sum()
}

#[test]
fn nothing_is_proven_across_a_record_that_nobody_can_read() {
    let (mut world, agent) = something_between(|_, _| {});
    world.tell(&[agent.batch(world.now)]);
    assert_eq!(proven(&world), 30, "nothing was said in between");

    let (mut world, mut agent) = something_between(|agent, world| {
        agent.service(world.now, ServiceState::OutOfService);
    });
    agent.journal[1].1 = agent.journal[1].1.replace("\"state\"", "\"status\"");
    let done = world.tell(&[agent.batch(world.now)]);
    assert_eq!((upto(&done), done.acks[0].1.rejected.len()), (4, 1));
    assert_eq!(proven(&world), 10, "from the next readable word on");
}

#[test]
fn a_record_that_failed_three_times_proves_nothing_either() {
    let (mut world, agent) = something_between(|agent, world| {
        agent.service(world.now, ServiceState::OutOfService);
    });
    for _ in 0..3 {
        let (kiosk, epoch) = (agent.id.clone(), agent.epoch);
        world.tell(&[Input::RecordFailed { kiosk, epoch, seq: 2, reason: "constraint".into() }]);
    }
    world.tell(&[agent.batch(world.now)]);
    assert_eq!(proven(&world), 10);
}

#[test]
fn a_message_that_is_set_aside_is_told_in_one_line_and_once() {
    let (mut world, mut agent) = started();
    for _ in 0..3 {
        agent.service(world.now, ServiceState::InService);
    }
    let unread = |(_, raw): &(u64, String)| IncomingRecord::unread(raw, "reading it panicked");
    let batch =
        RecordBatch { epoch: agent.epoch, first: 1, records: agent.journal.iter().map(unread).collect() };
    let message = Input::Batch { kiosk: agent.id.clone(), received_at: world.now, batch };
    for _ in 0..2 {
        let done = world.tell(std::slice::from_ref(&message));
        let refused = done.acks[0].1.rejected.iter().map(|one| (one.seq, one.reason.as_str()));
        assert!(refused.eq((1..=3).map(|seq| (seq, "reading it panicked"))), "{:?}", done.acks);
    }
    let told: Vec<_> = world.store.audit.iter().filter(|row| row.action == "record_set_aside").collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].object, "kiosk/K-1");
    for part in ["\"seq\":1", "\"records\":3", "reading it panicked"] {
        assert!(told[0].detail.contains(part), "{}", told[0].detail);
    }
}
