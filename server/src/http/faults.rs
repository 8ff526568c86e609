//! `/faults`: the catalogue, so that other programs speak the same words.
use axum::{Json, extract::State};
use kioskwatch_proto::faults::FaultEntry;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Problem, Web,
    caller::{May, See},
    openapi::Failures,
};

/// What a fault code means and what people do about it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Fault {
    code: String,
    zh: String,
    en: String,
    meaning_zh: String,
    meaning_en: String,
    /// `attendant` or `engineer`.
    who: &'static str,
    class: &'static str,
    severity: &'static str,
    /// Whether it alone takes a required peripheral out of work.
    stops_peripheral: bool,
    parts: Vec<Part>,
    first_steps_zh: Vec<String>,
    first_steps_en: Vec<String>,
}

/// A part that is likely needed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Part {
    key: String,
    zh: Option<String>,
    en: Option<String>,
}

/// All known faults.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Faults {
    items: Vec<Fault>,
}

/// The whole catalogue.
#[utoipa::path(get, path = "/api/v1/faults", tag = "catalogue", operation_id = "list_faults",
    responses((status = 200, body = Faults), Failures))]
pub(super) async fn list(State(web): State<Web>, _: May<See>) -> Result<Json<Faults>, Problem> {
    let catalogue = &web.app().policy().catalogue;
    let part = |key: &String| {
        let entry = catalogue.part(key);
        Part { key: key.clone(), zh: entry.map(|e| e.zh.clone()), en: entry.map(|e| e.en.clone()) }
    };
    let fault = |entry: &FaultEntry| Fault {
        code: entry.code.to_string(),
        zh: entry.zh.clone(),
        en: entry.en.clone(),
        meaning_zh: entry.meaning_zh.clone(),
        meaning_en: entry.meaning_en.clone(),
        who: entry.who.as_str(),
        class: entry.class.as_str(),
        severity: entry.severity.as_str(),
        stops_peripheral: entry.stops_peripheral,
        parts: entry.parts.iter().map(part).collect(),
        first_steps_zh: entry.first_steps_zh.clone(),
        first_steps_en: entry.first_steps_en.clone(),
    };
    Ok(Json(Faults { items: catalogue.entries().map(fault).collect() }))
}
