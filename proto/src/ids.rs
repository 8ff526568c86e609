//! Identifiers. Every edge refuses what does not match; inside, a value of these types is valid.
use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use smol_str::SmolStr;
use uuid::Uuid;

use crate::limits::MAX_NAME_LEN;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("an identifier needs 1 to {MAX_NAME_LEN} characters, got {0}")]
    Length(usize),
    #[error(
        "an identifier starts with a letter or digit and goes on with letters, digits, `_` or `-`; found {0:?}"
    )]
    Character(char),
}

fn check_name(text: &str) -> Result<(), IdError> {
    if text.is_empty() || text.len() > MAX_NAME_LEN {
        return Err(IdError::Length(text.chars().count()));
    }
    for (position, c) in text.chars().enumerate() {
        let inner = position > 0 && matches!(c, '_' | '-');
        if !c.is_ascii_alphanumeric() && !inner {
            return Err(IdError::Character(c));
        }
    }
    Ok(())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(SmolStr);

        impl $name {
            pub fn new(text: &str) -> Result<Self, IdError> {
                check_name(text)?;
                Ok(Self(text.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&text).map_err(de::Error::custom)
            }
        }
    };
}

name_type!(
    /// One self-service terminal, stable for its whole life.
    KioskId
);
name_type!(
    /// One place with an address, a time zone and service hours.
    SiteId
);
name_type!(
    /// One device inside a kiosk, named by the configuration. `host` means the terminal itself.
    PeripheralName
);

/// The peripheral name under which faults of the terminal itself are reported.
pub const HOST: &str = "host";

impl PeripheralName {
    pub fn host() -> Self {
        Self(SmolStr::new_static(HOST))
    }

    pub fn is_host(&self) -> bool {
        self.0 == HOST
    }
}

impl KioskId {
    /// Two lower-case hex digits: the low byte of the IEEE CRC-32 of the id.
    /// Lets several servers divide one fleet on any broker.
    pub fn shard(&self) -> Shard {
        Shard((crc32fast::hash(self.0.as_bytes()) & 0xff) as u8)
    }
}

/// One of 256 parts of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard(pub u8);

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

impl FromStr for Shard {
    type Err = ();
    /// Exactly two lower-case hex digits.
    fn from_str(text: &str) -> Result<Self, ()> {
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 2 || !text.bytes().all(lower_hex) {
            return Err(());
        }
        u8::from_str_radix(text, 16).map(Shard).map_err(|_| ())
    }
}

macro_rules! uuid_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text.trim()).map(Self)
            }
        }
    };
}

uuid_type!(
    /// The identity of one journal; made when an agent creates it.
    Epoch
);
uuid_type!(
    /// One run of the machine (Linux: the kernel's boot id).
    BootId
);
uuid_type!(
    /// One MQTT connection of an agent.
    SessionId
);
uuid_type!(
    /// One remote command (UUID version 7).
    CommandId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_at_the_edge() {
        for good in ["a", "K-001", "0", "kiosk_7", &"x".repeat(64)] {
            assert_eq!(KioskId::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "_a", "a b", "a/b", "a+", "#", "é", "a\0", &"x".repeat(65)] {
            assert!(KioskId::new(bad).is_err(), "{bad:?}");
        }
        assert!(serde_json::from_str::<KioskId>("\"a/b\"").is_err());
    }

    #[test]
    fn shard_is_the_low_byte_of_the_crc32_as_zlib_computes_it() {
        // python3 -c "import zlib; print('%02x' % (zlib.crc32(b'K-0001') & 255))"
        assert_eq!(KioskId::new("123456789").unwrap().shard().to_string(), "26");
        assert_eq!("0a".parse(), Ok(Shard(10)));
        for bad in ["", "a", "0A", "+1", "100", "g0"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }
}
