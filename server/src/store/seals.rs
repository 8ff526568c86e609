//! Whether what was signed is what the audit says was signed.
use std::collections::{BTreeMap, BTreeSet};

use kioskwatch_domain::uptime::{
    Month,
    seal::{SIGNED, Seals, Version},
};
use kioskwatch_proto::KioskId;

use super::{
    Store, StoreError,
    row::{Loaded, RowReader},
    sql::{Sql, sql},
};

/// Entries of one statement: each names some hundred kiosks.
const MAX_CHUNK: i64 = 20;

const WALK: Sql =
    sql!(walk_seals, "SELECT seq, detail FROM audit WHERE seq > $1 AND action = $2 ORDER BY seq LIMIT $3");

const COUNT: Sql = sql!(
    count_signed,
    "SELECT COUNT(*) FROM (SELECT DISTINCT kiosk, month, version FROM uptime_month WHERE version > 0) AS signed"
);

struct Count(i64);

impl Loaded for Count {
    const TABLE: &'static str = "uptime_month";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        row.int().map(Self)
    }
}

struct Entry {
    seq: i64,
    detail: String,
}

impl Loaded for Entry {
    const TABLE: &'static str = "audit";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self { seq: row.int()?, detail: row.text()? })
    }
}

/// What a walk over everything that was signed found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SealsVerdict {
    /// Versions of a kiosk's month that are as they were signed.
    pub intact: u64,
    /// Those of which the audit says nothing: signed by a server that kept no sums.
    pub unsealed: u64,
    /// Those that are not, each in words.
    pub broken: Vec<String>,
}

/// Restatements of months whose first version has a sum: each must have one.
#[derive(Default)]
struct Restated {
    sealed: BTreeSet<Version>,
    stored: BTreeSet<Version>,
}

impl Store {
    /// Holds every signed month against the sum that the audit keeps of it. Of what was signed before there were such
    /// sums nothing is said.
    pub async fn verify_seals(&self) -> Result<SealsVerdict, StoreError> {
        let (mut verdict, mut restated) = (SealsVerdict::default(), Restated::default());
        // Before what is signed meanwhile.
        let signed = self.row(&COUNT, |q| q).await?.map_or(0, |Count(signed)| signed.unsigned_abs());
        let mut after = 0;
        loop {
            let entries: Vec<Entry> =
                self.rows(&WALK, |q| q.bind(after).bind(SIGNED).bind(MAX_CHUNK)).await?;
            let Some(last) = entries.last() else { break };
            after = last.seq;
            for entry in &entries {
                match Seals::from_json(&entry.detail) {
                    Some(seals) => self.hold_against(&seals, &mut verdict, &mut restated).await?,
                    None => verdict
                        .broken
                        .push(format!("audit entry {} says nothing that can be read", entry.seq)),
                }
            }
        }
        let forged = restated.stored.difference(&restated.sealed);
        verdict.broken.extend(forged.map(|(kiosk, month, version)| {
            format!("{kiosk}: version {version} of {month} was never signed")
        }));
        verdict.unsealed = signed.saturating_sub(verdict.intact + verdict.broken.len() as u64);
        Ok(verdict)
    }

    async fn hold_against(
        &self,
        seals: &Seals,
        verdict: &mut SealsVerdict,
        restated: &mut Restated,
    ) -> Result<(), StoreError> {
        let mut kiosks: BTreeMap<Month, Vec<KioskId>> = BTreeMap::new();
        for (kiosk, month, _) in seals.versions() {
            kiosks.entry(*month).or_default().push(kiosk.clone());
        }
        let mut rows = Vec::new();
        for (month, kiosks) in kiosks {
            rows.extend(self.signed_months(&kiosks, month).await?);
        }
        let stored = Seals::of(&rows);
        let is_restated = |one: &&Version| one.2 > 1;
        let has_first = |(kiosk, month, _): &Version| seals.has(&(kiosk.clone(), *month, 1));
        restated.sealed.extend(seals.versions().filter(is_restated).cloned());
        restated.stored.extend(stored.versions().filter(is_restated).filter(|one| has_first(one)).cloned());
        let broken = seals.broken_in(&stored);
        verdict.intact += (seals.versions().count() - broken.len()) as u64;
        let named = broken.into_iter().map(|(kiosk, month, version)| {
            format!("{kiosk}: version {version} of {month} is not what was signed")
        });
        verdict.broken.extend(named);
        Ok(())
    }
}
