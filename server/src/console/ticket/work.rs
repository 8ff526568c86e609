//! What people do about a ticket: a form for each thing that its state allows, and what became of the last try.
use axum::{
    Form,
    extract::{Path, State},
    response::Response,
};
use chrono_tz::Tz;
use kioskwatch_domain::{
    change::TicketState,
    ticket::{CANCEL_GROUNDS, Deed, SIGN_OFFS, open_to_people},
};
use uuid::Uuid;

use super::{
    super::{form::answered, refusal, shell::Shell, texts::Texts},
    show,
};
use crate::http::{May, PostAction, Problem, Web, WorkTickets, act_on, parse};

/// One thing to do.
pub(super) struct WorkForm {
    pub(super) deed: &'static str,
    pub(super) title: &'static str,
    pub(super) hint: &'static str,
    /// What has to be chosen from a closed list: its field, and the words.
    pub(super) choices: Option<(&'static str, Vec<Choice>)>,
    /// The field of what is to be written.
    pub(super) field: &'static str,
    pub(super) typed: String,
    /// Why the last try came to nothing.
    pub(super) problem: Option<String>,
}

pub(super) struct Choice {
    pub(super) word: &'static str,
    pub(super) name: &'static str,
    pub(super) chosen: bool,
}

/// What was tried and refused.
pub(super) struct Tried<'a> {
    pub(super) deed: &'a str,
    pub(super) sent: &'a PostAction,
    pub(super) problem: &'a Problem,
}

impl Tried<'_> {
    pub(super) fn told(&self, t: &'static Texts, zone: Tz) -> String {
        refusal::told(t, zone, &self.problem.detail)
    }
}

/// Does it by the same rules as the API.
pub(in crate::console) async fn act(
    State(web): State<Web>,
    May(caller, _): May<WorkTickets>,
    shell: Shell,
    Path((id, deed)): Path<(String, String)>,
    Form(sent): Form<PostAction>,
) -> Result<Response, Problem> {
    let id: Uuid = parse(&id)?;
    // The language switch comes back to what can be asked for.
    let shell = Shell { path: format!("/tickets/{id}"), ..shell };
    let done = act_on(&web, &caller, id, &deed, sent.clone()).await.map(|_| format!("/tickets/{id}"));
    answered(done, async |problem| {
        show(&web, &caller, shell, id, Some(Tried { deed: &deed, sent: &sent, problem })).await
    })
    .await
}

/// The forms of a ticket; the first one is for every day.
pub(super) fn forms(
    t: &'static Texts,
    state: TicketState,
    zone: Tz,
    tried: Option<&Tried<'_>>,
) -> Vec<WorkForm> {
    open_to_people(state).iter().map(|deed| form(t, *deed, zone, tried)).collect()
}

fn form(t: &'static Texts, deed: Deed, zone: Tz, tried: Option<&Tried<'_>>) -> WorkForm {
    let (title, hint, field) = match deed {
        Deed::Note => (t.note_add, t.note_hint, "text"),
        Deed::Urge => (t.urge_do, t.urge_hint, "reason"),
        Deed::Resolve => (t.resolve_do, t.resolve_hint, "resolution"),
        Deed::Close => (t.close_do, t.close_hint, "reason"),
        Deed::Cancel => (t.cancel_do, t.cancel_hint, "reason"),
        _ => (t.reopen_do, t.reopen_hint, "reason"),
    };
    let tried = tried.filter(|tried| tried.deed == deed.as_str());
    let sent = tried.map(|tried| tried.sent);
    let typed = sent.map_or("", |sent| match field {
        "text" => &sent.text,
        "resolution" => &sent.resolution,
        _ => &sent.reason,
    });
    let list = |place: &str, words: &[&'static str], chosen: &str| {
        let choice =
            |word: &&'static str| Choice { word, name: t.word_of(place, word), chosen: *word == chosen };
        words.iter().map(choice).collect()
    };
    let choices = match deed {
        Deed::Close => Some(("sign_off", list("sign_off", SIGN_OFFS, sent.map_or("", |s| &s.sign_off)))),
        Deed::Cancel => Some(("ground", list("ground", CANCEL_GROUNDS, sent.map_or("", |s| &s.ground)))),
        _ => None,
    };
    WorkForm {
        deed: deed.as_str(),
        title,
        hint,
        choices,
        field,
        typed: typed.to_owned(),
        problem: tried.map(|tried| tried.told(t, zone)),
    }
}
