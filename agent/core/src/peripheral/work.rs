//! Work on the device: beginning it, passing bytes, and what the driver finds.
use kioskwatch_proto::{faults::codes, words::PeripheralStatus};

use super::{End, Line, Moment, Outputs, Peripheral, Running};
use crate::{
    condition::{Observation, cut_text, detail_of, own_code},
    confirm::Sight,
    drivers::{CannotDo, Identity, Outcome, Work},
    effect::{CloseReason, Effect, Note},
};

/// Work whose driver names no worst case.
const DEFAULT_WORST_CASE_MS: u64 = 30_000;
/// What we grant a driver beyond its own worst case before we give the work up.
const OVERDUE_GRACE_MS: u64 = 5_000;
/// Outcomes taken from a driver in one go; the rest waits for the next input.
const MAX_OUTCOMES_PER_STEP: usize = 64;

impl Peripheral {
    /// Begins a command's work.
    pub(crate) fn begin(&mut self, work: Work, at: Moment<'_>, out: &mut Outputs) -> Result<(), CannotDo> {
        if !self.ready() {
            return Err(CannotDo::Occupied);
        }
        self.start(work, at, out)
    }

    pub(crate) fn received(&mut self, bytes: &[u8], at: Moment<'_>, out: &mut Outputs) {
        if self.line != Line::Open {
            return;
        }
        if let Some(driver) = &mut self.driver {
            driver.received(bytes, at.now.mono);
        }
        self.pump(at, out);
    }

    pub(super) fn give_up_overdue(&mut self, at: Moment<'_>, out: &mut Outputs) {
        if let Some(running) = self.running.filter(|r| at.now.mono >= r.overdue_at) {
            out.effects.push(Effect::Note(Note::WorkOverdue { peripheral: self.name().clone() }));
            if let Some(driver) = &mut self.driver {
                driver.line_opened(at.now.mono);
            }
            self.end(End::Overdue, out);
            if running.work == Work::Probe {
                self.observe(Observation::no_answer(), at, out);
            }
            self.pump(at, out);
        }
    }

    pub(super) fn probe(&mut self, at: Moment<'_>, out: &mut Outputs) {
        if self.identify(at, out) {
            return;
        }
        self.schedule.begun(at.now.mono);
        self.probed_at = at.now.mono;
        // A device that cannot be asked just now is asked at the next time of the grid.
        let _ = self.start(Work::Probe, at, out);
    }

    /// Asks once per opened port who the device is; `false` when it is not asked now. A driver that wants a
    /// fresh reading first is asked again right after each one.
    pub(super) fn identify(&mut self, at: Moment<'_>, out: &mut Outputs) -> bool {
        self.identify_after_reading = false;
        if self.identify_tried {
            return false;
        }
        let begun = self.start(Work::Identify, at, out);
        self.identify_tried = !matches!(begun, Err(CannotDo::NotNow(_) | CannotDo::Occupied));
        begun.is_ok()
    }

    pub(super) fn start(&mut self, work: Work, at: Moment<'_>, out: &mut Outputs) -> Result<(), CannotDo> {
        let now = at.now.mono;
        let driver = self.driver.as_mut().ok_or(CannotDo::Unsupported)?;
        driver.begin(work, now)?;
        let worst = driver.plan(work).map_or(DEFAULT_WORST_CASE_MS, |p| p.worst_case_ms);
        self.running = Some(Running { work, overdue_at: now + worst + OVERDUE_GRACE_MS });
        self.pump(at, out);
        Ok(())
    }

    /// Takes what the driver has to say and to send.
    pub(super) fn pump(&mut self, at: Moment<'_>, out: &mut Outputs) {
        self.transmit(out);
        for _ in 0..MAX_OUTCOMES_PER_STEP {
            let Some(outcome) = self.driver.as_mut().and_then(|d| d.poll_outcome()) else { break };
            self.outcome(outcome, at, out);
        }
        self.transmit(out);
    }

    pub(super) fn transmit(&mut self, out: &mut Outputs) {
        let allowed = self.line == Line::Open && self.may_write();
        let peripheral = self.config.name.clone();
        while let Some(bytes) = self.driver.as_mut().and_then(|d| d.poll_transmit()) {
            let peripheral = peripheral.clone();
            out.effects.push(if allowed {
                Effect::Transmit { peripheral, bytes }
            } else {
                Effect::Note(Note::BytesWithheld { peripheral, bytes: bytes.len() })
            });
        }
    }

    pub(super) fn outcome(&mut self, outcome: Outcome, at: Moment<'_>, out: &mut Outputs) {
        match outcome {
            Outcome::Reading(reading) => {
                self.observe(Observation::reading(reading.status.clone(), &reading.faults), at, out);
                self.end_of(Work::Probe, End::Reading(reading), out);
                self.identify_after_reading = !self.identify_tried;
            }
            Outcome::NoAnswer { work } => {
                self.end_of(work, End::NoAnswer, out);
                self.line_finding(work, Observation::no_answer(), at, out);
            }
            Outcome::Garbled { work, raw } => {
                self.end_of(work, End::Garbled, out);
                self.line_finding(work, Observation::garbled(&raw), at, out);
            }
            Outcome::Identity(identity) => {
                let identity = cut_identity(identity);
                out.inventory |= self.identity.as_ref() != Some(&identity);
                self.identity = Some(identity.clone());
                self.end_of(Work::Identify, End::Identity(identity), out);
            }
            Outcome::Tested(mut result) => {
                result.summary = cut_text(&result.summary);
                if let Some(reading) = &result.reading {
                    self.observe(Observation::reading(reading.status.clone(), &reading.faults), at, out);
                }
                self.end_of(result.work, End::Tested(result), out);
                self.schedule.by(at.now.mono + self.config.confirm_interval_ms);
            }
            Outcome::Event { name, raw } => {
                let peripheral = self.name().clone();
                out.effects.push(Effect::Note(Note::DeviceEvent { peripheral, name, raw }));
            }
            Outcome::NotOurs { raw } => self.bar(&raw, at, out),
        }
    }

    /// A probe that got nowhere is a finding; other work only gives a reason to look soon.
    pub(super) fn line_finding(
        &mut self,
        work: Work,
        observation: Observation,
        at: Moment<'_>,
        out: &mut Outputs,
    ) {
        if work == Work::Probe {
            self.observe(observation, at, out);
        } else {
            self.schedule.by(at.now.mono);
        }
    }

    /// Somebody else is this device's master: silence, at once and for good.
    pub(super) fn bar(&mut self, raw: &[u8], at: Moment<'_>, out: &mut Outputs) {
        self.barred = true;
        self.close(CloseReason::NotOurs, out);
        out.changes.extend(self.condition.raise(own_code(codes::ACCEPTOR_NOT_OURS), detail_of(raw, None)));
        out.changes.extend(self.condition.set_status(PeripheralStatus::PortBusy));
        self.fresh_until = at.now.mono + self.config.stale_after_ms;
    }

    pub(super) fn observe(&mut self, observation: Observation, at: Moment<'_>, out: &mut Outputs) {
        if self.barred {
            return;
        }
        let sight = self.sight(at);
        out.changes.extend(self.condition.observe(observation, sight));
        self.fresh_until = at.now.mono + self.config.stale_after_ms;
        if self.condition.doubtful() {
            self.schedule.by(at.now.mono + self.config.confirm_interval_ms);
        }
    }

    pub(super) fn sight<'a>(&self, at: Moment<'a>) -> Sight<'a> {
        Sight { now: at.now.mono, probes: self.config.confirm_probes, limits: at.flapping }
    }

    pub(super) fn end_of(&mut self, work: Work, end: End, out: &mut Outputs) {
        if self.running.is_some_and(|r| r.work == work) {
            self.end(end, out);
        }
    }

    pub(super) fn end(&mut self, end: End, out: &mut Outputs) {
        if let Some(running) = self.running.take() {
            out.ended.push((running.work, end));
        }
    }
}

fn cut_identity(identity: Identity) -> Identity {
    let cut = |text: Option<String>| text.map(|t| cut_text(&t)).filter(|t| !t.is_empty());
    Identity {
        maker: cut(identity.maker),
        model: cut(identity.model),
        firmware: cut(identity.firmware),
        serial: cut(identity.serial),
    }
}
