//! An instant in a form that leaves room for its own absence.
use std::num::NonZeroU64;

use kioskwatch_proto::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Makes the earliest instant 0.
const SIGN: u64 = 1 << 63;

/// A [`Timestamp`] of which an `Option` takes eight bytes, not sixteen: a fleet keeps a dozen for each kiosk.
///
/// The one before all others (`i64::MIN`) becomes the next: no clock shows either.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(NonZeroU64);

impl Moment {
    pub(crate) fn at(self) -> Timestamp {
        Timestamp((self.0.get() ^ SIGN).cast_signed())
    }
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self(NonZeroU64::new(at.ms().cast_unsigned() ^ SIGN).unwrap_or(NonZeroU64::MIN))
    }
}

impl std::fmt::Debug for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.at().fmt(f)
    }
}

/// As milliseconds.
impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.at().ms().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(|ms| Timestamp(ms).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instant_comes_back_and_takes_no_more_than_itself() {
        assert_eq!(size_of::<Option<Moment>>(), size_of::<Timestamp>());
        for ms in [i64::MIN + 1, -1, 0, 1, 1_795_248_000_123, i64::MAX] {
            assert_eq!(Moment::from(Timestamp(ms)).at(), Timestamp(ms));
        }
        assert_eq!(Moment::from(Timestamp(i64::MIN)).at(), Timestamp(i64::MIN + 1));
    }
}
