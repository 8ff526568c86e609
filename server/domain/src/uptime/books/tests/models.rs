//! Which model a month's shares are of, signed and restated.
use super::*;

impl Ledger {
    /// Another one since a second, as it is noted when it happens.
    fn another(&mut self, model: &str, since: i64) {
        match self.models.iter_mut().find(|row| row.to.is_none()) {
            Some(open) => open.to = Some(secs(since)),
            None => self.models.push(self.was(self.model, (0, Some(since)), None)),
        }
        self.models.push(self.was(model, (since, None), None));
    }

    /// Two people say which one it was from one second to another.
    fn correct_model(&mut self, span: Interval, model: &str, approved_at: i64) {
        self.models.push(self.was(model, (span.from, Some(span.to)), Some(approved_at)));
    }

    fn was(&self, model: &str, (from, to): (i64, Option<i64>), said: Option<i64>) -> AssignmentRow {
        AssignmentRow {
            kiosk: KioskId::new("K-1").unwrap(),
            group: GroupKind::Model,
            group_id: model.into(),
            from: secs(from),
            to: to.map(secs),
            said: said.map(secs),
        }
    }

    /// Accountable hours of each model in a version.
    fn of_models(&self, version: u32) -> Vec<(&str, i64)> {
        let rows = self.rows.iter().filter(|row| row.version == version && row.has_time());
        let mut hours: Vec<_> =
            rows.map(|row| (row.model.as_str(), row.sums.figures.accountable_s / HOUR)).collect();
        hours.sort_unstable();
        hours
    }
}

#[test]
fn a_month_in_which_the_model_changed_is_divided_and_those_before_and_behind_it_are_not() {
    let mut ledger = Ledger::october();
    let (end, month) = (ledger.end(), ledger.month.period(Shanghai));
    let all = month.length() / HOUR;
    ledger.another("KT-2", month.from + 100 * HOUR);
    // Said after its end: no time of October is of this one.
    ledger.another("KT-3", end + HOUR);
    ledger.look(end + 24 * HOUR);
    let shares = [("KT", 100), ("KT-2", all - 100)];
    assert_eq!((ledger.of_models(0), ledger.of_models(1)), (shares.to_vec(), shares.to_vec()));
    ledger.claim(end - 10 * HOUR, end - 5 * HOUR, Some(end + 72 * HOUR));
    ledger.look(end + 72 * HOUR);
    ledger.decide("manager", true, end + 80 * HOUR).unwrap();
    assert_eq!(ledger.of_models(2), shares);
}

#[test]
fn another_model_after_a_month_is_no_reason_to_restate_it_nor_is_its_first_name() {
    for named in ["KT", ""] {
        let mut ledger = Ledger { model: named, ..Ledger::october() };
        let (end, all) = (ledger.end(), ledger.month.period(Shanghai).length() / HOUR);
        ledger.look(end + 24 * HOUR);
        match named {
            "" => ledger.model = "KT-2",
            _ => ledger.another("KT-2", end + 30 * HOUR),
        }
        ledger.look(end + 30 * HOUR);
        assert_eq!(ledger.states(), []);
        // And where something else is one, the model stays.
        ledger.claim(end - 10 * HOUR, end - 5 * HOUR, Some(end + 48 * HOUR));
        ledger.look(end + 48 * HOUR);
        ledger.decide("manager", true, end + 50 * HOUR).unwrap();
        assert_eq!(ledger.of_models(2), [(named, all)]);
    }
}

#[test]
fn a_signed_month_of_which_two_people_say_another_model_is_restated_to_it_and_back() {
    let mut ledger = Ledger::october();
    let (end, month) = (ledger.end(), ledger.month.period(Shanghai));
    let all = month.length() / HOUR;
    ledger.look(end + 24 * HOUR);
    for (version, model, hour) in [(2, "KT-2", 30), (3, "KT", 40)] {
        let now = end + hour * HOUR;
        ledger.correct_model(month, model, now);
        ledger.look(now);
        assert_eq!(ledger.states().last(), Some(&RestatementState::Proposed), "the same figures, of another");
        assert!(ledger.restatements.last().unwrap().why.ends_with("this changed: models"));
        ledger.decide("manager", true, now + HOUR).unwrap();
        ledger.look(now + 2 * HOUR);
        assert_eq!(ledger.of_models(version), [(model, all)]);
        assert!(!ledger.states().contains(&RestatementState::Proposed), "nothing is left to say");
    }
    assert_eq!((ledger.of_models(1), ledger.of_models(2)), (vec![("KT", all)], vec![("KT-2", all)]));
}

#[test]
fn what_two_people_say_of_a_model_before_the_freeze_is_signed_and_what_they_say_later_is_not() {
    let mut ledger = Ledger::october();
    let (end, month) = (ledger.end(), ledger.month.period(Shanghai));
    let (all, day) = (month.length() / HOUR, 24 * HOUR);
    ledger.correct_model(Interval::new(month.from, month.from + 2 * day), "B", end + HOUR);
    ledger.correct_model(Interval::new(month.from + day, month.from + 3 * day), "C", end + 24 * HOUR);
    ledger.look(end + 25 * HOUR);
    assert_eq!(ledger.of_models(1), [("B", 48), ("KT", all - 48)]);
    assert_eq!(ledger.of_models(0), [("B", 24), ("C", 48), ("KT", all - 72)]);
}

#[test]
fn what_two_people_said_while_the_clock_was_ahead_does_not_hold_over_what_they_say_since() {
    let mut ledger = Ledger::october();
    let (end, month) = (ledger.end(), ledger.month.period(Shanghai));
    let all = month.length() / HOUR;
    ledger.correct_model(month, "B", end + 9_000 * HOUR);
    ledger.correct_model(month, "C", end + 2 * HOUR);
    ledger.look(end + 24 * HOUR);
    // One is signed by what was known by then, the other is what stands behind it.
    assert_eq!((ledger.of_models(1), ledger.of_models(0)), (vec![("C", all)], vec![("C", all)]));
    let later = ledger.book(0, Some(end + 9_001 * HOUR), end + 9_002 * HOUR).rows;
    assert_eq!(
        later.iter().map(|row| row.model.as_str()).collect::<Vec<_>>(),
        ["C"],
        "nothing old comes back"
    );
}
