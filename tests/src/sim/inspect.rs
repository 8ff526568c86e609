//! What must hold of every commit, at the moment it is made.
use std::collections::{BTreeMap, BTreeSet};

use kioskwatch_domain::change::{Change, TicketRow, TransitionRow};
use kioskwatch_proto::{KioskId, Timestamp, faults::codes};

use super::{
    ledger::Ledger,
    server::{Disk, applied_record, wall},
    story::clock,
};

/// One heartbeat interval: nobody may be called offline sooner.
const INTERVAL_MS: i64 = 30_000;

/// What the world knows and the server does not.
pub(super) struct Ledgers<'a> {
    pub(super) ledger: &'a Ledger,
    /// Until when each kiosk's own trouble may explain its silence.
    pub(super) excused_until: &'a BTreeMap<KioskId, i64>,
    /// How often each agent said goodbye.
    pub(super) goodbyes: &'a BTreeMap<KioskId, u32>,
    pub(super) problems: &'a mut Vec<String>,
}

pub(super) struct Inspection<'a> {
    pub(super) now: i64,
    /// What the server's clock shows more than is true.
    pub(super) ahead_ms: i64,
    /// As [`Server::offline`](super::server::Server::offline).
    pub(super) offline: &'a mut BTreeMap<KioskId, Option<i64>>,
    pub(super) heard: &'a BTreeMap<KioskId, Vec<i64>>,
    pub(super) disk: &'a mut Disk,
}

impl Inspection<'_> {
    /// Milliseconds since the beginning, of an instant by the server's clock as it is now.
    fn since_beginning(&self, at: Timestamp) -> i64 {
        at.since(wall(self.ahead_ms))
    }

    pub(super) fn changes(&mut self, changes: &[Change], ledgers: &mut Ledgers<'_>) {
        // Verdicts before the tickets that they lead to, wherever they stand in the commit; who comes back in it was
        // offline when the ticket was opened.
        let mut back = BTreeSet::new();
        for change in changes {
            if let Change::Forgotten(row) = change {
                back.extend(self.offline.keys().filter(|id| (&row.first..=&row.last).contains(id)).cloned());
            }
            if let Change::Transition(row) = change
                && row.kind == "presence"
            {
                if row.to == "offline" {
                    back.remove(&row.kiosk);
                    self.verdict(row, ledgers);
                } else {
                    back.insert(row.kiosk.clone());
                }
            }
        }
        for change in changes {
            if let Some(row) = applied_record(change) {
                let Some(index) = ledgers.ledger.find(row.digest) else {
                    ledgers.problems.push(format!("{}: a record nobody wrote: {}", row.kiosk, row.raw));
                    continue;
                };
                let times = self.disk.applied.entry(index).or_default();
                *times += 1;
                if *times > 1 {
                    ledgers.problems.push(format!("{}: applied twice: {}", row.kiosk, row.raw));
                }
            }
            match change {
                Change::Ticket(row) => self.ticket(row, ledgers),
                Change::JournalGap(row)
                    if row.reason == "lost" && !ledgers.ledger.was_told_gone(row.epoch, row.through_seq) =>
                {
                    let (at, from, through) = (clock(self.now), row.from_seq, row.through_seq);
                    let problem =
                        format!("{at} {}: {from} to {through} given up, and it has them", row.kiosk);
                    ledgers.problems.push(problem);
                }
                Change::Incident(row) if row.closed_at.is_some_and(|at| at < row.opened_at) => {
                    ledgers.problems.push(format!("{} ends before it begins", row.fingerprint));
                }
                Change::Evidence(row) if row.to < row.from => {
                    ledgers.problems.push(format!("{}: evidence ends before it begins", row.kiosk));
                }
                Change::Seen(row)
                    if row.running.as_ref().is_some_and(|running| running.to < running.from) =>
                {
                    ledgers.problems.push(format!("{}: what runs ends before it begins", row.kiosk));
                }
                _ => {}
            }
        }
        self.offline.retain(|kiosk, _| !back.contains(kiosk));
    }

    /// Offline is a verdict about silence, or the agent's own word.
    fn verdict(&mut self, row: &TransitionRow, ledgers: &mut Ledgers<'_>) {
        let at = clock(self.now);
        if row.reason == "goodbye" {
            self.offline.insert(row.kiosk.clone(), None);
            if ledgers.goodbyes.get(&row.kiosk).is_none_or(|&times| times == 0) {
                ledgers.problems.push(format!("{at} {}: never said goodbye", row.kiosk));
            }
            return;
        }
        let fell = self.since_beginning(row.at);
        self.offline.insert(row.kiosk.clone(), Some(fell));
        let before = |times: &Vec<i64>| times.iter().rev().find(|&&heard| heard < fell).copied();
        if let Some(heard) = self.heard.get(&row.kiosk).and_then(before)
            && fell - heard < INTERVAL_MS
        {
            let heard = clock(heard);
            ledgers.problems.push(format!("{at} {}: offline, though heard at {heard}", row.kiosk));
        }
        if ledgers.excused_until.get(&row.kiosk).is_none_or(|&until| until < fell) {
            ledgers.problems.push(format!("{at} {}: offline, and nothing was wrong there", row.kiosk));
        }
    }

    /// Our own outage never sends anybody to a kiosk.
    fn ticket(&self, row: &TicketRow, ledgers: &mut Ledgers<'_>) {
        let is_new = self.since_beginning(row.t1) == self.now;
        let offline = matches!(row.fault.as_str(), codes::KIOSK_OFFLINE | codes::SITE_OFFLINE);
        if !is_new || !offline {
            return;
        }
        let who = row.kiosk.as_ref().map_or("the site", KioskId::as_str);
        // Not when the ticket says that it was: the clock may have been another one then.
        let (fell, excuse) = match &row.kiosk {
            Some(kiosk) => (self.offline.get(kiosk).copied(), ledgers.excused_until.get(kiosk)),
            None => (self.offline.values().max().copied(), ledgers.excused_until.values().max()),
        };
        let Some(fell) = fell else {
            return ledgers
                .problems
                .push(format!("{} {who}: an offline ticket, and it is back", clock(self.now)));
        };
        // Of a goodbye there is no silence.
        let fell = fell.unwrap_or_else(|| self.since_beginning(row.opened_at));
        if excuse.is_none_or(|&until| until < fell) {
            let text = format!("{} {who}: an offline ticket, and nothing was wrong there", clock(self.now));
            ledgers.problems.push(text);
        }
    }
}
