use kioskwatch_proto::{
    KioskId,
    journal::{Body, Boot, CommandOutcome, CommandResult, Dropped, FaultState, Was},
    presence::PresenceState,
    words::ServiceState,
};

use crate::{
    change::{EvidenceSource, EvidenceState, RecordOutcome},
    fleet::{Committed, Count, Input, RecordFate, SecurityEvent},
    testing::{ScriptedAgent, World},
};

fn fate(done: &Committed, fate: RecordFate) -> u64 {
    done.counts.get(&Count::Record(fate)).copied().unwrap_or(0)
}

pub(super) fn upto(done: &Committed) -> u64 {
    assert_eq!(done.acks.len(), 1, "one ack for each kiosk and epoch");
    done.acks[0].1.upto
}

pub(super) fn started() -> (World, ScriptedAgent) {
    let mut world = World::new();
    let agent = world.kiosk("K-1", None);
    (world, agent)
}

#[test]
fn records_in_order_are_applied_once_and_acknowledged_after_the_commit() {
    let (mut world, mut agent) = started();
    agent.service(world.now, ServiceState::InService);
    agent.fault(world.now, "printer", "paper_out", FaultState::Raised);
    let message = agent.batch(world.now);
    let done = world.tell(std::slice::from_ref(&message));
    assert_eq!((upto(&done), fate(&done, RecordFate::Applied)), (2, 2));
    let digest = kioskwatch_proto::journal::Digest::of(agent.journal[1].1.as_bytes());
    assert_eq!(done.acks[0].1.digest, Some(digest));
    let again = world.tell(&[message.clone(), message]);
    assert_eq!((upto(&again), fate(&again, RecordFate::Repeat)), (2, 4));
    assert_eq!(world.store.records.len(), 2);
    assert_eq!(world.store.incidents.len(), 1);
}

/// Half an hour is recorded, then an hour is not, with one restart and a machine that was heard until near its end.
#[test]
fn what_was_heard_of_a_kiosk_without_room_on_its_disk_counts_and_the_rest_is_unknown() {
    for disk_was_full in [false, true] {
        let (mut world, mut agent) = started();
        agent.service(world.now, ServiceState::InService);
        world.send(&mut agent);
        world.pass(1_800_000, &mut [&mut agent]);
        let last_tick = world.now;
        world.pass(1_800_000, &mut [&mut agent]);
        // A run that could not write down its boot.
        let kept = (agent.journal.clone(), agent.last_seq);
        agent.reboot(world.now, last_tick);
        (agent.journal, agent.last_seq) = kept;
        world.pass(1_200_000, &mut [&mut agent]);
        world.pass(600_000, &mut []);
        world.tell(&[Input::FLUSH_ALL]);
        agent.disk_was_full = disk_was_full;
        agent.reboot(world.now, last_tick);
        world.send(&mut agent);

        let told_off: Vec<_> =
            world.store.evidence().into_iter().filter(|row| row.state == EvidenceState::Off).collect();
        let heard = world.store.evidence().into_iter().filter(|row| row.source == EvidenceSource::Live);
        let heard_to = heard.map(|row| row.to).max().unwrap();
        let span = (last_tick, world.now);
        assert!(span.0.plus_ms(2_900_000) < heard_to && heard_to < span.1, "{heard_to}");
        let journal = world.store.evidence().into_iter().filter(|row| row.source == EvidenceSource::Journal);
        let recorded_to = journal.map(|row| row.to).max().unwrap();
        if disk_was_full {
            assert_eq!((told_off.len(), recorded_to), (0, last_tick));
        } else {
            // With ticks the journal is the better witness, whatever was heard.
            assert_eq!(told_off.iter().map(|row| (row.from, row.to)).collect::<Vec<_>>(), [span]);
        }
    }
}

#[test]
fn a_plan_that_is_dropped_leaves_the_fleet_as_before_and_its_records_come_again() {
    let (mut world, mut agent) = started();
    agent.fault(world.now, "printer", "paper_out", FaultState::Raised);
    let message = [agent.batch(world.now)];
    for _ in 0..3 {
        let plan = world.fleet.plan(world.now, &message, &mut world.ids);
        assert!(!plan.is_empty());
        drop(plan);
    }
    assert_eq!(world.fleet.journal(&agent.id, agent.epoch), None);
    assert_eq!(upto(&world.tell(&message)), 1);
    assert_eq!(world.store.tickets.len(), 1);
}

#[test]
fn a_plan_made_before_another_was_adopted_is_refused() {
    let (mut world, agent) = started();
    let first =
        world.fleet.plan(world.now, &[agent.presence(world.now, PresenceState::Online)], &mut world.ids);
    world.tell(&[Input::Sweep]);
    assert!(world.fleet.adopt(first).is_err());
}

#[test]
fn after_a_gap_nothing_is_applied_and_the_ack_says_where_to_go_on() {
    let (mut world, mut agent) = started();
    for _ in 0..4 {
        agent.service(world.now, ServiceState::InService);
    }
    let some = [0, 2, 3].map(|at| agent.journal[at].1.as_str());
    let done = world.tell(&[agent.batch_of(world.now, 1, some.into_iter())]);
    assert_eq!((upto(&done), fate(&done, RecordFate::AfterGap)), (1, 2));
    assert_eq!(upto(&world.send(&mut agent)), 4);
}

#[test]
fn numbers_the_agent_no_longer_holds_are_lost_on_the_record() {
    let (mut world, mut agent) = started();
    for _ in 0..5 {
        agent.service(world.now, ServiceState::InService);
    }
    agent.journal.drain(..3);
    let done = world.send(&mut agent);
    assert_eq!((upto(&done), fate(&done, RecordFate::Lost)), (5, 3));
    let gap = &world.store.gaps[0];
    assert_eq!((gap.from_seq, gap.through_seq, gap.reason.as_str()), (1, 3, "lost"));
    assert!(world.store.audit.iter().any(|row| row.action == "journal_lost"));
}

#[test]
fn a_dropped_record_uses_up_its_range_wherever_it_begins() {
    for (known, seq, through, expected) in [(0, 1, 5, 5), (3, 2, 6, 6), (4, 5, 7, 7), (6, 2, 6, 6)] {
        let (mut world, mut agent) = started();
        for _ in 0..known {
            agent.service(world.now, ServiceState::InService);
        }
        world.send(&mut agent);
        agent.last_seq = seq - 1;
        let body = Body::Dropped(Dropped { through, counts: std::collections::BTreeMap::new() });
        agent.record(world.now, body);
        let done = world.tell(&[agent.batch(world.now)]);
        assert_eq!(upto(&done), expected, "{known} {seq} {through}");
        let gaps: Vec<_> = world.store.gaps.iter().map(|gap| (gap.from_seq, gap.through_seq)).collect();
        let new = through > known;
        assert_eq!(gaps, if new { vec![(known + 1, through)] } else { vec![] });
        assert!(done.counts.keys().all(|count| !matches!(count, Count::Security(_))));
        let again = world.tell(&[agent.batch(world.now)]);
        assert_eq!((upto(&again), fate(&again, RecordFate::Repeat)), (expected, 1));
    }
}

#[test]
fn a_dropped_record_beyond_a_gap_waits_like_any_other() {
    let (mut world, mut agent) = started();
    agent.last_seq = 4;
    agent.record(world.now, Body::Dropped(Dropped { through: 9, counts: Default::default() }));
    let raw = agent.journal[0].1.clone();
    let done = world.tell(&[agent.batch_of(world.now, 1, [raw.as_str()].into_iter())]);
    assert_eq!((upto(&done), fate(&done, RecordFate::AfterGap)), (0, 1));
}

#[test]
fn a_bad_record_uses_up_its_number_and_is_listed() {
    let (mut world, mut agent) = started();
    agent.service(world.now, ServiceState::InService);
    agent.service(world.now, ServiceState::Degraded);
    agent.journal[0].1 = agent.journal[0].1.replace("\"state\"", "\"status\"");
    let done = world.tell(&[agent.batch(world.now)]);
    assert_eq!((upto(&done), fate(&done, RecordFate::Quarantined)), (2, 1));
    assert_eq!(done.acks[0].1.rejected[0].seq, 1);
    let kept = &world.store.records[&(agent.id.clone(), agent.epoch, 1)];
    assert_eq!(kept.outcome, RecordOutcome::Quarantined);
    let again = world.tell(&[agent.batch(world.now)]);
    assert_eq!(again.acks[0].1.rejected.len(), 1, "the agent hears why, whenever it asks");
}

#[test]
fn unreadable_records_and_unknown_kinds_never_stop_the_journal() {
    let (mut world, mut agent) = started();
    agent.service(world.now, ServiceState::InService);
    agent.service(world.now, ServiceState::InService);
    let strange = agent.journal[1].1.replace("\"service\"", "\"weather\"");
    let raw = ["[1]", agent.journal[0].1.as_str(), strange.as_str()];
    let done = world.tell(&[agent.batch_of(world.now, 1, raw.into_iter())]);
    assert_eq!(upto(&done), 2);
    assert_eq!((fate(&done, RecordFate::Unreadable), fate(&done, RecordFate::UnknownKind)), (1, 1));
}

#[test]
fn a_record_that_fails_three_times_goes_to_quarantine() {
    let (mut world, mut agent) = started();
    agent.service(world.now, ServiceState::InService);
    let failed = |seq| Input::RecordFailed {
        kiosk: agent.id.clone(),
        epoch: agent.epoch,
        seq,
        reason: "constraint".into(),
    };
    for _ in 0..3 {
        world.tell(&[failed(1)]);
    }
    let done = world.tell(&[agent.batch(world.now)]);
    assert_eq!(upto(&done), 1);
    assert_eq!(done.acks[0].1.rejected[0].reason, "failed 3 times");
    assert_eq!(fate(&done, RecordFate::Quarantined), 1);
}

#[test]
fn an_applied_number_with_other_content_is_a_fork_and_not_a_repeat() {
    let (mut world, mut agent) = started();
    for _ in 0..3 {
        agent.service(world.now, ServiceState::InService);
    }
    let sent = agent.clone();
    world.send(&mut agent);
    let forged = sent.journal[1].1.replace("in_service", "degraded");
    let done = world.tell(&[sent.batch_of(world.now, 2, [forged.as_str()].into_iter())]);
    assert_eq!(upto(&done), 3);
    assert_eq!(done.counts[&Count::Security(SecurityEvent::JournalFork)], 1);
    let tickets = world.tickets(&agent.id);
    assert_eq!((tickets.len(), tickets[0].fault.as_str()), (1, "journal_fork"));
    assert!(world.store.audit.iter().any(|row| row.action == "journal_fork"));
    // A flood of forks is one problem and one line in the audit.
    let audited = world.store.audit.len();
    world.tell(&[sent.batch_of(world.now, 2, [forged.as_str()].into_iter())]);
    assert_eq!((world.store.audit.len(), world.tickets(&agent.id).len()), (audited, 1));
}

#[test]
fn what_follows_another_history_is_not_applied_upon_ours() {
    let (mut world, mut agent) = started();
    agent.service(world.now, ServiceState::InService);
    world.send(&mut agent);
    // A copy of the disk goes on with another second record, and is cut off while it writes four of its own.
    let mut copy = agent.clone();
    agent.service(world.now, ServiceState::Degraded);
    world.send(&mut agent);
    world.now = world.now.plus_ms(1_000);
    for state in [FaultState::Raised, FaultState::Cleared, FaultState::Raised, FaultState::Cleared] {
        copy.fault(world.now, "printer", "paper_out", state);
    }
    let before = world.store.records.len();
    let records: Vec<&str> =
        copy.journal.iter().filter(|(seq, _)| *seq > 1).map(|(_, text)| text.as_str()).collect();
    let (first, second) = records.split_at(1);
    let first = copy.batch_of(world.now, 2, first.iter().copied());
    // The message after it begins where ours would go on.
    let second = copy.batch_of(world.now, 2, second.iter().copied());
    let done = world.tell(&[first, second]);
    assert_eq!((world.store.records.len(), fate(&done, RecordFate::Forked)), (before, 4));
    let ours = world.store.records.iter().find(|((_, _, seq), _)| *seq == 2).unwrap().1.digest;
    let ack = &done.acks[0].1;
    assert_eq!((ack.upto, ack.digest), (2, Some(ours)), "what the copy cannot take for its own");
}

#[test]
fn after_a_change_of_epoch_what_was_applied_is_skipped_and_the_rest_applied() {
    let (mut world, mut agent) = started();
    agent.service(world.now, ServiceState::InService);
    agent.fault(world.now, "printer", "paper_out", FaultState::Raised);
    let old = agent.clone();
    world.send(&mut agent);
    let old_epoch = agent.epoch;
    world.now = world.now.plus_ms(5_000);
    agent.epoch = kioskwatch_proto::Epoch(uuid::Uuid::from_u128(99));
    agent.last_seq = 0;
    agent.snapshot(world.now, &[("printer", "paper_out")]);
    // Number 2 was applied, its ack was lost; number 3 was never sent.
    let second = kioskwatch_proto::journal::Record::parse(&old.journal[1].1).unwrap();
    let mut again = second.clone();
    again.header.seq = 2;
    again.header.was = Some(Was { epoch: old_epoch, seq: 2 });
    agent.journal.push((2, again.to_json()));
    agent.last_seq = 2;
    let was = Some(Was { epoch: old_epoch, seq: 3 });
    agent.record_was(world.now, second.body, was);
    let done = world.send(&mut agent);
    assert_eq!(upto(&done), 3);
    assert_eq!((fate(&done, RecordFate::RepeatOfOldEpoch), fate(&done, RecordFate::Applied)), (1, 2));
    assert_eq!(world.store.incidents.len(), 1);
    let kept = &world.store.records[&(agent.id.clone(), agent.epoch, 2)];
    assert_eq!(kept.outcome, RecordOutcome::Repeat);
}

#[test]
fn what_was_dropped_and_carried_into_a_new_epoch_proves_nothing_of_its_time_unless_it_had_arrived() {
    for had_arrived in [false, true] {
        let (mut world, mut agent) = started();
        let begun = world.now;
        agent.service(begun, ServiceState::InService);
        if had_arrived {
            for minute in 1..=2 {
                agent.fault(begun.plus_ms(minute * 60_000), "printer", "paper_low", FaultState::Raised);
            }
        }
        world.now = begun.plus_ms(200_000);
        world.send(&mut agent);
        let old_epoch = agent.epoch;
        world.now = begun.plus_ms(3_600_000);
        agent.epoch = kioskwatch_proto::Epoch(uuid::Uuid::from_u128(99));
        (agent.last_seq, agent.service) = (0, ServiceState::InService);
        agent.snapshot(world.now, &[]);
        let was = |seq| Some(Was { epoch: old_epoch, seq });
        let dropped = Body::Dropped(Dropped { through: 3, counts: std::collections::BTreeMap::new() });
        agent.record_was(begun.plus_ms(120_000), dropped, was(2));
        agent.last_seq = 3;
        let fault = kioskwatch_proto::journal::Record::parse(&{
            let mut other = agent.clone();
            other.fault(world.now, "printer", "paper_out", FaultState::Raised);
            other.journal.last().unwrap().1.clone()
        })
        .unwrap();
        agent.record_was(world.now, fault.body, was(4));
        world.send(&mut agent);
        let half = begun.plus_ms(1_800_000);
        let states: Vec<EvidenceState> = world
            .store
            .evidence()
            .iter()
            .filter(|row| row.source == EvidenceSource::Journal && row.from <= half && half < row.to)
            .map(|row| row.state)
            .collect();
        let expected = if had_arrived { EvidenceState::Full } else { EvidenceState::OnOnly };
        assert_eq!(states, [expected], "arrived: {had_arrived}");
    }
}

#[test]
fn a_journal_and_its_repeats_in_a_new_epoch_are_applied_once_in_one_plan() {
    let (mut world, mut agent) = started();
    for n in 0..20 {
        let state = if n % 2 == 0 { FaultState::Raised } else { FaultState::Cleared };
        agent.fault(world.now.plus_ms(n), "printer", "paper_out", state);
    }
    world.now = world.now.plus_ms(1_000);
    let old = agent.clone();
    agent.epoch = kioskwatch_proto::Epoch(uuid::Uuid::from_u128(99));
    agent.journal.clear();
    for (n, (seq, raw)) in (1..).zip(&old.journal) {
        let mut record = kioskwatch_proto::journal::Record::parse(raw).unwrap();
        record.header.seq = n;
        record.header.was = Some(Was { epoch: old.epoch, seq: *seq });
        agent.journal.push((n, record.to_json()));
    }
    // The store was asked before anything of it was there.
    let mut again = agent.batch(world.now);
    if let Input::Batch { batch, .. } = &mut again {
        batch.records.iter_mut().for_each(|record| record.compare_with(None));
    }
    let done = world.tell(&[old.batch(world.now), again]);
    assert_eq!((fate(&done, RecordFate::Applied), fate(&done, RecordFate::RepeatOfOldEpoch)), (20, 20));
    let outcomes = world.store.records.values().filter(|row| row.outcome == RecordOutcome::Repeat);
    assert_eq!((world.store.records.len(), outcomes.count()), (40, 20));
    assert_eq!(world.store.incidents.len(), 10);
}

#[test]
fn a_record_sent_again_with_other_content_is_a_fork() {
    let (mut world, mut agent) = started();
    agent.service(world.now, ServiceState::InService);
    world.send(&mut agent);
    let was = Some(Was { epoch: agent.epoch, seq: 1 });
    agent.epoch = kioskwatch_proto::Epoch(uuid::Uuid::from_u128(99));
    agent.last_seq = 0;
    world.now = world.now.plus_ms(9_000);
    agent.record_was(world.now, Body::Transaction(transaction()), was);
    let done = world.send(&mut agent);
    assert_eq!(done.counts[&Count::Security(SecurityEvent::JournalFork)], 1);
}

fn transaction() -> kioskwatch_proto::journal::Transaction {
    kioskwatch_proto::journal::Transaction {
        id: "1".into(),
        kind: "payment".into(),
        outcome: kioskwatch_proto::journal::TransactionOutcome::Completed,
        duration_ms: 1,
    }
}

#[test]
fn records_of_an_older_epoch_are_evidence_and_no_longer_move_the_state() {
    let (mut world, mut agent) = started();
    agent.service(world.now, ServiceState::InService);
    world.send(&mut agent);
    let mut old = agent.clone();
    agent.lose_journal(world.now);
    world.send(&mut agent);
    world.now = world.now.plus_ms(60_000);
    old.service(world.now, ServiceState::OutOfService);
    old.fault(world.now, "printer", "paper_out", FaultState::Raised);
    let done = world.send(&mut old);
    assert_eq!((upto(&done), fate(&done, RecordFate::Historic)), (3, 2));
    assert_eq!(world.store.states[&agent.id].service, Some(ServiceState::InService));
    assert!(world.store.incidents.is_empty());
    let journal = world.store.evidence().into_iter().filter(|row| row.source == EvidenceSource::Journal);
    assert!(journal.count() > 0);
}

#[test]
fn online_is_answered_with_an_ack_for_its_epoch_even_before_its_first_record() {
    let (mut world, mut agent) = started();
    let online = agent.connect(world.now);
    let done = world.tell(&[online]);
    assert_eq!((upto(&done), done.acks[0].1.digest), (0, None));
}

#[test]
fn an_agent_that_lost_what_it_had_sent_hears_where_we_are() {
    let (mut world, mut agent) = started();
    agent.service(world.now, ServiceState::InService);
    agent.service(world.now, ServiceState::InService);
    world.send(&mut agent);
    world.beat(&mut agent);
    agent.last_seq = 1;
    assert_eq!(upto(&world.beat(&mut agent)), 2);
}

#[test]
fn a_flood_is_told_as_a_security_event_and_not_held_against_the_kiosk() {
    let (mut world, mut agent) = started();
    let flood = |kiosk| Input::Flood { kiosk };
    let done = world.tell(&[flood(agent.id.clone()), flood(KioskId::new("K-unheard-of").unwrap())]);
    assert_eq!(done.counts.get(&Count::Security(SecurityEvent::Flood)), Some(&2));
    let told: Vec<_> = world.store.audit.iter().filter(|row| row.action == "flood").collect();
    assert_eq!(told.len(), 1, "of a kiosk we know");
    assert_eq!(told[0].object, format!("kiosk/{}", agent.id));
    let ended =
        |kiosk| Input::FloodEnded { kiosk, since: world.now, until: world.now.plus_ms(1), dropped: 7 };
    world.tell(&[ended(agent.id.clone()), ended(KioskId::new("K-unheard-of").unwrap())]);
    let told: Vec<_> = world.store.audit.iter().filter(|row| row.action == "flood_ended").collect();
    assert!(told.len() == 1 && told[0].detail.contains("\"dropped\":7"), "{told:?}");
    agent.service(world.now, ServiceState::InService);
    assert_eq!(upto(&world.send(&mut agent)), 1);
}

#[test]
fn a_time_in_the_future_is_placed_at_its_receipt_and_counted() {
    let (mut world, mut agent) = started();
    agent.clock_error_ms = 600_000;
    agent.service(world.now, ServiceState::InService);
    let done = world.send(&mut agent);
    assert_eq!(fate(&done, RecordFate::ClockAhead), 1);
    let record = world.store.records.values().next().unwrap();
    assert_eq!(record.placed_at, world.now);
}

#[test]
fn a_wrong_device_clock_is_corrected_by_the_quickest_heartbeat_of_the_boot() {
    let (mut world, mut agent) = started();
    agent.clock_error_ms = -3_600_000;
    world.now = world.now.plus_ms(10_000);
    world.beat(&mut agent);
    let happened = world.now.plus_ms(5_000);
    agent.service(happened, ServiceState::InService);
    world.now = world.now.plus_ms(60_000);
    world.send(&mut agent);
    assert_eq!(world.store.records.values().next().unwrap().placed_at, happened);
    assert_eq!(world.fleet.kiosk(&agent.id).unwrap().service_since, Some(happened));
}

#[test]
fn a_boot_record_and_a_command_result_of_a_stranger_change_nothing_they_should_not() {
    let (mut world, mut agent) = started();
    let boot = Boot { previous_boot: None, previous_alive_until: None, clean: true, unrecorded: false };
    agent.record(world.now, Body::Boot(boot));
    let command = kioskwatch_proto::CommandId(uuid::Uuid::from_u128(5));
    let result = CommandResult { command, state: CommandOutcome::Succeeded, reason: None, result: None };
    agent.record(world.now, Body::Command(result));
    assert_eq!(upto(&world.send(&mut agent)), 2);
    assert!(world.store.commands.is_empty());
}
