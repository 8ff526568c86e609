//! What people ask and answer about signed months and about the past.
//!
//! Each is decided from what is stored, by the domain, one at a time; the hub commits it.
use std::{collections::BTreeSet, sync::Arc};

use chrono_tz::Tz;
use kioskwatch_domain::{
    change::{
        AssignmentRow, Correction, CorrectionRow, CorrectionState, GroupKind, KioskRow, MonthRow, MonthSums,
        RestatementRow,
    },
    fleet::{Actor, Refusal, Request, hand_over},
    uptime::{
        Hurdle, Month,
        booking::measure,
        books::{self, Stored, Verdict, figures_json},
        corrections::{self, Circumstances, Consequence, Wanted},
    },
};
use kioskwatch_proto::KioskId;
use uuid::Uuid;

use super::{
    UptimeError, UptimePeriod, UptimeScope, frame::Frame, gather::KIOSKS_AT_ONCE, reader::UptimeReader,
};
use crate::{
    app::{App, RequestError},
    store::{Scope, StoreError},
};

/// Months of a correction whose figures are shown before and after; the newest ones.
const SHOWN_MONTHS: usize = 3;

#[derive(Debug, thiserror::Error)]
pub enum DecisionError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Uptime(#[from] UptimeError),
}

impl From<Refusal> for DecisionError {
    fn from(refusal: Refusal) -> Self {
        Self::Request(refusal.into())
    }
}

impl From<StoreError> for DecisionError {
    fn from(error: StoreError) -> Self {
        Self::Uptime(error.into())
    }
}

/// Every version of a kiosk's month, and what is known now.
#[derive(Debug, Clone, PartialEq)]
pub struct MonthVersions {
    pub kiosk: KioskId,
    pub month: Month,
    /// By version, then owner.
    pub rows: Vec<MonthRow>,
}

fn missing(what: &'static str) -> DecisionError {
    DecisionError::Uptime(UptimeError::NotFound(what))
}

impl App {
    /// What was signed of a kiosk's month, in order, with what is known now as version 0.
    pub async fn month_versions(
        &self,
        reader: &Scope,
        kiosk: &KioskId,
        month: Month,
    ) -> Result<MonthVersions, UptimeError> {
        let rows = self.store().versions_of_month(reader, kiosk, month).await?;
        // Who was left by it still reads what it owed them.
        if rows.is_empty() && self.store().kiosk(reader, kiosk).await?.is_none() {
            return Err(UptimeError::NotFound("kiosk"));
        }
        Ok(MonthVersions { kiosk: kiosk.clone(), month, rows })
    }

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

    /// A correction, and why the actor may not decide about it, whatever the role.
    pub async fn correction_for(
        &self,
        actor: &Actor,
        reader: &Scope,
        id: Uuid,
    ) -> Result<(CorrectionRow, Option<Hurdle>), DecisionError> {
        let row = self.store().correction(reader, id).await?.ok_or_else(|| missing("correction"))?;
        let engineers = self.engineers_of(&row).await?;
        let hurdle = corrections::hurdle(&actor.name, &row, &engineers);
        Ok((row, hurdle))
    }

    /// Approves or rejects a proposal; an approval is the next version of the kiosk's month.
    pub async fn decide_restatement(
        &self,
        actor: Actor,
        reader: &Scope,
        id: Uuid,
        verdict: &Verdict,
    ) -> Result<RestatementRow, DecisionError> {
        let _one_at_a_time = self.books().deciding.lock().await;
        let proposal = self.store().restatement(reader, id).await?.ok_or_else(|| missing("restatement"))?;
        let rows = self.store().versions_of_month(&Scope::All, &proposal.kiosk, proposal.month).await?;
        let stored = Stored { rows: &rows, restatements: std::slice::from_ref(&proposal) };
        let terms = self.uptime_reader().terms();
        let now = self.clock().now();
        let changes = books::decide(now, &terms, &actor, &proposal, &stored, verdict)?;
        self.request(actor, Request::Book { changes, also: None }).await?;
        self.store().restatement(reader, id).await?.ok_or_else(|| missing("restatement"))
    }

    /// Asks for a correction; its effect on the figures is shown to whoever decides.
    pub async fn request_correction(
        &self,
        actor: Actor,
        reader: &Scope,
        mut wanted: Wanted,
    ) -> Result<CorrectionRow, DecisionError> {
        let zone = self.check_place(reader, &mut wanted.what).await?;
        self.check_past(reader, &wanted).await?;
        let figures = self.uptime_reader();
        let notice_h = i64::try_from(self.config().uptime.planned_notice_h).unwrap_or(0);
        let around = Circumstances {
            now: self.clock().now(),
            planned_notice_s: notice_h.saturating_mul(3_600),
            zone,
            calendar: self.calendar(),
        };
        let mut row = corrections::request(&around, &actor, Uuid::now_v7(), &wanted)?;
        row.effect = figures.effect(&row, zone).await?;
        let changes = corrections::requested(&row);
        self.request(actor, Request::Book { changes, also: None }).await?;
        Ok(row)
    }

    /// Approves or rejects somebody else's correction. What it says becomes true with the approval; open
    /// months follow by themselves, signed ones by a proposal.
    pub async fn decide_correction(
        &self,
        actor: Actor,
        reader: &Scope,
        id: Uuid,
        verdict: &Verdict,
    ) -> Result<CorrectionRow, DecisionError> {
        let asked = self.store().correction(reader, id).await?.ok_or_else(|| missing("correction"))?;
        // Counted before the bookkeeper has to wait: it may take longer than a decision.
        let effect = match asked.state {
            CorrectionState::Requested => {
                let zone = self.check_place(&Scope::All, &mut asked.what.clone()).await?;
                self.uptime_reader().effect(&asked, zone).await?
            }
            _ => asked.effect,
        };
        let _one_at_a_time = self.books().deciding.lock().await;
        let row = self.store().correction(reader, id).await?.ok_or_else(|| missing("correction"))?;
        let now = self.clock().now();
        let engineers = self.engineers_of(&row).await?;
        let (changes, consequence) = corrections::decide(now, &actor, (&row, &engineers), verdict, effect)?;
        let also = consequence.map(|consequence| match consequence {
            Consequence::Exclusion(row) => Box::new(Request::PutExclusion(row)),
            Consequence::ServiceHours { site, before, after } => {
                Box::new(Request::PutServiceHours { site, before, after })
            }
        });
        self.request(actor, Request::Book { changes, also }).await?;
        self.store().correction(reader, id).await?.ok_or_else(|| missing("correction"))
    }

    /// Somebody who sees only some sites corrects no time in which the kiosk stood at another one.
    async fn check_past(&self, reader: &Scope, wanted: &Wanted) -> Result<(), DecisionError> {
        let (Scope::Sites(sites), Some(kiosk)) = (reader, corrections::place(&wanted.what).0) else {
            return Ok(());
        };
        let stood = self.store().assignments_of(std::slice::from_ref(kiosk), wanted.from, wanted.to).await?;
        let then = |row: &&AssignmentRow| row.from < wanted.to && row.to.is_none_or(|to| to > wanted.from);
        let mut stood = stood.iter().filter(|row| row.group == GroupKind::Site).filter(then);
        match stood.all(|row| sites.iter().any(|site| site.as_str() == row.group_id)) {
            true => Ok(()),
            false => Err(missing("kiosk at that time")),
        }
    }

    /// Who answered for what a correction is about.
    async fn engineers_of(&self, row: &CorrectionRow) -> Result<BTreeSet<String>, StoreError> {
        let store = self.store();
        let ids = match corrections::place(&row.what) {
            (Some(kiosk), _) => vec![kiosk.clone()],
            (None, Some(site)) => {
                store.kiosks_of_groups(GroupKind::Site, vec![site.as_str()], row.from, row.to).await?
            }
            (None, None) => Vec::new(),
        };
        let mut names = BTreeSet::new();
        for some in ids.chunks(KIOSKS_AT_ONCE) {
            let kiosks: Vec<KioskRow> =
                store.kiosks_of(some).await?.into_iter().map(|view| view.kiosk).collect();
            let assignments = store.assignments_of(some, row.from, row.to).await?;
            names.extend(corrections::engineers(row, &kiosks, &assignments));
        }
        Ok(names)
    }

    /// Who answers for a kiosk now.
    pub async fn engineer_of(&self, kiosk: &KioskId) -> Result<Option<String>, StoreError> {
        let now = self.clock().now();
        let rows = self.store().assignments_of(std::slice::from_ref(kiosk), now, now.plus_ms(1)).await?;
        let held = rows.into_iter().filter(|row| row.group == GroupKind::Engineer);
        Ok(held.max_by_key(|row| row.from).map(|row| row.group_id))
    }

    /// Registers or changes a kiosk; with `engineer` also who answers for it from now on (`None`: nobody).
    pub async fn put_kiosk(
        &self,
        actor: Actor,
        row: KioskRow,
        engineer: Option<Option<&str>>,
    ) -> Result<(), DecisionError> {
        let Some(engineer) = engineer else {
            self.request(actor, Request::PutKiosk(row)).await?;
            return Ok(());
        };
        // Two who name somebody at once would both find the same one before them.
        let _one_at_a_time = self.books().deciding.lock().await;
        let now = self.clock().now();
        let kiosk = row.id.clone();
        let open = self.store().assignments_of(std::slice::from_ref(&kiosk), now, now.plus_ms(1)).await?;
        let changes = hand_over(now, &actor, &kiosk, &open, engineer)?;
        let also = Some(Box::new(Request::PutKiosk(row)));
        self.request(actor, Request::Book { changes, also }).await?;
        Ok(())
    }

    /// The place is one the reader sees; of service hours, what they are now is noted. Answers with the zone
    /// of its wall clock.
    async fn check_place(&self, reader: &Scope, what: &mut Correction) -> Result<Tz, DecisionError> {
        let (kiosk, site) = corrections::place(what);
        let mut of_kiosk = None;
        if let Some(id) = kiosk {
            let view = self.store().kiosk(reader, id).await?.ok_or_else(|| missing("kiosk"))?;
            of_kiosk = view.kiosk.site;
        }
        let Some(id) = site.or(of_kiosk.as_ref()) else { return Ok(self.default_zone()) };
        let known = self.store().site(reader, id).await?.ok_or_else(|| missing("site"))?;
        let zone = known.timezone.parse().unwrap_or_else(|_| self.default_zone());
        if let Correction::ServiceHours { before, .. } = what {
            *before = known.service_hours;
        }
        Ok(zone)
    }
}

impl UptimeReader<'_> {
    /// The figures of the local months that a correction is about, as they are and as they would be, as JSON
    /// text; `months_not_shown` is there when it reaches further back.
    async fn effect(&self, row: &CorrectionRow, zone: Tz) -> Result<String, UptimeError> {
        let (kiosk, site) = corrections::place(&row.what);
        let scope = match (kiosk, site) {
            (Some(kiosk), _) => UptimeScope::Kiosk(kiosk.clone()),
            (None, Some(site)) => UptimeScope::Site(site.clone()),
            (None, None) => return Ok("{}".to_owned()),
        };
        let mut effect = serde_json::Map::new();
        let months = corrections::months(row, zone);
        for month in months.iter().rev().take(SHOWN_MONTHS).copied() {
            let (before, after) = self.with_and_without(row, &scope, month).await?;
            let json = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default();
            let both = serde_json::json!({ "before": json(before), "after": json(after) });
            effect.insert(month.to_string(), both);
        }
        if months.len() > SHOWN_MONTHS {
            effect.insert("months_not_shown".to_owned(), (months.len() - SHOWN_MONTHS).into());
        }
        Ok(serde_json::Value::Object(effect).to_string())
    }

    async fn with_and_without(
        &self,
        row: &CorrectionRow,
        scope: &UptimeScope,
        month: Month,
    ) -> Result<(String, String), UptimeError> {
        let period = UptimePeriod::Month { year: month.year(), month: month.month() };
        let members = self.members(&Scope::All, scope, period.around()?).await?;
        if members.is_empty() {
            return Ok((String::new(), String::new()));
        }
        let (mut before, mut after) = (MonthSums::default(), MonthSums::default());
        for kiosks in members.chunks(KIOSKS_AT_ONCE) {
            let gathered = self.gather(kiosks, period, None).await?;
            let now = &gathered.frame;
            let then = corrected(now.clone(), row);
            for subject in &gathered.subjects {
                for (frame, total) in [(now, &mut before), (&then, &mut after)] {
                    // Both from all that is known: what late evidence moved is no effect of the correction.
                    let sets = frame.sets(&subject.view.kiosk, subject.interval_s(), subject.period, None);
                    let member = sets.membership(&frame.places, scope, &Scope::All);
                    let sums = measure(&sets.inputs(frame, gathered.claims(subject)), &member);
                    *total = [&*total, &sums].into_iter().sum();
                }
            }
        }
        Ok((figures_json(&before), figures_json(&after)))
    }
}

/// As if the correction were approved.
fn corrected<'a>(mut frame: Frame<'a>, row: &CorrectionRow) -> Frame<'a> {
    if let Correction::ServiceHours { site, after, .. } = &row.what {
        frame.places = Arc::new(frame.places.with_hours(site, after));
    }
    if let Some(Consequence::Exclusion(row)) = corrections::would_be(row) {
        frame.forgive(vec![row]);
    }
    frame
}
