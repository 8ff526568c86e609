//! Many proposals decided with one reason: the form below their list, and what became of each.
use std::collections::BTreeSet;

use askama::Template;
use axum::{
    Form,
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse as _, Response},
};
use chrono_tz::Tz;
use kioskwatch_domain::change::RestatementRow;
use uuid::Uuid;

use super::{
    super::{
        refusal,
        shell::{Shell, encoded, render},
        texts::Texts,
        uptime,
    },
    Which,
    desk::Said,
    show, tone,
};
use crate::http::{Caller, May, Problem, Restate, Web, decide_restatements, parse};

/// The form below the list.
pub(super) struct Many {
    /// The same list with every box ticked.
    pub(super) all: String,
    /// What the list was narrowed to, to come back to it.
    pub(super) kept: Vec<(&'static str, String)>,
    pub(super) problem: Option<String>,
    pub(super) reason: String,
}

/// What came to nothing, to be shown with what had been typed.
pub(super) struct Tried<'a> {
    pub(super) ids: &'a BTreeSet<Uuid>,
    said: &'a Said,
    problem: &'a Problem,
}

impl Many {
    pub(super) fn new(t: &'static Texts, here: &str, which: &Which, tried: Option<&Tried<'_>>) -> Self {
        let cursor = which.restatements.as_ref().map(|cursor| format!("&restatements={}", encoded(cursor)));
        let kept = [
            ("kiosk", &which.kiosk),
            ("site", &which.site),
            ("month", &which.month),
            ("changed", &which.changed),
        ];
        let kept = kept.into_iter().filter(|(_, value)| !value.is_empty());
        let mut kept: Vec<_> = kept.map(|(name, value)| (name, value.clone())).collect();
        kept.extend(which.restatements.iter().map(|cursor| ("restatements", cursor.clone())));
        Self {
            all: format!("{here}&choose=all{}#restatements", cursor.unwrap_or_default()),
            kept,
            // It speaks of no time.
            problem: tried.map(|tried| refusal::told(t, Tz::UTC, &tried.problem.detail)),
            reason: tried.map_or_else(String::new, |tried| tried.said.reason.clone()),
        }
    }
}

/// What became of each.
#[derive(Template)]
#[template(path = "decided_many.html")]
struct OutcomesPage {
    shell: Shell,
    t: &'static Texts,
    /// The list it was decided from.
    back: String,
    reason: String,
    decided: Vec<Outcome>,
    refused: Vec<Outcome>,
}

struct Outcome {
    link: String,
    title: String,
    tone: &'static str,
    state: &'static str,
    /// Why it is not decided.
    why: String,
}

/// The fields of the form; a box that is ticked is one of many with the same name.
#[derive(Default)]
struct Sent {
    ids: BTreeSet<Uuid>,
    said: Said,
    which: Which,
}

impl Sent {
    fn of(fields: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut sent = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "id" => {
                    sent.ids.insert(parse(&value)?);
                }
                "verdict" => sent.said.verdict = value,
                "reason" => sent.said.reason = value,
                "kiosk" => sent.which.kiosk = value,
                "site" => sent.which.site = value,
                "month" => sent.which.month = value,
                "changed" => sent.which.changed = value,
                "restatements" => sent.which.restatements = Some(value),
                _ => {}
            }
        }
        Ok(sent)
    }
}

pub(in crate::console) async fn decide(
    State(web): State<Web>,
    May(caller, _): May<Restate>,
    shell: Shell,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let sent = Sent::of(fields)?;
    match outcomes(&web, &caller, &sent, &shell).await {
        Ok(page) => Ok(page.into_response()),
        Err(problem) if problem.status == StatusCode::UNPROCESSABLE_ENTITY => {
            let tried = Tried { ids: &sent.ids, said: &sent.said, problem: &problem };
            let page = show(&web, &caller, shell, &sent.which, Some(tried)).await?;
            Ok((problem.status, page).into_response())
        }
        Err(problem) => Err(problem),
    }
}

async fn outcomes(web: &Web, caller: &Caller, sent: &Sent, shell: &Shell) -> Result<Html<String>, Problem> {
    let t = shell.t;
    let verdict = sent.said.verdict()?;
    if sent.ids.is_empty() {
        return Err(Problem::invalid("Choose at least one of the restatements above."));
    }
    let ids: Vec<Uuid> = sent.ids.iter().copied().collect();
    let known = web.app().store().restatements_among(caller.scope(), &ids).await?;
    let each = decide_restatements(web, caller, &ids, &verdict).await?;
    let (mut decided, mut refused) = (Vec::new(), Vec::new());
    for (id, outcome) in each {
        match outcome {
            Ok(row) => decided.push(Outcome::of(t, &row, String::new())),
            Err(problem) => {
                let why = refusal::told(t, Tz::UTC, &problem.detail);
                refused.push(match known.iter().find(|row| row.id == id) {
                    Some(row) => Outcome::of(t, row, why),
                    None => Outcome::unknown(id, why),
                });
            }
        }
    }
    let by_title = |one: &Outcome, other: &Outcome| one.title.cmp(&other.title);
    decided.sort_by(by_title);
    refused.sort_by(by_title);
    let back = sent.which.address();
    // The language switch comes back to what can be asked for.
    let shell = Shell { path: back.clone(), ..shell.clone() };
    render(&OutcomesPage { shell, t, back, reason: verdict.reason, decided, refused })
}

impl Outcome {
    fn of(t: &'static Texts, row: &RestatementRow, why: String) -> Self {
        Self {
            link: format!("/restatements/{}", row.id),
            title: format!("{} · {}", row.kiosk, uptime::title(t, row.month)),
            tone: tone(row.state.as_str()).class(),
            state: t.word(row.state.as_str()),
            why,
        }
    }

    fn unknown(id: Uuid, why: String) -> Self {
        Self { link: String::new(), title: id.to_string(), tone: tone("").class(), state: "", why }
    }
}
