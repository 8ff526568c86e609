//! Who is asking, and what that person or program may do.
//!
//! Knows: tokens (stored as hashes), sessions of browsers, roles, limits on guessing and on haste.
//! Must not know: what a request is about; routes say which [`Right`] they need, queries carry the scope of the reader.
//! Everything is refused that is not granted here.
mod identity;
mod limit;
mod role;
mod session;
#[cfg(test)]
mod tests;
mod token;

pub use identity::{Auth, Credential, DEMO_ACTOR, Identity, Refused};
pub use role::{Right, Role};
pub use session::{SESSION_ABSOLUTE_MS, SESSION_IDLE_MS};
pub use token::{CreateTokenError, NewToken, TOKEN_PREFIX, create_token, revoke_token};
