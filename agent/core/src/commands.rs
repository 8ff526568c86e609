//! Remote commands: verified, persisted, gated, carried out once, told honestly.
//!
//! Invariants: nothing is done for a command before its state is on disk; an id never runs twice; one that
//! had been started when the agent died ends as `unknown`; whatever happens, a state with a reason is told.
use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kioskwatch_proto::{
    BootId, CommandId, KioskId, Timestamp,
    artifact::Progress,
    command::{Command, Envelope, TrustedKey},
    journal::{Body, CommandOutcome, CommandResult},
    limits::{KEEP_COMMAND_IDS_MS, MAX_PAYLOAD_BYTES},
    local::{Grant, HoldRequest},
};
use serde_json::{Value, json};

use crate::{
    application::Application,
    config::{ApplicationGate, FlappingLimits},
    drivers::{Mono, Work},
    effect::{Draft, Effect, LocalRefusal, Note, PersistCommand, StoredCommand, Token},
    gate::{GateDevice, Unsafe, check_facts},
    input::Now,
    job::{self, Job, Part},
    peripheral::{End, Moment, Outputs, Peripheral},
    refusal::Refusal,
    server_time::ServerTime,
};

/// Commands that wait besides the one that runs.
pub const MAX_WAITING: usize = 8;
/// Ids kept at one time; more in a day and a bit is no service work.
pub const MAX_KEPT: usize = 1_000;
/// Results above this size are told once and not kept for telling again.
const MAX_KEPT_RESULT_BYTES: usize = 4 * 1024;
/// Blocked this long, a command is told as deferred.
const DEFER_AFTER_MS: u64 = 1_000;
/// The application repeats its facts about every second: how long a started command waits for fresh ones.
const FACTS_PATIENCE_MS: u64 = 5_000;
/// How often a waiting command looks at the facts when nothing else happens.
const LOOK_AGAIN_MS: u64 = 500;
/// After a refusal to hold, the application is not asked again so soon.
const ASK_AGAIN_MS: u64 = 10_000;
/// Longer grants are cut to this.
const MAX_GRANT_S: u32 = 600;
/// Time for the application to come to rest, beyond the work itself.
const HOLD_MARGIN_S: u64 = 5;
/// Recorded refusals of envelopes that prove nothing: a hostile broker must not fill the journal.
const MAX_RECORDED_FORGERIES: usize = 10;
const FORGERY_WINDOW_MS: u64 = 60_000;

/// Everything around the commands that they look at and act upon.
pub(crate) struct Site<'a> {
    pub(crate) now: Now,
    pub(crate) boot: BootId,
    pub(crate) gate: ApplicationGate,
    pub(crate) application: &'a Application,
    pub(crate) time: &'a ServerTime,
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
    /// Its acceptance is on disk.
    durable: bool,
    blocked_since: Option<Mono>,
    told_deferred: bool,
    hold: Hold,
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
    parts: Vec<(kioskwatch_proto::PeripheralName, Part)>,
}

#[derive(Debug, Clone, Copy)]
enum After {
    Accepted(CommandId),
    Started(CommandId),
    Nothing,
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
}

impl Commands {
    pub(crate) fn new(kiosk: KioskId, keys: Vec<TrustedKey>, counter: u64) -> Self {
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
        }
    }

    /// Takes up what the store remembers: started ones are never repeated, waiting ones wait on.
    pub(crate) fn restore(&mut self, stored: Vec<StoredCommand>, site: &mut Site<'_>) {
        for entry in stored {
            let StoredCommand { command, last } = entry.clone();
            self.kept.insert(command.id, entry);
            match last.state {
                CommandOutcome::Started => {
                    self.tell(command, told(CommandOutcome::Unknown, "agent_restarted"), site);
                }
                CommandOutcome::Accepted | CommandOutcome::Deferred => {
                    match Job::plan(&command, site.peripherals) {
                        Ok(job) => {
                            let mut waiting = Waiting::new(command, job);
                            waiting.durable = true;
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

    pub(crate) fn next_wake(&self, now: Mono) -> Option<Mono> {
        (!self.waiting.is_empty() || self.running.is_some()).then_some(now + LOOK_AGAIN_MS)
    }

    /// One message on `command`.
    pub(crate) fn receive(&mut self, payload: &[u8], site: &mut Site<'_>) {
        let envelope = (payload.len() <= MAX_PAYLOAD_BYTES)
            .then(|| serde_json::from_slice::<Envelope>(payload).ok())
            .flatten();
        let Some(envelope) = envelope else {
            site.effects.push(Effect::Note(Note::CommandUnreadable));
            return;
        };
        match envelope.open(&self.keys) {
            Ok(command) => self.verified(command, site),
            Err(error) => self.unproven(peek(&envelope), error.into(), site),
        }
    }

    fn verified(&mut self, command: Command, site: &mut Site<'_>) {
        if command.kiosk != self.kiosk {
            self.unproven(Some(command.id), Refusal::OtherKiosk, site);
            return;
        }
        let known = self.kept.get(&command.id);
        if command.counter <= self.counter {
            if known.is_some() {
                site.effects.push(Effect::Note(Note::CommandRepeated { command: command.id }));
            } else {
                self.unproven(Some(command.id), Refusal::CounterNotAbove, site);
            }
            return;
        }
        self.counter = command.counter;
        if let Some(known) = known {
            // It was not heard the first time: tell again how it stands, do nothing.
            let again = known.last.clone();
            self.persist(None, again, After::Nothing, site);
            return;
        }
        match self.judge(&command, site) {
            Ok(job) => {
                let id = command.id;
                self.waiting.push(Waiting::new(command.clone(), job));
                self.remember(command, result_of(id, CommandOutcome::Accepted), After::Accepted(id), site);
            }
            Err(refusal) => self.refuse(command, refusal, site),
        }
    }

    fn judge(&self, command: &Command, site: &Site<'_>) -> Result<Job, Refusal> {
        let now = site.trusted();
        if now > command.not_after {
            return Err(Refusal::TooLate);
        }
        if command.not_before.since(now) > site.time.slack_ms() {
            return Err(Refusal::TooEarly);
        }
        let job = Job::plan(command, site.peripherals)?;
        if let Some(longest) = job.action.max_window_ms() {
            let signed = command.not_after.since(command.issued_at.min(command.not_before));
            // By our own clock too, which may be behind the server's by what we allow.
            if signed > longest || command.not_after.since(now) > longest + site.time.slack_ms() {
                return Err(Refusal::WindowTooLong);
            }
        }
        if self.waiting.len() >= MAX_WAITING {
            return Err(Refusal::QueueFull);
        }
        if self.kept.len() >= MAX_KEPT {
            return Err(Refusal::MemoryFull);
        }
        Ok(job)
    }

    /// An envelope that moves nothing of ours: told, unless too many come or the id is one we carry.
    fn unproven(&mut self, id: Option<CommandId>, refusal: Refusal, site: &mut Site<'_>) {
        let now = site.now.mono;
        self.forgeries.retain(|at| at + FORGERY_WINDOW_MS > now);
        match id.filter(|id| !self.kept.contains_key(id)) {
            Some(id) if self.forgeries.len() < MAX_RECORDED_FORGERIES => {
                self.forgeries.push(now);
                let mut result = result_of(id, CommandOutcome::Refused);
                result.reason = Some(refusal.code().to_owned());
                result.result = Some(json!({"counter": self.counter}));
                let draft = site.draft(result);
                site.effects.push(Effect::Record(draft));
            }
            _ => site.effects.push(Effect::Note(Note::ForgeryFlood)),
        }
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
            Some(After::Nothing) | None => {}
        }
    }

    fn started(&mut self, id: CommandId, site: &mut Site<'_>) {
        let Some(running) = self.running.as_mut().filter(|r| r.what.command.id == id) else { return };
        // The facts are looked at once more right before each target: a customer may have come meanwhile.
        running.stage = Stage::Acting { at: 0, since: site.now.mono, begun: false };
        if site.trusted() > running.what.command.not_after
            && let Some(running) = self.running.take()
        {
            release(&running.what, site);
            self.tell(running.what.command, told(CommandOutcome::Expired, "not_after"), site);
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
        asked.hold = if grant.granted {
            let seconds =
                if grant.valid_for_s == 0 { MAX_GRANT_S } else { grant.valid_for_s.min(MAX_GRANT_S) };
            Hold::Granted { until: now + u64::from(seconds) * 1000 }
        } else {
            Hold::NotAsked { not_before: now + ASK_AGAIN_MS }
        };
        Ok(())
    }

    /// Work on a peripheral ended.
    pub(crate) fn ended(&mut self, name: &str, work: Work, end: End, site: &mut Site<'_>) {
        let Some(running) = &mut self.running else { return };
        let Stage::Acting { at, begun: true, .. } = running.stage else { return };
        let target = running.what.job.targets[at].clone();
        if target.as_str() == name && running.what.job.work == work {
            running.parts.push((target, Part::of(end)));
            self.next_target(at, site);
        }
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
        let now = site.trusted();
        while let Some(at) = self.waiting.iter().position(|w| w.durable && now > w.command.not_after) {
            let waiting = self.waiting.remove(at);
            release(&waiting, site);
            self.tell(waiting.command, told(CommandOutcome::Expired, "not_after"), site);
        }
    }

    fn start_one(&mut self, site: &mut Site<'_>) {
        let now = site.now.mono;
        for at in 0..self.waiting.len() {
            let waiting = &mut self.waiting[at];
            if !waiting.durable {
                continue;
            }
            let Err(why) = may_start(waiting, site) else {
                let what = self.waiting.remove(at);
                let (command, id) = (what.command.clone(), what.command.id);
                self.running = Some(Running { what, stage: Stage::Starting, parts: Vec::new() });
                self.remember(command, result_of(id, CommandOutcome::Started), After::Started(id), site);
                return;
            };
            if matches!(why, Unsafe::NoGrant | Unsafe::NoLease) {
                waiting.ask(site);
            }
            if why == Unsafe::NotIdle {
                site.peripherals.iter_mut().for_each(Peripheral::look_soon);
            }
            let since = *waiting.blocked_since.get_or_insert(now);
            if !waiting.told_deferred && now >= since + DEFER_AFTER_MS {
                waiting.told_deferred = true;
                let command = waiting.command.clone();
                self.tell(command, told(CommandOutcome::Deferred, why.code()), site);
            }
        }
    }

    fn act(&mut self, site: &mut Site<'_>) {
        while let Some(running) = &mut self.running {
            let Stage::Acting { at, since, begun: false } = running.stage else { return };
            let name = running.what.job.targets[at].clone();
            let part = match site.index(name.as_str()) {
                None => Part::failed("unknown_peripheral"),
                Some(index) => match begin(&running.what, index, since, site) {
                    Begun::Yes => {
                        running.stage = Stage::Acting { at, since, begun: true };
                        let (id, targets) = (running.what.command.id, running.what.job.targets.len());
                        progress(id, format!("{name}: {}", running.what.job.action), (at, targets), site);
                        return;
                    }
                    Begun::NotYet => return,
                    Begun::No(part) => part,
                },
            };
            running.parts.push((name, part));
            self.next_target(at, site);
        }
    }

    fn next_target(&mut self, at: usize, site: &mut Site<'_>) {
        let Some(running) = &mut self.running else { return };
        if at + 1 < running.what.job.targets.len() {
            running.stage = Stage::Acting { at: at + 1, since: site.now.mono, begun: false };
            return;
        }
        let failure = running.parts.iter().find_map(|(_, part)| part.failure);
        let result = job::result(&running.parts);
        let targets = running.what.job.targets.len();
        progress(running.what.command.id, "done".to_owned(), (targets, targets), site);
        self.finish(failure, Some(result), site);
    }

    fn finish(&mut self, failure: Option<&str>, result: Option<Value>, site: &mut Site<'_>) {
        let Some(running) = self.running.take() else { return };
        release(&running.what, site);
        let state = if failure.is_some() { CommandOutcome::Failed } else { CommandOutcome::Succeeded };
        self.tell(running.what.command, Told { state, reason: failure.map(str::to_owned), result }, site);
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
        self.remember(command, last, After::Nothing, site);
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
        let forget = self.forget(site.trusted());
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

/// The id an envelope claims to carry, unproven.
fn peek(envelope: &Envelope) -> Option<CommandId> {
    let payload = URL_SAFE_NO_PAD.decode(&envelope.payload).ok()?;
    serde_json::from_slice::<Command>(&payload).ok().map(|c| c.id)
}

impl Waiting {
    fn new(command: Command, job: Job) -> Self {
        Self {
            command,
            job,
            durable: false,
            blocked_since: None,
            told_deferred: false,
            hold: Hold::NotAsked { not_before: 0 },
        }
    }

    fn request(&self) -> String {
        self.command.id.to_string()
    }

    /// Asks the application to hold, unless it was asked or said no a moment ago.
    fn ask(&mut self, site: &mut Site<'_>) {
        let now = site.now.mono;
        match self.hold {
            Hold::NotAsked { not_before } if now >= not_before => {}
            Hold::Granted { until } if now >= until => {}
            _ => return,
        }
        self.hold = Hold::Asked;
        let worst: u64 = self
            .job
            .targets
            .iter()
            .filter_map(|t| site.index(t.as_str()))
            .filter_map(|i| site.peripherals[i].worst_case_ms(self.job.work))
            .sum();
        let peripheral = if let [only] = self.job.targets.as_slice() { Some(only.clone()) } else { None };
        site.effects.push(Effect::HoldRequest(HoldRequest {
            request: self.request(),
            action: self.job.action.to_string(),
            peripheral,
            seconds: u32::try_from(worst.div_ceil(1000) + HOLD_MARGIN_S).unwrap_or(MAX_GRANT_S),
            not_after: self.command.not_after,
        }));
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

/// Whether the action may begin on at least one of its targets.
fn may_start(waiting: &Waiting, site: &Site<'_>) -> Result<(), Unsafe> {
    if waiting.job.only_reads() {
        return Ok(());
    }
    let mut verdict = Err(Unsafe::PortClosed);
    for target in &waiting.job.targets {
        let Some(index) = site.index(target.as_str()) else { continue };
        verdict = may_act(waiting, index, site);
        // Nothing but the application's word is missing: that is what to ask for.
        if matches!(verdict, Ok(()) | Err(Unsafe::NoGrant)) {
            break;
        }
    }
    verdict
}

/// Whether the action may touch this peripheral now.
fn may_act(waiting: &Waiting, index: usize, site: &Site<'_>) -> Result<(), Unsafe> {
    let now = site.now.mono;
    if !site.peripherals[index].may_write() {
        return Err(Unsafe::NoLease);
    }
    let devices: Vec<_> = site
        .peripherals
        .iter()
        .enumerate()
        .map(|(i, p)| GateDevice {
            target: i == index,
            owned: p.may_write(),
            guards_valuables: p.guards_valuables(),
            idle: p.idle(now),
        })
        .collect();
    check_facts(site.gate, site.application, &devices, now)?;
    let asks = matches!(site.gate, ApplicationGate::Required { .. });
    let granted = matches!(waiting.hold, Hold::Granted { until } if now < until);
    if asks && !granted {
        return Err(Unsafe::NoGrant);
    }
    Ok(())
}

enum Begun {
    Yes,
    /// The device is at other work of ours, or the application's next word is due.
    NotYet,
    No(Part),
}

/// Begins the work on one target, after a last look at the facts.
fn begin(waiting: &Waiting, index: usize, since: Mono, site: &mut Site<'_>) -> Begun {
    let peripheral = &mut site.peripherals[index];
    if !peripheral.may_write() {
        return Begun::No(Part::skipped(Unsafe::NoLease));
    }
    if !peripheral.ready() {
        if peripheral.line_open() {
            peripheral.reserve(true);
            return Begun::NotYet;
        }
        return Begun::No(Part::failed(Unsafe::PortClosed.code()));
    }
    if !waiting.job.only_reads()
        && let Err(why) = may_act(waiting, index, site)
    {
        let wait = why == Unsafe::OldFacts && site.now.mono < since + FACTS_PATIENCE_MS;
        return if wait { Begun::NotYet } else { Begun::No(Part::skipped(why)) };
    }
    let at = Moment { now: site.now, flapping: site.flapping };
    let mut out = Outputs::default();
    let begun = site.peripherals[index].begin(waiting.job.work, at, &mut out);
    site.outputs.push((index, out));
    match begun {
        Ok(()) => Begun::Yes,
        Err(cannot) => Begun::No(Part::cannot(cannot)),
    }
}

fn progress(command: CommandId, step: String, (done, of): (usize, usize), site: &mut Site<'_>) {
    let percent = u8::try_from(done * 100 / of.max(1)).ok();
    site.effects.push(Effect::Progress(Progress { command, at: site.now.wall, step, percent, line: None }));
}
