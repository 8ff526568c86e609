//! How fast uptime is answered on this machine, in one table.
//!
//! `cargo run --release -p kioskwatch-server --example uptime_bench -- [--kiosks 100000] [--intervals 100]
//! [--backfill-kiosks 100000] [--filled] sqlite:///tmp/bench/db.sqlite postgres://…`
//! Each database must be empty. A fleet with a year of signed months is written first, so that what is asked
//! is asked of tables of that size; `--backfill-kiosks` of them get the history of evidence that is timed.
//! `--filled` asks a database again that an earlier run has filled.
#![expect(clippy::print_stdout, reason = "it prints a table")]
mod fleet;
mod late;
mod pages;
mod scrape;
mod server;
mod whole;

use std::{error::Error, sync::Arc, time::Duration};

use kioskwatch_domain::{
    calendar::WorkCalendar,
    change::{Change, LivenessRow},
    fleet::Fleet,
    interval::Interval,
    policy::Policy,
    uptime::Month,
};
use kioskwatch_proto::{Timestamp, command::CommandSigner};
use kioskwatch_server::{
    app::{App, NotLive, Parts, RequestReceiver, UptimePeriod, UptimeQuery, UptimeReader, UptimeScope},
    clock::{Clock, Stopwatch},
    config::Config,
    metrics::Counters,
    store::{Scope, Store},
};
use uuid::Uuid;

use fleet::{
    ENGINEERS, KIOSKS_A_SITE, ZONE, booked, engineer, history, is_out_of_paper, kiosk, kiosk_id,
    out_of_paper, owners, record, secs, site, site_id,
};

const ROWS_A_COMMIT: usize = 5_000;
/// Kiosks whose journals are written to see how much they take.
const JOURNALS: u64 = 1_000;
/// The kiosk that is down every second minute.
const FLAPPING: u64 = 1;

/// For a server of the whole fleet on a busy machine.
const PATIENCE: Duration = Duration::from_secs(1_800);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Options {
    kiosks: u64,
    intervals: i64,
    backfill: u64,
    filled: bool,
    urls: Vec<String>,
}

impl Options {
    fn read() -> Result<Self> {
        let (kiosks, intervals, backfill) = (100_000, 100, 100_000);
        let mut options = Self { kiosks, intervals, backfill, filled: false, urls: Vec::new() };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a number"));
            match word.as_str() {
                "--kiosks" => options.kiosks = value()?.parse()?,
                "--intervals" => options.intervals = value()?.parse()?,
                "--backfill-kiosks" => options.backfill = value()?.parse()?,
                "--filled" => options.filled = true,
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
        if !options.filled {
            let figures = self.fleet(options, running).await?;
            let interval = self.backfill(options, running.previous()).await?;
            self.growth(options, figures, interval).await?;
            self.running(options, running, now).await?;
        }
        self.one_kiosk(running, now).await?;
        self.groups(running, options.kiosks).await?;
        self.counted(running.previous()).await?;
        self.late(running).await?;
        self.whole(running).await?;
        self.scrape().await
    }

    /// The bytes that the database grew by with some rows, for each of them, and how long they took.
    async fn grown_by(&self, changes: impl Iterator<Item = Change>) -> Result<(u64, f64, f64)> {
        let (before, watch) = (self.store.bytes().await?, Stopwatch::start());
        let rows = self.commit(changes).await?;
        let rate = rows as f64 / watch.elapsed().as_secs_f64();
        let bytes = self.store.bytes().await?.saturating_sub(before);
        Ok((rows, rate, bytes as f64 / rows as f64))
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
    /// Gives the bytes of a signed month.
    async fn fleet(&self, options: &Options, running: Month) -> Result<f64> {
        let kiosks = options.kiosks;
        self.commit((0..kiosks.div_ceil(KIOSKS_A_SITE)).map(site)).await?;
        self.commit((0..kiosks).map(|n| Change::Kiosk(kiosk(n)))).await?;
        self.commit((0..kiosks).flat_map(owners)).await?;
        let months: Vec<Month> =
            std::iter::successors(Some(running), |month| Some(month.previous())).take(13).collect();
        let now = Clock::start().now();
        let broken = (0..kiosks).filter(|n| is_out_of_paper(*n));
        self.commit(broken.flat_map(|n| out_of_paper(n, now))).await?;
        let alive = months[12].period(ZONE).from;
        let alive = LivenessRow { server: Uuid::from_u128(1), from: secs(alive), to: now };
        self.store.commit(&[Change::Liveness(alive)]).await?;
        let signed = months[1..].iter().flat_map(|month| (0..kiosks).map(|n| booked(n, *month, 1)));
        let (rows, rate, bytes) = self.grown_by(signed).await?;
        self.line(&format!("a year of signed months, {rows} rows"), "", &format!("{rate:.0}/s"));
        let current = months[..2].iter().flat_map(|month| (0..kiosks).map(|n| booked(n, *month, 0)));
        self.commit(current).await?;
        Ok(bytes)
    }

    /// Gives the bytes of an interval.
    async fn backfill(&self, options: &Options, month: Month) -> Result<f64> {
        let kiosks = options.backfill.min(options.kiosks);
        let period = month.period(ZONE);
        let spans = (0..kiosks).flat_map(|n| history(n, period, options.intervals));
        let (_, rate, bytes) = self.grown_by(spans).await?;
        let goal = if self.name == "sqlite" { ">= 20000/s" } else { ">= 50000/s" };
        let what = format!("rows of evidence committed: {kiosks} kiosks, {} each", options.intervals);
        self.line(&what, goal, &format!("{rate:.0}/s"));
        Ok(bytes)
    }

    async fn growth(&self, options: &Options, month: f64, interval: f64) -> Result<()> {
        let each = options.intervals.unsigned_abs();
        let records = (0..JOURNALS).flat_map(|n| (1..=each).map(move |seq| record(n, seq)));
        let (_, _, record) = self.grown_by(records).await?;
        for (what, bytes) in
            [("a signed month", month), ("an interval of evidence", interval), ("a journal record", record)]
        {
            self.line(&format!("growth by {what}"), "", &format!("{bytes:.0} bytes"));
        }
        let kib = (month + each as f64 * (interval + record)) / 1_024.0;
        let what = format!("growth by a kiosk and month of {each} records and as many intervals");
        self.line(&what, "", &format!("{kib:.1} KiB"));
        Ok(())
    }

    /// What is counted while somebody waits has evidence to count: an engineer's kiosks in the running month.
    async fn running(&self, options: &Options, running: Month, now: Timestamp) -> Result<()> {
        let period = Interval::new(running.period(ZONE).from, now.secs());
        let theirs = (0..options.kiosks).filter(|n| n % ENGINEERS == 0);
        self.commit(theirs.flat_map(|n| history(n, period, options.intervals))).await?;
        let id = FLAPPING;
        let flapping = running.previous().period(ZONE);
        self.commit(history(id, flapping, flapping.length() / 60)).await?;
        Ok(())
    }

    async fn one_kiosk(&self, running: Month, now: Timestamp) -> Result<()> {
        let calendar = WorkCalendar::from_lists(&[], &[]);
        let reader = UptimeReader {
            store: &self.store,
            config: &self.config,
            calendar: &calendar,
            now,
            live: &NotLive,
        };
        let last = running.previous();
        let flapping = last.period(ZONE).length() / 60;
        for (n, month, what, goal) in [
            (0, last, "month of one kiosk explained from its evidence".to_owned(), "< 5 ms"),
            (FLAPPING, last, format!("the same, flapping every minute: {flapping} intervals"), "< 1 s"),
        ] {
            let period = period_of(month);
            let took = best(async || reader.explain(&Scope::All, &kiosk_id(n), period, None).await.map(drop))
                .await?;
            self.line(&what, goal, &ms(took));
        }
        for (month, what) in [
            (running, "running month of one kiosk, counted from its evidence"),
            (last, "month of one kiosk as signed"),
        ] {
            let scope = UptimeScope::Kiosk(kiosk_id(0));
            let query = UptimeQuery::of(scope, period_of(month));
            let took = best(async || reader.figures(&Scope::All, &query).await.map(drop)).await?;
            self.line(what, "< 5 ms", &ms(took));
        }
        Ok(())
    }

    /// The fleet and its parts, for each month there is.
    async fn groups(&self, running: Month, kiosks: u64) -> Result<()> {
        let app = self.app(Fleet::from_image(Arc::default(), Default::default()))?.0;
        let months = std::iter::successors(Some(running), |month| Some(month.previous())).take(13);
        for (month, name) in months.map(|month| (month, month.to_string())) {
            let period = period_of(month);
            let scopes = [
                ("fleet", UptimeScope::Fleet),
                ("region", UptimeScope::Region("R-1".into())),
                ("engineer", UptimeScope::Engineer(engineer(0))),
                ("site", UptimeScope::Site(site_id(0))),
            ];
            for (what, scope) in scopes {
                let query = UptimeQuery::of(scope, period);
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

    /// What no books answer: a signed month as it stood at an instant, and a week from the evidence of every kiosk.
    async fn counted(&self, month: Month) -> Result<()> {
        let app = self.app(Fleet::from_image(Arc::default(), Default::default()))?.0;
        let first = month.period(ZONE).from;
        let week = UptimePeriod::Between(secs(first), secs(first + 7 * 86_400));
        let signed = (period_of(month), Some(app.clock().now()), "last month as of now, signed", "< 1 s");
        for (period, as_of, what, goal) in [signed, (week, None, "7 days, counted", "< 60 s")] {
            let query = UptimeQuery { as_of, ..UptimeQuery::of(UptimeScope::Fleet, period) };
            let watch = Stopwatch::start();
            let answer = app.uptime(&Scope::All, &query).await?;
            self.line(&format!("fleet of {}, {what}", answer.kiosks), goal, &ms(watch.elapsed()));
        }
        Ok(())
    }

    fn app(&self, fleet: Fleet) -> Result<(App, RequestReceiver)> {
        self.app_of(self.config.clone(), fleet)
    }

    fn app_of(&self, config: Config, fleet: Fleet) -> Result<(App, RequestReceiver)> {
        Ok(App::new(Parts {
            config,
            clock: Arc::new(Clock::start()),
            store: self.store.clone(),
            fleet,
            policy: Arc::new(Policy::default()),
            signer: CommandSigner::from_secret("bench", &[1; 32]),
            counters: Counters::new()?,
        }))
    }
}

fn period_of(month: Month) -> UptimePeriod {
    UptimePeriod::Month { year: month.year(), month: month.month() }
}

/// Waits for something of which nobody tells.
async fn until(what: &str, is_so: impl Fn() -> bool) -> Result<()> {
    let watch = Stopwatch::start();
    while !is_so() {
        if watch.elapsed() > PATIENCE {
            return Err(format!("waited in vain until {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_question_has_an_answer_and_every_kiosk_its_series() {
        let directory = std::env::temp_dir().join(format!("kw-bench-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&directory).unwrap();
        let url = format!("sqlite://{}", directory.join("bench.sqlite").display());
        let options = Options { kiosks: 60, intervals: 5, backfill: 60, filled: false, urls: Vec::new() };
        let store = Store::open(&url).await.unwrap();
        let bench = Bench { store, name: "sqlite".to_owned(), config: Config::default() };
        bench.run(&options).await.unwrap();
        std::fs::remove_dir_all(directory).unwrap();
    }
}
