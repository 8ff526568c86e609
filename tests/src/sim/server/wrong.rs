//! What a server decides by, and how one is built wrong: see [`Mistake`].
use std::sync::{Arc, LazyLock};

use kioskwatch_domain::{
    change::{Change, IncidentRow},
    fleet::{Input, RecordBatch},
    policy::Policy,
};
use kioskwatch_proto::{
    KioskId,
    journal::{Ack, Digest},
};

use super::Mistake;

/// How long a problem must stay gone: short enough that its ticket resolves in the minutes after the healing.
pub(in crate::sim) const RECOVER_HOLD_MS: i64 = 2 * 60_000;

static POLICY: LazyLock<Arc<Policy>> = LazyLock::new(|| {
    let mut policy = Policy::default();
    policy.tickets.recover_hold_ms = RECOVER_HOLD_MS;
    Arc::new(policy)
});
/// Of servers that were built wrong.
static WITHOUT_SETTLING: LazyLock<Arc<Policy>> = LazyLock::new(|| {
    let mut policy = Policy::clone(&POLICY);
    policy.presence.settle_ms = 0;
    Arc::new(policy)
});
static WITHOUT_RESOLVING: LazyLock<Arc<Policy>> = LazyLock::new(|| {
    let mut policy = Policy::clone(&POLICY);
    policy.tickets.recover_hold_ms = 100 * 365 * 86_400_000;
    Arc::new(policy)
});

pub(super) fn policy(mistake: Option<Mistake>) -> Arc<Policy> {
    let policy = match mistake {
        Some(Mistake::NoSettling) => &WITHOUT_SETTLING,
        Some(Mistake::TicketNeverResolved) => &WITHOUT_RESOLVING,
        _ => &POLICY,
    };
    Arc::clone(policy)
}

/// The ack a careless server would send: of the last number it saw.
pub(super) fn overstate(kiosk: &KioskId, ack: &mut Ack, inputs: &[Input]) {
    for input in inputs {
        if let Input::Batch { kiosk: from, batch, .. } = input
            && from == kiosk
            && batch.epoch == ack.epoch
            && let Some(last) = batch.records.last()
            && let Ok(record) = &last.parsed
            && record.header.seq > ack.upto
        {
            ack.upto = record.header.seq;
            ack.digest = Some(Digest::of(last.raw.as_bytes()));
        }
    }
}

/// As if the agent held nothing before the first record of its message.
pub(super) fn begin_where_it_begins(batch: &mut RecordBatch) {
    if let Some(Ok(record)) = batch.records.first().map(|record| &record.parsed) {
        batch.first = batch.first.max(record.header.seq);
    }
}

/// What a server stores that only says that it opened a ticket.
pub(super) fn without_tickets(changes: &[Change]) -> Vec<Change> {
    let kept = changes.iter().filter_map(|change| match change {
        Change::Ticket(_) | Change::TicketEvent(_) | Change::Clock(_) => None,
        Change::Incident(row) => {
            Some(Change::Incident(Box::new(IncidentRow { ticket: None, ..(**row).clone() })))
        }
        other => Some(other.clone()),
    });
    kept.collect()
}
