//! The Prometheus text format, for series that are written straight from state.
use std::fmt::{Display, Write as _};

use tokio::sync::mpsc;

/// A page of many sites is tens of megabytes: whoever reads it gets it in pieces of this size.
pub(super) const PIECE: usize = 64 * 1_024;
/// What a line takes at most, as a rule; a longer one makes its piece longer.
const LINE: usize = 1_024;

/// A page in the making.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    /// `None`: it is kept whole.
    reader: Option<mpsc::Sender<String>>,
}

impl Page {
    /// Handed out in pieces as they are taken.
    pub(super) fn read_by(reader: mpsc::Sender<String>) -> Self {
        Self { text: String::with_capacity(PIECE), reader: Some(reader) }
    }

    /// Between samples: waits until the reader has room, when there is enough for a piece.
    pub(super) async fn rest(&mut self) {
        if self.text.len() > PIECE - LINE {
            self.hand_out().await;
        }
    }

    async fn hand_out(&mut self) {
        if let Some(reader) = self.reader.as_ref().filter(|_| !self.text.is_empty()) {
            // Whoever went away drops this page too.
            let piece = std::mem::replace(&mut self.text, String::with_capacity(PIECE));
            let _gone = reader.send(piece).await;
        }
    }

    /// What is left of it; all of one that is kept whole.
    pub(super) async fn end(mut self) -> String {
        self.hand_out().await;
        self.text
    }

    pub(super) fn push_str(&mut self, text: &str) {
        self.text.push_str(text);
    }
}

/// Appends one family; samples follow through [`Family::sample`].
pub(super) struct Family<'a> {
    page: &'a mut Page,
    name: &'static str,
}

impl<'a> Family<'a> {
    pub(super) fn gauge(page: &'a mut Page, name: &'static str, help: &str) -> Self {
        // Writing to a String cannot fail.
        let _ = write!(page.text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
        Self { page, name }
    }

    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let text = &mut self.page.text;
        text.push_str(self.name);
        if !labels.is_empty() {
            text.push('{');
            for (index, (label, value)) in labels.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(label);
                text.push_str("=\"");
                escape_into(text, value);
                text.push('"');
            }
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }

    /// One of very many: see [`Page::rest`].
    pub(super) async fn next(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.sample(labels, value);
        self.page.rest().await;
    }
}

fn escape_into(page: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => page.push_str("\\\\"),
            '"' => page.push_str("\\\""),
            '\n' => page.push_str("\\n"),
            c => page.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        let mut page = Page::default();
        Family::gauge(&mut page, "x", "An x.").sample(&[("a", "q\"b\\s\nn"), ("b", "中")], 3);
        assert_eq!(page.text, "# HELP x An x.\n# TYPE x gauge\nx{a=\"q\\\"b\\\\s\\nn\",b=\"中\"} 3\n");
    }
}
