//! What stands around every page: language, navigation, who is signed in; and problems as pages.
use askama::Template;
use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::{Html, IntoResponse, Redirect, Response},
};
use chrono_tz::Tz;
use kioskwatch_proto::Timestamp;

use super::{assets, refusal, texts::Texts, time::Ago};
use crate::{
    auth::{Credential, Identity},
    config::Language,
    http::{Caller, Problem, Web, cookie},
};

pub(super) const LANGUAGE_COOKIE: &str = "kioskwatch_language";

/// The frame of a page.
#[derive(Debug, Clone)]
pub(super) struct Shell {
    pub(super) t: &'static Texts,
    /// Where the language switch comes back to.
    pub(super) path: String,
    pub(super) user: Option<User>,
    pub(super) version: &'static str,
}

#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) role: &'static str,
    /// Nobody signed in, nobody can sign out.
    pub(super) demo: bool,
}

impl Shell {
    fn of(web: &Web, parts: &Parts) -> Self {
        let user = parts.extensions.get::<Caller>().map(|caller| {
            let Identity { name, role, .. } = &caller.identity;
            let demo = caller.credential == Credential::Open;
            User { name: name.clone(), role: role.as_str(), demo }
        });
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Self { t: texts(web, &parts.headers), path, user, version: &assets::VERSION }
    }

    /// Which entry of the navigation is where we are.
    pub(super) fn is_at(&self, section: &str) -> bool {
        match section {
            "tickets" => self.path.starts_with("/tickets"),
            "inspections" => self.path.starts_with("/inspections"),
            "uptime" => self.path.starts_with("/uptime"),
            "decisions" => {
                ["/decisions", "/restatements", "/corrections"].iter().any(|at| self.path.starts_with(at))
            }
            _ => self.path == "/" || self.path.starts_with("/?") || self.path.starts_with("/kiosks"),
        }
    }

    pub(super) fn other_language(&self) -> &'static str {
        match self.t.language {
            Language::ZhCn => "en",
            Language::En => "zh-CN",
        }
    }
}

impl FromRequestParts<Web> for Shell {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        Ok(Self::of(web, parts))
    }
}

pub(super) fn language(text: &str) -> Option<Language> {
    match text {
        "zh-CN" => Some(Language::ZhCn),
        "en" => Some(Language::En),
        _ => None,
    }
}

fn texts(web: &Web, headers: &HeaderMap) -> &'static Texts {
    let chosen = cookie(headers, LANGUAGE_COOKIE).and_then(language);
    Texts::of(chosen.unwrap_or(web.app().config().console.language))
}

/// A zone by its name; the console's where there is none.
pub(super) fn zone(web: &Web, name: Option<&str>) -> Tz {
    let own = || web.app().config().console.timezone.parse().ok();
    name.and_then(|name| name.parse().ok()).or_else(own).unwrap_or(chrono_tz::UTC)
}

/// A text as a value in an address.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A page or a part of one, rendered.
pub(super) fn render(template: &impl Template) -> Result<Html<String>, Problem> {
    template.render().map(Html).map_err(|error| Problem::internal(&error))
}

/// An instant and how long ago it was, for templates.
pub(super) fn ago(t: &'static Texts, zone: Tz, now: Timestamp, at: Timestamp) -> Ago {
    Ago::new(t, zone, now, at)
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    shell: Shell,
    title: &'static str,
    detail: String,
    code: &'static str,
    rule: Option<&'static str>,
}

/// Turns problems into pages, and "who are you?" into the way to the login.
pub(super) async fn dress(State(web): State<Web>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let mut shell = Shell::of(&web, &parts);
    let by_script = parts.uri.path().starts_with("/parts/");
    let response = next.run(Request::from_parts(parts, body)).await;
    let Some(problem) = response.extensions().get::<Problem>().cloned() else { return response };
    if problem.status == StatusCode::UNAUTHORIZED {
        if by_script {
            return response;
        }
        return Redirect::to("/login").into_response();
    }
    let t = shell.t;
    let title = match problem.status.as_u16() {
        404 => t.error_404,
        410 => t.error_410,
        403 => t.error_403,
        429 => t.error_429,
        503 => t.error_503,
        500 => t.error_500,
        _ => t.error_400,
    };
    let detail = match problem.status {
        StatusCode::NOT_FOUND => t.not_found_hint.to_owned(),
        StatusCode::GONE => t.removed_hint.to_owned(),
        _ => refusal::told(t, zone(&web, None), &problem.detail),
    };
    "/".clone_into(&mut shell.path);
    let page = ProblemPage { shell, title, detail, code: problem.code, rule: problem.rule };
    let Ok(html) = page.render() else { return response };
    let (mut head, _) = response.into_parts();
    head.headers.remove(header::CONTENT_TYPE);
    head.headers.remove(header::CONTENT_LENGTH);
    (head.status, head.headers, Html(html)).into_response()
}
