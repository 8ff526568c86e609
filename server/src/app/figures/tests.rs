use std::{sync::mpsc, time::Duration};

use futures_util::poll;
use kioskwatch_domain::change::{
    Admission, Change, ExclusionRow, IncidentRow, KioskRow, PresenceVerdict, SiteRow, TicketRow, TicketState,
    Zone,
};
use kioskwatch_proto::{KioskId, Timestamp, faults::FaultCode, words::Severity};
use uuid::Uuid;

use super::AUTO_PER_KIOSK;
use crate::{
    app::testing,
    config::{Config, PerKiosk},
};

const HOUR: i64 = 3_600_000;

/// The lines of a scrape that name a kiosk, with that many in the fleet.
async fn of_single_kiosks(per_kiosk: PerKiosk, kiosks: usize) -> usize {
    let mut config = Config::default();
    config.monitoring.per_kiosk = per_kiosk;
    let (app, _requests, _folder) = testing::app(config, |now| {
        let id = |n| KioskId::new(&format!("K-{n:05}")).unwrap();
        // One more was here once: it takes nobody's place.
        let retired = testing::kiosk("retired".parse().unwrap(), now.plus_ms(-HOUR));
        let retired = Change::Kiosk(KioskRow { decommissioned_at: Some(now), ..retired });
        (0..kiosks).map(|n| Change::Kiosk(testing::kiosk(id(n), now))).chain([retired]).collect()
    })
    .await;
    let page = app.counters().page(&app.figures().await);
    assert!(page.contains(&format!("kioskwatch_kiosks{{state=\"unknown\"}} {kiosks}\n")), "{page}");
    page.lines().filter(|line| line.contains("kiosk=\"K-")).count()
}

#[tokio::test]
async fn single_kiosks_have_series_of_their_own_when_it_is_asked_for_or_the_fleet_is_small() {
    // Never heard, no devices: up, expected and in service are all there is to say.
    assert_eq!(of_single_kiosks(PerKiosk::On, 3).await, 9);
    assert_eq!(of_single_kiosks(PerKiosk::Off, 3).await, 0);
    assert_eq!(of_single_kiosks(PerKiosk::Auto, AUTO_PER_KIOSK).await, 3 * AUTO_PER_KIOSK);
    assert_eq!(of_single_kiosks(PerKiosk::Auto, AUTO_PER_KIOSK + 1).await, 0);
    assert_eq!(of_single_kiosks(PerKiosk::On, AUTO_PER_KIOSK + 1).await, 3 * (AUTO_PER_KIOSK + 1));
}

fn site(id: &str, service_hours: &str, now: Timestamp) -> Change {
    Change::Site(SiteRow {
        id: id.parse().unwrap(),
        name: String::new(),
        region: String::new(),
        customer: String::new(),
        zone: Zone::Urban,
        timezone: "Asia/Shanghai".into(),
        service_hours: service_hours.into(),
        contacts: String::new(),
        remote_consent: false,
        updated_at: now,
    })
}

fn kiosk(id: &str, site: &str, now: Timestamp) -> KioskRow {
    KioskRow { site: Some(site.parse().unwrap()), ..testing::kiosk(id.parse().unwrap(), now.plus_ms(-HOUR)) }
}

fn excluded_now(kiosk: Option<&str>, site: Option<&str>, now: Timestamp) -> Change {
    Change::Exclusion(ExclusionRow {
        id: Uuid::new_v4(),
        kiosk: kiosk.map(|id| id.parse().unwrap()),
        site: site.map(|id| id.parse().unwrap()),
        class: "planned".into(),
        from: now.plus_ms(-HOUR),
        to: now.plus_ms(HOUR),
        requested_by: "li".into(),
        approved_by: Some("wang".into()),
        approved_at: Some(now),
        agreed_at: None,
        withdrawn: None,
        reason: "new floor".into(),
    })
}

fn robbed(kiosk: &str, now: Timestamp) -> Change {
    Change::Incident(Box::new(IncidentRow {
        id: Uuid::new_v4(),
        fingerprint: format!("{kiosk}/host/fraud_attempt"),
        kiosk: Some(kiosk.parse().unwrap()),
        site: None,
        peripheral: Some("host".parse().unwrap()),
        fault: FaultCode::new("fraud_attempt").unwrap(),
        severity: Severity::Major,
        opened_at: now,
        noticed_at: now,
        closed_at: None,
        close_reason: None,
        raw: None,
        text: None,
        ticket: None,
        triage: String::new(),
        triage_reason: String::new(),
        triage_due_at: None,
        parent: None,
    }))
}

#[tokio::test]
async fn only_kiosks_in_service_are_counted_and_only_those_that_should_be_on_are_expected() {
    let (app, _requests, _folder) = testing::app(Config::default(), |now| {
        let mut rows = vec![site("open", "", now), site("break", "", now)];
        rows.push(site("closed", r#"[{"weekly":{}}]"#, now));
        let quarantined = KioskRow { admission: Admission::Quarantined, ..kiosk("quarantined", "open", now) };
        let kiosks = [
            kiosk("works", "open", now),
            kiosk("rests", "closed", now),
            kiosk("waits", "break", now),
            kiosk("rebuilt", "open", now),
            KioskRow { commissioned_at: None, ..kiosk("not-yet", "open", now) },
            KioskRow { decommissioned_at: Some(now), ..kiosk("retired", "open", now) },
            KioskRow { admission: Admission::Refused, ..kiosk("refused", "open", now) },
            quarantined,
        ];
        rows.extend(kiosks.map(Change::Kiosk));
        rows.extend([excluded_now(Some("rebuilt"), None, now), excluded_now(None, Some("break"), now)]);
        rows.extend([robbed("retired", now), robbed("works", now)]);
        rows
    })
    .await;
    let page = app.counters().page(&app.figures().await);
    let lines = |name: &str| -> Vec<&str> {
        let of = page.lines().filter_map(|line| line.strip_prefix(name));
        of.filter(|rest| rest.starts_with('{')).collect()
    };
    let unknown = |count| format!("{{state=\"unknown\"}} {count}");
    assert!(lines("kioskwatch_kiosks").contains(&unknown(5).as_str()), "{page}");
    let at_sites = |counts: [u8; 3]| {
        let sites = ["break", "closed", "open"].into_iter().zip(counts);
        sites.map(|(id, n)| format!("{{site=\"{id}\",state=\"unknown\"}} {n}")).collect::<Vec<_>>()
    };
    assert_eq!(lines("kioskwatch_site_kiosks"), at_sites([1, 1, 3]));
    assert_eq!(lines("kioskwatch_site_kiosks_expected"), at_sites([0, 0, 1]));
    let mut expected = lines("kioskwatch_kiosk_expected");
    expected.sort_unstable();
    let kiosks = [("not-yet", "open", 0), ("rebuilt", "open", 0), ("rests", "closed", 0)];
    let kiosks = kiosks.into_iter().chain([("waits", "break", 0), ("works", "open", 1)]);
    let line = |(id, site, on)| format!("{{kiosk=\"{id}\",site=\"{site}\"}} {on}");
    assert_eq!(expected, kiosks.map(line).collect::<Vec<_>>());
    let robbed = r#"{kind="host",fault="fraud_attempt",severity="major"} 1"#;
    assert_eq!(lines("kioskwatch_faults_active"), [robbed], "a retired kiosk is no place of a crime");
    assert!(!page.contains("retired") && !page.contains("quarantined"), "{page}");
}

#[tokio::test]
async fn a_ticket_of_a_kiosk_that_left_is_counted_apart_and_ages_nobody() {
    let (app, _requests, _folder) = testing::app(Config::default(), |now| {
        let retired = KioskRow { decommissioned_at: Some(now), ..kiosk("retired", "open", now) };
        let mut rows = vec![site("open", "", now), Change::Kiosk(kiosk("works", "open", now))];
        rows.push(Change::Kiosk(retired));
        let tickets = [(1, Some("retired"), 100), (2, Some("works"), 50), (3, None, 20)];
        rows.extend(tickets.map(|(number, kiosk, hours)| {
            let (id, fault) = (Uuid::new_v4(), FaultCode::new("site_offline").unwrap());
            Change::Ticket(Box::new(TicketRow {
                state: TicketState::Triaged,
                kiosk: kiosk.map(|id| id.parse().unwrap()),
                site: Some("open".parse().unwrap()),
                ..TicketRow::new(id, number, fault, Timestamp((now.ms() / 1_000 - hours * 3_600) * 1_000))
            }))
        }));
        rows
    })
    .await;
    let figures = app.figures().await;
    let second = app.clock().now().ms() / 1_000;
    let page = app.counters().page(&figures);
    let value = |name: &str| -> String {
        let line = page.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{page}"));
        line.trim().to_owned()
    };
    let open = "kioskwatch_tickets_open{state=\"triaged\",priority=\"3\",class=\"maintenance\"}";
    assert_eq!(value(open), "2");
    assert_eq!(value("kioskwatch_tickets_open_out_of_service{class=\"maintenance\"}"), "1");
    let oldest = value("kioskwatch_tickets_open_oldest_timestamp_seconds{class=\"maintenance\"}");
    let hours = (second - oldest.split('.').next().unwrap().parse::<i64>().unwrap()) / 3_600;
    assert_eq!(hours, 50, "the ticket of who left is older");
}

/// The hub has its turns on the threads that everybody shares.
#[tokio::test]
async fn a_scrape_is_counted_beside_all_else_and_no_two_at_once() {
    let (app, _requests, _folder) = testing::app(Config::default(), |_| Vec::new()).await;
    let ((held, is_held), (let_go, may_go)) = (mpsc::channel(), mpsc::channel());
    let changed = app.clone();
    let change = std::thread::spawn(move || {
        let fleet = changed.fleet_mut();
        held.send(()).unwrap();
        let told = may_go.recv_timeout(Duration::from_secs(20));
        drop(fleet);
        told
    });
    is_held.recv().unwrap();
    let mut gone = Box::pin(app.figures());
    assert!(poll!(&mut gone).is_pending());
    drop(gone);
    assert!(app.shared.figuring.try_lock().is_err(), "it is counted to its end");
    let (figures, ()) = tokio::join!(app.figures(), async { let_go.send(()).unwrap() });
    assert_eq!(change.join().unwrap(), Ok(()), "another task had its turn meanwhile");
    assert_eq!(figures.kiosks.len(), PresenceVerdict::ALL.len());
}

#[tokio::test]
#[should_panic(expected = "secret")]
async fn a_defect_met_while_counting_is_told_as_one_of_whoever_asked() {
    let (app, _requests, _folder) = testing::app(Config::default(), |_| Vec::new()).await;
    let _: () = app.beside(|_| panic!("secret")).await;
}
