//! The loop on a real journal, without a broker.
use kioskwatch_proto::{
    KioskId,
    journal::{Body, Record},
    topic::{Channel, Topic},
};

use super::*;
use crate::{config, journal};

struct Kiosk {
    dir: std::path::PathBuf,
    config: Config,
}

impl Kiosk {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("kioskwatch-run-{}", uuid::Uuid::new_v4().simple()));
        let shown = dir.display();
        let text = format!(
            "[kiosk]\nid = \"K-1\"\n[gate]\napplication = \"none\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:1\"\n\
             [journal]\npath = \"{shown}/journal.sqlite\"\ntick_s = 0.1\n[local_api]\nsocket = \"{shown}/s\"\n"
        );
        Self { config: config::parse("test", &text, config::Environment::default()).unwrap(), dir }
    }

    fn records(&self) -> Vec<Body> {
        let mut out = Vec::new();
        // In the moment a journal is replaced there is nothing to read.
        drop(journal::export(&self.config.journal.path, &mut out));
        let text = String::from_utf8(out).unwrap();
        text.lines().map(|line| Record::parse(line).unwrap().body).collect()
    }

    /// Waits until the journal says so; the agent runs meanwhile.
    async fn until(&self, what: impl Fn(&[Body]) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !(self.config.journal.path.exists() && self.dir.join("s").exists() && what(&self.records())) {
            assert!(Instant::now() < deadline, "it never came to that");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Kiosk {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

#[tokio::test]
async fn a_stopped_agent_has_said_so_and_the_next_start_knows() {
    let kiosk = Kiosk::new();
    for clean in [false, true] {
        let (ask, stop) = Stop::by_hand();
        let stopper = async {
            kiosk.until(|records| matches!(records.last(), Some(Body::Snapshot(_)))).await;
            ask.send_modify(|count| *count += 1);
            // Kept until the agent has ended.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = run(&kiosk.config, stop) => ended.unwrap(),
            () = stopper => unreachable!(),
        }
        let records = kiosk.records();
        assert!(matches!(records.last(), Some(Body::Shutdown(_))), "{records:?}");
        let boot =
            records.iter().rev().find_map(|r| if let Body::Boot(b) = r { Some(b.clone()) } else { None });
        let boot = boot.unwrap();
        assert_eq!((boot.clean, boot.previous_alive_until.is_some()), (clean, clean));
    }
}

#[tokio::test]
async fn a_journal_damaged_under_the_running_agent_is_replaced_and_told() {
    let kiosk = Kiosk::new();
    let (ask, stop) = Stop::by_hand();
    let path = kiosk.config.journal.path.clone();
    let mischief = async {
        kiosk.until(|records| matches!(records.last(), Some(Body::Snapshot(_)))).await;
        // A row under the next number: the agent's own then finds its place taken.
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.busy_timeout(Duration::from_secs(5)).unwrap();
        let taken = "INSERT INTO record SELECT seq + 1, seq + 1, kind, json, crc, NULL FROM record
                     ORDER BY seq DESC LIMIT 1";
        conn.execute(taken, []).unwrap();
        drop(conn);
        // A transaction makes the agent write.
        post_transaction(&kiosk.dir.join("s")).await;
        kiosk
            .until(|records| {
                records.iter().any(|r| matches!(r, Body::Fault(f) if f.fault.as_str() == "journal_corrupt"))
            })
            .await;
        ask.send_modify(|count| *count += 1);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = run(&kiosk.config, stop) => ended.unwrap(),
        () = mischief => unreachable!(),
    }
    assert!(kiosk.dir.join("journal.sqlite.corrupt-1").exists());
    let records = kiosk.records();
    assert!(records.iter().any(|r| matches!(r, Body::Transaction(_))), "what was being written is kept");
}

#[tokio::test]
async fn an_agent_without_room_for_its_first_records_lives_and_can_be_stopped() {
    let kiosk = Kiosk::new();
    let path = &kiosk.config.journal.path;
    let limits = journal::JournalConfig::new(path.clone(), kiosk.config.journal.max_bytes, 0);
    drop(journal::Journal::open(&limits).unwrap());
    let no_room = journal::tests::full::NoRoom::in_journal(path);
    let (ask, stop) = Stop::by_hand();
    let stopper = async {
        kiosk.until(|_| true).await;
        assert_eq!(kiosk.records(), []);
        let status = ask_for(&kiosk.dir.join("s"), "GET /v1/status", "").await;
        assert!(status.contains("\"kiosk\":\"K-1\""), "{status}");
        ask.send_modify(|count| *count += 1);
        std::future::pending::<()>().await;
    };
    let both = async {
        tokio::select! {
            ended = run(&kiosk.config, stop) => ended.unwrap(),
            () = stopper => unreachable!(),
        }
    };
    tokio::time::timeout(Duration::from_secs(60), both).await.expect("it hears who asks, and ends");
    // The next start finds room again, and tells.
    drop(no_room);
    let (_ask, stop) = Stop::by_hand();
    tokio::select! {
        ended = run(&kiosk.config, stop) => unreachable!("{ended:?}"),
        () = kiosk.until(|records| matches!(records, [Body::Boot(boot), ..] if !boot.clean)) => {}
    }
}

/// A broker that accepts an agent and then sends it more acknowledgements than it can hear.
async fn talks_too_much(kiosk: &KioskId) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let topic = Topic::new(kiosk.clone(), Channel::Ack).to_string();
    let length = u8::try_from(topic.len()).unwrap();
    let message = [&[0x30, length + 5, 0, length], topic.as_bytes(), &[0], b"{}"].concat();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        // CONNECT and CONNACK; SUBSCRIBE, its packet id behind a length below 128, and SUBACK for two.
        assert!(socket.read(&mut buffer).await.unwrap() > 0);
        socket.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
        assert!(socket.read(&mut buffer).await.unwrap() > 0);
        socket.write_all(&[0x90, 5, buffer[2], buffer[3], 0, 1, 1]).await.unwrap();
        socket.write_all(&message.repeat(2 * EVENTS)).await.unwrap();
        while socket.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    });
    port
}

#[tokio::test]
async fn goodbye_is_said_although_nobody_hears_what_is_still_told() {
    let mut kiosk = Kiosk::new();
    kiosk.config.mqtt.endpoint.port = talks_too_much(&kiosk.config.kiosk.id).await;
    let (mut agent, events) = Start::new(&kiosk.config).unwrap().begin(false).unwrap();
    first_records(&mut agent, Stop::by_hand().1).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while events.len() < EVENTS {
        assert!(Instant::now() < deadline, "only {} events", events.len());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let leaving = tokio::time::timeout(Duration::from_secs(20), leave(agent, events, "stopped"));
    leaving.await.expect("the connection ends");
}

async fn post_transaction(socket: &std::path::Path) {
    let body = r#"{"id":"t1","type":"top_up","outcome":"completed","duration_ms":5}"#;
    ask_for(socket, "POST /v1/transactions", body).await;
}

async fn ask_for(socket: &std::path::Path, what: &str, body: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::UnixStream::connect(socket).await.unwrap();
    let length = body.len();
    let head =
        format!("{what} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    drop(stream.read_to_string(&mut answer).await);
    answer
}
