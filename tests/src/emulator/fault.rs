//! What can be wrong with the cable between a host and a device.

use std::time::Duration;

use tokio::time::Instant;

use super::device::Model;

/// How a line misbehaves. The device behind it is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineFault {
    /// It works.
    #[default]
    None,
    /// Nothing arrives and nothing comes back: a cut cable, a wrong port.
    Silent,
    /// The host hears itself: a loop-back plug, an adapter with local echo. The device hears nothing.
    Echo,
    /// Random bytes without end, in which replies drown: a wrong speed, a broken ground.
    Chatter,
    /// Replies arrive with flipped bits.
    Garbled,
    /// Every reply comes whole, but this much later: it may meet the next question.
    Slow(Duration),
    /// Replies come byte by byte with this pause between: a reader must put frames together.
    Dripping(Duration),
    /// Only the first half of each reply arrives; of a single byte, nothing.
    Truncated,
}

impl LineFault {
    /// True if the device gets the host's bytes.
    pub(super) fn device_hears(self) -> bool {
        !matches!(self, Self::Silent | Self::Echo | Self::Chatter)
    }

    /// Turns one reply of the device into the pieces that the host will see, and when.
    pub(super) fn carry<M: Model>(
        self,
        now: Instant,
        mut reply: Vec<u8>,
        model: &M,
    ) -> Vec<(Instant, Vec<u8>)> {
        match self {
            Self::None => vec![(now, reply)],
            Self::Silent | Self::Echo | Self::Chatter => Vec::new(),
            Self::Garbled => {
                model.damage(&mut reply);
                vec![(now, reply)]
            }
            Self::Slow(late) => vec![(now + late, reply)],
            Self::Dripping(pause) => {
                let mut at = now;
                let mut drops = Vec::with_capacity(reply.len());
                for byte in reply {
                    at += pause;
                    drops.push((at, vec![byte]));
                }
                drops
            }
            Self::Truncated => {
                reply.truncate(reply.len() / 2);
                vec![(now, reply)]
            }
        }
    }
}

/// Random bytes that are the same in every run (xorshift), because a failing test must fail again.
pub(super) struct Noise(u64);

impl Noise {
    /// Two lines with different names make different noise.
    pub(super) fn seeded(name: &str) -> Self {
        let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        Self(seed | 1)
    }

    /// A short burst of garbage.
    pub(super) fn burst(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte() % 12) + 1;
        (0..length).map(|_| self.byte()).collect()
    }

    fn byte(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.to_be_bytes()[0]
    }
}
