//! Sites and kiosks as one person registers and changes them: as long as no accountable time of the past moves.
use std::collections::BTreeSet;

use kioskwatch_domain::{
    change::{AssignmentRow, GroupKind, KioskRow, PresenceVerdict, ServiceSpan, SiteRow},
    fleet::{Actor, Request, hand_over, remodel},
    interval::IntervalSet,
    uptime::{
        Commissioned, Known, Verdict,
        booking::unassigned,
        past::{self, FirstDates, Terms},
    },
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};

use super::{
    DecisionError, UptimeError, UptimePeriod, frame::Counted, gather::KIOSKS_AT_ONCE, places::Places,
    reader::ms,
};
use crate::{
    app::App,
    store::{Scope, StoreError},
};

/// So far back an outage is looked for: longer than a site is closed at a stretch.
const LOOKED_BACK_MS: i64 = 15 * 86_400_000;

impl App {
    /// Registers or changes a site.
    ///
    /// # Errors
    /// Conflict: other open times of the past or closed ones of the near future, where a kiosk counted.
    pub async fn put_site(&self, actor: Actor, row: SiteRow) -> Result<(), DecisionError> {
        // Whoever decides about the past meanwhile is not undone by what was read before.
        let deciding = self.books().decisions.begin().await?;
        let known = self.store().site(&Scope::All, &row.id).await?;
        if let Some(known) = known.filter(|known| !row.has_terms_of(known)) {
            let stood = self.stood_at(&row.id).await?;
            let [was, is] = [&known, &row].map(|site| Terms::of_site(site, self.default_zone()));
            past::check_site(
                self.clock().now(),
                self.calendar(),
                [&was, &is],
                &stood,
                self.planned_notice_s(),
            )?;
        }
        deciding.ask(self, actor, Request::PutSite(row)).await?;
        Ok(())
    }

    /// Registers or changes a kiosk; with `engineer` also who answers for it from now on (`None`: nobody).
    ///
    /// # Errors
    /// Conflict: dates by which time of the past would count that did not, or the other way round; first dates of months
    /// that are fixed; a site whose hours would become those of its past.
    pub async fn put_kiosk(
        &self,
        actor: Actor,
        row: KioskRow,
        engineer: Option<Option<&str>>,
    ) -> Result<(), DecisionError> {
        // Two who name somebody at once would both find the same one before them; and the hours of its site stay.
        let deciding = self.books().decisions.begin().await?;
        let known = self.store().kiosk(&Scope::All, &row.id).await?.map(|view| view.kiosk);
        let now = self.clock().now();
        let noted = self.noted_of(&row.id).await?;
        self.check_kiosk(now, (known.as_ref(), &noted), &row).await?;
        let kiosk = row.id.clone();
        // What a clock that was ahead noted of time to come ends with what is said now.
        let open =
            self.store().assignments_of(std::slice::from_ref(&kiosk), now, Timestamp(i64::MAX)).await?;
        let first = known.as_ref().and_then(|was| noted.or_of(ServiceSpan::of(was), None).first());
        let mut changes = known.as_ref().map_or_else(Vec::new, |was| remodel(now, (was, &row), first, &open));
        let put = match known {
            Some(known) => Request::ChangeKiosk { before: Box::new(known), after: Box::new(row), noted },
            None => Request::PutKiosk(row),
        };
        if let Some(engineer) = engineer {
            changes.extend(hand_over(now, &actor, &kiosk, &open, engineer)?);
        }
        let asked = match changes.is_empty() {
            true => put,
            false => Request::Book { changes, also: Some(Box::new(put)) },
        };
        deciding.ask(self, actor, asked).await?;
        Ok(())
    }

    /// When a kiosk counts, as it was ever noted: nothing, where its dates say it all.
    pub(super) async fn noted_of(&self, kiosk: &KioskId) -> Result<Known<Commissioned>, StoreError> {
        let mut known = self.store().commissioned_of(std::slice::from_ref(kiosk)).await?;
        Ok(known.remove(kiosk).unwrap_or_default())
    }

    /// When a kiosk counts, as it is known.
    pub(crate) async fn counted(&self, kiosk: &KioskRow) -> Result<Commissioned, StoreError> {
        Ok(self.noted_of(&kiosk.id).await?.or_of(ServiceSpan::of(kiosk), None))
    }

    /// `was`: `None` of one that is new.
    async fn check_kiosk(
        &self,
        now: Timestamp,
        (was, noted): (Option<&KioskRow>, &Known<Commissioned>),
        is: &KioskRow,
    ) -> Result<(), DecisionError> {
        let dates = [was.map_or_else(ServiceSpan::default, ServiceSpan::of), ServiceSpan::of(is)];
        let changes = was.filter(|was| dates[0] != dates[1] || was.site != is.site);
        let down_since = match changes {
            Some(was) => self.down_since(now, &was.id).await?,
            None => None,
        };
        if dates[0] != dates[1] {
            let kiosk = was.unwrap_or(is);
            let (places, stood) = self.stand_of(now, kiosk).await?;
            let open = |within| places.open(kiosk, &stood, self.calendar(), within);
            let first = self.first_dates(now, was, is).await?;
            past::check_kiosk(now, &first, noted, dates, down_since, open)?;
        }
        if let Some(was) = was.filter(|was| was.site != is.site) {
            let default_zone = self.default_zone();
            let site = self.site_of(was).await?;
            let (_, assignments) = self.stand_of(now, was).await?;
            let terms = |site: Option<&SiteRow>| match site {
                Some(site) => Terms::of_site(site, default_zone),
                None => Terms::nowhere(default_zone),
            };
            let then = self.site_of(is).await?;
            let [before, after, nowhere] = [site, then, None].map(|site| terms(site.as_ref()));
            let counted = noted.or_of(ServiceSpan::of(was), None);
            past::check_lending(now, self.calendar(), [&before, &after], &counted, down_since)?;
            // Only a first site reaches back; who leaves one takes nothing along.
            let after = if was.site.is_none() { after } else { nowhere };
            let time = unassigned(&was.id, &counted, &assignments);
            past::check_move(now, self.calendar(), [&before, &after], &time)?;
        }
        Ok(())
    }

    /// Where a kiosk stood as far back as corrections reach, and these sites.
    async fn stand_of(
        &self,
        now: Timestamp,
        kiosk: &KioskRow,
    ) -> Result<(Places, Vec<AssignmentRow>), StoreError> {
        let reach = past::reach(now);
        let ids = std::slice::from_ref(&kiosk.id);
        let rows = self.store().assignments_of(ids, ms(reach.from), ms(reach.to)).await?;
        let stood = rows.iter().filter(|row| row.group == GroupKind::Site);
        let mut sites: BTreeSet<SiteId> = stood.filter_map(|row| row.group_id.parse().ok()).collect();
        sites.extend(kiosk.site.clone());
        Ok((self.uptime_reader().places_at(&sites).await?, rows))
    }

    /// Since when a kiosk may count by its first dates: on the clock of its site, and of the one it leaves. One that is new
    /// here (`was` is `None`) has no evidence that anybody could have fitted the hours of its site to.
    pub(crate) async fn first_dates(
        &self,
        now: Timestamp,
        was: Option<&KioskRow>,
        is: &KioskRow,
    ) -> Result<FirstDates, StoreError> {
        let left = was.filter(|was| was.site.is_some() && was.site != is.site);
        let mut first = self.first_dates_at(now, is, was.is_some()).await?;
        if let Some(left) = left {
            first = first.and(self.first_dates_at(now, left, true).await?);
        }
        Ok(first)
    }

    async fn first_dates_at(
        &self,
        now: Timestamp,
        kiosk: &KioskRow,
        is_known: bool,
    ) -> Result<FirstDates, StoreError> {
        let site = self.site_of(kiosk).await?;
        let zone = site.as_ref().and_then(|site| site.timezone.parse().ok());
        let zone = zone.unwrap_or_else(|| self.default_zone());
        let first = FirstDates::on(zone, &self.uptime_reader().terms(), now);
        let Some(site) = site.filter(|_| is_known) else { return Ok(first) };
        let noted = self.store().site_terms(Some(&[site.id.as_str()])).await?;
        Ok(first.known_since(past::known_since(&site, &noted), now))
    }

    /// Since when an outage of this kiosk is under way: the last thing it answered for within some days was down, and it
    /// has not been up since. Whoever goes dark after closing time, or while that is forgiven, is not down.
    async fn down_since(&self, now: Timestamp, kiosk: &KioskId) -> Result<Option<Timestamp>, DecisionError> {
        let days = UptimePeriod::Between(now.plus_ms(-LOOKED_BACK_MS), now);
        let told = match self.explain_uptime(&Scope::All, kiosk, days, None).await {
            Ok(told) => told,
            Err(UptimeError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let counts = told.intervals.iter().rev().filter(|piece| piece.avail.verdict != Verdict::LeftOut);
        // Until the verdict its next heartbeat may still come.
        let presence = self.fleet().kiosk(kiosk).map(|known| known.presence);
        let is_offline = presence == Some(PresenceVerdict::Offline);
        let said = counts.skip_while(|piece| !is_offline && piece.state.is_none());
        let down = said.take_while(|piece| piece.avail.verdict == Verdict::Down);
        Ok(down.last().map(|piece| ms(piece.from)))
    }

    async fn site_of(&self, kiosk: &KioskRow) -> Result<Option<SiteRow>, StoreError> {
        match &kiosk.site {
            Some(id) => self.store().site(&Scope::All, id).await,
            None => Ok(None),
        }
    }

    /// Who answers for a kiosk now.
    pub async fn engineer_of(&self, kiosk: &KioskId) -> Result<Option<String>, StoreError> {
        let now = self.clock().now();
        let rows = self.store().assignments_of(std::slice::from_ref(kiosk), now, now.plus_ms(1)).await?;
        let held = rows.into_iter().filter(|row| row.group == GroupKind::Engineer);
        Ok(held.max_by_key(|row| row.from).map(|row| row.group_id))
    }

    /// When kiosks counted at a site, as far back as corrections reach.
    pub(super) async fn stood_at(&self, site: &SiteId) -> Result<IntervalSet, StoreError> {
        let reach = past::reach(self.clock().now());
        let (from, to) = (ms(reach.from), ms(reach.to));
        let store = self.store();
        let ids = store.kiosks_of_groups(GroupKind::Site, vec![site.as_str()], from, to).await?;
        let mut stood = IntervalSet::empty();
        for some in ids.chunks(KIOSKS_AT_ONCE) {
            let counted = Counted(store.commissioned_of(some).await?);
            let kiosks: Vec<(KioskRow, Commissioned)> = store
                .kiosks_of(some)
                .await?
                .into_iter()
                .map(|view| (counted.of(&view.kiosk, None), view.kiosk))
                .map(|(counted, kiosk)| (kiosk, counted))
                .collect();
            let assignments = store.assignments_of(some, from, to).await?;
            stood = stood.union(&past::stood_at(site, &kiosks, &assignments));
        }
        Ok(stood)
    }
}

#[cfg(test)]
mod tests;
