//! Exactly once, and never stuck: what a journal's head makes of the next record.
//!
//! Pure arithmetic on numbers and contents; what an applied record *means* is the fleet's business.
use kioskwatch_proto::journal::{Digest, Record, RecordError};
use serde::{Deserialize, Serialize};

/// Contents remembered behind the head, to tell a repeat from a fork. An older number counts as a repeat
/// whatever its bytes; nothing of it is written.
pub const REMEMBERED: usize = 8;

/// One remembered record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Over the exact bytes.
    pub digest: Digest,
    /// What stays the same when a record gets a new number in a new epoch.
    pub identity: Identity,
}

/// The instant and kind of a record in its boot's own time: a record sent again in a new epoch differs in
/// its bytes (number, `was`), and not in this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(u64);

impl Identity {
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let header = &record.header;
        let mut hash = Fnv::default();
        hash.write(header.boot.0.as_bytes());
        hash.write(&header.mono_ms.to_le_bytes());
        hash.write(&header.at.ms().to_le_bytes());
        hash.write(record.body.kind().as_bytes());
        Self(hash.0)
    }
}

/// FNV-1a: stable for ever, because it is stored; no defence against anybody.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// The last applied contents, newest at the end; the newest has number `upto`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remembered(Box<[Content]>);

impl Remembered {
    pub fn push(&mut self, content: Content) {
        if self.0.len() == REMEMBERED {
            self.0.rotate_left(1);
            self.0[REMEMBERED - 1] = content;
        } else {
            // No room for more than there are: each kiosk of a fleet has them.
            self.0 = self.0.iter().copied().chain([content]).collect();
        }
    }

    pub fn clear(&mut self) {
        self.0 = Box::default();
    }

    /// The content of a number, if it is recent enough.
    #[must_use]
    pub fn get(&self, upto: u64, seq: u64) -> Option<&Content> {
        let back = usize::try_from(upto.checked_sub(seq)?).ok()?;
        self.0.len().checked_sub(back + 1).and_then(|at| self.0.get(at))
    }

    #[must_use]
    pub fn to_text(&self) -> String {
        self.0.iter().map(|c| format!("{}{:016x}", c.digest, c.identity.0)).collect()
    }

    /// What cannot be read is forgotten: fewer forks are seen, nothing else.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let contents = text.as_bytes().chunks_exact(32).filter_map(|chunk| {
            let (digest, identity) = std::str::from_utf8(chunk).ok()?.split_at(16);
            let identity = Identity(u64::from_str_radix(identity, 16).ok()?);
            Some(Content { digest: digest.parse().ok()?, identity })
        });
        // As many as there are, at once: what grew and shrank of each kiosk would leave holes behind.
        let mut all = Vec::with_capacity(text.len() / 32);
        all.extend(contents);
        Self(all.into())
    }
}

/// What to do with the next record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// Its number is `upto + 1`.
    Apply,
    /// A `dropped` record that covers `upto + 1`: the numbers up to `through` are used, whatever else can be read of it.
    Drop { through: u64 },
    /// Applied before.
    Repeat,
    /// Applied before with other content.
    Fork,
    /// Numbers before it are missing; so is everything after it in the message.
    AfterGap,
    /// No readable number.
    Unreadable,
}

/// Decides about one record, given how far the journal is applied. `through`: the last number of the range that it
/// stands for, if it does.
#[must_use]
pub fn admit(
    upto: u64,
    remembered: &Remembered,
    digest: Digest,
    parsed: &Result<Record, RecordError>,
    through: Option<u64>,
) -> Admit {
    let seq = match parsed {
        Ok(record) => record.header.seq,
        Err(RecordError::Bad { seq, .. }) => *seq,
        Err(RecordError::Unnumbered(_)) => return Admit::Unreadable,
    };
    if let Some(through) = through.filter(|&through| through >= seq)
        && seq <= upto.saturating_add(1)
    {
        // The agent may have evicted what we applied while our ack was lost: no fork.
        return if through > upto { Admit::Drop { through } } else { Admit::Repeat };
    }
    if seq <= upto {
        return match remembered.get(upto, seq) {
            Some(known) if known.digest != digest => Admit::Fork,
            _ => Admit::Repeat,
        };
    }
    if seq == upto.saturating_add(1) { Admit::Apply } else { Admit::AfterGap }
}

/// The lost range when an agent's lowest number lies beyond what comes next.
#[must_use]
pub fn lost(upto: u64, first: u64) -> Option<(u64, u64)> {
    (first > upto.saturating_add(1)).then(|| (upto + 1, first - 1))
}

/// How often a record may fail before its number is used up and its bytes go to quarantine.
pub const MAX_FAILURES: u8 = 3;

#[cfg(test)]
mod tests;
