//! Why something happened by rule, without a person.
//!
//! The database and the API keep one English sentence of each; [`Because::parse`] reads it back, so that a page can say
//! it in its reader's language. What a person wrote is no sentence of these and stays as it is.
use std::fmt;

use kioskwatch_proto::{
    faults::{FaultClass, FaultCode},
    words::Severity,
};

use crate::{change::Zone, fleet::count_words as words, triage::ShareReason};

words!(
    /// What happened to a ticket, by rule or by a person.
    Deed {
        Open = "open",
        Triage = "triage",
        /// Another problem joined it.
        Gather = "gather",
        FaultBack = "fault_back",
        Reopen = "reopen",
        /// Its faults are gone, for now.
        Recovering = "recovering",
        Resolve = "resolve",
        Close = "close",
        Cancel = "cancel",
        Note = "note",
        Urge = "urge",
        /// A clock ran out.
        Breach = "breach",
        PendingBatch = "pending_batch",
    }
);

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// A ticket: no rule holds it back.
    Needed,
    SiteDropped,
    ManyKiosks,
    JoinsBatch,
    /// What triage found.
    Terms {
        class: FaultClass,
        severity: Severity,
        zone: Zone,
    },
    Worse(Severity),
    Fault {
        fault: FaultCode,
        severity: Severity,
    },
    Back(ShareReason),
    Gone,
    StayedGone,
    BatchResolved,
    Quiet,
    Clock {
        name: String,
        policy: String,
    },
    /// A person called about what is known; what they said follows.
    RepeatCall(String),
    /// Seen by the server: kiosks of a site that fell silent at once.
    DroppedTogether(usize),
    /// Seen by the server: two journals under one name.
    OtherContent,
    OtherWhenSentAgain,
}

/// Those without a value of their own.
const PLAIN: [Because; 10] = [
    Because::Needed,
    Because::SiteDropped,
    Because::ManyKiosks,
    Because::JoinsBatch,
    Because::Gone,
    Because::StayedGone,
    Because::BatchResolved,
    Because::Quiet,
    Because::OtherContent,
    Because::OtherWhenSentAgain,
];

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needed => f.write_str("needed: nothing speaks against it"),
            Self::SiteDropped => f.write_str("site_outage: most kiosks of the site dropped together"),
            Self::ManyKiosks => f.write_str("SR-110: five or more kiosks of the site have this fault today"),
            Self::JoinsBatch => {
                f.write_str("SR-110: the same fault on many kiosks of the site; the region decides")
            }
            Self::Terms { class, severity, zone } => write!(f, "{class}, {severity}, {}", zone.as_str()),
            Self::Worse(severity) => write!(f, "severity is {severity} now (SR-013)"),
            Self::Fault { fault, severity } => write!(f, "{fault} ({severity})"),
            Self::Back(why) => write!(f, "{}: the fault is back", why.as_str()),
            Self::Gone => f.write_str("every fault of the ticket is gone"),
            Self::StayedGone => f.write_str("every fault stayed gone"),
            Self::BatchResolved => f.write_str("all tickets of the batch are resolved"),
            Self::Quiet => f.write_str("C35: healed by itself and stayed quiet"),
            Self::Clock { name, policy } => write!(f, "clock {name}, policy {policy}"),
            Self::RepeatCall(text) => write!(f, "repeat call: {text}"),
            Self::DroppedTogether(kiosks) => write!(f, "{kiosks} kiosks dropped together"),
            Self::OtherContent => f.write_str("an applied number came with other content"),
            Self::OtherWhenSentAgain => {
                f.write_str("a record sent again differs from the one applied under its old number")
            }
        }
    }
}

impl From<Because> for String {
    fn from(because: Because) -> Self {
        because.to_string()
    }
}

impl Because {
    /// `None`: no sentence of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = || PLAIN.into_iter().find(|because| because.to_string() == text);
        plain()
            .or_else(|| Self::terms(text))
            .or_else(|| {
                Severity::parse(text.strip_prefix("severity is ")?.strip_suffix(" now (SR-013)")?)
                    .map(Self::Worse)
            })
            .or_else(|| {
                let word = text.strip_suffix(": the fault is back")?;
                ShareReason::ALL.iter().copied().find(|why| why.as_str() == word).map(Self::Back)
            })
            .or_else(|| {
                let (name, policy) = text.strip_prefix("clock ")?.split_once(", policy ")?;
                Some(Self::Clock { name: name.to_owned(), policy: policy.to_owned() })
            })
            .or_else(|| text.strip_prefix("repeat call: ").map(|text| Self::RepeatCall(text.to_owned())))
            .or_else(|| {
                text.strip_suffix(" kiosks dropped together")?.parse().ok().map(Self::DroppedTogether)
            })
            .or_else(|| {
                let (fault, severity) = text.strip_suffix(')')?.rsplit_once(" (")?;
                Some(Self::Fault { fault: FaultCode::new(fault)?, severity: Severity::parse(severity)? })
            })
    }

    fn terms(text: &str) -> Option<Self> {
        let (class, rest) = text.split_once(", ")?;
        let (severity, zone) = rest.split_once(", ")?;
        Some(Self::Terms {
            class: FaultClass::parse(class)?,
            severity: Severity::parse(severity)?,
            zone: Zone::parse(zone)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each names the one after it: a new one does not compile before it has its place here.
    fn after(because: &Because) -> Option<Because> {
        let (severity, fault) = (Severity::Major, FaultCode::new("note_jam(stacker)").unwrap());
        Some(match because {
            Because::Needed => Because::SiteDropped,
            Because::SiteDropped => Because::ManyKiosks,
            Because::ManyKiosks => Because::JoinsBatch,
            Because::JoinsBatch => {
                Because::Terms { class: FaultClass::Operator, severity, zone: Zone::Remote }
            }
            Because::Terms { .. } => Because::Worse(severity),
            Because::Worse(_) => Because::Fault { fault, severity },
            Because::Fault { .. } => Because::Back(ShareReason::CameBack),
            Because::Back(_) => Because::Gone,
            Because::Gone => Because::StayedGone,
            Because::StayedGone => Because::BatchResolved,
            Because::BatchResolved => Because::Quiet,
            Because::Quiet => Because::Clock { name: "arrive".into(), policy: "2026-01, test".into() },
            Because::Clock { .. } => Because::RepeatCall("no paper: again".into()),
            Because::RepeatCall(_) => Because::DroppedTogether(4),
            Because::DroppedTogether(_) => Because::OtherContent,
            Because::OtherContent => Because::OtherWhenSentAgain,
            Because::OtherWhenSentAgain => return None,
        })
    }

    #[test]
    fn every_sentence_is_read_back_and_what_people_write_is_none() {
        let all: Vec<Because> = std::iter::successors(Some(Because::Needed), after).collect();
        assert_eq!(all.len(), 17);
        for because in all {
            assert_eq!(Because::parse(&because.to_string()), Some(because.clone()), "{because}");
        }
        for text in ["", "a, b, c", "paper (blue)", "clock", "all is well", "maintenance, minor", "(minor)"] {
            assert_eq!(Because::parse(text), None, "{text}");
        }
    }
}
