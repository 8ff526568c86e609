//! Random histories: messages lost, doubled and reordered, commits that fail, restarts at any point.
use std::collections::{BTreeMap, BTreeSet};

use kioskwatch_proto::{
    Epoch, KioskId,
    journal::{Body, Dropped, FaultState},
    presence::PresenceState,
    words::ServiceState,
};
use proptest::prelude::*;

use crate::{
    change::{RecordOutcome, TicketState},
    fleet::{Actor, Committed, Fleet, Input, Request, TicketAction},
    image::FleetImage,
    testing::{MemoryStore, ScriptedAgent, World},
};

/// What may happen next; small numbers choose kiosks, faults and messages.
#[derive(Debug, Clone)]
enum Op {
    Pass(u32),
    Beat(usize),
    Connect(usize),
    Will(usize),
    Fault {
        kiosk: usize,
        fault: usize,
        raised: bool,
    },
    Service(usize, usize),
    Reboot(usize),
    Snapshot(usize),
    LoseJournal(usize),
    Evict(usize),
    /// Puts the whole unacknowledged journal on the wire.
    Send(usize),
    /// Delivers one of the messages on the wire, which may be old.
    Deliver(usize),
    Lose(usize),
    FailCommit,
    DropPlan,
    BrokerDown,
    BrokerUp,
    Restart,
    Flush,
    Cancel(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let kiosk = 0..KIOSKS;
    prop_oneof![
        6 => prop_oneof![Just(1_u32), Just(31), Just(100), Just(2_000), Just(90_000)].prop_map(Op::Pass),
        4 => kiosk.clone().prop_map(Op::Beat),
        1 => kiosk.clone().prop_map(Op::Connect),
        1 => kiosk.clone().prop_map(Op::Will),
        6 => (kiosk.clone(), 0..FAULTS.len(), any::<bool>())
            .prop_map(|(kiosk, fault, raised)| Op::Fault { kiosk, fault, raised }),
        2 => (kiosk.clone(), 0..4_usize).prop_map(|(kiosk, state)| Op::Service(kiosk, state)),
        1 => kiosk.clone().prop_map(Op::Reboot),
        1 => kiosk.clone().prop_map(Op::Snapshot),
        1 => kiosk.clone().prop_map(Op::LoseJournal),
        1 => kiosk.clone().prop_map(Op::Evict),
        6 => kiosk.prop_map(Op::Send),
        8 => (0..8_usize).prop_map(Op::Deliver),
        2 => (0..8_usize).prop_map(Op::Lose),
        1 => Just(Op::FailCommit),
        1 => Just(Op::DropPlan),
        1 => Just(Op::BrokerDown),
        2 => Just(Op::BrokerUp),
        1 => Just(Op::Restart),
        1 => Just(Op::Flush),
        1 => (0..4_usize).prop_map(Op::Cancel),
    ]
}

const KIOSKS: usize = 3;
const FAULTS: [(&str, &str); 4] =
    [("printer", "paper_out"), ("printer", "cutter_error"), ("acceptor", "note_jam"), ("host", "disk_full")];

struct Story {
    world: World,
    agents: Vec<ScriptedAgent>,
    wire: Vec<Input>,
    states: BTreeMap<uuid::Uuid, TicketState>,
}

impl Story {
    fn new() -> Self {
        let mut world = World::new();
        let site = world.site("S", "");
        let agents = (0..KIOSKS).map(|i| world.kiosk(&format!("K-{i}"), Some(&site))).collect();
        Self { world, agents, wire: Vec::new(), states: BTreeMap::new() }
    }

    /// Plan and commit; a failed commit is a plan that never was.
    fn tell(&mut self, inputs: &[Input]) -> Committed {
        let world = &mut self.world;
        let plan = world.fleet.plan(world.now, inputs, &mut world.ids);
        match world.store.commit(&plan.changes) {
            Ok(()) => world.fleet.adopt(plan).unwrap(),
            Err(crate::testing::CommitError::OnPurpose) => Committed::default(),
            Err(broken) => panic!("{broken}"),
        }
    }

    fn run(&mut self, op: &Op) {
        let now = self.world.now;
        match op {
            Op::Pass(seconds) => {
                self.world.now = now.plus_ms(i64::from(*seconds) * 1_000);
                self.tell(&[Input::Sweep]);
            }
            Op::Beat(i) => {
                let agent = &mut self.agents[*i];
                let beat = agent.heartbeat(now);
                if self.world.fleet.heard(now, &agent.id, &beat).durable {
                    let kiosk = agent.id.clone();
                    self.tell(&[Input::Heartbeat { kiosk, received_at: now, message: Box::new(beat) }]);
                }
            }
            Op::Connect(i) => {
                let online = self.agents[*i].connect(now);
                self.tell(&[online]);
            }
            Op::Will(i) => {
                let will = self.agents[*i].presence(now, PresenceState::Offline);
                self.tell(&[will]);
            }
            Op::Fault { kiosk, fault, raised } => {
                let (peripheral, code) = FAULTS[*fault];
                let state = if *raised { FaultState::Raised } else { FaultState::Cleared };
                self.agents[*kiosk].fault(now, peripheral, code, state);
            }
            Op::Service(i, state) => drop(self.agents[*i].service(now, ServiceState::ALL[*state])),
            Op::Reboot(i) => drop(self.agents[*i].reboot(now, now.plus_ms(-20_000))),
            Op::Snapshot(i) => drop(self.agents[*i].snapshot(now, &[FAULTS[0]])),
            Op::LoseJournal(i) => self.agents[*i].lose_journal(now),
            Op::Evict(i) => self.evict(*i),
            Op::Send(i) => self.wire.push(self.agents[*i].batch(now)),
            Op::Deliver(at) => self.deliver(*at),
            Op::Lose(at) if *at < self.wire.len() => drop(self.wire.remove(*at)),
            Op::FailCommit => self.world.store.fail_next(1),
            Op::DropPlan => {
                let inputs = [self.agents[0].batch(now), Input::Sweep, Input::FLUSH_ALL];
                drop(self.world.fleet.plan(now, &inputs, &mut self.world.ids));
            }
            Op::BrokerDown => drop(self.tell(&[Input::BrokerDown { since: now }])),
            Op::BrokerUp => drop(self.tell(&[Input::BrokerUp])),
            Op::Restart => self.restart(),
            Op::Flush => drop(self.tell(&[Input::FLUSH_ALL])),
            Op::Cancel(at) => self.cancel(*at),
            Op::Lose(_) => {}
        }
    }

    fn deliver(&mut self, at: usize) {
        let Some(message) = self.wire.get(at).cloned() else { return };
        let done = self.tell(&[message]);
        for (kiosk, ack) in &done.acks {
            for agent in self.agents.iter_mut().filter(|agent| agent.id == *kiosk) {
                agent.acknowledged(ack.epoch, ack.upto);
            }
        }
    }

    /// The size cap takes the older half of what is not acknowledged.
    fn evict(&mut self, i: usize) {
        let agent = &mut self.agents[i];
        let half = agent.journal.len() / 2;
        if half < 2 {
            return;
        }
        let (seq, through) = (agent.journal[0].0, agent.journal[half - 1].0);
        let newest = agent.last_seq;
        agent.last_seq = seq - 1;
        agent.record(self.world.now, Body::Dropped(Dropped { through, counts: BTreeMap::new() }));
        let stands_for = agent.journal.pop().unwrap();
        agent.journal.splice(..half, [stands_for]);
        agent.last_seq = newest;
    }

    fn cancel(&mut self, at: usize) {
        let open: Vec<_> =
            self.world.store.tickets.values().filter(|t| t.state.is_open()).map(|t| t.id).collect();
        let Some(&ticket) = open.get(at) else { return };
        let action = TicketAction::Cancel { ground: "customer_fixed".into(), reason: "told".into() };
        let actor = Actor { name: "li".into() };
        self.tell(&[Input::Request { actor, request: Request::Ticket { ticket, action } }]);
    }

    fn restart(&mut self) {
        self.world.store.fail_next(0);
        self.check_rebuild();
        self.world.restart();
    }

    /// A fleet rebuilt from the store, at once or kiosk by kiosk, is the fleet.
    fn check_rebuild(&self) {
        let policy = std::sync::Arc::new(self.world.fleet.policy().clone());
        let twin = Fleet::from_image(policy.clone(), self.world.store.image());
        assert_eq!(self.world.fleet.difference(&twin), None);
        let mut by_parts = Fleet::empty(policy);
        parts(self.world.store.image()).into_iter().for_each(|part| by_parts.load(part));
        assert_eq!(self.world.fleet.difference(&by_parts), None);
    }

    fn check(&mut self) {
        let store = &self.world.store;
        every_number_is_accounted_for(store);
        for (id, row) in &store.tickets {
            if let Some(before) = self.states.insert(*id, row.state) {
                assert!(legal(before, row.state), "{before:?} → {:?}", row.state);
            }
        }
        for row in store.incidents.values() {
            assert!(row.closed_at.is_none_or(|at| at >= row.opened_at), "{row:?}");
            assert!(!row.triage_reason.is_empty(), "{row:?}");
        }
        every_decision_is_carried_out(store);
        for row in store.evidence().into_iter() {
            assert!(row.from < row.to && row.to <= self.world.now.plus_ms(30_000), "{row:?}");
        }
    }
}

/// What rules may do to a ticket between two looks.
fn legal(from: TicketState, to: TicketState) -> bool {
    use TicketState::{Cancelled, Closed, PendingBatch, Resolved, Triaged};
    from == to
        || matches!(
            (from, to),
            (Triaged, PendingBatch | Resolved | Closed | Cancelled)
                | (PendingBatch, Resolved | Closed | Cancelled)
                | (Resolved, Closed | Triaged)
                | (Closed, Triaged)
        )
}

/// No record twice, none skipped without a gap row: applied numbers and gaps tile `1 … upto`.
fn every_number_is_accounted_for(store: &MemoryStore) {
    for head in store.heads.values() {
        let key = |seq| (head.kiosk.clone(), head.epoch, seq);
        let used: BTreeSet<u64> =
            store.records.range(key(0)..=key(u64::MAX)).map(|((_, _, seq), _)| *seq).collect();
        let in_gap = |kiosk: &KioskId, epoch: Epoch, seq: u64| {
            store.gaps.iter().any(|gap| {
                gap.kiosk == *kiosk && gap.epoch == epoch && (gap.from_seq..=gap.through_seq).contains(&seq)
            })
        };
        for seq in 1..=head.upto {
            assert!(used.contains(&seq) || in_gap(&head.kiosk, head.epoch, seq), "{seq} of {head:?}");
        }
        assert!(used.last().is_none_or(|&last| last <= head.upto), "{head:?}");
    }
    assert!(store.records.values().all(|row| row.outcome != RecordOutcome::Quarantined));
}

/// Whatever needs people has the ticket that triage speaks of, and each ticket was opened for one problem.
fn every_decision_is_carried_out(store: &MemoryStore) {
    let mut opened: BTreeMap<uuid::Uuid, u32> = store.tickets.keys().map(|&id| (id, 0)).collect();
    for row in store.incidents.values() {
        match (row.triage.as_str(), row.ticket.and_then(|ticket| store.tickets.get(&ticket))) {
            ("ticket opened", Some(ticket)) if ticket.fault == row.fault => {
                *opened.entry(ticket.id).or_default() += 1;
            }
            ("gathered" | "reopened", Some(ticket)) if ticket.peripheral == row.peripheral => {}
            ("attached" | "held" | "suppressed", None) if row.ticket.is_none() => {}
            (_, ticket) => panic!("{row:?}, {ticket:?}"),
        }
    }
    assert!(opened.values().all(|&problems| problems == 1), "{opened:?}");
}

/// Long after everything healed, tickets are open for problems that are, and for no others.
fn open_tickets_are_open_problems(story: &mut Story) {
    let hold = story.world.fleet.policy().tickets.recover_hold_ms;
    let resting: BTreeSet<_> = story.world.store.incidents.keys().copied().collect();
    for _ in 0..3 {
        story.world.now = story.world.now.plus_ms(hold);
        for agent in &mut story.agents {
            let (now, beat) = (story.world.now, agent.heartbeat(story.world.now));
            if story.world.fleet.heard(now, &agent.id, &beat).durable {
                let input =
                    Input::Heartbeat { kiosk: agent.id.clone(), received_at: now, message: Box::new(beat) };
                story.world.tell(&[input]);
            }
        }
        story.tell(&[Input::Sweep]);
    }
    let store = &story.world.store;
    for ticket in store.tickets.values() {
        let mut bound = store.incidents.values().filter(|row| row.ticket == Some(ticket.id));
        let is_fresh = bound.clone().any(|row| !resting.contains(&row.id));
        let is_a_problem = bound.any(|row| row.closed_at.is_none());
        let service = ticket.kiosk.as_ref().and_then(|kiosk| store.states.get(kiosk)?.service);
        let serves = !matches!(service, Some(ServiceState::OutOfService | ServiceState::Supervised));
        let is_worked_on = ticket.state.is_open() && ticket.state != TicketState::Resolved;
        match ticket.state {
            TicketState::Cancelled => {}
            _ if is_a_problem => assert!(is_worked_on, "{ticket:?}"),
            _ => assert!(!is_worked_on || !serves || is_fresh, "{ticket:?}"),
        }
    }
}

/// Everything heals: all journals are sent until nothing is left.
fn drain(story: &mut Story) {
    story.wire.clear();
    story.tell(&[Input::BrokerUp]);
    story.tell(&[Input::BrokerUp]);
    for i in 0..KIOSKS {
        let now = story.world.now;
        for _ in 0..2 {
            story.wire.push(story.agents[i].batch(now));
            story.deliver(0);
            story.wire.clear();
        }
        assert!(story.agents[i].journal.is_empty(), "the journal drains");
        let seen = story.world.fleet.journal(&story.agents[i].id, story.agents[i].epoch);
        assert!(
            story.agents[i].last_seq == 0 || seen.is_some_and(|(upto, _)| upto == story.agents[i].last_seq)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_history_keeps_every_promise(ops in prop::collection::vec(op(), 1..120)) {
        let mut story = Story::new();
        for op in &ops {
            story.run(op);
            story.check();
        }
        story.world.store.fail_next(0);
        story.check_rebuild();
        drain(&mut story);
        story.check();
        open_tickets_are_open_problems(&mut story);
        story.check();
    }

    #[test]
    fn a_crash_after_any_prefix_converges_to_the_same_figures(
        ops in prop::collection::vec(op(), 1..60),
        crash_at in 0..60_usize,
    ) {
        let faults_of = |crash: bool| {
            let mut story = Story::new();
            for (n, op) in ops.iter().enumerate() {
                let calm = matches!(op, Op::FailCommit | Op::Restart | Op::Cancel(_));
                if crash && n == crash_at {
                    story.restart();
                }
                if !calm {
                    story.run(op);
                }
            }
            drain(&mut story);
            let store = &story.world.store;
            let mut open: Vec<_> = store
                .incidents
                .values()
                .filter(|row| row.closed_at.is_none() && !crate::incident::is_ours(&row.fault))
                .map(|row| row.fingerprint.clone())
                .collect();
            open.sort();
            let records: Vec<_> = store.records.keys().cloned().collect();
            let services: Vec<_> = store.states.values().map(|row| row.service).collect();
            (open, records, services)
        };
        prop_assert_eq!(faults_of(false), faults_of(true));
    }
}

#[test]
fn a_plan_without_adoption_changes_nothing() {
    let mut story = Story::new();
    story.agents[0].fault(story.world.now, "printer", "paper_out", FaultState::Raised);
    let inputs =
        [story.agents[0].batch(story.world.now), Input::BrokerDown { since: story.world.now }, Input::Sweep];
    let before = format!("{:?}", story.world.fleet);
    drop(story.world.fleet.plan(story.world.now, &inputs, &mut story.world.ids));
    assert_eq!(format!("{:?}", story.world.fleet), before);
}

#[test]
fn a_quiet_kiosk_takes_less_than_one_kibibyte() {
    use crate::fleet::kiosk::{Head, Kiosk, Liveness};
    let parts = [size_of::<Kiosk>(), size_of::<Liveness>(), size_of::<Head>()];
    // One head with eight remembered contents, two boot clocks, the id and its two index entries.
    let heap = 8 * 16 + 2 * 24 + 24 + 2 * 40;
    assert!(parts.iter().sum::<usize>() + heap < 1_024, "{parts:?} + {heap}");
}

#[test]
fn nobody_has_room_for_what_few_have() {
    use crate::fleet::kiosk::{Kiosk, Liveness};
    let parts = [size_of::<Kiosk>(), size_of::<Liveness>()];
    assert!(
        parts[0] <= 336 && parts[1] <= 160,
        "{parts:?}: a megabyte for every ten bytes of 100,000 kiosks"
    );
}

/// Sites, each kiosk alone with what is its own, and the rest.
fn parts(mut image: FleetImage) -> Vec<FleetImage> {
    let mut parts = vec![FleetImage { sites: std::mem::take(&mut image.sites), ..FleetImage::default() }];
    for kiosk in std::mem::take(&mut image.kiosks) {
        let id = kiosk.id.clone();
        parts.push(FleetImage {
            kiosks: vec![kiosk],
            assignments: image.assignments.extract_if(.., |row| row.kiosk == id).collect(),
            states: image.states.extract_if(.., |row| row.kiosk == id).collect(),
            heads: image.heads.extract_if(.., |row| row.kiosk == id).collect(),
            ..FleetImage::default()
        });
    }
    parts.push(image);
    parts
}
