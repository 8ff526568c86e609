//! Figures from a store: gathers what they are computed from, kiosk by kiosk.
use chrono_tz::Tz;
use kioskwatch_domain::{
    calendar::WorkCalendar,
    change::LivenessRow,
    interval::{END, Interval, IntervalSet},
    uptime::{
        Evidence, Month, Timeline,
        booking::measure,
        books::Terms,
        exclusion::{NotAccountable, not_accountable},
    },
    wall,
};
use kioskwatch_proto::{KioskId, Timestamp};

use super::{
    UptimeAnswer, UptimeError, UptimeExplained, UptimePeriod, UptimeQuery, UptimeScope, gather::Subject,
};
use crate::{
    config::Config,
    store::{MonthTotal, Scope, SignedMonth, Store, StoreError, WorstKiosk},
};

/// Groups up to this size are counted to the second; larger ones are summed from the books.
const COUNTED_KIOSKS: u64 = 150;

/// What a running server knows and has not written yet.
pub trait Live: Sync {
    /// What heartbeats have said since evidence was last written.
    fn evidence(&self, kiosk: &KioskId) -> Vec<Evidence>;
    /// When the server was able to hear.
    fn hearing(&self) -> Vec<LivenessRow>;
    /// Since when what was heard of a kiosk is not written because the database refuses it.
    fn unstored_since(&self, kiosk: &KioskId) -> Option<Timestamp>;
    /// Whether messages wait: they come before figures.
    fn is_busy(&self) -> bool {
        false
    }
}

/// Only what is written counts.
#[derive(Debug, Clone, Copy)]
pub struct NotLive;

impl Live for NotLive {
    fn evidence(&self, _: &KioskId) -> Vec<Evidence> {
        Vec::new()
    }

    fn hearing(&self) -> Vec<LivenessRow> {
        Vec::new()
    }

    fn unstored_since(&self, _: &KioskId) -> Option<Timestamp> {
        None
    }
}

/// Computes figures from a store; needs no running server.
#[derive(Clone, Copy)]
pub struct UptimeReader<'a> {
    pub store: &'a Store,
    pub config: &'a Config,
    pub calendar: &'a WorkCalendar,
    pub now: Timestamp,
    pub live: &'a dyn Live,
}

/// When nobody heard a kiosk through no fault of its own.
pub(crate) struct Unheard {
    /// Ours, each until its next heartbeat was due, and what could not be stored of it.
    pub(crate) outages: IntervalSet,
    /// What is removed does not say that nobody listened: evidence of before this may be gone.
    pub(crate) kept_from: Timestamp,
}

/// What a question comes to.
pub(super) enum Found {
    Answer(UptimeAnswer),
    /// What was signed of it, and who is to be counted: of these nothing was, or only one kiosk is asked for.
    Asked(SignedMonth),
}

impl UptimeReader<'_> {
    pub async fn figures(&self, reader: &Scope, query: &UptimeQuery) -> Result<UptimeAnswer, UptimeError> {
        match self.find(reader, query).await? {
            Found::Answer(answer) => Ok(answer),
            Found::Asked(asked) => self.count(reader, query, asked).await,
        }
    }

    /// What the books answer, or whom they leave to be counted.
    pub(super) async fn find(&self, reader: &Scope, query: &UptimeQuery) -> Result<Found, UptimeError> {
        if let UptimeScope::Site(id) = &query.scope
            && self.store.site(reader, id).await?.is_none()
        {
            return Err(UptimeError::NotFound("site"));
        }
        let around = query.period.around()?;
        let all = async || {
            let rest = self.members(reader, &query.scope, around).await?;
            Ok::<_, UptimeError>(SignedMonth { rest, ..SignedMonth::default() })
        };
        let Some(month) = query.official() else {
            let group = query.month().filter(|_| !matches!(query.scope, UptimeScope::Kiosk(_)));
            return Ok(Found::Asked(match group {
                Some(month) => self.signed_and_rest(reader, month, query).await?,
                None => all().await?,
            }));
        };
        let (kind, id) = query.scope.words();
        // Each reads the month's rows: at once on two connections.
        let (total, worst) = tokio::try_join!(
            self.store.total_of_month(reader, month, kind, id),
            self.worst(reader, month, query)
        )?;
        if total.oldest_version > 0 || total.kiosks > COUNTED_KIOSKS {
            return Ok(Found::Answer(self.booked(total, worst)));
        }
        let asked = match total.newest_version {
            0 => all().await?,
            _ => self.signed_and_rest(reader, month, query).await?,
        };
        // Of a month that has just begun the books know few kiosks yet; of one that is over, what there is to know.
        let is_over = around.to <= self.now.secs();
        let kiosks = asked.rest.len() as u64 + asked.total.kiosks;
        if (total.kiosks > 0 || is_over) && kiosks > COUNTED_KIOSKS {
            return Ok(Found::Answer(self.booked(total, worst)));
        }
        Ok(Found::Asked(asked))
    }

    /// Of a group's month what stood signed at the instant that was asked for, whoever belongs to the group by now; the
    /// others of it are to be counted.
    async fn signed_and_rest(
        &self,
        reader: &Scope,
        month: Month,
        query: &UptimeQuery,
    ) -> Result<SignedMonth, UptimeError> {
        let by = query.as_of.map_or(Timestamp(i64::MAX), |at| at.min(self.now));
        let (scope, within) = (&query.scope, query.period.around()?);
        // Whoever is signed from here on may be named here, and is counted by what was signed.
        let among = match scope {
            UptimeScope::Fleet => None,
            _ => Some(self.members(reader, scope, within).await?),
        };
        let (group, ratio) = (scope.words(), query.worst_by.as_str());
        let mut signed =
            self.store.signed_of_month(reader, (month, by), group, ratio, among.as_deref()).await?;
        if among.is_none() {
            self.keep_seen(reader, &mut signed.rest, within).await?;
        }
        Ok(signed)
    }

    /// What the books say: of a signed month, and of a group too large to be counted while somebody waits.
    fn booked(&self, total: MonthTotal, worst: Vec<WorstKiosk>) -> UptimeAnswer {
        let signed = total.oldest_version > 0;
        let frozen_at = self.frozen_at(total.frozen_at, total.period_to);
        UptimeAnswer {
            target: total.judged_by(self.target()),
            sums: total.sums,
            version: total.newest_version,
            signed,
            frozen_at: frozen_at.filter(|_| signed),
            as_of: total.as_of,
            booked: true,
            kiosks: usize::try_from(total.kiosks).unwrap_or(usize::MAX),
            worst,
            problems: Vec::new(),
        }
    }

    /// In seconds; of a month signed by a server that did not write it down, what would hold today.
    pub(super) fn frozen_at(&self, written: Option<Timestamp>, period_to: Timestamp) -> Option<i64> {
        Some(written.map_or_else(|| self.terms().freeze_at(period_to.secs()), Timestamp::secs))
    }

    async fn worst(
        &self,
        reader: &Scope,
        month: Month,
        query: &UptimeQuery,
    ) -> Result<Vec<WorstKiosk>, StoreError> {
        if matches!(query.scope, UptimeScope::Kiosk(_)) {
            return Ok(Vec::new());
        }
        let (group, ratio) = (query.scope.words(), query.worst_by.as_str());
        self.store.worst_of_month(reader, month, group, ratio).await
    }

    /// The contract's times, as configured.
    pub(super) fn terms(&self) -> Terms {
        let freeze_hours = i64::try_from(self.config.uptime.freeze_hours).unwrap_or(i64::MAX / 3_600);
        let restate_days = i64::try_from(self.config.uptime.restate_days).unwrap_or(i64::MAX / 86_400);
        Terms { freeze_hours, restate_days }
    }

    /// Availability's, as an exact fraction.
    pub fn target(&self) -> (i64, i64) {
        let [a, b] = self.config.uptime.target;
        (i64::try_from(a).unwrap_or(i64::MAX), i64::try_from(b).unwrap_or(i64::MAX))
    }

    /// Which silence of a kiosk says nothing about it, as its figures of the period count it.
    pub(super) async fn unheard(
        &self,
        kiosk: &KioskId,
        period: UptimePeriod,
    ) -> Result<Unheard, UptimeError> {
        let gathered = self.gather(std::slice::from_ref(kiosk), period, None).await?;
        let subject = gathered.subjects.first().ok_or(UptimeError::NotFound("kiosk"))?;
        let kept_from = gathered.frame.kept_from(kiosk);
        let sets = subject.sets(&gathered.frame);
        Ok(Unheard {
            outages: sets.server_down.clip(Interval::new(kept_from, END)),
            kept_from: ms(kept_from),
        })
    }

    /// Every interval of one kiosk's period and why it counted as it did. Of a signed month: by what had been
    /// received, approved and known of hours, zones, dates and the calendar for the version that stands: the intervals
    /// sum to the signed figures, unless evidence was removed. Of a kiosk that moved, the time at the reader's sites and
    /// no other.
    pub async fn explain(
        &self,
        reader: &Scope,
        kiosk: &KioskId,
        period: UptimePeriod,
        as_of: Option<Timestamp>,
    ) -> Result<UptimeExplained, UptimeError> {
        let gathered = self.gather(std::slice::from_ref(kiosk), period, as_of).await?;
        let missing = || UptimeError::NotFound("kiosk");
        let subject = gathered.subjects.first().ok_or_else(missing)?;
        let frame = &gathered.frame;
        let sets = subject.sets(frame);
        let inputs = sets.inputs(frame, gathered.claims(subject));
        let member = sets.membership(&UptimeScope::Kiosk(kiosk.clone()), reader);
        if member.is_empty() && !reader.shows(subject.view.kiosk.site.as_ref()) {
            return Err(missing());
        }
        let kept_from = frame.kept_from(kiosk);
        let target = subject.signed.first().map_or(self.target(), |row| row.target);
        let timeline = Timeline::build(&inputs).within(&member);
        let outside = not_accountable(&inputs);
        let seen = |(part, why): &(Interval, NotAccountable)| {
            member.clip(*part).iter().map(|part| (part, *why)).collect::<Vec<_>>()
        };
        Ok(UptimeExplained {
            zone: subject.zone,
            site: sets.last_site(reader).cloned(),
            commissioned_at: frame.commissioned(&subject.view.kiosk, None).first(),
            period: subject.period,
            figures: timeline.figures(),
            sums: measure(&inputs, &member),
            target,
            known_before: subject.known_before,
            intervals: timeline.explain(),
            outside: outside.iter().flat_map(seen).collect(),
            exclusions: frame.exclusions_about(kiosk, &sets, &member, reader),
            outages: sets.server_down.clip(Interval::new(kept_from, END)),
            kept_from,
        })
    }
}

pub(super) fn day_of(zone: Tz, at: Timestamp) -> Interval {
    let day = wall::date_of(zone, at.secs());
    let next = day.succ_opt().unwrap_or(day);
    Interval::new(wall::day_start(zone, day), wall::day_start(zone, next))
}

/// From the first to the last of their periods.
pub(super) fn span_of(subjects: &[Subject]) -> Option<Interval> {
    let from = subjects.iter().map(|subject| subject.period.from).min()?;
    let to = subjects.iter().map(|subject| subject.period.to).max()?;
    Some(Interval::new(from, to))
}

pub(super) const fn ms(seconds: i64) -> Timestamp {
    Timestamp(seconds.saturating_mul(1_000))
}
