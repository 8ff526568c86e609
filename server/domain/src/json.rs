//! A place in a JSON text that people write: a value that knows how to name itself in an error.
//!
//! Opening hours and case files are typed by hand. "expected a string at line 41" does not help; the name
//! of the thing, the path of the key and what was found do.

use chrono::NaiveDate;
use serde_json::Value;

/// A text, or a part of it, that cannot be read or computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {key}: {problem}")]
pub struct ReadError {
    /// What was read: the id of a case, `header`, `file`, `service_hours`.
    pub place: String,
    /// The key as a path inside it, such as `evidence[2].from`; `it` for the whole.
    pub key: String,
    pub problem: String,
}

impl ReadError {
    pub(crate) fn new(place: &str, key: &str, problem: impl Into<String>) -> Self {
        Self { place: place.to_owned(), key: key.to_owned(), problem: problem.into() }
    }
}

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    place: &'a str,
    path: String,
    value: &'a Value,
}

impl<'a> Node<'a> {
    /// The root of a text.
    pub(crate) fn root(place: &'a str, value: &'a Value) -> Self {
        Self { place, path: String::new(), value }
    }

    /// The same value as a root of its own.
    pub(crate) fn as_root(&self, place: &'a str) -> Self {
        Self::root(place, self.value)
    }

    pub(crate) fn error(&self, problem: impl Into<String>) -> ReadError {
        let key = if self.path.is_empty() { "it" } else { self.path.as_str() };
        ReadError::new(self.place, key, problem)
    }

    fn child(&self, key: &str, value: &'a Value) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { place: self.place, path, value }
    }

    fn expected(&self, what: &str) -> ReadError {
        let mut found = self.value.to_string();
        if found.chars().count() > 60 {
            found = found.chars().take(60).chain(['…']).collect();
        }
        self.error(format!("expected {what}, found {found}"))
    }

    /// A member, when it is there.
    pub(crate) fn get(&self, key: &str) -> Option<Self> {
        self.value.get(key).map(|value| self.child(key, value))
    }

    /// A member that has to be there.
    pub(crate) fn need(&self, key: &str) -> Result<Self, ReadError> {
        if !self.value.is_object() {
            return Err(self.expected("an object"));
        }
        self.get(key).ok_or_else(|| self.child(key, self.value).error("is missing"))
    }

    pub(crate) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    pub(crate) fn items(&self) -> Result<Vec<Self>, ReadError> {
        let items = self.value.as_array().ok_or_else(|| self.expected("an array"))?;
        let place = |(i, value)| Self { place: self.place, path: format!("{}[{i}]", self.path), value };
        Ok(items.iter().enumerate().map(place).collect())
    }

    /// The items of an array that may be absent.
    pub(crate) fn list(&self, key: &str) -> Result<Vec<Self>, ReadError> {
        self.get(key).map_or(Ok(Vec::new()), |list| list.items())
    }

    /// Exactly two items.
    pub(crate) fn pair(&self) -> Result<(Self, Self), ReadError> {
        match <[Self; 2]>::try_from(self.items()?) {
            Ok([a, b]) => Ok((a, b)),
            Err(_) => Err(self.expected("an array of two")),
        }
    }

    /// The members of an object.
    pub(crate) fn entries(&self) -> Result<Vec<(&'a str, Self)>, ReadError> {
        let object = self.value.as_object().ok_or_else(|| self.expected("an object"))?;
        Ok(object.iter().map(|(key, value)| (key.as_str(), self.child(key, value))).collect())
    }

    pub(crate) fn text(&self) -> Result<&'a str, ReadError> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }

    pub(crate) fn int(&self) -> Result<i64, ReadError> {
        self.value.as_i64().ok_or_else(|| self.expected("a whole number"))
    }

    /// A whole number that fits a count: not negative, and not absurd.
    pub(crate) fn count(&self) -> Result<u32, ReadError> {
        u32::try_from(self.int()?).map_err(|_| self.expected("a number of zero or more"))
    }

    pub(crate) fn flag(&self) -> Result<bool, ReadError> {
        self.value.as_bool().ok_or_else(|| self.expected("true or false"))
    }

    /// A member read by `read`, or nothing when it is absent or null.
    pub(crate) fn maybe<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Self) -> Result<T, ReadError>,
    ) -> Result<Option<T>, ReadError> {
        self.get(key).filter(|node| !node.is_null()).map(|node| read(&node)).transpose()
    }

    /// A member read by `read`, or a default when it is absent.
    pub(crate) fn or<T>(
        &self,
        key: &str,
        default: T,
        read: impl FnOnce(&Self) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        self.get(key).map_or(Ok(default), |node| read(&node))
    }

    pub(crate) fn date(&self) -> Result<NaiveDate, ReadError> {
        let text = self.text()?;
        parse_date(text).ok_or_else(|| self.error(format!("\"{text}\" is no date such as \"2026-03-16\"")))
    }

    /// A list of dates that may be absent.
    pub(crate) fn dates(&self, key: &str) -> Result<Vec<NaiveDate>, ReadError> {
        self.list(key)?.iter().map(Self::date).collect()
    }

    /// A time of day as seconds after midnight, up to `24:00`.
    pub(crate) fn time_of_day(&self) -> Result<u32, ReadError> {
        let text = self.text()?;
        parse_time_of_day(text)
            .ok_or_else(|| self.error(format!("\"{text}\" is no time of day from \"00:00\" to \"24:00\"")))
    }
}

fn parse_date(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

fn parse_time_of_day(text: &str) -> Option<u32> {
    let mut parts = text.split(':');
    let mut next = |most: u32| parts.next()?.parse::<u32>().ok().filter(|part| *part <= most);
    let (hours, minutes) = (next(24)?, next(59)?);
    let seconds = match parts.next() {
        None => 0,
        Some(seconds) => seconds.parse::<u32>().ok().filter(|part| *part <= 59)?,
    };
    let total = hours * 3_600 + minutes * 60 + seconds;
    (parts.next().is_none() && total <= 86_400).then_some(total)
}
