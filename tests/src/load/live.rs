//! Kiosks through a real Mosquitto into a real server: what it took beside a bare subscriber, how soon faults
//! were tickets, how exact the verdict on silent kiosks was, and what it all cost.
use std::{collections::BTreeSet, fmt, time::Duration};

use kioskwatch_domain::uptime::Month;
use kioskwatch_proto::Timestamp;
use kioskwatch_server::store::Scope;
use tokio::time::Instant;

use super::{
    delay::Delays,
    fleet::{BareSubscriber, Fleet, Pace},
    goal::Goal,
    kiosk::{VirtualKiosk, now},
    options::LiveOptions,
    page::Page,
    silence::{Verdicts, fall_silent},
    span::{Span, measure},
    stage::{FloodLimit, Stage},
    tickets,
};

const PATIENCE: Duration = Duration::from_secs(120);
/// Kiosks whose evidence is looked at, to see that all have been written once.
const SAMPLED: u32 = 1_000;

/// Both halves of a run and its end.
pub struct Report {
    options: LiveOptions,
    booked: Booked,
    beats: Span,
    faults: Span,
    tickets: usize,
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

pub async fn run(options: &LiveOptions) -> Result<Report, String> {
    let kiosks = options.crowd.kiosks;
    let flood = FloodLimit::of(options.rate(), kiosks);
    let mut stage = Stage::set(&options.stage, flood, kiosks).await?;
    let broker = stage.mosquitto.address();
    let bare = BareSubscriber::start(broker).await?;
    let mut fleet = Fleet::connect(kiosks, options.crowd.connections, options.crowd.interval, broker).await?;
    fleet.introduce().await?;
    let booked = warm_up(&stage, &mut fleet, options).await?;
    let length = Duration::from_secs(options.seconds);
    let quiet = Pace { heartbeats: options.rate(), faults: 0, length };
    let beats = measure(&stage, &bare, &mut fleet, quiet).await?;
    let faults = measure(&stage, &bare, &mut fleet, Pace { faults: options.faults, ..quiet }).await?;
    let delays = fleet.fault_delays(PATIENCE).await?;
    let tickets = tickets::of_faults(&stage.store, fleet.raised()).await?;
    let silent = options.silent.min(kiosks.saturating_sub(1));
    let verdicts = fall_silent(&stage, &mut fleet, silent, options.rate()).await?;
    let ready_after = killed_and_started(&mut stage, kiosks).await?;
    stage.store.close().await;
    stage.server.stop().await.map_err(|e| e.to_string())?;
    Ok(Report { options: options.clone(), booked, beats, faults, tickets, delays, verdicts, ready_after })
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
        let sent = &self.faults.sent;
        writeln!(
            f,
            "  faults raised                 {:>10}, each one incident, in {} tickets; {} cleared, {} skipped because the one before was not acknowledged",
            sent.raised, self.tickets, sent.cleared, sent.skipped
        )?;
        let ms = |share| self.delays.quantile(share).unwrap_or_default().as_secs_f64() * 1e3;
        let most = if options.crowd.kiosks < 100_000 { 50.0 } else { 250.0 };
        writeln!(
            f,
            "  fault to committed ticket     {}; p50 {}, p99 {} (Zabbix 6.0 876 and 1,000 ms at 1,000 hosts)",
            self.delays,
            Goal::AtMost(10.0).of(ms(0.5)),
            Goal::AtMost(most).of(ms(0.99))
        )?;
        write!(f, "{}", self.verdicts)?;
        let ready = self.ready_after.as_secs_f64();
        let goal = if options.crowd.kiosks <= 100_000 {
            format!(" {}", Goal::AtMost(3.0).of(ready))
        } else {
            String::new()
        };
        writeln!(f, "killed and started again\n  ready, everybody known        {ready:>10.2} s{goal}")
    }
}
