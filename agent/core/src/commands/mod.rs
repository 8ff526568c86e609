//! Remote commands: verified, persisted, gated, carried out once, told honestly.
//!
//! Invariants: nothing is done for a command before its state is on disk; an id never runs twice; one that
//! had been started when the agent died ends as `unknown`; whatever happens, a state with a reason is told.
mod acting;
mod intake;
mod memory;

use std::collections::{BTreeMap, BTreeSet};

use kioskwatch_proto::{
    BootId, CommandId, KioskId, PeripheralName, Timestamp,
    command::{Command, TrustedKey},
    journal::{Body, CommandOutcome, CommandResult},
    limits::KEEP_COMMAND_IDS_MS,
    local::Grant,
};
use serde_json::{Value, json};

use self::memory::Memory;
use crate::{
    application::Application,
    config::{ApplicationGate, FlappingLimits},
    drivers::Mono,
    effect::{Draft, Effect, LocalRefusal, PersistCommand, StoredCommand, Token},
    input::Now,
    job::{Job, Part},
    peripheral::{Outputs, Peripheral},
    refusal::Refusal,
    server_time::ServerTime,
};

/// Commands that wait besides the one that runs.
pub const MAX_WAITING: usize = 8;
/// Ids kept at one time; more in a day and a bit is no service work.
pub const MAX_KEPT: usize = 1_000;
/// Results above this size are told once and not kept for telling again.
const MAX_KEPT_RESULT_BYTES: usize = 4 * 1024;
/// How often a waiting command looks at the facts when nothing else happens.
const LOOK_AGAIN_MS: u64 = 500;
/// After a refusal to hold, the application is not asked again so soon.
const ASK_AGAIN_MS: u64 = 10_000;
/// Longer grants are cut to this.
const MAX_GRANT_S: u32 = 600;
/// Time for the application to come to rest, beyond the work itself.
const HOLD_MARGIN_S: u64 = 5;

/// Everything around the commands that they look at and act upon.
pub(crate) struct Site<'a> {
    pub(crate) now: Now,
    pub(crate) boot: BootId,
    pub(crate) gate: ApplicationGate,
    pub(crate) application: &'a Application,
    pub(crate) time: &'a mut ServerTime,
    pub(crate) peripherals: &'a mut Vec<Peripheral>,
    pub(crate) flapping: &'a FlappingLimits,
    pub(crate) effects: &'a mut Vec<Effect>,
    /// What the peripherals said while work began, by their place.
    pub(crate) outputs: Vec<(usize, Outputs)>,
}

impl Site<'_> {
    fn trusted(&self) -> Timestamp {
        self.time.at(self.now)
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.peripherals.iter().position(|p| p.name().as_str() == name)
    }

    fn draft(&self, result: CommandResult) -> Draft {
        Draft { boot: self.boot, at: self.now.wall, mono_ms: self.now.mono, body: Body::Command(result) }
    }
}

/// The application's answer to our request to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    NotAsked { not_before: Mono },
    Asked,
    Granted { until: Mono },
}

#[derive(Debug)]
struct Waiting {
    command: Command,
    job: Job,
    /// It is over then at the latest, whatever the server's time turns out to be: the time may be taken back.
    ends: Mono,
    /// Its acceptance is on disk.
    durable: bool,
    /// From a run before this one: nobody knows how long ago it waited until the server has told the time.
    restored: bool,
    blocked_since: Option<Mono>,
    told_deferred: bool,
    hold: Hold,
    /// How long the action takes at most, when the application was asked.
    takes_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// `started` is on its way to the disk.
    Starting,
    /// At this target since then; `begun` once its work runs.
    Acting { at: usize, since: Mono, begun: bool },
}

#[derive(Debug)]
struct Running {
    what: Waiting,
    stage: Stage,
    parts: Vec<(PeripheralName, Part)>,
}

#[derive(Debug, Clone, Copy)]
enum After {
    Accepted(CommandId),
    Started(CommandId),
    Told(CommandId),
}

#[derive(Debug)]
pub(crate) struct Commands {
    kiosk: KioskId,
    keys: Vec<TrustedKey>,
    counter: u64,
    kept: BTreeMap<CommandId, StoredCommand>,
    waiting: Vec<Waiting>,
    running: Option<Running>,
    after: BTreeMap<Token, After>,
    next_token: u64,
    forgeries: Vec<Mono>,
    memory: Memory,
    /// Their last state found no room on the disk.
    untold: BTreeSet<CommandId>,
}

impl Commands {
    /// `knows_since`: see [`crate::config::BootFacts::commands_known_since`].
    pub(crate) fn new(
        kiosk: KioskId,
        keys: Vec<TrustedKey>,
        counter: u64,
        knows_since: Option<Timestamp>,
        now: Mono,
    ) -> Self {
        Self {
            kiosk,
            keys,
            counter,
            kept: BTreeMap::new(),
            waiting: Vec::new(),
            running: None,
            after: BTreeMap::new(),
            next_token: 1,
            forgeries: Vec::new(),
            memory: Memory::new(knows_since, now),
            untold: BTreeSet::new(),
        }
    }

    /// Takes up what the store remembers: started ones are never repeated, waiting ones wait on.
    /// `alive_until`: the last word of the run before, by its wall clock.
    pub(crate) fn restore(
        &mut self,
        mut stored: Vec<StoredCommand>,
        alive_until: Option<Timestamp>,
        site: &mut Site<'_>,
    ) {
        stored.sort_by_key(|entry| entry.command.counter);
        for entry in stored {
            let StoredCommand { command, last } = entry.clone();
            self.kept.insert(command.id, entry);
            site.time.proven(command.issued_at, site.now.mono);
            match last.state {
                CommandOutcome::Started => {
                    self.tell(command, told(CommandOutcome::Unknown, "agent_restarted"), site);
                }
                CommandOutcome::Accepted | CommandOutcome::Deferred => {
                    match Job::plan(&command, site.peripherals) {
                        Ok(job) => {
                            let known = alive_until.map_or(site.trusted(), |at| at.max(site.trusted()));
                            let mut waiting = Waiting::new(command, job, known, site);
                            (waiting.durable, waiting.restored) = (true, true);
                            waiting.told_deferred = last.state == CommandOutcome::Deferred;
                            self.waiting.push(waiting);
                        }
                        Err(refusal) => self.refuse(command, refusal, site),
                    }
                }
                _ => {}
            }
        }
    }

    /// The server said what time it is.
    pub(crate) fn time_told(&mut self, site: &mut Site<'_>) {
        site.effects.extend(self.memory.told(site.time, site.now).map(Effect::CommandsKnownSince));
    }

    pub(crate) fn next_wake(&self, now: Mono) -> Option<Mono> {
        (!self.waiting.is_empty() || self.running.is_some()).then_some(now + LOOK_AGAIN_MS)
    }

    /// A write is on disk.
    pub(crate) fn stored(&mut self, token: Token, site: &mut Site<'_>) {
        match self.after.remove(&token) {
            Some(After::Accepted(id)) => {
                if let Some(waiting) = self.waiting.iter_mut().find(|w| w.command.id == id) {
                    waiting.durable = true;
                }
            }
            Some(After::Started(id)) => self.started(id, site),
            Some(After::Told(id)) => drop(self.untold.remove(&id)),
            None => {}
        }
    }

    /// A write found no room on the disk. What is not written down is not done, and told as soon as it can be.
    pub(crate) fn not_stored(&mut self, token: Token, site: &mut Site<'_>) {
        match self.after.remove(&token) {
            Some(After::Accepted(id)) => {
                if let Some(at) = self.waiting.iter().position(|w| w.command.id == id) {
                    let waiting = self.waiting.remove(at);
                    release(&waiting, site);
                    self.refuse(waiting.command, Refusal::DiskFull, site);
                }
            }
            Some(After::Started(id))
                if self.running.as_ref().is_some_and(|running| running.what.command.id == id) =>
            {
                self.finish(Some(Refusal::DiskFull.code()), None, site);
            }
            Some(After::Told(id)) => drop(self.untold.insert(id)),
            Some(After::Started(_)) | None => {}
        }
    }

    /// There is room again.
    pub(crate) fn tell_again(&mut self, site: &mut Site<'_>) {
        for id in std::mem::take(&mut self.untold) {
            if let Some(entry) = self.kept.get(&id).cloned() {
                let last = entry.last.clone();
                self.persist(Some(entry), last, After::Told(id), site);
            }
        }
    }

    pub(crate) fn grant(&mut self, request: &str, grant: Grant, now: Mono) -> Result<(), LocalRefusal> {
        let running = self.running.as_mut().map(|r| &mut r.what);
        let asked = self
            .waiting
            .iter_mut()
            .chain(running)
            .find(|w| w.command.id.to_string() == request && !matches!(w.hold, Hold::NotAsked { .. }))
            .ok_or(LocalRefusal::UnknownRequest)?;
        let no = Hold::NotAsked { not_before: now + ASK_AGAIN_MS };
        if !grant.granted {
            asked.hold = no;
            return Ok(());
        }
        let seconds = if grant.valid_for_s == 0 { MAX_GRANT_S } else { grant.valid_for_s.min(MAX_GRANT_S) };
        let valid_ms = u64::from(seconds) * 1000;
        if valid_ms < asked.takes_ms {
            // Holding customers off for it would bring nothing.
            asked.hold = no;
            return Err(LocalRefusal::GrantTooShort);
        }
        asked.hold = Hold::Granted { until: now + valid_ms };
        Ok(())
    }

    /// Does what can be done now. Called after every input.
    pub(crate) fn advance(&mut self, site: &mut Site<'_>) {
        self.expire(site);
        self.act(site);
        if self.running.is_none() {
            self.start_one(site);
        }
    }

    fn expire(&mut self, site: &mut Site<'_>) {
        let (now, trusted) = (site.now.mono, site.trusted());
        while let Some(at) = self.waiting.iter().position(|w| w.durable && w.is_over(now, trusted)) {
            let waiting = self.waiting.remove(at);
            release(&waiting, site);
            self.tell(waiting.command, told(CommandOutcome::Expired, "not_after"), site);
        }
    }

    fn refuse(&mut self, command: Command, refusal: Refusal, site: &mut Site<'_>) {
        let result = Some(json!({"counter": self.counter}));
        let reason = Some(refusal.code().to_owned());
        self.tell(command, Told { state: CommandOutcome::Refused, reason, result }, site);
    }

    fn tell(&mut self, command: Command, told: Told, site: &mut Site<'_>) {
        let last = CommandResult {
            command: command.id,
            state: told.state,
            reason: told.reason,
            result: told.result,
        };
        let after = After::Told(command.id);
        self.remember(command, last, after, site);
    }

    fn remember(&mut self, command: Command, last: CommandResult, after: After, site: &mut Site<'_>) {
        let mut kept = last.clone();
        if kept.result.as_ref().is_some_and(|r| r.to_string().len() > MAX_KEPT_RESULT_BYTES) {
            kept.result = Some(json!({"not_kept": true}));
        }
        let entry = StoredCommand { command, last: kept };
        // A refusal for want of room must not take room.
        let room = self.kept.len() < MAX_KEPT || self.kept.contains_key(&entry.command.id);
        if room {
            self.kept.insert(entry.command.id, entry.clone());
        }
        self.persist(room.then_some(entry), last, after, site);
    }

    fn persist(
        &mut self,
        entry: Option<StoredCommand>,
        result: CommandResult,
        after: After,
        site: &mut Site<'_>,
    ) {
        let token = Token(self.next_token);
        self.next_token += 1;
        self.after.insert(token, after);
        // A wall clock that is ahead must not make us forget what may come again.
        let forget = if site.time.is_told() { self.forget(site.trusted()) } else { Vec::new() };
        let records = vec![site.draft(result)];
        let persist = PersistCommand { token, counter: self.counter, entry, forget, records };
        site.effects.push(Effect::PersistCommand(persist));
    }

    /// Ids whose time is over and which nothing waits for.
    fn forget(&mut self, now: Timestamp) -> Vec<CommandId> {
        let over: Vec<_> = self
            .kept
            .values()
            .filter(|e| e.state().is_final() && now.since(e.command.not_after) > KEEP_COMMAND_IDS_MS)
            .map(|e| e.command.id)
            .collect();
        for id in &over {
            self.kept.remove(id);
        }
        over
    }
}

/// A state with its reason, before it has a command.
struct Told {
    state: CommandOutcome,
    reason: Option<String>,
    result: Option<Value>,
}

fn told(state: CommandOutcome, reason: &str) -> Told {
    Told { state, reason: Some(reason.to_owned()), result: None }
}

fn result_of(command: CommandId, state: CommandOutcome) -> CommandResult {
    CommandResult { command, state, reason: None, result: None }
}

impl Waiting {
    /// `known`: it is at least that late.
    fn new(command: Command, job: Job, known: Timestamp, site: &Site<'_>) -> Self {
        // Never longer than it was signed for: after a restart nobody may have told the time yet.
        let signed_ms = command.not_after.since(command.issued_at.min(command.not_before));
        let left_ms = command.not_after.since(known).min(signed_ms);
        let ends = site.now.mono + u64::try_from(left_ms).unwrap_or(0);
        Self {
            command,
            job,
            ends,
            durable: false,
            restored: false,
            blocked_since: None,
            told_deferred: false,
            hold: Hold::NotAsked { not_before: 0 },
            takes_ms: 0,
        }
    }

    fn is_over(&self, now: Mono, trusted: Timestamp) -> bool {
        now > self.ends || trusted > self.command.not_after
    }
}

/// Frees the devices, and the application if it was asked to hold.
fn release(waiting: &Waiting, site: &mut Site<'_>) {
    for target in &waiting.job.targets {
        if let Some(index) = site.index(target.as_str()) {
            site.peripherals[index].reserve(false);
        }
    }
    if !matches!(waiting.hold, Hold::NotAsked { .. }) {
        site.effects.push(Effect::HoldOver { request: waiting.request() });
    }
}
