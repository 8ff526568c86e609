//! The fleet as it is now, as metrics.
use std::collections::BTreeMap;

use kioskwatch_domain::{fleet::SiteCount, uptime::Cause};
use kioskwatch_proto::{KioskId, SiteId};

use super::{
    text::{Family, Page},
    uptime::{UptimeFigure, UptimeFigures},
};

/// In the order of [`Seconds::ratios`](super::Seconds).
const RATIOS: [&str; 3] = ["on", "avail", "full"];

/// One scrape's worth of state.
#[derive(Debug, Clone, Default)]
pub struct FleetFigures {
    /// `unknown`, `online`, `late`, `offline` → kiosks in service; retired ones and those that were never admitted
    /// stand nowhere here.
    pub kiosks: BTreeMap<&'static str, u64>,
    /// By site and presence.
    pub site_kiosks: Vec<SiteCount>,
    /// Empty when per-kiosk series are off.
    pub each: Vec<KioskFigure>,
    /// (peripheral kind, fault, severity) → open incidents.
    pub faults: BTreeMap<(String, String, &'static str), u64>,
    /// (state, priority, class) → tickets of kiosks in service and of sites.
    pub tickets: BTreeMap<(&'static str, u8, &'static str), u64>,
    /// class → open tickets of kiosks out of service, which are in no other count.
    pub tickets_out_of_service: BTreeMap<&'static str, u64>,
    /// class → when the oldest open one of `tickets` was opened, milliseconds since 1970.
    pub oldest_ticket_ms: BTreeMap<&'static str, i64>,
    /// (kind, state) → inspections.
    pub inspections: BTreeMap<(String, String), u64>,
    pub uptime: UptimeFigures,
    /// What is promised, as the fraction of the configuration.
    pub uptime_target: [u64; 2],
    /// What was promised for the last month: the highest target that any of its figures is judged by.
    pub last_month_target: Option<(i64, i64)>,
    /// queue → waiting.
    pub queues: BTreeMap<&'static str, u64>,
    /// 1 while the broker and the database are there and the fleet has settled.
    pub ready: bool,
    /// Of a thousand.
    pub heartbeats_lost: u16,
}

#[derive(Debug, Clone)]
pub struct KioskFigure {
    pub kiosk: KioskId,
    pub site: String,
    pub up: bool,
    /// It should be on now.
    pub expected: bool,
    pub in_service: bool,
    /// Milliseconds since 1970, `None` if never heard.
    pub last_heartbeat_ms: Option<i64>,
    pub peripherals: Vec<PeripheralFigure>,
}

#[derive(Debug, Clone)]
pub struct PeripheralFigure {
    pub name: String,
    pub kind: String,
    pub up: bool,
}

impl FleetFigures {
    pub(super) async fn write(&self, page: &mut Page) {
        let mut family = Family::gauge(page, "kioskwatch_kiosks", "Kiosks in service by presence.");
        for (state, count) in &self.kiosks {
            family.sample(&[("state", state)], count);
        }
        let help = "Kiosks in service at a site by presence.";
        let mut family = Family::gauge(page, "kioskwatch_site_kiosks", help);
        for count in &self.site_kiosks {
            family.next(&site_labels(count), count.kiosks).await;
        }
        let help = "Those of them that should be on now: commissioned, the site open, no approved exclusion.";
        let mut family = Family::gauge(page, "kioskwatch_site_kiosks_expected", help);
        for count in &self.site_kiosks {
            family.next(&site_labels(count), count.expected).await;
        }
        self.write_each(page).await;
        let mut family = Family::gauge(page, "kioskwatch_faults_active", "Open incidents.");
        for ((kind, fault, severity), count) in &self.faults {
            family.sample(&[("kind", kind), ("fault", fault), ("severity", severity)], count);
        }
        let help = "Open tickets of sites and of kiosks in service.";
        let mut family = Family::gauge(page, "kioskwatch_tickets_open", help);
        for ((state, priority, class), count) in &self.tickets {
            family.sample(&[("state", state), ("priority", &priority.to_string()), ("class", class)], count);
        }
        let help = "Open tickets of kiosks out of service, which no other series counts: a person ends them.";
        let mut family = Family::gauge(page, "kioskwatch_tickets_open_out_of_service", help);
        for (class, count) in &self.tickets_out_of_service {
            family.sample(&[("class", class)], count);
        }
        let name = "kioskwatch_tickets_open_oldest_timestamp_seconds";
        let help = "When the oldest of kioskwatch_tickets_open was opened, Unix time.";
        let mut family = Family::gauge(page, name, help);
        for (class, ms) in &self.oldest_ticket_ms {
            family.sample(&[("class", class)], seconds(*ms));
        }
        let mut family = Family::gauge(page, "kioskwatch_inspections", "Inspections of the running periods.");
        for ((kind, state), count) in &self.inspections {
            family.sample(&[("kind", kind), ("state", state)], count);
        }
        self.write_uptime(page).await;
        let help = "The share of accountable time that is promised ([uptime] target).";
        let mut family = Family::gauge(page, "kioskwatch_uptime_target_ratio", help);
        let [a, b] = self.uptime_target;
        if b > 0 {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a line in a chart; targets are compared by the next two"
            )]
            family.sample(&[], a as f64 / b as f64);
        }
        let help = "The share that was promised for last month, as its figures were signed or will be.";
        let mut family = Family::gauge(page, "kioskwatch_uptime_last_month_target_ratio", help);
        if let Some((a, b)) = self.last_month_target.filter(|(_, b)| *b > 0) {
            #[expect(clippy::cast_precision_loss, reason = "a target has a few digits")]
            family.sample(&[], a as f64 / b as f64);
        }
        let help = "What is promised, as the fraction it was written as: to be compared without rounding.";
        Family::gauge(page, "kioskwatch_uptime_target_numerator", help).sample(&[], a);
        Family::gauge(page, "kioskwatch_uptime_target_denominator", help).sample(&[], b);
        let mut family = Family::gauge(page, "kioskwatch_queue_depth", "Waiting in a bounded queue.");
        for (queue, depth) in &self.queues {
            family.sample(&[("queue", queue)], depth);
        }
        Family::gauge(
            page,
            "kioskwatch_heartbeat_loss_ratio",
            "Share of all heartbeats that the broker drops before they reach the server.",
        )
        .sample(&[], f64::from(self.heartbeats_lost) / 1_000.0);
        Family::gauge(page, "kioskwatch_ready", "1 while the server can receive and commit.")
            .sample(&[], u8::from(self.ready));
    }

    async fn write_uptime(&self, page: &mut Page) {
        let help = "Seconds up within accountable time. Divide sums, and of one scope only.";
        let mut family = Family::gauge(page, "kioskwatch_uptime_up_seconds", help);
        for figure in self.uptime.iter() {
            for (ratio, seconds) in RATIOS.into_iter().zip(figure.seconds.ratios) {
                family.next(&figure.labels_with(("ratio", ratio)), seconds.num).await;
            }
        }
        let help = "Seconds that count for the ratio (its denominator).";
        let mut family = Family::gauge(page, "kioskwatch_uptime_accountable_seconds", help);
        for figure in self.uptime.iter() {
            for (ratio, seconds) in RATIOS.into_iter().zip(figure.seconds.ratios) {
                family.next(&figure.labels_with(("ratio", ratio)), seconds.den).await;
            }
        }
        let help =
            "Seconds to answer for in which the state was known; with the unknown ones they are all of them.";
        let mut family = Family::gauge(page, "kioskwatch_uptime_known_seconds", help);
        for figure in self.of_groups() {
            family.next(&figure.labels(), figure.seconds.known_s).await;
        }
        let help = "Seconds to answer for of which nothing is known.";
        let mut family = Family::gauge(page, "kioskwatch_uptime_unknown_seconds", help);
        for figure in self.of_groups() {
            family.next(&figure.labels(), figure.seconds.unknown_s).await;
        }
        let help =
            "Seconds of the month that are still to count, by the hours, dates and exclusions known now.";
        let mut family = Family::gauge(page, "kioskwatch_uptime_to_come_seconds", help);
        for figure in self.of_groups().filter(|figure| figure.period == "month") {
            family.next(&figure.labels(), figure.seconds.to_come_s).await;
        }
        let help = "Seconds down by cause; together what avail lacks. Only causes that occurred.";
        let mut family = Family::gauge(page, "kioskwatch_uptime_down_seconds", help);
        for figure in self.of_groups() {
            let down_s = Cause::ALL.iter().zip(figure.seconds.down_s);
            for (cause, down_s) in down_s.filter(|(_, down_s)| *down_s > 0) {
                family.next(&figure.labels_with(("cause", cause.as_str())), down_s).await;
            }
        }
    }

    /// Single kiosks have few series: a page that Prometheus finds too long it refuses whole.
    fn of_groups(&self) -> impl Iterator<Item = UptimeFigure<'_>> {
        self.uptime.iter().filter(|figure| figure.scope != "kiosk")
    }

    async fn write_each(&self, page: &mut Page) {
        if self.each.is_empty() {
            return;
        }
        let mut family = Family::gauge(page, "kioskwatch_kiosk_up", "1 while the kiosk is online or late.");
        for kiosk in &self.each {
            family.next(&kiosk.labels(), u8::from(kiosk.up)).await;
        }
        let help = "1 while the kiosk should be on: commissioned, its site open, no approved exclusion.";
        let mut family = Family::gauge(page, "kioskwatch_kiosk_expected", help);
        for kiosk in &self.each {
            family.next(&kiosk.labels(), u8::from(kiosk.expected)).await;
        }
        let mut family = Family::gauge(
            page,
            "kioskwatch_kiosk_last_heartbeat_timestamp_seconds",
            "When the kiosk was last heard, Unix time.",
        );
        for kiosk in &self.each {
            if let Some(ms) = kiosk.last_heartbeat_ms {
                family.next(&kiosk.labels(), seconds(ms)).await;
            }
        }
        let mut family = Family::gauge(
            page,
            "kioskwatch_kiosk_in_service",
            "1 while the kiosk serves customers, degraded or not.",
        );
        for kiosk in &self.each {
            family.next(&kiosk.labels(), u8::from(kiosk.in_service)).await;
        }
        let mut family = Family::gauge(page, "kioskwatch_peripheral_up", "1 while the peripheral works.");
        for kiosk in &self.each {
            for p in &kiosk.peripherals {
                let [of, site] = kiosk.labels();
                let labels = [of, site, ("peripheral", p.name.as_str()), ("kind", p.kind.as_str())];
                family.next(&labels, u8::from(p.up)).await;
            }
        }
    }
}

impl KioskFigure {
    fn labels(&self) -> [(&str, &str); 2] {
        [("kiosk", self.kiosk.as_str()), ("site", &self.site)]
    }
}

impl<'a> UptimeFigure<'a> {
    fn labels(&self) -> [(&'a str, &'a str); 3] {
        [("scope", self.scope), ("id", self.id), ("period", self.period)]
    }

    fn labels_with(&self, one: (&'a str, &'a str)) -> [(&'a str, &'a str); 4] {
        let [scope, id, period] = self.labels();
        [scope, id, one, period]
    }
}

fn site_labels(count: &SiteCount) -> [(&str, &str); 2] {
    [("site", count.site.as_ref().map_or("", SiteId::as_str)), ("state", count.presence.as_str())]
}

/// Milliseconds as Prometheus writes an instant.
fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}
