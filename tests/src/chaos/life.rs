//! A kiosk in use: customers whose transactions are numbered, devices that break and heal, and what they know.
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use tokio::{
    net::UnixStream,
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::journal;
use crate::{
    emulator::{Acceptor, Paper, Phase, Printer, Ups},
    harness::{application::tell, kiosk::Kiosk, wait::wait_for},
    sim::rng::Rng,
};

/// A device's fault.
#[derive(Clone, Copy)]
struct Harm {
    /// The code that stands for it.
    code: &'static str,
    device: &'static str,
    turn: fn(&Devices, bool),
}

/// More than this within the window counts as flapping, and is no longer told each time: of one fault, and of all faults
/// of one device, whose status each of them changes, since its agent was started.
const EPISODES_OF_ONE: usize = 3;
const WINDOW: Duration = Duration::from_secs(10 * 60);
/// An application does not wait longer for its agent.
const ANSWER: Duration = Duration::from_secs(5);
/// A fault is seen, confirmed and written long before, once the agent runs.
const NOTICED: Duration = Duration::from_secs(60);

// One code each: a roll that is out is also one that runs low.
const HARMS: [Harm; 15] = [
    harm("printer", "cover_open", |d, on| d.printer.set(|p| p.cover_open = on)),
    harm("printer", "paper_low", |d, on| {
        d.printer.set(|p| p.paper = if on { Paper::NearEnd } else { Paper::Ok });
    }),
    harm("printer", "cutter_error", |d, on| d.printer.set(|p| p.cutter_error = on)),
    harm("ups", "on_battery", |d, on| d.ups.set(|u| u.on_battery = on)),
    harm("ups", "ups_fault", |d, on| d.ups.set(|u| u.failed = on)),
    harm("acceptor", "stacker_full", |d, on| d.phase(on, Phase::StackerFull)),
    harm("acceptor", "stacker_removed", |d, on| d.phase(on, Phase::StackerRemoved)),
    harm("acceptor", "note_jam(validator)", |d, on| d.phase(on, Phase::ValidatorJam)),
    harm("acceptor", "note_jam(stacker)", |d, on| d.phase(on, Phase::StackerJam)),
    harm("acceptor", "fraud_attempt", |d, on| d.phase(on, Phase::Cheated)),
    harm("acceptor", "acceptor_failure(50)", |d, on| d.phase(on, Phase::Failure(0x50))),
    harm("acceptor", "acceptor_failure(51)", |d, on| d.phase(on, Phase::Failure(0x51))),
    harm("acceptor", "acceptor_failure(52)", |d, on| d.phase(on, Phase::Failure(0x52))),
    harm("acceptor", "acceptor_failure(55)", |d, on| d.phase(on, Phase::Failure(0x55))),
    harm("acceptor", "acceptor_failure(5f)", |d, on| d.phase(on, Phase::Failure(0x5f))),
];

const fn harm(device: &'static str, code: &'static str, turn: fn(&Devices, bool)) -> Harm {
    Harm { code, device, turn }
}

struct Devices {
    printer: Printer,
    ups: Ups,
    acceptor: Acceptor,
}

impl Devices {
    fn phase(&self, on: bool, phase: Phase) {
        self.acceptor.set(|acceptor| acceptor.phase = if on { phase } else { Phase::Disabled });
    }
}

/// What a kiosk knows, whatever its agent or its server say.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) kiosk: String,
    pub(super) journal: PathBuf,
    /// Transactions of which the agent said that they are on its disk.
    pub(super) kept: Vec<String>,
    /// Transactions that were told, with or without an answer.
    pub(super) told: u64,
    /// Faults that came and went, by code.
    pub(super) episodes: BTreeMap<&'static str, u32>,
}

/// Goes on until [`Life::end`].
#[derive(Debug)]
pub(super) struct Life {
    ended: watch::Sender<bool>,
    task: JoinHandle<Result<Books, String>>,
}

impl Life {
    pub(super) fn begin(kiosk: &Kiosk, dice: Rng) -> Self {
        let (ended, ending) = watch::channel(false);
        let devices = Devices {
            printer: kiosk.printer.clone(),
            ups: kiosk.ups.clone(),
            acceptor: kiosk.acceptor.clone(),
        };
        let books = Books { kiosk: kiosk.id.clone(), journal: kiosk.journal(), ..Books::default() };
        let socket = kiosk.socket();
        let living = Living { devices, socket, line: None, books, dice, harm: None, lately: BTreeMap::new() };
        Self { ended, task: tokio::spawn(living.run(ending)) }
    }

    /// No more customers, and every device is put right.
    pub(super) fn end(&self) {
        self.ended.send_replace(true);
    }

    pub(super) async fn books(self) -> Result<Books, String> {
        self.task.await.map_err(|error| error.to_string())?
    }
}

/// The one fault there is: since when it is what it is, and which record of the agent's ends that.
struct Standing {
    harm: Harm,
    is_on: bool,
    /// How often the agent's journal tells of this change when it has noticed.
    wanted: u32,
    rests: u64,
}

struct Living {
    devices: Devices,
    socket: PathBuf,
    line: Option<UnixStream>,
    books: Books,
    dice: Rng,
    harm: Option<Standing>,
    lately: BTreeMap<&'static str, Vec<Instant>>,
}

impl Living {
    async fn run(mut self, ending: watch::Receiver<bool>) -> Result<Books, String> {
        while !*ending.borrow() {
            sleep(Duration::from_millis(self.dice.between(30, 400).unsigned_abs())).await;
            self.customer().await;
            self.devices().await?;
        }
        if let Some(standing) = self.harm.take() {
            self.noticed(&standing).await?;
            if standing.is_on {
                let cleared = self.turn(standing.harm, false).await?;
                self.noticed(&cleared).await?;
            }
            *self.books.episodes.entry(standing.harm.code).or_default() += 1;
        }
        Ok(self.books)
    }

    async fn customer(&mut self) {
        self.books.told += 1;
        let id = format!("{}-{}", self.books.kiosk, self.books.told);
        // No answer proves nothing: the record may be on disk all the same.
        if matches!(timeout(ANSWER, tell(&self.socket, &mut self.line, &id)).await, Ok(Ok(true))) {
            self.books.kept.push(id);
        } else {
            self.line = None;
        }
    }

    /// Lets a device break, or heal, when the agent has noticed what was before.
    async fn devices(&mut self) -> Result<(), String> {
        let Some(mut standing) = self.harm.take() else {
            if self.dice.per_mille(150)
                && let Some(harm) = self.choose().await?
            {
                self.harm = Some(self.turn(harm, true).await?);
            }
            return Ok(());
        };
        if standing.rests > 0 {
            standing.rests -= 1;
            self.harm = Some(standing);
        } else if !self.is_noticed(&standing).await? {
            // Looking costs a read of the journal.
            standing.rests = 2;
            self.harm = Some(standing);
        } else if standing.is_on {
            self.harm = Some(self.turn(standing.harm, false).await?);
        } else {
            *self.books.episodes.entry(standing.harm.code).or_default() += 1;
        }
        Ok(())
    }

    /// A fault that has not come too often lately, of a device that has not broken too often.
    async fn choose(&mut self) -> Result<Option<Harm>, String> {
        let harm = HARMS[self.dice.index(HARMS.len())];
        let times = self.lately.entry(harm.code).or_default();
        times.retain(|at| at.elapsed() < WINDOW);
        if times.len() >= EPISODES_OF_ONE {
            return Ok(None);
        }
        let held = journal::read(self.books.journal.clone()).await?;
        if journal::raised_since_start(&held, harm.device) >= EPISODES_OF_ONE {
            return Ok(None);
        }
        times.push(Instant::now());
        Ok(Some(harm))
    }

    async fn turn(&mut self, harm: Harm, on: bool) -> Result<Standing, String> {
        let before = self.count(harm.code, on).await?;
        (harm.turn)(&self.devices, on);
        Ok(Standing { harm, is_on: on, wanted: before + 1, rests: 2 + self.dice.below(8) })
    }

    async fn count(&self, fault: &str, raised: bool) -> Result<u32, String> {
        let held = journal::read(self.books.journal.clone()).await?;
        let (raises, clears) = journal::changes(&held, fault);
        Ok(if raised { raises } else { clears })
    }

    async fn is_noticed(&self, standing: &Standing) -> Result<bool, String> {
        Ok(self.count(standing.harm.code, standing.is_on).await? >= standing.wanted)
    }

    async fn noticed(&self, standing: &Standing) -> Result<(), String> {
        let what = format!("{} to write of {}", self.books.kiosk, standing.harm.code);
        let look =
            || async { if self.is_noticed(standing).await? { Ok(()) } else { Err("not yet".to_owned()) } };
        wait_for(&what, NOTICED, look).await.map_err(|error| error.to_string())
    }
}
