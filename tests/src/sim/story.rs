//! What happens in a world, as a list: made from a seed, printed for people, cut down when it fails.
//!
//! Every happening ends by itself after its time, so that any part of a story is a story.
use std::fmt;

use super::{mistake::Mistake, rng::Rng};

/// A world and what happens to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    /// Of the world's own dice: delays, losses, ids.
    pub seed: u64,
    pub kiosks: usize,
    /// Milliseconds until everything heals.
    pub length_ms: i64,
    pub setup: Setup,
    pub events: Vec<Timed>,
    pub mistake: Option<Mistake>,
}

/// How the world is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// Room for some hundred records only, so that old ones must go.
    pub small_journals: bool,
    /// Acknowledged records are kept for minutes and not for days.
    pub short_memory: bool,
    /// How wrong the kiosks' wall clocks are from the beginning, at most.
    pub skew_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timed {
    pub at_ms: i64,
    pub what: Happening,
}

/// Where a server dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    AtOnce,
    /// In the next turn that has something to commit.
    BeforeCommit,
    /// Committed, and neither adopted nor acknowledged.
    AfterCommit,
    /// Adopted; no acknowledgement left the house.
    BeforeAcks,
}

/// How bad the network of a kiosk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weather {
    pub loss_per_mille: u64,
    pub twice_per_mille: u64,
    /// Messages take up to this long, and overtake each other.
    pub delay_ms: i64,
}

/// One thing that goes wrong, or just happens. `k` is the kiosk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// A device has this fault.
    Fault {
        k: usize,
        fault: usize,
        ms: i64,
    },
    /// Customers come.
    Transactions {
        k: usize,
        count: u32,
    },
    PowerCut {
        k: usize,
        ms: i64,
    },
    AgentCrash {
        k: usize,
        ms: i64,
    },
    /// The agent is stopped in order; with `machine` the machine as well.
    Stop {
        k: usize,
        ms: i64,
        machine: bool,
    },
    ClockJump {
        k: usize,
        by_ms: i64,
    },
    /// The line is cut and both ends notice.
    LinkCut {
        k: usize,
        ms: i64,
        will: bool,
    },
    /// The line is dead and nobody notices before the keep-alive.
    HalfOpen {
        k: usize,
        ms: i64,
    },
    Weather {
        k: usize,
        weather: Weather,
        ms: i64,
    },
    DiskBackup {
        k: usize,
    },
    /// The agent's disk is what it was at the last backup.
    DiskRestore {
        k: usize,
        ms: i64,
    },
    /// A second machine runs from a copy of the disk.
    Clone {
        k: usize,
        ms: i64,
    },
    /// The server's wall clock is wrong by so much for a time.
    ServerClockJump {
        by_ms: i64,
        ms: i64,
    },
    BrokerDeath {
        ms: i64,
    },
    /// Every connection is torn off at once, and for so long the broker's queue for the server is full: what the kiosks
    /// tell is dropped. All wills come before.
    Tear {
        ms: i64,
    },
    /// The server loses its connection to the broker.
    ServerCutOff {
        ms: i64,
    },
    ServerCrash {
        crash: Crash,
        ms: i64,
    },
    CommitsFail {
        times: u32,
    },
    ServerBackup,
    /// The server's store is what it was at the last backup.
    ServerRestore {
        ms: i64,
    },
}

/// What a story may contain: not every question needs every trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Themes {
    pub kiosk_trouble: bool,
    pub server_trouble: bool,
    pub bad_network: bool,
    pub disks: bool,
    pub clones: bool,
    pub clocks: bool,
    pub restores: bool,
    pub tears: bool,
}

impl Themes {
    /// Faults of devices and customers: a good day.
    pub const NONE: Self = Self {
        kiosk_trouble: false,
        server_trouble: false,
        bad_network: false,
        disks: false,
        clones: false,
        clocks: false,
        restores: false,
        tears: false,
    };

    /// Some of them, so that each is met alone and in company.
    fn some(rng: &mut Rng) -> Self {
        Self {
            kiosk_trouble: rng.per_mille(650),
            server_trouble: rng.per_mille(650),
            bad_network: rng.per_mille(500),
            disks: rng.per_mille(250),
            clones: rng.per_mille(150),
            clocks: rng.per_mille(250),
            restores: rng.per_mille(200),
            tears: rng.branch(TEARS).per_mille(300),
        }
    }
}

/// What the dice of tears are for: see [`Rng::branch`].
const TEARS: u64 = 2;
/// How long a queue is full: a fleet is back within seconds.
const LONGEST_TEAR_MS: i64 = 10_000;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

impl Story {
    /// The story of a seed.
    #[must_use]
    pub fn of_seed(seed: u64, kiosks: usize, length_ms: i64) -> Self {
        let mut rng = Rng::new(seed);
        let themes = Themes::some(&mut rng);
        Self::with(&mut rng, seed, kiosks, length_ms, themes)
    }

    /// A story with trouble of these kinds only.
    #[must_use]
    pub fn about(themes: Themes, seed: u64, kiosks: usize, length_ms: i64) -> Self {
        Self::with(&mut Rng::new(seed), seed, kiosks, length_ms, themes)
    }

    fn with(rng: &mut Rng, seed: u64, kiosks: usize, length_ms: i64, themes: Themes) -> Self {
        let kiosks = kiosks.max(1);
        let setup = Setup {
            small_journals: rng.per_mille(150),
            short_memory: rng.per_mille(200),
            skew_ms: if themes.clocks && rng.per_mille(500) { 10 * MINUTE } else { 300 },
        };
        // Dense in a short story; a long one has its quiet days.
        let per_kiosk = 4 + length_ms / (20 * MINUTE);
        let shared = 1 + length_ms / (40 * MINUTE);
        let mut events = Vec::new();
        for k in 0..kiosks {
            for _ in 0..rng.between(2, per_kiosk) {
                let what = of_kiosk(rng, k, themes, setup);
                events.push(Timed { at_ms: rng.between(0, length_ms - 1), what });
            }
        }
        if themes.server_trouble || themes.restores || themes.clocks {
            for _ in 0..rng.between(1, 2 * shared) {
                let what = of_server(rng, themes);
                events.push(Timed { at_ms: rng.between(0, length_ms - 1), what });
            }
        }
        if themes.tears {
            let mut dice = rng.branch(TEARS);
            for _ in 0..dice.between(1, 2 * shared) {
                let what = Happening::Tear { ms: dice.between(0, LONGEST_TEAR_MS) };
                events.push(Timed { at_ms: dice.between(0, length_ms - 1), what });
            }
        }
        events.sort_by_key(|event| event.at_ms);
        Self { seed, kiosks, length_ms, setup, events, mistake: None }
    }
}

fn of_kiosk(rng: &mut Rng, k: usize, themes: Themes, setup: Setup) -> Happening {
    loop {
        let ms = rng.length(2_000, 2 * HOUR);
        let what = match rng.below(16) {
            0..=4 => {
                let fault = rng.index(super::kiosk::FAULTS.len());
                Happening::Fault { k, fault, ms }
            }
            5 => Happening::Transactions {
                k,
                count: if setup.small_journals { 400 } else { 1 + rng.below(5) as u32 },
            },
            6 | 7 if themes.kiosk_trouble => Happening::PowerCut { k, ms },
            8 if themes.kiosk_trouble => Happening::AgentCrash { k, ms: ms / 8 + 1_000 },
            9 if themes.kiosk_trouble => Happening::Stop { k, ms, machine: rng.per_mille(500) },
            10 if themes.bad_network => Happening::LinkCut { k, ms, will: rng.per_mille(500) },
            11 if themes.bad_network => Happening::HalfOpen { k, ms: ms / 8 + 1_000 },
            12 if themes.bad_network => {
                let weather = Weather {
                    loss_per_mille: rng.below(400),
                    twice_per_mille: rng.below(300),
                    delay_ms: rng.length(100, 20_000),
                };
                Happening::Weather { k, weather, ms }
            }
            13 if themes.disks => {
                if rng.per_mille(500) {
                    Happening::DiskBackup { k }
                } else {
                    Happening::DiskRestore { k, ms: ms / 16 + 1_000 }
                }
            }
            14 if themes.clones => Happening::Clone { k, ms },
            15 if themes.clocks => {
                let size = rng.length(1_000, 400 * 24 * HOUR);
                Happening::ClockJump { k, by_ms: if rng.per_mille(500) { size } else { -size } }
            }
            _ => continue,
        };
        return what;
    }
}

fn of_server(rng: &mut Rng, themes: Themes) -> Happening {
    loop {
        let ms = rng.length(500, HOUR);
        let crash = match rng.below(4) {
            0 => Crash::AtOnce,
            1 => Crash::BeforeCommit,
            2 => Crash::AfterCommit,
            _ => Crash::BeforeAcks,
        };
        let what = match rng.below(9) {
            0 | 1 if themes.server_trouble => Happening::BrokerDeath { ms },
            2 if themes.server_trouble => Happening::ServerCutOff { ms },
            3 | 4 if themes.server_trouble => Happening::ServerCrash { crash, ms: ms / 4 + 500 },
            5 if themes.server_trouble => Happening::CommitsFail { times: 1 + rng.below(20) as u32 },
            6 if themes.restores => Happening::ServerBackup,
            7 if themes.restores => Happening::ServerRestore { ms: ms / 4 + 500 },
            8 if themes.clocks => {
                let size = rng.length(1_000, 400 * 24 * HOUR);
                Happening::ServerClockJump { by_ms: if rng.per_mille(500) { size } else { -size }, ms }
            }
            _ => continue,
        };
        return what;
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setup { small_journals, short_memory, skew_ms } = self.setup;
        writeln!(f, "seed {}, {} kiosks, heals after {}", self.seed, self.kiosks, clock(self.length_ms))?;
        writeln!(
            f,
            "small journals: {small_journals}, short memory: {short_memory}, clocks wrong by up to {skew_ms} ms"
        )?;
        if let Some(mistake) = self.mistake {
            writeln!(f, "planted mistake: {mistake:?}")?;
        }
        for event in &self.events {
            writeln!(f, "  {}  {}", clock(event.at_ms), event.what)?;
        }
        Ok(())
    }
}

/// `day.hh:mm:ss.mmm` since the beginning.
#[must_use]
pub fn clock(ms: i64) -> String {
    let (days, rest) = (ms / (24 * HOUR), ms % (24 * HOUR));
    let (hours, rest) = (rest / HOUR, rest % HOUR);
    format!("{days}.{hours:02}:{:02}:{:02}.{:03}", rest / MINUTE, rest % MINUTE / 1_000, rest % 1_000)
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Fault { k, fault, ms } => {
                let (peripheral, code, _) = super::kiosk::FAULTS[fault];
                write!(f, "K{k}: {code} on {peripheral} for {}", clock(ms))
            }
            Self::Transactions { k, count } => write!(f, "K{k}: {count} transactions"),
            Self::PowerCut { k, ms } => write!(f, "K{k}: no power for {}", clock(ms)),
            Self::AgentCrash { k, ms } => write!(f, "K{k}: the agent dies for {}", clock(ms)),
            Self::Stop { k, ms, machine } => {
                let what = if machine { "machine" } else { "agent" };
                write!(f, "K{k}: the {what} is stopped in order for {}", clock(ms))
            }
            Self::ClockJump { k, by_ms } => write!(f, "K{k}: the wall clock jumps by {by_ms} ms"),
            Self::LinkCut { k, ms, will } => {
                write!(f, "K{k}: line cut for {}, {} will", clock(ms), if will { "with" } else { "no" })
            }
            Self::HalfOpen { k, ms } => write!(f, "K{k}: line silently dead for {}", clock(ms)),
            Self::Weather { k, weather: w, ms } => write!(
                f,
                "K{k}: bad network for {}: {} ‰ lost, {} ‰ twice, up to {} ms late",
                clock(ms),
                w.loss_per_mille,
                w.twice_per_mille,
                w.delay_ms
            ),
            Self::DiskBackup { k } => write!(f, "K{k}: the disk is copied"),
            Self::DiskRestore { k, ms } => write!(f, "K{k}: the copy is put back, takes {}", clock(ms)),
            Self::Clone { k, ms } => write!(f, "K{k}: a second machine with the same disk for {}", clock(ms)),
            Self::ServerClockJump { by_ms, ms } => {
                write!(f, "the server's wall clock jumps by {by_ms} ms for {}", clock(ms))
            }
            Self::BrokerDeath { ms } => write!(f, "the broker dies for {}", clock(ms)),
            Self::Tear { ms } => {
                write!(f, "all connections are torn off, and the broker drops for {}", clock(ms))
            }
            Self::ServerCutOff { ms } => write!(f, "the server is cut off from the broker for {}", clock(ms)),
            Self::ServerCrash { crash, ms } => write!(f, "the server dies ({crash:?}) for {}", clock(ms)),
            Self::CommitsFail { times } => write!(f, "{times} commits fail"),
            Self::ServerBackup => write!(f, "the store is copied"),
            Self::ServerRestore { ms } => write!(f, "the store's copy is put back, takes {}", clock(ms)),
        }
    }
}
