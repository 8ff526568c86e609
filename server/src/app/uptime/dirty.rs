//! Whose past has changed since its months were booked.
use std::{collections::BTreeMap, ops::Bound};

use kioskwatch_domain::change::{Change, RunningSpan};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};

/// Since when a kiosk's past has changed.
pub(crate) type Since = Timestamp;

/// Everything that could change its months is noted here between commit and booking.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    kiosks: BTreeMap<KioskId, Since>,
    sites: BTreeMap<SiteId, Since>,
    /// The last kiosk taken: nobody waits behind those that are noted again and again.
    last: Option<KioskId>,
}

/// A prompt span grows with every commit; its earlier parts were noted then. A commit that waited longer is
/// found by the next round, which looks at the last month anyway.
const GROWS_WITHIN_MS: i64 = 600_000;

impl Dirty {
    pub(crate) fn note(&mut self, changes: &[Change]) {
        const ALWAYS: Since = Timestamp(i64::MIN);
        for change in changes {
            match change {
                Change::Evidence(row) => {
                    let grew = row.received_at.map_or(row.to.plus_ms(-GROWS_WITHIN_MS), |_| row.from);
                    self.kiosk(&row.kiosk, row.from.max(grew));
                }
                Change::Seen(row) => {
                    if let Some(RunningSpan { from, to, .. }) = row.running {
                        self.kiosk(&row.kiosk, from.max(to.plus_ms(-GROWS_WITHIN_MS)));
                    }
                }
                Change::EvidenceGap(row) => self.kiosk(&row.kiosk, row.from),
                Change::Kiosk(row) => self.kiosk(&row.id, ALWAYS),
                Change::Commissioned(row) => self.kiosk(&row.kiosk, ALWAYS),
                Change::Assignment(row) => self.kiosk(&row.kiosk, row.from),
                Change::Site(row) => self.site(&row.id, ALWAYS),
                Change::Exclusion(row) => {
                    row.kiosk.iter().for_each(|id| self.kiosk(id, row.from));
                    row.site.iter().for_each(|id| self.site(id, row.from));
                }
                _ => {}
            }
        }
    }

    /// Sites at which something changed, to be spread over those that have stood there since.
    pub(super) fn take_sites(&mut self) -> BTreeMap<SiteId, Since> {
        std::mem::take(&mut self.sites)
    }

    /// Whether anything changed at a site that has not been spread yet.
    pub(super) fn waits_at_sites(&self) -> bool {
        !self.sites.is_empty()
    }

    /// At most `limit` kiosks whose closed months may have changed, beginning behind the last one taken; the
    /// running month is looked at in every round anyway. `month_start` is that of each kiosk's running month.
    pub(super) fn take(
        &mut self,
        limit: usize,
        mut month_start: impl FnMut(&KioskId) -> Timestamp,
    ) -> BTreeMap<KioskId, Since> {
        self.kiosks.retain(|kiosk, since| *since < month_start(kiosk));
        let after = self.last.take().map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.kiosks.range((after, Bound::Unbounded)).map(|(kiosk, _)| kiosk);
        let some: Vec<KioskId> = behind.chain(self.kiosks.keys()).take(limit).cloned().collect();
        self.last = some.last().cloned();
        some.into_iter().filter_map(|id| self.kiosks.remove_entry(&id)).collect()
    }

    pub(super) fn kiosk(&mut self, id: &KioskId, since: Since) {
        match self.kiosks.get_mut(id) {
            Some(known) => *known = since.min(*known),
            None => drop(self.kiosks.insert(id.clone(), since)),
        }
    }

    pub(super) fn site(&mut self, id: &SiteId, since: Since) {
        let known = self.sites.entry(id.clone()).or_insert(since);
        *known = since.min(*known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> KioskId {
        KioskId::new(name).unwrap()
    }

    #[test]
    fn nobody_waits_behind_those_who_are_noted_again_and_again() {
        let mut dirty = Dirty::default();
        let names = ["a", "b", "c", "d", "e"];
        let mut taken = Vec::new();
        for _ in 0..3 {
            names.iter().for_each(|name| dirty.kiosk(&id(name), Timestamp(0)));
            taken.push(dirty.take(2, |_| Timestamp(1)).into_keys().collect::<Vec<_>>());
        }
        assert_eq!(taken, [vec![id("a"), id("b")], vec![id("c"), id("d")], vec![id("a"), id("e")]]);
    }

    #[test]
    fn what_lies_in_a_kiosks_own_running_month_makes_it_wait_for_the_round() {
        let mut dirty = Dirty::default();
        ["east", "west"].iter().for_each(|name| dirty.kiosk(&id(name), Timestamp(10)));
        let starts = |kiosk: &KioskId| Timestamp(if *kiosk == id("east") { 10 } else { 11 });
        assert_eq!(dirty.take(9, starts).into_keys().collect::<Vec<_>>(), [id("west")]);
        assert_eq!(dirty.take(9, |_| Timestamp(i64::MAX)).len(), 0, "the other one is forgotten");
    }
}
