use kioskwatch_proto::{
    faults::FaultCode,
    journal::FaultState::{Cleared, Raised},
    words::{ServiceState, Severity},
};
use uuid::Uuid;

use crate::{
    change::{ClockState, TicketSource, TicketState},
    fleet::{
        Answer, ClockName, Committed, Count, Effect, Input, NewTicket, NoticeKind, Request, TicketAction,
    },
    testing::{ScriptedAgent, World},
};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// A kiosk with a jammed printer and its ticket.
fn jammed() -> (World, ScriptedAgent, Uuid) {
    let mut world = World::new();
    let site = world.site("S", "");
    let mut agent = world.kiosk("K-1", Some(&site));
    world.beat(&mut agent);
    agent.service(world.now, ServiceState::InService);
    agent.fault(world.now, "printer", "cutter_error", Raised);
    world.send(&mut agent);
    let id = world.tickets(&agent.id)[0].id;
    (world, agent, id)
}

fn clear(world: &mut World, agent: &mut ScriptedAgent) {
    agent.fault(world.now, "printer", "cutter_error", Cleared);
    world.send(agent);
}

fn raise(world: &mut World, agent: &mut ScriptedAgent) {
    agent.fault(world.now, "printer", "cutter_error", Raised);
    world.send(agent);
}

fn clock(world: &World, id: Uuid, name: &str) -> (ClockState, Option<i64>) {
    let clock = &world.store.clocks[&(id, name.to_owned())];
    (clock.state, clock.due_at.map(|due| due.since(clock.started_at) / 1_000))
}

fn act(world: &mut World, id: Uuid, action: TicketAction) -> Result<Answer, &'static str> {
    world.ask("li", Request::Ticket { ticket: id, action }).map_err(|refusal| refusal.rule)
}

#[test]
fn a_machine_ticket_is_triaged_by_rule_with_its_clocks() {
    let (world, _, id) = jammed();
    let ticket = world.ticket(id);
    assert_eq!((ticket.state, ticket.source, ticket.number), (TicketState::Triaged, TicketSource::Agent, 1));
    assert_eq!(ticket.t0, Some(world.now));
    assert_eq!(clock(&world, id, "solution"), (ClockState::Running, Some(40 * 60)));
    assert_eq!(clock(&world, id, "arrive"), (ClockState::Running, Some(4 * 3_600)));
    assert_eq!(clock(&world, id, "total"), (ClockState::Running, Some(72 * 3_600)));
    let actions: Vec<_> = world.store.ticket_events.values().map(|e| (e.n, e.action.as_str())).collect();
    assert_eq!(actions, [(1, "open"), (2, "triage")]);
}

#[test]
fn an_unusable_kiosk_is_a_major_fault_whatever_the_device_said() {
    for (service, severity, priority) in
        [(ServiceState::InService, Severity::Minor, 3), (ServiceState::OutOfService, Severity::Major, 1)]
    {
        let mut world = World::new();
        let mut agent = world.kiosk("K-1", None);
        agent.service(world.now, service);
        raise(&mut world, &mut agent);
        let ticket = world.tickets(&agent.id)[0];
        assert_eq!((ticket.severity, ticket.priority), (severity, priority), "SR-013");
        let restore = world.store.clocks.contains_key(&(ticket.id, "restore".to_owned()));
        assert_eq!(restore, severity == Severity::Major, "SR-011");
    }
}

#[test]
fn another_fault_of_the_same_peripheral_joins_the_open_ticket() {
    let (mut world, mut agent, id) = jammed();
    agent.fault_of(world.now, "printer", "head_overheat", Raised, Severity::Major);
    agent.fault(world.now, "acceptor", "note_jam", Raised);
    world.send(&mut agent);
    let tickets = world.tickets(&agent.id);
    assert_eq!(tickets.len(), 2, "another peripheral is other work");
    assert_eq!(world.ticket(id).severity, Severity::Major, "a worse fault makes the ticket worse");
    let joined = world.store.incidents.values().filter(|row| row.ticket == Some(id)).count();
    assert_eq!(joined, 2);
}

#[test]
fn what_heals_and_holds_resolves_itself_with_the_real_recovery_as_t5() {
    let (mut world, mut agent, id) = jammed();
    world.pass(10 * MINUTE, &mut [&mut agent]);
    clear(&mut world, &mut agent);
    let healed = world.now;
    world.pass(29 * MINUTE, &mut [&mut agent]);
    assert_eq!(world.ticket(id).state, TicketState::Triaged);
    world.pass(2 * MINUTE, &mut [&mut agent]);
    let ticket = world.ticket(id);
    assert_eq!((ticket.state, ticket.t5), (TicketState::Resolved, Some(healed)));
    assert_eq!(clock(&world, id, "arrive").0, ClockState::Dropped);
    assert_eq!(clock(&world, id, "total").0, ClockState::Paused);
    world.pass(24 * HOUR, &mut [&mut agent]);
    let ticket = world.ticket(id);
    assert_eq!((ticket.state, ticket.sign_off.as_deref()), (TicketState::Closed, Some("self_recovered")));
    assert_eq!(clock(&world, id, "total").0, ClockState::Met);
}

#[test]
fn what_healed_long_before_it_was_told_resolves_a_minute_later_and_warns_of_no_clock() {
    let (mut world, mut agent, id) = jammed();
    world.pass(20 * HOUR, &mut [&mut agent]);
    agent.fault(world.now, "printer", "cutter_error", Cleared);
    let healed = world.now;
    world.pass(2 * HOUR, &mut [&mut agent]);
    world.send(&mut agent);
    let waits = world.pass(MINUTE - 1_000, &mut [&mut agent]);
    assert_eq!(world.ticket(id).state, TicketState::Triaged, "its journal may have more to tell");
    let told = world.pass(1_000, &mut [&mut agent]);
    let ticket = world.ticket(id);
    assert_eq!((ticket.state, ticket.t5), (TicketState::Resolved, Some(healed)));
    let warned = |effect: &Effect| matches!(effect, Effect::Notify(n) if n.kind == NoticeKind::ClockWarning);
    assert!(!waits.effects.iter().chain(&told.effects).any(warned));
}

#[test]
fn a_fault_that_came_back_long_ago_ends_no_ticket_between_two_messages_of_its_journal() {
    let (mut world, mut agent, id) = jammed();
    let first = agent.fault(world.now, "printer", "cutter_error", Cleared);
    let second = agent.fault(world.now.plus_ms(MINUTE), "printer", "cutter_error", Raised);
    world.pass(30 * HOUR, &mut [&mut agent]);
    for (seq, (_, raw)) in [first, second].into_iter().zip(agent.journal.clone()) {
        world.tell(&[agent.batch_of(world.now, seq, std::iter::once(raw.as_str()))]);
        world.pass(10_000, &mut [&mut agent]);
    }
    world.pass(2 * MINUTE, &mut [&mut agent]);
    assert_eq!((world.ticket(id).state, world.ticket(id).reopened), (TicketState::Triaged, 0));
    let told = world.store.ticket_events.values().filter(|event| event.ticket == id);
    let told: Vec<_> = told.map(|event| event.action.as_str()).collect();
    assert!(!told.contains(&"resolve") && told.ends_with(&["recovering", "fault_back"]), "{told:?}");
}

#[test]
fn a_fault_that_came_and_went_while_nobody_could_tell_is_a_ticket_that_is_resolved() {
    let mut world = World::new();
    let mut agent = world.kiosk("K-1", None);
    world.beat(&mut agent);
    agent.service(world.now, ServiceState::InService);
    raise(&mut world, &mut agent);
    clear(&mut world, &mut agent);
    let first = world.tickets(&agent.id)[0].id;
    world.pass(31 * MINUTE, &mut [&mut agent]);
    assert_eq!(world.ticket(first).state, TicketState::Resolved);
    agent.fault(world.now, "acceptor", "note_jam", Raised);
    agent.fault(world.now, "acceptor", "note_jam", Cleared);
    world.pass(HOUR, &mut [&mut agent]);
    world.send(&mut agent);
    world.pass(MINUTE, &mut [&mut agent]);
    let states: Vec<_> = world.tickets(&agent.id).iter().map(|ticket| ticket.state).collect();
    assert_eq!(states, [TicketState::Resolved, TicketState::Resolved]);
}

#[test]
fn a_fault_that_returns_while_recovering_keeps_the_ticket_open() {
    let (mut world, mut agent, id) = jammed();
    for _ in 0..3 {
        clear(&mut world, &mut agent);
        world.pass(20 * MINUTE, &mut [&mut agent]);
        raise(&mut world, &mut agent);
        world.pass(20 * MINUTE, &mut [&mut agent]);
    }
    assert_eq!((world.tickets(&agent.id).len(), world.ticket(id).state), (1, TicketState::Triaged));
}

#[test]
fn a_kiosk_out_of_service_for_another_reason_does_not_recover() {
    let (mut world, mut agent, id) = jammed();
    agent.service(world.now, ServiceState::OutOfService);
    clear(&mut world, &mut agent);
    world.pass(60 * MINUTE, &mut [&mut agent]);
    assert_eq!(world.ticket(id).state, TicketState::Triaged);
    agent.service(world.now, ServiceState::InService);
    world.send(&mut agent);
    world.pass(32 * MINUTE, &mut [&mut agent]);
    assert_eq!(world.ticket(id).state, TicketState::Resolved);
}

#[test]
fn a_fault_that_returns_before_the_sign_off_reopens_and_after_seven_days_opens_a_new_one() {
    // hours after the recovery, tickets in the end, state of the first
    for (hours, tickets, state, reopened) in [
        (2, 1, TicketState::Triaged, 0),
        (48, 1, TicketState::Triaged, 1),
        (24 * 9, 2, TicketState::Closed, 0),
    ] {
        let (mut world, mut agent, id) = jammed();
        clear(&mut world, &mut agent);
        for _ in 0..hours {
            world.now = world.now.plus_ms(HOUR);
            world.beat(&mut agent);
            world.tell(&[Input::Sweep]);
        }
        raise(&mut world, &mut agent);
        let first = world.ticket(id);
        assert_eq!((first.state, first.reopened), (state, reopened), "after {hours} h");
        assert_eq!(world.tickets(&agent.id).len(), tickets, "after {hours} h");
    }
}

#[test]
fn a_cancelled_ticket_does_not_come_back_by_itself_while_the_fault_stands() {
    let (mut world, mut agent, id) = jammed();
    let cancel = TicketAction::Cancel { ground: "customer_fixed".into(), reason: "told by phone".into() };
    act(&mut world, id, cancel).unwrap();
    world.pass(HOUR, &mut [&mut agent]);
    raise(&mut world, &mut agent);
    assert_eq!(world.tickets(&agent.id).len(), 1);
    assert!(world.store.incidents.values().any(|row| row.closed_at.is_none()), "still visible");
    clear(&mut world, &mut agent);
    raise(&mut world, &mut agent);
    assert_eq!(world.tickets(&agent.id).len(), 2);
}

#[test]
fn clocks_warn_once_and_breach_once_and_a_breach_stays() {
    let (mut world, mut agent, id) = jammed();
    let mut told = Vec::new();
    let mut counted = 0;
    let mut note = |done: Committed| {
        counted += done.counts.get(&Count::ClockBreached(ClockName::Solution)).copied().unwrap_or(0);
        told.extend(done.effects.into_iter().filter_map(|effect| match effect {
            Effect::Notify(n) if n.text.ends_with("solution") => Some(n.kind),
            _ => None,
        }));
    };
    note(world.pass(31 * MINUTE, &mut [&mut agent]));
    note(world.pass(20 * MINUTE, &mut [&mut agent]));
    world.restart();
    note(world.pass(20 * MINUTE, &mut [&mut agent]));
    assert_eq!(told, [NoticeKind::ClockWarning, NoticeKind::ClockBreached]);
    assert_eq!(counted, 1, "by the name of the clock");
    let clock = &world.store.clocks[&(id, "solution".to_owned())];
    assert_eq!((clock.state, clock.breached_at), (ClockState::Breached, clock.due_at));
}

#[test]
fn a_fault_that_healed_in_time_breaches_no_restore_clock_while_it_is_waited_for() {
    let mut world = World::new();
    let mut agent = world.kiosk("K-1", None);
    agent.service(world.now, ServiceState::InService);
    agent.fault_of(world.now, "printer", "cutter_error", Raised, Severity::Major);
    world.send(&mut agent);
    let id = world.tickets(&agent.id)[0].id;
    for _ in 0..(14 * 60 - 5) {
        world.now = world.now.plus_ms(MINUTE);
        world.beat(&mut agent);
        world.tell(&[Input::Sweep]);
    }
    clear(&mut world, &mut agent);
    world.pass(40 * MINUTE, &mut [&mut agent]);
    assert_eq!(world.ticket(id).state, TicketState::Resolved);
    assert_eq!(clock(&world, id, "restore").0, ClockState::Met);
}

#[test]
fn people_are_held_to_the_rules_and_told_which() {
    let (mut world, mut agent, id) = jammed();
    let close = |sign_off: &str| TicketAction::Close { sign_off: sign_off.into(), reason: "done".into() };
    let cancel =
        |ground: &str, reason: &str| TicketAction::Cancel { ground: ground.into(), reason: reason.into() };
    let resolve = |text: &str| TicketAction::Resolve { resolution: text.into() };
    assert_eq!(act(&mut world, id, close("signature")), Err("SR-160"));
    assert_eq!(act(&mut world, id, cancel("bored", "x")), Err("SR-091"));
    assert_eq!(act(&mut world, id, cancel("wrong_area", " ")), Err("SR-097"));
    assert_eq!(act(&mut world, id, resolve("new cutter")), Err("SR-146"));
    assert_eq!(act(&mut world, id, resolve("")), Err("SR-145"));
    assert_eq!(act(&mut world, id, TicketAction::Reopen { reason: "x".into() }), Err("SR-032"));
    clear(&mut world, &mut agent);
    assert_eq!(act(&mut world, id, resolve("new cutter")), Ok(Answer::Done));
    assert_eq!(act(&mut world, id, cancel("wrong_area", "x")), Err("3.5"));
    assert_eq!(act(&mut world, id, close("handshake")), Err("SR-160"));
    assert_eq!(act(&mut world, id, close("signature")), Ok(Answer::Done));
    assert_eq!(act(&mut world, id, TicketAction::Urge { reason: "x".into() }), Err("SR-124"));
    assert_eq!(act(&mut world, id, TicketAction::Reopen { reason: "again".into() }), Ok(Answer::Done));
    let ticket = world.ticket(id);
    assert_eq!((ticket.state, ticket.reopened), (TicketState::Triaged, 1));
    let missing = act(&mut world, Uuid::nil(), TicketAction::Note { text: "x".into() });
    assert_eq!(missing, Err("ticket"));
}

#[test]
fn a_second_call_joins_the_ticket_and_raises_its_priority_once() {
    let (mut world, agent, id) = jammed();
    for _ in 0..3 {
        let told = NewTicket {
            kiosk: agent.id.clone(),
            peripheral: Some(kioskwatch_proto::PeripheralName::new("printer").unwrap()),
            fault: FaultCode::new("cutter_error").unwrap(),
            source: TicketSource::Call,
            text: "it still does not print".into(),
        };
        assert_eq!(world.ask("li", Request::OpenTicket(told)), Ok(Answer::Ticket(id)));
    }
    assert_eq!((world.tickets(&agent.id).len(), world.ticket(id).priority), (1, 2));
}

#[test]
fn a_ticket_a_customer_urged_is_not_closed_without_asking_him() {
    let (mut world, mut agent, id) = jammed();
    act(&mut world, id, TicketAction::Urge { reason: "angry".into() }).unwrap();
    clear(&mut world, &mut agent);
    for _ in 0..60 {
        world.now = world.now.plus_ms(HOUR);
        world.beat(&mut agent);
        world.tell(&[Input::Sweep]);
    }
    assert_eq!(world.ticket(id).state, TicketState::Resolved, "C35");
}

#[test]
fn a_restart_loses_no_timer() {
    let (mut world, mut agent, id) = jammed();
    world.pass(10 * MINUTE, &mut [&mut agent]);
    clear(&mut world, &mut agent);
    world.pass(10 * MINUTE, &mut [&mut agent]);
    world.restart();
    world.pass(21 * MINUTE, &mut [&mut agent]);
    assert_eq!(world.ticket(id).state, TicketState::Resolved);
}
