//! Whether two fleets are the same as far as commits go: for tests that rebuild one from its store.
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
};

use super::{Fleet, kiosk::Kiosk, ticket_file::TicketFile};

/// Lines of a difference that are shown.
const MAX_LINES: usize = 12;

impl Fleet {
    /// The first difference between the committed parts of two fleets. Liveness is not compared: it is
    /// rebuilt by listening. Nor is the order of lists that are sets.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        let kiosks =
            |fleet: &Self| fleet.kiosks.iter().map(|k| (k.id.clone(), sorted_kiosk(fleet, k))).collect();
        let tickets = |fleet: &Self| fleet.tickets.iter().map(|(id, t)| (*id, sorted_ticket(t))).collect();
        let running = |fleet: &Self| {
            let open = fleet.commands.iter().filter(|(_, row)| !row.state.is_final());
            open.map(|(id, row)| (*id, row.clone())).collect()
        };
        differ("kiosk", &kiosks(self), &kiosks(other))
            .or_else(|| differ("site", &self.sites, &other.sites))
            .or_else(|| differ("incident", &ordered(&self.incidents), &ordered(&other.incidents)))
            .or_else(|| differ("ticket", &tickets(self), &tickets(other)))
            .or_else(|| differ("command", &running(self), &running(other)))
            .or_else(|| (self.last_number != other.last_number).then(|| "ticket numbers".to_owned()))
    }
}

fn ordered<K: Ord + Clone, V: Clone>(map: &HashMap<K, V>) -> BTreeMap<K, V> {
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Commands that ended are remembered for a while only.
fn sorted_kiosk(fleet: &Fleet, kiosk: &Kiosk) -> Kiosk {
    let mut kiosk = kiosk.clone();
    let busy = kiosk.busy_mut();
    busy.incidents.sort_unstable();
    busy.tickets.sort_unstable();
    busy.commands.retain(|id| fleet.commands.get(id).is_some_and(|row| !row.state.is_final()));
    busy.commands.sort_unstable();
    kiosk.heads.sort_unstable_by_key(|head| head.epoch);
    kiosk
}

fn sorted_ticket(file: &TicketFile) -> TicketFile {
    let mut file = file.clone();
    file.clocks.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    file.open.sort_unstable();
    file.children.sort_unstable();
    file
}

fn differ<K, V>(what: &str, left: &BTreeMap<K, V>, right: &BTreeMap<K, V>) -> Option<String>
where
    K: Ord + Debug,
    V: PartialEq + Debug,
{
    let mut keys = left.keys().chain(right.keys());
    let key = keys.find(|key| left.get(key) != right.get(key))?;
    let (left, right) = (format!("{:#?}", left.get(key)), format!("{:#?}", right.get(key)));
    let lines = left.lines().zip(right.lines()).filter(|(a, b)| a != b);
    let lines: Vec<String> =
        lines.take(MAX_LINES).map(|(a, b)| format!("{} | {}", a.trim(), b.trim())).collect();
    Some(format!("{what} {key:?}: {}", lines.join("; ")))
}
