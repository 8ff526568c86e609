//! One question to a UPS at a time: asks, waits, asks once more.
//!
//! An answer is known by its first character and length, so an answer to another question is never taken.
//! Two answers to the same question cannot be told apart: after a failed question the line must fall silent
//! before the next.
use super::frame::{self, Line, Parser, Status};
use crate::drivers::{
    Mono,
    exchange::{Due, Exchange, Failure, Pace},
};

/// Every byte sequence this driver can send. There is no other way to the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    Status,
    Rating,
    Info,
    /// Ten seconds on battery.
    Test,
}

impl Frame {
    pub(super) const fn bytes(self) -> &'static [u8] {
        match self {
            Self::Status => b"Q1\r",
            Self::Rating => b"F\r",
            Self::Info => b"I\r",
            Self::Test => b"T\r",
        }
    }

    /// Asked in all. The test is ordered once: a second order could begin a second test.
    const fn tries(self) -> u8 {
        match self {
            Self::Status | Self::Rating | Self::Info => 2,
            Self::Test => 1,
        }
    }

    fn answer(self, line: &[u8]) -> Option<Answer> {
        match self {
            Self::Status => Status::parse(line).map(|status| Answer::Status(status, line.to_vec())),
            Self::Rating => frame::is_rating(line).then(|| Answer::Rating(line.to_vec())),
            Self::Info => frame::parse_info(line).map(Answer::Info),
            Self::Test => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// With the line it was read from.
    Status(Status, Vec<u8>),
    Rating(Vec<u8>),
    Info([String; 3]),
}

/// How a question ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    Answered(Answer),
    /// The UPS sent the command back: it does not know it.
    Echoed(Vec<u8>),
    Failed(Failure),
}

/// The longest answer takes 200 ms at 2400 baud, and simple controllers think for some hundreds more; 200 ms
/// of silence are some fifty characters.
const PACE: Pace = Pace { reply_ms: 1_000, quiet_ms: 200, quiet_at_most_ms: 2_000 };

#[derive(Debug)]
pub(super) struct Session {
    parser: Parser,
    exchange: Exchange<Frame>,
    /// The last question failed, or the port is new: an old answer may be on its way.
    doubtful: bool,
    outbox: Option<Frame>,
    end: Option<End>,
}

impl Session {
    pub(super) fn new() -> Self {
        Self {
            parser: Parser::default(),
            exchange: Exchange::new(PACE),
            doubtful: true,
            outbox: None,
            end: None,
        }
    }

    pub(super) fn ask(&mut self, question: Frame, now: Mono) {
        self.exchange.begin(question.tries());
        self.end = None;
        if self.doubtful {
            self.exchange.listen(question, now);
        } else {
            self.send(question, now);
        }
    }

    pub(super) fn received(&mut self, byte: u8, now: Mono) {
        self.exchange.heard_byte(now);
        if let Some(line) = self.parser.push(byte) {
            self.heard(line, now);
        }
    }

    fn heard(&mut self, line: Line, now: Mono) {
        let Some(question) = self.exchange.waiting_for() else { return };
        let text = match line {
            // An empty line is what is left of an answer that ends in CR LF or comes after a break.
            Line::Text(text) if text.iter().all(u8::is_ascii_whitespace) => return,
            Line::Text(text) => text,
            Line::Overlong(noise) => {
                self.exchange.scrap.extend(&noise);
                return self.fail(question, now);
            }
        };
        if let Some(answer) = question.answer(&text) {
            self.doubtful = false;
            return self.finish(End::Answered(answer));
        }
        if question.bytes().strip_suffix(b"\r") == Some(text.trim_ascii()) {
            self.doubtful = true;
            return self.finish(End::Echoed(question.bytes().to_vec()));
        }
        self.exchange.scrap.extend(&text);
        let of_another_question =
            Status::parse(&text).is_some() || frame::is_rating(&text) || frame::parse_info(&text).is_some();
        if !of_another_question {
            self.fail(question, now);
        }
    }

    pub(super) fn wake_at(&self) -> Option<Mono> {
        self.exchange.wake_at()
    }

    pub(super) fn wake(&mut self, now: Mono) {
        match self.exchange.due(now) {
            Due::Nothing => {}
            Due::Ask(question) => self.send(question, now),
            Due::Overdue(question) => self.fail(question, now),
        }
    }

    fn send(&mut self, question: Frame, now: Mono) {
        // What stands unfinished on the line was there before the question.
        self.parser.restart();
        self.outbox = Some(question);
        self.exchange.asked(question, now);
    }

    fn fail(&mut self, question: Frame, now: Mono) {
        let unfinished = self.parser.restart();
        self.exchange.scrap.extend(&unfinished);
        self.doubtful = true;
        match self.exchange.try_failed() {
            Ok(()) => self.exchange.listen(question, now),
            Err(failure) => self.finish(End::Failed(failure)),
        }
    }

    fn finish(&mut self, end: End) {
        self.exchange.rest();
        self.end = Some(end);
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Frame> {
        self.outbox.take()
    }

    pub(super) fn take_end(&mut self) -> Option<End> {
        self.end.take()
    }
}
