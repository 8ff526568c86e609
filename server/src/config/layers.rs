//! From text and environment to a checked value, with errors that name file, line and key.
use std::{fmt, path::PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// What is wrong with the configuration, where, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("reading the configuration file {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{file}:{line}: {problem}")]
    InFile { file: String, line: usize, problem: String },
    #[error("environment variable {variable}: {problem}")]
    InEnvironment { variable: String, problem: String },
    #[error("configuration key {key}: {problem}")]
    Key { key: String, problem: String },
}

/// Everything that is wrong, a line each.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl ConfigError {
    /// In the order of the file; what has no line stands behind.
    pub(super) fn line(&self) -> usize {
        if let Self::InFile { line, .. } = self { *line } else { usize::MAX }
    }
}

/// What one person mends in one sitting.
const MAX_ERRORS: usize = 100;

/// What can be read, and what is wrong. The file alone must be right by itself; then the environment is laid over it.
/// Whoever mends one line wants to know of the next: what is wrong is left out, and the rest is read.
pub(super) fn read<T: DeserializeOwned>(
    file: Option<(&str, &str)>,
    env: impl IntoIterator<Item = (String, String)>,
    prefix: &str,
) -> (Option<T>, Vec<ConfigError>) {
    let (name, text) = file.unwrap_or(("", ""));
    let mut errors = Vec::new();
    let mut good = text.to_owned();
    let mut value: T = loop {
        match toml::from_str(&good) {
            Ok(value) => break value,
            Err(error) => {
                errors.push(in_file(name, &good, &error));
                match without(&good, &error) {
                    Some(rest) if errors.len() < MAX_ERRORS => good = rest,
                    _ => return (None, errors),
                }
            }
        }
    };
    let mut table: Table = toml::from_str(&good).unwrap_or_default();
    for (variable, text) in env {
        let Some(path) = variable.strip_prefix(prefix) else { continue };
        match overridden::<T>(&table, path, &text) {
            Ok((with, is)) => (table, value) = (with, is),
            Err(problem) => errors.push(ConfigError::InEnvironment { variable, problem }),
        }
    }
    (Some(value), errors)
}

fn in_file(file: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let offset = error.span().map_or(0, |span| span.start.min(text.len()));
    let (before, after) = text.split_at(offset);
    let line = before.matches('\n').count() + 1;
    // The message of a value does not say whose it is.
    let begun = before.rsplit('\n').next().unwrap_or("");
    let key = begun.split_once('=').map_or("", |(key, _)| key.trim());
    let message = error.message().trim();
    let problem =
        if key.is_empty() || after.is_empty() { message.to_owned() } else { format!("{key}: {message}") };
    ConfigError::InFile { file: file.to_owned(), line, problem }
}

/// The text with blanks where the error is: a line, or a section from its heading on. `None`: the rest cannot be read.
fn without(text: &str, error: &toml::de::Error) -> Option<String> {
    toml::from_str::<Table>(text).ok()?;
    let span = error.span()?;
    let from = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = |at: usize| text[at..].find('\n').map_or(text.len(), |end| at + end);
    let is_section = text[from..].trim_start().starts_with('[');
    let to = if is_section {
        text[from + 1..].find("\n[").map_or(text.len(), |at| from + 1 + at)
    } else {
        line_end(span.end.max(span.start))
    };
    let blank: String = text[from..to].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
    let rest = format!("{}{blank}{}", &text[..from], &text[to..]);
    toml::from_str::<Table>(&rest).ok().map(|_| rest).filter(|rest| rest != text)
}

/// The table with one variable more, and what it comes to.
fn overridden<T: DeserializeOwned>(table: &Table, path: &str, text: &str) -> Result<(Table, T), String> {
    let keys: Vec<String> = path.split("__").map(str::to_lowercase).collect();
    let [section, key] = keys.as_slice() else {
        return Err("expected a name like KIOSKWATCH__SECTION__KEY".to_owned());
    };
    let mut table = table.clone();
    let section = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
    let Value::Table(section) = section else {
        return Err("this section is a list and cannot be set from the environment".to_owned());
    };
    section.insert(key.clone(), parse_value::<T>(&keys, text));
    let value = Value::Table(table.clone()).try_into();
    value.map(|value| (table, value)).map_err(|error: toml::de::Error| error.message().trim().to_owned())
}

/// A value of the environment is TOML when it reads as one and fits, else text: `8080` may be a port or a name.
fn parse_value<T: DeserializeOwned>(keys: &[String], text: &str) -> Value {
    let as_text = Value::String(text.to_owned());
    let mut section = Table::new();
    section.insert(keys[1].clone(), as_text.clone());
    let mut alone = Table::new();
    alone.insert(keys[0].clone(), Value::Table(section));
    if Value::Table(alone).try_into::<T>().is_ok() {
        return as_text;
    }
    toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or(as_text)
}

/// A semantic problem of `section.key`, with its line if the file has it.
pub(super) fn blame(file: Option<(&str, &str)>, key: &str, problem: String) -> ConfigError {
    let line = file.and_then(|(_, text)| line_of(text, key));
    match (file, line) {
        (Some((name, _)), Some(line)) => {
            ConfigError::InFile { file: name.to_owned(), line, problem: format!("{key}: {problem}") }
        }
        _ => ConfigError::Key { key: key.to_owned(), problem },
    }
}

/// Where `section.key` stands.
pub(super) fn line_of(text: &str, key: &str) -> Option<usize> {
    let (section, key) = key.split_once('.')?;
    let mut current = "";
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            current = name.trim();
        } else if current == section && line.split('=').next().is_some_and(|k| k.trim() == key) {
            return Some(index + 1);
        }
    }
    None
}
