use kioskwatch_proto::{presence::PresenceState, words::ServiceState};

use crate::{
    change::{EvidenceSource, PresenceVerdict},
    fleet::{Beat, Count, Heard, Input, MessageOutcome},
    testing::{ScriptedAgent, World, world::START},
};

pub(super) fn verdict(world: &World, agent: &ScriptedAgent) -> (&'static str, &'static str) {
    let kiosk = world.fleet.kiosk(&agent.id).unwrap();
    (kiosk.presence.as_str(), kiosk.presence_reason)
}

/// A kiosk that was heard just now.
pub(super) fn heard() -> (World, ScriptedAgent) {
    let mut world = World::new();
    let mut agent = world.kiosk("K-1", None);
    let online = agent.connect(world.now);
    world.tell(&[online]);
    world.pass(90_000, &mut [&mut agent]);
    assert_eq!(verdict(&world, &agent), ("online", "birth"));
    (world, agent)
}

#[test]
fn a_silent_kiosk_becomes_late_and_offline_at_the_computed_times_whenever_we_look() {
    for look_after in [91_000, 300_000, 3_600_000] {
        let (mut world, agent) = heard();
        let last = world.now;
        world.now = last.plus_ms(look_after);
        world.tell(&[Input::Sweep]);
        assert_eq!(verdict(&world, &agent), ("offline", "missed_heartbeats"));
        let steps: Vec<_> = world
            .store
            .transitions
            .iter()
            .filter(|row| row.kind == "presence")
            .map(|row| (row.to.as_str(), row.at.since(last)))
            .collect();
        assert_eq!(steps[steps.len() - 2..], [("late", 45_000), ("offline", 90_000)]);
    }
}

#[test]
fn the_sweep_is_idempotent() {
    let (mut world, _agent) = heard();
    world.now = world.now.plus_ms(91_000);
    world.tell(&[Input::Sweep]);
    let rows = world.store.transitions.len();
    for _ in 0..3 {
        assert!(world.fleet.plan(world.now, &[Input::Sweep], &mut world.ids).changes.is_empty());
        world.tell(&[Input::Sweep]);
    }
    assert_eq!(world.store.transitions.len(), rows);
}

#[test]
fn a_heartbeat_in_time_costs_no_plan_and_keeps_the_kiosk_online() {
    let (mut world, mut agent) = heard();
    for _ in 0..20 {
        world.now = world.now.plus_ms(30_000);
        let beat = agent.heartbeat(world.now);
        assert!(!world.fleet.heard(world.now, &agent.id, &beat).durable);
        world.tell(&[Input::Sweep]);
    }
    assert_eq!(verdict(&world, &agent).0, "online");
    assert!(world.store.transitions.iter().all(|row| row.to != "late"));
}

#[test]
fn heartbeats_taken_together_do_what_each_would_have_done_in_its_turn() {
    let told = |together: bool| {
        let mut world = World::new();
        let mut agents: Vec<_> = (0..300).map(|i| world.kiosk(&format!("K-{i:03}"), None)).collect();
        agents.push(ScriptedAgent::new("K-999", world.now));
        let mut beats = Vec::new();
        for (i, agent) in agents.iter_mut().enumerate() {
            // Most are connected, of one nothing is known, and one is overtaken by itself.
            if i % 7 != 0 && i < 300 {
                let online = agent.connect(world.now);
                world.tell(&[online]);
            }
            for later in 0..=i64::from(i % 3 == 0) {
                let received_at = world.now.plus_ms(10_000 * later);
                let message = Box::new(agent.heartbeat(received_at));
                beats.push(Beat { kiosk: agent.id.clone(), received_at, message });
            }
        }
        beats.swap(0, 1);
        let heard: Vec<Heard> = if together {
            world.fleet.heard_together(&beats)
        } else {
            let each = beats.iter();
            each.map(|beat| world.fleet.heard(beat.received_at, &beat.kiosk, &beat.message)).collect()
        };
        let now = world.now.plus_ms(60_000);
        let known: Vec<_> = agents
            .iter()
            .map(|agent| (world.fleet.live_evidence(&agent.id, now), agent.id.clone()))
            .collect();
        (heard, known)
    };
    let (heard, known) = told(true);
    assert_eq!((heard.clone(), known.clone()), told(false));
    assert!(heard.iter().any(|heard| heard.durable) && heard.iter().any(|heard| !heard.durable));
    assert!(known.iter().filter(|(rows, _)| rows.is_empty()).count() == 1, "only nobody's is not kept");
}

#[test]
fn a_killed_server_knows_when_a_kiosk_was_heard_that_had_just_come_back() {
    let (mut world, mut agent) = heard();
    world.tell(&[Input::FLUSH_ALL]);
    world.pass(120_000, &mut []);
    let heard_at = world.now;
    world.beat(&mut agent);
    world.now = world.now.plus_ms(20_000);
    for _ in 0..2 {
        world.restart();
        assert_eq!(world.fleet.kiosk(&agent.id).unwrap().last_seen_at, Some(heard_at));
        // It is silent for good.
        world.now = world.now.plus_ms(20_000);
        world.tell(&[Input::FLUSH_ALL]);
    }
}

#[test]
fn a_heartbeat_brings_a_kiosk_back_and_ends_its_incident() {
    let (mut world, mut agent) = heard();
    world.pass(120_000, &mut []);
    assert_eq!(world.store.incidents.len(), 1);
    world.beat(&mut agent);
    assert_eq!(verdict(&world, &agent), ("online", "heartbeat"));
    let incident = world.store.incidents.values().next().unwrap();
    assert_eq!(incident.close_reason.as_deref(), Some("heard"));
}

#[test]
fn after_the_will_of_the_current_session_a_kiosk_may_be_as_late_as_anybody_and_is_then_offline() {
    let (mut world, agent) = heard();
    let last = world.now;
    world.now = last.plus_ms(10_000);
    world.tell(&[agent.presence(world.now, PresenceState::Offline)]);
    assert_eq!(verdict(&world, &agent).0, "online", "a will is a hint");
    world.pass(44_000, &mut []);
    assert_eq!(verdict(&world, &agent).0, "late");
    world.pass(2_000, &mut []);
    assert_eq!(verdict(&world, &agent), ("offline", "last_will"));
    let since = world.fleet.kiosk(&agent.id).unwrap().presence_since;
    assert_eq!(since.since(last), 10_000 + 45_000);
}

#[test]
fn a_heartbeat_after_a_will_undoes_it() {
    let (mut world, mut agent) = heard();
    world.tell(&[agent.presence(world.now, PresenceState::Offline)]);
    world.now = world.now.plus_ms(5_000);
    world.beat(&mut agent);
    world.pass(40_000, &mut []);
    assert_eq!(verdict(&world, &agent).0, "online");
}

#[test]
fn the_will_of_another_session_is_ignored_and_counted() {
    let (mut world, mut agent) = heard();
    let old = agent.presence(world.now, PresenceState::Offline);
    let online = agent.connect(world.now);
    world.tell(&[online]);
    let done = world.tell(&[old]);
    assert_eq!(done.counts[&Count::Message(MessageOutcome::StaleWill)], 1);
    world.pass(40_000, &mut []);
    assert_eq!(verdict(&world, &agent).0, "online");
}

#[test]
fn a_goodbye_is_offline_at_once_and_its_ticket_waits_for_the_return() {
    let (mut world, mut agent) = heard();
    world.tell(&[agent.presence(world.now, PresenceState::Planned)]);
    assert_eq!(verdict(&world, &agent), ("offline", "goodbye"));
    world.pass(540_000, &mut []);
    assert!(world.tickets(&agent.id).is_empty());
    world.beat(&mut agent);
    world.pass(120_000, &mut [&mut agent]);
    assert!(world.tickets(&agent.id).is_empty());
    world.tell(&[agent.presence(world.now, PresenceState::Planned)]);
    world.pass(660_000, &mut []);
    assert_eq!(world.tickets(&agent.id).len(), 1, "it did not come back");
}

#[test]
fn a_heartbeat_sent_before_a_goodbye_and_taken_after_it_does_not_lift_it() {
    let (mut world, mut agent) = heard();
    world.pass(50_000, &mut []);
    assert_eq!(verdict(&world, &agent).0, "late");
    let beat = Input::Heartbeat {
        kiosk: agent.id.clone(),
        received_at: world.now,
        message: Box::new(agent.heartbeat(world.now)),
    };
    world.now = world.now.plus_ms(10);
    world.tell(&[agent.presence(world.now, PresenceState::Planned), beat]);
    assert_eq!(verdict(&world, &agent), ("offline", "goodbye"));
    world.pass(1_000, &mut []);
    world.beat(&mut agent);
    assert_eq!(verdict(&world, &agent).0, "online");
}

#[test]
fn a_goodbye_said_while_we_were_away_is_dated_by_the_agent_and_not_by_our_start() {
    for (error_ms, said_after_ms) in [(0, 60_000), (-86_400_000, 0), (86_400_000, 1_200_000)] {
        let (mut world, mut agent) = heard();
        world.tell(&[Input::FLUSH_ALL]);
        let last = world.now;
        agent.clock_error_ms = error_ms;
        let Input::Presence { kiosk, message, .. } =
            agent.presence(last.plus_ms(60_000), PresenceState::Planned)
        else {
            unreachable!()
        };
        world.now = last.plus_ms(1_200_000);
        world.restart();
        world.tell(&[Input::Presence { kiosk, received_at: world.now, retained: true, message }]);
        assert_eq!(verdict(&world, &agent), ("offline", "goodbye"));
        let since = world.fleet.kiosk(&agent.id).unwrap().presence_since;
        assert_eq!(since.since(last), said_after_ms, "clock error {error_ms}");
    }
}

#[test]
fn a_registered_kiosk_that_never_spoke_stays_unknown() {
    let mut world = World::new();
    let agent = world.kiosk("K-1", None);
    world.pass(600_000, &mut []);
    assert_eq!(verdict(&world, &agent), ("unknown", "never_seen"));
}

#[test]
fn heartbeats_become_one_span_that_ends_one_interval_after_the_last() {
    let (mut world, mut agent) = heard();
    let first = START;
    world.tell(&[Input::FLUSH_ALL]);
    world.pass(300_000, &mut [&mut agent]);
    world.tell(&[Input::FLUSH_ALL]);
    let last = world.now;
    world.pass(300_000, &mut []);
    world.tell(&[Input::FLUSH_ALL]);
    let live: Vec<_> =
        world.store.evidence().into_iter().filter(|e| e.source == EvidenceSource::Live).collect();
    assert_eq!(live.len(), 1);
    assert_eq!((live[0].from.since(first), live[0].to.since(last)), (30_000, 30_000));
    assert_eq!(live[0].state.as_str(), "FULL");
    let plan = world.fleet.plan(world.now, &[Input::FLUSH_ALL], &mut world.ids);
    assert!(plan.changes.is_empty(), "nothing new to write");
}

#[test]
fn a_gap_or_another_state_begins_a_new_span() {
    let (mut world, mut agent) = heard();
    agent.service = ServiceState::Degraded;
    world.pass(60_000, &mut [&mut agent]);
    let silent_from = world.now;
    world.pass(91_000, &mut []);
    world.beat(&mut agent);
    world.now = world.now.plus_ms(60_000);
    world.tell(&[Input::FLUSH_ALL]);
    let live: Vec<_> = world
        .store
        .evidence()
        .into_iter()
        .filter(|e| e.source == EvidenceSource::Live)
        .map(|e| (e.state.as_str(), e.from.since(silent_from), e.to.since(silent_from)))
        .collect();
    let expected =
        [("FULL", -120_000, -30_000), ("DEGRADED", -30_000, 30_000), ("DEGRADED", 91_000, 121_000)];
    assert_eq!(live, expected);
}

#[test]
fn what_was_heard_before_a_restart_stays_evidence_when_the_next_stretch_is_written() {
    let (mut world, mut agent) = heard();
    world.pass(600_000, &mut [&mut agent]);
    world.tell(&[Input::FLUSH_ALL]);
    let written = world.store.evidence();
    assert_eq!(written.len(), 1);
    // Nobody told the next server that this stretch runs.
    world.restart();
    world.now = world.now.plus_ms(10_000);
    world.beat(&mut agent);
    world.now = world.now.plus_ms(10_000);
    world.tell(&[Input::FLUSH_ALL]);
    let now = world.store.evidence();
    assert_eq!((now.len(), &now[0]), (2, &written[0]));
    assert_eq!((now[1].from, now[1].to), (world.now.plus_ms(-10_000), world.now));
}

#[test]
fn a_fleet_counts_its_verdicts() {
    let (world, agent) = heard();
    assert_eq!(world.fleet.presence_counts().online, 1);
    assert_eq!(world.fleet.kiosk(&agent.id).unwrap().presence, PresenceVerdict::Online);
}

#[test]
fn a_shorter_promise_is_not_judged_by_the_longer_one_before_it() {
    let (mut world, mut agent) = heard();
    agent.interval_s = 2;
    world.beat(&mut agent);
    let last = world.now;
    assert!(world.fleet.next_deadline().is_some_and(|at| at <= last.plus_ms(3_000)));
    world.now = last.plus_ms(6_000);
    world.tell(&[Input::Sweep]);
    assert_eq!(verdict(&world, &agent), ("offline", "missed_heartbeats"));
}

#[test]
fn nobody_is_judged_by_the_time_that_a_sweep_took_to_be_decided() {
    let (mut world, mut agent) = heard();
    let last = world.now;
    let beat = agent.heartbeat(last.plus_ms(30_000));
    world.tell(&[Input::Read { to: last.plus_ms(1_000) }]);
    // The database stalled between the reading of messages and this sweep; one of the kiosk waits to be read.
    world.now = last.plus_ms(120_000);
    world.tell(&[Input::Sweep]);
    assert_eq!(verdict(&world, &agent), ("online", "birth"));
    for look in world.fleet.looks(world.now) {
        world.tell(&[Input::SweepPart(vec![look])]);
    }
    assert_eq!(verdict(&world, &agent), ("online", "birth"));
    world.fleet.heard(last.plus_ms(30_000), &agent.id, &beat);
    world.tell(&[Input::Read { to: world.now }, Input::Sweep]);
    assert_eq!(verdict(&world, &agent), ("offline", "missed_heartbeats"));
    let offline = world.store.transitions.last().unwrap();
    assert_eq!(offline.at.since(last), 30_000 + 90_000, "by what was heard of it");
}

#[test]
fn no_ticket_is_opened_for_a_kiosk_of_which_messages_wait_to_be_read() {
    let (mut world, mut agent) = heard();
    let hold_ms = world.fleet.policy().tickets.site_hold_ms;
    world.now = world.now.plus_ms(91_000);
    world.tell(&[Input::Read { to: world.now }, Input::Sweep]);
    assert_eq!(verdict(&world, &agent).0, "offline");
    let held = world.store.incidents.values().next().unwrap().triage_due_at.unwrap();
    assert_eq!((world.store.tickets.len(), held.since(world.now) <= hold_ms), (0, true));
    world.now = held.plus_ms(60_000);
    world.tell(&[Input::Sweep]);
    assert!(world.store.tickets.is_empty(), "it may have been heard before its hold was over");
    world.beat(&mut agent);
    world.tell(&[Input::Read { to: world.now }, Input::Sweep]);
    assert!(world.store.tickets.is_empty());
    assert_eq!(verdict(&world, &agent).0, "online");
}
