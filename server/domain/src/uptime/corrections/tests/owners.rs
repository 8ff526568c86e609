//! Who answered for a kiosk, and to whom its site belonged.
use super::*;

/// The kiosk it is about, registered at this site.
fn stood(site: Option<&str>) -> KioskRow {
    KioskRow {
        id: "K-1".parse().unwrap(),
        site: site.map(|site| site.parse().unwrap()),
        admission: crate::change::Admission::Accepted,
        model: String::new(),
        serial_no: String::new(),
        commissioned_at: Some(at(-100)),
        decommissioned_at: None,
        updated_at: at(-100),
    }
}

fn answered() -> AssignmentRow {
    AssignmentRow {
        kiosk: "K-1".parse().unwrap(),
        group: GroupKind::Engineer,
        group_id: "wang".into(),
        from: at(-50),
        to: None,
        said: None,
    }
}

#[test]
fn who_answered_and_who_would_have_decide_about_no_assignment() {
    let before = vec![Held { id: Some("wang".into()), from: at(-9), to: at(-8) }];
    let (kiosk, after) = ("K-1".parse().unwrap(), Some("chen".to_owned()));
    let what = Correction::Assignment { kiosk, group: GroupKind::Engineer, before: before.clone(), after };
    let row = ask(what.clone(), -9, -8, "they swapped").unwrap();
    assert_eq!((row.what.kind(), moves(&row, at(3))), ("answered_for", (at(-9), at(-8))));
    let refused = ask(what, -1, 1, "they swap").unwrap_err();
    assert!(refused.reason.contains("has not been yet"), "{}", refused.reason);
    let (kiosk, answered) = (stood(None), answered());
    let measured =
        engineers(&row, moves(&row, NOW), std::slice::from_ref(&kiosk), std::slice::from_ref(&answered));
    assert_eq!(measured, BTreeSet::from(["wang".to_owned(), "chen".to_owned()]));
    let verdict = Verdict { approve: true, reason: "seen the roster".into() };
    for (by, may) in [("wang", false), ("chen", false), ("li", false), ("zhao", true)] {
        let decided = decide((NOW, NOTICE_S), &actor(by), (&row, &measured), &verdict, "{}".into());
        assert_eq!(decided.is_ok(), may, "{by}");
        assert!(decided.is_err() || decided.unwrap().1.is_none(), "the correction itself is what is known");
    }
    // Who answers for it now is another matter.
    let rows = [answered, reassigned(&row, NOW).unwrap()];
    let told = held(&kiosk, &rows, GroupKind::Engineer, (at(-10), at(-7)));
    let told: Vec<_> = told.iter().map(|one| one.id.as_deref().unwrap()).collect();
    assert_eq!(told, ["wang", "chen", "wang"]);
    let moved = hand_over(NOW, &actor("admin"), &kiosk.id, &rows, Some("wang")).unwrap();
    assert_eq!(moved, [], "nothing of it is handed over");
}

#[test]
fn of_to_whom_a_site_belonged_neither_its_owners_nor_who_answered_there_decide() {
    let belonged = |customer: &str| Belonged {
        contract: Contract { region: "north".into(), customer: customer.into() },
        from: at(-9),
        to: at(-8),
    };
    let asked = |region: Option<&str>, customer: Option<&str>| {
        let [region, customer] = [region, customer].map(|name| name.map(str::to_owned));
        let site = "S-1".parse().unwrap();
        Correction::Contract { site, before: vec![belonged("bank A")], after: Renamed { region, customer } }
    };
    for (what, to, says) in [
        (asked(None, None), -8, "to whom should it have belonged"),
        (asked(Some("north"), None), -8, "nothing would change"),
        (asked(Some("north"), Some("bank A")), -8, "nothing would change"),
        (asked(Some(&"n".repeat(1_001)), None), -8, "at most 1000 characters"),
        (asked(None, Some("bank B")), 1, "has not been yet"),
    ] {
        let refused = ask(what, -9, to, "r").unwrap_err();
        assert!(refused.reason.contains(says), "{says}: {}", refused.reason);
    }
    let row = ask(asked(None, Some("bank B")), -9, -8, "the contract says so").unwrap();
    assert_eq!((row.what.kind(), moves(&row, at(3))), ("belonged_to", (at(-9), at(-8))));
    let measured = engineers(&row, moves(&row, NOW), &[stood(Some("S-1"))], &[answered()]);
    assert_eq!(measured, ["bank A", "bank B", "north", "wang"].map(str::to_owned).into());
    let verdict = Verdict { approve: true, reason: "seen the contract".into() };
    for (by, may) in [("wang", false), ("bank B", false), ("bank A", false), ("li", false), ("zhao", true)] {
        let decided = decide((NOW, NOTICE_S), &actor(by), (&row, &measured), &verdict, "{}".into());
        assert_eq!(decided.is_ok(), may, "{by}");
        assert!(decided.is_err() || decided.unwrap().1.is_none(), "the correction itself is what is known");
    }
    let [_, Change::Audit(audit)] = &requested(&row)[..] else { panic!() };
    for part in ["belonged_to", "bank A", "bank B", "the contract says so"] {
        assert!(audit.detail.contains(part), "{part}: {}", audit.detail);
    }
}
