use kioskwatch_domain::change::Change;
use kioskwatch_proto::KioskId;

use super::AUTO_PER_KIOSK;
use crate::{
    app::testing,
    config::{Config, PerKiosk},
};

/// The lines of a scrape that name a kiosk, with that many in the fleet.
async fn of_single_kiosks(per_kiosk: PerKiosk, kiosks: usize) -> usize {
    let mut config = Config::default();
    config.monitoring.per_kiosk = per_kiosk;
    let (app, _requests, _folder) = testing::app(config, |now| {
        let id = |n| KioskId::new(&format!("K-{n:05}")).unwrap();
        (0..kiosks).map(|n| Change::Kiosk(testing::kiosk(id(n), now))).collect()
    })
    .await;
    let page = app.counters().page(&app.figures().await);
    assert!(page.contains(&format!("kioskwatch_kiosks{{state=\"unknown\"}} {kiosks}\n")), "{page}");
    page.lines().filter(|line| line.contains("kiosk=\"K-")).count()
}

#[tokio::test]
async fn single_kiosks_have_series_of_their_own_when_it_is_asked_for_or_the_fleet_is_small() {
    // Never heard, no devices: up and in service are all there is to say.
    assert_eq!(of_single_kiosks(PerKiosk::On, 3).await, 6);
    assert_eq!(of_single_kiosks(PerKiosk::Off, 3).await, 0);
    assert_eq!(of_single_kiosks(PerKiosk::Auto, AUTO_PER_KIOSK).await, 2 * AUTO_PER_KIOSK);
    assert_eq!(of_single_kiosks(PerKiosk::Auto, AUTO_PER_KIOSK + 1).await, 0);
    assert_eq!(of_single_kiosks(PerKiosk::On, AUTO_PER_KIOSK + 1).await, 2 * (AUTO_PER_KIOSK + 1));
}
