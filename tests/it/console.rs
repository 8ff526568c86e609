//! The console as people use it: a real browser under the strict content policy, a real click, pages that
//! change by themselves.
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use kioskwatch_tests::{
    emulator::Paper,
    harness::{
        broker::free_port,
        process::{Process, Program},
        stack::{PATIENCE, Plan, Stack},
        wait::wait_until,
    },
};
use serde_json::json;

use crate::program;

/// A headless Chromium of its own, driven through chromedriver.
struct Browser {
    client: Client,
    _driver: Process,
}

impl Browser {
    async fn open(stack: &Stack) -> Self {
        let port = free_port().unwrap();
        let driver = Program::new("chromedriver", stack.dir.path().join("chromedriver.log"))
            .arg(format!("--port={port}"))
            .start()
            .expect("chromedriver starts: install the Debian packages chromium and chromium-driver");
        let profile = stack.dir.path().join("chromium");
        let options = json!({"goog:chromeOptions": {"args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900",
            format!("--user-data-dir={}", profile.display()),
        ]}});
        let url = format!("http://127.0.0.1:{port}");
        let client = wait_until("chromedriver to open a browser", Duration::from_secs(60), || async {
            let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
            builder.capabilities(options.as_object().unwrap().clone());
            builder.connect(&url).await.map_err(|e| e.to_string())
        })
        .await;
        Self { client, _driver: driver }
    }

    /// Clicks as soon as nothing is in the way: a live page moves.
    async fn click(&self, selector: &str) {
        wait_until("a click to reach its button", PATIENCE, || async {
            let button = self.client.find(Locator::Css(selector)).await.map_err(|e| e.to_string())?;
            self.client
                .execute("arguments[0].scrollIntoView({block: 'center'})", vec![json!(button)])
                .await
                .map_err(|e| e.to_string())?;
            button.click().await.map_err(|e| e.to_string())
        })
        .await;
    }

    /// Waits until the page shows a text; the page is not loaded again.
    async fn shows(&self, text: &str) {
        wait_until("the page to show a text", PATIENCE, || async {
            let body = self.client.find(Locator::Css("body")).await.map_err(|e| e.to_string())?;
            let seen = body.text().await.map_err(|e| e.to_string())?;
            if seen.contains(text) { Ok(()) } else { Err(format!("no {text:?} in: {seen}")) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_appears_by_itself_and_a_self_test_is_watched_to_its_end() {
    let stack = Plan::new(program()).kiosk("K-0001", "S-01").start().await;
    let browser = Browser::open(&stack).await;
    let page = |path: &str| format!("http://{}{path}", stack.server.http);

    browser.client.goto(&page("/")).await.unwrap();
    browser.shows("K-0001").await;
    stack.kiosks[0].printer.set(|printer| printer.paper = Paper::Out);
    browser.shows("缺纸").await;
    stack.kiosks[0].printer.set(|printer| printer.paper = Paper::Ok);
    stack.ticket_in("K-0001", "paper_out", &["resolved"]).await;

    browser.client.goto(&page("/kiosks/K-0001")).await.unwrap();
    let choice = browser.client.find(Locator::Css("#peripheral")).await.unwrap();
    choice.select_by_value("printer").await.unwrap();
    browser.click("#self-test button.primary").await;
    wait_until("the self-test to end on the page", PATIENCE, || async {
        let part =
            browser.client.find(Locator::Css("#self-test .watched")).await.map_err(|e| e.to_string())?;
        let html = part.html(true).await.map_err(|e| e.to_string())?;
        if html.contains("class=\"log\"") && html.contains("value=\"100\"") { Ok(()) } else { Err(html) }
    })
    .await;
    assert_eq!(stack.kiosks[0].printer.state().test_prints, 1);

    // From a percentage to its intervals, from an interval to what proves it.
    browser.click("button[name=language]").await;
    browser.shows("Peripherals").await;
    browser.click(".figures a").await;
    browser.shows("Intervals").await;
    browser.click(".switch.wide a[href*='show=up']").await;
    browser.click(".intervals summary").await;
    browser.shows("The evidence says so.").await;
    let proof = browser.client.find(Locator::Css(".intervals details[open] .proofs b")).await.unwrap();
    let proof = proof.text().await.unwrap();
    assert!(["Journal", "Heartbeats"].contains(&proof.as_str()), "{proof}");

    // On a phone nothing is wider than the screen.
    browser.client.set_window_size(360, 760).await.unwrap();
    let paths = ["/", "/kiosks/K-0001", "/kiosks/K-0001/uptime", "/uptime", "/tickets", "/decisions"];
    for path in paths.into_iter().chain(["/corrections/new?kiosk=K-0001", "/corrections/new?site=S-01"]) {
        browser.client.goto(&page(path)).await.unwrap();
        let script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        let beyond = browser.client.execute(script, vec![]).await.unwrap();
        assert_eq!(beyond, json!(0), "{path} is wider than a phone");
    }
    browser.client.clone().close().await.unwrap();
}
