//! Where a kiosk stood, who answered for it and which model it was, as it was noted when it happened and as two people say it since.

use std::collections::BTreeMap;

use kioskwatch_proto::{Timestamp, limits::MAX_TEXT_CHARS};

use super::super::booking::owners;
use crate::change::{AssignmentRow, Correction, CorrectionRow, GroupKind, Held, KioskRow};
use crate::fleet::MAX_NAME_CHARS;
use crate::interval::{Interval, IntervalSet};

/// Somebody else, or nobody, than it was in all of this time.
pub(super) fn check(group: GroupKind, before: &[Held], after: Option<&str>) -> Result<(), String> {
    let most = if group == GroupKind::Model { MAX_TEXT_CHARS } else { MAX_NAME_CHARS };
    if after.is_some_and(|id| id.trim().is_empty() || id.chars().count() > most) {
        return Err(format!("a name has 1 to {most} characters; left out: nobody"));
    }
    match before.iter().all(|held| held.id.as_deref() == after) {
        true => Err("this is what is known of all of that time: nothing would change".to_owned()),
        false => Ok(()),
    }
}

/// To whom a kiosk belonged within a time, as is known, in order.
#[must_use]
pub fn held(
    kiosk: &KioskRow,
    assignments: &[AssignmentRow],
    group: GroupKind,
    (from, to): (Timestamp, Timestamp),
) -> Vec<Held> {
    let its: Vec<&AssignmentRow> = assignments.iter().filter(|row| row.kiosk == kiosk.id).collect();
    let within = Interval::new(from.secs(), to.secs());
    let mut shares: BTreeMap<Option<String>, IntervalSet> = BTreeMap::new();
    for (owner, set) in owners(kiosk, &its) {
        let id = match group {
            GroupKind::Site => owner.site.map(|site| site.to_string()),
            GroupKind::Engineer => owner.engineer,
            GroupKind::Model => Some(owner.model).filter(|model| !model.is_empty()),
        };
        let share = shares.entry(id).or_default();
        *share = share.union(&set.clip(within));
    }
    let at = |secs: i64| Timestamp(secs.saturating_mul(1_000));
    let spans = shares.iter().flat_map(|(id, set)| {
        set.iter().map(|span| Held { id: id.clone(), from: at(span.from), to: at(span.to) })
    });
    let mut held: Vec<Held> = spans.collect();
    held.sort_by_key(|one| one.from);
    held
}

/// The row of an approved correction of an assignment; of anything else none.
#[must_use]
pub fn reassigned(row: &CorrectionRow, said: Timestamp) -> Option<AssignmentRow> {
    let Correction::Assignment { kiosk, group, after, .. } = &row.what else { return None };
    Some(AssignmentRow {
        kiosk: kiosk.clone(),
        group: *group,
        group_id: after.clone().unwrap_or_default(),
        from: row.from,
        to: Some(row.to),
        said: Some(said),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Admission;
    use crate::uptime::booking::known_before;

    fn kiosk() -> KioskRow {
        KioskRow {
            id: "K-1".parse().unwrap(),
            site: Some("S-2".parse().unwrap()),
            admission: Admission::Accepted,
            model: String::new(),
            serial_no: String::new(),
            commissioned_at: None,
            decommissioned_at: None,
            updated_at: Timestamp(0),
        }
    }

    fn row(group: GroupKind, id: &str, (from, to): (i64, Option<i64>), said: Option<i64>) -> AssignmentRow {
        let at = |second: i64| Timestamp(second * 1_000);
        let (kiosk, group_id) = (kiosk().id, id.to_owned());
        AssignmentRow { kiosk, group, group_id, from: at(from), to: to.map(at), said: said.map(at) }
    }

    /// Within `[0, 100)`.
    fn told(rows: &[AssignmentRow], group: GroupKind) -> Vec<(Option<String>, i64, i64)> {
        let held = held(&kiosk(), rows, group, (Timestamp(0), Timestamp(100_000)));
        held.into_iter().map(|one| (one.id, one.from.secs(), one.to.secs())).collect()
    }

    fn is(spans: &[(&str, i64, i64)]) -> Vec<(Option<String>, i64, i64)> {
        let id = |id: &str| Some(id.to_owned()).filter(|id| !id.is_empty());
        spans.iter().map(|(name, from, to)| (id(name), *from, *to)).collect()
    }

    #[test]
    fn what_two_people_say_of_a_time_holds_in_all_of_it_and_what_they_said_last_over_the_rest() {
        use GroupKind::{Engineer, Site};
        let rows = [
            row(Site, "S-1", (0, Some(40)), None),
            row(Site, "S-2", (40, None), None),
            row(Engineer, "li", (20, None), None),
            row(Site, "S-3", (30, Some(60)), Some(200)),
            row(Site, "", (50, Some(70)), Some(300)),
            row(Engineer, "wang", (10, Some(30)), Some(200)),
        ];
        let noted = is(&[("S-1", 0, 40), ("S-2", 40, 100)]);
        let first = is(&[("S-1", 0, 30), ("S-3", 30, 60), ("S-2", 60, 100)]);
        let last = is(&[("S-1", 0, 30), ("S-3", 30, 50), ("", 50, 70), ("S-2", 70, 100)]);
        for (before, sites) in
            [(Some(200), noted), (Some(201), first), (Some(301), last.clone()), (None, last)]
        {
            let known: Vec<AssignmentRow> = known_before(&rows, before).cloned().collect();
            assert_eq!(told(&known, Site), sites, "{before:?}");
        }
        assert_eq!(told(&rows, Engineer), is(&[("", 0, 10), ("wang", 10, 30), ("li", 30, 100)]));
    }

    #[test]
    fn a_kiosk_whose_moves_were_never_written_down_stood_at_its_site_but_for_what_is_said_of_it() {
        let said = [row(GroupKind::Site, "S-9", (10, Some(20)), Some(200))];
        assert_eq!(told(&[], GroupKind::Site), is(&[("S-2", 0, 100)]));
        let corrected = is(&[("S-2", 0, 10), ("S-9", 10, 20), ("S-2", 20, 100)]);
        assert_eq!(told(&said, GroupKind::Site), corrected);
    }

    #[test]
    fn what_is_known_already_is_no_correction_and_a_name_is_one() {
        let held = |id: &str| Held { id: Some(id.into()), from: Timestamp(0), to: Timestamp(1) };
        check(GroupKind::Engineer, &[held("li"), held("wang")], Some("li")).unwrap();
        check(GroupKind::Engineer, &[held("li")], None).unwrap();
        for (after, says) in [(Some("li"), "nothing would change"), (Some(" "), "1 to 64 characters")] {
            let refused = check(GroupKind::Engineer, &[held("li")], after).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
    }
}
