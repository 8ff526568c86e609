//! One machine: its power, clock, devices and disk, and the agent on it with the shell's duties.
mod courier;

use std::{collections::BTreeMap, sync::LazyLock};

use kioskwatch_agent_core::{
    config::{ApplicationGate, BootFacts, EngineConfig, PeripheralConfig, PeripheralSetup, PreviousRun},
    delivery::{Delivery, DeliveryConfig, DeliveryInput, DeliveryOutput, Turn},
    effect::{Draft, Effect, Note},
    engine::Engine,
    input::{Input, Local, Now},
    journal::{Journal as _, JournalLimits, JournalView as _, ReadLimit},
    memory_journal::MemoryJournal,
};
use kioskwatch_proto::{
    BootId, Epoch, KioskId, PeripheralName, SessionId, Timestamp,
    faults::FaultCode,
    heartbeat::JournalHead,
    journal::{Ack, FaultDetail, Snapshot, TransactionOutcome},
    local::{PushedFault, PushedPeripheral, PushedTransaction},
    presence::{Presence, PresenceState},
    words::{PeripheralStatus, PortMode, ShutdownReason},
};

use super::{
    broker::{Up, UpBody},
    ledger::{Ledger, entries_from},
    mistake::Mistake,
    rng::Rng,
    server::wall,
    truth::{Harm, Truth},
};

/// Peripheral, fault, and what it does to the service. The printer is required, the others are not.
pub(super) const FAULTS: &[(&str, &str, Harm)] = &[
    ("printer", "paper_low", Harm::Degrades),
    ("printer", "paper_out", Harm::Stops),
    ("printer", "cover_open", Harm::Stops),
    ("ups", "on_battery", Harm::Degrades),
    ("ups", "ups_fault", Harm::Degrades),
    ("scanner", "sensor_fault", Harm::Degrades),
];
const PERIPHERALS: &[(&str, bool)] = &[("printer", true), ("ups", false), ("scanner", false)];

/// Made once: the catalogue is a text, and reading it takes longer than an hour of a kiosk's life.
static CONFIG: LazyLock<EngineConfig> = LazyLock::new(|| EngineConfig {
    application: ApplicationGate::None,
    ..EngineConfig::new(KioskId::new("K").expect("a good name"))
});

/// What is decided is on the disk after at most this.
pub(super) const COMMIT_MS: i64 = 20;
/// The application tells everything anew this often.
const PUSH_EVERY_MS: i64 = 6 * 60 * 60_000;
/// A connection that held this long was a good one.
const GOOD_AFTER_MS: i64 = 10_000;
const BACKOFF_BASE_MS: i64 = 1_000;
const BACKOFF_MAX_MS: i64 = 120_000;

/// What survives a crash.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    pub(super) journal: MemoryJournal,
    facts: Facts,
}

#[derive(Debug, Clone, Default)]
struct Facts {
    previous: Option<PreviousRun>,
    remembered: Option<Snapshot>,
}

/// What one step decided and the disk does not have yet.
#[derive(Debug, Default)]
struct Staged {
    drafts: Vec<Draft>,
    remembered: Option<Snapshot>,
    alive_until: Option<Timestamp>,
    stop: bool,
}

#[derive(Debug)]
pub(super) struct Agent {
    pub(super) engine: Engine,
    delivery: Delivery,
    staged: Staged,
    commit_at: Option<i64>,
    pub(super) session: Option<SessionId>,
    connected_at: i64,
    failures: u32,
    pub(super) connect_at: Option<i64>,
    push_at: i64,
    /// The application has told the state of its devices.
    told: bool,
    /// The highest number that ever went out.
    sent_through: u64,
    /// Appended and not durable: only a mistake makes this differ from nothing.
    undurable_from: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) number: usize,
    pub(super) kiosk: usize,
    pub(super) id: KioskId,
    /// `None`: switched off. Otherwise since when it runs.
    pub(super) booted_at: Option<i64>,
    boot: BootId,
    pub(super) clock_offset_ms: i64,
    pub(super) clock_was_set: bool,
    pub(super) disk: Disk,
    pub(super) backup: Option<(i64, Disk)>,
    pub(super) agent: Option<Agent>,
    /// Faults of the devices: until when, and the text that tells this one from all others.
    pub(super) faults: BTreeMap<usize, (i64, String)>,
    pub(super) truth: Truth,
    /// A copy that was switched off for good.
    pub(super) removed: bool,
    /// What was acknowledged long ago leaves its journal; at the end it would be followed by one more record to wait for.
    pub(super) forgets: bool,
}

/// What a machine may touch beyond itself.
pub(super) struct Io<'a> {
    pub(super) now: i64,
    pub(super) rng: &'a mut Rng,
    pub(super) ledger: &'a mut Ledger,
    pub(super) mistake: Option<Mistake>,
    pub(super) out: Vec<Out>,
}

/// What a machine wants from the world.
#[derive(Debug)]
pub(super) enum Out {
    Publish(Up),
    Connect,
    /// Close the connection; `goodbye`: in order, the broker publishes no will.
    Disconnect {
        goodbye: bool,
    },
    Broken(String),
}

impl Io<'_> {
    pub(super) fn uuid(&mut self) -> uuid::Uuid {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.rng.bits().to_le_bytes());
        bytes[8..].copy_from_slice(&self.rng.bits().to_le_bytes());
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}

#[must_use]
pub(super) fn limits(small: bool, short_memory: bool) -> JournalLimits {
    let limits = JournalLimits::default();
    JournalLimits {
        cap_bytes: if small { 60_000 } else { limits.cap_bytes },
        keep_acked_ms: if short_memory { 20 * 60_000 } else { limits.keep_acked_ms },
        ..limits
    }
}

fn name(text: &str) -> PeripheralName {
    PeripheralName::new(text).expect("the names of this file are names")
}

impl Machine {
    #[must_use]
    pub(super) fn new(number: usize, kiosk: usize, id: KioskId, epoch: Epoch, limits: JournalLimits) -> Self {
        Self {
            number,
            kiosk,
            id,
            booted_at: None,
            boot: BootId(uuid::Uuid::nil()),
            clock_offset_ms: 0,
            clock_was_set: false,
            disk: Disk { journal: MemoryJournal::new(epoch, limits), facts: Facts::default() },
            backup: None,
            agent: None,
            faults: BTreeMap::new(),
            truth: Truth::default(),
            removed: false,
            forgets: true,
        }
    }

    fn wall(&self, now: i64) -> Timestamp {
        wall(now).plus_ms(self.clock_offset_ms)
    }

    fn mono(&self, now: i64) -> u64 {
        u64::try_from(now - self.booted_at.unwrap_or(now)).unwrap_or(0)
    }

    fn clocks(&self, now: i64) -> Now {
        Now { wall: self.wall(now), mono: self.mono(now) }
    }

    pub(super) fn power_on(&mut self, io: &mut Io<'_>) {
        if self.booted_at.is_none() && !self.removed {
            self.booted_at = Some(io.now);
            self.boot = BootId(io.uuid());
            self.truth.unsure(io.now);
        }
    }

    pub(super) fn power_off(&mut self, io: &mut Io<'_>, in_order: bool) {
        self.kill_agent(io);
        if self.booted_at.take().is_some() {
            self.truth.off(io.now, in_order);
        }
    }

    /// The agent process ends without a word.
    pub(super) fn kill_agent(&mut self, io: &mut Io<'_>) {
        if let Some(agent) = self.agent.take() {
            self.disk.journal.crash();
            self.truth.crashed(io.now);
            if agent.session.is_some() {
                io.out.push(Out::Disconnect { goodbye: false });
            }
        }
    }

    pub(super) fn start_agent(&mut self, io: &mut Io<'_>) {
        if self.agent.is_some() || self.booted_at.is_none() {
            return;
        }
        if io.mistake == Some(Mistake::SentBeforeDurable) {
            self.disk.journal.hold_commits();
        }
        let mut config = CONFIG.clone();
        config.kiosk = self.id.clone();
        let peripherals = PERIPHERALS.iter().map(|&(peripheral, required)| {
            let config =
                PeripheralConfig::new(name(peripheral), peripheral, "pushed", PortMode::Pushed, 10_000);
            PeripheralSetup { config: PeripheralConfig { required, ..config }, driver: None }
        });
        let facts = BootFacts {
            previous: self.disk.facts.previous,
            remembered: self.disk.facts.remembered.clone(),
            ..BootFacts::first_start(self.boot)
        };
        let mut effects = Vec::new();
        let clocks = self.clocks(io.now);
        let engine = match Engine::new(config, peripherals.collect(), facts, clocks, &mut effects) {
            Ok(engine) => engine,
            Err(error) => return io.out.push(Out::Broken(format!("the engine refused: {error}"))),
        };
        self.agent = Some(Agent {
            engine,
            delivery: Delivery::new(DeliveryConfig::default()),
            staged: Staged::default(),
            commit_at: None,
            session: None,
            connected_at: 0,
            failures: 0,
            connect_at: Some(io.now + io.rng.between(50, 1_000)),
            push_at: io.now + io.rng.between(300, 3_000),
            told: false,
            sent_through: 0,
            undurable_from: None,
        });
        self.truth.unsure(io.now);
        self.perform(effects, io);
    }

    /// When [`Machine::wake`] has something to do.
    #[must_use]
    pub(super) fn next_wake(&self) -> Option<i64> {
        let agent = self.agent.as_ref()?;
        let booted = self.booted_at?;
        let at = |mono: u64| booted + i64::try_from(mono).unwrap_or(i64::MAX / 2);
        let delivery = agent.delivery.next_wake().map(at);
        let own = [Some(at(agent.engine.next_wake())), delivery, agent.commit_at, agent.connect_at];
        own.into_iter().flatten().chain([agent.push_at]).min()
    }

    pub(super) fn wake(&mut self, io: &mut Io<'_>) {
        let now = io.now;
        let mono = self.mono(now);
        let Some(agent) = &mut self.agent else { return };
        if agent.commit_at.is_some_and(|at| at <= now) {
            self.commit(io);
        }
        let Some(agent) = &mut self.agent else { return };
        if agent.push_at <= now {
            agent.push_at = now + PUSH_EVERY_MS;
            agent.told = true;
            self.push_all(io);
        }
        let Some(agent) = &mut self.agent else { return };
        if agent.connect_at.is_some_and(|at| at <= now) {
            agent.connect_at = None;
            io.out.push(Out::Connect);
        }
        if agent.delivery.next_wake().is_some_and(|at| at <= mono) {
            self.deliver(DeliveryInput::Wake, io);
        }
        if self.agent.as_ref().is_some_and(|agent| agent.engine.next_wake() <= mono) {
            self.step(Input::Wake, io);
        }
    }

    pub(super) fn step(&mut self, input: Input, io: &mut Io<'_>) {
        let clocks = self.clocks(io.now);
        let Some(agent) = &mut self.agent else { return };
        let mut effects = Vec::new();
        agent.engine.step(clocks, input, &mut effects);
        self.perform(effects, io);
    }

    fn perform(&mut self, effects: Vec<Effect>, io: &mut Io<'_>) {
        let mut tell_inventory = false;
        let head = &self.disk.journal;
        let head = JournalHead {
            epoch: head.epoch(),
            last_seq: head.last(),
            pending: head.last().saturating_sub(head.acked()),
        };
        let id = self.id.clone();
        let Some(agent) = &mut self.agent else { return };
        for effect in effects {
            match effect {
                Effect::Record(draft) => agent.staged.drafts.push(draft),
                Effect::Remember(snapshot) => agent.staged.remembered = Some(snapshot),
                Effect::Tick { until } => agent.staged.alive_until = Some(until),
                Effect::Stop(_) => agent.staged.stop = true,
                Effect::Heartbeat(draft) => {
                    let beat = Box::new(draft.complete(head));
                    io.out.push(Out::Publish(Up { kiosk: id.clone(), body: UpBody::Heartbeat(beat) }));
                }
                Effect::InventoryChanged => tell_inventory = true,
                Effect::Refused(why) => io.out.push(Out::Broken(format!("refused: {}", why.code()))),
                Effect::Note(Note::Flapping { .. }) => self.truth.give_up(),
                _ => {}
            }
        }
        let staged = &agent.staged;
        let waits = !staged.drafts.is_empty()
            || staged.remembered.is_some()
            || staged.alive_until.is_some()
            || staged.stop;
        if waits && agent.commit_at.is_none() {
            agent.commit_at = Some(io.now + io.rng.between(1, COMMIT_MS));
        }
        if tell_inventory {
            self.tell_inventory(io);
        }
        if io.mistake == Some(Mistake::SentBeforeDurable) {
            self.append_staged(io);
        }
    }

    /// Writes the staged records into the journal. True when a lost range asks for a snapshot.
    fn append_staged(&mut self, io: &mut Io<'_>) -> bool {
        let at = self.wall(io.now);
        let Some(agent) = &mut self.agent else { return false };
        let drafts = std::mem::take(&mut agent.staged.drafts);
        if drafts.is_empty() {
            return false;
        }
        let from = self.disk.journal.last() + 1;
        let Ok(done) = self.disk.journal.append(&drafts, at);
        if io.mistake == Some(Mistake::SentBeforeDurable) {
            agent.undurable_from.get_or_insert(from);
            self.deliver(DeliveryInput::Appended, io);
        } else {
            self.truth.first_record_at.get_or_insert(io.now);
            io.ledger.note(self.kiosk, self.number, io.now, &self.disk.journal, from);
        }
        done.snapshot_wanted
    }

    /// The group commit: from now on a crash takes nothing of it away.
    fn commit(&mut self, io: &mut Io<'_>) {
        let mut snapshot_wanted = self.append_staged(io);
        self.disk.journal.commit();
        let (wall, boot) = (self.wall(io.now), self.boot);
        let Some(agent) = &mut self.agent else { return };
        if let Some(from) = agent.undurable_from.take() {
            io.ledger.note(self.kiosk, self.number, io.now, &self.disk.journal, from);
        }
        agent.commit_at = None;
        let staged = std::mem::take(&mut agent.staged);
        let facts = &mut self.disk.facts;
        if let Some(snapshot) = staged.remembered {
            facts.remembered = Some(snapshot);
        }
        if let Some(alive_until) = staged.alive_until {
            facts.previous = Some(PreviousRun { boot, alive_until, clean: staged.stop, unrecorded: false });
            if self.forgets {
                let Ok(pruned) = self.disk.journal.prune(wall);
                snapshot_wanted |= pruned.snapshot_wanted;
            }
        }
        if staged.stop {
            return self.say_goodbye(io);
        }
        if snapshot_wanted {
            self.step(Input::SnapshotWanted, io);
        }
        self.deliver(DeliveryInput::Appended, io);
    }

    /// Stops the agent in order.
    pub(super) fn stop_agent(&mut self, reason: ShutdownReason, io: &mut Io<'_>) {
        if self.agent.is_some() {
            self.step(Input::Shutdown(reason), io);
            self.commit(io);
        }
    }

    fn say_goodbye(&mut self, io: &mut Io<'_>) {
        if let Some(session) = self.agent.as_ref().and_then(|agent| agent.session) {
            self.tell_presence(PresenceState::Planned, session, io);
            io.out.push(Out::Disconnect { goodbye: true });
        }
        self.agent = None;
        self.truth.crashed(io.now);
    }

    /// The devices, as their application sees them.
    fn push_all(&mut self, io: &mut Io<'_>) {
        for &(peripheral, _) in PERIPHERALS {
            let mut status = PeripheralStatus::Online;
            let mut faults = Vec::new();
            for (&fault, (_, text)) in &self.faults {
                let (on, code, harm) = FAULTS[fault];
                if on != peripheral {
                    continue;
                }
                if harm == Harm::Stops {
                    status = PeripheralStatus::UserError;
                }
                let detail = FaultDetail { raw: None, text: Some(text.clone()) };
                faults.extend(FaultCode::new(code).map(|code| PushedFault { code, detail }));
            }
            let state = PushedPeripheral { status, faults, at: self.wall(io.now), valid_for_s: 86_400 };
            self.step(Input::Local(Local::Peripheral { name: name(peripheral), state }), io);
        }
        self.truth.told(io.now, &self.harms());
    }

    fn harms(&self) -> Vec<Harm> {
        self.faults.keys().map(|&fault| FAULTS[fault].2).collect()
    }

    /// The devices changed.
    pub(super) fn devices_changed(&mut self, io: &mut Io<'_>) {
        if self.agent.as_ref().is_some_and(|agent| agent.told) {
            self.push_all(io);
        }
    }

    pub(super) fn transactions(&mut self, count: u32, io: &mut Io<'_>) {
        for n in 0..count {
            let told = PushedTransaction {
                id: format!("T-{}-{n}", io.rng.below(1 << 40)),
                kind: "sale".into(),
                outcome: TransactionOutcome::Completed,
                duration_ms: 4_000,
            };
            self.step(Input::Local(Local::Transaction(told)), io);
        }
    }
}
