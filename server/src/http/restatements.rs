//! `/restatements`: signed month figures that something contradicts, and what people say to it.
use std::collections::BTreeSet;

use axum::{Json, extract::State};
use kioskwatch_domain::{
    change::{Decided, InputKind, RestatementRow, RestatementState},
    uptime::{Month, books::Verdict},
};
use kioskwatch_proto::{KioskId, Timestamp, clean_text};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    Body, Caller, Id, ListParams, PageQuery, Problem, Web,
    caller::{May, Restate, See},
    commands::Reason,
    input::{parse, word},
    openapi::Failures,
    problem::ProblemView,
    view::{Listed, figures},
};
use crate::store::{RestatementFilter, Scope};

/// A proposal to restate a signed month.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Restatement)]
pub(crate) struct RestatementView {
    id: Uuid,
    #[schema(value_type = String)]
    kiosk: KioskId,
    /// `2026-10`
    month: String,
    /// The version it would follow.
    base_version: u32,
    /// `proposed`, `approved`, `rejected`, `superseded`, `expired`.
    state: &'static str,
    /// SHA-256 over everything the proposed figures were computed from.
    fingerprint: String,
    why: String,
    /// Figures as signed: of the kiosk, and in `shares` of each site, engineer, region, customer and model that the reader sees.
    before: Value,
    /// Figures as proposed.
    after: Value,
    #[schema(value_type = String, format = DateTime)]
    proposed_at: Timestamp,
    decided: Option<DecidedView>,
}

/// Who decided, when and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Decided)]
pub(crate) struct DecidedView {
    by: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    reason: String,
}

impl From<Decided> for DecidedView {
    fn from(decided: Decided) -> Self {
        Self { by: decided.by, at: decided.at, reason: decided.reason }
    }
}

impl RestatementView {
    fn of(row: RestatementRow, reader: &Scope) -> Self {
        Self {
            id: row.id,
            kiosk: row.kiosk,
            month: row.month.to_string(),
            base_version: row.base_version,
            state: row.state.as_str(),
            fingerprint: row.fingerprint,
            why: row.why,
            before: figures(&row.before, reader),
            after: figures(&row.after, reader),
            proposed_at: row.proposed_at,
            decided: row.decided.map(Into::into),
        }
    }
}

/// Which ones.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RestatementQuery {
    state: Option<String>,
    kiosk: Option<String>,
    /// `2026-10`
    month: Option<String>,
    /// Where the kiosk stood in that month.
    site: Option<String>,
    /// That this and nothing else changed: `period`, `service_hours`, `commissioned`, `exclusions`, `server_outages`,
    /// `owners`, `evidence`.
    changed: Option<String>,
}

/// Newest first.
#[utoipa::path(get, path = "/api/v1/restatements", tag = "figures", operation_id = "list_restatements",
    params(RestatementQuery, PageQuery),
    responses((status = 200, body = Listed<RestatementView>), Failures))]
pub(super) async fn list(
    State(web): State<Web>,
    May(caller, _): May<See>,
    ListParams(query, page): ListParams<RestatementQuery>,
) -> Result<Json<Listed<RestatementView>>, Problem> {
    let filter = RestatementFilter {
        state: query.state.as_deref().map(|text| word("state", text, RestatementState::parse)).transpose()?,
        kiosk: query.kiosk.as_deref().map(parse).transpose()?,
        month: query.month.as_deref().map(parse::<Month>).transpose()?,
        open: None,
        site: query.site.as_deref().map(parse).transpose()?,
        changed: query.changed.as_deref().map(|text| word("changed", text, InputKind::parse)).transpose()?,
    };
    let page = web.app().store().restatements(caller.scope(), &filter, &page.page()).await?;
    Ok(Json(Listed::of(page, |row| RestatementView::of(row, caller.scope()))))
}

/// One proposal.
#[utoipa::path(get, path = "/api/v1/restatements/{id}", tag = "figures", operation_id = "get_restatement",
    params(("id" = Uuid, Path)), responses((status = 200, body = RestatementView), Failures))]
pub(super) async fn get(
    State(web): State<Web>,
    May(caller, _): May<See>,
    Id(id): Id<Uuid>,
) -> Result<Json<RestatementView>, Problem> {
    let row = web.app().store().restatement(caller.scope(), id).await?;
    row.map(|row| Json(RestatementView::of(row, caller.scope())))
        .ok_or_else(|| Problem::not_found("restatement"))
}

/// The figures proposed become the next version of the month; the signed ones stay readable. Never by
/// somebody whom they measure.
#[utoipa::path(post, path = "/api/v1/restatements/{id}/approve", tag = "figures",
    operation_id = "approve_restatement", params(("id" = Uuid, Path)), request_body = Reason,
    responses((status = 200, body = RestatementView), Failures))]
pub(super) async fn approve(
    State(web): State<Web>,
    May(caller, _): May<Restate>,
    Id(id): Id<Uuid>,
    Body(body): Body<Reason>,
) -> Result<Json<RestatementView>, Problem> {
    decide(&web, &caller, id, body.verdict(true)).await
}

/// The signed figures stay official; the same figures are not proposed again.
#[utoipa::path(post, path = "/api/v1/restatements/{id}/reject", tag = "figures",
    operation_id = "reject_restatement", params(("id" = Uuid, Path)), request_body = Reason,
    responses((status = 200, body = RestatementView), Failures))]
pub(super) async fn reject(
    State(web): State<Web>,
    May(caller, _): May<Restate>,
    Id(id): Id<Uuid>,
    Body(body): Body<Reason>,
) -> Result<Json<RestatementView>, Problem> {
    decide(&web, &caller, id, body.verdict(false)).await
}

/// Several proposals, and what is said to each of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecideRestatements {
    /// Those outside of the scope do not exist.
    #[schema(min_items = 1, max_items = 500)]
    ids: Vec<Uuid>,
    approve: bool,
    /// Kept with each of them.
    reason: String,
}

/// What became of each, as they were named.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RestatementOutcomes {
    items: Vec<RestatementOutcome>,
}

/// One proposal among others: decided, or why not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RestatementOutcome {
    id: Uuid,
    /// `approved` or `rejected` by this request; absent: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// Why it is not. 503: the server cannot save now, and whether it is decided must be looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ProblemView<'static>>)]
    problem: Option<Value>,
}

/// Each is decided by itself: one that is refused keeps no other from being decided. Answered when all are; whoever does
/// not wait for it looks each of them up.
#[utoipa::path(post, path = "/api/v1/restatements/decide", tag = "figures",
    operation_id = "decide_restatements", request_body = DecideRestatements,
    responses((status = 200, body = RestatementOutcomes), Failures))]
pub(super) async fn decide_many(
    State(web): State<Web>,
    May(caller, _): May<Restate>,
    Body(body): Body<DecideRestatements>,
) -> Result<Json<RestatementOutcomes>, Problem> {
    let verdict = Verdict { approve: body.approve, reason: clean_text(&body.reason) };
    let outcomes = outcomes(&web, &caller, &body.ids, &verdict).await?;
    let view = |(id, outcome): (Uuid, Result<RestatementRow, Problem>)| RestatementOutcome {
        id,
        state: outcome.as_ref().ok().map(|row| row.state.as_str()),
        problem: outcome.err().and_then(|problem| serde_json::to_value(problem.view()).ok()),
    };
    Ok(Json(RestatementOutcomes { items: outcomes.into_iter().map(view).collect() }))
}

/// What became of each of these, those that are named twice once.
///
/// # Errors
/// Nothing was decided: the request is wrong, or the server cannot save.
pub(crate) async fn outcomes(
    web: &Web,
    caller: &Caller,
    ids: &[Uuid],
    verdict: &Verdict,
) -> Result<Vec<(Uuid, Result<RestatementRow, Problem>)>, Problem> {
    let restated = web.app().decide_restatements(&caller.actor(), caller.scope(), ids, verdict).await?;
    let each = restated.each.into_iter().map(|(id, outcome)| (id, outcome.map_err(Problem::from)));
    let mut each: Vec<(Uuid, Result<RestatementRow, Problem>)> = each.collect();
    if let Some(stopped) = restated.stopped.map(Problem::from) {
        if each.is_empty() {
            return Err(stopped);
        }
        let mut told: BTreeSet<Uuid> = each.iter().map(|(id, _)| *id).collect();
        each.extend(ids.iter().filter(|id| told.insert(**id)).map(|id| (*id, Err(stopped.clone()))));
    }
    Ok(each)
}

impl Reason {
    pub(super) fn verdict(&self, approve: bool) -> Verdict {
        Verdict { approve, reason: clean_text(&self.reason) }
    }
}

async fn decide(
    web: &Web,
    caller: &Caller,
    id: Uuid,
    verdict: Verdict,
) -> Result<Json<RestatementView>, Problem> {
    let row = web.app().decide_restatement(&caller.actor(), caller.scope(), id, &verdict).await?;
    Ok(Json(RestatementView::of(row, caller.scope())))
}
