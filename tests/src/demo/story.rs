//! What happens, when, and what must follow from it.
use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};

use super::{
    cast::{Cast, kiosk_id},
    options::Options,
    screen::Screen,
    truth::{Real, Truth},
    verdict::{Expect, Expected, Verdict},
};
use crate::{
    emulator::{Paper, Phase},
    harness::{api::Api, kiosk::Kiosk, proxy::LineState},
};

/// How often server and story are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Quiet time before the end, so that the last fact has its consequences.
const LAST_LOOK: Duration = Duration::from_secs(8);

/// Something that is done to the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    PaperLow(usize),
    PaperOut(usize),
    Refill(usize),
    Jam(usize),
    Unjam(usize),
    PlugPulled(usize),
    Boot(usize),
    LineCut(usize),
    LineBack(usize),
    SelfTest(usize),
    ServerKilled,
    CoverOpen(usize),
    ServerBack,
    CoverClosed(usize),
}

/// Seconds after everybody is online.
const SCRIPT: &[(u64, Deed)] = &[
    (2, Deed::PaperLow(0)),
    (5, Deed::Jam(4)),
    (8, Deed::PaperOut(0)),
    (12, Deed::SelfTest(1)),
    (18, Deed::Refill(0)),
    (20, Deed::Unjam(4)),
    (22, Deed::PlugPulled(7)),
    (34, Deed::Boot(7)),
    (38, Deed::LineCut(2)),
    (50, Deed::LineBack(2)),
    (56, Deed::ServerKilled),
    (57, Deed::CoverOpen(5)),
    (60, Deed::ServerBack),
    (68, Deed::CoverClosed(5)),
];

/// How a show came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Played,
    Interrupted,
}

/// See the module.
pub struct Story {
    cast: Cast,
    screen: Screen,
    api: Api,
    truth: Truth,
    expected: Vec<Expected>,
    told: BTreeSet<String>,
    began_ms: i64,
}

impl Story {
    pub fn new(cast: Cast, screen: Screen) -> Self {
        let api = cast.server.api();
        Self {
            cast,
            screen,
            api,
            truth: Truth::default(),
            expected: Vec::new(),
            told: BTreeSet::new(),
            began_ms: now_ms(),
        }
    }

    /// Plays the script and then waits: for `length` in all, or until interrupted.
    pub async fn play(
        &mut self,
        length: Duration,
        interrupted: &watch::Receiver<bool>,
    ) -> Result<Ended, String> {
        let started = Instant::now();
        // The length counts from the program's start, as its user sees it.
        let end = started + length.saturating_sub(self.screen.elapsed());
        let mut script = SCRIPT.iter();
        let mut next = script.next();
        let mut last_deed = started;
        loop {
            if *interrupted.borrow() {
                return Ok(Ended::Interrupted);
            }
            if let Some(&(at, deed)) = next
                && started.elapsed() >= Duration::from_secs(at)
            {
                self.act(deed).await?;
                last_deed = Instant::now();
                next = script.next();
            }
            self.look().await;
            if Instant::now() >= end && next.is_none() && last_deed.elapsed() >= LAST_LOOK {
                return Ok(Ended::Played);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Nothing happens any more by itself; what a visitor does is told until the end is asked for.
    pub async fn stay(&mut self, interrupted: &watch::Receiver<bool>) {
        while !*interrupted.borrow() {
            self.look().await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn act(&mut self, deed: Deed) -> Result<(), String> {
        let now = now_ms();
        let told = |error: std::io::Error| format!("{deed:?}: {error}");
        match deed {
            Deed::PaperLow(k) => {
                self.say(k, "the paper runs low");
                self.cast.kiosks[k].printer.set(|p| p.paper = Paper::NearEnd);
                self.truth.set(k, now, Real::Degraded);
                self.expect("paper runs low", k, "paper_low", Expect::NoTicket);
            }
            Deed::PaperOut(k) => {
                self.say(k, "the paper is out");
                self.cast.kiosks[k].printer.set(|p| p.paper = Paper::Out);
                self.truth.set(k, now, Real::OutOfService);
                self.expect("paper out, then refilled", k, "paper_out", Expect::device_fault());
            }
            Deed::Refill(k) => {
                self.say(k, "somebody puts in a new roll");
                self.cast.kiosks[k].printer.set(|p| p.paper = Paper::Ok);
                self.truth.set(k, now, Real::Full);
            }
            Deed::Jam(k) => {
                self.say(k, "a note jams in the acceptor");
                self.cast.kiosks[k].acceptor.set(|a| a.phase = Phase::ValidatorJam);
                self.truth.set(k, now, Real::OutOfService);
                self.expect("a note jams, then is freed", k, "note_jam", Expect::device_fault());
            }
            Deed::Unjam(k) => {
                self.say(k, "the jam is cleared by hand");
                self.cast.kiosks[k].acceptor.set(|a| a.phase = Phase::Disabled);
                self.truth.set(k, now, Real::Full);
            }
            Deed::PlugPulled(k) => {
                self.say(k, "loses power: nothing gets a word in");
                self.cast.kiosks[k].lose_power().await.map_err(told)?;
                self.truth.set(k, now, Real::Off);
                self.expect("power lost, boots again", k, "kiosk_offline", Expect::offline());
            }
            Deed::Boot(k) => {
                self.say(k, "boots again");
                self.cast.kiosks[k].boot().map_err(told)?;
                self.truth.set(k, now, Real::Full);
            }
            Deed::LineCut(s) => {
                let site = &self.cast.sites[s];
                let kiosks = self.cast.kiosks_of(s).len();
                self.screen.line(&format!(
                    "{} {} loses its line; its {kiosks} kiosks go on working",
                    site.id, site.name
                ));
                site.line.set(LineState::Cut);
                let expected = Expected::site("a site's line is cut, comes back", &site.id, now);
                self.expected.push(expected);
            }
            Deed::LineBack(s) => {
                let site = &self.cast.sites[s];
                self.screen.line(&format!("{} has its line back", site.id));
                site.line.set(LineState::Up);
            }
            Deed::SelfTest(k) => self.self_test(k).await?,
            Deed::ServerKilled => {
                self.screen.line("the server is killed (SIGKILL)");
                self.cast.server.kill().await.map_err(told)?;
            }
            Deed::CoverOpen(k) => {
                self.say(k, "the printer's cover is opened while nobody listens");
                self.cast.kiosks[k].printer.set(|p| p.cover_open = true);
                self.truth.set(k, now, Real::OutOfService);
                let server_back =
                    SCRIPT.iter().find(|(_, deed)| *deed == Deed::ServerBack).map_or(0, |(at, _)| *at);
                let here = SCRIPT.iter().find(|(_, other)| *other == deed).map_or(0, |(at, _)| *at);
                let expect = Expect::while_server_is_away(server_back - here);
                self.expect("cover open while the server is dead", k, "cover_open", expect);
            }
            Deed::ServerBack => {
                self.screen.line("the server starts again");
                self.cast.server.start().await.map_err(told)?;
            }
            Deed::CoverClosed(k) => {
                self.say(k, "the cover is closed");
                self.cast.kiosks[k].printer.set(|p| p.cover_open = false);
                self.truth.set(k, now, Real::Full);
            }
        }
        Ok(())
    }

    fn say(&self, kiosk: usize, what: &str) {
        self.screen.line(&format!("{} {what}", kiosk_id(kiosk)));
    }

    fn expect(&mut self, what: &'static str, kiosk: usize, fault: &'static str, expect: Expect) {
        self.expected.push(Expected::kiosk(what, &kiosk_id(kiosk), fault, now_ms(), expect));
    }

    async fn self_test(&mut self, kiosk: usize) -> Result<(), String> {
        let id = kiosk_id(kiosk);
        self.screen.line(&format!("{id} an engineer asks for a self-test of the printer"));
        let body = json!({"action": "self_test", "args": {"peripheral": "printer"}});
        let reply = self.api.post(&format!("/api/v1/kiosks/{id}/commands"), body).await?;
        let command = reply.body["id"].as_str().unwrap_or_default().to_owned();
        if reply.status != 202 || command.is_empty() {
            return Err(format!("asking for a self-test: {} {}", reply.status, reply.body));
        }
        self.expected.push(Expected::command("an engineer runs a self-test", &id, &command, now_ms()));
        Ok(())
    }

    /// Tells what is new at the server, each fact once.
    async fn look(&mut self) {
        let Ok(tickets) = self.api.list("/api/v1/tickets").await else {
            self.screen.summary("the server does not answer");
            return;
        };
        for ticket in tickets.iter().rev() {
            let text = |key: &str| ticket[key].as_str().unwrap_or("").to_owned();
            let about = if text("kiosk").is_empty() { text("site") } else { text("kiosk") };
            let state = text("state");
            let short = short(ticket);
            if self.told.insert(format!("{short} {state}")) {
                let (fault, severity) = (text("fault"), text("severity"));
                let seen = if state == "new" || state == "triaged" { "opened" } else { &state };
                self.screen.line(&format!("    ticket {short} {seen}: {about} {fault} ({severity})"));
            }
        }
        for expected in &self.expected {
            let Some(command) = expected.command_id() else { continue };
            let Ok(found) = self.api.json(&format!("/api/v1/commands/{command}")).await else { continue };
            let state = found["state"].as_str().unwrap_or("").to_owned();
            if self.told.insert(format!("{command} {state}")) {
                self.screen.line(&format!("    self-test {state}"));
            }
        }
        let Ok(kiosks) = self.api.list("/api/v1/kiosks").await else { return };
        let count = |state: &str| kiosks.iter().filter(|kiosk| kiosk["presence"]["state"] == state).count();
        let resolved = tickets.iter().filter(|t| t["state"] == "resolved").count();
        let open = tickets.iter().filter(|t| is_open(t)).count() - resolved;
        self.screen.summary(&format!(
            "{} online, {} late, {} offline, {} unknown | {open} open tickets, {resolved} resolved",
            count("online"),
            count("late"),
            count("offline"),
            count("unknown"),
        ));
    }

    /// Holds the server's word against the truth.
    pub async fn verdict(&mut self) -> Verdict {
        let until_ms = now_ms();
        let tickets = self.api.list("/api/v1/tickets").await.unwrap_or_default();
        let mut verdict = Verdict::default();
        for expected in &self.expected {
            let command = match expected.command_id() {
                Some(id) => self.api.json(&format!("/api/v1/commands/{id}")).await.ok(),
                None => None,
            };
            verdict.judge(expected, &tickets, command.as_ref());
        }
        verdict.no_others(&self.expected, &tickets);
        let prints: u64 = self.cast.kiosks.iter().map(|k| k.printer.state().test_prints).sum();
        verdict.check("test receipts printed", "1", &prints.to_string());
        for (index, kiosk) in self.cast.kiosks.iter().enumerate() {
            let from = crate_time(self.began_ms);
            let to = crate_time(until_ms);
            let path = format!("/api/v1/uptime?scope=kiosk&id={}&from={from}&to={to}", kiosk.id);
            let answer = self.api.json(&path).await;
            verdict.uptime(&kiosk.id, self.truth.down(index, self.began_ms, until_ms), answer);
        }
        let forbidden: Vec<String> = self.cast.kiosks.iter().flat_map(Kiosk::violations).collect();
        let forbidden: Vec<&String> = forbidden.iter().filter(|v| !v.contains("print")).collect();
        verdict.check("bytes that a monitor must never send", "none", &told(&forbidden));
        verdict
    }

    /// Ends everything in order and says where to look.
    pub async fn curtain(mut self, options: &Options) {
        // What fails to end in order is killed with its handle.
        for kiosk in &mut self.cast.kiosks {
            let _ = kiosk.kill_agent().await;
        }
        let _ = self.cast.server.stop().await;
        if options.keep {
            self.screen.line(&format!("kept: {}", self.cast.dir.path().display()));
        }
    }
}

fn told(forbidden: &[&String]) -> String {
    if forbidden.is_empty() { "none".to_owned() } else { format!("{forbidden:?}") }
}

pub fn is_open(ticket: &Value) -> bool {
    !matches!(ticket["state"].as_str(), Some("closed" | "called_back" | "cancelled" | "cancelled_reassigned"))
}

/// A ticket's number for people.
pub fn short(ticket: &Value) -> String {
    match ticket["number"].as_u64() {
        Some(number) => format!("#{number}"),
        None => ticket["id"].as_str().unwrap_or("?").chars().take(8).collect(),
    }
}

fn crate_time(ms: i64) -> String {
    kioskwatch_proto::Timestamp(ms).to_string()
}

/// Wall time in milliseconds, as server and agents on this machine see it.
fn now_ms() -> i64 {
    kioskwatch_server::clock::Clock::start().now().ms()
}
