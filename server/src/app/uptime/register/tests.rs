use kioskwatch_domain::{
    change::{Change, Zone},
    fleet::RefusalKind,
};

use super::*;
use crate::{
    app::{RequestError, testing},
    config::Config,
};

#[tokio::test]
async fn a_site_is_judged_by_what_it_is_once_nobody_decides_any_more() {
    let site = SiteRow {
        id: "S-1".parse().unwrap(),
        name: "hall".into(),
        region: String::new(),
        customer: String::new(),
        zone: Zone::Urban,
        timezone: "Asia/Shanghai".into(),
        service_hours: String::new(),
        contacts: "[]".into(),
        remote_consent: false,
        updated_at: kioskwatch_proto::Timestamp(0),
    };
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
