use super::*;

fn check(fault: &str, change: impl FnOnce(&mut Case<'_>)) -> (&'static str, String) {
    let fault = FaultCode::new(fault).unwrap();
    let mut case = Case {
        now: Timestamp(1_000),
        fault: &fault,
        severity: Severity::Minor,
        in_service: true,
        begins_at: None,
        excluded_until: None,
        site_outage: None,
        opens_at: None,
        hold: None,
        open_ticket: None,
        returning_ticket: None,
    };
    change(&mut case);
    let decision = decide(&case);
    let sentence = decision.sentence();
    (decision.word(), sentence.split(':').next().unwrap().to_owned())
}

#[test]
fn every_decision_has_its_reason() {
    let id = Uuid::from_u128(1);
    let later = Timestamp(2_000);
    type Change = Box<dyn FnOnce(&mut Case<'_>)>;
    let table: Vec<(&str, Change, &str, &str)> = vec![
        ("paper_out", Box::new(|_| {}), "ticket opened", "needed"),
        ("paper_out", Box::new(|c| c.in_service = false), "suppressed", "not_in_service"),
        (
            "paper_out",
            Box::new(move |c| (c.in_service, c.begins_at) = (false, Some(later))),
            "suppressed",
            "not_in_service",
        ),
        ("paper_low", Box::new(|c| c.severity = Severity::Info), "suppressed", "info"),
        ("paper_out", Box::new(move |c| c.excluded_until = Some(later)), "suppressed", "maintenance"),
        ("paper_out", Box::new(move |c| c.open_ticket = Some(id)), "gathered", "same_peripheral"),
        (
            "paper_out",
            Box::new(move |c| c.returning_ticket = Some((id, ShareReason::CameBack))),
            "reopened",
            "came_back",
        ),
        ("kiosk_offline", Box::new(move |c| c.site_outage = Some(id)), "attached", "site_outage"),
        ("kiosk_offline", Box::new(move |c| c.opens_at = Some(later)), "held", "outside_hours"),
        (
            "kiosk_offline",
            Box::new(move |c| c.hold = Some((later, HoldReason::SiteHold))),
            "held",
            "site_hold",
        ),
        (
            "kiosk_offline",
            Box::new(|c| c.hold = Some((Timestamp(999), HoldReason::SiteHold))),
            "ticket opened",
            "needed",
        ),
        ("paper_out", Box::new(move |c| c.site_outage = Some(id)), "ticket opened", "needed"),
        ("paper_out", Box::new(move |c| c.opens_at = Some(later)), "ticket opened", "needed"),
    ];
    for (fault, change, word, reason) in table {
        assert_eq!(check(fault, change), (word, reason.to_owned()), "{fault} {reason}");
    }
}

#[test]
fn an_outage_is_two_and_half_of_those_that_should_be_on() {
    for (down, all, expected) in
        [(0, 0, false), (1, 1, false), (1, 2, false), (2, 2, true), (2, 4, true), (2, 5, false), (3, 5, true)]
    {
        assert_eq!(is_site_outage(down, all), expected, "{down} of {all}");
    }
}

#[test]
fn an_unusable_kiosk_makes_any_fault_major() {
    assert_eq!(ticket_severity(Severity::Minor, Some(ServiceState::OutOfService)), Severity::Major);
    assert_eq!(ticket_severity(Severity::Minor, Some(ServiceState::Degraded)), Severity::Minor);
    assert_eq!(ticket_severity(Severity::Major, None), Severity::Major);
}

fn row(decision: &Decision) -> IncidentRow {
    IncidentRow {
        id: Uuid::nil(),
        fingerprint: String::new(),
        kiosk: None,
        site: None,
        peripheral: None,
        fault: FaultCode::new(codes::KIOSK_OFFLINE).unwrap(),
        severity: Severity::Major,
        opened_at: Timestamp(0),
        noticed_at: Timestamp(0),
        closed_at: None,
        close_reason: None,
        raw: None,
        text: None,
        ticket: None,
        triage: decision.word().into(),
        triage_reason: decision.sentence(),
        triage_due_at: None,
        parent: None,
    }
}

#[test]
fn the_reason_of_a_hold_is_read_back_from_its_row() {
    for &why in HoldReason::ALL {
        assert_eq!(HoldReason::of(&row(&Decision::Hold { until: Timestamp(1), why })), Some(why));
    }
    let outage = Decision::Attach(Uuid::nil(), ShareReason::SiteOutage);
    assert_eq!([outage, Decision::OpenTicket].map(|d| HoldReason::of(&row(&d))), [None, None]);
}

#[test]
fn every_decision_is_read_back_from_its_row() {
    let (id, until) = (Uuid::from_u128(1), Timestamp(1_700_000_000_000));
    let mut all = vec![(Decision::OpenTicket, Why::Needed, None)];
    for &why in ShareReason::ALL {
        let shared = [Decision::Gather(id, why), Decision::Reopen(id, why), Decision::Attach(id, why)];
        all.extend(shared.map(|decision| (decision, Why::Shared(why), None)));
    }
    all.extend(
        HoldReason::ALL.iter().map(|&why| (Decision::Hold { until, why }, Why::Held(why), Some(until))),
    );
    for &why in SuppressReason::ALL {
        let suppressed = |again_at| Decision::Suppress { why, again_at };
        all.extend([None, Some(until)].map(|at| (suppressed(at), Why::Suppressed(why), at)));
    }
    for (decision, why, until) in all {
        let noted = Noted::of(&row(&decision)).unwrap();
        assert_eq!((noted.decision.as_str(), noted.why, noted.until), (decision.word(), why, until));
    }
    let of_another = IncidentRow { triage: "pondered".into(), ..row(&Decision::OpenTicket) };
    assert_eq!(Noted::of(&of_another), None);
}
