//! The pages behind a percentage: what they list adds up to the figure they show.
mod groups;
mod listed;
mod removed;

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

use super::fixture::{Fixture, HOSTILE, epoch, rows};
use crate::config::Config;

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
            withdrawn: None,
            reason: "flood".into(),
        }),
    ];
    let evidence = |source, from: i64, to: i64, state| {
        Change::Evidence(EvidenceRow {
            kiosk: kiosk.clone(),
            source,
            from: now.plus_ms(-from * MINUTE),
            to: now.plus_ms(-to * MINUTE),
            state,
            cause: (state == EvidenceState::Off).then(|| "power".into()),
            received_at: None,
            epoch: None,
            seq: None,
            interval_s: None,
        })
    };
    let states = [EvidenceState::Off, EvidenceState::Full, EvidenceState::Oos, EvidenceState::Degraded];
    for minute in 0..380_i64 {
        let state = states[usize::try_from(minute % 4).unwrap()];
        changes.push(evidence(EvidenceSource::Journal, 1_300 - minute, 1_299 - minute, state));
    }
    // Its heartbeats alone were heard.
    changes.push(evidence(EvidenceSource::Live, 900, 880, EvidenceState::Full));
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

/// What is listed beside the interval in which a second lies.
fn beside(pages: &str, second: i64) -> &str {
    let mut all = pages.split("<details id=\"i").skip(1).map(|one| one.split("</details>").next().unwrap());
    let found = all.find(|one| {
        let from: i64 = one.split('"').next().unwrap().parse().unwrap();
        (from..from + numbers(one, "data-seconds")[0]).contains(&second)
    });
    found.unwrap_or_else(|| panic!("nothing is listed of {second}: {pages}"))
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
    let [journal, heartbeats, outage, exclusion] =
        ["<b>终端日志</b>", "<b>心跳</b>", "<b>服务器无法接收或保存</b>", "<b>已批准剔除</b>"];
    let speaks = |pages: &str, minutes_ago: i64, kinds: &[&str], words: &[&str]| {
        let one = beside(pages, now.plus_ms(-minutes_ago * MINUTE).secs());
        let all = [journal, heartbeats, outage, exclusion];
        let named: Vec<&str> = all.into_iter().filter(|kind| one.contains(kind)).collect();
        assert_eq!(named, kinds, "{one}");
        assert!(words.iter().all(|word| one.contains(word)), "{words:?}: {one}");
    };
    let record = format!("/kiosks/K-1/records/{}/1", epoch());
    // What it said while the server was away.
    speaks(&page("down", "avail").await, 30, &[journal, outage], &[&record]);
    let shown = fixture.get(&record, &viewer).await.text;
    assert!(shown.contains("<pre class=\"raw\">") && shown.contains("{{7919*7907}}"), "{shown}");
    speaks(&page("up", "full").await, 890, &[heartbeats], &[]);
    speaks(&page("outside", "on").await, 100, &[exclusion], &["flood", "manager"]);
    speaks(&page("left_out", "on").await, 300, &[outage], &[]);
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
        version,
        site: Some(SiteId::new(site).unwrap()),
        engineer: engineer.map(Into::into),
        region: format!("region of {site}"),
        customer: HOSTILE[0].into(),
        model: "M & M".into(),
        sums,
        fingerprint: "f".into(),
        ..MonthRow::nothing(KioskId::new(kiosk).unwrap(), month, span, at(span.to + 86_400))
    }))
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
    assert!(page.contains("按现在保留的证据与更正记录，以下区间合计不同；已定稿: v1 = 99.7"), "{page}");
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
        Change::Assignment(AssignmentRow { kiosk, group: GroupKind::Site, group_id, from, to, said: None })
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
async fn hours_that_cannot_be_read_are_a_caution_on_the_pages_that_count_by_them() {
    let unread = |now| {
        let mut rows = rows(now);
        for change in &mut rows {
            if let Change::Site(site) = change
                && site.id.as_str() == "near"
            {
                site.timezone = "Mars/Base".into();
            }
        }
        rows
    };
    let fixture = Fixture::of(Config::default(), unread).await;
    let admin = fixture.token("admin", &[]).await;
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
