//! The first bytes of what made no sense, kept for the people who must find out why.
use std::fmt;

use kioskwatch_proto::limits::MAX_RAW_BYTES;

/// Keeps the first bytes and counts the rest, however long the noise lasts.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Scrap {
    first: Vec<u8>,
    total: usize,
}

impl Scrap {
    /// Enough to recognise a wrong speed, an echo or another protocol; far below what a record may carry.
    pub(super) const KEPT: usize = 64;

    pub(super) fn push(&mut self, byte: u8) {
        if self.first.len() < Self::KEPT {
            self.first.push(byte);
        }
        self.total = self.total.saturating_add(1);
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.push(*byte);
        }
    }

    pub(super) fn clear(&mut self) {
        self.first.clear();
        self.total = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The bytes kept.
    pub(super) fn first(&self) -> &[u8] {
        &self.first
    }
}

const _: () = assert!(Scrap::KEPT <= MAX_RAW_BYTES);

impl fmt::Debug for Scrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scrap({:02x?} of {})", self.first, self.total)
    }
}
