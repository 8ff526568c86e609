//! How fast uptime is answered on this machine, in one table.
//!
//! `cargo run --release -p kioskwatch-server --example uptime_bench -- [--kiosks 100000] [--intervals 100]
//! [--backfill-kiosks 10000] sqlite:///tmp/bench/db.sqlite postgres://…`
//! Each database must be empty. A fleet with a year of signed months is written first, so that what is asked
//! is asked of tables of that size; `--backfill-kiosks` of them get the history of evidence that is timed.
#![expect(clippy::print_stdout, reason = "it prints a table")]
use std::{collections::BTreeMap, error::Error, sync::Arc, time::Duration};

use kioskwatch_domain::{
    calendar::WorkCalendar,
    change::{
        Admission, Change, EvidenceRow, EvidenceSource, EvidenceState, KioskRow, LivenessRow, MonthRow,
        MonthSums, SiteRow, Zone,
    },
    fleet::Fleet,
    policy::Policy,
    uptime::{Cause, Figures, Month, Ratio},
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp, command::CommandSigner};
use kioskwatch_server::{
    app::{
        App, FLUSH_EVERY, Hub, HubOptions, NotLive, Parts, UptimePeriod, UptimeQuery, UptimeReader,
        UptimeScope, keep_books,
    },
    clock::{Clock, Stopwatch},
    config::Config,
    metrics::Counters,
    mqtt::{BrokerAddress, Lane, Link, LinkOptions},
    store::{Scope, Store},
};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

const ZONE: chrono_tz::Tz = chrono_tz::Asia::Shanghai;
const KIOSKS_A_SITE: u64 = 20;
const ROWS_A_COMMIT: usize = 5_000;
/// The kiosks whose own series a scrape shows.
const SCRAPED: u64 = 5_000;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Options {
    kiosks: u64,
    intervals: i64,
    backfill: u64,
    urls: Vec<String>,
}

impl Options {
    fn read() -> Result<Self> {
        let mut options = Self { kiosks: 100_000, intervals: 100, backfill: 10_000, urls: Vec::new() };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a number"));
            match word.as_str() {
                "--kiosks" => options.kiosks = value()?.parse()?,
                "--intervals" => options.intervals = value()?.parse()?,
                "--backfill-kiosks" => options.backfill = value()?.parse()?,
                url => options.urls.push(url.to_owned()),
            }
        }
        Ok(options)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::read()?;
    println!("{:<9} {:<64} {:>12} {:>12}", "database", "what", "goal", "measured");
    for url in &options.urls {
        let name = url.split(':').next().unwrap_or_default().to_owned();
        let bench = Bench { store: Store::open(url).await?, name, config: Config::default() };
        bench.run(&options).await?;
    }
    Ok(())
}

struct Bench {
    store: Store,
    name: String,
    config: Config,
}

impl Bench {
    fn line(&self, what: &str, goal: &str, measured: &str) {
        println!("{:<9} {what:<64} {goal:>12} {measured:>12}", self.name);
    }

    async fn run(&self, options: &Options) -> Result<()> {
        let now = Clock::start().now();
        let running = Month::at(ZONE, now.secs());
        self.fleet(options, running).await?;
        self.backfill(options, running.previous()).await?;
        self.one_kiosk(running.previous(), now).await?;
        self.groups(running, options.kiosks).await?;
        self.scrape().await
    }

    async fn commit(&self, changes: impl Iterator<Item = Change>) -> Result<u64> {
        let mut batch = Vec::with_capacity(ROWS_A_COMMIT);
        let mut rows = 0;
        for change in changes {
            batch.push(change);
            rows += 1;
            if batch.len() == ROWS_A_COMMIT {
                self.store.commit(&batch).await?;
                batch.clear();
            }
        }
        self.store.commit(&batch).await?;
        Ok(rows)
    }

    /// Sites, kiosks, and a year of month figures: signed ones, and what is known now of the last two months.
    async fn fleet(&self, options: &Options, running: Month) -> Result<()> {
        let kiosks = options.kiosks;
        self.commit((0..kiosks.div_ceil(KIOSKS_A_SITE)).map(site)).await?;
        self.commit((0..kiosks).map(|n| Change::Kiosk(kiosk(n)))).await?;
        let months: Vec<Month> =
            std::iter::successors(Some(running), |month| Some(month.previous())).take(13).collect();
        let alive = months[12].period(ZONE).from;
        let alive = LivenessRow { server: Uuid::from_u128(1), from: secs(alive), to: Clock::start().now() };
        self.store.commit(&[Change::Liveness(alive)]).await?;
        let watch = Stopwatch::start();
        let current = months[..2].iter().flat_map(|month| (0..kiosks).map(|n| booked(n, *month, 0)));
        let signed = months[1..].iter().flat_map(|month| (0..kiosks).map(|n| booked(n, *month, 1)));
        let rows = self.commit(current.chain(signed)).await?;
        let rate = rows as f64 / watch.elapsed().as_secs_f64();
        self.line(&format!("month figures booked, {rows} rows"), "", &format!("{rate:.0}/s"));
        Ok(())
    }

    async fn backfill(&self, options: &Options, month: Month) -> Result<()> {
        let kiosks = options.backfill.min(options.kiosks);
        let watch = Stopwatch::start();
        let spans = (0..kiosks).flat_map(|n| history(n, month, options.intervals));
        let rows = self.commit(spans).await?;
        let rate = rows as f64 / watch.elapsed().as_secs_f64();
        let goal = if self.name == "sqlite" { ">= 20000/s" } else { ">= 50000/s" };
        let what = format!("backfill of {kiosks} kiosks, {} intervals each", options.intervals);
        self.line(&what, goal, &format!("{rate:.0}/s"));
        Ok(())
    }

    async fn one_kiosk(&self, month: Month, now: Timestamp) -> Result<()> {
        let flapping = month.period(ZONE).length() / 60;
        let id = 1;
        self.commit(history(id, month, flapping)).await?;
        let calendar = WorkCalendar::from_lists(&[], &[]);
        let reader = UptimeReader {
            store: &self.store,
            config: &self.config,
            calendar: &calendar,
            now,
            live: &NotLive,
        };
        let period = UptimePeriod::Month { year: month.year(), month: month.month() };
        for (n, what, goal) in [
            (0, "month of one kiosk counted from its evidence".to_owned(), "< 5 ms"),
            (id, format!("the same, flapping every minute: {flapping} intervals"), ""),
        ] {
            let took = best(async || reader.explain(&Scope::All, &kiosk_id(n), period, None).await.map(drop))
                .await?;
            self.line(&what, goal, &ms(took));
        }
        let query = UptimeQuery { scope: UptimeScope::Kiosk(kiosk_id(0)), period, as_of: None };
        let took = best(async || reader.figures(&Scope::All, &query).await.map(drop)).await?;
        self.line("month of one kiosk as signed", "< 5 ms", &ms(took));
        Ok(())
    }

    /// The fleet and its parts, for the running month, the last one and one eleven months ago.
    async fn groups(&self, running: Month, kiosks: u64) -> Result<()> {
        let app = self.app(Fleet::from_image(Arc::default(), Default::default()))?.0;
        let year_ago = (0..11).fold(running, |month, _| month.previous());
        let named =
            [("running month", running), ("last month", running.previous()), ("a year ago", year_ago)];
        for (name, month) in named {
            let period = UptimePeriod::Month { year: month.year(), month: month.month() };
            let scopes = [
                ("fleet", UptimeScope::Fleet),
                ("region", UptimeScope::Region("R-1".into())),
                ("engineer", UptimeScope::Engineer("E-1".into())),
            ];
            for (what, scope) in scopes {
                let query = UptimeQuery { scope, period, as_of: None };
                let watch = Stopwatch::start();
                let answer = app.uptime(&Scope::All, &query).await?;
                let first = watch.elapsed();
                let watch = Stopwatch::start();
                app.uptime(&Scope::All, &query).await?;
                let again = watch.elapsed();
                let what = format!("{what} of {kiosks}, {name} ({} kiosks)", answer.kiosks);
                self.line(&what, "< 1 s", &ms(first));
                self.line("  asked again", "< 100 ms", &ms(again));
            }
        }
        Ok(())
    }

    fn app(&self, fleet: Fleet) -> Result<(App, kioskwatch_server::app::RequestReceiver)> {
        Ok(App::new(Parts {
            config: self.config.clone(),
            clock: Arc::new(Clock::start()),
            store: self.store.clone(),
            fleet,
            policy: Arc::new(Policy::default()),
            calendar: WorkCalendar::from_lists(&[], &[]),
            signer: CommandSigner::from_secret("bench", &[1; 32]),
            counters: Counters::new()?,
        }))
    }

    /// A server of 5,000 kiosks with its bookkeeper, on the same database.
    async fn scrape(&self) -> Result<()> {
        let mut image = self.store.load_image(Clock::start().now()).await?;
        image.kiosks.truncate(SCRAPED as usize);
        let kiosks = image.kiosks.len();
        let (app, requests) = self.app(Fleet::from_image(Arc::default(), image))?;
        let (events_tx, events) = mpsc::channel(16);
        let link = |lane| {
            let (host, port) = ("127.0.0.1".into(), 1);
            let address = BrokerAddress { host, port, tls: None, user: None, password_file: None };
            let options = LinkOptions { address, client_id: "bench".into(), lane };
            Link::start(options, Arc::clone(app.clock()), events_tx.clone())
        };
        let mut hub = Hub::new(app.clone(), requests, events, link(Lane::Journal), link(Lane::Beats));
        let (stop, stopped) = watch::channel(false);
        let options =
            HubOptions { server: Uuid::from_u128(9), last_alive_at: None, flush_every: FLUSH_EVERY };
        hub.begin(&options, stopped.clone()).await?;
        let hub = tokio::spawn(hub.run());
        let books = tokio::spawn(keep_books(app.clone(), stopped));
        let watch = Stopwatch::start();
        let shown = |app: &App| app.books_shown();
        while shown(&app) < kiosks {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let round = format!("{:.1} s", watch.elapsed().as_secs_f64());
        self.line(
            &format!("the bookkeeper's first round over {kiosks} kiosks, at a tenth of a core"),
            "",
            &round,
        );
        let took = best(async || {
            let figures = app.figures().await;
            let page = app.counters().page(&figures);
            assert!(page.len() > kiosks, "every kiosk has its series");
            Ok::<_, Box<dyn Error>>(())
        })
        .await?;
        self.line(&format!("/metrics with {kiosks} kiosks' own series"), "< 150 ms", &ms(took));
        stop.send(true)?;
        books.await?;
        hub.await??;
        Ok(())
    }
}

/// The best of five: the machine does other things too.
async fn best<E>(
    mut ask: impl AsyncFnMut() -> std::result::Result<(), E>,
) -> std::result::Result<Duration, E> {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let watch = Stopwatch::start();
        ask().await?;
        best = best.min(watch.elapsed());
    }
    Ok(best)
}

fn ms(took: Duration) -> String {
    format!("{:.2} ms", took.as_secs_f64() * 1e3)
}

const fn secs(t: i64) -> Timestamp {
    Timestamp(t * 1_000)
}

fn kiosk_id(n: u64) -> KioskId {
    KioskId::new(&format!("K-{n:06}")).expect("a good id")
}

fn site_id(n: u64) -> SiteId {
    SiteId::new(&format!("S-{n:05}")).expect("a good id")
}

fn site(n: u64) -> Change {
    Change::Site(SiteRow {
        id: site_id(n),
        name: format!("site {n}"),
        region: format!("R-{}", n % 30),
        customer: format!("C-{}", n % 7),
        zone: Zone::Urban,
        timezone: ZONE.name().to_owned(),
        service_hours: String::new(),
        contacts: "[]".to_owned(),
        remote_consent: false,
        updated_at: Timestamp(0),
    })
}

fn kiosk(n: u64) -> KioskRow {
    KioskRow {
        id: kiosk_id(n),
        site: Some(site_id(n / KIOSKS_A_SITE)),
        admission: Admission::Accepted,
        model: format!("KT-{}", n % 3),
        serial_no: n.to_string(),
        commissioned_at: Some(secs(1_700_000_000)),
        decommissioned_at: None,
        updated_at: Timestamp(0),
    }
}

/// `count` spans that fill a month: up, and every second time briefly not.
fn history(n: u64, month: Month, count: i64) -> impl Iterator<Item = Change> {
    let period = month.period(ZONE);
    let step = (period.length() / count).max(1);
    (0..count).map(move |i| {
        let from = period.from + i * step;
        Change::Evidence(EvidenceRow {
            kiosk: kiosk_id(n),
            source: EvidenceSource::Journal,
            from: secs(from),
            to: secs(from + step),
            state: if i % 2 == 0 { EvidenceState::Full } else { EvidenceState::Oos },
            cause: (i % 2 == 1).then(|| "hardware".to_owned()),
            received_at: Some(secs(period.to)),
            epoch: None,
            seq: None,
        })
    })
}

fn booked(n: u64, month: Month, version: u32) -> Change {
    let (period, site) = (month.period(ZONE), n / KIOSKS_A_SITE);
    let (length, down) = (period.length(), i64::try_from(n % 50_000).unwrap_or(0));
    let ratio = Ratio::new(length - down, length);
    let figures = Figures {
        accountable_s: length,
        known_s: length,
        on: ratio,
        avail: ratio,
        full: ratio,
        online: ratio,
        causes: BTreeMap::from([(Cause::Hardware, down)]),
    };
    Change::Month(Box::new(MonthRow {
        month,
        kiosk: kiosk_id(n),
        version,
        site: Some(site_id(site)),
        engineer: Some(format!("E-{}", n % 400)),
        region: format!("R-{}", site % 30),
        customer: format!("C-{}", site % 7),
        model: format!("KT-{}", n % 3),
        period_from: secs(period.from),
        period_to: secs(period.to),
        as_of: secs(period.to),
        booked_at: secs(period.to + 86_400),
        target: (99, 100),
        sums: MonthSums {
            figures,
            excluded_s: 0,
            raw_on: ratio,
            raw_avail: ratio,
            raw_full: ratio,
            outages: 3,
            longest_outage_s: down,
            longest_outage_at: Some(secs(period.from)),
        },
        fingerprint: format!("{n:064x}"),
        inputs: r#"{"commissioned":"0123456789abcdef","evidence":"0123456789abcdef","exclusions":"0123456789abcdef","owners":"0123456789abcdef","period":"0123456789abcdef","server_outages":"0123456789abcdef","service_hours":"0123456789abcdef"}"#.to_owned(),
    }))
}
