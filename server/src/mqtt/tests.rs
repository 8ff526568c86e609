//! A connection against a broker that is written out byte by byte.
use std::{net::SocketAddr, sync::Arc};

use kioskwatch_proto::{
    KioskId,
    topic::{Channel, Topic},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::clock::Stopwatch;

const GRANTED: u8 = 0x00;
const NOT_AUTHORIZED: u8 = 0x87;

/// One client of the broker.
struct Session(TcpStream);

impl Session {
    async fn accept(listener: &TcpListener) -> Self {
        let mut session = Self(listener.accept().await.unwrap().0);
        assert_eq!(session.packet().await.0 >> 4, 1, "CONNECT");
        session.send(&[0x20, 3, 0, 0, 0]).await;
        session
    }

    /// First byte and body.
    async fn packet(&mut self) -> (u8, Vec<u8>) {
        let first = self.0.read_u8().await.unwrap();
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let byte = self.0.read_u8().await.unwrap();
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        (first, body)
    }

    /// The next SUBSCRIBE; whatever else comes is passed over.
    async fn subscribe(&mut self) -> Vec<u8> {
        loop {
            let (first, body) = self.packet().await;
            if first >> 4 == 8 {
                return body;
            }
        }
    }

    async fn answer(&mut self, subscribe: &[u8], codes: &[u8]) {
        let length = u8::try_from(3 + codes.len()).unwrap();
        self.send(&[&[0x90, length, subscribe[0], subscribe[1], 0], codes].concat()).await;
    }

    /// The next message that was published, as it came; whatever else comes is passed over.
    async fn own_publish(&mut self) -> Vec<u8> {
        loop {
            let (first, body) = self.packet().await;
            if first >> 4 == 3 {
                return [&[first, u8::try_from(body.len()).unwrap()], &body[..]].concat();
            }
        }
    }

    /// At most once, nothing retained.
    async fn publish(&mut self, topic: &Topic, payload: &[u8]) {
        let topic = topic.to_string();
        let length = 2 + topic.len() + 1 + payload.len();
        let mut bytes =
            vec![0x30, u8::try_from(length % 128 + 128).unwrap(), u8::try_from(length / 128).unwrap()];
        bytes.extend([0, u8::try_from(topic.len()).unwrap()]);
        bytes.extend(topic.as_bytes());
        bytes.push(0);
        bytes.extend(payload);
        self.send(&bytes).await;
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }
}

fn link(address: SocketAddr, lane: Lane) -> (Link, Outlet) {
    let bucket = Bucket { per_second: 1_000_000, burst: 1_000_000 };
    let options = LinkOptions {
        address: BrokerAddress {
            host: address.ip().to_string(),
            port: address.port(),
            tls: None,
            user: None,
            password_file: None,
        },
        client_id: "server-1".to_owned(),
        lane,
        allowance: Allowance { messages: bucket, bytes: Bucket { burst: 1 << 30, ..bucket } },
    };
    Link::start(options, Arc::new(Clock::start())).unwrap()
}

/// The journal's connection, with everything granted.
async fn connected() -> (Link, Outlet, Session) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (link, mut events) = link(listener.local_addr().unwrap(), Lane::Journal);
    let mut session = Session::accept(&listener).await;
    let subscribe = session.subscribe().await;
    session.answer(&subscribe, &[GRANTED; 5]).await;
    assert!(matches!(events.recv().await.unwrap().0, LinkEvent::Up(Lane::Journal)));
    (link, events, session)
}

#[tokio::test]
async fn a_refused_subscription_is_no_connection_and_says_which_one_and_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (link, mut events) = link(listener.local_addr().unwrap(), Lane::Beats);
    let mut session = Session::accept(&listener).await;
    let subscribe = session.subscribe().await;
    session.answer(&subscribe, &[NOT_AUTHORIZED]).await;
    match events.recv().await.unwrap().0 {
        LinkEvent::Down(Lane::Beats, reason, _) => {
            assert!(reason.contains("heartbeat") && reason.contains("NotAuthorized"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    // Rights may be given meanwhile: it tries again.
    let mut session = Session::accept(&listener).await;
    let subscribe = session.subscribe().await;
    session.answer(&subscribe, &[GRANTED]).await;
    assert!(matches!(events.recv().await.unwrap().0, LinkEvent::Up(Lane::Beats)));
    link.stop().await;
}

#[tokio::test]
async fn a_broken_connection_says_since_when_it_had_delivered_nothing() {
    let (link, mut events, session) = connected().await;
    // The last packet came before this.
    let up = Stopwatch::start();
    drop(session);
    match events.recv().await.unwrap().0 {
        LinkEvent::Down(Lane::Journal, _, delivered) => {
            let known = up.elapsed();
            assert!(delivered.elapsed() >= known, "{delivered:?} is later than {known:?} ago");
        }
        other => panic!("{other:?}"),
    }
    link.stop().await;
}

#[tokio::test]
async fn presence_and_inventory_that_were_given_up_are_asked_for_again_when_there_is_room() {
    let (link, mut events, mut session) = connected().await;
    let topic = |channel| Topic::new(KioskId::new("K-1").unwrap(), channel);
    for _ in 0..RECEIVE_QUEUE {
        session.publish(&topic(Channel::Journal), b"{}").await;
    }
    session.publish(&topic(Channel::Inventory), b"{}").await;
    let mut look = tokio::time::interval(Duration::from_millis(20));
    while link.counters().dropped_incoming.load(std::sync::atomic::Ordering::Relaxed) == 0 {
        look.tick().await;
    }
    // The ingest goes on.
    for _ in 0..RECEIVE_QUEUE {
        assert!(matches!(events.recv().await.unwrap().0, LinkEvent::Message(_)));
    }
    let again = session.subscribe().await;
    let filters = String::from_utf8_lossy(&again[3..]).into_owned();
    let asked = [Channel::Presence, Channel::Inventory, Channel::Journal, Channel::Progress];
    let asked = asked.map(|channel| filters.contains(&Topic::fleet_filter(channel)));
    assert_eq!(asked, [true, true, false, false], "{filters:?}");
    session.answer(&again, &[GRANTED; 2]).await;
    session.publish(&topic(Channel::Inventory), b"{}").await;
    // The connection is the same.
    assert!(matches!(events.recv().await.unwrap().0, LinkEvent::Message(_)));
    link.stop().await;
}

/// What the broker reads until the connection is gone.
async fn gone(session: &mut Session) {
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(30), session.0.read_to_end(&mut rest));
    // A reset is as good as an end.
    let _ = end.await.expect("the connection is still there");
}

#[tokio::test]
async fn heartbeats_that_come_while_their_connection_rests_are_all_read_and_it_ends_when_it_is_told_to() {
    const MANY: usize = 3_000;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (link, mut events) = link(listener.local_addr().unwrap(), Lane::Beats);
    let mut session = Session::accept(&listener).await;
    let subscribe = session.subscribe().await;
    session.answer(&subscribe, &[GRANTED]).await;
    assert!(matches!(events.recv().await.unwrap().0, LinkEvent::Up(Lane::Beats)));
    let topic = Topic::new(KioskId::new("K-1").unwrap(), Channel::Heartbeat);
    let sending = tokio::spawn(async move {
        for _ in 0..MANY {
            session.publish(&topic, &[b'x'; 400]).await;
        }
        session
    });
    for _ in 0..MANY {
        assert!(matches!(events.recv().await.unwrap().0, LinkEvent::Message(_)));
    }
    let mut session = sending.await.unwrap();
    link.stop().await;
    gone(&mut session).await;
}

#[tokio::test]
async fn a_connection_of_heartbeats_that_hangs_ends_all_the_same() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (link, _events) = link(listener.local_addr().unwrap(), Lane::Beats);
    let mut session = Session(listener.accept().await.unwrap().0);
    assert_eq!(session.packet().await.0 >> 4, 1, "CONNECT, which nobody answers");
    link.stop().await;
    gone(&mut session).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_drops_of_a_storm_of_heartbeats_is_noticed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (link, mut events) = link(listener.local_addr().unwrap(), Lane::Beats);
    let mut session = Session::accept(&listener).await;
    let subscribe = session.subscribe().await;
    session.answer(&subscribe, &[GRANTED]).await;
    assert!(matches!(events.recv().await.unwrap().0, LinkEvent::Up(Lane::Beats)));
    let beat = Topic::new(KioskId::new("K-1").unwrap(), Channel::Heartbeat);
    let (told, mut loses) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some((event, _room)) = events.recv().await {
            if let LinkEvent::Loses(per_mille) = event {
                told.send(per_mille).unwrap();
            }
        }
    });
    // Of what the server says to itself every other message is dropped, as of everything else; later none is.
    let (mut storm, mut last) = (true, 0);
    let story = async {
        for number in 0.. {
            let own = session.own_publish().await;
            if number % 2 == 0 || !storm {
                session.send(&own).await;
            }
            while let Ok(per_mille) = loses.try_recv() {
                assert!((250..=750).contains(&per_mille) || !storm, "{per_mille}");
                storm &= number < 30;
                last = per_mille;
            }
            if !storm && last == 0 {
                return;
            }
            for _ in 0..300 {
                session.publish(&beat, b"{}").await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), story).await.expect("told, and taken back");
    link.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_on_which_none_of_our_own_messages_comes_back_any_more_is_made_anew() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (link, mut events) = link(listener.local_addr().unwrap(), Lane::Beats);
    let mut session = Session::accept(&listener).await;
    let subscribe = session.subscribe().await;
    session.answer(&subscribe, &[GRANTED]).await;
    let beat = Topic::new(KioskId::new("K-1").unwrap(), Channel::Heartbeat);
    // The right to publish is taken away, and everybody else is still heard. It ends with the connection.
    let broker = tokio::spawn(async move {
        let own = session.own_publish().await;
        session.send(&own).await;
        loop {
            for _ in 0..300 {
                session.publish(&beat, b"{}").await;
            }
            session.own_publish().await;
        }
    });
    let down = async {
        loop {
            if let LinkEvent::Down(_, reason, _) = events.recv().await.unwrap().0 {
                return reason;
            }
        }
    };
    let reason = tokio::time::timeout(Duration::from_secs(120), down).await.expect("noticed");
    assert_eq!(reason, "the broker delivers none of our own messages any more");
    assert!(broker.await.is_err(), "the connection was closed");
    link.stop().await;
}
