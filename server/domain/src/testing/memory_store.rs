//! A store in memory: applies changes as the real one must, and hands back the image a fleet is rebuilt from.
//!
//! It keeps the promises that decisions rely on: all of a plan or nothing, one content for each journal
//! number, one open incident for each fingerprint, one open machine ticket for each problem.
use std::collections::{BTreeMap, BTreeSet};

use kioskwatch_proto::{CommandId, Epoch, KioskId, PeripheralName, SiteId, Timestamp};
use uuid::Uuid;

use crate::{
    change::{
        AssignmentRow, AuditRow, CalendarTermsRow, Change, ClockRow, CommandEventRow, CommandRow,
        CommissionedRow, CorrectionRow, EvidenceGapRow, EvidenceRow, EvidenceSource, ExclusionRow,
        ForgottenRow, IncidentRow, JournalGapRow, JournalHeadRow, JournalRecordRow, KioskRow, KioskStateRow,
        LivenessRow, MonthRow, PresenceVerdict, RestatementRow, RunningSpan, SiteRow, SiteTermsRow,
        TicketEventRow, TicketRow, TicketSource, TransitionRow,
    },
    command::may_be_corrected,
    fleet::Recalled,
    image::{FleetImage, TermsNoted},
    uptime::{
        Commissioned, Known, Month,
        booking::{Owner, owner},
    },
};

/// Why a commit failed. Nothing of it was applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    #[error("journal record {2} of {0}, epoch {1}, is stored with other bytes")]
    OtherBytes(KioskId, Epoch, u64),
    #[error("an incident {0} is open already")]
    SecondIncident(String),
    #[error("a ticket for {0} is open already")]
    SecondTicket(String),
    #[error("line {1} of ticket {0} is written already")]
    SecondLine(Uuid, u32),
    #[error("{0} does not exist")]
    Missing(String),
    /// Asked for by [`MemoryStore::fail_next`].
    #[error("the commit failed on purpose")]
    OnPurpose,
}

/// Month, kiosk, version, and whose share it is: site, engineer and contract.
pub type MonthKey = (Month, KioskId, u32, Owner);

/// All rows, by their keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemoryStore {
    pub sites: BTreeMap<SiteId, SiteRow>,
    pub site_terms: BTreeMap<(SiteId, Timestamp), SiteTermsRow>,
    pub calendar_terms: BTreeMap<Timestamp, CalendarTermsRow>,
    pub kiosks: BTreeMap<KioskId, KioskRow>,
    pub assignments: BTreeMap<(KioskId, &'static str, Timestamp), AssignmentRow>,
    pub commissioned: BTreeMap<(KioskId, Timestamp), CommissionedRow>,
    pub states: BTreeMap<KioskId, KioskStateRow>,
    pub heads: BTreeMap<(KioskId, Epoch), JournalHeadRow>,
    pub records: BTreeMap<(KioskId, Epoch, u64), JournalRecordRow>,
    pub gaps: Vec<JournalGapRow>,
    /// Without what runs: see [`Self::evidence`].
    ended: BTreeMap<(KioskId, EvidenceSource, Timestamp), EvidenceRow>,
    running: BTreeMap<KioskId, RunningSpan>,
    pub transitions: Vec<TransitionRow>,
    pub incidents: BTreeMap<Uuid, IncidentRow>,
    pub tickets: BTreeMap<Uuid, TicketRow>,
    pub ticket_events: BTreeMap<(Uuid, u32), TicketEventRow>,
    pub clocks: BTreeMap<(Uuid, String), ClockRow>,
    pub commands: BTreeMap<CommandId, CommandRow>,
    pub command_events: Vec<CommandEventRow>,
    pub exclusions: BTreeMap<Uuid, ExclusionRow>,
    pub liveness: BTreeMap<(Uuid, Timestamp), LivenessRow>,
    pub evidence_gaps: BTreeMap<(KioskId, Timestamp), EvidenceGapRow>,
    pub months: BTreeMap<MonthKey, MonthRow>,
    pub restatements: BTreeMap<Uuid, RestatementRow>,
    pub corrections: BTreeMap<Uuid, CorrectionRow>,
    pub audit: Vec<AuditRow>,
    open_fingerprints: BTreeMap<String, Uuid>,
    failing: u32,
}

impl MemoryStore {
    /// Lets the next commits fail, as a full disk does.
    pub fn fail_next(&mut self, times: u32) {
        self.failing = times;
    }

    /// What it holds of these journals.
    #[must_use]
    pub fn recall(&self, places: &[(KioskId, Epoch)]) -> Recalled {
        let heads = places.iter().filter_map(|place| self.heads.get(place).cloned());
        Recalled { heads: heads.collect(), unreadable: Vec::new() }
    }

    /// Applies all changes or none.
    ///
    /// # Errors
    /// The first promise that a change breaks.
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), CommitError> {
        if self.failing > 0 {
            self.failing -= 1;
            return Err(CommitError::OnPurpose);
        }
        self.check(changes)?;
        for change in changes {
            self.apply(change.clone());
        }
        Ok(())
    }

    fn check(&self, changes: &[Change]) -> Result<(), CommitError> {
        let mut kiosks: BTreeSet<&KioskId> = BTreeSet::new();
        let mut records = BTreeMap::new();
        let mut fingerprints = self.open_fingerprints.clone();
        for change in changes {
            match change {
                Change::Kiosk(row) => {
                    kiosks.insert(&row.id);
                }
                Change::KioskState(row) => self.must_know(&row.kiosk, &kiosks)?,
                Change::JournalRecord(row) => {
                    self.must_know(&row.kiosk, &kiosks)?;
                    let key = (row.kiosk.clone(), row.epoch, row.seq);
                    let stored = self.records.get(&key).map(|r| &r.raw).or(records.get(&key).copied());
                    if stored.is_some_and(|raw| *raw != row.raw) {
                        return Err(CommitError::OtherBytes(row.kiosk.clone(), row.epoch, row.seq));
                    }
                    records.insert(key, &row.raw);
                }
                Change::Incident(row)
                    if row.closed_at.is_some() && fingerprints.get(&row.fingerprint) == Some(&row.id) =>
                {
                    fingerprints.remove(&row.fingerprint);
                }
                Change::TicketEvent(row) if self.ticket_events.contains_key(&(row.ticket, row.n)) => {
                    return Err(CommitError::SecondLine(row.ticket, row.n));
                }
                _ => {}
            }
        }
        for change in changes {
            if let Change::Incident(row) = change
                && row.closed_at.is_none()
                && fingerprints.insert(row.fingerprint.clone(), row.id).is_some_and(|id| id != row.id)
            {
                return Err(CommitError::SecondIncident(row.fingerprint.clone()));
            }
        }
        self.check_tickets(changes)
    }

    fn must_know(&self, id: &KioskId, fresh: &BTreeSet<&KioskId>) -> Result<(), CommitError> {
        if self.kiosks.contains_key(id) || fresh.contains(id) {
            return Ok(());
        }
        Err(CommitError::Missing(format!("kiosk {id}")))
    }

    /// One open machine ticket for each (kiosk, peripheral, fault).
    fn check_tickets(&self, changes: &[Change]) -> Result<(), CommitError> {
        let touched: BTreeMap<Uuid, &TicketRow> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Ticket(row) => Some((row.id, &**row)),
                _ => None,
            })
            .collect();
        if touched.is_empty() {
            return Ok(());
        }
        let mut open: BTreeSet<(KioskId, Option<PeripheralName>, String)> = BTreeSet::new();
        let untouched = self.tickets.values().filter(|row| !touched.contains_key(&row.id));
        for row in untouched.chain(touched.values().copied()) {
            let by_machine = matches!(row.source, TicketSource::Agent | TicketSource::Server);
            let Some(kiosk) = row.kiosk.clone().filter(|_| by_machine && row.state.is_open()) else {
                continue;
            };
            let what = format!("{kiosk}/{:?}/{}", row.peripheral, row.fault);
            if !open.insert((kiosk, row.peripheral.clone(), row.fault.to_string())) {
                return Err(CommitError::SecondTicket(what));
            }
        }
        Ok(())
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Site(row) => drop(self.sites.insert(row.id.clone(), row)),
            Change::SiteTerms(row) => {
                let key = (row.site.clone(), row.known_from);
                match row.known_from == SiteTermsRow::ALWAYS {
                    true => drop(self.site_terms.entry(key).or_insert(row)),
                    false => drop(self.site_terms.insert(key, row)),
                }
            }
            Change::CalendarTerms(row) => match row.known_from == CalendarTermsRow::ALWAYS {
                true => drop(self.calendar_terms.entry(row.known_from).or_insert(row)),
                false => drop(self.calendar_terms.insert(row.known_from, row)),
            },
            Change::Kiosk(row) => drop(self.kiosks.insert(row.id.clone(), row)),
            Change::Assignment(row) => {
                let key = (row.kiosk.clone(), row.group.as_str(), row.from);
                self.assignments.insert(key, row);
            }
            Change::Commissioned(row) => {
                let key = (row.kiosk.clone(), row.known_from);
                match row.known_from == CommissionedRow::ALWAYS {
                    true => drop(self.commissioned.entry(key).or_insert(row)),
                    false => drop(self.commissioned.insert(key, row)),
                }
            }
            Change::KioskState(mut row) => {
                if row.inventory.is_empty()
                    && let Some(before) = self.states.get(&row.kiosk)
                {
                    row.inventory.clone_from(&before.inventory);
                }
                self.states.insert(row.kiosk.clone(), *row);
            }
            Change::Seen(row) => {
                if let Some(running) = row.running {
                    let key = (running.from, running.state);
                    let before = self.running.insert(row.kiosk.clone(), running);
                    if let Some(replaced) = before.filter(|before| (before.from, before.state) != key) {
                        let replaced = replaced.evidence(row.kiosk.clone());
                        let known = self.ended.entry((row.kiosk.clone(), replaced.source, replaced.from));
                        known.and_modify(|row| row.to = row.to.max(replaced.to)).or_insert(replaced);
                    }
                }
                if let Some(state) = self.states.get_mut(&row.kiosk) {
                    state.last_seen_at = Some(row.last_seen_at);
                    state.interval_s = row.interval_s;
                    state.clock_offset_ms = row.clock_offset_ms;
                }
            }
            Change::Forgotten(row) => {
                for (kiosk, state) in self.states.range_mut(row.first..=row.last) {
                    if state.presence == PresenceVerdict::Unknown {
                        continue;
                    }
                    let at = ForgottenRow::since(row.since, state.presence_since, row.noticed_at);
                    self.transitions.push(TransitionRow {
                        kiosk: kiosk.clone(),
                        kind: "presence".to_owned(),
                        peripheral: None,
                        from: state.presence.as_str().to_owned(),
                        to: PresenceVerdict::Unknown.as_str().to_owned(),
                        at,
                        noticed_at: row.noticed_at,
                        reason: row.reason.as_str().to_owned(),
                    });
                    state.presence = PresenceVerdict::Unknown;
                    state.presence_since = at;
                    state.presence_reason = row.reason.as_str().to_owned();
                }
            }
            Change::Presence(row) => {
                if let Some(state) = self.states.get_mut(&row.kiosk) {
                    state.presence = row.presence;
                    state.presence_since = row.presence_since;
                    state.presence_reason = row.presence_reason.as_str().to_owned();
                }
            }
            Change::JournalHead(row) => drop(self.heads.insert((row.kiosk.clone(), row.epoch), row)),
            Change::JournalRecord(row) => {
                self.records.entry((row.kiosk.clone(), row.epoch, row.seq)).or_insert(row);
            }
            Change::JournalGap(row) => self.gaps.push(row),
            Change::Evidence(row) => {
                let key = (row.kiosk.clone(), row.source, row.from);
                if let Some(known) = self.ended.get(&key).filter(|known| known.state == row.state) {
                    let second = |row: &EvidenceRow| row.received_at.map(Timestamp::secs);
                    assert_eq!(second(known), second(&row), "another second is a row of its own");
                }
                self.ended.insert(key, row);
            }
            Change::Transition(row) => self.transitions.push(row),
            Change::Incident(row) => {
                if row.closed_at.is_none() {
                    self.open_fingerprints.insert(row.fingerprint.clone(), row.id);
                } else if self.open_fingerprints.get(&row.fingerprint) == Some(&row.id) {
                    self.open_fingerprints.remove(&row.fingerprint);
                }
                self.incidents.insert(row.id, *row);
            }
            Change::Ticket(row) => drop(self.tickets.insert(row.id, *row)),
            Change::TicketEvent(row) => drop(self.ticket_events.insert((row.ticket, row.n), row)),
            Change::Clock(row) => drop(self.clocks.insert((row.ticket, row.name.clone()), row)),
            Change::Command(row) => drop(self.commands.insert(row.id, *row)),
            Change::CommandEvent(row) => self.command_events.push(row),
            Change::Exclusion(row) => drop(self.exclusions.insert(row.id, row)),
            Change::Liveness(row) => drop(self.liveness.insert((row.server, row.from), row)),
            Change::EvidenceGap(row) => {
                self.evidence_gaps.insert((row.kiosk.clone(), row.from), row);
            }
            Change::Month(row) => {
                self.months.insert((row.month, row.kiosk.clone(), row.version, owner(&row)), *row);
            }
            Change::Restatement(row) => drop(self.restatements.insert(row.id, *row)),
            Change::Correction(row) => drop(self.corrections.insert(row.id, *row)),
            Change::Audit(row) => self.audit.push(row),
        }
    }

    /// What uptime is computed from, by kiosk, source and time.
    #[must_use]
    pub fn evidence(&self) -> Vec<EvidenceRow> {
        let running = self.running.iter().map(|(id, running)| running.clone().evidence(id.clone()));
        let mut rows: Vec<EvidenceRow> = self.ended.values().cloned().chain(running).collect();
        rows.sort_by(|a, b| (&a.kiosk, a.source, a.from).cmp(&(&b.kiosk, b.source, b.from)));
        rows
    }

    /// When a kiosk counts, as it was ever noted.
    #[must_use]
    pub fn noted(&self, kiosk: &KioskId) -> Known<Commissioned> {
        let mut known = Known::default();
        for row in self.commissioned.values().filter(|row| row.kiosk == *kiosk) {
            known.learn(row.known_from, row.stretches.clone());
        }
        known
    }

    /// What a server would start with now.
    #[must_use]
    pub fn image(&self) -> FleetImage {
        let tickets: Vec<TicketRow> = self
            .tickets
            .values()
            .filter(|row| row.state.is_open() || row.due_at.is_some())
            .cloned()
            .collect();
        let kept: BTreeSet<Uuid> = tickets.iter().map(|row| row.id).collect();
        let mut last_lines: BTreeMap<Uuid, u32> = BTreeMap::new();
        for &(ticket, n) in self.ticket_events.keys().filter(|(ticket, _)| kept.contains(ticket)) {
            last_lines.insert(ticket, n);
        }
        let open = |row: &&CommandRow| !row.state.is_final() || may_be_corrected(row.state);
        let mut terms_noted: BTreeMap<SiteId, TermsNoted> = BTreeMap::new();
        for (site, since) in self.site_terms.keys() {
            let noted = TermsNoted { first: *since, newest: *since };
            terms_noted.entry(site.clone()).or_insert(noted).newest = *since;
        }
        FleetImage {
            sites: self.sites.values().cloned().collect(),
            terms_noted: terms_noted.into_iter().collect(),
            kiosks: self.kiosks.values().cloned().collect(),
            assignments: self.assignments.values().cloned().collect(),
            states: self.states.values().cloned().collect(),
            heads: self.heads.values().cloned().collect(),
            open_incidents: self.incidents.values().filter(|row| row.closed_at.is_none()).cloned().collect(),
            tickets,
            ticket_events: last_lines.into_iter().collect(),
            clocks: self.clocks.values().filter(|clock| kept.contains(&clock.ticket)).cloned().collect(),
            open_commands: self.commands.values().filter(open).cloned().collect(),
            exclusions: self.exclusions.values().cloned().collect(),
            last_ticket_number: self.tickets.values().map(|row| row.number).max().unwrap_or(0),
            last_alive_at: self.liveness.values().map(|row| row.to).max(),
        }
    }
}
