//! The server's side of the world: its turns, deaths, and its connection to the broker.
use super::*;

/// From here on a place by the device's clock is a wrong one.
const WRONG_CLOCK_MS: i64 = 500;

impl World<'_> {
    /// Records that come before any heartbeat of their boot are placed by the device's clock: when that is
    /// wrong, so is the place, and nothing is promised.
    pub(super) fn note_clock(&mut self, message: &Up) {
        let skewed = self.story.setup.skew_ms > WRONG_CLOCK_MS;
        let Some(machine) = self.machines.iter_mut().find(|machine| machine.id == message.kiosk) else {
            return;
        };
        match &message.body {
            UpBody::Heartbeat(beat) => drop(self.clocks_known.insert(beat.boot)),
            UpBody::Journal { records, .. } if skewed || machine.clock_was_set => {
                let unknown = |raw: &std::sync::Arc<str>| {
                    Record::parse(raw).is_ok_and(|record| !self.clocks_known.contains(&record.header.boot))
                };
                if records.iter().any(unknown) {
                    machine.truth.give_up();
                }
            }
            _ => {}
        }
    }

    fn clocks_are_wrong(&self) -> bool {
        let set = self.machines.iter().any(|machine| machine.clock_was_set);
        set || self.story.setup.skew_ms > WRONG_CLOCK_MS
    }

    /// A server that starts knows the clocks of those boots of which it placed a record.
    fn forget_clocks(&mut self) {
        if self.clocks_are_wrong() {
            let records = self.server.disk.store.records.values();
            let placed: HashSet<_> = records
                .filter_map(|row| Record::parse(&row.raw).ok().map(|record| record.header.boot))
                .collect();
            self.clocks_known.retain(|boot| placed.contains(boot));
        }
    }

    pub(super) fn plan_turn(&mut self, delay: i64) {
        if self.server.has_work() && self.turn_at.is_none_or(|at| at > self.now + delay) {
            self.turn_at = Some(self.now + delay);
            self.at(self.now + delay, Event::ServerTurn);
        }
    }

    pub(super) fn server_turn(&mut self) {
        let mut ledgers = Ledgers {
            ledger: &self.ledger,
            excused_until: &self.excused_until,
            goodbyes: &self.goodbyes,
            problems: &mut self.problems,
        };
        let (turned, acks) = self.server.turn(self.now, &mut ledgers);
        for (kiosk, ack) in acks {
            self.send_ack(&kiosk, &ack);
        }
        match turned {
            Turned::Done => self.plan_turn(0),
            Turned::Again => self.plan_turn(200),
            Turned::Died => {
                self.note(|| "the server died in its turn".into());
                self.server.die();
                let at = self.server_back.max(self.now + 500);
                self.server_back = at;
                self.at(at, Event::ServerBack);
            }
        }
    }

    pub(super) fn send_ack(&mut self, kiosk: &KioskId, ack: &Ack) {
        if ack.upto > self.server.applied_to(kiosk, ack) {
            let text = format!("{} {kiosk}: acknowledged {} before its commit", clock(self.now), ack.upto);
            self.problems.push(text);
        }
        let said = self.said.entry((kiosk.clone(), ack.epoch)).or_default();
        *said = (*said).max(ack.upto);
        self.note(|| format!("ack to {kiosk}: {} upto {}", ack.epoch, ack.upto));
        let Some(client) = self.broker.client(kiosk).filter(|_| self.server.linked) else { return };
        let m = client.machine;
        for delay in self.ways(m) {
            self.at(self.now + delay, Event::AtMachine(kiosk.clone(), ack.clone()));
        }
    }

    pub(super) fn server_back(&mut self) {
        if self.server_back > self.now {
            return;
        }
        if !self.server.is_up() {
            self.server.start(self.now);
            self.forget_clocks();
            self.note(|| "the server is back".into());
        }
        self.plan_turn(0);
        self.at(self.now + 300, Event::Link);
    }

    /// The server connects and subscribes; what is retained comes at once.
    pub(super) fn link_server(&mut self) {
        let free = self.link_back <= self.now && self.server_back <= self.now;
        if !self.broker.up || self.server.linked || !self.server.is_up() || !free {
            return;
        }
        self.link += 1;
        self.server.link_up();
        self.note(|| "the server is connected".into());
        for message in self.broker.retained() {
            self.forward(&message, true);
        }
        self.plan_turn(0);
    }

    pub(super) fn cut_server_link(&mut self) {
        self.link += 1;
        self.server.link_down(self.now);
        self.plan_turn(0);
    }

    pub(super) fn kill_broker(&mut self, ms: i64) {
        self.broker_back = self.broker_back.max(self.now + ms);
        self.broker.die();
        self.queue_full_until = self.now;
        for conn in &mut self.conns {
            conn.open = false;
        }
        for m in 0..self.machines.len() {
            if self.connection[m].take().is_some() {
                self.with(m, Machine::disconnected);
            }
        }
        self.cut_server_link();
        self.at(self.broker_back, Event::BrokerBack);
    }

    pub(super) fn kill_server(&mut self) {
        let mut ledgers = Ledgers {
            ledger: &self.ledger,
            excused_until: &self.excused_until,
            goodbyes: &self.goodbyes,
            problems: &mut self.problems,
        };
        self.server.same_after_restart(&mut ledgers);
        self.server.die();
        self.server.crash = None;
        self.at(self.server_back, Event::ServerBack);
    }
}
