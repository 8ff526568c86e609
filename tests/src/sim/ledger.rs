//! What the agents committed, kept outside of everything that can crash, be restored or lie.
use std::collections::HashMap;

use kioskwatch_agent_core::{
    journal::{Entry, Journal as _, JournalView as _, ReadLimit},
    memory_journal::MemoryJournal,
};
use kioskwatch_proto::{
    Epoch,
    journal::{Body, Digest, Fault, FaultState, Record},
};

/// One record that some agent has on disk.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) kiosk: usize,
    /// The machine that wrote it.
    pub(super) machine: usize,
    pub(super) at_ms: i64,
    /// Every number it ever had, oldest first.
    pub(super) places: Vec<(Epoch, u64)>,
    pub(super) json: String,
    /// Why it may be missing: the disk or the machine is gone.
    pub(super) gone: Option<&'static str>,
}

/// All records of all agents.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) kept: Vec<Kept>,
    by_place: HashMap<(usize, Epoch, u64), usize>,
    by_digest: HashMap<Digest, usize>,
    /// The highest number of each journal below which an agent said that it holds nothing.
    firsts: HashMap<Epoch, u64>,
}

const EVERYTHING: ReadLimit = ReadLimit { records: usize::MAX, bytes: usize::MAX };

/// All entries from a number on.
#[must_use]
pub(super) fn entries_from(journal: &MemoryJournal, from: u64) -> Vec<Entry> {
    match journal.read(from, EVERYTHING) {
        Ok(entries) => entries,
    }
}

/// What a record says of a fault, if it is about one.
#[must_use]
pub(super) fn fault_of(json: &str) -> Option<Fault> {
    match Record::parse(json) {
        Ok(Record { body: Body::Fault(fault), .. }) => Some(fault),
        _ => None,
    }
}

/// Whether a record says how the kiosk serves.
#[must_use]
pub(super) fn tells_service(json: &str) -> bool {
    matches!(Record::parse(json), Ok(Record { body: Body::Service(_) | Body::Snapshot(_), .. }))
}

impl Ledger {
    /// What a machine wrote under a number.
    #[must_use]
    pub(super) fn at(&self, machine: usize, epoch: Epoch, seq: u64) -> Option<&Kept> {
        self.by_place.get(&(machine, epoch, seq)).map(|&index| &self.kept[index])
    }

    /// How often a fault was raised.
    #[must_use]
    pub(super) fn episodes(&self) -> u64 {
        let faults = self.kept.iter().filter_map(|kept| fault_of(&kept.json));
        faults.filter(|fault| fault.state == FaultState::Raised).count() as u64
    }

    /// The records from this number on have become durable.
    pub(super) fn note(
        &mut self,
        kiosk: usize,
        machine: usize,
        at_ms: i64,
        journal: &MemoryJournal,
        from: u64,
    ) {
        for entry in entries_from(journal, from) {
            // What stands for evicted records is none itself.
            if entry.seq >= from && !is_dropped(&entry) {
                self.keep(kiosk, machine, at_ms, journal.epoch(), entry);
            }
        }
    }

    /// Record 1 of a new epoch has become durable; the others are known by older numbers.
    pub(super) fn note_first(&mut self, kiosk: usize, machine: usize, at_ms: i64, journal: &MemoryJournal) {
        if let Some(entry) = entries_from(journal, 1).into_iter().next() {
            self.keep(kiosk, machine, at_ms, journal.epoch(), entry);
        }
    }

    fn keep(&mut self, kiosk: usize, machine: usize, at_ms: i64, epoch: Epoch, entry: Entry) {
        let index = self.kept.len();
        self.by_place.insert((machine, epoch, entry.seq), index);
        self.by_digest.insert(Digest::of(entry.json.as_bytes()), index);
        let places = vec![(epoch, entry.seq)];
        self.kept.push(Kept { kiosk, machine, at_ms, places, json: entry.json, gone: None });
    }

    /// A new epoch gave new numbers to what was carried over: `before` in the old one, all but the first of
    /// `after` in the new.
    pub(super) fn renumbered(
        &mut self,
        machine: usize,
        old: Epoch,
        before: &[Entry],
        new: Epoch,
        after: &[Entry],
    ) {
        for (was, is) in before.iter().zip(after.iter().skip(1)) {
            for offset in 0..=was.through - was.seq {
                let Some(&index) = self.by_place.get(&(machine, old, was.seq + offset)) else { continue };
                let place = (new, is.seq + offset);
                self.kept[index].places.push(place);
                self.by_place.insert((machine, place.0, place.1), index);
                if !is_dropped(is) {
                    self.by_digest.insert(Digest::of(is.json.as_bytes()), index);
                }
            }
        }
    }

    /// A second machine begins with a copy of the first one's disk.
    pub(super) fn copied(&mut self, from: usize, to: usize) {
        let copies: Vec<_> = self
            .by_place
            .iter()
            .filter(|((machine, ..), _)| *machine == from)
            .map(|(&(_, epoch, seq), &index)| ((to, epoch, seq), index))
            .collect();
        self.by_place.extend(copies);
    }

    /// Records of a machine after an instant no longer exist at their source.
    pub(super) fn gone(&mut self, machine: usize, after_ms: i64, why: &'static str) {
        for kept in self.kept.iter_mut().filter(|k| k.machine == machine && k.at_ms > after_ms) {
            kept.gone = Some(why);
        }
    }

    /// An agent says below which number it holds nothing.
    pub(super) fn told_first(&mut self, epoch: Epoch, first: u64) {
        let highest = self.firsts.entry(epoch).or_default();
        *highest = first.max(*highest);
    }

    /// Whether some agent said that it no longer holds this number.
    #[must_use]
    pub(super) fn was_told_gone(&self, epoch: Epoch, seq: u64) -> bool {
        self.firsts.get(&epoch).is_some_and(|&first| seq < first)
    }

    /// The record with these bytes.
    #[must_use]
    pub(super) fn find(&self, digest: Digest) -> Option<usize> {
        self.by_digest.get(&digest).copied()
    }

    /// The same record in other bytes: somebody changed it on its way.
    pub(super) fn disguised(&mut self, original: Digest, disguise: Digest) {
        if let Some(index) = self.find(original) {
            self.by_digest.insert(disguise, index);
        }
    }
}

fn is_dropped(entry: &Entry) -> bool {
    entry.json.contains("\"kind\":\"dropped\"")
}
