//! Every number and switch a decision depends on, with its default.
//!
//! A policy is a value: the configuration makes one, a fleet holds one, and its version stands beside what
//! was decided with it.
use kioskwatch_proto::faults::Catalogue;

use crate::{calendar::WorkCalendar, change::Zone};

/// What happens to an id nobody registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownKiosks {
    /// Counted, not shown, its journal is not acknowledged.
    Refuse,
    /// Shown and counted, its journal waits for approval.
    Quarantine,
    /// Registered at once, without a site.
    Accept,
}

/// How presence is judged (all durations in milliseconds unless the name says otherwise).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresencePolicy {
    /// This many intervals without a heartbeat make a kiosk offline.
    pub missed_heartbeats: u32,
    /// What counts for a kiosk that never announced an interval, in seconds.
    pub default_interval_s: u32,
    /// After a start or a broker outage no verdict falls earlier than this: agents come back with up to two
    /// minutes of jitter, and speak once more within an interval.
    pub settle_ms: i64,
    /// A broker outage shorter than this moves deadlines but leaves the verdicts as they were.
    pub deaf_grace_ms: i64,
    /// After an orderly goodbye the ticket waits this long: restarts and updates come back.
    pub goodbye_ms: i64,
}

/// When a machine ticket opens, resolves, closes and comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketPolicy {
    /// The ticket of the first offline kiosk of a site waits this long for its neighbours (D3).
    pub site_hold_ms: i64,
    /// A fault must stay gone this long before its ticket resolves by itself.
    pub recover_hold_ms: i64,
    /// C35: a self-recovered ticket closes after this long without recurrence.
    pub quiet_ms: i64,
    /// SR-032: the same fault of the same kiosk within this time reopens the ticket.
    pub reopen_ms: i64,
    /// SR-110: this many kiosks of a site with the same fault on one day are a batch problem.
    pub batch_kiosks: usize,
    /// How far ahead the next opening of a site is looked for, in days.
    pub look_ahead_days: u16,
    /// Whether tickets of closed sites wait for the opening (D2).
    pub wait_for_opening: bool,
}

/// Budgets of the service clocks in seconds (chapter 4.2); `warn` comes before `due`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockPolicy {
    pub solution_s: u64,
    pub solution_warn_s: u64,
    pub phone_s: u64,
    pub phone_warn_s: u64,
    pub repair_s: u64,
    pub repair_warn_s: u64,
    /// Added to the arrival allowance for `restore` (SR-011).
    pub restore_extra_s: u64,
    pub total_s: u64,
}

impl ClockPolicy {
    /// Arrival allowance: (warn, due) in seconds (SR-004, SR-005, SR-007).
    #[must_use]
    pub const fn arrive_s(&self, zone: Zone) -> (u64, u64) {
        match zone {
            Zone::Urban => (2 * 3_600, 4 * 3_600),
            Zone::Suburb => (4 * 3_600, 6 * 3_600),
            Zone::Remote => (20 * 3_600, 24 * 3_600),
        }
    }
}

/// Remote commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandPolicy {
    /// `not_after` of a command lies this far after its request unless the request says less.
    pub window_ms: i64,
    /// A command without any answer is signed again after this time.
    pub resend_ms: i64,
    /// A command the agent took but never finished is `unknown` this long after `not_after`.
    pub answer_grace_ms: i64,
    /// Whether disruptive actions need a second person. Those on money and card units always do.
    pub approve_disruptive: bool,
    /// Open commands of one kiosk.
    pub max_open_per_kiosk: usize,
}

/// Everything a fleet is told by its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Names this set of values in audits and histories.
    pub version: String,
    pub unknown_kiosks: UnknownKiosks,
    pub presence: PresencePolicy,
    pub tickets: TicketPolicy,
    pub clocks: ClockPolicy,
    pub commands: CommandPolicy,
    pub catalogue: Catalogue,
    /// Days off and make-up days of sites that keep them: without these by default.
    pub calendar: WorkCalendar,
}

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

impl Default for Policy {
    fn default() -> Self {
        Self {
            version: "kiosk-7x24".into(),
            unknown_kiosks: UnknownKiosks::Quarantine,
            presence: PresencePolicy {
                missed_heartbeats: 3,
                default_interval_s: 30,
                settle_ms: 150 * SECOND_MS,
                deaf_grace_ms: 5 * SECOND_MS,
                goodbye_ms: 10 * MINUTE_MS,
            },
            tickets: TicketPolicy {
                site_hold_ms: MINUTE_MS,
                recover_hold_ms: 30 * MINUTE_MS,
                quiet_ms: 24 * HOUR_MS,
                reopen_ms: 7 * DAY_MS,
                batch_kiosks: 5,
                look_ahead_days: 14,
                wait_for_opening: true,
            },
            clocks: ClockPolicy {
                solution_s: 40 * 60,
                solution_warn_s: 30 * 60,
                phone_s: 30 * 60,
                phone_warn_s: 20 * 60,
                repair_s: 2 * 3_600,
                repair_warn_s: 3_600,
                restore_extra_s: 10 * 3_600,
                total_s: 72 * 3_600,
            },
            commands: CommandPolicy {
                window_ms: 5 * MINUTE_MS,
                resend_ms: 15 * SECOND_MS,
                answer_grace_ms: HOUR_MS,
                approve_disruptive: true,
                max_open_per_kiosk: 8,
            },
            catalogue: Catalogue::built_in(),
            calendar: WorkCalendar::default(),
        }
    }
}
