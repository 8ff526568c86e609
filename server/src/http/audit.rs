//! `/audit`: the append-only record of who did what.
use axum::{Json, extract::State};
use kioskwatch_proto::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    PageQuery, Params, Problem, Web,
    caller::{May, ReadAudit},
    openapi::Failures,
    view::{Listed, json},
};
use crate::store::{AuditEntry, Scope};

/// A line of the audit chain.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct AuditView {
    seq: u64,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    actor: String,
    action: String,
    object: String,
    detail: Value,
    prev_hash: String,
    hash: String,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            seq: entry.seq,
            at: entry.row.at,
            actor: entry.row.actor,
            action: entry.row.action,
            object: entry.row.object,
            detail: json(&entry.row.detail),
            prev_hash: entry.prev_hash,
            hash: entry.hash,
        }
    }
}

/// Newest first. It tells of the whole fleet, so it is for admins without a restriction to sites.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", operation_id = "list_audit", params(PageQuery),
    responses((status = 200, body = Listed<AuditView>), Failures))]
pub(super) async fn list(
    State(web): State<Web>,
    May(caller, _): May<ReadAudit>,
    Params(page): Params<PageQuery>,
) -> Result<Json<Listed<AuditView>>, Problem> {
    if *caller.scope() != Scope::All {
        return Err(Problem::forbidden(
            "the audit tells of the whole fleet; this token sees only some sites",
        ));
    }
    let page = web.app().store().audit(&page.page()).await?;
    Ok(Json(Listed::of(page, AuditView::from)))
}
