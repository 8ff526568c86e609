//! What a commit will do: changes sorted by table, one row a key, encoded and cut into chunks.
//!
//! Made before the transaction begins, so that what cannot be stored is refused early and the write lock is
//! held only for the database's own work.
use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
};

use kioskwatch_domain::change::{
    AssignmentRow, AuditRow, CalendarTermsRow, Change, ClockRow, CommandEventRow, CommandRow,
    CommissionedRow, CorrectionRow, EvidenceGapRow, EvidenceRow, ExclusionRow, ForgottenRow, IncidentRow,
    JournalGapRow, JournalHeadRow, JournalRecordRow, KioskRow, KioskStateRow, LivenessRow, MonthRow,
    PresenceRow, RestatementRow, SeenRow, SiteRow, SiteTermsRow, TicketEventRow, TicketRow, TransitionRow,
};
use kioskwatch_proto::KioskId;
use sha2::{Digest as _, Sha256};

use super::{
    StoreError,
    row::{RowWriter, Stored},
    sql::Sql,
    transitions::Numbered,
};

/// Rows of one statement: large enough that the round trip does not count.
const MAX_CHUNK_ROWS: u64 = 1_000;
/// JSON of one statement: records and results can be tens of kilobytes each.
const MAX_CHUNK_BYTES: usize = 1 << 20;

/// One bulk statement with its rows.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) elsewhere: Option<Sql>,
    pub(super) write: Sql,
    /// In place of `write` as long as nobody knows that one of these rows is stored.
    pub(super) new: Option<Sql>,
    pub(super) clash: Option<Sql>,
    pub(super) table: &'static str,
    pub(super) json: String,
    pub(super) rows: u64,
}

#[derive(Debug, Default)]
pub(super) struct Plan<'a> {
    pub(super) chunks: Vec<Chunk>,
    pub(super) audit: Vec<&'a AuditRow>,
}

#[derive(Default)]
struct Groups<'a> {
    sites: Vec<&'a SiteRow>,
    site_terms: Vec<&'a SiteTermsRow>,
    calendar_terms: Vec<&'a CalendarTermsRow>,
    kiosks: Vec<&'a KioskRow>,
    assignments: Vec<&'a AssignmentRow>,
    commissioned: Vec<&'a CommissionedRow>,
    forgotten: Vec<&'a ForgottenRow>,
    states: Vec<&'a KioskStateRow>,
    seen: Vec<&'a SeenRow>,
    verdicts: Vec<&'a PresenceRow>,
    heads: Vec<&'a JournalHeadRow>,
    records: Vec<&'a JournalRecordRow>,
    gaps: Vec<&'a JournalGapRow>,
    evidence: Vec<&'a EvidenceRow>,
    transitions: Vec<&'a TransitionRow>,
    incidents: Vec<&'a IncidentRow>,
    tickets: Vec<&'a TicketRow>,
    ticket_events: Vec<&'a TicketEventRow>,
    clocks: Vec<&'a ClockRow>,
    commands: Vec<&'a CommandRow>,
    command_events: Vec<&'a CommandEventRow>,
    exclusions: Vec<&'a ExclusionRow>,
    liveness: Vec<&'a LivenessRow>,
    evidence_gaps: Vec<&'a EvidenceGapRow>,
    months: Vec<&'a MonthRow>,
    restatements: Vec<&'a RestatementRow>,
    corrections: Vec<&'a CorrectionRow>,
    audit: Vec<&'a AuditRow>,
}

impl<'a> Plan<'a> {
    pub(super) fn of(changes: &'a [Change]) -> Result<Self, StoreError> {
        let groups = Groups::of(changes);
        let mut plan = Self::default();
        // Parents before those that refer to them.
        plan.add(&groups.sites)?;
        plan.add(&groups.site_terms)?;
        plan.add(&groups.calendar_terms)?;
        plan.add(&groups.kiosks)?;
        plan.add(&groups.assignments)?;
        plan.add(&groups.commissioned)?;
        // What was known of them is read before it is written over.
        plan.add(&groups.forgotten)?;
        plan.add(&groups.states)?;
        plan.add(&groups.seen)?;
        plan.add(&groups.verdicts)?;
        plan.add(&groups.heads)?;
        plan.add(&groups.records)?;
        plan.add(&groups.gaps)?;
        plan.add(&groups.evidence)?;
        plan.add(&Numbered::all(&groups.transitions).iter().collect::<Vec<_>>())?;
        plan.add(&groups.incidents)?;
        plan.add(&groups.tickets)?;
        plan.add(&groups.ticket_events)?;
        plan.add(&groups.clocks)?;
        plan.add(&groups.commands)?;
        plan.add(&groups.command_events)?;
        plan.add(&groups.exclusions)?;
        plan.add(&groups.liveness)?;
        plan.add(&groups.evidence_gaps)?;
        plan.add(&groups.months)?;
        plan.add(&groups.restatements)?;
        plan.add(&groups.corrections)?;
        plan.audit = groups.audit;
        Ok(plan)
    }

    /// Tells this plan from another one.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for chunk in &self.chunks {
            hash.update(chunk.write.name);
            hash.update(&chunk.json);
        }
        for row in &self.audit {
            hash.update(format!("{row:?}"));
        }
        hash.finalize().into()
    }

    fn add<R: Stored>(&mut self, rows: &[&R]) -> Result<(), StoreError> {
        let mut rows = one_per_key(rows)?;
        R::arrange(&mut rows);
        let Some(new) = R::NEW else { return self.encode(&rows, None) };
        let (others, hardly_stored) = R::apart(rows);
        self.encode(&others, None)?;
        self.encode(&hardly_stored, Some(new))
    }

    fn encode<R: Stored>(&mut self, rows: &[Cow<'_, R>], new: Option<Sql>) -> Result<(), StoreError> {
        let mut json = Vec::new();
        let mut count = 0;
        for row in rows {
            json.push(if count == 0 { b'[' } else { b',' });
            count += 1;
            let mut writer = RowWriter::begin(&mut json, R::TABLE, count);
            row.encode(&mut writer)?;
            writer.end();
            if count == MAX_CHUNK_ROWS || json.len() >= MAX_CHUNK_BYTES {
                self.push::<R>(std::mem::take(&mut json), std::mem::take(&mut count), new)?;
            }
        }
        if count > 0 { self.push::<R>(json, count, new) } else { Ok(()) }
    }

    fn push<R: Stored>(&mut self, mut json: Vec<u8>, rows: u64, new: Option<Sql>) -> Result<(), StoreError> {
        json.push(b']');
        let json = String::from_utf8(json).map_err(|e| StoreError::Inconsistent {
            table: R::TABLE,
            id: "batch".into(),
            what: format!("encoding: {e}"),
        })?;
        self.chunks.push(Chunk {
            elsewhere: R::ELSEWHERE,
            write: R::WRITE,
            new,
            clash: R::CLASH,
            table: R::TABLE,
            json,
            rows,
        });
        Ok(())
    }
}

/// PostgreSQL refuses the same key twice in one upsert.
fn one_per_key<'a, R: Stored>(rows: &[&'a R]) -> Result<Vec<Cow<'a, R>>, StoreError> {
    let mut unique: Vec<Cow<'a, R>> = Vec::with_capacity(rows.len());
    let mut places = HashMap::with_capacity(rows.len());
    for &row in rows {
        let Some(key) = row.key() else {
            unique.push(Cow::Borrowed(row));
            continue;
        };
        match places.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(unique.len());
                unique.push(Cow::Borrowed(row));
            }
            Entry::Occupied(entry) => {
                let place = &mut unique[*entry.get()];
                *place = R::join(place, row)?;
            }
        }
    }
    Ok(unique)
}

impl<'a> Groups<'a> {
    fn of(changes: &'a [Change]) -> Self {
        let mut groups = Self::default();
        // What became known after the last state goes behind it; a verdict before it is in it already.
        let mut last_state: HashMap<&KioskId, usize> = HashMap::new();
        let mut verdicts = Vec::new();
        for (place, change) in changes.iter().enumerate() {
            match change {
                Change::Site(row) => groups.sites.push(row),
                Change::SiteTerms(row) => groups.site_terms.push(row),
                Change::CalendarTerms(row) => groups.calendar_terms.push(row),
                Change::Kiosk(row) => groups.kiosks.push(row),
                Change::Assignment(row) => groups.assignments.push(row),
                Change::Commissioned(row) => groups.commissioned.push(row),
                Change::KioskState(row) => {
                    last_state.insert(&row.kiosk, place);
                    groups.states.push(row);
                }
                Change::Forgotten(row) => groups.forgotten.push(row),
                Change::Seen(row) => groups.seen.push(row),
                Change::Presence(row) => verdicts.push((place, row)),
                Change::JournalHead(row) => groups.heads.push(row),
                Change::JournalRecord(row) => groups.records.push(row),
                Change::JournalGap(row) => groups.gaps.push(row),
                Change::Evidence(row) => groups.evidence.push(row),
                Change::Transition(row) => groups.transitions.push(row),
                Change::Incident(row) => groups.incidents.push(row),
                Change::Ticket(row) => groups.tickets.push(row),
                Change::TicketEvent(row) => groups.ticket_events.push(row),
                Change::Clock(row) => groups.clocks.push(row),
                Change::Command(row) => groups.commands.push(row),
                Change::CommandEvent(row) => groups.command_events.push(row),
                Change::Exclusion(row) => groups.exclusions.push(row),
                Change::Liveness(row) => groups.liveness.push(row),
                Change::EvidenceGap(row) => groups.evidence_gaps.push(row),
                Change::Month(row) => groups.months.push(row),
                Change::Restatement(row) => groups.restatements.push(row),
                Change::Correction(row) => groups.corrections.push(row),
                Change::Audit(row) => groups.audit.push(row),
            }
        }
        let is_news = |kiosk, place| last_state.get(kiosk).is_none_or(|&state| state < place);
        verdicts.retain(|&(place, row)| is_news(&row.kiosk, place));
        groups.verdicts = verdicts.into_iter().map(|(_, row)| row).collect();
        groups
    }
}
