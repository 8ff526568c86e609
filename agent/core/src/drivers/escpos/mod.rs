//! Receipt printers that speak ESC/POS (Epson and its many relatives), and Custom's full status.
//!
//! | sent                   | when                   | answer                                  |
//! |------------------------|------------------------|-----------------------------------------|
//! | `10 04 01`..`10 04 04` | probe                  | one byte each, `0xx1xx10`               |
//! | `10 04 14`             | probe, `custom = true` | `10 0F` and four bytes                  |
//! | `1D 49 41`..`1D 49 44` | identify               | `5F` text `00`                          |
//! | `1D 28 41 02 00 00 02` | self-test              | none; a test pattern is printed         |
//! | `10 05 01`             | reset                  | none; the printer goes on after an error |
//!
//! Nothing else ever leaves: [`session::Frame`] is the allow-list. See the README for what is left out and why.
mod faults;
mod frame;
mod session;

use std::collections::VecDeque;

use kioskwatch_proto::{faults::codes, words::PeripheralStatus};
use serde::Deserialize;

use self::session::{Answer, Frame, RoundEnd, Session};
use super::{
    CannotDo, Driver, Identity, Mono, Outcome, Reading, TestResult, Work, WorkPlan, exchange::Failure,
    line::LineSettings,
};

/// The common switch setting. With hardware handshake a printer waits for these wires, so they are up.
pub const LINE: LineSettings = LineSettings::eight_n_one(9_600).with_wires(true, true);
/// A roll lasts hours and an open cover minutes: a quarter of a minute sees both in time.
pub const PROBE_INTERVAL_S: u32 = 15;

/// An answer this old says nothing about now: two missed probes.
const FRESH_MS: Mono = 2 * PROBE_INTERVAL_S as Mono * 1_000;
/// Before the first question after a command that works: let it begin.
const BEGIN_MS: Mono = 2_000;
/// Between questions while the printer works.
const AGAIN_MS: Mono = 1_000;
/// A test pattern of some hundred lines at the slowest common speed, with a large margin.
const TEST_LIMIT_MS: Mono = 30_000;
/// Going on after an error takes as long as the interrupted print.
const RESET_LIMIT_MS: Mono = 15_000;

/// Options of a `[[peripheral]]` table with `driver = "escpos"`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A Custom printer (KPM, VKP): asked by DLE EOT 20, and nothing but that.
    pub custom: bool,
    /// Which of DLE EOT 1..4 the printer answers. Some cheap ones know only a part; what is not asked cannot
    /// be reported.
    pub queries: Queries,
}

impl Default for Config {
    fn default() -> Self {
        Self { custom: false, queries: Queries::All }
    }
}

/// The sets of status questions seen in the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Queries {
    /// DLE EOT 1, 2, 3, 4.
    All,
    /// DLE EOT 1 and 4: online, paper.
    OnlineAndPaper,
    /// DLE EOT 1 alone.
    Online,
}

const ALL: &[Frame] = &[Frame::PrinterStatus, Frame::OfflineCause, Frame::ErrorCause, Frame::PaperSensor];
const ONLINE_AND_PAPER: &[Frame] = &[Frame::PrinterStatus, Frame::PaperSensor];
const ONLINE: &[Frame] = &[Frame::PrinterStatus];
const FULL: &[Frame] = &[Frame::FullStatus];
const IDENTITY: &[Frame] = &[Frame::Maker, Frame::Model, Frame::Firmware, Frame::Serial];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Probe,
    Identify,
    /// A self-test or reset: the command is out, and the printer is asked until it is ready or time is up.
    Exercise {
        work: Work,
        ends_at: Mono,
        /// When to ask next; `None` while a round runs.
        ask_at: Option<Mono>,
    },
}

/// One printer.
#[derive(Debug)]
pub struct Escpos {
    status_questions: &'static [Frame],
    custom: bool,
    session: Session,
    job: Option<Job>,
    /// The last reading and when it was complete.
    last: Option<(Mono, Reading)>,
    automatic_reported: bool,
    outcomes: VecDeque<Outcome>,
}

impl Escpos {
    pub fn new(config: &Config) -> Self {
        let status_questions = match (config.custom, config.queries) {
            (true, _) => FULL,
            (false, Queries::All) => ALL,
            (false, Queries::OnlineAndPaper) => ONLINE_AND_PAPER,
            (false, Queries::Online) => ONLINE,
        };
        Self {
            status_questions,
            custom: config.custom,
            session: Session::new(),
            job: None,
            last: None,
            automatic_reported: false,
            outcomes: VecDeque::new(),
        }
    }

    /// Buffered commands wait in a printer that is not online and come out when nobody expects them.
    fn require_online(&self, now: Mono) -> Result<(), CannotDo> {
        match &self.last {
            Some((at, reading)) if now.saturating_sub(*at) <= FRESH_MS => match reading.status {
                PeripheralStatus::Online => Ok(()),
                _ => Err(CannotDo::NotNow("the printer is not online".into())),
            },
            _ => Err(CannotDo::NotNow("no fresh reading; probe first".into())),
        }
    }

    /// Takes over what the session has come to.
    fn advance(&mut self, now: Mono) {
        if let Some(group) = self.session.take_automatic()
            && !self.automatic_reported
        {
            // Once per opened port: some program switched it on, and it may come many times a second.
            self.automatic_reported = true;
            self.outcomes.push_back(Outcome::Event { name: "automatic_status_on", raw: group.to_vec() });
        }
        let (Some(job), Some(end)) = (self.job, self.session.take_end()) else { return };
        match job {
            Job::Probe => {
                self.job = None;
                let outcome = self.take_reading(end, Work::Probe, now).map_or_else(|o| o, Outcome::Reading);
                self.outcomes.push_back(outcome);
            }
            Job::Identify => {
                self.job = None;
                self.outcomes.push_back(identity(end));
            }
            Job::Exercise { work, ends_at, .. } => match self.take_reading(end, work, now) {
                Ok(reading) if reading.status == PeripheralStatus::Offline && now < ends_at => {
                    self.again(now);
                }
                Err(_) if now < ends_at => self.again(now),
                Ok(reading) => {
                    self.job = None;
                    self.outcomes.push_back(Outcome::Tested(verdict(work, reading)));
                }
                Err(finding) => {
                    self.job = None;
                    self.outcomes.push_back(finding);
                }
            },
        }
    }

    fn again(&mut self, now: Mono) {
        if let Some(Job::Exercise { ask_at, .. }) = &mut self.job {
            *ask_at = Some(now + AGAIN_MS);
        }
    }

    /// The reading of a round, or the finding that there is none.
    fn take_reading(&mut self, end: RoundEnd, work: Work, now: Mono) -> Result<Reading, Outcome> {
        let answers = match end {
            RoundEnd::Answered(answers) => answers,
            RoundEnd::Failed(failure, _) => return Err(failure.of(work)),
        };
        let mut status = faults::StatusBytes::default();
        let mut full = None;
        for (frame, answer) in answers {
            match (frame, answer) {
                (Frame::PrinterStatus, Answer::Status(b)) => status.printer = Some(b),
                (Frame::OfflineCause, Answer::Status(b)) => status.offline = Some(b),
                (Frame::ErrorCause, Answer::Status(b)) => status.error = Some(b),
                (Frame::PaperSensor, Answer::Status(b)) => status.paper = Some(b),
                (_, Answer::Full(bytes)) => full = Some(bytes),
                _ => {}
            }
        }
        let (reading, button, raw) = match full {
            Some(bytes) => (faults::read_full(bytes), faults::feed_keys(bytes), bytes.to_vec()),
            None => (
                faults::read_status(status),
                faults::feed_button(status),
                status.printer.into_iter().chain(status.offline).collect(),
            ),
        };
        if button {
            self.outcomes.push_back(Outcome::Event { name: "feed_button", raw });
        }
        self.last = Some((now, reading.clone()));
        Ok(reading)
    }
}

impl Driver for Escpos {
    fn begin(&mut self, work: Work, now: Mono) -> Result<(), CannotDo> {
        if self.job.is_some() {
            return Err(CannotDo::Occupied);
        }
        // Of the rest, Custom's public tables say too little.
        if self.custom && work != Work::Probe {
            return Err(CannotDo::Unsupported);
        }
        let exercise = |limit| Job::Exercise { work, ends_at: now + limit, ask_at: Some(now + BEGIN_MS) };
        self.job = Some(match work {
            Work::Probe => {
                self.session.ask(self.status_questions, now);
                Job::Probe
            }
            Work::Identify => {
                self.require_online(now)?;
                self.session.ask_once(IDENTITY, now);
                Job::Identify
            }
            Work::SelfTest => {
                self.require_online(now)?;
                self.session.tell(Frame::TestPrint);
                exercise(TEST_LIMIT_MS)
            }
            Work::Reset => {
                self.session.tell(Frame::Recover);
                exercise(RESET_LIMIT_MS)
            }
        });
        Ok(())
    }

    fn plan(&self, work: Work) -> Option<WorkPlan> {
        // The last round may begin just before the limit: two tries of four questions, and their silences.
        const LAST_ROUND_MS: u64 = 7_000;
        match work {
            Work::SelfTest if !self.custom => Some(WorkPlan {
                worst_case_ms: TEST_LIMIT_MS + LAST_ROUND_MS,
                side_effect: "prints a test receipt",
            }),
            Work::Reset if !self.custom => Some(WorkPlan {
                worst_case_ms: RESET_LIMIT_MS + LAST_ROUND_MS,
                side_effect: "goes on after an error; an interrupted receipt may come out",
            }),
            _ => None,
        }
    }

    fn working(&self) -> Option<Work> {
        self.job.map(|job| match job {
            Job::Probe => Work::Probe,
            Job::Identify => Work::Identify,
            Job::Exercise { work, .. } => work,
        })
    }

    fn received(&mut self, bytes: &[u8], now: Mono) {
        // Byte by byte, so that it does not matter how the line cut them.
        for byte in bytes {
            self.session.received(*byte, now);
            self.advance(now);
        }
    }

    fn wake_at(&self) -> Option<Mono> {
        match self.job {
            Some(Job::Exercise { ask_at: Some(at), .. }) => Some(at),
            _ => self.session.wake_at(),
        }
    }

    fn wake(&mut self, now: Mono) {
        if let Some(Job::Exercise { ask_at, .. }) = &mut self.job
            && let Some(at) = *ask_at
        {
            if now >= at {
                *ask_at = None;
                self.session.ask(self.status_questions, now);
            }
            return;
        }
        self.session.wake(now);
        self.advance(now);
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.session.poll_transmit().map(|frame| frame.bytes().to_vec())
    }

    fn poll_outcome(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }

    fn line_opened(&mut self, _now: Mono) {
        self.session = Session::new();
        self.job = None;
        self.last = None;
        self.automatic_reported = false;
    }

    fn idle(&self, now: Mono) -> bool {
        self.job.is_none()
            && self.require_online(now).is_ok()
            && self.last.as_ref().is_some_and(|(_, r)| {
                r.state == Some("ready") && r.faults.iter().all(|f| f.code.base() == codes::PAPER_LOW)
            })
    }

    fn guards_valuables(&self) -> bool {
        false
    }
}

/// Who the printer says it is. What it did not say stays open: not every model answers every question.
fn identity(end: RoundEnd) -> Outcome {
    let answers = match end {
        RoundEnd::Answered(answers) => answers,
        RoundEnd::Failed(Failure::Silent, answers) if !answers.is_empty() => answers,
        RoundEnd::Failed(failure, _) => return failure.of(Work::Identify),
    };
    let mut identity = Identity::default();
    for (frame, answer) in answers {
        let Answer::Text(text) = answer else { continue };
        let text = Some(text.trim().to_owned()).filter(|t| !t.is_empty());
        match frame {
            Frame::Firmware => identity.firmware = text,
            Frame::Maker => identity.maker = text,
            Frame::Model => identity.model = text,
            Frame::Serial => identity.serial = text,
            _ => {}
        }
    }
    Outcome::Identity(identity)
}

/// Passed when nothing is left but paper that runs low.
fn verdict(work: Work, reading: Reading) -> TestResult {
    let wrong: Vec<_> =
        reading.faults.iter().filter(|f| !faults::harmless(f)).map(|f| f.code.as_str()).collect();
    let summary = match (wrong.is_empty(), work) {
        (true, Work::SelfTest) => "the test receipt was printed and the printer is online".to_owned(),
        (true, _) => "the printer is online".to_owned(),
        (false, _) => format!("the printer reports {}", wrong.join(", ")),
    };
    TestResult { work, passed: wrong.is_empty(), summary, reading: Some(reading) }
}
