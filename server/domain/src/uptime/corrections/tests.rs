use std::collections::BTreeSet;

use super::*;
use crate::change::{AssignmentRow, GroupKind, KioskRow};
use crate::fleet::hand_over;
use crate::uptime::books::Verdict;
use crate::uptime::contracts::Renamed;

const DAY: i64 = 86_400_000;
const NOW: Timestamp = Timestamp(1_795_248_000_000);
const NOTICE_S: i64 = 24 * 3_600;

mod owners;

fn at(days: i64) -> Timestamp {
    NOW.plus_ms(days * DAY)
}

fn actor(name: &str) -> Actor {
    Actor { name: name.into() }
}

fn exclusion(class: &str, agreed_at: Option<Timestamp>) -> Correction {
    let kiosk = Some("K-1".parse().unwrap());
    Correction::Exclusion { kiosk, site: None, class: class.into(), agreed_at }
}

fn ask(what: Correction, from: i64, to: i64, reason: &str) -> Result<CorrectionRow, Refusal> {
    let counted = match &what {
        Correction::Commissioning { before, .. } => before.clone(),
        _ => Commissioned::default(),
    };
    let wanted = Wanted { what, from: at(from), to: at(to), reason: reason.into() };
    let around = Circumstances {
        now: NOW,
        planned_notice_s: NOTICE_S,
        zone: chrono_tz::Asia::Shanghai,
        calendar: &WorkCalendar::default(),
        site: None,
        counted: Some(&counted),
        exclusion: None,
    };
    request(&around, &actor("li"), Uuid::nil(), &wanted)
}

fn hours(before: &str, after: &str) -> Correction {
    let (before, after) = (before.into(), after.into());
    Correction::ServiceHours { site: "S-1".parse().unwrap(), before, after }
}

#[test]
fn a_correction_that_cannot_be_is_refused_with_a_sentence() {
    let force = || exclusion("force_majeure", None);
    for (asked, says) in [
        (ask(force(), -1, -2, "flood"), "must end later"),
        (ask(force(), -1, -1, "flood"), "must end later"),
        (ask(hours("", "[]"), -1, 1, "flood"), "has not been yet"),
        (ask(force(), -1, 401, "flood"), "more than 400 days ahead"),
        (ask(exclusion("planned", Some(at(-3))), 2, 3, "r"), "when somebody else approves it"),
        (ask(exclusion("planned", None), 0, 1, "r"), "needs agreed_at"),
        (ask(force(), -401, -1, "flood"), "more than 400 days ago"),
        (ask(force(), -2, -1, "  "), "a reason has 1 to"),
        (ask(exclusion("holiday", None), -2, -1, "r"), "none of planned, site_closed"),
        (ask(exclusion("planned", None), -2, -1, "r"), "needs agreed_at"),
        (ask(exclusion("planned", Some(at(-2))), -2, -1, "r"), "at least 24 h before"),
        (ask(exclusion("force_majeure", Some(at(-9))), -2, -1, "r"), "belongs to planned"),
        (ask(hours("", r#"[{"weekly":{"mon":[["25:00","26:00"]]}}]"#), -2, -1, "r"), "service_hours"),
        (ask(hours("[]", " [] "), -2, -1, "r"), "already"),
    ] {
        let refused = asked.unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Invalid);
        assert!(refused.reason.contains(says), "{says}: {}", refused.reason);
    }
    ask(exclusion("planned", Some(at(-3))), -2, -1, "agreed by telephone").unwrap();
}

#[test]
fn somebody_else_decides_once_and_forgotten_maintenance_counts_from_its_agreement() {
    let row = ask(exclusion("planned", Some(at(-9))), -2, -1, "forgotten").unwrap();
    let verdict = |approve| Verdict { approve, reason: "seen the mail".into() };
    let say = |row: &CorrectionRow, by: &str, approve| {
        let engineers = BTreeSet::from(["wang".to_owned()]);
        decide((NOW, NOTICE_S), &actor(by), (row, &engineers), &verdict(approve), r#"{"2026-10":{}}"#.into())
    };
    for (by, says) in [("li", "you asked for it"), ("wang", "these figures measure you")] {
        let refused = say(&row, by, true).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Forbidden);
        assert!(refused.reason.contains(says), "{}", refused.reason);
    }
    let (changes, consequence) = say(&row, "zhao", true).unwrap();
    let Some(Consequence::Exclusion(exclusion)) = consequence else { panic!("{consequence:?}") };
    assert_eq!((exclusion.approved_at, exclusion.approved_by.as_deref()), (Some(NOW), Some("zhao")));
    assert_eq!(exclusion.agreed_at, Some(at(-9)));
    assert_eq!((exclusion.requested_by.as_str(), exclusion.from, exclusion.to), ("li", at(-2), at(-1)));
    let [Change::Correction(decided), Change::Audit(audit)] = changes.as_slice() else {
        panic!("{changes:?}")
    };
    assert_eq!(decided.state, CorrectionState::Approved);
    for part in ["li", "forgotten", "seen the mail", "2026-10"] {
        assert!(audit.detail.contains(part), "{part}: {}", audit.detail);
    }
    assert_eq!(say(decided, "qian", false).unwrap_err().kind, RefusalKind::Conflict);
    let (_, nothing) = say(&row, "zhao", false).unwrap();
    assert_eq!(nothing, None);
}

/// Where nothing is known of the site or of the kiosk's dates.
fn in_shanghai(calendar: &WorkCalendar) -> Circumstances<'_> {
    Circumstances {
        now: NOW,
        planned_notice_s: NOTICE_S,
        zone: chrono_tz::Asia::Shanghai,
        calendar,
        site: None,
        counted: None,
        exclusion: None,
    }
}

/// `NOW` is 2026-11-21 16:00 in Shanghai, a Saturday.
#[test]
fn wrong_hours_are_corrected_from_one_day_to_another_and_nowhere_else() {
    let days = |opens: &str| {
        let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let all: Vec<_> = names.iter().map(|day| format!(r#""{day}":[["{opens}","20:00"]]"#)).collect();
        format!("{{{}}}", all.join(","))
    };
    let from = |date: &str, opens: &str| format!(r#"{{"effective_from":"{date}","weekly":{}}}"#, days(opens));
    let was = format!(r#"[{{"weekly":{}}}]"#, days("08:00"));
    let all_of = |versions: &[String]| format!(r#"[{{"weekly":{}}},{}]"#, days("08:00"), versions.join(","));
    // Three local days: 16 hours before NOW ends the third.
    let asked = |after: &str| {
        let (to, from) = (NOW.plus_ms(-16 * 3_600_000), NOW.plus_ms(-16 * 3_600_000 - 3 * DAY));
        let calendar = WorkCalendar::default();
        let around = in_shanghai(&calendar);
        let wanted = Wanted { what: hours(&was, after), from, to, reason: "typed wrongly".into() };
        request(&around, &actor("li"), Uuid::nil(), &wanted).map_err(|refusal| refusal.reason)
    };
    asked(&all_of(&[from("2026-11-18", "10:00"), from("2026-11-21", "08:00")])).unwrap();
    for (after, says) in [
        (all_of(&[from("2026-11-17", "10:00"), from("2026-11-21", "08:00")]), "at 2026-11-17 08:00:00"),
        (all_of(&[from("2026-11-18", "10:00")]), "at 2026-11-21 08:00:00"),
        (all_of(&[from("2026-11-18", "10:00"), from("2026-11-21", "07:00")]), "was closed and would be open"),
        (all_of(&[from("2027-05-01", "10:00")]), "at 2027-05-01 08:00:00"),
        (String::new(), "would be open"),
        (was.replace(",\"", ",\n  \""), "nothing would change"),
    ] {
        let refused = asked(&after).unwrap_err();
        assert!(refused.contains(says), "{says}: {refused}");
    }
}

#[test]
fn a_correction_measures_who_answered_for_its_kiosks_in_its_time() {
    use crate::change::{Admission, GroupKind};
    let kiosk = |id: &str| KioskRow {
        id: id.parse().unwrap(),
        site: Some("S-2".parse().unwrap()),
        admission: Admission::Accepted,
        model: String::new(),
        serial_no: String::new(),
        commissioned_at: Some(at(-100)),
        decommissioned_at: None,
        updated_at: at(-100),
    };
    let row = |kiosk: &str, group, id: &str, from, to: Option<i64>| AssignmentRow {
        kiosk: kiosk.parse().unwrap(),
        group,
        group_id: id.into(),
        from: at(from),
        to: to.map(at),
        said: None,
    };
    let kiosks = [kiosk("K-1"), kiosk("K-2")];
    let assignments = [
        row("K-1", GroupKind::Site, "S-1", -50, Some(-10)),
        row("K-1", GroupKind::Site, "S-2", -10, None),
        row("K-1", GroupKind::Engineer, "li", -50, Some(-20)),
        row("K-1", GroupKind::Engineer, "wang", -20, None),
        row("K-2", GroupKind::Engineer, "chen", -50, None),
    ];
    let of = |what, from, to| {
        let asked = ask(what, from, to, "r").unwrap();
        engineers(&asked, moves(&asked, NOW), &kiosks, &assignments).into_iter().collect::<Vec<_>>()
    };
    let own = || exclusion("force_majeure", None);
    let at_site = |site: &str| {
        let site = Some(site.parse().unwrap());
        Correction::Exclusion { kiosk: None, site, class: "site_closed".into(), agreed_at: None }
    };
    assert_eq!(of(own(), -40, -30), ["li"]);
    assert_eq!(of(own(), -30, -15), ["li", "wang"]);
    assert_eq!(of(own(), -60, -55), [""; 0]);
    assert_eq!(of(at_site("S-1"), -15, -5), ["wang"]);
    assert_eq!(of(at_site("S-2"), -15, -12), ["chen"]);
    assert_eq!(of(at_site("S-2"), -15, -5), ["chen", "wang"]);
}

#[test]
fn maintenance_to_come_is_approved_in_time_or_not_at_all_and_its_overrun_stays_ours() {
    use crate::uptime::exclusion::{Exclusion, granted};
    let beginning = at(2);
    let row = ask(exclusion("planned", None), 2, 3, "new printers").unwrap();
    let nobody = BTreeSet::new();
    let say = |now: Timestamp, approve| {
        let verdict = Verdict { approve, reason: "agreed with the customer".into() };
        decide((now, NOTICE_S), &actor("zhao"), (&row, &nobody), &verdict, "{}".into())
    };
    let hour = 3_600_000;
    for (hours_ahead, in_time) in [(25, true), (24, true), (23, false)] {
        let now = beginning.plus_ms(-hours_ahead * hour);
        let decided = say(now, true);
        assert_eq!(decided.is_ok(), in_time, "{hours_ahead} h ahead");
        match decided {
            Ok((_, Some(Consequence::Exclusion(row)))) => {
                assert_eq!((row.approved_at, row.agreed_at), (Some(now), None));
                let known = [Exclusion::of_row(&row).unwrap()];
                let forgiven = granted(&known, NOTICE_S);
                assert_eq!(forgiven.intervals(), [Interval::new(beginning.secs(), at(3).secs())]);
            }
            Ok(other) => panic!("{other:?}"),
            Err(refused) => {
                assert_eq!(refused.kind, RefusalKind::Conflict);
                assert!(refused.reason.contains("at least 24 h before it begins"), "{}", refused.reason);
            }
        }
    }
    say(at(4), false).unwrap();
    // Too late to be asked for; other classes are facts, whenever they are known.
    let late = Wanted {
        what: exclusion("planned", None),
        from: NOW.plus_ms(23 * hour),
        to: at(2),
        reason: "r".into(),
    };
    let calendar = WorkCalendar::default();
    let around = in_shanghai(&calendar);
    let refused = request(&around, &actor("li"), Uuid::nil(), &late).unwrap_err();
    assert!(refused.reason.contains("too late"), "{}", refused.reason);
    let known = Wanted { what: exclusion("customer_power", None), ..late };
    request(&around, &actor("li"), Uuid::nil(), &known).unwrap();
}

#[test]
fn dates_are_corrected_over_exactly_what_they_move() {
    let dates = |from: Option<i64>, to: Option<i64>| ServiceSpan {
        commissioned_at: from.map(at),
        decommissioned_at: to.map(at),
    };
    let wanted = |before, after| {
        let before = Commissioned::of([before]);
        Correction::Commissioning { kiosk: "K-1".parse().unwrap(), before, after }
    };
    let row = ask(wanted(dates(Some(-20), None), dates(Some(-10), Some(5))), 0, 0, "r").unwrap();
    assert_eq!((row.from, row.to), (at(-20), at(-10)));
    let row = ask(wanted(dates(Some(-20), Some(-5)), dates(Some(-20), None)), 0, 0, "r").unwrap();
    assert_eq!((row.from, row.to), (at(-5), NOW));
    for (after, says) in [
        (dates(None, None), "from when on"),
        (dates(Some(-20), Some(-30)), "lies before commissioned_at"),
        (dates(Some(-20), Some(9)), "without a correction"),
    ] {
        let refused = ask(wanted(dates(Some(-20), None), after), 0, 0, "r").unwrap_err();
        assert!(refused.reason.contains(says), "{says}: {}", refused.reason);
    }
}

#[test]
fn a_correction_may_begin_with_the_first_second_it_reaches_back_to() {
    let first = Timestamp(past::reach(NOW).from * 1_000);
    let dates = |from: i64| ServiceSpan { commissioned_at: Some(at(from)), decommissioned_at: None };
    let calendar = WorkCalendar::default();
    for late in [0, 1, 999] {
        let known = Commissioned::of([dates(-20)]);
        let around =
            Circumstances { now: NOW.plus_ms(late), counted: Some(&known), ..in_shanghai(&calendar) };
        let what = Correction::Commissioning {
            kiosk: "K-1".parse().unwrap(),
            before: known.clone(),
            after: dates(-2_500),
        };
        let (from, to) = Wanted::WHAT_IT_MOVES;
        let wanted = Wanted { what, from, to, reason: "it stood there for years".into() };
        let row = request(&around, &actor("li"), Uuid::nil(), &wanted).unwrap();
        assert_eq!((row.from, row.to), (first, at(-20)));
        let what = exclusion("force_majeure", None);
        let flood = |from| Wanted { what: what.clone(), from, to: at(-20), reason: "flood".into() };
        request(&around, &actor("li"), Uuid::nil(), &flood(first)).unwrap();
        let refused =
            request(&around, &actor("li"), Uuid::nil(), &flood(first.plus_ms(-1))).unwrap_err().reason;
        assert!(refused.contains("more than 400 days ago"), "{refused}");
    }
}

#[test]
fn whoever_answered_for_time_that_passed_since_a_request_is_measured_by_it_too() {
    use crate::change::{Admission, GroupKind};
    let dates = |from: i64, to: Option<i64>| ServiceSpan {
        commissioned_at: Some(at(from)),
        decommissioned_at: to.map(at),
    };
    let kiosk = KioskRow {
        id: "K-1".parse().unwrap(),
        site: Some("S-1".parse().unwrap()),
        admission: Admission::Accepted,
        model: String::new(),
        serial_no: String::new(),
        commissioned_at: Some(at(-100)),
        decommissioned_at: Some(at(-5)),
        updated_at: at(-100),
    };
    let since = AssignmentRow {
        kiosk: "K-1".parse().unwrap(),
        group: GroupKind::Engineer,
        group_id: "chen".into(),
        from: at(1),
        to: None,
        said: None,
    };
    let asked = |before: ServiceSpan, after| {
        let before = Commissioned::of([before]);
        let what = Correction::Commissioning { kiosk: "K-1".parse().unwrap(), before, after };
        ask(what, 0, 0, "r").unwrap()
    };
    let zone = CorrectionRow {
        what: Correction::Timezone {
            site: "S-1".parse().unwrap(),
            before: "Asia/Shanghai".into(),
            after: "Asia/Tokyo".into(),
        },
        ..asked(dates(-20, Some(-5)), dates(-20, None))
    };
    let (was_away, was_late) = (dates(-20, Some(-5)), dates(-20, None));
    for (row, to, is_measured) in [
        (asked(was_away, dates(-20, None)), at(3), true),
        (asked(was_away, dates(-20, Some(2))), at(2), true),
        // What it moves was over when it was asked for.
        (asked(was_away, dates(-20, Some(-3))), at(-3), false),
        (asked(was_late, dates(-10, None)), at(-10), false),
        (zone, at(3), true),
    ] {
        let span = moves(&row, at(3));
        assert_eq!(span, (row.from, to), "{row:?}");
        let engineers = engineers(&row, span, std::slice::from_ref(&kiosk), std::slice::from_ref(&since));
        assert_eq!(engineers.contains("chen"), is_measured, "{row:?}");
        let verdict = Verdict { approve: true, reason: "saw the delivery note".into() };
        let approver = actor("chen");
        let decided = decide((at(3), NOTICE_S), &approver, (&row, &engineers), &verdict, "{}".into());
        assert_eq!(decided.is_err(), is_measured, "{row:?}");
        let decided =
            decide((at(3), NOTICE_S), &actor("zhao"), (&row, &engineers), &verdict, "{}".into()).unwrap();
        let audited = decided.0.iter().find_map(|change| match change {
            Change::Audit(row) => Some(serde_json::from_str::<serde_json::Value>(&row.detail).unwrap()),
            _ => None,
        });
        assert_eq!(audited.unwrap()["to"], serde_json::json!(to), "{row:?}");
    }
}

#[test]
fn dates_of_an_old_stretch_move_nothing_of_the_one_that_runs() {
    let dates = |from: i64, to: Option<i64>| ServiceSpan {
        commissioned_at: Some(at(from)),
        decommissioned_at: to.map(at),
    };
    let known = Commissioned::of([dates(-100, Some(-50)), dates(-20, None)]);
    let after = dates(-100, Some(-60));
    let what =
        Correction::Commissioning { kiosk: "K-1".parse().unwrap(), before: known.replaced_by(after), after };
    let calendar = WorkCalendar::default();
    let around = Circumstances { counted: Some(&known), ..in_shanghai(&calendar) };
    let (from, to) = Wanted::WHAT_IT_MOVES;
    let wanted = Wanted { what, from, to, reason: "it had left earlier".into() };
    let row = request(&around, &actor("li"), Uuid::nil(), &wanted).unwrap();
    assert_eq!((row.from, row.to), (at(-60), at(-50)));
    assert_eq!(
        moves(&row, at(3)),
        (at(-60), at(-50)),
        "whoever answers for it by now is measured by nothing of it"
    );
}

fn flood() -> ExclusionRow {
    ExclusionRow {
        id: Uuid::from_u128(7),
        kiosk: Some("K-1".parse().unwrap()),
        site: None,
        class: "force_majeure".into(),
        from: at(-9),
        to: at(-8),
        requested_by: "wu".into(),
        approved_by: Some("zhao".into()),
        approved_at: Some(at(-7)),
        agreed_at: None,
        withdrawn: None,
        reason: "flood".into(),
    }
}

fn withdraw(known: &ExclusionRow) -> Result<CorrectionRow, Refusal> {
    let ExclusionRow { id: exclusion, kiosk, site, class, .. } = known.clone();
    let what = Correction::Withdrawal { exclusion, kiosk, site, class };
    let calendar = WorkCalendar::default();
    let around = Circumstances { exclusion: Some(known), ..in_shanghai(&calendar) };
    let (from, to) = Wanted::WHAT_IT_MOVES;
    let wanted = Wanted { what, from, to, reason: "the cellar was dry".into() };
    request(&around, &actor("li"), Uuid::from_u128(8), &wanted)
}

#[test]
fn an_approved_exclusion_is_taken_back_by_two_people_once() {
    let withdrawn = Some(Withdrawn { by: "zhao".into(), at: at(-1) });
    for (refused, says) in [
        (ExclusionRow { approved_by: None, approved_at: None, ..flood() }, "nobody approved it"),
        (ExclusionRow { withdrawn, ..flood() }, "it was taken back already: zhao agreed at"),
        (ExclusionRow { from: at(-401), ..flood() }, "more than 400 days ago"),
    ] {
        let refused = withdraw(&refused).unwrap_err();
        assert!(refused.reason.contains(says), "{says}: {}", refused.reason);
    }
    let to_come = ExclusionRow { from: at(-1), to: at(9), ..flood() };
    let row = withdraw(&to_come).unwrap();
    assert_eq!((row.from, row.to, moves(&row, at(3))), (at(-1), at(9), (at(-1), at(9))));

    let row = withdraw(&flood()).unwrap();
    assert_eq!((row.from, row.to), (at(-9), at(-8)), "it is about the time that was forgiven");
    let engineers = BTreeSet::from(["wang".to_owned()]);
    let say = |by: &str, approve| {
        let verdict = Verdict { approve, reason: "asked the caretaker".into() };
        decide((NOW, NOTICE_S), &actor(by), (&row, &engineers), &verdict, "{}".into())
    };
    for (by, says) in [("li", "you asked for it"), ("wang", "these figures measure you")] {
        let refused = say(by, true).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Forbidden);
        assert!(refused.reason.contains(says), "{}", refused.reason);
    }
    // Whoever approved it may also say that it was wrong.
    let (_, consequence) = say("zhao", true).unwrap();
    let withdrawn = Withdrawn { by: "zhao".into(), at: NOW };
    assert_eq!(consequence, Some(Consequence::Withdrawal { exclusion: flood().id, withdrawn }));
    assert_eq!(say("zhao", false).unwrap().1, None);
}
