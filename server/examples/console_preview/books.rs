//! Month figures of the made-up fleet, counted as they are shown; last year's are signed, one is restated.
use std::error::Error;

use kioskwatch_domain::{
    change::{Change, MonthRow},
    uptime::Month,
};
use kioskwatch_proto::Timestamp;
use kioskwatch_server::{
    app::{App, UptimePeriod},
    store::{KioskFilter, PageRequest, Scope},
};

/// Months that are booked, up to the one that runs.
const MONTHS: usize = 7;

pub(crate) async fn keep(app: &App) -> Result<(), Box<dyn Error>> {
    let (store, now) = (app.store(), app.clock().now());
    let kiosks = store.kiosks(&Scope::All, &KioskFilter::default(), &PageRequest::first()).await?;
    let running = Month::at(app.default_zone(), now.secs());
    let months = std::iter::successors(Some(running), |month| Some(month.previous())).take(MONTHS);
    let mut rows = Vec::new();
    for month in months {
        let period = UptimePeriod::Month { year: month.year(), month: month.month() };
        for view in &kiosks.items {
            let kiosk = &view.kiosk;
            let told = app.explain_uptime(&Scope::All, &kiosk.id, period, None).await?;
            let site = match &kiosk.site {
                Some(id) => store.site(&Scope::All, id).await?,
                None => None,
            };
            let at = |seconds: i64| Timestamp(seconds * 1_000);
            let version = if month == running { 0 } else { 1 };
            rows.push(Change::Month(Box::new(MonthRow {
                month,
                kiosk: kiosk.id.clone(),
                version,
                site: kiosk.site.clone(),
                engineer: Some(if kiosk.model.starts_with("TVM") { "王敏" } else { "李强" }.into()),
                region: site.as_ref().map_or_else(String::new, |site| site.region.clone()),
                customer: site.map_or_else(String::new, |site| site.customer),
                model: kiosk.model.clone(),
                period_from: at(told.period.from),
                period_to: at(told.period.to),
                as_of: at(told.period.to.min(now.secs())),
                booked_at: now,
                target: (99, 100),
                sums: told.sums,
                fingerprint: String::new(),
                inputs: "{}".into(),
            })));
        }
    }
    store.commit(&rows).await?;
    Ok(())
}
