//! The books of agents, devices and server against each other.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use kioskwatch_proto::journal::{Body, Record};
use serde_json::Value;

use super::{
    Victim,
    field::{DRAINED_WITHIN, Field},
    killing::Killing,
    life::Books,
};
use crate::harness::rows::{StoredIncident, StoredRecord, StoredTicket};

/// How often each of them died.
#[derive(Debug, Default)]
pub(super) struct Killed(BTreeMap<Victim, usize>);

impl Killed {
    pub(super) fn count(&mut self, killing: &Killing) {
        for &victim in &killing.victims {
            let many = if victim == Victim::Agent { killing.agents.len() } else { 1 };
            *self.0.entry(victim).or_default() += many;
        }
    }

    fn all(&self) -> u32 {
        u32::try_from(self.0.values().sum::<usize>()).unwrap_or(u32::MAX)
    }
}

#[derive(Debug, Clone)]
struct Line {
    what: &'static str,
    found: String,
    /// What had to be, where something else was found.
    wrong: Option<String>,
}

/// A table of what had to be and what was.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    lines: Vec<Line>,
}

impl Verdict {
    #[must_use]
    pub fn all_right(&self) -> bool {
        self.lines.iter().all(|line| line.wrong.is_none())
    }

    fn tell(&mut self, what: &'static str, found: String) {
        self.lines.push(Line { what, found, wrong: None });
    }

    /// A list that must be empty; the first of it explain.
    fn none(&mut self, what: &'static str, found: &[String]) {
        let wrong = (!found.is_empty()).then(|| found[..found.len().min(5)].join("; "));
        self.lines.push(Line { what, found: found.len().to_string(), wrong });
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { what, found, wrong } in &self.lines {
            let mark = if wrong.is_some() { "WRONG: " } else { "" };
            writeln!(f, "{what:<58} {found:>10}  {mark}{}", wrong.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }
}

pub(super) async fn judge(
    field: &Field,
    books: &[Books],
    killed: &Killed,
    drained: Result<Duration, String>,
) -> Result<Verdict, String> {
    let told = |error: sqlx::Error| format!("reading the server's database: {error}");
    let (stored, held) = field.both_books().await?;
    let mut verdict = Verdict::default();
    for (victim, what) in [
        (Victim::Agent, "agents killed"),
        (Victim::Broker, "the broker killed"),
        (Victim::Server, "the server killed"),
        (Victim::Database, "the database killed"),
    ] {
        verdict.tell(what, killed.0.get(&victim).copied().unwrap_or(0).to_string());
    }
    verdict.tell("the server started again by its supervisor", field.restarts.to_string());
    let (mut lost, mut written, mut foreign) = (Vec::new(), 0, Vec::new());
    for (one, held) in books.iter().zip(held) {
        written += held.len();
        let mine: BTreeMap<u64, &str> =
            stored.iter().filter(|row| row.kiosk == one.kiosk).map(|row| (row.seq, &*row.raw)).collect();
        let missing = held.iter().filter(|record| mine.get(&record.seq) != Some(&&*record.raw));
        lost.extend(missing.map(|record| format!("{} {}", one.kiosk, record.raw)));
        let ours: BTreeSet<u64> = held.iter().map(|record| record.seq).collect();
        foreign.extend(mine.iter().filter(|(seq, _)| !ours.contains(seq)).map(|(_, raw)| (*raw).to_owned()));
    }
    verdict.tell("records in the agents' journals", written.to_string());
    verdict.tell("records in the server's database", stored.len().to_string());
    verdict.none("of them lost, or with other bytes", &lost);
    verdict.none("of them written by nobody", &foreign);
    verdict.none("applied twice", &twice(&stored));
    let odd = |row: &&StoredRecord| row.outcome != "applied";
    let odd: Vec<String> =
        stored.iter().filter(odd).map(|row| format!("{}: {}", row.outcome, row.raw)).collect();
    verdict.none("not applied", &odd);
    let gaps = field.rows.gaps().await.map_err(told)?;
    verdict.none("ranges given up", &vec!["see journal_gap".to_owned(); usize::try_from(gaps).unwrap_or(1)]);
    transactions(&mut verdict, books, &stored);
    let least = killed.all() / 50;
    let (incidents, opened) = field.work().await?;
    episodes(&mut verdict, books, &incidents, least);
    tickets(&mut verdict, &incidents, &opened);
    verdict
        .none("offline tickets, though nobody was away", &field.rows.offline_tickets().await.map_err(told)?);
    let seconds = drained.as_ref().map_or(0.0, Duration::as_secs_f64);
    let wrong = match &drained {
        Ok(after) if *after <= DRAINED_WITHIN => None,
        Ok(_) => Some(format!("at most {} s", DRAINED_WITHIN.as_secs())),
        Err(error) => Some(error.clone()),
    };
    verdict.lines.push(Line {
        what: "seconds from the last fault to the last journal drained",
        found: format!("{seconds:.1}"),
        wrong,
    });
    Ok(verdict)
}

/// The same record under two numbers.
fn twice(stored: &[StoredRecord]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let content = |row: &StoredRecord| {
        let mut json: Value = serde_json::from_str(&row.raw).unwrap_or_default();
        if let Some(fields) = json.as_object_mut() {
            fields.retain(|name, _| name != "seq" && name != "was");
        }
        (row.kiosk.clone(), json.to_string())
    };
    stored.iter().filter(|row| !seen.insert(content(row))).map(|row| row.raw.clone()).collect()
}

/// What an agent said it keeps is in the database, and nothing is there twice.
fn transactions(verdict: &mut Verdict, books: &[Books], stored: &[StoredRecord]) {
    let mut count: BTreeMap<String, u32> = BTreeMap::new();
    for row in stored {
        if let Ok(Record { body: Body::Transaction(told), .. }) = Record::parse(&row.raw) {
            *count.entry(told.id).or_default() += 1;
        }
    }
    let kept: Vec<&String> = books.iter().flat_map(|one| &one.kept).collect();
    let told: u64 = books.iter().map(|one| one.told).sum();
    verdict.tell("transactions told to agents", told.to_string());
    verdict.tell("of them confirmed to be on disk", kept.len().to_string());
    let missing: Vec<String> = kept.into_iter().filter(|id| !count.contains_key(*id)).cloned().collect();
    verdict.none("confirmed transactions that the server does not have", &missing);
    let again: Vec<String> = count.into_iter().filter(|(_, times)| *times > 1).map(|(id, _)| id).collect();
    verdict.none("transactions that the server has twice", &again);
}

/// One incident for each time a device broke.
fn episodes(verdict: &mut Verdict, books: &[Books], incidents: &[StoredIncident], least: u32) {
    let mut expected: BTreeMap<(String, String), u32> = BTreeMap::new();
    for one in books {
        for (&fault, &times) in &one.episodes {
            expected.insert((one.kiosk.clone(), fault.to_owned()), times);
        }
    }
    let mut found: BTreeMap<(String, String), u32> = BTreeMap::new();
    // What a starved machine makes of a serial line is a finding, and none of ours.
    for incident in incidents.iter().filter(|row| !row.fault.starts_with("comm_")) {
        *found.entry((incident.kiosk.clone(), incident.fault.clone())).or_default() += 1;
    }
    let faults = expected.values().sum::<u32>();
    let wrong = (faults < least).then(|| format!("at least {least}, or the rest proves little"));
    verdict.lines.push(Line { what: "faults that came and went", found: faults.to_string(), wrong });
    verdict.tell("incidents about them", found.values().sum::<u32>().to_string());
    let all: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let times = |of: &BTreeMap<_, u32>, key: &(String, String)| of.get(key).copied().unwrap_or(0);
    let differ = all.into_iter().filter(|&key| times(&expected, key) != times(&found, key));
    let tell = |key: &(String, String)| {
        format!("{} {}: {} faults, {} incidents", key.0, key.1, times(&expected, key), times(&found, key))
    };
    verdict.none("faults with more or fewer incidents than one", &differ.map(tell).collect::<Vec<_>>());
}

/// Each incident has the ticket that was decided on, each ticket was opened for one incident, and what is gone is
/// resolved.
fn tickets(verdict: &mut Verdict, incidents: &[StoredIncident], tickets: &[StoredTicket]) {
    let mut opened: BTreeMap<&str, u32> = tickets.iter().map(|ticket| (&*ticket.id, 0)).collect();
    let mut missing = Vec::new();
    for row in incidents {
        let is_there = row.ticket.as_deref().and_then(|ticket| opened.get_mut(ticket));
        match (row.triage.as_str(), is_there) {
            ("ticket opened", Some(problems)) => *problems += 1,
            ("gathered" | "reopened", Some(_)) => {}
            ("suppressed", None) if row.severity == "info" && row.ticket.is_none() => {}
            _ => missing.push(format!("{} {} ({}): {}", row.kiosk, row.fault, row.severity, row.triage)),
        }
    }
    verdict.tell("tickets for faults of devices", tickets.len().to_string());
    verdict.none("incidents without the ticket they need", &missing);
    let named = |ticket: &StoredTicket| format!("{} {}, {}", ticket.kiosk, ticket.fault, ticket.state);
    let of_nobody = tickets.iter().filter(|ticket| opened[&*ticket.id] != 1);
    verdict.none("tickets of no incident, or of two", &of_nobody.map(named).collect::<Vec<_>>());
    let left: Vec<String> = unresolved(incidents, tickets).map(named).collect();
    verdict.none("tickets left open after their fault was gone", &left);
}

/// Tickets that somebody still has to work on, though nothing is wrong any more.
pub(super) fn unresolved<'a>(
    incidents: &'a [StoredIncident],
    tickets: &'a [StoredTicket],
) -> impl Iterator<Item = &'a StoredTicket> {
    let is_over = |ticket: &StoredTicket| matches!(ticket.state.as_str(), "resolved" | "closed");
    let is_problem = |ticket: &StoredTicket| {
        incidents.iter().any(|row| row.is_open && row.ticket.as_ref() == Some(&ticket.id))
    };
    tickets.iter().filter(move |ticket| !is_over(ticket) && !is_problem(ticket))
}
