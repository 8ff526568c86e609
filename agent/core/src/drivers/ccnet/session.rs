//! One question to a bill validator at a time, and the acknowledgement of a POLL answer.
//!
//! Answers are known by their length: 6 or 7 bytes for a POLL, 11 for GET STATUS, 39 for IDENTIFICATION. A
//! frame that equals what we sent is our own echo. An answer is acknowledged only after the driver has seen
//! that it is no business of another host.
use std::collections::VecDeque;

use super::frame::{self, Item, Parser};
use crate::drivers::{
    Mono,
    exchange::{Due, Exchange, Failure, Pace},
};

/// Every byte sequence this driver can send. There is no other way to the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// Which bill types are enabled: consumes nothing.
    GetStatus,
    Poll,
    Identification,
    /// Acknowledges a POLL answer.
    Ack,
}

impl Frame {
    const fn code(self) -> u8 {
        match self {
            Self::Ack => 0x00,
            Self::GetStatus => 0x31,
            Self::Poll => 0x33,
            Self::Identification => 0x37,
        }
    }

    pub(super) const fn bytes(self) -> [u8; 6] {
        frame::command(self.code())
    }

    /// Asked in all. GET STATUS is asked once: a unit that does not know it must not cost every probe half a
    /// second, and the POLL after it tells what matters.
    const fn tries(self) -> u8 {
        match self {
            Self::Poll | Self::Identification => 3,
            Self::GetStatus | Self::Ack => 1,
        }
    }

    /// Whether a frame with this body answers the question.
    fn is_answered_by(self, body: &[u8]) -> bool {
        match self {
            Self::Poll => matches!(body.len(), 1 | 2),
            Self::GetStatus => body.len() == 6 || body == [ILLEGAL_COMMAND],
            Self::Identification => body.len() == 34 || body == [ILLEGAL_COMMAND],
            Self::Ack => false,
        }
    }
}

/// What we ask, as it would come back on a line that echoes.
const OWN_CODES: [u8; 3] = [Frame::GetStatus.code(), Frame::Poll.code(), Frame::Identification.code()];
pub(super) const ILLEGAL_COMMAND: u8 = 0x30;
const ACK: u8 = 0x00;
const NAK: u8 = 0xff;

/// How a question ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The body of the answer.
    Answered(Vec<u8>),
    /// Our own bytes came back.
    Echoed(Vec<u8>),
    Failed(Failure),
}

/// A unit answers within some ten milliseconds, and the longest answer takes 40 ms at 9600 baud; 20 ms of
/// silence are some twenty characters.
const PACE: Pace = Pace { reply_ms: 200, quiet_ms: 20, quiet_at_most_ms: 200 };

#[derive(Debug)]
pub(super) struct Session {
    parser: Parser,
    exchange: Exchange<Frame>,
    outbox: VecDeque<Frame>,
    end: Option<End>,
}

impl Session {
    pub(super) fn new() -> Self {
        Self { parser: Parser::default(), exchange: Exchange::new(PACE), outbox: VecDeque::new(), end: None }
    }

    /// Asks, after a short silence: the line is half duplex, and an old answer may be on its way.
    pub(super) fn ask(&mut self, question: Frame, now: Mono) {
        self.exchange.begin(question.tries());
        self.end = None;
        self.exchange.listen(question, now);
    }

    /// Acknowledges the POLL answer that was just taken.
    pub(super) fn acknowledge(&mut self) {
        self.outbox.push_back(Frame::Ack);
    }

    pub(super) fn received(&mut self, byte: u8, now: Mono) {
        self.exchange.heard_byte(now);
        // A byte can complete several items: those of a frame whose checksum fails.
        let mut items = Vec::new();
        self.parser.push(byte, |item| items.push(item));
        for item in items {
            self.heard(item, now);
        }
    }

    fn heard(&mut self, item: Item, now: Mono) {
        let Some(question) = self.exchange.waiting_for() else { return };
        let body = match item {
            // Noise alone decides nothing: the answer may stand behind it.
            Item::Noise(byte) => return self.exchange.scrap.push(byte),
            Item::Frame(body) => body,
        };
        if let [code] = body[..]
            && OWN_CODES.contains(&code)
        {
            // No device is in a state of these numbers: our own bytes come back, and a line that echoes once
            // echoes again.
            return self.finish(End::Echoed(frame::command(code).to_vec()));
        }
        if matches!(body[..], [ACK | NAK]) {
            // The unit did not understand us, or this is an echo of our acknowledgement.
            self.exchange.scrap.extend(&body);
            return self.fail(question, now);
        }
        if question.is_answered_by(&body) {
            self.finish(End::Answered(body));
        } else {
            self.exchange.scrap.extend(&body);
        }
    }

    pub(super) fn wake_at(&self) -> Option<Mono> {
        self.exchange.wake_at()
    }

    pub(super) fn wake(&mut self, now: Mono) {
        match self.exchange.due(now) {
            Due::Nothing => {}
            Due::Ask(question) => {
                self.parser.restart();
                self.outbox.push_back(question);
                self.exchange.asked(question, now);
            }
            Due::Overdue(question) => self.fail(question, now),
        }
    }

    fn fail(&mut self, question: Frame, now: Mono) {
        let unfinished = self.parser.restart();
        self.exchange.scrap.extend(&unfinished);
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
        self.outbox.pop_front()
    }

    pub(super) fn take_end(&mut self) -> Option<End> {
        self.end.take()
    }
}
