//! `/corrections`: what people say was entered wrong about time up to now, and what time to come shall not count.
use axum::{Json, extract::State, http::StatusCode};
use kioskwatch_domain::{
    change::{Correction, CorrectionRow, CorrectionState, GroupKind, Held, ServiceSpan},
    uptime::{
        Commissioned,
        books::Verdict,
        contracts::{Belonged, Contract, Renamed},
        corrections::Wanted,
    },
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp, clean_text};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    Body, Caller, Id, ListParams, PageQuery, Problem, Web,
    caller::{Correct, May, Restate, See},
    commands::Reason,
    input::word,
    openapi::Failures,
    restatements::DecidedView,
    view::{Listed, figures, json},
};
use crate::store::{CorrectionFilter, Scope};

/// A correction to ask for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PostCorrection {
    /// `exclusion`: time that should have been forgiven, or shall be. `withdrawal`: an approved exclusion that does not
    /// hold. `stood_at`, `answered_for`, `was_model`: where a kiosk stood, who answered for it, or which model it was, that was
    /// noted wrong. `belonged_to`: to which region or customer a site belonged. `service_hours`, `timezone`: a site's that were wrong.
    /// `commissioning`: a kiosk's dates of service that were wrong.
    kind: String,
    /// Of an exclusion: this, or a site; of commissioning, of who answered for it and of its model: this; of where it stood both, and
    /// without a site nowhere. Of a withdrawal neither is asked.
    #[schema(value_type = Option<String>)]
    kiosk: Option<KioskId>,
    #[schema(value_type = Option<String>)]
    site: Option<SiteId>,
    /// Of an exclusion: `planned`, `site_closed`, `customer_power`, `customer_network`, `force_majeure`,
    /// `customer_hold`.
    class: Option<String>,
    /// Of planned work (`planned`) that has begun: when it had been agreed. Work to come is agreed by its approval,
    /// `[uptime] planned_notice_h` before it begins at the latest.
    #[schema(value_type = Option<String>, format = DateTime)]
    agreed_at: Option<Timestamp>,
    /// Of a withdrawal: what is taken back, by the id of the correction that asked for it.
    exclusion: Option<Uuid>,
    /// Of who answered for it: who did, by the name of their token; left out: nobody.
    engineer: Option<String>,
    /// Of its model: the one it was; left out: none.
    model: Option<String>,
    /// Of to whom a site belonged, one or both: as it should have been; left out: as it was; empty: to none.
    region: Option<String>,
    customer: Option<String>,
    /// Of service hours: all versions as they should have been, as a site's `service_hours`.
    service_hours: Option<String>,
    /// Of a time zone: as it should have been.
    timezone: Option<String>,
    /// Of commissioning: from when on it should have counted.
    #[schema(value_type = Option<String>, format = DateTime)]
    commissioned_at: Option<Timestamp>,
    /// Of commissioning: until when it should have counted; left out: it counts on.
    #[schema(value_type = Option<String>, format = DateTime)]
    decommissioned_at: Option<Timestamp>,
    /// The time that is corrected; it ends now or earlier, that of an exclusion at any time within 400 days. Of a
    /// withdrawal it is that of the exclusion, of a time zone and of commissioning what they move, and not asked for.
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    reason: String,
}

/// A correction and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Correction)]
pub(crate) struct CorrectionView {
    id: Uuid,
    kind: &'static str,
    #[schema(value_type = Option<String>)]
    kiosk: Option<KioskId>,
    #[schema(value_type = Option<String>)]
    site: Option<SiteId>,
    class: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    agreed_at: Option<Timestamp>,
    /// Of a withdrawal: what is taken back.
    exclusion: Option<Uuid>,
    /// Of all but an exclusion and its withdrawal: as it was and as it should have been. Of dates the first stretch of service that they
    /// replace, and all of them as `stretches`; none, where they are a further one. Of where it stood, who answered for
    /// it and which model it was each `id` with `from` and `to`, and after it the `id` of all that time; null: nobody. Of to whom a site belonged each
    /// `region` and `customer` with `from` and `to`, and after it those of all that time; null: as it was.
    before: Option<Value>,
    after: Option<Value>,
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    reason: String,
    /// `requested`, `approved`, `rejected`.
    state: &'static str,
    requested_by: String,
    #[schema(value_type = String, format = DateTime)]
    requested_at: Timestamp,
    decided: Option<DecidedView>,
    /// Figures of the affected local months before and after, newest three; `months_not_shown` counts the rest. Of a
    /// `closed` month the signed figures stay: it lies too far back to be restated. Of where it stood, who answered for it
    /// and which model it was also the `shares` of each owner that the reader sees: what moves is there.
    effect: Value,
}

impl CorrectionView {
    fn of(row: CorrectionRow, reader: &Scope) -> Self {
        let kind = row.what.kind();
        let exclusion = match row.what {
            Correction::Withdrawal { exclusion, .. } => Some(exclusion),
            _ => None,
        };
        let (kiosk, site, class, agreed_at, values) = match row.what {
            Correction::Exclusion { kiosk, site, class, agreed_at } => {
                (kiosk, site, Some(class), agreed_at, None)
            }
            Correction::Withdrawal { kiosk, site, class, .. } => (kiosk, site, Some(class), None, None),
            Correction::Assignment { kiosk, before, after, .. } => {
                let held = |one: &Held| serde_json::json!({ "id": one.id, "from": one.from, "to": one.to });
                let before: Value = before.iter().map(held).collect();
                (Some(kiosk), None, None, None, Some((before, serde_json::json!({ "id": after }))))
            }
            Correction::Contract { site, before, after } => {
                let belonged = |one: &Belonged| {
                    let Contract { region, customer } = &one.contract;
                    serde_json::json!({
                        "region": region, "customer": customer, "from": one.from, "to": one.to,
                    })
                };
                let before: Value = before.iter().map(belonged).collect();
                let after = serde_json::json!({ "region": after.region, "customer": after.customer });
                (None, Some(site), None, None, Some((before, after)))
            }
            Correction::ServiceHours { site, before, after } => {
                (None, Some(site), None, None, Some((json(&before), json(&after))))
            }
            Correction::Timezone { site, before, after } => {
                (None, Some(site), None, None, Some((before.into(), after.into())))
            }
            Correction::Commissioning { kiosk, before, after } => {
                (Some(kiosk), None, None, None, Some((stretches(&before), dates(after))))
            }
        };
        let (before, after) = values.unzip();
        Self {
            id: row.id,
            kind,
            kiosk,
            site,
            class,
            agreed_at,
            exclusion,
            before,
            after,
            from: row.from,
            to: row.to,
            reason: row.reason,
            state: row.state.as_str(),
            requested_by: row.requested_by,
            requested_at: row.requested_at,
            decided: row.decided.map(Into::into),
            effect: figures(&row.effect, reader),
        }
    }
}

/// Those that would be replaced: the first of them, and all.
fn stretches(replaced: &Commissioned) -> Value {
    let mut first = dates(replaced.spans().first().copied().unwrap_or_default());
    first["stretches"] = replaced.spans().iter().copied().map(dates).collect();
    first
}

fn dates(dates: ServiceSpan) -> Value {
    serde_json::json!({
        "commissioned_at": dates.commissioned_at, "decommissioned_at": dates.decommissioned_at,
    })
}

/// Which ones.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CorrectionQuery {
    state: Option<String>,
}

/// Newest first.
#[utoipa::path(get, path = "/api/v1/corrections", tag = "figures", operation_id = "list_corrections",
    params(CorrectionQuery, PageQuery),
    responses((status = 200, body = Listed<CorrectionView>), Failures))]
pub(super) async fn list(
    State(web): State<Web>,
    May(caller, _): May<See>,
    ListParams(query, page): ListParams<CorrectionQuery>,
) -> Result<Json<Listed<CorrectionView>>, Problem> {
    let state = query.state.as_deref().map(|text| word("state", text, CorrectionState::parse)).transpose()?;
    let filter = CorrectionFilter { state, ..CorrectionFilter::default() };
    let page = web.app().store().corrections(caller.scope(), &filter, &page.page()).await?;
    Ok(Json(Listed::of(page, |row| CorrectionView::of(row, caller.scope()))))
}

/// One correction.
#[utoipa::path(get, path = "/api/v1/corrections/{id}", tag = "figures", operation_id = "get_correction",
    params(("id" = Uuid, Path)), responses((status = 200, body = CorrectionView), Failures))]
pub(super) async fn get(
    State(web): State<Web>,
    May(caller, _): May<See>,
    Id(id): Id<Uuid>,
) -> Result<Json<CorrectionView>, Problem> {
    let row = web.app().store().correction(caller.scope(), id).await?;
    row.map(|row| Json(CorrectionView::of(row, caller.scope())))
        .ok_or_else(|| Problem::not_found("correction"))
}

/// Asks for a correction. Somebody else decides about it.
#[utoipa::path(post, path = "/api/v1/corrections", tag = "figures", operation_id = "request_correction",
    request_body = PostCorrection, responses((status = 201, body = CorrectionView), Failures))]
pub(super) async fn post(
    State(web): State<Web>,
    May(caller, _): May<Correct>,
    Body(body): Body<PostCorrection>,
) -> Result<(StatusCode, Json<CorrectionView>), Problem> {
    let wanted = body.wanted()?;
    let row = web.app().request_correction(caller.actor(), caller.scope(), wanted).await?;
    Ok((StatusCode::CREATED, Json(CorrectionView::of(row, caller.scope()))))
}

impl PostCorrection {
    fn wanted(self) -> Result<Wanted, Problem> {
        let what = match self.kind.as_str() {
            "exclusion" => Correction::Exclusion {
                kiosk: self.kiosk,
                site: self.site,
                class: self.class.ok_or_else(|| Problem::invalid("an exclusion needs its class"))?,
                agreed_at: self.agreed_at,
            },
            "withdrawal" => Correction::Withdrawal {
                exclusion: self
                    .exclusion
                    .ok_or_else(|| Problem::invalid("exclusion is missing: which is taken back?"))?,
                // Noted when the exclusion is looked up.
                kiosk: None,
                site: None,
                class: String::new(),
            },
            "stood_at" => Correction::Assignment {
                kiosk: self.kiosk.ok_or_else(|| Problem::invalid("who stood there? name the kiosk"))?,
                group: GroupKind::Site,
                // Noted when the kiosk is looked up.
                before: Vec::new(),
                after: self.site.map(|site| site.to_string()),
            },
            "answered_for" => Correction::Assignment {
                kiosk: self.kiosk.ok_or_else(|| Problem::invalid("for whom? name the kiosk"))?,
                group: GroupKind::Engineer,
                before: Vec::new(),
                after: self.engineer.as_deref().map(clean_text),
            },
            "was_model" => Correction::Assignment {
                kiosk: self.kiosk.ok_or_else(|| Problem::invalid("what was it? name the kiosk"))?,
                group: GroupKind::Model,
                before: Vec::new(),
                after: self.model.as_deref().map(clean_text),
            },
            "belonged_to" => Correction::Contract {
                site: self.site.ok_or_else(|| Problem::invalid("whose was it? name the site"))?,
                // Noted when the site is looked up.
                before: Vec::new(),
                after: Renamed {
                    region: self.region.as_deref().map(clean_text),
                    customer: self.customer.as_deref().map(clean_text),
                },
            },
            "service_hours" => Correction::ServiceHours {
                site: self.site.ok_or_else(|| Problem::invalid("service hours are a site's: name it"))?,
                // Noted when the site is looked up.
                before: String::new(),
                after: self.service_hours.ok_or_else(|| Problem::invalid("service_hours is missing"))?,
            },
            "timezone" => Correction::Timezone {
                site: self.site.ok_or_else(|| Problem::invalid("a time zone is a site's: name it"))?,
                before: String::new(),
                after: self.timezone.ok_or_else(|| Problem::invalid("timezone is missing"))?,
            },
            "commissioning" => Correction::Commissioning {
                kiosk: self.kiosk.ok_or_else(|| Problem::invalid("dates are a kiosk's: name it"))?,
                // Noted when the kiosk is looked up.
                before: Commissioned::default(),
                after: ServiceSpan {
                    commissioned_at: self.commissioned_at,
                    decommissioned_at: self.decommissioned_at,
                },
            },
            _ => {
                let kinds = "kind is exclusion, withdrawal, stood_at, answered_for, was_model, belonged_to, \
                             service_hours, timezone or commissioning";
                return Err(Problem::invalid(kinds));
            }
        };
        let (from, to) = match (&what, self.from, self.to) {
            (
                Correction::Withdrawal { .. }
                | Correction::Timezone { .. }
                | Correction::Commissioning { .. },
                ..,
            ) => Wanted::WHAT_IT_MOVES,
            (_, Some(from), Some(to)) => (from, to),
            _ => return Err(Problem::invalid("from and to are missing: which time is it about?")),
        };
        Ok(Wanted { what, from, to, reason: clean_text(&self.reason) })
    }
}

/// What it says becomes true: open months follow by themselves, signed ones by a restatement.
#[utoipa::path(post, path = "/api/v1/corrections/{id}/approve", tag = "figures",
    operation_id = "approve_correction", params(("id" = Uuid, Path)), request_body = Reason,
    responses((status = 200, body = CorrectionView), Failures))]
pub(super) async fn approve(
    State(web): State<Web>,
    May(caller, _): May<Restate>,
    Id(id): Id<Uuid>,
    Body(body): Body<Reason>,
) -> Result<Json<CorrectionView>, Problem> {
    decide(&web, &caller, id, body.verdict(true)).await
}

/// Nothing changes.
#[utoipa::path(post, path = "/api/v1/corrections/{id}/reject", tag = "figures",
    operation_id = "reject_correction", params(("id" = Uuid, Path)), request_body = Reason,
    responses((status = 200, body = CorrectionView), Failures))]
pub(super) async fn reject(
    State(web): State<Web>,
    May(caller, _): May<Restate>,
    Id(id): Id<Uuid>,
    Body(body): Body<Reason>,
) -> Result<Json<CorrectionView>, Problem> {
    decide(&web, &caller, id, body.verdict(false)).await
}

async fn decide(
    web: &Web,
    caller: &Caller,
    id: Uuid,
    verdict: Verdict,
) -> Result<Json<CorrectionView>, Problem> {
    let row = web.app().decide_correction(caller.actor(), caller.scope(), id, &verdict).await?;
    Ok(Json(CorrectionView::of(row, caller.scope())))
}
