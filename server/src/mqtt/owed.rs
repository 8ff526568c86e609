//! What the broker owes a connection: acknowledgements of our messages. Pure: `now` is an argument.
use std::time::Duration;

use rumqttc::{
    Outgoing,
    v5::{ConnectionError, Event, mqttbytes::v5::Packet},
};
use tokio::time::Instant;

use super::keeper::KEEP_ALIVE;

/// When the broker acknowledges nothing of ours for this long, the client's table of unacknowledged messages
/// fills up in silence and nothing leaves it any more: a new connection begins with an empty one.
const WITHHELD: Duration = KEEP_ALIVE;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Owed {
    messages: u32,
    /// Since the last one that came, or since the first message.
    since: Option<Instant>,
}

impl Owed {
    /// Takes an event of the connection. `true`: none has come for too long.
    pub(super) fn withheld(&mut self, event: &Result<Event, ConnectionError>, now: Instant) -> bool {
        match event {
            // An id of 0 is a message that wants no acknowledgement.
            Ok(Event::Outgoing(Outgoing::Publish(id))) if *id > 0 => {
                self.messages += 1;
                self.since.get_or_insert(now);
            }
            Ok(Event::Incoming(Packet::PubAck(_))) => {
                self.messages = self.messages.saturating_sub(1);
                self.since = (self.messages > 0).then_some(now);
            }
            _ => {}
        }
        self.since.is_some_and(|since| now.duration_since(since) > WITHHELD)
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::v5::mqttbytes::v5::{PingResp, PubAck};

    use super::*;

    const SENT: Event = Event::Outgoing(Outgoing::Publish(7));

    fn acknowledged() -> Event {
        Event::Incoming(Packet::PubAck(PubAck::new(7, None)))
    }

    #[test]
    fn a_broker_that_acknowledges_nothing_is_found_and_a_silent_connection_is_not() {
        let (mut owed, begun) = (Owed::default(), Instant::now());
        let ping = || Ok(Event::Incoming(Packet::PingResp(PingResp)));
        assert!(!owed.withheld(&ping(), begun + WITHHELD * 9));
        let sent = begun + WITHHELD * 10;
        assert!(!owed.withheld(&Ok(SENT), sent));
        assert!(!owed.withheld(&ping(), sent + WITHHELD));
        assert!(owed.withheld(&ping(), sent + WITHHELD + Duration::from_millis(1)));
    }

    #[test]
    fn an_acknowledgement_buys_time_and_the_last_one_ends_the_wait() {
        let (mut owed, begun) = (Owed::default(), Instant::now());
        for _ in 0..2 {
            assert!(!owed.withheld(&Ok(SENT), begun));
        }
        assert!(!owed.withheld(&Ok(acknowledged()), begun + WITHHELD));
        assert!(owed.withheld(&Ok(SENT), begun + WITHHELD * 3));
        for _ in 0..2 {
            assert!(!owed.withheld(&Ok(acknowledged()), begun + WITHHELD * 3));
        }
        assert!(!owed.withheld(&Ok(Event::Incoming(Packet::PingResp(PingResp))), begun + WITHHELD * 9));
    }
}
