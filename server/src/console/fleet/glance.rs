//! One look at every kiosk of a reader: how many are how, and who is drawn. A fleet of 100,000 kiosks at 33,000 sites
//! goes by without a copy of more than names, a few thousand at a time: the hub wants the fleet too.
use std::collections::{HashMap, HashSet};

use kioskwatch_domain::{
    change::PresenceVerdict,
    fleet::{Ix, KioskView},
};
use kioskwatch_proto::{KioskId, PeripheralName, SiteId, faults::FaultCode};

use super::Filter;
use crate::{
    app::App,
    console::{texts::Texts, tone::Tone},
    http::{Caller, Sites},
    store::StoreError,
};

/// Kiosks that are looked at before the hub has its turn.
const AT_ONCE: Ix = 2_000;

/// Whom a reader looks for.
pub(super) struct Wanted<'a> {
    app: &'a App,
    t: &'static Texts,
    only_problems: bool,
    /// In small letters; empty: everybody.
    text: String,
    /// Sites and models of that name.
    sites: HashSet<&'a SiteId>,
    of_models: HashSet<KioskId>,
}

impl<'a> Wanted<'a> {
    pub(super) async fn of(
        app: &'a App,
        t: &'static Texts,
        filter: &Filter,
        sites: &'a Sites,
    ) -> Result<Self, StoreError> {
        let text = filter.q.trim().to_lowercase();
        let only_problems = filter.only_problems();
        let mut wanted =
            Self { app, t, only_problems, text, sites: HashSet::new(), of_models: HashSet::new() };
        if wanted.text.is_empty() {
            return Ok(wanted);
        }
        let named = sites.values().filter(|site| {
            [site.name(), site.id().as_str(), &site.contract().region]
                .into_iter()
                .any(|text| wanted.has(text))
        });
        wanted.sites = named.map(|site| site.id()).collect();
        // Models stand in the register, not in the fleet's memory.
        let models = app.store().models().await?;
        let models: Vec<&str> = models.iter().map(String::as_str).filter(|model| wanted.has(model)).collect();
        if !models.is_empty() {
            wanted.of_models = app.store().kiosks_of_models(&models).await?.into_iter().collect();
        }
        Ok(wanted)
    }

    fn has(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.text)
    }

    fn takes(&self, kiosk: &KioskView<'_>, tone: Tone, floods: bool) -> bool {
        let (t, catalogue) = (self.t, &self.app.policy().catalogue);
        let fault = |device: &PeripheralName, code: &FaultCode| {
            self.has(&t.fault_at(catalogue, device.as_str(), code)) || self.has(code.as_str())
        };
        let mut faults = kiosk
            .peripherals
            .iter()
            .flat_map(|(device, state)| state.faults.iter().map(move |code| (device, code)));
        (!self.only_problems || tone.is_problem())
            && (self.text.is_empty()
                || self.has(kiosk.id.as_str())
                || kiosk.site.is_some_and(|site| self.sites.contains(site))
                || self.of_models.contains(kiosk.id)
                || faults.any(|(device, code)| fault(device, code))
                || floods && (self.has(t.word("flood")) || self.has("flood")))
    }
}

/// The headline: of all that a reader sees, whomever they look for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) total: usize,
    pub(super) online: usize,
    pub(super) offline: usize,
    pub(super) unknown: usize,
    pub(super) out: usize,
    pub(super) warn: usize,
}

impl Counts {
    fn add(&mut self, presence: PresenceVerdict, tone: Tone) {
        self.total += 1;
        match presence {
            PresenceVerdict::Online | PresenceVerdict::Late => self.online += 1,
            PresenceVerdict::Offline => self.offline += 1,
            PresenceVerdict::Unknown => self.unknown += 1,
        }
        match tone {
            Tone::Out => self.out += 1,
            Tone::Warn => self.warn += 1,
            _ => {}
        }
    }
}

#[derive(Default)]
pub(super) struct Glance {
    pub(super) counts: Counts,
    /// Those that are looked for.
    sites: HashMap<Option<SiteId>, Vec<(Tone, KioskId)>>,
}

/// A site, and who of it is drawn.
pub(super) struct Group {
    pub(super) site: Option<SiteId>,
    pub(super) name: String,
    pub(super) worst: Tone,
    pub(super) total: usize,
    /// With a problem.
    pub(super) need: usize,
    pub(super) problems: Vec<KioskId>,
    pub(super) healthy: Vec<KioskId>,
}

impl Glance {
    pub(super) async fn at(app: &App, caller: &Caller, wanted: &Wanted<'_>) -> Self {
        let mut glance = Self::default();
        let mut next = 0;
        // A fleet only grows.
        while glance.look(app, caller, wanted, next..next + AT_ONCE) {
            next += AT_ONCE;
            tokio::task::yield_now().await;
        }
        glance
    }

    /// `false`: there is nobody further on.
    fn look(&mut self, app: &App, caller: &Caller, wanted: &Wanted<'_>, places: std::ops::Range<Ix>) -> bool {
        let (fleet, floods) = (app.fleet(), app.floods());
        for place in places {
            let Some(kiosk) = fleet.kiosk_at(place) else { return false };
            if !caller.identity.sees_site(kiosk.site) {
                continue;
            }
            let is_flooding = floods.of(kiosk.id).is_some();
            let tone = Tone::at_a_glance(&kiosk, is_flooding, &app.policy().catalogue);
            self.counts.add(kiosk.presence, tone);
            if wanted.takes(&kiosk, tone, is_flooding) {
                self.sites.entry(kiosk.site.cloned()).or_default().push((tone, kiosk.id.clone()));
            }
        }
        true
    }

    /// Sites with somebody to draw, those with the worst problems first, with at most so many kiosks together: whoever
    /// has a problem comes before whoever is well. And how many are left out.
    pub(super) fn worst_first(self, t: &Texts, sites: &Sites, most: usize) -> (Vec<Group>, usize) {
        let mut groups: Vec<Group> =
            self.sites.into_iter().map(|(site, kiosks)| Group::of(t, sites, site, kiosks)).collect();
        groups.sort_unstable_by(|one, other| {
            (one.worst, &one.name, &one.site).cmp(&(other.worst, &other.name, &other.site))
        });
        let mut room = most;
        let mut hidden = 0;
        let mut fill = |kiosks: &mut Vec<KioskId>| {
            hidden += kiosks.len().saturating_sub(room);
            kiosks.truncate(room);
            room -= kiosks.len();
        };
        groups.iter_mut().for_each(|group| fill(&mut group.problems));
        groups.iter_mut().for_each(|group| fill(&mut group.healthy));
        groups.retain(|group| group.drawn().next().is_some());
        (groups, hidden)
    }
}

impl Group {
    fn of(t: &Texts, sites: &Sites, site: Option<SiteId>, mut kiosks: Vec<(Tone, KioskId)>) -> Self {
        // The worst first, and who is well by name.
        let rank = |tone: Tone| if tone.is_problem() { tone } else { Tone::Ok };
        kiosks.sort_unstable_by(|one, other| (rank(one.0), &one.1).cmp(&(rank(other.0), &other.1)));
        let need = kiosks.iter().filter(|(tone, _)| tone.is_problem()).count();
        let worst = if need > 0 { kiosks[0].0 } else { Tone::Ok };
        let total = kiosks.len();
        let mut problems: Vec<KioskId> = kiosks.into_iter().map(|(_, id)| id).collect();
        let healthy = problems.split_off(need);
        let name = match (&site, site.as_ref().and_then(|id| sites.get(id))) {
            (None, _) => t.without_site.to_owned(),
            (Some(id), None) => id.to_string(),
            (Some(_), Some(row)) => row.name().to_owned(),
        };
        Self { site, name, worst, total, need, problems, healthy }
    }

    pub(super) fn drawn(&self) -> impl Iterator<Item = &KioskId> {
        self.problems.iter().chain(&self.healthy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Language;

    fn glance(sites: &[(&str, &[(Tone, &str)])]) -> Glance {
        let kiosk = |(tone, id): &(Tone, &str)| (*tone, KioskId::new(id).unwrap());
        let site = |(id, kiosks): &(&str, &[(Tone, &str)])| {
            (SiteId::new(id).ok(), kiosks.iter().map(kiosk).collect())
        };
        Glance { sites: sites.iter().map(site).collect(), ..Glance::default() }
    }

    /// Site by site who is drawn, and how many are left out.
    fn drawn(glance: Glance, most: usize) -> (Vec<String>, usize) {
        let (groups, hidden) = glance.worst_first(Texts::of(Language::En), &Sites::new(), most);
        let line = |group: &Group| {
            let ids: Vec<&str> = group.drawn().map(KioskId::as_str).collect();
            format!("{} {}/{}: {}", group.name, group.need, group.total, ids.join(" "))
        };
        (groups.iter().map(line).collect(), hidden)
    }

    fn fleet() -> Glance {
        glance(&[
            ("calm", &[(Tone::Ok, "K-1"), (Tone::Busy, "K-0")]),
            ("dark", &[(Tone::Warn, "K-2"), (Tone::Off, "K-3"), (Tone::Ok, "K-4")]),
            ("ill", &[(Tone::Ok, "K-6"), (Tone::Out, "K-5")]),
            ("", &[(Tone::Wait, "K-7")]),
        ])
    }

    #[test]
    fn sites_stand_by_their_worst_kiosk_and_kiosks_by_how_bad_they_are() {
        let nowhere = Texts::of(Language::En).without_site;
        let lines = [
            "ill 1/2: K-5 K-6".to_owned(),
            "dark 2/3: K-3 K-2 K-4".to_owned(),
            format!("{nowhere} 1/1: K-7"),
            "calm 0/2: K-0 K-1".to_owned(),
        ];
        assert_eq!(drawn(fleet(), 100), (lines.to_vec(), 0));
    }

    #[test]
    fn beyond_what_a_page_draws_problems_come_first_and_a_site_without_anybody_is_left_out() {
        let lines = ["ill 1/2: K-5 K-6", "dark 2/3: K-3 K-2"].map(ToOwned::to_owned);
        let without_k7 = |(lines, hidden): (Vec<String>, usize)| {
            (lines.into_iter().filter(|line| !line.contains("K-7")).collect::<Vec<_>>(), hidden)
        };
        assert_eq!(without_k7(drawn(fleet(), 5)), (lines.to_vec(), 3));
        assert_eq!(drawn(fleet(), 2), (vec!["ill 1/2: K-5".to_owned(), "dark 2/3: K-3".to_owned()], 6));
        assert_eq!(drawn(fleet(), 0), (Vec::new(), 8));
    }
}
