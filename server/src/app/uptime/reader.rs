//! Figures from a store: gathers what they are computed from, kiosk by kiosk.
use std::collections::BTreeMap;

use chrono_tz::Tz;
use kioskwatch_domain::{
    calendar::WorkCalendar,
    change::{LivenessRow, SiteRow},
    interval::{Interval, IntervalSet},
    uptime::{
        Evidence, Month, Timeline, booking::measure, books::Terms, exclusion::not_accountable,
        restate::freeze_at, rows::server_down,
    },
    wall,
};
use kioskwatch_proto::{KioskId, Timestamp};

use super::{
    UptimeAnswer, UptimeError, UptimeExplained, UptimePeriod, UptimeQuery, UptimeScope,
    frame::{Frame, Places, Sets},
};
use crate::{
    config::Config,
    store::{KioskFilter, KioskView, PageRequest, Scope, Store, StoreError, WorstKiosk},
};

/// Kiosks whose evidence is read in one go.
pub(super) const KIOSKS_AT_ONCE: usize = 500;
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

/// A kiosk and the time asked for in its own zone.
pub(super) struct Subject {
    pub(super) view: KioskView,
    pub(super) zone: Tz,
    pub(super) period: Interval,
}

impl Subject {
    pub(super) fn interval_s(&self) -> i64 {
        self.view.state.as_ref().map_or(0, |state| i64::from(state.interval_s))
    }

    /// From everything that counts for the official figures of the period.
    pub(super) fn sets(&self, frame: &Frame<'_>) -> Sets {
        frame.sets(&self.view.kiosk, self.interval_s(), self.period, None)
    }

    fn freeze_at(&self, frame: &Frame<'_>) -> i64 {
        freeze_at(self.period.to, frame.freeze_hours)
    }

    /// The sets behind a signed version, and the second before which evidence had to be received for it.
    fn sets_of_version(&self, frame: &Frame<'_>, version: u32) -> (Sets, Option<i64>) {
        let freeze = self.freeze_at(frame);
        let (approved_before, received_before) = match version {
            0 => (None, Some(freeze)),
            1 => (Some(freeze), Some(freeze)),
            _ => (None, None),
        };
        let sets = frame.sets(&self.view.kiosk, self.interval_s(), self.period, approved_before);
        (sets, received_before)
    }
}

impl UptimeReader<'_> {
    pub async fn figures(&self, reader: &Scope, query: &UptimeQuery) -> Result<UptimeAnswer, UptimeError> {
        if let UptimeScope::Site(id) = &query.scope
            && self.store.site(reader, id).await?.is_none()
        {
            return Err(UptimeError::NotFound("site"));
        }
        if let Some(month) = query.official()
            && let Some(answer) = self.booked(reader, month, &query.scope).await?
        {
            return Ok(answer);
        }
        let places = self.places().await?;
        let mut problems = Vec::new();
        let subjects = self.subjects(reader, query, &places, &mut problems).await?;
        let mut answer = self.counted(reader, query, &places, subjects, problems).await?;
        if let Some(month) = query.official() {
            answer.worst = self.worst(reader, month, &query.scope).await?;
        }
        Ok(answer)
    }

    async fn counted(
        &self,
        reader: &Scope,
        query: &UptimeQuery,
        places: &Places,
        subjects: Vec<Subject>,
        problems: Vec<String>,
    ) -> Result<UptimeAnswer, UptimeError> {
        let mut answer = UptimeAnswer { problems, ..UptimeAnswer::default() };
        let Some(span) = span_of(&subjects) else { return Ok(answer) };
        let frame = self.frame(places, span, query.as_of).await?;
        answer.as_of = Timestamp(frame.as_of.saturating_mul(1_000));
        for chunk in subjects.chunks(KIOSKS_AT_ONCE) {
            let evidence = self.evidence_of(reader, chunk, span).await?;
            for subject in chunk {
                let claims = evidence.get(&subject.view.kiosk.id).map_or(&[][..], Vec::as_slice);
                let sets = subject.sets(&frame);
                let member = sets.membership(places, &query.scope);
                if member.is_empty() {
                    continue;
                }
                answer.kiosks += 1;
                let freeze = Some(subject.freeze_at(&frame));
                let sums = measure(&sets.inputs(&frame, claims, freeze), &member);
                answer.sums = [&answer.sums, &sums].into_iter().sum();
            }
        }
        Ok(answer)
    }

    /// What the books say: of a signed month, and of a group too large to be counted while somebody waits.
    async fn booked(
        &self,
        reader: &Scope,
        month: Month,
        scope: &UptimeScope,
    ) -> Result<Option<UptimeAnswer>, StoreError> {
        let (kind, id) = scope.words();
        let total = self.store.total_of_month(reader, month, kind, id).await?;
        let signed = total.oldest_version > 0;
        if !signed && total.kiosks <= COUNTED_KIOSKS {
            return Ok(None);
        }
        let freeze = self.terms().freeze_at(total.period_to.secs());
        Ok(Some(UptimeAnswer {
            sums: total.sums,
            version: total.newest_version,
            signed,
            frozen_at: signed.then_some(freeze),
            as_of: total.as_of,
            booked: true,
            kiosks: usize::try_from(total.kiosks).unwrap_or(usize::MAX),
            worst: self.worst(reader, month, scope).await?,
            problems: Vec::new(),
        }))
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
    /// has come to be known since).
    pub async fn explain(
        &self,
        reader: &Scope,
        kiosk: &KioskId,
        period: UptimePeriod,
        as_of: Option<Timestamp>,
    ) -> Result<UptimeExplained, UptimeError> {
        let query = UptimeQuery { scope: UptimeScope::Kiosk(kiosk.clone()), period, as_of };
        let places = self.places().await?;
        let subjects = self.subjects(reader, &query, &places, &mut Vec::new()).await?;
        let (Some(span), Some(subject)) = (span_of(&subjects), subjects.first()) else {
            return Err(UptimeError::NotFound("kiosk"));
        };
        let frame = self.frame(&places, span, as_of).await?;
        let evidence = self.evidence_of(reader, &subjects, span).await?;
        let claims = evidence.get(kiosk).map_or(&[][..], Vec::as_slice);
        let version = match query.official() {
            Some(month) => {
                self.store.total_of_month(reader, month, "kiosk", kiosk.as_str()).await?.newest_version
            }
            None => 0,
        };
        let (sets, received_before) = subject.sets_of_version(&frame, version);
        let inputs = sets.inputs(&frame, claims, received_before);
        let timeline = Timeline::build(&inputs);
        Ok(UptimeExplained {
            zone: subject.zone,
            period: subject.period,
            figures: timeline.figures(),
            sums: measure(&inputs, &IntervalSet::always()),
            intervals: timeline.explain(),
            outside: not_accountable(&inputs),
            exclusions: frame.exclusions_about(&subject.view.kiosk).cloned().collect(),
            outages: sets.server_down.clone(),
        })
    }

    pub(super) async fn places(&self) -> Result<Places, StoreError> {
        let mut sites: Vec<SiteRow> = Vec::new();
        let mut page = PageRequest::first();
        loop {
            // Of all sites: hours and zones are no secret of a figure that may be seen.
            let found = self.store.sites(&Scope::All, &page).await?;
            sites.extend(found.items);
            match found.next_cursor {
                Some(cursor) => page = page.after(cursor),
                None => return Ok(Places::of(&sites, self.config)),
            }
        }
    }

    pub(super) async fn subjects(
        &self,
        reader: &Scope,
        query: &UptimeQuery,
        places: &Places,
        problems: &mut Vec<String>,
    ) -> Result<Vec<Subject>, UptimeError> {
        let kiosks = match &query.scope {
            UptimeScope::Kiosk(id) => {
                vec![self.store.kiosk(reader, id).await?.ok_or(UptimeError::NotFound("kiosk"))?]
            }
            _ => self.all_kiosks(reader).await?,
        };
        let mut subjects = Vec::with_capacity(kiosks.len());
        for view in kiosks {
            if matches!(&query.scope, UptimeScope::Model(name) if view.kiosk.model != *name) {
                continue;
            }
            if let Some(problem) = places.get(view.kiosk.site.as_ref()).and_then(|p| p.problem.as_ref()) {
                problems.push(format!("{}: {problem}", view.kiosk.id));
            }
            let zone = places.zone(&view.kiosk);
            let period = period_in(query.period, zone)?;
            subjects.push(Subject { view, zone, period });
        }
        Ok(subjects)
    }

    async fn all_kiosks(&self, reader: &Scope) -> Result<Vec<KioskView>, StoreError> {
        let mut kiosks = Vec::new();
        let mut page = PageRequest::first();
        loop {
            let found = self.store.kiosks(reader, &KioskFilter::default(), &page).await?;
            kiosks.extend(found.items);
            match found.next_cursor {
                Some(cursor) => page = page.after(cursor),
                None => return Ok(kiosks),
            }
        }
    }

    pub(super) async fn frame<'b>(
        &'b self,
        places: &'b Places,
        span: Interval,
        as_of: Option<Timestamp>,
    ) -> Result<Frame<'b>, StoreError> {
        let mut frame = self.frame_without_assignments(places, span, as_of).await?;
        frame.assign(self.store.assignments(&Scope::All, ms(span.from), ms(span.to)).await?);
        Ok(frame)
    }

    pub(super) async fn frame_without_assignments<'b>(
        &'b self,
        places: &'b Places,
        span: Interval,
        as_of: Option<Timestamp>,
    ) -> Result<Frame<'b>, StoreError> {
        let (from, to) = (ms(span.from), ms(span.to));
        // First what is not written: what is written meanwhile is then seen twice instead of not at all.
        let mut alive = self.live.hearing();
        alive.extend(self.store.server_liveness(from, to).await?);
        let as_of = as_of.map_or(self.now, |t| t.min(self.now)).secs();
        let outages = server_down(&alive, span);
        let mut frame = Frame::new(places, self.calendar, self.config, as_of, outages);
        frame.forgive(self.store.exclusions(&Scope::All, from, to).await?);
        Ok(frame)
    }

    /// Stored evidence, and what heartbeats have said since it was last written.
    pub(super) async fn evidence_of(
        &self,
        reader: &Scope,
        subjects: &[Subject],
        span: Interval,
    ) -> Result<BTreeMap<KioskId, Vec<Evidence>>, StoreError> {
        let ids: Vec<KioskId> = subjects.iter().map(|subject| subject.view.kiosk.id.clone()).collect();
        // First what is not written, as with our own hearing.
        let mut by_kiosk: BTreeMap<KioskId, Vec<Evidence>> =
            ids.iter().map(|id| (id.clone(), self.live.evidence(id))).collect();
        let rows = self.store.evidence(reader, &ids, ms(span.from), ms(span.to)).await?;
        for row in rows {
            let claim = Evidence::from(&row);
            by_kiosk.entry(row.kiosk).or_default().push(claim);
        }
        Ok(by_kiosk)
    }
}

fn period_in(period: UptimePeriod, zone: Tz) -> Result<Interval, UptimeError> {
    match period {
        UptimePeriod::Month { year, month } => {
            wall::month(zone, year, month).ok_or(UptimeError::NoMonth { year, month })
        }
        UptimePeriod::DayOf(at) => Ok(day_of(zone, at)),
        UptimePeriod::Between(from, to) if to > from => Ok(Interval::new(from.secs(), to.secs())),
        UptimePeriod::Between(..) => Err(UptimeError::Backwards),
    }
}

pub(super) fn day_of(zone: Tz, at: Timestamp) -> Interval {
    let day = wall::date_of(zone, at.secs());
    let next = day.succ_opt().unwrap_or(day);
    Interval::new(wall::day_start(zone, day), wall::day_start(zone, next))
}

pub(super) fn span_of(subjects: &[Subject]) -> Option<Interval> {
    let from = subjects.iter().map(|subject| subject.period.from).min()?;
    let to = subjects.iter().map(|subject| subject.period.to).max()?;
    Some(Interval::new(from, to))
}

pub(super) const fn ms(seconds: i64) -> Timestamp {
    Timestamp(seconds.saturating_mul(1_000))
}
