//! Sites and kiosks as one person registers and changes them: as long as no accountable time of the past moves.
use kioskwatch_domain::{
    change::{GroupKind, KioskRow, ServiceSpan, SiteRow},
    fleet::{Actor, Request, hand_over},
    interval::IntervalSet,
    uptime::past::{self, Terms},
};
use kioskwatch_proto::{KioskId, SiteId};

use super::{
    DecisionError,
    gather::KIOSKS_AT_ONCE,
    reader::{day_of, ms},
};
use crate::{
    app::App,
    store::{Scope, StoreError},
};

impl App {
    /// Registers or changes a site.
    ///
    /// # Errors
    /// Conflict: other open times of the past, where a kiosk counted.
    pub async fn put_site(&self, actor: Actor, row: SiteRow) -> Result<(), DecisionError> {
        let known = self.store().site(&Scope::All, &row.id).await?;
        let terms = |site: &SiteRow| (site.timezone.clone(), site.service_hours.clone());
        let other = known.filter(|known| terms(known) != terms(&row));
        // Two at once would both be judged by what was before them.
        let _one_at_a_time = match &other {
            Some(_) => Some(self.books().deciding.lock().await),
            None => None,
        };
        if let Some(known) = other {
            let stood = self.stood_at(&row.id).await?;
            let [was, is] = [&known, &row].map(|site| Terms::of_site(site, self.default_zone()));
            past::check_site(self.clock().now(), self.calendar(), [&was, &is], &stood)?;
        }
        self.request(actor, Request::PutSite(row)).await?;
        Ok(())
    }

    /// Registers or changes a kiosk; with `engineer` also who answers for it from now on (`None`: nobody).
    ///
    /// # Errors
    /// Conflict: dates by which time of the past would count that did not, or the other way round.
    pub async fn put_kiosk(
        &self,
        actor: Actor,
        row: KioskRow,
        engineer: Option<Option<&str>>,
    ) -> Result<(), DecisionError> {
        let known = self.store().kiosk(&Scope::All, &row.id).await?.map(|view| view.kiosk);
        let now = self.clock().now();
        if let Some(known) = known.as_ref().filter(|known| ServiceSpan::of(known) != ServiceSpan::of(&row)) {
            let site = match &known.site {
                Some(id) => self.store().site(&Scope::All, id).await?,
                None => None,
            };
            let zone = site.and_then(|site| site.timezone.parse().ok());
            let today = day_of(zone.unwrap_or_else(|| self.default_zone()), now);
            past::check_kiosk(now, today, known, &row)?;
        }
        let kiosk = row.id.clone();
        let put = match known {
            Some(known) => Request::ChangeKiosk { before: Box::new(known), after: Box::new(row) },
            None => Request::PutKiosk(row),
        };
        let Some(engineer) = engineer else {
            self.request(actor, put).await?;
            return Ok(());
        };
        // Two who name somebody at once would both find the same one before them.
        let _one_at_a_time = self.books().deciding.lock().await;
        let open = self.store().assignments_of(std::slice::from_ref(&kiosk), now, now.plus_ms(1)).await?;
        let changes = hand_over(now, &actor, &kiosk, &open, engineer)?;
        self.request(actor, Request::Book { changes, also: Some(Box::new(put)) }).await?;
        Ok(())
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
            let kiosks: Vec<KioskRow> =
                store.kiosks_of(some).await?.into_iter().map(|view| view.kiosk).collect();
            let assignments = store.assignments_of(some, from, to).await?;
            stood = stood.union(&past::stood_at(site, &kiosks, &assignments));
        }
        Ok(stood)
    }
}
