//! A kiosk whose evidence the store refuses, beside one whose evidence it takes.
use kioskwatch_proto::{Timestamp, words::ServiceState};

use crate::{
    fleet::{Input, Share},
    testing::{ScriptedAgent, World, world::START},
};

/// Two kiosks that were heard for a while, of which nothing is written yet.
fn two_kiosks() -> (World, [ScriptedAgent; 2]) {
    let mut world = World::new();
    let mut agents = [world.kiosk("K-1", None), world.kiosk("K-2", None)];
    agents.iter_mut().for_each(|agent| drop(world.beat(agent)));
    listen(&mut world, &mut agents);
    (world, agents)
}

fn listen(world: &mut World, agents: &mut [ScriptedAgent; 2]) {
    let [one, two] = agents;
    world.pass(120_000, &mut [one, two]);
}

/// The evidence of the first kiosk is refused, everything else is written.
fn flush_without_the_first(world: &mut World) {
    for look in world.fleet.looks_of(Share::ALL, world.now).drain(..1) {
        world.tell(&[Input::LookFailed { look, reason: "in a test".into() }]);
    }
    world.tell(&[Input::FLUSH_ALL]);
}

/// Milliseconds after the start: from, to.
fn written(world: &World, id: &str) -> Vec<(i64, i64)> {
    let rows = world.store.evidence().into_iter().filter(|row| row.kiosk.as_str() == id);
    rows.map(|row| (row.from.since(START), row.to.since(START))).collect()
}

fn gaps(world: &World) -> Vec<(&str, Timestamp, Timestamp)> {
    world.store.evidence_gaps.values().map(|row| (row.kiosk.as_str(), row.from, row.to)).collect()
}

fn claimed_to(world: &World) -> Option<Timestamp> {
    world.store.liveness.values().map(|row| row.to).max()
}

#[test]
fn evidence_that_is_refused_holds_nobody_elses_back_and_no_silence_is_claimed_of_its_kiosk() {
    let (mut world, mut agents) = two_kiosks();
    let first_beat = START;
    for round in 1..=3 {
        flush_without_the_first(&mut world);
        assert_eq!(written(&world, "K-1"), [], "round {round}");
        assert_eq!(written(&world, "K-2"), [(0, world.now.since(START))]);
        assert_eq!(claimed_to(&world), Some(world.now), "we go on saying that we listen");
        assert_eq!(gaps(&world), [("K-1", first_beat, world.now)], "but not to that one");
        listen(&mut world, &mut agents);
    }
    let told: Vec<_> = world.store.audit.iter().filter(|row| row.action == "evidence_failed").collect();
    assert_eq!(told.len(), 3);
    assert!(told[0].object == "kiosk/K-1" && told[0].detail.contains("in a test"), "{:?}", told[0]);
}

#[test]
fn evidence_that_is_stored_at_last_leaves_no_gap() {
    let (mut world, mut agents) = two_kiosks();
    flush_without_the_first(&mut world);
    assert!(world.fleet.looks_of(Share::ALL, world.now).len() == 1, "left alone for a while");
    world.tell(&[Input::FLUSH_ALL]);
    assert_eq!(written(&world, "K-1"), []);
    listen(&mut world, &mut agents);
    world.tell(&[Input::FLUSH_ALL]);
    assert_eq!(
        written(&world, "K-1"),
        [(0, world.now.since(START))],
        "all of it, from the first heartbeat on"
    );
    assert_eq!(gaps(&world), [("K-1", START, START)]);
    listen(&mut world, &mut agents);
    world.tell(&[Input::FLUSH_ALL]);
    assert_eq!(gaps(&world), [("K-1", START, START)]);
}

#[test]
fn evidence_that_was_refused_for_too_long_to_be_kept_stays_a_gap() {
    let (mut world, mut agents) = two_kiosks();
    flush_without_the_first(&mut world);
    for n in 0..40 {
        agents[0].service = if n % 2 == 0 { ServiceState::Degraded } else { ServiceState::InService };
        world.pass(30_000, &mut agents.each_mut());
    }
    world.tell(&[Input::FLUSH_ALL]);
    let (kept_from, _) = written(&world, "K-1")[0];
    assert!(kept_from > 0, "the oldest of it had to go");
    assert_eq!(gaps(&world), [("K-1", START, START.plus_ms(kept_from))]);
}

#[test]
fn what_was_given_up_before_the_first_refusal_is_a_gap_too_from_the_first_heartbeat_on() {
    let (mut world, mut agents) = two_kiosks();
    for n in 0..60 {
        agents[0].service = if n % 2 == 0 { ServiceState::Degraded } else { ServiceState::InService };
        world.pass(30_000, &mut agents.each_mut());
    }
    flush_without_the_first(&mut world);
    assert_eq!(gaps(&world), [("K-1", START, world.now)], "what is kept is in memory only");
    listen(&mut world, &mut agents);
    world.tell(&[Input::FLUSH_ALL]);
    let (kept_from, _) = written(&world, "K-1")[0];
    assert!(kept_from > 0, "the oldest of it had to go");
    assert_eq!(gaps(&world), [("K-1", START, START.plus_ms(kept_from))]);
}

#[test]
fn what_ended_too_often_between_two_flushes_to_be_kept_is_a_gap_and_no_silence() {
    let (mut world, mut agents) = two_kiosks();
    for n in 0..60 {
        agents[0].service = if n % 2 == 0 { ServiceState::Degraded } else { ServiceState::InService };
        world.pass(30_000, &mut agents.each_mut());
    }
    world.tell(&[Input::FLUSH_ALL]);
    let (kept_from, _) = written(&world, "K-1")[0];
    assert!(kept_from > 0, "the oldest of it had to go");
    let lost = [("K-1", START, START.plus_ms(kept_from))];
    assert_eq!(gaps(&world), lost);
    assert_eq!(claimed_to(&world), Some(world.now), "we listened all the time");
    // It is said once, and nothing is lost since.
    listen(&mut world, &mut agents);
    world.tell(&[Input::FLUSH_ALL]);
    assert_eq!(gaps(&world), lost);
}

#[test]
fn a_server_that_dies_leaves_a_kiosk_unknown_and_never_down_where_its_evidence_was_refused() {
    let (mut world, mut agents) = two_kiosks();
    flush_without_the_first(&mut world);
    listen(&mut world, &mut agents);
    flush_without_the_first(&mut world);
    let claimed = claimed_to(&world).unwrap();
    world.now = world.now.plus_ms(60_000);
    world.restart();
    agents.iter_mut().for_each(|agent| drop(world.beat(agent)));
    listen(&mut world, &mut agents);
    world.tell(&[Input::FLUSH_ALL]);
    assert_eq!(gaps(&world), [("K-1", START, claimed)], "as far as a dead server said to have listened");
    assert_eq!(written(&world, "K-1").len(), 1);
}

#[test]
fn a_clock_that_was_set_back_keeps_no_evidence_from_being_tried_again() {
    let (mut world, mut agents) = two_kiosks();
    flush_without_the_first(&mut world);
    let before = world.now;
    world.now = START.plus_ms(-86_400_000);
    let back = world.now;
    world.tell(&[Input::ClockJumped { before }]);
    listen(&mut world, &mut agents);
    flush_without_the_first(&mut world);
    let told = gaps(&world).into_iter().filter(|(_, from, to)| from < to);
    assert_eq!(told.collect::<Vec<_>>(), [("K-1", back, world.now)], "nothing of a time that has not come");
    world.now = world.now.plus_ms(60_000);
    assert_eq!(world.fleet.looks_of(Share::ALL, world.now).len(), 2);
}

#[test]
fn the_silence_of_a_kiosk_is_hidden_by_no_row_of_its_that_is_refused() {
    let (mut world, mut agents) = two_kiosks();
    world.tell(&[Input::FLUSH_ALL]);
    // All that it proved is written; then a row is refused that says when it was heard.
    world.pass(60_000, &mut [&mut agents[1]]);
    world.tell(&[Input::FLUSH_ALL]);
    flush_without_the_first(&mut world);
    world.pass(600_000, &mut [&mut agents[1]]);
    flush_without_the_first(&mut world);
    assert_eq!(gaps(&world), []);
    // What it proves from now on is refused: as far as that goes, and no further.
    let again = world.now;
    world.beat(&mut agents[0]);
    world.pass(600_000, &mut [&mut agents[1]]);
    flush_without_the_first(&mut world);
    assert_eq!(gaps(&world), [("K-1", again, again.plus_ms(30_000))]);
}

#[test]
fn what_was_heard_before_the_time_to_which_the_clock_was_set_back_is_no_silence() {
    // How often the kiosk changed its state, and whether that was too often to be kept.
    for (changes, is_lost) in [(2, false), (60, true)] {
        for refused in [false, true] {
            let (mut world, mut agents) = two_kiosks();
            for n in 0..changes {
                agents[0].service = if n % 2 == 0 { ServiceState::Degraded } else { ServiceState::InService };
                world.pass(30_000, &mut agents.each_mut());
            }
            if refused {
                flush_without_the_first(&mut world);
            }
            let (before, back) = (world.now, START.plus_ms(100_000));
            world.now = back;
            world.tell(&[Input::ClockJumped { before }]);
            listen(&mut world, &mut agents);
            world.tell(&[Input::FLUSH_ALL]);
            let rows = written(&world, "K-1");
            let gaps = gaps(&world).into_iter().filter(|(_, from, to)| from < to).collect::<Vec<_>>();
            if is_lost {
                assert_eq!(gaps, [("K-1", START, back)], "{refused}");
                assert!(rows.iter().all(|&(from, _)| from >= 100_000), "{refused}: {rows:?}");
            } else {
                assert_eq!((rows[0], gaps), ((0, 100_000), vec![]), "{refused}: {rows:?}");
            }
        }
    }
}
