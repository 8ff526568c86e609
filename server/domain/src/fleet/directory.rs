//! From an id to a place in the fleet.
use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;
use kioskwatch_proto::KioskId;

use super::{Ix, kiosk::Kiosk};

/// Places by id. The ids stand with the kiosks: a second copy would be most of the map, and every heartbeat walks
/// through it.
#[derive(Debug, Default)]
pub(super) struct Directory {
    places: HashTable<Ix>,
    hasher: RandomState,
}

impl Directory {
    pub(super) fn find(&self, kiosks: &[Kiosk], id: &KioskId) -> Option<Ix> {
        self.find_hashed(kiosks, self.hash(id), id)
    }

    pub(super) fn hash(&self, id: &KioskId) -> u64 {
        self.hasher.hash_one(id)
    }

    /// `hash`: of this id.
    pub(super) fn find_hashed(&self, kiosks: &[Kiosk], hash: u64, id: &KioskId) -> Option<Ix> {
        self.places.find(hash, |&ix| kiosks[ix as usize].id == *id).copied()
    }

    /// Whoever most probably has an id of this hash, without a look at the kiosks.
    pub(super) fn guess(&self, hash: u64) -> Option<Ix> {
        self.places.find(hash, |_| true).copied()
    }

    /// The kiosk at this place, once.
    pub(super) fn add(&mut self, kiosks: &[Kiosk], ix: Ix) {
        let hash = |&ix: &Ix| self.hasher.hash_one(&kiosks[ix as usize].id);
        self.places.insert_unique(hash(&ix), ix, hash);
    }
}
