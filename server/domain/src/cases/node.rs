//! A place in a case file: a JSON value that knows how to name itself in an error.

use serde_json::Value;

/// A case, or a file, that cannot be read or computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("case {case}: {key}: {problem}")]
pub struct CaseError {
    /// The id of the case, or `file` and `header` outside of one.
    pub case: String,
    /// The key as a path inside the case, such as `evidence[2].from`.
    pub key: String,
    pub problem: String,
}

impl CaseError {
    pub(super) fn new(case: &str, key: &str, problem: impl Into<String>) -> Self {
        Self { case: case.to_owned(), key: key.to_owned(), problem: problem.into() }
    }
}

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    case: &'a str,
    path: String,
    value: &'a Value,
}

impl<'a> Node<'a> {
    pub(super) fn header(value: &'a Value) -> Self {
        Self { case: "header", path: String::new(), value }
    }

    /// The same value as the root of a case.
    pub(super) fn as_case(&self, id: &'a str) -> Self {
        Self { case: id, path: String::new(), value: self.value }
    }

    pub(super) fn error(&self, problem: impl Into<String>) -> CaseError {
        let place = if self.path.is_empty() { "it" } else { self.path.as_str() };
        CaseError::new(self.case, place, problem)
    }

    fn child(&self, key: &str, value: &'a Value) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { case: self.case, path, value }
    }

    fn expected(&self, what: &str) -> CaseError {
        let mut found = self.value.to_string();
        if found.chars().count() > 60 {
            found = found.chars().take(60).chain(['…']).collect();
        }
        self.error(format!("expected {what}, found {found}"))
    }

    /// A member, when it is there.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        self.value.get(key).map(|value| self.child(key, value))
    }

    /// A member that has to be there.
    pub(super) fn need(&self, key: &str) -> Result<Self, CaseError> {
        if !self.value.is_object() {
            return Err(self.expected("an object"));
        }
        self.get(key).ok_or_else(|| self.child(key, self.value).error("is missing"))
    }

    pub(super) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    pub(super) fn items(&self) -> Result<Vec<Self>, CaseError> {
        let items = self.value.as_array().ok_or_else(|| self.expected("an array"))?;
        let place = |(i, value)| Self { case: self.case, path: format!("{}[{i}]", self.path), value };
        Ok(items.iter().enumerate().map(place).collect())
    }

    /// The items of an array that may be absent.
    pub(super) fn list(&self, key: &str) -> Result<Vec<Self>, CaseError> {
        self.get(key).map_or(Ok(Vec::new()), |list| list.items())
    }

    /// Exactly two items.
    pub(super) fn pair(&self) -> Result<(Self, Self), CaseError> {
        match <[Self; 2]>::try_from(self.items()?) {
            Ok([a, b]) => Ok((a, b)),
            Err(_) => Err(self.expected("an array of two")),
        }
    }

    /// The members of an object.
    pub(super) fn entries(&self) -> Result<Vec<(&'a str, Self)>, CaseError> {
        let object = self.value.as_object().ok_or_else(|| self.expected("an object"))?;
        Ok(object.iter().map(|(key, value)| (key.as_str(), self.child(key, value))).collect())
    }

    pub(super) fn text(&self) -> Result<&'a str, CaseError> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }

    pub(super) fn int(&self) -> Result<i64, CaseError> {
        self.value.as_i64().ok_or_else(|| self.expected("a whole number"))
    }

    /// A whole number that fits a count: not negative, and not absurd.
    pub(super) fn count(&self) -> Result<u32, CaseError> {
        u32::try_from(self.int()?).map_err(|_| self.expected("a number of zero or more"))
    }

    pub(super) fn flag(&self) -> Result<bool, CaseError> {
        self.value.as_bool().ok_or_else(|| self.expected("true or false"))
    }

    /// A member read by `read`, or nothing when it is absent or null.
    pub(super) fn maybe<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Self) -> Result<T, CaseError>,
    ) -> Result<Option<T>, CaseError> {
        self.get(key).filter(|node| !node.is_null()).map(|node| read(&node)).transpose()
    }

    /// A member read by `read`, or a default when it is absent.
    pub(super) fn or<T>(
        &self,
        key: &str,
        default: T,
        read: impl FnOnce(&Self) -> Result<T, CaseError>,
    ) -> Result<T, CaseError> {
        self.get(key).map_or(Ok(default), |node| read(&node))
    }
}
