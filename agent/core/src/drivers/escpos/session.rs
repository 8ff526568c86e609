//! One round of questions to a printer: asks one after the other, matches answers, asks again once.
//!
//! A status reply is a single byte that does not name its question. What can be done about that is done here:
//! one question at a time; a pause after each answer in which nothing more may come (a surplus byte means the
//! answers have slipped against the questions, and the round starts over); silence before a round that
//! follows a failed one, so that late answers fall on the floor. An answer that is later than all of this
//! cannot be told from the next one.
use std::collections::VecDeque;

use super::frame::{Item, Parser};
use crate::drivers::{
    Mono,
    exchange::{Due, Exchange, Failure, Pace},
};

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
    /// A question stayed without a proper answer; with what was answered before it.
    Failed(Failure, Vec<(Frame, Answer)>),
}

/// A real-time answer comes within some ten milliseconds at 9600 baud, also while printing; a slow USB
/// converter adds some more. Half a second is far above both and still short for a kiosk.
const PACE: Pace = Pace { reply_ms: 500, quiet_ms: 100, quiet_at_most_ms: 1_000 };
/// Asked once more when a round of status questions fails: one lost byte is no finding.
const STATUS_TRIES: u8 = 2;
/// Buffered questions are asked once: each repetition would be answered, some day, in a burst.
const IDENTIFY_TRIES: u8 = 1;
/// After an answer nothing more may come for this long: some fifty characters at 9600 baud.
const SURPLUS_MS: u64 = 50;

#[derive(Debug)]
pub(super) struct Session {
    parser: Parser,
    exchange: Exchange<Frame>,
    /// Answered; until then a surplus byte would show.
    settled_at: Option<Mono>,
    questions: &'static [Frame],
    answers: Vec<(Frame, Answer)>,
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
            exchange: Exchange::new(PACE),
            settled_at: None,
            questions: &[],
            answers: Vec::new(),
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
        self.answers.clear();
        self.settled_at = None;
        self.end = None;
        self.exchange.begin(tries);
        if self.doubtful {
            self.exchange.listen(questions[0], now);
        } else {
            self.send(questions[0], now);
        }
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
        self.exchange.heard_byte(now);
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
        if let Some(question) = self.exchange.waiting_for() {
            if let Some(answer) = question.answer(item) {
                self.answers.push((question, answer));
                self.exchange.rest();
                self.settled_at = Some(now + SURPLUS_MS);
                return;
            }
            self.keep(item);
            if matches!(item, Item::Noise(_)) {
                self.fail(now);
            }
        } else if self.settled_at.is_some() {
            self.keep(item);
            // Answers to buffered queries come whenever they like; only these two mean a slip.
            if matches!(item, Item::Status(_) | Item::Full(_) | Item::Noise(_)) {
                self.fail(now);
            }
        } else if self.exchange.is_quieting() {
            self.keep(item);
        }
    }

    /// Keeps what did not fit for the report.
    fn keep(&mut self, item: &Item) {
        let scrap = &mut self.exchange.scrap;
        match item {
            Item::Status(byte) | Item::Buffered(byte) => scrap.push(*byte),
            Item::Full(bytes) => scrap.extend(bytes),
            Item::Automatic(bytes) => scrap.extend(bytes),
            Item::Text(text) => scrap.extend(text.as_bytes()),
            Item::Noise(bytes) => scrap.extend(bytes),
            Item::FlowControl => {}
        }
    }

    pub(super) fn wake_at(&self) -> Option<Mono> {
        self.settled_at.or_else(|| self.exchange.wake_at())
    }

    pub(super) fn wake(&mut self, now: Mono) {
        if let Some(at) = self.settled_at {
            if now >= at {
                self.settled(now);
            }
            return;
        }
        match self.exchange.due(now) {
            Due::Nothing => {}
            Due::Ask(question) => self.send(question, now),
            Due::Overdue(_) => self.fail(now),
        }
    }

    /// Nothing followed the answer: on to the next question, or the round is complete.
    fn settled(&mut self, now: Mono) {
        self.settled_at = None;
        match self.questions.get(self.answers.len()) {
            Some(next) => self.send(*next, now),
            None => {
                self.doubtful = false;
                self.end = Some(RoundEnd::Answered(std::mem::take(&mut self.answers)));
            }
        }
    }

    fn send(&mut self, question: Frame, now: Mono) {
        let unfinished = self.parser.restart(question == Frame::FullStatus);
        self.exchange.scrap.extend(&unfinished);
        self.outbox.push_back(question);
        self.exchange.asked(question, now);
    }

    /// Gives up this try of the round; the next one begins with the first question.
    fn fail(&mut self, now: Mono) {
        let unfinished = self.parser.restart(false);
        self.exchange.scrap.extend(&unfinished);
        self.doubtful = true;
        self.settled_at = None;
        let answers = std::mem::take(&mut self.answers);
        match self.exchange.try_failed() {
            Ok(()) => self.exchange.listen(self.questions[0], now),
            Err(failure) => self.end = Some(RoundEnd::Failed(failure, answers)),
        }
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
