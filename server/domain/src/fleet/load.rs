//! From rows to a fleet: what a start begins with.
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use kioskwatch_proto::{KioskId, SiteId, Timestamp, journal::Digest};

use super::{
    Due, Fleet, Ix, Server,
    deadlines::Deadlines,
    directory::Directory,
    hours::Window,
    kiosk::{Head, Kiosk, Liveness, Peripherals, Profile, State, peripherals_from_text},
    push_sparingly,
    site::{Alike, Site},
    ticket_file::TicketFile,
};
use crate::{
    change::{Admission, GroupKind, IncidentRow, KioskStateRow, PresenceVerdict, ServiceSpan, SiteRow},
    image::FleetImage,
    moment::Moment,
    policy::Policy,
    presence::PresenceReason,
    triage::SuppressReason,
};

impl Fleet {
    /// Rebuilds the fleet from what the store holds. Follow with [`Input::ServerStarted`](super::Input).
    #[must_use]
    pub fn from_image(policy: Arc<Policy>, image: FleetImage) -> Self {
        let mut fleet = Self::empty(policy);
        fleet.load(image);
        fleet
    }

    /// Nobody is known; [`load`](Self::load) what the store holds.
    #[must_use]
    pub fn empty(policy: Arc<Policy>) -> Self {
        Self {
            policy,
            generation: 0,
            kiosks: Vec::new(),
            live: Vec::new(),
            places: Directory::default(),
            sites: BTreeMap::new(),
            incidents: HashMap::new(),
            tickets: HashMap::new(),
            commands: HashMap::new(),
            due: BTreeSet::new(),
            silence_due: Deadlines::default(),
            server: Server::default(),
            failures: HashMap::new(),
            set_aside: BTreeMap::new(),
            untold: BTreeMap::new(),
            last_number: 0,
            quarantined: 0,
            progress: HashMap::new(),
            shared: HashSet::new(),
            profiles: HashSet::new(),
            alike: Alike::default(),
        }
    }

    /// Takes in a part of what the store holds. A site comes before its kiosks, a kiosk with its states and
    /// journals, and what is going on after all of them.
    pub fn load(&mut self, image: FleetImage) {
        let site = |row: &SiteRow| {
            let mut site = Site::of(row, &self.alike);
            self.alike.share(&mut site);
            (site.key(), site)
        };
        // One by one in their order they would fill half of the map's room.
        self.sites.append(&mut image.sites.iter().map(site).collect());
        for (id, noted) in &image.terms_noted {
            if let Some(site) = self.sites.get_mut(id) {
                site.terms_noted = Some(*noted);
            }
        }
        self.load_kiosks(&image);
        self.load_windows(&image);
        self.load_work(image);
    }

    fn load_kiosks(&mut self, image: &FleetImage) {
        let mut peripherals = HashMap::new();
        let mut states: HashMap<&KioskId, &KioskStateRow> =
            image.states.iter().map(|s| (&s.kiosk, s)).collect();
        let mut members: BTreeMap<SiteId, Vec<Ix>> = BTreeMap::new();
        let loaded = self.kiosks.len();
        for row in &image.kiosks {
            self.quarantined += usize::from(row.admission == Admission::Quarantined);
            let mut kiosk = Kiosk::new(row.id.clone(), row.admission, row.updated_at);
            kiosk.site = row.site.clone().map(Arc::new);
            kiosk.set_dates(ServiceSpan::of(row));
            let mut live = Liveness::known(self.policy.presence.default_interval_s, None);
            if let Some(state) = states.remove(&row.id) {
                // A verdict is stored at once; when a kiosk was heard last, only in rounds.
                let heard_at = (state.presence == PresenceVerdict::Online).then_some(state.presence_since);
                live = Liveness::known(state.interval_s.max(1), state.last_seen_at);
                // To be written with the next round: the verdict will not say so any more.
                live.set_last_seen(live.last_seen().max(heard_at));
                live.session = state.session;
                live.set_offset_ms(state.clock_offset_ms);
                kiosk.state = load_state(state, &mut peripherals);
            }
            let ix = Ix::try_from(self.kiosks.len()).expect("fewer than four thousand million kiosks");
            if let Some(site) = &row.site {
                members.entry(site.clone()).or_default().push(ix);
            }
            self.share(&mut kiosk);
            push_sparingly(&mut self.kiosks, kiosk);
            self.places.add(&self.kiosks, ix);
            push_sparingly(&mut self.live, live);
        }
        for (site, kiosks) in members {
            if let Some(site) = self.sites.get_mut(&site) {
                site.kiosks = site.kiosks.iter().copied().chain(kiosks).collect();
            }
        }
        for row in &image.heads {
            if let Some(kiosk) = self.loaded(&row.kiosk) {
                kiosk.heads.push(Head::from_row(row));
            }
        }
        for row in image.assignments.iter().filter(|row| row.group == GroupKind::Site) {
            if let Some(kiosk) = self.loaded(&row.kiosk) {
                match row.to {
                    None => {
                        let since = kiosk.assigned_from.map_or(row.from, |since| since.at().max(row.from));
                        kiosk.assigned_from = Some(since.into());
                    }
                    Some(to) => kiosk.moved |= to > row.from,
                }
            }
        }
        for kiosk in &mut self.kiosks[loaded..] {
            kiosk.heads.sort_by_key(Head::age);
            kiosk.tidy();
        }
    }

    fn load_windows(&mut self, image: &FleetImage) {
        for row in &image.exclusions {
            let Some(window) = Window::of(row) else { continue };
            if let Some(kiosk) = row.kiosk.as_ref().and_then(|id| self.loaded(id)) {
                kiosk.busy_mut().windows.push(window);
            }
            if let Some(site) = row.site.as_ref().and_then(|id| self.sites.get_mut(id)) {
                site.busy_mut().windows.push(window);
            }
        }
    }

    fn loaded(&mut self, id: &KioskId) -> Option<&mut Kiosk> {
        let ix = self.place(id)?;
        self.kiosks.get_mut(ix as usize)
    }

    fn load_work(&mut self, image: FleetImage) {
        self.last_number = self.last_number.max(image.last_ticket_number);
        let events: HashMap<_, _> = image.ticket_events.into_iter().collect();
        let mut tickets = image.tickets;
        tickets.retain(|row| row.state.is_open() || row.due_at.is_some());
        tickets.sort_by_key(|row| row.number);
        let mut families: Vec<_> =
            tickets.iter().filter_map(|row| Some((row.parent?, row.number, row.id))).collect();
        families.sort_unstable();
        for row in tickets {
            let (id, kiosk, site) = (row.id, row.kiosk.clone(), row.site.clone());
            if let Some(due) = row.due_at {
                self.due.insert((due, Due::Ticket(id)));
            }
            let mut file = TicketFile::of(row);
            file.events = events.get(&id).copied().unwrap_or(0);
            self.tickets.insert(id, file);
            match (kiosk, site) {
                (Some(kiosk), _) => {
                    if let Some(kiosk) = self.loaded(&kiosk) {
                        kiosk.busy_mut().tickets.push(id);
                    }
                }
                (None, Some(site)) => {
                    if let Some(site) = self.sites.get_mut(&site) {
                        site.busy_mut().tickets.push(id);
                    }
                }
                (None, None) => {}
            }
        }
        for (parent, _, child) in families {
            if let Some(parent) = self.tickets.get_mut(&parent) {
                parent.children.push(child);
            }
        }
        let mut clocks = image.clocks;
        clocks.sort_by(|a, b| a.name.cmp(&b.name));
        for clock in clocks {
            if let Some(file) = self.tickets.get_mut(&clock.ticket) {
                file.clocks.push(clock);
            }
        }
        let mut incidents = image.open_incidents;
        incidents.sort_by_key(|row| (row.noticed_at, row.id));
        for mut row in incidents {
            row.triage_due_at = row.triage_due_at.or_else(|| self.begins_behind(&row));
            if let Some(due) = row.triage_due_at {
                self.due.insert((due, Due::Incident(row.id)));
            }
            if let Some(file) = row.ticket.and_then(|id| self.tickets.get_mut(&id)) {
                file.open.push(row.id);
            }
            match (&row.kiosk, &row.site) {
                (Some(kiosk), _) => {
                    if let Some(kiosk) = self.loaded(&kiosk.clone()) {
                        kiosk.busy_mut().incidents.push(row.id);
                    }
                }
                (None, Some(site)) => {
                    if let Some(site) = self.sites.get_mut(site) {
                        site.busy_mut().outage = Some(row.id);
                    }
                }
                (None, None) => {}
            }
            let kiosk = row.kiosk.as_ref().and_then(|kiosk| self.place(kiosk));
            self.incidents.insert(row.id, row);
            let ends = kiosk.and_then(|ix| Some((self.ends_at(ix)?, Due::End(ix))));
            self.due.extend(ends);
        }
        for row in image.open_commands {
            if let Some(due) = crate::command::next_look(&row, &self.policy.commands) {
                self.due.insert((due, Due::Command(row.id)));
            }
            if let Some(kiosk) = self.loaded(&row.kiosk.clone()) {
                kiosk.busy_mut().commands.push(row.id);
            }
            self.commands.insert(row.id, row);
        }
    }

    /// Servers before this one left a problem of a kiosk alone for good that was not in service yet: it is looked at
    /// when the kiosk is, or now, where that was meanwhile.
    fn begins_behind(&self, row: &IncidentRow) -> Option<Timestamp> {
        let was_left = SuppressReason::of(row) == Some(SuppressReason::NotInService) && row.ticket.is_none();
        let kiosk = self.kiosks.get(self.place(row.kiosk.as_ref().filter(|_| was_left)?)? as usize)?;
        kiosk.begins_at().filter(|begins| *begins > row.noticed_at)
    }
}

/// `peripherals`: those that were read before, by their texts. Most kiosks of a fleet look alike.
fn load_state<'a>(row: &'a KioskStateRow, peripherals: &mut HashMap<&'a str, Peripherals>) -> State {
    let profile: Option<Profile> = serde_json::from_str(&row.inventory).ok();
    State {
        presence: row.presence,
        presence_since: row.presence_since,
        presence_reason: PresenceReason::parse(&row.presence_reason).unwrap_or(PresenceReason::NeverSeen),
        session: row.session,
        boot: row.boot,
        epoch: row.epoch,
        service: row.service,
        service_since: row.service_since.map(Moment::from),
        service_cause: row.service_cause.clone().map(Arc::new),
        peripherals: peripherals
            .entry(&row.peripherals)
            .or_insert_with_key(|text| peripherals_from_text(text))
            .clone(),
        profile: profile.map(Arc::new),
        inventory: (!row.inventory.is_empty()).then(|| Digest::of(row.inventory.as_bytes())),
        command_counter: row.command_counter,
    }
}
