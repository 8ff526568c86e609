//! Free text from devices and people, made safe to store and to show.
use crate::limits::{MAX_REASON_CHARS, MAX_TEXT_CHARS};

/// The text without control and direction-changing characters, cut to [`MAX_TEXT_CHARS`].
///
/// A device's answer reaches logs, tables and printed reports: an escape sequence or a line break in it
/// must not become part of them. Tabs and line breaks become a space, so that words stay apart.
pub fn clean_text(text: &str) -> String {
    clean_to(text, MAX_TEXT_CHARS)
}

/// Why something was refused, cut to [`MAX_REASON_CHARS`]: a parser's words quote what came in, at any length.
pub(crate) fn reason(error: impl std::fmt::Display) -> String {
    clean_to(&error.to_string(), MAX_REASON_CHARS)
}

fn clean_to(text: &str, max_chars: usize) -> String {
    let mut cleaned: String = text.chars().filter_map(clean_char).take(max_chars).collect();
    cleaned.truncate(cleaned.trim_end().len());
    cleaned
}

/// [`clean_text`] in place.
pub(crate) fn clean(text: &mut String) {
    let dirty = text.len() > MAX_TEXT_CHARS
        || text.ends_with(char::is_whitespace)
        || text.chars().any(|c| clean_char(c) != Some(c));
    if dirty {
        *text = clean_text(text);
    }
}

pub(crate) fn clean_option(text: &mut Option<String>) {
    if let Some(text) = text {
        clean(text);
    }
}

fn clean_char(c: char) -> Option<char> {
    match c {
        '\t' | '\n' | '\r' | '\u{2028}' | '\u{2029}' => Some(' '),
        // Embeddings, overrides and isolates turn the reading direction of what stands around them.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => None,
        c if c.is_control() => None,
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_says_cannot_command_a_terminal() {
        assert_eq!(clean_text("jam\r\n\u{1b}[2Jat\0 gate\u{202e} 2\u{9b} "), "jam  [2Jat gate 2");
        assert_eq!(clean_text("卡钞"), "卡钞");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let long = "钞".repeat(MAX_TEXT_CHARS + 1);
        assert_eq!(clean_text(&long).chars().count(), MAX_TEXT_CHARS);
        let mut text = long;
        clean(&mut text);
        assert_eq!(text.chars().count(), MAX_TEXT_CHARS);
    }
}
