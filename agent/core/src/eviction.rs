//! Keeping a journal within its cap: what leaves, and what stands in its place. Pure, for every journal.
//!
//! Numbers are never reused and never missing: records that leave unacknowledged are replaced by one
//! `dropped` record that carries the first number and stands for the whole consecutive range.
use std::collections::BTreeMap;

use kioskwatch_proto::journal::{Body, Dropped, Header, Record};

/// Kinds that leave first, least important first. What is not named here (faults, command results, service
/// states, boots, shutdowns, snapshots) leaves only when an old range goes whole.
pub const EVICTED_FIRST: &[&[&str]] = &[&["transaction"], &["alive"], &["peripheral"]];

/// The oldest unacknowledged entries may already be on their way, and the server may have applied them: a
/// replacement under an applied number would look like a fork. As many as may be in flight stay as they are.
pub const PROTECTED_HEAD: usize = kioskwatch_proto::limits::MAX_IN_FLIGHT_RECORDS as usize;

/// A `dropped` record's own size, about: header, range and a few counts.
pub const DROPPED_RECORD_BYTES: u64 = 320;

/// One stored entry as far as making room is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryFacts {
    pub seq: u64,
    pub through: u64,
    pub bytes: u64,
    pub holds: Holds,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// One record of this kind.
    Kind(String),
    /// A `dropped` record with these counts.
    Dropped(BTreeMap<String, u64>),
}

impl EntryFacts {
    /// Whether it tells the whole state.
    #[must_use]
    pub fn is_snapshot(&self) -> bool {
        matches!(&self.holds, Holds::Kind(kind) if kind == SNAPSHOT)
    }
}

/// Entries `first ..= through` are replaced by one `dropped` record numbered `first`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    pub first: u64,
    pub through: u64,
    pub counts: BTreeMap<String, u64>,
}

impl Replacement {
    /// The record that stands for the range. It takes the circumstances of the first record it replaces, so
    /// that the order of boots and times in the journal stays true.
    pub fn record(&self, of_first: &Header) -> Record {
        let header = Header { seq: self.first, ..of_first.clone() };
        Record { header, body: Body::Dropped(Dropped { through: self.through, counts: self.counts.clone() }) }
    }
}

/// How to make room.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EvictionPlan {
    /// Acknowledged entries through this number are forgotten.
    pub forget_through: Option<u64>,
    /// In ascending order, not overlapping.
    pub replace: Vec<Replacement>,
    /// Records that leave unacknowledged.
    pub evicted: u64,
    /// A range left whole, important records with it, or no snapshot is held any more: the state must be told anew.
    pub snapshot_wanted: bool,
}

/// The kind of a record that tells the whole state.
pub const SNAPSHOT: &str = "snapshot";

/// How many of the oldest unacknowledged entries may be on their way or applied: as many as fit in flight
/// behind `reached`, the highest number the server ever acknowledged in this epoch. After a restored server
/// has taken its word back, that is more than behind `acked`.
pub fn protected(entries: &[EntryFacts], acked: u64, reached: u64, head: usize) -> usize {
    entries.iter().filter(|e| e.through > acked && e.through <= reached).count() + head
}

#[derive(Debug)]
struct Slot {
    facts: EntryFacts,
    replaced: bool,
}

/// Plans to free `need` bytes. `entries` are all entries in order, `acked` the server's mark, `protect` how
/// many of the oldest unacknowledged entries stay if at all possible ([`protected`]).
///
/// Order: acknowledged entries, oldest first; then runs of unimportant kinds; then the oldest tenth whole,
/// again and again. May free less than `need` when there is nothing left.
pub fn plan_eviction(entries: &[EntryFacts], acked: u64, need: u64, protect: usize) -> EvictionPlan {
    let mut plan = EvictionPlan::default();
    let mut freed = 0;
    let mut unacked = 0;
    for entry in entries.iter().take_while(|e| e.through <= acked) {
        if freed < need {
            freed += entry.bytes;
            plan.forget_through = Some(entry.through);
        }
        unacked += 1;
    }
    plan.snapshot_wanted = plan.forget_through.is_some_and(|through| loses_snapshots(entries, through));
    let mut slots: Vec<Slot> =
        entries[unacked..].iter().map(|e| Slot { facts: e.clone(), replaced: false }).collect();
    for class in 1..=EVICTED_FIRST.len() {
        if freed >= need {
            break;
        }
        freed += drop_runs(&mut slots, &EVICTED_FIRST[..class], protect, need - freed);
    }
    for start in [protect, 0] {
        while freed < need && slots.len() > start + 1 {
            let tenth = (slots.len() / 10).max(2).min(slots.len() - start);
            let gain = merge(&mut slots, start, start + tenth);
            plan.snapshot_wanted = true;
            if gain == 0 && slots.len() <= start + 1 {
                break;
            }
            freed += gain;
        }
    }
    for slot in slots.into_iter().filter(|s| s.replaced) {
        if let Holds::Dropped(counts) = slot.facts.holds {
            plan.replace.push(Replacement { first: slot.facts.seq, through: slot.facts.through, counts });
        }
    }
    plan.evicted = newly_evicted(&entries[unacked..], &plan.replace);
    plan
}

/// Whether the last snapshot is among the entries through this number. A server that was restored to before them could
/// not know the state from what is still held.
fn loses_snapshots(entries: &[EntryFacts], through: u64) -> bool {
    entries.iter().rfind(|entry| entry.is_snapshot()).is_some_and(|last| last.through <= through)
}

/// Replaces runs of the given kinds, oldest first, until enough is free. Returns the bytes gained.
/// One pass: a full journal has hundreds of thousands of entries.
fn drop_runs(slots: &mut Vec<Slot>, kinds: &[&[&str]], protect: usize, need: u64) -> u64 {
    let goes = |slot: &Slot| match &slot.facts.holds {
        Holds::Kind(kind) => kinds.iter().any(|class| class.contains(&kind.as_str())),
        Holds::Dropped(_) => true,
    };
    let mut gained = 0;
    let mut rest = slots.split_off(protect.min(slots.len())).into_iter().peekable();
    while let Some(slot) = rest.next() {
        if gained >= need || !goes(&slot) {
            slots.push(slot);
            continue;
        }
        let mut run = vec![slot];
        while let Some(next) = rest.next_if(|next| goes(next)) {
            run.push(next);
        }
        let bytes: u64 = run.iter().map(|s| s.facts.bytes).sum();
        // A run is worth replacing only when the replacement is smaller.
        if run.len() >= 2 && bytes > DROPPED_RECORD_BYTES {
            gained += bytes - DROPPED_RECORD_BYTES;
            slots.push(dropped(&run));
        } else {
            slots.append(&mut run);
        }
    }
    gained
}

/// Makes one dropped slot of `slots[from..to]`. Returns the bytes gained.
fn merge(slots: &mut Vec<Slot>, from: usize, to: usize) -> u64 {
    let bytes: u64 = slots[from..to].iter().map(|s| s.facts.bytes).sum();
    let whole = dropped(&slots[from..to]);
    slots.splice(from..to, [whole]);
    bytes.saturating_sub(DROPPED_RECORD_BYTES)
}

/// What stands for consecutive slots, of which there is at least one.
fn dropped(run: &[Slot]) -> Slot {
    let mut counts = BTreeMap::new();
    let (mut seq, mut through) = (u64::MAX, 0);
    for Slot { facts, .. } in run {
        seq = seq.min(facts.seq);
        through = through.max(facts.through);
        match &facts.holds {
            Holds::Kind(kind) => *counts.entry(kind.clone()).or_insert(0) += 1,
            Holds::Dropped(more) => {
                for (kind, n) in more {
                    *counts.entry(kind.clone()).or_insert(0) += n;
                }
            }
        }
    }
    let facts = EntryFacts { seq, through, bytes: DROPPED_RECORD_BYTES, holds: Holds::Dropped(counts) };
    Slot { facts, replaced: true }
}

fn newly_evicted(entries: &[EntryFacts], replace: &[Replacement]) -> u64 {
    let gone = |seq| {
        let at = replace.partition_point(|r| r.through < seq);
        replace.get(at).is_some_and(|r| r.first <= seq)
    };
    entries.iter().filter(|e| matches!(e.holds, Holds::Kind(_)) && gone(e.seq)).count() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(kinds: &[&str]) -> Vec<EntryFacts> {
        kinds
            .iter()
            .zip(1..)
            .map(|(kind, seq)| EntryFacts {
                seq,
                through: seq,
                bytes: 200,
                holds: Holds::Kind((*kind).to_owned()),
            })
            .collect()
    }

    #[test]
    fn acknowledged_records_leave_before_anything_is_lost() {
        let plan = plan_eviction(&entries(&["fault"; 10]), 5, 300, 0);
        assert_eq!(plan, EvictionPlan { forget_through: Some(2), ..EvictionPlan::default() });
    }

    #[test]
    fn transactions_leave_before_faults_and_say_how_many() {
        let plan = plan_eviction(
            &entries(&["fault", "transaction", "transaction", "transaction", "fault"]),
            0,
            200,
            0,
        );
        assert_eq!(
            plan.replace,
            [Replacement { first: 2, through: 4, counts: [("transaction".to_owned(), 3)].into() }]
        );
        assert_eq!((plan.evicted, plan.snapshot_wanted), (3, false));
    }

    #[test]
    fn a_lone_transaction_is_not_replaced_by_something_larger() {
        let plan =
            plan_eviction(&entries(&["fault", "transaction", "fault", "fault", "fault", "fault"]), 0, 1, 0);
        assert!(plan.snapshot_wanted, "{plan:?}");
    }

    #[test]
    fn the_oldest_tenth_goes_whole_when_only_important_records_are_left() {
        let plan = plan_eviction(&entries(&["fault"; 100]), 0, 1000, 20);
        assert_eq!(
            plan.replace,
            [Replacement { first: 21, through: 30, counts: [("fault".to_owned(), 10)].into() }]
        );
        assert!(plan.snapshot_wanted);
        assert_eq!(plan.evicted, 10);
    }

    #[test]
    fn older_dropped_records_are_swallowed_and_their_counts_kept() {
        let mut list = entries(&["transaction"; 6]);
        list[0] = EntryFacts {
            seq: 1,
            through: 1,
            bytes: 320,
            holds: Holds::Dropped([("fault".to_owned(), 1)].into()),
        };
        let plan = plan_eviction(&list, 0, 200, 0);
        assert_eq!(
            plan.replace,
            [Replacement {
                first: 1,
                through: 6,
                counts: [("fault".to_owned(), 1), ("transaction".to_owned(), 5)].into()
            }]
        );
    }

    #[test]
    fn when_the_last_snapshot_is_forgotten_the_state_is_told_anew() {
        for (kinds, wanted) in [
            (["snapshot", "fault", "fault"], true),
            (["snapshot", "snapshot", "fault"], true),
            (["fault", "fault", "fault"], false),
            (["snapshot", "fault", "snapshot"], false),
        ] {
            let plan = plan_eviction(&entries(&kinds), 3, 250, 0);
            assert_eq!((plan.forget_through, plan.snapshot_wanted), (Some(2), wanted), "{kinds:?}");
        }
    }

    #[test]
    fn what_may_be_in_flight_stays_while_there_is_anything_else() {
        let plan = plan_eviction(&entries(&["transaction"; 20]), 0, 100, 10);
        assert_eq!(plan.replace[0].first, 11);
        let tight = plan_eviction(&entries(&["fault"; 12]), 0, 10_000, 10);
        assert_eq!(tight.replace.last().map(|r| r.through), Some(12));
    }

    #[test]
    fn a_journal_of_a_quarter_million_records_makes_room_in_one_go() {
        let kinds: Vec<_> = (0..250_000).map(|n| if n % 10 == 0 { "fault" } else { "transaction" }).collect();
        let list = entries(&kinds);
        let plan = plan_eviction(&list, 0, 5_000_000, PROTECTED_HEAD);
        assert!(!plan.snapshot_wanted);
        assert!(plan.replace.len() > 1_000);
    }

    proptest! {
        #[test]
        fn a_plan_covers_whole_entries_in_order_and_never_an_acknowledged_one(
            kinds in prop::collection::vec(
                prop::sample::select(vec!["fault", "transaction", "alive", "peripheral"]), 1..80),
            acked in 0..90u64,
            need in 0..40_000u64,
            protect in 0..20usize,
        ) {
            let list = entries(&kinds);
            let last = list.len() as u64;
            let plan = plan_eviction(&list, acked, need, protect);
            prop_assert!(plan.forget_through.is_none_or(|f| f <= acked.min(last)));
            let mut before = acked.min(last);
            for r in &plan.replace {
                prop_assert!(r.first > before && r.first <= r.through && r.through <= last);
                prop_assert_eq!(r.counts.values().sum::<u64>(), r.through - r.first + 1);
                before = r.through;
            }
            let counted: u64 = plan.replace.iter().flat_map(|r| r.counts.values()).sum();
            prop_assert_eq!(counted, plan.evicted);
            prop_assert!(need > 0 || plan == EvictionPlan::default());
        }
    }
}
