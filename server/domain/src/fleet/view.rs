//! What the fleet shows: borrowed, for metrics, the API and tests.
use std::sync::Arc;

use kioskwatch_proto::{
    BootId, CommandId, Epoch, KioskId, PeripheralName, SessionId, SiteId, Timestamp,
    heartbeat::{HostLoad, PeripheralState},
    journal::Digest,
    words::ServiceState,
};
use uuid::Uuid;

use super::{Fleet, Ix, WrittenSite};
use crate::change::{Admission, ClockRow, CommandRow, IncidentRow, PresenceVerdict, TicketRow};
use crate::moment::Moment;

/// One kiosk as of now: the committed state plus what heartbeats said since.
#[derive(Debug, Clone, PartialEq)]
pub struct KioskView<'a> {
    pub id: &'a KioskId,
    pub site: Option<&'a SiteId>,
    pub admission: Admission,
    pub presence: PresenceVerdict,
    pub presence_since: Timestamp,
    pub presence_reason: &'static str,
    pub last_seen_at: Option<Timestamp>,
    pub interval_s: u32,
    pub session: Option<SessionId>,
    pub boot: Option<BootId>,
    pub epoch: Option<Epoch>,
    pub service: Option<ServiceState>,
    pub service_since: Option<Timestamp>,
    pub peripherals: &'a [(PeripheralName, PeripheralState)],
    pub load: HostLoad,
    pub open_incidents: &'a [Uuid],
    pub tickets: &'a [Uuid],
}

/// How many kiosks are in each presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PresenceCounts {
    pub unknown: u64,
    pub online: u64,
    pub late: u64,
    pub offline: u64,
}

impl Fleet {
    /// One kiosk, or `None` when the id was never seen.
    #[must_use]
    pub fn kiosk(&self, id: &KioskId) -> Option<KioskView<'_>> {
        self.place(id).map(|ix| self.view(ix as usize))
    }

    /// The one at this place.
    #[must_use]
    pub fn kiosk_at(&self, place: Ix) -> Option<KioskView<'_>> {
        ((place as usize) < self.kiosks.len()).then(|| self.view(place as usize))
    }

    /// All kiosks, in the order of their places.
    pub fn kiosks(&self) -> impl ExactSizeIterator<Item = KioskView<'_>> {
        (0..self.kiosks.len()).map(|ix| self.view(ix))
    }

    pub(super) fn view(&self, ix: usize) -> KioskView<'_> {
        let (kiosk, live) = (&self.kiosks[ix], &self.live[ix]);
        let state = &kiosk.state;
        KioskView {
            id: &kiosk.id,
            site: kiosk.site(),
            admission: kiosk.admission,
            presence: state.presence,
            presence_since: state.presence_since,
            presence_reason: state.presence_reason.as_str(),
            last_seen_at: live.last_seen(),
            interval_s: live.interval_s,
            session: state.session,
            boot: state.boot,
            epoch: state.epoch,
            service: state.service,
            service_since: state.service_since.map(Moment::at),
            peripherals: &state.peripherals,
            load: live.load.unpack(),
            open_incidents: &kiosk.busy().incidents,
            tickets: &kiosk.busy().tickets,
        }
    }

    /// How far a journal is applied, and the digest of that record: what an ack would say.
    #[must_use]
    pub fn journal(&self, id: &KioskId, epoch: Epoch) -> Option<(u64, Option<Digest>)> {
        let ix = self.place(id)?;
        self.kiosks[ix as usize].head(epoch).map(|head| (head.upto, head.digest))
    }

    /// Kind of a peripheral, for grouping.
    #[must_use]
    pub fn peripheral_kind(&self, id: &KioskId, name: &PeripheralName) -> Option<&str> {
        let ix = self.place(id)?;
        self.kiosks[ix as usize].state.profile.as_ref()?.kind(name)
    }

    /// Open problems.
    pub fn incidents(&self) -> impl Iterator<Item = &IncidentRow> {
        self.incidents.values()
    }

    /// Open tickets, and closed ones that may come back.
    pub fn tickets(&self) -> impl Iterator<Item = &TicketRow> {
        self.tickets.values().map(|file| &file.row)
    }

    #[must_use]
    pub fn ticket(&self, id: Uuid) -> Option<&TicketRow> {
        self.tickets.get(&id).map(|file| &file.row)
    }

    /// The clocks of a ticket; none of one that is not [here](Self::tickets).
    #[must_use]
    pub fn clocks(&self, ticket: Uuid) -> &[ClockRow] {
        self.tickets.get(&ticket).map_or(&[], |file| &file.clocks)
    }

    /// By id.
    pub fn sites(&self) -> impl Iterator<Item = &Arc<WrittenSite>> {
        self.sites.values().map(|site| &site.written)
    }

    #[must_use]
    pub fn site(&self, id: &SiteId) -> Option<&Arc<WrittenSite>> {
        self.sites.get(id).map(|site| &site.written)
    }

    /// Open commands, and those of which the truth may still come.
    pub fn commands(&self) -> impl Iterator<Item = &CommandRow> {
        self.commands.values()
    }

    #[must_use]
    pub fn command(&self, id: CommandId) -> Option<&CommandRow> {
        self.commands.get(&id)
    }

    #[must_use]
    pub fn presence_counts(&self) -> PresenceCounts {
        let mut counts = PresenceCounts::default();
        for kiosk in &self.kiosks {
            match kiosk.state.presence {
                PresenceVerdict::Unknown => counts.unknown += 1,
                PresenceVerdict::Online => counts.online += 1,
                PresenceVerdict::Late => counts.late += 1,
                PresenceVerdict::Offline => counts.offline += 1,
            }
        }
        counts
    }

    /// When the next sweep has something to do, as far as is known now.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let work = self.due.first().map(|&(at, _)| at);
        work.into_iter().chain(self.silence_due.first()).min()
    }
}
