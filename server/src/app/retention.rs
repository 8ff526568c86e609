//! What is old enough goes by itself: once a day, a few rows at a time, beside everything else.
//!
//! What may go before when is the domain's ([`kioskwatch_domain::retention`]); how it is found and removed is the
//! store's. Here is who goes next. It rests nine times as long as it worked, like the bookkeeper.
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use chrono::NaiveDate;
use kioskwatch_domain::{
    retention::{CLOCK_LOOKED_AT_S, EvidencePart, Kept, Policy, first_kept, is_clock_believed},
    uptime::Month,
    wall,
};
use kioskwatch_proto::{KioskId, Timestamp};
use tokio::sync::watch;

use super::{App, hub::chain};
use crate::{clock::Stopwatch, config::Config, store::StoreError};

/// Kiosks of one step.
const KIOSKS_A_STEP: usize = 100;
/// Rows of one step, about: no commit waits longer than for them.
const ROWS_A_STEP: u32 = 500;
/// A database that cannot remove so few in its time gets no more to do today.
const FEWEST_ROWS: u32 = 30;
/// Tickets of one step; each takes its history along.
const TICKETS_A_STEP: u32 = 50;
/// Rest after a step, in lengths of the step.
const REST: u32 = 9;
const REST_AT_MOST: Duration = Duration::from_secs(5);
/// How often it is looked whether another day has begun.
const IDLE: Duration = Duration::from_secs(60);

/// Runs until `stop` turns true.
pub async fn keep_to_retention(app: App, mut stop: watch::Receiver<bool>) {
    let mut retention = Retention::new(app);
    let mut rest = IDLE;
    while tokio::time::timeout(rest, stop.wait_for(|stop| *stop)).await.is_err() {
        let watch = Stopwatch::start();
        rest = match retention.step().await {
            Ok(true) => (watch.elapsed() * REST).min(REST_AT_MOST),
            Ok(false) => IDLE,
            Err(error) => {
                tracing::warn!(%error, "old rows stay for now");
                IDLE
            }
        };
    }
}

fn policy(config: &Config) -> Policy {
    let (uptime, retention) = (&config.uptime, &config.retention);
    Policy::new(uptime.keep_evidence_months, retention.records_months, retention.tickets_months)
}

/// Who sees to it.
pub struct Retention {
    app: App,
    /// The local date of the last round.
    begun_on: Option<NaiveDate>,
    round: Option<Round>,
}

/// One walk through everything.
struct Round {
    now: Timestamp,
    /// The next are looked at first.
    kiosks: VecDeque<KioskId>,
    /// Some kiosks, and what is still to be looked for of them.
    some: Vec<KioskId>,
    of_some: VecDeque<Kept>,
    /// Parts of the evidence of which nothing is young enough to be kept.
    parts: VecDeque<EvidencePart>,
    of_fleet: VecDeque<Kept>,
    /// The number of the last ticket that was looked at; none when all were.
    tickets_after: Option<u64>,
    /// Of one step; fewer where the database is slow.
    rows: u32,
    /// What could not be removed and is left for another day.
    given_up: u32,
    /// The oldest month of anybody that nobody signed.
    unsigned: Option<Month>,
    gone: BTreeMap<&'static str, u64>,
    longest: Duration,
}

impl Retention {
    /// Does nothing yet.
    #[must_use]
    pub fn new(app: App) -> Self {
        Self { app, begun_on: None, round: None }
    }

    /// A few rows; `false` when there is nothing to do before another day.
    pub async fn step(&mut self) -> Result<bool, StoreError> {
        let Some(round) = &mut self.round else { return self.begin().await };
        let watch = Stopwatch::start();
        let going_on = match round.step(&self.app).await {
            Ok(going_on) => going_on,
            Err(error) => {
                round.put_off(&error);
                return Err(error);
            }
        };
        round.longest = round.longest.max(watch.elapsed());
        if !going_on && let Some(round) = self.round.take() {
            round.tell();
            // What was put off is not removed.
            if round.given_up == 0 {
                self.app.counters().removed_all(self.app.clock().now());
            }
        }
        Ok(going_on)
    }

    /// Once a day, if the clock is believed.
    async fn begin(&mut self) -> Result<bool, StoreError> {
        let now = self.app.clock().now();
        let today = wall::date_of(self.app.default_zone(), now.secs());
        if self.begun_on == Some(today) {
            return Ok(false);
        }
        let lately = now.plus_ms(-CLOCK_LOOKED_AT_S * 1_000);
        if !is_clock_believed(&self.app.store().server_liveness(lately, now).await?, now) {
            return Ok(false);
        }
        let mut parts = self.app.store().evidence_parts().await?;
        self.begun_on = Some(today);
        if let Some(parts) = &mut parts {
            make_months(&self.app, parts, now).await;
            let before = policy(self.app.config()).before(Kept::Evidence, now, self.app.default_zone(), None);
            parts.retain(|part| part.is_over(before));
        }
        let kiosks = self.app.fleet().kiosks().map(|kiosk| kiosk.id.clone()).collect();
        self.round = Some(Round {
            now,
            kiosks,
            some: Vec::new(),
            of_some: VecDeque::new(),
            parts: parts.unwrap_or_default().into(),
            of_fleet: Kept::OF_THE_FLEET.into(),
            tickets_after: Some(0),
            rows: ROWS_A_STEP,
            given_up: 0,
            unsigned: None,
            gone: BTreeMap::new(),
            longest: Duration::ZERO,
        });
        Ok(true)
    }
}

impl Round {
    async fn step(&mut self, app: &App) -> Result<bool, StoreError> {
        let store = app.store();
        if let Some(&kept) = self.of_some.front() {
            let before = self.before(app, kept, None);
            let gone = store.remove_of_kiosks(kept, &self.some, before, self.rows).await?;
            if self.count(app, kept.table(), gone) == 0 {
                self.of_some.pop_front();
            }
        } else if !self.kiosks.is_empty() {
            self.next_kiosks(app).await?;
        } else if let Some(part) = self.parts.pop_front() {
            drop_if_empty(app, &part).await;
        } else if let Some(&kept) = self.of_fleet.front() {
            let before = self.before(app, kept, self.unsigned);
            let gone = store.remove_of_fleet(kept, before, self.rows).await?;
            if self.count(app, kept.table(), gone) == 0 {
                self.of_fleet.pop_front();
            }
        } else if let Some(after) = self.tickets_after {
            let before = self.before(app, Kept::Ticket, None);
            let old = store.old_tickets(before, after, TICKETS_A_STEP).await?;
            let gone = store.remove_tickets(&old.ids).await?;
            self.count(app, Kept::Ticket.table(), gone);
            self.tickets_after = old.next;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// What failed stays for another day, so that one damaged page or one slow statement keeps nothing else from
    /// being removed, and no commit from being made. What took too long is tried with half as many rows first.
    fn put_off(&mut self, error: &StoreError) {
        if error.is_overrun() && self.rows / 2 >= FEWEST_ROWS {
            self.rows /= 2;
            return;
        }
        self.given_up += 1;
        if self.of_some.pop_front().is_some() {
            return;
        }
        if !self.kiosks.is_empty() {
            // Nobody knows which of their months are unsigned: what all share stays too.
            self.kiosks.drain(..self.kiosks.len().min(KIOSKS_A_STEP));
            self.of_fleet.clear();
        } else if self.of_fleet.pop_front().is_none() {
            self.tickets_after = None;
        }
    }

    fn before(&self, app: &App, kept: Kept, unsigned: Option<Month>) -> Timestamp {
        policy(app.config()).before(kept, self.now, app.default_zone(), unsigned)
    }

    /// What an unsigned month of a kiosk is made of stays until it is signed, and with it everything of this kiosk.
    async fn next_kiosks(&mut self, app: &App) -> Result<(), StoreError> {
        let (store, zone) = (app.store(), app.default_zone());
        let mut some: Vec<KioskId> = self.kiosks.iter().take(KIOSKS_A_STEP).cloned().collect();
        let taken = some.len();
        let running = Month::at(zone, self.now.secs());
        // Restated at most two months after their end.
        let gone = store.prune_months(&some, running.previous().previous()).await?;
        self.count(app, "uptime_month", gone);
        let kept_from = first_kept(app.config().uptime.keep_evidence_months, running);
        for (kiosk, month) in store.open_months(&some, kept_from).await? {
            some.retain(|one| *one != kiosk);
            self.unsigned = Some(self.unsigned.map_or(month, |oldest| oldest.min(month)));
        }
        self.kiosks.drain(..taken);
        (self.some, self.of_some) = (some, Kept::OF_A_KIOSK.into());
        Ok(())
    }

    fn count(&mut self, app: &App, table: &'static str, gone: u64) -> u64 {
        if gone > 0 {
            *self.gone.entry(table).or_default() += gone;
            app.counters().removed(table, gone);
        }
        gone
    }

    fn tell(&self) {
        let gone: Vec<String> = self.gone.iter().map(|(table, rows)| format!("{table} {rows}")).collect();
        let gone = if gone.is_empty() { "nothing".to_owned() } else { gone.join(", ") };
        let longest_ms = u64::try_from(self.longest.as_millis()).unwrap_or(u64::MAX);
        let put_off = self.given_up;
        tracing::info!(
            gone,
            put_off,
            longest_step_ms = longest_ms,
            "what was kept for long enough is removed"
        );
    }
}

/// A table for the evidence of this month and each of the next ones. By a clock that is believed: one that is years
/// ahead would make months that stay empty for years.
async fn make_months(app: &App, there: &[EvidencePart], now: Timestamp) {
    for part in EvidencePart::missing(there, now) {
        match app.store().make_evidence_part(&part).await {
            Ok(()) => tracing::info!(part = part.table, "a month of evidence has a table of its own"),
            Err(error) => tracing::warn!(
                error = chain(&error),
                part = part.table,
                "no table is made for a month of evidence today: its rows go to evidence_rest, nothing is lost"
            ),
        }
    }
}

/// What stays for another day holds nothing up: its rows are gone, only their space is not given back yet.
async fn drop_if_empty(app: &App, part: &EvidencePart) {
    match app.store().drop_empty_evidence_part(part).await {
        Ok(true) => tracing::info!(part = part.table, "an empty month of evidence gave its space back"),
        Ok(false) => {}
        Err(error) => tracing::info!(
            error = chain(&error),
            part = part.table,
            "an empty month of evidence stays for today"
        ),
    }
}

#[cfg(test)]
mod tests;
