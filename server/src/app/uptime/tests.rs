use kioskwatch_domain::{
    change::{Admission, Change, EvidenceRow, EvidenceSource, EvidenceState, KioskRow, LivenessRow, Zone},
    uptime::Ratio,
};
use uuid::Uuid;

use super::*;

const HOUR: i64 = 3_600_000;

/// A store in a directory of its own, gone with it.
struct Shelf {
    store: Store,
    dir: std::path::PathBuf,
    config: Config,
    calendar: WorkCalendar,
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Shelf {
    async fn with(changes: &[Change]) -> Self {
        let dir = std::env::temp_dir().join(format!("kw-uptime-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&dir).unwrap();
        let store = Store::open(&format!("sqlite://{}/test.sqlite", dir.display())).await.unwrap();
        store.commit(changes).await.unwrap();
        Self { store, dir, config: Config::default(), calendar: WorkCalendar::from_lists(&[], &[]) }
    }

    async fn figures(&self, scope: UptimeScope, from: i64, to: i64, now: i64) -> UptimeAnswer {
        let live = |_: &KioskId| Vec::new();
        let reader = UptimeReader {
            store: &self.store,
            config: &self.config,
            calendar: &self.calendar,
            now: Timestamp(now),
            hears: true,
            live: &live,
        };
        let period = UptimePeriod::Between(Timestamp(from), Timestamp(to));
        reader.figures(&Scope::All, &UptimeQuery { scope, period, as_of: None }).await.unwrap()
    }
}

fn site(id: &str) -> Change {
    Change::Site(SiteRow {
        id: SiteId::new(id).unwrap(),
        name: id.to_owned(),
        region: String::new(),
        customer: String::new(),
        zone: Zone::Urban,
        timezone: "Asia/Shanghai".to_owned(),
        service_hours: String::new(),
        contacts: "[]".to_owned(),
        remote_consent: false,
        updated_at: Timestamp(0),
    })
}

fn kiosk(id: &str, at: Option<&str>) -> Change {
    Change::Kiosk(KioskRow {
        id: KioskId::new(id).unwrap(),
        site: at.map(|at| SiteId::new(at).unwrap()),
        admission: Admission::Accepted,
        model: String::new(),
        serial_no: String::new(),
        commissioned_at: Some(Timestamp(0)),
        decommissioned_at: None,
        updated_at: Timestamp(0),
    })
}

fn full(id: &str, from: i64, to: i64) -> Change {
    Change::Evidence(EvidenceRow {
        kiosk: KioskId::new(id).unwrap(),
        source: EvidenceSource::Live,
        from: Timestamp(from),
        to: Timestamp(to),
        state: EvidenceState::Full,
        cause: None,
        received_at: None,
        epoch: None,
        seq: None,
    })
}

fn alive(from: i64, to: i64) -> Change {
    Change::Liveness(LivenessRow { server: Uuid::from_u128(1), from: Timestamp(from), to: Timestamp(to) })
}

#[tokio::test]
async fn a_site_owns_only_the_kiosks_that_stood_there() {
    let shelf = Shelf::with(&[
        site("S-1"),
        site("S-2"),
        kiosk("here", Some("S-1")),
        kiosk("there", Some("S-2")),
        kiosk("nowhere", None),
        alive(0, 10 * HOUR),
        full("here", 0, 10 * HOUR),
    ])
    .await;
    let here = shelf.figures(UptimeScope::Site(SiteId::new("S-1").unwrap()), 0, 10 * HOUR, 11 * HOUR).await;
    assert_eq!((here.kiosks, here.figures.on), (1, Ratio::new(36_000, 36_000)));
    let fleet = shelf.figures(UptimeScope::Fleet, 0, 10 * HOUR, 11 * HOUR).await;
    assert_eq!((fleet.kiosks, fleet.figures.on), (3, Ratio::new(36_000, 3 * 36_000)));
}

#[tokio::test]
async fn an_outage_of_ours_at_the_end_of_a_past_period_stays_one() {
    let changes = [site("S-1"), kiosk("k", Some("S-1")), alive(0, 6 * HOUR), full("k", 0, 6 * HOUR)];
    let shelf = Shelf::with(&changes).await;
    // The server was away from hour 6 to hour 20 and is back now; the period ended at hour 10.
    let answer = shelf.figures(UptimeScope::Fleet, 0, 10 * HOUR, 20 * HOUR).await;
    assert_eq!(answer.figures.on, Ratio::new(6 * 3_600, 6 * 3_600));
    // While a server is listening, silence after its last written sign of life is the kiosk's.
    let running = shelf.figures(UptimeScope::Fleet, 0, 10 * HOUR, 6 * HOUR + 20_000).await;
    assert_eq!(running.figures.on, Ratio::new(6 * 3_600, 6 * 3_600 + 20));
}
