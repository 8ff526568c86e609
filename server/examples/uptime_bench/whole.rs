//! One server of the whole fleet: its start, scrapes of it, and its console.
use kioskwatch_domain::uptime::Month;
use kioskwatch_server::clock::{Clock, Stopwatch};

use super::{Bench, Result, server::heard};

impl Bench {
    /// What people and Prometheus get while its bookkeeper works.
    pub(crate) async fn whole(&self, running: Month) -> Result<()> {
        let now = Clock::start().now();
        let mut image = self.store.load_image(now).await?;
        let kiosks = image.kiosks.len();
        image.states = heard(&image.kiosks, now);
        let mut config = self.config.clone();
        config.console.open_access = true;
        let watch = Stopwatch::start();
        let server = self.serve(config, image).await?;
        server.shows(kiosks).await?;
        let took = format!("{:.1} s", watch.elapsed().as_secs_f64());
        self.line(&format!("sums of {kiosks} kiosks in /metrics after a start"), "< 180 s", &took);
        self.scrape_whole(&server).await?;
        self.pages(&server, running).await?;
        server.stop().await
    }
}
