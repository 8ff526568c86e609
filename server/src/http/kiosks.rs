//! `/kiosks`: terminals, registered and as they are now.
use axum::{Json, extract::State};
use kioskwatch_domain::change::{Admission, KioskRow, PresenceVerdict, ServiceSpan};
use kioskwatch_proto::{KioskId, SiteId, Timestamp, clean_text};
use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};

use super::{
    Caller, Id, ListParams, PageQuery, Problem, PutBody, Web,
    caller::{Configure, May, See},
    input::{Put, fields, parse, word},
    openapi::Failures,
    view::{KioskDetail, KioskView, Listed},
};
use crate::store::{self, KioskFilter, Scope};

/// Which kiosks.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct KioskQuery {
    site: Option<String>,
    /// `unknown`, `online`, `late`, `offline`, as of the last commit.
    presence: Option<String>,
}

/// A kiosk to register, change, admit or retire; what is left out is empty, but for
/// `commissioned_at` and `engineer`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct PutKiosk {
    /// Where it stands from now on. At its first site it stood since it was put into service: where other hours or
    /// another zone would change time that has been, that takes a correction of `commissioned_at` first (409).
    #[schema(value_type = Option<String>)]
    site: Option<SiteId>,
    #[serde(default)]
    model: String,
    #[serde(default)]
    serial_no: String,
    /// From when on it counts. Left out: as known, from its acceptance on, or of one that was out of service from now
    /// on; null: not yet, and no ticket opens. A date behind its `decommissioned_at` begins a further stretch of
    /// service: the time between counts for nobody. What would count or not count any more of time that has been
    /// takes a correction (409). So do first ones of before the oldest month that is not fixed yet (this one, or until
    /// its freeze the last), for which the answer names the date that may be given, and first ones that end in time that
    /// has been.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default, deserialize_with = "given")]
    commissioned_at: Option<Option<Timestamp>>,
    /// Until when it counts: now or to come; left out or null: without end, so one that has left and is not accepted
    /// says it again. What has been takes a correction (409).
    #[schema(value_type = Option<String>, format = DateTime)]
    decommissioned_at: Option<Timestamp>,
    /// `accepted` (default), `quarantined`, `refused`.
    #[serde(default = "accepted")]
    admission: String,
    /// Who answers for it from now on: the name of their token, so that they decide about no figures of their
    /// own. Left out: as known; null: nobody.
    #[schema(value_type = Option<String>)]
    #[serde(default, deserialize_with = "given")]
    engineer: Option<Option<String>>,
}

impl Put for PutKiosk {
    fn read_as() -> Vec<String> {
        [fields::<KioskView>(), fields::<KioskDetail>()].concat()
    }
}

/// Tells null from left out.
fn given<'de, D, T>(value: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(value).map(Some)
}

fn accepted() -> String {
    "accepted".to_owned()
}

/// Kiosks with their state now.
#[utoipa::path(get, path = "/api/v1/kiosks", tag = "fleet", operation_id = "list_kiosks",
    params(KioskQuery, PageQuery), responses((status = 200, body = Listed<KioskView>), Failures))]
pub(super) async fn list(
    State(web): State<Web>,
    May(caller, _): May<See>,
    ListParams(query, page): ListParams<KioskQuery>,
) -> Result<Json<Listed<KioskView>>, Problem> {
    let filter = KioskFilter {
        site: query.site.as_deref().map(parse).transpose()?,
        presence: query
            .presence
            .as_deref()
            .map(|text| word("presence", text, PresenceVerdict::parse))
            .transpose()?,
    };
    let page = web.app().store().kiosks(caller.scope(), &filter, &page.page()).await?;
    Ok(Json(Listed::of(page, |view| KioskView::of(web.app(), &view))))
}

/// One kiosk with its state now.
#[utoipa::path(get, path = "/api/v1/kiosks/{id}", tag = "fleet", operation_id = "get_kiosk",
    params(("id" = String, Path)), responses((status = 200, body = KioskDetail), Failures))]
pub(super) async fn get(
    State(web): State<Web>,
    May(caller, _): May<See>,
    Id(id): Id<KioskId>,
) -> Result<Json<KioskDetail>, Problem> {
    detail(&web, &caller, &id).await
}

/// Registers a kiosk or changes it as a whole. Setting `admission` decides about one in quarantine.
#[utoipa::path(put, path = "/api/v1/kiosks/{id}", tag = "fleet", operation_id = "put_kiosk",
    params(("id" = String, Path)), request_body = PutKiosk,
    responses((status = 200, body = KioskDetail), Failures))]
pub(super) async fn put(
    State(web): State<Web>,
    May(caller, _): May<Configure>,
    Id(id): Id<KioskId>,
    PutBody(body): PutBody<PutKiosk>,
) -> Result<Json<KioskDetail>, Problem> {
    let known = may_put(&web, &caller, &id, &body).await?;
    let now = web.app().clock().now();
    let admission = word("admission", &body.admission, Admission::parse)?;
    let is_accepted = admission == Admission::Accepted;
    let since =
        body.commissioned_at.unwrap_or_else(|| known.begins(now, is_accepted, body.decommissioned_at));
    let dates = ServiceSpan { commissioned_at: since, decommissioned_at: body.decommissioned_at };
    dates.check().map_err(Problem::invalid)?;
    let row = KioskRow {
        id: id.clone(),
        site: body.site,
        admission,
        model: clean_text(&body.model),
        serial_no: clean_text(&body.serial_no),
        commissioned_at: since,
        decommissioned_at: body.decommissioned_at,
        updated_at: now,
    };
    let engineer = body.engineer.map(|name| name.map(|name| clean_text(name.trim())));
    web.app().put_kiosk(caller.actor(), row, engineer.as_ref().map(Option::as_deref)).await?;
    detail(&web, &caller, &id).await
}

async fn detail(web: &Web, caller: &Caller, id: &KioskId) -> Result<Json<KioskDetail>, Problem> {
    let view = kiosk_in_scope(web, caller, id).await?;
    let engineer = web.app().engineer_of(id).await?;
    let counted = web.app().counted(&view.kiosk).await?;
    Ok(Json(KioskDetail::of(web.app(), &view, engineer, &counted)))
}

/// Neither taking a kiosk from a site outside of the scope nor giving it to one. Answers from and to when the
/// kiosk is known to count.
async fn may_put(web: &Web, caller: &Caller, id: &KioskId, body: &PutKiosk) -> Result<ServiceSpan, Problem> {
    if !caller.identity.sees_site(body.site.as_ref()) {
        return Err(Problem::not_found("site"));
    }
    let stored = web.app().store().kiosk(&Scope::All, id).await?;
    if stored.as_ref().is_some_and(|view| !caller.identity.sees_site(view.kiosk.site.as_ref())) {
        return Err(Problem::not_found("kiosk"));
    }
    Ok(stored.map_or_else(ServiceSpan::default, |view| ServiceSpan::of(&view.kiosk)))
}

/// A kiosk, or the problem that there is none for this caller.
pub(crate) async fn kiosk_in_scope(
    web: &Web,
    caller: &Caller,
    id: &KioskId,
) -> Result<store::KioskView, Problem> {
    let view = web.app().store().kiosk(caller.scope(), id).await?;
    view.ok_or_else(|| Problem::not_found("kiosk"))
}
