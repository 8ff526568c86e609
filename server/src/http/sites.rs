//! `/sites`: places with kiosks.
use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use kioskwatch_domain::{
    change::{SiteRow, Zone},
    fleet::WrittenSite,
    service_hours::Schedule,
};
use kioskwatch_proto::{SiteId, clean_text};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Caller, Id, PageQuery, Params, Problem, PutBody, Web,
    caller::{Configure, May, See},
    input::{Put, fields, word},
    openapi::Failures,
    view::{Listed, SiteView},
};
use crate::store::Scope;

/// A site to register or change; what is left out is empty.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct PutSite {
    name: String,
    /// This and `customer`: another one holds from the moment of this request on. Time up to then stays whose it was, of
    /// months that are signed and of months that are not; a month in between is divided to the second.
    #[serde(default)]
    region: String,
    #[serde(default)]
    customer: String,
    /// `urban`, `suburb`, `remote`.
    #[serde(default = "urban")]
    zone: String,
    /// IANA zone; the console's when left out.
    timezone: Option<String>,
    /// `[{"effective_from":"2026-03-16","weekly":{"mon":[["08:00","20:00"]]}}]`; empty: always open. A
    /// window that ends before it begins runs into the next day; one that ends where it begins is refused. Where a
    /// kiosk counted, neither this nor `timezone` may open or close time that has been (409): keep the old versions
    /// and add one of a coming date, or ask for a correction.
    #[serde(default)]
    service_hours: Value,
    #[serde(default)]
    contacts: Value,
    #[serde(default)]
    remote_consent: bool,
}

impl Put for PutSite {
    fn read_as() -> Vec<String> {
        fields::<SiteView>()
    }
}

fn urban() -> String {
    "urban".to_owned()
}

/// Every site the reader may see.
#[utoipa::path(get, path = "/api/v1/sites", tag = "fleet", operation_id = "list_sites", params(PageQuery),
    responses((status = 200, body = Listed<SiteView>), Failures))]
pub(super) async fn list(
    State(web): State<Web>,
    May(caller, _): May<See>,
    Params(page): Params<PageQuery>,
) -> Result<Json<Listed<SiteView>>, Problem> {
    let page = web.app().store().sites(caller.scope(), &page.page()).await?;
    Ok(Json(Listed::of(page, SiteView::from)))
}

/// One site.
#[utoipa::path(get, path = "/api/v1/sites/{id}", tag = "fleet", operation_id = "get_site",
    params(("id" = String, Path)), responses((status = 200, body = SiteView), Failures))]
pub(super) async fn get(
    State(web): State<Web>,
    May(caller, _): May<See>,
    Id(id): Id<SiteId>,
) -> Result<Json<SiteView>, Problem> {
    stored(&web, &caller, &id).await.map(Json)
}

/// Registers a site or changes it as a whole.
#[utoipa::path(put, path = "/api/v1/sites/{id}", tag = "fleet", operation_id = "put_site",
    params(("id" = String, Path)), request_body = PutSite,
    responses((status = 200, body = SiteView), Failures))]
pub(super) async fn put(
    State(web): State<Web>,
    May(caller, _): May<Configure>,
    Id(id): Id<SiteId>,
    PutBody(body): PutBody<PutSite>,
) -> Result<Json<SiteView>, Problem> {
    if !caller.identity.sees_site(Some(&id)) {
        return Err(Problem::not_found("site"));
    }
    let row = body.row(&web, id.clone())?;
    web.app().put_site(caller.actor(), row).await?;
    stored(&web, &caller, &id).await.map(Json)
}

async fn stored(web: &Web, caller: &Caller, id: &SiteId) -> Result<SiteView, Problem> {
    let row = web.app().store().site(caller.scope(), id).await?;
    row.map(SiteView::from).ok_or_else(|| Problem::not_found("site"))
}

impl PutSite {
    fn row(self, web: &Web, id: SiteId) -> Result<SiteRow, Problem> {
        let name = clean_text(&self.name);
        if name.is_empty() {
            return Err(Problem::invalid("name: a site needs one"));
        }
        let timezone = self.timezone.unwrap_or_else(|| web.app().config().console.timezone.clone());
        if timezone.parse::<chrono_tz::Tz>().is_err() {
            let shown = clean_text(&timezone);
            return Err(Problem::invalid(format!("timezone: {shown:?} is no IANA zone like Asia/Shanghai")));
        }
        let service_hours = text_of(&self.service_hours);
        Schedule::entered(&service_hours).map_err(|error| Problem::invalid(error.to_string()))?;
        Ok(SiteRow {
            id,
            name,
            region: clean_text(&self.region),
            customer: clean_text(&self.customer),
            zone: word("zone", &self.zone, Zone::parse)?,
            timezone,
            service_hours,
            contacts: text_of(&self.contacts),
            remote_consent: self.remote_consent,
            updated_at: web.app().clock().now(),
        })
    }
}

/// JSON as the text that is kept; null and empty lists are nothing.
fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Array(items) if items.is_empty() => String::new(),
        value => value.to_string(),
    }
}

/// Sites by id, as the fleet in memory has them.
pub(crate) type Sites = BTreeMap<SiteId, Arc<WrittenSite>>;

/// All sites of a reader, for pages that name them. A fleet has tens of thousands: no page reads them from the database.
pub(crate) fn site_names(web: &Web, caller: &Caller) -> Sites {
    let fleet = web.app().fleet();
    let sites: Vec<Arc<WrittenSite>> = match caller.scope() {
        Scope::All => fleet.sites().cloned().collect(),
        Scope::Sites(ids) => ids.iter().filter_map(|id| fleet.site(id)).cloned().collect(),
    };
    // The map takes longer than the list, and whoever is heard waits for the fleet.
    drop(fleet);
    sites.into_iter().map(|site| (site.id().clone(), site)).collect()
}
