//! What time does to tickets: clocks run out, what healed resolves, what stays quiet closes.
use kioskwatch_proto::{Timestamp, words::ServiceState};
use uuid::Uuid;

use super::{
    count::{ClockName, Count},
    draft::Draft,
    plan::{Notice, NoticeKind},
    ticket_file::TicketFile,
};
use crate::{
    change::{ClockState, TicketSource, TicketState},
    moment::Moment,
    ticket::{self, BY_RULE, Because, Deed, SELF_RECOVERED, Step, Watch},
};

/// While the kiosk is out of service for another reason, a recovered ticket is looked at again after this. As long
/// waits a recovery that was told late for the next message of its journal: a long one comes in several.
const LOOK_AGAIN_MS: i64 = 60_000;

impl Draft<'_> {
    /// Looks at a ticket that is due: clocks, recovery, quiet time, and the end of its memory.
    pub(super) fn look_at_ticket(&mut self, id: Uuid) {
        let now = self.now;
        let Some(file) = self.ticket_mut(id) else { return };
        let looked_at = file.row.due_at.unwrap_or(now);
        let recovering_since = file.row.recovering_since;
        let ticked: Vec<_> = file
            .clocks
            .iter_mut()
            .filter_map(|clock| {
                let tick = ticket::tick(clock, looked_at, recovering_since, now)?;
                Some((clock.name.clone(), tick))
            })
            .collect();
        file.row.due_at = None;
        for (name, tick) in ticked {
            self.tell_clock(id, &name, tick);
        }
        self.recover(id);
        self.close_quiet(id);
        self.forget_old(id);
        self.look_later(id);
    }

    fn tell_clock(&mut self, id: Uuid, name: &str, tick: ticket::Tick) {
        let Some(file) = self.ticket(id) else { return };
        let (kiosk, site) = (file.row.kiosk.clone(), file.row.site.clone());
        let text = format!("#{} {}: clock {name}", file.row.number, file.row.fault);
        let kind = match tick {
            ticket::Tick::Warned => NoticeKind::ClockWarning,
            ticket::Tick::Breached => {
                self.count(Count::ClockBreached(ClockName::of(name)));
                let policy = self.policy.version.clone();
                let reason = Because::Clock { name: name.to_owned(), policy }.into();
                self.ticket_step(id, Step { actor: BY_RULE, action: Deed::Breach, to: None, reason });
                NoticeKind::ClockBreached
            }
        };
        self.notify(Notice { kind, ticket: Some(id), kiosk, site, text });
    }

    /// Resolves by itself what healed before anybody came, when it holds (3.5).
    fn recover(&mut self, id: Uuid) {
        let (now, hold) = (self.now, self.policy.tickets.recover_hold_ms);
        let Some(file) = self.ticket(id) else { return };
        let Some(since) = file.row.recovering_since else { return };
        if !file.open.is_empty() || !ticket::may_recover(file.row.state) {
            return;
        }
        let since_good = match self.service_good_since(file) {
            Some(good) => file.lasts_since(since.max(good), now),
            None => now,
        };
        // Later than that waits nobody for more: our clock was set back.
        let more_until = file.more_may_come_until().filter(|until| until.since(now) <= LOOK_AGAIN_MS);
        let held_until = since_good.plus_ms(hold);
        let holds_until = more_until.map_or(held_until, |until| held_until.max(until));
        if holds_until > now {
            let again = holds_until.min(now.plus_ms(LOOK_AGAIN_MS.max(1)));
            if let Some(file) = self.ticket_mut(id) {
                file.row.due_at = Some(again);
            }
            return;
        }
        self.resolve(id, BY_RULE, since, SELF_RECOVERED, Because::StayedGone.into());
    }

    /// `None`: the kiosk is out of service for another reason.
    pub(super) fn service_good_since(&self, file: &TicketFile) -> Option<Timestamp> {
        // Opened on a clock that was set back since: then it was good as long as it has recovered.
        let opened = Some(file.row.t1).filter(|&t1| t1 <= self.now);
        let t1 = opened.or(file.row.recovering_since).unwrap_or(self.now);
        let Some(ix) = file.row.kiosk.as_ref().and_then(|kiosk| self.find(kiosk)) else {
            return Some(t1);
        };
        let state = &self.kiosk(ix).state;
        match state.service {
            Some(ServiceState::OutOfService | ServiceState::Supervised) => None,
            Some(_) => state.service_since.map(Moment::at).or(Some(t1)),
            None => Some(t1),
        }
    }

    /// C35: raised by a machine, nobody came, nobody urged, and it stayed quiet.
    fn close_quiet(&mut self, id: Uuid) {
        let (now, quiet) = (self.now, self.policy.tickets.quiet_ms);
        let Some(file) = self.ticket(id) else { return };
        let row = &file.row;
        let by_machine = matches!(row.source, TicketSource::Agent | TicketSource::Server);
        let healed = row.resolution.as_deref() == Some(SELF_RECOVERED);
        let Some(t5) = row.t5.filter(|_| row.state == TicketState::Resolved) else { return };
        if !by_machine || !healed || !file.open.is_empty() || file.was_visited() || file.was_urged() {
            return;
        }
        let quiet_until = file.quiet_since(t5, now).plus_ms(quiet);
        if quiet_until > now {
            if let Some(file) = self.ticket_mut(id) {
                file.row.due_at = Some(quiet_until);
            }
            return;
        }
        self.close(id, BY_RULE, SELF_RECOVERED, Because::Quiet.into());
    }

    /// After the time of SR-032 a closed ticket cannot come back: the store keeps it, the fleet does not.
    fn forget_old(&mut self, id: Uuid) {
        let Some(file) = self.ticket(id) else { return };
        let over = file.ended_at().is_some_and(|at| self.now.since(at) >= self.policy.tickets.reopen_ms);
        if file.row.state.is_open() || !over {
            return;
        }
        self.forget_ticket(id);
    }

    fn watch(&self) -> Watch {
        let policy = &self.policy.tickets;
        Watch {
            recover_hold_ms: policy.recover_hold_ms,
            quiet_ms: policy.quiet_ms,
            reopen_ms: policy.reopen_ms,
        }
    }

    /// Stores when the sweep must look again. What is overdue already stays due.
    pub(super) fn look_later(&mut self, id: Uuid) {
        let (now, watch) = (self.now, self.watch());
        let Some(file) = self.ticket_mut(id) else { return };
        let next = ticket::next_look(&file.row, &file.clocks, watch, now);
        let waiting = file.row.due_at;
        file.row.due_at = match (waiting, next) {
            (Some(waiting), Some(next)) => Some(waiting.min(next)),
            (waiting, next) => waiting.or(next),
        };
    }

    /// As [`Self::look_later`]. What is told of long after it became true, by a journal that waited for its line, may
    /// have waited its time already: then it waits only for what the same journal tells next, so that a ticket whose
    /// fault came back long ago does not end for a moment.
    pub(super) fn look_at_what_was_told_late(&mut self, id: Uuid) {
        let (now, watch) = (self.now, self.watch());
        let until = now.plus_ms(LOOK_AGAIN_MS);
        if let Some(file) = self.ticket_mut(id)
            && ticket::ripe_since(&file.row, watch).is_some_and(|at| at <= now)
        {
            file.wait_for_more(until);
            file.row.due_at = Some(file.row.due_at.map_or(until, |due| due.min(until)));
        }
        self.look_later(id);
    }

    /// The next sweep looks, for what passed while the ticket seemed to recover.
    pub(super) fn look_now(&mut self, id: Uuid) {
        let now = self.now;
        if let Some(file) = self.ticket_mut(id)
            && file.clocks.iter().any(|clock| clock.state == ClockState::Running)
        {
            file.row.due_at = Some(file.row.due_at.map_or(now, |due| due.min(now)));
        }
    }
}
