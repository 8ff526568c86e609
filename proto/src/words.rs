//! Open vocabularies: words we know, and words of newer agents that are kept as they came.
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::limits::MAX_WORD_LEN;

/// Lower-case ASCII letters, digits, `_`, 1 to 64 characters.
pub fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_WORD_LEN
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// A word of an open vocabulary that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Word(Box<str>);

impl Word {
    pub fn new(text: &str) -> Option<Self> {
        is_word(text).then(|| Self(text.into()))
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An enum of known words, closed or with an `Other(Word)` for the rest.
macro_rules! open_vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// A word this version does not know, kept as it came.
            Other(Word),
        }

        impl $name {
            pub const KNOWN: &'static [&'static str] = &[$($text),+];

            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(word) => word.as_str(),
                }
            }

            /// `None` when the text is no word at all.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)+
                    other => Word::new(other).map(Self::Other),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| {
                    de::Error::custom(format!("{text:?} is no word of lower-case letters, digits and `_`"))
                })
            }
        }
    };
}
/// A closed vocabulary: anything else is refused.
macro_rules! closed_vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use closed_vocabulary;

open_vocabulary!(
    /// How a peripheral is, in the words of XFS4IoT plus ours for the port.
    PeripheralStatus {
        Online = "online",
        Offline = "offline",
        PowerOff = "power_off",
        NoDevice = "no_device",
        HardwareError = "hardware_error",
        /// A person can mend it: paper, cover, cassette.
        UserError = "user_error",
        Busy = "busy",
        FraudAttempt = "fraud_attempt",
        PotentialFraud = "potential_fraud",
        Starting = "starting",
        /// Another program holds the port, or we cannot see all its holders. No defect.
        PortBusy = "port_busy",
        /// Nothing fresh was heard; what was known before may no longer hold.
        Stale = "stale",
        Unknown = "unknown",
    }
);

impl PeripheralStatus {
    /// Whether the peripheral does its work. Unknown words do not.
    pub fn works(&self) -> bool {
        matches!(self, Self::Online | Self::Busy)
    }
}

closed_vocabulary!(
    /// Service state of a kiosk as its application and required peripherals make it.
    ServiceState {
        InService = "in_service",
        Degraded = "degraded",
        OutOfService = "out_of_service",
        /// A person works at the machine.
        Supervised = "supervised",
    }
);

closed_vocabulary!(
    /// How bad a fault is for the kiosk.
    Severity { Info = "info", Minor = "minor", Major = "major" }
);

closed_vocabulary!(
    /// Who talks to a peripheral's port.
    PortMode {
        /// The agent is the only master.
        Owned = "owned",
        /// The kiosk application reports; the agent never opens the port.
        Pushed = "pushed",
        /// The agent owns the port and passes every byte of the application unchanged.
        Proxy = "proxy",
        /// The application lends the port while idle.
        Lease = "lease",
    }
);

closed_vocabulary!(
    /// Why the machine went down on purpose or with notice.
    ShutdownReason { Planned = "planned", Reboot = "reboot", PowerLoss = "power_loss", Update = "update" }
);
