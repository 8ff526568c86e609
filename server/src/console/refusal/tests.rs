use chrono_tz::Asia::Shanghai;

use super::*;

fn zh(detail: &str) -> String {
    told(Texts::of(Language::ZhCn), Shanghai, detail)
}

#[test]
fn a_refusal_is_told_in_the_readers_words_with_what_the_rule_put_in() {
    assert_eq!(zh("it is approved already"), "此事项已批准");
    assert_eq!(zh("a ticket in on_site is not cancelled"), "状态为“到场”的工单不能撤销");
    assert_eq!(
        zh("\"weather\" is none of planned, force_majeure"),
        "“weather”不是下列之一：计划维护、不可抗力"
    );
    assert_eq!(
        zh("the kiosk has no peripheral \"ups\": it has printer"),
        "终端没有外设“UPS 电源”，现有：打印机"
    );
    assert_eq!(
        zh("this changes time that has been: at 2026-11-01T00:00:00.000Z the kiosk counted and would not by these dates. \
            Dates to come and a decommissioning or a return as of now are free; to put a kiosk back into service leave \
            commissioned_at out and decommissioned_at empty; if a date was entered wrong, ask for a correction, which \
            somebody else approves")
        .split('。')
        .next(),
        Some("这会改变过去的时间：2026-11-01 08:00:00 +08:00 终端原计入，按此日期将不计入")
    );
    assert_eq!(zh("the moon is full"), "被拒绝：the moon is full");
}

#[test]
fn instants_stand_on_the_wall_clock_of_the_place_in_every_language() {
    let detail = "it ends at 2026-11-21T08:00:00.000Z, which has not been yet";
    assert_eq!(zh(detail), "结束 2026-11-21 16:00:00 +08:00 尚未到来");
    let en = told(Texts::of(Language::En), Shanghai, detail);
    assert_eq!(en, "it ends at 2026-11-21 16:00:00 +08:00, which has not been yet");
    assert_eq!(on_the_wall(Shanghai, "Zulu 卡Z 2026-11-21T08:00:00Z"), "Zulu 卡Z 2026-11-21 16:00:00 +08:00");
}

#[test]
fn every_sentence_keeps_what_the_rule_put_in_or_leaves_all_of_it_out() {
    for (rule, told) in SENTENCES {
        let [in_rule, in_told] = [rule, told].map(|text| text.matches("{}").count());
        assert!(in_told <= in_rule && !told.is_ascii(), "{rule}: {told}");
        assert_eq!(values_of(rule, rule).map(|values| values.len()), Some(in_rule), "{rule}");
    }
}

/// Folders in which rules and doors refuse.
const REFUSING: [&str; 8] = [
    "domain/src/fleet",
    "domain/src/uptime",
    "src/app/uptime",
    "src/http",
    "src/console/decisions",
    "src/console/ticket",
    "src/console/uptime",
    "src/console/login.rs",
];
/// What stands before the sentence of a refusal within its statement.
const REFUSES: [&str; 11] = [
    "efus",
    "conflict(",
    "invalid(",
    "Problem::",
    "Err(",
    "ok_or",
    "let reason",
    "let detail",
    "let why",
    "let kinds",
    "let free",
];
/// What is for the log, and names that follow "no such".
const OTHERS: [&str; 4] = ["tracing::", "NotFound(", "not_found(", "missing("];
/// Said of what cannot be read, in functions that only say it.
const OF_TEXTS: [&str; 2] = ["{} is no {} of this: expected {}", "a month is written like 2026-10"];
/// Sentences that no page shows as a refusal, each with the reason.
const NO_REFUSALS: [(&str, &str); 9] = [
    ("sign in, or send a valid token as `Authorization: Bearer …`", "the console leads to the login"),
    ("too many wrong tokens came from this address; wait a minute", "the login says so itself"),
    ("a defect of ours; the server's log says more under {}", "the page of a defect has its own words"),
    ("the server could not do this; its log says why", "the page of a defect has its own words"),
    ("this {} was kept for long enough and is removed", "the page of what is gone has its own words"),
    ("a request failed", "for the log"),
    ("a read failed", "for the log"),
    ("failed {} times", "why a record is set aside: in the audit, and its own record says it"),
    ("a part of the database cannot be read", "for the log"),
];

/// Every text of a Rust file that stands in a statement which refuses, with `{}` for what is put in.
fn refusals_of(file: &str) -> Vec<String> {
    let code = file.split("#[cfg(test)]").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let (mut found, mut statement, mut rest) = (Vec::new(), String::new(), code.as_str());
    while let Some(at) = rest.find(['"', ';', '{', '}']) {
        statement.push_str(&rest[..at]);
        let mark = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        if mark != b'"' {
            statement.clear();
            continue;
        }
        let mut escaped = false;
        let end = rest.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.unwrap_or(rest.len() - 1);
        let text = plain(&rest[..end]);
        let is_sentence = text.split(' ').filter(|word| word.chars().any(char::is_alphabetic)).count() > 1;
        let is_told = !OTHERS.iter().any(|word| statement.contains(word));
        if is_sentence && is_told && REFUSES.iter().any(|word| statement.contains(word)) {
            found.push(text);
        }
        statement.push_str("\"\"");
        rest = &rest[end + 1..];
    }
    found
}

/// Without what continues a line, and with `{}` for `{name:?}`.
fn plain(literal: &str) -> String {
    let mut lines = literal.split("\\\n");
    let mut text = lines.next().unwrap_or_default().to_owned();
    lines.for_each(|line| text.push_str(line.trim_start()));
    let mut told = String::new();
    let text = text.replace("\\\"", "\"");
    for (n, part) in text.split('{').enumerate() {
        match part.split_once('}') {
            Some((_, behind)) if n > 0 => told.push_str(&format!("{{}}{behind}")),
            _ => told.push_str(part),
        }
    }
    told
}

fn rust_files(path: &std::path::Path) -> Vec<std::path::PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let code = entries.filter(|path| !path.ends_with("tests") && !path.ends_with("tests.rs"));
    code.flat_map(|path| rust_files(&path))
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .collect()
}

#[test]
fn every_refusal_that_rules_and_doors_can_give_is_known_in_chinese() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut all, mut missing) = (std::collections::BTreeSet::new(), Vec::new());
    for file in REFUSING.iter().flat_map(|folder| rust_files(&root.join(folder))) {
        for sentence in refusals_of(&std::fs::read_to_string(&file).unwrap()) {
            let is_known = translated(Texts::of(Language::ZhCn), &sentence).is_some()
                || NO_REFUSALS.iter().any(|(other, _)| *other == sentence);
            if !is_known {
                missing.push(format!("{}: {sentence}", file.strip_prefix(root).unwrap().display()));
            }
            all.insert(sentence);
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(all.len() > 90, "they are looked for in the wrong places: {all:#?}");
    // A rule that is looked for behind a more general one would be told in the words of that.
    for (rule, told) in SENTENCES {
        let own = (values_of(rule, rule).unwrap(), *told);
        let found =
            SENTENCES.iter().find_map(|(other, told)| Some((values_of(other, rule)?, *told))).unwrap();
        assert_eq!(found, own, "{rule}");
    }
    let unused = |(rule, _): &&(&str, &str)| !all.iter().any(|one| values_of(rule, one).is_some());
    let unused = SENTENCES.iter().filter(unused).map(|(rule, _)| *rule);
    let unused: Vec<&str> = unused.filter(|rule| !OF_TEXTS.contains(rule)).collect();
    assert!(unused.is_empty(), "nobody says this any more: {unused:#?}");
}
