//! How fast a fleet decides and how much memory a kiosk takes:
//! `cargo run --release -p kioskwatch-domain --example measure_fleet -- [kiosks]`.
#![expect(clippy::print_stdout, reason = "a measuring tool prints what it measured")]

mod clock;

use std::{sync::Arc, time::Duration};

use kioskwatch_domain::{
    fleet::{Fleet, Input},
    ids::Ids,
    image::FleetImage,
    policy::{Policy, UnknownKiosks},
    testing::{ScriptedAgent, World, world::START},
};
use kioskwatch_proto::{Timestamp, journal::FaultState, words::ServiceState};

/// Messages that one plan takes.
const BATCH: usize = 500;
/// Times that a fleet is counted: the machine does other things too.
const COUNTED: usize = 20;

fn main() {
    let kiosks: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let policy = Policy { unknown_kiosks: UnknownKiosks::Accept, ..Policy::default() };
    let mut fleet = Fleet::from_image(Arc::new(policy), FleetImage::default());
    let mut ids = Ids::seeded(1);
    let mut now = START;
    let server = ids.uuid(now);
    run(&mut fleet, now, &[Input::ServerStarted { server, last_alive_at: None }, Input::BrokerUp], &mut ids);
    let before = resident_kib();
    for from in (0..kiosks).step_by(BATCH) {
        let mut some = fresh_agents(from..kiosks.min(from + BATCH), now);
        for agent in &mut some {
            agent.service(now, ServiceState::InService);
            agent.snapshot(now, &[]);
        }
        deliver(&mut fleet, &mut some, now, &mut ids);
        beats(&mut fleet, &mut some, now, &mut ids);
    }
    let quiet = resident_kib().saturating_sub(before) * 1_024 / kiosks.max(1);
    println!("{kiosks} quiet kiosks: {quiet} bytes each");
    let mut agents = fresh_agents(0..kiosks, now);
    for agent in &mut agents {
        agent.last_seq = 2;
    }
    for _ in 0..2 {
        now = now.plus_ms(30_000);
        beats(&mut fleet, &mut agents, now, &mut ids);
    }
    for round in 0..3 {
        for agent in &mut agents {
            for n in 0..10 {
                let state = if n % 2 == 0 { FaultState::Raised } else { FaultState::Cleared };
                agent.fault(now, "printer", "paper_out", state);
            }
        }
        let (records, took) = deliver(&mut fleet, &mut agents, now, &mut ids);
        let rate = records as f64 / took.as_secs_f64();
        println!("round {round}: {records} records in {took:?}: {rate:.0} records/s");
    }
    let started = clock::now();
    let plan = fleet.plan(now, &[Input::FLUSH_ALL], &mut ids);
    println!("flush: {} changes in {:?}", plan.changes.len(), started.elapsed());
    fleet.adopt(plan).expect("one plan at a time");
    now = now.plus_ms(600_000);
    let started = clock::now();
    let plan = fleet.plan(now, &[Input::Sweep], &mut ids);
    println!("everybody silent: {} changes in {:?}", plan.changes.len(), started.elapsed());
    fleet.adopt(plan).expect("one plan at a time");
    count_by_site(kiosks, now);
}

/// What a scrape of a fleet without series of single kiosks does while nobody may change it.
fn count_by_site(kiosks: usize, now: Timestamp) {
    let mut world = World::new();
    let hours = r#"[{"weekly":{"mon":[["08:00","20:00"]],"tue":[["08:00","20:00"]]},"use_calendar":true}]"#;
    for first in (0..kiosks).step_by(3) {
        let site = world.site(&format!("S-{first:06}"), hours);
        for n in first..kiosks.min(first + 3) {
            world.kiosk(&format!("K-{n:06}"), Some(&site));
        }
    }
    let timed = |_| {
        let started = clock::now();
        (world.fleet.site_counts(now).len(), started.elapsed())
    };
    // The first time asks every calendar; so does whoever comes when sites open or close.
    let all: Vec<(usize, Duration)> = (0..COUNTED).map(timed).collect();
    let (counts, first) = all[0];
    let best = all.iter().map(|(_, took)| *took).min().unwrap_or_default();
    println!("{counts} counts of {kiosks} kiosks by site: first {first:?}, best of {COUNTED} {best:?}");
}

fn fresh_agents(range: std::ops::Range<usize>, now: Timestamp) -> Vec<ScriptedAgent> {
    range.map(|i| ScriptedAgent::new(&format!("K-{i:06}"), now)).collect()
}

/// Reading is not counted: it runs in parallel outside of the plan.
fn deliver(
    fleet: &mut Fleet,
    agents: &mut [ScriptedAgent],
    now: Timestamp,
    ids: &mut Ids,
) -> (usize, Duration) {
    let messages: Vec<Input> = agents.iter().map(|agent| agent.batch(now)).collect();
    let records: usize = agents.iter().map(|agent| agent.journal.len()).sum();
    let started = clock::now();
    for batch in messages.chunks(BATCH) {
        run(fleet, now, batch, ids);
    }
    for agent in agents {
        agent.journal = Vec::new();
    }
    (records, started.elapsed())
}

fn beats(fleet: &mut Fleet, agents: &mut [ScriptedAgent], now: Timestamp, ids: &mut Ids) {
    let beats: Vec<_> = agents.iter_mut().map(|agent| agent.heartbeat(now)).collect();
    let started = clock::now();
    let mut durable = Vec::new();
    for (agent, beat) in agents.iter().zip(&beats) {
        if fleet.heard(now, &agent.id, beat).durable {
            let (kiosk, message) = (agent.id.clone(), Box::new(beat.clone()));
            durable.push(Input::Heartbeat { kiosk, received_at: now, message });
        }
    }
    let took = started.elapsed();
    if agents.len() > BATCH {
        println!("heartbeats: {} in {took:?}, {} durable", beats.len(), durable.len());
    }
    run(fleet, now, &durable, ids);
    run(fleet, now, &[Input::Sweep], ids);
}

fn run(fleet: &mut Fleet, now: Timestamp, inputs: &[Input], ids: &mut Ids) -> usize {
    let plan = fleet.plan(now, inputs, ids);
    let changes = plan.changes.len();
    fleet.adopt(plan).expect("one plan at a time");
    changes
}

/// Resident memory of this process on Linux, 0 elsewhere.
fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
