//! What people answer to proposals to restate signed months: to one, or to many with one reason.
//!
//! Each is decided by itself, from what is stored, by the domain: one that is refused keeps no other from being decided.
//! What is read for them, the wait for what was received before, the turn to decide and the commit are those of a step
//! of many. Whoever asks with many lets others decide between the steps.
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use chrono_tz::Tz;
use kioskwatch_domain::{
    change::{Change, MonthRow, RestatementRow},
    fleet::{Actor, Refusal, RefusalKind, Request},
    uptime::{
        Hurdle, Month,
        books::{self, Stored, Verdict},
    },
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};
use uuid::Uuid;

use super::{
    UptimeError,
    decisions::{DecisionError, missing},
    look::Look,
    reader::ms,
};
use crate::{
    app::{App, RequestError},
    store::{Scope, StoreError},
};

/// An approval waits so long for what was received before it.
const STORED_WITHIN: Duration = Duration::from_secs(5);
/// Proposals of one turn to decide: few enough that their months are read and committed while nobody waits for long, as
/// a step of the bookkeeper.
const DECIDED_TOGETHER: usize = 100;
/// Proposals of one request: a person has looked at them, and waits for some steps.
const MAX_DECIDED: usize = 500;

/// A kiosk's month.
type KioskMonth = (KioskId, Month);

/// What became of each of many proposals.
#[derive(Debug, Default)]
pub struct Restated {
    /// Decided about, and each as it stands now or why not.
    pub each: Vec<(Uuid, Result<RestatementRow, DecisionError>)>,
    /// Why there was no going on: of those of which nothing is said here it is not known that anything was decided.
    pub stopped: Option<DecisionError>,
}

impl App {
    /// A proposal, and why the actor may not decide about it, whatever the role.
    pub async fn restatement_for(
        &self,
        actor: &Actor,
        reader: &Scope,
        id: Uuid,
    ) -> Result<(RestatementRow, Option<Hurdle>), DecisionError> {
        let proposal = self.store().restatement(reader, id).await?.ok_or_else(|| missing("restatement"))?;
        let rows = self.store().versions_of_month(&Scope::All, &proposal.kiosk, proposal.month).await?;
        let stored = Stored { rows: &rows, restatements: std::slice::from_ref(&proposal) };
        let hurdle = books::hurdle(&actor.name, &proposal, &stored);
        Ok((proposal, hurdle))
    }

    /// Approves or rejects a proposal; an approval is the next version of the kiosk's month.
    pub async fn decide_restatement(
        &self,
        actor: &Actor,
        reader: &Scope,
        id: Uuid,
        verdict: &Verdict,
    ) -> Result<RestatementRow, DecisionError> {
        let mut restated = self.restate(actor, reader, &[id], verdict).await;
        match (restated.each.pop(), restated.stopped) {
            (Some((_, outcome)), _) => outcome,
            (None, error) => Err(error.unwrap_or_else(|| missing("restatement"))),
        }
    }

    /// Approves or rejects each of these by itself; one that is named twice is decided once. Those who give up waiting
    /// have decided about what was under way, and about none after it.
    ///
    /// # Errors
    /// Nobody is named, more than 500 are, or there is no reason.
    pub async fn decide_restatements(
        &self,
        actor: &Actor,
        reader: &Scope,
        ids: &[Uuid],
        verdict: &Verdict,
    ) -> Result<Restated, DecisionError> {
        books::stated(&verdict.reason)?;
        let mut named = BTreeSet::new();
        let ids: Vec<Uuid> = ids.iter().filter(|id| named.insert(**id)).copied().collect();
        if ids.is_empty() || ids.len() > MAX_DECIDED {
            let reason = format!("name 1 to {MAX_DECIDED} proposals");
            return Err(Refusal { kind: RefusalKind::Invalid, rule: "2.8", reason }.into());
        }
        Ok(self.restate(actor, reader, &ids, verdict).await)
    }

    /// In steps. What goes wrong with one of a step for good is met again by itself.
    async fn restate(&self, actor: &Actor, reader: &Scope, ids: &[Uuid], verdict: &Verdict) -> Restated {
        let mut restated = Restated::default();
        let mut steps: VecDeque<&[Uuid]> = ids.chunks(DECIDED_TOGETHER).collect();
        while let Some(step) = steps.pop_front() {
            match (self.restate_together(actor, reader, step, verdict).await, step) {
                (Ok(outcomes), _) => restated.each.extend(outcomes),
                (Err(error), _) if error.is_of_the_moment() => {
                    restated.stopped = Some(error);
                    break;
                }
                (Err(error), [id]) => restated.each.push((*id, Err(error))),
                (Err(_), _) => step.chunks(1).rev().for_each(|one| steps.push_front(one)),
            }
        }
        restated
    }

    async fn restate_together(
        &self,
        actor: &Actor,
        reader: &Scope,
        ids: &[Uuid],
        verdict: &Verdict,
    ) -> Result<Vec<(Uuid, Result<RestatementRow, DecisionError>)>, DecisionError> {
        let deciding = self.books().decisions.begin().await?;
        let asked = self.store().restatements_among(reader, ids).await?;
        let rows = self.months_of(&asked).await?;
        let sites: BTreeSet<SiteId> = rows.values().flatten().filter_map(|row| row.site.clone()).collect();
        let places = self.uptime_reader().places_at(&sites).await?;
        let terms = self.uptime_reader().terms();
        // An approval is of the second that begins next: it is explained by all that was known before it, and what somebody
        // approved in this one, such as the exclusion that it is about, is part of that.
        let asked_at = self.clock().now();
        let now = if verdict.approve { ms(asked_at.secs() + 1) } else { asked_at };
        let mut outcomes: BTreeMap<Uuid, Result<Vec<Change>, Refusal>> = BTreeMap::new();
        for proposal in &asked {
            let rows = rows.get(&month_of(proposal)).map_or(&[][..], Vec::as_slice);
            let stored = Stored { rows, restatements: std::slice::from_ref(proposal) };
            let known = (&stored, places.contracts());
            outcomes.insert(proposal.id, books::decide(now, &terms, actor, proposal, known, verdict));
        }
        if verdict.approve {
            let is_approved = |row: &&RestatementRow| matches!(outcomes.get(&row.id), Some(Ok(_)));
            let approved: Vec<&RestatementRow> = asked.iter().filter(is_approved).collect();
            for (id, refusal) in self.check_known(&approved, now).await? {
                outcomes.insert(id, Err(refusal));
            }
        }
        let mut refused = BTreeMap::new();
        let mut changes = Vec::new();
        for (id, outcome) in outcomes {
            match outcome {
                Ok(its) => changes.extend(its),
                Err(refusal) => {
                    refused.insert(id, refusal);
                }
            }
        }
        if !changes.is_empty() {
            deciding.ask(self, actor.clone(), Request::Book { changes, also: None }).await?;
        }
        let now_stand = self.store().restatements_among(reader, ids).await?;
        let mut now_stand: BTreeMap<Uuid, RestatementRow> =
            now_stand.into_iter().map(|row| (row.id, row)).collect();
        let mut told = |id: &Uuid| match refused.remove(id) {
            Some(refusal) => Err(refusal.into()),
            None => now_stand.remove(id).ok_or_else(|| missing("restatement")),
        };
        Ok(ids.iter().map(|id| (*id, told(id))).collect())
    }

    /// What is stored of the months of some proposals, every version.
    async fn months_of(
        &self,
        proposals: &[RestatementRow],
    ) -> Result<BTreeMap<KioskMonth, Vec<MonthRow>>, StoreError> {
        let kiosks: BTreeSet<KioskId> = proposals.iter().map(|row| row.kiosk.clone()).collect();
        let kiosks: Vec<KioskId> = kiosks.into_iter().collect();
        let Some(oldest) = proposals.iter().map(|row| row.month).min() else { return Ok(BTreeMap::new()) };
        let mut rows: BTreeMap<KioskMonth, Vec<MonthRow>> = BTreeMap::new();
        for row in self.store().months_of_kiosks(&kiosks, oldest).await? {
            rows.entry((row.kiosk.clone(), row.month)).or_default().push(row);
        }
        Ok(rows)
    }

    /// A version is explained by all that was known at its signature: it is signed with exactly that, also while the
    /// bookkeeper has not come to the kiosk since more became known, or something of before waits for its commit. Answers
    /// with those of which more is known than they say.
    async fn check_known(
        &self,
        proposals: &[&RestatementRow],
        at: Timestamp,
    ) -> Result<Vec<(Uuid, Refusal)>, DecisionError> {
        if proposals.is_empty() {
            return Ok(Vec::new());
        }
        if self.books().wait_for_all_before(at, STORED_WITHIN).await.is_err() {
            let why = "what was received until now is not saved yet; try again";
            return Err(RequestError::Unavailable(why.to_owned()).into());
        }
        let months: BTreeSet<KioskMonth> = proposals.iter().map(|row| month_of(row)).collect();
        let known = self.fingerprints_at(&months, at).await?;
        let mut outdated = Vec::new();
        for proposal in proposals {
            if known.get(&month_of(proposal)) == Some(&proposal.fingerprint) {
                continue;
            }
            let kiosk = self.fleet().place(&proposal.kiosk);
            self.books().dirty().kiosk(kiosk, begin_of(proposal.month));
            let why = "more is known by now than its figures say: look again in a minute, at the proposal that follows";
            let refusal = Refusal { kind: RefusalKind::Conflict, rule: "2.8", reason: why.to_owned() };
            outdated.push((proposal.id, refusal));
        }
        Ok(outdated)
    }

    /// Of what kiosks' months come to by what was known at an instant, as the bookkeeper would book them.
    pub(crate) async fn fingerprints_at(
        &self,
        months: &BTreeSet<KioskMonth>,
        at: Timestamp,
    ) -> Result<BTreeMap<KioskMonth, String>, UptimeError> {
        let reader = self.uptime_reader();
        let places = Arc::new(reader.places().await?);
        let mut since = BTreeMap::new();
        for (kiosk, month) in months {
            // In order: the first of a kiosk is its oldest.
            since.entry(kiosk.clone()).or_insert_with(|| begin_of(*month));
        }
        let look = Look::gather(&reader, places, &since, |_| true).await?;
        let mut known = BTreeMap::new();
        for subject in &look.subjects {
            for key in months.iter().filter(|(kiosk, _)| *kiosk == subject.view.kiosk.id) {
                let booked = look.known_at(subject, key.1, Some(at));
                known.insert(key.clone(), booked.nothing.fingerprint);
            }
        }
        Ok(known)
    }
}

fn month_of(proposal: &RestatementRow) -> KioskMonth {
    (proposal.kiosk.clone(), proposal.month)
}

/// Where a month begins anywhere.
fn begin_of(month: Month) -> Timestamp {
    ms(month.period(Tz::UTC).from)
}
