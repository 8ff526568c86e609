//! How the printer behaves: what it answers at once, what it answers in turn, what it prints.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::super::device::{Model, Replies, Violations};
use super::commands::{Command, next_command};
use super::realtime::{Found, Receiver};
use super::status::watched;
use super::{PrinterOptions, PrinterState};

/// A receive buffer of 4 KiB holds about this many of the three-byte commands.
const QUEUE_LIMIT: usize = 1365;

/// The inside of a [`super::Printer`].
pub struct PrinterModel {
    options: PrinterOptions,
    state: PrinterState,
    violations: Violations,
    receiver: Receiver,
    /// The beginning of a command whose end has not come.
    pending: Vec<u8>,
    queue: VecDeque<Command>,
    /// The `n` of GS a; 0 is off. It outlives the client that set it.
    automatic: u8,
    last_automatic: [u8; 4],
    test_print_ends: Option<Instant>,
    /// The last command was data to print, so more of it is the same breach.
    in_print_data: bool,
}

impl PrinterModel {
    pub(super) fn new(options: PrinterOptions) -> Self {
        Self {
            options,
            state: PrinterState::default(),
            violations: Violations::default(),
            receiver: Receiver::default(),
            pending: Vec::new(),
            queue: VecDeque::new(),
            automatic: 0,
            last_automatic: [0; 4],
            test_print_ends: None,
            in_print_data: false,
        }
    }

    fn realtime_status(&self, n: u8, say: &mut Replies) {
        let sensor = self.options.near_end_sensor;
        match n {
            1 => say.push(vec![self.state.realtime_printer()]),
            2 => say.push(vec![self.state.realtime_offline_cause()]),
            3 => say.push(vec![self.state.realtime_error()]),
            4 => say.push(vec![self.state.realtime_paper(sensor)]),
            20 if self.options.custom_full_status => say.push(self.state.custom_full(sensor).to_vec()),
            _ => {}
        }
    }

    fn realtime_recover(&mut self, n: u8) {
        if n != 1 {
            self.violations.record("DLE ENQ that throws away the application's data", &[0x10, 0x05, n]);
            self.pending.clear();
            self.queue.clear();
        }
        self.state.cutter_error = false;
        self.state.recoverable_error = false;
        self.state.waiting_for_recovery = false;
    }

    /// Judges a command when it arrives, although it may be carried out much later.
    fn accept(&mut self, command: Command) {
        let printing = matches!(command, Command::Print(_));
        match &command {
            Command::Initialise => {
                self.violations.record("ESC @ discards the application's settings", b"\x1b@");
            }
            Command::AutomaticStatus(n) => {
                self.violations.record("GS a makes the printer talk unasked", &[0x1D, 0x61, *n]);
            }
            Command::OtherTest(parameters) => {
                self.violations.record("GS ( A with another pattern than the test page", parameters);
            }
            Command::Print(data) if !self.in_print_data => {
                self.violations.record("data to print from a monitor", data);
            }
            Command::Print(_) | Command::Transmit(_) | Command::Identify(_) | Command::TestPrint => {}
        }
        self.in_print_data = printing;
        if self.queue.len() < QUEUE_LIMIT {
            self.queue.push_back(command);
        }
    }

    /// Carries out what waits, as far as the printer can. After a fault this is the burst of old answers.
    fn work_off(&mut self, now: Instant, say: &mut Replies) {
        while !self.state.stopped() && !self.state.printing {
            let Some(command) = self.queue.pop_front() else { return };
            match command {
                Command::Transmit(n) => match n {
                    1 | b'1' => say.push(vec![self.state.transmit_paper(self.options.near_end_sensor)]),
                    2 | b'2' => say.push(vec![self.state.transmit_drawer()]),
                    _ => {}
                },
                Command::Identify(n) => self.identify(n, say),
                Command::AutomaticStatus(n) => {
                    self.automatic = n;
                    self.last_automatic = self.group();
                    if n != 0 {
                        say.push(self.last_automatic.to_vec());
                    }
                }
                Command::TestPrint => {
                    self.state.printing = true;
                    self.test_print_ends = Some(now + self.options.test_print_takes);
                }
                Command::Initialise => self.automatic = 0,
                Command::OtherTest(_) | Command::Print(_) => {}
            }
        }
    }

    fn identify(&self, n: u8, say: &mut Replies) {
        let identity = &self.options.identity;
        let text = match n {
            1 | b'1' => return say.push(vec![identity.model_id]),
            2 | b'2' => return say.push(vec![identity.type_id]),
            65 => &identity.firmware,
            66 => &identity.maker,
            67 => &identity.model,
            68 => &identity.serial,
            _ => return,
        };
        let mut block = vec![b'_'];
        block.extend_from_slice(text.as_bytes());
        block.push(0);
        say.push(block);
    }

    fn group(&self) -> [u8; 4] {
        self.state.automatic(self.options.near_end_sensor)
    }

    fn push_automatic(&mut self, say: &mut Replies) {
        let group = self.group();
        if watched(self.automatic, group) != watched(self.automatic, self.last_automatic) {
            say.push(group.to_vec());
        }
        self.last_automatic = group;
    }

    fn finish_test_print(&mut self, now: Instant) {
        if !self.state.stopped() && self.test_print_ends.is_some_and(|at| at <= now) {
            self.test_print_ends = None;
            self.state.printing = false;
            self.state.test_prints += 1;
        }
    }
}

impl Model for PrinterModel {
    type State = PrinterState;

    fn state(&self) -> &PrinterState {
        &self.state
    }

    fn state_mut(&mut self) -> &mut PrinterState {
        &mut self.state
    }

    fn hear(&mut self, now: Instant, bytes: &[u8], say: &mut Replies) {
        for &byte in bytes {
            match self.receiver.take(byte) {
                Found::Nothing => continue,
                Found::Status(n) => self.realtime_status(n, say),
                Found::Recover(n) => self.realtime_recover(n),
                Found::Pulse(n) => self.violations.record("DLE DC4 acts on the hardware", &[0x10, 0x14, n]),
                Found::Data(data) => self.pending.extend(data),
            }
            while let Some(command) = next_command(&mut self.pending) {
                self.accept(command);
            }
            // Byte by byte, so that answers leave in the order of their questions.
            self.wake(now, say);
        }
    }

    fn wake(&mut self, now: Instant, say: &mut Replies) {
        self.finish_test_print(now);
        self.push_automatic(say);
        self.work_off(now, say);
        self.push_automatic(say);
    }

    fn due(&self) -> Option<Instant> {
        // A print that a fault has stopped waits for the fault to go, not for the clock.
        self.test_print_ends.filter(|_| !self.state.stopped())
    }

    fn power(&mut self, _now: Instant, _on: bool) {
        self.receiver = Receiver::default();
        self.pending.clear();
        self.queue.clear();
        self.automatic = 0;
        self.test_print_ends = None;
        self.state.printing = false;
        self.in_print_data = false;
    }

    /// No frame and no checksum: only the fixed bits can betray a bad byte, so one is hit in every byte.
    fn damage(&self, reply: &mut [u8]) {
        for byte in reply {
            *byte ^= 0x80;
        }
    }

    fn violations(&mut self) -> &mut Violations {
        &mut self.violations
    }
}
