//! Worked examples as files: the same code that runs the service, checked against tables of cases.
//!
//! A case file is one JSON object with a header and `cases`. Each case is computed from its inputs and
//! yields one object: its `id` and the fields a reader would expect, computed. What a file expects is
//! never read. The formats are described beside the files in `tests/cases/README.md`.

mod inspection;
mod output;
mod sla;
mod time;
mod uptime;

use serde_json::{Map, Value};

use crate::json::Node;
pub use crate::json::ReadError as CaseError;

/// Which table a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseKind {
    Uptime,
    Sla,
    Inspection,
}

impl CaseKind {
    pub const ALL: [Self; 3] = [Self::Uptime, Self::Sla, Self::Inspection];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uptime => "uptime",
            Self::Sla => "sla",
            Self::Inspection => "inspection",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// The fields of one computed case.
type Fields = Map<String, Value>;

/// Computes one case with the header of its file.
type Evaluator = Box<dyn Fn(&Node<'_>) -> Result<Fields, CaseError>>;

/// Computes all cases of a file, in its order.
///
/// # Errors
/// The file cannot be read, or the first case that cannot, with its id and the key.
pub fn evaluate(kind: CaseKind, text: &str) -> Result<Vec<Value>, CaseError> {
    evaluate_each(kind, text)?.into_iter().collect()
}

/// Computes all cases of a file, in its order, so that one bad case does not hide the others.
///
/// # Errors
/// The file or its header cannot be read.
pub fn evaluate_each(kind: CaseKind, text: &str) -> Result<Vec<Result<Value, CaseError>>, CaseError> {
    let file: Value = serde_json::from_str(text)
        .map_err(|error| CaseError::new("file", "it", format!("not JSON: {error}")))?;
    let header = Node::root("header", &file);
    let run: Evaluator = match kind {
        CaseKind::Uptime => {
            let header = uptime::Header::read(&header)?;
            Box::new(move |case| header.evaluate(case))
        }
        CaseKind::Sla => {
            let header = sla::Header::read(&header)?;
            Box::new(move |case| header.evaluate(case))
        }
        CaseKind::Inspection => {
            let header = inspection::Header::read(&header)?;
            Box::new(move |case| header.evaluate(case))
        }
    };
    let cases = header.need("cases")?.items()?;
    Ok(cases.iter().map(|case| one(case, &run)).collect())
}

fn one(entry: &Node<'_>, run: impl Fn(&Node<'_>) -> Result<Fields, CaseError>) -> Result<Value, CaseError> {
    let id = entry.need("id")?.text()?;
    let fields = run(&entry.as_root(id))?;
    let mut out = Map::new();
    out.insert("id".to_owned(), Value::from(id));
    out.extend(fields);
    Ok(Value::Object(out))
}

#[cfg(test)]
mod tests;
