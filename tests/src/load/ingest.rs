//! The server's ingest inside this process, fed by hand in place of the broker's connections.
use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use kioskwatch_domain::{
    change::{Change, JournalHeadRow, KioskStateRow, PresenceVerdict},
    fleet::{Actor, Fleet, Request, TicketAction},
};
use kioskwatch_proto::{Timestamp, command::CommandSigner, topic::Channel, words::ServiceState};
use kioskwatch_server::{
    app::{App, Hub, HubError, HubOptions, Parts, RequestError, keep_books},
    clock::{Clock, Stopwatch},
    config::Config,
    metrics::Counters,
    mqtt::{BrokerAddress, Inlet, Lane, Link, LinkEvent, LinkOptions, Received, queue},
    run,
    store::Store,
};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};
use uuid::Uuid;

use super::{
    kiosk::{FIRST_RECORDS, PERIPHERALS, VirtualKiosk},
    sites,
};
use crate::harness::{postgres::Postgres, server::Workdir, wait::wait_for};

const PATIENCE: Duration = Duration::from_secs(600);
/// The partition of the whole fleet.
const PARTITION: &str = "fleet";

/// A database that lives as long as this.
pub struct Database {
    pub url: String,
    _postgres: Option<Postgres>,
    _dir: Workdir,
}

impl Database {
    /// With `kiosks` kiosks that were online when the server was last there. They are written by a process of
    /// their own, so that nothing of it counts as the server's.
    pub async fn with_kiosks(kiosks: u32, postgres: bool) -> Result<Self, String> {
        let dir = Workdir::new("kioskwatch-load").map_err(|e| e.to_string())?;
        let postgres = postgres.then(Postgres::start);
        let url = match &postgres {
            Some(postgres) => postgres.fresh_database().await,
            None => format!("sqlite://{}", dir.path().join("kioskwatch.sqlite").display()),
        };
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut seed = tokio::process::Command::new(program);
        let seeded = seed.arg("seed").arg(kiosks.to_string()).arg(&url).status().await;
        match seeded {
            Ok(status) if status.success() => Ok(Self { url, _postgres: postgres, _dir: dir }),
            Ok(status) => Err(format!("making the kiosks known: {status}")),
            Err(error) => Err(format!("making the kiosks known: {error}")),
        }
    }
}

/// Makes kiosks known to an empty database.
pub async fn seed(kiosks: u32, url: &str) -> Result<(), String> {
    sites::found(kiosks, url, known).await
}

/// What the first conversation with a kiosk leaves behind.
fn known(kiosk: VirtualKiosk, at: Timestamp) -> [Change; 2] {
    let state = KioskStateRow {
        kiosk: kiosk.id(),
        presence: PresenceVerdict::Online,
        presence_since: at,
        presence_reason: "heartbeat".to_owned(),
        last_seen_at: Some(at),
        session: Some(kiosk.session(1)),
        boot: Some(kiosk.boot()),
        epoch: Some(kiosk.epoch()),
        interval_s: 30,
        service: Some(ServiceState::InService),
        service_since: Some(at),
        service_cause: None,
        peripherals: PERIPHERALS.to_owned(),
        inventory: kiosk.inventory(),
        clock_offset_ms: Some(0),
        command_counter: 0,
    };
    let head = JournalHeadRow {
        kiosk: kiosk.id(),
        epoch: kiosk.epoch(),
        upto: FIRST_RECORDS,
        digest: None,
        first_seen_at: at,
        cursor: "{}".to_owned(),
    };
    [Change::KioskState(Box::new(state)), Change::JournalHead(head)]
}

/// A running server without a broker.
pub struct Ingest {
    pub app: App,
    /// From the start until the fleet was loaded, nobody was judged by what was known before, and messages
    /// were taken.
    pub ready_after: Duration,
    feed: Feed,
    stop: watch::Sender<bool>,
    hub: JoinHandle<Result<(), HubError>>,
    books: Option<JoinHandle<()>>,
}

/// Where messages go in.
#[derive(Clone)]
pub struct Feed {
    journal: Inlet,
    beats: Inlet,
    runtime: Handle,
    clock: Arc<Clock>,
}

impl Ingest {
    /// With the bookkeeper, as the product has it, or without.
    pub async fn start(database: &Database, flush_every: Duration, with_books: bool) -> Result<Self, String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        let config = Config::default();
        let policy = Arc::new(run::policy(&config).map_err(|e| text(&e))?);
        let clock = Arc::new(Clock::start());
        let watch = Stopwatch::start();
        let store = Store::open(&database.url).await.map_err(|e| text(&e))?;
        let server = Uuid::now_v7();
        let hour = clock.now().plus_ms(3_600_000);
        store.take_lease(PARTITION, server, clock.now(), hour).await.map_err(|e| text(&e))?;
        let mut fleet = Fleet::empty(Arc::clone(&policy));
        let parts = store.load_parts(clock.now(), |part| fleet.load(part));
        let last_alive_at = parts.await.map_err(|e| text(&e))?;
        let (app, requests) = App::new(Parts {
            fleet,
            clock: Arc::clone(&clock),
            store,
            counters: Counters::new().map_err(|e| text(&e))?,
            config,
            policy,
            signer: CommandSigner::from_secret("load", &[1; 32]),
        });
        let ((journal, from_journal), (beats, from_beats)) = (queue(), queue());
        let link = |lane| nowhere(lane, &clock);
        let (on_journal, on_beats) = ((link(Lane::Journal)?, from_journal), (link(Lane::Beats)?, from_beats));
        let mut hub = Hub::new(app.clone(), requests, on_journal, on_beats);
        let (stop, stopped) = watch::channel(false);
        let options = HubOptions { server, last_alive_at, flush_every };
        hub.begin(&options, stopped.clone()).await.map_err(|e| text(&e))?;
        let hub = tokio::spawn(hub.run());
        for (inlet, lane) in [(&journal, Lane::Journal), (&beats, Lane::Beats)] {
            inlet.say(LinkEvent::Up(lane)).await.map_err(|_| "the ingest ended".to_owned())?;
        }
        let ready = || async {
            if app.health().missing().is_empty() {
                Ok(())
            } else {
                Err(format!("{:?}", app.health().missing()))
            }
        };
        wait_for("the ingest to be ready", PATIENCE, ready).await.map_err(|e| e.to_string())?;
        let ready_after = watch.elapsed();
        let books = with_books.then(|| tokio::spawn(keep_books(app.clone(), stopped)));
        Ok(Self {
            app,
            ready_after,
            books,
            feed: Feed { journal, beats, runtime: Handle::current(), clock },
            stop,
            hub,
        })
    }

    pub fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// Waits until every message fed so far has been decided.
    pub async fn drained(&self) -> Result<(), String> {
        let taken = || async {
            match self.feed.waiting() {
                0 => Ok(()),
                left => Err(format!("{left} messages wait")),
            }
        };
        wait_for("all messages to be taken", PATIENCE, taken).await.map_err(|e| e.to_string())?;
        // Whoever asks is answered after what was taken before.
        let answered = || async {
            let ticket = Uuid::nil();
            let note = TicketAction::Note { text: "load".to_owned() };
            let actor = Actor { name: "load".to_owned() };
            match self.app.request(actor, Request::Ticket { ticket, action: note }).await {
                Err(RequestError::Unavailable(why)) => Err(why),
                Ok(_) | Err(RequestError::Refused(_) | RequestError::Poisoned(_)) => Ok(()),
            }
        };
        wait_for("the last messages to be decided", PATIENCE, answered).await.map_err(|e| e.to_string())
    }

    /// Writes what heartbeats proved, and ends.
    pub async fn stop(self) -> Result<(), String> {
        let _ = self.stop.send(true);
        let ended = self.hub.await.map_err(|e| e.to_string())?;
        ended.map_err(|e| e.to_string())?;
        if let Some(books) = self.books {
            books.await.map_err(|e| e.to_string())?;
        }
        self.app.store().close().await;
        Ok(())
    }
}

/// A connection to nobody: what is told to kiosks is made and thrown away.
fn nowhere(lane: Lane, clock: &Arc<Clock>) -> Result<Link, String> {
    let address =
        BrokerAddress { host: "127.0.0.1".to_owned(), port: 1, tls: None, user: None, password_file: None };
    let allowance = Config::default().flood.allowance();
    let options = LinkOptions { address, client_id: "load".to_owned(), lane, allowance };
    // Nobody listens to it, so it gives up after the first try.
    Link::start(options, Arc::clone(clock)).map(|(link, _)| link).map_err(|e| e.to_string())
}

impl Feed {
    /// Hands a message over as a connection would; waits while the ingest is behind. Not for async tasks.
    pub fn put(&self, kiosk: VirtualKiosk, channel: Channel, payload: String) -> Result<(), String> {
        let received = Received {
            topic: Bytes::from(kiosk.topic(channel)),
            payload: Bytes::from(payload),
            retained: false,
            at: self.clock.now(),
        };
        let inlet = if channel == Channel::Heartbeat { &self.beats } else { &self.journal };
        self.runtime.block_on(inlet.message(received)).map_err(|_| "the ingest ended".to_owned())
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Messages that wait for the ingest.
    pub fn waiting(&self) -> usize {
        self.journal.waiting() + self.beats.waiting()
    }
}
