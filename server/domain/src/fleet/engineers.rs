//! Who answers for a kiosk: named by time, as the sites are where it stood.
//!
//! Nothing here decides anything about tickets: the name matters for figures alone, so the fleet in memory does
//! not know it and whoever asks brings what is stored.
use kioskwatch_proto::{KioskId, Timestamp};

use super::{
    input::Actor,
    plan::{Refusal, RefusalKind},
};
use crate::change::{AssignmentRow, AuditRow, Change, GroupKind};

/// Characters of a name: as many as an id has.
pub const MAX_NAME_CHARS: usize = 64;

/// From now on `engineer` answers for a kiosk, or nobody does. `open`: assignments that have not ended.
/// Nothing follows when it is so already.
///
/// # Errors
/// A name that is too long, or empty.
pub fn hand_over(
    now: Timestamp,
    actor: &Actor,
    kiosk: &KioskId,
    open: &[AssignmentRow],
    engineer: Option<&str>,
) -> Result<Vec<Change>, Refusal> {
    if engineer.is_some_and(|name| name.trim().is_empty() || name.chars().count() > MAX_NAME_CHARS) {
        let reason = format!("engineer: a name has 1 to {MAX_NAME_CHARS} characters; null: nobody");
        return Err(Refusal::new(RefusalKind::Invalid, "2.9", reason));
    }
    let mine = |row: &&AssignmentRow| {
        row.kiosk == *kiosk
            && row.group == GroupKind::Engineer
            && row.said.is_none()
            && row.to.is_none_or(|to| to > now)
    };
    let held: Vec<&AssignmentRow> = open.iter().filter(mine).collect();
    if held.iter().map(|row| row.group_id.as_str()).eq(engineer) && held.iter().all(|row| row.from <= now) {
        return Ok(Vec::new());
    }
    let before: Vec<&str> = held.iter().map(|row| row.group_id.as_str()).collect();
    let detail = serde_json::json!({ "before": before, "engineer": engineer });
    // Who comes and goes within a millisecond answered for nothing.
    let ended = held.iter().map(|row| AssignmentRow { to: Some(now.max(row.from)), ..(*row).clone() });
    let begun = engineer.map(|name| AssignmentRow {
        kiosk: kiosk.clone(),
        group: GroupKind::Engineer,
        group_id: name.to_owned(),
        from: now,
        to: None,
        said: None,
    });
    let mut changes: Vec<Change> = ended.chain(begun).map(Change::Assignment).collect();
    changes.push(Change::Audit(AuditRow {
        at: now,
        actor: actor.name.clone(),
        action: "assign_engineer".to_owned(),
        object: format!("kiosk/{kiosk}"),
        detail: detail.to_string(),
    }));
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(changes: &[Change]) -> Vec<(&str, i64, Option<i64>)> {
        let rows = changes.iter().filter_map(|change| match change {
            Change::Assignment(row) => Some(row),
            _ => None,
        });
        rows.map(|row| (row.group_id.as_str(), row.from.ms(), row.to.map(Timestamp::ms))).collect()
    }

    #[test]
    fn an_engineer_answers_for_a_kiosk_until_the_next_one_does() {
        let (kiosk, actor): (KioskId, _) = ("K-1".parse().unwrap(), Actor { name: "admin".into() });
        let say = |now, open: &[AssignmentRow], name| hand_over(Timestamp(now), &actor, &kiosk, open, name);
        let held = |changes: &[Change]| -> Vec<AssignmentRow> {
            let open = |change: &Change| match change {
                Change::Assignment(row) if row.to.is_none() => Some(row.clone()),
                _ => None,
            };
            changes.iter().filter_map(open).collect()
        };
        let first = say(5, &[], Some("li")).unwrap();
        assert_eq!(rows(&first), [("li", 5, None)]);
        assert_eq!(say(6, &held(&first), Some("li")).unwrap(), []);
        let second = say(7, &held(&first), Some("wang")).unwrap();
        assert_eq!(rows(&second), [("li", 5, Some(7)), ("wang", 7, None)]);
        let nobody = say(9, &held(&second), None).unwrap();
        assert_eq!(rows(&nobody), [("wang", 7, Some(9))]);
        assert_eq!(say(9, &[], None).unwrap(), []);
        // Named while the clock was ahead, named again once it is right.
        let ahead = say(900, &[], Some("li")).unwrap();
        let again = say(9, &held(&ahead), Some("li")).unwrap();
        assert_eq!(rows(&again), [("li", 900, Some(900)), ("li", 9, None)]);
        let audit = nobody.iter().find_map(|change| match change {
            Change::Audit(row) => Some(row),
            _ => None,
        });
        assert_eq!(audit.unwrap().detail, r#"{"before":["wang"],"engineer":null}"#);
    }

    #[test]
    fn of_another_kiosk_or_of_a_site_nothing_is_taken_away_and_a_name_must_be_one() {
        let (kiosk, actor): (KioskId, _) = ("K-1".parse().unwrap(), Actor { name: "admin".into() });
        let row = |kiosk: &str, group, name: &str| AssignmentRow {
            kiosk: kiosk.parse().unwrap(),
            group,
            group_id: name.into(),
            from: Timestamp(1),
            to: None,
            said: None,
        };
        let open = [row("K-2", GroupKind::Engineer, "li"), row("K-1", GroupKind::Site, "S-1")];
        assert_eq!(hand_over(Timestamp(5), &actor, &kiosk, &open, None).unwrap(), []);
        for name in ["", "  ", &"x".repeat(65)] {
            let refused = hand_over(Timestamp(5), &actor, &kiosk, &open, Some(name)).unwrap_err();
            assert!(refused.reason.contains("1 to 64"), "{}", refused.reason);
        }
    }
}
