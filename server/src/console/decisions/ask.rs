//! The form to ask for a correction: time that should have been forgiven, or should not; hours, a time zone or dates
//! that were wrong.
use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    response::{Html, Response},
};
use chrono::NaiveDateTime;
use chrono_tz::Tz;
use kioskwatch_domain::{
    change::{Correction, GroupKind, KioskRow, ServiceSpan, SiteRow},
    uptime::{Commissioned, ExclusionClass, contracts::Renamed, corrections::Wanted},
    wall,
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp, clean_text};
use serde::Deserialize;

use super::{
    super::{
        form::answered,
        refusal,
        shell::{Shell, render, zone},
        texts::Texts,
        uptime,
    },
    correction::laid_out,
};
use crate::{
    auth::Right,
    http::{Caller, Correct, May, Problem, See, Web, kiosk_in_scope, parse},
};

/// What a browser puts into a field of date and time.
const FIELD: &str = "%Y-%m-%dT%H:%M";
/// And into one whose seconds matter.
const EXACT: &str = "%Y-%m-%dT%H:%M:%S";

/// The fields, as they came: an address can fill them in, and a refused form shows them again.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(in crate::console) struct Asked {
    /// `withdrawal`, `stood_at`, `answered_for`, `was_model`, `belonged_to`, `service_hours`, `timezone`, `commissioning`, or nothing for time to be forgiven.
    kind: String,
    kiosk: String,
    site: String,
    class: String,
    /// Of a withdrawal.
    exclusion: String,
    /// Where a kiosk stood, who answered for it, or which model it was; empty: nobody, or none.
    stood_at: String,
    engineer: String,
    model: String,
    /// To whom a site belonged; empty: as it was.
    region: String,
    customer: String,
    /// On the wall clock of the place, as is everything here.
    from: String,
    to: String,
    agreed_at: String,
    service_hours: String,
    timezone: String,
    commissioned_at: String,
    decommissioned_at: String,
    reason: String,
}

#[derive(Template)]
#[template(path = "correction_new.html")]
struct AskPage {
    shell: Shell,
    t: &'static Texts,
    may_ask: bool,
    /// Of the kiosk or of the site.
    name: String,
    kiosk: Option<KioskId>,
    site: Option<SiteId>,
    zone: Tz,
    latest: String,
    /// The newest month whose signed figures no correction moves.
    closed: String,
    classes: Vec<Class>,
    hours_now: String,
    /// Kinds of assignments that can be corrected: title, field, and what was typed.
    assigned: [(&'static str, &'static str, &'static str, String); 3],
    asked: Asked,
    problem: Option<String>,
}

struct Class {
    word: &'static str,
    name: &'static str,
    chosen: bool,
}

/// Whom a correction is to be about.
struct Place {
    kiosk: Option<KioskRow>,
    site: Option<SiteRow>,
    zone: Tz,
}

pub(in crate::console) async fn page(
    State(web): State<Web>,
    May(caller, _): May<See>,
    shell: Shell,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, Problem> {
    let place = Place::of(&web, &caller, &asked).await?;
    show(&web, &caller, shell, place, asked, None)
}

pub(in crate::console) async fn send(
    State(web): State<Web>,
    May(caller, _): May<Correct>,
    shell: Shell,
    Form(asked): Form<Asked>,
) -> Result<Response, Problem> {
    let place = Place::of(&web, &caller, &asked).await?;
    let outcome = match asked.wanted(&place) {
        Ok(wanted) => {
            let row = web.app().request_correction(caller.actor(), caller.scope(), wanted).await;
            row.map(|row| format!("/corrections/{}", row.id)).map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    answered(outcome, async |problem| show(&web, &caller, shell, place, asked, Some(problem))).await
}

fn show(
    web: &Web,
    caller: &Caller,
    shell: Shell,
    place: Place,
    mut asked: Asked,
    problem: Option<&Problem>,
) -> Result<Html<String>, Problem> {
    let t = shell.t;
    let now = wall::local_of(place.zone, web.app().clock().now().secs());
    let hours = place.site.as_ref().map_or("", |site| site.service_hours.as_str());
    let hours_now = laid_out(t, hours);
    // What was typed stays as it was typed, also if that is nothing: always open.
    if problem.is_none() && asked.service_hours.is_empty() && !hours.is_empty() {
        asked.service_hours.clone_from(&hours_now);
    }
    if problem.is_none() || asked.kind != "timezone" {
        asked.timezone = place.zone.to_string();
    }
    if problem.is_none() || asked.kind != "commissioning" {
        let field = |at: Option<Timestamp>| {
            at.map_or_else(String::new, |at| wall::local_of(place.zone, at.secs()).format(EXACT).to_string())
        };
        asked.commissioned_at = field(place.kiosk.as_ref().and_then(|kiosk| kiosk.commissioned_at));
        asked.decommissioned_at = field(place.kiosk.as_ref().and_then(|kiosk| kiosk.decommissioned_at));
    }
    let class = |class: ExclusionClass| Class {
        word: class.as_str(),
        name: t.word(class.as_str()),
        chosen: class.as_str() == asked.class,
    };
    render(&AskPage {
        t,
        may_ask: caller.identity.may(Right::Correct),
        name: match (&place.kiosk, &place.site) {
            (Some(kiosk), _) => kiosk.id.to_string(),
            (None, Some(site)) => site.name.clone(),
            (None, None) => String::new(),
        },
        site: place.site.map(|site| site.id),
        kiosk: place.kiosk.map(|kiosk| kiosk.id),
        zone: place.zone,
        latest: now.format(FIELD).to_string(),
        closed: uptime::title(t, web.app().uptime_reader().newest_closed(place.zone)),
        classes: ExclusionClass::ALL.into_iter().map(class).collect(),
        hours_now,
        assigned: [
            ("stood_at", t.correction_stood_at, "stood_at", asked.stood_at.clone()),
            ("answered_for", t.correction_answered_for, "engineer", asked.engineer.clone()),
            ("was_model", t.correction_was_model, "model", asked.model.clone()),
        ],
        problem: problem.map(|problem| refusal::told(t, place.zone, &problem.detail)),
        asked,
        shell,
    })
}

impl Place {
    async fn of(web: &Web, caller: &Caller, asked: &Asked) -> Result<Self, Problem> {
        let named = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let (kiosk, site) = match (named(&asked.kiosk), named(&asked.site)) {
            (Some(id), None) => {
                let id: KioskId = parse(&id)?;
                let view = kiosk_in_scope(web, caller, &id).await?;
                let site = view.kiosk.site.clone();
                (Some(view.kiosk), site)
            }
            (None, Some(id)) => (None, Some(parse::<SiteId>(&id)?)),
            _ => return Err(Problem::invalid("a correction is about a kiosk or about a site: name one")),
        };
        let site = match site {
            Some(id) => {
                let row = web.app().store().site(caller.scope(), &id).await?;
                Some(row.ok_or_else(|| Problem::not_found("site"))?)
            }
            None => None,
        };
        let zone = zone(web, site.as_ref().map(|site| site.timezone.as_str()));
        Ok(Self { kiosk, site, zone })
    }
}

impl Asked {
    fn wanted(&self, place: &Place) -> Result<Wanted, Problem> {
        let site = || place.site.as_ref().map(|site| site.id.clone());
        let at = |name, text: &str| match text {
            "" => Ok(None),
            text => instant(name, place.zone, text).map(Some),
        };
        let moves = |what| {
            let (from, to) = Wanted::WHAT_IT_MOVES;
            Ok(Wanted { what, from, to, reason: clean_text(&self.reason) })
        };
        let what = match (self.kind.as_str(), &place.kiosk) {
            ("withdrawal", _) => {
                return moves(Correction::Withdrawal {
                    exclusion: parse(&self.exclusion)?,
                    // Noted when the exclusion is looked up.
                    kiosk: None,
                    site: None,
                    class: String::new(),
                });
            }
            ("timezone", None) => {
                return moves(Correction::Timezone {
                    site: site().ok_or_else(|| Problem::invalid("a time zone is a site's: name it"))?,
                    before: String::new(),
                    after: self.timezone.trim().to_owned(),
                });
            }
            ("commissioning", Some(kiosk)) => {
                return moves(Correction::Commissioning {
                    kiosk: kiosk.id.clone(),
                    before: Commissioned::default(),
                    after: ServiceSpan {
                        commissioned_at: at("commissioned_at", &self.commissioned_at)?,
                        decommissioned_at: at("decommissioned_at", &self.decommissioned_at)?,
                    },
                });
            }
            ("service_hours", None) => Correction::ServiceHours {
                site: site().ok_or_else(|| Problem::invalid("service hours are a site's: name it"))?,
                // Noted when the site is looked up.
                before: String::new(),
                after: self.service_hours.trim().to_owned(),
            },
            ("stood_at", Some(kiosk)) => Correction::Assignment {
                kiosk: kiosk.id.clone(),
                group: GroupKind::Site,
                // Noted when the kiosk is looked up.
                before: Vec::new(),
                after: named(&self.stood_at),
            },
            ("answered_for", Some(kiosk)) => Correction::Assignment {
                kiosk: kiosk.id.clone(),
                group: GroupKind::Engineer,
                before: Vec::new(),
                after: named(&self.engineer),
            },
            ("was_model", Some(kiosk)) => Correction::Assignment {
                kiosk: kiosk.id.clone(),
                group: GroupKind::Model,
                before: Vec::new(),
                after: named(&self.model),
            },
            ("belonged_to", None) => Correction::Contract {
                site: site().ok_or_else(|| Problem::invalid("whose was it? name the site"))?,
                before: Vec::new(),
                after: Renamed { region: named(&self.region), customer: named(&self.customer) },
            },
            ("service_hours", Some(_)) => {
                return Err(Problem::invalid("service hours are a site's: name it"));
            }
            (_, kiosk) => Correction::Exclusion {
                site: kiosk.is_none().then(site).flatten(),
                kiosk: kiosk.as_ref().map(|kiosk| kiosk.id.clone()),
                class: self.class.clone(),
                agreed_at: at("agreed_at", &self.agreed_at)?,
            },
        };
        let (from, to) = (instant("from", place.zone, &self.from)?, instant("to", place.zone, &self.to)?);
        Ok(Wanted { what, from, to, reason: clean_text(&self.reason) })
    }
}

fn named(text: &str) -> Option<String> {
    Some(clean_text(text)).filter(|text| !text.is_empty())
}

/// A time of the wall clock; see [`wall::instant_of`] for one that comes twice or not at all.
fn instant(name: &str, zone: Tz, text: &str) -> Result<Timestamp, Problem> {
    let read = |format| NaiveDateTime::parse_from_str(text, format);
    let local = read(FIELD).or_else(|_| read(EXACT)).map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        Problem::invalid(format!("{name}: {shown:?} is no date and time such as 2026-11-21T08:00"))
    })?;
    Ok(Timestamp(wall::instant_of(zone, local).saturating_mul(1_000)))
}
