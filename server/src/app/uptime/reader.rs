//! Figures from a store: gathers what they are computed from, kiosk by kiosk.
use chrono_tz::Tz;
use kioskwatch_domain::{
    calendar::WorkCalendar,
    change::LivenessRow,
    interval::Interval,
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
    UptimeAnswer, UptimeError, UptimeExplained, UptimePeriod, UptimeQuery, UptimeScope,
    gather::{KIOSKS_AT_ONCE, Subject},
};
use crate::{
    config::Config,
    store::{MonthTotal, Scope, Store, StoreError, WorstKiosk},
};

/// Groups up to this size are counted to the second; larger ones are summed from the books.
const COUNTED_KIOSKS: u64 = 500;

/// What a running server knows and has not written yet.
pub trait Live: Sync {
    /// What heartbeats have said since evidence was last written.
    fn evidence(&self, kiosk: &KioskId) -> Vec<Evidence>;
    /// When the server was able to hear.
    fn hearing(&self) -> Vec<LivenessRow>;
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

impl UptimeReader<'_> {
    pub async fn figures(&self, reader: &Scope, query: &UptimeQuery) -> Result<UptimeAnswer, UptimeError> {
        if let UptimeScope::Site(id) = &query.scope
            && self.store.site(reader, id).await?.is_none()
        {
            return Err(UptimeError::NotFound("site"));
        }
        let Some(month) = query.official() else {
            let members = self.members(reader, &query.scope, query.period.around()?).await?;
            return self.counted(reader, query, &members).await;
        };
        let (kind, id) = query.scope.words();
        // Each reads the month's rows: at once on two connections.
        let (total, worst) = tokio::try_join!(
            self.store.total_of_month(reader, month, kind, id),
            self.worst(reader, month, &query.scope)
        )?;
        if total.oldest_version > 0 || total.kiosks > COUNTED_KIOSKS {
            return Ok(self.booked(total, worst));
        }
        let members = self.members(reader, &query.scope, query.period.around()?).await?;
        // Of a month that has just begun the books know few kiosks yet.
        if total.kiosks > 0 && members.len() as u64 > COUNTED_KIOSKS {
            return Ok(self.booked(total, worst));
        }
        let mut answer = self.counted(reader, query, &members).await?;
        answer.worst = worst;
        Ok(answer)
    }

    async fn counted(
        &self,
        reader: &Scope,
        query: &UptimeQuery,
        members: &[KioskId],
    ) -> Result<UptimeAnswer, UptimeError> {
        let mut answer = UptimeAnswer { target: self.target(), ..UptimeAnswer::default() };
        for kiosks in members.chunks(KIOSKS_AT_ONCE) {
            let gathered = self.gather(kiosks, query.period, query.as_of).await?;
            answer.as_of = ms(gathered.frame.as_of);
            for subject in &gathered.subjects {
                let kiosk = &subject.view.kiosk;
                let Some((sums, sets)) = gathered.share(subject, &query.scope, reader) else {
                    if matches!(query.scope, UptimeScope::Kiosk(_)) && !reader.shows(kiosk.site.as_ref()) {
                        return Err(UptimeError::NotFound("kiosk"));
                    }
                    continue;
                };
                answer.kiosks += 1;
                answer.sums = [&answer.sums, &sums].into_iter().sum();
                let places = &gathered.frame.places;
                let shown = sets.sites().filter(|site| reader.shows(Some(*site)));
                let problems = shown.filter_map(|site| places.get(Some(site))?.problem.as_ref());
                answer.problems.extend(problems.map(|problem| format!("{}: {problem}", kiosk.id)));
            }
            if matches!(query.scope, UptimeScope::Kiosk(_)) && gathered.subjects.is_empty() {
                return Err(UptimeError::NotFound("kiosk"));
            }
        }
        Ok(answer)
    }

    /// What the books say: of a signed month, and of a group too large to be counted while somebody waits.
    fn booked(&self, total: MonthTotal, worst: Vec<WorstKiosk>) -> UptimeAnswer {
        let signed = total.oldest_version > 0;
        let freeze = self.terms().freeze_at(total.period_to.secs());
        UptimeAnswer {
            target: total.judged_by(self.target()),
            sums: total.sums,
            version: total.newest_version,
            signed,
            frozen_at: signed.then_some(freeze),
            as_of: total.as_of,
            booked: true,
            kiosks: usize::try_from(total.kiosks).unwrap_or(usize::MAX),
            worst,
            problems: Vec::new(),
        }
    }

    async fn worst(
        &self,
        reader: &Scope,
        month: Month,
        scope: &UptimeScope,
    ) -> Result<Vec<WorstKiosk>, StoreError> {
        if matches!(scope, UptimeScope::Kiosk(_)) {
            return Ok(Vec::new());
        }
        let (kind, id) = scope.words();
        self.store.worst_of_month(reader, month, kind, id).await
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

    /// Every interval of one kiosk's period and why it counted as it did. Of a signed month: by what counted for
    /// the version that stands, so that the intervals sum to the signed figures (or, of a restated one, to what
    /// has come to be known since). Of a kiosk that moved, the time at the reader's sites and no other.
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
        // Asked how it stood at an instant: not what was signed later.
        let version = if as_of.is_some() { 0 } else { subject.version };
        let (sets, received_before) = subject.sets_of_version(frame, version);
        let inputs = sets.inputs(frame, gathered.claims(subject), received_before);
        let query = UptimeQuery { scope: UptimeScope::Kiosk(kiosk.clone()), period, as_of };
        let member = sets.membership(&frame.places, &query.scope, reader);
        if member.is_empty() && !reader.shows(subject.view.kiosk.site.as_ref()) {
            return Err(missing());
        }
        let target = match query.official() {
            Some(month) => {
                let total = self.store.total_of_month(reader, month, "kiosk", kiosk.as_str()).await?;
                total.judged_by(self.target())
            }
            None => self.target(),
        };
        let timeline = Timeline::build(&inputs).within(&member);
        let outside = not_accountable(&inputs);
        let seen = |(part, why): &(Interval, NotAccountable)| {
            member.clip(*part).iter().map(|part| (part, *why)).collect::<Vec<_>>()
        };
        Ok(UptimeExplained {
            zone: subject.zone,
            site: sets.last_site(reader).cloned(),
            commissioned_at: subject.view.kiosk.commissioned_at,
            period: subject.period,
            figures: timeline.figures(),
            sums: measure(&inputs, &member),
            target,
            intervals: timeline.explain(),
            outside: outside.iter().flat_map(seen).collect(),
            exclusions: frame.exclusions_about(kiosk, &sets, &member, reader),
            outages: sets.server_down.clone(),
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
