//! Every connection drops at once, without a goodbye, and returns with full jitter: who is back when, and
//! what the server made of it.
use std::{pin::pin, sync::Arc, time::Duration};

use kioskwatch_agent::mqtt::jitter;
use kioskwatch_proto::{
    Timestamp,
    journal::Ack,
    topic::{Channel, Topic},
};
use rumqttc::{
    Transport,
    v5::{
        AsyncClient, Event, EventLoop, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{Filter, LastWill, Packet},
        },
    },
};
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

use super::{
    delay::Delays,
    goal::Goal,
    kiosk::{Beat, FIRST_RECORDS, VirtualKiosk, now},
    options::StormOptions,
    page::Page,
    process::{Watched, raise_file_limit},
    stage::{FloodLimit, Stage},
    tickets,
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

/// What all kiosks of a run have in common.
#[derive(Clone)]
struct Common {
    host: String,
    port: u16,
    transport: Transport,
    interval_s: u32,
    /// When their journals begin: a record that is told again is the same record.
    began: Timestamp,
}

impl Common {
    fn of(stage: &Stage, interval_s: u32) -> Result<Self, String> {
        let plain = stage.mosquitto.address();
        let (host, port, transport) = match &stage.tls {
            None => (plain.ip().to_string(), plain.port(), Transport::tcp()),
            Some(tls) => ("localhost".to_owned(), tls.port, tls.transport(SHOWN)?),
        };
        Ok(Self { host, port, transport, interval_s, began: now() })
    }
}

/// One kiosk with a connection of its own.
struct Caller {
    kiosk: VirtualKiosk,
    client: AsyncClient,
    connection: u32,
    interval_s: u32,
    began: Timestamp,
}

impl Caller {
    /// Connects, listens, says who it is and what it has, and beats once: as an agent does. What its journal begins with
    /// it tells with its first connection.
    async fn open(kiosk: VirtualKiosk, connection: u32, common: Common) -> Result<(Self, EventLoop), String> {
        let Common { host, port, transport, interval_s, began } = common;
        let mut options = MqttOptions::new(kiosk.id().as_str(), host, port);
        options.set_transport(transport);
        options.set_keep_alive(Duration::from_secs(60));
        options.set_clean_start(true);
        options.set_outgoing_inflight_upper_limit(16);
        let will = kiosk.presence("offline", connection, now());
        let topic = kiosk.topic(Channel::Presence);
        options.set_last_will(LastWill::new(topic, will, QoS::AtLeastOnce, true, None));
        let (client, mut events) = AsyncClient::new(options, 16);
        loop {
            match events.poll().await.map_err(|e| e.to_string())? {
                Event::Incoming(Packet::ConnAck(_)) => {
                    let id = kiosk.id();
                    let filters = Topic::agent_filters(&id).map(|path| Filter::new(path, QoS::AtLeastOnce));
                    client.try_subscribe_many(filters).map_err(|e| e.to_string())?;
                }
                Event::Incoming(Packet::SubAck(_)) => break,
                _ => {}
            }
        }
        let caller = Self { kiosk, client, connection, interval_s, began };
        caller.say(Channel::Presence, kiosk.presence("online", connection, now()))?;
        caller.say(Channel::Inventory, kiosk.inventory())?;
        if connection == 1 {
            caller.tell_journal()?;
        }
        caller.beat(1)?;
        Ok((caller, events))
    }

    fn say(&self, channel: Channel, payload: String) -> Result<(), String> {
        let qos = if channel.qos() == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        let sent = self.client.try_publish(self.kiosk.topic(channel), qos, channel.retained(), payload);
        sent.map_err(|e| e.to_string())
    }

    fn beat(&self, seq: u64) -> Result<(), String> {
        let Self { kiosk, connection, interval_s, .. } = *self;
        let records = FIRST_RECORDS;
        let beat = Beat { connection, seq, at: now(), interval_s, records, faulty: false };
        self.say(Channel::Heartbeat, kiosk.heartbeat(&beat))
    }

    fn tell_journal(&self) -> Result<(), String> {
        self.say(Channel::Journal, self.kiosk.journal(&self.kiosk.first_records(self.began)))
    }

    /// Beats until `until`; the connection is then torn without a goodbye, because it is dropped.
    async fn stay(
        self,
        mut events: EventLoop,
        until: &mut tokio::sync::watch::Receiver<bool>,
    ) -> Result<(), String> {
        let every = Duration::from_secs(self.interval_s.into());
        // Spread over the interval from the first one on.
        let first = Instant::now() + every.mul_f64(f64::from(self.kiosk.0 % 1_000) / 1_000.0);
        let mut beats = tokio::time::interval_at(first, every);
        // Until its first connection was answered it takes nothing for stored; then what the server says.
        let (mut seq, mut upto) = (1, if self.connection == 1 { 0 } else { FIRST_RECORDS });
        loop {
            // Polled until it is done: a beat must not cut a half-written packet.
            let mut poll = pin!(events.poll());
            let event = loop {
                tokio::select! {
                    _ = until.wait_for(|over| *over) => return Ok(()),
                    _ = beats.tick() => {
                        seq += 1;
                        let _ = self.beat(seq);
                        if upto < FIRST_RECORDS {
                            let _ = self.tell_journal();
                        }
                    }
                    event = &mut poll => break event,
                }
            };
            let event = event.map_err(|e| format!("{} lost its connection: {e}", self.kiosk.id()))?;
            if let Event::Incoming(Packet::Publish(publish)) = event
                && let Ok(ack) = serde_json::from_slice::<Ack>(&publish.payload)
            {
                upto = ack.upto;
            }
        }
    }
}

pub async fn run(options: &StormOptions) -> Result<String, String> {
    let (count, interval_s, most_ms) =
        (options.connections.max(1), options.interval, u64::from(options.spread) * 1_000);
    raise_file_limit(u64::from(count) + OTHER_FILES)?;
    kioskwatch_server::run::install_tls_provider();
    let certificates: &[&str] = if options.tls { &[SHOWN] } else { &[] };
    let mut stage =
        Stage::set_with_doors_for(&options.stage, FloodLimit::Default, count, certificates).await?;
    let common = Common::of(&stage, interval_s)?;
    let connecting = Arc::new(Semaphore::new(CONNECTING_AT_ONCE));
    let (storm, is_storm) = tokio::sync::watch::channel(false);
    let mut before = JoinSet::new();
    for kiosk in (0..count).map(VirtualKiosk) {
        let (connecting, mut is_storm, common) = (Arc::clone(&connecting), is_storm.clone(), common.clone());
        before.spawn(async move {
            let place = connecting.acquire_owned().await.map_err(|e| e.to_string())?;
            let (caller, events) = Caller::open(kiosk, 1, common).await?;
            drop(place);
            caller.stay(events, &mut is_storm).await.map(|()| kiosk)
        });
    }
    everybody(&stage, count).await?;

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
        let (mut back, mut is_over, common) = (Some(back.clone()), is_over.clone(), common.clone());
        after.spawn(async move {
            let (mut failures, mut connection) = (0, 1);
            while !*is_over.borrow() {
                tokio::time::sleep(jitter::pause(failures, most_ms)).await;
                connection += 1;
                failures += 1;
                let opened = Caller::open(kiosk, connection, common.clone()).await;
                let Ok((caller, events)) = opened else { continue };
                if let Some(back) = back.take() {
                    let _ = back.send((torn.elapsed(), failures));
                }
                // Whoever loses it again comes back again, as an agent would.
                if caller.stay(events, &mut is_over).await.is_err() {
                    failures = 0;
                }
            }
        });
    }
    drop(back);
    // For as long as a wrong verdict could still fall.
    let watched = tokio::time::sleep_until(torn + Duration::from_secs(u64::from(interval_s) * 4));
    let collected = async {
        let (mut delays, mut attempts) = (Delays::default(), 0);
        while delays.len() < count as usize {
            let Some((delay, tried)) = returned.recv().await else { break };
            delays.add(delay);
            attempts += tried;
        }
        (delays, attempts)
    };
    let ((delays, attempts), ()) = tokio::join!(collected, watched);
    everybody(&stage, count).await?;
    // Of the whole run, asked of the database: a verdict that was lifted a moment later is one too.
    let offline = stage.rows().went_offline().await.map_err(|e| e.to_string())?.len();
    let tickets: Vec<_> = tickets::opened(&stage.store).await?.into_values().collect();
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
         false offline  {:>6} verdicts, however short, {} tickets\n  \
         server memory  {:>6.1} MiB at most{} (Zabbix 6.0 with its database 458); generator {:.1} MiB\n",
        if options.tls { "TLS 1.3 with certificates" } else { "without TLS" },
        offline,
        tickets.len(),
        mib(memory.most),
        Goal::of_memory(count).map_or(String::new(), |goal| format!(" {}", goal.of(mib(memory.most)))),
        mib(own),
    );
    let in_time = delays.quantile(1.0).is_some_and(|longest| longest <= BACK_WITHIN);
    if delays.len() < count as usize || !in_time || offline > 0 || !tickets.is_empty() {
        return Err(format!("the fleet did not come back unharmed\n{report}{}", tickets.join("\n")));
    }
    Ok(report)
}

/// Waits until all kiosks are online, and what their journals begin with is committed.
async fn everybody(stage: &Stage, count: u32) -> Result<(), String> {
    let all = || async {
        let online = Page::read(&stage.server).await?.kiosks("online");
        if online < u64::from(count) {
            return Err(format!("{online} of {count} are online"));
        }
        let heads = stage.rows().heads().await.map_err(|e| e.to_string())?;
        match heads.iter().filter(|(_, upto)| *upto >= FIRST_RECORDS).count() {
            told if told >= count as usize => Ok(()),
            told => Err(format!("the journals of {told} of {count} are committed")),
        }
    };
    wait_for("every kiosk's verdict and journal", PATIENCE, all).await.map_err(|e| e.to_string())
}
