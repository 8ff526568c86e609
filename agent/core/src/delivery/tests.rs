use kioskwatch_proto::{Epoch, Timestamp, journal::Digest};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    journal::{Journal, JournalLimits, ReadLimit},
    journal_suite::{epoch, fault, snapshot, transaction},
    memory_journal::MemoryJournal,
};

const SESSION: SessionId = SessionId(Uuid::from_u128(1));
const NOW: Timestamp = Timestamp(1_795_248_000_000);

/// A delivery with its journal, and what came out of it.
struct Bench {
    delivery: Delivery,
    journal: MemoryJournal,
    now: Mono,
    /// (from, through) of every message.
    sent: Vec<(u64, u64)>,
    out: Vec<DeliveryOutput>,
}

impl Bench {
    fn with(records: u64) -> Self {
        let mut bench = Self {
            delivery: Delivery::new(DeliveryConfig::default()),
            journal: MemoryJournal::new(epoch(1), JournalLimits::default()),
            now: 1_000_000,
            sent: Vec::new(),
            out: Vec::new(),
        };
        bench.append(records);
        bench
    }

    fn append(&mut self, records: u64) {
        let last = self.journal.last();
        let drafts: Vec<_> = (last + 1..=last + records).map(fault).collect();
        self.journal.append(&drafts, NOW).unwrap();
        self.input(DeliveryInput::Appended);
    }

    fn input(&mut self, input: DeliveryInput) {
        let mut queue = VecDeque::from([input]);
        while let Some(input) = queue.pop_front() {
            let mut out = Vec::new();
            self.delivery.step(Turn { now: self.now, random: 0 }, input, &self.journal, &mut out);
            for output in out {
                match output {
                    DeliveryOutput::Send { from, max_records, max_bytes } => {
                        let records = usize::try_from(max_records).unwrap();
                        let entries =
                            self.journal.read(from, ReadLimit { records, bytes: max_bytes }).unwrap();
                        let through = entries.last().unwrap().through;
                        self.sent.push((entries[0].seq, through));
                        queue.push_back(DeliveryInput::Sent { through, records: entries.len() as u64 });
                    }
                    DeliveryOutput::Acked { upto } => self.journal.ack(upto, NOW).unwrap(),
                    other => self.out.push(other),
                }
            }
        }
    }

    fn ack(&mut self, upto: u64) {
        let digest = self.journal.digest(upto);
        self.ack_with(epoch(1), upto, digest);
    }

    fn ack_with(&mut self, epoch: Epoch, upto: u64, digest: Option<Digest>) {
        self.input(DeliveryInput::Ack(Ack { epoch, upto, digest, server_time: NOW, rejected: Vec::new() }));
    }

    /// Lets time pass, waking the delivery whenever it asks.
    fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        let mut turns = 0;
        while let Some(at) = self.delivery.next_wake().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.input(DeliveryInput::Wake);
            turns += 1;
            assert!(turns < 10_000, "the delivery spins");
        }
        self.now = end;
    }
}

#[test]
fn nothing_goes_out_before_the_servers_word_or_ten_seconds() {
    let mut bench = Bench::with(3);
    bench.input(DeliveryInput::Connected(SESSION));
    bench.pass(9_999);
    assert!(bench.sent.is_empty());
    bench.pass(1);
    assert_eq!(bench.sent, [(1, 3)]);

    let mut bench = Bench::with(3);
    bench.input(DeliveryInput::Connected(SESSION));
    bench.ack(2);
    assert_eq!(bench.sent, [(3, 3)], "what the server has is not sent again");
}

#[test]
fn without_the_servers_word_one_message_asks_for_it_and_nothing_follows_it() {
    let mut bench = Bench::with(3);
    bench.input(DeliveryInput::Connected(SESSION));
    bench.pass(10_000);
    bench.append(2);
    bench.pass(5_000);
    assert_eq!(bench.sent, [(1, 3)]);
    bench.ack(3);
    assert_eq!(bench.sent, [(1, 3), (4, 5)]);
    bench.append(1);
    bench.pass(1_000);
    assert_eq!(bench.sent, [(1, 3), (4, 5), (6, 6)], "its word is known");
}

#[test]
fn a_new_record_goes_out_at_once() {
    let mut bench = Bench::with(1);
    bench.input(DeliveryInput::Connected(SESSION));
    bench.ack(1);
    bench.pass(60_000);
    bench.append(1);
    assert_eq!(bench.sent, [(2, 2)]);
}

#[test]
fn a_hundred_records_are_in_flight_at_most() {
    let mut bench = Bench::with(250);
    bench.input(DeliveryInput::Connected(SESSION));
    bench.ack(0);
    bench.pass(5_000);
    assert_eq!(bench.sent, [(1, 100)]);
    bench.ack(60);
    bench.pass(5_000);
    assert_eq!(bench.sent, [(1, 100)], "part of a message is still on its way");
    bench.ack(100);
    assert_eq!(bench.sent, [(1, 100), (101, 200)]);
}

#[test]
fn a_flush_is_paced() {
    let mut bench = Bench::with(1);
    bench.input(DeliveryInput::Connected(SESSION));
    bench.ack(0);
    for _ in 0..10 {
        bench.append(1);
    }
    assert_eq!(bench.sent, [(1, 1)]);
    bench.pass(250);
    assert_eq!(bench.sent, [(1, 1), (2, 11)]);
}

#[test]
fn silence_leads_to_a_resend_with_growing_patience() {
    let mut bench = Bench::with(2);
    bench.input(DeliveryInput::Connected(SESSION));
    bench.ack(0);
    bench.pass(14_999);
    assert_eq!(bench.sent.len(), 1);
    bench.pass(1);
    assert_eq!(bench.sent, [(1, 2), (1, 2)]);
    bench.pass(29_999);
    assert_eq!(bench.sent.len(), 2);
    bench.pass(1);
    assert_eq!(bench.sent.len(), 3);
}

#[test]
fn a_repeated_word_means_a_gap_and_leads_to_one_resend_a_second() {
    let mut bench = Bench::with(5);
    bench.input(DeliveryInput::Connected(SESSION));
    bench.ack(0);
    bench.pass(300);
    for _ in 0..10 {
        bench.ack(0);
    }
    bench.pass(999);
    assert_eq!(bench.sent, [(1, 5), (1, 5)]);
    bench.pass(1);
    assert_eq!(bench.sent.len(), 3);
    bench.ack(5);
    bench.pass(60_000);
    assert_eq!(bench.sent.len(), 3);
}

#[test]
fn a_restored_server_gets_again_what_it_had() {
    let mut bench = Bench::with(5);
    bench.input(DeliveryInput::Connected(SESSION));
    bench.ack(5);
    bench.pass(1_000);
    bench.input(DeliveryInput::Disconnected);
    bench.input(DeliveryInput::Connected(SESSION));
    bench.ack(2);
    assert_eq!(bench.sent, [(3, 5)]);
    assert_eq!(bench.journal.acked(), 2);
}

#[test]
fn a_restored_server_below_what_is_held_gets_the_rest() {
    let limits = JournalLimits { keep_acked_ms: 0, ..JournalLimits::default() };
    let mut bench = Bench::with(0);
    bench.journal = MemoryJournal::new(epoch(1), limits);
    bench.append(5);
    bench.journal.ack(3, NOW).unwrap();
    bench.journal.prune(NOW).unwrap();
    bench.input(DeliveryInput::Connected(SESSION));
    bench.ack_with(epoch(1), 0, None);
    assert_eq!(bench.sent, [(4, 5)]);
}

#[test]
fn an_impossible_number_is_never_obeyed() {
    let mut bench = Bench::with(5);
    bench.input(DeliveryInput::Connected(SESSION));
    bench.ack(2);
    bench.ack_with(epoch(1), 6, Some(Digest([1; 8])));
    assert_eq!(bench.journal.acked(), 2);
    assert_eq!(
        bench.out,
        [DeliveryOutput::StartNewEpoch { reason: NewEpochReason::UptoBeyondLast, resend_from: 3 }]
    );
    let before = bench.sent.len();
    bench.pass(20_000);
    assert_eq!(bench.sent.len(), before, "nothing more under the old numbers");
    bench.journal.start_epoch(epoch(2), &snapshot(Some(epoch(1))), 3).unwrap();
    bench.input(DeliveryInput::EpochStarted);
    assert_eq!(bench.sent.last(), Some(&(1, 4)));
}

#[test]
fn another_content_under_our_number_starts_a_new_epoch() {
    let mut bench = Bench::with(5);
    bench.input(DeliveryInput::Connected(SESSION));
    bench.ack_with(epoch(1), 3, Some(Digest([1; 8])));
    assert_eq!(
        bench.out,
        [DeliveryOutput::StartNewEpoch { reason: NewEpochReason::DigestDiffers, resend_from: 1 }]
    );
    assert_eq!(bench.journal.acked(), 0);
}

#[test]
fn words_about_another_journal_are_ignored() {
    let mut bench = Bench::with(5);
    bench.input(DeliveryInput::Connected(SESSION));
    bench.ack_with(epoch(9), 77, Some(Digest([1; 8])));
    assert_eq!(bench.out, [DeliveryOutput::Ignored(IgnoredAck::OtherEpoch)]);
    assert!(bench.sent.is_empty(), "still waiting for the server's word");
}

#[test]
fn rejected_numbers_are_told_and_used_up() {
    let mut bench = Bench::with(2);
    bench.input(DeliveryInput::Connected(SESSION));
    let rejected = vec![Rejected { seq: 1, reason: "bad".into() }];
    let digest = bench.journal.digest(1);
    bench.input(DeliveryInput::Ack(Ack {
        epoch: epoch(1),
        upto: 1,
        digest,
        server_time: NOW,
        rejected: rejected.clone(),
    }));
    assert_eq!(bench.out, [DeliveryOutput::Rejected(rejected)]);
    assert_eq!(bench.sent, [(2, 2)]);
}

#[test]
fn a_server_that_never_answers_makes_the_connection_suspect() {
    let mut bench = Bench::with(2);
    bench.input(DeliveryInput::Connected(SESSION));
    bench.pass(5 * 60 * 1000);
    assert_eq!(bench.out, [DeliveryOutput::Stalled]);
    bench.ack(2);
    bench.pass(60 * 60 * 1000);
    assert_eq!(bench.out.len(), 1, "an empty journal has nothing to wait for");
}

/// What the server keeps: the digests it applied, in order.
#[derive(Default)]
struct Server {
    upto: u64,
    digest: Option<Digest>,
    applied: Vec<u64>,
}

impl Server {
    fn receive(&mut self, first: u64, entries: &[crate::journal::Entry]) {
        if first > self.upto + 1 {
            self.upto = first - 1;
            self.digest = None;
        }
        for entry in entries {
            if entry.seq <= self.upto + 1 && self.upto < entry.through {
                self.upto = entry.through;
                self.digest = Some(Digest::of(entry.json.as_bytes()));
                self.applied.push(entry.through);
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Op {
    Append(u8),
    Pass(u16),
    /// Which of the messages on their way arrives; twice when the flag says so.
    Deliver(u8, bool),
    Lose(u8),
    Ack,
    Reconnect,
    ImpossibleAck,
    OldAck,
    /// The server comes back from an older backup.
    Restore(u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1..40u8).prop_map(Op::Append),
        3 => (0..20_000u16).prop_map(Op::Pass),
        6 => (any::<u8>(), any::<bool>()).prop_map(|(n, twice)| Op::Deliver(n, twice)),
        3 => any::<u8>().prop_map(Op::Lose),
        6 => Just(Op::Ack),
        1 => Just(Op::Reconnect),
        1 => Just(Op::ImpossibleAck),
        1 => Just(Op::OldAck),
        1 => any::<u8>().prop_map(Op::Restore),
    ]
}

/// One agent, one server and a line between them that loses, repeats and reorders.
struct World {
    bench: Bench,
    server: Server,
    /// (first, from, through)
    line: Vec<(u64, u64, u64)>,
    seen: usize,
}

impl World {
    fn new() -> Self {
        let limits = JournalLimits { cap_bytes: 60_000, ..JournalLimits::default() };
        let mut bench = Bench::with(0);
        bench.journal = MemoryJournal::new(epoch(1), limits);
        bench.input(DeliveryInput::Connected(SESSION));
        Self { bench, server: Server::default(), line: Vec::new(), seen: 0 }
    }

    fn collect(&mut self) {
        for (from, through) in &self.bench.sent[self.seen..] {
            self.line.push((self.bench.journal.first(), *from, *through));
        }
        self.seen = self.bench.sent.len();
    }

    fn deliver(&mut self, (first, from, through): (u64, u64, u64)) {
        let limit = ReadLimit { records: 100, bytes: usize::MAX };
        let entries: Vec<_> = self
            .bench
            .journal
            .read(from, limit)
            .unwrap()
            .into_iter()
            .filter(|e| e.seq >= from && e.through <= through)
            .collect();
        self.server.receive(first, &entries);
    }

    fn answer(&mut self) {
        let (upto, digest) = (self.server.upto, self.server.digest);
        self.bench.ack_with(epoch(1), upto, digest);
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Append(n) => {
                let last = self.bench.journal.last();
                let drafts: Vec<_> = (last + 1..=last + u64::from(*n))
                    .map(|n| if n % 3 == 0 { fault(n) } else { transaction(n) })
                    .collect();
                self.bench.journal.append(&drafts, NOW).unwrap();
                self.bench.input(DeliveryInput::Appended);
            }
            Op::Pass(ms) => self.bench.pass(u64::from(*ms)),
            Op::Deliver(n, twice) => {
                if !self.line.is_empty() {
                    let at = usize::from(*n) % self.line.len();
                    let message = if *twice { self.line[at] } else { self.line.remove(at) };
                    self.deliver(message);
                }
            }
            Op::Lose(n) => {
                if !self.line.is_empty() {
                    self.line.remove(usize::from(*n) % self.line.len());
                }
            }
            Op::Ack => self.answer(),
            Op::Reconnect => {
                self.bench.input(DeliveryInput::Disconnected);
                self.bench.pass(1_000);
                self.bench.input(DeliveryInput::Connected(SESSION));
            }
            Op::ImpossibleAck => {
                let acked = self.bench.journal.acked();
                let beyond = self.bench.journal.last() + 7;
                self.bench.ack_with(epoch(1), beyond, None);
                assert_eq!(self.bench.journal.acked(), acked);
                // The test goes on in the same journal: the shell would have begun a new epoch.
                self.bench.delivery.epoch_wanted = false;
            }
            Op::OldAck => self.bench.ack_with(epoch(8), 3, None),
            Op::Restore(n) => {
                let upto = self.server.upto * u64::from(*n) / 255;
                // The backup was made between two records the journal may still tell apart, or not.
                let digest = self.bench.journal.digest(upto);
                self.server = Server { upto, digest, applied: Vec::new() };
                self.answer();
            }
        }
        self.collect();
    }
}

#[test]
fn a_server_restored_to_before_our_oldest_record_is_told_the_whole_state_once() {
    let mut bench = Bench::with(10);
    bench.input(DeliveryInput::Connected(SESSION));
    bench.ack(0);
    bench.ack(10);
    bench.append(2);
    bench.journal.prune(NOW.plus_ms(JournalLimits::default().keep_acked_ms)).unwrap();
    assert_eq!(bench.journal.first(), 11);
    bench.ack_with(epoch(1), 4, None);
    assert_eq!(bench.out, [DeliveryOutput::SnapshotWanted]);
    bench.ack_with(epoch(1), 4, None);
    assert_eq!(bench.out.len(), 1, "its word has not changed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_bad_line_delays_but_never_skips_and_never_sticks(ops in prop::collection::vec(op(), 1..120)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
            prop_assert!(world.bench.journal.acked() <= world.server.upto, "acknowledged what no server has");
            let forked = |o: &DeliveryOutput| {
                matches!(o, DeliveryOutput::StartNewEpoch { reason: NewEpochReason::DigestDiffers, .. })
            };
            prop_assert!(!world.bench.out.iter().any(forked), "what was in flight has changed");
            let room: u64 = world.bench.delivery.flights.iter().map(|f| f.records).sum();
            prop_assert!(room <= 100);
        }
        // The line heals: everything arrives in the end.
        for _ in 0..200 {
            if world.bench.journal.acked() == world.bench.journal.last() {
                break;
            }
            world.bench.pass(20_000);
            world.collect();
            for message in std::mem::take(&mut world.line) {
                world.deliver(message);
                world.answer();
                world.collect();
            }
        }
        prop_assert_eq!(world.bench.journal.acked(), world.bench.journal.last(), "the journal never drained");
        let rising = world.server.applied.windows(2).all(|w| w[0] < w[1]);
        prop_assert!(rising);
    }
}
