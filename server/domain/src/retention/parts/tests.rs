use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
}

fn part(from: &str, to: &str) -> EvidencePart {
    EvidencePart { table: String::new(), from: at(from), to: at(to) }
}

fn names(missing: &[EvidencePart]) -> Vec<&str> {
    missing.iter().map(|part| part.table.as_str()).collect()
}

#[test]
fn this_month_and_the_next_three_are_made_where_nothing_is() {
    let missing = EvidencePart::missing(&[], at("2026-11-30T23:59:59.999Z"));
    assert_eq!(
        names(&missing),
        ["evidence_2026_11", "evidence_2026_12", "evidence_2027_01", "evidence_2027_02"]
    );
    assert_eq!(missing[0].from, at("2026-11-01T00:00:00Z"));
    assert!(missing.windows(2).all(|two| two[0].to == two[1].from), "no gap between them: {missing:?}");
    assert_eq!(missing[3].to, at("2027-03-01T00:00:00Z"));
    assert_eq!(EvidencePart::missing(&missing, at("2026-11-30T23:59:59.999Z")), [], "nothing twice");
    assert_eq!(names(&EvidencePart::missing(&missing, at("2026-12-01T00:00:00Z"))), ["evidence_2027_03"]);
}

#[test]
fn what_lies_within_a_part_that_is_there_is_not_made_again() {
    let before = EvidencePart {
        from: EvidencePart::BEGINNING,
        ..part("1970-01-01T00:00:00Z", "2026-12-01T00:00:00Z")
    };
    // Somebody made half a month by hand: what is left of it stays with what belongs to no month.
    let half = part("2027-01-15T00:00:00Z", "2027-02-01T00:00:00Z");
    let there = [before, half];
    assert_eq!(
        names(&EvidencePart::missing(&there, at("2026-11-22T10:00:00Z"))),
        ["evidence_2026_12", "evidence_2027_02"]
    );
    // A clock that went back by ten years makes nothing, one at the end of all years no month without days.
    assert_eq!(EvidencePart::missing(&there, at("2016-11-22T10:00:00Z")), []);
    let last = EvidencePart::missing(&[], Timestamp(i64::MAX));
    assert!(last.iter().all(|part| part.from < part.to), "{last:?}");
}

#[test]
fn a_part_is_over_when_nothing_that_begins_in_it_is_kept() {
    let part = part("2025-08-01T00:00:00Z", "2025-09-01T00:00:00Z");
    assert!(!part.is_over(at("2025-08-31T23:59:59.999Z")));
    assert!(part.is_over(at("2025-09-01T00:00:00Z")));
}
