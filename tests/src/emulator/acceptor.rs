//! A bill validator that speaks CCNET, and keeps its own account of every note.
//!
//! Source: public tables of the CashCode CCNET protocol. 9600 8N1; frames of sync `02`, address, length of
//! the whole frame, command or state with data, and a CRC with its low byte first.
//!
//! In CCNET reading is not harmless: the acknowledge of "stacked" consumes the only message that tells the
//! application of the money. So the validator writes down every question that a monitor must not ask, and
//! does what it is told.

mod frame;
mod model;
mod phase;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use super::device::Emulator;
pub use model::AcceptorModel;
pub use phase::Phase;

/// Where the notes went, by the validator's own count. Only a broken monitor changes it without a customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Types of the notes that went into the stacker, in order.
    pub stacked: Vec<u8>,
    /// Types of the notes that went back to the customer, in order.
    pub returned: Vec<u8>,
    /// "Stacked" messages that a host has acknowledged: each is a credit that nobody else will hear of.
    pub credits_taken: u64,
}

/// What a test can do to a bill validator, and what it can see of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptorState {
    /// What POLL answers.
    pub phase: Phase,
    /// Bill types that are let in: three bytes, type 0 is the lowest bit of the last.
    pub enabled: [u8; 3],
    /// Bill types that are looked at more strictly.
    pub high_security: [u8; 3],
    /// 15 characters.
    pub part_number: String,
    /// 12 characters.
    pub serial: String,
    /// 7 bytes.
    pub asset: [u8; 7],
    /// Written by the validator.
    pub notes: Notes,
    /// A host has put it into firmware mode: it is deaf until the next power-up. Written by the validator.
    pub in_download: bool,
}

impl Default for AcceptorState {
    /// Started long ago and switched off, as it stands between two customers.
    fn default() -> Self {
        Self {
            phase: Phase::Disabled,
            enabled: [0; 3],
            high_security: [0; 3],
            part_number: "SM-2073".to_owned(),
            serial: "21K0400471".to_owned(),
            asset: *b"KIOSK01",
            notes: Notes::default(),
            in_download: false,
        }
    }
}

/// A bill validator on a line of its own.
pub type Acceptor = Emulator<AcceptorModel>;

impl Acceptor {
    /// A healthy validator, switched off by its inhibit, at `dir/name`.
    pub fn start(dir: &Path, name: &str) -> io::Result<Self> {
        Self::with_model(dir, name, AcceptorModel::default())
    }

    /// A customer puts in a note. False if it was not taken: the validator is not idling, or does not
    /// accept this type.
    pub fn insert_note(&self, bill_type: u8) -> bool {
        let taken = self.model().insert_note(bill_type);
        self.line().nudge();
        taken
    }
}
