//! Commands on a kiosk's page: starting a self-test, watching how it goes.
use askama::Template;
use axum::{
    Form,
    extract::State,
    response::{Html, Redirect},
};
use chrono_tz::Tz;
use kioskwatch_domain::{
    change::{CommandEventRow, CommandRow},
    fleet::CommandRequest,
};
use kioskwatch_proto::{CommandId, KioskId, PeripheralName, Timestamp, command::Action};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    shell::{Shell, render, zone},
    texts::Texts,
    time::At,
    told,
    tone::Tone,
};
use crate::http::{
    Caller, Id, May, Operate, Problem, See, Web, command_in_scope, give, kiosk_in_scope, parse,
};

#[derive(Deserialize)]
pub(super) struct SelfTest {
    /// Empty: all of them.
    #[serde(default)]
    peripheral: String,
}

/// A command in a list.
pub(super) struct CommandLine {
    pub(super) id: CommandId,
    pub(super) action: String,
    pub(super) about: String,
    pub(super) actor: String,
    pub(super) tone: &'static str,
    pub(super) state: &'static str,
    pub(super) at: At,
    pub(super) reason: String,
}

#[derive(Template)]
#[template(path = "command_part.html")]
pub(super) struct CommandPart {
    t: &'static Texts,
    line: CommandLine,
    percent: Option<u8>,
    ended: bool,
    steps: Vec<Step>,
    result: Vec<(String, String)>,
}

struct Step {
    at: At,
    percent: Option<u8>,
    text: String,
}

pub(super) async fn self_test(
    State(web): State<Web>,
    May(caller, _): May<Operate>,
    Id(kiosk): Id<KioskId>,
    Form(form): Form<SelfTest>,
) -> Result<Redirect, Problem> {
    let mut args = Map::new();
    if !form.peripheral.is_empty() {
        let name: PeripheralName = parse(&form.peripheral)?;
        args.insert("peripheral".to_owned(), Value::from(name.as_str()));
    }
    let request = CommandRequest {
        kiosk: kiosk.clone(),
        action: Action::SelfTest,
        args,
        ticket: None,
        valid_for_ms: None,
    };
    let id = give(&web, &caller, request).await?;
    Ok(Redirect::to(&format!("/kiosks/{kiosk}?command={id}#self-test")))
}

pub(super) async fn part(
    State(web): State<Web>,
    May(caller, _): May<See>,
    shell: Shell,
    Id(id): Id<CommandId>,
) -> Result<Html<String>, Problem> {
    render(&CommandPart::load(&web, &caller, shell.t, id).await?)
}

impl CommandPart {
    pub(super) async fn load(
        web: &Web,
        caller: &Caller,
        t: &'static Texts,
        id: CommandId,
    ) -> Result<Self, Problem> {
        let view = command_in_scope(web, caller, id).await?;
        let kiosk = kiosk_in_scope(web, caller, &view.command.kiosk).await?;
        let site = match &kiosk.kiosk.site {
            Some(site) => web.app().store().site(caller.scope(), site).await?,
            None => None,
        };
        let zone = zone(web, site.as_ref().map(|site| site.timezone.as_str()));
        let now = web.app().clock().now();
        let ended = view.command.state.is_final();
        let percent = view.events.iter().rev().find_map(|event| event.percent);
        Ok(Self {
            t,
            line: CommandLine::new(t, zone, now, &view.command),
            percent: if ended { Some(100) } else { percent },
            ended,
            steps: view.events.iter().map(|event| Step::new(t, zone, now, event)).collect(),
            result: view.command.result.as_deref().map(told).unwrap_or_default(),
        })
    }
}

/// The fields of a result; what is nested stays JSON.
fn told(result: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    match serde_json::from_str(result) {
        Ok(Value::Object(fields)) => fields.iter().map(|(key, value)| (key.clone(), text(value))).collect(),
        Ok(other) => vec![(String::new(), text(&other))],
        Err(_) => vec![(String::new(), result.to_owned())],
    }
}

impl CommandLine {
    pub(super) fn new(t: &'static Texts, zone: Tz, now: Timestamp, row: &CommandRow) -> Self {
        let args: Value = serde_json::from_str(&row.args).unwrap_or_default();
        let about = args.get("peripheral").and_then(Value::as_str).unwrap_or("");
        Self {
            id: row.id,
            action: t.word(&row.action).to_owned(),
            about: t.word(about).to_owned(),
            actor: row.actor.clone(),
            tone: Tone::of_command(row.state).class(),
            state: t.word(row.state.as_str()),
            at: At::new(zone, now, row.requested_at),
            reason: t.reason(row.reason.as_deref().unwrap_or_default()).to_owned(),
        }
    }
}

impl Step {
    fn new(t: &'static Texts, zone: Tz, now: Timestamp, row: &CommandEventRow) -> Self {
        let step = told::step(t, &row.step);
        let text = match &row.line {
            Some(line) if !line.is_empty() => format!("{step} · {}", t.reason(line)),
            _ => step,
        };
        Self { at: At::new(zone, now, row.at), percent: row.percent, text }
    }
}
