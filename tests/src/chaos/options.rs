//! The command line of the kill loop.
use clap::ValueEnum;

/// Who can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Victim {
    /// One or more kiosks' agents; the machines stay on.
    Agent,
    Broker,
    Server,
    /// PostgreSQL with all its processes; SQLite has none of its own.
    Database,
}

/// What the server keeps everything in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DatabaseKind {
    Sqlite,
    Postgres,
}

/// Which broker carries everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BrokerKind {
    /// At its defaults: its queue overflows and dies with it.
    Mosquitto,
    /// Our own; see [`crate::treachery`].
    Treacherous,
}

/// Kills real processes again and again, and holds agents, devices and server against each other.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Options {
    /// Who is killed [default: everybody there is].
    #[arg(long, value_enum, value_delimiter = ',')]
    pub victims: Vec<Victim>,
    #[arg(long, value_enum, default_value = "postgres")]
    pub database: DatabaseKind,
    /// How often; each cycle waits until a record more than before has been committed.
    #[arg(long, default_value_t = 100)]
    pub cycles: u32,
    #[arg(long, value_enum, default_value = "mosquitto")]
    pub broker: BrokerKind,
    /// Who dies when; the processes themselves do as they like.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[arg(long, default_value_t = 4)]
    pub kiosks: usize,
    /// Keep data and logs, also when all is right.
    #[arg(long)]
    pub keep: bool,
}

/// The most kiosks one process can emulate beside everything else.
const MOST_KIOSKS: usize = 40;

impl Options {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.kiosks == 0 || self.kiosks > MOST_KIOSKS {
            return Err(format!("--kiosks {}: expected 1 to {MOST_KIOSKS}", self.kiosks));
        }
        if self.database == DatabaseKind::Sqlite && self.victims.contains(&Victim::Database) {
            return Err(
                "--victims database: with --database sqlite it is a file of the server's, and dies with \
                        the victim server"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Who can die, in a story that kills whom it may.
    pub(super) fn victims(&self) -> Vec<Victim> {
        if !self.victims.is_empty() {
            return self.victims.clone();
        }
        let mut all = vec![Victim::Agent, Victim::Broker, Victim::Server];
        if self.database == DatabaseKind::Postgres {
            all.push(Victim::Database);
        }
        all
    }
}
