//! What waits for a decision about signed months and about the past, and what was decided.
//!
//! Reads and writes through the same use cases as the API, so a page refuses what the API refuses; it only says
//! so before somebody has typed a reason.
pub(super) mod ask;
mod compared;
pub(super) mod correction;
mod desk;
pub(super) mod many;
pub(super) mod restatement;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use kioskwatch_domain::{
    change::{Correction, CorrectionRow, Decided, InputKind, RestatementRow, SiteRow},
    uptime::corrections::place,
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};
use serde::Deserialize;
use uuid::Uuid;

use self::many::{Many, Tried};
use super::{
    shell::{Shell, encoded, render, zone},
    texts::Texts,
    time::At,
    tone::Tone,
    uptime,
};
use crate::{
    auth::Right,
    http::{Caller, May, Problem, See, Sites, Web, kiosk_in_scope, parse, site_names, view::figures},
    store::{CorrectionFilter, MAX_PAGE, PageRequest, RestatementFilter, Scope},
};

/// Rows of a list that one reads.
const ROWS: u32 = 50;
/// Sites to choose from; of more than these one is typed.
const MAX_OFFERED: usize = 500;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Which {
    /// `decided`, or nothing for what waits.
    show: String,
    /// Empty: all of them; so with the next three, which narrow the restatements.
    kiosk: String,
    site: String,
    month: String,
    changed: String,
    /// `all`: every box is ticked.
    choose: String,
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
    /// The address without what of it is waiting or decided.
    here: String,
    may_ask: bool,
    narrowed: Narrowed,
    many: Option<Many>,
    restatements: List,
    corrections: List,
}

/// What restatements can be narrowed to, and to which of it they are.
struct Narrowed {
    /// Empty: there are too many.
    sites: Vec<Offer>,
    /// The chosen one.
    site: String,
    month: String,
    changed: Vec<Offer>,
    /// To anything.
    at_all: bool,
}

/// One of a list to choose from.
struct Offer {
    value: String,
    text: String,
    chosen: bool,
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
    /// Where it can be decided with others: its box.
    choice: Option<Choice>,
}

struct Choice {
    id: Uuid,
    ticked: bool,
}

pub(super) async fn page(
    State(web): State<Web>,
    May(caller, _): May<See>,
    shell: Shell,
    Query(which): Query<Which>,
) -> Result<Html<String>, Problem> {
    show(&web, &caller, shell, &which, None).await
}

async fn show(
    web: &Web,
    caller: &Caller,
    shell: Shell,
    which: &Which,
    tried: Option<Tried<'_>>,
) -> Result<Html<String>, Problem> {
    let t = shell.t;
    let decided = which.show == "decided";
    let kiosk = which.kiosk()?;
    if let Some(id) = &kiosk {
        kiosk_in_scope(web, caller, id).await?;
    }
    let sites = site_names(web, caller);
    let scribe = Scribe { t, web, sites: &sites, reader: caller.scope(), now: web.app().clock().now() };
    let (store, scope) = (web.app().store(), caller.scope());
    let chooses = !decided && caller.identity.may(Right::Restate);
    let rows = if chooses { MAX_PAGE } else { ROWS };
    let page = PageRequest::new(Some(rows), which.restatements.clone());
    let proposals = store.restatements(scope, &which.filter(kiosk.clone())?, &page).await?;
    let filter =
        CorrectionFilter { open: Some(!decided), kiosk: kiosk.clone(), ..CorrectionFilter::default() };
    let page = PageRequest::new(Some(ROWS), which.corrections.clone());
    let asked = store.corrections(scope, &filter, &page).await?;
    let here = which.address();
    let next = |list: &str, cursor: Option<String>| {
        cursor.map(|cursor| format!("{here}&show={}&{list}={cursor}", encoded(&which.show)))
    };
    let ticked = |id: &Uuid| match &tried {
        Some(tried) => tried.ids.contains(id),
        None => which.choose == "all",
    };
    let line = |row: &RestatementRow| {
        let choice = chooses.then(|| Choice { id: row.id, ticked: ticked(&row.id) });
        Line { choice, ..scribe.restatement(row) }
    };
    let page = DecisionsPage {
        t,
        decided,
        kiosk,
        may_ask: caller.identity.may(Right::Correct),
        narrowed: which.narrowed(t, &sites),
        many: (chooses && !proposals.items.is_empty()).then(|| Many::new(t, &here, which, tried.as_ref())),
        restatements: List {
            lines: proposals.items.iter().map(line).collect(),
            next: next("restatements", proposals.next_cursor),
        },
        corrections: List {
            lines: asked.items.iter().map(|row| scribe.correction(row)).collect(),
            next: next("corrections", asked.next_cursor),
        },
        here,
        shell,
    };
    render(&page)
}

impl Which {
    fn kiosk(&self) -> Result<Option<KioskId>, Problem> {
        said(&self.kiosk).map(parse).transpose()
    }

    fn filter(&self, kiosk: Option<KioskId>) -> Result<RestatementFilter, Problem> {
        let changed =
            |text| InputKind::parse(text).ok_or_else(|| Problem::invalid("changed is a kind of input"));
        Ok(RestatementFilter {
            open: Some(self.show != "decided"),
            kiosk,
            site: said(&self.site).map(parse).transpose()?,
            month: said(&self.month).map(parse).transpose()?,
            changed: said(&self.changed).map(changed).transpose()?,
            state: None,
        })
    }

    /// Of this page without what of it is waiting or decided, and from the beginning of its lists.
    fn address(&self) -> String {
        let parts = [
            ("kiosk", &self.kiosk),
            ("site", &self.site),
            ("month", &self.month),
            ("changed", &self.changed),
        ];
        let parts = parts.into_iter().filter(|(_, value)| !value.is_empty());
        let parts: Vec<String> = parts.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        format!("/decisions?{}", parts.join("&"))
    }

    fn narrowed(&self, t: &'static Texts, sites: &Sites) -> Narrowed {
        let offered = if sites.len() <= MAX_OFFERED { Some(sites) } else { None };
        let mut sites: Vec<Offer> = offered
            .into_iter()
            .flat_map(Sites::values)
            .map(|site| Offer {
                chosen: site.id().as_str() == self.site,
                value: site.id().to_string(),
                text: site.name().to_owned(),
            })
            .collect();
        sites.sort_by(|one, other| one.text.cmp(&other.text));
        let changed = InputKind::ALL.iter().map(|kind| Offer {
            value: kind.as_str().to_owned(),
            text: t.word(kind.as_str()).to_owned(),
            chosen: kind.as_str() == self.changed,
        });
        Narrowed {
            sites,
            site: self.site.clone(),
            month: self.month.clone(),
            changed: changed.collect(),
            at_all: [&self.site, &self.month, &self.changed].into_iter().any(|text| !text.is_empty()),
        }
    }
}

/// Empty: not said.
fn said(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// Writes lines.
struct Scribe<'a> {
    t: &'static Texts,
    web: &'a Web,
    sites: &'a Sites,
    reader: &'a Scope,
    now: Timestamp,
}

impl Scribe<'_> {
    fn at(&self, site: Option<&SiteId>, at: Timestamp) -> At {
        let site = site.and_then(|id| self.sites.get(id));
        At::new(zone(self.web, site.map(|site| site.timezone())), self.now, at)
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
            who: format!("v{version} → v{} · {}", version + 1, restatement::changed(t, &row.why).join(", ")),
            says: compared::in_short(
                t,
                &figures(&row.before, self.reader),
                &figures(&row.after, self.reader),
            ),
            outcome: outcome(row.decided.as_ref()),
            choice: None,
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
            choice: None,
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

fn site_name(sites: &Sites, id: &SiteId) -> String {
    sites.get(id).map_or_else(|| id.to_string(), |site| site.name().to_owned())
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
