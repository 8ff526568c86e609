//! What comes in: paths, queries and bodies, with a sentence for whoever got one wrong.
use std::str::FromStr;

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::JsonRejection},
    http::{StatusCode, request::Parts},
};
use kioskwatch_proto::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

use super::Problem;
use crate::store::PageRequest;

/// Largest body of a request.
pub(crate) const MAX_BODY_BYTES: usize = 1024 * 1024;
/// A period a query may span.
pub(crate) const MAX_PERIOD_MS: i64 = 400 * 24 * 3_600 * 1_000;

/// The one id in a path.
#[derive(Debug)]
pub(crate) struct Id<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Id<T>
where
    T: FromStr,
    T::Err: std::fmt::Display,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|error| Problem::bad_request("bad_path", error.body_text()))?;
        parse(&text).map(Self)
    }
}

/// An id as text, checked.
pub(crate) fn parse<T>(text: &str) -> Result<T, Problem>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| {
        let shown: String = text.chars().take(80).collect();
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_id", format!("{shown:?}: {error}"))
    })
}

/// A query; unknown parameters are ignored.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(params)| Self(params))
            .map_err(|error| Problem::bad_request("bad_query", error.body_text()))
    }
}

/// A JSON body; unknown fields are ignored, so that what was read can be sent back.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(JsonRejection::JsonDataError(error)) => Err(Problem::invalid(error.body_text())),
            Err(error) => {
                let code = match error.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => "too_large",
                    StatusCode::UNSUPPORTED_MEDIA_TYPE => "not_json",
                    _ => "bad_json",
                };
                Err(Problem::new(error.status(), code, error.body_text()))
            }
        }
    }
}

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Rows of the page, at most 200.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl PageQuery {
    pub(crate) fn page(self) -> PageRequest {
        PageRequest::new(self.limit, self.cursor)
    }
}

/// A span of time; without a start the day before the end, without an end now.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PeriodQuery {
    /// RFC 3339, included.
    from: Option<String>,
    /// RFC 3339, not included.
    to: Option<String>,
}

impl PeriodQuery {
    pub(crate) fn period(&self, now: Timestamp) -> Result<(Timestamp, Timestamp), Problem> {
        let to = self.to.as_deref().map_or(Ok(now), |text| time("to", text))?;
        let day_before = to.plus_ms(-24 * 3_600 * 1_000);
        let from = self.from.as_deref().map_or(Ok(day_before), |text| time("from", text))?;
        if from >= to {
            return Err(Problem::bad_request("bad_query", "from must lie before to"));
        }
        if to.since(from) > MAX_PERIOD_MS {
            return Err(Problem::bad_request("bad_query", "the period is longer than 400 days"));
        }
        Ok((from, to))
    }
}

/// A time of a query.
pub(crate) fn time(name: &str, text: &str) -> Result<Timestamp, Problem> {
    Timestamp::parse(text).map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        let detail = format!("{name}={shown:?} is no RFC 3339 time such as 2026-11-21T08:00:00Z");
        Problem::bad_request("bad_query", detail)
    })
}

/// A word of a closed list in a query or body.
pub(crate) fn word<T>(name: &str, text: &str, parse: fn(&str) -> Option<T>) -> Result<T, Problem> {
    parse(text).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        Problem::invalid(format!("{name}: {shown:?} is none of the words this field takes"))
    })
}
