//! Of whom something has changed since its months were booked: all but that its running month got longer.
use std::{collections::BTreeMap, ops::Bound};

use kioskwatch_domain::{
    change::{Change, Correction, CorrectionState, EvidenceRow, EvidenceSource, EvidenceState, RunningSpan},
    fleet::Ix,
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};

/// Since when a kiosk's past has changed.
pub(crate) type Since = Timestamp;

/// Everything that could change its months is noted here between commit and booking, by place in the fleet.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    kiosks: BTreeMap<Ix, Since>,
    /// Whose running stretch got longer, and nothing else: it changes a month that is over, or none.
    grown: BTreeMap<Ix, Since>,
    sites: BTreeMap<SiteId, Since>,
    noted: Vec<Noted>,
    /// The last kiosk taken: nobody waits behind those that are noted again and again.
    last: Option<Ix>,
}

/// Since when goes on what of each kiosk was noted last: what has the same beginning is the same, and only longer.
#[derive(Debug, Clone, Copy)]
struct Noted {
    /// What its journal proves.
    told: Timestamp,
    /// Its running stretch of heartbeats.
    running: Timestamp,
}

impl Noted {
    const NOTHING: Self = Self { told: Timestamp(i64::MIN), running: Timestamp(i64::MIN) };
}

/// A prompt span grows with every commit; its earlier parts were noted then. Commits that waited longer write what
/// they brought when it is looked at next: after half an hour at the latest.
const GROWS_WITHIN_MS: i64 = 600_000;

impl Dirty {
    /// `place`: in the fleet, which has adopted these changes.
    pub(crate) fn note(&mut self, changes: &[Change], place: impl Fn(&KioskId) -> Option<Ix>) {
        const ALWAYS: Since = Timestamp(i64::MIN);
        /// Nothing of before, but what comes will be something else.
        const FROM_NOW: Since = Timestamp(i64::MAX);
        for change in changes {
            match change {
                Change::Evidence(row) if self.only_grew(row, place(&row.kiosk)) => {
                    let since = row.from.max(row.to.plus_ms(-GROWS_WITHIN_MS));
                    earliest(&mut self.grown, place(&row.kiosk), since);
                }
                Change::Evidence(row) => {
                    let grew = row.received_at.map_or(row.to.plus_ms(-GROWS_WITHIN_MS), |_| row.from);
                    self.kiosk(place(&row.kiosk), row.from.max(grew));
                }
                Change::Seen(row) => {
                    if let Some(RunningSpan { from, to, .. }) = row.running {
                        let since = from.max(to.plus_ms(-GROWS_WITHIN_MS));
                        let kiosk = place(&row.kiosk);
                        earliest(&mut self.grown, kiosk, since);
                        // Of a new one nothing else tells when the one before it had been written to its end.
                        if self.is_new(kiosk, |noted| &mut noted.running, from) {
                            self.kiosk(kiosk, FROM_NOW);
                        }
                    }
                }
                Change::Transition(row) if row.kind == "presence" => self.kiosk(place(&row.kiosk), FROM_NOW),
                // Somebody decided so; what the bookkeeper signs it has counted itself.
                Change::Month(row) if row.version > 1 => self.kiosk(place(&row.kiosk), FROM_NOW),
                Change::EvidenceGap(row) => self.kiosk(place(&row.kiosk), row.from),
                // Where it stood, when it counted and which model it was are rows of their own. The first model that anybody
                // names is none: it is that of months to be signed.
                Change::Kiosk(row) => self.kiosk(place(&row.id), FROM_NOW),
                Change::Commissioned(row) => self.kiosk(place(&row.kiosk), ALWAYS),
                Change::Assignment(row) => self.kiosk(place(&row.kiosk), row.from),
                Change::Correction(row) if row.state == CorrectionState::Approved => match &row.what {
                    Correction::Assignment { kiosk, .. } => self.kiosk(place(kiosk), row.from),
                    Correction::Contract { site, .. } => self.site(site, row.from),
                    _ => {}
                },
                // A site that is new is to be known; hours, zone and whom it belongs to are in its terms.
                Change::Site(row) => self.site(&row.id, FROM_NOW),
                Change::SiteTerms(row) => self.site(&row.site, ALWAYS),
                Change::Exclusion(row) => {
                    row.kiosk.iter().for_each(|id| self.kiosk(place(id), row.from));
                    row.site.iter().for_each(|id| self.site(id, row.from));
                }
                _ => {}
            }
        }
    }

    /// Whether a journal says, as it happens, what it said before. Its first word marks the kiosk.
    fn only_grew(&mut self, row: &EvidenceRow, kiosk: Option<Ix>) -> bool {
        let is_prompt = row.source == EvidenceSource::Journal && row.received_at.is_none();
        // Of a machine that is only on heartbeats say more, and the journal has the last word.
        is_prompt
            && row.state != EvidenceState::OnOnly
            && !self.is_new(kiosk, |noted| &mut noted.told, row.from)
    }

    /// Whether what begins then is another one than was noted last, and notes it.
    fn is_new(&mut self, kiosk: Option<Ix>, last: fn(&mut Noted) -> &mut Timestamp, from: Timestamp) -> bool {
        let Some(place) = kiosk.map(|ix| ix as usize) else { return true };
        if place >= self.noted.len() {
            self.noted.resize(place + 1, Noted::NOTHING);
        }
        std::mem::replace(last(&mut self.noted[place]), from) != from
    }

    /// Sites at which something changed, to be spread over those that have stood there since.
    pub(super) fn take_sites(&mut self) -> BTreeMap<SiteId, Since> {
        std::mem::take(&mut self.sites)
    }

    /// Whether anything changed at a site that has not been spread yet.
    pub(super) fn waits_at_sites(&self) -> bool {
        !self.sites.is_empty()
    }

    /// At most `limit` kiosks of which more changed than that a running stretch got longer within the running month,
    /// which begins for each at `month_start`; beginning behind the last one taken.
    pub(super) fn take(
        &mut self,
        limit: usize,
        mut month_start: impl FnMut(Ix) -> Timestamp,
    ) -> BTreeMap<Ix, Since> {
        for (kiosk, since) in std::mem::take(&mut self.grown) {
            if since < month_start(kiosk) {
                self.kiosk(kiosk, since);
            }
        }
        let after = self.last.take().map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.kiosks.range((after, Bound::Unbounded)).map(|(kiosk, _)| kiosk);
        let some: Vec<Ix> = behind.chain(self.kiosks.keys()).take(limit).copied().collect();
        self.last = some.last().copied();
        some.into_iter().filter_map(|kiosk| self.kiosks.remove_entry(&kiosk)).collect()
    }

    /// Of whom more changed than that a running stretch got longer.
    pub(super) fn changed(&self) -> impl Iterator<Item = Ix> {
        self.kiosks.keys().copied()
    }

    /// Since when this one has changed, if it is looked at anyway.
    pub(crate) fn take_one(&mut self, kiosk: Ix) -> Option<Since> {
        self.kiosks.remove(&kiosk)
    }

    /// Whoever has no place yet was committed a moment ago, and is noted when it gets one.
    pub(super) fn kiosk(&mut self, kiosk: impl Into<Option<Ix>>, since: Since) {
        earliest(&mut self.kiosks, kiosk.into(), since);
    }

    pub(super) fn site(&mut self, id: &SiteId, since: Since) {
        let known = self.sites.entry(id.clone()).or_insert(since);
        *known = since.min(*known);
    }
}

fn earliest(all: &mut BTreeMap<Ix, Since>, kiosk: Option<Ix>, since: Since) {
    let Some(kiosk) = kiosk else { return };
    let known = all.entry(kiosk).or_insert(since);
    *known = since.min(*known);
}

#[cfg(test)]
mod tests {
    use kioskwatch_domain::{
        change::{CommissionedRow, MonthRow, MonthSums, SeenRow, SiteRow, SiteTermsRow, TransitionRow, Zone},
        uptime::{Commissioned, Month},
    };

    use super::*;

    fn id(name: &str) -> KioskId {
        KioskId::new(name).unwrap()
    }

    /// In a fleet in which every name begins with another letter.
    fn place(kiosk: &KioskId) -> Option<Ix> {
        Some(kiosk.as_str().as_bytes()[0].into())
    }

    fn ix(name: &str) -> Ix {
        place(&id(name)).unwrap()
    }

    fn seen(name: &str, from: Timestamp, to: Timestamp) -> Change {
        let running = RunningSpan { from, to, state: EvidenceState::Full, cause: None, interval_s: 30 };
        Change::Seen(SeenRow {
            kiosk: id(name),
            last_seen_at: to,
            interval_s: 30,
            clock_offset_ms: None,
            running: Some(running),
        })
    }

    #[test]
    fn another_name_or_model_changes_no_month_that_is_over_and_other_terms_do() {
        let now = Timestamp(9);
        let site = SiteRow {
            id: "S-1".parse().unwrap(),
            name: "hall".into(),
            region: String::new(),
            customer: String::new(),
            zone: Zone::Urban,
            timezone: "UTC".into(),
            service_hours: String::new(),
            contacts: "[]".into(),
            remote_consent: false,
            updated_at: now,
        };
        let kiosk = crate::app::testing::kiosk(id("k"), now);
        let stretches = Commissioned::default();
        let dates = CommissionedRow { kiosk: id("k"), known_from: now, stretches };
        let [never, ever] = [Timestamp(i64::MAX), Timestamp(i64::MIN)];
        for (changes, since) in [
            (vec![Change::Site(site.clone())], never),
            (vec![Change::Site(site.clone()), Change::SiteTerms(SiteTermsRow::of(&site, now))], ever),
        ] {
            let mut dirty = Dirty::default();
            dirty.note(&changes, place);
            assert_eq!(dirty.take_sites(), BTreeMap::from([(site.id.clone(), since)]), "{changes:?}");
        }
        for (changes, since) in [
            (vec![Change::Kiosk(kiosk.clone())], never),
            (vec![Change::Kiosk(kiosk), Change::Commissioned(dates)], ever),
        ] {
            let mut dirty = Dirty::default();
            dirty.note(&changes, place);
            assert_eq!(dirty.take(9, |_| now), BTreeMap::from([(ix("k"), since)]), "{changes:?}");
        }
    }

    #[test]
    fn whoever_approves_whose_a_site_was_has_its_kiosks_booked_anew_from_then_on() {
        use kioskwatch_domain::uptime::contracts::Renamed;
        let row = |state| {
            let what = Correction::Contract {
                site: "S-1".parse().unwrap(),
                before: Vec::new(),
                after: Renamed { region: None, customer: Some("B".into()) },
            };
            Change::Correction(Box::new(kioskwatch_domain::change::CorrectionRow {
                id: uuid::Uuid::nil(),
                what,
                from: Timestamp(5),
                to: Timestamp(9),
                reason: "r".into(),
                state,
                requested_by: "li".into(),
                requested_at: Timestamp(9),
                decided: None,
                effect: "{}".into(),
            }))
        };
        let sites = |state| {
            let mut dirty = Dirty::default();
            dirty.note(&[row(state)], place);
            dirty.take_sites()
        };
        assert_eq!(sites(CorrectionState::Requested), BTreeMap::new());
        let since = BTreeMap::from([("S-1".parse().unwrap(), Timestamp(5))]);
        assert_eq!(sites(CorrectionState::Approved), since);
    }

    #[test]
    fn nobody_waits_behind_those_who_are_noted_again_and_again() {
        let mut dirty = Dirty::default();
        let names = ["a", "b", "c", "d", "e"];
        let mut taken = Vec::new();
        for _ in 0..3 {
            names.iter().for_each(|name| dirty.kiosk(ix(name), Timestamp(0)));
            taken.push(dirty.take(2, |_| Timestamp(1)).into_keys().collect::<Vec<_>>());
        }
        assert_eq!(taken, [["a", "b"], ["c", "d"], ["a", "e"]].map(|names| names.map(ix).to_vec()));
    }

    #[test]
    fn a_stretch_that_got_longer_within_a_kiosks_own_running_month_is_nothing_new() {
        let (seen_at, since) = (Timestamp(GROWS_WITHIN_MS + 10), Timestamp(10));
        let mut dirty = Dirty::default();
        dirty.note(&["east", "west"].map(|name| seen(name, Timestamp(0), Timestamp(1))), place);
        assert_eq!(dirty.take(9, |_| Timestamp(0)).len(), 2, "both are new");
        dirty.note(&["east", "west"].map(|name| seen(name, Timestamp(0), seen_at)), place);
        let starts = |kiosk| if kiosk == ix("east") { since } else { since.plus_ms(1) };
        assert_eq!(dirty.take(9, starts), BTreeMap::from([(ix("west"), since)]));
        assert_eq!(dirty.take(9, |_| Timestamp(i64::MAX)).len(), 0, "the other one is forgotten");
    }

    #[test]
    fn a_stretch_that_begins_is_looked_at_once() {
        let mut dirty = Dirty::default();
        let hour = |n: i64| Timestamp(n * 3_600_000);
        for (from, to, is_new, why) in [
            (hour(5), hour(6), true, "nobody knew of it"),
            (hour(5), hour(6).plus_ms(30_000), false, "it got longer"),
            (hour(7), hour(7), true, "another one, in its first second"),
            (hour(7), hour(7).plus_ms(30_000), false, "it got longer, and is young"),
            (hour(4), hour(7), true, "one that turned out to begin earlier"),
        ] {
            dirty.note(&[seen("k", from, to)], place);
            assert_eq!(dirty.take(9, |_| Timestamp(0)).len(), usize::from(is_new), "{why}");
        }
    }

    #[test]
    fn what_a_journal_says_again_as_it_happens_is_nothing_new() {
        let mut dirty = Dirty::default();
        let (begun, month_start) = (Timestamp(9 * GROWS_WITHIN_MS), Timestamp(0));
        let says = |from: Timestamp, to_ms: i64, state: EvidenceState, late: bool| {
            let running = RunningSpan { from, to: from.plus_ms(to_ms), state, cause: None, interval_s: 30 };
            let row = running.evidence(id("k"));
            let received_at = late.then_some(row.to);
            Change::Evidence(EvidenceRow { source: EvidenceSource::Journal, received_at, ..row })
        };
        for (row, is_new, why) in [
            (says(begun, 10, EvidenceState::Full, false), true, "its first word"),
            (says(begun, 20, EvidenceState::Full, false), false, "the same, longer"),
            (says(begun, 30, EvidenceState::Full, true), true, "late"),
            (says(begun.plus_ms(30), 10, EvidenceState::Degraded, false), true, "another state"),
            (says(begun.plus_ms(30), 20, EvidenceState::Degraded, false), false, "the same, longer"),
            (says(begun.plus_ms(30), 30, EvidenceState::OnOnly, false), true, "heartbeats say more"),
        ] {
            dirty.note(&[row], place);
            assert_eq!(!dirty.take(9, |_| month_start).is_empty(), is_new, "{why}");
        }
        dirty.note(&[2, 3].map(|to| says(begun, to, EvidenceState::Full, false)), place);
        drop(dirty.take(9, |_| month_start));
        dirty.note(&[says(begun, 4, EvidenceState::Full, false)], place);
        assert_eq!(dirty.take(9, |_| begun.plus_ms(1)).len(), 1, "it began in a month that is over");
    }

    #[test]
    fn what_somebody_decided_to_restate_is_shown_at_once() {
        let month: Month = "2026-10".parse().unwrap();
        let row = |version| {
            let row = MonthRow {
                month,
                kiosk: id("k"),
                version,
                site: None,
                engineer: None,
                region: String::new(),
                customer: String::new(),
                model: String::new(),
                period_from: Timestamp(0),
                period_to: Timestamp(1),
                as_of: Timestamp(1),
                booked_at: Timestamp(1),
                frozen_at: None,
                target: (99, 100),
                sums: MonthSums::default(),
                fingerprint: String::new(),
                inputs: "{}".into(),
            };
            Change::Month(Box::new(row))
        };
        let mut dirty = Dirty::default();
        dirty.note(&[0, 1].map(row), place);
        assert_eq!(dirty.take(9, |_| Timestamp(0)).len(), 0, "the bookkeeper has looked");
        dirty.note(&[row(2)], place);
        assert_eq!(dirty.take(9, |_| Timestamp(0)), BTreeMap::from([(ix("k"), Timestamp(i64::MAX))]));
    }

    #[test]
    fn whatever_else_happens_in_the_running_month_is_looked_at_at_once() {
        let at = Timestamp(20);
        let verdict = |kind: &str| TransitionRow {
            kiosk: id("silent"),
            kind: kind.to_owned(),
            peripheral: None,
            from: "online".to_owned(),
            to: "offline".to_owned(),
            at,
            noticed_at: at,
            reason: String::new(),
        };
        let mut dirty = Dirty::default();
        dirty.note(&[Change::Transition(verdict("peripheral"))], place);
        assert_eq!(dirty.take(9, |_| Timestamp(0)).len(), 0, "no second counts otherwise by that alone");
        dirty.note(&[Change::Transition(verdict("presence"))], place);
        dirty.kiosk(ix("forgiven"), at);
        let taken = dirty.take(9, |_| Timestamp(0));
        assert_eq!(taken, BTreeMap::from([(ix("forgiven"), at), (ix("silent"), Timestamp(i64::MAX))]));
    }
}
