//! What the agent knows and decides: bytes and facts in with `now`, effects out. No IO, no async, no clock.
pub mod drivers;
