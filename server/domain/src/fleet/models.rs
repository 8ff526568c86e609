//! Which model a kiosk is: another one holds from the moment in which somebody says so, and the time before it stays that
//! of the model it was.
//!
//! As with who answers for it ([`super::engineers`]): it matters for figures alone, so whoever asks brings what is stored.
use kioskwatch_proto::Timestamp;

use crate::{
    change::{AssignmentRow, Change, GroupKind, KioskRow},
    uptime::past::entered,
};

/// From when on a kiosk was its first model: always.
const ALWAYS: Timestamp = Timestamp(0);

/// Whoever registers a kiosk sees what was typed wrong when it is put up, and not later: no month that holds more of it is
/// signed by then.
const FIRST_DAY_MS: i64 = 86_400_000;

/// From now on a kiosk is of the model that `is` says. `noted`: its assignments that have not ended, or will begin.
/// `first`: since when it has ever counted; `None`: it never did. Nothing follows where it is so already, nor where it gets
/// the first model that anybody names, or another one within the first day that counts: that one it always was.
///
/// What is put right within the time that typing takes ([`entered`]) holds since what it puts right.
#[must_use]
pub fn remodel(
    now: Timestamp,
    (was, is): (&KioskRow, &KioskRow),
    first: Option<Timestamp>,
    noted: &[AssignmentRow],
) -> Vec<Change> {
    let row = |model: &str, from, to| {
        Change::Assignment(AssignmentRow {
            kiosk: is.id.clone(),
            group: GroupKind::Model,
            group_id: model.to_owned(),
            from,
            to,
            said: None,
        })
    };
    let held: Vec<&AssignmentRow> = noted
        .iter()
        .filter(|row| row.kiosk == is.id && row.group == GroupKind::Model && row.said.is_none())
        .filter(|row| row.to.is_none_or(|to| to > now))
        .collect();
    if held.is_empty() {
        // The months that are signed say by themselves which model they were of.
        let is_new = first.is_none_or(|first| now.since(first) < FIRST_DAY_MS);
        return match is_new || was.model.is_empty() || was.model == is.model {
            true => Vec::new(),
            false => vec![row(&was.model, ALWAYS, Some(now)), row(&is.model, now, None)],
        };
    }
    // A clock that was ahead noted some that are still to come: one that is so now, and nothing to come, is as it is said.
    if held.iter().map(|row| &row.group_id).eq([&is.model]) && held[0].from <= now {
        return Vec::new();
    }
    let is_typed = |from: Timestamp| from > ALWAYS && from >= entered(now);
    let begins = held.iter().map(|row| row.from).filter(|from| is_typed(*from)).min();
    let begins = begins.map_or(now, |typed| typed.min(now));
    let ended = held.iter().map(|row| AssignmentRow { to: Some(begins.max(row.from)), ..(*row).clone() });
    let ended = ended.filter(|row| (row.group_id.as_str(), row.from) != (is.model.as_str(), begins));
    ended.map(Change::Assignment).chain([row(&is.model, begins, None)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        change::Admission,
        interval::Interval,
        uptime::{booking::owners, corrections::held},
    };

    const DAY: i64 = 86_400_000;

    /// What is stored of the models of a kiosk that always counted after each of these was said.
    fn said(all: &[(i64, &str)]) -> (KioskRow, Vec<AssignmentRow>) {
        said_of(Some(Timestamp(0)), all)
    }

    fn said_of(first: Option<Timestamp>, all: &[(i64, &str)]) -> (KioskRow, Vec<AssignmentRow>) {
        let mut kiosk = KioskRow {
            id: "K-1".parse().unwrap(),
            site: None,
            admission: Admission::Accepted,
            model: all[0].1.to_owned(),
            serial_no: String::new(),
            commissioned_at: None,
            decommissioned_at: None,
            updated_at: Timestamp(0),
        };
        let mut stored: Vec<AssignmentRow> = Vec::new();
        for (now, model) in &all[1..] {
            let is = KioskRow { model: (*model).to_owned(), ..kiosk.clone() };
            for change in remodel(Timestamp(*now), (&kiosk, &is), first, &stored) {
                let Change::Assignment(row) = change else { panic!("no other rows") };
                stored.retain(|old| (&old.group_id, old.from) != (&row.group_id, row.from));
                stored.push(row);
            }
            kiosk = is;
        }
        (kiosk, stored)
    }

    fn told(all: &[(i64, &str)], until: i64) -> Vec<(String, i64, i64)> {
        let (kiosk, rows) = said(all);
        let held = held(&kiosk, &rows, GroupKind::Model, (Timestamp(0), Timestamp(until)));
        held.into_iter().map(|one| (one.id.unwrap_or_default(), one.from.ms(), one.to.ms())).collect()
    }

    fn is(all: &[(&str, i64, i64)]) -> Vec<(String, i64, i64)> {
        all.iter().map(|(model, from, to)| ((*model).to_owned(), *from, *to)).collect()
    }

    #[test]
    fn another_model_holds_from_when_it_is_said_and_the_first_one_since_ever() {
        assert_eq!(
            told(&[(0, ""), (DAY, "A")], 2 * DAY),
            is(&[("A", 0, 2 * DAY)]),
            "the first that anybody names"
        );
        assert!(said(&[(0, "A"), (DAY, "A")]).1.is_empty(), "the same again is nothing new");
        let changed = [(0, "A"), (DAY, "B"), (2 * DAY, "B"), (3 * DAY, ""), (4 * DAY, "A")];
        let expected = [("A", 0, DAY), ("B", DAY, 3 * DAY), ("", 3 * DAY, 4 * DAY), ("A", 4 * DAY, 5 * DAY)];
        assert_eq!(told(&changed, 5 * DAY), is(&expected));
    }

    #[test]
    fn a_model_put_right_on_the_first_day_that_counts_divides_nothing() {
        let [soon, never] = [Some(Timestamp(9 * DAY)), None];
        let typed = |at: i64| [(DAY, "A"), (at, "B")];
        for (first, at, is_divided, why) in [
            (soon, 2 * DAY, false, "it is to begin"),
            (soon, 9 * DAY + 1, false, "it began"),
            (soon, 10 * DAY - 1, false, "to the end of its first day"),
            (soon, 10 * DAY, true, "later it was the other one until then"),
            (never, 400 * DAY, false, "it never counted"),
        ] {
            let (kiosk, rows) = said_of(first, &typed(at));
            assert_eq!((kiosk.model.as_str(), !rows.is_empty()), ("B", is_divided), "{why}");
        }
    }

    #[test]
    fn a_model_put_right_while_it_is_typed_leaves_nothing_of_the_wrong_one() {
        let minute = 60_000;
        for (all, expected) in [
            (vec![(0, "A"), (DAY, "C"), (DAY + 5 * minute, "B")], vec![("A", 0, DAY), ("B", DAY, 2 * DAY)]),
            (vec![(0, "A"), (DAY, "C"), (DAY + minute, "A")], vec![("A", 0, 2 * DAY)]),
            (
                vec![(0, "A"), (DAY, "C"), (DAY + minute, "B"), (DAY + 2 * minute, "C")],
                vec![("A", 0, DAY), ("C", DAY, 2 * DAY)],
            ),
            (
                vec![(0, "A"), (DAY, "C"), (DAY + 6 * minute, "B")],
                vec![("A", 0, DAY), ("C", DAY, DAY + 6 * minute), ("B", DAY + 6 * minute, 2 * DAY)],
            ),
        ] {
            assert_eq!(told(&all, 2 * DAY), is(&expected), "{all:?}");
        }
    }

    #[test]
    fn what_is_said_now_holds_over_what_a_clock_noted_that_was_ahead() {
        let ahead = 400 * DAY;
        for (last, expected) in [
            ("C", vec![("A", 0, 2 * DAY), ("C", 2 * DAY, 500 * DAY)]),
            ("B", vec![("A", 0, 2 * DAY), ("B", 2 * DAY, 500 * DAY)]),
            ("A", vec![("A", 0, 500 * DAY)]),
        ] {
            assert_eq!(told(&[(0, "A"), (ahead, "B"), (2 * DAY, last)], 500 * DAY), is(&expected), "{last}");
        }
    }

    #[test]
    fn every_second_is_of_one_model() {
        let (kiosk, rows) = said(&[(0, "A"), (DAY, "B"), (2 * DAY, ""), (3 * DAY, "A")]);
        let all: Vec<&AssignmentRow> = rows.iter().collect();
        let within = Interval::new(0, 4 * 86_400);
        let shares = owners(&kiosk, &all);
        assert_eq!(shares.iter().map(|(_, set)| set.clip(within).length()).sum::<i64>(), within.length());
        assert_eq!(shares.len(), 3, "A, B and none: who comes back is the one it was");
    }
}
