//! Journals beyond those a kiosk has in memory: the store keeps their heads for ever, and they are looked up
//! when one of them speaks again, because a forgotten head would apply a journal twice.
use kioskwatch_proto::{Epoch, KioskId};

use super::{
    Fleet,
    draft::Draft,
    input::Input,
    kiosk::{Head, MAX_EPOCHS},
};
use crate::change::JournalHeadRow;

/// What was found of the journals in [`Fleet::to_recall`]; those in neither list are new.
#[derive(Debug, Clone, Default)]
pub struct Recalled {
    pub heads: Vec<JournalHeadRow>,
    /// The store cannot tell: their messages must wait, and are not acknowledged.
    pub unreadable: Vec<(KioskId, Epoch)>,
}

impl Fleet {
    /// The journals that these inputs speak of and that may have been forgotten.
    #[must_use]
    pub fn to_recall(&self, inputs: &[Input]) -> Vec<(KioskId, Epoch)> {
        let mut places: Vec<(KioskId, Epoch)> = Vec::new();
        for input in inputs {
            let (kiosk, epoch) = match input {
                Input::Batch { kiosk, batch, .. } => (kiosk, batch.epoch),
                Input::Heartbeat { kiosk, message, .. } => (kiosk, message.journal.epoch),
                Input::Presence { kiosk, message, .. } => (kiosk, message.epoch),
                _ => continue,
            };
            let Some(ix) = self.place(kiosk) else { continue };
            let known = &self.kiosks[ix as usize];
            let may_be_forgotten = known.heads.len() >= MAX_EPOCHS && known.head(epoch).is_none();
            if may_be_forgotten && !places.iter().any(|(id, of)| (id, *of) == (kiosk, epoch)) {
                places.push((kiosk.clone(), epoch));
            }
        }
        places
    }
}

impl Draft<'_> {
    /// For this plan only: what is adopted keeps the newest.
    pub(super) fn recall(&mut self, recalled: &Recalled) {
        for row in &recalled.heads {
            let Some(ix) = self.find(&row.kiosk) else { continue };
            if self.kiosk(ix).head(row.epoch).is_none() {
                let head = Head::from_row(row);
                self.kiosk_mut(ix).heads.insert(0, head.clone());
                self.recalled.push((ix, head));
            }
        }
        for (kiosk, epoch) in &recalled.unreadable {
            if let Some(ix) = self.find(kiosk) {
                self.unreadable.insert((ix, *epoch));
            }
        }
    }
}
