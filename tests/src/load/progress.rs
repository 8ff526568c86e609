//! Signs of life of a long run, on standard error.
use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

use crate::demo::complain;

const EVERY: Duration = Duration::from_secs(5);

/// When something was said last.
pub struct Progress(Cell<Instant>);

impl Progress {
    pub fn begin() -> Self {
        Self(Cell::new(Instant::now()))
    }

    /// Says it, unless something was said a moment before.
    pub fn tell(&self, text: &str) {
        if self.0.get().elapsed() >= EVERY {
            self.0.set(Instant::now());
            complain(text);
        }
    }
}
