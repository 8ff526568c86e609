//! The fleet as numbers, for one scrape.

use std::{
    collections::{BTreeMap, HashSet},
    panic::resume_unwind,
    sync::Arc,
    time::Duration,
};

use kioskwatch_domain::{
    change::PresenceVerdict,
    fleet::{Fleet, InService, SiteCount},
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp, words::ServiceState};
use tokio::{
    task::{JoinError, spawn_blocking},
    time::timeout,
};

use super::App;
use crate::{
    config::PerKiosk,
    metrics::{FleetFigures, KioskFigure, PERIODS, PeripheralFigure, Seconds, UptimeFigure, UptimeFigures},
};

/// `[monitoring] per_kiosk = auto` gives single kiosks their own series up to this many.
const AUTO_PER_KIOSK: usize = 5_000;
/// How long a scrape waits for the store: Prometheus gives it up after 10 s unless it is told otherwise.
const STORE_WITHIN: Duration = Duration::from_secs(2);

impl App {
    /// What is, from memory and, for what is not in memory, from the store. A store that does not answer
    /// leaves its part out: a scrape still tells that the server lives.
    pub async fn figures(&self) -> FleetFigures {
        let mut figures = self.beside(|app| app.count(app.clock().now())).await;
        match timeout(STORE_WITHIN, self.inspection_counts()).await {
            Ok(Ok(inspections)) => figures.inspections = inspections,
            Ok(Err(error)) => tracing::debug!(%error, "figures of the store left out of a scrape"),
            Err(_) => tracing::debug!("the store is slow: its figures are left out of a scrape"),
        }
        figures
    }

    /// On a thread that keeps nobody waiting: sums over a large fleet take a tenth of a second, and those threads that
    /// turn the hub are as few as there are cores. One after the other, also for whoever has gone meanwhile.
    async fn beside<T: Send + 'static>(&self, work: impl FnOnce(&Self) -> T + Send + 'static) -> T {
        let turn = Arc::clone(&self.shared.figuring).lock_owned().await;
        let app = self.clone();
        let done = spawn_blocking(move || {
            let done = work(&app);
            drop(turn);
            done
        });
        match done.await.map_err(JoinError::try_into_panic) {
            Ok(done) => done,
            // Told as one of its request.
            Err(Ok(panic)) => resume_unwind(panic),
            // Called off before it began: everything stops.
            Err(Err(_)) => std::future::pending().await,
        }
    }

    fn count(&self, now: Timestamp) -> FleetFigures {
        let mut figures = FleetFigures::default();
        // Several looks at the fleet: the hub waits for the longest, and not for all of them.
        self.count_kiosks(now, &mut figures);
        self.count_incidents(now, &mut figures);
        self.count_tickets(now, &mut figures);
        figures.uptime_target = self.config().uptime.target;
        figures.ready = self.missing().is_empty();
        let waiting = self.health().waiting_messages.load(std::sync::atomic::Ordering::Relaxed);
        figures.heartbeats_lost = self.health().heartbeats_lost.load(std::sync::atomic::Ordering::Relaxed);
        figures.queues.insert("messages", waiting);
        figures.queues.insert("requests", self.waiting_requests());
        figures.uptime = self.uptime_figures(&figures.each, now);
        figures.last_month_target = self.books().promised(now);
        figures
    }

    /// Of the kiosks in service: the others are nobody's problem, whatever state they were left in.
    fn count_kiosks(&self, now: Timestamp, figures: &mut FleetFigures) {
        let fleet = self.fleet();
        let each = match self.config().monitoring.per_kiosk {
            PerKiosk::On => true,
            PerKiosk::Off => false,
            PerKiosk::Auto => fleet.size_in_service(now) <= AUTO_PER_KIOSK,
        };
        figures.site_kiosks = fleet.site_counts(now);
        if each {
            figures.each = fleet.in_service(now).map(|one| kiosk_figure(&fleet, &one)).collect();
        }
        drop(fleet);
        let in_order = |a: &SiteCount, b: &SiteCount| {
            (&a.site, a.presence.as_str()).cmp(&(&b.site, b.presence.as_str()))
        };
        figures.site_kiosks.sort_by(in_order);
        figures.kiosks = PresenceVerdict::ALL.iter().map(|presence| (presence.as_str(), 0)).collect();
        for SiteCount { presence, kiosks, .. } in &figures.site_kiosks {
            *figures.kiosks.entry(presence.as_str()).or_default() += kiosks;
        }
    }

    fn count_incidents(&self, now: Timestamp, figures: &mut FleetFigures) {
        let fleet = self.fleet();
        let mut faults: BTreeMap<(&str, &str, &'static str), u64> = BTreeMap::new();
        let open = fleet.incidents().filter(|incident| incident.closed_at.is_none());
        for incident in open.filter(|incident| is_ours(&fleet, incident.kiosk.as_ref(), now)) {
            let kind = match (&incident.kiosk, &incident.peripheral) {
                (Some(kiosk), Some(name)) if name.is_host() => fleet.kiosk(kiosk).map(|_| "host"),
                (Some(kiosk), Some(name)) => fleet.peripheral_kind(kiosk, name),
                (Some(_), None) => Some("kiosk"),
                _ => Some("site"),
            };
            let key = (kind.unwrap_or(""), incident.fault.base(), incident.severity.as_str());
            *faults.entry(key).or_default() += 1;
        }
        let owned = |((kind, fault, severity), count): ((&str, &str, _), _)| {
            ((kind.to_owned(), fault.to_owned(), severity), count)
        };
        figures.faults = faults.into_iter().map(owned).collect();
    }

    fn count_tickets(&self, now: Timestamp, figures: &mut FleetFigures) {
        let fleet = self.fleet();
        for ticket in fleet.tickets().filter(|ticket| ticket.state.is_open()) {
            let class = ticket.class.as_str();
            // No rule ends a ticket because its kiosk left: somebody does, and nobody hurries.
            if !is_ours(&fleet, ticket.kiosk.as_ref(), now) {
                *figures.tickets_out_of_service.entry(class).or_default() += 1;
                continue;
            }
            let key = (ticket.state.as_str(), ticket.priority, class);
            *figures.tickets.entry(key).or_default() += 1;
            let oldest = figures.oldest_ticket_ms.entry(class).or_insert(i64::MAX);
            *oldest = (*oldest).min(ticket.opened_at.ms());
        }
    }

    /// The fleet and its sites, regions, customers and engineers for today, this month and the last one, as the
    /// bookkeeper left them, once it has looked at everybody since our start; of single kiosks, where they have series of
    /// their own, this month, also of those that were in service for a part of it: together they hold the same seconds
    /// as the fleet.
    fn uptime_figures(&self, each: &[KioskFigure], now: Timestamp) -> UptimeFigures {
        let mut figures = self.books().totals(now);
        let in_service: HashSet<&KioskId> = each.iter().map(|one| &one.kiosk).collect();
        let all: Vec<KioskId> = match each {
            [] => Vec::new(),
            _ => self.fleet().kiosks().map(|one| one.id.clone()).collect(),
        };
        for (kiosk, periods) in all.iter().zip(self.books().of_kiosks((0..).take(all.len()), now)) {
            for (period, seconds) in PERIODS.into_iter().zip(periods).filter(|(name, _)| *name == "month") {
                let counts = |seconds: &Seconds| seconds.known_s + seconds.unknown_s > 0;
                let seconds = seconds.filter(|seconds| in_service.contains(kiosk) || counts(seconds));
                if let Some(seconds) = seconds {
                    figures.push(&UptimeFigure { scope: "kiosk", id: kiosk.as_str(), period, seconds });
                }
            }
        }
        figures
    }
}

/// Of a site, or of a kiosk in service.
fn is_ours(fleet: &Fleet, kiosk: Option<&KioskId>, now: Timestamp) -> bool {
    kiosk.is_none_or(|id| fleet.is_in_service(id, now))
}

fn kiosk_figure(fleet: &Fleet, InService { kiosk, expected }: &InService<'_>) -> KioskFigure {
    let serves = matches!(kiosk.service, Some(ServiceState::InService | ServiceState::Degraded));
    let up = matches!(kiosk.presence, PresenceVerdict::Online | PresenceVerdict::Late);
    let peripherals = kiosk.peripherals.iter().map(|(name, state)| PeripheralFigure {
        name: name.to_string(),
        kind: fleet.peripheral_kind(kiosk.id, name).unwrap_or("").to_owned(),
        up: up && state.status.works(),
    });
    KioskFigure {
        kiosk: kiosk.id.clone(),
        site: text_of(kiosk.site),
        up,
        expected: *expected,
        in_service: up && serves,
        last_heartbeat_ms: kiosk.last_seen_at.map(Timestamp::ms),
        peripherals: peripherals.collect(),
    }
}

/// As a label: empty for a kiosk that stands nowhere.
fn text_of(site: Option<&SiteId>) -> String {
    site.map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests;
