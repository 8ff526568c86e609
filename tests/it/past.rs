//! Months of a kiosk that an earlier server left in the database before the one of a test begins.
use kioskwatch_domain::{
    change::{
        Admission, AssignmentRow, Change, EvidenceRow, EvidenceSource, EvidenceState, GroupKind, KioskRow,
        LivenessRow, SiteRow, Zone,
    },
    interval::Interval,
    uptime::Month,
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};
use kioskwatch_server::{clock::Clock, store::Store};
use uuid::Uuid;

/// As the fleet file of a stack says of its sites, which says nothing.
const ZONE: &str = "Asia/Shanghai";
/// Who answers for the kiosk all the time.
pub(crate) const ENGINEER: &str = "Li";
/// How long the kiosk had no power in each month.
pub(crate) const OFF_S: i64 = 6 * 3_600;

/// What was written.
pub(crate) struct Past {
    /// The one before the month that runs.
    pub(crate) last_month: Month,
    /// All of it.
    pub(crate) period: Interval,
    /// When the kiosk had no power in it.
    pub(crate) off: Interval,
}

impl Past {
    /// Into an empty database: a kiosk that came three months ago and was heard ever since, but for some hours in the
    /// middle of each month, and a server that listened all the time.
    pub(crate) async fn write(url: &str, kiosk: &str, site: &str) -> Self {
        let now = Clock::start().now();
        let period = |month: Month| month.period(ZONE.parse().unwrap());
        let last_month = Month::at(ZONE.parse().unwrap(), now.secs()).previous();
        let months = [last_month.previous().previous(), last_month.previous(), last_month];
        let begin = at(period(months[0]).from);
        let mut changes = registered(&kiosk.parse().unwrap(), &site.parse().unwrap(), begin);
        changes.push(Change::Liveness(LivenessRow { server: Uuid::from_u128(1), from: begin, to: now }));
        let known = |from, to, state, cause: Option<&str>| {
            Change::Evidence(EvidenceRow {
                kiosk: kiosk.parse().unwrap(),
                source: EvidenceSource::Journal,
                from,
                to,
                state,
                cause: cause.map(Into::into),
                received_at: None,
                epoch: None,
                seq: None,
                interval_s: None,
            })
        };
        let off = months.map(|month| {
            let from = period(month).from + 14 * 86_400;
            Interval { from, to: from + OFF_S }
        });
        let mut since = begin;
        for off in off {
            changes.push(known(since, at(off.from), EvidenceState::Full, None));
            changes.push(known(at(off.from), at(off.to), EvidenceState::Off, Some("power")));
            since = at(off.to);
        }
        changes.push(known(since, now, EvidenceState::Full, None));
        let store = Store::open(url).await.unwrap();
        store.commit(&changes).await.unwrap();
        store.close().await;
        Self { last_month, period: period(last_month), off: off[2] }
    }
}

/// A kiosk, where it stands, and who answers for it.
fn registered(kiosk: &KioskId, site: &SiteId, since: Timestamp) -> Vec<Change> {
    let belongs = |group, id: &str| {
        let group_id = id.to_owned();
        Change::Assignment(AssignmentRow {
            kiosk: kiosk.clone(),
            group,
            group_id,
            from: since,
            to: None,
            said: None,
        })
    };
    vec![
        Change::Site(SiteRow {
            id: site.clone(),
            name: site.to_string(),
            region: "north".into(),
            customer: String::new(),
            zone: Zone::Urban,
            timezone: ZONE.into(),
            service_hours: String::new(),
            contacts: "[]".into(),
            remote_consent: false,
            updated_at: since,
        }),
        Change::Kiosk(KioskRow {
            id: kiosk.clone(),
            site: Some(site.clone()),
            admission: Admission::Accepted,
            model: "test-terminal".into(),
            serial_no: String::new(),
            commissioned_at: Some(since),
            decommissioned_at: None,
            updated_at: since,
        }),
        belongs(GroupKind::Site, site.as_str()),
        belongs(GroupKind::Engineer, ENGINEER),
    ]
}

fn at(second: i64) -> Timestamp {
    Timestamp(second * 1_000)
}
