//! One correction of the past: what was wrong, who asked, what the figures would be, and the form to decide.
use askama::Template;
use axum::{
    Form,
    extract::State,
    response::{Html, Response},
};
use kioskwatch_domain::{
    change::{Correction, CorrectionRow, Held, ServiceSpan},
    uptime::{
        Month,
        contracts::{Belonged, Contract},
        corrections::place,
    },
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use super::{
    super::{
        form::answered,
        refusal,
        shell::{Shell, encoded, render, zone},
        texts::Texts,
        time::At,
        uptime,
    },
    compared::{self, Compared, Share},
    desk::{Desk, Outcome, Said},
    kind, site_of, site_row, tone,
};
use crate::{
    auth::Right,
    http::{Caller, Id, May, Problem, Restate, See, Web, view::figures},
};

#[derive(Template)]
#[template(path = "correction.html")]
struct CorrectionPage {
    shell: Shell,
    t: &'static Texts,
    title: String,
    /// Where the figures it is about are shown.
    place: Option<(String, String)>,
    tone: &'static str,
    state: &'static str,
    from: At,
    to: At,
    asked: At,
    by: String,
    reason: String,
    agreed: Option<At>,
    /// Of a withdrawal: where what is taken back was decided, and what it was.
    takes_back: Option<(String, String)>,
    /// Of an approved exclusion: where it can be taken back, or who did.
    withdrawal: Withdrawal,
    values: Option<(String, String)>,
    months: Vec<Effect>,
    /// Older months that it moves too.
    further: u64,
    outcome: Option<Outcome>,
    desk: Desk,
}

/// What became of an approved exclusion, or may.
enum Withdrawal {
    None,
    /// Where to ask for it.
    Possible(String),
    /// By whom, and when.
    Done(String, At),
}

/// What it does to a month.
struct Effect {
    title: String,
    /// What was signed of it stays.
    closed: bool,
    compared: Vec<Compared>,
    /// Where it stood and who answered for it may move them alone.
    shares: Vec<Share>,
}

pub(in crate::console) async fn page(
    State(web): State<Web>,
    May(caller, _): May<See>,
    shell: Shell,
    Id(id): Id<Uuid>,
) -> Result<Html<String>, Problem> {
    show(&web, &caller, shell, id, None).await
}

pub(in crate::console) async fn decide(
    State(web): State<Web>,
    May(caller, _): May<Restate>,
    shell: Shell,
    Id(id): Id<Uuid>,
    Form(said): Form<Said>,
) -> Result<Response, Problem> {
    let verdict = said.verdict()?;
    let decided = web.app().decide_correction(caller.actor(), caller.scope(), id, &verdict).await;
    let outcome = decided.map(|_| format!("/corrections/{id}")).map_err(Problem::from);
    answered(outcome, async |problem| show(&web, &caller, shell, id, Some((problem, &said))).await).await
}

async fn show(
    web: &Web,
    caller: &Caller,
    shell: Shell,
    id: Uuid,
    tried: Option<(&Problem, &Said)>,
) -> Result<Html<String>, Problem> {
    let t = shell.t;
    let app = web.app();
    let (row, hurdle) = app.correction_for(&caller.actor(), caller.scope(), id).await?;
    let (kiosk, site) = place(&row.what);
    let at_site = match (kiosk, site) {
        (Some(kiosk), _) => site_of(web, kiosk),
        (None, site) => site.cloned(),
    };
    let stored = site_row(web, caller, at_site.as_ref()).await?;
    let zone = zone(web, stored.as_ref().map(|site| site.timezone.as_str()));
    let now = app.clock().now();
    let at = |at| At::new(zone, now, at);
    let tried = tried.map(|(problem, said)| (refusal::told(t, zone, &problem.detail), said));
    let name = match (kiosk, site) {
        (Some(kiosk), _) => kiosk.to_string(),
        (None, Some(site)) => stored.map_or_else(|| site.to_string(), |site| site.name),
        (None, None) => String::new(),
    };
    let month = Month::at(zone, row.to.secs() - 1);
    let withdrawal = match &row.what {
        Correction::Exclusion { .. } => match app.store().exclusion(row.id).await?.map(|row| row.withdrawn) {
            Some(Some(one)) => Withdrawal::Done(one.by, at(one.at)),
            Some(None) if caller.identity.may(Right::Correct) => Withdrawal::Possible(ask_for(&row)),
            _ => Withdrawal::None,
        },
        _ => Withdrawal::None,
    };
    let told = figures(&row.effect, caller.scope());
    render(&CorrectionPage {
        t,
        title: format!("{name} · {}", kind(t, &row.what)),
        place: link(kiosk, site, month).map(|link| (link, name)),
        tone: tone(row.state.as_str()).class(),
        state: t.word(row.state.as_str()),
        from: at(row.from),
        to: at(row.to),
        asked: at(row.requested_at),
        by: row.requested_by.clone(),
        reason: row.reason.clone(),
        agreed: agreed(&row).map(at),
        takes_back: match &row.what {
            Correction::Withdrawal { exclusion, class, .. } => {
                Some((format!("/corrections/{exclusion}"), t.word(class).to_owned()))
            }
            _ => None,
        },
        withdrawal,
        values: values(t, &row.what, at),
        months: effects(t, &told),
        further: told["months_not_shown"].as_u64().unwrap_or(0),
        outcome: Outcome::of(row.decided.as_ref(), at),
        desk: Desk::new(t, caller, (format!("/corrections/{id}"), t.approve_correction_hint), hurdle, tried),
        shell,
    })
}

fn link(kiosk: Option<&KioskId>, site: Option<&SiteId>, month: Month) -> Option<String> {
    match (kiosk, site) {
        (Some(kiosk), _) => Some(format!("/kiosks/{kiosk}/uptime?month={month}")),
        (None, Some(site)) => Some(format!("/uptime?scope=site&id={}&month={month}", encoded(site.as_str()))),
        (None, None) => None,
    }
}

/// The form that takes an exclusion back.
fn ask_for(row: &CorrectionRow) -> String {
    let about = match place(&row.what) {
        (Some(kiosk), _) => format!("kiosk={kiosk}"),
        (None, site) => format!("site={}", site.map(|id| encoded(id.as_str())).unwrap_or_default()),
    };
    format!("/corrections/new?kind=withdrawal&{about}&exclusion={}", row.id)
}

fn agreed(row: &CorrectionRow) -> Option<Timestamp> {
    match &row.what {
        Correction::Exclusion { agreed_at, .. } => *agreed_at,
        _ => None,
    }
}

/// As it was and as it should have been, laid out to be compared.
fn values(t: &'static Texts, what: &Correction, at: impl Fn(Timestamp) -> At) -> Option<(String, String)> {
    let dates = |dates: &ServiceSpan| {
        let date = |name, date: Option<Timestamp>| {
            format!("{name}: {}", date.map_or_else(|| "—".to_owned(), |date| at(date).full))
        };
        let both =
            [date(t.commissioned, dates.commissioned_at), date(t.decommissioned, dates.decommissioned_at)];
        both.join("\n")
    };
    match what {
        Correction::Exclusion { .. } | Correction::Withdrawal { .. } => None,
        Correction::Assignment { before, after, .. } => {
            let name = |id: &Option<String>| id.clone().unwrap_or_else(|| t.nobody.to_owned());
            let held = |one: &Held| format!("{}: {} – {}", name(&one.id), at(one.from).full, at(one.to).full);
            Some((before.iter().map(held).collect::<Vec<_>>().join("\n"), name(after)))
        }
        Correction::Contract { before, after, .. } => {
            let held = |one: &Belonged| {
                let Contract { region, customer } = &one.contract;
                format!("{region} / {customer}: {} – {}", at(one.from).full, at(one.to).full)
            };
            let name = |name: &Option<String>| name.clone().unwrap_or_else(|| t.as_it_was.to_owned());
            let after = format!("{} / {}", name(&after.region), name(&after.customer));
            Some((before.iter().map(held).collect::<Vec<_>>().join("\n"), after))
        }
        Correction::ServiceHours { before, after, .. } => Some((laid_out(t, before), laid_out(t, after))),
        Correction::Timezone { before, after, .. } => Some((before.clone(), after.clone())),
        Correction::Commissioning { before, after, .. } if before.is_empty() => {
            Some((dates(&ServiceSpan::default()), dates(after)))
        }
        Correction::Commissioning { before, after, .. } => {
            let before: Vec<String> = before.spans().iter().map(dates).collect();
            Some((before.join("\n"), dates(after)))
        }
    }
}

/// A schedule with one version a line.
pub(super) fn laid_out(t: &'static Texts, text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(versions)) => {
            let lines: Vec<String> = versions.iter().map(ToString::to_string).collect();
            format!("[{}]", lines.join(",\n "))
        }
        _ if text.trim().is_empty() => t.always_open.to_owned(),
        _ => text.to_owned(),
    }
}

/// Newest month first.
fn effects(t: &'static Texts, effect: &Value) -> Vec<Effect> {
    let months = effect.as_object().into_iter().flatten();
    let mut months: Vec<(Month, &Value)> =
        months.filter_map(|(key, both)| Some((key.parse().ok()?, both))).collect();
    months.sort_by_key(|(month, _)| std::cmp::Reverse(*month));
    months
        .into_iter()
        .map(|(month, both)| Effect {
            title: uptime::title(t, month),
            closed: both["closed"] == true,
            compared: compared::table(t, &both["before"], &both["after"]),
            shares: compared::shares(t, &both["before"], &both["after"]),
        })
        .collect()
}
