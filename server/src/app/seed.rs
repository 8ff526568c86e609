//! Sites and kiosks of a small fleet, registered from a file at every start.
use std::path::{Path, PathBuf};

use kioskwatch_domain::{
    change::{Admission, KioskRow, ServiceSpan, SiteRow, Zone},
    fleet::{Actor, RefusalKind},
    service_hours::Schedule,
    uptime::Commissioned,
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};
use serde::Deserialize;

use super::{App, DecisionError, RequestError};
use crate::store::{Scope, StoreError};

/// ```toml
/// [[site]]
/// id = "S-01"
/// name = "人民路营业厅"
/// [[kiosk]]
/// id = "K-0001"
/// site = "S-01"
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    #[serde(default)]
    pub site: Vec<SeedSite>,
    #[serde(default)]
    pub kiosk: Vec<SeedKiosk>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedSite {
    pub id: SiteId,
    pub name: String,
    #[serde(default)]
    pub region: String,
    #[serde(default)]
    pub customer: String,
    /// urban, suburb, remote.
    #[serde(default = "urban")]
    pub zone: String,
    #[serde(default = "shanghai")]
    pub timezone: String,
    /// JSON text of schedule versions; empty means always open.
    #[serde(default)]
    pub service_hours: String,
    #[serde(default)]
    pub remote_consent: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedKiosk {
    pub id: KioskId,
    pub site: SiteId,
    #[serde(default)]
    pub model: String,
    #[serde(default)]
    pub serial_no: String,
    /// Default: as known, otherwise when it is accepted.
    pub commissioned_at: Option<Timestamp>,
}

fn urban() -> String {
    "urban".to_owned()
}

fn shanghai() -> String {
    "Asia/Shanghai".to_owned()
}

#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("reading the fleet file {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}:{line}: {problem}")]
    Syntax { path: PathBuf, line: usize, problem: String },
    #[error("{path}: site {site}: {problem}")]
    Site { path: PathBuf, site: SiteId, problem: String },
    #[error("registering {what}: {source}")]
    Request { what: String, source: Box<DecisionError> },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Seed {
    pub fn read(path: &Path) -> Result<Self, SeedError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SeedError::Read { path: path.to_owned(), source })?;
        let seed: Self = toml::from_str(&text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text[..offset].matches('\n').count() + 1;
            SeedError::Syntax { path: path.to_owned(), line, problem: error.message().trim().to_owned() }
        })?;
        for site in &seed.site {
            let problem = if Zone::parse(&site.zone).is_none() {
                Some(format!("zone {:?}: expected urban, suburb or remote", site.zone))
            } else if site.timezone.parse::<chrono_tz::Tz>().is_err() {
                Some(format!("{:?} is no IANA time zone such as Asia/Shanghai", site.timezone))
            } else {
                Schedule::entered(&site.service_hours).err().map(|error| error.to_string())
            };
            if let Some(problem) = problem {
                return Err(SeedError::Site { path: path.to_owned(), site: site.id.clone(), problem });
            }
        }
        Ok(seed)
    }
}

impl App {
    /// Registers what is new or different; what is right already is left alone.
    pub async fn seed(&self, seed: &Seed) -> Result<(), SeedError> {
        let actor = || Actor { name: "fleet file".to_owned() };
        let now = self.clock().now();
        for site in &seed.site {
            let known = self.store().site(&Scope::All, &site.id).await?;
            let mut row = SiteRow {
                id: site.id.clone(),
                name: site.name.clone(),
                region: site.region.clone(),
                customer: site.customer.clone(),
                zone: Zone::parse(&site.zone).unwrap_or(Zone::Urban),
                timezone: site.timezone.clone(),
                service_hours: site.service_hours.clone(),
                contacts: known.as_ref().map_or_else(|| "[]".to_owned(), |row| row.contacts.clone()),
                remote_consent: site.remote_consent,
                updated_at: now,
            };
            if let Some(known) = &known {
                row.updated_at = known.updated_at;
            }
            for (field, stored, file) in known.iter().flat_map(|known| other_contract(known, &row)) {
                tracing::warn!(
                    site = %row.id,
                    field,
                    stored,
                    file,
                    "the fleet file says to whom this site belongs otherwise than what is stored, and holds from now on: \
                     what was said elsewhere is undone at every start; make the file say the same"
                );
            }
            if known.as_ref() != Some(&row) {
                let kept = known.clone().map(|known| SiteRow {
                    timezone: known.timezone,
                    service_hours: known.service_hours,
                    ..row.clone()
                });
                let tries = [Some(row), kept].into_iter().flatten();
                let put = async |row| self.put_site(actor(), SiteRow { updated_at: now, ..row }).await;
                first_allowed(&format!("site {}", site.id), known.as_ref(), tries, put).await?;
            }
        }
        for kiosk in &seed.kiosk {
            let known = self.store().kiosk(&Scope::All, &kiosk.id).await?.map(|view| view.kiosk);
            let first = known.as_ref().and_then(|row| row.commissioned_at);
            // The file says when it came; of one that has been away the newest date may be another.
            let counted = match &known {
                Some(row) => self.counted(row).await?,
                None => Commissioned::default(),
            };
            let is_known =
                |told: &Timestamp| counted.spans().iter().any(|one| one.commissioned_at == Some(*told));
            let told = kiosk.commissioned_at.filter(|told| !is_known(told));
            // Somebody accepted it and said that it does not count yet.
            let is_kept = known.as_ref().is_some_and(|row| row.admission == Admission::Accepted);
            let accepted_now = (!is_kept).then_some(now);
            let commissioned_at = told.or(first).or(accepted_now);
            // A date behind the end is a return from it.
            let ends = known.as_ref().and_then(|row| row.decommissioned_at);
            let decommissioned_at = ends.filter(|end| commissioned_at.is_none_or(|since| since <= *end));
            let mut row = KioskRow {
                id: kiosk.id.clone(),
                site: Some(kiosk.site.clone()),
                admission: Admission::Accepted,
                model: kiosk.model.clone(),
                serial_no: kiosk.serial_no.clone(),
                commissioned_at,
                decommissioned_at,
                updated_at: now,
            };
            if let Some(known) = &known {
                row.updated_at = known.updated_at;
            }
            if known.as_ref() != Some(&row) {
                // When it came is longer ago than anybody may say alone: it counts from when it may.
                let may = self.first_dates(now, known.as_ref(), &row).await?.from();
                let late = told.filter(|told| *told < may && first.is_none());
                // What is entered now counts from now: a moment later even the minutes for typing are another time.
                let since = if may < now.plus_ms(-3_600_000) { may } else { now };
                let late = late.map(|_| KioskRow { commissioned_at: Some(since), ..row.clone() });
                let late = late.filter(|late| ServiceSpan::of(late).check().is_ok());
                let same_dates = known.as_ref().map(|known| ServiceSpan::of(known).put_into(&row));
                let same_place = known.as_ref().zip(same_dates.clone());
                let same_place = same_place.map(|(known, row)| KioskRow { site: known.site.clone(), ..row });
                let tries = [Some(row), late, same_dates, same_place].into_iter().flatten();
                let put =
                    async |row| self.put_kiosk(actor(), KioskRow { updated_at: now, ..row }, None).await;
                first_allowed(&format!("kiosk {}", kiosk.id), known.as_ref(), tries, put).await?;
            }
        }
        Ok(())
    }
}

/// What a site is to the contract by what is stored and by the file, as far as they differ: field and both values.
fn other_contract(stored: &SiteRow, file: &SiteRow) -> Vec<(&'static str, String, String)> {
    let fields = [("region", &stored.region, &file.region), ("customer", &stored.customer, &file.customer)];
    let differing = fields.into_iter().filter(|(_, stored, file)| stored != file);
    differing.map(|(field, stored, file)| (field, stored.clone(), file.clone())).collect()
}

/// The past is no file's to change, and no reason not to start: as much of what the file says becomes true as may.
async fn first_allowed<T: PartialEq>(
    what: &str,
    known: Option<&T>,
    tries: impl IntoIterator<Item = T>,
    put: impl AsyncFn(T) -> Result<(), DecisionError>,
) -> Result<(), SeedError> {
    let mut outcome = Ok(());
    for row in tries {
        if known == Some(&row) {
            // Nothing else is left to write.
            return Ok(());
        }
        outcome = put(row).await;
        match &outcome {
            Err(DecisionError::Request(RequestError::Refused(refusal)))
                if refusal.kind == RefusalKind::Conflict =>
            {
                tracing::warn!(
                    what,
                    refused = refusal.reason,
                    "the fleet file says what one person may not: what is stored stays, and what is new counts from \
                     when it may; make the file say the same"
                );
            }
            _ => break,
        }
    }
    outcome.map_err(|source| SeedError::Request { what: what.to_owned(), source: Box::new(source) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_says_another_contract_than_what_is_stored_names_each_field_with_both_values() {
        let site = |name: &str, region: &str, customer: &str| SiteRow {
            id: "S-1".parse().unwrap(),
            name: name.into(),
            region: region.into(),
            customer: customer.into(),
            zone: Zone::Urban,
            timezone: shanghai(),
            service_hours: String::new(),
            contacts: "[]".into(),
            remote_consent: false,
            updated_at: Timestamp(0),
        };
        let stored = site("hall", "north", "A");
        let says = |name, stored: &str, file: &str| (name, stored.to_owned(), file.to_owned());
        for (file, differing) in [
            (site("renamed", "north", "A"), vec![]),
            (site("hall", "north", "B"), vec![says("customer", "A", "B")]),
            (site("hall", "", "B"), vec![says("region", "north", ""), says("customer", "A", "B")]),
        ] {
            assert_eq!(other_contract(&stored, &file), differing);
        }
    }
}
