//! Lines of kiosks that delay, throttle, close, reset and go deaf one way: what is written down arrives once, and
//! nobody is called offline for longer or sooner than the line made it so. A half-open line is found by both ends.
//! The same on the server's own line: `server_lines`.
use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use kioskwatch_agent::journal::export;
use kioskwatch_proto::{KioskId, topic::Channel};
use kioskwatch_server::store::{PageRequest, Scope, Store};
use kioskwatch_tests::{
    emulator::Phase,
    harness::{
        kiosk::Kiosk,
        proxy::{LineState, Proxy},
        server::QUICK,
        stack::{PATIENCE, Plan, Stack},
        wait::wait_until,
    },
    sim::rng::Rng,
};
use serde_json::Value;
use tokio::time::Instant;

use crate::program;

pub(crate) const SEED: u64 = 20_261_122;
const KIOSKS: usize = 20;
/// Of each line; of those of the kiosks a hundred in all.
pub(crate) const SCHEDULES: usize = 5;
/// In this one each kind of disturbance has a line on which it is long.
const LONG_ROUND: usize = 2;
/// Longer than eight heartbeats and the hold of the settings below.
const LONG: Duration = Duration::from_secs(30);
/// A ticket opens 16 s after a line was closed, 23 s after it fell silent. The random disturbances and what an
/// agent takes to come back stay below 8 s.
const PATIENT: [(&str, &str); 2] =
    [("missed_heartbeats = 3", "missed_heartbeats = 8"), ("site_hold_s = 3", "site_hold_s = 15")];
const LONGEST_MS: i64 = 2_500;
const COVER: &str = "cover_open";
const STACKER: &str = "stacker_full";

fn ms(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

/// Everything that can be wrong with a line, drawn as often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disturbance {
    Delay,
    Throttle,
    Cut,
    Reset,
    Blackhole,
    Deaf,
    Mute,
}

impl Disturbance {
    pub(crate) const ALL: [Self; 7] =
        [Self::Blackhole, Self::Mute, Self::Cut, Self::Delay, Self::Throttle, Self::Reset, Self::Deaf];

    fn of(self, dice: &mut Rng) -> LineState {
        match self {
            Self::Delay => LineState::Delayed(ms(dice.between(20, 800))),
            Self::Throttle => LineState::Throttled(u32::try_from(dice.between(2_000, 20_000)).unwrap()),
            Self::Cut => LineState::Cut,
            Self::Reset => LineState::Reset,
            Self::Blackhole => LineState::Blackhole,
            Self::Deaf => LineState::DeafToBroker,
            Self::Mute => LineState::MuteToBroker,
        }
    }

    /// Whether nothing of what a kiosk says comes through meanwhile.
    fn silences(self) -> bool {
        matches!(self, Self::Cut | Self::Reset | Self::Blackhole | Self::Mute)
    }
}

/// The disturbances of one round on one line. `long`: that one alone, for so long, when its round has come.
pub(crate) fn schedule(
    dice: &mut Rng,
    round: usize,
    long: Option<(Disturbance, Duration)>,
) -> Vec<(LineState, Duration)> {
    if let (LONG_ROUND, Some((long, length))) = (round, long) {
        return vec![(long.of(dice), length)];
    }
    let mut steps = Vec::new();
    for _ in 0..dice.between(3, 5) {
        let drawn = Disturbance::ALL[dice.index(Disturbance::ALL.len())];
        steps.push((drawn.of(dice), ms(dice.length(200, LONGEST_MS))));
        steps.push((LineState::Up, ms(dice.between(200, 1_500))));
    }
    steps
}

/// Faults come and go, each seldom enough not to count as flapping; the agent has written them down.
async fn turn(kiosk: &Kiosk, fault: &str) {
    let told = |log: &str| log.matches(&format!("fault={fault}")).count();
    let before = told(&kiosk.log());
    match fault {
        COVER => kiosk.printer.set(|printer| printer.cover_open = !printer.cover_open),
        _ => kiosk.acceptor.set(|acceptor| {
            let is_full = acceptor.phase == Phase::StackerFull;
            acceptor.phase = if is_full { Phase::Disabled } else { Phase::StackerFull };
        }),
    }
    wait_until("the agent to see it", PATIENCE, || async {
        if told(&kiosk.log()) > before { Ok(()) } else { Err(format!("{fault}: nothing yet")) }
    })
    .await;
}

/// Both faults of a kiosk begin or end.
pub(crate) async fn business(kiosk: &Kiosk) {
    turn(kiosk, COVER).await;
    turn(kiosk, STACKER).await;
}

async fn live_through(index: usize, kiosk: &Kiosk, line: &Proxy) {
    let mut dice = Rng::new(SEED).branch(index as u64);
    for round in 0..SCHEDULES {
        let steps = schedule(&mut dice, round, Disturbance::ALL.get(index).map(|long| (*long, LONG)));
        tokio::join!(line.play(&steps), business(kiosk));
    }
}

/// What the kiosk wrote down, by number.
pub(crate) fn written(kiosk: &Kiosk) -> BTreeMap<u64, Value> {
    let mut text = Vec::new();
    export(&kiosk.journal_dir().join("journal.sqlite"), &mut text).unwrap();
    let lines = std::str::from_utf8(&text).unwrap().lines();
    let records = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.map(|record| (record["seq"].as_u64().unwrap(), record)).collect()
}

/// What the server has of it. More than one journal would be a history nobody had.
pub(crate) async fn stored(store: &Store, id: &KioskId) -> BTreeMap<u64, Value> {
    let heads = store.journal_heads(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!(heads.len(), 1, "{heads:?}");
    let (mut all, mut page) = (BTreeMap::new(), PageRequest::first());
    loop {
        let found = store.journal_records(&Scope::All, id, heads[0].epoch, &page).await.unwrap().unwrap();
        for row in found.items {
            all.insert(row.seq, serde_json::from_str(&row.raw).unwrap());
        }
        match found.next_cursor {
            Some(cursor) => page = PageRequest::first().after(cursor),
            None => return all,
        }
    }
}

async fn arrives(kiosk: &Kiosk, store: &Store, patience: Duration) {
    let id = KioskId::new(&kiosk.id).unwrap();
    wait_until("the server to have what the kiosk wrote", patience, || async {
        let (written, stored) = (written(kiosk), stored(store, &id).await);
        if written == stored { Ok(()) } else { Err(format!("{} of {}", stored.len(), written.len())) }
    })
    .await;
}

/// What every kiosk wrote down stands in the store, and nobody was sent to one of them for its silence.
pub(crate) async fn everything_arrives_and_nobody_is_offline(stack: &Stack, store: &Store) {
    for kiosk in &stack.kiosks {
        arrives(kiosk, store, PATIENCE * 3).await;
        assert!(stack.tickets(&kiosk.id, "kiosk_offline").await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_schedules_of_bad_lines_lose_nothing_double_nothing_and_judge_by_the_truth() {
    let names: Vec<(String, String)> =
        (1..=KIOSKS).map(|n| (format!("K-{n:04}"), format!("S-{n:02}"))).collect();
    let plan = names.iter().fold(Plan::new(program()), |plan, (kiosk, site)| plan.kiosk(kiosk, site));
    let settings = PATIENT.iter().fold(QUICK.to_owned(), |text, (from, to)| text.replace(from, to));
    let stack = plan.settings(&settings).start().await;

    let kiosks = stack.kiosks.iter().zip(&names).enumerate();
    join_all(kiosks.map(|(index, (kiosk, (_, site)))| live_through(index, kiosk, stack.line(site)))).await;

    everything_is_there_once(&stack).await;
    for (index, kiosk) in stack.kiosks.iter().enumerate() {
        let tickets = stack.tickets(&kiosk.id, "kiosk_offline").await.unwrap();
        let silent = Disturbance::ALL.get(index).is_some_and(|long| long.silences());
        assert_eq!(tickets.len(), usize::from(silent), "seed {SEED}, {}: {tickets:#?}", kiosk.id);
    }
}

/// After all schedules of all lines: every record, every episode of a fault, and everybody online.
pub(crate) async fn everything_is_there_once(stack: &Stack) {
    let database = format!("sqlite://{}", stack.server.data_dir.join("kioskwatch.sqlite").display());
    let store = Store::open_beside(&database).await.unwrap();
    for kiosk in &stack.kiosks {
        arrives(kiosk, &store, PATIENCE).await;
        let id = KioskId::new(&kiosk.id).unwrap();
        raised_once(&store, &id, &written(kiosk)).await;
    }
    store.close().await;
    for kiosk in &stack.kiosks {
        stack.kiosk_until(&kiosk.id, "everybody to be online", |k| k["presence"]["state"] == "online").await;
    }
}

/// Each episode that the kiosk wrote down is one incident, not two.
async fn raised_once(store: &Store, id: &KioskId, written: &BTreeMap<u64, Value>) {
    let page = PageRequest::new(Some(200), None);
    let incidents = store.incidents(&Scope::All, id, &page).await.unwrap().unwrap().items;
    for fault in [COVER, STACKER] {
        let raised = |record: &&Value| record["fault"] == fault && record["state"] == "raised";
        let episodes = written.values().filter(raised).count();
        assert_eq!(episodes, SCHEDULES.div_ceil(2), "{id} {fault}");
        let incidents = incidents.iter().filter(|row| row.fault.as_str() == fault).count();
        assert_eq!(incidents, episodes, "{id} {fault}");
    }
}

/// With a keep-alive of 20 s at both ends: one and a half of it, a sixth of which is for a loaded machine. Two, as the
/// client alone would take, are more.
pub(crate) const FOUND_WITHIN: Duration = Duration::from_secs(30);

/// What the server says when both its connections are gone.
pub(crate) const BOTH_LANES: [&str; 2] =
    ["not connected to the broker lane=\"journal\"", "not connected to the broker lane=\"beats\""];

/// How long from now until this end of a line has said all these words in its log.
pub(crate) async fn given_up(
    line: &Proxy,
    dead: LineState,
    log: impl Fn() -> String,
    words: &[&str],
) -> Duration {
    let (began, before) = (Instant::now(), log().len());
    line.set(dead);
    wait_until("the half-open line to be given up", FOUND_WITHIN * 2, || async {
        let said = log()[before..].to_owned();
        let all = words.iter().all(|word| said.contains(word));
        if all { Ok(began.elapsed()) } else { Err(format!("{:?}: {said}", began.elapsed())) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_line_is_found_within_one_and_a_half_keep_alives_at_both_ends() {
    let sites = ["S-01", "S-02", "S-03"];
    let ways = [LineState::Blackhole, LineState::DeafToBroker, LineState::MuteToBroker];
    let plan = sites.iter().zip(1..).fold(Plan::new(program()).server_over_a_line(), |plan, (site, n)| {
        plan.kiosk(&format!("K-{n:04}"), site)
    });
    let mut stack = plan.start_without_kiosks().await;
    for kiosk in &mut stack.kiosks {
        kiosk.set_env("KIOSKWATCH__MQTT__KEEP_ALIVE_S", "20");
        kiosk.boot().unwrap();
    }
    stack.all_in_service().await;
    let heartbeat = format!("channel=\"{}\"", Channel::Heartbeat);
    stack.metric_reaches(&format!("kioskwatch_messages_total{{{heartbeat},outcome=\"applied\"}}"), 2.0).await;

    let server = stack.server_line.as_ref().unwrap();
    let calls = || sites.map(|site| stack.line(site).accepted());
    let before = calls();
    let ends = sites.iter().zip(ways).zip(&stack.kiosks);
    let agents = ends.map(|((site, way), kiosk)| {
        given_up(stack.line(site), way, || kiosk.log(), &["not connected broker="])
    });
    let by_server = given_up(server, LineState::Blackhole, || stack.server.log(), &BOTH_LANES);
    let (by_agents, by_server) = tokio::join!(join_all(agents), by_server);
    for (way, after) in ways.iter().zip(by_agents) {
        assert!(after <= FOUND_WITHIN, "{way:?}: the agent took {after:?}");
    }
    assert!(by_server <= FOUND_WITHIN, "the server took {by_server:?}");
    wait_until("everybody to call again, whether the line is dead or not", PATIENCE, || async {
        let calls = calls();
        let again = calls.iter().zip(&before).all(|(now, before)| now > before);
        if again { Ok(()) } else { Err(format!("{before:?}, {calls:?}")) }
    })
    .await;
    sites.iter().for_each(|site| stack.line(site).set(LineState::Up));
    server.set(LineState::Up);
    stack.server.ready(PATIENCE).await.unwrap();
    stack.all_in_service().await;
}
