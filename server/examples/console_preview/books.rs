//! Month figures of the made-up fleet, counted as they are shown; last year's are signed, one is restated.
use std::error::Error;

use kioskwatch_domain::{
    change::{
        Change, Correction, CorrectionRow, CorrectionState, Decided, MonthRow, RestatementRow,
        RestatementState,
    },
    uptime::Month,
};
use kioskwatch_proto::Timestamp;
use kioskwatch_server::{
    app::{App, UptimePeriod},
    store::{KioskFilter, PageRequest, Scope},
};
use uuid::Uuid;

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
            let mut sums = told.sums;
            if month < running.previous().previous() {
                // As a version signed them that did not note by what outages began.
                sums.outages_by_cause.clear();
            }
            rows.push(Change::Month(Box::new(MonthRow {
                version,
                site: kiosk.site.clone(),
                engineer: Some(if kiosk.model.starts_with("TVM") { "王敏" } else { "李强" }.into()),
                region: site.as_ref().map_or_else(String::new, |site| site.region.clone()),
                customer: site.map_or_else(String::new, |site| site.customer),
                model: kiosk.model.clone(),
                as_of: at(told.period.to.min(now.secs())),
                frozen_at: (version > 0).then(|| at(told.period.to + 86_400)),
                sums,
                ..MonthRow::nothing(kiosk.id.clone(), month, told.period, now)
            })));
        }
    }
    rows.extend(decisions(app, running.previous()));
    store.commit(&rows).await?;
    Ok(())
}

/// Proposals and two corrections that wait, and one that was decided.
fn decisions(app: &App, month: Month) -> Vec<Change> {
    let now = app.clock().now();
    let ago = |hours: i64| now.plus_ms(-hours * 3_600_000);
    let figures = |down: i64| {
        let ratio = |lost: i64| format!(r#"{{"num":{},"den":2678400}}"#, 2_678_400 - lost);
        let [on, avail, full] = [down, 2 * down, 3 * down].map(ratio);
        format!(r#"{{"accountable_s":2678400,"excluded_s":7200,"on":{on},"avail":{avail},"full":{full}}}"#)
    };
    let kiosk = |id: &str| id.parse().ok();
    let correction = |id, what, reason: &str, decided| {
        let state = if decided { CorrectionState::Approved } else { CorrectionState::Requested };
        let decided =
            decided.then(|| Decided { by: "王经理".into(), at: ago(2), reason: "有网点证明".into() });
        let effect = format!(r#"{{"{month}":{{"before":{},"after":{}}}}}"#, figures(90_000), figures(4_000));
        Change::Correction(Box::new(CorrectionRow {
            id: Uuid::from_u128(id),
            what,
            from: ago(60),
            to: ago(40),
            reason: reason.into(),
            state,
            requested_by: "李强".into(),
            requested_at: ago(20),
            decided,
            effect,
        }))
    };
    let forgiven = |class: &str| Correction::Exclusion {
        kiosk: kiosk("BJ-004"),
        site: None,
        class: class.into(),
        agreed_at: None,
    };
    let proposal = |id, kiosk, changed: &str| {
        Change::Restatement(Box::new(RestatementRow {
            id: Uuid::from_u128(id),
            kiosk,
            month,
            base_version: 1,
            state: RestatementState::Proposed,
            fingerprint: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
            why: format!("since version 1 was signed, this changed: {changed}"),
            before: figures(90_000),
            after: figures(4_000),
            proposed_at: ago(30),
            decided: None,
        }))
    };
    let mut rows = vec![
        correction(0x5001, forgiven("force_majeure"), "暴雨，地下层断电，附网点证明", false),
        correction(0x5003, forgiven("customer_power"), "客户配电检修", true),
    ];
    if let (Ok(site), Some(kiosk)) = ("sh-hq".parse(), kiosk("SH-003")) {
        let after =
            r#"[{"weekly":"24x7"},{"effective_from":"2026-11-01","weekly":{"mon":[["08:00","20:00"]]}}]"#;
        let what = Correction::ServiceHours { site, before: String::new(), after: after.into() };
        rows.push(correction(0x5002, what, "营业时间录入有误", false));
        rows.push(proposal(0x5000, kiosk, "evidence"));
    }
    // A flood, known about after the month was signed.
    let flooded = ["BJ-001", "BJ-002", "BJ-003", "BJ-004"].into_iter().filter_map(kiosk);
    rows.extend((0x5010..).zip(flooded).map(|(id, kiosk)| proposal(id, kiosk, "exclusions")));
    rows
}
