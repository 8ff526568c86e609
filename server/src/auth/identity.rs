//! From a credential to an identity.
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use kioskwatch_proto::{SiteId, Timestamp};

use super::{
    Right, Role,
    limit::Buckets,
    session::Sessions,
    token::{hash_of, is_valid, label},
};
use crate::{
    clock::Clock,
    store::{Scope, Store, StoreError, TokenHash, TokenRow},
};

/// Who acts where `[console] open_access` lets everybody in.
pub const DEMO_ACTOR: &str = "demo";
/// Requests of one token: at once, and per second in the long run.
const REQUESTS: (f64, f64) = (200.0, 100.0);
/// Wrong tokens from one address: at once, and per second in the long run.
const GUESSES: (f64, f64) = (20.0, 0.2);

/// What came with a request.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    Bearer(String),
    Session(String),
    /// Nothing, where nothing is needed.
    Open,
}

/// Without the secret: whatever prints a request must not print what opens the door.
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Bearer(…)",
            Self::Session(_) => "Session(…)",
            Self::Open => "Open",
        })
    }
}

/// Somebody who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The actor in histories and in the audit.
    pub name: String,
    pub role: Role,
    pub scope: Scope,
}

impl Identity {
    pub fn may(&self, right: Right) -> bool {
        self.role.may(right)
    }

    pub fn sees_site(&self, site: Option<&SiteId>) -> bool {
        match &self.scope {
            Scope::All => true,
            Scope::Sites(sites) => site.is_some_and(|site| sites.contains(site)),
        }
    }

    /// `None`: every site.
    pub fn sites(&self) -> Option<&BTreeSet<SiteId>> {
        match &self.scope {
            Scope::All => None,
            Scope::Sites(sites) => Some(sites),
        }
    }
}

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No credential, a wrong one, an expired one: all the same to the outside.
    #[error("sign in, or send a valid token")]
    Unknown,
    #[error("too many requests")]
    TooFast,
    #[error("too many wrong tokens from this address")]
    Guessing,
    #[error("looking up the token")]
    Store(#[from] StoreError),
}

/// The doorkeeper. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Auth {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    clock: Arc<Clock>,
    sessions: Sessions,
    requests: Buckets<[u8; 32]>,
    guesses: Buckets<IpAddr>,
}

impl Auth {
    pub fn new(store: Store, clock: Arc<Clock>) -> Self {
        let shared = Shared {
            store,
            clock,
            sessions: Sessions::default(),
            requests: Buckets::new(REQUESTS.0, REQUESTS.1),
            guesses: Buckets::new(GUESSES.0, GUESSES.1),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Lets in or refuses. `touch`: a person did something, the session goes on.
    pub async fn identify(
        &self,
        from: IpAddr,
        credential: &Credential,
        touch: bool,
    ) -> Result<Identity, Refused> {
        let now = self.shared.clock.now();
        let hash = match credential {
            Credential::Open => return Ok(demo()),
            Credential::Session(secret) => {
                self.shared.sessions.token(now, secret, touch).ok_or(Refused::Unknown)?
            }
            Credential::Bearer(text) => self.hash_of_guess(from, text)?,
        };
        let identity = self.identity_of(&hash).await;
        if let (Err(Refused::Unknown), Credential::Bearer(_)) = (&identity, credential) {
            self.guessed(now, from);
        }
        let identity = identity?;
        if !self.shared.requests.take(now, &hash.0) {
            return Err(Refused::TooFast);
        }
        Ok(identity)
    }

    /// Whether a credential that was let in would be let in now; costs nobody anything.
    pub async fn still_valid(&self, credential: &Credential) -> bool {
        let now = self.shared.clock.now();
        let hash = match credential {
            Credential::Open => return true,
            Credential::Session(secret) => self.shared.sessions.token(now, secret, false),
            Credential::Bearer(text) => hash_of(text),
        };
        match hash {
            // An absent database ends no stream.
            Some(hash) => !matches!(self.identity_of(&hash).await, Err(Refused::Unknown)),
            None => false,
        }
    }

    /// Exchanges a token for a session; the text is the cookie's.
    pub async fn sign_in(&self, from: IpAddr, token: &str) -> Result<(String, Identity), Refused> {
        let identity = self.identify(from, &Credential::Bearer(token.to_owned()), true).await?;
        let hash = hash_of(token).ok_or(Refused::Unknown)?;
        Ok((self.shared.sessions.start(self.shared.clock.now(), hash), identity))
    }

    pub fn sign_out(&self, session: &str) {
        self.shared.sessions.end(session);
    }

    /// A guesser is stopped before the database is asked. Tokens that were right lately pass, so that one
    /// noisy neighbour behind the same address locks nobody out.
    fn hash_of_guess(&self, from: IpAddr, text: &str) -> Result<TokenHash, Refused> {
        let now = self.shared.clock.now();
        let hash = hash_of(text);
        let known = hash.is_some_and(|hash| self.shared.requests.knows(&hash.0));
        if !known && !self.shared.guesses.has(now, &from) {
            return Err(Refused::Guessing);
        }
        hash.ok_or_else(|| {
            self.guessed(now, from);
            Refused::Unknown
        })
    }

    /// One line for each guess that costs a drop: never more of them than the bucket gives.
    fn guessed(&self, now: Timestamp, from: IpAddr) {
        if self.shared.guesses.take(now, &from) {
            tracing::warn!(%from, "somebody was refused: no valid token");
        }
    }

    async fn identity_of(&self, hash: &TokenHash) -> Result<Identity, Refused> {
        let row = self.shared.store.token_by_hash(hash).await?.ok_or(Refused::Unknown)?;
        if !is_valid(&row, self.shared.clock.now()) {
            tracing::debug!(token = label(row.id), "an expired or revoked token was tried");
            return Err(Refused::Unknown);
        }
        identity(row).ok_or(Refused::Unknown)
    }
}

/// `None`: a role of a newer version.
fn identity(row: TokenRow) -> Option<Identity> {
    Some(Identity { role: Role::parse(&row.role)?, name: row.name, scope: row.scope })
}

fn demo() -> Identity {
    Identity { name: DEMO_ACTOR.to_owned(), role: Role::Admin, scope: Scope::All }
}
