use chrono_tz::Asia::Shanghai;
use kioskwatch_proto::{KioskId, SiteId};

use super::*;
use crate::change::{Admission, AssignmentRow, CorrectionRow, GroupKind, KioskRow};
use crate::interval::IntervalSet;
use crate::uptime::Month;
use crate::uptime::booking::{Booking, known_before, models_told, owners};
use crate::uptime::contracts::Contracts;
use crate::uptime::evidence::{Evidence, Source, State};
use crate::uptime::sweep::Inputs;

mod contracts;
mod models;
mod restating;

const TERMS: Terms = Terms { freeze_hours: 24, restate_days: 35 };
const HOUR: i64 = 3_600;

/// One kiosk's October, as a store would hold it.
struct Ledger {
    month: Month,
    evidence: Vec<Evidence>,
    engineer: &'static str,
    /// Of its site, each since a second.
    customers: Vec<(i64, &'static str)>,
    /// What two people said of that, each approved at a second.
    corrected: Vec<(CorrectionRow, i64)>,
    model: &'static str,
    /// What was noted of its models, and what two people said of them.
    models: Vec<AssignmentRow>,
    commissioned: i64,
    decommissioned: Option<i64>,
    exclusions: IntervalSet,
    promised: (i64, i64),
    rows: Vec<MonthRow>,
    restatements: Vec<RestatementRow>,
    ids: Ids,
}

fn secs(t: i64) -> Timestamp {
    Timestamp(t * 1_000)
}

const fn taken(listened_s: i64, committed_to: i64) -> Intake {
    Intake { listened_s, committed_to: Timestamp(committed_to * 1_000), unstored_since: None }
}

impl Ledger {
    /// On all month, but for the last ten hours nobody knows.
    fn october() -> Self {
        let month: Month = "2026-10".parse().unwrap();
        let mut ledger = Self {
            month,
            evidence: Vec::new(),
            engineer: "li",
            customers: vec![(0, "A")],
            corrected: Vec::new(),
            model: "KT",
            models: Vec::new(),
            commissioned: 0,
            decommissioned: None,
            exclusions: IntervalSet::empty(),
            promised: (99, 100),
            rows: Vec::new(),
            restatements: Vec::new(),
            ids: Ids::seeded(1),
        };
        let to = ledger.end() - 10 * HOUR;
        ledger.claim(month.period(Shanghai).from, to, None);
        ledger
    }

    fn end(&self) -> i64 {
        self.month.period(Shanghai).to
    }

    fn claim(&mut self, from: i64, to: i64, recv: Option<i64>) {
        let (src, state) = (Source::Journal, State::Full);
        self.evidence.push(Evidence { src, from, to, state, cause: None, recv, interval_s: None });
    }

    fn contracts(&self) -> Contracts {
        let site = SiteId::new("S-1").unwrap();
        let mut contracts = Contracts::default();
        for (since, customer) in &self.customers {
            let contract = Contract { region: "north".into(), customer: (*customer).into() };
            contracts.learn(&site, secs(*since), contract);
        }
        for (row, said) in &self.corrected {
            contracts.correct(row, secs(*said));
        }
        contracts
    }

    fn book(&self, version: u32, received_before: Option<i64>, now: i64) -> Booked {
        let site = SiteId::new("S-1").unwrap();
        let kiosk = KioskRow {
            id: KioskId::new("K-1").unwrap(),
            site: Some(site.clone()),
            admission: Admission::Accepted,
            model: self.model.into(),
            serial_no: String::new(),
            commissioned_at: Some(secs(self.commissioned)),
            decommissioned_at: self.decommissioned.map(secs),
            updated_at: secs(0),
        };
        let assignment = AssignmentRow {
            kiosk: kiosk.id.clone(),
            group: GroupKind::Engineer,
            group_id: self.engineer.into(),
            from: secs(0),
            to: None,
            said: None,
        };
        let always = IntervalSet::always();
        let models: Vec<&AssignmentRow> = known_before(&self.models, received_before).collect();
        let assignments: Vec<&AssignmentRow> = [&assignment].into_iter().chain(models).collect();
        let booking = Booking {
            month: self.month,
            kiosk: &kiosk,
            owners: &self.contracts().divide(owners(&kiosk, &assignments), received_before),
            corrected: &self.contracts().corrected(&site, received_before),
            remodeled: &models_told(assignments.iter().copied()),
            target: self.promised,
            inputs: Inputs {
                period: self.month.period(Shanghai),
                as_of: Some(now),
                service: &always,
                commissioned: &crate::uptime::Commissioned::of([crate::change::ServiceSpan::of(&kiosk)])
                    .counted(),
                exclusions: &self.exclusions,
                server_down: &IntervalSet::empty(),
                evidence: &self.evidence,
                received_before,
            },
        };
        booking.book(version, secs(now))
    }

    /// The bookkeeper passes by; what changed.
    fn look(&mut self, now: i64) -> Vec<Change> {
        self.look_after(taken(now - self.end(), now), now)
    }

    /// The same, by a server that has taken in no more than this.
    fn look_after(&mut self, intake: Intake, now: i64) -> Vec<Change> {
        let freeze = TERMS.freeze_at(self.end());
        let stored = Stored { rows: &self.rows, restatements: &self.restatements };
        let due = must_sign(secs(now), &TERMS, self.end(), &stored, intake);
        let fresh = Fresh {
            contracts: &self.contracts(),
            current: self.book(0, None, now),
            signed: due.then(|| self.book(1, Some(freeze), now)),
        };
        let mut ids = self.ids.clone();
        let changes = keep(secs(now), &TERMS, self.end(), &stored, &fresh, &mut ids);
        self.ids = ids;
        self.apply(&changes);
        changes
    }

    fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Month(row) => {
                    let same = |old: &MonthRow| old.version == row.version && owner(old) == owner(row);
                    let signed = row.version > 0 && self.rows.iter().any(same);
                    assert!(!signed, "a signed version was written again: {row:?}");
                    self.rows.retain(|old| !same(old));
                    self.rows.push((**row).clone());
                }
                Change::Restatement(row) => {
                    self.restatements.retain(|old| old.id != row.id);
                    self.restatements.push((**row).clone());
                }
                Change::Audit(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn down(&self, version: u32) -> i64 {
        let stored = Stored { rows: &self.rows, restatements: &[] };
        let avail = total(&stored.version(version)).figures.avail;
        avail.den - avail.num
    }

    fn states(&self) -> Vec<RestatementState> {
        self.restatements.iter().map(|row| row.state).collect()
    }

    fn decide(&mut self, by: &str, approve: bool, now: i64) -> Result<(), Refusal> {
        let stored = Stored { rows: &self.rows, restatements: &self.restatements };
        let proposal = self.restatements.last().unwrap();
        let verdict = Verdict { approve, reason: "the journal was read".into() };
        let actor = Actor { name: by.into() };
        let known = (&stored, &self.contracts());
        let changes = decide(secs(now), &TERMS, &actor, proposal, known, &verdict)?;
        assert!(matches!(&changes[changes.len() - 2], Change::Audit(row) if row.actor == by));
        self.apply(&changes);
        Ok(())
    }

    /// Signed with ten hours down; then a late journal proves half of them up.
    fn contradicted() -> Self {
        let mut ledger = Self::october();
        ledger.look(ledger.end() + 24 * HOUR);
        let (from, recv) = (ledger.end() - 10 * HOUR, ledger.end() + 72 * HOUR);
        ledger.claim(from, from + 5 * HOUR, Some(recv));
        ledger.look(recv);
        ledger
    }
}

#[test]
fn a_month_is_signed_at_its_freeze_and_not_a_second_before() {
    let mut ledger = Ledger::october();
    let end = ledger.end();
    ledger.look(end - HOUR);
    assert_eq!((ledger.rows.len(), ledger.down(0)), (1, 9 * HOUR));
    // Late, but not too late: an open month corrects itself.
    ledger.claim(end - 10 * HOUR, end - 9 * HOUR, Some(end + 24 * HOUR - 1));
    // Too late by a second.
    ledger.claim(end - 9 * HOUR, end - 8 * HOUR, Some(end + 24 * HOUR));
    ledger.look(end + 24 * HOUR - 1);
    assert_eq!(ledger.rows.len(), 1);
    ledger.look(end + 24 * HOUR);
    assert_eq!((ledger.down(0), ledger.down(1)), (8 * HOUR, 9 * HOUR), "known now beside signed");
    assert!(ledger.states().is_empty());
    ledger.look(end + 25 * HOUR);
    assert_eq!(ledger.states(), [RestatementState::Proposed]);
    assert!(ledger.restatements[0].why.ends_with("evidence"), "{}", ledger.restatements[0].why);
}

#[test]
fn a_clock_that_jumped_past_the_freeze_signs_nothing_before_journals_had_their_time() {
    let mut ledger = Ledger::october();
    let end = ledger.end();
    let years_later = end + 10 * 365 * 24 * HOUR;
    ledger.look_after(taken(0, years_later), years_later);
    ledger.look_after(taken(24 * HOUR - 1, years_later + 24 * HOUR - 1), years_later + 24 * HOUR - 1);
    assert!(ledger.rows.iter().all(|row| row.version == 0), "{:?}", ledger.rows);
    ledger.look_after(taken(24 * HOUR, years_later + 24 * HOUR), years_later + 24 * HOUR);
    assert_eq!(ledger.rows.iter().map(|row| row.version).max(), Some(1));
}

#[test]
fn a_month_signed_by_a_clock_far_ahead_is_restated_once_it_is_over_and_not_while_it_runs() {
    let mut ledger = Ledger::october();
    let end = ledger.end();
    // Signed in the middle of the month, an hour of silence in it that a journal explains later.
    let middle = end - 15 * 24 * HOUR;
    ledger.evidence[0].to = middle - HOUR;
    let signed = ledger.book(1, Some(middle), middle);
    ledger.rows = signed.rows;
    ledger.evidence[0].to = end;
    for now in [middle + HOUR, end - 1] {
        ledger.look(now);
        assert_eq!(ledger.states(), [], "the clock is right again, and the month runs");
    }
    ledger.look(end);
    assert_eq!(ledger.states(), [RestatementState::Proposed]);
    let early = ledger.decide("boss", true, end - 1).unwrap_err();
    assert!(early.reason.contains("not over"), "{}", early.reason);
    ledger.decide("boss", true, end).unwrap();
    assert_eq!(ledger.down(2), 0);
}

#[test]
fn the_same_figures_again_change_nothing() {
    let mut ledger = Ledger::contradicted();
    let now = ledger.end() + 73 * HOUR;
    assert_eq!(ledger.look(now), []);
    assert_eq!(ledger.states(), [RestatementState::Proposed]);
}

#[test]
fn rows_of_a_server_that_did_not_note_causes_are_booked_with_them_and_what_was_signed_stays() {
    let mut ledger = Ledger::contradicted();
    let now = ledger.end() + 73 * HOUR;
    let (booked, proposals) = (ledger.rows.clone(), ledger.restatements.clone());
    ledger.rows.iter_mut().for_each(|row| row.sums.outages_by_cause.clear());
    let changes = ledger.look(now);
    let [Change::Month(renewed)] = changes.as_slice() else { panic!("{changes:?}") };
    let before = booked.iter().find(|row| row.version == 0).unwrap();
    assert_eq!(renewed.sums, before.sums);
    assert_eq!((renewed.version, &renewed.fingerprint), (0, &before.fingerprint), "nothing else is new");
    let signed = ledger.rows.iter().find(|row| row.version == 1).unwrap();
    assert_eq!(signed.sums.not_told_by_cause(), signed.sums.outages);
    assert_eq!(ledger.restatements, proposals, "no figure of a contract is another one");
    assert_eq!(ledger.look(now), []);
}

#[test]
fn forgiven_time_stands_beside_the_raw_figure() {
    let mut ledger = Ledger::october();
    let end = ledger.end();
    ledger.exclusions = IntervalSet::of(crate::interval::Interval::new(end - 4 * HOUR, end));
    ledger.look(end + 24 * HOUR);
    let sums = &ledger.rows.iter().find(|row| row.version == 1).unwrap().sums;
    assert_eq!((sums.excluded_s, ledger.down(1)), (4 * HOUR, 6 * HOUR));
    assert_eq!(sums.raw_avail.den - sums.raw_avail.num, 10 * HOUR);
    assert_eq!((sums.outages, sums.longest_outage_s), (1, 6 * HOUR));
}

#[test]
fn a_month_that_became_empty_before_its_freeze_is_signed_with_nothing() {
    let mut ledger = Ledger::october();
    let end = ledger.end();
    ledger.look(end - HOUR);
    ledger.commissioned = end;
    ledger.look(end + HOUR);
    assert_eq!((ledger.rows.len(), &ledger.rows[0].sums), (1, &MonthSums::default()));
    ledger.look(end + 24 * HOUR);
    let signed: Vec<_> = ledger.rows.iter().filter(|row| row.version == 1).collect();
    assert_eq!((signed.len(), &signed[0].sums), (1, &MonthSums::default()));
    assert_eq!(ledger.look(end + 25 * HOUR), []);
}

#[test]
fn a_month_is_not_signed_while_something_received_before_its_freeze_waits_to_be_committed() {
    let mut ledger = Ledger::october();
    let (end, freeze) = (ledger.end(), ledger.end() + 24 * HOUR);
    ledger.look_after(taken(30 * HOUR, freeze - 1), freeze + 40);
    assert_eq!(ledger.rows.iter().map(|row| row.version).max(), Some(0));
    // It was in the queue: received in time, stored late.
    ledger.claim(end - 10 * HOUR, end, Some(freeze - 1));
    ledger.look_after(taken(30 * HOUR, freeze), freeze + 50);
    assert_eq!(ledger.down(1), 0);
}

#[test]
fn a_month_is_not_signed_while_evidence_of_it_is_in_memory_only() {
    let mut ledger = Ledger::october();
    let (end, freeze) = (ledger.end(), ledger.end() + 24 * HOUR);
    let refused = |since| Intake { unstored_since: Some(since), ..taken(24 * HOUR, freeze) };
    ledger.look_after(refused(secs(end).plus_ms(-1)), freeze);
    assert_eq!(ledger.rows.iter().map(|row| row.version).max(), Some(0));
    // Of a later month: it says nothing about this one.
    ledger.look_after(refused(secs(end)), freeze);
    assert_eq!(ledger.rows.iter().map(|row| row.version).max(), Some(1));
}
