//! One kiosk in memory: what is committed, and what heartbeats said since.
use std::{borrow::Cow, sync::Arc};

use kioskwatch_proto::{
    BootId, CommandId, Epoch, KioskId, PeripheralName, SessionId, SiteId, Timestamp,
    heartbeat::{HostLoad, PeripheralState},
    inventory::Inventory,
    journal::Digest,
    words::{PortMode, ServiceState},
};
use smallvec::SmallVec;
use uuid::Uuid;

use super::{
    hours::Window,
    live::{Began, EndedSpan, OpenSpan},
};
use crate::{
    change::{Admission, JournalHeadRow, KioskStateRow, PresenceRow, PresenceVerdict, ServiceSpan},
    cursor::{BootClock, Cursor},
    journal::Remembered,
    moment::Moment,
    presence::PresenceReason,
};

/// Journals of one kiosk that are kept in memory; the oldest goes first, and is looked up in the store when it
/// speaks again.
pub const MAX_EPOCHS: usize = 16;

/// All peripherals with their status and faults, in order of their names. Shared between kiosks that look
/// the same. To point at a slice itself takes twice the room.
pub(super) type Peripherals = Arc<Box<[(PeripheralName, PeripheralState)]>>;

/// Peripherals as a key of what is shared.
#[derive(Debug, PartialEq)]
pub(super) struct Shared(pub(super) Peripherals);

impl Eq for Shared {}

impl std::hash::Hash for Shared {
    fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
        for (name, peripheral) in self.0.iter() {
            name.hash(hasher);
            peripheral.status.hash(hasher);
            peripheral.faults.hash(hasher);
        }
    }
}

/// What is committed about a kiosk. Copied by a plan that touches it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kiosk {
    pub(super) id: KioskId,
    /// Shared between the kiosks of a site: a name takes three times the room.
    pub(super) site: Option<Arc<SiteId>>,
    /// Since when it belongs to the site.
    pub(super) assigned_from: Option<Moment>,
    /// It stood at some site before that.
    pub(super) moved: bool,
    pub(super) admission: Admission,
    pub(super) commissioned_at: Option<Moment>,
    pub(super) state: State,
    /// Nearly every kiosk has one: beside the rest of it, where a heartbeat looks.
    pub(super) heads: SmallVec<[Head; 1]>,
    /// What a quiet kiosk in service has none of.
    busy: Option<Box<Busy>>,
}

/// What people or the sweep still have to do with a kiosk, and that it was or will be taken out of service.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Busy {
    /// Open ones.
    pub(super) incidents: Vec<Uuid>,
    /// Open ones, and closed ones that may come back.
    pub(super) tickets: Vec<Uuid>,
    pub(super) commands: Vec<CommandId>,
    /// Approved exclusions of this kiosk alone.
    pub(super) windows: Vec<Window>,
    pub(super) decommissioned_at: Option<Moment>,
}

static IDLE: Busy = Busy {
    incidents: Vec::new(),
    tickets: Vec::new(),
    commands: Vec::new(),
    windows: Vec::new(),
    decommissioned_at: None,
};

/// What a `KioskStateRow` holds beside the liveness.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    pub(super) presence: PresenceVerdict,
    pub(super) presence_since: Timestamp,
    pub(super) presence_reason: PresenceReason,
    pub(super) session: Option<SessionId>,
    pub(super) boot: Option<BootId>,
    pub(super) epoch: Option<Epoch>,
    pub(super) service: Option<ServiceState>,
    pub(super) service_since: Option<Moment>,
    /// Few have one, and to point at a text itself takes twice the room.
    pub(super) service_cause: Option<Arc<String>>,
    pub(super) peripherals: Peripherals,
    pub(super) profile: Option<Arc<Profile>>,
    /// Of the stored inventory text, to know a retained message that comes again.
    pub(super) inventory: Option<Digest>,
    pub(super) command_counter: u64,
}

/// What the inventory says, as far as decisions need it, and read of its text without the rest. Shared between kiosks of
/// one make.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Deserialize)]
pub(super) struct Profile {
    #[serde(rename = "peripherals")]
    pub(super) items: Vec<Item>,
    pub(super) actions: Vec<String>,
    pub(super) agent_version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Deserialize)]
pub(super) struct Item {
    pub(super) name: PeripheralName,
    pub(super) kind: String,
    pub(super) mode: PortMode,
    pub(super) required: bool,
}

impl Profile {
    pub(super) fn of(inventory: &Inventory) -> Self {
        let items = inventory.peripherals.iter().map(|item| Item {
            name: item.name.clone(),
            kind: item.kind.clone(),
            mode: item.mode,
            required: item.required,
        });
        Self {
            items: items.collect(),
            actions: inventory.actions.clone(),
            agent_version: inventory.agent_version.clone(),
        }
    }

    pub(super) fn kind(&self, name: &PeripheralName) -> Option<&str> {
        self.items.iter().find(|item| item.name == *name).map(|item| item.kind.as_str())
    }
}

/// How far one journal is applied.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Head {
    pub(super) epoch: Epoch,
    pub(super) upto: u64,
    pub(super) digest: Option<Digest>,
    pub(super) first_seen_at: Timestamp,
    pub(super) cursor: Cursor,
    pub(super) remembered: Remembered,
}

#[derive(serde::Serialize)]
struct CursorText<'a> {
    #[serde(flatten)]
    cursor: &'a Cursor,
    recent: String,
}

/// Of the same text. Each is read by itself: both together would be kept and sorted before they are understood.
#[derive(serde::Deserialize)]
struct RecentText<'a> {
    #[serde(borrow)]
    recent: Cow<'a, str>,
}

impl Head {
    pub(super) fn new(epoch: Epoch, first_seen_at: Timestamp) -> Self {
        Self {
            epoch,
            upto: 0,
            digest: None,
            first_seen_at,
            cursor: Cursor::default(),
            remembered: Remembered::default(),
        }
    }

    /// The same for a fleet that lived and for one that was loaded.
    pub(super) fn age(&self) -> (Timestamp, Epoch) {
        (self.first_seen_at, self.epoch)
    }

    pub(super) fn to_row(&self, kiosk: &KioskId) -> JournalHeadRow {
        let text = CursorText { cursor: &self.cursor, recent: self.remembered.to_text() };
        JournalHeadRow {
            kiosk: kiosk.clone(),
            epoch: self.epoch,
            upto: self.upto,
            digest: self.digest,
            first_seen_at: self.first_seen_at,
            cursor: serde_json::to_string(&text).unwrap_or_default(),
        }
    }

    /// A cursor that cannot be read proves nothing: evidence begins anew.
    pub(super) fn from_row(row: &JournalHeadRow) -> Self {
        let cursor: Option<Cursor> = serde_json::from_str(&row.cursor).ok();
        let recent: Option<RecentText<'_>> = serde_json::from_str(&row.cursor).ok();
        let (cursor, recent) = cursor.zip(recent.map(|text| text.recent)).unwrap_or_default();
        Self {
            epoch: row.epoch,
            upto: row.upto,
            digest: row.digest,
            first_seen_at: row.first_seen_at,
            cursor,
            remembered: Remembered::from_text(&recent),
        }
    }
}

impl Kiosk {
    pub(super) fn new(id: KioskId, admission: Admission, now: Timestamp) -> Self {
        let state = State {
            presence: PresenceVerdict::Unknown,
            presence_since: now,
            presence_reason: PresenceReason::NeverSeen,
            session: None,
            boot: None,
            epoch: None,
            service: None,
            service_since: None,
            service_cause: None,
            peripherals: Arc::default(),
            profile: None,
            inventory: None,
            command_counter: 0,
        };
        Self {
            id,
            site: None,
            assigned_from: None,
            moved: false,
            admission,
            commissioned_at: None,
            state,
            heads: SmallVec::new(),
            busy: None,
        }
    }

    pub(super) fn site(&self) -> Option<&SiteId> {
        self.site.as_deref()
    }

    pub(super) fn set_dates(&mut self, dates: ServiceSpan) {
        self.commissioned_at = dates.commissioned_at.map(Moment::from);
        if self.busy.is_some() || dates.decommissioned_at.is_some() {
            self.busy_mut().decommissioned_at = dates.decommissioned_at.map(Moment::from);
        }
    }

    pub(super) fn busy(&self) -> &Busy {
        self.busy.as_deref().unwrap_or(&IDLE)
    }

    pub(super) fn busy_mut(&mut self) -> &mut Busy {
        self.busy.get_or_insert_default()
    }

    /// Gives back the memory of what is done, and of the oldest journals but the current one: a clock of ours that
    /// was ahead makes others look newer.
    pub(super) fn tidy(&mut self) {
        if self.busy.as_deref() == Some(&IDLE) {
            self.busy = None;
        }
        if self.heads.len() > MAX_EPOCHS {
            let current = self.state.epoch;
            self.heads.sort_by_key(|head| (Some(head.epoch) == current, head.age()));
            self.heads.drain(..self.heads.len() - MAX_EPOCHS);
        }
        self.heads.shrink_to_fit();
    }

    /// Something of each part that a heartbeat looks at: read ahead, so that nobody waits for it later.
    pub(super) fn first_bytes(&self) -> impl Sized {
        let State { presence, session, boot, ref peripherals, .. } = self.state;
        let head = self.heads.first().map(|head| (head.epoch, head.upto));
        (self.id.as_str().as_bytes().first().copied(), presence, session, boot, peripherals.len(), head)
    }

    pub(super) fn head(&self, epoch: Epoch) -> Option<&Head> {
        self.heads.iter().find(|head| head.epoch == epoch)
    }

    pub(super) fn is_quarantined(&self) -> bool {
        self.admission == Admission::Quarantined
    }

    /// Of its newest stretch of service.
    pub(super) fn dates(&self) -> ServiceSpan {
        let [commissioned_at, decommissioned_at] =
            [self.commissioned_at, self.busy().decommissioned_at].map(|date| date.map(Moment::at));
        ServiceSpan { commissioned_at, decommissioned_at }
    }

    /// Whether its journal is acknowledged and its problems are ours.
    pub(super) fn in_service(&self, now: Timestamp) -> bool {
        self.admission == Admission::Accepted && self.ends_at().is_none_or(|end| now < end)
    }

    /// When its service ends or ended.
    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        self.busy().decommissioned_at.map(Moment::at).filter(|_| self.admission == Admission::Accepted)
    }

    /// When it comes into service or came, unless that was called off.
    pub(super) fn begins_at(&self) -> Option<Timestamp> {
        let ServiceSpan { commissioned_at, decommissioned_at } = self.dates();
        let is_kept = |since: &Timestamp| decommissioned_at.is_none_or(|end| *since < end);
        commissioned_at.filter(is_kept).filter(|_| self.admission == Admission::Accepted)
    }

    /// The verdict, if nothing but it differs from what is stored.
    pub(super) fn verdict_alone(&self, before: &Self) -> Option<PresenceRow> {
        let (new, old) = (&self.state, &before.state);
        // A kiosk that was never heard may have no state to update.
        if new == old || old.presence_reason == PresenceReason::NeverSeen {
            return None;
        }
        let State { presence, presence_since, presence_reason, .. } = *new;
        let changed = State { presence, presence_since, presence_reason, ..old.clone() };
        (changed == *new).then(|| PresenceRow {
            kiosk: self.id.clone(),
            presence,
            presence_since,
            presence_reason,
        })
    }

    pub(super) fn state_row(&self, live: &Liveness, inventory: String) -> KioskStateRow {
        let state = &self.state;
        KioskStateRow {
            kiosk: self.id.clone(),
            presence: state.presence,
            presence_since: state.presence_since,
            presence_reason: state.presence_reason.as_str().to_owned(),
            last_seen_at: live.last_seen(),
            session: state.session,
            boot: state.boot,
            epoch: state.epoch,
            interval_s: live.interval_s,
            service: state.service,
            service_since: state.service_since.map(Moment::at),
            service_cause: state.service_cause.as_deref().cloned(),
            peripherals: peripherals_text(&state.peripherals),
            inventory,
            clock_offset_ms: live.offset_ms(),
            command_counter: state.command_counter,
        }
    }
}

/// `{name: {"status":…, "faults":[…]}}`
fn peripherals_text(peripherals: &[(PeripheralName, PeripheralState)]) -> String {
    let map: std::collections::BTreeMap<&PeripheralName, &PeripheralState> =
        peripherals.iter().map(|(name, state)| (name, state)).collect();
    serde_json::to_string(&map).unwrap_or_default()
}

pub(super) fn peripherals_from_text(text: &str) -> Peripherals {
    let map: std::collections::BTreeMap<PeripheralName, PeripheralState> =
        serde_json::from_str(text).unwrap_or_default();
    Arc::new(map.into_iter().collect())
}

/// What heartbeats move without a commit. Rebuilt by listening after a restart.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Liveness {
    last_seen: Option<Moment>,
    /// Later or earlier than it is written.
    pub(super) seen_anew: bool,
    pub(super) interval_s: u32,
    /// Of the last heartbeat or birth.
    pub(super) session: Option<SessionId>,
    /// The session before this one: two that alternate are two agents.
    pub(super) other_session: Option<SessionId>,
    /// Of the boot that was heard last.
    pub(super) clock: Option<BootClock>,
    /// What our clock shows when its own shows 0.
    clock_zero: Option<Moment>,
    pub(super) span: Option<OpenSpan>,
    pub(super) load: Load,
    /// When the session did, if we heard it.
    pub(super) began: Option<Began>,
    /// What most kiosks have none of.
    rare: Option<Box<Rare>>,
}

/// What is seldom there to be known, apart so that it takes no room.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Rare {
    /// The will of the current session, if nothing was heard after it.
    pub(super) will_at: Option<Timestamp>,
    /// Ended spans that are not flushed yet.
    pub(super) ended: Vec<EndedSpan>,
    /// From when to when there were more of them than are kept.
    pub(super) lost: Option<(Timestamp, Timestamp)>,
    /// Of the boot before: records of the last run still come after a restart.
    pub(super) other_clock: Option<BootClock>,
    /// Since when only an agent of an epoch that was given up is heard.
    pub(super) outlived_since: Option<Timestamp>,
    /// When two agents with this id were last told about.
    pub(super) two_agents_at: Option<Timestamp>,
}

static USUAL: Rare = Rare {
    will_at: None,
    ended: Vec::new(),
    lost: None,
    other_clock: None,
    outlived_since: None,
    two_agents_at: None,
};

impl Liveness {
    /// Of a kiosk that was last heard then, as it is written, if ever.
    pub(super) fn known(interval_s: u32, last_seen: Option<Timestamp>) -> Self {
        Self { interval_s, last_seen: last_seen.map(Moment::from), ..Self::default() }
    }

    pub(super) fn last_seen(&self) -> Option<Timestamp> {
        self.last_seen.map(Moment::at)
    }

    pub(super) fn set_last_seen(&mut self, at: Option<Timestamp>) {
        self.seen_anew |= self.last_seen() != at;
        self.last_seen = at.map(Moment::from);
    }

    /// By how much our clock is ahead of its own.
    pub(super) fn offset_ms(&self) -> Option<i64> {
        self.clock_zero.map(|zero| zero.at().ms())
    }

    pub(super) fn set_offset_ms(&mut self, offset_ms: Option<i64>) {
        self.clock_zero = offset_ms.map(|ms| Timestamp(ms).into());
    }

    /// As [`Kiosk::first_bytes`].
    pub(super) fn first_bytes(&self) -> impl Sized {
        (self.clock, self.span, self.session, self.other_session, self.rare.is_some(), self.interval_s)
    }

    pub(super) fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&USUAL)
    }

    /// Changes what is seldom there, and gives its memory back when nothing of it is left.
    pub(super) fn change_rare(&mut self, change: impl FnOnce(&mut Rare)) {
        let mut rare = self.rare.take().unwrap_or_default();
        change(&mut rare);
        self.rare = (*rare != USUAL).then_some(rare);
    }
}

/// Host load in a quarter of the space; `NaN` = not told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load([f32; 4]);

impl Default for Load {
    fn default() -> Self {
        Self([f32::NAN; 4])
    }
}

impl PartialEq for Load {
    fn eq(&self, other: &Self) -> bool {
        self.0.map(f32::to_bits) == other.0.map(f32::to_bits)
    }
}

impl Load {
    #[expect(clippy::cast_possible_truncation, reason = "seven digits are enough for a load")]
    pub(super) fn pack(load: &HostLoad) -> Self {
        let all = [load.cpu_ratio, load.memory_used_ratio, load.disk_used_ratio, load.temperature_celsius];
        Self(all.map(|value| value.map_or(f32::NAN, |v| v as f32)))
    }

    pub(super) fn unpack(self) -> HostLoad {
        let [cpu, memory, disk, temperature] =
            self.0.map(|value| (!value.is_nan()).then(|| f64::from(value)));
        HostLoad {
            cpu_ratio: cpu,
            memory_used_ratio: memory,
            disk_used_ratio: disk,
            temperature_celsius: temperature,
        }
    }
}
