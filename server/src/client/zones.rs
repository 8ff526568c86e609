//! Wall clocks of the sites: people are told the time of the place, with its offset.
use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use kioskwatch_domain::wall;
use kioskwatch_proto::Timestamp;
use serde_json::Value;

/// Which site has which wall clock.
#[derive(Debug)]
pub(super) struct Zones {
    sites: BTreeMap<String, Tz>,
    /// Where no site is meant: the clock that all of them share, else UTC.
    elsewhere: Tz,
}

impl Zones {
    /// Of `/sites`.
    pub(super) fn of(sites: &Value) -> Self {
        let zone = |site: &Value| {
            let (id, zone) = (site["id"].as_str()?, site["timezone"].as_str()?);
            Some((id.to_owned(), zone.parse().ok()?))
        };
        let sites: BTreeMap<String, Tz> =
            sites["items"].as_array().into_iter().flatten().filter_map(zone).collect();
        let names: BTreeSet<&str> = sites.values().map(|zone| zone.name()).collect();
        let shared = sites.values().next().filter(|_| names.len() == 1);
        Self { elsewhere: shared.copied().unwrap_or(Tz::UTC), sites }
    }

    /// An instant of the API on the wall clock of a site; what is none stays as it is.
    pub(super) fn told(&self, site: Option<&str>, text: &str) -> String {
        let zone = site.and_then(|id| self.sites.get(id)).unwrap_or(&self.elsewhere);
        Timestamp::parse(text).map_or_else(|_| text.to_owned(), |at| wall::told(*zone, at))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_instant_is_told_on_the_wall_clock_of_its_site() {
        let site = |id: &str, zone: &str| json!({ "id": id, "timezone": zone });
        let zones = Zones::of(&json!({ "items": [site("a", "Asia/Shanghai"), site("b", "Europe/Berlin")] }));
        let at = "2026-07-01T20:30:05.123Z";
        assert_eq!(zones.told(Some("a"), at), "2026-07-02 04:30:05 +08:00");
        assert_eq!(zones.told(Some("b"), at), "2026-07-01 22:30:05 +02:00");
        assert_eq!(zones.told(None, at), "2026-07-01 20:30:05 +00:00", "two clocks: no one is meant");
        assert_eq!(zones.told(Some("a"), "-"), "-");
        let alike = Zones::of(&json!({ "items": [site("a", "Asia/Shanghai"), site("c", "Asia/Shanghai")] }));
        assert_eq!(alike.told(None, at), "2026-07-02 04:30:05 +08:00");
    }
}
