//! What happened by rule, in the reader's words. What people and devices wrote is shown as they wrote it.
use kioskwatch_domain::{
    change::{IncidentRow, TransitionRow},
    presence::PresenceReason,
    ticket::{BY_RULE, Because},
    triage::Noted,
};
use kioskwatch_proto::{
    Timestamp,
    faults::{Catalogue, FaultCode},
};

use super::texts::Texts;

/// Why a line of a ticket's history stands there.
pub(crate) fn reason(t: &'static Texts, catalogue: &Catalogue, text: &str) -> String {
    Because::parse(text).map_or_else(|| text.to_owned(), |because| sentence(t, catalogue, &because))
}

fn sentence(t: &'static Texts, catalogue: &Catalogue, because: &Because) -> String {
    let one = |pattern: &str, value: &str| pattern.replacen("{}", value, 1);
    match because {
        Because::Needed => t.word_of("why", "needed").to_owned(),
        Because::SiteDropped => t.because_site_dropped.to_owned(),
        Because::ManyKiosks => t.because_many_kiosks.to_owned(),
        Because::JoinsBatch => t.because_joins_batch.to_owned(),
        Because::Terms { class, severity, zone } => {
            [class.as_str(), severity.as_str(), zone.as_str()].map(|word| t.word(word)).join(" · ")
        }
        Because::Worse(severity) => one(t.because_worse, t.word(severity.as_str())),
        Because::Fault { fault, severity } => {
            format!("{} · {}", t.fault(catalogue, fault), t.word(severity.as_str()))
        }
        Because::Back(why) => t.word_of("why", why.as_str()).to_owned(),
        Because::Gone => t.because_gone.to_owned(),
        Because::StayedGone => t.because_stayed_gone.to_owned(),
        Because::BatchResolved => t.because_batch_resolved.to_owned(),
        Because::Quiet => t.because_quiet.to_owned(),
        Because::Clock { name, policy } => one(&one(t.because_clock, t.word(name)), policy),
        Because::RepeatCall(text) => one(t.because_repeat_call, text),
        Because::DroppedTogether(kiosks) => one(t.because_dropped_together, &kiosks.to_string()),
        Because::OtherContent => t.because_other_content.to_owned(),
        Because::OtherWhenSentAgain => t.because_other_when_sent_again.to_owned(),
    }
}

/// Who did it.
pub(crate) fn actor(t: &'static Texts, name: &str) -> String {
    if name == BY_RULE { t.by_rule.to_owned() } else { name.to_owned() }
}

/// What was decided about an incident; empty: nothing yet.
pub(super) fn decision(t: &'static Texts, row: &IncidentRow, at: impl Fn(Timestamp) -> String) -> String {
    let Some(noted) = Noted::of(row) else {
        let words = [row.triage.as_str(), row.triage_reason.as_str()].into_iter();
        return words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" · ");
    };
    let until = noted.until.map(|until| format!("{} {}", t.until, at(until)));
    let words = [t.word_of("decided", noted.decision.as_str()), t.word_of("why", noted.why.as_str())];
    words.into_iter().map(ToOwned::to_owned).chain(until).collect::<Vec<_>>().join(" · ")
}

/// What is said of an incident, where the server itself saw it: why it called the kiosk offline, and the like.
pub(super) fn seen(t: &'static Texts, catalogue: &Catalogue, text: &str) -> Option<String> {
    let verdict = PresenceReason::parse(text).map(|reason| t.word(reason.as_str()).to_owned());
    verdict.or_else(|| Because::parse(text).map(|because| sentence(t, catalogue, &because)))
}

/// How a ticket was resolved.
pub(crate) fn resolution<'a>(t: &'static Texts, text: &'a str) -> &'a str {
    t.word_of("resolution", text)
}

/// A ground of the closed list, and what somebody wrote about it.
pub(crate) fn cancelled(t: &'static Texts, text: &str) -> String {
    match text.split_once(": ") {
        Some((ground, reason)) => format!("{}: {reason}", t.word_of("ground", ground)),
        None => text.to_owned(),
    }
}

/// `printer: paper_out` in the reader's words; anything else as the kiosk said it.
pub(crate) fn cause(t: &'static Texts, catalogue: &Catalogue, cause: &str) -> String {
    let known = |code: &str| FaultCode::new(code).filter(|code| catalogue.get(code).is_some());
    let parts = cause.split_once([':', '/', ' ']).map(|(name, code)| (name.trim(), code.trim()));
    match (known(cause), parts) {
        (Some(code), _) => t.fault(catalogue, &code),
        (None, Some((name, code))) => match known(code) {
            Some(code) => format!("{}: {}", t.word(name), t.fault(catalogue, &code)),
            // Two words of ours, or a sentence of the application.
            None if t.knows(name) && t.knows(code) => format!("{}: {}", t.word(name), t.word(code)),
            None => cause.to_owned(),
        },
        (None, None) => t.word(cause).to_owned(),
    }
}

/// `printer: self_test` of a command's progress; what a driver calls its steps stays as it is.
pub(crate) fn step(t: &'static Texts, text: &str) -> String {
    match text.split_once(": ") {
        Some((name, action)) if t.knows(action) => format!("{}: {}", t.word(name), t.word(action)),
        _ => t.word(text).to_owned(),
    }
}

/// Where a kiosk or a part of it went, and why.
pub(super) fn transition(t: &'static Texts, catalogue: &Catalogue, row: &TransitionRow) -> [String; 3] {
    let words = |kind: &str| [&row.from, &row.to, &row.reason].map(|word| t.word_of(kind, word).to_owned());
    let [from, to, reason] = words(&row.kind);
    match row.kind.as_str() {
        "service" => [from, to, cause(t, catalogue, &row.reason)],
        _ => [from, to, reason],
    }
}

#[cfg(test)]
mod tests {
    use kioskwatch_domain::{
        change::Zone,
        triage::{HoldReason, ShareReason},
    };
    use kioskwatch_proto::{
        faults::FaultClass,
        words::{PortMode, Severity},
    };

    use super::*;
    use crate::config::Language;

    fn both(text: &str) -> [String; 2] {
        let catalogue = Catalogue::built_in();
        [Language::ZhCn, Language::En].map(|language| reason(Texts::of(language), &catalogue, text))
    }

    #[test]
    fn what_happened_by_rule_is_told_in_the_readers_words_and_what_people_wrote_as_they_wrote_it() {
        let (severity, fault) = (Severity::Minor, FaultCode::new("paper_out").unwrap());
        for (because, zh, en) in [
            (
                Because::Terms { class: FaultClass::Maintenance, severity, zone: Zone::Urban },
                "维护 · 普通 · 市区",
                "maintenance · minor · urban",
            ),
            (Because::Fault { fault, severity }, "缺纸 · 普通", "Paper out · minor"),
            (
                Because::Clock { name: "arrive".into(), policy: "kiosk-7x24".into() },
                "“到场”时限已过（规则 kiosk-7x24）",
                "the clock “Arrival” ran out (policy kiosk-7x24)",
            ),
            (Because::DroppedTogether(4), "4 台终端同时掉线", "4 kiosks dropped together"),
        ] {
            assert_eq!(both(&because.to_string()), [zh, en]);
        }
        for because in [Because::Needed, Because::Back(ShareReason::CameBack), Because::Quiet] {
            let [zh, en] = both(&because.to_string());
            assert!(!zh.contains('_') && !en.contains('_') && zh != en, "{zh} / {en}");
        }
        assert_eq!(both("the attendant refilled it"), ["the attendant refilled it"; 2]);
    }

    #[test]
    fn a_cause_is_told_whoever_named_it() {
        let catalogue = Catalogue::built_in();
        let told = |text| cause(Texts::of(Language::ZhCn), &catalogue, text);
        assert_eq!(told("printer: paper_out"), "打印机: 缺纸");
        assert_eq!(told("ups: port_busy"), "UPS 电源: 端口被占用");
        assert_eq!(told("starting"), "启动中");
        assert!(!told("application_down").contains("application"), "{}", told("application_down"));
        assert_eq!(told("closed for a party: sorry"), "closed for a party: sorry");
    }

    #[test]
    fn a_step_names_the_device_and_the_action_in_the_readers_words() {
        let t = Texts::of(Language::ZhCn);
        assert_eq!(step(t, "printer: self_test"), "打印机: 自检");
        assert_eq!(step(t, "done"), "完成");
        assert_eq!(step(t, "reset: stacker motor"), "reset: stacker motor");
    }

    #[test]
    fn a_word_means_what_its_place_says() {
        let t = Texts::of(Language::ZhCn);
        assert_ne!(t.word_of("boot", "planned"), t.word("planned"), "a restart is no exclusion");
        assert_ne!(t.word_of("why", "maintenance"), t.word("maintenance"), "a window is no class of work");
        assert_eq!(t.word_of("why", "nonsense"), "nonsense");
        assert_eq!(t.word_of("why", HoldReason::Goodbye.as_str()), "终端主动下线，等待其返回");
        assert!(PortMode::ALL.iter().all(|mode| t.knows(mode.as_str())));
    }
}
