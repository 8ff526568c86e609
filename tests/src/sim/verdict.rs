//! What must be true when everything has healed and time has passed.
use std::collections::{BTreeMap, BTreeSet};

use kioskwatch_agent_core::journal::JournalView as _;
use kioskwatch_domain::change::{EvidenceSource, IncidentRow, JournalGapRow, PresenceVerdict};
use kioskwatch_proto::{Epoch, KioskId, faults::codes, journal::FaultState};

use super::{
    kiosk::Machine,
    ledger::{fault_of, tells_service},
    story::clock,
    world::World,
};

/// Problems of which the agents know nothing.
const OURS: &[&str] =
    &[codes::KIOSK_OFFLINE, codes::SITE_OFFLINE, codes::JOURNAL_FORK, codes::ACCEPTOR_NOT_OURS];

impl World<'_> {
    pub(super) fn final_checks(&mut self) {
        let mut problems = Vec::new();
        self.excused = self.every_record(&mut problems);
        self.every_number(&mut problems);
        let (mut compared_s, mut compared_episodes) = (0, 0);
        for machine in &self.machines[..self.story.kiosks] {
            self.same_state(machine, &mut problems);
            compared_episodes += self.episodes(machine, &mut problems);
            compared_s += self.uptime(machine, &mut problems);
        }
        self.resolved = self.tickets(&mut problems);
        self.problems.extend(problems);
        (self.compared_s, self.compared_episodes) = (compared_s, compared_episodes);
    }

    /// Each committed record is applied once, or its absence has a name. How many are missing without one, and may.
    fn every_record(&self, problems: &mut Vec<String>) -> u64 {
        let store = &self.server.disk.store;
        let mut excused = 0;
        for (index, kept) in self.ledger.kept.iter().enumerate() {
            let times = self.server.disk.applied.get(&index).copied().unwrap_or(0);
            if times == 1 || kept.gone.is_some() {
                continue;
            }
            // Acknowledged in an epoch that was given up since, and then the server forgot it: two failures of
            // which each destroys the other's remedy. See README.md.
            let epoch = self.machines[kept.machine].disk.journal.epoch();
            let may_be_lost = self.store_restored && kept.places.iter().all(|place| place.0 != epoch);
            let id = &self.machines[kept.kiosk].id;
            let named = store.gaps.iter().any(|gap| {
                gap.kiosk == *id
                    && kept.places.iter().any(|&(epoch, seq)| {
                        gap.epoch == epoch && (gap.from_seq..=gap.through_seq).contains(&seq)
                    })
            });
            if named {
                continue;
            }
            if !may_be_lost || times > 1 {
                let at = clock(kept.at_ms);
                let problem = if times == 0 { "lost without a word" } else { "applied twice" };
                problems.push(format!("{id}: {problem} (committed at {at}): {}", kept.json));
                return excused;
            }
            excused += 1;
        }
        excused
    }

    /// Numbers of a journal follow each other; what is missing is a gap with a name.
    fn every_number(&self, problems: &mut Vec<String>) {
        let store = &self.server.disk.store;
        let mut spans: BTreeMap<(&KioskId, Epoch), Vec<(u64, u64)>> = BTreeMap::new();
        for row in store.records.values().filter(|row| row.kind != "dropped") {
            spans.entry((&row.kiosk, row.epoch)).or_default().push((row.seq, row.seq));
        }
        for gap in &store.gaps {
            let span = (gap.from_seq, gap.through_seq);
            spans.entry((&gap.kiosk, gap.epoch)).or_default().push(span);
        }
        for ((kiosk, epoch), mut list) in spans {
            list.sort_unstable();
            let mut next = 1;
            for (from, through) in list {
                if from != next {
                    problems.push(format!("{kiosk}, epoch {epoch}: after {} comes {from}", next - 1));
                    return;
                }
                next = through + 1;
            }
            let upto = store.heads.get(&(kiosk.clone(), epoch)).map_or(0, |head| head.upto);
            if upto + 1 != next {
                problems.push(format!("{kiosk}, epoch {epoch}: head at {upto}, rows to {}", next - 1));
            }
        }
    }

    /// The server believes of a kiosk what its agent believes, also when that is the survivor of a copied disk.
    fn same_state(&self, machine: &Machine, problems: &mut Vec<String>) {
        let id = &machine.id;
        let journal = &machine.disk.journal;
        let (Some(agent), Some(fleet)) = (&machine.agent, &self.server.fleet) else {
            return problems.push(format!("{id}: nobody is there at the end"));
        };
        if journal.acked() != journal.last() {
            let (acked, last) = (journal.acked(), journal.last());
            return problems.push(format!("{id}: the journal does not drain: {acked} of {last}"));
        }
        let Some(view) = fleet.kiosk(id) else {
            return problems.push(format!("{id}: the server does not know it"));
        };
        if view.presence != PresenceVerdict::Online {
            problems.push(format!("{id}: {} at the end", view.presence.as_str()));
        }
        let truth = agent.engine.snapshot(None);
        if view.service != Some(truth.service) {
            problems.push(format!("{id}: in {:?}, the server says {:?}", truth.service, view.service));
        }
        let ours: BTreeSet<_> = truth
            .peripherals
            .iter()
            .flat_map(|(name, state)| state.faults.iter().map(move |fault| format!("{name}/{fault}")))
            .collect();
        let theirs: BTreeSet<_> = view
            .peripherals
            .iter()
            .flat_map(|(name, state)| state.faults.iter().map(move |fault| format!("{name}/{fault}")))
            .collect();
        if ours != theirs {
            problems.push(format!("{id}: has {ours:?}, the server shows {theirs:?}"));
        }
        let open = |row: &&IncidentRow| row.kiosk.as_ref() == Some(id) && row.closed_at.is_none();
        let incidents: BTreeSet<_> = self
            .server
            .disk
            .store
            .incidents
            .values()
            .filter(open)
            .filter(|row| !OURS.contains(&row.fault.as_str()))
            .map(|row| {
                let peripheral = row.peripheral.as_ref().map_or("host", |name| name.as_str());
                format!("{peripheral}/{}", row.fault)
            })
            .collect();
        if ours != incidents {
            problems.push(format!("{id}: has {ours:?}, open incidents are {incidents:?}"));
        }
    }

    /// What the evidence says of a kiosk is what it was; for how many seconds that was compared.
    fn uptime(&self, machine: &Machine, problems: &mut Vec<String>) -> i64 {
        let store = &self.server.disk.store;
        let unknown = self.unknown(machine);
        let all = store.evidence();
        let rows: Vec<_> = all.iter().filter(|row| row.kiosk == machine.id).collect();
        let journal: Vec<_> =
            rows.iter().copied().filter(|row| row.source == EvidenceSource::Journal).collect();
        let mut compared_s = 0;
        for (what, rows) in [("the journal alone, ", &journal), ("", &rows)] {
            match machine.truth.compare(rows, &unknown, self.marked_at) {
                Ok(seconds) => compared_s = seconds,
                Err(difference) => {
                    problems.push(format!("{}: {what}{difference}", machine.id));
                    return 0;
                }
            }
        }
        compared_s
    }

    /// Stretches of which the records are gone: from the last one before to the one after that says how the kiosk is.
    fn unknown(&self, machine: &Machine) -> Vec<(i64, i64)> {
        let gaps = self.server.disk.store.gaps.iter().filter(|gap| gap.kiosk == machine.id);
        let stretch = |gap: &JournalGapRow| {
            let written = |seq| self.ledger.at(machine.number, gap.epoch, seq);
            let from = written(gap.from_seq - 1).map_or(0, |kept| kept.at_ms);
            let mut after = (gap.through_seq + 1..).map_while(written);
            let to = after.find(|kept| tells_service(&kept.json)).map_or(self.marked_at, |kept| kept.at_ms);
            (from, to)
        };
        gaps.map(stretch).collect()
    }

    fn has_gaps(&self, machine: &Machine) -> bool {
        self.server.disk.store.gaps.iter().any(|gap| gap.kiosk == machine.id)
    }

    /// Each time a fault was raised is one incident, however short it was: counted by the records, of which the ledger
    /// knows that they are true. How many were compared.
    fn episodes(&self, machine: &Machine, problems: &mut Vec<String>) -> u64 {
        let store = &self.server.disk.store;
        let records: Vec<_> = store.records.values().filter(|row| row.kiosk == machine.id).collect();
        let epochs: BTreeSet<Epoch> = records.iter().map(|row| row.epoch).collect();
        // Where a journal was given up, copied or cut, the order in which its parts are told is not that of what was.
        if self.has_gaps(machine) || self.store_restored || epochs.len() != 1 {
            return 0;
        }
        let mut raised = BTreeSet::new();
        let mut expected: BTreeMap<String, u32> = BTreeMap::new();
        for row in records {
            let Some(fault) = fault_of(&row.raw) else { continue };
            let what = format!("{}/{}", fault.peripheral, fault.fault);
            match fault.state {
                FaultState::Raised if raised.insert(what.clone()) => *expected.entry(what).or_default() += 1,
                FaultState::Raised => {}
                FaultState::Cleared => drop(raised.remove(&what)),
            }
        }
        let mut found: BTreeMap<String, u32> = BTreeMap::new();
        let of_agent = |row: &&IncidentRow| {
            row.kiosk.as_ref() == Some(&machine.id) && !OURS.contains(&row.fault.as_str())
        };
        for row in store.incidents.values().filter(of_agent) {
            let peripheral = row.peripheral.as_ref().map_or("host", |name| name.as_str());
            *found.entry(format!("{peripheral}/{}", row.fault)).or_default() += 1;
        }
        if expected != found {
            let id = &machine.id;
            problems.push(format!("{id}: raised {expected:?}, incidents are {found:?}"));
        }
        expected.values().map(|&times| u64::from(times)).sum()
    }
}
