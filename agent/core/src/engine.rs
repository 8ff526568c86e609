//! The agent's mind: one input at a time in, effects out.
//!
//! Knows: configuration, what every peripheral said, what the application said, the commands at hand.
//! Must not know: files, sockets, clocks. The shell calls it from one place, one input at a time.
mod local;
mod telling;

use std::collections::BTreeMap;

use kioskwatch_proto::{
    BootId, Epoch, PeripheralName, Timestamp,
    inventory::Inventory,
    journal::{Alive, Body, Boot, Shutdown, Snapshot},
    words::{ServiceState, ShutdownReason},
};

use crate::{
    application::Application,
    commands::{Commands, Site},
    config::{BootFacts, ConfigError, EngineConfig, PeripheralSetup},
    confirm::Sight,
    drivers::Mono,
    effect::{Draft, Effect, HeartbeatDraft, LocalRefusal, Note},
    heartbeat::Heartbeats,
    host::Host,
    input::{Input, Now},
    job::SUPPORTED,
    peripheral::{Moment, Outputs, Peripheral},
    server_time::ServerTime,
    service::Service,
    sizes::{fitting, label},
};

/// Nothing is worth a second look within the same few milliseconds.
const MIN_WAKE_PAUSE_MS: u64 = 5;
/// A wall clock that moved so far from the monotonic one was set; less is drift.
const CLOCK_SET_MS: u64 = 2_000;
/// A transaction's id and type are labels, not texts.
const MAX_LABEL_CHARS: usize = 128;

/// See the module.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    boot: BootId,
    peripherals: Vec<Peripheral>,
    host: Host,
    application: Application,
    service: Service,
    heartbeats: Heartbeats,
    commands: Commands,
    time: ServerTime,
    tick_at: Mono,
    /// What the wall clock showed at `mono` 0, when it was last set.
    wall_zero: i64,
    /// That it was set is not told again before this: two that set it against each other must not fill the journal.
    clock_told_until: Mono,
    /// Since when nobody hears us.
    away_since: Option<Mono>,
    stopping: bool,
    /// The hard state changed in this step.
    changed: bool,
    now: Now,
}

impl Engine {
    /// Begins: `out` gets the `boot` and `snapshot` records, the first tick and the inventory. The ports are
    /// opened by the first wakes, one after the other.
    pub fn new(
        config: EngineConfig,
        peripherals: Vec<PeripheralSetup>,
        facts: BootFacts,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<Self, ConfigError> {
        config.check(&peripherals)?;
        let kiosk = config.kiosk.clone();
        let peripherals =
            peripherals.into_iter().map(|setup| Peripheral::new(setup, kiosk.as_str(), now.mono)).collect();
        let remembered = facts.remembered.unwrap_or_else(nothing_remembered);
        let same_boot = facts.previous.is_some_and(|p| p.boot == facts.boot);
        let host_faults = remembered.peripherals.get(&PeripheralName::host()).map(|h| h.faults.clone());
        let mut engine = Self {
            boot: facts.boot,
            peripherals,
            host: Host::new(config.host, &host_faults.unwrap_or_default(), now.mono),
            application: Application::new(config.application, now.mono),
            service: Service::new(same_boot.then_some(remembered.service), now.mono),
            heartbeats: Heartbeats::new(kiosk.as_str(), config.heartbeat_interval_s),
            commands: Commands::new(
                kiosk,
                config.trusted_keys.clone(),
                facts.command_counter,
                facts.commands_known_since,
                now.mono,
            ),
            time: ServerTime::default(),
            tick_at: now.mono + config.tick_interval_ms,
            wall_zero: wall_zero(now),
            clock_told_until: 0,
            away_since: Some(now.mono),
            stopping: false,
            changed: true,
            now,
            config,
        };
        for peripheral in &mut engine.peripherals {
            if let Some(state) = remembered.peripherals.get(peripheral.name()) {
                peripheral.condition.remember(&state.faults);
            }
        }
        engine.record(
            Body::Boot(Boot {
                previous_boot: facts.previous.map(|p| p.boot),
                previous_alive_until: facts.previous.map(|p| p.alive_until),
                clean: facts.previous.is_some_and(|p| p.clean),
                unrecorded: facts.previous.is_some_and(|p| p.unrecorded),
            }),
            out,
        );
        engine.record(engine.told_snapshot(None), out);
        if facts.journal_replaced {
            let changes = engine.host.journal_replaced(sight(now, &engine.config));
            engine.tell_host(changes, out);
        }
        let alive_until = facts.previous.map(|previous| previous.alive_until);
        let stored = facts.commands;
        engine.with_commands(out, |commands, site| commands.restore(stored, alive_until, site));
        out.push(Effect::Tick { until: now.wall });
        out.push(Effect::InventoryChanged);
        engine.finish(out);
        Ok(engine)
    }

    /// Takes one input and appends what follows from it to `out`.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Vec<Effect>) {
        // The monotonic clock does not go back; a shell that mixed two readings must not make us believe so.
        self.now = Now { wall: now.wall, mono: now.mono.max(self.now.mono) };
        if self.stopping {
            if matches!(input, Input::Local(_)) {
                out.push(Effect::Refused(LocalRefusal::Stopping));
            }
            return;
        }
        self.follow_wall_clock(out);
        self.take(input, out);
        if self.stopping {
            return;
        }
        self.do_what_is_due(out);
        self.finish(out);
    }

    /// When [`Input::Wake`] is due (monotonic milliseconds); there is always a next time.
    pub fn next_wake(&self) -> Mono {
        let now = self.now.mono;
        let own = [
            Some(self.tick_at),
            self.service.next_wake(),
            self.host.next_wake(),
            self.commands.next_wake(now),
            self.application.down_at().filter(|at| *at > now),
        ];
        let devices = self.peripherals.iter().filter_map(|p| p.next_wake(now));
        let next = own.into_iter().flatten().chain(devices).min().unwrap_or(self.tick_at);
        let next = next.max(now + MIN_WAKE_PAUSE_MS);
        // A heartbeat is never late for the pause: the one after it is a whole interval ahead.
        self.heartbeats.next_wake().map_or(next, |beat| beat.clamp(now + 1, next))
    }

    /// The whole hard state.
    pub fn snapshot(&self, previous_epoch: Option<Epoch>) -> Snapshot {
        Snapshot { service: self.service.state(), peripherals: self.states(), previous_epoch }
    }

    /// A snapshot as the first record of a new epoch.
    pub fn epoch_draft(&self, previous_epoch: Epoch) -> Draft {
        self.draft(self.told_snapshot(Some(previous_epoch)))
    }

    /// The hard state as far as it fits a record.
    fn told_snapshot(&self, previous_epoch: Option<Epoch>) -> Body {
        let snapshot = self.snapshot(previous_epoch);
        Body::Snapshot(Snapshot { peripherals: fitting(snapshot.peripherals), ..snapshot })
    }

    /// What the kiosk is made of.
    pub fn inventory(&self, epoch: Epoch) -> Inventory {
        let agent = self.config.agent.clone();
        Inventory {
            agent_version: agent.agent_version,
            os: label(&agent.os),
            boot: self.boot,
            epoch,
            timezone: agent.timezone.as_deref().map(label),
            config_hash: agent.config_hash,
            peripherals: self.peripherals.iter().map(Peripheral::inventory).collect(),
            actions: SUPPORTED.iter().map(ToString::to_string).collect(),
        }
    }

    /// The server's time as far as it is known, else the wall clock's.
    pub fn server_time(&self, now: Now) -> Timestamp {
        self.time.at(now)
    }

    fn take(&mut self, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Wake => {}
            Input::PortOpened { peripheral } => self.on(&peripheral, out, Peripheral::opened),
            Input::PortTrouble { peripheral, trouble } => {
                self.on(&peripheral, out, |p, at, o| p.trouble(trouble, at, o));
            }
            Input::Bytes { peripheral, bytes } => {
                self.on(&peripheral, out, |p, at, o| p.received(&bytes, at, o));
            }
            Input::Host(load) => {
                let changes = self.host.sample(load, sight(self.now, &self.config));
                self.tell_host(changes, out);
            }
            Input::ServerTime(server) => self.server_said(server, out),
            Input::Local(local) => {
                self.application.sign_of_life(self.now.mono);
                if let Err(refusal) = self.local(local, out) {
                    out.push(Effect::Refused(refusal));
                }
            }
            Input::Command(payload) => {
                self.with_commands(out, |commands, site| commands.receive(&payload, site));
            }
            Input::Stored(token) => self.with_commands(out, |commands, site| commands.stored(token, site)),
            Input::NotStored(token) => {
                self.with_commands(out, |commands, site| commands.not_stored(token, site));
            }
            Input::ConnectionUp { session } => {
                self.heartbeats.connected(session, self.now.mono);
                self.came_back(out);
            }
            Input::ConnectionDown => {
                self.heartbeats.disconnected();
                self.away_since.get_or_insert(self.now.mono);
            }
            Input::SnapshotWanted => {
                self.record(self.told_snapshot(None), out);
                self.changed = true;
                self.with_commands(out, Commands::tell_again);
            }
            Input::Shutdown(reason) => self.shut_down(reason, out),
        }
    }

    fn server_said(&mut self, server: Timestamp, out: &mut Vec<Effect>) {
        self.time.heard(server, self.now);
        self.with_commands(out, Commands::time_told);
        let changes = self.host.compare_clocks(self.now.wall, server, sight(self.now, &self.config));
        self.tell_host(changes, out);
    }

    /// Word for the server that the silence was the line's and not ours.
    fn came_back(&mut self, out: &mut Vec<Effect>) {
        let gap = self.away_since.take().map_or(0, |since| self.now.mono - since);
        if gap >= u64::from(self.heartbeats.interval_s()) * 1000 {
            self.record(Body::Alive(Alive { until: self.now.wall }), out);
        }
    }

    fn shut_down(&mut self, reason: ShutdownReason, out: &mut Vec<Effect>) {
        for index in 0..self.peripherals.len() {
            let mut outputs = Outputs::default();
            self.peripherals[index].stop(&mut outputs);
            out.append(&mut outputs.effects);
        }
        self.record(Body::Shutdown(Shutdown { reason }), out);
        out.push(Effect::Remember(self.snapshot(None)));
        out.push(Effect::Tick { until: self.now.wall });
        out.push(Effect::Stop(reason));
        self.stopping = true;
    }

    /// How long we lived after our last record is told by the difference of the durable tick to it: of two clocks
    /// that would be nonsense, and a whole run would count as off, or the time without power as on.
    fn follow_wall_clock(&mut self, out: &mut Vec<Effect>) {
        if self.clock_was_set() && self.now.mono >= self.clock_told_until {
            self.wall_zero = wall_zero(self.now);
            self.clock_told_until = self.now.mono + self.config.tick_interval_ms;
            self.record(Body::Alive(Alive { until: self.now.wall }), out);
            out.push(Effect::Tick { until: self.now.wall });
        }
    }

    /// Not told yet: until then no tick speaks of the new clock.
    fn clock_was_set(&self) -> bool {
        wall_zero(self.now).abs_diff(self.wall_zero) > CLOCK_SET_MS
    }

    fn do_what_is_due(&mut self, out: &mut Vec<Effect>) {
        for index in 0..self.peripherals.len() {
            let mut outputs = Outputs::default();
            self.peripherals[index].wake(moment(self.now, &self.config), &mut outputs);
            self.hear(index, outputs, out);
        }
        let seeing = sight(self.now, &self.config);
        let mut changes = self.host.wake(seeing);
        changes.extend(self.host.application_down(self.application.down(self.now.mono), seeing));
        self.tell_host(changes, out);
        self.with_commands(out, Commands::advance);
        self.update_service(out);
        if self.now.mono >= self.tick_at {
            self.tick_at = self.now.mono + self.config.tick_interval_ms;
            if !self.clock_was_set() {
                out.push(Effect::Tick { until: self.now.wall });
            }
        }
        if let Some((session, seq)) = self.heartbeats.take_due(self.now.mono) {
            out.push(Effect::Heartbeat(HeartbeatDraft {
                boot: self.boot,
                session,
                seq,
                at: self.now.wall,
                mono_ms: self.now.mono,
                interval_s: self.heartbeats.interval_s(),
                service: self.service.state(),
                peripherals: fitting(self.states()),
                host: self.host.load(),
            }));
        }
    }

    fn finish(&mut self, out: &mut Vec<Effect>) {
        if std::mem::take(&mut self.changed) {
            out.push(Effect::Remember(self.snapshot(None)));
        }
    }

    /// Passes an input to a peripheral.
    fn on(
        &mut self,
        name: &PeripheralName,
        out: &mut Vec<Effect>,
        act: impl FnOnce(&mut Peripheral, Moment<'_>, &mut Outputs),
    ) {
        let asked = self.ask(name, out, |p, at, outputs| {
            act(p, at, outputs);
            Ok(())
        });
        if asked.is_err() {
            out.push(Effect::Note(Note::UnknownPeripheral { peripheral: name.clone() }));
        }
    }

    /// Passes an input to a peripheral that may refuse it.
    fn ask(
        &mut self,
        name: &PeripheralName,
        out: &mut Vec<Effect>,
        act: impl FnOnce(&mut Peripheral, Moment<'_>, &mut Outputs) -> Result<(), LocalRefusal>,
    ) -> Result<(), LocalRefusal> {
        let index =
            self.peripherals.iter().position(|p| p.name() == name).ok_or(LocalRefusal::UnknownPeripheral)?;
        let mut outputs = Outputs::default();
        let answer = act(&mut self.peripherals[index], moment(self.now, &self.config), &mut outputs);
        self.hear(index, outputs, out);
        answer
    }

    /// Lets the commands act, and hears the peripherals they acted upon.
    fn with_commands(&mut self, out: &mut Vec<Effect>, act: impl FnOnce(&mut Commands, &mut Site<'_>)) {
        let mut site = Site {
            now: self.now,
            boot: self.boot,
            gate: self.config.application,
            application: &self.application,
            time: &mut self.time,
            peripherals: &mut self.peripherals,
            flapping: &self.config.flapping,
            effects: out,
            outputs: Vec::new(),
        };
        act(&mut self.commands, &mut site);
        let outputs = site.outputs;
        for (index, outputs) in outputs {
            self.hear(index, outputs, out);
        }
    }
}

/// The terminal's own checks are believed at once.
fn sight(now: Now, config: &EngineConfig) -> Sight<'_> {
    Sight { now: now.mono, probes: 1, limits: &config.flapping }
}

fn moment(now: Now, config: &EngineConfig) -> Moment<'_> {
    Moment { now, flapping: &config.flapping }
}

fn nothing_remembered() -> Snapshot {
    Snapshot { service: ServiceState::OutOfService, peripherals: BTreeMap::new(), previous_epoch: None }
}

/// What the wall clock would have shown at `mono` 0.
fn wall_zero(now: Now) -> i64 {
    now.wall.ms().saturating_sub(i64::try_from(now.mono).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
