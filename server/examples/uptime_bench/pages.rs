//! The console's pages, as a browser gets them: the fleet and its lists, uptime of groups, and of the kiosk that is down every second minute.
use std::time::Duration;

use kioskwatch_domain::uptime::Month;
use kioskwatch_server::{clock::Stopwatch, http::serve};
use tokio::{net::TcpListener, sync::watch};

use super::{
    Bench, FLAPPING, Result,
    fleet::{ZONE, engineer, kiosk_id, secs, site_id},
    ms,
    server::Server,
};

impl Bench {
    /// For the first time, and once it is remembered.
    pub(crate) async fn pages(&self, server: &Server, running: Month) -> Result<()> {
        let (stop, stopped) = watch::channel(false);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?.to_string();
        let console = tokio::spawn(serve(server.app.clone(), listener, stopped));
        self.front(&address).await?;
        self.groups_pages(&address, running).await?;
        self.flapping(&address, running.previous()).await?;
        stop.send(true)?;
        console.await??;
        Ok(())
    }

    /// What nobody remembers: the fleet, its tickets and lists, each as a part of the whole.
    async fn front(&self, address: &str) -> Result<()> {
        let kiosk = format!("kiosks/{}", kiosk_id(0));
        let named = [
            ("the fleet", "", "class=\"counts\""),
            ("the fleet, problems only", "?show=problems", "class=\"counts\""),
            ("the fleet, looked for by a kiosk", "?q=k-000001", "K-000001"),
            ("the fleet, looked for by a model", "?q=kt-1", "K-000001"),
            ("a kiosk", kiosk.as_str(), "class=\"card"),
            ("open tickets", "tickets", "K-0"),
            ("closed tickets", "tickets?show=closed", "<main"),
            ("inspections", "inspections", "<main"),
            ("decisions", "decisions", "<main"),
            ("API, 200 kiosks", "api/v1/kiosks?limit=200", "K-000001"),
            ("API, 200 tickets", "api/v1/tickets?limit=200", "paper_out"),
        ];
        for (what, path, holds) in named {
            let mut took = Vec::new();
            let mut bytes = 0;
            for _ in 0..4 {
                let (page, time) = timed(format!("http://{address}/{path}")).await?;
                assert!(page.contains(holds), "{what}: {page}");
                bytes = page.len();
                took.push(time);
            }
            let first = took.remove(0);
            took.sort();
            let what = format!("page: {what}, {:.1} kB, median of 3", bytes as f64 / 1e3);
            self.line(&what, "< 1 s", &ms(took[1]));
            self.line("  the first time", "< 1 s", &ms(first));
        }
        Ok(())
    }

    /// Uptime of every kind of group, a month and a quarter.
    async fn groups_pages(&self, address: &str, running: Month) -> Result<()> {
        let last = running.previous();
        let named = [
            ("fleet by region, running month", format!("month={running}")),
            ("fleet by region, last month", format!("month={last}")),
            ("fleet by site, running month", format!("month={running}&by=site")),
            ("fleet by kiosk, running month", format!("month={running}&by=kiosk")),
            ("fleet by region, quarter of last month", format!("month={last}&span=quarter")),
            ("region, running month", format!("scope=region&id=R-1&month={running}")),
            ("customer, running month", format!("scope=customer&id=C-1&month={running}")),
            ("model, running month", format!("scope=model&id=KT-1&month={running}")),
            ("engineer, running month", format!("scope=engineer&id={}&month={running}", engineer(0))),
            ("site, running month", format!("scope=site&id={}&month={running}", site_id(0))),
        ];
        for (what, query) in named {
            let url = format!("http://{address}/uptime?{query}");
            let mut took = Vec::new();
            for _ in 0..6 {
                let (page, time) = timed(url.clone()).await?;
                took.push(time);
                assert!(page.contains("class=\"parts\""), "{what}: {page}");
            }
            self.line(&format!("console page: {what}"), "< 1 s", &ms(took[0]));
            took[1..].sort();
            self.line("  asked again, median of 5", "< 100 ms", &ms(took[3]));
        }
        Ok(())
    }

    /// What explains a month of more intervals than one page or answer lists.
    async fn flapping(&self, address: &str, month: Month) -> Result<()> {
        let (id, period) = (kiosk_id(FLAPPING), month.period(ZONE));
        let (from, to) = (secs(period.from), secs(period.to));
        let page = format!("/kiosks/{id}/uptime?month={month}&measure=avail&show=down");
        let timeline = format!("/api/v1/kiosks/{id}/timeline?from={from}&to={to}");
        let asked = [
            ("console page", page, "class=\"further\""),
            ("first answer of /timeline", timeline, "further_from"),
        ];
        for (what, path, cut) in asked {
            let url = format!("http://{address}{path}");
            let mut took = Duration::MAX;
            for _ in 0..5 {
                let (text, time) = timed(url.clone()).await?;
                took = took.min(time);
                assert!(text.contains(cut), "{what}: {text}");
            }
            self.line(&format!("{what}: a month of a kiosk that flaps every minute"), "< 1 s", &ms(took));
        }
        Ok(())
    }
}

/// What an address answers, and how long that took.
async fn timed(url: String) -> Result<(String, Duration)> {
    let watch = Stopwatch::start();
    let page = tokio::task::spawn_blocking(move || fetched(&url)).await??;
    Ok((page, watch.elapsed()))
}

/// What an address answers.
pub(crate) fn fetched(url: &str) -> std::result::Result<String, String> {
    let mut answer = ureq::get(url).call().map_err(|error| error.to_string())?;
    answer.body_mut().with_config().limit(1 << 30).read_to_string().map_err(|error| error.to_string())
}
