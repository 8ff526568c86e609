use kioskwatch_proto::{
    KioskId, Timestamp,
    journal::FaultState::{Cleared, Raised},
    presence::PresenceState,
};

use crate::{
    change::{Admission, KioskRow, SiteRow, SiteTermsRow, TicketRow, TicketState},
    fleet::{Input, RefusalKind, Request, TicketAction},
    testing::{ScriptedAgent, World, world::START},
};

fn site_of(n: usize) -> (World, Vec<ScriptedAgent>) {
    let mut world = World::new();
    let site = world.site("S", "");
    let mut agents: Vec<_> = (0..n).map(|i| world.kiosk(&format!("K-{i}"), Some(&site))).collect();
    world.pass(60_000, &mut agents.iter_mut().collect::<Vec<_>>());
    (world, agents)
}

fn site_tickets(world: &World) -> Vec<&TicketRow> {
    world.store.tickets.values().filter(|row| row.kiosk.is_none()).collect()
}

fn kiosk_tickets(world: &World) -> usize {
    world.store.tickets.values().filter(|row| row.kiosk.is_some()).count()
}

#[test]
fn one_site_down_is_one_ticket() {
    // kiosks of the site, how many fall silent, is it an outage
    for (all, down, outage) in
        [(1, 1, false), (2, 1, false), (2, 2, true), (5, 2, false), (5, 3, true), (8, 4, true)]
    {
        let (mut world, mut agents) = site_of(all);
        world.pass(240_000, &mut agents.iter_mut().skip(down).collect::<Vec<_>>());
        assert_eq!(site_tickets(&world).len(), usize::from(outage), "{down} of {all}");
        assert_eq!(kiosk_tickets(&world), if outage { 0 } else { down }, "{down} of {all}");
        if outage {
            let children = world.store.incidents.values().filter(|row| row.parent.is_some());
            assert_eq!(children.count(), down);
        }
    }
}

#[test]
fn a_site_torn_off_for_a_moment_is_no_outage_though_the_broker_drops_births_and_first_heartbeats() {
    let (mut world, mut agents) = site_of(3);
    // A moment before their heartbeats are due.
    world.pass(29_900, &mut []);
    let wills: Vec<_> =
        agents.iter().map(|agent| agent.presence(world.now, PresenceState::Offline)).collect();
    world.tell(&wills);
    for agent in &mut agents {
        let _dropped = agent.connect(world.now);
    }
    // The next ones come an interval after their return.
    world.pass(32_000, &mut []);
    for agent in &mut agents {
        world.beat(agent);
    }
    world.pass(120_000, &mut agents.iter_mut().collect::<Vec<_>>());
    let offline = world.store.transitions.iter().filter(|row| row.to == "offline").count();
    assert_eq!((offline, world.store.tickets.len()), (0, 0));
}

#[test]
fn the_ticket_of_the_first_offline_waits_for_its_neighbours() {
    let (mut world, mut agents) = site_of(3);
    world.pass(145_000, &mut agents.iter_mut().skip(1).collect::<Vec<_>>());
    assert_eq!(kiosk_tickets(&world), 0);
    world.pass(10_000, &mut agents.iter_mut().skip(1).collect::<Vec<_>>());
    assert_eq!(kiosk_tickets(&world), 1);
}

#[test]
fn late_joiners_belong_to_the_outage() {
    let (mut world, mut agents) = site_of(4);
    world.pass(200_000, &mut agents.iter_mut().skip(2).collect::<Vec<_>>());
    world.pass(600_000, &mut agents.iter_mut().skip(3).collect::<Vec<_>>());
    assert_eq!((site_tickets(&world).len(), kiosk_tickets(&world)), (1, 0));
    let children = world.store.incidents.values().filter(|row| row.parent.is_some());
    assert_eq!(children.count(), 3);
}

#[test]
fn when_the_site_returns_only_those_still_down_get_their_own_and_the_site_ticket_resolves_itself() {
    let (mut world, mut agents) = site_of(4);
    world.pass(300_000, &mut []);
    assert_eq!((site_tickets(&world).len(), kiosk_tickets(&world)), (1, 0));
    world.pass(120_000, &mut agents.iter_mut().skip(1).collect::<Vec<_>>());
    assert_eq!(kiosk_tickets(&world), 1);
    assert_eq!(world.tickets(&agents[0].id).len(), 1);
    world.pass(1_900_000, &mut agents.iter_mut().skip(1).collect::<Vec<_>>());
    let ticket = site_tickets(&world)[0];
    assert_eq!((ticket.state, ticket.resolution.as_deref()), (TicketState::Resolved, Some("self_recovered")));
}

#[test]
fn a_site_that_drops_again_keeps_its_ticket() {
    let (mut world, mut agents) = site_of(3);
    for _ in 0..2 {
        world.pass(300_000, &mut []);
        world.pass(300_000, &mut agents.iter_mut().collect::<Vec<_>>());
    }
    assert_eq!((site_tickets(&world).len(), kiosk_tickets(&world)), (1, 0));
    let outages = world.store.incidents.values().filter(|row| row.fault.as_str() == "site_offline");
    assert_eq!(outages.count(), 2);
}

#[test]
fn a_restart_in_the_middle_of_an_outage_opens_nothing_twice() {
    let (mut world, mut agents) = site_of(4);
    world.pass(300_000, &mut []);
    world.now = world.now.plus_ms(60_000);
    world.restart();
    world.pass(600_000, &mut []);
    assert_eq!((site_tickets(&world).len(), kiosk_tickets(&world)), (1, 0));
    world.pass(600_000, &mut agents.iter_mut().collect::<Vec<_>>());
    assert_eq!((site_tickets(&world).len(), kiosk_tickets(&world)), (1, 0));
    assert!(world.store.incidents.values().all(|row| row.closed_at.is_some()));
}

#[test]
fn five_kiosks_with_one_fault_on_one_day_wait_for_one_decision() {
    let (mut world, mut agents) = site_of(6);
    for (i, agent) in agents.iter_mut().enumerate() {
        agent.fault(world.now, "printer", "paper_jam", Raised);
        world.send(agent);
        let parents = site_tickets(&world).len();
        assert_eq!(parents, usize::from(i >= 4), "after {}", i + 1);
    }
    let parent = site_tickets(&world)[0].clone();
    assert_eq!(parent.state, TicketState::PendingBatch);
    let children: Vec<_> = world.store.tickets.values().filter(|row| row.parent == Some(parent.id)).collect();
    assert_eq!(children.len(), 6);
    assert!(children.iter().all(|row| row.state == TicketState::PendingBatch));
    for agent in &mut agents {
        agent.fault(world.now, "printer", "paper_jam", Cleared);
        world.send(agent);
    }
    world.pass(1_900_000, &mut agents.iter_mut().collect::<Vec<_>>());
    assert_eq!(world.ticket(parent.id).state, TicketState::Resolved);
}

#[test]
fn a_batch_that_came_back_after_the_clock_jumped_is_quiet_from_its_next_end_on() {
    let (mut world, mut agents) = site_of(5);
    let quiet = world.fleet.policy().tickets.quiet_ms;
    let tell = |world: &mut World, agents: &mut [ScriptedAgent], state| {
        for agent in agents {
            agent.fault(world.now, "printer", "paper_jam", state);
            world.send(agent);
        }
    };
    tell(&mut world, &mut agents, Raised);
    let parent = site_tickets(&world)[0].id;
    tell(&mut world, &mut agents, Cleared);
    world.pass(1_900_000, &mut agents.iter_mut().collect::<Vec<_>>());
    assert_eq!(world.ticket(parent).state, TicketState::Resolved);
    let before = world.now;
    world.now = before.plus_ms(3_600_000);
    world.tell(&[Input::ClockJumped { before }]);
    world.pass(600_000, &mut agents.iter_mut().collect::<Vec<_>>());

    let action = TicketAction::Reopen { reason: "they jam again".into() };
    world.ask("li", Request::Ticket { ticket: parent, action }).unwrap();
    tell(&mut world, &mut agents, Raised);
    world.pass(quiet, &mut agents.iter_mut().collect::<Vec<_>>());
    tell(&mut world, &mut agents, Cleared);
    world.pass(1_900_000, &mut agents.iter_mut().collect::<Vec<_>>());
    assert_eq!(world.ticket(parent).state, TicketState::Resolved);
    // Then everything that waits for its time is looked at.
    let before = world.now;
    world.now = before.plus_ms(-60_000);
    world.tell(&[Input::ClockJumped { before }]);
    world.pass(60_000, &mut agents.iter_mut().collect::<Vec<_>>());
    assert_eq!(world.ticket(parent).state, TicketState::Resolved, "its quiet time began anew");
    world.pass(quiet, &mut agents.iter_mut().collect::<Vec<_>>());
    assert_eq!(world.ticket(parent).state, TicketState::Closed);
}

#[test]
fn different_faults_or_days_are_no_batch() {
    let (mut world, mut agents) = site_of(6);
    for (i, agent) in agents.iter_mut().enumerate() {
        let fault = if i % 2 == 0 { "paper_jam" } else { "cutter_error" };
        agent.fault(world.now, "printer", fault, Raised);
        world.send(agent);
    }
    assert!(site_tickets(&world).is_empty());
    world.now = world.now.plus_ms(86_400_000);
    for agent in agents.iter_mut().skip(1).step_by(2) {
        agent.fault(world.now, "acceptor", "paper_jam", Raised);
        world.send(agent);
    }
    assert!(site_tickets(&world).iter().all(|row| row.fault.as_str() == "site_offline"));
}

#[test]
fn an_outage_over_night_ends_when_the_site_is_heard_and_not_when_it_closes() {
    let mut world = World::new();
    let site = world.site("S", r#"[{"weekly":{"mon":[["08:00","10:30"]],"tue":[["08:00","20:00"]]}}]"#);
    let mut agents: Vec<_> = (0..5).map(|i| world.kiosk(&format!("K-{i}"), Some(&site))).collect();
    world.pass(60_000, &mut agents.iter_mut().collect::<Vec<_>>());
    world.pass(300_000, &mut []);
    assert_eq!(site_tickets(&world).len(), 1);
    // At night one of five comes back: the site is still out.
    world.pass(3_600_000, &mut agents.iter_mut().take(1).collect::<Vec<_>>());
    let outage = world.store.incidents.values().find(|row| row.kiosk.is_none()).unwrap();
    assert_eq!(outage.closed_at, None);
    // Then most of them do; the two that stay away get tickets of their own, at opening time.
    world.pass(7_200_000, &mut agents.iter_mut().take(3).collect::<Vec<_>>());
    assert_eq!(kiosk_tickets(&world), 0);
    let opening = world.store.incidents.values().filter_map(|row| row.triage_due_at).min().unwrap();
    assert_eq!(opening.to_string(), "2026-11-24T00:00:00.000Z");
    world.pass(opening.since(world.now) + 5_000, &mut agents.iter_mut().take(3).collect::<Vec<_>>());
    assert_eq!(kiosk_tickets(&world), 2);
}

#[test]
fn a_server_that_was_away_does_not_mistake_not_hearing_for_a_return() {
    let (mut world, mut agents) = site_of(6);
    world.pass(300_000, &mut []);
    world.restart();
    // Settled after 60 s, verdicts after 90 s: one that comes back in between is one, not all.
    world.pass(65_000, &mut []);
    world.beat(&mut agents[0]);
    world.pass(300_000, &mut agents.iter_mut().take(1).collect::<Vec<_>>());
    assert_eq!((site_tickets(&world).len(), kiosk_tickets(&world)), (1, 0));
    let outage = world.store.incidents.values().find(|row| row.kiosk.is_none()).unwrap();
    assert_eq!(outage.closed_at, None);
}

#[test]
fn a_kiosk_that_moves_away_from_a_dark_site_is_judged_by_itself() {
    let (mut world, _agents) = site_of(3);
    let other = world.site("T", "");
    world.pass(300_000, &mut []);
    let id = kioskwatch_proto::KioskId::new("K-0").unwrap();
    let row = crate::change::KioskRow { site: Some(other), ..world.store.kiosks[&id].clone() };
    world.ask("admin", crate::fleet::Request::PutKiosk(row)).unwrap();
    world.pass(70_000, &mut []);
    assert_eq!(kiosk_tickets(&world), 1);
}

const DAY: i64 = 86_400_000;

/// Where it is said to have stood, from and until how many days after the beginning.
fn stood(world: &World) -> Vec<(&str, i64, Option<i64>)> {
    let days = |at: Timestamp| at.since(START) / DAY;
    let rows = world.store.assignments.values().filter(|row| row.to.is_none_or(|to| to > row.from));
    rows.map(|row| (row.group_id.as_str(), days(row.from), row.to.map(days))).collect()
}

#[test]
fn a_kiosk_stood_at_its_first_site_since_it_was_put_into_service_whichever_was_said_first() {
    // What is put on which day: the site, and on which day it was commissioned.
    type Put = (i64, Option<&'static str>, i64);
    let of = |puts: &[Put]| {
        let mut world = World::new();
        ["S-1", "S-2"].into_iter().for_each(|id| drop(world.site(id, "")));
        for (day, site, commissioned) in puts {
            world.now = START.plus_ms(day * DAY);
            let row = KioskRow {
                id: KioskId::new("k").unwrap(),
                site: site.map(|id| id.parse().unwrap()),
                admission: Admission::Accepted,
                model: String::new(),
                serial_no: String::new(),
                commissioned_at: Some(START.plus_ms(commissioned * DAY)),
                decommissioned_at: None,
                updated_at: world.now,
            };
            world.ask("admin", Request::PutKiosk(row)).unwrap();
            world.restart();
        }
        stood(&world).into_iter().map(|(site, from, to)| (site.to_owned(), from, to)).collect::<Vec<_>>()
    };
    for (puts, expected) in [
        (&[(5, Some("S-1"), -30)][..], &[("S-1", -30, None)][..]),
        // To come.
        (&[(5, Some("S-1"), 9)], &[("S-1", 5, None)]),
        (&[(5, None, -30), (6, Some("S-1"), -30)], &[("S-1", -30, None)]),
        (&[(5, Some("S-1"), 5), (6, Some("S-1"), -30), (7, Some("S-1"), 2)], &[("S-1", -30, None)]),
        // It stood somewhere else before: nothing is said of the time before that.
        (&[(5, Some("S-1"), 3), (6, Some("S-2"), -30)], &[("S-1", 3, Some(6)), ("S-2", 6, None)]),
        (
            &[(5, Some("S-1"), 3), (6, None, 3), (7, Some("S-1"), 3), (8, Some("S-1"), 1)],
            &[("S-1", 3, Some(6)), ("S-1", 7, None)],
        ),
    ] {
        let expected: Vec<_> =
            expected.iter().map(|(site, from, to)| ((*site).to_owned(), *from, *to)).collect();
        assert_eq!(of(puts), expected, "{puts:?}");
    }
}

#[test]
fn corrected_hours_change_nothing_else_and_nothing_that_was_changed_since() {
    let mut world = World::new();
    let site = world.site("S", "");
    let mut row = world.store.sites[&site].clone();
    let hours = |from: &str| format!(r#"[{{"weekly":{{"mon":[["{from}","17:00"]]}}}}]"#);
    let correct = |world: &mut World, before: String, after: String| {
        world.ask("boss", Request::PutServiceHours { site: site.clone(), before, after })
    };
    // Between the question and the answer somebody moved the site to another region.
    row.region = "north".into();
    world.ask("admin", Request::PutSite(row)).unwrap();
    correct(&mut world, String::new(), hours("08:00")).unwrap();
    let stored = world.store.sites[&site].clone();
    assert_eq!((stored.region.as_str(), stored.service_hours), ("north", hours("08:00")));
    // And then to other hours.
    let refused = correct(&mut world, String::new(), hours("10:00")).unwrap_err();
    assert!(refused.kind == RefusalKind::Conflict && refused.reason.contains("changed since"), "{refused:?}");
    assert_eq!(world.store.sites[&site].service_hours, hours("08:00"));
    world.restart();
    correct(&mut world, hours("08:00"), hours("10:00")).unwrap();
    assert_eq!(world.store.sites[&site].region, "north");
}

#[test]
fn the_terms_of_a_site_are_those_that_were_said_last_although_the_clock_was_set_back() {
    let mut world = World::new();
    let site = world.site("S", "");
    let noon = world.now.plus_ms(3_600_000);
    let ms = Timestamp::plus_ms;
    let say = |world: &mut World, now: Timestamp, from: &str| {
        world.now = now;
        let service_hours = format!(r#"[{{"weekly":{{"mon":[["{from}","17:00"]]}}}}]"#);
        let row = SiteRow { service_hours, ..world.store.sites[&site].clone() };
        world.ask("admin", Request::PutSite(row)).unwrap();
        let known: Vec<_> = world.store.site_terms.values().collect();
        let newest = known.last().unwrap();
        assert_eq!(
            newest.service_hours, world.store.sites[&site].service_hours,
            "who speaks last is believed"
        );
        (known.len(), newest.known_from)
    };
    assert_eq!(say(&mut world, noon, "08:00"), (2, noon));
    assert_eq!(say(&mut world, noon, "09:00"), (3, ms(noon, 1)), "in the same millisecond");
    assert_eq!(say(&mut world, ms(noon, -1_800_000), "10:00"), (4, ms(noon, 2)), "set back by half an hour");
    // Nothing of its terms is new.
    let renamed = SiteRow { name: "hall".into(), ..world.store.sites[&site].clone() };
    world.ask("admin", Request::PutSite(renamed)).unwrap();
    assert_eq!(say(&mut world, ms(noon, -1_700_000), "11:00"), (5, ms(noon, 3)));
    world.restart();
    assert_eq!(say(&mut world, ms(noon, -1_600_000), "12:00"), (6, ms(noon, 4)), "also after a restart");
    assert_eq!(say(&mut world, ms(noon, 60_000), "13:00"), (7, ms(noon, 60_000)));
}

#[test]
fn a_site_that_was_registered_years_ahead_is_what_is_said_of_it_now_and_was_what_it_was() {
    let mut world = World::new();
    let now = world.now;
    world.now = now.plus_ms(10 * 365 * 86_400_000);
    let (site, registered) = (world.site("S", ""), world.now);
    world.now = now;
    world.restart();
    let put = |world: &mut World, customer: &str| {
        world.now = world.now.plus_ms(60_000);
        let row = SiteRow { customer: customer.into(), ..world.store.sites[&site].clone() };
        world.ask("admin", Request::PutSite(row)).unwrap();
        let kept = world.store.site_terms.values();
        kept.map(|row| (row.known_from, row.customer.clone())).collect::<Vec<_>>()
    };
    let at = |since: Timestamp, customer: &str| (since, customer.to_owned());
    let always = at(SiteTermsRow::ALWAYS, "");
    let first = at(now.plus_ms(60_000), "A");
    assert_eq!(put(&mut world, "A"), [always.clone(), first.clone(), at(registered, "A")]);
    world.restart();
    let second = at(now.plus_ms(120_000), "B");
    assert_eq!(put(&mut world, "B"), [always, first, second, at(registered, "B")]);
}

#[test]
fn to_whom_a_site_belongs_is_kept_with_since_when_and_nothing_else_is() {
    let mut world = World::new();
    let site = world.site("S", "");
    let put = |world: &mut World, change: fn(&mut SiteRow)| {
        world.now = world.now.plus_ms(60_000);
        let mut row = world.store.sites[&site].clone();
        change(&mut row);
        world.ask("admin", Request::PutSite(row)).unwrap();
        let kept = world.store.site_terms.values();
        kept.map(|row| (row.known_from, row.region.clone(), row.customer.clone())).collect::<Vec<_>>()
    };
    let begun = world.now;
    let (region, customer) =
        (world.store.sites[&site].region.clone(), world.store.sites[&site].customer.clone());
    let registered = (begun, region.clone(), customer.clone());
    assert_eq!(put(&mut world, |row| row.name = "hall".into()), std::slice::from_ref(&registered));
    let first = (begun.plus_ms(120_000), region.clone(), "A".to_owned());
    assert_eq!(put(&mut world, |row| row.customer = "A".into()), [registered.clone(), first.clone()]);
    let second = (begun.plus_ms(180_000), "south".to_owned(), "A".to_owned());
    let all = [registered, first, second];
    assert_eq!(put(&mut world, |row| row.region = "south".into()), all);
    world.restart();
    assert_eq!(put(&mut world, |row| row.remote_consent = true), all);
    // Of a site that an older server registered nobody knows since when it is as it is.
    world.store.site_terms.clear();
    world.restart();
    let always = (SiteTermsRow::ALWAYS, "south".to_owned(), "A".to_owned());
    let sold = (begun.plus_ms(300_000), "south".to_owned(), "B".to_owned());
    assert_eq!(put(&mut world, |row| row.customer = "B".into()), [always, sold]);
}
