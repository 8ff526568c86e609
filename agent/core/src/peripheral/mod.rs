//! One peripheral: its line, the work under way, and what is known of it.
//!
//! Invariants: at most one piece of work at a time; not one byte goes out unless the agent owns the port or
//! holds a lease of it; after "somebody else enabled it" the port stays closed for this run of the agent.
mod access;
mod work;

use kioskwatch_proto::{
    PeripheralName,
    inventory::InventoryItem,
    words::{PeripheralStatus, PortMode},
};

use crate::{
    condition::{Change, Condition, Observation},
    config::{FlappingLimits, PeripheralConfig, PeripheralSetup},
    drivers::{Driver, Identity, Mono, Reading, TestResult, Work},
    effect::{CloseReason, Effect, Note},
    input::{Now, PortTrouble},
    schedule::{Grid, Schedule, spread},
    sizes::label,
};

/// Ports are opened one after the other within this time, not all in the first millisecond.
const OPEN_SPREAD_MS: u64 = 1_000;
/// An `OpenPort` nobody answered is asked again.
const OPEN_PATIENCE_MS: u64 = 30_000;
/// A driver that asks to be woken in the past is woken this often.
const WAKE_PAUSE_MS: u64 = 10;
/// Between two looks for a command that waits.
const LOOK_PAUSE_MS: u64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Nothing is to be opened: pushed, no lease, or barred.
    Unused,
    Closed {
        open_at: Mono,
    },
    Opening {
        since: Mono,
    },
    Open,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    work: Work,
    overdue_at: Mono,
}

#[derive(Debug)]
struct Lease {
    id: String,
    until: Mono,
}

/// How a piece of work ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum End {
    Reading(Reading),
    Identity(Identity),
    Tested(TestResult),
    NoAnswer,
    Garbled,
    Overdue,
    PortClosed,
    NotOurs,
}

/// What one call led to.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    pub(crate) effects: Vec<Effect>,
    pub(crate) changes: Vec<Change>,
    pub(crate) ended: Vec<(Work, End)>,
    pub(crate) inventory: bool,
}

#[derive(Debug)]
pub(crate) struct Peripheral {
    pub(crate) config: PeripheralConfig,
    pub(crate) condition: Condition,
    driver: Option<Box<dyn Driver>>,
    line: Line,
    running: Option<Running>,
    schedule: Schedule,
    identity: Option<Identity>,
    /// Asked since the line was opened.
    identify_tried: bool,
    /// The driver would not ask yet, and now there is a reading.
    identify_after_reading: bool,
    /// What was last learned holds until then.
    fresh_until: Mono,
    lease: Option<Lease>,
    barred: bool,
    /// A command is next: the schedule stands back.
    reserved: bool,
    /// When the last probe began.
    probed_at: Mono,
}

/// Circumstances of one call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub(crate) now: Now,
    pub(crate) flapping: &'a FlappingLimits,
}

impl Peripheral {
    pub(crate) fn new(setup: PeripheralSetup, kiosk: &str, now: Mono) -> Self {
        let PeripheralSetup { config, driver } = setup;
        let seed = spread(&[kiosk, config.name.as_str()]);
        let grid = Grid::new(config.probe_interval_ms, seed);
        let first = now + seed % OPEN_SPREAD_MS.min(config.probe_interval_ms);
        let line = match config.mode {
            PortMode::Owned | PortMode::Proxy => Line::Closed { open_at: first },
            PortMode::Pushed | PortMode::Lease => Line::Unused,
        };
        let status = match config.mode {
            // Without a lease it is the application that holds the port.
            PortMode::Lease => PeripheralStatus::PortBusy,
            _ => PeripheralStatus::Starting,
        };
        Self {
            condition: Condition::new(status),
            driver,
            line,
            running: None,
            schedule: Schedule::new(grid, first),
            identity: None,
            identify_tried: false,
            identify_after_reading: false,
            fresh_until: now + config.stale_after_ms,
            lease: None,
            barred: false,
            reserved: false,
            probed_at: now,
            config,
        }
    }

    pub(crate) fn name(&self) -> &PeripheralName {
        &self.config.name
    }

    /// Whether we may put bytes on the line.
    pub(crate) fn may_write(&self) -> bool {
        !self.barred
            && match self.config.mode {
                PortMode::Owned => true,
                PortMode::Lease => self.lease.is_some(),
                PortMode::Pushed | PortMode::Proxy => false,
            }
    }

    /// Whether a command could ever be carried out here.
    pub(crate) fn commandable(&self) -> bool {
        !self.barred && matches!(self.config.mode, PortMode::Owned | PortMode::Lease)
    }

    pub(crate) fn guards_valuables(&self) -> bool {
        self.config.guards_valuables || self.driver.as_ref().is_some_and(|d| d.guards_valuables())
    }

    /// Nothing is moving in the device, by its own recent word.
    pub(crate) fn idle(&self, now: Mono) -> bool {
        self.line == Line::Open && self.driver.as_ref().is_some_and(|d| d.idle(now))
    }

    pub(crate) fn line_open(&self) -> bool {
        self.line == Line::Open
    }

    /// Ready to begin a command's work at once.
    pub(crate) fn ready(&self) -> bool {
        self.line == Line::Open && self.may_write() && self.running.is_none()
    }

    pub(crate) fn worst_case_ms(&self, work: Work) -> Option<u64> {
        self.driver.as_ref().and_then(|d| d.plan(work)).map(|p| p.worst_case_ms)
    }

    /// Whether the first look at it is confirmed, or nobody will look.
    pub(crate) fn known(&self) -> bool {
        self.condition.status() != &PeripheralStatus::Starting
    }

    /// A command waits to learn that the device is idle: look before the grid says so, but not all the time.
    pub(crate) fn look_soon(&mut self) {
        let pause = self.config.confirm_interval_ms.max(LOOK_PAUSE_MS);
        self.schedule.by(self.probed_at + pause);
    }

    /// The schedule stands back while a command waits for the device.
    pub(crate) fn reserve(&mut self, reserved: bool) {
        self.reserved = reserved;
    }

    pub(crate) fn inventory(&self) -> InventoryItem {
        let identity = self.identity.clone().unwrap_or_default();
        let model = match (identity.maker, identity.model) {
            (Some(maker), Some(model)) => Some(format!("{maker} {model}")),
            (maker, model) => model.or(maker),
        };
        let config = &self.config;
        InventoryItem {
            name: config.name.clone(),
            kind: label(&config.kind),
            driver: label(&config.driver),
            mode: config.mode,
            required: config.required,
            model: model.as_deref().map(label),
            firmware: identity.firmware.as_deref().map(label),
            serial: identity.serial.as_deref().map(label),
        }
    }

    pub(crate) fn opened(&mut self, at: Moment<'_>, out: &mut Outputs) {
        match self.line {
            Line::Opening { .. } => {}
            Line::Open => return,
            // Too late: its lease is over, it was given up, or it is not ours any more.
            Line::Closed { .. } | Line::Unused => {
                let (peripheral, reason) = (self.name().clone(), CloseReason::NotAsked);
                out.effects.push(Effect::ClosePort { peripheral, reason });
                return;
            }
        }
        self.line = Line::Open;
        self.identify_tried = false;
        self.identify_after_reading = false;
        self.schedule.by(at.now.mono);
        if let Some(driver) = &mut self.driver {
            driver.line_opened(at.now.mono);
        }
        self.pump(at, out);
        self.wake(at, out);
    }

    pub(crate) fn trouble(&mut self, trouble: PortTrouble, at: Moment<'_>, out: &mut Outputs) {
        if self.line == Line::Unused {
            return;
        }
        self.end(End::PortClosed, out);
        let peripheral = self.name().clone();
        let observation = match trouble {
            PortTrouble::Busy { holder } => {
                if self.condition.status() != &PeripheralStatus::PortBusy {
                    out.effects.push(Effect::Note(Note::PortBusy { peripheral, holder }));
                }
                Observation::no_access(PeripheralStatus::PortBusy)
            }
            PortTrouble::Denied => {
                if self.condition.status() != &PeripheralStatus::Unknown {
                    out.effects.push(Effect::Note(Note::PortDenied { peripheral }));
                }
                Observation::no_access(PeripheralStatus::Unknown)
            }
            PortTrouble::Missing => Observation::port_missing(),
            PortTrouble::Broken => Observation::no_answer(),
        };
        self.observe(observation, at, out);
        let pause = if self.condition.doubtful() {
            self.config.confirm_interval_ms
        } else {
            self.config.probe_interval_ms
        };
        self.line = Line::Closed { open_at: at.now.mono + pause };
    }

    pub(crate) fn stop(&mut self, out: &mut Outputs) {
        if self.line != Line::Unused {
            self.close(CloseReason::Stopping, out);
        }
    }

    /// Does whatever is due.
    pub(crate) fn wake(&mut self, at: Moment<'_>, out: &mut Outputs) {
        let now = at.now.mono;
        if self.lease.as_ref().is_some_and(|l| now >= l.until) {
            self.close(CloseReason::LeaseOver, out);
        }
        self.calm(at, out);
        match self.line {
            Line::Closed { open_at } if now >= open_at => self.open(now, out),
            Line::Opening { since } if now >= since + OPEN_PATIENCE_MS => self.open(now, out),
            _ => {}
        }
        if let Some(driver) = &mut self.driver
            && driver.wake_at().is_some_and(|wake| now >= wake)
        {
            driver.wake(now);
            self.pump(at, out);
        }
        self.give_up_overdue(at, out);
        let due = self.ready() && !self.reserved;
        if due && now >= self.schedule.due() {
            self.probe(at, out);
        } else if due && self.identify_after_reading {
            self.identify(at, out);
        }
    }

    pub(crate) fn next_wake(&self, now: Mono) -> Option<Mono> {
        let line = match self.line {
            Line::Closed { open_at } => Some(open_at),
            Line::Opening { since } => Some(since + OPEN_PATIENCE_MS),
            Line::Open if self.ready() && !self.reserved => {
                Some(if self.identify_after_reading { now } else { self.schedule.due() })
            }
            Line::Open | Line::Unused => None,
        };
        let driver = self.driver.as_ref().and_then(|d| d.wake_at()).map(|w| w.max(now + WAKE_PAUSE_MS));
        let overdue = self.running.map(|r| r.overdue_at);
        let stale = (self.condition.status() != &self.resting_status()).then_some(self.fresh_until);
        let lease = self.lease.as_ref().map(|l| l.until);
        [line, driver, overdue, stale, lease].into_iter().flatten().min()
    }

    fn open(&mut self, now: Mono, out: &mut Outputs) {
        self.line = Line::Opening { since: now };
        out.effects.push(Effect::OpenPort { peripheral: self.name().clone() });
    }

    fn close(&mut self, reason: CloseReason, out: &mut Outputs) {
        self.end(if reason == CloseReason::NotOurs { End::NotOurs } else { End::PortClosed }, out);
        self.lease = None;
        self.line = Line::Unused;
        out.effects.push(Effect::ClosePort { peripheral: self.name().clone(), reason });
    }

    /// The status when nothing fresh is known.
    fn resting_status(&self) -> PeripheralStatus {
        match self.config.mode {
            PortMode::Lease => PeripheralStatus::PortBusy,
            _ if self.barred => PeripheralStatus::PortBusy,
            _ => PeripheralStatus::Stale,
        }
    }

    fn calm(&mut self, at: Moment<'_>, out: &mut Outputs) {
        let sight = self.sight(at);
        out.changes.extend(self.condition.calm(sight));
        if at.now.mono >= self.fresh_until {
            out.changes.extend(self.condition.set_status(self.resting_status()));
        }
    }
}
