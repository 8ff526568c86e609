//! The overlay a plan writes into.

/// What a plan would change in the fleet.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    pub(super) generation: u64,
}
