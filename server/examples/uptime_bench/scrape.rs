//! A scrape as Prometheus makes it, of a fleet in which every kiosk has everything.
use std::{sync::Arc, time::Duration};

use kioskwatch_domain::{
    change::{IncidentRow, KioskStateRow, PresenceVerdict, TicketRow, TicketSource},
    fleet::Fleet,
    image::FleetImage,
};
use kioskwatch_proto::{
    KioskId, PeripheralName, Timestamp,
    faults::{FaultClass, FaultCode},
    words::{ServiceState, Severity},
};
use kioskwatch_server::{
    app::{App, FLUSH_EVERY, Hub, HubError, HubOptions, keep_books},
    clock::{Clock, Stopwatch},
    http::serve_monitoring,
    mqtt::{BrokerAddress, Lane, Link, LinkOptions},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use uuid::Uuid;

use super::{Bench, Result, fleet::SCRAPED, ms, pages::fetched};

const SCRAPES: usize = 15;
/// Up, in service, expected, last heard, four devices.
const OWN_SERIES: usize = 8;
/// This month: up and counted for three ratios.
const UPTIME_SERIES: usize = 6;
/// One kiosk of so many is out of paper, and has a ticket.
const OUT_OF_PAPER: usize = 20;

/// A server without a broker, with its bookkeeper.
struct Server {
    app: App,
    stop: watch::Sender<bool>,
    hub: JoinHandle<std::result::Result<(), HubError>>,
    books: JoinHandle<()>,
}

impl Server {
    async fn stop(self) -> Result<()> {
        self.stop.send(true)?;
        self.books.await?;
        self.hub.await??;
        Ok(())
    }
}

impl Bench {
    async fn serve(&self, image: FleetImage) -> Result<Server> {
        let (app, requests) = self.app(Fleet::from_image(Arc::default(), image))?;
        let mut hub = Hub::new(app.clone(), requests, link(&app, Lane::Journal), link(&app, Lane::Beats));
        let (stop, stopped) = watch::channel(false);
        let options =
            HubOptions { server: Uuid::from_u128(9), last_alive_at: None, flush_every: FLUSH_EVERY };
        hub.begin(&options, stopped.clone()).await?;
        let hub = tokio::spawn(hub.run());
        let books = tokio::spawn(keep_books(app.clone(), stopped));
        Ok(Server { app, stop, hub, books })
    }

    /// How long after its start a server of the whole fleet shows its sums.
    pub(crate) async fn start(&self) -> Result<()> {
        let image = self.store.load_image(Clock::start().now()).await?;
        let kiosks = image.kiosks.len();
        let watch = Stopwatch::start();
        let server = self.serve(image).await?;
        while server.app.books_shown() < kiosks {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let took = format!("{:.1} s", watch.elapsed().as_secs_f64());
        self.line(&format!("sums of {kiosks} kiosks in /metrics after a start"), "< 180 s", &took);
        server.stop().await
    }

    /// A server of 5,000 kiosks, on the same database.
    pub(crate) async fn scrape(&self) -> Result<()> {
        let now = Clock::start().now();
        let mut image = self.store.load_image(now).await?;
        image.kiosks.truncate(SCRAPED as usize);
        let kiosks = image.kiosks.len();
        image.states = image.kiosks.iter().map(|kiosk| heard(kiosk.id.clone(), now)).collect();
        for (n, kiosk) in image.kiosks.iter().enumerate().step_by(OUT_OF_PAPER) {
            let (incident, ticket) = out_of_paper(n as u64, &kiosk.id, now)?;
            image.open_incidents.push(incident);
            image.tickets.push(ticket);
        }
        let broken = image.tickets.len();
        let server = self.serve(image).await?;
        let app = &server.app;
        while app.books_shown() < kiosks {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }

        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}/metrics", listener.local_addr()?);
        let monitoring = tokio::spawn(serve_monitoring(app.clone(), listener, server.stop.subscribe()));
        let (mut took, mut page) = (Vec::new(), String::new());
        for _ in 0..SCRAPES {
            let (url, watch) = (url.clone(), Stopwatch::start());
            page = tokio::task::spawn_blocking(move || fetched(&url)).await??;
            took.push(watch.elapsed());
        }
        took.sort();
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
        let series = page.lines().filter(|line| !line.starts_with('#')).count();
        let what = format!("/metrics with {kiosks} kiosks' own series, {series} in all, best");
        self.line(&what, "< 150 ms", &ms(took[0]));
        let what = format!("  median of {SCRAPES}; {:.1} MB over HTTP", page.len() as f64 / 1e6);
        self.line(&what, "", &ms(took[SCRAPES / 2]));
        server.stop().await?;
        monitoring.await??;
        Ok(())
    }
}

fn link(app: &App, lane: Lane) -> (Link, kioskwatch_server::mqtt::Outlet) {
    let (host, port) = ("127.0.0.1".into(), 1);
    let address = BrokerAddress { host, port, tls: None, user: None, password_file: None };
    let allowance = app.config().flood.allowance();
    let options = LinkOptions { address, client_id: "bench".into(), lane, allowance };
    Link::start(options, Arc::clone(app.clock())).expect("the system has threads")
}

/// A kiosk that was heard just now and told of four devices.
fn heard(kiosk: KioskId, now: Timestamp) -> KioskStateRow {
    let devices = ["acceptor", "card_reader", "printer", "ups"];
    let status = |name: &&str| format!(r#""{name}":{{"status":"online","faults":[]}}"#);
    let item = |name: &&str| {
        format!(r#"{{"name":"{name}","kind":"{name}","driver":"none","mode":"owned","required":true}}"#)
    };
    let boot = Uuid::from_u128(1);
    KioskStateRow {
        kiosk,
        presence: PresenceVerdict::Online,
        presence_since: now,
        presence_reason: "heartbeat".into(),
        last_seen_at: Some(now),
        session: None,
        boot: None,
        epoch: None,
        interval_s: 30,
        service: Some(ServiceState::InService),
        service_since: Some(now),
        service_cause: None,
        peripherals: format!("{{{}}}", devices.iter().map(status).collect::<Vec<_>>().join(",")),
        inventory: format!(
            r#"{{"agent_version":"1","os":"linux","boot":"{boot}","epoch":"{boot}","config_hash":"0","peripherals":[{}],"actions":[]}}"#,
            devices.iter().map(item).collect::<Vec<_>>().join(",")
        ),
        clock_offset_ms: None,
        command_counter: 0,
    }
}

/// An open fault, and its ticket.
fn out_of_paper(n: u64, kiosk: &KioskId, now: Timestamp) -> Result<(IncidentRow, TicketRow)> {
    let (fault, printer) =
        (FaultCode::new("paper_out").ok_or("a code of ours")?, PeripheralName::new("printer")?);
    let id = Uuid::from_u128(0x1000 + u128::from(n));
    let ticket = TicketRow {
        kiosk: Some(kiosk.clone()),
        peripheral: Some(printer.clone()),
        class: FaultClass::Operator,
        source: TicketSource::Agent,
        ..TicketRow::new(id, n + 1, fault.clone(), now)
    };
    let incident = IncidentRow {
        id,
        fingerprint: format!("{kiosk}/printer/paper_out"),
        kiosk: Some(kiosk.clone()),
        site: None,
        peripheral: Some(printer),
        fault,
        severity: Severity::Minor,
        opened_at: now,
        noticed_at: now,
        closed_at: None,
        close_reason: None,
        raw: None,
        text: None,
        ticket: Some(id),
        triage: "ticket_opened".into(),
        triage_reason: String::new(),
        triage_due_at: None,
        parent: None,
    };
    Ok((incident, ticket))
}
