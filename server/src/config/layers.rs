//! From text and environment to a checked value, with errors that name file, line and key.
use std::path::PathBuf;

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

/// The file alone must be right by itself; then the environment is laid over it.
pub(super) fn read<T: DeserializeOwned>(
    file: Option<(&str, &str)>,
    env: impl IntoIterator<Item = (String, String)>,
    prefix: &str,
) -> Result<T, ConfigError> {
    let (name, text) = file.unwrap_or(("", ""));
    let in_file = |error: &toml::de::Error| {
        let offset = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text[..offset].matches('\n').count() + 1;
        ConfigError::InFile { file: name.to_owned(), line, problem: error.message().trim().to_owned() }
    };
    let value: T = toml::from_str(text).map_err(|e| in_file(&e))?;
    let mut table: Table = toml::from_str(text).map_err(|e| in_file(&e))?;

    let mut overridden = Vec::new();
    for (variable, text) in env {
        let Some(path) = variable.strip_prefix(prefix) else { continue };
        let keys: Vec<String> = path.split("__").map(str::to_lowercase).collect();
        let problem = |problem: &str| ConfigError::InEnvironment {
            variable: variable.clone(),
            problem: problem.to_owned(),
        };
        let [section, key] = keys.as_slice() else {
            return Err(problem("expected a name like KIOSKWATCH__SECTION__KEY"));
        };
        let section = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(section) = section else {
            return Err(problem("this section is a list and cannot be set from the environment"));
        };
        section.insert(key.clone(), parse_value::<T>(&keys, &text));
        overridden.push((variable, keys));
    }
    if overridden.is_empty() {
        return Ok(value);
    }
    Value::Table(table).try_into().map_err(|error: toml::de::Error| {
        let problem = error.message().trim().to_owned();
        // The message names the key it stumbled over; blame the variable that set it.
        let guilty = overridden.iter().find(|(_, keys)| problem.contains(&format!("`{}`", keys[1])));
        let variable = guilty.or(overridden.last()).map_or_else(String::new, |(name, _)| name.clone());
        ConfigError::InEnvironment { variable, problem }
    })
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

fn line_of(text: &str, key: &str) -> Option<usize> {
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
