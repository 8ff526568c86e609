//! The wall clock of the server jumps by seconds, hours and years, both ways: nobody is judged by it.
use kioskwatch_proto::{
    Timestamp,
    journal::FaultState::{Cleared, Raised},
};

use crate::{
    change::{KioskRow, TicketState},
    fleet::{Input, Request},
    testing::{ScriptedAgent, World},
};

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const YEAR: i64 = 365 * 24 * HOUR;
const JUMPS: [i64; 12] = [
    2 * SECOND,
    -2 * SECOND,
    30 * SECOND,
    -30 * SECOND,
    HOUR,
    -HOUR,
    24 * HOUR,
    -24 * HOUR,
    YEAR,
    -YEAR,
    10 * YEAR,
    -10 * YEAR,
];

/// Our clock jumps; the kiosks' own clocks do not.
fn jump(world: &mut World, agents: &mut [&mut ScriptedAgent], by_ms: i64) {
    let before = world.now;
    world.now = before.plus_ms(by_ms);
    for agent in agents.iter_mut() {
        agent.booted_at = agent.booted_at.plus_ms(by_ms);
        agent.clock_error_ms -= by_ms;
    }
    world.tell(&[Input::ClockJumped { before }, Input::Sweep]);
}

/// Three kiosks of one site, heard just now.
fn fleet() -> (World, [ScriptedAgent; 3]) {
    let mut world = World::new();
    let site = world.site("S", "");
    let mut agents = ["K-1", "K-2", "K-3"].map(|id| world.kiosk(id, Some(&site)));
    for agent in &mut agents {
        // Long ago, so that they are in service whatever the clock says.
        let row = world.store.kiosks[&agent.id].clone();
        let row = KioskRow { commissioned_at: Some(world.now.plus_ms(-20 * YEAR)), ..row };
        world.ask("admin", Request::PutKiosk(row)).unwrap();
        let online = agent.connect(world.now);
        world.tell(&[online]);
    }
    let [a, b, c] = &mut agents;
    world.pass(300 * SECOND, &mut [a, b, c]);
    (world, agents)
}

fn presence(world: &World, agent: &ScriptedAgent) -> &'static str {
    world.fleet.kiosk(&agent.id).unwrap().presence.as_str()
}

/// Nothing ends before it begins, whatever the clock did meanwhile.
#[track_caller]
fn no_negative_duration(world: &World, by_ms: i64) {
    let store = &world.store;
    for row in store.evidence().into_iter() {
        assert!(row.from < row.to, "{by_ms}: {row:?}");
    }
    for row in store.liveness.values() {
        assert!(row.from <= row.to, "{by_ms}: {row:?}");
    }
    for row in store.incidents.values() {
        assert!(row.closed_at.is_none_or(|at| row.opened_at <= at), "{by_ms}: {row:?}");
    }
    for row in store.tickets.values() {
        assert!(row.t5.is_none_or(|at| row.t0 <= Some(at)), "{by_ms}: {row:?}");
    }
    for row in store.clocks.values() {
        assert!(row.stopped_at.is_none_or(|at| row.started_at <= at), "{by_ms}: {row:?}");
    }
}

#[test]
fn who_lives_stays_and_no_ticket_opens() {
    for by_ms in JUMPS {
        let (mut world, mut agents) = fleet();
        let [a, b, c] = &mut agents;
        jump(&mut world, &mut [a, b, c], by_ms);
        for agent in [&*a, &*b, &*c] {
            assert_ne!(presence(&world, agent), "offline", "{by_ms}");
        }
        world.pass(600 * SECOND, &mut [a, b, c]);
        world.tell(&[Input::FLUSH_ALL]);
        for agent in [&*a, &*b, &*c] {
            assert_eq!(presence(&world, agent), "online", "{by_ms}");
        }
        let offline = world.store.transitions.iter().any(|row| row.to == "offline");
        assert!(!offline && world.store.incidents.is_empty() && world.store.tickets.is_empty(), "{by_ms}");
        assert!(world.store.audit.iter().any(|row| row.action == "clock_jumped"), "{by_ms}");
        no_negative_duration(&world, by_ms);
    }
}

#[test]
fn who_dies_is_offline_in_time_on_the_new_clock() {
    for by_ms in JUMPS {
        let (mut world, mut agents) = fleet();
        let [a, b, c] = &mut agents;
        jump(&mut world, &mut [a, b, c], by_ms);
        let jumped = world.now;
        // Within three intervals of the new time, or once the fleet has settled.
        world.pass(151 * SECOND, &mut [a, b]);
        assert_eq!(presence(&world, c), "offline", "{by_ms}");
        let since = world.fleet.kiosk(&c.id).unwrap().presence_since;
        assert!(since > jumped && since <= world.now, "{by_ms}: {}", since.since(jumped));
        no_negative_duration(&world, by_ms);
    }
}

#[test]
fn time_that_was_skipped_is_time_nobody_listened() {
    let (mut world, mut agents) = fleet();
    let [a, b, c] = &mut agents;
    let before = world.now;
    jump(&mut world, &mut [a, b, c], HOUR);
    world.pass(60 * SECOND, &mut [a, b, c]);
    world.tell(&[Input::FLUSH_ALL]);
    let heard = |at: Timestamp| world.store.liveness.values().any(|row| row.from <= at && at < row.to);
    assert!(heard(before.plus_ms(-1)) && !heard(before.plus_ms(HOUR / 2)) && heard(before.plus_ms(HOUR)));
}

#[test]
fn a_fault_after_the_jump_is_dated_by_the_new_clock_and_records_keep_their_order() {
    for by_ms in JUMPS {
        let (mut world, mut agents) = fleet();
        let [a, b, c] = &mut agents;
        a.fault(world.now, "printer", "cover_open", Raised);
        world.send(a);
        jump(&mut world, &mut [a, b, c], by_ms);
        world.pass(60 * SECOND, &mut [a, b, c]);
        a.fault(world.now, "acceptor", "stacker_full", Raised);
        world.send(a);
        assert!(a.journal.is_empty(), "{by_ms}: everything is acknowledged");
        let fault = |code: &str| world.store.incidents.values().find(|i| i.fault.as_str() == code).unwrap();
        let off = world.now.since(fault("stacker_full").opened_at);
        assert!((0..SECOND).contains(&off), "{by_ms}: {off}");
        let seqs: Vec<u64> = world.store.records.keys().map(|(_, _, seq)| *seq).collect();
        assert!(seqs.is_sorted_by(|a, b| a < b), "{by_ms}: {seqs:?}");
        assert_eq!(world.tickets(&a.id).len(), 2, "{by_ms}");
        no_negative_duration(&world, by_ms);
    }
}

#[test]
fn a_hold_is_neither_cut_short_nor_stretched() {
    for by_ms in JUMPS {
        let (mut world, mut agents) = fleet();
        let [a, b, c] = &mut agents;
        // C dies alone: its ticket waits sixty seconds for the neighbours.
        world.pass(91 * SECOND, &mut [a, b]);
        assert_eq!(presence(&world, c), "offline");
        assert!(world.store.tickets.is_empty());
        jump(&mut world, &mut [a, b, c], by_ms);
        world.pass(30 * SECOND, &mut [a, b]);
        assert!(world.store.tickets.is_empty(), "{by_ms}: half of the hold is left");
        world.pass(300 * SECOND, &mut [a, b]);
        assert_eq!(world.tickets(&c.id).len(), 1, "{by_ms}");
        no_negative_duration(&world, by_ms);
    }
}

#[test]
fn what_recovers_while_the_clock_jumps_resolves_neither_sooner_nor_never() {
    for by_ms in JUMPS {
        let (mut world, mut agents) = fleet();
        let [a, b, c] = &mut agents;
        a.service(world.now, kioskwatch_proto::words::ServiceState::InService);
        a.fault(world.now, "printer", "cutter_error", Raised);
        world.send(a);
        world.pass(60 * SECOND, &mut [a, b, c]);
        a.fault(world.now, "printer", "cutter_error", Cleared);
        world.send(a);
        jump(&mut world, &mut [a, b, c], by_ms);
        world.pass(1_700 * SECOND, &mut [a, b, c]);
        assert!(world.tickets(&a.id)[0].t5.is_none(), "{by_ms}: it must stay gone for thirty minutes");
        world.pass(200 * SECOND, &mut [a, b, c]);
        assert_eq!(world.tickets(&a.id)[0].state, TicketState::Resolved, "{by_ms}");
        no_negative_duration(&world, by_ms);
    }
}

/// The first kiosk in service, with a jam that is told of.
fn jammed() -> (World, [ScriptedAgent; 3]) {
    let (mut world, mut agents) = fleet();
    let [a, ..] = &mut agents;
    a.service(world.now, kioskwatch_proto::words::ServiceState::InService);
    a.fault(world.now, "printer", "cutter_error", Raised);
    world.send(a);
    (world, agents)
}

/// The jam is gone for so long that its ticket resolved by itself.
fn recovered() -> (World, [ScriptedAgent; 3]) {
    let (mut world, mut agents) = jammed();
    let [a, b, c] = &mut agents;
    a.fault(world.now, "printer", "cutter_error", Cleared);
    world.send(a);
    world.pass(1_900 * SECOND, &mut [a, b, c]);
    assert_eq!(state_of_jam(&world, a), TicketState::Resolved);
    (world, agents)
}

fn state_of_jam(world: &World, agent: &ScriptedAgent) -> TicketState {
    let tickets = world.tickets(&agent.id);
    tickets.iter().find(|ticket| ticket.fault.as_str() == "cutter_error").unwrap().state
}

#[test]
fn a_fault_from_before_the_clock_was_set_back_recovers_and_closes_in_its_time() {
    let quiet = crate::policy::Policy::default().tickets.quiet_ms;
    for by_ms in JUMPS.into_iter().filter(|by_ms| *by_ms < 0) {
        let (mut world, mut agents) = jammed();
        let [a, b, c] = &mut agents;
        jump(&mut world, &mut [a, b, c], by_ms);
        world.beat(a);
        a.fault(world.now, "printer", "cutter_error", Cleared);
        world.send(a);
        world.pass(1_700 * SECOND, &mut [a, b, c]);
        assert_eq!(state_of_jam(&world, a), TicketState::Triaged, "{by_ms}");
        world.pass(200 * SECOND, &mut [a, b, c]);
        assert_eq!(state_of_jam(&world, a), TicketState::Resolved, "{by_ms}");
        no_negative_duration(&world, by_ms);
        world.pass(quiet, &mut [a]);
        assert_eq!(state_of_jam(&world, a), TicketState::Closed, "{by_ms}");
    }
}

#[test]
fn what_was_resolved_before_the_clock_was_set_back_closes_within_its_quiet_time() {
    let quiet = crate::policy::Policy::default().tickets.quiet_ms;
    for by_ms in JUMPS.into_iter().filter(|by_ms| *by_ms < 0) {
        let (mut world, mut agents) = recovered();
        let [a, b, c] = &mut agents;
        jump(&mut world, &mut [a, b, c], by_ms);
        world.pass(quiet + 60 * SECOND, &mut [a]);
        assert_eq!(state_of_jam(&world, a), TicketState::Closed, "{by_ms}");
    }
}

#[test]
fn what_recovers_when_the_clock_is_set_back_while_the_server_is_away_resolves_all_the_same() {
    for by_ms in JUMPS.into_iter().filter(|by_ms| *by_ms < 0) {
        let (mut world, mut agents) = jammed();
        let [a, b, c] = &mut agents;
        a.service(world.now, kioskwatch_proto::words::ServiceState::Degraded);
        a.fault(world.now, "printer", "cutter_error", Cleared);
        world.send(a);
        world.pass(60 * SECOND, &mut [a, b, c]);
        world.tell(&[Input::FLUSH_ALL]);
        world.now = world.now.plus_ms(by_ms);
        for agent in [&mut *a, &mut *b, &mut *c] {
            agent.booted_at = agent.booted_at.plus_ms(by_ms);
            agent.clock_error_ms -= by_ms;
        }
        world.restart();
        world.pass(1_900 * SECOND, &mut [a, b, c]);
        assert_eq!(state_of_jam(&world, a), TicketState::Resolved, "{by_ms}");
        no_negative_duration(&world, by_ms);
    }
}

#[test]
fn what_is_quiet_while_the_clock_jumps_forward_closes_after_its_whole_quiet_time() {
    use kioskwatch_proto::words::ServiceState::{InService, OutOfService};

    let quiet = crate::policy::Policy::default().tickets.quiet_ms;
    // Whether the kiosk serves, or is out of service for another reason meanwhile.
    for service in [InService, OutOfService] {
        for by_ms in JUMPS.into_iter().filter(|by_ms| *by_ms >= HOUR) {
            let (mut world, mut agents) = recovered();
            let [a, b, c] = &mut agents;
            a.service(world.now, service);
            world.send(a);
            jump(&mut world, &mut [a, b, c], by_ms);
            world.pass(quiet - HOUR, &mut [a]);
            let state = state_of_jam(&world, a);
            assert_eq!(state, TicketState::Resolved, "{by_ms}, {service:?}: what was skipped was not quiet");
            world.pass(HOUR, &mut [a]);
            assert_eq!(state_of_jam(&world, a), TicketState::Closed, "{by_ms}, {service:?}");
        }
    }
}

#[test]
fn a_message_received_before_the_clock_was_set_back_is_not_from_the_future() {
    let (mut world, mut agents) = fleet();
    let [a, b, c] = &mut agents;
    let before = world.now;
    let (online, batch) = (a.connect(before), b.batch(before));
    world.now = before.plus_ms(-HOUR);
    world.tell(&[Input::ClockJumped { before }, online, batch, Input::Sweep]);
    world.pass(151 * SECOND, &mut [c]);
    assert_eq!((presence(&world, a), presence(&world, b)), ("offline", "offline"));
}

#[test]
fn a_jump_while_deaf_keeps_the_length_of_the_silence() {
    for by_ms in JUMPS {
        let (mut world, mut agents) = fleet();
        let [a, b, c] = &mut agents;
        world.tell(&[Input::BrokerDown { since: world.now }]);
        jump(&mut world, &mut [a, b, c], by_ms);
        assert_eq!(presence(&world, a), "online", "{by_ms}: it was a moment only");
        world.tell(&[Input::BrokerUp]);
        world.pass(300 * SECOND, &mut [a, b, c]);
        assert_eq!(presence(&world, a), "online", "{by_ms}");
        assert!(world.store.incidents.is_empty(), "{by_ms}");
    }
}
