//! Scrapes as Prometheus makes them: of 5,000 kiosks in which every kiosk has everything, and of the whole fleet.
use std::{collections::BTreeSet, time::Duration};

use kioskwatch_proto::{KioskId, topic::Channel};
use kioskwatch_server::{
    clock::{Clock, Stopwatch},
    http::serve_monitoring,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::{
    Bench, Result,
    fleet::{SCRAPED, is_out_of_paper, kiosk_id},
    ms,
    pages::fetched,
    server::{Server, heard, heartbeat},
    until,
};

const SCRAPES: usize = 15;
/// Heartbeats whose way is timed, with nothing beside them and beside scrapes.
const BEATS: u64 = 300;
/// Up, in service, expected, last heard, four devices.
const OWN_SERIES: usize = 8;
/// This month: up and counted for three ratios.
const UPTIME_SERIES: usize = 6;

/// `/metrics` of one server.
struct Monitoring {
    url: String,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Monitoring {
    async fn of(server: &Server) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}/metrics", listener.local_addr()?);
        let serving = tokio::spawn(serve_monitoring(server.app.clone(), listener, server.stop.subscribe()));
        Ok(Self { url, serving })
    }

    async fn scraped(&self) -> Result<String> {
        let url = self.url.clone();
        Ok(tokio::task::spawn_blocking(move || fetched(&url)).await??)
    }

    /// How long each of some scrapes took, the shortest first, and the last page.
    async fn scrapes(&self) -> Result<(Vec<Duration>, String)> {
        let (mut took, mut page) = (Vec::new(), String::new());
        for _ in 0..SCRAPES {
            let watch = Stopwatch::start();
            page = self.scraped().await?;
            took.push(watch.elapsed());
        }
        took.sort();
        Ok((took, page))
    }
}

fn series(page: &str) -> usize {
    page.lines().filter(|line| !line.starts_with('#')).count()
}

impl Bench {
    /// A server of 5,000 kiosks, on the same database.
    pub(crate) async fn scrape(&self) -> Result<()> {
        let now = Clock::start().now();
        let mut image = self.store.load_image(now).await?;
        // Without those that only spoke late.
        let fleet: BTreeSet<KioskId> = (0..SCRAPED).map(kiosk_id).collect();
        image.kiosks.retain(|row| fleet.contains(&row.id));
        let kiosks = image.kiosks.len();
        image.states = heard(&image.kiosks, now);
        let theirs = |kiosk: &Option<_>| image.kiosks.iter().any(|one| Some(&one.id) == kiosk.as_ref());
        image.open_incidents.retain(|incident| theirs(&incident.kiosk));
        image.tickets.retain(|ticket| theirs(&ticket.kiosk));
        let broken = image.tickets.len();
        assert_eq!(broken, (0..kiosks as u64).filter(|n| is_out_of_paper(*n)).count());
        let server = self.serve(self.config.clone(), image).await?;
        server.shows(kiosks).await?;
        let monitoring = Monitoring::of(&server).await?;
        let (took, page) = monitoring.scrapes().await?;
        let of_kiosks = |label: &str| page.lines().filter(|line| line.contains(label)).count();
        assert_eq!(of_kiosks("{kiosk=\""), kiosks * OWN_SERIES, "every kiosk has everything");
        assert!(of_kiosks("scope=\"kiosk\"") >= kiosks * UPTIME_SERIES, "and its uptime");
        let open = format!("fault=\"paper_out\",severity=\"minor\"}} {broken}\n");
        assert!(page.contains(&open), "open faults are counted: {open}");
        let open: usize = page
            .lines()
            .filter(|line| line.starts_with("kioskwatch_tickets_open{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok())
            .sum();
        assert_eq!(open, broken, "and open tickets");
        let what = format!("/metrics with {kiosks} kiosks' own series, {} in all, best", series(&page));
        self.line(&what, "< 150 ms", &ms(took[0]));
        let what = format!("  median of {SCRAPES}; {:.1} MB over HTTP", page.len() as f64 / 1e6);
        self.line(&what, "", &ms(took[SCRAPES / 2]));
        server.stop().await?;
        monitoring.serving.await??;
        Ok(())
    }

    /// The whole fleet, with the series of its sites; and what heartbeats wait for while it is scraped.
    pub(crate) async fn scrape_whole(&self, server: &Server) -> Result<()> {
        let monitoring = Monitoring::of(server).await?;
        let (took, page) = monitoring.scrapes().await?;
        let kiosks = server.app.fleet().kiosks().len();
        let sites = page.lines().filter(|line| line.starts_with("kioskwatch_site_kiosks{")).count();
        let what = format!("/metrics of {kiosks} kiosks: series of {sites} sites, {} in all", series(&page));
        self.line(&what, "< 1 s", &ms(took[SCRAPES / 2]));
        self.line("  over HTTP", "", &format!("{:.1} MB", page.len() as f64 / 1e6));
        let mut held: Vec<Duration> = (0..SCRAPES).map(|_| counts_of_sites(server)).collect();
        held.sort();
        let what = "  of it the counts of sites, while no heartbeat is taken, slowest";
        self.line(what, "< 50 ms", &ms(held[SCRAPES - 1]));
        waits(server, 1).await?;
        let alone = waits(server, 1 + BEATS).await?;
        let what = "a heartbeat, from its arrival until it is known, median";
        self.line(what, "", &ms(alone[alone.len() / 2]));
        self.line(&format!("  the slowest of {BEATS}"), "", &ms(alone[alone.len() - 1]));
        let (stop, mut stopped) = watch::channel(false);
        let scraping = async {
            let mut scrapes = 0;
            while !*stopped.borrow_and_update() {
                monitoring.scraped().await?;
                scrapes += 1;
            }
            Ok::<_, Box<dyn std::error::Error>>(scrapes)
        };
        let waiting = async {
            let beside = waits(server, 1 + 2 * BEATS).await;
            stop.send_replace(true);
            beside
        };
        let (scrapes, beside) = tokio::try_join!(scraping, waiting)?;
        let what = format!("  the slowest of {BEATS} beside {scrapes} scrapes of the fleet");
        self.line(&what, "< 50 ms", &ms(beside[beside.len() - 1]));
        monitoring.serving.abort();
        Ok(())
    }
}

/// The longest that a scrape holds the fleet.
fn counts_of_sites(server: &Server) -> Duration {
    let (now, fleet) = (server.app.clock().now(), server.app.fleet());
    let watch = Stopwatch::start();
    drop(fleet.site_counts(now));
    watch.elapsed()
}

/// How long heartbeats of one kiosk take from their arrival until the fleet knows of them, the shortest first.
async fn waits(server: &Server, first: u64) -> Result<Vec<Duration>> {
    // One that has paper: what it says is no news.
    let kiosk = kiosk_id(1);
    let mut waits = Vec::new();
    for seq in first..first + BEATS {
        let watch = Stopwatch::start();
        let at = server.hear(&kiosk, Channel::Heartbeat, heartbeat(seq, server.app.clock().now())).await?;
        let seen = || server.app.fleet().kiosk(&kiosk).and_then(|kiosk| kiosk.last_seen_at);
        until("the heartbeat is known", || seen() >= Some(at)).await?;
        waits.push(watch.elapsed());
    }
    waits.sort();
    Ok(waits)
}
