//! What a reader may see, and how much of it at once.
use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use kioskwatch_proto::SiteId;

use super::StoreError;

/// Rows of one page that a caller asks for, at most.
pub const MAX_PAGE: u32 = 200;
/// Rows of one page of a whole table: a site and its terms are usually some 500 bytes, and a step less is a question less.
const MANY: u32 = 2_000;
/// Rows of one page when the caller does not say.
pub const DEFAULT_PAGE: u32 = 50;

/// The part of the fleet a reader may see. What is outside does not exist for that reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    All,
    Sites(BTreeSet<SiteId>),
}

impl Scope {
    /// Whether what stands there is in it; what stands nowhere is only in the whole.
    pub fn shows(&self, site: Option<&SiteId>) -> bool {
        match self {
            Self::All => true,
            Self::Sites(sites) => site.is_some_and(|site| sites.contains(site)),
        }
    }

    /// As the SQL takes it: NULL, or a JSON array of site ids.
    pub(super) fn to_json(&self) -> Option<String> {
        match self {
            Self::All => None,
            Self::Sites(sites) => {
                let names: Vec<&str> = sites.iter().map(SiteId::as_str).collect();
                Some(serde_json::Value::from(names).to_string())
            }
        }
    }
}

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    limit: u32,
    cursor: Option<String>,
}

impl PageRequest {
    /// A limit of 0 or above [`MAX_PAGE`] is clamped; no limit is [`DEFAULT_PAGE`].
    pub fn new(limit: Option<u32>, cursor: Option<String>) -> Self {
        Self { limit: limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE), cursor }
    }

    /// The first page, as large as it may be.
    pub fn first() -> Self {
        Self::new(Some(MAX_PAGE), None)
    }

    /// For what reads a whole table by itself: its pages go to no caller.
    pub(crate) fn first_of_many() -> Self {
        Self { limit: MANY, cursor: None }
    }

    /// The same list, further on.
    #[must_use]
    pub fn after(&self, cursor: String) -> Self {
        Self { limit: self.limit, cursor: Some(cursor) }
    }

    /// Rows of a page.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// One row more than the page holds: whether there is another page.
    pub(super) fn fetch_limit(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Where the list goes on: the key of the last row of the previous page.
    pub(super) fn start<K: Key>(&self) -> Result<K, StoreError> {
        let Some(cursor) = &self.cursor else { return Ok(K::before_all()) };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| StoreError::BadCursor)?;
        serde_json::from_slice(&bytes).map_err(|_| StoreError::BadCursor)
    }

    /// Cuts the surplus row off and names the place to go on from.
    pub(super) fn finish<T, K: Key>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> K) -> Page<T> {
        let more = rows.len() > self.limit as usize;
        rows.truncate(self.limit as usize);
        let last = rows.last().filter(|_| more);
        let next_cursor =
            last.and_then(|row| serde_json::to_vec(&key(row)).ok()).map(|json| URL_SAFE_NO_PAD.encode(json));
        Page { items: rows, next_cursor }
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// `None`: this was the last page.
    pub next_cursor: Option<String>,
}

/// The sort key of a list.
pub(super) trait Key: serde::Serialize + serde::de::DeserializeOwned {
    /// Stands in front of every row.
    fn before_all() -> Self;
}

/// Rising names.
impl Key for String {
    fn before_all() -> Self {
        String::new()
    }
}

/// Falling numbers and times: newest first.
impl Key for i64 {
    fn before_all() -> Self {
        i64::MAX
    }
}

/// Newest first; the second part tells apart what happened in the same millisecond.
impl Key for (i64, i64) {
    fn before_all() -> Self {
        (i64::MAX, i64::MAX)
    }
}

/// Newest first, then by id.
impl Key for (i64, String) {
    fn before_all() -> Self {
        (i64::MAX, String::new())
    }
}
