//! Heartbeats: constant time, no changes, no commit. Their evidence is kept as spans and flushed in batches.
use std::hint::black_box;

use kioskwatch_proto::{BootId, KioskId, SessionId, Timestamp, heartbeat::Heartbeat};

use super::{
    Beat, Fleet, Heard, Ix,
    kiosk::{Liveness, Load},
    sweep::Look,
};
use crate::{
    change::{EvidenceRow, EvidenceState, PresenceVerdict, RunningSpan},
    cursor::BootClock,
    moment::Moment,
    uptime::{Cause, live::LiveSpan},
};

/// Ended spans kept for the next flush; the oldest goes first, and from when to when that was is all that is known of it.
const MAX_ENDED: usize = 32;

/// A heartbeat that is older than the current connection may come this long after its birth: longer than we
/// stay connected to a broker that delivers nothing. Later than that a slow clock speaks, and so another machine.
const OVERTAKEN_MS: i64 = 120_000;

/// The beginning of a connection, as far as we know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Began {
    /// By the agent's clock.
    pub(super) sent_at: Moment,
    /// By ours.
    pub(super) at: Moment,
}

/// The stretch that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenSpan {
    span: LiveSpan,
    /// What is written of it already; `from`: nothing.
    flushed_to: Timestamp,
}

/// A span that will not grow any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EndedSpan {
    open: OpenSpan,
    at: Timestamp,
}

impl OpenSpan {
    /// The row to write now, unless it stands so already.
    fn row(&self, kiosk: &KioskId, to: Timestamp) -> Option<EvidenceRow> {
        self.unwritten(to).map(|_| self.span.row(kiosk, to))
    }

    /// What that row would add.
    fn unwritten(&self, to: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let since = self.span.from.max(self.flushed_to);
        (to > since).then_some((since, to))
    }
}

/// What a plan changes in the liveness; replayed on what heartbeats made of it meanwhile.
#[derive(Debug)]
pub(super) enum LiveEdit {
    Beat {
        at: Timestamp,
        beat: Box<Heartbeat>,
        proved: (EvidenceState, Option<Cause>),
    },
    /// A journal message or a birth.
    Life {
        at: Timestamp,
    },
    Session {
        session: SessionId,
        began: Began,
    },
    Will {
        at: Timestamp,
    },
    /// Everything up to here is written.
    Flushed {
        last_seen: Option<Timestamp>,
        now: Timestamp,
    },
    TwoAgents {
        at: Timestamp,
    },
    /// Only an agent of an epoch that was given up is heard since then; `None`: the current one speaks.
    Outlived {
        since: Option<Timestamp>,
    },
    /// Our clock shows another time: nothing was heard later than now.
    ClockJumped {
        now: Timestamp,
    },
}

impl LiveEdit {
    pub(super) const fn is_sign_of_life(&self) -> bool {
        matches!(self, Self::Beat { .. } | Self::Life { .. })
    }
}

impl Liveness {
    pub(super) fn apply(&mut self, edit: &LiveEdit) {
        match edit {
            LiveEdit::Beat { at, beat, proved } => self.beat(*at, beat, *proved),
            LiveEdit::Life { at } => {
                self.set_last_seen(self.last_seen().max(Some(*at)));
                self.forget_will(|_| true);
            }
            LiveEdit::Session { session, began } => self.enter(*session, *began),
            LiveEdit::Will { at } => {
                if self.last_seen().is_none_or(|seen| seen <= *at) {
                    self.change_rare(|rare| rare.will_at = Some(*at));
                }
            }
            LiveEdit::Flushed { last_seen, now } => {
                self.seen_anew = self.last_seen() != *last_seen;
                if !self.rare().ended.is_empty() || self.lost().is_some() {
                    self.change_rare(|rare| {
                        rare.lost = rare.lost.filter(|(_, to)| to > now);
                        rare.ended.retain(|ended| ended.at > *now);
                        rare.ended.shrink_to_fit();
                    });
                }
                if let Some(open) = &mut self.span {
                    open.flushed_to = open.flushed_to.max(open.span.holds_until().min(*now));
                }
            }
            LiveEdit::TwoAgents { at } => self.change_rare(|rare| rare.two_agents_at = Some(*at)),
            LiveEdit::Outlived { since } => self.change_rare(|rare| rare.outlived_since = *since),
            LiveEdit::ClockJumped { now } => self.clock_jumped(*now),
        }
    }

    /// Whether something was heard after `now`: our clock showed more then than it shows now.
    pub(super) fn is_ahead_of(&self, now: Timestamp) -> bool {
        let rare = self.rare();
        let ended = rare.ended.iter().map(|ended| ended.at);
        let told = [self.last_seen(), rare.will_at, rare.two_agents_at, self.span.map(|open| open.span.last)];
        told.into_iter().flatten().chain(ended).any(|at| at > now)
    }

    /// What the boots' clocks had to do with ours is learned anew; what lies after `now` moves to it.
    fn clock_jumped(&mut self, now: Timestamp) {
        self.clock = None;
        self.began = None;
        self.change_rare(|rare| {
            rare.other_clock = None;
            rare.outlived_since = None;
        });
        if !self.is_ahead_of(now) {
            return;
        }
        let clamp = |at: Timestamp| at.min(now);
        self.change_rare(|rare| {
            rare.will_at = rare.will_at.map(clamp);
            rare.two_agents_at = rare.two_agents_at.map(clamp);
            // What a clock told that we no longer believe; until now we did listen, and say so.
            rare.lost = rare.lost.map(|(from, to)| (from, clamp(to))).filter(|(from, to)| from < to);
            rare.ended.retain(|ended| ended.open.span.from < now);
            for EndedSpan { open, at } in &mut rare.ended {
                (*at, open.flushed_to) = (clamp(*at), clamp(open.flushed_to));
                open.span.last = clamp(open.span.last);
            }
        });
        self.set_last_seen(self.last_seen().map(clamp));
        if let Some(OpenSpan { span, flushed_to }) = &mut self.span {
            span.from = clamp(span.from);
            span.last = clamp(span.last);
            *flushed_to = clamp(*flushed_to);
        }
    }

    fn forget_will(&mut self, which: impl FnOnce(Timestamp) -> bool) {
        if self.rare().will_at.is_some_and(which) {
            self.change_rare(|rare| rare.will_at = None);
        }
    }

    fn enter(&mut self, session: SessionId, began: Began) {
        if self.session != Some(session) {
            self.began = Some(began);
            self.other_session = self.session;
            self.session = Some(session);
            self.forget_will(|_| true);
        }
    }

    /// Whether a connection or a run of the machine that was replaced by another one speaks again: with
    /// fresh ids for each, one agent alone never does that.
    pub(super) fn is_second_voice(&self, session: SessionId, boot: BootId) -> bool {
        let session_back = self.session != Some(session) && self.other_session == Some(session);
        session_back || self.rare().other_clock.is_some_and(|clock| clock.boot == boot)
    }

    /// Whether this was sent before the current connection began and was overtaken by its birth: they come over
    /// two connections of ours. It says nothing that is not known better, but that somebody lives. Of the current
    /// connection itself none is, whatever a clock that was set back makes it look like.
    pub(super) fn is_overtaken(&self, at: Timestamp, beat: &Heartbeat) -> bool {
        self.session != Some(beat.session)
            && self.is_second_voice(beat.session, beat.boot)
            && self
                .began
                .is_some_and(|began| beat.at <= began.sent_at.at() && at.since(began.at.at()) < OVERTAKEN_MS)
    }

    /// Of the boots that are remembered, the last one first.
    pub(super) fn clocks(&self) -> impl Iterator<Item = &BootClock> {
        self.clock.iter().chain(&self.rare().other_clock)
    }

    /// The longest pause of those who speak with this id: one agent, or two that alternate.
    pub(super) fn longest_interval_s(&self) -> u32 {
        self.clocks().map(|clock| clock.interval_s).fold(self.interval_s.max(1), u32::max)
    }

    pub(super) fn beat(
        &mut self,
        at: Timestamp,
        beat: &Heartbeat,
        (state, cause): (EvidenceState, Option<Cause>),
    ) {
        // A journal message may have overtaken it; another heartbeat cannot.
        if self.span.is_some_and(|open| at < open.span.last) {
            return;
        }
        self.enter(beat.session, Began { sent_at: beat.at.into(), at: at.into() });
        self.learn_clock(at, beat);
        let mut next = OpenSpan { span: LiveSpan::beat(at, beat.interval_s, state, cause), flushed_to: at };
        if let Some(open) = self.span.take() {
            let (ended, span) = open.span.followed_by(next.span, open.span.timeout_ms());
            match ended {
                None => next = OpenSpan { span, ..open },
                Some(at) => {
                    self.change_rare(|rare| {
                        if rare.ended.len() == MAX_ENDED {
                            let oldest = rare.ended.remove(0);
                            let lost = oldest.open.unwritten(oldest.at).into_iter().chain(rare.lost);
                            rare.lost = lost.reduce(whole);
                        }
                        rare.ended.push(EndedSpan { open, at });
                    });
                }
            }
        }
        self.span = Some(next);
        self.set_last_seen(self.last_seen().max(Some(at)));
        self.forget_will(|will| will <= at);
        self.interval_s = beat.interval_s;
        self.load = Load::pack(&beat.host);
    }

    /// The quickest heartbeat of a boot had the least delay: its arrival says best what our clock showed.
    fn learn_clock(&mut self, at: Timestamp, beat: &Heartbeat) {
        let mono_ms = i64::try_from(beat.mono_ms).unwrap_or(i64::MAX);
        let mono_zero = Timestamp(at.ms().saturating_sub(mono_ms));
        if self.rare().other_clock.is_some_and(|other| other.boot == beat.boot) {
            let last = self.clock.take();
            self.clock = self.rare().other_clock;
            self.change_rare(|rare| rare.other_clock = last);
        }
        match &mut self.clock {
            Some(clock) if clock.boot == beat.boot => {
                clock.interval_s = beat.interval_s;
                if mono_zero < clock.mono_zero.at() {
                    clock.mono_zero = mono_zero.into();
                    self.set_offset_ms(Some(at.since(beat.at)));
                }
            }
            last => {
                let (boot, mono_zero, interval_s) = (beat.boot, mono_zero.into(), beat.interval_s);
                if let Some(before) = last.replace(BootClock { boot, mono_zero, interval_s }) {
                    self.change_rare(|rare| rare.other_clock = Some(before));
                }
                self.set_offset_ms(Some(at.since(beat.at)));
            }
        }
    }

    /// Since when, and until when, heartbeats prove something that is not written. `None`: all that was heard is;
    /// what follows is silence.
    pub(super) fn unwritten(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let ended = self.rare().ended.iter().filter_map(|ended| ended.open.unwritten(ended.at));
        let open = self.span.and_then(|open| open.unwritten(open.span.holds_until().min(now)));
        ended.chain(open).reduce(whole)
    }

    /// As [`Self::unwritten`], with what was given up: since when, and until when, the store lacks what was heard.
    pub(super) fn unstored(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        self.lost().into_iter().chain(self.unwritten(now)).reduce(whole)
    }

    /// From when to when what was heard was given up for want of room, since it was last written.
    pub(super) fn lost(&self) -> Option<(Timestamp, Timestamp)> {
        self.rare().lost
    }

    /// Stretches to write that will not grow any more.
    pub(super) fn ended(&self, kiosk: &KioskId) -> impl Iterator<Item = EvidenceRow> {
        self.rare().ended.iter().filter_map(|ended| ended.open.row(kiosk, ended.at))
    }

    /// The stretch that runs, if more of it can be written now than was before.
    pub(super) fn running(&self, now: Timestamp) -> Option<RunningSpan> {
        let open = self.span?;
        let (_, to) = open.unwritten(open.span.holds_until().min(now))?;
        Some(open.span.running(to))
    }
}

/// From the beginning of the first to the end of the last.
fn whole(
    (from, to): (Timestamp, Timestamp),
    (other_from, other_to): (Timestamp, Timestamp),
) -> (Timestamp, Timestamp) {
    (from.min(other_from), to.max(other_to))
}

impl Fleet {
    /// What heartbeats have proven and no flush has written yet.
    #[must_use]
    pub fn live_evidence(&self, id: &KioskId, now: Timestamp) -> Vec<EvidenceRow> {
        let Some(ix) = self.place(id) else { return Vec::new() };
        let live = &self.live[ix as usize];
        let running = live.running(now).map(|running| running.evidence(id.clone()));
        live.ended(id).chain(running).collect()
    }

    /// Takes note of a heartbeat: constant time, no changes, no commit. The caller must have checked the
    /// interval against the wire's limits.
    pub fn heard(&mut self, received_at: Timestamp, kiosk: &KioskId, heartbeat: &Heartbeat) -> Heard {
        self.heard_at(self.place(kiosk), received_at, heartbeat)
    }

    /// As [`Self::heard`] of each, one after the other, in less time: a fleet is larger than the processor's
    /// caches, and a heartbeat waits for memory in one place after the other. Here all of them wait together.
    pub fn heard_together(&mut self, beats: &[Beat]) -> Vec<Heard> {
        let hashes: Vec<u64> = beats.iter().map(|beat| self.places.hash(&beat.kiosk)).collect();
        let guesses: Vec<Ix> = hashes.iter().filter_map(|&hash| self.places.guess(hash)).collect();
        for ix in guesses {
            let (known, live) = (&self.kiosks[ix as usize], &self.live[ix as usize]);
            black_box((known.first_bytes(), live.first_bytes()));
        }
        let each = hashes.into_iter().zip(beats);
        let heard = each.map(|(hash, beat)| {
            let place = self.places.find_hashed(&self.kiosks, hash, &beat.kiosk);
            self.heard_at(place, beat.received_at, &beat.message)
        });
        heard.collect()
    }

    fn heard_at(&mut self, place: Option<Ix>, received_at: Timestamp, heartbeat: &Heartbeat) -> Heard {
        let Some(ix) = place else {
            return Heard { durable: true };
        };
        let (known, live) = (&self.kiosks[ix as usize], &mut self.live[ix as usize]);
        if live.is_overtaken(received_at, heartbeat) {
            // Somebody lives all the same: of two copies, one with a slow clock looks like this for a while.
            live.set_last_seen(live.last_seen().max(Some(received_at)));
            return Heard { durable: false };
        }
        let state = &known.state;
        let second_voice = live.is_second_voice(heartbeat.session, heartbeat.boot);
        let journal = &heartbeat.journal;
        let head = known.head(journal.epoch);
        let durable = state.presence != PresenceVerdict::Online
            || state.session != Some(heartbeat.session)
            || state.boot != Some(heartbeat.boot)
            || second_voice
            // A shorter promise may be broken before the deadline that is armed.
            || heartbeat.interval_s < live.interval_s
            || head.map_or(journal.last_seq > 0, |head| journal.last_seq < head.upto)
            // The plan follows who is still heard of two that were one.
            || (head.is_some() && state.epoch != Some(journal.epoch))
            || live.rare().outlived_since.is_some();
        // A second voice is judged by the plan, which must still see that it is one.
        if !second_voice {
            live.beat(received_at, heartbeat, known.proves(heartbeat.service, true));
            self.set_aside.remove(&Look::silence(ix));
        }
        Heard { durable }
    }
}
