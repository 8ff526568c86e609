//! Making a [`FoundFault`] from a name of the vocabulary.
use std::fmt::Write as _;

use kioskwatch_proto::faults::{FaultCode, codes};

use super::FoundFault;

/// A fault by a name of the vocabulary, with the bytes that say so.
pub(super) fn found(code: &str, raw: &[u8], text: &str) -> FoundFault {
    FoundFault {
        code: FaultCode::new(code).expect("drivers write their codes out, and a test raises each"),
        raw: raw.to_vec(),
        text: Some(text.to_owned()),
    }
}

/// A fault with a sub-code of the maker, as lower-case hexadecimal.
pub(super) fn found_sub(code: &str, sub: &[u8], raw: &[u8], text: &str) -> FoundFault {
    found(&format!("{code}({})", hex_text(sub)), raw, text)
}

/// What the maker said and no public table explains: kept as it came, never taken for health.
pub(super) fn unknown(bytes: &[u8], text: &str) -> FoundFault {
    found_sub(codes::UNKNOWN_CODE, &bytes[..bytes.len().min(MAX_UNKNOWN)], bytes, text)
}

/// Bytes of an unknown code that go into its name; the whole of it stands in `raw`.
const MAX_UNKNOWN: usize = 8;

/// A sub-code may not be empty, whatever a device leaves out.
fn hex_text(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "none".to_owned();
    }
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
