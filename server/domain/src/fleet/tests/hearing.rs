//! Our own silence: starts, outages of the broker, stalls and clocks of ours that nobody is judged by.
use kioskwatch_proto::presence::PresenceState;

use super::presence::{heard, verdict};
use crate::{
    change::EvidenceSource,
    fleet::{Input, Look, Share},
    policy::{Policy, UnknownKiosks},
    testing::{ScriptedAgent, World, world::START},
};

#[test]
fn after_a_start_everybody_is_unknown_and_no_ticket_opens_before_the_fleet_has_settled() {
    let (mut world, mut agent) = heard();
    let mut silent = world.kiosk("K-2", None);
    world.beat(&mut silent);
    world.tell(&[Input::FLUSH_ALL]);
    world.now = world.now.plus_ms(600_000);
    world.restart();
    assert_eq!(verdict(&world, &agent), ("unknown", "server_started"));
    assert!(!world.fleet.hears(world.now));
    world.beat(&mut agent);
    assert_eq!(verdict(&world, &agent), ("online", "heartbeat"));
    world.pass(140_000, &mut [&mut agent]);
    assert!(world.store.tickets.is_empty());
    assert_eq!(verdict(&world, &silent).0, "unknown");
    world.pass(20_000, &mut [&mut agent]);
    assert_eq!(verdict(&world, &silent), ("offline", "missed_heartbeats"));
}

#[test]
fn while_the_broker_is_away_everybody_is_unknown_and_no_deadline_runs() {
    let (mut world, mut agent) = heard();
    world.tell(&[Input::BrokerDown { since: world.now }]);
    let deaf_since = world.now;
    assert_eq!(world.fleet.deaf_since(), Some(deaf_since));
    world.pass(3_600_000, &mut []);
    assert_eq!(verdict(&world, &agent), ("unknown", "broker_down"));
    assert_eq!(world.fleet.kiosk(&agent.id).unwrap().presence_since, deaf_since);
    assert!(world.store.tickets.is_empty() && world.store.incidents.is_empty());
    world.tell(&[Input::BrokerUp]);
    world.beat(&mut agent);
    world.pass(120_000, &mut [&mut agent]);
    assert_eq!(verdict(&world, &agent).0, "online");
    assert!(world.store.tickets.is_empty());
}

#[test]
fn a_short_broker_outage_moves_deadlines_and_no_verdict() {
    let (mut world, mut agent) = heard();
    let rows = world.store.transitions.len();
    world.tell(&[Input::BrokerDown { since: world.now }]);
    world.now = world.now.plus_ms(4_000);
    world.tell(&[Input::Sweep, Input::BrokerUp]);
    world.pass(80_000, &mut []);
    assert_eq!(verdict(&world, &agent).0, "late");
    world.beat(&mut agent);
    assert_eq!(world.store.transitions.len(), rows + 2);
}

#[test]
fn a_broker_outage_nobody_looked_at_makes_everybody_unknown_too() {
    let (mut world, agent) = heard();
    world.tell(&[Input::BrokerDown { since: world.now }]);
    world.now = world.now.plus_ms(60_000);
    world.tell(&[Input::BrokerUp]);
    assert_eq!(verdict(&world, &agent), ("unknown", "broker_down"));
}

/// Nobody lost a connection by it, so nobody has to come back.
#[test]
fn stalls_of_our_own_give_a_dead_kiosk_no_more_than_its_patience() {
    let (mut world, agent) = heard();
    let stalled = world.now;
    world.now = stalled.plus_ms(3_000);
    world.tell(&[Input::BrokerDown { since: stalled }, Input::ReadsAgain, Input::Sweep]);
    world.pass(89_000, &mut []);
    assert_eq!(verdict(&world, &agent).0, "late");
    world.pass(2_000, &mut []);
    assert_eq!(verdict(&world, &agent).0, "offline");
}

#[test]
fn who_was_cut_off_for_a_moment_may_take_the_settling_time_to_come_back() {
    let (mut world, agent) = heard();
    let cut = world.now;
    world.now = cut.plus_ms(1_000);
    world.tell(&[Input::BrokerDown { since: cut }]);
    world.tell(&[Input::BrokerUp]);
    world.pass(148_000, &mut []);
    assert_eq!(verdict(&world, &agent).0, "late");
    world.pass(3_000, &mut []);
    assert_eq!(verdict(&world, &agent).0, "offline");
}

#[test]
fn a_stall_of_our_own_is_an_outage_from_its_beginning() {
    let (mut world, mut agent) = heard();
    let stalled = world.now;
    world.now = stalled.plus_ms(4_000);
    world.tell(&[Input::BrokerDown { since: stalled }, Input::ReadsAgain, Input::Sweep]);
    assert_eq!(verdict(&world, &agent).0, "online", "shorter than the grace");
    world.pass(26_000, &mut [&mut agent]);
    let stalled = world.now;
    world.now = stalled.plus_ms(60_000);
    world.tell(&[Input::BrokerDown { since: stalled }, Input::ReadsAgain, Input::Sweep]);
    assert_eq!(verdict(&world, &agent), ("unknown", "broker_down"));
    assert_eq!(world.fleet.kiosk(&agent.id).unwrap().presence_since, stalled);
    assert!(!world.fleet.hears(world.now) && world.store.incidents.is_empty());
    world.pass(30_000, &mut [&mut agent]);
    world.tell(&[Input::FLUSH_ALL]);
    let covered = |at: i64| {
        let mut rows = world.store.liveness.values();
        rows.any(|row| row.from <= stalled.plus_ms(at) && stalled.plus_ms(at) < row.to)
    };
    assert_eq!([-1, 0, 30_000, 59_999, 60_000].map(covered), [true, false, false, false, true]);
}

/// The clock of this machine goes eight hours back, and the shell notices.
fn set_clock_back(world: &mut World) {
    let before = world.now;
    world.now = before.plus_ms(-8 * 3_600_000);
    world.tell(&[Input::ClockJumped { before }, Input::Sweep]);
}

#[test]
fn a_kiosk_that_dies_after_our_clock_was_set_back_is_offline_in_time() {
    for will in [false, true] {
        let (mut world, agent) = heard();
        if will {
            world.tell(&[agent.presence(world.now, PresenceState::Offline)]);
        }
        set_clock_back(&mut world);
        world.pass(91_000, &mut []);
        assert_eq!(verdict(&world, &agent).0, "offline");
    }
}

#[test]
fn a_kiosk_that_lives_stays_online_after_our_clock_was_set_back() {
    let (mut world, mut agent) = heard();
    world.tell(&[Input::FLUSH_ALL]);
    set_clock_back(&mut world);
    let (back, rows) = (world.now, world.store.transitions.len());
    world.pass(600_000, &mut [&mut agent]);
    world.tell(&[Input::FLUSH_ALL]);
    assert_eq!(verdict(&world, &agent).0, "online");
    assert_eq!(world.store.transitions.len(), rows);
    let proven = world.store.evidence().into_iter().filter(|row| row.source == EvidenceSource::Live);
    assert!(proven.map(|row| (row.from, row.to)).any(|(from, to)| from == back && to == world.now));
    world.pass(91_000, &mut []);
    assert_eq!(verdict(&world, &agent).0, "offline");
}

#[test]
fn a_clock_set_back_while_we_are_deaf_does_not_keep_old_verdicts() {
    let (mut world, mut agent) = heard();
    world.tell(&[Input::BrokerDown { since: world.now }]);
    set_clock_back(&mut world);
    world.pass(30_000, &mut []);
    assert_eq!(verdict(&world, &agent).0, "unknown");
    world.tell(&[Input::BrokerUp]);
    world.beat(&mut agent);
    assert_eq!(verdict(&world, &agent).0, "online");
    assert_eq!(world.fleet.kiosk(&agent.id).unwrap().presence_since, world.now);
}

#[test]
fn we_write_down_that_we_were_able_to_hear() {
    let (mut world, _agent) = heard();
    world.pass(60_000, &mut []);
    world.tell(&[Input::BrokerDown { since: world.now }]);
    world.pass(60_000, &mut []);
    world.tell(&[Input::BrokerUp]);
    world.pass(30_000, &mut []);
    let unwritten = world.fleet.live_hearing(world.now);
    assert!(world.store.liveness.is_empty(), "the evidence heard meanwhile is not written either");
    world.tell(&[Input::FLUSH_ALL]);
    assert!(unwritten.iter().eq(world.store.liveness.values()));
    let rows: Vec<_> =
        world.store.liveness.values().map(|r| (r.from.since(START), r.to.since(START))).collect();
    assert_eq!(rows, [(0, 150_000), (210_000, 240_000)]);
}

#[test]
fn a_server_killed_at_any_instant_never_claims_to_have_heard_more_than_it_wrote() {
    const OF: u32 = 3;
    for killed_after in 0..100_i64 {
        let mut world = World::new();
        let mut agents = ["K-1", "K-2", "K-3", "K-4", "K-5"].map(|id| world.kiosk(id, None));
        agents.iter_mut().for_each(|agent| drop(world.beat(agent)));
        for second in 0..killed_after {
            let [a, b, c, d, e] = &mut agents;
            world.pass(1_000, &mut [a, b, c, d, e]);
            if second % 10 == 5 {
                let index = u32::try_from(second / 10).unwrap() % OF;
                let share = Share { index, of: OF };
                world.tell(&[Input::FlushLiveness { share, heard_to: world.now }]);
            }
        }
        let claimed = world.store.liveness.values().map(|row| row.to).max().unwrap_or(START);
        assert!(claimed.since(START) >= (killed_after - 60) * 1_000, "{killed_after}: only {claimed}");
        for agent in &agents {
            let rows = world.store.evidence().into_iter();
            let proven = rows.filter(|row| row.kiosk == agent.id).map(|row| row.to).max().unwrap_or(START);
            assert!(proven >= claimed, "{killed_after}: {} proven to {proven}, claimed {claimed}", agent.id);
        }
    }
}

#[test]
fn that_we_were_deaf_and_hear_again_needs_nothing_stored() {
    let (mut world, agent) = heard();
    let since = world.now;
    world.now = since.plus_ms(600_000);
    // What it means for some kiosk cannot be stored.
    world.tell(&[Input::LookFailed { look: Look::HEARING, reason: "in a test".into() }]);
    for told in [Input::BrokerDown { since }, Input::BrokerUp] {
        let plan = world.fleet.plan(world.now, std::slice::from_ref(&told), &mut world.ids);
        assert_eq!(plan.changes, [], "{told:?}");
        world.fleet.adopt(plan).unwrap();
    }
    assert_eq!(world.fleet.deaf_since(), None);
    assert!(!world.fleet.hears(world.now), "it settles anew");
    world.tell(&[Input::Sweep]);
    assert_eq!(verdict(&world, &agent), ("unknown", "broker_down"));
    assert_eq!(world.fleet.forgetting_from(), None);
}

#[test]
fn who_is_heard_in_the_plan_that_forgets_the_rest_is_stored_as_it_is() {
    let mut world = World::with(Policy { unknown_kiosks: UnknownKiosks::Accept, ..Policy::default() });
    let now = world.now;
    let mut agents: Vec<_> = (0..10_500).map(|n| ScriptedAgent::new(&format!("K-{n:05}"), now)).collect();
    let births: Vec<_> = agents.iter_mut().map(|agent| agent.connect(now)).collect();
    world.tell(&births);
    world.restart();
    assert!(world.fleet.forgetting_from().is_some());
    world.now = world.now.plus_ms(5_000);
    // The connection on which it was heard before our start.
    let heartbeat = |agent: &mut ScriptedAgent| Input::Heartbeat {
        kiosk: agent.id.clone(),
        received_at: now.plus_ms(5_000),
        message: Box::new(agent.heartbeat(now.plus_ms(5_000))),
    };
    let [before, never, after] = [10_400, 10_420, 10_450];
    world.tell(&[heartbeat(&mut agents[before]), Input::Sweep, heartbeat(&mut agents[after])]);
    assert!(world.fleet.forgetting_from().is_none());
    for (n, verdict) in [(before, "unknown"), (never, "unknown"), (after, "online")] {
        let id = &agents[n].id;
        assert_eq!(world.fleet.kiosk(id).unwrap().presence.as_str(), verdict, "{id}");
        assert_eq!(world.store.states[id].presence.as_str(), verdict, "{id} as it is stored");
        let mut told = "unknown";
        for row in world.store.transitions.iter().filter(|row| row.kiosk == *id && row.kind == "presence") {
            assert_eq!(row.from, told, "{id}: {row:?}");
            told = &row.to;
        }
        assert_eq!(told, verdict, "{id}");
    }
}

#[test]
fn a_large_fleet_is_forgotten_in_several_plans_and_nobody_is_left_out() {
    let mut world = World::with(Policy { unknown_kiosks: UnknownKiosks::Accept, ..Policy::default() });
    let many = 10_500;
    let now = world.now;
    let births: Vec<_> = (0..many).map(|n| ScriptedAgent::new(&format!("K-{n}"), now).connect(now)).collect();
    world.tell(&births);
    assert_eq!(world.fleet.presence_counts().online, many);
    world.restart();
    let mut plans = 1;
    while world.fleet.forgetting_from().is_some() {
        assert!(world.fleet.presence_counts().unknown < many);
        world.tell(&[Input::Sweep]);
        plans += 1;
    }
    assert_eq!((plans, world.fleet.presence_counts().unknown), (2, many));
    let told = world.store.transitions.iter().filter(|row| row.reason == "server_started");
    assert_eq!(told.count() as u64, many, "each of them has a transition");
    // Each of them is judged again when the fleet has settled.
    world.now = world.now.plus_ms(3_600_000);
    while world.fleet.next_deadline().is_some_and(|at| at <= world.now) && plans < 20 {
        world.tell(&[Input::Sweep]);
        plans += 1;
    }
    assert_eq!(world.fleet.presence_counts().offline, many);

    // Pages look on while a server lives: each kiosk has rows of its own, and a plan has fewer of them.
    world.tell(&[Input::BrokerDown { since: world.now }]);
    world.now = world.now.plus_ms(3_600_000);
    world.tell(&[Input::Sweep]);
    let mut plans = 1;
    while world.fleet.forgetting_from().is_some() {
        world.tell(&[Input::Sweep]);
        plans += 1;
    }
    assert_eq!((plans, world.fleet.presence_counts().unknown), (6, many));
}

/// A flood of one kiosk fills the broker's queue for us, and what it then drops is anybody's.
#[test]
fn while_heartbeats_are_lost_on_their_way_nobody_is_offline_who_missed_some_by_chance() {
    let (mut world, mut agent) = heard();
    world.tell(&[Input::HeartbeatsLost { per_mille: 100 }]);
    world.pass(299_000, &mut []);
    assert_eq!(verdict(&world, &agent), ("late", "heartbeat_late"));
    world.beat(&mut agent);
    assert_eq!(verdict(&world, &agent), ("online", "heartbeat"));
    world.pass(299_000, &mut []);
    assert_eq!(verdict(&world, &agent), ("late", "heartbeat_late"));
    world.pass(2_000, &mut []);
    assert_eq!(verdict(&world, &agent), ("offline", "missed_heartbeats"), "ten in a row are no chance");
}

#[test]
fn a_will_shortens_nothing_while_the_heartbeat_that_would_refute_it_may_be_lost() {
    let (mut world, mut agent) = heard();
    world.tell(&[Input::HeartbeatsLost { per_mille: 100 }]);
    let will = agent.presence(world.now, PresenceState::Offline);
    world.tell(&[will]);
    world.pass(200_000, &mut []);
    assert_eq!(verdict(&world, &agent), ("late", "heartbeat_late"));
    world.beat(&mut agent);
    assert_eq!(verdict(&world, &agent), ("online", "heartbeat"));
}

#[test]
fn what_was_missed_while_heartbeats_were_lost_counts_for_what_it_was_then_when_fewer_are_lost() {
    // So many are lost for so long, then so many: after how many seconds more is silence proven?
    for (before, seconds, after, more) in
        [(900, 240, 0, 86), (900, 60, 10, 148), (100, 60, 900, 4_728), (20, 60, 0, 60)]
    {
        let (mut world, agent) = heard();
        world.tell(&[Input::HeartbeatsLost { per_mille: before }]);
        world.pass(seconds * 1_000, &mut []);
        world.tell(&[Input::HeartbeatsLost { per_mille: after }]);
        world.pass((more - 2) * 1_000, &mut []);
        assert_eq!(verdict(&world, &agent), ("late", "heartbeat_late"), "{before} to {after}");
        world.pass(4_000, &mut []);
        assert_eq!(verdict(&world, &agent), ("offline", "missed_heartbeats"), "{before} to {after}");
    }
}

#[test]
fn at_the_end_of_a_flood_nobody_is_offline_by_what_its_last_moments_prove() {
    let (mut world, mut agent) = heard();
    for (per_mille, seconds) in [(900, 600), (500, 2), (98, 2), (0, 28)] {
        world.tell(&[Input::HeartbeatsLost { per_mille }]);
        world.pass(seconds * 1_000, &mut []);
        assert_eq!(verdict(&world, &agent), ("late", "heartbeat_late"), "{per_mille}");
    }
    world.beat(&mut agent);
    assert_eq!(verdict(&world, &agent), ("online", "heartbeat"));
}

#[test]
fn bursts_of_losses_keep_nobody_from_being_called_offline() {
    let (mut world, agent) = heard();
    for _ in 0..2 {
        for (per_mille, seconds) in [(20, 10), (0, 39)] {
            world.tell(&[Input::HeartbeatsLost { per_mille }]);
            world.pass(seconds * 1_000, &mut []);
        }
    }
    assert_eq!(
        verdict(&world, &agent),
        ("late", "heartbeat_late"),
        "98 s, of which ten are half in doubt twice"
    );
    world.pass(4_000, &mut []);
    assert_eq!(verdict(&world, &agent), ("offline", "missed_heartbeats"));
}
