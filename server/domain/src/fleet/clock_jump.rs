//! The wall clock of our own machine jumped: it was set, or the whole machine was suspended.
//!
//! Nobody is judged by it. What was waited for in our own time (silence, neighbours, recovery) is waited for
//! anew or for as long as was left; what a clause ties to the clock on the wall (service clocks, opening hours)
//! follows the new time. A command's last instant comes no later in truth than it was to come.
use kioskwatch_proto::Timestamp;
use uuid::Uuid;

use super::{Due, Ix, draft::Draft, live::LiveEdit};
use crate::{
    change::{CommandRow, CommandState, TicketState},
    presence::PresenceReason,
    triage::{Decision, HoldReason},
};

impl Draft<'_> {
    /// Our clock showed `before` when it came to show `now`.
    pub(super) fn clock_jumped(&mut self, before: Timestamp) {
        let now = self.now;
        let by_ms = now.since(before);
        let detail = serde_json::json!({ "before": before, "after": now, "by_ms": by_ms });
        self.audit("clock_jumped", "server".into(), &detail);
        if self.server().hearing_since.is_some() {
            self.listen_anew(before);
        } else if let Some(since) = self.server().deaf_since {
            // As long ago as before.
            let server = self.server_mut();
            server.deaf_since = Some(since.plus_ms(by_ms).min(now));
            server.hearing.clock_jumped(now);
        }
        for ix in 0..self.fleet_len() {
            self.edit_live(ix, LiveEdit::ClockJumped { now });
            if by_ms < 0 {
                self.nothing_since_the_future(ix);
            }
            self.arm(ix);
        }
        self.try_again_what_failed();
        self.tell_no_later();
        self.wait_for_what_was_left(by_ms);
    }

    /// Our clock shows an earlier time than when we were last alive: it was set back while we were away.
    pub(super) fn clock_was_set_back(&mut self, by_ms: i64) {
        let now = self.now;
        for ix in 0..self.fleet_len() {
            // Of a presence nothing is known after a start, and a large fleet is told so in several plans.
            if self.kiosk(ix).state.service_since.is_some_and(|since| since.at() > now) {
                self.nothing_since_the_future(ix);
            }
        }
        self.wait_for_what_was_left(by_ms);
    }

    fn wait_for_what_was_left(&mut self, by_ms: i64) {
        if by_ms < 0 {
            self.no_more_time_for_commands(by_ms);
        }
        self.hold_for_what_was_left(by_ms);
        self.look_at_recoveries(by_ms);
    }

    /// We heard until `before`, and hear from now on. What lies between was skipped, not listened to: a machine
    /// that was suspended looks the same.
    fn listen_anew(&mut self, before: Timestamp) {
        let (now, policy) = (self.now, self.policy.presence);
        let server = self.server_mut();
        server.hearing.end(before);
        server.hearing_since = Some(now);
        server.settled_at = now.plus_ms(policy.settle_ms);
        server.settled = false;
        server.hearing.clock_jumped(now);
        server.hearing.begin(now);
        server.doubt.begin(now);
        if now.since(before) >= policy.deaf_grace_ms {
            self.forget_everybody(before, PresenceReason::ClockJumped);
        }
    }

    /// A command that was not sent yet is valid for as long as was left of it: else one that waits for its kiosk would
    /// run hours after somebody wanted it. What was sent is signed, and its kiosk watches over its time.
    fn no_more_time_for_commands(&mut self, by_ms: i64) {
        let due = self.fleet.due.iter();
        let due: Vec<_> =
            due.filter_map(|(_, due)| if let Due::Command(id) = due { Some(*id) } else { None }).collect();
        for id in due {
            let unsent =
                |row: &CommandRow| matches!(row.state, CommandState::AwaitingApproval | CommandState::Queued);
            if self.command(id).is_some_and(unsent)
                && let Some(row) = self.command_mut(id)
            {
                row.not_after = row.not_after.plus_ms(by_ms);
            }
        }
    }

    /// A state that began later than now begins now: what counts from it would else wait for that time.
    fn nothing_since_the_future(&mut self, ix: Ix) {
        let now = self.now;
        let state = &self.kiosk(ix).state;
        if state.presence_since > now || state.service_since.is_some_and(|since| since.at() > now) {
            let state = &mut self.kiosk_mut(ix).state;
            state.presence_since = state.presence_since.min(now);
            state.service_since = state.service_since.map(|since| since.at().min(now).into());
        }
    }

    /// Incidents that wait for others wait neither longer nor shorter than they would have.
    fn hold_for_what_was_left(&mut self, by_ms: i64) {
        for id in self.due_incidents() {
            let Some(row) = self.incident(id) else { continue };
            let (Some(why), Some(until)) = (HoldReason::of(row), row.triage_due_at) else { continue };
            match why {
                HoldReason::OutsideHours => {}
                HoldReason::SiteHold | HoldReason::Goodbye | HoldReason::SiteReturned | HoldReason::Deaf => {
                    self.note_decision(id, &Decision::Hold { until: until.plus_ms(by_ms), why });
                }
            }
        }
    }

    /// Tickets that recover, or stay quiet, do so for as long as was left: time that was skipped is no time in
    /// which a fault stayed away. What began in what is now the future begins now.
    fn look_at_recoveries(&mut self, by_ms: i64) {
        let now = self.now;
        for id in self.due_tickets() {
            if by_ms > 0 {
                self.skip_in_recovery(id, by_ms);
                continue;
            }
            let Some(file) = self.ticket_mut(id) else { continue };
            file.row.recovering_since = file.row.recovering_since.map(|since| since.min(now));
            if file.row.t5.is_some_and(|t5| t5 > now) {
                file.lasts_from(now);
            }
            file.row.due_at = file.row.due_at.map(|due| due.min(now));
        }
    }

    /// The times of the record stay as they are: a suspended machine's tell the truth.
    fn skip_in_recovery(&mut self, id: Uuid, by_ms: i64) {
        let now = self.now;
        let Some(file) = self.ticket(id) else { return };
        // What recovered by itself still says since when.
        let recovering_since = file.row.recovering_since.filter(|_| file.row.state != TicketState::Resolved);
        let lasts_since = match recovering_since {
            Some(since) => self.service_good_since(file).map(|good| file.lasts_since(since.max(good), now)),
            None => file.row.t5.map(|t5| file.quiet_since(t5, now)),
        };
        if let (Some(since), Some(file)) = (lasts_since, self.ticket_mut(id)) {
            file.lasts_from(since.plus_ms(by_ms).min(now));
        }
    }

    fn due_incidents(&self) -> Vec<Uuid> {
        let due = self.fleet.due.iter();
        due.filter_map(|(_, due)| if let Due::Incident(id) = due { Some(*id) } else { None }).collect()
    }

    fn due_tickets(&self) -> Vec<Uuid> {
        let due = self.fleet.due.iter();
        due.filter_map(|(_, due)| if let Due::Ticket(id) = due { Some(*id) } else { None }).collect()
    }
}
