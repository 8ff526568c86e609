//! How the UPS behaves: it answers questions, and it really does what it is told.

use std::time::Duration;

use tokio::time::Instant;

use super::super::device::{Model, Replies, Violations};
use super::UpsState;

/// The longest command is `S.5R0003`; a longer line is noise.
const COMMAND_LIMIT: usize = 32;

/// The inside of a [`super::Ups`].
#[derive(Default)]
pub struct UpsModel {
    state: UpsState,
    violations: Violations,
    pending: Vec<u8>,
    /// When the running test ends; a deep test has no end of its own.
    test_ends: Option<Instant>,
    shutdown: Option<Shutdown>,
    /// When the outlets come back after a shutdown with return.
    load_returns: Option<Instant>,
}

/// An ordered shutdown.
struct Shutdown {
    at: Instant,
    returns_after: Option<Duration>,
}

impl UpsModel {
    fn obey(&mut self, now: Instant, command: &[u8], say: &mut Replies) {
        match command {
            b"Q1" => say.push(self.state.status_line().into_bytes()),
            b"F" => say.push(self.state.rating_line().into_bytes()),
            b"I" => say.push(self.state.info_line().into_bytes()),
            b"T" => self.start_test(now, Some(self.state.test_takes)),
            b"CT" => self.stop_test(),
            b"TL" => {
                self.violations.record("TL runs the battery down", command);
                self.start_test(now, None);
            }
            b"Q" => {
                self.violations.record("Q switches the beeper", command);
                self.state.beeper = !self.state.beeper;
            }
            [b'T', minutes @ ..] if !minutes.is_empty() && minutes.iter().all(u8::is_ascii_digit) => {
                self.violations.record("T with minutes keeps the load on the battery", command);
                let minutes = digits(minutes);
                self.start_test(now, Some(Duration::from_secs(60) * minutes));
            }
            [b'S', order @ ..] => {
                self.violations.record("S switches the load off", command);
                self.order_shutdown(now, order);
            }
            [b'C', ..] => {
                self.violations.record("C cancels a shutdown or switches the load on", command);
                self.shutdown = None;
                self.load_returns = None;
                self.state.shutdown_active = false;
                self.state.load_on = true;
            }
            _ => {
                let mut echo = command.to_vec();
                echo.push(b'\r');
                say.push(echo);
            }
        }
    }

    /// A UPS that already lives on its battery does not test it.
    fn start_test(&mut self, now: Instant, takes: Option<Duration>) {
        if self.state.on_battery || self.state.battery_low {
            return;
        }
        self.state.test_running = true;
        self.test_ends = takes.map(|takes| now + takes);
    }

    fn stop_test(&mut self) {
        self.state.test_running = false;
        self.test_ends = None;
    }

    /// `n` or `nRmmmm`: off after n minutes (`.5` is half a minute), on again after m; `R0000` stays off.
    fn order_shutdown(&mut self, now: Instant, order: &[u8]) {
        let mut parts = order.splitn(2, |byte| *byte == b'R');
        let delay = match parts.next().unwrap_or_default() {
            [b'.', tenths @ ..] => Duration::from_secs(6) * digits(tenths),
            minutes => Duration::from_secs(60) * digits(minutes),
        };
        let minutes_off = parts.next().map_or(0, digits);
        let returns_after = (minutes_off > 0).then(|| Duration::from_secs(60) * minutes_off);
        self.shutdown = Some(Shutdown { at: now + delay, returns_after });
        self.state.shutdown_active = true;
    }

    fn keep_deadlines(&mut self, now: Instant) {
        if self.test_ends.is_some_and(|at| at <= now) {
            self.stop_test();
        }
        if let Some(Shutdown { at, returns_after }) = self.shutdown.take_if(|shutdown| shutdown.at <= now) {
            self.state.shutdown_active = false;
            self.state.load_on = false;
            self.load_returns = returns_after.map(|pause| at + pause);
        }
        if self.load_returns.take_if(|at| *at <= now).is_some() {
            self.state.load_on = true;
        }
    }
}

/// The number that these digits say; whatever is not a digit does not count.
fn digits(text: &[u8]) -> u32 {
    text.iter()
        .filter(|byte| byte.is_ascii_digit())
        .take(4)
        .fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

impl Model for UpsModel {
    type State = UpsState;

    fn state(&self) -> &UpsState {
        &self.state
    }

    fn state_mut(&mut self) -> &mut UpsState {
        &mut self.state
    }

    fn hear(&mut self, now: Instant, bytes: &[u8], say: &mut Replies) {
        for &byte in bytes {
            if byte == b'\r' {
                let command = std::mem::take(&mut self.pending);
                if !command.is_empty() {
                    self.obey(now, &command, say);
                    self.keep_deadlines(now);
                }
            } else if self.pending.len() < COMMAND_LIMIT {
                self.pending.push(byte);
            }
        }
    }

    fn wake(&mut self, now: Instant, _say: &mut Replies) {
        self.keep_deadlines(now);
    }

    fn due(&self) -> Option<Instant> {
        let shutdown = self.shutdown.as_ref().map(|shutdown| shutdown.at);
        [self.test_ends, shutdown, self.load_returns].into_iter().flatten().min()
    }

    fn power(&mut self, _now: Instant, on: bool) {
        self.pending.clear();
        self.stop_test();
        self.shutdown = None;
        self.load_returns = None;
        self.state.shutdown_active = false;
        self.state.load_on = on;
    }

    /// No checksum, but a fixed form: a figure that is not a digit, and the end of the line still there.
    fn damage(&self, reply: &mut [u8]) {
        for byte in reply.iter_mut().filter(|byte| byte.is_ascii_digit()).step_by(3) {
            *byte ^= 0x40;
        }
    }

    fn violations(&mut self) -> &mut Violations {
        &mut self.violations
    }
}
