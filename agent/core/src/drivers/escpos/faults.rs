//! What the bits of a printer's answers mean in our fault codes.
use kioskwatch_proto::{faults::codes, words::PeripheralStatus};

use crate::drivers::{
    FoundFault, Reading,
    found::{found, unknown},
};

/// The answers to DLE EOT 1..4; `None` where the configuration says that the printer does not know the
/// question. What was not asked can raise no fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct StatusBytes {
    pub(super) printer: Option<u8>,
    pub(super) offline: Option<u8>,
    pub(super) error: Option<u8>,
    pub(super) paper: Option<u8>,
}

/// Bits of DLE EOT 1.
const OFFLINE: u8 = 1 << 3;
const WAITING_FOR_RECOVERY: u8 = 1 << 5;
const FEED_BUTTON: u8 = 1 << 6;
/// Bits of DLE EOT 2.
const COVER: u8 = 1 << 2;
const FED_BY_BUTTON: u8 = 1 << 3;
const STOPPED_BY_PAPER_END: u8 = 1 << 5;
const ERROR_OCCURRED: u8 = 1 << 6;
/// Bits of DLE EOT 3.
const RECOVERABLE: u8 = 1 << 2;
const CUTTER: u8 = 1 << 3;
const UNRECOVERABLE: u8 = 1 << 5;
const RECOVERS_BY_ITSELF: u8 = 1 << 6;
const ANY_CAUSE: u8 = RECOVERABLE | CUTTER | UNRECOVERABLE | RECOVERS_BY_ITSELF;
/// Bits of DLE EOT 4, each sensor a pair. One bit of a pair is taken for both: half an alarm is no all-clear.
const NEAR_END: u8 = 0x0c;
const NO_PAPER: u8 = 0x60;

/// The reading that the status bytes amount to.
pub(super) fn read_status(bytes: StatusBytes) -> Reading {
    let mut faults = Vec::new();
    let mut raise = |code: &str, byte: Option<u8>, text: &str| {
        faults.push(found(code, byte.as_slice(), text));
    };
    let has = |byte: Option<u8>, bits: u8| byte.is_some_and(|b| b & bits != 0);
    let cover_open = has(bytes.offline, COVER);
    if cover_open {
        raise(codes::COVER_OPEN, bytes.offline, "DLE EOT 2: the cover is open");
    }
    if has(bytes.paper, NO_PAPER) {
        raise(codes::PAPER_OUT, bytes.paper, "DLE EOT 4: no paper at the sensor");
    } else if has(bytes.offline, STOPPED_BY_PAPER_END) {
        raise(codes::PAPER_OUT, bytes.offline, "DLE EOT 2: stopped by the end of the paper");
    }
    if has(bytes.paper, NEAR_END) {
        raise(codes::PAPER_LOW, bytes.paper, "DLE EOT 4: the roll is near its end");
    }
    if has(bytes.error, RECOVERABLE) {
        raise(codes::PRINTER_ERROR_RECOVERABLE, bytes.error, "DLE EOT 3: recoverable error");
    }
    if has(bytes.error, CUTTER) {
        raise(codes::CUTTER_ERROR, bytes.error, "DLE EOT 3: the cutter is stuck");
    }
    if has(bytes.error, UNRECOVERABLE) {
        raise(codes::PRINTER_ERROR_UNRECOVERABLE, bytes.error, "DLE EOT 3: unrecoverable error");
    }
    // The same bit says "cover opened while printing": then the cover is the cause, not the head.
    if has(bytes.error, RECOVERS_BY_ITSELF) && !cover_open {
        raise(codes::HEAD_OVERHEAT, bytes.error, "DLE EOT 3: the head is too hot, it goes on by itself");
    }
    if has(bytes.offline, ERROR_OCCURRED) && !has(bytes.error, ANY_CAUSE) {
        faults.push(unknown(
            bytes.offline.as_slice(),
            "DLE EOT 2 reports an error that DLE EOT 3 does not name",
        ));
    }
    let offline = has(bytes.printer, OFFLINE | WAITING_FOR_RECOVERY);
    if offline && faults.iter().all(harmless) {
        faults.push(found(
            codes::PRINTER_OFFLINE,
            bytes.printer.as_slice(),
            "DLE EOT 1: offline, and no cause is given",
        ));
    }
    let state = if has(bytes.printer, WAITING_FOR_RECOVERY) {
        "waiting_for_recovery"
    } else if offline {
        "offline"
    } else {
        "ready"
    };
    Reading { status: status_of(&faults), faults, values: Vec::new(), state: Some(state) }
}

/// Whether somebody holds the feed button: an event, no fault.
pub(super) fn feed_button(bytes: StatusBytes) -> bool {
    bytes.printer.is_some_and(|b| b & FEED_BUTTON != 0)
        || bytes.offline.is_some_and(|b| b & FED_BY_BUTTON != 0)
}

/// Bits of the Custom full status, by the byte they stand in: paper, user, recoverable.
const PAPER_ABSENT: u8 = 1 << 0;
const PAPER_NEAR_END: u8 = 1 << 2;
const TICKET_IN_OUTPUT: u8 = 1 << 5;
const PAPER_VIRTUAL_END: u8 = 1 << 6;
const PAPER_NOTCH: u8 = 1 << 7;
const PAPER_KNOWN: u8 = PAPER_ABSENT | PAPER_NEAR_END | TICKET_IN_OUTPUT | PAPER_VIRTUAL_END | PAPER_NOTCH;
const HEAD_UP: u8 = 1 << 0;
const COVER_UP: u8 = 1 << 1;
const SPOOLING: u8 = 1 << 2;
const DRAG_MOTOR: u8 = 1 << 3;
const FEED_KEYS: u8 = 1 << 5 | 1 << 6;
const USER_KNOWN: u8 = HEAD_UP | COVER_UP | SPOOLING | DRAG_MOTOR | FEED_KEYS;
const HEAD_TEMPERATURE: u8 = 1 << 0;
const SERIAL_LINE: u8 = 1 << 1;
const SUPPLY_VOLTAGE: u8 = 1 << 3;
const RECOVERABLE_KNOWN: u8 = HEAD_TEMPERATURE | SERIAL_LINE | SUPPLY_VOLTAGE;

/// The reading that a Custom full status amounts to.
pub(super) fn read_full(reply: [u8; 6]) -> Reading {
    let [_, _, paper, user, recoverable, fatal] = reply;
    let mut faults = Vec::new();
    let mut raise = |holds: bool, code: &str, text: &str| {
        if holds {
            faults.push(found(code, &reply, text));
        }
    };
    raise(paper & PAPER_ABSENT != 0, codes::PAPER_OUT, "paper absent");
    raise(paper & (PAPER_NEAR_END | PAPER_VIRTUAL_END) != 0, codes::PAPER_LOW, "paper near its end");
    raise(paper & TICKET_IN_OUTPUT != 0, codes::TICKET_NOT_TAKEN, "a ticket waits in the output");
    raise(user & (HEAD_UP | COVER_UP) != 0, codes::COVER_OPEN, "head or cover open");
    raise(recoverable & HEAD_TEMPERATURE != 0, codes::HEAD_OVERHEAT, "head temperature");
    raise(recoverable & SERIAL_LINE != 0, codes::COMM_GARBLED, "the printer reports errors on its line");
    raise(recoverable & SUPPLY_VOLTAGE != 0, codes::VOLTAGE_ERROR, "supply voltage");
    raise(fatal != 0, codes::PRINTER_ERROR_UNRECOVERABLE, "unrecoverable error; the bits differ by model");
    for (offset, byte, known) in
        [(2, paper, PAPER_KNOWN), (3, user, USER_KNOWN), (4, recoverable, RECOVERABLE_KNOWN)]
    {
        if byte & !known != 0 {
            faults.push(unknown(&[offset, byte & !known], "bits that the public tables do not name"));
        }
    }
    let state = if user & (SPOOLING | DRAG_MOTOR) != 0 { "printing" } else { "ready" };
    Reading { status: status_of(&faults), faults, values: Vec::new(), state: Some(state) }
}

/// Whether a key of a Custom printer is held.
pub(super) fn feed_keys(reply: [u8; 6]) -> bool {
    reply[3] & FEED_KEYS != 0
}

/// Faults with which a printer still prints.
pub(super) fn harmless(fault: &FoundFault) -> bool {
    matches!(fault.code.base(), codes::PAPER_LOW | codes::TICKET_NOT_TAKEN)
}

/// What a technician must mend outweighs what an attendant can, and both outweigh "offline".
fn status_of(faults: &[FoundFault]) -> PeripheralStatus {
    let weight = |fault: &FoundFault| match fault.code.base() {
        codes::PAPER_LOW | codes::TICKET_NOT_TAKEN => 0,
        codes::PRINTER_OFFLINE => 1,
        codes::PAPER_OUT | codes::COVER_OPEN => 2,
        _ => 3,
    };
    match faults.iter().map(weight).max() {
        None | Some(0) => PeripheralStatus::Online,
        Some(1) => PeripheralStatus::Offline,
        Some(2) => PeripheralStatus::UserError,
        Some(_) => PeripheralStatus::HardwareError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(printer: u8, offline: u8, error: u8, paper: u8, status: &str, faults: &[&str]) {
        let reading = read_status(StatusBytes {
            printer: Some(printer),
            offline: Some(offline),
            error: Some(error),
            paper: Some(paper),
        });
        let found: Vec<_> = reading.faults.iter().map(|f| f.code.as_str()).collect();
        assert_eq!((reading.status.as_str(), &found[..]), (status, faults));
    }

    #[test]
    fn the_states_of_a_printer() {
        check(0x12, 0x12, 0x12, 0x12, "online", &[]);
        check(0x12, 0x12, 0x12, 0x1e, "online", &["paper_low"]);
        check(0x1a, 0x32, 0x12, 0x7e, "user_error", &["paper_out", "paper_low"]);
        check(0x1a, 0x32, 0x12, 0x72, "user_error", &["paper_out"]);
        check(0x1a, 0x16, 0x12, 0x12, "user_error", &["cover_open"]);
        check(0x1a, 0x12, 0x12, 0x12, "offline", &["printer_offline"]);
        check(0x32, 0x12, 0x12, 0x1e, "offline", &["paper_low", "printer_offline"]);
        check(0x1a, 0x52, 0x16, 0x12, "hardware_error", &["printer_error_recoverable"]);
        check(0x1a, 0x52, 0x1a, 0x12, "hardware_error", &["cutter_error"]);
        check(0x1a, 0x52, 0x32, 0x12, "hardware_error", &["printer_error_unrecoverable"]);
        check(0x1a, 0x52, 0x52, 0x12, "hardware_error", &["head_overheat"]);
    }

    #[test]
    fn a_cover_opened_while_printing_is_no_hot_head() {
        check(0x1a, 0x56, 0x52, 0x12, "user_error", &["cover_open"]);
    }

    #[test]
    fn an_error_without_a_name_is_not_ok() {
        check(0x1a, 0x52, 0x12, 0x12, "hardware_error", &["unknown_code(52)"]);
    }

    #[test]
    fn unnamed_bits_of_a_custom_printer_surface() {
        let reading = read_full([0x10, 0x0f, 0, 0, 0x20, 0]);
        assert_eq!(reading.faults[0].code.as_str(), "unknown_code(0420)");
        let reading = read_full([0x10, 0x0f, 0, 0, 0, 0x40]);
        assert_eq!(reading.faults[0].code.as_str(), "printer_error_unrecoverable");
        assert_eq!(reading.faults[0].raw, [0x10, 0x0f, 0, 0, 0, 0x40]);
    }
}
