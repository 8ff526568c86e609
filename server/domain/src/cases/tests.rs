use super::*;

/// Each mistake names the case and the key.
#[test]
fn mistakes_name_the_case_and_the_key() {
    let uptime = |case: &str| format!(r#"{{"cases": [{case}]}}"#);
    let sla = |case: &str| {
        format!(r#"{{"calendar_data": {{"tz": "Asia/Shanghai", "years": {{}}}}, "cases": [{case}]}}"#)
    };
    let table = [
        (CaseKind::Uptime, "{".to_owned(), "file", "it"),
        (CaseKind::Uptime, "{}".to_owned(), "header", "cases"),
        (CaseKind::Sla, "{}".to_owned(), "header", "calendar_data"),
        (CaseKind::Uptime, uptime(r#"{"id": "U1"}"#), "U1", "tz"),
        (
            CaseKind::Uptime,
            uptime(
                r#"{"id": "U1", "tz": "UTC", "period": ["2026-01-01T00:00", "2026-02-01T00:00"],
                    "evidence": [{"from": "2026-01-01T00:00", "to": "noon", "state": "FULL"}]}"#,
            ),
            "U1",
            "evidence[0].to",
        ),
        (
            CaseKind::Uptime,
            uptime(
                r#"{"id": "U1", "tz": "UTC", "period": ["2026-01-01T00:00", "2026-02-01T00:00"],
                    "service_hours": [{"weekly": {"monday": []}}]}"#,
            ),
            "U1",
            "service_hours[0].weekly.monday",
        ),
        (CaseKind::Sla, sla(r#"{"id": "S1", "kind": "budgets"}"#), "S1", "kind"),
        (
            CaseKind::Sla,
            sla(r#"{"id": "S1", "kind": "budget", "start": "2026-01-01T00:00", "budget_s": "1 h",
                    "calendar": "7x24"}"#),
            "S1",
            "budget_s",
        ),
        (
            CaseKind::Sla,
            sla(r#"{"id": "S1", "kind": "workdays", "start": "2026-01-01T00:00", "n": 1}"#),
            "S1",
            "n",
        ),
        (
            CaseKind::Inspection,
            sla(r#"{"id": "P1", "kind": "phone", "year": 2026, "month": 13}"#),
            "P1",
            "it",
        ),
    ];
    for (kind, text, case, key) in table {
        let error = evaluate(kind, &text).unwrap_err();
        assert_eq!((error.place.as_str(), error.key.as_str()), (case, key), "{error}");
    }
}

#[test]
fn one_bad_case_does_not_hide_the_others() {
    let text = r#"{"calendar_data": {"tz": "Asia/Shanghai", "years": {}}, "cases": [
        {"id": "bad", "kind": "budget"},
        {"id": "good", "kind": "calendar_days", "start": "2026-03-10T15:00", "n": 1}]}"#;
    let results = evaluate_each(CaseKind::Sla, text).unwrap();
    assert!(results[0].is_err());
    let good = results[1].as_ref().unwrap();
    assert_eq!(good.to_string(), r#"{"due":"2026-03-12T00:00:00+08:00","id":"good"}"#);
    assert!(evaluate(CaseKind::Sla, text).is_err());
}
