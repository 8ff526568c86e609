//! The OpenAPI document, made from the routes themselves.
use axum::Json;
use utoipa::{
    IntoResponses, Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::{
    audit, commands, corrections, events, faults, inspections, kiosks, months, problem::ProblemView,
    restatements, sites, tickets, timeline, uptime,
};

/// What every route may answer beside its success.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "read by the derive only")]
pub(crate) enum Failures {
    /// The request cannot be read.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(ProblemView<'static>),
    /// No valid token.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(ProblemView<'static>),
    /// The role may not.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemView<'static>),
    /// Not there, or outside of the scope.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(ProblemView<'static>),
    /// The rules forbid it now; `rule` says which.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(ProblemView<'static>),
    /// The body is too large.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(ProblemView<'static>),
    /// The body is no JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(ProblemView<'static>),
    /// A value is not allowed.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(ProblemView<'static>),
    /// Too many requests, or too many wrong tokens.
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(ProblemView<'static>),
    /// Database away, or no place for another live stream.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemView<'static>),
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Kioskwatch", description = "Kiosks, tickets, uptime and remote commands of one fleet."),
    paths(
        sites::list, sites::get, sites::put,
        kiosks::list, kiosks::get, kiosks::put, timeline::get,
        tickets::list, tickets::get, tickets::post, tickets::act,
        commands::post, commands::get, commands::events, commands::approve, commands::reject,
        commands::cancel,
        uptime::get, months::get,
        restatements::list, restatements::get, restatements::approve, restatements::reject,
        restatements::decide_many,
        corrections::list, corrections::get, corrections::post, corrections::approve, corrections::reject,
        inspections::list, events::watch, audit::list, faults::list,
    ),
    components(schemas(ProblemView)),
    modifiers(&Security),
    security(("token" = []), ("session" = []))
)]
struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        let cookie = ApiKey::Cookie(ApiKeyValue::new("kioskwatch_session"));
        components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    }
}

/// The document as it is served and committed.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

pub(super) async fn serve() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}
