//! Lines of text ended by CR, and what stands in them.
//!
//! | line                                                   | characters | answers |
//! |--------------------------------------------------------|------------|---------|
//! | `(MMM.M NNN.N PPP.P QQQ RR.R SS.S TT.T b7b6b5b4b3b2b1b0` | 46         | `Q1`    |
//! | `#MMM.M QQQ SS.SS RR.R`                                | 21         | `F`     |
//! | `#`, 15 columns, space, 10 columns, space, 10 columns  | 38         | `I`     |
//!
//! There is no checksum: the fixed columns are the only validation, so they are taken strictly.

/// Longest line kept: the longest answer has 46 characters, and an overlong line is noise to its end.
const MAX_LINE: usize = 64;

/// One complete line, or the noise where a line should have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Without its CR. Begins with `(` or `#` if one of them stands anywhere in it: noise in front of an
    /// answer is cut off.
    Text(Vec<u8>),
    /// The beginning of a line that was too long.
    Overlong(Vec<u8>),
}

/// Collects a line; holds at most `MAX_LINE` bytes.
#[derive(Debug, Default)]
pub(super) struct Parser {
    pending: Vec<u8>,
    overlong: bool,
}

impl Parser {
    /// Forgets an unfinished line and returns it.
    pub(super) fn restart(&mut self) -> Vec<u8> {
        self.overlong = false;
        std::mem::take(&mut self.pending)
    }

    pub(super) fn push(&mut self, byte: u8) -> Option<Line> {
        match byte {
            b'\r' => {
                let line = std::mem::take(&mut self.pending);
                if std::mem::take(&mut self.overlong) {
                    return Some(Line::Overlong(line));
                }
                let start = line.iter().rposition(|b| matches!(b, b'(' | b'#')).unwrap_or(0);
                Some(Line::Text(line[start..].to_vec()))
            }
            // Begins an answer: what is pending can be no part of it.
            b'(' if self.overlong => {
                self.overlong = false;
                let line = std::mem::replace(&mut self.pending, vec![byte]);
                Some(Line::Overlong(line))
            }
            _ if self.pending.len() < MAX_LINE => {
                self.pending.push(byte);
                None
            }
            _ => {
                self.overlong = true;
                None
            }
        }
    }
}

/// The answer to `Q1`. A field of dashes is a value this model does not measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Status {
    pub(super) input_volts: Option<f64>,
    pub(super) output_volts: Option<f64>,
    /// Percent of the rated load.
    pub(super) load_percent: Option<f64>,
    pub(super) frequency_hertz: Option<f64>,
    /// Of the whole battery, or of one cell on some on-line models; the line does not say which.
    pub(super) battery_volts: Option<f64>,
    pub(super) temperature_celsius: Option<f64>,
    /// b7 utility fail … b0 beeper on.
    pub(super) flags: u8,
}

impl Status {
    /// `None` when the line is no `Q1` answer.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?.strip_prefix('(')?;
        if line.len() != 46 || !text.is_ascii() {
            return None;
        }
        let mut fields = text.split(' ');
        let mut number = |width: usize| number(fields.next()?, width);
        let input_volts = number(5)?;
        // The voltage at the last switch to battery: history, not a reading.
        let _fault_volts = number(5)?;
        let output_volts = number(5)?;
        let load_percent = number(3)?;
        let frequency_hertz = number(4)?;
        let battery_volts = number(4)?;
        let temperature_celsius = number(4)?;
        let flags = fields.next()?;
        if fields.next().is_some() || flags.len() != 8 || !flags.bytes().all(|b| matches!(b, b'0' | b'1')) {
            return None;
        }
        Some(Self {
            input_volts,
            output_volts,
            load_percent,
            frequency_hertz,
            battery_volts,
            temperature_celsius,
            flags: u8::from_str_radix(flags, 2).ok()?,
        })
    }
}

/// `None`: no number of this width. `Some(None)`: dashes.
fn number(field: &str, width: usize) -> Option<Option<f64>> {
    if field.len() != width || !field.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-')) {
        return None;
    }
    if field.bytes().all(|b| matches!(b, b'-' | b'.')) && field.contains('-') {
        return Some(None);
    }
    // Below zero only in the cold, and then the sign takes a digit's place.
    field.parse().ok().map(Some)
}

/// The answer to `I`: maker, model, version.
pub(super) fn parse_info(line: &[u8]) -> Option<[String; 3]> {
    if line.len() != 38 || line[0] != b'#' || line[16] != b' ' || line[27] != b' ' {
        return None;
    }
    if !line.iter().all(|b| (0x20..0x7f).contains(b)) {
        return None;
    }
    let field = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Some([field(&line[1..16]), field(&line[17..27]), field(&line[28..38])])
}

/// Whether a line is an answer to `F`: rated voltage, current, battery voltage, frequency.
pub(super) fn is_rating(line: &[u8]) -> bool {
    let Some(text) = std::str::from_utf8(line).ok().and_then(|t| t.strip_prefix('#')) else { return false };
    let fields: Vec<_> = text.split(' ').collect();
    line.len() == 21
        && fields.len() == 4
        && fields.iter().zip([5, 3, 5, 4]).all(|(field, width)| number(field, width).is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEALTHY: &[u8] = b"(230.4 230.0 229.8 017 49.9 27.1 31.5 00001001";

    fn lines(bytes: &[u8]) -> Vec<Line> {
        let mut parser = Parser::default();
        bytes.iter().filter_map(|b| parser.push(*b)).collect()
    }

    #[test]
    fn a_healthy_line_is_read() {
        let status = Status::parse(HEALTHY).unwrap();
        assert_eq!(status.input_volts, Some(230.4));
        assert_eq!(status.output_volts, Some(229.8));
        assert_eq!(status.load_percent, Some(17.0));
        assert_eq!(status.frequency_hertz, Some(49.9));
        assert_eq!(status.battery_volts, Some(27.1));
        assert_eq!(status.temperature_celsius, Some(31.5));
        assert_eq!(status.flags, 0b0000_1001);
    }

    #[test]
    fn a_value_that_is_not_measured_is_absent_and_a_wrong_one_is_no_line() {
        let dashes = b"(230.4 230.0 229.8 017 49.9 2.27 --.- 00001001";
        let status = Status::parse(dashes).unwrap();
        assert_eq!((status.temperature_celsius, status.battery_volts), (None, Some(2.27)));
        for bad in [
            &b"(230.4 230.0 229.8 017 49.9 27.1 31.5 0000100"[..],
            b"(230.4 230.0 229.8 017 49.9 27.1 31.5 000010011",
            b"(230.4 230.0 229.8 017 49.9 27.1 31.5 00001021",
            b"(230.4 230.0 229.8 0x7 49.9 27.1 31.5 00001001",
            b"(2304. 230.0 229.8 017 49..9 27.1 31.5 0001001",
            b"#230.4 230.0 229.8 017 49.9 27.1 31.5 00001001",
            b"",
        ] {
            assert_eq!(Status::parse(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn info_and_rating_are_told_apart_by_their_columns() {
        let info = b"#KIOSKUPS        UPS-600    V1.02     ";
        assert_eq!(parse_info(info).unwrap(), ["KIOSKUPS", "UPS-600", "V1.02"]);
        assert_eq!(parse_info(&info[..37]), None, "one column short");
        assert!(is_rating(b"#230.0 004 24.00 50.0"));
        assert!(!is_rating(info) && parse_info(b"#230.0 004 24.00 50.0").is_none());
    }

    #[test]
    fn noise_in_front_of_an_answer_is_cut_off() {
        let noisy = [b"\x00\xffQ1", HEALTHY, b"\r"].concat();
        assert_eq!(lines(&noisy), [Line::Text(HEALTHY.to_vec())]);
        let endless = [vec![b'x'; 500], HEALTHY.to_vec(), b"\r".to_vec()].concat();
        assert_eq!(lines(&endless), [Line::Overlong(vec![b'x'; MAX_LINE]), Line::Text(HEALTHY.to_vec())]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_lines_of_bounded_length(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let mut parser = Parser::default();
            for byte in &bytes {
                if let Some(Line::Text(line)) = parser.push(*byte) {
                    prop_assert!(line.len() <= MAX_LINE);
                    let _ = (Status::parse(&line), parse_info(&line), is_rating(&line));
                }
                prop_assert!(parser.pending.len() <= MAX_LINE);
            }
        }
    }
}
