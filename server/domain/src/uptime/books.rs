//! The books: when a month is signed, when a signed one deserves another version, and who may say so
//! ("uptime definition 2.8").
//!
//! Everything is decided from rows: what is stored of a kiosk's month, and what it comes to now. What changes
//! is given back as [`Change`]s. A signed version is never among the things that change.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use kioskwatch_proto::limits::MAX_TEXT_CHARS;
use kioskwatch_proto::{SiteId, Timestamp};

use super::booking::{Booked, Owner, changed_inputs, contract, owner, tells_models};
use super::contracts::{Contract, Contracts};
use super::figures::Figures;
use super::hurdle::Hurdle;
use super::month::Month;
use super::restate::{self, FREEZE_HOURS, RESTATE_DAYS};
use crate::change::{AuditRow, Change, Decided, MonthRow, MonthSums, RestatementRow, RestatementState};
use crate::fleet::{Actor, Refusal, RefusalKind};
use crate::ids::Ids;
use crate::interval::Interval;

/// Who appears in the audit where no person decided.
pub const BOOKKEEPER: &str = "kioskwatch";

/// The contract's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    pub freeze_hours: i64,
    pub restate_days: i64,
}

impl Default for Terms {
    fn default() -> Self {
        Self { freeze_hours: FREEZE_HOURS, restate_days: RESTATE_DAYS }
    }
}

impl Terms {
    /// The second at which a month is fixed; what arrives then or later is late.
    #[must_use]
    pub const fn freeze_at(&self, period_to: i64) -> i64 {
        restate::freeze_at(period_to, self.freeze_hours)
    }

    /// The oldest month that is not fixed: the last one until its freeze, which comes within the next.
    #[must_use]
    pub fn oldest_open(&self, zone: Tz, now: Timestamp) -> Month {
        let running = Month::at(zone, now.secs());
        let last = running.previous();
        if now.secs() < self.freeze_at(last.period(zone).to) { last } else { running }
    }

    /// Whether nothing can come of looking at the month again.
    #[must_use]
    pub const fn is_closed(&self, period_to: i64, now: Timestamp) -> bool {
        now.secs() >= restate::proposals_until(period_to, self.restate_days)
    }
}

/// What is stored of one kiosk's month.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stored<'a> {
    /// Every version.
    pub rows: &'a [MonthRow],
    /// Every proposal.
    pub restatements: &'a [RestatementRow],
}

impl<'a> Stored<'a> {
    /// The highest signed version; 0 while there is none.
    #[must_use]
    pub fn signed_version(&self) -> u32 {
        self.rows.iter().map(|row| row.version).max().unwrap_or(0)
    }

    #[must_use]
    pub fn version(&self, version: u32) -> Vec<&'a MonthRow> {
        self.rows.iter().filter(|row| row.version == version).collect()
    }

    fn proposed(&self) -> Option<&'a RestatementRow> {
        self.restatements.iter().find(|row| row.state == RestatementState::Proposed)
    }
}

/// What a kiosk's month comes to now.
#[derive(Debug, Clone)]
pub struct Fresh<'a> {
    /// To whom its sites belonged when, as is known now.
    pub contracts: &'a Contracts,
    /// From everything known: version 0.
    pub current: Booked,
    /// From what was known at the freeze: version 1. Wanted when [`must_sign`] says so.
    pub signed: Option<Booked>,
}

/// What the server has taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intake {
    /// For how many seconds it has been receiving since the month ended. As many as the freeze waits: a clock
    /// that jumped past the freeze gave late journals no time to arrive, and what is signed cannot be taken back.
    pub listened_s: i64,
    /// Everything received before this instant is committed: what waits in a queue at the freeze was in time.
    pub committed_to: Timestamp,
    /// Since when evidence of this kiosk is in memory only, because the store refuses it: it would be gone with the
    /// process, and with it what a signature rests on.
    pub unstored_since: Option<Timestamp>,
}

/// Whether the month is due to be signed and is not.
#[must_use]
pub fn must_sign(now: Timestamp, terms: &Terms, period_to: i64, stored: &Stored<'_>, intake: Intake) -> bool {
    is_unsigned(now, terms, period_to, stored)
        && intake.listened_s >= terms.freeze_at(0)
        && intake.committed_to.secs() >= terms.freeze_at(period_to)
        && intake.unstored_since.is_none_or(|since| since.secs() >= period_to)
}

fn is_unsigned(now: Timestamp, terms: &Terms, period_to: i64, stored: &Stored<'_>) -> bool {
    now.secs() >= terms.freeze_at(period_to) && stored.signed_version() == 0
}

/// Brings the books of one kiosk's month up to date. Idempotent: with the same fresh figures nothing follows.
#[must_use]
pub fn keep(
    now: Timestamp,
    terms: &Terms,
    period_to: i64,
    stored: &Stored<'_>,
    fresh: &Fresh<'_>,
    ids: &mut Ids,
) -> Vec<Change> {
    let mut changes = Vec::new();
    replace_current(stored, &fresh.current, &mut changes);
    if let Some(signed) = fresh.signed.as_ref().filter(|_| is_unsigned(now, terms, period_to, stored)) {
        // A month that became empty is signed with nothing: it would stay open for ever in every group. As is one of
        // which it was said only after the freeze that the kiosk counted.
        let booked = stored.version(0).into_iter().chain(&fresh.current.rows);
        let booked: BTreeMap<Owner, &MonthRow> = booked.map(|row| (owner(row), row)).collect();
        let emptied = signed.emptied(&booked.into_values().collect::<Vec<_>>());
        let rows = if signed.rows.is_empty() { &emptied } else { &signed.rows };
        changes.extend(rows.iter().cloned().map(|row| Change::Month(Box::new(row))));
        return changes;
    }
    let version = stored.signed_version();
    // One that was signed by a clock far ahead and still runs is held against what it came to once it is over.
    if version > 0 && period_to <= now.secs() {
        propose(now, terms, period_to, (stored, version), fresh, ids, &mut changes);
    }
    changes
}

/// A share that is no longer anybody's is booked with nothing: sums over the month stay right.
fn replace_current(stored: &Stored<'_>, current: &Booked, changes: &mut Vec<Change>) {
    let before = stored.version(0);
    let known: BTreeMap<Owner, &MonthRow> = before.iter().map(|row| (owner(row), *row)).collect();
    let same = |row: &MonthRow| {
        known.get(&owner(row)).is_some_and(|old| {
            let booked_at = row.booked_at;
            **old == *row || MonthRow { booked_at, ..(*old).clone() } == *row
        })
    };
    let rows = current.rows.iter().cloned().chain(current.emptied(&before));
    changes.extend(rows.filter(|row| !same(row)).map(|row| Change::Month(Box::new(row))));
}

fn propose(
    now: Timestamp,
    terms: &Terms,
    period_to: i64,
    (stored, version): (&Stored<'_>, u32),
    fresh: &Fresh<'_>,
    ids: &mut Ids,
    changes: &mut Vec<Change>,
) {
    if terms.is_closed(period_to, now) {
        changes.extend(expire(now, terms, period_to, stored));
        return;
    }
    let official = stored.version(version);
    let open = stored.proposed();
    let Some(base) = official.first() else { return };
    let (current, proposed) = (&fresh.current.rows, &fresh.current.nothing);
    let fingerprint = &proposed.fingerprint;
    let decided = |row: &&RestatementRow| {
        row.base_version == version
            && row.fingerprint == *fingerprint
            && matches!(row.state, RestatementState::Proposed | RestatementState::Rejected)
    };
    let restated = as_signed(&current.iter().collect::<Vec<_>>(), &official, fresh.contracts);
    let wanted = fingerprint != &base.fingerprint && is_material(&official, &restated);
    if wanted && stored.restatements.iter().any(|row| decided(&row)) {
        // Waits already, or somebody has seen exactly this and said no.
        let other = open.filter(|row| row.fingerprint != *fingerprint);
        changes.extend(other.map(|row| end(row, RestatementState::Superseded)));
        return;
    }
    changes.extend(open.map(|row| end(row, RestatementState::Superseded)));
    if !wanted {
        return;
    }
    let why = changed_inputs(&base.inputs, &proposed.inputs).join(", ");
    let row = RestatementRow {
        id: ids.uuid(now),
        kiosk: proposed.kiosk.clone(),
        month: proposed.month,
        base_version: version,
        state: RestatementState::Proposed,
        fingerprint: fingerprint.clone(),
        why: format!("since version {version} was signed, this changed: {why}"),
        before: shared_json(&shares(&official)),
        after: shared_json(&shares(&restated.iter().collect::<Vec<_>>())),
        proposed_at: now,
        decided: None,
    };
    let object = format!("uptime/{}/{}", row.kiosk, row.month);
    changes.push(audit(now, BOOKKEEPER, "restatement.propose", object, detail(&row, &row.why)));
    changes.push(Change::Restatement(Box::new(row)));
}

/// The end of a proposal that nobody decided in its days.
#[must_use]
pub fn expire(now: Timestamp, terms: &Terms, period_to: i64, stored: &Stored<'_>) -> Option<Change> {
    let open = stored.proposed().filter(|_| terms.is_closed(period_to, now));
    open.map(|row| end(row, RestatementState::Expired))
}

fn end(row: &RestatementRow, state: RestatementState) -> Change {
    Change::Restatement(Box::new(RestatementRow { state, ..row.clone() }))
}

/// Whether any contract ratio of the kiosk or of one of its owners, or what it weighs in a group, moved enough to be seen in
/// a report.
fn is_material(official: &[&MonthRow], restated: &[MonthRow]) -> bool {
    let (before, after) = (shares(official), shares(&restated.iter().collect::<Vec<_>>()));
    let whole = |shares: &Shares| shares.values().map(|sums| &sums.figures).sum::<Figures>();
    let moved = |one: &Owner| {
        let figures =
            |shares: &Shares| shares.get(one).map_or_else(Figures::default, |sums| sums.figures.clone());
        restate::proposal(&figures(&before), &figures(&after)).is_some()
    };
    restate::proposal(&whole(&before), &whole(&after)).is_some()
        || before.keys().chain(after.keys()).any(moved)
}

/// What a person says to a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub approve: bool,
    pub reason: String,
}

/// Why `name` may not decide about a proposal; `None`: nothing but the role.
#[must_use]
pub fn hurdle(name: &str, proposal: &RestatementRow, stored: &Stored<'_>) -> Option<Hurdle> {
    if proposal.state != RestatementState::Proposed {
        return Some(Hurdle::DecidedAlready(proposal.state.as_str()));
    }
    let (current, signed) = (stored.version(0), stored.version(stored.signed_version()));
    let measured = current.iter().chain(&signed).any(|row| row.engineer.as_deref() == Some(name));
    measured.then_some(Hurdle::MeasuresYou)
}

/// A proposal approved becomes the next version, with exactly the figures that were shown. `contracts`: of the sites of
/// its month, as is known now.
///
/// # Errors
/// Decided already, newer evidence, too late, no reason, or somebody whom the figures measure.
pub fn decide(
    now: Timestamp,
    terms: &Terms,
    actor: &Actor,
    proposal: &RestatementRow,
    (stored, contracts): (&Stored<'_>, &Contracts),
    verdict: &Verdict,
) -> Result<Vec<Change>, Refusal> {
    let reason = stated(&verdict.reason)?;
    if let Some(hurdle) = hurdle(&actor.name, proposal, stored) {
        return Err(hurdle.into());
    }
    let current = stored.version(0);
    let version = stored.signed_version();
    let (state, action) = match verdict.approve {
        true => (RestatementState::Approved, "restatement.approve"),
        false => (RestatementState::Rejected, "restatement.reject"),
    };
    let mut changes = Vec::new();
    if verdict.approve {
        let shown = current.iter().all(|row| row.fingerprint == proposal.fingerprint);
        if current.is_empty() || !shown || version != proposal.base_version {
            let why = "more came in since it was proposed: look at the proposal that follows";
            return Err(refuse(RefusalKind::Conflict, why));
        }
        if current.iter().any(|row| row.period_to > now) {
            return Err(refuse(RefusalKind::Conflict, "the month is not over"));
        }
        if current.iter().any(|row| terms.is_closed(row.period_to.secs(), now)) {
            return Err(refuse(RefusalKind::Conflict, "the days for restating this month are over"));
        }
        let all_empty = !current.iter().any(|row| row.has_time());
        let shares: Vec<&MonthRow> = current.into_iter().filter(|row| all_empty || row.has_time()).collect();
        changes.extend(
            as_signed(&shares, &stored.version(version), contracts)
                .into_iter()
                .map(|row| Change::Month(Box::new(MonthRow { version: version + 1, booked_at: now, ..row }))),
        );
    }
    let decided = Some(Decided { by: actor.name.clone(), at: now, reason: reason.to_owned() });
    let object = format!("uptime/{}/{}", proposal.kiosk, proposal.month);
    changes.push(audit(now, &actor.name, action, object, detail(proposal, reason)));
    changes.push(Change::Restatement(Box::new(RestatementRow { state, decided, ..proposal.clone() })));
    Ok(changes)
}

/// Only seconds are restated: when a month was fixed, what was promised for it and to whom it belonged stay as they were
/// signed, whatever is registered by now.
///
/// What a site is to the contract one person never changes for time that has been: to whom it belonged in a month that was signed
/// since that is kept (schema 20) is known, and holds also where the kiosk did not count in all of it. Of a month that
/// was signed before, to somebody to whom by what is known now the site never belonged in it, what was signed counts,
/// but for what two people said of it since.
///
/// The model is the one that was signed, but where it changed within the month, or two people said which it was: one that
/// is registered anew is none of a month that is over.
fn as_signed(rows: &[&MonthRow], signed: &[&MonthRow], contracts: &Contracts) -> Vec<MonthRow> {
    let Some(any) = signed.first() else { return rows.iter().map(|row| (*row).clone()).collect() };
    let period = Interval::new(any.period_from.secs(), any.period_to.secs());
    let is_known =
        |one: &MonthRow| one.site.as_ref().is_some_and(|site| contracts.held(site, &contract(one), period));
    let mut restated: BTreeMap<Owner, MonthRow> = BTreeMap::new();
    for row in rows {
        let there: Vec<&MonthRow> = signed.iter().filter(|one| one.site == row.site).copied().collect();
        let is_kept = there.iter().any(|one| is_known(one));
        let its = there.iter().find(|one| one.engineer == row.engineer).or(there.first());
        let is_told = |site| contracts.was_corrected_to(site, &contract(row), period);
        let is_kept = is_kept || row.site.as_ref().is_some_and(is_told);
        let belonged = its.filter(|_| !is_kept).unwrap_or(row);
        let Contract { region, customer } = contract(belonged);
        let (target, frozen_at) = (any.target, any.frozen_at);
        let model = if tells_models(&row.inputs) { &row.model } else { &any.model }.clone();
        let row = MonthRow { region, customer, model, target, frozen_at, ..(*row).clone() };
        restated
            .entry(owner(&row))
            .and_modify(|one| one.sums = [&one.sums, &row.sums].into_iter().sum())
            .or_insert(row);
    }
    // Reachability is of the line as it was signed ("uptime definition 2.7"); only another time has another one.
    for row in restated.values_mut() {
        let time = |one: &MonthRow| (owner(one), one.sums.figures.accountable_s);
        if let Some(one) = signed.iter().find(|one| time(one) == time(row)) {
            row.sums.figures.online = one.sums.figures.online;
        }
    }
    restated.into_values().collect()
}

/// A reason as it is kept.
///
/// # Errors
/// There is none, or it is longer than any text.
pub fn stated(reason: &str) -> Result<&str, Refusal> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_TEXT_CHARS {
        return Err(refuse(RefusalKind::Invalid, format!("a reason has 1 to {MAX_TEXT_CHARS} characters")));
    }
    Ok(reason)
}

pub(super) fn refuse(kind: RefusalKind, reason: impl Into<String>) -> Refusal {
    Refusal { kind, rule: "2.8", reason: reason.into() }
}

pub(super) fn audit(now: Timestamp, actor: &str, action: &str, object: String, detail: String) -> Change {
    Change::Audit(AuditRow { at: now, actor: actor.to_owned(), action: action.to_owned(), object, detail })
}

fn detail(row: &RestatementRow, reason: &str) -> String {
    serde_json::json!({
        "restatement": row.id, "base_version": row.base_version, "fingerprint": row.fingerprint,
        "reason": reason, "before": json(&row.before), "after": json(&row.after),
    })
    .to_string()
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// The sum of a kiosk's rows of one version.
#[must_use]
pub fn total(rows: &[&MonthRow]) -> MonthSums {
    rows.iter().map(|row| &row.sums).sum()
}

/// What each owner has of a kiosk's period.
pub type Shares = BTreeMap<Owner, MonthSums>;

/// Of those with time in it.
fn shares(rows: &[&MonthRow]) -> Shares {
    let mut shares = Shares::new();
    for row in rows.iter().filter(|row| row.has_time()) {
        let share = shares.entry(owner(row)).or_default();
        *share = [&*share, &row.sums].into_iter().sum();
    }
    shares
}

/// The contract ratios of the whole, and beside them those of each share: where only the owner changes the whole stays.
#[must_use]
pub fn shared_json(shares: &Shares) -> String {
    let mut told = told(&shares.values().sum());
    let share = |(owner, sums): (&Owner, &MonthSums)| {
        let mut share = self::told(sums);
        share["site"] = owner.site.as_ref().map(SiteId::as_str).into();
        share["engineer"] = owner.engineer.clone().into();
        share["region"] = owner.contract.region.clone().into();
        share["customer"] = owner.contract.customer.clone().into();
        share["model"] = owner.model.clone().into();
        share
    };
    told["shares"] = shares.iter().map(share).collect();
    told.to_string()
}

/// The contract ratios as they stand in proposals and audit entries.
#[must_use]
pub fn figures_json(sums: &MonthSums) -> String {
    told(sums).to_string()
}

fn told(sums: &MonthSums) -> serde_json::Value {
    let figures = &sums.figures;
    let ratio = |ratio: super::Ratio| serde_json::json!({ "num": ratio.num, "den": ratio.den });
    serde_json::json!({
        "accountable_s": figures.accountable_s, "excluded_s": sums.excluded_s,
        "on": ratio(figures.on), "avail": ratio(figures.avail), "full": ratio(figures.full),
        "engineer_kpi": ratio(figures.engineer_kpi()),
    })
}

#[cfg(test)]
mod tests;
