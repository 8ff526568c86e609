//! Bill validators that speak CCNET (CashCode and relatives), on a port that is ours alone.
//!
//! | sent                | when                           | answer                                       |
//! |---------------------|--------------------------------|----------------------------------------------|
//! | `02 03 06 31 C8 A2` | probe, first                   | enabled bill types and security, 3 bytes each |
//! | `02 03 06 33 DA 81` | probe, if no type is enabled   | the state                                    |
//! | `02 03 06 00 C2 82` | after a POLL answer, if ours   | none                                         |
//! | `02 03 06 37 FE C7` | identify, in resting states    | part number 15, serial 12, asset 7 bytes     |
//!
//! Nothing else ever leaves: [`session::Frame`] is the allow-list. An answer that shows that another program
//! uses the unit is not acknowledged, and the driver sends not one byte more until the port is opened anew.
mod faults;
mod frame;
mod session;

use std::collections::VecDeque;

use serde::Deserialize;

use self::session::{End, Frame, ILLEGAL_COMMAND, Session};
use super::{CannotDo, Driver, Identity, Mono, Outcome, Work, WorkPlan, line::LineSettings};

/// The speed units are delivered with; 19200 is the other one.
pub const LINE: LineSettings = LineSettings::eight_n_one(9_600);
/// Jams and a removed stacker should be known before the next customer.
pub const PROBE_INTERVAL_S: u32 = 5;

/// An answer this old says nothing about now: two missed probes.
const FRESH_MS: Mono = 2 * PROBE_INTERVAL_S as Mono * 1_000;

/// Options of a `[[peripheral]]` table with `driver = "ccnet"`: none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    /// GET STATUS is out: did somebody enable bill types?
    ProbeEnables,
    /// POLL is out.
    ProbeState,
    Identify,
}

/// One bill validator.
#[derive(Debug)]
pub struct Ccnet {
    session: Session,
    job: Option<Job>,
    /// The first byte of the last POLL answer and when it came; unanswered work forgets it.
    last: Option<(Mono, u8)>,
    /// Somebody else works with the unit: silence until the port is opened anew.
    stood_down: bool,
    outcomes: VecDeque<Outcome>,
}

impl Ccnet {
    pub fn new(_config: &Config) -> Self {
        Self { session: Session::new(), job: None, last: None, stood_down: false, outcomes: VecDeque::new() }
    }

    fn fresh_state(&self, now: Mono) -> Option<u8> {
        self.last.filter(|(at, _)| now.saturating_sub(*at) <= FRESH_MS).map(|(_, state)| state)
    }

    fn advance(&mut self, now: Mono) {
        let Some(end) = self.session.take_end() else { return };
        match self.job.take() {
            None => {}
            Some(Job::ProbeEnables) => match end {
                End::Answered(body) if body.len() == 6 && body[..3] != [0, 0, 0] => self.stand_down(body),
                End::Echoed(raw) => {
                    self.last = None;
                    self.outcomes.push_back(Outcome::Garbled { work: Work::Probe, raw });
                }
                // Nothing enabled; or the unit does not tell, and then its state does.
                _ => {
                    self.job = Some(Job::ProbeState);
                    self.session.ask(Frame::Poll, now);
                }
            },
            Some(Job::ProbeState) => self.polled(end, now),
            Some(Job::Identify) => self.identified(end),
        }
    }

    fn polled(&mut self, end: End, now: Mono) {
        let answer = match end {
            End::Answered(answer) => answer,
            other => {
                self.last = None;
                self.outcomes.push_back(no_answer(Work::Probe, other));
                return;
            }
        };
        let state = answer[0];
        if faults::enabled_by_somebody(state) {
            return self.stand_down(answer);
        }
        self.session.acknowledge();
        let was_power_up = self.last.is_some_and(|(_, before)| faults::is_power_up(before));
        self.last = Some((now, state));
        if faults::is_power_up(state) && !was_power_up {
            // Once per restart: without a host that resets it the unit stays in this state.
            self.outcomes.push_back(Outcome::Event { name: "device_restarted", raw: answer.clone() });
        }
        self.outcomes.push_back(Outcome::Reading(faults::read(&answer)));
    }

    fn identified(&mut self, end: End) {
        let outcome = match end {
            End::Answered(body) if body == [ILLEGAL_COMMAND] => {
                self.outcomes.push_back(Outcome::Event { name: "identify_unsupported", raw: body });
                Outcome::Identity(Identity::default())
            }
            End::Answered(body) => Outcome::Identity(Identity {
                model: printable(&body[..15]),
                serial: printable(&body[15..27]),
                ..Identity::default()
            }),
            other => no_answer(Work::Identify, other),
        };
        self.outcomes.push_back(outcome);
    }

    /// Somebody else lets this unit take notes. Not even an acknowledgement leaves: it would swallow the
    /// other program's event.
    fn stand_down(&mut self, raw: Vec<u8>) {
        self.session = Session::new();
        self.job = None;
        self.last = None;
        self.stood_down = true;
        self.outcomes.push_back(Outcome::NotOurs { raw });
    }
}

impl Driver for Ccnet {
    fn begin(&mut self, work: Work, now: Mono) -> Result<(), CannotDo> {
        if matches!(work, Work::SelfTest | Work::Reset) {
            // There is no self-test, and a reset moves the note that is inside.
            return Err(CannotDo::Unsupported);
        }
        if self.stood_down {
            return Err(CannotDo::NotNow("another program works with the acceptor".into()));
        }
        if self.job.is_some() {
            return Err(CannotDo::Occupied);
        }
        if work == Work::Identify {
            if !self.fresh_state(now).is_some_and(faults::allows_identify) {
                return Err(CannotDo::NotNow("not in a resting state, or no fresh reading".into()));
            }
            self.job = Some(Job::Identify);
            self.session.ask(Frame::Identification, now);
        } else {
            self.job = Some(Job::ProbeEnables);
            self.session.ask(Frame::GetStatus, now);
        }
        Ok(())
    }

    fn plan(&self, _work: Work) -> Option<WorkPlan> {
        None
    }

    fn working(&self) -> Option<Work> {
        self.job.map(|job| match job {
            Job::ProbeEnables | Job::ProbeState => Work::Probe,
            Job::Identify => Work::Identify,
        })
    }

    fn received(&mut self, bytes: &[u8], now: Mono) {
        // Byte by byte, so that it does not matter how the line cut them.
        for byte in bytes {
            if self.stood_down {
                return;
            }
            self.session.received(*byte, now);
            self.advance(now);
        }
    }

    fn wake_at(&self) -> Option<Mono> {
        self.session.wake_at()
    }

    fn wake(&mut self, now: Mono) {
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
        self.stood_down = false;
    }

    /// Only disabled counts. With a standing failure (41..47) or after a power-up a note may be inside.
    fn idle(&self, now: Mono) -> bool {
        !self.stood_down && self.job.is_none() && self.fresh_state(now) == Some(faults::DISABLED)
    }

    fn guards_valuables(&self) -> bool {
        true
    }
}

/// The finding when a question had no answer.
fn no_answer(work: Work, end: End) -> Outcome {
    match end {
        End::Failed(failure) => failure.of(work),
        End::Echoed(raw) | End::Answered(raw) => Outcome::Garbled { work, raw },
    }
}

/// What can be printed of a field with a fixed width; `None` when nothing is left.
fn printable(field: &[u8]) -> Option<String> {
    let text: String = field.iter().filter(|b| (0x20..0x7f).contains(*b)).map(|b| char::from(*b)).collect();
    Some(text.trim().to_owned()).filter(|t| !t.is_empty())
}
