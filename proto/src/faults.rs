//! The fault vocabulary: one name per defect, whatever the maker calls it.
//!
//! The catalogue is data (`faults.toml`): users add their own codes or change words, parts and first steps.
mod weight;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    limits::MAX_WORD_LEN,
    words::{Severity, closed_vocabulary, is_word},
};

pub use weight::Weight;

/// A normalised fault name: lower-case words joined by `_`, optionally `(sub)` as in `note_jam(stacker)`.
/// Any well-formed code is accepted; the catalogue says what the known ones mean.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FaultCode(std::sync::Arc<str>);

impl FaultCode {
    pub fn new(text: &str) -> Option<Self> {
        let (base, sub) = match text.split_once('(') {
            Some((base, rest)) => (base, Some(rest.strip_suffix(')')?)),
            None => (text, None),
        };
        let sub_ok = sub.is_none_or(|s| {
            !s.is_empty() && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        });
        (is_word(base) && sub_ok && text.len() <= MAX_WORD_LEN).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its sub-code: what the catalogue knows.
    pub fn base(&self) -> &str {
        self.0.split_once('(').map_or(&*self.0, |(base, _)| base)
    }

    pub fn sub(&self) -> Option<&str> {
        self.0.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'))
    }
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for FaultCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FaultCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&text).ok_or_else(|| {
            de::Error::custom(format!("{text:?} is no fault code like paper_out or note_jam(stacker)"))
        })
    }
}

closed_vocabulary!(
    /// Who can mend it without a special tool.
    WhoCanFix { Attendant = "attendant", Engineer = "engineer" }
);

closed_vocabulary!(
    /// What kind of work a fault asks for; decides which clocks run on its ticket.
    FaultClass {
        /// 营业员处理类: the person on site mends it, guided by phone if need be.
        Operator = "operator",
        /// 维护类: an engineer mends it on site.
        Maintenance = "maintenance",
        /// 更换类: a unit is exchanged.
        Replacement = "replacement",
    }
);

/// What a fault code means and what people do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultEntry {
    pub code: FaultCode,
    pub zh: String,
    pub en: String,
    pub meaning_zh: String,
    pub meaning_en: String,
    pub who: WhoCanFix,
    pub class: FaultClass,
    pub severity: Severity,
    /// Whether the fault alone takes a required peripheral out of work.
    pub stops_peripheral: bool,
    /// Parts an engineer is likely to need, most likely first: keys of [`PartEntry`].
    #[serde(default)]
    pub parts: Vec<String>,
    #[serde(default)]
    pub first_steps_zh: Vec<String>,
    #[serde(default)]
    pub first_steps_en: Vec<String>,
}

/// What people call a part that is carried to a repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartEntry {
    /// The same key in every language, for stock lists.
    pub key: String,
    pub zh: String,
    pub en: String,
}

/// All fault codes that have a meaning here, and the parts they name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    entries: BTreeMap<String, FaultEntry>,
    parts: BTreeMap<String, PartEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogueFile {
    schema: String,
    #[serde(default)]
    fault: Vec<FaultEntry>,
    #[serde(default)]
    part: Vec<PartEntry>,
}

const SCHEMA: &str = "kioskwatch-faults-1";
const BUILT_IN: &str = include_str!("../faults.toml");

/// What is wrong with a catalogue file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    #[error("reading the fault catalogue: {0}")]
    Syntax(String),
    #[error("reading the fault catalogue: schema is {0:?}, expected {SCHEMA:?}")]
    Schema(String),
    #[error("reading the fault catalogue: fault {0} stands there twice")]
    Twice(String),
    #[error("reading the fault catalogue: part {0} stands there twice")]
    PartTwice(String),
    #[error("reading the fault catalogue: {0} carries a sub-code; an entry describes the code without it")]
    SubCode(String),
}

impl Catalogue {
    /// The catalogue that ships with the product.
    pub fn built_in() -> Self {
        Self::from_toml(BUILT_IN).expect("the shipped catalogue is parsed by a test")
    }

    pub fn from_toml(text: &str) -> Result<Self, CatalogueError> {
        let file: CatalogueFile = toml::from_str(text).map_err(|e| CatalogueError::Syntax(e.to_string()))?;
        if file.schema != SCHEMA {
            return Err(CatalogueError::Schema(file.schema));
        }
        let mut entries = BTreeMap::new();
        for entry in file.fault {
            if entry.code.sub().is_some() {
                return Err(CatalogueError::SubCode(entry.code.to_string()));
            }
            let code = entry.code.to_string();
            if entries.insert(code.clone(), entry).is_some() {
                return Err(CatalogueError::Twice(code));
            }
        }
        let mut parts = BTreeMap::new();
        for part in file.part {
            let key = part.key.clone();
            if parts.insert(key.clone(), part).is_some() {
                return Err(CatalogueError::PartTwice(key));
            }
        }
        Ok(Self { entries, parts })
    }

    /// This catalogue with the entries of another in place of or beside its own.
    #[must_use]
    pub fn extended_by(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self.parts.extend(other.parts);
        self
    }

    /// By the code without its sub-code.
    pub fn get(&self, code: &FaultCode) -> Option<&FaultEntry> {
        self.entries.get(code.base())
    }

    /// Default severity; unknown codes are `minor`, never harmless.
    pub fn severity(&self, code: &FaultCode) -> Severity {
        self.get(code).map_or(Severity::Minor, |e| e.severity)
    }

    /// A part by its key; a site's own stock numbers need no entry and are shown as they are.
    pub fn part(&self, key: &str) -> Option<&PartEntry> {
        self.parts.get(key)
    }

    pub fn entries(&self) -> impl Iterator<Item = &FaultEntry> {
        self.entries.values()
    }
}

/// Fault codes that our own programs raise by name.
pub mod codes {
    macro_rules! codes {
        ($($name:ident = $text:literal),+ $(,)?) => {
            $(pub const $name: &str = $text;)+
            /// Every code named here; the catalogue has an entry for each.
            pub const ALL: &[&str] = &[$($text),+];
        };
    }
    codes! {
        PAPER_LOW = "paper_low", PAPER_OUT = "paper_out", PAPER_JAM = "paper_jam",
        TICKET_NOT_TAKEN = "ticket_not_taken", COVER_OPEN = "cover_open", CUTTER_ERROR = "cutter_error",
        HEAD_OVERHEAT = "head_overheat", VOLTAGE_ERROR = "voltage_error", PRINTER_OFFLINE = "printer_offline",
        PRINTER_ERROR_RECOVERABLE = "printer_error_recoverable",
        PRINTER_ERROR_UNRECOVERABLE = "printer_error_unrecoverable",
        STACKER_FULL = "stacker_full", STACKER_REMOVED = "stacker_removed", NOTE_JAM = "note_jam",
        FRAUD_ATTEMPT = "fraud_attempt", ACCEPTOR_DISABLED = "acceptor_disabled",
        ACCEPTOR_FAILURE = "acceptor_failure",
        COIN_JAM = "coin_jam", HOPPER_EMPTY = "hopper_empty", SENSOR_FAULT = "sensor_fault",
        CARD_JAM = "card_jam", CARD_STOCK_LOW = "card_stock_low", CARD_STOCK_EMPTY = "card_stock_empty",
        CARD_BIN_FULL = "card_bin_full", CARD_LEFT_IN_READER = "card_left_in_reader",
        CARD_UNIT_FAILURE = "card_unit_failure",
        ON_BATTERY = "on_battery", BATTERY_LOW = "battery_low", UPS_FAULT = "ups_fault",
        UPS_BYPASS = "ups_bypass", UPS_OVERLOAD = "ups_overload", UPS_TEST_RUNNING = "ups_test_running",
        UPS_SHUTDOWN_ACTIVE = "ups_shutdown_active",
        COMM_TIMEOUT = "comm_timeout", COMM_GARBLED = "comm_garbled", PORT_MISSING = "port_missing",
        DEVICE_RESTARTED = "device_restarted", UNKNOWN_CODE = "unknown_code",
        APPLICATION_DOWN = "application_down", DISK_FULL = "disk_full", TEMPERATURE_HIGH = "temperature_high",
        CLOCK_WRONG = "clock_wrong", JOURNAL_CORRUPT = "journal_corrupt",
        KIOSK_OFFLINE = "kiosk_offline", SITE_OFFLINE = "site_offline", JOURNAL_FORK = "journal_fork",
        ACCEPTOR_NOT_OURS = "acceptor_not_ours",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_catalogue_knows_every_code_we_name() {
        let catalogue = Catalogue::built_in();
        for code in codes::ALL {
            let entry = catalogue.get(&FaultCode::new(code).unwrap()).unwrap_or_else(|| panic!("{code}"));
            for text in [&entry.zh, &entry.en, &entry.meaning_zh, &entry.meaning_en] {
                assert!(!text.trim().is_empty(), "{code}");
            }
            assert!((2..=4).contains(&entry.first_steps_zh.len()), "{code}");
            assert_eq!(
                entry.first_steps_zh.len(),
                entry.first_steps_en.len(),
                "{code}: one step, two languages"
            );
        }
        assert_eq!(catalogue.entries().count(), codes::ALL.len(), "an entry whose code nobody raises");
    }

    #[test]
    fn every_part_that_a_fault_names_has_words_and_none_is_left_over() {
        let catalogue = Catalogue::built_in();
        let named: std::collections::BTreeSet<&str> =
            catalogue.entries().flat_map(|e| &e.parts).map(String::as_str).collect();
        let known: std::collections::BTreeSet<&str> = catalogue.parts.keys().map(String::as_str).collect();
        assert_eq!(named, known);
    }

    #[test]
    fn a_site_replaces_and_adds_entries() {
        let own = r#"
            schema = "kioskwatch-faults-1"
            [[fault]]
            code = "paper_low"
            zh = "票纸将尽"
            en = "Ticket paper low"
            meaning_zh = "票纸将尽"
            meaning_en = "Ticket paper low"
            who = "attendant"
            class = "operator"
            severity = "minor"
            stops_peripheral = false
            parts = ["80mm-roll"]
            [[fault]]
            code = "lamp_out"
            zh = "灯箱不亮"
            en = "Lamp out"
            meaning_zh = "灯箱不亮"
            meaning_en = "The lamp is out"
            who = "attendant"
            class = "operator"
            severity = "info"
            stops_peripheral = false
        "#;
        let catalogue = Catalogue::built_in().extended_by(Catalogue::from_toml(own).unwrap());
        assert_eq!(catalogue.severity(&FaultCode::new("paper_low").unwrap()), Severity::Minor);
        assert_eq!(catalogue.severity(&FaultCode::new("lamp_out").unwrap()), Severity::Info);
        assert_eq!(catalogue.severity(&FaultCode::new("never_heard_of").unwrap()), Severity::Minor);
        assert_eq!(catalogue.get(&FaultCode::new("paper_out").unwrap()).unwrap().zh, "缺纸");
        assert_eq!(catalogue.part("cutter").unwrap().zh, "切刀组件");
    }

    #[test]
    fn a_careless_catalogue_is_refused_with_the_reason() {
        let entry = |code: &str| {
            format!(
                "[[fault]]\ncode = {code:?}\nzh = \"\"\nen = \"\"\nmeaning_zh = \"\"\nmeaning_en = \"\"\n\
                 who = \"engineer\"\nclass = \"operator\"\nseverity = \"minor\"\nstops_peripheral = true\n"
            )
        };
        let schema = "schema = \"kioskwatch-faults-1\"\n";
        let error = |text: String| Catalogue::from_toml(&text).unwrap_err();
        let twice = error([schema, &entry("a"), &entry("a")].concat());
        assert_eq!(twice, CatalogueError::Twice("a".into()));
        let sub = error([schema, &entry("a(b)")].concat());
        assert_eq!(sub, CatalogueError::SubCode("a(b)".into()));
        assert!(matches!(error("schema = \"other\"".into()), CatalogueError::Schema(_)));
        assert!(matches!(error(format!("{schema}colour = 1")), CatalogueError::Syntax(_)));
    }

    #[test]
    fn default_severities_follow_the_contract() {
        let catalogue = Catalogue::built_in();
        let info =
            ["paper_low", "card_stock_low", "ticket_not_taken", "ups_test_running", "device_restarted"];
        let major = [
            "fraud_attempt",
            "ups_fault",
            "battery_low",
            "application_down",
            "kiosk_offline",
            "site_offline",
            "journal_fork",
            "acceptor_not_ours",
        ];
        for entry in catalogue.entries() {
            let code = entry.code.as_str();
            let expected = match code {
                _ if info.contains(&code) => Severity::Info,
                _ if major.contains(&code) => Severity::Major,
                _ => Severity::Minor,
            };
            assert_eq!(entry.severity, expected, "{code}");
        }
    }

    #[test]
    fn fault_codes_have_a_shape() {
        for good in ["paper_out", "note_jam(stacker)", "unknown_code(3f)"] {
            assert_eq!(FaultCode::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "Paper", "a b", "note_jam(", "note_jam()", "note_jam(x", "a(b)c", "a(b(c))"] {
            assert!(FaultCode::new(bad).is_none(), "{bad}");
        }
        assert_eq!(FaultCode::new("note_jam(stacker)").unwrap().base(), "note_jam");
    }
}
