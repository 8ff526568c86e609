use chrono_tz::{America, Asia};

use super::*;
use crate::change::{Admission, GroupKind};
use crate::uptime::booking::unassigned;

/// Wednesday, 2026-11-18 16:00 in Shanghai.
const NOW: &str = "2026-11-18T16:00:00+08:00";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn days(opens: &str) -> String {
    let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let all: Vec<_> = names.iter().map(|day| format!(r#""{day}":[["{opens}","20:00"]]"#)).collect();
    format!(r#"{{"weekly":{{{}}}}}"#, all.join(","))
}

fn since(date: &str, opens: &str) -> String {
    days(opens).replacen('{', &format!(r#"{{"effective_from":"{date}","#), 1)
}

fn kiosk(dates: [Option<&str>; 2]) -> KioskRow {
    let [commissioned_at, decommissioned_at] = dates.map(|date| date.map(at));
    KioskRow {
        id: "K-1".parse().unwrap(),
        site: Some("S-1".parse().unwrap()),
        admission: Admission::Accepted,
        model: String::new(),
        serial_no: String::new(),
        commissioned_at,
        decommissioned_at,
        updated_at: at(NOW),
    }
}

fn site_says(zones: [&str; 2], hours: [&str; 2], stood: &IntervalSet) -> Result<(), String> {
    site_says_in_time(zones, hours, stood, 0)
}

fn site_says_in_time(
    zones: [&str; 2],
    hours: [&str; 2],
    stood: &IntervalSet,
    notice_s: i64,
) -> Result<(), String> {
    let [was, is] = [0, 1].map(|n| Terms::of(zones[n], hours[n], chrono_tz::UTC));
    check_site(at(NOW), &WorkCalendar::default(), [&was, &is], stood, notice_s).map_err(|refusal| {
        assert_eq!(refusal.kind, RefusalKind::Conflict);
        refusal.reason
    })
}

#[test]
fn open_times_that_have_been_are_nobodys_to_change_alone_and_those_to_come_are() {
    let stood = IntervalSet::of(Interval::new(at("2026-10-05T00:00:00+08:00").secs(), i64::MAX));
    let was = format!("[{}]", days("08:00"));
    let both = |later: String| format!("[{},{later}]", days("08:00"));
    let same = ["Asia/Shanghai"; 2];
    for (hours, says) in [
        (
            format!("[{}]", days("10:00")),
            "2026-10-05 08:00:00 (Asia/Shanghai) the site was open and would be closed",
        ),
        (
            both(since("2026-11-10", "07:00")),
            "2026-11-10 07:00:00 (Asia/Shanghai) the site was closed and would be",
        ),
        (both(since("2026-11-18", "09:00")), "2026-11-18 08:00:00"),
        (String::new(), "2026-10-05 00:00:00"),
    ] {
        let refused = site_says(same, [&was, &hours], &stood).unwrap_err();
        assert!(refused.contains(says), "{says}: {refused}");
        assert!(refused.contains("effective_from") && refused.contains("ask for a correction"), "{refused}");
    }
    for hours in [both(since("2026-11-19", "10:00")), was.replace(',', ", "), was.clone()] {
        site_says(same, [&was, &hours], &stood).unwrap();
    }
    let other = format!("[{}]", days("10:00"));
    site_says(same, [&was, &other], &IntervalSet::empty()).unwrap();
    let to_come = Interval::new(at(NOW).secs() + 60, i64::MAX);
    site_says(same, [&was, &other], &IntervalSet::of(to_come)).unwrap();
    let old = Interval::new(0, reach(at(NOW)).from);
    site_says(same, [&was, &other], &IntervalSet::of(old)).unwrap();
}

#[test]
fn nobody_closes_a_site_alone_sooner_than_planned_work_may_begin() {
    let stood = IntervalSet::of(Interval::new(at("2026-10-05T00:00:00+08:00").secs(), END));
    let was = format!("[{}]", days("08:00"));
    let with = |date: &str, windows: &str| {
        let day = format!(r#""exceptions":{{"{date}":[{windows}]}},"weekly""#);
        was.replacen(r#""weekly""#, &day, 1)
    };
    let says = |hours: &str, notice_h: i64, stood: &IntervalSet| {
        site_says_in_time(["Asia/Shanghai"; 2], [&was, hours], stood, notice_h * 3_600)
    };
    // An outage began at 15:00: the rest of the day would be nobody's.
    let today = with("2026-11-18", r#"["08:00","16:00"]"#);
    let refused = says(&today, 24, &stood).unwrap_err();
    for part in ["2026-11-18 16:00:00 (Asia/Shanghai)", "less than 24 h ahead", "somebody else approves"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    let tomorrow = with("2026-11-19", "");
    assert!(says(&tomorrow, 24, &stood).unwrap_err().contains("2026-11-19 08:00:00"));
    says(&tomorrow, 16, &stood).unwrap();
    says(&with("2026-11-20", ""), 24, &stood).unwrap();
    // Longer hours take nothing out, and where nobody stands there is nothing to take.
    says(&with("2026-11-18", r#"["08:00","23:00"]"#), 24, &stood).unwrap();
    says(&today, 24, &IntervalSet::empty()).unwrap();
}

#[test]
fn another_zone_moves_hours_and_where_a_month_begins() {
    let stood = IntervalSet::of(Interval::new(at("2026-10-05T00:00:00+08:00").secs(), i64::MAX));
    let hours = format!("[{}]", days("08:00"));
    let zones = ["Asia/Shanghai", "America/New_York"];
    let refused = site_says(zones, [&hours, &hours], &stood).unwrap_err();
    assert!(refused.contains("was"), "{refused}");
    // Always open: only the beginning of November moves.
    let refused = site_says(zones, ["", ""], &stood).unwrap_err();
    assert!(
        refused.contains("2026-11-01 00:00:00 (Asia/Shanghai) the site would be in another month"),
        "{refused}"
    );
    let this_month = IntervalSet::of(Interval::new(at("2026-11-03T00:00:00+08:00").secs(), i64::MAX));
    site_says(zones, ["", ""], &this_month).unwrap();
    site_says(["Asia/Shanghai", "Asia/Singapore"], [&hours, &hours], &stood).unwrap();
    assert_eq!((Asia::Shanghai.name(), America::New_York.name()), (zones[0], zones[1]));
}

#[test]
fn a_site_owns_the_past_of_every_kiosk_that_counted_there() {
    let site = |id: &str| id.parse::<SiteId>().unwrap();
    let row = |id: &str, from: i64, to: Option<i64>| AssignmentRow {
        kiosk: "K-1".parse().unwrap(),
        group: GroupKind::Site,
        group_id: id.into(),
        from: Timestamp(from * 1_000),
        to: to.map(|to| Timestamp(to * 1_000)),
        said: None,
    };
    let mut kiosk = kiosk([None, None]);
    let of = |id: &str, kiosk: &KioskRow, rows: &[AssignmentRow]| {
        let counted = Commissioned::of([ServiceSpan::of(kiosk)]);
        stood_at(&site(id), &[(kiosk.clone(), counted)], rows).intervals().to_vec()
    };
    assert_eq!(of("S-1", &kiosk, &[]), [], "it never counted");
    kiosk.commissioned_at = Some(Timestamp(10_000));
    kiosk.decommissioned_at = Some(Timestamp(90_000));
    assert_eq!(of("S-1", &kiosk, &[]), [Interval::new(10, 90)]);
    let rows = [row("S-2", 20, Some(50)), row("S-1", 60, None)];
    assert_eq!(of("S-2", &kiosk, &rows), [Interval::new(20, 50)]);
    assert_eq!(
        of("S-1", &kiosk, &rows),
        [Interval::new(60, 90)],
        "what nobody owned follows no site's hours"
    );
}

#[test]
fn a_kiosk_takes_no_past_along_but_what_is_the_same() {
    let zone = Asia::Shanghai;
    let (nowhere, daily) =
        (Terms::nowhere(zone), Terms::of(zone.name(), &format!("[{}]", days("08:00")), zone));
    let say = |terms: [&Terms; 2], since: &str, rows: &[AssignmentRow]| {
        let kiosk = kiosk([Some(since), None]);
        let time = unassigned(&kiosk.id, &Commissioned::of([ServiceSpan::of(&kiosk)]), rows);
        check_move(at(NOW), &WorkCalendar::default(), terms, &time).map_err(|refusal| {
            assert_eq!(refusal.kind, RefusalKind::Conflict);
            refusal.reason
        })
    };
    let (old, night) = ("2026-11-17T22:00:00+08:00", "2026-11-18T00:00:00+08:00");
    let just_now = "2026-11-18T15:56:00+08:00";
    for (terms, says) in [
        (
            [&nowhere, &daily],
            "2026-11-17 22:00:00 (Asia/Shanghai) the kiosk was accountable and would not be",
        ),
        (
            [&daily, &nowhere],
            "2026-11-17 22:00:00 (Asia/Shanghai) the kiosk was not accountable and would be",
        ),
    ] {
        let refused = say(terms, old, &[]).unwrap_err();
        assert!(refused.contains(says) && refused.contains("ask for a correction"), "{refused}");
        say(terms, night, &[]).unwrap_err();
        say(terms, just_now, &[]).unwrap();
        // Since it was opened nothing differs.
        say(terms, "2026-11-18T09:00:00+08:00", &[]).unwrap();
    }
    let always = Terms::of(zone.name(), "", zone);
    say([&nowhere, &always], old, &[]).unwrap();
    let new_york = Terms::of("America/New_York", "", zone);
    let refused = say([&nowhere, &new_york], "2026-10-05T00:00:00+08:00", &[]).unwrap_err();
    assert!(refused.contains("would be in another month"), "{refused}");
    let stood = AssignmentRow {
        kiosk: "K-1".parse().unwrap(),
        group: GroupKind::Site,
        group_id: "S-1".into(),
        from: at(old),
        to: Some(at("2026-11-18T08:00:00+08:00")),
        said: None,
    };
    say([&nowhere, &daily], old, &[stood]).unwrap();
}

fn first_dates(now: &str) -> FirstDates {
    FirstDates::on(Asia::Shanghai, &books::Terms::default(), at(now))
}

#[test]
fn first_dates_reach_back_to_the_oldest_month_that_is_not_fixed_and_no_further() {
    let november = "2026-11-01T00:00:00+08:00";
    let october = "2026-10-01T00:00:00+08:00";
    let say = |now: &str, since: &str, until: Option<&str>| {
        let is = ServiceSpan { commissioned_at: Some(at(since)), decommissioned_at: until.map(at) };
        let dates = [ServiceSpan::default(), is];
        check_kiosk(at(now), &first_dates(now), &Known::default(), dates, None, IntervalSet::of)
    };
    let (before, frozen) = ("2026-11-01T23:59:59+08:00", "2026-11-02T00:00:00+08:00");
    for (now, since, until) in [
        (NOW, november, None),
        (NOW, "2026-11-25T08:00:00+08:00", None),
        (NOW, november, Some(NOW)),
        (NOW, november, Some("2026-11-18T15:55:00+08:00")),
        (NOW, november, Some("2026-11-25T00:00:00+08:00")),
        (before, october, None),
        (frozen, november, None),
        // All of it lies further back than anybody corrects, and counts in no month that is looked at.
        (NOW, "2020-01-01T00:00:00Z", Some("2022-01-01T00:00:00Z")),
    ] {
        say(now, since, until).unwrap_or_else(|refused| panic!("{now} {since}: {refused:?}"));
    }
    for (now, since, until, from) in [
        (NOW, "2026-10-31T23:59:59+08:00", None, november),
        (NOW, "2023-01-01T00:00:00Z", None, november),
        (NOW, "2026-05-01T00:00:00+08:00", Some("2026-08-01T00:00:00+08:00"), november),
        (before, "2026-09-30T23:59:59+08:00", None, october),
        (frozen, october, None, november),
    ] {
        let refused = say(now, since, until).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Conflict);
        let named = format!("commissioned_at is {} (", at(from));
        for part in [named.as_str(), "00:00:00 in Asia/Shanghai", "ask for a correction"] {
            assert!(refused.reason.contains(part), "{part}: {}", refused.reason);
        }
        assert_eq!(first_dates(now).from(), at(from));
    }
    // Who could also say the end would count exactly the days on which the kiosk was up.
    for until in ["2026-11-10T00:00:00+08:00", "2026-11-18T15:54:59+08:00"] {
        let refused = say(NOW, november, Some(until)).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Conflict);
        for part in [&format!("end at {}", at(until)), "ask for a correction"] {
            assert!(refused.reason.contains(part), "{part}: {}", refused.reason);
        }
    }
    // Of a kiosk that leaves one wall clock for another neither month is anybody's.
    let there = FirstDates::on(America::New_York, &books::Terms::default(), at(NOW));
    assert_eq!(first_dates(NOW).and(there).from(), at("2026-11-01T00:00:00-04:00"));
    assert_eq!(there.and(first_dates(NOW)), there);
}

#[test]
fn dates_of_service_that_have_been_are_nobodys_to_move_alone() {
    let say = |was: [Option<&str>; 2], is: [Option<&str>; 2]| {
        let dates = [was, is].map(|dates| ServiceSpan::of(&kiosk(dates)));
        check_kiosk(at(NOW), &first_dates(NOW), &Known::default(), dates, None, IntervalSet::of).map_err(
            |refusal| {
                assert_eq!(refusal.kind, RefusalKind::Conflict);
                refusal.reason
            },
        )
    };
    let old = Some("2026-10-05T08:00:00+08:00");
    let retired = Some("2026-11-10T08:00:00+08:00");
    let yesterday = Some("2026-11-17T08:00:00+08:00");
    let morning = Some("2026-11-18T08:00:00+08:00");
    let just_now = Some("2026-11-18T15:55:00+08:00");
    let next_week = Some("2026-11-25T08:00:00+08:00");
    for (was, is) in [
        ([old, None], [old, just_now]),
        ([old, None], [old, Some(NOW)]),
        ([old, None], [old, next_week]),
        ([next_week, None], [Some("2026-11-26T08:00:00+08:00"), None]),
        ([old, next_week], [old, None]),
        ([just_now, None], [Some(NOW), None]),
        // Back in service as of now: the time between counts for nobody.
        ([old, retired], [just_now, None]),
        ([old, retired], [Some(NOW), None]),
        ([old, retired], [next_week, None]),
        ([old, morning], [Some(NOW), None]),
        // As it is, or where it counted nothing anyway.
        ([old, morning], [old, morning]),
        ([old, retired], [yesterday, yesterday]),
        ([old, just_now], [old, None]),
        ([just_now, None], [None, None]),
        ([Some("2023-01-01T00:00:00Z"), None], [Some("2024-01-01T00:00:00Z"), None]),
    ] {
        say(was, is).unwrap_or_else(|refused| panic!("{was:?} {is:?}: {refused}"));
    }
    for (was, is, says) in [
        ([old, None], [yesterday, None], "2026-10-05T00:00:00.000Z the kiosk counted and would not"),
        (
            [old, None],
            [Some("2026-10-04T08:00:00+08:00"), None],
            "2026-10-04T00:00:00.000Z the kiosk did not count",
        ),
        ([old, None], [old, yesterday], "2026-11-17T00:00:00.000Z the kiosk counted"),
        ([old, retired], [old, yesterday], "did not count and would"),
        ([old, retired], [yesterday, None], "2026-11-17T00:00:00.000Z the kiosk did not count and would"),
        // As if it had never been away, or never been there.
        ([old, retired], [old, None], "2026-11-10T00:00:00.000Z the kiosk did not count"),
        ([old, retired], [None, None], "leave commissioned_at out"),
        ([old, None], [None, None], "2026-10-05T00:00:00.000Z the kiosk counted and would not"),
        ([old, None], [next_week, None], "2026-10-05"),
        // Of today: who was down since this morning has not left before and come back since.
        ([old, None], [old, morning], "2026-11-18T00:00:00.000Z the kiosk counted and would not"),
        (
            [old, None],
            [old, Some("2026-11-18T15:54:00+08:00")],
            "2026-11-18T07:54:00.000Z the kiosk counted and would not",
        ),
        ([old, retired], [morning, None], "2026-11-18T00:00:00.000Z the kiosk did not count and would"),
        ([old, morning], [old, None], "2026-11-18T00:00:00.000Z the kiosk did not count and would"),
        ([old, morning], [morning, None], "2026-11-18T00:00:00.000Z the kiosk did not count and would"),
        ([morning, None], [None, None], "2026-11-18T00:00:00.000Z the kiosk counted and would not"),
        ([old, None], [next_week, yesterday], "lies before commissioned_at"),
        ([old, morning], [None, morning], "2026-10-05"),
    ] {
        let refused = say(was, is).unwrap_err();
        assert!(refused.contains(says), "{says}: {refused}");
        let is_told = refused.contains("ask for a correction") || refused.contains("lies before");
        assert!(is_told, "{refused}");
    }
}

#[test]
fn first_dates_reach_back_to_where_the_hours_of_the_site_were_known() {
    let row = |timezone: &str, service_hours: &str| SiteRow {
        id: "S-1".parse().unwrap(),
        name: String::new(),
        region: String::new(),
        customer: String::new(),
        zone: crate::change::Zone::Urban,
        timezone: timezone.into(),
        service_hours: service_hours.into(),
        contacts: "[]".into(),
        remote_consent: false,
        updated_at: at(NOW),
    };
    let (plain, fitted) = (row("Asia/Shanghai", ""), row("Asia/Shanghai", "fitted"));
    let sold = SiteRow { customer: "B".into(), ..fitted.clone() };
    let said = |known: &[(&SiteRow, Timestamp)]| -> Vec<SiteTermsRow> {
        known.iter().map(|(site, since)| SiteTermsRow::of(site, *since)).collect()
    };
    let (fifth, tenth) = (at("2026-11-05T00:00:00+08:00"), at("2026-11-10T00:00:00+08:00"));
    let always = SiteTermsRow::ALWAYS;
    for (site, noted, since) in [
        (&plain, vec![], None),
        (&plain, vec![(&plain, fifth)], Some(fifth)),
        (&fitted, vec![(&plain, always), (&fitted, tenth)], Some(tenth)),
        // Another customer changes no hours.
        (&sold, vec![(&plain, always), (&fitted, fifth), (&sold, tenth)], Some(fifth)),
        (&sold, vec![(&fitted, always), (&sold, tenth)], None),
        // As it was once before, and not in between.
        (&plain, vec![(&plain, always), (&fitted, fifth), (&plain, tenth)], Some(tenth)),
    ] {
        assert_eq!(known_since(site, &said(&noted)), since, "{noted:?}");
    }
    let say = |known: Option<Timestamp>, from: &str| {
        let first = first_dates(NOW).known_since(known, at(NOW));
        let is = ServiceSpan { commissioned_at: Some(at(from)), decommissioned_at: None };
        check_kiosk(at(NOW), &first, &Known::default(), [ServiceSpan::default(), is], None, IntervalSet::of)
    };
    say(None, "2026-11-01T00:00:00+08:00").unwrap();
    say(Some(tenth), "2026-11-10T00:00:00+08:00").unwrap();
    let refused = say(Some(tenth), "2026-11-09T23:59:59+08:00").unwrap_err();
    assert!(refused.reason.contains("before the hours of its site were entered"), "{}", refused.reason);
    // Who enters both in one go takes some minutes for it.
    say(Some(at(NOW)), "2026-11-18T15:55:00+08:00").unwrap();
    say(Some(at(NOW)), "2026-11-18T15:54:59+08:00").unwrap_err();
    say(Some(at("2026-10-01T00:00:00+08:00")), "2026-11-01T00:00:00+08:00").unwrap();
}

#[test]
fn nobody_takes_a_kiosk_that_is_down_out_of_a_figure_alone() {
    let old = "2026-10-05T08:00:00+08:00";
    let since = at("2026-11-18T10:00:00+08:00");
    let span =
        |to: Option<&str>| ServiceSpan { commissioned_at: Some(at(old)), decommissioned_at: to.map(at) };
    let say = |is: ServiceSpan, down_since| {
        let dates = [span(None), is];
        check_kiosk(at(NOW), &first_dates(NOW), &Known::default(), dates, down_since, IntervalSet::of)
    };
    let (soon, next_week) = ("2026-11-18T15:56:00+08:00", "2026-11-25T00:00:00+08:00");
    for to in [soon, NOW, next_week] {
        let refused = say(span(Some(to)), Some(since)).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Conflict);
        for part in
            [format!("down since {since}"), format!("from {} on", at(to)), "ask for a correction".into()]
        {
            assert!(refused.reason.contains(&part), "{part}: {}", refused.reason);
        }
        say(span(Some(to)), None).unwrap();
    }
    say(span(None), Some(since)).unwrap();
    // To come back is no way out of an outage.
    let away = [span(Some(next_week)), span(None)];
    check_kiosk(at(NOW), &first_dates(NOW), &Known::default(), away, Some(since), IntervalSet::of).unwrap();

    let zone = Asia::Shanghai;
    let (daily, nights) = (format!("[{}]", days("08:00")), format!("[{}]", days("02:00")));
    let [daily, nights, never] =
        [daily.as_str(), &nights, r#"[{"weekly":{}}]"#].map(|hours| Terms::of(zone.name(), hours, zone));
    let counted = Commissioned::of([span(None)]);
    let put = |terms, counted: &Commissioned, down_since| {
        check_lending(at(NOW), &WorkCalendar::default(), terms, counted, down_since).map_err(|one| one.reason)
    };
    let refused = put([&daily, &never], &counted, Some(since)).unwrap_err();
    assert!(refused.contains(&format!("from {} on", at(NOW))), "{refused}");
    assert!(put([&nights, &daily], &counted, Some(since)).unwrap_err().contains("2026-11-18T18:00:00"));
    put([&daily, &nights], &counted, Some(since)).unwrap();
    put([&daily, &never], &counted, None).unwrap();
    put([&daily, &never], &Commissioned::default(), Some(since)).unwrap();
}

#[test]
fn what_was_taken_back_today_gives_nobody_another_past() {
    let stretch = |from: &str, to: Option<&str>| ServiceSpan {
        commissioned_at: Some(at(from)),
        decommissioned_at: to.map(at),
    };
    let (old, retired) = ("2026-09-05T08:00:00+08:00", "2026-10-10T08:00:00+08:00");
    let none = ServiceSpan::default();
    let say = |noted: &Commissioned, dates| {
        let mut known = Known::default();
        known.learn(at(old), noted.clone());
        check_kiosk(at(NOW), &first_dates(NOW), &known, dates, None, IntervalSet::of)
    };
    let back = stretch(NOW, None);
    for noted in [Commissioned::default(), Commissioned::of([stretch(old, Some(retired))])] {
        // It says what its row says already: nothing moves.
        say(&noted, [none, none]).unwrap();
        say(&noted, [none, back]).unwrap();
        assert_eq!(noted.put(at(NOW), none, none).unwrap(), noted);
        let refused = say(&noted, [none, stretch(old, None)]).unwrap_err();
        assert!(refused.reason.contains("did not count and would"), "{}", refused.reason);
    }
}

#[test]
fn who_leaves_or_returns_in_closed_hours_moves_nothing_that_counts() {
    let (zone, calendar) = (Asia::Shanghai, WorkCalendar::default());
    let terms = Terms::of(zone.name(), &format!("[{}]", days("08:00")), zone);
    let old = Some("2026-10-05T08:00:00+08:00");
    let say = |now: &str, was: [Option<&str>; 2], is: [Option<&str>; 2]| {
        let dates = [was, is].map(|dates| ServiceSpan::of(&kiosk(dates)));
        let open = |within| terms.open(&calendar, within);
        check_kiosk(at(now), &first_dates(now), &Known::default(), dates, None, open)
    };
    let [early, night] = ["2026-11-18T06:00:00+08:00", "2026-11-18T00:00:00+08:00"].map(Some);
    for now in ["2026-11-18T07:30:00+08:00", "2026-11-18T08:05:00+08:00"] {
        say(now, [old, None], [old, early]).unwrap();
        say(now, [old, night], [old, None]).unwrap();
    }
    for (now, until) in [
        ("2026-11-18T08:05:01+08:00", early),
        ("2026-11-18T16:00:00+08:00", early),
        ("2026-11-18T07:30:00+08:00", Some("2026-11-17T19:59:59+08:00")),
    ] {
        let refused = say(now, [old, None], [old, until]).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Conflict);
        let at = until.map(at).unwrap().max(at("2026-11-17T19:59:59+08:00"));
        let first = if until == early { "2026-11-18T00:00:00.000Z".to_owned() } else { at.to_string() };
        assert!(refused.reason.contains(&format!("at {first} the kiosk counted")), "{}", refused.reason);
    }
}
