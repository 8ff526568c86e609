//! From a command that waits to its end: the gate, the work on each target, the result.
use kioskwatch_proto::{CommandId, artifact::Progress, journal::CommandOutcome, local::HoldRequest};
use serde_json::Value;

use super::{
    After, Commands, HOLD_MARGIN_S, Hold, MAX_GRANT_S, Running, Site, Stage, Told, Waiting, release,
    result_of, told,
};
use crate::{
    config::ApplicationGate,
    drivers::{Mono, Work},
    effect::Effect,
    gate::{GateDevice, Unsafe, check_facts},
    job::{self, Part},
    peripheral::{End, Moment, Outputs, Peripheral},
};

/// Blocked this long, a command is told as deferred.
const DEFER_AFTER_MS: u64 = 1_000;
/// The application repeats its facts about every second: how long a started command waits for fresh ones.
const FACTS_PATIENCE_MS: u64 = 5_000;

impl Commands {
    pub(super) fn started(&mut self, id: CommandId, site: &mut Site<'_>) {
        let Some(running) = self.running.as_mut().filter(|r| r.what.command.id == id) else { return };
        // The facts are looked at once more right before each target: a customer may have come meanwhile.
        running.stage = Stage::Acting { at: 0, since: site.now.mono, begun: false };
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

    pub(super) fn start_one(&mut self, site: &mut Site<'_>) {
        let now = site.now.mono;
        for at in 0..self.waiting.len() {
            let waiting = &mut self.waiting[at];
            if !waiting.durable || waiting.restored && !site.time.is_told() {
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

    pub(super) fn act(&mut self, site: &mut Site<'_>) {
        while let Some(running) = &mut self.running {
            let Stage::Acting { at, since, begun: false } = running.stage else { return };
            let name = running.what.job.targets[at].clone();
            if running.what.is_over(site.now.mono, site.trusted()) {
                if running.parts.is_empty() {
                    return self.expired_at_last(site);
                }
                running.parts.push((name, Part::too_late()));
                self.next_target(at, site);
                continue;
            }
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

    /// It was to begin, and then something held it up.
    fn expired_at_last(&mut self, site: &mut Site<'_>) {
        let Some(running) = self.running.take() else { return };
        release(&running.what, site);
        self.tell(running.what.command, told(CommandOutcome::Expired, "not_after"), site);
    }

    pub(super) fn next_target(&mut self, at: usize, site: &mut Site<'_>) {
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

    pub(super) fn finish(&mut self, failure: Option<&str>, result: Option<Value>, site: &mut Site<'_>) {
        let Some(running) = self.running.take() else { return };
        release(&running.what, site);
        let state = if failure.is_some() { CommandOutcome::Failed } else { CommandOutcome::Succeeded };
        self.tell(running.what.command, Told { state, reason: failure.map(str::to_owned), result }, site);
    }
}

impl Waiting {
    pub(super) fn request(&self) -> String {
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
        self.takes_ms = self
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
            seconds: u32::try_from(self.takes_ms.div_ceil(1000) + HOLD_MARGIN_S).unwrap_or(MAX_GRANT_S),
            not_after: self.command.not_after,
        }));
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
    // Lent, or kept free, for long enough: what has begun is not taken back when a customer comes.
    let done_by = now + site.peripherals[index].worst_case_ms(waiting.job.work).unwrap_or(0);
    if !site.peripherals[index].may_write_until(done_by) {
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
    let granted = matches!(waiting.hold, Hold::Granted { until } if done_by <= until);
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
