//! Who is connected, what is retained, and what the dice make of a message. No sockets, no time.
use std::collections::BTreeMap;

use bytes::Bytes;
use rumqttc::v5::mqttbytes::{
    QoS, matches,
    v5::{
        ConnAck, ConnectReturnCode, LastWill, Packet, PingResp, PubAck, Publish, SubAck, SubscribeReasonCode,
        UnsubAck, UnsubAckReason,
    },
};

use super::Odds;
use crate::sim::rng::Rng;

/// How late a late message is, at most.
const LATEST_MS: i64 = 3_000;

/// Names one connection; never given twice.
pub(super) type Conn = u64;

/// What follows from a packet.
#[derive(Debug, PartialEq)]
pub(super) enum Effect {
    Send { to: Conn, packet: Box<Packet>, after_ms: u64 },
    Close { conn: Conn },
}

#[derive(Debug)]
struct Session {
    conn: Conn,
    will: Option<LastWill>,
    filters: Vec<(String, QoS)>,
    last_id: u16,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) odds: Odds,
    dice: Rng,
    /// By client id: a second connection takes over.
    sessions: BTreeMap<String, Session>,
    retained: BTreeMap<Bytes, Publish>,
}

impl Hub {
    pub(super) fn new(seed: u64, odds: Odds) -> Self {
        Self { odds, dice: Rng::new(seed), sessions: BTreeMap::new(), retained: BTreeMap::new() }
    }

    pub(super) fn packet(&mut self, conn: Conn, packet: Packet) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut answer = |packet| effects.push(at_once(conn, packet));
        match packet {
            Packet::Connect(connect, will, _) => {
                let code = ConnectReturnCode::Success;
                answer(Packet::ConnAck(ConnAck { session_present: false, code, properties: None }));
                let session = Session { conn, will, filters: Vec::new(), last_id: 0 };
                if let Some(old) = self.sessions.insert(connect.client_id, session) {
                    effects.push(Effect::Close { conn: old.conn });
                    self.publish_will(old.will, &mut effects);
                }
            }
            Packet::Subscribe(subscribe) => {
                let granted = subscribe.filters.iter().map(|f| SubscribeReasonCode::Success(f.qos)).collect();
                let (pkid, properties) = (subscribe.pkid, None);
                answer(Packet::SubAck(SubAck { pkid, return_codes: granted, properties }));
                for filter in subscribe.filters {
                    let Some(session) = self.session(conn) else { continue };
                    session.filters.retain(|(path, _)| *path != filter.path);
                    session.filters.push((filter.path.clone(), filter.qos));
                    effects.extend(self.retained_for(conn, &filter.path, filter.qos));
                }
            }
            Packet::Unsubscribe(unsubscribe) => {
                let reasons = unsubscribe.filters.iter().map(|_| UnsubAckReason::Success).collect();
                answer(Packet::UnsubAck(UnsubAck { pkid: unsubscribe.pkid, reasons, properties: None }));
                if let Some(session) = self.session(conn) {
                    session.filters.retain(|(path, _)| !unsubscribe.filters.contains(path));
                }
            }
            Packet::PingReq(_) => answer(Packet::PingResp(PingResp)),
            Packet::Publish(publish) => self.published(conn, &publish, &mut effects),
            // What was delivered is forgotten whatever the other side says: nothing is ever sent again.
            _ => {}
        }
        effects
    }

    /// The connection is over. With `goodbye` the will is not published.
    pub(super) fn closed(&mut self, conn: Conn, goodbye: bool) -> Vec<Effect> {
        let mut effects = Vec::new();
        let id = self.sessions.iter().find(|(_, session)| session.conn == conn).map(|(id, _)| id.clone());
        if let Some(session) = id.and_then(|id| self.sessions.remove(&id))
            && !goodbye
        {
            self.publish_will(session.will, &mut effects);
        }
        effects
    }

    /// Connections live on; what was subscribed with a wildcard is delivered no more.
    pub(super) fn forget_wildcards(&mut self) {
        for session in self.sessions.values_mut() {
            session.filters.retain(|(path, _)| !path.contains('+'));
        }
    }

    fn session(&mut self, conn: Conn) -> Option<&mut Session> {
        self.sessions.values_mut().find(|session| session.conn == conn)
    }

    fn published(&mut self, from: Conn, publish: &Publish, effects: &mut Vec<Effect>) {
        let odds = self.odds;
        if publish.qos != QoS::AtMostOnce && !self.dice.per_mille(odds.withhold) {
            effects.push(at_once(from, Packet::PubAck(PubAck::new(publish.pkid, None))));
        }
        if self.dice.per_mille(odds.forget) {
            self.retained.remove(&publish.topic);
            let goodbye = self.dice.per_mille(500);
            effects.push(Effect::Close { conn: from });
            effects.extend(self.closed(from, goodbye));
        }
        if !self.dice.per_mille(odds.lose) {
            self.deliver(publish, effects);
        }
    }

    fn publish_will(&mut self, will: Option<LastWill>, effects: &mut Vec<Effect>) {
        if let Some(will) = will {
            let (topic, payload) = (will.topic, will.message);
            let publish =
                Publish { qos: will.qos, retain: will.retain, topic, payload, ..Publish::default() };
            self.deliver(&publish, effects);
        }
    }

    fn deliver(&mut self, publish: &Publish, effects: &mut Vec<Effect>) {
        if publish.retain {
            if publish.payload.is_empty() {
                self.retained.remove(&publish.topic);
            } else {
                self.retained.insert(publish.topic.clone(), publish.clone());
            }
        }
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        let (late, twice) = (self.odds.late, self.odds.twice);
        for session in self.sessions.values_mut() {
            let granted =
                session.filters.iter().filter(|(path, _)| matches(&topic, path)).map(|(_, qos)| *qos);
            let Some(granted) = granted.reduce(|a, b| if a < b { b } else { a }) else { continue };
            let mut copy = Publish { retain: false, dup: false, ..publish.clone() };
            let mut send = |dice: &mut Rng, late: bool| {
                let after_ms = if late { dice.between(1, LATEST_MS).unsigned_abs() } else { 0 };
                let packet = Box::new(numbered(&mut session.last_id, &mut copy, granted));
                effects.push(Effect::Send { to: session.conn, packet, after_ms });
            };
            let is_late = self.dice.per_mille(late);
            send(&mut self.dice, is_late);
            if self.dice.per_mille(twice) {
                send(&mut self.dice, true);
            }
        }
    }

    fn retained_for(&mut self, conn: Conn, path: &str, granted: QoS) -> Vec<Effect> {
        let topic = |publish: &Publish| String::from_utf8_lossy(&publish.topic).into_owned();
        let kept: Vec<_> =
            self.retained.values().filter(|kept| matches(&topic(kept), path)).cloned().collect();
        let Some(session) = self.session(conn) else { return Vec::new() };
        let send = |mut kept| at_once(conn, numbered(&mut session.last_id, &mut kept, granted));
        kept.into_iter().map(send).collect()
    }
}

fn at_once(to: Conn, packet: Packet) -> Effect {
    Effect::Send { to, packet: Box::new(packet), after_ms: 0 }
}

/// The message as this subscriber gets it.
fn numbered(last_id: &mut u16, publish: &mut Publish, granted: QoS) -> Packet {
    publish.qos = if granted < publish.qos { granted } else { publish.qos };
    publish.pkid = 0;
    if publish.qos != QoS::AtMostOnce {
        *last_id = last_id.checked_add(1).unwrap_or(1);
        publish.pkid = *last_id;
    }
    Packet::Publish(publish.clone())
}

#[cfg(test)]
mod tests {
    use rumqttc::v5::mqttbytes::v5::{Connect, Filter, Subscribe};

    use super::*;

    const SPEAKER: Conn = 1;
    const LISTENER: Conn = 2;

    fn hub(odds: Odds) -> Hub {
        let mut hub = Hub::new(1, odds);
        for (conn, id) in [(SPEAKER, "speaker"), (LISTENER, "listener")] {
            let connect =
                Connect { keep_alive: 60, client_id: id.into(), clean_start: true, properties: None };
            hub.packet(
                conn,
                Packet::Connect(
                    connect,
                    Some(LastWill::new("t", "will", QoS::AtLeastOnce, false, None)),
                    None,
                ),
            );
        }
        let subscribe = Subscribe::new(Filter::new("t", QoS::AtLeastOnce), None);
        hub.packet(LISTENER, Packet::Subscribe(subscribe));
        hub
    }

    /// Acknowledgements to the speaker, and copies for the listener with their delay.
    fn say(hub: &mut Hub) -> (usize, Vec<u64>) {
        let publish = Publish { pkid: 7, ..Publish::new("t", QoS::AtLeastOnce, "x", None) };
        let effects = hub.packet(SPEAKER, Packet::Publish(publish));
        let (mut acks, mut copies) = (0, Vec::new());
        for effect in effects {
            let Effect::Send { to, packet, after_ms } = effect else { continue };
            match *packet {
                Packet::PubAck(_) => acks += 1,
                Packet::Publish(_) if to == LISTENER => copies.push(after_ms),
                _ => {}
            }
        }
        (acks, copies)
    }

    #[test]
    fn an_honest_one_acknowledges_and_delivers_once() {
        assert_eq!(say(&mut hub(Odds::HONEST)), (1, vec![0]));
    }

    #[test]
    fn each_treachery_does_what_it_is_called() {
        let of = |odds| say(&mut hub(odds));
        assert_eq!(of(Odds { lose: 1_000, ..Odds::HONEST }), (1, vec![]));
        assert_eq!(of(Odds { withhold: 1_000, ..Odds::HONEST }), (0, vec![0]));
        assert!(matches!(&of(Odds { twice: 1_000, ..Odds::HONEST }), (1, copies) if copies.len() == 2));
        assert!(matches!(&of(Odds { late: 1_000, ..Odds::HONEST }), (1, copies) if copies[0] > 0));
    }

    #[test]
    fn a_forgotten_session_is_closed_and_a_lost_connection_leaves_its_will() {
        let mut forgetful = hub(Odds { forget: 1_000, ..Odds::HONEST });
        say(&mut forgetful);
        assert!(!forgetful.sessions.contains_key("speaker"));
        let mut honest = hub(Odds::HONEST);
        assert_eq!(honest.closed(SPEAKER, false).len(), 1);
        assert!(honest.closed(LISTENER, true).is_empty());
    }
}
