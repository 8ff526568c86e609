//! A driver with a clock that jumps to the next wake-up, and outcomes as text.
use std::fmt::Write as _;

use kioskwatch_agent_core::drivers::{
    CannotDo, Driver, Mono, Outcome, Reading, Work,
    registry::{self, Options},
};

/// What the driver did next.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    Sent(Vec<u8>),
    Found(Outcome),
    /// Nothing, and it waits for nothing.
    Resting,
}

pub(crate) struct Bench {
    pub(crate) driver: Box<dyn Driver>,
    pub(crate) now: Mono,
}

impl Bench {
    pub(crate) fn new(driver: &str, options: &Options) -> Self {
        let mut driver = registry::build(driver, options).unwrap();
        driver.line_opened(0);
        Self { driver, now: 1_000 }
    }

    pub(crate) fn begin(&mut self, work: Work) -> Result<(), CannotDo> {
        self.driver.begin(work, self.now)
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.now += 1;
        self.driver.received(bytes, self.now);
    }

    /// The next thing the driver does, however long it takes.
    pub(crate) fn step(&mut self) -> Step {
        // A driver that wakes this often without doing anything is stuck.
        for _ in 0..1_000 {
            if let Some(bytes) = self.driver.poll_transmit() {
                return Step::Sent(bytes);
            }
            if let Some(outcome) = self.driver.poll_outcome() {
                return Step::Found(outcome);
            }
            let Some(at) = self.driver.wake_at() else { return Step::Resting };
            self.now = self.now.max(at);
            self.driver.wake(self.now);
        }
        panic!("the driver wakes without end: {:?}", self.driver);
    }

    /// Lets time pass; what the driver wants to send meanwhile waits.
    pub(crate) fn wait(&mut self, for_ms: u64) {
        let until = self.now + for_ms;
        while let Some(at) = self.driver.wake_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.driver.wake(self.now);
        }
        self.now = until;
    }

    /// Answers every frame with what `peer` says until the driver rests. Returns what was sent and found.
    pub(crate) fn run(&mut self, mut peer: impl FnMut(&[u8]) -> Vec<u8>) -> (Vec<Vec<u8>>, Vec<Outcome>) {
        let (mut sent, mut found) = (Vec::new(), Vec::new());
        loop {
            match self.step() {
                Step::Sent(bytes) => {
                    let answer = peer(&bytes);
                    sent.push(bytes);
                    if !answer.is_empty() {
                        self.receive(&answer);
                    }
                }
                Step::Found(outcome) => found.push(outcome),
                Step::Resting => return (sent, found),
            }
        }
    }
}

pub(crate) fn parse_work(text: &str) -> Work {
    match text {
        "probe" => Work::Probe,
        "identify" => Work::Identify,
        "self_test" => Work::SelfTest,
        "reset" => Work::Reset,
        other => panic!("{other:?} is no work"),
    }
}

fn work_text(work: Work) -> &'static str {
    match work {
        Work::Probe => "probe",
        Work::Identify => "identify",
        Work::SelfTest => "self_test",
        Work::Reset => "reset",
    }
}

/// An outcome in one line; two outcomes are the same if their lines are.
pub(crate) fn text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Reading(reading) => format!("reading {}", reading_text(reading)),
        Outcome::NoAnswer { work } => format!("no_answer {}", work_text(*work)),
        Outcome::Garbled { work, raw } => format!("garbled {} {}", work_text(*work), spaced_hex(raw)),
        Outcome::Identity(identity) => {
            let fields = [
                ("maker", &identity.maker),
                ("model", &identity.model),
                ("firmware", &identity.firmware),
                ("serial", &identity.serial),
            ];
            let mut line = "identity".to_owned();
            for (name, value) in fields {
                if let Some(value) = value {
                    write!(line, " {name}={value:?}").unwrap();
                }
            }
            line
        }
        Outcome::Tested(result) => format!(
            "tested {} {}: {}",
            work_text(result.work),
            if result.passed { "passed" } else { "failed" },
            result.summary
        ),
        Outcome::Event { name, raw } => format!("event {name} {}", spaced_hex(raw)),
        Outcome::NotOurs { raw } => format!("not_ours {}", spaced_hex(raw)),
    }
}

fn reading_text(reading: &Reading) -> String {
    let mut line = reading.status.to_string();
    if let Some(state) = reading.state {
        write!(line, " state={state}").unwrap();
    }
    for fault in &reading.faults {
        write!(line, " {}", fault.code).unwrap();
    }
    for (name, value) in &reading.values {
        write!(line, " {name}={value}").unwrap();
    }
    line
}

pub(crate) fn spaced_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}
