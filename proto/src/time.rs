//! Wall time on the wire: RFC 3339, UTC, milliseconds. In memory and in the database: milliseconds since 1970.
use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds ignored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(pub i64);

/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999Z: what RFC 3339 can say.
const MIN_MS: i64 = -62_167_219_200_000;
const MAX_MS: i64 = 253_402_300_799_999;

impl Timestamp {
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    pub const fn ms(self) -> i64 {
        self.0
    }

    /// Whole seconds, floored.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Saturates at the ends of what the wire can say.
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms).clamp(MIN_MS, MAX_MS))
    }

    /// `self - earlier` in milliseconds, negative when `earlier` is later.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    pub fn parse(text: &str) -> Result<Self, chrono::ParseError> {
        // An offset can carry year 0 or 9999 over the edge of what can be written back.
        DateTime::parse_from_rfc3339(text).map(|t| Self(t.timestamp_millis().clamp(MIN_MS, MAX_MS)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clamped = self.0.clamp(MIN_MS, MAX_MS);
        let time: DateTime<Utc> = DateTime::from_timestamp_millis(clamped).unwrap_or_default();
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(|e| {
            de::Error::custom(format!("{text:?} is no RFC 3339 time like 2026-11-21T08:00:00.123Z: {e}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_travel_as_rfc_3339_with_milliseconds() {
        let t = Timestamp(1_795_248_000_123);
        assert_eq!(serde_json::to_string(&t).unwrap(), "\"2026-11-21T08:00:00.123Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>("\"2026-11-21T16:00:00.123+08:00\"").unwrap(), t);
        assert_eq!(Timestamp(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
        assert!(serde_json::from_str::<Timestamp>("\"yesterday\"").is_err());
    }
}
