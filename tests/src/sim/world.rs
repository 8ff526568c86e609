//! The world: virtual time, machines, a broker, a server, and what a story does to them.
mod fate;
mod line;
mod office;

use std::collections::{BTreeMap, HashMap, HashSet};

use kioskwatch_agent_core::journal::JournalView as _;
use kioskwatch_domain::fleet::Input;
use kioskwatch_proto::{
    BootId, Epoch, KioskId, SessionId,
    journal::{Ack, Digest, Record},
    presence::PresenceState,
    words::ShutdownReason,
};

use super::{
    agenda::Agenda,
    broker::{Broker, Client, Conn, Up, UpBody, will},
    inspect::Ledgers,
    kiosk::{Disk, Io, Machine, Out, limits},
    ledger::Ledger,
    mistake::Mistake,
    rng::Rng,
    server::{Server, Turned},
    story::{Crash, Happening, Story, Weather, clock},
};

/// A dead connection is noticed after this long.
const KEEP_ALIVE_MS: i64 = 45_000;
/// After its own trouble a kiosk may still be silent: the longest backoff, the missed heartbeats, the hold.
const EXCUSED_MS: i64 = 300_000;
/// A kiosk that has been connected for three intervals was heard, and comes back at once.
const STEADY_MS: i64 = 90_000;
/// From the healing to the last record of each kiosk, and from there to the end.
const SETTLE_MS: i64 = 8 * 60_000;
const AFTER_MARK_MS: i64 = 90_000;
/// One world never needs more events than this; it runs in circles.
const MAX_EVENTS_PER_KIOSK_DAY: u64 = 4_000_000;

#[derive(Debug)]
enum Event {
    Story(usize),
    Machine(usize),
    PowerBack(usize),
    AgentBack(usize),
    FaultOver(usize),
    AtBroker(Conn, Up),
    /// The broker notices that a connection ended.
    Closed {
        conn: Conn,
        will: bool,
    },
    /// Both ends notice that the line is dead.
    KeepAlive {
        machine: usize,
        conn: Conn,
    },
    AtServer {
        link: u64,
        message: Up,
        retained: bool,
    },
    AtMachine(KioskId, Ack),
    ServerTurn,
    ServerTick,
    ServerFlush,
    ServerBack,
    /// The server's clock had jumped by so much.
    ServerClockBack(i64),
    Link,
    BrokerBack,
    CloneGone(usize),
    Heal,
    Mark,
    End,
}

/// Until when which trouble of a machine lasts.
#[derive(Debug, Clone, Copy, Default)]
struct Trouble {
    power: i64,
    agent: i64,
    link: i64,
    half_open: i64,
    weather: (Weather, i64),
}

#[derive(Debug, Clone, Copy)]
struct Connection {
    machine: usize,
    /// The broker has not noticed its end.
    open: bool,
    /// Nothing overtakes in good weather.
    last_arrival: i64,
    since: i64,
}

pub(super) struct World<'a> {
    pub(super) story: &'a Story,
    pub(super) now: i64,
    agenda: Agenda<Event>,
    rng: Rng,
    pub(super) machines: Vec<Machine>,
    scheduled: Vec<i64>,
    trouble: Vec<Trouble>,
    connection: Vec<Option<Conn>>,
    conns: Vec<Connection>,
    broker: Broker,
    broker_back: i64,
    /// Until then the broker drops what it should pass on to the server.
    queue_full_until: i64,
    pub(super) server: Server,
    server_back: i64,
    link: u64,
    link_back: i64,
    turn_at: Option<i64>,
    pub(super) ledger: Ledger,
    excused_until: BTreeMap<KioskId, i64>,
    /// Stretches in which a kiosk's own trouble may explain its silence.
    excuses: Vec<(i64, i64)>,
    pub(super) goodbyes: BTreeMap<KioskId, u32>,
    /// The highest number a server ever acknowledged, by kiosk and epoch.
    said: HashMap<(KioskId, Epoch), u64>,
    /// Boots of which the server has ever heard a heartbeat.
    clocks_known: HashSet<BootId>,
    pub(super) store_restored: bool,
    /// Of the final checks.
    pub(super) excused: u64,
    pub(super) compared_s: i64,
    pub(super) compared_episodes: u64,
    pub(super) resolved: u64,
    faults_made: u64,
    pub(super) problems: Vec<String>,
    pub(super) marked_at: i64,
    healed: bool,
    ended: bool,
    tick_ms: i64,
    pub(super) log: Option<Vec<String>>,
}

impl<'a> World<'a> {
    #[must_use]
    pub(super) fn new(story: &'a Story, trace: bool) -> Self {
        let mut rng = Rng::new(story.seed).branch(1);
        let mut machines = Vec::new();
        let journal = limits(story.setup.small_journals, story.setup.short_memory);
        for k in 0..story.kiosks {
            let id = KioskId::new(&format!("K{k}")).expect("a good name");
            let epoch = Epoch(uuid::Uuid::from_u64_pair(rng.bits(), rng.bits()));
            let mut machine = Machine::new(k, k, id, epoch, journal);
            let skew = story.setup.skew_ms;
            machine.clock_offset_ms = rng.between(-skew, skew);
            machines.push(machine);
        }
        let kiosks = story.kiosks;
        let mut world = Self {
            story,
            now: 0,
            agenda: Agenda::default(),
            rng,
            machines,
            scheduled: vec![i64::MAX; kiosks],
            trouble: vec![Trouble::default(); kiosks],
            connection: vec![None; kiosks],
            conns: Vec::new(),
            broker: Broker::new(),
            broker_back: 0,
            queue_full_until: 0,
            server: Server::new(story.seed, story.mistake),
            server_back: 0,
            link: 0,
            link_back: 0,
            turn_at: None,
            ledger: Ledger::default(),
            excused_until: BTreeMap::new(),
            excuses: Vec::new(),
            goodbyes: BTreeMap::new(),
            said: HashMap::new(),
            clocks_known: HashSet::new(),
            store_restored: false,
            excused: 0,
            compared_s: 0,
            compared_episodes: 0,
            resolved: 0,
            faults_made: 0,
            problems: Vec::new(),
            marked_at: 0,
            healed: false,
            ended: false,
            tick_ms: if story.length_ms <= 3 * 3_600_000 { 1_000 } else { 5_000 },
            log: trace.then(Vec::new),
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        let ids: Vec<_> = self.machines.iter().map(|machine| machine.id.clone()).collect();
        self.at(0, Event::ServerBack);
        self.server.start(0);
        self.server.register(&ids);
        for machine in 0..self.machines.len() {
            let at = self.rng.between(100, 5_000);
            self.at(at, Event::PowerBack(machine));
        }
        for (index, event) in self.story.events.iter().enumerate() {
            self.at(event.at_ms, Event::Story(index));
        }
        self.at(self.tick_ms, Event::ServerTick);
        self.at(30_000, Event::ServerFlush);
        self.at(self.story.length_ms, Event::Heal);
        self.at(self.story.length_ms + SETTLE_MS, Event::Mark);
        self.at(self.story.length_ms + SETTLE_MS + AFTER_MARK_MS, Event::End);
    }

    fn at(&mut self, at: i64, event: Event) {
        self.agenda.add(at.max(self.now), event);
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            let line = format!("{}  {}", clock(self.now), text());
            log.push(line);
        }
    }

    /// Runs to the end, or to the first problem.
    pub(super) fn run(&mut self) {
        let days = u64::try_from(self.story.length_ms / 86_400_000).unwrap_or(0) + 1;
        let most = MAX_EVENTS_PER_KIOSK_DAY * days * self.story.kiosks as u64;
        let mut events = 0;
        while let Some((at, event)) = self.agenda.next() {
            self.now = at;
            events += 1;
            if events > most {
                self.problems.push("the world runs in circles".into());
            }
            self.take(event);
            if self.ended || !self.problems.is_empty() {
                return;
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Story(index) => {
                if !self.healed {
                    let what = self.story.events[index].what;
                    self.note(|| format!("** {what}"));
                    self.happen(what);
                }
            }
            Event::Machine(m) => {
                if self.scheduled[m] == self.now {
                    self.scheduled[m] = i64::MAX;
                    self.with(m, Machine::wake);
                }
            }
            Event::PowerBack(m) => self.power_back(m),
            Event::AgentBack(m) => {
                if self.trouble[m].agent <= self.now && self.machines[m].booted_at.is_some() {
                    self.with(m, Machine::start_agent);
                }
            }
            // Nothing new in the last minutes: it could not have arrived.
            Event::FaultOver(_) if self.marked_at > 0 => {}
            Event::FaultOver(m) => {
                let now = self.now;
                let faults = &mut self.machines[m].faults;
                let before = faults.len();
                faults.retain(|_, (until, _)| *until > now);
                if faults.len() != before {
                    self.with(m, Machine::devices_changed);
                }
            }
            Event::AtBroker(conn, message) => self.at_broker(conn, &message),
            Event::Closed { conn, will } => self.closed(conn, will),
            Event::KeepAlive { machine, conn } => self.keep_alive(machine, conn),
            Event::AtServer { link, message, retained } => {
                if link == self.link && self.server.linked {
                    self.note_clock(&message);
                    self.server.receive(self.now, message, retained);
                    let delay = self.rng.between(2, 30);
                    self.plan_turn(delay);
                }
            }
            Event::AtMachine(kiosk, ack) => self.ack_arrives(&kiosk, ack),
            Event::ServerTurn => {
                if self.turn_at.is_some_and(|at| at <= self.now) {
                    self.turn_at = None;
                    self.server_turn();
                }
            }
            Event::ServerTick => {
                if self.server.is_due(self.now) {
                    self.server.tick(self.now, Input::Sweep);
                    self.plan_turn(0);
                }
                self.at(self.now + self.tick_ms, Event::ServerTick);
            }
            Event::ServerFlush => {
                self.server.tick(self.now, Input::FLUSH_ALL);
                self.at(self.now + 30_000, Event::ServerFlush);
            }
            Event::ServerBack => self.server_back(),
            Event::ServerClockBack(by_ms) if !self.healed => self.server_clock_jumps(-by_ms),
            Event::ServerClockBack(_) => {}
            Event::Link => self.link_server(),
            Event::BrokerBack => {
                if self.broker_back <= self.now && !self.broker.up {
                    self.broker.up = true;
                    self.note(|| "the broker is back".into());
                    self.at(self.now + 200, Event::Link);
                }
            }
            Event::CloneGone(m) => self.remove_clone(m),
            Event::Heal => self.heal(),
            Event::Mark => self.mark(),
            Event::End => {
                self.ended = true;
                self.final_checks();
            }
        }
    }

    /// Lets a machine act, and does what it asks for.
    fn with(&mut self, m: usize, act: impl FnOnce(&mut Machine, &mut Io<'_>)) {
        let mut io = Io {
            now: self.now,
            rng: &mut self.rng,
            ledger: &mut self.ledger,
            mistake: self.story.mistake,
            out: Vec::new(),
        };
        act(&mut self.machines[m], &mut io);
        let out = io.out;
        self.never_ahead_of_the_server(m);
        for one in out {
            self.perform(m, one);
        }
        self.schedule(m);
    }

    /// No agent believes more to be committed than a server ever said.
    fn never_ahead_of_the_server(&mut self, m: usize) {
        let machine = &self.machines[m];
        let (epoch, acked) = (machine.disk.journal.epoch(), machine.disk.journal.acked());
        if acked > 0 && self.said.get(&(machine.id.clone(), epoch)).is_none_or(|&said| said < acked) {
            let text = format!("{} {}: takes {acked} for committed", clock(self.now), machine.id);
            self.problems.push(text);
        }
    }

    fn schedule(&mut self, m: usize) {
        if let Some(at) = self.machines[m].next_wake() {
            let at = at.max(self.now + 1);
            if at < self.scheduled[m] {
                self.scheduled[m] = at;
                self.at(at, Event::Machine(m));
            }
        }
    }

    #[must_use]
    pub(super) fn tally(&self) -> super::Tally {
        let tickets = self.server.disk.store.tickets.len() as u64;
        let kiosks = i64::try_from(self.story.kiosks).unwrap_or(1);
        let lived_s = self.marked_at / 1_000 * kiosks;
        let excuses = self.excuses.iter().map(|&(from, until)| until.min(self.marked_at) - from);
        super::Tally {
            records: self.ledger.kept.len(),
            excused: self.excused,
            tickets,
            lived_s,
            excuseless_s: lived_s - excuses.map(|ms| ms.max(0)).sum::<i64>() / 1_000,
            compared_s: self.compared_s,
            episodes: self.ledger.episodes(),
            compared_episodes: self.compared_episodes,
            resolved: self.resolved,
        }
    }
}
