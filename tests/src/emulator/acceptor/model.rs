//! How the validator behaves: what it answers, where the notes go, and what it will not forgive.

use std::time::Duration;

use tokio::time::Instant;

use super::super::device::{Model, Replies, Violations};
use super::frame::{Heard, Reader, build};
use super::{AcceptorState, Phase};

const ACK: u8 = 0x00;
const ILLEGAL_COMMAND: u8 = 0x30;
const NAK: u8 = 0xFF;

/// From the feed of a note to escrow.
const ACCEPTING_TAKES: Duration = Duration::from_millis(600);
/// From escrow to the stacker, or back to the mouth.
const MOVING_TAKES: Duration = Duration::from_millis(400);
/// A note that nobody decides about goes back: ten seconds, public CCNET tables.
const ESCROW_LASTS: Duration = Duration::from_secs(10);
/// A validator shows its start for a moment, so that a poll per second can see it.
const POWER_UP_LASTS: Duration = Duration::from_millis(1500);
const INITIALISE_LASTS: Duration = Duration::from_millis(1500);

/// The inside of a [`super::Acceptor`].
#[derive(Default)]
pub struct AcceptorModel {
    state: AcceptorState,
    violations: Violations,
    reader: Reader,
    powered_off: bool,
    /// The phase whose deadline is `next`; a test may have changed the phase since.
    timed: Option<Phase>,
    next: Option<(Instant, Phase)>,
    /// The type of the note in the path.
    note: Option<u8>,
    /// The frame to repeat after a NAK.
    last_reply: Option<Vec<u8>>,
    /// What the last POLL was told, until the host acknowledges it.
    told: Option<Phase>,
    /// An answer has already shown that somebody else works with this validator.
    forewarned: bool,
}

impl AcceptorModel {
    /// See [`super::Acceptor::insert_note`].
    pub(super) fn insert_note(&mut self, bill_type: u8) -> bool {
        let byte = 2_usize.checked_sub(usize::from(bill_type / 8)).map(|index| self.state.enabled[index]);
        let accepted = byte.is_some_and(|byte| byte & (1 << (bill_type % 8)) != 0);
        if self.state.phase != Phase::Idling || !accepted || self.powered_off {
            return false;
        }
        self.note = Some(bill_type);
        self.state.phase = Phase::Accepting;
        true
    }

    fn answer(&mut self, command: &[u8], say: &mut Replies) {
        let payload = match command {
            [ACK] => return self.acknowledged(),
            [NAK] => {
                say.extend(self.last_reply.clone());
                return;
            }
            [0x33] => self.poll(),
            [0x31] => [&[][..], &self.state.enabled, &self.state.high_security].concat(),
            [0x37] if self.state.phase.may_identify() => self.identification(),
            [0x41] if self.state.phase.may_identify() => bill_table(),
            [0x30, ..] => self.reset(command),
            [0x32, security @ ..] => {
                self.breach("SET SECURITY changes what is accepted", command);
                match <[u8; 3]>::try_from(security) {
                    Ok(security) => {
                        self.state.high_security = security;
                        vec![ACK]
                    }
                    Err(_) => vec![ILLEGAL_COMMAND],
                }
            }
            [0x34, types @ ..] => self.enable(command, types),
            [0x35] => {
                self.breach("STACK takes the note", command);
                self.move_note(Phase::Stacking)
            }
            [0x36] => {
                self.breach("RETURN gives the note back", command);
                self.move_note(Phase::Returning)
            }
            [0x38] => {
                self.breach("HOLD keeps the note", command);
                self.move_note(Phase::Holding)
            }
            [0x50, ..] => {
                self.breach("DOWNLOAD replaces the firmware", command);
                self.state.in_download = true;
                vec![ACK]
            }
            _ => vec![ILLEGAL_COMMAND],
        };
        let frame = build(&payload);
        self.last_reply = Some(frame.clone());
        say.push(frame);
    }

    fn poll(&mut self) -> Vec<u8> {
        let phase = self.state.phase;
        if phase.note_waits() {
            self.question("POLL with a note in escrow", 0x33);
        } else if matches!(phase, Phase::Stacked(_) | Phase::Returned(_)) {
            self.question("POLL while the application has not heard where its note went", 0x33);
        }
        self.forewarned = phase.shows_an_owner();
        self.told = Some(phase);
        phase.payload()
    }

    /// The host has understood the last answer. For some states that is a deed.
    fn acknowledged(&mut self) {
        let Some(told) = self.told.take() else { return };
        match told {
            Phase::Stacked(_) => {
                self.question("ACK of a stacked note: the application will never hear of the money", ACK);
                self.state.notes.credits_taken += 1;
            }
            Phase::Returned(_) => {
                self.question("ACK of a returned note: the application will never hear of it", ACK);
            }
            Phase::Escrow(_) | Phase::Holding => self.question("ACK with a note in escrow", ACK),
            _ => {}
        }
        let event = matches!(told, Phase::Stacked(_) | Phase::Returned(_) | Phase::Rejecting(_));
        if event && self.state.phase == told {
            self.state.phase = self.resting();
        }
    }

    /// RESET: a note in the path goes back to the customer, and the validator starts again.
    fn reset(&mut self, command: &[u8]) -> Vec<u8> {
        self.breach("RESET moves a note in the path", command);
        self.state.enabled = [0; 3];
        self.state.phase = Phase::Initialise;
        vec![ACK]
    }

    fn enable(&mut self, command: &[u8], types: &[u8]) -> Vec<u8> {
        self.breach("ENABLE BILL TYPES switches acceptance", command);
        let &[high, middle, low, _, _, _] = types else { return vec![ILLEGAL_COMMAND] };
        self.state.enabled = [high, middle, low];
        if matches!(self.state.phase, Phase::Idling | Phase::Disabled) {
            self.state.phase = self.resting();
        }
        vec![ACK]
    }

    fn move_note(&mut self, to: Phase) -> Vec<u8> {
        if !self.state.phase.note_waits() {
            return vec![ILLEGAL_COMMAND];
        }
        self.state.phase = to;
        vec![ACK]
    }

    /// What it does when it does nothing.
    fn resting(&self) -> Phase {
        if self.state.enabled == [0; 3] { Phase::Disabled } else { Phase::Idling }
    }

    fn identification(&self) -> Vec<u8> {
        let state = &self.state;
        let mut payload = format!("{:<15.15}{:<12.12}", state.part_number, state.serial).into_bytes();
        payload.extend(state.asset);
        payload
    }

    /// A command that no monitor sends, whatever the state.
    fn breach(&mut self, rule: &'static str, command: &[u8]) {
        self.violations.record(rule, command);
    }

    /// A question that is harmless in another state.
    fn question(&mut self, rule: &'static str, command: u8) {
        self.violations.record_with(rule, &[command], self.forewarned);
    }

    /// Sets the deadline of a phase that has just begun, whoever began it.
    fn begin_phase(&mut self, now: Instant) {
        let phase = self.state.phase;
        if self.timed == Some(phase) {
            return;
        }
        self.timed = Some(phase);
        match phase {
            Phase::Escrow(bill_type) | Phase::Stacked(bill_type) | Phase::Returned(bill_type) => {
                self.note = Some(bill_type);
            }
            _ => {}
        }
        let bill_type = self.note.unwrap_or_default();
        self.next = match phase {
            Phase::Accepting if self.note.is_some() => Some((ACCEPTING_TAKES, Phase::Escrow(bill_type))),
            Phase::Escrow(_) | Phase::Holding => Some((ESCROW_LASTS, Phase::Returning)),
            Phase::Stacking if self.note.is_some() => Some((MOVING_TAKES, Phase::Stacked(bill_type))),
            Phase::Returning if self.note.is_some() => Some((MOVING_TAKES, Phase::Returned(bill_type))),
            Phase::Initialise => Some((INITIALISE_LASTS, self.resting())),
            phase if phase.is_power_up() => Some((POWER_UP_LASTS, Phase::Initialise)),
            _ => None,
        }
        .map(|(after, then)| (now + after, then));
        match phase {
            Phase::Stacked(_) => self.state.notes.stacked.extend(self.note.take()),
            // Before it works again, whatever lies in the path goes back to the mouth.
            Phase::Returned(_) | Phase::Initialise => self.state.notes.returned.extend(self.note.take()),
            Phase::Disabled | Phase::Idling => self.note = None,
            _ => {}
        }
    }
}

impl Model for AcceptorModel {
    type State = AcceptorState;

    fn state(&self) -> &AcceptorState {
        &self.state
    }

    fn state_mut(&mut self) -> &mut AcceptorState {
        &mut self.state
    }

    fn hear(&mut self, now: Instant, bytes: &[u8], say: &mut Replies) {
        self.reader.push(now, bytes);
        while let Some(heard) = self.reader.next() {
            if self.state.in_download {
                continue;
            }
            match heard {
                Heard::Command(command) => self.answer(&command, say),
                Heard::Broken => say.push(build(&[NAK])),
            }
            self.begin_phase(now);
        }
    }

    fn wake(&mut self, now: Instant, _say: &mut Replies) {
        if self.powered_off {
            return;
        }
        self.begin_phase(now);
        while let Some((_, then)) = self.next.take_if(|(at, _)| *at <= now) {
            self.state.phase = then;
            self.begin_phase(now);
        }
    }

    fn due(&self) -> Option<Instant> {
        self.next.as_ref().map(|(at, _)| *at)
    }

    fn power(&mut self, now: Instant, on: bool) {
        self.powered_off = !on;
        self.reader.clear();
        self.last_reply = None;
        self.told = None;
        self.next = None;
        self.timed = None;
        self.forewarned = false;
        self.state.in_download = false;
        self.state.enabled = [0; 3];
        if on {
            self.state.phase = self.phase_at_power_up();
            self.begin_phase(now);
        }
    }

    fn violations(&mut self) -> &mut Violations {
        &mut self.violations
    }
}

impl AcceptorModel {
    /// A defect that a test has set outlives the power; so does a note in the path, and it is said.
    fn phase_at_power_up(&self) -> Phase {
        match self.state.phase {
            standing @ (Phase::StackerFull
            | Phase::StackerRemoved
            | Phase::ValidatorJam
            | Phase::StackerJam
            | Phase::Failure(_)) => standing,
            _ if self.note.is_some() => Phase::PowerUpBillInValidator,
            _ => Phase::PowerUp,
        }
    }
}

/// GET BILL TABLE: 24 records of first digit, country, and the number of zeros; the unused are zero.
fn bill_table() -> Vec<u8> {
    let mut table = Vec::with_capacity(24 * 5);
    for (digit, zeros) in [(1, 0), (5, 0), (1, 1), (2, 1), (5, 1), (1, 2)] {
        table.push(digit);
        table.extend(b"CHN");
        table.push(zeros);
    }
    table.resize(24 * 5, 0);
    table
}
