//! Broker, server and database of one run through a broker, with a fleet that is founded before the server starts.
use std::time::Duration;

use kioskwatch_server::store::Store;

use super::{options::StageOptions, process::Watched, sites};
use crate::{
    harness::{
        broker::Broker,
        postgres::Postgres,
        process::Process,
        rows::Rows,
        server::{DEFAULT_SWEEP_MS, Server, ServerOptions, Workdir},
        tls::Tls,
    },
    roles::Executable,
};

const READY_WITHIN: Duration = Duration::from_secs(60);
/// What of `deploy/mosquitto/mosquitto.conf` matters for speed.
const AS_SHIPPED: &str =
    "set_tcp_nodelay true\nmax_inflight_messages 100\npersistence false\nmax_queued_bytes 134217728\n";
/// Messages that it keeps for each client.
const QUEUE_AS_SHIPPED: u32 = 20_000;
/// Heartbeats a second of one kiosk from which on it is a flood in the product's eyes, or soon.
const NEARLY_A_FLOOD: u64 = 20;

/// What a kiosk may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloodLimit {
    /// As the product comes.
    Default,
    /// For few kiosks that say more than any kiosk does.
    Lifted,
}

impl FloodLimit {
    /// For so many heartbeats a second of all together.
    pub fn of(rate: u64, kiosks: u32) -> Self {
        if rate > u64::from(kiosks) * NEARLY_A_FLOOD { Self::Lifted } else { Self::Default }
    }

    fn section(self) -> &'static str {
        match self {
            Self::Default => "",
            Self::Lifted => "\n[flood]\nmessages_per_s = 10000\nmessage_burst = 100000\n",
        }
    }
}

/// What is asked of the broker.
#[derive(Debug, Clone, Copy, Default)]
pub struct BrokerOptions<'a> {
    /// Certificates for those that come in over TLS, by name; none: no such door.
    pub over_tls: &'a [&'a str],
}

/// Broker, server and database of one run.
pub struct Stage {
    pub mosquitto: Broker,
    /// The broker's other door, where there is one. The server comes through the first.
    pub tls: Option<Tls>,
    pub server: Server,
    pub store: Store,
    url: String,
    postgres: Option<Postgres>,
    _dir: Workdir,
}

impl Stage {
    /// Of so many kiosks, which the database knows and nobody has heard yet.
    pub async fn set(options: &StageOptions, flood: FloodLimit, kiosks: u32) -> Result<Self, String> {
        Self::set_with_broker(options, flood, kiosks, &BrokerOptions::default()).await
    }

    /// With a broker of another kind.
    pub async fn set_with_broker(
        options: &StageOptions,
        flood: FloodLimit,
        kiosks: u32,
        broker: &BrokerOptions<'_>,
    ) -> Result<Self, String> {
        let text = |error: std::io::Error| error.to_string();
        let dir = Workdir::new("kioskwatch-load").map_err(text)?;
        let tls = match broker.over_tls {
            [] => None,
            names => Some(Tls::new(dir.path().join("tls"), names)?),
        };
        let listener = tls.as_ref().map_or_else(String::new, Tls::listener);
        let queue = format!("max_queued_messages {}\n", options.queue.unwrap_or(QUEUE_AS_SHIPPED));
        let mosquitto =
            Broker::start_with(dir.path(), &format!("{AS_SHIPPED}{queue}{listener}")).await.map_err(text)?;
        let postgres = options.postgres.then(Postgres::start);
        let database = match &postgres {
            Some(postgres) => Some(postgres.fresh_database().await),
            None => None,
        };
        let mut server = Server::new(&ServerOptions {
            program: match &options.server {
                Some(program) => Executable::Shipped(program.clone()),
                None => Executable::Player(std::env::current_exe().map_err(text)?),
            },
            dir: dir.path().join("server"),
            database: database.clone(),
            broker: mosquitto.url(),
            fleet: String::new(),
            // Nobody falls silent before the measurement asks for it.
            extra: format!("\n[presence]\nsettle_s = 3\n{}", flood.section()),
            unknown_kiosks: "accept",
            open_access: true,
            sweep_ms: DEFAULT_SWEEP_MS,
        })
        .map_err(text)?;
        std::fs::create_dir_all(&server.data_dir).map_err(text)?;
        let sqlite = || format!("sqlite://{}", server.data_dir.join("kioskwatch.sqlite").display());
        let database = database.unwrap_or_else(sqlite);
        sites::found(kiosks, &database, |_, _| []).await?;
        server.start().await.map_err(text)?;
        server.ready(READY_WITHIN).await.map_err(|e| e.to_string())?;
        let store = Store::open_beside(&database).await.map_err(|e| e.to_string())?;
        Ok(Self { mosquitto, tls, server, store, url: database, postgres, _dir: dir })
    }

    /// The database, read around the server.
    pub fn rows(&self) -> Rows {
        if self.postgres.is_some() { Rows::of(&self.url) } else { Rows::of_file(&self.url) }
    }

    pub fn process(&self) -> Result<Watched, String> {
        let id = self.server.process().and_then(Process::id);
        id.map(Watched).ok_or_else(|| "the server is gone".to_owned())
    }
}
