//! What a change to a site or to a kiosk does to time that has been: nobody moves accountable time of the past
//! alone (uptime definitions 2.2 and 2.8).
//!
//! Knows rows and instants; whoever asks brings who stood where. What it refuses, a correction of two people does.

use chrono_tz::Tz;
use kioskwatch_proto::{SiteId, Timestamp};

use super::booking::owners;
use super::books::{self, refuse};
use super::commissioned::Commissioned;
use super::corrections::REACHES_BACK_DAYS;
use super::known::Known;
use super::month::Month;
use crate::calendar::WorkCalendar;
use crate::change::{AssignmentRow, KioskRow, ServiceSpan, SiteRow, SiteTermsRow};
use crate::fleet::{Refusal, RefusalKind};
use crate::interval::{BEGINNING, END, Interval, IntervalSet};
use crate::service_hours::Schedule;
use crate::wall;

/// The past as far as corrections reach: what is older is signed, and most of its evidence is gone.
#[must_use]
pub fn reach(now: Timestamp) -> Interval {
    Interval::new(now.secs() - REACHES_BACK_DAYS * 86_400, now.secs())
}

/// Who enters "as of now" typed for a while, and reads another clock than ours.
const ENTRY_MS: i64 = 5 * 60_000;

/// What is past for whoever enters something now.
#[must_use]
pub(crate) fn entered(now: Timestamp) -> Timestamp {
    now.plus_ms(-ENTRY_MS)
}

/// When kiosks counted at a site. Time that nobody owned follows no site's hours: who moves a kiosk moves none of it.
#[must_use]
pub fn stood_at(
    site: &SiteId,
    kiosks: &[(KioskRow, Commissioned)],
    assignments: &[AssignmentRow],
) -> IntervalSet {
    let mut all = IntervalSet::empty();
    for (kiosk, stretches) in kiosks {
        let its: Vec<&AssignmentRow> = assignments.iter().filter(|row| row.kiosk == kiosk.id).collect();
        for (owner, set) in owners(kiosk, &its) {
            if owner.site.as_ref() == Some(site) {
                all = all.union(&set.intersect(&stretches.counted()));
            }
        }
    }
    all
}

/// The wall clock and the open times of a site; what cannot be read counts as everywhere else.
#[derive(Debug)]
pub struct Terms {
    zone: Tz,
    hours: Schedule,
}

impl Terms {
    #[must_use]
    pub fn of(timezone: &str, service_hours: &str, default_zone: Tz) -> Self {
        Self {
            zone: timezone.parse().unwrap_or(default_zone),
            hours: Schedule::of_site(service_hours).unwrap_or_else(|_| Schedule::always_open()),
        }
    }

    #[must_use]
    pub fn of_site(site: &SiteRow, default_zone: Tz) -> Self {
        Self::of(&site.timezone, &site.service_hours, default_zone)
    }

    /// Of time that no site owns: always open.
    #[must_use]
    pub fn nowhere(default_zone: Tz) -> Self {
        Self { zone: default_zone, hours: Schedule::always_open() }
    }

    fn open(&self, calendar: &WorkCalendar, within: Interval) -> IntervalSet {
        self.hours.open_times(self.zone, calendar, within)
    }
}

/// Accountable time of the past that other terms would open, close, or put into another month.
#[must_use]
pub fn moved(
    now: Timestamp,
    calendar: &WorkCalendar,
    [was, is]: [&Terms; 2],
    stood: &IntervalSet,
) -> IntervalSet {
    let stood = stood.clip(reach(now));
    let (Some(first), Some(last)) = (stood.intervals().first(), stood.intervals().last()) else {
        return stood;
    };
    let within = Interval::new(first.from, last.to);
    let [open, would_be] = [was, is].map(|terms| terms.open(calendar, within));
    let moved = differing(&open, &would_be);
    // A month begins with the local day: between the two beginnings time changes its month.
    let begun = Month::at(is.zone, within.to).max(Month::at(was.zone, within.to));
    let oldest = Month::at(is.zone, within.from).min(Month::at(was.zone, within.from));
    let months = std::iter::successors(Some(oldest), |month| Some(month.next()));
    let between = months.take_while(|month| *month <= begun).map(|month| {
        let [a, b] = [was, is].map(|terms| month.period(terms.zone).from);
        Interval::new(a.min(b), a.max(b))
    });
    moved.union(&between.collect()).intersect(&stood)
}

/// Whether one person may change a site so. Nor does one close it sooner than `notice_s` from now: that is forgiven time
/// like planned work at short notice (2.4), and would take the rest of an outage out of a figure.
///
/// # Errors
/// Conflict, with the first instant that would change.
pub fn check_site(
    now: Timestamp,
    calendar: &WorkCalendar,
    [was, is]: [&Terms; 2],
    stood: &IntervalSet,
    notice_s: i64,
) -> Result<(), Refusal> {
    let moved = moved(now, calendar, [was, is], stood);
    let Some(first) = moved.intervals().first() else {
        let soon = Interval::new(now.secs(), now.secs().saturating_add(notice_s));
        let closing = closed(calendar, [was, is], soon).intersect(stood);
        return closing.intervals().first().map_or(Ok(()), |first| Err(too_soon(was.zone, *first, notice_s)));
    };
    let what = match opened(calendar, [was, is], first.from) {
        None => "the site would be in another month",
        Some(false) => "the site was open and would be closed",
        Some(true) => "the site was closed and would be open",
    };
    let (local, zone) = (wall::local_of(was.zone, first.from), was.zone);
    Err(refuse(
        RefusalKind::Conflict,
        format!(
            "this changes time that has been: at {local} ({zone}) {what}. Keep the old hours and add the new \
             ones as a version with effective_from of a coming date; if the past was entered wrong, ask for a \
             correction, which somebody else approves"
        ),
    ))
}

fn too_soon(zone: Tz, first: Interval, notice_s: i64) -> Refusal {
    let local = wall::local_of(zone, first.from);
    refuse(
        RefusalKind::Conflict,
        format!(
            "this closes the site at {local} ({zone}), which is less than {} h ahead: nobody takes time so near out of \
             the figures alone. Let the new hours begin later, or ask for that time to be forgiven, which somebody \
             else approves",
            notice_s / 3_600
        ),
    )
}

/// Time that was open and would be closed.
fn closed(calendar: &WorkCalendar, terms: [&Terms; 2], within: Interval) -> IntervalSet {
    let [open, would_be] = terms.map(|terms| terms.open(calendar, within));
    open.subtract(&would_be)
}

/// Whether one person may put a kiosk where it answers for less, within as many days to come as corrections reach back:
/// not while it is `down_since` then.
///
/// # Errors
/// Conflict, with the first instant for which it would not answer any more.
pub fn check_lending(
    now: Timestamp,
    calendar: &WorkCalendar,
    [was, is]: [&Terms; 2],
    counted: &Commissioned,
    down_since: Option<Timestamp>,
) -> Result<(), Refusal> {
    if down_since.is_none() {
        return Ok(());
    }
    let to_come = Interval::new(now.secs(), now.secs() + REACHES_BACK_DAYS * 86_400);
    still_up(down_since, &closed(calendar, [was, is], to_come).intersect(&counted.counted()))
}

/// Nobody ends alone what is being counted as an outage.
fn still_up(down_since: Option<Timestamp>, lost: &IntervalSet) -> Result<(), Refusal> {
    let (Some(since), Some(first)) = (down_since, lost.intervals().first()) else { return Ok(()) };
    let at = Timestamp(first.from.saturating_mul(1_000));
    Err(refuse(
        RefusalKind::Conflict,
        format!(
            "the kiosk is down since {since}, and from {at} on it would not answer for that any more: say so once it \
             works again; or ask for a correction once that time has come, which somebody else approves"
        ),
    ))
}

/// Whether one person may put a kiosk somewhere else, by the terms of before and of then. `unassigned`: its counted
/// time that would go along ([`super::booking::unassigned`]).
///
/// # Errors
/// Conflict, with the first instant of the past that would change.
pub fn check_move(
    now: Timestamp,
    calendar: &WorkCalendar,
    [was, is]: [&Terms; 2],
    unassigned: &IntervalSet,
) -> Result<(), Refusal> {
    let moved = moved(entered(now), calendar, [was, is], unassigned);
    let Some(first) = moved.intervals().first() else { return Ok(()) };
    let what = match opened(calendar, [was, is], first.from) {
        None => "the kiosk would be in another month",
        Some(false) => "the kiosk was accountable and would not be",
        Some(true) => "the kiosk was not accountable and would be",
    };
    let (local, zone) = (wall::local_of(was.zone, first.from), was.zone);
    Err(refuse(
        RefusalKind::Conflict,
        format!(
            "this changes time that has been, because nothing says where the kiosk stood until now: at {local} \
             ({zone}) {what}. First ask for a correction of its commissioned_at to a day to come, which somebody \
             else approves, and then give it its site; the time before counts there by a second correction"
        ),
    ))
}

/// Whether an instant would be open that was closed, or the other way round; `None`: neither.
fn opened(calendar: &WorkCalendar, [was, is]: [&Terms; 2], second: i64) -> Option<bool> {
    let at = Interval::new(second, second + 1);
    let [open, would_be] = [was, is].map(|terms| !terms.open(calendar, at).is_empty());
    (open != would_be).then_some(would_be)
}

/// Time of the past that counted and would not, or the other way round.
#[must_use]
pub fn moved_dates(now: Timestamp, [was, is]: [&Commissioned; 2]) -> IntervalSet {
    differing(&was.counted(), &is.counted()).clip(reach(now))
}

/// Since when the hours and the wall clock of a site are known as they are; `None`: always. `noted`: what was ever noted
/// of its terms, in the order in which it became known.
#[must_use]
pub fn known_since(site: &SiteRow, noted: &[SiteTermsRow]) -> Option<Timestamp> {
    let same =
        |row: &&SiteTermsRow| (&row.timezone, &row.service_hours) == (&site.timezone, &site.service_hours);
    let first = noted.iter().rev().take_while(same).last().map(|row| row.known_from);
    first.filter(|since| *since != SiteTermsRow::ALWAYS)
}

/// Since when a kiosk may count by its first dates: the beginning of the oldest month that is not fixed. Whoever could
/// say more alone would add a kiosk to months of its groups that are signed. Nor does one say of the same past both
/// when a kiosk counted and when its site was open: of a kiosk without dates the evidence is there to be looked at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstDates {
    zone: Tz,
    from: i64,
}

impl FirstDates {
    /// `terms`: when a month is fixed.
    #[must_use]
    pub fn on(zone: Tz, terms: &books::Terms, now: Timestamp) -> Self {
        Self { zone, from: terms.oldest_open(zone, now).period(zone).from }
    }

    /// Not before its site's hours were known, but for what is being entered now.
    #[must_use]
    pub fn known_since(self, since: Option<Timestamp>, now: Timestamp) -> Self {
        let since = since.map_or(self.from, |since| since.min(entered(now)).secs());
        Self { from: self.from.max(since), ..self }
    }

    /// Of two wall clocks, that on which less is free.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if other.from > self.from { other } else { self }
    }

    #[must_use]
    pub const fn from(&self) -> Timestamp {
        Timestamp(self.from.saturating_mul(1_000))
    }

    /// Dates that end further back than corrections reach count in no month of which anything is left. Nor does one
    /// person say an end that has been: a kiosk without dates keeps its evidence, and whoever could cut both ends
    /// would count exactly the days on which it was up.
    fn check(&self, now: Timestamp, is: ServiceSpan) -> Result<(), Refusal> {
        let moved = moved_dates(now, [&Commissioned::default(), &Commissioned::of([is])]);
        if moved.clip(Interval::new(BEGINNING, self.from)).is_empty() {
            let ended = is.decommissioned_at.filter(|end| *end < entered(now) && !moved.is_empty());
            return ended.map_or(Ok(()), |end| Err(over(end)));
        }
        let (local, zone) = (wall::local_of(self.zone, self.from), self.zone);
        Err(refuse(
            RefusalKind::Conflict,
            format!(
                "by these dates the kiosk would count in months that are fixed, or before the hours of its site were \
                 entered: its first commissioned_at is {} ({local} in {zone}) or later. Give that one, from which it counts; if it has to count before, ask \
                 for a correction of it then, which somebody else approves",
                self.from()
            ),
        ))
    }
}

fn over(end: Timestamp) -> Refusal {
    refuse(
        RefusalKind::Conflict,
        format!(
            "these first dates end at {end}, which has been: nobody cuts alone what counts out of time that has been. \
             Leave decommissioned_at empty, or give it as of now or to come; if the kiosk left before, ask for a \
             correction of its dates then, which somebody else approves"
        ),
    )
}

/// Whether one person may give a kiosk other dates than its row has, or its first ones, of which nothing was `noted`
/// yet: see [`FirstDates`]. Of others free is what moves time to come alone, and the five minutes
/// of [`ENTRY_MS`] before: so it leaves now and comes back from now on, unless it is `down_since` then. Time of this
/// morning is past like any other: else who was down today would have left before it and be back after it. Only
/// what was closed where it stood counts neither way: `open` says of a time what was not.
///
/// # Errors
/// Conflict, with the first instant of the past that would count otherwise, or since when it may count.
pub fn check_kiosk(
    now: Timestamp,
    first: &FirstDates,
    noted: &Known<Commissioned>,
    [was, is]: [ServiceSpan; 2],
    down_since: Option<Timestamp>,
    open: impl FnOnce(Interval) -> IntervalSet,
) -> Result<(), Refusal> {
    if noted.before(None).is_none() && was.commissioned_at.is_none() {
        return first.check(now, is);
    }
    let known = &noted.or_of(was, None);
    let after = known.put(now, was, is).map_err(|why| refuse(RefusalKind::Conflict, why))?;
    let moved = moved_dates(entered(now), [known, &after]);
    let ends = moved.intervals().first().zip(moved.intervals().last());
    let open = ends.map(|(first, last)| open(Interval::new(first.from, last.to)));
    let refused = open.map_or(IntervalSet::empty(), |open| moved.intersect(&open));
    let Some(first) = refused.intervals().first() else {
        let to_come = Interval::new(entered(now).secs(), END);
        return still_up(down_since, &known.counted().subtract(&after.counted()).clip(to_come));
    };
    let at = Timestamp(first.from.saturating_mul(1_000));
    let (counted, would) = match known.counted().contains(first.from) {
        true => ("counted", "would not"),
        false => ("did not count", "would"),
    };
    Err(refuse(
        RefusalKind::Conflict,
        format!(
            "this changes time that has been: at {at} the kiosk {counted} and {would} by these dates. Dates to \
             come and a decommissioning or a return as of now are free; to put a kiosk back into service leave \
             commissioned_at out and decommissioned_at empty; if a date was entered wrong, ask for a correction, \
             which somebody else approves"
        ),
    ))
}

fn differing(a: &IntervalSet, b: &IntervalSet) -> IntervalSet {
    a.subtract(b).union(&b.subtract(a))
}

#[cfg(test)]
mod tests;
