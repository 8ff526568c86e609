//! Answers: a body, nothing, or a problem with a stable code.
use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{Response, StatusCode, header};
use kioskwatch_agent_core::effect::LocalRefusal;
use serde::Serialize;

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What is wrong with a request, as `application/problem+json`.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) detail: String,
}

#[derive(Serialize)]
struct ProblemBody<'a> {
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into() }
    }

    pub(super) fn refused(refusal: LocalRefusal) -> Self {
        use LocalRefusal as R;
        let (status, detail) = match refusal {
            R::UnknownPeripheral => (StatusCode::NOT_FOUND, "no peripheral of that name is configured"),
            R::OwnedByAgent => (StatusCode::CONFLICT, "the agent itself reads that peripheral"),
            R::NotLeasable => (StatusCode::CONFLICT, "the peripheral's mode is not lease"),
            R::AlreadyLeased => (StatusCode::CONFLICT, "another lease of it is running"),
            R::UnknownLease => (StatusCode::NOT_FOUND, "no such lease, or it is over"),
            R::UnknownRequest => (StatusCode::NOT_FOUND, "no such open request to hold"),
            R::GrantTooShort => {
                (StatusCode::CONFLICT, "the grant ends before the action could: see seconds of the request")
            }
            R::OutOfRange => (StatusCode::UNPROCESSABLE_ENTITY, "a duration or text is outside its limits"),
            R::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping"),
        };
        Self::new(status, refusal.code(), detail)
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let body = ProblemBody {
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
        };
        with_json(self.status, "application/problem+json", &body)
    }
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    with_json(status, "application/json", value)
}

fn with_json(status: StatusCode, kind: &'static str, value: &impl Serialize) -> Response<Body> {
    let text = serde_json::to_vec(value).expect("our answers have text keys and finite numbers");
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

pub(super) fn nothing() -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::new()).boxed_unsync());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
