//! What was signed, as sums over every number of it. They stand in the audit, whose entries are chained: who changes or
//! adds a signed row behind the server's back has to forge an entry as well, or to write the audit anew.

use std::collections::{BTreeMap, BTreeSet};

use kioskwatch_proto::{KioskId, Timestamp};
use sha2::{Digest as _, Sha256};

use super::{Cause, Month, Ratio, booking::hex};
use crate::change::MonthRow;

/// The action of an audit entry with sums of what was signed.
pub const SIGNED: &str = "uptime.sign";

/// A version of one kiosk's month.
pub type Version = (KioskId, Month, u32);

/// Hex of SHA-256 over all rows of each version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seals(BTreeMap<Version, String>);

impl Seals {
    /// Of the signed ones among these rows, of each version all there are, in any order.
    #[must_use]
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a MonthRow>) -> Self {
        let mut versions: BTreeMap<Version, BTreeSet<String>> = BTreeMap::new();
        for row in rows.into_iter().filter(|row| row.version > 0) {
            versions.entry((row.kiosk.clone(), row.month, row.version)).or_default().insert(text(row));
        }
        let sum = |lines: BTreeSet<String>| {
            let mut hash = Sha256::new();
            for line in lines {
                hash.update(line);
                hash.update("\n");
            }
            hex(&hash.finalize())
        };
        Self(versions.into_iter().map(|(version, lines)| (version, sum(lines))).collect())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn versions(&self) -> impl Iterator<Item = &Version> {
        self.0.keys()
    }

    /// As it stands in the audit.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let one = |((kiosk, month, version), sum): (&Version, &String)| {
            serde_json::json!([kiosk, month.to_string(), version, sum])
        };
        serde_json::json!({ "rows": self.0.iter().map(one).collect::<Vec<_>>() })
    }

    /// `None`: that is no such entry.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Detail {
            rows: Vec<(KioskId, String, u32, String)>,
        }
        let Detail { rows } = serde_json::from_str(text).ok()?;
        let one = |(kiosk, month, version, sum): (KioskId, String, u32, String)| {
            Some(((kiosk, month.parse().ok()?, version), sum))
        };
        rows.into_iter().map(one).collect::<Option<_>>().map(Self)
    }

    /// The versions of which something else is `stored` than was signed.
    #[must_use]
    pub fn broken_in(&self, stored: &Self) -> Vec<&Version> {
        self.0
            .iter()
            .filter(|(version, sum)| stored.0.get(version) != Some(sum))
            .map(|(one, _)| one)
            .collect()
    }
}

/// Everything a row says, in one line. What is added to rows later is added behind, where there is any: the sums of what
/// was signed before stay.
fn text(row: &MonthRow) -> String {
    let MonthRow {
        month,
        kiosk,
        version,
        site,
        engineer,
        region,
        customer,
        model,
        period_from,
        period_to,
        as_of,
        booked_at,
        frozen_at,
        target,
        sums,
        fingerprint,
        inputs,
    } = row;
    let seconds = |ratio: Ratio| [ratio.num, ratio.den];
    let causes = |all: &BTreeMap<Cause, i64>| {
        let some = all.iter().filter(|(_, one)| **one != 0);
        some.map(|(cause, one)| (cause.as_str(), *one)).collect::<BTreeMap<_, _>>()
    };
    let figures = &sums.figures;
    let times = [period_from, period_to, as_of, booked_at].map(|at| at.ms());
    let maybe = [*frozen_at, sums.longest_outage_at].map(|at| at.map(Timestamp::ms));
    let ratios = [figures.on, figures.avail, figures.full, figures.online].map(seconds);
    let raw = [sums.raw_on, sums.raw_avail, sums.raw_full].map(seconds);
    let down = [causes(&figures.causes), causes(&sums.outages_by_cause)];
    serde_json::json!([
        [month.to_string(), kiosk, version],
        [site, engineer],
        [region, customer, model],
        times,
        maybe,
        [target.0, target.1, figures.accountable_s, figures.known_s, sums.excluded_s],
        ratios,
        raw,
        [sums.outages, sums.longest_outage_s],
        down,
        [fingerprint, inputs],
    ])
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::MonthSums;
    use crate::interval::Interval;

    fn row(kiosk: &str, version: u32, customer: &str) -> MonthRow {
        let period = Interval::new(1_000, 2_000);
        let month = "2026-10".parse().unwrap();
        let mut row = MonthRow::nothing(kiosk.parse().unwrap(), month, period, Timestamp(3_000_000));
        (row.version, row.customer) = (version, customer.to_owned());
        row.sums.figures.avail = Ratio::new(900, 1_000);
        row.sums.figures.causes.insert(Cause::Power, 100);
        row
    }

    #[test]
    fn whatever_is_changed_added_or_removed_of_a_signed_version_is_found() {
        let signed = [row("K-1", 1, "A"), row("K-1", 1, "B"), row("K-2", 1, "A"), row("K-1", 0, "A")];
        let seals = Seals::from_json(&Seals::of(&signed).to_json().to_string()).unwrap();
        assert_eq!(seals.versions().count(), 2, "what is not signed has no seal");
        let broken = |stored: &[MonthRow]| {
            let stored = Seals::of(stored);
            seals.broken_in(&stored).into_iter().map(|(kiosk, ..)| kiosk.to_string()).collect::<Vec<_>>()
        };
        let mut other = signed.to_vec();
        other.reverse();
        other[0].sums.outages = 7;
        assert_eq!(broken(&other), [""; 0], "in any order, whatever version 0 says");
        other.push(row("K-1", 2, "A"));
        assert_eq!(broken(&other), [""; 0], "a restatement changes nothing of what was signed");
        assert_eq!(broken(&signed[1..]), ["K-1"], "removed");
        assert_eq!(broken(&[&signed[..], &[row("K-2", 1, "C")]].concat()), ["K-2"], "added");
        let changes: [fn(&mut MonthRow); 12] = [
            |row| row.sums.figures.avail.num += 1,
            |row| row.sums.figures.known_s += 1,
            |row| *row.sums.figures.causes.entry(Cause::Power).or_default() -= 1,
            |row| row.sums.raw_on.den += 1,
            |row| row.sums.excluded_s += 1,
            |row| row.sums.outages += 1,
            |row| *row.sums.outages_by_cause.entry(Cause::Power).or_default() += 1,
            |row| row.target = (98, 100),
            |row| row.engineer = Some("li".into()),
            |row| row.model.push('x'),
            |row| row.booked_at = Timestamp(3_000_001),
            |row| row.fingerprint.push('0'),
        ];
        for (n, change) in changes.into_iter().enumerate() {
            let mut stored = signed.to_vec();
            change(&mut stored[0]);
            assert_eq!(broken(&stored), ["K-1"], "change {n}");
        }
    }

    #[test]
    fn what_is_no_entry_of_sums_is_none() {
        for text in
            ["", "{}", r#"{"rows":[["K-1","2026-13",1,"00"]]}"#, r#"{"rows":[["K 1","2026-10",1,""]]}"#]
        {
            assert_eq!(Seals::from_json(text), None, "{text}");
        }
        assert_eq!(Seals::from_json(r#"{"rows":[]}"#), Some(Seals::of([])));
        let nothing = MonthSums::default();
        assert!(Seals::of(&[MonthRow { sums: nothing, ..row("K-1", 0, "") }]).is_empty());
    }
}
