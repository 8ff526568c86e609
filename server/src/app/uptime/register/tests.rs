use kioskwatch_domain::{
    change::{
        Change, EvidenceRow, EvidenceState, ExclusionRow, KioskStateRow, LivenessRow, PresenceVerdict, Zone,
    },
    fleet::RefusalKind,
};
use kioskwatch_proto::words::ServiceState;

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
    const MINUTE: i64 = 60_000;
    /// What was heard last of each, whether it was called offline since, and whether one person may take it away.
    const CASES: [(&str, Option<EvidenceState>, i64, bool, bool); 6] = [
        ("works", Some(EvidenceState::Degraded), 0, false, true),
        // Between two heartbeats.
        ("breathes", Some(EvidenceState::Full), 1, false, true),
        ("silent", Some(EvidenceState::Full), 10, true, false),
        ("jammed", Some(EvidenceState::Oos), 0, false, false),
        ("unheard", None, 0, false, true),
        // Its site closed an hour ago, and somebody switched it off then.
        ("dark", Some(EvidenceState::Full), 60, true, true),
    ];
    let (app, _requests, _folder) = testing::app(Config::default(), |now| {
        let since = now.plus_ms(-3 * 60 * MINUTE);
        let closed = site("store", r#"[{"weekly":{}}]"#);
        // Open until an hour ago.
        let forgiven = Change::Exclusion(ExclusionRow {
            id: uuid::Uuid::from_u128(1),
            kiosk: Some("dark".parse().unwrap()),
            site: None,
            class: "force_majeure".into(),
            from: now.plus_ms(-60 * MINUTE),
            to: now.plus_ms(60 * MINUTE),
            requested_by: "li".into(),
            approved_by: Some("wang".into()),
            approved_at: Some(since),
            agreed_at: None,
            reason: "flood".into(),
            withdrawn: None,
        });
        let hearing = LivenessRow { server: uuid::Uuid::from_u128(1), from: since, to: now.plus_ms(MINUTE) };
        let sites = [site("hall", ""), site("other", ""), closed].map(Change::Site);
        let kiosks = CASES.iter().flat_map(|(id, heard, ago, is_offline, _)| {
            let row = testing::kiosk(id.parse().unwrap(), since);
            let id = row.id.clone();
            let presence = if *is_offline { PresenceVerdict::Offline } else { PresenceVerdict::Online };
            let evidence = heard.map(|state| {
                let Change::Evidence(row) = testing::whole(id.clone(), since, now.plus_ms(-ago * MINUTE))
                else {
                    unreachable!()
                };
                Change::Evidence(EvidenceRow { state, ..row })
            });
            let stands = KioskRow { site: Some("hall".parse().unwrap()), ..row };
            [Change::Kiosk(stands), Change::KioskState(Box::new(state(id, presence, since)))]
                .into_iter()
                .chain(evidence)
        });
        sites.into_iter().chain(kiosks).chain([forgiven, Change::Liveness(hearing)]).collect()
    })
    .await;
    let now = app.clock().now();
    for (id, _, _, _, free) in CASES {
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

fn state(kiosk: KioskId, presence: PresenceVerdict, since: Timestamp) -> KioskStateRow {
    KioskStateRow {
        kiosk,
        presence,
        presence_since: since,
        presence_reason: "heartbeat".into(),
        last_seen_at: Some(since),
        session: None,
        boot: None,
        epoch: None,
        interval_s: 30,
        service: Some(ServiceState::InService),
        service_since: Some(since),
        service_cause: None,
        peripherals: "{}".into(),
        inventory: String::new(),
        clock_offset_ms: None,
        command_counter: 0,
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
