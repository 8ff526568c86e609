//! Where new identifiers come from: a seeded generator owned by the caller, so that a history replays
//! with the same ids.
use kioskwatch_proto::Timestamp;
use uuid::Uuid;

/// Makes UUIDs of version 7. The shell seeds it from the operating system, a test with a number.
#[derive(Debug, Clone)]
pub struct Ids {
    state: [u64; 2],
}

impl Ids {
    #[must_use]
    pub fn seeded(seed: u128) -> Self {
        // The low and the high half; truncation is meant.
        let mut ids = Self { state: [(seed & u128::from(u64::MAX)) as u64, (seed >> 64) as u64] };
        ids.next();
        ids
    }

    /// Rises with `now`, so that rows of one time lie together.
    pub fn uuid(&mut self, now: Timestamp) -> Uuid {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.next().to_le_bytes());
        random[8..].copy_from_slice(&self.next().to_le_bytes()[..2]);
        let ms = u64::try_from(now.ms()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid()
    }

    /// Two interleaved SplitMix64 sequences: small, good enough to be unique, no cryptography.
    fn next(&mut self) -> u64 {
        self.state.swap(0, 1);
        self.state[0] = self.state[0].wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state[0] ^ self.state[1].rotate_left(32);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids_and_no_id_comes_twice() {
        let take = |seed| {
            let mut ids = Ids::seeded(seed);
            (0..10_000).map(|_| ids.uuid(Timestamp(7))).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(take(1), take(1));
        assert_eq!(take(1).len(), 10_000);
        assert!(take(1).is_disjoint(&take(2)));
        assert_eq!(Ids::seeded(3).uuid(Timestamp(7)).get_version_num(), 7);
    }
}
