//! What a story does to the world, and the healing.
use super::*;

impl World<'_> {
    pub(super) fn excuse(&mut self, k: usize, until: i64) {
        let kiosk = self.machines[k].id.clone();
        let until = until + EXCUSED_MS;
        let known = self.excused_until.entry(kiosk).or_default();
        self.excuses.extend(Some((self.now.max(*known), until)).filter(|(from, until)| from < until));
        *known = (*known).max(until);
    }

    pub(super) fn happen(&mut self, what: Happening) {
        let now = self.now;
        match what {
            Happening::Fault { k, fault, ms } => {
                self.faults_made += 1;
                let text = format!("fault {} of seed {}", self.faults_made, self.story.seed);
                let until = now + ms;
                let slot = self.machines[k].faults.entry(fault).or_insert_with(|| (until, text));
                slot.0 = slot.0.max(until);
                self.with(k, Machine::devices_changed);
                self.at(until, Event::FaultOver(k));
            }
            Happening::Transactions { k, count } => self.with(k, |m, io| m.transactions(count, io)),
            Happening::PowerCut { k, ms } => {
                self.excuse(k, now + ms);
                self.power_cut(k, ms, false);
            }
            Happening::AgentCrash { k, ms } => {
                self.excuse(k, now + ms);
                self.with(k, Machine::kill_agent);
                self.agent_away(k, ms);
            }
            Happening::Stop { k, ms, machine } => {
                self.excuse(k, now + ms);
                let reason = if machine { ShutdownReason::Reboot } else { ShutdownReason::Planned };
                self.with(k, |m, io| m.stop_agent(reason, io));
                if machine {
                    self.power_cut(k, ms, true);
                } else {
                    self.agent_away(k, ms);
                }
            }
            Happening::ClockJump { k, by_ms } => {
                self.machines[k].clock_offset_ms += by_ms;
                self.machines[k].clock_was_set = true;
                self.machines[k].truth.give_up_from(now);
            }
            Happening::ServerClockJump { by_ms, ms } => {
                self.server_clock_jumps(by_ms);
                self.at(now + ms, Event::ServerClockBack(by_ms));
            }
            Happening::LinkCut { k, ms, will } => {
                self.excuse(k, now + ms);
                self.trouble[k].link = self.trouble[k].link.max(now + ms);
                if let Some(conn) = self.connection[k].take() {
                    self.closed(conn, will);
                    self.with(k, Machine::disconnected);
                }
            }
            Happening::HalfOpen { k, ms } => {
                self.excuse(k, now + ms.max(KEEP_ALIVE_MS));
                self.trouble[k].half_open = self.trouble[k].half_open.max(now + ms);
                if let Some(conn) = self.connection[k] {
                    self.at(now + KEEP_ALIVE_MS, Event::KeepAlive { machine: k, conn });
                }
            }
            Happening::Weather { k, weather, ms } => {
                self.excuse(k, now + ms);
                self.trouble[k].weather = (weather, now + ms);
            }
            Happening::DiskBackup { k } => {
                let machine = &mut self.machines[k];
                machine.backup = Some((now, machine.disk.clone()));
            }
            Happening::DiskRestore { k, ms } => self.restore_disk(k, ms),
            Happening::Clone { k, ms } => self.add_clone(k, ms),
            Happening::BrokerDeath { ms } => self.kill_broker(ms),
            Happening::Tear { ms } => self.tear(ms),
            Happening::ServerCutOff { ms } => {
                self.link_back = self.link_back.max(now + ms);
                self.cut_server_link();
                self.at(self.link_back, Event::Link);
            }
            Happening::ServerCrash { crash, ms } => {
                self.server_back = self.server_back.max(now + ms);
                if crash == Crash::AtOnce || !self.server.is_up() {
                    self.kill_server();
                } else {
                    self.server.crash = Some(crash);
                }
            }
            Happening::CommitsFail { times } => self.server.failing = times,
            Happening::ServerBackup => self.server.back_up(),
            Happening::ServerRestore { ms } => {
                self.server_back = self.server_back.max(now + ms);
                self.kill_server();
                self.store_restored |= self.server.restore();
            }
        }
    }

    /// What the server says of the kiosks' time is by its own clock.
    pub(super) fn server_clock_jumps(&mut self, by_ms: i64) {
        self.server.jump(self.now, by_ms);
        // A clock that was set back tells of time that has been told already.
        let since = self.now.min(self.now + self.server.clock_error_ms());
        for machine in &mut self.machines {
            let journal = &machine.disk.journal;
            // What waits tells of earlier time, and is placed by the wrong clock.
            let told = journal.acked() == journal.last();
            machine.truth.give_up_from(if told { since } else { 0 });
        }
        self.plan_turn(0);
    }

    /// Trouble of no kiosk: it excuses only those that had not been back for long.
    fn tear(&mut self, ms: i64) {
        for m in 0..self.machines.len() {
            let conn = self.connection[m].take();
            let since = conn.map(|conn| self.conns[usize::try_from(conn.0).unwrap_or(0)].since);
            if since.is_none_or(|since| self.now - since < STEADY_MS) {
                self.excuse(self.machines[m].kiosk, self.now + ms);
            }
            if let Some(conn) = conn {
                self.closed(conn, true);
                self.with(m, Machine::disconnected);
            }
        }
        self.queue_full_until = self.queue_full_until.max(self.now + ms);
    }

    pub(super) fn power_cut(&mut self, k: usize, ms: i64, in_order: bool) {
        self.with(k, |m, io| m.power_off(io, in_order));
        self.trouble[k].power = self.trouble[k].power.max(self.now + ms);
        self.at(self.trouble[k].power, Event::PowerBack(k));
    }

    pub(super) fn agent_away(&mut self, k: usize, ms: i64) {
        self.trouble[k].agent = self.trouble[k].agent.max(self.now + ms);
        self.at(self.trouble[k].agent, Event::AgentBack(k));
    }

    pub(super) fn power_back(&mut self, m: usize) {
        if self.trouble[m].power > self.now || self.machines[m].booted_at.is_some() {
            return;
        }
        self.with(m, Machine::power_on);
        let at = self.now + self.rng.between(2_000, 15_000);
        self.at(at.max(self.trouble[m].agent), Event::AgentBack(m));
    }

    pub(super) fn restore_disk(&mut self, k: usize, ms: i64) {
        let Some((at, disk)) = self.machines[k].backup.clone() else { return };
        self.excuse(k, self.now + ms);
        self.power_cut(k, ms, false);
        self.machines[k].disk = disk;
        self.machines[k].truth.give_up();
        self.ledger.gone(k, at, "the disk was put back");
    }

    /// One copy for each kiosk: three histories under one number are told apart by nobody. See README.md.
    pub(super) fn add_clone(&mut self, k: usize, ms: i64) {
        if self.machines[self.story.kiosks..].iter().any(|machine| machine.kiosk == k) {
            return;
        }
        let m = self.machines.len();
        self.excuse(k, self.now + ms);
        let journal = limits(self.story.setup.small_journals, self.story.setup.short_memory);
        let epoch = Epoch(uuid::Uuid::nil());
        let mut copy = Machine::new(m, k, self.machines[k].id.clone(), epoch, journal);
        let disk: Disk = self.machines[k].disk.clone();
        copy.disk = disk;
        copy.truth.give_up();
        self.machines[k].truth.give_up();
        self.machines.push(copy);
        self.scheduled.push(i64::MAX);
        self.trouble.push(Trouble::default());
        self.connection.push(None);
        self.ledger.copied(k, m);
        self.at(self.now + 100, Event::PowerBack(m));
        self.at(self.now + ms, Event::CloneGone(m));
    }

    pub(super) fn remove_clone(&mut self, m: usize) {
        self.machines[m].removed = true;
        self.with(m, |machine, io| machine.power_off(io, false));
        self.ledger.gone(m, -1, "the second machine is gone");
        self.excuse(self.machines[m].kiosk, self.now);
    }

    /// Everything that is broken is mended, and stays so.
    pub(super) fn heal(&mut self) {
        self.healed = true;
        self.note(|| "everything heals".into());
        let now = self.now;
        (self.broker_back, self.link_back, self.server_back) = (now, now, now);
        (self.server.failing, self.server.crash) = (0, None);
        self.queue_full_until = now;
        for m in 0..self.machines.len() {
            let was_away = self.trouble[m].link > now || self.trouble[m].half_open > now;
            self.excuse(self.machines[m].kiosk, if was_away { now } else { 0 });
            if self.trouble[m].half_open > now
                && let Some(conn) = self.connection[m].take()
            {
                self.closed(conn, true);
                self.with(m, Machine::disconnected);
            }
            self.trouble[m] = Trouble::default();
            if m >= self.story.kiosks && !self.machines[m].removed {
                self.remove_clone(m);
            } else if self.machines[m].booted_at.is_none() {
                self.excuse(self.machines[m].kiosk, now);
                self.at(now, Event::PowerBack(m));
            } else if self.machines[m].agent.is_none() {
                self.excuse(self.machines[m].kiosk, now);
                self.at(now, Event::AgentBack(m));
            }
            self.machines[m].clock_offset_ms = 0;
        }
        match self.server.clock_error_ms() {
            0 => {}
            by_ms => self.server_clock_jumps(-by_ms),
        }
        self.at(now, Event::BrokerBack);
        self.at(now + 1, Event::ServerBack);
        self.at(now + 500, Event::Link);
    }

    /// A last record of every kiosk, so that the evidence reaches to here.
    pub(super) fn mark(&mut self) {
        self.marked_at = self.now;
        for m in 0..self.story.kiosks {
            self.with(m, |machine, io| machine.transactions(1, io));
            self.machines[m].forgets = false;
        }
    }
}
