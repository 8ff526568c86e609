//! Everything that can happen to a fleet, as one enum, and what people may ask of it.
use std::sync::Arc;

use kioskwatch_proto::{
    CommandId, Epoch, KioskId, PeripheralName, SiteId, Timestamp,
    artifact::Progress,
    command::Action,
    faults::FaultCode,
    heartbeat::Heartbeat,
    inventory::Inventory,
    journal::{Body, Digest, Record, RecordError, Was},
    presence::Presence,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::sweep::Look;
use crate::change::{Change, ExclusionRow, KioskRow, SiteRow, TicketSource};
use crate::journal::Identity;
use crate::uptime::{Commissioned, Known};

/// One thing that happened. The receive time of a message is taken at the edge; `now` belongs to the plan.
#[derive(Debug, Clone)]
pub enum Input {
    /// The first input of a process: nothing was heard since `last_alive_at`, everybody is unknown.
    ServerStarted {
        server: Uuid,
        last_alive_at: Option<Timestamp>,
    },
    /// Connected and subscribed: from now on silence means something.
    BrokerUp,
    /// Messages are read again after a stall of our own, in which no connection was lost.
    ReadsAgain,
    /// We do not hear: the connection is gone, or messages were not read for a while. A stall is told
    /// afterwards, with a [`Self::ReadsAgain`] behind it.
    BrokerDown {
        /// The last instant at which messages were taken.
        since: Timestamp,
    },
    /// Of a thousand heartbeats so many are lost on their way to us, whoever sends them; 0: none any more.
    HeartbeatsLost {
        per_mille: u16,
    },
    /// The wall clock of our own machine was set, or the machine was suspended: it showed `before` when it came
    /// to show the plan's `now`. Comes before what was received after the jump.
    ClockJumped {
        before: Timestamp,
    },
    /// All that was received before `to` is among the inputs so far. Silence proves something up to there, however
    /// much later a sweep is decided; until this was said once, a sweep judges up to its `now`.
    Read {
        to: Timestamp,
    },
    /// Look for everything that has become due. Takes no other input and may come at any time.
    Sweep,
    /// A part of what [`Fleet::looks`](super::Fleet::looks) gave, because the whole could not be committed.
    SweepPart(Vec<Look>),
    /// This alone could not be committed or decided: the sweep leaves it alone for a while.
    LookFailed {
        look: Look,
        reason: String,
    },
    /// Write when kiosks were heard last, and their live evidence.
    FlushLiveness {
        share: Share,
        /// Everything that was received before this has been told to the fleet.
        heard_to: Timestamp,
    },
    Presence {
        kiosk: KioskId,
        received_at: Timestamp,
        retained: bool,
        message: Presence,
    },
    /// `raw` is the text to keep for people.
    Inventory {
        kiosk: KioskId,
        received_at: Timestamp,
        message: Box<Inventory>,
        raw: Arc<str>,
    },
    /// Only those of which [`Heard::durable`](super::Heard) says so.
    Heartbeat {
        kiosk: KioskId,
        received_at: Timestamp,
        message: Box<Heartbeat>,
    },
    Batch {
        kiosk: KioskId,
        received_at: Timestamp,
        batch: RecordBatch,
    },
    /// A plan with this record could not be committed or made; the third time it goes to quarantine.
    RecordFailed {
        kiosk: KioskId,
        epoch: Epoch,
        seq: u64,
        reason: String,
    },
    /// A kiosk has begun to send more than the edge lets through; said once for each time it begins.
    Flood {
        kiosk: KioskId,
    },
    /// It keeps to it again: what had to be dropped between the two instants.
    FloodEnded {
        kiosk: KioskId,
        since: Timestamp,
        until: Timestamp,
        dropped: u64,
    },
    Progress {
        kiosk: KioskId,
        received_at: Timestamp,
        message: Progress,
    },
    /// A person or a program of ours asks; the answer stands in [`Committed::replies`](super::Committed).
    Request {
        actor: Actor,
        request: Request,
    },
}

impl Input {
    /// The evidence of the whole fleet at once, with nothing waiting to be told.
    pub const FLUSH_ALL: Self = Self::FlushLiveness { share: Share::ALL, heard_to: Timestamp(i64::MAX) };
}

/// A part of the fleet, so that no plan has to be as large as the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// 0 to `of - 1`.
    pub index: u32,
    pub of: u32,
}

/// Kiosks that are written together: their rows fill some pages of a database.
const NEIGHBOURS: u32 = 64;

impl Share {
    pub const ALL: Self = Self { index: 0, of: 1 };

    /// The places that belong to it; all shares together have every place once. Neighbours go together, because
    /// their rows lie together: written one here and one there, each would take whole pages along.
    ///
    /// A place stays in its share when the fleet grows, so that a round leaves nobody out.
    pub fn places(self, fleet: u32) -> impl Iterator<Item = u32> {
        let begins = (self.index..=fleet / NEIGHBOURS).step_by(self.of.max(1) as usize);
        begins.flat_map(move |n| n * NEIGHBOURS..(n * NEIGHBOURS).saturating_add(NEIGHBOURS).min(fleet))
    }
}

/// A journal message, read record by record.
#[derive(Debug, Clone)]
pub struct RecordBatch {
    pub epoch: Epoch,
    /// The lowest number the agent still holds.
    pub first: u64,
    pub records: Vec<IncomingRecord>,
}

/// One record as it came and as it was understood. Made outside of the plan, where it can run in parallel.
#[derive(Debug, Clone)]
pub struct IncomingRecord {
    pub raw: Arc<str>,
    pub digest: Digest,
    pub parsed: Result<Record, RecordError>,
    pub stored: Stored,
}

/// What the store holds under the number a record had before its epoch changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stored {
    /// Nobody looked: what the fleet remembers decides, and beyond that the number alone.
    #[default]
    NotLookedUp,
    /// Not applied: the number is part of a gap.
    Nothing,
    /// Applied, and removed since because it is old: nobody can compare the bytes any more.
    Removed,
    /// The store cannot read that place.
    Unreadable,
    Holds(Identity),
}

impl IncomingRecord {
    /// Reads the exact JSON bytes of one record.
    #[must_use]
    pub fn read(raw: &str) -> Self {
        let digest = Digest::of(raw.as_bytes());
        Self { raw: raw.into(), digest, parsed: Record::parse(raw), stored: Stored::NotLookedUp }
    }

    /// One that could not be read for a defect of ours: its number is used up, and its bytes are kept.
    #[must_use]
    pub fn unread(raw: &str, why: &str) -> Self {
        let parsed = Err(Record::unread(raw, why));
        Self { raw: raw.into(), digest: Digest::of(raw.as_bytes()), parsed, stored: Stored::NotLookedUp }
    }

    /// The last number that it uses up, where it stands for a range.
    pub(super) fn through(&self) -> Option<u64> {
        match &self.parsed {
            Ok(Record { body: Body::Dropped(dropped), .. }) => Some(dropped.through),
            Ok(_) => None,
            Err(_) => Record::unread_through(&self.raw),
        }
    }

    /// Where it stood in an older epoch: before a plan, the store's record of that place is to be given to
    /// [`Self::compare_with`]. The fleet remembers only the newest few.
    #[must_use]
    pub fn stood_at(&self) -> Option<Was> {
        self.parsed.as_ref().ok().and_then(|record| record.header.was)
    }

    /// Takes the exact bytes the store holds under [`Self::stood_at`].
    pub fn compare_with(&mut self, raw: Option<&str>) {
        let stored = raw.and_then(|raw| Record::parse(raw).ok());
        self.stored = stored.map_or(Stored::Nothing, |record| Stored::Holds(Identity::of(&record)));
    }
}

/// Who asks. Roles and scopes are checked before; the fleet checks what depends on its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub name: String,
}

/// What can be asked of a fleet.
#[derive(Debug, Clone)]
pub enum Request {
    PutSite(SiteRow),
    /// Of a site whose service hours are still those that were seen; everything else about it stays.
    PutServiceHours {
        site: SiteId,
        before: String,
        after: String,
    },
    /// The same for its time zone.
    PutTimezone {
        site: SiteId,
        before: String,
        after: String,
    },
    /// Registers, changes, approves (`admission`) or retires a kiosk.
    PutKiosk(KioskRow),
    /// A kiosk that is still in service from and to when it was seen to be.
    ChangeKiosk {
        before: Box<KioskRow>,
        /// With dates that say one of its stretches anew, or a further one.
        after: Box<KioskRow>,
        /// All of its stretches, as they were ever noted: nothing, where its dates say it all.
        noted: Known<Commissioned>,
    },
    PutExclusion(Box<ExclusionRow>),
    /// What the books decided (`uptime::books`, `uptime::corrections`), and what the fleet has to do with it:
    /// all of it or nothing.
    Book {
        changes: Vec<Change>,
        also: Option<Box<Request>>,
    },
    Command(CommandRequest),
    /// By another person than the requester.
    ApproveCommand {
        command: CommandId,
    },
    RejectCommand {
        command: CommandId,
        reason: String,
    },
    CancelCommand {
        command: CommandId,
        reason: String,
    },
    OpenTicket(NewTicket),
    Ticket {
        ticket: Uuid,
        action: TicketAction,
    },
}

impl Request {
    /// Whether it rests on a look at what is stored, in the books or about the past: what was decided meanwhile may
    /// not be undone by it.
    #[must_use]
    pub const fn needs_a_look(&self) -> bool {
        match self {
            Self::PutSite(_)
            | Self::PutServiceHours { .. }
            | Self::PutTimezone { .. }
            | Self::PutKiosk(_)
            | Self::ChangeKiosk { .. }
            | Self::PutExclusion(_)
            | Self::Book { .. } => true,
            Self::Command(_)
            | Self::ApproveCommand { .. }
            | Self::RejectCommand { .. }
            | Self::CancelCommand { .. }
            | Self::OpenTicket(_)
            | Self::Ticket { .. } => false,
        }
    }
}

#[derive(Debug, Clone)]
pub struct CommandRequest {
    pub kiosk: KioskId,
    pub action: Action,
    pub args: Map<String, Value>,
    pub ticket: Option<Uuid>,
    /// Shorter than the policy's window; longer is cut.
    pub valid_for_ms: Option<i64>,
}

/// A problem told by a person (SR-030).
#[derive(Debug, Clone)]
pub struct NewTicket {
    pub kiosk: KioskId,
    pub peripheral: Option<PeripheralName>,
    pub fault: FaultCode,
    pub source: TicketSource,
    pub text: String,
}

/// What a person may do with a ticket here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TicketAction {
    Note {
        text: String,
    },
    /// 催上门: raises the priority one step, once (SR-121, SR-124).
    Urge {
        reason: String,
    },
    Resolve {
        resolution: String,
    },
    /// With the customer's signature or what the sign-off allows instead (SR-160, C10, C11, C35).
    Close {
        sign_off: String,
        reason: String,
    },
    /// 撤单: ground from the closed list (SR-091) and a reason (SR-097).
    Cancel {
        ground: String,
        reason: String,
    },
    /// Within seven days of closing (SR-032).
    Reopen {
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_together_have_every_place_once_and_none_moves_when_the_fleet_grows() {
        for (fleet, of) in [(0, 3), (1, 3), (10, 3), (64, 2), (1_000, 3), (10_000, 120), (7, 120)] {
            let mut all = Vec::new();
            for index in 0..of {
                let places: Vec<_> = Share { index, of }.places(fleet).collect();
                let of_a_larger: Vec<_> = Share { index, of }.places(fleet + 5).collect();
                assert!(of_a_larger.starts_with(&places), "{index} of {of}");
                all.extend(places);
            }
            all.sort_unstable();
            assert!(all.into_iter().eq(0..fleet), "{of} shares of {fleet}");
        }
        assert!(Share::ALL.places(5).eq(0..5));
    }
}
