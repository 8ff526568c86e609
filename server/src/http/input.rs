//! What comes in: paths, queries and bodies, with a sentence for whoever got one wrong.
use std::str::FromStr;

use axum::{
    extract::{
        FromRequest, FromRequestParts, Path, Query, Request,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{StatusCode, request::Parts},
};
use kioskwatch_proto::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use utoipa::{
    IntoParams, ToSchema,
    openapi::{RefOr, Schema, path::Parameter},
};

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

/// A query. A parameter that it does not have is refused: whoever mistypes a filter would get the answer to another
/// question.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned + IntoParams, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        known_only(parts, &T::into_params(|| None))?;
        query(parts).map(Self)
    }
}

/// The query of a list: what is asked for, and which page of it.
#[derive(Debug)]
pub(crate) struct ListParams<T>(pub(crate) T, pub(crate) PageQuery);

impl<T: DeserializeOwned + IntoParams, S: Sync> FromRequestParts<S> for ListParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        known_only(parts, &[T::into_params(|| None), PageQuery::into_params(|| None)].concat())?;
        Ok(Self(query(parts)?, query(parts)?))
    }
}

fn query<T: DeserializeOwned>(parts: &Parts) -> Result<T, Problem> {
    let bad = |error: QueryRejection| Problem::bad_request("bad_query", error.body_text());
    Query::try_from_uri(&parts.uri).map(|Query(params)| params).map_err(bad)
}

fn known_only(parts: &Parts, known: &[Parameter]) -> Result<(), Problem> {
    let given: Vec<(String, String)> = query(parts)?;
    match given.iter().find(|(name, _)| known.iter().all(|parameter| parameter.name != *name)) {
        None => Ok(()),
        Some((name, _)) => {
            let known: Vec<&str> = known.iter().map(|parameter| parameter.name.as_str()).collect();
            Err(Problem::bad_request("bad_query", none_of("parameter", name, &known)))
        }
    }
}

fn none_of(what: &str, name: &str, known: &[&str]) -> String {
    let shown: String = name.chars().take(40).collect();
    format!("{shown:?} is no {what} of this: expected {}", known.join(", "))
}

/// A JSON body. A field that it does not have is refused by its type (`deny_unknown_fields`).
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = axum::Json::from_request(request, state).await;
        body.map(|axum::Json(body)| Self(body)).map_err(|error| refused(&error))
    }
}

fn refused(error: &JsonRejection) -> Problem {
    let code = match (error, error.status()) {
        (JsonRejection::JsonDataError(_), _) => return Problem::invalid(error.body_text()),
        (_, StatusCode::PAYLOAD_TOO_LARGE) => "too_large",
        (_, StatusCode::UNSUPPORTED_MEDIA_TYPE) => "not_json",
        _ => "bad_json",
    };
    Problem::new(error.status(), code, error.body_text())
}

/// What a resource is put as.
pub(crate) trait Put: DeserializeOwned + ToSchema {
    /// What it is read as.
    fn read_as() -> Vec<String>;
}

/// The JSON body of a PUT. What was read can be sent back: fields that only a reader gets change nothing. Others are
/// refused.
#[derive(Debug)]
pub(crate) struct PutBody<T>(pub(crate) T);

impl<T: Put, S: Send + Sync> FromRequest<S> for PutBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Body(body): Body<Map<String, Value>> = Body::from_request(request, state).await?;
        let (own, read) = (fields::<T>(), T::read_as());
        if let Some(name) = body.keys().find(|name| !own.contains(name) && !read.contains(name)) {
            let own: Vec<&str> = own.iter().map(String::as_str).collect();
            return Err(Problem::invalid(none_of("field", name, &own)));
        }
        // Again from a text: what is wrong with it is then told with its field.
        let text = Value::Object(body).to_string();
        axum::Json::from_bytes(text.as_bytes())
            .map(|axum::Json(body)| Self(body))
            .map_err(|error| refused(&error))
    }
}

/// The names of the fields of a JSON object, but for those of others within it (`flatten`).
pub(crate) fn fields<T: ToSchema>() -> Vec<String> {
    let names = |schema: &Schema| match schema {
        Schema::Object(object) => object.properties.keys().cloned().collect(),
        _ => Vec::new(),
    };
    match T::schema() {
        RefOr::T(Schema::AllOf(all)) => {
            let own = all.items.iter();
            own.filter_map(|part| if let RefOr::T(part) = part { Some(names(part)) } else { None })
                .flatten()
                .collect()
        }
        RefOr::T(schema) => names(&schema),
        RefOr::Ref(_) => Vec::new(),
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
