//! From method, path and body to a call of the loop, and from its answer to a response.
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::{Method, Response, StatusCode, body::Incoming};
use kioskwatch_agent_core::input::Local;
use kioskwatch_proto::{
    PeripheralName,
    local::{Grant, Lease, LeaseRequest},
    payload::{Payload, parse_payload},
};
use tokio::{sync::oneshot, time::timeout};
use uuid::Uuid;

use super::{
    Answer, Call, MAX_BODY, REQUEST_LIMIT, Request, Shared,
    answer::{Body, Problem, json, nothing},
    holds,
};
use crate::clock;

pub(super) async fn handle<E>(request: hyper::Request<Incoming>, shared: &Shared<E>) -> Response<Body> {
    match answer(request, shared).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn answer<E>(request: hyper::Request<Incoming>, shared: &Shared<E>) -> Result<Response<Body>, Problem> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let (method, body) = (parts.method, read(body).await?);
    let input = match (method.as_str(), &segments[..]) {
        ("PUT", ["v1", "peripherals", name]) => {
            let name = name.parse::<PeripheralName>().map_err(|e| bad("bad_name", e.to_string()))?;
            Local::Peripheral { name, state: parse(&body)? }
        }
        ("PUT", ["v1", "service"]) => Local::Service(parse(&body)?),
        ("PUT", ["v1", "busy"]) => Local::Busy(parse(&body)?),
        ("POST", ["v1", "transactions"]) => Local::Transaction(parse(&body)?),
        ("POST", ["v1", "grants", request]) => {
            Local::Grant { request: (*request).to_owned(), grant: parse(&body)? }
        }
        ("DELETE", ["v1", "grants", request]) => {
            let grant = Grant { granted: false, valid_for_s: 0 };
            Local::Grant { request: (*request).to_owned(), grant }
        }
        ("POST", ["v1", "leases"]) => return lend(parse(&body)?, shared).await,
        ("DELETE", ["v1", "leases", lease]) => Local::EndLease { lease: (*lease).to_owned() },
        ("GET", ["v1", "status"]) => {
            return match call(Request::Status, shared).await? {
                Answer::Status(status) => Ok(json(StatusCode::OK, &*status)),
                other => Err(unexpected(&other)),
            };
        }
        ("GET", ["v1", "requests"]) => {
            // Listening first: what is asked between the two is told twice rather than never.
            let events = shared.holds.subscribe();
            return match call(Request::Holds, shared).await? {
                Answer::Holds(open) => Ok(holds::response(open, events)),
                other => Err(unexpected(&other)),
            };
        }
        _ => return Err(nowhere(&method, &segments)),
    };
    done(call(Request::Input(input), shared).await?).map(|()| nothing())
}

async fn lend<E>(request: LeaseRequest, shared: &Shared<E>) -> Result<Response<Body>, Problem> {
    let id = Uuid::new_v4().to_string();
    let until = clock::wall().plus_ms(i64::from(request.seconds) * 1000);
    let lease = Lease { id: id.clone(), peripheral: request.peripheral.clone(), until };
    let input = Request::Input(Local::Lease { lease: id, request });
    done(call(input, shared).await?)?;
    Ok(json(StatusCode::CREATED, &lease))
}

fn done(answer: Answer) -> Result<(), Problem> {
    match answer {
        Answer::Done => Ok(()),
        Answer::Refused(refusal) => Err(Problem::refused(refusal)),
        Answer::NoRoom => Err(Problem::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "no_room",
            "the agent's disk is full and the record was not kept",
        )),
        other => Err(unexpected(&other)),
    }
}

async fn call<E>(request: Request, shared: &Shared<E>) -> Result<Answer, Problem> {
    let stopping = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the agent is stopping");
    let (answer, reply) = oneshot::channel();
    shared.calls.send((shared.wrap)(Call { request, answer })).await.map_err(|_| stopping())?;
    reply.await.map_err(|_| stopping())
}

async fn read(body: Incoming) -> Result<Bytes, Problem> {
    let collected = timeout(REQUEST_LIMIT, Limited::new(body, MAX_BODY).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("a body has at most {MAX_BODY} bytes"),
        )),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not arrive")),
    }
}

fn bad(code: &'static str, detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
}

fn parse<'a, T: Payload<'a>>(body: &'a Bytes) -> Result<T, Problem> {
    parse_payload(body).map_err(|error| {
        let detail = error.to_string();
        match error.reason() {
            "bad_field" => bad("bad_field", detail),
            reason => Problem::new(StatusCode::BAD_REQUEST, reason, detail),
        }
    })
}

fn nowhere(method: &Method, segments: &[&str]) -> Problem {
    let known = matches!(
        segments,
        ["v1", "service" | "busy" | "transactions" | "leases" | "status" | "requests"]
            | ["v1", "peripherals" | "grants" | "leases", _]
    );
    if known {
        let detail = format!("{method} means nothing here");
        return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
    }
    Problem::new(StatusCode::NOT_FOUND, "not_found", "no such resource; see GET /v1/status")
}

fn unexpected(answer: &Answer) -> Problem {
    tracing::error!(?answer, "a local request got an answer of another kind");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the agent answered out of turn")
}
