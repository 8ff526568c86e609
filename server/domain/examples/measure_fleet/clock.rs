//! The only clock of this tool.
#![expect(clippy::disallowed_methods, reason = "a measuring tool reads the clock")]

use std::time::Instant;

pub(crate) fn now() -> Instant {
    Instant::now()
}
