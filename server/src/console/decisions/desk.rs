//! The form of a decision, or why somebody has none.
use kioskwatch_domain::{
    change::Decided,
    uptime::{Hurdle, books::Verdict},
};
use kioskwatch_proto::clean_text;
use serde::Deserialize;

use super::super::{texts::Texts, time::At};
use crate::{
    auth::Right,
    http::{Caller, Problem},
};

/// What was sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct Said {
    /// `approve` or `reject`.
    pub(super) verdict: String,
    pub(super) reason: String,
}

impl Said {
    pub(super) fn verdict(&self) -> Result<Verdict, Problem> {
        let approve = match self.verdict.as_str() {
            "approve" => true,
            "reject" => false,
            _ => return Err(Problem::invalid("verdict is approve or reject")),
        };
        Ok(Verdict { approve, reason: clean_text(&self.reason) })
    }
}

/// See the module.
pub(super) struct Desk {
    pub(super) action: String,
    /// What is said instead of the form.
    pub(super) closed: Option<&'static str>,
    pub(super) approve_hint: &'static str,
    /// Why the last try came to nothing, and what had been typed.
    pub(super) problem: Option<String>,
    pub(super) reason: String,
}

impl Desk {
    pub(super) fn new(
        t: &'static Texts,
        caller: &Caller,
        (action, approve_hint): (String, &'static str),
        hurdle: Option<Hurdle>,
        tried: Option<(String, &Said)>,
    ) -> Self {
        let closed = match hurdle {
            Some(Hurdle::DecidedAlready(_)) => Some(t.decided_already),
            _ if !caller.identity.may(Right::Restate) => Some(t.decide_need_role),
            Some(Hurdle::MeasuresYou) => Some(t.measures_you),
            Some(Hurdle::YouAsked) => Some(t.you_asked),
            None => None,
        };
        let reason = tried.as_ref().map_or_else(String::new, |(_, said)| said.reason.clone());
        let problem = tried.map(|(problem, _)| problem);
        Self { action, closed, approve_hint, problem, reason }
    }
}

/// Who decided, when and why.
pub(super) struct Outcome {
    pub(super) by: String,
    pub(super) at: At,
    pub(super) reason: String,
}

impl Outcome {
    pub(super) fn of(
        decided: Option<&Decided>,
        at: impl Fn(kioskwatch_proto::Timestamp) -> At,
    ) -> Option<Self> {
        decided.map(|one| Self { by: one.by.clone(), at: at(one.at), reason: one.reason.clone() })
    }
}
