//! The overlay a plan writes into: copies of what it touches, and the rows it makes.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use kioskwatch_proto::{CommandId, Epoch, KioskId, SiteId, Timestamp, journal::Ack};
use uuid::Uuid;

use super::{
    Fleet, Ix, Server,
    count::{Count, SecurityEvent},
    kiosk::{Head, Kiosk, Liveness},
    live::LiveEdit,
    plan::{Answer, Committed, Effect, Notice, NoticeKind, Plan, Refusal},
    site::Site,
    sweep::{Aside, Look},
    ticket_file::TicketFile,
    untold::Untold,
};
use crate::{
    change::{
        AuditRow, Change, CommandRow, EvidenceRow, IncidentRow, TicketEventRow, TicketState, TransitionRow,
    },
    ids::Ids,
    journal::Identity,
    policy::Policy,
    ticket::Step,
};

/// What a plan would change in the fleet.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    pub(super) generation: u64,
    pub(super) kiosks: BTreeMap<Ix, Kiosk>,
    pub(super) ids: HashMap<KioskId, Ix>,
    /// How a touched kiosk's liveness would look; the truth is made by replaying `edits`.
    pub(super) live: BTreeMap<Ix, Liveness>,
    pub(super) edits: Vec<(Ix, LiveEdit)>,
    pub(super) rearm: BTreeMap<Ix, Option<Timestamp>>,
    pub(super) sites: BTreeMap<SiteId, Site>,
    pub(super) incidents: BTreeMap<Uuid, IncidentRow>,
    pub(super) tickets: BTreeMap<Uuid, TicketFile>,
    pub(super) forgotten_tickets: BTreeSet<Uuid>,
    pub(super) commands: BTreeMap<CommandId, CommandRow>,
    pub(super) forgotten_commands: BTreeSet<CommandId>,
    pub(super) server: Option<Server>,
    /// `None`: the record is no longer suspect.
    pub(super) failures: BTreeMap<(Ix, Epoch, u64), Option<u8>>,
    /// `None`: it does not fail any more.
    pub(super) set_aside: BTreeMap<Look, Option<Aside>>,
    /// `None`: an interval without any is over.
    pub(super) untold: BTreeMap<Ix, Option<Untold>>,
    pub(super) last_number: Option<u64>,
    /// Unknown ids that were put into quarantine.
    pub(super) met: usize,
    pub(super) progress: BTreeMap<CommandId, u16>,
}

/// A plan in the making.
pub(super) struct Draft<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) policy: &'a Policy,
    pub(super) now: Timestamp,
    pub(super) ids: &'a mut Ids,
    pub(super) over: Overlay,
    /// Journals that memory had forgotten, as they are stored.
    pub(super) recalled: Vec<(Ix, Head)>,
    /// Journals of which nobody can tell how far they are applied.
    pub(super) unreadable: BTreeSet<(Ix, Epoch)>,
    /// Journals of which a record of this plan has other content than what is applied.
    pub(super) forked: BTreeSet<(Ix, Epoch)>,
    /// Records of this plan: what the store was asked for before it does not know them. `None`: no record of this
    /// plan had another number before.
    pub(super) kept: Option<HashMap<(Ix, Epoch, u64), Identity>>,
    /// Rows that are only inserted, in order.
    pub(super) rows: Vec<Change>,
    pub(super) evidence: Vec<EvidenceRow>,
    last_evidence: HashMap<Ix, usize>,
    pub(super) inventories: BTreeMap<Ix, std::sync::Arc<str>>,
    pub(super) acks: BTreeMap<(Ix, Epoch), Ack>,
    pub(super) effects: Vec<Effect>,
    pub(super) replies: Vec<(usize, Result<Answer, Refusal>)>,
    pub(super) counts: BTreeMap<Count, u64>,
    /// Those whose verdict one row for all of them takes back.
    pub(super) forgotten: BTreeSet<Ix>,
    /// Sites whose outage must be judged again at the end of the input.
    pub(super) sites_to_judge: BTreeSet<SiteId>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(fleet: &'a Fleet, now: Timestamp, ids: &'a mut Ids) -> Self {
        Self {
            fleet,
            policy: &fleet.policy,
            now,
            ids,
            over: Overlay { generation: fleet.generation, ..Overlay::default() },
            recalled: Vec::new(),
            unreadable: BTreeSet::new(),
            forked: BTreeSet::new(),
            kept: None,
            rows: Vec::new(),
            evidence: Vec::new(),
            last_evidence: HashMap::new(),
            inventories: BTreeMap::new(),
            acks: BTreeMap::new(),
            effects: Vec::new(),
            replies: Vec::new(),
            counts: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            sites_to_judge: BTreeSet::new(),
        }
    }

    pub(super) fn find(&self, id: &KioskId) -> Option<Ix> {
        self.fleet.place(id).or_else(|| self.over.ids.get(id).copied())
    }

    pub(super) fn kiosk(&self, ix: Ix) -> &Kiosk {
        match self.over.kiosks.get(&ix) {
            Some(kiosk) => kiosk,
            None => &self.fleet.kiosks[ix as usize],
        }
    }

    pub(super) fn kiosk_mut(&mut self, ix: Ix) -> &mut Kiosk {
        self.over.kiosks.entry(ix).or_insert_with(|| self.fleet.kiosks[ix as usize].clone())
    }

    pub(super) fn add_kiosk(&mut self, kiosk: Kiosk) -> Ix {
        let ix = self.fleet.kiosks.len() + self.over.ids.len();
        let ix = Ix::try_from(ix).expect("fewer than four thousand million kiosks");
        self.over.ids.insert(kiosk.id.clone(), ix);
        self.over.live.insert(ix, Liveness::known(self.default_interval(), None));
        self.over.kiosks.insert(ix, kiosk);
        ix
    }

    fn default_interval(&self) -> u32 {
        self.policy.presence.default_interval_s
    }

    pub(super) fn live(&self, ix: Ix) -> &Liveness {
        match self.over.live.get(&ix) {
            Some(live) => live,
            None => &self.fleet.live[ix as usize],
        }
    }

    pub(super) fn edit_live(&mut self, ix: Ix, edit: LiveEdit) {
        let live = self.over.live.entry(ix).or_insert_with(|| self.fleet.live[ix as usize].clone());
        live.apply(&edit);
        self.over.edits.push((ix, edit));
    }

    pub(super) fn server(&self) -> &Server {
        self.over.server.as_ref().unwrap_or(&self.fleet.server)
    }

    pub(super) fn server_mut(&mut self) -> &mut Server {
        self.over.server.get_or_insert_with(|| self.fleet.server.clone())
    }

    pub(super) fn site(&self, id: &SiteId) -> Option<&Site> {
        self.over.sites.get(id).or_else(|| self.fleet.sites.get(id))
    }

    pub(super) fn site_mut(&mut self, id: &SiteId) -> Option<&mut Site> {
        if !self.over.sites.contains_key(id) {
            let site = self.fleet.sites.get(id)?.clone();
            self.over.sites.insert(id.clone(), site);
        }
        self.over.sites.get_mut(id)
    }

    pub(super) fn incident(&self, id: Uuid) -> Option<&IncidentRow> {
        self.over.incidents.get(&id).or_else(|| self.fleet.incidents.get(&id))
    }

    pub(super) fn incident_mut(&mut self, id: Uuid) -> Option<&mut IncidentRow> {
        if !self.over.incidents.contains_key(&id) {
            let row = self.fleet.incidents.get(&id)?.clone();
            self.over.incidents.insert(id, row);
        }
        self.over.incidents.get_mut(&id)
    }

    pub(super) fn ticket(&self, id: Uuid) -> Option<&TicketFile> {
        if self.over.forgotten_tickets.contains(&id) {
            return None;
        }
        self.over.tickets.get(&id).or_else(|| self.fleet.tickets.get(&id))
    }

    pub(super) fn ticket_mut(&mut self, id: Uuid) -> Option<&mut TicketFile> {
        if !self.over.tickets.contains_key(&id) {
            let file = self.fleet.tickets.get(&id)?.clone();
            self.over.tickets.insert(id, file);
        }
        self.over.tickets.get_mut(&id)
    }

    pub(super) fn command(&self, id: CommandId) -> Option<&CommandRow> {
        self.over.commands.get(&id).or_else(|| self.fleet.commands.get(&id))
    }

    pub(super) fn command_mut(&mut self, id: CommandId) -> Option<&mut CommandRow> {
        if !self.over.commands.contains_key(&id) {
            let row = self.fleet.commands.get(&id)?.clone();
            self.over.commands.insert(id, row);
        }
        self.over.commands.get_mut(&id)
    }

    pub(super) fn next_number(&mut self) -> u64 {
        let next = self.over.last_number.unwrap_or(self.fleet.last_number) + 1;
        self.over.last_number = Some(next);
        next
    }

    pub(super) fn count(&mut self, what: Count) {
        self.count_many(what, 1);
    }

    pub(super) fn count_many(&mut self, what: Count, n: u64) {
        *self.counts.entry(what).or_default() += n;
    }

    pub(super) fn transition(&mut self, row: TransitionRow) {
        self.rows.push(Change::Transition(row));
    }

    pub(super) fn audit(&mut self, action: &str, object: String, detail: &serde_json::Value) {
        self.audit_by("server", action, object, detail);
    }

    pub(super) fn audit_by(&mut self, actor: &str, action: &str, object: String, detail: &serde_json::Value) {
        self.rows.push(Change::Audit(AuditRow {
            at: self.now,
            actor: actor.to_owned(),
            action: action.to_owned(),
            object,
            detail: detail.to_string(),
        }));
    }

    pub(super) fn security(&mut self, event: SecurityEvent, ix: Ix, text: &str) {
        let kiosk = self.kiosk(ix).id.clone();
        let detail = serde_json::json!({ "text": text, "policy": self.policy.version });
        self.audit(event.as_str(), format!("kiosk/{kiosk}"), &detail);
        let text = format!("{kiosk}: {text}");
        let kiosk = Some(kiosk);
        self.notify(Notice { kind: NoticeKind::Security, ticket: None, kiosk, site: None, text });
    }

    pub(super) fn notify(&mut self, notice: Notice) {
        self.effects.push(Effect::Notify(notice));
    }

    /// Adds evidence; a row that grows within the plan is written once.
    pub(super) fn prove(&mut self, ix: Ix, row: EvidenceRow) {
        if let Some(&at) = self.last_evidence.get(&ix)
            && let Some(last) = self.evidence.get_mut(at)
            && (last.source, last.from) == (row.source, row.from)
        {
            *last = row;
            return;
        }
        self.last_evidence.insert(ix, self.evidence.len());
        self.evidence.push(row);
    }

    /// Moves a ticket and writes the line of its history.
    pub(super) fn ticket_step(&mut self, id: Uuid, step: Step<'_>) {
        let now = self.now;
        let Some(file) = self.ticket_mut(id) else { return };
        let from = file.row.state;
        let to = step.to.unwrap_or(from);
        file.row.state = to;
        file.events += 1;
        let row = TicketEventRow {
            ticket: id,
            n: file.events,
            at: now,
            actor: step.actor.to_owned(),
            action: step.action.as_str().to_owned(),
            from: (file.events > 1).then_some(from),
            to,
            reason: step.reason,
        };
        self.rows.push(Change::TicketEvent(row));
    }

    /// Everything together, in an order that satisfies references.
    pub(super) fn finish(mut self) -> Plan {
        let mut changes = Vec::with_capacity(self.rows.len() + self.over.kiosks.len() * 2);
        let fleet = self.fleet;
        for (&ix, kiosk) in &self.over.kiosks {
            let before = fleet.kiosks.get(ix as usize);
            let live = self.over.live.get(&ix).or_else(|| fleet.live.get(ix as usize));
            let inventory = self.inventories.get(&ix);
            if inventory.is_none()
                && let Some(verdict) = before.and_then(|before| kiosk.verdict_alone(before))
            {
                if !self.forgotten.contains(&ix) {
                    changes.push(Change::Presence(verdict));
                }
            } else if let Some(live) = live
                && (before.is_none_or(|b| b.state != kiosk.state) || inventory.is_some())
            {
                let text = inventory.map_or_else(String::new, ToString::to_string);
                changes.push(Change::KioskState(Box::new(kiosk.state_row(live, text))));
            }
            for head in &kiosk.heads {
                let recalled = || self.recalled.iter().find(|(of, old)| *of == ix && old.epoch == head.epoch);
                let before =
                    before.and_then(|b| b.head(head.epoch)).or_else(|| recalled().map(|(_, old)| old));
                if before != Some(head) {
                    changes.push(Change::JournalHead(head.to_row(&kiosk.id)));
                }
            }
        }
        changes.extend(self.evidence.drain(..).map(Change::Evidence));
        for (id, file) in &self.over.tickets {
            let before = fleet.tickets.get(id);
            if before.is_none_or(|b| b.row != file.row) {
                changes.push(Change::Ticket(Box::new(file.row.clone())));
            }
            for clock in &file.clocks {
                if before.is_none_or(|b| !b.clocks.contains(clock)) {
                    changes.push(Change::Clock(clock.clone()));
                }
            }
        }
        for (id, row) in &self.over.incidents {
            if fleet.incidents.get(id) != Some(row) {
                changes.push(Change::Incident(Box::new(row.clone())));
            }
        }
        for (id, row) in &self.over.commands {
            if fleet.commands.get(id) != Some(row) {
                changes.push(Change::Command(Box::new(row.clone())));
            }
        }
        changes.append(&mut self.rows);
        changes.sort_by_key(rank);
        let acks = std::mem::take(&mut self.acks);
        let acks = acks.into_iter().map(|((ix, _), ack)| (self.kiosk(ix).id.clone(), ack)).collect();
        let committed = Committed { acks, effects: self.effects, replies: self.replies, counts: self.counts };
        Plan { changes, committed, overlay: self.over }
    }
}

/// Parents before children, heads of families before members.
fn rank(change: &Change) -> u8 {
    match change {
        Change::Site(_) | Change::SiteTerms(_) | Change::CalendarTerms(_) => 0,
        Change::Kiosk(_) => 1,
        Change::Assignment(_) | Change::Commissioned(_) => 2,
        // What was known of them is read before it is written over.
        Change::Forgotten(_) => 3,
        Change::KioskState(_) => 4,
        Change::Seen(_) | Change::Presence(_) => 5,
        Change::JournalHead(_) => 6,
        Change::JournalRecord(_) => 7,
        Change::JournalGap(_) => 8,
        Change::Evidence(_) => 9,
        Change::Transition(_) => 10,
        Change::Ticket(ticket) => 11 + u8::from(ticket.parent.is_some()),
        Change::Incident(incident) => 13 + u8::from(incident.parent.is_some()),
        Change::TicketEvent(_) => 15,
        Change::Clock(_) => 16,
        Change::Command(_) => 17,
        Change::CommandEvent(_) => 18,
        Change::Exclusion(_) => 19,
        Change::Liveness(_) | Change::EvidenceGap(_) => 20,
        Change::Month(_) => 21,
        Change::Restatement(_) => 22,
        Change::Correction(_) => 23,
        Change::Audit(_) => 24,
    }
}

/// Terminal states that nothing leads out of.
pub(super) const fn is_forgotten(state: TicketState) -> bool {
    matches!(state, TicketState::Cancelled | TicketState::CancelledReassigned)
}
