//! One kiosk publishes under its own topics as fast as the broker takes it, beside a fleet that works.
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use kioskwatch_proto::{
    KioskId,
    topic::{Channel, Topic},
};
use kioskwatch_server::store::Store;
use kioskwatch_tests::harness::{
    application::Application,
    client::Client,
    stack::{PATIENCE, Plan, Stack},
    wait::{wait_for, wait_until},
};
use rumqttc::v5::{AsyncClient, MqttOptions, mqttbytes::QoS};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::{disk::business_goes_on, lines, program, stall::resident_mib};

const FLOODER: &str = "K-0666";
/// What a flood may cost the server's memory: far more than one kiosk's burst on both connections, and less than
/// what is dropped here, if it were kept.
const GROWTH_MIB: u64 = 48;
/// Messages of the flood that reach the server and are dropped before anything is seen as settled.
const DROPPED: f64 = 3_000.0;
/// Once it has grown it stays: what may come on top of it while so many more are dropped, three times as many on both
/// connections as before. Kept, each would take kilobytes.
const LATER_MIB: u64 = 8;
const MORE: f64 = 3.0 * 2.0 * DROPPED;

fn topic(channel: Channel) -> String {
    Topic::new(KioskId::new(FLOODER).unwrap(), channel).to_string()
}

fn now() -> String {
    kioskwatch_server::clock::Clock::start().now().to_string()
}

/// Everything a kiosk can say that is of no use: unreadable, too large, endless, or about nothing.
struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Flood {
    fn start(stack: &Stack) -> Self {
        let (boot, session, epoch) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
        let beat = json!({
            "boot": boot, "session": session, "seq": 1, "at": now(), "mono_ms": 1_000, "interval_s": 30, "uptime_s": 1,
            "service": "in_service", "peripherals": {}, "host": {},
            "journal": {"epoch": epoch, "last_seq": 0, "pending": 0}
        });
        let gap = json!({"seq": 9, "boot": boot, "at": now(), "mono_ms": 1, "kind": "alive", "until": now()});
        let beyond = json!({"epoch": epoch, "first": 1, "records": vec![gap; 100]});
        let journal = vec![
            (topic(Channel::Journal), b"{\"epoch\":\"nonsense\", \xFF".to_vec()),
            (topic(Channel::Journal), vec![b'x'; 66 * 1024]),
            (topic(Channel::Presence), b"[]".to_vec()),
            (topic(Channel::Journal), beyond.to_string().into_bytes()),
        ];
        let beats = vec![(topic(Channel::Heartbeat), beat.to_string().into_bytes())];
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let broker = stack.broker.address();
        let tasks = [("flood-journal", QoS::AtLeastOnce, journal), ("flood-beats", QoS::AtMostOnce, beats)]
            .into_iter()
            .flat_map(|(id, qos, messages)| {
                let mut options = MqttOptions::new(id, broker.ip().to_string(), broker.port());
                options.set_max_packet_size(Some(1024 * 1024));
                let (client, mut events) = AsyncClient::new(options, 16);
                let line = tokio::spawn(async move { while events.poll().await.is_ok() {} });
                let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
                let voice = tokio::spawn(async move {
                    for (topic, payload) in messages.iter().cycle() {
                        let said = client.publish(topic, qos, false, payload.clone()).await;
                        if said.is_err() || stop.load(SeqCst) {
                            return;
                        }
                        sent.fetch_add(1, SeqCst);
                    }
                });
                [line, voice]
            })
            .collect();
        Self { stop, sent, tasks }
    }

    async fn goes_on(&self) {
        let wanted = self.sent.load(SeqCst) + 2_000;
        wait_until("the flood to go on", PATIENCE, || async {
            let sent = self.sent.load(SeqCst);
            if sent >= wanted { Ok(()) } else { Err(format!("{sent} of {wanted}")) }
        })
        .await;
    }

    fn stop(self) {
        self.stop.store(true, SeqCst);
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn over_allowance(queue: &str) -> String {
    format!("kioskwatch_dropped_total{{queue=\"{queue}\",reason=\"flood\"}}")
}

/// Another heartbeat of each kiosk that works.
async fn the_others_are_heard(stack: &Stack) {
    for kiosk in &stack.kiosks {
        let seen = stack.kiosk(&kiosk.id).await.unwrap();
        let before = seen["presence"]["last_seen_at"].clone();
        let again = |k: &Value| {
            assert_ne!(k["presence"]["state"], "offline", "{k}");
            k["presence"]["last_seen_at"].as_str() > before.as_str()
        };
        stack.kiosk_until(&kiosk.id, "another heartbeat", &again).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_from_one_kiosk_is_dropped_counted_and_told_once_and_the_fleet_does_not_notice() {
    let plan = Plan::new(program()).kiosk("K-0001", "S-01").kiosk("K-0002", "S-02");
    let mut stack = plan.start().await;
    let pid = stack.server.process().unwrap().id().unwrap();
    let before = resident_mib(pid);

    let flood = Flood::start(&stack);
    stack.metric_reaches(&over_allowance("journal_in"), DROPPED).await;
    stack.metric_reaches(&over_allowance("beats_in"), DROPPED).await;
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    stack.ticket("K-0001", "cover_open").await;
    the_others_are_heard(&stack).await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(stack.server.monitoring_api().get(path).await.unwrap().status, 200, "{path}");
    }
    flood.goes_on().await;
    let flood_events = "kioskwatch_security_events_total{event=\"flood\"}";
    stack.metric_reaches(flood_events, 1.0).await;
    let kiosk = stack.kiosk(FLOODER).await.unwrap();
    assert!(kiosk["flood"]["dropped"].as_u64().unwrap() >= DROPPED as u64, "{kiosk}");
    let grown = resident_mib(pid).saturating_sub(before);
    assert!(grown <= GROWTH_MIB, "{before} MiB, and {grown} more in the flood");
    memory_stays_flat(&stack, pid).await;
    flood.stop();

    // Told once, whatever the number of messages and connections.
    let told = stack.metric(flood_events).await.unwrap();
    assert_eq!(told, 1.0);
    let log = stack.server.log();
    assert_eq!(log.matches("a kiosk sends too much").count(), told as usize, "{log}");
    let audit = stack.api().list("/api/v1/audit").await.unwrap();
    let flooded: Vec<_> = audit.iter().filter(|entry| entry["action"] == "flood").collect();
    assert_eq!(flooded.len(), 1, "{audit:#?}");

    // Nothing of it is held against the kiosk: what it sends again is taken.
    it_is_heard_again(&stack).await;
    the_others_are_heard(&stack).await;
    for kiosk in &stack.kiosks {
        assert!(stack.tickets(&kiosk.id, "kiosk_offline").await.unwrap().is_empty());
    }
    assert!(stack.server.process_runs() && stack.server.process().unwrap().id() == Some(pid));
}

/// Whether there are some thousand messages or tens of thousands.
async fn memory_stays_flat(stack: &Stack, pid: u32) {
    let dropped = async || {
        let [journal, beats] = ["journal_in", "beats_in"].map(over_allowance);
        Ok::<f64, String>(stack.metric(&journal).await? + stack.metric(&beats).await?)
    };
    let (before, first) = (resident_mib(pid), dropped().await.unwrap());
    wait_until("many more messages", PATIENCE * 4, || async {
        let now = dropped().await?;
        if now >= first + MORE { Ok(()) } else { Err(format!("{now}, of {MORE} more than {first}")) }
    })
    .await;
    let after = resident_mib(pid);
    assert!(after <= before + LATER_MIB, "{before} MiB after {first}, {after} after {MORE} more");
}

/// A server that takes nothing for a while is still connected: Mosquitto queues a thousand messages for it and then drops
/// what comes. Agents send again what nobody acknowledged, so that costs nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_mosquitto_drops_when_its_queue_is_full_comes_again() {
    a_full_queue_costs_nothing(Fate::Lives).await;
}

/// Nor what it had queued, which is gone with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_mosquitto_drops_and_holds_when_it_dies_with_a_full_queue_comes_again() {
    a_full_queue_costs_nothing(Fate::Dies).await;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lives,
    Dies,
}

async fn a_full_queue_costs_nothing(broker: Fate) {
    let plan = Plan::new(program()).kiosk("K-0001", "S-01").kiosk("K-0002", "S-02");
    let mut stack = plan.start().await;
    let database = format!("sqlite://{}", stack.server.data_dir.join("kioskwatch.sqlite").display());
    let store = Store::open_beside(&database).await.unwrap();
    let signal = |stack: &Stack, signal| stack.server.process().unwrap().signal(signal).unwrap();

    signal(&stack, Signal::STOP);
    let flood = Flood::start(&stack);
    let drops = || async {
        let log = stack.broker.log();
        if log.contains("Outgoing messages are being dropped for client") { Ok(()) } else { Err(log) }
    };
    wait_until("Mosquitto's queue to overflow", PATIENCE, drops).await;
    flood.stop();
    // It stays full: whatever the kiosks tell now is dropped.
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    let applications: Vec<_> =
        stack.kiosks.iter().map(|kiosk| Application::start(&kiosk.socket(), 1)).collect();
    for application in &applications {
        business_goes_on(application, 20).await;
    }
    drop(applications);
    if broker == Fate::Dies {
        stack.broker.restart().await.unwrap();
    }
    signal(&stack, Signal::CONT);

    stack.ticket("K-0001", "cover_open").await;
    lines::everything_arrives_and_nobody_is_offline(&stack, &store).await;
    store.close().await;
}

/// As an agent does: the same record again and again, until the server has it.
async fn it_is_heard_again(stack: &Stack) {
    let filters = Topic::agent_filters(&KioskId::new(FLOODER).unwrap());
    let mut client = Client::connect(stack.broker.address(), FLOODER, &filters).await.unwrap();
    let epoch = Uuid::new_v4();
    let record = json!({"seq": 1, "boot": Uuid::new_v4(), "at": now(), "mono_ms": 1, "kind": "snapshot",
                        "service": "in_service", "peripherals": {}});
    let batch = json!({"epoch": epoch, "first": 1, "records": [record]}).to_string();
    let resend_pause = Duration::from_secs(1);
    for _ in 0..PATIENCE.as_secs() {
        client.say(&topic(Channel::Journal), batch.clone(), false).await.unwrap();
        let acknowledged = || async {
            let acks = client.heard(Channel::Ack.as_str());
            let it = acks.iter().find(|ack| ack["epoch"] == epoch.to_string().as_str() && ack["upto"] == 1);
            it.map(drop).ok_or_else(|| format!("{acks:?}"))
        };
        if wait_for("an acknowledgement", resend_pause, acknowledged).await.is_ok() {
            return;
        }
    }
    panic!("what was sent again was never acknowledged: {:?}", client.heard(Channel::Ack.as_str()));
}
