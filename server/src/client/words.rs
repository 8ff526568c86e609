//! Words of the API as people read them: those of the console in English. `--json` keeps the API's own.
use std::sync::LazyLock;

use kioskwatch_proto::faults::{Catalogue, FaultCode};

use crate::{
    config::Language,
    console::{Texts, told},
};

/// A code that only the server's own catalogue knows is shown as it came.
static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::built_in);

fn texts() -> &'static Texts {
    Texts::of(Language::En)
}

/// What a field holds, and so how it is told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Words {
    /// A word of a closed list, such as a state.
    Listed,
    /// Such a word, with a meaning of its own in one place.
    Of(&'static str),
    Fault,
    /// Why a kiosk does not serve.
    Cause,
    /// How a ticket ended: by a word of ours, or as somebody wrote.
    Ending,
    /// Why a line of a ticket's history stands there, and by whom.
    Reason,
    Actor,
    /// Why a command went where it is.
    Outcome,
    /// How far a command is.
    Step,
}

impl Words {
    pub(super) fn tell(self, text: &str) -> String {
        let t = texts();
        match self {
            Self::Listed => t.word(text).to_owned(),
            Self::Of(place) => t.word_of(place, text).to_owned(),
            Self::Fault => {
                let code = FaultCode::new(text).filter(|code| CATALOGUE.get(code).is_some());
                code.map_or_else(|| text.to_owned(), |code| t.fault(&CATALOGUE, &code))
            }
            Self::Cause => told::cause(t, &CATALOGUE, text),
            Self::Ending => told::cancelled(t, told::resolution(t, text)),
            Self::Reason => told::reason(t, &CATALOGUE, text),
            Self::Actor => told::actor(t, text),
            Self::Outcome => t.reason(text).to_owned(),
            Self::Step => told::step(t, text),
        }
    }
}
