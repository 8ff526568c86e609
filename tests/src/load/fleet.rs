//! Virtual kiosks on shared connections, and the bare subscriber beside the server.
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use kioskwatch_proto::{
    BootId, Epoch, KioskId, SessionId, Timestamp,
    topic::{Channel, Topic},
};
use rumqttc::v5::{
    AsyncClient, Event, MqttOptions,
    mqttbytes::{QoS, v5::Packet},
};
use serde_json::json;
use tokio::{task::JoinHandle, time::Instant};
use uuid::Uuid;

use super::Options;

/// Paced in steps of this length.
const STEP: Duration = Duration::from_millis(20);

/// What was sent in the measured time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sent {
    pub heartbeats: u64,
    pub faults: u64,
    pub seconds: f64,
}

struct VirtualKiosk {
    id: KioskId,
    boot: BootId,
    session: SessionId,
    epoch: Epoch,
    beats: u64,
    records: u64,
    faulty: bool,
}

/// See the module.
pub struct VirtualFleet {
    clients: Vec<AsyncClient>,
    tasks: Vec<JoinHandle<()>>,
    kiosks: tokio::sync::Mutex<Vec<VirtualKiosk>>,
    rate: u64,
    faults: u64,
}

impl VirtualFleet {
    pub async fn connect(options: &Options, broker: SocketAddr) -> Result<Self, String> {
        let mut clients = Vec::new();
        let mut tasks = Vec::new();
        for index in 0..options.connections {
            let mut mqtt = MqttOptions::new(format!("load-{index}"), broker.ip().to_string(), broker.port());
            mqtt.set_keep_alive(Duration::from_secs(30));
            mqtt.set_clean_start(true);
            mqtt.set_outgoing_inflight_upper_limit(1_000);
            let (client, mut events) = AsyncClient::new(mqtt, 4_096);
            let (connected, up) = tokio::sync::oneshot::channel();
            tasks.push(tokio::spawn(async move {
                let mut connected = Some(connected);
                loop {
                    match events.poll().await {
                        Ok(Event::Incoming(Packet::ConnAck(_))) => {
                            if let Some(connected) = connected.take() {
                                let _ = connected.send(());
                            }
                        }
                        Ok(_) => {}
                        Err(error) => {
                            tracing::warn!(%error, "a load connection was lost");
                            tokio::time::sleep(Duration::from_millis(200)).await;
                        }
                    }
                }
            }));
            up.await.map_err(|_| "a load connection was never made".to_owned())?;
            clients.push(client);
        }
        let kiosks = (0..options.kiosks)
            .map(|index| {
                Ok(VirtualKiosk {
                    id: KioskId::new(&format!("L-{index:06}")).map_err(|e| e.to_string())?,
                    boot: BootId(Uuid::new_v4()),
                    session: SessionId(Uuid::new_v4()),
                    epoch: Epoch(Uuid::new_v4()),
                    beats: 0,
                    records: 0,
                    faulty: false,
                })
            })
            .collect::<Result<Vec<_>, String>>()?;
        Ok(Self {
            clients,
            tasks,
            kiosks: tokio::sync::Mutex::new(kiosks),
            rate: options.rate,
            faults: options.faults,
        })
    }

    /// Every kiosk says who it is and what it holds: presence and a first snapshot.
    pub async fn introduce(&self) -> Result<(), String> {
        let now = now();
        for (index, kiosk) in self.kiosks.lock().await.iter_mut().enumerate() {
            let presence = json!({
                "state": "online", "session": kiosk.session, "boot": kiosk.boot, "epoch": kiosk.epoch, "at": now,
            });
            self.publish(index, &kiosk.id, Channel::Presence, presence.to_string()).await?;
            let snapshot = kiosk.record(
                now,
                json!({"kind": "snapshot", "service": "in_service",
                       "peripherals": {"printer": {"status": "online", "faults": []}}}),
            );
            self.publish(index, &kiosk.id, Channel::Journal, snapshot).await?;
        }
        // The server takes them in before anything is measured.
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(())
    }

    /// Heartbeats and faults at the wanted rates, evenly over the kiosks.
    pub async fn play(&self, length: Duration) -> Result<Sent, String> {
        let started = Instant::now();
        let mut sent = Sent::default();
        let mut tick = tokio::time::interval(STEP);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        let mut kiosks = self.kiosks.lock().await;
        let count = kiosks.len() as u64;
        while started.elapsed() < length {
            tick.tick().await;
            let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let now = now();
            while sent.heartbeats < self.rate * elapsed_ms / 1_000 {
                let index = usize::try_from(sent.heartbeats % count).unwrap_or(0);
                let kiosk = &mut kiosks[index];
                let beat = kiosk.heartbeat(now);
                self.publish(index, &kiosk.id, Channel::Heartbeat, beat).await?;
                sent.heartbeats += 1;
            }
            while sent.faults < self.faults * elapsed_ms / 1_000 {
                // A stride that visits every kiosk before it comes back to one.
                let index = usize::try_from((sent.faults * 7_919) % count).unwrap_or(0);
                let kiosk = &mut kiosks[index];
                kiosk.faulty = !kiosk.faulty;
                let state = if kiosk.faulty { "raised" } else { "cleared" };
                let record = kiosk.record(
                    now,
                    json!({"kind": "fault", "peripheral": "printer", "fault": "paper_out", "state": state,
                           "severity": "minor", "detail": {}}),
                );
                self.publish(index, &kiosk.id, Channel::Journal, record).await?;
                sent.faults += 1;
            }
        }
        sent.seconds = started.elapsed().as_secs_f64();
        Ok(sent)
    }

    async fn publish(
        &self,
        index: usize,
        kiosk: &KioskId,
        channel: Channel,
        payload: String,
    ) -> Result<(), String> {
        let client = &self.clients[index % self.clients.len()];
        let topic = Topic::new(kiosk.clone(), channel).to_string();
        let qos = if channel.qos() == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        client.publish(topic, qos, channel.retained(), payload).await.map_err(|e| e.to_string())
    }
}

impl Drop for VirtualFleet {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl VirtualKiosk {
    /// A heartbeat of 15 values.
    fn heartbeat(&mut self, now: Timestamp) -> String {
        self.beats += 1;
        json!({
            "boot": self.boot, "session": self.session, "seq": self.beats, "at": now, "mono_ms": now.ms(),
            "interval_s": 30, "uptime_s": 1_000 + self.beats, "service": if self.faulty { "out_of_service" } else { "in_service" },
            "peripherals": {"printer": {"status": "online", "faults": []}, "ups": {"status": "online", "faults": []}},
            "host": {"cpu_ratio": 0.12, "memory_used_ratio": 0.5, "disk_used_ratio": 0.7, "temperature_celsius": 45.1},
            "journal": {"epoch": self.epoch, "last_seq": self.records, "pending": 0},
        })
        .to_string()
    }

    fn record(&mut self, now: Timestamp, mut body: serde_json::Value) -> String {
        self.records += 1;
        body["seq"] = self.records.into();
        body["boot"] = self.boot.to_string().into();
        body["at"] = now.to_string().into();
        body["mono_ms"] = now.ms().into();
        json!({"epoch": self.epoch, "first": 1, "records": [body]}).to_string()
    }
}

/// Receives heartbeats and does nothing with them: as fast as a subscriber can be here.
pub struct BareSubscriber {
    received: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl BareSubscriber {
    pub async fn start(broker: SocketAddr) -> Result<Self, String> {
        let mut mqtt = MqttOptions::new("load-bare", broker.ip().to_string(), broker.port());
        mqtt.set_keep_alive(Duration::from_secs(30));
        mqtt.set_clean_start(true);
        let (client, mut events) = AsyncClient::new(mqtt, 16);
        let received = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&received);
        let (subscribed, up) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let mut subscribed = Some(subscribed);
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        let _ =
                            client.try_subscribe(Topic::fleet_filter(Channel::Heartbeat), QoS::AtMostOnce);
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => {
                        if let Some(subscribed) = subscribed.take() {
                            let _ = subscribed.send(());
                        }
                    }
                    Ok(Event::Incoming(Packet::Publish(_))) => {
                        counter.fetch_add(1, Relaxed);
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
                }
            }
        });
        up.await.map_err(|_| "the bare subscriber never subscribed".to_owned())?;
        Ok(Self { received, task })
    }

    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }
}

impl Drop for BareSubscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn now() -> Timestamp {
    kioskwatch_server::clock::Clock::start().now()
}
