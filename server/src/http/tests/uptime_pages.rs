//! The pages behind a percentage: what they list adds up to the figure they show.
use std::collections::BTreeMap;

use kioskwatch_domain::{
    change::{
        AssignmentRow, Change, EvidenceRow, EvidenceSource, EvidenceState, ExclusionRow, GroupKind,
        JournalHeadRow, LivenessRow, MonthRow, MonthSums,
    },
    retention::Kept,
    uptime::{Cause, Figures, Month, Ratio},
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};
use uuid::Uuid;

use super::fixture::{Fixture, HOSTILE, epoch};
use crate::store::Scope;

const MINUTE: i64 = 60_000;

/// The numbers of an attribute, in order.
fn numbers(page: &str, attribute: &str) -> Vec<i64> {
    let marker = format!("{attribute}=\"");
    let values = page.split(&marker).skip(1).map(|rest| rest.split('"').next().unwrap_or_default());
    values.map(|text| text.parse().unwrap_or_else(|_| panic!("{attribute}: {text:?}"))).collect()
}

/// Seconds of one way to count, from the switch above the list.
fn account(page: &str, show: &str) -> i64 {
    let marker = format!("data-account=\"{show}\" data-seconds=\"");
    let rest = page.split(&marker).nth(1).unwrap_or_else(|| panic!("no account {show}"));
    rest.split('"').next().unwrap().parse().unwrap()
}

/// Everything that is listed, and what is added up below it.
fn listed(page: &str) -> i64 {
    let details = page.split("<details id=\"i").skip(1).map(|one| numbers(one, "data-seconds")[0]);
    let further = page.split("class=\"further\" ").skip(1).map(|one| numbers(one, "data-seconds")[0]);
    details.chain(further).sum()
}

/// A kiosk that flapped for hours while the server was away for a while, with a granted window.
async fn busy() -> (Fixture, String) {
    let fixture = Fixture::start().await;
    let now = fixture.app.clock().now();
    let kiosk = KioskId::new("K-1").unwrap();
    let mut changes = vec![
        Change::Liveness(LivenessRow {
            server: Uuid::from_u128(77),
            from: now.plus_ms(-1_500 * MINUTE),
            to: now.plus_ms(-600 * MINUTE),
        }),
        Change::Exclusion(ExclusionRow {
            id: Uuid::from_u128(78),
            kiosk: Some(kiosk.clone()),
            site: None,
            class: "force_majeure".into(),
            from: now.plus_ms(-120 * MINUTE),
            to: now.plus_ms(-90 * MINUTE),
            requested_by: "dispatcher".into(),
            approved_by: Some("manager".into()),
            approved_at: Some(now),
            agreed_at: None,
            reason: "flood".into(),
        }),
    ];
    let states = [EvidenceState::Off, EvidenceState::Full, EvidenceState::Oos, EvidenceState::Degraded];
    for minute in 0..380_i64 {
        let state = states[usize::try_from(minute % 4).unwrap()];
        changes.push(Change::Evidence(EvidenceRow {
            kiosk: kiosk.clone(),
            source: EvidenceSource::Journal,
            from: now.plus_ms(-(1_300 - minute) * MINUTE),
            to: now.plus_ms(-(1_299 - minute) * MINUTE),
            state,
            cause: (state == EvidenceState::Off).then(|| "power".into()),
            received_at: None,
            epoch: None,
            seq: None,
            interval_s: None,
        }));
    }
    fixture.app.store().commit(&changes).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    (fixture, viewer)
}

/// The months that a day-old kiosk has lived in.
fn months(now: Timestamp) -> Vec<String> {
    let months = [-86_400_000, 0].map(|ms| now.plus_ms(ms + 8 * 3_600_000).to_string()[..7].to_owned());
    let mut months = Vec::from(months);
    months.dedup();
    months
}

#[tokio::test]
async fn what_is_listed_adds_up_to_the_figure() {
    let (fixture, viewer) = busy().await;
    let mut rows = 0;
    for month in months(fixture.app.clock().now()) {
        for (index, measure) in ["on", "avail", "full"].into_iter().enumerate() {
            for show in ["down", "up", "left_out", "outside"] {
                let path = format!("/kiosks/K-1/uptime?month={month}&measure={measure}&show={show}");
                let page = fixture.get(&path, &viewer).await.text;
                let figure = (numbers(&page, "data-num")[index], numbers(&page, "data-den")[index]);
                let (up, down) = (account(&page, "up"), account(&page, "down"));
                assert_eq!((up, up + down), figure, "{path}");
                assert_eq!(numbers(&page, "data-sum-up")[0], up, "{path}");
                assert_eq!(numbers(&page, "data-sum-counted")[0], up + down, "{path}");
                assert_eq!(listed(&page), account(&page, show), "{path}");
                rows += page.matches("<details id=\"i").count();
            }
        }
    }
    assert!(rows > 500, "there was something to add up: {rows}");
}

#[tokio::test]
async fn the_days_add_up_to_the_month_and_the_month_to_the_api() {
    let (fixture, viewer) = busy().await;
    let now = fixture.app.clock().now();
    for month in months(now) {
        let api = format!("/api/v1/uptime?scope=kiosk&id=K-1&month={month}");
        let mut sum = (0, 0);
        for day in 1..=31 {
            let page = format!("/kiosks/K-1/uptime?month={month}&measure=avail&day={month}-{day:02}");
            let page = fixture.get(&page, &viewer).await.text;
            // A day that the month does not have shows the whole month.
            if page.contains(&format!("· <a href=\"/kiosks/K-1/uptime?month={month}")) {
                sum.0 += account(&page, "up");
                sum.1 += account(&page, "up") + account(&page, "down");
            }
        }
        // Time goes on while pages are read: at most what passed meanwhile is missing.
        let whole = fixture.get(&api, &viewer).await.json();
        let passed = fixture.app.clock().now().since(now) / 1_000 + 1;
        let missing = whole["avail"]["den"].as_i64().unwrap() - sum.1;
        assert!((0..=passed).contains(&missing), "{month}: {sum:?} of {whole}");
    }
}

#[tokio::test]
async fn every_kind_of_evidence_is_named_beside_the_interval_it_speaks_for() {
    let (fixture, viewer) = busy().await;
    let now = fixture.app.clock().now();
    // In the first hours of a month most of it lies in the one before.
    let page = async |show: &str, measure: &str| {
        let mut pages = String::new();
        for month in months(now) {
            let path = format!("/kiosks/K-1/uptime?month={month}&measure={measure}&show={show}");
            pages += &fixture.get(&path, &viewer).await.text;
        }
        pages
    };
    let down = page("down", "avail").await;
    let record = format!("/kiosks/K-1/records/{}/1", epoch());
    assert!(down.contains(&record), "the journal record that closed an interval");
    let shown = fixture.get(&record, &viewer).await.text;
    assert!(shown.contains("<pre class=\"raw\">") && shown.contains("{{7919*7907}}"), "{shown}");
    let outside = page("outside", "on").await;
    assert!(outside.contains("flood") && outside.contains("manager"), "the window that was granted");
    let out = page("left_out", "on").await;
    assert!(out.contains("服务器无法接收"), "the server's own outage");
    let elsewhere = fixture.token("viewer", &["far"]).await;
    assert_eq!(fixture.get("/kiosks/K-1/uptime", &elsewhere).await.status, 404);
    assert_eq!(fixture.get(&record, &elsewhere).await.status, 404);
    assert_eq!(fixture.get("/kiosks/K-1/uptime?month=13", &viewer).await.status, 400);
}

/// A signed month of a kiosk, as the books keep it.
pub(super) fn signed(
    month: Month,
    kiosk: &str,
    site: &str,
    engineer: Option<&str>,
    version: u32,
    down_s: i64,
) -> Change {
    let zone = chrono_tz::Asia::Shanghai;
    let span = month.period(zone);
    let at = |seconds: i64| Timestamp(seconds * 1_000);
    let whole = span.to - span.from;
    let ratio = |lost: i64| Ratio::new(whole - lost, whole);
    let figures = Figures {
        accountable_s: whole,
        known_s: whole,
        on: ratio(down_s),
        avail: ratio(2 * down_s),
        full: ratio(3 * down_s),
        online: ratio(0),
        causes: BTreeMap::from([(Cause::Power, 2 * down_s)]),
    };
    let (raw_on, raw_avail, raw_full) = (figures.on, figures.avail, figures.full);
    let outages_by_cause = BTreeMap::from([(Cause::Power, 1)]);
    let sums = MonthSums {
        figures,
        raw_on,
        raw_avail,
        raw_full,
        outages: 1,
        outages_by_cause,
        ..MonthSums::default()
    };
    Change::Month(Box::new(MonthRow {
        month,
        kiosk: KioskId::new(kiosk).unwrap(),
        version,
        site: Some(SiteId::new(site).unwrap()),
        engineer: engineer.map(Into::into),
        region: format!("region of {site}"),
        customer: HOSTILE[0].into(),
        model: "M & M".into(),
        period_from: at(span.from),
        period_to: at(span.to),
        as_of: at(span.to),
        frozen_at: None,
        booked_at: at(span.to + 86_400),
        target: (99, 100),
        sums,
        fingerprint: "f".into(),
        inputs: "{}".into(),
    }))
}

#[tokio::test]
async fn the_parts_of_a_fleet_add_up_however_it_is_divided() {
    let fixture = Fixture::start().await;
    let month: Month = "2026-04".parse().unwrap();
    let rows = [
        signed(month, "K-1", "near", Some("Li"), 1, 7_000),
        signed(month, "K-2", "far", None, 1, 0),
        signed(month, "K-2", "far", None, 2, 90_000),
        signed(month.next(), "K-2", "far", Some("Li"), 1, 11),
    ];
    fixture.app.store().commit(&rows).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    for span in ["month", "quarter"] {
        for (index, measure) in ["on", "avail", "full"].into_iter().enumerate() {
            for by in ["region", "site", "customer", "engineer", "model", "kiosk"] {
                let path = format!("/uptime?month=2026-04&span={span}&measure={measure}&by={by}");
                let page = fixture.get(&path, &viewer).await;
                assert_eq!(page.status, 200, "{path}: {}", page.text);
                assert!(!page.text.contains(HOSTILE[0]), "{path}");
                let figure = (numbers(&page.text, "data-num"), numbers(&page.text, "data-den"));
                let parts = (figure.0[3..].iter().sum::<i64>(), figure.1[3..].iter().sum::<i64>());
                assert_eq!(parts, (figure.0[index], figure.1[index]), "{path}");
                assert!(figure.1[index] > 0, "{path}: there was something to divide");
                assert!(page.text.contains("v2"), "{path}: the version of the figures");
            }
        }
    }
    let lost = fixture.get("/uptime?month=2026-04&measure=on", &viewer).await.text;
    assert_eq!(numbers(&lost, "data-den")[0] - numbers(&lost, "data-num")[0], 97_000, "the restated version");
    let near = fixture.token("viewer", &["near"]).await;
    let scoped = fixture.get("/uptime?month=2026-04&by=kiosk", &near).await.text;
    assert!(scoped.contains("/kiosks/K-1/uptime") && !scoped.contains("/kiosks/K-2/uptime"));
    assert_eq!(fixture.get("/uptime?scope=site&id=far", &near).await.status, 404);
    assert_eq!(fixture.get("/uptime?scope=planet&id=x", &viewer).await.status, 400);
}

#[tokio::test]
async fn a_page_of_a_group_asks_the_books_again_when_rows_of_its_months_are_booked_and_not_before() {
    let fixture = Fixture::start().await;
    let month: Month = "2026-04".parse().unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    let scopes = ["", "&scope=site&id=near", "&scope=engineer&id=Li", "&scope=model&id=M+%26+M"];
    let scopes = scopes.into_iter().chain(["&scope=region&id=region+of+near", "&scope=customer&id=C"]);
    let paths: Vec<String> = ["month", "quarter"]
        .into_iter()
        .flat_map(|span| {
            scopes.clone().map(move |scope| format!("/uptime?month=2026-04&span={span}&by=kiosk{scope}"))
        })
        .collect();
    // What is lost by the headline, and by the parts.
    let lost = async || {
        let mut lost = Vec::new();
        for path in &paths {
            let page = fixture.get(path, &viewer).await.text;
            let (up, of) = (numbers(&page, "data-num"), numbers(&page, "data-den"));
            lost.push((of[0] - up[0], of[3..].iter().sum::<i64>() - up[3..].iter().sum::<i64>()));
        }
        lost
    };
    let row = |month, version, down_s| {
        let Change::Month(mut row) = signed(month, "K-1", "near", Some("Li"), version, down_s) else {
            unreachable!()
        };
        row.customer = "C".into();
        Change::Month(row)
    };
    let books = fixture.app.books();
    let commit = async |changes: &[Change]| fixture.app.store().commit(changes).await.unwrap();
    let first = [row(month, 1, 7_000)];
    commit(&first).await;
    let is = |lost: Vec<(i64, i64)>, wanted: [i64; 2]| {
        let halves = lost.split_at(lost.len() / 2);
        assert!(halves.0.iter().all(|one| *one == (wanted[0], wanted[0])), "months: {lost:?}, {wanted:?}");
        assert!(halves.1.iter().all(|one| *one == (wanted[1], wanted[1])), "quarters: {lost:?}, {wanted:?}");
    };
    is(lost().await, [7_000, 7_000]);
    let second = [row(month, 2, 9_000)];
    commit(&second).await;
    is(lost().await, [7_000, 7_000]);
    books.note(&second);
    is(lost().await, [9_000, 9_000]);
    let next = [row(month.next(), 1, 500)];
    commit(&next).await;
    books.note(&next);
    is(lost().await, [9_000, 9_500]);
}

#[tokio::test]
async fn outages_are_told_by_cause_and_of_what_was_signed_without_it_nothing_is_made_up() {
    let fixture = Fixture::start().await;
    let month: Month = "2026-04".parse().unwrap();
    let of = |kiosk, outages, by_cause: &[(Cause, i64)]| {
        let Change::Month(mut row) = signed(month, kiosk, "near", Some("Li"), 1, 50) else { unreachable!() };
        row.sums.outages = outages;
        row.sums.outages_by_cause = by_cause.iter().copied().collect();
        row.sums.figures.causes = BTreeMap::from([(Cause::Power, 60), (Cause::Hardware, 40)]);
        Change::Month(row)
    };
    let rows = [of("K-1", 5, &[(Cause::Power, 3), (Cause::Hardware, 2)]), of("K-2", 4, &[])];
    fixture.app.store().commit(&rows).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    let ask = async |scope: &str| {
        let path = format!("/api/v1/uptime?month={month}&{scope}");
        fixture.get(&path, &viewer).await.json()["outages"].clone()
    };
    let fleet = ask("scope=fleet").await;
    assert_eq!((&fleet["count"], &fleet["not_told_by_cause"]), (&9.into(), &4.into()));
    assert_eq!(fleet["by_cause"], serde_json::json!({ "power": 3, "hardware": 2 }));
    let older = ask("scope=kiosk&id=K-2").await;
    assert_eq!((&older["by_cause"], &older["not_told_by_cause"]), (&serde_json::json!({}), &4.into()));

    let times = async |path: &str| numbers(&fixture.get(path, &viewer).await.text, "data-times");
    assert_eq!(
        times(&format!("/uptime?month={month}")).await,
        [3, 2, 4],
        "the largest loss first, then what is not told"
    );
    // An outage is one of availability, and of the month.
    let kiosk = |id: &str, rest: &str| format!("/kiosks/{id}/uptime?month={month}{rest}");
    let mut told = times(&kiosk("K-1", "&measure=avail")).await;
    told.sort_unstable();
    assert_eq!(told.iter().sum::<i64>(), 5, "{told:?}");
    assert_eq!(times(&kiosk("K-2", "&measure=avail")).await.last(), Some(&4));
    for rest in ["", "&measure=full", "&measure=avail&day=2026-04-03"] {
        assert!(times(&kiosk("K-1", rest)).await.is_empty(), "{rest}");
        let page = fixture.get(&kiosk("K-1", rest), &viewer).await.text;
        assert!(page.contains("供电 3 · 硬件 2"), "beside the other facts instead: {rest}");
        let page = fixture.get(&kiosk("K-2", rest), &viewer).await.text;
        assert!(page.contains("未按原因统计（由旧版本记账） 4"), "{rest}");
    }
}

#[tokio::test]
async fn a_name_longer_than_any_is_refused_with_the_limit() {
    let fixture = Fixture::start().await;
    let viewer = fixture.token("viewer", &[]).await;
    for scope in ["region", "customer", "engineer", "model", "kiosk", "site"] {
        for path in ["/api/v1/uptime", "/uptime"] {
            let ask = async |letters: usize| {
                let name = "%E5%8C%97".repeat(letters);
                fixture.get(&format!("{path}?scope={scope}&id={name}"), &viewer).await
            };
            let refused = ask(1_001).await;
            assert_eq!(refused.status, 422, "{path} {scope}: {}", refused.text);
            assert!(refused.text.contains("at most 1000 characters, this one has 1001"), "{}", refused.text);
            if !["kiosk", "site"].contains(&scope) {
                assert_eq!(ask(1_000).await.status, 200, "{path} {scope}");
            }
        }
    }
}

#[tokio::test]
async fn a_quarter_is_judged_by_the_highest_promise_of_its_months() {
    let fixture = Fixture::start().await;
    let month: Month = "2026-04".parse().unwrap();
    let promised = |month, target| {
        // 99.5 % of the month.
        let Change::Month(mut row) = signed(month, "K-1", "near", None, 1, 12_960) else { unreachable!() };
        row.target = target;
        Change::Month(row)
    };
    let rows = [promised(month, (999, 1_000)), promised(month.next(), (99, 100))];
    fixture.app.store().commit(&rows).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    let path = |span: &str| format!("/uptime?month=2026-05&span={span}&by=kiosk&measure=on");
    let missed = async |span: &str| {
        let page = fixture.get(&path(span), &viewer).await.text;
        page.contains("▼ ")
    };
    assert!(!missed("month").await, "99.5 % and 99 % of May were more than 99 %");
    assert!(missed("quarter").await, "and less than the 99.9 % of April");
    // Of a region that had a kiosk in May only: nothing was promised for its April and June.
    // 98.1 %: more than was promised then, and less than is promised now.
    let Change::Month(mut row) = signed(month.next(), "K-2", "far", None, 1, 50_000) else { unreachable!() };
    (row.target, row.region) = ((95, 100), "new".into());
    fixture.app.store().commit(&[Change::Month(row)]).await.unwrap();
    let path = "/uptime?scope=region&id=new&month=2026-05&by=kiosk&measure=on&span=quarter";
    let page = fixture.get(path, &viewer).await.text;
    assert!(page.contains("95.00%") && !page.contains("▼ "), "an empty month promises nothing: {page}");
}

#[tokio::test]
async fn a_signed_month_shows_what_was_signed_and_says_where_its_intervals_come_to_another_figure() {
    let fixture = Fixture::start().await;
    let month: Month = "2026-04".parse().unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    let page = async || fixture.get("/kiosks/K-1/uptime?month=2026-04", &viewer).await.text;
    let unsigned = page().await;
    assert!(!unsigned.contains("已定稿") && !unsigned.contains("· v"), "{unsigned}");
    let Change::Month(mut row) = signed(month, "K-1", "near", None, 1, 7_000) else { unreachable!() };
    row.target = (999, 1_000);
    fixture.app.store().commit(&[Change::Month(row)]).await.unwrap();
    let page = page().await;
    let whole = month.period(chrono_tz::Asia::Shanghai).length();
    let shown = [numbers(&page, "data-num"), numbers(&page, "data-den")].map(|all| all[..3].to_vec());
    assert_eq!(shown, [vec![whole - 7_000, whole - 14_000, whole - 21_000], vec![whole; 3]]);
    assert!(page.contains("已定稿 · v1"), "{page}");
    assert!(
        page.contains("按现在保留的证据、更正记录、日历与配置，以下区间合计不同；已定稿: v1 = 99.7"),
        "{page}"
    );
    assert!(page.contains("99.90%"), "what was promised then: {page}");
    let api = "/api/v1/uptime?scope=kiosk&id=K-1&month=2026-04";
    let official = fixture.get(api, &viewer).await.json();
    assert_eq!(
        (&official["version"], &official["target"]["num"], &official["target"]["met"]),
        (&1.into(), &999.into(), &false.into())
    );
    let running = fixture.get("/api/v1/uptime?scope=kiosk&id=K-1", &viewer).await.json();
    assert_eq!((&running["version"], &running["frozen_at"]), (&0.into(), &serde_json::Value::Null));
    assert_eq!(running["target"]["num"], 99, "what is promised now");
    for wrong in ["2026-13", "2026-1", "+026-10"] {
        let path = format!("/api/v1/uptime?month={}", wrong.replace('+', "%2B"));
        assert_eq!(fixture.get(&path, &viewer).await.status, 400, "{wrong}");
    }
    let cards = page.split("class=\"ratios\"").nth(1).unwrap().split("</ul>").next().unwrap();
    assert_eq!(cards.matches("class=\"badge").count(), 2, "full function is nobody's target: {cards}");
}

#[tokio::test]
async fn whom_a_kiosk_left_still_reads_its_time_with_them_and_nothing_of_what_came_after() {
    let fixture = Fixture::start().await;
    let store = fixture.app.store();
    let now = fixture.app.clock().now();
    let month = Month::at(chrono_tz::Asia::Shanghai, now.secs()).previous();
    let begins = Timestamp(month.period(chrono_tz::Asia::Shanghai).from * 1_000);
    let day = |n: i64| begins.plus_ms(n * 1_440 * MINUTE);
    let id = KioskId::new("K-1").unwrap();
    let mut kiosk = store.kiosk(&crate::store::Scope::All, &id).await.unwrap().unwrap().kiosk;
    kiosk.commissioned_at = Some(begins);
    let stood = |site: &str, from, to| {
        let (kiosk, group_id) = (id.clone(), site.to_owned());
        Change::Assignment(AssignmentRow { kiosk, group: GroupKind::Site, group_id, from, to })
    };
    let evidence = Change::Evidence(EvidenceRow {
        kiosk: id.clone(),
        source: EvidenceSource::Journal,
        from: day(8),
        to: day(12),
        state: EvidenceState::Full,
        cause: None,
        received_at: None,
        epoch: Some(epoch()),
        seq: Some(9),
        interval_s: None,
    });
    let moves = [stood("far", begins, Some(day(10))), stood("near", day(10), None)];
    let listening = LivenessRow { server: Uuid::from_u128(77), from: begins, to: now };
    store.commit(&[Change::Kiosk(kiosk), evidence, Change::Liveness(listening)]).await.unwrap();
    store.commit(&moves).await.unwrap();
    let (near, far) = (fixture.token("viewer", &["near"]).await, fixture.token("viewer", &["far"]).await);
    let page = format!("/kiosks/K-1/uptime?month={month}&measure=on&show=up");
    let (theirs, ours) = (fixture.get(&page, &far).await, fixture.get(&page, &near).await);
    assert_eq!((theirs.status.as_u16(), ours.status.as_u16()), (200, 200), "{}", theirs.text);
    let days = month.period(chrono_tz::Asia::Shanghai).length() / 86_400;
    for (answer, up, of) in [(&theirs, 2, 10), (&ours, 2, days - 10)] {
        let (num, den) = (numbers(&answer.text, "data-num")[0], numbers(&answer.text, "data-den")[0]);
        assert_eq!((num, den), (up * 86_400, of * 86_400));
        assert!(answer.text.contains("#9"), "the record is named: {}", answer.text);
    }
    assert!(theirs.text.contains("far ") && !theirs.text.contains("near "), "{}", theirs.text);
    // By a page of today it is somebody else's.
    assert_eq!(fixture.get("/kiosks/K-1", &far).await.status, 404);
}

#[tokio::test]
async fn time_whose_evidence_was_removed_is_said_to_be_that_and_never_down() {
    let fixture = Fixture::start().await;
    let (store, now) = (fixture.app.store(), fixture.app.clock().now());
    let zone = chrono_tz::Asia::Shanghai;
    let month = (0..20).fold(Month::at(zone, now.secs()), |month, _| month.previous());
    let span = month.period(zone);
    let id = KioskId::new("K-1").unwrap();
    let mut kiosk = store.kiosk(&crate::store::Scope::All, &id).await.unwrap().unwrap().kiosk;
    kiosk.commissioned_at = Some(Timestamp(span.from * 1_000));
    let listening = LivenessRow { server: Uuid::from_u128(77), from: Timestamp(span.from * 1_000), to: now };
    let signed = signed(month, "K-1", "near", None, 1, 7_000);
    store.commit(&[Change::Kiosk(kiosk), Change::Liveness(listening), signed]).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    for show in ["down", "left_out"] {
        let path = format!("/kiosks/K-1/uptime?month={month}&measure=on&show={show}");
        let page = fixture.get(&path, &viewer).await.text;
        assert!(page.contains("早于此日的证据已按保存期限删除") && page.contains("已定稿 · v1"), "{page}");
        assert_eq!((account(&page, "down"), account(&page, "left_out")), (0, span.length()), "{page}");
        assert_eq!(numbers(&page, "data-num")[0], span.length() - 7_000, "what was signed stands");
        let told = page.contains("该时段的证据已按保存期限删除");
        assert_eq!(told, show == "left_out", "{page}");
        assert!(!page.contains("服务器无法接收") && !page.contains("没有任何记录"), "it listened: {page}");
    }
    let (from, to) = (Timestamp(span.from * 1_000), Timestamp(span.from * 1_000 + 86_400_000));
    let timeline = format!("/api/v1/kiosks/K-1/timeline?from={from}&to={to}");
    let timeline = fixture.get(&timeline, &viewer).await.json();
    assert_eq!(timeline["intervals"].as_array().unwrap().len(), 1, "{timeline}");
    let interval = &timeline["intervals"][0];
    assert_eq!(
        (interval["state"].as_str(), interval["server_down"].as_bool()),
        (Some("UNKNOWN"), Some(false))
    );
    assert!(timeline["kept_from"].as_str().unwrap() > to.to_string().as_str(), "{timeline}");
}

#[tokio::test]
async fn nothing_is_called_removed_that_an_unsigned_month_is_made_of() {
    let fixture = Fixture::start().await;
    let (store, now) = (fixture.app.store(), fixture.app.clock().now());
    let zone = chrono_tz::Asia::Shanghai;
    let month = (0..20).fold(Month::at(zone, now.secs()), |month, _| month.previous());
    let span = month.period(zone);
    let (from, to) = (Timestamp(span.from * 1_000), Timestamp(span.to * 1_000));
    let id = KioskId::new("K-1").unwrap();
    let mut kiosk = store.kiosk(&crate::store::Scope::All, &id).await.unwrap().unwrap().kiosk;
    kiosk.commissioned_at = Some(from);
    let listening = LivenessRow { server: Uuid::from_u128(77), from, to };
    let unsigned = signed(month, "K-1", "near", None, 0, 7_000);
    store.commit(&[Change::Kiosk(kiosk), Change::Liveness(listening), unsigned]).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    let page = fixture.get(&format!("/kiosks/K-1/uptime?month={month}&measure=on"), &viewer).await.text;
    assert!(!page.contains("早于此日的证据已按保存期限删除"), "{page}");
    assert_eq!((account(&page, "down"), account(&page, "left_out")), (span.length(), 0), "{page}");
    let timeline = format!("/api/v1/kiosks/K-1/timeline?from={from}&to={to}");
    let timeline = fixture.get(&timeline, &viewer).await.json();
    assert_eq!(timeline["kept_from"], from.to_string(), "{timeline}");
}

#[tokio::test]
async fn a_record_that_was_removed_is_told_from_one_that_never_was() {
    let fixture = Fixture::start().await;
    let (store, now) = (fixture.app.store(), fixture.app.clock().now());
    let id = KioskId::new("K-1").unwrap();
    let head = JournalHeadRow {
        kiosk: id.clone(),
        epoch: epoch(),
        upto: 1,
        digest: None,
        first_seen_at: now,
        cursor: "{}".into(),
    };
    store.commit(&[Change::JournalHead(head)]).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    let page = async |seq: u64| fixture.get(&format!("/kiosks/K-1/records/{}/{seq}", epoch()), &viewer).await;
    assert_eq!(page(1).await.status, 200);
    let later = now.plus_ms(1_000);
    assert_eq!(store.remove_of_kiosks(Kept::JournalRecord, &[id], later, 9).await.unwrap(), 1);
    let removed = page(1).await;
    assert_eq!(removed.status, 410);
    assert!(removed.text.contains("这条日志记录已入账，保存期满后删除了原文"), "{}", removed.text);
    assert_eq!(page(2).await.status, 404);
}

#[tokio::test]
async fn an_engineer_is_shown_what_they_answer_for_and_both_promises_are_judged() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let month = Month::at(chrono_tz::Asia::Shanghai, fixture.app.clock().now().secs()).previous();
    let rows =
        [signed(month, "K-1", "near", Some("li"), 0, 100), signed(month, "K-1", "near", Some("li"), 1, 100)];
    fixture.app.store().commit(&rows).await.unwrap();
    let ask = async |scope: &str| {
        fixture.get(&format!("/api/v1/uptime?scope={scope}&month={month}"), &admin).await.json()
    };
    let theirs = ask("engineer&id=li").await;
    let (avail, engineer) = (&theirs["avail"], &theirs["engineer"]);
    assert_eq!(engineer["num"], avail["num"]);
    // All of it was the customer's power.
    assert_eq!(engineer["den"].as_i64().unwrap(), avail["den"].as_i64().unwrap() - 200, "{theirs}");
    assert_eq!(ask("kiosk&id=K-1").await["engineer"], serde_json::Value::Null);
    let lost = |target: &str| {
        let one = &theirs[target];
        one["allowed_down_s"].as_i64().unwrap() - one["left_s"].as_i64().unwrap()
    };
    assert_eq!((lost("target_on"), lost("target")), (100, 200), "{theirs}");
    assert_eq!(theirs["insufficient_data"], false);
    let page = fixture.get(&format!("/uptime?scope=engineer&id=li&month={month}"), &admin).await.text;
    assert!(page.contains("工程师可用率") && page.contains("100.00%"), "{page}");
    let other = fixture.get(&format!("/uptime?month={month}"), &admin).await.text;
    assert!(!other.contains("工程师可用率"), "{other}");
}

#[tokio::test]
async fn hours_that_cannot_be_read_are_a_caution_on_the_pages_that_count_by_them() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let site = fixture.app.store().site(&Scope::All, &"near".parse().unwrap()).await.unwrap().unwrap();
    let row = kioskwatch_domain::change::SiteRow { timezone: "Mars/Base".into(), ..site };
    fixture.app.store().commit(&[Change::Site(row)]).await.unwrap();
    for path in ["/uptime", "/uptime?scope=site&id=near", "/kiosks/K-1/uptime"] {
        let page = fixture.get(path, &admin).await.text;
        assert!(page.contains("营业时间或时区无法读取") && page.contains("Mars/Base"), "{path}: {page}");
    }
    for path in ["/uptime?scope=site&id=far", "/kiosks/K-2/uptime"] {
        let page = fixture.get(path, &admin).await.text;
        assert!(!page.contains("营业时间或时区无法读取"), "{path}: {page}");
    }
}

#[tokio::test]
async fn a_month_in_which_nothing_counted_is_called_neither_signed_nor_perfect() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    for path in ["/uptime?month=2020-01", "/uptime?month=2020-01&scope=region&id=nowhere"] {
        let page = fixture.get(path, &admin).await.text;
        assert!(page.contains("无应计时间"), "{path}: {page}");
        for invented in ["v0", "所有终端全程正常", "1970-01-01"] {
            assert!(!page.contains(invented), "{path} says {invented}: {page}");
        }
    }
}
