//! The application on a real database, for tests inside the server.
use std::{path::PathBuf, sync::Arc};

use kioskwatch_domain::{
    calendar::WorkCalendar,
    change::{Admission, Change, EvidenceRow, EvidenceSource, EvidenceState, KioskRow, SiteRow, Zone},
    fleet::Fleet,
    policy::Policy,
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp, command::CommandSigner};
use sqlx::{Connection as _, Executor as _};
use uuid::Uuid;

use super::{App, Parts, RequestReceiver};
use crate::{
    clock::Clock,
    config::Config,
    metrics::Counters,
    mqtt::{BrokerAddress, Lane, Link, LinkOptions, Outlet},
    store::Store,
};

/// The directory of a database; it goes with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("kw-app-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn database(&self) -> String {
        format!("sqlite://{}/test.sqlite", self.0.display())
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }

    /// Does something to the database behind the server's back.
    pub(crate) async fn sabotage(&self, sql: &'static str) {
        let mut connection = sqlx::AnyConnection::connect(&self.database()).await.unwrap();
        connection.execute(sql).await.unwrap();
    }

    /// Nobody else can write to the database while this is there; who reads can.
    pub(crate) async fn held_up(&self) -> impl Sized + use<> {
        let mut connection = sqlx::AnyConnection::connect(&self.database()).await.unwrap();
        connection.execute("BEGIN IMMEDIATE").await.unwrap();
        connection
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// When every test begins: noon in Shanghai, in the middle of a month, so that an hour ago is the same day.
const NOON: &str = "2026-11-18T04:00:00.000Z";

/// With these rows committed and loaded; nobody takes its requests yet.
pub(crate) async fn app(
    config: Config,
    rows: impl FnOnce(Timestamp) -> Vec<Change>,
) -> (App, RequestReceiver, Folder) {
    let folder = Folder::new();
    let store = Store::open(&folder.database()).await.unwrap();
    let clock = Arc::new(Clock::at(Timestamp::parse(NOON).unwrap()));
    store.commit(&rows(clock.now())).await.unwrap();
    let image = store.load_image(clock.now()).await.unwrap();
    let policy = Arc::new(Policy { calendar: WorkCalendar::from_lists(&[], &[]), ..Policy::default() });
    let (app, requests) = App::new(Parts {
        config,
        clock,
        store,
        fleet: Fleet::from_image(Arc::clone(&policy), image),
        policy,
        signer: CommandSigner::from_secret("test", &[1; 32]),
        counters: Counters::new().unwrap(),
    });
    (app, requests, folder)
}

/// A defect that nobody knows of yet, in the middle of a change of the fleet.
pub(crate) fn panic_in_a_change(app: &App) -> ! {
    let _held = app.fleet_mut();
    panic!("secret")
}

/// A site that is always open.
pub(crate) fn site(id: SiteId) -> SiteRow {
    SiteRow {
        name: id.to_string(),
        id,
        region: String::new(),
        customer: String::new(),
        zone: Zone::Urban,
        timezone: "Asia/Shanghai".into(),
        service_hours: String::new(),
        contacts: String::new(),
        remote_consent: false,
        updated_at: Timestamp(0),
    }
}

/// A kiosk that stands nowhere and is in service since then.
pub(crate) fn kiosk(id: KioskId, since: Timestamp) -> KioskRow {
    KioskRow {
        id,
        site: None,
        admission: Admission::Accepted,
        model: String::new(),
        serial_no: String::new(),
        commissioned_at: Some(since),
        decommissioned_at: None,
        updated_at: since,
    }
}

/// Heartbeats that proved a kiosk whole.
pub(crate) fn whole(kiosk: KioskId, from: Timestamp, to: Timestamp) -> Change {
    Change::Evidence(EvidenceRow {
        kiosk,
        source: EvidenceSource::Live,
        from,
        to,
        state: EvidenceState::Full,
        cause: None,
        received_at: None,
        epoch: None,
        seq: None,
        interval_s: None,
    })
}

/// A connection to nobody.
pub(crate) fn link(app: &App, lane: Lane) -> (Link, Outlet) {
    let address =
        BrokerAddress { host: "127.0.0.1".into(), port: 1, tls: None, user: None, password_file: None };
    let allowance = app.config().flood.allowance();
    let options = LinkOptions { address, client_id: "test".into(), lane, allowance };
    Link::start(options, Arc::clone(app.clock())).unwrap()
}
