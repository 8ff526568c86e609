//! The kill loop: real processes are killed at random moments while kiosks are in use, and afterwards the books
//! of agents, devices and server are held against each other.
//!
//! Every kiosk tells its agent numbered transactions, of which the agent says that they are on disk, and its
//! devices break and heal, of which the agent's journal tells. Whatever dies meanwhile, each of these facts must
//! stand in the server's database, once.
//!
//! | file | noun |
//! |---|---|
//! | `options` | what is killed, how often |
//! | `field` | the processes |
//! | `database` | what is under the server |
//! | `life` | a kiosk in use: customers and breaking devices, and what they know |
//! | `killing` | one cycle: who dies, when, for how long |
//! | `journal` | what an agent has on its disk |
//! | `verdict` | the books against each other |
mod database;
mod field;
mod journal;
mod killing;
mod life;
mod options;
mod verdict;

use std::path::Path;

pub use options::{BrokerKind, DatabaseKind, Options, Victim};
use tokio::time::Instant;
pub use verdict::Verdict;

use self::{field::Field, killing::Killing, life::Life};
use crate::sim::rng::Rng;

/// Kills as the options say, and judges. `program` plays the roles of [`crate::roles`]; `tell` hears how it goes.
///
/// # Errors
/// What could not be started, or never came back, with the place of the logs.
pub async fn run(program: &Path, options: &Options, tell: impl Fn(&str)) -> Result<Verdict, String> {
    options.check()?;
    let mut field = Field::start(program, options).await?;
    let outcome = play(&mut field, options, &tell).await;
    let is_right = outcome.as_ref().is_ok_and(Verdict::all_right);
    if !is_right || options.keep {
        field.dir.keep();
        tell(&format!("data and logs in {}", field.dir.path().display()));
    }
    outcome
}

async fn play(field: &mut Field, options: &Options, tell: &impl Fn(&str)) -> Result<Verdict, String> {
    let dice = Rng::new(options.seed);
    let lives: Vec<Life> =
        (0..).zip(&field.kiosks).map(|(k, kiosk)| Life::begin(kiosk, dice.branch(k))).collect();
    let mut plans = dice.branch(u64::MAX);
    let mut killed = verdict::Killed::default();
    let mut last_fault = Instant::now();
    for cycle in 1..=options.cycles {
        let killing = Killing::plan(&mut plans, cycle, options);
        killed.count(&killing);
        killing.carry_out(field).await.map_err(|error| format!("cycle {cycle}, {killing:?}: {error}"))?;
        last_fault = Instant::now();
        field.progress().await.map_err(|error| format!("cycle {cycle}, after {killing:?}: {error}"))?;
        if cycle % 50 == 0 {
            tell(&format!("{cycle} of {} cycles", options.cycles));
        }
    }
    field.broker.become_honest().map_err(|error| error.to_string())?;
    for life in &lives {
        life.end();
    }
    let drained = field.drained(last_fault).await;
    let mut books = Vec::new();
    for life in lives {
        books.push(life.books().await?);
    }
    // What the devices did while they were put right is part of the story.
    let drained = match drained {
        Ok(_) => field.drained(last_fault).await,
        late => late,
    };
    verdict::judge(field, &books, &killed, drained).await
}
