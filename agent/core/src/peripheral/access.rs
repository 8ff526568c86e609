//! What the kiosk application says of a device it holds itself, and the leases of its port.
use kioskwatch_proto::{
    Timestamp,
    local::{LeaseRequest, PushedPeripheral},
    words::PortMode,
};

use super::{Lease, Line, Moment, Outputs, Peripheral};
use crate::{
    condition::{Observation, detail_of},
    confirm::Sight,
    effect::{CloseReason, LocalRefusal},
};

/// The longest lease.
const MAX_LEASE_S: u32 = 300;
/// The longest time a pushed state may be believed.
const MAX_PUSHED_VALID_S: u32 = 24 * 60 * 60;

impl Peripheral {
    /// The application's word about a device it reads itself.
    pub(crate) fn pushed(
        &mut self,
        state: PushedPeripheral,
        at: Moment<'_>,
        out: &mut Outputs,
    ) -> Result<(), LocalRefusal> {
        if self.config.mode == PortMode::Owned {
            return Err(LocalRefusal::OwnedByAgent);
        }
        if !(1..=MAX_PUSHED_VALID_S).contains(&state.valid_for_s) {
            return Err(LocalRefusal::OutOfRange);
        }
        let faults = state
            .faults
            .into_iter()
            .map(|f| {
                let raw = f.detail.raw.and_then(|r| hex::decode(r).ok()).unwrap_or_default();
                (f.code, detail_of(&raw, f.detail.text.as_deref()))
            })
            .collect();
        let observation = Observation::Whole { status: state.status, faults };
        // The application has already decided what it tells us: one word is enough.
        let sight = Sight { now: at.now.mono, probes: 1, limits: at.flapping };
        out.changes.extend(self.condition.observe(observation, sight));
        self.fresh_until = at.now.mono + remaining_ms(at.now.wall, state.at, state.valid_for_s);
        self.calm(at, out);
        Ok(())
    }

    pub(crate) fn lease(
        &mut self,
        id: String,
        request: &LeaseRequest,
        at: Moment<'_>,
        out: &mut Outputs,
    ) -> Result<(), LocalRefusal> {
        if self.config.mode != PortMode::Lease || self.barred {
            return Err(LocalRefusal::NotLeasable);
        }
        if self.lease.is_some() {
            return Err(LocalRefusal::AlreadyLeased);
        }
        if !(1..=MAX_LEASE_S).contains(&request.seconds) {
            return Err(LocalRefusal::OutOfRange);
        }
        self.lease = Some(Lease { id, until: at.now.mono + u64::from(request.seconds) * 1000 });
        self.line = Line::Closed { open_at: at.now.mono };
        self.wake(at, out);
        Ok(())
    }

    /// Whether that lease was this peripheral's.
    pub(crate) fn end_lease(&mut self, id: &str, out: &mut Outputs) -> bool {
        let ours = self.lease.as_ref().is_some_and(|l| l.id == id);
        if ours {
            self.close(CloseReason::LeaseOver, out);
        }
        ours
    }
}

/// How long a pushed state may still be believed.
fn remaining_ms(now: Timestamp, at: Timestamp, valid_for_s: u32) -> u64 {
    let age = now.since(at).max(0);
    u64::try_from((i64::from(valid_for_s) * 1000).saturating_sub(age)).unwrap_or(0)
}
