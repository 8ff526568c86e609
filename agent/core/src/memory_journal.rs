//! A journal in memory: the model of the durable one, for tests and simulation.
//!
//! It can be told to hold its commits back, and to crash: then it is what it was at the last commit.
use std::{collections::VecDeque, convert::Infallible};

use kioskwatch_proto::{
    Epoch, Timestamp,
    journal::{Body, Digest, Record, Was},
};

use crate::{
    effect::Draft,
    eviction::{EntryFacts, EvictionPlan, Holds, plan_eviction, protected},
    journal::{Appended, Entry, Journal, JournalLimits, JournalView, Pruned, ReadLimit, aged_out},
};

#[derive(Debug, Clone)]
struct Held {
    entry: Entry,
    facts: EntryFacts,
    /// Also once the server has taken its word back: it may have applied it.
    acked_at: Option<Timestamp>,
}

#[derive(Debug, Clone)]
struct State {
    epoch: Epoch,
    last: u64,
    acked: u64,
    held: VecDeque<Held>,
    bytes: u64,
}

#[derive(Debug, Clone)]
pub struct MemoryJournal {
    limits: JournalLimits,
    state: State,
    /// What a crash leaves; `None` while every call commits by itself.
    committed: Option<State>,
}

impl MemoryJournal {
    pub fn new(epoch: Epoch, limits: JournalLimits) -> Self {
        let state = State { epoch, last: 0, acked: 0, held: VecDeque::new(), bytes: 0 };
        Self { limits, state, committed: None }
    }

    /// From now on nothing is durable before [`MemoryJournal::commit`].
    pub fn hold_commits(&mut self) {
        self.committed = Some(self.state.clone());
    }

    pub fn commit(&mut self) {
        if self.committed.is_some() {
            self.committed = Some(self.state.clone());
        }
    }

    /// Loses what was not committed.
    pub fn crash(&mut self) {
        if let Some(committed) = &self.committed {
            self.state = committed.clone();
        }
    }

    /// All entries, for a test's eyes.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.state.held.iter().map(|h| &h.entry)
    }
}

impl State {
    fn push(&mut self, record: &Record) {
        let held = hold(record);
        self.last = held.entry.through;
        self.bytes += held.facts.bytes;
        self.held.push_back(held);
    }

    fn pop_front(&mut self) {
        if let Some(held) = self.held.pop_front() {
            self.bytes -= held.facts.bytes;
        }
    }

    fn apply(&mut self, plan: &EvictionPlan) {
        while self.held.front().is_some_and(|h| plan.forget_through.is_some_and(|f| h.entry.through <= f)) {
            self.pop_front();
        }
        for replacement in &plan.replace {
            let from = self.held.partition_point(|h| h.entry.seq < replacement.first);
            let to = self.held.partition_point(|h| h.entry.through <= replacement.through);
            let first = Record::parse(&self.held[from].entry.json).expect("we wrote this record ourselves");
            let record = replacement.record(&first.header);
            let mut held = hold(&record);
            for gone in self.held.drain(from..to) {
                self.bytes -= gone.facts.bytes;
                held.acked_at = held.acked_at.max(gone.acked_at);
            }
            self.bytes += held.facts.bytes;
            self.held.insert(from, held);
        }
    }
}

fn hold(record: &Record) -> Held {
    let json = record.to_json();
    let seq = record.header.seq;
    let (through, holds) = match &record.body {
        Body::Dropped(dropped) => (dropped.through, Holds::Dropped(dropped.counts.clone())),
        body => (seq, Holds::Kind(body.kind().to_owned())),
    };
    let facts = EntryFacts { seq, through, bytes: json.len() as u64, holds };
    Held { entry: Entry { seq, through, json }, facts, acked_at: None }
}

impl JournalView for MemoryJournal {
    fn epoch(&self) -> Epoch {
        self.state.epoch
    }

    fn first(&self) -> u64 {
        self.state.held.front().map_or(self.state.last + 1, |h| h.entry.seq)
    }

    fn last(&self) -> u64 {
        self.state.last
    }

    fn acked(&self) -> u64 {
        self.state.acked
    }

    fn digest(&self, seq: u64) -> Option<Digest> {
        let held = &self.state.held;
        let at = held.partition_point(|h| h.entry.through < seq);
        let one = |h: &&Held| h.entry.through == seq && matches!(h.facts.holds, Holds::Kind(_));
        held.get(at).filter(one).map(|h| Digest::of(h.entry.json.as_bytes()))
    }
}

impl Journal for MemoryJournal {
    type Error = Infallible;

    fn append(&mut self, drafts: &[Draft], _now: Timestamp) -> Result<Appended, Infallible> {
        let state = &mut self.state;
        let mut done = Appended::default();
        for draft in drafts {
            let record = draft.numbered(state.last + 1, None);
            let need = self.limits.need(state.bytes, record.to_json().len() as u64);
            if need > 0 {
                let facts: Vec<_> = state.held.iter().map(|h| h.facts.clone()).collect();
                let reached =
                    state.held.iter().rfind(|h| h.acked_at.is_some()).map_or(0, |h| h.entry.through);
                let protect = protected(&facts, state.acked, reached, self.limits.protect_head);
                let plan = plan_eviction(&facts, state.acked, need, protect);
                state.apply(&plan);
                done.evicted += plan.evicted;
                done.snapshot_wanted |= plan.snapshot_wanted;
            }
            state.push(&record);
        }
        done.last = state.last;
        Ok(done)
    }

    fn read(&self, from: u64, limit: ReadLimit) -> Result<Vec<Entry>, Infallible> {
        let held = &self.state.held;
        let start = held.partition_point(|h| h.entry.through < from);
        let mut bytes = 0;
        let mut entries = Vec::new();
        for held in held.iter().skip(start).take(limit.records) {
            bytes += held.entry.json.len() + 1;
            if bytes > limit.bytes && !entries.is_empty() {
                break;
            }
            entries.push(held.entry.clone());
        }
        Ok(entries)
    }

    fn ack(&mut self, upto: u64, now: Timestamp) -> Result<(), Infallible> {
        if upto > self.state.last {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.state.acked, upto);
        for held in self.state.held.iter_mut().filter(|h| (before + 1..=upto).contains(&h.entry.through)) {
            held.acked_at = Some(now);
        }
        Ok(())
    }

    fn prune(&mut self, now: Timestamp) -> Result<Pruned, Infallible> {
        let state = &mut self.state;
        let acked = state.held.iter().take_while(|h| h.entry.through <= state.acked);
        let gone = aged_out(acked.filter_map(|h| h.acked_at), now, self.limits.keep_acked_ms, usize::MAX);
        let snapshots = |state: &State| state.held.iter().any(|held| held.facts.is_snapshot());
        let had = snapshots(state);
        (0..gone).for_each(|_| state.pop_front());
        Ok(Pruned { records: gone as u64, snapshot_wanted: had && !snapshots(state) })
    }

    fn start_epoch(&mut self, epoch: Epoch, snapshot: &Draft, resend_from: u64) -> Result<(), Infallible> {
        let old = std::mem::replace(
            &mut self.state,
            State { epoch, last: 0, acked: 0, held: VecDeque::new(), bytes: 0 },
        );
        self.state.push(&snapshot.numbered(1, None));
        for held in old.held.iter().filter(|h| h.entry.through >= resend_from) {
            let mut record = Record::parse(&held.entry.json).expect("we wrote this record ourselves");
            renumber(&mut record, self.state.last + 1, old.epoch);
            self.state.push(&record);
        }
        Ok(())
    }
}

/// The record under a number of a new epoch. Its oldest place is kept: that is where the server may have it.
pub fn renumber(record: &mut Record, seq: u64, old_epoch: Epoch) {
    let old_seq = record.header.seq;
    record.header.was.get_or_insert(Was { epoch: old_epoch, seq: old_seq });
    record.header.seq = seq;
    if let Body::Dropped(dropped) = &mut record.body {
        dropped.through = dropped.through - old_seq + seq;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal_suite::{self, Bench};

    struct InMemory;

    impl Bench for InMemory {
        type Journal = MemoryJournal;
        fn fresh(&mut self, epoch: Epoch, limits: JournalLimits) -> MemoryJournal {
            MemoryJournal::new(epoch, limits)
        }
        fn reopen(&mut self, mut journal: MemoryJournal) -> MemoryJournal {
            journal.crash();
            journal
        }
    }

    #[test]
    fn the_journal_in_memory_keeps_every_promise() {
        journal_suite::run_all(&mut InMemory);
    }

    #[test]
    fn a_crash_loses_exactly_what_was_not_committed() {
        let mut journal = InMemory.fresh(journal_suite::epoch(1), JournalLimits::default());
        journal.hold_commits();
        journal.append(&[journal_suite::fault(1)], Timestamp(0)).unwrap();
        journal.commit();
        journal.append(&[journal_suite::fault(2)], Timestamp(0)).unwrap();
        journal.crash();
        assert_eq!(journal.last(), 1);
    }
}
