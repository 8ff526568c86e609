//! The wiring of a server: everything it is made of is put together here, and nowhere else.
use std::{os::unix::fs::DirBuilderExt as _, path::PathBuf, sync::Arc};

use kioskwatch_domain::{
    calendar::{CalendarFileError, MissingYears, WorkCalendar},
    fleet::Fleet,
    policy::{CommandPolicy, Policy, PresencePolicy, TicketPolicy, UnknownKiosks},
};
use kioskwatch_proto::faults::{Catalogue, CatalogueError};
use tokio::{net::TcpListener, sync::watch};
use uuid::Uuid;

use crate::{
    app::{
        App, DecisionError, FLUSH_EVERY, Hub, HubError, HubOptions, NoteError, Parts, keep_books,
        keep_to_retention,
        seed::{Seed, SeedError},
    },
    clock::Clock,
    config::{self, Config},
    files::{self, FileError},
    http,
    identity::{Identity, IdentityError},
    metrics::Counters,
    mqtt::{Lane, Link, LinkOptions, Outlet},
    ownership::{GIVEN_BACK, hold_lease},
    panics::how_it_ended,
    signing::{self, SigningKeyError},
    store::{Store, StoreError},
};

/// Public holidays that ship with the product.
const BUILT_IN_CALENDARS: &[(&str, &str)] =
    &[("cn-2026.toml", include_str!("../../deploy/calendars/cn-2026.toml"))];

/// Why a server did not start or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("making the data directory {path}: {source}")]
    DataDir { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    File(#[from] FileError),
    #[error("[faults] files: {path}: {source}")]
    Catalogue { path: PathBuf, source: CatalogueError },
    #[error("[calendars] files: {0}")]
    Calendar(#[from] CalendarFileError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
    #[error("opening the database: {0}")]
    Store(#[from] StoreError),
    #[error("[mqtt] url: {0}")]
    Mqtt(String),
    #[error("starting a thread for a connection to the broker: {0}")]
    Thread(std::io::Error),
    #[cfg(feature = "embedded-broker")]
    #[error(transparent)]
    Broker(#[from] crate::broker::BrokerError),
    #[error("[{section}] listen: cannot listen on {address}: {source}")]
    Listen { section: &'static str, address: std::net::SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Note(Box<NoteError>),
    #[error("looking whether the clock is behind what the database knows: {0}")]
    Clock(Box<DecisionError>),
    #[error(transparent)]
    Seed(#[from] SeedError),
    #[error(transparent)]
    Hub(#[from] HubError),
    #[error("registering metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("this server was built without the embedded broker: set [mqtt] url")]
    NoEmbeddedBroker,
    /// With what became of it; the supervisor starts a new process.
    #[error("a part of the server is gone, so the whole ends: {0}")]
    Ended(String),
}

impl ServeError {
    /// Whether another start would come to the same until somebody mends the configuration or a file it names.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::File(_) | Self::Catalogue { .. } | Self::Calendar(_) | Self::Mqtt(_))
    }
}

/// Where a started server can be reached; ports may have been chosen by the system.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    pub http: std::net::SocketAddr,
    pub monitoring: std::net::SocketAddr,
    /// Of the embedded broker.
    pub broker: Option<std::net::SocketAddr>,
}

/// Two TLS providers in one program panic at the first connection; every main installs ours.
pub fn install_tls_provider() {
    // Already installed by an embedding program: fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Runs until `stop` turns true. `started` hears the addresses once everything listens.
pub async fn serve(
    config: Config,
    mut stop: watch::Receiver<bool>,
    started: impl FnOnce(Addresses),
) -> Result<(), ServeError> {
    install_tls_provider();
    files::check(&config).into_iter().next().map_or(Ok(()), Err)?;
    let policy = Arc::new(policy(&config)?);
    let data_dir = &config.storage.data_dir;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .map_err(|source| ServeError::DataDir { path: data_dir.clone(), source })?;
    let seed = config.fleet.seed_file.as_deref().map(Seed::read).transpose()?;
    let signer = signing::load_or_make(&config.signing_key_file(), &config.commands.key_id)?;
    let clock = Arc::new(Clock::start());

    let http_listener = listen("http", config.http.listen).await?;
    let monitoring_listener = listen("monitoring", config.monitoring.listen).await?;

    let identity = Identity::claim(data_dir)?;
    let store = Store::open(&config.database_url()).await?;
    if let Some(setting) = store.forgetful_setting().await? {
        tracing::error!(
            setting,
            "PostgreSQL forgets in a power cut what agents were told is kept: set it to on"
        );
    }
    let mut lease = tokio::select! {
        lease = hold_lease(&store, identity.id, &clock) => lease?,
        _ = stop.wait_for(|stop| *stop) => {
            store.close().await;
            return Ok(());
        }
    };
    let server = Uuid::now_v7();
    let mut fleet = Fleet::empty(Arc::clone(&policy));
    let last_alive_at = store.load_parts(clock.now(), |part| fleet.load(part)).await?;
    tracing::info!(kiosks = fleet.kiosks().count(), "fleet loaded");

    let (app, requests) = App::new(Parts {
        fleet,
        clock: Arc::clone(&clock),
        store: store.clone(),
        counters: Counters::new()?,
        config,
        policy,
        signer,
    });
    let mut broker = start_broker(&app).await?;
    let link = |lane: Lane| -> Result<(Link, Outlet), ServeError> {
        let mqtt = &app.config().mqtt;
        let mut address = mqtt.address().map_err(ServeError::Mqtt)?;
        if let Some(listening) = broker.address {
            address.port = listening.port();
        }
        let short = server.simple().to_string();
        let client_id = format!("{}-{}-{}", mqtt.client_id, lane.name(), &short[short.len() - 8..]);
        let options = LinkOptions { address, client_id, lane, allowance: app.config().flood.allowance() };
        Link::start(options, Arc::clone(&clock)).map_err(ServeError::Thread)
    };
    let mut hub = Hub::new(app.clone(), requests, link(Lane::Journal)?, link(Lane::Beats)?);
    hub.begin(&HubOptions { server, last_alive_at, flush_every: FLUSH_EVERY }, stop.clone()).await?;
    let hub_task = tokio::spawn(hub.run());
    // Before the bookkeeper begins: what the file says is decided in its turn, and its first looks take long.
    let waits = app.look_at_clock().await.map_err(|error| ServeError::Clock(Box::new(error)))?;
    if !waits {
        note(app.note_configured(seed.as_ref()).await)?;
    }
    let mut books = tokio::spawn(keep_books(app.clone(), stop.clone()));
    let mut retention = tokio::spawn(keep_to_retention(app.clone(), stop.clone()));

    let addresses = Addresses {
        http: address_of("http", &http_listener)?,
        monitoring: address_of("monitoring", &monitoring_listener)?,
        broker: broker.address,
    };
    let console = tokio::spawn(http::serve(app.clone(), http_listener, stop.clone()));
    let monitoring = tokio::spawn(http::serve_monitoring(app.clone(), monitoring_listener, stop.clone()));
    tracing::info!(console = %addresses.http, monitoring = %addresses.monitoring, "server started");
    started(addresses);

    let mut hub_task = hub_task;
    // The listeners hear the same word and may be gone before we have heard it ourselves.
    let told = stop.clone();
    let unasked = |what: &str, ended: String| {
        if *told.borrow() { Ok(None) } else { Err(ServeError::Ended(format!("{what} {ended}"))) }
    };
    let until = stop.clone();
    let noted = async {
        if waits && let Err(error) = note(app.note_configured_later(seed.as_ref(), until).await) {
            return error;
        }
        // It is done, and nobody waits for it.
        std::future::pending().await
    };
    let outcome = tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => None,
        ended = &mut hub_task => Some(ended),
        error = noted => return Err(error),
        ended = console => unasked("the console", how_it_ended(ended))?,
        ended = monitoring => unasked("monitoring", how_it_ended(ended))?,
        ended = &mut books => unasked("the bookkeeper", how_it_ended(ended))?,
        ended = &mut retention => unasked("the retention", how_it_ended(ended))?,
        ended = &mut lease => unasked("the lease", how_it_ended(ended))?,
        ended = broker.ended() => unasked("the embedded broker", how_it_ended(ended))?,
    };
    // The hub has heard it too: it commits what was taken and says goodbye.
    let outcome = match outcome {
        Some(ended) => ended,
        None => hub_task.await,
    };
    lease.abort();
    books.abort();
    retention.abort();
    if let Err(error) = store.release_lease(GIVEN_BACK).await {
        tracing::warn!(%error, "the lease was not given back; it ends by itself");
    }
    store.close().await;
    drop(broker);
    drop(identity);
    match outcome {
        Ok(result) => result.map_err(ServeError::Hub),
        Err(error) => Err(ServeError::Ended(format!("the hub {}", how_it_ended::<()>(Err(error))))),
    }
}

/// A fleet file that cannot be is told as what it is.
fn note(outcome: Result<(), NoteError>) -> Result<(), ServeError> {
    outcome.map_err(|error| match error {
        NoteError::Seed(error) => ServeError::Seed(error),
        other => ServeError::Note(Box::new(other)),
    })
}

async fn listen(section: &'static str, address: std::net::SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { section, address, source })
}

fn address_of(section: &'static str, listener: &TcpListener) -> Result<std::net::SocketAddr, ServeError> {
    let unknown = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
    listener.local_addr().map_err(|source| ServeError::Listen { section, address: unknown, source })
}

struct RunningBroker {
    address: Option<std::net::SocketAddr>,
    #[cfg(feature = "embedded-broker")]
    broker: Option<crate::broker::Broker>,
}

impl RunningBroker {
    /// Never, without an embedded one.
    async fn ended(&mut self) -> Result<(), tokio::task::JoinError> {
        #[cfg(feature = "embedded-broker")]
        if let Some(broker) = &mut self.broker {
            return broker.ended().await;
        }
        std::future::pending().await
    }
}

#[cfg(feature = "embedded-broker")]
async fn start_broker(app: &App) -> Result<RunningBroker, ServeError> {
    let mqtt = &app.config().mqtt;
    if !mqtt.is_embedded() {
        return Ok(RunningBroker { address: None, broker: None });
    }
    let broker = crate::broker::Broker::start(mqtt.listen).await?;
    Ok(RunningBroker { address: Some(broker.address()), broker: Some(broker) })
}

#[cfg(not(feature = "embedded-broker"))]
async fn start_broker(app: &App) -> Result<RunningBroker, ServeError> {
    if app.config().mqtt.is_embedded() {
        return Err(ServeError::NoEmbeddedBroker);
    }
    Ok(RunningBroker { address: None })
}

/// What the configuration says, as the value that decisions are made by.
pub fn policy(config: &Config) -> Result<Policy, ServeError> {
    let mut catalogue = Catalogue::built_in();
    for path in &config.faults.files {
        let text = files::read_text(files::FAULTS, path)?;
        let own = Catalogue::from_toml(&text)
            .map_err(|source| ServeError::Catalogue { path: path.clone(), source })?;
        catalogue = catalogue.extended_by(own);
    }
    let defaults = Policy::default();
    let ms = |seconds: u64| i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX);
    Ok(Policy {
        unknown_kiosks: match config.fleet.unknown_kiosks {
            config::UnknownKiosks::Refuse => UnknownKiosks::Refuse,
            config::UnknownKiosks::Quarantine => UnknownKiosks::Quarantine,
            config::UnknownKiosks::Accept => UnknownKiosks::Accept,
        },
        presence: PresencePolicy {
            missed_heartbeats: config.presence.missed_heartbeats,
            settle_ms: ms(config.presence.settle_s),
            ..defaults.presence
        },
        tickets: TicketPolicy {
            site_hold_ms: ms(config.presence.site_hold_s),
            recover_hold_ms: ms(config.tickets.recover_hold_s),
            quiet_ms: ms(config.tickets.quiet_h.saturating_mul(3_600)),
            reopen_ms: ms(config.tickets.reopen_days.saturating_mul(86_400)),
            batch_kiosks: usize::try_from(config.tickets.batch_kiosks).unwrap_or(usize::MAX),
            ..defaults.tickets
        },
        commands: CommandPolicy { window_ms: ms(config.commands.default_valid_s), ..defaults.commands },
        catalogue,
        calendar: calendar(config)?,
        ..defaults
    })
}

/// The built-in calendars and the configured ones.
pub fn calendar(config: &Config) -> Result<WorkCalendar, ServeError> {
    let mut texts: Vec<(String, String)> =
        BUILT_IN_CALENDARS.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect();
    for path in &config.calendars.files {
        texts.push((path.display().to_string(), files::read_text(files::CALENDARS, path)?));
    }
    let texts = texts.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    Ok(WorkCalendar::from_files(texts, MissingYears::FollowTheWeek)?)
}
