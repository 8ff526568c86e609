//! A journal message: which of its records are new, and what becomes of each number.
use std::collections::HashMap;

use kioskwatch_proto::{
    Epoch, KioskId, Timestamp,
    faults::codes,
    journal::{Body, Record, RecordError, Rejected, Was},
    limits::MAX_TEXT_CHARS,
    words::Severity,
};

use super::{
    Ix,
    count::{Count, MessageOutcome, RecordFate, SecurityEvent},
    draft::Draft,
    input::{IncomingRecord, Input, RecordBatch, Stored},
    kiosk::{Head, MAX_EPOCHS},
    live::LiveEdit,
    problems::Problem,
};
use crate::{
    change::{Change, JournalGapRow, JournalRecordRow, RecordOutcome},
    journal::{self, Admit, Content, Identity, MAX_FAILURES},
    presence::PresenceReason,
    ticket::Because,
};

/// One message on its way through.
#[derive(Clone, Copy)]
pub(super) struct Delivery {
    pub(super) ix: Ix,
    pub(super) epoch: Epoch,
    pub(super) received_at: Timestamp,
}

impl Draft<'_> {
    /// Remembers the records of this plan only if one of them may be asked for.
    pub(super) fn expect_repeats(&mut self, inputs: &[Input]) {
        let mut batches = inputs.iter().filter_map(|input| match input {
            Input::Batch { batch, .. } => Some(batch),
            _ => None,
        });
        if batches.any(|batch| batch.records.iter().any(|record| record.stood_at().is_some())) {
            self.kept = Some(HashMap::new());
        }
    }

    pub(super) fn batch(&mut self, id: &KioskId, received_at: Timestamp, batch: &RecordBatch) {
        let Some(ix) = self.meet(id) else { return };
        self.edit_live(ix, LiveEdit::Life { at: received_at });
        self.alive(ix, received_at, PresenceReason::Journal);
        if !self.is_admitted(ix) {
            self.count(Count::Message(MessageOutcome::NotAdmitted));
            return;
        }
        if self.unreadable.contains(&(ix, batch.epoch)) {
            self.count(Count::Message(MessageOutcome::JournalUnreadable));
            return;
        }
        let rest = |position| u64::try_from(batch.records.len() - position).unwrap_or(u64::MAX);
        if self.forked.contains(&(ix, batch.epoch)) {
            self.count_many(Count::Record(RecordFate::Forked), rest(0));
            self.count(Count::Message(MessageOutcome::Applied));
            return;
        }
        let delivery = Delivery { ix, epoch: batch.epoch, received_at };
        self.open_journal(delivery);
        self.follow_epoch(ix, batch.epoch, received_at);
        self.note_lost(delivery, batch.first);
        let (mut rejected, mut set_aside) = (Vec::new(), Vec::new());
        for (position, record) in batch.records.iter().enumerate() {
            let head = self.head(delivery);
            match journal::admit(head.upto, &head.remembered, record.digest, &record.parsed, record.through())
            {
                Admit::Unreadable => self.count(Count::Record(RecordFate::Unreadable)),
                Admit::Repeat => {
                    self.count(Count::Record(RecordFate::Repeat));
                    self.reject_again(record, &mut rejected);
                }
                Admit::Fork => {
                    // What follows continues another history. Its agent hears what we have under its number,
                    // begins an epoch of its own, and sends again what it was told nothing about.
                    self.fork(delivery, &Because::OtherContent);
                    self.forked.insert((ix, batch.epoch));
                    self.count_many(Count::Record(RecordFate::Forked), rest(position));
                    break;
                }
                Admit::AfterGap => {
                    self.count_many(Count::Record(RecordFate::AfterGap), rest(position));
                    break;
                }
                Admit::Drop { through } => set_aside.extend(self.drop_range(delivery, record, through)),
                Admit::Apply if self.must_wait(delivery, record) => break,
                Admit::Apply => set_aside.extend(self.next_record(delivery, record)),
            }
        }
        self.tell_set_aside(delivery, &set_aside);
        rejected.append(&mut set_aside);
        self.acknowledge(ix, batch.epoch);
        if let Some(ack) = self.acks.get_mut(&(ix, batch.epoch)) {
            for one in rejected {
                if !ack.rejected.iter().any(|known| known.seq == one.seq) {
                    ack.rejected.push(one);
                }
            }
        }
        self.count(Count::Message(MessageOutcome::Applied));
    }

    /// The head of the journal, made at its first message. A journal never seen before becomes the one
    /// that moves the current state; an older one never does so again.
    fn open_journal(&mut self, delivery: Delivery) {
        let Delivery { ix, epoch, received_at } = delivery;
        if self.kiosk(ix).head(epoch).is_some() {
            return;
        }
        let kiosk = self.kiosk_mut(ix);
        kiosk.heads.push(Head::new(epoch, received_at));
        kiosk.state.epoch = Some(epoch);
        if kiosk.heads.len() > MAX_EPOCHS {
            self.count(Count::Security(SecurityEvent::TooManyEpochs));
            self.security(SecurityEvent::TooManyEpochs, ix, "the agent keeps losing its journal");
        }
    }

    pub(super) fn head(&self, delivery: Delivery) -> &Head {
        self.kiosk(delivery.ix).head(delivery.epoch).expect("opened with the message")
    }

    pub(super) fn head_mut(&mut self, delivery: Delivery) -> &mut Head {
        let kiosk = self.kiosk_mut(delivery.ix);
        let head = kiosk.heads.iter_mut().find(|head| head.epoch == delivery.epoch);
        head.expect("opened with the message")
    }

    /// What the agent no longer holds will never come: the server was restored from an older backup.
    fn note_lost(&mut self, delivery: Delivery, first: u64) {
        let Some((from_seq, through_seq)) = journal::lost(self.head(delivery).upto, first) else { return };
        self.gap(delivery, (from_seq, through_seq), "lost");
        let head = self.head_mut(delivery);
        head.upto = through_seq;
        head.digest = None;
        head.remembered.clear();
        head.cursor.interrupt();
        self.count_many(Count::Record(RecordFate::Lost), through_seq - from_seq + 1);
        let kiosk = self.kiosk(delivery.ix).id.clone();
        let detail = serde_json::json!({ "epoch": delivery.epoch, "from": from_seq, "through": through_seq });
        self.audit("journal_lost", format!("kiosk/{kiosk}"), &detail);
    }

    fn gap(&mut self, delivery: Delivery, (from_seq, through_seq): (u64, u64), reason: &str) {
        self.rows.push(Change::JournalGap(JournalGapRow {
            kiosk: self.kiosk(delivery.ix).id.clone(),
            epoch: delivery.epoch,
            from_seq,
            through_seq,
            at: delivery.received_at,
            reason: reason.to_owned(),
        }));
    }

    /// The size cap of the agent evicted a range; this record stands for it, under the first free number. Set aside or
    /// not, it uses up the range: what is behind it comes under the number after that.
    fn drop_range(
        &mut self,
        delivery: Delivery,
        incoming: &IncomingRecord,
        through: u64,
    ) -> Option<Rejected> {
        let from_seq = self.head(delivery).upto + 1;
        self.gap(delivery, (from_seq, through), "dropped");
        self.count_many(Count::Record(RecordFate::Dropped), through - from_seq + 1);
        let record = match self.readable(delivery, incoming) {
            Ok(record) => record,
            Err(why) => return Some(self.quarantine(delivery, incoming, through, &why)),
        };
        let (placed_at, _) = self.place(delivery, record);
        self.keep(delivery, incoming, Kept { seq: from_seq, placed_at, outcome: RecordOutcome::Applied });
        self.head_mut(delivery).cursor.blur();
        // Carried over from an older epoch: there the records around it are held against each other.
        let old = self.cursor_delivery(delivery, record);
        let length = through.saturating_sub(record.header.seq);
        let is_known = |was: &Was| self.head(old).upto >= was.seq.saturating_add(length);
        if record.header.was.is_some_and(|was| was.epoch == old.epoch && !is_known(&was)) {
            self.head_mut(old).cursor.blur();
        }
        self.settle(delivery, incoming, through);
        None
    }

    /// Or why it goes to quarantine. One that failed before and does not any more is no longer suspect.
    fn readable<'a>(
        &mut self,
        delivery: Delivery,
        incoming: &'a IncomingRecord,
    ) -> Result<&'a Record, String> {
        let record = match &incoming.parsed {
            Ok(record) => record,
            Err(RecordError::Bad { reason, .. } | RecordError::Unnumbered(reason)) => {
                return Err(reason.clone());
            }
        };
        let key = (delivery.ix, delivery.epoch, record.header.seq);
        match self.failures(key) {
            0 => {}
            failures if failures < MAX_FAILURES => drop(self.over.failures.insert(key, None)),
            failures => return Err(format!("failed {failures} times")),
        }
        Ok(record)
    }

    /// The record with the next number: applied, skipped as known from an older epoch, or quarantined.
    fn next_record(&mut self, delivery: Delivery, incoming: &IncomingRecord) -> Option<Rejected> {
        let seq = self.head(delivery).upto + 1;
        let record = match self.readable(delivery, incoming) {
            Ok(record) => record,
            Err(why) => return Some(self.quarantine(delivery, incoming, seq, &why)),
        };
        let (placed_at, ahead) = self.place(delivery, record);
        if ahead {
            self.count(Count::Record(RecordFate::ClockAhead));
        }
        let known = self.known_by_old_number(delivery, record, incoming.stored);
        let outcome = if known { RecordOutcome::Repeat } else { RecordOutcome::Applied };
        self.keep(delivery, incoming, Kept { seq, placed_at, outcome });
        if known {
            self.count(Count::Record(RecordFate::RepeatOfOldEpoch));
        } else {
            self.apply(delivery, record, placed_at);
        }
        self.settle(delivery, incoming, seq);
        None
    }

    /// Whether nobody can tell if this record is applied under its old number. After some tries it is quarantined.
    fn must_wait(&mut self, delivery: Delivery, incoming: &IncomingRecord) -> bool {
        let (Stored::Unreadable, Some(was)) = (incoming.stored, incoming.stood_at()) else { return false };
        let old = self.kiosk(delivery.ix).head(was.epoch);
        let is_told =
            old.is_some_and(|old| was.seq > old.upto || old.remembered.get(old.upto, was.seq).is_some());
        let seq = self.head(delivery).upto + 1;
        if is_told || self.failures((delivery.ix, delivery.epoch, seq)) >= MAX_FAILURES {
            return false;
        }
        let kiosk = self.kiosk(delivery.ix).id.clone();
        self.record_failed(&kiosk, delivery.epoch, seq, "what is stored under its old number cannot be read");
        true
    }

    /// Whether a record that was sent again after a change of epoch is applied under its old number.
    fn known_by_old_number(&mut self, delivery: Delivery, record: &Record, stored: Stored) -> bool {
        let Some(was) = record.header.was else { return false };
        // Only the newest are remembered; the store has those of all before this plan.
        let old = self.kiosk(delivery.ix).head(was.epoch);
        if old.is_some_and(|old| was.seq > old.upto) {
            return false;
        }
        let remembered = old.and_then(|old| old.remembered.get(old.upto, was.seq));
        let kept = || self.kept.as_ref()?.get(&(delivery.ix, was.epoch, was.seq)).copied();
        let stored = match (remembered.map(|content| content.identity).or_else(kept), stored) {
            (Some(identity), _) => identity,
            (None, Stored::Holds(identity)) => identity,
            (None, Stored::Nothing) => return false,
            (None, Stored::Removed) => return true,
            (None, Stored::NotLookedUp | Stored::Unreadable) => return old.is_some(),
        };
        let same = stored == Identity::of(record);
        if !same {
            self.fork(delivery, &Because::OtherWhenSentAgain);
        }
        same
    }

    pub(super) fn place(&self, delivery: Delivery, record: &Record) -> (Timestamp, bool) {
        let clocks = self.live(delivery.ix).clocks();
        crate::cursor::place(record, delivery.received_at, clocks, &self.head(delivery).cursor)
    }

    fn failures(&self, key: (Ix, Epoch, u64)) -> u8 {
        match self.over.failures.get(&key) {
            Some(planned) => planned.unwrap_or(0),
            None => self.fleet.failures.get(&key).copied().unwrap_or(0),
        }
    }

    pub(super) fn record_failed(&mut self, id: &KioskId, epoch: Epoch, seq: u64, reason: &str) {
        let Some(ix) = self.find(id) else { return };
        let key = (ix, epoch, seq);
        let times = self.failures(key).saturating_add(1);
        self.over.failures.insert(key, Some(times));
        let detail = serde_json::json!({ "epoch": epoch, "seq": seq, "times": times, "reason": reason });
        self.audit("record_failed", format!("kiosk/{id}"), &detail);
    }

    /// Its numbers, up to `upto`, are used up; its bytes are kept for people.
    fn quarantine(
        &mut self,
        delivery: Delivery,
        incoming: &IncomingRecord,
        upto: u64,
        reason: &str,
    ) -> Rejected {
        let reason: String = reason.chars().take(MAX_TEXT_CHARS).collect();
        let seq = self.head(delivery).upto + 1;
        let row = JournalRecordRow {
            kiosk: self.kiosk(delivery.ix).id.clone(),
            epoch: delivery.epoch,
            seq,
            kind: incoming.parsed.as_ref().map_or("unreadable", |r| r.body.kind()).to_owned(),
            at: delivery.received_at,
            placed_at: delivery.received_at,
            received_at: delivery.received_at,
            outcome: RecordOutcome::Quarantined,
            reason: Some(reason.clone()),
            digest: incoming.digest,
            raw: incoming.raw.clone(),
        };
        self.rows.push(Change::JournalRecord(row));
        self.note_kept(delivery, incoming, seq);
        self.interrupt_evidence(delivery, incoming);
        let own = incoming.parsed.as_ref().map_or(seq, |record| record.header.seq);
        self.over.failures.insert((delivery.ix, delivery.epoch, own), None);
        self.count(Count::Record(RecordFate::Quarantined));
        self.settle(delivery, incoming, upto);
        Rejected { seq, reason }
    }

    /// Nobody knows what it said: neither the state before it nor what follows tells what was in between. One that
    /// is not read at all may go on with any of its kiosk's journals.
    fn interrupt_evidence(&mut self, delivery: Delivery, incoming: &IncomingRecord) {
        match &incoming.parsed {
            Ok(record) => {
                let of = self.cursor_delivery(delivery, record);
                self.head_mut(of).cursor.step_over();
            }
            Err(_) => self.kiosk_mut(delivery.ix).heads.iter_mut().for_each(|head| head.cursor.step_over()),
        }
    }

    /// A record that was quarantined before and comes again is refused again, so that the agent hears why.
    fn reject_again(&mut self, incoming: &IncomingRecord, rejected: &mut Vec<Rejected>) {
        if let Err(RecordError::Bad { seq, reason }) = &incoming.parsed {
            rejected.push(Rejected { seq: *seq, reason: reason.chars().take(MAX_TEXT_CHARS).collect() });
        }
    }

    fn keep(&mut self, delivery: Delivery, incoming: &IncomingRecord, kept: Kept) {
        let Ok(record) = &incoming.parsed else { return };
        if matches!(record.body, Body::Other(_)) {
            self.count(Count::Record(RecordFate::UnknownKind));
        }
        self.note_kept(delivery, incoming, kept.seq);
        self.rows.push(Change::JournalRecord(JournalRecordRow {
            kiosk: self.kiosk(delivery.ix).id.clone(),
            epoch: delivery.epoch,
            seq: kept.seq,
            kind: record.body.kind().to_owned(),
            at: record.header.at,
            placed_at: kept.placed_at,
            received_at: delivery.received_at,
            outcome: kept.outcome,
            reason: None,
            digest: incoming.digest,
            raw: incoming.raw.clone(),
        }));
    }

    /// As the store will tell it of the row.
    fn note_kept(&mut self, delivery: Delivery, incoming: &IncomingRecord, seq: u64) {
        if let (Some(kept), Ok(record)) = (&mut self.kept, &incoming.parsed) {
            kept.insert((delivery.ix, delivery.epoch, seq), Identity::of(record));
        }
    }

    /// Moves the head over a number.
    fn settle(&mut self, delivery: Delivery, incoming: &IncomingRecord, upto: u64) {
        let identity = incoming.parsed.as_ref().map_or_else(|_| Identity::default(), Identity::of);
        let head = self.head_mut(delivery);
        if upto != head.upto + 1 {
            head.remembered.clear();
        }
        head.upto = upto;
        head.digest = Some(incoming.digest);
        head.remembered.push(Content { digest: incoming.digest, identity });
    }

    /// An applied number with other content: two histories claim to be this kiosk's.
    fn fork(&mut self, delivery: Delivery, how: &Because) {
        let how = how.to_string();
        self.count(Count::Security(SecurityEvent::JournalFork));
        let ix = delivery.ix;
        if self.find_incident(ix, None, codes::JOURNAL_FORK).is_none() {
            self.security(SecurityEvent::JournalFork, ix, &how);
        }
        let severity = self.fault_severity(codes::JOURNAL_FORK, Severity::Major);
        self.raise(ix, &Problem::of_host(codes::JOURNAL_FORK, severity, delivery.received_at, &how));
    }
}

/// Under which number and as what a record is kept.
#[derive(Clone, Copy)]
struct Kept {
    seq: u64,
    placed_at: Timestamp,
    outcome: RecordOutcome,
}
