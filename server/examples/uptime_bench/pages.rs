//! The console's pages, as a browser gets them: of groups, and of the kiosk that is down every second minute.
use std::time::Duration;

use kioskwatch_domain::{fleet::Fleet, uptime::Month};
use kioskwatch_server::{clock::Stopwatch, http::serve};
use tokio::{net::TcpListener, sync::watch};

use super::{
    Bench, FLAPPING, Result,
    fleet::{ZONE, engineer, kiosk_id, secs, site_id},
    ms,
};

impl Bench {
    /// Every kind of group, a month and a quarter: for the first time, and once it is remembered.
    pub(crate) async fn pages(&self, running: Month) -> Result<()> {
        let mut config = self.config.clone();
        config.console.open_access = true;
        let app = self.app_of(config, Fleet::from_image(std::sync::Arc::default(), Default::default()))?.0;
        let (stop, stopped) = watch::channel(false);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let console = tokio::spawn(serve(app, listener, stopped));
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
                let (url, watch) = (url.clone(), Stopwatch::start());
                let page = tokio::task::spawn_blocking(move || fetched(&url)).await??;
                took.push(watch.elapsed());
                assert!(page.contains("class=\"parts\""), "{what}: {page}");
            }
            self.line(&format!("console page: {what}"), "< 1 s", &ms(took[0]));
            took[1..].sort();
            self.line("  asked again, median of 5", "< 100 ms", &ms(took[3]));
        }
        self.flapping(&address.to_string(), last).await?;
        stop.send(true)?;
        console.await??;
        Ok(())
    }
}

impl Bench {
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
                let (url, watch) = (url.clone(), Stopwatch::start());
                let text = tokio::task::spawn_blocking(move || fetched(&url)).await??;
                took = took.min(watch.elapsed());
                assert!(text.contains(cut), "{what}: {text}");
            }
            self.line(&format!("{what}: a month of a kiosk that flaps every minute"), "< 1 s", &ms(took));
        }
        Ok(())
    }
}

/// What an address answers.
pub(crate) fn fetched(url: &str) -> std::result::Result<String, String> {
    let mut answer = ureq::get(url).call().map_err(|error| error.to_string())?;
    answer.body_mut().with_config().limit(1 << 30).read_to_string().map_err(|error| error.to_string())
}
