//! The fleet in memory, and the two ways it moves: heartbeats directly, everything else by a plan.
//!
//! *`plan` reads the fleet and writes only into its own overlay; `adopt` makes the overlay the truth after
//! the store has committed the plan's changes.* A plan that could not be committed is dropped and nothing
//! happened; acknowledgements come out of `adopt` only, so none is ever sent before its commit.
//! One plan at a time: a plan made before another one was adopted is refused.
//!
//! Knows: what the rules say. Must not know: stores, brokers, clocks, threads.
mod apply;
mod changes;
mod clock_jump;
mod compare;
mod condition;
mod count;
mod deadlines;
mod directory;
mod doubt;
mod draft;
mod engineers;
mod expected;
mod hearing;
mod hours;
mod ingest;
mod input;
mod kiosk;
mod listen;
mod live;
mod load;
mod models;
mod operate;
mod outage;
mod plan;
mod problems;
mod recall;
mod registry;
mod remote;
mod silence;
mod site;
mod sweep;
mod ticket_file;
mod unstored;
mod untold;
mod view;
mod watch;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use kioskwatch_proto::{CommandId, Epoch, KioskId, SiteId, Timestamp, heartbeat::Heartbeat};
use uuid::Uuid;

pub(crate) use self::count::words as count_words;
pub use self::{
    apply::BootWay,
    count::{ClockName, Count, MessageOutcome, RecordFate, SecurityEvent},
    engineers::{MAX_NAME_CHARS, hand_over},
    expected::{InService, SiteCount},
    input::{
        Actor, CommandRequest, IncomingRecord, Input, NewTicket, RecordBatch, Request, Share, Stored,
        TicketAction,
    },
    kiosk::MAX_EPOCHS,
    models::remodel,
    plan::{Answer, Committed, Effect, Notice, NoticeKind, Plan, Refusal, RefusalKind},
    recall::Recalled,
    site::WrittenSite,
    sweep::Look,
    view::{KioskView, PresenceCounts},
};
use self::{
    deadlines::Deadlines,
    directory::Directory,
    doubt::Doubt,
    draft::{Draft, is_forgotten},
    hearing::Hearing,
    kiosk::{Kiosk, Liveness, Profile, Shared},
    site::{Alike, Site},
    sweep::Aside,
    ticket_file::TicketFile,
    untold::Untold,
};
use crate::{
    change::{CommandRow, IncidentRow, LivenessRow},
    ids::Ids,
    policy::Policy,
    presence::PresenceReason,
};

/// Place of a kiosk in the fleet; stable while the process runs. Whoever keeps something of each kiosk keeps it by
/// place: a name takes 24 bytes, and a map of them as many again.
pub type Ix = u32;

/// Shared states of peripherals that are remembered; beyond it each kiosk keeps its own.
const MAX_SHARED: usize = 4_096;

/// Everything the server knows that can still change. A few hundred bytes for a quiet kiosk.
#[derive(Debug)]
pub struct Fleet {
    policy: Arc<Policy>,
    /// Rises with each adopted plan.
    generation: u64,
    kiosks: Vec<Kiosk>,
    live: Vec<Liveness>,
    places: Directory,
    sites: BTreeMap<Arc<SiteId>, Site>,
    /// Open ones.
    incidents: HashMap<Uuid, IncidentRow>,
    /// Open ones, and closed ones that may come back.
    tickets: HashMap<Uuid, TicketFile>,
    /// Open ones, and those of which the truth may still come.
    commands: HashMap<CommandId, CommandRow>,
    /// When the sweep must look at what.
    due: BTreeSet<(Timestamp, Due)>,
    /// When the sweep must look at whose silence. Heartbeats leave it alone; the sweep arms it again.
    silence_due: Deadlines,
    server: Server,
    /// Records that could not be applied, and how often.
    failures: HashMap<(Ix, Epoch, u64), u8>,
    /// What the sweep leaves alone for a while.
    set_aside: BTreeMap<Look, Aside>,
    /// Of whom records were set aside in this interval.
    untold: BTreeMap<Ix, Untold>,
    last_number: u64,
    /// Kiosks that wait for approval.
    quarantined: usize,
    /// Progress rows of commands that are remembered, since our start.
    progress: HashMap<CommandId, u16>,
    shared: HashSet<Shared>,
    profiles: HashSet<Arc<Profile>>,
    alike: Alike,
}

/// Something with a stored deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Incident(Uuid),
    Ticket(Uuid),
    Command(CommandId),
    /// Its service ends, or ended, while problems of it are open.
    End(Ix),
    /// Records of it were set aside of which the audit was not told.
    Untold(Ix),
}

/// Whether we hear.
#[derive(Debug, Clone, PartialEq, Default)]
struct Server {
    id: Uuid,
    /// `None` while the broker or we are away.
    hearing_since: Option<Timestamp>,
    doubt: Doubt,
    /// What was received until then has been taken. `None`: nobody said so, and all of it has.
    read_to: Option<Timestamp>,
    /// From `unknown` no verdict falls before this.
    settled_at: Timestamp,
    /// Whoever lost the broker may take this long: one that lost it more than once waits longer before each next try.
    back_by: Timestamp,
    /// The outages of sites were judged since then: who came back before said so to nobody.
    settled: bool,
    deaf_since: Option<Timestamp>,
    /// The outage was long enough that nothing is known of anybody.
    all_unknown: bool,
    /// Nobody is known any more, and this is not yet said of all: from which place on, since when, why.
    forgetting: Option<(Ix, Timestamp, PresenceReason)>,
    hearing: Hearing,
}

/// A heartbeat as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Beat {
    pub kiosk: KioskId,
    pub received_at: Timestamp,
    pub message: Box<Heartbeat>,
}

/// What a heartbeat did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Hand the heartbeat to the next plan as [`Input::Heartbeat`]: it changes something durable.
    pub durable: bool,
}

/// The plan was made before another one was adopted. Its changes must not be committed; plan again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the plan is older than the fleet")]
pub struct StalePlan;

impl Fleet {
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Decides what the inputs mean, all of them in order. Changes nothing.
    ///
    /// Of an agent that lost its journal many times only the newest journals are remembered: where
    /// [`Self::to_recall`] names any, [`Self::plan_recalling`] is to be called instead.
    pub fn plan(&self, now: Timestamp, inputs: &[Input], ids: &mut Ids) -> Plan {
        self.plan_recalling(now, inputs, &Recalled::default(), ids)
    }

    /// As [`Self::plan`], with what the store holds of the journals in [`Self::to_recall`].
    pub fn plan_recalling(
        &self,
        now: Timestamp,
        inputs: &[Input],
        recalled: &Recalled,
        ids: &mut Ids,
    ) -> Plan {
        let mut draft = Draft::new(self, now, ids);
        draft.recall(recalled);
        draft.expect_repeats(inputs);
        for (position, input) in inputs.iter().enumerate() {
            draft.take(position, input);
            draft.judge_sites();
        }
        draft.finish()
    }

    /// Makes a committed plan the truth and hands out what may follow.
    ///
    /// # Errors
    /// The plan was made before another one was adopted.
    pub fn adopt(&mut self, plan: Plan) -> Result<Committed, StalePlan> {
        let over = plan.overlay;
        if over.generation != self.generation {
            return Err(StalePlan);
        }
        self.generation += 1;
        let ends: Vec<_> = over.kiosks.keys().map(|&ix| (ix, self.ends_at(ix))).collect();
        for (ix, mut kiosk) in over.kiosks {
            self.share(&mut kiosk);
            let was = self.kiosks.get(ix as usize).is_some_and(Kiosk::is_quarantined);
            self.quarantined = self.quarantined + usize::from(kiosk.is_quarantined()) - usize::from(was);
            match self.kiosks.get_mut(ix as usize) {
                Some(slot) => *slot = kiosk,
                None => push_sparingly(&mut self.kiosks, kiosk),
            }
        }
        for &ix in over.ids.values() {
            self.places.add(&self.kiosks, ix);
        }
        for (ix, live) in over.live {
            // New kiosks only; of the others the truth is made by replaying the edits.
            if ix as usize >= self.live.len() {
                push_sparingly(&mut self.live, live);
            }
        }
        for (ix, edit) in &over.edits {
            self.live[*ix as usize].apply(edit);
            if edit.is_sign_of_life() {
                self.set_aside.remove(&Look::silence(*ix));
            }
        }
        for (ix, at) in over.rearm {
            self.silence_due.set(ix, at);
        }
        for mut site in over.sites.into_values() {
            site.tidy();
            self.alike.share(&mut site);
            self.sites.insert(site.key(), site);
        }
        for (id, row) in over.incidents {
            let key = Due::Incident(id);
            self.move_due(key, self.incidents.get(&id).and_then(|i| i.triage_due_at), row.triage_due_at);
            if row.closed_at.is_some() {
                self.move_due(key, row.triage_due_at, None);
                self.incidents.remove(&id);
            } else {
                self.incidents.insert(id, row);
            }
        }
        // Whose problems became others is among them.
        for (ix, before) in ends {
            self.move_due(Due::End(ix), before, self.ends_at(ix));
        }
        for (id, file) in over.tickets {
            let key = Due::Ticket(id);
            let gone = is_forgotten(file.row.state) || over.forgotten_tickets.contains(&id);
            let next = file.row.due_at.filter(|_| !gone);
            self.move_due(key, self.tickets.get(&id).and_then(|t| t.row.due_at), next);
            if gone {
                self.tickets.remove(&id);
            } else {
                self.tickets.insert(id, file);
            }
        }
        self.progress.extend(over.progress);
        for (id, row) in over.commands {
            let key = Due::Command(id);
            let policy = &self.policy.commands;
            let gone = over.forgotten_commands.contains(&id);
            let next = crate::command::next_look(&row, policy).filter(|_| !gone);
            let before = self.commands.get(&id).and_then(|c| crate::command::next_look(c, policy));
            self.move_due(key, before, next);
            if gone || next.is_none() {
                self.commands.remove(&id);
                self.progress.remove(&id);
            } else {
                self.commands.insert(id, row);
            }
        }
        if let Some(server) = over.server {
            self.server = server;
        }
        for (key, times) in over.failures {
            match times {
                Some(times) => self.failures.insert(key, times),
                None => self.failures.remove(&key),
            };
        }
        for (look, aside) in over.set_aside {
            match aside {
                Some(aside) => self.set_aside.insert(look, aside),
                None => self.set_aside.remove(&look),
            };
        }
        for (ix, untold) in over.untold {
            let next = untold.as_ref().map(|untold| untold.due_at);
            let before = match untold {
                Some(untold) => self.untold.insert(ix, untold),
                None => self.untold.remove(&ix),
            };
            self.move_due(Due::Untold(ix), before.map(|untold| untold.due_at), next);
        }
        self.last_number = over.last_number.unwrap_or(self.last_number);
        Ok(plan.committed)
    }

    fn move_due(&mut self, key: Due, before: Option<Timestamp>, after: Option<Timestamp>) {
        if before != after {
            // It is not the deadline that failed any more.
            self.set_aside.remove(&Look::due(key));
        }
        if let Some(before) = before {
            self.due.remove(&(before, key));
        }
        if let Some(after) = after {
            self.due.insert((after, key));
        }
    }

    /// When the service of a kiosk ends of which problems are open that were seen in it.
    fn ends_at(&self, ix: Ix) -> Option<Timestamp> {
        let kiosk = self.kiosks.get(ix as usize)?;
        let seen = |end: Timestamp| {
            let mut open = kiosk.busy().incidents.iter().filter_map(|id| self.incidents.get(id));
            open.any(|row| row.noticed_at < end)
        };
        kiosk.ends_at().filter(|end| seen(*end))
    }

    /// `None`: nobody of this name was adopted yet.
    #[must_use]
    pub fn place(&self, id: &KioskId) -> Option<Ix> {
        self.places.find(&self.kiosks, id)
    }

    /// Quiet kiosks look alike: they share one copy.
    fn share(&mut self, kiosk: &mut Kiosk) {
        kiosk.tidy();
        if let Some(site) = &mut kiosk.site
            && let Some((known, _)) = self.sites.get_key_value(&**site)
        {
            site.clone_from(known);
        }
        let quiet = kiosk.state.peripherals.iter().all(|(_, peripheral)| peripheral.faults.is_empty());
        let key = Shared(kiosk.state.peripherals.clone());
        if let Some(Shared(known)) = self.shared.get(&key) {
            kiosk.state.peripherals = known.clone();
        } else if quiet && self.shared.len() < MAX_SHARED {
            self.shared.insert(key);
        }
        if let Some(profile) = &kiosk.state.profile {
            if let Some(known) = self.profiles.get(profile) {
                kiosk.state.profile = Some(known.clone());
            } else if self.profiles.len() < MAX_SHARED {
                self.profiles.insert(profile.clone());
            }
        }
    }

    /// From which place on kiosks are still shown by what was known before an outage of ours. Sweep until
    /// there is none, and decide nothing else before.
    #[must_use]
    pub fn forgetting_from(&self) -> Option<u32> {
        self.server.forgetting.map(|(place, ..)| place)
    }

    /// When we were able to hear, as far as it is not written yet.
    #[must_use]
    pub fn live_hearing(&self, now: Timestamp) -> Vec<LivenessRow> {
        let server = self.server.id;
        let row = |(from, to)| LivenessRow { server, from, to };
        self.server.hearing.unwritten(now).map(row).collect()
    }

    /// Since when nobody can be heard; `None` while the broker is there.
    #[must_use]
    pub fn deaf_since(&self) -> Option<Timestamp> {
        self.server.deaf_since
    }

    /// Whether silence means something now: connected, and settled after a start or an outage.
    #[must_use]
    pub fn hears(&self, now: Timestamp) -> bool {
        self.server.hears(now)
    }
}

impl Server {
    /// Up to when silence can be judged: what waits to be read may be the next sign of life.
    fn silence_to(&self, now: Timestamp) -> Timestamp {
        self.read_to.map_or(now, |read_to| read_to.min(now))
    }

    fn hears(&self, now: Timestamp) -> bool {
        self.hearing_since.is_some() && self.settled_at <= now
    }
}

/// What is one of a whole fleet grows by an eighth and not by as much again: the room for twice as many kiosks is memory
/// that large pages make real.
pub fn push_sparingly<T>(all: &mut Vec<T>, one: T) {
    if all.len() == all.capacity() {
        all.reserve_exact(all.len() / 8 + 64);
    }
    all.push(one);
}

#[cfg(test)]
mod tests;
