//! Cuts a printer's byte stream into replies. Knows the bit patterns, not what was asked.
//!
//! | first byte      | length            | what it is                                  |
//! |-----------------|-------------------|---------------------------------------------|
//! | `0xx1xx10`      | 1                 | reply to DLE EOT 1..4                       |
//! | `0xx1xx00`      | 4                 | automatic status (ASB)                      |
//! | `10 0F`         | 6                 | Custom full status, only when it was asked  |
//! | `5F`            | to the next `00`  | text reply to GS I                          |
//! | `0xx0xxxx`      | 1                 | reply to a buffered query such as GS r      |
//! | `11`, `13`      | 1                 | XON, XOFF                                   |
//!
//! The patterns do not overlap, so position is not needed to tell them apart, except for the Custom reply.

/// One thing the printer said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// Answer to DLE EOT 1..4.
    Status(u8),
    /// Pushed because some program switched automatic status on.
    Automatic([u8; 4]),
    /// Answer to DLE EOT 20.
    Full([u8; 6]),
    /// Answer to GS I, without its frame.
    Text(String),
    /// Answer to a buffered query that we never send: another program's, or an old one.
    Buffered(u8),
    /// XON or XOFF.
    FlowControl,
    /// Bytes that fit no pattern.
    Noise(Vec<u8>),
}

/// Longest text taken for a GS I reply. Makers name 80 characters as the longest; more is noise.
const MAX_TEXT: usize = 80;

/// Holds the bytes of an unfinished item, at most `MAX_TEXT + 1` of them.
#[derive(Debug, Default)]
pub(super) struct Parser {
    pending: Vec<u8>,
    expects_full: bool,
}

impl Parser {
    /// Forgets unfinished input and returns it; says whether `10 0F` now begins a Custom full status.
    pub(super) fn restart(&mut self, expects_full: bool) -> Vec<u8> {
        self.expects_full = expects_full;
        std::mem::take(&mut self.pending)
    }

    /// Takes one byte; it may complete several items when it shows that a group was none.
    pub(super) fn push(&mut self, byte: u8, mut found: impl FnMut(Item)) {
        self.pending.push(byte);
        while let Some((item, length)) = self.next() {
            self.pending.drain(..length);
            found(item);
        }
    }

    /// The first item of the pending bytes with its length; `None` while it is incomplete.
    fn next(&self) -> Option<(Item, usize)> {
        let bytes = &self.pending[..];
        match *bytes.first()? {
            0x11 | 0x13 => Some((Item::FlowControl, 1)),
            first if is_status(first) => Some((Item::Status(first), 1)),
            0x5f => text(bytes),
            0x10 if self.expects_full => match bytes {
                [0x10, 0x0f, rest @ ..] if rest.len() < 4 => None,
                [0x10, 0x0f, paper, user, recoverable, fatal, ..] => {
                    Some((Item::Full([0x10, 0x0f, *paper, *user, *recoverable, *fatal]), 6))
                }
                [_] => None,
                _ => automatic(bytes),
            },
            first if first & 0x93 == 0x10 => automatic(bytes),
            first if first & 0x90 == 0 => Some((Item::Buffered(first), 1)),
            first => Some((Item::Noise(vec![first]), 1)),
        }
    }
}

/// The fixed bits of every DLE EOT 1..4 reply: the only validation the protocol has.
pub(super) fn is_status(byte: u8) -> bool {
    byte & 0x93 == 0x12
}

/// A group of four. The later bytes keep b4 and b7 clear: one that does not shows that the first was noise,
/// and a status reply (b4 set) is never swallowed by a broken group.
fn automatic(bytes: &[u8]) -> Option<(Item, usize)> {
    if bytes.iter().skip(1).take(3).any(|b| b & 0x90 != 0) {
        return Some((Item::Noise(vec![bytes[0]]), 1));
    }
    match bytes {
        [a, b, c, d, ..] => Some((Item::Automatic([*a, *b, *c, *d]), 4)),
        _ => None,
    }
}

/// Printable characters between `5F` and `00`. A broken text is dropped whole: its letters can look like
/// status replies.
fn text(bytes: &[u8]) -> Option<(Item, usize)> {
    let body = &bytes[1..];
    match body.iter().position(|b| !(0x20..0x7f).contains(b)) {
        Some(end) if body[end] == 0 => {
            Some((Item::Text(body[..end].iter().map(|b| char::from(*b)).collect()), end + 2))
        }
        Some(end) => Some((Item::Noise(bytes[..=end].to_vec()), end + 1)),
        None if body.len() >= MAX_TEXT => Some((Item::Noise(bytes.to_vec()), bytes.len())),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items(expects_full: bool, bytes: &[u8]) -> Vec<Item> {
        let mut parser = Parser::default();
        parser.restart(expects_full);
        let mut items = Vec::new();
        for byte in bytes {
            parser.push(*byte, |item| items.push(item));
            assert!(parser.pending.len() <= MAX_TEXT + 1);
        }
        items
    }

    #[test]
    fn automatic_status_in_front_of_a_reply_is_not_read_as_the_reply() {
        assert_eq!(
            items(false, &[0x10, 0, 0, 0, 0x18, 0, 0, 0, 0x1a]),
            [Item::Automatic([0x10, 0, 0, 0]), Item::Automatic([0x18, 0, 0, 0]), Item::Status(0x1a)]
        );
    }

    #[test]
    fn a_stray_group_byte_does_not_swallow_the_reply_after_it() {
        assert_eq!(items(false, &[0x10, 0x12]), [Item::Noise(vec![0x10]), Item::Status(0x12)]);
        assert_eq!(items(false, &[0x5f, 0x12]), [Item::Noise(vec![0x5f]), Item::Status(0x12)]);
    }

    #[test]
    fn letters_of_a_text_are_no_status() {
        assert_eq!(items(false, b"_T220\0"), [Item::Text("T220".into())]);
        assert_eq!(items(false, &[0x5f, 0x00]), [Item::Text(String::new())]);
        let endless = [b"_".as_slice(), &[b'2'; MAX_TEXT]].concat();
        assert_eq!(items(false, &endless), [Item::Noise(endless.clone())]);
    }

    #[test]
    fn the_custom_reply_is_only_seen_when_it_was_asked() {
        let full = [0x10, 0x0f, 5, 0, 0, 0];
        assert_eq!(items(true, &full), [Item::Full(full)]);
        assert_eq!(items(false, &full)[0], Item::Automatic([0x10, 0x0f, 5, 0]));
        assert_eq!(items(true, &[0x10, 0, 0, 0]), [Item::Automatic([0x10, 0, 0, 0])]);
    }

    #[test]
    fn a_burst_of_buffered_replies_is_no_status() {
        assert!(
            items(false, &[0, 0, 0x63, 2, 0x5f, 0]).iter().all(|i| !matches!(i, Item::Status(_))),
            "old answers of a printer that was offline"
        );
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_invented(bytes in prop::collection::vec(any::<u8>(), 0..300), full: bool) {
            let mut parser = Parser::default();
            parser.restart(full);
            let mut seen = 0;
            for byte in &bytes {
                parser.push(*byte, |item| {
                    seen += match item {
                        Item::Status(_) | Item::Buffered(_) | Item::FlowControl => 1,
                        Item::Automatic(_) => 4,
                        Item::Full(_) => 6,
                        Item::Text(text) => text.len() + 2,
                        Item::Noise(noise) => noise.len(),
                    };
                });
                prop_assert!(parser.pending.len() <= MAX_TEXT + 1);
            }
            prop_assert_eq!(seen + parser.pending.len(), bytes.len());
        }
    }
}
