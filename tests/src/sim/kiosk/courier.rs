//! The way of a machine's journal and words to the broker.
use super::*;

impl Machine {
    pub(in crate::sim) fn connected(&mut self, session: SessionId, io: &mut Io<'_>) {
        let now = io.now;
        let Some(agent) = &mut self.agent else { return };
        agent.session = Some(session);
        agent.connected_at = now;
        self.announce(io);
        self.deliver(DeliveryInput::Connected(session), io);
        self.step(Input::ConnectionUp { session }, io);
    }

    /// The connection is gone, or could not be made.
    pub(in crate::sim) fn disconnected(&mut self, io: &mut Io<'_>) {
        let now = io.now;
        let Some(agent) = &mut self.agent else { return };
        let was_good = agent.session.is_some() && now - agent.connected_at >= GOOD_AFTER_MS;
        let had = agent.session.take().is_some();
        agent.failures = if was_good { 0 } else { agent.failures + 1 };
        let limit = (BACKOFF_BASE_MS << agent.failures.min(20)).min(BACKOFF_MAX_MS);
        agent.connect_at = Some(now + 1 + io.rng.between(0, limit));
        if had {
            self.deliver(DeliveryInput::Disconnected, io);
            self.step(Input::ConnectionDown, io);
        }
    }

    pub(super) fn announce(&mut self, io: &mut Io<'_>) {
        let Some(session) = self.agent.as_ref().and_then(|agent| agent.session) else { return };
        self.tell_presence(PresenceState::Online, session, io);
        self.tell_inventory(io);
    }

    pub(super) fn tell_presence(&self, state: PresenceState, session: SessionId, io: &mut Io<'_>) {
        let body = UpBody::Presence(self.presence(state, session, io.now));
        io.out.push(Out::Publish(Up { kiosk: self.id.clone(), body }));
    }

    #[must_use]
    pub(in crate::sim) fn presence(&self, state: PresenceState, session: SessionId, now: i64) -> Presence {
        let (boot, epoch, at) = (self.boot, self.disk.journal.epoch(), self.wall(now));
        Presence { state, session, boot, epoch, at, reason: None }
    }

    pub(super) fn tell_inventory(&self, io: &mut Io<'_>) {
        let Some(agent) = self.agent.as_ref().filter(|agent| agent.session.is_some()) else { return };
        let body = UpBody::Inventory(Box::new(agent.engine.inventory(self.disk.journal.epoch())));
        io.out.push(Out::Publish(Up { kiosk: self.id.clone(), body }));
    }

    /// An acknowledgement came.
    pub(in crate::sim) fn acknowledged(&mut self, mut ack: Ack, io: &mut Io<'_>) {
        match io.mistake {
            Some(Mistake::DigestIgnored) => ack.digest = None,
            Some(Mistake::AckAboveLastObeyed) if ack.upto > self.disk.journal.last() => {
                ack.upto = self.disk.journal.last();
                ack.digest = None;
            }
            _ => {}
        }
        let server_time = ack.server_time;
        self.deliver(DeliveryInput::Ack(ack), io);
        self.step(Input::ServerTime(server_time), io);
    }

    /// One input to the delivery, and everything that follows from it.
    pub(super) fn deliver(&mut self, input: DeliveryInput, io: &mut Io<'_>) {
        let now = self.mono(io.now);
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let Some(agent) = &mut self.agent else { return };
            let turn = Turn { now, random: u32::try_from(io.rng.below(1 << 32)).unwrap_or(0) };
            let mut outputs = Vec::new();
            agent.delivery.step(turn, input, &self.disk.journal, &mut outputs);
            for output in outputs {
                inputs.extend(self.perform_delivery(output, io));
            }
        }
    }

    fn perform_delivery(&mut self, output: DeliveryOutput, io: &mut Io<'_>) -> Option<DeliveryInput> {
        match output {
            DeliveryOutput::Send { from, max_records, max_bytes } => {
                let records = usize::try_from(max_records).unwrap_or(usize::MAX);
                return Some(self.send(from, ReadLimit { records, bytes: max_bytes }, io));
            }
            DeliveryOutput::Acked { upto } => {
                let Ok(()) = self.disk.journal.ack(upto, self.wall(io.now));
                self.disk.journal.commit();
            }
            DeliveryOutput::StartNewEpoch { resend_from, .. } => {
                self.new_epoch(resend_from, io);
                return Some(DeliveryInput::EpochStarted);
            }
            DeliveryOutput::SnapshotWanted => self.step(Input::SnapshotWanted, io),
            DeliveryOutput::Stalled => io.out.push(Out::Disconnect { goodbye: false }),
            DeliveryOutput::Rejected(all) => {
                io.out.push(Out::Broken(format!("good records were refused: {all:?}")));
            }
            DeliveryOutput::Ignored(_) => {}
        }
        None
    }

    fn send(&mut self, mut from: u64, limit: ReadLimit, io: &mut Io<'_>) -> DeliveryInput {
        let journal = &mut self.disk.journal;
        let Some(agent) = &mut self.agent else { return DeliveryInput::NotSent };
        if agent.session.is_none() {
            return DeliveryInput::NotSent;
        }
        if io.mistake == Some(Mistake::GapSkipped) && from <= agent.sent_through {
            from = (agent.sent_through + 1).min(journal.last());
        }
        let Ok(entries) = journal.read(from, limit);
        let Some(last) = entries.last() else { return DeliveryInput::NotSent };
        let (through, records) = (last.through, entries.len() as u64);
        agent.sent_through = agent.sent_through.max(through);
        let body = UpBody::Journal {
            epoch: journal.epoch(),
            first: journal.first(),
            records: entries.into_iter().map(|entry| entry.json.into()).collect(),
        };
        if io.mistake == Some(Mistake::PubackTrusted) {
            let Ok(()) = journal.ack(through, wall(io.now));
        }
        io.ledger.told_first(journal.epoch(), journal.first());
        io.out.push(Out::Publish(Up { kiosk: self.id.clone(), body }));
        DeliveryInput::Sent { through, records }
    }

    fn new_epoch(&mut self, resend_from: u64, io: &mut Io<'_>) {
        let Some(agent) = &mut self.agent else { return };
        let (old, new) = (self.disk.journal.epoch(), Epoch(io.uuid()));
        let before: Vec<_> = entries_from(&self.disk.journal, resend_from);
        let snapshot = agent.engine.epoch_draft(old);
        agent.sent_through = 0;
        let Ok(()) = self.disk.journal.start_epoch(new, &snapshot, resend_from);
        self.disk.journal.commit();
        let after: Vec<_> = entries_from(&self.disk.journal, 1);
        io.ledger.renumbered(self.number, old, &before, new, &after);
        io.ledger.note_first(self.kiosk, self.number, io.now, &self.disk.journal);
        self.announce(io);
    }
}
