//! Kiosks that come back all at once, each with the delivery of a real agent: its window, its pauses between messages,
//! its patience and its resends. What the broker's queue drops is sent again when the agent would.
use std::{net::SocketAddr, sync::mpsc, time::Duration};

use kioskwatch_agent_core::{
    delivery::{Delivery, DeliveryConfig, DeliveryInput, DeliveryOutput, Turn},
    journal::JournalView,
};
use kioskwatch_proto::{
    Epoch,
    journal::{Ack, Digest},
    topic::{Channel, Topic},
};
use tokio::time::Instant;

use super::{
    fleet::Fleet,
    kiosk::{FIRST_RECORDS, VirtualKiosk, now},
    line::Line,
    progress::Progress,
};

/// Between two looks at who is due.
const STEP: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(900);
/// The connection that they come back with.
const CONNECTION: u32 = 2;

/// Numbers of a journal whose records are made when they are sent.
struct Numbers {
    epoch: Epoch,
    acked: u64,
    last: u64,
}

impl JournalView for Numbers {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn first(&self) -> u64 {
        self.acked + 1
    }

    fn last(&self) -> u64 {
        self.last
    }

    fn acked(&self) -> u64 {
        self.acked
    }

    /// Not remembered, which contradicts nothing.
    fn digest(&self, _seq: u64) -> Option<Digest> {
        None
    }
}

/// One kiosk and its way to the server.
struct Returning {
    journal: Numbers,
    delivery: Delivery,
    /// The highest number that ever went out.
    sent: u64,
    /// Messages that began with a number that had gone out before.
    again: u64,
}

impl Returning {
    fn with(kiosk: VirtualKiosk, records: u64) -> Self {
        let (acked, last) = (FIRST_RECORDS, FIRST_RECORDS + records);
        let journal = Numbers { epoch: kiosk.epoch(), acked, last };
        Self { journal, delivery: Delivery::new(DeliveryConfig::default()), sent: acked, again: 0 }
    }

    fn is_done(&self) -> bool {
        self.journal.acked >= self.journal.last
    }

    fn is_due(&self, now: u64) -> bool {
        self.delivery.next_wake().is_some_and(|at| at <= now)
    }

    /// Gives the messages to be published, each as its records.
    fn step(
        &mut self,
        turn: Turn,
        input: DeliveryInput,
        record: impl Fn(u64) -> String,
    ) -> Result<Vec<Vec<String>>, String> {
        let (mut messages, mut inputs) = (Vec::new(), vec![input]);
        while let Some(input) = inputs.pop() {
            let mut out = Vec::new();
            self.delivery.step(turn, input, &self.journal, &mut out);
            for output in out {
                match output {
                    DeliveryOutput::Send { from, max_records, max_bytes } => {
                        let records = self.read(from, max_records, max_bytes, &record);
                        let through = from + records.len() as u64 - 1;
                        self.again += u64::from(from <= self.sent);
                        self.sent = self.sent.max(through);
                        inputs.push(DeliveryInput::Sent { through, records: records.len() as u64 });
                        messages.push(records);
                    }
                    DeliveryOutput::Acked { upto } => self.journal.acked = upto,
                    DeliveryOutput::Ignored(_) | DeliveryOutput::Stalled => {}
                    wrong => return Err(format!("an agent would not have it: {wrong:?}")),
                }
            }
        }
        Ok(messages)
    }

    fn read(&self, from: u64, most: u64, bytes: usize, record: impl Fn(u64) -> String) -> Vec<String> {
        let mut room = bytes;
        let all = (from..=self.journal.last.min(from + most - 1)).map(record);
        all.enumerate()
            .take_while(|(place, record)| {
                let fits = *place == 0 || record.len() < room;
                room = room.saturating_sub(record.len() + 1);
                fits
            })
            .map(|(_, record)| record)
            .collect()
    }
}

/// Until the last acknowledgement is back. Gives how many messages began with what had been sent before.
pub async fn deliver(
    fleet: &Fleet,
    broker: SocketAddr,
    records: u64,
    record: impl Fn(VirtualKiosk, u64) -> String,
) -> Result<u64, String> {
    let (heard, news) = mpsc::channel();
    let filter = Some(Topic::fleet_filter(Channel::Ack));
    let ear = Line::open("load-returning".to_owned(), broker, filter, move |publish| {
        let topic = std::str::from_utf8(&publish.topic).ok().and_then(|text| Topic::parse(text).ok());
        let kiosk = topic.and_then(|topic| VirtualKiosk::of(&topic.kiosk));
        let ack = serde_json::from_slice::<Ack>(&publish.payload).ok();
        if let (Some(kiosk), Some(ack)) = (kiosk, ack) {
            let _ = heard.send((kiosk, ack));
        }
    })
    .await?;
    let started = Instant::now();
    let turn = || Turn {
        now: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        random: getrandom::u32().unwrap_or(0),
    };
    let mut kiosks: Vec<Returning> = fleet.kiosks().map(|kiosk| Returning::with(kiosk, records)).collect();
    let publish = async |kiosk: VirtualKiosk, messages: Vec<Vec<String>>| {
        for message in messages {
            fleet.publish(kiosk, Channel::Journal, kiosk.journal(&message)).await?;
        }
        Ok::<_, String>(())
    };
    for (kiosk, returning) in fleet.kiosks().zip(&mut kiosks) {
        fleet.publish(kiosk, Channel::Presence, kiosk.presence("online", CONNECTION, now())).await?;
        fleet.publish(kiosk, Channel::Inventory, kiosk.inventory()).await?;
        let input = DeliveryInput::Connected(kiosk.session(CONNECTION));
        publish(kiosk, returning.step(turn(), input, |seq| record(kiosk, seq))?).await?;
    }
    let progress = Progress::begin();
    while !kiosks.iter().all(Returning::is_done) {
        let done = kiosks.iter().filter(|kiosk| kiosk.is_done()).count();
        progress.tell(&format!("{done} of {} kiosks are acknowledged", kiosks.len()));
        while let Ok((kiosk, ack)) = news.try_recv() {
            let Some(returning) = kiosks.get_mut(kiosk.0 as usize) else { continue };
            let messages = returning.step(turn(), DeliveryInput::Ack(ack), |seq| record(kiosk, seq))?;
            publish(kiosk, messages).await?;
        }
        for (kiosk, returning) in fleet.kiosks().zip(&mut kiosks) {
            if returning.is_due(turn().now) {
                let messages = returning.step(turn(), DeliveryInput::Wake, |seq| record(kiosk, seq))?;
                publish(kiosk, messages).await?;
            }
        }
        if started.elapsed() > PATIENCE {
            let left = kiosks.iter().filter(|kiosk| !kiosk.is_done()).count();
            return Err(format!("{left} kiosks are not acknowledged after {} s", PATIENCE.as_secs()));
        }
        tokio::time::sleep(STEP).await;
    }
    drop(ear);
    Ok(kiosks.iter().map(|kiosk| kiosk.again).sum())
}

#[cfg(test)]
mod tests {
    use kioskwatch_proto::Timestamp;

    use super::*;

    const KIOSK: VirtualKiosk = VirtualKiosk(7);

    fn at(now: u64) -> Turn {
        Turn { now, random: 0 }
    }

    fn ack(upto: u64) -> DeliveryInput {
        let text = format!(
            r#"{{"epoch":"{}","upto":{upto},"digest":"","server_time":"2026-11-21T20:00:00.345Z","rejected":[]}}"#,
            KIOSK.epoch()
        );
        DeliveryInput::Ack(serde_json::from_str(&text).unwrap())
    }

    /// Takes an input and gives how many records went out.
    fn step(kiosk: &mut Returning, now: u64, input: DeliveryInput) -> Vec<usize> {
        let record = |seq| KIOSK.transaction(seq, Timestamp(0));
        kiosk.step(at(now), input, record).unwrap().iter().map(Vec::len).collect()
    }

    #[test]
    fn a_window_that_is_dropped_is_sent_again_when_an_agent_loses_patience_and_counted() {
        let mut kiosk = Returning::with(KIOSK, 150);
        assert!(step(&mut kiosk, 0, DeliveryInput::Connected(KIOSK.session(CONNECTION))).is_empty());
        assert_eq!(step(&mut kiosk, 10, ack(FIRST_RECORDS)), [100]);
        assert!(step(&mut kiosk, 14_000, DeliveryInput::Wake).is_empty());
        assert_eq!(step(&mut kiosk, 20_100, DeliveryInput::Wake), [100]);
        assert_eq!(kiosk.again, 1);
        assert_eq!(step(&mut kiosk, 20_500, ack(FIRST_RECORDS + 100)), [50]);
        assert!(step(&mut kiosk, 20_600, ack(FIRST_RECORDS + 150)).is_empty());
        assert!(kiosk.is_done());
        assert_eq!(kiosk.again, 1);
    }

    #[test]
    fn a_message_has_no_more_bytes_than_an_agent_sends() {
        let kiosk = Returning::with(KIOSK, 150);
        let read = |bytes| kiosk.read(3, 100, bytes, |_| "x".repeat(99)).len();
        assert_eq!((read(1_000), read(10), read(1_000_000)), (10, 1, 100));
    }
}
