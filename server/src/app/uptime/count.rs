//! Figures of any number of kiosks counted from their evidence: a few of them are read, counted, added to the sum and
//! forgotten, then the next. What it holds does not grow with the fleet, nor with the length of the time.
use std::{cmp::Reverse, time::Duration};

use kioskwatch_domain::{change::MonthSums, interval::Interval, wall};
use kioskwatch_proto::KioskId;

use super::{
    Measure, UptimeAnswer, UptimeError, UptimeQuery, UptimeScope,
    gather::{Gathered, KIOSKS_AT_ONCE, Subject},
    reader::{UptimeReader, ms},
};
use crate::{
    clock::Stopwatch,
    store::{MonthTotal, Scope, SignedMonth, WorstKiosk},
};

/// Days of evidence of one kiosk that are read in one go: a month of [`KIOSKS_AT_ONCE`] kiosks.
const KIOSK_DAYS_AT_ONCE: i64 = 31 * KIOSKS_AT_ONCE as i64;
/// Kiosks that are counted before whatever else waits for this thread has its turn.
const COUNTED_IN_A_ROW: usize = 20;
/// Kiosks that are listed as the worst.
const WORST: usize = 10;
/// Problems that are named; of the others it is said how many they are.
const PROBLEMS: usize = 100;

impl UptimeReader<'_> {
    pub(super) async fn count(
        &self,
        reader: &Scope,
        query: &UptimeQuery,
        asked: SignedMonth,
    ) -> Result<UptimeAnswer, UptimeError> {
        let mut count = Count::of(self, reader, query, &asked);
        let step = kiosks_at_once(query.period.around()?);
        for kiosks in asked.rest.chunks(step) {
            let watch = Stopwatch::start();
            let gathered = self.gather(kiosks, query.period, query.as_of).await?;
            if matches!(query.scope, UptimeScope::Kiosk(_)) && gathered.subjects.is_empty() {
                return Err(UptimeError::NotFound("kiosk"));
            }
            for subjects in gathered.subjects.chunks(COUNTED_IN_A_ROW) {
                for subject in subjects {
                    count.add(&gathered, subject)?;
                }
                tokio::task::yield_now().await;
            }
            // Messages come before figures.
            let rest = if self.live.is_busy() { watch.elapsed() } else { Duration::ZERO };
            tokio::time::sleep(rest).await;
        }
        Ok(count.answer())
    }
}

fn kiosks_at_once(around: Interval) -> usize {
    let days = around.length() / 86_400 + 1;
    usize::try_from(KIOSK_DAYS_AT_ONCE / days).unwrap_or(1).clamp(1, KIOSKS_AT_ONCE)
}

/// The sum so far.
struct Count<'a> {
    uptime: &'a UptimeReader<'a>,
    reader: &'a Scope,
    scope: &'a UptimeScope,
    answer: UptimeAnswer,
    promised: Option<(i64, i64)>,
    frozen_at: Option<i64>,
    worst: Worst,
    unnamed: usize,
}

impl<'a> Count<'a> {
    fn of(
        uptime: &'a UptimeReader<'a>,
        reader: &'a Scope,
        query: &'a UptimeQuery,
        asked: &SignedMonth,
    ) -> Self {
        let signed = &asked.total;
        let answer = UptimeAnswer {
            sums: signed.sums.clone(),
            version: signed.newest_version,
            signed: true,
            as_of: ms(query.as_of.map_or(uptime.now, |at| at.min(uptime.now)).secs()),
            kiosks: usize::try_from(signed.kiosks).unwrap_or(usize::MAX),
            ..UptimeAnswer::default()
        };
        let frozen_at = uptime.frozen_at(signed.frozen_at, signed.period_to).filter(|_| signed.kiosks > 0);
        let worst = Worst { by: query.worst_by, ten: asked.worst.clone() };
        Self {
            uptime,
            reader,
            scope: &query.scope,
            answer,
            promised: signed.target,
            frozen_at,
            worst,
            unnamed: 0,
        }
    }

    fn add(&mut self, gathered: &Gathered<'_>, subject: &Subject) -> Result<(), UptimeError> {
        let kiosk = &subject.view.kiosk;
        let is_of_group = !matches!(self.scope, UptimeScope::Kiosk(_));
        let Some((sums, sets)) = gathered.share(subject, self.scope, self.reader) else {
            return match is_of_group || self.reader.shows(kiosk.site.as_ref()) {
                true => Ok(()),
                false => Err(UptimeError::NotFound("kiosk")),
            };
        };
        if is_of_group {
            if !sums.has_time() {
                return Ok(());
            }
            self.worst.add(&kiosk.id, &sums);
        }
        self.answer.kiosks += 1;
        self.answer.sums = [&self.answer.sums, &sums].into_iter().sum();
        if let Some(row) = subject.signed.first() {
            self.answer.version = self.answer.version.max(row.version);
            self.promised = MonthTotal::highest(self.promised.into_iter().chain([row.target]));
            self.frozen_at = self.frozen_at.max(self.uptime.frozen_at(row.frozen_at, row.period_to));
        }
        let Some(sets) = sets else { return Ok(()) };
        self.answer.signed = false;
        let kept_from = gathered.frame.kept_from(&kiosk.id);
        if subject.period.from < kept_from {
            let day = wall::date_of(subject.zone, kept_from);
            self.name(format!("{}: evidence of before {day} may be gone", kiosk.id));
        }
        let places = &gathered.frame.places;
        for site in sets.sites().filter(|site| self.reader.shows(Some(*site))) {
            if let Some(problem) = places.get(Some(site)).and_then(|place| place.problem.as_ref()) {
                self.name(format!("{}: {problem}", kiosk.id));
            }
        }
        Ok(())
    }

    fn name(&mut self, problem: String) {
        match self.answer.problems.len() {
            ..PROBLEMS => self.answer.problems.push(problem),
            _ => self.unnamed += 1,
        }
    }

    fn answer(self) -> UptimeAnswer {
        let mut answer = self.answer;
        answer.target = self.promised.unwrap_or_else(|| self.uptime.target());
        answer.signed &= answer.kiosks > 0;
        answer.frozen_at = self.frozen_at.filter(|_| answer.signed);
        answer.worst = self.worst.ten;
        if self.unnamed > 0 {
            answer.problems.push(format!("+ {} more", self.unnamed));
        }
        answer
    }
}

/// Those that lost most of a ratio, worst first.
struct Worst {
    by: Measure,
    ten: Vec<WorstKiosk>,
}

impl Worst {
    fn add(&mut self, kiosk: &KioskId, sums: &MonthSums) {
        let figures = &sums.figures;
        let ratio = self.by.of(figures);
        let lost_s = ratio.den - ratio.num;
        let least = self.ten.get(WORST - 1).map_or(1, |last| last.lost_s);
        if lost_s < least {
            return;
        }
        self.ten.push(WorstKiosk {
            kiosk: kiosk.clone(),
            lost_s,
            on: figures.on,
            avail: figures.avail,
            full: figures.full,
            longest_outage_s: sums.longest_outage_s,
        });
        self.ten.sort_by(|one, other| {
            (Reverse(one.lost_s), &one.kiosk).cmp(&(Reverse(other.lost_s), &other.kiosk))
        });
        self.ten.truncate(WORST);
    }
}
