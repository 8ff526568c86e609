//! From a message's bytes to an input of the fleet. What cannot be read is named by reason, never a crash.
use std::sync::Arc;

use kioskwatch_domain::fleet::{IncomingRecord, Input, RecordBatch};
use kioskwatch_proto::{
    KioskId,
    artifact::Progress,
    heartbeat::Heartbeat,
    inventory::Inventory,
    journal::Batch,
    payload::{PayloadError, parse_payload},
    presence::Presence,
    topic::{Channel, Topic, TopicError},
};

use crate::mqtt::Received;

/// A readable message.
pub(super) enum Message {
    /// The hot path: straight into the fleet's liveness.
    Heartbeat(KioskId, Box<Heartbeat>),
    Input(Input),
}

/// A message that is counted and dropped.
pub(super) struct Unreadable {
    /// `unknown` when not even the topic is ours.
    pub(super) channel: &'static str,
    pub(super) reason: &'static str,
    pub(super) kiosk: Option<KioskId>,
    pub(super) detail: String,
}

/// `read_record` reads the records of a journal message, one by one.
pub(super) fn read(
    received: &Received,
    read_record: impl Fn(&str) -> IncomingRecord,
) -> Result<Message, Unreadable> {
    let topic = std::str::from_utf8(&received.topic).map_err(|_| TopicError::Shape).and_then(Topic::parse);
    let topic = topic.map_err(|error| Unreadable {
        channel: "unknown",
        reason: match error {
            TopicError::Shape => "wrong_topic",
            TopicError::Kiosk => "bad_kiosk_id",
            TopicError::Channel => "unknown_channel",
            TopicError::WrongShard => "wrong_shard",
        },
        kiosk: None,
        detail: String::from_utf8_lossy(&received.topic).chars().take(200).collect(),
    })?;
    let channel = topic.channel;
    let kiosk = topic.kiosk;
    let refuse = |reason, detail: String| Unreadable {
        channel: channel.as_str(),
        reason,
        kiosk: Some(kiosk.clone()),
        detail,
    };
    if received.retained && !channel.retained() {
        return Err(refuse("retained", "a retained message on a channel that is not retained".to_owned()));
    }
    let bad = |error: PayloadError| refuse(error.reason(), error.to_string());
    let bytes = &received.payload;
    let received_at = received.at;
    Ok(match channel {
        Channel::Heartbeat => {
            let message: Heartbeat = parse_payload(bytes).map_err(bad)?;
            Message::Heartbeat(kiosk, Box::new(message))
        }
        Channel::Journal => {
            let batch: Batch<'_> = parse_payload(bytes).map_err(bad)?;
            let records = batch.records.iter().map(|raw| read_record(raw.get())).collect();
            let batch = RecordBatch { epoch: batch.epoch, first: batch.first, records };
            Message::Input(Input::Batch { kiosk, received_at, batch })
        }
        Channel::Presence => {
            let message: Presence = parse_payload(bytes).map_err(bad)?;
            Message::Input(Input::Presence { kiosk, received_at, retained: received.retained, message })
        }
        Channel::Inventory => {
            let message: Inventory = parse_payload(bytes).map_err(bad)?;
            let raw: Arc<str> = String::from_utf8_lossy(bytes).into();
            Message::Input(Input::Inventory { kiosk, received_at, message: Box::new(message), raw })
        }
        Channel::Progress => {
            let message: Progress = parse_payload(bytes).map_err(bad)?;
            Message::Input(Input::Progress { kiosk, received_at, message })
        }
        // No action of this version makes files.
        Channel::Artifact => return Err(refuse("unsupported", "artifacts are not taken".to_owned())),
        Channel::Ack | Channel::Command => {
            return Err(refuse("wrong_direction", "a channel of the server".to_owned()));
        }
    })
}
