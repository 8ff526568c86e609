//! What waits for a decision about signed months and about the past, and what was decided.
//!
//! Reads and writes through the same use cases as the API, so a page refuses what the API refuses; it only says
//! so before somebody has typed a reason.
pub(super) mod ask;
mod compared;
pub(super) mod correction;
mod desk;
pub(super) mod restatement;

use std::collections::BTreeMap;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use kioskwatch_domain::{
    change::{Correction, CorrectionRow, Decided, RestatementRow, SiteRow},
    uptime::corrections::place,
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};
use serde::Deserialize;

use super::{
    shell::{Shell, render, zone},
    texts::Texts,
    time::At,
    tone::Tone,
    uptime,
};
use crate::{
    auth::Right,
    http::{Caller, May, Problem, See, Web, kiosk_in_scope, parse, site_names},
    store::{CorrectionFilter, PageRequest, RestatementFilter},
};

/// Rows of each list.
const ROWS: u32 = 50;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Which {
    /// `decided`, or nothing for what waits.
    show: String,
    /// Empty: all of them.
    kiosk: String,
    /// Where each list goes on.
    restatements: Option<String>,
    corrections: Option<String>,
}

#[derive(Template)]
#[template(path = "decisions.html")]
struct DecisionsPage {
    shell: Shell,
    t: &'static Texts,
    decided: bool,
    kiosk: Option<KioskId>,
    may_ask: bool,
    restatements: List,
    corrections: List,
}

struct List {
    lines: Vec<Line>,
    next: Option<String>,
}

/// A proposal or a correction in a list.
struct Line {
    link: String,
    title: String,
    tone: &'static str,
    state: &'static str,
    at: At,
    who: String,
    says: String,
    outcome: String,
}

pub(super) async fn page(
    State(web): State<Web>,
    May(caller, _): May<See>,
    shell: Shell,
    Query(which): Query<Which>,
) -> Result<Html<String>, Problem> {
    let decided = which.show == "decided";
    let kiosk = Some(which.kiosk.as_str()).filter(|id| !id.is_empty()).map(parse::<KioskId>).transpose()?;
    if let Some(id) = &kiosk {
        kiosk_in_scope(&web, &caller, id).await?;
    }
    let sites = site_names(&web, &caller).await?;
    let scribe = Scribe { t: shell.t, web: &web, sites: &sites, now: web.app().clock().now() };
    let open = Some(!decided);
    let (store, scope) = (web.app().store(), caller.scope());
    let (restated, corrected) = (which.restatements.clone(), which.corrections.clone());
    let filter = RestatementFilter { open, kiosk: kiosk.clone(), ..RestatementFilter::default() };
    let proposals = store.restatements(scope, &filter, &PageRequest::new(Some(ROWS), restated)).await?;
    let filter = CorrectionFilter { open, kiosk: kiosk.clone(), ..CorrectionFilter::default() };
    let asked = store.corrections(scope, &filter, &PageRequest::new(Some(ROWS), corrected)).await?;
    let next = |list: &str, cursor: Option<String>| {
        cursor.map(|cursor| format!("/decisions?show={}&kiosk={}&{list}={cursor}", which.show, which.kiosk))
    };
    let page = DecisionsPage {
        t: shell.t,
        decided,
        kiosk,
        may_ask: caller.identity.may(Right::Correct),
        restatements: List {
            lines: proposals.items.iter().map(|row| scribe.restatement(row)).collect(),
            next: next("restatements", proposals.next_cursor),
        },
        corrections: List {
            lines: asked.items.iter().map(|row| scribe.correction(row)).collect(),
            next: next("corrections", asked.next_cursor),
        },
        shell,
    };
    render(&page)
}

/// Writes lines.
struct Scribe<'a> {
    t: &'static Texts,
    web: &'a Web,
    sites: &'a BTreeMap<SiteId, SiteRow>,
    now: Timestamp,
}

impl Scribe<'_> {
    fn at(&self, site: Option<&SiteId>, at: Timestamp) -> At {
        let site = site.and_then(|id| self.sites.get(id));
        At::new(zone(self.web, site.map(|site| site.timezone.as_str())), self.now, at)
    }

    fn restatement(&self, row: &RestatementRow) -> Line {
        let t = self.t;
        let site = site_of(self.web, &row.kiosk);
        let version = row.base_version;
        Line {
            link: format!("/restatements/{}", row.id),
            title: format!("{} · {}", row.kiosk, uptime::title(t, row.month)),
            tone: tone(row.state.as_str()).class(),
            state: t.word(row.state.as_str()),
            at: self.at(site.as_ref(), row.proposed_at),
            who: format!("v{version} → v{}", version + 1),
            says: compared::in_short(t, &row.before, &row.after),
            outcome: outcome(row.decided.as_ref()),
        }
    }

    fn correction(&self, row: &CorrectionRow) -> Line {
        let t = self.t;
        let (place, site) = match place(&row.what) {
            (Some(kiosk), _) => (kiosk.to_string(), site_of(self.web, kiosk)),
            (None, Some(site)) => (site_name(self.sites, site), Some(site.clone())),
            (None, None) => (String::new(), None),
        };
        let at = |at| self.at(site.as_ref(), at);
        Line {
            link: format!("/corrections/{}", row.id),
            title: format!("{place} · {}", kind(t, &row.what)),
            tone: tone(row.state.as_str()).class(),
            state: t.word(row.state.as_str()),
            at: at(row.requested_at),
            who: format!("{} – {}", at(row.from).short, at(row.to).short),
            says: format!("{}: {}", row.requested_by, row.reason),
            outcome: outcome(row.decided.as_ref()),
        }
    }
}

fn outcome(decided: Option<&Decided>) -> String {
    decided.map_or_else(String::new, |one| format!("{}: {}", one.by, one.reason))
}

/// Where a kiosk stands now.
fn site_of(web: &Web, kiosk: &KioskId) -> Option<SiteId> {
    web.app().fleet().kiosk(kiosk).and_then(|known| known.site.cloned())
}

/// A site as far as the reader may see it.
async fn site_row(web: &Web, caller: &Caller, id: Option<&SiteId>) -> Result<Option<SiteRow>, Problem> {
    let Some(id) = id else { return Ok(None) };
    Ok(web.app().store().site(caller.scope(), id).await?)
}

fn site_name(sites: &BTreeMap<SiteId, SiteRow>, id: &SiteId) -> String {
    sites.get(id).map_or_else(|| id.to_string(), |site| site.name.clone())
}

/// What a correction is about: the class of forgiven time, or that hours were wrong.
fn kind<'a>(t: &'static Texts, what: &'a Correction) -> &'a str {
    match what {
        Correction::Exclusion { class, .. } => t.word(class),
        other => t.word(other.kind()),
    }
}

/// Of the state of a proposal or a correction.
fn tone(state: &str) -> Tone {
    match state {
        "proposed" | "requested" => Tone::Wait,
        "approved" => Tone::Ok,
        _ => Tone::Unknown,
    }
}
