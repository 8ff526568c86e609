//! Taking typed values out of a section, with errors that say where, what and what would be right.
use std::{collections::BTreeSet, fmt::Display};

use serde::de::DeserializeOwned;

use super::{
    ConfigError,
    source::{Findings, Setting, Settings, Unused},
};

pub(super) struct Section {
    settings: Settings,
    /// As it is written: `[mqtt]`.
    pub(super) title: String,
    file: String,
    known: BTreeSet<&'static str>,
    unused: Unused,
    findings: Findings,
}

/// A value with the place it came from, for checks that need more than its type.
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) place: String,
}

impl Section {
    pub(super) fn new(settings: Settings, title: String, file: &str, source: (&Unused, &Findings)) -> Self {
        let (unused, findings) = (source.0.clone(), source.1.clone());
        Self { settings, title, file: file.to_owned(), known: BTreeSet::new(), unused, findings }
    }

    pub(super) fn place(&self) -> String {
        if self.settings.place.is_empty() { self.file.clone() } else { self.settings.place.clone() }
    }

    fn name(&self, key: &str) -> String {
        format!("{} {key}", self.title)
    }

    /// Notes that a value is no good. Reading goes on with its default, to find what else is wrong.
    pub(super) fn wrong(&self, place: &str, key: &str, what: impl Display, right: impl Display) {
        self.note(ConfigError::Value {
            place: place.to_owned(),
            key: self.name(key),
            what: what.to_string(),
            right: right.to_string(),
        });
    }

    pub(super) fn missing(&self, key: &str, right: &str) {
        self.note(ConfigError::Missing { place: self.place(), key: self.name(key), right: right.to_owned() });
    }

    fn note(&self, finding: ConfigError) {
        self.findings.borrow_mut().push(finding);
    }

    /// The value of `key`, if it stands there; `right` says what belongs there.
    pub(super) fn take<T: DeserializeOwned>(&mut self, key: &'static str, right: &str) -> Option<Found<T>> {
        self.known.insert(key);
        let setting = self.settings.entries.remove(key)?;
        let place = setting.place.clone();
        match typed(setting) {
            Ok(value) => Some(Found { value, place }),
            Err(what) => {
                self.wrong(&place, key, what, right);
                None
            }
        }
    }

    /// The same of a key that must stand there.
    pub(super) fn need<T: DeserializeOwned>(&mut self, key: &'static str, right: &str) -> Option<Found<T>> {
        if !self.settings.entries.contains_key(key) {
            self.missing(key, right);
        }
        self.take(key, right)
    }

    pub(super) fn or<T: DeserializeOwned>(&mut self, key: &'static str, right: &str, default: T) -> T {
        self.take(key, right).map_or(default, |found| found.value)
    }

    /// A number within its limits.
    pub(super) fn within<T: DeserializeOwned + PartialOrd + Display>(
        &mut self,
        key: &'static str,
        limits: std::ops::RangeInclusive<T>,
        default: T,
    ) -> T {
        let right = format!("a number from {} to {} is right", limits.start(), limits.end());
        match self.take::<T>(key, &right) {
            Some(found) if !limits.contains(&found.value) => {
                self.wrong(&found.place, key, format!("{} is outside its limits", found.value), right);
                default
            }
            Some(found) => found.value,
            None => default,
        }
    }

    /// Seconds, decimals allowed, as milliseconds.
    pub(super) fn seconds(
        &mut self,
        key: &'static str,
        limits: std::ops::RangeInclusive<f64>,
    ) -> Option<u64> {
        let right =
            format!("seconds from {} to {} are right, decimals allowed", limits.start(), limits.end());
        let found = self.take::<Number>(key, &right)?;
        if !limits.contains(&found.value.0) {
            let what = format!("{} is outside its limits", found.value.0);
            self.wrong(&found.place, key, what, right);
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked against limits")]
        Some((found.value.0 * 1000.0).round() as u64)
    }

    /// What nobody has asked for so far, for a driver's own options.
    pub(super) fn rest(&mut self) -> Vec<(String, Setting)> {
        std::mem::take(&mut self.settings.entries).into_iter().collect()
    }

    pub(super) fn known(&self) -> String {
        self.known.iter().copied().collect::<Vec<_>>().join(", ")
    }

    pub(super) fn unknown(&self, place: String, key: &str, known: &str) {
        let right = format!("keys are {known}");
        self.note(ConfigError::Unknown { place, key: self.name(key), right });
    }

    /// Refuses keys nobody asked for; remarks on variables.
    pub(super) fn finish(mut self) {
        for (key, setting) in self.rest() {
            if setting.from_environment {
                self.unused.borrow_mut().push(setting.place);
            } else {
                self.unknown(setting.place, &key, &self.known());
            }
        }
    }
}

/// A number, written with or without a decimal point.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum EitherNumber {
    Whole(i64),
    Decimal(f64),
}

#[derive(serde::Deserialize)]
#[serde(from = "EitherNumber")]
struct Number(f64);

impl From<EitherNumber> for Number {
    #[expect(clippy::cast_precision_loss, reason = "seconds in a configuration are small")]
    fn from(number: EitherNumber) -> Self {
        Self(match number {
            EitherNumber::Whole(n) => n as f64,
            EitherNumber::Decimal(n) => n,
        })
    }
}

/// A file's value has its type. A variable's is a text, or a TOML value, or a list with commas: whichever
/// the key takes.
pub(super) fn typed<T: DeserializeOwned>(setting: Setting) -> Result<T, String> {
    let shown = setting.value.to_string();
    let first = match setting.value.clone().try_into() {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let told = |error: &toml::de::Error| format!("{shown} does not fit ({})", error.message().trim());
    let (true, toml::Value::String(text)) = (setting.from_environment, setting.value) else {
        return Err(told(&first));
    };
    if let Ok(mut table) = toml::from_str::<toml::Table>(&format!("v = {text}"))
        && let Some(value) = table.remove("v")
    {
        return value.try_into().map_err(|error| told(&error));
    }
    let items = text.split(',').map(|item| toml::Value::String(item.trim().to_owned())).collect();
    toml::Value::Array(items).try_into().map_err(|_| told(&first))
}
