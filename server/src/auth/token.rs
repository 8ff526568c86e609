//! Access tokens: 256 random bits behind a prefix that scanners for leaked secrets can recognise.
use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kioskwatch_domain::change::{AuditRow, Change};
use kioskwatch_proto::{IdError, SiteId, Timestamp, clean_text};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::Role;
use crate::store::{PageRequest, Scope, Store, StoreError, TokenHash, TokenRow};

pub const TOKEN_PREFIX: &str = "kw_";
/// `kw_` and 43 characters of base64url; nothing longer is hashed at all.
const TOKEN_LEN: usize = TOKEN_PREFIX.len() + 43;
/// Characters of a token's name: it stands as the actor in histories.
const MAX_NAME_CHARS: usize = 64;
/// Actors of our own in histories.
const RESERVED_NAMES: &[&str] = &["server", "demo", "fleet file", COMMAND_LINE];
/// Whoever may read the database's secrets on the server itself.
const COMMAND_LINE: &str = "command line";
/// Sites that are named to somebody who misspelt one.
const NAMED_SITES: u32 = 50;
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// A token to make, in the words of the command line.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Stands as the actor in histories and the audit.
    pub name: String,
    pub role: String,
    /// Empty: every site.
    pub sites: Vec<String>,
    /// `None`: it does not end by itself.
    pub expires_days: Option<u32>,
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateTokenError {
    #[error("--name: a token needs a name of 1 to {MAX_NAME_CHARS} printable characters")]
    Name,
    #[error("--name: {0:?} is taken: names stand in histories and approvals, and belong to one token")]
    NameTaken(String),
    #[error("--role: {0:?} is none of {roles}", roles = role_words())]
    Role(String),
    #[error("--sites: {id:?}: {source}")]
    Site { id: String, source: IdError },
    /// A slip of the pen would make a token that sees nothing, and nobody would know why.
    #[error(
        "--sites: there is no site {missing}; sites are {known}. A site that is to come is registered first"
    )]
    NoSite { missing: String, known: String },
    #[error("--expires-days: a token that lives for 0 days opens nothing")]
    NoDays,
    #[error("saving the token")]
    Store(#[from] StoreError),
}

fn role_words() -> String {
    Role::ALL.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
}

/// Makes a token and gives its secret text, which is stored nowhere: show it once.
pub async fn create_token(
    store: &Store,
    now: Timestamp,
    request: NewToken,
) -> Result<String, CreateTokenError> {
    let row = row_of(now, request)?;
    let taken = store.tokens().await?.iter().any(|other| other.name == row.name && is_valid(other, now));
    if taken || RESERVED_NAMES.contains(&row.name.as_str()) {
        return Err(CreateTokenError::NameTaken(row.name));
    }
    if let Scope::Sites(asked) = &row.scope {
        all_there(store, asked).await?;
    }
    let secret = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(crate::random::bytes::<32>()));
    // First the record, then the token: none opens a door that nobody wrote down. Taking one back likewise.
    let sites = match &row.scope {
        Scope::All => None,
        Scope::Sites(sites) => Some(sites),
    };
    let detail = json!({"name": row.name, "role": row.role, "sites": sites, "expires_at": row.expires_at});
    store.commit(&[audit(now, "create_token", row.id, &detail)]).await?;
    store.create_token(&row, &hash(&secret)).await?;
    Ok(secret)
}

async fn all_there(store: &Store, asked: &BTreeSet<SiteId>) -> Result<(), CreateTokenError> {
    let ids: Vec<&str> = asked.iter().map(SiteId::as_str).collect();
    let found: BTreeSet<SiteId> = store.sites_of(&ids).await?.into_iter().map(|site| site.id).collect();
    let missing: Vec<&str> = asked.difference(&found).map(SiteId::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let page = store.sites(&Scope::All, &PageRequest::new(Some(NAMED_SITES), None)).await?;
    let mut known: Vec<&str> = page.items.iter().map(|site| site.id.as_str()).collect();
    if known.is_empty() {
        known.push("none yet");
    }
    let more = if page.next_cursor.is_some() { " …" } else { "" };
    Err(CreateTokenError::NoSite { missing: missing.join(", "), known: known.join(", ") + more })
}

/// Takes a token back; `false`: there is none with this id that still opens anything.
pub async fn revoke_token(store: &Store, now: Timestamp, id: Uuid) -> Result<bool, StoreError> {
    if !store.tokens().await?.iter().any(|token| token.id == id && token.revoked_at.is_none()) {
        return Ok(false);
    }
    store.commit(&[audit(now, "revoke_token", id, &json!({}))]).await?;
    store.revoke_token(id, now).await
}

fn audit(at: Timestamp, action: &str, id: Uuid, detail: &serde_json::Value) -> Change {
    Change::Audit(AuditRow {
        at,
        actor: COMMAND_LINE.to_owned(),
        action: action.to_owned(),
        object: format!("token/{id}"),
        detail: detail.to_string(),
    })
}

fn row_of(now: Timestamp, request: NewToken) -> Result<TokenRow, CreateTokenError> {
    let name = clean_text(request.name.trim());
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS {
        return Err(CreateTokenError::Name);
    }
    let role = Role::parse(&request.role).ok_or(CreateTokenError::Role(request.role))?;
    let site = |id: String| SiteId::new(id.trim()).map_err(|source| CreateTokenError::Site { id, source });
    let sites: BTreeSet<SiteId> = request.sites.into_iter().map(site).collect::<Result<_, _>>()?;
    if request.expires_days == Some(0) {
        return Err(CreateTokenError::NoDays);
    }
    Ok(TokenRow {
        id: uuid::Builder::from_random_bytes(crate::random::bytes()).into_uuid(),
        name,
        role: role.as_str().to_owned(),
        scope: if sites.is_empty() { Scope::All } else { Scope::Sites(sites) },
        desk: None,
        created_at: now,
        expires_at: request.expires_days.map(|days| now.plus_ms(i64::from(days) * DAY_MS)),
        revoked_at: None,
    })
}

/// `None`: it cannot be a token of ours.
pub(super) fn hash_of(text: &str) -> Option<TokenHash> {
    (text.len() == TOKEN_LEN && text.starts_with(TOKEN_PREFIX)).then(|| hash(text))
}

fn hash(text: &str) -> TokenHash {
    TokenHash(Sha256::digest(text.as_bytes()).into())
}

/// Whether the row still opens the door.
pub(super) fn is_valid(row: &TokenRow, now: Timestamp) -> bool {
    row.revoked_at.is_none() && row.expires_at.is_none_or(|at| now < at)
}

/// For log lines and pages: never the secret.
pub(super) fn label(id: Uuid) -> String {
    id.simple().to_string().chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> NewToken {
        NewToken { name: "grafana".into(), role: "viewer".into(), sites: Vec::new(), expires_days: Some(1) }
    }

    #[test]
    fn a_token_ends_when_it_was_said_to_end_or_when_it_is_revoked() {
        let row = row_of(Timestamp(5), request()).unwrap();
        assert_eq!(row.scope, Scope::All);
        assert!(is_valid(&row, Timestamp(4 + DAY_MS)) && !is_valid(&row, Timestamp(5 + DAY_MS)));
        let revoked = TokenRow { revoked_at: Some(Timestamp(6)), ..row };
        assert!(!is_valid(&revoked, Timestamp(7)));
    }

    #[test]
    fn a_careless_request_is_refused_with_the_option_that_is_wrong() {
        let wrong = |request: NewToken| row_of(Timestamp(0), request).unwrap_err().to_string();
        assert!(wrong(NewToken { name: " \u{1b} ".into(), ..request() }).contains("--name"));
        assert!(wrong(NewToken { role: "root".into(), ..request() }).contains("none of viewer, dispatcher"));
        assert!(wrong(NewToken { sites: vec!["a/b".into()], ..request() }).contains("--sites: \"a/b\""));
        assert!(wrong(NewToken { expires_days: Some(0), ..request() }).contains("--expires-days"));
    }

    #[tokio::test]
    async fn a_site_that_nobody_registered_is_refused_with_those_there_are() {
        let (app, _requests, _folder) = crate::app::testing::app(crate::config::Config::default(), |_| {
            ["near", "far"].map(|id| Change::Site(crate::app::testing::site(id.parse().unwrap()))).into()
        })
        .await;
        let make = |sites: &[&str]| {
            let sites = sites.iter().map(ToString::to_string).collect();
            create_token(app.store(), Timestamp(5), NewToken { sites, ..request() })
        };
        let refused = make(&["near", "naer"]).await.unwrap_err().to_string();
        assert!(refused.contains("no site naer; sites are far, near."), "{refused}");
        assert!(app.store().tokens().await.unwrap().is_empty(), "nothing was made");
        assert!(make(&["near", "far"]).await.is_ok());
    }

    #[test]
    fn only_texts_that_could_be_tokens_are_hashed() {
        let good = format!("{TOKEN_PREFIX}{}", "a".repeat(43));
        assert!(hash_of(&good).is_some());
        for bad in ["", "kw_", &good[1..], &format!("{good}a")] {
            assert!(hash_of(bad).is_none(), "{bad}");
        }
    }
}
