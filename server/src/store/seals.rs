//! Whether what was signed is what the audit says was signed.
use std::collections::{BTreeMap, BTreeSet};

use kioskwatch_domain::uptime::{
    Month,
    seal::{SIGNED, Seals, Version},
};
use kioskwatch_proto::{KioskId, Timestamp};

use super::{
    Store, StoreError,
    row::{Loaded, RowReader},
    sql::{Sql, sql},
};

/// Entries of one statement: each names some hundred kiosks.
const MAX_CHUNK: i64 = 20;

const WALK: Sql = sql!(
    walk_seals,
    "SELECT seq, at, detail FROM audit WHERE seq > $1 AND action = $2 ORDER BY seq LIMIT $3"
);
const MONTHS: Sql =
    sql!(signed_month_names, "SELECT DISTINCT month FROM uptime_month WHERE version > 0 ORDER BY month");
const VERSIONS: Sql = sql!(
    signed_versions,
    "SELECT kiosk, version, MAX(period_to_at) AS period_to_at FROM uptime_month
     WHERE month = $1 AND version > 0 GROUP BY kiosk, version ORDER BY kiosk, version"
);

struct Entry {
    seq: i64,
    at: Timestamp,
    detail: String,
}

impl Loaded for Entry {
    const TABLE: &'static str = "audit";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self { seq: row.int()?, at: row.time()?, detail: row.text()? })
    }
}

struct Named(String);

impl Loaded for Named {
    const TABLE: &'static str = "uptime_month";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        row.text().map(Self)
    }
}

struct Signed {
    kiosk: KioskId,
    version: u32,
    period_to: Timestamp,
}

impl Loaded for Signed {
    const TABLE: &'static str = "uptime_month";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self { kiosk: row.id()?, version: row.number()?, period_to: row.time()? })
    }
}

/// What a walk over everything that was signed found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SealsVerdict {
    /// Versions of a kiosk's month that are as they were signed.
    pub intact: u64,
    /// Those of which the audit says nothing, of months that were over before it said anything of any.
    pub unsealed: u64,
    /// Those that are not, each in words.
    pub broken: Vec<String>,
}

#[derive(Default)]
struct Walk {
    sealed: BTreeSet<Version>,
    /// When the first of these sums was kept: what ended later has one.
    since: Option<Timestamp>,
    verdict: SealsVerdict,
}

impl Store {
    /// Holds every signed month against the sum that the audit keeps of it.
    pub async fn verify_seals(&self) -> Result<SealsVerdict, StoreError> {
        let mut walk = Walk::default();
        // Before the sums: what is signed meanwhile has one that is then seen.
        let months: Vec<Named> = self.rows(&MONTHS, |q| q).await?;
        let mut signed = Vec::new();
        for Named(month) in months {
            let versions: Vec<Signed> = self.rows(&VERSIONS, |q| q.bind(month.clone())).await?;
            signed.push((month, versions));
        }
        let mut after = 0;
        loop {
            let entries: Vec<Entry> =
                self.rows(&WALK, |q| q.bind(after).bind(SIGNED).bind(MAX_CHUNK)).await?;
            let Some(last) = entries.last() else { break };
            after = last.seq;
            walk.since = walk.since.or(entries.first().map(|entry| entry.at));
            for entry in &entries {
                match Seals::from_json(&entry.detail) {
                    Some(seals) => self.hold_against(seals, &mut walk).await?,
                    None => {
                        let what =
                            format!("audit entry {}: no sums of signed months can be read in it", entry.seq);
                        walk.verdict.broken.push(what);
                    }
                }
            }
        }
        for (month, versions) in signed {
            walk.look_for_unsealed(&month, versions);
        }
        Ok(walk.verdict)
    }

    async fn hold_against(&self, seals: Seals, walk: &mut Walk) -> Result<(), StoreError> {
        let mut kiosks: BTreeMap<Month, Vec<KioskId>> = BTreeMap::new();
        for (kiosk, month, _) in seals.versions() {
            kiosks.entry(*month).or_default().push(kiosk.clone());
        }
        let mut rows = Vec::new();
        for (month, kiosks) in kiosks {
            rows.extend(self.signed_months(&kiosks, month).await?);
        }
        let stored = Seals::of(&rows);
        let broken = seals.broken_in(&stored);
        walk.verdict.intact += (seals.versions().count() - broken.len()) as u64;
        let named = broken.into_iter().map(|(kiosk, month, version)| {
            format!("{kiosk}: version {version} of {month} is not what was signed")
        });
        walk.verdict.broken.extend(named);
        walk.sealed.extend(seals.versions().cloned());
        Ok(())
    }
}

impl Walk {
    fn look_for_unsealed(&mut self, name: &str, versions: Vec<Signed>) {
        let Ok(month) = name.parse::<Month>() else {
            self.verdict.broken.push(format!("{name:?} is no month, and is signed"));
            return;
        };
        for Signed { kiosk, version, period_to } in versions {
            let one = (kiosk, month, version);
            if self.sealed.contains(&one) {
                continue;
            }
            if self.since.is_some_and(|since| period_to > since) {
                self.verdict.broken.push(format!("{}: version {version} of {month} was never signed", one.0));
            } else {
                self.verdict.unsealed += 1;
            }
        }
    }
}
