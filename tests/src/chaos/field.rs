//! The processes: broker, database, server, kiosks; how they die and come back.
use std::{fmt::Write as _, path::Path, time::Duration};

use tokio::time::Instant;

use super::{BrokerKind, Options, Victim, database::Database, journal, verdict::unresolved};
use crate::{
    harness::{
        broker::Broker,
        kiosk::{Kiosk, KioskOptions},
        rows::{Rows, StoredIncident, StoredRecord, StoredTicket},
        server::{QUICK_SWEEP_MS, Server, ServerOptions, Workdir},
        wait::wait_for,
    },
    roles::Executable,
    treachery::Odds,
};

/// Verdicts within seconds; the hold is longer than any restart takes on a busy machine.
const SETTINGS: &str = "
[presence]
missed_heartbeats = 3
site_hold_s = 8
settle_s = 8

[tickets]
recover_hold_s = 2
";
/// A journal must be empty again this long after the last fault.
pub(super) const DRAINED_WITHIN: Duration = Duration::from_secs(60);
/// Nothing takes this long when all is well.
const PATIENCE: Duration = Duration::from_secs(90);
/// `RestartSec` of the unit.
const RESTART_PAUSE: Duration = Duration::from_secs(2);
/// An agent whose records nobody acknowledges for this long builds a new connection.
const STALLED_AFTER_S: &str = "10";

#[derive(Debug)]
pub(super) struct Field {
    pub(super) kiosks: Vec<Kiosk>,
    pub(super) server: Server,
    pub(super) broker: Broker,
    pub(super) rows: Rows,
    pub(super) dir: Workdir,
    database: Database,
    /// What was committed when progress was last looked for.
    committed: u64,
    /// How often the server ended by itself.
    pub(super) restarts: u32,
}

impl Field {
    pub(super) async fn start(program: &Path, options: &Options) -> Result<Self, String> {
        let told = |what: &'static str| move |error: std::io::Error| format!("{what}: {error}");
        let dir = Workdir::new("kioskwatch-chaos").map_err(told("making a directory"))?;
        let database = Database::start(options.database, dir.path()).await;
        let broker = match options.broker {
            BrokerKind::Mosquitto => Broker::start(dir.path()).await,
            BrokerKind::Treacherous => {
                Broker::treacherous(program, dir.path(), options.seed, &Odds::TREACHEROUS).await
            }
        };
        let broker = broker.map_err(told("starting the broker"))?;
        let mut server = Server::new(&ServerOptions {
            program: Executable::Player(program.to_owned()),
            dir: dir.path().join("server"),
            database: Some(database.url().to_owned()),
            broker: broker.url(),
            fleet: fleet_file(options.kiosks),
            extra: SETTINGS.to_owned(),
            unknown_kiosks: "refuse",
            open_access: true,
            sweep_ms: QUICK_SWEEP_MS,
        })
        .map_err(told("preparing the server"))?;
        server.start().await.map_err(told("starting the server"))?;
        let mut kiosks = Vec::new();
        for k in 0..options.kiosks {
            let mut kiosk = Kiosk::new(&KioskOptions {
                program: program.to_owned(),
                dir: dir.path().join("kiosks"),
                id: kiosk_id(k),
                broker: broker.url(),
                keys: Vec::new(),
                heartbeat_s: 1,
                probe_s: 0.8,
                extra: String::new(),
            })
            .map_err(told("building a kiosk"))?;
            kiosk.set_env("KIOSKWATCH__MQTT__STALLED_AFTER_S", STALLED_AFTER_S);
            kiosk.boot().map_err(told("booting a kiosk"))?;
            kiosks.push(kiosk);
        }
        let rows = database.rows();
        let mut field = Self { kiosks, server, broker, rows, dir, database, committed: 0, restarts: 0 };
        field.everybody_online().await?;
        field.progress().await?;
        Ok(field)
    }

    async fn everybody_online(&self) -> Result<(), String> {
        let (api, wanted) = (self.server.api(), self.kiosks.len());
        let look = || async {
            let kiosks = api.list("/api/v1/kiosks").await?;
            let online = kiosks.iter().filter(|kiosk| kiosk["presence"]["state"] == "online").count();
            if online == wanted { Ok(()) } else { Err(format!("{online} of {wanted}")) }
        };
        wait_for("every kiosk to be online", PATIENCE, look).await.map_err(|error| error.to_string())
    }

    pub(super) async fn kill(&mut self, victim: Victim, agents: &[usize]) -> Result<(), String> {
        let told = |error: std::io::Error| format!("killing {victim:?}: {error}");
        match victim {
            Victim::Agent => {
                for &k in agents {
                    self.kiosks[k].kill_agent().await.map_err(told)?;
                }
            }
            Victim::Broker => self.broker.kill().await.map_err(told)?,
            Victim::Server => self.server.kill().await.map_err(told)?,
            Victim::Database => self.database.kill(),
        }
        Ok(())
    }

    pub(super) async fn start_again(&mut self, victim: Victim, agents: &[usize]) -> Result<(), String> {
        let told = |error: std::io::Error| format!("starting {victim:?} again: {error}");
        match victim {
            Victim::Agent => {
                for &k in agents {
                    self.kiosks[k].start_agent().map_err(told)?;
                }
            }
            Victim::Broker => self.broker.restart().await.map_err(told)?,
            Victim::Server => self.server.start().await.map_err(told)?,
            Victim::Database => self.database.resume(),
        }
        Ok(())
    }

    /// Waits until the server has committed a record more than when this was asked last. A server that ended by
    /// itself, because its database died while it was starting, is started again as its unit tells systemd to.
    pub(super) async fn progress(&mut self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        loop {
            if !self.server.process_runs() {
                self.restarts += 1;
                self.server.start().await.map_err(|error| format!("starting the server again: {error}"))?;
            }
            let (rows, before) = (&self.rows, self.committed);
            let look = || async move {
                let count = rows.record_count().await.map_err(|error| error.to_string())?;
                if count > before { Ok(count) } else { Err(format!("{count} records")) }
            };
            match wait_for("a record more to be committed", RESTART_PAUSE, look).await {
                Ok(count) => {
                    self.committed = count;
                    return Ok(());
                }
                Err(never) if Instant::now() >= until => return Err(format!("after {PATIENCE:?}: {never}")),
                Err(_) => {}
            }
        }
    }

    /// Waits until the server has what the agents have now; how long after the last fault that was.
    pub(super) async fn drained(&self, last_fault: Instant) -> Result<Duration, String> {
        let look = || async {
            let (stored, held) = self.records().await?;
            for (kiosk, held) in self.kiosks.iter().zip(held) {
                let missing = held.iter().filter(|record| !is_stored(&stored, &kiosk.id, record)).count();
                if missing > 0 {
                    return Err(format!("{missing} of {} records of {} are missing", held.len(), kiosk.id));
                }
            }
            Ok(())
        };
        let patience = PATIENCE.max(DRAINED_WITHIN);
        let drained = wait_for("the journals to be drained", patience, look).await;
        drained.map(|()| last_fault.elapsed()).map_err(|error| error.to_string())
    }

    /// Incidents and tickets, if possible at a moment at which the tickets of what is gone are resolved; whether they are
    /// is the verdict's to say.
    pub(super) async fn work(&self) -> Result<(Vec<StoredIncident>, Vec<StoredTicket>), String> {
        let look = || async {
            let (incidents, tickets) = self.still_work().await?;
            match unresolved(&incidents, &tickets).count() {
                0 => Ok((incidents, tickets)),
                left => Err(format!("{left} tickets")),
            }
        };
        match wait_for("tickets of what is gone to be resolved", PATIENCE, look).await {
            Ok(both) => Ok(both),
            Err(_) => self.still_work().await,
        }
    }

    /// The server goes on: what is read of both must be of one moment.
    async fn still_work(&self) -> Result<(Vec<StoredIncident>, Vec<StoredTicket>), String> {
        let told = |error: sqlx::Error| error.to_string();
        let look = || async {
            let before = self.rows.agents_tickets().await.map_err(told)?;
            let incidents = self.rows.incidents().await.map_err(told)?;
            let tickets = self.rows.agents_tickets().await.map_err(told)?;
            if before == tickets { Ok((incidents, tickets)) } else { Err("a ticket moves".to_owned()) }
        };
        wait_for("nothing to move between two looks", PATIENCE, look).await.map_err(|error| error.to_string())
    }

    /// What the agents' journals held at one moment, kiosk by kiosk, and what the server had a little later: an agent
    /// goes on writing, and what it wrote between the two looks is neither lost nor of nobody.
    pub(super) async fn both_books(&self) -> Result<(Vec<StoredRecord>, Vec<Vec<journal::Held>>), String> {
        let mut both = self.records().await?;
        let look = || async {
            let (stored, held) = self.records().await?;
            let all = self.kiosks.iter().zip(&held).all(|(kiosk, held)| {
                let last = stored.iter().rfind(|row| row.kiosk == kiosk.id).map_or(0, |row| row.seq);
                held.last().map_or(0, |record| record.seq) == last
            });
            if all { Ok((stored, held)) } else { Err("an agent writes".to_owned()) }
        };
        if let Ok(still) = wait_for("nobody to write between two looks", PATIENCE, look).await {
            both = still;
        }
        Ok(both)
    }

    async fn records(&self) -> Result<(Vec<StoredRecord>, Vec<Vec<journal::Held>>), String> {
        let stored = self.rows.records().await.map_err(|error| error.to_string())?;
        let mut held = Vec::new();
        for kiosk in &self.kiosks {
            held.push(journal::read(kiosk.journal()).await?);
        }
        Ok((stored, held))
    }
}

/// `stored` is in the order of kiosk, epoch and number; a kiosk of ours has one epoch.
fn is_stored(stored: &[StoredRecord], kiosk: &str, record: &journal::Held) -> bool {
    let key = |row: &StoredRecord| (row.kiosk.clone(), row.seq);
    stored
        .binary_search_by_key(&(kiosk.to_owned(), record.seq), key)
        .is_ok_and(|at| stored[at].raw == record.raw)
}

fn kiosk_id(k: usize) -> String {
    format!("K-{:04}", k + 1)
}

/// Two kiosks on each site, so that a dead site can be told from a dead kiosk.
fn fleet_file(kiosks: usize) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for site in 0..kiosks.div_ceil(2) {
        let _ = write!(text, "[[site]]\nid = \"S-{site}\"\nname = \"S-{site}\"\nregion = \"north\"\n\n");
    }
    for k in 0..kiosks {
        let _ = write!(text, "[[kiosk]]\nid = {:?}\nsite = \"S-{}\"\n\n", kiosk_id(k), k / 2);
    }
    text
}
