//! `/inspections`: what is due, and until when.
use axum::{Json, extract::State};
use kioskwatch_domain::inspection::{InspectionState, ReportState};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    PageQuery, Params, Problem, Web,
    caller::{May, See},
    openapi::Failures,
};
use crate::app::DueInspection;

/// One inspection of one kiosk.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Inspection)]
pub(crate) struct InspectionView {
    /// Kiosk, kind and period: the same for ever.
    id: String,
    #[schema(value_type = String)]
    kiosk: KioskId,
    #[schema(value_type = Option<String>)]
    site: Option<SiteId>,
    /// `phone` (monthly) or `onsite` (quarterly).
    kind: &'static str,
    /// `2026-09` or `2026-Q3`.
    period: String,
    state: &'static str,
    /// Of the report; null while there is nothing to report.
    report: Option<&'static str>,
    #[schema(value_type = String, format = DateTime)]
    window_from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    window_to: Timestamp,
    /// The report is on time before this.
    #[schema(value_type = String, format = DateTime)]
    report_due_at: Timestamp,
    /// Late from here on; between the two a report is disputed.
    #[schema(value_type = String, format = DateTime)]
    report_late_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    remind_at: Timestamp,
    /// Rests on a year whose holidays are not announced yet.
    provisional: bool,
}

/// A page of what is due.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InspectionList {
    items: Vec<InspectionView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// Kiosks whose dates cannot be known, and why.
    problems: Vec<String>,
}

impl From<DueInspection> for InspectionView {
    fn from(item: DueInspection) -> Self {
        let at = |seconds: i64| Timestamp(seconds.saturating_mul(1_000));
        let (due, plan) = (item.due, item.due.plan);
        Self {
            id: format!("{}_{}_{}", item.kiosk, due.kind.as_str(), plan.period),
            kiosk: item.kiosk,
            site: item.site,
            kind: due.kind.as_str(),
            period: plan.period.to_string(),
            state: InspectionState::as_str(due.outcome.inspection),
            report: due.outcome.report.map(ReportState::as_str),
            window_from: at(plan.window_from),
            window_to: at(plan.window_to),
            report_due_at: at(plan.report_due_strict),
            report_late_at: at(plan.report_due_lenient),
            remind_at: at(plan.remind_at),
            provisional: plan.provisional,
        }
    }
}

/// Inspections of the running periods, and older ones that still owe something; paged by kiosk.
#[utoipa::path(get, path = "/api/v1/inspections", tag = "figures", operation_id = "list_inspections",
    params(PageQuery), responses((status = 200, body = InspectionList), Failures))]
pub(super) async fn list(
    State(web): State<Web>,
    May(caller, _): May<See>,
    Params(page): Params<PageQuery>,
) -> Result<Json<InspectionList>, Problem> {
    let now = web.app().clock().now();
    let page = web.app().inspections(caller.scope(), now, &page.page()).await?;
    Ok(Json(InspectionList {
        items: page.items.into_iter().map(InspectionView::from).collect(),
        next_cursor: page.next_cursor,
        problems: page.problems,
    }))
}
