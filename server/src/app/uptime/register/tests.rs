use kioskwatch_domain::{
    change::{Change, KioskStateRow, Zone},
    fleet::RefusalKind,
};

use super::*;
use crate::{
    app::{RequestError, testing},
    config::Config,
};

fn site(id: &str, service_hours: &str) -> SiteRow {
    SiteRow {
        id: id.parse().unwrap(),
        name: "hall".into(),
        region: String::new(),
        customer: String::new(),
        zone: Zone::Urban,
        timezone: "Asia/Shanghai".into(),
        service_hours: service_hours.into(),
        contacts: "[]".into(),
        remote_consent: false,
        updated_at: Timestamp(0),
    }
}

#[tokio::test]
async fn nobody_takes_a_kiosk_that_is_down_out_of_service_or_to_a_closed_site_alone() {
    let states = [
        ("works", PresenceVerdict::Online, Some(ServiceState::Degraded)),
        ("silent", PresenceVerdict::Offline, Some(ServiceState::InService)),
        ("jammed", PresenceVerdict::Online, Some(ServiceState::OutOfService)),
        ("unheard", PresenceVerdict::Unknown, None),
    ];
    let (app, _requests, _folder) = testing::app(Config::default(), |now| {
        let since = now.plus_ms(-172_800_000);
        let sites = [site("hall", ""), site("other", ""), site("store", r#"[{"weekly":{}}]"#)];
        let kiosks = states.iter().flat_map(|(id, presence, service)| {
            let row = testing::kiosk(id.parse().unwrap(), since);
            let state = KioskStateRow {
                kiosk: row.id.clone(),
                presence: *presence,
                presence_since: since,
                presence_reason: "heartbeat".into(),
                last_seen_at: Some(since),
                session: None,
                boot: None,
                epoch: None,
                interval_s: 30,
                service: *service,
                service_since: Some(since),
                service_cause: None,
                peripherals: "{}".into(),
                inventory: String::new(),
                clock_offset_ms: None,
                command_counter: 0,
            };
            let stands = KioskRow { site: Some("hall".parse().unwrap()), ..row };
            [Change::Kiosk(stands), Change::KioskState(Box::new(state))]
        });
        sites.map(Change::Site).into_iter().chain(kiosks).collect()
    })
    .await;
    let now = app.clock().now();
    for (id, free) in [("works", true), ("silent", false), ("jammed", false), ("unheard", true)] {
        let was = app.store().kiosk(&Scope::All, &id.parse().unwrap()).await.unwrap().unwrap().kiosk;
        let noted = Known::default();
        let may = async |is: KioskRow| match app.check_kiosk(now, (Some(&was), &noted), &is).await {
            Ok(()) => true,
            Err(DecisionError::Request(RequestError::Refused(refusal))) => {
                assert!(refusal.reason.contains("is down since"), "{id}: {}", refusal.reason);
                false
            }
            Err(error) => panic!("{id}: {error}"),
        };
        let at = |id: &str| KioskRow { site: Some(id.parse().unwrap()), ..was.clone() };
        assert_eq!(may(KioskRow { decommissioned_at: Some(now), ..was.clone() }).await, free, "{id} leaves");
        assert_eq!(may(at("store")).await, free, "{id} goes where nothing is open");
        assert!(may(at("other")).await && may(was.clone()).await, "{id}: elsewhere it answers as before");
    }
}

#[tokio::test]
async fn a_site_is_judged_by_what_it_is_once_nobody_decides_any_more() {
    let site = site("S-1", "");
    let (app, mut requests, _folder) = testing::app(Config::default(), |now| {
        let kiosk = testing::kiosk("K-1".parse().unwrap(), now.plus_ms(-172_800_000));
        vec![Change::Site(site.clone()), Change::Kiosk(KioskRow { site: Some(site.id.clone()), ..kiosk })]
    })
    .await;
    let store = app.store().clone();
    let deciding = app.books().decisions.begin().await.unwrap();
    let renamed = SiteRow { name: "renamed".into(), ..site.clone() };
    let (actor, theirs) = (Actor { name: "admin".into() }, app.clone());
    let put = tokio::spawn(async move { theirs.put_site(actor, renamed).await });
    for _ in 0..50 {
        store.site(&Scope::All, &site.id).await.unwrap();
    }
    // What two people decided meanwhile is nobody's to undo by a name.
    let corrected = SiteRow { service_hours: r#"[{"weekly":{}}]"#.into(), ..site };
    store.commit(&[Change::Site(corrected)]).await.unwrap();
    drop(deciding);
    tokio::select! {
        outcome = put => {
            let refused = outcome.unwrap().unwrap_err();
            let DecisionError::Request(RequestError::Refused(refusal)) = refused else { panic!("{refused:?}") };
            assert_eq!(refusal.kind, RefusalKind::Conflict);
        }
        _ = requests.0.recv() => panic!("judged by hours that were corrected"),
    }
}
