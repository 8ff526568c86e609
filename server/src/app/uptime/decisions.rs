//! What people ask and answer about the past, and where they read what was signed of it.
//!
//! Each is decided from what is stored, by the domain, one at a time; the hub commits it.
use std::collections::BTreeSet;

use chrono_tz::Tz;
use kioskwatch_domain::{
    change::{
        AssignmentRow, Correction, CorrectionRow, CorrectionState, ExclusionRow, GroupKind, Held, KioskRow,
        MonthRow, ServiceSpan, SiteRow,
    },
    fleet::{Actor, Refusal, RefusalKind, Request},
    interval::IntervalSet,
    uptime::{
        Hurdle, Month,
        books::Verdict,
        contracts::Belonged,
        corrections::{self, Circumstances, Consequence, Wanted},
    },
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};
use uuid::Uuid;

use super::{UptimeError, gather::KIOSKS_AT_ONCE};
use crate::{
    app::{App, RequestError},
    store::{Scope, StoreError},
};

#[derive(Debug, thiserror::Error)]
pub enum DecisionError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Uptime(#[from] UptimeError),
}

impl DecisionError {
    /// Whether whatever is decided next would come to nothing as well: the server cannot save now, or the database does
    /// not answer. Anything else is of what was decided about.
    pub(super) fn is_of_the_moment(&self) -> bool {
        match self {
            Self::Request(error) => matches!(error, RequestError::Unavailable(_)),
            Self::Uptime(UptimeError::Store(error)) => !error.is_lasting(),
            Self::Uptime(_) => false,
        }
    }
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

/// Time at a site goes from one owner to another: whoever sees only some sites does not see whom it makes worse.
fn sees_every_owner(reader: &Scope) -> Result<(), DecisionError> {
    match reader {
        Scope::All => Ok(()),
        Scope::Sites(_) => Err(Refusal {
            kind: RefusalKind::Forbidden,
            rule: "2.8",
            reason: "to whom a site belonged is said and decided by those who see all sites".to_owned(),
        }
        .into()),
    }
}

pub(super) fn missing(what: &'static str) -> DecisionError {
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

    /// A correction, and why the actor may not decide about it, whatever the role.
    pub async fn correction_for(
        &self,
        actor: &Actor,
        reader: &Scope,
        id: Uuid,
    ) -> Result<(CorrectionRow, Option<Hurdle>), DecisionError> {
        let row = self.store().correction(reader, id).await?.ok_or_else(|| missing("correction"))?;
        let engineers = self.engineers_of(&row, self.clock().now()).await?;
        let hurdle = corrections::hurdle(&actor.name, &row, &engineers);
        Ok((row, hurdle))
    }

    /// Asks for a correction; its effect on the figures is shown to whoever decides.
    pub async fn request_correction(
        &self,
        actor: Actor,
        reader: &Scope,
        mut wanted: Wanted,
    ) -> Result<CorrectionRow, DecisionError> {
        let exclusion = self.taken_back(reader, &mut wanted.what).await?;
        let (zone, site) = self.check_place(reader, &mut wanted.what).await?;
        self.note_held(reader, &mut wanted).await?;
        let counted = match &wanted.what {
            Correction::Commissioning { kiosk, .. } => match self.store().kiosk(reader, kiosk).await? {
                Some(view) => Some(self.counted(&view.kiosk).await?),
                None => None,
            },
            _ => None,
        };
        let stood = match &site {
            Some(site) if matches!(wanted.what, Correction::Timezone { .. }) => {
                self.stood_at(&site.id).await?
            }
            _ => IntervalSet::empty(),
        };
        let figures = self.uptime_reader();
        let around = Circumstances {
            now: self.clock().now(),
            planned_notice_s: self.planned_notice_s(),
            zone,
            calendar: self.calendar(),
            site: site.as_ref().map(|site| (site, &stood)),
            counted: counted.as_ref(),
            exclusion: exclusion.as_ref(),
        };
        let mut row = corrections::request(&around, &actor, Uuid::now_v7(), &wanted)?;
        self.check_past(reader, &row, row.requested_at).await?;
        row.effect = figures.effect(&row, zone).await?;
        let changes = corrections::requested(&row);
        // Nothing is decided yet; whoever does looks at what it is about again.
        let deciding = self.books().decisions.begin().await?;
        deciding.ask(self, actor, Request::Book { changes, also: None }).await?;
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
                let (zone, _) = self.check_place(&Scope::All, &mut asked.what.clone()).await?;
                self.uptime_reader().effect(&asked, zone).await?
            }
            _ => asked.effect,
        };
        let deciding = self.books().decisions.begin().await?;
        let row = self.store().correction(reader, id).await?.ok_or_else(|| missing("correction"))?;
        let now = self.clock().now();
        if verdict.approve {
            self.check_past(reader, &row, now).await?;
        }
        let engineers = self.engineers_of(&row, now).await?;
        if verdict.approve && row.state == CorrectionState::Requested {
            self.check_held(&row).await?;
        }
        let (changes, consequence) =
            corrections::decide((now, self.planned_notice_s()), &actor, (&row, &engineers), verdict, effect)?;
        let also = match consequence {
            Some(consequence) => Some(Box::new(self.follow(consequence).await?)),
            None => None,
        };
        deciding.ask(self, actor, Request::Book { changes, also }).await?;
        self.store().correction(reader, id).await?.ok_or_else(|| missing("correction"))
    }

    /// How long before planned work begins it has to be approved.
    pub(super) fn planned_notice_s(&self) -> i64 {
        let hours = i64::try_from(self.config().uptime.planned_notice_h).unwrap_or(0);
        hours.saturating_mul(3_600)
    }

    /// What an approved correction asks of the fleet.
    async fn follow(&self, consequence: Consequence) -> Result<Request, DecisionError> {
        Ok(match consequence {
            Consequence::Exclusion(row) => Request::PutExclusion(Box::new(row)),
            Consequence::Withdrawal { exclusion, withdrawn } => {
                let row = self.stored_exclusion(exclusion).await?;
                corrections::check_stands(&row)?;
                Request::PutExclusion(Box::new(ExclusionRow { withdrawn: Some(withdrawn), ..row }))
            }
            Consequence::ServiceHours { site, before, after } => {
                Request::PutServiceHours { site, before, after }
            }
            Consequence::Timezone { site, before, after } => Request::PutTimezone { site, before, after },
            Consequence::Commissioning { kiosk, before, after } => {
                let view = self.store().kiosk(&Scope::All, &kiosk).await?.ok_or_else(|| missing("kiosk"))?;
                let noted = self.noted_of(&kiosk).await?;
                let counted = noted.or_of(ServiceSpan::of(&view.kiosk), None);
                if counted.replaced_by(after) != before {
                    let why = "the kiosk's dates of service were changed since: ask again";
                    let kind = RefusalKind::Conflict;
                    return Err(Refusal { kind, rule: "2.8", reason: why.to_owned() }.into());
                }
                let after = Box::new(after.put_into(&view.kiosk));
                Request::ChangeKiosk { before: Box::new(view.kiosk), after, noted }
            }
        })
    }

    /// What is taken back, if anything is: it is about whom that is about. A reader sees what they see the correction of
    /// that made it.
    async fn taken_back(
        &self,
        reader: &Scope,
        what: &mut Correction,
    ) -> Result<Option<ExclusionRow>, DecisionError> {
        let Correction::Withdrawal { exclusion, kiosk, site, class } = what else { return Ok(None) };
        self.store().correction(reader, *exclusion).await?.ok_or_else(|| missing("exclusion"))?;
        let row = self.stored_exclusion(*exclusion).await?;
        kiosk.clone_from(&row.kiosk);
        site.clone_from(&row.site);
        class.clone_from(&row.class);
        Ok(Some(row))
    }

    /// Where a kiosk stood, who answered for it or to whom a site belonged, in the time that is to be corrected: who that
    /// was is noted, and where it should have stood is a site that the reader sees.
    async fn note_held(&self, reader: &Scope, wanted: &mut Wanted) -> Result<(), DecisionError> {
        if let Correction::Contract { site, before, .. } = &mut wanted.what {
            sees_every_owner(reader)?;
            *before = self.belonged(site, (wanted.from, wanted.to)).await?;
        }
        let Correction::Assignment { kiosk, group, before, after } = &mut wanted.what else { return Ok(()) };
        if let (GroupKind::Site, Some(id)) = (*group, after.as_ref()) {
            let id: SiteId = id.parse().map_err(|_| missing("site"))?;
            self.store().site(reader, &id).await?.ok_or_else(|| missing("site"))?;
        }
        *before = self.held(kiosk, *group, (wanted.from, wanted.to)).await?;
        Ok(())
    }

    /// Whoever asked judged by what was known then.
    async fn check_held(&self, row: &CorrectionRow) -> Result<(), DecisionError> {
        let (what, is_same) = match &row.what {
            Correction::Assignment { kiosk, group, before, .. } => {
                ("kiosk", self.held(kiosk, *group, (row.from, row.to)).await? == *before)
            }
            Correction::Contract { site, before, .. } => {
                ("site", self.belonged(site, (row.from, row.to)).await? == *before)
            }
            _ => return Ok(()),
        };
        if is_same {
            return Ok(());
        }
        let reason = format!("to whom the {what} belonged in that time was said anew since: ask again");
        Err(Refusal { kind: RefusalKind::Conflict, rule: "2.8", reason }.into())
    }

    async fn belonged(
        &self,
        site: &SiteId,
        within: (Timestamp, Timestamp),
    ) -> Result<Vec<Belonged>, StoreError> {
        let places = self.uptime_reader().places_at(&[site.clone()].into()).await?;
        Ok(places.contracts().belonged(site, within))
    }

    async fn held(
        &self,
        kiosk: &KioskId,
        group: GroupKind,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Vec<Held>, DecisionError> {
        let ids = std::slice::from_ref(kiosk);
        let view = self.store().kiosks_of(ids).await?.pop().ok_or_else(|| missing("kiosk"))?;
        let rows = self.store().assignments_of(ids, from, to).await?;
        Ok(corrections::held(&view.kiosk, &rows, group, (from, to)))
    }

    async fn stored_exclusion(&self, id: Uuid) -> Result<ExclusionRow, DecisionError> {
        self.store().exclusion(id).await?.ok_or_else(|| missing("exclusion"))
    }

    /// Somebody who sees only some sites corrects no time in which the kiosk stood at another one.
    async fn check_past(
        &self,
        reader: &Scope,
        wanted: &CorrectionRow,
        now: Timestamp,
    ) -> Result<(), DecisionError> {
        if matches!(wanted.what, Correction::Contract { .. }) {
            return sees_every_owner(reader);
        }
        let (Scope::Sites(sites), Some(kiosk)) = (reader, corrections::place(&wanted.what).0) else {
            return Ok(());
        };
        let (from, to) = corrections::moves(wanted, now);
        let stood = self.store().assignments_of(std::slice::from_ref(kiosk), from, to).await?;
        let then = |row: &&AssignmentRow| row.from < to && row.to.is_none_or(|until| until > from);
        let mut stood = stood.iter().filter(|row| row.group == GroupKind::Site).filter(then);
        match stood.all(|row| sites.iter().any(|site| site.as_str() == row.group_id)) {
            true => Ok(()),
            false => Err(missing("kiosk at that time")),
        }
    }

    /// Who answered for what an approval at `now` would move.
    async fn engineers_of(
        &self,
        row: &CorrectionRow,
        now: Timestamp,
    ) -> Result<BTreeSet<String>, StoreError> {
        let (store, span) = (self.store(), corrections::moves(row, now));
        let ids = match corrections::place(&row.what) {
            (Some(kiosk), _) => vec![kiosk.clone()],
            (None, Some(site)) => {
                store.kiosks_of_groups(GroupKind::Site, vec![site.as_str()], span.0, span.1).await?
            }
            (None, None) => Vec::new(),
        };
        // Those whom it names are measured by it, also where no kiosk stood.
        let mut names = corrections::engineers(row, span, &[], &[]);
        for some in ids.chunks(KIOSKS_AT_ONCE) {
            let kiosks: Vec<KioskRow> =
                store.kiosks_of(some).await?.into_iter().map(|view| view.kiosk).collect();
            let assignments = store.assignments_of(some, span.0, span.1).await?;
            names.extend(corrections::engineers(row, span, &kiosks, &assignments));
        }
        Ok(names)
    }

    /// The place is one the reader sees; what is now of that which is wrong is noted. Answers with the zone of its
    /// wall clock, and its site.
    async fn check_place(
        &self,
        reader: &Scope,
        what: &mut Correction,
    ) -> Result<(Tz, Option<SiteRow>), DecisionError> {
        let (kiosk, site) = corrections::place(what);
        let mut of_kiosk = None;
        if let Some(id) = kiosk {
            of_kiosk = Some(self.store().kiosk(reader, id).await?.ok_or_else(|| missing("kiosk"))?.kiosk);
        }
        let at = site.or(of_kiosk.as_ref().and_then(|kiosk| kiosk.site.as_ref()));
        let known = match at {
            Some(id) => Some(self.store().site(reader, id).await?.ok_or_else(|| missing("site"))?),
            None => None,
        };
        match (what, &known, &of_kiosk) {
            (Correction::ServiceHours { before, .. }, Some(site), _) => {
                before.clone_from(&site.service_hours);
            }
            (Correction::Timezone { before, .. }, Some(site), _) => before.clone_from(&site.timezone),
            (Correction::Commissioning { before, after, .. }, _, Some(kiosk)) => {
                *before = self.counted(kiosk).await?.replaced_by(*after);
            }
            _ => {}
        }
        let zone = known.as_ref().and_then(|site| site.timezone.parse().ok());
        Ok((zone.unwrap_or_else(|| self.default_zone()), known))
    }
}
