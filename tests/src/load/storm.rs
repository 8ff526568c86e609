//! Every connection drops at once, without a goodbye, and returns with full jitter: who is back when, and
//! what the server made of it.
use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use kioskwatch_agent::mqtt::jitter;
use kioskwatch_proto::{
    KioskId, Timestamp,
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
    progress::Progress,
    stage::{BrokerOptions, FloodLimit, Stage},
    tickets,
};
use crate::{
    demo::complain,
    harness::{rows::OfflineVerdict, wait::wait_for},
};

/// Descriptors of each process beside the connections.
const OTHER_FILES: u64 = 500;
/// Connections being made at the same time before the storm.
const CONNECTING_AT_ONCE: usize = 200;
const PATIENCE: Duration = Duration::from_secs(300);
/// Everybody must be back by then.
const BACK_WITHIN: Duration = Duration::from_secs(120);
/// Of wrong verdicts.
const SHOWN_VERDICTS: usize = 40;

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

/// Who is back, when, and what it took.
#[derive(Default)]
struct Returned {
    delays: Delays,
    attempts: u32,
    after: BTreeMap<KioskId, Duration>,
}

pub async fn run(options: &StormOptions) -> Result<String, String> {
    let (count, interval_s, most_ms) =
        (options.connections.max(1), options.interval, u64::from(options.spread) * 1_000);
    raise_file_limit(u64::from(count) + OTHER_FILES)?;
    kioskwatch_server::run::install_tls_provider();
    let over_tls: &[&str] = if options.tls { &[SHOWN] } else { &[] };
    let broker = BrokerOptions { over_tls };
    let mut stage = Stage::set_with_broker(&options.stage, FloodLimit::Default, count, &broker).await?;
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
    tokio::select! {
        all = everybody(&stage, count, "before the storm") => all?,
        Some(ended) = before.join_next() => {
            let ended = ended.map_err(|e| e.to_string())?;
            return Err(format!("a connection ended before the storm: {}", ended.err().unwrap_or_default()));
        }
    }
    let heard = Page::read(&stage.server).await?.introductions();

    // Torn: every process forgets its connection at the same moment, and the broker speaks the wills.
    let torn_at = now();
    let _ = storm.send(true);
    let mut callers = Vec::new();
    while let Some(caller) = before.join_next().await {
        callers.push(caller.map_err(|e| e.to_string())??);
    }
    let torn = Instant::now();
    let (over, is_over) = tokio::sync::watch::channel(false);
    let (back, mut come_back) = tokio::sync::mpsc::unbounded_channel();
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
                    let _ = back.send((kiosk, torn.elapsed(), failures));
                }
                // Whoever loses it again comes back again, as an agent would.
                if caller.stay(events, &mut is_over).await.is_err() {
                    failures = 0;
                }
            }
        });
    }
    drop(back);
    let mut returned = Returned::default();
    let collected = async {
        let progress = Progress::begin();
        while returned.delays.len() < count as usize {
            let Some((kiosk, delay, tried)) = come_back.recv().await else { break };
            returned.delays.add(delay);
            returned.attempts += tried;
            returned.after.insert(kiosk.id(), delay);
            progress.tell(&format!("{} of {count} are back", returned.delays.len()));
        }
    };
    let in_time = tokio::time::timeout(BACK_WITHIN, collected).await.is_ok();
    // For as long as a wrong verdict could still fall.
    complain(&format!("{} of {count} are back; who is called offline now?", returned.delays.len()));
    tokio::time::sleep_until(torn + Duration::from_secs(u64::from(interval_s) * 4)).await;
    let came_back = match in_time {
        true => everybody(&stage, count, "after the storm").await,
        false => {
            Err(format!("{} of {count} are back after {} s", returned.delays.len(), BACK_WITHIN.as_secs()))
        }
    };
    // Of the whole run, asked of the database: a verdict that was lifted a moment later is one too.
    let offline = stage.rows().offline_verdicts().await.map_err(|e| e.to_string())?;
    let tickets: Vec<_> = tickets::opened(&stage.store).await?.into_values().collect();
    let heard = Page::read(&stage.server).await?.introductions().saturating_sub(heard);
    let memory = stage.process()?.resident_kib()?;
    let own = Watched::this().resident_kib()?.all;
    let _ = over.send(true);
    after.shutdown().await;
    stage.store.close().await;
    stage.server.stop().await.map_err(|e| e.to_string())?;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let mib = |kib: u64| kib as f64 / 1_024.0;
    let Returned { delays, attempts, after } = returned;
    let report = format!(
        "{count} connections at {interval_s} s drop at once and return with full jitter, {}, Mosquitto\n  \
         back again     {delays}; {attempts} attempts\n  \
         the server     {heard:>6} wills, births and inventories reached it, of {} at least\n  \
         false offline  {:>6} verdicts, however short, {} tickets\n  \
         server memory  {:>6.1} MiB at most{} (Zabbix 6.0 with its database 458); generator {:.1} MiB\n",
        if options.tls { "TLS 1.3 with certificates" } else { "without TLS" },
        u64::from(count) * 3,
        offline.len(),
        tickets.len(),
        mib(memory.most),
        Goal::of_memory(count).map_or(String::new(), |goal| format!(" {}", goal.of(mib(memory.most)))),
        mib(own),
    );
    match came_back {
        Ok(()) if offline.is_empty() && tickets.is_empty() => Ok(report),
        came_back => {
            let mut lines: Vec<_> = came_back.err().into_iter().chain(tickets).collect();
            lines.extend(offline.iter().take(SHOWN_VERDICTS).map(|verdict| told(verdict, torn_at, &after)));
            Err(format!("the fleet did not come back unharmed\n{report}{}", lines.join("\n")))
        }
    }
}

/// A verdict in seconds after the storm.
fn told(verdict: &OfflineVerdict, torn_at: Timestamp, back: &BTreeMap<KioskId, Duration>) -> String {
    let after = |at: Timestamp| format!("{} ms", at.since(torn_at));
    let OfflineVerdict { kiosk, at, noticed_at, reason, lifted_at } = verdict;
    let back = KioskId::new(kiosk).ok().and_then(|id| back.get(&id));
    format!(
        "{kiosk} offline after {}, {reason}, noticed after {}; back after {}, online again after {}",
        after(*at),
        after(*noticed_at),
        back.map_or_else(|| "never".to_owned(), |back| format!("{} ms", back.as_millis())),
        lifted_at.map_or_else(|| "never".to_owned(), after),
    )
}

/// Waits until all kiosks are online, and what their journals begin with is committed.
async fn everybody(stage: &Stage, count: u32, when: &str) -> Result<(), String> {
    let progress = Progress::begin();
    let tell = |text: String| {
        progress.tell(&format!("{when}: {text}"));
        text
    };
    let all = || async {
        let online = Page::read(&stage.server).await?.kiosks("online");
        if online < u64::from(count) {
            return Err(tell(format!("{online} of {count} are online")));
        }
        let heads = stage.rows().heads().await.map_err(|e| e.to_string())?;
        match heads.iter().filter(|(_, upto)| *upto >= FIRST_RECORDS).count() {
            told if told >= count as usize => Ok(()),
            told => Err(tell(format!("the journals of {told} of {count} are committed"))),
        }
    };
    wait_for("every kiosk's verdict and journal", PATIENCE, all).await.map_err(|e| e.to_string())
}
