//! The fleet as it is now, as metrics.
use std::collections::BTreeMap;

use kioskwatch_domain::uptime::Cause;
use kioskwatch_proto::KioskId;

use super::text::Family;

/// One scrape's worth of state.
#[derive(Debug, Clone, Default)]
pub struct FleetFigures {
    /// `unknown`, `online`, `late`, `offline` → kiosks in service; retired ones and those that were never admitted
    /// stand nowhere here.
    pub kiosks: BTreeMap<&'static str, u64>,
    /// (site, presence) → kiosks.
    pub site_kiosks: BTreeMap<(String, &'static str), SiteKiosks>,
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
    pub uptime: Vec<UptimeFigure>,
    /// What is promised, as the fraction of the configuration.
    pub uptime_target: [u64; 2],
    /// What was promised for the last month: the highest target that any of its figures is judged by.
    pub last_month_target: Option<(i64, i64)>,
    /// queue → waiting.
    pub queues: BTreeMap<&'static str, u64>,
    /// 1 while the broker and the database are there and the fleet has settled.
    pub ready: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SiteKiosks {
    pub kiosks: u64,
    /// Of these, those that should be on now: see [`InService`](kioskwatch_domain::fleet::InService).
    pub expected: u64,
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

/// Seconds, never ratios: ratios are divided at the end, after summing.
#[derive(Debug, Clone)]
pub struct UptimeFigure {
    /// `fleet`, `site`, `region`, `customer`, `engineer` or `kiosk`. Each of them holds the same time: never add up two.
    pub scope: &'static str,
    /// "" is the fleet, and what belongs to no site, region, customer or engineer.
    pub id: String,
    /// `today`, `month`, `last_month`.
    pub period: &'static str,
    /// Of `on`, `avail`, `full`: seconds up, and seconds that count.
    pub ratios: [(i64, i64); 3],
    /// Seconds we answer for and know the state of, and those of which nothing is known.
    pub known_s: i64,
    pub unknown_s: i64,
    /// In the order of [`Cause::ALL`]; they add up to what avail lacks.
    pub down_s: [i64; Cause::ALL.len()],
    /// What of the period is still to count, by the hours, dates and exclusions known now.
    pub to_come_s: i64,
}

impl FleetFigures {
    pub(super) fn write(&self, page: &mut String) {
        let mut family = Family::gauge(page, "kioskwatch_kiosks", "Kiosks in service by presence.");
        for (state, count) in &self.kiosks {
            family.sample(&[("state", state)], count);
        }
        let help = "Kiosks in service at a site by presence.";
        let mut family = Family::gauge(page, "kioskwatch_site_kiosks", help);
        for ((site, state), count) in &self.site_kiosks {
            family.sample(&[("site", site), ("state", state)], count.kiosks);
        }
        let help = "Those of them that should be on now: commissioned, the site open, no approved exclusion.";
        let mut family = Family::gauge(page, "kioskwatch_site_kiosks_expected", help);
        for ((site, state), count) in &self.site_kiosks {
            family.sample(&[("site", site), ("state", state)], count.expected);
        }
        self.write_each(page);
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
        self.write_uptime(page);
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
        Family::gauge(page, "kioskwatch_ready", "1 while the server can receive and commit.")
            .sample(&[], u8::from(self.ready));
    }

    fn write_uptime(&self, page: &mut String) {
        let help = "Seconds up within accountable time. Divide sums, and of one scope only.";
        let mut family = Family::gauge(page, "kioskwatch_uptime_up_seconds", help);
        for (labels, (up_s, _)) in self.uptime.iter().flat_map(UptimeFigure::ratios) {
            family.sample(&labels, up_s);
        }
        let help = "Seconds that count for the ratio (its denominator).";
        let mut family = Family::gauge(page, "kioskwatch_uptime_accountable_seconds", help);
        for (labels, (_, counted_s)) in self.uptime.iter().flat_map(UptimeFigure::ratios) {
            family.sample(&labels, counted_s);
        }
        let help =
            "Seconds to answer for in which the state was known; with the unknown ones they are all of them.";
        let mut family = Family::gauge(page, "kioskwatch_uptime_known_seconds", help);
        for figure in self.of_groups() {
            family.sample(&figure.labels(), figure.known_s);
        }
        let help = "Seconds to answer for of which nothing is known.";
        let mut family = Family::gauge(page, "kioskwatch_uptime_unknown_seconds", help);
        for figure in self.of_groups() {
            family.sample(&figure.labels(), figure.unknown_s);
        }
        let help =
            "Seconds of the month that are still to count, by the hours, dates and exclusions known now.";
        let mut family = Family::gauge(page, "kioskwatch_uptime_to_come_seconds", help);
        for figure in self.of_groups().filter(|figure| figure.period == "month") {
            family.sample(&figure.labels(), figure.to_come_s);
        }
        let help = "Seconds down by cause; together what avail lacks. Only causes that occurred.";
        let mut family = Family::gauge(page, "kioskwatch_uptime_down_seconds", help);
        for figure in self.of_groups() {
            let [scope, id, period] = figure.labels();
            for (cause, down_s) in Cause::ALL.iter().zip(figure.down_s).filter(|(_, down_s)| *down_s > 0) {
                family.sample(&[scope, id, ("cause", cause.as_str()), period], down_s);
            }
        }
    }

    /// Single kiosks have few series: a page that Prometheus finds too long it refuses whole.
    fn of_groups(&self) -> impl Iterator<Item = &UptimeFigure> {
        self.uptime.iter().filter(|figure| figure.scope != "kiosk")
    }

    fn write_each(&self, page: &mut String) {
        if self.each.is_empty() {
            return;
        }
        let mut family = Family::gauge(page, "kioskwatch_kiosk_up", "1 while the kiosk is online or late.");
        for kiosk in &self.each {
            family.sample(&[("kiosk", kiosk.kiosk.as_str()), ("site", &kiosk.site)], u8::from(kiosk.up));
        }
        let help = "1 while the kiosk should be on: commissioned, its site open, no approved exclusion.";
        let mut family = Family::gauge(page, "kioskwatch_kiosk_expected", help);
        for kiosk in &self.each {
            let labels = [("kiosk", kiosk.kiosk.as_str()), ("site", &kiosk.site)];
            family.sample(&labels, u8::from(kiosk.expected));
        }
        let mut family = Family::gauge(
            page,
            "kioskwatch_kiosk_last_heartbeat_timestamp_seconds",
            "When the kiosk was last heard, Unix time.",
        );
        for kiosk in &self.each {
            if let Some(ms) = kiosk.last_heartbeat_ms {
                family.sample(&[("kiosk", kiosk.kiosk.as_str()), ("site", &kiosk.site)], seconds(ms));
            }
        }
        let mut family = Family::gauge(
            page,
            "kioskwatch_kiosk_in_service",
            "1 while the kiosk serves customers, degraded or not.",
        );
        for kiosk in &self.each {
            family.sample(
                &[("kiosk", kiosk.kiosk.as_str()), ("site", &kiosk.site)],
                u8::from(kiosk.in_service),
            );
        }
        let mut family = Family::gauge(page, "kioskwatch_peripheral_up", "1 while the peripheral works.");
        for kiosk in &self.each {
            for p in &kiosk.peripherals {
                family.sample(
                    &[
                        ("kiosk", kiosk.kiosk.as_str()),
                        ("site", &kiosk.site),
                        ("peripheral", &p.name),
                        ("kind", &p.kind),
                    ],
                    u8::from(p.up),
                );
            }
        }
    }
}

impl UptimeFigure {
    /// `on`, `avail`, `full`, each with its labels, seconds up and seconds that count.
    fn ratios(&self) -> impl Iterator<Item = ([(&str, &str); 4], (i64, i64))> {
        ["on", "avail", "full"].into_iter().zip(self.ratios).map(|(ratio, seconds)| {
            let [scope, id, period] = self.labels();
            ([scope, id, ("ratio", ratio), period], seconds)
        })
    }

    fn labels(&self) -> [(&str, &str); 3] {
        [("scope", self.scope), ("id", &self.id), ("period", self.period)]
    }
}

/// Milliseconds as Prometheus writes an instant.
fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}
