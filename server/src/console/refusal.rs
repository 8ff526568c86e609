//! Why something was refused, in the reader's words and on the wall clock of the place.
//!
//! Rules refuse in one English sentence, which the API sends as it is. Here stand those that can come back from a form
//! of the console ([`sentences`]); one that is not among them is shown as it came, after a word that it is a refusal.
mod sentences;

use chrono_tz::Tz;
use kioskwatch_domain::wall;
use kioskwatch_proto::Timestamp;

use self::sentences::SENTENCES;
use super::texts::Texts;
use crate::config::Language;

/// A refusal as its reader reads it.
pub(super) fn told(t: &'static Texts, zone: Tz, detail: &str) -> String {
    let told = match t.language {
        Language::En => detail.to_owned(),
        Language::ZhCn => translated(t, detail).unwrap_or_else(|| format!("{}：{detail}", t.refused)),
    };
    on_the_wall(zone, &told)
}

fn translated(t: &'static Texts, detail: &str) -> Option<String> {
    let (values, sentence) =
        SENTENCES.iter().find_map(|(rule, told)| Some((values_of(rule, detail)?, *told)))?;
    let word = |value: &str| {
        let words = value.split(", ").map(|word| word.trim_matches('"'));
        words.map(|word| t.word_of("field", word)).collect::<Vec<_>>().join("、")
    };
    Some(values.iter().fold(sentence.to_owned(), |sentence, value| sentence.replacen("{}", &word(value), 1)))
}

/// What a rule put into its sentence; `None`: it is another sentence.
fn values_of<'a>(rule: &str, detail: &'a str) -> Option<Vec<&'a str>> {
    let mut parts = rule.split("{}");
    let mut rest = detail.strip_prefix(parts.next()?)?;
    let mut values = Vec::new();
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let at = match (part, parts.peek()) {
            (part, None) => rest.strip_suffix(part)?.len(),
            (part, Some(_)) => rest.find(part)?,
        };
        values.push(&rest[..at]);
        rest = &rest[at + part.len()..];
    }
    rest.is_empty().then_some(values)
}

/// Instants as the clock of the place shows them.
fn on_the_wall(zone: Tz, text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('Z') {
        // An instant has 20 characters, or 24 with its milliseconds, of one byte each.
        let instant = [24, 20].into_iter().find_map(|length| {
            let from = (at + 1).checked_sub(length)?;
            Some((from, Timestamp::parse(rest.get(from..=at)?).ok()?))
        });
        match instant {
            Some((from, instant)) => {
                told.push_str(&rest[..from]);
                told.push_str(&wall::told(zone, instant));
            }
            None => told.push_str(&rest[..=at]),
        }
        rest = &rest[at + 1..];
    }
    told + rest
}

#[cfg(test)]
mod tests;
