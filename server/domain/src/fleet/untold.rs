//! Records that were set aside, as the audit has them: the first message of a kiosk with such at once, and what follows
//! in one line for each interval, with the number of them. An agent whose every record is set aside would else fill the
//! audit, of which nothing goes.
//!
//! In memory: a server that starts again tells the next one at once.
use kioskwatch_proto::{Epoch, Timestamp, journal::Rejected};

use super::{Ix, draft::Draft, ingest::Delivery};

const INTERVAL_MS: i64 = 10 * 60 * 1_000;

/// Of one kiosk, since the audit was last told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Untold {
    /// When the audit is told of what there is by then.
    pub(super) due_at: Timestamp,
    /// The first of them, and how many there are.
    first: Option<(Epoch, Rejected)>,
    records: usize,
}

impl Draft<'_> {
    fn untold(&self, ix: Ix) -> Option<Untold> {
        match self.over.untold.get(&ix) {
            Some(planned) => planned.clone(),
            None => self.fleet.untold.get(&ix).cloned(),
        }
    }

    pub(super) fn tell_set_aside(&mut self, delivery: Delivery, records: &[Rejected]) {
        let Some(first) = records.first() else { return };
        let first = (delivery.epoch, first.clone());
        let untold = match self.untold(delivery.ix) {
            Some(mut untold) => {
                untold.first.get_or_insert(first);
                untold.records += records.len();
                untold
            }
            None => self.told(delivery.ix, &first, records.len()),
        };
        self.over.untold.insert(delivery.ix, Some(untold));
    }

    /// An interval is over.
    pub(super) fn look_at_untold(&mut self, ix: Ix) {
        let Some(untold) = self.untold(ix).filter(|untold| untold.due_at <= self.now) else { return };
        let next = untold.first.map(|first| self.told(ix, &first, untold.records));
        self.over.untold.insert(ix, next);
    }

    /// The next interval begins.
    fn told(&mut self, ix: Ix, (epoch, first): &(Epoch, Rejected), records: usize) -> Untold {
        let detail = serde_json::json!({
            "epoch": epoch, "seq": first.seq, "records": records, "reason": first.reason,
        });
        let kiosk = self.kiosk(ix).id.clone();
        self.audit("record_set_aside", format!("kiosk/{kiosk}"), &detail);
        Untold { due_at: self.now.plus_ms(INTERVAL_MS), first: None, records: 0 }
    }

    /// Our clock was set back: no interval is longer for it.
    pub(super) fn tell_no_later(&mut self) {
        let (latest, fleet) = (self.now.plus_ms(INTERVAL_MS), self.fleet);
        for (&ix, untold) in fleet.untold.iter().filter(|(_, untold)| untold.due_at > latest) {
            self.over.untold.insert(ix, Some(Untold { due_at: latest, ..untold.clone() }));
        }
    }
}
