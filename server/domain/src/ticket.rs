//! The life of a ticket where no person is needed, its clocks, and the guards for those who act on it
//! (chapters 3.5 and 4.2 of the service rules).
use kioskwatch_proto::{
    Timestamp,
    faults::FaultClass,
    words::{ServiceState, Severity},
};
use uuid::Uuid;

mod because;

pub use because::{Because, Deed};

use crate::{
    change::{ClockRow, ClockState, TicketRow, TicketState, Zone},
    policy::ClockPolicy,
};

/// The actor of everything that happens by rule.
pub const BY_RULE: &str = "server";

/// One line of a ticket's history, before it has a number.
#[derive(Debug, Clone)]
pub struct Step<'a> {
    pub actor: &'a str,
    pub action: Deed,
    /// `None`: the state stays.
    pub to: Option<TicketState>,
    pub reason: String,
}

/// Whether a ticket may resolve by itself from here: not while an engineer works on the machine.
#[must_use]
pub const fn may_recover(state: TicketState) -> bool {
    state.is_open() && !matches!(state, TicketState::OnSite | TicketState::Repairing | TicketState::Resolved)
}

/// Whether a batch decision may still take a ticket in: nobody has departed (SR-110).
#[must_use]
pub const fn may_join_batch(state: TicketState) -> bool {
    matches!(
        state,
        TicketState::New
            | TicketState::Triaged
            | TicketState::Assigned
            | TicketState::Contacted
            | TicketState::Scheduled
    )
}

/// Whether a ticket may be cancelled from here without a special-case form (3.5).
#[must_use]
pub const fn may_cancel(state: TicketState) -> bool {
    matches!(
        state,
        TicketState::New
            | TicketState::Triaged
            | TicketState::PendingBatch
            | TicketState::Assigned
            | TicketState::Contacted
            | TicketState::Unreachable
            | TicketState::Scheduled
            | TicketState::WaitingParts
            | TicketState::WaitingCustomer
            | TicketState::AccessDenied
    )
}

/// What people may do with a ticket that stands so, the everyday first. Further conditions are those of each.
#[must_use]
pub fn open_to_people(state: TicketState) -> Vec<Deed> {
    let ended = matches!(state, TicketState::Closed | TicketState::CalledBack);
    let resolved = state == TicketState::Resolved;
    let offers = [
        (Deed::Note, state.is_open() || ended),
        (Deed::Resolve, state.is_open() && !resolved),
        (Deed::Close, resolved),
        (Deed::Reopen, resolved || ended),
        (Deed::Urge, state.is_open()),
        (Deed::Cancel, may_cancel(state)),
    ];
    offers.into_iter().filter_map(|(deed, offered)| offered.then_some(deed)).collect()
}

/// Where a ticket goes that comes back.
#[must_use]
pub fn state_after_return(assignee: Option<&str>) -> TicketState {
    if assignee.is_some() { TicketState::Assigned } else { TicketState::Triaged }
}

/// The closed list of grounds for cancelling (SR-091).
pub const CANCEL_GROUNDS: &[&str] = &[
    "wrong_area",
    "wrong_number",
    "unreachable",
    "reappointment",
    "customer_fixed",
    "repair_refused",
    "fee_refused",
    "mistyped",
];

/// Resolved and signed off by rule: nobody came.
pub const SELF_RECOVERED: &str = "self_recovered";

/// What closes a ticket instead of a signature, and the signature itself (SR-160, C10, C11, C35).
pub const SIGN_OFFS: &[&str] = &["signature", "phone", "timeout", "region", SELF_RECOVERED];

/// Priority from how much service is lost and who can mend it: 1 highest … 4.
#[must_use]
pub const fn priority(severity: Severity, class: FaultClass, service: Option<ServiceState>) -> u8 {
    match (severity, service, class) {
        (Severity::Major, Some(ServiceState::OutOfService), _) => 1,
        (Severity::Major, ..) => 2,
        (_, _, FaultClass::Maintenance | FaultClass::Replacement) => 3,
        (_, _, FaultClass::Operator) => 4,
    }
}

/// What a ticket's clocks depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    pub zone: Zone,
    pub class: FaultClass,
    pub severity: Severity,
}

/// The clocks that start with the order (T1). `repair` starts with the arrival, a remote site's `arrive`
/// with the confirmation that somebody must go (SR-007).
#[must_use]
pub fn opening_clocks(ticket: Uuid, t1: Timestamp, terms: Terms, policy: &ClockPolicy) -> Vec<ClockRow> {
    let clock = |name, warn_s, due_s| running(ticket, name, t1, (warn_s, due_s));
    let (arrive_warn, arrive_due) = policy.arrive_s(terms.zone);
    let mut clocks = vec![clock("solution", policy.solution_warn_s, policy.solution_s)];
    if terms.class == FaultClass::Operator {
        clocks.push(clock("phone", policy.phone_warn_s, policy.phone_s));
    }
    if terms.zone != Zone::Remote {
        clocks.push(clock("arrive", arrive_warn, arrive_due));
    }
    clocks.extend(restore_clock(ticket, t1, terms, policy));
    clocks.push(clock("total", policy.total_s - policy.total_s / 6, policy.total_s));
    clocks
}

/// `restore` runs for major faults only (SR-011): the arrival allowance plus ten hours.
#[must_use]
pub fn restore_clock(ticket: Uuid, t1: Timestamp, terms: Terms, policy: &ClockPolicy) -> Option<ClockRow> {
    let (_, allowance) = policy.arrive_s(terms.zone);
    let due = allowance + policy.restore_extra_s;
    (terms.severity == Severity::Major).then(|| running(ticket, "restore", t1, (allowance, due)))
}

fn running(ticket: Uuid, name: &str, from: Timestamp, (warn_s, due_s): (u64, u64)) -> ClockRow {
    let after = |s: u64| from.plus_ms(i64::try_from(s).unwrap_or(i64::MAX).saturating_mul(1_000));
    ClockRow {
        ticket,
        name: name.to_owned(),
        state: ClockState::Running,
        started_at: from,
        budget_s: due_s,
        warn_at: Some(after(warn_s)),
        due_at: Some(after(due_s)),
        remaining_s: None,
        stopped_at: None,
        breached_at: None,
    }
}

/// What the passing of time did to a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    Warned,
    Breached,
}

/// An event at `due` is on time; the breach stands from the instant after, and stays.
/// `recovering_since`: service seems restored since; then `restore` waits for the verdict.
pub fn tick(
    clock: &mut ClockRow,
    looked_at: Timestamp,
    recovering_since: Option<Timestamp>,
    now: Timestamp,
) -> Option<Tick> {
    if clock.state != ClockState::Running {
        return None;
    }
    let in_time = |due: Timestamp| clock.name == "restore" && recovering_since.is_some_and(|t| t <= due);
    if let Some(due) = clock.due_at.filter(|&due| due < now && !in_time(due)) {
        clock.state = ClockState::Breached;
        clock.breached_at = Some(due);
        return Some(Tick::Breached);
    }
    clock.warn_at.filter(|&warn| looked_at <= warn && warn <= now).map(|_| Tick::Warned)
}

/// Service was restored at `t5` without anybody: clocks that wait for a plan, an arrival or a repair are
/// dropped, `restore` is met, `total` waits for the sign-off (4.2).
pub fn on_recovery(clock: &mut ClockRow, t5: Timestamp, now: Timestamp) {
    match (clock.name.as_str(), clock.state) {
        ("restore", ClockState::Running) => {
            let met = clock.due_at.is_none_or(|due| t5 <= due);
            clock.state = if met { ClockState::Met } else { ClockState::Breached };
            clock.breached_at = clock.due_at.filter(|_| !met);
            stop(clock, t5);
        }
        ("total", ClockState::Running) => {
            clock.state = ClockState::Paused;
            clock.remaining_s = clock.due_at.map(|due| seconds_left(due, now));
            (clock.due_at, clock.warn_at) = (None, None);
        }
        (_, ClockState::Running | ClockState::Paused) => {
            clock.state = ClockState::Dropped;
            stop(clock, t5);
        }
        _ => {}
    }
}

/// Never before it started, whatever our own clock did meanwhile.
fn stop(clock: &mut ClockRow, at: Timestamp) {
    clock.stopped_at = Some(at.max(clock.started_at));
}

/// The ticket is signed off: what still runs has met its target.
pub fn on_sign_off(clock: &mut ClockRow, t6: Timestamp) {
    if matches!(clock.state, ClockState::Running | ClockState::Paused) {
        clock.state = ClockState::Met;
        stop(clock, t6);
        clock.remaining_s = None;
    }
}

/// The ticket is cancelled: nothing will stop its clocks any more.
pub fn on_cancel(clock: &mut ClockRow, at: Timestamp) {
    if matches!(clock.state, ClockState::Running | ClockState::Paused) {
        clock.state = ClockState::Dropped;
        stop(clock, at);
        clock.remaining_s = None;
    }
}

/// The ticket came back: arrival, solution and phone run again in full, `total` and `restore` go on with
/// what is left (4.2, re-open). A clock that never stopped and a breach stay as they are.
pub fn on_return(clocks: &mut Vec<ClockRow>, fresh: Vec<ClockRow>, now: Timestamp) {
    for new in fresh {
        let Some(old) = clocks.iter_mut().find(|clock| clock.name == new.name) else {
            clocks.push(new);
            continue;
        };
        match (old.name.as_str(), old.state, old.remaining_s) {
            (_, ClockState::Running | ClockState::Breached, _) => {}
            ("total" | "restore", ClockState::Paused, Some(left)) => {
                let due = now.plus_ms(i64::try_from(left).unwrap_or(i64::MAX).saturating_mul(1_000));
                *old = ClockRow {
                    state: ClockState::Running,
                    due_at: Some(due),
                    remaining_s: None,
                    ..old.clone()
                };
            }
            ("total", ClockState::Met, _) => {
                let used = old.stopped_at.map_or(0, |at| at.since(old.started_at)) / 1_000;
                let left = old.budget_s.saturating_sub(u64::try_from(used).unwrap_or(0));
                let due = now.plus_ms(i64::try_from(left).unwrap_or(i64::MAX).saturating_mul(1_000));
                *old = ClockRow {
                    state: ClockState::Running,
                    due_at: Some(due),
                    stopped_at: None,
                    ..old.clone()
                };
            }
            _ => *old = new,
        }
    }
}

fn seconds_left(due: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(due.since(now).max(0)).unwrap_or(0).div_ceil(1_000)
}

/// When somebody must look at a ticket again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    pub recover_hold_ms: i64,
    pub quiet_ms: i64,
    pub reopen_ms: i64,
}

/// The next instant after `now` at which the sweep must look, from everything the ticket waits for.
#[must_use]
pub fn next_look(row: &TicketRow, clocks: &[ClockRow], watch: Watch, now: Timestamp) -> Option<Timestamp> {
    let running = clocks.iter().filter(|clock| clock.state == ClockState::Running);
    // A clock breaches in the instant after its due.
    let clock_times = running.flat_map(|clock| [clock.warn_at, clock.due_at.map(|due| due.plus_ms(1))]);
    let ended = row.t7.or(row.t5).map(|end| end.plus_ms(watch.reopen_ms));
    let ended = ended.filter(|_| !row.state.is_open());
    clock_times.chain([ripe_since(row, watch), ended]).flatten().filter(|&at| at > now).min()
}

/// When a ticket has recovered for long enough to resolve, or was quiet for long enough to close; also in the past.
#[must_use]
pub fn ripe_since(row: &TicketRow, watch: Watch) -> Option<Timestamp> {
    if row.state == TicketState::Resolved {
        return row.t5.map(|t5| t5.plus_ms(watch.quiet_ms));
    }
    let recovers = row.recovering_since.filter(|_| may_recover(row.state));
    recovers.map(|since| since.plus_ms(watch.recover_hold_ms))
}

#[cfg(test)]
mod tests;
