//! The door of every route: who asks, from where, and with which right.
//!
//! [`let_in`] stands in front of the whole API and console; a route names its right in its arguments
//! ([`May`]). A route without a name there sees nobody, and a request without identity never reaches one.
use std::{
    marker::PhantomData,
    net::{IpAddr, Ipv4Addr},
};

use axum::{
    extract::{ConnectInfo, FromRequestParts, Request, State},
    http::{HeaderMap, Method, header, request::Parts},
    middleware::Next,
    response::Response,
};
use kioskwatch_domain::fleet::Actor;

use super::{Problem, Web, patience::Peer};
use crate::{
    auth::{Credential, Identity, Right},
    store::Scope,
};

/// Somebody who was let in, with the credential that did it.
#[derive(Debug, Clone)]
pub struct Caller {
    pub identity: Identity,
    pub credential: Credential,
}

impl Caller {
    pub fn scope(&self) -> &Scope {
        &self.identity.scope
    }

    pub fn actor(&self) -> Actor {
        Actor { name: self.identity.name.clone() }
    }

    pub fn must(&self, right: Right) -> Result<(), Problem> {
        if self.identity.may(right) {
            return Ok(());
        }
        let role = self.identity.role.as_str();
        let what = match right {
            Right::See => "see this",
            Right::WorkTickets => "change tickets",
            Right::Operate => "send commands",
            Right::Approve => "approve commands",
            Right::Configure => "change sites and kiosks",
            Right::ReadAudit => "read the audit",
            Right::Correct => "ask for corrections",
            Right::Restate => "decide about signed figures and corrections",
        };
        Err(Problem::forbidden(format!("the role {role} may not {what}")))
    }
}

/// A caller with a right: an argument of every route.
#[derive(Debug)]
pub struct May<R>(pub Caller, pub PhantomData<R>);

/// A right as a type.
pub trait Needs {
    const RIGHT: Right;
}

macro_rules! rights {
    ($($name:ident),+) => {$(
        #[derive(Debug)]
        pub(crate) struct $name;
        impl Needs for $name {
            const RIGHT: Right = Right::$name;
        }
    )+};
}
rights!(See, WorkTickets, Operate, Approve, Configure, ReadAudit, Correct, Restate);

impl<R: Needs, S: Sync> FromRequestParts<S> for May<R> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(Problem::unauthenticated)?;
        caller.must(R::RIGHT)?;
        Ok(Self(caller, PhantomData))
    }
}

/// See the module.
pub(crate) async fn let_in(
    State(web): State<Web>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let credential = credential(&web, request.headers())?;
    if !matches!(credential, Credential::Bearer(_)) {
        refuse_foreign_sites(&web, request.method(), request.headers())?;
    }
    let path = request.uri().path();
    let by_itself = path.starts_with("/parts/") || path.ends_with("/events");
    let identity = web.auth().identify(address(&request), &credential, !by_itself).await?;
    request.extensions_mut().insert(Caller { identity, credential });
    Ok(next.run(request).await)
}

fn credential(web: &Web, headers: &HeaderMap) -> Result<Credential, Problem> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let text = value.to_str().unwrap_or("");
        let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Problem::unauthenticated());
        }
        return Ok(Credential::Bearer(token.trim().to_owned()));
    }
    if let Some(session) = cookie(headers, web.session_cookie()) {
        return Ok(Credential::Session(session.to_owned()));
    }
    if web.app().config().console.open_access {
        return Ok(Credential::Open);
    }
    Err(Problem::unauthenticated())
}

/// A browser attaches cookies whoever made it send the request, and open access asks for none: both are
/// refused to pages of other sites. An old browser without `Sec-Fetch-Site` still sends `Origin` with a form.
pub(crate) fn refuse_foreign_sites(web: &Web, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST.as_str());
    let open = web.app().config().console.open_access;
    if open && !host.is_none_or(is_loopback_name) {
        // A foreign name that leads here is how a page gets around the browser's rules.
        return Err(Problem::forbidden("open access answers under a loopback name only"));
    }
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let foreign = || {
        let detail = "this request came from another site; send it from the console, or with a token";
        Problem::new(axum::http::StatusCode::FORBIDDEN, "cross_site", detail)
    };
    let origin_host = text("origin").map(|origin| origin.split_once("://").map_or("", |(_, host)| host));
    let ours = match (text("sec-fetch-site"), origin_host) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => Some(origin) == host,
        // No browser sends a form without either; a script on this machine may do what its user may.
        (None, None) => open && cookie(headers, web.session_cookie()).is_none(),
    };
    if ours { Ok(()) } else { Err(foreign()) }
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// Where it came from; behind a proxy that is the proxy.
pub(crate) fn address(request: &Request) -> IpAddr {
    request
        .extensions()
        .get::<ConnectInfo<Peer>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.0.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_loopback_names() {
        for good in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.8.0.1:80", "[::1]", "[::1]:8080"] {
            assert!(is_loopback_name(good), "{good}");
        }
        for bad in ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil:80", "10.0.0.1", "[::2]:80"]
        {
            assert!(!is_loopback_name(bad), "{bad}");
        }
    }
}
