//! A fleet with its store and a clock that a test turns: plan, commit, adopt in one call.
use std::sync::Arc;

use kioskwatch_proto::{KioskId, SiteId, Timestamp};
use uuid::Uuid;

use super::{memory_store::MemoryStore, scripted_agent::ScriptedAgent};
use crate::{
    change::{Admission, KioskRow, SiteRow, Zone},
    fleet::{Actor, Answer, Committed, Fleet, Input, Refusal, Request},
    ids::Ids,
    policy::Policy,
};

/// 2026-11-23 10:00 in Shanghai, a Monday.
pub const START: Timestamp = Timestamp(1_795_399_200_000);

#[derive(Debug)]
pub struct World {
    pub fleet: Fleet,
    pub store: MemoryStore,
    pub ids: Ids,
    pub now: Timestamp,
}

impl World {
    /// A started server that hears and has settled, with default policy.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Policy::default())
    }

    #[must_use]
    pub fn with(policy: Policy) -> Self {
        let store = MemoryStore::default();
        let fleet = Fleet::from_image(Arc::new(policy), store.image());
        let mut world = Self { fleet, store, ids: Ids::seeded(7), now: START };
        world.start();
        world
    }

    fn start(&mut self) {
        let last_alive_at = self.store.image().last_alive_at;
        let server = self.ids.uuid(self.now);
        self.tell(&[Input::ServerStarted { server, last_alive_at }, Input::BrokerUp]);
    }

    /// Plan, commit, adopt.
    ///
    /// # Panics
    /// The store refuses: a promise of the domain is broken.
    pub fn tell(&mut self, inputs: &[Input]) -> Committed {
        let recalled = self.store.recall(&self.fleet.to_recall(inputs));
        let plan = self.fleet.plan_recalling(self.now, inputs, &recalled, &mut self.ids);
        self.store.commit(&plan.changes).expect("the domain keeps the store's promises");
        self.fleet.adopt(plan).expect("one plan at a time")
    }

    /// The process dies and another one starts from the store.
    pub fn restart(&mut self) {
        let policy = self.fleet.policy().clone();
        self.fleet = Fleet::from_image(Arc::new(policy), self.store.image());
        self.start();
    }

    /// Turns the clock, with a sweep every second and a heartbeat of each of these agents when it is due.
    pub fn pass(&mut self, ms: i64, agents: &mut [&mut ScriptedAgent]) -> Committed {
        let mut all = Committed::default();
        let end = self.now.plus_ms(ms);
        while self.now < end {
            self.now = self.now.plus_ms(1_000).min(end);
            for agent in agents.iter_mut() {
                if (self.now.since(START) / 1_000) % i64::from(agent.interval_s) == 0 {
                    merge(&mut all, self.beat(agent));
                }
            }
            let due = self.fleet.next_deadline().is_some_and(|at| at <= self.now);
            if due || (self.now.ms() / 1_000) % 10 == 0 {
                merge(&mut all, self.tell(&[Input::Sweep]));
            }
        }
        all
    }

    /// One heartbeat, planned when it has to be.
    pub fn beat(&mut self, agent: &mut ScriptedAgent) -> Committed {
        let heartbeat = agent.heartbeat(self.now);
        if !self.fleet.heard(self.now, &agent.id, &heartbeat).durable {
            return Committed::default();
        }
        let message = Box::new(heartbeat);
        self.tell(&[Input::Heartbeat { kiosk: agent.id.clone(), received_at: self.now, message }])
    }

    /// Sends the agent's journal and gives it the answer.
    pub fn send(&mut self, agent: &mut ScriptedAgent) -> Committed {
        let done = self.tell(&[agent.batch(self.now)]);
        for (kiosk, ack) in &done.acks {
            if *kiosk == agent.id {
                agent.acknowledged(ack.epoch, ack.upto);
            }
        }
        done
    }

    /// Asks as a person.
    ///
    /// # Errors
    /// The refusal.
    ///
    /// # Panics
    /// A request got no answer.
    pub fn ask(&mut self, actor: &str, request: Request) -> Result<Answer, Refusal> {
        self.ask_all(actor, request).0
    }

    /// As [`Self::ask`], with everything else that followed.
    ///
    /// # Panics
    /// A request got no answer.
    pub fn ask_all(&mut self, actor: &str, request: Request) -> (Result<Answer, Refusal>, Committed) {
        let actor = Actor { name: actor.to_owned() };
        let mut done = self.tell(&[Input::Request { actor, request }]);
        let (_, reply) = done.replies.pop().expect("every request is answered");
        (reply, done)
    }

    /// A site that is always open, in Shanghai, urban.
    ///
    /// # Panics
    /// The site is refused.
    pub fn site(&mut self, id: &str, hours: &str) -> SiteId {
        let id = SiteId::new(id).expect("a test names sites well");
        let row = SiteRow {
            id: id.clone(),
            name: String::new(),
            region: String::new(),
            customer: String::new(),
            zone: Zone::Urban,
            timezone: "Asia/Shanghai".into(),
            service_hours: hours.to_owned(),
            contacts: String::new(),
            remote_consent: false,
            updated_at: self.now,
        };
        self.ask("admin", Request::PutSite(row)).expect("a good site");
        id
    }

    /// A registered kiosk with its agent.
    ///
    /// # Panics
    /// The kiosk is refused.
    pub fn kiosk(&mut self, id: &str, site: Option<&SiteId>) -> ScriptedAgent {
        let agent = ScriptedAgent::new(id, self.now);
        let row = KioskRow {
            id: agent.id.clone(),
            site: site.cloned(),
            admission: Admission::Accepted,
            model: String::new(),
            serial_no: String::new(),
            commissioned_at: Some(self.now),
            decommissioned_at: None,
            updated_at: self.now,
        };
        self.ask("admin", Request::PutKiosk(row)).expect("a good kiosk");
        agent
    }

    /// Open tickets of a kiosk.
    #[must_use]
    pub fn tickets(&self, id: &KioskId) -> Vec<&crate::change::TicketRow> {
        let mut rows: Vec<_> =
            self.store.tickets.values().filter(|row| row.kiosk.as_ref() == Some(id)).collect();
        rows.sort_by_key(|row| row.number);
        rows
    }

    /// A ticket as the store has it.
    ///
    /// # Panics
    /// There is no such ticket.
    #[must_use]
    pub fn ticket(&self, id: Uuid) -> &crate::change::TicketRow {
        &self.store.tickets[&id]
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

fn merge(all: &mut Committed, more: Committed) {
    all.acks.extend(more.acks);
    all.effects.extend(more.effects);
    for (what, n) in more.counts {
        *all.counts.entry(what).or_default() += n;
    }
}
