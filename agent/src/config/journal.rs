//! `[journal]`: where records are kept until the server has them, and for how long after.
use std::path::PathBuf;

use super::Section;
use crate::journal::MIN_CAP_BYTES;

#[derive(Debug, Clone)]
pub struct Journal {
    pub path: PathBuf,
    pub keep_acked_h: u32,
    pub max_bytes: u64,
    /// Seconds between durable signs of life.
    pub tick_ms: u64,
}

/// Weeks of an ordinary kiosk, and little on any disk.
const DEFAULT_MAX_BYTES: u64 = 64 * 1024 * 1024;

impl Journal {
    pub(super) fn read(mut section: Section) -> Self {
        let default = PathBuf::from("/var/lib/kioskwatch-agent/journal.sqlite");
        let journal = Self {
            path: section.or("path", "the path of a file is right", default),
            keep_acked_h: section.within("keep_acked_h", 0..=8760, 72),
            max_bytes: section.within("max_bytes", MIN_CAP_BYTES..=1 << 40, DEFAULT_MAX_BYTES),
            // What a power cut leaves unknown; the server is promised no more than 10 s.
            tick_ms: section.seconds("tick_s", 0.1..=10.0).unwrap_or(10_000),
        };
        section.finish();
        journal
    }

    pub fn keep_acked_ms(&self) -> i64 {
        i64::from(self.keep_acked_h) * 3_600_000
    }
}
