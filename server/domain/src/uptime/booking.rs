//! A kiosk's month as rows: who owned which second, what they sum up to, and from what it was computed.

use std::collections::BTreeMap;

use kioskwatch_proto::{KioskId, SiteId, Timestamp};
use sha2::{Digest as _, Sha256};

use super::causes::Cause;
use super::commissioned::Commissioned;
use super::contracts::Contract;
use super::evidence::Evidence;
use super::month::Month;
use super::outages::Outage;
use super::sweep::{Inputs, Timeline};
use crate::change::{AssignmentRow, GroupKind, KioskRow, MonthRow, MonthSums};
use crate::interval::{Interval, IntervalSet};

/// Who owns a second of a kiosk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Owner {
    pub site: Option<SiteId>,
    pub engineer: Option<String>,
    /// What the site was to it then.
    pub contract: Contract,
    /// Which model the kiosk was; empty: none that anybody named.
    pub model: String,
}

/// Divides all of time among owners, without overlap and without a rest: groups add up to the whole.
///
/// Of two assignments that overlap, the one that began later holds: the kiosk was moved and nobody wrote down
/// that it left. A kiosk whose moves were never written down belongs where it stands: `assignments` hold its first
/// site, also one before or behind the time in question. Before that, and between two sites, it is nobody's.
/// A kiosk of which no other model was ever noted was always the one that is registered.
/// What two people said since of a time holds in all of it, and what they said last, which stands behind the others,
/// over what they said before.
/// Whom the sites belonged to is not known here: [`super::contracts::Contracts::divide`].
#[must_use]
pub fn owners(kiosk: &KioskRow, assignments: &[&AssignmentRow]) -> Vec<(Owner, IntervalSet)> {
    let mut sites = shares_of(assignments, GroupKind::Site);
    if let Some(home) = kiosk.site.as_ref().filter(|_| sites.is_empty()) {
        sites.insert(home.to_string(), IntervalSet::always());
    }
    correct(&mut sites, assignments, GroupKind::Site);
    let mut engineers = shares_of(assignments, GroupKind::Engineer);
    correct(&mut engineers, assignments, GroupKind::Engineer);
    let mut models = shares_of(assignments, GroupKind::Model);
    if !assignments.iter().any(|row| row.group == GroupKind::Model && row.said.is_none()) {
        models.insert(kiosk.model.clone(), IntervalSet::always());
    }
    correct(&mut models, assignments, GroupKind::Model);
    models.remove("");
    let with_rest = |shares: BTreeMap<String, IntervalSet>| {
        let owned = shares.values().fold(IntervalSet::empty(), |all, one| all.union(one));
        let rest = IntervalSet::always().subtract(&owned);
        shares.into_iter().map(|(id, set)| (Some(id), set)).chain([(None, rest)]).collect::<Vec<_>>()
    };
    let (engineers, models) = (with_rest(engineers), with_rest(models));
    let mut out = Vec::new();
    for (site, there) in with_rest(sites) {
        let site: Option<SiteId> = site.as_deref().and_then(|id| id.parse().ok());
        for (engineer, theirs) in &engineers {
            let held = there.intersect(theirs);
            for (model, was) in models.iter().filter(|_| !held.is_empty()) {
                let set = held.intersect(was);
                if !set.is_empty() {
                    let (engineer, model) = (engineer.clone(), model.clone().unwrap_or_default());
                    out.push((
                        Owner { site: site.clone(), engineer, model, contract: Contract::default() },
                        set,
                    ));
                }
            }
        }
    }
    out
}

/// The time of which two people said which model a kiosk was.
#[must_use]
pub fn models_told<'a>(assignments: impl IntoIterator<Item = &'a AssignmentRow>) -> IntervalSet {
    let told = assignments.into_iter().filter(|row| row.group == GroupKind::Model && row.said.is_some());
    told.map(|row| super::rows::span(row.from, row.to)).collect()
}

/// Counted time of a kiosk whose stand was never written down: it belongs where the kiosk is registered, and to its
/// first site once it gets one.
#[must_use]
pub fn unassigned(kiosk: &KioskId, counted: &Commissioned, assignments: &[AssignmentRow]) -> IntervalSet {
    let its: Vec<&AssignmentRow> = assignments.iter().filter(|row| row.kiosk == *kiosk).collect();
    match shares_of(&its, GroupKind::Site).is_empty() {
        true => counted.counted(),
        false => IntervalSet::empty(),
    }
}

fn shares_of(assignments: &[&AssignmentRow], group: GroupKind) -> BTreeMap<String, IntervalSet> {
    let noted = |row: &&&AssignmentRow| row.group == group && row.said.is_none();
    let mut rows: Vec<_> = assignments.iter().filter(noted).collect();
    rows.sort_by(|a, b| (b.from, &b.group_id).cmp(&(a.from, &a.group_id)));
    let mut taken = IntervalSet::empty();
    let mut shares: BTreeMap<String, IntervalSet> = BTreeMap::new();
    for row in rows {
        let mine = IntervalSet::of(super::rows::span(row.from, row.to));
        let free = mine.subtract(&taken);
        taken = taken.union(&mine);
        if !free.is_empty() {
            let share = shares.entry(row.group_id.clone()).or_default();
            *share = share.union(&free);
        }
    }
    shares
}

fn correct(shares: &mut BTreeMap<String, IntervalSet>, assignments: &[&AssignmentRow], group: GroupKind) {
    let said = |row: &&&AssignmentRow| row.group == group && row.said.is_some();
    for row in assignments.iter().filter(said) {
        let span = IntervalSet::of(super::rows::span(row.from, row.to));
        shares.values_mut().for_each(|share| *share = share.subtract(&span));
        if !row.group_id.is_empty() {
            let share = shares.entry(row.group_id.clone()).or_default();
            *share = share.union(&span);
        }
    }
}

/// What was known before a second of where a kiosk stood, who answered for it and which model it was; `None`: what is.
pub fn known_before(rows: &[AssignmentRow], second: Option<i64>) -> impl Iterator<Item = &AssignmentRow> {
    rows.iter().filter(move |row| match (row.said, second) {
        (Some(said), Some(limit)) => said.secs() < limit,
        _ => true,
    })
}

/// A kiosk's month, ready to be booked.
#[derive(Debug)]
pub struct Booking<'a> {
    pub month: Month,
    pub kiosk: &'a KioskRow,
    pub owners: &'a [(Owner, IntervalSet)],
    /// The time of which two people said to whom its site belonged.
    pub corrected: &'a IntervalSet,
    /// The time of which two people said which model it was.
    pub remodeled: &'a IntervalSet,
    /// Availability's target.
    pub target: (i64, i64),
    pub inputs: Inputs<'a>,
}

/// A kiosk's month as rows of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booked {
    /// One for each owner with time in the period.
    pub rows: Vec<MonthRow>,
    /// The row of an owner without time in the period: all have the fingerprint of the whole.
    pub nothing: MonthRow,
}

impl Booked {
    /// The rows of those who had a share before and have none now.
    #[must_use]
    pub fn emptied(&self, before: &[&MonthRow]) -> Vec<MonthRow> {
        let gone = before.iter().filter(|old| !self.rows.iter().any(|row| owner(row) == owner(old)));
        gone.map(|old| MonthRow {
            site: old.site.clone(),
            engineer: old.engineer.clone(),
            region: old.region.clone(),
            customer: old.customer.clone(),
            model: old.model.clone(),
            ..self.nothing.clone()
        })
        .collect()
    }
}

/// Whose share a row is.
#[must_use]
pub fn owner(row: &MonthRow) -> Owner {
    let (site, engineer, model) = (row.site.clone(), row.engineer.clone(), row.model.clone());
    Owner { site, engineer, contract: contract(row), model }
}

/// Under which contract it was booked.
pub(super) fn contract(row: &MonthRow) -> Contract {
    Contract { region: row.region.clone(), customer: row.customer.clone() }
}

impl Booking<'_> {
    /// `version` 0 and above as [`MonthRow`] says.
    #[must_use]
    pub fn book(&self, version: u32, now: Timestamp) -> Booked {
        let measured = Measured::of(&self.inputs);
        let prints = Fingerprint::of(self);
        let elapsed = self.inputs.elapsed_period();
        let nothing = MonthRow {
            version,
            model: self.kiosk.model.clone(),
            as_of: at(elapsed.to.max(elapsed.from)),
            frozen_at: self.inputs.received_before.map(at),
            target: self.target,
            fingerprint: prints.whole,
            inputs: prints.parts,
            ..MonthRow::nothing(self.kiosk.id.clone(), self.month, self.inputs.period, now)
        };
        let mut rows = Vec::new();
        for (owner, set) in self.owners {
            if measured.open.intersect(set).is_empty() {
                continue;
            }
            rows.push(MonthRow {
                site: owner.site.clone(),
                engineer: owner.engineer.clone(),
                region: owner.contract.region.clone(),
                customer: owner.contract.customer.clone(),
                model: owner.model.clone(),
                sums: measured.within(set),
                ..nothing.clone()
            });
        }
        Booked { rows, nothing }
    }
}

/// The figures of a kiosk's period, as far as it lies in a set.
#[must_use]
pub fn measure(inputs: &Inputs<'_>, set: &IntervalSet) -> MonthSums {
    Measured::of(inputs).within(set)
}

/// A period swept once, to be shared out.
struct Measured {
    timeline: Timeline,
    /// As if nothing had been forgiven.
    raw: Timeline,
    outages: Vec<Outage>,
    /// Service hours while commissioned.
    open: IntervalSet,
    excluded: IntervalSet,
}

impl Measured {
    fn of(inputs: &Inputs<'_>) -> Self {
        let timeline = Timeline::build(inputs);
        let open = inputs.service.clip(inputs.elapsed_period()).intersect(inputs.commissioned);
        let excluded = open.intersect(inputs.exclusions);
        let nothing = IntervalSet::empty();
        let raw = if excluded.is_empty() {
            timeline.clone()
        } else {
            Timeline::build(&Inputs { exclusions: &nothing, ..*inputs })
        };
        Self { outages: timeline.outages(), timeline, raw, open, excluded }
    }

    fn within(&self, set: &IntervalSet) -> MonthSums {
        let unforgiven = self.raw.within(set).figures();
        let mut by_cause: BTreeMap<Cause, i64> = BTreeMap::new();
        let began = self.outages.iter().filter(|outage| set.contains(outage.from));
        began.for_each(|outage| *by_cause.entry(outage.cause).or_default() += 1);
        let mine = self.timeline.within(set);
        let (longest_outage_s, longest_outage_at) = mine.longest_of(&self.outages).unzip();
        MonthSums {
            figures: mine.figures(),
            excluded_s: self.excluded.intersect(set).length(),
            raw_on: unforgiven.on,
            raw_avail: unforgiven.avail,
            raw_full: unforgiven.full,
            outages: by_cause.values().sum(),
            outages_by_cause: by_cause,
            longest_outage_s: longest_outage_s.unwrap_or(0),
            longest_outage_at: longest_outage_at.map(at),
        }
    }
}

const fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds.saturating_mul(1_000))
}

/// What a figure was computed from, so that anybody can tell later whether it was this.
struct Fingerprint {
    /// Hex of SHA-256 over the parts.
    whole: String,
    /// JSON object: each kind of input and the beginning of its own hash.
    parts: String,
}

impl Fingerprint {
    fn of(booking: &Booking<'_>) -> Self {
        let inputs = &booking.inputs;
        let elapsed = inputs.elapsed_period();
        let set = |set: &IntervalSet| {
            let mut hash = Sha256::new();
            set.clip(elapsed).intervals().iter().for_each(|part| feed(&mut hash, *part));
            hash
        };
        let mut period = Sha256::new();
        feed(&mut period, elapsed);
        let parts = [
            ("period", period),
            ("service_hours", set(inputs.service)),
            ("commissioned", set(inputs.commissioned)),
            ("exclusions", set(inputs.exclusions)),
            ("server_outages", set(inputs.server_down)),
            ("owners", owned(booking.owners, booking.corrected, elapsed)),
            ("evidence", claims(inputs)),
        ];
        let models = models(booking.owners, booking.remodeled, elapsed);
        let mut whole = Sha256::new();
        let mut names = serde_json::Map::new();
        for (name, hash) in parts.into_iter().chain(models.map(|hash| (MODELS, hash))) {
            let hash = hash.finalize();
            whole.update(hash);
            names.insert(name.to_owned(), hex(&hash[..8]).into());
        }
        Self { whole: hex(&whole.finalize()), parts: serde_json::Value::Object(names).to_string() }
    }
}

/// Who owned which second. Of a site under one contract which one it was is left out: servers of before schema 20 did not
/// keep it, and what they proposed and somebody rejected is known by its fingerprint. Only what two people said of it is
/// in: by that the whole of a month may become another's.
fn owned(owners: &[(Owner, IntervalSet)], corrected: &IntervalSet, elapsed: Interval) -> Sha256 {
    let mut hash = Sha256::new();
    let feed_set = |hash: &mut Sha256, set: &IntervalSet| {
        set.intervals().iter().for_each(|part| feed(hash, *part));
    };
    for under in
        owners.chunk_by(|(one, _), (next, _)| (&one.site, &one.engineer) == (&next.site, &next.engineer))
    {
        let mut shares: BTreeMap<&Contract, IntervalSet> = BTreeMap::new();
        for (owner, set) in under {
            let share = shares.entry(&owner.contract).or_default();
            *share = share.union(&set.clip(elapsed));
        }
        hash.update(format!("{:?}", (&under[0].0.site, &under[0].0.engineer)));
        feed_set(&mut hash, &shares.values().fold(IntervalSet::empty(), |all, share| all.union(share)));
        let held: Vec<_> = shares.iter().filter(|(_, share)| !share.is_empty()).collect();
        let is_told = |share: &IntervalSet| held.len() > 1 || !share.intersect(corrected).is_empty();
        for (contract, share) in held.iter().filter(|(_, share)| is_told(share)) {
            hash.update(format!("{:?}", (&contract.region, &contract.customer)));
            feed_set(&mut hash, share);
        }
    }
    hash
}

/// The name of the part of which model a kiosk was when.
const MODELS: &str = "models";

/// Which model it was when. `None` where that was one and two people did not say so: servers of before schema 24 did not
/// keep it, and what they signed and somebody rejected is known by its fingerprint.
fn models(owners: &[(Owner, IntervalSet)], remodeled: &IntervalSet, elapsed: Interval) -> Option<Sha256> {
    let mut held: BTreeMap<&str, IntervalSet> = BTreeMap::new();
    for (owner, set) in owners {
        let share = held.entry(&owner.model).or_default();
        *share = share.union(&set.clip(elapsed));
    }
    held.retain(|_, share| !share.is_empty());
    if held.len() < 2 && remodeled.clip(elapsed).is_empty() {
        return None;
    }
    let mut hash = Sha256::new();
    for (model, share) in held {
        hash.update(format!("{model:?}"));
        share.intervals().iter().for_each(|part| feed(&mut hash, *part));
    }
    Some(hash)
}

/// Whether figures were divided by what was said of the model: otherwise it is only the one that is registered.
pub(super) fn tells_models(inputs: &str) -> bool {
    let parts: serde_json::Value = serde_json::from_str(inputs).unwrap_or_default();
    parts.get(MODELS).is_some()
}

/// The claims that counted, in an order of their own: the order they came in is no input.
fn claims(inputs: &Inputs<'_>) -> Sha256 {
    let counted = |claim: &&Evidence| inputs.received_before.is_none_or(|limit| claim.arrived_before(limit));
    let mut claims: Vec<_> = inputs
        .evidence
        .iter()
        .filter(counted)
        .map(|claim| (Interval::new(claim.from, claim.proven_to()).intersect(inputs.elapsed_period()), claim))
        .filter(|(span, _)| !span.is_empty())
        .map(|(span, claim)| {
            (span.from, span.to, claim.src, claim.state, claim.cause.map_or("", Cause::as_str))
        })
        .collect();
    claims.sort_unstable();
    claims.dedup();
    let mut hash = Sha256::new();
    for (from, to, source, state, cause) in claims {
        feed(&mut hash, Interval::new(from, to));
        hash.update(source.as_str());
        hash.update(state.as_str());
        hash.update(cause);
        hash.update([0]);
    }
    hash
}

fn feed(hash: &mut Sha256, span: Interval) {
    hash.update(span.from.to_be_bytes());
    hash.update(span.to.to_be_bytes());
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The kinds of input by which two fingerprints differ.
#[must_use]
pub fn changed_inputs(before: &str, after: &str) -> Vec<String> {
    let parts = |text: &str| serde_json::from_str::<BTreeMap<String, String>>(text).unwrap_or_default();
    let (before, after) = (parts(before), parts(after));
    after.into_iter().filter(|(name, hash)| before.get(name) != Some(hash)).map(|(name, _)| name).collect()
}
