//! `/kiosks/{id}/uptime`: every version of a kiosk's month, side by side with what is known now.
use axum::{Json, extract::State};
use kioskwatch_domain::{
    change::{MonthRow, MonthSums},
    uptime::{Month, books::total},
};
use kioskwatch_proto::{KioskId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Id, Params, Problem, Web,
    caller::{May, See},
    input::parse,
    openapi::Failures,
    uptime::SumsView,
};

/// Which month.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MonthQuery {
    /// `2026-10`
    month: String,
}

/// A kiosk's month.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MonthVersions)]
pub(crate) struct VersionsView {
    #[schema(value_type = String)]
    kiosk: KioskId,
    month: String,
    /// What everything known says now; null where no bookkeeper has been yet.
    current: Option<VersionView>,
    /// Signed versions in order: the last one is the official one.
    signed: Vec<VersionView>,
}

/// One version of the figures.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MonthVersion)]
pub(crate) struct VersionView {
    /// 0: what is known now. 1: fixed at the freeze. 2, 3 …: restated.
    version: u32,
    #[schema(value_type = String, format = DateTime)]
    as_of: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    booked_at: Timestamp,
    /// Only what had been received and approved before this made version 1; null of what is known now.
    #[schema(value_type = Option<String>, format = DateTime)]
    frozen_at: Option<Timestamp>,
    /// SHA-256 over everything the figures were computed from.
    fingerprint: String,
    #[serde(flatten)]
    sums: SumsView,
    /// Who owned which part of it.
    shares: Vec<ShareView>,
}

/// What a kiosk owed one owner.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MonthShare)]
pub(crate) struct ShareView {
    site: Option<String>,
    engineer: Option<String>,
    region: String,
    customer: String,
    /// Which one the kiosk was meanwhile; empty: none that anybody named.
    model: String,
    accountable_s: i64,
    avail_s: i64,
    avail_of_s: i64,
}

/// Raw and adjusted, signed and restated, and what is known now.
#[utoipa::path(get, path = "/api/v1/kiosks/{id}/uptime", tag = "figures", operation_id = "get_month_versions",
    params(("id" = String, Path), MonthQuery),
    responses((status = 200, body = VersionsView), Failures))]
pub(super) async fn get(
    State(web): State<Web>,
    May(caller, _): May<See>,
    Id(id): Id<KioskId>,
    Params(query): Params<MonthQuery>,
) -> Result<Json<VersionsView>, Problem> {
    let month: Month = parse(&query.month)?;
    let versions = web.app().month_versions(caller.scope(), &id, month).await?;
    let newest = versions.rows.iter().map(|row| row.version).max().unwrap_or(0);
    let of = |version| VersionView::of(versions.rows.iter().filter(|row| row.version == version).collect());
    Ok(Json(VersionsView {
        kiosk: versions.kiosk.clone(),
        month: month.to_string(),
        current: of(0),
        signed: (1..=newest).filter_map(of).collect(),
    }))
}

impl VersionView {
    fn of(rows: Vec<&MonthRow>) -> Option<Self> {
        let first = rows.first()?;
        let sums: MonthSums = total(&rows);
        Some(Self {
            version: first.version,
            as_of: first.as_of,
            booked_at: first.booked_at,
            frozen_at: first.frozen_at,
            fingerprint: first.fingerprint.clone(),
            sums: SumsView::of(&sums, first.target),
            shares: rows.into_iter().filter(|row| row.has_time()).map(share).collect(),
        })
    }
}

fn share(row: &MonthRow) -> ShareView {
    let figures = &row.sums.figures;
    ShareView {
        site: row.site.as_ref().map(ToString::to_string),
        engineer: row.engineer.clone(),
        region: row.region.clone(),
        customer: row.customer.clone(),
        model: row.model.clone(),
        accountable_s: figures.accountable_s,
        avail_s: figures.avail.num,
        avail_of_s: figures.avail.den,
    }
}
