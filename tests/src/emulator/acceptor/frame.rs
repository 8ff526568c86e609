//! CCNET frames: cutting them out of the stream, building them, and their checksum.

use std::time::Duration;

use tokio::time::Instant;

pub(super) const SYNC: u8 = 0x02;
/// The address of a bill validator.
pub(super) const ADDRESS: u8 = 0x03;

/// Sync, address, length, one command, two of CRC.
const SHORTEST: usize = 6;

/// Half a frame is thrown away after this pause. The protocol's own limit is a few milliseconds, which a
/// busy test machine cannot keep.
const FRAME_GAP: Duration = Duration::from_millis(500);

/// CRC-16/KERMIT of every half byte: polynomial 1021, reflected, starting from 0.
const NIBBLE: [u16; 16] = [
    0x0000, 0x1081, 0x2102, 0x3183, 0x4204, 0x5285, 0x6306, 0x7387, 0x8408, 0x9489, 0xA50A, 0xB58B, 0xC60C,
    0xD68D, 0xE70E, 0xF78F,
];

/// The checksum over a frame without its last two bytes.
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().flat_map(|byte| [byte & 0x0F, byte >> 4]).fold(0, |crc, nibble| {
        let index = usize::from((crc & 0x0F) ^ u16::from(nibble));
        (crc >> 4) ^ NIBBLE[index]
    })
}

/// A frame from the validator around this payload, which is at most 250 bytes long.
pub(super) fn build(payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len() + 5).expect("the longest payload is the bill table");
    let mut frame = vec![SYNC, ADDRESS, length];
    frame.extend_from_slice(payload);
    let crc = checksum(&frame);
    frame.extend(crc.to_le_bytes());
    frame
}

/// What the stream held.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A sound frame for this validator: command and data.
    Command(Vec<u8>),
    /// A frame for this validator whose checksum is wrong.
    Broken,
}

/// Collects bytes until they are a frame.
#[derive(Default)]
pub(super) struct Reader {
    pending: Vec<u8>,
    last: Option<Instant>,
}

impl Reader {
    pub(super) fn push(&mut self, now: Instant, bytes: &[u8]) {
        if self.last.is_some_and(|last| now - last > FRAME_GAP) {
            self.pending.clear();
        }
        self.last = Some(now);
        self.pending.extend_from_slice(bytes);
    }

    /// The next frame for this validator; frames for other addresses on the bus are passed over.
    pub(super) fn next(&mut self) -> Option<Heard> {
        loop {
            let start = self.pending.iter().position(|byte| *byte == SYNC).unwrap_or(self.pending.len());
            self.pending.drain(..start);
            let length = usize::from(*self.pending.get(2)?);
            if length < SHORTEST {
                // Not a frame after all: look for the next sync.
                self.pending.drain(..1);
                continue;
            }
            if self.pending.len() < length {
                return None;
            }
            let frame: Vec<u8> = self.pending.drain(..length).collect();
            if frame[1] != ADDRESS {
                continue;
            }
            let (body, crc) = frame.split_at(length - 2);
            let sound = checksum(body).to_le_bytes() == crc;
            return Some(if sound { Heard::Command(body[3..].to_vec()) } else { Heard::Broken });
        }
    }

    pub(super) fn clear(&mut self) {
        self.pending.clear();
    }
}
