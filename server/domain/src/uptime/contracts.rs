//! To whom sites belonged when: what a site is to the contract holds from the instant in which somebody says it, so that
//! no time that has been is ever another customer's by the word of one (uptime definition 2.9). What two people say of a
//! time that has been holds over it, from its approval on.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use kioskwatch_proto::{SiteId, Timestamp, limits::MAX_TEXT_CHARS};
use smallvec::SmallVec;

use super::booking::Owner;
use super::past::entered;
use crate::change::{Correction, CorrectionRow};
use crate::interval::{BEGINNING, END, Interval, IntervalSet};

/// What a site is to the contract.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Contract {
    pub region: String,
    pub customer: String,
}

/// What a site should have been to the contract; `None`: as it was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Renamed {
    pub region: Option<String>,
    pub customer: Option<String>,
}

impl Renamed {
    fn of(&self, contract: &Contract) -> Contract {
        let name = |new: &Option<String>, old: &String| new.as_ref().unwrap_or(old).clone();
        let (region, customer) =
            (name(&self.region, &contract.region), name(&self.customer, &contract.customer));
        Contract { region, customer }
    }

    /// Whether it is what a contract says.
    #[must_use]
    pub fn is(&self, contract: &Contract) -> bool {
        self.of(contract) == *contract
    }

    /// Something else than it was in all of this time.
    pub(super) fn check(&self, before: &[Belonged]) -> Result<(), String> {
        let mut names = self.region.iter().chain(&self.customer).peekable();
        if names.peek().is_none() {
            return Err("region, customer or both: to whom should it have belonged?".to_owned());
        }
        if names.any(|name| name.chars().count() > MAX_TEXT_CHARS) {
            return Err(format!("a name has at most {MAX_TEXT_CHARS} characters"));
        }
        match before.iter().all(|one| self.is(&one.contract)) {
            true => Err("this is what is known of all of that time: nothing would change".to_owned()),
            false => Ok(()),
        }
    }
}

/// To whom a site belonged from one instant to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Belonged {
    pub contract: Contract,
    pub from: Timestamp,
    pub to: Timestamp,
}

/// What is known of each site.
#[derive(Debug, Clone, Default)]
pub struct Contracts {
    said: BTreeMap<SiteId, Said>,
    /// Of the few sites of which there are any, in the order in which two people said so.
    corrected: BTreeMap<SiteId, Vec<Corrected>>,
    /// Each once: many sites are one customer's in one region.
    alike: HashSet<Arc<Contract>>,
}

/// Each with the second from which on it holds; the first holds since ever.
type Said = SmallVec<[(i64, Arc<Contract>); 1]>;

/// What is known of one site.
#[derive(Debug, Clone, Copy)]
struct History<'a> {
    said: &'a [(i64, Arc<Contract>)],
    corrected: &'a [Corrected],
}

#[derive(Debug, Clone)]
struct Corrected {
    /// The second in which it was approved.
    said: i64,
    within: Interval,
    to: Renamed,
}

impl Contracts {
    /// Behind everything said of this site so far. What is put right within the time that typing takes
    /// ([`entered`]) holds since what it puts right: nobody else can give these minutes back.
    pub fn learn(&mut self, site: &SiteId, since: Timestamp, contract: Contract) {
        let contract = match self.alike.get(&contract) {
            Some(known) => Arc::clone(known),
            None => Arc::new(contract),
        };
        self.alike.insert(Arc::clone(&contract));
        let said = self.said.entry(site.clone()).or_default();
        if let [_, .., (from, last)] = said.as_mut_slice()
            && *from >= entered(since).secs()
        {
            *last = contract;
        } else if said.last().is_none_or(|(_, last)| *last != contract) {
            let since = if said.is_empty() { BEGINNING } else { since.secs() };
            said.push((since, contract));
        }
    }

    /// What two people said of a time, behind what was corrected so far; anything else says nothing.
    pub fn correct(&mut self, row: &CorrectionRow, said: Timestamp) {
        let Correction::Contract { site, after, .. } = &row.what else { return };
        let within = Interval::new(row.from.secs(), row.to.secs());
        let corrected = self.corrected.entry(site.clone()).or_default();
        corrected.push(Corrected { said: said.secs(), within, to: after.clone() });
    }

    /// With everything said of other sites.
    pub fn extend(&mut self, mut others: Self) {
        // One by one in their order they would fill half of the map's room.
        self.said.append(&mut others.said);
        self.corrected.append(&mut others.corrected);
        self.alike.extend(others.alike);
    }

    /// For what is said of other sites, which [`Self::extend`] puts beside this: what they have in common stands once.
    #[must_use]
    pub fn page(&mut self) -> Self {
        Self { alike: std::mem::take(&mut self.alike), ..Self::default() }
    }

    fn of(&self, site: &SiteId) -> Option<History<'_>> {
        let (said, corrected) = (self.said.get(site), self.corrected.get(site));
        (said.is_some() || corrected.is_some()).then(|| History {
            said: said.map_or(&[], SmallVec::as_slice),
            corrected: corrected.map_or(&[], Vec::as_slice),
        })
    }

    /// To whom a site belonged within a time, in order, as is known.
    #[must_use]
    pub fn belonged(&self, site: &SiteId, (from, to): (Timestamp, Timestamp)) -> Vec<Belonged> {
        let within = Interval::new(from.secs(), to.secs());
        let at = |secs: i64| Timestamp(secs.saturating_mul(1_000));
        let spans = self.of(site).map(|history| history.spans(None)).unwrap_or_default();
        let mut belonged: Vec<Belonged> = Vec::new();
        for (contract, span) in spans {
            let span = span.intersect(within);
            match belonged.last_mut() {
                _ if span.is_empty() => {}
                Some(last) if last.contract == contract => last.to = at(span.to),
                _ => belonged.push(Belonged { contract, from: at(span.from), to: at(span.to) }),
            }
        }
        belonged
    }

    /// Whether a site was under this contract at any second of a time, by what is known or ever was.
    #[must_use]
    pub fn held(&self, site: &SiteId, contract: &Contract, within: Interval) -> bool {
        let Some(history) = self.of(site) else { return false };
        let stages = (0..=history.corrected.len()).map(|known| history.with(&history.corrected[..known]));
        stages.flatten().any(|(one, span)| one == *contract && !span.intersect(within).is_empty())
    }

    /// Whether two people said that a site was under this contract at any second of a time, and nobody otherwise since.
    #[must_use]
    pub fn was_corrected_to(&self, site: &SiteId, contract: &Contract, within: Interval) -> bool {
        let Some(history) = self.of(site) else { return false };
        let corrected = self.corrected(site, None).clip(within);
        history
            .spans(None)
            .into_iter()
            .any(|(one, span)| one == *contract && !corrected.clip(span).is_empty())
    }

    /// The time of which two people said to whom a site belonged, as it was known before a second; `None`: by now.
    #[must_use]
    pub fn corrected(&self, site: &SiteId, known_before: Option<i64>) -> IntervalSet {
        let corrected = self.of(site).into_iter().flat_map(|history| history.known(known_before));
        corrected.map(|one| one.within).collect()
    }

    /// Divides the time of each site's owners among its contracts, without overlap and without a rest, as they were known
    /// before a second; `None`: as they are.
    #[must_use]
    pub fn divide(
        &self,
        owners: Vec<(Owner, IntervalSet)>,
        known_before: Option<i64>,
    ) -> Vec<(Owner, IntervalSet)> {
        let mut divided = Vec::with_capacity(owners.len());
        for (owner, set) in owners {
            let Some(history) = owner.site.as_ref().and_then(|site| self.of(site)) else {
                divided.push((owner, set));
                continue;
            };
            let mut held: BTreeMap<Contract, Vec<Interval>> = BTreeMap::new();
            for (contract, within) in history.spans(known_before) {
                held.entry(contract).or_default().push(within);
            }
            let shares = held.into_iter().map(|(contract, spans)| {
                (Owner { contract, ..owner.clone() }, set.intersect(&spans.into_iter().collect()))
            });
            divided.extend(shares.filter(|(_, share)| !share.is_empty()));
        }
        divided
    }
}

impl<'a> History<'a> {
    /// What was said while the clock was ahead may stand before what was said since, and is known later.
    fn known(self, before: Option<i64>) -> impl Iterator<Item = &'a Corrected> {
        self.corrected.iter().filter(move |one| before.is_none_or(|limit| one.said < limit))
    }

    fn spans(self, known_before: Option<i64>) -> Vec<(Contract, Interval)> {
        self.with(self.known(known_before))
    }

    /// From when to when each of what was said held, by these corrections; in order.
    fn with<'c>(self, corrected: impl IntoIterator<Item = &'c Corrected>) -> Vec<(Contract, Interval)> {
        let ends = self.said.iter().skip(1).map(|(from, _)| *from).chain([END]);
        let said = self.said.iter().zip(ends);
        let spans = said
            .map(|((from, contract), to)| (Contract::clone(contract), Interval::new(*from, to)))
            .collect();
        corrected.into_iter().fold(spans, |spans, one| {
            spans.into_iter().flat_map(|(contract, span)| one.over(contract, span)).collect()
        })
    }
}

impl Corrected {
    fn over(&self, contract: Contract, span: Interval) -> impl Iterator<Item = (Contract, Interval)> {
        let (from, to) =
            (self.within.from.clamp(span.from, span.to), self.within.to.clamp(span.from, span.to));
        let renamed = self.to.of(&contract);
        let parts = [
            (contract.clone(), Interval::new(span.from, from)),
            (renamed, Interval::new(from, to)),
            (contract, Interval::new(to, span.to)),
        ];
        parts.into_iter().filter(|(_, part)| !part.is_empty())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::change::CorrectionState;

    /// Two people say which customer's a site was from one second to another.
    pub(crate) fn corrected(site: &str, (from, to): (i64, i64), customer: &str) -> CorrectionRow {
        let after = Renamed { customer: Some(customer.into()), region: None };
        CorrectionRow {
            id: uuid::Uuid::nil(),
            what: Correction::Contract { site: site.parse().unwrap(), before: Vec::new(), after },
            from: Timestamp(from * 1_000),
            to: Timestamp(to * 1_000),
            reason: "r".into(),
            state: CorrectionState::Requested,
            requested_by: "li".into(),
            requested_at: Timestamp(0),
            decided: None,
            effect: "{}".into(),
        }
    }

    #[test]
    fn what_two_people_say_of_a_time_holds_in_it_from_its_approval_on_and_what_was_known_stays_known() {
        let site = SiteId::new("S-1").unwrap();
        let contract = |customer: &str| Contract { region: "north".into(), customer: customer.into() };
        let mut contracts = Contracts::default();
        contracts.learn(&site, Timestamp(0), contract("A"));
        contracts.learn(&site, Timestamp(500_000), contract("B"));
        for (span, customer, said) in [((300, 600), "C", 2_000), ((400, 550), "B", 3_000)] {
            contracts.correct(&corrected("S-1", span, customer), Timestamp(said * 1_000));
        }
        let owner = Owner { site: Some(site.clone()), ..Owner::default() };
        let told = |before| {
            let shares =
                contracts.divide(vec![(owner.clone(), IntervalSet::of(Interval::new(0, 1_000)))], before);
            shares.into_iter().map(|(owner, set)| (owner.contract.customer, set.length())).collect::<Vec<_>>()
        };
        let is = |shares: &[(&str, i64)]| {
            shares.iter().map(|(name, length)| ((*name).to_owned(), *length)).collect::<Vec<_>>()
        };
        assert_eq!(told(Some(2_000)), is(&[("A", 500), ("B", 500)]));
        assert_eq!(told(Some(2_001)), is(&[("A", 300), ("B", 400), ("C", 300)]));
        assert_eq!(told(None), is(&[("A", 300), ("B", 550), ("C", 150)]));
        let known: Vec<_> = contracts
            .belonged(&site, (Timestamp(350_000), Timestamp(700_000)))
            .into_iter()
            .map(|one| (one.contract.customer, one.from.secs(), one.to.secs()))
            .collect();
        let all = [("C", 350, 400), ("B", 400, 550), ("C", 550, 600), ("B", 600, 700)];
        assert_eq!(known, all.map(|(name, from, to)| (name.to_owned(), from, to)));
        for (customer, within, held, was_told) in [
            ("A", (350, 450), true, false),
            ("B", (400, 410), true, true),
            ("C", (420, 430), true, false),
            ("C", (560, 570), true, true),
            ("B", (610, 620), true, false),
            ("C", (610, 620), false, false),
            ("A", (500, 600), false, false),
        ] {
            let (contract, within) = (contract(customer), Interval::new(within.0, within.1));
            let is = (
                contracts.held(&site, &contract, within),
                contracts.was_corrected_to(&site, &contract, within),
            );
            assert_eq!(is, (held, was_told), "{customer} {within:?}");
        }
        assert_eq!(contracts.corrected(&site, Some(2_001)), IntervalSet::of(Interval::new(300, 600)));
        assert!(contracts.corrected(&site, Some(2_000)).is_empty());
    }

    #[test]
    fn what_two_people_say_now_holds_over_what_they_said_while_the_clock_was_ahead() {
        let site = SiteId::new("S-1").unwrap();
        let mut contracts = Contracts::default();
        contracts.learn(&site, Timestamp(0), Contract { customer: "A".into(), ..Contract::default() });
        for (span, customer, said) in [((0, 100), "B", 900_000), ((50, 100), "C", 2_000)] {
            contracts.correct(&corrected("S-1", span, customer), Timestamp(said * 1_000));
        }
        let owner = Owner { site: Some(site), ..Owner::default() };
        let told = |before| {
            let all = IntervalSet::of(Interval::new(0, 100));
            let shares = contracts.divide(vec![(owner.clone(), all)], before).into_iter();
            shares.map(|(owner, set)| (owner.contract.customer, set.length())).collect::<Vec<_>>()
        };
        let is = |names: [&str; 2]| names.map(|name| (name.to_owned(), 50)).to_vec();
        assert_eq!(
            told(Some(3_000)),
            is(["A", "C"]),
            "what was signed before that time comes knew nothing else"
        );
        assert_eq!((told(Some(900_001)), told(None)), (is(["B", "C"]), is(["B", "C"])));
    }

    #[test]
    fn what_is_said_of_a_site_holds_from_then_on_and_its_time_adds_up() {
        let [here, there] = ["S-1", "S-2"].map(|id| SiteId::new(id).unwrap());
        let contract = |customer: &str| Contract { region: "north".into(), customer: customer.into() };
        let mut contracts = Contracts::default();
        // The same again is nothing new, and who comes back is the one who was there.
        for (since, customer) in [(700_000, "A"), (800_000, "A"), (900_500, "B"), (1_300_000, "A")] {
            contracts.learn(&here, Timestamp(since), contract(customer));
        }
        let within = Interval::new(500, 1_800);
        let owner = |site: Option<&SiteId>, contract: Contract| Owner {
            site: site.cloned(),
            engineer: Some("li".into()),
            contract,
            ..Owner::default()
        };
        let of = |site: Option<&SiteId>| {
            contracts.divide(vec![(owner(site, Contract::default()), IntervalSet::of(within))], None)
        };
        let mine = of(Some(&here));
        let b = IntervalSet::of(Interval::new(900, 1_300));
        let expected = [
            (owner(Some(&here), contract("A")), IntervalSet::of(within).subtract(&b)),
            (owner(Some(&here), contract("B")), b),
        ];
        assert_eq!(mine, expected);
        for (customer, [from, to], is_held) in [
            ("A", [0, 900], true),
            ("B", [0, 900], false),
            ("B", [899, 901], true),
            ("B", [1_300, 1_800], false),
            ("A", [900, 1_300], false),
        ] {
            let held = contracts.held(&here, &contract(customer), Interval::new(from, to));
            assert_eq!(held, is_held, "{customer} {from} {to}");
        }
        assert!(!contracts.held(&there, &Contract::default(), within));
        for nobodys in [Some(&there), None] {
            assert_eq!(of(nobodys), [(owner(nobodys, Contract::default()), IntervalSet::of(within))]);
        }
    }

    #[test]
    fn a_name_put_right_while_it_is_typed_leaves_nothing_of_the_wrong_one_and_later_it_does() {
        let site = SiteId::new("S-1").unwrap();
        let contract = |customer: &str| Contract { region: String::new(), customer: customer.into() };
        let owner = Owner { site: Some(site.clone()), ..Owner::default() };
        let owed = |said: &[(i64, &str)]| {
            let mut contracts = Contracts::default();
            said.iter()
                .for_each(|(since, name)| contracts.learn(&site, Timestamp(since * 1_000), contract(name)));
            let within = IntervalSet::of(Interval::new(0, 10_000));
            let shares = contracts.divide(vec![(owner.clone(), within)], None);
            shares.into_iter().map(|(owner, set)| (owner.contract.customer, set.length())).collect::<Vec<_>>()
        };
        let is = |shares: &[(&str, i64)]| {
            shares.iter().map(|(name, length)| ((*name).to_owned(), *length)).collect::<Vec<_>>()
        };
        assert_eq!(owed(&[(0, "A"), (5_000, "C"), (5_300, "B")]), is(&[("A", 5_000), ("B", 5_000)]));
        assert_eq!(
            owed(&[(0, "A"), (5_000, "C"), (5_301, "B")]),
            is(&[("A", 5_000), ("B", 4_699), ("C", 301)])
        );
        // Taken back at once: nothing was said.
        assert_eq!(owed(&[(0, "A"), (5_000, "C"), (5_100, "A")]), is(&[("A", 10_000)]));
        // Again and again they move five minutes and no more, and never what always was.
        let again = [(0, "A"), (5_000, "B"), (5_200, "C"), (5_400, "D")];
        assert_eq!(owed(&again), is(&[("A", 5_000), ("C", 400), ("D", 4_600)]));
        assert_eq!(owed(&[(0, "A"), (100, "B")]), is(&[("A", 100), ("B", 9_900)]));
    }
}
