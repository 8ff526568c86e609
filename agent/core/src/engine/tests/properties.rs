//! Whatever happens, in any order.
use std::collections::{BTreeMap, BTreeSet};

use kioskwatch_proto::{
    Timestamp,
    journal::{Body, FaultState},
    local::{Busy, Grant, LeaseRequest, PushedPeripheral, PushedService},
    words::{PeripheralStatus, PortMode, ServiceState},
};
use proptest::prelude::*;

use super::bench::*;
use crate::{
    config::ApplicationGate,
    effect::{CloseReason, Effect, Token},
    input::{Input, Local, PortTrouble},
};

const DEVICES: [(&str, &str, PortMode); 5] = [
    ("printer", "printer", PortMode::Owned),
    ("acceptor", "bill_acceptor", PortMode::Owned),
    ("reader", "card_unit", PortMode::Lease),
    ("coins", "coin_acceptor", PortMode::Proxy),
    ("badge", "badge", PortMode::Pushed),
];

#[derive(Debug, Clone)]
enum Op {
    Pass(u32),
    Answer(usize, usize),
    Bytes(usize, Vec<u8>),
    Trouble(usize, usize),
    Opened(usize),
    Heal,
    Lease(usize, u32),
    EndLease,
    Push(usize, u32),
    Service(usize),
    Busy(u8),
    Grant(bool),
    Command(usize, usize),
    Raw(Vec<u8>),
    Stored(u64),
    Up,
    Down,
    WallJump(i32),
    ServerTime(i32),
}

const ANSWERS: [&str; 6] = ["ok", "fault:paper_out", "fault:note_jam(stacker)", "junk", "stolen", ""];
const ACTIONS: [&str; 5] = ["probe", "identify", "self_test", "reboot", "dance"];

fn op() -> impl Strategy<Value = Op> {
    let which = 0..DEVICES.len();
    prop_oneof![
        8 => (0..20_000u32).prop_map(Op::Pass),
        5 => (which.clone(), 0..ANSWERS.len()).prop_map(|(d, a)| Op::Answer(d, a)),
        3 => (which.clone(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(d, b)| Op::Bytes(d, b)),
        2 => (which.clone(), 0..4usize).prop_map(|(d, t)| Op::Trouble(d, t)),
        1 => which.clone().prop_map(Op::Opened),
        2 => Just(Op::Heal),
        2 => (which.clone(), 0..400u32).prop_map(|(d, s)| Op::Lease(d, s)),
        1 => Just(Op::EndLease),
        2 => (which, 0..100u32).prop_map(|(d, s)| Op::Push(d, s)),
        1 => (0..4usize).prop_map(Op::Service),
        4 => (0..16u8).prop_map(Op::Busy),
        3 => any::<bool>().prop_map(Op::Grant),
        4 => (0..ACTIONS.len(), 0..=DEVICES.len()).prop_map(|(a, d)| Op::Command(a, d)),
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Op::Raw),
        1 => (0..50u64).prop_map(Op::Stored),
        1 => Just(Op::Up),
        1 => Just(Op::Down),
        1 => any::<i32>().prop_map(Op::WallJump),
        1 => any::<i32>().prop_map(Op::ServerTime),
    ]
}

fn apply(bench: &mut Bench, op: Op) {
    match op {
        Op::Pass(ms) => bench.pass(u64::from(ms)),
        Op::Answer(d, a) if ANSWERS[a].is_empty() => bench.silence(DEVICES[d].0),
        Op::Answer(d, a) => bench.answer(DEVICES[d].0, ANSWERS[a]),
        Op::Bytes(d, bytes) => bench.input(Input::Bytes { peripheral: name(DEVICES[d].0), bytes }),
        Op::Trouble(d, t) => {
            let trouble = match t {
                0 => PortTrouble::Busy { holder: None },
                1 => PortTrouble::Missing,
                2 => PortTrouble::Denied,
                _ => PortTrouble::Broken,
            };
            bench.ports.insert(DEVICES[d].0.into(), trouble.clone());
            bench.input(Input::PortTrouble { peripheral: name(DEVICES[d].0), trouble });
        }
        Op::Opened(d) => bench.input(Input::PortOpened { peripheral: name(DEVICES[d].0) }),
        Op::Heal => bench.ports.clear(),
        Op::Lease(d, seconds) => {
            let request = LeaseRequest { peripheral: name(DEVICES[d].0), seconds };
            bench.local(Local::Lease { lease: "l".into(), request });
        }
        Op::EndLease => bench.local(Local::EndLease { lease: "l".into() }),
        Op::Push(d, valid_for_s) => {
            let at = bench.now().wall;
            let status = PeripheralStatus::Online;
            let state = PushedPeripheral { status, faults: Vec::new(), at, valid_for_s };
            bench.local(Local::Peripheral { name: name(DEVICES[d].0), state });
        }
        Op::Service(s) => {
            bench.local(Local::Service(PushedService { state: ServiceState::ALL[s], cause: None }));
        }
        Op::Busy(bits) => bench.local(Local::Busy(Busy {
            transaction: bits & 9 == 9,
            escrow: bits & 10 == 10,
            card: bits & 12 == 12,
            door: bits == 7,
            valid_for_s: 10,
        })),
        Op::Grant(granted) => {
            let asked = bench.log.iter().rev().find_map(|(_, e)| {
                if let Effect::HoldRequest(r) = e { Some(r.request.clone()) } else { None }
            });
            let grant = Grant { granted, valid_for_s: 60 };
            bench.local(Local::Grant { request: asked.unwrap_or_default(), grant });
        }
        Op::Command(a, d) => {
            let args = DEVICES.get(d).map_or_else(nothing, |(device, ..)| only(device));
            let command = bench.command(ACTIONS[a], args);
            bench.send(&command);
        }
        Op::Raw(bytes) => bench.input(Input::Command(bytes)),
        Op::Stored(token) => bench.input(Input::Stored(Token(token))),
        Op::Up => bench.input(Input::ConnectionUp { session: SESSION }),
        Op::Down => bench.input(Input::ConnectionDown),
        Op::WallJump(s) => bench.wall_offset += i64::from(s) * 1000,
        Op::ServerTime(s) => {
            let server = Timestamp(WALL).plus_ms(i64::from(s));
            bench.input(Input::ServerTime(server));
        }
    }
}

/// What can be read off the effects alone.
#[derive(Default)]
struct Watch {
    raised: BTreeSet<(String, String)>,
    open: BTreeSet<String>,
    barred: BTreeSet<String>,
    finals: BTreeMap<kioskwatch_proto::CommandId, usize>,
    last_beat: Option<u64>,
    seen: usize,
}

impl Watch {
    fn check(&mut self, bench: &Bench) -> Result<(), TestCaseError> {
        for (at, effect) in &bench.log[self.seen..] {
            match effect {
                Effect::Record(draft) => self.record(&draft.body)?,
                Effect::PersistCommand(p) => {
                    for draft in &p.records {
                        self.record(&draft.body)?;
                    }
                }
                Effect::OpenPort { peripheral } => {
                    let device = peripheral.as_str();
                    prop_assert!(!self.barred.contains(device), "{device} opened again");
                    prop_assert_ne!(device, "badge");
                    self.open.insert(device.into());
                }
                Effect::ClosePort { reason: CloseReason::NotAsked, .. } => {}
                Effect::ClosePort { peripheral, reason } => {
                    self.open.remove(peripheral.as_str());
                    if *reason == CloseReason::NotOurs {
                        self.barred.insert(peripheral.to_string());
                    }
                }
                Effect::Transmit { peripheral, .. } => {
                    let device = peripheral.as_str();
                    prop_assert!(!["coins", "badge"].contains(&device), "a byte for {device}");
                    prop_assert!(self.open.contains(device), "a byte for the closed port of {device}");
                    prop_assert!(!self.barred.contains(device), "a byte after somebody took {device}");
                }
                Effect::Heartbeat(beat) => {
                    if let Some(last) = self.last_beat.filter(|_| beat.seq > 1) {
                        prop_assert!(at - last <= 30_000, "{} ms between heartbeats", at - last);
                    }
                    self.last_beat = Some(*at);
                }
                _ => {}
            }
        }
        self.seen = bench.log.len();
        Ok(())
    }

    fn record(&mut self, body: &Body) -> Result<(), TestCaseError> {
        match body {
            Body::Fault(f) => {
                let key = (f.peripheral.to_string(), f.fault.to_string());
                let fresh = match f.state {
                    FaultState::Raised => self.raised.insert(key.clone()),
                    FaultState::Cleared => self.raised.remove(&key),
                };
                prop_assert!(fresh, "{key:?} {} twice", f.state);
            }
            Body::Command(c) if c.state.is_final() => {
                let times = self.finals.entry(c.command).or_default();
                *times += 1;
                prop_assert_eq!(*times, 1, "{} ended twice", c.command);
            }
            _ => {}
        }
        Ok(())
    }
}

fn whatever_happens(gate: ApplicationGate, ops: Vec<Op>) -> Result<(), TestCaseError> {
    let devices = DEVICES.iter().map(|(n, kind, mode)| device(n, kind, *mode)).collect();
    let mut bench = Bench::new(gate, devices);
    let mut watch = Watch::default();
    for op in ops {
        apply(&mut bench, op);
        watch.check(&bench)?;
        let told: BTreeSet<_> = bench
            .engine
            .snapshot(None)
            .peripherals
            .iter()
            .flat_map(|(n, s)| s.faults.iter().map(move |f| (n.to_string(), f.to_string())))
            .collect();
        prop_assert_eq!(&told, &watch.raised);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_invariants_hold_with_an_application(ops in prop::collection::vec(op(), 1..60)) {
        whatever_happens(ApplicationGate::Required { down_after_ms: 60_000 }, ops)?;
    }

    #[test]
    fn the_invariants_hold_without_one(ops in prop::collection::vec(op(), 1..60)) {
        whatever_happens(ApplicationGate::None, ops)?;
    }
}
