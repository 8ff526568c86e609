//! The table at the end: every injected fact, what it became, and whether that is right.
use std::fmt;

use serde_json::Value;

use super::{
    story::{is_open, short},
    truth::Down,
};

/// What must follow from a fact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Expect {
    /// One ticket within so many seconds, resolved by itself at the end.
    Ticket { within_s: f64 },
    /// Information only.
    NoTicket,
    /// The command succeeds.
    Succeeds,
}

impl Expect {
    /// Fault to ticket in under 2 s, confirmation included.
    pub const fn device_fault() -> Self {
        Self::Ticket { within_s: 2.0 }
    }

    /// Three missed heartbeats, the site hold of 3 s, a sweep and a heartbeat's phase.
    pub const fn offline() -> Self {
        Self::Ticket { within_s: 8.0 }
    }

    /// As long as the server is dead, its start, and the agent's wait for a server that came back.
    #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
    pub const fn while_server_is_away(away_s: u64) -> Self {
        Self::Ticket { within_s: away_s as f64 + 5.0 }
    }
}

/// One injected fact.
#[derive(Debug, Clone)]
pub struct Expected {
    what: &'static str,
    about: String,
    fault: &'static str,
    at_ms: i64,
    command: Option<String>,
    expect: Expect,
}

impl Expected {
    pub fn kiosk(what: &'static str, kiosk: &str, fault: &'static str, at_ms: i64, expect: Expect) -> Self {
        Self { what, about: kiosk.to_owned(), fault, at_ms, command: None, expect }
    }

    pub fn site(what: &'static str, site: &str, at_ms: i64) -> Self {
        let expect = Expect::offline();
        Self { what, about: site.to_owned(), fault: "site_offline", at_ms, command: None, expect }
    }

    pub fn command(what: &'static str, kiosk: &str, command: &str, at_ms: i64) -> Self {
        let (about, command) = (kiosk.to_owned(), Some(command.to_owned()));
        Self { what, about, fault: "self_test", at_ms, command, expect: Expect::Succeeds }
    }

    pub fn command_id(&self) -> Option<&str> {
        self.command.as_deref()
    }

    fn is_of(&self, ticket: &Value) -> bool {
        let key = if self.fault == "site_offline" { "site" } else { "kiosk" };
        let base = ticket["fault"].as_str().unwrap_or("").split('(').next().unwrap_or("").to_owned();
        ticket[key] == self.about.as_str() && base == self.fault
    }
}

#[derive(Debug, Clone)]
struct Line {
    fact: String,
    became: String,
    seconds: String,
    right: bool,
    why: String,
}

#[derive(Debug, Clone)]
struct UptimeLine {
    kiosk: String,
    measured: [f64; 3],
    real: [f64; 3],
    tolerance_s: f64,
    ratio: String,
    right: bool,
    why: String,
}

/// The whole table.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    lines: Vec<Line>,
    uptime: Vec<UptimeLine>,
}

/// What noticing one change may cost: a probe and its confirmation, or a heartbeat and a durable tick.
const PER_CHANGE_S: f64 = 2.5;
/// Whole seconds are counted: the ends may lose one each.
const ENDS_S: f64 = 2.0;

impl Verdict {
    pub fn all_right(&self) -> bool {
        self.lines.iter().all(|line| line.right) && self.uptime.iter().all(|line| line.right)
    }

    pub fn judge(&mut self, expected: &Expected, tickets: &[Value], command: Option<&Value>) {
        let mine: Vec<&Value> = tickets.iter().filter(|ticket| expected.is_of(ticket)).collect();
        let fact = format!("{} {}", expected.about, expected.what);
        let line = match expected.expect {
            Expect::NoTicket => {
                let right = mine.is_empty();
                let became = if right { "no ticket (information)".to_owned() } else { short(mine[0]) };
                Line { fact, became, seconds: String::new(), right, why: "expected no ticket".to_owned() }
            }
            Expect::Succeeds => {
                let state = command.and_then(|c| c["state"].as_str()).unwrap_or("nothing").to_owned();
                let right = state == "succeeded";
                let finished = command.and_then(|c| c["finished_at"].as_str());
                Line {
                    fact,
                    became: format!("self-test {state}"),
                    seconds: finished.and_then(ms).map_or_else(String::new, |t| seconds(t - expected.at_ms)),
                    right,
                    why: format!("expected success: {}", command.unwrap_or(&Value::Null)),
                }
            }
            Expect::Ticket { within_s } => match mine.as_slice() {
                [ticket] => {
                    let opened = ticket["opened_at"].as_str().and_then(ms).unwrap_or(i64::MAX);
                    #[expect(clippy::cast_precision_loss, reason = "a few minutes in milliseconds")]
                    let took = (opened - expected.at_ms) as f64 / 1_000.0;
                    let state = ticket["state"].as_str().unwrap_or("");
                    let healed = state == "resolved" || !is_open(ticket);
                    let quick = (-0.5..=within_s).contains(&took);
                    Line {
                        fact,
                        became: format!(
                            "ticket {} {} {state}",
                            short(ticket),
                            ticket["fault"].as_str().unwrap_or("")
                        ),
                        seconds: format!("{took:.2}"),
                        right: healed && quick,
                        why: format!("expected within {within_s} s and resolved by itself"),
                    }
                }
                others => Line {
                    fact,
                    became: format!("{} tickets", others.len()),
                    seconds: String::new(),
                    right: false,
                    why: "expected exactly one".to_owned(),
                },
            },
        };
        self.lines.push(line);
    }

    /// No ticket beside the expected ones: our own outage and the quiet kiosks opened none.
    pub fn no_others(&mut self, expected: &[Expected], tickets: &[Value]) {
        let others: Vec<String> = tickets
            .iter()
            .filter(|ticket| !expected.iter().any(|e| e.is_of(ticket)))
            .map(|ticket| format!("{} {} {}", short(ticket), ticket["kiosk"], ticket["fault"]))
            .collect();
        let became = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
        self.lines.push(Line {
            fact: "tickets nobody caused (server killed, site down)".to_owned(),
            became,
            seconds: String::new(),
            right: others.is_empty(),
            why: "expected none".to_owned(),
        });
    }

    pub fn check(&mut self, what: &str, expected: &str, found: &str) {
        self.lines.push(Line {
            fact: what.to_owned(),
            became: found.to_owned(),
            seconds: String::new(),
            right: expected == found,
            why: format!("expected {expected}"),
        });
    }

    pub fn uptime(&mut self, kiosk: &str, real: Down, answer: Result<Value, String>) {
        #[expect(clippy::cast_precision_loss, reason = "a handful of changes")]
        let tolerance_s = ENDS_S + PER_CHANGE_S * real.changes as f64;
        let real = [real.on_s, real.avail_s, real.full_s];
        let line = match answer {
            Ok(answer) => {
                let measured = ["on", "avail", "full"].map(|ratio| {
                    let number = |key: &str| answer[ratio][key].as_f64().unwrap_or(f64::NAN);
                    number("den") - number("num")
                });
                let near = |(measured, real): (&f64, &f64)| (measured - real).abs() <= tolerance_s;
                let accountable = answer["accountable_s"].as_i64().unwrap_or(0);
                UptimeLine {
                    kiosk: kiosk.to_owned(),
                    measured,
                    real,
                    tolerance_s,
                    ratio: answer["on"]["ratio"].as_str().unwrap_or("null").to_owned(),
                    right: accountable > 0 && measured.iter().zip(&real).all(near),
                    why: answer["causes"].to_string(),
                }
            }
            Err(error) => UptimeLine {
                kiosk: kiosk.to_owned(),
                measured: [f64::NAN; 3],
                real,
                tolerance_s,
                ratio: String::new(),
                right: false,
                why: error,
            },
        };
        self.uptime.push(line);
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<52} {:<34} {:>8}  ", "what happened", "what it became", "seconds")?;
        for line in &self.lines {
            let mark = if line.right { "right" } else { "WRONG" };
            write!(f, "{:<52} {:<34} {:>8}  {mark}", line.fact, line.became, line.seconds)?;
            writeln!(f, "{}", if line.right { String::new() } else { format!(": {}", line.why) })?;
        }
        writeln!(
            f,
            "\nseconds down, measured / real (a change may be noticed {PER_CHANGE_S} s late: tick 1 s, probe 1 s and its confirmation)"
        )?;
        writeln!(
            f,
            "{:<10} {:>15} {:>15} {:>15}  {:>9}  on ratio",
            "kiosk", "on", "avail", "full", "tolerance"
        )?;
        for line in &self.uptime {
            let pair = |index: usize| format!("{:.0} / {:.1}", line.measured[index], line.real[index]);
            let mark = if line.right { "right" } else { "WRONG" };
            writeln!(
                f,
                "{:<10} {:>15} {:>15} {:>15}  {:>7.1} s  {:<9} {mark} {}",
                line.kiosk,
                pair(0),
                pair(1),
                pair(2),
                line.tolerance_s,
                line.ratio,
                if line.right { "" } else { &line.why },
            )?;
        }
        let word = if self.all_right() { "everything is right" } else { "NOT everything is right" };
        writeln!(f, "\n{word}")
    }
}

fn ms(text: &str) -> Option<i64> {
    kioskwatch_proto::Timestamp::parse(text).ok().map(kioskwatch_proto::Timestamp::ms)
}

fn seconds(ms: i64) -> String {
    format!("{}.{:02}", ms / 1_000, (ms % 1_000) / 10)
}
