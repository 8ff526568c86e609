//! Every connection drops at once, without a goodbye, and returns with full jitter: who is back when, and
//! what the server made of it.
use std::{pin::pin, sync::Arc, time::Duration};

use kioskwatch_agent::mqtt::jitter;
use kioskwatch_proto::topic::Channel;
use rumqttc::{
    Transport,
    v5::{
        AsyncClient, Event, EventLoop, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{LastWill, Packet},
        },
    },
};
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

use super::{
    delay::Delays,
    goal::Goal,
    kiosk::{Beat, VirtualKiosk, now},
    live::{FloodLimit, Stage},
    options::StormOptions,
    page::Page,
    process::{Watched, raise_file_limit},
};
use crate::harness::wait::wait_for;

/// Descriptors of each process beside the connections.
const OTHER_FILES: u64 = 500;
/// Connections being made at the same time before the storm.
const CONNECTING_AT_ONCE: usize = 200;
const PATIENCE: Duration = Duration::from_secs(300);
/// Everybody must be back by then.
const BACK_WITHIN: Duration = Duration::from_secs(120);

/// Whose certificate all of them show: to make one for each takes longer than the storm.
const SHOWN: &str = "K-0001";

/// Where kiosks come in.
#[derive(Clone)]
struct Door {
    host: String,
    port: u16,
    transport: Transport,
}

impl Door {
    fn of(stage: &Stage) -> Result<Self, String> {
        let plain = stage.mosquitto.address();
        Ok(match &stage.tls {
            None => Self { host: plain.ip().to_string(), port: plain.port(), transport: Transport::tcp() },
            Some(tls) => {
                Self { host: "localhost".to_owned(), port: tls.port, transport: tls.transport(SHOWN)? }
            }
        })
    }
}

/// One kiosk with a connection of its own.
struct Caller {
    kiosk: VirtualKiosk,
    client: AsyncClient,
    events: EventLoop,
    connection: u32,
}

impl Caller {
    /// Connects, says who it is, and beats once.
    async fn open(kiosk: VirtualKiosk, connection: u32, interval_s: u32, door: Door) -> Result<Self, String> {
        let mut options = MqttOptions::new(kiosk.id().as_str(), door.host, door.port);
        options.set_transport(door.transport);
        options.set_keep_alive(Duration::from_secs(60));
        options.set_clean_start(true);
        options.set_outgoing_inflight_upper_limit(16);
        let will = kiosk.presence("offline", connection, now());
        let topic = kiosk.topic(Channel::Presence);
        options.set_last_will(LastWill::new(topic.clone(), will, QoS::AtLeastOnce, true, None));
        let (client, mut events) = AsyncClient::new(options, 16);
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => break,
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        let (at, presence) = (now(), kiosk.presence("online", connection, now()));
        let hello = client.try_publish(topic, QoS::AtLeastOnce, true, presence);
        let beat = Beat { connection, seq: 1, at, interval_s, records: 0, faulty: false };
        let beat = client.try_publish(
            kiosk.topic(Channel::Heartbeat),
            QoS::AtMostOnce,
            false,
            kiosk.heartbeat(&beat),
        );
        hello.and(beat).map_err(|e| e.to_string())?;
        Ok(Self { kiosk, client, events, connection })
    }

    /// Beats until `until`; the connection is then torn without a goodbye, because it is dropped.
    async fn stay(
        self,
        interval_s: u32,
        until: &mut tokio::sync::watch::Receiver<bool>,
    ) -> Result<(), String> {
        let Self { kiosk, client, mut events, connection } = self;
        let every = Duration::from_secs(interval_s.into());
        // Spread over the interval from the first one on.
        let first = Instant::now() + every.mul_f64(f64::from(kiosk.0 % 1_000) / 1_000.0);
        let mut beats = tokio::time::interval_at(first, every);
        let mut seq = 1;
        loop {
            // Polled until it is done: a beat must not cut a half-written packet.
            let mut poll = pin!(events.poll());
            let event = loop {
                tokio::select! {
                    _ = until.wait_for(|over| *over) => return Ok(()),
                    _ = beats.tick() => {
                        seq += 1;
                        let at = now();
                        let beat = Beat { connection, seq, at, interval_s, records: 0, faulty: false };
                        let topic = kiosk.topic(Channel::Heartbeat);
                        let _ = client.try_publish(topic, QoS::AtMostOnce, false, kiosk.heartbeat(&beat));
                    }
                    event = &mut poll => break event,
                }
            };
            event.map_err(|e| format!("{} lost its connection: {e}", kiosk.id()))?;
        }
    }
}

pub async fn run(options: &StormOptions) -> Result<String, String> {
    let (count, interval_s, most_ms) =
        (options.connections.max(1), options.interval, u64::from(options.spread) * 1_000);
    raise_file_limit(u64::from(count) + OTHER_FILES)?;
    kioskwatch_server::run::install_tls_provider();
    let certificates: &[&str] = if options.tls { &[SHOWN] } else { &[] };
    let mut stage = Stage::set_with_doors_for(&options.stage, FloodLimit::Default, certificates).await?;
    let door = Door::of(&stage)?;
    let connecting = Arc::new(Semaphore::new(CONNECTING_AT_ONCE));
    let (storm, is_storm) = tokio::sync::watch::channel(false);
    let mut before = JoinSet::new();
    for kiosk in (0..count).map(VirtualKiosk) {
        let (connecting, mut is_storm, door) = (Arc::clone(&connecting), is_storm.clone(), door.clone());
        before.spawn(async move {
            let place = connecting.acquire_owned().await.map_err(|e| e.to_string())?;
            let caller = Caller::open(kiosk, 1, interval_s, door).await?;
            drop(place);
            caller.stay(interval_s, &mut is_storm).await.map(|()| kiosk)
        });
    }
    everybody(&stage, "online", count).await?;

    // Torn: every process forgets its connection at the same moment, and the broker speaks the wills.
    let _ = storm.send(true);
    let mut callers = Vec::new();
    while let Some(caller) = before.join_next().await {
        callers.push(caller.map_err(|e| e.to_string())??);
    }
    let torn = Instant::now();
    let (over, is_over) = tokio::sync::watch::channel(false);
    let (back, mut returned) = tokio::sync::mpsc::unbounded_channel();
    let mut after = JoinSet::new();
    for kiosk in callers {
        let (mut back, mut is_over, door) = (Some(back.clone()), is_over.clone(), door.clone());
        after.spawn(async move {
            let (mut failures, mut connection) = (0, 1);
            while !*is_over.borrow() {
                tokio::time::sleep(jitter::pause(failures, most_ms)).await;
                connection += 1;
                failures += 1;
                let opened = Caller::open(kiosk, connection, interval_s, door.clone()).await;
                let Ok(caller) = opened else { continue };
                if let Some(back) = back.take() {
                    let _ = back.send((torn.elapsed(), failures));
                }
                // Whoever loses it again comes back again, as an agent would.
                if caller.stay(interval_s, &mut is_over).await.is_err() {
                    failures = 0;
                }
            }
        });
    }
    drop(back);
    let watched = watch(&stage, torn, Duration::from_secs(u64::from(interval_s) * 4));
    let collected = async {
        let (mut delays, mut attempts) = (Delays::default(), 0);
        while delays.len() < count as usize {
            let Some((delay, tried)) = returned.recv().await else { break };
            delays.add(delay);
            attempts += tried;
        }
        (delays, attempts)
    };
    let ((delays, attempts), worst) = tokio::join!(collected, watched);
    let worst = worst?;
    everybody(&stage, "online", count).await?;
    let memory = stage.process()?.resident_kib()?;
    let own = Watched::this().resident_kib()?.all;
    let _ = over.send(true);
    after.shutdown().await;
    stage.store.close().await;
    stage.server.stop().await.map_err(|e| e.to_string())?;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let mib = |kib: u64| kib as f64 / 1_024.0;
    let report = format!(
        "{count} connections at {interval_s} s drop at once and return with full jitter, {}, Mosquitto\n  \
         back again     {delays}; {attempts} attempts\n  \
         false offline  {:>6} at any look, {} tickets\n  \
         server memory  {:>6.1} MiB at most{} (Zabbix 6.0 with its database 458); generator {:.1} MiB\n",
        if options.tls { "TLS 1.3 with certificates" } else { "without TLS" },
        worst.offline,
        worst.tickets,
        mib(memory.most),
        Goal::of_memory(count).map_or(String::new(), |goal| format!(" {}", goal.of(mib(memory.most)))),
        mib(own),
    );
    let in_time = delays.quantile(1.0).is_some_and(|longest| longest <= BACK_WITHIN);
    if delays.len() < count as usize || !in_time || worst.offline > 0 || worst.tickets > 0 {
        return Err(format!("the fleet did not come back unharmed\n{report}"));
    }
    Ok(report)
}

/// Waits until all kiosks have this verdict.
async fn everybody(stage: &Stage, presence: &str, count: u32) -> Result<(), String> {
    let all = || async {
        match Page::read(&stage.server).await?.kiosks(presence) {
            so_many if so_many >= u64::from(count) => Ok(()),
            so_many => Err(format!("{so_many} of {count} are {presence}")),
        }
    };
    wait_for("every kiosk's verdict", PATIENCE, all).await.map_err(|e| e.to_string())
}

/// The worst that was seen.
#[derive(Debug, Clone, Copy, Default)]
struct Worst {
    offline: u64,
    tickets: u64,
}

/// Looks at the server's verdicts for as long as a wrong one could still fall.
async fn watch(stage: &Stage, since: Instant, length: Duration) -> Result<Worst, String> {
    let mut worst = Worst::default();
    while since.elapsed() < length {
        let page = Page::read(&stage.server).await?;
        worst.offline = worst.offline.max(page.kiosks("offline"));
        worst.tickets = page.tickets_opened();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(worst)
}
