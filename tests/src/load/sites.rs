//! The fleet behind the virtual kiosks as an office keeps it: sites with customer, region and opening hours, an engineer
//! for each kiosk. A server that knows none of it takes less memory and has less to count.
use kioskwatch_domain::change::{Admission, AssignmentRow, Change, GroupKind, KioskRow, SiteRow, Zone};
use kioskwatch_proto::{SiteId, Timestamp};
use kioskwatch_server::store::Store;

use super::kiosk::{VirtualKiosk, now};

const KIOSKS_A_SITE: u32 = 3;
const REGIONS: u32 = 30;
const CUSTOMERS: u32 = 7;
/// Kiosks in the hands of one engineer.
const KIOSKS_AN_ENGINEER: u32 = 250;
/// Kiosks in one commit: whole sites.
const AT_ONCE: u32 = 1_000 * KIOSKS_A_SITE;
/// Rows of their own for each day, and yet always open: a kiosk that is called offline by mistake has its ticket at once,
/// and not on the next morning.
const HOURS: &str = r#"[{"weekly":{"mon":[["00:00","24:00"]],"tue":[["00:00","24:00"]],"wed":[["00:00","24:00"]],"thu":[["00:00","24:00"]],"fri":[["00:00","24:00"]],"sat":[["00:00","24:00"]],"sun":[["00:00","24:00"]]}}]"#;

/// Writes the sites, the kiosks and who answers for them into a database that has none; `further` is written with each
/// kiosk.
pub async fn found<C: IntoIterator<Item = Change>>(
    kiosks: u32,
    url: &str,
    further: impl Fn(VirtualKiosk, Timestamp) -> C,
) -> Result<(), String> {
    let store = Store::open(url).await.map_err(|e| e.to_string())?;
    let since = now().plus_ms(-60_000);
    for from in (0..kiosks).step_by(AT_ONCE as usize) {
        let some = (from..kiosks.min(from + AT_ONCE)).map(VirtualKiosk);
        let changes: Vec<Change> =
            some.flat_map(|kiosk| rows(kiosk, since).chain(further(kiosk, since))).collect();
        store.commit(&changes).await.map_err(|e| e.to_string())?;
    }
    store.close().await;
    Ok(())
}

/// The site with its first kiosk, the kiosk, and whose it is.
fn rows(kiosk: VirtualKiosk, since: Timestamp) -> impl Iterator<Item = Change> {
    let site = (kiosk.0.is_multiple_of(KIOSKS_A_SITE)).then(|| site(kiosk, since));
    let row = KioskRow {
        id: kiosk.id(),
        site: Some(site_id(kiosk)),
        admission: Admission::Accepted,
        model: format!("KT-{}", kiosk.0 % 3),
        serial_no: format!("{:08}", kiosk.0),
        commissioned_at: Some(since),
        decommissioned_at: None,
        updated_at: since,
    };
    let engineer = format!("engineer {}", kiosk.0 / KIOSKS_AN_ENGINEER);
    let owners = [(GroupKind::Site, site_id(kiosk).to_string()), (GroupKind::Engineer, engineer)];
    let owners = owners.map(|(group, group_id)| {
        let kiosk = kiosk.id();
        Change::Assignment(AssignmentRow { kiosk, group, group_id, from: since, to: None, said: None })
    });
    site.into_iter().chain([Change::Kiosk(row)]).chain(owners)
}

fn site_id(kiosk: VirtualKiosk) -> SiteId {
    SiteId::new(&format!("S-{:07}", kiosk.0 / KIOSKS_A_SITE)).expect("letters and digits")
}

fn site(kiosk: VirtualKiosk, since: Timestamp) -> Change {
    let place = kiosk.0 / KIOSKS_A_SITE;
    Change::Site(SiteRow {
        id: site_id(kiosk),
        name: format!("site {place}"),
        region: format!("R-{}", place % REGIONS),
        customer: format!("C-{}", place % CUSTOMERS),
        zone: Zone::Urban,
        timezone: "Asia/Shanghai".to_owned(),
        service_hours: HOURS.to_owned(),
        contacts: r#"[{"name":"the shop","phone":"000"}]"#.to_owned(),
        remote_consent: false,
        updated_at: since,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kioskwatch_domain::service_hours::Schedule;

    use super::*;

    #[test]
    fn three_kiosks_stand_at_each_site_which_comes_first_and_has_opening_hours() {
        let mut kiosks_at: BTreeMap<SiteId, u32> = BTreeMap::new();
        let mut owned = 0;
        for change in (0..AT_ONCE).map(VirtualKiosk).flat_map(|kiosk| rows(kiosk, Timestamp(0))) {
            match change {
                Change::Site(site) => {
                    assert_ne!(Schedule::entered(&site.service_hours).unwrap(), Schedule::always_open());
                    assert_eq!(kiosks_at.insert(site.id, 0), None);
                }
                Change::Kiosk(kiosk) => *kiosks_at.get_mut(&kiosk.site.unwrap()).unwrap() += 1,
                Change::Assignment(_) => owned += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((kiosks_at.len(), owned), (1_000, 2 * AT_ONCE));
        assert!(kiosks_at.values().all(|kiosks| *kiosks == KIOSKS_A_SITE), "{kiosks_at:?}");
    }
}
