//! What the broker owes a connection: acknowledgements of our messages, and answers to our pings. Pure: `now` is an
//! argument.
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

/// An answer to a ping takes as long as a packet each way. Where only the way to the broker is dead, kiosks are heard all
/// the while, and nothing else tells: with a ping each keep-alive it is found a third of one after that at the latest,
/// before one and a half have passed.
const ANSWERED_WITHIN: Duration = KEEP_ALIVE.checked_div(3).expect("not by nothing");

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Owed {
    messages: u32,
    /// Since the last one that came, or since the first message.
    since: Option<Instant>,
    /// When a ping has to be answered.
    answer_due: Option<Instant>,
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
            Ok(Event::Outgoing(Outgoing::PingReq)) => self.answer_due = Some(now + ANSWERED_WITHIN),
            Ok(Event::Incoming(Packet::PingResp(_))) => self.answer_due = None,
            _ => {}
        }
        self.since.is_some_and(|since| now.duration_since(since) > WITHHELD)
    }

    /// When the connection is dead unless everything that was delivered until then is read and an answer is among it.
    pub(super) fn answer_due(&self) -> Option<Instant> {
        self.answer_due
    }

    /// We did not read for so long: the answer may stand behind what waits.
    pub(super) fn held_back(&mut self, for_: Duration) {
        self.answer_due = self.answer_due.map(|due| due + for_);
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

    #[test]
    fn a_ping_is_to_be_answered_before_one_and_a_half_keep_alives_and_time_in_which_we_did_not_read_is_ours()
    {
        let (mut owed, begun) = (Owed::default(), Instant::now());
        let answer = || Ok(Event::Incoming(Packet::PingResp(PingResp)));
        assert_eq!(owed.answer_due(), None);
        assert!(!owed.withheld(&Ok(Event::Outgoing(Outgoing::PingReq)), begun));
        let due = owed.answer_due().unwrap();
        assert!(
            due + KEEP_ALIVE <= begun + KEEP_ALIVE * 3 / 2 - Duration::from_secs(2),
            "the line died just before"
        );
        // What others say is no answer.
        assert!(!owed.withheld(&Ok(acknowledged()), begun));
        owed.held_back(Duration::from_secs(30));
        assert_eq!(owed.answer_due(), Some(due + Duration::from_secs(30)));
        assert!(!owed.withheld(&answer(), begun));
        owed.held_back(Duration::from_secs(30));
        assert_eq!(owed.answer_due(), None);
    }
}
