//! The only place with topic text: `kiosk/v1/{shard}/{kiosk_id}/{channel}`.
use std::fmt;

use crate::{
    ids::{KioskId, Shard},
    words::closed_vocabulary,
};

const ROOT: &str = "kiosk/v1";
/// Begins the name of a server's canary in the place of a kiosk's; not allowed in a kiosk's id.
const CANARY: char = '~';

closed_vocabulary!(
    /// What a message is about; fixes sender, QoS and whether it may be retained.
    Channel {
        Presence = "presence",
        Inventory = "inventory",
        Heartbeat = "heartbeat",
        Journal = "journal",
        Ack = "ack",
        Command = "command",
        Progress = "progress",
        Artifact = "artifact",
    }
);

impl Channel {
    pub const fn qos(self) -> u8 {
        match self {
            Self::Heartbeat | Self::Progress => 0,
            _ => 1,
        }
    }

    pub const fn retained(self) -> bool {
        matches!(self, Self::Presence | Self::Inventory)
    }

    pub const fn from_agent(self) -> bool {
        !matches!(self, Self::Ack | Self::Command)
    }
}

/// The address of one message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Topic {
    pub kiosk: KioskId,
    pub channel: Channel,
}

/// Why a topic is not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    #[error("not a kiosk/v1 topic of five levels")]
    Shape,
    #[error("the kiosk id is malformed")]
    Kiosk,
    #[error("no such channel")]
    Channel,
    #[error("the shard is malformed or does not belong to the kiosk id")]
    WrongShard,
}

impl Topic {
    pub fn new(kiosk: KioskId, channel: Channel) -> Self {
        Self { kiosk, channel }
    }

    /// Checks the shard too: the broker does not.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        let rest = text.strip_prefix(ROOT).and_then(|r| r.strip_prefix('/')).ok_or(TopicError::Shape)?;
        let mut levels = rest.split('/');
        let (Some(shard), Some(kiosk), Some(channel), None) =
            (levels.next(), levels.next(), levels.next(), levels.next())
        else {
            return Err(TopicError::Shape);
        };
        let kiosk = KioskId::new(kiosk).map_err(|_| TopicError::Kiosk)?;
        let channel = Channel::parse(channel).ok_or(TopicError::Channel)?;
        if shard.parse() != Ok(kiosk.shard()) {
            return Err(TopicError::WrongShard);
        }
        Ok(Self { kiosk, channel })
    }

    /// Who publishes on this topic, as the broker's rules read it: the level of the kiosk id, whatever stands there.
    pub fn sender(text: &str) -> Option<&str> {
        text.strip_prefix(ROOT)?.strip_prefix('/')?.split('/').nth(1)
    }

    /// Whether it is about what stays true until it is said anew ([`Channel::retained`]).
    pub fn is_standing(text: &str) -> bool {
        text.rsplit('/').next().and_then(Channel::parse).is_some_and(Channel::retained)
    }

    /// Where a server speaks to itself, to hear whether its subscription to a channel still delivers. Other
    /// servers hear it too and pass it over; no kiosk can have such a name.
    pub fn canary(server: &str, channel: Channel) -> String {
        format!("{ROOT}/00/{CANARY}{server}/{channel}")
    }

    pub fn is_canary(text: &str) -> bool {
        Self::sender(text).is_some_and(|name| name.starts_with(CANARY))
    }

    /// What an agent subscribes to: its own channels from the server.
    pub fn agent_filters(kiosk: &KioskId) -> [String; 2] {
        [Channel::Ack, Channel::Command].map(|channel| Self::new(kiosk.clone(), channel).to_string())
    }

    /// What a server subscribes to: one channel of every kiosk of every shard.
    pub fn fleet_filter(channel: Channel) -> String {
        format!("{ROOT}/+/+/{channel}")
    }

    /// What the owner of one shard subscribes to.
    pub fn shard_filter(shard: Shard, channel: Channel) -> String {
        format!("{ROOT}/{shard}/+/{channel}")
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ROOT}/{}/{}/{}", self.kiosk.shard(), self.kiosk, self.channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_round_trip() {
        for &channel in Channel::ALL {
            let topic = Topic::new(KioskId::new("K-0001").unwrap(), channel);
            assert_eq!(Topic::parse(&topic.to_string()), Ok(topic));
        }
    }

    #[test]
    fn the_sender_is_found_where_nothing_else_is_right() {
        let table = [
            ("kiosk/v1/26/123456789/journal", Some("123456789")),
            ("kiosk/v1/zz/K 1/journal/deeper", Some("K 1")),
            ("kiosk/v1/26", None),
            ("kiosk/v2/26/K-1/journal", None),
            ("", None),
        ];
        for (text, sender) in table {
            assert_eq!(Topic::sender(text), sender, "{text}");
        }
    }

    #[test]
    fn presence_and_inventory_stand_until_they_are_said_anew() {
        let all =
            Channel::ALL.iter().map(|&channel| Topic::new(KioskId::new("K-1").unwrap(), channel).to_string());
        let standing: Vec<_> = all.filter(|topic| Topic::is_standing(topic)).collect();
        assert_eq!(standing.len(), 2, "{standing:?}");
        assert!(standing[0].ends_with("/presence") && standing[1].ends_with("/inventory"));
        assert!(!Topic::is_standing(""));
    }

    #[test]
    fn a_canary_is_delivered_like_a_kiosks_message_and_taken_for_none() {
        let canary = Topic::canary("server-1", Channel::Heartbeat);
        assert_eq!(canary, "kiosk/v1/00/~server-1/heartbeat");
        assert!(Topic::is_canary(&canary));
        assert_eq!(Topic::parse(&canary), Err(TopicError::Kiosk));
        assert!(!Topic::is_canary(&Topic::new(KioskId::new("K-1").unwrap(), Channel::Heartbeat).to_string()));
    }

    #[test]
    fn foreign_topics_are_refused_by_name() {
        let shard = KioskId::new("123456789").unwrap().shard();
        assert_eq!(shard.to_string(), "26");
        let table = [
            ("kiosk/v1/27/123456789/journal", TopicError::WrongShard),
            ("kiosk/v1/2/123456789/journal", TopicError::WrongShard),
            ("kiosk/v1/26/123456789/jornal", TopicError::Channel),
            ("kiosk/v1/26/+/journal", TopicError::Kiosk),
            ("kiosk/v1/26//journal", TopicError::Kiosk),
            ("kiosk/v1/26/123456789", TopicError::Shape),
            ("kiosk/v1/26/123456789/journal/x", TopicError::Shape),
            ("kiosk/v2/26/123456789/journal", TopicError::Shape),
            ("kiosk/v1x/26/123456789/journal", TopicError::Shape),
            ("", TopicError::Shape),
        ];
        for (text, error) in table {
            assert_eq!(Topic::parse(text), Err(error), "{text}");
        }
    }
}
