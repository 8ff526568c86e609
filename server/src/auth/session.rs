//! Sessions of browsers: opaque cookies, kept in memory. A restart of the server asks people to sign in again.
use std::{collections::HashMap, sync::Mutex};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kioskwatch_proto::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::store::TokenHash;

/// Unused for this long, a session is over.
pub const SESSION_IDLE_MS: i64 = 30 * 60 * 1_000;
/// No session lives longer.
pub const SESSION_ABSOLUTE_MS: i64 = 12 * 60 * 60 * 1_000;
/// Sessions at one time; a new one then ends the one that was idle longest.
const MAX_SESSIONS: usize = 10_000;

/// The store of sessions. The cookie's secret is kept as a hash only, so that a memory dump opens nothing.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

#[derive(Debug, Clone, Copy)]
struct Session {
    /// The token is looked up again at each request: revoking it ends its sessions at once.
    token: TokenHash,
    started_at: Timestamp,
    used_at: Timestamp,
}

impl Session {
    fn is_alive(&self, now: Timestamp) -> bool {
        now.since(self.used_at) < SESSION_IDLE_MS && now.since(self.started_at) < SESSION_ABSOLUTE_MS
    }
}

impl Sessions {
    /// A new session and its secret for the cookie.
    pub(super) fn start(&self, now: Timestamp, token: TokenHash) -> String {
        let secret = URL_SAFE_NO_PAD.encode(crate::random::bytes::<32>());
        let mut sessions = self.lock();
        if sessions.len() >= MAX_SESSIONS {
            sessions.retain(|_, session| session.is_alive(now));
        }
        if sessions.len() >= MAX_SESSIONS {
            let idlest = sessions.iter().min_by_key(|(_, session)| session.used_at).map(|(key, _)| *key);
            idlest.and_then(|key| sessions.remove(&key));
        }
        sessions.insert(key(&secret), Session { token, started_at: now, used_at: now });
        secret
    }

    /// The token behind a cookie, when its session is alive. Looking keeps it alive only with `touch`:
    /// an open page that refreshes itself is nobody's presence.
    pub(super) fn token(&self, now: Timestamp, secret: &str, touch: bool) -> Option<TokenHash> {
        let key = key(secret);
        let mut sessions = self.lock();
        let session = sessions.get_mut(&key)?;
        if !session.is_alive(now) {
            sessions.remove(&key);
            return None;
        }
        if touch {
            session.used_at = now;
        }
        Some(session.token)
    }

    pub(super) fn end(&self, secret: &str) {
        self.lock().remove(&key(secret));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn key(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: TokenHash = TokenHash([7; 32]);

    #[test]
    fn a_session_ends_when_idle_too_old_or_signed_out() {
        let sessions = Sessions::default();
        let secret = sessions.start(Timestamp(0), TOKEN);
        assert!(sessions.token(Timestamp(SESSION_IDLE_MS - 1), &secret, false).is_some());
        assert!(sessions.token(Timestamp(SESSION_IDLE_MS), &secret, true).is_none(), "idle");

        let secret = sessions.start(Timestamp(0), TOKEN);
        let mut now = 0;
        while now + SESSION_IDLE_MS / 2 < SESSION_ABSOLUTE_MS {
            now += SESSION_IDLE_MS / 2;
            assert!(sessions.token(Timestamp(now), &secret, true).is_some());
        }
        assert!(sessions.token(Timestamp(SESSION_ABSOLUTE_MS), &secret, true).is_none(), "too old");

        let secret = sessions.start(Timestamp(0), TOKEN);
        sessions.end(&secret);
        assert!(sessions.token(Timestamp(1), &secret, true).is_none(), "signed out");
        assert!(sessions.token(Timestamp(1), "guess", true).is_none());
    }

    #[test]
    fn the_number_of_sessions_is_bounded_and_the_idlest_goes_first() {
        let sessions = Sessions::default();
        let first = sessions.start(Timestamp(0), TOKEN);
        let second = sessions.start(Timestamp(1), TOKEN);
        (0..MAX_SESSIONS - 1).for_each(|_| drop(sessions.start(Timestamp(2), TOKEN)));
        assert!(sessions.token(Timestamp(3), &first, true).is_none());
        assert!(sessions.token(Timestamp(3), &second, true).is_some());
    }
}
