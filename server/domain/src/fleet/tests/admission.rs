//! Who is taken into the fleet, and from when on.
use kioskwatch_proto::{
    KioskId, Timestamp, journal::FaultState, presence::PresenceState, words::ServiceState,
};

use super::journals::{started, upto};
use crate::{
    change::{Admission, CommissionedRow, KioskRow, ServiceSpan},
    fleet::{Count, Input, Look, MessageOutcome, Request},
    policy::{Policy, UnknownKiosks},
    testing::{ScriptedAgent, World},
    uptime::{Commissioned, Known},
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
fn a_kiosk_counts_from_the_date_that_is_said_and_without_one_not_yet() {
    let mut world = World::new();
    let mut agent = ScriptedAgent::new("K-9", world.now);
    let online = agent.connect(world.now);
    world.tell(&[online]);
    let dated = |world: &World, commissioned_at| KioskRow {
        admission: Admission::Accepted,
        commissioned_at,
        ..world.store.kiosks[&agent.id].clone()
    };
    let row = dated(&world, None);
    world.ask("admin", Request::PutKiosk(row)).unwrap();
    assert_eq!(world.store.kiosks[&agent.id].commissioned_at, None, "whoever approves it says so");
    let row = dated(&world, Some(world.now));
    let broken = |agent: &mut ScriptedAgent, world: &mut World| {
        agent.fault(world.now, "printer", "paper_jam", FaultState::Raised);
        world.send(agent);
    };
    let id = agent.id.clone();
    broken(&mut agent, &mut world);
    assert_eq!(world.tickets(&id).len(), 0, "it does not count yet");
    world.ask("admin", Request::PutKiosk(row)).unwrap();
    assert_eq!(world.tickets(&id).len(), 1);
    assert!(world.store.commissioned.is_empty(), "its dates say it all");
}

#[test]
fn that_a_kiosk_counted_before_is_known_since_it_was_said() {
    let mut world = World::new();
    let id = world.kiosk("K-1", None).id;
    let long_ago = Some(world.now.plus_ms(-90 * 86_400_000));
    let none = KioskRow { commissioned_at: None, ..world.store.kiosks[&id].clone() };
    let (new, dateless): (KioskId, KioskId) = ("K-2".parse().unwrap(), "K-3".parse().unwrap());
    let row = |id: &KioskId, commissioned_at| KioskRow { id: id.clone(), commissioned_at, ..none.clone() };
    world.ask("admin", Request::PutKiosk(row(&new, long_ago))).unwrap();
    world.ask("admin", Request::PutKiosk(row(&dateless, None))).unwrap();
    let [before, after] = [None, long_ago].map(|since| Box::new(row(&dateless, since)));
    world.ask("two people", Request::ChangeKiosk { before, after, noted: Known::default() }).unwrap();
    let told = Commissioned::of([ServiceSpan { commissioned_at: long_ago, decommissioned_at: None }]);
    for id in [new, dateless] {
        let noted = world.store.noted(&id);
        assert_eq!(noted.before(Some(world.now.secs())), Some(&Commissioned::default()), "{id}");
        assert_eq!(noted.before(None), Some(&told), "{id}");
    }
}

#[test]
fn a_kiosk_that_comes_back_keeps_what_it_was_before() {
    let mut world = World::new();
    let id = world.kiosk("K-1", None).id;
    let put = |world: &mut World, dates: ServiceSpan| {
        world.now = world.now.plus_ms(60_000);
        let before = world.store.kiosks[&id].clone();
        let noted = world.store.noted(&id);
        let (after, before) = (Box::new(dates.put_into(&before)), Box::new(before));
        world.ask("admin", Request::ChangeKiosk { before, after, noted })
    };
    let since = world.store.kiosks[&id].commissioned_at;
    let first = ServiceSpan { commissioned_at: since, decommissioned_at: Some(world.now.plus_ms(30_000)) };
    put(&mut world, first).unwrap();
    let back = ServiceSpan { commissioned_at: Some(world.now.plus_ms(60_000)), decommissioned_at: None };
    put(&mut world, back).unwrap();
    world.restart();
    let row = |world: &World| ServiceSpan::of(&world.store.kiosks[&id]);
    assert_eq!(row(&world), back);
    // What was entered wrong of the first stretch leaves the second.
    let shorter = ServiceSpan { decommissioned_at: since.map(|since| since.plus_ms(1_000)), ..first };
    put(&mut world, shorter).unwrap();
    assert_eq!(row(&world), back);
    let known: Vec<_> = world.store.commissioned.values().map(|row| row.stretches.spans().to_vec()).collect();
    let always = ServiceSpan { decommissioned_at: None, ..first };
    assert_eq!(known, [vec![always], vec![first], vec![first, back], vec![shorter, back]]);
    let audit = world.store.audit.iter().rfind(|row| row.action == "put_kiosk").unwrap();
    assert!(audit.detail.contains("stretches"), "{}", audit.detail);
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

#[test]
fn dates_are_those_that_were_said_last_although_the_clock_was_set_back() {
    let mut world = World::new();
    let id = world.kiosk("K-1", None).id;
    let (since, begun) = (world.store.kiosks[&id].commissioned_at, world.now);
    for (minutes, known_after) in [(60, 3_600_000), (60, 3_600_001), (30, 3_600_002), (61, 3_660_000)] {
        world.now = begun.plus_ms(minutes * 60_000);
        let before = world.store.kiosks[&id].clone();
        let ends = begun.plus_ms(86_400_000 + known_after);
        let dates = ServiceSpan { commissioned_at: since, decommissioned_at: Some(ends) };
        let (after, before) = (Box::new(dates.put_into(&before)), Box::new(before));
        let noted = world.store.noted(&id);
        world.ask("admin", Request::ChangeKiosk { before, after, noted }).unwrap();
        let newest = world.store.commissioned.values().next_back().unwrap();
        assert_eq!((newest.known_from, newest.stretches.newest()), (begun.plus_ms(known_after), Some(dates)));
        world.restart();
    }
}

/// What is left of a jam and its ticket once a kiosk is retired, at once or by a date that was said ahead.
fn retired(said_ahead: bool, away_then: bool) -> (World, [String; 3]) {
    let (mut world, mut agent) = started();
    world.beat(&mut agent);
    let end = world.now.plus_ms(60_000);
    let row = KioskRow { decommissioned_at: Some(end), ..world.store.kiosks[&agent.id].clone() };
    if said_ahead {
        world.ask("admin", Request::PutKiosk(row.clone())).unwrap();
    }
    agent.fault(world.now, "printer", "paper_jam", FaultState::Raised);
    world.send(&mut agent);
    world.now = end.plus_ms(-1);
    world.tell(&[Input::Sweep]);
    let jam = |world: &World| world.store.incidents.values().next().unwrap().clone();
    assert_eq!(jam(&world).closed_at, None, "it works until then");
    world.now = if away_then { end.plus_ms(90_000) } else { end };
    if away_then {
        world.restart();
    }
    if !said_ahead {
        world.ask("admin", Request::PutKiosk(row)).unwrap();
    }
    world.tell(&[Input::Sweep]);
    let (jam, ticket) = (jam(&world), world.tickets(&agent.id)[0].clone());
    assert_eq!(jam.closed_at, Some(end));
    (
        world,
        [
            jam.close_reason.unwrap_or_default(),
            format!("{:?}", ticket.recovering_since),
            ticket.due_at.map_or_else(String::new, |due| due.to_string()),
        ],
    )
}

#[test]
fn what_is_open_when_a_retirement_that_was_said_ahead_comes_ends_as_by_one_that_is_said_then() {
    let (mut world, at_once) = retired(false, false);
    for away_then in [false, true] {
        let (later, ahead) = retired(true, away_then);
        assert_eq!(ahead, at_once, "{away_then}");
        assert_eq!(
            later.fleet.looks(later.now),
            [Look::HEARING],
            "nothing of it waits any more: {away_then}"
        );
        world = later;
    }
    // What is seen of it later is no part of its service, and nobody's work.
    let id = world.fleet.kiosks().next().unwrap().id.clone();
    world.pass(3_600_000, &mut []);
    let offline: Vec<_> =
        world.store.incidents.values().filter(|row| row.fault.as_str() == "kiosk_offline").collect();
    assert_eq!((offline.len(), world.tickets(&id).len()), (1, 1));
    assert!(offline[0].closed_at.is_none() && offline[0].triage == "suppressed", "{offline:?}");
}

#[test]
fn dates_that_a_clock_noted_years_ahead_are_what_is_said_of_them_now() {
    let mut world = World::new();
    let id = world.kiosk("K-1", None).id;
    let (since, begun) = (world.store.kiosks[&id].commissioned_at, world.now);
    let dates = |days: i64| ServiceSpan {
        commissioned_at: since,
        decommissioned_at: Some(begun.plus_ms(days * 86_400_000)),
    };
    let put = |world: &mut World, at: Timestamp, dates: ServiceSpan| {
        world.now = at;
        world.restart();
        let (before, noted) = (world.store.kiosks[&id].clone(), world.store.noted(&id));
        let (after, before) = (Box::new(dates.put_into(&before)), Box::new(before));
        world.ask("admin", Request::ChangeKiosk { before, after, noted }).unwrap();
        let known = world.store.commissioned.values();
        known.map(|row| (row.known_from, row.stretches.newest())).collect::<Vec<_>>()
    };
    let ahead = begun.plus_ms(400 * 86_400_000);
    let always =
        (CommissionedRow::ALWAYS, Some(ServiceSpan { commissioned_at: since, decommissioned_at: None }));
    let told = |at, days| (at, Some(dates(days)));
    assert_eq!(put(&mut world, ahead, dates(900)), [always, told(ahead, 900)]);
    // The same again, and something else: both are known now, and when that time comes.
    let [first, second] = [1, 2].map(|minute| begun.plus_ms(minute * 60_000));
    assert_eq!(put(&mut world, first, dates(900)), [always, told(first, 900), told(ahead, 900)]);
    let known = [always, told(first, 900), told(second, 800), told(ahead, 800)];
    assert_eq!(put(&mut world, second, dates(800)), known);
    assert_eq!(put(&mut world, second.plus_ms(1), dates(800)), known, "said already");
    let noted = world.store.noted(&id);
    assert_eq!(noted.before(Some(second.secs() + 1)).unwrap().newest(), Some(dates(800)));
}
