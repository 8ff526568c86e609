//! Virtual kiosks on shared connections, paced; and how long their faults took to become committed tickets.
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use kioskwatch_proto::{
    Timestamp,
    journal::Ack,
    limits::MAX_IN_FLIGHT_RECORDS,
    topic::{Channel, Topic},
};
use rumqttc::v5::mqttbytes::{QoS, v5::Publish};
use tokio::time::Instant;

use super::{
    delay::Delays,
    kiosk::{Beat, FIRST_RECORDS, VirtualKiosk, now},
    line::Line,
};

/// Paced in steps of this length.
const STEP: Duration = Duration::from_millis(5);
/// Kiosks introduced and not yet acknowledged.
const INTRODUCED_AT_ONCE: u32 = 1_000;
/// A window of records that is not acknowledged after this is sent again, as an agent does the first time.
const WINDOW_AGAIN_AFTER: Duration = Duration::from_secs(15);
/// Kiosks with a window of records in flight. Of a thousand, Mosquitto's queue for the server lost some.
const DELIVERING_AT_ONCE: usize = 400;
/// What is not acknowledged after this is sent again, as an agent would.
const RESEND_AFTER: Duration = Duration::from_secs(5);
/// A stride through the fleet that visits every kiosk before it comes back to one.
const STRIDE: u64 = 7_919;

/// What was sent in the measured time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sent {
    pub heartbeats: u64,
    pub raised: u64,
    pub cleared: u64,
    /// Due, but the kiosk's fault before was not acknowledged yet.
    pub skipped: u64,
    pub seconds: f64,
}

impl Sent {
    /// Heartbeats a second.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn rate(&self) -> f64 {
        self.heartbeats as f64 / self.seconds
    }
}

/// What to send.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Heartbeats a second of all together.
    pub heartbeats: u64,
    /// Faults raised or cleared a second, of all together.
    pub faults: u64,
    pub length: Duration,
}

/// See the module.
pub struct Fleet {
    lines: Vec<Line>,
    acks: Arc<Mutex<Acks>>,
    _ear: Line,
    /// Records written, by kiosk.
    records: Vec<u64>,
    interval_s: u32,
    beats: u64,
    faults: u64,
    /// So many of the first say nothing in [`Self::play`].
    hushed: u32,
}

/// What the server has acknowledged: only what it has committed.
#[derive(Default)]
struct Acks {
    upto: Vec<u64>,
    known: u32,
    /// A fault that was raised: its number, and when it was handed over for sending.
    waiting: HashMap<VirtualKiosk, (u64, Instant)>,
    delays: Delays,
}

impl Acks {
    fn heard(&mut self, publish: &Publish) {
        let at = Instant::now();
        let topic = std::str::from_utf8(&publish.topic).ok().and_then(|text| Topic::parse(text).ok());
        let Some(kiosk) = topic.and_then(|topic| VirtualKiosk::of(&topic.kiosk)) else { return };
        let Ok(ack) = serde_json::from_slice::<Ack>(&publish.payload) else { return };
        let Some(upto) = self.upto.get_mut(kiosk.0 as usize) else { return };
        if *upto == 0 && ack.upto > 0 {
            self.known += 1;
        }
        *upto = ack.upto.max(*upto);
        if let Some((seq, since)) = self.waiting.get(&kiosk)
            && ack.upto >= *seq
        {
            self.delays.add(at - *since);
            self.waiting.remove(&kiosk);
        }
    }
}

impl Fleet {
    pub async fn connect(
        kiosks: u32,
        connections: u32,
        interval_s: u32,
        broker: SocketAddr,
    ) -> Result<Self, String> {
        let mut lines = Vec::new();
        for index in 0..connections.max(1) {
            lines.push(Line::open(format!("load-{index}"), broker, None, |_| {}).await?);
        }
        let acks = Arc::new(Mutex::new(Acks { upto: vec![0; kiosks as usize], ..Acks::default() }));
        let heard = Arc::clone(&acks);
        let filter = Some(Topic::fleet_filter(Channel::Ack));
        let ear = Line::open("load-acks".to_owned(), broker, filter, move |publish| {
            heard.lock().unwrap_or_else(PoisonError::into_inner).heard(publish);
        })
        .await?;
        let records = vec![FIRST_RECORDS; kiosks as usize];
        Ok(Self { lines, acks, _ear: ear, records, interval_s, beats: 0, faults: 0, hushed: 0 })
    }

    fn acks(&self) -> std::sync::MutexGuard<'_, Acks> {
        self.acks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn kiosks(&self) -> impl Iterator<Item = VirtualKiosk> {
        (0..self.count()).map(VirtualKiosk)
    }

    fn count(&self) -> u32 {
        u32::try_from(self.records.len()).unwrap_or(u32::MAX)
    }

    /// As [`Self::introduce_since`], from now on.
    pub async fn introduce(&mut self) -> Result<(), String> {
        self.introduce_since(now()).await
    }

    /// Every kiosk says who it is and what it holds, until the server has committed the first records of each, which
    /// are of `begin`.
    pub async fn introduce_since(&mut self, begin: Timestamp) -> Result<(), String> {
        let mut next = 0;
        let (mut known, mut since) = (0, Instant::now());
        while known < self.count() {
            while next < self.count() && next - known < INTRODUCED_AT_ONCE {
                self.introduce_one(VirtualKiosk(next), begin).await?;
                next += 1;
            }
            tokio::time::sleep(STEP).await;
            let now_known = self.acks().known;
            if now_known > known {
                (known, since) = (now_known, Instant::now());
            } else if since.elapsed() > RESEND_AFTER {
                let missing: Vec<u32> = {
                    let acks = self.acks();
                    (0..next).filter(|&index| acks.upto[index as usize] == 0).collect()
                };
                for index in missing {
                    self.introduce_one(VirtualKiosk(index), begin).await?;
                }
                since = Instant::now();
            }
        }
        Ok(())
    }

    async fn introduce_one(&self, kiosk: VirtualKiosk, begin: Timestamp) -> Result<(), String> {
        self.publish(kiosk, Channel::Presence, kiosk.presence("online", 1, now())).await?;
        self.publish(kiosk, Channel::Inventory, kiosk.inventory()).await?;
        self.publish(kiosk, Channel::Journal, kiosk.journal(&kiosk.first_records(begin))).await
    }

    /// So many further records of each kiosk as fast as they are taken, each kiosk with a window in flight as an
    /// agent has, and so many kiosks at once that Mosquitto's queue for the server holds; until the
    /// acknowledgement of the last is back. Gives how many windows had to be sent again.
    pub async fn deliver(
        &mut self,
        records: u64,
        record: impl Fn(VirtualKiosk, u64) -> String,
    ) -> Result<u64, String> {
        let last = records + FIRST_RECORDS;
        let mut again = 0;
        let window = |kiosk: VirtualKiosk, from: u64| {
            let all: Vec<_> = (from..=last.min(from + MAX_IN_FLIGHT_RECORDS - 1)).collect();
            (
                *all.last().unwrap_or(&from),
                kiosk.journal(&all.iter().map(|&seq| record(kiosk, seq)).collect::<Vec<_>>()),
            )
        };
        let mut sent_at = vec![None::<Instant>; self.records.len()];
        loop {
            let acked = self.acks().upto.clone();
            let in_flight = sent_at.iter().zip(&acked).zip(&self.records);
            let mut free = DELIVERING_AT_ONCE
                .saturating_sub(in_flight.filter(|((at, upto), sent)| at.is_some() && upto < sent).count());
            if acked.iter().all(|upto| *upto >= last) {
                return Ok(again);
            }
            for place in 0..self.records.len() {
                let (kiosk, upto) = (VirtualKiosk(u32::try_from(place).unwrap_or(u32::MAX)), acked[place]);
                let waits = upto < self.records[place];
                let overdue = sent_at[place].is_some_and(|at| at.elapsed() > WINDOW_AGAIN_AFTER);
                if upto >= last || (waits && !overdue) || (!waits && free == 0) {
                    continue;
                }
                let (to, message) = window(kiosk, upto + 1);
                free = free.saturating_sub(usize::from(!waits));
                again += u64::from(waits);
                (self.records[place], sent_at[place]) = (to, Some(Instant::now()));
                self.publish(kiosk, Channel::Journal, message).await?;
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// Heartbeats and faults at the wanted pace, evenly over the kiosks.
    pub async fn play(&mut self, pace: Pace) -> Result<Sent, String> {
        let started = Instant::now();
        let mut sent = Sent::default();
        let mut faults = 0;
        let mut tick = tokio::time::interval(STEP);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        while started.elapsed() < pace.length {
            tick.tick().await;
            let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let at = now();
            while sent.heartbeats < pace.heartbeats * elapsed_ms / 1_000 {
                let kiosk = self.nth(self.beats);
                self.beat(kiosk, self.interval_s, at).await?;
                self.beats += 1;
                sent.heartbeats += 1;
            }
            while faults < pace.faults * elapsed_ms / 1_000 {
                let kiosk = self.nth(self.faults.wrapping_mul(STRIDE));
                match self.toggle_fault(kiosk, at).await? {
                    Some(true) => sent.raised += 1,
                    Some(false) => sent.cleared += 1,
                    None => sent.skipped += 1,
                }
                self.faults += 1;
                faults += 1;
            }
        }
        sent.seconds = started.elapsed().as_secs_f64();
        Ok(sent)
    }

    fn nth(&self, n: u64) -> VirtualKiosk {
        let loud = self.count().saturating_sub(self.hushed).max(1);
        VirtualKiosk(self.hushed + u32::try_from(n % u64::from(loud)).unwrap_or(0))
    }

    /// From now on the first of them speak only when they are asked to, one by one.
    pub fn hush(&mut self, first: u32) {
        self.hushed = first.min(self.count().saturating_sub(1));
    }

    /// A heartbeat that promises the next one within `interval_s`.
    pub async fn beat(&self, kiosk: VirtualKiosk, interval_s: u32, at: Timestamp) -> Result<(), String> {
        let records = self.records[kiosk.0 as usize];
        let seq = self.beats / u64::from(self.count()) + 1;
        let beat = Beat { connection: 1, seq, at, interval_s, records, faulty: is_faulty(records) };
        self.publish(kiosk, Channel::Heartbeat, kiosk.heartbeat(&beat)).await
    }

    /// `Some(true)`: a fault was raised, and its delay is being measured. `None`: the one before is not acknowledged.
    async fn toggle_fault(&mut self, kiosk: VirtualKiosk, at: Timestamp) -> Result<Option<bool>, String> {
        let place = kiosk.0 as usize;
        // The record before must be committed: what is sent out of order would measure the resend.
        if self.acks().upto[place] < self.records[place] {
            return Ok(None);
        }
        self.records[place] += 1;
        let seq = self.records[place];
        let raised = is_faulty(seq);
        let message = kiosk.journal(&[kiosk.fault(seq, raised, at)]);
        if raised {
            self.acks().waiting.insert(kiosk, (seq, Instant::now()));
        }
        self.publish(kiosk, Channel::Journal, message).await?;
        Ok(Some(raised))
    }

    /// How often each kiosk has raised its fault.
    pub fn raised(&self) -> impl Iterator<Item = (VirtualKiosk, u64)> {
        let times = |records: u64| records.saturating_sub(FIRST_RECORDS).div_ceil(2);
        (0..).map(VirtualKiosk).zip(self.records.iter().map(move |records| times(*records)))
    }

    /// How long each raised fault took from being handed over for sending until its acknowledgement, which
    /// the server sends after the commit of its ticket, was back.
    ///
    /// # Errors
    /// Some were never acknowledged.
    pub async fn fault_delays(&self, limit: Duration) -> Result<Delays, String> {
        let all = || async {
            match self.acks().waiting.len() {
                0 => Ok(()),
                left => Err(format!("{left} faults without an acknowledgement")),
            }
        };
        crate::harness::wait::wait_for("every fault to be committed", limit, all)
            .await
            .map_err(|e| e.to_string())?;
        Ok(std::mem::take(&mut self.acks().delays))
    }

    pub async fn publish(
        &self,
        kiosk: VirtualKiosk,
        channel: Channel,
        payload: String,
    ) -> Result<(), String> {
        let line = &self.lines[kiosk.0 as usize % self.lines.len()];
        let qos = if channel.qos() == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        let sent = line.client.publish(kiosk.topic(channel), qos, channel.retained(), payload);
        sent.await.map_err(|e| e.to_string())
    }
}

/// A journal begins with a kiosk that is well; then faults are raised and cleared in turns.
const fn is_faulty(records: u64) -> bool {
    records.saturating_sub(FIRST_RECORDS) % 2 == 1
}

/// Receives heartbeats and does nothing with them: as fast as a subscriber can be here.
pub struct BareSubscriber {
    received: Arc<AtomicU64>,
    /// Microseconds from `since` to the last of them.
    last_us: Arc<AtomicU64>,
    since: Instant,
    _line: Line,
}

impl BareSubscriber {
    pub async fn start(broker: SocketAddr) -> Result<Self, String> {
        let (received, last_us) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (counter, last, since) = (Arc::clone(&received), Arc::clone(&last_us), Instant::now());
        let filter = Some(Topic::fleet_filter(Channel::Heartbeat));
        let line = Line::open("load-bare".to_owned(), broker, filter, move |_| {
            last.store(u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX), Relaxed);
            counter.fetch_add(1, Relaxed);
        });
        Ok(Self { received, last_us, since, _line: line.await? })
    }

    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// When the last of them came.
    pub fn last_at(&self) -> Instant {
        self.since + Duration::from_micros(self.last_us.load(Relaxed))
    }
}
