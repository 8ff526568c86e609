//! From kiosks to sites, regions, engineers and customers ("uptime definition 2.9").
//!
//! A group owns exactly the seconds during which the kiosk was assigned to it. What nobody owned goes to
//! a bucket of its own, so that groups always add up to the total.

use std::collections::BTreeMap;

use super::figures::Figures;
use super::sweep::Timeline;
use crate::interval::IntervalSet;

/// The figures of several kiosks, shared out to their owners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares<K> {
    pub groups: BTreeMap<K, Figures>,
    /// Accountable time that belonged to no group.
    pub unassigned: Figures,
}

impl<K> Default for Shares<K> {
    fn default() -> Self {
        Self { groups: BTreeMap::new(), unassigned: Figures::default() }
    }
}

impl<K: Ord + Clone> Shares<K> {
    /// Adds one kiosk. `owners` says when it belonged to whom; two owners of one second both get it, so
    /// the caller keeps assignments disjoint if groups are to add up.
    pub fn add(&mut self, kiosk: &Timeline, owners: &BTreeMap<K, IntervalSet>) {
        let mut owned = IntervalSet::empty();
        for (group, assigned) in owners {
            *self.groups.entry(group.clone()).or_default() += &kiosk.within(assigned).figures();
            owned = owned.union(assigned);
        }
        let nobody = IntervalSet::always().subtract(&owned);
        self.unassigned += &kiosk.within(&nobody).figures();
    }

    /// All groups and the unassigned rest: the figures of the whole.
    #[must_use]
    pub fn total(&self) -> Figures {
        self.groups.values().chain(std::iter::once(&self.unassigned)).sum()
    }
}
