//! What people say was entered wrong about time up to now, what time to come shall not count, and what becomes true
//! when somebody else agrees.
//!
//! A correction changes inputs, never figures: open months follow by themselves, signed ones by a proposal.

use chrono_tz::Tz;
use kioskwatch_proto::{KioskId, SiteId, Timestamp};
use uuid::Uuid;

pub use self::assigned::{held, reassigned};
pub use self::decision::{Consequence, decide, engineers, hurdle, moves, would_be};
use super::books::{audit, refuse, stated};
use super::commissioned::Commissioned;
use super::contracts::{Belonged, Contract};
use super::exclusion::ExclusionClass;
use super::month::Month;
use super::past::{self, Terms};
use crate::calendar::WorkCalendar;
use crate::change::{
    Change, Correction, CorrectionRow, CorrectionState, ExclusionRow, Held, ServiceSpan, SiteRow, Withdrawn,
};
use crate::fleet::{Actor, Refusal, RefusalKind};
use crate::interval::{Interval, IntervalSet};
use crate::service_hours::Schedule;
use crate::wall;

mod assigned;
mod decision;

/// Nobody remembers what was agreed longer ago, and evidence is kept about as long.
pub const REACHES_BACK_DAYS: i64 = 400;

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub what: Correction,
    /// The time it is about; of a withdrawal it is that of the exclusion, of a zone and of dates what they move.
    pub from: Timestamp,
    pub to: Timestamp,
    pub reason: String,
}

impl Wanted {
    /// `from` and `to` of those of which nobody is asked for them.
    pub const WHAT_IT_MOVES: (Timestamp, Timestamp) = (Timestamp(0), Timestamp(0));
}

/// By what a request is judged.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    pub now: Timestamp,
    /// What planned work needs between its agreement and its beginning.
    pub planned_notice_s: i64,
    /// The wall clock of the kiosk or the site.
    pub zone: Tz,
    pub calendar: &'a WorkCalendar,
    /// The site as it is, with when kiosks counted there; of a correction about a site.
    pub site: Option<(&'a SiteRow, &'a IntervalSet)>,
    /// When the kiosk counts, as it is known; of a correction of its dates.
    pub counted: Option<&'a Commissioned>,
    /// As it is stored; of a withdrawal.
    pub exclusion: Option<&'a ExclusionRow>,
}

/// A correction as it waits for somebody else.
///
/// # Errors
/// The first thing that cannot be right.
pub fn request(
    around: &Circumstances<'_>,
    actor: &Actor,
    id: Uuid,
    wanted: &Wanted,
) -> Result<CorrectionRow, Refusal> {
    let now = around.now;
    let invalid = |reason: String| refuse(RefusalKind::Invalid, reason);
    let reason = stated(&wanted.reason)?.to_owned();
    let (from, to) = match &wanted.what {
        Correction::Timezone { before, after, .. } => {
            whole(&check_zone(around, before, after).map_err(invalid)?)
        }
        Correction::Commissioning { after, .. } => {
            let known = around.counted.cloned().unwrap_or_default();
            whole(&check_dates(now, &known, *after).map_err(invalid)?)
        }
        Correction::Withdrawal { .. } => {
            let known = around.exclusion.ok_or_else(|| invalid("which exclusion is it?".to_owned()))?;
            check_stands(known)?;
            (known.from, known.to)
        }
        _ => (wanted.from, wanted.to),
    };
    let wanted = &Wanted { from, to, ..wanted.clone() };
    if to <= from {
        return Err(invalid(format!("it ends at {to} and begins at {from}: it must end later")));
    }
    let may_come = matches!(wanted.what, Correction::Exclusion { .. } | Correction::Withdrawal { .. });
    if to > now && !may_come {
        return Err(invalid(format!("it ends at {to}, which has not been yet")));
    }
    if to.since(now) > REACHES_BACK_DAYS * 86_400_000 {
        return Err(invalid(format!("it ends more than {REACHES_BACK_DAYS} days ahead")));
    }
    // In whole seconds, as what zones and dates move is found: that may begin with the first of them.
    if from.secs() < past::reach(now).from {
        return Err(invalid(format!("it begins more than {REACHES_BACK_DAYS} days ago")));
    }
    match &wanted.what {
        Correction::Exclusion { kiosk, site, class, agreed_at } => {
            if kiosk.is_some() == site.is_some() {
                return Err(invalid("time is forgiven to a kiosk or to a site: name one of them".to_owned()));
            }
            check_class(around, class, *agreed_at, from).map_err(invalid)?;
        }
        Correction::ServiceHours { before, after, .. } => {
            if before.trim() == after.trim() {
                return Err(invalid("these are the service hours already".to_owned()));
            }
            check_hours(around, before, after, wanted).map_err(invalid)?;
        }
        Correction::Assignment { group, before, after, .. } => {
            assigned::check(*group, before, after.as_deref()).map_err(invalid)?;
        }
        Correction::Contract { before, after, .. } => after.check(before).map_err(invalid)?,
        Correction::Withdrawal { .. } | Correction::Timezone { .. } | Correction::Commissioning { .. } => {}
    }
    Ok(CorrectionRow {
        id,
        what: wanted.what.clone(),
        from,
        to,
        reason,
        state: CorrectionState::Requested,
        requested_by: actor.name.clone(),
        requested_at: now,
        decided: None,
        effect: "{}".to_owned(),
    })
}

/// A forgotten maintenance was agreed in time, or it is no planned one: otherwise every outage could be
/// declared planned afterwards. One to come is agreed by its approval, and by nothing that is only said.
fn check_class(
    around: &Circumstances<'_>,
    class: &str,
    agreed_at: Option<Timestamp>,
    from: Timestamp,
) -> Result<(), String> {
    let known = ExclusionClass::named(class).ok_or_else(|| {
        let all: Vec<_> = ExclusionClass::ALL.iter().map(|class| class.as_str()).collect();
        format!("{class:?} is none of {}", all.join(", "))
    })?;
    let notice_s = around.planned_notice_s;
    match (known, agreed_at) {
        (ExclusionClass::Planned, agreed) if from > around.now => match agreed {
            None => in_time(around.now, from, notice_s),
            Some(_) => {
                Err("agreed_at belongs to planned work that has begun: work to come is agreed when somebody \
                            else approves it"
                    .to_owned())
            }
        },
        (ExclusionClass::Planned, None) => {
            Err("planned work that has begun needs agreed_at: when it had been agreed".to_owned())
        }
        (ExclusionClass::Planned, Some(agreed)) if agreed.secs() > from.secs() - notice_s => Err(format!(
            "planned work is agreed at least {} h before it begins; this was at {agreed}",
            notice_s / 3_600
        )),
        (ExclusionClass::Planned, Some(_)) | (_, None) => Ok(()),
        (_, Some(_)) => Err("agreed_at belongs to planned work only".to_owned()),
    }
}

/// Whether there is anything to be taken back.
///
/// # Errors
/// Nobody approved it, or it was taken back already.
pub fn check_stands(exclusion: &ExclusionRow) -> Result<(), Refusal> {
    match (&exclusion.approved_at, &exclusion.withdrawn) {
        (_, Some(Withdrawn { by, at })) => {
            Err(refuse(RefusalKind::Conflict, format!("it was taken back already: {by} agreed at {at}")))
        }
        (None, None) => Err(refuse(RefusalKind::Conflict, "nobody approved it: it forgives nothing")),
        (Some(_), None) => Ok(()),
    }
}

/// Whether planned work may still be approved; its overrun and what is approved later stay ours.
fn in_time(now: Timestamp, from: Timestamp, notice_s: i64) -> Result<(), String> {
    match now.secs() <= from.secs() - notice_s {
        true => Ok(()),
        false => Err(format!(
            "planned work is approved at least {} h before it begins, and this begins at {from}: it is too late for \
             it; choose a later time",
            notice_s / 3_600
        )),
    }
}

/// An approval replaces the whole text, so the new one may differ from `from` to `to` only: whoever approves a
/// week must not change a year with it. Looked at as far back as corrections reach, and as far ahead.
fn check_hours(around: &Circumstances<'_>, before: &str, after: &str, wanted: &Wanted) -> Result<(), String> {
    let after = Schedule::entered(after).map_err(|error| error.to_string())?;
    // Hours that cannot be read count as always open; replacing them is what a correction is for.
    let known = Schedule::of_site(before);
    let is_readable = known.is_ok();
    let before = known.unwrap_or_else(|_| Schedule::always_open());
    let Circumstances { now, zone, calendar, .. } = *around;
    let reach = REACHES_BACK_DAYS * 86_400;
    let asked = Interval::new(wanted.from.secs(), wanted.to.secs());
    let outside =
        [Interval::new(now.secs() - reach, asked.from), Interval::new(asked.to, now.secs() + reach)];
    for span in outside {
        let [was, is] = [&before, &after].map(|hours| hours.open_times(zone, calendar, span));
        let differing = was.subtract(&is).union(&is.subtract(&was));
        if let Some(first) = differing.iter().next() {
            let (local, open) = (wall::local_of(zone, first.from), was.contains(first.from));
            let (was, is) = if open { ("open", "closed") } else { ("closed", "open") };
            return Err(format!(
                "outside of the time to correct nothing may change; at {local} ({zone}) the site was {was} and \
                 would be {is}: keep the old hours there as versions with effective_from"
            ));
        }
    }
    let [was, is] = [&before, &after].map(|hours| hours.open_times(zone, calendar, asked));
    if is_readable && was == is {
        return Err(
            "the site would be open as before in the time to correct: nothing would change".to_owned()
        );
    }
    Ok(())
}

/// What another zone moves.
fn check_zone(around: &Circumstances<'_>, before: &str, after: &str) -> Result<IntervalSet, String> {
    let zone = after.parse::<Tz>().map_err(|_| format!("{after:?} is no IANA zone like Asia/Shanghai"))?;
    if before == after {
        return Err("this is the time zone already".to_owned());
    }
    let (site, stood) = around.site.ok_or_else(|| "a time zone is a site's".to_owned())?;
    let terms = |zone: Tz| Terms::of(zone.name(), &site.service_hours, zone);
    let moved = past::moved(around.now, around.calendar, [&terms(around.zone), &terms(zone)], stood);
    let free = "no time that has been would change: give the site the zone without a correction";
    if moved.is_empty() { Err(free.to_owned()) } else { Ok(moved) }
}

/// What other dates move.
fn check_dates(now: Timestamp, known: &Commissioned, after: ServiceSpan) -> Result<IntervalSet, String> {
    if after.commissioned_at.is_none() {
        return Err("commissioned_at: from when on should it have counted?".to_owned());
    }
    let moved = past::moved_dates(now, [known, &known.told(now, after)?]);
    let free = "no time that has been would change: give the kiosk the dates without a correction";
    if moved.is_empty() { Err(free.to_owned()) } else { Ok(moved) }
}

/// From the first to the last of what a correction moves.
fn whole(moved: &IntervalSet) -> (Timestamp, Timestamp) {
    let at = |secs: i64| Timestamp(secs.saturating_mul(1_000));
    let first = moved.intervals().first().map_or(0, |one| one.from);
    (at(first), at(moved.intervals().last().map_or(first, |one| one.to)))
}

/// The audit entry of a request.
#[must_use]
pub fn requested(row: &CorrectionRow) -> Vec<Change> {
    let value = match &row.what {
        Correction::Exclusion { class, agreed_at, .. } => {
            serde_json::json!({ "class": class, "agreed_at": agreed_at })
        }
        Correction::Withdrawal { exclusion, class, .. } => {
            serde_json::json!({ "exclusion": exclusion, "class": class })
        }
        Correction::Assignment { before, after, .. } => {
            let held = |one: &Held| serde_json::json!({ "id": one.id, "from": one.from, "to": one.to });
            serde_json::json!({ "before": before.iter().map(held).collect::<Vec<_>>(), "after": after })
        }
        Correction::Contract { before, after, .. } => {
            let belonged = |one: &Belonged| {
                let Contract { region, customer } = &one.contract;
                serde_json::json!({ "region": region, "customer": customer, "from": one.from, "to": one.to })
            };
            let after = serde_json::json!({ "region": after.region, "customer": after.customer });
            serde_json::json!({ "before": before.iter().map(belonged).collect::<Vec<_>>(), "after": after })
        }
        Correction::ServiceHours { before, after, .. } => {
            serde_json::json!({ "before": before, "after": after })
        }
        Correction::Timezone { before, after, .. } => {
            serde_json::json!({ "before": before, "after": after })
        }
        Correction::Commissioning { before, after, .. } => {
            let mut was = dates(&before.spans().first().copied().unwrap_or_default());
            was["stretches"] = before.spans().iter().map(dates).collect();
            serde_json::json!({ "before": was, "after": dates(after) })
        }
    };
    let detail = serde_json::json!({
        "kind": row.what.kind(), "from": row.from, "to": row.to, "reason": row.reason, "value": value,
    });
    vec![
        Change::Correction(Box::new(row.clone())),
        audit(row.requested_at, &row.requested_by, "correction.request", object(row), detail.to_string()),
    ]
}

fn dates(dates: &ServiceSpan) -> serde_json::Value {
    serde_json::json!({
        "commissioned_at": dates.commissioned_at, "decommissioned_at": dates.decommissioned_at,
    })
}

/// The local months that a correction reaches into, in order.
#[must_use]
pub fn months(row: &CorrectionRow, zone: Tz) -> Vec<Month> {
    let last = Month::at(zone, row.to.secs().saturating_sub(1));
    let months = std::iter::successors(Some(Month::at(zone, row.from.secs())), |month| Some(month.next()));
    months.take_while(|month| *month <= last).collect()
}

fn object(row: &CorrectionRow) -> String {
    match place(&row.what) {
        (Some(kiosk), _) => format!("kiosk/{kiosk}/correction/{}", row.id),
        (None, Some(site)) => format!("site/{site}/correction/{}", row.id),
        (None, None) => format!("correction/{}", row.id),
    }
}

/// Whom a correction is about.
#[must_use]
pub const fn place(what: &Correction) -> (Option<&KioskId>, Option<&SiteId>) {
    match what {
        Correction::Exclusion { kiosk, site, .. } | Correction::Withdrawal { kiosk, site, .. } => {
            (kiosk.as_ref(), site.as_ref())
        }
        Correction::ServiceHours { site, .. }
        | Correction::Timezone { site, .. }
        | Correction::Contract { site, .. } => (None, Some(site)),
        Correction::Commissioning { kiosk, .. } | Correction::Assignment { kiosk, .. } => (Some(kiosk), None),
    }
}

#[cfg(test)]
mod tests;
