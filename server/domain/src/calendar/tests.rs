use super::*;

const CN_2026: &str = include_str!("../../../../deploy/calendars/cn-2026.toml");

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn china() -> WorkCalendar {
    WorkCalendar::from_files([("cn-2026.toml", CN_2026)], MissingYears::Refuse).unwrap()
}

#[test]
fn the_shipped_year_has_the_days_of_the_notice() {
    let file = CalendarFile::parse("cn-2026.toml", CN_2026).unwrap();
    assert_eq!((file.year, file.days.off.len(), file.days.work.len()), (2026, 33, 6));
    assert_eq!(file.days.status, YearStatus::Official);
    assert_eq!(china().version(), "cn-2026@2025-11-04");
}

#[test]
fn a_worked_sunday_counts_and_a_free_monday_does_not() {
    let calendar = china();
    let mut ask = calendar.ask();
    assert!(ask.is_working_day(day("2026-09-20")).unwrap());
    assert!(!ask.is_working_day(day("2026-10-05")).unwrap());
    assert!(!ask.is_working_day(day("2026-03-14")).unwrap());
    assert!(!ask.provisional());
}

#[test]
fn counting_back_over_national_day_reaches_the_last_day_of_september() {
    let calendar = china();
    assert_eq!(calendar.ask().nth_before(day("2026-10-08"), 1).unwrap(), day("2026-09-30"));
    assert_eq!(calendar.ask().on_or_after(day("2026-10-01")).unwrap(), day("2026-10-08"));
    assert_eq!(calendar.ask().on_or_before(day("2026-10-07")).unwrap(), day("2026-09-30"));
}

#[test]
fn a_year_without_a_file_is_refused_unless_guessing_is_allowed() {
    let calendar = china();
    let error = calendar.ask().nth_after(day("2026-12-30"), 3).unwrap_err();
    assert_eq!(error, CalendarError::MissingYear { year: 2027, day: day("2027-01-01") });

    let guessing = WorkCalendar::from_files([("a", CN_2026)], MissingYears::FollowTheWeek).unwrap();
    let mut ask = guessing.ask();
    assert_eq!(ask.nth_after(day("2026-12-30"), 3).unwrap(), day("2027-01-04"));
    assert!(ask.provisional());
}

#[test]
fn december_asks_for_the_next_year() {
    assert_eq!(china().year_to_fetch(day("2026-11-30")), None);
    assert_eq!(china().year_to_fetch(day("2026-12-01")), Some(2027));
}

#[test]
fn absurd_counts_are_refused() {
    let calendar = china();
    assert_eq!(calendar.ask().nth_after(day("2026-01-05"), 0), Err(CalendarError::BadCount { n: 0 }));
    assert!(calendar.ask().nth_after(day("2026-01-05"), u32::MAX).is_err());
}

/// Each mistake names its key and says what would be right.
#[test]
fn mistakes_in_a_file_name_the_key_and_the_cure() {
    let table = [
        ("schema = \"kioskwatch-calendar-1\"", "schema = \"2\"", "schema", "kioskwatch-calendar-1"),
        ("Asia/Shanghai", "Asia/Shangai", "timezone", "IANA"),
        ("\"official\"   ", "\"final\"", "status", "provisional"),
        ("\"2025-11-04\"", "\"4.11.2025\"", "source_date", "2026-01-31"),
        ("\"2026-01-02\"", "\"2027-01-02\"", "holiday[0] (元旦).off_days", "file of 2027"),
        ("\"2026-01-02\"", "\"2026-01-01\"", "holiday[0] (元旦).off_days", "listed twice"),
        ("\"2026-01-04\"", "\"2026-01-05\"", "holiday[0] (元旦).makeup_work_days", "week-end"),
        ("\"2026-01-04\"", "\"2026-01-03\"", "holiday", "both"),
        ("country", "land", "file", "land"),
    ];
    for (right, wrong, key, cure) in table {
        let text = CN_2026.replacen(right, wrong, 1);
        assert_ne!(text, CN_2026, "{right} is not in the file");
        let error = CalendarFile::parse("mine.toml", &text).unwrap_err();
        assert_eq!((error.file.as_str(), error.key.as_str()), ("mine.toml", key), "{error}");
        assert!(error.problem.contains(cure), "{error}");
    }
}

#[test]
fn a_file_of_the_same_id_replaces_the_shipped_one_and_another_id_is_refused() {
    let corrected = CN_2026.replacen("\"2026-01-04\"", "", 1);
    let files = [("shipped", CN_2026), ("mine", corrected.as_str())];
    let calendar = WorkCalendar::from_files(files, MissingYears::Refuse).unwrap();
    assert!(!calendar.ask().is_working_day(day("2026-01-04")).unwrap());

    let other = CN_2026.replacen("cn-2026", "mine-2026", 1);
    let error = WorkCalendar::from_files([("a", CN_2026), ("b", &other)], MissingYears::Refuse).unwrap_err();
    assert_eq!((error.file.as_str(), error.key.as_str()), ("b", "year"));
}

#[test]
fn counting_back_undoes_counting_on() {
    let calendar = china();
    let mut start = day("2026-01-05");
    for n in 1..30 {
        let mut ask = calendar.ask();
        start = ask.nth_after(start, 3).unwrap();
        let later = ask.nth_after(start, n).unwrap();
        assert_eq!(ask.nth_before(later, n).unwrap(), start);
    }
}
