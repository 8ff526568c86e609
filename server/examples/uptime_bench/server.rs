//! A server of the whole fleet or of a part of it, fed by hand in place of the broker's connections.
use std::sync::Arc;

use bytes::Bytes;
use kioskwatch_domain::{
    change::{KioskRow, KioskStateRow, PresenceVerdict},
    fleet::Fleet,
    image::FleetImage,
};
use kioskwatch_proto::{
    KioskId, Timestamp,
    topic::{Channel, Topic},
    words::ServiceState,
};
use kioskwatch_server::{
    app::{App, FLUSH_EVERY, Hub, HubError, HubOptions, keep_books},
    config::Config,
    mqtt::{BrokerAddress, Inlet, Lane, Link, LinkEvent, LinkOptions, Received, queue},
};
use tokio::{sync::watch, task::JoinHandle};
use uuid::Uuid;

use super::{Bench, Result, fleet::is_out_of_paper, until};

/// That a kiosk promises: nobody falls silent while it is measured.
const INTERVAL_S: u32 = 3_600;
const DEVICES: [&str; 4] = ["acceptor", "card_reader", "printer", "ups"];

/// With its bookkeeper, and without a broker.
pub(crate) struct Server {
    pub(crate) app: App,
    pub(crate) stop: watch::Sender<bool>,
    journal: Inlet,
    beats: Inlet,
    hub: JoinHandle<std::result::Result<(), HubError>>,
    books: JoinHandle<()>,
}

impl Bench {
    /// One that hears.
    pub(crate) async fn serve(&self, config: Config, image: FleetImage) -> Result<Server> {
        let (app, requests) = self.app_of(config, Fleet::from_image(Arc::default(), image))?;
        let ((journal, from_journal), (beats, from_beats)) = (queue(), queue());
        let link = |lane| nowhere(&app, lane);
        let (on_journal, on_beats) = ((link(Lane::Journal), from_journal), (link(Lane::Beats), from_beats));
        let mut hub = Hub::new(app.clone(), requests, on_journal, on_beats);
        let (stop, stopped) = watch::channel(false);
        let options =
            HubOptions { server: Uuid::from_u128(9), last_alive_at: None, flush_every: FLUSH_EVERY };
        hub.begin(&options, stopped.clone()).await?;
        let hub = tokio::spawn(hub.run());
        for (inlet, lane) in [(&journal, Lane::Journal), (&beats, Lane::Beats)] {
            inlet.say(LinkEvent::Up(lane)).await.map_err(|_| "the hub ended")?;
        }
        until("the hub hears", || app.fleet().hears(app.clock().now())).await?;
        let books = tokio::spawn(keep_books(app.clone(), stopped));
        Ok(Server { app, stop, journal, beats, hub, books })
    }
}

impl Server {
    /// Until the bookkeeper has looked at so many kiosks.
    pub(crate) async fn shows(&self, kiosks: usize) -> Result<()> {
        until("the sums are shown", || self.app.books_shown() >= kiosks).await
    }

    /// As a connection hands it over. Gives when that was.
    pub(crate) async fn hear(&self, kiosk: &KioskId, channel: Channel, payload: String) -> Result<Timestamp> {
        let at = self.app.clock().now();
        let topic = Bytes::from(Topic::new(kiosk.clone(), channel).to_string());
        let received = Received { topic, payload: Bytes::from(payload), retained: false, at };
        let inlet = if channel == Channel::Heartbeat { &self.beats } else { &self.journal };
        inlet.message(received).await.map_err(|_| "the hub ended")?;
        Ok(at)
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.send(true)?;
        self.books.await?;
        self.hub.await??;
        Ok(())
    }
}

/// A connection to nobody: what is told to kiosks is made and thrown away.
fn nowhere(app: &App, lane: Lane) -> Link {
    let (host, port) = ("127.0.0.1".into(), 1);
    let address = BrokerAddress { host, port, tls: None, user: None, password_file: None };
    let allowance = app.config().flood.allowance();
    let options = LinkOptions { address, client_id: "bench".into(), lane, allowance };
    Link::start(options, Arc::clone(app.clock())).expect("the system has threads").0
}

/// Kiosks that were heard just now and told of four devices.
pub(crate) fn heard(kiosks: &[KioskRow], now: Timestamp) -> Vec<KioskStateRow> {
    kiosks.iter().zip(0..).map(|(kiosk, n)| heard_one(kiosk.id.clone(), is_out_of_paper(n), now)).collect()
}

fn heard_one(kiosk: KioskId, out_of_paper: bool, now: Timestamp) -> KioskStateRow {
    let item = |name: &&str| {
        format!(r#"{{"name":"{name}","kind":"{name}","driver":"none","mode":"owned","required":true}}"#)
    };
    let boot = Uuid::from_u128(1);
    KioskStateRow {
        kiosk,
        presence: PresenceVerdict::Online,
        presence_since: now,
        presence_reason: "heartbeat".into(),
        last_seen_at: Some(now),
        session: None,
        boot: None,
        epoch: None,
        interval_s: INTERVAL_S,
        service: Some(ServiceState::InService),
        service_since: Some(now),
        service_cause: None,
        peripherals: peripherals(out_of_paper),
        inventory: format!(
            r#"{{"agent_version":"1","os":"linux","boot":"{boot}","epoch":"{boot}","config_hash":"0","peripherals":[{}],"actions":[]}}"#,
            DEVICES.iter().map(item).collect::<Vec<_>>().join(",")
        ),
        clock_offset_ms: None,
        command_counter: 0,
    }
}

fn peripherals(out_of_paper: bool) -> String {
    let status = |name: &&str| match (*name, out_of_paper) {
        ("printer", true) => r#""printer":{"status":"user_error","faults":["paper_out"]}"#.to_owned(),
        _ => format!(r#""{name}":{{"status":"online","faults":[]}}"#),
    };
    format!("{{{}}}", DEVICES.iter().map(status).collect::<Vec<_>>().join(","))
}

/// What a kiosk says of itself while all is well.
pub(crate) fn heartbeat(seq: u64, at: Timestamp) -> String {
    let (name, peripherals) = (Uuid::from_u128(1), peripherals(false));
    format!(
        r#"{{"boot":"{name}","session":"{name}","seq":{seq},"at":"{at}","mono_ms":{},"interval_s":{INTERVAL_S},"uptime_s":{seq},"service":"in_service","peripherals":{peripherals},"host":{{"cpu_ratio":0.1,"memory_used_ratio":0.5,"disk_used_ratio":0.7,"temperature_celsius":45.1}},"journal":{{"epoch":"{name}","last_seq":0,"pending":0}}}}"#,
        at.ms()
    )
}
