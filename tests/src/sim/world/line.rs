//! Between machine and broker: connections, takeovers, wills, what is lost or late on the way.
use super::*;

impl World<'_> {
    pub(super) fn perform(&mut self, m: usize, out: Out) {
        match out {
            Out::Publish(message) => self.publish(m, message),
            Out::Connect => self.connect(m),
            Out::Disconnect { goodbye } => {
                let Some(conn) = self.connection[m].take() else { return };
                let sent = self.conns[usize::try_from(conn.0).unwrap_or(0)].last_arrival;
                // Without power nobody closes a connection: the broker waits for the keep-alive.
                let silent = self.machines[m].booted_at.is_none() && !goodbye;
                let at = if silent { self.now + KEEP_ALIVE_MS } else { sent.max(self.now) + 1 };
                self.at(at, Event::Closed { conn, will: !goodbye });
                if self.machines[m].agent.is_some() {
                    self.with(m, Machine::disconnected);
                }
            }
            Out::Broken(why) => self.problems.push(format!("{}: {why}", self.machines[m].id)),
        }
    }

    pub(super) fn reachable(&self, m: usize) -> bool {
        let trouble = self.trouble[m];
        self.broker.up && trouble.link <= self.now && trouble.half_open <= self.now
    }

    pub(super) fn connect(&mut self, m: usize) {
        if !self.reachable(m) {
            return self.with(m, Machine::disconnected);
        }
        let conn = Conn(self.conns.len() as u64);
        self.conns.push(Connection { machine: m, open: true, last_arrival: self.now, since: self.now });
        let session = SessionId(uuid::Uuid::from_u64_pair(self.rng.bits(), self.rng.bits()));
        let machine = &self.machines[m];
        let kiosk = machine.id.clone();
        let will_message = machine.presence(PresenceState::Offline, session, self.now);
        let old = self.broker.connect(&kiosk, Client { conn, machine: m, will: will_message });
        if let Some(old) = old {
            self.conns[usize::try_from(old.conn.0).unwrap_or(0)].open = false;
            self.forward(&will(&kiosk, &old), false);
            if self.connection[old.machine] == Some(old.conn) {
                self.connection[old.machine] = None;
                self.with(old.machine, Machine::disconnected);
            }
        }
        self.connection[m] = Some(conn);
        self.note(|| format!("{kiosk} (machine {m}) connected, session {session}"));
        self.with(m, |machine, io| machine.connected(session, io));
    }

    pub(super) fn publish(&mut self, m: usize, message: Up) {
        if let UpBody::Presence(presence) = &message.body
            && presence.state == PresenceState::Planned
        {
            *self.goodbyes.entry(message.kiosk.clone()).or_default() += 1;
        }
        let Some(conn) = self.connection[m] else { return };
        if self.trouble[m].half_open > self.now {
            return;
        }
        let Some(message) = self.spoil(message) else { return };
        for delay in self.ways(m) {
            let slot = &mut self.conns[usize::try_from(conn.0).unwrap_or(0)];
            let in_order = self.trouble[m].weather.1 <= self.now;
            let at = if in_order { (self.now + delay).max(slot.last_arrival) } else { self.now + delay };
            slot.last_arrival = slot.last_arrival.max(at);
            if matches!(message.body, UpBody::Heartbeat(_)) {
                let truth = &mut self.machines[m].truth;
                truth.slowest_ms = truth.slowest_ms.max(at - self.now);
            }
            self.at(at, Event::AtBroker(conn, message.clone()));
        }
    }

    /// Mistakes that are made on the way.
    pub(super) fn spoil(&mut self, mut message: Up) -> Option<Up> {
        if let UpBody::Journal { records, .. } = &mut message.body {
            match self.story.mistake {
                Some(Mistake::DroppedLost) => records.retain(|raw| !raw.contains("\"kind\":\"dropped\"")),
                Some(Mistake::WasStripped) => {
                    for raw in records.iter_mut() {
                        let Ok(mut record) = Record::parse(raw) else { continue };
                        if record.header.was.take().is_some() {
                            let json = record.to_json();
                            let (from, to) = (Digest::of(raw.as_bytes()), Digest::of(json.as_bytes()));
                            self.ledger.disguised(from, to);
                            *raw = json.into();
                        }
                    }
                }
                _ => {}
            }
            if records.is_empty() {
                return None;
            }
        }
        Some(message)
    }

    /// How long each copy of a message takes; none when it is lost.
    pub(super) fn ways(&mut self, m: usize) -> Vec<i64> {
        let (weather, until) = self.trouble[m].weather;
        let weather = if until > self.now { weather } else { Weather::default() };
        let mut ways = Vec::new();
        if !self.rng.per_mille(weather.loss_per_mille) {
            ways.push(self.rng.between(2, 40) + self.rng.between(0, weather.delay_ms));
        }
        if self.rng.per_mille(weather.twice_per_mille) {
            ways.push(self.rng.between(2, 40) + self.rng.between(0, weather.delay_ms));
        }
        ways
    }

    pub(super) fn at_broker(&mut self, conn: Conn, message: &Up) {
        if let UpBody::Journal { epoch, first, records } = &message.body {
            let kiosk = &message.kiosk;
            self.note(|| format!("{kiosk} {conn:?}: {epoch} first {first}: {}", records.join(" ")));
        }
        let open = self.conns[usize::try_from(conn.0).unwrap_or(0)].open;
        if self.broker.up && open {
            self.broker.take(message);
            self.forward(message, false);
        }
    }

    pub(super) fn forward(&mut self, message: &Up, retained: bool) {
        if matches!(message.body, UpBody::Presence(_)) {
            self.broker.take(message);
        }
        if self.server.linked && self.queue_full_until <= self.now {
            let (link, at) = (self.link, self.now + self.rng.between(1, 5));
            self.at(at, Event::AtServer { link, message: message.clone(), retained });
        }
    }

    pub(super) fn closed(&mut self, conn: Conn, with_will: bool) {
        let slot = &mut self.conns[usize::try_from(conn.0).unwrap_or(0)];
        slot.open = false;
        let kiosk = self.machines[slot.machine].id.clone();
        if let Some(client) = self.broker.disconnect(&kiosk, conn)
            && with_will
        {
            self.forward(&will(&kiosk, &client), false);
        }
    }

    pub(super) fn keep_alive(&mut self, m: usize, conn: Conn) {
        if self.connection[m] == Some(conn) && self.trouble[m].half_open >= self.now {
            self.connection[m] = None;
            self.closed(conn, true);
            self.with(m, Machine::disconnected);
        }
    }

    pub(super) fn ack_arrives(&mut self, kiosk: &KioskId, ack: Ack) {
        let Some(client) = self.broker.client(kiosk) else { return };
        let (m, conn) = (client.machine, client.conn);
        if self.connection[m] == Some(conn) && self.trouble[m].half_open <= self.now {
            self.with(m, |machine, io| machine.acknowledged(ack, io));
        }
    }
}
