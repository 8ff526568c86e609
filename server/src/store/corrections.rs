//! What people say was entered wrong, and what became of it.
use kioskwatch_domain::{
    change::{Correction, CorrectionRow, CorrectionState, GroupKind, Held, ServiceSpan},
    uptime::{
        Commissioned,
        contracts::{Belonged, Contract, Renamed},
    },
};
use kioskwatch_proto::{KioskId, Timestamp};
use uuid::Uuid;

use super::{
    Page, PageRequest, Scope, Store, StoreError,
    commissioned::{stretches, stretches_text},
    restatements::{read_decided, write_decided},
    row::{Loaded, RowReader, RowWriter, Stored, text_array},
    sql::{Sql, sql},
};

macro_rules! columns {
    () => {
        "id, kind, kiosk, site, class, from_at, to_at, agreed_at, exclusion, before_value, after_value, region, customer,
         reason, state, requested_by, requested_at, decided_by, decided_at, decision_reason, effect"
    };
}
/// Of a kiosk: a reader sees all sites where it stood in the time that is corrected, or, when its moves were never
/// written down, the one where it stands; and the one where it should have stood. Between the macros stand the sites.
macro_rules! of_site {
    () => {
        "($1 IS NULL OR site IN "
    };
}
macro_rules! or_stood_in {
    () => {
        " OR (kiosk IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM assignment a
                           WHERE a.kiosk = correction.kiosk AND a.group_kind = 'site' AND a.from_at < correction.to_at
                             AND (a.to_at IS NULL OR a.to_at > correction.from_at) AND a.group_id NOT IN "
    };
}
macro_rules! and_somewhere {
    () => {
        ") AND (EXISTS (SELECT 1 FROM assignment a
                        WHERE a.kiosk = correction.kiosk AND a.group_kind = 'site'
                          AND a.from_at < correction.to_at
                          AND (a.to_at IS NULL OR a.to_at > correction.from_at))
                OR kiosk IN (SELECT k.id FROM kiosk k WHERE k.site IN "
    };
}
macro_rules! and_would_have {
    () => {
        ")) AND (kind <> 'stood_at' OR after_value = '' OR after_value IN "
    };
}

const LIST: Sql = sql!(
    list_corrections,
    "SELECT " [columns] " FROM correction
     WHERE " [of_site] TEXTS [or_stood_in] TEXTS [and_somewhere] TEXTS [and_would_have] TEXTS ")))
       AND (requested_at, id) < ($2, $3) AND ($5 IS NULL OR state = $5) AND ($6 IS NULL OR kiosk = $6)
       AND ($7 IS NULL OR CASE WHEN state = 'requested' THEN 1 ELSE 0 END = $7)
     ORDER BY requested_at DESC, id DESC LIMIT $4"
);
const ONE: Sql = sql!(
    find_correction,
    "SELECT " [columns] " FROM correction
     WHERE " [of_site] TEXTS [or_stood_in] TEXTS [and_somewhere] TEXTS [and_would_have] TEXTS "))) AND id = $2"
);

const ALL_OF_CONTRACTS: Sql = sql!(
    all_contract_corrections,
    "SELECT " [columns] " FROM correction WHERE kind = 'belonged_to' AND state = 'approved' ORDER BY site, approval, decided_at, id"
);
const OF_CONTRACTS: Sql = sql!(
    contract_corrections,
    "SELECT " [columns] " FROM correction
     WHERE site " AMONG_TEXTS " AND kind = 'belonged_to' AND state = 'approved'
     ORDER BY site, approval, decided_at, id"
);

/// `[from, to]` in milliseconds.
fn dates_text(dates: ServiceSpan) -> String {
    let ms = |at: Option<Timestamp>| at.map(Timestamp::ms);
    serde_json::json!([ms(dates.commissioned_at), ms(dates.decommissioned_at)]).to_string()
}

fn dates_of(text: &str) -> Option<ServiceSpan> {
    let [from, to]: [Option<i64>; 2] = serde_json::from_str(text).ok()?;
    Some(ServiceSpan { commissioned_at: from.map(Timestamp), decommissioned_at: to.map(Timestamp) })
}

/// `[[id, from, to], …]`, times in milliseconds.
fn held_text(held: &[Held]) -> String {
    let one = |one: &Held| (one.id.clone(), one.from.ms(), one.to.ms());
    serde_json::json!(held.iter().map(one).collect::<Vec<_>>()).to_string()
}

fn held_of(text: &str) -> Option<Vec<Held>> {
    let all: Vec<(Option<String>, i64, i64)> = serde_json::from_str(text).ok()?;
    let held = |(id, from, to)| Held { id, from: Timestamp(from), to: Timestamp(to) };
    Some(all.into_iter().map(held).collect())
}

/// `[[region, customer, from, to], …]`, times in milliseconds.
fn belonged_text(belonged: &[Belonged]) -> String {
    let one = |Belonged { contract, from, to }: &Belonged| {
        serde_json::json!([contract.region, contract.customer, from.ms(), to.ms()])
    };
    belonged.iter().map(one).collect::<serde_json::Value>().to_string()
}

fn belonged_of(text: &str) -> Option<Vec<Belonged>> {
    let all: Vec<(String, String, i64, i64)> = serde_json::from_str(text).ok()?;
    let one = |(region, customer, from, to)| Belonged {
        contract: Contract { region, customer },
        from: Timestamp(from),
        to: Timestamp(to),
    };
    Some(all.into_iter().map(one).collect())
}

/// What dates would replace: of requests of older servers the first stretch alone.
fn replaced(text: &str) -> Option<Commissioned> {
    stretches(text).or_else(|| dates_of(text).map(|first| Commissioned::of([first])))
}

impl Stored for CorrectionRow {
    const TABLE: &'static str = "correction";
    /// A decision stands. Each approval has a place behind those of before, whatever the clock says of it: what two people
    /// say last holds, also over what was approved while the clock was ahead.
    const WRITE: Sql = sql!(
        store_corrections,
        "INSERT INTO correction (" [columns] ", approval)
         SELECT value->>0, value->>1, value->>2, value->>3, value->>4, CAST(value->>5 AS BIGINT),
                CAST(value->>6 AS BIGINT), CAST(value->>7 AS BIGINT), value->>8, value->>9, value->>10,
                value->>11, value->>12, value->>13, value->>14, value->>15, CAST(value->>16 AS BIGINT),
                value->>17, CAST(value->>18 AS BIGINT), value->>19, value->>20,
                CASE value->>14 WHEN 'approved' THEN (SELECT COALESCE(MAX(approval), 0) + 1 FROM correction) END
         FROM " ROWS " WHERE true
         ON CONFLICT (id) DO UPDATE SET
           state = excluded.state, decided_by = excluded.decided_by, decided_at = excluded.decided_at,
           decision_reason = excluded.decision_reason, effect = excluded.effect, approval = excluded.approval
         WHERE correction.state = 'requested'"
    );
    type Key<'a> = Uuid;

    fn key(&self) -> Option<Uuid> {
        Some(self.id)
    }

    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError> {
        row.display(&self.id);
        row.text(self.what.kind());
        let (class, agreed_at, before, after) = match &self.what {
            Correction::Exclusion { kiosk, site, class, agreed_at } => {
                row.opt_display(kiosk.as_ref());
                row.opt_display(site.as_ref());
                (Some(class.as_str()), *agreed_at, None, None)
            }
            Correction::Withdrawal { kiosk, site, class, .. } => {
                row.opt_display(kiosk.as_ref());
                row.opt_display(site.as_ref());
                (Some(class.as_str()), None, None, None)
            }
            Correction::Assignment { kiosk, before, after, .. } => {
                row.text(kiosk.as_str());
                row.opt_text(None);
                (None, None, Some(held_text(before)), Some(after.clone().unwrap_or_default()))
            }
            Correction::Contract { site, before, .. } => {
                row.opt_text(None);
                row.text(site.as_str());
                (None, None, Some(belonged_text(before)), None)
            }
            Correction::ServiceHours { site, before, after }
            | Correction::Timezone { site, before, after } => {
                row.opt_text(None);
                row.text(site.as_str());
                (None, None, Some(before.clone()), Some(after.clone()))
            }
            Correction::Commissioning { kiosk, before, after } => {
                row.text(kiosk.as_str());
                row.opt_text(None);
                (None, None, Some(stretches_text(before)), Some(dates_text(*after)))
            }
        };
        row.opt_text(class);
        row.time(self.from);
        row.time(self.to);
        row.opt_time(agreed_at);
        row.opt_display(match &self.what {
            Correction::Withdrawal { exclusion, .. } => Some(exclusion),
            _ => None,
        });
        row.opt_text(before.as_deref());
        row.opt_text(after.as_deref());
        let renamed = match &self.what {
            Correction::Contract { after, .. } => after,
            _ => &Renamed::default(),
        };
        row.opt_text(renamed.region.as_deref());
        row.opt_text(renamed.customer.as_deref());
        row.text(&self.reason);
        row.text(self.state.as_str());
        row.text(&self.requested_by);
        row.time(self.requested_at);
        write_decided(row, self.decided.as_ref());
        row.text(&self.effect);
        Ok(())
    }
}

impl Loaded for CorrectionRow {
    const TABLE: &'static str = "correction";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        let (id, kind, kiosk, site) = (row.id()?, row.text()?, row.opt_id()?, row.opt_id()?);
        let (class, from, to) = (row.opt_text()?, row.time()?, row.time()?);
        let (agreed_at, exclusion) = (row.opt_time()?, row.opt_id()?);
        let (before, after) = (row.opt_text()?, row.opt_text()?);
        let renamed = Renamed { region: row.opt_text()?, customer: row.opt_text()? };
        let belonged = before.as_deref().and_then(belonged_of);
        let values = before.zip(after);
        let what = match (kind.as_str(), site, class, values) {
            ("withdrawal", site, Some(class), _) => {
                let exclusion = exclusion.ok_or_else(|| row.senseless("it takes nothing back".to_owned()))?;
                Correction::Withdrawal { exclusion, kiosk, site, class }
            }
            ("exclusion", site, Some(class), _) => Correction::Exclusion { kiosk, site, class, agreed_at },
            ("belonged_to", Some(site), ..) => {
                let before =
                    belonged.ok_or_else(|| row.senseless("contracts that cannot be read".to_owned()))?;
                Correction::Contract { site, before, after: renamed }
            }
            ("service_hours", Some(site), _, Some((before, after))) => {
                Correction::ServiceHours { site, before, after }
            }
            ("stood_at" | "answered_for" | "was_model", _, _, Some((before, after))) => {
                let group = match kind.as_str() {
                    "stood_at" => GroupKind::Site,
                    "was_model" => GroupKind::Model,
                    _ => GroupKind::Engineer,
                };
                let after = Some(after).filter(|id| !id.is_empty());
                match (kiosk, held_of(&before)) {
                    (Some(kiosk), Some(before)) => Correction::Assignment { kiosk, group, before, after },
                    _ => return Err(row.senseless("assignments that cannot be read".to_owned())),
                }
            }
            ("timezone", Some(site), _, Some((before, after))) => {
                Correction::Timezone { site, before, after }
            }
            ("commissioning", _, _, Some((before, after))) => {
                match (kiosk, replaced(&before), dates_of(&after)) {
                    (Some(kiosk), Some(before), Some(after)) => {
                        Correction::Commissioning { kiosk, before, after }
                    }
                    _ => return Err(row.senseless("dates of service that cannot be read".to_owned())),
                }
            }
            _ => return Err(row.senseless(format!("a correction of {kind:?} without its values"))),
        };
        Ok(Self {
            id,
            what,
            from,
            to,
            reason: row.text()?,
            state: row.word(CorrectionState::parse)?,
            requested_by: row.text()?,
            requested_at: row.time()?,
            decided: read_decided(row)?,
            effect: row.text()?,
        })
    }
}

/// Everything empty: no restriction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CorrectionFilter {
    pub state: Option<CorrectionState>,
    /// Whether somebody still has to decide.
    pub open: Option<bool>,
    pub kiosk: Option<KioskId>,
}

impl Store {
    /// Newest first.
    pub async fn corrections(
        &self,
        scope: &Scope,
        filter: &CorrectionFilter,
        page: &PageRequest,
    ) -> Result<Page<CorrectionRow>, StoreError> {
        let (at, id): (i64, String) = page.start()?;
        let state = filter.state.map(|state| state.as_str().to_owned());
        let kiosk = filter.kiosk.as_ref().map(ToString::to_string);
        let rows: Vec<CorrectionRow> = self
            .rows(&LIST, |q| {
                q.bind(scope.to_json())
                    .bind(at)
                    .bind(id)
                    .bind(page.fetch_limit())
                    .bind(state)
                    .bind(kiosk)
                    .bind(filter.open.map(i64::from))
            })
            .await?;
        Ok(page.finish(rows, |row| (row.requested_at.ms(), row.id.to_string())))
    }

    /// What two people said of to whom these sites belonged, or any: by site, in the order in which they did.
    pub async fn contract_corrections(
        &self,
        sites: Option<&[&str]>,
    ) -> Result<Vec<CorrectionRow>, StoreError> {
        match sites.map(text_array) {
            Some(names) => self.rows(&OF_CONTRACTS, |q| q.bind(names)).await,
            None => self.rows(&ALL_OF_CONTRACTS, |q| q).await,
        }
    }

    pub async fn correction(&self, scope: &Scope, id: Uuid) -> Result<Option<CorrectionRow>, StoreError> {
        self.row(&ONE, |q| q.bind(scope.to_json()).bind(id.to_string())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_older_servers_noted_of_the_first_stretch_is_still_read() {
        let dates = |from, to: Option<i64>| ServiceSpan {
            commissioned_at: Some(Timestamp(from)),
            decommissioned_at: to.map(Timestamp),
        };
        for (text, spans) in [
            ("[5,null]", vec![dates(5, None)]),
            ("[5,9]", vec![dates(5, Some(9))]),
            ("[null,null]", vec![]),
            ("[]", vec![]),
            ("[[5,9],[12,null]]", vec![dates(5, Some(9)), dates(12, None)]),
        ] {
            assert_eq!(replaced(text), Some(Commissioned::of(spans)), "{text}");
        }
        assert_eq!(replaced("[5]"), None);
    }
}
