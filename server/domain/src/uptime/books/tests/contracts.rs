//! To whom a month's shares belong, signed and restated.
use super::*;

#[test]
fn a_restated_month_belongs_to_whom_it_was_signed_for_whatever_is_registered_by_now() {
    let mut ledger = Ledger::contradicted();
    let now = ledger.end() + 80 * HOUR;
    // Before it was kept whom a site belonged to, it changed hands; and the kiosk got a new inside.
    (ledger.customers, ledger.model) = (vec![(0, "B")], "KT-2");
    ledger.look(now);
    // Somebody else answers for it than what was signed says.
    let other = |row: &&MonthRow| row.version == 0;
    let mut unsigned = ledger.rows.iter().find(other).unwrap().clone();
    unsigned.engineer = Some("wang".into());
    ledger.rows.push(unsigned);
    ledger.decide("manager", true, now).unwrap();
    let restated: Vec<_> = ledger.rows.iter().filter(|row| row.version == 2).collect();
    assert_eq!(
        restated.iter().map(|row| row.engineer.as_deref()).collect::<Vec<_>>(),
        [Some("li"), Some("wang")]
    );
    for row in restated {
        assert_eq!(
            (row.region.as_str(), row.customer.as_str(), row.model.as_str()),
            ("north", "A", "KT"),
            "{row:?}"
        );
    }
}

#[test]
fn a_month_in_which_a_site_changed_hands_is_shared_out_and_restated_to_whom_each_second_belonged() {
    let mut ledger = Ledger::october();
    let (end, tenth) = (ledger.end(), ledger.month.period(Shanghai).from + 10 * 24 * HOUR);
    ledger.customers.push((tenth, "B"));
    // Said after its end: no time of October is theirs.
    ledger.customers.push((end + HOUR, "C"));
    let shares = |ledger: &Ledger, version: u32| {
        let mut shares: Vec<_> = ledger.rows.iter().filter(|row| row.version == version).collect();
        shares.sort_by_key(|row| &row.customer);
        let share = |row: &&MonthRow| {
            (row.customer.clone(), row.sums.figures.accountable_s, row.sums.figures.avail.num)
        };
        shares.iter().map(share).collect::<Vec<_>>()
    };
    let divided =
        |up: i64| [("A".to_owned(), 10 * 24 * HOUR, 10 * 24 * HOUR), ("B".to_owned(), 21 * 24 * HOUR, up)];
    ledger.look(end + 24 * HOUR);
    assert_eq!(shares(&ledger, 0), divided((21 * 24 - 10) * HOUR));
    assert_eq!(shares(&ledger, 1), divided((21 * 24 - 10) * HOUR));
    ledger.claim(end - 10 * HOUR, end - 5 * HOUR, Some(end + 72 * HOUR));
    ledger.look(end + 72 * HOUR);
    ledger.decide("manager", true, end + 80 * HOUR).unwrap();
    assert_eq!(shares(&ledger, 2), divided((21 * 24 - 5) * HOUR));
}

#[test]
fn to_whom_an_old_month_was_signed_is_no_reason_to_restate_it() {
    let mut ledger = Ledger::october();
    let end = ledger.end();
    ledger.look(end + 24 * HOUR);
    // Registered otherwise before that was kept; and a claim that no report shows.
    ledger.customers = vec![(0, "B")];
    ledger.claim(end - 10 * HOUR, end - 10 * HOUR + 267, Some(end + 48 * HOUR));
    ledger.look(end + 48 * HOUR);
    assert_eq!(ledger.states(), []);
}

#[test]
fn an_undivided_month_has_the_fingerprint_that_older_servers_gave_it_and_a_divided_one_its_own() {
    let mut ledger = Ledger::contradicted();
    let print = |ledger: &Ledger| ledger.book(0, None, ledger.end() + 80 * HOUR).nothing.fingerprint;
    // By a server of schema 19: what was rejected there is known by this.
    assert_eq!(print(&ledger), "a631283257ab7d6546b037932d5eef55175704efafb684392ad55c543af4fe26");
    let start = ledger.month.period(Shanghai).from;
    ledger.customers = vec![(0, "B"), (ledger.end(), "C")];
    assert_eq!(print(&ledger), "a631283257ab7d6546b037932d5eef55175704efafb684392ad55c543af4fe26");
    let divided = [start + HOUR, start + 2 * HOUR].map(|since| {
        ledger.customers = vec![(0, "B"), (since, "C")];
        print(&ledger)
    });
    assert!(
        divided[0] != divided[1] && divided.iter().all(|one| !one.starts_with("a631283257ab")),
        "{divided:?}"
    );
}

#[test]
fn seconds_that_move_from_one_customer_of_a_site_to_the_next_are_restated_to_whom_they_belonged() {
    let day = 24 * HOUR;
    let mut ledger = Ledger::october();
    let (end, start) = (ledger.end(), ledger.month.period(Shanghai).from);
    ledger.customers.push((start + 14 * day, "B"));
    // Signed as if it had served the first of them only.
    ledger.decommissioned = Some(start + 10 * day);
    ledger.look(end + day);
    (ledger.commissioned, ledger.decommissioned) = (start + 19 * day, Some(start + 29 * day));
    ledger.look(end + 2 * day);
    assert_eq!(ledger.states(), [RestatementState::Proposed], "the same figures, and others whose they are");
    ledger.decide("manager", true, end + 2 * day).unwrap();
    let restated: Vec<_> = ledger.rows.iter().filter(|row| row.version == 2).collect();
    let shares: Vec<_> =
        restated.iter().map(|row| (row.customer.as_str(), row.sums.figures.accountable_s)).collect();
    assert_eq!(shares, [("B", 10 * day)]);
}

impl Ledger {
    /// Two people say to whom its site belonged from one second of its month to another.
    fn correct(&mut self, span: Interval, customer: &str, approved_at: i64) {
        let row = crate::uptime::contracts::tests::corrected("S-1", (span.from, span.to), customer);
        self.corrected.push((row, approved_at));
    }

    /// Accountable hours of each customer in a version.
    fn hours(&self, version: u32) -> Vec<(&str, i64)> {
        let rows = self.rows.iter().filter(|row| row.version == version && row.has_time());
        let mut hours: Vec<_> =
            rows.map(|row| (row.customer.as_str(), row.sums.figures.accountable_s / HOUR)).collect();
        hours.sort_unstable();
        hours
    }
}

#[test]
fn a_signed_month_that_two_people_move_whole_to_another_customer_is_restated_to_them_and_back() {
    let mut ledger = Ledger::october();
    let (end, month) = (ledger.end(), ledger.month.period(Shanghai));
    let all = month.length() / HOUR;
    ledger.look(end + 24 * HOUR);
    assert_eq!((ledger.hours(0), ledger.hours(1)), (vec![("A", all)], vec![("A", all)]));
    for (version, customer, hour) in [(2, "B", 30), (3, "A", 40)] {
        let now = end + hour * HOUR;
        ledger.correct(month, customer, now);
        ledger.look(now);
        assert_eq!(ledger.states().last(), Some(&RestatementState::Proposed), "the same figures, of another");
        assert!(ledger.restatements.last().unwrap().why.ends_with("this changed: owners"));
        assert_eq!(ledger.hours(0), [(customer, all)]);
        ledger.decide("manager", true, now + HOUR).unwrap();
        ledger.look(now + 2 * HOUR);
        assert_eq!(ledger.hours(version), [(customer, all)]);
        assert!(!ledger.states().contains(&RestatementState::Proposed), "nothing is left to say");
    }
    assert_eq!((ledger.hours(1), ledger.hours(2)), (vec![("A", all)], vec![("B", all)]));
}

#[test]
fn what_two_people_say_before_the_freeze_is_signed_and_what_they_say_later_is_not() {
    let mut ledger = Ledger::october();
    let (end, month) = (ledger.end(), ledger.month.period(Shanghai));
    let (all, day) = (month.length() / HOUR, 24 * HOUR);
    ledger.correct(Interval::new(month.from, month.from + 2 * day), "B", end + HOUR);
    ledger.correct(Interval::new(month.from + day, month.from + 3 * day), "C", end + 24 * HOUR);
    ledger.look(end + 25 * HOUR);
    assert_eq!(ledger.hours(1), [("A", all - 48), ("B", 48)]);
    assert_eq!(ledger.hours(0), [("A", all - 72), ("B", 24), ("C", 48)]);
    ledger.look(end + 26 * HOUR);
    assert_eq!(ledger.states(), [RestatementState::Proposed]);
    ledger.decide("manager", true, end + 27 * HOUR).unwrap();
    assert_eq!(ledger.hours(2), [("A", all - 72), ("B", 24), ("C", 48)]);
}

#[test]
fn of_an_old_month_that_was_signed_for_somebody_else_what_two_people_said_counts_and_what_was_signed_for_the_rest()
 {
    let mut ledger = Ledger::october();
    let (end, month) = (ledger.end(), ledger.month.period(Shanghai));
    let all = month.length() / HOUR;
    ledger.look(end + 24 * HOUR);
    // Registered otherwise before that was kept.
    ledger.customers = vec![(0, "Z")];
    ledger.correct(Interval::new(month.from, month.from + 48 * HOUR), "B", end + 30 * HOUR);
    ledger.look(end + 30 * HOUR);
    ledger.decide("manager", true, end + 31 * HOUR).unwrap();
    assert_eq!(ledger.hours(2), [("A", all - 48), ("B", 48)]);
}
