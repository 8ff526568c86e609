//! Where values come from: a file with lines, and an environment with variables.
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use toml::de::{DeTable, DeValue};

use super::{ConfigError, ENV_PREFIX, Section};

/// Overrides as `(variable, value)`; taken as a value so that nothing but `main` reads the process's own.
#[derive(Debug, Clone, Default)]
pub struct Environment(pub Vec<(String, String)>);

impl Environment {
    /// The variables of this process that are meant for Kioskwatch.
    pub fn of_process() -> Self {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        let mut all: Vec<_> = std::env::vars_os()
            .map(|(name, value)| (text(name), text(value)))
            .filter(|(name, _)| name.starts_with(ENV_PREFIX))
            .collect();
        all.sort();
        Self(all)
    }
}

/// One value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) value: toml::Value,
    /// A variable's value is a bare text; its type follows from the key.
    pub(super) from_environment: bool,
    pub(super) place: String,
}

/// A table of settings with the place it begins at.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) entries: BTreeMap<String, Setting>,
    pub(super) place: String,
    /// Not only made by the environment.
    pub(super) in_file: bool,
}

pub(super) struct Source {
    name: String,
    sections: BTreeMap<String, Settings>,
    lists: BTreeMap<String, Vec<Settings>>,
    unused: Unused,
    findings: Findings,
}

/// Overrides that mean nothing here, collected while the sections are read.
pub(super) type Unused = Rc<RefCell<Vec<String>>>;
/// Everything that is wrong, collected likewise: who mends one thing wants to know of the next.
pub(super) type Findings = Rc<RefCell<Vec<ConfigError>>>;

const SECTIONS: &[&str] = &["kiosk", "gate", "mqtt", "journal", "local_api", "commands", "log", "peripheral"];

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count() + 1
}

impl Source {
    pub(super) fn parse(name: &str, text: &str, environment: Environment) -> Result<Self, ConfigError> {
        let place = |offset: usize| format!("{name}:{}", line_of(text, offset));
        let syntax = |error: &toml::de::Error| ConfigError::Syntax {
            place: place(error.span().map_or(0, |span| span.start)),
            what: error.message().to_owned(),
        };
        let tree = DeTable::parse(text).map_err(|e| syntax(&e))?.into_inner();
        let mut source = Self {
            name: name.to_owned(),
            sections: BTreeMap::new(),
            lists: BTreeMap::new(),
            unused: Unused::default(),
            findings: Findings::default(),
        };
        for (key, value) in tree {
            let at = place(key.span().start);
            let key = key.into_inner().into_owned();
            match value.into_inner() {
                DeValue::Table(table) => {
                    let settings = source.settings(table, at, &place);
                    source.sections.insert(key, settings);
                }
                DeValue::Array(items) => {
                    let mut list = Vec::new();
                    for item in items {
                        let at = place(item.span().start);
                        match item.into_inner() {
                            DeValue::Table(table) => list.push(source.settings(table, at, &place)),
                            _ => source.note(not_a_section(at, &key)),
                        }
                    }
                    source.lists.insert(key, list);
                }
                _ => source.note(not_a_section(at, &key)),
            }
        }
        source.override_with(environment);
        source.check_names();
        Ok(source)
    }

    fn note(&self, finding: ConfigError) {
        self.findings.borrow_mut().push(finding);
    }

    fn settings(&self, table: DeTable<'_>, at: String, place: &impl Fn(usize) -> String) -> Settings {
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let at = place(key.span().start);
            let key = key.into_inner().into_owned();
            match plain(value.into_inner()) {
                Some(value) => {
                    entries.insert(key, Setting { value, from_environment: false, place: at });
                }
                None => {
                    self.note(ConfigError::Syntax { place: at, what: format!("{key} is no plain value") });
                }
            }
        }
        Settings { entries, place: at, in_file: true }
    }

    /// `KIOSKWATCH__MQTT__URL`, and `KIOSKWATCH__PERIPHERAL__0__PORT` for the first of a list.
    fn override_with(&mut self, environment: Environment) {
        for (variable, value) in environment.0 {
            let path = variable[ENV_PREFIX.len()..].to_ascii_lowercase();
            let setting = Setting {
                value: toml::Value::String(value),
                from_environment: true,
                place: variable.clone(),
            };
            let parts: Vec<&str> = path.split("__").collect();
            match parts[..] {
                [section, key] => {
                    let settings = self.sections.entry(section.to_owned()).or_default();
                    settings.entries.insert(key.to_owned(), setting);
                }
                [list, index, key] => {
                    // A number far away would make empty peripherals up to it; the next free one is enough.
                    let Ok(index) = index.parse::<usize>() else { continue };
                    let items = self.lists.entry(list.to_owned()).or_default();
                    if index >= items.len() {
                        items.push(Settings { entries: BTreeMap::new(), place: variable, in_file: false });
                    }
                    let index = index.min(items.len() - 1);
                    items[index].entries.insert(key.to_owned(), setting);
                }
                _ => {}
            }
        }
    }

    pub(super) fn section(&mut self, name: &str) -> Section {
        let items = self.lists.remove(name).unwrap_or_default();
        if let Some(first) = items.first() {
            let what = format!("{name} stands there once, as [{name}], not as [[{name}]]");
            self.note(ConfigError::Syntax { place: first.place.clone(), what });
        }
        // What it means is plain: the rest is read as if it stood there.
        let settings = self.sections.remove(name).or(items.into_iter().next()).unwrap_or_default();
        Section::new(settings, format!("[{name}]"), &self.name, (&self.unused, &self.findings))
    }

    pub(super) fn tables(&mut self, name: &str) -> Vec<Section> {
        let mut items = self.lists.remove(name).unwrap_or_default();
        if let Some(settings) = self.sections.remove(name) {
            let what = format!("{name} is a list: write [[{name}]], once for each");
            self.note(ConfigError::Syntax { place: settings.place.clone(), what });
            items.push(settings);
        }
        let section =
            |item| Section::new(item, format!("[[{name}]]"), &self.name, (&self.unused, &self.findings));
        items.into_iter().map(section).collect()
    }

    /// A section that no agent has is an error in the file, a remark when it comes from the environment.
    fn check_names(&self) {
        let single = self.sections.iter();
        let lists =
            self.lists.iter().flat_map(|(name, all)| all.iter().map(move |settings| (name, settings)));
        for (name, settings) in single.chain(lists).filter(|(name, _)| !SECTIONS.contains(&name.as_str())) {
            if settings.in_file {
                self.note(ConfigError::Unknown {
                    place: settings.place.clone(),
                    key: format!("[{name}]"),
                    right:
                        "sections are [kiosk], [gate], [mqtt], [journal], [local_api], [commands], [log] and \
                            [[peripheral]]"
                            .into(),
                });
                continue;
            }
            self.unused.borrow_mut().extend(settings.entries.values().map(|s| s.place.clone()));
        }
    }

    /// Everything that was wrong so far, in the order of the file.
    pub(super) fn findings(&self) -> Vec<ConfigError> {
        let mut findings = self.findings.take();
        findings.sort_by_key(ConfigError::line);
        findings
    }

    /// Overrides that nothing has taken.
    pub(super) fn unused(&self) -> Vec<String> {
        self.unused.take()
    }
}

fn not_a_section(place: String, key: &str) -> ConfigError {
    ConfigError::Syntax {
        place,
        what: format!("{key} stands outside a section; write it below [kiosk], [mqtt] or another one"),
    }
}

/// Values as they are used here: no dates, no tables.
fn plain(value: DeValue<'_>) -> Option<toml::Value> {
    Some(match value {
        DeValue::String(text) => toml::Value::String(text.into_owned()),
        DeValue::Integer(number) => {
            toml::Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()?)
        }
        DeValue::Float(number) => toml::Value::Float(number.as_str().parse().ok()?),
        DeValue::Boolean(flag) => toml::Value::Boolean(flag),
        DeValue::Array(items) => toml::Value::Array(
            items.into_iter().map(|item| plain(item.into_inner())).collect::<Option<Vec<_>>>()?,
        ),
        DeValue::Datetime(_) | DeValue::Table(_) => return None,
    })
}
