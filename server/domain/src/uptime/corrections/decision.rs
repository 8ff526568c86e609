//! What another person says to a correction: who may, and what becomes true.
use std::collections::BTreeSet;

use kioskwatch_proto::{KioskId, SiteId, Timestamp};
use uuid::Uuid;

use super::{in_time, object, place, whole};
use crate::change::{
    AssignmentRow, Change, Correction, CorrectionRow, CorrectionState, Decided, ExclusionRow, GroupKind,
    KioskRow, ServiceSpan, Withdrawn,
};
use crate::fleet::{Actor, Refusal, RefusalKind};
use crate::interval::Interval;
use crate::uptime::booking::owners;
use crate::uptime::books::{Verdict, audit, refuse, stated};
use crate::uptime::commissioned::Commissioned;
use crate::uptime::exclusion::ExclusionClass;
use crate::uptime::hurdle::Hurdle;
use crate::uptime::past;

/// What else becomes true with an approval; the fleet has to know of it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consequence {
    Exclusion(ExclusionRow),
    Withdrawal { exclusion: Uuid, withdrawn: Withdrawn },
    ServiceHours { site: SiteId, before: String, after: String },
    Timezone { site: SiteId, before: String, after: String },
    Commissioning { kiosk: KioskId, before: Commissioned, after: ServiceSpan },
}

/// Why `name` may not decide about a correction; `None`: nothing but the role. `engineers`: who answered for
/// what it corrects.
#[must_use]
pub fn hurdle(name: &str, row: &CorrectionRow, engineers: &BTreeSet<String>) -> Option<Hurdle> {
    if row.state != CorrectionState::Requested {
        return Some(Hurdle::DecidedAlready(row.state.as_str()));
    }
    if row.requested_by == name {
        return Some(Hurdle::YouAsked);
    }
    engineers.contains(name).then_some(Hurdle::MeasuresYou)
}

/// From when to when an approval at `now` moves anything: of dates and of a zone also what has been since they were
/// asked for.
#[must_use]
pub fn moves(row: &CorrectionRow, now: Timestamp) -> (Timestamp, Timestamp) {
    let to = match &row.what {
        Correction::Timezone { .. } => now,
        Correction::Commissioning { before, after, .. } => {
            whole(&past::moved_dates(now, [before, &Commissioned::of([*after])])).1
        }
        Correction::Exclusion { .. }
        | Correction::Withdrawal { .. }
        | Correction::Assignment { .. }
        | Correction::Contract { .. }
        | Correction::ServiceHours { .. } => row.to,
    };
    (row.from, row.to.max(to))
}

/// Who answered for what a correction is about, from when to when it [`moves`] anything, and who would have; of to whom a
/// site belonged also the old and the new owners themselves.
#[must_use]
pub fn engineers(
    row: &CorrectionRow,
    (from, to): (Timestamp, Timestamp),
    kiosks: &[KioskRow],
    assignments: &[AssignmentRow],
) -> BTreeSet<String> {
    let (one, site) = place(&row.what);
    // Both ends count whole: who answered for half of a second answered for it.
    let span = Interval::new(from.secs(), to.secs().saturating_add(1));
    let mut names = BTreeSet::new();
    if let Correction::Assignment { group: GroupKind::Engineer, after, .. } = &row.what {
        names.extend(after.clone());
    }
    if let Correction::Contract { before, after, .. } = &row.what {
        let known = before.iter().flat_map(|one| [&one.contract.region, &one.contract.customer]);
        names.extend(known.chain(&after.region).chain(&after.customer).cloned());
    }
    for kiosk in kiosks.iter().filter(|kiosk| one.is_none_or(|id| kiosk.id == *id)) {
        let its: Vec<&AssignmentRow> = assignments.iter().filter(|row| row.kiosk == kiosk.id).collect();
        for (owner, set) in owners(kiosk, &its) {
            let there = site.is_none_or(|id| owner.site.as_ref() == Some(id));
            if there && !set.clip(span).is_empty() {
                names.extend(owner.engineer);
            }
        }
    }
    names
}

/// Somebody decides about another person's correction. `effect` is what the figures did, as JSON text;
/// `planned_notice_s` as in [`Circumstances`].
///
/// # Errors
/// Decided already, one's own, about somebody's own figures, without a reason, or too late for planned work.
pub fn decide(
    (now, planned_notice_s): (Timestamp, i64),
    actor: &Actor,
    (row, engineers): (&CorrectionRow, &BTreeSet<String>),
    verdict: &Verdict,
    effect: String,
) -> Result<(Vec<Change>, Option<Consequence>), Refusal> {
    let reason = stated(&verdict.reason)?.to_owned();
    if let Some(hurdle) = hurdle(&actor.name, row, engineers) {
        return Err(hurdle.into());
    }
    if let Correction::Exclusion { class, agreed_at: None, .. } = &row.what
        && class == ExclusionClass::Planned.as_str()
        && verdict.approve
    {
        in_time(now, row.from, planned_notice_s).map_err(|late| refuse(RefusalKind::Conflict, late))?;
    }
    let (state, action) = match verdict.approve {
        true => (CorrectionState::Approved, "correction.approve"),
        false => (CorrectionState::Rejected, "correction.reject"),
    };
    let (from, to) = moves(row, now);
    let detail = serde_json::json!({
        "requested_by": row.requested_by, "requested_reason": row.reason, "reason": reason,
        "from": from, "to": to,
        "effect": serde_json::from_str::<serde_json::Value>(&effect).unwrap_or_default(),
    });
    let consequence = verdict.approve.then(|| consequence(now, &actor.name, row)).flatten();
    let decided = Some(Decided { by: actor.name.clone(), at: now, reason });
    let changes = vec![
        Change::Correction(Box::new(CorrectionRow { state, decided, effect, ..row.clone() })),
        audit(now, &actor.name, action, object(row), detail.to_string()),
    ];
    Ok((changes, consequence))
}

/// What an approval by anybody would make true, to show its effect before it.
#[must_use]
pub fn would_be(row: &CorrectionRow) -> Option<Consequence> {
    let waits = row.state == CorrectionState::Requested;
    waits.then(|| consequence(row.requested_at, "", row)).flatten()
}

/// `None`: the approved correction itself is what is known from then on.
fn consequence(now: Timestamp, approver: &str, row: &CorrectionRow) -> Option<Consequence> {
    Some(match &row.what {
        Correction::Assignment { .. } | Correction::Contract { .. } => return None,
        Correction::Exclusion { kiosk, site, class, agreed_at } => Consequence::Exclusion(ExclusionRow {
            id: row.id,
            kiosk: kiosk.clone(),
            site: site.clone(),
            class: class.clone(),
            from: row.from,
            to: row.to,
            requested_by: row.requested_by.clone(),
            approved_by: Some(approver.to_owned()),
            approved_at: Some(now),
            // To which requester and approver put their names.
            agreed_at: *agreed_at,
            withdrawn: None,
            reason: row.reason.clone(),
        }),
        Correction::Withdrawal { exclusion, .. } => Consequence::Withdrawal {
            exclusion: *exclusion,
            withdrawn: Withdrawn { by: approver.to_owned(), at: now },
        },
        Correction::ServiceHours { site, before, after } => {
            Consequence::ServiceHours { site: site.clone(), before: before.clone(), after: after.clone() }
        }
        Correction::Timezone { site, before, after } => {
            Consequence::Timezone { site: site.clone(), before: before.clone(), after: after.clone() }
        }
        Correction::Commissioning { kiosk, before, after } => {
            Consequence::Commissioning { kiosk: kiosk.clone(), before: before.clone(), after: *after }
        }
    })
}
