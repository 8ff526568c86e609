//! What the states of a bill validator mean: reading, event, or "this unit is somebody else's".
use kioskwatch_proto::{faults::codes, words::PeripheralStatus};

use crate::drivers::{
    FoundFault, Reading,
    found::{found, found_sub, unknown},
};

/// States that only a host which lets the unit take notes can bring about: idling, accepting, stacking,
/// returning, holding, rejecting, note in escrow, note stacked, note returned. Judged by the first byte
/// alone: in doubt the unit is not ours.
pub(super) fn enabled_by_somebody(state: u8) -> bool {
    matches!(state, 0x14 | 0x15 | 0x17 | 0x18 | 0x1a | 0x1c | 0x80 | 0x81 | 0x82)
}

/// Power-up, initialise, disabled, or a standing failure: the states in which the protocol allows
/// IDENTIFICATION. Pause (46) stands inside that range of numbers but means that a note is in the mouth.
pub(super) fn allows_identify(state: u8) -> bool {
    matches!(state, 0x10..=0x13 | 0x19 | 0x41..=0x45 | 0x47)
}

/// The unit was switched on or reset, and no host has begun to work with it.
pub(super) fn is_power_up(state: u8) -> bool {
    matches!(state, 0x10..=0x12)
}

/// The only state in which nothing moves, nothing is wrong and no note can be inside.
pub(super) const DISABLED: u8 = 0x19;

/// The reading of a POLL answer: the state byte and its data.
pub(super) fn read(answer: &[u8]) -> Reading {
    use PeripheralStatus::{Busy, FraudAttempt, HardwareError, Online, Starting, UserError};
    let fault = |code: &str, text: &str| vec![found(code, answer, text)];
    let (status, state, faults) = match answer {
        [0x10] => (Starting, "power_up", vec![]),
        [0x11] => (Starting, "power_up_with_note_in_validator", vec![]),
        [0x12] => (Starting, "power_up_with_note_in_stacker", vec![]),
        [0x13] => (Starting, "initialising", vec![]),
        // How an acceptor rests that nobody uses: for a unit that is ours alone this is health.
        [DISABLED] => (Online, "disabled", vec![]),
        [0x1b] | [0x1b, _] => (Busy, "busy", vec![]),
        [0x46] => (Busy, "pause", vec![]),
        [0x41] => (UserError, "stacker_full", fault(codes::STACKER_FULL, "the stacker is full")),
        [0x42] => {
            (UserError, "stacker_removed", fault(codes::STACKER_REMOVED, "the stacker is not in place"))
        }
        [0x43] => (HardwareError, "jam", fault("note_jam(validator)", "a note is stuck in the validator")),
        [0x44] => (HardwareError, "jam", fault("note_jam(stacker)", "a note is stuck in the stacker")),
        [0x45] => {
            (FraudAttempt, "cheated", fault(codes::FRAUD_ATTEMPT, "the unit reports an attempt to cheat"))
        }
        [0x47, sub] => (HardwareError, "failure", vec![failure(*sub, answer)]),
        [0x30] => (HardwareError, "unknown", vec![unknown(answer, "the unit calls our question illegal")]),
        _ => (HardwareError, "unknown", vec![unknown(answer, "a state that the public tables do not name")]),
    };
    Reading { status, faults, values: Vec::new(), state: Some(state) }
}

/// The failure codes on which the public tables agree.
fn failure(sub: u8, answer: &[u8]) -> FoundFault {
    let text = match sub {
        0x50 => "stacking motor",
        0x51 => "transport motor speed",
        0x52 => "transport motor",
        0x53 => "aligning motor",
        0x54 => "stacker not in its first position",
        0x55 => "optical sensor",
        0x56 => "magnetic sensor",
        0x57..=0x5b => "a part of a bill-to-bill unit",
        0x5f => "capacitance sensor",
        _ => return unknown(answer, "a failure that the public tables do not name"),
    };
    found_sub(codes::ACCEPTOR_FAILURE, &[sub], answer, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &[u8], status: &str, faults: &[&str]) {
        let reading = read(answer);
        let found: Vec<_> = reading.faults.iter().map(|f| f.code.as_str()).collect();
        assert_eq!((reading.status.as_str(), &found[..]), (status, faults), "{answer:02x?}");
        assert!(reading.faults.iter().all(|f| f.raw == answer));
    }

    #[test]
    fn the_states_of_a_validator() {
        check(&[0x10], "starting", &[]);
        check(&[0x13], "starting", &[]);
        check(&[0x19], "online", &[]);
        check(&[0x1b, 0x0a], "busy", &[]);
        check(&[0x41], "user_error", &["stacker_full"]);
        check(&[0x42], "user_error", &["stacker_removed"]);
        check(&[0x43], "hardware_error", &["note_jam(validator)"]);
        check(&[0x44], "hardware_error", &["note_jam(stacker)"]);
        check(&[0x45], "fraud_attempt", &["fraud_attempt"]);
        check(&[0x46], "busy", &[]);
        check(&[0x47, 0x50], "hardware_error", &["acceptor_failure(50)"]);
        check(&[0x47, 0x5f], "hardware_error", &["acceptor_failure(5f)"]);
    }

    #[test]
    fn what_no_table_names_is_never_ok() {
        check(&[0x47, 0x90], "hardware_error", &["unknown_code(4790)"]);
        check(&[0x47], "hardware_error", &["unknown_code(47)"]);
        check(&[0x30], "hardware_error", &["unknown_code(30)"]);
        check(&[0x19, 0x01], "hardware_error", &["unknown_code(1901)"]);
        check(&[0xee], "hardware_error", &["unknown_code(ee)"]);
    }

    #[test]
    fn every_state_byte_is_read_or_not_ours() {
        for state in 0..=u8::MAX {
            let reading = read(&[state]);
            let explained = matches!(state, 0x10..=0x13 | 0x19 | 0x1b | 0x46);
            assert_eq!(reading.faults.is_empty(), explained, "{state:02x}");
            assert!(!enabled_by_somebody(state) || !allows_identify(state), "{state:02x}");
        }
    }
}
