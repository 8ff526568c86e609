//! What inspections are due: both kinds, with their windows and both report deadlines.
use std::collections::BTreeMap;

use kioskwatch_domain::{
    inspection::{Campaigns, Due, KioskInService, Planner, Policy, due_list},
    wall,
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};

use super::App;
use crate::{
    config::Config,
    store::{KioskFilter, PageRequest, Scope, StoreError},
};

/// One inspection of one kiosk.
#[derive(Debug, Clone, PartialEq)]
pub struct DueInspection {
    pub kiosk: KioskId,
    pub site: Option<SiteId>,
    pub zone: chrono_tz::Tz,
    pub due: Due,
}

/// A page of due inspections, kiosk by kiosk.
#[derive(Debug, Clone, PartialEq)]
pub struct DuePage {
    pub items: Vec<DueInspection>,
    pub next_cursor: Option<String>,
    /// Years without an official holiday calendar that were needed.
    pub problems: Vec<String>,
}

/// The inspection policy of the configuration, with the other deadlines at their defaults.
pub fn inspection_policy(config: &Config) -> Policy {
    let config = &config.inspection;
    Policy {
        phone_start_day: config.phone_start_day,
        phone_days: config.phone_days,
        phone_report_day: config.phone_report_day,
        onsite_start_month_of_quarter: config.onsite_start_month_of_quarter,
        onsite_start_day: config.onsite_start_day,
        onsite_days: config.onsite_days,
        onsite_report_day: config.onsite_report_day,
        ..Policy::default()
    }
}

impl App {
    /// What the kiosks that `reader` may see owe at `now`; paged by kiosk.
    pub async fn inspections(
        &self,
        reader: &Scope,
        now: Timestamp,
        page: &PageRequest,
    ) -> Result<DuePage, StoreError> {
        let policy = inspection_policy(self.config());
        let found = self.store().kiosks(reader, &KioskFilter::default(), page).await?;
        let mut items = Vec::new();
        let mut problems = Vec::new();
        for view in found.items {
            // Nobody inspects what was never taken into service.
            if view.kiosk.commissioned_at.is_none() {
                continue;
            }
            let zone = self.zone_of(view.kiosk.site.as_ref());
            let planner = Planner { policy: &policy, zone, calendar: self.calendar() };
            let kiosk = KioskInService {
                commissioned_at: view.kiosk.commissioned_at.map(Timestamp::secs),
                decommissioned_at: view.kiosk.decommissioned_at.map(Timestamp::secs),
                done: &[],
            };
            match due_list(&planner, &kiosk, now.secs()) {
                Ok(list) => items.extend(list.into_iter().map(|due| DueInspection {
                    kiosk: view.kiosk.id.clone(),
                    site: view.kiosk.site.clone(),
                    zone,
                    due,
                })),
                Err(problem) => problems.push(format!("{}: {problem}", view.kiosk.id)),
            }
        }
        problems.dedup();
        Ok(DuePage { items, next_cursor: found.next_cursor, problems })
    }

    /// How many inspections of the whole fleet stand how, by kind and state.
    pub(super) async fn inspection_counts(&self) -> Result<BTreeMap<(String, String), u64>, StoreError> {
        let now = self.clock().now().secs();
        let policy = inspection_policy(self.config());
        let mut campaigns = BTreeMap::new();
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for dates in self.store().service_dates().await? {
            let of_zone = campaigns.entry(dates.timezone).or_insert_with_key(|name: &String| {
                let zone = name.parse().unwrap_or_else(|_| self.default_zone());
                Campaigns::at(&Planner { policy: &policy, zone, calendar: self.calendar() }, now).ok()
            });
            let kiosk = KioskInService {
                commissioned_at: Some(dates.commissioned_at.secs()),
                decommissioned_at: dates.decommissioned_at.map(Timestamp::secs),
                done: &[],
            };
            for due in of_zone.iter().flat_map(|campaigns| campaigns.due(&kiosk)) {
                let key = (due.kind.as_str(), due.outcome.inspection.as_str());
                *counts.entry(key).or_default() += dates.kiosks;
            }
        }
        let owned = |((kind, state), count): ((&str, &str), u64)| ((kind.into(), state.into()), count);
        Ok(counts.into_iter().map(owned).collect())
    }

    /// The wall clock of a site; without a valid zone it follows the default one.
    fn zone_of(&self, site: Option<&SiteId>) -> chrono_tz::Tz {
        let fleet = self.fleet();
        let named = site.and_then(|id| fleet.site(id)).and_then(|site| site.timezone().parse().ok());
        named.unwrap_or_else(|| self.default_zone())
    }

    /// The local year and month of an instant where no site is meant.
    pub fn month_of(&self, at: Timestamp) -> (i32, u32) {
        use chrono::Datelike as _;
        let day = wall::date_of(self.default_zone(), at.secs());
        (day.year(), day.month())
    }
}
