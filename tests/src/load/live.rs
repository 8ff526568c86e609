//! Kiosks through a real Mosquitto into a real server: what it took beside a bare subscriber, how soon faults
//! were tickets, how exact the verdict on silent kiosks was, and what it all cost.
use std::{collections::BTreeSet, fmt, time::Duration};

use kioskwatch_domain::uptime::Month;
use kioskwatch_proto::Timestamp;
use kioskwatch_server::store::{Scope, Store};

use super::{
    delay::Delays,
    fleet::{BareSubscriber, Fleet, Pace, Sent},
    goal::Goal,
    kiosk::{VirtualKiosk, now},
    options::{LiveOptions, StageOptions},
    page::Page,
    process::{Resident, Watched},
};
use crate::{
    harness::{
        broker::Broker,
        postgres::Postgres,
        server::{DEFAULT_SWEEP_MS, Server, ServerOptions, Workdir},
        tls::Tls,
    },
    roles::Executable,
};
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(120);
/// What of `deploy/mosquitto/mosquitto.conf` matters for speed.
const AS_SHIPPED: &str = "set_tcp_nodelay true\nmax_inflight_messages 100\npersistence false\n";
/// Nothing more comes when nothing came for this long.
const STILL_FOR: Duration = Duration::from_millis(500);
/// What a kiosk that is going to fall silent promises, so that nobody waits long.
const SILENT_INTERVAL_S: u32 = 2;
/// The default of the product.
const MISSED_HEARTBEATS: i64 = 3;
/// Kiosks whose evidence is looked at, to see that all have been written once.
const SAMPLED: u32 = 1_000;
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

/// Broker, server and database of one run.
pub struct Stage {
    pub mosquitto: Broker,
    /// The broker's other door, where there is one. The server comes through the first.
    pub tls: Option<Tls>,
    pub server: Server,
    pub store: Store,
    _postgres: Option<Postgres>,
    _dir: Workdir,
}

impl Stage {
    pub async fn set(options: &StageOptions, flood: FloodLimit) -> Result<Self, String> {
        Self::set_with_doors_for(options, flood, &[]).await
    }

    /// `kiosks` come in over TLS.
    pub async fn set_with_doors_for(
        options: &StageOptions,
        flood: FloodLimit,
        kiosks: &[&str],
    ) -> Result<Self, String> {
        let text = |error: std::io::Error| error.to_string();
        let dir = Workdir::new("kioskwatch-load").map_err(text)?;
        let tls = match kiosks {
            [] => None,
            _ => Some(Tls::new(dir.path().join("tls"), kiosks)?),
        };
        let listener = tls.as_ref().map_or_else(String::new, Tls::listener);
        let mosquitto =
            Broker::start_with(dir.path(), &format!("{AS_SHIPPED}{listener}")).await.map_err(text)?;
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
        server.start().await.map_err(text)?;
        server.ready(Duration::from_secs(20)).await.map_err(|e| e.to_string())?;
        let sqlite = || format!("sqlite://{}", server.data_dir.join("kioskwatch.sqlite").display());
        let store = Store::open_beside(&database.unwrap_or_else(sqlite)).await.map_err(|e| e.to_string())?;
        Ok(Self { mosquitto, tls, server, store, _postgres: postgres, _dir: dir })
    }

    pub fn process(&self) -> Result<Watched, String> {
        let id = self.server.process().and_then(crate::harness::process::Process::id);
        id.map(Watched).ok_or_else(|| "the server is gone".to_owned())
    }
}

/// Both halves of a run and its end.
pub struct Report {
    options: LiveOptions,
    booked: Booked,
    beats: Span,
    faults: Span,
    tickets: u64,
    delays: Delays,
    verdicts: Verdicts,
    /// From the start of a server that was killed until it was ready and knew everybody.
    ready_after: Duration,
}

/// Kiosks whose month had a row before the measurement, of so many that were looked at.
struct Booked {
    months: usize,
    of: usize,
}

/// What was measured between two instants.
pub(super) struct Span {
    pub(super) sent: Sent,
    pub(super) bare: u64,
    pub(super) taken: u64,
    pub(super) dropped: u64,
    pub(super) cpu: Duration,
    grown: i64,
    memory: Resident,
}

/// How the server judged kiosks that fell silent, against what the generator knows.
struct Verdicts {
    silent: u32,
    /// The furthest the stamp was from the truth.
    stamp_error: Duration,
    /// From the truth until the server noticed.
    noticed: Delays,
}

pub async fn run(options: &LiveOptions) -> Result<Report, String> {
    let flood = FloodLimit::of(options.rate(), options.crowd.kiosks);
    let mut stage = Stage::set(&options.stage, flood).await?;
    let broker = stage.mosquitto.address();
    let bare = BareSubscriber::start(broker).await?;
    let mut fleet =
        Fleet::connect(options.crowd.kiosks, options.crowd.connections, options.crowd.interval, broker)
            .await?;
    fleet.introduce().await?;
    let booked = warm_up(&stage, &mut fleet, options).await?;
    let length = Duration::from_secs(options.seconds);
    let quiet = Pace { heartbeats: options.rate(), faults: 0, length };
    let beats = measure(&stage, &bare, &mut fleet, quiet).await?;
    let opened = async || Page::read(&stage.server).await.map(|page| page.tickets_opened());
    let before = opened().await?;
    let faults = measure(&stage, &bare, &mut fleet, Pace { faults: options.faults, ..quiet }).await?;
    let delays = fleet.fault_delays(PATIENCE).await?;
    let tickets = opened().await? - before;
    let verdicts = fall_silent(&stage, &mut fleet, options).await?;
    let ready_after = killed_and_started(&mut stage, options.crowd.kiosks).await?;
    stage.store.close().await;
    stage.server.stop().await.map_err(|e| e.to_string())?;
    if each_has_a_ticket(faults.sent.raised, options.crowd.kiosks) && tickets < faults.sent.raised {
        return Err(format!("{} faults were raised, and {tickets} tickets opened", faults.sent.raised));
    }
    Ok(Report { options: options.clone(), booked, beats, faults, tickets, delays, verdicts, ready_after })
}

/// Whether nobody had two faults, of which the second could be gathered into the ticket of the first.
fn each_has_a_ticket(raised: u64, kiosks: u32) -> bool {
    raised <= u64::from(kiosks)
}

/// Until every kiosk's evidence has a row: from then on heartbeats only make rows longer. Months as far as the
/// bookkeeper comes meanwhile, who takes a tenth of a core at most and thus minutes for a large fleet.
async fn warm_up(stage: &Stage, fleet: &mut Fleet, options: &LiveOptions) -> Result<Booked, String> {
    let step = (options.crowd.kiosks / SAMPLED.min(options.crowd.kiosks)).max(1) as usize;
    let sample: Vec<_> = (0..options.crowd.kiosks).step_by(step).map(|i| VirtualKiosk(i).id()).collect();
    let sample = &sample[..sample.len().min(SAMPLED as usize)];
    let heartbeats = options.rate().max(u64::from(options.crowd.kiosks) / 5).min(4_000);
    let pace = Pace { heartbeats, faults: 0, length: Duration::from_secs(1) };
    let ever: Month = "2000-01".parse().map_err(|_| "no month".to_owned())?;
    let mut reached = None;
    for _ in 0..options.settle {
        fleet.play(pace).await?;
        let (from, to) = (Timestamp(0), now().plus_ms(1_000_000));
        let rows = stage.store.evidence(&Scope::All, sample, from, to).await.map_err(|e| e.to_string())?;
        let mut written: Vec<_> = rows.iter().map(|row| &row.kiosk).collect();
        written.dedup();
        let months = stage.store.months_of_kiosks(sample, ever).await.map_err(|e| e.to_string())?;
        let booked: BTreeSet<_> = months.iter().map(|row| &row.kiosk).collect();
        reached =
            (written.len() == sample.len()).then_some(Booked { months: booked.len(), of: sample.len() });
        if booked.len() == sample.len() && reached.is_some() {
            break;
        }
    }
    reached.ok_or_else(|| "the evidence of some kiosks was never written".to_owned())
}

pub(super) async fn measure(
    stage: &Stage,
    bare: &BareSubscriber,
    fleet: &mut Fleet,
    pace: Pace,
) -> Result<Span, String> {
    let process = stage.process()?;
    let bytes = || async { stage.store.bytes().await.map_err(|e| e.to_string()) };
    let (page, cpu, heard, size) =
        (Page::read(&stage.server).await?, process.cpu()?, bare.received(), bytes().await?);
    let sent = fleet.play(pace).await?;
    let cpu = process.cpu()?.saturating_sub(cpu);
    let after = everything_came(stage, bare).await?;
    Ok(Span {
        sent,
        bare: bare.received() - heard,
        taken: after.heartbeats() - page.heartbeats(),
        dropped: after.dropped() - page.dropped(),
        cpu,
        grown: bytes().await?.cast_signed() - size.cast_signed(),
        memory: process.resident_kib()?,
    })
}

/// Waits until neither the server nor the bare subscriber receives anything more.
async fn everything_came(stage: &Stage, bare: &BareSubscriber) -> Result<Page, String> {
    let mut before = (0, 0);
    loop {
        let page = Page::read(&stage.server).await?;
        let seen = (page.heartbeats(), bare.received());
        if seen == before {
            return Ok(page);
        }
        before = seen;
        tokio::time::sleep(STILL_FOR).await;
    }
}

/// Some kiosks promise short intervals and fall silent, while the others go on.
async fn fall_silent(stage: &Stage, fleet: &mut Fleet, options: &LiveOptions) -> Result<Verdicts, String> {
    let silent = options.silent.min(options.crowd.kiosks.saturating_sub(1));
    fleet.hush(silent);
    let mut last = vec![Timestamp(0); silent as usize];
    let going_on = |ms| Pace { heartbeats: options.rate(), faults: 0, length: Duration::from_millis(ms) };
    for _ in 0..3 {
        fleet.play(going_on(500)).await?;
        for index in 0..silent {
            last[index as usize] = now();
            fleet.beat(VirtualKiosk(index), SILENT_INTERVAL_S, last[index as usize]).await?;
        }
    }
    let gave_up = Instant::now() + PATIENCE;
    loop {
        fleet.play(going_on(250)).await?;
        match Page::read(&stage.server).await?.kiosks("offline") {
            offline if offline >= u64::from(silent) => break,
            offline if Instant::now() > gave_up => {
                return Err(format!("{offline} of {silent} kiosks are offline"));
            }
            _ => {}
        }
    }
    let (mut stamp_error, mut noticed) = (Duration::ZERO, Delays::default());
    for index in 0..silent {
        let path = format!("/api/v1/kiosks/{}/timeline", VirtualKiosk(index).id());
        let timeline = stage.server.api().json(&path).await?;
        let transitions = timeline["transitions"].as_array().cloned().unwrap_or_default();
        let verdict = transitions
            .iter()
            .find(|t| t["kind"] == "presence" && t["to"] == "offline")
            .ok_or_else(|| format!("{path} has no verdict"))?;
        let time = |field: &str| {
            let text = verdict[field].as_str().unwrap_or_default();
            Timestamp::parse(text).map_err(|e| format!("{path}: {field} {text:?}: {e}"))
        };
        let truth = last[index as usize].plus_ms(i64::from(SILENT_INTERVAL_S) * 1_000 * MISSED_HEARTBEATS);
        let apart = |at: Timestamp| Duration::from_millis(at.since(truth).unsigned_abs());
        stamp_error = stamp_error.max(apart(time("at")?));
        noticed.add(apart(time("noticed_at")?));
    }
    Ok(Verdicts { silent, stamp_error, noticed })
}

/// How long a server that was killed takes from its start until `/readyz` says so.
async fn killed_and_started(stage: &mut Stage, kiosks: u32) -> Result<Duration, String> {
    stage.server.kill().await.map_err(|e| e.to_string())?;
    let started = Instant::now();
    stage.server.start().await.map_err(|e| e.to_string())?;
    stage.server.ready(PATIENCE).await.map_err(|e| e.to_string())?;
    let took = started.elapsed();
    match Page::read(&stage.server).await?.kiosks("") {
        all if all == u64::from(kiosks) => Ok(took),
        known => Err(format!("the server was started again and knows {known} of {kiosks} kiosks")),
    }
}

impl Span {
    /// A second, of so many.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(super) fn rate(&self, count: u64) -> f64 {
        count as f64 / self.sent.seconds
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn write(&self, f: &mut fmt::Formatter<'_>, head: &str, kiosks: u32) -> fmt::Result {
        let taken = self.taken.max(1) as f64;
        writeln!(f, "{head}")?;
        writeln!(f, "  heartbeats sent               {:>10.0} /s", self.rate(self.sent.heartbeats))?;
        writeln!(f, "  received by a bare subscriber {:>10.0} /s", self.rate(self.bare))?;
        let share = taken * 100.0 / self.bare.max(1) as f64;
        writeln!(
            f,
            "  taken by the server           {:>10.0} /s   {share:.1} % of the bare subscriber {}",
            self.rate(self.taken),
            Goal::AtLeast(90.0).of(share)
        )?;
        let each = self.cpu.as_secs_f64() * 1e6 / taken;
        writeln!(
            f,
            "  server CPU                    {each:>10.1} µs a heartbeat, all else included {}; {:.1} % of a core",
            Goal::AtMost(15.0).of(each),
            self.cpu.as_secs_f64() * 100.0 / self.sent.seconds
        )?;
        let [memory, most] = [self.memory.all, self.memory.most].map(|kib| kib as f64 / 1_024.0);
        let goal = Goal::of_memory(kiosks).map_or(String::new(), |goal| format!("{} ", goal.of(memory)));
        writeln!(
            f,
            "  server memory                 {memory:>10.1} MiB {goal}(Zabbix 6.0 with its database 458); {most:.1} at most so far"
        )?;
        let grown = self.grown as f64 / 1_048_576.0;
        let a_million = grown * 1e6 / taken;
        writeln!(
            f,
            "  database growth               {grown:>10.2} MiB, {a_million:.2} MiB a million heartbeats {} (Zabbix 6.0 89)",
            Goal::AtMost(1.0).of(a_million)
        )?;
        writeln!(f, "  dropped by full queues        {:>10}", self.dropped)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        let database = if options.stage.postgres { "PostgreSQL" } else { "SQLite" };
        writeln!(
            f,
            "{} kiosks on {} connections, Mosquitto, {database}, twice {} s",
            options.crowd.kiosks, options.crowd.connections, options.seconds
        )?;
        let Booked { months, of } = self.booked;
        if months < of {
            writeln!(
                f,
                "  the bookkeeper has not come to all: {months} of {of} have a month, the others follow"
            )?;
        }
        self.beats.write(f, "heartbeats alone", options.crowd.kiosks)?;
        self.faults.write(f, "with faults", options.crowd.kiosks)?;
        writeln!(
            f,
            "  faults raised                 {:>10}, {} tickets opened",
            self.faults.sent.raised, self.tickets
        )?;
        if !each_has_a_ticket(self.faults.sent.raised, options.crowd.kiosks) {
            writeln!(
                f,
                "  not checked: whether each fault has its ticket; more faults than kiosks, and a second is gathered"
            )?;
        }
        let ms = |share| self.delays.quantile(share).unwrap_or_default().as_secs_f64() * 1e3;
        let most = if options.crowd.kiosks < 100_000 { 50.0 } else { 250.0 };
        writeln!(
            f,
            "  fault to committed ticket     {}; p50 {}, p99 {} (Zabbix 6.0 876 and 1,000 ms at 1,000 hosts)",
            self.delays,
            Goal::AtMost(10.0).of(ms(0.5)),
            Goal::AtMost(most).of(ms(0.99))
        )?;
        writeln!(f, "kiosks fall silent")?;
        let verdicts = &self.verdicts;
        let error = verdicts.stamp_error.as_secs_f64() * 1e3;
        writeln!(
            f,
            "  offline                       {:>10}, stamped within {error:.0} ms of the truth {}",
            verdicts.silent,
            Goal::AtMost(1_000.0).of(error)
        )?;
        writeln!(f, "  noticed after the truth       {}", verdicts.noticed)?;
        let ready = self.ready_after.as_secs_f64();
        let goal = if options.crowd.kiosks <= 100_000 {
            format!(" {}", Goal::AtMost(3.0).of(ready))
        } else {
            String::new()
        };
        writeln!(f, "killed and started again\n  ready, everybody known        {ready:>10.2} s{goal}")
    }
}
