//! A broker that cannot be trusted: it acknowledges and drops, duplicates, reorders, forgets sessions and
//! withholds acknowledgements, by seed.
//!
//! It speaks MQTT 5 with the codec of the client library that agent and server use; everything else of it is
//! written for this purpose and for no other. SIGUSR1 makes it honest: what was lost stays lost.
//! SIGUSR2 makes it forget, without a word, what everybody who listens to more than one kiosk had subscribed to.
//!
//! | file | noun |
//! |---|---|
//! | `hub` | who is connected, what is retained, and the dice; pure |
//! | `serve` | sockets and timers around it |
mod hub;
mod serve;

use std::{ffi::OsString, net::SocketAddr, process::ExitCode};

use clap::Parser as _;

/// How often it does what a broker must not do, per thousand messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Args)]
pub struct Odds {
    /// Acknowledged, and not delivered.
    #[arg(long, default_value_t = 60)]
    pub lose: u64,
    /// Delivered a second time, later.
    #[arg(long, default_value_t = 80)]
    pub twice: u64,
    /// Delivered late, so that others overtake it.
    #[arg(long, default_value_t = 150)]
    pub late: u64,
    /// Never acknowledged.
    #[arg(long, default_value_t = 10)]
    pub withhold: u64,
    /// The publisher's session is forgotten, with its connection and what it left behind.
    #[arg(long, default_value_t = 2)]
    pub forget: u64,
}

impl Odds {
    pub const TREACHEROUS: Self = Self { lose: 60, twice: 80, late: 150, withhold: 10, forget: 2 };
    pub const HONEST: Self = Self { lose: 0, twice: 0, late: 0, withhold: 0, forget: 0 };

    /// As its command line takes them.
    #[must_use]
    pub fn args(&self) -> Vec<String> {
        let pairs = [
            ("lose", self.lose),
            ("twice", self.twice),
            ("late", self.late),
            ("withhold", self.withhold),
            ("forget", self.forget),
        ];
        pairs.into_iter().flat_map(|(name, odds)| [format!("--{name}"), odds.to_string()]).collect()
    }
}

/// The command line of the role.
#[derive(Debug, clap::Parser)]
#[command(name = "treacherous-broker")]
struct Arguments {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    odds: Odds,
}

/// Runs until it is killed.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime
        .and_then(|runtime| runtime.block_on(serve::serve(arguments.listen, arguments.seed, arguments.odds)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::demo::complain(&format!("the treacherous broker on {}: {error}", arguments.listen));
            ExitCode::FAILURE
        }
    }
}
