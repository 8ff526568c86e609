//! Presence of the fleet: signs of life, deadlines, and the server's own deafness.
use kioskwatch_proto::{SiteId, Timestamp, faults::codes, words::Severity};

use super::{
    Fleet, Ix,
    draft::Draft,
    input::Share,
    live::LiveEdit,
    problems::Problem,
    sweep::{Look, MAX_PER_SWEEP},
};
use crate::{
    change::{Change, ForgottenRow, LivenessRow, PresenceVerdict, SeenRow, TransitionRow},
    incident::CloseReason,
    presence::{PresenceReason, Silence, Step},
};

/// Kiosks of which one plan says that nothing is known: two rows each.
const FORGOTTEN_AT_ONCE: usize = 2_000;
/// The same where one row says it of all of them.
const FORGOTTEN_AS_ONE: usize = 10_000;

impl Draft<'_> {
    /// What the silence of a kiosk is judged on. `None`: it was never heard, or we do not hear.
    fn silence(&self, ix: Ix) -> Option<Silence> {
        let (server, live) = (self.server(), self.live(ix));
        let (last_seen, hearing_since) = (live.last_seen()?, server.hearing_since?);
        let since = last_seen.max(hearing_since);
        let settled_at = match self.kiosk(ix).state.presence {
            PresenceVerdict::Unknown => server.settled_at,
            _ if last_seen < hearing_since => server.back_by,
            _ => hearing_since,
        };
        Some(Silence {
            since,
            interval_s: live.interval_s.max(1),
            missed_heartbeats: self.policy.presence.missed_heartbeats,
            in_doubt_ms: server.doubt.between(since, self.now),
            // The heartbeat that would prove it wrong may be lost as well.
            will_at: live.rare().will_at.filter(|&will| !server.doubt.loses_since(will)),
            settled_at,
        })
    }

    /// Arms the deadline of a kiosk for its next possible step. While heartbeats are lost that comes too early, and is set
    /// anew when it is looked at.
    pub(super) fn arm(&mut self, ix: Ix) {
        let step = self.silence(ix).and_then(|silence| silence.next(self.kiosk(ix).state.presence));
        self.over.rearm.insert(ix, step.map(|step| step.at));
    }

    /// A sign of life lifts any verdict to online.
    pub(super) fn alive(&mut self, ix: Ix, at: Timestamp, reason: PresenceReason) {
        let before = self.kiosk(ix).state.presence;
        let state = &self.kiosk(ix).state;
        let said_goodbye = state.presence_reason == PresenceReason::Goodbye && at <= state.presence_since;
        // What was sent before the goodbye may come after it, over the other of our two connections.
        if before == PresenceVerdict::Online || said_goodbye {
            return;
        }
        // Older than the verdict it would lift: it says nothing new.
        let since = self.kiosk(ix).state.presence_since.min(self.now);
        self.step(ix, Step { to: PresenceVerdict::Online, at: at.max(since), reason });
        self.clear_offline(ix, at);
        self.arm(ix);
        self.send_queued(ix);
    }

    fn clear_offline(&mut self, ix: Ix, at: Timestamp) {
        if let Some(id) = self.find_incident(ix, None, codes::KIOSK_OFFLINE) {
            self.close_incident(id, at, CloseReason::Heard);
        }
    }

    /// Changes the verdict and what hangs on it.
    pub(super) fn step(&mut self, ix: Ix, step: Step) {
        let (now, kiosk) = (self.now, self.kiosk(ix));
        self.transition(TransitionRow {
            kiosk: kiosk.id.clone(),
            kind: "presence".into(),
            peripheral: None,
            from: kiosk.state.presence.as_str().into(),
            to: step.to.as_str().into(),
            at: step.at,
            noticed_at: now,
            reason: step.reason.as_str().into(),
        });
        self.set_verdict(ix, step);
        if step.to == PresenceVerdict::Offline {
            let severity = self.fault_severity(codes::KIOSK_OFFLINE, Severity::Major);
            self.raise(ix, &Problem::of_host(codes::KIOSK_OFFLINE, severity, step.at, step.reason.as_str()));
        }
    }

    fn set_verdict(&mut self, ix: Ix, step: Step) {
        self.forgotten.remove(&ix);
        let kiosk = self.kiosk_mut(ix);
        let site = kiosk.site().cloned();
        kiosk.state.presence = step.to;
        kiosk.state.presence_since = step.at;
        kiosk.state.presence_reason = step.reason;
        // A whole fleet that comes back is not counted site by site for each kiosk.
        let outage = |site: &SiteId| self.site(site).is_some_and(|site| site.busy().outage.is_some());
        if let Some(site) = site.filter(|site| step.to == PresenceVerdict::Offline || outage(site)) {
            self.sites_to_judge.insert(site);
        }
    }

    /// Takes all steps that have become due; arms the next one.
    pub(super) fn judge_silence(&mut self, ix: Ix) {
        let to = self.server().silence_to(self.now);
        while let Some(step) =
            self.silence(ix).and_then(|silence| silence.next(self.kiosk(ix).state.presence))
        {
            if step.at > to {
                break;
            }
            self.step(ix, step);
        }
        self.arm(ix);
    }

    /// The agent said goodbye on its current connection.
    pub(super) fn goodbye(&mut self, ix: Ix, at: Timestamp) {
        let state = &self.kiosk(ix).state;
        if state.presence == PresenceVerdict::Offline {
            return;
        }
        let at = at.max(state.presence_since.min(self.now));
        self.step(ix, Step { to: PresenceVerdict::Offline, at, reason: PresenceReason::Goodbye });
        self.arm(ix);
    }

    pub(super) fn server_started(&mut self, id: uuid::Uuid, last_alive_at: Option<Timestamp>) {
        let now = self.now;
        let last_alive_at = last_alive_at.unwrap_or(now);
        let since = last_alive_at.min(now);
        if since < last_alive_at {
            self.clock_was_set_back(now.since(last_alive_at));
        }
        let server = self.server_mut();
        *server = super::Server { id, deaf_since: Some(since), all_unknown: true, ..Default::default() };
        self.forget_everybody(since, PresenceReason::ServerStarted);
        let detail = serde_json::json!({ "deaf_since": since, "server": id });
        self.audit("server_started", "server".into(), &detail);
    }

    /// Connected: everybody was cut off and comes back in his time.
    pub(super) fn broker_up(&mut self) {
        if self.server().hearing_since.is_none() {
            self.server_mut().back_by = self.now.plus_ms(self.policy.presence.settle_ms);
        }
        self.reads_again();
    }

    /// Able to hear again; after a stall of our own nobody was cut off.
    pub(super) fn reads_again(&mut self) {
        let (now, settle) = (self.now, self.policy.presence.settle_ms);
        let server = self.server_mut();
        if server.hearing_since.is_some() {
            return;
        }
        let noticed = server.all_unknown;
        server.hearing_since = Some(now);
        server.settled_at = now.plus_ms(settle);
        server.settled = false;
        server.hearing.begin(now);
        server.doubt.begin(now);
        let deaf_since = server.deaf_since.take();
        server.all_unknown = false;
        let grace = self.policy.presence.deaf_grace_ms;
        if let Some(since) = deaf_since.filter(|&since| !noticed && now.since(since) >= grace) {
            // After a long outage that no sweep noticed, everybody is unknown too.
            self.forget_everybody(since, PresenceReason::BrokerDown);
        }
        for ix in 0..self.fleet_len() {
            if self.live(ix).is_ahead_of(now) {
                self.edit_live(ix, LiveEdit::ClockJumped { now });
            }
            self.arm(ix);
        }
    }

    /// Who lost some by chance is not called silent.
    pub(super) fn heartbeats_lost(&mut self, per_mille: u16) {
        let (now, missed_heartbeats) = (self.now, self.policy.presence.missed_heartbeats);
        self.server_mut().doubt.changes(now, per_mille, missed_heartbeats);
    }

    /// Deaf since then: what was proven up to there stays proven.
    pub(super) fn broker_down(&mut self, since: Timestamp) {
        let since = since.min(self.now);
        let server = self.server_mut();
        if server.hearing_since.take().is_some() {
            server.deaf_since = Some(since);
            server.hearing.end(since);
        }
    }

    pub(super) fn fleet_len(&self) -> Ix {
        Ix::try_from(self.fleet.kiosks.len() + self.over.ids.len()).unwrap_or(Ix::MAX)
    }

    /// While we are deaf nothing is known of anybody. A large fleet is forgotten in several plans, because one
    /// commit would outlast its time: see [`Fleet::forgetting_from`].
    pub(super) fn forget_everybody(&mut self, since: Timestamp, reason: PresenceReason) {
        self.server_mut().forgetting = Some((0, since, reason));
        // What cannot be stored of it must not keep us from knowing whether we hear: a sweep forgets them then.
        if self.may_look(Look::HEARING) {
            self.forget_more();
        }
    }

    fn forget_more(&mut self) {
        let Some((from, since, reason)) = self.server_mut().forgetting.take() else { return };
        // At a start nobody looks on who would have to be told of each; and what fails has to be found one by one.
        let as_one = reason == PresenceReason::ServerStarted && self.fleet.forgets().next().is_none();
        let at_once = if as_one { FORGOTTEN_AS_ONE } else { FORGOTTEN_AT_ONCE };
        let mut forgotten = 0;
        for ix in from..self.fleet_len() {
            if !self.is_known(ix) || !self.may_look(Look::forget(ix)) {
                continue;
            }
            if forgotten == at_once {
                self.server_mut().forgetting = Some((ix, since, reason));
                return;
            }
            // What one row says is true of what is stored; of whom this plan has said something already, it is not.
            match as_one && !self.over.kiosks.contains_key(&ix) {
                true => self.forget_beside(ix, since, reason),
                false => self.forget_one(ix, since, reason),
            }
            forgotten += 1;
        }
        // Of whom that could not be stored, the next silence is judged from what was known.
        self.over.set_aside.extend(self.fleet.forgets().map(|look| (look, None)));
    }

    fn is_known(&self, ix: Ix) -> bool {
        self.kiosk(ix).state.presence != PresenceVerdict::Unknown
    }

    fn forget_one(&mut self, ix: Ix, since: Timestamp, reason: PresenceReason) {
        let at = ForgottenRow::since(since, self.kiosk(ix).state.presence_since, self.now);
        self.step(ix, Step { to: PresenceVerdict::Unknown, at, reason });
        self.arm(ix);
    }

    /// The same in one row with those that were forgotten before it.
    fn forget_beside(&mut self, ix: Ix, since: Timestamp, reason: PresenceReason) {
        let (id, noticed_at) = (self.kiosk(ix).id.clone(), self.now);
        let at = ForgottenRow::since(since, self.kiosk(ix).state.presence_since, noticed_at);
        self.set_verdict(ix, Step { to: PresenceVerdict::Unknown, at, reason });
        self.arm(ix);
        self.forgotten.insert(ix);
        // A store that sorts otherwise than we do is told of more rows.
        match self.rows.last_mut() {
            Some(Change::Forgotten(row)) if row.last < id => row.last = id,
            _ => {
                let (first, last) = (id.clone(), id);
                self.rows.push(Change::Forgotten(ForgottenRow { first, last, since, noticed_at, reason }));
            }
        }
    }

    /// One of those that are still to be forgotten.
    pub(super) fn forget(&mut self, ix: Ix) {
        if let Some((from, since, reason)) = self.server().forgetting
            && from <= ix
            && self.is_known(ix)
        {
            self.forget_one(ix, since, reason);
        }
    }

    /// The part of the sweep that looks at silence, our own first.
    pub(super) fn sweep_silence(&mut self) {
        self.forget_more();
        if self.may_look(Look::HEARING) {
            self.sweep_hearing();
            self.looked(Look::HEARING);
        }
        if self.server().hearing_since.is_none() {
            return;
        }
        let fleet: &Fleet = self.fleet;
        let before = self.rows.len();
        for ix in fleet.silence_due.due(self.server().silence_to(self.now)) {
            // Most were heard since and are only looked at later again: these make no rows, and do not count.
            if self.rows.len() - before >= MAX_PER_SWEEP {
                break;
            }
            if self.may_look(Look::silence(ix)) {
                self.judge_silence(ix);
                self.looked(Look::silence(ix));
            }
        }
    }

    /// Our own silence, and when it has settled.
    pub(super) fn sweep_hearing(&mut self) {
        let (now, policy) = (self.now, self.policy.presence);
        let server = self.server().clone();
        if server.hearing_since.is_none() {
            if let Some(since) = server.deaf_since
                && !server.all_unknown
                && since.plus_ms(policy.deaf_grace_ms) <= now
            {
                self.server_mut().all_unknown = true;
                self.forget_everybody(since, PresenceReason::BrokerDown);
            }
            return;
        }
        if !server.settled && server.hears(now) {
            self.server_mut().settled = true;
            let out = self.fleet.sites.iter().filter(|(_, site)| site.busy().outage.is_some());
            self.sites_to_judge.extend(out.map(|(id, _)| SiteId::clone(id)));
        }
    }

    /// Writes when kiosks were heard last and the evidence of their heartbeats; with it, that we were able to
    /// hear.
    pub(super) fn flush_liveness(&mut self, share: Share, heard_to: Timestamp) {
        for ix in share.places(self.fleet_len()) {
            if self.may_look(Look::evidence(ix)) {
                self.flush_kiosk(ix);
            }
        }
        let now = self.now;
        let server = self.server_mut();
        let (id, heard) = (server.id, server.hearing.share_written(share, heard_to.min(now)));
        if let Some(until) = heard.iter().map(|&(_, to)| to).max() {
            self.note_gaps(until);
        }
        let row = |(from, to)| Change::Liveness(LivenessRow { server: id, from, to });
        self.rows.extend(heard.into_iter().map(row));
    }

    /// Of one kiosk.
    pub(super) fn flush_kiosk(&mut self, ix: Ix) {
        self.close_gap(ix);
        let (now, live) = (self.now, self.live(ix));
        let id = &self.kiosk(ix).id;
        let (ended, running): (Vec<_>, _) = (live.ended(id).collect(), live.running(now));
        let heard = live.seen_anew || running.is_some();
        if !heard && ended.is_empty() && live.lost().is_none() {
            return;
        }
        let last_seen = live.last_seen();
        if let Some(last_seen_at) = last_seen.filter(|_| heard) {
            let (interval_s, clock_offset_ms) = (live.interval_s, live.offset_ms());
            let seen = SeenRow { kiosk: id.clone(), last_seen_at, interval_s, clock_offset_ms, running };
            self.rows.push(Change::Seen(seen));
        }
        self.evidence.extend(ended);
        self.edit_live(ix, LiveEdit::Flushed { last_seen, now });
    }
}
