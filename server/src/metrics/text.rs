//! The Prometheus text format, for series that are written straight from state.
use std::fmt::{Display, Write as _};

/// Appends one family; samples follow through [`Family::sample`].
pub(super) struct Family<'a> {
    page: &'a mut String,
    name: &'static str,
}

impl<'a> Family<'a> {
    pub(super) fn gauge(page: &'a mut String, name: &'static str, help: &str) -> Self {
        // Writing to a String cannot fail.
        let _ = write!(page, "# HELP {name} {help}\n# TYPE {name} gauge\n");
        Self { page, name }
    }

    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.page.push_str(self.name);
        if !labels.is_empty() {
            self.page.push('{');
            for (index, (label, text)) in labels.iter().enumerate() {
                if index > 0 {
                    self.page.push(',');
                }
                self.page.push_str(label);
                self.page.push_str("=\"");
                escape_into(self.page, text);
                self.page.push('"');
            }
            self.page.push('}');
        }
        let _ = writeln!(self.page, " {value}");
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
        let mut page = String::new();
        Family::gauge(&mut page, "x", "An x.").sample(&[("a", "q\"b\\s\nn"), ("b", "中")], 3);
        assert_eq!(page, "# HELP x An x.\n# TYPE x gauge\nx{a=\"q\\\"b\\\\s\\nn\",b=\"中\"} 3\n");
    }
}
