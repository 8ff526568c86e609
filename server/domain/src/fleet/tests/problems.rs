use kioskwatch_proto::{
    PeripheralName,
    faults::FaultCode,
    heartbeat::PeripheralState,
    journal::{
        Body,
        FaultState::{Cleared, Raised},
        Snapshot,
    },
    words::{PeripheralStatus, ServiceState, Severity},
};
use uuid::Uuid;

use crate::{
    calendar::WorkCalendar,
    change::{Admission, ExclusionRow, IncidentRow, KioskRow, Withdrawn},
    fleet::{Count, Input, RecordFate, Request},
    policy::Policy,
    testing::{ScriptedAgent, World},
    triage::SuppressReason,
};

fn started() -> (World, ScriptedAgent) {
    let mut world = World::new();
    let mut agent = world.kiosk("K-1", None);
    world.beat(&mut agent);
    (world, agent)
}

fn open(world: &World) -> Vec<&IncidentRow> {
    world.store.incidents.values().filter(|row| row.closed_at.is_none()).collect()
}

#[test]
fn a_raised_fault_opens_one_incident_and_one_ticket_and_a_second_raise_updates_it() {
    let (mut world, mut agent) = started();
    for severity in [Severity::Minor, Severity::Minor, Severity::Major] {
        agent.fault_of(world.now, "printer", "paper_jam", Raised, severity);
    }
    world.send(&mut agent);
    let open = open(&world);
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].fingerprint.as_str(), open[0].severity), ("K-1/printer/paper_jam", Severity::Major));
    assert_eq!(open[0].triage, "ticket opened");
    let tickets = world.tickets(&agent.id);
    assert_eq!((tickets.len(), tickets[0].severity), (1, Severity::Major));
    assert_eq!(open[0].ticket, Some(tickets[0].id));
}

#[test]
fn a_clear_ends_the_episode_when_the_device_says_so() {
    let (mut world, mut agent) = started();
    agent.fault(world.now, "printer", "paper_jam", Raised);
    world.now = world.now.plus_ms(40_000);
    agent.fault(world.now.plus_ms(-10_000), "printer", "paper_jam", Cleared);
    world.send(&mut agent);
    let row = world.store.incidents.values().next().unwrap();
    assert_eq!(row.closed_at, Some(world.now.plus_ms(-10_000)));
    assert_eq!(row.close_reason.as_deref(), Some("cleared"));
}

#[test]
fn a_snapshot_clears_what_it_does_not_name_and_raises_what_it_names() {
    let (mut world, mut agent) = started();
    agent.fault(world.now, "printer", "paper_jam", Raised);
    agent.fault(world.now, "printer", "cover_open", Raised);
    agent.snapshot(world.now, &[("printer", "cover_open"), ("acceptor", "note_jam(stacker)")]);
    world.send(&mut agent);
    let mut faults: Vec<_> = open(&world).iter().map(|row| row.fault.to_string()).collect();
    faults.sort();
    assert_eq!(faults, ["cover_open", "note_jam(stacker)"]);
    let closed = world.store.incidents.values().find(|row| row.closed_at.is_some()).unwrap();
    assert_eq!(closed.close_reason.as_deref(), Some("not_in_snapshot"));
}

#[test]
fn what_a_snapshot_leaves_out_for_want_of_room_is_not_over() {
    for cut in [false, true] {
        let (mut world, mut agent) = started();
        agent.fault(world.now, "printer", "paper_out", Raised);
        agent.fault(world.now, "printer", "cover_open", Raised);
        let status = PeripheralStatus::UserError;
        let told = PeripheralState { status, faults: vec![FaultCode::new("paper_out").unwrap()], cut };
        let peripherals = [(PeripheralName::new("printer").unwrap(), told)].into();
        let snapshot = Snapshot { service: ServiceState::InService, peripherals, previous_epoch: None };
        agent.record(world.now, Body::Snapshot(snapshot));
        world.send(&mut agent);
        assert_eq!(open(&world).len(), if cut { 2 } else { 1 });
        // The next one that is whole says so.
        agent.snapshot(world.now, &[("printer", "paper_out")]);
        world.send(&mut agent);
        assert_eq!(open(&world).len(), 1);
    }
}

#[test]
fn what_only_the_server_sees_survives_a_snapshot() {
    let (mut world, mut agent) = started();
    world.pass(200_000, &mut []);
    assert_eq!(open(&world)[0].fault.as_str(), "kiosk_offline");
    // A journal that comes by another way than the heartbeats ends the silence, not the snapshot.
    agent.service(world.now, ServiceState::InService);
    let sent = agent.clone();
    world.send(&mut agent);
    let forged = sent.journal[0].1.replace("in_service", "degraded");
    world.tell(&[sent.batch_of(world.now, 1, [forged.as_str()].into_iter())]);
    agent.snapshot(world.now, &[]);
    world.send(&mut agent);
    let faults: Vec<_> = open(&world).iter().map(|row| row.fault.to_string()).collect();
    assert_eq!(faults, ["journal_fork"]);
}

#[test]
fn suppressed_problems_stay_visible_with_their_reason() {
    let (mut world, mut agent) = started();
    agent.fault_of(world.now, "printer", "paper_low", Raised, Severity::Info);
    let done = world.send(&mut agent);
    assert_eq!(done.counts[&Count::Suppressed(SuppressReason::Info)], 1);
    let open = open(&world);
    assert_eq!((open[0].triage.as_str(), open[0].ticket), ("suppressed", None));
    assert!(open[0].triage_reason.starts_with("info:"));
    assert!(world.store.tickets.is_empty());
}

#[test]
fn an_information_that_gets_worse_is_looked_at_again() {
    let (mut world, mut agent) = started();
    agent.fault_of(world.now, "printer", "paper_low", Raised, Severity::Info);
    world.send(&mut agent);
    agent.fault_of(world.now, "printer", "paper_low", Raised, Severity::Minor);
    world.send(&mut agent);
    assert_eq!(world.tickets(&agent.id).len(), 1);
}

fn exclusion(world: &World, agent: &ScriptedAgent, approved_by: Option<&str>) -> ExclusionRow {
    ExclusionRow {
        id: Uuid::from_u128(1),
        kiosk: Some(agent.id.clone()),
        site: None,
        class: "planned".into(),
        from: world.now,
        to: world.now.plus_ms(3_600_000),
        requested_by: "li".into(),
        approved_by: approved_by.map(str::to_owned),
        approved_at: approved_by.map(|_| world.now),
        agreed_at: None,
        withdrawn: None,
        reason: "new cabinet".into(),
    }
}

#[test]
fn planned_maintenance_holds_tickets_back_until_it_ends() {
    let (mut world, mut agent) = started();
    let row = exclusion(&world, &agent, Some("wang"));
    world.ask("wang", Request::PutExclusion(Box::new(row))).unwrap();
    agent.fault(world.now, "printer", "paper_jam", Raised);
    world.send(&mut agent);
    assert!(world.store.tickets.is_empty());
    assert!(open(&world)[0].triage_reason.starts_with("maintenance:"));
    world.pass(3_590_000, &mut [&mut agent]);
    assert!(world.store.tickets.is_empty());
    world.pass(20_000, &mut [&mut agent]);
    assert_eq!(world.tickets(&agent.id).len(), 1, "only the approved window is forgiven");
}

#[test]
fn maintenance_that_is_taken_back_holds_no_ticket_back_any_longer() {
    let mut world = World::new();
    let site = world.site("S-1", "");
    let mut agent = world.kiosk("K-1", Some(&site));
    world.beat(&mut agent);
    let own = exclusion(&world, &agent, Some("wang"));
    let of_site = ExclusionRow { id: Uuid::from_u128(2), kiosk: None, site: Some(site), ..own.clone() };
    for row in [&own, &of_site] {
        world.ask("wang", Request::PutExclusion(Box::new(row.clone()))).unwrap();
    }
    agent.fault(world.now, "printer", "paper_jam", Raised);
    world.send(&mut agent);
    for (row, tickets) in [(own, 0), (of_site, 1)] {
        assert!(world.store.tickets.is_empty());
        let withdrawn = Some(Withdrawn { by: "zhao".into(), at: world.now });
        world.ask("zhao", Request::PutExclusion(Box::new(ExclusionRow { withdrawn, ..row }))).unwrap();
        assert_eq!(world.tickets(&agent.id).len(), tickets);
        assert_eq!(world.store.audit.last().unwrap().action, "withdraw_exclusion");
    }
}

#[test]
fn maintenance_approved_in_advance_holds_tickets_back_when_it_comes() {
    let (mut world, mut agent) = started();
    let mut row = exclusion(&world, &agent, Some("wang"));
    (row.from, row.to) = (row.from.plus_ms(600_000), row.to.plus_ms(600_000));
    world.ask("wang", Request::PutExclusion(Box::new(row))).unwrap();
    agent.fault(world.now, "printer", "paper_out", Raised);
    world.send(&mut agent);
    assert_eq!(world.tickets(&agent.id).len(), 1, "it has not begun");
    world.pass(610_000, &mut [&mut agent]);
    agent.fault(world.now, "printer", "paper_jam", Raised);
    world.send(&mut agent);
    assert_eq!(world.tickets(&agent.id).len(), 1);
    assert!(open(&world).iter().any(|row| row.triage_reason.starts_with("maintenance:")));
}

#[test]
fn an_exclusion_nobody_else_approved_excludes_nothing() {
    let (mut world, mut agent) = started();
    let own = exclusion(&world, &agent, Some("li"));
    assert_eq!(world.ask("li", Request::PutExclusion(Box::new(own))).unwrap_err().rule, "2.4");
    let row = exclusion(&world, &agent, None);
    world.ask("li", Request::PutExclusion(Box::new(row))).unwrap();
    agent.fault(world.now, "printer", "paper_jam", Raised);
    world.send(&mut agent);
    assert_eq!(world.tickets(&agent.id).len(), 1);
}

#[test]
fn a_kiosk_that_is_not_commissioned_opens_no_ticket() {
    let (mut world, mut agent) = started();
    let tomorrow = Some(world.now.plus_ms(86_400_000));
    let row = KioskRow { commissioned_at: tomorrow, ..world.store.kiosks[&agent.id].clone() };
    world.ask("admin", Request::PutKiosk(row)).unwrap();
    agent.fault(world.now, "printer", "paper_jam", Raised);
    let done = world.send(&mut agent);
    assert_eq!(done.counts[&Count::Suppressed(SuppressReason::NotInService)], 1);
}

/// Puts dates as from now, in days.
fn put_dates(world: &mut World, agent: &ScriptedAgent, from: i64, to: Option<i64>) {
    let day = |days: i64| world.now.plus_ms(days * 86_400_000);
    let (commissioned_at, decommissioned_at) = (Some(day(from)), to.map(day));
    let row = KioskRow { commissioned_at, decommissioned_at, ..world.store.kiosks[&agent.id].clone() };
    world.ask("admin", Request::PutKiosk(row)).unwrap();
}

fn sweep_in(world: &mut World, agent: &mut ScriptedAgent, days: i64) {
    world.now = world.now.plus_ms(days * 86_400_000 + 1_000);
    world.beat(agent);
    world.tell(&[Input::Sweep]);
}

#[test]
fn who_begins_to_count_gets_a_ticket_for_what_was_broken_before() {
    for restarts in [false, true] {
        let (mut world, mut agent) = started();
        put_dates(&mut world, &agent, 4, None);
        agent.fault(world.now, "printer", "paper_jam", Raised);
        world.send(&mut agent);
        let begins = world.store.kiosks[&agent.id].commissioned_at;
        assert_eq!(open(&world)[0].triage_due_at, begins);
        let told = format!("not_in_service: the kiosk is not in service until {}", begins.unwrap());
        assert_eq!(open(&world)[0].triage_reason, told);
        if restarts {
            world.restart();
        }
        sweep_in(&mut world, &mut agent, 3);
        assert_eq!(world.tickets(&agent.id).len(), 0, "it does not count yet");
        sweep_in(&mut world, &mut agent, 1);
        assert_eq!(world.tickets(&agent.id).len(), 1, "restarts: {restarts}");
    }
}

#[test]
fn a_ticket_follows_the_date_of_service_wherever_it_is_moved() {
    let (mut world, mut agent) = started();
    put_dates(&mut world, &agent, 4, None);
    agent.fault(world.now, "printer", "paper_jam", Raised);
    world.send(&mut agent);
    put_dates(&mut world, &agent, 2, None);
    put_dates(&mut world, &agent, 6, None);
    sweep_in(&mut world, &mut agent, 5);
    assert_eq!(world.tickets(&agent.id).len(), 0, "it was put off");
    // Called off, and on again: only the end is said anew.
    put_dates(&mut world, &agent, 3, Some(3));
    assert_eq!(open(&world)[0].triage_due_at, None, "it never begins");
    put_dates(&mut world, &agent, 3, Some(30));
    sweep_in(&mut world, &mut agent, 3);
    assert_eq!(world.tickets(&agent.id).len(), 1);
}

#[test]
fn a_fault_that_an_older_server_left_alone_is_looked_at_when_its_kiosk_begins_to_count() {
    let (mut world, mut agent) = started();
    put_dates(&mut world, &agent, 4, None);
    agent.fault(world.now, "printer", "paper_jam", Raised);
    world.send(&mut agent);
    for row in world.store.incidents.values_mut() {
        row.triage_due_at = None;
    }
    world.restart();
    sweep_in(&mut world, &mut agent, 3);
    assert_eq!(world.tickets(&agent.id).len(), 0);
    sweep_in(&mut world, &mut agent, 1);
    assert_eq!(world.tickets(&agent.id).len(), 1);
}

#[test]
fn retiring_a_kiosk_ends_its_problems() {
    let (mut world, mut agent) = started();
    agent.fault(world.now, "printer", "paper_jam", Raised);
    world.send(&mut agent);
    let row = KioskRow { decommissioned_at: Some(world.now), ..world.store.kiosks[&agent.id].clone() };
    world.ask("admin", Request::PutKiosk(row)).unwrap();
    assert!(open(&world).is_empty());
    assert_eq!(world.store.kiosks[&agent.id].admission, Admission::Accepted);
}

#[test]
fn closed_sites_wait_for_their_opening_and_only_if_still_true() {
    let hours = r#"[{"weekly":{"mon":[["08:00","10:30"]],"tue":[["08:00","20:00"]]}}]"#;
    for returns in [false, true] {
        let mut world = World::new();
        let site = world.site("S", hours);
        let mut agent = world.kiosk("K-1", Some(&site));
        world.pass(1_900_000, &mut [&mut agent]);
        world.pass(600_000, &mut []);
        let open = open(&world);
        assert_eq!((open.len(), world.store.tickets.len()), (1, 0));
        assert!(open[0].triage_reason.starts_with("outside_hours:"), "{}", open[0].triage_reason);
        let opening = open[0].triage_due_at.unwrap();
        assert_eq!(opening.to_string(), "2026-11-24T00:00:00.000Z");
        if returns {
            world.now = opening.plus_ms(-60_000);
            world.beat(&mut agent);
        }
        world.now = opening.plus_ms(1_000);
        world.tell(&[Input::Sweep]);
        let expected = usize::from(!returns);
        world.pass(90_000, &mut if returns { vec![&mut agent] } else { vec![] });
        assert_eq!(world.tickets(&agent.id).len(), expected);
    }
}

#[test]
fn who_falls_silent_on_a_public_holiday_waits_for_the_next_working_day_where_the_site_keeps_the_calendar() {
    let day = |text: &str| text.parse().unwrap();
    let calendar = WorkCalendar::from_lists(&[day("2026-11-23"), day("2026-11-24")], &[]);
    let open_daily = r#"{"mon":[["08:00","20:00"]],"tue":[["08:00","20:00"]],"wed":[["08:00","20:00"]]}"#;
    for (keeps, tickets) in [(true, 0), (false, 1)] {
        let mut world = World::with(Policy { calendar: calendar.clone(), ..Policy::default() });
        let site = world.site("S", &format!(r#"[{{"weekly":{open_daily},"use_calendar":{keeps}}}]"#));
        let mut agent = world.kiosk("K-1", Some(&site));
        world.pass(300_000, &mut [&mut agent]);
        world.pass(600_000, &mut []);
        let open = open(&world);
        assert_eq!((open.len(), world.store.tickets.len()), (1, tickets), "{}", open[0].triage_reason);
        let opens_at = open[0].triage_due_at.map(|at| at.to_string());
        assert_eq!(opens_at.as_deref(), keeps.then_some("2026-11-25T00:00:00.000Z"));
    }
}

#[test]
fn a_fault_inside_closed_hours_is_a_ticket_all_the_same() {
    let mut world = World::new();
    let site = world.site("S", r#"[{"weekly":{"tue":[["08:00","20:00"]]}}]"#);
    let mut agent = world.kiosk("K-1", Some(&site));
    agent.fault(world.now, "printer", "paper_jam", Raised);
    world.send(&mut agent);
    assert_eq!(world.tickets(&agent.id).len(), 1, "SR-001: faults are worked day and night");
}

#[test]
fn open_problems_and_peripherals_of_one_kiosk_are_limited_and_counted() {
    let (mut world, mut agent) = started();
    for peripheral in 0..6 {
        for fault in 0..70 {
            agent.fault(world.now, &format!("p{peripheral}"), &format!("odd_{fault}"), Raised);
        }
    }
    let done = world.send(&mut agent);
    assert_eq!(open(&world).len(), 256);
    assert_eq!(done.counts[&Count::Record(RecordFate::TooManyFaults)], 6 * 70 - 256);
    for peripheral in 0..70 {
        agent.fault(world.now, &format!("q{peripheral}"), "odd_1", Raised);
    }
    let done = world.send(&mut agent);
    assert_eq!(done.counts[&Count::Record(RecordFate::TooManyPeripherals)], 70 - (64 - 6));
    assert_eq!(open(&world).len(), 256);
    assert_eq!(done.acks[0].1.upto, agent.last_seq, "the journal goes on");
    world.pass(200_000, &mut []);
    assert!(open(&world).iter().any(|row| row.fault.as_str() == "kiosk_offline"), "never crowded out");
}
