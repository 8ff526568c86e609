//! Every refusal of the API: one shape (RFC 9457), one place that knows the status.
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use kioskwatch_domain::fleet::{Refusal, RefusalKind};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{app::RequestError, auth::Refused, store::StoreError};

pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request came to nothing.
#[derive(Debug, Clone)]
pub struct Problem {
    pub status: StatusCode,
    /// Stable, for programs.
    pub code: &'static str,
    /// One sentence for people.
    pub detail: String,
    /// The service rule behind a refusal, such as `SR-092`.
    pub rule: Option<&'static str>,
    /// Under which the server's log says more.
    pub instance: Option<Uuid>,
}

/// A problem as it is sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemView<'a> {
    /// `urn:kioskwatch:problem:` and the code.
    r#type: String,
    /// The status in words.
    title: &'a str,
    status: u16,
    detail: &'a str,
    /// Stable name of the problem.
    code: &'a str,
    /// The service rule behind a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    /// `urn:uuid:` and the id under which the server's log says more.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), rule: None, instance: None }
    }

    pub fn unauthenticated() -> Self {
        let detail = "sign in, or send a valid token as `Authorization: Bearer …`";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// Also for what exists outside of the reader's scope.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("no such {what}"))
    }

    /// It was there, for as long as such things are kept.
    pub fn removed(what: &str) -> Self {
        Self::new(StatusCode::GONE, "removed", format!("this {what} was kept for long enough and is removed"))
    }

    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
    }

    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
    }

    /// The cause is for the log, not for the outside.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed");
        let detail = "the server could not do this; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    pub(crate) fn view(&self) -> ProblemView<'_> {
        ProblemView {
            r#type: format!("urn:kioskwatch:problem:{}", self.code),
            title: self.title(),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            rule: self.rule,
            instance: self.instance.map(|id| id.urn().to_string()),
        }
    }

    pub fn title(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.view()).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        // The console shows the same problem as a page.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::BadCursor => Self::bad_request("bad_cursor", error.to_string()),
            StoreError::Damaged { .. } => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a part of the database cannot be read"
                );
                let detail = "this part of the database is damaged; the server's log says where";
                Self::unavailable("database_damaged", detail)
            }
            error if error.is_retryable() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a read failed");
                Self::unavailable("database_unavailable", "the database does not answer; try again")
            }
            error => Self::internal(&error),
        }
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Refused(refusal) => refusal.into(),
            RequestError::Unavailable(why) | RequestError::Poisoned(why) => {
                Self::unavailable("cannot_save", why)
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match refusal.kind {
            RefusalKind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            RefusalKind::Conflict => (StatusCode::CONFLICT, "conflict"),
            RefusalKind::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            RefusalKind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        };
        Self { status, code, detail: refusal.reason, rule: Some(refusal.rule), instance: None }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown => Self::unauthenticated(),
            Refused::TooFast => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                "more than 100 requests a second with one token",
            ),
            Refused::Guessing => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_attempts",
                "too many wrong tokens came from this address; wait a minute",
            ),
            Refused::Store(error) => error.into(),
        }
    }
}
