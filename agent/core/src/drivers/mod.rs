//! The device drivers: sans-IO state machines between bytes and findings.
//!
//! A driver is built from checked configuration, asked to begin one piece of work at a time, given the bytes
//! that arrive, and woken at the time it names. It never opens a port, reads a clock, or decides what a
//! finding means for the kiosk: confirmation, flapping and policy belong to the engine.
//!
//! Each device is a folder: `mod.rs` (the byte tables and the driver), `frame.rs`, `session.rs`, `faults.rs`,
//! `README.md`, `sample.toml` and recorded exchanges under `testcases/`. [`registry`] names them all;
//! `README.md` beside this file says how to add one.
pub mod ccnet;
pub mod escpos;
mod exchange;
mod found;
pub mod line;
pub mod megatec;
pub mod registry;
mod scrap;

use kioskwatch_proto::{faults::FaultCode, words::PeripheralStatus};

/// Milliseconds of a clock that never jumps.
pub type Mono = u64;

/// Work a driver can be asked to do, one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    /// The harmless questions of the schedule.
    Probe,
    /// Who are you: maker, model, firmware, serial.
    Identify,
    /// Moves parts or uses supplies; only on a person's request.
    SelfTest,
    /// Ends a test or brings the device back to its start; only on a person's request with a second one's consent.
    Reset,
}

/// What a self-test or reset does to the world, so that the console can warn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkPlan {
    /// The longest it takes, in milliseconds.
    pub worst_case_ms: u64,
    /// For people: "prints a test receipt", "runs on battery for 10 s". English, lower case.
    pub side_effect: &'static str,
}

/// Why a driver will not do a piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CannotDo {
    /// The device or protocol has no such thing.
    Unsupported,
    /// Not while the device is as it is; the text says why.
    NotNow(String),
    /// Other work is running.
    Occupied,
}

/// One device's side of a serial line.
pub trait Driver: Send + std::fmt::Debug {
    /// Begins a piece of work; bytes to send then come from [`Driver::poll_transmit`].
    fn begin(&mut self, work: Work, now: Mono) -> Result<(), CannotDo>;
    /// What the work would do to the world; `None` when the device has no such work.
    fn plan(&self, work: Work) -> Option<WorkPlan>;
    /// The work under way.
    fn working(&self) -> Option<Work>;
    /// Bytes from the line, in any chunking; unasked ones too.
    fn received(&mut self, bytes: &[u8], now: Mono);
    /// When [`Driver::wake`] wants to be called, if at all.
    fn wake_at(&self) -> Option<Mono>;
    /// The time named by [`Driver::wake_at`] has come (or later).
    fn wake(&mut self, now: Mono);
    /// The next bytes for the line. Only bytes of the driver's allow-list ever come out of here.
    fn poll_transmit(&mut self) -> Option<Vec<u8>>;
    /// The next finding.
    fn poll_outcome(&mut self) -> Option<Outcome>;
    /// The port was opened anew: forget partial input and work under way.
    fn line_opened(&mut self, now: Mono);
    /// Whether the last answers put the device on the driver's allow-list of "nothing is moving, nobody's
    /// money is inside": needed before work that moves parts. Unknown or, at `now`, old means no.
    fn idle(&self, now: Mono) -> bool;
    /// Whether the device handles money or cards: then every doubt counts as "not idle".
    fn guards_valuables(&self) -> bool;
}

/// What a driver found out.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A probe was answered in full.
    Reading(Reading),
    /// A probe, identify or test got no answer in time. A finding, not an error.
    NoAnswer { work: Work },
    /// What came back was no valid answer, also after the retries; `raw` holds the first bytes of it.
    Garbled { work: Work, raw: Vec<u8> },
    /// The answer to [`Work::Identify`]; all fields are empty when the device does not know the question.
    Identity(Identity),
    /// The end of a self-test or reset.
    Tested(TestResult),
    /// An event that is no fault: logged, never a ticket.
    Event { name: &'static str, raw: Vec<u8> },
    /// Somebody else enabled the device: stop talking to it at once. The driver refuses all work until
    /// [`Driver::line_opened`].
    NotOurs { raw: Vec<u8> },
}

/// The whole state of a device as one probe saw it. A fault that is not in it is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub status: PeripheralStatus,
    pub faults: Vec<FoundFault>,
    /// Measured values by name with unit: `("input_voltage_volts", 230.4)`.
    pub values: Vec<(&'static str, f64)>,
    /// The device's own state in a word, e.g. `on_line`, `idling`, `disabled`.
    pub state: Option<&'static str>,
}

/// A fault as the device reports it, with the bytes that say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFault {
    pub code: FaultCode,
    pub raw: Vec<u8>,
    pub text: Option<String>,
}

/// Who the device says it is. Untrusted text, already cut to printable characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    pub maker: Option<String>,
    pub model: Option<String>,
    pub firmware: Option<String>,
    pub serial: Option<String>,
}

/// How a self-test or reset ended.
#[derive(Debug, Clone, PartialEq)]
pub struct TestResult {
    pub work: Work,
    pub passed: bool,
    /// One line for people.
    pub summary: String,
    /// The reading taken after it.
    pub reading: Option<Reading>,
}
