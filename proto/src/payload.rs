//! The one door through which payloads become values: size, shape, types, then what types cannot say.
use serde::Deserialize;
use serde_json::error::Category;

use crate::{
    limits::{MAX_NUMBER, MAX_PAYLOAD_BYTES},
    text::reason,
};

/// Why a payload is dropped. [`PayloadError::reason`] is the word for a counter, `Display` the one for a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    #[error("{bytes} bytes are more than the {MAX_PAYLOAD_BYTES} a payload may have")]
    TooLarge { bytes: usize },
    /// No UTF-8, no JSON, or nested deeper than serde_json follows.
    #[error("not JSON: {0}")]
    NotJson(String),
    #[error("not a JSON object")]
    NotObject,
    #[error("{0}")]
    BadField(String),
}

impl PayloadError {
    /// Every word [`PayloadError::reason`] can give: the values of a metric label.
    pub const REASONS: &'static [&'static str] = &["too_large", "not_json", "not_object", "bad_field"];

    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::NotJson(_) => "not_json",
            Self::NotObject => "not_object",
            Self::BadField(_) => "bad_field",
        }
    }

    pub(crate) fn field(field: &str, why: impl std::fmt::Display) -> Self {
        Self::BadField(reason(format_args!("{field}: {why}")))
    }
}

/// A message body that may be read with [`parse_payload`].
pub trait Payload<'a>: Deserialize<'a> {
    /// Checks what the types alone do not hold, and cleans free texts in place.
    fn settle(&mut self) -> Result<(), PayloadError> {
        Ok(())
    }
}

/// Reads one message body.
///
/// Unknown fields of an MQTT payload are skipped without recursion, and what is kept is limited to the
/// 128 levels that serde_json follows: a hostile payload costs neither stack nor more memory than its size.
pub fn parse_payload<'a, T: Payload<'a>>(bytes: &'a [u8]) -> Result<T, PayloadError> {
    if bytes.len() > MAX_PAYLOAD_BYTES {
        return Err(PayloadError::TooLarge { bytes: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|e| PayloadError::NotJson(reason(e)))?;
    // serde reads a struct from an array too, field by field; the contract says object.
    if !is_object(text) {
        return Err(match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => PayloadError::NotObject,
            Err(error) => PayloadError::NotJson(reason(error)),
        });
    }
    let mut value: T = serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Data => PayloadError::BadField(reason(error)),
        Category::Syntax | Category::Eof | Category::Io => PayloadError::NotJson(reason(error)),
    })?;
    value.settle()?;
    Ok(value)
}

/// Whether a JSON text can only be an object.
pub(crate) fn is_object(json: &str) -> bool {
    json.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{')
}

/// Numbers end where every JSON reader and every database column still holds them exactly.
pub(crate) fn check_number(field: &str, number: u64) -> Result<(), PayloadError> {
    if number > MAX_NUMBER {
        return Err(PayloadError::field(field, format_args!("{number} is above {MAX_NUMBER}")));
    }
    Ok(())
}

pub(crate) fn check_count(field: &str, count: usize, max: usize) -> Result<(), PayloadError> {
    if count > max {
        return Err(PayloadError::field(field, format_args!("{count} are more than {max}")));
    }
    Ok(())
}

pub(crate) fn check_range(
    field: &str,
    value: u32,
    range: &std::ops::RangeInclusive<u32>,
) -> Result<(), PayloadError> {
    if !range.contains(&value) {
        let (low, high) = (range.start(), range.end());
        return Err(PayloadError::field(field, format_args!("{value} is not within {low} to {high}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::Presence;

    #[test]
    fn what_does_not_parse_has_a_reason_to_count() {
        let table: [(&[u8], &str); 10] = [
            (b"", "not_json"),
            (b"online", "not_json"),
            (b"{\"state\":\"online\"", "not_json"),
            (b"\xff\xfe{}", "not_json"),
            (b"[]", "not_object"),
            (b"7", "not_object"),
            (b"null", "not_object"),
            (b" {}", "bad_field"),
            (b"{\"state\":\"asleep\"}", "bad_field"),
            (&[b' '; MAX_PAYLOAD_BYTES + 1], "too_large"),
        ];
        for (bytes, reason) in table {
            let error = parse_payload::<Presence>(bytes).unwrap_err();
            assert_eq!(error.reason(), reason, "{error}");
            assert!(PayloadError::REASONS.contains(&reason));
        }
    }

    #[test]
    fn deep_nesting_ends_in_a_refusal_and_not_in_a_full_stack() {
        // A batch of raw records, a command's result, and a field nobody knows.
        for field in ["records", "result", "unknown"] {
            let deep = format!("{{\"{field}\":{}", "[".repeat(MAX_PAYLOAD_BYTES - 20));
            assert!(parse_payload::<Presence>(deep.as_bytes()).is_err());
            assert!(parse_payload::<crate::journal::Batch<'_>>(deep.as_bytes()).is_err());
        }
    }
}
