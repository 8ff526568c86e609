//! UPSs that speak Megatec, also called Q1 (SANTAK and many others).
//!
//! | sent   | when      | answer                                             |
//! |--------|-----------|----------------------------------------------------|
//! | `Q1\r` | probe     | `(` seven values, eight flags                      |
//! | `I\r`  | identify  | `#` maker, model, version                          |
//! | `F\r`  | identify  | `#` rated voltage, current, battery, frequency     |
//! | `T\r`  | self-test | none; ten seconds on battery, seen in flag b2 of `Q1` |
//!
//! Nothing else ever leaves: [`session::Frame`] is the allow-list. Everything that begins with `S` or `C`
//! switches the load, and stands nowhere in this folder's code.
mod faults;
mod frame;
mod session;

use std::collections::VecDeque;

use serde::Deserialize;

use self::{
    frame::Status,
    session::{Answer, End, Frame, Session},
};
use super::{
    CannotDo, Driver, Identity, Mono, Outcome, Reading, TestResult, Work, WorkPlan, line::LineSettings,
};

/// Existing UPS software raises DTR and drops RTS: the cable's electronics live on the difference.
pub const LINE: LineSettings = LineSettings::eight_n_one(2_400).with_wires(true, false);
/// A power cut must be known before a small battery is empty, which takes minutes.
pub const PROBE_INTERVAL_S: u32 = 10;

/// An answer this old says nothing about now: two missed probes.
const FRESH_MS: Mono = 2 * PROBE_INTERVAL_S as Mono * 1_000;
/// A test takes ten seconds; what still runs after this long is no quick test.
const TEST_LIMIT_MS: Mono = 60_000;
/// Between questions during a test; short, so that also a short test is seen.
const AGAIN_MS: Mono = 500;
/// Without the flag for this long after the order, no test has begun.
const BEGIN_LIMIT_MS: Mono = 12_000;

/// Options of a `[[peripheral]]` table with `driver = "megatec"`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A load above this many percent of the rated one raises `ups_overload`.
    pub overload_percent: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { overload_percent: 100.0 }
    }
}

impl Config {
    /// The load field has three digits; a limit of nothing would raise the fault for ever.
    pub fn check(&self) -> Result<(), String> {
        if (1.0..=999.0).contains(&self.overload_percent) {
            Ok(())
        } else {
            Err(format!("overload_percent is {}, not between 1 and 999", self.overload_percent))
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Job {
    Probe,
    /// `I` first, then `F`; the answer to `I` waits for the other.
    Identify {
        identity: Option<Identity>,
    },
    /// `T` is out, and is listened to for an echo.
    TestOrdered {
        ordered_at: Mono,
    },
    TestRunning(Test),
}

#[derive(Debug, Clone, PartialEq)]
struct Test {
    ordered_at: Mono,
    /// When to ask next; `None` while a question is out.
    ask_at: Option<Mono>,
    /// The flag was seen.
    began: bool,
    /// A failure or low battery was seen at any time during it.
    worst_flags: u8,
}

/// One UPS.
#[derive(Debug)]
pub struct Megatec {
    overload_percent: f64,
    session: Session,
    job: Option<Job>,
    /// The last status and when it came.
    last: Option<(Mono, Status)>,
    outcomes: VecDeque<Outcome>,
}

impl Megatec {
    pub fn new(config: &Config) -> Self {
        Self {
            overload_percent: config.overload_percent,
            session: Session::new(),
            job: None,
            last: None,
            outcomes: VecDeque::new(),
        }
    }

    fn fresh(&self, now: Mono) -> Option<&Status> {
        self.last.as_ref().filter(|(at, _)| now.saturating_sub(*at) <= FRESH_MS).map(|(_, status)| status)
    }

    /// A test takes the load onto the battery: only when that is sure to carry it.
    fn require_testable(&self, now: Mono) -> Result<(), CannotDo> {
        let Some(status) = self.fresh(now) else {
            return Err(CannotDo::NotNow("no fresh reading; probe first".into()));
        };
        let reasons = [
            (faults::UTILITY_FAIL, "the UPS runs on battery"),
            (faults::BATTERY_LOW, "the battery is low"),
            (faults::UPS_FAILED, "the UPS reports a failure"),
            (faults::TEST_RUNNING, "a test is running"),
            (faults::SHUTDOWN_ACTIVE, "a shutdown is counting down"),
        ];
        if let Some((_, why)) = reasons.iter().find(|(flag, _)| status.flags & flag != 0) {
            return Err(CannotDo::NotNow((*why).into()));
        }
        if status.load_percent.is_none_or(|load| load > self.overload_percent) {
            return Err(CannotDo::NotNow("the load is above its limit, or unknown".into()));
        }
        Ok(())
    }

    fn advance(&mut self, now: Mono) {
        let Some(end) = self.session.take_end() else { return };
        match self.job.take() {
            None => {}
            Some(Job::Probe) => self.probed(end, now),
            Some(Job::Identify { identity: None }) => self.named(end, now),
            Some(Job::Identify { identity: Some(identity) }) => {
                if let End::Answered(Answer::Rating(raw)) = end {
                    self.outcomes.push_back(Outcome::Event { name: "ups_rating", raw });
                }
                self.outcomes.push_back(Outcome::Identity(identity));
            }
            Some(Job::TestOrdered { ordered_at }) => self.ordered(&end, ordered_at, now),
            Some(Job::TestRunning(test)) => self.watched(end, test, now),
        }
    }

    fn probed(&mut self, end: End, now: Mono) {
        let outcome = match end {
            End::Answered(Answer::Status(status, line)) => {
                Outcome::Reading(self.take_status(status, &line, now))
            }
            other => no_status(Work::Probe, other),
        };
        self.outcomes.push_back(outcome);
    }

    fn named(&mut self, end: End, now: Mono) {
        let work = Work::Identify;
        let text = |t: String| Some(t).filter(|t| !t.is_empty());
        let identity = match end {
            End::Answered(Answer::Info([maker, model, version])) => {
                Identity { maker: text(maker), model: text(model), firmware: text(version), serial: None }
            }
            End::Echoed(raw) => {
                self.outcomes.push_back(Outcome::Event { name: "identify_unsupported", raw });
                Identity::default()
            }
            other => {
                self.outcomes.push_back(no_status(work, other));
                return;
            }
        };
        self.job = Some(Job::Identify { identity: Some(identity) });
        self.session.ask(Frame::Rating, now);
    }

    /// After `T`: silence is consent. An echo is a refusal.
    fn ordered(&mut self, end: &End, ordered_at: Mono, now: Mono) {
        if let End::Echoed(_) = end {
            let summary = "this UPS does not know the test command".to_owned();
            let reading = None;
            self.outcomes.push_back(Outcome::Tested(TestResult {
                work: Work::SelfTest,
                passed: false,
                summary,
                reading,
            }));
            return;
        }
        self.job = Some(Job::TestRunning(Test { ordered_at, ask_at: None, began: false, worst_flags: 0 }));
        self.session.ask(Frame::Status, now);
    }

    fn watched(&mut self, end: End, mut test: Test, now: Mono) {
        let (status, line) = match end {
            End::Answered(Answer::Status(status, line)) => (status, line),
            other => {
                self.outcomes.push_back(no_status(Work::SelfTest, other));
                return;
            }
        };
        let running = status.flags & faults::TEST_RUNNING != 0;
        test.began |= running;
        test.worst_flags |= status.flags;
        let reading = self.take_status(status, &line, now);
        let elapsed = now.saturating_sub(test.ordered_at);
        let over = if test.began { !running } else { elapsed >= BEGIN_LIMIT_MS };
        if over || elapsed >= TEST_LIMIT_MS {
            let result = verdict(&test, running, reading);
            self.outcomes.push_back(Outcome::Tested(result));
        } else {
            test.ask_at = Some(now + AGAIN_MS);
            self.job = Some(Job::TestRunning(test));
        }
    }

    fn take_status(&mut self, status: Status, line: &[u8], now: Mono) -> Reading {
        self.last = Some((now, status));
        faults::read(&status, line, self.overload_percent)
    }
}

impl Driver for Megatec {
    fn begin(&mut self, work: Work, now: Mono) -> Result<(), CannotDo> {
        if self.job.is_some() {
            return Err(CannotDo::Occupied);
        }
        match work {
            Work::Probe => {
                self.job = Some(Job::Probe);
                self.session.ask(Frame::Status, now);
            }
            Work::Identify => {
                self.job = Some(Job::Identify { identity: None });
                self.session.ask(Frame::Info, now);
            }
            Work::SelfTest => {
                self.require_testable(now)?;
                self.job = Some(Job::TestOrdered { ordered_at: now });
                self.session.ask(Frame::Test, now);
            }
            Work::Reset => return Err(CannotDo::Unsupported),
        }
        Ok(())
    }

    fn plan(&self, work: Work) -> Option<WorkPlan> {
        // The last question may be asked just before the limit, twice, each time after a wait for silence.
        const LAST_QUESTION_MS: u64 = 7_000;
        match work {
            Work::SelfTest => Some(WorkPlan {
                worst_case_ms: TEST_LIMIT_MS + LAST_QUESTION_MS,
                side_effect: "runs on battery for 10 s",
            }),
            Work::Probe | Work::Identify | Work::Reset => None,
        }
    }

    fn working(&self) -> Option<Work> {
        self.job.as_ref().map(|job| match job {
            Job::Probe => Work::Probe,
            Job::Identify { .. } => Work::Identify,
            Job::TestOrdered { .. } | Job::TestRunning(_) => Work::SelfTest,
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
        match &self.job {
            Some(Job::TestRunning(Test { ask_at: Some(at), .. })) => Some(*at),
            _ => self.session.wake_at(),
        }
    }

    fn wake(&mut self, now: Mono) {
        if let Some(Job::TestRunning(test)) = &mut self.job
            && let Some(at) = test.ask_at
        {
            if now >= at {
                test.ask_at = None;
                self.session.ask(Frame::Status, now);
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
    }

    fn idle(&self, now: Mono) -> bool {
        self.job.is_none() && self.require_testable(now).is_ok()
    }

    fn guards_valuables(&self) -> bool {
        false
    }
}

/// The finding when a question had no answer of its own kind.
fn no_status(work: Work, end: End) -> Outcome {
    match end {
        End::Failed(failure) => failure.of(work),
        End::Echoed(raw) => Outcome::Garbled { work, raw },
        End::Answered(_) => Outcome::Garbled { work, raw: Vec::new() },
    }
}

/// Passed when a test was seen to run and to end, and neither failure nor low battery showed in between.
fn verdict(test: &Test, still_running: bool, reading: Reading) -> TestResult {
    let (passed, summary) = if test.worst_flags & faults::UPS_FAILED != 0 {
        (false, "the UPS reported a failure during the test")
    } else if test.worst_flags & faults::BATTERY_LOW != 0 {
        (false, "the battery ran low during the test")
    } else if still_running {
        (false, "the test had not ended after a minute")
    } else if !test.began {
        (false, "no test was seen to run")
    } else {
        (true, "the battery carried the load")
    };
    TestResult { work: Work::SelfTest, passed, summary: summary.to_owned(), reading: Some(reading) }
}
