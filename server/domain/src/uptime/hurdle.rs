//! Why somebody may not decide about figures or about the past: told before a form is shown, and refused after.

use super::books::refuse;
use crate::fleet::{Refusal, RefusalKind};

/// What stands between a person and a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hurdle {
    /// With the state it has.
    DecidedAlready(&'static str),
    MeasuresYou,
    YouAsked,
}

impl From<Hurdle> for Refusal {
    fn from(hurdle: Hurdle) -> Self {
        match hurdle {
            Hurdle::DecidedAlready(state) => refuse(RefusalKind::Conflict, format!("it is {state} already")),
            Hurdle::MeasuresYou => {
                refuse(RefusalKind::Forbidden, "these figures measure you: somebody else decides")
            }
            Hurdle::YouAsked => refuse(RefusalKind::Forbidden, "you asked for it: somebody else decides"),
        }
    }
}
