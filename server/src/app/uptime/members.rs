//! From a question to those it is about: who belonged to a group, as far as its reader sees it.
use std::collections::{BTreeSet, VecDeque};

use chrono_tz::Tz;
use kioskwatch_domain::{
    change::{AssignmentRow, GroupKind},
    interval::Interval,
};
use kioskwatch_proto::KioskId;

use super::{
    UptimeError, UptimeQuery, UptimeScope,
    gather::{KIOSKS_AT_ONCE, names, stood_at},
    places::belongs,
    reader::{UptimeReader, ms},
};
use crate::store::{KioskNow, Scope, StoreError};

impl UptimeReader<'_> {
    /// Those who may have belonged to a group within a time, as far as this reader sees it; who did is in their
    /// assignments.
    pub(super) async fn members(
        &self,
        reader: &Scope,
        scope: &UptimeScope,
        within: Interval,
    ) -> Result<Vec<KioskId>, StoreError> {
        let (from, to) = (ms(within.from), ms(within.to));
        let of = async |kind, names: Vec<&str>| self.store.kiosks_of_groups(kind, names, from, to).await;
        let (kind, name) = scope.words();
        let mut members = match scope {
            UptimeScope::Kiosk(id) => return Ok(vec![id.clone()]),
            UptimeScope::Site(_) => of(GroupKind::Site, vec![name]).await?,
            UptimeScope::Region(_) | UptimeScope::Customer(_) => {
                let sites = self.store.sites_of_contract(kind, name).await?;
                of(GroupKind::Site, names(&sites)).await?
            }
            UptimeScope::Engineer(_) => of(GroupKind::Engineer, vec![name]).await?,
            UptimeScope::Model(_) => of(GroupKind::Model, vec![name]).await?,
            UptimeScope::Fleet => self.store.every_kiosk().await?,
        };
        self.keep_seen(reader, &mut members, within).await?;
        Ok(members)
    }

    /// Those who may have stood at a site of this reader.
    pub(super) async fn keep_seen(
        &self,
        reader: &Scope,
        members: &mut Vec<KioskId>,
        within: Interval,
    ) -> Result<(), StoreError> {
        let Scope::Sites(sites) = reader else { return Ok(()) };
        let (from, to) = (ms(within.from), ms(within.to));
        let seen = self.store.kiosks_of_groups(GroupKind::Site, names(sites), from, to).await?;
        let seen: BTreeSet<KioskId> = seen.into_iter().collect();
        members.retain(|kiosk| seen.contains(kiosk));
        Ok(())
    }

    /// Which of a few kiosks belonged to a group within a time, as far as this reader sees it: to the second, and from
    /// what is stored of these kiosks only. A group may be the fleet. One of which that cannot be read may belong to any,
    /// and is named to those who see all.
    pub(super) async fn members_among(
        &self,
        reader: &Scope,
        query: &UptimeQuery,
        mut kiosks: Vec<KioskId>,
    ) -> Result<Vec<KioskId>, UptimeError> {
        match (&query.scope, reader) {
            (UptimeScope::Fleet, Scope::All) => return Ok(kiosks),
            (UptimeScope::Kiosk(id), _) => kiosks.retain(|kiosk| kiosk == id),
            _ => {}
        }
        let mut members = Vec::new();
        let mut steps: VecDeque<&[KioskId]> = kiosks.chunks(KIOSKS_AT_ONCE).collect();
        while let Some(step) = steps.pop_front() {
            match (self.belonging(reader, query, step).await, step) {
                (Ok(found), _) => members.extend(found),
                (Err(UptimeError::Store(error)), [one]) if error.is_lasting() => {
                    members.extend(matches!(reader, Scope::All).then(|| one.clone()));
                }
                (Err(UptimeError::Store(error)), _) if error.is_lasting() => {
                    step.chunks(1).rev().for_each(|one| steps.push_front(one));
                }
                (Err(error), _) => return Err(error),
            }
        }
        Ok(members)
    }

    async fn belonging(
        &self,
        reader: &Scope,
        query: &UptimeQuery,
        kiosks: &[KioskId],
    ) -> Result<Vec<KioskId>, UptimeError> {
        let around = query.period.around()?;
        let views = self.store.kiosks_of(kiosks).await?;
        let rows = self.store.assignments_of(kiosks, ms(around.from), ms(around.to)).await?;
        let places = self.places_at(&stood_at(&views, &rows)).await?;
        let until = (query.period.in_zone(Tz::UTC)?.to - 1).min(self.now.secs());
        let mut members = Vec::new();
        for KioskNow { kiosk, .. } in views {
            let its: Vec<AssignmentRow> = rows.iter().filter(|row| row.kiosk == kiosk.id).cloned().collect();
            let period = match query.period.month() {
                Some(month) => {
                    places.unsigned((&kiosk, &its), month, (self.now.secs(), None), &self.terms()).1
                }
                None => query.period.in_zone(places.zone(&kiosk, &its, until, None))?,
            };
            let is_there = places.owners(&kiosk, &its, None).iter().any(|(owner, set)| {
                let is_shown = belongs(owner, &query.scope) && reader.shows(owner.site.as_ref());
                is_shown && !set.clip(period).is_empty()
            });
            if is_there {
                members.push(kiosk.id);
            }
        }
        Ok(members)
    }
}
