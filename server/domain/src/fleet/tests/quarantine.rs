//! Records that use up their number and are kept for people.
use std::collections::BTreeMap;

use kioskwatch_proto::{
    journal::{Body, Dropped},
    words::ServiceState,
};

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

/// Of the audit's lines how many records each tells.
fn told(world: &World) -> Vec<u64> {
    let lines = world.store.audit.iter().filter(|row| row.action == "record_set_aside");
    let records =
        lines.map(|row| serde_json::from_str::<serde_json::Value>(&row.detail).unwrap()["records"].clone());
    records.map(|records| records.as_u64().unwrap()).collect()
}

#[test]
fn who_sends_only_what_is_set_aside_adds_a_line_an_interval_to_the_audit() {
    let (mut world, mut agent) = started();
    let mut send = |world: &mut World, times: u32| {
        for _ in 0..times {
            agent.service(world.now, ServiceState::InService);
            let (seq, raw) = agent.journal.last().unwrap();
            let records = vec![IncomingRecord::unread(raw, "reading it panicked")];
            let batch = RecordBatch { epoch: agent.epoch, first: 1, records };
            world.tell(&[Input::Batch { kiosk: agent.id.clone(), received_at: world.now, batch }]);
            assert_eq!(world.fleet.journal(&agent.id, agent.epoch).unwrap().0, *seq, "each by itself");
            world.now = world.now.plus_ms(1_000);
        }
    };
    send(&mut world, 300);
    world.tell(&[Input::Sweep]);
    assert_eq!(told(&world), [1], "the first at once");
    world.now = world.now.plus_ms(5 * MINUTE);
    world.tell(&[Input::Sweep, Input::Sweep]);
    assert_eq!(told(&world), [1, 299]);
    send(&mut world, 2);
    let before = world.now;
    world.now = before.plus_ms(-24 * 60 * MINUTE);
    world.tell(&[Input::ClockJumped { before }]);
    world.now = world.now.plus_ms(10 * MINUTE);
    world.tell(&[Input::Sweep]);
    assert_eq!(told(&world), [1, 299, 2], "a clock that is set back keeps nothing from being told");
    for _ in 0..2 {
        world.now = world.now.plus_ms(10 * MINUTE);
        world.tell(&[Input::Sweep]);
    }
    send(&mut world, 1);
    assert_eq!(told(&world), [1, 299, 2, 1], "after an interval without any at once again");
}

#[test]
fn a_range_that_cannot_be_read_is_set_aside_whole_and_what_is_behind_it_goes_on() {
    let dropped = |agent: &mut ScriptedAgent, world: &World| {
        let body = Body::Dropped(Dropped { through: 9, counts: BTreeMap::new() });
        agent.record(world.now, body);
        agent.last_seq = 9;
    };
    let unread = |agent: &ScriptedAgent, world: &World| {
        let read = |(seq, raw): &(u64, String)| match seq {
            2 => IncomingRecord::unread(raw, "reading it panicked"),
            _ => IncomingRecord::read(raw),
        };
        let records = agent.journal.iter().map(read).collect();
        let batch = RecordBatch { epoch: agent.epoch, first: 1, records };
        Input::Batch { kiosk: agent.id.clone(), received_at: world.now, batch }
    };
    let (mut world, agent) = something_between(dropped);
    for _ in 0..2 {
        let done = world.tell(&[unread(&agent, &world)]);
        let rejected = &done.acks[0].1.rejected;
        assert_eq!((upto(&done), rejected.len(), rejected[0].seq), (11, 1, 2));
    }
    assert_eq!(proven(&world), 10, "from the next readable word on");
    let gaps: Vec<_> = world.store.gaps.iter().map(|gap| (gap.from_seq, gap.through_seq)).collect();
    assert_eq!(gaps, [(2, 9)]);

    // The same of one whose storing fails three times.
    let (mut world, agent) = something_between(dropped);
    for _ in 0..3 {
        let (kiosk, epoch) = (agent.id.clone(), agent.epoch);
        world.tell(&[Input::RecordFailed { kiosk, epoch, seq: 2, reason: "constraint".into() }]);
    }
    let done = world.tell(&[agent.batch(world.now)]);
    assert_eq!((upto(&done), done.acks[0].1.rejected[0].reason.as_str()), (11, "failed 3 times"));
    assert_eq!(proven(&world), 10);
}
