//! To whom sites belonged when: what a site is to the contract holds from the instant in which somebody says it, so that
//! no time that has been is ever another customer's (uptime definition 2.9).

use std::collections::BTreeMap;

use kioskwatch_proto::{SiteId, Timestamp};

use super::booking::Owner;
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
    /// Behind everything said of this site so far.
    pub fn learn(&mut self, site: &SiteId, since: Timestamp, contract: Contract) {
        let said = self.0.entry(site.clone()).or_default();
        if said.last().is_none_or(|(_, last)| *last != contract) {
            let since = if said.is_empty() { BEGINNING } else { since.secs() };
            said.push((since, contract));
        }
    }

    /// Whether a site was under this contract at any second of a time.
    #[must_use]
    pub fn held(&self, site: &SiteId, contract: &Contract, within: Interval) -> bool {
        let said = self.0.get(site).map_or(&[][..], Vec::as_slice);
        said.iter().enumerate().any(|(position, (from, one))| {
            let to = said.get(position + 1).map_or(END, |(next, _)| *next);
            one == contract && !Interval::new(*from, to).intersect(within).is_empty()
        })
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
            let mut held: BTreeMap<&Contract, IntervalSet> = BTreeMap::new();
            for (position, (from, contract)) in said.iter().enumerate() {
                let to = said.get(position + 1).map_or(END, |(next, _)| *next);
                let share = held.entry(contract).or_default();
                *share = share.union(&set.clip(Interval::new(*from, to)));
            }
            let held = held.into_iter().filter(|(_, share)| !share.is_empty());
            divided.extend(
                held.map(|(contract, share)| (Owner { contract: contract.clone(), ..owner.clone() }, share)),
            );
        }
        divided
    }
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
        for (since, customer) in [(700_000, "A"), (800_000, "A"), (900_500, "B"), (1_000_000, "A")] {
            contracts.learn(&here, Timestamp(since), contract(customer));
        }
        let within = Interval::new(500, 1_500);
        let owner = |site: Option<&SiteId>, contract: Contract| Owner {
            site: site.cloned(),
            engineer: Some("li".into()),
            contract,
        };
        let of = |site: Option<&SiteId>| {
            contracts.divide(vec![(owner(site, Contract::default()), IntervalSet::of(within))])
        };
        let mine = of(Some(&here));
        let b = IntervalSet::of(Interval::new(900, 1_000));
        let expected = [
            (owner(Some(&here), contract("A")), IntervalSet::of(within).subtract(&b)),
            (owner(Some(&here), contract("B")), b),
        ];
        assert_eq!(mine, expected);
        for (customer, [from, to], is_held) in [
            ("A", [0, 900], true),
            ("B", [0, 900], false),
            ("B", [899, 901], true),
            ("B", [1_000, 1_500], false),
            ("A", [900, 1_000], false),
        ] {
            let held = contracts.held(&here, &contract(customer), Interval::new(from, to));
            assert_eq!(held, is_held, "{customer} {from} {to}");
        }
        assert!(!contracts.held(&there, &Contract::default(), within));
        for nobodys in [Some(&there), None] {
            assert_eq!(of(nobodys), [(owner(nobodys, Contract::default()), IntervalSet::of(within))]);
        }
    }
}
