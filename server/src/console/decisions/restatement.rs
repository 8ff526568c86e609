//! One proposal to restate a signed month: the figures before and after, why, and the form to decide.
use askama::Template;
use axum::{
    Form,
    extract::State,
    response::{Html, Response},
};
use kioskwatch_proto::KioskId;
use uuid::Uuid;

use super::{
    super::{
        form::answered,
        refusal,
        shell::{Shell, render, zone},
        texts::Texts,
        time::At,
        uptime,
    },
    compared::{self, Compared, Share},
    desk::{Desk, Outcome, Said},
    site_of, site_row, tone,
};
use crate::http::{Caller, Id, May, Problem, Restate, See, Web, view::figures};

#[derive(Template)]
#[template(path = "restatement.html")]
struct RestatementPage {
    shell: Shell,
    t: &'static Texts,
    kiosk: KioskId,
    month: String,
    month_title: String,
    tone: &'static str,
    state: &'static str,
    base: u32,
    proposed: At,
    changed: Vec<String>,
    compared: Vec<Compared>,
    shares: Vec<Share>,
    fingerprint: String,
    outcome: Option<Outcome>,
    desk: Desk,
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
    let decided = web.app().decide_restatement(&caller.actor(), caller.scope(), id, &verdict).await;
    let outcome = decided.map(|_| format!("/restatements/{id}")).map_err(Problem::from);
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
    let (row, hurdle) = app.restatement_for(&caller.actor(), caller.scope(), id).await?;
    let site = site_row(web, caller, site_of(web, &row.kiosk).as_ref()).await?;
    let zone = zone(web, site.as_ref().map(|site| site.timezone.as_str()));
    let now = app.clock().now();
    let at = |at| At::new(zone, now, at);
    let tried = tried.map(|(problem, said)| (refusal::told(t, zone, &problem.detail), said));
    let [before, after] = [&row.before, &row.after].map(|text| figures(text, caller.scope()));
    render(&RestatementPage {
        t,
        month: row.month.to_string(),
        month_title: uptime::title(t, row.month),
        tone: tone(row.state.as_str()).class(),
        state: t.word(row.state.as_str()),
        base: row.base_version,
        proposed: at(row.proposed_at),
        changed: changed(t, &row.why),
        compared: compared::table(t, &before, &after),
        shares: compared::shares(t, &before, &after),
        fingerprint: row.fingerprint,
        outcome: Outcome::of(row.decided.as_ref(), at),
        desk: Desk::new(
            t,
            caller,
            (format!("/restatements/{id}"), t.approve_restatement_hint),
            hurdle,
            tried,
        ),
        kiosk: row.kiosk,
        shell,
    })
}

/// The kinds of input that changed, from the sentence that is kept; one that is written otherwise stays whole.
pub(super) fn changed(t: &'static Texts, why: &str) -> Vec<String> {
    let names = why.split_once(" was signed, this changed: ").map_or(why, |(_, names)| names);
    names.split(", ").map(|name| t.word(name).to_owned()).collect()
}
