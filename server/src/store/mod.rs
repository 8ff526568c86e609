//! The only place with SQL: what the fleet was, is, and who may see it, in SQLite or PostgreSQL.
//!
//! Knows: rows, transactions, the two databases behind one body of SQL (`sqlx::Any`, see
//! `server/decisions/0001-one-sql-for-two-databases.md`).
//! Must not know: what rows mean. It takes `Change`s from the domain and gives rows back; it never reads a
//! clock and never decides.
//!
//! Writes go through [`Store::commit`]: all changes of one decision in one transaction. Reads are methods
//! named by meaning; each takes the [`Scope`] of the reader, and what lies outside is simply not there.
#![expect(dead_code, reason = "the bodies that use it follow")]
mod error;
mod page;
mod stubs;
mod view;

pub use error::StoreError;
pub use page::{DEFAULT_PAGE, MAX_PAGE, Page, PageRequest, Scope};
pub use view::{
    AuditEntry, AuditVerdict, CommandView, KioskFilter, KioskView, Lease, TicketFilter, TicketView,
    TokenHash, TokenRow,
};

/// The database of one server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {}
