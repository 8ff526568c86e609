//! Frames of CCNET: their shape and their checksum.
//!
//! | offset | content                                          |
//! |--------|--------------------------------------------------|
//! | 0      | `02`                                             |
//! | 1      | address: `03` bill validator                     |
//! | 2      | length of the whole frame                        |
//! | 3…     | command or state, then its data                  |
//! | last 2 | CRC-16/KERMIT over all before it, low byte first |
//!
//! A frame does not say who sent it: `02 03 06 41 4F D1` asks for the bill table or reports a full stacker.

const SYNC: u8 = 0x02;
/// The address of a bill validator. Bill-to-bill units (`01`) pay notes out and are none of ours.
const ADDRESS: u8 = 0x03;
/// Sync, address, length, one byte, checksum.
const SHORTEST: usize = 6;
/// The longest answer to what we ask is the identification with 39 bytes. A larger length is noise: it would
/// only make us wait.
const LONGEST: usize = 64;

/// Something found on the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// What stands between length and checksum: never empty.
    Frame(Vec<u8>),
    /// One byte that begins no valid frame.
    Noise(u8),
}

/// Holds the bytes of an unfinished frame, at most `LONGEST` of them.
#[derive(Debug, Default)]
pub(super) struct Parser {
    pending: Vec<u8>,
}

impl Parser {
    /// Forgets unfinished input and returns it.
    pub(super) fn restart(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.pending)
    }

    /// Takes one byte; a checksum that fails makes several items of what was one frame.
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
        let first = *bytes.first()?;
        let noise = Some((Item::Noise(first), 1));
        if first != SYNC || bytes.get(1).is_some_and(|b| *b != ADDRESS) {
            return noise;
        }
        let length = usize::from(*bytes.get(2)?);
        if !(SHORTEST..=LONGEST).contains(&length) {
            return noise;
        }
        let frame = bytes.get(..length)?;
        match frame.split_last_chunk::<2>() {
            Some((body, crc)) if crc16_kermit(body).to_le_bytes() == *crc => {
                Some((Item::Frame(body[3..].to_vec()), length))
            }
            // Not a frame after all: look for one from the next byte on.
            _ => noise,
        }
    }
}

/// CRC-16/KERMIT: polynomial 1021 reflected, beginning at zero.
pub(super) const fn crc16_kermit(bytes: &[u8]) -> u16 {
    let mut crc = 0u16;
    let mut i = 0;
    while i < bytes.len() {
        crc ^= bytes[i] as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x8408 } else { crc >> 1 };
            bit += 1;
        }
        i += 1;
    }
    crc
}

/// The frame of a command without data.
pub(super) const fn command(code: u8) -> [u8; SHORTEST] {
    let head = [SYNC, ADDRESS, SHORTEST as u8, code];
    let [low, high] = crc16_kermit(&head).to_le_bytes();
    [head[0], head[1], head[2], head[3], low, high]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items(bytes: &[u8]) -> Vec<Item> {
        let mut parser = Parser::default();
        let mut items = Vec::new();
        for byte in bytes {
            parser.push(*byte, |item| items.push(item));
            assert!(parser.pending.len() < LONGEST);
        }
        items
    }

    #[test]
    fn the_checksum_is_that_of_the_public_examples() {
        assert_eq!(crc16_kermit(b"123456789"), 0x2189, "the catalogue's check value");
        assert_eq!(command(0x33), [0x02, 0x03, 0x06, 0x33, 0xda, 0x81]);
        assert_eq!(command(0x00), [0x02, 0x03, 0x06, 0x00, 0xc2, 0x82]);
    }

    #[test]
    fn a_wrong_checksum_is_no_frame() {
        for bad in [[0x02, 0x03, 0x06, 0x33, 0x2e, 0x62], [0x02, 0x03, 0x06, 0x14, 0x67, 0xd5]] {
            assert!(items(&bad).iter().all(|i| matches!(i, Item::Noise(_))), "{bad:02x?}");
        }
    }

    #[test]
    fn a_frame_behind_a_broken_one_is_found() {
        let broken = [0x02, 0x03, 0x08];
        let bytes = [&broken[..], &command(0x19)].concat();
        assert_eq!(items(&bytes).last(), Some(&Item::Frame(vec![0x19])));
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_invented(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut parser = Parser::default();
            let mut seen = 0;
            for byte in &bytes {
                parser.push(*byte, |item| {
                    seen += match item {
                        Item::Noise(_) => 1,
                        Item::Frame(body) => body.len() + 5,
                    };
                });
                prop_assert!(parser.pending.len() < LONGEST);
            }
            prop_assert_eq!(seen + parser.pending.len(), bytes.len());
        }

        #[test]
        fn a_clean_frame_after_any_noise_and_a_pause_is_found(
            noise in prop::collection::vec(any::<u8>(), 0..100), code: u8,
        ) {
            let mut parser = Parser::default();
            for byte in &noise {
                parser.push(*byte, |_| {});
            }
            parser.restart();
            let mut found = Vec::new();
            for byte in command(code) {
                parser.push(byte, |item| found.push(item));
            }
            prop_assert_eq!(found, [Item::Frame(vec![code])]);
        }
    }
}
