//! One round of questions to a printer: asks one after the other, matches answers, asks again once.
//!
//! A status reply is a single byte that does not name its question. What can be done about that is done here:
//! one question at a time; a pause after each answer in which nothing more may come (a surplus byte means the
//! answers have slipped against the questions, and the round starts over); silence before a round that
//! follows a failed one, so that late answers fall on the floor. An answer that is later than all of this
//! cannot be told from the next one.
use std::collections::VecDeque;

use super::frame::{Item, Parser};
use crate::drivers::{Mono, scrap::Scrap};

/// Every byte sequence this driver can send. There is no other way to the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// DLE EOT 1: is it online.
    PrinterStatus,
    /// DLE EOT 2: why it is offline.
    OfflineCause,
    /// DLE EOT 3: which error.
    ErrorCause,
    /// DLE EOT 4: is there paper.
    PaperSensor,
    /// DLE EOT 20: everything, of Custom printers.
    FullStatus,
    /// GS I 65: firmware.
    Firmware,
    /// GS I 66: maker.
    Maker,
    /// GS I 67: model.
    Model,
    /// GS I 68: serial number.
    Serial,
    /// GS ( A: prints a test pattern.
    TestPrint,
    /// DLE ENQ 1: go on after an error.
    Recover,
}

impl Frame {
    pub(super) const fn bytes(self) -> &'static [u8] {
        match self {
            Self::PrinterStatus => &[0x10, 0x04, 1],
            Self::OfflineCause => &[0x10, 0x04, 2],
            Self::ErrorCause => &[0x10, 0x04, 3],
            Self::PaperSensor => &[0x10, 0x04, 4],
            Self::FullStatus => &[0x10, 0x04, 20],
            Self::Firmware => &[0x1d, 0x49, 65],
            Self::Maker => &[0x1d, 0x49, 66],
            Self::Model => &[0x1d, 0x49, 67],
            Self::Serial => &[0x1d, 0x49, 68],
            Self::TestPrint => &[0x1d, 0x28, 0x41, 0x02, 0x00, 0x00, 0x02],
            Self::Recover => &[0x10, 0x05, 1],
        }
    }

    /// What the printer answered, if this is an answer to the frame.
    fn answer(self, item: &Item) -> Option<Answer> {
        match (self, item) {
            (
                Self::PrinterStatus | Self::OfflineCause | Self::ErrorCause | Self::PaperSensor,
                Item::Status(byte),
            ) => Some(Answer::Status(*byte)),
            (Self::FullStatus, Item::Full(bytes)) => Some(Answer::Full(*bytes)),
            (Self::Firmware | Self::Maker | Self::Model | Self::Serial, Item::Text(text)) => {
                Some(Answer::Text(text.clone()))
            }
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Status(u8),
    Full([u8; 6]),
    Text(String),
}

/// How a round ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RoundEnd {
    /// Every question with its answer.
    Answered(Vec<(Frame, Answer)>),
    /// A question stayed without answer; what was answered before it is kept.
    Silent(Vec<(Frame, Answer)>),
    Garbled(Vec<u8>),
}

/// A real-time answer comes within some ten milliseconds at 9600 baud, also while printing; a slow USB
/// converter adds some more. Half a second is far above both and still short for a kiosk.
const REPLY_MS: u64 = 500;
/// Asked once more when a round of status questions fails: one lost byte is no finding.
const STATUS_TRIES: u8 = 2;
/// Buffered questions are asked once: each repetition would be answered, some day, in a burst.
const IDENTIFY_TRIES: u8 = 1;
/// After an answer nothing more may come for this long: some fifty characters at 9600 baud.
const SURPLUS_MS: u64 = 50;
/// The line must be silent this long before a round after a failed one.
const QUIET_MS: u64 = 100;
/// A line that never falls silent is asked nevertheless after this long: the answers tell the rest.
const QUIET_AT_MOST_MS: u64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Resting,
    /// Listening for late answers before the first question.
    Quieting {
        until: Mono,
        at_most: Mono,
    },
    Waiting {
        until: Mono,
    },
    /// Answered; a surplus byte would show here.
    Settling {
        until: Mono,
    },
}

#[derive(Debug)]
pub(super) struct Session {
    parser: Parser,
    phase: Phase,
    questions: &'static [Frame],
    answers: Vec<(Frame, Answer)>,
    tries_left: u8,
    scrap: Scrap,
    /// The last round failed, or the port is new: old answers may be on their way.
    doubtful: bool,
    automatic: Option<[u8; 4]>,
    outbox: VecDeque<Frame>,
    end: Option<RoundEnd>,
}

impl Session {
    pub(super) fn new() -> Self {
        Self {
            parser: Parser::default(),
            phase: Phase::Resting,
            questions: &[],
            answers: Vec::new(),
            tries_left: 0,
            scrap: Scrap::default(),
            doubtful: true,
            automatic: None,
            outbox: VecDeque::new(),
            end: None,
        }
    }

    /// Begins a round of status questions.
    pub(super) fn ask(&mut self, questions: &'static [Frame], now: Mono) {
        self.start(questions, STATUS_TRIES, now);
    }

    /// Begins a round of buffered questions.
    pub(super) fn ask_once(&mut self, questions: &'static [Frame], now: Mono) {
        self.start(questions, IDENTIFY_TRIES, now);
    }

    fn start(&mut self, questions: &'static [Frame], tries: u8, now: Mono) {
        self.questions = questions;
        self.tries_left = tries;
        self.scrap.clear();
        self.end = None;
        self.begin_try(self.doubtful, now);
    }

    /// Sends a frame that has no answer.
    pub(super) fn tell(&mut self, frame: Frame) {
        self.outbox.push_back(frame);
    }

    pub(super) fn received(&mut self, byte: u8, now: Mono) {
        // A byte can complete several items: those of a group that turns out to be none.
        let mut items = Vec::new();
        self.parser.push(byte, |item| items.push(item));
        for item in items {
            self.heard(&item, now);
        }
        if let Phase::Quieting { at_most, .. } = self.phase {
            self.phase = Phase::Quieting { until: (now + QUIET_MS).min(at_most), at_most };
        }
    }

    fn heard(&mut self, item: &Item, now: Mono) {
        match item {
            Item::FlowControl => return,
            Item::Automatic(group) => {
                self.automatic.get_or_insert(*group);
                return;
            }
            _ => {}
        }
        match self.phase {
            Phase::Resting => {}
            Phase::Quieting { .. } => self.keep(item),
            Phase::Waiting { .. } => {
                let question = self.questions[self.answers.len()];
                if let Some(answer) = question.answer(item) {
                    self.answers.push((question, answer));
                    self.phase = Phase::Settling { until: now + SURPLUS_MS };
                    return;
                }
                self.keep(item);
                if matches!(item, Item::Noise(_)) {
                    self.fail(now);
                }
            }
            Phase::Settling { .. } => {
                self.keep(item);
                // Answers to buffered queries come whenever they like; only these two mean a slip.
                if matches!(item, Item::Status(_) | Item::Full(_) | Item::Noise(_)) {
                    self.fail(now);
                }
            }
        }
    }

    /// Keeps what did not fit for the report.
    fn keep(&mut self, item: &Item) {
        match item {
            Item::Status(byte) | Item::Buffered(byte) => self.scrap.push(*byte),
            Item::Full(bytes) => self.scrap.extend(bytes),
            Item::Automatic(bytes) => self.scrap.extend(bytes),
            Item::Text(text) => self.scrap.extend(text.as_bytes()),
            Item::Noise(bytes) => self.scrap.extend(bytes),
            Item::FlowControl => {}
        }
    }

    pub(super) fn wake_at(&self) -> Option<Mono> {
        match self.phase {
            Phase::Resting => None,
            Phase::Quieting { until, .. } | Phase::Waiting { until } | Phase::Settling { until } => {
                Some(until)
            }
        }
    }

    pub(super) fn wake(&mut self, now: Mono) {
        if self.wake_at().is_none_or(|at| now < at) {
            return;
        }
        match self.phase {
            Phase::Resting => {}
            Phase::Waiting { .. } => self.fail(now),
            Phase::Quieting { .. } => self.ask_next(now),
            Phase::Settling { .. } if self.answers.len() < self.questions.len() => self.ask_next(now),
            Phase::Settling { .. } => {
                self.doubtful = false;
                let answers = std::mem::take(&mut self.answers);
                self.finish(RoundEnd::Answered(answers));
            }
        }
    }

    fn begin_try(&mut self, quiet_first: bool, now: Mono) {
        self.answers.clear();
        if quiet_first {
            self.phase = Phase::Quieting { until: now + QUIET_MS, at_most: now + QUIET_AT_MOST_MS };
        } else {
            self.ask_next(now);
        }
    }

    fn ask_next(&mut self, now: Mono) {
        let question = self.questions[self.answers.len()];
        let unfinished = self.parser.restart(question == Frame::FullStatus);
        self.scrap.extend(&unfinished);
        self.outbox.push_back(question);
        self.phase = Phase::Waiting { until: now + REPLY_MS };
    }

    fn fail(&mut self, now: Mono) {
        let unfinished = self.parser.restart(false);
        self.scrap.extend(&unfinished);
        self.doubtful = true;
        self.tries_left = self.tries_left.saturating_sub(1);
        if self.tries_left > 0 {
            self.begin_try(true, now);
        } else if self.scrap.is_empty() {
            let answers = std::mem::take(&mut self.answers);
            self.finish(RoundEnd::Silent(answers));
        } else {
            self.finish(RoundEnd::Garbled(self.scrap.first().to_vec()));
        }
    }

    fn finish(&mut self, end: RoundEnd) {
        self.phase = Phase::Resting;
        self.answers.clear();
        self.end = Some(end);
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Frame> {
        self.outbox.pop_front()
    }

    pub(super) fn take_end(&mut self) -> Option<RoundEnd> {
        self.end.take()
    }

    /// The first group of automatic status since the last call.
    pub(super) fn take_automatic(&mut self) -> Option<[u8; 4]> {
        self.automatic.take()
    }
}
