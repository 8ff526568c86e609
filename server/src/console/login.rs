//! Signing in with a token, signing out, and the choice of a language.
use askama::Template;
use axum::{
    Form,
    extract::{FromRequest as _, Query, Request, State},
    http::{HeaderMap, Method, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::shell::{LANGUAGE_COOKIE, Shell, language as known_language, render};
use crate::{
    auth::{Credential, Refused},
    http::{Caller, Problem, Web, address, cookie, refuse_foreign_sites},
};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    shell: Shell,
    wrong: bool,
    signed_out: bool,
}

#[derive(Deserialize)]
pub(super) struct Said {
    out: Option<String>,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

#[derive(Deserialize)]
pub(super) struct Chosen {
    language: String,
    back: String,
}

pub(super) async fn page(
    State(web): State<Web>,
    shell: Shell,
    Query(said): Query<Said>,
) -> Result<Response, Problem> {
    if web.app().config().console.open_access {
        return Ok(Redirect::to("/").into_response());
    }
    let page = LoginPage { shell, wrong: false, signed_out: said.out.is_some() };
    render(&page).map(IntoResponse::into_response)
}

pub(super) async fn sign_in(
    State(web): State<Web>,
    shell: Shell,
    request: Request,
) -> Result<Response, Problem> {
    // Signing somebody into another's session is a forgery too.
    refuse_foreign_sites(&web, request.method(), request.headers())?;
    let from = address(&request);
    let form = Form::<Token>::from_request(request, &()).await;
    let Form(form) = form.map_err(|error| Problem::bad_request("bad_form", error.body_text()))?;
    match web.auth().sign_in(from, form.token.trim()).await {
        Ok((session, identity)) => {
            tracing::info!(actor = identity.name, role = identity.role.as_str(), "signed in");
            let cookie = session_cookie(&web, &session, "43200");
            Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to("/")).into_response())
        }
        Err(Refused::Unknown) => {
            let page = LoginPage { shell, wrong: true, signed_out: false };
            Ok((axum::http::StatusCode::UNAUTHORIZED, render(&page)?).into_response())
        }
        Err(refused) => Err(refused.into()),
    }
}

/// `max_age` in seconds; 0 takes it away.
fn session_cookie(web: &Web, value: &str, max_age: &str) -> String {
    let secure = if web.app().config().http.secure_cookies { "; Secure" } else { "" };
    let name = web.session_cookie();
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}")
}

pub(super) async fn sign_out(
    State(web): State<Web>,
    axum::Extension(caller): axum::Extension<Caller>,
) -> Response {
    if let Credential::Session(session) = &caller.credential {
        web.auth().sign_out(session);
    }
    let gone = session_cookie(&web, "", "0");
    (AppendHeaders([(header::SET_COOKIE, gone)]), Redirect::to("/login?out=1")).into_response()
}

pub(super) async fn language(
    State(web): State<Web>,
    method: Method,
    headers: HeaderMap,
    Form(chosen): Form<Chosen>,
) -> Result<Response, Problem> {
    if cookie(&headers, web.session_cookie()).is_some() {
        refuse_foreign_sites(&web, &method, &headers)?;
    }
    let known = known_language(&chosen.language)
        .map(|_| chosen.language)
        .ok_or_else(|| Problem::invalid("language: zh-CN or en"))?;
    let cookie = format!("{LANGUAGE_COOKIE}={known}; Path=/; HttpOnly; SameSite=Lax; Max-Age=31536000");
    // Only back to a page of ours: `//elsewhere` and `/\elsewhere` lead away.
    let ours = chosen.back.starts_with('/')
        && !chosen.back.starts_with("//")
        && !chosen.back.contains(['\\', '\r', '\n']);
    let back = if ours && chosen.back.is_ascii() { chosen.back.as_str() } else { "/" };
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to(back)).into_response())
}
