//! Lists of intervals that are longer than a page, and what is listed beside an interval of a signed month.
use super::*;

const ZONE: chrono_tz::Tz = chrono_tz::Asia::Shanghai;

/// Begins to count with a month, in which the server listens.
async fn counted_since(fixture: &Fixture, month: Month) -> impl Fn(i64) -> Timestamp + use<> {
    let store = fixture.app.store();
    let begins = Timestamp(month.period(ZONE).from * 1_000);
    let id = KioskId::new("K-1").unwrap();
    let mut kiosk = store.kiosk(&crate::store::Scope::All, &id).await.unwrap().unwrap().kiosk;
    kiosk.commissioned_at = Some(begins);
    let to = fixture.app.clock().now();
    let listening = LivenessRow { server: Uuid::from_u128(77), from: begins, to };
    store.commit(&[Change::Kiosk(kiosk), Change::Liveness(listening)]).await.unwrap();
    move |minute: i64| begins.plus_ms(minute * MINUTE)
}

fn journal(from: Timestamp, to: Timestamp, state: EvidenceState) -> EvidenceRow {
    EvidenceRow {
        kiosk: KioskId::new("K-1").unwrap(),
        source: EvidenceSource::Journal,
        from,
        to,
        state,
        cause: None,
        received_at: None,
        epoch: Some(epoch()),
        seq: Some(9),
        interval_s: None,
    }
}

/// The address behind a link with these words in it.
fn link(page: &str, words: &str) -> Option<String> {
    let links =
        page.split("<a href=\"").skip(1).find(|one| one.split("</a>").next().unwrap().contains(words));
    links.map(|one| one.split(['"', '#']).next().unwrap().replace("&amp;", "&"))
}

#[tokio::test]
async fn every_interval_of_a_day_that_flaps_is_reached_by_the_links_below_the_list() {
    let fixture = Fixture::start().await;
    let month = Month::at(ZONE, fixture.app.clock().now().secs()).previous();
    let minute = counted_since(&fixture, month).await;
    let day = 2 * 1_440;
    let states = [EvidenceState::Full, EvidenceState::Off];
    let rows = (day..day + 1_440)
        .map(|n| journal(minute(n), minute(n + 1), states[usize::try_from(n % 2).unwrap()]))
        .map(Change::Evidence);
    fixture.app.store().commit(&rows.collect::<Vec<_>>()).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    let first = format!("/kiosks/K-1/uptime?month={month}&measure=on&show=down&day={month}-03");
    let (mut path, mut rows, mut pages) = (first.clone(), BTreeMap::new(), 0);
    loop {
        let page = fixture.get(&path, &viewer).await.text;
        pages += 1;
        assert_eq!(account(&page, "down"), 720 * 60);
        assert_eq!(listed(&page), 720 * 60, "with those before and after: {path}");
        let details: Vec<&str> = page.split("<details id=\"i").skip(1).collect();
        assert!((1..=200).contains(&details.len()), "{}", details.len());
        for one in details {
            let begins: i64 = one.split('"').next().unwrap().parse().unwrap();
            let seconds = numbers(one, "data-seconds")[0];
            assert_eq!(rows.insert(begins, seconds), None, "listed once");
            assert_eq!(one.matches("#9</a>").count(), 1, "with what proves it: {one}");
        }
        assert_eq!(link(&page, "个更早的区间").unwrap_or_else(|| first.clone()), first, "back to the first");
        let Some(next) = link(&page, "个后续区间") else { break };
        path = next;
    }
    assert_eq!((pages, rows.len(), rows.values().sum::<i64>()), (4, 720, 720 * 60));
}

#[tokio::test]
async fn what_arrived_after_the_freeze_is_shown_beside_a_signed_interval_as_what_did_not_count() {
    let fixture = Fixture::start().await;
    let month: Month = "2026-04".parse().unwrap();
    let minute = counted_since(&fixture, month).await;
    let end = Timestamp(month.period(ZONE).to * 1_000);
    let late = EvidenceRow {
        received_at: Some(end.plus_ms(2 * 1_440 * MINUTE)),
        ..journal(minute(8 * 1_440), minute(12 * 1_440), EvidenceState::Full)
    };
    fixture.app.store().commit(&[Change::Evidence(late)]).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    let page = async |show: &str| {
        let path = format!("/kiosks/K-1/uptime?month={month}&measure=on&show={show}");
        fixture.get(&path, &viewer).await.text
    };
    let (nobody, too_late) = ("这段时间没有任何记录", "到达过晚，未计入本期数字");
    let up = page("up").await;
    assert!(up.contains("#9</a>") && !up.contains(too_late), "nobody signed it: it counts: {up}");
    fixture.app.store().commit(&[signed(month, "K-1", "near", None, 1, 7_000)]).await.unwrap();
    assert!(!page("up").await.contains("<details"));
    let down = page("down").await;
    let [_, one] = down.split("<details").collect::<Vec<_>>()[..] else { panic!("{down}") };
    let one = one.split("</details>").next().unwrap();
    assert!(one.contains(nobody) && one.contains("#9</a>") && one.contains(too_late), "{one}");
}
