//! To whom sites belonged when: what a site is to the contract holds from the instant in which somebody says it, so that
//! no time that has been is ever another customer's (uptime definition 2.9).

use std::collections::BTreeMap;

use kioskwatch_proto::{SiteId, Timestamp};

use super::booking::Owner;
use super::past::entered;
use crate::interval::{BEGINNING, END, Interval, IntervalSet};

/// What a site is to the contract.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Contract {
    pub region: String,
    pub customer: String,
}

/// Of each site its contracts, each with the second from which on it holds; the first holds since ever.
#[derive(Debug, Clone, Default)]
pub struct Contracts(BTreeMap<SiteId, Vec<(i64, Contract)>>);

impl Contracts {
    /// Behind everything said of this site so far. What is put right within the time that typing takes
    /// ([`entered`]) holds since what it puts right: nobody else can give these minutes back.
    pub fn learn(&mut self, site: &SiteId, since: Timestamp, contract: Contract) {
        let said = self.0.entry(site.clone()).or_default();
        if let [_, .., (from, last)] = said.as_mut_slice()
            && *from >= entered(since).secs()
        {
            *last = contract;
        } else if said.last().is_none_or(|(_, last)| *last != contract) {
            let since = if said.is_empty() { BEGINNING } else { since.secs() };
            said.push((since, contract));
        }
    }

    /// With everything said of other sites.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Whether a site was under this contract at any second of a time.
    #[must_use]
    pub fn held(&self, site: &SiteId, contract: &Contract, within: Interval) -> bool {
        let said = self.0.get(site).map_or(&[][..], Vec::as_slice);
        spans(said).any(|(one, span)| one == contract && !span.intersect(within).is_empty())
    }

    /// Divides the time of each site's owners among its contracts, without overlap and without a rest.
    #[must_use]
    pub fn divide(&self, owners: Vec<(Owner, IntervalSet)>) -> Vec<(Owner, IntervalSet)> {
        let mut divided = Vec::with_capacity(owners.len());
        for (owner, set) in owners {
            let Some(said) = owner.site.as_ref().and_then(|site| self.0.get(site)) else {
                divided.push((owner, set));
                continue;
            };
            let mut held: BTreeMap<&Contract, Vec<Interval>> = BTreeMap::new();
            for (contract, within) in spans(said) {
                held.entry(contract).or_default().push(within);
            }
            let shares = held.into_iter().map(|(contract, spans)| {
                (
                    Owner { contract: contract.clone(), ..owner.clone() },
                    set.intersect(&spans.into_iter().collect()),
                )
            });
            divided.extend(shares.filter(|(_, share)| !share.is_empty()));
        }
        divided
    }
}

/// From when to when each of what was said of a site held.
fn spans(said: &[(i64, Contract)]) -> impl Iterator<Item = (&Contract, Interval)> {
    let ends = said.iter().skip(1).map(|(from, _)| *from).chain([END]);
    said.iter().zip(ends).map(|((from, contract), to)| (contract, Interval::new(*from, to)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        };
        let of = |site: Option<&SiteId>| {
            contracts.divide(vec![(owner(site, Contract::default()), IntervalSet::of(within))])
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
            let shares = contracts.divide(vec![(owner.clone(), within)]);
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
