//! Whether every fault that was raised is one incident in a ticket: asked of the database, fault by fault.
use std::collections::{BTreeMap, BTreeSet};

use kioskwatch_server::store::{PageRequest, Scope, Store, TicketFilter};
use uuid::Uuid;

use super::kiosk::{FAULT, VirtualKiosk};

/// What the database says of one kiosk.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    kiosk: VirtualKiosk,
    /// The ticket of each incident, which may have been gathered into that of an earlier one.
    incidents: Vec<Option<Uuid>>,
}

/// How many tickets the faults of these kiosks became, each raised so often.
///
/// # Errors
/// A fault is no incident or more than one, an incident has no ticket, or a ticket is of something else.
pub async fn of_faults(
    store: &Store,
    raised: impl Iterator<Item = (VirtualKiosk, u64)>,
) -> Result<usize, String> {
    let opened = opened(store).await?;
    let mut meant = BTreeSet::new();
    for (kiosk, times) in raised.filter(|(_, times)| *times > 0) {
        let incidents = incidents(store, kiosk).await?;
        meant.extend(one_each(&Known { kiosk, incidents }, times)?);
    }
    match opened.iter().find(|(ticket, _)| !meant.contains(*ticket)) {
        None => Ok(meant.len()),
        Some((_, about)) => Err(format!("a ticket that no fault asked for: {about}")),
    }
}

/// Every ticket there is, and what it is about.
pub async fn opened(store: &Store) -> Result<BTreeMap<Uuid, String>, String> {
    let mut opened = BTreeMap::new();
    let mut page = Some(PageRequest::first());
    while let Some(request) = page {
        let tickets = store.tickets(&Scope::All, &TicketFilter::default(), &request).await;
        let tickets = tickets.map_err(|e| e.to_string())?;
        for ticket in tickets.items {
            let about = ticket.kiosk.as_ref().map_or_else(|| "a site".to_owned(), ToString::to_string);
            opened.insert(ticket.id, format!("{about}: {}", ticket.fault));
        }
        page = tickets.next_cursor.map(|cursor| request.after(cursor));
    }
    Ok(opened)
}

async fn incidents(store: &Store, kiosk: VirtualKiosk) -> Result<Vec<Option<Uuid>>, String> {
    let mut found = Vec::new();
    let mut page = Some(PageRequest::first());
    while let Some(request) = page {
        let rows = store.incidents(&Scope::All, &kiosk.id(), &request).await.map_err(|e| e.to_string())?;
        let rows = rows.ok_or_else(|| format!("{} is not known", kiosk.id()))?;
        found.extend(rows.items.iter().filter(|row| row.fault.as_str() == FAULT).map(|row| row.ticket));
        page = rows.next_cursor.map(|cursor| request.after(cursor));
    }
    Ok(found)
}

fn one_each(known: &Known, times: u64) -> Result<BTreeSet<Uuid>, String> {
    let Known { kiosk, incidents } = known;
    if incidents.len() as u64 != times {
        return Err(format!("{} raised its fault {times} times: {} incidents", kiosk.id(), incidents.len()));
    }
    let tickets: Option<BTreeSet<Uuid>> = incidents.iter().copied().collect();
    tickets.ok_or_else(|| format!("{} has an incident without a ticket", kiosk.id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_incident_and_each_incident_is_in_a_ticket() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let check = |incidents: &[Option<Uuid>], times| {
            let known = Known { kiosk: VirtualKiosk(0), incidents: incidents.to_vec() };
            one_each(&known, times).map(|tickets| tickets.len())
        };
        assert_eq!(check(&[Some(one)], 1), Ok(1));
        assert_eq!(check(&[Some(one), Some(other)], 2), Ok(2));
        assert_eq!(check(&[Some(one), Some(one)], 2), Ok(1));
        assert!(check(&[Some(one), Some(other)], 1).is_err_and(|e| e.contains("2 incidents")));
        assert!(check(&[], 1).is_err_and(|e| e.contains("0 incidents")));
        assert!(check(&[None], 1).is_err_and(|e| e.contains("without a ticket")));
    }
}
