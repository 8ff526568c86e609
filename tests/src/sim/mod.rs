//! A fleet in a box without a box: many kiosks, a broker and a server in virtual time, by seed.
//!
//! The real engine, delivery, journal model and fleet run in a world of our own making: power cuts, dead
//! lines, lost and doubled messages, crashes in the worst moment, restored backups, cloned disks, clocks that
//! jump. After everything has healed, what the agents committed must stand in the server's store, once, and
//! both sides must believe the same.
//!
//! # What this module knows
//! What is true: it owns the power switch, the devices and the clocks, and keeps its own books.
//!
//! # What it must not know
//! Real time, threads, files, sockets. A seed gives the same story on every machine.
//!
//! # Where things are
//! | file | noun |
//! |---|---|
//! | `story` | [`Story`]: what happens, from a seed; printed for people |
//! | `world` | [`World`](world::World): virtual time, and what a story does |
//! | `agenda` | what is to happen, by time |
//! | `kiosk` | one machine and the shell of its agent |
//! | `broker` | connections, wills, retained messages |
//! | `server` | the shell of the fleet |
//! | `ledger` | what the agents committed, out of reach of every crash |
//! | `truth` | what a kiosk really was, for the uptime figures |
//! | `inspect` | what must hold of every commit |
//! | `tickets` | what must hold of tickets at the end |
//! | `verdict` | what must hold at the end |
//! | `shrink` | the shortest story that still fails |
//! | `many` | many worlds at once |
//! | `mistake` | mistakes to plant, to see that they are found |
mod agenda;
mod broker;
mod inspect;
mod kiosk;
mod ledger;
pub mod many;
pub mod mistake;
pub mod rng;
mod server;
mod shrink;
pub mod story;
mod tickets;
mod truth;
mod verdict;
mod world;

pub use mistake::Mistake;
pub use shrink::shrink;
pub use story::{Story, clock};

use world::World;

/// What went wrong in a world, the first things first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub Vec<String>);

/// What was in a world that went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Records that agents committed.
    pub records: usize,
    /// Those of them that are lost without a name and may be: of an epoch given up, which a server restored since
    /// never heard of.
    pub excused: u64,
    /// Tickets in the store at the end.
    pub tickets: u64,
    /// Those of them that had to be resolved by then, and were.
    pub resolved: u64,
    /// Seconds of all kiosks, until everything had healed.
    pub lived_s: i64,
    /// Those of them in which silence of a kiosk would be nobody's fault but ours.
    pub excuseless_s: i64,
    /// Those of them of which the evidence was held against what the kiosk was.
    pub compared_s: i64,
    /// Times that a fault was raised, by the records that agents committed.
    pub episodes: u64,
    /// Those of them that were held against the incidents.
    pub compared_episodes: u64,
}

/// Lives through a story.
///
/// # Errors
/// What did not hold.
pub fn run(story: &Story) -> Result<Tally, Failure> {
    let mut world = World::new(story, false);
    world.run();
    if world.problems.is_empty() { Ok(world.tally()) } else { Err(Failure(world.problems)) }
}

/// The same, with everything that happened as readable lines.
pub fn trace(story: &Story) -> (Vec<String>, Result<Tally, Failure>) {
    let mut world = World::new(story, true);
    world.run();
    let lines = world.log.take().unwrap_or_default();
    let outcome = if world.problems.is_empty() {
        Ok(world.tally())
    } else {
        Err(Failure(std::mem::take(&mut world.problems)))
    };
    (lines, outcome)
}
