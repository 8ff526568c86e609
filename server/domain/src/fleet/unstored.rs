//! A kiosk whose evidence the store refuses.
//!
//! Whoever cannot commit a share of the evidence takes it apart ([`Fleet::looks_of`]), as a sweep. The others' is
//! written; the kiosk's own stays in memory and is tried again, later and later. What we say to have heard goes on
//! with the others: for this one it holds only once its evidence is stored. Until then a gap says so, which grows
//! with every claim, in the same commit: a server that is killed takes evidence along, and the kiosk is unknown for
//! that time, never down.
use kioskwatch_proto::{KioskId, Timestamp};

use super::{
    Fleet, Ix,
    draft::Draft,
    input::Share,
    sweep::{Look, What},
};
use crate::change::{Change, EvidenceGapRow};

impl Fleet {
    /// Since when evidence of a kiosk is in memory only, because the store refused it when it was tried last.
    #[must_use]
    pub fn unstored_since(&self, id: &KioskId, now: Timestamp) -> Option<Timestamp> {
        let ix = self.place(id)?;
        let aside = self.set_aside.get(&Look::evidence(ix))?;
        self.live[ix as usize].unwritten(now).map(|_| aside.since)
    }

    /// What a flush of this share would write, kiosk by kiosk.
    #[must_use]
    pub fn looks_of(&self, share: Share, now: Timestamp) -> Vec<Look> {
        let fleet = Ix::try_from(self.kiosks.len()).unwrap_or(Ix::MAX);
        let looks = share.places(fleet).map(Look::evidence);
        looks.filter(|&look| !self.is_set_aside(look, now)).collect()
    }
}

impl Draft<'_> {
    /// What was heard until `heard_to` is being claimed: not of those whose evidence is not stored. Where that ends,
    /// they were silent, and nothing hides it.
    pub(super) fn note_gaps(&mut self, heard_to: Timestamp) {
        let fleet: &Fleet = self.fleet;
        for &look in fleet.set_aside.keys() {
            if let Look(What::Evidence(ix)) = look
                && let Some(aside) = self.aside(look)
                && let Some((_, until)) = self.live(ix).unwritten(self.now)
                && aside.since < until.min(heard_to)
            {
                self.gap_of(ix, aside.since, until.min(heard_to));
            }
        }
    }

    /// The evidence of a kiosk is being written, all that is left of it. What had to be given up before stays a gap:
    /// of one that was refused, and of one that changed its state more often than is kept between two flushes.
    pub(super) fn close_gap(&mut self, ix: Ix) {
        let look = Look::evidence(ix);
        let lost = self.live(ix).lost();
        if let Some(aside) = self.aside(look) {
            let kept = self.live(ix).unwritten(self.now);
            let until = lost.map(|(_, to)| kept.map_or(to, |(since, _)| since));
            self.gap_of(ix, aside.since, until.unwrap_or(aside.since));
            self.looked(look);
        } else if let Some((from, to)) = lost {
            self.gap_of(ix, from, to);
        }
    }

    pub(super) fn gap_of(&mut self, ix: Ix, from: Timestamp, to: Timestamp) {
        let kiosk = self.kiosk(ix).id.clone();
        self.rows.push(Change::EvidenceGap(EvidenceGapRow { kiosk, from, to }));
    }
}
