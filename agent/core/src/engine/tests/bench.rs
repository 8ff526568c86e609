//! A kiosk on a table: scripted devices, an obedient shell, a clock turned by hand.
use std::collections::{BTreeMap, VecDeque};

use kioskwatch_proto::{
    BootId, CommandId, KioskId, PeripheralName, SessionId, Timestamp,
    command::{Command, CommandSigner},
    journal::{Body, CommandResult, FaultState},
    local::Busy,
    words::{PeripheralStatus, PortMode, ServiceState},
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    config::{ApplicationGate, BootFacts, EngineConfig, PeripheralConfig, PeripheralSetup},
    drivers::{CannotDo, Driver, FoundFault, Identity, Mono, Outcome, Reading, TestResult, Work, WorkPlan},
    effect::{Effect, StoredCommand},
    engine::Engine,
    input::{Input, Local, Now, PortTrouble},
};

pub(super) const WALL: i64 = 1_795_248_000_000;
pub(super) const BOOT: BootId = BootId(Uuid::from_u128(1));
pub(super) const SESSION: SessionId = SessionId(Uuid::from_u128(2));
pub(super) const FREE: Busy =
    Busy { transaction: false, escrow: false, card: false, door: false, valid_for_s: 10 };
const ANSWER_AFTER_MS: u64 = 20;
const TIMEOUT_MS: u64 = 100;

/// An application that has to be there.
pub(super) const REQUIRED: ApplicationGate = ApplicationGate::Required { down_after_ms: 60_000 };

pub(super) fn name(text: &str) -> PeripheralName {
    PeripheralName::new(text).unwrap()
}

/// A driver whose device answers in words: `ok`, `fault:code`, `junk`, `stolen`.
#[derive(Debug, Default)]
pub(super) struct Scripted {
    valuables: bool,
    /// Says who it is only after a reading, as real ones do.
    shy: bool,
    /// Its name does not end.
    wordy: bool,
    read: bool,
    working: Option<(Work, Mono)>,
    transmit: VecDeque<Vec<u8>>,
    outcomes: VecDeque<Outcome>,
    healthy: bool,
}

pub(super) fn reading(fault: Option<&str>) -> Reading {
    let faults = fault
        .map(|f| FoundFault {
            code: kioskwatch_proto::faults::FaultCode::new(f).unwrap(),
            raw: vec![0x7e],
            text: None,
        })
        .into_iter()
        .collect::<Vec<_>>();
    let status = if faults.is_empty() { PeripheralStatus::Online } else { PeripheralStatus::UserError };
    Reading { status, faults, values: vec![("paper_mm", 3.0)], state: Some("idling") }
}

impl Driver for Scripted {
    fn begin(&mut self, work: Work, now: Mono) -> Result<(), CannotDo> {
        assert!(self.working.is_none(), "two pieces of work on one port");
        if work == Work::Reset {
            return Err(CannotDo::Unsupported);
        }
        if work == Work::Identify && self.shy && !self.read {
            return Err(CannotDo::NotNow("no fresh reading; probe first".into()));
        }
        self.working = Some((work, now + TIMEOUT_MS));
        self.transmit.push_back(format!("{work:?}").into_bytes());
        Ok(())
    }

    fn plan(&self, work: Work) -> Option<WorkPlan> {
        (work != Work::Reset).then_some(WorkPlan { worst_case_ms: 2_000, side_effect: "none" })
    }

    fn working(&self) -> Option<Work> {
        self.working.map(|(work, _)| work)
    }

    fn received(&mut self, bytes: &[u8], _now: Mono) {
        if bytes == b"stolen" {
            self.working = None;
            self.outcomes.push_back(Outcome::NotOurs { raw: bytes.to_vec() });
            return;
        }
        let Some((work, _)) = self.working.take() else {
            if bytes == b"ok" {
                self.outcomes.push_back(Outcome::Reading(reading(None)));
            }
            return;
        };
        let text = String::from_utf8_lossy(bytes);
        let fault = text.strip_prefix("fault:");
        self.healthy = fault.is_none();
        self.read |= text == "ok";
        self.outcomes.push_back(match work {
            _ if text == "junk" => Outcome::Garbled { work, raw: bytes.to_vec() },
            Work::Identify if self.wordy => {
                let endless = || Some("\"".repeat(2_000));
                Outcome::Identity(Identity {
                    maker: endless(),
                    model: endless(),
                    firmware: endless(),
                    serial: endless(),
                })
            }
            Work::Identify => Outcome::Identity(Identity { model: Some("M1".into()), ..Identity::default() }),
            Work::SelfTest | Work::Reset => Outcome::Tested(TestResult {
                work,
                passed: fault.is_none(),
                summary: "tested".into(),
                reading: Some(reading(fault)),
            }),
            Work::Probe => Outcome::Reading(reading(fault)),
        });
    }

    fn wake_at(&self) -> Option<Mono> {
        self.working.map(|(_, at)| at)
    }

    fn wake(&mut self, now: Mono) {
        if let Some((work, at)) = self.working
            && now >= at
        {
            self.working = None;
            self.outcomes.push_back(Outcome::NoAnswer { work });
        }
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmit.pop_front()
    }

    fn poll_outcome(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }

    fn line_opened(&mut self, _now: Mono) {
        *self = Self { valuables: self.valuables, shy: self.shy, wordy: self.wordy, ..Self::default() };
    }

    fn idle(&self, _now: Mono) -> bool {
        self.healthy && self.working.is_none()
    }

    fn guards_valuables(&self) -> bool {
        self.valuables
    }
}

pub(super) fn device(device: &str, kind: &str, mode: PortMode) -> PeripheralSetup {
    let mut config = PeripheralConfig::new(name(device), kind, "scripted", mode, 1_000);
    config.required = true;
    let valuables = config.guards_valuables;
    let driver = (mode != PortMode::Pushed)
        .then(|| Box::new(Scripted { valuables, ..Scripted::default() }) as Box<dyn Driver>);
    PeripheralSetup { config, driver }
}

/// Refuses to say who it is before the first good reading.
pub(super) fn shy_device(name: &str, kind: &str) -> PeripheralSetup {
    let driver = Scripted { shy: true, ..Scripted::default() };
    PeripheralSetup { driver: Some(Box::new(driver)), ..device(name, kind, PortMode::Owned) }
}

/// Everything it says of itself is too long.
pub(super) fn wordy_device(name: &str, kind: &str) -> PeripheralSetup {
    let driver = Scripted { wordy: true, ..Scripted::default() };
    PeripheralSetup { driver: Some(Box::new(driver)), ..device(name, kind, PortMode::Owned) }
}

pub(super) fn signer() -> CommandSigner {
    CommandSigner::from_secret("k1", &[7; 32])
}

pub(super) struct Bench {
    pub(super) engine: Engine,
    pub(super) mono: Mono,
    /// Wall clock minus monotonic clock.
    pub(super) wall_offset: i64,
    /// Everything that came out, with its time.
    pub(super) log: Vec<(Mono, Effect)>,
    /// What a device answers; a missing one is silent.
    pub(super) answers: BTreeMap<String, Vec<u8>>,
    /// What opening leads to, where it does not succeed.
    pub(super) ports: BTreeMap<String, PortTrouble>,
    /// Whether writes are confirmed at once.
    pub(super) disk: bool,
    pub(super) kept: BTreeMap<CommandId, StoredCommand>,
    pub(super) counter: u64,
    pub(super) known_since: Option<Timestamp>,
    due: Vec<(Mono, Input)>,
}

impl Bench {
    pub(super) fn new(gate: ApplicationGate, devices: Vec<PeripheralSetup>) -> Self {
        Self::started(gate, devices, BootFacts::first_start(BOOT))
    }

    pub(super) fn printer() -> Self {
        Self::new(ApplicationGate::None, vec![device("printer", "printer", PortMode::Owned)])
    }

    /// A printer beside an application that has to be asked; the first looks are over.
    pub(super) fn gated() -> Self {
        let mut bench = Self::new(REQUIRED, vec![device("printer", "printer", PortMode::Owned)]);
        bench.pass(5_000);
        bench.forget_log();
        bench
    }

    pub(super) fn started(gate: ApplicationGate, devices: Vec<PeripheralSetup>, facts: BootFacts) -> Self {
        let mut config = EngineConfig::new(KioskId::new("K-1").unwrap());
        config.application = gate;
        config.trusted_keys = vec![signer().public_text().parse().unwrap()];
        let answers = devices.iter().map(|d| (d.config.name.to_string(), b"ok".to_vec())).collect();
        let mono = 1_000_000;
        let mut out = Vec::new();
        let (counter, known_since) = (facts.command_counter, facts.commands_known_since);
        let now = Now { wall: Timestamp(WALL), mono };
        let engine = Engine::new(config, devices, facts, now, &mut out).unwrap();
        let mut bench = Self {
            engine,
            mono,
            wall_offset: WALL - i64::try_from(mono).unwrap(),
            log: Vec::new(),
            answers,
            ports: BTreeMap::new(),
            disk: true,
            kept: BTreeMap::new(),
            counter,
            known_since,
            due: Vec::new(),
        };
        bench.perform(out);
        bench
    }

    pub(super) fn now(&self) -> Now {
        Now { wall: Timestamp(self.wall_offset + i64::try_from(self.mono).unwrap()), mono: self.mono }
    }

    pub(super) fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.engine.step(self.now(), input, &mut out);
        self.perform(out);
    }

    pub(super) fn local(&mut self, local: Local) {
        self.input(Input::Local(local));
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.log.push((self.mono, effect.clone()));
            match effect {
                Effect::OpenPort { peripheral } => {
                    let trouble = self.ports.get(peripheral.as_str()).cloned();
                    self.due.push((
                        self.mono,
                        match trouble {
                            Some(trouble) => Input::PortTrouble { peripheral, trouble },
                            None => Input::PortOpened { peripheral },
                        },
                    ));
                }
                Effect::Transmit { peripheral, .. } => {
                    if let Some(bytes) = self.answers.get(peripheral.as_str()).cloned() {
                        self.due.push((self.mono + ANSWER_AFTER_MS, Input::Bytes { peripheral, bytes }));
                    }
                }
                Effect::PersistCommand(persist) => {
                    if let Some(entry) = persist.entry {
                        self.kept.insert(entry.command.id, entry);
                    }
                    self.counter = persist.counter;
                    if self.disk {
                        self.due.push((self.mono, Input::Stored(persist.token)));
                    }
                }
                Effect::CommandsKnownSince(at) => self.known_since = Some(at),
                _ => {}
            }
        }
    }

    /// Lets time pass: devices answer, the disk confirms, the engine is woken when it asked to be.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.mono + ms;
        for turn in 0.. {
            assert!(turn < 100_000, "the engine spins");
            let arrival = self.due.iter().map(|(at, _)| *at).min();
            let wake = self.engine.next_wake();
            let next = arrival.map_or(wake, |at| at.min(wake));
            if next > end {
                break;
            }
            self.mono = self.mono.max(next);
            match self.due.iter().position(|(at, _)| *at <= self.mono) {
                Some(at) => {
                    let (_, input) = self.due.remove(at);
                    self.input(input);
                }
                None => self.input(Input::Wake),
            }
        }
        self.mono = end;
    }

    pub(super) fn answer(&mut self, device: &str, bytes: &str) {
        self.answers.insert(device.into(), bytes.as_bytes().to_vec());
    }

    pub(super) fn silence(&mut self, device: &str) {
        self.answers.remove(device);
    }

    /// The bodies of all records, those of commands included.
    pub(super) fn records(&self) -> Vec<Body> {
        self.log
            .iter()
            .flat_map(|(_, effect)| match effect {
                Effect::Record(draft) => vec![draft.body.clone()],
                Effect::PersistCommand(p) => p.records.iter().map(|d| d.body.clone()).collect(),
                _ => Vec::new(),
            })
            .collect()
    }

    /// Records in a few words each.
    pub(super) fn said(&self) -> Vec<String> {
        self.records().iter().map(say).collect()
    }

    pub(super) fn forget_log(&mut self) {
        self.log.clear();
    }

    pub(super) fn status(&self, device: &str) -> PeripheralStatus {
        self.engine.snapshot(None).peripherals[&name(device)].status.clone()
    }

    pub(super) fn service(&self) -> ServiceState {
        self.engine.snapshot(None).service
    }

    /// A fresh command with the next counter.
    pub(super) fn command(&mut self, action: &str, args: Value) -> Command {
        let Value::Object(args) = args else { panic!("args are an object") };
        let now = self.now().wall;
        let counter = self.counter + 1;
        Command {
            id: command_id(now, counter),
            kiosk: KioskId::new("K-1").unwrap(),
            counter,
            issued_at: now,
            not_before: now,
            not_after: now.plus_ms(60_000),
            action: action.into(),
            args,
            actor: "li".into(),
            approver: None,
            ticket: None,
        }
    }

    pub(super) fn send(&mut self, command: &Command) {
        let payload = serde_json::to_vec(&signer().sign(command)).unwrap();
        self.input(Input::Command(payload));
    }

    /// Sends a command and lets a while pass; returns what was told of it.
    pub(super) fn run(&mut self, action: &str, args: Value) -> Vec<CommandResult> {
        let command = self.command(action, args);
        self.send(&command);
        self.pass(5_000);
        self.told(command.id)
    }

    pub(super) fn told(&self, id: CommandId) -> Vec<CommandResult> {
        self.records()
            .into_iter()
            .filter_map(|body| if let Body::Command(c) = body { Some(c) } else { None })
            .filter(|c| c.command == id)
            .collect()
    }

    /// How often this work was sent to this device.
    pub(super) fn sent(&self, device: &str, work: Work) -> usize {
        let wanted = format!("{work:?}").into_bytes();
        self.log
            .iter()
            .filter(|(_, e)| {
                matches!(e, Effect::Transmit { peripheral, bytes }
                    if peripheral.as_str() == device && *bytes == wanted)
            })
            .count()
    }
}

pub(super) fn states(told: &[CommandResult]) -> Vec<String> {
    told.iter()
        .map(|c| match &c.reason {
            Some(reason) => format!("{}: {reason}", c.state),
            None => c.state.to_string(),
        })
        .collect()
}

pub(super) fn only(peripheral: &str) -> Value {
    json!({"peripheral": peripheral})
}

pub(super) fn nothing() -> Value {
    Value::Object(Map::new())
}

/// Made at that time.
pub(super) fn command_id(at: Timestamp, n: u64) -> CommandId {
    let ms = u128::try_from(at.ms()).unwrap_or(0);
    CommandId(Uuid::from_u128(ms << 80 | 0x7000_8000_0000_0000_0000 | u128::from(n)))
}

fn say(body: &Body) -> String {
    match body {
        Body::Fault(f) => {
            let state = if f.state == FaultState::Raised { "+" } else { "-" };
            format!("{state}{}/{}", f.peripheral, f.fault)
        }
        Body::Peripheral(p) => format!("{} is {}", p.peripheral, p.status),
        Body::Service(s) => format!("service {} ({})", s.state, s.cause.as_deref().unwrap_or("")),
        Body::Command(c) => format!("command {}", c.state),
        other => other.kind().to_owned(),
    }
}
