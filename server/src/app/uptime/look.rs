//! What a step of the bookkeeper reads, and what follows from it for each kiosk's months.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono_tz::Tz;
use kioskwatch_domain::{
    change::{Change, MonthRow, PresenceVerdict, RestatementRow},
    ids::Ids,
    interval::{Interval, IntervalSet},
    uptime::{
        Evidence, Figures, Inputs, Month, Outlook, Piece, Timeline,
        booking::{Booked, Booking, Owner, owner},
        books::{self, Fresh, Intake, Stored, Terms},
        next_edge, outlook,
    },
    wall,
};
use kioskwatch_proto::{KioskId, Timestamp};

use super::{
    UptimeError,
    board::{Growth, Parts, Place, Shown},
    dirty::Since,
    due::Due,
    frame::{Counted, Frame, Sets},
    gather::{Subject, names, stood_at},
    places::Places,
    reader::{UptimeReader, day_of, ms},
};
use crate::{
    metrics::Seconds,
    store::{KioskNow, MonthTotal},
};

/// What follows for one kiosk.
pub(super) struct Outcome {
    pub(super) changes: Vec<Change>,
    pub(super) shown: Shown,
    /// When it is to be looked at again although nothing happened to it.
    pub(super) due_at: i64,
}

/// What a look is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Whatever can still be booked, signed or restated.
    Books,
    /// What a scrape shows, and no more: of a month that is signed that stands in its rows.
    Scrape,
}

/// Everything a step reads.
pub(super) struct Look<'a> {
    purpose: Purpose,
    frame: Frame<'a>,
    terms: Terms,
    target: (i64, i64),
    now: Timestamp,
    /// See [`Intake`].
    committed_to: Timestamp,
    /// See [`Intake`].
    unstored_since: BTreeMap<KioskId, Timestamp>,
    pub(super) subjects: Vec<Subject>,
    months: BTreeMap<KioskId, BTreeSet<Month>>,
    evidence: BTreeMap<KioskId, Vec<Evidence>>,
    rows: BTreeMap<(KioskId, Month), Vec<MonthRow>>,
    restatements: BTreeMap<(KioskId, Month), Vec<RestatementRow>>,
}

impl<'a> Look<'a> {
    pub(super) async fn gather(
        reader: &'a UptimeReader<'_>,
        places: Arc<Places>,
        kiosks: &BTreeMap<KioskId, Since>,
        seen: impl Fn(&KioskId) -> bool,
    ) -> Result<Self, UptimeError> {
        let ids: Vec<KioskId> = kiosks.keys().cloned().collect();
        let views = reader.store.kiosks_of(&ids).await?;
        let counted = Counted(reader.store.commissioned_of(&ids).await?);
        let due = Due::gather(reader, &views, (&places, &counted), kiosks, seen).await?;
        Self::of(reader, places, Purpose::Books, (ids, views, counted), due).await
    }

    /// Of what a scrape shows of these: of a month that is signed nothing is counted, and nothing is booked.
    pub(super) async fn for_scrape(
        reader: &'a UptimeReader<'_>,
        places: Arc<Places>,
        ids: Vec<KioskId>,
    ) -> Result<Self, UptimeError> {
        let views = reader.store.kiosks_of(&ids).await?;
        let counted = Counted(reader.store.commissioned_of(&ids).await?);
        let due = Due::for_scrape(reader.now, &views, &places);
        Self::of(reader, places, Purpose::Scrape, (ids, views, counted), due).await
    }

    async fn of(
        reader: &'a UptimeReader<'_>,
        places: Arc<Places>,
        purpose: Purpose,
        (ids, views, counted): (Vec<KioskId>, Vec<KioskNow>, Counted),
        due: Due,
    ) -> Result<Self, UptimeError> {
        let now = reader.now;
        let mut rows: BTreeMap<(KioskId, Month), Vec<MonthRow>> = BTreeMap::new();
        for row in reader.store.months_of_kiosks(&ids, due.oldest).await? {
            rows.entry((row.kiosk.clone(), row.month)).or_default().push(row);
        }
        let (mut subjects, mut months) = (Vec::new(), BTreeMap::new());
        for view in views {
            let (zone, id) = (places.zone_of(&view), &view.kiosk.id);
            // What was booked once stays a month of it, whatever its dates say by now.
            let booked = rows.range((id.clone(), due.oldest)..).next().filter(|(key, _)| key.0 == *id);
            let of_kiosk = due.months(&counted.of(&view.kiosk, None), id, zone, booked.map(|(key, _)| key.1));
            let is_signed = |month: &&Month| {
                let rows = rows.get(&(id.clone(), **month)).into_iter().flatten();
                rows.into_iter().any(|row| row.version > 0)
            };
            let first = of_kiosk.iter().find(|month| purpose == Purpose::Books || !is_signed(month));
            let (Some(first), Some(last)) = (first, of_kiosk.last()) else { continue };
            let (from, to) = (first.period(Tz::UTC).from, last.period(Tz::UTC).to);
            months.insert(id.clone(), of_kiosk);
            // Some of these months may be on the clock of another site.
            let period = Interval::new(from - wall::MAX_OFFSET_S, to + wall::MAX_OFFSET_S);
            subjects.push(Subject { view, zone, period, signed: Vec::new(), known_before: None });
        }
        let span = super::reader::span_of(&subjects).unwrap_or(Interval::new(now.secs(), now.secs() + 1));
        let assignments = reader.store.assignments_of(&ids, ms(span.from), ms(span.to)).await?;
        let sites = stood_at(subjects.iter().map(|subject| &subject.view), &assignments);
        let mut about = names(&sites);
        about.extend(ids.iter().map(KioskId::as_str));
        let heard = reader.heard(&ids, span).await?;
        let mut frame = reader.frame(places, &about, (span, None), heard).await?;
        frame.count(counted);
        frame.assign(assignments);
        // Before evidence is read: what is stored meanwhile is then read, what is refused meanwhile was received
        // after everything that is committed.
        let unstored =
            ids.iter().filter_map(|id| Some((id.clone(), reader.live.unstored_since(id)?))).collect();
        let evidence = reader.evidence_of(&ids, span).await?;
        frame.hear(&evidence);
        let mut look = Self {
            purpose,
            frame,
            terms: reader.terms(),
            target: reader.target(),
            now,
            committed_to: Timestamp(i64::MIN),
            unstored_since: unstored,
            evidence,
            subjects,
            months,
            rows,
            restatements: BTreeMap::new(),
        };
        if purpose == Purpose::Scrape {
            return Ok(look);
        }
        for row in reader.store.restatements_of(&ids, due.oldest).await? {
            look.restatements.entry((row.kiosk.clone(), row.month)).or_default().push(row);
        }
        Ok(look)
    }

    /// Everything received before this had been committed when it looked; without it nothing is signed.
    pub(super) fn committed_to(self, committed_to: Timestamp) -> Self {
        Self { committed_to, ..self }
    }

    /// Whether the past that changed since then is part of what its running month was booked with.
    pub(super) fn changes_what_was_booked(&self, subject: &Subject, since: Since) -> bool {
        let running = Month::at(subject.zone, self.now.secs());
        let rows = self.rows.get(&(subject.view.kiosk.id.clone(), running)).into_iter().flatten();
        rows.filter(|row| row.version == 0).any(|row| since < row.booked_at)
    }

    /// What follows for one kiosk's months, and what a scrape shows of it.
    pub(super) fn keep(&self, subject: &Subject, ids: &mut Ids) -> Outcome {
        let kiosk = &subject.view.kiosk;
        let running = Month::at(subject.zone, self.now.secs());
        let mut changes = self.expired(subject);
        let mut shown = Shown::default();
        let day = day_of(subject.zone, self.now);
        let mut due_at = day.to;
        for &month in self.months.get(&kiosk.id).into_iter().flatten() {
            let period = self.period(subject, month);
            let key = (kiosk.id.clone(), month);
            let stored = Stored {
                rows: self.rows.get(&key).map_or(&[], Vec::as_slice),
                restatements: self.restatements.get(&key).map_or(&[], Vec::as_slice),
            };
            let signed = stored.signed_version();
            let mut figures: Vec<MonthRow> = stored.version(signed).into_iter().cloned().collect();
            let mut coming = Vec::new();
            let is_open = self.purpose == Purpose::Books && !self.terms.is_closed(period.to, self.now);
            if signed == 0 || is_open {
                let known = self.sets(subject, period, None);
                let fresh = self.fresh(subject, month, &stored, &known);
                coming = to_come(&known, &known.inputs(&self.frame, &[]));
                if self.purpose == Purpose::Books {
                    changes.extend(books::keep(self.now, &self.terms, period.to, &stored, &fresh, ids));
                }
                if signed == 0 {
                    if period.to <= self.now.secs() {
                        due_at = due_at.min(self.terms.freeze_at(period.to));
                    }
                    figures = fresh.signed.unwrap_or(fresh.current).rows;
                }
            }
            let parts = || figures.iter().map(|row| (Place::of(&owner(row)), &row.sums.figures));
            if month == running {
                shown.month = Some((period, Parts::of(parts()).with_to_come(coming)));
            } else if month.next() == running {
                shown.promised = MonthTotal::highest(figures.iter().map(|row| row.target));
                // It is shown until the running one ends, which is where the kiosk stands now, wherever that one began.
                shown.last_month = Some((running.period(subject.zone), Parts::of(parts())));
            }
        }
        let until = self.show_today(subject, day, &mut shown);
        Outcome { changes, shown, due_at: due_at.min(until) }
    }

    /// Until when what is shown goes on by itself.
    fn show_today(&self, subject: &Subject, day: Interval, shown: &mut Shown) -> i64 {
        let sets = self.sets(subject, day, None);
        let inputs = sets.inputs(&self.frame, self.claims(&subject.view.kiosk.id));
        let timeline = Timeline::build(&inputs);
        let there = |(owner, set): &(Owner, IntervalSet)| (Place::of(owner), timeline.within(set).figures());
        let shares: Vec<(Place, Figures)> =
            sets.owners.iter().map(there).filter(|(_, figures)| figures.accountable_s > 0).collect();
        let parts = Parts::of(shares.iter().map(|(place, figures)| (place.clone(), figures)));
        shown.today = Some((day, parts.with_to_come(to_come(&sets, &inputs))));
        let Outlook { each, until } = outlook(&inputs, &timeline);
        let now = self.frame.as_of;
        let is_unsaid = |last: &Piece| last.span.to == now && last.basis.state.is_none();
        let is_online = subject.view.presence == Some(PresenceVerdict::Online);
        // It has come back in this very second, or is silent soon: the silence before it says nothing of what comes.
        let until = if is_online && timeline.pieces().last().is_some_and(is_unsaid) { now } else { until };
        let Some((owner, set)) = sets.owners.iter().find(|(_, set)| set.contains(now)) else { return now };
        let until = next_edge(set, now).map_or(until, |edge| edge.min(until));
        let place = Place::of(owner);
        shown.grows = (until > now && each.accountable_s > 0).then(|| Growth {
            place,
            each: Seconds { to_come_s: -each.accountable_s, ..Seconds::of(&each) },
            within: Interval::new(now, until),
        });
        until
    }

    /// Of a signed month what was signed, otherwise [`Places::unsigned`]: a kiosk that was moved to another zone since
    /// does not take its past along.
    fn period(&self, subject: &Subject, month: Month) -> Interval {
        let kiosk = &subject.view.kiosk;
        let rows = self.rows.get(&(kiosk.id.clone(), month)).into_iter().flatten();
        if let Some(signed) = rows.filter(|row| row.version > 0).max_by_key(|row| row.version) {
            return Interval::new(signed.period_from.secs(), signed.period_to.secs());
        }
        let stood = (kiosk, self.frame.assignments(&kiosk.id));
        self.frame.places.unsigned(stood, month, (self.now.secs(), None), &self.terms).1
    }

    /// Proposals are for ended months that are not looked at any more when their days are over.
    fn expired(&self, subject: &Subject) -> Vec<Change> {
        let all = self.restatements.iter().filter(|((kiosk, _), _)| *kiosk == subject.view.kiosk.id);
        all.filter_map(|((_, month), restatements)| {
            let stored = Stored { rows: &[], restatements };
            books::expire(self.now, &self.terms, self.period(subject, *month).to, &stored)
        })
        .collect()
    }

    /// What a month comes to, from all that was known at an instant; `None`: from all that is known.
    pub(super) fn known_at(&self, subject: &Subject, month: Month, at: Option<Timestamp>) -> Booked {
        let known = self.sets(subject, self.period(subject, month), at.map(Timestamp::secs));
        self.book(subject, month, &known).book(0, self.now)
    }

    /// `known`: the sets of the month by all that is known.
    fn fresh(&self, subject: &Subject, month: Month, stored: &Stored<'_>, known: &Sets) -> Fresh<'_> {
        let period = known.period;
        let current = self.book(subject, month, known).book(0, self.now);
        let intake = Intake {
            listened_s: self.listened_since(period.to),
            committed_to: self.committed_to,
            unstored_since: self.unstored_since.get(&subject.view.kiosk.id).copied(),
        };
        let signed = books::must_sign(self.now, &self.terms, period.to, stored, intake).then(|| {
            let freeze = self.terms.freeze_at(period.to);
            let then = self.sets(subject, period, Some(freeze));
            self.book(subject, month, &then).book(1, self.now)
        });
        Fresh { contracts: self.frame.places.contracts(), current, signed }
    }

    /// For how many seconds some server has been receiving since then.
    fn listened_since(&self, at: i64) -> i64 {
        let since = Interval::new(at, self.now.secs().max(at));
        since.length() - self.frame.outages.clip(since).length()
    }

    fn sets(&self, subject: &Subject, period: Interval, known_before: Option<i64>) -> Sets {
        self.frame.sets(&subject.view.kiosk, subject.interval_s(), period, known_before)
    }

    fn book<'b>(&'b self, subject: &'b Subject, month: Month, sets: &'b Sets) -> Booking<'b> {
        let kiosk = &subject.view.kiosk;
        Booking {
            month,
            kiosk,
            owners: &sets.owners,
            corrected: &sets.corrected,
            remodeled: &sets.remodeled,
            target: self.target,
            inputs: sets.inputs(&self.frame, self.claims(&kiosk.id)),
        }
    }

    fn claims(&self, kiosk: &KioskId) -> &[Evidence] {
        self.evidence.get(kiosk).map_or(&[], Vec::as_slice)
    }
}

/// What of a period is still to count, by whose it will be.
fn to_come(sets: &Sets, inputs: &Inputs<'_>) -> Vec<(Place, i64)> {
    let to_come = inputs.to_come();
    sets.owners.iter().map(|(owner, set)| (Place::of(owner), set.intersect(&to_come).length())).collect()
}
