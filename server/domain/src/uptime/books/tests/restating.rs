//! What is proposed about a signed month, and who decides.
use super::*;

#[test]
fn a_difference_that_no_report_shows_is_not_proposed() {
    let mut ledger = Ledger::october();
    let end = ledger.end();
    ledger.look(end + 24 * HOUR);
    // 31 days have 2,678,400 s: a ten-thousandth is 267.84 s.
    ledger.claim(end - 10 * HOUR, end - 10 * HOUR + 267, Some(end + 48 * HOUR));
    ledger.look(end + 48 * HOUR);
    assert!(ledger.states().is_empty());
    ledger.claim(end - 10 * HOUR, end - 10 * HOUR + 268, Some(end + 48 * HOUR));
    ledger.look(end + 48 * HOUR);
    assert_eq!(ledger.states(), [RestatementState::Proposed]);
}

#[test]
fn later_evidence_takes_the_place_of_a_proposal_and_what_is_approved_is_what_was_shown() {
    let mut ledger = Ledger::contradicted();
    let end = ledger.end();
    let from = end - 5 * HOUR;
    ledger.claim(from, from + HOUR, Some(end + 80 * HOUR));
    let shown = ledger.restatements.clone();
    // Not looked at yet by the bookkeeper: what was shown is what is signed.
    ledger.decide("manager", true, end + 80 * HOUR).unwrap();
    assert_eq!(ledger.down(2), 5 * HOUR);
    // Later months are promised less; this one is not restated with it.
    ledger.promised = (95, 100);
    ledger.look(end + 81 * HOUR);
    assert_eq!(ledger.states(), [RestatementState::Approved, RestatementState::Proposed]);
    assert_eq!(ledger.restatements[1].base_version, 2);
    ledger.claim(from + HOUR, from + 2 * HOUR, Some(end + 90 * HOUR));
    ledger.look(end + 90 * HOUR);
    let last: Vec<_> = ledger.states();
    assert!(last.contains(&RestatementState::Superseded) && last.len() == 3, "{last:?}");
    ledger.decide("manager", true, end + 91 * HOUR).unwrap();
    assert_eq!([0, 1, 2, 3].map(|version| ledger.down(version) / HOUR), [3, 10, 5, 3]);
    let promised = |version| ledger.rows.iter().find(|row| row.version == version).unwrap().target;
    assert_eq!([0, 1, 2, 3].map(promised), [(95, 100), (99, 100), (99, 100), (99, 100)]);
    assert_eq!(shown[0].fingerprint, ledger.rows.iter().find(|row| row.version == 2).unwrap().fingerprint);
}

#[test]
fn an_older_proposal_is_not_approved_over_newer_evidence() {
    let mut ledger = Ledger::contradicted();
    let end = ledger.end();
    let shown = ledger.restatements[0].clone();
    ledger.claim(end - 5 * HOUR, end - 4 * HOUR, Some(end + 80 * HOUR));
    ledger.look(end + 80 * HOUR);
    let stored = Stored { rows: &ledger.rows, restatements: &ledger.restatements };
    let verdict = Verdict { approve: true, reason: "r".into() };
    let actor = Actor { name: "manager".into() };
    let known = (&stored, &ledger.contracts());
    let refused = decide(secs(end + 81 * HOUR), &TERMS, &actor, &shown, known, &verdict).unwrap_err();
    assert_eq!(refused.kind, RefusalKind::Conflict);
}

#[test]
fn who_is_measured_does_not_decide() {
    let mut ledger = Ledger::contradicted();
    let now = ledger.end() + 80 * HOUR;
    assert_eq!(ledger.decide("li", true, now).unwrap_err().kind, RefusalKind::Forbidden);
    assert_eq!(ledger.decide("li", false, now).unwrap_err().kind, RefusalKind::Forbidden);
    ledger.decide("manager", true, now).unwrap();
    assert_eq!(ledger.decide("manager", false, now).unwrap_err().kind, RefusalKind::Conflict, "decided");
}

#[test]
fn what_was_rejected_is_not_proposed_again_until_more_comes_in() {
    let mut ledger = Ledger::contradicted();
    let end = ledger.end();
    ledger.decide("manager", false, end + 80 * HOUR).unwrap();
    ledger.look(end + 81 * HOUR);
    assert_eq!(ledger.states(), [RestatementState::Rejected]);
    ledger.claim(end - 5 * HOUR, end - 4 * HOUR, Some(end + 90 * HOUR));
    ledger.look(end + 90 * HOUR);
    assert_eq!(ledger.states(), [RestatementState::Rejected, RestatementState::Proposed]);
}

#[test]
fn a_proposal_that_lost_its_ground_is_taken_back_and_one_that_nobody_decided_expires() {
    let mut ledger = Ledger::contradicted();
    let end = ledger.end();
    let late = ledger.evidence.pop().unwrap();
    ledger.look(end + 80 * HOUR);
    assert_eq!(ledger.states(), [RestatementState::Superseded]);
    ledger.evidence.push(late);
    ledger.look(end + 81 * HOUR);
    let closed = end + 35 * 24 * HOUR;
    assert_eq!(ledger.decide("manager", true, closed).unwrap_err().kind, RefusalKind::Conflict);
    ledger.look(closed);
    assert_eq!(ledger.states(), [RestatementState::Superseded, RestatementState::Expired]);
    ledger.look(closed + HOUR);
    assert_eq!(ledger.states().len(), 2, "the days for it are over");
}

#[test]
fn a_month_that_moves_to_another_engineer_is_proposed_although_the_kiosk_did_the_same() {
    let mut ledger = Ledger::october();
    let end = ledger.end();
    ledger.look(end + 24 * HOUR);
    ledger.engineer = "wang";
    ledger.look(end + 48 * HOUR);
    assert_eq!(ledger.states(), [RestatementState::Proposed]);
    let emptied = ledger.rows.iter().filter(|row| row.version == 0 && row.engineer.as_deref() == Some("li"));
    assert!(emptied.into_iter().all(|row| row.sums == MonthSums::default()), "nobody is counted twice");
    assert_eq!(ledger.down(0), ledger.down(1));
    for measured in ["li", "wang"] {
        assert_eq!(ledger.decide(measured, true, end + 49 * HOUR).unwrap_err().kind, RefusalKind::Forbidden);
    }
    ledger.decide("manager", true, end + 49 * HOUR).unwrap();
    let signed: Vec<_> = ledger.rows.iter().filter(|row| row.version == 2).collect();
    assert_eq!((signed.len(), signed[0].engineer.as_deref()), (1, Some("wang")));
}

/// Two people put right who answered for it, or when it had to work: nobody's ratio moves, and every group's does.
#[test]
fn seconds_that_go_from_one_share_to_another_are_proposed_although_no_ratio_moved() {
    let mut ledger = Ledger::october();
    ledger.claim(ledger.end() - 10 * HOUR, ledger.end(), None);
    ledger.look(ledger.end() + 24 * HOUR);
    let signed: Vec<MonthRow> = ledger.rows.iter().filter(|row| row.version == 1).cloned().collect();
    let share = |engineer: &str, days: i64| {
        let mut row = signed[0].clone();
        let all = crate::uptime::Ratio::new(days * 24 * HOUR, days * 24 * HOUR);
        row.engineer = Some(engineer.into());
        row.sums.figures =
            Figures { accountable_s: all.den, on: all, avail: all, full: all, ..Figures::default() };
        row
    };
    let material = |before: [i64; 2], after: [i64; 2]| {
        let rows = |[li, wang]: [i64; 2]| [share("li", li), share("wang", wang)];
        is_material(&rows(before).iter().collect::<Vec<_>>(), &rows(after))
    };
    assert!(material([28, 3], [26, 5]), "two days of one become the other's");
    assert!(material([14, 14], [7, 14]), "half the hours of one");
    assert!(!material([28, 3], [28, 3]));
}

/// A diagnosis of the line, and no figure that anybody answers for: it stays as it was signed.
#[test]
fn reachability_is_not_restated_while_the_time_it_is_of_is_the_same() {
    let mut ledger = Ledger::october();
    let end = ledger.end();
    ledger.look(end + 24 * HOUR);
    ledger.evidence.push(Evidence { src: Source::Live, ..ledger.evidence[0] });
    ledger.claim(end - 10 * HOUR, end, Some(end + 30 * HOUR));
    ledger.look(end + 31 * HOUR);
    ledger.decide("manager", true, end + 32 * HOUR).unwrap();
    let of = |version| ledger.rows.iter().find(|row| row.version == version).unwrap().sums.figures.clone();
    assert_ne!(of(0).online, of(1).online, "by now it is known otherwise");
    assert_eq!((of(2).online, of(2).avail), (of(1).online, of(0).avail));
    // Of other time it is another one.
    ledger.exclusions = IntervalSet::of(crate::interval::Interval::new(end - 9 * HOUR, end));
    ledger.look(end + 50 * HOUR);
    ledger.decide("manager", true, end + 51 * HOUR).unwrap();
    let of = |version| ledger.rows.iter().find(|row| row.version == version).unwrap().sums.figures.clone();
    assert_eq!(of(3).online, of(0).online);
}

#[test]
fn a_signed_month_that_became_empty_can_be_restated_to_nothing() {
    let mut ledger = Ledger::october();
    let end = ledger.end();
    ledger.look(end + 24 * HOUR);
    ledger.commissioned = end;
    ledger.look(end + 48 * HOUR);
    assert_eq!(ledger.states(), [RestatementState::Proposed]);
    ledger.decide("manager", true, end + 49 * HOUR).unwrap();
    let approved: Vec<_> = ledger.rows.iter().filter(|row| row.version == 2).collect();
    assert_eq!((approved.len(), &approved[0].sums), (1, &MonthSums::default()));
    assert_eq!(ledger.look(end + 50 * HOUR), []);
}

#[test]
fn an_owner_who_lost_all_its_time_does_not_stand_in_the_way_of_an_approval() {
    let mut ledger = Ledger::october();
    let end = ledger.end();
    ledger.look(end + 24 * HOUR);
    ledger.engineer = "wang";
    ledger.look(end + 48 * HOUR);
    ledger.claim(end - 10 * HOUR, end - 5 * HOUR, Some(end + 50 * HOUR));
    ledger.look(end + 51 * HOUR);
    ledger.decide("manager", true, end + 52 * HOUR).unwrap();
    assert_eq!(ledger.down(2), 5 * HOUR);
}
