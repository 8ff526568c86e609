//! What inspections are due: both kinds, with their windows and both report deadlines.
use kioskwatch_domain::{
    inspection::{Due, KioskInService, Planner, Policy, due_list},
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
        let default_zone = self.default_zone();
        let mut items = Vec::new();
        let mut problems = Vec::new();
        for view in found.items {
            // Nobody inspects what was never taken into service.
            if view.kiosk.commissioned_at.is_none() {
                continue;
            }
            let zone = match &view.kiosk.site {
                Some(id) => self
                    .store()
                    .site(reader, id)
                    .await?
                    .and_then(|site| site.timezone.parse().ok())
                    .unwrap_or(default_zone),
                None => default_zone,
            };
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

    /// The local year and month of an instant where no site is meant.
    pub fn month_of(&self, at: Timestamp) -> (i32, u32) {
        use chrono::Datelike as _;
        let day = wall::date_of(self.default_zone(), at.secs());
        (day.year(), day.month())
    }
}
