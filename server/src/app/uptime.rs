//! Uptime figures: from stored evidence, service hours, exclusions and outages to integers, for any scope.
//!
//! The arithmetic is the domain's; this file gathers its inputs. A group's figures are sums over its kiosks,
//! each limited to the time it belonged to the group.
use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use kioskwatch_domain::{
    calendar::WorkCalendar,
    change::{AssignmentRow, ExclusionRow, GroupKind, SiteRow},
    interval::{BEGINNING, END, Interval, IntervalSet},
    service_hours::Schedule,
    uptime::{
        Evidence, Exclusion, Explained, Figures, Inputs, Timeline,
        exclusion::{NotAccountable, granted, not_accountable},
        restate::freeze_at,
        rows::{commissioned, server_down, span},
    },
    wall,
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};

use super::App;
use crate::{
    config::Config,
    store::{KioskFilter, KioskView, PageRequest, Scope, Store, StoreError},
};

/// Kiosks whose evidence is read in one go.
const KIOSKS_AT_ONCE: usize = 500;

/// A liveness row is extended this often at the latest; an older one ended with an outage.
const LIVENESS_LAG_MS: i64 = 30_000;

/// Whose figures are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UptimeScope {
    Kiosk(KioskId),
    Site(SiteId),
    Region(String),
    Customer(String),
    Engineer(String),
    Model(String),
    Fleet,
}

/// For which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UptimePeriod {
    /// A local month of each kiosk's own zone.
    Month { year: i32, month: u32 },
    /// The local day of each kiosk's own zone that holds this instant.
    DayOf(Timestamp),
    /// The same instants for all.
    Between(Timestamp, Timestamp),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UptimeQuery {
    pub scope: UptimeScope,
    pub period: UptimePeriod,
    /// What was known of the running period at this instant; default now.
    pub as_of: Option<Timestamp>,
}

/// Figures with what a reader needs to trust them.
#[derive(Debug, Clone, PartialEq)]
pub struct UptimeAnswer {
    pub figures: Figures,
    /// When the official figures of this period are fixed, in seconds since 1970: the latest of the kiosks'.
    pub frozen_at: Option<i64>,
    pub kiosks: usize,
    /// Sites whose service hours or zone could not be read; they count as always open.
    pub problems: Vec<String>,
}

/// Figures of the whole fleet and of each site.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UptimeBoard {
    pub fleet: Figures,
    pub sites: BTreeMap<String, Figures>,
}

/// One kiosk's figures with every interval behind them.
#[derive(Debug, Clone, PartialEq)]
pub struct UptimeExplained {
    pub zone: Tz,
    pub period: Interval,
    pub figures: Figures,
    pub intervals: Vec<Explained>,
    /// The rest of the period as far as it has happened, in order, and why nobody answers for it.
    pub outside: Vec<(Interval, NotAccountable)>,
    /// Windows that somebody asked to have forgiven for this kiosk, granted or not.
    pub exclusions: Vec<ExclusionRow>,
    /// When no server could receive from this kiosk.
    pub outages: IntervalSet,
}

#[derive(Debug, thiserror::Error)]
pub enum UptimeError {
    /// Also: outside the reader's scope.
    #[error("no such {0}")]
    NotFound(&'static str),
    #[error("{year}-{month:02} is no month")]
    NoMonth { year: i32, month: u32 },
    #[error("the period ends before it begins")]
    Backwards,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A kiosk with what its figures depend on beside evidence.
struct Subject {
    view: KioskView,
    zone: Tz,
    schedule: Schedule,
    period: Interval,
}

/// What is the same for every kiosk of one question.
struct Frame {
    now: i64,
    as_of: i64,
    outages: IntervalSet,
    exclusions: Vec<ExclusionRow>,
    assignments: Vec<AssignmentRow>,
    freeze_hours: i64,
    notice_s: i64,
    calendar: WorkCalendar,
}

/// What heartbeats have said since evidence was last written, by kiosk.
pub type LiveEvidence<'a> = &'a (dyn Fn(&KioskId) -> Vec<Evidence> + Sync);

/// Computes figures from a store; needs no running server.
#[derive(Clone, Copy)]
pub struct UptimeReader<'a> {
    pub store: &'a Store,
    pub config: &'a Config,
    pub calendar: &'a WorkCalendar,
    pub now: Timestamp,
    /// A server is receiving right now, whatever it last wrote down.
    pub hears: bool,
    pub live: LiveEvidence<'a>,
}

impl App {
    /// The figures of a scope that `reader` may see.
    pub async fn uptime(&self, reader: &Scope, query: &UptimeQuery) -> Result<UptimeAnswer, UptimeError> {
        let live = |kiosk: &KioskId| self.live_evidence(kiosk);
        self.uptime_reader(&live).figures(reader, query).await
    }

    /// Every interval of one kiosk's period and why it counted as it did; the intervals sum to the figures.
    pub async fn explain_uptime(
        &self,
        reader: &Scope,
        kiosk: &KioskId,
        period: UptimePeriod,
        as_of: Option<Timestamp>,
    ) -> Result<UptimeExplained, UptimeError> {
        let live = |kiosk: &KioskId| self.live_evidence(kiosk);
        self.uptime_reader(&live).explain(reader, kiosk, period, as_of).await
    }

    /// See [`UptimeReader::board`].
    pub async fn uptime_board_of(&self, period: UptimePeriod) -> Result<UptimeBoard, UptimeError> {
        let live = |kiosk: &KioskId| self.live_evidence(kiosk);
        self.uptime_reader(&live).board(period).await
    }

    fn uptime_reader<'a>(&'a self, live: LiveEvidence<'a>) -> UptimeReader<'a> {
        let now = self.clock().now();
        UptimeReader {
            store: self.store(),
            config: self.config(),
            calendar: self.calendar(),
            now,
            hears: self.fleet().hears(now),
            live,
        }
    }

    fn live_evidence(&self, kiosk: &KioskId) -> Vec<Evidence> {
        self.fleet().live_evidence(kiosk, self.clock().now()).iter().map(Evidence::from).collect()
    }
}

impl UptimeReader<'_> {
    pub async fn figures(&self, reader: &Scope, query: &UptimeQuery) -> Result<UptimeAnswer, UptimeError> {
        let sites = self.sites_by_id(reader).await?;
        let mut problems = Vec::new();
        let subjects = self.subjects(reader, query, &sites, &mut problems).await?;
        let mut answer = UptimeAnswer { figures: Figures::default(), frozen_at: None, kiosks: 0, problems };
        let Some(span) = span_of(&subjects) else { return Ok(answer) };
        let frame = self.frame(reader, span, query.as_of).await?;
        for chunk in subjects.chunks(KIOSKS_AT_ONCE) {
            let evidence = self.evidence_of(reader, chunk, span).await?;
            for subject in chunk {
                let claims = evidence.get(&subject.view.kiosk.id).map_or(&[][..], Vec::as_slice);
                let member = frame.membership(subject, &query.scope);
                if member.is_empty() {
                    continue;
                }
                answer.kiosks += 1;
                answer.figures += &frame.timeline(subject, claims, &member).figures();
                let freeze = freeze_at(subject.period.to, frame.freeze_hours);
                answer.frozen_at = answer.frozen_at.max((freeze <= frame.now).then_some(freeze));
            }
        }
        Ok(answer)
    }

    /// Every interval of one kiosk's period and why it counted as it did; the intervals sum to the figures.
    pub async fn explain(
        &self,
        reader: &Scope,
        kiosk: &KioskId,
        period: UptimePeriod,
        as_of: Option<Timestamp>,
    ) -> Result<UptimeExplained, UptimeError> {
        let query = UptimeQuery { scope: UptimeScope::Kiosk(kiosk.clone()), period, as_of };
        let sites = self.sites_by_id(reader).await?;
        let subjects = self.subjects(reader, &query, &sites, &mut Vec::new()).await?;
        let (Some(span), Some(subject)) = (span_of(&subjects), subjects.first()) else {
            return Err(UptimeError::NotFound("kiosk"));
        };
        let frame = self.frame(reader, span, as_of).await?;
        let evidence = self.evidence_of(reader, &subjects, span).await?;
        let claims = evidence.get(kiosk).map_or(&[][..], Vec::as_slice);
        let judged = |inputs: &Inputs<'_>| (Timeline::build(inputs), not_accountable(inputs));
        let (timeline, outside) = frame.judged(subject, claims, &everything(), judged);
        Ok(UptimeExplained {
            zone: subject.zone,
            period: subject.period,
            figures: timeline.figures(),
            intervals: timeline.explain(),
            outside,
            exclusions: frame.exclusions_about(subject).cloned().collect(),
            outages: frame.outages_for(subject),
        })
    }

    /// The whole fleet and each of its sites in one pass: every kiosk's evidence is read and swept once.
    pub async fn board(&self, period: UptimePeriod) -> Result<UptimeBoard, UptimeError> {
        let reader = &Scope::All;
        let query = UptimeQuery { scope: UptimeScope::Fleet, period, as_of: None };
        let sites = self.sites_by_id(reader).await?;
        let subjects = self.subjects(reader, &query, &sites, &mut Vec::new()).await?;
        let mut board = UptimeBoard::default();
        let Some(span) = span_of(&subjects) else { return Ok(board) };
        let frame = self.frame(reader, span, None).await?;
        for chunk in subjects.chunks(KIOSKS_AT_ONCE) {
            let evidence = self.evidence_of(reader, chunk, span).await?;
            for subject in chunk {
                let claims = evidence.get(&subject.view.kiosk.id).map_or(&[][..], Vec::as_slice);
                let timeline = frame.timeline(subject, claims, &everything());
                board.fleet += &timeline.figures();
                for site in frame.sites_of(subject) {
                    let share = timeline.within(&frame.at_site(subject, &site)).figures();
                    *board.sites.entry(site).or_default() += &share;
                }
            }
        }
        Ok(board)
    }

    async fn sites_by_id(&self, reader: &Scope) -> Result<BTreeMap<SiteId, SiteRow>, StoreError> {
        let mut sites = BTreeMap::new();
        let mut page = PageRequest::first();
        loop {
            let found = self.store.sites(reader, &page).await?;
            sites.extend(found.items.into_iter().map(|site| (site.id.clone(), site)));
            match found.next_cursor {
                Some(cursor) => page = page.after(cursor),
                None => return Ok(sites),
            }
        }
    }

    async fn subjects(
        &self,
        reader: &Scope,
        query: &UptimeQuery,
        sites: &BTreeMap<SiteId, SiteRow>,
        problems: &mut Vec<String>,
    ) -> Result<Vec<Subject>, UptimeError> {
        let kiosks = match &query.scope {
            UptimeScope::Kiosk(id) => {
                vec![self.store.kiosk(reader, id).await?.ok_or(UptimeError::NotFound("kiosk"))?]
            }
            UptimeScope::Site(id) if !sites.contains_key(id) => return Err(UptimeError::NotFound("site")),
            _ => self.all_kiosks(reader).await?,
        };
        let default_zone = default_zone(self.config);
        let mut subjects = Vec::with_capacity(kiosks.len());
        for view in kiosks {
            let site = view.kiosk.site.as_ref().and_then(|id| sites.get(id));
            if !belongs(&view, site, &query.scope) {
                continue;
            }
            let zone =
                site.map_or(Ok(default_zone), |site| site.timezone.parse().map_err(|_| &site.timezone));
            let zone = zone.unwrap_or_else(|name| {
                problems.push(format!("{}: {name:?} is no IANA time zone", view.kiosk.id));
                default_zone
            });
            let text = site.map(|site| site.service_hours.trim()).filter(|text| !text.is_empty());
            let schedule =
                text.map_or(Ok(Schedule::always_open()), Schedule::parse).unwrap_or_else(|error| {
                    problems.push(format!("{}: {error}", view.kiosk.id));
                    Schedule::always_open()
                });
            let period = period_in(query.period, zone)?;
            subjects.push(Subject { view, zone, schedule, period });
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

    async fn frame(
        &self,
        reader: &Scope,
        span: Interval,
        as_of: Option<Timestamp>,
    ) -> Result<Frame, StoreError> {
        let (from, to) = (ms(span.from), ms(span.to));
        let now = self.now;
        let mut alive = self.store.server_liveness(from, to).await?;
        // This server is receiving right now, whatever it last wrote down.
        if self.hears
            && let Some(last) = alive.iter_mut().max_by_key(|row| row.to)
            && now.since(last.to) <= LIVENESS_LAG_MS
        {
            last.to = last.to.max(now.plus_ms(1_000));
        }
        let config = &self.config.uptime;
        Ok(Frame {
            now: now.secs(),
            as_of: as_of.map_or(now, |t| t.min(now)).secs(),
            outages: server_down(&alive, span),
            exclusions: self.store.exclusions(reader, from, to).await?,
            assignments: self.store.assignments(reader, from, to).await?,
            freeze_hours: i64::try_from(config.freeze_hours).unwrap_or(i64::MAX / 3_600),
            notice_s: i64::try_from(config.planned_notice_h).unwrap_or(0) * 3_600,
            calendar: self.calendar.clone(),
        })
    }

    /// Stored evidence, and what heartbeats have said since it was last written.
    async fn evidence_of(
        &self,
        reader: &Scope,
        subjects: &[Subject],
        span: Interval,
    ) -> Result<BTreeMap<KioskId, Vec<Evidence>>, StoreError> {
        let ids: Vec<KioskId> = subjects.iter().map(|subject| subject.view.kiosk.id.clone()).collect();
        let rows = self.store.evidence(reader, &ids, ms(span.from), ms(span.to)).await?;
        let mut by_kiosk: BTreeMap<KioskId, Vec<Evidence>> = BTreeMap::new();
        for row in rows {
            let claim = Evidence::from(&row);
            by_kiosk.entry(row.kiosk).or_default().push(claim);
        }
        for id in ids {
            let live = (self.live)(&id);
            by_kiosk.entry(id).or_default().extend(live);
        }
        Ok(by_kiosk)
    }
}

impl Frame {
    fn timeline(&self, subject: &Subject, evidence: &[Evidence], member: &IntervalSet) -> Timeline {
        self.judged(subject, evidence, member, Timeline::build)
    }

    /// What `judge` makes of everything that a kiosk's figures depend on.
    fn judged<T>(
        &self,
        subject: &Subject,
        evidence: &[Evidence],
        member: &IntervalSet,
        judge: impl FnOnce(&Inputs<'_>) -> T,
    ) -> T {
        let inputs = Inputs {
            period: subject.period,
            as_of: Some(self.as_of),
            service: &subject.schedule.open_times(subject.zone, &self.calendar, subject.period),
            commissioned: &commissioned(&subject.view.kiosk).intersect(member),
            exclusions: &self.exclusions_of(subject),
            server_down: &self.outages_for(subject),
            evidence,
            received_before: Some(freeze_at(subject.period.to, self.freeze_hours)),
        };
        judge(&inputs)
    }

    /// Our outages as they were for one kiosk: after we are back its next heartbeat is due within one of its
    /// intervals, and not having heard it before that says nothing about it.
    fn outages_for(&self, subject: &Subject) -> IntervalSet {
        let interval_s = subject.view.state.as_ref().map_or(0, |state| i64::from(state.interval_s));
        let longer = |outage: &Interval| Interval::new(outage.from, outage.to.saturating_add(interval_s));
        self.outages.intervals().iter().map(longer).collect()
    }

    fn exclusions_of(&self, subject: &Subject) -> IntervalSet {
        let mine: Vec<Exclusion> = self.exclusions_about(subject).filter_map(Exclusion::of_row).collect();
        granted(&mine, self.notice_s)
    }

    fn exclusions_about<'a>(&'a self, subject: &'a Subject) -> impl Iterator<Item = &'a ExclusionRow> {
        let kiosk = &subject.view.kiosk;
        self.exclusions.iter().filter(|row| {
            row.kiosk.as_ref() == Some(&kiosk.id) || (row.site.is_some() && row.site == kiosk.site)
        })
    }

    /// When the kiosk belonged to the group asked for (uptime definition 2.9).
    fn membership(&self, subject: &Subject, scope: &UptimeScope) -> IntervalSet {
        match scope {
            UptimeScope::Site(id) => self.at_site(subject, id.as_str()),
            UptimeScope::Engineer(name) => self.assigned(subject, GroupKind::Engineer, name),
            _ => everything(),
        }
    }

    fn at_site(&self, subject: &Subject, site: &str) -> IntervalSet {
        let mut rows = self.assignments.iter();
        let known = rows.any(|row| row.kiosk == subject.view.kiosk.id && row.group == GroupKind::Site);
        let stands_there = subject.view.kiosk.site.as_ref().is_some_and(|id| id.as_str() == site);
        match (known, stands_there) {
            (true, _) => self.assigned(subject, GroupKind::Site, site),
            // A kiosk whose moves were never written down belongs where it stands.
            (false, true) => everything(),
            (false, false) => IntervalSet::empty(),
        }
    }

    fn assigned(&self, subject: &Subject, group: GroupKind, id: &str) -> IntervalSet {
        let mine = |row: &&AssignmentRow| {
            row.kiosk == subject.view.kiosk.id && row.group == group && row.group_id == id
        };
        self.assignments.iter().filter(mine).map(|row| span(row.from, row.to)).collect()
    }

    /// Every site the kiosk belonged to in the period.
    fn sites_of(&self, subject: &Subject) -> BTreeSet<String> {
        let mine = |row: &&AssignmentRow| row.kiosk == subject.view.kiosk.id && row.group == GroupKind::Site;
        let assigned: BTreeSet<String> =
            self.assignments.iter().filter(mine).map(|row| row.group_id.clone()).collect();
        if assigned.is_empty() {
            return subject.view.kiosk.site.iter().map(ToString::to_string).collect();
        }
        assigned
    }
}

fn default_zone(config: &Config) -> Tz {
    config.console.timezone.parse().unwrap_or(chrono_tz::UTC)
}

fn everything() -> IntervalSet {
    IntervalSet::of(Interval::new(BEGINNING, END))
}

fn belongs(view: &KioskView, site: Option<&SiteRow>, scope: &UptimeScope) -> bool {
    match scope {
        UptimeScope::Kiosk(_) | UptimeScope::Fleet | UptimeScope::Engineer(_) => true,
        // A kiosk that moved away still owes the site the time it stood there: membership decides.
        UptimeScope::Site(_) => true,
        UptimeScope::Region(name) => site.is_some_and(|site| site.region == *name),
        UptimeScope::Customer(name) => site.is_some_and(|site| site.customer == *name),
        UptimeScope::Model(name) => view.kiosk.model == *name,
    }
}

fn period_in(period: UptimePeriod, zone: Tz) -> Result<Interval, UptimeError> {
    match period {
        UptimePeriod::Month { year, month } => {
            wall::month(zone, year, month).ok_or(UptimeError::NoMonth { year, month })
        }
        UptimePeriod::DayOf(at) => {
            let day = wall::date_of(zone, at.secs());
            let next = day.succ_opt().unwrap_or(day);
            Ok(Interval::new(wall::day_start(zone, day), wall::day_start(zone, next)))
        }
        UptimePeriod::Between(from, to) if to > from => Ok(Interval::new(from.secs(), to.secs())),
        UptimePeriod::Between(..) => Err(UptimeError::Backwards),
    }
}

fn span_of(subjects: &[Subject]) -> Option<Interval> {
    let from = subjects.iter().map(|subject| subject.period.from).min()?;
    let to = subjects.iter().map(|subject| subject.period.to).max()?;
    Some(Interval::new(from, to))
}

const fn ms(seconds: i64) -> Timestamp {
    Timestamp(seconds.saturating_mul(1_000))
}

#[cfg(test)]
mod tests;
