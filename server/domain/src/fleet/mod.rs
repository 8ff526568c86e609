//! The fleet in memory, and the two ways it moves: heartbeats directly, everything else by a plan.
//!
//! *`plan` reads the fleet and writes only into its own overlay; `adopt` makes the overlay the truth after
//! the store has committed the plan's changes.* A plan that could not be committed is dropped and nothing
//! happened; acknowledgements come out of `adopt` only, so none is ever sent before its commit.
//! One plan at a time: a plan made before another one was adopted is refused.
mod count;
mod draft;
mod input;
mod plan;
mod view;

use std::sync::Arc;

use kioskwatch_proto::{KioskId, Timestamp, heartbeat::Heartbeat};

pub(crate) use self::count::words as count_words;
pub use self::{
    count::{Count, MessageOutcome, RecordFate, SecurityEvent},
    input::{Actor, CommandRequest, IncomingRecord, Input, NewTicket, RecordBatch, Request, TicketAction},
    plan::{Answer, Committed, Effect, Notice, NoticeKind, Plan, Refusal, RefusalKind},
    view::{KioskView, PresenceCounts},
};
use crate::{ids::Ids, image::FleetImage, policy::Policy};

/// Everything the server knows that can still change. A few hundred bytes for a quiet kiosk.
#[derive(Debug)]
pub struct Fleet {
    policy: Arc<Policy>,
    generation: u64,
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
    /// Rebuilds the fleet from what the store holds. Follow with [`Input::ServerStarted`].
    #[must_use]
    pub fn from_image(policy: Arc<Policy>, image: FleetImage) -> Self {
        drop(image);
        Self { policy, generation: 0 }
    }

    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Decides what the inputs mean, all of them in order. Changes nothing.
    pub fn plan(&self, now: Timestamp, inputs: &[Input], ids: &mut Ids) -> Plan {
        let _ = (now, inputs, ids);
        let overlay = draft::Overlay { generation: self.generation };
        Plan { changes: Vec::new(), committed: Committed::default(), overlay }
    }

    /// Makes a committed plan the truth and hands out what may follow.
    ///
    /// # Errors
    /// The plan was made before another one was adopted.
    pub fn adopt(&mut self, plan: Plan) -> Result<Committed, StalePlan> {
        if plan.overlay.generation != self.generation {
            return Err(StalePlan);
        }
        self.generation += 1;
        Ok(plan.committed)
    }

    /// Takes note of a heartbeat: constant time, no changes, no commit.
    pub fn heard(&mut self, received_at: Timestamp, kiosk: &KioskId, heartbeat: &Heartbeat) -> Heard {
        let _ = (received_at, kiosk, heartbeat);
        Heard { durable: false }
    }

    /// One kiosk, or `None` when the id was never seen.
    #[must_use]
    pub fn kiosk(&self, id: &KioskId) -> Option<KioskView<'_>> {
        let _ = id;
        None
    }

    /// All kiosks, in no particular order.
    pub fn kiosks(&self) -> impl Iterator<Item = KioskView<'_>> {
        std::iter::empty()
    }

    /// Whether silence means something now: connected, and settled after a start or an outage.
    #[must_use]
    pub fn hears(&self, now: Timestamp) -> bool {
        let _ = now;
        false
    }

    #[must_use]
    pub fn presence_counts(&self) -> PresenceCounts {
        PresenceCounts::default()
    }
}
