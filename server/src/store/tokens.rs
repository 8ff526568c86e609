//! Access tokens. The store knows only the hash of the secret.
use std::collections::BTreeSet;

use kioskwatch_proto::{SiteId, Timestamp};
use uuid::Uuid;

use super::{
    Scope, Store, StoreError, TokenHash, TokenRow,
    row::{Loaded, RowReader},
    sql::{Sql, sql},
};

macro_rules! columns {
    () => {
        "id, name, role, sites, desk, created_at, expires_at, revoked_at"
    };
}

const CREATE: Sql = sql!(
    create_token,
    "INSERT INTO token (" [columns] ", hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
);
const BY_HASH: Sql = sql!(token_by_hash, "SELECT " [columns] " FROM token WHERE hash = $1");
const REVOKE: Sql =
    sql!(revoke_token, "UPDATE token SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING id");
const LIST: Sql = sql!(list_tokens, "SELECT " [columns] " FROM token ORDER BY created_at, id");

impl Loaded for TokenRow {
    const TABLE: &'static str = "token";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id()?,
            name: row.text()?,
            role: row.text()?,
            scope: row.opt_word(sites)?.map_or(Scope::All, Scope::Sites),
            desk: row.opt_text()?,
            created_at: row.time()?,
            expires_at: row.opt_time()?,
            revoked_at: row.opt_time()?,
        })
    }
}

fn sites(json: &str) -> Option<BTreeSet<SiteId>> {
    serde_json::from_str(json).ok()
}

impl Store {
    /// The same hash twice is a conflict.
    pub async fn create_token(&self, token: &TokenRow, hash: &TokenHash) -> Result<(), StoreError> {
        let query = CREATE.query(self.backend()).bind(token.id.to_string()).bind(token.name.clone());
        let query = query.bind(token.role.clone()).bind(token.scope.to_json()).bind(token.desk.clone());
        let query = query
            .bind(token.created_at.ms())
            .bind(token.expires_at.map(Timestamp::ms))
            .bind(token.revoked_at.map(Timestamp::ms))
            .bind(hex::encode(hash.0));
        self.database.write(CREATE.name, query).await.map(drop)
    }

    /// Also revoked and expired ones: the caller decides and says why.
    pub async fn token_by_hash(&self, hash: &TokenHash) -> Result<Option<TokenRow>, StoreError> {
        self.row(&BY_HASH, |q| q.bind(hex::encode(hash.0))).await
    }

    /// Whether there was such a token that was not revoked yet.
    pub async fn revoke_token(&self, id: Uuid, now: Timestamp) -> Result<bool, StoreError> {
        let query = REVOKE.query(self.backend()).bind(id.to_string()).bind(now.ms());
        Ok(!self.database.write(REVOKE.name, query).await?.is_empty())
    }

    /// Oldest first.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.rows(&LIST, |q| q).await
    }
}
